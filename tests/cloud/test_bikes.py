"""Bike watch on both databases: stays, arming, thefts, hits, silences, and what follows from each."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import permutations
from zoneinfo import ZoneInfo

import msgspec
import pytest
from sqlalchemy import update

from cloud.bikes import operations, rounds
from cloud.bikes.registry import forget_owner
from cloud.bikes.settings import Bikes
from cloud.database import Database
from cloud.database.bike_tables import (
    bike,
    bike_arming,
    bike_case,
    bike_case_step,
    bike_owner,
    bike_station,
    bike_tag,
    bike_told,
)
from cloud.database.feed_tables import measure
from cloud.database.order_tables import gateway_order, stolen_tag
from cloud.database.people_tables import audit
from cloud.database.tables import change
from cloud.desk import operations as desk
from cloud.desk.core import ClosingCode
from cloud.errors import BikeStateError, UnknownBikeError
from cloud.settings import Settings
from contract.alarms import Mode, Transition
from contract.commands import decode_command
from contract.tags import Arm, Disarm
from tests.cloud.bike_rig import KEY, NOW_US, SECOND, TAG, WANG, BikeRig

DAY = 86_400


@pytest.fixture
def rig(desk_database: Database) -> BikeRig:
    return BikeRig(desk_database)


def orders(rig: BikeRig) -> Iterator[tuple[str, type, str | None]]:
    """What gateways were told, in order: gateway, which order, the owner's tag."""
    for row in rig.rows(gateway_order):
        order = decode_command(bytes(row["command"]), gateway=row["gateway"]).order
        assert isinstance(order, Arm | Disarm)
        yield row["gateway"], type(order), getattr(order, "owner", None)


def steps(rig: BikeRig, what: str) -> list[tuple[int | None, int]]:
    return [(row["station"], row["count"]) for row in rig.rows(bike_case_step) if row["what"] == what]


def steal(rig: BikeRig) -> None:
    """Arm a bike at the first station, and take it to the second."""
    rig.say("g1", "present")
    rig.wait(100)
    rig.arm()
    rig.say("g1", "left", after_s=100)
    rig.say("g2", "present", after_s=40)


def test_stays_are_the_same_in_any_order_of_uploads(rig: BikeRig) -> None:
    words = [
        ("g1", "present", 0),
        ("g1", "left", 60),
        ("g2", "present", 70),
        ("g2", "alive", 370),
        ("g3", "present", 400),
    ]
    rig.wait(1_000)
    for number, order in enumerate(permutations(words, 5)):
        if number % 17:
            continue
        tag = f"T{number}"
        rig.add(f"b{number}", tag)
        for gateway, word, seconds in (*order, order[0]):
            rig.say(gateway, word, tag, at_us=NOW_US + seconds * SECOND)
        assert rig.stays(tag) == [("g1", 0, 60), ("g2", 70, 400), ("g3", 400, None)]
    moved = {row["gateway"]: row["moves"] for row in rig.rows(bike_station)}
    assert min(moved.values()) >= 8


def test_only_registered_tags_are_followed_and_owners_have_no_trail(rig: BikeRig) -> None:
    rig.add(owner_tag=KEY)
    rig.take([("g1", "present", tag, rig.now_us) for tag in (TAG, KEY, "STRANGER", "no tag", "x" * 90)])
    assert [row["tag"] for row in rig.rows(bike_tag)] == [TAG, KEY]
    assert rig.counts.unknown == 1
    assert (len(rig.stays()), rig.stays(KEY)) == (1, [])


def test_a_gateway_whose_clock_is_ahead_says_nothing(rig: BikeRig) -> None:
    rig.add()
    rig.say("g1", "present", at_us=rig.now_us + 3_600 * SECOND)
    rig.say("g1", "present")
    assert (rig.counts.ahead, rig.stays()) == (1, [("g1", 0, None)])


def test_arming_tells_where_the_tag_is_and_follows_it(rig: BikeRig) -> None:
    rig.add(owner_tag=KEY)
    rig.arm()
    assert list(orders(rig)) == []
    rig.say("g1", "present", after_s=60)
    rig.say("g1", "alive", after_s=300)
    rig.say("g2", "present", after_s=300)
    rig.arm()
    assert list(orders(rig)) == [("g1", Arm, KEY), ("g2", Arm, KEY)]

    def disarm() -> bool:
        return rig.database.run(
            lambda connection: operations.disarm(
                connection, "b1", actor=WANG, desk=rig.settings.desk, now_us=rig.now_us
            )
        )

    assert disarm()
    assert not disarm()
    assert sorted(gateway for gateway, order, _ in orders(rig) if order is Disarm) == ["g1", "g2"]
    assert rig.arming()["ended_by"] == "王芳"
    assert {row["what"] for row in rig.rows(audit)} == {"bike-armed", "bike-disarmed"}


def test_an_order_that_was_refused_is_given_again_where_the_tag_comes(rig: BikeRig) -> None:
    rig.add()
    rig.say("g1", "present")
    rig.arm()
    rig.database.run(lambda connection: connection.execute(gateway_order.update().values(state="refused")))
    rig.say("g1", "left", after_s=60)
    rig.say("g1", "present", after_s=60)
    assert len(list(orders(rig))) == 2


def test_the_cloud_finds_a_theft_once_and_its_trail_grows(rig: BikeRig) -> None:
    rig.add()
    steal(rig)
    rig.round()
    assert rig.alarms() == []
    rig.round(after_s=21)
    (alarm,) = rig.alarms("theft")
    assert (alarm["site"], alarm["area_path"]) == ("site-g2", "city/east/")
    rig.say("g3", "present", after_s=60)
    rig.round(after_s=61)
    assert len(rig.alarms("theft")) == 1
    assert rig.case()["arming"] == rig.arming()["id"]
    comments = [row["why"] for row in rig.rows(change, what="commented")]
    assert [words.count("Gate") for words in comments] == [2, 1]
    assert [station for station, _ in steps(rig, "seen")] == [1, 2, 3]
    # A theft that is known arms no further gateway.
    assert [gateway for gateway, _, _ in orders(rig)] == ["g1", "g2"]


def test_what_the_gateway_says_in_time_is_the_only_alarm(rig: BikeRig) -> None:
    rig.add()
    steal(rig)
    rig.edge("g1", "theft", at_us=rig.now_us - 40 * SECOND)
    rig.round(after_s=21)
    (alarm,) = rig.alarms()
    assert (alarm["gateway"], rig.case()["alarm_id"]) == ("g1", alarm["alarm_id"])
    assert rig.case()["arming"] == rig.arming()["id"]


def test_what_the_gateway_says_late_takes_the_place_of_the_clouds(rig: BikeRig) -> None:
    rig.add()
    steal(rig)
    rig.round(after_s=21)
    rig.edge("g1", "theft", at_us=rig.now_us - 60 * SECOND)
    rig.round()
    standing = [row["gateway"] for row in rig.alarms() if row["cleared_at_us"] is None]
    assert (standing, rig.case()["source"]) == (["g1"], f"g1/reader/tag-{TAG}/theft")
    # Again in the same arming: the same case.
    rig.edge("g2", "theft")
    rig.round()
    assert rig.case()["closed_us"] is None


@pytest.mark.parametrize(("at", "offset_s"), [("g2", 0), ("g2", 59), ("g2", -59), ("g1", -100)])
def test_a_movement_with_the_owner_is_none(rig: BikeRig, at: str, offset_s: int) -> None:
    rig.add(owner_tag=KEY)
    rig.say("g1", "present", KEY, after_s=-1)
    steal(rig)
    moved_us = rig.now_us
    rig.wait(60)
    rig.say(at, "present", KEY, at_us=moved_us + offset_s * SECOND)
    rig.round(after_s=21)
    assert (rig.alarms(), rig.rows(bike_case)) == ([], [])
    # From there it may be stolen.
    rig.say(at, "left", KEY, after_s=60)
    rig.say("far", "present", after_s=3_000)
    rig.round(after_s=21)
    assert len(rig.alarms("theft")) == 1


def test_an_owner_who_was_away_does_not_excuse(rig: BikeRig) -> None:
    rig.add(owner_tag=KEY)
    rig.say("g3", "present", KEY)
    steal(rig)
    rig.round(after_s=21)
    assert len(rig.alarms("theft")) == 1


def test_an_owner_whose_words_come_late_ends_it(rig: BikeRig) -> None:
    rig.add(owner_tag=KEY)
    steal(rig)
    moved_us = rig.now_us
    rig.round(after_s=21)
    rig.say("g2", "present", KEY, after_s=600, at_us=moved_us + 10 * SECOND)
    rig.round()
    (alarm,) = rig.alarms("theft")
    assert alarm["cleared_at_us"] is not None
    assert rig.case()["outcome"] == "owner"


def test_disarming_ends_the_clouds_alarm_and_the_case_stays(rig: BikeRig) -> None:
    rig.add()
    steal(rig)
    rig.round(after_s=21)
    rig.database.run(
        lambda connection: operations.disarm(connection, "b1", actor=WANG, desk=rig.settings.desk, now_us=rig.now_us)
    )
    assert rig.alarms("theft")[0]["cleared_at_us"] is not None
    assert rig.case()["closed_us"] is None


def test_an_alarm_closed_as_none_closes_the_case_and_a_genuine_one_does_not(rig: BikeRig) -> None:
    rig.add()
    steal(rig)
    rig.edge("g1", "theft")
    rig.round()
    alarm_id = rig.case()["alarm_id"]

    def close(code: ClosingCode) -> None:
        rig.database.run(
            lambda connection: desk.close(
                connection, alarm_id, actor=WANG, now_us=rig.now_us, code=code, comment="found"
            )
        )
        rig.round()

    close(ClosingCode.ACCIDENTAL)
    assert (rig.case()["outcome"], rig.case()["closed_by"]) == ("accidental", "王芳")


def test_tests_of_an_alarm_and_strangers_open_no_case(rig: BikeRig) -> None:
    rig.add()
    rig.edge("g1", "theft", mode=Mode.TEST)
    rig.edge("g1", "theft", "STRANGER")
    rig.edge("g1", "silent")
    rig.round()
    assert rig.rows(bike_case) == []


def test_stolen_hits_and_recovered(rig: BikeRig) -> None:
    rig.add()
    rig.say("g1", "present")
    case = rig.database.run(
        lambda connection: operations.mark_stolen(connection, "b1", words="红色", actor=WANG, now_us=rig.now_us)
    )
    (entry,) = rig.rows(stolen_tag)
    assert (entry["tag"], entry["case"]) == (TAG, str(case))
    with pytest.raises(BikeStateError):
        rig.database.run(
            lambda connection: operations.mark_stolen(connection, "b1", words="", actor=WANG, now_us=rig.now_us)
        )
    for _ in range(4):
        rig.edge("g1", "stolen")
        rig.round(after_s=300)
    rig.edge("g2", "stolen")
    rig.say("g2", "present")
    rig.edge("g1", "stolen", at_us=rig.now_us + 3_600 * SECOND)
    rig.round()
    assert steps(rig, "hit") == [(1, 4), (2, 1), (1, 1)]
    assert rig.case()["hits"] == 3
    closed = rig.database.run(
        lambda connection: operations.recover(connection, "b1", actor=WANG, desk=rig.settings.desk, now_us=rig.now_us)
    )
    assert (closed, rig.case()["outcome"], rig.rows(stolen_tag)) == (case, "recovered", [])
    assert rig.rows(bike)[0]["stolen_us"] is None


def test_a_drifting_stolen_tag_is_one_occurrence_a_station(rig: BikeRig) -> None:
    """The gateway says a hit again and again; the desk folds it, and loses no event."""
    rig.add()
    rig.database.run(
        lambda connection: operations.mark_stolen(connection, "b1", words="", actor=WANG, now_us=rig.now_us)
    )
    for _ in range(20):
        began_us = rig.now_us
        rig.edge("g1", "stolen")
        rig.wait(60)
        rig.edge("g1", "stolen", transition=Transition.CLEARED, raised_us=began_us)
        rig.wait(60)
    rig.round()
    (alarm,) = rig.alarms("stolen")
    assert alarm["triggers"] == 20
    assert steps(rig, "hit") == [(None, 20)]


def test_a_stolen_bike_that_moves_grows_the_case_of_its_theft(rig: BikeRig) -> None:
    rig.add()
    steal(rig)
    rig.round(after_s=21)
    case = rig.database.run(
        lambda connection: operations.mark_stolen(connection, "b1", words="", actor=WANG, now_us=rig.now_us)
    )
    assert (rig.case()["id"], rig.case()["kind"]) == (case, "stolen")


def test_nobody_is_stolen_that_is_not_there(rig: BikeRig) -> None:
    rig.add("b2", None)
    with pytest.raises(UnknownBikeError):
        rig.arm("b9")
    with pytest.raises(BikeStateError):
        rig.arm("b2")
    with pytest.raises(BikeStateError):
        rig.database.run(
            lambda connection: operations.recover(
                connection, "b2", actor=WANG, desk=rig.settings.desk, now_us=rig.now_us
            )
        )


def test_hours_arm_and_disarm_but_not_what_a_person_armed(rig: BikeRig) -> None:
    # Shanghai; `NOW_US` is 22:13 there.
    assert datetime.fromtimestamp(NOW_US / 1e6, UTC).astimezone(ZoneInfo("Asia/Shanghai")).strftime("%H:%M") == "22:13"
    days = "mon tue wed thu fri sat sun"
    rig.add(arm_from="23:00", arm_to="06:00", arm_days=days, hours_due_us=0)
    rig.add("b2", "T2", arm_from="23:00", arm_to="06:00", arm_days=days, hours_due_us=0)
    rig.round()
    assert rig.rows(bike_arming) == []
    rig.arm("b2")
    rig.round(after_s=3_600)
    assert [(row["bike"], row["how"]) for row in rig.rows(bike_arming)] == [("b2", "person"), ("b1", "hours")]
    rig.round(after_s=8 * 3_600)
    assert {row["bike"]: row["until_us"] is None for row in rig.rows(bike_arming)} == {"b2": True, "b1": False}
    # A worker that was away for days makes up for the last turn alone.
    rig.round(after_s=2 * DAY + 16 * 3_600)
    assert [row["bike"] for row in rig.rows(bike_arming)] == ["b2", "b1", "b1"]


def test_the_owners_tag_arms_and_disarms(rig: BikeRig) -> None:
    rig.add(owner_tag=KEY, by_owner=True)
    rig.take([("g1", "present", TAG, rig.now_us), ("g1", "present", KEY, rig.now_us)])
    rig.round(after_s=1)
    assert rig.rows(bike_arming) == []
    rig.say("g1", "left", KEY, after_s=600)
    rig.round(after_s=30)
    assert rig.rows(bike_arming) == []
    rig.round(after_s=31)
    assert rig.arming()["how"] == "owner"
    rig.say("g1", "present", KEY, after_s=600)
    rig.round()
    assert rig.arming()["until_us"] == rig.now_us
    assert [order for _, order, _ in orders(rig)] == [Arm, Disarm]


def test_what_is_counted(rig: BikeRig) -> None:
    rig.add()
    rig.add("b2", "T2")
    rig.take(
        [("g1", "present", TAG, rig.now_us), ("g1", "present", "T2", rig.now_us), ("g1", "left", "T2", rig.now_us + 1)]
    )
    rig.database.run(lambda connection: rounds.count(connection, rig.settings, rig.now_us, 3, 0))
    lines = sorted(bytes(row["line"]).decode() for row in rig.rows(measure))
    stamp = f" {rig.now_us}"
    assert lines[0].startswith("bike_station,area=east,gateway=g1,path=:all:city:east:,site=site-g1,station=reader ")
    assert lines[0].endswith(f",present=1i,moves=2i,low=0i{stamp}")
    assert lines[1].startswith("bike_watch registered=2i,present=1i,armed=0i,stolen=0i,cases=0i,low=0i,silent=0i")
    assert len(lines) == 2


def test_low_batteries_are_counted_where_the_tags_are(rig: BikeRig) -> None:
    rig.add()
    rig.add("b2", "T2")
    rig.take([("g1", "present", TAG, rig.now_us), ("g2", "present", "T2", rig.now_us)])
    is_low = update(bike_tag).where(bike_tag.c.tag == "T2").values(low_us=rig.now_us)
    rig.database.run(lambda connection: connection.execute(is_low))
    rig.database.run(lambda connection: rounds.count(connection, rig.settings, rig.now_us, 0, 0))
    low = {line.split(",")[2]: line.split("low=")[1].split("i")[0] for line in _station_lines(rig)}
    assert low == {"gateway=g1": "0", "gateway=g2": "1"}
    assert all("latitude=31.3" in line and "[g" in line for line in _station_lines(rig))


def _station_lines(rig: BikeRig) -> list[str]:
    return [line for row in rig.rows(measure) if (line := bytes(row["line"]).decode()).startswith("bike_station")]


def test_old_stays_go_and_what_lasts_stays(desk_database: Database) -> None:
    rig = BikeRig(desk_database, Settings(bikes=Bikes(keep_days=1)))
    rig.add()
    rig.say("g1", "present")
    rig.say("g2", "present", after_s=60)
    rig.wait(3 * DAY)
    rig.database.run(lambda connection: rounds.prune(connection, rig.settings, rig.now_us, ""))
    assert rig.stays() == [("g2", 60, None)]


def test_what_has_ended_goes_after_a_while_and_what_lasts_stays(desk_database: Database) -> None:
    rig = BikeRig(desk_database, Settings(bikes=Bikes(keep_days=1)))
    rig.add()
    steal(rig)
    rig.round(after_s=21)

    def prune() -> None:
        rig.wait(3 * DAY)
        rig.database.run(lambda connection: rounds.prune(connection, rig.settings, rig.now_us, ""))

    prune()
    assert [len(rig.rows(table)) for table in (bike_arming, bike_told, bike_case)] == [1, 2, 1]
    rig.database.run(
        lambda connection: operations.recover(connection, "b1", actor=WANG, desk=rig.settings.desk, now_us=rig.now_us)
    )
    prune()
    assert [rig.rows(table) for table in (bike_arming, bike_told, bike_case, bike_case_step)] == [[], [], [], []]


def test_an_owner_is_forgotten_and_the_bike_stays(rig: BikeRig) -> None:
    rig.add(owner_tag=KEY, by_owner=True)
    rig.own()
    rig.take([("g1", "present", TAG, rig.now_us), ("g1", "present", KEY, rig.now_us)])

    def forget() -> bool:
        return rig.database.run(lambda connection: forget_owner(connection, "b1", actor=WANG, at_us=rig.now_us))

    assert (forget(), forget()) == (True, False)
    assert rig.rows(bike_owner) == []
    assert [row["tag"] for row in rig.rows(bike_tag)] == [TAG]
    (row,) = rig.rows(bike)
    assert (row["owner_tag"], row["by_owner"], row["tag"]) == (None, False, TAG)
    (noted,) = rig.rows(audit)
    assert (noted["what"], noted["object"]) == ("bike-owner-forgotten", "b1")
    assert "王芳" not in str(msgspec.to_builtins(noted["details"]))
    assert rig.stays() == [("g1", 0, None)]
