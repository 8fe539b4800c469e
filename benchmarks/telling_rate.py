"""Messages a second to a receiver on this machine, beside a channel that hangs; on SQLite and on PostgreSQL.

One teller, as the desk runs it, with the settings' own limits; messages are queued before it begins. The receiver is a
process of its own, on the same cores.
"""

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Self

import anyio
from msgspec import Struct
from sqlalchemy import Connection, func, make_url, select

from benchmarks.sink import Sink
from cloud.clock import now_us
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.escalation_tables import delivery
from cloud.settings import Settings
from cloud.telling.channels import warm_up
from cloud.telling.queue import Delivery, Facts, Kind, State, delivery_id, enqueue
from cloud.telling.settings import Channel, Telling
from cloud.telling.worker import run_telling
from contract.alarms import Severity
from langyan.postgres import Postgres

MESSAGES = 2_000
HANGING = 200
LIMIT_S = 120.0


class TellingRate(Struct, frozen=True):
    """Messages a second until the last is noted as sent, with concurrency 4; `hanging`: queued for the dead channel."""

    messages: int
    hanging: int
    sqlite_per_s: float
    postgresql_per_s: float


class Hanging:
    """A server that takes requests and never answers; a context manager."""

    def __init__(self) -> None:
        over = threading.Event()
        self._over = over

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                over.wait(LIMIT_S)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="hanging", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Receiver(Struct, frozen=True):
    """A sink in a process of its own, listening on `port`."""

    port: int
    pipe: Pipe

    def heard(self) -> int:
        """Tell how many messages came, and end it."""
        self.pipe.send(None)
        return int(self.pipe.recv())


@contextmanager
def _receiving() -> Iterator[Receiver]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_receive, args=(theirs,), daemon=True)
    process.start()
    try:
        yield Receiver(ours.recv(), ours)
    finally:
        process.kill()
        process.join()


def _receive(pipe: Pipe) -> None:
    with Sink() as sink:
        pipe.send(sink.port)
        pipe.recv()
        pipe.send(sink.messages.total())


def measure(messages: int = MESSAGES, hanging: int = HANGING) -> TellingRate:
    """Measure on both databases, one after the other."""
    warm_up()
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="langyan-bench-")))
        sqlite = _rate(f"sqlite:///{folder / 'desk.db'}", "", messages, hanging)
        server = parts.enter_context(Postgres(folder / "postgres"))
        server.make_database("telling")
        postgresql = _rate(server.url_of("telling"), server.password, messages, hanging)
    return TellingRate(messages, hanging, round(sqlite), round(postgresql))


def _rate(url: str, password: str, messages: int, hanging: int) -> float:
    with ExitStack() as parts:
        receiver, dead = parts.enter_context(_receiving()), parts.enter_context(Hanging())
        made = make_url(url)
        database = parts.enter_context(Database(made.set(password=password) if password else made))
        database.migrate()
        queued = [_message("hanging", number) for number in range(hanging)]
        queued += [_message("fast", number) for number in range(messages)]
        database.run(lambda connection: enqueue(connection, queued))
        os.environ["BENCH_FAST"] = f"json://127.0.0.1:{receiver.port}/told/{{address}}"
        os.environ["BENCH_HANGING"] = f"json://127.0.0.1:{dead.port}/told/{{address}}?rto=300"
        names = ("fast", "hanging")
        channels = tuple(Channel(name=name, url_env=f"BENCH_{name.upper()}") for name in names)
        began_s = time.monotonic()
        anyio.run(_tell_all, database, Settings(telling=Telling(channel=channels)), _has_sent(messages))
        took_s = time.monotonic() - began_s
        return receiver.heard() / took_s


async def _tell_all(database: Database, settings: Settings, is_done: Callable[[Connection], bool]) -> None:
    patient = PersistentDatabase(database, counters=Counters())
    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_telling, patient, settings)
            while not await patient.ask(is_done):  # noqa: ASYNC110 - what is waited for happens in a database
                await anyio.sleep(0.1)
            tasks.cancel_scope.cancel()


def _has_sent(messages: int) -> Callable[[Connection], bool]:
    sent = select(func.count()).select_from(delivery).where(delivery.c.state == State.SENT.value)
    return lambda connection: connection.execute(sent).scalar_one() >= messages


def _message(channel: str, number: int) -> Delivery:
    at_us = now_us()
    return Delivery(
        id=delivery_id(channel, number),
        kind=Kind.ALARM,
        severity=Severity.CRITICAL,
        channel=channel,
        address=f"1380000{number:04}",
        language="en",
        facts=Facts(alarm_id=f"{number:024x}", alarm_kind="panic", gateway="gw", device="d", raised_at_us=at_us),
        created_us=at_us,
        due_us=at_us,
    )
