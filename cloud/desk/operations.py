"""What people do with an alarm: show, acknowledge, dispatch, arrive, close, comment, reset, shelve; and who may not.

Each act takes a transaction (`Database.run`, `call`), finds the alarm by its id or the beginning of one, locks it, and
changes it through `cloud.desk.keeping`. What its state does not allow is refused with what it would allow.
"""

import re
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, or_, select, union

from cloud.areas.chunks import chunked
from cloud.database import Database
from cloud.database.dead_letters import clean
from cloud.database.tables import alarm_event, occurrence
from cloud.desk import controls
from cloud.desk.changes import Actor, Changed, What
from cloud.desk.controls import ControlKind
from cloud.desk.core import Alarm, ClosingCode, Stage, lived
from cloud.desk.keeping import keep, to_alarm
from cloud.desk.life import Event, step
from cloud.errors import (
    ActionRefusedError,
    AlreadyAcknowledgedError,
    AlreadyClosedError,
    AmbiguousAlarmError,
    ClosingError,
    UnknownAlarmError,
)
from contract.alarms import Mode, Transition

_ID = re.compile(r"[0-9a-f]{1,24}")
_WHOLE_ID = 24
# The first character after those of an id.
_AFTER_HEX = "g"
MAX_PERSON_CHARS = 200
MAX_COMMENT_CHARS = 4_000
_SHOWN_CANDIDATES = 10


class Action(StrEnum):
    """What a person can do with an alarm."""

    SHOW = "show"
    ACKNOWLEDGE = "acknowledge"
    DISPATCH = "dispatch"
    ARRIVE = "arrive"
    CLOSE = "close"
    COMMENT = "comment"
    RESET = "reset"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"


def allowed_actions(alarm: Alarm) -> tuple[Action, ...]:
    """Tell what an alarm allows now. Pure."""
    if not alarm.is_open:
        return (Action.COMMENT,)
    facts = alarm.facts
    allows = {
        Action.SHOW: alarm.shown_at_us is None,
        Action.ACKNOWLEDGE: step(facts, Event.ACKNOWLEDGE) is not None,
        Action.DISPATCH: alarm.stage not in (Stage.DISPATCHED, Stage.ON_SCENE),
        Action.ARRIVE: alarm.stage is not Stage.ON_SCENE,
        Action.CLOSE: True,
        Action.COMMENT: True,
        Action.RESET: step(facts, Event.RESET) is not None,
        Action.SHELVE: step(facts, Event.SHELVE) is not None,
        Action.UNSHELVE: step(facts, Event.UNSHELVE) is not None,
    }
    return tuple(action for action, is_allowed in allows.items() if is_allowed)


def list_alarms(
    database: Database, *, state: Literal["open", "all"] = "open", mode: Mode | None = None, limit: int = 100
) -> list[Alarm]:
    """List alarms, the latest trigger first.

    Args:
        database: of the desk.
        state: open are those that somebody has still to close, and tests and drills while they last.
        mode: only those raised in it; None lists all.
        limit: at most so many.

    Raises:
        DatabaseAwayError: the database does not answer.
    """
    query = select(occurrence).order_by(occurrence.c.last_raised_at_us.desc(), occurrence.c.alarm_id.desc())
    if state == "open":
        lasts = or_(occurrence.c.mode == Mode.LIVE.value, occurrence.c.cleared_at_us.is_(None))
        query = query.where(occurrence.c.closed_at_us.is_(None), lasts)
    if mode is not None:
        query = query.where(occurrence.c.mode == mode.value)
    return database.read(
        lambda connection: [to_alarm(row) for row in connection.execute(query.limit(limit)).mappings()]
    )


def find_alarm(database: Database, alarm_id: str) -> Alarm:
    """Find an alarm by its id or the beginning of one; a later raise that is counted to it finds it too.

    Raises:
        UnknownAlarmError, AmbiguousAlarmError, DatabaseAwayError.
    """
    return database.read(lambda connection: _find(connection, alarm_id))


def mark_shown(connection: Connection, alarm_ids: Collection[str], *, actor: Actor, now_us: int) -> int:
    """Note that an operator's list has these alarms now; the first time counts.

    Args:
        connection: a transaction for writing.
        alarm_ids: whole ids; unknown and closed ones are passed over.
        actor: whose list.
        now_us: now.

    Returns:
        How many were shown for the first time.
    """
    alarms: list[Alarm] = []
    for some in chunked(sorted(set(alarm_ids))):
        unseen = occurrence.c.shown_at_us.is_(None), occurrence.c.closed_at_us.is_(None)
        query = select(occurrence).where(occurrence.c.alarm_id.in_(some), *unseen).order_by(occurrence.c.alarm_id)
        alarms += [to_alarm(row) for row in connection.execute(query.with_for_update()).mappings()]
    by = _known(actor)
    seen = [msgspec.structs.replace(alarm, shown_at_us=now_us) for alarm in alarms]
    keep(connection, [Changed(*pair, What.SHOWN, by, now_us) for pair in zip(alarms, seen, strict=True)])
    return len(alarms)


def acknowledge(
    connection: Connection, alarm_id: str, *, actor: Actor, now_us: int, why: str = "", seen_triggers: int | None = None
) -> Alarm:
    """Acknowledge: somebody has taken notice and acts.

    Args:
        connection: a transaction for writing.
        alarm_id: its id, or as much of its beginning as is unique.
        actor: who.
        now_us: now.
        why: may be left out.
        seen_triggers: how many triggers the caller has seen; refused when there are more by now.

    Raises:
        AlreadyAcknowledgedError: somebody was first.
        ActionRefusedError, AlreadyClosedError, UnknownAlarmError, AmbiguousAlarmError.
    """

    def seen(alarm: Alarm, by: str) -> Alarm:
        _check_seen(alarm, Action.ACKNOWLEDGE, seen_triggers)
        return _acknowledged(alarm, by, now_us)

    return _act(connection, alarm_id, Action.ACKNOWLEDGE, What.ACKNOWLEDGED, seen, actor=actor, now_us=now_us, why=why)


def dispatch(connection: Connection, alarm_id: str, *, actor: Actor, now_us: int, why: str = "") -> Alarm:
    """Note that somebody was sent, `why` says whom; this acknowledges too.

    Raises:
        ActionRefusedError, AlreadyClosedError, UnknownAlarmError, AmbiguousAlarmError.
    """

    def sent(alarm: Alarm, by: str) -> Alarm:
        return _dispatched(_acknowledged(alarm, by, now_us), by, now_us)

    return _act(connection, alarm_id, Action.DISPATCH, What.DISPATCHED, sent, actor=actor, now_us=now_us, why=why)


def arrive(connection: Connection, alarm_id: str, *, actor: Actor, now_us: int, why: str = "") -> Alarm:
    """Note that somebody is there; who is there was sent, and the alarm is acknowledged.

    Raises:
        ActionRefusedError, AlreadyClosedError, UnknownAlarmError, AmbiguousAlarmError.
    """

    def arrived(alarm: Alarm, by: str) -> Alarm:
        sent = _dispatched(_acknowledged(alarm, by, now_us), by, now_us)
        return msgspec.structs.replace(sent, arrived_at_us=now_us, arrived_by=by)

    return _act(connection, alarm_id, Action.ARRIVE, What.ARRIVED, arrived, actor=actor, now_us=now_us, why=why)


def close(
    connection: Connection,
    alarm_id: str,
    *,
    actor: Actor,
    now_us: int,
    code: ClosingCode,
    comment: str = "",
    seen_triggers: int | None = None,
) -> Alarm:
    """Close it with what it turned out to be; this acknowledges and resets too. The next raise opens a new alarm.

    Args:
        connection: a transaction for writing.
        alarm_id: its id, or as much of its beginning as is unique.
        actor: who.
        now_us: now.
        code: what it turned out to be.
        comment: what was found and done; only of a test or a drill may it be left out.
        seen_triggers: how many triggers the caller has seen; refused when there are more by now.

    Raises:
        ClosingError: no comment.
        ActionRefusedError, AlreadyClosedError, UnknownAlarmError, AmbiguousAlarmError.
    """
    words = clean(comment.strip(), MAX_COMMENT_CHARS)

    def closed(alarm: Alarm, by: str) -> Alarm:
        _check_seen(alarm, Action.CLOSE, seen_triggers)
        if not words and alarm.mode is Mode.LIVE:
            raise ClosingError(f"alarm {alarm.alarm_id} is not closed without a comment")
        return msgspec.structs.replace(
            _acknowledged(alarm, by, now_us),
            closed_at_us=now_us,
            closed_by=by,
            closing_code=code,
            comment=words,
            # What nobody hears any more is neither waiting nor silent.
            latched=False,
            shelved_until_us=None,
            suppressed_by=None,
            out_of_service=False,
        )

    return _act(connection, alarm_id, Action.CLOSE, What.CLOSED, closed, actor=actor, now_us=now_us, why=words)


def comment(connection: Connection, alarm_id: str, *, actor: Actor, now_us: int, why: str) -> Alarm:
    """Add words to its history, also after it was closed.

    Raises:
        UnknownAlarmError, AmbiguousAlarmError.
    """
    return _act(
        connection,
        alarm_id,
        Action.COMMENT,
        What.COMMENTED,
        lambda alarm, _by: alarm,
        actor=actor,
        now_us=now_us,
        why=why,
    )


def reset(connection: Connection, alarm_id: str, *, actor: Actor, now_us: int, why: str = "") -> Alarm:
    """Let a latched alarm go, once its condition is over and somebody has acknowledged it.

    Raises:
        ActionRefusedError, AlreadyClosedError, UnknownAlarmError, AmbiguousAlarmError.
    """

    def let_go(alarm: Alarm, _by: str) -> Alarm | None:
        return lived(alarm, Event.RESET)

    return _act(connection, alarm_id, Action.RESET, What.RESET, let_go, actor=actor, now_us=now_us, why=why)


def shelve(
    connection: Connection,
    alarm_id: str,
    *,
    actor: Actor,
    now_us: int,
    why: str,
    until_us: int,
    max_shelve_s: float = controls.MAX_SHELVE_S,
) -> Alarm:
    """Silence an alarm's source for a time; a control on a whole device or gateway: `controls.begin`.

    Args:
        connection: a transaction for writing that has locked no alarm yet.
        alarm_id: its id, or as much of its beginning as is unique.
        actor: who.
        now_us: now.
        why: must be given.
        until_us: when it is heard again.
        max_shelve_s: as the settings have it.

    Raises:
        ControlError: no reason; an end too late or past.
        ActionRefusedError, AlreadyClosedError, UnknownAlarmError, AmbiguousAlarmError.
    """
    controls.lock_controls(connection)
    alarm = _find(connection, alarm_id)
    _check(alarm, Action.SHELVE)
    controls.begin(
        connection, ControlKind.SHELVED, alarm.source, actor=_known(actor), why=why, now_us=now_us, until_us=until_us,
        max_shelve_s=max_shelve_s,
    )  # fmt: skip
    return _find(connection, alarm.alarm_id)


def unshelve(connection: Connection, alarm_id: str, *, actor: Actor, now_us: int, why: str = "") -> Alarm:
    """Give an alarm its voice back before its time; unacknowledged while its condition lasts.

    Raises:
        ControlError: it is shelved together with others, by a control on its device or gateway: end that one.
        ActionRefusedError, AlreadyClosedError, UnknownAlarmError, AmbiguousAlarmError.
    """
    controls.lock_controls(connection)
    alarm = _find(connection, alarm_id)
    _check(alarm, Action.UNSHELVE)
    controls.end(connection, ControlKind.SHELVED, alarm.source, actor=_known(actor), why=why, now_us=now_us)
    return _find(connection, alarm.alarm_id)


def _act(
    connection: Connection,
    alarm_id: str,
    action: Action,
    what: What,
    change: Callable[[Alarm, str], Alarm | None],
    *,
    actor: Actor,
    now_us: int,
    why: str,
) -> Alarm:
    alarm, by = _find(connection, alarm_id, locked=True), _known(actor)
    _check(alarm, action)
    after = change(alarm, by.name)
    if after is None:
        raise _refused(alarm, action)
    keep(connection, [Changed(alarm, after, what, by, now_us, clean(why, MAX_COMMENT_CHARS))])
    return after


def _known(actor: Actor) -> Actor:
    return Actor(clean(actor.name, MAX_PERSON_CHARS), clean(actor.origin, MAX_PERSON_CHARS))


def _acknowledged(alarm: Alarm, by: str, now_us: int) -> Alarm:
    """Acknowledge what is not acknowledged yet; who acknowledges has it before him."""
    seen = {"shown_at_us": now_us if alarm.shown_at_us is None else alarm.shown_at_us}
    first_us = now_us if alarm.first_acknowledged_at_us is None else alarm.first_acknowledged_at_us
    taken = {"acknowledged_at_us": now_us, "acknowledged_by": by, "first_acknowledged_at_us": first_us}
    after = lived(alarm, Event.ACKNOWLEDGE, **seen, **taken)
    return msgspec.structs.replace(alarm, **seen) if after is None else after


def _dispatched(alarm: Alarm, by: str, now_us: int) -> Alarm:
    if alarm.dispatched_at_us is not None:
        return alarm
    return msgspec.structs.replace(alarm, dispatched_at_us=now_us, dispatched_by=by)


def _check(alarm: Alarm, action: Action) -> None:
    if action not in allowed_actions(alarm):
        raise _refused(alarm, action)


def _check_seen(alarm: Alarm, action: Action, seen_triggers: int | None) -> None:
    if seen_triggers is not None and alarm.triggers > seen_triggers:
        more = f"it was triggered {alarm.triggers - seen_triggers} times more since you looked"
        raise ActionRefusedError(f"alarm {alarm.alarm_id}: {more}", **_how_it_stands(alarm, action))


def _refused(alarm: Alarm, action: Action) -> ActionRefusedError:
    now = _how_it_stands(alarm, action)
    if not alarm.is_open:
        why = f"alarm {alarm.alarm_id} was closed by {alarm.closed_by or 'nobody known'}"
        return AlreadyClosedError(why, **now, by=alarm.closed_by, at_us=alarm.closed_at_us)
    if action is Action.ACKNOWLEDGE:
        why = f"alarm {alarm.alarm_id} was acknowledged by {alarm.acknowledged_by or 'nobody known'}"
        return AlreadyAcknowledgedError(why, **now, by=alarm.acknowledged_by, at_us=alarm.acknowledged_at_us)
    done: dict[Action, tuple[str | None, int | None]] = {
        Action.DISPATCH: (alarm.dispatched_by, alarm.dispatched_at_us),
        Action.ARRIVE: (alarm.arrived_by, alarm.arrived_at_us),
    }
    by, at_us = done.get(action, (None, None))
    why = f"alarm {alarm.alarm_id} is {alarm.state}, {alarm.stage}: {action} is not possible"
    return ActionRefusedError(why, **now, by=by, at_us=at_us)


def _how_it_stands(alarm: Alarm, action: Action) -> dict[str, Any]:
    allowed = tuple(one.value for one in allowed_actions(alarm))
    state, stage = alarm.state.value, alarm.stage.value
    return {"alarm_id": alarm.alarm_id, "action": action.value, "state": state, "stage": stage, "allowed": allowed}


def _find(connection: Connection, alarm_id: str, *, locked: bool = False) -> Alarm:
    query = select(occurrence).where(occurrence.c.alarm_id == _whole_id(connection, alarm_id))
    row = connection.execute(query.with_for_update() if locked else query).mappings().one_or_none()
    if row is None:
        raise UnknownAlarmError(alarm_id)
    return to_alarm(row)


def _whole_id(connection: Connection, alarm_id: str) -> str:
    prefix = alarm_id.strip().lower()
    if not _ID.fullmatch(prefix):
        raise UnknownAlarmError(alarm_id)

    def begins(column: Any) -> Any:
        # A range, which an index answers whatever the database's collation.
        return column == prefix if len(prefix) == _WHOLE_ID else (column >= prefix) & (column < prefix + _AFTER_HEX)

    by_id = select(occurrence.c.alarm_id).where(begins(occurrence.c.alarm_id))
    is_raise = alarm_event.c.transition == Transition.RAISED.value
    by_raise = select(alarm_event.c.occurrence).where(begins(alarm_event.c.alarm_id), is_raise)
    # A union holds each id once: many raises of one row are no ambiguity.
    ids = sorted(connection.execute(union(by_id, by_raise).limit(_SHOWN_CANDIDATES)).scalars())
    if not ids:
        raise UnknownAlarmError(alarm_id)
    if len(ids) > 1:
        raise AmbiguousAlarmError(alarm_id, tuple(ids))
    return str(ids[0])
