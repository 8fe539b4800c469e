"""CloudEvents 1.0 in JSON (structured mode): the envelope of alarms, commands and results.

Source: CloudEvents specification 1.0.2 and its JSON event format.
"""

from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Raw, Struct

from contract.bounded import decode_json
from contract.errors import DecodeError, Refusal
from contract.limits import MAX_ATTRIBUTE_CHARS

MEDIA_TYPE = "application/cloudevents+json"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CloudEvent(Struct, frozen=True, omit_defaults=True):
    """One event; required attributes first, `data` still as JSON.

    Attributes:
        specversion: always "1.0".
        id: unique within `source`; a repeat is the same event.
        source: who it is about, a URI reference.
        type: what happened.
        time: RFC 3339, UTC, microseconds.
    """

    specversion: str
    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    datacontenttype: str | None = None
    data: Raw = Raw(b"null")


_decoder = msgspec.json.Decoder(CloudEvent)
_encoder = msgspec.json.Encoder()


def encode(event: CloudEvent) -> bytes:
    """Write the event."""
    return _encoder.encode(event)


def decode(payload: bytes) -> CloudEvent:
    """Read an event; extension attributes are skipped.

    Raises:
        DecodeError: NOT_CLOUDEVENT with the JSON path of the fault; TOO_LARGE.
    """
    event = decode_json(_decoder, payload, refusal=Refusal.NOT_CLOUDEVENT)
    if event.specversion != "1.0":
        why = f"specversion {event.specversion[:20]!r}: only 1.0 is spoken"
        raise DecodeError(Refusal.NOT_CLOUDEVENT, why)
    for attribute in ("id", "source", "type"):
        if not 1 <= len(getattr(event, attribute)) <= MAX_ATTRIBUTE_CHARS:
            why = f"{attribute}: 1 to {MAX_ATTRIBUTE_CHARS} characters"
            raise DecodeError(Refusal.NOT_CLOUDEVENT, why)
    return event


def to_rfc3339(time_us: int) -> str:
    """Write microseconds UTC as RFC 3339 with six digits and Z."""
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
