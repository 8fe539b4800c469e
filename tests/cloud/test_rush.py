import anyio
import pytest
from sqlalchemy import Connection, text

from cloud.counters import Counters
from cloud.database import Database
from cloud.desk import rush
from cloud.desk.rush import BesideIntake, Rush
from tests.cloud.rig import LIMIT_S

pytestmark = pytest.mark.anyio


async def test_what_the_desk_does_by_itself_waits_until_no_alarm_comes(database: Database) -> None:
    alarms, order = Rush(), list[str]()
    beside = BesideIntake(database, counters=Counters(), rush=alarms)

    async def loop() -> None:
        order.append(await beside.call(_word))

    alarms.is_on()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(loop)
        await anyio.wait_all_tasks_blocked()
        order.append("alarm")
        alarms.is_over()
    assert order == ["alarm", "loop"]


async def test_a_rush_without_an_end_holds_nothing_up_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rush, "LONGEST_RUSH_S", 0.05)
    alarms = Rush()
    alarms.is_on()
    assert await BesideIntake(database, counters=Counters(), rush=alarms).ask(_word) == "loop"


async def test_a_rush_holds_nothing_up_a_second_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rush, "LONGEST_RUSH_S", 0.5)
    alarms = Rush()
    beside = BesideIntake(database, counters=Counters(), rush=alarms)
    with anyio.fail_after(LIMIT_S):
        for _ in range(2 * int(LIMIT_S / rush.LONGEST_RUSH_S)):
            # Batch after batch, hardly a moment between.
            alarms.is_on()
            assert await beside.ask(_word) == "loop"
            alarms.is_over()


def _word(connection: Connection) -> str:
    return str(connection.execute(text("SELECT 'loop'")).scalar_one())
