"""The codec by example: what registers of every type mean, and what cannot be written."""

from typing import Any

import pytest

from contract.telemetry import Point, Value
from device_profiles.codec import (
    BadValue,
    BlockDecoder,
    ValueKind,
    decode_point,
    encode_point,
    encode_raw,
    raw_limits,
    raw_of,
    value_kind,
)
from device_profiles.faults import CodecError
from device_profiles.model import BitField, PointDef, PointType, Table

WORDS = {"0": "idle", "234": "reset"}


def point(kind: str, **fields: Any) -> PointDef:
    table = Table.DISCRETE_INPUT if kind == "bit" else Table.HOLDING
    given = {"key": "p", "address": 0, **fields}
    return PointDef(name={}, table=table, type=PointType(kind), source="", **given)


@pytest.mark.parametrize(
    ("kind", "fields", "cells", "value"),
    [
        ("bit", {}, [1], True),
        ("bit", {}, [0], False),
        ("bit", {"invert": True}, [1], False),
        ("bit", {"invert": True}, [0], True),
        ("u16", {}, [0xFFFF], 65535.0),
        ("s16", {}, [0xFFFF], -1.0),
        ("s16", {"scale": 0.1}, [0xFF33], -20.5),  # XY-MD02 manual: 0xFF33 is -20.5
        ("u32_high_first", {}, [0x0001, 0x86A0], 100_000.0),
        ("u32_low_first", {}, [0x86A0, 0x0001], 100_000.0),
        ("s32_high_first", {}, [0xFFFF, 0xFFFE], -2.0),
        ("s32_low_first", {}, [0xFFFE, 0xFFFF], -2.0),
        ("f32_high_first", {}, [0x41AA, 0x6666], 21.3),  # not 21.299999237060547
        ("f32_low_first", {}, [0x6666, 0x41AA], 21.3),
        ("f32_high_first", {"scale": 0.001, "offset": 1.0}, [0x41AA, 0x6666], 1.0213),
        ("u16", {"scale": 0.1}, [305], 30.5),  # 305 * 0.1 is 30.500000000000004
        ("u16", {"scale": 0.1}, [3], 0.3),
        ("u16", {"scale": 0.01, "offset": -40.0}, [1], -39.99),
        ("u16", {"scale": 0.09765625}, [8], 0.78125),
        ("u16", {"scale": -0.5}, [3], -1.5),
        ("u16", {"scale": 100.0}, [3], 300.0),
        ("u32_high_first", {"scale": 1e-3}, [0xFFFF, 0xFFFF], 4_294_967.295),
        ("u16", {"bits": BitField(first=0, count=12), "scale": 0.01}, [0xF129], 2.97),
        ("u16", {"bits": BitField(first=12)}, [0x1000], True),
        ("u16", {"bits": BitField(first=12), "invert": True}, [0x1000], False),
        ("s16", {"bits": BitField(first=15)}, [0x8000], True),
        ("u32_low_first", {"bits": BitField(first=16, count=4)}, [0x0000, 0x000A], 10.0),
        ("u16", {"values": WORDS}, [234], "reset"),
        ("u16", {"bits": BitField(first=8, count=8), "values": {"1": "on", "2": "off"}}, [0x02FF], "off"),
        ("s16", {"values": {"-1": "fault"}}, [0xFFFF], "fault"),
    ],
)
def test_registers_read_as_the_value_they_mean(
    kind: str, fields: dict[str, Any], cells: list[int], value: Value
) -> None:
    read = decode_point(point(kind, **fields), cells)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("kind", "fields", "cells", "bad"),
    [
        ("s16", {"no_value": (-32768,)}, [0x8000], BadValue.NO_VALUE),
        ("u16", {"no_value": (0xFFFF, 0), "range": (10.0, 20.0)}, [0], BadValue.NO_VALUE),
        ("u16", {"no_value": (9,), "values": {"9": "nine"}}, [9], BadValue.NO_VALUE),
        ("u16", {"no_value": (1,), "bits": BitField(first=4)}, [0x10], BadValue.NO_VALUE),
        ("u16", {"scale": 0.1, "range": (0.0, 100.0)}, [1001], BadValue.OUT_OF_RANGE),
        ("s16", {"range": (-40.0, 85.0)}, [0xFFD7], BadValue.OUT_OF_RANGE),
        ("u16", {"values": WORDS}, [1], BadValue.UNKNOWN_WORD),
        ("f32_high_first", {}, [0x7FC0, 0x0000], BadValue.NOT_FINITE),
        ("f32_high_first", {}, [0xFFFF, 0xFFFF], BadValue.NOT_FINITE),
        ("f32_low_first", {}, [0x0000, 0xFF80], BadValue.NOT_FINITE),
        ("f32_high_first", {"no_value": (0x7FC00000,)}, [0x7FC0, 0x0000], BadValue.NO_VALUE),
        ("f32_high_first", {"range": (0.0, 20.0)}, [0x41AA, 0x6666], BadValue.OUT_OF_RANGE),
    ],
)
def test_what_is_no_reading_is_named_and_never_a_value(
    kind: str, fields: dict[str, Any], cells: list[int], bad: BadValue
) -> None:
    assert decode_point(point(kind, **fields), cells) is bad


@pytest.mark.parametrize("cells", [[0], [100]])
def test_the_ends_of_the_range_are_believed(cells: list[int]) -> None:
    assert decode_point(point("u16", range=(0.0, 100.0)), cells) == float(cells[0])


@pytest.mark.parametrize(
    ("kind", "fields", "value", "cells"),
    [
        ("bit", {}, True, (1,)),
        ("bit", {"invert": True}, True, (0,)),
        ("s16", {"scale": 0.1}, -20.5, (0xFF33,)),
        ("u16", {"scale": 0.1}, 30.54, (305,)),  # to the nearest step
        ("u16", {"scale": 0.01, "offset": -40.0}, -39.99, (1,)),
        ("u32_high_first", {}, 100_000.0, (0x0001, 0x86A0)),
        ("u32_low_first", {}, 100_000.0, (0x86A0, 0x0001)),
        ("s32_low_first", {}, -2.0, (0xFFFE, 0xFFFF)),
        ("f32_high_first", {}, 21.3, (0x41AA, 0x6666)),
        ("f32_low_first", {}, 21.3, (0x6666, 0x41AA)),
        ("u16", {"values": WORDS}, "reset", (234,)),
        ("u16", {"bits": BitField(first=12)}, True, (0x1000,)),
        ("u16", {"bits": BitField(first=4, count=4)}, 10.0, (0x00A0,)),
    ],
)
def test_a_value_is_written_as_its_registers(
    kind: str, fields: dict[str, Any], value: Value, cells: tuple[int, ...]
) -> None:
    assert encode_point(point(kind, **fields), value) == cells


@pytest.mark.parametrize(
    ("kind", "fields", "value", "why"),
    [
        ("u16", {}, -1.0, "does not fit u16"),
        ("u16", {}, 65536.0, "does not fit u16"),
        ("s16", {"scale": 0.1}, 3276.8, "allowed -32768 to 32767"),
        ("u16", {"bits": BitField(first=0, count=4)}, 16.0, "allowed 0 to 15"),
        ("u16", {}, float("nan"), "does not fit"),
        ("u16", {}, float("inf"), "does not fit"),
        ("f32_high_first", {}, 1e39, "does not fit"),
        ("u16", {}, True, "is not a number"),
        ("u16", {}, "12", "is not a number"),
        ("bit", {}, 1.0, "is not true or false"),
        ("u16", {"values": WORDS}, "restart", "is none of idle, reset"),
        ("u16", {"values": WORDS}, 234.0, "is none of idle, reset"),
        ("u16", {"no_value": (7,)}, 7.0, "no-value"),
        ("u16", {"range": (0.0, 100.0)}, 101.0, "out-of-range"),
    ],
)
def test_what_a_point_cannot_say_is_refused_by_name(kind: str, fields: dict[str, Any], value: Value, why: str) -> None:
    with pytest.raises(CodecError, match=why) as caught:
        encode_point(point(kind, key="level", **fields), value)
    assert caught.value.point == "level"


@pytest.mark.parametrize(
    ("kind", "fields", "raw", "cells"),
    [
        ("u16", {}, 65535, (0xFFFF,)),
        ("u16", {}, 65536, (0,)),
        ("u16", {}, -1, (0xFFFF,)),
        ("s16", {}, 32768, (0x8000,)),
        ("u32_high_first", {}, 2**32 + 5, (0, 5)),
        ("u32_low_first", {}, 70_000, (4464, 1)),
        ("u16", {"bits": BitField(first=4, count=4)}, 17, (0x0010,)),
        ("bit", {"invert": True}, 1, (1,)),
    ],
)
def test_a_raw_number_wraps_at_the_points_width(
    kind: str, fields: dict[str, Any], raw: int, cells: tuple[int, ...]
) -> None:
    wanted = point(kind, **fields)
    assert encode_raw(wanted, raw) == cells
    low, high = raw_limits(wanted)
    assert (raw_of(wanted, cells) - raw) % (high - low + 1) == 0


@pytest.mark.parametrize(("kind", "cells"), [("u16", []), ("u16", [1, 2]), ("f32_low_first", [1]), ("bit", [])])
def test_another_number_of_cells_is_refused(kind: str, cells: list[int]) -> None:
    with pytest.raises(CodecError):
        decode_point(point(kind), cells)
    with pytest.raises(CodecError):
        raw_of(point(kind), cells)


@pytest.mark.parametrize(
    ("kind", "fields", "gives"),
    [
        ("bit", {}, ValueKind.STATE),
        ("u16", {"bits": BitField(first=3)}, ValueKind.STATE),
        ("u16", {"bits": BitField(first=3, count=2)}, ValueKind.NUMBER),
        ("u16", {"bits": BitField(first=3), "values": {"0": "a", "1": "b"}}, ValueKind.WORD),
        ("f32_low_first", {}, ValueKind.NUMBER),
    ],
)
def test_a_point_has_one_kind_of_value(kind: str, fields: dict[str, Any], gives: ValueKind) -> None:
    assert value_kind(point(kind, **fields)) is gives


def test_a_block_is_read_at_once_with_bad_values_apart() -> None:
    points = [
        point("u16", key="humidity", address=504, scale=0.1, unit="%RH", no_value=(0,)),
        point("s16", key="temperature", address=505, scale=0.1, unit="Cel"),
        point("u32_high_first", key="light", address=510, unit="lx"),
    ]
    cells = [0] * 4 + [0, 0xFFDD] + [0] * 4 + [1, 0x86A0]
    good, bad = BlockDecoder(points, 500).decode(cells)
    assert good == (Point("temperature", -3.5, "Cel"), Point("light", 100_000.0, "lx"))
    assert bad == (("humidity", BadValue.NO_VALUE),)


def test_a_block_of_bits_may_come_as_booleans() -> None:
    points = [point("bit", key="a", address=3, invert=True), point("bit", key="b", address=4)]
    good, bad = BlockDecoder(points, 3).decode([False, True])
    assert good == (Point("a", True), Point("b", True))
    assert bad == ()


def test_a_block_shorter_than_its_points_is_refused() -> None:
    decoder = BlockDecoder([point("u16", key="first"), point("f32_low_first", key="last", address=1)], 0)
    with pytest.raises(CodecError, match="3 are needed") as caught:
        decoder.decode([1, 2])
    assert caught.value.point == "last"


def test_a_point_before_the_block_is_refused() -> None:
    with pytest.raises(CodecError, match="before the block's 5"):
        BlockDecoder([point("u16", address=4)], 5)


def test_a_decoder_that_saw_the_same_cells_says_the_same_and_sees_every_change() -> None:
    points = [point("u16", key=f"p{at}", address=at) for at in range(3)]
    decoder = BlockDecoder(points, 0)
    changing = [1, 2, 3]
    for cells in ((1, 2, 3), (1, 2, 3), (1, 2, 4), bytes([1, 2, 4]), changing, (9, 9, 9), (1, 2, 3)):
        good, _ = decoder.decode(cells)
        assert [point.value for point in good] == list(cells)
    decoder.decode(changing)
    changing[0] = 7
    assert decoder.decode(changing)[0][0].value == 7
