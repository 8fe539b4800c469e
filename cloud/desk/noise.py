"""What makes alarms hard to work with: chattering, floods, stale and fleeting ones, chains. Pure; nothing is dropped.

Each function looks at occurrences or at moments of triggers in any order, and says what they are. What it says is
shown, counted and reported; no event and no occurrence is ever left out because of it.

The limits are those of ISA-18.2 and EEMUA 191 where they give one.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from cloud.desk.core import Alarm, is_chattering
from contract.alarms import Mode

_MINUTE_US = 60_000_000

FLOOD_BEGINS_AT = 10
FLOOD_ENDS_BELOW = 5
FLOOD_WINDOW_US = 10 * _MINUTE_US
"""ISA-18.2: ten new alarms or more in ten minutes begin a flood, fewer than five end it."""

STALE_AFTER_US = 24 * 60 * _MINUTE_US
"""ISA-18.2: active for longer than a day."""

FLEETING_WITHIN_US = _MINUTE_US
"""The standards give no number; gone within a minute is gone before anybody could act (own judgement)."""

CHAIN_GAP_US = _MINUTE_US
"""So soon after another alarm of the same site an alarm counts as following from it (own judgement)."""


class Span(Struct, frozen=True):
    """A stretch of time, microseconds UTC; `ended_us` is None while it lasts."""

    began_us: int
    ended_us: int | None


def chatters(times_us: Iterable[int]) -> bool:
    """Tell whether one source cycled too fast: three triggers within a minute, both ends counted.

    Args:
        times_us: moments of its triggers, in any order.
    """
    return is_chattering(sorted(times_us))


def flood_spans(times_us: Iterable[int], now_us: int) -> list[Span]:
    """Find the floods of a scope (an area, an operator's desk), the earliest first.

    At any moment the new alarms of the ten minutes up to it are counted, one exactly ten minutes old no more.

    Args:
        times_us: when each new alarm was raised, in any order; those after `now_us` are passed over.
        now_us: until when; a flood that lasts then has no end.
    """
    times = sorted(time_us for time_us in times_us if time_us <= now_us)
    spans: list[Span] = []
    began_us: int | None = None
    for number, time_us in enumerate(times):
        if began_us is not None and (over_us := _over_us(times, number)) < time_us:
            spans.append(Span(began_us, over_us))
            began_us = None
        if began_us is None and _is_tenth(times, number):
            began_us = time_us
    if began_us is not None:
        over_us = _over_us(times, len(times))
        spans.append(Span(began_us, over_us if over_us <= now_us else None))
    return spans


def in_flood_since(times_us: Iterable[int], now_us: int) -> int | None:
    """Tell since when a scope is in flood; None when it is not.

    Args:
        times_us: as for `flood_spans`; the latest hours are enough, unless the flood is older.
        now_us: when.
    """
    spans = flood_spans(times_us, now_us)
    return spans[-1].began_us if spans and spans[-1].ended_us is None else None


def is_stale(alarm: Alarm, now_us: int) -> bool:
    """Tell whether its condition has lasted for more than a day, and nobody has closed it."""
    return alarm.is_open and alarm.cleared_at_us is None and now_us - alarm.raised_at_us > STALE_AFTER_US


def is_fleeting(alarm: Alarm) -> bool:
    """Tell whether it came once and went within a minute.

    One that latches is not: a press is short by nature, and it stands until somebody resets it.
    """
    if alarm.cleared_at_us is None or alarm.latching or alarm.triggers > 1:
        return False
    return alarm.cleared_at_us - alarm.raised_at_us <= FLEETING_WITHIN_US


def first_outs(alarms: Iterable[Alarm]) -> dict[str, str]:
    """Name for each alarm the first of its chain: what began it is likely the cause of what followed.

    A chain is made of alarms of one site (of one gateway where no site is known) and of one mode, each raised at most a
    minute after the one before it.

    Args:
        alarms: in any order; the answer does not depend on it.

    Returns:
        alarm_id -> alarm_id of the first; an alarm alone names itself.
    """
    by_place: dict[tuple[str | None, str, Mode], list[Alarm]] = {}
    for alarm in alarms:
        place = (alarm.site, "" if alarm.site is not None else alarm.gateway, alarm.mode)
        by_place.setdefault(place, []).append(alarm)
    found: dict[str, str] = {}
    for chain in by_place.values():
        chain.sort(key=lambda alarm: (alarm.raised_at_us, alarm.alarm_id))
        found[chain[0].alarm_id] = chain[0].alarm_id
        for before, after in pairwise(chain):
            follows = after.raised_at_us - before.raised_at_us <= CHAIN_GAP_US
            found[after.alarm_id] = found[before.alarm_id] if follows else after.alarm_id
    return found


def _is_tenth(times: Sequence[int], number: int) -> bool:
    first = number - FLOOD_BEGINS_AT + 1
    return first >= 0 and times[number] - times[first] < FLOOD_WINDOW_US


def _over_us(times: Sequence[int], count: int) -> int:
    """Tell when fewer than five of the first `count` are left of the last ten minutes, if none follows."""
    return times[count - FLOOD_ENDS_BELOW] + FLOOD_WINDOW_US
