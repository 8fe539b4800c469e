import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.telemetry import ClockMark, ClockSource
from edge.clock import (
    LEAST_STEP_US,
    SMALL_US,
    Clock,
    Readers,
    Timeline,
    TimelineState,
    kernel_error_us,
    machine_boot,
    machine_readers,
)

SECOND = 1_000_000
NOON = 1_767_225_600 * SECOND


class Machine:
    """A computer whose clocks a test sets."""

    def __init__(self, *, steady_us: int = 0, wall_us: int = NOON, kernel_error_us: int | None = None) -> None:
        self.steady_us, self.wall_us, self.kernel_error_us = steady_us, wall_us, kernel_error_us

    def clock(self) -> Clock:
        return Clock(Readers(lambda: self.steady_us, lambda: self.wall_us, lambda: self.kernel_error_us, "boot-1"))


def told(wall_us: int = NOON, *, steady_us: int = 0, error_us: int = 1000) -> Timeline:
    timeline = Timeline()
    assert timeline.learn(ClockSource.CLOUD, steady_us=steady_us, wall_us=wall_us, error_us=error_us)
    return timeline


def test_the_first_word_holds_for_all_that_was_before_it() -> None:
    timeline = told(NOON, steady_us=100 * SECOND)
    assert timeline.wall(100 * SECOND) == NOON
    assert timeline.wall(1) == NOON - 100 * SECOND + 1
    assert timeline.mark(100 * SECOND) == ClockMark(ClockSource.CLOUD, 1)


def test_a_time_that_is_wall_time_already_stays_what_it_is() -> None:
    assert told().wall(NOON + 5) == NOON + 5


def test_a_large_step_forward_is_taken_at_once() -> None:
    timeline = told()
    assert timeline.learn(ClockSource.NTP, steady_us=SECOND, wall_us=NOON + 3600 * SECOND, error_us=100)
    assert timeline.wall(SECOND) == NOON + 3600 * SECOND
    assert timeline.wall(SECOND - 1) == NOON + SECOND - 1


@pytest.mark.parametrize("delta_us", [300_000, -300_000])
def test_a_small_correction_is_slewed_by_500_microseconds_a_second(delta_us: int) -> None:
    timeline = told()
    assert timeline.learn(ClockSource.NTP, steady_us=0, wall_us=NOON + delta_us, error_us=100)
    sign = 1 if delta_us > 0 else -1
    assert timeline.wall(10 * SECOND) == NOON + 10 * SECOND + sign * 5000
    assert timeline.mark(10 * SECOND).error_ms == 296
    assert timeline.wall(601 * SECOND) == NOON + 601 * SECOND + delta_us
    assert timeline.mark(601 * SECOND).error_ms < 50


def test_a_clock_that_was_an_hour_ahead_runs_at_half_pace_for_two() -> None:
    timeline = told()
    assert timeline.learn(ClockSource.NTP, steady_us=0, wall_us=NOON - 3600 * SECOND, error_us=100)
    assert timeline.wall(3600 * SECOND) == NOON + 1800 * SECOND
    assert timeline.wall(7200 * SECOND) == NOON + 3600 * SECOND
    assert timeline.wall(7201 * SECOND) == NOON + 3601 * SECOND


def test_a_worse_word_is_not_taken_until_the_better_one_has_aged() -> None:
    timeline = told(error_us=1000)
    assert not timeline.learn(ClockSource.NTP, steady_us=SECOND, wall_us=NOON + 2 * SECOND, error_us=20_000)
    # 50 millionths of 400 s are 20 ms.
    assert timeline.learn(ClockSource.NTP, steady_us=400 * SECOND, wall_us=NOON + 400 * SECOND, error_us=20_000)


def test_a_source_that_contradicts_itself_has_changed_its_mind() -> None:
    timeline = told(error_us=1000)
    late_us = NOON + SECOND - 50_000
    assert not timeline.learn(ClockSource.CLOUD, steady_us=SECOND, wall_us=late_us, error_us=60_000)
    assert timeline.learn(ClockSource.CLOUD, steady_us=SECOND, wall_us=late_us, error_us=10_000)


def test_an_estimate_gives_way_to_anybodys_word_and_takes_nobodys_place() -> None:
    timeline = Timeline()
    assert timeline.learn(ClockSource.ESTIMATED, steady_us=0, wall_us=NOON, error_us=0)
    assert not timeline.is_trusted
    assert timeline.mark(5) == ClockMark(ClockSource.ESTIMATED)
    assert not timeline.learn(ClockSource.ESTIMATED, steady_us=1, wall_us=NOON + 9 * SECOND, error_us=0)
    assert timeline.learn(ClockSource.CLOUD, steady_us=2, wall_us=NOON + 9 * SECOND, error_us=10 * SECOND)
    assert not timeline.learn(ClockSource.ESTIMATED, steady_us=3, wall_us=NOON, error_us=0)
    assert timeline.is_trusted


corrections = st.lists(
    st.tuples(
        st.integers(SECOND, 600 * SECOND),
        st.integers(-7200 * SECOND, 7200 * SECOND) | st.integers(-2 * SMALL_US, 2 * SMALL_US),
    ),
    max_size=12,
)
gaps = st.lists(st.integers(LEAST_STEP_US, 10) | st.integers(LEAST_STEP_US, 300 * SECOND), max_size=80)


@given(corrections=corrections, gaps=gaps, behind=st.integers(0, 5))
def test_stamps_rise_through_every_correction(corrections: list[tuple[int, int]], gaps: list[int], behind: int) -> None:
    """Samples are stamped as they come and made wall time `behind` samples later, as a commit does it."""
    timeline = told()
    steady_us, next_at = 0, 0
    waiting: list[int] = []
    walls: list[int] = []
    plan = list(corrections)
    for gap in gaps:
        steady_us += gap
        if plan and steady_us >= next_at:
            wait_us, delta_us = plan.pop()
            next_at = steady_us + wait_us
            wall_us = timeline.wall(steady_us) + delta_us
            timeline.learn(ClockSource.CLOUD, steady_us=steady_us, wall_us=wall_us, error_us=0)
        waiting.append(steady_us)
        if len(waiting) > behind:
            walls.append(timeline.wall(waiting.pop(0)))
    walls += [timeline.wall(one) for one in waiting]
    assert all(later > earlier for earlier, later in itertools.pairwise(walls))


@given(delta_us=st.integers(-7200 * SECOND, 7200 * SECOND), at_us=st.integers(0, 20_000 * SECOND))
def test_a_restart_goes_on_where_the_run_before_stopped(delta_us: int, at_us: int) -> None:
    timeline = told()
    timeline.learn(ClockSource.CLOUD, steady_us=0, wall_us=NOON + delta_us, error_us=0)
    state = timeline.state
    assert isinstance(state, TimelineState)
    assert Timeline(state).wall(at_us) == timeline.wall(at_us)
    assert Timeline(state).mark(at_us) == timeline.mark(at_us)


def test_stamps_of_one_device_rise_even_when_the_clock_stands() -> None:
    machine = Machine(steady_us=7)
    clock = machine.clock()
    assert [clock.stamp("a"), clock.stamp("a"), clock.stamp("b"), clock.stamp("a")] == [7, 9, 7, 11]


def test_a_word_that_was_long_under_way_changes_no_time_that_was_given() -> None:
    now = 1000 * SECOND
    clock = Clock(Readers(lambda: now, lambda: 0, lambda: None, "boot"))
    clock.learn(ClockSource.CLOUD, NOON, 10 * SECOND)
    now += 60 * SECOND
    given = clock.now_us()
    assert clock.learn(ClockSource.CLOUD, NOON, SECOND, ago_us=SECOND)
    assert clock.now_us() >= given
    assert not clock.learn(ClockSource.CLOUD, 10**17, 0)


def test_the_wall_clock_is_believed_only_while_ntp_keeps_it() -> None:
    machine = Machine(steady_us=100, wall_us=NOON)
    clock = machine.clock()
    assert not clock.ask_kernel()
    assert (clock.now_us(), clock.mark()) == (NOON, ClockMark(ClockSource.ESTIMATED))
    machine.wall_us, machine.kernel_error_us = NOON + 5 * SECOND, 2500
    assert clock.ask_kernel()
    assert clock.now_us() == NOON + 5 * SECOND
    assert clock.mark() == ClockMark(ClockSource.NTP, 3)


def test_somebody_who_lives_before_2000_is_not_believed() -> None:
    clock = Machine().clock()
    assert not clock.learn(ClockSource.CLOUD, 1000, 1)


def test_this_machine_can_be_asked() -> None:
    readers = machine_readers()
    assert 0 < readers.steady_us() < NOON
    assert len(machine_boot()) == 36
    assert (error := kernel_error_us()) is None or error >= 0
