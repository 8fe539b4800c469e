import anyio
import pytest
from sqlalchemy import make_url

from cloud.backoff import Backoff
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.desk.shell import LOOPS, keep_running
from cloud.errors import DatabaseRefusedError
from cloud.settings import Settings


@pytest.mark.anyio
async def test_a_loop_whose_work_is_refused_begins_again_and_a_mistake_of_ours_ends_it() -> None:
    begun = 0

    async def loop(_database: PersistentDatabase, _settings: Settings) -> None:
        nonlocal begun
        begun += 1
        await anyio.lowlevel.checkpoint()
        if begun < 4:
            raise DatabaseRefusedError("still in conflict")
        raise ZeroDivisionError

    with Database(make_url("sqlite://")) as database:
        persistent = PersistentDatabase(database, counters=Counters())
        with pytest.raises(ZeroDivisionError):
            await keep_running(loop, persistent, Settings(), backoff=Backoff(first_s=0.001, longest_s=0.001))
    assert begun == 4


@pytest.mark.anyio
@pytest.mark.parametrize("depth", [1, 3])
async def test_so_does_one_whose_work_is_done_by_tasks_of_its_own(depth: int, caplog: pytest.LogCaptureFixture) -> None:
    begun = 0

    async def run_deep(_database: PersistentDatabase, _settings: Settings) -> None:
        nonlocal begun
        begun += 1
        await work(depth)

    async def work(left: int) -> None:
        if left == 0:
            await anyio.lowlevel.checkpoint()
            if begun < 3:
                raise DatabaseRefusedError("no such column")
            raise ZeroDivisionError
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            tasks.start_soon(work, left - 1)

    with Database(make_url("sqlite://")) as database:
        persistent = PersistentDatabase(database, counters=Counters())
        with pytest.raises(ExceptionGroup) as mistake:
            await keep_running(run_deep, persistent, Settings(), backoff=Backoff(first_s=0.001, longest_s=0.001))
    assert mistake.group_contains(ZeroDivisionError)
    assert begun == 3
    assert "run_deep: no such column" in caplog.text


def test_the_desk_does_all_of_this_by_itself() -> None:
    names = {loop.__name__ for loop in LOOPS}
    assert names == {"run_watch", "run_escalation", "run_auditor", "run_telling", "run_numbers"}
