"""What is measured around fires, how often towers look, and the loops."""

import threading
from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Self

import anyio
import anyio.to_thread
import msgspec
import pytest
from sqlalchemy import Connection, insert, select

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.detection_tables import fire_evidence, tower_pace
from cloud.database.fire_tables import fire_level, fire_station
from cloud.database.tables import cursor
from cloud.desk.following import has_changes
from cloud.errors import CloudError, DatabaseRefusedError
from cloud.fire import detection_surroundings, detection_worker
from cloud.fire.classes import Danger
from cloud.fire.detection import Detection, Reading, Wind
from cloud.fire.detection_pace import EVERY_US, give_paces
from cloud.fire.detection_reading import NOW_US
from cloud.fire.detection_store import evidence_of, find_to_look_at
from cloud.fire.detection_surroundings import Neighbour, find_neighbours, look_around, question, run_surroundings
from cloud.fire.detection_taking import CURSOR, take_news, take_surroundings
from cloud.fire.detection_worker import run_detection
from cloud.influx.lines import tag_prefix
from cloud.influx.query import InfluxReader, Series
from cloud.orders.orders import list_orders
from cloud.settings import Influx1, Settings
from langyan.servers import Influx
from tests.cloud.detection_rig import T0, FireRig, S
from tests.cloud.rig import fetch, fresh
from tests.cloud.test_detection import seen

MINUTE = 60 * S
HOUR = 3_600 * S


def series(gateway: str, device: str, **columns: Sequence[tuple[int, object]]) -> Series:
    times = sorted({at_us for rows in columns.values() for at_us, _value in rows})
    values = [[at_us, *(dict(rows).get(at_us) for rows in columns.values())] for at_us in times]
    return Series("telemetry", {"gateway": gateway, "device": device}, ("time", *columns), values)


def around(name: str, km: float) -> Neighbour:
    return Neighbour(name, seen(name, north_m=km * 1_000).spot)


def usual(value: float) -> list[tuple[int, object]]:
    return [(T0 - minutes * MINUTE, value) for minutes in range(15, 180, 15)]


def test_the_wind_is_that_of_the_nearest_station_that_measures_it() -> None:
    found = look_around(
        seen("a"),
        [around("a", 0), around("b", 2), around("c", 5)],
        [
            series("c", "weather", wind_direction=[(T0, 90.0)], wind_speed=[(T0, 3.0)]),
            series("b", "weather", wind_direction=[(T0 - MINUTE, 350.0)], wind_speed=[(T0 - MINUTE, 4.5)]),
            series("a", "smoke", wind_direction=[(T0 - HOUR, 10.0)], wind_speed=[(T0 - HOUR, 4.5)]),
        ],
    )
    assert found.wind == Wind(350.0, 4.5, "b/weather")


@pytest.mark.parametrize("speed", [0.0, -3.0, 200.0])
def test_a_wind_that_is_none_or_cannot_be_is_not_known(speed: float) -> None:
    answer = [series("a", "weather", wind_direction=[(T0, 90.0)], wind_speed=[(T0, speed)])]
    assert look_around(seen("a"), [around("a", 0)], answer).wind is None


def test_a_reading_is_raised_when_it_is_far_above_what_is_usual_there() -> None:
    answer = [
        series("b", "air", pm2_5=[*usual(30.0), (T0, 180.0)], temperature=[*usual(28.0), (T0, 33.0)]),
        series("c", "air", pm2_5=[*usual(200.0), (T0, 260.0)], temperature=[*usual(20.0), (T0 + MINUTE, 31.0)]),
        series("a", "air", pm2_5=[*usual(30.0), (T0, 900.0)]),
        series("stranger", "air", pm2_5=[*usual(30.0), (T0, 900.0)]),
    ]
    found = look_around(seen("a"), [around("a", 0), around("b", 2), around("c", 4)], answer)
    assert found.readings == (
        Reading("b", "air", "pm2_5", 180.0, 30.0, T0),
        Reading("c", "air", "temperature", 31.0, 20.0, T0),
    )


def test_a_camera_says_where_it_looks_in_a_reading() -> None:
    answer = [series("a", "camera", bearing=[(T0 + S, 271.5)]), series("a", "other", bearing=[(T0, 10.0)])]
    looked = look_around(seen("a", device="camera"), [around("a", 0)], answer)
    assert looked.bearing_deg == 271.5
    # What its alarm has said holds.
    said = msgspec.structs.replace(seen("a", device="camera"), bearing_deg=90.0)
    assert look_around(said, [around("a", 0)], answer).bearing_deg == 90.0


def test_nothing_measured_is_no_harm() -> None:
    assert look_around(seen("a"), [around("a", 0)], []) == seen("a")


def test_the_question_is_one_that_influxdb_answers(influx: Influx) -> None:
    database = fresh("fires")
    fetch(f"{influx.url}/query?q=CREATE+DATABASE+%22{database}%22", body=b"")
    lines = [
        f"{tag_prefix({'gateway': 'tower-1', 'device': 'weather'})} wind_direction=182.0,wind_speed=4.0 {T0 - MINUTE}",
        *(
            f"{tag_prefix({'gateway': 'tower-2', 'device': 'air'})} pm2_5={value} {at_us}"
            for at_us, value in (*usual(30.0), (T0, 180.0))
        ),
    ]
    fetch(f"{influx.url}/write?db={database}&precision=u", body="\n".join(lines).encode())
    near = [around("tower-1", 0), around("tower-2", 2), around("no'body", 3)]

    async def ask() -> Detection:
        async with InfluxReader(Influx1(url=influx.url, database=database)) as reader:
            return look_around(seen("tower-1"), near, await reader.query(question(seen("tower-1"), near)))

    found = anyio.run(ask)
    assert found.wind == Wind(182.0, 4.0, "tower-1/weather")
    assert [(one.gateway, one.point, one.value) for one in found.readings] == [("tower-2", "pm2_5", 180.0)]


def test_each_piece_of_evidence_is_looked_around_at_once_and_when_its_minutes_are_over(desk_database: Database) -> None:
    rig = FireRig(desk_database)
    rig.tower("tower-1", 0.0)
    rig.tower("tower-2", 3.0)
    rig.tower("far", 30.0)
    rig.tower("school", 1.0, kind="school")
    rig.smoke("tower-1", T0)
    rig.detect(T0)
    look = partial(find_to_look_at, now_us=T0 + S, limit=10)
    (one,) = rig.database.read(look)
    near = rig.database.read(partial(find_neighbours, spot=one.spot, settings=rig.settings.fire.detection))
    assert [each.gateway for each in near] == ["tower-1", "tower-2"]
    found = msgspec.structs.replace(
        one, wind=Wind(180.0, 3.0, "tower-1/weather"), readings=(Reading("tower-2", "air", "pm2_5", 180.0, 30.0, T0),)
    )
    rig.act(lambda connection: take_surroundings(connection, [found], rig.settings, T0 + S))
    assert rig.database.read(look) == []
    assert rig.database.read(partial(find_to_look_at, now_us=T0 + 10 * MINUTE - 1, limit=10)) == []
    (again,) = rig.database.read(partial(find_to_look_at, now_us=T0 + 10 * MINUTE, limit=10))
    assert again == found
    rig.act(lambda connection: take_surroundings(connection, [again], rig.settings, T0 + 10 * MINUTE))
    assert rig.database.read(partial(find_to_look_at, now_us=T0 + HOUR, limit=10)) == []
    (fire,) = rig.fires()
    assert fire.confidence == 0.46
    (kept,) = rig.database.read(lambda connection: evidence_of(connection, [fire.id])[fire.id])
    assert kept == found


class Refuses:
    """An InfluxDB that refuses one question, and answers all others with the same wind."""

    def __init__(self, word: str) -> None:
        self._word = word

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def query(self, influxql: str) -> list[Series]:
        if self._word in influxql:
            raise DatabaseRefusedError("the answer is too long")
        return [series("good", "weather", wind_direction=[(T0, 90.0)], wind_speed=[(T0, 3.0)])]


@pytest.mark.anyio
async def test_one_question_that_is_refused_does_not_cost_the_others_their_answers(
    desk_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = FireRig(desk_database)
    for name, at_us in (("bad", T0 - MINUTE), ("good", T0)):
        rig.tower(name, 1.0)
        rig.smoke(name, at_us)
    rig.detect(T0)
    reader = Refuses(f"time <= {T0 - MINUTE + NOW_US}u")
    monkeypatch.setattr(detection_surroundings, "open_reader", lambda _settings: reader)
    database = PersistentDatabase(desk_database, counters=Counters())

    def looks() -> dict[str, tuple[bool, int]]:
        query = select(fire_evidence.c.gateway, fire_evidence.c.wind, fire_evidence.c.looks)
        rows = rig.database.read(lambda connection: connection.execute(query).all())
        return {row.gateway: (row.wind is not None, row.looks) for row in rows}

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_surroundings, database, rig.settings, lambda: T0 + S)
            while not (await anyio.to_thread.run_sync(looks))["bad"][1]:  # noqa: ASYNC110 - the database has no event
                await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
    assert looks() == {"bad": (False, 1), "good": (True, 0)}


def danger(rig: FireRig, level: Danger, *, area: str = "forest") -> None:
    def work(connection: Connection) -> None:
        connection.execute(fire_level.delete())
        if connection.execute(select(fire_station.c.id)).first() is None:
            station = {
                "id": "ridge", "name": "ridge", "area": area, "gateway": "tower-1", "device": "weather",
                "temperature": "temperature", "humidity": "humidity", "wind": "wind_speed", "wind_unit": "m/s",
                "rain": "rain", "rain_kind": "counter", "latitude_deg": 29.0, "longitude_deg": 119.0,
                "start_ffmc": 85.0, "start_dmc": 6.0, "start_dc": 15.0, "active": "yes",
            }  # fmt: skip
            connection.execute(insert(fire_station).values(station))
        row = {"station": "ridge", "day": date(2026, 9, 21), "level": int(level)}
        connection.execute(insert(fire_level).values(row))

    rig.act(work)


def test_towers_look_more_often_while_the_danger_is_high_and_are_told_each_hour(desk_database: Database) -> None:
    rig = FireRig(desk_database)
    for name in ("tower-1", "tower-2"):
        rig.tower(name, 1.0)
    rig.tower("town-tower", 1.0, area_id="town")
    rig.tower("school", 1.0, kind="school")
    give = partial(give_paces, settings=rig.settings.fire.detection)
    danger(rig, Danger.MODERATE)
    assert rig.database.run(partial(give, now_us=T0)) == 0
    danger(rig, Danger.HIGH)
    assert rig.database.run(partial(give, now_us=T0)) == 2
    assert rig.database.run(partial(give, now_us=T0 + EVERY_US - 1)) == 0
    assert rig.database.run(partial(give, now_us=T0 + EVERY_US)) == 2
    danger(rig, Danger.EXTREME)
    assert rig.database.run(partial(give, now_us=T0 + EVERY_US + MINUTE)) == 2
    danger(rig, Danger.LOW)
    assert rig.database.run(partial(give, now_us=T0 + 2 * EVERY_US)) == 2
    assert rig.database.run(partial(give, now_us=T0 + 9 * EVERY_US)) == 0
    orders = rig.database.read(partial(list_orders, limit=100))
    assert {one.gateway for one in orders} == {"tower-1", "tower-2"}
    assert {one.kind for one in orders} == {"pace"}
    # The latest wish of each is the one that is left.
    assert sorted(one.gateway for one in orders if one.state == "waiting") == ["tower-1", "tower-2"]
    assert [one.why for one in orders if one.state == "waiting"] == ["danger has fallen"] * 2
    assert rig.database.read(lambda connection: connection.execute(select(tower_pace)).all()) == []


@pytest.mark.anyio
async def test_the_loops_find_a_fire_without_influxdb(desk_database: Database) -> None:
    settings = Settings(influx=Influx1(url="http://127.0.0.1:9", timeout_s=1))
    rig = FireRig(desk_database, settings, detection=False)
    rig.tower("tower-1", 0.0)
    database = PersistentDatabase(desk_database, counters=Counters())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(run_detection, database, settings, clock=lambda: T0 + S))
            while not await anyio.to_thread.run_sync(_follows, rig):  # noqa: ASYNC110 - the database has no event
                await anyio.sleep(0.02)
            await anyio.to_thread.run_sync(lambda: rig.smoke("tower-1", T0))
            while not await anyio.to_thread.run_sync(rig.fires):  # noqa: ASYNC110
                await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
    assert [alarm.source for alarm in rig.heard()] == [rig.fires()[0].source]


@pytest.mark.anyio
async def test_news_that_the_database_refuses_are_passed_over_and_the_rest_is_taken(
    desk_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = FireRig(desk_database, Settings(influx=Influx1(url="http://127.0.0.1:9", timeout_s=1)))
    for number, name in enumerate(("good-1", "bad", "good-2")):
        rig.tower(name, 100.0 * number)
        rig.smoke(name, T0 + number)

    def refuse(connection: Connection, settings: Settings, now_us: int, *, at_once: int) -> int:
        taken = take_news(connection, settings, now_us, at_once=at_once)
        if connection.execute(select(fire_evidence.c.id).where(fire_evidence.c.gateway == "bad")).first():
            raise DatabaseRefusedError("value too long")
        return taken

    monkeypatch.setattr(detection_worker, "take_news", refuse)
    database = PersistentDatabase(desk_database, counters=Counters())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(run_detection, database, rig.settings, clock=lambda: T0 + S))
            while len(await anyio.to_thread.run_sync(rig.fires)) < 2:  # noqa: ASYNC110 - the database has no event
                await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
    assert {one.towers for one in rig.fires()} == {("good-1",), ("good-2",)}
    assert "bad" in {one.gateway for one in rig.heard()}


def _follows(rig: FireRig) -> bool:
    query = select(cursor.c.name).where(cursor.c.name == "fires")
    return rig.database.read(lambda connection: connection.execute(query).first()) is not None


def work_until(rig: FireRig, stop: threading.Event, failed: list[CloudError]) -> None:
    """Be a worker: make fires of all news, until there are none and none come any more."""
    while not stop.is_set() or rig.database.read(partial(has_changes, name=CURSOR)):
        try:
            rig.detect(T0 + HOUR)
        except CloudError as error:
            failed.append(error)
            return


def burn(rig: FireRig, names: Sequence[str]) -> None:
    """Be a desk: have towers raise and clear again and again."""
    for round_ in range(4):
        for name in names:
            at_us = T0 + round_ * MINUTE
            rig.smoke(name, at_us)
            rig.smoke(name, at_us + 20 * S, raised_at_us=at_us)


def test_two_workers_beside_a_busy_desk_make_the_fires_that_one_would(desk_database: Database) -> None:
    rig = FireRig(desk_database)
    names = [f"tower-{number}" for number in range(12)]
    for number, name in enumerate(names):
        # Three woods, of four towers each.
        rig.tower(name, 2.0 * (number % 4) + 100.0 * (number // 4))
    # A file has one writer at a time, and its desks wait for each other by trying again.
    side_by_side = 2 if desk_database.url.get_backend_name() == "postgresql" else 1
    stop = threading.Event()
    failed: list[CloudError] = []
    workers = [threading.Thread(target=work_until, args=(rig, stop, failed)) for _ in range(side_by_side)]
    desks = [threading.Thread(target=burn, args=(rig, names[one::side_by_side])) for one in range(side_by_side)]
    for thread in (*workers, *desks):
        thread.start()
    for thread in desks:
        thread.join()
    stop.set()
    for thread in workers:
        thread.join()
    assert failed == []
    fires = [one for one in rig.fires() if one.merged_into is None]
    woods = [tuple(sorted(names[begin : begin + 4])) for begin in (0, 4, 8)]
    assert sorted(one.towers for one in fires) == sorted(woods)
    assert all(one.cleared_at_us == T0 + 3 * MINUTE + 20 * S and not one.alarm_stands for one in fires)
    assert {one.source for one in rig.heard()} == {one.source for one in fires}
