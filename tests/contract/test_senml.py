"""The rules of RFC 8428 that its examples do not show."""

import pytest

from contract import senml
from contract.errors import DecodeError, Refusal
from contract.senml import Resolved

NOW_US = 1_767_225_600_000_000


def read(payload: str, *, now_us: int | None = NOW_US) -> list[Resolved]:
    return list(senml.resolve(senml.decode(payload.encode()), now_us=now_us))


@pytest.mark.parametrize(
    "label", ["x_", r"x\u005f", r"x\u005F", "_"], ids=["plain", "escaped", "escaped in capitals", "alone"]
)
@pytest.mark.parametrize("gap", ["", " ", "\t", "\r\n  "], ids=["no gap", "space", "tab", "line break"])
def test_a_label_that_must_be_understood_refuses_the_pack(label: str, gap: str) -> None:
    with pytest.raises(DecodeError, match=r"record 1: label .*must be understood"):
        senml.decode(f'[{{"n":"a","v":1}},{{"n":"b","v":1,"{label}"{gap}:[{{}}]}}]'.encode())


def test_a_string_that_looks_like_such_a_label_does_not() -> None:
    assert read(r'[{"n":"a","vs":"x_\":"}]') == [Resolved("a", NOW_US, vs='x_":')]


def test_unknown_labels_are_skipped() -> None:
    assert read('[{"n":"a","v":1,"bx":7,"_x":[1,{"y":null}]}]') == [Resolved("a", NOW_US, v=1.0)]


def test_base_values_and_sums_add_up() -> None:
    pack = '[{"bn":"m/","bv":100,"bs":10,"n":"a","v":1,"s":2},{"n":"b"},{"n":"c","s":-1},{"bv":0,"n":"d","vb":true}]'
    assert read(pack) == [
        Resolved("m/a", NOW_US, v=101.0, sum=12.0),
        Resolved("m/b", NOW_US, v=100.0, sum=10.0),
        Resolved("m/c", NOW_US, v=100.0, sum=9.0),
        Resolved("m/d", NOW_US, vb=True, sum=10.0),
    ]


def test_a_record_of_base_fields_only_is_no_measurement() -> None:
    assert read('[{"bn":"m/","bt":1.7e9,"bu":"V","bv":5,"bver":10},{"n":"a","v":1}]') == [
        Resolved("m/a", 1_700_000_000_000_000, "V", v=6.0)
    ]


@pytest.mark.parametrize("seconds", ["268435455.999999", "0", "-1", "-1e9"])
def test_a_time_below_2_to_the_28_is_relative(seconds: str) -> None:
    payload = f'[{{"n":"a","v":1,"t":{seconds}}}]'
    assert read(payload)[0].time_us == NOW_US + round(float(seconds) * 1_000_000)
    with pytest.raises(DecodeError, match="a relative time"):
        read(payload, now_us=None)


def test_2_to_the_28_is_absolute() -> None:
    assert read('[{"n":"a","v":1,"t":268435456}]', now_us=None)[0].time_us == 268_435_456_000_000


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ("[]", "at least one record"),
        ("{}", "Expected `array`"),
        ("[1]", "Expected `object`"),
        ('[{"n":"a"}]', "neither a value nor a sum"),
        ('[{"n":"a","v":1,"vb":true}]', "more than one of"),
        ('[{"v":1}]', "name ''"),
        ('[{"n":"-a","v":1}]', "a letter or digit first"),
        ('[{"n":"温度","v":1}]', "letters, digits"),
        ('[{"n":"a b","v":1}]', "letters, digits"),
        ('[{"n":"a\\n","v":1}]', "letters, digits"),
        ('[{"n":"a","v":1,"bver":11}]', "version 11 is newer than 10"),
        ('[{"n":"a","v":"1"}]', "Expected `float`"),
        ('[{"n":"a","v":true}]', "Expected `float`"),
        ('[{"n":"a","v":null}]', "Expected `float`"),
        ('[{"n":"a","v":NaN}]', "invalid"),
        ('[{"n":"a","v":1e999}]', "out of range"),
        ('[{"n":"a","bv":1e308,"v":1e308}]', "past the largest number"),
        ('[{"n":"a","bs":-1e308,"s":-1e308}]', "past the largest number"),
        ('[{"n":"a","v":1,"t":1e12}]', "out of range"),
        ('[{"n":"a","v":1}', "truncated"),
        ('[{"n":"a","v":1}] x', "trailing"),
    ],
)
def test_what_is_not_senml_is_refused_with_the_reason(payload: str, why: str) -> None:
    with pytest.raises(DecodeError, match=why) as caught:
        read(payload)
    assert caught.value.refusal is Refusal.NOT_SENML


@pytest.mark.parametrize("payload", [b'[{"n":"a","v":1,"\xff_":1}]', b'[{"n":"a","v":1,"x_":1,"\xff":1}]', b'"\xff"'])
def test_bytes_that_are_not_utf_8_are_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        senml.decode(payload)
    assert caught.value.refusal is Refusal.NOT_SENML
