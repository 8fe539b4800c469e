"""What the trades found out on its way to InfluxDB, ingest's part in the queue, and the process that judges."""

from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, update

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.feed_tables import lease, measure, observation
from cloud.feed import measures
from cloud.feed.lease import hold
from cloud.feed.measures import run_measures
from cloud.feed.sorting import Trade, read_samples
from cloud.influx.lines import plain_line
from cloud.influx.persistent import PersistentWriter
from cloud.ingest import Batch, run_ingest
from cloud.ingest.core import interpret
from cloud.ingest.storing import Storing, Taken
from cloud.mqtt_worker import Message, MqttWorker
from cloud.settings import DatabaseSettings, Influx1, Mqtt, Settings
from cloud.trades import shell
from cloud.trades.settings import Trades
from cloud.trades.shell import run_trades
from contract.receipts import Verdict
from contract.telemetry import Point, Sample, encode_telemetry
from contract.topics import CLOUD_READY, Channel, topic
from langyan.servers import Influx, Mosquitto, free_port
from tests.cloud.conftest import MakeSettings
from tests.cloud.fake_influx import FakeInflux, Seen
from tests.cloud.rig import T0_US, GatewayClient, count_of, eventually, fresh, influx_rows, rows_of, running


def test_lines_are_written_as_influxdb_reads_them() -> None:
    tags = {"site": "学校 1", "area": "a,b=c", "empty": "", "end": "x\\"}
    fields: dict[str, Any] = {"count": 3, "is_on": True, "mean": 2.0, "words": 'say "hi"\\', "none": None}
    assert plain_line("vehicle", tags, fields, 17) == (
        'vehicle,area=a\\,b\\=c,end=x,site=学校\\ 1 count=3i,is_on=true,mean=2.0,words="say \\"hi\\"\\\\" 17'.encode()
    )
    assert plain_line("vehicle", {}, {"one": 1}, 5) == b"vehicle one=1i 5"
    assert plain_line("vehicle", {"a": "b"}, {"nothing": None}, 5) is None
    assert plain_line("vehicle", {"a": "b"}, {}, 5) is None


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=30))
def test_whatever_a_tag_says_the_line_has_three_parts(words: str) -> None:
    line = plain_line("m", {"t": words}, {"f": 1}, 9)
    assert line is not None
    text = line.decode()
    for escaped in ("\\ ", "\\,", "\\="):
        text = text.replace(escaped, "")
    assert len(text.split(" ")) == 3
    assert text.endswith(" f=1i 9")


def put(database: Database, *numbers: int, limit: int = 1_000) -> None:
    lines = [plain_line("m", {}, {"f": number}, T0_US + number) for number in numbers]
    database.run(lambda connection: measures.put(connection, [*lines, None], limit=limit))


def left(database: Database) -> list[bytes]:
    return [bytes(row["line"]) for row in rows_of(database, measure)]


def test_beyond_the_bound_the_oldest_lines_go(desk_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    put(desk_database, *range(8), limit=10)
    assert caplog.text == ""
    put(desk_database, *range(8, 13), limit=10)
    assert [line.split(b"=")[1].split(b"i")[0] for line in left(desk_database)] == [b"%d" % n for n in range(3, 13)]
    assert "3 lines for InfluxDB are lost" in caplog.text


async def write_all(database: Database, settings: Settings) -> None:
    """Run the loop until nothing waits."""
    persistent = PersistentDatabase(database, counters=Counters())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_measures, persistent, settings)
        await anyio.to_thread.run_sync(eventually, lambda: count_of(database, measure) == 0)
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_lines_wait_while_influxdb_is_away_and_a_refused_one_stops_no_other(
    desk_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    put(desk_database, *range(10))
    asked: list[Seen] = []

    def answer(seen: Seen) -> web.Response:
        asked.append(seen)
        if len(asked) == 1:
            return web.Response(status=503)
        is_bad = any("f=4i" in line for line in seen.lines)
        return web.json_response({"error": "field type conflict"}, status=400) if is_bad else web.Response(status=204)

    async with FakeInflux() as influx:
        influx.answer = answer
        await write_all(desk_database, Settings(influx=Influx1(url=influx.url)))
        taken = {line for seen in influx.seen[1:] for line in seen.lines if len(seen.lines) < 10}
    assert asked[0].lines == asked[1].lines, "all of it again"
    assert {f"m f={number}i {T0_US + number}" for number in range(10)} - {f"m f=4i {T0_US + 4}"} <= taken
    assert "InfluxDB refuses a measure: " in caplog.text
    assert "f=4i" in caplog.text
    assert caplog.text.count("refuses a measure") == 1


@pytest.mark.anyio
async def test_a_write_that_takes_long_is_begun_anew_with_the_lease(
    desk_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another worker would write once the lease is over must not be overwritten with what is older."""
    monkeypatch.setattr(measures, "_WRITE_S", 0.2)
    put(desk_database, 1)
    asked: list[tuple[int, int]] = []
    taken = 0

    def answer(seen: Seen) -> web.Response:
        if not asked:
            # Goes with the next try.
            put(desk_database, 2)
        asked.append((taken, len(seen.lines)))
        return web.Response(status=503 if taken < 3 else 204)

    def clock() -> int:
        nonlocal taken
        taken += 1
        return T0_US + taken * 90_000_000

    async with FakeInflux() as influx:
        influx.answer = answer
        persistent = PersistentDatabase(desk_database, counters=Counters())
        async with anyio.create_task_group() as tasks:
            settings = Settings(influx=Influx1(url=influx.url))
            tasks.start_soon(partial(run_measures, persistent, settings, clock=clock))
            await anyio.to_thread.run_sync(eventually, lambda: count_of(desk_database, measure) == 0)
            tasks.cancel_scope.cancel()
    assert (asked[0], asked[-1]) == ((1, 1), (taken, 2))
    assert rows_of(desk_database, lease)[0]["until_us"] == T0_US + (taken * 90 + 120) * 1_000_000


@pytest.mark.anyio
async def test_one_worker_at_a_time_writes(desk_database: Database) -> None:
    put(desk_database, 1)
    now_us = T0_US
    desk_database.run(partial(hold, name="measures", holder="another", now_us=now_us, for_s=100))
    take = partial(measures._take, holder="me", clock=lambda: now_us)
    assert desk_database.run(take) == []
    now_us += 101_000_000
    assert len(desk_database.run(take)) == 1
    assert rows_of(desk_database, lease)[0]["holder"] == "me"


def test_what_was_committed_late_with_an_early_number_is_not_forgotten_unwritten(desk_database: Database) -> None:
    def add(connection: Connection, *numbers: int) -> None:
        connection.execute(insert(measure), [{"id": number, "line": b"m f=1i 1"} for number in numbers])

    desk_database.run(lambda connection: add(connection, 5, 7))
    taken = desk_database.run(partial(measures._take, holder="me", clock=lambda: T0_US))
    desk_database.run(lambda connection: add(connection, 6))
    desk_database.run(partial(measures._forget, written=[number for number, _line in taken]))
    assert [row["id"] for row in rows_of(desk_database, measure)] == [6]


POSITIONS = [
    Sample("bus-1", T0_US, (Point("latitude", 31.0, "lat"), Point("longitude", 121.0, "lon"), Point("acc", True))),
    Sample("meter", T0_US, (Point("power", 7.5, "W"),)),
]


class Sink:
    """An InfluxDB that has everything at once."""

    async def write(self, lines: bytes, *, policy: str = "") -> None:
        del lines, policy


class Door:
    """The database, behind a door."""

    def __init__(self, database: Database) -> None:
        self.database, self.open, self.knocked = database, anyio.Event(), anyio.Event()

    async def call(self, work: Any) -> Any:
        self.knocked.set()
        await self.open.wait()
        return await self.database.call(work)


@pytest.mark.anyio
async def test_a_receipt_is_answered_only_after_what_the_trades_must_judge_is_committed(
    desk_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = MqttWorker(Mqtt(), name="t", filters=["t"], counters=Counters())
    answered: list[int] = []

    def publish(*_: object, **__: object) -> bool:
        answered.append(count_of(desk_database, observation))
        return True

    monkeypatch.setattr(worker, "publish", publish)
    door, counters = Door(desk_database), Counters()
    storing = Storing(
        worker,
        cast("PersistentWriter", Sink()),
        cast("PersistentDatabase", door),
        counters=counters,
        dead_letter_limit=10,
        observation_limit=1,
    )
    message = Message(topic("g1", Channel.TELEMETRY), encode_telemetry(POSITIONS), T0_US)
    content = interpret(message, follow=tuple(Trade))
    assert isinstance(content, Batch)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(storing.store, [Taken(message, content)])
        await door.knocked.wait()
        assert (answered, count_of(desk_database, observation)) == ([], 0)
        door.open.set()
    assert answered == [1]
    (row,) = rows_of(desk_database, observation)
    assert (row["trade"], row["gateway"]) == ("vehicles", "g1")
    assert read_samples(bytes(row["samples"])) == (POSITIONS[0],)
    await storing.store([Taken(message, content)])
    assert (counters.untaken, count_of(desk_database, observation)) == (1, 1)
    worker.close()


def test_ingest_keeps_what_concerns_a_trade_that_is_followed(
    make_settings: MakeSettings, mosquitto: Mosquitto, influx: Influx, database: Database
) -> None:
    settings = make_settings(mosquitto.port, influx.url)
    for follow, expected in (((), 0), ((Trade.BIKES,), 0), (tuple(Trade), 1)):
        narrow = msgspec.structs.replace(settings, trades=Trades(follow=follow))
        with running(run_ingest, narrow), GatewayClient(mosquitto.port, fresh("g")) as gateway:
            gateway.send(Channel.TELEMETRY, encode_telemetry(POSITIONS), correlation=b"1")
            receipt = gateway.receipt(b"1")
        assert (receipt.verdict, receipt.stored) == (Verdict.STORED, 4)
        assert count_of(database, observation) == expected


def test_the_trades_do_all_of_this() -> None:
    assert {loop.__name__ for loop in shell.LOOPS} == {
        "run_bikes", "run_patrols", "run_vehicles", "run_fire", "run_detection", "run_measures", "run_state",
        "run_grafana",
    }  # fmt: skip


def test_the_worker_starts_says_so_writes_what_waits_and_stops(
    make_settings: MakeSettings, mosquitto: Mosquitto, influx: Influx, database: Database
) -> None:
    settings = make_settings(mosquitto.port, influx.url)
    put(database, 1, 2, 3)
    with GatewayClient(mosquitto.port, fresh("g")) as gateway, running(run_trades, settings):
        eventually(lambda: count_of(database, measure) == 0)
        eventually(lambda: any(one.topic == CLOUD_READY and b"trades" in one.payload for one in gateway.received))
    assert isinstance(settings.influx, Influx1)
    assert [row["f"] for row in influx_rows(influx.url, settings.influx.database, "SELECT f FROM m")] == [1, 2, 3]


def test_the_worker_waits_for_the_broker_and_for_its_database(
    make_settings: MakeSettings, influx: Influx, tmp_path: Path
) -> None:
    port = free_port()
    folder = tmp_path / "later"
    settings = msgspec.structs.replace(
        make_settings(port, influx.url), database=DatabaseSettings(url=f"sqlite:///{folder}/cloud.db")
    )
    with running(run_trades, settings, wait_ready=False) as counters:
        eventually(lambda: counters.retries > 0)
        folder.mkdir()
        eventually((folder / "cloud.db").exists)
        with Mosquitto(tmp_path / "broker", port=port), GatewayClient(port, fresh("g")) as gateway:
            eventually(lambda: any(one.topic == CLOUD_READY for one in gateway.received))
    with running(run_trades, settings, wait_ready=False):
        pass


def test_two_workers_side_by_side(
    make_settings: MakeSettings, mosquitto: Mosquitto, influx: Influx, database: Database
) -> None:
    settings = make_settings(mosquitto.port, influx.url)
    with running(run_trades, settings), running(run_trades, settings):
        put(database, 1)
        eventually(lambda: count_of(database, measure) == 0)
        database.run(lambda connection: connection.execute(update(lease).values(until_us=0)))
        put(database, 2)
        eventually(lambda: count_of(database, measure) == 0)


@pytest.mark.parametrize("worker", ["ingest", "desk", "trades", "api"])
def test_each_worker_has_a_unit_that_closes_off_the_same(worker: str) -> None:
    folder = Path(__file__).parents[2] / "deploy"
    text = (folder / f"langyan-{worker}.service").read_text("utf-8")
    assert f"ExecStart=/opt/langyan/bin/langyan cloud {worker} /etc/langyan/cloud.toml\n" in text
    closed = {"NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateDevices=yes", "CapabilityBoundingSet="}
    assert closed <= set(text.splitlines())
