"""From every earlier form of the tables to the newest, with rows in them, on both servers; and back."""

from datetime import date

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    URL,
    Boolean,
    Column,
    Connection,
    Date,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import IntegrityError

from cloud.database import Database
from cloud.database.schema import metadata
from cloud.database.tables import change, occurrence
from cloud.errors import DatabaseAwayError

COUNTED_ANEW = "0015"
"""The revision that forgets what was counted, as it is written in another form since."""


def config_for(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "cloud:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def revisions() -> list[str]:
    config = Config()
    config.set_main_option("script_location", "cloud:migrations")
    config.set_main_option("path_separator", "os")
    return [script.revision for script in reversed(list(ScriptDirectory.from_config(config).walk_revisions()))]


def move(database: Database, revision: str, *, down: bool = False) -> None:
    with database.transaction() as connection:
        (command.downgrade if down else command.upgrade)(config_for(connection), revision)


def a_value(column: Column[object]) -> object:
    """Something that the column takes; the same for the two sides of a reference."""
    if isinstance(column.type, Boolean):
        return True
    if isinstance(column.type, JSON):
        return {"zh": "校门"}
    if isinstance(column.type, Date):
        return date(2026, 11, 22)
    if isinstance(column.type, LargeBinary):
        return b"\0\xff"
    if isinstance(column.type, Integer | Float):
        return 1
    return "一"


def fill(connection: Connection) -> dict[str, int]:
    """One row in every table that is there; how many rows each has."""
    found = MetaData()
    found.reflect(connection)
    tables = [table for table in found.sorted_tables if table.name != "alembic_version"]
    for table in tables:
        own = {column for key in table.foreign_keys if key.column.table is table for column in [key.parent]}
        connection.execute(insert(table).values({one.name: a_value(one) for one in table.columns if one not in own}))
    return count(connection, tables)


def count(connection: Connection, tables: list[Table]) -> dict[str, int]:
    return {table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}


@pytest.mark.parametrize("revision", revisions())
def test_every_earlier_form_comes_up_with_its_rows_and_goes_back(database_url: URL, revision: str) -> None:
    with Database(database_url) as database:
        move(database, revision)
        with database.transaction() as connection:
            before = fill(connection)
        assert set(before.values()) == {1}
        database.migrate()
        with database.transaction() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
            names = [table for table in metadata.sorted_tables if table.name in before]
            if revision < COUNTED_ANEW:
                before |= dict.fromkeys({"tally", "busy_source"} & before.keys(), 0)
            assert count(connection, names) == before
        move(database, revision, down=True)
        database.migrate()


def test_what_was_acknowledged_before_is_known_as_acknowledged_first(database_url: URL) -> None:
    with Database(database_url) as database:
        move(database, "0002")
        with database.transaction() as connection:
            fill(connection)
        database.migrate()
        with database.transaction() as connection:
            row = connection.execute(select(occurrence)).mappings().one()
            assert (row["first_acknowledged_at_us"], row["latching"], row["area_path"]) == (1, False, "")


@pytest.mark.parametrize("table", ["change", "audit"])
@pytest.mark.parametrize("act", ["UPDATE {} SET why = ''", "DELETE FROM {}"])
def test_what_is_written_once_and_for_all_is_kept_by_the_database(
    desk_database: Database, table: str, act: str
) -> None:
    with desk_database.transaction() as connection:
        fill(connection)
    act = act.format(table).replace("why", "why" if table == "change" else "what")
    refused = pytest.raises((DatabaseAwayError, IntegrityError), match="append-only")
    with refused, desk_database.transaction() as connection:
        connection.exec_driver_sql(act)
    with desk_database.transaction() as connection:
        assert "change" in inspect(connection).get_table_names()
        assert connection.execute(select(func.count()).select_from(change)).scalar_one() == 1
