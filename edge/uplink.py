"""The uplink: sends what the outbox holds, alarms first, again and again until its receipt comes."""

import json
import logging
import math
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import aiomqtt
import anyio
from msgspec import Struct

from contract import cloudevents, presence, senml
from contract.errors import DecodeError, first_error
from contract.presence import Birth, Death
from contract.receipts import Receipt, Verdict, decode_receipt
from contract.telemetry import BatchHeader, ClockSource, Lane
from contract.topics import CLOUD_READY, Channel, topic
from edge.broker import Link, is_refusal, make_client, publish_properties, subscribe
from edge.errors import StoreFullError
from edge.health import UplinkHealth
from edge.outbox import Batch, Ref
from edge.pacing import Rate, Reconnects
from edge.store import Store
from edge.window import Flight, Window

log = logging.getLogger(__name__)
# aiomqtt warns of many publishes under way; the window bounds them.
logging.getLogger("mqtt").setLevel(logging.ERROR)

LONGEST_SILENCE_S = 60.0
PUBLISH_LIMIT_S = 20.0
# Receipts are written down in groups: a receipt that a power cut loses costs one repeated batch, no more.
SETTLE_EVERY_S = 0.5
ALARMS_UNDER_WAY = 8
# However often a worker says that it is ready, everything goes again at most this often.
READY_EVERY_S = 0.25
TELEMETRY_READY_EVERY_S = 2.0
UNNAMED = "worker"
LANES_OF = {"desk": (Lane.ALARM,), "ingest": (Lane.LIVE, Lane.BACKFILL), UNNAMED: tuple(Lane)}
# On a wire of 12 KB/s an alarm then waits some four seconds at the very worst, not minutes.
MAX_UNPUBLISHED_BYTES = 32_768
# So many live batches behind (some ten seconds at two a second) the lag is backlog, and new readings go first.
LIVE_LAG_BATCHES = 24
# Longer decimal numbers are no numbers of ours: SQLite's go to 2**63 - 1.
MAX_DIGITS = 18
# Connected, and nobody has told the time: alarms go out with an estimated one after this, and readings, which can
# wait longer for a good one, after that.
ALARM_TIME_PATIENCE_S = 2.0
TIME_PATIENCE_S = 30.0
ASK_AGAIN_S = 5.0
# A birth may have waited at the broker for the cloud; its receipt then says too little of the time.
LONGEST_ASKED_S = 60.0
# A receipt that took longer says too little of the time; and one in a connection's first seconds may answer a batch
# that was sent before it.
LONGEST_ROUND_TRIP_S = 2.0
YOUNG_S = 10.0


class Commands(Protocol):
    """Who takes the commands that come over the uplink."""

    def take(self, payload: bytes) -> None:
        """Take one message from the command topic; never waits."""

    async def answer(self, client: aiomqtt.Client) -> None:
        """Publish the answers on this connection, until cancelled."""


class _Cursor(Struct):
    """How far each lane has been sent; what is at or below is under way, settled, or another lane's."""

    mark: int = 0
    alarm: int = 0
    live: int = 0
    backfill: int = 0


class UplinkSender:
    """One gateway's way to the cloud.

    Attributes:
        progress_at: when it last did something useful, by the loop's clock: turned its loops, or tried to connect.
    """

    def __init__(
        self,
        link: Link,
        store: Store,
        *,
        birth: Birth,
        health: UplinkHealth,
        on_sent: Callable[[Batch], None] | None = None,
        on_receipt: Callable[[Batch, Receipt], None] | None = None,
        commands: Commands | None = None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            link: where to.
            store: what to send.
            birth: who we are; its time is set anew at each connection.
            health: counters to move.
            on_sent: told of every alarm event that leaves; must not wait.
            on_receipt: told of every alarm event's receipt; must not wait.
            commands: takes commands; without it they are passed over.
        """
        self._link = link
        self._store = store
        self._birth = birth
        self._health = health
        self._on_sent = on_sent
        self._on_receipt = on_receipt
        self._commands = commands
        self.progress_at = 0.0
        self._stores = store.stores()
        self._is_down = False
        self._reconnects = Reconnects()
        self._publishing = 0
        self._published_at = 0.0
        self._connected_at = 0.0
        self._cursor = _Cursor()
        self._settled: list[Ref] = []
        self._alarms: dict[Ref, Batch] = {}
        self._ready_at: dict[str, float] = {}
        self._asked: tuple[bytes, float] = (b"", 0.0)
        # Never, until `drain` says when.
        self._drain_until = math.inf
        self._sending: anyio.CancelScope | None = None
        settings = link.settings
        self._backfill = Rate(settings.backfill_readings_s)
        self._window: Window[Ref] = Window(
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
        while not self._is_drained():
            refused = False
            self._turn()
            try:
                async with make_client(self._link, will=self._will()) as client:
                    await self._serve(client)
                    return
            except* (aiomqtt.MqttError, OSError) as group:
                error = first_error(group)
                refused = is_refusal(error)
                log.log(logging.DEBUG if self._is_down else logging.WARNING, "uplink: %s; trying again", error)
                self._is_down = True
                self._health.now.error, self._health.now.is_refused = str(error), refused
            finally:
                self._health.is_up = False
                self._window.cut(anyio.current_time())
            await self._pause(self._reconnects.pause_s(is_refused=refused))

    def drain(self, limit_s: float) -> None:
        """Ask `run` to say good-bye and return, once nothing waits for a receipt or `limit_s` has passed."""
        self._drain_until = anyio.current_time() + limit_s
        if self._sending is not None:
            self._sending.deadline = self._drain_until
        self._store.ring()

    def _turn(self) -> None:
        self.progress_at = anyio.current_time()

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

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Be a connected gateway until the connection breaks, or all is drained."""
        async with anyio.create_task_group() as tasks:
            # Listening first: only it notices at once that the connection is lost.
            tasks.start_soon(self._listen, client)
            await subscribe(client, self._link.gateway)
            self._connected_at = self._health.now.connected_at = anyio.current_time()
            await self._say_birth(client)
            await self._settle()
            self._begin_anew()
            self._health.is_up = True
            self._health.connects += 1
            self._health.now.error, self._health.now.is_refused = "", False
            tasks.start_soon(self._settle_for_ever)
            tasks.start_soon(self._watch_progress, client)
            if self._commands is not None:
                tasks.start_soon(self._commands.answer, client)
            with anyio.CancelScope(deadline=self._drain_until) as self._sending:
                # Each in a task of its own: an alarm does not even wait for readings to be had from the disk.
                async with anyio.create_task_group() as lanes:
                    lanes.start_soon(self._send_until_drained, client, tasks, (Lane.ALARM,))
                    lanes.start_soon(self._send_until_drained, client, tasks, (Lane.LIVE, Lane.BACKFILL))
            await self._settle()
            await self._publish_presence(client, Death(self._birth.gateway, self._birth.boot, "stopped"))
            tasks.cancel_scope.cancel()

    def _will(self) -> Death:
        return Death(self._birth.gateway, self._birth.boot, "lost")

    def _begin_anew(self) -> None:
        """What waits now is backlog; what comes from now on is live and goes before it."""
        self._cursor.mark = self._cursor.live = self._store.newest()

    async def _say_birth(self, client: aiomqtt.Client) -> None:
        """Say who we are, and ask what time it is: the birth's receipt will tell."""
        correlation = f"time:{secrets.token_hex(6)}".encode()
        self._asked = (correlation, anyio.current_time())
        await self._publish_presence(
            client,
            Birth(
                self._birth.gateway, self._birth.boot, self._birth.version, self._birth.site,
                self._store.clock.now_us(), self._birth.devices,
            ),
            ResponseTopic=topic(self._link.gateway, Channel.RECEIPT),
            CorrelationData=correlation,
        )  # fmt: skip

    async def _publish_presence(self, client: aiomqtt.Client, message: Birth | Death, **properties: object) -> None:
        await client.publish(
            topic(self._link.gateway, Channel.BIRTH),
            presence.encode_presence(message),
            qos=1,
            retain=True,
            properties=publish_properties(ContentType=presence.MEDIA_TYPE, **properties),
            timeout=PUBLISH_LIMIT_S,
        )

    async def _send_until_drained(
        self, client: aiomqtt.Client, tasks: anyio.abc.TaskGroup, lanes: tuple[Lane, ...]
    ) -> None:
        while not self._is_drained():
            # Taken before looking, so that what is put meanwhile rings this bell and no wait misses it.
            bell = self._store.bell
            self._turn()
            count = 0
            async for batch, lane in self._next(lanes):
                now = anyio.current_time()
                again = self._window.sent(batch.ref, lane, size=len(batch.payload), now=now)
                self._health.sent += 1
                self._health.sent_again += again
                self._health.under_way = len(self._window)
                if lane is Lane.BACKFILL:
                    self._backfill.spend(batch.readings, now)
                if batch.is_alarm and self._on_receipt is not None:
                    self._alarms[batch.ref] = batch
                if batch.is_alarm and self._on_sent is not None:
                    self._on_sent(batch)
                tasks.start_soon(self._publish, client, batch, lane)
                count += 1
            if self._drain_until != math.inf:
                await self._settle()
            if not count:
                await self._wait_for_work(bell, lanes)

    async def _next(self, lanes: tuple[Lane, ...]) -> AsyncIterator[tuple[Batch, Lane]]:
        """Yield what should leave now of these lanes, the most urgent first: what goes again, then what is new."""
        if self._store.stores() != self._stores:
            self._start_over()
        if self._store.newest() - self._cursor.live > LIVE_LAG_BATCHES:
            self._begin_anew()
        await self._look_at_clock(lanes)
        for ref, lane in self._window.overdue(anyio.current_time()):
            if lane in lanes and self._may_send(lane):
                batch = await self._store.get(ref)
                if batch is None:
                    self._window.forget(ref)
                else:
                    yield batch, lane
        for lane in lanes:
            async for batch in self._new(lane):
                yield batch, lane

    async def _new(self, lane: Lane) -> AsyncIterator[Batch]:
        room = self._window.room(lane)
        if not room or not self._may_send(lane):
            return
        after = getattr(self._cursor, lane.value)
        for batch in await self._store.next_batches(lane, mark=self._cursor.mark, after=after, limit=room):
            if not self._may_send(lane):
                return
            setattr(self._cursor, lane.value, batch.id)
            if batch.ref not in self._window:
                yield batch

    def _may_send(self, lane: Lane) -> bool:
        """Tell whether the wire has room: on a slow one, telemetry must not pile up in front of an alarm."""
        if lane is Lane.BACKFILL and not self._backfill.is_free(anyio.current_time()):
            return False
        return lane is Lane.ALARM or self._window.unpublished_bytes() < MAX_UNPUBLISHED_BYTES

    def _start_over(self) -> None:
        """A damaged file was replaced: what it held goes by another name now."""
        old, self._stores = self._stores, self._store.stores()
        if old[0] != self._stores[0]:
            self._cursor.alarm = 0
        if old[1] != self._stores[1]:
            self._cursor = _Cursor(alarm=self._cursor.alarm)
        for ref in [ref for ref in self._window if ref.store not in self._stores]:
            self._window.forget(ref)
            self._alarms.pop(ref, None)

    async def _look_at_clock(self, lanes: tuple[Lane, ...]) -> None:
        if not self._store.is_timed and self._time_is_up_in(lanes) <= 0:
            await self._store.estimate_time()

    def _time_is_up_in(self, lanes: tuple[Lane, ...]) -> float:
        """Say for how long what waits for the true time may go on waiting."""
        patience_s = TIME_PATIENCE_S
        if Lane.ALARM in lanes:
            patience_s = ALARM_TIME_PATIENCE_S if self._store.waiting_alarms() else math.inf
        return self._connected_at + patience_s - anyio.current_time()

    async def _wait_for_work(self, bell: anyio.Event, lanes: tuple[Lane, ...]) -> None:
        now = anyio.current_time()
        next_at = self._window.next_at()
        limit_s = LONGEST_SILENCE_S if next_at is None else max(0.0, next_at - now)
        if not self._store.is_timed:
            limit_s = min(limit_s, max(0.0, self._time_is_up_in(lanes)))
        if Lane.BACKFILL in lanes and not self._backfill.is_free(now):
            limit_s = min(limit_s, self._backfill.free_at() - now)
        with anyio.move_on_after(min(limit_s, LONGEST_SILENCE_S)):
            await bell.wait()

    async def _publish(self, client: aiomqtt.Client, batch: Batch, lane: Lane) -> None:
        gateway = self._link.gateway
        # The correlation data have the batch's number.
        header = BatchHeader(gateway, batch.boot, lane, 0, batch.encoding, batch.clock)
        properties = publish_properties(
            ContentType=cloudevents.MEDIA_TYPE if batch.is_alarm else senml.MEDIA_TYPE,
            CorrelationData=batch.ref.to_bytes(),
            UserProperty=header.to_properties(),
        )
        if not self._publishing:
            self._published_at = anyio.current_time()
        self._publishing += 1
        try:
            await client.publish(
                topic(gateway, Channel.ALARM if batch.is_alarm else Channel.TELEMETRY),
                batch.payload,
                qos=1,
                properties=properties,
                timeout=math.inf,
            )
        finally:
            self._publishing -= 1
        self._published_at = anyio.current_time()
        self._window.published(batch.ref, self._published_at)
        self._store.ring()

    async def _watch_progress(self, client: aiomqtt.Client) -> None:
        """Break a connection on which the broker takes nothing any more, however alive it looks.

        Raises:
            MqttError: publishes wait, and none has been acknowledged for `PUBLISH_LIMIT_S`.
        """
        while True:
            await anyio.sleep(1.0)
            self._turn()
            if self._publishing and anyio.current_time() - self._published_at > PUBLISH_LIMIT_S:
                raise aiomqtt.MqttError(f"the broker has acknowledged nothing for {PUBLISH_LIMIT_S:.0f} s")
            if not self._store.clock.timeline.is_trusted and anyio.current_time() - self._asked[1] > ASK_AGAIN_S:
                await self._say_birth(client)

    async def _listen(self, client: aiomqtt.Client) -> None:
        command = topic(self._link.gateway, Channel.COMMAND)
        async for message in client.messages:
            if message.topic.value == CLOUD_READY:
                self._take_ready(_worker(message))
            elif message.topic.value == command:
                # One that the broker kept for whoever comes is nobody's wish any more.
                if self._commands is not None and not message.retain:
                    self._commands.take(bytes(message.payload))
            else:
                await self._take_receipt(message)

    def _take_ready(self, worker: str) -> None:
        """A cloud worker has just subscribed: what was sent before it did, nobody took."""
        now = anyio.current_time()
        lanes = LANES_OF[worker]
        every_s = READY_EVERY_S if Lane.ALARM in lanes else TELEMETRY_READY_EVERY_S
        if now - self._ready_at.get(worker, -every_s) < every_s:
            return
        self._ready_at[worker] = now
        log.info("uplink: the cloud's %s is ready; sending what has no receipt", worker)
        self._window.all_again(now, lanes)
        if Lane.LIVE in lanes:
            self._begin_anew()
            # If nobody was there to be asked for the time, somebody is now.
            self._asked = (self._asked[0], -math.inf)
        self._store.ring()

    async def _take_receipt(self, message: aiomqtt.Message) -> None:
        try:
            receipt = decode_receipt(bytes(message.payload))
        except DecodeError as error:
            log.warning("uplink: a receipt cannot be read: %s", error)
            return
        now = anyio.current_time()
        correlation = bytes(getattr(message.properties, "CorrelationData", b""))
        asked_at = self._asked[1]
        if correlation and correlation == self._asked[0] and now - asked_at < LONGEST_ASKED_S:
            await self._learn(receipt, round_trip_s=now - asked_at)
        ref = self._ref(correlation)
        if ref is None:
            return
        self._health.receipts += 1
        self._health.now.receipt_at = now
        if self._is_down:
            log.info("uplink: back")
        self._is_down = False
        self._reconnects.reset()
        if receipt.verdict is Verdict.REFUSED:
            self._health.refused += receipt.refused or 1
            log.warning("uplink: the cloud refused (part of) batch %s: %s", correlation.decode(), receipt.reason)
        flight = self._window.receipt(ref)
        self._health.under_way = len(self._window)
        self._settled.append(ref)
        self._store.ring()
        if self._on_receipt is not None and (batch := self._alarms.pop(ref, None)) is not None:
            self._on_receipt(batch, receipt)
        if flight is not None and _tells_time(flight, self._connected_at, now):
            await self._learn(receipt, round_trip_s=now - flight.sent_at)

    async def _learn(self, receipt: Receipt, *, round_trip_s: float) -> None:
        """Take the cloud's word for the time: it was right somewhere between asking and hearing."""
        half_us = round(round_trip_s * 1e6 / 2)
        await self._store.learn_time(ClockSource.CLOUD, receipt.at_us, half_us, ago_us=half_us)

    def _ref(self, correlation: bytes) -> Ref | None:
        """Read our own correlation data; None when it names another outbox, or nothing."""
        store, _, number = correlation.decode("ascii", "replace").partition(":")
        if store not in self._stores or not number.isascii() or not number.isdecimal() or len(number) > MAX_DIGITS:
            return None
        return Ref(store, int(number))

    async def _settle_for_ever(self) -> None:
        while True:
            await anyio.sleep(SETTLE_EVERY_S)
            await self._settle()

    async def _settle(self) -> None:
        """Forget what has its receipt."""
        refs, self._settled = self._settled, []
        if not refs:
            return
        is_done = False
        try:
            await self._store.settle(refs)
            is_done = True
        except StoreFullError as error:
            log.debug("uplink: %s", error)
        finally:
            if not is_done:
                # Whatever cut this short, the receipts are still good.
                self._settled[:0] = refs
        self._store.ring()


def _tells_time(flight: Flight, connected_at: float, now: float) -> bool:
    """Tell whether a receipt surely answers the one sending of its batch, and soon enough to say what time it is."""
    return (
        flight.sent_count == 1
        and now - flight.sent_at < LONGEST_ROUND_TRIP_S
        and flight.sent_at > connected_at + YOUNG_S
    )


def _worker(message: aiomqtt.Message) -> str:
    try:
        name = json.loads(message.payload)["worker"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return UNNAMED
    return name if isinstance(name, str) and name in LANES_OF else UNNAMED
