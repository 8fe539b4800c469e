"""The window of batches under way without a receipt: how many, and when each goes again. Pure.

Times are seconds of a monotonic clock that the caller reads.
"""

import math
import random
from collections.abc import Collection, Iterator, Mapping
from typing import Generic, TypeVar

from msgspec import Struct

from contract.telemetry import Lane
from edge.outbox.batch import Ref

Key = TypeVar("Key", int, Ref)
# A batch that was on the wire at so many lost connections in a row may be what breaks them.
SUSPECT_AFTER = 3
LONGEST_QUARANTINE_S = 3600.0
# It may be the link rather than the batch, and an alarm is small: it is hardly ever at fault.
LONGEST_ALARM_QUARANTINE_S = 30.0
FIRST_QUARANTINE_S = {Lane.ALARM: 2.0, Lane.LIVE: 60.0, Lane.BACKFILL: 60.0}


class Flight(Struct):
    """One batch under way.

    Attributes:
        lane: decides room and patience.
        size: bytes of its payload.
        sent_at: when it was sent first on this connection.
        sent_count: how often it was sent on it.
        again_at: when it goes again unless its receipt comes; infinite while the broker has not taken it.
        cuts: connections lost, one after the other, while the broker had not taken it.
    """

    lane: Lane
    size: int
    sent_at: float = 0.0
    sent_count: int = 0
    again_at: float = math.inf
    cuts: int = 0


class Window(Generic[Key]):
    """What is under way on one uplink; batches go by their names."""

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
        self._flights: dict[Key, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._flights)

    def __contains__(self, batch: Key) -> bool:
        return batch in self._flights

    def room(self, lane: Lane) -> int:
        """Return how many more batches of `lane` may be sent now."""
        return max(0, self._room[lane] - self.under_way(lane))

    def unpublished_bytes(self) -> int:
        """Count the bytes of telemetry that the broker has not taken yet."""
        return sum(
            flight.size
            for flight in self._flights.values()
            if flight.again_at == math.inf and flight.lane is not Lane.ALARM
        )

    def sent(self, batch: Key, lane: Lane, *, size: int, now: float = 0.0) -> bool:
        """Note that `batch` leaves; True when it had been sent before. It will not be overdue until `published`."""
        flight = self._flights.setdefault(batch, Flight(lane, size))
        is_again = flight.sent_count > 0
        if not is_again:
            flight.sent_at = now
        flight.sent_count += 1
        flight.again_at = math.inf
        return is_again

    def published(self, batch: Key, now: float) -> None:
        """Note that the broker has taken `batch`: from now on its receipt is waited for."""
        flight = self._flights.get(batch)
        if flight is not None:
            patience_s = min(self._patience_s[flight.lane] * 2 ** min(flight.sent_count - 1, 20), self._longest_s)
            flight.again_at = now + patience_s * self._random.uniform(0.9, 1.2)
            flight.cuts = 0

    def cut(self, now: float) -> None:
        """Note that the connection is lost: everything goes again with fresh patience.

        But what the broker had not taken at `SUSPECT_AFTER` losses in a row (too large for it, say) goes later and
        later, so that it cannot keep all the others from ever arriving.
        """
        for flight in self._flights.values():
            was_on_the_wire = flight.again_at == math.inf
            flight.cuts += was_on_the_wire
            rests = flight.cuts - SUSPECT_AFTER
            if rests < 0:
                flight.again_at = now
            elif was_on_the_wire:
                # What rests goes on resting, and no longer than it was to: a link that flaps must not hold it for ever.
                longest_s = LONGEST_ALARM_QUARANTINE_S if flight.lane is Lane.ALARM else LONGEST_QUARANTINE_S
                flight.again_at = now + min(FIRST_QUARANTINE_S[flight.lane] * 2.0 ** min(rests, 20), longest_s)
            flight.sent_count = 1

    def receipt(self, batch: Key) -> Flight | None:
        """Take `batch` out; None when it is not under way (a second receipt, or one from before)."""
        return self._flights.pop(batch, None)

    def overdue(self, now: float) -> list[tuple[Key, Lane]]:
        """Name the batches to send again at `now`, alarms first, then by number."""
        late = [(number, flight.lane) for number, flight in self._flights.items() if flight.again_at <= now]
        return sorted(late, key=lambda item: (item[1] is not Lane.ALARM, item[0]))

    def next_at(self) -> float | None:
        """Return when the next batch is overdue; None when none will be."""
        again_at = min((flight.again_at for flight in self._flights.values()), default=math.inf)
        return None if again_at == math.inf else again_at

    def under_way(self, lane: Lane) -> int:
        """Count the batches of a lane that are under way."""
        return sum(flight.lane is lane for flight in self._flights.values())

    def all_again(self, now: float, lanes: Collection[Lane] = tuple(Lane)) -> None:
        """Make what of `lanes` the broker has taken overdue, with fresh patience: a worker has just come."""
        for flight in self._flights.values():
            if flight.lane in lanes and flight.again_at != math.inf and flight.cuts < SUSPECT_AFTER:
                flight.again_at = now
                flight.sent_count = 1

    def forget(self, batch: Key) -> None:
        """Drop a batch that the outbox no longer holds (evicted)."""
        self._flights.pop(batch, None)
