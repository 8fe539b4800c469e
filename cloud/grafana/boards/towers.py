"""Forest towers: weather, smoke and fire danger."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import geomap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

from cloud.fire.detection_settings import Detection
from cloud.grafana import cells, variables
from cloud.grafana.alarms import MODES, mark_alarms, site_link
from cloud.grafana.board import Board, Context
from cloud.grafana.cells import of_row
from cloud.grafana.influxql import Ask, below, chosen, of, series
from cloud.grafana.influxql import table as as_table
from cloud.grafana.look import (
    CRITICAL,
    HIGH,
    LOW,
    MEDIUM,
    NORMAL,
    lines,
    mappings_of,
    number,
    rows,
    steps,
    timeline,
)
from cloud.grafana.maps import standing
from cloud.i18n import N_

UID = "langyan-towers"

_TOWERS = "|".join(Detection().sites)
# A day's danger is known after its noon; while a station is silent it is carried on for three days.
_LATEST = "4d"
_NOW = "1h"
_KINDS = "fire|smoke|flame|heat|rate-of-rise|temperature|fire-danger"
_EXTREME = "#a352cc"
# Numbers that stand for words are moved to where no reading is, as a panel's mappings are for all its fields.
_LEVEL, _RATING, _WIND = 1_000, 2_000, 10_000
_HERE = f"{chosen('gateway')} AND {chosen('device')}"

DANGERS: tuple[tuple[int, str, str], ...] = (
    (1, NORMAL, N_("○ 1 very low")),
    (2, LOW, N_("◔ 2 low")),
    (3, MEDIUM, N_("◑ 3 moderate")),
    (4, HIGH, N_("◕ 4 high")),
    (5, CRITICAL, N_("● 5 very high")),
    (6, _EXTREME, N_("▲ 6 extreme")),
)
"""Level of `cloud.fire.classes.Danger`, its colour, and what people read."""

_CHINESE: tuple[tuple[str, str, str], ...] = (
    ("1", NORMAL, N_("○ 1 no danger")),
    ("2", LOW, N_("◔ 2 low")),
    ("3", MEDIUM, N_("◑ 3 moderate")),
    ("4", HIGH, N_("◕ 4 high")),
    ("5", CRITICAL, N_("▲ 5 extreme")),
)
_RULES: tuple[tuple[str, str, str], ...] = (
    ("observed", NORMAL, N_("observed")),
    ("started", NORMAL, N_("observed, begins anew")),
    ("interpolated", MEDIUM, N_("estimated")),
    ("carried", MEDIUM, N_("estimated, carried on")),
    ("none", MEDIUM, N_("not known")),
)
_SMOKE: tuple[tuple[str, str, str], ...] = (
    ("true", CRITICAL, N_("▲ smoke")),
    ("false", NORMAL, N_("– clear")),
)
_FIRE: tuple[tuple[str, str, str], ...] = (
    ("true", CRITICAL, N_("▲ yes")),
    ("false", NORMAL, N_("✗ no")),
    ("confirmed", CRITICAL, N_("✓ yes, a fire")),
    *MODES,
)
"""What a fire's alarm, people and the mode say."""

_WINDS = (N_("↓ N"), N_("↙ NE"), N_("← E"), N_("↖ SE"), N_("↑ S"), N_("↗ SW"), N_("→ W"), N_("↘ NW"))
_SECTOR_DEG = 45.0
_CONFIDENCE = ((None, NORMAL), (35.0, HIGH), (50.0, CRITICAL))


def board(context: Context) -> Board:
    """Build it."""
    towers = Board(context, UID, N_("Forest towers"), words=N_("Weather, smoke and fire danger, tower by tower"))
    towers.variable(
        variables.area(context),
        variables.site(context, kind=_TOWERS, several=True),
        variables.gateway(context),
        variables.labelled(context, "device", N_("Device"), "device_state", "device", where=chosen("gateway")),
        variables.labelled(
            context, "station", N_("Danger at"), "fire_danger", "station", where=below(), since=_LATEST
        ),
    )  # fmt: skip
    towers.row(N_("Fire danger"))
    for tile in _worst(context):
        towers.add(tile, width=8, height=4)
    towers.add(_index(context), width=12, height=10).add(_map(context), width=12, height=10)
    towers.add(_stations(context), width=24, height=8).add(_hourly(context), width=24, height=6)
    towers.row(N_("Fires"))
    towers.add(_fires(context), width=14, height=9).add(_fire_map(context), width=10, height=9)
    towers.row(N_("Smoke and weather")).add(_smoke(context), width=24, height=6).add(
        _weather(context), width=24, height=7
    )
    for panel in _courses(context):
        towers.add(panel, width=12, height=8)
    towers.link(N_("Alarm wall"), "langyan-alarm-wall").link(N_("Site"), "langyan-site")
    return mark_alarms(towers, where=f'{below()} AND "kind" =~ /^({_KINDS})$/')


def danger_mappings(context: Context, *, moved: int = 0) -> list[models.ValueMapping]:
    """Write a level of danger as sign, number and word in its colour; `moved`: by so much its number was."""
    return mappings_of(context, [(str(level + moved), colour, shown) for level, colour, shown in DANGERS])


def _latest(outer: str, *fields: str) -> str:
    """Ask for the latest day of every station of the area."""
    others = "".join(f', "{name}"' for name in fields)
    return (
        f'SELECT {outer} FROM (SELECT last("danger") AS "danger"{others} FROM {of("fire_danger")} '
        f'WHERE time > now() - {_LATEST} AND {below()} GROUP BY "station", "site") WHERE time > now() - {_LATEST}'
    )


def _worst(context: Context) -> Iterator[stat.Panel]:
    worst = number(
        context,
        N_("Worst danger"),
        series(_latest('max("danger")')),
        words=N_("Highest level among the stations of the area, by the scheme that is set"),
    )
    yield worst.mappings(danger_mappings(context)).no_value(context.say(N_("– not known")))
    highest = number(
        context, N_("Highest index"), series(_latest('max("fwi")', "fwi")), words=N_("Of the stations, FWI")
    )
    yield highest.decimals(1).no_value("–")
    yield number(context, N_("Stations"), series(_latest('count("danger")')), words=N_("Whose danger is known"))


def _index(context: Context) -> timeseries.Panel:
    question = (
        f'SELECT max("fwi") FROM {of("fire_danger")} WHERE $timeFilter AND {below()} AND {chosen("station")} '
        'GROUP BY time($__interval), "station" fill(none)'
    )
    words = N_("Fire weather index (FWI) of each day's noon, 60 days; a day is corrected when readings come late")
    panel = lines(context, N_("Fire weather index"), series(question, alias="$tag_station"), unit="none", words=words)
    panel.time_from("60d").interval("1h").span_nulls(span_nulls=True).show_points(common.VisibilityMode.ALWAYS)
    return panel.decimals(1).min(0)


def _map(context: Context) -> geomap.Panel:
    fields = ("name", "fwi", "latitude", "longitude")
    columns = ", ".join(f'"{name}"' for name in (*fields, "station", "site"))
    question = _latest(f'"danger" + {_LEVEL} AS "danger", {columns}', *fields)
    words = N_("Stations by the level of their latest day, with its word")
    panel = standing(
        context, N_("Map of the danger"), as_table(question), colour="danger", name="name", state="danger", words=words
    )
    panel.mappings(danger_mappings(context, moved=_LEVEL))
    return panel.data_links([site_link(context, of_row("site"))])


def _stations(context: Context) -> table.Panel:
    fields = ("name", "fwi", "ffmc", "dmc", "dc", "isi", "bui", "dsr", "china", "rule")
    columns = ", ".join(f'"{name}"' for name in (*fields, "station", "site") if name != "china")
    moved = f'"danger" + {_LEVEL} AS "danger", "china" + {_RATING} AS "china"'
    headings = {
        "name": N_("Station"), "danger": N_("Danger"), "fwi": N_("FWI"), "ffmc": N_("FFMC"),
        "dmc": N_("DMC"), "dc": N_("DC"), "isi": N_("ISI"), "bui": N_("BUI"), "dsr": N_("DSR"),
        "china": N_("Chinese rating"), "rule": N_("How"), "Time": N_("Day"), "site": N_("Site id"),
    }  # fmt: skip
    panel = rows(
        context,
        N_("Stations and their codes"),
        as_table(_latest(f"{moved}, {columns}", *fields)),
        columns=headings,
        words=N_("The latest day of every station: moisture of litter (FFMC), duff (DMC) and deep layers (DC), spread "
                 "(ISI), what there is to burn (BUI), intensity (FWI), severity (DSR)"),
        no_value=N_("No station's danger is known."),
    )  # fmt: skip
    chinese = [(str(int(level) + _RATING), colour, shown) for level, colour, shown in _CHINESE]
    words = (mappings_of(context, chinese), mappings_of(context, _RULES))
    cells.on_ground(panel, [*danger_mappings(context, moved=_LEVEL), *words[0], *words[1]])
    cells.hide(panel, [context.say(N_("Site id"))])
    return panel.data_links([site_link(context, of_row("site"))])


def _hourly(context: Context) -> timeseries.Panel:
    question = (
        f'SELECT max("hourly_ffmc") FROM {of("fire_danger")} WHERE $timeFilter AND {below()} AND {chosen("station")} '
        'GROUP BY time($__interval), "station" fill(none)'
    )
    words = N_("Estimate of each full hour; above about 85 litter takes fire from a match or a spark")
    title = N_("Moisture of litter by the hour (FFMC)")
    panel = lines(context, title, series(question, alias="$tag_station"), unit="none", words=words)
    return panel.interval("1h").span_nulls(3_600_000 * 6).decimals(1)


def _fires(context: Context) -> table.Panel:
    headings = {
        "Time": N_("Time"), "fire": N_("Fire"), "sure": N_("Confidence, %"), "towers": N_("Towers"),
        "evidence": N_("Evidence"), "stands": N_("Alarm stands"), "judgement": N_("Judged"),
        "radius": N_("Within, m"), "mode": N_("Mode"),
    }  # fmt: skip
    words = N_("What towers found together, at each new piece of evidence, the latest 200")
    nothing = N_("No fire was found.")
    title = N_("Fires found by towers")
    panel = rows(context, title, as_table(_found()), columns=headings, words=words, no_value=nothing)
    cells.on_ground(panel.min(0).max(100).decimals(0), mappings_of(context, _FIRE))
    cells.draw(panel, [context.say(N_("Confidence, %"))], cells.BAR, limits=_CONFIDENCE)
    return panel


def _fire_map(context: Context) -> geomap.Panel:
    words = N_("Where towers think that fires are, with their confidence in per cent above and the fire below")
    panel = standing(
        context, N_("Map of the fires"), as_table(_found()), colour="sure", name="fire", state="sure", words=words
    )
    return panel.mappings(mappings_of(context, _FIRE)).thresholds(steps(*_CONFIDENCE)).decimals(0)


def _found() -> str:
    fields = '"fire", 100 * "confidence" AS "sure", "towers", "evidence", "stands", "judgement", "radius"'
    where = f"WHERE $timeFilter AND {below()} ORDER BY time DESC LIMIT 200"
    return f'SELECT {fields}, "latitude", "longitude", "mode" FROM {of("fire")} {where}'


def _smoke(context: Context) -> statetimeline.Panel:
    words = N_("Contacts of smoke detectors; the last word of each minute. Marks are alarms")
    panel = timeline(context, N_("Smoke detectors"), _asked("last", "smoke"), words=words, every="1m")
    return panel.mappings(mappings_of(context, _SMOKE)).no_value(context.say(N_("No smoke detector has spoken.")))


def _weather(context: Context) -> table.Panel:
    headings = {
        "gateway": N_("Tower's gateway"), "device": N_("Device"), "temperature": N_("Temperature, °C"),
        "humidity": N_("Humidity, %"), "wind_speed": N_("Wind, m/s"), "wind_direction": N_("Wind from"),
        "rain": N_("Rain, mm"), "pressure": N_("Pressure, hPa"), "pm2_5": N_("PM2.5, µg/m³"),
    }  # fmt: skip
    points = [name for name in headings if name not in {"gateway", "device"}]
    inner = ", ".join(f'last("{name}") AS "{name}"' for name in points)
    plain = ", ".join(f'"{name}"' for name in (*points, "gateway", "device") if name != "wind_direction")
    question = (
        f'SELECT {plain}, "wind_direction" + {_WIND} AS "wind_direction" FROM (SELECT {inner} FROM "telemetry" '
        f'WHERE time > now() - {_NOW} AND time <= now() AND {_HERE} GROUP BY "gateway", "device") '
        f"WHERE time > now() - {_NOW} AND time <= now()"
    )
    words = N_("The latest reading of the last hour of every device that measures weather")
    panel = rows(context, N_("Weather now"), as_table(question), columns=headings, words=words)
    way = f"/d/langyan-gateways?var-area=${{area:percentencode}}&var-gateway={of_row('gateway')}"
    to_gateway = cells.link(context.say(N_("Show the gateway")), f"{way}&${{__url_time_range}}")
    return panel.mappings(_winds(context)).data_links([to_gateway])


def _courses(context: Context) -> Iterator[timeseries.Panel]:
    said = (
        ("smoke_density", "max", "ppm", N_("Smoke density"), N_("Highest of each stretch")),
        ("pm2_5", "max", "conμgm3", N_("Fine dust PM2.5"), N_("Above 250 µg/m³ it may be smoke; so may haze")),
        ("temperature", "mean", "celsius", N_("Temperature"), N_("Air, and crowns of trees where they are measured")),
        ("humidity", "mean", "humidity", N_("Relative humidity"), N_("Dry air dries fuel: below 30 % take care")),
        ("wind_speed", "max", "velocityms", N_("Wind speed"), N_("Strongest of each stretch")),
        ("wind_direction", "last", "degree", N_("Wind from"), N_("Where it comes from: 0 north, 90 east")),
        ("rain", "last", "lengthmm", N_("Rain"), N_("As the gauge says it: a counter, or the sum of 24 hours")),
        ("pressure", "mean", "pressurehpa", N_("Air pressure"), N_("Falls before a front and its wind")),
    )
    for point, function, unit, title, words in said:
        panel = lines(context, title, _asked(function, point), unit=unit, words=words).interval("30s")
        if point == "wind_direction":
            # No lines: from 350 to 10 degrees it is not the long way round.
            panel.draw_style(common.GraphDrawStyle.POINTS).min(0).max(360).point_size(4)
        yield panel


def _asked(function: str, point: str) -> Ask:
    question = (
        f'SELECT {function}("{point}") FROM "telemetry" WHERE $timeFilter AND {_HERE} '
        'GROUP BY time($__interval), "gateway", "device" fill(none)'
    )
    return series(question, alias="$tag_gateway · $tag_device")


def _winds(context: Context) -> list[models.ValueMapping]:
    """Write a direction, moved by `_WIND`, as an arrow that goes with the wind and the sector it comes from."""
    mappings: list[models.ValueMapping] = []
    for index, shown in enumerate((*_WINDS, _WINDS[0])):
        result = models.ValueMappingResult(text=context.say(shown), index=index)
        middle = index * _SECTOR_DEG
        options = models.DashboardRangeMapOptions(
            from_val=_WIND + max(0.0, middle - _SECTOR_DEG / 2),
            to=_WIND + min(360.0, middle + _SECTOR_DEG / 2),
            result=result,
        )
        mappings.append(models.RangeMap(options=options))
    return mappings
