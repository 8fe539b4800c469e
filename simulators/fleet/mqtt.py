"""The client's side of one MQTT 5 connection, without a socket: bytes in, events out. Pure.

Only what a simulated gateway needs: QoS 1, clean sessions, no topic aliases, no enhanced authentication. It keeps no
clock: who holds it pings in time (3.1.2.10) and gives up on a silent broker. Why not a library:
docs/decisions/0019-an-mqtt-core-for-the-fleet.md.

Source: MQTT Version 5.0, OASIS Standard, 7 March 2019; numbers in comments are its sections.
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NoReturn

from msgspec import Struct

from simulators.errors import SimulatorError

MAX_PACKET_BYTES = 65_536
"""The largest packet that is taken; the broker is told (3.1.2.11.4)."""
RECEIVE_MAX = 0xFFFF
"""Publishes without acknowledgement where the broker names no bound (3.2.2.3.3)."""
REFUSED_FROM = 0x80
"""Reason codes from here on are refusals (2.4)."""
_MAX_PACKET_ID = 0xFFFF


class MqttProtocolError(SimulatorError):
    """The broker sent what is not MQTT 5, or more than was allowed; the connection is of no use any more."""


class Packet(IntEnum):
    """The packets that a broker sends to such a client (2.1.2)."""

    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBACK = 9
    PINGRESP = 13
    DISCONNECT = 14


class Property(IntEnum):
    """The properties that are written or looked at (2.2.2.2)."""

    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SERVER_KEEP_ALIVE = 0x13
    RECEIVE_MAXIMUM = 0x21
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27


class Message(Struct, frozen=True, gc=False):
    """One application message, QoS 1.

    Attributes:
        properties: as they stand in the packet, without their length; see `properties_of`.
    """

    topic: str
    payload: bytes
    is_retained: bool = False
    properties: bytes = b""


class Connected(Struct, frozen=True, gc=False):
    """The broker has taken us in, or has not.

    Attributes:
        code: 0, or why it refuses (3.2.2.2).
        receive_max: publishes that may be without acknowledgement.
        keepalive_s: what the broker wants instead of what it was told; None leaves it.
    """

    code: int
    receive_max: int = RECEIVE_MAX
    keepalive_s: int | None = None


class Received(Struct, frozen=True, gc=False):
    """A message came; it has been acknowledged."""

    topic: str
    payload: bytes
    correlation: bytes


class Acknowledged(Struct, frozen=True, gc=False):
    """The broker has a publish (below `REFUSED_FROM`), or does not want it."""

    packet: int
    code: int


class Subscribed(Struct, frozen=True, gc=False):
    """The answer to a subscription: the codes of its filters, the greatest of them."""

    code: int


class Pong(Struct, frozen=True, gc=False):
    """The broker is there."""


class HungUp(Struct, frozen=True, gc=False):
    """The broker ends the connection and says why (3.14.2.1)."""

    code: int


Event = Connected | Received | Acknowledged | Subscribed | Pong | HungUp


class Login(Struct, frozen=True):
    """As whom one connects; `will` is left behind when the connection breaks."""

    client_id: str
    keepalive_s: int
    will: Message | None = None
    username: str | None = None
    password: str | None = None


class MqttClient:
    """One connection; make a new one for the next.

    Attributes:
        out: bytes to be sent; whoever sends them takes them away.
    """

    __slots__ = ("_packet", "_received", "out")

    def __init__(self) -> None:
        self.out = bytearray()
        self._received = bytearray()
        self._packet = 0

    def connect(self, login: Login) -> None:
        """Say who we are; always the first (3.1)."""
        flags = 0x02  # clean start
        tail = _text(login.client_id)
        if login.will is not None:
            flags |= 0x04 | 0x08 | (0x20 if login.will.is_retained else 0)
            tail += _counted(login.will.properties) + _text(login.will.topic) + _binary(login.will.payload)
        if login.username is not None:
            flags |= 0x80
            tail += _text(login.username)
        if login.password is not None:
            flags |= 0x40
            tail += _binary(login.password.encode())
        properties = bytes((Property.MAXIMUM_PACKET_SIZE,)) + MAX_PACKET_BYTES.to_bytes(4, "big")
        head = _text("MQTT") + bytes((5, flags)) + login.keepalive_s.to_bytes(2, "big") + _counted(properties)
        self._send(0x10, head + tail)

    def subscribe(self, filters: Sequence[str]) -> None:
        """Ask for topics, at least one, with QoS 1 (3.8)."""
        wanted = b"".join(_text(one) + b"\x01" for one in filters)
        self._send(0x82, self._next_packet().to_bytes(2, "big") + b"\x00" + wanted)

    def publish(self, message: Message) -> int:
        """Publish; returns the packet id that the acknowledgement will name (3.3).

        The caller has no more publishes under way than `Connected.receive_max`, which also keeps packet ids apart.
        """
        packet = self._next_packet()
        head = _text(message.topic) + packet.to_bytes(2, "big") + _counted(message.properties)
        self._send(0x33 if message.is_retained else 0x32, head + message.payload)
        return packet

    def ping(self) -> None:
        """Ask whether the broker is there (3.12)."""
        self.out += b"\xc0\x00"

    def disconnect(self) -> None:
        """Say good-bye; the will is not sent then (3.14)."""
        self.out += b"\xe0\x00"

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take what came, cut anywhere; yields what it means and puts acknowledgements into `out`.

        Raises:
            MqttProtocolError: it is not MQTT 5; feed no more.
        """
        self._received += data
        at = 0
        while (whole := _packet_at(self._received, at)) is not None:
            start, end = whole
            first, body = self._received[at], bytes(self._received[start:end])
            at = end
            try:
                event = self._event(first, body)
            except (IndexError, ValueError) as error:
                raise MqttProtocolError(f"the broker sent a packet of type {first >> 4} that cannot be read") from error
            if event is not None:
                yield event
        del self._received[:at]

    def _event(self, first: int, body: bytes) -> Event | None:
        kind = first >> 4
        if kind == Packet.PUBLISH:
            return self._take_publish(first, body)
        if kind == Packet.PUBACK:
            # Without a reason code it is 0 (3.4.2.1).
            return Acknowledged(_u16(body, 0), (body[2:3] or b"\x00")[0])
        if kind == Packet.CONNACK:
            return _connected(body)
        if kind == Packet.SUBACK:
            _, at = _properties(body, 2)
            return Subscribed(max(body[at:]))
        if kind == Packet.PINGRESP:
            return Pong()
        if kind == Packet.DISCONNECT:
            return HungUp(body[0] if body else 0)
        raise MqttProtocolError(f"the broker sent a packet of type {kind}, which nobody asked for")

    def _take_publish(self, first: int, body: bytes) -> Received:
        qos = first >> 1 & 3
        topic, at = _text_at(body, 0)
        if qos > 1:
            raise MqttProtocolError(f"the broker sent QoS {qos}, where 1 was asked for")
        if qos:
            self.out += b"\x40\x02" + body[at : at + 2]
            _u16(body, at)
            at += 2
        found, at = _properties(body, at)
        return Received(topic, body[at:], found.get(Property.CORRELATION_DATA, b""))

    def _next_packet(self) -> int:
        self._packet = self._packet % _MAX_PACKET_ID + 1
        return self._packet

    def _send(self, first: int, body: bytes) -> None:
        self.out.append(first)
        self.out += _varint(len(body))
        self.out += body


def properties_of(
    *,
    content_type: str | None = None,
    response_topic: str | None = None,
    correlation: bytes | None = None,
    user: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Write the properties of a publish (3.3.2.3)."""
    parts = []
    if content_type is not None:
        parts.append(bytes((Property.CONTENT_TYPE,)) + _text(content_type))
    if response_topic is not None:
        parts.append(bytes((Property.RESPONSE_TOPIC,)) + _text(response_topic))
    if correlation is not None:
        parts.append(bytes((Property.CORRELATION_DATA,)) + _binary(correlation))
    parts += [bytes((Property.USER_PROPERTY,)) + _text(name) + _text(value) for name, value in user]
    return b"".join(parts)


def _connected(body: bytes) -> Connected:
    found, _ = _properties(body, 2)
    keepalive = found.get(Property.SERVER_KEEP_ALIVE)
    return Connected(
        body[1],
        int.from_bytes(found.get(Property.RECEIVE_MAXIMUM, b"\xff\xff"), "big"),
        None if keepalive is None else int.from_bytes(keepalive, "big"),
    )


# How long the value of each property is (2.2.2.2): bytes, or -1 binary or text, -2 a pair of texts, 0 a varint.
_SIZES = {
    0x01: 1, 0x02: 4, 0x03: -1, 0x08: -1, 0x09: -1, 0x0B: 0, 0x11: 4, 0x12: -1, 0x13: 2, 0x15: -1, 0x16: -1, 0x17: 1,
    0x18: 4, 0x19: 1, 0x1A: -1, 0x1C: -1, 0x1F: -1, 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1, 0x25: 1, 0x26: -2, 0x27: 4,
    0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip


def _properties(body: bytes, at: int) -> tuple[dict[int, bytes], int]:
    """Read the properties that begin at `at`; returns the raw values, of repeated ones the last, and where they end."""
    length, at = _varint_at(body, at)
    end = at + length
    if end > len(body):
        _fail("properties reach past the end of their packet")
    found: dict[int, bytes] = {}
    while at < end:
        name = body[at]
        size = _SIZES.get(name)
        at += 1
        if size is None:
            _fail(f"property {name:#04x} is none of MQTT 5")
        if size > 0:
            found[name], at = body[at : at + size], at + size
        elif size == 0:
            _, at = _varint_at(body, at)
        else:
            for _ in range(-size):
                length = _u16(body, at)
                found[name], at = body[at + 2 : at + 2 + length], at + 2 + length
    if at != end:
        _fail("a property reaches past the end of all properties")
    return found, end


def _packet_at(received: bytearray, at: int) -> tuple[int, int] | None:
    """Say where the body of the packet at `at` begins and ends; None while it is not whole."""
    length = shift = 0
    for place in range(at + 1, min(at + 5, len(received))):
        byte = received[place]
        length |= (byte & 0x7F) << shift
        if not byte & 0x80:
            end = place + 1 + length
            if end - at > MAX_PACKET_BYTES:
                _fail(f"the broker sent a packet of {end - at} bytes, where {MAX_PACKET_BYTES} were allowed")
            return (place + 1, end) if end <= len(received) else None
        shift += 7
    if len(received) >= at + 5:
        _fail("the broker sent a packet whose length does not end")
    return None


def _fail(why: str) -> NoReturn:
    raise MqttProtocolError(why)


def _varint(number: int) -> bytes:
    """A variable byte integer (1.5.5)."""
    data = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        data.append(low | 0x80 if number else low)
        if not number:
            return bytes(data)


def _varint_at(body: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    for place in range(at, at + 4):
        number |= (body[place] & 0x7F) << shift
        if not body[place] & 0x80:
            return number, place + 1
        shift += 7
    _fail("a number does not end")


def _u16(body: bytes, at: int) -> int:
    return body[at] << 8 | body[at + 1]


def _text_at(body: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + _u16(body, at)
    if end > len(body):
        _fail("a text reaches past the end of its packet")
    return body[at + 2 : end].decode(), end


def _text(text: str) -> bytes:
    return _binary(text.encode())


def _binary(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _counted(properties: bytes) -> bytes:
    return _varint(len(properties)) + properties
