"""What a person says of a fire: it burns, or it does not."""

from enum import StrEnum

import msgspec
from sqlalchemy import Connection

from cloud.database.dead_letters import clean
from cloud.desk import operations
from cloud.desk.changes import Actor
from cloud.desk.controls import lock_controls
from cloud.desk.core import ClosingCode
from cloud.errors import FireRefusedError, UnknownFireError
from cloud.fire.cap import Scope
from cloud.fire.cap_store import issue, last_scope
from cloud.fire.detection_store import Fire, Judgement, evidence_of, keep_fires, lock_fires
from cloud.fire.detection_taking import retell
from cloud.fire.detection_telling import find_own_alarms, follow_ended
from cloud.people import audit
from cloud.settings import Settings


class Audited(StrEnum):
    """What is noted in the audit; stored."""

    CONFIRMED = "fire-confirmed"
    CALLED_FALSE = "fire-called-false"
    CAP_ISSUED = "fire-cap-issued"


def confirm(connection: Connection, fire_id: str, *, actor: Actor, why: str, settings: Settings, now_us: int) -> Fire:
    """Note that somebody has seen it burn: it is critical, and observed.

    Args:
        connection: a transaction for writing.
        fire_id: whole.
        actor: who.
        why: what was seen; may be left out.
        settings: as loaded.
        now_us: the clock.

    Raises:
        UnknownFireError: there is none, or it was never told.
        FireRefusedError: it has ended, or is a part of another.
    """
    one = _held(connection, fire_id)
    if one.judgement is Judgement.CONFIRMED:
        raise FireRefusedError(f"fire {one.id} was confirmed by {one.judged_by}")
    judged = _judged(one, Judgement.CONFIRMED, actor, why, now_us)
    note = f"confirmed by {actor.name}{': ' if judged.judged_why else ''}{judged.judged_why}"
    after = retell(connection, judged, settings, now_us, note=note)
    evidence = evidence_of(connection, [one.id])[one.id]
    issue(connection, after, evidence, settings=settings, scope=Scope.PRIVATE, by=actor.name, now_us=now_us)
    _note(connection, Audited.CONFIRMED, after, actor, now_us)
    return after


def call_false(
    connection: Connection,
    fire_id: str,
    *,
    actor: Actor,
    code: ClosingCode,
    why: str,
    settings: Settings,
    now_us: int,
) -> Fire:
    """Note that it does not burn: its alarm is closed, its messages are cancelled, it takes no more evidence.

    Detectors that still stand are heard again, each by its own alarm.

    Args:
        connection: a transaction for writing.
        fire_id: whole.
        actor: who.
        code: what it was; anything but genuine.
        why: what was found; must be said.
        settings: as loaded.
        now_us: the clock.

    Raises:
        UnknownFireError: there is none, or it was never told.
        FireRefusedError: it has ended, or is a part of another; the code says that it burns.
        ClosingError: nothing is said.
    """
    one = _held(connection, fire_id)
    if code is ClosingCode.GENUINE:
        raise FireRefusedError(f"fire {one.id}: what is genuine is not false")
    judged = msgspec.structs.replace(
        _judged(one, Judgement.FALSE, actor, why, now_us), ended_at_us=now_us, alarm_stands=False
    )
    keep_fires(connection, [judged], known=[one.id])
    evidence = evidence_of(connection, [one.id])[one.id]
    # Before any alarm is held, as whoever finds fires does.
    lock_controls(connection, shared=True)
    alarm = find_own_alarms(connection, [one]).get(one.id)
    if alarm is not None and alarm.is_open:
        operations.close(connection, alarm.alarm_id, actor=actor, now_us=now_us, code=code, comment=why)
    follow_ended(connection, judged, {each.occurrence for each in evidence}, now_us=now_us)
    scope = last_scope(connection, one.id)
    if scope is not None:
        issue(connection, judged, evidence, settings=settings, scope=scope, by=actor.name, now_us=now_us)
    _note(connection, Audited.CALLED_FALSE, judged, actor, now_us)
    return judged


def issue_by_hand(
    connection: Connection, fire_id: str, *, scope: Scope, actor: Actor, settings: Settings, now_us: int
) -> str:
    """Make a CAP message because somebody wants it, for whom he says; returns its identifier.

    Raises:
        UnknownFireError: there is none, or it was never told.
        FireRefusedError: it is a part of another, which has messages of its own; a false one was never spoken of.
    """
    one = lock_fires(connection, [fire_id]).get(fire_id)
    if one is None or not one.told:
        raise UnknownFireError(fire_id)
    if one.merged_into is not None:
        raise FireRefusedError(f"fire {one.id} is the same as fire {one.merged_into}")
    evidence = evidence_of(connection, [one.id])[one.id]
    made = issue(connection, one, evidence, settings=settings, scope=scope, by=actor.name, now_us=now_us)
    if made is None:
        raise FireRefusedError(f"fire {one.id} was called false, and nobody was told of it")
    audit.note(
        connection,
        actor=actor,
        what=Audited.CAP_ISSUED.value,
        object_=one.id,
        details={"identifier": made, "scope": scope.value},
        at_us=now_us,
    )
    return made


def _held(connection: Connection, fire_id: str) -> Fire:
    one = lock_fires(connection, [fire_id]).get(fire_id)
    if one is None or not one.told:
        raise UnknownFireError(fire_id)
    if one.merged_into is not None:
        raise FireRefusedError(f"fire {one.id} is the same as fire {one.merged_into}: judge that one")
    if one.ended_at_us is not None:
        raise FireRefusedError(f"fire {one.id} has ended{f', called {one.judgement}' if one.judgement else ''}")
    return one


def _judged(one: Fire, judgement: Judgement, actor: Actor, why: str, now_us: int) -> Fire:
    return msgspec.structs.replace(
        one,
        judgement=judgement,
        judged_by=clean(actor.name, operations.MAX_PERSON_CHARS),
        judged_at_us=now_us,
        judged_why=clean(why.strip(), operations.MAX_COMMENT_CHARS),
        changed_at_us=now_us,
    )


def _note(connection: Connection, what: Audited, one: Fire, actor: Actor, now_us: int) -> None:
    details = {"why": one.judged_why, "confidence": one.confidence, "towers": list(one.towers)}
    audit.note(connection, actor=actor, what=what.value, object_=one.id, details=details, at_us=now_us)
