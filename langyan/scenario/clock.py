"""The clock of a scenario: seconds since it began, and the time of its story."""

import time


class StoryClock:
    """Stands at 0 until the story begins; then it runs, and the story's time `speed` times as fast."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._began: float | None = None

    def begin(self) -> None:
        """Let it run from now on."""
        self._began = time.monotonic()

    def now_s(self) -> float:
        """Seconds of the clock since the beginning."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    def story_s(self) -> float:
        """Seconds of the story since the beginning."""
        return self.now_s() * self.speed
