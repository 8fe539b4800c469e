"""What people do with an alarm: each a POST, answered with the alarm as it stands then."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from cloud.api.alarm_views import AlarmView
from cloud.api.alarms import AlarmId, find_visible
from cloud.api.auth import Caller, needs, require
from cloud.api.context import Context, Here
from cloud.api.queries import ids_within
from cloud.desk import operations
from cloud.desk.core import Alarm, ClosingCode
from cloud.desk.operations import MAX_COMMENT_CHARS, mark_shown
from cloud.people.roles import Action
from contract.alarms import Severity

router = APIRouter(prefix="/alarms", tags=["actions"])
MOST_SHOWN = 1_000
_LONGEST_SHELF_S = 7 * 86_400

_STRICT = ConfigDict(extra="forbid", strict=True)
Words = Annotated[str, Field(max_length=MAX_COMMENT_CHARS, pattern=r"^[^\x00]*$")]
Told = Annotated[str, Field(min_length=1, max_length=MAX_COMMENT_CHARS, pattern=r"^[^\x00]*$")]
_Seen = Annotated[int, Field(ge=1, le=2**31 - 1)] | None


class Comment(BaseModel):
    """Words for the history; may be left out."""

    model_config = _STRICT

    comment: Words = ""


class Acknowledgement(Comment):
    """`seen_triggers`: as many as the caller has seen; refused when there are more by now."""

    seen_triggers: _Seen = None


class Said(BaseModel):
    """Words for the history."""

    model_config = _STRICT

    comment: Told


class Closing(Acknowledgement):
    """What it turned out to be; a live alarm is closed with a comment only."""

    code: Annotated[ClosingCode, Field(strict=False)]


class Shelving(Said):
    """How long its source is not to be heard, and why; the settings have the longest."""

    for_s: Annotated[int, Field(ge=1, le=_LONGEST_SHELF_S)]


class Shown(BaseModel):
    """Which alarms somebody's screen has now, by their whole ids."""

    model_config = _STRICT

    alarm_ids: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]], Field(min_length=1, max_length=MOST_SHOWN)
    ]


class ShownAnswer(BaseModel):
    """How many were shown for the first time."""

    model_config = ConfigDict(extra="forbid")

    shown: int


@router.post("/shown")
async def shown(body: Shown, context: Here, caller: Annotated[Caller, needs(Action.SHOW)]) -> ShownAnswer:
    """Note that an operator has these alarms before him; the first time counts. What he does not see is passed over."""
    now_us = context.clock()

    def work(connection: Connection) -> int:
        ids = connection.execute(ids_within(body.alarm_ids, caller.person.scope)).scalars().all()
        return mark_shown(connection, ids, actor=caller.actor, now_us=now_us)

    return ShownAnswer(shown=await context.database.call(work))


@router.post("/{alarm_id}/acknowledge")
async def acknowledge(
    alarm_id: AlarmId, body: Acknowledgement, context: Here, caller: Annotated[Caller, needs(Action.ACKNOWLEDGE)]
) -> AlarmView:
    """Acknowledge: somebody has taken notice and acts. Who is second is told who was first, and when (409)."""
    act = partial(operations.acknowledge, why=body.comment, seen_triggers=body.seen_triggers)
    return await _do(context, caller, alarm_id, act)


@router.post("/{alarm_id}/dispatch")
async def dispatch(
    alarm_id: AlarmId, body: Comment, context: Here, caller: Annotated[Caller, needs(Action.DISPATCH)]
) -> AlarmView:
    """Note that somebody was sent; the comment says whom. This acknowledges too."""
    return await _do(context, caller, alarm_id, partial(operations.dispatch, why=body.comment))


@router.post("/{alarm_id}/arrive")
async def arrive(
    alarm_id: AlarmId, body: Comment, context: Here, caller: Annotated[Caller, needs(Action.ARRIVE)]
) -> AlarmView:
    """Note that somebody is there."""
    return await _do(context, caller, alarm_id, partial(operations.arrive, why=body.comment))


@router.post("/{alarm_id}/close")
async def close(
    alarm_id: AlarmId, body: Closing, context: Here, caller: Annotated[Caller, needs(Action.CLOSE)]
) -> AlarmView:
    """Close it with what it turned out to be; the next raise opens a new alarm."""
    act = partial(operations.close, code=body.code, comment=body.comment, seen_triggers=body.seen_triggers)
    return await _do(context, caller, alarm_id, act)


@router.post("/{alarm_id}/comment")
async def comment(
    alarm_id: AlarmId, body: Said, context: Here, caller: Annotated[Caller, needs(Action.COMMENT)]
) -> AlarmView:
    """Add words to its history, also after it was closed."""
    return await _do(context, caller, alarm_id, partial(operations.comment, why=body.comment))


@router.post("/{alarm_id}/reset")
async def reset(
    alarm_id: AlarmId, body: Comment, context: Here, caller: Annotated[Caller, needs(Action.RESET)]
) -> AlarmView:
    """Let a latched alarm go, once its condition is over and somebody has acknowledged it."""
    return await _do(context, caller, alarm_id, partial(operations.reset, why=body.comment))


@router.post("/{alarm_id}/shelve")
async def shelve(
    alarm_id: AlarmId, body: Shelving, context: Here, caller: Annotated[Caller, needs(Action.SHELVE)]
) -> AlarmView:
    """Silence its source for a time; a critical one needs a right of its own."""
    until_us = context.clock() + body.for_s * 1_000_000
    longest_s = context.settings.desk.max_shelve_s
    act = partial(operations.shelve, why=body.comment, until_us=until_us, max_shelve_s=longest_s)
    return await _do(context, caller, alarm_id, act, critical=Action.SHELVE_CRITICAL)


@router.post("/{alarm_id}/unshelve")
async def unshelve(
    alarm_id: AlarmId, body: Comment, context: Here, caller: Annotated[Caller, needs(Action.UNSHELVE)]
) -> AlarmView:
    """Give its source its voice back before its time."""
    return await _do(context, caller, alarm_id, partial(operations.unshelve, why=body.comment))


async def _do(
    context: Context, caller: Caller, alarm_id: str, act: Callable[..., Alarm], *, critical: Action | None = None
) -> AlarmView:
    """Find the alarm among those that the caller sees, and act on it in the same transaction.

    Args:
        context: the API's.
        caller: who acts.
        alarm_id: as it was asked for.
        act: one of `cloud.desk.operations`, with all but who and when.
        critical: the right that a critical alarm needs beside.
    """
    now_us = context.clock()

    def work(connection: Connection) -> Alarm:
        found = find_visible(connection, alarm_id, caller.person)
        if critical is not None and found.severity is Severity.CRITICAL:
            require(caller, critical)
        return act(connection, found.alarm_id, actor=caller.actor, now_us=now_us)

    return AlarmView.of(await context.database.call(work), now_us)
