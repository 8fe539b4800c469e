"""Signing in with a password: three short transactions around the hashing, which takes long and holds none open.

A login is counted as failed before its password is looked at, and found good afterwards: so any number of them at once
get no further than one after the other. `throttle` says how long to wait.
"""

from functools import partial

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, text, update

from cloud.database import Database
from cloud.database.people_tables import login_attempt, session, user
from cloud.desk.changes import Actor
from cloud.errors import LoginRefusedError, LoginThrottledError, PasswordRefusedError
from cloud.people.audit import NOBODY, Audited, note
from cloud.people.hidden import Hidden
from cloud.people.passwords import check_password, hash_password, rehashed, verify_password
from cloud.people.sessions import Lifetimes, SignedIn, open_session
from cloud.people.store import select_users, tidy_name, to_person
from cloud.people.throttle import (
    KNOWN_FOR_US,
    MAX_ATTEMPTS,
    NAME,
    ORIGIN,
    PAIR,
    REMEMBERED_US,
    Failures,
    Rule,
    name_key,
    origin_key,
    wait_us,
)

# "langlogi": logins of all processes are counted one after the other.
_LOGIN_LOCK = 0x6C616E676C6F6769


class _Asked(Struct, frozen=True):
    """Who says he is whom, from where; as counted."""

    name: str | None
    name_key: str
    origin: str
    origin_key: str
    now_us: int


class _Attempt(Struct, frozen=True):
    """A login that may be looked at: its row, and the hash to compare with; None where there is no such user."""

    id: int
    kept: Hidden[str] | None


def log_in(database: Database, name: str, password: str, *, origin: str, now_us: int, lifetimes: Lifetimes) -> SignedIn:
    """Sign in; takes a tenth of a second or two of a core, and 32 MiB, so let few do it at once.

    Args:
        database: migrated.
        name: as it was typed.
        password: as it was typed.
        origin: the network address that asks.
        now_us: the wall time.
        lifetimes: of the session that is opened.

    Raises:
        LoginThrottledError: wait.
        LoginRefusedError: wrong, and not told what.
        DatabaseAwayError: the database does not answer.
    """
    asked = _asked(name, origin, now_us)
    attempt = _begin(database, asked)
    is_right = verify_password(attempt.kept, password)
    fresh = rehashed(attempt.kept, password) if is_right and attempt.kept is not None else None
    signed_in = database.run(
        partial(_end, asked=asked, attempt=attempt, is_right=is_right, fresh=fresh, lifetimes=lifetimes)
    )
    if signed_in is None:
        raise LoginRefusedError
    return signed_in


def change_own_password(
    database: Database, name: str, old: str, new: str, *, origin: str, now_us: int, lifetimes: Lifetimes
) -> SignedIn:
    """Take a new password by saying the old one: all sessions end, a new one is opened; tokens go on.

    Raises:
        PasswordRefusedError: the new one is too easily guessed, or the old one again.
        LoginThrottledError, LoginRefusedError, DatabaseAwayError: as `log_in`, for the old one.
    """
    asked = _asked(name, origin, now_us)
    # First, so that a new one that will not do is no failed login.
    check_password(new, name=asked.name or "")
    if new == old:
        raise PasswordRefusedError("the password is the old one again")
    attempt = _begin(database, asked)
    is_right = verify_password(attempt.kept, old)
    fresh = hash_password(new, name=asked.name or "") if is_right else None
    signed_in = database.run(
        partial(_end, asked=asked, attempt=attempt, is_right=is_right, fresh=fresh, lifetimes=lifetimes, changes=True)
    )
    if signed_in is None:
        raise LoginRefusedError
    return signed_in


def _asked(name: str, origin: str, now_us: int) -> _Asked:
    tidy = tidy_name(name)
    return _Asked(tidy, name_key(tidy or name), origin, origin_key(origin), now_us)


def _begin(database: Database, asked: _Asked) -> _Attempt:
    # Whoever must wait is turned away by reading, so that a flood of logins keeps no alarm from being written.
    database.read(partial(_check_wait, asked=asked))
    return database.run(partial(_count_in, asked=asked))


def _check_wait(connection: Connection, *, asked: _Asked) -> None:
    """Refuse a login that has to wait."""
    by_name, by_origin = login_attempt.c.name == asked.name_key, login_attempt.c.origin == asked.origin_key
    good = select(func.max(login_attempt.c.id), func.max(login_attempt.c.at_us))
    good_id, good_at_us = connection.execute(good.where(by_name, by_origin, login_attempt.c.succeeded)).one()
    is_known = good_at_us is not None and good_at_us > asked.now_us - KNOWN_FOR_US
    rules: list[tuple[Rule, ColumnElement[bool]]] = [
        (PAIR, and_(by_name, by_origin, login_attempt.c.id > (good_id or 0))),
        (ORIGIN, by_origin),
    ]
    if not is_known:
        rules.append((NAME, by_name))
    longest_us = max(wait_us(rule, _failures(connection, rule, which, asked), asked.now_us) for rule, which in rules)
    if longest_us:
        raise LoginThrottledError(-(-longest_us // 1_000_000))


def _failures(connection: Connection, rule: Rule, which: ColumnElement[bool], asked: _Asked) -> Failures:
    # What lies ahead was written before the clock was set back, and would last until it is there again.
    within = and_(login_attempt.c.at_us > asked.now_us - rule.window_us, login_attempt.c.at_us <= asked.now_us)
    counted = select(func.count(), func.max(login_attempt.c.at_us)).select_from(login_attempt)
    count, last_at_us = connection.execute(counted.where(which, within, login_attempt.c.succeeded.is_(False))).one()
    return Failures(count, last_at_us or 0)


def _count_in(connection: Connection, *, asked: _Asked) -> _Attempt:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOGIN_LOCK})
    _check_wait(connection, asked=asked)
    row = {"at_us": asked.now_us, "name": asked.name_key, "origin": asked.origin_key, "succeeded": False}
    (attempt_id,) = connection.execute(insert(login_attempt).values(row)).inserted_primary_key or (0,)
    _forget(connection, attempt_id, asked.now_us)
    kept = select(user.c.password).where(user.c.name == (asked.name or ""), user.c.disabled.is_(False))
    found = connection.execute(kept).scalar_one_or_none()
    return _Attempt(attempt_id, None if found is None else Hidden(found))


def _forget(connection: Connection, newest_id: int, now_us: int) -> None:
    """Keep the table small: failures that no rule counts any more or that are too many, and origins long not used."""
    old = or_(login_attempt.c.at_us <= now_us - REMEMBERED_US, login_attempt.c.id <= newest_id - MAX_ATTEMPTS)
    connection.execute(delete(login_attempt).where(login_attempt.c.succeeded.is_(False), old))
    long_not_used = login_attempt.c.at_us <= now_us - KNOWN_FOR_US
    connection.execute(delete(login_attempt).where(login_attempt.c.succeeded, long_not_used))


def _end(
    connection: Connection,
    *,
    asked: _Asked,
    attempt: _Attempt,
    is_right: bool,
    fresh: Hidden[str] | None,
    lifetimes: Lifetimes,
    changes: bool = False,
) -> SignedIn | None:
    """Note how the login went; None when it failed, also when the user was disabled or changed meanwhile."""
    wanted = select_users().where(user.c.name == (asked.name or ""))
    found = connection.execute(wanted.with_for_update(of=user)).one_or_none()
    is_right = is_right and found is not None and not found.disabled
    if found is None or not is_right or attempt.kept is None or found.password != attempt.kept.value:
        known = "" if found is None else found.name
        actor = Actor(NOBODY, asked.origin)
        note(connection, actor=actor, what=Audited.LOGIN_FAILED, object_=known, details={}, at_us=asked.now_us)
        return None
    _note_success(connection, asked, attempt)
    actor = Actor(found.name, asked.origin)
    if fresh is not None:
        values = {"password": fresh.value} | ({"must_change": False} if changes else {})
        connection.execute(update(user).where(user.c.name == found.name).values(values))
    if changes:
        connection.execute(delete(session).where(session.c.user == found.name))
        note(connection, actor=actor, what=Audited.PASSWORD_CHANGED, object_=found.name, details={}, at_us=asked.now_us)
    else:
        note(connection, actor=actor, what=Audited.LOGIN, object_=found.name, details={}, at_us=asked.now_us)
    person = to_person(connection.execute(wanted).one())
    return open_session(connection, person, origin=asked.origin, now_us=asked.now_us, lifetimes=lifetimes)


def _note_success(connection: Connection, asked: _Asked, attempt: _Attempt) -> None:
    """Turn the attempt into a success, the one that is kept of this pair."""
    pair = and_(login_attempt.c.name == asked.name_key, login_attempt.c.origin == asked.origin_key)
    before = and_(pair, login_attempt.c.succeeded, login_attempt.c.id != attempt.id)
    connection.execute(delete(login_attempt).where(before))
    connection.execute(update(login_attempt).where(login_attempt.c.id == attempt.id).values(succeeded=True))
