"""The fields of a message: cut from bytes or text, and turned into values, as a grammar says. Pure.

A field has a raw form first (a whole number, a decimal, a word, bytes) and then a value. `where`, `values`,
`true_when`, `no_value` and reports speak of the raw form: whole numbers in decimal, words as they stand.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from struct import unpack

from contract.limits import MAX_STRING_CHARS
from contract.telemetry import Value
from device_profiles.faults import DeviceProfilesError
from device_profiles.speech.layout import Field, FieldType, Order

Raw = int | float | Decimal | str | bytes
Cutter = Callable[["Cuts"], Raw | None]
"""Gives a field's raw form; None where the message has no such field, or it is empty."""

_INT = re.compile(r"[+-]?[0-9]{1,15}")
_HEX = re.compile(r"[0-9A-Fa-f]{1,12}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})")
_DEGREES = re.compile(r"([0-9]{1,3})([0-9]{2}(?:\.[0-9]{1,9})?)")
_TIME = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})(?:\.([0-9]{1,6}))?")
_CID = re.compile(r"CID_([0-9]{4})")
_CID_LAST = re.compile(r"[0-9]{2}")
_DATE = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})")
_LAST_EPOCH_S = 4_102_444_800
"""The year 2100: a device whose clock is past it has no clock."""
_CENTURY = 80
"""NMEA writes two digits of the year; receivers began in 1980."""


_CUT_BY = ("type", "index", "at", "size", "order", "ad_type", "date", "chars", "bits", "no_value")


class FieldError(DeviceProfilesError):
    """A field is there and cannot be read: the message is not what it seems."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"field {key}: {why}")


class Cuts:
    """One frame being read: its bytes, the fields of its text, and the raw forms cut from it so far, by slot."""

    __slots__ = ("data", "raws", "texts")

    def __init__(self, data: bytes, texts: Sequence[str]) -> None:
        self.data = data
        self.texts = texts
        self.raws: dict[str, Raw | None] = {}


class FieldReader:
    """Reads one field; all that can be worked out beforehand is.

    Attributes:
        field: as the profile has it.
        slot: how it is cut, whatever it is called and becomes: what several messages cut alike is cut once.
    """

    __slots__ = ("_cut", "_make", "_no_value", "field", "slot")

    def __init__(self, field: Field, parent: "FieldReader | None" = None) -> None:
        """Plan the reading.

        Args:
            field: of a checked profile.
            parent: the field of bytes that it lies in.
        """
        self.field = field
        inside = "" if parent is None else parent.slot
        self.slot: str = inside + repr(tuple(getattr(field, name) for name in _CUT_BY))
        self._cut = _of_bytes(field, inside) if field.type.is_of_bytes else _of_text(field)
        self._no_value = frozenset(field.no_value)
        self._make = _maker(field)

    def raw(self, cuts: Cuts) -> Raw | None:
        """Cut the field, if another message has not done it.

        Raises:
            FieldError: it is there and cannot be read.
        """
        raws = cuts.raws
        if self.slot in raws:
            return raws[self.slot]
        raw = self._cut(cuts)
        if raw is not None and self._no_value and word_of(raw) in self._no_value:
            raw = None
        raws[self.slot] = raw
        return raw

    def value(self, raw: Raw | None) -> Value | None:
        """Turn the raw form into the value; None where there is none."""
        return None if raw is None else self._make(raw)


def word_of(raw: Raw) -> str:
    """Write a raw form as profiles do: whole numbers in decimal, words as they stand."""
    return raw if isinstance(raw, str) else str(raw)


def _of_text(field: Field) -> Cutter:
    key, index = field.key, field.index or 0
    first, end = (0, None) if field.chars is None else (field.chars.first, field.chars.first + field.chars.count)
    is_part = field.chars is not None
    if special := _SPECIAL.get(field.type):
        return special(field)
    read = _READ_TEXT[field.type]
    bits = _bits(field)

    def cut(cuts: Cuts) -> Raw | None:
        if index >= len(cuts.texts):
            return None
        text = cuts.texts[index]
        if is_part:
            text = text[first:end]
        if not text or text.isspace():
            return None
        raw = read(key, text)
        return bits(raw) if bits is not None and isinstance(raw, int) else raw

    return cut


def _of_bytes(field: Field, inside: str) -> Cutter:
    at, key = field.at or 0, field.key
    data_of = _inside(inside)
    if field.type is FieldType.AD:
        ad_type = field.ad_type
        return lambda cuts: _advertised(data_of(cuts), ad_type)
    size = field.type.size or field.size or 1
    bits = _bits(field)
    read = _byte_reader(field)

    def cut(cuts: Cuts) -> Raw | None:
        part = data_of(cuts)[at : at + size]
        if len(part) < size:
            return None
        raw = read(part)
        if raw is None:
            raise FieldError(key, f"{part.hex(' ')} cannot be read")
        return bits(raw) if bits is not None and isinstance(raw, int) else raw

    return cut


def _inside(slot: str) -> Callable[[Cuts], bytes]:
    if not slot:
        return lambda cuts: cuts.data

    def data_of(cuts: Cuts) -> bytes:
        data = cuts.raws.get(slot)
        return data if isinstance(data, bytes) else b""

    return data_of


def _byte_reader(field: Field) -> Callable[[bytes], Raw | None]:
    order = "big" if field.order is Order.BIG else "little"
    if field.type is FieldType.BCD:
        return lambda data: data.hex() if data.hex().isdecimal() else None
    if field.type is FieldType.HEX_WORD:
        return lambda data: data.hex().upper()
    if field.type is FieldType.F32:
        form = ">f" if field.order is Order.BIG else "<f"
        return lambda data: _finite(float(unpack(form, data)[0]))
    is_signed = field.type.value.startswith("s")
    return lambda data: int.from_bytes(data, order, signed=is_signed)  # type: ignore[arg-type]


def _finite(number: float) -> float | None:
    return number if abs(number) < float("inf") else None


def _advertised(data: bytes, ad_type: int | None) -> bytes | None:
    """Find a structure of an advertisement: length, type, data, one behind the other."""
    at = 0
    while at + 1 < len(data):
        length = data[at]
        if not length or at + length >= len(data):
            return None
        if data[at + 1] == ad_type:
            return data[at + 2 : at + 1 + length]
        at += 1 + length
    return None


def _bits(field: Field) -> Callable[[int], int] | None:
    if field.bits is None:
        return None
    first, mask = field.bits.first, (1 << field.bits.count) - 1
    return lambda raw: (raw >> first) & mask


def _read_word(key: str, text: str) -> str:
    if len(text) > MAX_STRING_CHARS:
        raise FieldError(key, f"a word of {len(text)} characters; at most {MAX_STRING_CHARS}")
    return text.strip()


def _read_int(key: str, text: str) -> int:
    if not _INT.fullmatch(text):
        raise FieldError(key, f"{text[:24]!r} is no whole number")
    return int(text)


def _read_hex(key: str, text: str) -> int:
    if not _HEX.fullmatch(text):
        raise FieldError(key, f"{text[:24]!r} is no hexadecimal number")
    return int(text, 16)


def _read_decimal(key: str, text: str) -> Decimal:
    if not _DECIMAL.fullmatch(text):
        raise FieldError(key, f"{text[:24]!r} is no number")
    return Decimal(text)


def _read_bytes(key: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise FieldError(key, f"{text[:24]!r} is not hexadecimal") from None


def _read_epoch(key: str, text: str) -> int:
    seconds = _read_decimal(key, text)
    if not 0 <= seconds <= _LAST_EPOCH_S:
        raise FieldError(key, f"{text[:24]!r} is no time")
    return int(seconds * 1_000_000)


def _degrees(field: Field) -> Cutter:
    index, key = field.index or 0, field.key

    def cut(cuts: Cuts) -> Raw | None:
        text, half = (*cuts.texts[index : index + 2], "", "")[:2]
        if not text:
            return None
        found = _DEGREES.fullmatch(text)
        if found is None or half not in _HALVES:
            raise FieldError(key, f"{text[:24]!r} {half[:8]!r} are no degrees")
        return _HALVES[half] * round(int(found[1]) + Decimal(found[2]) / 60, 7)

    return cut


def _time(field: Field) -> Cutter:
    index, date, key = field.index or 0, field.date or 0, field.key

    def cut(cuts: Cuts) -> Raw | None:
        texts = cuts.texts
        if max(index, date) >= len(texts) or not texts[index] or not texts[date]:
            return None
        clock, day = _TIME.fullmatch(texts[index]), _DATE.fullmatch(texts[date])
        if clock is None or day is None:
            raise FieldError(key, f"{texts[date][:16]!r} {texts[index][:16]!r} is no time")
        year = int(day[3]) + (1900 if int(day[3]) >= _CENTURY else 2000)
        try:
            moment = datetime(year, int(day[2]), int(day[1]), int(clock[1]), int(clock[2]), int(clock[3]), tzinfo=UTC)
        except ValueError as error:
            raise FieldError(key, str(error)) from error
        return int(moment.timestamp()) * 1_000_000 + int((clock[4] or "").ljust(6, "0"))

    return cut


def _contact_id(field: Field) -> Cutter:
    index, key = field.index or 0, field.key

    def cut(cuts: Cuts) -> Raw | None:
        text, last = (*cuts.texts[index : index + 2], "", "")[:2]
        if not text:
            return None
        found = _CID.fullmatch(text)
        if found is None:
            raise FieldError(key, f"{text[:24]!r} is no Contact ID")
        return found[1][:2] + last if _CID_LAST.fullmatch(last) and last != "00" else found[1]

    return cut


def _maker(field: Field) -> Callable[[Raw], Value | None]:
    """Make what turns the raw form of a field into its value."""
    if field.true_when:
        true_when = frozenset(field.true_when)
        return lambda raw: word_of(raw) in true_when
    if field.values:
        values: Mapping[str, str] = field.values
        return lambda raw: values.get(word_of(raw))
    if field.hex_digits is not None:
        digits = field.hex_digits
        return lambda raw: f"{raw:0{digits}X}" if isinstance(raw, int) else None
    if field.bits is not None and field.bits.count == 1:
        return lambda raw: raw != 0
    if (field.scale, field.offset) == (1.0, 0.0):
        return lambda raw: None if isinstance(raw, bytes) else raw if isinstance(raw, str) else float(raw)
    scale, offset = Decimal(repr(field.scale)), Decimal(repr(field.offset))
    digits = max(0, *(-int(number.as_tuple().exponent) for number in (scale, offset)))
    factor, more, divisor = int(scale.scaleb(digits)), int(offset.scaleb(digits)), 10**digits

    def scaled(raw: Raw) -> Value | None:
        if isinstance(raw, int):  # whole numbers, divided once: the float nearest to the decimal meant
            return float((raw * factor + more) / divisor)
        if isinstance(raw, Decimal | float):
            return float(Decimal(raw) * scale + offset)
        return None

    return scaled


_HALVES = {"N": 1, "E": 1, "S": -1, "W": -1}
_SPECIAL: dict[FieldType, Callable[[Field], Cutter]] = {
    FieldType.NMEA_DEGREES: _degrees,
    FieldType.NMEA_TIME: _time,
    FieldType.AD2_CID: _contact_id,
}
_READ_TEXT: dict[FieldType, Callable[[str, str], Raw]] = {
    FieldType.WORD: _read_word,
    FieldType.INT: _read_int,
    FieldType.HEX: _read_hex,
    FieldType.DECIMAL: _read_decimal,
    FieldType.BYTES: _read_bytes,
    FieldType.EPOCH_S: _read_epoch,
}
