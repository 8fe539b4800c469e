"""What takes alarms' voices away beside a single alarm's shelving: out of service, suppressed by design."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from cloud.api.auth import Caller, needs, require, sees
from cloud.api.context import Here
from cloud.api.problems import not_found
from cloud.areas.places import find_places
from cloud.database.tables import SOURCE_CHARS
from cloud.desk.controls import (
    MAX_WHY_CHARS,
    Control,
    ControlKind,
    Silenced,
    begin,
    count_silenced,
    end,
    list_controls,
)
from cloud.people.roles import Action

router = APIRouter(prefix="/controls", tags=["controls"])
_MOST = 1_000
_LONGEST_S = 366 * 86_400
_STRICT = ConfigDict(extra="forbid", strict=True)
Target = Annotated[str, Field(min_length=1, max_length=SOURCE_CHARS, pattern=r"^[^\x00]+$")]
Why = Annotated[str, Field(min_length=1, max_length=MAX_WHY_CHARS, pattern=r"^[^\x00]+$")]


class Decided(StrEnum):
    """The controls that are begun and ended here; an alarm is shelved at /alarms/{id}/shelve."""

    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out-of-service"


_ACTIONS = {Decided.SUPPRESSED: Action.SUPPRESS, Decided.OUT_OF_SERVICE: Action.OUT_OF_SERVICE}


class ControlView(BaseModel):
    """A control; `remaining_s` null: until somebody ends it.

    Attributes:
        silenced, silenced_critical: how many open live alarms it silences now, and how many of them are critical.
    """

    model_config = ConfigDict(extra="forbid")

    kind: ControlKind
    target: str
    area_path: str
    by: str
    origin: str
    why: str
    since_us: int
    until_us: int | None
    remaining_s: int | None
    silenced: int
    silenced_critical: int


class ControlList(BaseModel):
    """What lasts now, what ends first in front; at most 1000."""

    model_config = ConfigDict(extra="forbid")

    controls: list[ControlView]


class ControlOrder(BaseModel):
    """A control to begin on a source or the beginning of one; `for_s` null: until somebody ends it."""

    model_config = _STRICT

    kind: Annotated[Decided, Field(strict=False)]
    target: Target
    why: Why
    for_s: Annotated[int, Field(ge=1, le=_LONGEST_S)] | None = None


class ControlEnd(BaseModel):
    """A control to end."""

    model_config = _STRICT

    kind: Annotated[Decided, Field(strict=False)]
    target: Target
    why: Annotated[str, Field(max_length=MAX_WHY_CHARS, pattern=r"^[^\x00]*$")] = ""


@router.get("")
async def show_controls(
    context: Here,
    caller: Annotated[Caller, needs(Action.SEE_ALARMS)],
    *,
    kind: Annotated[ControlKind | None, Query()] = None,
) -> ControlList:
    """List what is shelved, suppressed and out of service now, and for how long."""
    now_us = context.clock()

    def work(connection: Connection) -> list[ControlView]:
        found = list_controls(connection, kind=kind, limit=_MOST)
        places = find_places(connection, {_key(one.target) for one in found})
        seen = [one for one in found if sees(caller, places[_key(one.target)].area_path)]
        counts = count_silenced(connection, seen)
        return [
            _view(one, places[_key(one.target)].area_path, now_us, count)
            for one, count in zip(seen, counts, strict=True)
        ]

    return ControlList(controls=await context.database.ask(work))


@router.post("", status_code=201)
async def begin_control(
    body: ControlOrder, context: Here, caller: Annotated[Caller, needs(Action.SEE_ALARMS)]
) -> ControlView:
    """Take a source, a point, a device or a gateway out of service, or suppress it."""
    require(caller, _ACTIONS[body.kind])
    now_us = context.clock()

    def work(connection: Connection) -> ControlView:
        path = _path_of(connection, body.target, caller)
        until_us = None if body.for_s is None else now_us + body.for_s * 1_000_000
        kind = ControlKind(body.kind.value)
        begun = begin(connection, kind, body.target, actor=caller.actor, why=body.why, now_us=now_us, until_us=until_us)
        return _view(begun, path, now_us, *count_silenced(connection, [begun]))

    return await context.database.call(work)


@router.post("/end")
async def end_control(
    body: ControlEnd, context: Here, caller: Annotated[Caller, needs(Action.SEE_ALARMS)]
) -> ControlView:
    """End a control; what still stands is unacknowledged again."""
    require(caller, _ACTIONS[body.kind])
    now_us = context.clock()

    def work(connection: Connection) -> ControlView:
        path = _path_of(connection, body.target, caller)
        kind = ControlKind(body.kind.value)
        ended = end(connection, kind, body.target, actor=caller.actor, why=body.why, now_us=now_us)
        return _view(ended, path, now_us, Silenced())

    return await context.database.call(work)


def _path_of(connection: Connection, target: str, caller: Caller) -> str:
    key = _key(target)
    path = find_places(connection, {key})[key].area_path
    if not sees(caller, path):
        raise not_found("such source")
    return path


def _key(target: str) -> tuple[str, str]:
    gateway, _, rest = target.partition("/")
    return gateway, rest.partition("/")[0]


def _view(one: Control, area_path: str, now_us: int, count: Silenced) -> ControlView:
    remaining_s = None if one.until_us is None else max(0, (one.until_us - now_us) // 1_000_000)
    return ControlView(
        kind=one.kind,
        target=one.target,
        area_path=area_path,
        by=one.by,
        origin=one.origin,
        why=one.why,
        since_us=one.since_us,
        until_us=one.until_us,
        remaining_s=remaining_s,
        silenced=count.alarms,
        silenced_critical=count.critical,
    )
