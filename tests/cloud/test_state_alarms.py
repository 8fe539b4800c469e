"""Alarms as InfluxDB has them: at once when they change, all in each beat, and what they make of areas and sites."""

from functools import partial
from typing import Any

import anyio
import pytest
from sqlalchemy import insert, update

from cloud.areas.tree import Place
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.feed_tables import measure
from cloud.database.tables import change, cursor
from cloud.desk import controls, watch
from cloud.desk.controls import ControlKind
from cloud.desk.core import ClosingCode
from cloud.desk.following import begin_here
from cloud.desk.own import OWN_GATEWAY, Said
from cloud.influx.schema import ALARM_EVENT, ALARM_STATE, AREA_STATE, SITE_STATE
from cloud.influx.shape import Measurement
from cloud.state import events
from cloud.state.alarms import READER
from cloud.state.events import READER as EVENTS_READER
from cloud.state.events import take_steps
from contract.alarms import AlarmEvent, Mode, Severity, Transition
from contract.presence import Device
from tests.cloud.area_rig import import_
from tests.cloud.rig import rows_of
from tests.cloud.state_rig import AWAY, CITY, ME, S_US, Line, Rig, of, only

pytestmark = pytest.mark.anyio
BUTTON = "school-17/gate-buttons/pressed/contact"
CELL = ":all:32:3205:320506:cell-1:"
ABOVE = ["all", "32", "3205", "320506", "cell-1"]


@pytest.fixture
async def rig(desk_database: Database) -> Rig:
    """A city that has said everything once."""
    made = Rig(desk_database)
    await made.tell()
    return made


def areas(lines: list[Line], field: str) -> dict[str, Any]:
    return {line.tags["area"]: line.fields[field] for line in of(lines, "area_state")}


def has_all_fields(line: Line, measurement: Measurement) -> bool:
    return set(line.fields) == {field.name for field in measurement.fields}


async def test_a_raise_is_said_at_once_with_all_that_it_concerns(rig: Rig) -> None:
    rig.born("school-17", Device("gate-buttons", "generic/none", "1", "按钮"))
    await rig.tell(5)
    began_us = rig.now_us
    alarm_id = rig.happens(BUTTON)
    rig.now_us += 2 * S_US
    lines = await rig.tell()
    alarm = only(lines, "alarm_state")
    assert alarm.tags == {
        "gateway": "school-17", "device": "gate-buttons", "point": "pressed", "rule": "contact", "kind": "panic",
        "path": CELL, "site": "school",
    }  # fmt: skip
    assert alarm.fields == {
        "open": 1, "alarm_id": alarm_id, "severity": 4, "level": "critical", "state": "unacknowledged",
        "stage": "received", "text_en": "Button pressed", "text_zh": "按钮被按下", "site_name": "第十七小学",
        "area_name": "第一网格", "address": "东街1号后门", "latitude": 31.26, "longitude": 120.63,
        "raised_at": began_us // 1_000, "age_s": 2.0, "target_s": 180.0, "share": 2 / 180, "triggers": 1,
        "acknowledged": False, "suppressed": False, "late": False, "mode": "live",
        "way_site": "var-site=school", "way_device": "var-gateway=school-17&var-device=gate-buttons",
    }  # fmt: skip
    assert has_all_fields(alarm, ALARM_STATE)
    assert alarm.at_us == rig.now_us
    assert areas(lines, "critical") == dict.fromkeys(ABOVE, 1), "it and all above it, and no other"
    cell = only(lines, "area_state", area="cell-1")
    assert cell.tags == {"area": "cell-1", "level": "grid"}
    counted = {"critical": 1, "high": 0, "medium": 0, "low": 0, "open": 1, "unacknowledged": 1, "over_target": 0}
    counted |= {"suppressed": 0, "worst": 4, "sites": 1, "gateways": 1, "gateways_online": 1}
    assert cell.fields == counted | {"label": "第一网格 [cell-1]"}
    everything = only(lines, "area_state", area="all")
    assert (everything.tags["level"], everything.fields["label"]) == ("all", "全部 All [all]")
    counts = [everything.fields[name] for name in ("sites", "gateways", "gateways_online")]
    assert counts == [2, 2, 1]
    school = only(lines, "site_state")
    assert school.tags == {"kind": "school", "path": CELL, "site": "school"}
    assert school.fields == {
        "label": "第十七小学 [school]", "name": "第十七小学", "area_name": "第一网格", "address": "东街1号",
        "latitude": 31.25, "longitude": 120.62, "worst": 4, "level": "critical", "open": 1, "over_target": 0,
        "gateways": 1, "gateways_online": 1,
    }  # fmt: skip
    assert has_all_fields(school, SITE_STATE)
    assert only(lines, "device_state").fields["worst"] == 4
    assert await rig.tell() == [], "once"


async def test_areas_have_their_place_on_the_map(desk_database: Database) -> None:
    header = "id,parent,level,name,latitude_deg,longitude_deg\n"
    rig = Rig(desk_database, city=False)
    import_(desk_database, {"areas.csv": f"{header}zj,,province,浙江省,29.5,120\n"})
    rig.begin()
    line = only(await rig.tell(), "area_state", area="zj")
    assert has_all_fields(line, AREA_STATE)
    assert (line.fields["latitude"], line.fields["longitude"], line.fields["open"]) == (29.5, 120.0, 0)


async def test_acknowledged_and_closed(rig: Rig) -> None:
    alarm_id = rig.happens(BUTTON)
    await rig.tell()
    rig.now_us += S_US
    rig.acknowledge(alarm_id)
    lines = await rig.tell()
    alarm = only(lines, "alarm_state")
    assert (alarm.fields["state"], alarm.fields["stage"]) == ("acknowledged", "acknowledged")
    assert alarm.fields["acknowledged"] is True
    assert areas(lines, "unacknowledged")["all"] == 0
    rig.now_us += 58 * S_US
    rig.close(alarm_id)
    rig.now_us += 10 * S_US
    lines = await rig.tell()
    alarm = only(lines, "alarm_state")
    said = {name: alarm.fields[name] for name in ("open", "severity", "level", "stage", "age_s", "alarm_id")}
    assert said == {
        "open": 0, "severity": 0, "level": "none", "stage": "closed", "age_s": 59.0, "alarm_id": alarm_id
    }  # fmt: skip
    assert dict.fromkeys(ABOVE, 0).items() <= areas(lines, "open").items()
    assert only(lines, "site_state", site="school").fields["level"] == "none"


async def test_each_beat_says_all_that_is_open_and_nothing_else(rig: Rig) -> None:
    first, second = rig.happens(BUTTON), rig.happens("mill-1/door/open/contact", kind="intrusion")
    assert len(of(await rig.tell(), "alarm_state")) == 2
    assert of(await rig.tell(14), "alarm_state") == []
    lines = of(await rig.tell(1), "alarm_state")
    assert {line.fields["alarm_id"]: line.fields["age_s"] for line in lines} == {first: 15.0, second: 15.0}
    rig.close(first)
    await rig.tell()
    assert [line.fields["alarm_id"] for line in of(await rig.tell(15), "alarm_state")] == [second]


async def test_areas_and_sites_come_once_in_their_period_spread_over_it(rig: Rig) -> None:
    beats = [await rig.tell(15) for _ in range(20)]
    told = [line.tags["area"] for lines in beats for line in of(lines, "area_state")]
    assert sorted(told) == sorted(["all", "32", "3205", "320506", "320507", "cell-1", "cell-2"])
    assert sorted(line.tags["site"] for lines in beats for line in of(lines, "site_state")) == ["mill", "school"]
    assert sum(bool(of(lines, "area_state")) for lines in beats) > 3, "not at once"


async def test_when_a_target_has_passed_its_areas_say_so_before_their_turn(rig: Rig) -> None:
    rig.happens(BUTTON)
    assert areas(await rig.tell(), "over_target")["cell-1"] == 0
    await rig.tell(179)
    assert of(await rig.tell(1), "site_state") == [], "not yet: it is as old as its target"
    lines = await rig.tell(0.001)
    assert areas(lines, "over_target") == dict.fromkeys(ABOVE, 1)
    assert only(lines, "site_state").fields["over_target"] == 1
    assert areas(await rig.tell(0.001), "over_target") == {}


async def test_what_nobody_wrote_down_is_left_out(rig: Rig) -> None:
    rig.happens("stranger/d/p/r", severity=Severity.LOW, text={"zh-CN": "门开了"})
    alarm = only(await rig.tell(), "alarm_state")
    assert alarm.tags == {
        "gateway": "stranger", "device": "d", "point": "p", "rule": "r", "kind": "panic", "path": ":all:"
    }  # fmt: skip
    absent = {"latitude", "longitude"}
    assert absent.isdisjoint(alarm.fields)
    assert (alarm.fields["site_name"], alarm.fields["area_name"], alarm.fields["address"]) == ("", "", "")
    assert (alarm.fields["text_en"], alarm.fields["text_zh"]) == ("门开了", "门开了")


async def test_the_site_that_a_gateway_names_itself_is_a_site(desk_database: Database) -> None:
    rig = Rig(desk_database, city=False)
    rig.born("g1", site="三中 [北]")
    rig.born("g2", site="yard")
    await rig.tell()
    rig.happens("g2/d/p/r")
    lines = await rig.tell()
    assert only(lines, "alarm_state").tags["site"] == "yard"
    assert only(lines, "alarm_state").fields["site_name"] == "yard"
    assert only(lines, "site_state").fields["label"] == "yard [yard]"
    assert only(lines, "site_state").fields["open"] == 1
    assert areas(lines, "open") == {"all": 1}
    everything = [line for _ in range(20) for line in await rig.tell(15)]
    odd = only(everything, "site_state", site="三中 [北]")
    assert "label" not in odd.fields, "nobody could take it apart again"


async def test_alarms_of_the_cloud_itself_are_where_they_are_said_to_be(rig: Rig) -> None:
    place = Place("mill", "320507", "32/3205/320507/")
    event = AlarmEvent(
        gateway=OWN_GATEWAY, device="tour.1", point="tour", rule="missed", transition=Transition.RAISED,
        raised_at_us=rig.now_us, at_us=rig.now_us, kind="patrol", severity=Severity.MEDIUM, text={"en": "Missed"},
    )  # fmt: skip
    rig.says(Said(event, place))
    lines = await rig.tell()
    alarm = only(lines, "alarm_state")
    assert (alarm.tags["path"], alarm.tags["site"]) == (":all:32:3205:320507:", "mill")
    assert (alarm.fields["site_name"], alarm.fields["area_name"]) == ("Mill", "相城区")
    assert areas(lines, "medium") == dict.fromkeys(["all", "32", "3205", "320507"], 1)


async def test_tests_and_drills_are_shown_while_they_last_and_never_counted(rig: Rig) -> None:
    drill = rig.happens(BUTTON, mode=Mode.DRILL)
    lines = await rig.tell()
    assert (only(lines, "alarm_state").fields["open"], only(lines, "alarm_state").fields["mode"]) == (1, "drill")
    assert areas(lines, "open") == dict.fromkeys(ABOVE, 0)
    assert only(lines, "site_state").fields["worst"] == 0
    began_us = rig.now_us
    rig.now_us += S_US
    live = rig.happens(BUTTON, severity=Severity.LOW)
    assert only(await rig.tell(), "alarm_state").fields["alarm_id"] == live, "live goes before a drill"
    rig.now_us += S_US
    rig.close(live)
    shown = only(await rig.tell(), "alarm_state").fields
    assert (shown["open"], shown["alarm_id"]) == (1, drill), "one series a source: the drill still lasts"
    rig.now_us += S_US
    rig.happens(BUTTON, Transition.CLEARED, raised_at_us=began_us, mode=Mode.DRILL)
    assert only(await rig.tell(), "alarm_state").fields["open"] == 0, "nobody closes a drill"
    assert of(await rig.tell(15), "alarm_state") == []


async def test_what_is_held_back_is_counted_apart(rig: Rig) -> None:
    rig.happens(BUTTON)
    await rig.tell()
    shelve = partial(
        controls.begin, kind=ControlKind.SHELVED, target=BUTTON, actor=ME, why="works", now_us=rig.now_us,
        until_us=rig.now_us + 600 * S_US,
    )  # fmt: skip
    rig.database.run(shelve)
    lines = await rig.tell()
    alarm = only(lines, "alarm_state")
    assert (alarm.fields["suppressed"], alarm.fields["state"], alarm.fields["severity"]) == (True, "shelved", 4)
    assert (areas(lines, "open")["cell-1"], areas(lines, "suppressed")["cell-1"]) == (0, 1)
    assert (areas(lines, "worst")["cell-1"], areas(lines, "unacknowledged")["cell-1"]) == (0, 0)


async def test_an_alarm_that_becomes_another_kind_does_not_stay_open_under_the_old_one(rig: Rig) -> None:
    alarm_id = rig.happens(BUTTON)
    await rig.tell()
    began_us, rig.now_us = rig.now_us, rig.now_us + S_US
    rig.happens(BUTTON, Transition.RETRIGGERED, raised_at_us=began_us, kind="hold-up")
    lines = await rig.tell()
    assert only(lines, "alarm_state", kind="hold-up").fields["open"] == 1
    old = only(lines, "alarm_state", kind="panic").fields
    assert (old["open"], old["severity"], old["alarm_id"]) == (0, 0, alarm_id)


async def test_so_does_one_that_the_registry_places_elsewhere(rig: Rig) -> None:
    rig.happens("g9/d/p/r")
    await rig.tell()
    gateways = CITY["gateways.csv"] + "g9,school,九号,\n"
    import_(rig.database, {"gateways.csv": gateways}, at_us=rig.now_us)
    rig.now_us += 60 * S_US
    for duty in watch.TIDYING:
        rig.database.run(lambda connection, work=duty.work: work(connection, rig.settings, rig.now_us))  # type: ignore[misc]
    lines = await rig.tell()
    assert only(lines, "alarm_state", gateway="g9", path=CELL).fields["open"] == 1
    assert only(lines, "alarm_state", gateway="g9", path=":all:").fields["open"] == 0


async def test_while_influxdb_is_away_nothing_waits_and_a_close_is_said_afterwards(rig: Rig) -> None:
    alarm_id = rig.happens(BUTTON)
    await rig.tell()
    rig.sink.fault = AWAY
    rig.close(alarm_id)
    assert await rig.tell(20) == []
    assert rows_of(rig.database, measure) == []
    assert (await rig.tell(20), rows_of(rig.database, cursor)[0]["change_id"]) == ([], 1)
    rig.sink.fault = None
    alarm = only(await rig.tell(20), "alarm_state")
    assert (alarm.fields["open"], alarm.fields["alarm_id"]) == (0, alarm_id)
    newest = rows_of(rig.database, change)[-1]["id"]
    assert [row["change_id"] for row in rows_of(rig.database, cursor) if row["name"] == READER] == [newest]


async def test_after_a_restart_it_goes_on_where_it_was(rig: Rig) -> None:
    alarm_id = rig.happens(BUTTON)
    await rig.tell()
    rig.close(alarm_id)
    rig.begin()
    assert only(await rig.tell(), "alarm_state").fields["open"] == 0


async def test_many_changes_are_said_in_pieces_and_all(rig: Rig) -> None:
    for number in range(4):
        rig.happens(f"school-17/d{number}/p/r")
    rows = rows_of(rig.database, change)
    copy = {name: value for name, value in rows[-1].items() if name != "id"}
    rig.database.run(lambda connection: connection.execute(insert(change), [copy] * 1_200))
    await rig.tell()
    newest = rows_of(rig.database, change)[-1]["id"]
    assert [row["change_id"] for row in rows_of(rig.database, cursor) if row["name"] == READER] == [newest]


async def test_steps_are_taken_in_small_pieces_with_room_for_the_desk(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.database.run(partial(begin_here, name=EVENTS_READER))
    rig.happens(BUTTON)
    rows = rows_of(rig.database, change)
    copy = {name: value for name, value in rows[-1].items() if name != "id"}
    rig.database.run(lambda connection: connection.execute(insert(change), [copy] * (2 * events.STEPS_AT_ONCE)))
    taken: list[int] = []
    sleep = anyio.sleep

    async def note(seconds: float) -> None:
        if seconds == events.GAP_S:
            taken.append(len(rows_of(rig.database, measure)))
            if len(taken) == 3:
                raise TimeoutError
        await sleep(0)

    monkeypatch.setattr("cloud.state.events.anyio.sleep", note)
    with pytest.raises(TimeoutError):
        await events.tell_events(PersistentDatabase(rig.database, counters=Counters()), rig.settings)
    assert taken == [events.STEPS_AT_ONCE, 2 * events.STEPS_AT_ONCE, 2 * events.STEPS_AT_ONCE + 1]


def steps_of(rig: Rig) -> list[Line]:
    while rig.database.run(partial(take_steps, settings=rig.settings)):
        pass
    return [Line.read(bytes(row["line"])) for row in rows_of(rig.database, measure)]


async def test_each_step_of_a_life_is_an_event_once(rig: Rig) -> None:
    rig.database.run(partial(begin_here, name=EVENTS_READER))
    alarm_id = rig.happens(BUTTON)
    rig.now_us += S_US
    rig.acknowledge(alarm_id)
    rig.now_us += S_US
    rig.close(alarm_id)
    lines = steps_of(rig)
    assert [line.fields["what"] for line in lines] == ["raised", "acknowledged", "closed"]
    assert has_all_fields(lines[0], ALARM_EVENT)
    assert lines[0].tags == {"kind": "panic", "path": CELL, "site": "school"}
    assert lines[0].fields == {
        "what": "raised", "level": "critical", "severity": 4, "alarm_id": alarm_id, "gateway": "school-17",
        "device": "gate-buttons", "point": "pressed", "text_en": "Button pressed", "text_zh": "按钮被按下",
        "site_name": "第十七小学", "mode": "live",
    }  # fmt: skip
    assert [abs(line.at_us - at_us) < 1_000 for line, at_us in zip(lines, _moments(rig, 2), strict=True)] == [True] * 3
    assert len(steps_of(rig)) == 3, "not again"


def _moments(rig: Rig, after_s: int) -> list[int]:
    return [rig.now_us - (after_s - number) * S_US for number in range(after_s + 1)]


async def test_a_burst_in_one_moment_at_one_site_is_as_many_points(rig: Rig) -> None:
    rig.database.run(partial(begin_here, name=EVENTS_READER))
    for number in range(30):
        rig.happens(f"school-17/d{number:02}/p/r")
    lines = steps_of(rig)
    assert len({line.at_us for line in lines}) == 30
    assert {line.at_us // 1_000 for line in lines} == {rig.now_us // 1_000}
    rig.database.run(lambda connection: connection.execute(update(cursor).values(change_id=0)))
    assert {line.at_us for line in steps_of(rig)} == {line.at_us for line in lines}, "the same when said again"
    assert ClosingCode.GENUINE
