"""Signing in and out, one's own account and tokens, users, and the audit of what people did."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from msgspec import UNSET
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from cloud.api.auth import (
    LIFETIMES,
    Caller,
    forget_cookie,
    identify,
    needs,
    origin_of,
    set_cookie,
)
from cloud.api.context import Context, Here
from cloud.errors import NotAllowedError
from cloud.people import audit, store, tokens
from cloud.people.login import change_own_password, log_in
from cloud.people.passwords import MAX_CHARS as MAX_PASSWORD_CHARS
from cloud.people.passwords import hash_password
from cloud.people.roles import SCOPES, Action, Person, Role, rights
from cloud.people.sessions import SignedIn, end_session

router = APIRouter(tags=["people"])
Result = TypeVar("Result")
_DAY_US = 86_400 * 1_000_000

_STRICT = ConfigDict(extra="forbid", strict=True)
_SHOWN = ConfigDict(extra="forbid", from_attributes=True)
Name = Annotated[str, Field(min_length=1, max_length=100)]
Password = Annotated[str, Field(max_length=MAX_PASSWORD_CHARS)]
OneName = Annotated[str, Path(min_length=1, max_length=64)]
AreaId = Annotated[str, Field(min_length=1, max_length=64)]
Language = Annotated[str, Field(pattern="^(en|zh)$")]
_Role = Annotated[Role, Field(strict=False)]


class Login(BaseModel):
    """A name and its password."""

    model_config = _STRICT

    name: Name
    password: Password


class Me(BaseModel):
    """Who one is.

    Attributes:
        scope: the path of the subtree that one sees; null: everything.
        rights: what the role, and the token, allow.
        csrf: of a session: what every changing request says in the header X-CSRF-Token.
        must_change: nothing is allowed before the password has been changed.
    """

    model_config = _SHOWN

    name: str
    role: Role
    scope: str | None
    language: str
    rights: list[Action]
    csrf: str | None
    must_change: bool


class PasswordChange(BaseModel):
    """The password so far, and the new one."""

    model_config = _STRICT

    password: Password
    new_password: Password


class TokenView(BaseModel):
    """A token, without its secret."""

    model_config = _SHOWN

    id: str
    name: str
    scopes: list[Action]
    created_us: int
    expires_us: int
    used_us: int | None


class TokenList(BaseModel):
    """One's own tokens, the latest first."""

    model_config = _SHOWN

    tokens: list[TokenView]


class TokenOrder(BaseModel):
    """A token to be made: for what, and for how many days."""

    model_config = _STRICT

    name: Annotated[str, Field(min_length=1, max_length=tokens.MAX_NAME_CHARS)]
    scopes: Annotated[list[Annotated[Action, Field(strict=False)]], Field(min_length=1, max_length=len(SCOPES))]
    days: Annotated[int, Field(ge=1, le=366)] = 30


class TokenMade(TokenView):
    """A new token; `token` is shown this once."""

    token: str


class UserView(BaseModel):
    """A user as others see him."""

    model_config = _SHOWN

    name: str
    display: str
    role: Role
    area: str | None
    contact: str | None
    language: str
    disabled: bool
    must_change: bool
    created_us: int


class UserPage(BaseModel):
    """Users by name; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    users: list[UserView]
    next: str | None


class UserOrder(BaseModel):
    """A user to be made; he must choose a password of his own at his first login."""

    model_config = _STRICT

    name: Name
    role: _Role
    password: Password
    display: Annotated[str, Field(max_length=store.MAX_DISPLAY_CHARS)] = ""
    area: AreaId | None = None
    contact: AreaId | None = None
    language: Language = "zh"


class UserPatch(BaseModel):
    """What is to be changed of a user; what is left out stays."""

    model_config = _STRICT

    role: _Role | None = None
    display: Annotated[str, Field(max_length=store.MAX_DISPLAY_CHARS)] | None = None
    area: AreaId | None = None
    contact: AreaId | None = None
    language: Language | None = None
    disabled: bool | None = None


class GivenPassword(BaseModel):
    """A password for somebody else, who must change it."""

    model_config = _STRICT

    password: Password


class AuditEntry(BaseModel):
    """What somebody did beside alarms."""

    model_config = _SHOWN

    id: int
    at_us: int
    by: str
    origin: str
    what: str
    object: str
    details: dict[str, Any]


class AuditPage(BaseModel):
    """Entries, the latest first; `next` as `before` gives the older ones."""

    model_config = _SHOWN

    entries: list[AuditEntry]
    next: int | None


@router.post("/login")
async def login(body: Login, request: Request, response: Response, context: Here) -> Me:
    """Sign in; the session's cookie is set, and `csrf` is what changing requests must say."""
    work = partial(log_in, context.database, body.name, body.password, **_asked(request, context))
    return _signed_in(response, context, await _hashing(context, work))


@router.post("/logout", status_code=204)
async def logout(request: Request, response: Response, context: Here) -> None:
    """End the session; a token that asks is revoked."""
    caller = await identify(context, request)
    now_us = context.clock()

    def work(connection: Connection) -> None:
        credential = caller.credential
        if credential.token_id is None:
            end_session(connection, credential, actor=caller.actor, now_us=now_us)
        else:
            name = caller.person.name
            tokens.revoke_token(connection, name, credential.token_id, actor=caller.actor, now_us=now_us)

    await context.database.call(work)
    forget_cookie(response, context.settings.api)


@router.get("/me")
async def me(request: Request, context: Here) -> Me:
    """Tell who asks, and what he may do."""
    credential = (await identify(context, request)).credential
    return _me(credential.person, None if credential.csrf is None else credential.csrf.value)


@router.post("/me/password")
async def change_password(
    body: PasswordChange,
    request: Request,
    response: Response,
    context: Here,
    caller: Annotated[Caller, needs(Action.CHANGE_OWN_PASSWORD)],
) -> Me:
    """Change one's own password: all sessions end, and this one is a new one."""
    words = (caller.person.name, body.password, body.new_password)
    work = partial(change_own_password, context.database, *words, **_asked(request, context))
    return _signed_in(response, context, await _hashing(context, work))


@router.get("/me/tokens")
async def list_tokens(context: Here, caller: Annotated[Caller, needs(Action.MAKE_OWN_TOKENS)]) -> TokenList:
    """List one's own tokens."""
    found = await context.database.ask(lambda connection: tokens.list_tokens(connection, caller.person.name))
    return TokenList(tokens=[TokenView.model_validate(one) for one in found])


@router.post("/me/tokens", status_code=201)
async def make_token(
    body: TokenOrder, context: Here, caller: Annotated[Caller, needs(Action.MAKE_OWN_TOKENS)]
) -> TokenMade:
    """Make a token of one's own; it is shown this once."""
    now_us = context.clock()
    made = await context.database.call(
        lambda connection: tokens.make_token(
            connection,
            caller.person,
            name=body.name,
            scopes=frozenset(body.scopes),
            expires_at_us=now_us + body.days * _DAY_US,
            actor=caller.actor,
            now_us=now_us,
        )
    )
    return TokenMade(**TokenView.model_validate(made.token).model_dump(), token=made.text.value)


@router.delete("/me/tokens/{token_id}", status_code=204)
async def revoke_token(
    token_id: OneName, context: Here, caller: Annotated[Caller, needs(Action.MAKE_OWN_TOKENS)]
) -> None:
    """Revoke a token of one's own."""
    now_us, name = context.clock(), caller.person.name
    await context.database.call(
        lambda connection: tokens.revoke_token(connection, name, token_id, actor=caller.actor, now_us=now_us)
    )


@router.get("/users")
async def list_users(
    context: Here,
    caller: Annotated[Caller, needs(Action.SEE_USERS)],
    *,
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=store.MAX_PAGE)] = 100,
) -> UserPage:
    """List the users of one's own subtree."""
    scope = caller.person.scope
    found = await context.database.ask(
        lambda connection: store.list_users(connection, scope=scope, after=after, limit=limit)
    )
    following = found[-1].name if len(found) == limit else None
    return UserPage(users=[UserView.model_validate(one) for one in found], next=following)


@router.post("/users", status_code=201)
async def add_user(body: UserOrder, context: Here, caller: Annotated[Caller, needs(Action.EDIT_USERS)]) -> UserView:
    """Make a user of a lower role, or of a smaller area."""
    hashed = await _hashing(context, partial(hash_password, body.password, name=body.name))
    new = store.NewUser(**body.model_dump(exclude={"password"}))
    made = await context.database.call(
        lambda connection: store.add_user(
            connection,
            new,
            hashed,
            must_change=True,
            actor=caller.actor,
            editor=caller.person,
            now_us=context.clock(),
        )
    )
    return UserView.model_validate(made)


@router.patch("/users/{name}")
async def edit_user(
    name: OneName, body: UserPatch, context: Here, caller: Annotated[Caller, needs(Action.EDIT_USERS)]
) -> UserView:
    """Change a user; who is disabled loses his sessions and tokens at once."""
    said = body.model_dump(exclude_unset=True)
    nullable = {"area", "contact"}
    changes = store.UserChanges(
        **{key: UNSET if value is None and key not in nullable else value for key, value in said.items()}
    )
    edited = await context.database.call(
        lambda connection: store.edit_user(
            connection, name, changes, actor=caller.actor, editor=caller.person, now_us=context.clock()
        )
    )
    return UserView.model_validate(edited)


@router.post("/users/{name}/password", status_code=204)
async def give_password(
    name: OneName, body: GivenPassword, context: Here, caller: Annotated[Caller, needs(Action.EDIT_USERS)]
) -> None:
    """Give somebody else a new password: his sessions and tokens end, and so do his waits after failed logins."""
    hashed = await _hashing(context, partial(hash_password, body.password, name=name))
    await context.database.call(
        lambda connection: store.give_password(
            connection,
            name,
            hashed,
            must_change=True,
            actor=caller.actor,
            editor=caller.person,
            now_us=context.clock(),
        )
    )


@router.get("/audit")
async def list_audit(
    context: Here,
    caller: Annotated[Caller, needs(Action.SEE_AUDIT)],
    *,
    before: Annotated[int | None, Query(ge=1, le=2**53 - 1)] = None,
    by: Annotated[str | None, Query(max_length=200)] = None,
    what: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=audit.MAX_PAGE)] = 100,
) -> AuditPage:
    """List what people did beside alarms. It belongs to no area: users of everything see it."""
    _everything(caller)
    found = await context.database.ask(
        lambda connection: audit.list_audit(connection, before=before, by=by, what=what, limit=limit)
    )
    following = found[-1].id if len(found) == limit else None
    return AuditPage(entries=[AuditEntry.model_validate(one) for one in found], next=following)


def _everything(caller: Caller) -> None:
    """Refuse who sees a subtree alone."""
    if caller.person.scope is not None:
        raise NotAllowedError("the audit is for users of everything")


async def _hashing(context: Context, work: Callable[[], Result]) -> Result:
    return await anyio.to_thread.run_sync(work, limiter=context.hashing)


def _asked(request: Request, context: Context) -> dict[str, Any]:
    return {"origin": origin_of(request), "now_us": context.clock(), "lifetimes": LIFETIMES}


def _signed_in(response: Response, context: Context, signed_in: SignedIn) -> Me:
    set_cookie(response, signed_in, context.settings.api, now_us=context.clock())
    return _me(signed_in.person, signed_in.csrf.value)


def _me(person: Person, csrf: str | None) -> Me:
    allowed = rights(person.role)
    if person.token_scopes is not None:
        allowed &= person.token_scopes
    return Me(
        name=person.name,
        role=person.role,
        scope=person.scope,
        language=person.language,
        rights=sorted(allowed),
        csrf=csrf,
        must_change=person.must_change,
    )
