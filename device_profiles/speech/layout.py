"""The model of a declared grammar: how a device cuts its bytes into frames, and what stands in them.

No logic in data: what these tables cannot say is a new kind of frame, field or checksum in Python, with a test.
Bytes are written as hexadecimal with spaces: "0D 0A".
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from contract.alarms import Severity
from contract.ids import Id

MAX_FRAME = 4096
"""Longest frame any grammar may allow, in bytes: a conversation keeps no more than that."""

Hex = Annotated[str, Meta(max_length=96)]
Seconds = Annotated[float, Meta(ge=0.0, le=86_400.0)]
Position = Annotated[int, Meta(ge=0, lt=MAX_FRAME)]
Cap = Annotated[int, Meta(ge=2, le=MAX_FRAME)]
Cut = Annotated[int, Meta(ge=-MAX_FRAME, le=MAX_FRAME)]


class ChecksumKind(StrEnum):
    """How a checksum is worked out."""

    SUM8 = "sum8"
    """Sum of the bytes, its lowest 8 bits."""
    SUM16 = "sum16"
    """Sum of the bytes, its lowest 16 bits."""
    XOR = "xor"
    XOR_HEX = "xor_hex"
    """Exclusive or of the bytes that hexadecimal digits write."""
    CRC16_MODBUS = "crc16_modbus"
    """Polynomial 0x8005 reflected, start 0xFFFF (MODBUS over Serial Line V1.02, 6.2.2)."""
    CRC16_ARC = "crc16_arc"
    """The same polynomial, start 0."""

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return 2 if "16" in self.value else 1


class ChecksumForm(StrEnum):
    """How a checksum is written."""

    BIG = "big"
    LITTLE = "little"
    HEX = "hex"
    """Two ASCII characters a byte, high byte first."""


class Checksum(Struct, frozen=True, forbid_unknown_fields=True, rename={"begin": "from", "end": "to"}):
    """Where a frame's checksum stands and what it is taken over.

    Positions count the frame's bytes, start and end bytes among them, escapes undone; from 0, negative from the end.

    Attributes:
        begin, end: first byte it is taken over, and the one behind the last.
        at: where it stands.
        form: how it is written.
    """

    kind: ChecksumKind
    begin: Cut
    end: Cut
    at: Cut
    form: ChecksumForm = ChecksumForm.BIG

    @property
    def size(self) -> int:
        """How many bytes of the frame it takes."""
        return self.kind.size * (2 if self.form is ChecksumForm.HEX else 1)


class Order(StrEnum):
    """Which byte of a number comes first."""

    BIG = "big"
    LITTLE = "little"


class Encoding(StrEnum):
    """What a text is written in."""

    ASCII = "ascii"
    UTF8 = "utf-8"
    GBK = "gbk"


class Escape(Struct, frozen=True, forbid_unknown_fields=True):
    """How bytes are written that may not stand between start and end.

    Attributes:
        byte: begins an escape.
        pairs: byte that follows it -> byte that is meant: `{ "02" = "7E", "01" = "7D" }`.
    """

    byte: Hex
    pairs: dict[str, str]


class _Frame(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every kind of frame may have.

    Attributes:
        encoding: the frames are text in this; None are bytes.
        checksum: None has none.
        max_bytes: longest frame, as it stands on the wire.
    """

    encoding: Encoding | None = None
    checksum: Checksum | None = None
    max_bytes: Cap = 512


class DelimitedFrame(_Frame, frozen=True, tag="delimited", kw_only=True):
    """From start bytes (or the end of the last frame) to end bytes.

    Attributes:
        start: "" has none.
        end: what ends it.
        trim: bytes that are no part of the content where they stand at its ends.
        escape: None: neither start nor end can stand inside.
    """

    end: Hex
    start: Hex = ""
    trim: Hex = ""
    escape: Escape | None = None


class CountedFrame(_Frame, frozen=True, tag="counted", kw_only=True):
    """Start bytes and a number that tells the length.

    Attributes:
        start: what begins it.
        at, size, order: where the number stands, how many bytes it has, which comes first.
        adds: bytes of the frame that the number does not count.
        end: last bytes of every frame; "" has none.
    """

    start: Hex
    at: Position
    adds: Annotated[int, Meta(ge=0, le=MAX_FRAME)]
    size: Annotated[int, Meta(ge=1, le=2)] = 1
    order: Order = Order.BIG
    end: Hex = ""


class FixedFrame(_Frame, frozen=True, tag="fixed", kw_only=True):
    """A length for each beginning.

    Attributes:
        sizes: start bytes -> length of the whole frame.
        end: last bytes of every frame; "" has none.
    """

    sizes: dict[str, Cap]
    end: Hex = ""


Frame = DelimitedFrame | CountedFrame | FixedFrame


class FieldType(StrEnum):
    """How a field is read: from bytes (of the frame, or of a field of bytes), or from text."""

    U8 = "u8"
    U16 = "u16"
    U24 = "u24"
    U32 = "u32"
    S8 = "s8"
    S16 = "s16"
    S32 = "s32"
    F32 = "f32"
    BCD = "bcd"
    """Digits, two a byte, as a word."""
    HEX_WORD = "hex_word"
    """Bytes as a word of hexadecimal digits in capitals."""
    AD = "ad"
    """The data of one structure of a Bluetooth advertisement (Core 5.4, Vol 3, Part C, 11), as bytes."""
    WORD = "word"
    INT = "int"
    """A whole number in decimal."""
    HEX = "hex"
    """A whole number in hexadecimal."""
    DECIMAL = "decimal"
    BYTES = "bytes"
    """Hexadecimal digits, as bytes for other fields to lie in."""
    NMEA_DEGREES = "nmea_degrees"
    """dddmm.mmmm; the next field is N, S, E or W."""
    NMEA_TIME = "nmea_time"
    """hhmmss.ss; `date` is the field with ddmmyy."""
    AD2_CID = "ad2_cid"
    """Contact ID as AlarmDecoder writes it: CID_ and four digits; the next field, if not 00 or ff, has the last two."""
    EPOCH_S = "epoch_s"
    """Seconds UTC since 1970."""

    @property
    def is_of_bytes(self) -> bool:
        """It is cut from bytes; the others are cut from text."""
        return self.size is not None or self in (FieldType.BCD, FieldType.HEX_WORD, FieldType.AD)

    @property
    def size(self) -> int | None:
        """How many bytes a number takes; None where the profile says it, or for text."""
        found = {"8": 1, "16": 2, "24": 3, "32": 4}
        return found.get(self.value[1:])


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """Characters of a text, or bits of a number: `count` from `first`, which is 0 for the first or lowest."""

    first: Position
    count: Annotated[int, Meta(ge=1, le=256)] = 1


class Field(Struct, frozen=True, forbid_unknown_fields=True):
    """One field of a message.

    Attributes:
        key: its name inside the message.
        type: how it is read.
        index: which field of the text, from 0.
        at: first byte, of the frame or of the field named in `of`.
        of: a field of bytes that it lies in; None is the frame.
        size: how many bytes of `bcd` and `hex_word`.
        order: which byte of a number comes first.
        ad_type: which structure of an advertisement `ad` takes.
        date: index of the date that goes with `nmea_time`.
        chars: only these characters of the text.
        bits: only these bits of the number.
        hex_digits: the number becomes a word of so many hexadecimal digits.
        scale, offset: value = raw * scale + offset.
        values: raw number or word -> word.
        true_when: it becomes a state, true for these raw numbers or words.
        no_value: raw numbers or words that mean "nothing".
        heard: the heard point that gets it.
    """

    key: Id
    type: FieldType
    index: Annotated[int, Meta(ge=0, le=255)] | None = None
    at: Position | None = None
    of: Id | None = None
    size: Annotated[int, Meta(ge=1, le=64)] | None = None
    order: Order = Order.BIG
    ad_type: Annotated[int, Meta(ge=0, le=255)] | None = None
    date: Annotated[int, Meta(ge=0, le=255)] | None = None
    chars: Part | None = None
    bits: Part | None = None
    hex_digits: Annotated[int, Meta(ge=1, le=8)] | None = None
    scale: float = 1.0
    offset: float = 0.0
    values: dict[str, str] = {}
    true_when: tuple[str, ...] = ()
    no_value: tuple[str, ...] = ()
    heard: Id | None = None


class Match(Struct, frozen=True, forbid_unknown_fields=True):
    """The message is only this one when a field is one of these: raw numbers in decimal, or words."""

    field: Id
    equals: tuple[str, ...]


class ReportDef(Struct, frozen=True, forbid_unknown_fields=True):
    """An alarm that the device says itself.

    Attributes:
        field: what says so; None: the message itself does.
        on: what the field then is, raw.
        off: what it is when the alarm ends.
        point: where it comes from; `{field}` becomes the value of that field: "zone-{zone}".
        rule, alarm, severity, text: as with a rule.
        ends_after_s: it ends by itself; None: only when the device says so.
        value: the field that it is told with.
    """

    rule: Id
    point: str
    alarm: Id
    severity: Severity
    text: dict[str, str]
    field: Id | None = None
    on: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    ends_after_s: Seconds | None = None
    value: Id | None = None


class SightingDef(Struct, frozen=True, forbid_unknown_fields=True):
    """A tag that was heard, each part the name of a field.

    Attributes:
        tag: its id.
        rssi: dBm.
        moving, pressed, low: states: its motion bit, its button, its low battery.
        battery: volts.
    """

    tag: Id
    rssi: Id | None = None
    moving: Id | None = None
    pressed: Id | None = None
    battery: Id | None = None
    low: Id | None = None


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of message: which frames are it, how they are cut, and what they mean.

    Attributes:
        key: its name.
        source: document and page that say so.
        starts: what its frames begin with: text, behind the frame's start bytes; or bytes as hexadecimal, with those.
        where: what its fields must be.
        fields: how many fields a text has, fewest and most; without a separator, how many characters.
        separator: parts the fields of a text; "" parts nothing: all is field 0.
        rest: the last field takes all that is left, separators too.
        otherwise: it is what no other message of the profile is.
        field: how it is cut.
        address: the field that names who says it.
        time: the field that is the device's own time.
        report: alarms.
        sighting: a tag that was heard.
        reply: bytes that the device wants in answer.
        collapse_s: the same frame again within so long is a repeat and says nothing.
    """

    key: Id
    source: str
    starts: Annotated[str, Meta(max_length=64)] = ""
    where: tuple[Match, ...] = ()
    fields: tuple[int, int] | None = None
    separator: Annotated[str, Meta(max_length=8)] = ","
    rest: bool = False
    otherwise: bool = False
    field: tuple[Field, ...] = ()
    address: Id | None = None
    time: Id | None = None
    report: tuple[ReportDef, ...] = ()
    sighting: SightingDef | None = None
    reply: Hex = ""
    collapse_s: Seconds = 0.0


class ToldReport(Struct, frozen=True, forbid_unknown_fields=True):
    """A report that captured bytes must give."""

    point: str
    rule: str
    is_on: bool = True


class ToldSighting(Struct, frozen=True, forbid_unknown_fields=True):
    """A sighting that captured bytes must give; what is not written must not be given."""

    tag: str
    rssi: float | None = None
    is_moving: bool | None = None
    is_pressed: bool | None = None
    battery_v: float | None = None
    is_low: bool | None = None
