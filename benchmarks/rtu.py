"""A serial line at 9 600 baud: how much of what the wire allows is used, and what mute and late units cost the others.

The line is a pseudo-terminal with the timing of the wire (`langyan sim devices`). It counts requests that come before
the silence of 3.5 characters is over.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from functools import partial

from msgspec import Struct

from benchmarks.rig import Rig, open_rig, pause
from benchmarks.sites import BenchDevice, Line, write_site
from langyan.servers import Langyan, free_port
from simulators.control_client import Control, ControlError
from simulators.control_messages import Stats

UNITS = 8
BAUD = 9_600
# Request of 8 characters, answer of 45, a silence of 3.5 before each, 11 bits a character: 68.75 ms.
LIMIT_PER_S = BAUD / 11 / (8 + 3.5 + 45 + 3.5)
TIMEOUT_S = 1.0
LATE_BY_S = 0.05
WARM_S = 8.0
SECONDS = 40.0
BUS = "bus-0"


class Efficiency(Struct, frozen=True):
    """Block reads of 20 registers, 8 units, polled faster than the wire carries.

    Attributes:
        limit_per_s: what the wire carries.
        broken_silences: requests that came too early.
    """

    reads_per_s: float
    limit_per_s: float
    share: float
    broken_silences: int


class Live(Struct, frozen=True):
    """Units polled every second with a timeout of 1 s, some of them out of order from the start.

    Attributes:
        faulty: how many are mute, or late.
        live_share: reads of the others, over one a second each.
        slowest_share: of the slowest of them.
        asked: requests to the faulty ones.
        broken_silences: requests that came too early.
    """

    faulty: int
    live_share: float
    slowest_share: float
    asked: int
    broken_silences: int


class MuteUnits(Struct, frozen=True):
    """One mute unit of 8, three of 8, and one that answers 50 ms after its timeout."""

    one_mute: Live
    three_mute: Live
    one_late: Live


def measure_efficiency() -> Efficiency:
    """Poll every 400 ms what takes 550 ms on the wire."""
    with _line(every_s=0.4) as (_, control):
        stats = _count(control)
    reads = stats.totals.answers / stats.elapsed_s
    return Efficiency(
        reads_per_s=round(reads, 3),
        limit_per_s=round(LIMIT_PER_S, 3),
        share=round(reads / LIMIT_PER_S, 4),
        broken_silences=stats.buses[BUS].counts.early,
    )


def measure_mute_units() -> MuteUnits:
    """Measure the three cases."""
    return MuteUnits(one_mute=_live([3]), three_mute=_live([2, 4, 6]), one_late=_live([3], late=True))


def _live(faulty: Sequence[int], *, late: bool = False) -> Live:
    names = {f"dev{unit}" for unit in faulty}
    with _line(every_s=1.0, faulty=names, late=late) as (_, control):
        stats = _count(control)
    live = [device.counts.answers / stats.elapsed_s for name, device in stats.devices.items() if name not in names]
    asked = sum(stats.devices[name].counts.requests + stats.devices[name].counts.ignored for name in names)
    return Live(
        faulty=len(faulty),
        live_share=round(sum(live) / len(live), 4),
        slowest_share=round(min(live), 4),
        asked=asked,
        broken_silences=stats.buses[BUS].counts.early,
    )


def _count(control: Control) -> Stats:
    pause(WARM_S)
    control.reset()
    pause(SECONDS)
    return control.stats()


@contextlib.contextmanager
def _line(*, every_s: float, faulty: Collection[str] = (), late: bool = False) -> Iterator[tuple[Rig, Control]]:
    with open_rig(units=1) as rig, contextlib.ExitStack() as parts:
        line = Line(port="line.tty", baud=BAUD)
        devices = [
            BenchDevice(f"dev{unit}", line, unit, every_s, inputs=0, timeout_s=TIMEOUT_S)
            for unit in range(1, UNITS + 1)
        ]
        control = parts.enter_context(simulated(rig, devices))
        for device in faulty:
            if late:
                control.delay(device, TIMEOUT_S + LATE_BY_S)
            else:
                control.mute(device)
        rig.start_gateway(devices)
        rig.wait_for_all([device for device in devices if device.id not in faulty])
        yield rig, control


@contextlib.contextmanager
def simulated(rig: Rig, devices: Sequence[BenchDevice]) -> Iterator[Control]:
    """Simulate the devices of a site in a process of its own, for as long as the context lasts."""
    folder = rig.folder / "simulated"
    folder.mkdir()
    site, profiles = write_site(rig.folder, devices, broker_port=rig.broker.port, name="simulated.toml")
    port = free_port()
    words = ("sim", "devices", str(site), "-c", str(port), "--profiles", str(profiles))
    process = Langyan(folder, "simulator", *words, ready=partial(_answers, port))
    with process, Control(port) as control:
        yield control


def _answers(port: int) -> bool:
    try:
        with Control(port) as control:
            control.ping()
    except ControlError:
        return False
    return True
