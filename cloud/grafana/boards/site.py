"""One site: its alarms, devices and gateways."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import table as table_builders

from cloud.grafana import cells, variables
from cloud.grafana.alarms import latest_events, mark_alarms, open_alarms
from cloud.grafana.board import Board, Context
from cloud.grafana.cells import of_row
from cloud.grafana.influxql import FRESH, Ask, chosen, series, table
from cloud.grafana.look import (
    CRITICAL,
    GOOD,
    HIGH,
    MEDIUM,
    SEVERITIES,
    lines,
    mappings_of,
    number,
    rows,
    severity_mappings,
    steps,
    timeline,
    yes_no,
)
from cloud.grafana.readings import course, live, unit_variable
from cloud.i18n import N_
from contract.ids import GATEWAY_DEVICE

UID = "langyan-site"
_HEIGHT = 4
# Devices say every hour how they stand.
_FRESH_DEVICES = "2h"
_GATEWAY_STEP = "5m"
# Two of these without a word are a gap; what is coarser than that is all gaps.
_GAP_MS = 750_000
# Ids may be numbers, and links take what is shown: no number that stands for a word is one an id can be.
_REACHED = (("-10", GOOD, N_("✓ reached")), ("-11", CRITICAL, N_("✗ lost")))
_WORST = tuple((str(-1 - level), its_colour, shown) for level, _word, its_colour, shown in SEVERITIES)
_CONNECTED = (("-1", GOOD, N_("✓ yes")), ("-2", CRITICAL, N_("✗ no")))


def board(context: Context) -> Board:
    """Build it."""
    site = Board(context, UID, N_("Site"), words=N_("One site: its alarms, devices and gateways"))
    site.variable(variables.area(context), variables.site(context), variables.gateway(context))
    site.variable(variables.device(context), *([unit_variable(context)] if context.profiles else []))
    for panel in _counts(context):
        site.add(panel, width=3, height=_HEIGHT)
    site.add(_whereabouts(context), width=9, height=_HEIGHT)
    here = chosen("site")
    words = N_("The worst first, then the oldest")
    site.add(open_alarms(context, where=here, title=N_("Open alarms"), words=words), width=24, height=8)
    site.row(N_("Devices"))
    site.add(_devices(context), width=10, height=12)
    if context.profiles:
        site.add(live(context, where=_of_devices()), width=14, height=12)
        site.add(course(context, where=_of_devices()), width=24, height=10)
    site.row(N_("Gateways"))
    site.add(_gateways(context), width=12, height=7).add(_connected(context), width=12, height=7)
    site.add(_outbox(context), width=12, height=8).add(_age(context), width=12, height=8)
    site.row(N_("History"))
    site.add(latest_events(context, where=here), width=24, height=9)
    site.link(N_("Alarm wall"), "langyan-alarm-wall").link(N_("Gateways"), "langyan-gateways")
    return mark_alarms(site, where=here)


def _counts(context: Context) -> Iterator[stat.Panel]:
    worst = number(context, N_("Worst open alarm"), series(_latest("worst")), words=N_("Its severity"))
    yield worst.mappings(severity_mappings(context))
    opened = number(context, N_("Open alarms"), series(_latest("open")), words=N_("But for those that are held back"))
    yield opened.thresholds(steps((None, GOOD), (1, HIGH)))
    late = number(
        context, N_("Over target"), series(_latest("over_target")), words=N_("Open for longer than they should")
    )
    yield late.thresholds(steps((None, GOOD), (1, CRITICAL)))
    question = f'SELECT last("gateways") - last("gateways_online") FROM "site_state" WHERE {_present(FRESH)}'
    away = number(context, N_("Gateways away"), series(question), words=N_("Registered or heard, and not connected"))
    yield away.thresholds(steps((None, GOOD), (1, CRITICAL)))
    question = (
        f'SELECT sum("lost") FROM (SELECT last("lost") AS "lost" FROM "device_state" WHERE {_present(_FRESH_DEVICES)} '
        f'GROUP BY "gateway", "device") WHERE time > now() - {_FRESH_DEVICES}'
    )
    lost = number(context, N_("Devices lost"), series(question), words=N_("Not reached by their gateway"))
    yield lost.thresholds(steps((None, GOOD), (1, MEDIUM)))


def _whereabouts(context: Context) -> table_builders.Panel:
    fields = '"name", "area_name", "address", "latitude", "longitude"'
    question = f'SELECT last("open") AS "open", {fields} FROM "site_state" WHERE {_present(FRESH)}'
    columns = {
        "name": N_("Site"), "address": N_("Address"), "area_name": N_("Area"), "latitude": N_("Latitude, °"),
        "longitude": N_("Longitude, °"),
    }  # fmt: skip
    panel = rows(context, N_("Where it is"), table(question), columns=columns, no_value=N_("Nothing is known of it."))
    cells.on_ground(panel, [])
    return panel.decimals(4)


def _devices(context: Context) -> table_builders.Panel:
    fields = '"name", "place", "profile", "lost", "board"'
    question = (
        'SELECT "name", "place", 0 - "worst" - 1 AS "worst", 0 - "lost" - 10 AS "lost", "profile", "gateway", '
        f'"device", "board" FROM (SELECT last("worst") AS "worst", {fields} FROM "device_state" '
        f'WHERE {_present(_FRESH_DEVICES)} AND {chosen("gateway")} AND {chosen("device")} GROUP BY "gateway", "device")'
        f" WHERE time > now() - {_FRESH_DEVICES}"
    )
    columns = {
        "name": N_("Device"), "place": N_("Place"), "worst": N_("Worst open alarm"), "lost": N_("Reached"),
        "profile": N_("Profile"), "gateway": N_("Gateway"), "device": N_("Device id"),
        "board": N_("Dashboard"),
    }  # fmt: skip
    words = N_("A device leads to the dashboard of its kind, where that is known")
    panel = rows(context, N_("Devices"), table(question), columns=columns, words=words, no_value=N_("No devices."))
    cells.on_ground(panel, cells.together(mappings_of(context, _WORST), mappings_of(context, _REACHED)))
    way = (
        f"/d/{of_row('board')}?var-area=${{area:percentencode}}&var-site=${{site:percentencode}}"
        f"&var-gateway={of_row('gateway')}&var-device={of_row('device')}&${{__url_time_range}}"
    )
    cells.hide(panel, [context.say(N_("Dashboard"))])
    panel.data_links([cells.link(context.say(N_("Show its readings")), way)])
    worst_first = (
        common_builders.TableSortByFieldState().display_name(context.say(N_("Worst open alarm"))).desc(desc=False)
    )
    return panel.sort_by([worst_first])


def _gateways(context: Context) -> table_builders.Panel:
    fields = '"name", "reason", "since_s", "version"'
    question = (
        'SELECT "name", "online" - 2 AS "online", "since_s" / 3600 AS "since_h", "reason", "version", "gateway" FROM ('
        f'SELECT last("online") AS "online", {fields} FROM "gateway_state" WHERE {_present(FRESH)} AND '
        f'{chosen("gateway")} GROUP BY "gateway") WHERE time > now() - {FRESH}'
    )
    columns = {
        "name": N_("Gateway"), "online": N_("Connected"), "since_h": N_("For, h"), "reason": N_("Why not"),
        "version": N_("Version"), "gateway": N_("Gateway id"),
    }  # fmt: skip
    panel = rows(context, N_("Gateways"), table(question), columns=columns, no_value=N_("No gateway."))
    cells.on_ground(panel, mappings_of(context, _CONNECTED))
    panel.decimals(1)
    way = "/d/langyan-gateways?var-area=${area:percentencode}&var-site=${site:percentencode}"
    to_gateway = f"{way}&var-gateway={of_row('gateway')}&${{__url_time_range}}"
    return panel.data_links([cells.link(context.say(N_("Show the gateway")), to_gateway)])


def _connected(context: Context) -> statetimeline.Panel:
    question = (
        f'SELECT min("online") FROM "gateway_state" WHERE $timeFilter AND {chosen("site")} AND {chosen("gateway")} '
        'GROUP BY time($__interval), "gateway" fill(none)'
    )
    asked = series(question, alias="$tag_gateway")
    words = N_(
        "Whether a gateway was connected; of five minutes the worst moment. A gap is silence; look at days, not weeks"
    )
    panel = timeline(context, N_("Connected"), asked, words=words, every=_GATEWAY_STEP).insert_nulls(_GAP_MS)
    return panel.mappings(yes_no(context)).thresholds(steps((None, CRITICAL), (1, GOOD)))


def _outbox(context: Context) -> timeseries.Panel:
    words = N_("Readings and alarms that a gateway has and the cloud has not yet")
    fields = 'max("outbox.readings_waiting") AS "readings", max("outbox.alarms_waiting") AS "alarms"'
    panel = lines(context, N_("Waiting in the outbox"), _of_gateways(fields), words=words)
    return panel.interval("1m").min(0)


def _age(context: Context) -> timeseries.Panel:
    words = N_("How long the oldest of them has waited")
    fields = 'max("outbox.oldest_reading_s") AS "readings", max("outbox.oldest_alarm_s") AS "alarms"'
    panel = lines(context, N_("Age of the outbox"), _of_gateways(fields), unit="s", words=words)
    return panel.interval("1m").min(0)


def _of_gateways(fields: str) -> Ask:
    question = (
        f'SELECT {fields} FROM "telemetry" WHERE $timeFilter AND {chosen("gateway")} AND '
        f'"device" = \'{GATEWAY_DEVICE}\' GROUP BY time($__interval), "gateway" fill(none)'
    )
    return series(question, alias="$tag_gateway $col")


def _of_devices() -> str:
    # The tag `site` of readings is what the settings call it, which may not be what the registry does.
    return f"{chosen('gateway')} AND {chosen('device')}"


def _latest(field: str) -> str:
    return f'SELECT last("{field}") FROM "site_state" WHERE {_present(FRESH)}'


def _present(fresh: str) -> str:
    return f"time > now() - {fresh} AND {chosen('site')}"
