"""Ten units behind one TCP connection, one of them out of order: the rate of the others."""

from msgspec import Struct

from benchmarks.rig import open_rig, pause
from langyan.servers import wait_until

UNITS = 10
EVERY_S = 0.5
FAULTY = 3
FAULTS = ("silent", "truncate", "truncate_close", "garbage", "badtid", "exception", "close", "megabyte")
WARM_S = 2.0
SECONDS = 20.0
RETURN_LIMIT_S = 60.0


class Neighbours(Struct, frozen=True):
    """One fault of one unit.

    Attributes:
        others_share: register blocks that the others handed out, over what the site file asks for.
        slowest_share: of the slowest of them.
        longest_gap_s: between two answers of one of them.
        connections: that the gateway opened meanwhile.
        returned_s: from the end of the fault to the unit's first block; -1 when none came within a minute.
    """

    fault: str
    others_share: float
    slowest_share: float
    longest_gap_s: float
    connections: int
    returned_s: float


class BadNeighbour(Struct, frozen=True):
    """Every way to misbehave, from the worst."""

    faults: list[Neighbours]


def measure() -> BadNeighbour:
    """Measure every fault on a gateway of its own."""
    return BadNeighbour(sorted((_fault(kind) for kind in FAULTS), key=lambda found: found.others_share))


def _fault(kind: str) -> Neighbours:
    with open_rig(units=UNITS) as rig:
        devices = rig.devices(UNITS, EVERY_S, shared=True)
        rig.start_gateway(devices)
        rig.wait_for_all(devices)
        pause(WARM_S)
        opened = rig.farm.ask(op="stats")["connections"]
        rig.farm.ask(op="fault", unit=FAULTY, kind=kind)
        # From the first second of the fault on: what it costs until the breaker opens counts too.
        rig.farm.ask(op="reset")
        pause(SECONDS)
        stats = rig.farm.ask(op="stats")
        rig.farm.ask(op="fault", unit=FAULTY, kind=None)
        rig.farm.ask(op="reset")
        is_back = wait_until(lambda: rig.farm.ask(op="stats")["reads"][str(FAULTY)] > 0, RETURN_LIMIT_S)
        returned_s = rig.farm.ask(op="stats")["elapsed_s"] if is_back else -1.0
    wanted = stats["elapsed_s"] / EVERY_S
    shares = [reads / wanted for unit, reads in stats["reads"].items() if int(unit) != FAULTY]
    return Neighbours(
        fault=kind,
        others_share=round(sum(shares) / len(shares), 4),
        slowest_share=round(min(shares), 4),
        longest_gap_s=max(gap for unit, gap in stats["longest_gap_s"].items() if int(unit) != FAULTY),
        connections=stats["connections"] - opened,
        returned_s=round(returned_s, 2),
    )
