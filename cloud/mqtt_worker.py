"""The MQTT side of a worker: paho in its own network thread, a bounded window, acknowledgement after the work.

* MQTT 5, clean start, session expiry 0: the broker keeps nothing for a worker that is gone. What it had taken and
  not answered, the gateways still have, and send again when `CLOUD_READY` is said.
* The window is MQTT's receive maximum: the broker is to have no more unacknowledged messages under way to us.
  mosquitto 2.0.11 keeps to it only until the first acknowledgement, and then sends all it has (tried: 30 under way
  with a maximum of 4). So there is room for some windows, and what comes beyond is dropped, acknowledged and
  counted: without a receipt its gateway sends it again, later, or as soon as `CLOUD_READY` says that there is room.
  QoS 0 has no window and no receipt; such messages are taken within one window and dropped beyond.
* Every connection is a client of its own with a rising generation. A message knows its generation, and its
  acknowledgement is dropped when that connection is over: packet ids begin anew on each connection, so it would
  acknowledge another message.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from msgspec import Struct
from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from cloud.backoff import Backoff, Outage
from cloud.clock import now_us
from cloud.counters import Counters
from cloud.errors import BrokerAwayError, BrokerCredentialsError
from cloud.settings import Mqtt, secret

_log = logging.getLogger(__name__)
# Reasons in `Counters.refused` beside the contract's: messages dropped unread.
WINDOW_BROKEN = "window-broken"
QOS0_OVERFLOW = "qos0-overflow"
_CONNECT_LIMIT_S = 10.0
_GOODBYE_LIMIT_S = 3.0
_WATCH_EVERY_S = 2.0
# A connection that ends sooner counts as a failed try: a broker that throws us out again and again must not
# make every gateway send everything again each time.
_STABLE_S = 10.0
# What no gateway sends (256 KiB is the contract's limit) but a broken one may: beyond this the broker drops it,
# up to it the message is refused with a receipt.
_MAX_PACKET_BYTES = 2 * 1024 * 1024
# Room for messages taken and not yet handed on. Small batches keep a few hundred of them far below 100 MB.
_ROOM_WINDOWS = 4
# Receipts waiting for the broker, in windows; more would mean that it takes ours slower than it gives us its own.
_OUTGOING_WINDOWS = 4
# Of these, sent and not yet acknowledged; with paho's 20 a busy worker's receipts would wait for each round trip.
_MAX_INFLIGHT = 1_000


class Message(Struct, frozen=True):
    """One message as plain values.

    Attributes:
        properties: MQTT 5 user properties, in order.
        response_topic, correlation: the request's, for its receipt; None when it has none.
        received_at_us: wall time of arrival in this process.
        generation: of its connection, see `MqttWorker.ack`.
        retained: it was kept by the broker and is sent because we subscribed; it may be old.
    """

    topic: str
    payload: bytes
    received_at_us: int
    properties: tuple[tuple[str, str], ...] = ()
    response_topic: str | None = None
    correlation: bytes | None = None
    qos: int = 1
    mid: int = 0
    generation: int = 0
    retained: bool = False


class _Connection:
    """One connection's client and what its network thread has said of it; events belong to the loop."""

    def __init__(self, client: Client, generation: int) -> None:
        self.client = client
        self.generation = generation
        self.connected = anyio.Event()
        self.subscribed = anyio.Event()
        self.lost = anyio.Event()
        self.refusal = ""
        self.last_sent: MQTTMessageInfo | None = None


class MqttWorker:
    """A subscriber that stays connected while `run` runs; everything but paho's callbacks is in one event loop.

    Args:
        settings: where the broker is.
        name: of the worker, part of its client id.
        filters: what to subscribe to, QoS 1.
        counters: `messages`, `reconnects` and, as `refused`, messages dropped unread are counted.
        greeting: topic and payload published, QoS 1, after each acknowledged subscription, and when there is
            room again after messages were dropped.
        room: messages taken and not yet handed on, beyond which they are dropped; None is some windows.
    """

    def __init__(
        self,
        settings: Mqtt,
        *,
        name: str,
        filters: Sequence[str],
        counters: Counters,
        greeting: tuple[str, bytes] | None = None,
        room: int | None = None,
    ) -> None:
        self._settings = settings
        self._name = name
        self._filters = tuple(filters)
        self._greeting = greeting
        self._counters = counters
        self._outage = Outage(_log, f"{name}: the connection to {settings.host}:{settings.port}")
        self._room = _ROOM_WINDOWS * settings.window if room is None else room
        self._outbox, self._inbox = anyio.create_memory_object_stream[Message](self._room)
        self._has_dropped = False
        self._generation = 0
        self._current: _Connection | None = None
        self.ready = anyio.Event()

    async def run(self) -> None:
        """Connect, and connect again, until cancelled; cancelling says good-bye to the broker."""
        # Workers are few and near their broker, and every gateway waits for them: they come back within a second.
        backoff = Backoff(longest_s=1.0)
        while True:
            try:
                await self._connect_once(backoff)
            except BrokerCredentialsError as error:
                await self._wait(error, Backoff(longest_s=60.0).longest())
            except BrokerAwayError as error:
                await self._wait(error, backoff.next_s())

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection on which to publish."""
        return self._current is not None

    @property
    def waiting(self) -> int:
        """Messages taken and not yet handed on."""
        return self._inbox.statistics().current_buffer_used

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be received."""
        return not self._inbox.statistics().current_buffer_used

    async def receive(self) -> Message:
        """Wait for the next message.

        Raises:
            EndOfStream: after `stop_receiving`.
        """
        message = await self._inbox.receive()
        self._tell_room()
        return message

    def receive_nowait(self) -> Message | None:
        """Take the next message if one is here."""
        try:
            return self._inbox.receive_nowait()
        except (anyio.WouldBlock, anyio.EndOfStream):
            return None

    def stop_receiving(self) -> None:
        """Take nothing more; what waits unanswered is forgotten here, and sent again by its gateway."""
        self._forget_waiting()
        self._outbox.close()

    def close(self) -> None:
        """Let go of the streams, once neither `run` nor `receive` is under way."""
        self._outbox.close()
        self._inbox.close()

    def ack(self, message: Message) -> None:
        """Acknowledge; dropped when the message's connection is over."""
        current = self._current
        if current is not None and message.generation == current.generation and message.qos:
            current.client.ack(message.mid, message.qos)

    def publish(self, topic: str, payload: bytes, *, correlation: bytes | None = None) -> bool:
        """Publish with QoS 1 on the present connection.

        Returns:
            False when there is none, or the broker is too slow: the message is gone, its receiver asks again.
        """
        if self._current is None:
            return False
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if correlation is not None:
            properties.CorrelationData = correlation
        info = self._current.client.publish(topic, payload, qos=1, properties=properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._current.last_sent = info
        return True

    def count_lost_receipt(self) -> None:
        """Count a receipt that could not be published."""
        self._counters.receipts_lost += 1

    async def _wait(self, error: BrokerAwayError | BrokerCredentialsError, wait_s: float) -> None:
        self._outage.failed(error, now_s=time.monotonic(), wait_s=wait_s)
        await anyio.sleep(wait_s)

    async def _connect_once(self, backoff: Backoff) -> None:
        self._generation += 1
        connection = _Connection(self._make_client(), self._generation)
        self._hook(connection)
        client = connection.client
        try:
            await self._open(connection)
            self._current = connection
            self._greet()
            _log.info("%s: subscribed, connection %d", self._name, connection.generation)
            self._outage.over(now_s=time.monotonic())
            self._counters.reconnects += self.ready.is_set()
            self.ready.set()
            since = time.monotonic()
            await self._watch(connection)
            if time.monotonic() - since > _STABLE_S:
                backoff.reset()
        finally:
            self._current = None
            self._forget_waiting()
            with anyio.move_on_after(_GOODBYE_LIMIT_S + 1, shield=True):
                await anyio.to_thread.run_sync(_say_goodbye, client, connection.last_sent, abandon_on_cancel=True)
        raise BrokerAwayError(f"lost{': ' if connection.refusal else ''}{connection.refusal}")

    async def _open(self, connection: _Connection) -> None:
        client, settings = connection.client, self._settings
        connect = partial(client.connect, settings.host, settings.port, keepalive=settings.keepalive_s)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = settings.window
        properties.SessionExpiryInterval = 0
        properties.MaximumPacketSize = _MAX_PACKET_BYTES
        try:
            with anyio.fail_after(_CONNECT_LIMIT_S):
                connect = partial(connect, clean_start=True, properties=properties)
                await anyio.to_thread.run_sync(connect, abandon_on_cancel=True)
                client.loop_start()
                await _either(connection.connected, connection.lost)
                self._check(connection)
                options = SubscribeOptions(qos=1)
                client.subscribe([(topic_filter, options) for topic_filter in self._filters])
                await _either(connection.subscribed, connection.lost)
                self._check(connection)
        except TimeoutError as error:
            raise BrokerAwayError(f"no answer within {_CONNECT_LIMIT_S:.0f} s") from error
        except OSError as error:
            raise BrokerAwayError(str(error)) from error

    def _check(self, connection: _Connection) -> None:
        """Tell apart a refusal, which a person must mend, and a loss, which time mends."""
        if connection.refusal:
            raise BrokerCredentialsError(connection.refusal)
        if connection.lost.is_set():
            raise BrokerAwayError("closed while connecting")

    def _greet(self) -> None:
        if self._greeting is not None:
            topic, payload = self._greeting
            self.publish(topic, payload)

    async def _watch(self, connection: _Connection) -> None:
        """Wait for the connection's end, and for that of its thread: a dead thread says nothing."""
        while not connection.lost.is_set():
            with anyio.move_on_after(_WATCH_EVERY_S):
                await connection.lost.wait()
            thread: threading.Thread | None = connection.client._thread  # noqa: SLF001 - paho has no other way
            if thread is None or not thread.is_alive():
                return

    def _forget_waiting(self) -> None:
        while self.receive_nowait() is not None:
            pass

    def _make_client(self) -> Client:
        settings = self._settings
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"langyan-{self._name}-{secrets.token_hex(6)}",
            protocol=MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.max_queued_messages_set(_OUTGOING_WINDOWS * settings.window)
        client.max_inflight_messages_set(_MAX_INFLIGHT)
        if settings.username is not None:
            password = secret(settings.password_env) if settings.password_env else None
            client.username_pw_set(settings.username, password)
        return client

    def _hook(self, connection: _Connection) -> None:
        """Set paho's callbacks; they run in its thread and only hand over to the loop."""
        loop = asyncio.get_running_loop()
        client = connection.client

        def post(act: Callable[[], None]) -> None:
            # The loop may be gone when a thread outlives its good-bye; then nobody listens any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(act)

        def on_connect(_client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
            post(partial(_settle, connection, connection.connected, [reason]))

        def on_subscribe(_client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
            post(partial(_settle, connection, connection.subscribed, reasons))

        def on_disconnect(_client: Client, _data: Any, _flags: Any, _reason: ReasonCode, _properties: Any) -> None:
            post(connection.lost.set)

        def on_message(_client: Client, _data: Any, message: MQTTMessage) -> None:
            post(partial(self._take, _plain(message, connection.generation)))

        client.on_connect = on_connect
        client.on_subscribe = on_subscribe
        client.on_disconnect = on_disconnect
        client.on_message = on_message
        client.on_socket_open = _no_delay

    def _take(self, message: Message) -> None:
        if message.generation != self._generation:
            return
        if not message.qos and self._inbox.statistics().current_buffer_used >= self._settings.window:
            self._counters.refused[QOS0_OVERFLOW] += 1
            return
        self._counters.messages += 1
        try:
            self._outbox.send_nowait(message)
        except anyio.ClosedResourceError:
            pass  # stopping: its gateway sends it again
        except anyio.WouldBlock:
            if not self._has_dropped:
                room = self._room
                _log.warning("%s: the broker sends beyond the window; dropping what exceeds %d", self._name, room)
            self._counters.refused[WINDOW_BROKEN] += 1
            self._has_dropped = True
            # Unacknowledged it would take a place in the broker's window for as long as we are connected.
            self.ack(message)

    def _tell_room(self) -> None:
        """Ask the gateways to send again what was dropped, once all that was taken is handed on."""
        if self._has_dropped and not self._inbox.statistics().current_buffer_used:
            self._has_dropped = False
            self._greet()


async def _either(first: anyio.Event, second: anyio.Event) -> None:
    async def wait(event: anyio.Event, scope: anyio.CancelScope) -> None:
        await event.wait()
        scope.cancel()

    async with anyio.create_task_group() as waits:
        waits.start_soon(wait, first, waits.cancel_scope)
        waits.start_soon(wait, second, waits.cancel_scope)


def _settle(connection: _Connection, event: anyio.Event, reasons: Sequence[ReasonCode]) -> None:
    failed = [str(reason) for reason in reasons if reason.is_failure]
    if failed:
        connection.refusal = f"refused: {', '.join(failed)}"
    event.set()


def _plain(message: MQTTMessage, generation: int) -> Message:
    try:
        topic = message.topic
    except UnicodeDecodeError:
        topic = "\N{REPLACEMENT CHARACTER}"
    properties = message.properties
    return Message(
        topic=topic,
        payload=bytes(message.payload),
        received_at_us=now_us(),
        properties=tuple(getattr(properties, "UserProperty", ())),
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
        qos=message.qos,
        mid=message.mid,
        generation=generation,
        retained=message.retain,
    )


def _no_delay(_client: Client, _data: Any, opened: Any) -> None:
    # An acknowledgement is 4 bytes; Nagle's algorithm would hold it for the receipt before it to be confirmed.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _say_goodbye(client: Client, last_sent: MQTTMessageInfo | None) -> None:
    """Let the last receipt reach the broker, disconnect, end the thread. Runs in a thread; limited."""
    if last_sent is not None and client.is_connected():
        # Raised when the connection broke meanwhile: the gateway asks again.
        with contextlib.suppress(RuntimeError, ValueError):
            last_sent.wait_for_publish(_GOODBYE_LIMIT_S)
    client.disconnect()
    client.loop_stop()
