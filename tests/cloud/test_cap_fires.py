"""CAP messages that follow from what becomes of a fire: merged, or closed at the desk."""

from datetime import date
from functools import partial
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import Connection, insert, select

from cloud.database import Database
from cloud.database.detection_tables import fire_cap
from cloud.database.fire_tables import fire_day, fire_station
from cloud.desk import operations
from cloud.desk.core import ClosingCode
from cloud.fire.cap import Scope
from cloud.fire.cap_store import renew
from cloud.fire.detection_judging import issue_by_hand
from cloud.fire.detection_store import Judgement
from contract.alarms import Mode
from tests.cloud.detection_rig import LATITUDE_DEG, LONGITUDE_DEG, T0, WANG, FireRig, S
from tests.cloud.test_cap import check

MINUTE = 60 * S


@pytest.fixture
def rig(desk_database: Database) -> FireRig:
    made = FireRig(desk_database)
    for name, km in (("a", 0.0), ("b", 4.5), ("c", 9.0)):
        made.tower(name, km)
    return made


def messages(rig: FireRig, fire: str) -> list[ET.Element]:
    """All about a fire, the earliest first; each holds to the standard."""
    query = select(fire_cap.c.xml).where(fire_cap.c.fire == fire).order_by(fire_cap.c.number)
    return [check(xml) for xml in rig.database.read(lambda connection: connection.execute(query).scalars().all())]


def told(message: ET.Element, *names: str) -> list[str | None]:
    return [message.findtext(name) for name in names]


def test_a_fire_that_is_a_part_of_another_is_not_called_false(rig: FireRig) -> None:
    rig.smoke("a", T0)
    rig.smoke("c", T0 + S)
    rig.detect(T0 + S)
    older, younger = rig.fires()
    speak = partial(issue_by_hand, fire_id=younger.id, scope=Scope.PUBLIC, actor=WANG, settings=rig.settings)
    rig.act(lambda connection: speak(connection, now_us=T0 + 2 * S))
    rig.smoke("b", T0 + MINUTE)
    rig.detect(T0 + MINUTE)
    cancel = messages(rig, younger.id)[-1]
    # It was Public, so is the pointer to where it is told now.
    assert told(cancel, "msgType", "scope", "incidents") == ["Cancel", "Public", f"{younger.id} {older.id}"]
    for info in cancel.findall("info"):
        # The fire burns: three towers, likely.
        assert told(info, "responseType", "urgency", "certainty") == ["Assess", "Unknown", "Likely"]
        assert older.id in (info.findtext("headline") or "")
        names = {one.findtext("valueName") for one in info.findall("parameter")}
        assert {f"{tower}/smoke/smoke/smoke" for tower in "abc"} <= names
    chinese, english = (info.findtext("headline") or "" for info in cancel.findall("info"))
    assert "为同一火情" in chinese
    assert "the same fire" in english
    assert "false" not in english
    assert (cancel.findtext("info[2]/description") or "").startswith("3 tower(s): smoke")
    assert told(messages(rig, older.id)[-1], "msgType", "scope") == ["Update", "Private"]


@pytest.mark.parametrize(
    ("mode", "code", "judgement"),
    [
        (Mode.LIVE, ClosingCode.WEATHER_ANIMAL, Judgement.FALSE),
        (Mode.LIVE, ClosingCode.DRILL, Judgement.FALSE),
        (Mode.LIVE, ClosingCode.GENUINE, None),
        (Mode.LIVE, ClosingCode.UNKNOWN, None),
        (Mode.DRILL, ClosingCode.DRILL, None),
    ],
)
def test_who_closes_a_fire_as_something_else_cancels_what_was_said_of_it(
    rig: FireRig, mode: Mode, code: ClosingCode, judgement: Judgement | None
) -> None:
    rig.smoke("a", T0, mode=mode)
    rig.detect(T0)
    (fire,) = rig.fires()
    speak = partial(issue_by_hand, fire_id=fire.id, scope=Scope.PUBLIC, actor=WANG, settings=rig.settings)
    rig.act(lambda connection: speak(connection, now_us=T0 + S))
    close = partial(operations.close, alarm_id=rig.alarm(fire.source).alarm_id, actor=WANG, code=code)
    rig.act(lambda connection: close(connection, comment="晨雾", now_us=T0 + MINUTE))
    rig.detect(T0 + MINUTE + S)
    (ended,) = rig.fires()
    assert (ended.ended_at_us, ended.judgement) == (T0 + MINUTE, judgement)
    said = messages(rig, fire.id)
    if judgement is None:
        assert [one.findtext("msgType") for one in said] == ["Alert", "Update"]
        return
    assert (ended.judged_by, ended.judged_why) == ("王芳", "晨雾")
    assert [one.findtext("msgType") for one in said] == ["Alert", "Update", "Cancel"]
    assert told(said[-1], "scope", "info/certainty", "info/responseType") == ["Public", "Unlikely", "AllClear"]


def test_what_was_said_of_a_fire_that_burns_on_is_said_again_before_it_runs_out(rig: FireRig) -> None:
    def renewed(at_us: int) -> int:
        found: list[int] = []
        rig.act(lambda connection: found.append(renew(connection, settings=rig.settings, now_us=at_us)))
        return found[0]

    rig.smoke("a", T0)
    rig.detect(T0)
    (fire,) = rig.fires()
    speak = partial(issue_by_hand, fire_id=fire.id, scope=Scope.PUBLIC, actor=WANG, settings=rig.settings)
    rig.act(lambda connection: speak(connection, now_us=T0 + MINUTE))
    assert [renewed(T0 + minutes * MINUTE) for minutes in (2, 45, 46, 47, 90, 91)] == [0, 0, 1, 0, 0, 1]
    said = messages(rig, fire.id)
    assert [told(one, "msgType", "scope") for one in said[1:]] == [["Update", "Public"]] + 2 * [["Update", "Private"]]
    assert len((said[-1].findtext("references") or "").split()) == 3
    # Nothing has changed: who follows the fire has nothing to add.
    rig.detect(T0 + 92 * MINUTE)
    assert len(messages(rig, fire.id)) == 4


@pytest.mark.parametrize("end", ["cleared", "closed", "merged"])
def test_of_a_fire_that_is_over_nothing_is_said_again(rig: FireRig, end: str) -> None:
    rig.smoke("a", T0)
    if end == "merged":
        rig.smoke("c", T0 + S)
    rig.detect(T0 + S)
    fire = rig.fires()[-1]
    if end == "cleared":
        rig.smoke("a", T0 + MINUTE, raised_at_us=T0)
    elif end == "closed":
        close = partial(operations.close, alarm_id=rig.alarm(fire.source).alarm_id, actor=WANG)
        rig.act(lambda connection: close(connection, code=ClosingCode.GENUINE, comment="out", now_us=T0 + MINUTE))
    else:
        rig.smoke("b", T0 + MINUTE)
    rig.detect(T0 + MINUTE + S)
    before = len(messages(rig, fire.id))
    rig.act(lambda connection: renew(connection, settings=rig.settings, now_us=T0 + 60 * MINUTE))
    assert len(messages(rig, fire.id)) == before


def test_the_weather_is_that_of_the_nearest_station_however_many_there_are(rig: FireRig) -> None:
    def station(name: str, latitude_deg: float) -> dict[str, object]:
        return {
            "id": name, "name": name, "area": None, "gateway": name, "device": "weather", "temperature": "temperature",
            "humidity": "humidity", "wind": "wind_speed", "wind_unit": "m/s", "rain": "rain", "rain_kind": "counter",
            "latitude_deg": latitude_deg, "longitude_deg": LONGITUDE_DEG, "start_ffmc": 85.0, "start_dmc": 6.0,
            "start_dc": 15.0, "active": "yes",
        }  # fmt: skip

    def work(connection: Connection) -> None:
        far = [station(f"far-{number:04}", LATITUDE_DEG + 10) for number in range(2_000)]
        connection.execute(insert(fire_station), [*far, station("ridge", LATITUDE_DEG + 0.5)])
        day = {column.name: None for column in fire_day.c} | {
            "station": "ridge", "day": date(2026, 9, 21), "picked_at_us": T0, "rule": "observed", "fwi": 33.4,
            "dry_days": 1,
        }  # fmt: skip
        day |= {f"{name}_verdict": "good" for name in ("temp", "rh", "wind", "rain")}
        connection.execute(insert(fire_day).values(day))

    rig.act(work)
    rig.smoke("a", T0)
    rig.detect(T0 + S)
    (alert,) = messages(rig, rig.fires()[0].id)
    values = {one.findtext("valueName"): one.findtext("value") for one in alert.findall("info[1]/parameter")}
    assert (values.get("fwi-station"), values.get("fwi")) == ("ridge", "33.4")
