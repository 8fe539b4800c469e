"""Alarms as dashboards show them: the table of what is open, what happened, and its marks on every time axis.

What is asked is the present: rows of `alarm_state` that are fresh. An open alarm is written anew every few seconds, and
once more when it is closed.
"""

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import table as table_builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from cloud.grafana import cells
from cloud.grafana.board import Board, Context
from cloud.grafana.cells import of_row
from cloud.grafana.influxql import of, table
from cloud.grafana.look import CRITICAL, GOOD, HIGH, MEDIUM, NORMAL, SEVERITIES, STATES, mappings_of, rows
from cloud.i18n import N_

FRESH_ALARMS = "5m"
"""An open alarm that was not written for so long is not shown: twenty times the beat of `alarm_state`."""

ALARM_PATH = "/alarms/"
"""Of the desk's page of one alarm, before its id."""

SITE_UID = "langyan-site"

STAGES: tuple[tuple[str, str, str], ...] = (
    ("received", CRITICAL, N_("received")),
    ("shown", HIGH, N_("shown")),
    ("dispatched", MEDIUM, N_("somebody sent")),
    ("on-scene", GOOD, N_("somebody there")),
    ("closed", NORMAL, N_("closed")),
)
"""Word, colour, and what people read: how far the response has come. `acknowledged` is a state as well."""

MODES: tuple[tuple[str, str, str], ...] = (
    ("live", NORMAL, N_("live")),
    ("test", MEDIUM, N_("TEST")),
    ("drill", MEDIUM, N_("DRILL")),
)

_STEPS = {
    "raised": N_("raised"),
    "retriggered": N_("triggered again"),
    "cleared": N_("over"),
    "realarmed": N_("sounds again"),
    "acknowledged": N_("acknowledged"),
    "unacknowledged": N_("acknowledgement taken back"),
    "shown": N_("shown"),
    "dispatched": N_("somebody sent"),
    "arrived": N_("somebody there"),
    "closed": N_("closed"),
    "commented": N_("commented"),
    "reset": N_("reset"),
    "shelved": N_("shelved"),
    "unshelved": N_("unshelved"),
    "suppressed": N_("suppressed by design"),
    "unsuppressed": N_("heard again"),
    "out-of-service": N_("taken out of service"),
    "in-service": N_("back in service"),
    "escalated": N_("escalated"),
    "reminded": N_("somebody reminded"),
    "placed": N_("place became known"),
}
_TAGS = ("gateway", "device", "point", "rule", "site")
_FIELDS = (
    "severity", "state", "stage", "site_name", "area_name", "address", "age_s", "target_s", "triggers",
    "mode", "alarm_id", "way_site", "way_device",
)  # fmt: skip
_COLUMNS = {
    "severity": N_("Severity"),
    "state": N_("State"),
    "text": N_("What"),
    "site_name": N_("Site"),
    "address": N_("Address"),
    "area_name": N_("Area"),
    "device": N_("Device"),
    "age_min": N_("Age, min"),
    "target_min": N_("Target, min"),
    "share": N_("Age to target, %"),
    "stage": N_("Stage"),
    "triggers": N_("Triggered"),
    "mode": N_("Mode"),
    "gateway": N_("Gateway"),
    "alarm_id": N_("Alarm"),
    "way_site": N_("Way to the site"),
    "way_device": N_("Way to the device"),
}
# A link takes what is shown: a device called `test` would be shown as that mode is. So ids are in ways of their own.
_FOR_LINKS = ("gateway", "alarm_id", "way_site", "way_device")


def open_alarms(context: Context, *, where: str, title: str, words: str) -> table_builders.Panel:
    """Make the table of open alarms, the worst and oldest first; `where`: a condition on tags of `alarm_state`."""
    nothing = N_("No open alarms.")
    panel = rows(context, title, table(_question(context, where)), columns=_COLUMNS, words=words, no_value=nothing)
    heading = {name: context.say(words) for name, words in _COLUMNS.items()}
    words_of = (_signed_severities(context), *(mappings_of(context, some) for some in (STATES, STAGES, MODES)))
    cells.on_ground(panel, cells.together(*words_of))
    panel.data_links(_ways(context)).decimals(0).min(0).max(100).min_width(90)
    cells.draw(panel, [heading["stage"], heading["mode"]], cells.COLOURED)
    cells.draw(panel, [heading["share"]], cells.BAR, limits=[(None, GOOD), (70, MEDIUM), (100, CRITICAL)])
    cells.hide(panel, [heading[name] for name in _FOR_LINKS])
    worst = common_builders.TableSortByFieldState().display_name(heading["severity"]).desc(desc=False)
    oldest = common_builders.TableSortByFieldState().display_name(heading["age_min"]).desc(desc=True)
    return panel.sort_by([worst, oldest])


def latest_events(context: Context, *, where: str) -> table_builders.Panel:
    """Make the table of what happened to alarms, the latest first; `where`: on tags of `alarm_event`."""
    shown = f'"what", "level", "{context.text_field}" AS "text", "site_name", "device"'
    question = f"SELECT {shown} FROM {of('alarm_event')} WHERE $timeFilter AND {where} ORDER BY time DESC LIMIT 200"
    columns = {
        "Time": N_("Time"), "level": N_("Severity"), "what": N_("Step"), "text": N_("What"), "site_name": N_("Site"),
        "device": N_("Device"),
    }  # fmt: skip
    words = N_("Every change of an alarm, the latest 200")
    nothing = N_("Nothing happened.")
    panel = rows(context, N_("What happened"), table(question), columns=columns, words=words, no_value=nothing)
    levels = [(word, its_colour, shown) for _number, word, its_colour, shown in SEVERITIES]
    taken = [(word, NORMAL, shown) for word, shown in _STEPS.items()]
    cells.on_ground(panel, cells.together(mappings_of(context, levels), mappings_of(context, taken)))
    cells.draw(panel, [context.say(N_("Step"))], cells.COLOURED)
    return panel


def mark_alarms(board: Board, *, where: str) -> Board:
    """Mark on every time axis when alarms were raised and when they were over; `where`: on tags of `alarm_event`."""
    shown = f'"{board.context.text_field}" AS "text", "level" AS "tags"'
    events = f"FROM {of('alarm_event')} WHERE $timeFilter AND {where} AND \"mode\" = 'live'"
    raised = f"SELECT {shown} {events} AND \"what\" = 'raised' ORDER BY time DESC LIMIT 500"
    over = f"SELECT {shown} {events} AND \"what\" = 'cleared' ORDER BY time DESC LIMIT 500"
    board.annotate(N_("Alarms raised"), raised, colour=CRITICAL)
    return board.annotate(N_("Alarms over"), over, colour=NORMAL)


def site_link(context: Context, site: str) -> Builder[models.DashboardLink]:
    """Lead to the dashboard of a site; `site`: what Grafana fills in for its id."""
    return cells.link(context.say(N_("Show the site")), _site_way(f"var-site={site}"))


def _question(context: Context, where: str) -> str:
    tags, fields = (", ".join(f'"{name}"' for name in names) for names in (_TAGS, (*_FIELDS, context.text_field)))
    present = f'FROM "alarm_state" WHERE time > now() - {FRESH_ALARMS} AND {where} GROUP BY {tags}'
    # Below zero no other number of the table is found: the mapping of severities is theirs alone, and sorts by urgency.
    shown = (
        f'0 - "severity" AS "severity", "state", "stage", "{context.text_field}" AS "text", "site_name", "area_name", '
        '"address", "age_s" / 60 AS "age_min", "target_s" / 60 AS "target_min", 100 * "age_s" / "target_s" AS "share", '
        '"triggers", "mode", "alarm_id", "way_site", "way_device", "gateway", "device"'
    )
    fresh = f'time > now() - {FRESH_ALARMS} AND "open" = 1'
    return f'SELECT {shown} FROM (SELECT last("open") AS "open", {fields} {present}) WHERE {fresh}'


def _ways(context: Context) -> list[Builder[models.DashboardLink]]:
    """Give the ways from any cell of an alarm's row: to the desk, to its site, to its device."""
    to_site, to_device = "${__data.fields.way_site:raw}", "${__data.fields.way_device:raw}"
    ways = [
        cells.link(context.say(N_("Show the site")), _site_way(to_site)),
        cells.link(context.say(N_("Show the device")), _site_way(f"{to_site}&{to_device}")),
    ]
    if context.desk_url:
        desk = f"{context.desk_url}{ALARM_PATH}{of_row('alarm_id')}"
        ways.insert(0, cells.link(context.say(N_("Acknowledge at the desk …")), desk, new_tab=True))
    return ways


def _site_way(site: str) -> str:
    return f"/d/{SITE_UID}?var-area=${{area:percentencode}}&{site}&${{__url_time_range}}"


def _signed_severities(context: Context) -> list[models.ValueMapping]:
    return mappings_of(context, [(str(-number), its_colour, shown) for number, _w, its_colour, shown in SEVERITIES[:4]])
