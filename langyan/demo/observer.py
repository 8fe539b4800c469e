"""A pair of eyes on the broker: what the gateways say of themselves, and when each alarm was stored."""

import threading

import paho.mqtt.client as mqtt
from msgspec import Struct, field
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from contract.alarms import AlarmEvent, decode_alarm
from contract.compression import unpack
from contract.errors import DecodeError
from contract.ids import GATEWAY_DEVICE
from contract.presence import Birth, decode_presence
from contract.receipts import Verdict, decode_receipt
from contract.telemetry import Value, decode_telemetry, header_from_properties
from contract.topics import CLOUD_READY, ROOT, Channel, parse_topic


class Seen(Struct):
    """One alarm event on the wire, and the cloud's time in its receipt once that has passed by."""

    event: AlarmEvent
    stored_at_us: int | None = None


class GatewayView(Struct):
    """What one gateway says of itself: alive or not, and its own devices' latest points."""

    is_alive: bool = False
    readings: int = 0
    receipts: int = 0
    refused: int = 0
    health: dict[str, dict[str, Value]] = field(default_factory=dict)


class Observer:
    """Listens to everything under our root topic; other threads read what it saw."""

    def __init__(self, port: int) -> None:
        """Connect to the broker on this machine, now and whenever it comes back."""
        self._lock = threading.Lock()
        self._alarms: dict[str, Seen] = {}
        self._by_correlation: dict[tuple[str, bytes], str] = {}
        self._gateways: dict[str, GatewayView] = {}
        self._workers: set[bytes] = set()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "langyan-observer", protocol=mqtt.MQTTv5)
        # Quicker than the gateways, so that it misses nothing they send; the signature says int, fractions work.
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()

    def alarms(self) -> list[Seen]:
        """Return every alarm event seen, once each, in order of arrival."""
        with self._lock:
            return list(self._alarms.values())

    def gateways(self) -> dict[str, GatewayView]:
        """Return what is known of each gateway."""
        with self._lock:
            return dict(self._gateways)

    def is_alive(self, gateway: str) -> bool:
        """Tell whether the gateway's last word was its birth."""
        with self._lock:
            return gateway in self._gateways and self._gateways[gateway].is_alive

    def is_connected(self) -> bool:
        """Tell whether the broker is there."""
        return self._client.is_connected()

    def has_heard(self, worker: str) -> bool:
        """Tell whether a cloud worker ("ingest", "desk") has said that it is ready."""
        with self._lock:
            return any(worker.encode() in said for said in self._workers)

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        options = SubscribeOptions(qos=1)
        client.subscribe([(f"{ROOT}/+/up/#", options), (f"{ROOT}/+/down/receipt", options), (CLOUD_READY, options)])

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            if message.topic == CLOUD_READY:
                self._workers.add(bytes(message.payload))
                return
            try:
                self._note(message)
            except DecodeError:
                # Not ours to judge: ingest and desk refuse it with a reason.
                return

    def _note(self, message: mqtt.MQTTMessage) -> None:
        where = parse_topic(message.topic)
        gateway = self._gateways.setdefault(where.gateway, GatewayView())
        correlation = (where.gateway, getattr(message.properties, "CorrelationData", b""))
        if where.channel is Channel.TELEMETRY:
            self._note_telemetry(gateway, where.gateway, message)
        elif where.channel is Channel.ALARM:
            event = decode_alarm(bytes(message.payload), gateway=where.gateway)
            self._alarms.setdefault(event.event_id, Seen(event))
            self._by_correlation[correlation] = event.event_id
        elif where.channel is Channel.RECEIPT:
            receipt = decode_receipt(bytes(message.payload))
            gateway.receipts += 1
            gateway.refused += receipt.refused
            seen = self._alarms.get(self._by_correlation.get(correlation, ""))
            if seen and seen.stored_at_us is None and receipt.verdict is Verdict.STORED:
                seen.stored_at_us = receipt.at_us
        elif where.channel is Channel.BIRTH:
            gateway.is_alive = isinstance(decode_presence(bytes(message.payload), gateway=where.gateway), Birth)

    @staticmethod
    def _note_telemetry(view: GatewayView, gateway: str, message: mqtt.MQTTMessage) -> None:
        header = header_from_properties(getattr(message.properties, "UserProperty", ()), gateway=gateway)
        for sample in decode_telemetry(unpack(bytes(message.payload), header.encoding)):
            if sample.device == GATEWAY_DEVICE or sample.device.startswith(f"{GATEWAY_DEVICE}."):
                view.health[sample.device] = {point.key: point.value for point in sample.points}
            else:
                view.readings += len(sample.points)
