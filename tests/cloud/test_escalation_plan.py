"""Plans: whom each step means, and that no time and no clock loses a step or takes it twice."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.areas.tree import Level
from cloud.escalation.plan import (
    DEFAULTS,
    Above,
    Action,
    Advance,
    Close,
    Facts,
    Hours,
    Idle,
    Plan,
    Policy,
    Progress,
    Remind,
    Stage,
    Step,
    TakeBack,
    Tell,
    advance,
    begin,
    make_plan,
)
from contract.alarms import Severity

S_US = 1_000_000
T0_US = 1_700_000_000 * S_US
ZONE = ZoneInfo("Asia/Shanghai")
LINE = [
    Above("g1", Level.GRID),
    Above("s1", Level.STREET),
    Above("t1", Level.TOWN),
    Above("c1", Level.COUNTY),
]
NOTHING = Facts()


def local_us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()) * S_US


def plan_of(policy: Policy, severity: Severity = Severity.HIGH) -> Plan:
    return make_plan(policy, severity, LINE)


def asked(plan: Plan, progress: Progress, at_s: float, facts: Facts = NOTHING) -> Advance:
    return advance(plan, progress, facts, T0_US + int(at_s * S_US), ZONE)


def told(actions: tuple[Action, ...]) -> list[tuple[int, int, int]]:
    return [(action.stage, action.first, action.last) for action in actions if isinstance(action, Tell)]


# Policies


@pytest.mark.parametrize(
    "faulty",
    [
        {"steps": []},
        {"steps": [{"whom": "contacts"}]},
        {"steps": [{"whom": "village"}]},
        {"steps": [{"times": 2}]},
        {"steps": [{"every_s": 60, "times": 0}]},
        {"steps": [{"wait_s": 60}, {"wait_s": 0}]},
        {"steps": [{"wait": 60}]},
        {"target_s": 0},
        {"remind_after_s": 60, "unacknowledge_after_s": 60},
        {"hours": {"begins": "18:00", "ends": "08:00"}},
        {"hours": {"begins": "8:00", "ends": "18:00"}},
        {"hours": {"begins": "08:00", "ends": "18:00", "weekdays": []}},
    ],
)
def test_a_faulty_policy_is_refused(faulty: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(faulty, Policy)


@pytest.mark.parametrize("severity", Severity)
def test_a_policy_survives_json(severity: Severity) -> None:
    assert msgspec.json.decode(msgspec.json.encode(DEFAULTS[severity]), type=Policy) == DEFAULTS[severity]


# Steps to areas


def areas_of(*steps: Step, line: list[Above] | None = None) -> list[str | None]:
    plan = make_plan(Policy(steps=steps), Severity.HIGH, LINE if line is None else line)
    return [stage.area for stage in plan.stages]


def test_next_is_the_area_above_that_of_the_step_before() -> None:
    up = Step(whom="next")
    assert areas_of(Step(), up, up, up) == ["g1", "s1", "t1", "c1"]
    assert areas_of(Step(whom="town"), up) == ["t1", "c1"]
    assert areas_of(Step(), Step(whom="contacts", contacts=("a",)), up) == ["g1", None, "s1"]


def test_steps_above_the_top_are_left_out_unless_they_name_somebody() -> None:
    up = Step(whom="next")
    assert areas_of(Step(), up, up, line=LINE[:2]) == ["g1", "s1"]
    assert areas_of(Step(), up, Step(whom="next", contacts=("a",)), line=LINE[:1]) == ["g1", None]
    assert areas_of(up, line=LINE[:1]) == ["g1"]


def test_a_named_level_is_the_first_area_of_that_level_or_above() -> None:
    assert areas_of(Step(whom="county")) == ["c1"]
    assert areas_of(Step(whom="street"), line=[LINE[0], LINE[3]]) == ["c1"]
    assert areas_of(Step(whom="grid"), line=LINE[2:]) == ["t1"]
    assert areas_of(Step(whom="province")) == ["c1"]


def test_without_an_area_the_steps_that_mean_one_are_one_step() -> None:
    plan = make_plan(DEFAULTS[Severity.CRITICAL], Severity.CRITICAL, [])
    assert plan.stages == (Stage(0, every_s=300, times=None),)
    assert areas_of(Step(whom="next"), Step(whom="contacts", contacts=("a",)), line=[]) == [None]


def test_the_built_in_plan_of_a_critical_alarm_has_told_the_whole_line_within_its_target() -> None:
    policy = DEFAULTS[Severity.CRITICAL]
    plan = plan_of(policy, Severity.CRITICAL)
    assert [(stage.area, stage.wait_s) for stage in plan.stages] == [("g1", 0), ("s1", 60), ("t1", 120), ("c1", 180)]
    assert max(stage.wait_s for stage in plan.stages) <= policy.target_s


def test_a_critical_alarm_is_told_without_end_whatever_its_policy_says() -> None:
    policy = Policy(
        steps=(Step(), Step(wait_s=60, whom="next")),
        hours=Hours("08:00", "18:00"),
        auto_close_after_s=60,
    )
    plan = plan_of(policy, Severity.CRITICAL)
    assert [stage.times for stage in plan.stages] == [1, None]
    assert (plan.hours, plan.auto_close_after_s) == (None, None)
    assert [stage.times for stage in plan_of(policy).stages] == [1, 1]


# Time


REPEATING = Policy(steps=(Step(every_s=100, times=3), Step(wait_s=150, whom="next")))


def test_steps_are_taken_in_their_time() -> None:
    plan = plan_of(REPEATING)
    first = asked(plan, begin(plan, T0_US), 0)
    assert (told(first.actions), first.next_at_us) == ([(0, 1, 1)], T0_US + 100 * S_US)
    early = asked(plan, first.progress, 99.9)
    assert (early.actions, early.next_at_us) == ((), T0_US + 100 * S_US)
    second = asked(plan, early.progress, 100)
    assert (told(second.actions), second.next_at_us) == ([(0, 2, 2)], T0_US + 150 * S_US)
    third = asked(plan, second.progress, 150)
    assert (told(third.actions), third.next_at_us) == ([(1, 1, 1)], T0_US + 200 * S_US)
    last = asked(plan, third.progress, 200)
    assert (told(last.actions), last.next_at_us, last.idle) == ([(0, 3, 3)], None, Idle.ALL_TAKEN)


def test_a_late_worker_tells_what_is_overdue_once_and_in_order() -> None:
    plan = plan_of(REPEATING)
    late = asked(plan, begin(plan, T0_US), 10_000)
    assert told(late.actions) == [(0, 1, 3), (1, 1, 1)]
    assert late.idle is Idle.ALL_TAKEN


def test_a_clock_that_goes_back_takes_nothing_twice() -> None:
    plan = plan_of(REPEATING)
    first = asked(plan, begin(plan, T0_US), 160)
    back = asked(plan, first.progress, -5_000)
    assert (back.actions, back.next_at_us) == ((), T0_US + 200 * S_US)


def test_silence_has_its_reason_and_ends_no_round() -> None:
    plan = plan_of(REPEATING)
    progress = asked(plan, begin(plan, T0_US), 0).progress
    for silent in (Idle.SHELVED, Idle.SUPPRESSED, Idle.OUT_OF_SERVICE):
        found = asked(plan, progress, 160, Facts(silent=silent))
        assert found == Advance((), progress, None, silent)
    assert told(asked(plan, progress, 160).actions) == [(0, 2, 2), (1, 1, 1)]


ACKED_US = T0_US + 10 * S_US
REMINDING = Policy(remind_after_s=60, unacknowledge_after_s=300)


def test_an_acknowledgement_that_nothing_follows_is_reminded_of_and_taken_back() -> None:
    plan = plan_of(REMINDING)
    acked = Facts(acknowledged_at_us=ACKED_US)
    waiting = asked(plan, begin(plan, T0_US), 11, acked)
    assert (waiting.actions, waiting.next_at_us) == ((), ACKED_US + 60 * S_US)
    reminded = asked(plan, waiting.progress, 70, acked)
    assert (reminded.actions, reminded.next_at_us) == ((Remind(ACKED_US),), ACKED_US + 300 * S_US)
    assert asked(plan, reminded.progress, 71, acked).actions == ()
    assert asked(plan, reminded.progress, 310, acked).actions == (TakeBack(),)
    assert asked(plan, waiting.progress, 310, acked).actions == (Remind(ACKED_US), TakeBack())


def test_each_acknowledgement_is_reminded_of_by_itself() -> None:
    plan = plan_of(REMINDING)
    reminded = asked(plan, begin(plan, T0_US), 70, Facts(acknowledged_at_us=ACKED_US)).progress
    later = ACKED_US + 100 * S_US
    assert asked(plan, reminded, 170, Facts(acknowledged_at_us=later)).actions == (Remind(later),)


@pytest.mark.parametrize("followed", [Idle.DISPATCHED, Idle.ARRIVED])
def test_whoever_was_sent_ends_the_reminders(followed: Idle) -> None:
    plan = plan_of(REMINDING)
    found = asked(plan, begin(plan, T0_US), 1_000, Facts(acknowledged_at_us=ACKED_US, followed=followed))
    assert (found.actions, found.next_at_us, found.idle) == ((), None, followed)


def test_without_a_reminder_an_acknowledged_alarm_waits_for_people() -> None:
    plan = plan_of(Policy())
    found = asked(plan, begin(plan, T0_US), 1_000, Facts(acknowledged_at_us=ACKED_US))
    assert (found.next_at_us, found.idle) == (None, Idle.ACKNOWLEDGED)


def test_what_is_over_is_closed_in_its_time_but_never_while_latched() -> None:
    plan = plan_of(Policy(auto_close_after_s=600))
    cleared = Facts(cleared_at_us=ACKED_US)
    waiting = asked(plan, begin(plan, T0_US), 11, cleared)
    assert waiting.next_at_us == ACKED_US + 600 * S_US
    assert asked(plan, waiting.progress, 610, cleared).actions == (Close(),)
    latched = asked(plan, waiting.progress, 610, Facts(cleared_at_us=ACKED_US, latched=True))
    assert (latched.actions, latched.idle) == ((), Idle.ALL_TAKEN)


# Business hours; 2026-11-20 is a Friday.

OFFICE = Policy(steps=(Step(every_s=3_600, times=20),), hours=Hours("08:00", "18:00"), remind_after_s=60)


@pytest.mark.parametrize(
    ("raised", "next_at"),
    [
        ("2026-11-20T07:59:59", "2026-11-20T08:00:00"),
        ("2026-11-20T18:00:00", "2026-11-23T08:00:00"),
        ("2026-11-21T12:00:00", "2026-11-23T08:00:00"),
    ],
)
def test_outside_of_business_hours_steps_wait(raised: str, next_at: str) -> None:
    plan, at_us = plan_of(OFFICE), local_us(raised)
    found = advance(plan, begin(plan, at_us), NOTHING, at_us, ZONE)
    assert (found.actions, found.next_at_us) == ((), local_us(next_at))


def test_what_was_due_at_night_is_told_once_in_the_morning() -> None:
    plan = plan_of(OFFICE)
    evening, morning = local_us("2026-11-19T17:30:00"), local_us("2026-11-20T08:00:00")
    first = advance(plan, begin(plan, evening), NOTHING, evening, ZONE)
    assert (told(first.actions), first.next_at_us) == ([(0, 1, 1)], morning)
    second = advance(plan, first.progress, NOTHING, morning, ZONE)
    assert (told(second.actions), second.next_at_us) == ([(0, 2, 15)], morning + 1_800 * S_US)


def test_reminders_wait_for_business_hours_too() -> None:
    plan, at_us = plan_of(OFFICE), local_us("2026-11-19T17:59:30")
    found = advance(plan, begin(plan, at_us), Facts(acknowledged_at_us=at_us), at_us + 90 * S_US, ZONE)
    assert (found.actions, found.next_at_us) == ((), local_us("2026-11-20T08:00:00"))


# Whatever happens

policies = st.builds(
    Policy,
    steps=st.lists(
        st.one_of(
            st.builds(Step, wait_s=st.integers(0, 2_000), whom=st.sampled_from(["area", "next", "town", "county"])),
            st.builds(
                Step,
                wait_s=st.integers(0, 2_000),
                every_s=st.integers(10, 900),
                times=st.none() | st.integers(1, 6),
            ),
        ),
        min_size=1,
        max_size=5,
    ).map(lambda steps: tuple(sorted(steps, key=lambda step: step.wait_s))),
    remind_after_s=st.none() | st.integers(10, 500),
    unacknowledge_after_s=st.none() | st.integers(501, 900),
    hours=st.none() | st.just(Hours("08:00", "18:00")),
)
severities = st.sampled_from(Severity)
jumps = st.lists(st.integers(-5_000, 5_000), max_size=30)


@given(policies, severities, jumps)
def test_each_repetition_belongs_to_exactly_one_telling(policy: Policy, severity: Severity, moves: list[int]) -> None:
    plan = plan_of(policy, severity)
    progress, at_us = begin(plan, T0_US), T0_US
    latest_us = T0_US
    seen: dict[int, int] = {}
    for move in [*moves, 30 * 86_400]:
        at_us += move * S_US
        latest_us = max(latest_us, at_us)
        found = advance(plan, progress, NOTHING, at_us, ZONE)
        progress = found.progress
        dues = [action.due_at_us for action in found.actions if isinstance(action, Tell)]
        assert dues == sorted(dues)
        for stage, first, last in told(found.actions):
            assert first == seen.get(stage, 0) + 1 <= last
            seen[stage] = last
        assert (found.next_at_us is None) == (found.idle is not None)
        assert found.next_at_us is None or found.next_at_us > at_us or not found.actions
    if plan.hours is None:
        for place, one in enumerate(plan.stages):
            due = (latest_us - T0_US - one.wait_s * S_US) // ((one.every_s or 10**12) * S_US) + 1
            assert seen[place] == (due if one.times is None else min(due, one.times))


@given(policies, jumps, st.lists(st.booleans(), max_size=30))
def test_whoever_asks_at_the_moment_named_misses_nothing(
    policy: Policy, moves: list[int], acknowledges: list[bool]
) -> None:
    """One asks often, one only when told to: both take the same, and none takes anything before its time."""
    plan = plan_of(policy)
    often = seldom = begin(plan, T0_US)
    facts = [Facts(acknowledged_at_us=T0_US if is_acknowledged else None) for is_acknowledged in acknowledges]
    at_us, next_at_us = T0_US, T0_US
    for move, now in zip(moves, facts, strict=False):
        at_us += abs(move) * S_US
        often_found = advance(plan, often, now, at_us, ZONE)
        often = often_found.progress
        if next_at_us <= at_us or now.acknowledged_at_us is not None:
            found = advance(plan, seldom, now, at_us, ZONE)
            seldom, next_at_us = found.progress, found.next_at_us or T0_US * 2
        if now.acknowledged_at_us is not None:
            # As a change does it: the row is due.
            next_at_us = at_us
        assert often == seldom


@given(policies, st.integers(0, 100_000))
def test_an_unacknowledged_critical_alarm_always_has_a_next_step(policy: Policy, at_s: int) -> None:
    plan = plan_of(policy, Severity.CRITICAL)
    found = asked(plan, begin(plan, T0_US), at_s)
    assert found.next_at_us is not None
    assert found.next_at_us > T0_US + at_s * S_US


@given(policies, jumps)
def test_a_round_after_an_acknowledgement_taken_back_begins_from_the_first_step(
    policy: Policy, moves: list[int]
) -> None:
    plan = plan_of(msgspec.structs.replace(policy, hours=None))
    progress, at_us = begin(plan, T0_US), T0_US
    for move in moves:
        at_us += move * S_US
        progress = advance(plan, progress, NOTHING, at_us, ZONE).progress
    again = begin(plan, at_us, after=progress)
    assert again.round == progress.round + 1
    due_at_once = [stage for stage in plan.stages if stage.wait_s == 0]
    assert len(told(advance(plan, again, NOTHING, at_us, ZONE).actions)) == len(due_at_once)
