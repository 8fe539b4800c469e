"""The uplink: sends what the outbox holds, alarms first, again and again until its receipt comes."""

import json
import logging
import math
import random
from collections.abc import AsyncIterator

import aiomqtt
import anyio
from msgspec import Struct

from contract import cloudevents, presence, senml
from contract.errors import DecodeError, first_error
from contract.presence import Birth, Death
from contract.receipts import Verdict, decode_receipt
from contract.telemetry import BatchHeader, Lane
from contract.topics import CLOUD_READY, Channel, topic
from edge.broker import Link, is_refusal, make_client, publish_properties, subscribe
from edge.errors import StoreFullError
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
TELEMETRY_READY_EVERY_S = 2.0
UNNAMED = "worker"
LANES_OF = {"desk": (Lane.ALARM,), "ingest": (Lane.LIVE, Lane.BACKFILL), UNNAMED: tuple(Lane)}
# On a wire of 12 KB/s an alarm then waits some four seconds at the very worst, not minutes.
MAX_UNPUBLISHED_BYTES = 32_768
# So many live batches behind (some ten seconds at two a second) the lag is backlog, and new readings go first.
LIVE_LAG_BATCHES = 24
# Longer decimal numbers are no numbers of ours: SQLite's go to 2**63 - 1.
MAX_DIGITS = 18


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
        self._is_down = False
        self._reconnect_s = FIRST_RECONNECT_S
        self._publishing = 0
        self._progress_at = 0.0
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
        while not self._is_drained():
            refused = False
            try:
                async with make_client(self._link, will=self._will()) as client:
                    await self._serve(client)
                    return
            except* (aiomqtt.MqttError, OSError) as group:
                error = first_error(group)
                refused = is_refusal(error)
                log.log(logging.DEBUG if self._is_down else logging.WARNING, "uplink: %s; trying again", error)
                self._is_down = True
            finally:
                self._health.is_up = False
                self._window.cut(anyio.current_time())
            # A refused password is not mended by asking more often.
            pause_s = REFUSED_RECONNECT_S if refused else self._reconnect_s
            await self._pause(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            self._reconnect_s = min(self._reconnect_s * 2, LONGEST_RECONNECT_S)

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

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Be a connected gateway until the connection breaks, or all is drained."""
        async with anyio.create_task_group() as tasks:
            # Listening first: only it notices at once that the connection is lost.
            tasks.start_soon(self._listen, client)
            await subscribe(client, self._link.gateway)
            await self._publish_presence(client, self._birth)
            await self._settle()
            await self._begin_anew()
            self._health.is_up = True
            self._health.connects += 1
            tasks.start_soon(self._settle_for_ever)
            tasks.start_soon(self._watch_progress)
            with anyio.CancelScope(deadline=self._drain_until) as self._sending:
                await self._send_until_drained(client, tasks)
            await self._publish_presence(client, Death(self._birth.gateway, self._birth.boot, "stopped"))
            tasks.cancel_scope.cancel()

    def _will(self) -> Death:
        return Death(self._birth.gateway, self._birth.boot, "lost")

    async def _begin_anew(self) -> None:
        """What waits now is backlog; what comes from now on is live and goes before it."""
        self._cursor.mark = self._cursor.live = await self._store.newest()

    async def _publish_presence(self, client: aiomqtt.Client, message: Birth | Death) -> None:
        await client.publish(
            topic(self._link.gateway, Channel.BIRTH),
            presence.encode_presence(message),
            qos=1,
            retain=True,
            properties=publish_properties(ContentType=presence.MEDIA_TYPE),
            timeout=PUBLISH_LIMIT_S,
        )

    async def _send_until_drained(self, client: aiomqtt.Client, tasks: anyio.abc.TaskGroup) -> None:
        while not self._is_drained():
            # Taken before looking, so that what is put meanwhile rings this bell and no wait misses it.
            bell = self._store.bell
            count = 0
            async for batch, lane in self._next():
                again = self._window.sent(batch.id, lane, size=len(batch.payload))
                self._health.sent += 1
                self._health.sent_again += again
                self._health.under_way = len(self._window)
                tasks.start_soon(self._publish, client, batch, lane)
                count += 1
            if self._drain_until != math.inf:
                await self._settle()
            if not count:
                await self._wait_for_work(bell)

    async def _next(self) -> AsyncIterator[tuple[Batch, Lane]]:
        """Yield what should leave now, the most urgent first: alarms, again and new, then readings likewise."""
        if self._store.name != self._store_name:
            self._start_over()
        if await self._store.newest() - self._cursor.live > LIVE_LAG_BATCHES:
            await self._begin_anew()
        overdue = self._window.overdue(anyio.current_time())
        for lanes in ((Lane.ALARM,), (Lane.LIVE, Lane.BACKFILL)):
            for number, lane in overdue:
                if lane in lanes and self._may_send(lane):
                    batch = await self._store.get(number)
                    if batch is None:
                        self._window.forget(number)
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
            if batch.id not in self._window:
                yield batch

    def _may_send(self, lane: Lane) -> bool:
        """Tell whether the wire has room: on a slow one, telemetry must not pile up in front of an alarm."""
        return lane is Lane.ALARM or self._window.unpublished_bytes() < MAX_UNPUBLISHED_BYTES

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
        properties = publish_properties(
            ContentType=cloudevents.MEDIA_TYPE if batch.is_alarm else senml.MEDIA_TYPE,
            ResponseTopic=topic(gateway, Channel.RECEIPT),
            CorrelationData=f"{batch.store}:{batch.id}".encode(),
            UserProperty=BatchHeader(gateway, batch.boot, lane, batch.id, batch.encoding).to_properties(),
        )
        if not self._publishing:
            self._progress_at = anyio.current_time()
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
        self._progress_at = anyio.current_time()
        if batch.store == self._store_name:
            self._window.published(batch.id, self._progress_at)
        self._store.ring()

    async def _watch_progress(self) -> None:
        """Break a connection on which the broker takes nothing any more, however alive it looks.

        Raises:
            MqttError: publishes wait, and none has been acknowledged for `PUBLISH_LIMIT_S`.
        """
        while True:
            await anyio.sleep(1.0)
            if self._publishing and anyio.current_time() - self._progress_at > PUBLISH_LIMIT_S:
                raise aiomqtt.MqttError(f"the broker has acknowledged nothing for {PUBLISH_LIMIT_S:.0f} s")

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if message.topic.value == CLOUD_READY:
                await self._take_ready(_worker(message))
            else:
                self._take_receipt(message)

    async def _take_ready(self, worker: str) -> None:
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
            await self._begin_anew()
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
        if self._is_down:
            log.info("uplink: back")
        self._is_down, self._reconnect_s = False, FIRST_RECONNECT_S
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
        if store != self._store_name or not number.isascii() or not number.isdecimal() or len(number) > MAX_DIGITS:
            return None
        return int(number)

    async def _settle_for_ever(self) -> None:
        while True:
            await anyio.sleep(SETTLE_EVERY_S)
            await self._settle()

    async def _settle(self) -> None:
        """Forget what has its receipt; on a full disk later, as forgetting needs room too."""
        numbers, self._settled = self._settled, []
        if not numbers:
            return
        is_done = False
        try:
            await self._store.settle(numbers)
            is_done = True
        except StoreFullError as error:
            log.debug("uplink: %s", error)
        finally:
            if not is_done:
                # Whatever cut this short, the receipts are still good.
                self._settled[:0] = numbers
        self._store.ring()


def _worker(message: aiomqtt.Message) -> str:
    try:
        name = json.loads(message.payload)["worker"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return UNNAMED
    return name if isinstance(name, str) and name in LANES_OF else UNNAMED
