"""Questions to InfluxDB: a real one, and one that answers what real ones rarely do."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from cloud.errors import CloudError, DatabaseAwayError, DatabaseRefusedError, HoldError
from cloud.fire.noon import Readings
from cloud.fire.reading import Span, read_span
from cloud.fire.stations import Station
from cloud.influx import InfluxV1
from cloud.influx.http import Asker
from cloud.influx.query import InfluxReader, Series, open_reader, quote_ident, quote_text
from cloud.settings import Influx1, Influx2, TokenAuth
from langyan.servers import Influx
from tests.cloud.rig import T0_US, fresh

pytestmark = pytest.mark.anyio
STATION = Station(
    "s1", "Ridge", None, "g'1", "w 1", "temperature", "humidity", "wind_speed", "m/s", None, "rain", "counter", None,
    31.3, 120.6, None, 85, 6, 15, None, "yes",
)  # fmt: skip


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/query", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_real_server_answers_with_series_tags_and_microseconds(influx: Influx) -> None:
    settings = Influx1(url=influx.url, database=fresh("query"))
    async with InfluxV1(settings) as writer, open_reader(settings) as reader:
        await writer.ensure_database()
        await writer.write(f'm,room=a v=1,w="x" {T0_US}\nm,room=b v=2 {T0_US + 1}'.encode())
        found = await reader.query('SELECT v, w FROM m GROUP BY "room"')
        assert found == [
            Series("m", {"room": "a"}, ("time", "v", "w"), [[T0_US, 1, "x"]]),
            Series("m", {"room": "b"}, ("time", "v", "w"), [[T0_US + 1, 2, None]]),
        ]
        assert await reader.query(f"SELECT v FROM m WHERE room = {quote_text('no')}") == []  # noqa: S608
        with pytest.raises(DatabaseRefusedError, match="expected"):
            await reader.query("SELECT v FROM")
        assert len(await reader.query("SELECT v FROM m; SELECT w FROM m")) == 2
    async with open_reader(Influx1(url=influx.url, database="not there")) as reader:
        with pytest.raises(HoldError, match="not found"):
            await reader.query("SELECT v FROM m")


async def test_the_readings_of_a_station_come_out_in_order_and_in_its_units(influx: Influx) -> None:
    settings = Influx1(url=influx.url, database=fresh("query"))
    head = r"telemetry,gateway=g'1,device=w\ 1"
    lines = [
        f"{head} rain=7 {T0_US - 5}",
        f"{head} temperature=20,humidity=40,wind_speed=5,rain=8 {T0_US}",
        f"{head} temperature=21,received_at=1i {T0_US + 1}",
        f"{head} temperature=22,wind_speed=6 {T0_US + 10}",
    ]
    async with InfluxV1(settings) as writer, open_reader(settings) as reader:
        await writer.ensure_database()
        await writer.write("\n".join(lines).encode())
        found = await read_span(reader, STATION, Span(T0_US, T0_US + 10), before_us=T0_US - 100)
    assert found == Readings(
        temp_c=[(T0_US, 20.0), (T0_US + 1, 21.0)],
        rh_pct=[(T0_US, 40.0)],
        wind_kmh=[(T0_US, 18.0)],
        force=(),
        rain_mm=[(T0_US, 8.0)],
        rain_before=(T0_US - 5, 7.0),
    )


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("{}", 503, DatabaseAwayError),
        ("{}", 401, HoldError),
        ('{"error": "unable to parse"}', 400, DatabaseRefusedError),
        ("<html>", 200, HoldError),
        ('{"error": "网关错误"}'.encode("gbk"), 200, HoldError),
        ('{"error": "网关错误"}'.encode("gbk"), 502, DatabaseAwayError),
        (b'{"a":' + b"[" * 1_900, 200, HoldError),
        ('{"results": [{"error": "no such function"}]}', 200, DatabaseRefusedError),
        ('{"error": "timeout"}', 200, DatabaseRefusedError),
        ('{"results": [{"series": [], "partial": true}]}', 200, DatabaseRefusedError),
        ('{"results": [{"series": [{"name": "' + "m" * 3_000 + '"}]}]}', 200, DatabaseRefusedError),
    ],
)
async def test_what_is_no_answer_is_an_error_of_its_kind(
    body: str | bytes, status: int, error: type[CloudError]
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status)

    async with answering(handler) as url, InfluxReader(Influx1(url=url), max_answer_bytes=2_000) as reader:
        with pytest.raises(error):
            await reader.query("SELECT v FROM m")


@pytest.mark.parametrize("body", ['{"message": "网关错误"}'.encode("gbk"), b"[" * 100_000])
async def test_an_order_answered_by_something_else_is_held(body: bytes) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with answering(handler) as url, Asker(Influx1(url=url)) as asker:
        with pytest.raises(HoldError, match="is no InfluxDB"):
            await asker.ask("GET", "/query")


async def test_later_versions_are_asked_by_bucket_and_token(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({"results": [{"statement_id": 0}]})

    monkeypatch.setenv("INFLUX_TOKEN", "word")
    async with answering(handler) as url:
        settings = Influx2(url=url, bucket="b 1", org="o", auth=TokenAuth(token_env="INFLUX_TOKEN"))
        async with open_reader(settings) as reader:
            assert await reader.query("SELECT 1") == []
    assert dict(seen[0].query) == {"db": "b 1", "org": "o", "epoch": "u", "q": "SELECT 1"}
    assert seen[0].headers["Authorization"] == "Token word"


async def test_nobody_there_is_away() -> None:
    async with open_reader(Influx1(url="http://127.0.0.1:9")) as reader:
        with pytest.raises(DatabaseAwayError):
            await reader.query("SELECT v FROM m")


@pytest.mark.parametrize(
    ("text", "ident", "literal"), [('a"b', '"a\\"b"', "'a\"b'"), ("a'b\\", '"a\'b\\\\"', "'a\\'b\\\\'")]
)
async def test_names_and_texts_cannot_break_out(text: str, ident: str, literal: str) -> None:
    assert quote_ident(text) == ident
    assert quote_text(text) == literal
