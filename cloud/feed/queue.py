"""What was heard and waits for a trade: a bounded queue in the database, taken by any number of workers."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import anyio
import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Select, delete, func, insert, select

from cloud.database import DeadLetter, PersistentDatabase, dead_letters
from cloud.database.feed_tables import observation
from cloud.errors import DatabaseRefusedError
from cloud.feed.sorting import Trade, read_samples
from cloud.settings import Settings
from contract.errors import Refusal
from contract.telemetry import Sample

_log = logging.getLogger(__name__)

AT_ONCE = 200
"""So many messages are judged in one transaction."""
IDLE_S = 0.25
"""How often a trade looks for news when it has caught up: what comes meanwhile is judged together, since on SQLite
nobody else writes while it is at work."""
GAP_S = 0.005
"""Between two transactions while it has not, so that others have their turn."""


class Observation(Struct, frozen=True):
    """The samples of one message that concern one trade.

    Attributes:
        gateway: that sent them.
        received_at_us: when the cloud took them, microseconds UTC.
    """

    trade: Trade
    gateway: str
    received_at_us: int
    samples: tuple[Sample, ...]


class Waiting(Struct, frozen=True):
    """An `Observation` on its way into the table; `samples` as `write_samples` writes them."""

    trade: Trade
    gateway: str
    received_at_us: int
    samples: bytes


def put(connection: Connection, waiting: Sequence[Waiting], *, limit: int) -> int:
    """Queue what was heard; beyond `limit` rows the oldest go, of any trade, a twentieth of `limit` at a time.

    Their ids tell in constant time that there are no more; rows are counted only where they cannot. With a twentieth
    less the ids of a full queue can for a while, so that ingest need not count each time.

    Returns:
        How many rows went untaken.
    """
    if not waiting:
        return 0
    connection.execute(insert(observation), [msgspec.to_builtins(one, builtin_types=[bytes]) for one in waiting])
    at = observation.c
    # Each by itself: so SQLite answers them out of the key.
    newest: int = connection.execute(select(func.max(at.id))).scalar_one()
    oldest: int = connection.execute(select(func.min(at.id))).scalar_one()
    if newest - oldest < limit or _nth(connection, limit + 1) is None:
        return 0
    last_gone = _nth(connection, limit - limit // 20 + 1)
    return connection.execute(delete(observation).where(at.id <= last_gone)).rowcount


def _nth(connection: Connection, number: int) -> int | None:
    """Find the id of a row, counted from the newest."""
    query = select(observation.c.id).order_by(observation.c.id.desc()).offset(number - 1).limit(1)
    return connection.execute(query).scalar_one_or_none()


def has_news(connection: Connection, trade: Trade) -> bool:
    """Tell whether anything waits for a trade; changes nothing."""
    query = select(observation.c.id).where(observation.c.trade == trade.value).limit(1)
    return connection.execute(query).first() is not None


def take(connection: Connection, trade: Trade, *, limit: int = AT_ONCE) -> list[tuple[int, Observation]]:
    """Take the oldest rows of a trade that no other worker holds, and delete them with the commit.

    Returns:
        The rows by their ids, in the order in which they were queued, which need not be that of their samples.
    """
    query = select(observation).where(observation.c.trade == trade.value).order_by(observation.c.id).limit(limit)
    return _take(connection, query)


def _take(connection: Connection, query: Select[Any]) -> list[tuple[int, Observation]]:
    rows = connection.execute(query.with_for_update(skip_locked=True)).all()
    if rows:
        connection.execute(delete(observation).where(observation.c.id.in_([row.id for row in rows])))
    return [
        (row.id, Observation(Trade(row.trade), row.gateway, row.received_at_us, read_samples(bytes(row.samples))))
        for row in rows
    ]


Work = Callable[[Connection, Sequence[Observation]], None]
"""Judges observations; in the transaction that takes them, so that each is judged exactly once in what is kept."""


async def follow(
    database: PersistentDatabase, settings: Settings, trade: Trade, work: Work, *, idle_s: float = IDLE_S
) -> None:
    """Judge what waits for a trade, for ever; ends by being cancelled.

    What the database refuses goes to the dead letters alone; what waits beside it is judged.

    Args:
        database: waited for when it is away.
        settings: how many dead letters are kept.
        trade: whose.
        work: must be ready for samples in any order, late, twice.
        idle_s: between looks when nothing waits.
    """
    while True:
        if not await database.ask(partial(has_news, trade=trade)):
            await anyio.sleep(idle_s)
            continue
        try:
            taken = await database.call(partial(_judge, trade=trade, work=work))
        except DatabaseRefusedError:
            await _judge_alone(database, settings, trade, work)
        else:
            # None at all: another worker holds what waits.
            await anyio.sleep(idle_s if taken < AT_ONCE else GAP_S)


async def _judge_alone(database: PersistentDatabase, settings: Settings, trade: Trade, work: Work) -> None:
    """Judge the next rows each alone, so that only the culprits are given up."""
    for number in await database.ask(partial(_waiting, trade=trade)):
        try:
            await database.call(partial(_judge_one, number=number, work=work))
        except DatabaseRefusedError as error:
            limit = settings.database.dead_letters
            await database.call(partial(_give_up, number=number, why=str(error), limit=limit))


def _judge(connection: Connection, trade: Trade, work: Work) -> int:
    taken = take(connection, trade)
    if taken:
        work(connection, [one for _id, one in taken])
    return len(taken)


def _waiting(connection: Connection, trade: Trade) -> Sequence[int]:
    query = select(observation.c.id).where(observation.c.trade == trade.value)
    return connection.execute(query.order_by(observation.c.id).limit(AT_ONCE)).scalars().all()


def _judge_one(connection: Connection, number: int, work: Work) -> None:
    # Gone, or in the hands of another worker: then it is judged there.
    for _id, one in _take(connection, select(observation).where(observation.c.id == number)):
        work(connection, [one])


def _give_up(connection: Connection, number: int, why: str, limit: int) -> None:
    for _id, one in _take(connection, select(observation).where(observation.c.id == number)):
        letter = DeadLetter(
            topic=f"trade/{one.trade.value}",
            gateway=one.gateway,
            reason=Refusal.DATABASE,
            why=why,
            payload=msgspec.json.encode(one.samples),
            received_at_us=one.received_at_us,
        )
        dead_letters.keep(connection, [letter], limit=limit)
        _log.error("a message for %s is given up, it is a dead letter now: %s", one.trade.value, why)
