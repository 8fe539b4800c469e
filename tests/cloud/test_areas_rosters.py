from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.areas.rosters import WEEKDAYS, Duty, Handover, gaps, shifts, who_is_on_duty

ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]
DAILY = frozenset(WEEKDAYS)
# Around the changes of clocks of those zones, and the day that Apia never had: 30 December 2011.
MOMENTS = [
    datetime(2011, 12, 30, 10, tzinfo=UTC), datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC), datetime(2026, 11, 22, 16, tzinfo=UTC),
]  # fmt: skip

zones = st.sampled_from(ZONES).map(ZoneInfo)
clocks = st.integers(0, 95).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))
days = st.sampled_from(MOMENTS).flatmap(
    lambda at: st.integers(-3, 3).map(lambda offset: (at + timedelta(days=offset)).date())
)
duties = st.builds(
    Duty,
    contact=st.sampled_from("abcd"),
    weekdays=st.frozensets(st.sampled_from(WEEKDAYS), min_size=1),
    begins=clocks,
    ends=clocks,
    first_day=st.none() | days,
    last_day=st.none() | days,
    rank=st.integers(1, 3),
)
moments = st.tuples(st.sampled_from(MOMENTS), st.integers(-3 * 24 * 60, 3 * 24 * 60)).map(
    lambda pair: pair[0] + timedelta(minutes=pair[1])
)


def us(at: datetime) -> int:
    return round(at.timestamp()) * 1_000_000


def shanghai(*parts: int) -> int:
    return us(datetime(*parts, tzinfo=ZoneInfo("Asia/Shanghai")))  # type: ignore[misc,arg-type]


def naive(roster: list[Duty], at: datetime, zone: ZoneInfo) -> list[str]:
    """Every shift of eleven days written out as two moments."""
    found = set()
    for duty in roster:
        for number in range(-5, 6):
            day = at.date() + timedelta(days=number)
            end_day = day if duty.ends > duty.begins else day + timedelta(days=1)
            begin = datetime.combine(day, duty.begins, zone).astimezone(UTC)
            end = datetime.combine(end_day, duty.ends, zone).astimezone(UTC)
            is_in_season = (duty.first_day is None or duty.first_day <= day) and (
                duty.last_day is None or day <= duty.last_day
            )
            if day.strftime("%a").lower() in duty.weekdays and is_in_season and begin <= at < end:
                found.add((duty.rank, duty.contact))
    people: list[str] = []
    for _rank, contact in sorted(found):
        if contact not in people:
            people.append(contact)
    return people


@given(st.lists(duties, max_size=5), moments, zones)
def test_at_every_instant_those_are_on_duty_whose_shift_lasts(roster: list[Duty], at: datetime, zone: ZoneInfo) -> None:
    assert who_is_on_duty(roster, [], us(at), zone) == naive(roster, at, zone)


@given(st.lists(clocks, min_size=1, max_size=5, unique=True), moments, zones)
def test_shifts_that_join_leave_nobody_missing_whatever_the_clocks_do(
    bounds: list[time], at: datetime, zone: ZoneInfo
) -> None:
    ends = [*bounds[1:], bounds[0]] if (bounds := sorted(bounds)) else []
    roster = [Duty(str(number), DAILY, *pair) for number, pair in enumerate(zip(bounds, ends, strict=True))]
    assert who_is_on_duty(roster, [], us(at), zone)
    week = us(at) + 7 * 86_400_000_000
    assert gaps(shifts(roster, us(at), week, zone), us(at), week) == []


@given(st.lists(duties, max_size=4), moments, zones, st.integers(1, 60))
def test_a_gap_is_when_nobody_is_on_duty(roster: list[Duty], at: datetime, zone: ZoneInfo, quarters: int) -> None:
    begin, step = us(at) // 900_000_000 * 900_000_000, 900_000_000
    holes = gaps(shifts(roster, begin, begin + quarters * step, zone), begin, begin + quarters * step)
    for number in range(quarters):
        now = begin + number * step
        assert any(first <= now < last for first, last in holes) == (not who_is_on_duty(roster, [], now, zone))


@given(
    st.lists(st.tuples(st.sampled_from("wxyz"), st.integers(0, 20), st.integers(1, 20)), max_size=5),
    st.lists(duties, max_size=3),
    st.integers(-1, 41),
    zones,
)
def test_while_a_hand_over_lasts_it_alone_counts_to_the_microsecond(
    made: list[tuple[str, int, int]], roster: list[Duty], hour: int, zone: ZoneInfo
) -> None:
    begin = us(MOMENTS[-1])
    handovers = [
        Handover(number, who, begin + first * 3_600_000_000, begin + (first + length) * 3_600_000_000)
        for number, (who, first, length) in enumerate(made)
    ]
    for at_us in (begin + hour * 3_600_000_000 + edge for edge in (-1, 0, 1)):
        lasting = [one for one in reversed(handovers) if one.from_us <= at_us and not at_us >= one.until_us]
        people = list(dict.fromkeys(one.contact for one in lasting))
        assert who_is_on_duty(roster, handovers, at_us, zone) == (people or who_is_on_duty(roster, [], at_us, zone))


def test_a_night_shift_belongs_to_the_day_on_which_it_begins() -> None:
    friday = Duty("night", frozenset({"fri"}), time(20), time(8))
    assert [
        who_is_on_duty([friday], [], shanghai(2026, 11, day, hour), ZoneInfo("Asia/Shanghai"))
        for day, hour in ((20, 19), (20, 20), (20, 23), (21, 0), (21, 7), (21, 8), (20, 7), (21, 20))
    ] == [[], ["night"], ["night"], ["night"], ["night"], [], [], []]


def test_the_same_time_twice_is_a_whole_day() -> None:
    sunday = Duty("all day", frozenset({"sun"}), time(8), time(8))
    hours = [(22, 7), (22, 8), (23, 7), (23, 8)]
    found = [who_is_on_duty([sunday], [], shanghai(2026, 11, *at), ZoneInfo("Asia/Shanghai")) for at in hours]
    assert found == [[], ["all day"], ["all day"], []]


def test_the_last_day_ends_with_its_night() -> None:
    duty = Duty("a", DAILY, time(20), time(8), date(2026, 11, 1), date(2026, 11, 2))
    hours = [(1, 7), (1, 20), (3, 7), (3, 20)]
    found = [who_is_on_duty([duty], [], shanghai(2026, 11, *at), ZoneInfo("Asia/Shanghai")) for at in hours]
    assert found == [[], ["a"], ["a"], []]


def test_when_clocks_go_back_a_shift_begins_and_ends_once() -> None:
    zone = ZoneInfo("Europe/Berlin")
    roster = [Duty("early", DAILY, time(0), time(2, 30)), Duty("late", DAILY, time(2, 30), time(8))]
    # 02:00 to 03:00 comes twice: 00:00 and 01:00 UTC.
    found = [
        who_is_on_duty(roster, [], us(datetime(2026, 10, 25, 0, tzinfo=UTC) + timedelta(minutes=minutes)), zone)
        for minutes in (0, 29, 30, 60, 89, 90)
    ]
    assert found == [["early"], ["early"], ["late"], ["late"], ["late"], ["late"]]


@pytest.mark.parametrize(("rank", "told"), [(1, ["a", "b"]), (3, ["b", "a"])])
def test_the_first_rank_is_told_first(rank: int, told: list[str]) -> None:
    roster = [Duty("b", DAILY, time(0), time(0), rank=2), Duty("a", DAILY, time(0), time(0), rank=rank)]
    assert who_is_on_duty(roster, [], us(MOMENTS[0]), ZoneInfo("Asia/Shanghai")) == told
