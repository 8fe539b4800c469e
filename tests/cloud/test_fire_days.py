"""Day to day: gaps by the rule, moves, and that the order in which days become known does not matter."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.fire.days import Done, Noon, Rule, Turn, run_days
from cloud.fire.fwi import Codes, Weather, next_day

FIRST = date(2026, 4, 13)
FINE = Noon(17, 42, 25, 0)
HOT = Noon(29, 20, 5, 0)
TURNS = [Turn(FIRST, 44)]
ONE = timedelta(days=1)


def day(number: int) -> date:
    return FIRST + number * ONE


def run(noons: dict[date, Noon], last: int, turns: list[Turn] = TURNS, missed_days: int = 3) -> list[Done]:
    return run_days(noons, turns, last=day(last), missed_days=missed_days)


def rules(done: list[Done]) -> str:
    return " ".join(one.rule.value[0] for one in done)


@pytest.mark.parametrize(
    ("known", "last", "wanted"),
    [
        ([0, 1, 2], 2, "s o o"),
        ([1, 2], 2, "n s o"),
        ([0, 2], 2, "s i o"),
        ([0, 4], 4, "s i i i o"),
        ([0, 5], 5, "s c c c n s"),
        ([0], 2, "s c c"),
        ([0], 5, "s c c c n n"),
        ([], 2, "n n n"),
        ([0, 5, 7], 8, "s c c c n s i o c"),
    ],
)
def test_a_gap_has_its_rule(known: list[int], last: int, wanted: str) -> None:
    assert rules(run({day(number): FINE for number in known}, last)) == wanted


def test_missing_values_lie_on_the_line_between() -> None:
    middle = run({day(0): FINE, day(1): Noon(rh_pct=50, rain_mm=3), day(2): HOT}, 2)[1]
    assert middle.rule is Rule.INTERPOLATED
    assert middle.weather == Weather(23, 50, 15, 3)


def test_while_nobody_knows_what_comes_a_value_stays_and_rain_does_not() -> None:
    done = run({day(0): Noon(17, 42, 25, 8)}, 1)
    assert done[1].weather == Weather(17, 42, 25, 0)


def test_after_a_long_gap_a_station_begins_as_at_first() -> None:
    begun = [Turn(FIRST, 44, Codes(80, 10, 100))]
    done = run({day(0): FINE, day(9): FINE}, 9, begun)
    assert done[9].rule is Rule.STARTED
    assert done[9].indices == done[0].indices
    assert done[9].dry_days == 1


def test_a_station_that_moves_far_begins_anew_and_one_that_moves_a_little_goes_on() -> None:
    noons = {day(number): FINE for number in range(6)}
    stays = run(noons, 5)
    anew = run(noons, 5, [*TURNS, Turn(day(3), 25)])
    goes_on = run(noons, 5, [*TURNS, Turn(day(3), 25, None)])
    assert anew[:3] == stays[:3] == goes_on[:3]
    assert rules(anew) == "s o o s o o"
    assert anew[3].indices == next_day(Codes(), Weather(17, 42, 25, 0), month=4, latitude_deg=25)
    assert rules(goes_on) == "s o o o o o"
    assert goes_on[3].indices is not None
    assert goes_on[2].indices is not None
    codes = goes_on[2].indices.codes
    assert goes_on[3].indices == next_day(codes, Weather(17, 42, 25, 0), month=4, latitude_deg=25)


def test_a_move_within_a_gap_is_no_bridge() -> None:
    done = run({day(0): FINE, day(3): FINE}, 3, [*TURNS, Turn(day(2), 25)])
    assert rules(done) == "s c n s"


values = st.one_of(st.none(), st.floats(0, 40).map(lambda value: round(value, 1)))
noon = st.builds(Noon, values, values, values, values)
noons = st.dictionaries(st.integers(0, 24).map(day), noon | st.just(FINE) | st.just(HOT), max_size=25)
turns = st.lists(st.tuples(st.integers(1, 24), st.booleans()), max_size=2, unique_by=lambda one: one[0]).map(
    lambda made: [*TURNS, *(Turn(day(at), 25, Codes() if anew else None) for at, anew in sorted(made))]
)


@settings(max_examples=40)
@given(noons, turns, st.integers(0, 4), st.data())
def test_later_observations_change_only_what_follows_the_last_anchor(
    known: dict[date, Noon], turned: list[Turn], missed_days: int, data: st.DataObject
) -> None:
    whole = run(known, 24, turned, missed_days)
    assert [one.day for one in whole] == [day(number) for number in range(25)]
    anchors = [one for one in whole if one.is_anchor]
    if not anchors:
        return
    anchor = data.draw(st.sampled_from(anchors))
    later = {at: one for at, one in known.items() if at > anchor.day}
    again = run_days(later, turned, last=day(24), missed_days=missed_days, before=anchor)
    assert again == [one for one in whole if one.day > anchor.day]


@settings(max_examples=40)
@given(noons, st.integers(0, 4))
def test_no_day_has_codes_without_weather_and_no_estimate_is_called_observed(
    known: dict[date, Noon], missed_days: int
) -> None:
    gap = 0
    for one in run(known, 24, missed_days=missed_days):
        assert (one.indices is None) == (one.weather is None) == (one.rule is Rule.NONE)
        told = known.get(one.day, Noon()).weather
        assert one.is_anchor == (told is not None)
        gap = 0 if one.is_anchor else gap + 1
        if one.rule in (Rule.CARRIED, Rule.INTERPOLATED):
            assert gap <= missed_days
        if one.is_anchor:
            assert one.weather == told
