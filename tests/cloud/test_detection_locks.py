"""Who finds and who judges fires hold rows in one order: fires, controls, alarms, the history last."""

from functools import partial

import pytest
from sqlalchemy import URL, select, text

from cloud.database import Database
from cloud.database.tables import occurrence
from cloud.desk import operations
from cloud.desk.controls import lock_controls
from cloud.desk.core import ClosingCode
from cloud.desk.keeping import lock_history
from cloud.fire.detection_judging import call_false, confirm
from cloud.fire.detection_store import Judgement, lock_fires
from contract.alarms import Severity
from tests.cloud.detection_rig import T0, WANG, FireRig, S
from tests.cloud.test_vehicles import on_postgresql, while_waited_for

LATER = 3 * 3_600 * S
# Nobody waits long: who would wait at all holds something too early.
SOON = text("SET LOCAL lock_timeout = '100ms'")


@pytest.fixture
def rig(desk_database: Database) -> FireRig:
    made = FireRig(desk_database)
    for name, km in (("near", 0.0), ("far", 90.0)):
        made.tower(name, km)
    made.smoke("near", T0)
    made.detect(T0)
    return made


@on_postgresql
def test_news_of_a_fire_wait_for_who_judges_it_before_they_hold_the_history(rig: FireRig, database_url: URL) -> None:
    (fire,) = rig.fires()
    comment = partial(operations.comment, alarm_id=rig.alarm(fire.source).alarm_id, actor=WANG, why="去看了")
    rig.act(lambda connection: comment(connection, now_us=T0 + S))
    # Another fire is found with the same news, so much later that the first is not asked whether it is the same.
    rig.smoke("far", T0 + LATER)
    with Database(database_url) as other:
        with other.transaction() as judge:
            lock_fires(judge, [fire.id])
            thread = while_waited_for(rig.database, lambda: rig.detect(T0 + LATER))
            judge.execute(SOON)
            lock_history(judge)
            confirm(judge, fire.id, actor=WANG, why="明火", settings=rig.settings, now_us=T0 + LATER)
        thread.join()
    first, second = rig.fires()
    assert (first.judgement, second.towers) == (Judgement.CONFIRMED, ("far",))
    assert rig.alarm(fire.source).severity is Severity.CRITICAL


@on_postgresql
def test_who_calls_a_fire_false_waits_for_controls_before_he_holds_its_alarm(rig: FireRig, database_url: URL) -> None:
    (fire,) = rig.fires()
    judge = partial(call_false, fire_id=fire.id, actor=WANG, code=ClosingCode.WEATHER_ANIMAL, why="晨雾")
    work = partial(judge, settings=rig.settings, now_us=T0 + S)
    with Database(database_url) as other:
        with other.transaction() as operator:
            lock_controls(operator)
            thread = while_waited_for(rig.database, lambda: rig.database.run(work))
            operator.execute(SOON)
            own = select(occurrence.c.alarm_id).where(occurrence.c.source == fire.source).with_for_update()
            assert operator.execute(own).one()
        thread.join()
    assert rig.fires()[0].judgement is Judgement.FALSE
