"""Registers to values and back, as one point of a checked profile says; pure.

A number is always a float, an enumeration a word, a bit or a one-bit field true or false. What the device
marks as no reading, or what cannot be believed, is a `BadValue` and never a reading.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import Enum, StrEnum
from fractions import Fraction
from math import inf
from struct import pack, unpack

from contract.telemetry import Point, Value
from device_profiles.faults import CodecError, shown
from device_profiles.model import AnyPoint, HeardDef, PointDef, PointType

WORD_LIMIT = 0x1_0000
"""A register holds 0 to 0xFFFF (MODBUS Application Protocol V1.1b3, 4.2)."""

_FLOAT_EXPONENT = 0x7F80_0000
"""All exponent bits of a 32-bit float: set in infinity and in what is no number (IEEE 754)."""


class BadValue(Enum):
    """Why registers that were answered are no reading."""

    NO_VALUE = "no-value"
    OUT_OF_RANGE = "out-of-range"
    UNKNOWN_WORD = "unknown-word"
    NOT_FINITE = "not-finite"


class ValueKind(StrEnum):
    """What kind of value a point gives; one key has one kind in the whole catalogue."""

    NUMBER = "number"
    STATE = "state"
    WORD = "word"


Reader = Callable[[Sequence[int], int], Value | BadValue]
"""Reads one value from the cells of a block, its own cells beginning at a position."""

_RawReader = Callable[[Sequence[int], int], int]


def value_kind(point: AnyPoint) -> ValueKind:
    """Tell whether a point gives a number (float), a state (bool) or a word (str)."""
    if isinstance(point, HeardDef):
        return ValueKind(point.kind.value)
    if point.values:
        return ValueKind.WORD
    if point.type is PointType.BIT or (point.bits is not None and point.bits.count == 1):
        return ValueKind.STATE
    return ValueKind.NUMBER


def raw_bits(point: PointDef) -> int:
    """How many bits wide the raw number is: the bit field's, else the type's (1, 16 or 32)."""
    if point.bits is not None:
        return point.bits.count
    return 1 if point.type is PointType.BIT else 16 * point.type.words


def raw_limits(point: PointDef) -> tuple[int, int]:
    """Lowest and highest raw number; a 32-bit float counts as its 32-bit pattern."""
    bits = raw_bits(point)
    if _is_signed(point):
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def raw_of(point: PointDef, cells: Sequence[int]) -> int:
    """Read the raw number: before scale, words and inversion. A float gives its 32-bit pattern.

    Raises:
        CodecError: not exactly as many cells as the point has.
    """
    _check_count(point, cells)
    return _raw_reader(point)(cells, 0)


def decode_point(point: PointDef, cells: Sequence[int]) -> Value | BadValue:
    """Read one point; for whole blocks `BlockDecoder` is many times faster.

    Args:
        point: of a checked profile.
        cells: exactly `point.type.words` registers 0 to 65535, or one bit 0 or 1.

    Raises:
        CodecError: not exactly as many cells as the point has.
    """
    _check_count(point, cells)
    return point_reader(point)(cells, 0)


def encode_raw(point: PointDef, raw: int) -> tuple[int, ...]:
    """Write a raw number, wrapping at the point's width as a device's counter does.

    Bits of the word that are not the point's are zero.
    """
    pattern = raw & ((1 << raw_bits(point)) - 1)
    if point.bits is not None:
        pattern <<= point.bits.first
    if point.type.words == 1:
        return (pattern,)
    high, low = divmod(pattern, WORD_LIMIT)
    return (high, low) if _is_high_first(point) else (low, high)


def encode_point(point: PointDef, value: Value) -> tuple[int, ...]:
    """Write a value as registers or a bit, a number rounded to the nearest step of the point's scale.

    What comes out reads back as a value: never a no-value code, never outside the range.
    Bits of the word that are not the point's are zero.

    Raises:
        CodecError: the value is of the wrong kind, or the point cannot express it.
    """
    cells = encode_raw(point, _raw_for(point, value))
    if isinstance(back := decode_point(point, cells), BadValue):
        raise CodecError(point.key, f"{shown(value)} would read back as {back.value}")
    return cells


class BlockDecoder:
    """Decodes one block read: made once for a block, then called for every answer."""

    def __init__(self, points: Sequence[PointDef], start: int) -> None:
        """Plan the reading of `points`, all of one table and at `start` or above.

        Raises:
            CodecError: a point begins before `start`.
        """
        self._plan: list[tuple[int, str, str | None, Reader]] = []
        words = [_plain_word(point, point.address - start) for point in points]
        self._words = [word for word in words if word is not None]
        self._is_plain = len(self._words) == len(words)
        self._cells = 0
        self._last = ""
        self._seen: Sequence[int] | None = None
        self._said: tuple[tuple[Point, ...], tuple[tuple[str, BadValue], ...]] = ((), ())
        for point in points:
            at = point.address - start
            if at < 0:
                raise CodecError(point.key, f"address {point.address} is before the block's {start}")
            self._plan.append((at, point.key, point.unit, point_reader(point)))
            if at + point.type.words > self._cells:
                self._cells, self._last = at + point.type.words, point.key

    def decode(self, cells: Sequence[int]) -> tuple[tuple[Point, ...], tuple[tuple[str, BadValue], ...]]:
        """Read every point of the block, in the order given.

        Args:
            cells: registers 0 to 65535, or bits, from the block's start; more than needed does no harm.

        Returns:
            The readings, and the keys without a reading with the reason.

        Raises:
            CodecError: fewer cells than the points need.
        """
        # Contacts and slow sensors mostly say again what they said.
        if cells == self._seen:
            return self._said
        if len(cells) < self._cells:
            raise CodecError(self._last, f"the block has {len(cells)} cells, {self._cells} are needed")
        good, bad = self._read_words(cells) if self._is_plain else self._read(cells)
        # A list may be changed by its owner; a line hands on tuples and bytes.
        self._seen = None if isinstance(cells, list) else cells
        self._said = tuple(good), tuple(bad)
        return self._said

    def _read(self, cells: Sequence[int]) -> tuple[list[Point], list[tuple[str, BadValue]]]:
        good: list[Point] = []
        bad: list[tuple[str, BadValue]] = []
        for at, key, unit, read in self._plan:
            value = read(cells, at)
            if isinstance(value, BadValue):
                bad.append((key, value))
            else:
                good.append(Point(key, value, unit))
        return good, bad

    def _read_words(self, cells: Sequence[int]) -> tuple[list[Point], list[tuple[str, BadValue]]]:
        """The same for a block of plain words, as most are: without a call a point it takes half the time."""
        good: list[Point] = []
        bad: list[tuple[str, BadValue]] = []
        for word in self._words:
            at, key, unit, top, scale, offset, divisor, low, high, no_value = word
            number = cells[at]
            if number > top:
                number -= WORD_LIMIT
            value = (number * scale + offset) / divisor
            if number in no_value:
                bad.append((key, BadValue.NO_VALUE))
            elif low <= value <= high:
                good.append(Point(key, value, unit))
            else:
                bad.append((key, BadValue.OUT_OF_RANGE))
        return good, bad


_Word = tuple[int, str, str | None, int, int, int, int, float, float, frozenset[int]]


def _plain_word(point: PointDef, at: int) -> _Word | None:
    """Plan the reading of one whole 16-bit number; None for points of every other kind."""
    if point.type not in (PointType.U16, PointType.S16) or point.bits is not None or point.values:
        return None
    scale, offset, divisor = _whole_numbers(point)
    low, high = point.range or (-inf, inf)
    top = raw_limits(point)[1]
    return at, point.key, point.unit, top, scale, offset, divisor, low, high, frozenset(point.no_value)


def point_reader(point: PointDef) -> Reader:
    """Make the reader of one point; all that can be worked out beforehand is."""
    raw = _raw_reader(point)
    kind = value_kind(point)
    if kind is ValueKind.WORD:
        return _word_reader(point, raw)
    if kind is ValueKind.STATE:
        return _state_reader(point, raw)
    reader = _float_reader(point, raw) if _is_float(point) else _integer_reader(point, raw)
    return reader if point.range is None else _ranged(reader, *point.range)


def _state_reader(point: PointDef, raw: _RawReader) -> Reader:
    invert, no_value = point.invert, frozenset(point.no_value)
    if point.type is PointType.BIT:  # the busiest of all: buttons are read ten times a second
        return lambda cells, at: (cells[at] != 0) is not invert

    def read(cells: Sequence[int], at: int) -> bool | BadValue:
        number = raw(cells, at)
        return BadValue.NO_VALUE if number in no_value else (number != 0) is not invert

    return read


def _word_reader(point: PointDef, raw: _RawReader) -> Reader:
    no_value = frozenset(point.no_value)
    words: dict[int, str] = {int(number): word for number, word in point.values.items()}

    def read(cells: Sequence[int], at: int) -> str | BadValue:
        number = raw(cells, at)
        if number in no_value:
            return BadValue.NO_VALUE
        return words.get(number, BadValue.UNKNOWN_WORD)

    return read


def _integer_reader(point: PointDef, raw: _RawReader) -> Reader:
    """Scale in whole numbers and divide once: the quotient is the float nearest to the decimal meant."""
    no_value = frozenset(point.no_value)
    scale, offset, divisor = _whole_numbers(point)

    def read(cells: Sequence[int], at: int) -> float | BadValue:
        number = raw(cells, at)
        if number in no_value:
            return BadValue.NO_VALUE
        return (number * scale + offset) / divisor

    return read


def _float_reader(point: PointDef, raw: _RawReader) -> Reader:
    no_value = frozenset(point.no_value)
    is_scaled = (point.scale, point.offset) != (1.0, 0.0)
    scale, offset = _decimal(point.scale), _decimal(point.offset)

    def read(cells: Sequence[int], at: int) -> float | BadValue:
        pattern = raw(cells, at)
        if pattern in no_value:
            return BadValue.NO_VALUE
        if pattern & _FLOAT_EXPONENT == _FLOAT_EXPONENT:
            return BadValue.NOT_FINITE
        number = _shortest_float32(pattern)
        return float(_decimal(number) * scale + offset) if is_scaled else number

    return read


def _ranged(reader: Reader, low: float, high: float) -> Reader:
    def read(cells: Sequence[int], at: int) -> Value | BadValue:
        value = reader(cells, at)
        if isinstance(value, float) and not low <= value <= high:
            return BadValue.OUT_OF_RANGE
        return value

    return read


def _raw_reader(point: PointDef) -> _RawReader:
    whole = _whole_reader(point)
    if point.bits is not None:
        first, mask = point.bits.first, (1 << point.bits.count) - 1
        return lambda cells, at: (whole(cells, at) >> first) & mask
    if _is_signed(point):
        half = 1 << (raw_bits(point) - 1)
        return lambda cells, at: ((whole(cells, at) + half) & (2 * half - 1)) - half
    return whole


def _whole_reader(point: PointDef) -> _RawReader:
    if point.type.words == 1:
        return lambda cells, at: int(cells[at])
    if _is_high_first(point):
        return lambda cells, at: cells[at] << 16 | cells[at + 1]
    return lambda cells, at: cells[at + 1] << 16 | cells[at]


def _raw_for(point: PointDef, value: Value) -> int:
    kind = value_kind(point)
    if kind is ValueKind.WORD:
        for number, word in point.values.items():
            if word == value:
                return int(number)
        raise CodecError(point.key, f"{shown(value)} is none of {', '.join(point.values.values())}")
    if kind is ValueKind.STATE:
        if not isinstance(value, bool):
            raise CodecError(point.key, f"{shown(value)} is not true or false")
        return int(value is not point.invert)
    if isinstance(value, bool | str):
        raise CodecError(point.key, f"{shown(value)} is not a number")
    try:
        exact = (Fraction(value) - Fraction(_decimal(point.offset))) / Fraction(_decimal(point.scale))
        if _is_float(point):
            return int.from_bytes(pack(">f", float(exact)), "big")
    except (OverflowError, ValueError) as error:
        raise CodecError(point.key, f"{shown(value)} does not fit {point.type.value}") from error
    raw = round(exact)
    low, high = raw_limits(point)
    if not low <= raw <= high:
        text = f"{shown(value)} does not fit {point.type.value}: raw {shown(raw)}, allowed {low} to {high}"
        raise CodecError(point.key, text)
    return raw


def _whole_numbers(point: PointDef) -> tuple[int, int, int]:
    """Scale and offset as whole numbers over one power of ten."""
    scale, offset = _decimal(point.scale), _decimal(point.offset)
    digits = max(0, *(-int(number.as_tuple().exponent) for number in (scale, offset)))
    return int(scale.scaleb(digits)), int(offset.scaleb(digits)), 10**digits


def _decimal(number: float) -> Decimal:
    """The number as it is written in the file: 0.1 is one tenth."""
    return Decimal(repr(number))


def _shortest_float32(pattern: int) -> float:
    """The number of 6 digits, or as few more as it takes, that is this 32-bit float: 21.3, not 21.299999237060547."""
    packed = pattern.to_bytes(4, "big")
    number: float = unpack(">f", packed)[0]
    for digits in (6, 7, 8):
        short = float(f"{number:.{digits}g}")
        if _float32_bytes(short) == packed:
            return short + 0.0  # without the sign of a negative zero
    return float(f"{number:.9g}")  # nine digits tell every 32-bit float apart (IEEE 754)


def _float32_bytes(number: float) -> bytes:
    try:
        return pack(">f", number)
    except OverflowError:  # rounding up the very largest float leaves the format
        return b""


def _check_count(point: PointDef, cells: Sequence[int]) -> None:
    if len(cells) != point.type.words:
        raise CodecError(point.key, f"{len(cells)} cells, {point.type.value} takes {point.type.words}")


def _is_signed(point: PointDef) -> bool:
    return point.bits is None and point.type.value.startswith("s")


def _is_float(point: PointDef) -> bool:
    return point.type.value.startswith("f")


def _is_high_first(point: PointDef) -> bool:
    return point.type.value.endswith("high_first")
