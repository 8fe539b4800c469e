"""A stolen list to 300 gateways: until each has confirmed it; a difference of ten tags; and how soon a hit shows.

Broker, InfluxDB, ingest, desk, API and the trades' worker are the real ones, each a process of its own; the gateways
are one process that does with a list what the edge does (`benchmarks.tag_gateways`). Hits are alarms of kind `stolen`,
sent while 200 stations send what their tags do, and bike watch follows those tags: they are those of the bikes that
were registered before (`BENCH_REGISTERED`, 560 000 unless said). Everything runs on one machine and one clock.
"""

import contextlib
import os
import random
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import Connection, func, insert, make_url, select, text

from benchmarks.alarm_storm import Delay, Gateway, Stream, delay_of, make_viewer
from benchmarks.receiver import Receiver
from benchmarks.remote import Remote
from benchmarks.rig import cpu_s_of, expect, pause
from cloud.database import Database
from cloud.database.area_tables import area
from cloud.database.bike_tables import bike
from cloud.database.feed_tables import observation
from cloud.database.order_tables import stolen_at_gateway
from cloud.orders.stolen import StolenEntry, add_stolen, confirmed
from contract.alarms import AlarmEvent, Severity, Transition
from langyan.postgres import Postgres
from langyan.servers import Influx, Langyan, Mosquitto, Process, accepts, free_port, wait_until

TARGET_PUSH_S = 60.0
TARGET_HIT_P99_MS = 1_000.0
_LIMIT_S = 300.0
_HIT_GATEWAYS = 20
_WARM_S = 5.0
_ROWS = 20_000
_REGISTERED = int(os.environ.get("BENCH_REGISTERED", "560000"))
_PASSWORD = "BENCH_DATABASE_PASSWORD"  # noqa: S105 - a variable's name
_WORKERS = ("ingest", "desk", "trades")

_SETTINGS = """[mqtt]
port = {broker_port}
[influx]
version = 1
url = "{influx_url}"
database = "bench"
[database]
url = "{url}"
{password}
[api]
port = {api_port}
[numbers]
influx = false
"""


class Size(Struct, frozen=True):
    """How large the city is.

    Attributes:
        bikes: registered, each with a tag; the tags that stations hear, and those that are stolen, are theirs.
        differences: how often ten tags are added.
        stations: of the gateways, that send samples while there are hits.
        samples_per_s: of all stations: 560 000 tags that are met some forty times a day are 260.
        hits: sent over `hits_s` seconds.
    """

    gateways: int = 300
    bikes: int = _REGISTERED
    tags: int = 5_000
    differences: int = 5
    stations: int = 200
    samples_per_s: float = 500.0
    hits: int = 600
    hits_s: float = 60.0


class OnServer(Struct, frozen=True):
    """All of it on one database server.

    Attributes:
        register_s: to fill the registry.
        push_s: from the commit of the list until every gateway has confirmed it, as the database has it.
        parts: taken by all gateways; wrong: gateways that have another list than the one in force.
        difference_s: the same for ten tags more, each time.
        hits_lost: never came out of the live stream.
        to_desk, to_stream: from the moment a hit is sent until the desk stored it, and until it came out.
        samples_per_s: sent by the stations meanwhile; waiting: messages that the trades had not judged at the end.
        cpu_s: processor seconds of each process, over the push and the differences.
    """

    register_s: float
    push_s: float
    parts: int
    wrong: int
    difference_s: list[float]
    hits: int
    hits_lost: int
    to_desk: Delay
    to_stream: Delay
    samples_per_s: float
    waiting: int
    cpu_s: dict[str, float]


class Pushed(Struct, frozen=True):
    """The same on both servers."""

    target_push_s: float
    target_hit_p99_ms: float
    size: Size
    sqlite: OnServer
    postgresql: OnServer


def measure(size: Size | None = None) -> Pushed:
    """Run on both servers."""
    size = size or Size()
    with _folder() as folder:
        sqlite = _on_server(folder, f"sqlite:///{folder}/cloud.db", size, password="")
    with _folder() as folder, Postgres(folder / "postgres") as server:
        postgresql = _on_server(folder, server.url, size, password=server.password)
    return Pushed(TARGET_PUSH_S, TARGET_HIT_P99_MS, size, sqlite, postgresql)


def _on_server(folder: Path, url: str, size: Size, *, password: str) -> OnServer:
    full = make_url(url).set(password=password) if password else make_url(url)
    with Mosquitto(folder / "broker") as broker, Influx(folder / "influxd") as influx, Database(full) as database:
        database.migrate()
        token = database.run(make_viewer)
        register_s = _register(database, size.bikes)
        with _cloud(folder, broker.port, influx.url, url, password) as (parts, api_port):
            words = ("--broker", str(broker.port), "--gateways", str(size.gateways))
            with Remote(folder, "tag_gateways", *words) as fleet:
                found = _measure(database, fleet, broker.port, api_port, token, size, dict(parts, broker=broker))
                return structs.replace(found, register_s=register_s)


def _measure(
    database: Database,
    fleet: Remote,
    broker_port: int,
    api_port: int,
    token: str,
    size: Size,
    parts: dict[str, Process],
) -> OnServer:
    expect(lambda: _rows(database) == size.gateways, "a row of every gateway")
    before = {name: cpu_s_of(part) for name, part in parts.items()}
    push_s = _push(database, [_entry(number) for number in range(size.tags)], size)
    differences = [
        _push(database, [_entry(size.tags + 10 * turn + number) for number in range(10)], size)
        for turn in range(size.differences)
    ]
    cpu_s = {name: round(cpu_s_of(part) - before[name], 1) for name, part in parts.items()}
    found = fleet.ask(limit_s=_LIMIT_S, op="lists")
    right: int = found["lists"].get(database.read(confirmed).checksum, 0)
    with Stream(api_port, token) as stream:
        to_desk, to_stream, per_s = _hit(fleet, stream, broker_port, size)
    return OnServer(
        register_s=0.0,
        push_s=push_s,
        parts=found["parts"],
        wrong=size.gateways - right,
        difference_s=differences,
        hits=size.hits,
        hits_lost=size.hits - len(to_stream),
        to_desk=delay_of(to_desk),
        to_stream=delay_of(to_stream),
        samples_per_s=per_s,
        waiting=database.read(_waiting),
        cpu_s=cpu_s,
    )


def _register(database: Database, count: int) -> float:
    """Register bikes; returns the seconds it took."""
    began = time.monotonic()
    row = {"id": "city", "parent": None, "level": "city", "name": "city", "path": "city/", "outline": None}
    place = {"latitude_deg": None, "longitude_deg": None}
    database.run(lambda connection: connection.execute(insert(area), row | place))
    for first in range(0, count, _ROWS):
        rows = [_bike(number) for number in range(first, min(first + _ROWS, count))]
        database.run(partial(_put_bikes, rows=rows))
    with database.transaction() as connection:
        connection.execute(text("ANALYZE"))
    took_s = round(time.monotonic() - began, 1)
    print(f"  {database.url.get_backend_name()}: {count} bikes registered in {took_s} s", flush=True)
    return took_s


def _put_bikes(connection: Connection, rows: list[dict[str, Any]]) -> None:
    connection.execute(insert(bike), rows)


def _bike(number: int) -> dict[str, Any]:
    return {"id": f"bike-{number:06}", "area": "city", "tag": _tag(number), "plate": str(number), "note": ""}


def _push(database: Database, entries: list[StolenEntry], size: Size) -> float:
    """Put entries on the list; returns seconds until every gateway has confirmed it."""
    work = partial(add_stolen, entries=entries, by="bench", now_us=time.time_ns() // 1_000)
    version = database.run(work)
    began = time.monotonic()

    def is_everywhere() -> bool:
        at = stolen_at_gateway.c
        query = select(func.count()).select_from(stolen_at_gateway).where(at.version == version)
        return database.read(lambda connection: connection.execute(query).scalar_one()) == size.gateways

    if not wait_until(is_everywhere, _LIMIT_S, every_s=0.05):
        missing = sorted(database.read(confirmed).missing)
        raise TimeoutError(f"{len(missing)} gateways have not confirmed within {_LIMIT_S:g} s: {missing[:5]}")
    return round(time.monotonic() - began, 2)


def _hit(fleet: Remote, stream: Stream, broker_port: int, size: Size) -> tuple[list[float], list[float], float]:
    """Have stolen tags met; returns milliseconds to the desk and to the stream, and the samples a second meanwhile."""
    fleet.ask(op="speak", stations=size.stations, per_s=size.samples_per_s)
    pause(_WARM_S)
    chance, sent_us = random.Random(1), dict[str, int]()  # noqa: S311 - no secret
    said, began = fleet.ask(op="said")["said"], time.monotonic()
    with contextlib.ExitStack() as opened:
        gateways = [opened.enter_context(Gateway(broker_port, f"hit-{number}")) for number in range(_HIT_GATEWAYS)]
        moments = sorted(chance.uniform(0.0, size.hits_s) for _ in range(size.hits))
        for number, moment in enumerate(moments):
            pause(max(0.0, began + moment - time.monotonic()))
            gateway = gateways[number % len(gateways)]
            event = _event(gateway.name, number)
            gateway.prepare(event)
            sent_us[event.source] = time.time_ns() // 1_000
            gateway.send()
        per_s = (fleet.ask(op="said")["said"] - said) / (time.monotonic() - began)
        wait_until(partial(stream.has_told, size.hits), 30.0, every_s=0.05)
    seen = [one for one in stream.raises() if one.source in sent_us]
    to_desk = [(one.stored_us - sent_us[one.source]) / 1e3 for one in seen]
    to_stream = [(one.seen_us - sent_us[one.source]) / 1e3 for one in seen]
    return to_desk, to_stream, round(per_s, 1)


def _event(gateway: str, number: int) -> AlarmEvent:
    now_us = time.time_ns() // 1_000
    return AlarmEvent(
        gateway=gateway,
        device="station",
        point=f"tag-{_tag(number)}",
        rule="stolen",
        transition=Transition.RAISED,
        raised_at_us=now_us,
        at_us=now_us,
        kind="stolen",
        severity=Severity.CRITICAL,
        text={"en": "Stolen tag at station bridge", "zh": "被盗标签出现在大桥基站"},
        value=True,
    )


def _tag(number: int) -> str:
    """Name a tag as `benchmarks.tag_gateways` does."""
    return f"EAC6{number:08X}"


def _entry(number: int) -> StolenEntry:
    return StolenEntry(_tag(number), "红色电动车，车筐破损", f"A-2026-{number:05}")


def _rows(database: Database) -> int:
    query = select(func.count()).select_from(stolen_at_gateway)
    return database.read(lambda connection: connection.execute(query).scalar_one())


def _waiting(connection: Connection) -> int:
    count: int = connection.execute(select(func.count()).select_from(observation)).scalar_one()
    return count


@contextlib.contextmanager
def _cloud(
    folder: Path, broker_port: int, influx_url: str, url: str, password: str
) -> Iterator[tuple[dict[str, Process], int]]:
    """Start ingest, desk, trades and API, and wait until all are at work."""
    settings, port = folder / "cloud.toml", free_port()
    named = f'password_env = "{_PASSWORD}"' if password else ""
    text = _SETTINGS.format(
        broker_port=broker_port, influx_url=influx_url, url=url, password=named, api_port=port
    )  # fmt: skip
    settings.write_text(text, encoding="utf-8")
    environment = {_PASSWORD: password} if password else {}
    receiver = Receiver(broker_port, answers=False)
    parts: dict[str, Process] = {}
    with contextlib.ExitStack() as opened:
        for name in (*_WORKERS, "api"):
            is_ready = partial(accepts, port) if name == "api" else partial(_has_heard, receiver, name)
            process = Langyan(folder, name, "cloud", name, str(settings), ready=is_ready, environment=environment)
            parts[name] = opened.enter_context(process)
        receiver.close()
        yield parts, port


def _has_heard(receiver: Receiver, worker: str) -> bool:
    return any(worker in said for said in receiver.workers)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="langyan-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        yield Path(folder)
