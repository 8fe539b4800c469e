"""How hard the uplink presses: when it connects again, and how fast it hands over a backlog. Pure.

Times are seconds of a monotonic clock that the caller reads.
"""

import math
import random

# The first try again comes at once, as a broker that restarts is back within a second; then a city of gateways
# spreads over the jitter. The longest wait bounds how long after the broker's return a gateway may come.
FIRST_RECONNECT_S = 0.25
LONGEST_RECONNECT_S = 2.0
REFUSED_RECONNECT_S = 60.0
# Every wait is drawn from this share of itself up to the whole, so that gateways that were lost together part.
LEAST_SHARE = 0.5


class Reconnects:
    """The pauses between tries to connect."""

    def __init__(self, *, seed: int | None = None) -> None:
        """Begin with the shortest."""
        self._random = random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._next_s = FIRST_RECONNECT_S

    def pause_s(self, *, is_refused: bool) -> float:
        """Return how long to wait now; each is twice the one before, up to the longest.

        Args:
            is_refused: only a person can mend it, and asking more often does not help them.
        """
        pause_s = REFUSED_RECONNECT_S if is_refused else self._next_s
        self._next_s = min(self._next_s * 2, LONGEST_RECONNECT_S)
        return pause_s * self._random.uniform(LEAST_SHARE, 1.0)

    def reset(self) -> None:
        """Begin anew: the cloud has answered."""
        self._next_s = FIRST_RECONNECT_S


class Rate:
    """Holds back what may only flow at so much a second, on average."""

    def __init__(self, per_s: float) -> None:
        """Set the pace; 0 is none."""
        self._per_s = per_s
        self._free_at = -math.inf

    def is_free(self, now: float) -> bool:
        """Tell whether something may go now."""
        return now >= self._free_at

    def free_at(self) -> float:
        """Return when the next may go."""
        return self._free_at

    def spend(self, amount: float, now: float) -> None:
        """Note that `amount` goes."""
        if self._per_s:
            self._free_at = max(now, self._free_at) + amount / self._per_s
