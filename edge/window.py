"""The window of batches under way without a receipt: how many, and when each goes again. Pure.

Times are seconds of a monotonic clock that the caller reads.
"""

import random
from collections.abc import Collection, Mapping

from msgspec import Struct

from contract.telemetry import Lane


class Flight(Struct):
    """One batch under way.

    Attributes:
        lane: decides room and patience.
        sent_at: when it was last sent.
        sent_count: how often it was sent.
        again_at: when it goes again unless its receipt comes.
    """

    lane: Lane
    sent_at: float
    sent_count: int
    again_at: float


class Window:
    """What is under way on one uplink."""

    def __init__(
        self, *, room: Mapping[Lane, int], patience_s: Mapping[Lane, float], longest_s: float, seed: int | None = None
    ) -> None:
        """Set the limits.

        Args:
            room: batches of each lane that may be under way at once.
            patience_s: silence after which a batch goes again the first time; it doubles each time.
            longest_s: upper limit of that silence.
            seed: of the jitter that keeps a city of gateways from sending in step.
        """
        self._room = dict(room)
        self._patience_s = dict(patience_s)
        self._longest_s = longest_s
        self._random = random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._flights: dict[int, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, batch: int) -> bool:
        return batch in self._flights

    def room(self, lane: Lane) -> int:
        """Return how many more batches of `lane` may be sent now."""
        used = sum(flight.lane is lane for flight in self._flights.values())
        return max(0, self._room[lane] - used)

    def sent(self, batch: int, lane: Lane, now: float) -> int:
        """Note that `batch` leaves now; returns how often it has been sent so far."""
        count = self._flights[batch].sent_count + 1 if batch in self._flights else 1
        patience_s = min(self._patience_s[lane] * 2 ** min(count - 1, 20), self._longest_s)
        again_at = now + patience_s * self._random.uniform(0.9, 1.2)
        self._flights[batch] = Flight(lane, now, count, again_at)
        return count

    def receipt(self, batch: int) -> Flight | None:
        """Take `batch` out; None when it is not under way (a second receipt, or one from before)."""
        return self._flights.pop(batch, None)

    def overdue(self, now: float) -> list[tuple[int, Lane]]:
        """Name the batches to send again at `now`, alarms first, then by number."""
        late = [(number, flight.lane) for number, flight in self._flights.items() if flight.again_at <= now]
        return sorted(late, key=lambda item: (item[1] is not Lane.ALARM, item[0]))

    def next_at(self) -> float | None:
        """Return when the next batch is overdue; None when nothing is under way."""
        return min((flight.again_at for flight in self._flights.values()), default=None)

    def all_again(self, now: float, lanes: Collection[Lane] = tuple(Lane)) -> None:
        """Make everything of `lanes` overdue with fresh patience: whoever takes it has just come (back)."""
        for flight in self._flights.values():
            if flight.lane in lanes:
                flight.again_at = now
                flight.sent_count = 0

    def forget(self, batch: int) -> None:
        """Drop a batch that the outbox no longer holds (evicted)."""
        self._flights.pop(batch, None)

    def clear(self) -> None:
        """Drop everything: the outbox began anew."""
        self._flights.clear()
