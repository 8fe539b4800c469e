"""A circuit breaker: who does not answer is left alone for a while, and then asked for one thing only. Pure."""

from cloud.backoff import Backoff


class Breaker:
    """Closed while all is well; open after a failure; then half open: one try decides.

    Args:
        first_s: upper bound of the first wait, which then doubles.
        longest_s: of every wait; near it at once for what only a person can mend.
    """

    def __init__(self, *, first_s: float = 1.0, longest_s: float = 300.0) -> None:
        self._backoff = Backoff(first_s=first_s, longest_s=longest_s)
        self._until_s: float | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the last try went well, so that many may follow."""
        return self._until_s is None

    def wait_s(self, now_s: float) -> float:
        """Tell how long nothing may be tried; 0: something may.

        Args:
            now_s: monotonic.
        """
        return 0.0 if self._until_s is None else max(0.0, self._until_s - now_s)

    def failed(self, now_s: float, *, retry_after_s: float | None = None, for_people: bool = False) -> float:
        """Open, and tell for how long.

        Args:
            now_s: monotonic.
            retry_after_s: what the other side asked for; at most an hour of it is granted.
            for_people: time alone will not mend it.
        """
        wait_s = self._backoff.longest() if for_people else self._backoff.next_s()
        if retry_after_s is not None:
            wait_s = max(wait_s, min(retry_after_s, 3_600.0))
        self._until_s = now_s + wait_s
        return wait_s

    def worked(self) -> None:
        """Close."""
        self._until_s = None
        self._backoff.reset()
