"""Which alarms a list shows: filters, the caller's subtree, and pages that stay where they are while alarms come."""

import base64
import binascii
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Select, and_, or_, select

from cloud.api.problems import ProblemError
from cloud.database.tables import alarm_event, change, occurrence
from cloud.desk.core import Alarm
from contract.alarms import Mode, Severity

# Beyond it a history is cut to its latest; a source that chatters for a day has more.
MOST_CHANGES = 1_000
_MAX_ID = 64
_SHOWN_CANDIDATES = 10

Word = Annotated[str, Field(min_length=1, max_length=_MAX_ID, pattern=r"^[^\x00]+$")]
TimeUs = Annotated[int, Field(ge=0, le=2**53 - 1)]


class Which(StrEnum):
    """Which alarms are listed: those that somebody has still to close, and tests and drills while they last; or all."""

    OPEN = "open"
    ALL = "all"


class Filters(BaseModel):
    """The query of the alarm list.

    Attributes:
        state: open or all.
        acknowledged: only those that are, or that are not.
        severity, kind, mode, gateway, device, site: only these.
        area: its id: only what lies in it or below.
        since_us, until_us: only what was triggered last from then, and before then.
        limit: at most so many.
        after: the `next` of the page before.
    """

    model_config = ConfigDict(extra="forbid")

    state: Which = Which.OPEN
    acknowledged: bool | None = None
    severity: Annotated[list[Severity], Field(max_length=4)] = []
    mode: Mode | None = None
    kind: Word | None = None
    gateway: Word | None = None
    device: Word | None = None
    site: Word | None = None
    area: Word | None = None
    since_us: TimeUs | None = None
    until_us: TimeUs | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    after: Annotated[str, Field(max_length=200)] | None = None


def within(column: Any, path: str | None) -> ColumnElement[bool] | None:
    """Compare a column of paths with a subtree as a range, which an index can answer; None: everything."""
    if path is None:
        return None
    # A path ends in "/", and "0" is the character after it.
    return and_(column >= path, column < path[:-1] + "0")


def alarm_page(filters: Filters, *, scope: str | None, area_path: str | None) -> Select[Any]:
    """Write the query of one page, with one row more than asked: whether there is a next one."""
    at = occurrence.c
    given = [
        within(at.area_path, scope),
        within(at.area_path, area_path),
        *_open_or_all(filters.state),
        None if filters.acknowledged is None else _acknowledged(is_so=filters.acknowledged),
        at.severity.in_([one.value for one in filters.severity]) if filters.severity else None,
        *(
            column == wanted
            for column, wanted in (
                (at.mode, filters.mode and filters.mode.value),
                (at.kind, filters.kind),
                (at.gateway, filters.gateway),
                (at.device, filters.device),
                (at.site, filters.site),
            )
            if wanted is not None
        ),
        None if filters.since_us is None else at.last_raised_at_us >= filters.since_us,
        None if filters.until_us is None else at.last_raised_at_us < filters.until_us,
        None if filters.after is None else _following(filters.after),
    ]
    query = select(occurrence).where(*(term for term in given if term is not None))
    return query.order_by(at.last_raised_at_us.desc(), at.alarm_id.desc()).limit(filters.limit + 1)


def newest_raises(*, scope: str | None, area_path: str | None, since_us: int, limit: int) -> Select[Any]:
    """Write the query of when the newest live alarms of a place were raised."""
    at = occurrence.c
    given = [within(at.area_path, scope), within(at.area_path, area_path)]
    query = select(at.raised_at_us).where(*(term for term in given if term is not None))
    query = query.where(at.raised_at_us >= since_us, at.mode == Mode.LIVE.value)
    return query.order_by(at.raised_at_us.desc()).limit(limit)


def cursor_of(alarm: Alarm) -> str:
    """Name the place after an alarm in the list."""
    return base64.urlsafe_b64encode(f"{alarm.last_raised_at_us}:{alarm.alarm_id}".encode()).decode().rstrip("=")


def ids_like(beginning: str, scope: str | None) -> Select[Any]:
    """Write the query of the alarms, at most ten, whose id begins so, or that of a trigger counted to them."""
    at, event = occurrence.c, alarm_event.c
    by_trigger = select(event.occurrence).where(*_begins(event.alarm_id, beginning), event.occurrence.is_not(None))
    of_either = or_(and_(*_begins(at.alarm_id, beginning)), at.alarm_id.in_(by_trigger))
    seen = within(at.area_path, scope)
    return select(at.alarm_id).where(of_either, *([] if seen is None else [seen])).limit(_SHOWN_CANDIDATES)


def ids_within(ids: Sequence[str], scope: str | None) -> Select[Any]:
    """Write the query of those alarms, of some, that lie in a subtree."""
    seen = within(occurrence.c.area_path, scope)
    query = select(occurrence.c.alarm_id).where(occurrence.c.alarm_id.in_(ids))
    return query if seen is None else query.where(seen)


def history_of(alarm_id: str) -> Select[Any]:
    """Write the query of an alarm's latest changes, the latest first."""
    return select(change).where(change.c.alarm_id == alarm_id).order_by(change.c.id.desc()).limit(MOST_CHANGES)


def _begins(column: Any, beginning: str) -> tuple[ColumnElement[bool], ...]:
    """Compare ids with a beginning as a range; "g" is the character after the last of hexadecimal digits."""
    return column >= beginning, column < beginning + "g"


def _open_or_all(which: Which) -> list[ColumnElement[bool]]:
    if which is Which.ALL:
        return []
    at = occurrence.c
    # The first term word for word is that of the index of open alarms.
    return [at.closed_at_us.is_(None), or_(at.mode == Mode.LIVE.value, at.cleared_at_us.is_(None))]


def _acknowledged(*, is_so: bool) -> ColumnElement[bool]:
    column = occurrence.c.acknowledged_at_us
    return column.is_not(None) if is_so else column.is_(None)


def _following(cursor: str) -> ColumnElement[bool]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        moment, _, alarm_id = text.partition(":")
        at_us = int(moment)
    except (binascii.Error, ValueError) as error:
        raise _bad_cursor() from error
    if not 0 <= at_us < 2**63 or not alarm_id.isalnum():
        raise _bad_cursor()
    at = occurrence.c
    same = and_(at.last_raised_at_us == at_us, at.alarm_id < alarm_id)
    return and_(at.last_raised_at_us <= at_us, or_(at.last_raised_at_us < at_us, same))


def _bad_cursor() -> ProblemError:
    hint = "Give `next` of the page before as it was, or leave `after` out."
    return ProblemError(422, "invalid", "query.after: no place in the list", hint=hint)
