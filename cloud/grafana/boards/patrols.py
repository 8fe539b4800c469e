"""Patrols: tours on time, late, missed."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common

from cloud.grafana import cells, variables
from cloud.grafana.alarms import mark_alarms
from cloud.grafana.board import REFRESH_SLOW, Board, Context
from cloud.grafana.influxql import below, chosen, of, series
from cloud.grafana.influxql import table as as_table
from cloud.grafana.look import (
    CRITICAL,
    GOOD,
    HIGH,
    MEDIUM,
    NORMAL,
    lines,
    mappings_of,
    number,
    rows,
    steps,
    timeline,
)
from cloud.i18n import N_
from cloud.influx.query import quote_ident, quote_text

UID = "langyan-patrols"

_FROM = f"FROM {of('patrol')} WHERE $timeFilter AND {below()} AND {chosen('route')}"
_KINDS = "patrol-missed|patrol-late|wand-silent|lone-worker"
_KNOWN = "90d"

_TOURS: tuple[tuple[str, str, str], ...] = (
    ("tours_on_time", GOOD, N_("✓ On time")),
    ("tours_late", MEDIUM, N_("● Late")),
    ("tours_missed", CRITICAL, N_("▲ Missed")),
)
_VISITS: tuple[tuple[str, str, str], ...] = (
    ("on_time", GOOD, N_("✓ On time")),
    ("early", NORMAL, N_("← Early")),
    ("late", MEDIUM, N_("● Late")),
    ("wrong_order", MEDIUM, N_("⇄ Out of order")),
    ("pending", NORMAL, N_("… May still come")),
    ("unheard", HIGH, N_("? Nobody knows")),
    ("missed", CRITICAL, N_("▲ Missed")),
)
"""Field of `patrol`, colour, and what people read."""

# Missed counts two, late one: the number is looked up, not measured.
_DAY = '2 * max("tours_missed") + max("tours_late")'
_DAYS: tuple[tuple[str, str, str], ...] = (
    ("0", GOOD, N_("✓ on time")),
    ("1", MEDIUM, N_("● late")),
    ("2", CRITICAL, N_("▲ missed")),
    ("3", CRITICAL, N_("▲ missed, others late")),
)
# Flags are moved to where no count is, as a panel's mappings are for all its fields.
_IS_MISSED, _IS_LATE = 1_000_000, 2_000_000
_FLAGS: tuple[tuple[str, str, str], ...] = (
    (str(_IS_MISSED), NORMAL, N_("–")),
    (str(_IS_MISSED + 1), CRITICAL, N_("▲ missed")),
    (str(_IS_LATE), NORMAL, N_("–")),
    (str(_IS_LATE + 1), MEDIUM, N_("● late")),
)
_MISSED = ((None, NORMAL), (1.0, CRITICAL))


def board(context: Context) -> Board:
    """Build it."""
    patrols = Board(
        context, UID, N_("Patrols"), words=N_("Tours on time, late and missed"), refresh=REFRESH_SLOW, since="now-30d"
    )
    patrols.variable(
        variables.area(context),
        variables.labelled(context, "route", N_("Route"), "patrol", "route", where=below(), since=_KNOWN),
    )
    patrols.row(N_("Tours"))
    for tile in _counts(context):
        patrols.add(tile, width=4, height=4)
    patrols.add(_days(context, N_("Tours by day"), _TOURS, N_("Tours that are over, by the day they began")),
                width=12, height=9)  # fmt: skip
    patrols.add(_days(context, N_("Visits by day"), _VISITS, N_("What became of every planned visit to a point")),
                width=12, height=9)  # fmt: skip
    patrols.add(_calendar(context), width=24, height=8)
    patrols.row(N_("Routes")).add(_routes(context), width=24, height=8)
    patrols.row(N_("Tours one by one")).add(_tours(context), width=24, height=12)
    patrols.link(N_("Alarm wall"), "langyan-alarm-wall").link(N_("Response"), "langyan-response")
    return mark_alarms(patrols, where=f'{below()} AND "kind" =~ /^({_KINDS})$/')


def _counts(context: Context) -> Iterator[stat.Panel]:
    yield number(context, N_("Tours"), series(f'SELECT sum("tours") {_FROM}'), words=N_("That are over"))
    for field, colour, title in _TOURS:
        panel = number(context, title, series(f'SELECT sum("{field}") {_FROM}'), words=N_("Tours"))
        yield panel.thresholds(steps((None, NORMAL), (1, colour)))
    shares = (
        ("tours_on_time", "tours", N_("Tours on time"), N_("Of all that are over")),
        ("visited", "planned", N_("Points visited"), N_("Of all visits that were planned")),
    )
    for part, whole, title, words in shares:
        question = f'SELECT sum("{part}") / sum("{whole}") AS "share" {_FROM}'
        panel = number(context, title, series(question), unit="percentunit", words=words)
        yield panel.decimals(1).no_value("–").thresholds(steps((None, CRITICAL), (0.9, MEDIUM), (0.98, GOOD)))


def _days(context: Context, title: str, named: tuple[tuple[str, str, str], ...], words: str) -> timeseries.Panel:
    shown = ", ".join(f'sum("{field}") AS {quote_ident(context.say(title))}' for field, _colour, title in named)
    question = f"SELECT {shown} {_FROM} {_by_day(context)}"
    panel = lines(context, title, series(question, alias="$col"), words=words)
    panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(80).min(0).decimals(0).interval("1d")
    panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    for _field, colour, heading in named:
        cells.colour(panel, context.say(heading), colour)
    return panel


def _calendar(context: Context) -> statetimeline.Panel:
    question = f'SELECT {_DAY} AS "worst" {_FROM} {_by_day(context, "route")}'
    words = N_("The worst tour of each day on each route")
    panel = timeline(context, N_("Routes day by day"), series(question, alias="$tag_route"), words=words, every="1d")
    return panel.mappings(mappings_of(context, _DAYS)).merge_values(merge_values=False).per_page(25)


def _routes(context: Context) -> table.Panel:
    headings = {
        "route_name": N_("Route"), "tours": N_("Tours"), "share": N_("On time, %"), "late": N_("Late"),
        "missed": N_("Missed"), "points_missed": N_("Points missed"), "unheard": N_("Points nobody knows of"),
        "unplanned": N_("Visits unplanned"), "route": N_("Id"),
    }  # fmt: skip
    columns = ", ".join(f'"{name}"' for name in headings if name != "share")
    inner = (
        'last("route_name") AS "route_name", sum("tours") AS "tours", sum("tours_on_time") AS "on_time", '
        'sum("tours_late") AS "late", sum("tours_missed") AS "missed", sum("missed") AS "points_missed", '
        'sum("unheard") AS "unheard", sum("unplanned") AS "unplanned"'
    )
    question = f'SELECT {columns}, 100 * "on_time" / "tours" AS "share" FROM (SELECT {inner} {_FROM} GROUP BY "route")'
    question += " WHERE $timeFilter"
    words = N_("What became of the tours of each route in the time chosen")
    nothing = N_("No tour is over in this time.")
    panel = rows(context, N_("Every route"), as_table(question), columns=headings, words=words, no_value=nothing)
    say = context.say
    on_time = ((None, CRITICAL), (90.0, MEDIUM), (98.0, GOOD))
    cells.draw(panel, [say(N_("On time, %"))], cells.BAR, limits=on_time)
    cells.draw(panel, [say(N_("Missed")), say(N_("Points missed"))], cells.COLOURED, limits=_MISSED)
    cells.draw(panel, [say(N_("Late"))], cells.COLOURED, limits=((None, NORMAL), (1.0, MEDIUM)))
    return panel.min(0).max(100).decimals(0)


def _tours(context: Context) -> table.Panel:
    headings = {
        "Time": N_("Began"), "route_name": N_("Route"), "was_missed": N_("Missed"), "was_late": N_("Late"),
        "planned": N_("Points"), "visited": N_("Visited"), "on_time": N_("On time"), "early": N_("Early"),
        "late": N_("Points late"), "wrong_order": N_("Out of order"), "pending": N_("May still come"),
        "unheard": N_("Points nobody knows of"), "missed": N_("Points missed"), "unplanned": N_("Visits unplanned"),
        "plan": N_("Plan"),
    }  # fmt: skip
    columns = ", ".join(f'"{name}"' for name in headings if name not in {"Time", "was_missed", "was_late"})
    moved = f'"tours_missed" + {_IS_MISSED} AS "was_missed", "tours_late" + {_IS_LATE} AS "was_late"'
    question = f"SELECT {moved}, {columns} {_FROM} ORDER BY time DESC LIMIT 500"
    words = N_("The latest 500 tours of the time chosen that are over; what is uploaded later corrects them")
    nothing = N_("No tour is over in this time.")
    panel = rows(context, N_("Every tour"), as_table(question), columns=headings, words=words, no_value=nothing)
    cells.on_ground(panel, mappings_of(context, _FLAGS))
    cells.draw(panel, [context.say(N_("Points missed"))], cells.COLOURED, limits=_MISSED)
    return panel


def _by_day(context: Context, *tags: str) -> str:
    """Group by local days: a night that was walked from 22:00 on belongs to the day on which it began."""
    also = "".join(f', "{tag}"' for tag in tags)
    return f"GROUP BY time(1d){also} fill(none) tz({quote_text(context.timezone)})"
