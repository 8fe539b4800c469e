"""How alarm events become one row a source: pure, and the same for any order of the same events.

A row stands for all triggers of its source since the last closing: raises, and second presses of what still stood.
Its id and beginning are those of the earliest raise, its text those of the latest trigger, its severity the most
urgent; it is cleared when every one of its raises is; its acknowledgement goes with the next trigger that comes. A
person closes it, never an event. A raise of a test or a drill is a row by itself.
"""

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from contract.alarms import AlarmEvent, Mode, Severity, Transition
from contract.ids import alarm_id

_URGENCY = {severity: rank for rank, severity in enumerate(Severity)}


class ClosingCode(StrEnum):
    """What an alarm turned out to be; said when it is closed."""

    GENUINE = "genuine"
    DRILL = "drill"
    ACCIDENTAL = "accidental"
    MALICIOUS = "malicious"
    EQUIPMENT_FAULT = "equipment-fault"
    WEATHER_ANIMAL = "weather-animal"
    COMMUNICATIONS = "communications"
    UNKNOWN = "unknown"


class State(StrEnum):
    """The name of an alarm's facts taken together (ISA-18.2 2016, figure 3; closed is ours)."""

    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    CLEARED_UNACKNOWLEDGED = "cleared-unacknowledged"
    CLEARED_ACKNOWLEDGED = "cleared-acknowledged"
    CLOSED = "closed"


class Alarm(Struct, frozen=True):
    """One occurrence: a row of the alarm list. Times are microseconds UTC.

    Attributes:
        alarm_id: of the earliest raise.
        source: `<gateway>/<device>/<point>/<rule>`.
        text: for people, by language tag.
        raised_at_us: the earliest raise (the press).
        received_at_us, stored_at_us: when that raise reached the desk, and its database.
        late: received long after it was raised.
        triggers: raises and second presses counted to this row.
        last_raised_at_us: the latest of them.
        cleared_at_us: when the last of its conditions ended; None while one lasts.
        mode: test and drill are shown, and nobody is sent.
    """

    alarm_id: str
    source: str
    gateway: str
    device: str
    point: str
    rule: str
    kind: str
    severity: Severity
    text: dict[str, str]
    raised_at_us: int
    received_at_us: int
    stored_at_us: int
    late: bool
    triggers: int
    last_raised_at_us: int
    cleared_at_us: int | None = None
    acknowledged_at_us: int | None = None
    acknowledged_by: str | None = None
    closed_at_us: int | None = None
    closed_by: str | None = None
    closing_code: ClosingCode | None = None
    comment: str | None = None
    mode: Mode = Mode.LIVE

    @property
    def open_key(self) -> str | None:
        """What at most one row may have: the source of a live alarm until it is closed."""
        return self.source if self.is_open and self.mode is Mode.LIVE else None

    @property
    def is_open(self) -> bool:
        """Whether a person has still to close it."""
        return self.closed_at_us is None

    @property
    def state(self) -> State:
        """The state's name, derived from the facts."""
        if self.closed_at_us is not None:
            return State.CLOSED
        if self.cleared_at_us is None:
            return State.UNACKNOWLEDGED if self.acknowledged_at_us is None else State.ACKNOWLEDGED
        return State.CLEARED_UNACKNOWLEDGED if self.acknowledged_at_us is None else State.CLEARED_ACKNOWLEDGED


class Arrival(Struct, frozen=True):
    """An event and when it came: to the desk, and to its database; `late` as the settings have it."""

    event: AlarmEvent
    received_at_us: int
    stored_at_us: int
    late: bool


def triggered_at_us(event: AlarmEvent) -> int:
    """When the press was: of a raise its beginning, of a second press its own time."""
    return event.at_us if event.transition is Transition.RETRIGGERED else event.raised_at_us


def opened(arrival: Arrival, *, cleared_at_us: int | None, is_reopened: bool = False) -> Alarm:
    """Open a row with its first trigger.

    Args:
        arrival: the raise, or a second press that came before it or after somebody had closed its row.
        cleared_at_us: when its condition ended, where the clear came before it.
        is_reopened: the alarm's raise is counted to a row that is closed; this one is named by the moment of the press.
    """
    event = arrival.event
    began_at_us = event.at_us if is_reopened else event.raised_at_us
    return Alarm(
        alarm_id=alarm_id(event.source, began_at_us),
        source=event.source,
        gateway=event.gateway,
        device=event.device,
        point=event.point,
        rule=event.rule,
        kind=event.kind,
        severity=event.severity,
        text=event.text,
        raised_at_us=began_at_us,
        received_at_us=arrival.received_at_us,
        stored_at_us=arrival.stored_at_us,
        late=arrival.late,
        triggers=1,
        last_raised_at_us=triggered_at_us(event),
        cleared_at_us=cleared_at_us,
        mode=event.mode,
    )


def retriggered(alarm: Alarm, arrival: Arrival, *, cleared_at_us: int | None) -> Alarm:
    """Count a further trigger to a row; its gateway's clock may say that it is older than those before.

    Whatever that clock says, it is news to whoever acknowledged before it came.

    Args:
        alarm: the row so far.
        arrival: the raise or second press.
        cleared_at_us: when its own condition ended, where the clear came before it.
    """
    event = arrival.event
    changes: dict[str, Any] = {
        "triggers": alarm.triggers + 1,
        "severity": min(alarm.severity, event.severity, key=_URGENCY.__getitem__),
        "cleared_at_us": _later(alarm.cleared_at_us, cleared_at_us),
    }
    if triggered_at_us(event) > alarm.last_raised_at_us:
        changes |= {
            "last_raised_at_us": triggered_at_us(event),
            "kind": event.kind,
            "text": event.text,
        }
    # The same beginning: a second press has opened the row before its raise came.
    if event.transition is Transition.RAISED and event.raised_at_us <= alarm.raised_at_us:
        changes |= {
            "alarm_id": event.alarm_id,
            "raised_at_us": event.raised_at_us,
            "received_at_us": arrival.received_at_us,
            "stored_at_us": arrival.stored_at_us,
            "late": arrival.late,
        }
    changes |= {"acknowledged_at_us": None, "acknowledged_by": None}
    return msgspec.structs.replace(alarm, **changes)


def cleared(alarm: Alarm, *, cleared_at_us: int | None) -> Alarm:
    """Note when the last of its conditions ended; None while one of its raises has no clear yet."""
    return msgspec.structs.replace(alarm, cleared_at_us=cleared_at_us)


def _later(one: int | None, other: int | None) -> int | None:
    """The later of two ends; None while either has not come."""
    return None if one is None or other is None else max(one, other)
