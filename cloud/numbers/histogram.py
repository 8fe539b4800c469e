"""Times in buckets, each 5 % wider than the one before: small, mergeable, exact to within a bucket. Pure.

A histogram is a dict from the bucket's number to how many times fell into it; it holds no zeros.
"""

import math
from collections.abc import Mapping

Histogram = dict[int, int]

GROWTH = 1.05
FIRST_S = 0.1
"""Upper bound of bucket 0, which holds whatever is not longer."""

LAST = 400
"""Bucket of what is longer than any other holds: some 340 days."""

_LOG_GROWTH = math.log(GROWTH)


def bucket(time_s: float) -> int:
    """Number the bucket of a time; bucket n holds times above `upper_s(n - 1)` up to `upper_s(n)`."""
    if time_s <= FIRST_S:
        return 0
    # The logarithm may be off by a hair where a time is a bound.
    number = max(1, math.ceil(math.log(time_s / FIRST_S) / _LOG_GROWTH))
    if time_s <= upper_s(number - 1):
        number -= 1
    elif time_s > upper_s(number):
        number += 1
    return min(number, LAST)


def upper_s(number: int) -> float:
    """Tell the longest time that a bucket holds, seconds."""
    return FIRST_S * GROWTH**number


def percentile_s(histogram: Mapping[int, int], share: float) -> float | None:
    """Tell the time that `share` of all are not longer than (nearest rank), seconds; None for no times.

    The answer is the upper bound of the bucket that holds the exact one: never less than it, and at most 5 % more
    (bucket 0: at most 0.1 s more).

    Args:
        histogram: may be empty.
        share: above 0, at most 1.
    """
    total = sum(histogram.values())
    if total == 0:
        return None
    rank = max(1, math.ceil(share * total - 1e-9))
    seen = 0
    for number in sorted(histogram):
        seen += histogram[number]
        if seen >= rank:
            return upper_s(number)
    return None


def share_within(histogram: Mapping[int, int], limit_s: float) -> float | None:
    """Tell the share of times not longer than a limit; one in the limit's own bucket counts as within."""
    total = sum(histogram.values())
    last = bucket(limit_s)
    return sum(count for number, count in histogram.items() if number <= last) / total if total else None
