"""Alarms first: while they come in, everything else that the desk does lets them go before it."""

import math
from collections.abc import Callable
from typing import TypeVar

import anyio
from sqlalchemy import Connection

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase

# Between the batches of one rush lies less.
CALM_S = 0.1
# So long a step of escalation may wait for alarms that come, however often it asks the database. What lasts longer is
# no rush but the load of the day, which all share.
LONGEST_RUSH_S = 2.0

Result = TypeVar("Result")


class Rush:
    """Whether alarms are being taken in at this moment: everything else then lets them go first."""

    def __init__(self) -> None:
        self._over = anyio.Event()
        self._over.set()
        self._began_s = self._ended_s = -math.inf

    def is_on(self) -> None:
        """Say that alarms are in hand."""
        if self._over.is_set():
            if anyio.current_time() - self._ended_s >= CALM_S:
                self._began_s = anyio.current_time()
            self._over = anyio.Event()

    def is_over(self) -> None:
        """Say that none waits any more."""
        if not self._over.is_set():
            self._ended_s = anyio.current_time()
            self._over.set()

    async def pass_by(self) -> None:
        """Wait until nothing has come for a moment, at most until the rush has lasted for `LONGEST_RUSH_S`."""
        with anyio.CancelScope(deadline=self._began_s + LONGEST_RUSH_S):
            while (quiet_s := anyio.current_time() - self._ended_s) < CALM_S or not self._over.is_set():
                await self._over.wait()
                await anyio.sleep(max(0.0, CALM_S - quiet_s))


class BesideIntake(PersistentDatabase):
    """A database for what the desk does by itself; see `Rush`.

    Args:
        database: may be the intake's own.
        counters: as there.
        rush: of the intake in this process.
    """

    def __init__(self, database: Database, *, counters: Counters, rush: Rush) -> None:
        super().__init__(database, counters=counters)
        self._rush = rush

    async def call(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work` in one transaction, once no alarm waits."""
        await self._rush.pass_by()
        return await super().call(work)

    async def ask(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work`, which changes nothing, once no alarm waits."""
        await self._rush.pass_by()
        return await super().ask(work)
