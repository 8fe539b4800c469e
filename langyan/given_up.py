"""Answers that came whole after the gateway had given them up: they never became readings, so none of them is lost.

A machine that is busy enough delays an answer of a simulated device beyond the limit of its poll. The gateway counts
such a poll as failed, and the device has counted what it gave; only both together tell this from a loss.
"""

from collections import Counter
from collections.abc import Mapping, MutableMapping
from typing import TypeVar

from edge.status import Snapshot
from simulators.control_messages import Stats

Bus = TypeVar("Bus")


def count_given_up(stats: Stats, snapshot: Snapshot) -> dict[str, int]:
    """Count by bus, at least so many: never more than the polls that failed, and none that a write may account for.

    Args:
        stats: of the gateway's simulated devices since they began; read before `snapshot`.
        snapshot: the gateway's status; it has run since before its devices were asked first.
    """
    given: Counter[str] = Counter()
    for device in stats.devices.values():
        given[device.bus] += device.counts.answers
    found: dict[str, int] = {}
    for bus in snapshot.buses:
        total = bus.total
        heard = total.answers + total.refusals
        # A write asks twice: it writes, and reads back.
        by_writes = 2 * (total.writes + total.writes_failed)
        found[bus.id] = max(0, min(given[bus.id] - by_writes, total.polls) - heard)
    return found


def forgive(given_up: MutableMapping[Bus, int], bus: Bus, missing: Mapping[str, int]) -> int:
    """Take what a device lacks from what its bus has given up.

    Args:
        given_up: by bus; what is taken is gone.
        bus: the device's.
        missing: by point, readings that it gave and nobody has.

    Returns:
        So many readings of each point are no loss.
    """
    taken = min(given_up.get(bus, 0), max((0, *missing.values())))
    if taken:
        given_up[bus] -= taken
    return taken
