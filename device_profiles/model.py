"""The model of a device profile: everything Langyan knows about one kind of device.

A profile is TOML. No logic in data: a new behaviour is a new point type or rule kind here, with a test.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from contract.alarms import Severity
from contract.ids import Id
from device_profiles.speech.layout import Frame, Message, ToldReport, ToldSighting
from device_profiles.speech.topics import Topic

Text = dict[str, str]
"""A text for people by language tag; a profile carries "en" and "zh"."""

Address = Annotated[int, Meta(ge=0, le=0xFFFF)]
Seconds = Annotated[float, Meta(ge=0.0, le=86_400.0)]
Period = Annotated[float, Meta(ge=0.01, le=86_400.0)]
Span = Annotated[float, Meta(gt=0.0, le=86_400.0)]


class Table(StrEnum):
    """The four tables of the Modbus data model (Application Protocol V1.1b3, 4.3)."""

    COIL = "coil"
    DISCRETE_INPUT = "discrete_input"
    INPUT = "input"
    HOLDING = "holding"

    @property
    def is_bits(self) -> bool:
        """Coils and discrete inputs hold bits, the others 16-bit words."""
        return self in (Table.COIL, Table.DISCRETE_INPUT)


class PointType(StrEnum):
    """How a point's bits or words are read; `high_first` puts the high word at the lower address."""

    BIT = "bit"
    U16 = "u16"
    S16 = "s16"
    U32_HIGH_FIRST = "u32_high_first"
    U32_LOW_FIRST = "u32_low_first"
    S32_HIGH_FIRST = "s32_high_first"
    S32_LOW_FIRST = "s32_low_first"
    F32_HIGH_FIRST = "f32_high_first"
    F32_LOW_FIRST = "f32_low_first"

    @property
    def words(self) -> int:
        """How many bits or words the point takes in its table."""
        return 2 if "32" in self.value else 1


class Transport(StrEnum):
    """What carries Modbus to the device."""

    RTU = "rtu"
    TCP = "tcp"


class Parity(StrEnum):
    """Serial parity."""

    NONE = "N"
    EVEN = "E"
    ODD = "O"


class BitField(Struct, frozen=True, forbid_unknown_fields=True):
    """Bits `first` to `first + count - 1` of a register word, bit 0 lowest."""

    first: Annotated[int, Meta(ge=0, le=31)]
    count: Annotated[int, Meta(ge=1, le=32)] = 1


class Simulation(Struct, frozen=True, forbid_unknown_fields=True):
    """How a simulated device makes this point up: `start + swing * sin(2 pi t / period_s)`."""

    start: float | bool | str = 0.0
    swing: float = 0.0
    period_s: Annotated[float, Meta(gt=0.0)] = 600.0


class PointDef(Struct, frozen=True, forbid_unknown_fields=True):
    """One point: where it stands, how it is read and what it means.

    Attributes:
        key: id, snake case; one key has one value type in the whole catalogue.
        name: for people.
        table, address, type: where and how; `address` is the first word or bit.
        source: document and page that say so.
        unit: SenML unit; None for bits and words.
        scale, offset: value = raw * scale + offset.
        bits: only these bits of the word are the raw number.
        values: enumeration, decimal raw number -> word; the value is then a string.
        no_value: raw numbers that mean "no reading".
        range: lowest and highest believable value; outside it there is no reading.
        invert: for bits, the value is the opposite of the bit (a contact wired normally closed).
        every_s: how often it is read unless the site file says otherwise.
        writable: may be written by a command.
        simulate: how a simulator makes it up.
    """

    key: Id
    name: Text
    table: Table
    address: Address
    type: PointType
    source: str
    unit: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    bits: BitField | None = None
    values: dict[str, str] = {}
    no_value: tuple[int, ...] = ()
    range: tuple[float, float] | None = None
    invert: bool = False
    every_s: Period = 10.0
    writable: bool = False
    simulate: Simulation = Simulation()


class BlockDef(Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of a table that the device wants read in one piece."""

    table: Table
    address: Address
    count: Annotated[int, Meta(ge=1, le=2000)]


class Link(Struct, frozen=True, forbid_unknown_fields=True):
    """How to talk to the device.

    Attributes:
        transports: what it speaks.
        unit: factory unit id.
        baud, parity, stop_bits: factory serial settings.
        port: TCP port.
        timeout_s: how long an answer may take after the request has left.
        turnaround_s: rest the device wants between its answer and the next request.
        max_words, max_bits: longest block it answers.
        max_gap: unused words or bits that it lets one read through to save a round trip.
    """

    transports: tuple[Transport, ...]
    unit: Annotated[int, Meta(ge=1, le=255)] = 1
    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600
    parity: Parity = Parity.NONE
    stop_bits: Annotated[int, Meta(ge=1, le=2)] = 1
    port: Annotated[int, Meta(ge=1, le=65_535)] = 502
    timeout_s: Annotated[float, Meta(ge=0.01, le=60.0)] = 1.0
    turnaround_s: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.0
    max_words: Annotated[int, Meta(ge=1, le=125)] = 125
    max_bits: Annotated[int, Meta(ge=1, le=2000)] = 2000
    max_gap: Annotated[int, Meta(ge=0, le=125)] = 8


class Carrier(StrEnum):
    """What carries the bytes of a device that speaks by itself.

    We connect to a `tcp_client` device, a `tcp_server` device connects to us; with `mqtt` it publishes to a broker on
    the local network.
    """

    SERIAL = "serial"
    TCP_CLIENT = "tcp_client"
    TCP_SERVER = "tcp_server"
    UDP = "udp"
    MQTT = "mqtt"


class Language(StrEnum):
    """What a device that speaks by itself speaks.

    `grammar` is what the profile itself declares; `dc09` is SIA DC-09, `jt808` JT/T 808, `eb_wand` that of patrol
    wands with EB frames; `mqtt_json` is topics and JSON, as the profile maps them.
    """

    GRAMMAR = "grammar"
    DC09 = "dc09"
    JT808 = "jt808"
    EB_WAND = "eb_wand"
    MQTT_JSON = "mqtt_json"


class Speaks(Struct, frozen=True, forbid_unknown_fields=True):
    """How a device talks that speaks by itself.

    Attributes:
        language: what it speaks.
        carriers: what may carry it.
        baud, parity, stop_bits: factory serial settings.
        port: factory TCP or UDP port; None has none.
        frame, message: its grammar, for the language `grammar` and no other.
        topic: the topics it is heard on, for the language `mqtt_json` and no other.
    """

    language: Language
    carriers: tuple[Carrier, ...]
    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600
    parity: Parity = Parity.NONE
    stop_bits: Annotated[int, Meta(ge=1, le=2)] = 1
    port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    frame: Frame | None = None
    message: tuple[Message, ...] = ()
    topic: tuple[Topic, ...] = ()


class HeardKind(StrEnum):
    """What kind of value a heard point has."""

    NUMBER = "number"
    STATE = "state"
    WORD = "word"


class HeardDef(Struct, frozen=True, forbid_unknown_fields=True):
    """A point of a device that speaks by itself: nobody asks for it.

    Attributes:
        key, name, source, unit, range: as with a point that is read.
        kind: number, state or word.
    """

    key: Id
    name: Text
    kind: HeardKind
    source: str
    unit: str | None = None
    range: tuple[float, float] | None = None

    every_s: ClassVar[float] = 0.0  # nobody asks for it
    writable: ClassVar[bool] = False


AnyPoint = PointDef | HeardDef


class LocalAction(Struct, frozen=True, forbid_unknown_fields=True):
    """An output that is switched while an alarm stands, with or without an uplink.

    Attributes:
        point: a writable point.
        value: written when the alarm is raised or triggered again.
        device: whose point it is; None is the rule's own device. Only a site file may name another.
        reset_value: written when the alarm ends or `for_s` is over; None leaves the output as it is.
        for_s: longest time that the output stays switched.
    """

    point: Id
    value: float | bool | str
    device: Id | None = None
    reset_value: float | bool | str | None = None
    for_s: Span | None = None


class Polls(Struct, frozen=True, forbid_unknown_fields=True):
    """At least `seen` of the last `of` readings must be an alarm."""

    seen: Annotated[int, Meta(ge=1, le=64)]
    of: Annotated[int, Meta(ge=1, le=64)]


class _PointRule(Struct, frozen=True, forbid_unknown_fields=True, tag_field="rule"):
    """What every rule on points says.

    Attributes:
        key: id of the rule; source of the alarm is `<gateway>/<device>/<point>/<key>`.
        points: the points it watches, each on its own.
        alarm: kind of alarm: panic, tamper, smoke, fault, ...
        severity: how soon somebody must act.
        text: for people; `{label}` is replaced by the site's label of the point.
        latching: once raised it stands until it is reset.
        only_combined: says nothing by itself; it counts in combinations.
        action: an output that is switched while it stands.
    """

    key: Id
    points: tuple[Id, ...]
    alarm: Id
    severity: Severity
    text: Text
    latching: bool = False
    only_combined: bool = False
    action: LocalAction | None = None


class _DelayedRule(_PointRule, frozen=True):
    """A rule with delays: how long its condition must last, and how long be over, before that counts."""

    on_delay_s: Seconds = 0.0
    off_delay_s: Seconds = 0.0


class ContactRule(_DelayedRule, frozen=True, tag="contact"):
    """An alarm while a two-state point is at `alarm_when`; never delayed when panic or tamper.

    Attributes:
        alarm_when: the value that is the alarm.
        polls: how many of the last readings must be an alarm; None takes the last alone.
    """

    alarm_when: bool = True
    polls: Polls | None = None


class ThresholdRule(_DelayedRule, frozen=True, tag="threshold"):
    """An alarm while a number is above (or below) a limit, with deadband and delays.

    Attributes:
        above, below: exactly one of them; the limit itself is still normal.
        deadband: how far back past the limit the value must come before the alarm clears.
        polls: as with a contact.
    """

    above: float | None = None
    below: float | None = None
    deadband: Annotated[float, Meta(ge=0.0)] = 0.0
    polls: Polls | None = None


class RateRule(_DelayedRule, frozen=True, tag="rate", kw_only=True):
    """An alarm while a number has changed by more than so much within the last `within_s`.

    Attributes:
        rises, falls: exactly one of them; the change itself is still normal.
        within_s: the window, kept to a 64th of its length.
        deadband: by how much less the change must be before the alarm clears.
    """

    rises: Annotated[float, Meta(gt=0.0)] | None = None
    falls: Annotated[float, Meta(gt=0.0)] | None = None
    within_s: Span
    deadband: Annotated[float, Meta(ge=0.0)] = 0.0


class Flag(Struct, frozen=True, forbid_unknown_fields=True):
    """One bit with an alarm of its own; the rule of that alarm is `<key of the rule>.<key>`.

    Attributes:
        key: id of the flag.
        bit: which bit of the raw number, 0 the lowest.
        text: for people; stands in the rule's text for `{flag}`.
        alarm, severity: None takes the rule's.
    """

    key: Id
    bit: Annotated[int, Meta(ge=0, le=31)]
    text: Text
    alarm: Id | None = None
    severity: Severity | None = None


class BitsRule(_DelayedRule, frozen=True, tag="bits", kw_only=True):
    """Alarms from the bits of a raw number: one for each flag, or one for all bits of a mask together.

    Attributes:
        flag: bits that are alarms each on its own; else `mask`.
        mask: bits any of which is the alarm.
        alarm_when: whether a bit is an alarm while it is set or while it is clear.
    """

    flag: tuple[Flag, ...] = ()
    mask: Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)] | None = None
    alarm_when: bool = True


class StuckRule(_PointRule, frozen=True, tag="stuck", kw_only=True):
    """An alarm when readings keep coming and have not changed for `for_s`: a sensor that has died.

    Attributes:
        tolerance: a number that moves by no more than this counts as unchanged.
    """

    for_s: Span
    tolerance: Annotated[float, Meta(ge=0.0)] = 0.0


class MissingRule(_PointRule, frozen=True, tag="missing", kw_only=True):
    """An alarm when a point has given no reading for `for_s`, be its device mute or its value no value."""

    for_s: Span


class CombinationRule(Struct, frozen=True, forbid_unknown_fields=True, tag_field="rule", tag="combination"):
    """An alarm while all (or any) of several rules hold, or held at most `within_s` ago.

    In a profile and with a device a member is `<rule>` or `<point>/<rule>`; among a site's own rules it is
    `<device>/<rule>` or `<device>/<point>/<rule>`. A rule on several points holds when it does on one of them.

    Attributes:
        key, alarm, severity, text, latching, action: as with any rule; the point of the source is "combination".
        all_of, any_of: exactly one of them, the members.
        within_s: how long a member still counts after it has ended.
    """

    key: Id
    alarm: Id
    severity: Severity
    text: Text
    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    within_s: Seconds = 0.0
    latching: bool = False
    action: LocalAction | None = None

    @property
    def points(self) -> tuple[Id, ...]:
        """None: a combination watches rules."""
        return ()

    @property
    def members(self) -> tuple[str, ...]:
        """The rules it combines, as written."""
        return self.all_of or self.any_of


PointRule = ContactRule | ThresholdRule | RateRule | BitsRule | StuckRule | MissingRule
Rule = PointRule | CombinationRule

UNDELAYED_ALARMS = frozenset({"panic", "tamper"})
"""Kinds of alarm that nothing holds back: neither a delay, nor several polls, nor a rule that needs time to see."""


class Capture(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bytes from a manual or a real device and what they must give; never made by our encoder.

    A device that is asked has `framing`, `request` and `reply`; one that speaks by itself has `bytes` or `text`.

    Attributes:
        source: document and page, or device and date.
        framing: rtu (with CRC) or tcp (with MBAP header).
        request, reply: hexadecimal with spaces.
        readings: point key -> value; of a device that is asked, for every point inside the requested block.
        bytes, text: what it said, as hexadecimal or as it stands; exactly one of them.
        address, reports, sightings: what that means beside its readings.
        said_at: the device's own time of it, seconds UTC.
    """

    source: str
    framing: Transport | None = None
    request: str = ""
    reply: str = ""
    readings: dict[str, float | bool | str] = {}
    bytes: str = ""
    text: str = ""
    address: str = ""
    reports: tuple[ToldReport, ...] = ()
    sightings: tuple[ToldSighting, ...] = ()
    said_at: float | None = None


class Caveat(Struct, frozen=True, forbid_unknown_fields=True):
    """One quirk of the device: factual, one sentence, with where it can be checked again."""

    text: str
    source: str


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of device: it is asked (`link`, `point`), or speaks by itself (`speaks`, `heard`); never both.

    Attributes:
        profile: `<maker>/<model>`, the file's place in the catalogue without `.toml`.
        version: changes whenever a point, a rule or the link changes.
        kind: what it is for: panic-button, weather-station, smoke-detector, ...
        supervision_s: silence after which the device counts as lost.
        sources: documents everything is taken from.
        tested_on: real hardware it was tried on; empty says so honestly.
        block: stretches that it wants read in one piece.
        refused: stretches that it answers with an exception; no read touches them.
    """

    profile: str
    version: str
    maker: str
    model: str
    title: Text
    kind: Id
    sources: tuple[str, ...]
    link: Link = Link(transports=())
    point: tuple[PointDef, ...] = ()
    speaks: Speaks | None = None
    heard: tuple[HeardDef, ...] = ()
    supervision_s: Seconds = 60.0
    tested_on: tuple[str, ...] = ()
    block: tuple[BlockDef, ...] = ()
    refused: tuple[BlockDef, ...] = ()
    rule: tuple[Rule, ...] = ()
    capture: tuple[Capture, ...] = ()
    caveat: tuple[Caveat, ...] = ()

    @property
    def points(self) -> tuple[AnyPoint, ...]:
        """What it can give readings of, asked for or by itself."""
        return self.point or self.heard
