"""MQTT topics: where each message of a gateway lives."""

from enum import StrEnum

from msgspec import Struct

from contract.closed import member
from contract.errors import DecodeError, EncodeError, Refusal
from contract.ids import is_id

ROOT = "langyan/v1"


class Channel(StrEnum):
    """The topics under one gateway; the value is the part after `langyan/v1/<gateway>/`."""

    TELEMETRY = "up/telemetry"
    ALARM = "up/alarm"
    BIRTH = "up/birth"
    RESULT = "up/result"
    RECEIPT = "down/receipt"
    COMMAND = "down/command"


CLOUD_READY = f"{ROOT}/cloud/ready"
"""An ingester or desk says here that it has just subscribed; gateways then send again at once."""


class Topic(Struct, frozen=True):
    """A topic taken apart."""

    gateway: str
    channel: Channel


def topic(gateway: str, channel: Channel) -> str:
    """Write the topic of one gateway's channel.

    Raises:
        EncodeError: `gateway` is not an id (it could otherwise reach into another's topics).
    """
    if not is_id(gateway):
        raise EncodeError(f"gateway {gateway!r} is not an id: 1 to 64 of A-Z a-z 0-9 _ . -")
    return f"{ROOT}/{gateway}/{channel.value}"


def every(channel: Channel, *, group: str | None = None) -> str:
    """Write the filter that matches one channel of all gateways, shared within `group` if given."""
    share = f"$share/{group}/" if group else ""
    return f"{share}{ROOT}/+/{channel.value}"


def parse_topic(text: str) -> Topic:
    """Take a topic apart.

    Raises:
        DecodeError: not one of ours (BAD_TOPIC).
    """
    prefix, _, rest = text.partition(f"{ROOT}/")
    gateway, _, channel = rest.partition("/")
    known = member(Channel, channel)
    if prefix or not is_id(gateway) or known is None:
        why = f"topic {text[:120]!r} is not {ROOT}/<gateway>/<channel>"
        raise DecodeError(Refusal.BAD_TOPIC, why)
    return Topic(gateway, known)
