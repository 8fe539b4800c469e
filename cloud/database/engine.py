"""One door to the SQL database: migrated at the start, one transaction at a time, its own errors."""

import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self, TypeVar

import anyio
import anyio.to_thread
import msgspec
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from cloud.backoff import Backoff, Outage
from cloud.counters import Counters
from cloud.errors import DatabaseAwayError, DatabaseRefusedError, DeadlockError
from cloud.settings import DatabaseSettings, database_url

_log = logging.getLogger(__name__)
# Longer than any transaction of ours; whoever holds a lock longer is reported as "away", and it is tried again. Not
# much longer, because a stop waits for it.
_BUSY_TIMEOUT_S = 3
# What a server that is there but silent may cost: a connection, a statement, a lock.
_POSTGRESQL_LIMITS: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "tcp_user_timeout": 15_000,
    "options": "-c statement_timeout=15000 -c lock_timeout=10000",
}
# So long a writer on SQLite waits for its turn before it asks again: SQLite looks each 1 ms in it. In a long wait it
# looks less and less often, at last ten times a second, and would meet whoever writes one transaction after the other
# at work each time.
_TURN_MS = 3
_WAL_TRIES = 100
# Each waits for the lock as long as any transaction does.
_MIGRATION_TRIES = 10
# An execution option of our own: such a connection takes no lock for writing.
_READS_ONLY = "langyan_reads_only"
# At once; the engine's pool has 15 connections.
_READERS = 8
# Two workers may open one source's row in the same moment, or lock the same rows in another order: one loses, and sees
# what the other has done at its next try.
_CONFLICT_TRIES = 5
# PostgreSQL's word for it.
_DEADLOCK = "40P01"
# "langyan", so that no other program's advisory lock meets ours.
_MIGRATION_LOCK = 0x6C616E6779616E

Result = TypeVar("Result")
# Writes Chinese as Chinese, so that the columns can be read as they stand.
_json = msgspec.json.Encoder()


class Database:
    """The SQL database of alarms, dead letters and gateways; close it, or use it as a context manager.

    A worker calls `call`, which runs in one thread at a time; a command line tool uses `transaction`.
    """

    def __init__(self, url: URL) -> None:
        """Prepare; nothing is connected yet.

        Raises:
            DatabaseRefusedError: the driver for this URL is not installed.
        """
        self.url = url
        self._is_closed = False
        self._limiter: anyio.CapacityLimiter | None = None
        self._reader_limiter: anyio.CapacityLimiter | None = None
        connect_args: dict[str, Any] = {}
        if url.get_backend_name() == "sqlite":
            # Python's own transaction handling begins late and never before DDL; we begin ourselves.
            connect_args = {"timeout": _BUSY_TIMEOUT_S, "isolation_level": None}
        elif url.get_backend_name() == "postgresql":
            connect_args = dict(_POSTGRESQL_LIMITS)
        try:
            self._engine = create_engine(
                url,
                connect_args=connect_args,
                pool_pre_ping=True,
                json_serializer=lambda value: _json.encode(value).decode(),
            )
        except ModuleNotFoundError as error:
            why = f"{url.render_as_string()}: needs {error.name}; install it: pip install 'langyan[postgres]'"
            raise DatabaseRefusedError(why) from error
        if url.get_backend_name() == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_immediate)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; that of a question that nobody waits for any more when it is answered."""
        self._is_closed = True
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction, committed at the end of the block; SQLite locks for writing at its start.

        Raises:
            DatabaseAwayError: unreachable, locked too long, full.
            DatabaseRefusedError: the data cannot be stored.
            IntegrityError, DeadlockError: another transaction was first; repeat.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except DataError as error:
            raise DatabaseRefusedError(str(error.orig)) from error
        except OverflowError as error:
            # sqlite3's own word for a number beyond 64 bits; SQLAlchemy passes it through.
            raise DatabaseRefusedError(str(error)) from error
        except (DBAPIError, PoolTimeoutError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            kind = DeadlockError if getattr(cause, "sqlstate", None) == _DEADLOCK else DatabaseAwayError
            raise kind(f"{self.url.render_as_string()}: {cause}") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of everything and changes nothing; it holds up no writer.

        Raises:
            DatabaseAwayError: as `transaction`.
            DatabaseRefusedError: no row can be like what is asked for: a NUL in a text, a number beyond 64 bits.
        """
        options: dict[str, Any] = {_READS_ONLY: True}
        if self.url.get_backend_name() == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        try:
            with self._engine.connect().execution_options(**options) as connection:
                with connection.begin():
                    yield connection
                if self._is_closed:
                    # Its pool is gone: nobody else would close it.
                    connection.invalidate()
        except (DataError, OverflowError) as error:
            raise DatabaseRefusedError(str(error)) from error
        except (DBAPIError, PoolTimeoutError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise DatabaseAwayError(f"{self.url.render_as_string()}: {cause}") from error

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work`, which changes nothing, on one state of everything.

        Raises:
            DatabaseAwayError: as `transaction`.
        """
        with self.reading() as connection:
            return work(connection)

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work` in one transaction, again when another worker was first.

        Raises:
            DatabaseAwayError, DatabaseRefusedError: as `transaction`.
        """
        tries = 0
        while True:
            try:
                with self.transaction() as connection:
                    return work(connection)
            except DeadlockError:
                tries += 1
                if tries == _CONFLICT_TRIES:
                    raise
            except IntegrityError as error:
                tries += 1
                if tries == _CONFLICT_TRIES:
                    why = f"still in conflict after {_CONFLICT_TRIES} tries: {error.orig}"
                    raise DatabaseRefusedError(why) from error

    async def call(self, work: Callable[[Connection], Result]) -> Result:
        """Do what `run` does in a worker thread, one at a time; cancelling waits for the transaction's end."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(1)
        return await anyio.to_thread.run_sync(partial(self.run, work), limiter=self._limiter)

    async def ask(self, work: Callable[[Connection], Result]) -> Result:
        """Do what `read` does in a worker thread, some at a time; cancelling does not wait for it."""
        if self._reader_limiter is None:
            self._reader_limiter = anyio.CapacityLimiter(_READERS)
        reading = partial(self.read, work)
        return await anyio.to_thread.run_sync(reading, limiter=self._reader_limiter, abandon_on_cancel=True)

    def migrate(self) -> None:
        """Bring the tables to the newest form; safe when several processes do it at once.

        Raises:
            DatabaseAwayError: unreachable.
            DatabaseRefusedError: the database is of a newer version of this program.
        """
        config = Config()
        config.set_main_option("script_location", "cloud:migrations")
        config.set_main_option("path_separator", "os")
        try:
            if self.url.get_backend_name() == "sqlite":
                self._switch_to_wal()
            self._upgrade(config)
        except (sqlite3.OperationalError, DBAPIError) as error:
            raise DatabaseAwayError(f"{self.url.render_as_string()}: {error}") from error
        except CommandError as error:
            raise DatabaseRefusedError(f"{self.url.render_as_string()}: {error}") from error

    def _upgrade(self, config: Config) -> None:
        """Upgrade; who finds a SQLite file locked waits for the one who is upgrading it, on a slow disk too."""
        for tries in range(1, _MIGRATION_TRIES + 1):
            try:
                with self.transaction() as connection:
                    if connection.dialect.name == "postgresql":
                        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
                    config.attributes["connection"] = connection
                    command.upgrade(config, "head")
            except DatabaseAwayError as error:
                if tries == _MIGRATION_TRIES or "database is locked" not in str(error):
                    raise
            else:
                return

    def _switch_to_wal(self) -> None:
        """Put a new SQLite file into WAL mode, once and for all; two processes may try at the same time."""
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            if not isinstance(driver, sqlite3.Connection):
                return
            for _ in range(_WAL_TRIES):
                try:
                    driver.execute("PRAGMA journal_mode = WAL").close()
                except sqlite3.OperationalError as error:
                    # Unlike every other statement the switch does not wait for others: let an empty
                    # transaction wait instead, then try again.
                    _log.debug("not in WAL mode yet: %s", error)
                    driver.execute("BEGIN EXCLUSIVE").close()
                    driver.execute("COMMIT").close()
                else:
                    return


def open_database(settings: DatabaseSettings) -> Database:
    """Open and migrate.

    Raises:
        DatabaseAwayError: unreachable.
        DatabaseRefusedError: made by a newer version.
    """
    database = Database(database_url(settings))
    try:
        database.migrate()
    except (DatabaseAwayError, DatabaseRefusedError):
        database.close()
        raise
    return database


class PersistentDatabase:
    """A database's `call` and `ask` that wait out every outage, so that nothing taken is dropped.

    Args:
        database: may be away at any time, also now.
        counters: its `retries` are counted.
    """

    def __init__(self, database: Database, *, counters: Counters, backoff: Backoff | None = None) -> None:
        self._database = database
        self._counters = counters
        self._backoff = backoff or Backoff(longest_s=10.0)
        self._outage = Outage(_log, "the alarm database")

    async def migrate(self, stop: anyio.Event) -> bool:
        """Migrate, as soon as the database is there; False when `stop` came first.

        Raises:
            DatabaseRefusedError: made by a newer version.
        """
        while not stop.is_set():
            try:
                await anyio.to_thread.run_sync(self._database.migrate)
            except DatabaseAwayError as error:
                wait_s = self._failed(error)
                with anyio.move_on_after(wait_s):
                    await stop.wait()
            else:
                self._worked()
                return True
        return False

    async def call(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work` in one transaction, as soon as the database is there.

        Raises:
            DatabaseRefusedError: the data cannot be stored.
        """
        return await self._persist(self._database.call, work)

    async def ask(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work`, which changes nothing, on one state of everything, as soon as the database is there."""
        return await self._persist(self._database.ask, work)

    async def _persist(
        self,
        way: Callable[[Callable[[Connection], Result]], Awaitable[Result]],
        work: Callable[[Connection], Result],
    ) -> Result:
        while True:
            try:
                result = await way(work)
            except DatabaseAwayError as error:
                await anyio.sleep(self._failed(error))
            else:
                self._worked()
                return result

    def _failed(self, error: DatabaseAwayError) -> float:
        wait_s = self._backoff.next_s()
        self._counters.retries += 1
        self._outage.failed(error, now_s=time.monotonic(), wait_s=wait_s)
        return wait_s

    def _worked(self) -> None:
        self._outage.over(now_s=time.monotonic())
        self._backoff.reset()


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    cursor = connection.cursor()
    # In WAL mode NORMAL may lose the last commits in a power cut, and a receipt promises a commit.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    # A transaction that reads first and locks later can fail in the middle; this one waits at its start.
    if connection.get_execution_options().get(_READS_ONLY, False):
        connection.exec_driver_sql("BEGIN")
        return
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        return
    driver.execute(f"PRAGMA busy_timeout = {_TURN_MS}").close()
    try:
        if not _is_begun(driver):
            # Says in SQLAlchemy's words what is wrong.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        driver.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_S * 1_000}").close()


def _is_begun(driver: sqlite3.Connection) -> bool:
    """Begin a transaction for writing once nobody else writes; False after too long, or when something is wrong."""
    until_s = time.monotonic() + _BUSY_TIMEOUT_S
    while time.monotonic() < until_s:
        try:
            driver.execute("BEGIN IMMEDIATE").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                return False
        else:
            return True
    return False


@contextmanager
def planned_anew(connection: Connection) -> Iterator[None]:
    """Let PostgreSQL plan each question for what it asks, at the cost of the planning.

    For one that is asked often it would soon take one plan for all areas and times: for the open alarms of a county one
    that reads all that the county ever had.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    driver: Any = connection.connection.driver_connection
    usual = driver.prepare_threshold
    driver.prepare_threshold = None
    try:
        yield
    finally:
        driver.prepare_threshold = usual
