"""Orders to gateways, kept in the transaction that wants them: given, looked up, listed."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update

from cloud.areas.chunks import chunked
from cloud.database.order_tables import gateway_order
from cloud.errors import BadOrderError
from cloud.orders.life import OPEN, OrderState
from contract import cloudevents
from contract.commands import Command, Order, encode_command
from contract.ids import is_id
from contract.telemetry import Value

MAX_WAITING = 1_000
"""So many orders wait for one gateway at most."""
MAX_HOLD_US = 366 * 86_400_000_000
MAX_PAGE = 1_000
_MAX_WORD_CHARS = 200
_MAX_WHY_CHARS = 1_000
_PREFIX = "langyan.command."


class GatewayOrder(Struct, frozen=True, kw_only=True):
    """Something that a gateway is to do.

    Attributes:
        id: unique for ever; giving the same id again changes nothing.
        gateway: who is to do it.
        order: what is to be done; done twice it must be as if done once, see `cloud.orders.life`.
        by: who wants it: a user's name, or a trade's.
        why: for people.
        expires_at_us: the wish stands until then, microseconds UTC; cut at `MAX_HOLD_US` from now.
        replaces: a word for what is wished for (`arm CCB97E7361A4`), at most 200 characters; the latest wish of a word
            wins: an older one that is not under way is dropped, and one that is comes to its end before this is sent.
        sequence: orders of one gateway with the same word go one after the other, as they were given, whatever becomes
            of each; "": those with the same `replaces`. Orders with the same `replaces` have the same `sequence`.
    """

    id: str
    gateway: str
    order: Order
    by: str
    why: str = ""
    expires_at_us: int
    replaces: str = ""
    sequence: str = ""


class Ordered(Struct, frozen=True):
    """An order, and what became of it.

    Attributes:
        number: grows with time.
        kind: the contract's word for what is to be done: write, arm, ...
        state: how it stands; waiting and sent are not final.
        tries: how often the command under way was sent; `commands`: how many were made.
        reason: why it is not done; one English sentence.
        value: what the gateway answered, see `contract.commands.Result`.
    """

    number: int
    id: str
    gateway: str
    kind: str
    state: OrderState
    by: str
    why: str
    given_at_us: int
    expires_at_us: int
    sent_at_us: int | None
    settled_at_us: int | None
    commands: int
    tries: int
    reason: str
    value: Value | None


def give(connection: Connection, orders: Sequence[GatewayOrder], now_us: int) -> None:
    """Keep orders in the caller's transaction; the worker sends them once it is committed.

    What is beyond `MAX_WAITING` of a gateway is kept as refused, so that it is seen. A known id is passed over.

    Args:
        connection: a transaction for writing.
        orders: in the order in which they are to be done.
        now_us: the clock.

    Raises:
        BadOrderError: an id or a gateway is no id of the contract.
    """
    for one in orders:
        if not (is_id(one.id) and is_id(one.gateway)):
            raise BadOrderError(f"order {one.id[:80]!r} to gateway {one.gateway[:80]!r}")
    known = set(outcome_of(connection, [one.id for one in orders]))
    fresh = list({one.id: one for one in orders if one.id not in known}.values())
    latest = {(one.gateway, one.replaces): one.id for one in fresh if one.replaces}
    _outdate(connection, sorted(latest), now_us)
    room = _room(connection, sorted({one.gateway for one in fresh}))
    rows = []
    for one in fresh:
        row = _row(one, now_us)
        if one.replaces and latest[one.gateway, one.replaces] != one.id:
            row |= {"state": OrderState.REPLACED.value, "settled_at_us": now_us}
        elif not room[one.gateway]:
            reason = f"{MAX_WAITING} orders wait for this gateway"
            row |= {"state": OrderState.REFUSED.value, "settled_at_us": now_us, "reason": reason}
        else:
            room[one.gateway] -= 1
        rows.append(row)
    for some in chunked(rows):
        connection.execute(insert(gateway_order), list(some))


def outcome_of(connection: Connection, ids: Iterable[str]) -> dict[str, Ordered]:
    """Look up what became of orders; those that are unknown, or forgotten after `orders.keep_days`, are left out."""
    found: dict[str, Ordered] = {}
    for some in chunked(sorted(set(ids))):
        rows = connection.execute(select(*_SHOWN).where(gateway_order.c.id.in_(some)))
        found |= {row.id: _ordered(row) for row in rows}
    return found


def list_orders(
    connection: Connection,
    *,
    gateway: str | None = None,
    states: Sequence[OrderState] = (),
    before: int | None = None,
    limit: int = 100,
) -> list[Ordered]:
    """List orders, the latest first.

    Args:
        connection: reading is enough.
        gateway: only of this one.
        states: only those that stand so; none named: all.
        before: only those with a smaller number: the last one of the page before.
        limit: 1 to `MAX_PAGE`.
    """
    at = gateway_order.c
    wanted = select(*_SHOWN).order_by(at.number.desc()).limit(max(1, min(limit, MAX_PAGE)))
    if gateway is not None:
        wanted = wanted.where(at.gateway == gateway)
    if states:
        wanted = wanted.where(at.state.in_([one.value for one in states]))
    if before is not None:
        wanted = wanted.where(at.number < before)
    return [_ordered(row) for row in connection.execute(wanted)]


_SHOWN = [
    column for column in gateway_order.c if column.name in {field.name for field in msgspec.structs.fields(Ordered)}
]


def _ordered(row: Row[Any]) -> Ordered:
    return Ordered(**{**row._mapping, "state": OrderState(row.state)})  # noqa: SLF001 - SQLAlchemy's public name


def _row(one: GatewayOrder, now_us: int) -> dict[str, Any]:
    by, expires_at_us = one.by[:_MAX_WORD_CHARS], min(one.expires_at_us, now_us + MAX_HOLD_US)
    payload = encode_command(Command(one.id, one.gateway, one.order, expires_at_us, by), at_us=now_us)
    replaces = one.replaces[:_MAX_WORD_CHARS]
    lane = f"in {one.sequence}" if one.sequence else f"as {replaces}" if replaces else ""
    return {
        "id": one.id,
        "gateway": one.gateway,
        "lane": lane[: _MAX_WORD_CHARS + 3],
        "replaces": replaces,
        "kind": cloudevents.decode(payload).type.removeprefix(_PREFIX),
        "command": payload,
        "by": by,
        "why": one.why[:_MAX_WHY_CHARS],
        "given_at_us": now_us,
        "expires_at_us": expires_at_us,
        "state": OrderState.WAITING.value,
        "is_outdated": False,
        "commands": 0,
        "tries": 0,
        "due_at_us": now_us,
        "settled_at_us": None,
        "reason": "",
    }


def _outdate(connection: Connection, wishes: Sequence[tuple[str, str]], now_us: int) -> None:
    """Drop the older wishes that wait; those under way come to their end and are not made anew."""
    at = gateway_order.c
    for some in chunked(wishes, 200):
        same = or_(*(and_(at.gateway == gateway, at.replaces == word[:_MAX_WORD_CHARS]) for gateway, word in some))
        is_open = at.state.in_([state.value for state in OPEN])
        rows = connection.execute(
            select(at.number, at.state).where(is_open, same).order_by(at.number).with_for_update()
        )
        found = rows.all()
        replaced = {"state": OrderState.REPLACED.value, "settled_at_us": now_us}
        for state, change in ((OrderState.WAITING, replaced), (OrderState.SENT, {"is_outdated": True})):
            numbers = [row.number for row in found if row.state == state.value]
            connection.execute(update(gateway_order).where(at.number.in_(numbers)).values(change))


def _room(connection: Connection, gateways: Sequence[str]) -> dict[str, int]:
    room = dict.fromkeys(gateways, MAX_WAITING)
    at = gateway_order.c
    for some in chunked(gateways):
        is_open = at.state.in_([state.value for state in OPEN])
        query = select(at.gateway, func.count()).where(at.gateway.in_(some), is_open).group_by(at.gateway)
        for name, count in connection.execute(query):
            room[name] = max(MAX_WAITING - count, 0)
    return room
