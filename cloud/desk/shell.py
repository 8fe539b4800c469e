"""The desk worker: alarm events into the SQL database, as fast as it commits, and what the desk does by itself."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import anyio
from msgspec import Struct, json
from sqlalchemy import Connection

from cloud.answers import Refused, answer, dead_letter
from cloud.backoff import Backoff, Outage
from cloud.clock import now_us
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase, dead_letters
from cloud.desk.core import Arrival, triggered_at_us
from cloud.desk.rush import BesideIntake, Rush
from cloud.desk.store import apply_events
from cloud.desk.watch import run_watch
from cloud.errors import CloudError, DatabaseAwayError, DatabaseRefusedError
from cloud.escalation.auditor import run_auditor
from cloud.escalation.worker import run_escalation
from cloud.intake import Registry, gateway_of, open_payload
from cloud.mqtt_worker import Message, MqttWorker
from cloud.numbers.worker import run_numbers
from cloud.service import serve
from cloud.settings import Settings, database_url
from cloud.telling.worker import prepare, run_telling
from contract.alarms import AlarmEvent, decode_alarm
from contract.errors import DecodeError, Refusal
from contract.topics import CLOUD_READY, Channel, every

_log = logging.getLogger(__name__)
NAME = "desk"


class Loop(Protocol):
    """What the desk does by itself, for ever; any number of desks do it side by side."""

    __name__: str

    async def __call__(self, database: PersistentDatabase, settings: Settings, /) -> None:
        """Run until cancelled."""


LOOPS: tuple[Loop, ...] = (run_watch, run_escalation, run_auditor, run_telling, run_numbers)


class Taken(Struct, frozen=True):
    """A message and what it turned out to be."""

    message: Message
    content: AlarmEvent | Refused


def interpret_alarm(message: Message, *, registry: Registry | None = None) -> AlarmEvent | Refused:
    """Read one alarm event. Pure."""
    try:
        gateway, payload = open_payload(message, channel=Channel.ALARM, registry=registry)
        return decode_alarm(payload, gateway=gateway)
    except DecodeError as error:
        return Refused(error.refusal, error.why, gateway_of(message))


async def run_desk(
    settings: Settings,
    *,
    stop: anyio.Event,
    ready: Callable[[], None] | None = None,
    counters: Counters | None = None,
) -> None:
    """Run until `stop`; then finish what is in hand, at most 5 s, and say good-bye to the broker.

    Args:
        settings: as loaded; InfluxDB is not used.
        stop: set it to end.
        ready: called once, when the subscription is acknowledged for the first time.
        counters: to be read by the caller while it runs; the worker writes them.

    Raises:
        DatabaseRefusedError: the database was made by a newer version.
        SettingsError: a secret is not in the environment.
    """
    counters = Counters() if counters is None else counters
    url = database_url(settings.database)
    with Database(url) as raw_database, Database(url) as beside:
        # Not before: `serve` lets go of it, and a secret that is missing leaves nothing open.
        worker = MqttWorker(
            settings.mqtt,
            name=NAME,
            filters=[every(Channel.ALARM, group=NAME)],
            counters=counters,
            greeting=(CLOUD_READY, json.encode({"worker": NAME})),
        )
        database = PersistentDatabase(raw_database, counters=counters)
        # PostgreSQL has room for both at once; in SQLite's one line they wait in order, not by polling for its lock.
        is_file = url.get_backend_name() == "sqlite"
        rush = Rush()
        loops_database = BesideIntake(raw_database if is_file else beside, counters=counters, rush=rush)
        job = partial(_work_with_loops, worker, database, loops_database, settings, counters, rush=rush)
        await serve([worker], [job], database=database, stop=stop, ready=ready, counters=counters, log=_log)


async def _work_with_loops(
    worker: MqttWorker,
    database: PersistentDatabase,
    loops_database: PersistentDatabase,
    settings: Settings,
    counters: Counters,
    *,
    rush: Rush,
) -> None:
    """Do what the desk does by itself for as long as messages may come."""
    # Before the first event is stored: a new web hook hears of everything from here on.
    try:
        await prepare(loops_database, settings)
    except DatabaseRefusedError as error:
        # Alarms come first; telling tries it again, and says so.
        _log.error("web hooks are not ready: %s", error)
    async with anyio.create_task_group() as loops:
        for loop in LOOPS:
            loops.start_soon(keep_running, loop, loops_database, settings)
        await _work(worker, database, settings, counters, rush=rush)
        loops.cancel_scope.cancel()


async def keep_running(
    loop: Loop, database: PersistentDatabase, settings: Settings, *, backoff: Backoff | None = None
) -> None:
    """Run a loop until cancelled; begin it again, later and later, when the database or a server refused its work.

    Any other error is a mistake of ours and ends the process.
    """
    backoff = backoff or Backoff(first_s=1.0)
    outage = Outage(_log, loop.__name__)
    while True:
        began_s = anyio.current_time()
        failed: CloudError | None = None
        try:
            await loop(database, settings)
        # Out of a loop's own task groups errors come in groups.
        except* (DatabaseAwayError, DatabaseRefusedError) as group:
            failed = _first(group)
        if failed is not None:
            now_s = anyio.current_time()
            if now_s - began_s > backoff.longest_s:
                backoff.reset()
            wait_s = backoff.next_s()
            outage.failed(failed, now_s=now_s, wait_s=wait_s)
            await anyio.sleep(wait_s)


def _first(group: ExceptionGroup[CloudError]) -> CloudError:
    """Find the first error at the bottom of a group."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


async def _work(
    worker: MqttWorker, database: PersistentDatabase, settings: Settings, counters: Counters, *, rush: Rush
) -> None:
    """Take what is waiting, never waiting for more; store it in one commit; answer; until the messages end."""
    while True:
        if worker.is_empty:
            rush.is_over()
        try:
            messages = [await worker.receive()]
        except anyio.EndOfStream:
            return
        rush.is_on()
        while len(messages) < settings.mqtt.window and (following := worker.receive_nowait()) is not None:
            messages.append(following)
        taken = [Taken(message, interpret_alarm(message, registry=settings.gateways)) for message in messages]
        await _store(taken, worker, database, settings, counters)
        counters.lag_s = (now_us() - messages[0].received_at_us) / 1e6


async def _store(
    taken: Sequence[Taken],
    worker: MqttWorker,
    database: PersistentDatabase,
    settings: Settings,
    counters: Counters,
) -> None:
    try:
        await database.call(partial(_commit, taken=taken, settings=settings))
    except DatabaseRefusedError as error:
        if len(taken) > 1:
            # One of them spoils the commit: each alone, so that the others are stored.
            for entry in taken:
                await _store([entry], worker, database, settings, counters)
            return
        message = taken[0].message
        taken = [Taken(message, Refused(Refusal.DATABASE, str(error), gateway_of(message)))]
        await database.call(partial(_commit, taken=taken, settings=settings))
    for entry in taken:
        _answer(entry, worker, counters)


def _commit(connection: Connection, *, taken: Sequence[Taken], settings: Settings) -> None:
    stored_at_us = now_us()
    late_us = settings.desk.late_after_s * 1_000_000
    arrivals = [
        Arrival(
            event=entry.content,
            received_at_us=entry.message.received_at_us,
            stored_at_us=stored_at_us,
            late=entry.message.received_at_us - triggered_at_us(entry.content) > late_us,
            latching=entry.content.kind in settings.desk.latching_kinds,
        )
        for entry in taken
        if isinstance(entry.content, AlarmEvent)
    ]
    if arrivals:
        apply_events(connection, arrivals)
    letters = [dead_letter(entry.message, entry.content) for entry in taken if isinstance(entry.content, Refused)]
    dead_letters.keep(connection, letters, limit=settings.database.dead_letters)


def _answer(entry: Taken, worker: MqttWorker, counters: Counters) -> None:
    if isinstance(entry.content, Refused):
        counters.refused[entry.content.refusal.value] += 1
        reason = f"{entry.content.refusal}: {entry.content.why}"
        answer(worker, entry.message, gateway=entry.content.gateway, refused=1, reason=reason)
        return
    counters.stored += 1
    answer(worker, entry.message, gateway=entry.content.gateway, stored=1)
