"""The noon observation out of readings: which reading, and which of them is not believed."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.fire.days import Noon
from cloud.fire.noon import (
    DAY_US,
    HOUR_US,
    Judged,
    Limits,
    RainKind,
    Reading,
    Readings,
    Verdict,
    day_of,
    judge_rain,
    noon_of,
    pick,
    standard_offset_s,
)
from cloud.fire.planning import Looked, is_due
from cloud.fire.reading import span_of
from cloud.fire.settings import Fire

MINUTE_US = 60_000_000
NOON_US = noon_of(date(2026, 5, 7), 8 * 3_600)
LIMITS = Limits()


def every(
    minutes: int, value: float = 0.0, *, from_h: float = -25, until_h: float = 3, step: float = 0.01
) -> list[Reading]:
    """Readings around noon; each a little more than the one before."""
    count = round((until_h - from_h) * 60 / minutes)
    begin_us = NOON_US + round(from_h * HOUR_US)
    return [(begin_us + number * minutes * MINUTE_US, value + number * step) for number in range(count + 1)]


def fine(**changed: object) -> Readings:
    given = {
        "temp_c": every(10, 20),
        "rh_pct": every(10, 40),
        "wind_kmh": every(10, 5, step=0),
        "rain_mm": every(10, 100, step=0),
    }
    given["wind_kmh"] = [(at, 5 + number % 3) for number, (at, _) in enumerate(given["wind_kmh"])]
    return Readings(**(given | changed))  # type: ignore[arg-type]


def test_the_reading_nearest_to_noon_counts_and_the_mean_of_ten_minutes_wind() -> None:
    found = pick(fine(), NOON_US, LIMITS)
    assert found.noon_at_us == NOON_US
    assert found.is_good
    assert found.temp.value == pytest.approx(21.5)
    assert found.rh.value == pytest.approx(41.5)
    assert found.noon == Noon(found.temp.value, found.rh.value, 5.0, 0.0)
    wind = [
        (NOON_US - 5 * MINUTE_US, 10.0),
        (NOON_US, 20.0),
        (NOON_US + 5 * MINUTE_US, 30.0),
        (NOON_US + HOUR_US, 90.0),
    ]
    assert pick(fine(wind_kmh=wind), NOON_US, LIMITS).wind == Judged(20.0, Verdict.GOOD)


def test_a_reading_too_far_from_noon_is_none() -> None:
    early = [(NOON_US - HOUR_US - 1, 20.0), (NOON_US + HOUR_US + 1, 21.0)]
    assert pick(fine(temp_c=early), NOON_US, LIMITS).temp == Judged(None, Verdict.MISSING)
    assert pick(fine(temp_c=early), NOON_US, LIMITS).noon_at_us is None
    near = [(NOON_US - HOUR_US, 20.0), (NOON_US + HOUR_US, 21.0)]
    assert pick(fine(temp_c=near), NOON_US, LIMITS).temp == Judged(20.0, Verdict.GOOD)


@pytest.mark.parametrize(
    ("point", "value", "judged"),
    [
        ("rh_pct", 140.0, Judged(140.0, Verdict.IMPOSSIBLE)),
        ("rh_pct", 0.0, Judged(0.0, Verdict.IMPOSSIBLE)),
        ("rh_pct", 103.0, Judged(100.0, Verdict.GOOD)),
        ("temp_c", 85.0, Judged(85.0, Verdict.IMPOSSIBLE)),
        ("temp_c", -127.0, Judged(-127.0, Verdict.IMPOSSIBLE)),
        ("wind_kmh", 151.0, Judged(151.0, Verdict.UNIT)),
        ("wind_kmh", -1.0, Judged(-1.0, Verdict.IMPOSSIBLE)),
        ("wind_kmh", 150.0, Judged(150.0, Verdict.GOOD)),
    ],
)
def test_a_value_that_cannot_be_is_kept_and_not_believed(point: str, value: float, judged: Judged) -> None:
    found = pick(fine(**{point: [(NOON_US, value)]}), NOON_US, LIMITS)
    name = {"rh_pct": "rh", "temp_c": "temp", "wind_kmh": "wind"}[point]
    assert getattr(found, name) == judged
    assert found.is_good == (judged.verdict is Verdict.GOOD)


@pytest.mark.parametrize(("force", "verdict"), [(3, "good"), (5, "good"), (1, "good"), (6, "unit"), (0, "unit")])
def test_wind_that_does_not_go_with_its_own_force_is_in_another_unit(force: int, verdict: str) -> None:
    # 15 km/h are force 3.
    readings = fine(wind_kmh=[(NOON_US, 15.0)], force=[(NOON_US, float(force))])
    assert pick(readings, NOON_US, LIMITS).wind.verdict == verdict


@pytest.mark.parametrize(
    ("point", "value", "hours", "verdict"),
    [
        ("temp_c", 20.0, 5.8, "good"),
        ("temp_c", 20.0, 6.0, "frozen"),
        ("rh_pct", 55.0, 6.0, "frozen"),
        # Fog and calm last.
        ("rh_pct", 100.0, 23.0, "good"),
        ("rh_pct", 100.0, 24.0, "frozen"),
        ("wind_kmh", 7.0, 6.0, "frozen"),
        ("wind_kmh", 0.0, 23.0, "good"),
        ("wind_kmh", 0.0, 24.0, "frozen"),
    ],
)
def test_a_value_that_does_not_move_for_too_long_is_frozen(
    point: str, value: float, hours: float, verdict: str
) -> None:
    still = every(10, value, from_h=-hours, step=0)
    moved = [(NOON_US - 25 * HOUR_US, value + 1)]
    found = pick(fine(**{point: [*moved, *still]}), NOON_US, LIMITS)
    name = {"rh_pct": "rh", "temp_c": "temp", "wind_kmh": "wind"}[point]
    assert getattr(found, name).verdict == verdict
    assert getattr(found, name).value == value


def test_few_readings_that_are_alike_are_not_frozen() -> None:
    hourly = every(120, 20, from_h=-8, step=0)
    assert pick(fine(temp_c=hourly), NOON_US, LIMITS).temp.verdict is Verdict.GOOD


def rain(counts: list[tuple[float, float]], *, before: float | None = None, limits: Limits = LIMITS) -> Judged:
    """Judge the rain of counts at hours from noon."""
    readings = [(NOON_US + round(hours * HOUR_US), value) for hours, value in counts]
    earlier = None if before is None else (NOON_US - 40 * HOUR_US, before)
    return judge_rain(Readings(rain_mm=readings, rain_before=earlier), NOON_US - DAY_US, NOON_US, limits)


@pytest.mark.parametrize(
    ("counts", "before", "wanted"),
    [
        ([(-24, 10), (-12, 12.5), (0, 13)], None, 3.0),
        # What came before the day and after it is not its own.
        ([(-25, 0), (-24, 10), (0, 13), (0.1, 99)], None, 3.0),
        # Cleared in between: what it counted since.
        ([(-24, 10), (-12, 12), (-11, 0), (0, 4)], None, 6.0),
        ([(-24, 10), (-12, 12), (-11, 1.5), (0, 4)], None, 6.0),
        # The last digit of a float is no rain.
        ([(-24, 10), (-12, 12), (-11, 11.9), (0, 11.9)], None, 2.0),
        # Nobody heard it for long: what it counted meanwhile falls on this day.
        ([(-1, 30), (0, 30)], 10, 20.0),
        # It never said where it stood.
        ([(-1, 30), (0, 30)], None, None),
        ([(-23.5, 30), (0, 30.2)], None, 0.2),
        # Nothing is known of the last hours.
        ([(-24, 10), (-2, 12)], None, None),
        ([], 10, None),
    ],
)
def test_a_counter_is_read_over_its_clearings(
    counts: list[tuple[float, float]], before: float | None, wanted: float | None
) -> None:
    judged = rain(counts, before=before)
    assert judged.value == (None if wanted is None else pytest.approx(wanted))
    assert judged.verdict is (Verdict.MISSING if wanted is None else Verdict.GOOD)


def test_a_counter_that_runs_over_goes_on() -> None:
    wraps = Limits(rain_wrap_mm=6_553.6)
    assert rain([(-24, 6_552), (-1, 1.6), (0, 1.6)], limits=wraps).believed == pytest.approx(3.2)
    # Far from its end it was cleared.
    assert rain([(-24, 500), (-1, 1.6), (0, 1.6)], limits=wraps).believed == pytest.approx(1.6)


@pytest.mark.parametrize(
    "counts",
    [
        [(-24, 10), (-0.5, 10), (-0.4, 300), (0, 300)],
        [(-24, 0), (-1, -5), (0, 1)],
        [(-24, 400), (-0.5, 400), (-0.4, 399), (0, 399)],
        [(-24, 0), (-20, 900), (-16, 1_800), (0, 1_800)],
    ],
)
def test_rain_that_no_sky_holds_is_impossible(counts: list[tuple[float, float]]) -> None:
    assert rain(counts).verdict is Verdict.IMPOSSIBLE


@pytest.mark.parametrize(("value", "verdict"), [(12.5, "good"), (-1, "impossible"), (1_001, "impossible")])
def test_an_amount_of_24_hours_is_taken_as_it_is(value: float, verdict: str) -> None:
    judged = rain([(-3, 50), (-0.2, value)], limits=Limits(rain_kind=RainKind.LAST_24H))
    assert judged == Judged(value, Verdict(verdict))


@pytest.mark.parametrize(
    ("value", "hours", "verdict"), [(12.5, 24.4, "good"), (12.5, 24.6, "frozen"), (0.0, 26, "good")]
)
def test_an_amount_that_outlasts_its_own_24_hours_is_frozen(value: float, hours: float, verdict: str) -> None:
    until = [(-hours * number / 10, value) for number in range(10, -1, -1)]
    judged = rain([(-hours - 0.1, 3.0), *until], limits=Limits(rain_kind=RainKind.LAST_24H))
    assert judged == Judged(value, Verdict(verdict))


def test_the_readings_of_a_day_show_an_amount_that_outlasts_it() -> None:
    first_us = span_of(NOON_US).from_us
    # Even when the last reading is as early as it may be.
    assert NOON_US - LIMITS.window_us - first_us > 24.5 * HOUR_US


def test_the_afternoon_is_unknown_until_it_is_over() -> None:
    over_us = NOON_US + 3 * HOUR_US
    early, late = (pick(fine(), NOON_US, LIMITS, now_us=at_us) for at_us in (over_us - 1, over_us))
    assert (early.max_temp_c, early.afternoon_rh_pct, early.afternoon_wind_kmh) == (None, None, None)
    assert None not in (late.max_temp_c, late.afternoon_rh_pct, late.afternoon_wind_kmh)


steps = st.lists(st.floats(0, 20).map(lambda value: round(value, 1)), min_size=1, max_size=20)


@settings(max_examples=40)
@given(steps, st.floats(6_000, 6_553))
def test_rain_is_what_fell_though_the_counter_ran_over(fallen: list[float], begin: float) -> None:
    counts = [(-24.0, begin)]
    for number, amount in enumerate(fallen):
        counts.append((-23.0 + number, (counts[-1][1] + amount) % 6_553.6))
    counts.append((0.0, counts[-1][1]))
    assert rain(counts, limits=Limits(rain_wrap_mm=6_553.6)).value == pytest.approx(sum(fallen), abs=1e-6)


@settings(max_examples=40)
@given(steps, st.floats(0, 50), st.sets(st.integers(0, 19)))
def test_rain_is_what_fell_though_the_counter_was_cleared(fallen: list[float], begin: float, cleared: set[int]) -> None:
    counts = [(-24.0, begin)]
    for number, amount in enumerate(fallen):
        if number in cleared:
            counts.append((-23.5 + number, 0.0))
        counts.append((-23.0 + number, counts[-1][1] + amount))
    counts.append((0.0, counts[-1][1]))
    assert rain(counts).value == pytest.approx(sum(fallen), abs=1e-6)


def test_the_afternoon_comes_with_its_readings() -> None:
    noon = pick(fine(temp_c=every(10, 20, until_h=1), rh_pct=every(10, 40, until_h=0.5)), NOON_US, LIMITS)
    assert noon.is_good
    assert (noon.max_temp_c, noon.afternoon_rh_pct, noon.afternoon_wind_kmh) == (None, None, None)
    later = pick(fine(), NOON_US, LIMITS)
    assert later.max_temp_c == pytest.approx(20 + (28 * 6 - 1) * 0.01)
    assert later.afternoon_rh_pct == pytest.approx(40 + 27 * 6 * 0.01)
    assert later.afternoon_wind_kmh is not None


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Shanghai", date(2026, 7, 1), 8),
        ("Europe/Berlin", date(2026, 1, 1), 1),
        ("Europe/Berlin", date(2026, 7, 1), 1),
        ("Europe/Berlin", date(2026, 3, 29), 1),
        ("America/Edmonton", date(2026, 7, 1), -7),
    ],
)
def test_noon_knows_no_daylight_saving(zone: str, day: date, hours: int) -> None:
    offset_s = standard_offset_s(ZoneInfo(zone), day)
    assert offset_s == hours * 3_600
    noon_us = noon_of(day, offset_s)
    assert noon_us % DAY_US == (12 - hours) * HOUR_US
    assert day_of(noon_us, offset_s) == day
    assert day_of(noon_us + 12 * HOUR_US, offset_s) > day


def hours_after(hours: float) -> int:
    return NOON_US + round(hours * HOUR_US)


@pytest.mark.parametrize(
    ("looked_h", "is_good", "now_h", "due"),
    [
        (None, True, 1.1, False),
        (None, True, 1.2, True),
        (1.2, True, 2, False),
        # Not good: again every hour, for a while.
        (1.2, False, 2.1, False),
        (1.2, False, 2.3, True),
        # The afternoon, and the day after.
        (1.2, True, 3.1, False),
        (1.2, True, 3.2, True),
        (3.2, True, 26, False),
        (3.2, True, 27.2, True),
        (27.2, True, 300, False),
        (27.2, False, 300, True),
        (300, False, 24 * 14 + 1, False),
    ],
)
def test_a_day_is_looked_at_when_something_may_be_new(
    looked_h: float | None, is_good: bool, now_h: float, due: bool  # noqa: FBT001
) -> None:  # fmt: skip
    looked = None if looked_h is None else Looked(hours_after(looked_h), is_good)
    assert is_due(looked, NOON_US, hours_after(now_h), Fire()) is due
