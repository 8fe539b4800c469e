"""Patrols as they go: by GPS, alone, and when somebody calls for help."""

from datetime import date
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from cloud.areas.places import Place
from cloud.database import Database
from cloud.database.patrol_tables import patrol_fix, patrol_sync, patrol_tour, patrol_watch
from cloud.database.tables import occurrence
from cloud.desk.changes import GATEWAY
from cloud.desk.core import Arrival
from cloud.desk.store import apply_events
from cloud.geo import Spot, destination
from cloud.patrols.importing import weaknesses
from cloud.patrols.judging import gps_visits
from cloud.patrols.lone import Sign, begin_watch, check_in, end_watch, find_watch
from cloud.patrols.plans import RouteOrder, Stop, Tour
from cloud.patrols.positions import take_positions
from cloud.patrols.staying import Fix, Stay, Zone, points_at, stays
from cloud.patrols.worker import work_once
from cloud.vehicles.positions import Position
from contract.alarms import AlarmEvent, Severity, Transition
from contract.telemetry import Point, Sample
from tests.cloud.patrols_rig import SHEETS, Patrol, at, visit
from tests.cloud.rig import count_of, rows_of

GATE = Spot(31.3, 120.6)
LAB = destination(GATE, 90, 500)
SECOND = 1_000_000
MINUTE = 60 * SECOND


def test_a_circle_is_as_much_larger_as_the_receiver_may_be_off() -> None:
    zones = [Zone("gate", GATE, 20), Zone("lab", LAB, 20)]
    assert points_at(destination(GATE, 10, 19), zones, accuracy_m=0) == ["gate"]
    assert points_at(destination(GATE, 10, 25), zones, accuracy_m=0) == []
    assert points_at(destination(GATE, 10, 25), zones, accuracy_m=10) == ["gate"]


def test_an_outline_too() -> None:
    corners = tuple(destination(GATE, bearing, 50) for bearing in (45, 135, 225, 315))
    zone = Zone("yard", outline=corners)
    assert points_at(destination(GATE, 90, 30), [zone], accuracy_m=0) == ["yard"]
    assert points_at(destination(GATE, 90, 40), [zone], accuracy_m=0) == []
    assert points_at(destination(GATE, 90, 40), [zone], accuracy_m=10) == ["yard"]


@pytest.mark.parametrize(
    ("seconds", "stay_s", "wanted"),
    [([0], 0, [0]), ([0], 30, []), ([0, 20, 40], 30, [0]), ([0, 20], 30, []), ([0, 200], 30, []),
     ([0, 40, 300, 340], 30, [0, 300]), ([], 0, [])],
)  # fmt: skip
def test_a_stay_is_as_long_as_the_point_asks(seconds: list[int], stay_s: int, wanted: list[int]) -> None:
    found = stays([Fix(one * SECOND, "a") for one in seconds], {"a": stay_s}, gap_s=120)
    assert found == [Stay(one * SECOND, "a") for one in wanted]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1000), st.sampled_from("ab")), max_size=12), st.data())
def test_stays_do_not_depend_on_the_order_of_positions(fixes: list[tuple[int, str]], data: st.DataObject) -> None:
    some = [Fix(second * SECOND, point) for second, point in fixes]
    shuffled = data.draw(st.permutations(some + some[:3]))
    assert stays(shuffled, {"a": 30}, gap_s=120) == stays(some, {"a": 30}, gap_s=120)


GPS = SHEETS | {
    "points.csv": "id,area,name,cards,latitude_deg,longitude_deg,radius_m,stay_s\n"
    f"gate,east,东门,C1,{GATE.latitude_deg},{GATE.longitude_deg},30,60\n"
    f"lab,east,实验室,,{LAB.latitude_deg:.7f},{LAB.longitude_deg:.7f},30,0\n",
    "route_points.csv": "route,position,point\nround,1,gate\nround,2,lab\n",
    "wands.csv": "id,area,gateway,device,gps\ncar,east,gate-east,car-1,yes\n",
    "carriers.csv": "wand,person\ncar,wang\n",
}


def drive(patrol: Patrol, *way: tuple[int, Spot]) -> None:
    positions = [Position("gate-east", "car-1", one, spot) for one, spot in way]
    work = partial(take_positions, positions=positions, settings=patrol.settings, now_us=patrol.now_us)
    patrol.database.run(work)
    patrol.work()


def test_a_patrol_by_gps_visits_by_being_there(desk_database: Database) -> None:
    patrol = Patrol(desk_database, GPS)
    patrol.to("22:20")
    begun = at("22:10")
    drive(patrol, (begun, GATE), (begun + 30 * SECOND, GATE))
    assert patrol.verdicts() == ["open", "open"], "not long enough"
    drive(patrol, (begun + 90 * SECOND, GATE), (begun + 5 * MINUTE, destination(GATE, 90, 250)))
    assert patrol.verdicts() == ["on-time", "open"]
    patrol.to("22:40")
    drive(patrol, (at("22:30"), LAB))
    assert (patrol.verdicts(), patrol.row()["state"]) == (["on-time", "on-time"], "done")
    assert count_of(desk_database, patrol_fix) == 4, "what lies outside all points is not kept"
    patrol.to("24 08:00")
    assert patrol.told() == []


def test_positions_are_late_and_out_of_order_to_no_harm(desk_database: Database) -> None:
    patrol = Patrol(desk_database, GPS)
    patrol.to("24 02:00")
    assert patrol.verdicts() == ["pending", "pending"], "it may be out of reach"
    drive(patrol, (at("24 01:50"), destination(GATE, 0, 5_000)))
    assert patrol.told() == [("patrol-missed", "medium", True)]
    drive(patrol, (at("22:30"), LAB), (at("22:30"), LAB))
    drive(patrol, (at("22:12"), GATE), (at("22:11"), GATE))
    assert patrol.verdicts() == ["on-time", "on-time"]
    assert patrol.told() == [("patrol-missed", "medium", False)]


ROUNDS = GPS | {"plans.csv": "id,route,starts,duration_min,people\nnight,round,22:00 23:00,60,wang\n"}
SECOND_ROUND = "night.20261123T2300"


def test_a_position_belongs_to_one_of_two_rounds(desk_database: Database) -> None:
    patrol = Patrol(desk_database, ROUNDS)
    patrol.to("23:20")
    drive(
        patrol, (at("22:05"), GATE), (at("22:07"), GATE), (at("23:10"), LAB), (at("23:15"), GATE), (at("23:17"), GATE)
    )
    patrol.to("24 01:30")
    drive(patrol, (patrol.now_us, destination(GATE, 0, 5_000)))
    assert patrol.verdicts() == ["on-time", "missed"], "the lab of eleven is not that of ten"
    assert patrol.verdicts(SECOND_ROUND) == ["on-time", "wrong-order"]
    assert patrol.told() == [("patrol-missed", "medium", True)]


def test_what_is_judged_together_changes_no_visit_by_gps() -> None:
    begins = (at("22:00"), at("23:00"))
    rounds = [
        Tour(f"r{one}", "p", "round", RouteOrder.FREE, date(2026, 11, 23), one, one + 60 * MINUTE, one - 30 * MINUTE,
             one + 120 * MINUTE, (Stop(0, "a", one, one + 60 * MINUTE),), wands=("w",))
        for one in begins
    ]  # fmt: skip
    fixes = [("w", Fix(at("22:50") + minute * MINUTE, "a")) for minute in range(20)]
    found = gps_visits(fixes, rounds, {"a": 60}, 120)
    assert {tour: [visit.at_us for visit in some] for tour, some in found.items()} == {
        f"r{begins[0]}": [at("22:50")], f"r{begins[1]}": [at("23:00")]}  # fmt: skip
    assert gps_visits(fixes[::-1], rounds[::-1], {"a": 60}, 120) == found


def test_a_receiver_that_no_plan_names_is_told(desk_database: Database) -> None:
    patrol = Patrol(desk_database, GPS | {"plans.csv": "id,route,starts,duration_min\nnight,round,22:00,120\n"})
    told = [what for what, why, _values in patrol.database.read(weaknesses) if "positions" in why]
    assert told == ["wand car"]
    patrol.bring({"plans.csv": "id,route,starts,duration_min,people\nnight,round,22:00,120,wang\n"})
    assert [what for what, why, _values in patrol.database.read(weaknesses) if "positions" in why] == []


def test_where_nobody_goes_by_gps_positions_are_nothing(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    drive(patrol, (at("22:10"), GATE))
    assert count_of(desk_database, patrol_fix) == 0


def begin(patrol: Patrol, *, wand: str | None = "w1") -> str:
    make = partial(
        begin_watch, person="wang", wand=wand, tour=None, place=Place(None, "east", "city/east/"), interval_s=600,
        by="li", now_us=patrol.now_us,
    )  # fmt: skip
    return patrol.database.run(make)


def wait(patrol: Patrol, minutes: float) -> str:
    patrol.now_us += round(minutes * MINUTE)
    patrol.work()
    return str(rows_of(patrol.database, patrol_watch)[-1]["state"])


def test_no_sign_of_life_is_first_a_warning_then_an_alarm(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    watch = begin(patrol)
    assert wait(patrol, 9.9) == "walking"
    assert wait(patrol, 0.2) == "overdue"
    assert patrol.told() == []
    assert wait(patrol, 1) == "alarm"
    assert patrol.told() == [("lone-worker", "high", True)]
    (alarm,) = patrol.alarms()
    assert "王芳" in alarm["text"]["zh"]
    assert (alarm["area_path"], len(patrol.comments())) == ("city/east/", 1)
    assert "12:10" in patrol.comments()[0]
    patrol.hear([visit("C1", patrol.now_us)])
    assert rows_of(desk_database, patrol_watch)[0]["state"] == "walking"
    assert patrol.told() == [("lone-worker", "high", False)]
    assert wait(patrol, 9) == "walking"

    def ended(connection: object) -> None:
        row = find_watch(connection, watch, locked=True)  # type: ignore[arg-type]
        assert row is not None
        end_watch(connection, row, by="li", settings=patrol.settings, now_us=patrol.now_us)  # type: ignore[arg-type]

    desk_database.run(ended)
    assert wait(patrol, 600) == "ended"
    assert len(patrol.told()) == 1


def test_a_sign_that_comes_late_counts_as_of_when_it_was_given(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    begin(patrol)
    patrol.now_us += 12 * MINUTE
    patrol.work()
    assert patrol.told() == [("lone-worker", "high", True)]
    patrol.hear([visit("C1", patrol.now_us - 11 * MINUTE)])
    assert patrol.told() == [("lone-worker", "high", True)], "that is too long ago"
    patrol.hear([visit("C1", patrol.now_us - 9 * MINUTE)])
    assert patrol.told() == [("lone-worker", "high", False)]
    assert wait(patrol, 2.1) == "alarm"


def test_movement_is_a_sign_of_life_and_standing_still_is_none(desk_database: Database) -> None:
    patrol = Patrol(desk_database, GPS)
    begin(patrol, wand="car")
    signs = []
    for minutes, spot in ((1, GATE), (4, destination(GATE, 0, 10)), (2, LAB), (2, LAB)):
        patrol.now_us += minutes * MINUTE
        drive(patrol, (patrol.now_us, spot))
        signs.append(rows_of(desk_database, patrol_watch)[0]["sign"])
    assert signs == ["begin", "begin", "moved", "moved"]


def test_a_sign_from_the_future_is_none(desk_database: Database) -> None:
    patrol = Patrol(desk_database, GPS)
    begin(patrol, wand="car")
    drive(patrol, (patrol.now_us + MINUTE, GATE), (patrol.now_us + 10**13, LAB))
    patrol.hear([Sample("car-1", patrol.now_us, (Point("card", "C1"), Point("visited_at", "2027-03-01T00:00:00Z")))])
    patrol.hear([Sample("car-1", patrol.now_us + 10**13, (Point("machine", ""), Point("records", 0.0)))])
    (row,) = rows_of(desk_database, patrol_watch)
    assert (row["sign"], row["due_us"]) == ("begin", patrol.now_us + 10 * MINUTE)
    assert rows_of(desk_database, patrol_sync)[0]["synced_at_us"] == patrol.now_us, "a minute ahead is now"
    patrol.now_us += 12 * MINUTE
    patrol.work()
    assert patrol.told() == [("lone-worker", "high", True)]


def test_late_positions_are_no_movement(desk_database: Database) -> None:
    patrol = Patrol(desk_database, GPS)
    begin(patrol, wand="car")
    start = patrol.now_us
    patrol.now_us += 8 * MINUTE
    for minute, spot in ((5, LAB), (2, GATE), (6, LAB), (3, GATE), (7, LAB), (-5, GATE)):
        drive(patrol, (start + minute * MINUTE, spot))
    (row,) = rows_of(desk_database, patrol_watch)
    assert (row["sign"], row["sign_at_us"]) == ("begin", start), "nobody has left the laboratory"


def test_a_plan_has_its_walker_watched_from_the_first_point_to_the_last(desk_database: Database) -> None:
    plans = "id,route,starts,duration_min,people,lone_min\nnight,round,22:00,120,wang,15\n"
    patrol = Patrol(desk_database, SHEETS | {"plans.csv": plans})
    patrol.to("22:06")
    patrol.upload(("C1", "22:05"), docked=False)
    (watch,) = rows_of(desk_database, patrol_watch)
    assert (watch["person"], watch["state"], watch["due_us"]) == ("wang", "walking", at("22:20"))
    patrol.to("22:15")
    patrol.upload(("C2", "22:14"), ("C3", "22:15"), docked=False)
    assert rows_of(desk_database, patrol_watch)[0]["ended_by"] == "last point"
    assert patrol.told() == []


def test_visits_by_gps_begin_and_feed_a_watch(desk_database: Database) -> None:
    plans = "id,route,starts,duration_min,people,lone_min\nnight,round,22:00,120,wang,15\n"
    patrol = Patrol(desk_database, GPS | {"plans.csv": plans})
    patrol.to("22:06")
    drive(patrol, (at("22:04"), GATE), (at("22:06"), GATE))
    (watch,) = rows_of(desk_database, patrol_watch)
    assert (watch["person"], watch["wand"], watch["due_us"]) == ("wang", "car", at("22:19"))
    patrol.to("22:12")
    drive(patrol, (at("22:12"), LAB))
    (watch,) = rows_of(desk_database, patrol_watch)
    assert (watch["ended_by"], watch["sign"]) == ("last point", "lab")


def test_what_is_read_out_hours_later_begins_no_watch(desk_database: Database) -> None:
    plans = "id,route,starts,duration_min,people,lone_min\nnight,round,22:00,120,wang,15\n"
    patrol = Patrol(desk_database, SHEETS | {"plans.csv": plans})
    patrol.to("24 06:00")
    patrol.upload(("C1", "22:05"))
    assert count_of(desk_database, patrol_watch) == 0


def call(patrol: Patrol, kind: str, *, device: str = "wand-1") -> None:
    event = AlarmEvent("gate-east", device, "button", "pressed", Transition.RAISED, patrol.now_us, patrol.now_us, kind,
                       Severity.CRITICAL)  # fmt: skip
    arrival = Arrival(event, patrol.now_us, patrol.now_us, late=False)
    patrol.database.run(lambda connection: apply_events(connection, [arrival], actor=GATEWAY))
    patrol.work()


@pytest.mark.parametrize("kind", ["panic", "man-down"])
def test_a_call_for_help_is_told_with_tour_person_and_last_point(desk_database: Database, kind: str) -> None:
    patrol = Patrol(desk_database)
    patrol.to("22:40")
    patrol.upload(("C1", "22:05"), ("C2", "22:31"), docked=False)
    call(patrol, kind)
    (words,) = patrol.comments()
    assert "night.20261123T2200" in words
    assert "王芳" in words
    assert "实验室 22:31" in words
    patrol.work()
    assert len(patrol.comments()) == 1, "once"


def test_a_call_for_help_of_a_receiver_is_told_with_its_last_point(desk_database: Database) -> None:
    patrol = Patrol(desk_database, GPS)
    patrol.to("22:32")
    drive(patrol, (at("22:05"), GATE), (at("22:31"), LAB))
    call(patrol, "panic", device="car-1")
    (words,) = patrol.comments()
    assert "实验室 22:31" in words
    assert "王芳" in words


def test_people_alone_do_not_wait_for_tours_to_be_judged(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    begin(patrol)
    patrol.now_us = at("24 01:30")
    patrol.database.run(partial(work_once, settings=patrol.settings, now_us=patrol.now_us))
    assert patrol.told() == [("lone-worker", "high", True)]


def test_other_alarms_and_other_devices_are_let_be(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.to("22:40")
    call(patrol, "tamper")
    call(patrol, "panic", device="button-0")
    assert patrol.comments() == []
    assert len(desk_database.read(lambda connection: connection.execute(select(occurrence)).all())) == 2


def test_a_press_that_means_all_is_well_is_a_sign_of_life(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    begin(patrol)
    patrol.now_us += 5 * MINUTE
    call(patrol, "check-in")
    assert rows_of(desk_database, patrol_watch)[0]["sign_at_us"] == patrol.now_us


def test_an_older_sign_takes_nothing_back(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    watch = begin(patrol)

    def sign(connection: object, at_us: int) -> None:
        row = find_watch(connection, watch, locked=True)  # type: ignore[arg-type]
        assert row is not None
        check_in(connection, row, Sign(at_us, "x"), settings=patrol.settings, now_us=patrol.now_us)  # type: ignore[arg-type]

    patrol.now_us += 5 * MINUTE
    for back in (0, 3):
        desk_database.run(partial(sign, at_us=patrol.now_us - back * MINUTE))
    assert rows_of(desk_database, patrol_watch)[0]["sign_at_us"] == patrol.now_us
    assert len(rows_of(desk_database, patrol_tour)) == 2
