"""The pure side of the numbers: buckets, tallies, load, days and limits."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.desk.core import ClosingCode
from cloud.numbers.classes import REPORTING_S
from cloud.numbers.days import begin_us, day_of, days_from, month_after, parts, span_us
from cloud.numbers.figures import reporting_of
from cloud.numbers.histogram import FIRST_S, GROWTH, LAST, bucket, percentile_s, share_within, upper_s
from cloud.numbers.limits import Verdict, judge
from cloud.numbers.load import flood_periods, measure_load
from cloud.numbers.paths import path_above
from cloud.numbers.store import totals_of
from cloud.numbers.tally import (
    FALSE_CODES,
    NOTHING,
    Content,
    Count,
    Fact,
    Stage,
    Tally,
    content_difference,
    content_of,
    difference,
    merged,
    merged_contents,
    tally_of,
)
from cloud.numbers.written import joined, read_calls, read_content, read_span, runs_of, write_content

T0_US = 1_700_000_000_000_000
S_US = 1_000_000
SHANGHAI = ZoneInfo("Asia/Shanghai")

times = st.floats(min_value=0, max_value=1e7)


def fact(**changes: object) -> Fact:
    plain = Fact(
        source="g/d/p/r", area_path="a/", kind="panic", severity="critical", mode="live", late=False, triggers=1,
        raised_at_us=T0_US, stored_at_us=T0_US + S_US, acknowledged_at_us=None, dispatched_at_us=None,
        arrived_at_us=None, cleared_at_us=None, closed_at_us=None, closing_code=None, target_s=None, latching=True,
        chattering=False,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    def moment() -> int | None:
        return draw(st.none() | st.integers(T0_US, T0_US + 3 * 86_400 * S_US))

    closed_at_us = moment()
    return fact(
        kind=draw(st.sampled_from(["panic", "gateway-lost", "device-lost"])),
        severity=draw(st.sampled_from(["critical", "low"])),
        mode=draw(st.sampled_from(["live", "live", "test", "drill"])),
        late=draw(st.booleans()),
        triggers=draw(st.integers(1, 5)),
        stored_at_us=T0_US + draw(st.integers(-S_US, 100 * S_US)),
        acknowledged_at_us=moment(),
        dispatched_at_us=moment(),
        arrived_at_us=moment(),
        cleared_at_us=moment(),
        closed_at_us=closed_at_us,
        closing_code=None if closed_at_us is None else draw(st.sampled_from(list(ClosingCode))).value,
        target_s=draw(st.none() | st.integers(10, 1000)),
        latching=draw(st.booleans()),
        chattering=draw(st.booleans()),
        transmission_class=draw(st.sampled_from(["", "SP5"])),
        site=draw(st.sampled_from(["", "s1"])),
    )


@given(times)
def test_a_bucket_holds_its_time_and_is_at_most_5_percent_wide(time_s: float) -> None:
    number = bucket(time_s)
    assert time_s <= upper_s(number)
    if number:
        assert time_s > upper_s(number - 1)
        assert upper_s(number) <= time_s * GROWTH * (1 + 1e-12)


def test_what_is_longer_than_any_bucket_is_in_the_last_and_what_is_negative_in_the_first() -> None:
    assert (bucket(1e12), bucket(-5)) == (LAST, 0)
    assert upper_s(LAST) > 300 * 86_400


@given(st.lists(times, min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_within_a_bucket_of_the_exact_one(values: list[float], share: float) -> None:
    histogram: dict[int, int] = {}
    for value in values:
        histogram[bucket(value)] = histogram.get(bucket(value), 0) + 1
    exact = sorted(values)[max(1, math.ceil(share * len(values) - 1e-9)) - 1]
    found = percentile_s(histogram, share)
    assert found is not None
    assert exact <= found <= max(FIRST_S, exact * GROWTH * (1 + 1e-12))


def test_nothing_has_no_percentile_and_no_share() -> None:
    assert percentile_s({}, 0.5) is None
    assert share_within({}, 10) is None
    assert share_within({bucket(9.0): 3, bucket(20.0): 1}, 10) == 0.75


@settings(max_examples=40)
@given(st.lists(facts(), max_size=12), st.integers(0, 12))
def test_the_tally_of_a_union_is_the_merge_and_can_be_taken_apart(some: list[Fact], cut: int) -> None:
    one, other = tally_of(some[:cut]), tally_of(some[cut:])
    whole = tally_of(some)
    assert merged([one, other]) == whole
    assert difference(whole, other) == one
    assert difference(whole, whole) == Tally()


loads = st.dictionaries(st.integers(0, 9), st.integers(1, 9))


@settings(max_examples=40)
@given(st.lists(facts(), max_size=12), st.integers(0, 12), loads, loads)
def test_contents_can_be_merged_taken_apart_and_written(
    some: list[Fact], cut: int, load: dict[int, int], more: dict[int, int]
) -> None:
    one, other = content_of(some[:cut], load), content_of(some[cut:], more)
    whole = merged_contents([one, other])
    assert whole == content_of(some, Counter(load) + Counter(more))
    assert content_difference(whole, other) == one
    assert merged_contents([one, content_difference(whole, one)]) == whole
    written = write_content(whole)
    assert read_content(written) == whole
    read = joined([read_span(written)])
    assert (read.by, read.load, read.reporting) == (whole.by, runs_of(whole.load), whole.reporting)
    panics = whole.calls.get("panic")
    assert read_calls(written, ["panic", "none"]) == ([] if panics is None else [panics])


@settings(max_examples=60)
@given(st.lists(facts(), max_size=8), st.dictionaries(st.integers(100, 160), st.integers(1, 9)), st.data())
def test_spans_that_follow_each_other_are_told_as_one(
    some: list[Fact], load: dict[int, int], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(100, 161), max_size=4)))
    contents: list[Content] = []
    for begin, end in pairwise([100, *cuts, 161]):
        there = {period: count for period, count in load.items() if begin <= period < end}
        mine = [one for number, one in enumerate(some) if number % (len(cuts) + 1) == len(contents)]
        contents.append(content_of(mine, there))
    # A period that two local days share.
    if cuts and (shared := load.get(cuts[0])) and shared > 1 and cuts[0] in contents[1].load:
        contents[0].load[cuts[0]], contents[1].load[cuts[0]] = 1, shared - 1
    read = joined([read_span(write_content(content)) for content in contents])
    whole = content_of(some, load)
    assert (read.by, read.reporting) == (whole.by, whole.reporting)
    assert {first + at: count for first, counts in read.load for at, count in enumerate(counts) if count} == load
    whole_load = runs_of(load)
    for operators in (1, 2):
        assert flood_periods(read.load, operators) == flood_periods(whole_load, operators)


@settings(max_examples=60)
@given(st.dictionaries(st.integers(0, 60), st.integers(1, 12)), st.integers(1, 3))
def test_runs_lose_nothing_and_floods_go_by_the_period(load: dict[int, int], operators: int) -> None:
    runs = runs_of(load)
    assert {first + at: count for first, counts in runs for at, count in enumerate(counts) if count} == load
    assert all(counts[0] and counts[-1] for _first, counts in runs)
    flooded, is_flood = 0, False
    for period in range(62):
        count = load.get(period, 0)
        is_flood = count >= 10 * operators or (is_flood and count >= 5 * operators)
        flooded += is_flood
    assert flood_periods(runs, operators) == flooded


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["", "a/", "a/b/", "a/b/c/", "a/d/", "e/"]), st.lists(facts(), max_size=3)))
def test_areas_are_summed_up_level_by_level(by_path: dict[str, list[Fact]]) -> None:
    contents = {path: content_of(some, {}) for path, some in by_path.items()}
    above = {one for path in contents for one in path_above(path)}
    assert totals_of(contents) == {
        path: merged_contents([content for below, content in contents.items() if below.startswith(path)])
        for path in above
    }


def test_nothing_is_read_where_nothing_stands() -> None:
    assert read_content(None) == NOTHING == Content()


def test_an_alarm_that_was_solved_in_time_counts_within_its_target() -> None:
    stored_us = T0_US + 2 * S_US
    solved = fact(
        stored_at_us=stored_us,
        acknowledged_at_us=stored_us + 20 * S_US,
        dispatched_at_us=stored_us + 60 * S_US,
        arrived_at_us=stored_us + 300 * S_US,
        closed_at_us=stored_us + 301 * S_US,
        cleared_at_us=stored_us,
        closing_code="genuine",
    )
    tally = tally_of([solved])
    assert tally.within == {Stage.ACKNOWLEDGE: 1, Stage.DISPATCH: 1, Stage.SCENE: 1}
    assert {stage: percentile_s(tally.times[stage], 0.5) for stage in Stage} == {
        Stage.TRANSMISSION: pytest.approx(2, rel=0.05),
        Stage.ACKNOWLEDGE: pytest.approx(20, rel=0.05),
        Stage.DISPATCH: pytest.approx(60, rel=0.05),
        Stage.SCENE: pytest.approx(300, rel=0.05),
        Stage.CLOSE: pytest.approx(301, rel=0.05),
    }
    assert tally.closed == {ClosingCode.GENUINE: 1}
    assert tally.counts == {Count.RAISED: 1, Count.TRIGGERS: 1, Count.HANDLED: 1, Count.STOOD_S: 2}
    assert tally_of([msgspec.structs.replace(solved, target_s=59)]).within == {Stage.ACKNOWLEDGE: 1}


def test_tests_and_drills_are_counted_and_nothing_else_of_them() -> None:
    tally = tally_of(
        [fact(mode="test"), fact(mode="drill", closed_at_us=T0_US, closing_code="drill"), fact(mode="test")]
    )
    assert tally == Tally({Count.TEST: 2, Count.DRILL: 1})


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({"cleared_at_us": T0_US + 60 * S_US, "latching": False}, {Count.FLEETING}),
        ({"cleared_at_us": T0_US + 61 * S_US, "latching": False}, set()),
        ({"cleared_at_us": T0_US + 60 * S_US, "latching": True}, set()),
        ({"cleared_at_us": T0_US + 60 * S_US, "latching": False, "triggers": 2}, set()),
        ({"cleared_at_us": T0_US + 86_401 * S_US}, {Count.STALE}),
        ({"cleared_at_us": T0_US + 86_400 * S_US}, set()),
        ({"closed_at_us": T0_US + 86_401 * S_US, "closing_code": "unknown"}, {Count.STALE}),
        ({"chattering": True}, {Count.CHATTERING}),
        ({"late": True}, {Count.LATE}),
    ],
)
def test_what_makes_alarms_hard_to_work_with(changes: dict[str, object], counted: set[Count]) -> None:
    kinds = {Count.FLEETING, Count.STALE, Count.CHATTERING, Count.LATE}
    assert tally_of([fact(**changes)]).counts.keys() & kinds == counted


def test_a_lost_gateway_is_measured_under_its_sites_class() -> None:
    lost = fact(kind="gateway-lost", stored_at_us=T0_US + 80 * S_US, transmission_class="SP5")
    slow = msgspec.structs.replace(lost, stored_at_us=T0_US + 100 * S_US)
    unclassed = msgspec.structs.replace(lost, transmission_class="")
    (none, sp5) = reporting_of(content_of([lost, slow, unclassed, fact()], {}).reporting)
    assert (none.transmission_class, none.losses, none.limit_s, none.within_share) == ("", 1, None, None)
    assert (sp5.losses, sp5.limit_s, sp5.within_share) == (2, 90, 0.5)
    assert sp5.longest_s == pytest.approx(100, rel=0.05)


def test_the_classes_are_those_a_site_may_have_and_grow_stricter() -> None:
    for family, count in (("SP", 6), ("DP", 4)):
        limits = [REPORTING_S[f"{family}{number}"] for number in range(1, count + 1)]
        assert limits == sorted(limits, reverse=True)
    assert len(REPORTING_S) == 10


def test_every_other_code_is_no_false_call() -> None:
    assert set(ClosingCode) - set(FALSE_CODES) == {ClosingCode.GENUINE, ClosingCode.DRILL, ClosingCode.UNKNOWN}


@pytest.mark.parametrize(
    ("counts", "flooded"),
    [
        ([9, 9, 9], 0),
        ([10], 1),
        ([10, 5, 5, 4, 5], 3),
        ([4, 10, 12, 0, 10], 3),
        ([10, 4, 9], 1),
        ([5, 10], 1),
    ],
)
def test_a_flood_begins_with_ten_and_ends_below_five(counts: Sequence[int], flooded: int) -> None:
    assert flood_periods(runs_of({number: count for number, count in enumerate(counts) if count})) == flooded


def test_the_load_is_shared_by_the_operators() -> None:
    load = runs_of({0: 24, 3: 12, 5: 1})
    alone = measure_load(load, from_us=0, until_us=3_600 * S_US, operators=1)
    assert (alone.alarms, alone.per_hour, alone.worst_ten_minutes, alone.worst_at_us) == (37, 37.0, 24.0, 0)
    assert alone.per_ten_minutes == pytest.approx(37 / 6)
    assert [alone.overfull_share, alone.flood_share] == pytest.approx([2 / 6, 2 / 6])
    two = measure_load(load, from_us=0, until_us=3_600 * S_US, operators=2)
    assert [two.per_hour, two.worst_ten_minutes, two.overfull_share] == pytest.approx([18.5, 12.0, 1 / 6])
    empty = measure_load([], from_us=0, until_us=0, operators=1)
    assert (empty.alarms, empty.per_hour, empty.worst_at_us) == (0, 0.0, None)


@pytest.mark.parametrize(
    ("value", "more", "verdict"),
    [(6, False, Verdict.GOOD), (6.1, False, Verdict.TOLERABLE), (12, False, Verdict.TOLERABLE),
     (12.1, False, Verdict.OVER), (12, True, Verdict.GOOD), (6, True, Verdict.TOLERABLE), (5.9, True, Verdict.OVER)],
)  # fmt: skip
def test_a_value_is_held_against_its_limits(value: float, more: bool, verdict: Verdict) -> None:  # noqa: FBT001
    low, high = (12, 6) if more else (6, 12)
    assert judge("x", value, low, high, more_is_better=more).verdict is verdict


@settings(max_examples=50)
@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(1, 900))
def test_a_span_is_cut_into_whole_months_and_days_without_gap_or_overlap(first: date, length: int) -> None:
    after = date.fromordinal(first.toordinal() + length)
    months, days = parts(first, after)
    covered = [*days, *(day for month in months for day in days_from(month, month_after(month)))]
    assert sorted(covered) == list(days_from(first, after))
    assert len(days) <= 60


@settings(max_examples=50)
@given(st.integers(0, 4_000_000_000), st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "Asia/Kathmandu", "UTC"]))
def test_a_moment_lies_in_its_local_day(at_s: int, name: str) -> None:
    zone = ZoneInfo(name)
    begin, end = span_us(day_of(at_s * S_US, zone), zone)
    assert begin <= at_s * S_US < end
    assert end - begin in {hours * 3_600 * S_US for hours in (23, 24, 25)}


def test_a_day_in_shanghai_begins_at_four_in_the_afternoon_before() -> None:
    assert begin_us(date(2026, 11, 1), SHANGHAI) == 1_793_462_400_000_000


@pytest.mark.parametrize(
    ("path", "above"), [("", []), ("p/", [""]), ("p/c/", ["", "p/"]), ("p/c/t/", ["", "p/", "p/c/"])]
)
def test_what_stands_above_a_path(path: str, above: list[str]) -> None:
    assert path_above(path) == above
