"""Files of bikes and owners: in and out, every fault by its line, nothing by halves."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.areas.faults import Faults, ImportRefusedError
from cloud.bikes import arming, registry
from cloud.bikes.arming import How
from cloud.bikes.operations import mark_stolen
from cloud.bikes.rounds import tell_silent
from cloud.bikes.sheets import BIKES, read_file
from cloud.bikes.stations import read_stations
from cloud.database import Database
from cloud.database.bike_tables import bike, bike_arming, bike_owner, bike_tag
from cloud.database.order_tables import gateway_order
from cloud.database.people_tables import audit
from tests.cloud.bike_rig import KEY, NOW_US, TAG, WANG, BikeRig

BIKES_CSV = """id,area,tag,owner_tag,plate,by_owner,arm_from,arm_to,silent_after_s
b1,east,ccb97e7361a4,EAC653D3AA8E,苏E12345,是,22:00,6:00,86400
b2,west,T2,,苏E12346,,,,
"""
OWNERS_CSV = "bike,name,phone,address\nb1,王芳,+8613900000001,人民路1号\n"


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def bring_in(database: Database, *paths: Path, dry_run: bool = False) -> dict[str, tuple[int, int, int]]:
    brought = registry.bring_in(
        database, paths, actor=WANG, at_us=NOW_US, dry_run=dry_run, on_rows=lambda _count: None
    )  # fmt: skip
    return {name: (one.added, one.changed, one.unchanged) for name, one in brought.items()}


@pytest.fixture
def rig(desk_database: Database) -> BikeRig:
    return BikeRig(desk_database)


def test_in_and_out_and_in_again(rig: BikeRig, tmp_path: Path) -> None:
    # GBK, as spreadsheets in China write it; owners named before bikes.
    files = write(tmp_path, "owners.csv", OWNERS_CSV, "gbk"), write(tmp_path, "bikes-east.csv", BIKES_CSV, "gbk")
    assert bring_in(rig.database, *files, dry_run=True) == {"bikes": (2, 0, 0), "owners": (1, 0, 0)}
    assert rig.rows(bike) == []
    assert bring_in(rig.database, *files) == {"bikes": (2, 0, 0), "owners": (1, 0, 0)}
    one, _two = rig.rows(bike)
    assert (one["tag"], one["plate"], one["by_owner"], one["arm_to"]) == ("CCB97E7361A4", "苏E12345", True, "06:00")
    assert (one["arm_days"], one["hours_due_us"]) == ("mon tue wed thu fri sat sun", 0)

    def out(*, with_owners: bool) -> list[Path]:
        return registry.export(
            rig.database, tmp_path / "out", with_owners=with_owners, actor=WANG, at_us=NOW_US, on_rows=lambda _: None
        )

    assert [path.name for path in out(with_owners=False)] == ["bikes.csv"]
    assert [row["what"] for row in rig.rows(audit)] == ["bikes-imported"]
    assert bring_in(rig.database, *out(with_owners=True)) == {"bikes": (0, 0, 2), "owners": (0, 0, 1)}
    assert [row["what"] for row in rig.rows(audit)] == ["bikes-imported", "bike-owners-exported"]
    # What a file does not have stays.
    assert bring_in(rig.database, write(tmp_path, "bikes.csv", "id;area\nb1;west\n")) == {"bikes": (0, 1, 0)}
    assert (rig.rows(bike)[0]["area"], rig.rows(bike)[0]["plate"]) == ("west", "苏E12345")
    assert rig.rows(bike_owner)[0]["phone"] == "+8613900000001"


def test_all_faults_with_their_lines_and_nothing_is_kept(rig: BikeRig, tmp_path: Path) -> None:
    rig.add("b9", "T9")
    bad = (
        "id,area,tag,owner_tag,by_owner,arm_from,arm_to\n"
        "b1,nowhere,T1,,,,\n"
        "b2,east,no tag,,,,\n"
        "b3,east,T9,,,,\n"
        "b3,east,T3,,,,\n"
        "b4,east,T1,,,,\n"
        ",east,T5,,,,\n"
        "b6,east,T6,,yes,,\n"
        "b7,east,T7,,,22:00,\n"
        "b8,east,T8,T8,maybe,25:00,22:00\n"
        "b10,east,T10,,,,,x\n"
    )
    files = write(tmp_path, "bikes.csv", bad), write(tmp_path, "owners.csv", "bike,name\nnobody,李伟\nb1,\n")
    with pytest.raises(ImportRefusedError) as caught:
        bring_in(rig.database, *files, write(tmp_path, "cars.csv", "id\n"))
    told = [fault.told().removeprefix(f"{tmp_path}/") for fault in caught.value.faults]
    lines = [one.split(": ")[0] for one in told]
    assert [int(line.split(":")[1]) for line in lines if line.startswith("bikes.csv")] == [
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        10,
        11,
    ]
    assert [line for line in lines if line.startswith("owners")] == ["owners.csv:2", "owners.csv:3"]
    assert "bike b9 has tag T9" in "\n".join(told)
    assert [row["id"] for row in rig.rows(bike)] == ["b9"]
    assert (rig.rows(audit), rig.rows(bike_owner)) == ([], [])


def test_a_bike_with_another_tag_leaves_nothing_of_the_old_one_behind(rig: BikeRig, tmp_path: Path) -> None:
    rig.add(silent_after_s=60)
    rig.say("g1", "present")
    rig.say("g1", "low-battery", after_s=10)
    rig.add("b9", "T9")
    rig.say("g1", "present", "T9", after_s=100)
    rig.database.run(lambda connection: tell_silent(connection, rig.settings, rig.now_us))
    rig.arm()
    bring_in(rig.database, write(tmp_path, "bikes.csv", "id,area,tag\nb1,east,T2\n"))
    assert [row["kind"] for row in rig.rows(gateway_order)] == ["arm", "disarm"]
    assert rig.arming()["until_us"] is not None
    assert sorted(row["kind"] for row in rig.alarms()) == ["low-battery", "tag-silent"]
    assert all(row["cleared_at_us"] is not None for row in rig.alarms())
    assert (rig.stays(), [row["tag"] for row in rig.rows(bike_tag)]) == ([], ["T9"])


def test_a_stolen_bike_keeps_its_tag(rig: BikeRig, tmp_path: Path) -> None:
    rig.add()
    rig.database.run(lambda connection: mark_stolen(connection, "b1", words="", actor=WANG, now_us=NOW_US))
    with pytest.raises(ImportRefusedError) as caught:
        bring_in(rig.database, write(tmp_path, "bikes.csv", "id,area,tag\nb1,east,T2\n"))
    assert caught.value.faults[0].where.line == 2
    # All else may change.
    assert bring_in(rig.database, write(tmp_path, "bikes.csv", f"id,area,tag\nb1,west,{TAG}\n")) == {"bikes": (0, 1, 0)}


@pytest.mark.parametrize(
    ("how", "row", "lasts"),
    [
        ("hours", "b1,east,,", False),
        ("hours", "b1,east,23:00,07:00", False),
        ("hours", "b1,west,22:00,06:00", True),
        ("person", "b1,east,,", True),
    ],
)
def test_who_was_armed_by_hours_that_are_others_now_is_disarmed(
    rig: BikeRig, tmp_path: Path, how: str, row: str, *, lasts: bool
) -> None:
    days = "mon tue wed thu fri sat sun"
    rig.add(arm_from="22:00", arm_to="06:00", arm_days=days, hours_due_us=7)
    arm(rig, How(how))
    bring_in(rig.database, write(tmp_path, "bikes.csv", f"id,area,arm_from,arm_to\n{row}\n"))
    assert (rig.arming()["until_us"] is None) == lasts
    # Hours that are as they were keep their next turn, also one that is due.
    assert (rig.rows(bike)[0]["hours_due_us"] == 7) == row.startswith("b1,west")


def test_days_that_a_file_does_not_have_stay_and_hours_come_in_pairs(rig: BikeRig, tmp_path: Path) -> None:
    rig.add(arm_from="22:00", arm_to="06:00", arm_days="mon tue", hours_due_us=7)
    bring_in(rig.database, write(tmp_path, "bikes.csv", "id,area,arm_from,arm_to\nb1,east,23:00,06:00\n"))
    assert rig.rows(bike)[0]["arm_days"] == "mon tue"
    bring_in(rig.database, write(tmp_path, "bikes.csv", "id,area,arm_from,arm_to\nb2,east,23:00,06:00\n"))
    assert rig.rows(bike)[1]["arm_days"] == "mon tue wed thu fri sat sun"
    with pytest.raises(ImportRefusedError):
        bring_in(rig.database, write(tmp_path, "bikes.csv", "id,area,arm_from\nb1,east,23:00\n"))


def test_who_was_armed_by_an_owner_that_arms_no_more_is_disarmed(rig: BikeRig, tmp_path: Path) -> None:
    rig.add(owner_tag=KEY, by_owner=True)
    arm(rig, How.OWNER)
    bring_in(rig.database, write(tmp_path, "bikes.csv", "id,area,by_owner\nb1,east,no\n"))
    assert rig.arming()["until_us"] is not None
    arm(rig, How.OWNER)
    assert rig.database.run(lambda connection: registry.forget_owner(connection, "b1", actor=WANG, at_us=NOW_US))
    # What is kept of armings would tell when its owner was away.
    assert rig.rows(bike_arming) == []


def arm(rig: BikeRig, how: How) -> None:
    rig.database.run(
        lambda connection: arming.arm(
            connection, ["b1"], how=how, by="", now_us=NOW_US, stations=read_stations(connection)
        )
    )


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"id,area\nb1,\xd5\xd5\xff\xff\n", 2),
        ("id,area\nb1,王\n".encode() * 3 + b"b2,\xff\n", 7),
        (b'id,area\nb1,"east\n', 2),
        (b"id,colour\nb1,red\n", 1),
        (b"id\nb1\n", 1),
        (b"id,area,area\nb1,east,east\n", 1),
        (b"", 1),
    ],
)
def test_files_that_cannot_be_read(data: bytes, line: int, tmp_path: Path) -> None:
    path = tmp_path / "bikes.csv"
    path.write_bytes(data)
    faults = Faults()
    list(read_file(path, BIKES, faults))
    with pytest.raises(ImportRefusedError) as caught:
        faults.settle()
    assert caught.value.faults[0].where.line == line


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_rows_or_faults(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bikes-any.csv"
    path.write_bytes(b"id,area,tag\n" + data)
    faults = Faults()
    for entry in read_file(path, BIKES, faults):
        assert entry.row["id"]
