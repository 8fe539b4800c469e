"""What goes now, together with what, and what is put off: pure.

A critical message is never put off here. Others wait for the end of their contact's quiet hours, or until the contact
may be told more in this hour; those that have waited then go together. Where a channel may not send as many messages
as are due, messages to one address go together, so that everybody hears soon, of everything.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from msgspec import Struct

from contract.alarms import Severity

# Of one message that tells several things; what does not fit into it goes with the next.
MAX_TOGETHER = 50
_HOUR_US = 3_600_000_000
_URGENCY = {severity: rank for rank, severity in enumerate(Severity)}


class HeldWhy(StrEnum):
    """Why a message waits though nothing went wrong; stored."""

    QUIET_HOURS = "quiet-hours"
    MAX_PER_HOUR = "max-per-hour"


class Hold(Struct, frozen=True):
    """Until when a message waits (microseconds UTC), and why."""

    until_us: int
    why: HeldWhy


class Wishes(Struct, frozen=True):
    """When a contact wants to be told.

    Attributes:
        quiet_from, quiet_to: local times HH:MM; None or equal: never quiet; `from` after `to`: over midnight.
        max_per_hour: messages, at least 1; None: as many as there are.
    """

    quiet_from: str | None = None
    quiet_to: str | None = None
    max_per_hour: int | None = None


class Waiting(Struct, frozen=True):
    """A delivery that is due.

    Attributes:
        was_held: it has been put off before.
    """

    id: str
    severity: Severity
    contact: str | None
    address: str
    language: str
    due_us: int
    was_held: bool = False

    @property
    def is_critical(self) -> bool:
        """Whether nothing may hold it."""
        return self.severity is Severity.CRITICAL


class Packed(Struct, frozen=True):
    """What becomes of deliveries that are due.

    Attributes:
        parcels: each is one message, the most urgent first.
        held: put off, by id.
    """

    parcels: list[list[Waiting]]
    held: dict[str, Hold]


def pack(
    waiting: Sequence[Waiting],
    *,
    wishes: Mapping[str, Wishes],
    told_us: Mapping[str, Sequence[int]],
    room: int,
    is_scarce: bool,
    now_us: int,
    zone: ZoneInfo,
) -> Packed:
    """Decide what goes now.

    Args:
        waiting: all to one channel, in any order.
        wishes: by contact; who is not in it has none.
        told_us: by contact, when messages to it began within the last hour.
        room: messages that may go now.
        is_scarce: the channel's limit a minute is why there is no more room: bundle whatever goes to one address.
        now_us: wall time, microseconds UTC.
        zone: in which quiet hours are meant.
    """
    held: dict[str, Hold] = {}
    groups: dict[tuple[object, ...], list[Waiting]] = {}
    bundles_all = is_scarce and len(waiting) > room
    for one in sorted(waiting, key=lambda one: (_URGENCY[one.severity], one.due_us, one.id)):
        hold = None if one.is_critical else quiet_hold(wishes.get(one.contact or "", Wishes()), now_us, zone)
        if hold is not None:
            held[one.id] = hold
        else:
            alone = not bundles_all and (one.is_critical or not one.was_held)
            key = (one.id,) if alone else (one.address, one.contact, one.language, one.is_critical)
            groups.setdefault(key, []).append(one)
    told = {contact: list(times) for contact, times in told_us.items()}
    parcels: list[list[Waiting]] = []
    for group in groups.values():
        if len(parcels) >= room:
            break
        contact = group[0].contact or ""
        hold = (
            None if group[0].is_critical else crowd_hold(wishes.get(contact, Wishes()), told.get(contact, ()), now_us)
        )
        if hold is not None:
            held |= {one.id: hold for one in group}
        else:
            parcels.append(group[:MAX_TOGETHER])
            told.setdefault(contact, []).append(now_us)
    return Packed(parcels, held)


def quiet_hold(wishes: Wishes, now_us: int, zone: ZoneInfo) -> Hold | None:
    """Tell until when a contact is quiet; None when it is not quiet now."""
    begins, ends = _clock_time(wishes.quiet_from), _clock_time(wishes.quiet_to)
    if begins is None or ends is None or begins == ends:
        return None
    now = datetime.fromtimestamp(now_us // 1_000_000, UTC).astimezone(zone)
    clock = now.time()
    if begins < ends:
        is_quiet, day = begins <= clock < ends, now.date()
    else:
        is_quiet = clock >= begins or clock < ends
        day = now.date() + timedelta(days=1) if clock >= begins else now.date()
    until_us = int(datetime.combine(day, ends, tzinfo=zone).timestamp()) * 1_000_000
    # Where clocks are set back, the end may be past already: then it is over.
    return Hold(until_us, HeldWhy.QUIET_HOURS) if is_quiet and until_us > now_us else None


def crowd_hold(wishes: Wishes, told_us: Sequence[int], now_us: int) -> Hold | None:
    """Tell until when a contact has been told enough; None when it may be told now."""
    if wishes.max_per_hour is None:
        return None
    most = max(wishes.max_per_hour, 1)
    recent = sorted(moment for moment in told_us if moment > now_us - _HOUR_US)
    return Hold(recent[-most] + _HOUR_US, HeldWhy.MAX_PER_HOUR) if len(recent) >= most else None


def _clock_time(text: str | None) -> time | None:
    # What is no time of day silences nobody; whoever writes contacts checks them.
    try:
        return None if text is None else time.fromisoformat(text)
    except ValueError:
        return None
