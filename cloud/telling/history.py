"""From the history of alarms to the web hooks: each reads `change` from its cursor on, and misses nothing.

Reading, queueing and moving the cursor are one transaction, so that a change is queued exactly once for each web hook,
whichever of several workers does it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.database.area_tables import area
from cloud.database.escalation_tables import web_hook
from cloud.database.tables import change, cursor, occurrence
from cloud.errors import UnknownChannelError, UnknownPlaceError
from cloud.telling.queue import Kind, State, delivery_id, insert_rows
from cloud.telling.settings import WebHook
from contract.alarms import Severity

# Changes read at once.
BATCH = 500
_PREFIX = "webhook:"
_OF_ALARM = [column for column in occurrence.c if column.name not in ("open_key", "recent_us")]


def channel_of(hook: str) -> str:
    """The name under which a web hook's events stand in `delivery.channel`; no channel of the settings can have it."""
    return _PREFIX + hook


def prepare_hooks(connection: Connection, hooks: Sequence[WebHook]) -> None:
    """Give every new web hook a cursor at the end of the history, and enable one whose URL has changed."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    newest = connection.execute(select(func.coalesce(func.max(change.c.id), 0))).scalar_one()
    for hook in hooks:
        url = hook.url.partition("?")[0]
        row = {"name": hook.name, "url": url, "disabled_us": None, "disabled_why": None}
        connection.execute(dialect.insert(web_hook).on_conflict_do_nothing(), row)
        begin = {"name": channel_of(hook.name), "change_id": newest}
        connection.execute(dialect.insert(cursor).on_conflict_do_nothing(), begin)
        has_moved = (web_hook.c.name == hook.name) & (web_hook.c.url != url)
        connection.execute(update(web_hook).where(has_moved).values(url=url, disabled_us=None, disabled_why=None))


def has_news(connection: Connection, hook: WebHook) -> bool:
    """Tell whether anything has happened since a web hook's cursor, unless it is disabled; changes nothing."""
    if _is_disabled(connection, hook.name):
        return False
    after = select(cursor.c.change_id).where(cursor.c.name == channel_of(hook.name)).scalar_subquery()
    return connection.execute(select(change.c.id).where(change.c.id > after).limit(1)).first() is not None


def queue_events(connection: Connection, hook: WebHook, now_us: int) -> int:
    """Queue what has happened since a web hook's cursor, at most `BATCH` changes; tells how many were read.

    Raises:
        UnknownPlaceError: its area is none, so that nothing would ever match; the cursor stays.
    """
    mine = select(cursor.c.change_id).where(cursor.c.name == channel_of(hook.name)).with_for_update()
    after = connection.execute(mine).scalar_one_or_none()
    if after is None or _is_disabled(connection, hook.name):
        return 0
    top = _path_of(connection, hook.area)
    query = select(change).where(change.c.id > after).order_by(change.c.id).limit(BATCH)
    changes = connection.execute(query).mappings().all()
    if not changes:
        return 0
    ids = sorted({row["alarm_id"] for row in changes if row["alarm_id"]})
    found = connection.execute(select(*_OF_ALARM).where(occurrence.c.alarm_id.in_(ids))).mappings()
    alarms = {row["alarm_id"]: dict(row) for row in found}
    wanted = [
        event_of(row, alarms.get(row["alarm_id"]))
        for row in changes
        if _matches(hook, row, alarms.get(row["alarm_id"]), top)
    ]
    insert_rows(connection, [_row(hook, event, now_us) for event in wanted])
    moved = update(cursor).where(cursor.c.name == channel_of(hook.name))
    connection.execute(moved.values(change_id=changes[-1]["id"]))
    return len(changes)


def event_of(row: RowMapping, alarm: dict[str, Any] | None) -> dict[str, Any]:
    """What a web hook is told of one change: the change, and its alarm as it is when the event is queued."""
    told = ("at_us", "what", "source", "area_path", "by", "origin", "why", "fields")
    return {"change": row["id"], **{name: row[name] for name in told}, "alarm": alarm}


def disable(connection: Connection, channel: str, why: str, now_us: int) -> None:
    """Send nothing more to a web hook, named by its `channel_of`; what waits stays, and its cursor too."""
    values = {"disabled_us": now_us, "disabled_why": why}
    connection.execute(update(web_hook).where(web_hook.c.name == channel.removeprefix(_PREFIX)).values(values))


def enable(connection: Connection, hook: str) -> None:
    """Go on where a web hook was disabled.

    Raises:
        UnknownChannelError: no worker has ever run with it.
    """
    statement = update(web_hook).where(web_hook.c.name == hook).values(disabled_us=None, disabled_why=None)
    if connection.execute(statement).rowcount == 0:
        raise UnknownChannelError(hook)


def _is_disabled(connection: Connection, hook: str) -> bool:
    query = select(web_hook.c.name).where(web_hook.c.name == hook, web_hook.c.disabled_us.is_not(None))
    return connection.execute(query).first() is not None


def _path_of(connection: Connection, name: str) -> str:
    if not name:
        return ""
    path = connection.execute(select(area.c.path).where(area.c.id == name)).scalar_one_or_none()
    if path is None:
        raise UnknownPlaceError("area", name)
    return str(path)


def _matches(hook: WebHook, row: RowMapping, alarm: dict[str, Any] | None, top: str) -> bool:
    if not str(row["area_path"]).startswith(top) or (hook.what and row["what"] not in hook.what):
        return False
    # What concerns no alarm has no severity.
    return not hook.severities or (alarm is not None and alarm["severity"] in hook.severities)


def _row(hook: WebHook, event: dict[str, Any], now_us: int) -> dict[str, object]:
    alarm = event["alarm"]
    return {
        "id": delivery_id("webhook", hook.name, event["change"]),
        "alarm_id": alarm["alarm_id"] if alarm else None,
        "kind": Kind.EVENT.value,
        "severity": alarm["severity"] if alarm else Severity.LOW.value,
        "contact": None,
        "channel": channel_of(hook.name),
        "address": hook.url.partition("?")[0],
        "language": "en",
        "body": event,
        "change_id": event["change"],
        "created_us": now_us,
        "state": State.PENDING.value,
        "due_us": now_us,
        "attempts": 0,
    }
