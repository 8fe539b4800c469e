"""The alarm wall: what is open, where, and for how long."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import geomap, stat, statetimeline, timeseries
from grafana_foundation_sdk.models import common

from cloud.grafana import cells, variables
from cloud.grafana.alarms import latest_events, mark_alarms, open_alarms, site_link
from cloud.grafana.board import REFRESH_WALL, Board, Context
from cloud.grafana.cells import of_row
from cloud.grafana.influxql import FRESH, below, chosen, series, table
from cloud.grafana.look import (
    CRITICAL,
    GOOD,
    HIGH,
    LOW,
    MEDIUM,
    NORMAL,
    SEVERITIES,
    lines,
    mappings_of,
    number,
    places,
    severity_mappings,
    steps,
    timeline,
)
from cloud.i18n import N_

UID = "langyan-alarm-wall"
_HEIGHT = 4
_COUNT_WIDTH = 3
# A site says every five minutes how it stands: in ten there is always a word of it.
_SITE_STEP = "10m"

_COUNTS: tuple[tuple[str, str, str, str], ...] = (
    ("critical", N_("▲ Critical"), CRITICAL, N_("Open alarms that are critical, but for those that are held back")),
    ("high", N_("◆ High"), HIGH, N_("Open alarms of high severity, but for those that are held back")),
    ("medium", N_("● Medium"), MEDIUM, N_("Open alarms of medium severity, but for those that are held back")),
    ("low", N_("○ Low"), LOW, N_("Open alarms of low severity, but for those that are held back")),
    ("unacknowledged", N_("! Not acknowledged"), CRITICAL, N_("Open alarms that nobody has taken")),
    (
        "over_target",
        N_("⧖ Over target"),
        HIGH,
        N_("Open alarms older than the time within which they should be closed"),
    ),
    (
        "suppressed",
        N_("⊘ Held back"),
        NORMAL,
        N_("Open alarms that are shelved, suppressed by design or out of service"),
    ),
)
"""Field of `area_state`, heading with a sign beside the colour, the colour from one on, and what it is."""


def board(context: Context) -> Board:
    """Build it."""
    wall = Board(
        context, UID, N_("Alarm wall"), words=N_("What is open, where, and for how long"), refresh=REFRESH_WALL
    )
    wall.variable(variables.area(context))
    for panel in _counts(context):
        wall.add(panel, width=_COUNT_WIDTH, height=_HEIGHT)
    wall.add(_as_of(context), width=_COUNT_WIDTH, height=_HEIGHT)
    words = N_("The worst first, then the oldest. Age to target is red and above 100 % when it is too late.")
    wall.add(open_alarms(context, where=below(), title=N_("Open alarms"), words=words), width=24, height=11)
    wall.add(_sites_over_time(context), width=13, height=12).add(_map(context), width=11, height=12)
    wall.add(_course(context), width=13, height=9).add(latest_events(context, where=below()), width=11, height=9)
    wall.link(N_("Site"), "langyan-site").link(N_("Response"), "langyan-response")
    wall.link(N_("Gateways"), "langyan-gateways")
    return mark_alarms(wall, where=below())


def _counts(context: Context) -> Iterator[stat.Panel]:
    for field, title, colour, words in _COUNTS:
        panel = number(context, title, series(_latest(f'last("{field}")')), words=words)
        yield panel.thresholds(steps((None, GOOD), (1, colour)) if colour != NORMAL else steps((None, NORMAL)))


def _as_of(context: Context) -> stat.Panel:
    """Tell how old the picture is: a wall that shows nothing must not look like a quiet night."""
    words = N_("When the state of the area was written last; without it for ten minutes this wall shows nothing")
    panel = number(context, N_("As of"), table(_latest('last("open") AS "open"')), words=words, unit="dateTimeFromNow")
    panel.no_value(context.say(N_("✗ nothing is written: look at `langyan cloud trades`")))
    whole = common_builders.ReduceDataOptions().calcs(["lastNotNull"]).fields("/^Time$/").values(values=False)
    return panel.reduce_options(whole).color_mode(common.BigValueColorMode.NONE)


def _sites_over_time(context: Context) -> statetimeline.Panel:
    question = (
        f'SELECT max("worst") FROM "site_state" WHERE $timeFilter AND {below()} AND "worst" > 0 '
        'GROUP BY time($__interval), "site" fill(0)'
    )
    words = N_("Severity of the worst open alarm of every site that had one; of ten minutes the worst moment")
    asked = series(question, alias="$tag_site")
    panel = timeline(context, N_("Sites with alarms"), asked, words=words, every=_SITE_STEP)
    panel.mappings(severity_mappings(context)).thresholds(_severity_steps()).per_page(25)
    panel.no_value(context.say(N_("No site had an alarm.")))
    return panel.data_links([site_link(context, "${__field.labels.site:percentencode}")])


def _map(context: Context) -> geomap.Panel:
    shown = ("name", "level", "open", "address", "latitude", "longitude")
    fields = ", ".join(f'"{name}"' for name in shown)
    question = (
        f'SELECT {fields}, "site" FROM (SELECT last("worst") AS "worst", {fields} FROM "site_state" '
        f'WHERE time > now() - {FRESH} AND {below()} GROUP BY "site")'
    )
    words = N_("Every site by its worst open alarm, with its sign; the ground needs the internet or tiles of yours")
    panel = places(context, N_("Map of the sites"), table(question), colour="level", label="level", words=words)
    levels = [(word, its_colour, shown) for _number, word, its_colour, shown in SEVERITIES[:4]]
    panel.mappings(mappings_of(context, [*levels, ("none", NORMAL, "·")])).thresholds(steps((None, NORMAL)))
    return panel.data_links([site_link(context, of_row("site"))])


def _course(context: Context) -> timeseries.Panel:
    named = [(field, context.say(title), colour) for field, title, colour, _words in _COUNTS[:4]]
    fields = ", ".join(f'max("{field}") AS "{title}"' for field, title, _colour in named)
    where = f"WHERE $timeFilter AND {chosen('area')} GROUP BY time($__interval) fill(none)"
    question = f'SELECT {fields} FROM "area_state" {where}'
    words = N_("How many were open, by severity")
    panel = lines(context, N_("Open alarms over time"), series(question, alias="$col"), words=words)
    panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL)).fill_opacity(40)
    panel.line_interpolation(common.LineInterpolation.STEP_AFTER).span_nulls(span_nulls=True).min(0).decimals(0)
    for _field, title, colour in named:
        cells.colour(panel, title, colour)
    return panel.interval("1m")


def _latest(what: str) -> str:
    return f'SELECT {what} FROM "area_state" WHERE time > now() - {FRESH} AND {chosen("area")}'


def _severity_steps() -> builders.ThresholdsConfig:
    return steps((None, NORMAL), (1, LOW), (2, MEDIUM), (3, HIGH), (4, CRITICAL))
