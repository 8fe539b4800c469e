"""The trail of one tag over 90 days, as the API answers it: 560 000 tags, 200 stations, on both servers.

`BENCH_TAGS` tags have 90 days of stays (50 000 unless said, which is 9 million rows; 0: all 560 000, a hundred million
rows and an hour). What is asked for is read by the primary key (tag, beginning), so that its depth, not the number of
rows beside it, decides: 9 and 100 million rows differ by a level of the tree at most.
"""

import os
import random
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, insert, make_url, text

from cloud.bikes import reading
from cloud.bikes.stations import read_stations
from cloud.database import Database
from cloud.database.area_tables import area
from cloud.database.bike_tables import bike, bike_station, bike_stay
from cloud.desk.changes import Actor
from cloud.people.audit import note
from langyan.postgres import Postgres

REGISTERED = int(os.environ.get("BENCH_REGISTERED", "560000"))
WITH_STAYS = int(os.environ.get("BENCH_TAGS", "50000")) or REGISTERED
STATIONS = 200
DAYS = 90
# To work and back: a stay at each end of the way.
STAYS_A_DAY = 2
NOW_US = 1_790_000_000_000_000
_DAY_US = 86_400_000_000
_QUESTIONS = 1_000
_ROWS = 20_000
_PAGE = 2_000


class Server(Struct, frozen=True):
    """One database server: seconds to fill it, and how long a trail took, audited, in milliseconds."""

    fill_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    plan: str


class Result(Struct, frozen=True):
    """Both servers, and what was asked of them."""

    registered: int
    stations: int
    stays: int
    stays_a_trail: int
    questions: int
    load_average: float
    sqlite: Server
    postgresql: Server


def measure() -> Result:
    """Fill both servers and ask."""
    with tempfile.TemporaryDirectory(prefix="langyan-bench-", dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        load = os.getloadavg()[0]
        with Database(make_url(f"sqlite:///{folder}/bikes.db")) as database:
            sqlite = _measure(database)
        with Postgres(folder / "postgres") as server:
            url = make_url(server.make_database("bikes")).set(password=server.password)
            with Database(url) as database:
                postgresql = _measure(database)
        a_trail = DAYS * STAYS_A_DAY
        return Result(
            REGISTERED, STATIONS, WITH_STAYS * a_trail, a_trail, _QUESTIONS, round(load, 2), sqlite, postgresql
        )  # fmt: skip


def _measure(database: Database) -> Server:
    database.migrate()
    began = time.monotonic()
    database.run(_lay_out)
    for rows in _pieces(_bikes()):
        database.run(partial(_put, table=bike, rows=rows))
    for rows in _pieces(_stays()):
        database.run(partial(_put, table=bike_stay, rows=rows))
    with database.transaction() as connection:
        connection.execute(text("ANALYZE"))
    fill_s = time.monotonic() - began
    print(f"  {database.url.get_backend_name()}: filled in {fill_s:.0f} s", flush=True)
    chance = random.Random(11)  # noqa: S311 - no secret
    took: list[float] = []
    for _ in range(_QUESTIONS):
        number = chance.randrange(WITH_STAYS)
        start = time.perf_counter()
        found = database.run(partial(_trail, bike_id=_bike_id(number)))
        took.append((time.perf_counter() - start) * 1e3)
        if found != DAYS * STAYS_A_DAY:
            raise ValueError(f"bike {number}: {found} stays")
    took.sort()
    print(f"  p50 {took[len(took) // 2]:.2f} ms, p99 {took[len(took) * 99 // 100]:.2f} ms", flush=True)
    plan = database.read(_plan)
    p50, p99 = (round(took[len(took) * part // 100], 3) for part in (50, 99))
    return Server(round(fill_s, 1), p50, p99, round(took[-1], 3), plan)


def _trail(connection: Connection, bike_id: str) -> int:
    """Read a trail as the API does: the bike, the note in the audit, the stays with their stations, in one page."""
    row = reading.find_bike(connection, bike_id, "city/")
    if row is None:
        return 0
    note(connection, actor=Actor("bench", "bench"), what=reading.TRAIL_SEEN, object_=bike_id, details={}, at_us=NOW_US)
    span: dict[str, int] = {"from_us": NOW_US - DAYS * _DAY_US, "until_us": NOW_US, "after_us": 0, "limit": _PAGE}
    trail = reading.read_trail(connection, row["tag"], **span)
    stations = read_stations(connection)
    return sum(stations.get(station) is not None for station, _, _ in trail.stays)


def _plan(connection: Connection) -> str:
    """Tell how the server reads the stays of a tag."""
    words = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    query = f"{words}SELECT station FROM bike_stay WHERE tag = '{_tag(7)}' AND from_us >= 1 ORDER BY from_us LIMIT 9"  # noqa: S608
    return " ".join(str(row[-1]).strip() for row in connection.exec_driver_sql(query))


def _lay_out(connection: Connection) -> None:
    row = {"id": "city", "parent": None, "level": "city", "name": "city", "path": "city/", "outline": None}
    connection.execute(insert(area).values(row | {"latitude_deg": None, "longitude_deg": None}))
    rows = [{"gateway": f"gate-{number}", "device": "reader", "heard_us": NOW_US} for number in range(STATIONS)]
    connection.execute(insert(bike_station), rows)


def _bikes() -> Iterator[dict[str, Any]]:
    for number in range(REGISTERED):
        yield {"id": _bike_id(number), "area": "city", "tag": _tag(number), "plate": str(number), "note": ""}


def _stays() -> Iterator[dict[str, Any]]:
    """Day by day, as they come, so that the rows of a tag are no neighbours by insertion."""
    first_us, span_us = NOW_US - DAYS * _DAY_US + 1, _DAY_US // STAYS_A_DAY
    for turn in range(DAYS * STAYS_A_DAY):
        from_us = first_us + turn * span_us
        for number in range(WITH_STAYS):
            station = 1 + (number * 7 + turn % STAYS_A_DAY * 13) % STATIONS
            until_us = from_us + span_us - _DAY_US // 24
            yield {"tag": _tag(number), "from_us": from_us, "until_us": until_us, "station": station}


def _put(connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    connection.execute(insert(table), rows)


def _pieces(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    piece: list[dict[str, Any]] = []
    for row in rows:
        piece.append(row)
        if len(piece) == _ROWS:
            yield piece
            piece = []
    if piece:
        yield piece


def _bike_id(number: int) -> str:
    return f"bike-{number:06}"


def _tag(number: int) -> str:
    return f"{number * 2_654_435_761 % 2**48:012X}"
