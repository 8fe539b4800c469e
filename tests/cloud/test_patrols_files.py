"""Tables of makers' programs: headings, encodings, broken lines, and the same table again."""

from functools import partial
from zoneinfo import ZoneInfo

import pytest

from cloud.areas.faults import Faults, ImportRefusedError
from cloud.database import Database
from cloud.database.patrol_tables import patrol_visit
from cloud.patrols.handing import FileOutcome, bring_in_visits
from cloud.patrols.visit_files import FileVisit, Reading, read_visits
from contract.telemetry import Point, Sample
from tests.cloud.patrols_rig import SHEETS, Patrol, at
from tests.cloud.rig import rows_of

READING = Reading(ZoneInfo("Asia/Shanghai"))
CHINESE = "时间,设备号,巡更员,地点,事件,卡号\n2026-11-23 22:05:00,0102030405,王芳,东门,正常,c1\n"


def read(data: bytes | str, reading: Reading = READING) -> tuple[list[FileVisit], list[str]]:
    faults = Faults()
    found = read_visits(data if isinstance(data, bytes) else data.encode(), "v.csv", reading, faults)
    try:
        faults.settle()
    except ImportRefusedError as error:
        return found, [fault.told() for fault in error.faults]
    return found, []


WANTED = FileVisit(2, at("22:05"), "0102030405", "王芳", "东门", "C1")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_encodings_of_spreadsheets(encoding: str, end: str) -> None:
    assert read(CHINESE.replace("\n", end).encode(encoding)) == ([WANTED], [])


def test_a_broken_line_of_a_gbk_file_is_refused_alone_with_its_number() -> None:
    lines = CHINESE.encode("gbk").splitlines()
    broken = lines[1][:40] + b"\xff\xff" + lines[1][40:]
    found, faults = read(b"\n".join([lines[0], lines[1], broken, b"", lines[1].replace(b"22:05", b"22:30")]))
    assert [one.line for one in found] == [2, 5]
    assert faults == ["v.csv:3: cannot be read as GBK"]


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ("Time;Device No;Card ID\n2026/11/23 22:05;0102030405;0F004EBEFC\n",
         FileVisit(2, at("22:05"), "0102030405", "", "", "0F004EBEFC")),
        ("日期\t时间\t巡更点\n2026-11-23\t22:05:00\t东门\n", FileVisit(2, at("22:05"), "", "", "东门", "")),
        ("card_no,date/time\n'0F004EBEFC,20261123220500\n", FileVisit(2, at("22:05"), "", "", "", "0F004EBEFC")),
        ("打卡时间,卡号,其他\n2026年11月23日 22时05分,C1,x\n", FileVisit(2, at("22:05"), "", "", "", "C1")),
    ],
)  # fmt: skip
def test_headings_and_times_of_several_makers(table: str, wanted: FileVisit) -> None:
    assert read(table) == ([wanted], [])


def test_headings_and_times_that_nobody_knows_are_said() -> None:
    table = "Wann,Wer,Wo\n23.11.2026 22:05,Li,C1\n"
    assert read(table)[1] == ["v.csv:1: no column is known as time; say which with --column",
                              "v.csv:1: no column is known as card; say which with --column"]  # fmt: skip
    said = Reading(READING.zone, {"Wann": "time", "wer": "person", "WO": "card"}, "%d.%m.%Y %H:%M")
    assert read(table, said) == ([FileVisit(2, at("22:05"), "", "Li", "", "C1")], [])


def test_every_bad_line_is_told_and_every_good_one_kept() -> None:
    found, faults = read(
        "time,device,checkpoint,card\n"
        "2026-11-23 22:05,w,,C1\n"
        "2026-02-30 22:05,w,,C1\n"
        "yesterday,w,,C1\n"
        "2026-11-23 22:06,w,,\n"
        '2026-11-23 22:07,w,"gate,C1\n'
        "2026-11-23 22:08,w,,C1,more\n"
        "2026-11-23 22:09,w,gate\n"
    )
    assert [one.line for one in found] == [2, 8]
    assert faults == [
        "v.csv:3: '2026-02-30 22:05' is no time", "v.csv:4: 'yesterday' is no time",
        "v.csv:5: names neither a card nor a checkpoint", "v.csv:6: no CSV: a quotation mark is missing",
        "v.csv:7: 5 cells, but 4 columns",
    ]  # fmt: skip


def test_an_empty_file_is_said() -> None:
    assert read(b"\n\n") == ([], ["v.csv: is empty"])


@pytest.mark.parametrize("data", [b"\x00\xff\xfe", b'"', b"time,card\n\x00,\x00\n", "时间,卡号\n,\n".encode("gbk") * 3])
def test_rubbish_is_no_crash(data: bytes) -> None:
    found, faults = read(data)
    assert found == []
    assert faults


def bring(patrol: Patrol, table: str, until: str | None = None) -> tuple[FileOutcome, int]:
    faults = Faults()
    visits = read_visits(table.encode(), "v.csv", READING, faults)
    work = partial(bring_in_visits, visits=visits, file="v.csv", faults=faults, settings=patrol.settings,
                   now_us=patrol.now_us, until_us=None if until is None else at(until))  # fmt: skip
    outcome = patrol.database.run(work)
    patrol.work()
    return outcome, faults.count


def test_the_same_table_again_and_the_wand_itself_add_nothing(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    table = CHINESE + "2026-11-23 22:30:00,一号棒,王芳,实验室,正常,\n2026-11-23 22:40:00,0102030405,,天台,正常,\n"
    patrol.to("24 06:00")
    assert bring(patrol, table) == (FileOutcome(2, 0), 1), "nobody knows the roof by that name"
    assert bring(patrol, table) == (FileOutcome(0, 2), 1)
    patrol.upload(("C1", "22:05"), ("C2", "22:30"))
    rows = rows_of(desk_database, patrol_visit)
    assert {(row["point"], row["wand"], row["person"], row["source"]) for row in rows} == {
        ("gate", "w1", "wang", "file"), ("lab", "w1", "wang", "file")}  # fmt: skip
    assert patrol.verdicts() == ["on-time", "on-time", "missed"]


def test_a_table_is_a_read_out(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.to("25 06:00")
    assert patrol.told() == [("wand-silent", "medium", True)]
    assert bring(patrol, CHINESE, "24 06:00") == (FileOutcome(1, 0), 0)
    assert patrol.verdicts() == ["on-time", "missed", "missed"]
    assert patrol.told() == [("wand-silent", "medium", False), ("patrol-missed", "high", True)]
    bring(patrol, CHINESE + "2026-11-23 22:30:00,一号棒,王芳,实验室,正常,\n")
    assert patrol.verdicts() == ["on-time", "on-time", "missed"]
    assert patrol.told()[1] == ("patrol-missed", "high", True), "the roof is still missed"


def test_a_table_reaches_to_its_latest_visit(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.to("24 06:00")
    bring(patrol, CHINESE)
    assert patrol.verdicts() == ["on-time", "pending", "pending"], "it may have been read out at ten"
    bring(patrol, CHINESE + "2026-11-24 01:00:00,0102030405,,停车场,正常,\n")
    assert patrol.verdicts() == ["on-time", "missed", "missed"]


def test_a_wand_without_a_machine_is_found_and_an_empty_name_is_nobodys(desk_database: Database) -> None:
    wands = "id,area,name,gateway,device,machine\nw1,east,一号棒,gate-east,wand-1,\nw2,east,,,,0A0B0C0D0E\n"
    patrol = Patrol(desk_database, SHEETS | {"wands.csv": wands})
    patrol.to("24 06:00")
    bring(patrol, "time,device,card\n2026-11-23 22:05,一号棒,C1\n2026-11-23 22:06,w1,C2\n2026-11-23 22:07,,C3\n")
    patrol.hear([Sample("wand-1", at("22:05"), (Point("card", "C1"), Point("visited_at", "2026-11-23T14:05:00Z")))])
    rows = rows_of(desk_database, patrol_visit)
    assert {(row["point"], row["wand"], row["person"]) for row in rows} == {
        ("gate", "w1", "wang"), ("lab", "w1", "wang"), ("roof", None, None)}  # fmt: skip
    assert len(rows) == 3, "the wand itself says the same once more"
