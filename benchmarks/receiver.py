"""The cloud's side of the benchmarks: it notes what arrives and when, and answers receipts as the cloud would.

Where the real cloud runs beside it, it only looks on, and sees the cloud's receipts too.
"""

import collections
import threading
import time
from collections.abc import Callable, Iterator

import paho.mqtt.client as mqtt
from msgspec import Struct
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from contract.alarms import AlarmEvent, decode_alarm
from contract.compression import unpack
from contract.receipts import Receipt, Verdict, decode_receipt, encode_receipt
from contract.telemetry import Lane, Sample, decode_telemetry, header_from_properties
from contract.topics import CLOUD_READY, ROOT, Channel, parse_topic, topic

ANSWERED = (Channel.TELEMETRY, Channel.ALARM, Channel.BIRTH)


class Arrived(Struct, frozen=True):
    """One message as it came, not looked into yet.

    Attributes:
        at_ns: when it came, monotonic clock.
        wall_us: the same by the wall clock, UTC.
    """

    at_ns: int
    wall_us: int
    gateway: str
    channel: Channel
    payload: bytes
    properties: tuple[tuple[str, str], ...]
    correlation: bytes

    @property
    def lane(self) -> Lane:
        """The lane that its header names."""
        return header_from_properties(self.properties, gateway=self.gateway).lane

    def samples(self) -> list[Sample]:
        """Read telemetry."""
        header = header_from_properties(self.properties, gateway=self.gateway)
        return decode_telemetry(unpack(self.payload, header.encoding))

    def alarm(self) -> AlarmEvent:
        """Read an alarm."""
        return decode_alarm(self.payload, gateway=self.gateway)

    def receipt(self) -> Receipt:
        """Read a receipt."""
        return decode_receipt(self.payload)


def answer_to(message: mqtt.MQTTMessage) -> tuple[str, bytes, Properties] | None:
    """Make the receipt that a message asks for: its topic, payload and properties; None when it asks for none."""
    where = parse_topic(message.topic)
    correlation = getattr(message.properties, "CorrelationData", None)
    if where.channel not in ANSWERED or correlation is None or not message.payload:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.CorrelationData = correlation
    receipt = Receipt(Verdict.STORED, at_us=time.time_ns() // 1000, stored=1)
    return topic(where.gateway, Channel.RECEIPT), encode_receipt(receipt), properties


class Receiver:
    """A subscriber to everything of every gateway; a thread of its own takes messages, the caller drains them.

    Attributes:
        workers: what cloud workers have said when they had subscribed.
    """

    def __init__(self, port: int, *, answers: bool = True) -> None:
        """Connect and subscribe.

        Args:
            port: the broker's, on this machine.
            answers: whether to play the cloud; False looks on.
        """
        self._arrived: collections.deque[Arrived] = collections.deque()
        self._answers = answers
        self.workers: tuple[str, ...] = ()
        self._is_subscribed = threading.Event()
        self._on_alarm: Callable[[Arrived], None] = lambda _: None
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-receiver", protocol=mqtt.MQTTv5)
        self._client.reconnect_delay_set(0.05, 0.2)  # type: ignore[arg-type]
        self._client.max_inflight_messages_set(0)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        # The session outlives a lost connection: nothing slips past between two.
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = 3600
        session.ReceiveMaximum = 1000
        self._client.connect("127.0.0.1", port, keepalive=600, clean_start=False, properties=session)
        self._client.loop_start()
        if not self._is_subscribed.wait(10):
            raise TimeoutError(f"the broker on port {port} does not answer")

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()

    def on_alarm(self, notice: Callable[[Arrived], None]) -> None:
        """Call `notice` (in the receiving thread) for each alarm at once, besides keeping it."""
        self._on_alarm = notice

    def drain(self) -> Iterator[Arrived]:
        """Hand out what has come by now, oldest first, and forget it."""
        for _ in range(len(self._arrived)):
            yield self._arrived.popleft()

    def __len__(self) -> int:
        return len(self._arrived)

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        filters = (f"{ROOT}/+/up/#", f"{ROOT}/+/down/#", CLOUD_READY)
        client.subscribe([(one, SubscribeOptions(qos=1)) for one in filters])

    def _on_subscribe(self, *_: object) -> None:
        self._is_subscribed.set()

    def _on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        at_ns, wall_us = time.monotonic_ns(), time.time_ns() // 1000
        if message.topic == CLOUD_READY:
            self.workers += (bytes(message.payload).decode(errors="replace"),)
            return
        where = parse_topic(message.topic)
        if self._answers and (answer := answer_to(message)):
            client.publish(answer[0], answer[1], qos=1, properties=answer[2])
        arrived = Arrived(
            at_ns,
            wall_us,
            where.gateway,
            where.channel,
            bytes(message.payload),
            tuple(getattr(message.properties, "UserProperty", ())),
            getattr(message.properties, "CorrelationData", b""),
        )
        self._arrived.append(arrived)
        if where.channel is Channel.ALARM:
            self._on_alarm(arrived)
