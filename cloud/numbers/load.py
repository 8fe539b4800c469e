"""What an operator is shown in ten minutes, in an hour, and in floods (ISA-18.2, EEMUA 191). Pure.

Counted in fixed periods of ten minutes since 1970, as ISA-18.2 counts. A flood begins with a period of ten alarms or
more and ends before the next one with fewer than five.
"""

from collections.abc import Mapping

from msgspec import Struct

from cloud.desk.noise import FLOOD_BEGINS_AT, FLOOD_ENDS_BELOW
from cloud.numbers.tally import PERIOD_US

_OVER = 10
"""Alarms in ten minutes above which a period is too full."""

_HOUR_US = 3_600_000_000


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


def measure_load(load: Mapping[int, int], *, from_us: int, until_us: int, operators: int) -> Load:
    """Measure a span of time.

    Args:
        load: alarms by period; only periods of the span.
        from_us: beginning of the span, microseconds UTC.
        until_us: its end.
        operators: who share the alarms, at least 1.
    """
    length_us = max(1, until_us - from_us)
    periods = max(1, -(-length_us // PERIOD_US))
    alarms = sum(load.values())
    overfull = len([count for count in load.values() if count > _OVER * operators])
    most = max(load.values(), default=0)
    worst = min([period for period, count in load.items() if count == most], default=None)
    return Load(
        alarms=alarms,
        per_hour=alarms / operators * _HOUR_US / length_us,
        per_ten_minutes=alarms / operators * PERIOD_US / length_us,
        worst_ten_minutes=most / operators,
        worst_at_us=None if worst is None else worst * PERIOD_US,
        overfull_share=min(1.0, overfull / periods),
        flood_share=min(1.0, flood_periods(load, operators) / periods),
    )


def flood_periods(load: Mapping[int, int], operators: int = 1) -> int:
    """Count the periods of ten minutes that lie in floods, when so many share the alarms."""
    flooded = 0
    previous: int | None = None
    for period in sorted([period for period, count in load.items() if count >= FLOOD_ENDS_BELOW * operators]):
        if previous == period - 1 or load[period] >= FLOOD_BEGINS_AT * operators:
            flooded += 1
            previous = period
    return flooded
