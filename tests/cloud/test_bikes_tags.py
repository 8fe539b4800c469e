"""Alarms of tags on both databases: silent ones, low batteries, clones."""

import pytest

from cloud.bikes import operations, rounds
from cloud.bikes.settings import Bikes
from cloud.database import Database
from cloud.desk import operations as desk
from cloud.desk.core import ClosingCode
from cloud.settings import Settings
from tests.cloud.bike_rig import SECOND, TAG, WANG, BikeRig

DAY = 86_400


@pytest.fixture
def rig(desk_database: Database) -> BikeRig:
    return BikeRig(desk_database)


def silence(rig: BikeRig) -> int:
    return rig.database.run(lambda connection: rounds.tell_silent(connection, rig.settings, rig.now_us))


def test_silent_tags_are_told_once_and_end_when_heard(rig: BikeRig) -> None:
    rig.add(silent_after_s=3_600)
    rig.add("b2", "T2")
    rig.take([("g1", "present", TAG, rig.now_us), ("g1", "present", "T2", rig.now_us)])
    rig.wait(4_000)
    # Its station says nothing either: it is the station.
    assert silence(rig) == 0
    rig.say("g1", "alive", "T2")
    assert (silence(rig), silence(rig)) == (1, 0)
    (alarm,) = rig.alarms("tag-silent")
    assert (alarm["severity"], alarm["site"]) == ("low", "site-g1")
    rig.say("g1", "alive", after_s=60)
    assert rig.alarms("tag-silent")[0]["cleared_at_us"] is not None
    rig.wait(8 * DAY)
    rig.add("b3", "T3")
    rig.say("g1", "present", "T3")
    assert silence(rig) == 2


def test_alarms_of_silent_tags_are_bounded(desk_database: Database) -> None:
    rig = BikeRig(desk_database, Settings(bikes=Bikes(silent_most=3)))
    for number in range(6):
        rig.add(f"b{number}", f"T{number}", silent_after_s=60)
    rig.take([("g1", "present", f"T{number}", rig.now_us) for number in range(6)])
    rig.wait(100)
    rig.add("b9", "T9")
    rig.say("g1", "present", "T9")
    assert (silence(rig), silence(rig)) == (3, 0)


def test_what_people_close_gives_room_to_other_silent_tags(desk_database: Database) -> None:
    rig = BikeRig(desk_database, Settings(bikes=Bikes(silent_most=1)))
    for number in range(2):
        rig.add(f"b{number}", f"T{number}", silent_after_s=60)
    rig.add("b9", "T9")
    rig.take([("g1", "present", f"T{number}", rig.now_us) for number in range(2)])
    rig.say("g1", "present", "T9", after_s=100)
    assert (silence(rig), silence(rig)) == (1, 0)
    (alarm,) = rig.alarms("tag-silent")
    rig.database.run(
        lambda connection: desk.close(
            connection, alarm["alarm_id"], actor=WANG, now_us=rig.now_us, code=ClosingCode.GENUINE, comment="dead"
        )
    )
    assert (silence(rig), silence(rig)) == (1, 0)
    assert len({row["device"] for row in rig.alarms("tag-silent")}) == 2


def test_a_gateway_knows_what_is_low_and_old_voltages_end_nothing(rig: BikeRig) -> None:
    rig.add()
    rig.say("g1", "present")
    rig.say("g1", "low-battery", battery=3.1, after_s=600)
    rig.say("g2", "alive", battery=3.6, after_s=60, at_us=rig.now_us - 300 * SECOND)
    (alarm,) = rig.alarms("low-battery")
    assert alarm["cleared_at_us"] is None
    rig.say("g2", "alive", battery=3.6, after_s=60)
    assert rig.alarms()[0]["cleared_at_us"] is not None


def test_a_low_battery_is_told_once_with_hysteresis(rig: BikeRig) -> None:
    rig.add()
    rig.say("g1", "present")
    rig.say("g1", "low-battery", battery=2.3, after_s=60)
    rig.say("g2", "low-battery", battery=2.35, after_s=60)
    (alarm,) = rig.alarms("low-battery")
    assert (alarm["triggers"], alarm["severity"]) == (1, "low")
    rig.say("g2", "alive", battery=2.5, after_s=60)
    assert rig.alarms()[0]["cleared_at_us"] is None
    rig.say("g2", "alive", battery=2.9, after_s=60)
    assert rig.alarms()[0]["cleared_at_us"] is not None
    rig.say("g2", "low-battery", after_s=60)
    assert rig.database.run(
        lambda connection: operations.battery_changed(
            connection, "b1", actor=WANG, desk=rig.settings.desk, now_us=rig.now_us
        )
    )
    assert [row["cleared_at_us"] is None for row in rig.alarms()] == [False]
    assert rig.alarms()[0]["triggers"] == 2


def test_a_cloned_tag_is_told_once_while_it_goes_on(rig: BikeRig) -> None:
    rig.add()
    for _ in range(12):
        rig.say("g1", "alive", after_s=150)
        rig.say("far", "alive", after_s=150)
    (alarm,) = rig.alarms("tag-cloned")
    assert alarm["triggers"] == 1
    assert "Gate g1" in alarm["text"]["en"]
    assert "Gate far" in alarm["text"]["en"]
    # It stands while that goes on, and ends when it does not.
    rig.wait(DAY - 3_600)
    for _ in range(4):
        rig.say("g1", "alive", after_s=150)
        rig.say("far", "alive", after_s=150)
    rig.wait(2 * 3_600)
    silence(rig)
    assert [(row["triggers"], row["cleared_at_us"]) for row in rig.alarms("tag-cloned")] == [(1, None)]
    rig.wait(DAY)
    silence(rig)
    assert rig.alarms("tag-cloned")[0]["cleared_at_us"] is not None


def test_neighbours_who_both_hear_a_tag_make_no_clone(rig: BikeRig) -> None:
    rig.add()
    for _ in range(12):
        rig.say("g1", "alive", after_s=20)
        rig.say("g2", "alive", after_s=20)
    assert rig.alarms() == []
