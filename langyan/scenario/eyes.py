"""What arrives in the cloud, noted; and where no cloud runs beside it, the receipts that a cloud would give."""

import threading
import time
from collections import Counter

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from contract.alarms import decode_alarm
from contract.commands import Command, encode_command
from contract.compression import unpack
from contract.errors import DecodeError
from contract.presence import Birth, decode_presence
from contract.receipts import Receipt, Verdict, decode_receipt, encode_receipt
from contract.telemetry import decode_telemetry, header_from_properties
from contract.topics import CLOUD_READY, ROOT, Channel, parse_topic, topic
from langyan.scenario.clock import StoryClock
from simulators.scenario.expecting import GatewayState
from simulators.scenario.record import Record, SeenAlarm, SeenState
from simulators.scenario.world import Who

ANSWERED = (Channel.TELEMETRY, Channel.ALARM, Channel.BIRTH)

# Quicker than gateways come back, so that nothing they send is missed.
_RECONNECT_S = 0.1
_SLOWEST_RECONNECT_S = 0.2


class Eyes:
    """Subscribed to everything of every gateway; a thread of its own takes messages, under `lock`.

    Attributes:
        record: what was seen; read it under `lock`.
        lock: held while the record changes.
        kept: readings that arrived, each once, by device and point.
    """

    def __init__(self, port: int, clock: StoryClock, record: Record, *, answers: bool) -> None:
        """Connect to the broker on this machine, now and whenever it comes back; `answers` plays the cloud."""
        self.record, self._clock, self._answers = record, clock, answers
        self.lock = threading.Lock()
        self.kept: Counter[tuple[Who, str]] = Counter()
        self._is_away = False
        self._changed = threading.Event()
        self._workers: set[bytes] = set()
        self._batches: set[tuple[str, bytes]] = set()
        self._alarms: dict[str, SeenAlarm] = {}
        self._by_correlation: dict[tuple[str, bytes], str] = {}
        self._alive: dict[str, bool] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "langyan-scenario", protocol=mqtt.MQTTv5)
        # The signature says int, fractions work.
        self._client.reconnect_delay_set(_RECONNECT_S, _SLOWEST_RECONNECT_S)  # type: ignore[arg-type]
        self._client.max_inflight_messages_set(0)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()

    def wait(self, timeout_s: float) -> None:
        """Wait until something has arrived, or for so long."""
        self._changed.wait(timeout_s)
        self._changed.clear()

    def is_alive(self, gateway: str) -> bool:
        """Tell whether the gateway's last word was its birth."""
        with self.lock:
            return self._alive.get(gateway, False)

    def has_heard(self, worker: str) -> bool:
        """Tell whether a cloud worker has said that it is ready."""
        with self.lock:
            return any(worker.encode() in said for said in self._workers)

    def go_away(self) -> None:
        """Neither hear nor answer, as a cloud that is gone."""
        self._is_away = True

    def come_back(self) -> None:
        """Hear again, and say so, as cloud workers do: gateways then send what has no receipt."""
        self._is_away = False
        self._say_ready()

    def send_command(self, command: Command) -> None:
        """Send a gateway a command, as the cloud does."""
        payload = encode_command(command, at_us=time.time_ns() // 1000)
        self._client.publish(topic(command.gateway, Channel.COMMAND), payload, qos=1)

    def _say_ready(self) -> None:
        if self._answers and not self._is_away:
            self._client.publish(CLOUD_READY, b'{"worker": "scenario"}', qos=1)

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        filters = (f"{ROOT}/+/up/#", f"{ROOT}/+/down/receipt", CLOUD_READY)
        client.subscribe([(one, SubscribeOptions(qos=1)) for one in filters])

    def _on_subscribe(self, *_: object) -> None:
        self._say_ready()

    def _on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if self._is_away:
            return
        if message.topic == CLOUD_READY:
            with self.lock:
                self._workers.add(bytes(message.payload))
            return
        try:
            where = parse_topic(message.topic)
            with self.lock:
                self._note(where.gateway, where.channel, message)
        except DecodeError:
            # Not ours to judge; without a receipt the gateway keeps it, and the count shows what is missing.
            return
        if self._answers and where.channel in ANSWERED:
            self._receipt(client, where.gateway, message)
        self._changed.set()

    def _receipt(self, client: mqtt.Client, gateway: str, message: mqtt.MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None)
        if correlation is None or not message.payload:
            return
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.CorrelationData = correlation
        receipt = Receipt(Verdict.STORED, at_us=time.time_ns() // 1000, stored=1)
        client.publish(topic(gateway, Channel.RECEIPT), encode_receipt(receipt), qos=1, properties=properties)

    def _note(self, gateway: str, channel: Channel, message: mqtt.MQTTMessage) -> None:
        at_s, payload = self._clock.now_s(), bytes(message.payload)
        correlation = (gateway, getattr(message.properties, "CorrelationData", b""))
        match channel:
            case Channel.TELEMETRY:
                if correlation not in self._batches:
                    self._note_batch(gateway, message, at_s)
                    self._batches.add(correlation)
            case Channel.ALARM:
                event = decode_alarm(payload, gateway=gateway)
                self._by_correlation[correlation] = event.event_id
                if event.event_id not in self._alarms:
                    seen = self._alarms[event.event_id] = SeenAlarm(at_s, event)
                    self.record.alarms.append(seen)
            case Channel.RECEIPT:
                stored = self._alarms.get(self._by_correlation.get(correlation, ""))
                is_stored = decode_receipt(payload).verdict is Verdict.STORED
                if stored is not None and stored.stored_at_s is None and is_stored:
                    stored.stored_at_s = at_s
            case Channel.BIRTH if payload:
                self._note_presence(gateway, payload, at_s)

    def _note_batch(self, gateway: str, message: mqtt.MQTTMessage, at_s: float) -> None:
        header = header_from_properties(getattr(message.properties, "UserProperty", ()), gateway=gateway)
        samples = decode_telemetry(unpack(bytes(message.payload), header.encoding))
        self.record.note_samples(gateway, samples, at_s)
        for sample in samples:
            for point in sample.points:
                self.kept[Who(gateway, sample.device), point.key] += 1

    def _note_presence(self, gateway: str, payload: bytes, at_s: float) -> None:
        said = decode_presence(payload, gateway=gateway)
        self._alive[gateway] = isinstance(said, Birth)
        state = GatewayState.BORN
        if not isinstance(said, Birth):
            state = GatewayState.LOST if said.reason == "lost" else GatewayState.STOPPED
        self.record.states.append(SeenState(at_s, gateway, state))
