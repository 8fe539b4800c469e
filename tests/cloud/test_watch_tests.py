"""What the desk tidies up now and then: tests that are over, alarms whose area was moved."""

from functools import partial

from sqlalchemy import Connection, insert, update

from cloud.database import Database
from cloud.database.area_tables import area, registered_gateway, site
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


def test_an_open_alarm_goes_with_its_area(desk_database: Database) -> None:
    rig = Rig(desk_database)

    def register(connection: Connection) -> None:
        connection.execute(insert(area).values(id="east", level="street", name="东街", path="east/"))
        connection.execute(insert(area).values(id="g1", parent="east", level="grid", name="一格", path="east/g1/"))
        connection.execute(insert(site).values(id="school", area="g1", name="三中", kind="school", address=""))
        connection.execute(insert(registered_gateway).values(id="g", site="school", name="", address=""))

    rig.database.run(register)
    rig.happens("g/d/p/fire")
    assert (rig.alarm("g/d/p/fire").area_path, rig.tidy(T0)) == ("east/g1/", 0)

    def move(connection: Connection) -> None:
        connection.execute(insert(area).values(id="west", level="street", name="西街", path="west/"))
        connection.execute(update(area).where(area.c.id == "g1").values(parent="west", path="west/g1/"))

    rig.database.run(move)
    assert rig.tidy(T0 + S) == 1
    assert rig.alarm("g/d/p/fire").area_path == "west/g1/"
    assert rig.history("g/d/p/fire")[-1] == ("placed", "desk")
    assert rig.history_explains_state()
    assert rig.tidy(T0 + 2 * S) == 0


def _work(connection: Connection, *, duty: watch.Duty, at_us: int) -> int:
    return duty.work(connection, SETTINGS, at_us)
