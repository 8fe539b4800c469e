"""Alarm events: what a rule at the edge says, as a CloudEvent."""

from enum import StrEnum

import msgspec
from msgspec import Raw, Struct

from contract import cloudevents
from contract.bounded import decode_json
from contract.closed import member
from contract.errors import DecodeError, Refusal
from contract.ids import Id, alarm_id
from contract.limits import (
    MAX_LANGUAGE_TAG_CHARS,
    MAX_LANGUAGES,
    MAX_STRING_CHARS,
    MAX_TIME_US,
    MAX_UNIT_CHARS,
    MIN_TIME_US,
)
from contract.telemetry import Value
from contract.topics import ROOT


class Severity(StrEnum):
    """How soon somebody must act; the order is the order of urgency."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Transition(StrEnum):
    """What happened to the condition."""

    RAISED = "raised"
    RETRIGGERED = "retriggered"
    """It came again while the alarm stood: a second press."""
    CLEARED = "cleared"


class Mode(StrEnum):
    """Whether somebody must act: what is raised in a test or a drill is stored and shown, and nobody is sent."""

    LIVE = "live"
    TEST = "test"
    DRILL = "drill"


class AlarmEvent(Struct, frozen=True):
    """One change of one alarm condition.

    Attributes:
        gateway, device, point, rule: together the source; one source has one condition.
        transition: raised, retriggered or cleared.
        raised_at_us: when this occurrence began (a press: when the contact was read), microseconds UTC.
        at_us: when this transition happened; equals `raised_at_us` for a raise.
        kind: what sort of alarm: panic, tamper, smoke, fire, temperature, ...
        severity: see `Severity`.
        text: for people, by language tag ("en", "zh").
        value: the reading that decided.
        unit: its SenML unit.
        mode: that in which the occurrence was raised; it keeps it to its end.
    """

    gateway: str
    device: str
    point: str
    rule: str
    transition: Transition
    raised_at_us: int
    at_us: int
    kind: str
    severity: Severity
    text: dict[str, str] = {}
    value: Value | None = None
    unit: str | None = None
    mode: Mode = Mode.LIVE

    @property
    def source(self) -> str:
        """The unique name of the condition, `<gateway>/<device>/<point>/<rule>`."""
        return f"{self.gateway}/{self.device}/{self.point}/{self.rule}"

    @property
    def alarm_id(self) -> str:
        """The id of the occurrence: a raise, what triggers it again and its clear share it."""
        return alarm_id(self.source, self.raised_at_us)

    @property
    def event_id(self) -> str:
        """The id of this transition: a repeated delivery carries the same, a further press another."""
        if self.transition is Transition.RETRIGGERED:
            return f"{self.alarm_id}-{self.transition.value}-{self.at_us}"
        return f"{self.alarm_id}-{self.transition.value}"


class _Data(Struct, frozen=True, omit_defaults=True):
    alarm: str
    device: Id
    point: Id
    rule: Id
    raised_at_us: int
    at_us: int
    kind: Id
    severity: Severity
    text: dict[str, str] = {}
    value: Value | None = None
    unit: str | None = None
    mode: Mode = Mode.LIVE


_TYPE = "langyan.alarm."
_data_decoder = msgspec.json.Decoder(_Data)
_encoder = msgspec.json.Encoder()


def encode_alarm(event: AlarmEvent) -> bytes:
    """Write the alarm as a CloudEvent; `source` is the device's place, `subject` point and rule."""
    data = _Data(
        alarm=event.alarm_id,
        device=event.device,
        point=event.point,
        rule=event.rule,
        raised_at_us=event.raised_at_us,
        at_us=event.at_us,
        kind=event.kind,
        severity=event.severity,
        text=event.text,
        value=event.value,
        unit=event.unit,
        mode=event.mode,
    )
    return cloudevents.encode(
        cloudevents.CloudEvent(
            specversion="1.0",
            id=event.event_id,
            source=f"/{ROOT}/{event.gateway}/{event.device}",
            type=f"{_TYPE}{event.transition.value}",
            subject=f"{event.point}/{event.rule}",
            time=cloudevents.to_rfc3339(event.at_us),
            datacontenttype="application/json",
            data=Raw(_encoder.encode(data)),
        )
    )


def decode_alarm(payload: bytes, *, gateway: str) -> AlarmEvent:
    """Read an alarm that arrived under `gateway`'s topic.

    Raises:
        DecodeError: NOT_CLOUDEVENT; TOO_LARGE; WRONG_GATEWAY when its source is not under `gateway`.
    """
    envelope = cloudevents.decode(payload)
    if not envelope.source.startswith(f"/{ROOT}/{gateway}/"):
        why = f"source {envelope.source[:120]!r} is not under gateway {gateway!r}"
        raise DecodeError(Refusal.WRONG_GATEWAY, why)
    prefix, _, word = envelope.type.partition(_TYPE)
    transition = member(Transition, word)
    if prefix or transition is None:
        words = ", ".join(one.value for one in Transition)
        raise _refused(f"type {envelope.type[:80]!r}: {_TYPE} and one of {words}")
    data = decode_json(_data_decoder, bytes(envelope.data), refusal=Refusal.NOT_CLOUDEVENT)
    event = AlarmEvent(
        gateway=gateway,
        device=data.device,
        point=data.point,
        rule=data.rule,
        transition=transition,
        raised_at_us=data.raised_at_us,
        at_us=data.at_us,
        kind=data.kind,
        severity=data.severity,
        text=data.text,
        value=data.value,
        unit=data.unit,
        mode=data.mode,
    )
    _check(event, envelope, claimed=data.alarm)
    return event


def _check(event: AlarmEvent, envelope: cloudevents.CloudEvent, *, claimed: str) -> None:
    if envelope.source != f"/{ROOT}/{event.gateway}/{event.device}":
        raise _refused(f"source {envelope.source[:120]!r} is not device {event.device!r}")
    if not MIN_TIME_US <= event.raised_at_us <= event.at_us < MAX_TIME_US:
        raise _refused(f"raised at {event.raised_at_us} us, changed at {event.at_us} us")
    if claimed != event.alarm_id or envelope.id != event.event_id:
        raise _refused("its ids do not follow from its source and time")
    _check_lengths(event)


def _check_lengths(event: AlarmEvent) -> None:
    if len(event.text) > MAX_LANGUAGES or any(len(text) > MAX_STRING_CHARS for text in event.text.values()):
        raise _refused(f"text: at most {MAX_LANGUAGES} languages of {MAX_STRING_CHARS} characters")
    if any(len(language) > MAX_LANGUAGE_TAG_CHARS for language in event.text):
        raise _refused(f"text: a language tag has at most {MAX_LANGUAGE_TAG_CHARS} characters")
    if isinstance(event.value, str) and len(event.value) > MAX_STRING_CHARS:
        raise _refused(f"value: at most {MAX_STRING_CHARS} characters")
    if event.unit is not None and len(event.unit) > MAX_UNIT_CHARS:
        raise _refused(f"unit: at most {MAX_UNIT_CHARS} characters")


def _refused(why: str) -> DecodeError:
    return DecodeError(Refusal.NOT_CLOUDEVENT, why)
