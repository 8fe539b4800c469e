"""Users as they are kept: made and edited by those above them, never deleted, since the history names them."""

import re
import secrets
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from cloud.clock import now_us as wall_us
from cloud.database import Database
from cloud.database.area_tables import area, contact
from cloud.database.people_tables import login_attempt, secret, session, token, user
from cloud.desk.changes import Actor
from cloud.errors import BadUserError, LastAdminError, NotAllowedError, UnknownUserError, UserExistsError
from cloud.people.audit import NOBODY, Audited, note
from cloud.people.hidden import Hidden
from cloud.people.passwords import hash_password, random_password
from cloud.people.roles import Action, Person, Role, allows, may_edit
from cloud.people.throttle import name_key

MAX_DISPLAY_CHARS = 100
MAX_PAGE = 1_000
LANGUAGES = ("en", "zh")
FIRST_ADMIN = "admin"
CONSOLE = "console"
"""Where the machine's administrator acts from."""

# Names that the history and the audit give to what is no user.
RESERVED = frozenset({"gateway", "desk", "cloud", "mqtt", "worker", "link", CONSOLE, NOBODY})
# Small letters only, so that no two names look alike but for their case.
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_LINK_KEY = "link"


class User(Struct, frozen=True):
    """A user as others see him.

    Attributes:
        name: what he signs in with, and what the history says; never given twice.
        display: what people call him; any Unicode.
        area: the top of what he sees; None: everything.
        area_path: its path, "" for everything.
        contact: the contact that is told when he is on duty.
        language: "en" or "zh".
        must_change: his password was given by somebody else.
    """

    name: str
    display: str
    role: Role
    area: str | None
    area_path: str
    contact: str | None
    language: str
    disabled: bool
    must_change: bool
    created_us: int


class NewUser(Struct, frozen=True):
    """What is said of a user who is made; see `User`."""

    name: str
    role: Role
    display: str = ""
    area: str | None = None
    contact: str | None = None
    language: str = "zh"


class UserChanges(Struct, frozen=True):
    """What is to be changed of a user; what is unset stays."""

    display: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    area: str | UnsetType | None = UNSET
    contact: str | UnsetType | None = UNSET
    language: str | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


def tidy_name(text: str) -> str | None:
    """Read a name as people type it; None for what can be nobody's."""
    name = text.strip().lower() if len(text) <= 100 else ""  # noqa: PLR2004
    return name if _NAME.fullmatch(name) else None


def select_users() -> Select[Any]:
    """Select users with the paths of their areas (`path`, NULL for everything)."""
    return select(user, area.c.path).select_from(user.outerjoin(area, user.c.area == area.c.id))


def to_person(row: Row[Any], *, token_scopes: frozenset[Action] | None = None) -> Person:
    """Make a person of a row of `select_users`."""
    # An area without a path would be a fault of the database; "" is in no subtree.
    scope = None if row.area is None else (row.path or "")
    return Person(row.name, Role(row.role), scope, token_scopes, row.language, row.must_change)


def list_users(connection: Connection, *, scope: str | None = None, after: str = "", limit: int = 100) -> list[User]:
    """List users by name.

    Args:
        connection: reading is enough.
        scope: only those whose own subtree lies in this one; None: all.
        after: only names behind this one: the last of the page before.
        limit: 1 to `MAX_PAGE`.
    """
    wanted = select_users().where(user.c.name > after).order_by(user.c.name).limit(max(1, min(limit, MAX_PAGE)))
    if scope is not None:
        # "0" follows "/": the range of what begins with it, which LIKE would not tell from its capitals.
        wanted = wanted.where(area.c.path >= scope, area.c.path < f"{scope[:-1]}0")
    return [_to_user(row) for row in connection.execute(wanted)]


def find_user(connection: Connection, name: str, *, seen_by: Person | None = None) -> User:
    """Find one user.

    Raises:
        UnknownUserError: there is none, or `seen_by` may not see him.
    """
    found = connection.execute(select_users().where(user.c.name == (tidy_name(name) or ""))).one_or_none()
    if found is None:
        raise UnknownUserError(name)
    seen = _to_user(found)
    if seen_by is not None and not allows(seen_by, Action.SEE_USERS, seen.area_path):
        raise UnknownUserError(name)
    return seen


def find_person(connection: Connection, name: str) -> Person:
    """Find a user as one who acts, for a link in his name.

    Raises:
        UnknownUserError: there is none, or he is disabled.
    """
    wanted = select_users().where(user.c.name == (tidy_name(name) or ""), user.c.disabled.is_(False))
    found = connection.execute(wanted).one_or_none()
    if found is None:
        raise UnknownUserError(name)
    return to_person(found)


def add_user(
    connection: Connection,
    new: NewUser,
    password: Hidden[str],
    *,
    must_change: bool,
    actor: Actor,
    editor: Person | None,
    now_us: int,
) -> User:
    """Make a user.

    Args:
        connection: a write transaction.
        new: the user.
        password: hashed already, see `hash_password`.
        must_change: nothing is allowed to him until he has taken a password of his own.
        actor: who, for the audit.
        editor: who, for his rights; None for the machine's administrator.
        now_us: the wall time.

    Raises:
        NotAllowedError: `editor` is not above such a user.
        UserExistsError, BadUserError: mend and repeat.
    """
    name = tidy_name(new.name)
    if name is None or name in RESERVED:
        raise BadUserError(
            "name", "1 to 64 of a-z 0-9 _ . -, beginning with a letter or digit, and none of the desk's own"
        )
    values = _checked(connection, msgspec.structs.asdict(new) | {"name": name, "display": new.display or name})
    _check_editor(editor, new.role, _path_of(connection, new.area))
    if connection.execute(select(user.c.name).where(user.c.name == name)).first() is not None:
        raise UserExistsError(name)
    more = {"password": password.value, "disabled": False, "must_change": must_change, "created_us": now_us}
    connection.execute(insert(user).values(values | more))
    del values["name"]
    note(connection, actor=actor, what=Audited.USER_ADDED, object_=name, details=values, at_us=now_us)
    return find_user(connection, name)


def edit_user(
    connection: Connection, name: str, changes: UserChanges, *, actor: Actor, editor: Person | None, now_us: int
) -> User:
    """Change a user; who is disabled loses his sessions and tokens at once.

    Raises:
        UnknownUserError: see `find_user`.
        NotAllowedError: `editor` is not above him as he was, and as he would be.
        LastAdminError: nobody could edit all users any more.
        BadUserError: mend and repeat.
    """
    before = _find_locked(connection, name, seen_by=editor)
    _check_editor(editor, before.role, before.area_path)
    wanted = {key: value for key, value in msgspec.structs.asdict(changes).items() if value is not UNSET}
    was = {key: value for key, value in msgspec.structs.asdict(before).items() if key in wanted}
    changed = {key: value for key, value in _checked(connection, wanted).items() if value != was[key]}
    if not changed:
        return before
    after_area = changed.get("area", before.area)
    _check_editor(editor, Role(changed.get("role", before.role)), _path_of(connection, after_area))
    _keep_an_admin(connection, before, changed)
    connection.execute(update(user).where(user.c.name == before.name).values(changed))
    if changed.get("disabled"):
        end_everything(connection, before.name)
    fields = {key: [was[key], value] for key, value in changed.items()}
    note(connection, actor=actor, what=Audited.USER_CHANGED, object_=before.name, details=fields, at_us=now_us)
    return find_user(connection, before.name)


def give_password(
    connection: Connection,
    name: str,
    password: Hidden[str],
    *,
    must_change: bool,
    actor: Actor,
    editor: Person | None,
    now_us: int,
) -> None:
    """Give somebody else a new password: his sessions and tokens end, and so does every wait after failed logins.

    Args:
        connection: a write transaction.
        name: whose.
        password: hashed already, see `hash_password`.
        must_change: as with `add_user`.
        actor: who, for the audit.
        editor: who, for his rights; None for the machine's administrator.
        now_us: the wall time.

    Raises:
        UnknownUserError, NotAllowedError: as `edit_user`; one's own is changed by saying the old one.
    """
    found = _find_locked(connection, name, seen_by=editor)
    if editor is not None and editor.name == found.name:
        raise NotAllowedError("one's own password is changed by saying the old one")
    _check_editor(editor, found.role, found.area_path)
    values = {"password": password.value, "must_change": must_change}
    connection.execute(update(user).where(user.c.name == found.name).values(values))
    end_everything(connection, found.name)
    failed = (login_attempt.c.name == name_key(found.name)) & login_attempt.c.succeeded.is_(False)
    connection.execute(delete(login_attempt).where(failed))
    note(connection, actor=actor, what=Audited.PASSWORD_GIVEN, object_=found.name, details={}, at_us=now_us)


def end_everything(connection: Connection, name: str) -> None:
    """End all sessions and tokens of a user."""
    connection.execute(delete(session).where(session.c.user == name))
    connection.execute(delete(token).where(token.c.user == name))


def ensure_admin(database: Database, *, now_us: int | None = None) -> str | None:
    """Make the first admin when there are no users at all; of several processes at once one makes it.

    Args:
        database: migrated.
        now_us: the wall time; None: now.

    Returns:
        The password, to be shown once and nowhere kept; None when there are users.
    """
    if database.read(_has_users):
        return None
    password = random_password()
    hashed = hash_password(password.value)
    at_us = wall_us() if now_us is None else now_us
    was_made = database.run(partial(_add_first, hashed=hashed, now_us=at_us))
    return password.value if was_made else None


def link_key(connection: Connection) -> Hidden[bytes]:
    """Find the key that signs links, and make it on first use (then in a write transaction)."""
    found = connection.execute(select(secret.c.value).where(secret.c.name == _LINK_KEY)).scalar_one_or_none()
    if found is None:
        found = secrets.token_bytes(32)
        # Another process may be first: then the transaction fails, and is repeated by `Database.run`.
        connection.execute(insert(secret).values(name=_LINK_KEY, value=found))
    return Hidden(bytes(found))


def _has_users(connection: Connection) -> bool:
    return connection.execute(select(user.c.name).limit(1)).first() is not None


def _add_first(connection: Connection, *, hashed: Hidden[str], now_us: int) -> bool:
    """Add the admin; two processes at once take the same name, so one of them fails, repeats and sees the other's."""
    if _has_users(connection):
        return False
    new, actor = NewUser(FIRST_ADMIN, Role.ADMIN), Actor(CONSOLE, CONSOLE)
    try:
        add_user(connection, new, hashed, must_change=True, actor=actor, editor=None, now_us=now_us)
    except UserExistsError:
        # The other's was committed between the two questions.
        return False
    return True


def _find_locked(connection: Connection, name: str, *, seen_by: Person | None) -> User:
    """Find one user as `find_user`, and let nobody else change him before this transaction ends."""
    connection.execute(select(user.c.name).where(user.c.name == (tidy_name(name) or "")).with_for_update())
    return find_user(connection, name, seen_by=seen_by)


def _checked(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    """Check the fields that are there, and hand them back as they are stored."""
    display = values.get("display", "")
    if len(display) > MAX_DISPLAY_CHARS or not display.isprintable():
        raise BadUserError("display", f"at most {MAX_DISPLAY_CHARS} printable characters")
    if values.get("language", LANGUAGES[0]) not in LANGUAGES:
        raise BadUserError("language", " or ".join(LANGUAGES))
    named = values.get("contact")
    if named is not None and connection.execute(select(contact.c.id).where(contact.c.id == named)).first() is None:
        raise BadUserError("contact", f"no contact is called {named[:80]!r}")
    if values.get("area") is not None:
        _path_of(connection, values["area"])
    return values


def _path_of(connection: Connection, area_id: str | None) -> str:
    if area_id is None:
        return ""
    path: str | None = connection.execute(select(area.c.path).where(area.c.id == area_id)).scalar_one_or_none()
    if path is None:
        raise BadUserError("area", f"no area is called {area_id[:80]!r}")
    return path


def _check_editor(editor: Person | None, role: Role, area_path: str) -> None:
    if editor is not None and not may_edit(editor, role, area_path):
        raise NotAllowedError(f"{editor.name} is not above a {role.value} of {area_path or 'everything'}")


def _keep_an_admin(connection: Connection, before: User, changed: dict[str, Any]) -> None:
    """Refuse to take away the last one who may edit everybody."""
    if before.role is not Role.ADMIN or before.area is not None or before.disabled:
        return
    if not (changed.get("disabled") or changed.get("area") is not None or "role" in changed):
        return
    # Locked, so that two who take each other's role away do so one after the other.
    wanted = select(user.c.name).where(user.c.role == Role.ADMIN, user.c.area.is_(None), user.c.disabled.is_(False))
    others = {row.name for row in connection.execute(wanted.with_for_update())} - {before.name}
    if not others:
        raise LastAdminError(before.name)


def _to_user(row: Row[Any]) -> User:
    return User(
        name=row.name,
        display=row.display,
        role=Role(row.role),
        area=row.area,
        area_path=row.path or "",
        contact=row.contact,
        language=row.language,
        disabled=row.disabled,
        must_change=row.must_change,
        created_us=row.created_us,
    )
