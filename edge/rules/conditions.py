"""When a reading is an alarm: one small class a kind of rule. Pure; monotonic seconds come from the caller."""

from collections import deque
from typing import Protocol

from contract.telemetry import Value
from device_profiles.model import BitsRule, ContactRule, Flag, PointRule, RateRule, StuckRule, ThresholdRule

NEVER = object()
"""No value is this one: every reading is looked at."""

# Made once: `bool | str` would be made anew for every reading.
_NO_NUMBER = (bool, str)

# A window is kept in so many pieces, so that its memory is bounded however often a point is read.
_PIECES = 64


class Condition(Protocol):
    """What makes an alarm of the readings of one point."""

    def judge(self, value: Value, now: float, *, is_on: bool) -> bool | None:
        """Tell whether this reading, after those before it, is an alarm.

        Args:
            value: the reading.
            now: when it was taken, monotonic seconds.
            is_on: whether the condition holds so far (deadbands).

        Returns:
            None when the reading says neither.
        """

    def calm(self, *, is_on: bool) -> object:
        """Give the one value that never changes anything and need not be judged; `NEVER` when there is none."""


class Contact:
    """A state is as it should not be."""

    def __init__(self, alarm_when: bool = True) -> None:  # noqa: FBT001, FBT002 - the one thing it is made of
        self._alarm_when = alarm_when

    def judge(self, value: Value, now: float, *, is_on: bool) -> bool | None:  # noqa: ARG002
        """See `Condition`."""
        return value is self._alarm_when if isinstance(value, bool) else None

    def calm(self, *, is_on: bool) -> object:
        """See `Condition`."""
        return self._alarm_when is is_on


class _Looking:
    """A condition that looks at every reading."""

    def calm(self, *, is_on: bool) -> object:  # noqa: ARG002
        """See `Condition`."""
        return NEVER


class Threshold(_Looking):
    """A number is past a limit."""

    def __init__(self, rule: ThresholdRule) -> None:
        self._is_above = rule.above is not None
        self._limit = rule.above if rule.above is not None else rule.below or 0.0
        self._deadband = rule.deadband

    def judge(self, value: Value, now: float, *, is_on: bool) -> bool | None:  # noqa: ARG002
        """See `Condition`."""
        if isinstance(value, _NO_NUMBER):
            return None
        band = self._deadband if is_on else 0.0
        return value > self._limit - band if self._is_above else value < self._limit + band


class Bits(_Looking):
    """Any bit of a mask is as it should not be."""

    def __init__(self, mask: int, alarm_when: bool) -> None:  # noqa: FBT001
        self._mask = mask
        self._calm = 0 if alarm_when else mask

    def judge(self, value: Value, now: float, *, is_on: bool) -> bool | None:  # noqa: ARG002
        """See `Condition`."""
        if isinstance(value, _NO_NUMBER):
            return None
        return int(value) & self._mask != self._calm


class Rate(_Looking):
    """A number has changed by more than so much within a window."""

    def __init__(self, rule: RateRule) -> None:
        self._is_rise = rule.rises is not None
        self._limit = (rule.rises if rule.rises is not None else rule.falls) or 0.0
        self._deadband = rule.deadband
        self._within_s = rule.within_s
        self._began_at: float | None = None
        # (piece of time, lowest or highest value in it): what the newest reading is compared with.
        self._ends: deque[tuple[int, float]] = deque(maxlen=_PIECES + 1)

    def judge(self, value: Value, now: float, *, is_on: bool) -> bool | None:
        """See `Condition`; after a restart an alarm stands until the window is full again."""
        if isinstance(value, _NO_NUMBER):
            return None
        self._began_at = now if self._began_at is None else self._began_at
        height = value if self._is_rise else -value
        self._note(height, int(now * _PIECES / self._within_s))
        change = height - min(end for _, end in self._ends)
        if change > self._limit - (self._deadband if is_on else 0.0):
            return True
        return None if is_on and now - self._began_at < self._within_s else False

    def _note(self, height: float, piece: int) -> None:
        while self._ends and self._ends[0][0] < piece - _PIECES:
            self._ends.popleft()
        if self._ends and self._ends[-1][0] == piece:
            self._ends[-1] = (piece, min(height, self._ends[-1][1]))
        else:
            self._ends.append((piece, height))


class Stuck(_Looking):
    """Readings keep coming and do not change."""

    def __init__(self, rule: StuckRule) -> None:
        self._for_s = rule.for_s
        self._tolerance = rule.tolerance
        self._value: Value | None = None
        self._since = 0.0

    def judge(self, value: Value, now: float, *, is_on: bool) -> bool | None:
        """See `Condition`; an alarm of before a restart ends with the first change."""
        if self._value is None or self._has_moved(value):
            is_first = self._value is None
            self._value, self._since = value, now
            return None if is_first else False
        return is_on or now - self._since >= self._for_s

    def _has_moved(self, value: Value) -> bool:
        old = self._value
        if isinstance(value, _NO_NUMBER) or isinstance(old, _NO_NUMBER) or old is None:
            return value != old
        return abs(value - old) > self._tolerance


class OfPolls(_Looking):
    """Several of the last readings are an alarm by another condition."""

    def __init__(self, condition: Condition, *, seen: int, of: int) -> None:
        self._condition = condition
        self._seen = seen
        self._last: deque[bool] = deque(maxlen=of)
        self._of = of

    def judge(self, value: Value, now: float, *, is_on: bool) -> bool | None:
        """See `Condition`; after a restart an alarm stands until enough readings speak against it."""
        verdict = self._condition.judge(value, now, is_on=is_on)
        if verdict is None:
            return None
        self._last.append(verdict)
        hits = sum(self._last)
        if hits >= self._seen:
            return True
        return None if is_on and hits + self._of - len(self._last) >= self._seen else False


def make_condition(rule: PointRule, flag: Flag | None = None) -> Condition:
    """Make the condition of a rule, of one `flag` of it where it has flags."""
    if isinstance(rule, ContactRule | ThresholdRule):
        plain: Condition = Contact(rule.alarm_when) if isinstance(rule, ContactRule) else Threshold(rule)
        return plain if rule.polls is None else OfPolls(plain, seen=rule.polls.seen, of=rule.polls.of)
    if isinstance(rule, BitsRule):
        return Bits(1 << flag.bit if flag is not None else rule.mask or 0, rule.alarm_when)
    if isinstance(rule, RateRule):
        return Rate(rule)
    if isinstance(rule, StuckRule):
        return Stuck(rule)
    return Contact()
