"""What a gateway of 100 devices takes: memory, and time to the first telemetry."""

from msgspec import Struct

from benchmarks.ledger import percentile
from benchmarks.rig import open_rig, pause

DEVICES = 100
EVERY_S = 1.0
MEMORY_S = 60.0
RUNS = 5


class Memory(Struct, frozen=True):
    """Resident memory (RSS) of the gateway with 100 devices every second, in MiB, after a minute.

    Attributes:
        one_connection_mib: all devices behind one TCP connection.
        connection_each_mib: a connection each.
    """

    one_connection_mib: float
    connection_each_mib: float


class Startup(Struct, frozen=True):
    """Seconds from the start of the process to the first telemetry at a subscriber of the broker."""

    first_s: list[float]
    median_s: float


def measure_memory() -> Memory:
    """Measure both ways of connecting."""
    return Memory(one_connection_mib=_memory(shared=True), connection_each_mib=_memory(shared=False))


def measure_startup() -> Startup:
    """Start a gateway a few times, each on a fresh outbox."""
    first_s = [_startup() for _ in range(RUNS)]
    return Startup(first_s=first_s, median_s=percentile(first_s, 0.5))


def _memory(*, shared: bool) -> float:
    with open_rig(units=DEVICES) as rig:
        devices = rig.devices(DEVICES, EVERY_S, shared=shared)
        rig.start_gateway(devices)
        rig.wait_for_all(devices)
        pause(MEMORY_S)
        return round(rig.gateway.rss_mib(), 1)


def _startup() -> float:
    with open_rig(units=DEVICES) as rig:
        devices = rig.devices(DEVICES, EVERY_S, shared=True)
        rig.start_gateway(devices)
        return round(rig.wait_for_all(devices), 3)
