"""Routes: the stolen list, and which gateway has it."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from cloud.api.auth import Caller, needs
from cloud.api.context import Here
from cloud.api.orders import require_everything
from cloud.orders import stolen
from cloud.orders.pushing import confirmed_by_all
from cloud.orders.stolen import MAX_CASE_CHARS, MAX_KEPT_NOTE_CHARS, StolenEntry
from cloud.people.roles import Action
from contract.limits import MAX_TAG_CHARS

router = APIRouter(prefix="/stolen", tags=["stolen list"])
_MOST = 1_000
_STRICT = ConfigDict(extra="forbid", strict=True)
Tag = Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARS, pattern=r"^[A-Za-z0-9_.-]+$")]
Text = r"^[^\x00]*$"


class StolenView(BaseModel):
    """An entry: what is stolen since when, and who put it on the list."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    tag: str
    note: str
    case: str
    since_us: int
    by: str


class StolenPage(BaseModel):
    """The list by tag; `next` as `after` gives what follows. `version` 0: there never was a list."""

    model_config = ConfigDict(extra="forbid")

    version: int
    checksum: str
    count: int
    entries: list[StolenView]
    next: str | None


class StolenListOrder(BaseModel):
    """An entry to put on the list, or to change; `since_us` 0: from now on."""

    model_config = _STRICT

    tag: Tag
    note: Annotated[str, Field(max_length=MAX_KEPT_NOTE_CHARS, pattern=Text)] = ""
    case: Annotated[str, Field(max_length=MAX_CASE_CHARS, pattern=Text)] = ""
    since_us: Annotated[int, Field(ge=0, le=2**53 - 1)] = 0


class StolenAdd(BaseModel):
    """Entries for one new version."""

    model_config = _STRICT

    entries: Annotated[list[StolenListOrder], Field(min_length=1, max_length=_MOST)]


class StolenTakeOff(BaseModel):
    """Tags to take off in one new version."""

    model_config = _STRICT

    tags: Annotated[list[Tag], Field(min_length=1, max_length=_MOST)]


class VersionView(BaseModel):
    """The version in force."""

    model_config = ConfigDict(extra="forbid")

    version: int
    count: int


class GatewayView(BaseModel):
    """How a gateway stands: confirmed, pushing, behind, offline or deaf (it hears no tags).

    Attributes:
        version: that it has confirmed last.
        part, parts: of the push under way.
        error: what it said last.
    """

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    gateway: str
    state: str
    version: int | None
    confirmed_at_us: int | None
    part: int
    parts: int
    error: str


class GatewaysView(BaseModel):
    """How far the list in force has come."""

    model_config = ConfigDict(extra="forbid")

    version: int
    confirmed: int
    missing: int
    gateways: list[GatewayView]


@router.get("")
async def show_stolen(
    context: Here,
    caller: Annotated[Caller, needs(Action.SEE_BIKES)],
    *,
    after: Annotated[str, Query(max_length=MAX_TAG_CHARS)] = "",
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
) -> StolenPage:
    """Show the list; it is one for all areas, so this is for users of everything."""
    require_everything(caller, Action.SEE_BIKES)

    def work(connection: Connection) -> StolenPage:
        newest = stolen.newest_version(connection)
        found = stolen.list_stolen(connection, after=after, limit=limit)
        return StolenPage(
            version=newest.version if newest else 0,
            checksum=newest.checksum if newest else "",
            count=newest.entries if newest else 0,
            entries=[StolenView.model_validate(one) for one in found],
            next=found[-1].tag if len(found) == limit else None,
        )

    return await context.database.ask(work)


@router.post("")
async def add_stolen(
    body: StolenAdd, context: Here, caller: Annotated[Caller, needs(Action.WATCH_BIKES)]
) -> VersionView:
    """Put entries on the list; gateways get it at once."""
    require_everything(caller, Action.WATCH_BIKES)
    now_us = context.clock()
    entries = [StolenEntry(one.tag, one.note, one.case, one.since_us) for one in body.entries]

    def work(connection: Connection) -> VersionView:
        stolen.add_stolen(connection, entries, caller.actor.name, now_us, origin=caller.actor.origin)
        return _version(connection)

    return await context.database.call(work)


@router.post("/remove")
async def take_off(
    body: StolenTakeOff, context: Here, caller: Annotated[Caller, needs(Action.WATCH_BIKES)]
) -> VersionView:
    """Take tags off the list; gateways get it at once."""
    require_everything(caller, Action.WATCH_BIKES)
    now_us = context.clock()

    def work(connection: Connection) -> VersionView:
        stolen.take_off(connection, body.tags, caller.actor.name, now_us, origin=caller.actor.origin)
        return _version(connection)

    return await context.database.call(work)


@router.get("/gateways")
async def show_gateways(context: Here, caller: Annotated[Caller, needs(Action.SEE_BIKES)]) -> GatewaysView:
    """Show how each gateway stands that is to have the list."""
    require_everything(caller, Action.SEE_BIKES)

    def work(connection: Connection) -> GatewaysView:
        known = confirmed_by_all(connection, context.settings)
        return GatewaysView(
            version=known.version,
            confirmed=len(known.gateways),
            missing=len(known.missing),
            gateways=[GatewayView.model_validate(one) for one in stolen.gateways_of(connection)],
        )

    return await context.database.ask(work)


def _version(connection: Connection) -> VersionView:
    newest = stolen.newest_version(connection)
    return VersionView(version=newest.version if newest else 0, count=newest.entries if newest else 0)
