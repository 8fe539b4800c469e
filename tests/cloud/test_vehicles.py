"""Vehicles in the database: reports become positions and alarms, registry, fences, totals, positions for alarms."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import msgspec
import pytest
from sqlalchemy import URL, Connection, insert, select, text, update

from cloud.areas.faults import ImportRefusedError
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.area_tables import area, site
from cloud.database.feed_tables import measure, observation
from cloud.database.people_tables import audit
from cloud.database.tables import change, cursor, occurrence
from cloud.database.vehicle_tables import vehicle, vehicle_fence, vehicle_position
from cloud.desk.changes import Actor
from cloud.desk.core import Arrival
from cloud.desk.following import begin_here
from cloud.desk.operations import acknowledge
from cloud.desk.store import apply_events
from cloud.feed import queue
from cloud.feed.queue import Observation, Waiting
from cloud.feed.sorting import Trade, write_samples
from cloud.geo import Spot, destination
from cloud.settings import Settings
from cloud.vehicles import worker
from cloud.vehicles.drawing import draw_fence, remove_fence
from cloud.vehicles.errors import BadFenceError, UnknownFenceError, UnknownVehicleError
from cloud.vehicles.fences import Fence, Rule
from cloud.vehicles.keeping import FenceCache
from cloud.vehicles.locating import READER, locate
from cloud.vehicles.registry import bring_in, export
from cloud.vehicles.totals import write_totals
from contract.alarms import AlarmEvent, Severity, Transition
from contract.telemetry import Point, Sample, Value
from tests.cloud.rig import T0_US, count_of, eventually, rows_of

S_US = 1_000_000
HOME = Spot(31.3, 120.6)
ME = Actor("王芳", "console")
SETTINGS = Settings()
NOW_US = T0_US + 3_600 * S_US
CSV = """编号,车牌,名称,fleet,区域,gateway,device,guarded,begins,ends
bus-1,苏E·12345,一号校车,校车,east,gw-1,t-1,yes,,
bus-2,苏E·23456,,校车,east,gw-1,t-2,no,06:00,20:00
car-1,,巡逻车,,west,gw-2,t-1,no,,
"""
YARD = Fence("yard", "车场", "city", Rule.STAY, fleet="校车", center=HOME, radius_m=500.0)


def import_csv(database: Database, text: str = CSV, **how: Any) -> tuple[int, int, int, int]:
    how.setdefault("at_us", T0_US)
    brought = bring_in(database, text.encode(), "vehicles.csv", actor=ME, desk=SETTINGS.desk, **how)
    return brought.added, brought.changed, brought.removed, brought.unchanged


@pytest.fixture
def city(desk_database: Database) -> Database:
    """A city with two halves, and three vehicles."""
    none: dict[str, Any] = {"latitude_deg": None, "longitude_deg": None, "outline": None}
    rows = [("city", None, "city", "city/"), ("east", "city", "county", "city/east/"),
            ("west", "city", "county", "city/west/")]  # fmt: skip
    areas = [none | {"id": i, "parent": p, "level": level, "name": i, "path": path} for i, p, level, path in rows]
    desk_database.run(lambda connection: connection.execute(insert(area), areas))
    import_csv(desk_database)
    return desk_database


def at(way_m: float, at_s: float, *, device: str = "t-1", **more: Value) -> Sample:
    spot = destination(HOME, 90, way_m)
    points: dict[str, Value] = {"latitude": spot.latitude_deg, "longitude": spot.longitude_deg, "fix": True}
    points |= {"vehicle_speed": 30.0, "course": 90.0, "acc": True} | more
    return Sample(device, T0_US + round(at_s * S_US), tuple(Point(key, value) for key, value in points.items()))


def report(database: Database, *samples: Sample, gateway: str = "gw-1", now_us: int = NOW_US) -> None:
    """Judge the samples of one message, as the worker does."""
    heard = [Observation(Trade.VEHICLES, gateway, now_us, samples)]
    work = partial(
        worker.judge, settings=SETTINGS, clock=lambda: now_us, fences=FenceCache(), zone=ZoneInfo("Asia/Shanghai")
    )
    database.run(lambda connection: work(connection, heard))


def position(database: Database, vehicle_id: str = "bus-1") -> dict[str, Any]:
    return next(row for row in rows_of(database, vehicle_position) if row["vehicle"] == vehicle_id)


def draw(database: Database, fence: Fence = YARD, now_us: int = NOW_US) -> Fence:
    return database.run(partial(draw_fence, fence=fence, actor=ME, desk=SETTINGS.desk, now_us=now_us))


def alarms(database: Database) -> list[tuple[str, str, bool]]:
    """Device, rule, and whether it stands, of the cloud's own alarms."""
    rows = sorted(rows_of(database, occurrence), key=lambda row: (row["raised_at_us"], row["source"]))
    return [(row["device"], row["rule"], row["cleared_at_us"] is None) for row in rows if row["gateway"] == "cloud"]


def test_a_report_becomes_the_last_position_and_an_older_one_never_does(city: Database) -> None:
    assert position(city)["at_us"] is None
    report(city, at(100, 60))
    first = position(city)
    assert (first["at_us"], first["received_at_us"], first["doubtful"]) == (T0_US + 60 * S_US, NOW_US, True)
    assert (first["speed_kmh"], first["course_deg"], first["ignition"]) == (30.0, 90.0, True)
    assert first["latitude_deg"] == pytest.approx(31.3, abs=1e-4)
    report(city, at(50, 30), now_us=NOW_US + S_US)
    older = position(city)
    assert older["received_at_us"] == NOW_US, "a late one says nothing of when the newest came"
    assert (older["at_us"], older["longitude_deg"], older["doubtful"]) == (
        first["at_us"],
        first["longitude_deg"],
        False,
    )
    report(city, at(200, 90), at(150, 80), at(200, 90), now_us=NOW_US + 2 * S_US)
    newest = position(city)
    assert (newest["at_us"], newest["received_at_us"]) == (T0_US + 90 * S_US, NOW_US + 2 * S_US)
    assert position(city, "bus-2")["at_us"] is None


def test_what_nobody_stands_for_is_nobodys_position(city: Database) -> None:
    report(city, at(0, 10, fix=False))
    report(city, at(0, 3_600 + 601))
    report(city, at(0, 10, device="unknown"))
    report(city, at(0, 10), gateway="gw-9")
    assert position(city)["at_us"] is None
    report(city, at(0, 3_600 + 599))
    assert position(city)["at_us"] is not None


def test_leaving_a_fence_is_an_alarm_in_the_vehicles_area_and_ends_with_the_return(city: Database) -> None:
    draw(city)
    report(city, at(0, 0), at(100, 30))
    report(city, at(900, 60))
    (row,) = rows_of(city, occurrence)
    assert (row["source"], row["kind"], row["severity"]) == ("cloud/vehicle.bus-1/fence/yard", "area", "high")
    assert (row["area"], row["area_path"], row["raised_at_us"]) == ("east", "city/east/", T0_US + 60 * S_US)
    assert row["text"]["zh"] == "苏E·12345 一号校车已驶出车场"
    report(city, at(950, 90))
    report(city, at(900, 60))
    assert count_of(city, occurrence) == 1
    report(city, at(100, 120))
    assert alarms(city) == [("vehicle.bus-1", "yard", False)]
    report(city, at(900, 100), at(900, 110))
    assert alarms(city) == [("vehicle.bus-1", "yard", False)], "late, and undone by what is newer"


def test_a_vehicle_of_no_fence_drives_where_it_likes(city: Database) -> None:
    draw(city)
    report(city, at(0, 0), at(9_000, 600), at(9_000, 630), gateway="gw-2")
    assert alarms(city) == []
    assert position(city, "car-1")["at_us"] == T0_US + 630 * S_US


def test_a_fence_drawn_anew_or_removed_ends_what_stood_of_it(city: Database) -> None:
    first = draw(city)
    report(city, at(0, 0), at(100, 30), at(900, 60))
    wide = draw(city, msgspec.structs.replace(YARD, radius_m=2_000.0))
    assert wide.edited_at_us > first.edited_at_us
    assert alarms(city) == [("vehicle.bus-1", "yard", False)]
    report(city, at(2_500, 90))
    assert alarms(city) == [("vehicle.bus-1", "yard", True)]
    city.run(partial(remove_fence, fence_id="yard", actor=ME, desk=SETTINGS.desk, now_us=NOW_US))
    assert alarms(city) == [("vehicle.bus-1", "yard", False)]
    report(city, at(2_600, 120))
    assert alarms(city) == [("vehicle.bus-1", "yard", False)]
    assert [row["what"] for row in rows_of(city, audit)][1:] == ["fence-drawn", "fence-drawn", "fence-removed"]
    with pytest.raises(UnknownFenceError):
        city.run(partial(remove_fence, fence_id="yard", actor=ME, desk=SETTINGS.desk, now_us=NOW_US))
    with pytest.raises(UnknownVehicleError):
        draw(city, msgspec.structs.replace(YARD, fleet=None, vehicle="nobody"))
    with pytest.raises(BadFenceError):
        draw(city, msgspec.structs.replace(YARD, radius_m=0.0))
    assert count_of(city, vehicle_fence) == 0


def test_a_worker_sees_a_fence_that_another_has_drawn(city: Database) -> None:
    fences = FenceCache()

    def keys() -> list[str]:
        found = city.read(fences.read)
        return [fence.id for fence in found.covering("bus-1", "校车", "city/east/")]

    assert keys() == []
    draw(city, now_us=5)
    assert keys() == ["yard"]
    draw(city, msgspec.structs.replace(YARD, id="other"), now_us=3)
    assert keys() == ["other", "yard"]
    draw(city, msgspec.structs.replace(YARD, area="west"), now_us=3)
    assert keys() == ["other"]


def test_movement_that_nobody_allowed(city: Database) -> None:
    report(city, at(0, 0, acc=False, vehicle_speed=0.0), at(300, 30, acc=False))
    # 2023-11-15 06:13 in Shanghai, then after eight in the evening of that day.
    evening_s = 14 * 3_600
    late = [at(0, evening_s, device="t-2"), at(200, evening_s + 30, device="t-2")]
    report(city, *late, now_us=NOW_US + evening_s * S_US)
    assert alarms(city) == [("vehicle.bus-1", "ignition-off", True), ("vehicle.bus-2", "hours", True)]
    assert [row["kind"] for row in rows_of(city, occurrence)] != []
    assert {row["kind"] for row in rows_of(city, occurrence)} == {"theft", "driving"}


def test_everybodys_positions_go_to_the_patrols(city: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[str] = []

    def take(_connection: object, positions: Sequence[Any], *, settings: Settings, now_us: int) -> None:
        assert (settings, now_us) == (SETTINGS, NOW_US)
        handed.extend(one.device for one in positions)

    monkeypatch.setattr(worker, "take_positions", take)
    report(city, at(0, 0), at(0, 0, device="walker"))
    assert handed == ["t-1", "walker"]


def test_a_file_comes_in_and_out_as_it_was(city: Database) -> None:
    data = city.read(export)
    again = bring_in(city, data, "v.csv", actor=ME, at_us=T0_US, desk=SETTINGS.desk)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 3)
    assert city.read(export) == data
    gbk = CSV.replace("一号校车", "壹号校车").encode("gb18030")
    changed = bring_in(city, gbk, "v.csv", actor=ME, at_us=T0_US, desk=SETTINGS.desk)
    assert (changed.changed, changed.unchanged) == (1, 2)
    assert import_csv(city, "id,area,gateway,device,name\nbus-1,east,gw-1,t-1,Bus\n", dry_run=True) == (0, 1, 0, 0)
    assert rows_of(city, vehicle)[0]["name"] == "壹号校车"
    assert import_csv(city, "id,area,gateway,device,name\nbus-1,east,gw-1,t-1,Bus\n") == (0, 1, 0, 0)
    assert (rows_of(city, vehicle)[0]["name"], rows_of(city, vehicle)[0]["plate"]) == ("Bus", "苏E·12345")
    assert [row["what"] for row in rows_of(city, audit)] == ["vehicles-imported"] * 3


def test_terminals_are_swapped_and_what_the_file_does_not_have_goes_when_asked(city: Database) -> None:
    draw(city, msgspec.structs.replace(YARD, fleet=None, vehicle="bus-1"))
    report(city, at(0, 0), at(900, 60))
    swapped = CSV.replace("gw-1,t-1,", "X").replace("gw-1,t-2,", "gw-1,t-1,").replace("X", "gw-1,t-2,")
    assert import_csv(city, swapped) == (0, 2, 0, 1)
    assert [row["device"] for row in rows_of(city, vehicle)] == ["t-2", "t-1", "t-1"]
    only = "\n".join(line for line in swapped.splitlines() if not line.startswith("bus-1"))
    assert import_csv(city, only) == (0, 0, 0, 2)
    assert import_csv(city, only, replace=True, at_us=NOW_US) == (0, 0, 1, 2)
    assert [row["id"] for row in rows_of(city, vehicle)] == ["bus-2", "car-1"]
    assert alarms(city) == [("vehicle.bus-1", "yard", False)]
    assert (count_of(city, vehicle_fence), count_of(city, vehicle_position)) == (0, 2)


def test_every_fault_of_a_file_is_told_by_its_line_and_nothing_changes(city: Database) -> None:
    before = rows_of(city, vehicle)
    bad = (
        "id,area,gateway,device,guarded,begins,ends\n"
        "ok,east,g,t,yes,,\n"
        "Bad Id,east,g,t2,yes,,\n"
        "two,nowhere,g,t3,maybe,,\n"
        "three,east,g,t,no,,\n"
        "four,east,gw-1,t-1,no,08:00,\n"
        "two,east,g,t9,no,25:00,\n"
        f"{'x' * 49},east,g,t8,no,,\n"
    )
    with pytest.raises(ImportRefusedError) as refused:
        import_csv(city, bad)
    told = "\n".join(fault.told() for fault in refused.value.faults)
    for line, word in ((3, "is no id"), (4, "nowhere"), (4, "neither yes nor no"), (5, "terminal g/t is in vehicle ok"),
                       (6, "come together"), (6, "terminal gw-1/t-1 is in vehicle bus-1"), (7, "time of day"),
                       (7, "twice"), (8, "at most 48")):  # fmt: skip
        assert any(f"vehicles.csv:{line}" in one and word in one for one in told.split("\n")), (line, word, told)
    assert rows_of(city, vehicle) == before


def test_totals_are_told_by_area_and_by_one_worker(city: Database) -> None:
    report(city, at(0, 3_500), at(50, 3_590), at(0, 3_595, device="t-2", vehicle_speed=0.0))
    totals = partial(write_totals, settings=SETTINGS, clock=lambda: NOW_US)
    assert city.run(partial(totals, holder="a")) == 2
    assert city.run(partial(totals, holder="b")) == 0
    assert [bytes(row["line"]).decode() for row in rows_of(city, measure)] == [
        f"vehicle,area=east,path=:all:city:east: moving=1i,standing=1i,silent=0i {NOW_US}",
        f"vehicle,area=west,path=:all:city:west: moving=0i,standing=0i,silent=1i {NOW_US}",
    ]
    later = partial(write_totals, settings=SETTINGS, clock=lambda: NOW_US + 900 * S_US)
    assert city.run(partial(later, holder="b")) == 2
    assert b"moving=0i,standing=0i,silent=2i" in bytes(rows_of(city, measure)[2]["line"])


def press(database: Database, kind: str = "panic", *, device: str = "t-1", at_s: int = 0) -> None:
    """A terminal's alarm arrives."""
    at_us = NOW_US + at_s * S_US
    event = AlarmEvent(
        "gw-1", device, "alarm", kind, Transition.RAISED, at_us, at_us, kind, Severity.CRITICAL, {"en": kind}
    )
    database.run(lambda connection: apply_events(connection, [Arrival(event, at_us, at_us, late=False)]))


def comments(database: Database) -> list[str]:
    return [row["why"] for row in rows_of(database, change) if row["what"] == "commented"]


def test_a_call_for_help_says_where_the_vehicle_is(city: Database) -> None:
    spot = destination(HOME, 180, 300)
    values = {"area": "east", "name": "School", "kind": "", "address": "人民路1号", "transmission_class": None}
    near = values | {"id": "s1", "latitude_deg": spot.latitude_deg, "longitude_deg": spot.longitude_deg}
    city.run(lambda connection: connection.execute(insert(site).values(near)))
    find = partial(locate, settings=SETTINGS, clock=lambda: NOW_US + 10 * S_US)
    city.run(lambda connection: begin_here(connection, READER))
    press(city, at_s=-5)
    assert city.run(find) == 1
    report(city, at(0, 3_500), at(0, 3_590))
    press(city)
    press(city, "smoke")
    press(city, device="unknown")
    assert city.run(find) == 1
    assert city.run(find) == 0, "its own comments are no news"
    assert comments(city) == [
        "苏E·12345 一号校车: no position yet 尚无位置",
        "苏E·12345 一号校车: 31.300000, 120.600000; 30 km/h; 300 m N 北 of School 人民路1号; 20 s ago 20秒前",
    ]
    press(city, "theft", at_s=300)
    assert city.run(partial(locate, settings=SETTINGS, clock=lambda: NOW_US + 310 * S_US)) == 1
    assert comments(city)[-1].endswith("320 s ago 320秒前; OLD 位置陈旧")


def test_the_nearest_of_many_sites_is_named(city: Database) -> None:
    values = {"area": "east", "kind": "", "address": "", "transmission_class": None}
    far = [(f"a{number:03}", 2_000.0, 0.0) for number in range(300)]
    ways = [*far, ("z-near", 250.0, 90.0), ("z-next", 270.0, 0.0)]
    spots = [(name, destination(HOME, bearing_deg, way_m)) for name, way_m, bearing_deg in ways]
    rows = [
        values | {"id": name, "name": name, "latitude_deg": spot.latitude_deg, "longitude_deg": spot.longitude_deg}
        for name, spot in spots
    ]
    city.run(lambda connection: connection.execute(insert(site), rows))
    city.run(lambda connection: begin_here(connection, READER))
    report(city, at(0, 3_500), at(0, 3_590))
    press(city)
    assert city.run(partial(locate, settings=SETTINGS, clock=lambda: NOW_US)) == 1
    assert "; 250 m W 西 of z-near; " in comments(city)[0]


def is_waiting(database: Database) -> bool:
    """Tell whether a transaction waits for another's lock."""
    words = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return database.read(lambda connection: bool(connection.execute(text(words)).scalar_one()))


def while_waited_for(database: Database, work: Callable[[], object]) -> threading.Thread:
    """Begin what waits for the caller's transaction; returns once it does, or is over."""
    thread = threading.Thread(target=work)
    thread.start()
    eventually(lambda: not thread.is_alive() or is_waiting(database))
    return thread


on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
"""SQLite has one transaction at a time."""


@on_postgresql
def test_an_operator_and_the_comments_lock_alarms_in_the_same_order(city: Database, database_url: URL) -> None:
    city.run(lambda connection: begin_here(connection, READER))
    press(city)
    press(city, "collision")
    ids = sorted(row["alarm_id"] for row in rows_of(city, occurrence))
    begun: list[int] = []

    def find(connection: Connection) -> int:
        begun.append(1)
        return locate(connection, settings=SETTINGS, clock=lambda: NOW_US)

    with Database(database_url) as other:
        with other.transaction() as operator:
            operator.execute(select(occurrence).where(occurrence.c.alarm_id == ids[1]).with_for_update())
            thread = while_waited_for(city, lambda: city.run(find))
            acknowledge(operator, ids[1], actor=ME, now_us=NOW_US)
        thread.join()
    assert (len(begun), len(comments(city))) == (1, 2), "nobody had to begin again"


@on_postgresql
@pytest.mark.parametrize("is_first", [True, False])
def test_a_fence_that_is_taken_away_while_reports_are_judged_leaves_no_alarm(
    city: Database, database_url: URL, *, is_first: bool
) -> None:
    draw(city)
    if not is_first:
        report(city, at(0, 0), at(100, 30))
    outside = at(900, 60), at(950, 90)
    remove = partial(remove_fence, fence_id="yard", actor=ME, desk=SETTINGS.desk, now_us=NOW_US)
    with Database(database_url) as other:
        with other.transaction() as drawer:
            remove(drawer)
            thread = while_waited_for(city, lambda: report(city, *outside))
        thread.join()
    assert alarms(city) == []


@on_postgresql
def test_a_vehicle_that_is_judged_for_the_first_time_is_no_exception(city: Database, database_url: URL) -> None:
    draw(city)
    heard = [Observation(Trade.VEHICLES, "gw-1", NOW_US, (at(900, 60), at(950, 90)))]
    judge = partial(
        worker.judge, settings=SETTINGS, clock=lambda: NOW_US, fences=FenceCache(), zone=ZoneInfo("Asia/Shanghai")
    )
    remove = partial(remove_fence, fence_id="yard", actor=ME, desk=SETTINGS.desk, now_us=NOW_US)
    with Database(database_url) as other:
        with other.transaction() as judging:
            judge(judging, heard)
            thread = while_waited_for(city, lambda: city.run(remove))
        thread.join()
    assert alarms(city) == [("vehicle.bus-1", "yard", False)]


@on_postgresql
def test_of_two_edits_at_once_a_worker_sees_both(city: Database, database_url: URL) -> None:
    for name in ("one", "two"):
        draw(city, msgspec.structs.replace(YARD, id=name), now_us=5)
    fences = FenceCache()
    city.read(fences.read)
    wide = msgspec.structs.replace(YARD, radius_m=2_000.0)
    with Database(database_url) as other:
        with other.transaction() as first:
            draw_fence(first, msgspec.structs.replace(wide, id="one"), actor=ME, desk=SETTINGS.desk, now_us=5)
            thread = while_waited_for(city, lambda: draw(city, msgspec.structs.replace(wide, id="two"), now_us=5))
            city.read(fences.read)
        thread.join()
    found = city.read(fences.read).covering("bus-1", "校车", "city/east/")
    assert [(fence.id, fence.radius_m) for fence in found] == [("one", 2_000.0), ("two", 2_000.0)]


def test_the_clouds_own_alarms_get_no_comment(city: Database) -> None:
    draw(city)
    city.run(lambda connection: begin_here(connection, READER))
    report(city, at(0, 0), at(900, 60), at(900, 70))
    assert len(alarms(city)) == 1
    assert city.run(partial(locate, settings=SETTINGS, clock=lambda: NOW_US)) == 0


@pytest.mark.anyio
async def test_the_loop_judges_what_waits_writes_totals_and_answers_calls(city: Database, database_url: URL) -> None:
    draw(city)
    quick = msgspec.structs.replace(SETTINGS, vehicles=msgspec.structs.replace(SETTINGS.vehicles, totals_every_s=10))
    # Just before a whole ten seconds, so that the totals need not be waited for.
    near_us = NOW_US - NOW_US % (10 * S_US) + 9_900_000

    def put(*samples: Sample) -> None:
        one = Waiting(Trade.VEHICLES, "gw-1", NOW_US, write_samples(samples))
        city.run(lambda connection: queue.put(connection, [one], limit=1_000))

    def all_done() -> bool:
        told = count_of(city, measure) > 0 and len(comments(city)) == 1
        return told and count_of(city, observation) == 0 and len(alarms(city)) == 1

    with Database(database_url) as other:
        async with anyio.create_task_group() as tasks:
            for one in (city, other):
                persistent = PersistentDatabase(one, counters=Counters())
                tasks.start_soon(partial(worker.run_vehicles, persistent, quick, clock=lambda: near_us))
            await anyio.to_thread.run_sync(eventually, lambda: count_of(city, observation) == 0 and _has_cursor(city))
            await anyio.to_thread.run_sync(put, at(0, 0), at(100, 30))
            await anyio.to_thread.run_sync(put, at(900, 60), at(950, 90))
            await anyio.to_thread.run_sync(press, city)
            await anyio.to_thread.run_sync(eventually, all_done)
            tasks.cancel_scope.cancel()
        # While both databases are open: a question that was given up may still be under way.
        assert alarms(city) == [("vehicle.bus-1", "yard", True)]
        assert len(comments(city)) == 1


def _has_cursor(database: Database) -> bool:
    return count_of(database, cursor) == 1


def test_what_stands_of_the_areas_own_move_goes_with_the_vehicle(city: Database) -> None:
    draw(city)
    report(city, at(0, 0), at(900, 60), at(950, 90))
    city.run(lambda connection: connection.execute(update(vehicle).values(area="gone")))
    report(city, at(960, 120))
    assert alarms(city) == [("vehicle.bus-1", "yard", False)]
