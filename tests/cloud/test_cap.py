"""CAP 1.2 messages about fires, held against the standard's own tables (CAP-v1.2-os, 3.2 and 3.4), written out here."""

import re
from typing import cast
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import String

from cloud.database.detection_tables import fire_cap
from cloud.fire.cap import (
    NAMESPACE,
    MsgType,
    Notice,
    Scope,
    Sent,
    Status,
    Weather,
    identifier_of,
    status_of,
    to_sent,
    write,
)
from cloud.fire.detection import Certainty, Detection, Reading, Sign, Wind
from cloud.fire.detection_settings import Detection as DetectionSettings
from cloud.geo import Spot
from contract.alarms import Mode, Severity

AT_US = 1_790_000_000_000_000
SHANGHAI = ZoneInfo("Asia/Shanghai")

# Of each element its children: name, least and most times, in the order of the schema.
MANY = 10_000
ALERT = (
    ("identifier", 1, 1), ("sender", 1, 1), ("sent", 1, 1), ("status", 1, 1), ("msgType", 1, 1), ("source", 0, 1),
    ("scope", 1, 1), ("restriction", 0, 1), ("addresses", 0, 1), ("code", 0, MANY), ("note", 0, 1),
    ("references", 0, 1), ("incidents", 0, 1), ("info", 0, MANY),
)  # fmt: skip
INFO = (
    ("language", 0, 1), ("category", 1, MANY), ("event", 1, 1), ("responseType", 0, MANY), ("urgency", 1, 1),
    ("severity", 1, 1), ("certainty", 1, 1), ("audience", 0, 1), ("eventCode", 0, MANY), ("effective", 0, 1),
    ("onset", 0, 1), ("expires", 0, 1), ("senderName", 0, 1), ("headline", 0, 1), ("description", 0, 1),
    ("instruction", 0, 1), ("web", 0, 1), ("contact", 0, 1), ("parameter", 0, MANY), ("resource", 0, MANY),
    ("area", 0, MANY),
)  # fmt: skip
AREA = (
    ("areaDesc", 1, 1), ("polygon", 0, MANY), ("circle", 0, MANY), ("geocode", 0, MANY), ("altitude", 0, 1),
    ("ceiling", 0, 1),
)  # fmt: skip
WORDS = {
    "status": {"Actual", "Exercise", "System", "Test", "Draft"},
    "msgType": {"Alert", "Update", "Cancel", "Ack", "Error"},
    "scope": {"Public", "Restricted", "Private"},
    "category": {"Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE",
                 "Other"},
    "responseType": {"Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None"},
    "urgency": {"Immediate", "Expected", "Future", "Past", "Unknown"},
    "severity": {"Extreme", "Severe", "Moderate", "Minor", "Unknown"},
    "certainty": {"Observed", "Likely", "Possible", "Unlikely", "Unknown"},
}  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d\Z")
CIRCLE = re.compile(r"(-?\d{1,2}\.\d+),(-?\d{1,3}\.\d+) (\d+\.\d+)\Z")
NAME = re.compile(r"[^\s,<&]+\Z")

SMOKE = Detection(
    id="a" * 24,
    occurrence="a" * 24,
    source="tower-1/smoke/smoke/smoke",
    gateway="tower-1",
    device="smoke",
    sign=Sign.SMOKE,
    severity=Severity.HIGH,
    spot=Spot(29.0, 119.0),
    raised_at_us=AT_US - 60_000_000,
    wind=Wind(180.0, 4.5, "tower-1/weather"),
    readings=(Reading("tower-2", "air", "pm2_5", 180.0, 30.0, AT_US),),
)
NOTICE = Notice(
    identifier="langyan-fire-abc-1",
    sender="desk@example.org",
    sent_at_us=AT_US,
    expires_at_us=AT_US + 3_600_000_000,
    zone=SHANGHAI,
    status=Status.ACTUAL,
    msg_type=MsgType.ALERT,
    scope=Scope.PRIVATE,
    addresses=("county desk", "forest"),
    fire="abc",
    began_at_us=AT_US - 60_000_000,
    is_over=False,
    certainty=Certainty.POSSIBLE,
    confidence=0.4,
    place="林场 望火楼",
    latitude_deg=29.0,
    longitude_deg=119.0,
    radius_m=5_000.0,
    evidence=(SMOKE,),
    weather=Weather("ridge", 33.4, "high"),
)


def check(xml: str) -> ET.Element:
    """Hold a message against the standard; returns its root."""
    root = ET.fromstring(xml.encode())  # noqa: S314 - our own message
    assert root.tag == f"{{{NAMESPACE}}}alert"
    for one in root.iter():
        assert one.tag.startswith(f"{{{NAMESPACE}}}")
        assert not one.attrib
        one.tag = one.tag.removeprefix(f"{{{NAMESPACE}}}")
        if one.tag in WORDS:
            assert one.text in WORDS[one.tag]
        if one.tag in ("sent", "effective", "onset", "expires"):
            assert TIME.match(one.text or ""), one.text
    _check_children(root, ALERT)
    for info in root.findall("info"):
        _check_children(info, INFO)
        for parameter in info.findall("parameter"):
            assert [one.tag for one in parameter] == ["valueName", "value"]
        for area in info.findall("area"):
            _check_children(area, AREA)
            found = CIRCLE.match(area.findtext("circle", ""))
            assert found
            assert abs(float(found[1])) <= 90
            assert abs(float(found[2])) <= 180
            assert float(found[3]) > 0
    assert NAME.match(root.findtext("identifier", ""))
    assert NAME.match(root.findtext("sender", ""))
    assert (root.find("addresses") is not None) == (root.findtext("scope") == "Private")
    assert (root.find("references") is not None) == (root.findtext("msgType") in ("Update", "Cancel"))
    return root


def _check_children(parent: ET.Element, table: tuple[tuple[str, int, int], ...]) -> None:
    names = [child.tag for child in parent]
    order = [name for name, _least, _most in table]
    assert [order.index(name) for name in names] == sorted(order.index(name) for name in names), names
    for name, least, most in table:
        assert least <= names.count(name) <= most, name


def test_a_single_unconfirmed_detector_is_possible_private_and_of_unknown_severity() -> None:
    root = check(write(NOTICE))
    assert [root.findtext(name) for name in ("status", "msgType", "scope")] == ["Actual", "Alert", "Private"]
    assert root.findtext("addresses") == '"county desk" forest'
    assert root.findtext("sent") == "2026-09-21T22:13:20+08:00"
    for info, language, event in zip(
        root.findall("info"), ("zh-CN", "en-US"), ("森林火情", "Forest fire"), strict=True
    ):
        assert (info.findtext("language"), info.findtext("event")) == (language, event)
        assert [info.findtext(name) for name in ("category", "severity", "certainty")] == [
            "Fire",
            "Unknown",
            "Possible",
        ]
        assert info.findtext("expires") == "2026-09-21T23:13:20+08:00"
        # A radius is in km.
        assert info.findtext("area/circle") == "29.00000,119.00000 5.00"
        values = {one.findtext("valueName"): one.findtext("value") for one in info.findall("parameter")}
        assert values["fwi"] == "33.4"
        assert values["danger-level"] == "high"
        assert values["tower-1/smoke/smoke/smoke"] == "smoke 2026-09-21T22:12:20+08:00"
        assert values["tower-2/air/pm2_5"] == "180"
        assert values["wind-from-deg"] == "180"


def test_what_a_person_has_seen_is_observed_and_urgent() -> None:
    info = check(write(msgspec.structs.replace(NOTICE, certainty=Certainty.OBSERVED))).find("info")
    assert info is not None
    assert [info.findtext(name) for name in ("urgency", "severity", "certainty")] == ["Immediate", "Severe", "Observed"]


def test_an_update_and_a_cancel_name_what_was_sent_before() -> None:
    before = (Sent("desk@example.org", "langyan-fire-abc-1", "2026-09-21T22:13:20+08:00"),)
    changes = {"msg_type": MsgType.CANCEL, "references": before, "identifier": "langyan-fire-abc-2"}
    root = check(write(msgspec.structs.replace(NOTICE, **changes)))
    assert root.findtext("references") == "desk@example.org,langyan-fire-abc-1,2026-09-21T22:13:20+08:00"
    assert root.findtext("info/urgency") == "Past"
    assert root.findtext("info/certainty") == "Unlikely"


@pytest.mark.parametrize(
    ("mode", "gateways", "expected"),
    [
        (Mode.LIVE, ["tower-1"], Status.ACTUAL),
        (Mode.LIVE, ["sim-1", "sim-2"], Status.TEST),
        # Somebody real sees it too.
        (Mode.LIVE, ["sim-1", "tower-1"], Status.ACTUAL),
        (Mode.TEST, ["tower-1"], Status.TEST),
        (Mode.DRILL, ["sim-1"], Status.EXERCISE),
    ],
)
def test_who_is_to_act_follows_from_who_saw_it(mode: Mode, gateways: list[str], expected: Status) -> None:
    assert status_of(mode, gateways, ("sim-1", "sim-2")) is expected


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("Asia/Shanghai", "2026-09-21T22:13:20+08:00"),
        ("UTC", "2026-09-21T14:13:20-00:00"),
        ("America/St_Johns", "2026-09-21T11:43:20-02:30"),
    ],
)
def test_times_have_a_numeric_offset_and_never_a_z(zone: str, expected: str) -> None:
    assert to_sent(AT_US + 999_999, ZoneInfo(zone)) == expected


def test_an_identifier_has_none_of_the_characters_that_part_references() -> None:
    assert identifier_of("the desk, of <us> & them", "ab", 3) == "the_desk__of__us>___them-fire-ab-3"


def test_the_longest_sender_makes_identifiers_that_can_be_kept() -> None:
    longest = msgspec.convert({"sender": "s" * 150}, DetectionSettings).sender
    column = cast("String", fire_cap.c.identifier.type)
    assert column.length
    assert len(identifier_of(longest, "a" * 24, 999_999_999)) <= column.length
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"sender": "s" * 151}, DetectionSettings)


@given(
    place=st.text(max_size=40),
    addresses=st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3).map(tuple),
    scope=st.sampled_from(Scope),
    msg_type=st.sampled_from(MsgType),
    certainty=st.sampled_from(Certainty),
    is_over=st.booleans(),
    confidence=st.floats(0, 0.95),
    circle=st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.floats(200, 60_000)),
)
def test_whatever_is_said_the_message_stays_one(
    place: str,
    addresses: tuple[str, ...],
    scope: Scope,
    msg_type: MsgType,
    certainty: Certainty,
    is_over: bool,  # noqa: FBT001 - hypothesis gives it by name
    confidence: float,
    circle: tuple[float, float, float],
) -> None:
    notice = msgspec.structs.replace(
        NOTICE,
        place=place,
        addresses=addresses,
        scope=scope,
        msg_type=msg_type,
        certainty=certainty,
        is_over=is_over,
        confidence=confidence,
        latitude_deg=circle[0],
        longitude_deg=circle[1],
        radius_m=circle[2],
        references=(Sent("s", "i", to_sent(AT_US, SHANGHAI)),),
    )
    check(write(notice))
