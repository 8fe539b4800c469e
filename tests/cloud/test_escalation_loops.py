"""The loops that a desk runs: they take what falls due as the clock goes, and go on where another has ended."""

from collections.abc import Callable
from functools import partial

import anyio
import pytest

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.escalation.auditor import run_auditor
from cloud.escalation.settings import Escalation, Fallback
from cloud.escalation.worker import run_escalation
from cloud.settings import Settings
from tests.cloud.escalating import S_US, Town
from tests.cloud.rig import eventually

pytestmark = pytest.mark.anyio

SETTINGS = Settings(escalation=Escalation(audit_every_s=1.0, fallback=(Fallback("值班室", "sms", "110"),)))


@pytest.fixture
def town(desk_database: Database) -> Town:
    return Town(desk_database)


async def until(condition: Callable[[], bool]) -> None:
    await anyio.to_thread.run_sync(eventually, condition)


async def test_the_worker_takes_what_falls_due_and_the_next_goes_on_where_it_ended(town: Town) -> None:
    database = PersistentDatabase(town.database, counters=Counters())
    run = partial(run_escalation, database, SETTINGS, clock=lambda: town.now_us)
    async with anyio.create_task_group() as first:
        first.start_soon(run)
        alarm = await anyio.to_thread.run_sync(town.press)
        await until(lambda: len(town.told(alarm)) == 2)
        first.cancel_scope.cancel()
    town.now_us += 60 * S_US
    async with anyio.create_task_group() as second:
        second.start_soon(run)
        await until(lambda: len(town.told(alarm)) == 4)
        second.cancel_scope.cancel()
    assert set(town.steps().values()) == {1}


async def test_the_auditor_mends_says_and_takes_back_what_it_said(town: Town) -> None:
    database = PersistentDatabase(town.database, counters=Counters())
    alarm = town.press()
    town.work()
    town.break_row(alarm, next_at_us=None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(run_auditor, database, SETTINGS, clock=lambda: town.now_us))
        await until(lambda: town.next_s(alarm) == 0)
        gap = town.alarm_of("cloud/desk/escalation/gap")
        await until(lambda: town.alarm(gap).cleared_at_us is not None)
        tasks.cancel_scope.cancel()
    assert town.alarm(gap).is_open
