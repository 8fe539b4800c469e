"""Tests and drills of alarms do not stay in the list for ever."""

from functools import partial

from sqlalchemy import Connection

from cloud.database import Database
from cloud.desk import watch
from cloud.desk.core import ClosingCode
from contract.alarms import Mode, Transition
from tests.cloud.test_watch import HOUR, SETTINGS, T0, Rig, S


def test_a_test_that_is_over_is_closed_after_an_hour_and_a_live_alarm_never(desk_database: Database) -> None:
    rig = Rig(desk_database)
    for source, mode in (("g1/d1/p/smoke", Mode.TEST), ("g1/d2/p/smoke", Mode.LIVE), ("g1/d3/p/smoke", Mode.DRILL)):
        rig.happens(source, mode=mode)
        if mode is not Mode.DRILL:
            rig.happens(source, T0 + S, transition=Transition.CLEARED, raised_at_us=T0, mode=mode)
    duties = [duty for duty in watch.TIDYING if duty.name == "tests"]
    for at_us, count in ((T0 + HOUR, 0), (T0 + S + HOUR, 1)):
        assert [rig.database.run(partial(_work, duty=duty, at_us=at_us)) for duty in duties] == [count]
    closed = rig.alarm("g1/d1/p/smoke")
    assert (closed.closed_by, closed.closing_code) == ("desk", ClosingCode.DRILL)
    assert rig.alarm("g1/d2/p/smoke").is_open
    assert rig.alarm("g1/d3/p/smoke").is_open


def _work(connection: Connection, *, duty: watch.Duty, at_us: int) -> int:
    return duty.work(connection, SETTINGS, at_us)
