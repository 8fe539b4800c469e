"""Patrols at the desk: late uploads, alarms that grow and are taken back, read-outs, silent wands."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from cloud.areas.faults import ImportRefusedError
from cloud.database import Database
from cloud.database.feed_tables import measure
from cloud.database.patrol_tables import patrol_hit, patrol_sync, patrol_tour, patrol_visit
from cloud.patrols.importing import export
from contract.telemetry import Point, Sample
from tests.cloud.patrols_rig import SHEETS, Patrol, at, docking, visit
from tests.cloud.rig import count_of, rows_of

WALKED = [("C1", "22:05"), ("C2", "22:30"), ("C3", "23:10")]


def test_a_night_that_was_walked_ends_without_a_word(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.to("24 00:10")
    assert patrol.verdicts() == ["pending"] * 3
    patrol.upload(*WALKED)
    assert patrol.verdicts() == ["on-time"] * 3
    patrol.to("24 06:00")
    assert (patrol.row()["state"], patrol.told()) == ("done", [])
    line = rows_of(desk_database, measure)[-1]["line"].decode()
    assert "tours_on_time=1i" in line
    assert line.startswith("patrol,area=east,path=:all:city:east:,plan=night,route=")
    assert 'route_name="夜巡"' in line


def test_missed_is_final_only_after_the_grace_and_a_read_out_and_is_corrected_still(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.to("24 00:30")
    patrol.upload(WALKED[0], WALKED[2])
    assert patrol.verdicts() == ["on-time", "pending", "on-time"], "the grace lasts until one"
    patrol.to("24 01:01")
    assert patrol.verdicts()[1] == "missed"
    assert patrol.told() == [("patrol-missed", "high", True)], "the lab must be visited"
    (alarm,) = patrol.alarms()
    assert (alarm["site"], alarm["area_path"], alarm["device"]) == (
        "school-east",
        "city/east/",
        "tour.night.20261123T2200",
    )
    assert alarm["text"]["zh"] == "巡更夜巡（2026-11-23 22:00）：3个巡更点漏巡1个：实验室"
    patrol.to("24 08:00")
    patrol.upload(WALKED[1])
    assert patrol.verdicts() == ["on-time"] * 3
    assert patrol.told() == [("patrol-missed", "high", False)]
    assert [one for one in patrol.history() if one[0] == 1] == [
        (1, "open", "pending"), (1, "pending", "missed"), (1, "missed", "on-time"),
    ]  # fmt: skip
    lines = [row["line"] for row in rows_of(desk_database, measure)]
    assert b"tours_missed=1i" in lines[-2]
    assert b"tours_missed=0i" in lines[-1]
    assert lines[-1].split()[-1] == lines[-2].split()[-1], "the correction takes the place of what it corrects"


def test_a_late_visit_uploaded_late_corrects_to_late(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.to("24 01:30")
    patrol.upload(*WALKED[:2])
    assert patrol.verdicts() == ["on-time", "on-time", "missed"]
    patrol.upload(("C3", "24 00:20"))
    assert patrol.verdicts() == ["on-time", "on-time", "late"]
    assert patrol.told() == [("patrol-missed", "medium", False)]


def test_what_is_read_out_before_the_end_proves_nothing(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.to("23:00")
    patrol.upload(*WALKED[:2])
    patrol.to("24 05:00")
    assert patrol.verdicts() == ["on-time", "on-time", "pending"]
    assert patrol.row()["waits"]


def test_what_is_read_out_has_some_time_to_come(desk_database: Database) -> None:
    patrol = Patrol(desk_database, settle_s=300)
    patrol.to("24 08:00")
    patrol.upload()
    assert patrol.verdicts() == ["pending"] * 3
    patrol.to("24 08:04")
    patrol.upload(*WALKED, docked=False)
    patrol.to("24 09:00")
    assert (patrol.verdicts(), patrol.told()) == (["on-time"] * 3, [])
    other = Sample("wand-1", at("24 22:00"), docking(0).points)
    patrol.to("24 22:00")
    patrol.hear([other])


def test_a_silent_wand_is_one_alarm_and_nothing_is_said_to_be_missed(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.to("25 00:02")
    assert patrol.verdicts() == ["unheard"] * 3
    assert patrol.told() == [("wand-silent", "medium", True)]
    patrol.to("26 00:02")
    assert patrol.verdicts("night.20261124T2200") == ["unheard"] * 3
    assert patrol.told() == [("wand-silent", "medium", True)], "still one"
    patrol.upload(*WALKED)
    assert patrol.verdicts() == ["on-time"] * 3
    assert patrol.told() == [("wand-silent", "medium", False), ("patrol-missed", "high", True)]
    assert patrol.verdicts("night.20261124T2200") == ["missed"] * 3


def test_a_wand_that_nobody_named_is_waited_for_and_its_read_out_wakes_the_tour(desk_database: Database) -> None:
    plans = "id,route,starts,duration_min\nnight,round,22:00,120\n"
    patrol = Patrol(desk_database, SHEETS | {"plans.csv": plans})
    patrol.to("23:00")
    patrol.upload(*WALKED[:2])
    patrol.to("24 02:00")
    assert patrol.verdicts() == ["on-time", "on-time", "pending"]
    patrol.upload()
    assert patrol.verdicts() == ["on-time", "on-time", "missed"], "at once, not a day later"
    assert patrol.told() == [("patrol-missed", "medium", True)]


def test_missed_stands_until_what_it_named_is_visited(desk_database: Database) -> None:
    sheets = SHEETS | {
        "wands.csv": "id,area,name,machine\nw1,east,一号棒,0102030405\nw2,east,二号棒,0A0B0C0D0E\n",
        "carriers.csv": "wand,person\nw1,wang\nw2,wang\n",
    }
    patrol = Patrol(desk_database, sheets)
    patrol.to("24 01:30")
    patrol.upload(WALKED[0])
    assert patrol.verdicts() == ["on-time", "missed", "missed"]
    patrol.hear([visit("C2", "22:30", machine="0A0B0C0D0E")])
    assert patrol.verdicts() == ["on-time", "on-time", "pending"], "the roof may be in the other wand"
    assert patrol.told() == [("patrol-missed", "high", True)], "it is not made good"
    patrol.hear([docking(patrol.now_us, machine="0A0B0C0D0E")])
    assert patrol.verdicts()[2] == "missed"
    assert patrol.told() == [("patrol-missed", "high", True)], "one alarm, not two"
    patrol.hear([visit("C3", "23:10", machine="0A0B0C0D0E")])
    assert patrol.told() == [("patrol-missed", "high", False)]


def test_a_wand_that_was_put_in_just_now_is_not_silent(desk_database: Database) -> None:
    patrol = Patrol(desk_database, settle_s=600)
    patrol.to("24 23:58")
    patrol.upload(*WALKED[:2])
    patrol.to("25 00:05")
    assert patrol.told() == [], "what it holds has some time to come"
    patrol.to("25 00:30")
    assert patrol.told() == [("patrol-missed", "medium", True)]


def test_the_alarm_of_a_tour_is_one_that_grows(desk_database: Database) -> None:
    sheets = SHEETS | {
        "routes.csv": "id,area,name,order,early_min,late_min\nround,east,夜巡,timed,5,5\n",
        "route_points.csv": "route,position,point,must,minutes_to_next\nround,1,gate,no,30\nround,2,lab,yes,30\n"
        "round,3,roof,no,0\n",
    }
    patrol = Patrol(desk_database, sheets, grace_s=60)
    patrol.to("22:10")
    patrol.upload()
    assert patrol.told() == [("patrol-missed", "medium", True)]
    patrol.to("23:20")
    patrol.upload()
    (alarm,) = patrol.alarms()
    assert (alarm["severity"], alarm["triggers"]) == ("high", 2), "a point that must be visited makes it worse"
    assert len(patrol.comments()) == 1
    assert "3个巡更点漏巡3个" in patrol.comments()[0]
    assert alarm["area_path"] == "city/east/"


def test_late_is_an_alarm_only_where_the_plan_says_so(desk_database: Database) -> None:
    plans = "id,route,starts,duration_min,tell_late\nnight,round,22:00,120,yes\n"
    patrol = Patrol(desk_database, SHEETS | {"plans.csv": plans})
    patrol.to("24 00:30")
    patrol.upload(*WALKED[:2], ("C3", "24 00:15"))
    assert patrol.told() == [("patrol-late", "low", True)]
    patrol.upload(WALKED[2])
    assert patrol.told() == [("patrol-late", "low", False)]


def test_hits_are_kept_once(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    hit = Sample("wand-1", at("22:00"), (Point("hit", 1.0), Point("hit_at", "2026-11-23T14:00:00Z"),
                                         Point("machine", "0102030405")))  # fmt: skip
    patrol.hear([hit, hit])
    patrol.hear([hit])
    (row,) = rows_of(desk_database, patrol_hit)
    assert (row["wand"], row["hit_at_us"]) == ("w1", at("22:00"))


def test_a_changed_plan_changes_tours_to_come_and_no_other(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.to("22:30")
    before = patrol.row()["tour"]
    assert [row["id"] for row in rows_of(desk_database, patrol_tour)] == [
        "night.20261123T2200", "night.20261124T2200"]  # fmt: skip
    patrol.bring({"plans.csv": "id,route,starts,duration_min\nnight,round,21:00,90\n"})
    patrol.work()
    assert [row["id"] for row in rows_of(desk_database, patrol_tour)] == [
        "night.20261123T2200", "night.20261124T2100"]  # fmt: skip
    assert patrol.row()["tour"] == before


def test_a_visit_before_its_tour_was_made_finds_it(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.to("21:45")
    patrol.upload(("C1", "21:40"))
    assert patrol.verdicts()[0] == "early"
    patrol.bring({"route_points.csv": "route,position,point\nround,1,lab\nround,2,gate\n"})
    patrol.work()
    assert patrol.verdicts() == ["open", "early"]


def test_unknown_cards_and_wands_are_kept_and_disturb_nobody(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.to("23:00")
    patrol.upload(("CX", "22:01"), *WALKED[:1])
    patrol.hear([visit("C2", "22:30", machine="FFFFFFFFFF")])
    assert patrol.verdicts() == ["on-time", "open", "open"]
    assert [extra[1] for extra in patrol.row()["judged"]["extras"]] == ["unplanned"]
    assert count_of(desk_database, patrol_visit) == 3


@pytest.mark.parametrize("bad", ["2026-13-01T00:00:00Z", "yesterday", "2026-11-23T22:00:00", ""])
def test_a_visit_without_a_time_is_none(desk_database: Database, bad: str) -> None:
    patrol = Patrol(desk_database)
    patrol.hear([Sample("wand-1", at("22:00"), (Point("card", "C1"), Point("visited_at", bad)))])
    assert count_of(desk_database, patrol_visit) == 0


def test_all_faults_of_the_sheets_are_told_by_line(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    with pytest.raises(ImportRefusedError) as caught:
        patrol.bring({
            "points.csv": "id,area,name,cards,radius_m\nhall,nowhere,大厅,C1,\nyard,east,院子,C8,20\n",
            "route_points.csv": "route,position,point\nround,1,gate\nround,1,lab\nother,1,gate\nround,2,cellar\n",
            "plans.csv": "id,route,starts,duration_min,people\nnight,round,22:00 23:00,120,nobody\nx,gone,25:00,10,\n",
        })  # fmt: skip
    told = "\n".join(fault.told() for fault in caught.value.faults)
    for words in (
        "points.csv:2: point hall: there is no area nowhere",
        "points.csv:2: card C1 belongs to point gate",
        "points.csv:3: a radius and its centre come together",
        "route_points.csv:3: route point round/1 stands there twice",
        "route_points.csv:4: route point other/1 refers to route other",
        "route_points.csv:5: route point round/2 refers to point cellar",
        "plans.csv:2: plan night refers to person nobody",
        "plans.csv:2: the period from 22:00 is not over at 23:00",
        "plans.csv:3: starts: '25:00' is no time of day",
    ):
        assert words in told, told
    assert count_of(desk_database, patrol_tour) == 2, "nothing was changed"


def test_an_outline_comes_out_as_it_went_in(desk_database: Database) -> None:
    corners = "0.00005 120.5853123; 31.299 120.5853; 31.299 -120.5861234"
    patrol = Patrol(desk_database)
    patrol.bring({"points.csv": f"id,area,name,outline\nyard,east,院子,{corners}\n"})
    sheets = patrol.database.read(export)
    assert corners in sheets["points.csv"].decode("utf-8-sig")
    assert patrol.bring({"points.csv": sheets["points.csv"].decode("utf-8-sig")}).touched == 0


Batches = Sequence[Sequence[Any]]


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_uploads_in_any_order_split_and_again_end_in_the_same_verdicts(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Any
) -> None:
    walked = [visit("C1", "22:05"), visit("C3", "22:20"), visit("C2", "22:30"), visit("C2", "22:31"),
              visit("C3", "24 00:20"), visit("C9", "23:00")]  # fmt: skip
    order = data.draw(st.permutations([*walked, *data.draw(st.lists(st.sampled_from(walked), max_size=3))]))
    path = tmp_path_factory.mktemp("any") / "desk.db"
    path.write_bytes(sqlite_template.read_bytes())
    with Database(make_url(f"sqlite:///{path}")) as database:
        patrol = Patrol(database)
        patrol.to("24 00:10")
        for one in order:
            hour = data.draw(st.sampled_from([0, 0, 2]))
            patrol.now_us += hour * 3_600_000_000
            patrol.hear([one, *([docking(patrol.now_us)] if data.draw(st.booleans()) else [])])
        patrol.now_us += 30 * 3_600_000_000
        patrol.upload()
        row = patrol.row()
        assert patrol.verdicts() == ["on-time", "on-time", "late"]
        assert sorted(extra[1] for extra in row["judged"]["extras"]) == ["repeated", "repeated", "unplanned"]
        assert row["state"] == "done"
        assert all(not stands for kind, _, stands in patrol.told() if kind == "wand-silent")
        assert row["alarms"] == {}
        assert [one for one in rows_of(database, patrol_sync) if one["silent_raised_at_us"]] == []
