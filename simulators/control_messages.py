"""What the control channel says: one JSON object a line, in and out."""

from typing import Annotated

from msgspec import Meta, Struct

from simulators.bus import BusCounts
from simulators.device import Counts, Press
from simulators.faults import MAX_FLOOD_BYTES_S
from simulators.talking import TalkCounts

MAX_LINE_BYTES = 4096
"""Longest request line."""

Seconds = Annotated[float, Meta(ge=0.0, le=3600.0)]


class Ping(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="ping"):
    """Is anybody there."""


class Describe(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="describe"):
    """What is simulated, and what every point says now."""


class StatsOf(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="stats"):
    """What was heard and said."""


class Reset(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="reset"):
    """Begin all counts anew, and forget presses; the counting points' numbers go on."""


class PressesOf(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="presses"):
    """The presses and releases a device remembers."""

    device: str


class Push(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="press"):
    """Make a state true; with `for_s`, false again after that time unless it is pushed or released before."""

    device: str
    point: str
    for_s: Seconds | None = None


class Release(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="release"):
    """Make a state false."""

    device: str
    point: str


class SetValue(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="set"):
    """Hold a point at a value."""

    device: str
    point: str
    value: float | bool | str


class Auto(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="auto"):
    """Let a point move by itself again."""

    device: str
    point: str


class Mute(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="mute"):
    """Let a device answer nothing."""

    device: str


class Unmute(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="unmute"):
    """Let a device answer again."""

    device: str


class Delay(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="delay"):
    """Let a device on a serial line think about each request."""

    device: str
    s: Seconds


class Stick(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="stick"):
    """Hold a point at what it says now."""

    device: str
    point: str


class Spoil(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="spoil"):
    """Give a share of a device's answers on a serial line a wrong checksum from now on."""

    device: str
    rate: Annotated[float, Meta(ge=0.0, le=1.0)]


class Reboot(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="reboot"):
    """Restart a device; it answers nothing for `silent_s`."""

    device: str
    silent_s: Seconds = 1.0


class SetClock(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="clock"):
    """Set the clock of a device that tells time wrong, by so many seconds."""

    device: str
    off_s: Annotated[float, Meta(ge=-1e9, le=1e9)]


class MakeFlood(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="flood"):
    """Send random bytes on a serial line, so many a second for so long."""

    bus: str
    bytes_s: Annotated[float, Meta(gt=0.0, le=MAX_FLOOD_BYTES_S)]
    for_s: Seconds


class MakeNoise(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="noise"):
    """Disturb a share of a serial line's answers from now on, or send random bytes now, or both."""

    bus: str
    rate: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    now: Annotated[int, Meta(ge=1, le=256)] | None = None


class Unplug(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="unplug"):
    """Take a bus away."""

    bus: str


class Plug(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="plug"):
    """Bring a bus back."""

    bus: str


DeviceFault = Stick | Mute | Unmute | Delay | Spoil | Reboot | SetClock
DeviceOp = Push | Release | SetValue | Auto | PressesOf | DeviceFault
BusOp = MakeNoise | MakeFlood | Unplug | Plug
Op = Ping | Describe | StatsOf | Reset | DeviceOp | BusOp


class Failed(Struct, frozen=True):
    """The request was not done; the text says what to do."""

    error: str


class Done(Struct, frozen=True):
    """The request was done."""

    ok: bool = True


class Changed(Struct, frozen=True):
    """A value was changed, at this wall time in microseconds UTC."""

    at_us: int
    ok: bool = True


class Presses(Struct, frozen=True):
    """Presses and releases, oldest first."""

    presses: tuple[Press, ...]
    ok: bool = True


class DeviceStats(Struct, frozen=True):
    """One device.

    Attributes:
        number: numbers its counting point has given so far, resets or not; None without a counting point.
        counts: since the start or the last reset.
    """

    bus: str
    unit: int
    mute: bool
    number: int | None
    counts: Counts


class TalkerStats(Struct, frozen=True):
    """One device that speaks by itself; counts since the start or the last reset."""

    bus: str
    mute: bool
    counts: TalkCounts


class BusStats(Struct, frozen=True):
    """One bus."""

    kind: str
    plugged: bool
    counts: BusCounts


class Totals(Struct, frozen=True):
    """Sums over all devices; `readings` over all their points."""

    requests: int
    answers: int
    readings: int


class Stats(Struct, frozen=True):
    """Everything counted in the last `elapsed_s` seconds: since the start or the last reset."""

    elapsed_s: float
    totals: Totals
    devices: dict[str, DeviceStats]
    buses: dict[str, BusStats]
    talkers: dict[str, TalkerStats] = {}
    ok: bool = True


class PointInfo(Struct, frozen=True):
    """One point and what it says now; None is no reading."""

    key: str
    kind: str
    unit: str | None
    writable: bool
    value: float | bool | str | None


class DeviceInfo(Struct, frozen=True):
    """One device; one that speaks by itself has an address for a unit, and nobody knows what its points say."""

    id: str
    bus: str
    unit: int
    profile: str
    name: str
    mute: bool
    points: tuple[PointInfo, ...]
    address: str = ""


class BusInfo(Struct, frozen=True):
    """One bus; `where` is what the gateway opens: a path, or host:port."""

    id: str
    kind: str
    where: str
    plugged: bool


class Description(Struct, frozen=True):
    """The simulated site."""

    gateway: str
    site: str
    buses: tuple[BusInfo, ...]
    devices: tuple[DeviceInfo, ...]
    ok: bool = True


Reply = Failed | Done | Changed | Presses | Stats | Description
