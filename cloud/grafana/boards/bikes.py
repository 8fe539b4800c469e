"""E-bike stations: tags present, moves, low batteries."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import bargauge, geomap, stat, table, timeseries
from grafana_foundation_sdk.models import common

from cloud.grafana import cells, variables
from cloud.grafana.alarms import mark_alarms, site_link
from cloud.grafana.board import Board, Context
from cloud.grafana.cells import of_row
from cloud.grafana.influxql import FRESH, below, chosen, of, series
from cloud.grafana.influxql import table as as_table
from cloud.grafana.look import CRITICAL, HIGH, MEDIUM, NORMAL, bars, lines, number, rows, steps
from cloud.grafana.maps import standing
from cloud.i18n import N_
from cloud.influx.query import quote_ident

UID = "langyan-bikes"

_HERE = f"{below()} AND {chosen('gateway')}"
_KINDS = "theft|tag-cloned|tag-silent|low-battery|stolen"
# The count of all bikes is kept for years, and written as often as that of a station.
_CITY = "1h"
_LOW = ((None, NORMAL), (1.0, MEDIUM), (10.0, HIGH))
_STATION = ("name", "present", "moves", "low", "latitude", "longitude")

_HERE_COUNTS: tuple[tuple[str, str, str, str | None], ...] = (
    ("present", N_("Tags present"), N_("At the stations chosen"), None),
    ("moves", N_("Moves today"), N_("Tags that came from another station since midnight"), None),
    ("low", N_("Low batteries here"), N_("Of the tags present"), MEDIUM),
)
"""Field of `bike_station`, heading, what it is, and the colour from one on."""

_CITY_COUNTS: tuple[tuple[str, str, str, str | None], ...] = (
    ("registered", N_("Bikes registered"), N_("In the whole city, whatever is chosen"), None),
    ("armed", N_("Bikes armed"), N_("Whose movement is an alarm; in the whole city"), None),
    ("stolen", N_("▲ Bikes stolen"), N_("Reported and not found; in the whole city"), CRITICAL),
    ("cases", N_("◆ Cases open"), N_("Thefts somebody looks after; in the whole city"), HIGH),
    ("silent", N_("● Tags silent"), N_("Not heard for long; in the whole city"), MEDIUM),
    ("low", N_("● Low batteries"), N_("Tags; in the whole city"), MEDIUM),
)
"""The same of `bike_watch`."""


def board(context: Context) -> Board:
    """Build it."""
    bikes = Board(context, UID, N_("E-bike stations"), words=N_("Tags present, moves, low batteries"))
    bikes.variable(
        variables.area(context),
        variables.labelled(context, "gateway", N_("Station"), "bike_station", "gateway", where=below()),
    )
    bikes.row(N_("Stations chosen"))
    for tile in _here(context):
        bikes.add(tile, width=6, height=4)
    bikes.add(_map(context), width=12, height=12).add(_stations(context), width=12, height=12)
    bikes.add(_present(context), width=12, height=8).add(_moves(context), width=12, height=8)
    bikes.add(_batteries(context), width=24, height=8)
    bikes.row(N_("Whole city"))
    for tile in _city(context):
        bikes.add(tile, width=4, height=4)
    for course in _courses(context):
        bikes.add(course, width=12, height=8)
    bikes.link(N_("Alarm wall"), "langyan-alarm-wall").link(N_("Gateways"), "langyan-gateways")
    return mark_alarms(bikes, where=f'{below()} AND "kind" =~ /^({_KINDS})$/ AND "device" !~ /^vehicle\\./')


def _latest(outer: str, *fields: str) -> str:
    """Ask how each station chosen stands."""
    first, *others = fields
    also = "".join(f', "{name}"' for name in others)
    return (
        f'SELECT {outer} FROM (SELECT last("{first}") AS "{first}"{also} FROM {of("bike_station")} '
        f'WHERE time > now() - {FRESH} AND {_HERE} GROUP BY "gateway", "station", "site") WHERE time > now() - {FRESH}'
    )


def _tile(context: Context, question: str, title: str, words: str, colour: str | None) -> stat.Panel:
    panel = number(context, title, series(question), words=words)
    return panel if colour is None else panel.thresholds(steps((None, NORMAL), (1, colour)))


def _here(context: Context) -> Iterator[stat.Panel]:
    yield number(
        context,
        N_("Stations"),
        series(_latest('count("present")', "present")),
        words=N_("That have said how they stand"),
    )
    for field, title, words, colour in _HERE_COUNTS:
        yield _tile(context, _latest(f'sum("{field}")', field), title, words, colour)


def _city(context: Context) -> Iterator[stat.Panel]:
    for field, title, words, colour in _CITY_COUNTS:
        question = f'SELECT last("{field}") FROM {of("bike_watch")} WHERE time > now() - {_CITY}'
        yield _tile(context, question, title, words, colour)


def _map(context: Context) -> geomap.Panel:
    columns = ", ".join(f'"{name}"' for name in (*_STATION, "gateway", "station", "site"))
    words = N_("Stations by how many tags with a low battery are there: that number above, the name below")
    question = as_table(_latest(columns, *_STATION))
    title = N_("Map of the stations, with low batteries")
    panel = standing(context, title, question, colour="low", name="name", state="low", words=words)
    panel.thresholds(steps(*_LOW))
    return panel.data_links([site_link(context, of_row("site"))])


def _stations(context: Context) -> table.Panel:
    headings = {
        "name": N_("Name"), "present": N_("Present"), "moves": N_("Moves today"), "low": N_("Low batteries"),
        "station": N_("Device"), "gateway": N_("Gateway"), "site": N_("Site id"),
    }  # fmt: skip
    columns = ", ".join(f'"{name}"' for name in headings)
    question = _latest(columns, "name", "present", "moves", "low")
    words = N_("How each station stands; click a heading to sort")
    nothing = N_("No station has said anything for ten minutes.")
    panel = rows(context, N_("Every station"), as_table(question), columns=headings, words=words, no_value=nothing)
    cells.draw(panel, [context.say(N_("Low batteries"))], cells.COLOURED, limits=_LOW)
    cells.hide(panel, [context.say(N_("Site id"))])
    return panel.data_links([site_link(context, of_row("site"))])


def _present(context: Context) -> timeseries.Panel:
    question = (
        f'SELECT mean("present") FROM {of("bike_station")} WHERE $timeFilter AND {_HERE} '
        'GROUP BY time($__interval), "gateway", "station" fill(none)'
    )
    words = N_("By station; choose a few above to tell them apart")
    panel = lines(
        context, N_("Tags present over time"), series(question, alias="$tag_gateway · $tag_station"), words=words
    )
    return panel.interval("5m").min(0).decimals(0)


def _moves(context: Context) -> timeseries.Panel:
    question = (
        f'SELECT max("moves") FROM {of("bike_station")} WHERE $timeFilter AND {_HERE} '
        'GROUP BY time($__interval), "gateway", "station" fill(none)'
    )
    words = N_("Tags that came from another station; counted from midnight on")
    panel = lines(context, N_("Moves of the day"), series(question, alias="$tag_gateway · $tag_station"), words=words)
    return panel.interval("5m").min(0).line_interpolation(common.LineInterpolation.STEP_AFTER)


def _batteries(context: Context) -> bargauge.Panel:
    question = (
        f'SELECT last("low") FROM {of("bike_station")} WHERE time > now() - {FRESH} AND {_HERE} '
        'GROUP BY "gateway", "station"'
    )
    panel = bars(
        context, N_("Low batteries by station"), series(question, alias="$tag_gateway · $tag_station"),
        words=N_("Where somebody should go with new batteries"),
    )  # fmt: skip
    return panel.thresholds(steps(*_LOW))


def _courses(context: Context) -> Iterator[timeseries.Panel]:
    titles = {field: context.say(title) for field, title, _words, _colour in _CITY_COUNTS}
    words = N_("In the whole city")
    for heading, fields in (
        (N_("Bikes over time"), ("registered", "armed")),
        (N_("What is wrong over time"), ("stolen", "cases", "silent", "low")),
    ):
        shown = ", ".join(f'last("{field}") AS {quote_ident(titles[field])}' for field in fields)
        question = f"SELECT {shown} FROM {of('bike_watch')} WHERE $timeFilter GROUP BY time($__interval) fill(none)"
        panel = lines(context, heading, series(question, alias="$col"), words=words)
        yield panel.interval("5m").min(0).decimals(0)
