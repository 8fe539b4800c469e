"""A wait that ends at a moment, or as soon as somebody wakes it: leaner than an event with a deadline."""

import asyncio


class Waker:
    """One task waits, anybody wakes it; a wake that comes before the wait is not lost."""

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self._is_woken = False

    def wake(self) -> None:
        """End the wait under way, or the next one."""
        self._is_woken = True
        self._ring()

    async def wait_until(self, when: float) -> bool:
        """Wait until the loop's clock says `when`; True when woken before."""
        if not self._is_woken:
            loop = asyncio.get_running_loop()
            self._future = loop.create_future()
            timer = loop.call_at(when, self._ring)
            try:
                await self._future
            finally:
                timer.cancel()
                self._future = None
        was_woken, self._is_woken = self._is_woken, False
        return was_woken

    def _ring(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
