"""Wakes whoever waits for work, within one process; other processes look by themselves."""

import anyio


class Bell:
    """Rung when something may have become due.

    Attributes:
        rings: so far; read it before looking for work, so that no ring goes by unheard.
    """

    def __init__(self) -> None:
        self.rings = 0
        self._next = anyio.Event()

    def ring(self) -> None:
        """Wake all who wait."""
        self.rings += 1
        self._next.set()
        self._next = anyio.Event()

    async def wait(self, rings: int, limit_s: float) -> None:
        """Wait for the ring after the first `rings`, at most so long."""
        if self.rings == rings:
            with anyio.move_on_after(limit_s):
                await self._next.wait()
