"""The words that all conversations share: what was understood, and what is to be sent. Pure."""

from typing import Protocol

from msgspec import Struct

from contract.alarms import Severity
from contract.ids import Id
from contract.telemetry import Value
from device_profiles.model import Text


class Report(Struct, frozen=True, kw_only=True):
    """An alarm, its end, or a press, as the device itself says it.

    Attributes:
        point: where it comes from, of the device: "zone-007", "host", "tag-CCB97E7361A4".
        rule: with gateway, device and point the source of the alarm: "e120", "theft".
        kind: kind of alarm: panic, tamper, smoke, fault, ...
        severity: how soon somebody must act.
        text: for people; `{label}` is replaced by the site's label of the point.
        is_on: it begins (or is said again); false ends it.
        ends_after_s: it ends by itself after so long without being said again; None: only when the device says so.
        value: what it was told with, if anything.
    """

    point: Id
    rule: Id
    kind: Id
    severity: Severity
    text: Text
    is_on: bool = True
    ends_after_s: float | None = None
    value: Value | None = None


class Sighting(Struct, frozen=True, kw_only=True):
    """A tag was heard by a reader; None is what it did not say.

    Attributes:
        tag: as the maker writes it, in capitals.
        rssi: dBm.
        is_moving, is_pressed: its motion bit, its button.
        battery_v: its battery's voltage.
        is_low: it says itself that its battery is low.
    """

    tag: Id
    rssi: float | None = None
    is_moving: bool | None = None
    is_pressed: bool | None = None
    battery_v: float | None = None
    is_low: bool | None = None


class Heard(Struct, frozen=True, kw_only=True):
    """One thing that one device said.

    Attributes:
        address: who said it, as the line calls it: account, phone number, reader, radio code; "" where nobody is named.
        values: readings, by point key of its profile.
        reports: alarms it raises or ends by itself.
        sightings: tags that it has heard.
        at_us: its own time of it, microseconds UTC; None is now.
    """

    address: str = ""
    values: tuple[tuple[str, Value], ...] = ()
    reports: tuple[Report, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    at_us: int | None = None


class Said(Struct, frozen=True, kw_only=True):
    """What one step of a conversation brought.

    Attributes:
        heard: what was understood, in its order.
        send: bytes to send at once.
        token: set when the other side waits until all of `heard` is on the disk: then `kept` is called with it.
        refused: why something was not understood or not accepted; "" when all was well. It is counted and logged.
        is_staff_told: the reason is one the staff should know (a wrong key, a replayed sequence): one event for them.
        hang_up: close the connection after sending.
    """

    heard: tuple[Heard, ...] = ()
    send: bytes = b""
    token: int | None = None
    refused: str = ""
    is_staff_told: bool = False
    hang_up: bool = False


class Moment(Struct, frozen=True):
    """When it is: `now` in monotonic seconds; `wall_us` microseconds UTC, None while nobody has told the time."""

    now: float
    wall_us: int | None = None


class Speech(Protocol):
    """A conversation on one line or connection. Bytes may come whole, one by one, or several messages at once.

    It never raises whatever comes, keeps no more than a few kilobytes, and finds the next good message after noise.
    """

    def open(self, moment: Moment) -> list[Said]:
        """Begin: the line is open, or the device has connected."""

    def hear(self, data: bytes, moment: Moment) -> list[Said]:
        """Take what came."""

    def kept(self, token: int, moment: Moment) -> list[Said]:
        """Learn that what came with `token` is on the disk: now it may be acknowledged."""

    def tick(self, moment: Moment) -> list[Said]:
        """Look at the clock; called at `next_at`, and as often besides as one likes."""

    def next_at(self) -> float | None:
        """Tell when `tick` wants to be called, monotonic seconds; None: only bytes change anything."""


class Speaker(Struct, frozen=True, kw_only=True):
    """A device that may speak on the line.

    Attributes:
        address: as the site file has it; "" when it is the only one.
        secret: its key, if it has one; never logged.
    """

    device: Id
    address: str = ""
    secret: bytes = b""

    def __repr__(self) -> str:
        """Say everything but the key: it must stand in no log and in no trace."""
        return f"Speaker(device={self.device!r}, address={self.address!r}, secret={'...' if self.secret else None})"
