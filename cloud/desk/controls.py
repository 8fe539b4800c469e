"""What takes alarms' voices away: shelved by an operator, suppressed by design, out of service for maintenance.

A control holds for a source, or for all whose name begins so: a gateway, `gateway/device`, `gateway/device/point`. It
holds for the alarms that are open and for those that come while it lasts. It hides nothing from the database, and no
event is lost by it: when it ends, what still lasts is unacknowledged again.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, func, insert, or_, select, text, update

from cloud.areas.chunks import AT_ONCE, chunked
from cloud.areas.places import find_places
from cloud.database.dead_letters import clean
from cloud.database.tables import SOURCE_CHARS, control, occurrence
from cloud.desk.changes import DESK, Actor, Changed, What
from cloud.desk.core import URGENCY, Alarm, lived
from cloud.desk.keeping import keep, note, to_alarm
from cloud.desk.life import Event
from cloud.errors import ControlError
from contract.alarms import Mode, Severity

MAX_WHY_CHARS = 4_000
MAX_SHELVE_S = 8 * 3600.0
# "ctrl": events hold it shared, so that a control that begins or ends sees every alarm, and the other way round.
_CONTROLS_LOCK = 0x6374726C
_EXPIRED_AT_ONCE = 500
_NAMES_OF_A_SOURCE = 4

_LASTING = select(control).where(control.c.lasting_key.in_(bindparam("some", expanding=True)))
_ALL_LASTING = select(control).where(control.c.lasting_key.is_not(None))


class ControlKind(StrEnum):
    """Whose decision it is; stored."""

    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out-of-service"


class Control(Struct, frozen=True):
    """One control, a row of `control`. Times are microseconds UTC.

    Attributes:
        target: a source or the beginning of one, in whole names.
        by, origin, why: who began it, where from, and the reason.
        until_us: when it ends by itself; None: somebody ends it.
        ended_us, ended_by: when it ended; None while it lasts.
    """

    id: int
    kind: ControlKind
    target: str
    by: str
    origin: str
    why: str
    since_us: int
    until_us: int | None = None
    ended_us: int | None = None
    ended_by: str | None = None


class Silence(Struct, frozen=True):
    """What all controls together say of a source; the fields are those of `Alarm`."""

    shelved_until_us: int | None = None
    suppressed_by: str | None = None
    out_of_service: bool = False


class Silenced(Struct, frozen=True):
    """How many open live alarms a control silences, and how many of them are critical."""

    alarms: int = 0
    critical: int = 0


class _Form(Struct, frozen=True):
    field: str
    begins: Event
    ends: Event
    begun: What
    ended: What


_FORMS: Mapping[ControlKind, _Form] = MappingProxyType(
    {
        ControlKind.SHELVED: _Form("shelved_until_us", Event.SHELVE, Event.UNSHELVE, What.SHELVED, What.UNSHELVED),
        ControlKind.SUPPRESSED: _Form(
            "suppressed_by", Event.SUPPRESS, Event.UNSUPPRESS, What.SUPPRESSED, What.UNSUPPRESSED
        ),
        ControlKind.OUT_OF_SERVICE: _Form(
            "out_of_service", Event.REMOVE, Event.RETURN, What.OUT_OF_SERVICE, What.IN_SERVICE
        ),
    }
)


def targets_of(source: str) -> tuple[str, ...]:
    """Name every target that a source lies under: its gateway, its device, its point, itself."""
    names = source.split("/")
    return tuple("/".join(names[:count]) for count in range(1, len(names) + 1))


def begin(
    connection: Connection,
    kind: ControlKind,
    target: str,
    *,
    actor: Actor,
    why: str,
    now_us: int,
    until_us: int | None = None,
    max_shelve_s: float = MAX_SHELVE_S,
) -> Control:
    """Begin a control, and silence what is open under it.

    Args:
        connection: a transaction for writing that has locked no alarm yet.
        kind: whose decision it is; shelving ends by itself and so needs `until_us`.
        target: a source or the beginning of one, in whole names.
        actor: who.
        why: the reason, which must be given.
        now_us: now.
        until_us: when it ends by itself.
        max_shelve_s: as the settings have it.

    Raises:
        ControlError: such a control lasts already; no reason; a shelving without an end or too long; a past end.
    """
    lock_controls(connection)
    _check(kind, target, why, now_us=now_us, until_us=until_us)
    if kind is ControlKind.SHELVED and (until_us or 0) - now_us > max_shelve_s * 1e6:
        raise ControlError(f"{target}: nothing is shelved for more than {max_shelve_s / 3600:g} hours")
    if (lasting := _find(connection, kind, target)) is not None:
        raise ControlError(f"{target} is {kind.value} already, by {lasting.by}: {lasting.why}")
    values: dict[str, Any] = {
        "kind": kind.value,
        "target": target,
        "by": actor.name,
        "origin": actor.origin,
        "why": clean(why, MAX_WHY_CHARS),
        "since_us": now_us,
        "until_us": until_us,
    }
    inserted = insert(control).values(lasting_key=_key(kind, target), **values).returning(control.c.id)
    begun = _to_control({"id": connection.execute(inserted).scalar_one(), **values})
    _carry_out(connection, [(begun, _FORMS[kind].begun)], actor=actor, why=begun.why, now_us=now_us)
    return begun


def end(connection: Connection, kind: ControlKind, target: str, *, actor: Actor, why: str = "", now_us: int) -> Control:
    """End a control; what no other silences has its voice again, unacknowledged where its condition lasts.

    Args:
        connection: a transaction for writing that has locked no alarm yet.
        kind: as it was begun.
        target: as it was begun.
        actor: who.
        why: may be left out.
        now_us: now.

    Raises:
        ControlError: no such control lasts.
    """
    lock_controls(connection)
    lasting = _find(connection, kind, target)
    if lasting is None:
        raise ControlError(f"{target!r} is not {kind.value}")
    (ended,) = _end(connection, [lasting], actor=actor, why=clean(why, MAX_WHY_CHARS), now_us=now_us)
    return ended


def end_expired(connection: Connection, *, now_us: int) -> int:
    """End the controls whose time is over, at most 500 at once; returns how many."""
    due = select(control).where(control.c.until_us <= now_us, control.c.lasting_key.is_not(None))
    if connection.execute(due.limit(1)).first() is None:
        return 0
    lock_controls(connection)
    rows = connection.execute(due.order_by(control.c.until_us).limit(_EXPIRED_AT_ONCE)).mappings().all()
    _end(connection, [_to_control(row) for row in rows], actor=DESK, why="", now_us=now_us)
    return len(rows)


def list_controls(
    connection: Connection, *, kind: ControlKind | None = None, lasting: bool = True, limit: int = 1_000
) -> list[Control]:
    """List controls, those that end first in front; `until_us` less now is the time that remains."""
    query = select(control).order_by(control.c.until_us.is_(None), control.c.until_us, control.c.id).limit(limit)
    if kind is not None:
        query = query.where(control.c.kind == kind.value)
    if lasting:
        query = query.where(control.c.lasting_key.is_not(None))
    return [_to_control(row) for row in connection.execute(query).mappings()]


def count_silenced(connection: Connection, controls: Sequence[Control]) -> list[Silenced]:
    """Count what each of some controls silences now, in their order."""
    at = occurrence.c
    is_silent = or_(at.shelved_until_us.is_not(None), at.suppressed_by.is_not(None), at.out_of_service.is_(True))
    columns = (at.source, at.severity, *(at[form.field] for form in _FORMS.values()))
    alarms: dict[tuple[ControlKind, str], int] = {}
    critical: dict[tuple[ControlKind, str], int] = {}
    for some in chunked(sorted({one.target.partition("/")[0] for one in controls})):
        query = select(*columns, func.count()).group_by(*columns).where(at.gateway.in_(some), is_silent)
        for source, severity, *had, count in connection.execute(
            query.where(at.closed_at_us.is_(None), at.mode == Mode.LIVE.value)
        ):
            kinds = [kind for kind, value in zip(_FORMS, had, strict=True) if value]
            for key in [(kind, target) for kind in kinds for target in targets_of(source)]:
                alarms[key] = alarms.get(key, 0) + count
                critical[key] = critical.get(key, 0) + (count if severity == Severity.CRITICAL.value else 0)
    keys = [(one.kind, one.target) for one in controls]
    return [Silenced(alarms.get(key, 0), critical.get(key, 0)) for key in keys]


def end_by_rise(connection: Connection, changes: Sequence[Changed]) -> list[Changed]:
    """End the shelves of sources whose alarm has become more urgent: nobody has decided not to hear that.

    Args:
        connection: a transaction for writing that holds the controls at least shared, and each of these sources.
        changes: what events have made of the alarms; not kept yet.

    Returns:
        What is to be kept behind them: each of these alarms with its voice back.
    """
    first: dict[str, Changed] = {}
    last: dict[str, Changed] = {}
    for one in changes:
        first.setdefault(one.after.alarm_id, one)
        last[one.after.alarm_id] = one
    risen = []
    for alarm_id, one in last.items():
        alarm = one.after
        if alarm.shelved_until_us is None or alarm.mode is not Mode.LIVE:
            continue
        before = first[alarm_id].before
        was = _severity_shelved(connection, alarm) if before is None else before.severity
        heard = lived(alarm, Event.UNSHELVE) if URGENCY[alarm.severity] < URGENCY[was] else None
        if heard is None:
            continue
        shelf = update(control).where(control.c.lasting_key == _key(ControlKind.SHELVED, alarm.source))
        connection.execute(shelf.values(lasting_key=None, ended_us=one.at_us, ended_by=DESK.name))
        why = f"its severity rose from {was.value} to {alarm.severity.value}"
        risen.append(Changed(alarm, heard, What.UNSHELVED, DESK, one.at_us, why))
    return risen


def _severity_shelved(connection: Connection, alarm: Alarm) -> Severity:
    """Tell the severity of the alarm of this source before this one: the shelf was begun on that."""
    at = occurrence.c
    # By its area, which has an index; one whose place is another now was shelved elsewhere.
    query = select(at.severity).where(at.area_path == alarm.area_path, at.source == alarm.source)
    found = connection.execute(query.order_by(at.raised_at_us.desc()).limit(1)).scalar_one_or_none()
    return Severity.HIGH if found is None else Severity(found)


def find_silences(connection: Connection, sources: Collection[str]) -> dict[str, Silence]:
    """Tell what the controls say of each source; every source is in the answer."""
    keys = [_key(kind, target) for source in sources for target in targets_of(source) for kind in ControlKind]
    # Of many sources it is less work to look through all that lasts.
    lasting = _ALL_LASTING if len(keys) > AT_ONCE else _LASTING
    rows = connection.execute(lasting, {"some": keys[:AT_ONCE]}).mappings()
    found = {row["lasting_key"]: _to_control(row) for row in rows}
    if not found:
        return dict.fromkeys(sources, Silence())
    return {source: _silence_of(source, found) for source in sources}


def lock_controls(connection: Connection, *, shared: bool = False) -> None:
    """Let no control begin or end until the commit; take it before any alarm is locked."""
    if connection.dialect.name == "postgresql":
        word = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        connection.execute(text(f"SELECT {word}(:controls)"), {"controls": _CONTROLS_LOCK})


def silenced(alarm: Alarm, kind: ControlKind, silence: Silence, *, target: str) -> Alarm | None:
    """Tell what an alarm becomes when a control of `kind` on `target` has begun or ended; None: as it was. Pure.

    Args:
        alarm: an open one under `target`.
        kind: of the control.
        target: of the control.
        silence: what all controls that last now say of its source.
    """
    form = _FORMS[kind]
    had, has = getattr(alarm, form.field), getattr(silence, form.field)
    # What something else than a control suppresses, that must give back.
    if had == has or (kind is ControlKind.SUPPRESSED and had not in (None, target)):
        return None
    if not has:
        return lived(alarm, form.ends)
    return (
        msgspec.structs.replace(alarm, **{form.field: has}) if had else lived(alarm, form.begins, **{form.field: has})
    )


def _check(kind: ControlKind, target: str, why: str, *, now_us: int, until_us: int | None) -> None:
    names = target.split("/")
    if not all(names) or len(names) > _NAMES_OF_A_SOURCE or len(target) > SOURCE_CHARS:
        raise ControlError(f"{target[:80]!r} is no source and no beginning of one")
    if not why.strip():
        raise ControlError(f"{target}: it is not {kind.value} without a reason")
    if until_us is None and kind is ControlKind.SHELVED:
        raise ControlError(f"{target}: it is not shelved without an end")
    if until_us is not None and until_us <= now_us:
        raise ControlError(f"{target}: the end lies in the past")


def _end(connection: Connection, lasting: Sequence[Control], *, actor: Actor, why: str, now_us: int) -> list[Control]:
    ended = {"ended_us": now_us, "ended_by": actor.name}
    ids = [one.id for one in lasting]
    connection.execute(update(control).where(control.c.id.in_(ids)).values(lasting_key=None, **ended))
    over = [(one, _FORMS[one.kind].ended) for one in lasting]
    _carry_out(connection, over, actor=actor, why=why, now_us=now_us)
    return [msgspec.structs.replace(one, **ended) for one in lasting]


def _carry_out(
    connection: Connection, controls: Sequence[tuple[Control, What]], *, actor: Actor, why: str, now_us: int
) -> None:
    """Change every open alarm under controls that have just begun or ended, and write down that they have."""
    under = [_ids_under(connection, one.target) for one, _what in controls]
    alarms = _lock_open(connection, {alarm_id for ids in under for alarm_id in ids})
    silences = find_silences(connection, {alarm.source for alarm in alarms.values()})
    changes = []
    for (one, what), ids in zip(controls, under, strict=True):
        for alarm in [alarms[alarm_id] for alarm_id in ids if alarm_id in alarms]:
            after = silenced(alarm, one.kind, silences[alarm.source], target=one.target)
            if after is not None:
                changes.append(Changed(alarm, after, what, actor, now_us, why))
                alarms[alarm.alarm_id] = after
    keep(connection, changes)
    places = find_places(connection, {_device_of(one.target) for one, _what in controls})
    for one, what in controls:
        path = places[_device_of(one.target)].area_path
        note(connection, what, target=one.target, area_path=path, actor=actor, at_us=now_us, why=why)


def _ids_under(connection: Connection, target: str) -> Sequence[str]:
    is_under = (occurrence.c.source == target) | occurrence.c.source.startswith(f"{target}/", autoescape=True)
    gateway, _device = _device_of(target)
    query = select(occurrence.c.alarm_id).where(occurrence.c.gateway == gateway, occurrence.c.closed_at_us.is_(None))
    return connection.execute(query.where(is_under).order_by(occurrence.c.alarm_id)).scalars().all()


def _lock_open(connection: Connection, ids: Collection[str]) -> dict[str, Alarm]:
    """Lock those that are still open: all of them before the history, and in one order, as everybody does."""
    query = select(occurrence).where(occurrence.c.closed_at_us.is_(None)).order_by(occurrence.c.alarm_id)
    found: dict[str, Alarm] = {}
    for some in chunked(sorted(ids)):
        rows = connection.execute(query.where(occurrence.c.alarm_id.in_(some)).with_for_update()).mappings()
        found |= {row["alarm_id"]: to_alarm(row) for row in rows}
    return found


def _device_of(target: str) -> tuple[str, str]:
    gateway, device, *_ = [*target.split("/"), ""]
    return gateway, device


def _find(connection: Connection, kind: ControlKind, target: str) -> Control | None:
    query = select(control).where(control.c.lasting_key == _key(kind, target))
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _to_control(row)


def _silence_of(source: str, lasting: Mapping[str, Control]) -> Silence:
    def of(kind: ControlKind) -> list[Control]:
        keys = (_key(kind, target) for target in targets_of(source))
        return [lasting[key] for key in keys if key in lasting]

    shelved, suppressed = of(ControlKind.SHELVED), of(ControlKind.SUPPRESSED)
    return Silence(
        shelved_until_us=max((one.until_us or 0 for one in shelved), default=None),
        suppressed_by=suppressed[0].target if suppressed else None,
        out_of_service=bool(of(ControlKind.OUT_OF_SERVICE)),
    )


def _key(kind: ControlKind, target: str) -> str:
    return f"{kind.value} {target}"


def _to_control(row: Mapping[Any, Any]) -> Control:
    return msgspec.convert({str(key): value for key, value in row.items()}, Control)
