from collections.abc import Callable
from typing import Protocol

import anyio
import pytest
from aiohttp import web

from cloud.backoff import Backoff
from cloud.counters import Counters
from cloud.errors import DatabaseAwayError, DatabaseRefusedError, HoldError, SettingsError, TooLargeError
from cloud.influx import InfluxV1, InfluxV2, open_writer
from cloud.influx.bisection import bisect
from cloud.influx.lines import encode_lines
from cloud.influx.persistent import PersistentWriter
from cloud.settings import BasicAuth, Influx1, Influx2, Influx3, TokenAuth
from contract.telemetry import Point, Sample
from langyan.servers import Influx, VictoriaMetrics, free_port
from tests.cloud.fake_influx import FakeInflux, Seen
from tests.cloud.rig import T0_US, eventually, fresh, telemetry_of, victoria_samples

pytestmark = pytest.mark.anyio

Stored = Callable[[str], dict[int, float]]


class Target:
    """A real server, the settings for it, and how to ask it what it has: value by time in milliseconds."""

    def __init__(self, settings: Influx1 | Influx2, stored: Stored) -> None:
        self.settings = settings
        self.stored = stored


@pytest.fixture(params=["v1", "v2"])
def target(request: pytest.FixtureRequest) -> Target:
    if request.param == "v1":
        server: Influx = request.getfixturevalue("influx")
        name = fresh("db")

        def from_influx(device: str) -> dict[int, float]:
            return {row["time"] // 1_000: row["t"] for row in telemetry_of(server.url, name, device)}

        return Target(Influx1(url=server.url, database=name), from_influx)
    victoria: VictoriaMetrics = request.getfixturevalue("victoria")

    def from_victoria(device: str) -> dict[int, float]:
        return victoria_samples(victoria.url, f'{{device="{device}"}}').get("telemetry_t", {})

    return Target(Influx2(url=victoria.url, bucket="b", org="o"), from_victoria)


def lines(device: str, count: int, *, start: int = 0) -> list[bytes]:
    samples = [
        Sample(device, T0_US + number * 1_000_000, (Point("t", number + 0.5), Point("on", True)))
        for number in range(start, start + count)
    ]
    return list(encode_lines(samples, tags={"gateway": "g1", "site": "三中, 东门"}, received_at_us=T0_US))


def expected(count: int) -> dict[int, float]:
    return {T0_US // 1_000 + number * 1_000: number + 0.5 for number in range(count)}


async def test_what_is_written_is_stored_once_however_often_it_is_sent(target: Target) -> None:
    device = fresh("d")
    async with open_writer(target.settings) as writer:
        assert await writer.ping()
        await writer.ensure_database()
        await writer.ensure_database()
        for _ in range(3):
            await writer.write(b"\n".join(lines(device, 500)))
    eventually(lambda: target.stored(device) == expected(500))


async def test_a_line_that_cannot_be_read_is_found_and_the_rest_stored(influx: Influx) -> None:
    name, device = fresh("db"), fresh("d")
    body = lines(device, 100)
    body[17] = b"this is no line"
    body[60] = body[60].replace(b"t=60.5", b't="warm"')
    async with open_writer(Influx1(url=influx.url, database=name)) as writer:
        await writer.ensure_database()
        await writer.write(lines(device, 1)[0])
        culprits = await bisect(body, writer.write)
    assert [culprit.start for culprit in culprits] == [17, 60]
    assert "unable to parse" in culprits[0].why
    assert "field type conflict" in culprits[1].why
    assert [row["t"] for row in telemetry_of(influx.url, name, device)] == [
        number + 0.5 for number in range(100) if number not in (17, 60)
    ]


async def test_a_missing_database_is_held_and_made(influx: Influx) -> None:
    settings = Influx1(url=influx.url, database=fresh('strange "name"'))
    async with open_writer(settings) as writer:
        with pytest.raises(HoldError, match="database not found"):
            await writer.write(lines("d", 1)[0])
        await writer.ensure_database()
        await writer.write(lines("d", 1)[0])


def make_v1(url: str, *, timeout_s: float = 20) -> Influx1:
    return Influx1(url=url, database="b", timeout_s=timeout_s)


def make_v2(url: str, *, timeout_s: float = 20) -> Influx2:
    return Influx2(url=url, bucket="b", org="o", timeout_s=timeout_s)


def make_v3(url: str, *, timeout_s: float = 20) -> Influx3:
    return Influx3(url=url, bucket="b", timeout_s=timeout_s)


class Make(Protocol):
    """Makes settings of one version for the fake's URL."""

    def __call__(self, url: str, *, timeout_s: float = 20) -> Influx1 | Influx2: ...


@pytest.fixture(params=[make_v1, make_v2, make_v3], ids=["v1", "v2", "v3"])
def fake_settings(request: pytest.FixtureRequest) -> Make:
    make: Make = request.param
    return make


@pytest.mark.parametrize("limit", ["max-values-per-tag", "max-series-per-database"])
async def test_a_server_that_is_full_is_waited_for_and_the_line_is_no_dead_letter(
    fake_settings: Make, limit: str
) -> None:
    words = f"partial write: {limit} limit exceeded (100000/100000): measurement=telemetry dropped=1"
    async with FakeInflux() as fake, open_writer(fake_settings(fake.url)) as writer:
        fake.answer = lambda _: web.Response(status=400, text=words)
        with pytest.raises(HoldError, match=limit):
            await writer.write(b"telemetry t=1.0 5")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, DatabaseRefusedError),
        (422, DatabaseRefusedError),
        (413, TooLargeError),
        (401, HoldError),
        (403, HoldError),
        (404, HoldError),
        (302, HoldError),
        (429, DatabaseAwayError),
        (500, DatabaseAwayError),
        (503, DatabaseAwayError),
    ],
)
async def test_every_answer_has_its_error(fake_settings: Make, status: int, error: type[Exception]) -> None:
    async with FakeInflux() as fake, open_writer(fake_settings(fake.url)) as writer:
        fake.answer = lambda _: web.Response(status=status, text="its words", headers={"Location": "/ping"})
        with pytest.raises(error, match=f"HTTP {status}: its words"):
            await writer.write(b"telemetry t=1.0 5")


@pytest.mark.parametrize(("header", "wait_s"), [("7", 7.0), ("99999", 300.0), ("soon", None)])
async def test_the_servers_wish_to_wait_is_passed_on(fake_settings: Make, header: str, wait_s: float | None) -> None:
    async with FakeInflux() as fake, open_writer(fake_settings(fake.url)) as writer:
        fake.answer = lambda _: web.Response(status=503, headers={"Retry-After": header})
        with pytest.raises(DatabaseAwayError) as caught:
            await writer.write(b"telemetry t=1.0 5")
    assert caught.value.retry_after_s == wait_s


async def test_silence_and_a_closed_port_are_away(fake_settings: Make) -> None:
    async with open_writer(fake_settings(f"http://127.0.0.1:{free_port()}")) as writer:
        assert not await writer.ping()
        with pytest.raises(DatabaseAwayError):
            await writer.write(b"telemetry t=1.0 5")
    async with FakeInflux() as fake:
        fake.hold = anyio.Event()
        async with open_writer(fake_settings(fake.url, timeout_s=0.05)) as writer:
            with pytest.raises(DatabaseAwayError):
                await writer.write(b"telemetry t=1.0 5")
        fake.hold.set()


async def test_what_goes_over_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "pässword")
    async with FakeInflux() as fake:
        v1 = Influx1(url=fake.url, database="b", retention_policy="year", auth=BasicAuth("u", "SECRET"))
        async with open_writer(v1) as writer:
            await writer.write(b"a\nb")
        monkeypatch.setenv("SECRET", "t0ken")
        async with open_writer(Influx2(url=fake.url, bucket="b", org="o", auth=TokenAuth("SECRET"))) as other:
            await other.write(b"a\nb")
        assert fake.seen[0].query == {"db": "b", "precision": "u", "rp": "year"}
        assert fake.seen[0].lines == fake.seen[1].lines == ("a", "b")
        assert (fake.seen[0].authorization or "").startswith("Basic ")
        assert fake.seen[1].query == {"bucket": "b", "org": "o", "precision": "us"}
        assert fake.seen[1].authorization == "Token t0ken"


async def test_a_missing_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET", raising=False)
    with pytest.raises(SettingsError, match="SECRET"):
        InfluxV2(Influx2(url="http://x", bucket="b", auth=TokenAuth("SECRET")))
    with pytest.raises(SettingsError, match="SECRET"):
        InfluxV1(Influx1(auth=BasicAuth("u", "SECRET")))


async def test_the_persistent_writer_waits_out_everything_but_refusals(fake_settings: Make) -> None:
    statuses = [503, 429, 401, 404, 500, 204, 422, 204]
    counters = Counters()
    async with FakeInflux() as fake, open_writer(fake_settings(fake.url)) as raw:
        fake.answer = lambda _: web.Response(status=statuses[len(fake.seen) - 1])
        writer = PersistentWriter(raw, counters=counters, backoff=Backoff(first_s=0.001, longest_s=0.002))
        await writer.write(b"a")
        assert (len(fake.seen), counters.retries) == (6, 5)
        with pytest.raises(DatabaseRefusedError):
            await writer.write(b"b")
        await writer.write(b"c")
        # After it was turned away the database may be gone: it is made again before the next try.
        assert len(fake.created) in (0, 3)


async def test_a_batch_too_large_goes_in_halves(fake_settings: Make) -> None:
    def answer(seen: Seen) -> web.Response:
        return web.Response(status=413 if len(seen.lines) > 3 else 204)

    async with FakeInflux() as fake, open_writer(fake_settings(fake.url)) as writer:
        fake.answer = answer
        assert await bisect([b"%d" % number for number in range(10)], writer.write) == []
        taken = [line for seen in fake.seen if len(seen.lines) <= 3 for line in seen.lines]
        assert taken == [str(number) for number in range(10)]


def test_waits_double_up_to_the_longest_and_start_anew() -> None:
    backoff = Backoff(first_s=1.0, longest_s=4.0)
    bounds = [backoff.next_s() for _ in range(5)]
    for wait_s, bound_s in zip(bounds, [1.0, 2.0, 4.0, 4.0, 4.0], strict=True):
        assert bound_s / 10 <= wait_s <= bound_s
    assert 2.0 <= backoff.longest() <= 4.0
    backoff.reset()
    assert backoff.next_s() <= 1.0
