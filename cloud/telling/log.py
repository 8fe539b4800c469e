"""The delivery log: who was told what, when, by which channel, and what went wrong."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from cloud.database.escalation_tables import delivery
from cloud.telling.queue import State
from contract.alarms import Severity

MAX_PAGE = 500


class LogEntry(Struct, frozen=True):
    """One delivery as it stands; times are microseconds UTC.

    Attributes:
        due_us: when it goes, or goes again; of one being sent, when its sender counts as dead.
        held_why: why it was put off though nothing went wrong; None: it was not.
        error: of the latest attempt that failed.
    """

    id: str
    alarm_id: str | None
    kind: str
    severity: str
    contact: str | None
    channel: str
    address: str
    language: str
    created_us: int
    state: str
    due_us: int
    attempts: int
    held_why: str | None
    sent_us: int | None
    error: str | None


class LogFilter(Struct, frozen=True, kw_only=True):
    """Which deliveries are wanted; None: any.

    Attributes:
        since_us, until_us: queued at or after, and before.
        after: the last one of the page before: its `created_us` and `id`.
    """

    alarm_id: str | None = None
    contact: str | None = None
    channel: str | None = None
    state: State | None = None
    severity: Severity | None = None
    since_us: int | None = None
    until_us: int | None = None
    after: tuple[int, str] | None = None


def list_deliveries(connection: Connection, wanted: LogFilter, *, limit: int = 100) -> list[LogEntry]:
    """List deliveries, the latest first, at most `limit` and never more than 500."""
    columns = [delivery.c[name] for name in LogEntry.__struct_fields__]
    query = select(*columns).where(and_(True, *_conditions(wanted)))
    query = query.order_by(delivery.c.created_us.desc(), delivery.c.id.desc()).limit(min(limit, MAX_PAGE))
    return [LogEntry(**row) for row in connection.execute(query).mappings()]


def _conditions(wanted: LogFilter) -> Sequence[ColumnElement[bool]]:
    equal: dict[str, Any] = {
        "alarm_id": wanted.alarm_id,
        "contact": wanted.contact,
        "channel": wanted.channel,
        "state": wanted.state,
        "severity": wanted.severity,
    }
    conditions = [delivery.c[name] == str(value) for name, value in equal.items() if value is not None]
    if wanted.since_us is not None:
        conditions.append(delivery.c.created_us >= wanted.since_us)
    if wanted.until_us is not None:
        conditions.append(delivery.c.created_us < wanted.until_us)
    if wanted.after is not None:
        created_us, name = wanted.after
        same = (delivery.c.created_us == created_us) & (delivery.c.id < name)
        conditions.append(or_(delivery.c.created_us < created_us, same))
    return conditions
