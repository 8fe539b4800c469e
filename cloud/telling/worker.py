"""The teller: sends what is queued, each channel for itself, and notes what became of it.

Any number of tellers may run on one database. Every channel and web hook has a lane of its own: a slow one delays no
other. One task looks for what is due and wakes lanes; one notes results, many in a transaction. A lane whose sends are
quick claims a moment's worth of them at once.
"""

import logging
import math
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from sqlalchemy import Connection

from cloud.backoff import Backoff, Outage
from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.errors import HookGoneError, TellingError, UnknownPlaceError
from cloud.settings import Settings, secret
from cloud.telling.channels import ChannelSender, warm_up
from cloud.telling.claims import Lease, Note, Verdict, due_channels, fail_strangers, note, prune
from cloud.telling.history import BATCH, disable, has_news, prepare_hooks, queue_events
from cloud.telling.routes import HookRoute, Job, MessageRoute, Route, notes_of
from cloud.telling.settings import WebHook
from cloud.telling.webhooks import HookSender, read_secret

_log = logging.getLogger(__name__)
POLL_S = 0.5
# Beyond the hard limit of a send: its note must be written by then, or another sends it again.
_LEASE_EXTRA_S = 60.0
# What is claimed ahead is sent within such a time, as far as one can tell; what has waited for longer is given back, so
# that a slow channel still sends the most urgent first, and no lease ends before its message is sent.
_AHEAD_S = 0.25
_MOST_AHEAD = 60
_STALE_S = 5.0
# Of one lane: what is sent and not noted is sent again if we die. As much as is sent during one commit.
_MOST_UNNOTED = 16
_NOTES = 256
_NOTE_BATCH = 200
_STOP_LIMIT_S = 3.0
_PRUNE_EVERY_S = 3_600.0
_DAY_US = 86_400_000_000

Noted = tuple[str, list[Note]]


async def run_telling(
    database: PersistentDatabase,
    settings: Settings,
    *,
    clock: Callable[[], int] = now_us,
    poll_s: float = POLL_S,
) -> None:
    """Send what is due until cancelled; what has been sent by then is noted, at most 3 s.

    Args:
        database: of the desk, migrated.
        settings: channels, web hooks, limits.
        clock: the wall time.
        poll_s: between two looks at what is due.

    Raises:
        SettingsError: an environment variable is missing, or holds no usable key.
    """
    teller = _Teller(database, settings, clock)
    async with AsyncExitStack() as stack:
        # Before anything that takes time: a new web hook hears of what happens from here on.
        await prepare(database, settings)
        routes = await _routes(settings, clock, stack)
        outbox, inbox = anyio.create_memory_object_stream[Noted](_NOTES)
        await stack.enter_async_context(inbox)
        await stack.enter_async_context(outbox)
        lanes = [_Lane(route, teller, outbox) for route in routes]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(teller.keep_notes, inbox, lanes)
            tasks.start_soon(teller.keep_pruning)
            for lane in lanes:
                tasks.start_soon(lane.run)
            for hook in settings.telling.webhook:
                tasks.start_soon(teller.follow_history, hook, poll_s)
            await teller.wake_lanes({lane.route.channel: lane for lane in lanes}, poll_s)


async def prepare(database: PersistentDatabase, settings: Settings) -> None:
    """Let new web hooks begin here; whoever writes history does it first, or they would miss what comes before.

    Raises:
        DatabaseRefusedError: the database does not let it be written.
    """
    if settings.telling.webhook:
        await database.call(partial(prepare_hooks, hooks=settings.telling.webhook))


async def _routes(settings: Settings, clock: Callable[[], int], stack: AsyncExitStack) -> Sequence[Route]:
    limit_s = settings.telling.timeout_s
    routes: list[Route] = []
    if settings.telling.channel:
        await anyio.to_thread.run_sync(warm_up)
    for channel in settings.telling.channel:
        sender = ChannelSender(channel, secret(channel.url_env), limit_s=limit_s)
        stack.callback(sender.close)
        routes.append(MessageRoute(channel, sender, settings))
    for hook in settings.telling.webhook:
        key = read_secret(hook, secret(hook.secret_env))
        opened = await stack.enter_async_context(HookSender(hook, key, limit_s=limit_s))
        routes.append(HookRoute(hook, opened, clock))
    return routes


class _Teller:
    """What all lanes share."""

    def __init__(self, database: PersistentDatabase, settings: Settings, clock: Callable[[], int]) -> None:
        self.database = database
        self.clock = clock
        self._settings = settings.telling
        self._name = f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"

    def lease(self) -> Lease:
        length_s = self._settings.timeout_s + _LEASE_EXTRA_S
        return Lease(self._name, self.clock(), int(length_s * 1_000_000))

    async def wake_lanes(self, lanes: dict[str, "_Lane"], poll_s: float) -> None:
        while True:
            due = await self.database.ask(partial(due_channels, now_us=self.clock()))
            for name in due:
                if name in lanes:
                    lanes[name].wake()
            if not lanes.keys() >= set(due):
                work = partial(fail_strangers, known=set(lanes), now_us=self.clock())
                for name in await self.database.call(work):
                    _log.error("the settings have no channel %s: what was due on it has failed", name)
            await anyio.sleep(poll_s)

    async def keep_notes(self, inbox: MemoryObjectReceiveStream[Noted], lanes: Iterable["_Lane"]) -> None:
        waiting: list[Noted] = []
        try:
            while True:
                waiting.append(await inbox.receive())
                _drain(inbox, waiting)
                await self._write(waiting)
                for lane in lanes:
                    lane.noted(sum(channel == lane.route.channel for channel, _ in waiting))
                waiting.clear()
        finally:
            # What was sent and not noted would be sent again.
            with anyio.move_on_after(_STOP_LIMIT_S, shield=True):
                _drain(inbox, waiting)
                # What was claimed and not begun is another's, now and not when the lease ends.
                waiting += [noted for lane in lanes for noted in lane.leave()]
                if waiting:
                    await self._write(waiting)

    async def follow_history(self, hook: WebHook, poll_s: float) -> None:
        is_lost = False
        while True:
            read = 0
            try:
                if await self.database.ask(partial(has_news, hook=hook)):
                    read = await self.database.call(partial(queue_events, hook=hook, now_us=self.clock()))
                is_lost = False
            except UnknownPlaceError as error:
                if not is_lost:
                    _log.warning("web hook %s waits: %s", hook.name, error)
                is_lost = True
            if read < BATCH:
                await anyio.sleep(poll_s)

    async def keep_pruning(self) -> None:
        settings = self._settings
        while True:
            now = self.clock()
            before_us = now - settings.keep_days * _DAY_US
            work = partial(prune, before_us=before_us, events_before_us=now - settings.keep_events_days * _DAY_US)
            while await self.database.call(work):
                await anyio.lowlevel.checkpoint()
            await anyio.sleep(_PRUNE_EVERY_S)

    async def _write(self, noted: Sequence[Noted]) -> None:
        for channel in {channel for channel, some in noted if any(one.verdict is Verdict.GONE for one in some)}:
            _log.error("%s answered 410 Gone and is disabled. %s", channel, HookGoneError.hint)
        for one in await self.database.call(partial(self._note, noted=list(noted))):
            _log.error("delivery %s is given up; see langyan cloud telling log --state failed", one)

    def _note(self, connection: Connection, noted: Sequence[Noted]) -> list[str]:
        lease = self.lease()
        notes = [one for _, some in noted for one in some]
        for channel, some in noted:
            for one in some:
                if one.verdict is Verdict.GONE:
                    disable(connection, channel, one.error, lease.now_us)
        give_up_after_us = int(self._settings.give_up_after_h * 3_600_000_000)
        return note(connection, notes, lease=lease, give_up_after_us=give_up_after_us)


class _Lane:
    """One channel's or web hook's sends."""

    def __init__(self, route: Route, teller: _Teller, outbox: MemoryObjectSendStream[Noted]) -> None:
        self.route = route
        self._teller = teller
        self._outbox = outbox
        self._claimed: deque[tuple[Job, float]] = deque()
        self._sending = 0
        self._unnoted = 0
        self._has_noted = anyio.Event()
        # Of a send, smoothed; before the first one none is claimed ahead.
        self._took_s = math.inf
        self._woken = anyio.Event()
        self._asleep_until_us = 0
        self._rests_until_us = 0
        self._has_more = False
        self._outage = Outage(_log, f"channel {route.channel}")
        self._backoff = Backoff(first_s=1.0, longest_s=30.0)

    def wake(self) -> None:
        """Something is due; nothing happens before the moment until which the lane must wait."""
        if self._room() > 0 and not self._is_asleep():
            self._woken.set()

    def leave(self) -> list[Noted]:
        """Give back what is claimed and not begun."""
        left = [self._noted_left(job) for job, _ in self._claimed]
        self._claimed.clear()
        return left

    def noted(self, count: int) -> None:
        """So many more of its sends are written down."""
        self._unnoted -= count
        if count:
            self._has_noted.set()
            self._has_noted = anyio.Event()

    async def run(self) -> None:
        async with anyio.create_task_group() as sends:
            while True:
                await self._woken.wait()
                self._woken = anyio.Event()
                await self._claim()
                for _ in range(min(self.route.concurrency - self._sending, len(self._claimed))):
                    self._sending += 1
                    sends.start_soon(self._send_on)

    def _room(self) -> int:
        ahead = min(_MOST_AHEAD, int(self.route.concurrency * _AHEAD_S / self._took_s))
        return self.route.concurrency + ahead - self._sending - len(self._claimed)

    def _is_asleep(self) -> bool:
        return self._teller.clock() < max(self._asleep_until_us, self._rests_until_us)

    async def _claim(self) -> None:
        room = self._room()
        if room <= 0:
            return
        work = partial(self.route.claim, free=room, lease=self._teller.lease())
        found = await self._teller.database.call(work)
        self._has_more = len(found.jobs) >= room
        self._asleep_until_us = max(self._asleep_until_us, found.again_at_us or 0)
        now_s = time.monotonic()
        self._claimed.extend((job, now_s) for job in found.jobs)

    async def _send_on(self) -> None:
        """Send until nothing is left that was claimed."""
        # A stop that came meanwhile finds it claimed, and not begun.
        await anyio.lowlevel.checkpoint()
        while self._claimed:
            if self._unnoted >= _MOST_UNNOTED:
                await self._has_noted.wait()
                continue
            job, since_s = self._claimed.popleft()
            if self._teller.clock() < self._rests_until_us or time.monotonic() - since_s > _STALE_S:
                await self._hand_on(self._noted_left(job))
            else:
                await self._send(job)
            if self._has_more and self._room() > self.route.concurrency:
                self.wake()
        self._sending -= 1
        if self._has_more:
            self.wake()

    async def _send(self, job: Job) -> None:
        error: TellingError | None = None
        count = 0
        began_s = time.monotonic()
        try:
            count = await self.route.send(job)
        except TellingError as trouble:
            error = trouble
            self._failed(trouble)
        else:
            self._outage.over(now_s=time.monotonic())
            self._backoff.reset()
        took_s = max(time.monotonic() - began_s, 0.001)
        # Slower at once, quicker by and by.
        is_slower = took_s > self._took_s or math.isinf(self._took_s)
        self._took_s = took_s if is_slower else 0.8 * self._took_s + 0.2 * took_s
        await self._hand_on((self.route.channel, notes_of(job, count=count, error=error)))

    async def _hand_on(self, noted: Noted) -> None:
        self._unnoted += 1
        try:
            # Without a wait, so that a stop loses no note.
            self._outbox.send_nowait(noted)
        except anyio.WouldBlock:
            await self._outbox.send(noted)

    def _noted_left(self, job: Job) -> Noted:
        return self.route.channel, notes_of(job, count=0, error=None)

    def _failed(self, error: TellingError) -> None:
        """Say it once; where the receiver as a whole is in trouble, let it rest."""
        wait_s = 0.0
        if error.is_receiver:
            wait_s = error.retry_after_s or self._backoff.next_s()
            self._rests_until_us = self._teller.clock() + int(wait_s * 1_000_000)
        self._outage.failed(error, now_s=time.monotonic(), wait_s=wait_s)


def _drain(inbox: MemoryObjectReceiveStream[Noted], into: list[Noted]) -> None:
    while len(into) < _NOTE_BATCH:
        try:
            into.append(inbox.receive_nowait())
        except (anyio.WouldBlock, anyio.EndOfStream, anyio.ClosedResourceError):
            return
