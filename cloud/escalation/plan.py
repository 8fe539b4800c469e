"""What must happen with an alarm until somebody acts: policy, plan and progress. Pure.

A policy is what an area asks for; a plan is the policy of one alarm with its areas worked out, as it was when the
alarm was raised; progress is how far that plan has come. `advance` tells what is due. Whatever a clock or a worker
does, each repetition of each step of each round belongs to exactly one `Tell`.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from cloud.areas.rosters import WEEKDAYS
from cloud.areas.tree import RANK, Level
from cloud.i18n import N_
from contract.alarms import Severity

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_SECOND_US = 1_000_000
_DAY_S = 86_400
# A critical alarm is told for as long as nobody has acknowledged it, whatever its policy leaves out.
_ENDLESS_EVERY_S = 300

Wait = Annotated[int, Meta(ge=0, le=7 * _DAY_S)]
Span = Annotated[int, Meta(ge=10, le=30 * _DAY_S)]
Clock = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Hours(Struct, frozen=True, forbid_unknown_fields=True):
    """Business hours, local: outside of them the steps of a policy wait, unless the alarm is critical.

    Attributes:
        begins, ends: "HH:MM", the end is no longer within; they do not go over midnight.
    """

    begins: Clock
    ends: Clock
    weekdays: Annotated[tuple[Weekday, ...], Meta(min_length=1, max_length=7)] = ("mon", "tue", "wed", "thu", "fri")

    def __post_init__(self) -> None:
        if self.begins >= self.ends:
            raise ValueError(f"hours: {self.begins} to {self.ends} ends before it begins")


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to tell when nobody has acknowledged.

    Attributes:
        wait_s: since the round began.
        whom: "area": who is on duty in the alarm's own area; "next": in the area above that of the step before; a
            level's name: in the first area of that level or above it; "contacts": those named.
        contacts: ids; told beside who is on duty, or alone with "contacts".
        every_s: told again so often.
        times: how often in all; None: until somebody acknowledges.
        channels: only over these; () as each contact prefers.
    """

    wait_s: Wait = 0
    whom: Literal["area", "next", "contacts", "grid", "street", "town", "county", "city", "province"] = "area"
    contacts: Annotated[tuple[Name, ...], Meta(max_length=50)] = ()
    every_s: Span | None = None
    times: Annotated[int, Meta(ge=1, le=10_000)] | None = 1
    channels: Annotated[tuple[Name, ...], Meta(max_length=20)] = ()

    def __post_init__(self) -> None:
        if self.whom == "contacts" and not self.contacts:
            raise ValueError('whom = "contacts" needs contacts')
        if self.every_s is None and self.times != 1:
            raise ValueError("times needs every_s")


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """What must happen with an alarm of one severity.

    Attributes:
        target_s: within which somebody must have acknowledged.
        steps: in the order of their waits.
        remind_after_s: after an acknowledgement that nothing followed (nobody sent, not closed), who gave it and who
            is on duty are reminded.
        unacknowledge_after_s: after it the acknowledgement is taken back and a new round begins.
        hours: None: at any time.
        auto_close_after_s: so long after its condition ended the desk closes it, whoever has seen it; never a
            critical or a latched one.
    """

    target_s: Annotated[int, Meta(ge=1, le=30 * _DAY_S)] = 300
    steps: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=32)] = (Step(),)
    remind_after_s: Span | None = None
    unacknowledge_after_s: Span | None = None
    hours: Hours | None = None
    auto_close_after_s: Span | None = None

    def __post_init__(self) -> None:
        waits = [step.wait_s for step in self.steps]
        if waits != sorted(waits):
            raise ValueError("steps stand in the order of wait_s")
        remind, take_back = self.remind_after_s, self.unacknowledge_after_s
        if remind is not None and take_back is not None and take_back <= remind:
            raise ValueError("unacknowledge_after_s comes after remind_after_s")


def _upwards(waits_s: Sequence[int], *, every_s: int | None, times: int | None) -> tuple[Step, ...]:
    """The own area first, with each further wait the area above."""
    return tuple(
        Step(wait_s=wait_s, whom="next" if above else "area", every_s=every_s, times=times)
        for above, wait_s in enumerate(waits_s)
    )


DEFAULTS = {
    # The whole line of the tree has been told when the target of 300 s is over.
    Severity.CRITICAL: Policy(
        steps=_upwards((0, 60, 120, 180, 240, 300), every_s=300, times=None),
        remind_after_s=120,
        unacknowledge_after_s=300,
    ),
    Severity.HIGH: Policy(
        steps=_upwards((0, 300, 900), every_s=900, times=4), remind_after_s=600, unacknowledge_after_s=1_800
    ),
    Severity.MEDIUM: Policy(steps=_upwards((0, 1_800), every_s=None, times=1), remind_after_s=3_600),
    Severity.LOW: Policy(steps=(Step(),)),
}
"""Where no area says anything else."""


class Above(Struct, frozen=True):
    """One area of the line from an alarm's own up to the root."""

    id: str
    level: Level


class Stage(Struct, frozen=True, omit_defaults=True):
    """A step with its area worked out.

    Attributes:
        area: whose duty is told; None: `contacts` alone, or the settings' fallback where there are none.
        level: of that area, for words.
        on_duty: ids of who was on duty there when the alarm was raised, told when nobody is any more; None: not noted
            yet.
    """

    wait_s: int
    area: str | None = None
    level: Level | None = None
    contacts: tuple[str, ...] = ()
    every_s: int | None = None
    times: int | None = 1
    channels: tuple[str, ...] = ()
    on_duty: tuple[str, ...] | None = None


class Plan(Struct, frozen=True, omit_defaults=True):
    """What will happen with one alarm, as its policy and the tree were when it was raised.

    Attributes:
        line: ids of the areas from its own up to the root; () when it has none.
        hours, auto_close_after_s: as the policy's; None when it is critical.
    """

    severity: Severity
    stages: tuple[Stage, ...]
    line: tuple[str, ...] = ()
    remind_after_s: int | None = None
    unacknowledge_after_s: int | None = None
    hours: Hours | None = None
    auto_close_after_s: int | None = None


class Progress(Struct, frozen=True):
    """How far a plan has come.

    Attributes:
        round: 1 for the first; goes up whenever it begins anew.
        taken: of each stage, how many of its repetitions were taken in this round.
        reminded_of_us: the moment of the acknowledgement that was reminded of.
    """

    round: int
    began_at_us: int
    taken: tuple[int, ...]
    reminded_of_us: int | None = None


class Idle(StrEnum):
    """Why an open alarm has no next step; stored, and shown to people."""

    SHELVED = N_("shelved")
    SUPPRESSED = N_("suppressed by design")
    OUT_OF_SERVICE = N_("out of service")
    DISPATCHED = N_("somebody was sent")
    ARRIVED = N_("somebody is on scene")
    ACKNOWLEDGED = N_("acknowledged, and its policy asks for nothing more")
    ALL_TAKEN = N_("every step of its policy was taken")


class Facts(Struct, frozen=True):
    """What a plan must know of its alarm.

    Attributes:
        silent: shelved, suppressed or out of service; None: none of them.
        followed: what came after its acknowledgement; None: nothing.
    """

    acknowledged_at_us: int | None = None
    cleared_at_us: int | None = None
    latched: bool = False
    silent: Idle | None = None
    followed: Idle | None = None


class Tell(Struct, frozen=True):
    """Tell the people of a stage.

    Attributes:
        stage: its place in the plan.
        first, last: the repetitions that this one message stands for, from 1: a worker that comes late, or business
            hours that begin, tell once what was due more than once.
        due_at_us: of the first of them.
    """

    stage: int
    first: int
    last: int
    due_at_us: int


class Remind(Struct, frozen=True):
    """Remind who acknowledged, and who is on duty."""

    acknowledged_at_us: int


class TakeBack(Struct, frozen=True):
    """Take the acknowledgement back; a new round begins."""


class Close(Struct, frozen=True):
    """Close the alarm: its condition ended long ago."""


Action = Tell | Remind | TakeBack | Close


class Advance(Struct, frozen=True):
    """What is due, and what comes next.

    Attributes:
        actions: in their order.
        progress: once they are done.
        next_at_us: when to ask again; None: not before something happens to the alarm, and `idle` says why.
    """

    actions: tuple[Action, ...]
    progress: Progress
    next_at_us: int | None
    idle: Idle | None = None


def make_plan(policy: Policy, severity: Severity, line: Sequence[Above]) -> Plan:
    """Work out a policy for one alarm.

    A step above the top of the tree is left out, unless it names contacts. A critical alarm's last step is told again
    and again when no other is: somebody must acknowledge it.

    Args:
        policy: of the alarm's place and severity.
        severity: the alarm's.
        line: the areas from its own up to the root; empty when it has none.
    """
    stages: list[Stage] = []
    at = 0
    for step in policy.steps:
        at = _place(step, line, at)
        there = line[at] if step.whom != "contacts" and at < len(line) else None
        if there is not None or step.contacts or (at == 0 and not line):
            stages.append(_stage(step, there))
    if not stages:
        stages.append(_stage(policy.steps[0], line[-1]))
    is_critical = severity is Severity.CRITICAL
    if is_critical and all(stage.times is not None for stage in stages):
        every_s = stages[-1].every_s or _ENDLESS_EVERY_S
        stages[-1] = msgspec.structs.replace(stages[-1], every_s=every_s, times=None)
    return Plan(
        severity=severity,
        stages=tuple(stages),
        line=tuple(one.id for one in line),
        remind_after_s=policy.remind_after_s,
        unacknowledge_after_s=policy.unacknowledge_after_s,
        hours=None if is_critical else policy.hours,
        auto_close_after_s=None if is_critical else policy.auto_close_after_s,
    )


def _place(step: Step, line: Sequence[Above], before: int) -> int:
    """The step's place in the line; its length, or more, when it lies above the top."""
    if step.whom == "area" or (not line and step.whom in RANK):
        return 0
    if step.whom == "next":
        return before + 1
    if step.whom == "contacts":
        return before
    wanted = RANK[Level(step.whom)]
    return next((place for place, one in enumerate(line) if RANK[one.level] >= wanted), len(line) - 1)


def _stage(step: Step, there: Above | None) -> Stage:
    return Stage(
        wait_s=step.wait_s,
        area=None if there is None else there.id,
        level=None if there is None else there.level,
        contacts=step.contacts,
        every_s=step.every_s,
        times=step.times,
        channels=step.channels,
    )


def begin(plan: Plan, now_us: int, *, after: Progress | None = None) -> Progress:
    """Begin the first round, or the one after `after`, of which nothing is taken yet."""
    return Progress(1 if after is None else after.round + 1, now_us, (0,) * len(plan.stages))


def advance(plan: Plan, progress: Progress, facts: Facts, now_us: int, zone: ZoneInfo) -> Advance:
    """Tell what is due by now and when to ask again.

    Args:
        plan: the alarm's.
        progress: so far; of this plan.
        facts: as the alarm is now; it is open.
        now_us: wall time; it may jump, back too.
        zone: in which business hours are meant.
    """
    if facts.silent is not None:
        return Advance((), progress, None, facts.silent)
    open_us = _next_open_us(plan.hours, now_us, zone)
    close_us = _close_us(plan, facts)
    if close_us is not None and close_us <= now_us == open_us:
        return Advance((Close(),), progress, now_us)
    if facts.acknowledged_at_us is None:
        found = _tell(plan, progress, now_us, is_open=open_us == now_us)
    else:
        found = _remind(plan, progress, facts, facts.acknowledged_at_us, now_us if open_us == now_us else None)
    moments = [moment for moment in (found.next_at_us, close_us) if moment is not None]
    if not moments:
        return found
    # What was due at night is due when the hours begin.
    next_at_us = _next_open_us(plan.hours, max(min(moments), open_us if open_us > now_us else 0), zone)
    return msgspec.structs.replace(found, next_at_us=next_at_us, idle=None)


def _tell(plan: Plan, progress: Progress, now_us: int, *, is_open: bool) -> Advance:
    tells: list[Tell] = []
    taken = list(progress.taken)
    coming: list[int] = []
    for place, stage in enumerate(plan.stages):
        due_us = _due_us(stage, progress, taken[place])
        if is_open and due_us is not None and due_us <= now_us:
            last = _repetitions(stage, progress, now_us)
            tells.append(Tell(place, taken[place] + 1, last, due_us))
            taken[place] = last
            due_us = _due_us(stage, progress, last)
        if due_us is not None:
            coming.append(due_us)
    tells.sort(key=lambda tell: (tell.due_at_us, tell.stage))
    following = msgspec.structs.replace(progress, taken=tuple(taken))
    return Advance(tuple(tells), following, min(coming, default=None), None if coming else Idle.ALL_TAKEN)


def _due_us(stage: Stage, progress: Progress, taken: int) -> int | None:
    """When the repetition after those taken is due; None: there is none."""
    if stage.times is not None and taken >= stage.times:
        return None
    return progress.began_at_us + (stage.wait_s + taken * (stage.every_s or 0)) * _SECOND_US


def _repetitions(stage: Stage, progress: Progress, now_us: int) -> int:
    """How many repetitions are due by now; the first is."""
    if stage.every_s is None:
        return 1
    since_us = now_us - progress.began_at_us - stage.wait_s * _SECOND_US
    due = since_us // (stage.every_s * _SECOND_US) + 1
    return due if stage.times is None else min(due, stage.times)


def _remind(plan: Plan, progress: Progress, facts: Facts, since_us: int, now_us: int | None) -> Advance:
    """What follows an acknowledgement; `now_us` None: outside of business hours."""
    if facts.followed is not None:
        return Advance((), progress, None, facts.followed)
    actions: list[Action] = []
    coming: list[int] = []
    if plan.remind_after_s is not None and progress.reminded_of_us != since_us:
        due_us = since_us + plan.remind_after_s * _SECOND_US
        if now_us is not None and due_us <= now_us:
            actions.append(Remind(since_us))
            progress = msgspec.structs.replace(progress, reminded_of_us=since_us)
        else:
            coming.append(due_us)
    if plan.unacknowledge_after_s is not None:
        due_us = since_us + plan.unacknowledge_after_s * _SECOND_US
        coming.append(due_us)
        if now_us is not None and due_us <= now_us:
            actions.append(TakeBack())
    return Advance(tuple(actions), progress, min(coming, default=None), None if coming else Idle.ACKNOWLEDGED)


def _close_us(plan: Plan, facts: Facts) -> int | None:
    if plan.auto_close_after_s is None or facts.cleared_at_us is None or facts.latched:
        return None
    return facts.cleared_at_us + plan.auto_close_after_s * _SECOND_US


def _next_open_us(hours: Hours | None, at_us: int, zone: ZoneInfo) -> int:
    """The first moment from `at_us` on that lies within the hours: `at_us` itself when it does."""
    if hours is None:
        return at_us
    day = datetime.fromtimestamp(at_us // _SECOND_US, UTC).astimezone(zone).date()
    while True:
        if WEEKDAYS[day.weekday()] in hours.weekdays:
            begins_us, ends_us = (_moment_us(day, clock, zone) for clock in (hours.begins, hours.ends))
            if at_us < ends_us:
                return max(at_us, begins_us)
        day += timedelta(days=1)


def _moment_us(day: date, clock: str, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time.fromisoformat(clock), zone).timestamp()) * _SECOND_US
