"""Push buses on real sockets with a small language of lines, a keeper and an outbox behind them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio

from contract.alarms import AlarmEvent, Severity, decode_alarm
from contract.telemetry import Sample
from device_profiles.model import Carrier, HeardDef, HeardKind, Language, Profile, Speaks
from device_profiles.site import Device, PlacedDevice
from device_profiles.speech.said import Heard, Moment, Report, Said, Speech
from edge.health import BusHealth, PushHealth, StoreHealth
from edge.keeper import Keeper
from edge.outbox import Outbox
from edge.push.bus import PushBus
from edge.push.intake import Intake
from edge.rules import Judge
from edge.store import Store
from edge.supervision import Supervisor
from tests.edge.outbox_rig import Machine, events_in, open_outbox, samples_in, telemetry

TEXT = {"en": "x", "zh": "x"}
MAX_LINE_BYTES = 200


class LineSpeech:
    """Lines: `<address> <word>...`; `t=21.5` a reading, `!zone` an alarm, `~zone` its end, `?7` wants an answer to 7.

    `@us` is the device's time, `bad` is refused, `wrong-key` is one for the staff, `bye` hangs up, `hi` is greeted.
    """

    def __init__(self) -> None:
        self._rest = b""

    def open(self, moment: Moment) -> list[Said]:
        del moment
        return []

    def hear(self, data: bytes, moment: Moment) -> list[Said]:
        del moment
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-MAX_LINE_BYTES:]
        return [self._line(line.decode("latin-1")) for line in lines]

    def kept(self, token: int, moment: Moment) -> list[Said]:
        del moment
        return [Said(send=b"ok %d\n" % token)]

    def tick(self, moment: Moment) -> list[Said]:
        del moment
        return []

    def next_at(self) -> float | None:
        return None

    def _line(self, line: str) -> Said:
        try:
            return self._read(line)
        except (ValueError, IndexError):
            return Said(refused="no such word")

    def _read(self, line: str) -> Said:
        address, *words = line.split(" ")
        if not words or words == ["bad"]:
            return Said(refused="no such word")
        if words == ["wrong-key"]:
            return Said(heard=(Heard(address=address),), refused="wrong key", is_staff_told=True)
        if words == ["bye"]:
            return Said(hang_up=True, send=b"bye\n")
        values, reports, token, at_us = [], [], None, None
        for word in words:
            key, _, number = word.partition("=")
            if word[0] in "!~":
                reports.append(report(word[1:], is_on=word[0] == "!"))
            elif word[0] == "?":
                token = int(word[1:])
            elif word[0] == "@":
                at_us = int(word[1:])
            elif number:
                values.append((key, float(number)))
        heard = Heard(address=address, values=tuple(values), reports=tuple(reports), at_us=at_us)
        return Said(heard=(heard,), token=token, send=b"hello\n" if "hi" in words else b"")


def report(point: str, *, is_on: bool = True) -> Report:
    return Report(point=point, rule="e120", kind="panic", severity=Severity.CRITICAL, text=TEXT, is_on=is_on)


def place(name: str, address: str | None = None, *, supervision_s: float = 0.0, bus: str = "line") -> PlacedDevice:
    heard = HeardDef(key="t", name=TEXT, kind=HeardKind.NUMBER, source="test", unit="Cel", range=(-40.0, 80.0))
    profile = Profile(
        profile="test/test", version="1", maker="t", model="t", title=TEXT, kind="test", sources=("test",),
        speaks=Speaks(Language.GRAMMAR, tuple(Carrier)), heard=(heard,), supervision_s=supervision_s,
    )  # fmt: skip
    return PlacedDevice(Device(name, bus, "test/test", address=name if address is None else address), profile, 1)


class Scene:
    """A push bus and everything behind it."""

    def __init__(self, outbox: Outbox, devices: Sequence[PlacedDevice]) -> None:
        self.outbox = outbox
        self.health = BusHealth()
        self.push = PushHealth()
        self.noted: list[AlarmEvent] = []
        now = anyio.current_time()
        self.store = Store(outbox, health=StoreHealth(), sync_s=60.0)
        self.keeper = Keeper(
            self.store, Judge("g", devices, active={}, now=now), commit_s=0.05, act=lambda _: None,
            noted=self.noted.append, health=StoreHealth(),
        )  # fmt: skip
        self.supervisor = Supervisor("g", devices, now)
        self.intake = Intake(
            "line", devices, keeper=self.keeper, clock=outbox.clock, watch=self.supervisor, presence=None,
            health=self.health,
        )  # fmt: skip
        assert self.health.push is not None
        self.push = self.health.push

    def parts(self, make_speech: Callable[[], Speech] = LineSpeech) -> dict[str, Any]:
        """What a `PushBus` is wired to."""
        return {
            "intake": self.intake, "make_speech": make_speech, "wall_us": self.outbox.clock.now_us,
            "watch": self.supervisor, "health": self.health,
        }  # fmt: skip

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(20.0):
            while not condition():  # noqa: ASYNC110 - counters ring no bell
                await anyio.sleep(0.005)

    def samples(self) -> list[Sample]:
        return samples_in(telemetry(self.outbox))

    def events(self) -> list[AlarmEvent]:
        return events_in(self.outbox)


def play(
    folder: Path,
    devices: Sequence[PlacedDevice],
    make_bus: Callable[[Scene], PushBus],
    story: Callable[[Scene], Any],
) -> Scene:
    """Run a bus and its keeper while a story goes on; returns the scene when all is on the disk."""
    found: list[Scene] = []

    async def main() -> None:
        with open_outbox(folder, Machine()) as outbox:
            scene = Scene(outbox, devices)
            found.append(scene)
            async with anyio.create_task_group() as keeping:
                keeping.start_soon(scene.keeper.run)
                async with anyio.create_task_group() as buses:
                    buses.start_soon(make_bus(scene).run)
                    await story(scene)
                    buses.cancel_scope.cancel()
                scene.keeper.close()

    anyio.run(main)
    return found[0]


@contextmanager
def reopened(folder: Path) -> Iterator[Outbox]:
    """What is on the disk."""
    with open_outbox(folder, Machine()) as outbox:
        yield outbox


def kept_events(folder: Path) -> list[AlarmEvent]:
    with reopened(folder) as outbox:
        return [decode_alarm(batch.payload, gateway="g") for batch in outbox.next_alarms(after=0, limit=10_000)]


def kept_samples(folder: Path) -> list[Sample]:
    with reopened(folder) as outbox:
        return samples_in(telemetry(outbox))
