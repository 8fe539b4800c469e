"""Commands and results on the wire."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.alarms import Mode
from contract.commands import (
    Command,
    Outcome,
    Pace,
    Reset,
    Result,
    SetMode,
    Write,
    decode_command,
    decode_result,
    encode_command,
    encode_result,
    is_too_far_ahead,
)
from contract.errors import DecodeError, Refusal
from contract.limits import MAX_COMMAND_AHEAD_US, MAX_TIME_US, MIN_TIME_US
from contract.tags import Arm, Disarm, StolenPart, StolenTag
from tests.contract.strategies import ids, texts, times_us, values

NOW = 1_767_225_600_000_000
SWITCH = Command("c-1", "school-17", Write("io", "output_1", value=True), NOW + 10**7, "duty officer")

tags = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}", fullmatch=True)
checksums = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)
some_tags = st.lists(tags, min_size=1, max_size=4).map(tuple)

orders = st.one_of(
    st.builds(Write, ids, ids, values),
    st.builds(SetMode, st.sampled_from(Mode), st.floats(0, 86_400), st.none() | st.lists(ids, max_size=3).map(tuple)),
    st.builds(Pace, st.floats(0.1, 10.0), st.floats(0, 86_400), st.none() | st.lists(ids, max_size=3).map(tuple)),
    st.builds(Reset, st.text(min_size=1, max_size=80)),
    st.builds(Arm, some_tags, st.none() | tags),
    st.builds(Disarm, some_tags),
    st.builds(
        StolenPart,
        st.integers(1, 10**15),
        checksums,
        st.none() | checksums,
        st.integers(1, 80),
        st.integers(1, 80),
        st.lists(st.builds(StolenTag, tags, st.text(max_size=60)), max_size=4).map(tuple),
        some_tags,
    ),
)


@given(st.builds(Command, ids, ids, orders, st.integers(MIN_TIME_US, MAX_TIME_US - 1), texts))
def test_commands(command: Command) -> None:
    assert decode_command(encode_command(command, at_us=NOW), gateway=command.gateway) == command


@given(st.builds(Result, ids, ids, st.sampled_from(Outcome), times_us, st.text(max_size=300), st.none() | values))
def test_results(result: Result) -> None:
    assert decode_result(encode_result(result), gateway=result.gateway) == result


def test_a_command_on_the_wire() -> None:
    assert json.loads(encode_command(SWITCH, at_us=NOW)) == {
        "specversion": "1.0",
        "id": "c-1",
        "source": "/langyan/v1/cloud",
        "type": "langyan.command.write",
        "subject": "school-17",
        "time": "2026-01-01T00:00:00.000000Z",
        "datacontenttype": "application/json",
        "data": {
            "expires_at_us": NOW + 10**7,
            "by": "duty officer",
            "device": "io",
            "point": "output_1",
            "value": True,
        },
    }


def test_a_result_on_the_wire() -> None:
    assert json.loads(encode_result(Result("c-1", "school-17", Outcome.REFUSED, NOW, "may not be written"))) == {
        "specversion": "1.0",
        "id": "c-1-result",
        "source": "/langyan/v1/school-17",
        "type": "langyan.result.refused",
        "subject": "c-1",
        "time": "2026-01-01T00:00:00.000000Z",
        "datacontenttype": "application/json",
        "data": {"command": "c-1", "at_us": NOW, "reason": "may not be written"},
    }


@pytest.mark.parametrize(
    ("label", "changed"),
    [
        ("type", "langyan.command.reboot"),
        ("type", "write"),
        ("subject", None),
        ("id", "a b"),
        ("data", None),
        ("data", {}),
        ("data", {"expires_at_us": NOW, "device": "io", "point": "p", "value": None}),
        ("data", {"expires_at_us": NOW, "device": "i/o", "point": "p", "value": 1}),
        ("data", {"expires_at_us": 0, "device": "io", "point": "p", "value": 1}),
        ("data", {"expires_at_us": NOW, "device": "io", "point": "p", "value": "x" * 1025}),
        ("data", {"expires_at_us": NOW, "by": "x" * 1025, "device": "io", "point": "p", "value": 1}),
    ],
)
def test_what_is_no_command_is_refused(label: str, changed: object) -> None:
    event = json.loads(encode_command(SWITCH, at_us=NOW)) | {label: changed}
    with pytest.raises(DecodeError):
        decode_command(json.dumps(event).encode(), gateway="school-17")


def test_a_command_for_another_gateway_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_command(encode_command(SWITCH, at_us=NOW), gateway="school-18")
    assert caught.value.refusal is Refusal.WRONG_GATEWAY
    with pytest.raises(DecodeError) as caught:
        decode_result(encode_result(Result("c-1", "school-17", Outcome.DONE, NOW)), gateway="school-18")
    assert caught.value.refusal is Refusal.WRONG_GATEWAY


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_or_a_decode_error(payload: bytes) -> None:
    for decode in (decode_command, decode_result):
        with pytest.raises(DecodeError):
            decode(payload, gateway="school-17")


def test_a_command_may_lie_an_hour_ahead() -> None:
    assert not is_too_far_ahead(SWITCH, SWITCH.expires_at_us - MAX_COMMAND_AHEAD_US)
    assert is_too_far_ahead(SWITCH, SWITCH.expires_at_us - MAX_COMMAND_AHEAD_US - 1)
