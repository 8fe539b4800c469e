"""A million occurrences in the database: how fast the open list and an area's numbers answer, on both servers."""

import os
import random
import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, make_url

from benchmarks.city_database import (
    AFTER,
    ALARMS,
    CELLS,
    COUNTIES,
    FIRST,
    NOW_US,
    ZONE,
    cell,
    copy_tallies,
    county,
    fill,
)
from cloud.api.queries import Filters, Which, alarm_page, cursor_of
from cloud.database import Database, planned_anew
from cloud.desk.core import Alarm
from cloud.desk.keeping import to_alarm
from cloud.desk.operations import list_alarms
from cloud.numbers.days import begin_us, days_from, month_after
from cloud.numbers.following import rebuild, rebuild_day
from cloud.numbers.read import numbers
from langyan.postgres import Postgres

_QUESTIONS = 100
_DAYS = 10
_PAGES = 5
_ROWS = 50


class Answers(Struct, frozen=True):
    """How long some questions took, each a transaction of its own; and how long this process worked for one."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_p50_ms: float
    cpu_p99_ms: float


class Server(Struct, frozen=True):
    """One database server: seconds to fill it and to count a day anew, and the questions by name.

    Attributes:
        rebuild_s: counting everything anew; measured on SQLite. PostgreSQL counts some days, and gets a copy of the
            tallies, which are the same.
        load_average: of the machine in the last minute, before the questions.
    """

    fill_s: float
    rebuild_s: float | None
    rebuild_day_s: float
    load_average: float
    answers: dict[str, Answers]


class Result(Struct, frozen=True):
    """Both servers."""

    alarms: int
    sqlite: Server
    postgresql: Server


def measure() -> Result:
    """Fill both servers and ask."""
    with tempfile.TemporaryDirectory(prefix="langyan-bench-", dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        with Database(make_url(f"sqlite:///{folder}/million.db")) as database:
            sqlite = _measure(database, None)
            with Postgres(folder / "postgres") as server:
                url = make_url(server.make_database("million")).set(password=server.password)
                with Database(url) as other:
                    return Result(ALARMS, sqlite, _measure(other, database))


def _measure(database: Database, counted: Database | None) -> Server:
    database.migrate()
    began = time.monotonic()
    fill(database)
    filled = time.monotonic()
    print(f"  {database.url.get_backend_name()}: filled in {filled - began:.0f} s", flush=True)
    days = list(days_from(FIRST, AFTER))[:_DAYS]
    for day in days:
        database.run(partial(rebuild_day, day=day, zone=ZONE))
    day_s = (time.monotonic() - filled) / len(days)
    done = time.monotonic()
    rebuild_s = None
    if counted is None:
        rebuild(database, ZONE)
        rebuild_s = round(time.monotonic() - done, 1)
    else:
        copy_tallies(counted, database)
    load = os.getloadavg()[0]
    print(f"  counted in {time.monotonic() - done:.0f} s, {day_s:.3f} s a day; load {load}", flush=True)
    answers: dict[str, Answers] = {}
    for name, ask in _questions(database).items():
        answers[name] = _time(ask)
        print(f"  {name}: {answers[name]}", flush=True)
    return Server(round(filled - began, 1), rebuild_s, round(day_s, 3), round(load, 2), answers)


def _questions(database: Database) -> dict[str, Callable[[], object]]:
    chance = random.Random(7)  # noqa: S311 - no secret
    months = [FIRST]
    while month_after(months[-1]) < AFTER:
        months.append(month_after(months[-1]))
    areas: dict[str, Callable[[], str]] = {
        "everything": lambda: "",
        "city": lambda: "city/",
        "county": lambda: county(chance.randrange(COUNTIES)),
        "cell": lambda: cell(chance.randrange(CELLS)),
    }
    questions: dict[str, Callable[[], object]] = {"list_alarms": partial(list_alarms, database, limit=_ROWS)}
    for name, path in areas.items():
        questions[f"open list, {name}"] = partial(_list, database, path)
        questions[f"numbers, {name}, month"] = partial(_ask, database, path, lambda: chance.choice(months), 1)
        questions[f"numbers, {name}, year"] = partial(_ask, database, path, lambda: chance.choice(months[:-11]), 12)
    return questions


def _list(database: Database, path: Callable[[], str]) -> None:
    """Read five pages of the open list, one after the other; they are timed together."""
    filters, where = Filters(state=Which.OPEN, limit=_ROWS), path() or None
    for _ in range(_PAGES):
        alarms = database.read(partial(_page, query=alarm_page(filters, scope=None, area_path=where)))
        if len(alarms) <= _ROWS:
            return
        filters = filters.model_copy(update={"after": cursor_of(alarms[_ROWS - 1])})


def _page(connection: Connection, query: Select[Any]) -> list[Alarm]:
    with planned_anew(connection):
        return [to_alarm(row) for row in connection.execute(query).mappings()]


def _ask(database: Database, path: Callable[[], str], month: Callable[[], date], count: int) -> None:
    first = after = month()
    for _ in range(count):
        after = month_after(after)
    asked = partial(
        numbers,
        area_path=path(),
        from_us=begin_us(first, ZONE),
        until_us=begin_us(after, ZONE),
        now_us=NOW_US,
        zone=ZONE,
    )
    database.read(asked)


def _time(ask: Callable[[], object]) -> Answers:
    took: list[float] = []
    worked: list[float] = []
    for _ in range(_QUESTIONS):
        began, worked_before = time.perf_counter(), time.process_time()
        ask()
        took.append(1000 * (time.perf_counter() - began))
        worked.append(1000 * (time.process_time() - worked_before))
    took.sort()
    worked.sort()
    middle, high = _QUESTIONS // 2, _QUESTIONS * 99 // 100 - 1
    at = [took[middle], took[high], took[-1], worked[middle], worked[high]]
    return Answers(_QUESTIONS, *(round(one, 1) for one in at))
