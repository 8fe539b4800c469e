"""The loop: fire danger and fire detection."""

from collections.abc import Callable

import anyio

from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.settings import Settings


async def run_fire(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Run until cancelled."""
    await anyio.sleep_forever()
