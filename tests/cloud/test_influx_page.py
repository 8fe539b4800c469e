"""docs/influxdb.md: its tables are those of the schema, and what it says to ask can be asked."""

import re

import pytest

from cloud.influx import open_writer
from cloud.influx.admin import open_admin
from cloud.influx.cardinality import COUNTS, City, all_series, points_a_day, series_of
from cloud.influx.http import Asker
from cloud.influx.page import PAGE, written_into
from cloud.influx.schema import MEASUREMENTS
from cloud.influx.shape import Kind
from cloud.keep import Keep
from cloud.settings import Influx1
from langyan.servers import Influx
from tests.cloud.rig import fresh

TEXT = PAGE.read_text("utf-8")
SQL = re.findall(r"^ *```sql\n(.*?)^ *```$", TEXT, re.DOTALL | re.MULTILINE)


def test_the_page_is_as_the_schema_is() -> None:
    assert written_into(TEXT) == TEXT, "run scripts/generate"


def test_every_measurement_is_counted() -> None:
    city = City()
    assert COUNTS.keys() == MEASUREMENTS.keys()
    assert all_series(city) == sum(series_of(name, city) for name in COUNTS)
    assert all_series(city) < 1_000_000, "what 1.x allows unless it is told otherwise"
    bigger = City(radio_tags=10 * city.radio_tags)
    assert all_series(bigger) == all_series(city), "a radio tag is no series"


def test_points_come_as_often_as_the_schema_says() -> None:
    city = City()
    assert points_a_day("ingest", city) == city.workers * 8_640
    assert points_a_day("alarm_state", city) == city.open_alarms * 86_400 // MEASUREMENTS["alarm_state"].every_s
    assert points_a_day("alarm_event", city) is None


def test_names_and_tags_suit_every_version() -> None:
    for one in MEASUREMENTS.values():
        names = [field.name for field in one.fields]
        assert len(set(names)) == len(names)
        assert not set(one.tags) & {*names, "time"}, "3.x takes no field with a tag's name"
        assert "time" not in names
        assert list(one.tags) == sorted(one.tags)
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in (one.name, *names, *one.tags))
        assert not any(field.unit for field in one.fields if field.kind in (Kind.STRING, Kind.BOOLEAN))


@pytest.mark.anyio
async def test_what_the_page_says_to_ask_is_understood(influx: Influx) -> None:
    settings = Influx1(url=influx.url, database=fresh("db"))
    questions = [
        one
        for block in SQL
        for one in re.split(r"\n\n|\n(?= *SELECT \* INTO)", re.sub(r"^ *--.*\n", "", block, flags=re.MULTILINE))
    ]
    assert len(questions) == 17
    async with open_writer(settings) as writer, Asker(settings) as asker:
        await writer.ensure_database()
        admin = open_admin(settings, asker)
        for step in await admin.look(Keep(raw_days=0)):
            await admin.do(step)
        for question in questions:
            form = {"q": question.replace('"langyan"', f'"{settings.database}"'), "db": settings.database}
            answer = await asker.ask("POST", "/query", form=form)
            assert not [result["error"] for result in answer["results"] if "error" in result], question
