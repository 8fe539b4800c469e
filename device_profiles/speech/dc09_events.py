"""From the data of a DC-09 message to readings and alarms. Pure.

Contact ID: `#acct|QEEE GG ZZZ`, qualifier, event, partition, zone or user. SIA: `#acct|Nti14:12/id3/ri1/BA007`, new or
old, modifiers, then one event or several.

Source: ANSI/SIA DC-09-2013, 5.5.1.7 and 5.5.1.8; SIA DC-05-2016; SIA DC-03-2017, 5.2.
"""

import re
from collections.abc import Iterator

from msgspec import Struct, structs

from contract.telemetry import Value
from device_profiles.model import Text
from device_profiles.speech.dc09_body import Body, parse_time
from device_profiles.speech.dc09_codes import HENGBO_TYPES, Code, Sort, contact_code
from device_profiles.speech.dc09_sia import USERS, sia_meaning
from device_profiles.speech.said import Report

HOST = "host"
"""The point of what concerns no zone."""

MAX_NOTE_CHARS = 100
MAX_URL_CHARS = 200
MAX_EVENTS = 32

_CONTACT = re.compile(
    rb"(?:#(?P<account>[0-9A-Fa-f]{1,16}))?\|?(?P<q>[1-9ERP])(?P<event>[0-9A-F]{3}) "
    rb"(?P<group>[0-9A-F]{2}) (?P<number>[0-9A-F]{3})"
)
_QUALIFIERS = {"E": "1", "R": "3", "P": "6"}
# Between modifiers and event stands "/"; jvanovost/dc09_spt leaves it out.
_SIA_MODIFIER = re.compile(r"/?([a-z]{2})([0-9:.-]*)(?:\^[^^]*\^)?")
_SIA_EVENT = re.compile(r"/?([A-Z]{2})([0-9A-Fa-f]{0,6})(?![0-9A-Za-z])(?:\^([^^]*)\^)?")
_ACCOUNT = re.compile(rb"#([0-9A-Fa-f]{1,16})\Z")
_ARC = re.compile(r"(\d{1,3})([NSEW])(\d{1,2}(?:\.\d{1,12})?)")
_DECIMAL = re.compile(r"[+-]?\d{1,3}\.\d{1,12}")
_PRINTABLE = re.compile(r"[^ -~\u00a0-\uffff]")
_MINUTES = 60.0
_MAX_LON, _MAX_LAT = 180.0, 90.0
_LAST_DECIMAL = 9


class Understood(Struct, frozen=True):
    """What the data of one message says.

    Attributes:
        account: the one written in the data; "" without one.
        values: readings by key, whether the profile has them or not.
        reports: alarms begun or ended.
        occurred_us: when it happened, by the host, microseconds UTC.
    """

    account: str = ""
    values: tuple[tuple[str, Value], ...] = ()
    reports: tuple[Report, ...] = ()
    occurred_us: int | None = None


class _Event(Struct, frozen=True):
    name: str
    point: str
    group: int
    code: Code
    rules: tuple[str, ...]
    is_on: bool


def understand_contact(body: Body, *, is_hengbo: bool) -> Understood | None:
    """Read a message of Contact ID; None when its data is not of that form."""
    match = _CONTACT.fullmatch(body.data)
    if match is None:
        return None
    q, event, group, number = (match[name].decode() for name in ("q", "event", "group", "number"))
    q = _QUALIFIERS.get(q, q)
    code = contact_code(event, is_hengbo=is_hengbo)
    name = f"{'R' if q == '3' else 'E'}{event} {group} {number}"
    point = _point(number, is_user=code.is_user)
    if q == "3":
        is_on = False
    elif q in "16":
        is_on = True
    else:
        # Hengbo has events with 2 (kind of SIM card, setting mode): they are noted, and nothing stands for them.
        code, is_on = structs.replace(code, sort=Sort.NOTE), True
    if code.sort in (Sort.ARMING, Sort.STAY):
        # 1 is opening and 3 closing here; Hengbo hosts say with both that they are armed in part (456). What a status
        # report (6) of it would mean is nowhere written.
        is_on = not is_on or event == "456"
        code = structs.replace(code, sort=Sort.NOTE) if q == "6" else code
    what = _Event(name, point, int(group) if group.isdecimal() else 0, code, (f"e{event.lower()}",), is_on)
    special = _of_hengbo(event, body) if is_hengbo else ()
    account = (match["account"] or b"").decode().upper()
    return _understood([what], body, account=account, special=tuple(special))


def understand_sia(body: Body) -> Understood | None:
    """Read a message of SIA-DCS; None when its data has no event."""
    blocks = body.data.split(b"|")
    named = _ACCOUNT.match(blocks[0])
    if named is not None:
        blocks = blocks[1:]
    events: list[_Event] = []
    note = ""
    for block in blocks:
        text = _clean(block, MAX_URL_CHARS)
        if text[:1] in ("N", "O"):
            found, rest = _sia_events(text[1:])
            events += found
            note = note or rest
        elif text[:1] == "A":
            note = text[1:]
    if not events or len(events) > MAX_EVENTS:
        return None
    account = named[1].decode().upper() if named else ""
    return _understood(events, body, account=account, note=note)


def position_of(text: str, letters: str) -> float | None:
    """Read `093W23.456` (degrees, hemisphere, minutes) or decimal degrees; None when it is no place on earth.

    Args:
        text: without the field's letter.
        letters: the hemispheres it may be in, "NS" or "EW".

    Returns:
        Degrees; south and west are negative.
    """
    limit = _MAX_LAT if "N" in letters else _MAX_LON
    if match := _ARC.fullmatch(text):
        degrees = int(match[1]) + float(match[3]) / _MINUTES
        if match[2] not in letters or float(match[3]) >= _MINUTES:
            return None
        degrees = -degrees if match[2] in "SW" else degrees
    elif _DECIMAL.fullmatch(text):
        degrees = float(text)
    else:
        return None
    return degrees if abs(degrees) <= limit else None


def _sia_events(text: str) -> tuple[list[_Event], str]:
    """Give the events of one block, and the text that comes with the last of them."""
    events: list[_Event] = []
    area, note, at = 0, "", 0
    while at < len(text):
        if found := _SIA_EVENT.match(text, at):
            code, number, name = found.groups()
            meaning = sia_meaning(code)
            point = _point(number, is_user=code in USERS)
            events.append(_Event(f"{code}{number}", point, area, meaning.code, meaning.rules, meaning.is_on))
            note = name or note
        elif found := _SIA_MODIFIER.match(text, at):
            if found[1] == "ri" and found[2].isdecimal() and len(found[2]) < _LAST_DECIMAL:
                area = int(found[2])
        else:
            return events, (note or text[at:].strip('/*"')) if events else ""
        at = found.end()
    return events, note


def _understood(
    events: list[_Event],
    body: Body,
    *,
    account: str,
    note: str = "",
    special: tuple[tuple[str, Value], ...] = (),
) -> Understood:
    fields = {field[:1]: field[1:] for field in reversed(body.fields)}
    note = _clean(fields.get(b"I", b""), MAX_NOTE_CHARS) or note[:MAX_NOTE_CHARS].strip()
    url = _clean(fields.get(b"V", b""), MAX_URL_CHARS)
    values = [("last_event", events[-1].name), *special]
    reports: list[Report] = []
    for event in events:
        values += _values(event)
        if event.code.sort is Sort.ALARM:
            reports += (_report(event, rule, note, url) for rule in event.rules)
    values += field_values(body)
    occurred = parse_time(fields.get(b"H", b""))
    return Understood(account, tuple(values), tuple(reports), occurred)


def field_values(body: Body) -> Iterator[tuple[str, Value]]:
    """Give the readings that extended fields carry: position and network address."""
    for field in body.fields:
        text = _clean(field[1:], MAX_NOTE_CHARS)
        place = {b"X": ("longitude", "EW"), b"Y": ("latitude", "NS")}.get(field[:1])
        if place is not None and (degrees := position_of(text, place[1])) is not None:
            yield place[0], degrees
        elif field[:1] == b"M" and re.fullmatch(r"[0-9A-Fa-f]{12}", text):
            yield "mac", text.upper()


def _values(event: _Event) -> Iterator[tuple[str, Value]]:
    if event.code.sort is Sort.WALK_TEST:
        yield "walk_test", event.is_on
    elif event.code.sort in (Sort.ARMING, Sort.STAY):
        armed = "stay" if event.code.sort is Sort.STAY else "armed"
        yield f"arming_{event.group}" if event.group else "arming", armed if event.is_on else "disarmed"


def _report(event: _Event, rule: str, note: str, url: str) -> Report:
    code = event.code
    more = f" ({note})" if note else ""
    text: Text = {"en": f"{code.en}: {{label}}{more}", "zh": f"{code.zh}：{{label}}{more}"}
    return Report(
        point=event.point,
        rule=rule,
        kind=code.kind,
        severity=code.severity,
        text=text,
        is_on=event.is_on,
        ends_after_s=code.ends_after_s,
        value=url or None,
    )


def _of_hengbo(event: str, body: Body) -> Iterator[tuple[str, Value]]:
    if event in HENGBO_TYPES:
        yield "host_type", HENGBO_TYPES[event]
    elif event == "799" and body.binary and len(body.binary[0]) == 1:
        tens, ones = divmod(body.binary[0][0], 16)
        if tens <= _LAST_DECIMAL and ones <= _LAST_DECIMAL:
            yield "signal", float(10 * tens + ones)


def _point(number: str, *, is_user: bool) -> str:
    if not number.strip("0"):
        return HOST
    short = number.lstrip("0").upper()
    return f"{'user' if is_user else 'zone'}-{short:0>3}"


def _clean(text: bytes, most: int) -> str:
    return _PRINTABLE.sub(" ", text.decode("utf-8", "replace"))[:most].strip()
