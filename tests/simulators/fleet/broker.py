"""A broker of a few lines for one gateway, in memory; packets are taken apart by another library's code."""

from typing import Any

from msgspec import Struct
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from contract.receipts import Receipt, Verdict, encode_receipt
from contract.topics import Channel, topic
from simulators.fleet.gateway import FleetGateway


class Published(Struct):
    """A publish of the gateway."""

    topic: str
    payload: bytes
    packet: int
    is_retained: bool
    properties: Any

    @property
    def header(self) -> dict[str, str]:
        return dict(getattr(self.properties, "UserProperty", []))

    @property
    def correlation(self) -> bytes:
        return bytes(getattr(self.properties, "CorrelationData", b""))


class Broker:
    """The gateway's other side; it answers only when told."""

    def __init__(self, gateway: FleetGateway, name: str) -> None:
        self.gateway, self.name = gateway, name

    def connect(self, now: float, *, receive_max: int = 20) -> list[Published]:
        """Let the gateway come up; returns what it publishes first, acknowledged."""
        self.gateway.opened(now)
        ((kind, _),) = self.packets()
        assert kind == 0x10
        self.say(b"\x20\x06\x00\x00\x03\x21" + receive_max.to_bytes(2, "big"), now)
        ((kind, body),) = self.packets()
        assert kind == 0x82
        self.subscription = body
        self.say(b"\x90\x04" + body[:2] + b"\x00\x01", now)
        births = self.publishes()
        self.acknowledge(births, now)
        return births

    def packets(self) -> list[tuple[int, bytes]]:
        """Take what the gateway has to send."""
        assert self.gateway.client is not None
        data, found = bytes(self.gateway.client.out), []
        self.gateway.client.out.clear()
        while data:
            length, size = VariableByteIntegers.decode(data[1:])  # type: ignore[no-untyped-call]
            found.append((data[0], data[1 + size : 1 + size + length]))
            data = data[1 + size + length :]
        return found

    def publishes(self) -> list[Published]:
        """Take what the gateway publishes; other packets are passed over."""
        return [_publish(kind, body) for kind, body in self.packets() if kind >> 4 == 3]

    def say(self, data: bytes, now: float) -> bool:
        return self.gateway.hear(data, now)

    def acknowledge(self, published: list[Published], now: float, code: int = 0) -> None:
        for one in published:
            assert self.say(b"\x40\x03" + one.packet.to_bytes(2, "big") + bytes((code,)), now)

    def receipt(self, one: Published, now: float, verdict: Verdict = Verdict.STORED) -> None:
        """Answer as the cloud does."""
        payload = encode_receipt(Receipt(verdict, at_us=1, stored=1, reason="" if verdict is Verdict.STORED else "no"))
        self.message(topic(self.name, Channel.RECEIPT), payload, now, correlation=one.correlation)

    def message(self, where: str, payload: bytes, now: float, *, correlation: bytes = b"") -> None:
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.CorrelationData = correlation
        name = where.encode()
        body = len(name).to_bytes(2, "big") + name + b"\x00\x09" + properties.pack() + payload
        self.say(b"\x32" + VariableByteIntegers.encode(len(body)) + body, now)  # type: ignore[no-untyped-call]


def _publish(kind: int, body: bytes) -> Published:
    length = int.from_bytes(body[:2], "big")
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    _, size = properties.unpack(body[4 + length :])  # type: ignore[no-untyped-call]
    return Published(
        body[2 : 2 + length].decode(),
        body[4 + length + size :],
        int.from_bytes(body[2 + length : 4 + length], "big"),
        bool(kind & 1),
        properties,
    )
