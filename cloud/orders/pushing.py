"""The stolen list on its way, as rows: who is to have it, what is sent, what an answer changes.

What it means is in `cloud.orders.reconcile`.
"""

import uuid
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.areas.chunks import chunked
from cloud.areas.places import find_places
from cloud.database.area_tables import area
from cloud.database.order_tables import stolen_at_gateway, stolen_version
from cloud.database.tables import gateway
from cloud.feed.lease import hold
from cloud.orders import reconcile
from cloud.orders.reconcile import Push, Standing, Wish
from cloud.orders.sending import pace_of
from cloud.orders.settings import Orders
from cloud.orders.stolen import Confirmed, confirmed, content_of
from cloud.settings import Settings
from contract.commands import Command, Result
from contract.tags import StolenPart, parts_of

BY = "langyan"
ID_PREFIX = "stolen-"
_PARTS_KEPT = 8
_STANDING = [field.name for field in msgspec.structs.fields(Standing) if field.name != "push"]
_PUSH = {
    "push": "id", "push_version": "version", "push_base": "base", "push_number": "number", "part": "part",
    "parts": "parts", "is_under_way": "is_under_way", "until_us": "until_us", "tries": "tries",
}  # fmt: skip
_NO_PUSH = Push("", 0, None, 0)


class Parts:
    """Lists cut into parts: the last few of them, since all gateways get the same."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int | None], list[StolenPart]] = OrderedDict()

    def of(self, connection: Connection, push: Push) -> list[StolenPart]:
        """Cut what is pushed; the numbers in the parts are the push's."""
        key = push.version, push.base
        parts = self._kept.get(key)
        if parts is None:
            old = None if push.base is None else content_of(connection, push.base)
            parts = parts_of(content_of(connection, push.version), version=push.version, old=old)
            self._kept[key] = parts
            if len(self._kept) > _PARTS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return parts


class PartSending(Struct, frozen=True):
    """A part to publish."""

    gateway: str
    command: Command


class Targets(Struct, frozen=True):
    """Gateways that are to have the list and have no row yet, and those that have one and are no longer to have it."""

    new: tuple[str, ...]
    gone: tuple[str, ...]


def find_targets(connection: Connection, settings: Orders, registry: frozenset[str] | None) -> Targets:
    """Compare the rows with who is to have the list: every gateway that was ever born, or those of the settings.

    Args:
        connection: reading is enough.
        settings: `stolen_to`.
        registry: the gateways of the settings file; None: any.
    """
    known = set(connection.execute(select(gateway.c.id)).scalars())
    wanted = known if registry is None else known & registry
    if settings.stolen_to != "all":
        named = set(settings.stolen_to)
        query = select(area.c.path).where(area.c.id.in_(sorted(named)))
        above = tuple(connection.execute(query).scalars())
        places = find_places(connection, {(name, "") for name in wanted})
        wanted = {
            name for name in wanted
            if name in named or (bool(above) and places[name, ""].area_path.startswith(above))
        }  # fmt: skip
    rows = set(connection.execute(select(stolen_at_gateway.c.gateway)).scalars())
    return Targets(tuple(sorted(wanted - rows)), tuple(sorted(rows - wanted)))


def confirmed_by_all(connection: Connection, settings: Settings) -> Confirmed:
    """Tell which gateways have the list in force; missing are those too that no worker has given a row yet."""
    known = confirmed(connection)
    if not known.version:
        return known
    registry = None if settings.gateways is None else frozenset(settings.gateways)
    targets = find_targets(connection, settings.orders, registry)
    gone = frozenset(targets.gone)
    missing = (known.missing - gone) | frozenset(targets.new)
    return msgspec.structs.replace(known, gateways=known.gateways - gone, missing=missing)


def note_targets(connection: Connection, targets: Targets, *, now_us: int) -> None:
    """Give those that are new their row, and take it from those that are gone."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = [_values(Standing(due_at_us=now_us)) | {"gateway": name} for name in targets.new]
    for some in chunked(new):
        connection.execute(dialect.insert(stolen_at_gateway).on_conflict_do_nothing(), list(some))
    for names in chunked(targets.gone):
        connection.execute(delete(stolen_at_gateway).where(stolen_at_gateway.c.gateway.in_(names)))


def has_due(connection: Connection, *, now_us: int) -> bool:
    """Tell whether `take_due` has anything to look at; changes nothing."""
    newest = _newest(connection)
    return newest > 0 and connection.execute(_due(newest, now_us).limit(1)).first() is not None


def take_due(connection: Connection, settings: Orders, parts: Parts, *, now_us: int) -> list[PartSending]:
    """Decide for every gateway whose time it is, and note what is to be published once this is committed.

    Workers take turns, so that the bound holds over all of them.

    Args:
        connection: a transaction for writing.
        settings: bounds and patience.
        parts: of this worker.
        now_us: the clock.
    """
    newest = _newest(connection)
    if not newest:
        return []
    hold(connection, "stolen-push", holder="", now_us=now_us, for_s=0.0)
    kept = frozenset(connection.execute(select(stolen_version.c.version)).scalars())
    wish = Wish(newest, kept, round(settings.stolen_check_h * 3.6e9), pace_of(settings))
    room = settings.stolen_in_flight - _under_way(connection)
    at = stolen_at_gateway.c
    # Those under way first: they take no room of others, and may give theirs back.
    query = _due(newest, now_us).order_by(at.is_under_way.desc(), at.due_at_us, at.gateway)
    query = query.limit(2 * settings.stolen_in_flight).with_for_update(of=stolen_at_gateway, skip_locked=True)
    found: list[PartSending] = []
    changed: list[tuple[str, Standing]] = []
    for row in connection.execute(query).all():
        room += row.is_under_way
        push_id = f"{ID_PREFIX}{uuid.uuid4().hex[:20]}"
        standing = reconcile.look(_standing(row), wish, birth_us=row.since_us, push_id=push_id, now_us=now_us)
        if reconcile.is_to_be_sent(standing, now_us=now_us) and standing.push is not None:
            if room <= 0:
                continue
            room -= 1
            cut = parts.of(connection, standing.push)
            standing = reconcile.sent(standing, parts=len(cut), now_us=now_us, pace=wish.pace)
            found.append(PartSending(row.gateway, _command(row.gateway, standing, cut)))
        changed.append((row.gateway, standing))
    _keep(connection, changed)
    return found


def note_unsent(connection: Connection, gateways: Sequence[str], *, now_us: int) -> None:
    """Note that the broker did not take what `take_due` gave."""
    for some in chunked(sorted(gateways)):
        rows = connection.execute(_locked(stolen_at_gateway.c.gateway.in_(some))).all()
        _keep(connection, [(row.gateway, reconcile.unsent(_standing(row), now_us=now_us)) for row in rows])


def take_results(
    connection: Connection, results: Sequence[Result], settings: Orders, *, now_us: int
) -> list[tuple[Result, Standing]]:
    """Keep the answers to parts; what answers nothing that is under way is passed over.

    Returns:
        The answers that changed anything, and how their gateways stand now.
    """
    by_gateway: dict[str, list[Result]] = {}
    for result in results:
        if result.id.startswith(ID_PREFIX):
            by_gateway.setdefault(result.gateway, []).append(result)
    found: list[tuple[Result, Standing]] = []
    for some in chunked(sorted(by_gateway)):
        changed: list[tuple[str, Standing]] = []
        for row in connection.execute(_locked(stolen_at_gateway.c.gateway.in_(some))).all():
            standing = _standing(row)
            for result in by_gateway[row.gateway]:
                before = standing
                standing = reconcile.answered(before, result, now_us=now_us, pace=pace_of(settings))
                if standing is not before:
                    found.append((result, standing))
            changed.append((row.gateway, standing))
        _keep(connection, changed)
    return found


def _newest(connection: Connection) -> int:
    newest: int = connection.execute(select(func.coalesce(func.max(stolen_version.c.version), 0))).scalar_one()
    return newest


def _under_way(connection: Connection) -> int:
    """Count the parts under way, where somebody may answer."""
    at = stolen_at_gateway.c
    joined = stolen_at_gateway.join(gateway, at.gateway == gateway.c.id)
    query = select(func.count()).select_from(joined).where(at.is_under_way, gateway.c.online)
    return connection.execute(query).scalar_one()


def _due(newest: int, now_us: int) -> Select[Any]:
    """Write the query of the gateways that are there and whose time it is."""
    at = stolen_at_gateway.c
    is_born = or_(at.birth_us.is_(None), at.birth_us != gateway.c.since_us)
    has_other = or_(at.version.is_(None), at.version != newest)
    is_news = and_(has_other, at.push == "", at.failures == 0, ~at.is_deaf)
    joined = stolen_at_gateway.join(gateway, at.gateway == gateway.c.id)
    query = select(stolen_at_gateway, gateway.c.since_us).select_from(joined)
    return query.where(gateway.c.online, or_(at.due_at_us <= now_us, is_born, is_news))


def _locked(condition: ColumnElement[bool]) -> Select[Any]:
    return select(stolen_at_gateway).where(condition).order_by(stolen_at_gateway.c.gateway).with_for_update()


def _command(name: str, standing: Standing, cut: Sequence[StolenPart]) -> Command:
    push = standing.push or _NO_PUSH
    part = msgspec.structs.replace(cut[push.part - 1], version=push.number)
    return Command(push.command_id, name, part, push.until_us, BY)


def _standing(row: Row[Any]) -> Standing:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name
    push = Push(**{field: values[column] for column, field in _PUSH.items()}) if row.push else None
    return Standing(**{name: values[name] for name in _STANDING}, push=push)


def _values(standing: Standing) -> dict[str, Any]:
    push = standing.push or _NO_PUSH
    values = {name: getattr(standing, name) for name in _STANDING}
    return values | {column: getattr(push, field) for column, field in _PUSH.items()}


def _keep(connection: Connection, changed: Sequence[tuple[str, Standing]]) -> None:
    if not changed:
        return
    at = stolen_at_gateway.c
    names = [*_STANDING, *_PUSH]
    statement = update(stolen_at_gateway).where(at.gateway == bindparam("of_gateway"))
    statement = statement.values({name: bindparam(f"new_{name}") for name in names})
    rows = [
        {f"new_{name}": value for name, value in _values(standing).items()} | {"of_gateway": name_of}
        for name_of, standing in changed
    ]
    connection.execute(statement, rows)
