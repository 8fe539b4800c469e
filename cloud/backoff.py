"""How long to wait before trying again, and how loudly to say so."""

import logging
import random

from cloud.errors import CloudError


class Backoff:
    """Doubling waits with full jitter, so that many workers do not come back in step.

    Args:
        first_s: upper bound of the first wait.
        longest_s: upper bound of every wait.
    """

    def __init__(self, *, first_s: float = 0.2, longest_s: float = 30.0) -> None:
        self.first_s = first_s
        self.longest_s = longest_s
        self._bound_s = first_s

    def next_s(self) -> float:
        """Draw the next wait, seconds: from a tenth of the bound up to the bound, which then doubles."""
        bound_s = self._bound_s
        self._bound_s = min(bound_s * 2, self.longest_s)
        return random.uniform(bound_s / 10, bound_s)  # noqa: S311 - jitter, not a secret

    def longest(self) -> float:
        """Draw a wait near the longest at once, for what only a person can mend."""
        return random.uniform(self.longest_s / 2, self.longest_s)  # noqa: S311 - jitter, not a secret

    def reset(self) -> None:
        """Begin again with the first wait."""
        self._bound_s = self.first_s


class Outage:
    """Says a trouble once: the first failure as WARNING, repeats as DEBUG, the end as INFO.

    Args:
        log: where to say it.
        what: who is in trouble, as the subject of a sentence.
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._since: float | None = None

    def failed(self, error: CloudError, *, now_s: float, wait_s: float) -> None:
        """Note a failure at `now_s` (monotonic)."""
        level = logging.WARNING if self._since is None else logging.DEBUG
        self._since = now_s if self._since is None else self._since
        self._log.log(level, "%s: %s. Next try in %.1f s. %s", self._what, error, wait_s, error.hint)

    def over(self, *, now_s: float) -> None:
        """Note that it works; says so only after a failure."""
        if self._since is not None:
            self._log.info("%s is back after %.1f s", self._what, now_s - self._since)
            self._since = None
