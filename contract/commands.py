"""Commands to a gateway and their results, as CloudEvents: what somebody wants done, and what came of it."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from contract import cloudevents
from contract.alarms import Mode
from contract.bounded import decode_json
from contract.closed import member
from contract.errors import DecodeError, Refusal
from contract.ids import Id, is_id
from contract.limits import (
    MAX_ATTRIBUTE_CHARS,
    MAX_COMMAND_AHEAD_US,
    MAX_DEVICES,
    MAX_STRING_CHARS,
    MAX_TIME_US,
    MAX_WHY_CHARS,
    MIN_TIME_US,
)
from contract.tags import Arm, Disarm, StolenPart, TagOrder
from contract.telemetry import Value
from contract.topics import ROOT

Word = Annotated[str, Meta(max_length=MAX_STRING_CHARS)]
CLOUD_SOURCE = f"/{ROOT}/cloud"


class Write(Struct, frozen=True):
    """Write a point and read it back."""

    device: Id
    point: Id
    value: bool | float | Word


class SetMode(Struct, frozen=True):
    """Put devices into a mode (live, test, drill) that ends by itself after `for_s`; none named: all."""

    mode: Mode
    for_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 0.0
    devices: Annotated[tuple[Id, ...], Meta(max_length=MAX_DEVICES)] | None = None


class Reset(Struct, frozen=True):
    """Let a latched alarm go, by its source."""

    source: Annotated[str, Meta(min_length=1, max_length=MAX_ATTRIBUTE_CHARS)]


class Pace(Struct, frozen=True):
    """Ask devices more often, or less, for a time; afterwards, and after a restart, everything is as its site has it.

    Attributes:
        factor: by what the periods of their points are multiplied: below 1 is more often. Alarm inputs keep theirs.
        for_s: 0 ends what was ordered before.
        devices: None: all that the gateway asks.
    """

    factor: Annotated[float, Meta(ge=0.1, le=10.0)]
    for_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 0.0
    devices: Annotated[tuple[Id, ...], Meta(max_length=MAX_DEVICES)] | None = None


Order = Write | SetMode | Reset | Pace | TagOrder


class Command(Struct, frozen=True):
    """One command.

    Attributes:
        id: unique; a repeat with the same id is the same command, and is carried out once.
        gateway: who is to do it.
        order: what is to be done.
        expires_at_us: not begun after this moment, microseconds UTC; at most an hour ahead.
        by: who asked; for people.
    """

    id: Id
    gateway: Id
    order: Order
    expires_at_us: int
    by: str = ""


class Outcome(StrEnum):
    """What came of a command; all are final."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    EXPIRED = "expired"


class Result(Struct, frozen=True):
    """A gateway's answer to one command.

    Attributes:
        id: of the command.
        outcome: done, refused (it never can be done), failed (it might be another time), expired (not begun).
        at_us: when, microseconds UTC.
        reason: why it is not done; one English sentence.
        value: what reads back after a write; how many alarms ended after a reset; how many devices have another pace;
            how many tags are armed after arming or disarming; the version of the stolen list in force after a part.
    """

    id: str
    gateway: str
    outcome: Outcome
    at_us: int
    reason: str = ""
    value: Value | None = None


class _Head(Struct, frozen=True):
    expires_at_us: int
    by: Annotated[str, Meta(max_length=MAX_STRING_CHARS)] = ""


class _ResultData(Struct, frozen=True, omit_defaults=True):
    command: Id
    at_us: int
    reason: Annotated[str, Meta(max_length=MAX_WHY_CHARS)] = ""
    value: bool | float | Word | None = None


_COMMAND = "langyan.command."
_RESULT = "langyan.result."
_TYPES: dict[str, type[Order]] = {
    "write": Write,
    "mode": SetMode,
    "reset": Reset,
    "pace": Pace,
    "arm": Arm,
    "disarm": Disarm,
    "stolen": StolenPart,
}
_ORDER_DECODERS = {word: msgspec.json.Decoder(kind) for word, kind in _TYPES.items()}
_head_decoder = msgspec.json.Decoder(_Head)
_result_decoder = msgspec.json.Decoder(_ResultData)
_encoder = msgspec.json.Encoder()


def encode_command(command: Command, *, at_us: int) -> bytes:
    """Write the command as a CloudEvent of `at_us`; its `subject` is the gateway."""
    word = next(word for word, kind in _TYPES.items() if isinstance(command.order, kind))
    head = _encoder.encode({"expires_at_us": command.expires_at_us, "by": command.by})
    # One object of both; a part of a stolen list is 60 KB, too much to take apart for it.
    data = head[:-1] + b"," + _encoder.encode(command.order)[1:]
    return cloudevents.encode(
        cloudevents.CloudEvent(
            specversion="1.0",
            id=command.id,
            source=CLOUD_SOURCE,
            type=f"{_COMMAND}{word}",
            subject=command.gateway,
            time=cloudevents.to_rfc3339(at_us),
            datacontenttype="application/json",
            data=Raw(data),
        )
    )


def decode_command(payload: bytes, *, gateway: str) -> Command:
    """Read what arrived under `gateway`'s command topic.

    Raises:
        DecodeError: NOT_CLOUDEVENT; TOO_LARGE; WRONG_GATEWAY when its subject is another gateway.
    """
    envelope = cloudevents.decode(payload)
    prefix, _, word = envelope.type.partition(_COMMAND)
    decoder = _ORDER_DECODERS.get(word)
    if prefix or decoder is None:
        raise _refused(f"type {envelope.type[:80]!r}: {_COMMAND} and {', '.join(_TYPES)}")
    if envelope.subject != gateway:
        why = f"subject {str(envelope.subject)[:80]!r} under the topic of {gateway!r}"
        raise DecodeError(Refusal.WRONG_GATEWAY, why)
    if not is_id(envelope.id):
        raise _refused(f"id {envelope.id[:80]!r} is not an id")
    raw = bytes(envelope.data)
    head = decode_json(_head_decoder, raw, refusal=Refusal.NOT_CLOUDEVENT)
    order = decode_json(decoder, raw, refusal=Refusal.NOT_CLOUDEVENT)
    if not MIN_TIME_US <= head.expires_at_us < MAX_TIME_US:
        raise _refused(f"expires at {str(head.expires_at_us)[:40]} us")
    return Command(envelope.id, gateway, order, head.expires_at_us, head.by)


def encode_result(result: Result) -> bytes:
    """Write the result as a CloudEvent; its `subject` is the command's id."""
    data = _ResultData(result.id, result.at_us, result.reason[:MAX_WHY_CHARS], result.value)
    return cloudevents.encode(
        cloudevents.CloudEvent(
            specversion="1.0",
            id=f"{result.id}-result",
            source=f"/{ROOT}/{result.gateway}",
            type=f"{_RESULT}{result.outcome.value}",
            subject=result.id,
            time=cloudevents.to_rfc3339(result.at_us),
            datacontenttype="application/json",
            data=Raw(_encoder.encode(data)),
        )
    )


def decode_result(payload: bytes, *, gateway: str) -> Result:
    """Read what arrived under `gateway`'s result topic.

    Raises:
        DecodeError: NOT_CLOUDEVENT; TOO_LARGE; WRONG_GATEWAY when its source is another gateway.
    """
    envelope = cloudevents.decode(payload)
    if envelope.source != f"/{ROOT}/{gateway}":
        raise DecodeError(Refusal.WRONG_GATEWAY, f"source {envelope.source[:120]!r} is not gateway {gateway!r}")
    prefix, _, word = envelope.type.partition(_RESULT)
    outcome = member(Outcome, word)
    if prefix or outcome is None:
        raise _refused(f"type {envelope.type[:80]!r}: {_RESULT} and {', '.join(Outcome)}")
    data = decode_json(_result_decoder, bytes(envelope.data), refusal=Refusal.NOT_CLOUDEVENT)
    if not 0 <= data.at_us < MAX_TIME_US:
        raise _refused(f"at {str(data.at_us)[:40]} us")
    return Result(data.command, gateway, outcome, data.at_us, data.reason, data.value)


def is_too_far_ahead(command: Command, now_us: int) -> bool:
    """Tell whether a command would have to be remembered for longer than a gateway remembers commands."""
    return command.expires_at_us > now_us + MAX_COMMAND_AHEAD_US


def _refused(why: str) -> DecodeError:
    return DecodeError(Refusal.NOT_CLOUDEVENT, why)
