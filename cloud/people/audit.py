"""What people did beside alarms: who, when, from where, what, to which. Appended to, never changed."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, insert, select

from cloud.database.people_tables import audit
from cloud.desk.changes import Actor

MAX_DETAILS_BYTES = 16 * 1024
MAX_OBJECT_CHARS = 200
MAX_PAGE = 1_000


class Audited(StrEnum):
    """What this package notes; other packages have words of their own. Stored, so a word never changes its meaning."""

    LOGIN = "login"
    LOGIN_FAILED = "login-failed"
    """By nobody known; the object is the user whose name was said, "" when there is none."""
    LOGOUT = "logout"
    USER_ADDED = "user-added"
    USER_CHANGED = "user-changed"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105
    """By the user."""
    PASSWORD_GIVEN = "password-given"  # noqa: S105
    """By somebody else."""
    TOKEN_MADE = "token-made"  # noqa: S105
    TOKEN_REVOKED = "token-revoked"  # noqa: S105


NOBODY = "nobody"
"""Who failed to say who he is."""


class Entry(Struct, frozen=True):
    """One row.

    Attributes:
        id: grows with time.
        by: a user's name, `NOBODY`, or "console <login>" for the machine's administrator.
        origin: a network address, or "console".
        object: what it was done to: a user's name, an area's id.
        details: more, by name; never a secret.
    """

    id: int
    at_us: int
    by: str
    origin: str
    what: str
    object: str
    details: dict[str, Any]


def note(
    connection: Connection, *, actor: Actor, what: str, object_: str, details: Mapping[str, Any], at_us: int
) -> None:
    """Append one row, in the transaction that does what it tells.

    Args:
        connection: a write transaction.
        actor: who.
        what: at most 64 characters.
        object_: what it was done to; cut at `MAX_OBJECT_CHARS`.
        details: JSON values; beyond `MAX_DETAILS_BYTES` only the names are kept.
        at_us: when.
    """
    told: dict[str, Any] = dict(details)
    if len(msgspec.json.encode(told)) > MAX_DETAILS_BYTES:
        told = {"too_long": sorted(told)[:100]}
    row = {"at_us": at_us, "by": actor.name[:200], "origin": actor.origin[:200], "what": what}
    connection.execute(insert(audit).values(row | {"object": object_[:MAX_OBJECT_CHARS], "details": told}))


def list_audit(
    connection: Connection,
    *,
    before: int | None = None,
    limit: int = 100,
    by: str | None = None,
    what: str | None = None,
    object_: str | None = None,
) -> list[Entry]:
    """List rows, the latest first.

    Args:
        connection: reading is enough.
        before: only rows with a smaller id: the last one of the page before.
        limit: 1 to `MAX_PAGE`.
        by: only what this one did.
        what: only this.
        object_: only what was done to this.
    """
    wanted = select(audit).order_by(audit.c.id.desc()).limit(max(1, min(limit, MAX_PAGE)))
    if before is not None:
        wanted = wanted.where(audit.c.id < before)
    for column, value in ((audit.c.by, by), (audit.c.what, what), (audit.c.object, object_)):
        if value is not None:
            wanted = wanted.where(column == value)
    return [
        Entry(row.id, row.at_us, row.by, row.origin, row.what, row.object, row.details)
        for row in connection.execute(wanted)
    ]
