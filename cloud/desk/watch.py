"""What the desk does by itself, when its time comes: shelves end, alarms sound again, lost gateways are told.

Any number of workers do it side by side. Each duty looks for what is due without holding anybody up, and does it in a
transaction of its own in which it looks again: rows that another worker holds are left to it (SKIP LOCKED), and what
makes an alarm has an id that does not depend on who makes it. So a worker that dies leaves nothing half done, and the
next one finds what was due still due.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial

import anyio
import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, case, func, select

from cloud.areas.places import find_places
from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.database.area_tables import area, registered_gateway
from cloud.database.tables import control, occurrence
from cloud.desk.changes import DESK, Changed, What
from cloud.desk.controls import end_expired
from cloud.desk.core import ClosingCode, lived
from cloud.desk.keeping import keep, to_alarm
from cloud.desk.life import Event
from cloud.desk.watch_followers import free, next_freed_us
from cloud.desk.watch_links import LinkWatch, clear_closed_losses, silence, tell_links
from cloud.errors import DatabaseRefusedError
from cloud.settings import Desk, Settings
from contract.alarms import Mode, Severity

_log = logging.getLogger(__name__)

BATCH = 200
"""So many alarms change in one transaction: it holds up the intake for some milliseconds."""
_IDLE_S = 1.0
# What an import of the registry makes known, and the end of losses that somebody has closed: not urgent.
_TIDY_EVERY_US = 30_000_000
# Who walks through a school pressing buttons looks at the list afterwards.
_TEST_STAYS_US = 3_600_000_000


class Duty(Struct, frozen=True):
    """One thing that the desk does by itself.

    Attributes:
        next_us: when there is something to do, as far as is known; in the past: now. None: nothing. Changes nothing.
        work: does some of what is due and returns how much it was; 0 too when another worker is at it.
    """

    name: str
    next_us: Callable[[Connection, Settings, int], int | None]
    work: Callable[[Connection, Settings, int], int]


async def run_watch(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Do what is due, at the latest a second after its moment, until cancelled.

    Args:
        database: waits out every outage.
        settings: as loaded.
        clock: the wall clock, microseconds UTC.
    """
    tidied_us: int | None = None
    duties = make_duties()
    while True:
        at_us = clock()
        moments = await database.ask(partial(look, duties=duties, settings=settings, at_us=at_us))
        if tidied_us is None or not 0 <= at_us - tidied_us < _TIDY_EVERY_US:
            moments |= dict.fromkeys(TIDYING, at_us)
            tidied_us = at_us
        due = [duty for duty, moment_us in moments.items() if moment_us <= at_us]
        done = [await _do(duty, database, settings, at_us) for duty in due]
        if any(done):
            # There may be more than one transaction takes.
            continue
        coming = [moment_us - at_us for moment_us in moments.values() if moment_us > at_us]
        await anyio.sleep(min([_IDLE_S, *(wait_us / 1e6 for wait_us in coming)]))


def look(connection: Connection, duties: Sequence[Duty], settings: Settings, at_us: int) -> dict[Duty, int]:
    """Tell of each duty that has something to do when that is. Changes nothing."""
    moments = {duty: duty.next_us(connection, settings, at_us) for duty in duties}
    return {duty: moment_us for duty, moment_us in moments.items() if moment_us is not None}


async def _do(duty: Duty, database: PersistentDatabase, settings: Settings, at_us: int) -> int:
    try:
        return await database.call(lambda connection: duty.work(connection, settings, at_us))
    except DatabaseRefusedError as error:
        # The other duties go on, and this one is tried again.
        _log.warning("%s: not done: %s", duty.name, error)
        return 0


def _next_shelf_us(connection: Connection, _settings: Settings, _at_us: int) -> int | None:
    lasting = control.c.until_us.is_not(None), control.c.lasting_key.is_not(None)
    return _moment(connection, func.min(control.c.until_us), *lasting)


def _end_shelves(connection: Connection, _settings: Settings, at_us: int) -> int:
    return end_expired(connection, now_us=at_us)


def _next_realarm_us(connection: Connection, settings: Settings, _at_us: int) -> int | None:
    if not settings.desk.realarm_s:
        return None
    return _moment(connection, func.min(_realarm_us(settings.desk)), *_may_sound_again())


def _realarm(connection: Connection, settings: Settings, at_us: int) -> int:
    """Take the acknowledgement back from what was acknowledged too long ago and still lasts."""
    query = select(occurrence).where(*_may_sound_again(), _realarm_us(settings.desk) <= at_us)
    query = query.order_by(occurrence.c.acknowledged_at_us, occurrence.c.alarm_id).limit(BATCH)
    changes: list[Changed] = []
    for row in connection.execute(query.with_for_update(skip_locked=True)).mappings():
        before = to_alarm(row)
        after = lived(before, Event.REALARM)
        if after is not None:
            changes.append(Changed(before, after, What.REALARMED, DESK, at_us))
    keep(connection, changes)
    return len(changes)


def _realarm_us(desk: Desk) -> ColumnElement[int]:
    """When an alarm sounds again, in SQL; NULL: never."""
    severities = {severity.value for severity in Severity}
    kinds = [
        (occurrence.c.kind == word, _us(wait_s)) for word, wait_s in desk.realarm_s.items() if word not in severities
    ]
    others = [(occurrence.c.severity == word, _us(desk.realarm_s[word])) for word in severities & desk.realarm_s.keys()]
    return occurrence.c.acknowledged_at_us + case(*kinds, *others, else_=None)


def _may_sound_again() -> Collection[ColumnElement[bool]]:
    return (
        occurrence.c.closed_at_us.is_(None),
        occurrence.c.open_key.is_not(None),
        occurrence.c.acknowledged_at_us.is_not(None),
        occurrence.c.cleared_at_us.is_(None),
        # What is not heard does not sound; it is unacknowledged when it gets its voice back.
        occurrence.c.shelved_until_us.is_(None),
        occurrence.c.suppressed_by.is_(None),
        occurrence.c.out_of_service.is_(False),
    )


def _follow_links(connection: Connection, settings: Settings, at_us: int) -> int:
    """Say what is lost and what is back; when all is said, silence what follows from it."""
    said = tell_links(connection, settings, at_us, limit=BATCH)
    return said or silence(connection, settings, at_us, limit=BATCH)


def _place(connection: Connection, _settings: Settings, at_us: int) -> int:
    """Say where an open alarm is, of which nobody knew it when it was raised."""
    known = occurrence.join(registered_gateway, registered_gateway.c.id == occurrence.c.gateway)
    query = (
        select(occurrence).select_from(known).order_by(occurrence.c.raised_at_us, occurrence.c.alarm_id).limit(BATCH)
    )
    query = query.where(occurrence.c.closed_at_us.is_(None), occurrence.c.site.is_(None))
    locked = query.with_for_update(of=occurrence, skip_locked=True)
    alarms = [to_alarm(row) for row in connection.execute(locked).mappings()]
    places = find_places(connection, {(alarm.gateway, alarm.device) for alarm in alarms})
    changes: list[Changed] = []
    for before in alarms:
        place = places[before.gateway, before.device]
        after = msgspec.structs.replace(before, site=place.site, area=place.area, area_path=place.area_path)
        if after != before:
            changes.append(Changed(before, after, What.PLACED, DESK, at_us))
    keep(connection, changes)
    return len(changes)


def _move(connection: Connection, _settings: Settings, at_us: int) -> int:
    """Move open alarms along with their areas: an import may have hung them elsewhere in the tree."""
    moved = occurrence.join(area, area.c.id == occurrence.c.area)
    query = select(occurrence, area.c.path.label("new_path")).select_from(moved)
    query = query.where(occurrence.c.closed_at_us.is_(None), occurrence.c.area_path != area.c.path)
    query = query.order_by(occurrence.c.raised_at_us, occurrence.c.alarm_id).limit(BATCH)
    changes: list[Changed] = []
    for row in connection.execute(query.with_for_update(of=occurrence, skip_locked=True)).mappings():
        before = to_alarm({column.name: row[column] for column in occurrence.c})
        after = msgspec.structs.replace(before, area_path=row["new_path"])
        changes.append(Changed(before, after, What.PLACED, DESK, at_us))
    keep(connection, changes)
    return len(changes)


def _end_tests(connection: Connection, _settings: Settings, at_us: int) -> int:
    """Close tests and drills that are over: nobody is asked what they were, and the open list stays short."""
    over = (
        occurrence.c.closed_at_us.is_(None),
        occurrence.c.mode != Mode.LIVE.value,
        occurrence.c.cleared_at_us <= at_us - _TEST_STAYS_US,
    )
    query = select(occurrence).where(*over).order_by(occurrence.c.cleared_at_us, occurrence.c.alarm_id).limit(BATCH)
    changes: list[Changed] = []
    for row in connection.execute(query.with_for_update(skip_locked=True)).mappings():
        before = to_alarm(row)
        after = msgspec.structs.replace(
            before,
            closed_at_us=at_us,
            closed_by=DESK.name,
            closing_code=ClosingCode.DRILL,
            latched=False,
            shelved_until_us=None,
            suppressed_by=None,
            out_of_service=False,
        )
        changes.append(Changed(before, after, What.CLOSED, DESK, at_us))
    keep(connection, changes)
    return len(changes)


def _moment(connection: Connection, value: ColumnElement[int], *where: ColumnElement[bool]) -> int | None:
    found: int | None = connection.execute(select(value).where(*where)).scalar_one()
    return found


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


def _at_any_time(_connection: Connection, _settings: Settings, _at_us: int) -> None:
    """It is done now and then."""


def make_duties() -> tuple[Duty, ...]:
    """Make the duties of one worker, each of which remembers what it has seen."""
    return (
        Duty("shelves", _next_shelf_us, _end_shelves),
        Duty("re-alarm", _next_realarm_us, _realarm),
        Duty("lost gateways", LinkWatch().next_us, _follow_links),
        Duty("followers", next_freed_us, free),
    )


TIDYING = (
    Duty("places", _at_any_time, _place),
    Duty("moved areas", _at_any_time, _move),
    Duty("tests", _at_any_time, _end_tests),
    Duty("closed losses", _at_any_time, partial(clear_closed_losses, limit=BATCH)),
)
