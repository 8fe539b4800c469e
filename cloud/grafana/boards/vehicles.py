"""Vehicles: last position and track."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import geomap, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

from cloud.grafana import cells, variables
from cloud.grafana.alarms import mark_alarms
from cloud.grafana.board import Board, Context
from cloud.grafana.cells import of_row
from cloud.grafana.influxql import DATASOURCE, FRESH, below, chosen, of, series
from cloud.grafana.influxql import table as as_table
from cloud.grafana.look import GOOD, HIGH, LOW, MEDIUM, NORMAL, lines, mappings_of, number, rows, steps, yes_no
from cloud.grafana.maps import standing, track
from cloud.i18n import N_
from cloud.influx.query import quote_ident

UID = "langyan-vehicles"

_STATES: tuple[tuple[str, str, str], ...] = (
    ("moving", GOOD, N_("▲ moving")),
    ("standing", LOW, N_("■ standing")),
    ("silent", NORMAL, N_("? silent")),
)
"""State of `vehicle_state`, also a field of `vehicle`: colour, and what people read."""

# All of them are said anew every five minutes, and a day of all is much to ask.
_KNOWN = "1h"
_TERMINAL = f"WHERE $timeFilter AND {chosen('gateway')} AND {chosen('device')}"
_LATEST = ("name", "state", "speed_kmh", "heading", "heard_s", "latitude", "longitude")


def board(context: Context) -> Board:
    """Build it."""
    vehicles = Board(context, UID, N_("Vehicles"), words=N_("Last position and track of vehicles"))
    vehicles.variable(
        variables.area(context),
        variables.labelled(
            context, "vehicle", N_("Vehicle"), "vehicle_state", "vehicle", where=below(), several=False, since=_KNOWN
        ),
        _terminal("gateway", r"/^([^\/]+)\/.+$/"),
        _terminal("device", r"/^[^\/]+\/(.+)$/"),
    )  # fmt: skip
    vehicles.row(N_("All vehicles of the area"))
    for tile in _counts(context):
        vehicles.add(tile, width=6, height=4)
    vehicles.add(_map(context), width=14, height=14).add(_present(context), width=10, height=14)
    vehicles.add(_course(context), width=24, height=7)
    vehicles.row(N_("The vehicle chosen"))
    vehicles.add(_track(context), width=14, height=14).add(_reports(context), width=10, height=14)
    vehicles.add(_speed(context), width=24, height=7)
    vehicles.link(N_("Alarm wall"), "langyan-alarm-wall")
    return mark_alarms(vehicles, where=f'{below()} AND "device" =~ /^vehicle\\./')


def _counts(context: Context) -> Iterator[stat.Panel]:
    fields = [field for field, _colour, _shown in _STATES]
    inner = ", ".join(f'last("{field}") AS "{field}"' for field in fields)
    counted = (
        f"FROM (SELECT {inner} FROM {of('vehicle')} WHERE time > now() - {FRESH} AND {below()} "
        f'GROUP BY "area", "path") WHERE time > now() - {FRESH}'
    )  # fmt: skip
    words = N_("Heard within the time after which a vehicle is silent")
    for field, colour, shown in _STATES:
        panel = number(context, shown, series(f'SELECT sum("{field}") {counted}'), words=words)
        yield panel.thresholds(steps((None, NORMAL), (1, colour)))
    share = 'SELECT sum("silent") / (sum("moving") + sum("standing") + sum("silent")) AS "share" '
    panel = number(context, N_("Share that is silent"), series(share + counted), unit="percentunit",
                   words=N_("Parked with its terminal off, or a fault"))  # fmt: skip
    yield panel.decimals(0).no_value("–").thresholds(steps((None, NORMAL), (0.3, MEDIUM), (0.6, HIGH)))


def _question(*columns: str) -> str:
    shown = ", ".join(f'"{name}"' for name in columns)
    # Each field more is one more to be looked up in thousands of series.
    first, *others = columns
    inner = "".join(f', "{name}"' for name in others)
    return (
        f'SELECT {shown}, "vehicle" FROM (SELECT last("{first}") AS "{first}"{inner} FROM {of("vehicle_state")} '
        f'WHERE time > now() - {FRESH} AND {below()} GROUP BY "vehicle") WHERE time > now() - {FRESH}'
    )


def _map(context: Context) -> geomap.Panel:
    words = N_("Where each vehicle was last heard; the sign points where it goes. Point at one to show its track")
    panel = standing(
        context, N_("Map of the vehicles"), as_table(_question(*_LATEST)), colour="state", name="name", state="state",
        words=words, heading="heading",
    )  # fmt: skip
    return panel.mappings(mappings_of(context, _STATES)).decimals(0).data_links([_to_track(context)])


def _present(context: Context) -> table.Panel:
    headings = {
        "name": N_("Vehicle"), "state": N_("State"), "speed_kmh": N_("Speed, km/h"), "heard_s": N_("Heard ago, s"),
        "vehicle": N_("Id"),
    }  # fmt: skip
    question = _question("name", "state", "speed_kmh", "heard_s")
    words = N_("Click a vehicle to show its track below")
    nothing = N_("No vehicle is registered here.")
    panel = rows(context, N_("Vehicles"), as_table(question), columns=headings, words=words, no_value=nothing)
    cells.on_ground(panel.decimals(0), mappings_of(context, _STATES))
    return panel.data_links([_to_track(context)])


def _course(context: Context) -> timeseries.Panel:
    fields = [field for field, _colour, _shown in _STATES]
    inner = ", ".join(f'last("{field}") AS "{field}"' for field in fields)
    outer = ", ".join(f'sum("{field}") AS {quote_ident(context.say(shown))}' for field, _colour, shown in _STATES)
    question = (
        f"SELECT {outer} FROM (SELECT {inner} FROM {of('vehicle')} WHERE $timeFilter AND {below()} "
        'GROUP BY time($__interval), "area", "path" fill(none)) WHERE $timeFilter GROUP BY time($__interval) fill(none)'
    )
    words = N_("How many moved, stood and were silent")
    panel = lines(context, N_("Vehicles over time"), series(question, alias="$col"), words=words)
    panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL)).fill_opacity(40)
    panel.interval("2m").min(0).decimals(0)
    for _field, colour, heading in _STATES:
        cells.colour(panel, context.say(heading), colour)
    return panel


def _track(context: Context) -> geomap.Panel:
    question = (
        'SELECT last("latitude") AS "latitude", "longitude", "vehicle_speed", "course" '
        f"FROM {of('telemetry')} {_TERMINAL} GROUP BY time($__interval) fill(none)"
    )
    words = N_("Its way in the time chosen, by the reports of its terminal, late ones among them; coloured by its "
               "speed. Over a long time some are left out: all of them are at the desk")  # fmt: skip
    panel = track(context, N_("Track"), as_table(question), colour="vehicle_speed", words=words)
    panel.interval("10s").max_data_points(2_000).decimals(0)
    return panel.thresholds(steps((None, NORMAL), (8, LOW), (60, MEDIUM), (90, HIGH)))


def _reports(context: Context) -> table.Panel:
    headings = {
        "Time": N_("Time"), "vehicle_speed": N_("Speed, km/h"), "course": N_("Heading, °"), "fix": N_("Fix"),
        "acc": N_("Ignition"),
    }  # fmt: skip
    columns = ", ".join(f'"{name}"' for name in headings if name != "Time")
    # Only reports with a place are rows.
    question = (
        f'SELECT {columns} FROM {of("telemetry")} {_TERMINAL} AND "latitude" >= -90 ORDER BY time DESC LIMIT 500'
    )  # fmt: skip
    words = N_("The latest 500 reports of its terminal in the time chosen")
    panel = rows(context, N_("Where it was"), as_table(question), columns=headings, words=words)
    return panel.mappings(yes_no(context, yes=NORMAL, no=MEDIUM, numbers=False)).decimals(0)


def _speed(context: Context) -> timeseries.Panel:
    question = (
        f'SELECT max("vehicle_speed") FROM {of("telemetry")} {_TERMINAL} GROUP BY time($__interval) fill(none)'
    )  # fmt: skip
    panel = lines(
        context, N_("Speed"), series(question, alias=context.say(N_("Speed"))), unit="velocitykmh",
        words=N_("Fastest of each stretch"),
    )  # fmt: skip
    return panel.interval("10s").min(0).span_nulls(300_000)


def _terminal(name: str, pattern: str) -> builders.QueryVariable:
    """Know the terminal of the vehicle chosen, without showing it."""
    question = f'SELECT last("terminal") FROM "vehicle_state" WHERE time > now() - {_KNOWN} AND {chosen("vehicle")}'
    variable = builders.QueryVariable(name).datasource(DATASOURCE).query(question).definition(question)
    variable.regex(pattern).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    return variable.hide(models.VariableHide.HIDE_VARIABLE)


def _to_track(context: Context) -> Builder[models.DashboardLink]:
    way = f"/d/{UID}?var-area=${{area:percentencode}}&var-vehicle={of_row('vehicle')}&${{__url_time_range}}"
    return cells.link(context.say(N_("Show its track")), way)
