"""Lines on their way to the retention policy of their measurement; what is refused is found, all else is written."""

from collections.abc import Iterable, Sequence
from functools import partial

from cloud.influx.bisection import bisect
from cloud.influx.persistent import PersistentWriter
from cloud.influx.schema import policy_of

_ENDS = b", "


async def write_lines(lines: Sequence[bytes], writer: PersistentWriter) -> list[tuple[bytes, str]]:
    """Write lines of any measurements, those of one policy in their order.

    Returns:
        The lines that InfluxDB refuses for good, each with its words; of a block given up as a whole the first.
    """
    refused: list[tuple[bytes, str]] = []
    for policy, some in by_policy(lines).items():
        culprits = await bisect(some, partial(writer.write, policy=policy))
        refused += [(some[culprit.start], culprit.why) for culprit in culprits]
    return refused


def by_policy(lines: Iterable[bytes]) -> dict[str, list[bytes]]:
    """Part lines by the retention policy they go to; the order of each stays."""
    parted: dict[str, list[bytes]] = {}
    for line in lines:
        parted.setdefault(policy_of(_measurement(line)), []).append(line)
    return parted


def _measurement(line: bytes) -> str:
    end = min((at for mark in _ENDS if (at := line.find(mark)) >= 0), default=len(line))
    return line[:end].decode()
