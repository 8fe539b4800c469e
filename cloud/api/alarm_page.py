"""The desk's page of one alarm, to which dashboards lead: who signs in there sees it, and acknowledges it in his name.

Looking at it changes nothing. It is made of forms alone, without scripts: one signs in, one acknowledges, and each is
taken from this page only. A browser that comes from another site (Grafana's) keeps back the session's cookie, which is
`SameSite=Strict`; so who comes without one is sent here once more, by the desk's own page this time.
"""

from functools import partial
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from msgspec import Struct
from sqlalchemy import Connection

from cloud.api.alarms import find_visible
from cloud.api.auth import LIFETIMES, Caller, cookie_name, identify, origin_of, set_cookie
from cloud.api.context import Context, Here
from cloud.api.page_words import choose_tag, words_of
from cloud.api.problems import ProblemError
from cloud.desk.core import Alarm
from cloud.desk.operations import acknowledge
from cloud.errors import (
    ActionRefusedError,
    AlreadyAcknowledgedError,
    AlreadyClosedError,
    LoginRefusedError,
    LoginThrottledError,
    NotSignedInError,
)
from cloud.people.login import log_in
from cloud.people.passwords import MAX_CHARS as MAX_PASSWORD_CHARS
from cloud.people.roles import Action, allows

page = APIRouter(include_in_schema=False)
PREFIX = "/alarms/"
_MAX_NAME_CHARS = 100
_MAX_FIELDS = 10
_MAX_DIGITS = 18
_AGAIN = "again"
_FORM = "application/x-www-form-urlencoded"
_STATUS = {"sign-in": 401, "wrong": 401, "throttled": 429, "must-change": 403, "unknown": 404, "forged": 403}
_pages = Environment(
    loader=PackageLoader("cloud.api", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


class _Shown(Struct, frozen=True):
    """What the page says: the alarm, and what became of a button.

    Attributes:
        alarm: None where there is none to be shown.
        caller: None who has not signed in.
        outcome: as in `cloud.api.page_words`.
        by, at_us: who was first, and when.
        retry_after_s: how long a login has to wait.
    """

    alarm: Alarm | None
    caller: Caller | None
    outcome: str
    by: str | None = None
    at_us: int | None = None
    retry_after_s: int | None = None


@page.get(PREFIX + "{alarm_id}")
async def look(alarm_id: str, request: Request, context: Here) -> Response:
    """Show the alarm to who is signed in, and a form to sign in to others."""
    comes_anew = _AGAIN not in request.query_params and cookie_name(context.settings.api) not in request.cookies
    if comes_anew and request.headers.get("Sec-Fetch-Site") == "cross-site":
        return Response(_pages.get_template("again.html").render(url=f"?{_AGAIN}=1"), media_type="text/html")
    try:
        caller = await identify(context, request)
    except NotSignedInError:
        return _draw(_Shown(None, None, "sign-in"), request, context)
    shown = await context.database.ask(lambda connection: _look(connection, alarm_id, caller))
    return _draw(shown, request, context)


@page.post(PREFIX + "{alarm_id}")
async def press(alarm_id: str, request: Request, context: Here) -> Response:
    """Acknowledge in the name of who is signed in, and show how it went."""
    said = await _read_form(request)
    if said is None:
        return _draw(_Shown(None, None, "forged"), request, context)
    try:
        caller = await identify(context, request, csrf=said.get("csrf", ""))
    except NotSignedInError:
        return _draw(_Shown(None, None, "sign-in"), request, context)
    except ProblemError:
        return _draw(_Shown(None, None, "forged"), request, context)
    seen = said.get("seen_triggers", "")
    triggers = int(seen) if seen.isdecimal() and seen.isascii() and len(seen) <= _MAX_DIGITS else None
    act = partial(_press, alarm_id=alarm_id, caller=caller, seen_triggers=triggers, now_us=context.clock())
    return _draw(await context.database.call(act), request, context)


@page.post(PREFIX + "{alarm_id}/sign-in")
async def sign_in(alarm_id: str, request: Request, context: Here) -> Response:
    """Sign in, and show the alarm."""
    said = await _read_form(request)
    if said is None:
        return _draw(_Shown(None, None, "forged"), request, context)
    name, password = said.get("name", "")[:_MAX_NAME_CHARS], said.get("password", "")[:MAX_PASSWORD_CHARS]
    asked: dict[str, Any] = {"origin": origin_of(request), "now_us": context.clock(), "lifetimes": LIFETIMES}
    work = partial(log_in, context.database, name, password, **asked)
    try:
        signed_in = await anyio.to_thread.run_sync(work, limiter=context.hashing)
    except LoginRefusedError:
        return _draw(_Shown(None, None, "wrong"), request, context)
    except LoginThrottledError as error:
        return _draw(_Shown(None, None, "throttled", retry_after_s=error.retry_after_s), request, context)
    back = RedirectResponse(_place(alarm_id), status_code=303)
    set_cookie(back, signed_in, context.settings.api, now_us=context.clock())
    return back


def _look(connection: Connection, alarm_id: str, caller: Caller) -> _Shown:
    if caller.person.must_change:
        return _Shown(None, caller, "must-change")
    try:
        alarm = find_visible(connection, alarm_id, caller.person)
    except ProblemError:
        return _Shown(None, caller, "unknown")
    if not allows(caller.person, Action.SEE_ALARMS, alarm.area_path):
        # A token that was made for something else.
        return _Shown(None, caller, "unknown")
    if not alarm.is_open:
        return _Shown(alarm, caller, "closed", alarm.closed_by, alarm.closed_at_us)
    if alarm.acknowledged_at_us is not None:
        return _Shown(alarm, caller, "acknowledged", alarm.acknowledged_by, alarm.acknowledged_at_us)
    may = allows(caller.person, Action.ACKNOWLEDGE, alarm.area_path)
    return _Shown(alarm, caller, "ask" if may else "powerless")


def _press(connection: Connection, *, alarm_id: str, caller: Caller, seen_triggers: int | None, now_us: int) -> _Shown:
    found = _look(connection, alarm_id, caller)
    if found.alarm is None or found.outcome != "ask":
        return found
    if seen_triggers is not None and found.alarm.triggers > seen_triggers:
        return _Shown(found.alarm, caller, "again")
    try:
        alarm = acknowledge(
            connection, found.alarm.alarm_id, actor=caller.actor, now_us=now_us, seen_triggers=seen_triggers
        )
    except AlreadyClosedError as error:
        return _Shown(found.alarm, caller, "closed", error.by, error.at_us)
    except AlreadyAcknowledgedError as error:
        return _Shown(found.alarm, caller, "acknowledged", error.by, error.at_us)
    except ActionRefusedError:
        return _Shown(found.alarm, caller, "silent")
    return _Shown(alarm, caller, "done", caller.person.name, now_us)


async def _read_form(request: Request) -> dict[str, str] | None:
    """Read what this page's form says; None for what another site's page, or no form at all, has sent.

    Browsers say nothing of where a request comes from unless they speak TLS or to this machine itself.
    """
    comes_from = request.headers.get("Sec-Fetch-Site", "same-origin")
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if comes_from != "same-origin" or kind != _FORM:
        return None
    try:
        pairs = parse_qsl((await request.body()).decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return None
    return dict(pairs)


def _draw(shown: _Shown, request: Request, context: Context) -> Response:
    tag = choose_tag(request.headers.get("Accept-Language", ""))
    alarm, caller = shown.alarm, shown.caller
    words = words_of(
        alarm,
        shown.outcome,
        tag=tag,
        zone=ZoneInfo(context.settings.desk.timezone),
        by=shown.by,
        at_us=shown.at_us,
        person=caller.person.name if caller else None,
    )
    place = _place(str(request.path_params["alarm_id"]))
    hidden: list[tuple[str, str]] = []
    if alarm is not None and caller is not None and caller.credential.csrf is not None:
        hidden = [("csrf", caller.credential.csrf.value), ("seen_triggers", str(alarm.triggers))]
    action = f"{place}/sign-in" if words.asks else place
    text = _pages.get_template("alarm.html").render(words=words, action=action, hidden=hidden)
    headers = {"Vary": "Accept-Language"}
    if shown.retry_after_s is not None:
        headers["Retry-After"] = str(shown.retry_after_s)
    return Response(text, status_code=_STATUS.get(shown.outcome, 200), media_type="text/html", headers=headers)


def _place(alarm_id: str) -> str:
    """Write the page's address; what stands in it for an id may be anything."""
    return PREFIX + "".join(sign for sign in alarm_id[:24] if sign in "0123456789abcdef")
