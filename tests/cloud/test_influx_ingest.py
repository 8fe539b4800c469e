"""What an ingest worker says of itself: the measurement `ingest`."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.counters import Counters
from cloud.database import Database
from cloud.feed.lease import hold
from cloud.influx import open_writer
from cloud.influx.lines import line_of
from cloud.influx.query import open_reader
from cloud.influx.schema import INGEST
from cloud.ingest import run_ingest, telling
from cloud.ingest.pace import Pace
from cloud.ingest.telling import MOST_WORKERS, Teller
from cloud.settings import Influx1
from cloud.state.writer import PresentWriter
from contract.telemetry import Point, Sample, encode_telemetry
from contract.topics import Channel
from langyan.servers import Influx, Mosquitto, free_port
from tests.cloud.conftest import MakeSettings
from tests.cloud.rig import T0_US, GatewayClient, eventually, fresh, influx_rows, running

pytestmark = pytest.mark.anyio


def test_a_point_tells_what_happened_since_the_last_and_no_more() -> None:
    pace, counters = Pace(100.0), Counters(reconnects=2)
    counters.refused["not-senml"] = 5
    pace.take(4)
    pace.stored([T0_US - 2_000_000, T0_US - 500_000, T0_US + 9_000_000], received_at_us=T0_US)
    pace.wrote(0.02)
    first = pace.point(now_s=110.0, counters=counters, waiting=7)
    counters.refused["database"] = 1
    second = pace.point(now_s=120.0, counters=counters, waiting=0)
    assert (first["batches_per_s"], first["samples_per_s"], first["lines_per_write"]) == (0.4, 0.3, 3.0)
    assert first["lag_p50_s"] == pytest.approx(0.5, rel=0.06)
    assert first["lag_p99_s"] == pytest.approx(2.0, rel=0.06)
    assert first["lag_max_s"] == 2.0
    assert first["write_p99_ms"] == pytest.approx(20, rel=0.06)
    assert (first["waiting"], first["dead_letters"], first["refused"], first["uptime_s"]) == (7, 5, 5, 10.0)
    assert (second["dead_letters"], second["refused"], second["reconnects"], second["uptime_s"]) == (6, 1, 2, 20.0)
    assert second["samples_per_s"] == 0.0
    assert [name for name, value in second.items() if value is None] == [
        "lines_per_write", "write_p50_ms", "write_p99_ms", "lag_p50_s", "lag_p99_s", "lag_max_s",
    ]  # fmt: skip


@given(st.lists(st.integers(-(10**9), 10**13)), st.lists(st.floats(0, 1e6)))
def test_every_point_fits_the_schema_and_has_no_time_below_the_exact_one(
    lags_us: list[int], took_s: list[float]
) -> None:
    pace = Pace(0.0)
    pace.stored([T0_US - lag_us for lag_us in lags_us], received_at_us=T0_US)
    for one in took_s:
        pace.wrote(one)
    fields = pace.point(now_s=1.0, counters=Counters(), waiting=0)
    assert fields.keys() == {field.name for field in INGEST.fields}
    assert line_of("ingest", {"worker": "ingest-1"}, fields, 1) is not None
    if lags_us:
        assert fields["lag_max_s"] == max(0, *lags_us, 0) / 1e6
        assert isinstance(fields["lag_p99_s"], float)
        assert fields["lag_p99_s"] <= max(0.1, max(lags_us) / 1e6 * 1.05 + 1e-6)


async def points(settings: Influx1) -> dict[str, list[int]]:
    """When a worker wrote, by its tag."""
    async with open_reader(settings) as reader:
        found = await reader.query('SELECT "uptime_s" FROM "ingest" GROUP BY "worker"')
    return {series.tags["worker"]: [row[0] for row in series.values] for series in found}


@contextmanager
def teller(clock: Iterator[int]) -> Iterator[Teller]:
    yield Teller(Pace(anyio.current_time()), counters=Counters(), waiting=lambda: 0, clock=lambda: next(clock))


async def test_workers_side_by_side_have_numbers_of_their_own_that_are_taken_again(
    influx: Influx, desk_database: Database
) -> None:
    settings = Influx1(url=influx.url, database=fresh("db"))
    ticks = count(T0_US, 10_000_000)
    async with open_writer(settings) as raw:
        writer = PresentWriter(raw, batch_lines=10)
        with teller(ticks) as one, teller(ticks) as other:
            for _ in range(10):
                await one.tell(writer, desk_database)
                await other.tell(writer, desk_database)
        # Long after their leases, whoever comes takes the lowest number again.
        with teller(count(T0_US + 10**9)) as later:
            await later.tell(writer, desk_database)
    found = await points(settings)
    assert {worker: len(at) for worker, at in found.items()} == {"ingest-1": 11, "ingest-2": 10}


async def test_nothing_is_written_without_a_number(influx: Influx, desk_database: Database) -> None:
    for number in range(1, MOST_WORKERS + 1):
        desk_database.run(partial(hold, name=f"ingest-{number}", holder="other", now_us=T0_US, for_s=100))
    settings = Influx1(url=influx.url, database=fresh("db"))
    async with open_writer(settings) as raw:
        await raw.ensure_database()
        with teller(count(T0_US)) as one:
            await one.tell(PresentWriter(raw, batch_lines=10), desk_database)
    assert await points(settings) == {}


async def test_an_influxdb_that_is_away_is_not_waited_for(desk_database: Database) -> None:
    async with open_writer(Influx1(url=f"http://127.0.0.1:{free_port()}")) as raw:
        with teller(count(T0_US)) as one, anyio.fail_after(20):
            await one.tell(PresentWriter(raw, batch_lines=10), desk_database)


def test_a_worker_tells_what_it_stored(
    mosquitto: Mosquitto, influx: Influx, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "EVERY_S", 0.1)
    settings = make_settings(mosquitto.port, influx.url)
    assert isinstance(settings.influx, Influx1)
    database, gateway = settings.influx.database, fresh("g")
    with running(run_ingest, settings), GatewayClient(mosquitto.port, gateway) as client:
        client.send(Channel.TELEMETRY, encode_telemetry([Sample("d", T0_US, (Point("t", 1.0),))]), correlation=b"1")
        question = 'SELECT "lag_max_s", "samples_per_s" FROM "ingest" WHERE "lag_max_s" > 0'
        eventually(lambda: influx_rows(influx.url, database, question) != [])
    (row,) = influx_rows(influx.url, database, question)
    assert row["samples_per_s"] > 0
