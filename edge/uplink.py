"""The uplink: sends what the outbox holds, alarms first, again and again until its receipt comes."""

import json
import logging
import math
import random
import socket
from collections.abc import AsyncIterator

import aiomqtt
import anyio
from msgspec import Struct
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from contract import cloudevents, presence, senml
from contract.errors import DecodeError
from contract.presence import Birth, Death
from contract.receipts import Verdict, decode_receipt
from contract.telemetry import BatchHeader, Lane
from contract.topics import CLOUD_READY, Channel, topic
from device_profiles.site import Uplink
from edge.health import UplinkHealth
from edge.outbox import Batch
from edge.store import Store
from edge.window import Window

log = logging.getLogger(__name__)
# aiomqtt warns of many publishes under way; the window bounds them.
logging.getLogger("mqtt").setLevel(logging.ERROR)

# The first try again comes at once, as a broker that restarts is back within a second; a city of gateways
# spreads over the jitter.
FIRST_RECONNECT_S = 0.25
LONGEST_RECONNECT_S = 2.0
REFUSED_RECONNECT_S = 60.0
LONGEST_SILENCE_S = 60.0
PUBLISH_LIMIT_S = 20.0
# Receipts are written down in groups: a receipt that a power cut loses costs one repeated batch, no more.
SETTLE_EVERY_S = 0.5
ALARMS_UNDER_WAY = 8
# However often a worker says that it is ready, everything goes again at most this often.
READY_EVERY_S = 0.25
UNNAMED = "worker"
LANES_OF = {"desk": (Lane.ALARM,), "ingest": (Lane.LIVE, Lane.BACKFILL), UNNAMED: tuple(Lane)}
# CONNACK reason codes that only the operator can mend. Source: MQTT 5.0, table 3-1.
REFUSED_CODES = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})
MAX_INCOMING = 1_000


class Link(Struct, frozen=True):
    """Where and as whom the uplink connects."""

    settings: Uplink
    password: str | None
    gateway: str


class _Cursor(Struct):
    """How far each lane has been sent; what is at or below is under way, settled, or another lane's."""

    mark: int = 0
    alarm: int = 0
    live: int = 0
    backfill: int = 0


class UplinkSender:
    """One gateway's way to the cloud."""

    def __init__(self, link: Link, store: Store, *, birth: Birth, health: UplinkHealth) -> None:
        """Prepare; nothing is connected yet."""
        self._link = link
        self._store = store
        self._birth = birth
        self._health = health
        self._store_name = store.name
        self._cursor = _Cursor()
        self._settled: list[int] = []
        self._ready_at: dict[str, float] = {}
        # Never, until `drain` says when.
        self._drain_until = math.inf
        self._sending: anyio.CancelScope | None = None
        settings = link.settings
        self._window = Window(
            room={
                Lane.ALARM: ALARMS_UNDER_WAY,
                Lane.LIVE: settings.window,
                Lane.BACKFILL: max(1, settings.window // 2),
            },
            patience_s={
                Lane.ALARM: settings.alarm_resend_s,
                Lane.LIVE: settings.resend_s,
                Lane.BACKFILL: settings.resend_s,
            },
            longest_s=LONGEST_SILENCE_S,
        )

    async def run(self) -> None:
        """Stay connected and send, until cancelled or drained; never gives up."""
        self._cursor.mark = await self._store.newest()
        self._cursor.live = self._cursor.mark
        rest_s = FIRST_RECONNECT_S
        was_down = False
        while not self._is_drained():
            refused = False
            try:
                async with self._client() as client:
                    log.info("uplink: connected to %s:%d", self._link.settings.host, self._link.settings.port)
                    rest_s, was_down = FIRST_RECONNECT_S, False
                    await self._serve(client)
                    return
            except* (aiomqtt.MqttError, OSError) as group:
                error = _first(group)
                refused = _is_refusal(error)
                log.log(logging.DEBUG if was_down else logging.WARNING, "uplink: %s; trying again", error)
                was_down = True
            finally:
                self._health.is_up = False
            # A refused password is not mended by asking more often.
            pause_s = REFUSED_RECONNECT_S if refused else rest_s
            await self._pause(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            rest_s = min(rest_s * 2, LONGEST_RECONNECT_S)

    def drain(self, limit_s: float) -> None:
        """Ask `run` to say good-bye and return, once nothing waits for a receipt or `limit_s` has passed."""
        self._drain_until = anyio.current_time() + limit_s
        if self._sending is not None:
            self._sending.deadline = self._drain_until
        self._store.ring()

    def _is_drained(self) -> bool:
        if self._drain_until == math.inf:
            return False
        return self._store.is_empty() or anyio.current_time() >= self._drain_until

    async def _pause(self, seconds: float) -> None:
        """Wait; a drain with nothing left to send cuts it short."""
        with anyio.move_on_after(seconds):
            while not self._is_drained():
                with anyio.CancelScope(deadline=self._drain_until):
                    await self._store.bell.wait()

    def _client(self) -> aiomqtt.Client:
        settings = self._link.settings
        # No session is kept: what was under way is sent again anyway, and a kept session would only repeat it.
        connect = _properties(PacketTypes.CONNECT, SessionExpiryInterval=0)
        return aiomqtt.Client(
            settings.host,
            settings.port,
            username=settings.username,
            password=self._link.password,
            identifier=f"langyan-{self._link.gateway}",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=settings.keepalive_s,
            timeout=10,
            properties=connect,
            will=aiomqtt.Will(
                topic(self._link.gateway, Channel.BIRTH),
                presence.encode_presence(Death(self._birth.gateway, self._birth.boot, "lost")),
                qos=1,
                retain=True,
            ),
            max_queued_incoming_messages=MAX_INCOMING,
            # Without it an alarm waits up to 40 ms for the broker's delayed acknowledgement of the packet before it.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Be a connected gateway until the connection breaks, or all is drained."""
        await client.subscribe([(topic(self._link.gateway, Channel.RECEIPT), 1), (CLOUD_READY, 1)])
        await self._publish_presence(client, self._birth)
        await self._settle()
        self._cursor.mark = self._cursor.live = await self._store.newest()
        self._window.all_again(anyio.current_time())
        self._health.is_up = True
        self._health.connects += 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, client)
            tasks.start_soon(self._settle_for_ever)
            with anyio.CancelScope(deadline=self._drain_until) as self._sending:
                await self._send_until_drained(client, tasks)
            tasks.cancel_scope.cancel()
        await self._publish_presence(client, Death(self._birth.gateway, self._birth.boot, "stopped"))

    async def _publish_presence(self, client: aiomqtt.Client, message: Birth | Death) -> None:
        await client.publish(
            topic(self._link.gateway, Channel.BIRTH),
            presence.encode_presence(message),
            qos=1,
            retain=True,
            properties=_properties(PacketTypes.PUBLISH, ContentType=presence.MEDIA_TYPE),
            timeout=PUBLISH_LIMIT_S,
        )

    async def _send_until_drained(self, client: aiomqtt.Client, tasks: anyio.abc.TaskGroup) -> None:
        while not self._is_drained():
            # Taken before looking, so that what is put meanwhile rings this bell and no wait misses it.
            bell = self._store.bell
            count = 0
            async for batch, lane in self._next():
                self._note_sent(batch.id, lane)
                tasks.start_soon(self._publish, client, batch, lane)
                count += 1
            if self._drain_until != math.inf:
                await self._settle()
            if not count:
                await self._wait_for_work(bell)

    async def _next(self) -> AsyncIterator[tuple[Batch, Lane]]:
        """Yield what should leave now: what is overdue, then each lane's next, most urgent lane first."""
        if self._store.name != self._store_name:
            self._start_over()
        for number, lane in self._window.overdue(anyio.current_time()):
            batch = await self._store.get(number)
            if batch is None:
                self._window.forget(number)
            else:
                yield batch, lane
        for lane in Lane:
            room = self._window.room(lane)
            if room:
                after = getattr(self._cursor, lane.value)
                for batch in await self._store.next_batches(lane, mark=self._cursor.mark, after=after, limit=room):
                    setattr(self._cursor, lane.value, batch.id)
                    if batch.id not in self._window:
                        yield batch, lane

    def _note_sent(self, number: int, lane: Lane) -> None:
        again = number in self._window
        self._window.sent(number, lane, anyio.current_time())
        self._health.sent += 1
        self._health.sent_again += again
        self._health.under_way = len(self._window)

    def _start_over(self) -> None:
        """The outbox file was damaged and replaced: its numbers begin anew."""
        self._store_name = self._store.name
        self._cursor = _Cursor()
        self._settled = []
        self._window.clear()

    async def _wait_for_work(self, bell: anyio.Event) -> None:
        next_at = self._window.next_at()
        limit_s = LONGEST_SILENCE_S if next_at is None else max(0.0, next_at - anyio.current_time())
        with anyio.move_on_after(limit_s):
            await bell.wait()

    async def _publish(self, client: aiomqtt.Client, batch: Batch, lane: Lane) -> None:
        gateway = self._link.gateway
        properties = _properties(
            PacketTypes.PUBLISH,
            ContentType=cloudevents.MEDIA_TYPE if batch.is_alarm else senml.MEDIA_TYPE,
            ResponseTopic=topic(gateway, Channel.RECEIPT),
            CorrelationData=f"{self._store.name}:{batch.id}".encode(),
            UserProperty=BatchHeader(gateway, batch.boot, lane, batch.id, batch.encoding).to_properties(),
        )
        await client.publish(
            topic(gateway, Channel.ALARM if batch.is_alarm else Channel.TELEMETRY),
            batch.payload,
            qos=1,
            properties=properties,
            timeout=PUBLISH_LIMIT_S,
        )

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if message.topic.value == CLOUD_READY:
                self._take_ready(_worker(message))
            else:
                self._take_receipt(message)

    def _take_ready(self, worker: str) -> None:
        """A cloud worker has just subscribed: what was sent before it did, nobody took."""
        now = anyio.current_time()
        if now - self._ready_at.get(worker, -READY_EVERY_S) < READY_EVERY_S:
            return
        self._ready_at[worker] = now
        log.info("uplink: the cloud's %s is ready; sending what has no receipt", worker)
        self._window.all_again(now, LANES_OF[worker])
        self._store.ring()

    def _take_receipt(self, message: aiomqtt.Message) -> None:
        number = self._batch_number(message)
        try:
            receipt = decode_receipt(message.payload)
        except DecodeError as error:
            log.warning("uplink: a receipt cannot be read: %s", error)
            return
        if number is None:
            return
        self._health.receipts += 1
        if receipt.verdict is Verdict.REFUSED:
            self._health.refused += receipt.refused or 1
            log.warning("uplink: the cloud refused (part of) batch %d: %s", number, receipt.reason)
        self._window.receipt(number)
        self._health.under_way = len(self._window)
        self._settled.append(number)
        self._store.ring()

    def _batch_number(self, message: aiomqtt.Message) -> int | None:
        """Read our own correlation data; None when it names another outbox file, or nothing."""
        correlation = getattr(message.properties, "CorrelationData", b"")
        store, _, number = correlation.decode("ascii", "replace").partition(":")
        return int(number) if store == self._store.name and number.isdecimal() else None

    async def _settle_for_ever(self) -> None:
        while True:
            await anyio.sleep(SETTLE_EVERY_S)
            await self._settle()

    async def _settle(self) -> None:
        numbers, self._settled = self._settled, []
        if numbers:
            await self._store.settle(numbers)
            self._store.ring()


def _properties(packet: int, **values: object) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _worker(message: aiomqtt.Message) -> str:
    try:
        name = json.loads(message.payload)["worker"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return UNNAMED
    return name if isinstance(name, str) and name in LANES_OF else UNNAMED


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error inside nested groups: they all tell of the same lost connection."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, aiomqtt.MqttCodeError) and getattr(error.rc, "value", error.rc) in REFUSED_CODES
