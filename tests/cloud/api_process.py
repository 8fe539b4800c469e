"""The API as its process runs it, on a free port, in a thread of the test's."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import anyio.abc
import anyio.from_thread

from cloud.api.server import run_api
from cloud.settings import Settings

LIMIT_S = 30.0


class Running:
    """The API in a thread of its own.

    Attributes:
        told: what it told the operator: the first admin's password.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.told: list[str] = []
        self.port = 0
        self._stop: anyio.Event | None = None

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        self._stop = anyio.Event()

        def ready(port: int) -> None:
            self.port = port
            task_status.started()

        await run_api(self.settings, stop=self._stop, tell=self.told.append, ready=ready)

    def stop(self) -> None:
        if self._stop is not None:
            self._stop.set()


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[Running, anyio.from_thread.BlockingPortal]]:
    """Serve until the end of the block."""
    process = Running(settings)
    with anyio.from_thread.start_blocking_portal("asyncio") as portal:
        future, _ = portal.start_task(process.serve)
        yield process, portal
        portal.call(process.stop)
        future.result(timeout=LIMIT_S)
