"""The model of a scenario file: everything that may stand in it."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from contract.alarms import Mode
from contract.ids import Id
from contract.tags import Note, Tag
from simulators.faults import MAX_FLOOD_BYTES_S
from simulators.scenario.expecting import MAX_LENGTH_S, Expectation, Name
from simulators.signals.fire import Fire
from simulators.signals.moving import Patrol, TagRide
from simulators.signals.plain import Constant, Counter, DayCurve, Walk
from simulators.signals.signal import Place
from simulators.signals.weather import Weather

Length = Annotated[float, Meta(gt=0.0, le=MAX_LENGTH_S)]
Seconds = Annotated[float, Meta(ge=0.0, le=MAX_LENGTH_S)]
Rate = Annotated[float, Meta(ge=0.0, le=1.0)]
Text = dict[str, str]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)?$")]
"""A file in the folder of the run, or in one folder there."""
Words = tuple[str, ...]
"""Of a command, after `langyan`; at most `MAX_WORDS`."""
MAX_WORDS = 50

SignalDef = Constant | DayCurve | Walk | Counter | Weather | Fire | TagRide | Patrol


class Head(Struct, frozen=True, forbid_unknown_fields=True):
    """What the scenario is.

    Attributes:
        name: in reports.
        title: one sentence for people, by language.
        length_s: how long it lasts, seconds of the clock.
        seed: another one makes another weather, other noise.
        begins: time of day at which the story begins, as in "07:30".
        speed: the story's time runs so many times faster than the clock: signals, and times of day in `t`.
        stored: InfluxDB, ingest and the alarm desk run too, and what is expected is looked for in the databases.
        trades: the trades and the API run too; implies `stored`.
    """

    name: Id
    length_s: Length
    title: Text = {}
    seed: Annotated[int, Meta(ge=0, le=2**32)] = 1
    begins: str = "00:00"
    speed: Annotated[float, Meta(gt=0.0, le=100_000.0)] = 1.0
    stored: bool = False
    trades: bool = False

    @property
    def is_stored(self) -> bool:
        """Whether there is a cloud with databases."""
        return self.stored or self.trades


class FileRef(Struct, frozen=True, forbid_unknown_fields=True):
    """A file that commands read, in the folder in which they run; exactly one of `text` and `file`.

    Attributes:
        name: what it is called there.
        text: what it says.
        file: a file beside the scenario that says it.
    """

    name: FileName
    text: str | None = None
    file: str | None = None


class Prepare(Struct, frozen=True, forbid_unknown_fields=True):
    """A command that is done before the story begins.

    Attributes:
        words: what follows `langyan`.
    """

    words: Words


class SiteRef(Struct, frozen=True, forbid_unknown_fields=True):
    """One site with its gateway; exactly one of `file` and `toml`.

    Attributes:
        file: a site file, relative to the scenario; that of a real site will do.
        toml: a site file, written here.
        gateway: run it under this id instead of its own: one file may stand for several sites.
    """

    file: str | None = None
    toml: str | None = None
    gateway: Id | None = None


class Drive(Struct, frozen=True, forbid_unknown_fields=True):
    """A device follows a signal.

    Attributes:
        device: which.
        signal: id of the signal.
        point: which of its points; None: every point that has the name of a part.
        part: which part of the signal; None: the one there is, or the one of the point's name.
        at_m: where the device stands, metres east and north.
    """

    device: Name
    signal: Id
    point: Id | None = None
    part: Id | None = None
    at_m: Place = (0.0, 0.0)


class _Action(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", kw_only=True):
    """Something that happens.

    Attributes:
        t: when: seconds of the clock since the scenario began, or a time of day of the story, as in "08:15".
        id: by which an expectation names it.
    """

    t: float | str
    id: Id | None = None


class Mark(_Action, frozen=True, tag="mark"):
    """Nothing: a moment that expectations name, where a signal does what is to come."""


class _Lasting(_Action, frozen=True, kw_only=True):
    """Something that lasts: `for_s` seconds of the clock; None: to the end."""

    for_s: Seconds | None = None


class Press(_Lasting, frozen=True, tag="press", kw_only=True):
    """A button is pressed, or any state made true."""

    device: Name
    point: Id


class SetTo(_Lasting, frozen=True, tag="set", kw_only=True):
    """A point is held at a value."""

    device: Name
    point: Id
    value: float | bool | str


class Mute(_Lasting, frozen=True, tag="mute", kw_only=True):
    """A device answers nothing."""

    device: Name


class Slow(_Lasting, frozen=True, tag="slow", kw_only=True):
    """A device thinks `delay_s` about each request (serial lines)."""

    device: Name
    delay_s: Seconds


class Stick(_Lasting, frozen=True, tag="stick", kw_only=True):
    """A point stays at what it says."""

    device: Name
    point: Id


class WrongCrc(_Lasting, frozen=True, tag="wrong-crc", kw_only=True):
    """A share of a device's answers has a wrong checksum (serial lines)."""

    device: Name
    rate: Rate = 1.0


class Reboot(_Action, frozen=True, tag="reboot", kw_only=True):
    """A device restarts and says nothing for `silent_s`."""

    device: Name
    silent_s: Seconds = 1.0


class WrongClock(_Lasting, frozen=True, tag="clock", kw_only=True):
    """The clock of a device that speaks by itself is `off_s` ahead (negative: behind)."""

    device: Name
    off_s: Annotated[float, Meta(ge=-1e9, le=1e9)]


class Noise(_Lasting, frozen=True, tag="noise", kw_only=True):
    """A share of the answers on a serial line is disturbed."""

    bus: Name
    rate: Rate


class Flood(_Action, frozen=True, tag="flood", kw_only=True):
    """Random bytes come on a serial line."""

    bus: Name
    for_s: Seconds
    bytes_s: Annotated[float, Meta(gt=0.0, le=MAX_FLOOD_BYTES_S)] = 1000.0


class Unplug(_Lasting, frozen=True, tag="unplug", kw_only=True):
    """A bus is pulled out."""

    bus: Name


class BrokerAway(_Lasting, frozen=True, tag="broker-away", kw_only=True):
    """The broker is killed."""


class CloudAway(_Lasting, frozen=True, tag="cloud-away", kw_only=True):
    """Nobody in the cloud hears or answers; the broker is there."""


class PowerCut(_Lasting, frozen=True, tag="power-cut", kw_only=True):
    """A gateway's process is killed (SIGKILL), as a power cut does; None: the only one."""

    gateway: Id | None = None


class SetMode(_Lasting, frozen=True, tag="mode", kw_only=True):
    """A gateway is put into test or drill; None: the only gateway, all devices."""

    mode: Mode
    gateway: Id | None = None
    devices: tuple[Id, ...] | None = None


class Arm(_Action, frozen=True, tag="arm", kw_only=True):
    """The cloud arms tags: one that moves now is being stolen; `owner` is the tag of whoever may move them."""

    tags: tuple[Tag, ...]
    owner: Tag | None = None
    gateway: Id | None = None


class Disarm(_Action, frozen=True, tag="disarm", kw_only=True):
    """The cloud disarms tags."""

    tags: tuple[Tag, ...]
    gateway: Id | None = None


class Stolen(_Action, frozen=True, tag="stolen", kw_only=True):
    """The cloud sends a new list of stolen tags, with a note each; None: to every gateway."""

    tags: dict[Tag, Note]
    gateway: Id | None = None


class Command(_Action, frozen=True, tag="langyan", kw_only=True):
    """Somebody gives a command; the story goes on while it is done.

    Attributes:
        words: what follows `langyan`.
        fails: it is refused, and must be.
    """

    words: Words
    fails: bool = False


DeviceAction = Press | SetTo | Mute | Slow | Stick | WrongCrc | Reboot | WrongClock
TagAction = Arm | Disarm | Stolen
BusAction = Noise | Flood | Unplug
Action = DeviceAction | BusAction | BrokerAway | CloudAway | PowerCut | SetMode | TagAction | Command | Mark


class ScenarioFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The file as written.

    Attributes:
        cloud: settings of the cloud beside those of the run, as in its settings file.
    """

    scenario: Head
    site: tuple[SiteRef, ...]
    expect: tuple[Expectation, ...]
    signal: tuple[SignalDef, ...] = ()
    drive: tuple[Drive, ...] = ()
    cloud: dict[str, Any] = {}
    file: tuple[FileRef, ...] = ()
    prepare: tuple[Prepare, ...] = ()
    at: tuple[Action, ...] = ()
