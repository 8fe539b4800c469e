"""A gateway in the field is never updated on the day the cloud is: what was once sent must be read for ever."""

import msgspec
import pytest

from contract.alarms import AlarmEvent, Mode, Severity, Transition, decode_alarm, encode_alarm
from contract.presence import Birth, Device, decode_presence
from contract.receipts import Receipt, Verdict, decode_receipt
from contract.telemetry import Point, Sample, decode_telemetry
from tests.contract.golden import GATEWAY, GOLDENS, V1, Golden


def means(actual: object, expected: object) -> bool:
    """Tell whether `actual` says all that `expected` says; it may say more, as messages grow."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            key in actual and means(actual[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list | tuple)
            and len(actual) == len(expected)
            and all(means(one, other) for one, other in zip(actual, expected, strict=True))
        )
    # 1, 1.0 and True are equal in Python and different on the wire.
    return type(actual) is type(expected) and actual == expected


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.file)
def test_a_golden_message_still_means_what_it_meant(golden: Golden) -> None:
    decoded = msgspec.to_builtins(golden.decode(golden.payload))
    assert means(decoded, golden.expected), decoded


def test_every_golden_file_is_in_the_index() -> None:
    files = {path.name for path in V1.iterdir()} - {"index.json"}
    assert files == {golden.file for golden in GOLDENS}


def test_comparing_tells_a_bool_from_a_number() -> None:
    assert means({"a": [1.0, True], "new": 3}, {"a": [1.0, True]})
    assert not means({"a": [1.0, 1.0]}, {"a": [1.0, True]})
    assert not means({"a": [1.0]}, {"a": [1.0, True]})
    assert not means({}, {"a": None})


def test_telemetry_in_full() -> None:
    assert decode_telemetry((V1 / "telemetry.json").read_bytes()) == [
        Sample(
            "duty-room",
            1_767_225_600_123_456,
            (Point("press_1", False), Point("press_2", True), Point("battery", 3.61, "V")),
        ),
        Sample(
            "weather",
            1_767_225_600_373_456,
            (Point("temperature", -12.5, "Cel"), Point("humidity", 71.3, "%RH"), Point("wind", 0.0, "m/s")),
        ),
        Sample("door_3", 1_767_225_600_123_457, (Point("mode", "维护"), Point("opened", 65535.0, "count"))),
        Sample("weather", 1_767_225_601_123_456, (Point("temperature", -12.4, "Cel"),)),
    ]


def test_a_cleared_alarm_in_full() -> None:
    event = decode_alarm((V1 / "alarm_cleared.json").read_bytes(), gateway=GATEWAY)
    assert event == AlarmEvent(
        gateway="school-17",
        device="duty-room",
        point="press_2",
        rule="panic",
        transition=Transition.CLEARED,
        raised_at_us=1_767_225_600_123_456,
        at_us=1_767_225_604_623_456,
        kind="panic",
        severity=Severity.CRITICAL,
        text={"en": "Panic button pressed at the gate house", "zh": "门卫室报警按钮已按下"},
        value=False,
    )
    assert event.source == "school-17/duty-room/press_2/panic"


def test_a_raise_and_its_clear_are_one_occurrence_and_two_events() -> None:
    raised = decode_alarm((V1 / "alarm_raised.json").read_bytes(), gateway=GATEWAY)
    cleared = decode_alarm((V1 / "alarm_cleared.json").read_bytes(), gateway=GATEWAY)
    assert raised.alarm_id == cleared.alarm_id == "c37ad326ff0b900dd102fd5b"
    assert raised.event_id == "c37ad326ff0b900dd102fd5b-raised"
    assert cleared.event_id == "c37ad326ff0b900dd102fd5b-cleared"


def test_every_press_of_a_standing_alarm_is_an_event_of_its_own() -> None:
    again = decode_alarm((V1 / "alarm_retriggered.json").read_bytes(), gateway=GATEWAY)
    assert (again.transition, again.alarm_id) == (Transition.RETRIGGERED, "c37ad326ff0b900dd102fd5b")
    assert again.event_id == "c37ad326ff0b900dd102fd5b-retriggered-1767225602223456"
    once_more = msgspec.structs.replace(again, at_us=again.at_us + 1)
    assert once_more.alarm_id == again.alarm_id
    assert once_more.event_id != again.event_id


def test_a_live_alarm_says_nothing_of_its_mode_and_a_test_does() -> None:
    tried = decode_alarm((V1 / "alarm_test.json").read_bytes(), gateway=GATEWAY)
    assert tried.mode is Mode.TEST
    live = msgspec.structs.replace(tried, mode=Mode.LIVE)
    assert b"mode" not in encode_alarm(live)
    assert live == decode_alarm((V1 / "alarm_raised.json").read_bytes(), gateway=GATEWAY)


def test_a_birth_in_full() -> None:
    assert decode_presence((V1 / "birth.json").read_bytes(), gateway=GATEWAY) == Birth(
        "school-17",
        "0f3a9c51",
        "0.1.0",
        "第十七小学",
        1_767_225_600_123_456,
        (Device("duty-room", "acme/pb4", "1.2.0", "门卫室按钮"), Device("weather", "acme/ws1", "1.0.0")),
    )


def test_a_birth_that_names_no_lines_is_of_an_older_gateway() -> None:
    older = decode_presence((V1 / "birth.json").read_bytes(), gateway=GATEWAY)
    newer = decode_presence((V1 / "birth_with_lines.json").read_bytes(), gateway=GATEWAY)
    assert isinstance(older, Birth)
    assert [device.bus for device in older.devices] == ["", ""]
    assert isinstance(newer, Birth)
    assert [device.bus for device in newer.devices] == ["line1", "line1"]


def test_a_refusing_receipt_in_full() -> None:
    assert decode_receipt((V1 / "receipt_refused.json").read_bytes()) == Receipt(
        Verdict.REFUSED,
        1_767_225_602_123_456,
        stored=8,
        refused=1,
        reason='field type conflict: input field "press_1" is type float, already exists as type boolean',
    )
