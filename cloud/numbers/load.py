"""What an operator is shown in ten minutes, in an hour, and in floods (ISA-18.2, EEMUA 191). Pure.

Counted in fixed periods of ten minutes since 1970, as ISA-18.2 counts. A flood begins with a period of ten alarms or
more and ends before the next one with fewer than five.
"""

import re
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from cloud.desk.noise import FLOOD_BEGINS_AT, FLOOD_ENDS_BELOW
from cloud.numbers.tally import PERIOD_US
from cloud.numbers.written import Run

_OVER = 10
"""Alarms in ten minutes above which a period is too full."""

_HOUR_US = 3_600_000_000
_FLOOD = re.compile("b[bg]*")


class Load(Struct, frozen=True):
    """Alarms annunciated to one operator; the share of all where there are several.

    Attributes:
        alarms: annunciated: raises and second presses.
        per_hour, per_ten_minutes: on average.
        worst_ten_minutes: most in one period.
        worst_at_us: when that began, microseconds UTC; None without any alarm.
        overfull_share: periods with more than 10.
        flood_share: of the time.
    """

    alarms: int
    per_hour: float
    per_ten_minutes: float
    worst_ten_minutes: float
    worst_at_us: int | None
    overfull_share: float
    flood_share: float


def measure_load(load: Sequence[Run], *, from_us: int, until_us: int, operators: int) -> Load:
    """Measure a span of time.

    Args:
        load: of the span; runs by rising periods.
        from_us: beginning of the span, microseconds UTC.
        until_us: its end.
        operators: who share the alarms, at least 1.
    """
    length_us = max(1, until_us - from_us)
    periods = max(1, -(-length_us // PERIOD_US))
    # A year of a city has 52 560 periods: they are looked at in bulk, never one by one.
    found: Counter[int] = Counter()
    for _first, counts in load:
        found.update(counts)
    alarms = sum(count * times for count, times in found.items())
    overfull = sum(times for count, times in found.items() if count > _OVER * operators)
    most = max(found, default=0)
    worst = next((first + counts.index(most) for first, counts in load if most in counts), None)
    return Load(
        alarms=alarms,
        per_hour=alarms / operators * _HOUR_US / length_us,
        per_ten_minutes=alarms / operators * PERIOD_US / length_us,
        worst_ten_minutes=most / operators,
        worst_at_us=None if worst is None else worst * PERIOD_US,
        overfull_share=min(1.0, overfull / periods),
        flood_share=min(1.0, flood_periods(load, operators) / periods),
    )


def flood_periods(load: Sequence[Run], operators: int = 1) -> int:
    """Count the periods of ten minutes that lie in floods, when so many share the alarms."""
    marks = _Marks(FLOOD_BEGINS_AT * operators, FLOOD_ENDS_BELOW * operators)
    return sum(
        len(flood) for _first, counts in load for flood in _FLOOD.findall("".join(map(marks.__getitem__, counts)))
    )


class _Marks(dict[int, str]):
    """One letter a count: a flood begins, goes on, ends."""

    def __init__(self, begins_at: int, ends_below: int) -> None:
        super().__init__()
        self._begins_at, self._ends_below = begins_at, ends_below

    def __missing__(self, count: int) -> str:
        mark = self[count] = "b" if count >= self._begins_at else "." if count < self._ends_below else "g"
        return mark
