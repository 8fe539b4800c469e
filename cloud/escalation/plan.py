"""What must happen with an alarm until somebody acts: policy, plan and progress. Pure.

A policy is what an area asks for; a plan is the policy of one alarm with its areas worked out, as it was when the
alarm was raised; progress is how far that plan has come. `advance` tells what is due. Whatever a clock or a worker
does, each repetition of each step of each round belongs to exactly one `Tell`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from contract.alarms import Severity

LEVELS = ("grid", "street", "town", "county", "city", "province")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Level = Literal["grid", "street", "town", "county", "city", "province"]
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
        whom: "area": who is on duty in the alarm's own area; "next": one level above the step before; a level's name:
            the first area of that level or above it; "contacts": those named.
        contacts: ids; told beside who is on duty, or alone with "contacts".
        every_s: told again so often.
        times: how often in all; None: until somebody acknowledges.
        channels: only over these; () as each contact prefers.
    """

    wait_s: Wait = 0
    whom: Literal["area", "next", "contacts"] | Level = "area"
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
    whom: Sequence[Literal["area", "next"]] = ["area", *("next" for _ in waits_s[1:])]
    return tuple(
        Step(wait_s=wait_s, whom=one, every_s=every_s, times=times) for wait_s, one in zip(waits_s, whom, strict=True)
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


class Area(Struct, frozen=True):
    """One area of the line from an alarm's own up to the root."""

    id: str
    level: str


class Stage(Struct, frozen=True, omit_defaults=True):
    """A step with its area worked out.

    Attributes:
        area: whose duty is told; None: only `contacts`, or, where the alarm has no area, the settings' fallback.
        level: of that area, for words.
        on_duty: ids of who was on duty there when the alarm was raised; told when nobody is any more.
    """

    wait_s: int
    area: str | None = None
    level: str | None = None
    contacts: tuple[str, ...] = ()
    every_s: int | None = None
    times: int | None = 1
    channels: tuple[str, ...] = ()
    on_duty: tuple[str, ...] = ()


class Plan(Struct, frozen=True, omit_defaults=True):
    """What will happen with one alarm, as its policy and the tree were when it was raised.

    Attributes:
        line: the areas from its own up to the root; () when it has none.
        hours: as the policy's; None when critical.
    """

    severity: Severity
    target_s: int
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
