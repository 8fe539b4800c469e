"""The codec by property: whatever is written reads back, for every type and every scale."""

import math
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

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
from device_profiles.model import BitField, PointDef, PointType, Table

WHOLE = [kind for kind in PointType if kind is not PointType.BIT and not kind.value.startswith("f")]
FLOATS = [PointType.F32_HIGH_FIRST, PointType.F32_LOW_FIRST]
SCALES = [1.0, 0.1, 0.01, 0.001, 1e-6, 0.5, 0.25, 0.09765625, 3.6, 10.0, 100.0, -0.1, 7.0, 1 / 3]
OFFSETS = [0.0, -40.0, 0.5, 273.15, -0.01]


def point(kind: PointType, **fields: Any) -> PointDef:
    table = Table.COIL if kind is PointType.BIT else Table.HOLDING
    return PointDef(key="p", name={}, table=table, address=0, type=kind, source="", **fields)


def digits(number: float) -> int:
    return len(Decimal(repr(number)).normalize().as_tuple().digits)


def packs_to(number: float, same: float) -> bool:
    try:
        return struct.pack(">f", number + 0.0) == struct.pack(">f", same)
    except OverflowError:
        return False


@st.composite
def whole_points(draw: st.DrawFn) -> PointDef:
    kind = draw(st.sampled_from(WHOLE))
    width = 16 * kind.words
    bits = None
    if draw(st.booleans()):
        first = draw(st.integers(0, width - 1))
        bits = BitField(first=first, count=draw(st.integers(1, width - first)))
    if bits is not None and bits.count == 1:
        return point(kind, bits=bits, invert=draw(st.booleans()))
    return point(kind, bits=bits, scale=draw(st.sampled_from(SCALES)), offset=draw(st.sampled_from(OFFSETS)))


@given(whole_points(), st.data())
def test_every_raw_number_reads_back(wanted: PointDef, data: st.DataObject) -> None:
    low, high = raw_limits(wanted)
    raw = data.draw(st.integers(low, high))
    cells = encode_raw(wanted, raw)
    assert len(cells) == wanted.type.words
    assert all(0 <= cell <= 0xFFFF for cell in cells)
    assert raw_of(wanted, cells) == raw


@given(whole_points(), st.data())
def test_every_value_read_can_be_written_to_the_same_registers(wanted: PointDef, data: st.DataObject) -> None:
    low, high = raw_limits(wanted)
    cells = encode_raw(wanted, data.draw(st.integers(low, high)))
    value = decode_point(wanted, cells)
    assert not isinstance(value, BadValue)
    assert encode_point(wanted, value) == cells


@given(whole_points(), st.data())
def test_a_scaled_value_is_the_float_nearest_to_the_decimal(wanted: PointDef, data: st.DataObject) -> None:
    assume(value_kind(wanted) is ValueKind.NUMBER)
    low, high = raw_limits(wanted)
    raw = data.draw(st.integers(low, high))
    exact = raw * Decimal(repr(wanted.scale)) + Decimal(repr(wanted.offset))
    value = decode_point(wanted, encode_raw(wanted, raw))
    assert value == float(exact)


@given(st.integers(0, 0xFFFF))
def test_a_tenth_has_one_digit_after_the_point(raw: int) -> None:
    value = decode_point(point(PointType.U16, scale=0.1), [raw])
    assert len(repr(value).partition(".")[2]) == 1


@pytest.mark.parametrize("kind", FLOATS)
@given(number=st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(number=struct.unpack(">f", struct.pack(">f", 1.234567))[0])
@example(number=struct.unpack(">f", struct.pack(">f", 1.2345678))[0])
def test_a_float_reads_back_as_the_same_32_bits(kind: PointType, number: float) -> None:
    wanted = point(kind)
    cells = encode_point(wanted, number)
    words = struct.unpack(">HH", struct.pack(">f", number + 0.0))  # a negative zero is zero
    assert cells == (words if kind is PointType.F32_HIGH_FIRST else words[::-1])
    value = decode_point(wanted, cells)
    assert isinstance(value, float)
    assert struct.pack(">f", value) == struct.pack(">f", number + 0.0)
    same = [count for count in range(1, 10) if packs_to(float(f"{number:.{count}g}"), value)]
    assert digits(value) == digits(float(f"{number:.{max(6, same[0])}g}"))


@given(st.sampled_from(FLOATS), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_any_two_registers_are_a_finite_float_or_named_bad(kind: PointType, first: int, second: int) -> None:
    value = decode_point(point(kind), [first, second])
    assert value is BadValue.NOT_FINITE or (isinstance(value, float) and math.isfinite(value))


@given(st.booleans(), st.booleans())
def test_a_bit_reads_back(value: bool, invert: bool) -> None:  # noqa: FBT001
    wanted = point(PointType.BIT, invert=invert)
    cells = encode_point(wanted, value)
    assert cells == (int(value) ^ int(invert),)
    assert decode_point(wanted, cells) is value


@given(st.dictionaries(st.integers(0, 0xFFFF).map(str), st.text(min_size=1), min_size=1), st.integers(0, 0xFFFF))
def test_a_word_reads_back_and_any_other_number_is_named_bad(values: dict[str, str], raw: int) -> None:
    assume(len(set(values.values())) == len(values))
    wanted = point(PointType.U16, values=values)
    for word in values.values():
        assert decode_point(wanted, encode_point(wanted, word)) == word
    assert decode_point(wanted, [raw]) == values.get(str(raw), BadValue.UNKNOWN_WORD)


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=8), st.integers(0, 0xFFFF))
def test_a_no_value_code_is_never_a_reading(codes: list[int], raw: int) -> None:
    value = decode_point(point(PointType.U16, no_value=tuple(codes)), [raw])
    assert (value is BadValue.NO_VALUE) == (raw in codes)


@given(st.lists(whole_points(), min_size=1, max_size=12), st.integers(0, 60_000), st.data())
def test_a_block_reads_as_its_points_one_by_one(kinds: list[PointDef], start: int, data: st.DataObject) -> None:
    points, at = [], start
    for index, kind in enumerate(kinds):
        fields = {name: getattr(kind, name) for name in ("scale", "offset", "bits", "invert")}
        made = PointDef(
            key=f"p{index}", name={}, table=Table.INPUT, address=at, type=kind.type, source="", unit="count", **fields
        )
        points.append(made)
        at += made.type.words
    cells = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=at - start, max_size=at - start + 3))
    good, bad = BlockDecoder(points, start).decode(cells)
    assert bad == ()
    for made, reading in zip(points, good, strict=True):
        first = made.address - start
        assert (reading.key, reading.unit) == (made.key, "count")
        assert reading.value == decode_point(made, cells[first : first + made.type.words])


@given(
    st.lists(
        st.tuples(st.sampled_from(["u16", "s16"]), st.sampled_from([1.0, 0.1, -0.01]), st.booleans()),
        min_size=1,
        max_size=8,
    ),
    st.data(),
)
def test_a_block_of_plain_words_reads_as_its_points_one_by_one(
    kinds: list[tuple[str, float, bool]], data: st.DataObject
) -> None:
    points = [
        PointDef(
            key=f"p{at}", name={}, table=Table.HOLDING, address=at, type=PointType(kind), source="", scale=scale,
            no_value=(0x7FFF,) if bounded else (), range=(-100.0, 100.0) if bounded else None,
        )
        for at, (kind, scale, bounded) in enumerate(kinds)
    ]  # fmt: skip
    cells = tuple(data.draw(st.sampled_from([0, 1, 999, 0x7FFF, 0x8000, 0xFFFF])) for _ in points)
    good, bad = BlockDecoder(points, 0).decode(cells)
    said = {point.key: point.value for point in good} | dict(bad)
    assert said == {point.key: decode_point(point, cells[at : at + 1]) for at, point in enumerate(points)}
