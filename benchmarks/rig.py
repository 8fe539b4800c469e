"""All that a benchmark needs, real and on free ports: devices, gateway, broker, and the cloud or its stand-in."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
from msgspec import Struct

from benchmarks.ledger import Found, Ledger
from benchmarks.receiver import Arrived, Receiver
from benchmarks.remote import Remote
from benchmarks.sites import BenchDevice, Line, write_site
from contract.ids import GATEWAY_DEVICE
from contract.telemetry import Sample
from contract.topics import Channel
from langyan.demo.run import sleep_until
from langyan.servers import Langyan, Mosquitto, Process, free_port, wait_until

START_LIMIT_S = 60.0
SETTLE_LIMIT_S = 60.0


class WrittenBytes(Struct, frozen=True):
    """What a process has written: to files (write_bytes of /proc/PID/io), and by all its writes (wchar)."""

    to_disk: int
    by_calls: int


class GatewayProcess(Langyan):
    """A gateway that is measured while it runs."""

    def __init__(self, folder: Path, site: Path, profiles: Path) -> None:
        """Prepare `langyan edge run SITE`."""
        words = ("edge", "run", str(site), "--profiles", str(profiles))
        super().__init__(folder, "gateway", *words, ready=lambda: True)
        self.started_at_ns = 0

    def start(self, *, wait: bool = True) -> "GatewayProcess":
        """Start it and note when."""
        self.started_at_ns = time.monotonic_ns()
        super().start(wait=wait)
        return self

    def cpu_s(self) -> float:
        """Processor time of all its threads so far."""
        spent = self._ps().cpu_times()
        return float(spent.user + spent.system)

    def rss_mib(self) -> float:
        """Memory resident now."""
        return float(self._ps().memory_info().rss) / 2**20

    def written(self) -> WrittenBytes:
        """Bytes written since it started."""
        lines = Path(f"/proc/{self.pid}/io").read_text(encoding="ascii").splitlines()
        found = dict(line.split(": ") for line in lines)
        return WrittenBytes(int(found["write_bytes"]), int(found["wchar"]))

    def _ps(self) -> psutil.Process:
        return psutil.Process(self.pid)


class Rig:
    """A farm, a broker behind a link, a gateway, and a receiver that plays the cloud.

    Attributes:
        folder: of all files.
        ledger: the register blocks that have arrived.
        gateway: set by `start_gateway`.
    """

    def __init__(self, folder: Path, *, units: int, values: str = "counter", times: bool = False) -> None:
        """Prepare; nothing is started."""
        self.folder = folder
        self.farm_port = free_port()
        words = ["--port", str(self.farm_port), "--units", str(units), "--values", values]
        self.farm = Remote(folder, "farm", *words, *(["--times"] if times else []))
        self.broker = Mosquitto(folder / "mosquitto")
        self.link_port = free_port()
        self.link = Remote(folder, "link", "--listen", str(self.link_port), "--target", str(self.broker.port))
        self.ledger = Ledger()
        self.readings = 0

    @contextlib.contextmanager
    def running(self, *, answers: bool = True) -> Iterator["Rig"]:
        """Start farm, broker, link and receiver; stop them and the gateway at the end."""
        with contextlib.ExitStack() as parts:
            for part in (self.broker, self.link, self.farm):
                parts.enter_context(part)
            self.receiver = Receiver(self.broker.port, answers=answers)
            parts.callback(self.receiver.close)
            self._parts = parts
            yield self

    def devices(self, count: int, every_s: float, *, first: int = 1, shared: bool = False) -> list[BenchDevice]:
        """Name farm units as devices `dev<unit>`: behind one connection, or a connection (and an address) each."""
        return [
            BenchDevice(f"dev{unit}", Line(self._host(unit, shared=shared), self.farm_port), unit, every_s)
            for unit in range(first, first + count)
        ]

    def start_gateway(self, devices: Sequence[BenchDevice], *, direct: bool = True, health_s: float = 10.0) -> None:
        """Write the site file and start the gateway on it.

        Args:
            devices: what hangs on it.
            direct: to the broker itself; False goes through the link.
            health_s: how often it reports on itself.
        """
        broker_port = self.broker.port if direct else self.link_port
        site, profiles = write_site(self.folder, devices, broker_port=broker_port, health_s=health_s)
        self.gateway = GatewayProcess(self.folder, site, profiles)
        self._parts.callback(self.gateway.stop)
        self.gateway.start()

    def wait_for_all(self, devices: Sequence[BenchDevice]) -> float:
        """Wait until telemetry of every device has arrived; returns seconds from the gateway's start to the first."""
        wanted = {device.id for device in devices}
        first_ns = 0
        deadline = time.monotonic() + START_LIMIT_S
        while wanted:
            if time.monotonic() > deadline:
                tail = self.gateway.log.read_text(errors="replace")[-2000:]
                raise TimeoutError(f"no telemetry of {sorted(wanted)} within {START_LIMIT_S:g} s; the gateway:\n{tail}")
            for arrived, sample in self.take():
                if sample.device in wanted:
                    first_ns = first_ns or arrived.at_ns
                    wanted.discard(sample.device)
            pause(0.005)
        return (first_ns - self.gateway.started_at_ns) / 1e9

    def take(self) -> Iterator[tuple[Arrived, Sample]]:
        """Hand out the samples of devices that have arrived, and enter them in the ledger."""
        for arrived in self.receiver.drain():
            if arrived.channel is Channel.TELEMETRY:
                for sample in arrived.samples():
                    if not sample.device.startswith(GATEWAY_DEVICE):
                        self.enter(sample)
                        yield arrived, sample

    def take_all(self) -> int:
        """Enter everything that has arrived in the ledger; returns the number of samples."""
        return sum(1 for _ in self.take())

    def counters(self) -> dict[str, int]:
        """Ask the farm how many blocks each device has handed out."""
        return {f"dev{unit}": count for unit, count in self.farm.ask(op="stats")["counters"].items()}

    def settled(self, last: Mapping[str, int], first: Mapping[str, int] | None = None) -> Found:
        """Wait until every block up to `last` has arrived, or nothing new arrives any more; then compare."""
        quiet_since = time.monotonic()
        deadline = time.monotonic() + SETTLE_LIMIT_S
        found = self.ledger.compare(last, first)
        while found.lost and time.monotonic() < deadline and time.monotonic() - quiet_since < SETTLE_LIMIT_S / 4:
            pause(0.25)
            before = found.lost
            self.take_all()
            found = self.ledger.compare(last, first)
            if found.lost < before:
                quiet_since = time.monotonic()
        return found

    def enter(self, sample: Sample) -> None:
        """Enter a sample of registers in the ledger; others are passed over."""
        registers = [point.value for point in sample.points if point.key.startswith("r")]
        if registers:
            self.readings += len(registers)
            self.ledger.add(sample.device, int(registers[0]))

    @staticmethod
    def _host(unit: int, *, shared: bool) -> str:
        return "127.0.0.1" if shared else f"127.0.{1 + unit // 250}.{1 + unit % 250}"


@contextlib.contextmanager
def open_rig(*, units: int, values: str = "counter", times: bool = False, answers: bool = True) -> Iterator[Rig]:
    """Start a rig in a temporary folder, on a disk: BENCH_DIR, or where temporary files are."""
    with tempfile.TemporaryDirectory(prefix="langyan-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        rig = Rig(Path(folder), units=units, values=values, times=times)
        with rig.running(answers=answers):
            yield rig


def pause(seconds: float) -> None:
    """Wait."""
    sleep_until(time.monotonic() + seconds)


def expect(condition: Callable[[], bool], what: str, limit_s: float = START_LIMIT_S) -> None:
    """Wait until `condition` holds.

    Raises:
        TimeoutError: it did not within `limit_s`.
    """
    if not wait_until(condition, limit_s):
        raise TimeoutError(f"{what}: did not happen within {limit_s:g} s")


def cpu_s_of(process: Process) -> float:
    """Processor time of one of the rig's own processes."""
    spent = psutil.Process(process.pid).cpu_times()
    return float(spent.user + spent.system)
