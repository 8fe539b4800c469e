"""Thefts that are hard to tell: armed again while a case is open, hours that end meanwhile, words that come late."""

from functools import partial

import pytest
from sqlalchemy import Connection

from cloud.bikes import arming, operations
from cloud.bikes.arming import How
from cloud.bikes.moving import WATCH
from cloud.bikes.reading import read_trail
from cloud.bikes.stations import read_stations
from cloud.database import Database
from cloud.database.bike_tables import bike_case_step
from cloud.database.order_tables import gateway_order, stolen_tag
from cloud.errors import BikeStateError
from cloud.orders.orders import MAX_HOLD_US
from cloud.orders.stolen import StolenEntry, add_stolen, take_off
from tests.cloud.bike_rig import KEY, NOW_US, SECOND, TAG, WANG, BikeRig
from tests.cloud.test_bikes import steal


@pytest.fixture
def rig(desk_database: Database) -> BikeRig:
    return BikeRig(desk_database)


def disarm(rig: BikeRig) -> bool:
    return rig.database.run(
        lambda connection: operations.disarm(connection, "b1", actor=WANG, desk=rig.settings.desk, now_us=rig.now_us)
    )


def recover(rig: BikeRig) -> int | None:
    return rig.database.run(
        lambda connection: operations.recover(connection, "b1", actor=WANG, desk=rig.settings.desk, now_us=rig.now_us)
    )


def mark_stolen(rig: BikeRig) -> int:
    return rig.database.run(
        lambda connection: operations.mark_stolen(connection, "b1", words="", actor=WANG, now_us=rig.now_us)
    )


def told(rig: BikeRig) -> list[str]:
    return [row["words"] for row in rig.rows(bike_case_step) if row["what"] == "alarm"]


def standing(rig: BikeRig) -> list[str]:
    return [row["gateway"] for row in rig.alarms("theft") if row["cleared_at_us"] is None]


def test_a_bike_that_is_armed_again_and_taken_again_is_told_again(rig: BikeRig) -> None:
    rig.add()
    steal(rig)
    rig.round(after_s=21)
    disarm(rig)
    assert standing(rig) == []
    rig.wait(3_600)
    rig.arm()
    rig.say("g3", "present", after_s=3_600)
    rig.round(after_s=21)
    assert standing(rig) == ["cloud"]
    # One case, which has the later arming and its alarm.
    assert (rig.case()["arming"], len(told(rig))) == (rig.arming()["id"], 2)
    disarm(rig)
    assert standing(rig) == []


def test_a_gateway_that_tells_a_later_theft_has_its_case(rig: BikeRig) -> None:
    rig.add()
    steal(rig)
    rig.edge("g1", "theft", at_us=rig.now_us)
    rig.round(after_s=21)
    first = rig.case()
    disarm(rig)
    rig.wait(3_600)
    rig.arm()
    rig.wait(3_600)
    rig.edge("g2", "theft")
    rig.round()
    assert (rig.case()["id"], rig.case()["arming"]) == (first["id"], rig.arming()["id"])
    assert rig.case()["source"].startswith("g2/")
    assert rig.case()["alarm_id"] != first["alarm_id"]


def test_a_gateway_is_told_to_disarm_however_late_it_comes_back(rig: BikeRig) -> None:
    rig.add()
    rig.say("g1", "present")
    rig.arm()
    disarm(rig)
    arm, off = rig.rows(gateway_order)
    assert arm["expires_at_us"] == rig.now_us + 86_400 * SECOND
    assert off["expires_at_us"] == rig.now_us + MAX_HOLD_US
    rig.say("g1", "left", after_s=60)
    assert len(rig.rows(gateway_order)) == 2
    # One that did not work out is given again with the tag's next movement.
    rig.database.run(lambda connection: connection.execute(gateway_order.update().values(state="refused")))
    rig.say("g1", "present", after_s=60)
    rig.say("g1", "left", after_s=60)
    assert [row["kind"] for row in rig.rows(gateway_order)] == ["arm", "disarm", "disarm"]


def by_hours(rig: BikeRig, *, on: bool) -> None:
    def work(connection: Connection) -> None:
        if on:
            stations = read_stations(connection)
            arming.arm(connection, ["b1"], how=How.HOURS, by=WATCH, now_us=rig.now_us, stations=stations)
        else:
            arming.disarm(connection, ["b1"], by=WATCH, now_us=rig.now_us, only=How.HOURS)

    rig.database.run(work)


@pytest.mark.parametrize("late_s", [0, 300])
def test_the_end_of_hours_loses_no_theft(rig: BikeRig, late_s: int) -> None:
    rig.add()
    rig.say("g1", "present")
    rig.wait(100)
    by_hours(rig, on=True)
    moved_us = rig.now_us + 3_590 * SECOND
    rig.wait(3_590)
    if not late_s:
        rig.say("g2", "present", at_us=moved_us)
    rig.wait(10)
    by_hours(rig, on=False)
    if late_s:
        rig.say("g2", "present", after_s=late_s, at_us=moved_us)
    rig.round(after_s=21)
    assert (standing(rig), rig.case()["opened_us"]) == (["cloud"], moved_us)
    assert recover(rig) is not None
    assert standing(rig) == []


def test_a_movement_after_its_hours_is_no_theft(rig: BikeRig) -> None:
    rig.add()
    rig.say("g1", "present")
    rig.wait(100)
    by_hours(rig, on=True)
    rig.wait(3_600)
    by_hours(rig, on=False)
    rig.say("g1", "left", after_s=60)
    rig.say("g2", "present", after_s=60)
    rig.round(after_s=21)
    assert rig.alarms() == []


def test_the_list_and_the_bikes_agree_whoever_changes_the_list(rig: BikeRig) -> None:
    rig.add()

    def put_on(connection: Connection) -> None:
        add_stolen(connection, [StolenEntry(TAG)], "police", rig.now_us)

    # Put on the list by itself: its hit opens a case, and `recovered` takes it off.
    rig.database.run(put_on)
    rig.edge("g1", "stolen")
    rig.round()
    assert recover(rig) == rig.case()["id"]
    assert rig.rows(stolen_tag) == []
    # A hit of before that comes late opens nothing.
    rig.edge("g2", "stolen", at_us=rig.now_us - 60 * SECOND)
    rig.round()
    assert rig.case()["closed_us"] is not None
    # Without a hit too.
    rig.database.run(put_on)
    assert recover(rig) is None
    assert rig.rows(stolen_tag) == []
    # Taken off by itself, it may be reported again.
    mark_stolen(rig)
    rig.database.run(lambda connection: take_off(connection, [TAG], "police", rig.now_us))
    mark_stolen(rig)
    assert [row["tag"] for row in rig.rows(stolen_tag)] == [TAG]
    with pytest.raises(BikeStateError):
        mark_stolen(rig)


def test_a_case_that_is_opened_late_has_the_stations_since(rig: BikeRig) -> None:
    rig.add()
    steal(rig)
    rig.say("g3", "present", after_s=60)
    rig.round(after_s=21)
    assert [row["station"] for row in rig.rows(bike_case_step) if row["what"] == "seen"] == [1, 2, 3]


def test_a_hit_is_shown_on_one_page_of_a_trail_alone(rig: BikeRig) -> None:
    rig.add()
    mark_stolen(rig)
    for gateway in ("g1", "g2", "g3"):
        rig.say(gateway, "present", after_s=600)
        rig.edge(gateway, "stolen", at_us=rig.now_us + 60 * SECOND)
        rig.round()
    found: list[int] = []
    after_us: int | None = 0
    while after_us is not None:
        page = rig.database.read(
            partial(read_trail, tag=TAG, from_us=NOW_US, until_us=NOW_US + 10**10, after_us=after_us, limit=1)
        )
        found += [hit.at_us for hit in page.hits]
        after_us = page.next_us
    assert len(found) == len(set(found)) == 3


def test_what_is_said_late_of_the_time_before_the_owner_moved_it_is_no_theft(rig: BikeRig) -> None:
    rig.add(owner_tag=KEY)
    rig.say("g1", "present")
    rig.wait(100)
    rig.arm()
    moved_us = rig.now_us + 300 * SECOND
    rig.wait(300)
    rig.take([("g2", "present", TAG, moved_us), ("g2", "present", KEY, moved_us)])
    rig.round(after_s=21)
    assert rig.arming()["moved_to"] is None
    # The first gateway's uplink was cut; in what it kept the bike left, and came before all else.
    rig.say("g1", "left", after_s=600, at_us=moved_us - 60 * SECOND)
    rig.say("g1", "present", at_us=moved_us - 500 * SECOND)
    # Days after, nothing is kept of where its owner was then.
    rig.say("g3", "present", KEY, after_s=600)
    rig.say("g3", "alive", KEY, after_s=4 * 86_400)
    rig.say("g2", "left", after_s=60)
    rig.say("g2", "present", after_s=30)
    rig.round(after_s=21)
    assert (standing(rig), rig.arming()["station"]) == ([], 2)
    rig.say("g3", "present", after_s=3_000)
    rig.round(after_s=21)
    assert standing(rig) == ["cloud"]


def test_of_a_stolen_bike_no_further_gateway_is_armed(rig: BikeRig) -> None:
    rig.add()
    rig.say("g1", "present")
    mark_stolen(rig)
    rig.arm()
    rig.say("g2", "present", after_s=600)
    rig.say("g3", "present", after_s=600)
    rig.round(after_s=21)
    assert [row["gateway"] for row in rig.rows(gateway_order)] == ["g1"]
    assert standing(rig) == []
