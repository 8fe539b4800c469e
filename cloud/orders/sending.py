"""Orders as rows: which are due, what is sent, what an answer changes. What it means is in `cloud.orders.life`."""

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from cloud.areas.chunks import chunked
from cloud.database.order_tables import gateway_order
from cloud.database.tables import gateway
from cloud.feed.lease import hold
from cloud.orders.life import GRACE_US, OPEN, Life, OrderState, Pace, answered, end, send, unsent
from cloud.orders.settings import Orders
from contract.commands import Command, Result, decode_command

AT_ONCE = 200
"""So many orders are looked at in one transaction."""
_FIELDS = [field.name for field in msgspec.structs.fields(Life)]
_PRUNED_AT_ONCE = 1_000


class Sending(Struct, frozen=True):
    """A command to publish, of the order with this number."""

    number: int
    command: Command


def pace_of(settings: Orders) -> Pace:
    """Read how patient we are."""
    seconds = settings.repeat_s, settings.command_s, settings.longest_wait_s
    return Pace(*(round(one * 1e6) for one in seconds))


def has_due(connection: Connection, settings: Orders, *, now_us: int) -> bool:
    """Tell whether `take_due` would do anything; changes nothing."""
    return any(
        connection.execute(query.limit(1)).first() is not None for query in (_ended(now_us), _repeated(now_us))
    ) or bool(_begun(connection, settings, now_us))


def take_due(connection: Connection, settings: Orders, *, now_us: int) -> list[Sending]:
    """End what is over, and note as sent what is to be published once this is committed.

    A worker that dies in between has sent nothing: it is repeated in its time. Workers take turns, so that the bounds
    hold over all of them.

    Args:
        connection: a transaction for writing.
        settings: bounds and patience.
        now_us: the clock.

    Returns:
        At most `AT_ONCE` commands, in the order in which they were given.
    """
    hold(connection, "orders", holder="", now_us=now_us, for_s=0.0)
    pace = pace_of(settings)
    ended = connection.execute(_claimed(_ended(now_us))).all()
    _keep(connection, [(row, end(_life(row), now_us=now_us, pace=pace)) for row in ended])
    found: list[Sending] = []
    changed: list[tuple[Row[Any], Life]] = []
    repeated = connection.execute(_claimed(_repeated(now_us))).all()
    for row in [*repeated, *_begun(connection, settings, now_us, is_claimed=True)][:AT_ONCE]:
        life = send(_life(row), uuid.uuid4().hex, birth_us=row.since_us, now_us=now_us, pace=pace)
        known = decode_command(bytes(row.command), gateway=row.gateway)
        command = Command(str(life.command_id), row.gateway, known.order, life.command_until_us or 0, known.by)
        found.append(Sending(row.number, command))
        changed.append((row, life))
    _keep(connection, changed)
    return found


def note_unsent(connection: Connection, numbers: Sequence[int], *, now_us: int) -> None:
    """Note that the broker did not take what `take_due` gave."""
    for some in chunked(sorted(numbers)):
        rows = connection.execute(_locked(gateway_order.c.number.in_(some))).all()
        _keep(
            connection, [(row, unsent(_life(row), now_us=now_us)) for row in rows if row.state == OrderState.SENT.value]
        )


def take_results(
    connection: Connection, results: Sequence[Result], settings: Orders, *, now_us: int
) -> list[tuple[Result, OrderState]]:
    """Keep the answers to orders; what answers nothing that is under way is passed over.

    Returns:
        The answers that changed an order, and how it stands now.
    """
    # The first word counts: a repeated command is answered again, and says the same.
    by_id = {one.id: one for one in reversed(results)}
    found: list[tuple[Result, OrderState]] = []
    for some in chunked(sorted(by_id)):
        changed: list[tuple[Row[Any], Life]] = []
        for row in connection.execute(_locked(gateway_order.c.command_id.in_(some))).all():
            result, before = by_id[row.command_id], _life(row)
            # Whoever it was that answered: it is not who was asked.
            life = before if result.gateway != row.gateway else answered(
                before, result, now_us=now_us, pace=pace_of(settings)
            )  # fmt: skip
            if life is not before:
                changed.append((row, life))
                found.append((result, life.state))
        _keep(connection, changed)
    return found


def prune(connection: Connection, settings: Orders, *, now_us: int) -> int:
    """Forget settled orders after `keep_days`, a thousand at a time; returns how many."""
    at = gateway_order.c
    old_us = now_us - settings.keep_days * 86_400_000_000
    numbers = select(at.number).where(at.settled_at_us < old_us).order_by(at.settled_at_us).limit(_PRUNED_AT_ONCE)
    found = connection.execute(numbers).scalars().all()
    for some in chunked(found):
        connection.execute(delete(gateway_order).where(at.number.in_(some)))
    return len(found)


def _ended(now_us: int) -> Select[Any]:
    """Write the query of wishes and commands whose time is over, whoever is there."""
    at = gateway_order.c
    is_over = or_(
        and_(at.state == OrderState.WAITING.value, at.expires_at_us <= now_us),
        and_(at.state == OrderState.SENT.value, at.command_until_us <= now_us - GRACE_US),
    )
    return select(gateway_order).where(is_over).order_by(at.number).limit(AT_ONCE)


def _repeated(now_us: int) -> Select[Any]:
    """Write the query of what is under way and late, and of what was sent to a gateway that was born since."""
    at = gateway_order.c
    is_due = and_(at.state == OrderState.SENT.value, at.command_until_us > now_us, _is_due(now_us))
    return _with_presence().where(is_due, _is_there()).order_by(at.number).limit(AT_ONCE)


def _begun(connection: Connection, settings: Orders, now_us: int, *, is_claimed: bool = False) -> list[Row[Any]]:
    """Find what waits and may go: the first of its lane, within the bounds of all and of its gateway."""
    at, before = gateway_order.c, gateway_order.alias("earlier")
    under_way = _under_way(connection)
    room = settings.in_flight - sum(under_way.values())
    if room <= 0:
        return []
    is_behind = exists(
        select(before.c.number).where(
            before.c.gateway == at.gateway,
            before.c.state.in_([state.value for state in OPEN]),
            before.c.lane == at.lane,
            before.c.number < at.number,
        )
    )
    may_go = and_(at.state == OrderState.WAITING.value, at.expires_at_us > now_us, _is_due(now_us), _is_there())
    query = _with_presence().where(may_go, or_(at.lane == "", ~is_behind))
    # Gateways that have their share would fill the page before others.
    busy = sorted(name for name, count in under_way.items() if count >= settings.per_gateway)
    query = query.where(at.gateway.not_in(busy)) if busy else query
    query = query.order_by(at.number).limit(5 * AT_ONCE)
    found: list[Row[Any]] = []
    for row in connection.execute(_claimed(query) if is_claimed else query):
        if under_way[row.gateway] < settings.per_gateway and len(found) < room:
            under_way[row.gateway] += 1
            found.append(row)
    return found


def _under_way(connection: Connection) -> Counter[str]:
    """Count what is under way by gateway, where somebody may answer."""
    at = gateway_order.c
    joined = gateway_order.outerjoin(gateway, at.gateway == gateway.c.id)
    query = select(at.gateway, func.count()).select_from(joined).where(at.state == OrderState.SENT.value, _is_there())
    rows = connection.execute(query.group_by(at.gateway)).all()
    return Counter({row[0]: row[1] for row in rows})


def _with_presence() -> Select[Any]:
    joined = gateway_order.outerjoin(gateway, gateway_order.c.gateway == gateway.c.id)
    return select(gateway_order, gateway.c.since_us).select_from(joined)


def _is_there() -> ColumnElement[bool]:
    """Compare with what is known of the gateway; one that was never heard of is tried."""
    return or_(gateway.c.online.is_(None), gateway.c.online)


def _is_due(now_us: int) -> ColumnElement[bool]:
    at = gateway_order.c
    return or_(at.due_at_us <= now_us, and_(at.birth_us.is_not(None), at.birth_us != gateway.c.since_us))


def _claimed(query: Select[Any]) -> Select[Any]:
    """Lock what is read; an answer to it may just be being kept, and then it is left out."""
    return query.with_for_update(of=gateway_order, skip_locked=True)


def _locked(condition: ColumnElement[bool]) -> Select[Any]:
    return select(gateway_order).where(condition).order_by(gateway_order.c.number).with_for_update()


def _life(row: Row[Any]) -> Life:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name
    return Life(**{name: values[name] for name in _FIELDS} | {"state": OrderState(row.state)})


def _keep(connection: Connection, changed: Sequence[tuple[Row[Any], Life]]) -> None:
    if not changed:
        return
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _FIELDS if name != "is_outdated"}
    statement = update(gateway_order).where(gateway_order.c.number == bindparam("of_number")).values(values)
    rows = []
    for row, life in changed:
        new = {f"new_{name}": getattr(life, name) for name in values}
        rows.append(new | {"of_number": row.number, "new_state": life.state.value})
    connection.execute(statement, rows)
