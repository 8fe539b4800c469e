"""Gateways: last seen, outbox, bus quality by unit, clock, version, reconnects; all at a glance, and one in detail.

What is asked of all gateways is a number or a row a gateway; lines over time are of one, as hundreds of them say
nothing and cost much.
"""

from grafana_foundation_sdk.builders import bargauge, geomap, stat
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import table as table_builders
from grafana_foundation_sdk.models import dashboard as models

from cloud.grafana import cells, variables
from cloud.grafana.alarms import site_link
from cloud.grafana.board import Board, Context
from cloud.grafana.boards import gateway_detail
from cloud.grafana.cells import of_row
from cloud.grafana.influxql import DATASOURCE, FRESH, below, chosen, of, series, table
from cloud.grafana.look import (
    CRITICAL,
    GOOD,
    HIGH,
    MEDIUM,
    NORMAL,
    bars,
    lines,
    mappings_of,
    number,
    rows,
    steps,
    yes_no,
)
from cloud.grafana.maps import standing
from cloud.i18n import N_
from contract.ids import GATEWAY_DEVICE

UID = "langyan-gateways"

ONLINE = (("1", GOOD, N_("✓ connected")), ("0", CRITICAL, N_("✗ away")))
"""Value, colour, and what people read."""
_SIGNED = (("-1", GOOD, ONLINE[0][2]), ("-2", CRITICAL, ONLINE[1][2]))

_HEARD = "1h"
"""A gateway that says nothing of itself for so long has no row of its health; `health_s` is 10 s unless set."""
_TOP = 10
_OWN = f"\"device\" = '{GATEWAY_DEVICE}'"
_PLACE = f"{below()} AND {chosen('site')} AND {chosen('gateway')}"


def board(context: Context) -> Board:
    """Build it."""
    made = Board(context, UID, N_("Gateways"), words=N_("Last seen, outbox, buses, clock and version of every gateway"))
    made.variable(variables.area(context), variables.site(context, several=True), variables.gateway(context))
    made.variable(
        variables.labelled(
            context, gateway_detail.VARIABLE, N_("In detail"), "gateway_state", "gateway", where=_PLACE, several=False
        )
    )
    made.link(N_("Alarm wall"), "langyan-alarm-wall").link(N_("Ingest"), "langyan-ingest", keep_variables=False)
    made.row(N_("Now"))
    for panel in _numbers(context):
        made.add(panel, width=4, height=4)
    connected = (
        f'SELECT sum("online") FROM (SELECT last("online") AS "online" FROM {of("gateway_state")} WHERE $timeFilter '
        f'AND {_PLACE} GROUP BY time($__interval), "gateway" fill(none)) '
        "WHERE $timeFilter GROUP BY time($__interval) fill(none)"
    )
    drawn = lines(context, N_("Connected"), series(connected, alias=context.say(N_("connected"))))
    made.add(drawn.interval("5m").min(0).decimals(0), width=4, height=4)
    made.row(N_("All gateways"))
    made.add(_standing(context), width=14, height=10)
    made.add(_map(context), width=10, height=10)
    made.add(_health(context), width=24, height=10)
    for top in _tops(context):
        made.add(top, width=8, height=8)
    made.add(_versions(context), width=8, height=8)
    made.add(_buses(context), width=24, height=8)
    return gateway_detail.add(made, context)


def _states(select: str) -> str:
    """Ask how the chosen gateways stand; `select` is taken of `online`, a row a gateway."""
    latest = f'SELECT last("online") AS "online" FROM {of("gateway_state")} WHERE time > now() - {FRESH} AND {_PLACE}'
    return f'SELECT {select} FROM ({latest} GROUP BY "gateway") WHERE time > now() - {FRESH}'


def _said(fields: str, *, of_whom: str = _OWN, group: str = '"gateway"') -> str:
    """Ask what the chosen gateways said last of themselves, or of their buses."""
    # Readings may lie in the future, of a gateway whose clock was ahead: the last of them is not the latest.
    where = f"time > now() - {_HEARD} AND time <= now() AND {of_whom} AND {chosen('gateway')}"
    return f"SELECT {fields} FROM {of('telemetry')} WHERE {where} GROUP BY {group}"


def _said_of_buses(fields: str) -> str:
    return _said(fields, of_whom=gateway_detail.BUSES, group='"gateway", "device"')


def _over(question: str, taken: str) -> str:
    """Take one number of `n`, a row a gateway or bus."""
    return f'SELECT {taken}("n") AS "n" FROM ({question}) WHERE time > now() - {_HEARD}'


def _numbers(context: Context) -> list[stat.Panel]:
    registered = number(
        context, N_("Gateways"), series(_states('count("online")')), words=N_("Registered or heard, as chosen above")
    )
    away = number(
        context, N_("Away"), series(_states('count("online") - sum("online")')),
        words=N_("Gateways that are not connected to the broker"),
    )  # fmt: skip
    oldest = number(
        context, N_("Oldest reading"),
        series(_over(_said('last("outbox.oldest_reading_s") AS "n"'), "max")),
        unit="s", words=N_("The longest that a reading waits in any outbox"),
    )  # fmt: skip
    waiting = number(
        context, N_("Alarms waiting"),
        series(_over(_said('last("outbox.alarms_waiting") AS "n"'), "sum")),
        words=N_("Alarms in outboxes that have no receipt yet"),
    )  # fmt: skip
    mute = number(
        context, N_("Mute units"),
        series(_over(_said_of_buses('last("mute_units") AS "n"'), "sum")),
        words=N_("Devices on buses that do not answer now"),
    )  # fmt: skip
    limits = ((None, GOOD), (gateway_detail.OLD_S, MEDIUM), (gateway_detail.VERY_OLD_S, CRITICAL))
    return [
        registered,
        away.thresholds(steps((None, GOOD), (1, CRITICAL))),
        oldest.thresholds(steps(*limits)),
        waiting.decimals(0).thresholds(steps((None, GOOD), (1, CRITICAL))),
        mute.decimals(0).thresholds(steps((None, GOOD), (1, HIGH))),
    ]


def _standing(context: Context) -> table_builders.Panel:
    """How each stands, as the desk knows it."""
    latest = (
        f'SELECT last("online") AS "online", "name", "reason", "since_s", "version", "devices" '
        f'FROM {of("gateway_state")} WHERE time > now() - {FRESH} AND {_PLACE} GROUP BY "gateway", "site"'
    )
    # Below zero no other number of the table is found: the mapping is theirs alone, and who is away comes first.
    question = (
        'SELECT "online" - 2 AS "online", "name", "gateway", "site", "since_s" / 3600 AS "since_h", "reason", '
        f'"version", "devices" FROM ({latest}) WHERE time > now() - {FRESH}'
    )
    headings = {
        "online": N_("Connected"), "name": N_("Name"), "gateway": N_("Gateway"), "site": N_("Site"),
        "since_h": N_("For, h"), "reason": N_("Reason"), "version": N_("Version"), "devices": N_("Devices"),
    }  # fmt: skip
    panel = rows(
        context, N_("How they stand"), table(question), columns=headings, no_value=N_("No gateway is known here."),
        words=N_("Connected or away, since when and why; a click shows one in detail"),
    )  # fmt: skip
    detail = f"/d/{UID}?${{area:queryparam}}&${{site:queryparam}}&var-{gateway_detail.VARIABLE}={of_row('gateway')}"
    in_detail = cells.link(context.say(N_("Show it in detail")), f"{detail}&${{__url_time_range}}")
    panel.data_links([in_detail, site_link(context, of_row("site"))]).decimals(1)
    cells.on_ground(panel, mappings_of(context, _SIGNED))
    first = common_builders.TableSortByFieldState().display_name(context.say(N_("Connected"))).desc(desc=False)
    return panel.sort_by([first])


def _map(context: Context) -> geomap.Panel:
    question = (
        f'SELECT "latitude", "longitude", "online", "name", "gateway" FROM (SELECT last("online") AS "online", "name", '
        f'"latitude", "longitude" FROM {of("gateway_state")} WHERE time > now() - {FRESH} AND {_PLACE} '
        f'GROUP BY "gateway") WHERE time > now() - {FRESH}'
    )
    panel = standing(
        context, N_("Where they are"), table(question), colour="online", name="name", state="online",
        words=N_("A sign a gateway; above it whether it is connected"),
    )  # fmt: skip
    return panel.mappings(mappings_of(context, ONLINE)).thresholds(steps((None, CRITICAL), (1, GOOD)))


_HEALTH = {
    "gateway": ("", N_("Gateway")),
    "heard": ('last("received_at") / 1000', N_("Last seen")),
    "waiting": ('last("outbox.readings_waiting")', N_("Readings waiting")),
    "alarms": ('last("outbox.alarms_waiting")', N_("Alarms waiting")),
    "oldest": ('last("outbox.oldest_reading_s")', N_("Oldest reading, s")),
    "evicted": ('last("outbox.readings_evicted")', N_("Readings given up")),
    "connects": ('last("uplink.connects")', N_("Connections")),
    "again": ('last("uplink.sent_again")', N_("Sent again")),
    "trusted": ('last("clock.is_trusted")', N_("Time trusted")),
    "offset": ('last("clock.offset_ms")', N_("Clock off by, ms")),
    "cpu": ('last("machine.cpu_celsius")', N_("Processor, °C")),
    "disk": ('100 * last("machine.disk_free_bytes") / last("machine.disk_bytes")', N_("Disk free, %")),
}
"""Column, what it is asked by, and its heading."""


def _health(context: Context) -> table_builders.Panel:
    """What each said last of itself."""
    fields = ", ".join(f'{asked} AS "{name}"' for name, (asked, _heading) in _HEALTH.items() if asked)
    headings = {name: heading for name, (_asked, heading) in _HEALTH.items()}
    panel = rows(
        context, N_("What they say of themselves"), table(_said(fields)), columns=headings,
        no_value=N_("No gateway has said anything of itself within an hour."),
        words=N_("Outbox, uplink, clock and computer, as told within the last hour; counts are since each began"),
    )  # fmt: skip
    as_time = {"conversions": [{"targetField": context.say(headings["heard"]), "destinationType": "time"}]}
    panel.with_transformation(models.DataTransformerConfig(id_val="convertFieldType", options=as_time))
    panel.mappings(yes_no(context, numbers=False)).decimals(0).thresholds(steps((None, NORMAL)))
    limits: dict[str, cells.Limits] = {
        "alarms": [(None, NORMAL), (1, CRITICAL)],
        "oldest": [(None, NORMAL), (gateway_detail.OLD_S, MEDIUM), (gateway_detail.VERY_OLD_S, CRITICAL)],
        "evicted": [(None, NORMAL), (1, HIGH)],
        "offset": [(None, CRITICAL), (-1_000, MEDIUM), (-100, NORMAL), (100, MEDIUM), (1_000, CRITICAL)],
        "cpu": [(None, NORMAL), (gateway_detail.HOT_C, MEDIUM), (gateway_detail.VERY_HOT_C, CRITICAL)],
        "disk": [(None, CRITICAL), (10, MEDIUM), (20, NORMAL)],
    }
    for name, some in limits.items():
        cells.draw(panel, [context.say(headings[name])], cells.COLOURED, limits=some)
    cells.draw(panel, [context.say(headings["trusted"])], cells.COLOURED)
    return panel


def _tops(context: Context) -> list[bargauge.Panel]:
    waiting = _said('last("outbox.readings_waiting") AS "n"')
    # A restart of the gateway counts from nought again: what is less than before is left out.
    more = (
        f'SELECT non_negative_difference("uplink.connects") AS "more" FROM {of("telemetry")} WHERE time > now() - 1d '
        f'AND time <= now() AND {_OWN} AND {chosen("gateway")} GROUP BY "gateway"'
    )
    made_anew = f'SELECT sum("more") AS "n" FROM ({more}) WHERE time > now() - 1d GROUP BY "gateway"'
    return [
        _top(context, N_("Most readings waiting"), waiting, words=N_("The ten fullest outboxes")),
        _top(
            context, N_("Most reconnects"), made_anew,
            words=N_("Connections to the broker made anew within a day, restarts of the gateway left out"),
        ),
    ]  # fmt: skip


def _top(context: Context, title: str, question: str, *, words: str) -> bargauge.Panel:
    """Compare the largest by bars; the question gives `n` a gateway."""
    top = f'SELECT top("n", "gateway", {_TOP}) AS "n" FROM ({question}) WHERE time > now() - 1d'
    panel = bars(context, title, table(top), words=words)
    every = common_builders.ReduceDataOptions().values(values=True).fields("/^n$/").limit(_TOP).calcs([])
    return panel.reduce_options(every)


def _versions(context: Context) -> table_builders.Panel:
    """How many gateways run which version."""
    latest = (
        f'SELECT last("online") AS "online", "version" FROM {of("gateway_state")} '
        f'WHERE time > now() - {FRESH} AND {_PLACE} GROUP BY "gateway"'
    )
    version, gateway = context.say(N_("Version")), context.say(N_("Gateways"))
    shown = f'SELECT "version" AS "{version}", "gateway" AS "{gateway}"'
    question = table(f"{shown} FROM ({latest}) WHERE time > now() - {FRESH}")
    panel = table_builders.Panel().title(context.say(N_("Versions"))).with_target(question).datasource(DATASOURCE)
    panel.description(context.say(N_("Gateways by the version of their software")))
    grouped = {
        version: {"aggregations": [], "operation": "groupby"},
        gateway: {"aggregations": ["count"], "operation": "aggregate"},
    }
    return panel.with_transformation(models.DataTransformerConfig(id_val="groupBy", options={"fields": grouped}))


_COUNTERS = {
    "is_up": N_("Port open"), "mute_units": N_("Mute units"), "polls": N_("Asked"), "answers": N_("Answered"),
    "timeouts": N_("No answer"), "frame_errors": N_("Broken frames"), "refusals": N_("Refused"),
    "bad_values": N_("Bad values"), "writes_failed": N_("Writes failed"),
}  # fmt: skip


def _buses(context: Context) -> table_builders.Panel:
    """How each bus of the chosen gateways did since its gateway began."""
    fields = ", ".join(f'last("{name}") AS "{name}"' for name in _COUNTERS)
    headings = {"gateway": N_("Gateway"), "device": N_("Bus"), **_COUNTERS}
    names = ", ".join(f'"{name}"' for name in headings)
    question = f"SELECT {names} FROM ({_said_of_buses(fields)}) WHERE time > now() - {_HEARD}"
    panel = rows(
        context, N_("Buses"), table(question), columns=headings,
        no_value=N_("No bus has been told of within an hour."),
        words=N_("Counted since each gateway began; buses on which devices speak by themselves are not asked"),
    )  # fmt: skip
    panel.mappings(yes_no(context, numbers=False)).decimals(0).thresholds(steps((None, NORMAL)))
    cells.draw(panel, [context.say(headings["is_up"])], cells.COLOURED)
    cells.draw(panel, [context.say(headings["mute_units"])], cells.COLOURED, limits=[(None, NORMAL), (1, HIGH)])
    first = common_builders.TableSortByFieldState().display_name(context.say(N_("Mute units"))).desc(desc=True)
    return panel.sort_by([first])
