"""A made-up city in the database: areas, sites, devices, 27 months of alarms. Rows go in by bulk, as a restore would.

One source in a hundred cries wolf, and these raise a third of all alarms; the others are all alike. All but the
newest 2 000 are closed. The history (`change`) is not filled: neither the list nor the numbers read it.
"""

import json
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from msgspec import Struct
from sqlalchemy import Connection, Table

from cloud.database import Database
from cloud.database.area_tables import area, registered_device, registered_gateway, site
from cloud.database.number_tables import busy_source, presence_change, tally
from cloud.database.tables import alarm_event, gateway, occurrence
from cloud.numbers.days import begin_us
from contract.ids import alarm_id

ALARMS = 1_000_000
SITES = 3_400
DEVICES = 60_000
# One city, 10 counties, 200 towns, 7 000 cells: 7 211 areas.
COUNTIES, TOWNS, CELLS = 10, 200, 7_000
OPEN = 2_000
ZONE = ZoneInfo("Asia/Shanghai")
FIRST, AFTER = date(2024, 9, 1), date(2026, 12, 1)
NOW_US = begin_us(AFTER, ZONE)

_S_US = 1_000_000
_OUTAGES = 24
_KINDS = [("panic", "critical")] * 3 + [("tamper", "high"), ("smoke", "high"), ("temperature", "medium")] + [
    ("device-lost", "low")
] * 4  # fmt: skip
_CODES = ["genuine"] * 12 + ["accidental"] * 4 + ["malicious", "equipment-fault", "weather-animal", "unknown"]
_CLASSES = ["SP2", "SP5", "DP3", None]
_TEXT = json.dumps({"en": "Button pressed in the duty room", "zh": "值班室按钮被按下"}, ensure_ascii=False)


class Device(Struct, frozen=True):
    """One device, and where it is."""

    gateway: str
    name: str
    site: str
    area: str
    path: str


def fill(database: Database, *, alarms: int = ALARMS, still_open: int = OPEN) -> None:
    """Put the city into an empty, migrated database, and have the planner look at it.

    Args:
        database: for all of it.
        alarms: how many there were.
        still_open: how many of these are.
    """
    chance = random.Random(5)  # noqa: S311 - no secret
    paths = _paths()
    devices = _devices(paths)
    with database.transaction() as connection:
        _bulk(connection, area, _areas(paths))
        _bulk(connection, site, _sites(paths))
        _bulk(connection, registered_gateway, _gateways())
        _bulk(connection, registered_device, _device_rows(devices))
        _bulk(connection, gateway, _present())
        _bulk(connection, presence_change, _outages(chance))
    moments = list(_moments(chance, alarms))
    with database.transaction() as connection, _big_cache(connection):
        _bulk(connection, occurrence, _occurrences(chance, devices, moments, alarms - still_open))
    chance.seed(5)
    with database.transaction() as connection, _big_cache(connection):
        _bulk(connection, alarm_event, _events(connection))
    _analyze(database)


def county(number: int) -> str:
    """Name a county's path."""
    return f"city/county-{number:02}/"


def cell(number: int) -> str:
    """Name a cell's path."""
    return _paths()[-CELLS + number]


@cache
def _paths() -> list[str]:
    towns = [f"{county(number % COUNTIES)}town-{number:03}/" for number in range(TOWNS)]
    cells = [f"{towns[number % TOWNS]}cell-{number:04}/" for number in range(CELLS)]
    return ["city/", *map(county, range(COUNTIES)), *towns, *cells]


def _path_of(paths: list[str], place: int) -> str:
    """Name the cell of a site: every other cell has one, in all towns."""
    return paths[-CELLS + 2 * place + place // (TOWNS // 2) % 2]


def _areas(paths: list[str]) -> Iterator[dict[str, Any]]:
    levels = ["city", "county", "town", "grid"]
    for path in paths:
        ids = path.split("/")[:-1]
        parent = ids[-2] if len(ids) > 1 else None
        yield {"id": ids[-1], "parent": parent, "level": levels[len(ids) - 1], "name": ids[-1], "path": path}


def _sites(paths: list[str]) -> Iterator[dict[str, Any]]:
    for number in range(SITES):
        cell_id = _path_of(paths, number).split("/")[-2]
        words = {"name": f"School {number}", "kind": "school", "address": "", "area": cell_id}
        yield words | {"id": f"site-{number:04}", "transmission_class": _CLASSES[number % 4]}


def _gateways() -> Iterator[dict[str, Any]]:
    for number in range(SITES):
        yield {"id": f"gw-{number:04}", "site": f"site-{number:04}", "name": "", "address": ""}


def _devices(paths: list[str]) -> list[Device]:
    found: list[Device] = []
    for number in range(DEVICES):
        place = number % SITES
        path = _path_of(paths, place)
        found.append(Device(f"gw-{place:04}", f"dev-{number:05}", f"site-{place:04}", path.split("/")[-2], path))
    return found


def _device_rows(devices: Iterable[Device]) -> Iterator[dict[str, Any]]:
    for device in devices:
        yield {"gateway": device.gateway, "device": device.name, "name": "", "place": ""}


def _present() -> Iterator[dict[str, Any]]:
    empty = {"boot": "b", "version": "1", "site": "", "name": "", "reason": "", "inventory": "[]"}
    for number in range(SITES):
        yield empty | {"id": f"gw-{number:04}", "online": number % 50 > 0, "since_us": NOW_US - 3_600 * _S_US}


def _outages(chance: random.Random) -> Iterator[dict[str, Any]]:
    begin = begin_us(FIRST, ZONE)
    for number in range(SITES):
        at_us = begin
        for _ in range(_OUTAGES):
            lost_us = at_us + chance.randrange(30 * 86_400) * _S_US
            back_us = lost_us + chance.randrange(60, 7_200) * _S_US
            row = {"gateway": f"gw-{number:04}", "reason": ""}
            yield row | {"online": False, "before_us": at_us, "at_us": lost_us}
            yield row | {"online": True, "before_us": lost_us, "at_us": back_us}
            at_us = back_us


def _moments(chance: random.Random, count: int) -> Iterator[int]:
    begin = begin_us(FIRST, ZONE)
    seconds = (NOW_US - begin) // _S_US
    return iter(sorted(begin + chance.randrange(seconds) * _S_US + number % _S_US for number in range(count)))


def _occurrences(
    chance: random.Random, devices: list[Device], moments: list[int], closed: int
) -> Iterator[dict[str, Any]]:
    wolves = DEVICES // 100
    for number, raised_at_us in enumerate(moments):
        device = devices[chance.randrange(wolves if number % 3 == 0 else DEVICES) * 97 % DEVICES]
        kind, severity = _KINDS[chance.randrange(len(_KINDS))]
        stored_at_us = raised_at_us + int(chance.expovariate(1.0) * _S_US)
        seen_us = stored_at_us + int(chance.expovariate(1 / 40) * _S_US)
        closed_us = seen_us + int(chance.expovariate(1 / 200) * _S_US)
        is_open = number >= closed
        source = f"{device.gateway}/{device.name}/{kind}/rule"
        key = alarm_id(source, raised_at_us)
        done = {} if is_open else {
            "cleared_at_us": closed_us, "acknowledged_at_us": seen_us, "first_acknowledged_at_us": seen_us,
            "acknowledged_by": "wang", "dispatched_at_us": seen_us + _S_US, "dispatched_by": "wang",
            "closed_at_us": closed_us, "closed_by": "wang", "closing_code": _CODES[chance.randrange(len(_CODES))],
        }  # fmt: skip
        yield {
            "alarm_id": key, "source": source, "open_key": f"{source}#{number}"[:259] if is_open else None,
            "gateway": device.gateway, "device": device.name, "point": kind, "rule": "rule", "kind": kind,
            "severity": severity, "text": _TEXT, "raised_at_us": raised_at_us, "received_at_us": stored_at_us,
            "stored_at_us": stored_at_us, "late": number % 500 == 0, "triggers": 1 + (number % 10 == 0),
            "last_raised_at_us": raised_at_us + (number % 10 == 0) * 30 * _S_US, "mode": "live", "latching": True,
            "latched": False, "out_of_service": False, "site": device.site, "area": device.area,
            "area_path": device.path, "target_s": 300, "recent_us": "[]", "chattering": number % 200 == 0, **done,
        }  # fmt: skip


def _events(connection: Connection) -> list[dict[str, Any]]:
    columns = occurrence.c.alarm_id, occurrence.c.raised_at_us, occurrence.c.last_raised_at_us, occurrence.c.triggers
    found: list[dict[str, Any]] = []
    for key, raised_us, last_us, triggers in connection.execute(occurrence.select().with_only_columns(*columns)):
        times = {"received_at_us": raised_us, "stored_at_us": raised_us}
        same = {"alarm_id": key, "occurrence": key}
        found.append({"event_id": f"{key}-raised", "transition": "raised", "at_us": raised_us, **same, **times})
        if triggers > 1:
            name = f"{key}-retriggered-{last_us}"
            found.append({"event_id": name, "transition": "retriggered", "at_us": last_us, **same, **times})
    return found


def copy_tallies(origin: Database, target: Database) -> None:
    """Copy what was counted from one database to another that holds the same alarms."""
    for table in (tally, busy_source):
        with origin.reading() as connection, target.transaction() as target_connection:
            target_connection.execute(table.delete())
            rows = connection.execution_options(yield_per=10_000).execute(table.select()).mappings()
            _bulk(target_connection, table, (dict(row) for row in rows))
    _analyze(target)


def _analyze(database: Database) -> None:
    """Do what the server itself has long done with rows that came over 27 months: on PostgreSQL they are vacuumed."""
    if database.url.get_backend_name() == "postgresql":
        target = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(target, autocommit=True, options="-c statement_timeout=0") as connection:
            connection.execute("VACUUM ANALYZE")
        return
    with database.transaction() as sqlite:
        sqlite.exec_driver_sql("ANALYZE")


@contextmanager
def _big_cache(connection: Connection) -> Iterator[None]:
    """Give SQLite 1 GB while a table with random keys is filled, and take it away again."""
    if connection.dialect.name != "sqlite":
        yield
        return
    before = int(connection.exec_driver_sql("PRAGMA cache_size").scalar_one())
    connection.exec_driver_sql("PRAGMA cache_size = -1000000")
    yield
    connection.exec_driver_sql(f"PRAGMA cache_size = {before}")


def _bulk(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert the fast way of each database; what a row leaves out is NULL."""
    if connection.dialect.name == "postgresql":
        # A desk's statements are short; this one is not.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    columns = [column.name for column in table.columns if column.name != "id" or table is not presence_change]
    names = ", ".join(f'"{name}"' for name in columns)
    values = ([row.get(name) for name in columns] for row in rows)
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        driver.executemany(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', values)  # noqa: S608 - our tables
        return
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
        for row in values:
            copy.write_row(row)
