import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import URL, Connection, insert, inspect, make_url, text, update
from sqlalchemy.exc import IntegrityError

from cloud.database import Database, DeadLetter, GatewayRow, dead_letters, list_gateways, open_database
from cloud.database.gateways import note_presence
from cloud.database.schema import metadata
from cloud.database.tables import alarm_event, cursor, dead_letter, occurrence
from cloud.desk.core import Arrival, opened
from cloud.desk.keeping import to_row
from cloud.desk.store import apply_events
from cloud.errors import DatabaseAwayError, DatabaseRefusedError
from cloud.settings import DatabaseSettings, Registered
from contract.errors import Refusal
from contract.presence import Birth, Death, Device
from tests.cloud.rig import LIMIT_S, T0_US, count_of, eventually, rows_of
from tests.cloud.test_desk_events import again, arrival, event


def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    def differences(connection: object) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)  # type: ignore[arg-type]

    assert database.run(differences) == []


def test_what_an_older_version_stored_is_live_and_stays_joined(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    config = Config()
    config.set_main_option("script_location", "cloud:migrations")
    config.set_main_option("path_separator", "os")
    with Database(make_url(f"sqlite:///{path}")) as old, old.transaction() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        row = to_row(opened(arrival(event(0)), cleared_at_us=None))
        there = {column["name"] for column in inspect(connection).get_columns("occurrence")}
        connection.execute(insert(occurrence).values({key: value for key, value in row.items() if key in there}))
        values = {"event_id": event(0).event_id, "alarm_id": row["alarm_id"], "occurrence": row["alarm_id"]}
        times = dict.fromkeys(("at_us", "received_at_us", "stored_at_us"), T0_US)
        connection.execute(insert(alarm_event).values(values | times | {"transition": "raised"}))
    with open_database(DatabaseSettings(url=f"sqlite:///{path}")) as database:
        database.run(partial(apply_events, arrivals=[arrival(event(0)), arrival(event(0, 9)), arrival(again(0, 3))]))
        (alarm,) = rows_of(database, occurrence)
        assert (alarm["mode"], alarm["triggers"], alarm["cleared_at_us"]) == ("live", 2, event(0, 9).at_us)
        with pytest.raises(IntegrityError), database.transaction() as connection:
            connection.execute(text("UPDATE alarm_event SET occurrence = 'nothing'"))
        with database.transaction() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "0001")
        (left,) = database.run(lambda connection: connection.execute(text("SELECT triggers FROM occurrence")).all())
        assert left.triggers == 2


def test_of_two_that_wait_for_each_other_one_does_it_again(desk_database: Database) -> None:
    both = threading.Barrier(2)
    rows = [{"name": name, "change_id": 0} for name in ("a", "b")]
    desk_database.run(lambda connection: connection.execute(insert(cursor), rows))
    first = threading.local()

    def work(connection: Connection, names: str) -> None:
        for name in names:
            mine = update(cursor).where(cursor.c.name == name)
            connection.execute(mine.values(change_id=cursor.c.change_id + 1))
            if desk_database.url.get_backend_name() == "postgresql" and not hasattr(first, "is_over"):
                first.is_over = True
                both.wait(LIMIT_S)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda names: desk_database.run(partial(work, names=names)), ("ab", "ba")))
    assert [row["change_id"] for row in rows_of(desk_database, cursor)] == [2, 2]


def test_many_processes_may_migrate_at_once(tmp_path: Path) -> None:
    settings = DatabaseSettings(url=f"sqlite:///{tmp_path}/new.db")
    with ThreadPoolExecutor(8) as pool:
        databases = list(pool.map(lambda _: open_database(settings), range(8)))
    for database in databases:
        assert count_of(database, occurrence) == 0
        database.close()
    with sqlite3.connect(tmp_path / "new.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    database.run(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(DatabaseRefusedError, match="9999"):
        database.migrate()


def test_a_database_out_of_reach_is_away(tmp_path: Path) -> None:
    with pytest.raises(DatabaseAwayError, match="no/such"):
        open_database(DatabaseSettings(url=f"sqlite:///{tmp_path}/no/such/cloud.db"))


def test_the_database_itself_keeps_one_open_row_a_source(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(insert(occurrence).values(to_row(opened(arrival(event(0)), cleared_at_us=None))))
    with pytest.raises(IntegrityError), database.transaction() as connection:
        connection.execute(insert(occurrence).values(to_row(opened(arrival(event(1)), cleared_at_us=None))))


def is_done(database: Database, one: Arrival) -> bool:
    try:
        database.run(partial(apply_events, arrivals=[one]))
    except DatabaseAwayError:
        return False
    return True


def test_workers_side_by_side_count_every_raise_once(tmp_path: Path, database: Database) -> None:
    arrivals = [arrival(event(second)) for second in range(40)]
    others = [Database(make_url(f"sqlite:///{tmp_path}/cloud.db")) for _ in range(4)]

    def work(number: int) -> None:
        mine: list[Arrival] = arrivals[number * 8 : number * 8 + 16]
        for one in mine:
            while not is_done(others[number], one):
                pass  # the others had the lock for all the time that it waits: again, as workers do

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    for other in others:
        other.close()
    (row,) = rows_of(database, occurrence)
    assert (row["triggers"], row["raised_at_us"]) == (40, event(0).raised_at_us)


def letter(number: int, payload: bytes = b"x") -> DeadLetter:
    return DeadLetter("langyan/v1/g1/up/alarm", "g1", Refusal.NOT_CLOUDEVENT, f"\0why {number}", payload, number)


def test_dead_letters_are_bounded_in_number_and_size(database: Database) -> None:
    for number in range(0, 30, 3):
        letters = [letter(number + one, b"y" * 70_000) for one in range(3)]
        database.run(partial(dead_letters.keep, letters=letters, limit=7))
    rows = rows_of(database, dead_letter)
    assert [row["why"] for row in rows] == [f"why {number}" for number in range(23, 30)]
    assert {(len(row["payload"]), row["payload_size"]) for row in rows} == {(65_536, 70_000)}


def test_a_gateway_is_born_dies_and_is_born_again(database: Database) -> None:
    device = Device("b1", "panic", "1", "校门\0", "rs485")
    birth = Birth("g1", "boot1", "0.1", "三中", T0_US, (device,))

    def note(message: Birth | Death, at_us: int, registered: Registered | None = None) -> tuple[object, ...]:
        database.run(partial(note_presence, message=message, received_at_us=at_us, registered=registered))
        (row,) = list_gateways_of(database)
        return row.boot, row.online, row.since_us, row.reason

    assert note(birth, 1) == ("boot1", True, T0_US, "")
    assert list_gateways_of(database)[0].inventory == [
        {"id": "b1", "profile": "panic", "profile_version": "1", "name": "校门", "bus": "rs485"}
    ]
    assert note(Death("g1", "boot1", "lost"), 2) == ("boot1", False, 2, "lost")
    # The same retained death again, after a reconnect of ours.
    assert note(Death("g1", "boot1", "lost"), 3) == ("boot1", False, 2, "lost")
    again = Birth("g1", "boot2", "0.2", "三中", T0_US + 9)
    assert note(again, 4, Registered(site="第三中学", name="东门")) == ("boot2", True, T0_US + 9, "")
    assert (list_gateways_of(database)[0].site, list_gateways_of(database)[0].name) == ("第三中学", "东门")
    # The will of the run before arrives late.
    assert note(Death("g1", "boot1", "lost"), 5) == ("boot2", True, T0_US + 9, "")


def test_a_death_of_a_gateway_never_seen_makes_a_row(database: Database) -> None:
    database.run(partial(note_presence, message=Death("g9", "b", "stopped"), received_at_us=3, registered=None))
    (row,) = list_gateways_of(database)
    assert (row.id, row.online, row.inventory) == ("g9", False, [])


def list_gateways_of(database: Database) -> list[GatewayRow]:
    return database.run(list_gateways)


def test_a_driver_that_is_not_installed_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseRefusedError, match=r"langyan\[postgres\]"):
        open_database(DatabaseSettings(url="postgresql://user@host/db"))


def test_a_retained_death_is_the_last_word_whatever_run_it_names(database: Database) -> None:
    born, dead = Birth("g", "run-1", "1", "s", T0_US), Death("g", "run-2", "lost")

    def note(message: Birth | Death, *, retained: bool) -> None:
        database.run(partial(_note, message=message, retained=retained))

    note(born, retained=False)
    note(dead, retained=False)
    assert [row.online for row in database.run(list_gateways)] == [True]
    note(dead, retained=True)
    assert [(row.online, row.boot) for row in database.run(list_gateways)] == [(False, "run-2")]


def _note(connection: Connection, *, message: Birth | Death, retained: bool) -> None:
    note_presence(connection, message, received_at_us=T0_US + 1, registered=None, retained=retained)


def test_a_number_beyond_64_bits_is_refused_and_not_a_crash(database: Database) -> None:
    birth = Birth("g", "run-1", "1", "s", 10**30)
    with pytest.raises(DatabaseRefusedError):
        database.run(partial(_note, message=birth, retained=False))


def test_a_question_that_nobody_waits_for_leaves_no_connection_open(database_url: URL) -> None:
    database = Database(database_url)
    asked, goes_on = threading.Event(), threading.Event()
    found: list[Any] = []

    def work(connection: Connection) -> None:
        found.append(connection.connection.driver_connection)
        asked.set()
        assert goes_on.wait(LIMIT_S)

    async def leave() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(database.ask, work)
            await anyio.to_thread.run_sync(asked.wait)
            tasks.cancel_scope.cancel()

    database.migrate()
    anyio.run(leave)
    database.close()
    goes_on.set()
    eventually(lambda: is_closed(found[0]))


def is_closed(connection: Any) -> bool:
    """Whether a driver's connection is closed."""
    if not isinstance(connection, sqlite3.Connection):
        return bool(connection.closed)
    try:
        connection.total_changes  # noqa: B018 - a closed one refuses to answer
    except sqlite3.ProgrammingError:
        return True
    return False
