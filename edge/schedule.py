"""The schedule of one line: what is due, what is most urgent, and who is left alone. Pure.

Times are seconds of a monotonic clock that the caller reads.

The breaker of a unit: `closed` while it answers; after a silence it rests for a multiple of what the silence cost
the line; after `MUTE_AFTER` of them in a row (or the first, of a unit that never answered) it is `open` and rests
longer each time; the one try after a rest is the half-open probe, and an answer to it closes the breaker.
"""

from collections.abc import Callable, Container, Iterable
from enum import StrEnum
from heapq import heapify, heappop, heappush
from math import inf

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
        had: how much it has had, by the queue's own count.
        longest_s: its period is never drawn out beyond this: somebody would think that the device is lost.
        pace: by what its period is multiplied before `paced_until`.
    """

    unit: int
    block: int
    every_s: float
    is_urgent: bool = False
    due_at: float = 0.0
    is_first: bool = True
    phase: float = 1.0
    had: float = 0.0
    longest_s: float = inf
    pace: float = 1.0
    paced_until: float = 0.0

    def next_after(self, due_at: float) -> float:
        """Tell when it is due again, at its pace; one that was drawn out does not outlast that."""
        usual_at = due_at + self.every_s
        if due_at >= self.paced_until:
            return usual_at
        if self.pace < 1.0:
            return due_at + self.every_s * self.pace
        slower_s = max(self.every_s, min(self.every_s * self.pace, self.longest_s))
        return min(due_at + slower_s, max(usual_at, self.paced_until))


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


class _Queue:
    """The polls of one urgency: those whose time has not come, by it; and those that wait, in fair order.

    Whoever has had less goes first (start-time fair queueing). Had of what, the caller says: line time, so that a unit
    that takes a second to answer has no more of a full line than one that answers at once; or turns.
    """

    def __init__(self) -> None:
        self._later: list[tuple[float, int, Poll]] = []
        self._ready: list[tuple[float, float, int, Poll]] = []
        self._virtual = 0.0

    def put(self, poll: Poll, starts_at: float) -> None:
        """Have a poll wait for its time."""
        heappush(self._later, (starts_at, poll.block, poll))

    def charge(self, poll: Poll, cost: float) -> None:
        """Note what a poll's turn took."""
        poll.had = max(poll.had, self._virtual) + cost

    def first(self, now: float, rests_until: Callable[[Poll], float]) -> Poll | None:
        """Return the poll whose turn it is; one that rests is put off."""
        while self._later and self._later[0][0] <= now:
            _, number, poll = heappop(self._later)
            heappush(self._ready, (max(poll.had, self._virtual), poll.due_at, number, poll))
        while self._ready:
            poll = self._ready[0][3]
            starts_at = rests_until(poll)
            if starts_at <= now:
                return poll
            heappop(self._ready)
            self.put(poll, starts_at)
        return None

    def pop(self) -> Poll:
        """Take the poll that `first` returned."""
        self._virtual, _, _, poll = heappop(self._ready)
        return poll

    def hasten(self) -> None:
        """Let polls that wait wait no longer than until they are due by now."""
        self._later = [(min(starts_at, poll.due_at), number, poll) for starts_at, number, poll in self._later]
        heapify(self._later)

    def next_at(self) -> float | None:
        """Return when to look again."""
        if self._ready:
            return 0.0
        return self._later[0][0] if self._later else None


class Schedule:
    """Whose turn it is on one line."""

    def __init__(self, polls: Iterable[Poll], *, now: float) -> None:
        """Take the polls; all are due at once, urgent ones first, and then spread evenly over their periods."""
        self.units: dict[int, UnitState] = {}
        self._urgent, self._others = _Queue(), _Queue()
        self._urgent_run = 0
        self._urgent_run_s = self._waited_s = 0.0
        self._next_probe_at = 0.0
        by_urgency: dict[bool, list[Poll]] = {True: [], False: []}
        for poll in polls:
            self.units.setdefault(poll.unit, UnitState())
            poll.due_at, poll.is_first, poll.had = now, True, 0.0
            by_urgency[poll.is_urgent].append(poll)
            self._queue_of(poll).put(poll, now)
        self._paced = by_urgency[False]
        for same in by_urgency.values():
            for place, poll in enumerate(same):
                poll.phase = (place + 1) / len(same)

    def take(self, now: float) -> Poll | None:
        """Take the poll to send at `now`: due, of a unit that does not rest; None when there is none.

        What is taken must be given back by `answered` or `silent`. Urgent ones go first, but after `URGENT_RUN` of
        them one of the others passes, so that a line with more alarm inputs than it can carry still brings every
        reading, late.
        """
        is_urgent_due = self._urgent.first(now, self._rests_until) is not None
        is_other_due = self._others.first(now, self._rests_until) is not None
        if is_urgent_due and not (is_other_due and self._urgent_run >= URGENT_RUN):
            self._urgent_run += is_other_due
            self._urgent_run_s *= is_other_due
            return self._urgent.pop()
        # What the alarm inputs took before it is part of what this turn costs: among full lines of them a turn is what
        # is scarce, and a short poll must not have hundreds for one of a long poll.
        self._waited_s = self._urgent_run_s if is_urgent_due else 0.0
        self._urgent_run, self._urgent_run_s = 0, 0.0
        return self._others.pop() if is_other_due else None

    def pace(self, blocks: Container[int], factor: float, *, now: float, until: float) -> None:
        """Multiply the periods of polls for a time; urgent ones keep theirs, and go first as ever.

        Args:
            blocks: the polls' numbers.
            factor: below 1 is more often; a line that cannot carry it brings each reading as often as it can, in turn.
            now: the clock.
            until: everything is as usual from then on; not after `now`: from now on.
        """
        for poll in self._paced:
            if poll.block in blocks:
                poll.pace, poll.paced_until = factor, until
                # Spread, so that no burst stands in front of anybody.
                poll.due_at = min(poll.due_at, now + poll.every_s * min(factor, 1.0) * poll.phase)
        self._others.hasten()

    def next_at(self) -> float | None:
        """Return when to ask again; None when there are no polls. It may be a little early, never late."""
        times = [at for queue in (self._urgent, self._others) if (at := queue.next_at()) is not None]
        return min(times, default=None)

    def is_urgent_due(self, now: float) -> bool:
        """Tell whether an urgent poll should be sent now."""
        return self._urgent.first(now, self._rests_until) is not None

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
        self._give_back(poll, now, cost_s=took_s)
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
        # One lost telegram must not leave an alarm input unread: it is asked once more at once.
        if not (poll.is_urgent and unit.failures == 1 and unit.has_answered):
            unit.rests_until = now + min(rest_s, LONGEST_REST_S)
            self._next_probe_at = max(self._next_probe_at, now + PAUSE_PER_SILENCE * cost_s)
        # It is still due: who is asked once an hour is not left alone for an hour because of one lost telegram.
        self._put_back(poll, cost_s=cost_s)
        return unit.is_mute and not was_mute

    def mute_units(self) -> int:
        """Count the units that rest because they are mute."""
        return sum(unit.is_mute for unit in self.units.values() if unit.failures)

    def is_all_mute(self) -> bool:
        """Tell whether every unit rests because it is mute."""
        return self.mute_units() == len(self.units)

    def _queue_of(self, poll: Poll) -> _Queue:
        return self._urgent if poll.is_urgent else self._others

    def _rests_until(self, poll: Poll) -> float:
        unit = self.units[poll.unit]
        return max(unit.rests_until, self._next_probe_at) if unit.failures else 0.0

    def _give_back(self, poll: Poll, now: float, *, cost_s: float) -> None:
        # All at once at the beginning, for a quick first picture; from then on spread, so that no burst stands in
        # front of anybody.
        due_at = poll.due_at + poll.every_s * poll.phase if poll.is_first else poll.next_after(poll.due_at)
        poll.due_at = max(now, due_at)
        poll.is_first = False
        self._put_back(poll, cost_s=cost_s)

    def _put_back(self, poll: Poll, *, cost_s: float) -> None:
        queue = self._queue_of(poll)
        # Among alarm inputs a turn is a turn: one slow answer must not make the next press wait.
        queue.charge(poll, 1.0 if poll.is_urgent else cost_s + self._waited_s)
        self._urgent_run_s += cost_s if poll.is_urgent else 0.0
        queue.put(poll, poll.due_at)
