"""Who asks: a session's cookie or a token, looked up for every request; and whether a role may do it at all."""

from typing import Annotated, Any

from fastapi import Depends, Request, Response, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from msgspec import Struct
from sqlalchemy import Connection

from cloud.api.context import Context, Here
from cloud.api.problems import ProblemError
from cloud.api.settings import Api
from cloud.desk.changes import Actor
from cloud.errors import DatabaseAwayError, NotAllowedError, NotSignedInError
from cloud.people.roles import Action, Person, allows, is_inside
from cloud.people.sessions import (
    Credential,
    Lifetimes,
    SignedIn,
    authenticate_session,
    check_csrf,
    touch,
)
from cloud.people.tokens import authenticate_token

LIFETIMES = Lifetimes()
CSRF_HEADER = "X-CSRF-Token"
_SAFE = ("GET", "HEAD", "OPTIONS")
# The prefix makes browsers refuse it unless it is Secure, of this host alone and of "/".
SECURE_COOKIE = "__Host-langyan"
PLAIN_COOKIE = "langyan"

_bearer = HTTPBearer(auto_error=False, description="A token, made at /api/v1/me/tokens.")
_cookie = APIKeyCookie(name=SECURE_COOKIE, auto_error=False, description="Set by /api/v1/login.")


class Caller(Struct, frozen=True):
    """Who asks, and where from."""

    credential: Credential
    actor: Actor

    @property
    def person(self) -> Person:
        """The user, with what a token narrows."""
        return self.credential.person


def needs(action: Action) -> Any:
    """Depend on a caller whose role and token allow `action` somewhere; where, the route itself asks."""

    async def check(
        request: Request,
        context: Here,
        _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
        _cookie: Annotated[str | None, Security(_cookie)] = None,
    ) -> Caller:
        caller = await identify(context, request)
        require(caller, action)
        return caller

    return Depends(check)


async def identify(context: Context, request: Request, *, csrf: str | None = None) -> Caller:
    """Find out who asks.

    Args:
        context: of the app.
        request: with a session's cookie or a token.
        csrf: the word against forged requests where a form said it; else it is looked for in the header.

    Raises:
        NotSignedInError: nobody known.
        ProblemError: 403, a cookie without the word against forged requests.
    """
    now_us = context.clock()
    credential = await context.database.ask(lambda connection: _authenticate(connection, request, now_us))
    if request.method not in _SAFE:
        try:
            check_csrf(credential, csrf if csrf is not None else request.headers.get(CSRF_HEADER))
        except NotAllowedError as error:
            hint = f"Send what the login answered as `csrf` in the header {CSRF_HEADER}."
            raise ProblemError(403, "csrf", str(error), hint=hint) from error
    await _touch(context, credential, now_us)
    return Caller(credential, Actor(credential.person.name, origin_of(request)))


async def still_valid(context: Context, request: Request, person: Person) -> bool:
    """Tell whether who asked once may still, as the same role in the same place: for what lasts.

    What lasts counts as use of its session or token. While the database is away nobody is told anything new, and nobody
    is sent away: all would come back at once.
    """
    try:
        now_us = context.clock()
        credential = await context.database.ask(lambda connection: _authenticate(connection, request, now_us))
        if credential.person != person:
            return False
        await _touch(context, credential, now_us)
    except NotSignedInError:
        return False
    except DatabaseAwayError:
        return True
    return True


def require(caller: Caller, action: Action) -> None:
    """Refuse what the caller may do nowhere.

    Raises:
        ProblemError: 403.
    """
    person = caller.person
    if person.must_change and action is not Action.CHANGE_OWN_PASSWORD:
        hint = "POST /api/v1/me/password first."
        raise ProblemError(403, "must-change-password", "somebody else has given this password", hint=hint)
    if not allows(person, action, person.scope or ""):
        raise NotAllowedError(f"a {person.role.value} or this token may not {action.value}")


def sees(caller: Caller, area_path: str) -> bool:
    """Tell whether what lies there is there for the caller."""
    return is_inside(caller.person.scope, area_path)


def origin_of(request: Request) -> str:
    """Tell where the request comes from, as the history keeps it."""
    return request.client.host if request.client else "unknown"


def set_cookie(response: Response, signed_in: SignedIn, api: Api, *, now_us: int) -> None:
    """Give the browser its session: unreadable for scripts, sent to this host alone and from its own pages alone."""
    response.set_cookie(
        cookie_name(api),
        signed_in.cookie.value,
        max_age=(signed_in.expires_at_us - now_us) // 1_000_000,
        path="/",
        secure=api.is_secure,
        httponly=True,
        samesite="strict",
    )


def forget_cookie(response: Response, api: Api) -> None:
    """Take the browser's session back."""
    response.delete_cookie(cookie_name(api), path="/", secure=api.is_secure, httponly=True, samesite="strict")


def cookie_name(api: Api) -> str:
    """Name the cookie; without TLS no browser takes the safer name."""
    return SECURE_COOKIE if api.is_secure else PLAIN_COOKIE


async def _touch(context: Context, credential: Credential, now_us: int) -> None:
    """Note that it is used, at most once a minute."""
    if credential.is_stale:
        await context.database.call(lambda connection: touch(connection, credential, now_us=now_us))


def _authenticate(connection: Connection, request: Request, now_us: int) -> Credential:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return authenticate_token(connection, token.strip(), now_us=now_us)
    cookie = request.cookies.get(cookie_name(request.app.state.context.settings.api))
    if cookie is None:
        raise NotSignedInError("neither a token nor a session")
    return authenticate_session(connection, cookie, now_us=now_us, lifetimes=LIFETIMES)
