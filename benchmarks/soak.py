"""`make soak`: a site under random faults for an hour (or `ARGS="--minutes 10"`), watched for growth, hangs and losses.

Three lines: ten devices that nobody disturbs; eight behind one TCP connection, three of which fall silent, truncate,
send garbage or a megabyte, or hang up; six on a serial line with noise, of which four fall mute or late. The broker is
killed and started again and again. A stand-in for the cloud answers receipts.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.farm import FAULTS
from benchmarks.machine import facts
from benchmarks.rig import Rig, open_rig, pause
from benchmarks.rtu import simulated
from benchmarks.sites import BenchDevice, Line
from contract.ids import GATEWAY_DEVICE
from contract.telemetry import Value
from contract.topics import Channel
from langyan.servers import wait_until
from simulators.control_client import Control

RESULT = Path(__file__).parent / "results" / "soak.json"
CALM = range(1, 11)
SHARED = range(11, 19)
FAULTY = range(11, 14)
SERIAL = range(1, 7)
SERIAL_FAULTY = range(1, 5)
EVERY_S = 0.25
SERIAL_EVERY_S = 2.0
TIMEOUT_S = 0.5
BAUD = 9_600
NOISE = 0.05
WARM_S = 30.0
LOOK_EVERY_S = 5.0
SETTLE_S = 30.0
# Allocators keep some of what they had; an hour of leaks is far more.
MAX_GROWTH_MIB = 6.0
MIN_SHARE = 0.97
MIN_SHARED_SHARE = 0.9


class Soak(Struct, frozen=True):
    """What was done to the site, and how it stood it.

    Attributes:
        faults, broker_restarts: done to it.
        rss_mib: resident memory at each tenth of the run.
        growth_mib: mean of the last quarter over the mean of the second.
        calm_share, shared_share, serial_share: register blocks of the undisturbed device that was read least, over what
            the site file asks for; on the line nobody disturbs, beside faulty units, on the serial line.
        calm_gap_s, shared_gap_s: longest time between two answers of an undisturbed device.
        read, twice: register blocks that the TCP devices handed out, and those that arrived again.
        lost: of the line nobody disturbs, never arrived; and of the other, beyond `unheard_polls`.
        unheard: of the disturbed line, never arrived: handed out into a stream that a neighbour had put out of step.
        unheard_polls: polls of that line that the gateway counted as failed; each block unheard is one of them.
        counters: the gateway's own, at the end.
    """

    minutes: float
    faults: int
    broker_restarts: int
    rss_mib: list[float]
    growth_mib: float
    calm_share: float
    shared_share: float
    serial_share: float
    calm_gap_s: float
    shared_gap_s: float
    read: int
    lost: int
    twice: int
    unheard: int
    unheard_polls: int
    log_kib: int
    counters: dict[str, dict[str, Value]]

    def complaints(self) -> list[str]:
        """Say what is not as it should be."""
        # A connection with faulty units may be opened anew, which takes a timeout; nothing may take two seconds more.
        checks = {
            f"memory grew by {self.growth_mib} MiB": self.growth_mib > MAX_GROWTH_MIB,
            f"an undisturbed device was read at {self.calm_share:.0%} of its rate": self.calm_share < MIN_SHARE,
            f"a neighbour was read at {self.shared_share:.0%} of its rate": self.shared_share < MIN_SHARED_SHARE,
            f"an undisturbed device waited {self.calm_gap_s} s": self.calm_gap_s > EVERY_S + TIMEOUT_S,
            f"a neighbour waited {self.shared_gap_s} s": self.shared_gap_s > EVERY_S + TIMEOUT_S + 2.0,
            f"{self.lost} blocks lost": self.lost > 0,
        }
        return [text for text, is_bad in checks.items() if is_bad]


class _Site:
    """The running site and the hands that disturb it."""

    def __init__(self, rig: Rig, control: Control, dice: random.Random) -> None:
        self.rig, self._control, self._dice = rig, control, dice
        self.faults = self.restarts = 0
        self.counters: dict[str, dict[str, Value]] = {}

    def disturb(self) -> None:
        """Do one random thing to it."""
        things: list[Callable[[], None]] = [self._tcp, self._tcp, self._tcp, self._serial, self._serial, self._noise]
        # One in forty: with a fault every few seconds, the broker goes about every two minutes.
        if self._dice.random() < 0.025:
            self._broker()
        else:
            self._dice.choice(things)()
            self.faults += 1

    def take(self) -> None:
        """Enter what has arrived in the ledger, and keep the gateway's own counters."""
        for arrived in self.rig.receiver.drain():
            if arrived.channel is not Channel.TELEMETRY:
                continue
            for sample in arrived.samples():
                if sample.device.startswith(GATEWAY_DEVICE):
                    self.counters[sample.device] = {point.key: point.value for point in sample.points}
                elif sample.device.startswith("dev"):
                    self.rig.enter(sample)

    def calm(self) -> None:
        """End all that was done to it."""
        for unit in FAULTY:
            self.rig.farm.ask(op="fault", unit=unit, kind=None)
        for unit in SERIAL_FAULTY:
            self._control.unmute(f"line{unit}")
            self._control.delay(f"line{unit}", 0.0)
        self._control.noise("bus-0", rate=0.0)

    def _tcp(self) -> None:
        kind = self._dice.choice([*FAULTS, None, None])
        self.rig.farm.ask(op="fault", unit=self._dice.choice(FAULTY), kind=kind)

    def _serial(self) -> None:
        device = f"line{self._dice.choice(SERIAL_FAULTY)}"
        match self._dice.randrange(4):
            case 0:
                self._control.mute(device)
            case 1:
                self._control.delay(device, TIMEOUT_S + self._dice.uniform(-0.1, 0.3))
            case _:
                self._control.unmute(device)
                self._control.delay(device, 0.0)

    def _noise(self) -> None:
        self._control.noise("bus-0", rate=self._dice.choice([0.0, NOISE]), now=self._dice.randint(1, 64))

    def _broker(self) -> None:
        self.rig.broker.kill()
        pause(self._dice.uniform(0.0, 10.0))
        self.rig.broker.start()
        self.restarts += 1


def soak(minutes: float, *, seed: int) -> Soak:
    """Run it.

    Raises:
        TimeoutError: the gateway ended, or did not come up.
    """
    with open_rig(units=SHARED[-1]) as rig:
        calm = rig.devices(len(CALM), EVERY_S, shared=True)
        line = Line("127.0.0.2", rig.farm_port)
        shared = [BenchDevice(f"dev{unit}", line, unit, EVERY_S, timeout_s=TIMEOUT_S) for unit in SHARED]
        port = Line(port="line.tty", baud=BAUD)
        serial = [
            BenchDevice(f"line{unit}", port, unit, SERIAL_EVERY_S, inputs=0, timeout_s=TIMEOUT_S) for unit in SERIAL
        ]
        with simulated(rig, serial) as control:
            return _soak(rig, control, [*calm, *shared, *serial], minutes, random.Random(seed))  # noqa: S311


def _soak(rig: Rig, control: Control, devices: list[BenchDevice], minutes: float, dice: random.Random) -> Soak:
    site = _Site(rig, control, dice)
    rig.start_gateway(devices, health_s=5.0)
    rig.wait_for_all(devices)
    pause(WARM_S)
    rig.farm.ask(op="reset")
    control.reset()
    deadline = time.monotonic() + minutes * 60
    memory: list[float] = []
    look_at = time.monotonic()
    while time.monotonic() < deadline:
        pause(dice.uniform(0.5, 5.0))
        site.disturb()
        site.take()
        if rig.gateway.pid is None:
            raise TimeoutError(f"the gateway ended: {rig.gateway.log.read_text(errors='replace')[-2000:]}")
        if time.monotonic() >= look_at:
            look_at += LOOK_EVERY_S
            memory.append(round(rig.gateway.rss_mib(), 1))
    stats, serial = rig.farm.ask(op="stats"), control.stats()
    site.calm()
    # What is asked from now on finds streams in step, and must come, on both lines.
    pause(SETTLE_S)
    last = rig.counters()
    calm, shared = _of(last, CALM), _of(last, SHARED)
    wait_until(lambda: _lost(site, calm) == 0 and _newest_came(site, shared), SETTLE_S * 4)
    found = rig.ledger.compare(last)
    unheard = rig.ledger.compare(shared).lost
    unheard_polls = _failed_polls(site.counters["gateway.bus-1"])
    healthy = [unit for unit in SHARED if unit not in FAULTY]
    wanted = float(stats["elapsed_s"]) / EVERY_S
    serial_wanted = serial.elapsed_s / SERIAL_EVERY_S
    lines = [f"line{unit}" for unit in SERIAL if unit not in SERIAL_FAULTY]
    return Soak(
        minutes=minutes,
        faults=site.faults,
        broker_restarts=site.restarts,
        rss_mib=memory[:: max(1, len(memory) // 10)],
        growth_mib=_growth(memory),
        calm_share=round(min(stats["reads"][str(unit)] for unit in CALM) / wanted, 4),
        shared_share=round(min(stats["reads"][str(unit)] for unit in healthy) / wanted, 4),
        serial_share=round(min(serial.devices[name].counts.answers for name in lines) / serial_wanted, 4),
        calm_gap_s=max(stats["longest_gap_s"][str(unit)] for unit in CALM),
        shared_gap_s=max(stats["longest_gap_s"][str(unit)] for unit in healthy),
        read=found.read,
        lost=rig.ledger.compare(calm).lost + max(0, unheard - unheard_polls),
        twice=found.twice,
        unheard=unheard,
        unheard_polls=unheard_polls,
        log_kib=rig.gateway.log.stat().st_size // 1024,
        counters=site.counters,
    )


def _of(last: dict[str, int], units: range) -> dict[str, int]:
    return {name: last[name] for name in (f"dev{unit}" for unit in units)}


def _lost(site: _Site, last: dict[str, int]) -> int:
    pause(0.5)
    site.take()
    return site.rig.ledger.compare(last).lost


def _newest_came(site: _Site, last: dict[str, int]) -> bool:
    return site.rig.ledger.compare(last, last).lost == 0


def _failed_polls(counters: dict[str, Value]) -> int:
    return int(counters["polls"]) - int(counters["answers"]) - int(counters["refusals"])


def _growth(memory: list[float]) -> float:
    """Compare the last quarter with the second: the first is warming up."""
    quarter = max(1, len(memory) // 4)
    second, last = memory[quarter : 2 * quarter] or memory, memory[-quarter:]
    return round(sum(last) / len(last) - sum(second) / len(second), 2)


def main() -> int:
    """Run, print and write the result; status 1 when something is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="of the faults; printed")
    args = parser.parse_args()
    print(f"soak: {args.minutes:g} minutes, seed {args.seed}", flush=True)
    found = soak(args.minutes, seed=args.seed)
    complaints = found.complaints()
    result = {
        "benchmark": "soak",
        "command": f'make soak ARGS="--minutes {args.minutes:g} --seed {args.seed}"',
        "measured_on": datetime.now(UTC).date().isoformat(),
        "machine": facts(),
        "complaints": complaints,
        "result": found,
    }
    text = msgspec.json.format(msgspec.json.encode(result)).decode()
    print(text)
    RESULT.write_text(text + "\n", encoding="utf-8")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
