"""The schedule of one line: what is due, what is most urgent, and who is left alone. Pure.

Times are seconds of a monotonic clock that the caller reads.
"""

from collections.abc import Iterable

from msgspec import Struct

# One lost answer is noise; three in a row are a mute unit. It is tried again after 1 s, then 2, 4, ... 60 s:
# back within a minute of its repair, and costing the line one timeout a minute while it is away.
MUTE_AFTER = 3
FIRST_REST_S = 1.0
LONGEST_REST_S = 60.0
URGENT_RUN = 4


class Poll(Struct, eq=False):
    """One block read that comes round again and again.

    Attributes:
        unit: unit id on the line.
        block: index that the caller understands.
        every_s: period.
        is_urgent: goes before everything that is not, when due.
        due_at: next time it should be sent.
    """

    unit: int
    block: int
    every_s: float
    is_urgent: bool = False
    due_at: float = 0.0


class _Unit(Struct):
    failures: int = 0
    rests_until: float = 0.0


class Schedule:
    """Whose turn it is on one line."""

    def __init__(self, polls: Iterable[Poll], *, now: float) -> None:
        """Take the polls; all are due at once, urgent ones first."""
        self._polls = list(polls)
        self._urgent_run = 0
        self._units = {poll.unit: _Unit() for poll in self._polls}
        for poll in self._polls:
            poll.due_at = now

    def most_urgent(self, now: float) -> Poll | None:
        """Return the poll to send at `now`: due, of a unit that does not rest; None when there is none.

        Urgent ones go first, but after `URGENT_RUN` of them one of the others passes, so that a line with more
        alarm inputs than it can carry still brings every reading, late.
        """
        due = [poll for poll in self._polls if self._starts_at(poll) <= now]
        urgent = [poll for poll in due if poll.is_urgent]
        others = [poll for poll in due if not poll.is_urgent]
        is_their_turn = bool(others) and (not urgent or self._urgent_run >= URGENT_RUN)
        self._urgent_run = 0 if is_their_turn or not others else self._urgent_run + 1
        return min(others if is_their_turn else urgent, key=lambda poll: poll.due_at, default=None)

    def next_at(self) -> float | None:
        """Return when the next poll will be due; None when there are no polls."""
        return min(map(self._starts_at, self._polls), default=None)

    def answered(self, poll: Poll, now: float) -> bool:
        """Note an answer and set the next turn; True when the unit had been mute.

        The rhythm is kept: a late poll does not shift those after it, and turns that were missed are not made up.
        """
        self._next_turn(poll, now)
        unit = self._units[poll.unit]
        was_mute = unit.failures >= MUTE_AFTER
        unit.failures, unit.rests_until = 0, 0.0
        return was_mute

    def silent(self, poll: Poll, now: float) -> bool:
        """Note that the unit kept silent; once mute it rests, longer each time. True when it just became mute."""
        self._next_turn(poll, now)
        unit = self._units[poll.unit]
        unit.failures = min(unit.failures + 1, MUTE_AFTER + 16)
        rests = unit.failures - MUTE_AFTER
        if rests >= 0:
            unit.rests_until = now + min(FIRST_REST_S * 2.0**rests, LONGEST_REST_S)
        return rests == 0

    def mute_units(self) -> int:
        """Count the units that rest because they are mute."""
        return sum(unit.failures >= MUTE_AFTER for unit in self._units.values())

    def is_all_mute(self) -> bool:
        """Tell whether every unit rests because it is mute."""
        return self.mute_units() == len(self._units)

    def _starts_at(self, poll: Poll) -> float:
        return max(poll.due_at, self._units[poll.unit].rests_until)

    @staticmethod
    def _next_turn(poll: Poll, now: float) -> None:
        missed = max(0.0, (now - poll.due_at) // poll.every_s)
        poll.due_at += (missed + 1) * poll.every_s
