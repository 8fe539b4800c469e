"""How many readings a second go through one gateway process, what they cost, and whether any is dropped."""

import time
from collections.abc import Sequence

from msgspec import Struct

from benchmarks.ledger import percentile
from benchmarks.rig import Rig, cpu_s_of, open_rig, pause
from benchmarks.sites import VALUES_A_POLL, BenchDevice

DEVICES = 100
WARM_S = 5.0
SECONDS = 20.0
PERIODS_S = (0.05, 0.04, 0.035, 0.03, 0.027, 0.024, 0.022, 0.02, 0.018, 0.016, 0.014, 0.012, 0.01)
# Below this share of what was asked for the gateway no longer keeps up.
KEEPS_UP = 0.98
# Older than this on arrival, readings pile up somewhere.
LATEST_S = 2.0


class Load(Struct, frozen=True):
    """One load for a while; a reading is one of a device's 21 values (20 registers, 8 inputs as one).

    Attributes:
        offered_per_s: readings a second that the site file asks for.
        read_per_s: that the devices handed out.
        delivered_per_s: that arrived at the broker's subscriber in the same time.
        blocks_read, blocks_lost, blocks_twice: register blocks over the whole run; lost is what never arrived.
        late_p50_s, late_max_s: arrival minus the time stamp of the reading.
        cpu_s_per_1000: processor time of the gateway, everything in it, per 1 000 readings handed out.
        cpu_share: of one core; the farm's and the broker's beside it.
    """

    devices: int
    every_s: float
    offered_per_s: int
    read_per_s: int
    delivered_per_s: int
    blocks_read: int
    blocks_lost: int
    blocks_twice: int
    late_p50_s: float
    late_max_s: float
    cpu_s_per_1000: float
    cpu_share: float
    farm_cpu_share: float
    broker_cpu_share: float

    def is_sustained(self) -> bool:
        """Tell whether the devices were read as often as asked for, and everything arrived, and soon."""
        keeps_up = self.read_per_s >= KEEPS_UP * self.offered_per_s
        return keeps_up and self.blocks_lost == 0 and self.late_max_s <= LATEST_S


class Throughput(Struct, frozen=True):
    """The highest sustained load, and all that were tried."""

    sustained_per_s: int
    loads: list[Load]


def measure_cpu() -> Load:
    """100 devices every 100 ms, a TCP connection each."""
    return _load(DEVICES, 0.1)


def measure_fast_device() -> Load:
    """One device every 10 ms."""
    return _load(1, 0.01)


def measure_throughput(periods_s: Sequence[float] = PERIODS_S) -> Throughput:
    """100 devices, a connection each, at shorter and shorter periods, until two in a row are not kept up with."""
    loads: list[Load] = []
    for every_s in periods_s:
        loads.append(_load(DEVICES, every_s))
        print(
            f"  every {every_s:g} s: {loads[-1].delivered_per_s} readings/s, lost {loads[-1].blocks_lost}", flush=True
        )
        if len(loads) >= 2 and not any(load.is_sustained() for load in loads[-2:]):
            break
    best = max((load.delivered_per_s for load in loads if load.is_sustained()), default=0)
    return Throughput(sustained_per_s=best, loads=loads)


def _load(count: int, every_s: float) -> Load:
    with open_rig(units=count) as rig:
        devices = rig.devices(count, every_s)
        rig.start_gateway(devices)
        rig.wait_for_all(devices)
        pause(WARM_S)
        rig.take_all()
        return _measure(rig, devices, every_s)


def _measure(rig: Rig, devices: Sequence[BenchDevice], every_s: float) -> Load:
    before = rig.counters()
    rig.farm.ask(op="reset")
    cpu_s = [rig.gateway.cpu_s(), cpu_s_of(rig.farm), cpu_s_of(rig.broker)]
    start_ns = time.monotonic_ns()
    pause(SECONDS)
    end_ns = time.monotonic_ns()
    stats = rig.farm.ask(op="stats")
    spent_s = [rig.gateway.cpu_s() - cpu_s[0], cpu_s_of(rig.farm) - cpu_s[1], cpu_s_of(rig.broker) - cpu_s[2]]
    elapsed_s = float(stats["elapsed_s"])
    # Looked into only now, so that reading the messages takes no processor time from what is measured.
    late = [
        (arrived.wall_us - sample.at_us) / 1e6
        for arrived, sample in rig.take()
        if start_ns < arrived.at_ns <= end_ns and any(point.key == "r0" for point in sample.points)
    ]
    last = {f"dev{unit}": count for unit, count in stats["counters"].items() if count}
    found = rig.settled(last, {device: count + 1 for device, count in before.items()})
    polls = sum(stats["reads"].values())
    shares = [round(spent / elapsed_s, 3) for spent in spent_s]
    return Load(
        devices=len(devices),
        every_s=every_s,
        offered_per_s=round(len(devices) / every_s * VALUES_A_POLL),
        read_per_s=round(polls / elapsed_s * VALUES_A_POLL),
        delivered_per_s=round(len(late) / elapsed_s * VALUES_A_POLL),
        blocks_read=found.read,
        blocks_lost=found.lost,
        blocks_twice=found.twice,
        late_p50_s=round(percentile(late, 0.5), 3),
        late_max_s=round(max(late, default=0.0), 3),
        cpu_s_per_1000=round(1000 * spent_s[0] / max(1, polls * VALUES_A_POLL), 5),
        cpu_share=shares[0],
        farm_cpu_share=shares[1],
        broker_cpu_share=shares[2],
    )
