"""Sessions of browsers: a random cookie of which only the digest is kept, and a word against forged requests."""

import hashlib
import hmac
import secrets

from msgspec import Struct
from sqlalchemy import Connection, delete, insert, or_, select, update

from cloud.database.people_tables import session, token, user
from cloud.desk.changes import Actor
from cloud.errors import NotAllowedError, NotSignedInError
from cloud.people.audit import Audited, note
from cloud.people.hidden import Hidden
from cloud.people.roles import Person
from cloud.people.store import select_users, to_person

MAX_SESSIONS = 20
"""Of one user; the one used least recently ends."""

TOUCH_US = 60_000_000
"""When a session or token was last used is written at most this often."""

_MAX_COOKIE_CHARS = 100


class Lifetimes(Struct, frozen=True):
    """How long a session lasts.

    Attributes:
        idle_s: without a request.
        absolute_s: whatever happens; the default is a shift.
    """

    idle_s: int = 2 * 3_600
    absolute_s: int = 12 * 3_600


class SignedIn(Struct, frozen=True):
    """A new session, as it is told to the browser once.

    Attributes:
        cookie: what the cookie holds.
        csrf: what every changing request must say in a header.
        expires_at_us: the absolute end.
    """

    person: Person
    cookie: Hidden[str]
    csrf: Hidden[str]
    expires_at_us: int


class Credential(Struct, frozen=True):
    """A request's session or token, found to be valid.

    Attributes:
        session: its digest; None for a token.
        token_id: None for a session.
        csrf: see `check_csrf`; None for a token, which no browser sends by itself.
        is_stale: call `touch` in a write transaction.
    """

    person: Person
    session: bytes | None = None
    token_id: str | None = None
    csrf: Hidden[str] | None = None
    is_stale: bool = False


def open_session(connection: Connection, person: Person, *, origin: str, now_us: int, lifetimes: Lifetimes) -> SignedIn:
    """Open a session in a write transaction, and forget those that have ended."""
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    expires_us = now_us + lifetimes.absolute_s * 1_000_000
    idle_since_us = now_us - lifetimes.idle_s * 1_000_000
    connection.execute(delete(session).where(or_(session.c.expires_us <= now_us, session.c.seen_us <= idle_since_us)))
    own = select(session.c.digest).where(session.c.user == person.name)
    beyond = own.order_by(session.c.seen_us.desc(), session.c.digest).offset(MAX_SESSIONS - 1)
    too_many = connection.execute(beyond).scalars().all()
    connection.execute(delete(session).where(session.c.digest.in_(too_many)))
    row = {"digest": _digest(cookie), "user": person.name, "csrf": csrf, "origin": origin[:200]}
    times = {"created_us": now_us, "seen_us": now_us, "expires_us": expires_us}
    connection.execute(insert(session).values(row | times))
    return SignedIn(person, Hidden(cookie), Hidden(csrf), expires_us)


def authenticate_session(connection: Connection, cookie: str, *, now_us: int, lifetimes: Lifetimes) -> Credential:
    """Find whose session a cookie is; reading is enough.

    Raises:
        NotSignedInError: unknown, ended, or of a disabled user.
    """
    refused = NotSignedInError("the session is unknown or has ended")
    if len(cookie) > _MAX_COOKIE_CHARS:
        raise refused
    digest = _digest(cookie)
    columns = (session.c.csrf, session.c.seen_us, session.c.expires_us)
    wanted = select_users().add_columns(*columns).join(session, session.c.user == user.c.name)
    row = connection.execute(wanted.where(session.c.digest == digest, user.c.disabled.is_(False))).one_or_none()
    if row is None or row.expires_us <= now_us or row.seen_us + lifetimes.idle_s * 1_000_000 <= now_us:
        raise refused
    is_stale = row.seen_us + TOUCH_US <= now_us
    return Credential(to_person(row), session=digest, csrf=Hidden(row.csrf), is_stale=is_stale)


def check_csrf(credential: Credential, said: str | None) -> None:
    """Check what a changing request says in its header against its session.

    Raises:
        NotAllowedError: it is missing or another; a page of somebody else's may have sent the request.
    """
    if credential.csrf is None:
        return
    if not hmac.compare_digest((said or "").encode("utf-8", "replace"), credential.csrf.value.encode()):
        raise NotAllowedError("the request does not prove that it comes from the desk's own page (CSRF)")


def touch(connection: Connection, credential: Credential, *, now_us: int) -> None:
    """Note in a write transaction that a session or token is used."""
    if credential.session is not None:
        seen = update(session).where(session.c.digest == credential.session, session.c.seen_us < now_us)
        connection.execute(seen.values(seen_us=now_us))
    if credential.token_id is not None:
        connection.execute(update(token).where(token.c.id == credential.token_id).values(used_us=now_us))


def end_session(connection: Connection, credential: Credential, *, actor: Actor, now_us: int) -> None:
    """Sign out; nothing happens when the session has ended already."""
    ended = connection.execute(delete(session).where(session.c.digest == credential.session))
    if ended.rowcount:
        note(connection, actor=actor, what=Audited.LOGOUT, object_=credential.person.name, details={}, at_us=now_us)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()
