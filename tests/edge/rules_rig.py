"""A judge in virtual time: readings at seconds, and the clock in between."""

from collections.abc import Mapping, Sequence

from contract.alarms import AlarmEvent, Mode
from contract.telemetry import Point, Sample, Value
from device_profiles.model import CombinationRule, Link, PointDef, PointType, Profile, Rule, Table, Transport
from device_profiles.site import Device, Drill, PlacedDevice
from edge.rules import Action, Judge, Judged, ModeState, Standing, read_standings

TEXT = {"en": "alarm at {label}", "zh": "{label}报警"}
# The computer has been running for some hours.
BOOT_US = 20_000_000_000
POINTS = ("t", "b", "c", "w", "siren")


def at_us(at_s: float) -> int:
    return BOOT_US + round(at_s * 1e6)


def placed(name: str, rules: Sequence[Rule], *, every_s: float = 1.0, **wishes: object) -> PlacedDevice:
    points = tuple(
        PointDef(key=key, name=TEXT, table=Table.INPUT, address=at, type=PointType.U16, source="test", every_s=every_s)
        for at, key in enumerate(POINTS)
    )
    profile = Profile(
        profile="test/test", version="1", maker="t", model="t", title=TEXT, kind="test", sources=("test",),
        link=Link((Transport.RTU,)), point=points, rule=tuple(rules),
    )  # fmt: skip
    return PlacedDevice(Device(name, "bus", "test/test", **wishes), profile, 1)  # type: ignore[arg-type]


class Rig:
    """A judge of the gateway "g"; by default all rules belong to device "d".

    Attributes:
        kept: the standings as an outbox would have them.
        events, actions: all so far.
    """

    def __init__(
        self,
        *rules: Rule,
        devices: Mapping[str, Sequence[Rule]] | None = None,
        site: Sequence[CombinationRule] = (),
        drills: Sequence[Drill] = (),
        kept: Mapping[str, bytes] | None = None,
        modes: ModeState | None = None,
        at_s: float = 0.0,
    ) -> None:
        self.kept: dict[str, bytes] = dict(kept or {})
        self.events: list[AlarmEvent] = []
        self.actions: list[Action] = []
        self.judge = Judge(
            "g", [placed(name, own) for name, own in (devices or {"d": rules}).items()],
            active=read_standings(self.kept), rules=site, drills=drills, modes=modes, now=at_s, at_us=at_us(at_s),
        )  # fmt: skip
        if kept is None:
            # The first start of all puts every output back, which is no news.
            self.wait(at_s)
            self.actions.clear()

    def hear(self, at_s: float, value: Value, key: str = "b", device: str = "d") -> list[str]:
        """A reading, after the clock has come to it."""
        before = self.wait(at_s)
        sample = Sample(device, at_us(at_s), (Point(key, value),))
        return before + self.take(self.judge.feed(sample, at_s))

    def wait(self, at_s: float, *, wall_us: int | None = None) -> list[str]:
        """Let the clock come to `at_s`, ticking exactly when the judge asks for it."""
        said: list[str] = []
        while (due := self.judge.next_at()) is not None and due <= at_s:
            wall = None if wall_us is None else wall_us + round((due - at_s) * 1e6)
            said += self.take(self.judge.tick(due, at_us(due), wall_us=wall))
            following = self.judge.next_at()
            assert following is None or following > due, "asks for the same moment for ever"
        return said

    def set_mode(
        self, at_s: float, mode: Mode, until_s: float = 0.0, devices: Sequence[str] | None = None
    ) -> list[str]:
        before = self.wait(at_s)
        return before + self.take(self.judge.set_mode(mode, devices, until_s, now=at_s, at_us=at_us(at_s)))

    def reset(self, at_s: float, source: str = "g/d/b/panic") -> list[str]:
        before = self.wait(at_s)
        return before + self.take(self.judge.reset(source, at_s, at_us(at_s)))

    def take(self, judged: Judged) -> list[str]:
        """Keep what was judged; say it in words: `<rule> <transition>`, and the mode unless live."""
        for source, standing in judged.standing:
            if standing is None:
                self.kept.pop(source, None)
            else:
                self.kept[source] = standing
        self.events += judged.events
        self.actions += judged.actions
        return [
            f"{event.rule} {event.transition.value}{'' if event.mode is Mode.LIVE else f' {event.mode.value}'}"
            for event in judged.events
        ]

    def outputs(self) -> list[tuple[str, Value]]:
        """What was written so far, and forget it."""
        written = [(f"{action.device}/{action.point}", action.value) for action in self.actions]
        self.actions.clear()
        return written

    def standing(self) -> dict[str, Standing]:
        """What the outbox would give back after a restart."""
        return read_standings(self.kept)
