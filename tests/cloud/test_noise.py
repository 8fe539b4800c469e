"""Noise, by its definitions and against slower ways to say the same."""

import random
from itertools import combinations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.desk import noise
from cloud.desk.core import Alarm, ClosingCode
from contract.alarms import Mode, Severity

S = 1_000_000
MINUTE = 60 * S
T0 = 1_700_000_000 * S

ALARM = Alarm(
    alarm_id="0",
    source="gw/dev/point/rule",
    gateway="gw",
    device="dev",
    point="point",
    rule="rule",
    kind="panic",
    severity=Severity.HIGH,
    text={},
    raised_at_us=T0,
    received_at_us=T0,
    stored_at_us=T0,
    late=False,
    triggers=1,
    last_raised_at_us=T0,
)

# Close together, so that windows are met exactly, just missed, and shared by many.
moments = st.lists(st.integers(0, 60).map(lambda number: T0 + number * MINUTE // 2), max_size=60)


def alarm(number: int, raised_at_us: int, *, site: str | None = "school", gateway: str = "gw") -> Alarm:
    return msgspec.structs.replace(
        ALARM, alarm_id=f"{number:04}", raised_at_us=raised_at_us, site=site, gateway=gateway
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], False),
        ([0, 1], False),
        ([0, 30, 60], True),
        ([0, 30, 60.000001], False),
        ([60, 0, 30], True),
        ([0, 61, 122, 183], False),
        ([0, 100, 101, 102], True),
    ],
)
def test_three_triggers_within_a_minute_chatter(seconds: list[float], *, expected: bool) -> None:
    assert noise.chatters(T0 + round(second * S) for second in seconds) is expected


@given(st.lists(st.integers(0, 300).map(lambda second: T0 + second * S), max_size=12))
def test_chattering_is_any_three_in_a_minute(times: list[int]) -> None:
    slow = any(max(three) - min(three) <= MINUTE for three in combinations(times, 3))
    assert noise.chatters(times) is slow


def slow_floods(times: list[int], now_us: int) -> list[noise.Span]:
    """Count afresh at every moment at which the count can change."""
    window = noise.FLOOD_WINDOW_US
    spans, began = [], None
    for at_us in sorted({*times, *(time + window for time in times)}):
        if at_us > now_us:
            break
        count = sum(at_us - window < time <= at_us for time in times)
        if began is None and count >= 10:
            began = at_us
        elif began is not None and count < 5:
            spans.append(noise.Span(began, at_us))
            began = None
    return spans if began is None else [*spans, noise.Span(began, None)]


@given(moments, st.integers(0, 100))
def test_floods_are_what_counting_at_every_moment_finds(times: list[int], until: int) -> None:
    now_us = T0 + until * MINUTE // 2
    spans = noise.flood_spans(times, now_us)
    assert spans == slow_floods(times, now_us)
    lasts = next((span.began_us for span in spans if span.ended_us is None), None)
    assert noise.in_flood_since(times, now_us) == lasts


@given(moments, st.randoms(use_true_random=False))
def test_floods_do_not_depend_on_the_order(times: list[int], dice: random.Random) -> None:
    shuffled = dice.sample(times, len(times))
    assert noise.flood_spans(shuffled, T0 + 60 * MINUTE) == noise.flood_spans(times, T0 + 60 * MINUTE)


def test_ten_at_once_are_a_flood_of_ten_minutes() -> None:
    times = [T0] * 10
    assert noise.flood_spans(times, T0) == [noise.Span(T0, None)]
    assert noise.flood_spans(times, T0 + 10 * MINUTE) == [noise.Span(T0, T0 + 10 * MINUTE)]
    assert noise.flood_spans(times[1:], T0) == []


def test_five_in_ten_minutes_keep_a_flood_up() -> None:
    times = [T0] * 10 + [T0 + minute * MINUTE for minute in range(2, 40, 2)]
    (span,) = noise.flood_spans(times, T0 + 60 * MINUTE)
    # The last is at minute 38: of those at 30, 32, 34, 36 and 38 the first leaves at 40.
    assert span == noise.Span(T0, T0 + 40 * MINUTE)


def test_stale_is_active_for_more_than_a_day() -> None:
    day = 24 * 60 * MINUTE
    assert not noise.is_stale(ALARM, T0 + day)
    assert noise.is_stale(ALARM, T0 + day + 1)
    assert not noise.is_stale(msgspec.structs.replace(ALARM, cleared_at_us=T0 + S), T0 + 2 * day)
    assert not noise.is_stale(closed(ALARM), T0 + 2 * day)


def test_fleeting_comes_once_and_goes_within_a_minute() -> None:
    gone = msgspec.structs.replace(ALARM, cleared_at_us=T0 + MINUTE)
    assert noise.is_fleeting(gone)
    assert not noise.is_fleeting(ALARM)
    assert not noise.is_fleeting(msgspec.structs.replace(gone, cleared_at_us=T0 + MINUTE + 1))
    assert not noise.is_fleeting(msgspec.structs.replace(gone, triggers=2))
    assert not noise.is_fleeting(msgspec.structs.replace(gone, latching=True)), "a press is short by nature"


def test_the_first_of_a_chain_is_named_by_all_of_it() -> None:
    raised = [alarm(1, T0), alarm(2, T0 + 50 * S), alarm(3, T0 + 110 * S), alarm(4, T0 + 171 * S)]
    assert noise.first_outs(raised) == {"0001": "0001", "0002": "0001", "0003": "0001", "0004": "0004"}


def test_sites_gateways_without_a_site_and_modes_have_chains_of_their_own() -> None:
    raised = [
        alarm(1, T0),
        alarm(2, T0 + S, site="mill"),
        alarm(3, T0 + 2 * S, site=None, gateway="a"),
        alarm(4, T0 + 3 * S, site=None, gateway="b"),
        alarm(5, T0 + 4 * S, gateway="another of the school"),
        msgspec.structs.replace(alarm(6, T0 + 5 * S), mode=Mode.DRILL),
        alarm(7, T0 + 6 * S, site=None, gateway="a"),
    ]
    found = noise.first_outs(raised)
    assert found == {
        "0001": "0001", "0002": "0002", "0003": "0003", "0004": "0004", "0005": "0001", "0006": "0006", "0007": "0003",
    }  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 600), st.sampled_from(["school", "mill", None])), max_size=25),
    st.randoms(use_true_random=False),
)
def test_first_outs_hold_for_any_order(made: list[tuple[int, str | None]], dice: random.Random) -> None:
    raised = [alarm(number, T0 + second * S, site=site) for number, (second, site) in enumerate(made)]
    found = noise.first_outs(raised)
    assert noise.first_outs(dice.sample(raised, len(raised))) == found
    by_id = {one.alarm_id: one for one in raised}
    assert found.keys() == by_id.keys(), "nobody is dropped"
    for one, first in ((by_id[one], by_id[first]) for one, first in found.items()):
        assert first.site == one.site
        assert first.raised_at_us <= one.raised_at_us
        assert found[first.alarm_id] == first.alarm_id
        # Nobody of the same site was raised in the minute before the first.
        before = (other.raised_at_us for other in raised if other.site == one.site)
        assert not any(0 < first.raised_at_us - raised_at_us <= MINUTE for raised_at_us in before)


def closed(one: Alarm) -> Alarm:
    return msgspec.structs.replace(one, closed_at_us=T0 + MINUTE, closed_by="王芳", closing_code=ClosingCode.GENUINE)
