"""A user of our own at a desk that we run ourselves: for the demo and for scenarios."""

from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from cloud.database import Database
from cloud.desk.changes import Actor
from cloud.people.passwords import hash_password, random_password
from cloud.people.roles import SCOPES, Role, rights
from cloud.people.store import NewUser, add_user, find_person
from cloud.people.tokens import make_token


def make_user(database: Database, *, name: str, display: str, role: Role, by: str) -> str:
    """Make a user and a token for a day with all rights of the role; nobody ever sees the password.

    Args:
        database: of the desk, migrated.
        name: of the user.
        display: for people.
        role: over everything.
        by: who does it, in the audit.

    Returns:
        The token.
    """
    hashed = hash_password(random_password().value)
    now_us = int(datetime.now(UTC).timestamp() * 1e6)
    actor = Actor("desk", by)

    def work(connection: Connection, *, ends_us: int) -> str:
        new = NewUser(name=name, display=display, role=role)
        add_user(connection, new, hashed, must_change=False, actor=actor, editor=None, now_us=now_us)
        owner = find_person(connection, name)
        scopes = rights(role) & SCOPES
        made = make_token(connection, owner, name=by, scopes=scopes, expires_at_us=ends_us, actor=actor, now_us=now_us)
        return made.text.value

    return database.run(partial(work, ends_us=now_us + int(timedelta(days=1).total_seconds() * 1e6)))
