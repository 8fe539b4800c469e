from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.schedule import LONGEST_REST_S, MUTE_AFTER, SHORTEST_WAIT_S, Breaker, Poll, Schedule

# A block read of 20 registers at 9 600 baud. Source: MODBUS over Serial Line V1.02, 2.5.1.1.
WIRE_S = (8 + 3.5 + 45 + 3.5) * 11 / 9600


def serve(
    schedule: Schedule,
    *,
    until: float,
    cost_s: float,
    mute: frozenset[int] = frozenset(),
    timeout_s: float = 1.0,
    since: float = 0.0,
    mute_from: float = 0.0,
) -> list[Poll]:
    """Run a line on a virtual clock, a transaction costs `cost_s`, a mute unit's `timeout_s`: what was answered."""
    now, served = 0.0, []
    while now < until:
        poll = schedule.take(now)
        if poll is None:
            now = max(now, schedule.next_at() or until) + 1e-9
            continue
        if poll.unit in mute and now >= mute_from:
            now += timeout_s
            schedule.silent(poll, now, cost_s=timeout_s)
        else:
            now += cost_s
            schedule.answered(poll, now, took_s=cost_s)
            if now >= since:
                served.append(poll)
    return served


def fail(schedule: Schedule, now: float, *, cost_s: float = 0.0) -> bool:
    poll = schedule.take(now)
    assert poll is not None
    return schedule.silent(poll, now + cost_s, cost_s=cost_s)


def answer(schedule: Schedule, now: float, *, took_s: float = 0.0) -> bool:
    poll = schedule.take(now)
    assert poll is not None
    return schedule.answered(poll, now, took_s=took_s)


def test_what_is_urgent_goes_first_when_both_are_due() -> None:
    slow, fast = Poll(1, 0, 10.0), Poll(2, 1, 0.1, is_urgent=True)
    assert Schedule([slow, fast], now=0.0).take(0.0) is fast


def test_nothing_is_due_before_its_time() -> None:
    poll = Poll(1, 0, 10.0)
    schedule = Schedule([poll], now=0.0)
    answer(schedule, 0.0)
    assert schedule.take(9.9) is None
    assert schedule.next_at() == 10.0
    assert schedule.take(10.0) is poll


def test_a_long_poll_is_not_starved_by_short_ones_where_alarm_inputs_fill_the_line() -> None:
    costs = {0: 0.3, 1: 0.001, 2: 0.3}
    polls = [Poll(0, 0, 0.1, is_urgent=True), Poll(1, 1, 0.01), Poll(2, 2, 1.0)]
    schedule, now, turns = Schedule(polls, now=0.0), 0.0, Counter[int]()
    while now < 300.0:
        poll = schedule.take(now)
        assert poll is not None
        now += costs[poll.block]
        schedule.answered(poll, now, took_s=costs[poll.block])
        turns[poll.block] += 1
    assert turns[1] < 2 * turns[2]


def test_who_is_asked_once_an_hour_is_asked_again_soon_after_a_lost_telegram_and_keeps_its_rhythm() -> None:
    poll = Poll(1, 0, 3600.0)
    schedule = Schedule([poll], now=0.0)
    answer(schedule, 0.0)
    assert fail(schedule, 3600.0, cost_s=1.0) is False
    assert schedule.next_at() is not None
    assert schedule.take(3601.0) is None
    assert answer(schedule, 3605.0) is False
    assert poll.due_at == 7200.0


def test_a_late_answer_does_not_shift_the_rhythm() -> None:
    poll = Poll(1, 0, 1.0)
    schedule = Schedule([poll], now=0.0)
    schedule.take(0.0)
    schedule.answered(poll, 0.9)
    assert poll.due_at == 1.0


def test_missed_turns_are_not_made_up() -> None:
    poll = Poll(1, 0, 1.0)
    schedule = Schedule([poll], now=0.0)
    schedule.take(0.0)
    schedule.answered(poll, 3.4)
    assert poll.due_at == 3.4
    answer(schedule, 3.4)
    assert poll.due_at == 4.4


def test_after_the_first_round_the_turns_are_spread_over_the_period() -> None:
    polls = [Poll(unit, unit, 1.0) for unit in range(10)]
    schedule = Schedule(polls, now=0.0)
    for _ in polls:
        answer(schedule, 0.0)
    assert sorted(poll.due_at for poll in polls) == pytest.approx([number / 10 for number in range(1, 11)])


def test_alarm_inputs_keep_their_period_on_a_full_line() -> None:
    urgent = Poll(1, 0, 0.1, is_urgent=True)
    others = [Poll(unit, unit, 0.01) for unit in range(2, 30)]
    served = serve(Schedule([*others, urgent], now=0.0), until=10.0, cost_s=0.03)
    assert sum(poll is urgent for poll in served) >= 98


def test_more_alarm_inputs_than_the_line_can_carry_do_not_starve_the_others() -> None:
    urgent = [Poll(unit, unit, 0.2, is_urgent=True) for unit in range(1, 11)]
    other = Poll(20, 20, 10.0)
    served = serve(Schedule([*urgent, other], now=0.0), until=600.0, cost_s=0.04)
    assert sum(poll is other for poll in served) >= 59
    assert sum(poll in urgent for poll in served) >= 0.98 * 600.0 / 0.04


def test_a_unit_that_answered_is_mute_after_three_silences_and_rests_longer_and_longer() -> None:
    schedule = Schedule([Poll(1, 0, 0.1)], now=0.0)
    answer(schedule, 0.0)
    unit = schedule.units[1]
    now, rests = 1.0, []
    for count in range(1, 12):
        assert fail(schedule, now) == (count == MUTE_AFTER)
        assert unit.breaker is (Breaker.OPEN if count >= MUTE_AFTER else Breaker.SUSPECT)
        rests.append(unit.rests_until - now)
        now = unit.rests_until + 0.1
    assert rests == pytest.approx([0, 0, 1, 2, 4, 8, 16, 32, LONGEST_REST_S, LONGEST_REST_S, LONGEST_REST_S])
    assert schedule.mute_units() == 1
    assert schedule.is_all_mute()


def test_an_alarm_input_that_lost_one_telegram_is_asked_again_at_once_and_only_once() -> None:
    press, other = Poll(1, 0, 0.1, is_urgent=True), Poll(2, 1, 0.1)
    schedule = Schedule([press, other], now=0.0)
    for _ in range(2):
        answer(schedule, 0.0)
    assert schedule.take(1.0) is press
    schedule.silent(press, 2.0, cost_s=1.0)
    assert schedule.take(2.0) is press
    schedule.silent(press, 3.0, cost_s=1.0)
    assert schedule.take(3.0) is other
    assert schedule.units[1].rests_until == 9.0


def test_a_unit_that_never_answered_is_mute_at_once() -> None:
    schedule = Schedule([Poll(1, 0, 0.1)], now=0.0)
    assert fail(schedule, 0.0)
    assert schedule.units[1].breaker is Breaker.OPEN


def test_an_answer_to_the_probe_closes_the_breaker_and_is_told() -> None:
    schedule = Schedule([Poll(1, 0, 0.1)], now=0.0)
    fail(schedule, 0.0)
    assert schedule.take(0.5) is None
    assert answer(schedule, 1.0)
    assert schedule.units[1].breaker is Breaker.CLOSED
    assert not answer(schedule, 1.2)


def test_while_a_unit_rests_all_its_polls_rest_and_only_one_probes() -> None:
    schedule = Schedule([Poll(1, 0, 0.1), Poll(1, 1, 0.1), Poll(2, 2, 0.1)], now=0.0)
    first = schedule.take(0.0)
    assert first is not None
    schedule.silent(first, 0.5, cost_s=0.5)
    second = schedule.take(0.5)
    assert second is not None
    assert second.unit == 2
    schedule.answered(second, 0.5)
    for now in (0.7, 0.9, 1.3, 1.9):
        poll = schedule.take(now)
        assert poll is None or poll.unit == 2
        if poll is not None:
            schedule.answered(poll, now)
    probe_at = schedule.units[1].rests_until
    assert probe_at == 2.0
    taken = [schedule.take(probe_at) for _ in range(2)]
    probe = next(poll for poll in taken if poll is not None and poll.unit == 1)
    schedule.silent(probe, probe_at + 0.5, cost_s=0.5)
    following = schedule.take(probe_at + 0.6)
    assert following is None or following.unit == 2


def test_two_mute_units_are_never_probed_one_right_after_the_other() -> None:
    polls = [Poll(unit, unit, 1.0) for unit in range(1, 9)]
    schedule = Schedule(polls, now=0.0)
    now, silences = 0.0, list[float]()
    while now < 300.0:
        poll = schedule.take(now)
        if poll is None:
            now = (schedule.next_at() or now) + 1e-9
        elif poll.unit <= 3:
            silences.append(now)
            now += 1.0
            schedule.silent(poll, now, cost_s=1.0)
        else:
            now += WIRE_S
            schedule.answered(poll, now)
    probes = silences[3:]
    assert all(later - earlier >= 2.5 for earlier, later in pairwise(probes))


@pytest.mark.parametrize(("count", "share"), [(1, 0.97), (3, 0.93)])
@pytest.mark.parametrize("every_s", [1.0, 0.2])
def test_mute_units_cost_their_neighbours_next_to_nothing(count: int, share: float, every_s: float) -> None:
    def rate(mute: frozenset[int]) -> float:
        polls = [Poll(unit, unit, every_s) for unit in range(1, 9)]
        served = serve(Schedule(polls, now=0.0), until=48.0, since=8.0, cost_s=WIRE_S, mute=mute)
        return min(Counter(poll.unit for poll in served if poll.unit > 3).values()) / 40.0

    assert rate(frozenset(range(1, count + 1))) >= share * rate(frozenset())


def test_a_unit_that_falls_silent_costs_its_neighbours_next_to_nothing() -> None:
    polls = [Poll(unit, unit, 1.0) for unit in range(1, 9)]
    schedule = Schedule(polls, now=0.0)
    served = serve(schedule, until=28.0, since=8.0, cost_s=WIRE_S, mute=frozenset({3}), timeout_s=1.1, mute_from=8.0)
    counts = Counter(poll.unit for poll in served if poll.unit != 3)
    assert sum(counts.values()) >= 0.97 * 7 * 20


def test_a_slow_unit_has_no_more_of_a_full_line_than_the_others_leave() -> None:
    polls = [Poll(unit, unit, 1.0) for unit in range(1, 9)]
    schedule = Schedule(polls, now=0.0)
    now, turns = 0.0, Counter[int]()
    while now < 100.0:
        poll = schedule.take(now)
        if poll is None:
            now = max(now, schedule.next_at() or now) + 1e-9
            continue
        took_s = 1.05 if poll.unit == 3 else WIRE_S
        now += took_s
        schedule.answered(poll, now, took_s=took_s)
        turns[poll.unit] += 1
    assert min(count for unit, count in turns.items() if unit != 3) >= 95
    assert turns[3] >= 40


def test_one_slow_answer_of_an_alarm_input_does_not_make_its_next_turn_wait() -> None:
    polls = [Poll(unit, unit, 0.01, is_urgent=True) for unit in range(1, 101)]
    schedule = Schedule(polls, now=0.0)
    now, last, longest_s = 0.0, 0.0, 0.0
    for turn in range(20_000):
        poll = schedule.take(now)
        assert poll is not None
        now += 0.05 if turn == 5_000 else 0.0004
        schedule.answered(poll, now, took_s=0.05 if turn == 5_000 else 0.0004)
        if poll.unit == 1:
            longest_s = max(longest_s, now - last)
            last = now
    assert longest_s < 0.2


def test_a_silent_unit_is_given_a_short_while_only_and_now_and_then_its_whole_timeout() -> None:
    poll = Poll(1, 0, 0.1)
    schedule = Schedule([poll], now=0.0)
    answer(schedule, 0.0, took_s=0.05)
    waits = []
    now = 1.0
    for _ in range(10):
        waits.append(schedule.wait_s(poll, 1.0))
        fail(schedule, now)
        now = schedule.units[1].rests_until + 0.2
    assert waits == [1.0, *[0.2] * 7, 1.0, 0.2]
    assert schedule.wait_s(poll, 0.01) == 0.01
    schedule.units[1].slowest_s = 0.0
    assert schedule.wait_s(poll, 1.0) == SHORTEST_WAIT_S


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0.05, 5.0), st.booleans()), min_size=1, max_size=12))
def test_no_poll_ever_starves_on_a_line_with_room(items: list[tuple[int, float, bool]]) -> None:
    polls = [Poll(unit, index, every_s, urgent) for index, (unit, every_s, urgent) in enumerate(items)]
    served = serve(Schedule(polls, now=0.0), until=20.0, cost_s=0.001)
    for poll in polls:
        assert sum(p is poll for p in served) >= int(20.0 / poll.every_s) - 1


@given(
    st.lists(st.tuples(st.integers(1, 4), st.floats(0.05, 3.0), st.booleans()), min_size=1, max_size=8),
    st.lists(st.booleans(), min_size=1, max_size=60),
)
def test_whatever_happens_every_poll_comes_round_again(
    items: list[tuple[int, float, bool]], answers: list[bool]
) -> None:
    polls = [Poll(unit, index, every_s, urgent) for index, (unit, every_s, urgent) in enumerate(items)]
    schedule = Schedule(polls, now=0.0)
    now = 0.0
    for is_answered in answers:
        poll = schedule.take(now)
        if poll is None:
            at = schedule.next_at()
            assert at is not None
            assert at > now
            now = at
        elif is_answered:
            schedule.answered(poll, now + 0.01)
        else:
            schedule.silent(poll, now + 0.5, cost_s=0.5)
            now += 0.5
    seen = {poll.block for poll in serve(schedule, until=now + 400.0, cost_s=0.001)}
    assert seen == {poll.block for poll in polls}
