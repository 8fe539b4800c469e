"""What was read compared with what arrived: counters of 16 bits, unwrapped. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

_WRAP = 0x1_0000
_HALF = _WRAP // 2


class Found(Struct, frozen=True):
    """Block reads of all devices, as the devices counted them, and as they arrived.

    Attributes:
        read: handed out by the devices.
        lost: of these, never arrived.
        twice: arrived more often than once (each further time counts).
    """

    read: int
    lost: int
    twice: int


class Ledger:
    """Notes the counters that arrive, in any order, up to half a wrap (32 767) out of order a device."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._high: dict[str, int] = {}

    def add(self, device: str, low: int) -> int:
        """Note a counter by its low 16 bits; returns the whole counter."""
        high = self._high.get(device, low)
        whole = high + (low - high + _HALF) % _WRAP - _HALF
        self._high[device] = max(high, whole)
        self._seen[device][whole] += 1
        return whole

    def arrived(self, device: str) -> Counter[int]:
        """Return how often each counter of a device has arrived."""
        return self._seen[device]

    def compare(self, last: Mapping[str, int], first: Mapping[str, int] | None = None) -> Found:
        """Compare with the counters `first` (1 where left out) to `last`, both included, of each device."""
        read = lost = twice = 0
        for device, end in last.items():
            seen = self._seen[device]
            start = 1 if first is None else first.get(device, 1)
            read += max(0, end - start + 1)
            counts = [seen[counter] for counter in range(start, end + 1)]
            lost += counts.count(0)
            twice += sum(count - 1 for count in counts if count > 1)
        return Found(read, lost, twice)

    def missing(self, device: str, last: int, first: int = 1) -> list[int]:
        """List the counters of a device that have not arrived."""
        seen = self._seen[device]
        return [counter for counter in range(first, last + 1) if counter not in seen]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` of them lie, between neighbours in proportion; 0 of none."""
    order = sorted(values)
    if not order:
        return 0.0
    place = (len(order) - 1) * share
    low = int(place)
    high = min(low + 1, len(order) - 1)
    return order[low] + (order[high] - order[low]) * (place - low)
