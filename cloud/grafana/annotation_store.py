"""Which alarms Grafana is to mark, and what it has of them: rows of `grafana_annotation`.

The row says how the mark should be, and what Grafana has; who finds them different tells Grafana. So nothing is queued:
what changes three times while Grafana is away is told once.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, RowMapping, bindparam, delete, exists, func, insert, select, update

from cloud.areas.chunks import chunked
from cloud.database.grafana_tables import grafana_annotation as table
from cloud.database.tables import occurrence
from cloud.desk.changes import What
from cloud.desk.core import Alarm
from cloud.desk.following import take_changes
from cloud.desk.keeping import to_alarm
from cloud.feed.lease import hold
from cloud.grafana.marks import Mark, is_marked, mark_of
from cloud.telling.names import Names, find_names
from cloud.telling.queue import facts_of

_log = logging.getLogger(__name__)
READER = "grafana"
"""The cursor's name, and the lease's."""
CHANGES_AT_ONCE = 100
"""Read in one transaction, some 15 ms: while it lasts SQLite takes no alarm."""
MOST_WAITING = 20_000
"""Marks that Grafana has not got; beyond it the oldest are given up."""
NEWS_US = 7 * 86_400_000_000
"""What happened earlier is not marked any more: nobody followed the history for so long."""
KEEP_US = 30 * 86_400_000_000
"""A row stays for so long after its alarm is closed, so that a late word does not make a second mark."""
_PRUNED_AT_ONCE = 500

_BEGINS = frozenset(
    what.value for what in (What.RAISED, What.UNSHELVED, What.UNSUPPRESSED, What.IN_SERVICE, What.RETRIGGERED)
)
"""What may make an alarm one that is marked."""
_json = msgspec.json.Encoder()
_mark_decoder = msgspec.json.Decoder(Mark)


class Told(Struct, frozen=True):
    """A change that was read: what happened, when, and the alarm as it stands."""

    what: str
    at_us: int
    alarm: Alarm
    names: Names


class Job(Struct, frozen=True):
    """A mark that Grafana has not got as it should be.

    Attributes:
        annotation_id: Grafana's; None where it may have none.
        is_told: Grafana has it as it should be; whether it has it twice is to be looked at.
        was_asked: somebody has asked for a new one and knows no answer.
        asked: new ones asked for before; above 1 there may be two.
        tries: failures in a row.
    """

    alarm_id: str
    mark: Mark
    annotation_id: int | None
    is_told: bool
    was_asked: bool
    asked: int
    tries: int


class Outcome(Struct, frozen=True):
    """What became of a job.

    Attributes:
        annotation_id: Grafana's, as far as it is known now.
        is_told: Grafana has the mark, or will never take it.
        is_lost: a new one was asked for, and nobody knows whether it is there.
        is_begun: anything was asked at all.
        is_sole: it was looked for, and others of the same alarm are gone.
        error: why it will never take it.
        wait_us: until it is tried again, where it is not told.
    """

    job: Job
    annotation_id: int | None
    is_told: bool = False
    is_lost: bool = False
    is_begun: bool = True
    is_sole: bool = False
    error: str = ""
    wait_us: int = 0


def follow(connection: Connection, *, language: str, marks: bool, now_us: int) -> tuple[int, list[Told]]:
    """Take the next changes of the history, and note what Grafana is to have of their alarms.

    Args:
        connection: a transaction for writing.
        language: of the texts.
        marks: whether alarms are marked; else the changes are only read.
        now_us: the clock.

    Returns:
        How many changes were read, and those of alarms.
    """
    changes = list(take_changes(connection, READER, limit=CHANGES_AT_ONCE))
    alarms = _alarms(connection, {row["alarm_id"] for row in changes if row["alarm_id"]})
    names = dict(zip(alarms, find_names(connection, [facts_of(one) for one in alarms.values()]), strict=True))
    if marks and alarms:
        begun = {row["alarm_id"] for row in changes if row["what"] in _BEGINS and now_us - row["at_us"] < NEWS_US}
        wanted = {one: mark_of(alarm, names[one], language=language) for one, alarm in alarms.items()}
        _want(connection, alarms, wanted, begun, now_us)
    told = [
        Told(row["what"], row["at_us"], alarms[row["alarm_id"]], names[row["alarm_id"]])
        for row in changes
        if row["alarm_id"] in alarms
    ]
    return len(changes), told


def has_due(connection: Connection, now_us: int) -> bool:
    """Tell whether anything is to be done now; changes nothing."""
    return bool(connection.execute(select(exists().where(table.c.due_at_us <= now_us))).scalar_one())


def claim(connection: Connection, *, holder: str, now_us: int, lease_s: float, limit: int) -> list[Job]:
    """Take what is due, the longest waiting first; nothing while another worker is at it.

    Whatever would make a new annotation is marked as asked for: if we die now, the next worker looks before it asks.

    Args:
        connection: a transaction for writing.
        holder: unique among workers.
        now_us: the clock.
        lease_s: within which all that is asked now is answered or given up.
        limit: at most so many.
    """
    if not hold(connection, READER, holder=holder, now_us=now_us, for_s=lease_s):
        return []
    query = select(table).where(table.c.due_at_us <= now_us).order_by(table.c.due_at_us, table.c.alarm_id)
    rows = connection.execute(query.limit(limit).with_for_update()).mappings().all()
    until_us = now_us + round(lease_s * 1e6)
    new = [row for row in rows if row["annotation_id"] is None]
    statement = update(table).where(table.c.alarm_id == bindparam("claimed"))
    if new:
        values = statement.values(asked_at_us=now_us, asked=bindparam("count"), due_at_us=until_us)
        connection.execute(values, [{"claimed": row["alarm_id"], "count": row["asked"] + 1} for row in new])
    return [_job(row) for row in rows]


def note(connection: Connection, outcomes: Sequence[Outcome], *, now_us: int, settle_us: int) -> None:
    """Note what became of jobs; one whose alarm has changed meanwhile is due again at once.

    Args:
        connection: a transaction for writing.
        outcomes: at most one a job.
        now_us: the clock.
        settle_us: after so long no request is under way any more, and a second mark would be seen.
    """
    by_id = {one.job.alarm_id: one for one in outcomes}
    rows: list[RowMapping] = []
    for some in chunked(sorted(by_id)):
        query = select(table).where(table.c.alarm_id.in_(some)).order_by(table.c.alarm_id)
        rows += connection.execute(query.with_for_update()).mappings().all()
    if rows:
        names = ("told", "annotation_id", "asked_at_us", "asked", "tries", "due_at_us", "error")
        statement = update(table).where(table.c.alarm_id == bindparam("noted"))
        statement = statement.values({name: bindparam(f"new_{name}") for name in names})
        connection.execute(statement, [_noted(row, by_id[row["alarm_id"]], now_us, settle_us) for row in rows])


def prune(connection: Connection, now_us: int) -> int:
    """Forget some alarms that have been closed for long, and what waits beyond measure; returns how many."""
    old = table.c.is_closed.is_(True), table.c.due_at_us.is_(None), table.c.changed_at_us < now_us - KEEP_US
    ids = list(connection.execute(select(table.c.alarm_id).where(*old).limit(_PRUNED_AT_ONCE)).scalars())
    waiting = table.c.due_at_us.is_not(None)
    over = connection.execute(select(func.count()).where(waiting)).scalar_one() - MOST_WAITING
    if over > 0:
        query = select(table.c.alarm_id).where(waiting).order_by(table.c.changed_at_us, table.c.alarm_id)
        lost = list(connection.execute(query.limit(min(over, _PRUNED_AT_ONCE))).scalars())
        _log.error("%d alarms are not marked in Grafana: it was away for too long", len(lost))
        ids += lost
    for some in chunked(ids):
        connection.execute(delete(table).where(table.c.alarm_id.in_(some)))
    return len(ids)


def _alarms(connection: Connection, ids: Iterable[str]) -> dict[str, Alarm]:
    found: dict[str, Alarm] = {}
    for some in chunked(sorted(ids)):
        query = select(*(column for column in occurrence.c if column.name != "open_key"))
        rows = connection.execute(query.where(occurrence.c.alarm_id.in_(some))).mappings()
        found |= {row["alarm_id"]: to_alarm(row) for row in rows}
    return found


def _want(
    connection: Connection,
    alarms: Mapping[str, Alarm],
    wanted: Mapping[str, Mark],
    begun: set[str],
    now_us: int,
) -> None:
    rows: dict[str, RowMapping] = {}
    for some in chunked(sorted(alarms)):
        query = select(table).where(table.c.alarm_id.in_(some)).order_by(table.c.alarm_id).with_for_update()
        rows |= {row["alarm_id"]: row for row in connection.execute(query).mappings()}
    new = [
        _row(alarm, wanted[one], now_us)
        for one, alarm in alarms.items()
        if one not in rows and one in begun and is_marked(alarm)
    ]
    if new:
        connection.execute(insert(table), new)
    changed = [
        {
            "changed": one,
            "new_mark": _json.encode(wanted[one]).decode(),
            "new_wanted": wanted[one].digest,
            "new_due": _due(row, wanted[one].digest, now_us),
            "new_closed": not alarms[one].is_open,
        }
        for one, row in rows.items()
    ]
    if changed:
        statement = update(table).where(table.c.alarm_id == bindparam("changed")).values(
            mark=bindparam("new_mark"),
            wanted=bindparam("new_wanted"),
            due_at_us=bindparam("new_due"),
            is_closed=bindparam("new_closed"),
            changed_at_us=now_us,
        )  # fmt: skip
        connection.execute(statement, changed)


def _row(alarm: Alarm, mark: Mark, now_us: int) -> dict[str, object]:
    return {
        "alarm_id": alarm.alarm_id,
        "mark": _json.encode(mark).decode(),
        "wanted": mark.digest,
        "told": None,
        "annotation_id": None,
        "asked_at_us": None,
        "asked": 0,
        "tries": 0,
        "due_at_us": now_us,
        "error": "",
        "is_closed": not alarm.is_open,
        "changed_at_us": now_us,
    }


def _due(row: RowMapping, digest: str, now_us: int) -> int | None:
    """When to do something about a row that is to be told so: what waits already keeps its time."""
    if row["due_at_us"] is not None:
        return int(row["due_at_us"])
    return None if row["told"] == digest else now_us


def _job(row: RowMapping) -> Job:
    return Job(
        alarm_id=row["alarm_id"],
        mark=_mark_decoder.decode(row["mark"]),
        annotation_id=row["annotation_id"],
        is_told=row["told"] == row["wanted"],
        was_asked=row["asked_at_us"] is not None,
        asked=row["asked"],
        tries=row["tries"],
    )


def _noted(row: RowMapping, outcome: Outcome, now_us: int, settle_us: int) -> dict[str, object]:
    told = outcome.job.mark.digest if outcome.is_told else row["told"]
    asked = row["asked"] if outcome.is_begun else outcome.job.asked
    # Unless the answer was lost, it is known again whether a new one was asked for.
    is_open_question = outcome.is_lost or (not outcome.is_begun and outcome.job.was_asked)
    if outcome.is_sole:
        asked = 1
    due_at_us: int | None = now_us + outcome.wait_us
    if outcome.is_told and row["wanted"] == told:
        is_doubtful = asked > 1 and outcome.annotation_id is not None
        due_at_us = now_us + settle_us if is_doubtful else None
    return {
        "noted": row["alarm_id"],
        "new_told": told,
        "new_annotation_id": outcome.annotation_id,
        "new_asked_at_us": row["asked_at_us"] if is_open_question else None,
        "new_asked": asked,
        "new_tries": 0 if outcome.is_told else outcome.job.tries + outcome.is_begun,
        "new_due_at_us": due_at_us,
        "new_error": outcome.error,
    }
