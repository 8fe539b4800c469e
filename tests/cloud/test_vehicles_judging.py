"""What reports of a vehicle say of what it must not do, in any order."""

import random
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.errors import GeoError
from cloud.feed.queue import Observation
from cloud.feed.sorting import Trade
from cloud.geo import Spot, destination
from cloud.vehicles.alarms import clear_event, device_of, raise_event
from cloud.vehicles.errors import BadFenceError
from cloud.vehicles.fences import Fence, Fences, Rule, Side, check_fence, fence_of, row_of
from cloud.vehicles.hours import Hours
from cloud.vehicles.judging import (
    WINDOW,
    Check,
    Crossing,
    FenceCheck,
    HoursCheck,
    Report,
    State,
    TowCheck,
    ended,
    take,
)
from cloud.vehicles.positions import Position, read_position, read_positions
from cloud.vehicles.settings import Vehicles
from contract.ids import is_id
from contract.telemetry import Point, Sample, Value
from tests.cloud.rig import T0_US

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
SETTINGS = Vehicles()
HOME = Spot(31.3, 120.6)
YARD = Fence("yard", "车场 yard", "east", Rule.STAY, center=HOME, radius_m=500.0, edited_at_us=1)
ROW = {"id": "bus-1", "plate": "苏E·12345", "name": "一号校车"}
S_US = 1_000_000


def at(way_m: float, at_s: float, *, speed: float | None = 30.0, ignition: bool | None = True) -> Report:
    """A report so far to the east of the yard's middle."""
    spot = destination(HOME, 90, way_m)
    return Report(T0_US + round(at_s * S_US), spot.latitude_deg, spot.longitude_deg, speed, 90.0, ignition)


def run(reports: list[Report], *checks: Check, fastest_kmh: float = 250.0) -> tuple[State, list[Crossing]]:
    """Take them one by one, in the order given."""
    state, crossings = State(), []
    for report in reports:
        state, news = take(state, [report], checks, fastest_kmh=fastest_kmh)
        crossings += news
    return state, crossings


def told(crossings: list[Crossing]) -> list[tuple[bool, float]]:
    return [(one.is_raise, (one.report.at_us - T0_US) / S_US) for one in crossings]


def sample(**points: Value) -> Sample:
    return Sample("bus-1", T0_US, tuple(Point(key, value) for key, value in points.items()))


def test_a_sample_becomes_a_position() -> None:
    whole = sample(latitude=31.0, longitude=121.0, vehicle_speed=42.0, course=361.0, fix=True, acc=False)
    assert read_position("g1", whole) == Position(
        "g1", "bus-1", T0_US, Spot(31.0, 121.0), 42.0, 1.0, is_fixed=True, ignition=False
    )
    assert read_position("g1", sample(latitude=31.0, longitude=121.0)) == Position(
        "g1", "bus-1", T0_US, Spot(31.0, 121.0)
    )
    unfixed = read_position("g1", sample(latitude=31.0, longitude=121.0, fix=0.0, acc=1.0, vehicle_speed=-1.0))
    assert unfixed is not None
    assert (unfixed.is_fixed, unfixed.ignition, unfixed.speed_kmh) == (False, True, None)


@pytest.mark.parametrize(
    "bad",
    [
        {"latitude": 0.0, "longitude": 0.0},
        {"latitude": 91.0, "longitude": 0.5},
        {"latitude": 1.0, "longitude": 180.5},
        {"latitude": float("nan"), "longitude": 1.0},
        {"latitude": "31", "longitude": 1.0},
        {"latitude": True, "longitude": 1.0},
        {"latitude": 31.0},
    ],
)
def test_what_is_no_place_on_the_earth_is_no_position(bad: dict[str, Value]) -> None:
    one = Sample("v", T0_US, tuple(Point(key, value) for key, value in bad.items()))
    assert read_positions([Observation(Trade.VEHICLES, "g", T0_US, (one,))]) == []


def test_leaving_is_an_alarm_once_and_ends_with_the_return() -> None:
    way = [(0, 0), (400, 30), (520, 60), (560, 90), (900, 120), (1_500, 150), (560, 180), (490, 210), (900, 240)]
    state, crossings = run([at(*one) for one in way], FenceCheck(YARD, SHANGHAI))
    # 520 m is on the edge; 560 m is beyond the margin of 50 m; on the way back the edge ends nothing.
    assert told(crossings) == [(True, 90), (False, 210), (True, 240)]
    assert len({one.raised_at_us for one in crossings}) == 2
    assert state.found[YARD.key].raised_at_us == T0_US + 240 * S_US


def test_entering_is_an_alarm_where_it_must_not_go() -> None:
    ban = msgspec.structs.replace(YARD, rule=Rule.AVOID)
    way = [(900, 0), (560, 30), (520, 60), (480, 90), (520, 120), (560, 150)]
    assert told(run([at(*one) for one in way], FenceCheck(ban, SHANGHAI))[1]) == [(True, 90), (False, 150)]


def test_a_jump_is_believed_by_nobody_and_two_that_agree_are() -> None:
    check = FenceCheck(YARD, SHANGHAI)
    jump = [at(0, 0), at(10, 30), at(80_000, 60), at(20, 90), at(30, 120)]
    state, crossings = run(jump, check)
    assert crossings == []
    assert [one.is_believed for one in state.reports] == [True, True, False, True, True]
    assert told(run([at(0, 0), at(10, 30), at(80_000, 60), at(80_100, 90)], check)[1]) == [(True, 60)]
    assert told(run([at(80_000, 0), at(10, 30), at(20, 60)], check)[1]) == []
    assert run([at(900, 0)], check)[1] == [], "nothing agrees with it yet"


def test_a_late_report_raises_nothing_that_a_newer_one_has_undone() -> None:
    check = FenceCheck(YARD, SHANGHAI)
    late = [at(0, 0), at(10, 30), at(10, 300), at(900, 100), at(950, 130)]
    assert run(late, check)[1] == []
    # In time it is news, and so is that it came back.
    assert told(run(sorted(late, key=lambda one: one.at_us), check)[1]) == [(True, 100), (False, 300)]
    # Kept by the terminal and sent at once, the excursion is told too, with its own times.
    state, crossings = take(State(), late, [check], fastest_kmh=250)
    assert told(crossings) == [(True, 100), (False, 300)]
    assert state.found[check.key].raised_at_us is None


def test_twice_is_once_and_what_is_older_than_all_that_is_known_changes_nothing() -> None:
    check = FenceCheck(YARD, SHANGHAI)
    state, _ = run([at(10 * number, 30 * number) for number in range(1, WINDOW + 5)], check)
    assert len(state.reports) == WINDOW
    same, crossings = take(state, [state.reports[5], at(9_000, 1)], [check], fastest_kmh=250)
    assert same is state
    assert crossings == []


def test_hours_end_an_alarm_and_begin_it() -> None:
    night = msgspec.structs.replace(YARD, hours=Hours(begins="22:00", ends="06:00"))
    check = FenceCheck(night, SHANGHAI)
    day = datetime(2026, 11, 23, 21, 59, tzinfo=SHANGHAI).timestamp() - T0_US / 1e6
    way = [(2_000, 0), (2_000, 50), (2_000, 61), (2_000, 8 * 3_600), (2_000, 8 * 3_600 + 61), (2_000, 8 * 3_600 + 90)]
    found = run([at(way_m, day + at_s) for way_m, at_s in way], check)[1]
    assert [one.is_raise for one in found] == [True, False]
    assert [round(at_s - day) for _is, at_s in told(found)] == [61, 8 * 3_600 + 61]


@pytest.mark.parametrize(
    ("moment", "hold"),
    [
        # On 29 March 2026 the clock goes from 02:00 to 03:00; 02:30 does not exist and lies at 03:30.
        ("2026-03-29T00:59+00:00", False),
        ("2026-03-29T01:29+00:00", False),
        ("2026-03-29T01:30+00:00", True),
        # On 25 October 02:30 comes twice; the first is meant.
        ("2026-10-25T00:29+00:00", False),
        ("2026-10-25T00:30+00:00", True),
        ("2026-10-25T01:30+00:00", True),
        ("2026-10-25T04:59+00:00", True),
        ("2026-10-25T05:00+00:00", False),
        # Of a Saturday nobody said anything.
        ("2026-10-24T01:30+00:00", False),
    ],
)
def test_hours_when_the_clocks_change(moment: str, hold: bool) -> None:  # noqa: FBT001
    hours = Hours("sun", "02:30", "06:00")
    at_us = round(datetime.fromisoformat(moment).astimezone(UTC).timestamp() * 1e6)
    assert hours.hold(at_us, BERLIN) is hold
    assert Hours().hold(at_us, BERLIN)


def test_towing_is_an_alarm_once_and_a_red_light_does_not_end_it() -> None:
    check = TowCheck(SETTINGS)

    def tow(at_s: float, speed: float, *, ignition: bool = False) -> Report:
        return at(at_s, at_s, speed=speed, ignition=ignition)

    parked = [tow(0, 0), tow(30, 2), tow(60, 5)]
    away = [tow(90, 30), tow(120, 0), tow(150, 35), tow(180, 0), tow(440, 0)]
    assert told(run([*parked, *away], check)[1]) == [(True, 90)]
    assert told(run([*parked, *away, tow(451, 0)], check)[1]) == [(True, 90), (False, 451)]
    assert told(run([*parked, tow(90, 30, ignition=True)], check)[1]) == []
    assert run([at(0, 0, ignition=None), at(9, 9, ignition=None), at(300, 30, ignition=None)], check)[1] == []
    assert run([*parked, at(120, 90, speed=None, ignition=False)], check)[1] == []


def test_moving_outside_its_hours() -> None:
    check = HoursCheck(Hours("mon tue wed thu fri", "06:00", "20:00"), SHANGHAI, SETTINGS)
    evening = datetime(2026, 11, 23, 19, 59, 30, tzinfo=SHANGHAI).timestamp() - T0_US / 1e6
    way = [at(30 * n, evening + 30 * n, speed=30.0 if n != 4 else 0.0) for n in range(6)]
    found = run(way, check)[1]
    assert [(one.is_raise, one.report) for one in found] == [(True, msgspec.structs.replace(way[1], is_believed=True))]
    morning = at(0, evening + 10.02 * 3_600)
    assert [one.is_raise for one in run([*way, morning], check)[1]] == [True, False]


CHECKS: list[Check] = [
    FenceCheck(YARD, SHANGHAI),
    FenceCheck(msgspec.structs.replace(YARD, id="ban", rule=Rule.AVOID, radius_m=200.0), SHANGHAI),
    TowCheck(SETTINGS),
]
moves = st.tuples(
    st.sampled_from([0.0, 150.0, 230.0, 490.0, 530.0, 600.0, 900.0, 50_000.0]),
    st.sampled_from([0.0, 2.0, 5.0, 40.0]),
    st.sampled_from([True, False, None]),
    # Some terminals have no more than seconds, and say two things of one.
    st.sampled_from([0, 0, 10, 30, 90, 200]),
)


def reports_of(steps: list[tuple[float, float, bool | None, int]]) -> list[Report]:
    found, at_s = [], 0
    for way_m, speed, ignition, wait_s in steps:
        at_s += wait_s
        found.append(at(way_m, at_s, speed=speed, ignition=ignition))
    return found


def standing(state: State) -> set[str]:
    return {key for key, one in state.found.items() if one.raised_at_us is not None}


@settings(max_examples=120, deadline=None)
@given(st.lists(moves, min_size=1, max_size=WINDOW), st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_order_ends_in_the_same_standing_alarms(
    steps: list[tuple[float, float, bool | None, int]], luck: random.Random, at_once: int
) -> None:
    reports = reports_of(steps)
    in_order, _ = run(reports, *CHECKS)
    mixed = reports + luck.sample(reports, len(reports) // 2)
    luck.shuffle(mixed)
    state, open_now = State(), {}
    for start in range(0, len(mixed), at_once):
        state, crossings = take(state, mixed[start : start + at_once], CHECKS, fastest_kmh=250.0)
        for one in crossings:
            if one.is_raise:
                assert one.key not in open_now, "once a crossing"
                open_now[one.key] = one.raised_at_us
            else:
                assert open_now.pop(one.key) == one.raised_at_us
                assert one.report.at_us >= one.raised_at_us
    assert standing(state) == standing(in_order) == set(open_now)
    assert state.reports == in_order.reports


@settings(max_examples=30, deadline=None)
@given(st.lists(moves, min_size=20, max_size=50), st.randoms(use_true_random=False))
def test_so_does_a_long_way_when_no_report_is_overtaken_by_many(
    steps: list[tuple[float, float, bool | None, int]], luck: random.Random
) -> None:
    reports = reports_of(steps)
    places = sorted(
        range(len(reports)), key=[i + luck.uniform(0, WINDOW // 2 - 1) for i in range(len(reports))].__getitem__
    )
    mixed = [reports[i] for i in places]
    assert standing(run(mixed, *CHECKS)[0]) == standing(run(reports, *CHECKS)[0])


def test_of_two_different_reports_of_one_second_both_count_whichever_came_first() -> None:
    check = FenceCheck(YARD, SHANGHAI)
    first, second = at(495, 60), at(560, 60)
    states = [run([at(450, 30), *some], check)[0] for some in ([first, second], [second, first], [second, first] * 2)]
    assert states[0] == states[1] == states[2]
    assert len(states[0].reports) == 3
    assert standing(states[0]) == {YARD.key}


def test_what_stands_of_a_fence_that_is_no_more_is_named() -> None:
    state, _ = run([at(0, 0), at(900, 60), at(950, 90)], *CHECKS)
    assert ended(state, [check.key for check in CHECKS]) == []
    assert ended(state, ["fence/yard/2"]) == [(YARD.key, T0_US + 60 * S_US)]
    again, crossings = take(state, [at(960, 120)], CHECKS[1:], fastest_kmh=250)
    assert YARD.key not in again.found
    assert crossings == []


def test_a_state_is_read_as_it_was_written() -> None:
    state, _ = run([at(0, 0), at(900, 60), at(950, 90)], *CHECKS)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State) == state


OUTLINE = (Spot(31.29, 120.59), Spot(31.29, 120.61), Spot(31.31, 120.61), Spot(31.31, 120.59))


def test_sides_of_an_outline() -> None:
    fence = Fence("f", "", "east", Rule.STAY, outline=OUTLINE, margin_m=50.0)
    assert fence.side(HOME) is Side.IN
    for direction in (0, 90, 180, 270):
        line = {0: Spot(31.31, 120.6), 90: Spot(31.3, 120.61), 180: Spot(31.29, 120.6), 270: Spot(31.3, 120.59)}
        assert fence.side(destination(line[direction], direction, 40)) is Side.EDGE
        assert fence.side(destination(line[direction], direction, 60)) is Side.OUT
    over = Fence("f", "", "x", Rule.STAY, outline=(Spot(0, 179.9), Spot(0, -179.9), Spot(0.2, -179.9)), margin_m=50)
    assert over.side(Spot(0.05, 180)) is Side.IN
    assert over.side(Spot(0.05, -179.8999)) is Side.EDGE
    assert over.side(Spot(0.05, 179.8)) is Side.OUT


def test_whom_a_fence_concerns() -> None:
    everyone = Fence("a", "", "east", Rule.STAY, center=HOME, radius_m=5)
    mine = msgspec.structs.replace(everyone, id="b", vehicle="bus-1")
    buses = msgspec.structs.replace(everyone, id="c", fleet="校车")
    fences = Fences([everyone, mine, buses])

    def ids(vehicle: str, fleet: str, path: str) -> str:
        return "".join(sorted(fence.id for fence in fences.covering(vehicle, fleet, path)))

    assert ids("bus-1", "校车", "city/east/") == "abc"
    assert ids("bus-1", "", "city/east/town/") == "ab"
    assert ids("bus-2", "校车", "city/east/") == "ac"
    assert ids("bus-1", "校车", "city/west/") == ids("bus-1", "校车", "") == ids("bus-1", "", "city/eastern/") == ""


@pytest.mark.parametrize(
    "change",
    [
        {"center": None},
        {"outline": OUTLINE},
        {"radius_m": 0.0},
        {"center": Spot(91, 0)},
        {"margin_m": 1.0},
        {"margin_m": float("nan")},
        {"radius_m": float("nan")},
        {"vehicle": "a", "fleet": "b"},
        {"hours": Hours(begins="06:00")},
        {"center": None, "outline": OUTLINE[:2]},
    ],
)
def test_a_fence_that_holds_nothing_is_refused(change: dict[str, Any]) -> None:
    check_fence(YARD)
    with pytest.raises((BadFenceError, GeoError)):
        check_fence(msgspec.structs.replace(YARD, **change))


def test_a_fence_is_read_as_it_was_written() -> None:
    for fence in (YARD, msgspec.structs.replace(YARD, center=None, radius_m=0.0, outline=OUTLINE, vehicle="bus-1")):
        assert fence_of(row_of(fence)) == fence


def test_what_an_alarm_says() -> None:
    _, (crossing,) = run([at(0, 0), at(900, 60)], FenceCheck(YARD, SHANGHAI))
    event = raise_event(ROW, crossing, YARD)
    assert event.source == "cloud/vehicle.bus-1/fence/yard"
    assert event.text == {"en": "苏E·12345 一号校车 has left 车场 yard", "zh": "苏E·12345 一号校车已驶出车场 yard"}
    assert (event.kind, event.raised_at_us, event.value) == ("area", T0_US + 60 * S_US, "31.300000,120.609473")
    over = clear_event(ROW, crossing.key, raised_at_us=crossing.raised_at_us, at_us=0)
    assert (over.alarm_id, over.at_us) == (event.alarm_id, event.raised_at_us)
    assert is_id(device_of("x" * 64))
    assert device_of("x" * 64) != device_of("x" * 63 + "y")
