"""Birth and death of a gateway: one retained message that always says how it stands."""

import msgspec
from msgspec import Struct

from contract.bounded import decode_json
from contract.errors import DecodeError, Refusal
from contract.ids import Id
from contract.limits import MAX_BIRTH_BYTES, MAX_DEVICES, MAX_TIME_US

MEDIA_TYPE = "application/json"


class Device(Struct, frozen=True):
    """One device in a gateway's inventory.

    Attributes:
        name: for people; may be any Unicode.
        bus: the line it hangs on: what is lost with a "bus-lost" of `gateway.<bus>`. "" where its gateway does not say.
    """

    id: Id
    profile: str
    profile_version: str
    name: str = ""
    bus: str = ""


class Birth(Struct, frozen=True, tag_field="state", tag="born"):
    """A gateway is up: who it is and what hangs on it."""

    gateway: Id
    boot: Id
    version: str
    site: str
    at_us: int
    devices: tuple[Device, ...] = ()


class Death(Struct, frozen=True, tag_field="state", tag="dead"):
    """A gateway is gone: `stopped` when it said good-bye, `lost` when the broker sent its will."""

    gateway: Id
    boot: Id
    reason: str


_decoder: msgspec.json.Decoder[Birth | Death] = msgspec.json.Decoder(Birth | Death)
_encoder = msgspec.json.Encoder()


def encode_presence(message: Birth | Death) -> bytes:
    """Write a birth or a death as JSON."""
    return _encoder.encode(message)


def decode_presence(payload: bytes, *, gateway: str) -> Birth | Death:
    """Read what arrived under `gateway`'s birth topic.

    Raises:
        DecodeError: NOT_BIRTH; TOO_LARGE past `MAX_BIRTH_BYTES` or `MAX_DEVICES`; WRONG_GATEWAY when it names another.
    """
    message = decode_json(_decoder, payload, refusal=Refusal.NOT_BIRTH, at_most=MAX_BIRTH_BYTES)
    if message.gateway != gateway:
        why = f"claims gateway {message.gateway!r} under the topic of {gateway!r}"
        raise DecodeError(Refusal.WRONG_GATEWAY, why)
    # A gateway without a clock is born in 1970, and says so; beyond these bounds it is no time at all.
    if isinstance(message, Birth) and not 0 <= message.at_us < MAX_TIME_US:
        raise DecodeError(Refusal.NOT_BIRTH, f"born at {str(message.at_us)[:40]} us")
    if isinstance(message, Birth) and len(message.devices) > MAX_DEVICES:
        why = f"{len(message.devices)} devices, at most {MAX_DEVICES}"
        raise DecodeError(Refusal.TOO_LARGE, why)
    return message
