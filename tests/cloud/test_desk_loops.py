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


def test_the_desk_does_all_of_this_by_itself() -> None:
    names = {loop.__name__ for loop in LOOPS}
    assert names == {"run_watch", "run_escalation", "run_auditor", "run_telling", "run_numbers"}
