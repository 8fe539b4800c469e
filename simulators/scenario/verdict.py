"""What became of an expectation, and the time that it has. Pure; time is the story's clock."""

from collections.abc import Callable
from math import inf

from msgspec import Struct

MAX_NAMED = 5
"""Alarms named in an explanation."""


class Verdict(Struct, frozen=True):
    """What became of one expectation.

    Attributes:
        is_met: it came true.
        text: why, a template marked with `N_`.
        args: what stands for its placeholders.
        took_s: from the event it comes after to its coming true; None where that is no moment.
    """

    is_met: bool
    text: str
    args: dict[str, str] = {}
    took_s: float | None = None

    def render(self, translate: Callable[[str], str] = str) -> str:
        """Write it, the template translated before it is filled."""
        return translate(self.text).format(**self.args)


class Window(Struct, frozen=True):
    """From when to when something is looked for; `end_s` is as written, `limit_s` with the slack."""

    since_s: float
    end_s: float
    slack: float
    now_s: float

    @property
    def limit_s(self) -> float:
        """When it is given up."""
        return self.since_s + (self.end_s - self.since_s) * self.slack

    @property
    def is_over(self) -> bool:
        """Whether the time that was written is over."""
        return self.now_s > self.end_s

    @property
    def is_past_limit(self) -> bool:
        """Whether nothing is waited for any more."""
        return self.now_s > self.limit_s

    @property
    def is_at_end(self) -> bool:
        """Whether the scenario is over, and all has arrived that could."""
        return self.now_s == inf

    def took(self, at_s: float) -> float:
        """Tell the seconds from the beginning of the window."""
        return round(at_s - self.since_s, 3)
