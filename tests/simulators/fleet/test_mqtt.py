import threading
from collections.abc import Iterator
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from langyan.servers import Mosquitto
from simulators.fleet.mqtt import (
    MAX_PACKET_BYTES,
    Acknowledged,
    Connected,
    Event,
    HungUp,
    Login,
    Message,
    MqttClient,
    MqttProtocolError,
    Pong,
    Received,
    Subscribed,
    properties_of,
)
from tests.simulators.fleet.wire import Line

CONNACK = bytes.fromhex("20 0c 00 00 09 21 00 14 22 00 0a 13 00 1e")
PUBLISH = b"\x32\x10\x00\x03a/b\x00\x07\x05\x09\x00\x02id" + b"hello"[:3]
STREAM = (
    CONNACK
    + bytes.fromhex("90 04 00 01 00 01")
    + PUBLISH
    + bytes.fromhex("40 02 00 01")  # 3.4.2.1: without a reason code it is success
    + bytes.fromhex("40 04 00 02 10 00")  # no matching subscribers
    + bytes.fromhex("40 03 00 03 97")  # quota exceeded
    + bytes.fromhex("d0 00 e0 01 8e")
)
EVENTS: list[Event] = [
    Connected(0, 20, 30),
    Subscribed(1),
    Received("a/b", b"hel", b"id"),
    Acknowledged(1, 0),
    Acknowledged(2, 0x10),
    Acknowledged(3, 0x97),
    Pong(),
    HungUp(0x8E),
]


def paho(packet: int, **values: object) -> bytes:
    """The same properties as another library writes them."""
    properties: Any = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return bytes(properties.pack())


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_a_stream_in_pieces_of_any_size_means_the_same(size: int) -> None:
    client = MqttClient()
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [event for piece in pieces for event in client.feed(piece)] == EVENTS
    assert bytes(client.out) == bytes.fromhex("40 02 00 07"), "what came is acknowledged"


def test_a_packet_that_is_not_whole_waits() -> None:
    client = MqttClient()
    assert list(client.feed(CONNACK + PUBLISH[:-1])) == EVENTS[:1]
    assert list(client.feed(PUBLISH[-1:])) == [EVENTS[2]]


def test_properties_are_what_another_library_writes() -> None:
    mine = properties_of(
        content_type="application/json",
        response_topic="a/b",
        correlation=b"\x00\xff",
        user=[("boot", "1"), ("lane", "alarm")],
    )
    other = paho(
        PacketTypes.PUBLISH, ContentType="application/json", ResponseTopic="a/b", CorrelationData=b"\x00\xff",
        UserProperty=[("boot", "1"), ("lane", "alarm")],
    )  # fmt: skip
    assert bytes((len(mine),)) + mine == other


def test_a_connect_is_what_the_standard_says() -> None:
    client = MqttClient()
    client.connect(Login("c1", 60, Message("w", b"dead", is_retained=True), "me", "secret"))
    assert bytes(client.out) == (
        b"\x10\x2a\x00\x04MQTT\x05\xee\x00\x3c\x05\x27" + MAX_PACKET_BYTES.to_bytes(4, "big") + b"\x00\x02c1"
        b"\x00\x00\x01w\x00\x04dead\x00\x02me\x00\x06secret"
    )  # fmt: skip


def test_packet_ids_begin_anew_and_are_never_0() -> None:
    client = MqttClient()
    ids = [client.publish(Message("t", b"")) for _ in range(65_536)]
    assert ids[0] == 1
    assert ids[-2:] == [65_535, 1]


@pytest.mark.parametrize(
    "bad",
    [
        b"\x30\xff\xff\xff\xff\x01",  # a length that does not end
        b"\x30\x80\x80\x10",  # longer than was allowed
        b"\x10\x00",  # no broker connects
        b"\x34\x07\x00\x01a\x00\x01\x00x",  # QoS 2
        b"\x30\x04\x00\x09ab",  # a topic past the end
        b"\x30\x05\x00\x01a\x09\x01",  # properties past the end
        b"\x30\x06\x00\x01a\x02\xfe\x01",  # a property that there is not
        b"\x20\x01\x00",
        b"\x90\x03\x00\x01\x00",  # no codes
        b"\x30\x04\x00\x02\xff\xfe",  # no UTF-8
    ],
)
def test_what_is_not_mqtt_ends_the_connection(bad: bytes) -> None:
    with pytest.raises(MqttProtocolError):
        list(MqttClient().feed(bad))


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_raise_anything_else(pieces: list[bytes]) -> None:
    client = MqttClient()
    try:
        for piece in pieces:
            list(client.feed(piece))
    except MqttProtocolError:
        return
    assert len(client._received) <= sum(map(len, pieces))


@given(st.integers(0, len(STREAM) - 1), st.integers(0, 255))
def test_a_damaged_stream_raises_nothing_else(at: int, byte: int) -> None:
    damaged = STREAM[:at] + bytes((byte,)) + STREAM[at + 1 :]
    try:
        list(MqttClient().feed(damaged))
    except MqttProtocolError:
        return


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


class Peer:
    """Another library at the other end of the broker."""

    def __init__(self, port: int) -> None:
        self.got: list[MQTTMessage] = []
        self.came = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, "peer", protocol=MQTTv5)
        self.client.on_message = self._note
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe("up/#", qos=1)
        assert ready.wait(10)

    def _note(self, _client: object, _data: object, message: MQTTMessage) -> None:
        self.got.append(message)
        self.came.set()

    def publish(self, topic: str, payload: bytes, **values: object) -> None:
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for name, value in values.items():
            setattr(properties, name, value)
        self.client.publish(topic, payload, qos=1, properties=properties)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_a_real_broker_and_another_library_understand_it(broker: Mosquitto) -> None:
    with Peer(broker.port) as peer:
        _talk(broker, peer)


def _talk(broker: Mosquitto, peer: Peer) -> None:
    with Line(broker.port) as line:
        line.client.connect(Login("ours", 60, Message("up/will", b"lost", properties=b"")))
        (connected,) = line.until(Connected)
        assert connected.code == 0
        line.client.subscribe(["down/a", "down/b"])
        assert line.until(Subscribed)[-1].code == 1
        header = properties_of(content_type="x/y", response_topic="down/a", correlation=b"\x01\x02", user=[("k", "狼")])
        packet = line.client.publish(Message("up/a", b"payload" * 100, properties=header))
        assert line.until(Acknowledged)[-1] == Acknowledged(packet, 0)
        assert peer.came.wait(10)
        (message,) = peer.got
        assert (message.topic, message.payload) == ("up/a", b"payload" * 100)
        found: Any = message.properties
        assert (found.ContentType, found.ResponseTopic, found.CorrelationData) == ("x/y", "down/a", b"\x01\x02")
        assert found.UserProperty == [("k", "狼")]
        peer.publish(
            "down/b", b"answer", CorrelationData=b"\x01\x02", ContentType="x", PayloadFormatIndicator=1,
            MessageExpiryInterval=100, UserProperty=[("a", "b"), ("c", "d")],
        )  # fmt: skip
        assert line.until(Received)[-1] == Received("down/b", b"answer", b"\x01\x02")
        line.client.ping()
        assert line.until(Pong)
        peer.came.clear()
    # The connection broke: the broker sends the will.
    assert peer.came.wait(10)
    assert (peer.got[-1].topic, peer.got[-1].payload) == ("up/will", b"lost")


def test_a_good_bye_leaves_no_will(broker: Mosquitto) -> None:
    with Peer(broker.port) as peer:
        with Line(broker.port) as line:
            line.client.connect(Login("ours", 60, Message("up/will", b"lost")))
            line.until(Connected)
            line.client.disconnect()
            line.drain()
        with Line(broker.port) as line:
            line.client.connect(Login("other", 60))
            line.until(Connected)
            line.client.publish(Message("up/end", b""))
            line.until(Acknowledged)
        assert peer.came.wait(10)
        assert [message.topic for message in peer.got] == ["up/end"]
