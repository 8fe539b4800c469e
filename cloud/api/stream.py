"""The live stream: every change once from the database, encoded once, told to all who may see it.

What is on its way to clients stands in one ring that all share, and a client is a place in it: memory does not grow
with clients, and who is slower than the ring is long is told to resume.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select

from cloud.api.alarm_views import alarm_fields, change_of
from cloud.api.problems import ProblemError
from cloud.database import Database, PersistentDatabase
from cloud.database.tables import change, occurrence
from cloud.desk.keeping import to_alarm
from cloud.people.roles import Person, is_inside

POLL_S = 0.1
# A proxy closes what is silent for a minute; a client that hears nothing for two beats knows that it is alone.
BEAT_S = 15.0
_AT_ONCE = 500
# A thousand alarms at once, and what people do with them; some 2 KiB each.
RING_ENTRIES = 8_192
# Beyond it a client is better served by listing anew.
MOST_RESUMED = 5_000
_RETRY = b"retry: 2000\n\n"
_json = msgspec.json.Encoder()


class Entry(Struct, frozen=True):
    """One change, ready to be sent."""

    change_id: int
    area_path: str
    frame: bytes


class Ring:
    """The latest changes, by rising id; pure.

    Args:
        newest: the id after which it begins.
        most: entries kept at least; it holds twice as many at most.
    """

    def __init__(self, newest: int, *, most: int = RING_ENTRIES) -> None:
        self.newest = newest
        self._before = newest
        self._most = most
        self._entries: list[Entry] = []

    def add(self, entries: Sequence[Entry]) -> None:
        """Take what follows."""
        self._entries += entries
        if entries:
            self.newest = entries[-1].change_id
        if len(self._entries) > 2 * self._most:
            gone = len(self._entries) - self._most
            self._before = self._entries[gone - 1].change_id
            del self._entries[:gone]

    def after(self, change_id: int, *, most: int = _AT_ONCE) -> list[Entry] | None:
        """List what came after a change, at most so many; None when it reaches back further than the ring."""
        if change_id < self._before:
            return None
        first = bisect_right(self._entries, change_id, key=lambda entry: entry.change_id)
        return self._entries[first : first + most]


class Hub:
    """Reads the history as it grows, and hands it to clients.

    Args:
        database: of the desk.
        clock: tells what is stale.
        most, most_per_user: clients at once.
    """

    def __init__(self, database: Database, *, clock: Callable[[], int], most: int, most_per_user: int) -> None:
        self._database = database
        self._clock = clock
        self._most, self._most_per_user = most, most_per_user
        self._ring: Ring | None = None
        self._news = anyio.Event()
        self._closed = anyio.Event()
        self._users: Counter[str] = Counter()

    async def run(self, database: PersistentDatabase) -> None:
        """Follow the history until closed or cancelled; outages are waited out."""
        self._ring = Ring(await database.ask(_newest))
        self._tell()
        while not self._closed.is_set():
            entries = await database.ask(partial(self._load, after=self._ring.newest))
            if entries:
                self._ring.add(entries)
                self._tell()
            if len(entries) < _AT_ONCE:
                with anyio.move_on_after(POLL_S):
                    await self._closed.wait()

    def close(self) -> None:
        """End all streams; none begins any more."""
        self._closed.set()
        self._tell()

    @contextmanager
    def place_of(self, user: str) -> Iterator[None]:
        """Hold one of the places for clients.

        Raises:
            ProblemError: 429, none is free.
        """
        if self._users.total() >= self._most or self._users[user] >= self._most_per_user:
            why = f"{self._users[user]} streams of {user}, {self._users.total()} in all"
            hint = "Close one; one stream a program is enough."
            raise ProblemError(429, "too-many-streams", why, hint=hint, retry_after_s=30)
        self._users[user] += 1
        try:
            yield
        finally:
            self._users[user] -= 1
            self._users += Counter()

    async def frames(
        self, person: Person, *, after: int | None, is_valid: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        """Tell a client what it may see, for as long as it may.

        Args:
            person: whose subtree is told.
            after: the id of the change that it knows; None: from now on.
            is_valid: asked every 15 s; the stream ends when it says no.
        """
        while self._ring is None and not self._closed.is_set():
            await self._news.wait()
        ring = self._ring
        if ring is None:
            return
        yield _RETRY
        position = ring.newest if after is None else after
        if position > ring.newest or ring.newest - position > MOST_RESUMED:
            position = ring.newest
            yield _event("reset", position)
        elif after is None:
            yield _event("hello", position)
        while ring.after(position) is None:
            entries = await self._database.ask(partial(self._load, after=position))
            yield _joined(entries, person)
            position = entries[-1].change_id if entries else ring.newest
        async for frame in self._live(ring, position, person, is_valid):
            yield frame

    async def _live(
        self, ring: Ring, position: int, person: Person, is_valid: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        beat_at_s = anyio.current_time() + BEAT_S
        while not self._closed.is_set():
            news, entries = self._news, ring.after(position)
            if entries is None:
                # It was slower than the ring is long.
                yield _event("resume", position)
                return
            if entries:
                position = entries[-1].change_id
                if frame := _joined(entries, person):
                    yield frame
            else:
                with anyio.CancelScope(deadline=beat_at_s):
                    await news.wait()
            if anyio.current_time() >= beat_at_s:
                if not await is_valid():
                    yield _event("end", position)
                    return
                # The id alone: a client that may see nothing of what happened resumes from here all the same.
                yield f": {position}\nid: {position}\n\n".encode()
                beat_at_s = anyio.current_time() + BEAT_S

    def _tell(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()

    def _load(self, connection: Connection, after: int) -> list[Entry]:
        """Read some changes and the alarms that they are of, and encode them."""
        query = select(change).where(change.c.id > after).order_by(change.c.id).limit(_AT_ONCE)
        rows = connection.execute(query).mappings().all()
        ids = {row["alarm_id"] for row in rows} - {None}
        found = connection.execute(select(occurrence).where(occurrence.c.alarm_id.in_(ids))).mappings() if ids else ()
        now_us = self._clock()
        alarms = {row["alarm_id"]: alarm_fields(to_alarm(row), now_us) for row in found}
        return [_entry(change_of(row), alarms.get(row["alarm_id"])) for row in rows]


def _newest(connection: Connection) -> int:
    return connection.execute(select(func.max(change.c.id))).scalar_one() or 0


def _entry(told: dict[str, Any], alarm: dict[str, Any] | None) -> Entry:
    """Encode one event: the fields of `StreamedChange`."""
    data = _json.encode(told | {"alarm": alarm})
    return Entry(told["id"], told["area_path"], b"id: %d\nevent: change\ndata: %b\n\n" % (told["id"], data))


def _joined(entries: Sequence[Entry], person: Person) -> bytes:
    return b"".join(entry.frame for entry in entries if is_inside(person.scope, entry.area_path))


def _event(name: str, position: int) -> bytes:
    """Make an event of the stream itself, whose id is where the client stands."""
    return f'id: {position}\nevent: {name}\ndata: {{"after": {position}}}\n\n'.encode()
