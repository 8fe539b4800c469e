"""How alarm events become one row a source: pure, and the same for any order of the same events.

A row stands for all triggers of its source since the last closing: raises, and second presses of what still stood.
It is called after the trigger that opened it, and that alone depends on the order. Its beginning is that of the
earliest raise, its text that of the latest trigger, its severity the most urgent; it is cleared when every one of its
raises is; its acknowledgement goes with the next trigger that comes. A person closes it, never an event. A raise of a
test or a drill is a row by itself.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from cloud.areas.tree import Place
from cloud.desk.life import Event, Facts, State, step
from contract.alarms import AlarmEvent, Mode, Severity, Transition
from contract.ids import alarm_id

RECENT = 8
"""So many moments of triggers a row keeps."""
CHATTER_TRIGGERS = 3
CHATTER_US = 60_000_000
URGENCY = {severity: rank for rank, severity in enumerate(Severity)}
"""The lower, the more urgent."""


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


class Stage(StrEnum):
    """How far the response has come; the order is that of the stages."""

    RECEIVED = "received"
    SHOWN = "shown"
    ACKNOWLEDGED = "acknowledged"
    DISPATCHED = "dispatched"
    ON_SCENE = "on-scene"
    CLOSED = "closed"


class Alarm(Struct, frozen=True):
    """One occurrence: a row of the alarm list. Times are microseconds UTC.

    Attributes:
        alarm_id: of the trigger that opened it; it never changes.
        source: `<gateway>/<device>/<point>/<rule>`.
        text: for people, by language tag.
        raised_at_us: the earliest raise (the press).
        received_at_us, stored_at_us: when that raise reached the desk, and its database.
        late: received long after it was raised.
        triggers: raises and second presses counted to this row.
        last_raised_at_us: the latest of them.
        cleared_at_us: when the last of its conditions ended; None while one lasts.
        acknowledged_at_us, acknowledged_by: the acknowledgement that holds; a further trigger takes it away.
        comment: said when it was closed; what was said before stands in the history.
        mode: test and drill are shown, and nobody is sent.
        latching: once its condition is over it waits for a reset.
        latched: it does so now.
        shelved_until_us: an operator does not want to hear it before.
        suppressed_by: what says that it means nothing now.
        out_of_service: it is being maintained.
        shown_at_us: when an operator's list had it for the first time.
        first_acknowledged_at_us: of all acknowledgements the first.
        dispatched_at_us, dispatched_by: when somebody was sent.
        arrived_at_us, arrived_by: when somebody was there.
        site, area, area_path: where it is, as the registry had it when it was opened; see `cloud.areas`.
        target_s: within which somebody must be there; as the policy had it then.
        recent_us: moments of its latest triggers, in their order, at most 8.
        chattering: three of those lie within a minute.
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
    latching: bool = False
    latched: bool = False
    shelved_until_us: int | None = None
    suppressed_by: str | None = None
    out_of_service: bool = False
    shown_at_us: int | None = None
    first_acknowledged_at_us: int | None = None
    dispatched_at_us: int | None = None
    dispatched_by: str | None = None
    arrived_at_us: int | None = None
    arrived_by: str | None = None
    site: str | None = None
    area: str | None = None
    area_path: str = ""
    target_s: int | None = None
    recent_us: tuple[int, ...] = ()
    chattering: bool = False

    @property
    def open_key(self) -> str | None:
        """What at most one row may have: the source of a live alarm until it is closed."""
        return self.source if self.is_open and self.mode is Mode.LIVE else None

    @property
    def is_open(self) -> bool:
        """Whether a person has still to close it."""
        return self.closed_at_us is None

    @property
    def facts(self) -> Facts:
        """What ISA-18.2 keeps apart of it."""
        return Facts(
            active=self.cleared_at_us is None,
            acknowledged=self.acknowledged_at_us is not None,
            latching=self.latching,
            latched=self.latched,
            shelved=self.shelved_until_us is not None,
            suppressed=self.suppressed_by is not None,
            out_of_service=self.out_of_service,
        )

    @property
    def state(self) -> State:
        """The state's name, derived from the facts."""
        return self.facts.state

    @property
    def stage(self) -> Stage:
        """How far the response has come."""
        reached = (
            (Stage.CLOSED, self.closed_at_us),
            (Stage.ON_SCENE, self.arrived_at_us),
            (Stage.DISPATCHED, self.dispatched_at_us),
            (Stage.ACKNOWLEDGED, self.acknowledged_at_us),
            (Stage.SHOWN, self.shown_at_us),
        )
        return next((stage for stage, at_us in reached if at_us is not None), Stage.RECEIVED)


class Arrival(Struct, frozen=True):
    """An event and when it came: to the desk, and to its database; `late` and `latching` as the settings have it.

    Attributes:
        place: where it is, when whoever says it knows better than the registry of gateways.
    """

    event: AlarmEvent
    received_at_us: int
    stored_at_us: int
    late: bool
    latching: bool = False
    place: Place | None = None


class Situation(Struct, frozen=True):
    """What the desk knows of a source when it opens a row for it; the fields are those of `Alarm`."""

    site: str | None = None
    area: str | None = None
    area_path: str = ""
    target_s: int | None = None
    shelved_until_us: int | None = None
    suppressed_by: str | None = None
    out_of_service: bool = False


NOTHING_KNOWN = Situation()


def triggered_at_us(event: AlarmEvent) -> int:
    """When the press was: of a raise its beginning, of a second press its own time."""
    return event.at_us if event.transition is Transition.RETRIGGERED else event.raised_at_us


def opened(
    arrival: Arrival,
    *,
    cleared_at_us: int | None,
    is_reopened: bool = False,
    situation: Situation = NOTHING_KNOWN,
) -> Alarm:
    """Open a row with its first trigger.

    Args:
        arrival: the raise, or a second press that came before it or after somebody had closed its row.
        cleared_at_us: when its condition ended, where the clear came before it.
        is_reopened: the alarm's raise is counted to a row that is closed; this one is named by the moment of the press.
        situation: of the source, now.
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
        latching=arrival.latching,
        latched=arrival.latching and cleared_at_us is not None,
        recent_us=(triggered_at_us(event),),
        **msgspec.structs.asdict(situation),
    )


def retriggered(alarm: Alarm, arrival: Arrival, *, cleared_at_us: int | None) -> Alarm:
    """Count a further trigger to a row; its gateway's clock may say that it is older than those before.

    Whatever that clock says, it is news to whoever acknowledged before it came.

    Args:
        alarm: the row so far.
        arrival: the raise or second press.
        cleared_at_us: when its own condition ended, where the clear came before it.
    """
    event, at_us = arrival.event, triggered_at_us(arrival.event)
    recent_us = tuple(sorted((*alarm.recent_us, at_us))[-RECENT:])
    changes: dict[str, Any] = {
        "triggers": alarm.triggers + 1,
        "severity": min(alarm.severity, event.severity, key=URGENCY.__getitem__),
        "latching": alarm.latching or arrival.latching,
        "recent_us": recent_us,
        "chattering": is_chattering(recent_us),
    }
    if at_us > alarm.last_raised_at_us:
        changes |= {"last_raised_at_us": at_us, "kind": event.kind, "text": event.text}
    # The same beginning: a second press has opened the row before its raise came.
    if event.transition is Transition.RAISED and event.raised_at_us <= alarm.raised_at_us:
        changes |= {
            "raised_at_us": event.raised_at_us,
            "received_at_us": arrival.received_at_us,
            "stored_at_us": arrival.stored_at_us,
            "late": arrival.late,
        }
    over_at_us = _later(alarm.cleared_at_us, cleared_at_us)
    changes["cleared_at_us"] = over_at_us
    if alarm.is_open:
        # Whatever was reset before it.
        changes["latched"] = changes["latching"] and over_at_us is not None
        changes |= {"acknowledged_at_us": None, "acknowledged_by": None}
    return msgspec.structs.replace(alarm, **changes)


def cleared(alarm: Alarm, *, cleared_at_us: int | None) -> Alarm:
    """Note when the last of its conditions ended; None while one of its raises has no clear yet.

    A row that was closed does not wait for a reset, and one that was reset does not wait for another.
    """
    is_over = alarm.cleared_at_us is None and cleared_at_us is not None
    stays = alarm.latched and cleared_at_us is not None
    latched = alarm.is_open and (stays or (alarm.latching and is_over))
    return msgspec.structs.replace(alarm, cleared_at_us=cleared_at_us, latched=latched)


def lived(alarm: Alarm, event: Event, **more: Any) -> Alarm | None:
    """Let something else than an alarm event happen to it; None: its state refuses that (`cloud.desk.life`).

    Args:
        alarm: an open one.
        event: what happens.
        more: the fields that say more of it: when and by whom it was acknowledged, until when it is shelved.
    """
    facts = step(alarm.facts, event)
    if facts is None:
        return None
    changes: dict[str, Any] = {"latched": facts.latched, "out_of_service": facts.out_of_service}
    if not facts.acknowledged:
        changes |= {"acknowledged_at_us": None, "acknowledged_by": None}
    if not facts.shelved:
        changes["shelved_until_us"] = None
    if not facts.suppressed:
        changes["suppressed_by"] = None
    return msgspec.structs.replace(alarm, **(changes | more))


def is_chattering(moments_us: Sequence[int]) -> bool:
    """Tell whether three of these moments, in their order, lie within a minute (ISA-18.2, EEMUA 191)."""
    ends_us = moments_us[CHATTER_TRIGGERS - 1 :]
    return any(end_us - start_us <= CHATTER_US for start_us, end_us in zip(moments_us, ends_us, strict=False))


def _later(one: int | None, other: int | None) -> int | None:
    """The later of two ends; None while either has not come."""
    return None if one is None or other is None else max(one, other)
