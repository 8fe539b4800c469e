"""Hours of arming by the wall clock: over midnight, by weekday, where clocks change."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.areas.rosters import WEEKDAYS
from cloud.bikes.hours import Hours, Turn, is_in, next_turn

BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
NIGHT = Hours("22:00", "06:00")


def us(text: str, zone: ZoneInfo) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("hours", "now", "expected", "zone"),
    [
        (NIGHT, "2026-11-22 21:59", ("2026-11-22 22:00", True), SHANGHAI),
        (NIGHT, "2026-11-22 22:00", ("2026-11-23 06:00", False), SHANGHAI),
        (NIGHT, "2026-11-23 03:00", ("2026-11-23 06:00", False), SHANGHAI),
        # Sunday's night ends on Monday, which is not one of its days.
        (Hours("22:00", "06:00", ("sun",)), "2026-11-23 05:00", ("2026-11-23 06:00", False), SHANGHAI),
        (Hours("22:00", "06:00", ("sun",)), "2026-11-23 06:00", ("2026-11-29 22:00", True), SHANGHAI),
        (Hours("08:00", "18:00", ("mon", "tue")), "2026-11-24 18:00", ("2026-11-30 08:00", True), SHANGHAI),
        # 02:30 does not exist: it is an hour later by the clock.
        (Hours("02:30", "06:00"), "2026-03-29 01:00", ("2026-03-29 03:30", True), BERLIN),
        # 02:30 exists twice: the first is meant.
        (Hours("02:30", "06:00"), "2026-10-25 01:00", ("2026-10-25 02:30", True), BERLIN),
        # Day after day without a gap goes on.
        (Hours("06:00", "18:00", ("mon",)), "2026-11-23 07:00", ("2026-11-23 18:00", False), SHANGHAI),
    ],
)
def test_the_next_turn(hours: Hours, now: str, expected: tuple[str, bool], zone: ZoneInfo) -> None:
    moment, is_begin = expected
    assert next_turn(hours, us(now, zone), zone) == Turn(us(moment, zone), is_begin)


clocks = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda clock: f"{clock[0]:02}:{clock[1]:02}")


@settings(max_examples=100, deadline=None)
@given(
    clocks,
    clocks,
    st.sets(st.sampled_from(WEEKDAYS), min_size=1),
    st.integers(0, 31_536_000),
)
def test_between_two_turns_nothing_changes(begins: str, ends: str, days: set[str], now_s: int) -> None:
    if begins == ends:
        return
    hours = Hours(begins, ends, tuple(sorted(days)))
    now_us = us("2026-01-01 00:00", BERLIN) + now_s * 1_000_000
    turn = next_turn(hours, now_us, BERLIN)
    assert turn.at_us > now_us
    assert is_in(hours, turn.at_us, BERLIN) is turn.is_begin
    assert is_in(hours, turn.at_us - 1, BERLIN) is not turn.is_begin
    assert is_in(hours, now_us, BERLIN) is not turn.is_begin
