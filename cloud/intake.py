"""The checks that every message passes before its payload is read. Pure."""

from collections.abc import Mapping

from cloud.mqtt_worker import Message
from cloud.settings import Registered
from contract.bounded import check_size
from contract.compression import ContentEncoding, unpack
from contract.errors import DecodeError, Refusal
from contract.limits import MAX_BIRTH_BYTES, MAX_CORRELATION_BYTES
from contract.telemetry import header_from_properties
from contract.topics import Channel, parse_topic

Registry = Mapping[str, Registered]


def gateway_of(message: Message) -> str | None:
    """Tell the gateway that the message's topic names; None when it is not one of our topics."""
    try:
        return parse_topic(message.topic).gateway
    except DecodeError:
        return None


def open_payload(message: Message, *, channel: Channel, registry: Registry | None) -> tuple[str, bytes]:
    """Check topic, registry and header, and unpack the payload; births are larger and never packed.

    Returns:
        The gateway of the topic, and the payload as plain JSON.

    Raises:
        DecodeError: BAD_TOPIC, UNKNOWN_GATEWAY, BAD_HEADER, WRONG_GATEWAY, TOO_LARGE, BAD_ENCODING.
    """
    parsed = parse_topic(message.topic)
    if parsed.channel is not channel:
        raise DecodeError(Refusal.BAD_TOPIC, f"channel {parsed.channel}, where {channel} is taken")
    if registry is not None and parsed.gateway not in registry:
        raise DecodeError(Refusal.UNKNOWN_GATEWAY, f"gateway {parsed.gateway!r} is not in the registry")
    if message.correlation is not None and len(message.correlation) > MAX_CORRELATION_BYTES:
        why = f"{len(message.correlation)} bytes of correlation data, at most {MAX_CORRELATION_BYTES}"
        raise DecodeError(Refusal.BAD_HEADER, why)
    header = header_from_properties(message.properties, gateway=parsed.gateway)
    if channel is not Channel.BIRTH:
        return parsed.gateway, unpack(message.payload, header.encoding)
    if header.encoding is not ContentEncoding.IDENTITY:
        raise DecodeError(Refusal.BAD_ENCODING, f"{header.encoding}, where births are never packed")
    check_size(message.payload, MAX_BIRTH_BYTES)
    return parsed.gateway, message.payload
