"""A presence in virtual time: sightings at seconds, and the clock in between."""

from collections.abc import Mapping, Sequence

from contract.tags import TagOrder
from contract.telemetry import Sample, Value
from device_profiles.model import Carrier, Language, Profile, Speaks
from device_profiles.site import Device, PlacedDevice, PresenceSettings, Station
from device_profiles.speech.said import Report, Sighting
from edge.presence import Found, Kept, Presence
from edge.presence.arming import Armed

BIKE, OWNER = "CCB97E7361A4", "EAC653D3AA8E"
# Two readers of one station, and two that stand alone.
NORTH = Station(("north-1", "north-2"), "North gate")
READERS = ("north-1", "north-2", "south", "east")
BOOT_US = 20_000_000_000
# Thursday, 1 January 2026, 00:00 UTC.
MIDNIGHT_US = 1_767_225_600_000_000


def at_us(at_s: float) -> int:
    return BOOT_US + round(at_s * 1e6)


def reader(name: str) -> PlacedDevice:
    text = {"en": "reader", "zh": "读写器"}
    profile = Profile(
        profile="test/reader", version="1", maker="t", model="t", title=text, kind="test", sources=("test",),
        speaks=Speaks(Language.GRAMMAR, (Carrier.TCP_SERVER,)),
    )  # fmt: skip
    return PlacedDevice(Device(name, "bus", "test/reader"), profile, 1)


class Rig:
    """A presence with stations north, south and east.

    Attributes:
        armed, stolen: what a file would have kept.
        samples, reports: all so far.
    """

    def __init__(self, *, kept: Kept | None = None, at_s: float = 0.0, wall: bool = False, **settings: object) -> None:
        settings.setdefault("station", (NORTH,))
        self.armed: dict[str, Armed] = dict(kept.armed) if kept else {}
        self.stolen: tuple[int, Mapping[str, str]] = (kept.version, kept.stolen) if kept else (0, {})
        self.samples: list[Sample] = []
        self.reports: list[tuple[str, Report]] = []
        self._wall = wall
        self._deaf: set[str] = set()
        self.presence = Presence(
            PresenceSettings(**settings), [reader(name) for name in READERS], now=at_s, kept=kept  # type: ignore[arg-type]
        )  # fmt: skip
        if wall:
            self._take(self.presence.tick(at_s, at_us(at_s), wall_us=self._wall_us(at_s)))

    def see(
        self, at_s: float, name: str = "south", tag: str = BIKE, rssi: float | None = -60.0, *,
        moving: bool | None = None, pressed: bool | None = None, volts: float | None = None, low: bool | None = None,
    ) -> list[str]:  # fmt: skip
        """A sighting, after the clock has come to it."""
        before = self.wait(at_s)
        sighting = Sighting(
            tag=tag, rssi=rssi, is_moving=moving, is_pressed=pressed, battery_v=volts, is_low=low
        )  # fmt: skip
        return before + self._take(self.presence.seen(name, sighting, at_s, at_us(at_s)))

    def wait(self, at_s: float) -> list[str]:
        """Let the clock come to `at_s`, ticking exactly when presence asks for it."""
        said: list[str] = []
        asked = 0
        while (due := self.presence.next_at()) is not None and due <= at_s:
            due = max(due, 0.0)
            said += self._take(self.presence.tick(due, at_us(due), wall_us=self._wall_us(due)))
            asked += 1
            assert asked < 100_000, "asks for ever"
        return said

    def stay(self, name: str, start: float, end: float, *, tags: Sequence[str] = (BIKE,), every_s: float = 2.0,
             rssi: float = -60.0) -> list[str]:  # fmt: skip
        """Tags beacon from `start` until before `end`."""
        said: list[str] = []
        at = start
        while at < end:
            for tag in tags:
                said += self.see(at, name, tag, rssi)
            at += every_s
        return said

    def order(self, at_s: float, order: TagOrder) -> tuple[list[str], float]:
        before = self.wait(at_s)
        found, value = self.presence.order(order, at_s, at_us(at_s))
        return before + self._take(found), value

    def restarted(self, at_s: float, **settings: object) -> "Rig":
        """What comes up after this one has ended."""
        kept = Kept(self.armed, self.stolen[0], self.stolen[1])
        return Rig(kept=kept, at_s=at_s, **{"wall": self._wall, **settings})  # type: ignore[arg-type]

    def values(self) -> dict[str, Value]:
        """The points of the newest sample."""
        return {point.key: point.value for point in self.samples[-1].points}

    def _wall_us(self, at_s: float) -> int | None:
        return MIDNIGHT_US + round(at_s * 1e6) if self._wall else None

    def _take(self, found: Found) -> list[str]:
        """Keep what changed; say in words: `<word> <device>`, `<rule>! <device>` for an alarm, a stop for its end."""
        changes = self.presence.take_changes()
        if changes is not None:
            for tag, state in changes.armed.items():
                if state is None:
                    self.armed.pop(tag, None)
                else:
                    self.armed[tag] = state
            self.stolen = changes.stolen or self.stolen
        self.samples += found.samples
        # That a station is not deaf is said at its first sign of life too; here it is news only after it was.
        reports = [one for one in found.reports if one[1].rule != "deaf" or one[1].is_on or one[0] in self._deaf]
        self._deaf |= {device for device, report in reports if report.rule == "deaf"}
        self.reports += reports
        return [f"{sample.points[1].value} {sample.device}" for sample in found.samples] + [
            f"{report.rule}{'!' if report.is_on else '.'} {device}" for device, report in reports
        ]
