"""The schedule of one line: what is due, what is most urgent, and who is left alone. Pure.

Times are seconds of a monotonic clock that the caller reads.

The breaker of a unit: `closed` while it answers; after a silence it rests for a multiple of what the silence cost
the line; after `MUTE_AFTER` of them in a row (or the first, of a unit that never answered) it is `open` and rests
longer each time; the one try after a rest is the half-open probe, and an answer to it closes the breaker.
"""

from collections.abc import Iterable
from enum import StrEnum
from heapq import heapify, heappop, heappush, heapreplace

from msgspec import Struct

# One lost answer is noise; three in a row are a mute unit. It is tried again later and later, a minute at most:
# back within a minute of its repair, and costing the line one timeout a minute while it is away.
MUTE_AFTER = 3
FIRST_REST_S = 1.0
LONGEST_REST_S = 60.0
# A silence is followed by three times its length for the others: a line that is three quarters busy loses nothing.
REST_PER_SILENCE = 3.0
# The same between silences of different units: three mute ones must not stand in a row.
PAUSE_PER_SILENCE = 1.5
URGENT_RUN = 4
# Every so many tries of a mute unit one waits for the whole timeout, on lines where the others wait shortly.
PATIENT_EVERY = 8
# A short wait is this many times the longest that the unit ever took, and no shorter than this.
SHORT_WAIT_FACTOR = 4.0
SHORTEST_WAIT_S = 0.1


class Breaker(StrEnum):
    """How a unit stands."""

    CLOSED = "closed"
    SUSPECT = "suspect"
    OPEN = "open"


class Poll(Struct, eq=False):
    """One block read that comes round again and again.

    Attributes:
        unit: unit id on the line.
        block: number that the caller understands, another for each poll.
        every_s: period.
        is_urgent: goes before everything that is not, when due.
        due_at: next time it should be sent.
        is_first: it has not been sent yet.
        phase: its place among the polls of its urgency, above 0 to 1.
    """

    unit: int
    block: int
    every_s: float
    is_urgent: bool = False
    due_at: float = 0.0
    is_first: bool = True
    phase: float = 1.0


class UnitState(Struct):
    """What the schedule knows of one unit.

    Attributes:
        failures: silences in a row.
        rests_until: it is left alone before.
        has_answered: it answered at least once since the line was opened.
        slowest_s: the longest that an answer of it took.
    """

    failures: int = 0
    rests_until: float = 0.0
    has_answered: bool = False
    slowest_s: float = 0.0

    @property
    def breaker(self) -> Breaker:
        """Its breaker's position."""
        if not self.failures:
            return Breaker.CLOSED
        return Breaker.OPEN if self.is_mute else Breaker.SUSPECT

    @property
    def is_mute(self) -> bool:
        """Tell whether it rests because it keeps silent."""
        return self.failures >= (MUTE_AFTER if self.has_answered else 1)


_Heap = list[tuple[float, int, Poll]]


class Schedule:
    """Whose turn it is on one line."""

    def __init__(self, polls: Iterable[Poll], *, now: float) -> None:
        """Take the polls; all are due at once, urgent ones first, and then spread evenly over their periods."""
        self.units: dict[int, UnitState] = {}
        self._urgent: _Heap = []
        self._others: _Heap = []
        self._urgent_run = 0
        self._next_probe_at = 0.0
        for poll in polls:
            self.units.setdefault(poll.unit, UnitState())
            poll.due_at, poll.is_first = now, True
            (self._urgent if poll.is_urgent else self._others).append((now, poll.block, poll))
        for heap in (self._urgent, self._others):
            for place, (_, _, poll) in enumerate(heap):
                poll.phase = (place + 1) / len(heap)
            heapify(heap)

    def take(self, now: float) -> Poll | None:
        """Take the poll to send at `now`: due, of a unit that does not rest; None when there is none.

        What is taken must be given back by `answered` or `silent`. Urgent ones go first, but after `URGENT_RUN` of
        them one of the others passes, so that a line with more alarm inputs than it can carry still brings every
        reading, late.
        """
        is_urgent_due, is_other_due = self._settle(self._urgent, now), self._settle(self._others, now)
        if is_urgent_due and not (is_other_due and self._urgent_run >= URGENT_RUN):
            self._urgent_run += is_other_due
            return heappop(self._urgent)[2]
        self._urgent_run = 0
        return heappop(self._others)[2] if is_other_due else None

    def next_at(self) -> float | None:
        """Return when to ask again; None when there are no polls. It may be a little early, never late."""
        heads = [heap[0][0] for heap in (self._urgent, self._others) if heap]
        return min(heads, default=None)

    def is_urgent_due(self, now: float) -> bool:
        """Tell whether an urgent poll should be sent now."""
        return self._settle(self._urgent, now)

    def wait_s(self, poll: Poll, timeout_s: float) -> float:
        """Return how long to wait for the answer on a line where a late one is recognised as such.

        A unit that has just been silent is given a short while only: what it usually takes, several times over.
        Now and then it has the whole timeout, in case it became slow.
        """
        unit = self.units[poll.unit]
        if not unit.failures or not unit.has_answered or unit.failures % PATIENT_EVERY == 0:
            return timeout_s
        return min(timeout_s, max(SHORTEST_WAIT_S, unit.slowest_s * SHORT_WAIT_FACTOR))

    def answered(self, poll: Poll, now: float, *, took_s: float = 0.0) -> bool:
        """Note an answer and set the next turn; True when the unit had been mute.

        The rhythm is kept: a late poll does not shift those after it, unless it is late by a whole period; then the
        rhythm begins anew, and the turns that were missed are not made up.
        """
        unit = self.units[poll.unit]
        was_mute = unit.failures > 0 and unit.is_mute
        if unit.failures:
            unit.failures, unit.rests_until = 0, 0.0
        unit.has_answered = True
        unit.slowest_s = max(unit.slowest_s, took_s)
        self._give_back(poll, now)
        return was_mute

    def silent(self, poll: Poll, now: float, *, cost_s: float = 0.0) -> bool:
        """Note that the unit kept silent, which cost the line `cost_s`; True when it just became mute."""
        unit = self.units[poll.unit]
        was_mute = unit.failures > 0 and unit.is_mute
        unit.failures += 1
        opened = unit.failures - (MUTE_AFTER if unit.has_answered else 1)
        rest_s = REST_PER_SILENCE * cost_s * 2.0 ** min(unit.failures - 1, 10)
        if opened >= 0:
            rest_s = max(rest_s, FIRST_REST_S * 2.0 ** min(opened, 10))
        unit.rests_until = now + min(rest_s, LONGEST_REST_S)
        self._next_probe_at = max(self._next_probe_at, now + PAUSE_PER_SILENCE * cost_s)
        self._give_back(poll, now)
        return unit.is_mute and not was_mute

    def mute_units(self) -> int:
        """Count the units that rest because they are mute."""
        return sum(unit.is_mute for unit in self.units.values() if unit.failures)

    def is_all_mute(self) -> bool:
        """Tell whether every unit rests because it is mute."""
        return self.mute_units() == len(self.units)

    def _settle(self, heap: _Heap, now: float) -> bool:
        """Put off what stands first but rests; tell whether what stands first then is due."""
        while heap and heap[0][0] <= now:
            _, number, poll = heap[0]
            unit = self.units[poll.unit]
            if not unit.failures:
                return True
            starts_at = max(unit.rests_until, self._next_probe_at)
            if starts_at <= now:
                return True
            heapreplace(heap, (starts_at, number, poll))
        return False

    def _give_back(self, poll: Poll, now: float) -> None:
        # All at once at the beginning, for a quick first picture; from then on spread, so that no burst stands in
        # front of anybody. Who comes a whole period late stands behind all who wait: a full line is shared evenly.
        due_at = poll.due_at + poll.every_s * (poll.phase if poll.is_first else 1.0)
        poll.due_at = max(now, due_at)
        poll.is_first = False
        heappush(self._urgent if poll.is_urgent else self._others, (poll.due_at, poll.block, poll))
