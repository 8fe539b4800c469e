"""What differs between InfluxDB 1.x, 2.x and 3.x where points go, and how they are asked for."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cloud.backoff import Backoff
from cloud.counters import Counters
from cloud.errors import HoldError, SchemaError
from cloud.grafana.board import Context
from cloud.grafana.build import build_all
from cloud.influx import lines, open_writer
from cloud.influx.http import Asker
from cloud.influx.lines import line_of, plain_line
from cloud.influx.persistent import PersistentWriter
from cloud.influx.query import open_reader
from cloud.influx.routing import by_policy, write_lines
from cloud.influx.schema import LONG_POLICY, MEASUREMENTS, policy_of
from cloud.influx.shape import Keep, Kind
from cloud.settings import Influx as InfluxSettings
from cloud.settings import Influx1, Influx2, Influx3
from langyan.servers import Influx
from tests.cloud.fake_influx import FakeInflux, Seen
from tests.cloud.influx_schema import faults_of
from tests.cloud.rig import fresh

pytestmark = pytest.mark.anyio
LONG, RAW = b"patrol,area=a tours=1i 5", b"site_state,site=s worst=0i 6"
VALUES: dict[Kind, Any] = {Kind.FLOAT: 1.5, Kind.INTEGER: 2, Kind.BOOLEAN: True, Kind.STRING: "三"}
WRITTEN = {Kind.FLOAT: "1.5", Kind.INTEGER: "2i", Kind.BOOLEAN: "true", Kind.STRING: '"三"'}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_a_line_of_every_measurement_has_the_types_of_the_schema(name: str) -> None:
    known = MEASUREMENTS[name]
    tags = dict.fromkeys(known.tags, "x")
    line = line_of(name, tags, {field.name: VALUES[field.kind] for field in known.fields}, 7)
    tagged = "".join(f",{tag}=x" for tag in sorted(known.tags))
    fields = ",".join(f"{field.name}={WRITTEN[field.kind]}" for field in known.fields)
    assert line == f"{name}{tagged} {fields} 7".encode()
    for field in known.fields:
        for kind, value in VALUES.items():
            if kind is field.kind or (kind, field.kind) == (Kind.INTEGER, Kind.FLOAT):
                continue
            with pytest.raises(SchemaError, match=f"'{name}': field '{field.name}' is {field.kind.value}"):
                line_of(name, tags, {field.name: value}, 7)


def test_what_the_schema_does_not_know_is_no_line() -> None:
    with pytest.raises(SchemaError, match="'weather': no measurement"):
        line_of("weather", {}, {"t": 1.0}, 7)
    with pytest.raises(SchemaError, match="no tag 'plate'"):
        line_of("vehicle", {"plate": "苏E"}, {"moving": 1}, 7)
    with pytest.raises(SchemaError, match="no field 'flying'"):
        line_of("vehicle", {"area": "a"}, {"flying": 1}, 7)


def test_a_number_that_is_not_finite_is_no_field_and_a_whole_one_becomes_a_float_where_it_must() -> None:
    fields = {"p50_s": float("nan"), "p90_s": float("inf"), "count": 3}
    assert line_of("alarm_response", {"area": "a", "stage": ""}, fields, 7) == b"alarm_response,area=a count=3.0 7"
    assert line_of("alarm_response", {"area": "a"}, {"p50_s": float("nan")}, 7) is None


@pytest.mark.parametrize("folder", ["cloud", "langyan"])
def test_nobody_writes_lines_in_another_way(folder: str) -> None:
    """So every line of every writer has been held against the schema, whatever the writer was told."""
    root = Path(lines.__file__).parents[2]
    by_hand = re.compile(r"\b(plain_line|tag_prefix|tag_value)\b")
    for file in sorted((root / folder).rglob("*.py")):
        if file != Path(lines.__file__):
            assert by_hand.search(file.read_text("utf-8")) is None, file


async def test_what_stands_in_a_database_is_held_against_the_schema(influx: Influx) -> None:
    settings = Influx1(url=influx.url, database=fresh("db"))
    good = [plain_line("telemetry", {"device": "d", "gateway": "g"}, {"t": 1.0, "received_at": 5}, 7)]
    for name, known in MEASUREMENTS.items():
        good.append(
            line_of(name, dict.fromkeys(known.tags, "x"), {one.name: VALUES[one.kind] for one in known.fields}, 7)
        )
    async with open_writer(settings) as raw, open_reader(settings) as reader:
        writer = PersistentWriter(raw, counters=Counters())
        assert await write_lines([line for line in good if line is not None], writer) == []
        assert await faults_of(reader) == []
        await write_lines([b"vehicle,plate=a moving=1i,fast=2.0 7", b"weather t=1 7"], writer)
        assert sorted(await faults_of(reader)) == [
            "vehicle.fast is float, and not known", "vehicle: no such tag plate", "weather: no such measurement",
        ]  # fmt: skip


def test_lines_are_parted_by_policy_in_their_order() -> None:
    mixed = [LONG, RAW, b"nobody knows=1i 7", LONG + b"1"]
    assert by_policy(mixed) == {LONG_POLICY: [LONG, LONG + b"1"], "": [RAW, b"nobody knows=1i 7"]}
    assert {policy_of(name) for name, one in MEASUREMENTS.items() if one.keep is Keep.RAW} == {""}


async def test_what_is_kept_for_long_is_found_in_its_policy(influx: Influx) -> None:
    settings = Influx1(url=influx.url, database=fresh("db"))
    async with open_writer(settings) as raw, open_reader(settings) as reader:
        assert await write_lines([LONG, RAW, b"patrol broken"], PersistentWriter(raw, counters=Counters())) == [
            (b"patrol broken", 'HTTP 400: {"error":"unable to parse \'patrol broken\': invalid field format"}')
        ]  # fmt: skip
        (patrols,) = await reader.query('SELECT "tours" FROM "long"."patrol"')
        (sites,) = await reader.query('SELECT "worst" FROM "site_state"')
        assert (patrols.values, sites.values) == ([[5, 1]], [[6, 0]])
        assert await reader.query('SELECT "tours" FROM "patrol"') == []


async def test_a_policy_that_was_dropped_is_made_again(influx: Influx) -> None:
    settings = Influx1(url=influx.url, database=fresh("db"))
    counters = Counters()
    async with open_writer(settings) as raw, Asker(settings) as asker:
        writer = PersistentWriter(raw, counters=counters, backoff=Backoff(first_s=0.001, longest_s=0.002))
        await writer.write(LONG, policy=LONG_POLICY)
        await asker.ask("POST", "/query", form={"q": f'DROP RETENTION POLICY "long" ON "{settings.database}"'})
        with pytest.raises(HoldError, match=r"retention policy not found: long.*run langyan cloud init"):
            await raw.write(LONG, policy=LONG_POLICY)
        await writer.write(LONG, policy=LONG_POLICY)
    assert counters.retries == 1


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (Influx1(retention_policy="own"), [{"rp": "long"}, {"rp": "own"}]),
        (Influx2(bucket="b"), [{"bucket": "b/long"}, {"bucket": "b"}]),
        (Influx3(bucket="b"), [{"bucket": "b"}, {"bucket": "b"}]),
    ],
)
async def test_each_version_is_told_its_own_way(settings: InfluxSettings, where: list[dict[str, str]]) -> None:
    async with FakeInflux() as fake:
        fields = {name: getattr(settings, name) for name in settings.__struct_fields__} | {"url": fake.url}
        async with open_writer(type(settings)(**fields)) as writer:
            await writer.write(LONG, policy=LONG_POLICY)
            await writer.write(RAW)
        assert [{name: seen.query[name] for name in wanted} for seen, wanted in zip(fake.seen, where, strict=True)] == (
            where
        )


async def test_a_missing_bucket_is_waited_for_and_says_what_to_do() -> None:
    def answer(seen: Seen) -> web.Response:
        words = {"code": "not found", "message": f'bucket "{seen.query["bucket"]}" not found'}
        return web.json_response(words, status=404)

    async with FakeInflux() as fake, open_writer(Influx2(url=fake.url, bucket="b")) as writer:
        fake.answer = answer
        with pytest.raises(HoldError, match="langyan cloud init"):
            await writer.write(LONG, policy=LONG_POLICY)


def test_dashboards_for_3_name_no_policy() -> None:
    for built in build_all(Context(has_policies=False)):
        assert '\\"long\\".' not in json.dumps(built.model)
    assert any('\\"long\\".' in json.dumps(built.model) for built in build_all(Context()))
