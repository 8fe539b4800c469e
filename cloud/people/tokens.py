"""API tokens: `lyt_<id>_<secret>`, for some of what their user may do, until a day that is known when they are made."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection

from msgspec import Struct
from sqlalchemy import Connection, Row, delete, func, insert, select

from cloud.database.people_tables import token, user
from cloud.desk.changes import Actor
from cloud.errors import NotAllowedError, NotSignedInError, TokenRefusedError, UnknownTokenError
from cloud.people.audit import Audited, note
from cloud.people.hidden import Hidden
from cloud.people.roles import SCOPES, Action, Person, allows, rights
from cloud.people.sessions import TOUCH_US, Credential
from cloud.people.store import select_users, to_person

LONGEST_US = 366 * 86_400 * 1_000_000
MAX_TOKENS = 50
"""Of one user."""

MAX_NAME_CHARS = 100
_FORM = re.compile(r"lyt_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


class Token(Struct, frozen=True):
    """A token as its user sees it again; never the token itself.

    Attributes:
        name: what it is for.
        used_us: when it was last used, to the minute; None: never.
    """

    id: str
    user: str
    name: str
    scopes: tuple[Action, ...]
    created_us: int
    expires_us: int
    used_us: int | None


class NewToken(Struct, frozen=True):
    """A token just made, with what is shown once."""

    token: Token
    text: Hidden[str]


def make_token(
    connection: Connection,
    owner: Person,
    *,
    name: str,
    scopes: Collection[Action],
    expires_at_us: int,
    actor: Actor,
    now_us: int,
) -> NewToken:
    """Make a token of one's own, in a write transaction.

    Args:
        connection: a write transaction.
        owner: whose; signed in by a session.
        name: what it is for, 1 to `MAX_NAME_CHARS` characters.
        scopes: at least one of what the owner's role may do and `SCOPES` holds.
        expires_at_us: its end, at most `LONGEST_US` from now.
        actor: who makes it, for the audit.
        now_us: the wall time.

    Raises:
        NotAllowedError: the owner may not.
        TokenRefusedError: mend and repeat.
    """
    if not allows(owner, Action.MAKE_OWN_TOKENS, ""):
        raise NotAllowedError("only who is signed in with a password of his own makes tokens")
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise TokenRefusedError(f"name: 1 to {MAX_NAME_CHARS} printable characters")
    beyond = sorted(frozenset(scopes) - (rights(owner.role) & SCOPES))
    if beyond or not scopes:
        raise TokenRefusedError(f"scopes: not among those of a {owner.role.value}: {', '.join(beyond) or 'none given'}")
    if not now_us < expires_at_us <= now_us + LONGEST_US:
        raise TokenRefusedError("expires_at_us: the end lies in the past or more than a year ahead")
    connection.execute(delete(token).where(token.c.user == owner.name, token.c.expires_us <= now_us))
    count = connection.execute(select(func.count()).select_from(token).where(token.c.user == owner.name)).scalar_one()
    if count >= MAX_TOKENS:
        raise TokenRefusedError(f"there are {MAX_TOKENS} already; revoke one")
    token_id, hidden = secrets.token_hex(8), secrets.token_urlsafe(32)
    made = Token(token_id, owner.name, name, tuple(sorted(frozenset(scopes))), now_us, expires_at_us, None)
    row = {"id": token_id, "digest": _digest(hidden), "user": owner.name, "name": name, "scopes": list(made.scopes)}
    connection.execute(insert(token).values(row | {"created_us": now_us, "expires_us": expires_at_us}))
    details = {"user": owner.name, "name": name, "scopes": list(made.scopes), "expires_us": expires_at_us}
    note(connection, actor=actor, what=Audited.TOKEN_MADE, object_=token_id, details=details, at_us=now_us)
    return NewToken(made, Hidden(f"lyt_{token_id}_{hidden}"))


def authenticate_token(connection: Connection, text: str, *, now_us: int) -> Credential:
    """Find whose token it is and what for; reading is enough.

    Raises:
        NotSignedInError: unknown, ended, revoked, or of a disabled user.
    """
    refused = NotSignedInError("the token is unknown, revoked or has ended")
    found = _FORM.fullmatch(text)
    if found is None:
        raise refused
    columns = (token.c.digest, token.c.scopes, token.c.expires_us, token.c.used_us)
    wanted = select_users().add_columns(*columns).join(token, token.c.user == user.c.name)
    row = connection.execute(wanted.where(token.c.id == found[1], user.c.disabled.is_(False))).one_or_none()
    if row is None or not hmac.compare_digest(bytes(row.digest), _digest(found[2])) or row.expires_us <= now_us:
        raise refused
    is_stale = row.used_us is None or row.used_us + TOUCH_US <= now_us
    return Credential(to_person(row, token_scopes=_scopes(row)), token_id=found[1], is_stale=is_stale)


def list_tokens(connection: Connection, name: str) -> list[Token]:
    """List a user's tokens, the latest first; ended ones stay until the next one is made."""
    wanted = select(token).where(token.c.user == name).order_by(token.c.created_us.desc(), token.c.id)
    return [
        Token(row.id, row.user, row.name, tuple(sorted(_scopes(row))), row.created_us, row.expires_us, row.used_us)
        for row in connection.execute(wanted)
    ]


def revoke_token(connection: Connection, name: str, token_id: str, *, actor: Actor, now_us: int) -> None:
    """End a token of the user called `name`.

    Raises:
        UnknownTokenError: he has none of that id.
    """
    revoked = connection.execute(delete(token).where(token.c.id == token_id, token.c.user == name))
    if not revoked.rowcount:
        raise UnknownTokenError(token_id)
    note(connection, actor=actor, what=Audited.TOKEN_REVOKED, object_=token_id, details={"user": name}, at_us=now_us)


def _scopes(row: Row[tuple[object, ...]]) -> frozenset[Action]:
    """Read scopes; a word that this version no longer knows allows nothing."""
    known = frozenset(action.value for action in Action)
    return frozenset(Action(word) for word in row.scopes if word in known)


def _digest(hidden: str) -> bytes:
    return hashlib.sha256(hidden.encode()).digest()
