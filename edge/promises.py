"""Promises: who waits until what they said is on the disk, so that it may be acknowledged. Pure."""

from collections import deque
from collections.abc import Callable, Iterator

from msgspec import Struct

# A sender that has waited so long has said it again, or is gone.
LONGEST_WAIT_S = 60.0
# A disk that is this far behind has made the buses wait long before.
MAX_PROMISES = 10_000


class _Promise(Struct, frozen=True):
    """One who waits.

    Attributes:
        call: told whether it is kept.
        events, samples: how many had been taken when it was given, all of which the disk must have.
        breaks: how often readings had been lost to the disk by then.
        until: when it is given up.
    """

    call: Callable[[bool], None]
    events: int
    samples: int
    breaks: int
    until: float


class Promises:
    """All who wait, oldest first, those with readings apart from those without."""

    def __init__(self) -> None:
        self._plain: deque[_Promise] = deque()
        self._with_samples: deque[_Promise] = deque()

    def __len__(self) -> int:
        return len(self._plain) + len(self._with_samples)

    @property
    def wants_sync(self) -> bool:
        """Whether somebody waits for readings to be on the disk."""
        return bool(self._with_samples)

    def add(self, call: Callable[[bool], None], *, events: int, samples: int | None, breaks: int, now: float) -> None:
        """Give a promise.

        Args:
            call: told true once it is kept, false when it is given up.
            events: count of events taken so far.
            samples: count of samples taken so far; None when it is about none.
            breaks: see `settle`.
            now: monotonic seconds.
        """
        line = self._plain if samples is None else self._with_samples
        if len(line) >= MAX_PROMISES:
            line.popleft().call(False)
        line.append(_Promise(call, events, samples or 0, breaks, now + LONGEST_WAIT_S))

    def settle(self, *, events: int, samples: int, breaks: int, now: float) -> None:
        """Tell those whose time has come.

        Args:
            events: count of events that the disk has.
            samples: count of samples that it was made to take.
            breaks: how often it has lost some that it had been given: what was promised before may be among them.
            now: monotonic seconds.
        """
        for line in (self._plain, self._with_samples):
            while line:
                first = line[0]
                is_there = first.events <= events and first.samples <= samples
                if not is_there and now < first.until:
                    break
                line.popleft()
                first.call(is_there and (first.breaks == breaks or line is self._plain))

    def break_samples(self, samples: int) -> None:
        """Give up all promises about the first so many samples: they are in memory only, which is bounded."""
        for promise in self._up_to(samples):
            promise.call(False)

    def _up_to(self, samples: int) -> Iterator[_Promise]:
        while self._with_samples and self._with_samples[0].samples <= samples:
            yield self._with_samples.popleft()
