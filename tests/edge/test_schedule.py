from hypothesis import given
from hypothesis import strategies as st

from edge.schedule import LONGEST_REST_S, MUTE_AFTER, Poll, Schedule


def serve(schedule: Schedule, *, until: float, cost_s: float, mute: frozenset[int] = frozenset()) -> list[Poll]:
    """Run a line on a virtual clock: every transaction costs `cost_s`, a mute unit's ten times that."""
    now, served = 0.0, []
    while now < until:
        poll = schedule.most_urgent(now)
        if poll is None:
            now = max(now, schedule.next_at() or until) + 1e-9
            continue
        if poll.unit in mute:
            now += cost_s * 10
            schedule.silent(poll, now)
        else:
            now += cost_s
            schedule.answered(poll, now)
            served.append(poll)
    return served


def test_what_is_urgent_goes_first_when_both_are_due() -> None:
    slow, fast = Poll(1, 0, 10.0), Poll(2, 1, 0.1, is_urgent=True)
    assert Schedule([slow, fast], now=0.0).most_urgent(0.0) is fast


def test_nothing_is_due_before_its_time() -> None:
    poll = Poll(1, 0, 10.0)
    schedule = Schedule([poll], now=0.0)
    schedule.answered(poll, 0.05)
    assert schedule.most_urgent(9.9) is None
    assert schedule.next_at() == 10.0
    assert schedule.most_urgent(10.0) is poll


def test_a_late_answer_does_not_shift_the_rhythm_and_missed_turns_are_not_made_up() -> None:
    poll = Poll(1, 0, 1.0)
    schedule = Schedule([poll], now=0.0)
    schedule.answered(poll, 3.4)
    assert poll.due_at == 4.0


def test_alarm_inputs_keep_their_period_on_a_full_line() -> None:
    urgent = Poll(1, 0, 0.1, is_urgent=True)
    others = [Poll(unit, unit, 0.01) for unit in range(2, 30)]
    served = serve(Schedule([*others, urgent], now=0.0), until=10.0, cost_s=0.03)
    assert sum(poll is urgent for poll in served) >= 10.0 / 0.13


def test_more_alarm_inputs_than_the_line_can_carry_do_not_starve_the_others() -> None:
    urgent = [Poll(unit, unit, 0.2, is_urgent=True) for unit in range(1, 11)]
    other = Poll(20, 20, 10.0)
    served = serve(Schedule([*urgent, other], now=0.0), until=600.0, cost_s=0.04)
    assert sum(poll is other for poll in served) >= 59
    assert sum(poll in urgent for poll in served) >= 0.98 * 600.0 / 0.04


def test_two_lost_answers_cost_no_rest_but_a_mute_unit_rests_longer_and_longer() -> None:
    poll = Poll(1, 0, 0.1)
    schedule = Schedule([poll], now=0.0)
    assert not any(schedule.silent(poll, 0.0) for _ in range(MUTE_AFTER - 1))
    assert schedule.mute_units() == 0
    assert schedule.silent(poll, 0.0)
    assert schedule.mute_units() == 1
    assert schedule.next_at() == 1.0
    schedule.silent(poll, 1.0)
    assert schedule.next_at() == 3.0
    for _ in range(20):
        schedule.silent(poll, 3.0)
    assert schedule.next_at() == 3.0 + LONGEST_REST_S


def test_an_answer_ends_the_rest_and_is_told() -> None:
    poll = Poll(1, 0, 0.1)
    schedule = Schedule([poll], now=0.0)
    for _ in range(MUTE_AFTER):
        schedule.silent(poll, 0.0)
    assert schedule.answered(poll, 1.0)
    assert not schedule.answered(poll, 1.1)


def test_a_mute_unit_costs_its_neighbours_next_to_nothing() -> None:
    def count(mute: frozenset[int]) -> int:
        polls = [Poll(unit, unit, 0.1) for unit in range(1, 9)]
        served = serve(Schedule(polls, now=0.0), until=600.0, cost_s=0.1, mute=mute)
        return sum(poll.unit != 1 for poll in served)

    healthy = 600.0 / 0.1 * 7 / 8
    assert count(frozenset({1})) >= 0.97 * healthy


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0.05, 5.0), st.booleans()), min_size=1, max_size=12))
def test_no_poll_ever_starves_on_a_line_with_room(items: list[tuple[int, float, bool]]) -> None:
    polls = [Poll(unit, index, every_s, urgent) for index, (unit, every_s, urgent) in enumerate(items)]
    served = serve(Schedule(polls, now=0.0), until=20.0, cost_s=0.001)
    for poll in polls:
        assert sum(p is poll for p in served) >= int(20.0 / poll.every_s) - 1
