"""The worker that takes the steps of all plans; any number of them share the work."""

from collections.abc import Callable

import anyio

from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.escalation.taking import next_due_us, rules_of, take_due
from cloud.settings import Settings

# A fresh alarm's first step waits at most so long; looking is one read of one index.
_LOOK_EVERY_S = 0.25


async def run_escalation(
    database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us
) -> None:
    """Take each step when it is due, until cancelled.

    What is due stands in the database and nowhere else, so it makes no difference which worker lives.

    Args:
        database: waited for when it is away.
        settings: time zone and fallback are used.
        clock: wall time.

    Raises:
        DatabaseRefusedError: a step cannot be stored.
    """
    rules = rules_of(settings)
    while True:
        next_us = await database.ask(next_due_us)
        wait_s = _LOOK_EVERY_S if next_us is None else (next_us - clock()) / 1e6
        if wait_s > 0:
            await anyio.sleep(min(wait_s, _LOOK_EVERY_S))
            continue
        taken = await database.call(lambda connection: take_due(connection, clock(), rules))
        if not taken:
            # Another worker is at it, or somebody acknowledges in this moment.
            await anyio.sleep(_LOOK_EVERY_S)
