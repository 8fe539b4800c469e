"""Verified hold-up: when one press is borne out by a second signal (BS 8243, sequential confirmation).

Source: Vanderbilt SPC v3.8.5 online help, "Intrusion and confirmed hold-up alarm": two hold-up signals more than two
minutes apart, or a hold-up and a tamper within two minutes, give an event of their own (SIA HV, Contact ID 129).
"""

from collections import deque

APART_S = 120.0
"""Sooner than this a second press may be the same hand; a tamper counts up to then."""

WINDOW_S = 1_200.0
"""Later than this a second press is another matter. The standard leaves it to the installer; a hold-up is over in less
than twenty minutes, and two mistakes of one school day must not bear each other out."""

# Presses closer than this are kept as one, so that a drummed button takes no memory: at most 1200 are kept.
_SAME_S = 1.0


class HoldUps:
    """The hold-up and tamper signals of one gateway; monotonic seconds, none earlier than the one before."""

    def __init__(self) -> None:
        self._presses: deque[float] = deque()
        self._tampered_at: float | None = None

    def press(self, now: float) -> bool:
        """Note a hold-up signal; tell whether it is borne out by what came before it."""
        while self._presses and now - self._presses[0] > WINDOW_S:
            self._presses.popleft()
        is_second = bool(self._presses) and now - self._presses[0] > APART_S
        if not self._presses or now - self._presses[-1] >= _SAME_S:
            self._presses.append(now)
        return is_second or (self._tampered_at is not None and now - self._tampered_at <= APART_S)

    def tamper(self, now: float) -> bool:
        """Note a tamper signal; tell whether it bears out a hold-up signal before it."""
        self._tampered_at = now
        return bool(self._presses) and now - self._presses[-1] <= APART_S
