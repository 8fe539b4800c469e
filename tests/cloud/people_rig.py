"""What the tests of people stand on: a tree of areas, and users, sessions and tokens made in one line."""

from functools import partial
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import Connection, insert

from cloud.database import Database
from cloud.database.area_tables import area, contact
from cloud.desk.changes import Actor
from cloud.people.login import log_in
from cloud.people.passwords import hash_password
from cloud.people.roles import Action, Person, Role
from cloud.people.sessions import (
    Credential,
    Lifetimes,
    SignedIn,
    authenticate_session,
)
from cloud.people.store import (
    NewUser,
    User,
    UserChanges,
    add_user,
    edit_user,
    find_person,
    give_password,
    list_users,
)
from cloud.people.tokens import NewToken, authenticate_token, make_token
from tests.cloud.rig import T0_US

S = 1_000_000
DAY_US = 86_400 * S
GOOD = "fern lamp oyster 7"
ACTOR = Actor("root", "console")
WHERE = "192.0.2.1"
LIVES = Lifetimes(idle_s=600, absolute_s=3_600)
AREAS = [
    ("zj", None, "zj/"),
    ("hz", "zj", "zj/hz/"),
    ("xihu", "hz", "zj/hz/xihu/"),
    ("xihu2", "hz", "zj/hz/xihu2/"),
    ("XIHU", "hz", "zj/hz/XIHU/"),
    ("beishan", "xihu", "zj/hz/xihu/beishan/"),
]


CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""The least that argon2 takes: here nobody attacks."""


def plant(connection: Connection) -> None:
    """The tree of `AREAS`, and a contact."""
    for area_id, parent, path in AREAS:
        row = {"id": area_id, "parent": parent, "level": "street", "name": area_id, "path": path}
        connection.execute(insert(area).values(row))
    names: dict[str, object] = {"id": "wang-fang", "area": "xihu", "name": "王芳", "language": "zh"}
    connection.execute(insert(contact).values(names | {"addresses": []}))


def add(
    database: Database,
    name: str,
    role: Role = Role.OPERATOR,
    area_id: str | None = None,
    *,
    editor: Person | None = None,
    must_change: bool = False,
    **more: Any,
) -> User:
    new = NewUser(name, role, area=area_id, **more)
    work = partial(add_user, new=new, password=hash_password(GOOD), must_change=must_change, actor=ACTOR, editor=editor)
    return database.run(partial(work, now_us=T0_US))


def edit(database: Database, name: str, editor: Person | None = None, **changes: Any) -> User:
    work = partial(edit_user, name=name, changes=UserChanges(**changes), actor=ACTOR, editor=editor, now_us=T0_US)
    return database.run(work)


def give(database: Database, name: str, editor: Person | None = None) -> None:
    hashed = hash_password("another lamp 9")
    work = partial(give_password, name=name, password=hashed, must_change=True, actor=ACTOR, editor=editor)
    database.run(partial(work, now_us=T0_US))


def person(database: Database, name: str) -> Person:
    return database.read(partial(find_person, name=name))


def signed_in(database: Database, name: str = "wang", at_us: int = T0_US) -> SignedIn:
    return log_in(database, name, GOOD, origin=WHERE, now_us=at_us, lifetimes=LIVES)


def by_cookie(database: Database, session: SignedIn, at_us: int = T0_US) -> Credential:
    work = partial(authenticate_session, cookie=session.cookie.value, now_us=at_us, lifetimes=LIVES)
    return database.read(work)


def token_of(database: Database, owner: Person, *scopes: Action, days: float = 30, name: str = "grafana") -> NewToken:
    end_us = T0_US + round(days * DAY_US)
    work = partial(make_token, owner=owner, name=name, scopes=scopes, expires_at_us=end_us, actor=ACTOR, now_us=T0_US)
    return database.run(work)


def by_token(database: Database, text: str, at_us: int = T0_US) -> Credential:
    return database.read(partial(authenticate_token, text=text, now_us=at_us))


def names_of(database: Database, **more: Any) -> list[str]:
    return [each.name for each in database.read(partial(list_users, **more))]
