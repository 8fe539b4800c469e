"""What events of DC-09 mean: Contact ID, SIA, Hengbo's own, extended fields; and the profiles of hosts."""

import pytest

from contract.alarms import Severity
from contract.ids import is_id
from device_profiles.catalogue import load_profile, profile_files
from device_profiles.model import Capture
from device_profiles.speech.dc09_body import Body
from device_profiles.speech.dc09_codes import CONTACT_ID, HENGBO, HENGBO_TYPES, PRESS_S, Sort, contact_code
from device_profiles.speech.dc09_events import (
    MAX_NOTE_CHARS,
    Understood,
    position_of,
    understand_contact,
    understand_sia,
)
from device_profiles.speech.dc09_sia import sia_meaning
from tests.device_profiles.dc09_rig import Rig

# A6 of the facts: code, kind, and the SIA code that means the same.
SAME = [
    ("100", "medical", "MA"), ("101", "medical", "QA"), ("120", "panic", "PA"), ("122", "panic", "HA"),
    ("110", "fire", "FA"), ("114", "fire", "KA"), ("130", "burglary", "BA"), ("137", "tamper", "TA"),
    ("150", "alarm", "UA"), ("151", "gas", "GA"), ("154", "water", "WA"), ("301", "power", "AT"),
    ("302", "battery", "YT"), ("373", "fault", "FT"), ("375", "fault", "PT"), ("376", "fault", "HT"),
    ("350", "communication", "YS"), ("354", "communication", "YC"), ("570", "bypass", "BB"),
]  # fmt: skip
OVER = [
    ("PA", "PH"), ("PA", "PR"), ("HA", "HH"), ("HA", "HR"), ("FA", "FH"), ("FA", "FR"), ("BA", "BH"), ("BA", "BR"),
    ("TA", "TR"), ("TA", "TH"), ("MA", "MH"), ("AT", "AR"), ("YT", "YR"), ("YC", "YK"), ("YS", "YK"), ("BB", "BU"),
    ("FT", "FJ"), ("PT", "PJ"), ("PT", "PR"), ("HT", "HJ"), ("HT", "HR"), ("XT", "XR"), ("GA", "GH"), ("LT", "LR"),
]  # fmt: skip


def contact(data: str, *, is_hengbo: bool = False, fields: tuple[bytes, ...] = ()) -> Understood:
    understood = understand_contact(Body(data.encode(), fields), is_hengbo=is_hengbo)
    assert understood is not None
    return understood


def sia(data: str, *fields: bytes) -> Understood:
    understood = understand_sia(Body(data.encode(), fields))
    assert understood is not None
    return understood


@pytest.mark.parametrize(("event", "kind", "code"), SAME)
def test_contact_id_and_sia_mean_the_same_kind(event: str, kind: str, code: str) -> None:
    (one,) = contact(f"#1234|1{event} 01 007").reports
    (other,) = sia(f"#1234|Nri1/{code}007").reports
    assert one.kind == other.kind == kind
    assert one.point == other.point == "zone-007"
    assert (one.rule, other.rule) == (f"e{event}", code.lower())


@pytest.mark.parametrize("event", sorted(CONTACT_ID.keys() | HENGBO.keys()))
def test_every_code_begins_and_ends_the_same_alarm_in_both_languages(event: str) -> None:
    is_hengbo = event not in CONTACT_ID
    begun = contact(f"#1234|1{event} 00 003", is_hengbo=is_hengbo).reports
    ended = contact(f"#1234|3{event} 00 003", is_hengbo=is_hengbo).reports
    assert len(begun) == len(ended) == (contact_code(event, is_hengbo=is_hengbo).sort is Sort.ALARM)
    for on, off in zip(begun, ended, strict=True):
        assert (on.point, on.rule, on.is_on, off.is_on) == (off.point, off.rule, True, False)
        assert is_id(on.point)
        assert is_id(on.rule)
        assert is_id(on.kind)
        assert on.text.keys() == {"en", "zh"}
        assert all("{label}" in text for text in on.text.values())


@pytest.mark.parametrize(("q", "is_on"), [("1", True), ("3", False), ("6", True), ("E", True), ("R", False)])
def test_the_qualifier_begins_or_ends(q: str, is_on: bool) -> None:  # noqa: FBT001
    assert [report.is_on for report in contact(f"#1234|{q}130 01 001").reports] == [is_on]


@pytest.mark.parametrize("event", ["120", "122", "123", "126", "129"])
def test_a_hold_up_is_a_panic_that_ends_by_itself(event: str) -> None:
    (report,) = contact(f"1{event} 01 007").reports
    assert (report.kind, report.severity, report.ends_after_s) == ("panic", Severity.CRITICAL, PRESS_S)


def test_duress_is_of_a_user_and_never_delayed_or_swallowed() -> None:
    (report,) = contact("#1234|1121 01 005").reports
    assert (report.kind, report.point, report.severity) == ("duress", "user-005", Severity.CRITICAL)


def test_fire_and_tamper_stand_until_the_host_says_that_they_are_over() -> None:
    assert [contact(f"1{event} 01 001").reports[0].ends_after_s for event in ("110", "115", "137", "383")] == [None] * 4


@pytest.mark.parametrize("event", ["601", "602", "608"])
def test_a_test_is_no_alarm(event: str) -> None:
    understood = contact(f"#1234|1{event} 00 000")
    assert understood.reports == ()
    assert understood.values == (("last_event", f"E{event} 00 000"),)


def test_a_walk_test_begins_and_ends() -> None:
    assert ("walk_test", True) in contact("1607 00 001").values
    assert ("walk_test", False) in contact("3607 00 001").values
    assert ("walk_test", True) in sia("NTS").values
    assert ("walk_test", False) in sia("NTE").values


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("3401 00 002", ("arming", "armed")), ("1401 00 002", ("arming", "disarmed")),
        ("3441 00 002", ("arming", "stay")), ("1441 00 002", ("arming", "disarmed")),
        ("1456 00 000", ("arming", "stay")), ("3456 00 000", ("arming", "stay")),
        ("3400 02 000", ("arming_2", "armed")),
    ],
)  # fmt: skip
def test_arming_is_a_reading(data: str, value: tuple[str, str]) -> None:
    understood = contact(data)
    assert value in understood.values
    assert understood.reports == ()


def test_a_status_report_says_nothing_of_arming() -> None:
    assert contact("6400 00 000").values == (("last_event", "E400 00 000"),)


@pytest.mark.parametrize(("code", "value"), [("CL", "armed"), ("OP", "disarmed"), ("NL", "stay"), ("OR", "disarmed")])
def test_arming_in_sia_is_the_same_reading(code: str, value: str) -> None:
    assert ("arming_3", value) in sia(f"#1234|Nid5/ri3/{code}5").values


@pytest.mark.parametrize(("event", "kind"), [("199", "alarm"), ("299", "fault"), ("399", "fault"), ("799", "event")])
def test_a_code_that_is_in_no_table_is_said_by_its_group(event: str, kind: str) -> None:
    assert [report.kind for report in contact(f"1{event} 01 009").reports] == [kind]


def test_a_code_of_no_alarm_group_that_is_in_no_table_is_noted() -> None:
    for event in ("499", "599", "699", "999", "0B1"):
        assert contact(f"1{event} 01 009").reports == ()


@pytest.mark.parametrize(("begins", "ends"), OVER)
def test_a_sia_code_is_over_with_its_restore(begins: str, ends: str) -> None:
    (on,) = sia(f"#1234|Nri1/{begins}7").reports
    off = sia(f"#1234|Nri1/{ends}7").reports
    assert on.is_on
    assert not any(report.is_on for report in off)
    assert (on.point, on.rule) in [(report.point, report.rule) for report in off]


def test_a_sia_block_has_modifiers_several_events_and_a_text() -> None:
    understood = sia("#1234|Nti14:12:04/id12/ri1/BA001/FA0A2|AWarehouse")
    assert understood.account == "1234"
    assert [(report.point, report.rule) for report in understood.reports] == [("zone-001", "ba"), ("zone-0A2", "fa")]
    assert understood.reports[0].text["en"] == "Burglary alarm: {label} (Warehouse)"
    assert understood.values == (("last_event", "FA0A2"),)


@pytest.mark.parametrize(
    ("data", "point", "note"),
    [
        ("#1234|Nri1PA7^Gate house^", "zone-007", " (Gate house)"),
        ("#1234|NPA7*'Gate'NM", "zone-007", " ('Gate'NM)"),
        ("OPA0007", "zone-007", ""),
        ("Nri1/PA", "host", ""),
        ("Nri1/PA000", "host", ""),
    ],
)
def test_sia_as_makers_write_it(data: str, point: str, note: str) -> None:
    (report,) = sia(data).reports
    assert (report.point, report.text["en"]) == (point, f"Panic alarm: {{label}}{note}")


@pytest.mark.parametrize(
    "data", ["", "#1234", "#1234|", "#1234|Nri1", "#1234|Npa7", "#1234|AText alone", "1120 01 007"]
)
def test_data_without_an_event_of_sia_is_none(data: str) -> None:
    assert understand_sia(Body(data.encode())) is None


@pytest.mark.parametrize("data", ["", "1120", "1120 01 7", "1120  01 007", "0120 01 007", "#12X4|1120 01 007",
                                  "1120 01 007 ", "#1234|1120 01 007|x"])  # fmt: skip
def test_data_that_is_no_contact_id_is_none(data: str) -> None:
    assert understand_contact(Body(data.encode()), is_hengbo=True) is None


def test_what_looks_like_an_alarm_in_sia_is_one_and_the_rest_is_noted() -> None:
    assert [report.kind for report in sia("NVA7").reports] == ["alarm"]
    assert sia_meaning("VY").code.sort is Sort.NOTE


def test_extended_fields_become_text_value_and_position() -> None:
    fields = (b"X093W23.456", b"Y45N23.456", b"IGate\x07 \xe9\x97\xa8" + b"x" * 300, b"Vhttp://verify.com/34AC4DE3446")
    understood = contact("#1234|1120 01 007", fields=fields)
    values = dict(understood.values)
    assert values["longitude"] == pytest.approx(-93.39093333)
    assert values["latitude"] == pytest.approx(45.39093333)
    (report,) = understood.reports
    assert report.value == "http://verify.com/34AC4DE3446"
    assert report.text["en"].startswith("Panic button: {label} (Gate  门x")
    assert len(report.text["en"]) <= MAX_NOTE_CHARS + 30


@pytest.mark.parametrize(
    ("text", "letters", "degrees"),
    [
        ("006E07.7777777", "EW", 6 + 7.7777777 / 60), ("49N06.6666666", "NS", 49 + 6.6666666 / 60),
        ("33S30.0", "NS", -33.5), ("-33.5", "NS", -33.5), ("5.9699", "EW", 5.9699),
    ],
)  # fmt: skip
def test_a_position_is_read(text: str, letters: str, degrees: float) -> None:
    assert position_of(text, letters) == pytest.approx(degrees)


@pytest.mark.parametrize("text", ["", "91N00.0", "49N60.0", "49E10.0", "91.5", "1e3", "nan", "inf", "49N", "9" * 40])
def test_what_is_no_latitude_is_no_reading(text: str) -> None:
    assert position_of(text, "NS") is None


@pytest.mark.parametrize(("event", "word"), HENGBO_TYPES.items())
def test_a_hengbo_host_says_what_it_is(event: str, word: str) -> None:
    understood = contact(f"#000000|1{event} 00 000", is_hengbo=True)
    assert dict(understood.values)["host_type"] == word
    assert understood.reports == ()


@pytest.mark.parametrize(("field", "signal"), [(b"\x27", 27.0), (b"\x00", 0.0), (b"\x2a", None), (b"\x27\x27", None)])
def test_the_signal_of_a_hengbo_host_is_a_bcd_byte(field: bytes, signal: float | None) -> None:
    understood = understand_contact(Body(b"#000000|1799 00 000", binary=(field,)), is_hengbo=True)
    assert understood is not None
    assert dict(understood.values).get("signal") == signal


def test_the_makers_own_codes_are_its_own() -> None:
    assert contact("1113 00 004").reports[0].kind == "fire"
    assert contact("1113 00 004", is_hengbo=True).reports[0].kind == "water"
    assert contact("1709 00 112", is_hengbo=True).reports[0].kind == "panic"
    # Answered, or the host repeats it for ever; and nothing stands for it.
    assert contact("2704 00 000", is_hengbo=True).reports == ()


HOSTS = [name for name, path in profile_files().items() if 'language = "dc09"' in path.read_text("utf-8")]
CAPTURES = [(name, capture) for name in HOSTS for capture in load_profile(name).capture]


def test_hosts_of_two_makers_and_a_generic_one_are_in_the_catalogue() -> None:
    assert {name.partition("/")[0] for name in HOSTS} >= {"ajax", "generic", "hengbo"}


@pytest.mark.parametrize(
    ("name", "capture"), CAPTURES, ids=[f"{name} {index}" for index, (name, _) in enumerate(CAPTURES)]
)
def test_what_a_host_has_said_is_understood(name: str, capture: Capture) -> None:
    rig = Rig(capture.address, profile=name)
    said = rig.says(capture.text.encode())
    assert said.refused == ""
    assert rig.values() == capture.readings
    assert [(one.point, one.rule, one.is_on) for one in rig.reports()] == [
        (told.point, told.rule, told.is_on) for told in capture.reports
    ]
    assert b'"ACK"' in rig.answers[0]
