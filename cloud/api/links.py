"""Signed links that acknowledge one alarm without signing in, and the one small page that stands behind them.

Looking at the page changes nothing: mail programs and chats fetch links by themselves. The button posts to the same
address; nothing but the signed address lets it, so no other site can press it for somebody.
"""

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from cloud.api.alarms import find_visible
from cloud.api.auth import Caller, needs, origin_of
from cloud.api.context import Context, Here
from cloud.api.page_words import choose_tag, words_of
from cloud.api.problems import ProblemError
from cloud.api.queries import ids_within
from cloud.desk.changes import Actor
from cloud.desk.core import Alarm
from cloud.desk.operations import acknowledge
from cloud.errors import (
    ActionRefusedError,
    AlreadyAcknowledgedError,
    AlreadyClosedError,
    LinkRefusedError,
    UnknownUserError,
)
from cloud.people.links import LONGEST_US, make_link, read_link
from cloud.people.roles import Action, Person, allows
from cloud.people.store import find_person, link_key

router = APIRouter(tags=["links"])
page = APIRouter(include_in_schema=False)
_MOST = 500
_PREFIX = "/a/"
_STATUS = {"refused": 404, "expired": 410}
_pages = Environment(
    loader=PackageLoader("cloud.api", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


class LinkOrder(BaseModel):
    """Alarms by their whole ids, and how long their links are good for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    alarm_ids: Annotated[list[Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]], Field(min_length=1, max_length=_MOST)]
    lasts_s: Annotated[int, Field(ge=60, le=LONGEST_US // 1_000_000)] = 900


class LinkView(BaseModel):
    """A link that acknowledges one alarm in the name of who made it."""

    model_config = ConfigDict(extra="forbid")

    alarm_id: str
    url: str


class LinkList(BaseModel):
    """Links; alarms that one does not see have none."""

    model_config = ConfigDict(extra="forbid")

    links: list[LinkView]
    expires_at_us: int


class _Found(Struct, frozen=True):
    """What a link leads to: the alarm, in whose name, and what became of the button."""

    alarm: Alarm | None
    person: Person | None
    outcome: str
    by: str | None = None
    at_us: int | None = None


@router.post("/links", status_code=201)
async def make_links(body: LinkOrder, context: Here, caller: Annotated[Caller, needs(Action.MAKE_LINKS)]) -> LinkList:
    """Make acknowledge links in one's own name, for a table that others look at: who has one can use it."""
    now_us, lasts_us, name = context.clock(), body.lasts_s * 1_000_000, caller.person.name

    def work(connection: Connection) -> list[LinkView]:
        key = link_key(connection)
        seen = connection.execute(ids_within(body.alarm_ids, caller.person.scope)).scalars().all()
        return [
            LinkView(
                alarm_id=one,
                url=f"{context.settings.api.public_url.rstrip('/')}{_PREFIX}"
                + make_link(key, one, name, action=Action.ACKNOWLEDGE, now_us=now_us, lasts_us=lasts_us),
            )
            for one in seen
        ]

    return LinkList(links=await context.database.call(work), expires_at_us=now_us + lasts_us)


@page.get("/a/style.css")
async def style() -> Response:
    """Give the page's looks."""
    return Response(_pages.get_template("style.css").render(), media_type="text/css")


@page.get("/a/{signed}")
async def ask(signed: str, request: Request, context: Here) -> Response:
    """Show what the link would acknowledge, and a button."""
    found = await context.database.ask(lambda connection: _look(connection, signed, context.clock()))
    return _draw(found, request, context)


@page.post("/a/{signed}")
async def confirm(signed: str, request: Request, context: Here) -> Response:
    """Acknowledge, and show how it went."""
    origin = f"link {origin_of(request)}"
    # Nobody has signed in here: only a good link on what waits for it takes a transaction for writing.
    found = await context.database.ask(lambda connection: _look(connection, signed, context.clock()))
    if found.outcome == "ask":
        found = await context.database.call(lambda connection: _press(connection, signed, origin, context.clock()))
    return _draw(found, request, context)


def _look(connection: Connection, signed: str, now_us: int) -> _Found:
    try:
        link = read_link(link_key(connection), signed, action=Action.ACKNOWLEDGE, now_us=now_us)
        person = find_person(connection, link.name)
        alarm = find_visible(connection, link.alarm_id, person)
        if not allows(person, Action.ACKNOWLEDGE, alarm.area_path):
            return _Found(None, None, "refused")
    except LinkRefusedError as error:
        return _Found(None, None, "expired" if error.has_expired else "refused")
    except (UnknownUserError, ProblemError):
        return _Found(None, None, "refused")
    if not alarm.is_open:
        return _Found(alarm, person, "closed", alarm.closed_by, alarm.closed_at_us)
    if alarm.acknowledged_at_us is not None:
        return _Found(alarm, person, "acknowledged", alarm.acknowledged_by, alarm.acknowledged_at_us)
    return _Found(alarm, person, "ask")


def _press(connection: Connection, signed: str, origin: str, now_us: int) -> _Found:
    found = _look(connection, signed, now_us)
    if found.outcome != "ask" or found.alarm is None or found.person is None:
        return found
    try:
        actor = Actor(found.person.name, origin)
        alarm = acknowledge(connection, found.alarm.alarm_id, actor=actor, now_us=now_us)
    except AlreadyClosedError as error:
        return _Found(found.alarm, found.person, "closed", error.by, error.at_us)
    except AlreadyAcknowledgedError as error:
        return _Found(found.alarm, found.person, "acknowledged", error.by, error.at_us)
    except ActionRefusedError:
        return _Found(found.alarm, found.person, "silent")
    return _Found(alarm, found.person, "done", found.person.name, now_us)


def _draw(found: _Found, request: Request, context: Context) -> Response:
    tag = choose_tag(request.headers.get("Accept-Language", ""))
    words = words_of(
        found.alarm,
        found.outcome,
        tag=tag,
        zone=ZoneInfo(context.settings.desk.timezone),
        by=found.by,
        at_us=found.at_us,
        person=found.person.name if found.person else None,
    )
    text = _pages.get_template("acknowledge.html").render(words=words)
    status = _STATUS.get(found.outcome, 200)
    return Response(text, status_code=status, media_type="text/html", headers={"Vary": "Accept-Language"})
