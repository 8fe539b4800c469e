"""Which deliveries a sender takes for itself, and what it notes about them afterwards.

A claim is a lease: `due_us` of a row that is being sent is the moment when its sender counts as dead, and another takes
the row. So each is told at least once, and twice only when a sender died between sending and noting.
"""

import random
import zlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, case, delete, exists, func, select, text, update

from cloud.areas.duty import find_contacts
from cloud.database.dead_letters import clean
from cloud.database.escalation_tables import delivery, web_hook
from cloud.telling.instead import tell_instead
from cloud.telling.packing import Waiting, Wishes, pack
from cloud.telling.queue import Kind, State
from contract.alarms import Severity

MAX_ERROR_CHARS = 500
_MINUTE_US = 60_000_000
_HOUR_US = 60 * _MINUTE_US
# Rows looked at in one claim.
_LOOK_AT = 200
_CHUNK = 500
_FIRST_RETRY_S = 5.0
_LONGEST_RETRY_S = 600.0
# Whoever must act at once is tried more often.
_LONGEST_CRITICAL_RETRY_S = 60.0
# "tell", so that no other advisory lock with two keys meets ours.
_CHANNEL_LOCK = 0x74656C6C
_WAITING = (State.PENDING.value, State.SENDING.value)

_urgency = case({severity.value: rank for rank, severity in enumerate(Severity)}, value=delivery.c.severity)


class Claimed(Struct, frozen=True):
    """A row of `delivery` that is ours to send.

    Attributes:
        kind: a `cloud.telling.queue.Kind`, or a word of another version.
        body: `cloud.telling.queue.Facts` as JSON; of a web hook the event's data.
        attempts: this one included.
    """

    id: str
    alarm_id: str | None
    kind: str
    severity: Severity
    contact: str | None
    address: str
    language: str
    body: Any
    created_us: int
    attempts: int


class Parcel(Struct, frozen=True):
    """Deliveries that go as one message: all to one address; of a web hook always one."""

    rows: tuple[Claimed, ...]


class Found(Struct, frozen=True):
    """What a claim found.

    Attributes:
        parcels: to send now.
        again_at_us: when to ask again although nothing new is due; None: when something is.
    """

    parcels: list[Parcel]
    again_at_us: int | None = None


class Verdict(StrEnum):
    """How a send ended."""

    SENT = "sent"
    AGAIN = "again"
    FAILED = "failed"
    """It can never succeed."""
    GONE = "gone"
    """A web hook wants no more events at all."""
    LEFT = "left"
    """It did not fit into its message, and goes with the next."""


class Note(Struct, frozen=True):
    """What became of one delivery.

    Attributes:
        after_s: how long the receiver asked us to wait.
    """

    id: str
    verdict: Verdict
    severity: Severity
    attempts: int
    created_us: int
    error: str = ""
    after_s: float | None = None


class Lease(Struct, frozen=True):
    """Who claims, when, and for how long."""

    sender: str
    now_us: int
    length_us: int


def due_channels(connection: Connection, now_us: int) -> list[str]:
    """Name the channels that have something to do."""
    is_due = delivery.c.state.in_(_WAITING) & (delivery.c.due_us <= now_us)
    return list(connection.scalars(select(delivery.c.channel).where(is_due).distinct()))


def claim_messages(
    connection: Connection, channel: str, *, free: int, per_minute: int, zone: ZoneInfo, lease: Lease
) -> Found:
    """Claim messages of one channel, the most urgent first, and put off those whose contact is not to be told now.

    Args:
        connection: in a transaction that may write.
        channel: its name.
        free: messages that can be sent at once.
        per_minute: of all senders together; 0: as many as there are.
        zone: of quiet hours.
        lease: ours.
    """
    room, used, again_at_us = _room(connection, channel, free, per_minute, lease.now_us)
    if room <= 0:
        return Found([], again_at_us)
    is_due = delivery.c.state.in_(_WAITING) & (delivery.c.due_us <= lease.now_us)
    query = select(delivery).where(delivery.c.channel == channel, is_due)
    query = query.order_by(_urgency, delivery.c.due_us, delivery.c.id).limit(_LOOK_AT)
    rows = {row["id"]: dict(row) for row in connection.execute(query.with_for_update(skip_locked=True)).mappings()}
    contacts = {row["contact"] for row in rows.values() if row["contact"] and row["severity"] != Severity.CRITICAL}
    packed = pack(
        [_waiting(row) for row in rows.values()],
        wishes=_wishes(connection, contacts),
        told_us=_told_us(connection, contacts, lease.now_us),
        room=room,
        is_scarce=bool(per_minute) and room < free,
        now_us=lease.now_us,
        zone=zone,
    )
    if packed.held:
        held = [{"row": one, "due_us": hold.until_us, "held_why": hold.why.value} for one, hold in packed.held.items()]
        connection.execute(
            update(delivery).where(delivery.c.id == bindparam("row")).values(state=State.PENDING.value), held
        )
    parcels = [[rows[one.id] for one in parcel] for parcel in packed.parcels]
    taken = _take(connection, parcels, lease, first_us=lease.now_us + used)
    return Found(taken, again_at_us if room < free else None)


def claim_events(connection: Connection, channel: str, *, hook: str, free: int, lease: Lease) -> Found:
    """Claim events of one web hook: the oldest of each alarm, never two of one alarm at once."""
    disabled = select(web_hook.c.name).where(web_hook.c.name == hook, web_hook.c.disabled_us.is_not(None))
    if connection.execute(disabled).first() is not None:
        return Found([], lease.now_us + _MINUTE_US)
    earlier = delivery.alias("earlier")
    is_behind = exists().where(
        earlier.c.alarm_id == delivery.c.alarm_id,
        earlier.c.channel == delivery.c.channel,
        earlier.c.change_id < delivery.c.change_id,
        earlier.c.state.in_(_WAITING),
    )
    is_due = delivery.c.state.in_(_WAITING) & (delivery.c.due_us <= lease.now_us)
    query = select(delivery).where(delivery.c.channel == channel, is_due, ~is_behind)
    query = query.order_by(_urgency, delivery.c.change_id).limit(free).with_for_update(skip_locked=True, of=delivery)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return Found(_take(connection, [[row] for row in rows], lease, first_us=lease.now_us))


def note(connection: Connection, notes: Sequence[Note], *, lease: Lease, give_up_after_us: int) -> list[str]:
    """Write down how sends ended, where the row is still ours.

    Returns:
        The ids of those given up for good.
    """
    rows = [_noted(one, lease.now_us, give_up_after_us) for one in notes]
    ours = (delivery.c.id == bindparam("row")) & (delivery.c.claimed_by == lease.sender)
    statement = update(delivery).where(ours & (delivery.c.state == State.SENDING.value))
    by_keys: dict[tuple[str, ...], list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        by_keys[tuple(row)].append(row)
    for some in by_keys.values():
        connection.execute(statement, some)
    failed = [str(row["row"]) for row in rows if row["state"] == State.FAILED.value]
    tell_instead(connection, failed, lease.now_us)
    return failed


def retry_s(attempts: int, *, is_critical: bool) -> float:
    """Draw the wait before the next attempt, seconds: doubling from 5 s to a minute or ten, half of it at random."""
    longest_s = _LONGEST_CRITICAL_RETRY_S if is_critical else _LONGEST_RETRY_S
    # 2 to the 16th times 5 s is far beyond either bound; the exponent stays small.
    bound_s = min(longest_s, _FIRST_RETRY_S * 2.0 ** min(attempts - 1, 16))
    return random.uniform(bound_s / 2, bound_s)  # noqa: S311 - jitter, not a secret


def fail_strangers(connection: Connection, known: Collection[str], now_us: int) -> list[str]:
    """Fail what is due on channels that the settings do not have; tells their names."""
    strangers = [name for name in due_channels(connection, now_us) if name not in known]
    for name in strangers:
        is_due = (delivery.c.channel == name) & delivery.c.state.in_(_WAITING) & (delivery.c.due_us <= now_us)
        why = f"the settings have no channel {name}"
        failed = update(delivery).where(is_due).values(state=State.FAILED.value, error=why).returning(delivery.c.id)
        tell_instead(connection, list(connection.scalars(failed)), now_us)
    return strangers


def prune(connection: Connection, *, before_us: int, events_before_us: int) -> int:
    """Delete what is settled and old, at most 500 rows; tells how many."""
    is_settled = delivery.c.state.not_in(_WAITING)
    old = delivery.c.created_us < before_us
    old_event = (delivery.c.kind == Kind.EVENT.value) & (delivery.c.created_us < events_before_us)
    ids: list[str] = []
    # Each by an index of its own.
    for is_old in (old_event, old):
        query = select(delivery.c.id).where(is_settled & is_old).limit(_CHUNK - len(ids))
        ids += connection.scalars(query) if not ids else ()
    if ids:
        connection.execute(delete(delivery).where(delivery.c.id.in_(ids)))
    return len(ids)


def _room(connection: Connection, channel: str, free: int, per_minute: int, now_us: int) -> tuple[int, int, int | None]:
    """Tell how many messages may go now, how many went within the last minute, and when more may."""
    if not per_minute:
        return free, 0, None
    if connection.dialect.name == "postgresql":
        # Two senders must not both see the same room; robots that are sent too much go silent for minutes.
        keys = {"one": _CHANNEL_LOCK, "other": zlib.crc32(channel.encode()) - 2**31}
        connection.execute(text("SELECT pg_advisory_xact_lock(:one, :other)"), keys)
    # Every message has a moment of its own, see `_take`.
    recent = (delivery.c.channel == channel) & (delivery.c.claimed_us > now_us - _MINUTE_US)
    count, first = connection.execute(
        select(func.count(delivery.c.claimed_us.distinct()), func.min(delivery.c.claimed_us)).where(recent)
    ).one()
    return min(free, per_minute - count), count, None if first is None else first + _MINUTE_US


def _take(
    connection: Connection, parcels: Sequence[Sequence[dict[str, Any]]], lease: Lease, *, first_us: int
) -> list[Parcel]:
    taken = [
        # A microsecond apart, so that the messages of a minute can be counted.
        {"row": row["id"], "claimed_us": first_us + index, "attempts": row["attempts"] + 1}
        for index, parcel in enumerate(parcels)
        for row in parcel
    ]
    if taken:
        statement = update(delivery).where(delivery.c.id == bindparam("row"))
        statement = statement.values(
            state=State.SENDING.value, claimed_by=lease.sender, due_us=lease.now_us + lease.length_us
        )
        connection.execute(statement, taken)
    return [Parcel(tuple(_claimed(row) for row in parcel)) for parcel in parcels]


def _noted(one: Note, now_us: int, give_up_after_us: int) -> dict[str, object]:
    error = clean(one.error, MAX_ERROR_CHARS) or None
    match one.verdict:
        case Verdict.SENT:
            return {"row": one.id, "state": State.SENT.value, "sent_us": now_us, "error": None}
        case Verdict.LEFT:
            # Not tried, though claimed.
            return {"row": one.id, "state": State.PENDING.value, "due_us": now_us, "attempts": one.attempts - 1}
        case Verdict.GONE:
            # The web hook is disabled in the same transaction; once it is enabled, this event is the first.
            return {"row": one.id, "state": State.PENDING.value, "due_us": now_us, "error": error}
        case Verdict.FAILED:
            return {"row": one.id, "state": State.FAILED.value, "error": error}
        case Verdict.AGAIN:
            wait_s = retry_s(one.attempts, is_critical=one.severity is Severity.CRITICAL)
            if one.after_s is not None:
                wait_s = max(wait_s, one.after_s)
            if now_us - one.created_us >= give_up_after_us:
                return {"row": one.id, "state": State.FAILED.value, "error": error}
            due_us = now_us + int(wait_s * 1_000_000)
            return {"row": one.id, "state": State.PENDING.value, "due_us": due_us, "error": error}


def _wishes(connection: Connection, contacts: Collection[str]) -> dict[str, Wishes]:
    found = find_contacts(connection, contacts)
    return {name: Wishes(one.quiet_from, one.quiet_to, one.max_per_hour) for name, one in found.items()}


def _told_us(connection: Connection, contacts: Collection[str], now_us: int) -> dict[str, list[int]]:
    if not contacts:
        return {}
    told = delivery.c.contact.in_(contacts) & (delivery.c.claimed_us > now_us - _HOUR_US)
    query = select(delivery.c.contact, delivery.c.claimed_us).distinct()
    times: dict[str, list[int]] = defaultdict(list)
    for row in connection.execute(query.where(told, delivery.c.state.in_((State.SENDING.value, State.SENT.value)))):
        times[row.contact].append(row.claimed_us)
    return times


def _waiting(row: dict[str, Any]) -> Waiting:
    return Waiting(
        id=row["id"],
        severity=Severity(row["severity"]),
        contact=row["contact"],
        address=row["address"],
        language=row["language"],
        due_us=row["due_us"],
        was_held=row["held_why"] is not None,
    )


def _claimed(row: dict[str, Any]) -> Claimed:
    wanted = {name: row[name] for name in Claimed.__struct_fields__}
    return msgspec.convert(wanted | {"attempts": row["attempts"] + 1}, Claimed)
