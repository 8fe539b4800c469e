"""Local days and months, and how a span of them is put together from whole months and single days. Pure."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

DAY = "day"
MONTH = "month"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_A_DAY = timedelta(days=1)


def day_of(at_us: int, zone: ZoneInfo) -> date:
    """Tell on which local day a moment lies."""
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone).date()


def begin_us(day: date, zone: ZoneInfo) -> int:
    """Tell when a local day begins, microseconds UTC."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (local - _EPOCH) // timedelta(microseconds=1)


def span_us(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """Tell when a local day begins and ends; the end is the next day's beginning."""
    return begin_us(day, zone), begin_us(day + _A_DAY, zone)


def month_of(day: date) -> date:
    """Name a day's month by its first day."""
    return day.replace(day=1)


def month_after(month: date) -> date:
    """Name the month after one."""
    return month_of(month + timedelta(days=31))


def days_from(first: date, after: date) -> Iterator[date]:
    """List days up to, not including, `after`."""
    for number in range((after - first).days):
        yield first + timedelta(days=number)


def parts(first: date, after: date) -> tuple[list[date], list[date]]:
    """Cut a span of days into whole months and the days left over at its ends.

    Args:
        first: the first day.
        after: the day after the last.

    Returns:
        Months by their first days, and days.
    """
    months: list[date] = []
    begin = first if first.day == 1 else month_after(month_of(first))
    month = begin
    while month_after(month) <= after:
        months.append(month)
        month = month_after(month)
    if not months:
        return [], list(days_from(first, after))
    return months, [*days_from(first, begin), *days_from(month, after)]
