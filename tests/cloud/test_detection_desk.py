"""From towers' alarms to one alarm on the desk: on the real store, on both databases, on a clock of the test's own."""

from functools import partial

import msgspec
import pytest

from cloud.database import Database
from cloud.desk import controls, operations
from cloud.desk.controls import ControlKind
from cloud.desk.core import ClosingCode
from cloud.desk.watch import make_duties
from cloud.fire.detection import Wind
from cloud.fire.detection_store import evidence_of, source_of
from cloud.fire.detection_taking import take_surroundings
from contract.alarms import Mode, Severity
from tests.cloud.detection_rig import T0, WANG, FireRig, S
from tests.cloud.test_watch import watch_all

MINUTE = 60 * S


@pytest.fixture
def rig(desk_database: Database) -> FireRig:
    made = FireRig(desk_database)
    for number in range(1, 5):
        made.tower(f"tower-{number}", number * 2.0)
    return made


def smoke_of(number: int) -> str:
    return f"tower-{number}/smoke/smoke/smoke"


def test_four_towers_are_one_open_alarm_with_growing_evidence(rig: FireRig) -> None:
    surer: list[float] = []
    fire = None
    for number in range(1, 5):
        now_us = T0 + number * MINUTE
        rig.smoke(f"tower-{number}", now_us)
        rig.detect(now_us + S)
        (fire,) = rig.fires()
        surer.append(fire.confidence)
        assert [alarm.source for alarm in rig.heard()] == [fire.source]
    assert fire is not None
    assert surer == sorted(surer)
    assert surer[0] == 0.4
    assert surer[-1] > 0.8
    assert fire.towers == ("tower-1", "tower-2", "tower-3", "tower-4")
    assert [rig.alarm(smoke_of(number)).suppressed_by for number in range(1, 5)] == [fire.source] * 4
    own = rig.alarm(fire.source)
    assert (own.kind, own.severity, own.area_path, own.mode) == ("fire", Severity.CRITICAL, "city/forest/", Mode.LIVE)
    # Once raised, once risen from high to critical; the others are comments.
    whats = [what for what, _why in rig.history(fire.source)]
    assert whats == ["raised", "retriggered", "commented", "commented", "commented"]
    assert "tower-4/smoke/smoke/smoke" in rig.history(fire.source)[-1][1]


def test_the_first_alarm_is_heard_until_its_fire_is_there(rig: FireRig) -> None:
    rig.smoke("tower-1", T0)
    assert [alarm.source for alarm in rig.heard()] == [smoke_of(1)]
    rig.detect(T0 + S)
    assert [alarm.source for alarm in rig.heard()] == [rig.fires()[0].source]


def test_it_clears_when_all_its_detectors_did_and_waits_for_a_reset(rig: FireRig) -> None:
    for number in (1, 2):
        rig.smoke(f"tower-{number}", T0 + number)
    rig.detect(T0 + S)
    rig.smoke("tower-1", T0 + MINUTE, raised_at_us=T0 + 1)
    rig.detect(T0 + MINUTE)
    (fire,) = rig.fires()
    assert rig.alarm(fire.source).cleared_at_us is None
    rig.smoke("tower-2", T0 + 2 * MINUTE, raised_at_us=T0 + 2)
    rig.detect(T0 + 2 * MINUTE)
    own = rig.alarm(fire.source)
    assert own.cleared_at_us == T0 + 2 * MINUTE
    assert own.latched
    assert own.is_open
    # It burns again: the same fire, the same row, sounding again.
    rig.smoke("tower-3", T0 + 3 * MINUTE)
    rig.detect(T0 + 3 * MINUTE)
    assert len(rig.fires()) == 1
    assert rig.alarm(fire.source).cleared_at_us is None
    assert len(rig.alarms(fire.source)) == 1


def test_who_closes_the_fire_closes_what_is_over_and_hears_what_is_not(rig: FireRig) -> None:
    for number in (1, 2):
        rig.smoke(f"tower-{number}", T0 + number)
    rig.smoke("tower-1", T0 + MINUTE, raised_at_us=T0 + 1)
    rig.detect(T0 + MINUTE)
    (fire,) = rig.fires()
    own = rig.alarm(fire.source)
    close = partial(operations.close, alarm_id=own.alarm_id, actor=WANG, code=ClosingCode.GENUINE, comment="扑灭")
    rig.act(lambda connection: close(connection, now_us=T0 + 2 * MINUTE))
    rig.detect(T0 + 2 * MINUTE)
    first, second = rig.alarm(smoke_of(1)), rig.alarm(smoke_of(2))
    assert (first.closing_code, first.closed_by) == (ClosingCode.GENUINE, "王芳")
    assert "扑灭" in (first.comment or "")
    assert second.is_open
    assert second.suppressed_by is None
    assert second.acknowledged_at_us is None
    # What comes now is another fire, and those of before stay with theirs.
    rig.smoke("tower-3", T0 + 3 * MINUTE)
    rig.detect(T0 + 3 * MINUTE)
    assert [one.towers for one in rig.fires()] == [("tower-1", "tower-2"), ("tower-3",)]


def test_what_comes_with_the_closing_of_a_fire_is_another_one(rig: FireRig) -> None:
    rig.smoke("tower-1", T0)
    rig.detect(T0)
    (fire,) = rig.fires()
    close = partial(operations.close, alarm_id=rig.alarm(fire.source).alarm_id, actor=WANG, code=ClosingCode.GENUINE)
    rig.act(lambda connection: close(connection, comment="扑灭", now_us=T0 + MINUTE))
    # Both are in the same news.
    rig.smoke("tower-2", T0 + MINUTE + S)
    rig.detect(T0 + 2 * MINUTE)
    assert [one.towers for one in rig.fires()] == [("tower-1",), ("tower-2",)]
    assert {alarm.source for alarm in rig.heard()} == {smoke_of(1), rig.fires()[1].source}


def test_wind_that_becomes_known_makes_one_fire_of_two(desk_database: Database) -> None:
    rig = FireRig(desk_database)
    rig.tower("south", 0.0)
    rig.tower("north", 8.0)
    rig.smoke("south", T0)
    rig.smoke("north", T0 + MINUTE)
    rig.detect(T0 + MINUTE)
    south, _north = rig.fires()
    (seen,) = rig.database.read(lambda connection: evidence_of(connection, [south.id])[south.id])
    windy = msgspec.structs.replace(seen, wind=Wind(180.0, 6.0, "south/weather"))
    rig.act(lambda connection: take_surroundings(connection, [windy], rig.settings, T0 + 2 * MINUTE))
    stays, gone = rig.fires()
    assert stays.id == south.id
    assert stays.towers == ("north", "south")
    assert gone.merged_into == south.id
    assert [alarm.source for alarm in rig.heard()] == [stays.source]
    # Downwind, so it counts whole.
    assert stays.confidence == 0.64


def test_a_tower_between_two_fires_makes_them_one(desk_database: Database) -> None:
    rig = FireRig(desk_database)
    for name, km in (("a", 0.0), ("b", 4.5), ("c", 9.0)):
        rig.tower(name, km)
    rig.smoke("a", T0)
    rig.smoke("c", T0 + S)
    rig.detect(T0 + S)
    older, younger = rig.fires()
    assert older.towers == ("a",)
    assert younger.towers == ("c",)
    rig.smoke("b", T0 + MINUTE)
    rig.detect(T0 + MINUTE)
    stays, gone = rig.fires()
    assert stays.id == older.id
    assert stays.towers == ("a", "b", "c")
    assert gone.id == younger.id
    assert gone.merged_into == older.id
    assert [alarm.source for alarm in rig.heard()] == [stays.source]
    closed = rig.alarm(gone.source)
    assert not closed.is_open
    assert source_of(older.id) in (closed.comment or "")
    assert rig.alarm("c/smoke/smoke/smoke").suppressed_by == stays.source


def test_what_burns_again_after_its_fire_was_over_is_heard_though_nobody_looks_for_fires(rig: FireRig) -> None:
    rig.smoke("tower-1", T0)
    rig.detect(T0)
    rig.smoke("tower-1", T0 + MINUTE, raised_at_us=T0)
    rig.detect(T0 + MINUTE)
    later = partial(watch_all, rig.database, rig.settings, duties=make_duties())
    assert later(at_us=T0 + MINUTE) == 0
    assert rig.alarm(smoke_of(1)).suppressed_by is not None
    # The row of the desk is the same, and still the old fire's; no worker makes another of it.
    rig.smoke("tower-1", T0 + 24 * 60 * MINUTE)
    later(at_us=T0 + 24 * 60 * MINUTE)
    assert smoke_of(1) in [alarm.source for alarm in rig.heard()]
    # One that comes back makes its fire, which speaks for it again.
    rig.detect(T0 + 24 * 60 * MINUTE + S)
    old, new = rig.fires()
    assert rig.alarm(smoke_of(1)).suppressed_by == new.source != old.source
    assert later(at_us=T0 + 24 * 60 * MINUTE + S) == 0


def test_a_fire_of_test_alarms_is_a_test_and_joins_no_real_one(rig: FireRig) -> None:
    rig.smoke("tower-1", T0, mode=Mode.TEST)
    rig.smoke("tower-2", T0 + S)
    rig.detect(T0 + S)
    assert {(one.mode, one.towers) for one in rig.fires()} == {
        (Mode.TEST, ("tower-1",)),
        (Mode.LIVE, ("tower-2",)),
    }
    assert {rig.alarm(one.source).mode for one in rig.fires()} == {Mode.TEST, Mode.LIVE}


def test_a_school_and_a_tower_that_nobody_placed_keep_their_own_alarms(rig: FireRig) -> None:
    rig.tower("school", 2.0, kind="school")
    rig.smoke("school", T0)
    rig.smoke("nobody-knows", T0)
    rig.detect(T0 + S)
    assert rig.fires() == []
    assert {alarm.gateway for alarm in rig.heard()} == {"school", "nobody-knows"}


def test_temperature_alone_is_no_fire_but_adds_to_one(rig: FireRig) -> None:
    rig.says("tower-1/crown/temperature/high", T0, kind="temperature")
    rig.detect(T0 + S)
    assert [alarm.kind for alarm in rig.heard()] == ["temperature"]
    rig.smoke("tower-2", T0 + MINUTE)
    rig.detect(T0 + MINUTE)
    assert [alarm.kind for alarm in rig.heard()] == ["fire"]
    (fire,) = rig.fires()
    assert fire.confidence > 0.4
    assert fire.towers == ("tower-1", "tower-2")


def test_who_is_out_of_service_or_shelved_makes_no_fire_until_it_is_heard(rig: FireRig) -> None:
    begin = partial(controls.begin, kind=ControlKind.OUT_OF_SERVICE, target="tower-1", actor=WANG, why="维修")
    rig.act(lambda connection: begin(connection, now_us=T0 - S))
    rig.smoke("tower-1", T0)
    rig.detect(T0)
    assert rig.fires() == []
    end = partial(controls.end, kind=ControlKind.OUT_OF_SERVICE, target="tower-1", actor=WANG)
    rig.act(lambda connection: end(connection, now_us=T0 + MINUTE))
    rig.detect(T0 + MINUTE)
    assert [one.towers for one in rig.fires()] == [("tower-1",)]


def test_a_detector_that_is_more_urgent_than_the_fire_makes_it_as_urgent(rig: FireRig) -> None:
    rig.smoke("tower-1", T0, severity=Severity.CRITICAL)
    rig.detect(T0)
    (fire,) = rig.fires()
    assert fire.confidence == 0.4
    assert rig.alarm(fire.source).severity is Severity.CRITICAL


def test_the_same_news_twice_change_nothing(rig: FireRig) -> None:
    rig.smoke("tower-1", T0)
    rig.detect(T0 + S)
    before = rig.fires(), rig.history(rig.fires()[0].source)
    rig.smoke("tower-1", T0)
    rig.detect(T0 + 2 * S)
    assert (rig.fires(), rig.history(rig.fires()[0].source)) == before
