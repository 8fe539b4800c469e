"""From plans to tours: the wall clock, midnight, and the nights in which the clock is changed."""

from datetime import UTC, date, datetime, time
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.patrols.plans import (
    Carrier,
    Catch,
    Plan,
    Route,
    RouteOrder,
    RoutePoint,
    carried_by,
    moment_us,
    overlaps,
    tours_of,
    wands_of,
)

BERLIN, NEW_YORK, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Shanghai")
DAILY = frozenset({"mon", "tue", "wed", "thu", "fri", "sat", "sun"})
MINUTE_US = 60_000_000
CATCH = Catch(early_s=0, late_s=0)
ROUTE = Route(
    "round", RouteOrder.TIMED, (RoutePoint("a", minutes_to_next=30), RoutePoint("b")), early_min=5, late_min=10
)


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000


def utc(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%m-%d %H:%M")


def begins(plan: Plan, zone: ZoneInfo, from_: str, until: str) -> list[tuple[str, str, str]]:
    tours = tours_of(plan, ROUTE, from_us=us(from_), until_us=us(until), zone=zone, catch=CATCH)
    return [(one.id, utc(one.begins_us), utc(one.ends_us)) for one in tours]


def plan(*starts: str, minutes: int = 60, **more: object) -> Plan:
    times = tuple(time.fromisoformat(one) for one in starts)
    return Plan("p", "round", more.pop("weekdays", DAILY), times, minutes, **more)  # type: ignore[arg-type]


def test_a_tour_goes_on_over_midnight_and_belongs_to_the_day_on_which_it_begins() -> None:
    night = plan("22:00", minutes=480, weekdays=frozenset({"fri"}))
    assert begins(night, SHANGHAI, "2026-11-20T00:00+08:00", "2026-11-28T00:00+08:00") == [
        ("p.20261120T2200", "11-20 14:00", "11-20 22:00"),
        ("p.20261127T2200", "11-27 14:00", "11-27 22:00"),
    ]


def test_first_and_last_day_are_days_on_which_tours_begin() -> None:
    some = plan("23:30", first_day=date(2026, 11, 21), last_day=date(2026, 11, 22))
    assert [one[0] for one in begins(some, SHANGHAI, "2026-11-01T00:00+08:00", "2026-12-01T00:00+08:00")] == [
        "p.20261121T2330",
        "p.20261122T2330",
    ]


@pytest.mark.parametrize(
    ("zone", "spring", "starts", "wanted"),
    [
        # 02:00 to 03:00 is not there: 02:30 is 03:30 of the new time, once though 03:30 is a start too.
        (BERLIN, "2026-03-29", ("02:30",), [("03-29 01:30", "03-29 02:30")]),
        (BERLIN, "2026-03-29", ("02:30", "03:30"), [("03-29 01:30", "03-29 02:30")]),
        (BERLIN, "2026-03-29", ("01:30", "02:30"), [("03-29 00:30", "03-29 01:30"), ("03-29 01:30", "03-29 02:30")]),
        (NEW_YORK, "2026-03-08", ("02:30",), [("03-08 07:30", "03-08 08:30")]),
    ],
)
def test_a_start_in_the_gap_is_as_long_after_the_change_as_after_the_hour_before(
    zone: ZoneInfo, spring: str, starts: tuple[str, ...], wanted: list[tuple[str, str]]
) -> None:
    day = date.fromisoformat(spring)
    only = plan(*starts, first_day=day, last_day=day)
    found = begins(only, zone, f"{spring}T00:00+00:00", f"{spring}T23:00+00:00")
    assert [one[1:] for one in found] == wanted


def test_of_two_starts_that_are_one_moment_the_one_the_clock_shows_names_the_tour() -> None:
    day = date(2026, 3, 29)
    only = plan("02:30", "03:30", first_day=day, last_day=day)
    assert [one[0] for one in begins(only, BERLIN, "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00")] == [
        "p.20260329T0330"
    ]


@pytest.mark.parametrize(
    ("zone", "autumn", "start", "wanted"),
    [
        (BERLIN, "2026-10-25", "02:30", ("10-25 00:30", "10-25 01:30")),
        (NEW_YORK, "2026-11-01", "01:30", ("11-01 05:30", "11-01 06:30")),
    ],
)
def test_of_two_equal_times_the_first_is_meant(
    zone: ZoneInfo, autumn: str, start: str, wanted: tuple[str, str]
) -> None:
    day = date.fromisoformat(autumn)
    found = begins(plan(start, first_day=day, last_day=day), zone, f"{autumn}T00:00+00:00", f"{autumn}T23:00+00:00")
    assert [one[1:] for one in found] == [wanted]


def test_eight_hours_are_eight_hours_in_the_nights_of_the_change() -> None:
    night = plan("22:00", minutes=480)
    spring = begins(night, BERLIN, "2026-03-28T20:00+01:00", "2026-03-28T23:00+01:00")
    autumn = begins(night, BERLIN, "2026-10-24T20:00+02:00", "2026-10-24T23:00+02:00")
    # 06:00 by the clock before the change is 07:00 and 05:00 after it.
    assert spring == [("p.20260328T2200", "03-28 21:00", "03-29 05:00")]
    assert autumn == [("p.20261024T2200", "10-24 20:00", "10-25 04:00")]


def test_windows_of_a_timed_route_follow_the_minutes_between_its_points() -> None:
    route = Route(
        "r", RouteOrder.TIMED, (RoutePoint("a", minutes_to_next=20, must=True), RoutePoint("b", late_min=0)), 5, 10
    )
    (tour,) = tours_of(plan("08:00"), route, from_us=us("2026-11-23T00:00Z"), until_us=us("2026-11-23T23:00Z"),
                       zone=ZoneInfo("UTC"), catch=Catch(1800, 3600))  # fmt: skip
    told = [((one.from_us - tour.begins_us) // MINUTE_US, (one.until_us - tour.begins_us) // MINUTE_US, one.must)
            for one in tour.stops]  # fmt: skip
    assert told == [(-5, 10, True), (15, 20, False)]
    assert tour.catch_from_us == tour.begins_us - 30 * MINUTE_US
    assert tour.catch_until_us == tour.ends_us + 60 * MINUTE_US + 1


def test_windows_of_the_other_routes_are_the_whole_period() -> None:
    route = Route("r", RouteOrder.FREE, (RoutePoint("a"), RoutePoint("b", early_min=3)), late_min=2)
    (tour,) = tours_of(plan("08:00"), route, from_us=us("2026-11-23T00:00Z"), until_us=us("2026-11-23T23:00Z"),
                       zone=ZoneInfo("UTC"), catch=CATCH)  # fmt: skip
    assert [(one.from_us - tour.begins_us, one.until_us - tour.ends_us, one.planned_us) for one in tour.stops] == [
        (0, 2 * MINUTE_US, None),
        (-3 * MINUTE_US, 2 * MINUTE_US, None),
    ]


def test_periods_that_meet_the_next_one_are_found() -> None:
    assert overlaps(plan("20:00", "21:00", minutes=60)) == []
    assert overlaps(plan("20:00", "21:00", minutes=61)) == [(time(20), time(21))]
    assert overlaps(plan("00:30", "23:00", minutes=120)) == [(time(23), time(0, 30))]
    assert overlaps(plan("00:30", "23:00", minutes=120, weekdays=frozenset({"mon"}))) == []
    assert overlaps(plan("22:00:59", "23:00", minutes=60)) == [(time(22, 0, 59), time(23))]
    assert overlaps(plan("22:00:59", "23:00:59", minutes=60)) == []
    apart, together = frozenset({"mon", "wed"}), frozenset({"sun", "mon"})
    assert overlaps(plan("00:30", "23:00", minutes=120, weekdays=apart)) == []
    assert overlaps(plan("00:30", "23:00", minutes=120, weekdays=together)) == [(time(23), time(0, 30))]


def test_a_start_to_the_second_begins_and_names_its_tour() -> None:
    day = date(2026, 11, 23)
    some = plan("22:00", "23:30:15", first_day=day, last_day=day)
    found = tours_of(some, ROUTE, from_us=us("2026-11-23T00:00+08:00"), until_us=us("2026-11-24T00:00+08:00"),
                     zone=SHANGHAI, catch=CATCH)  # fmt: skip
    assert [(one.id, one.begins_us) for one in found] == [
        ("p.20261123T2200", us("2026-11-23T22:00+08:00")),
        ("p.20261123T233015", us("2026-11-23T23:30:15+08:00")),
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([BERLIN, NEW_YORK, SHANGHAI]),
    st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    st.lists(st.times().map(lambda at: at.replace(microsecond=0)), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(0, 6 * 24 * 60), max_size=5),
)
def test_tours_made_bit_by_bit_are_those_made_at_once(
    zone: ZoneInfo, day: date, starts: list[time], cuts: list[int]
) -> None:
    some = Plan("p", "round", DAILY, tuple(starts), 30)
    first_us = moment_us(day, time(0), zone)
    bounds = sorted({first_us, first_us + 6 * 24 * 60 * MINUTE_US, *(first_us + cut * MINUTE_US for cut in cuts)})
    whole = tours_of(some, ROUTE, from_us=bounds[0], until_us=bounds[-1], zone=zone, catch=CATCH)
    parts = [
        tour
        for one, other in pairwise(bounds)
        for tour in tours_of(some, ROUTE, from_us=one, until_us=other, zone=zone, catch=CATCH)
    ]
    assert parts == whole
    assert len({one.begins_us for one in whole}) == len(whole) == len({one.id for one in whole})
    assert all(one.ends_us - one.begins_us == 30 * MINUTE_US for one in whole)


def test_who_carries_a_wand_over_midnight() -> None:
    night = Carrier("w", "wang", frozenset({"fri"}), time(22), time(6))
    day = Carrier("w", "li", DAILY, time(6), time(22))
    told = {text: carried_by([night, day], us(text), SHANGHAI).get("w") for text in (
        "2026-11-20T21:59+08:00", "2026-11-20T22:00+08:00", "2026-11-21T05:59+08:00", "2026-11-21T06:00+08:00",
        "2026-11-21T23:00+08:00")}  # fmt: skip
    assert list(told.values()) == ["li", "wang", "wang", "li", None]
    assert wands_of(["wang"], [night, day], us("2026-11-21T01:00+08:00"), SHANGHAI) == ("w",)
    assert wands_of(["wang"], [night, day], us("2026-11-21T07:00+08:00"), SHANGHAI) == ()
