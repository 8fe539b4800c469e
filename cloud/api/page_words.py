"""The words of the acknowledge page, in the language that a browser asks for."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from cloud.desk.core import Alarm
from cloud.i18n import CHINESE, ENGLISH, N_, translate_to
from contract.alarms import Mode, Severity

_SEVERITIES = {
    Severity.CRITICAL: N_("critical"),
    Severity.HIGH: N_("high"),
    Severity.MEDIUM: N_("medium"),
    Severity.LOW: N_("low"),
}
_MODES = {Mode.TEST: N_("This is a test."), Mode.DRILL: N_("This is a drill.")}
_OUTCOMES = {
    "ask": N_("Acknowledge this alarm: you have taken notice and act."),
    "done": N_("Acknowledged."),
    "acknowledged": N_("Somebody was first: this alarm is acknowledged already."),
    "closed": N_("This alarm is closed already."),
    "silent": N_("This alarm cannot be acknowledged now."),
    "expired": N_("This link has expired. Take a fresh one, or sign in."),
    "refused": N_("This link is not valid."),
    "sign-in": N_("Sign in to look at this alarm and to acknowledge it."),
    "wrong": N_("Name or password is wrong."),
    "throttled": N_("Too many failed logins. Wait, and try again."),
    "must-change": N_("Somebody else has given you this password. Change it first: langyan alarms login."),
    "unknown": N_("There is no such alarm, or it lies outside your area."),
    "powerless": N_("You may look at this alarm; acknowledging it is for others."),
    "again": N_("It was triggered again meanwhile. Look at it, and acknowledge it then."),
    "forged": N_("Nothing was done: the form was too old, or not from this page. Try again."),
}
_SIGNS_IN = {"sign-in", "wrong", "throttled"}
_PRESSED = {"ask", "again"}
_MAX_HEADER_CHARS = 200


class PageWords(Struct, frozen=True):
    """All that the page says.

    Attributes:
        tag: the language, for browsers.
        facts: label and value, in their order.
        button: None where there is nothing to press.
        mode: whether it is a test or a drill; "" for what is real.
        asks: labels of name and password, where they are asked for.
    """

    tag: str
    title: str
    outcome: str
    text: str
    severity: str
    facts: list[tuple[str, str]]
    button: str | None
    mode: str = ""
    asks: tuple[str, str] | None = None


def choose_tag(accepted: str) -> str:
    """Tell which language an Accept-Language header asks for: "zh" or "en", whichever is weighed more."""
    best, found = 0.0, "en"
    for part in accepted[:_MAX_HEADER_CHARS].split(","):
        tag, _, rest = part.strip().partition(";")
        weight = _weight(rest.strip())
        if tag[:2].lower() in ("zh", "en") and weight > best:
            best, found = weight, tag[:2].lower()
    return found


def words_of(
    alarm: Alarm | None,
    outcome: str,
    *,
    tag: str,
    zone: ZoneInfo,
    by: str | None,
    at_us: int | None,
    person: str | None,
) -> PageWords:
    """Write the page's words.

    Args:
        alarm: None where the link leads to none.
        outcome: a key of `_OUTCOMES`.
        tag: "zh" or "en".
        zone: in which times are told.
        by: who acknowledged or closed it.
        at_us: and when.
        person: in whose name the button acts.
    """

    def say(text: str) -> str:
        return translate_to(CHINESE if tag == "zh" else ENGLISH, text)

    title = say(N_("Alarm"))
    if alarm is None:
        asks = (say(N_("Name")), say(N_("Password"))) if outcome in _SIGNS_IN else None
        button = say(N_("Sign in")) if asks else None
        return PageWords(tag, title, say(_OUTCOMES[outcome]), "", "", [], button, asks=asks)
    facts = [
        (say(N_("Where")), " · ".join(part for part in (alarm.site, alarm.gateway, alarm.device) if part)),
        (say(N_("When")), _moment(alarm.raised_at_us, zone)),
        (say(N_("How urgent")), say(_SEVERITIES[alarm.severity])),
        (say(N_("Triggered")), str(alarm.triggers)),
    ]
    if by is not None and at_us is not None:
        facts.append((say(N_("By")), f"{by} · {_moment(at_us, zone)}"))
    button = None
    if outcome in _PRESSED and person is not None:
        button = say(N_("Acknowledge as {name}")).format(name=person)
    text = alarm.text.get(tag) or alarm.text.get("en") or alarm.kind
    mode = _MODES.get(alarm.mode)
    return PageWords(
        tag, title, say(_OUTCOMES[outcome]), text, alarm.severity.value, facts, button, say(mode) if mode else ""
    )


def _moment(at_us: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def _weight(text: str) -> float:
    if not text.startswith("q="):
        return 1.0
    try:
        return float(text[2:])
    except ValueError:
        return 0.0
