"""How `langyan alarms` writes alarms: words, colours, tables, and what the desk refused."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from cloud.areas.tree import Level
from cloud.desk.changes import What
from cloud.desk.life import State
from contract.alarms import Mode, Severity
from langyan.desk_client import DeskError
from langyan.i18n import CHINESE, language
from langyan.i18n import translate as _

STATES = {
    State.NORMAL: _("normal, acknowledged"),
    State.UNACKNOWLEDGED: _("active"),
    State.ACKNOWLEDGED: _("acknowledged"),
    State.RETURNED_UNACKNOWLEDGED: _("returned"),
    State.LATCHED_UNACKNOWLEDGED: _("latched"),
    State.LATCHED_ACKNOWLEDGED: _("latched, acknowledged"),
    State.SHELVED: _("shelved"),
    State.SUPPRESSED_BY_DESIGN: _("suppressed by design"),
    State.OUT_OF_SERVICE: _("out of service"),
}
SEVERITIES = {
    Severity.CRITICAL: _("critical"),
    Severity.HIGH: _("high"),
    Severity.MEDIUM: _("medium"),
    Severity.LOW: _("low"),
}
MODES = {Mode.LIVE: _("live"), Mode.TEST: _("test"), Mode.DRILL: _("drill")}
COLOURS = {"critical": "bold red", "high": "dark_orange", "medium": "yellow", "low": "blue"}
CHANGES = {
    What.RAISED: _("raised"),
    What.RETRIGGERED: _("raised again"),
    What.CLEARED: _("its condition is over"),
    What.REALARMED: _("stands too long, sounds again"),
    What.ACKNOWLEDGED: _("acknowledged"),
    What.UNACKNOWLEDGED: _("acknowledgement taken back"),
    What.SHOWN: _("shown"),
    What.DISPATCHED: _("somebody was sent"),
    What.ARRIVED: _("somebody is there"),
    What.CLOSED: _("closed"),
    What.COMMENTED: _("comment"),
    What.RESET: _("reset"),
    What.SHELVED: _("shelved"),
    What.UNSHELVED: _("no longer shelved"),
    What.SUPPRESSED: _("suppressed"),
    What.UNSUPPRESSED: _("no longer suppressed"),
    What.OUT_OF_SERVICE: _("out of service"),
    What.IN_SERVICE: _("in service again"),
    What.ESCALATED: _("escalated"),
    What.REMINDED: _("reminded"),
    What.PLACED: _("its place is known now"),
}
ACTIONS = {
    "acknowledge": _("acknowledge"),
    "dispatch": _("dispatch"),
    "arrive": _("arrive"),
    "close": _("close"),
    "comment": _("comment"),
    "reset": _("reset"),
    "shelve": _("shelve"),
    "unshelve": _("unshelve"),
    "show": _("show"),
}

LEVELS = {
    Level.GRID: _("grid"),
    Level.STREET: _("street"),
    Level.TOWN: _("town"),
    Level.COUNTY: _("county"),
    Level.CITY: _("city"),
    Level.PROVINCE: _("province"),
}

_REFUSALS = {
    "not-signed-in": _("The desk does not know this token, or it has expired. Say: langyan alarms login URL"),
    "login-refused": _("Name or password is wrong."),
    "not-allowed": _("Your role or your token does not allow this."),
    "not-found": _("There is no such alarm in your area."),
    "ambiguous": _("More than one alarm begins so; give more characters:"),
    "already-acknowledged": _("Somebody else was first."),
    "state-refuses": _("The alarm does not allow this now."),
    "already-closed": _("The alarm is closed."),
    "database-away": _("The desk's database does not answer now. Nothing was done."),
}


def alarm_table(alarms: Sequence[Mapping[str, Any]]) -> Table:
    """Draw alarms as a table: severity in words and colour, times in UTC."""
    table = Table()
    headings = _("alarm"), _("severity"), _("state"), _("mode"), _("pressed (UTC)"), _("where"), _("what"), _("times")
    for heading in headings:
        table.add_column(heading)
    for alarm in alarms:
        table.add_row(
            alarm["alarm_id"][:8],
            Text(SEVERITIES[Severity(alarm["severity"])], style=COLOURS[alarm["severity"]]),
            state_of(alarm),
            MODES[Mode(alarm["mode"])],
            moment(alarm["last_raised_at_us"]),
            place_of(alarm),
            text_of(alarm),
            str(alarm["triggers"]),
            style="" if alarm["mode"] == Mode.LIVE.value else "dim",
        )
    return table


def change_line(change: Mapping[str, Any]) -> str:
    """Write one change: when, what, who, from where, why."""
    words = [moment(change["at_us"]), CHANGES[What(change["what"])], change["by"], f"({change['origin']})"]
    if change["why"]:
        words.append(f"- {change['why']}")
    return "  ".join(words)


def escalation_line(escalation: Mapping[str, Any]) -> str:
    """Write how far an escalation has come: what is due when, or why nothing is."""
    steps = _("escalation: {taken} of {steps} steps taken").format(taken=escalation["taken"], steps=escalation["steps"])
    if escalation["next_at_us"] is None:
        rest = _("at rest: {why}").format(why=escalation["idle_why"] or "-")
        return f"{steps}; {rest}"
    due = _("goes on at {moment} UTC").format(moment=moment(escalation["next_at_us"]))
    if escalation["next_area"] is None:
        return f"{steps}; {due}"
    level = LEVELS[Level(escalation["next_level"])] if escalation["next_level"] else ""
    area = f"{level} {escalation['next_area']}".strip()
    told = _("next to be told: {area}").format(area=area)
    return f"{steps}; {due}; {told}"


def live_line(change: Mapping[str, Any], alarm: Mapping[str, Any]) -> Text:
    """Write one change of the live stream in one line, in the colour of its alarm."""
    urgency = SEVERITIES[Severity(alarm["severity"])]
    mode = "" if alarm["mode"] == Mode.LIVE.value else f" [{MODES[Mode(alarm['mode'])]}]"
    what = f"{moment(change['at_us'])} {alarm['alarm_id'][:8]} {urgency}{mode} {CHANGES[What(change['what'])]}"
    line = Text(f"{what}: {text_of(alarm)}, {place_of(alarm)}, {change['by']}")
    if change["why"]:
        line.append(f" - {change['why']}")
    line.stylize(COLOURS[alarm["severity"]] if change["what"] in (What.RAISED, What.RETRIGGERED) else "")
    return line


def state_of(alarm: Mapping[str, Any]) -> str:
    """Name the state, and that a person has closed it."""
    return STATES[State(alarm["state"])] if alarm["is_open"] else _("closed")


def text_of(alarm: Mapping[str, Any]) -> str:
    """What it says, in this terminal's language where it has it."""
    tongue = "zh" if language() == CHINESE else "en"
    found = alarm["text"].get(tongue) or alarm["text"].get("en") or alarm["kind"]
    return str(found)


def place_of(alarm: Mapping[str, Any]) -> str:
    """Where it is: the site where the registry knows it, and the device."""
    return f"{alarm['site'] or alarm['gateway']} {alarm['device']}"


def moment(at_us: int) -> str:
    """Write a moment in UTC, to the second."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: int) -> str:
    """Write a span of time: 1:02:03."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def complaint(error: DeskError) -> list[str]:
    """Say what the desk refused, in sentences of this terminal's language, and what is allowed instead."""
    problem = error.problem
    lines = [_REFUSALS.get(error.code, str(error))]
    if problem.get("by") and problem.get("at_us"):
        text = _("{by} was first, at {moment} UTC")
        lines.append(text.format(by=problem["by"], moment=moment(problem["at_us"])))
    if problem.get("state"):
        state = STATES.get(problem["state"], problem["state"])
        if problem.get("stage") == "closed":
            state = _("closed")
        allowed = ", ".join(ACTIONS.get(one, one) for one in problem.get("allowed") or [])
        lines.append(_("It is: {state}. Allowed now: {allowed}").format(state=state, allowed=allowed or "-"))
    lines += [f"  {one}" for one in problem.get("candidates") or []]
    if problem.get("retry_after_s"):
        lines.append(_("Again in {seconds} s.").format(seconds=problem["retry_after_s"]))
    return lines
