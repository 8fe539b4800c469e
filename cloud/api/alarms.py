"""The alarm list, one alarm, its history."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection, select

from cloud.api.alarm_views import AlarmHistory, AlarmPage, AlarmView, ChangeView, change_of
from cloud.api.auth import Caller, needs
from cloud.api.context import Here
from cloud.api.escalation_views import find_escalation
from cloud.api.problems import ProblemError, not_found
from cloud.api.queries import Filters, alarm_page, cursor_of, history_of, ids_like, newest_raises
from cloud.database import planned_anew
from cloud.database.area_tables import area
from cloud.database.tables import occurrence
from cloud.desk.core import Alarm
from cloud.desk.keeping import to_alarm
from cloud.desk.noise import first_outs, in_flood_since
from cloud.people.roles import Action, Person

router = APIRouter(prefix="/alarms", tags=["alarms"])
AlarmId = Annotated[str, Path(pattern=r"^[0-9a-f]{4,24}$", description="an alarm's id, or a unique beginning of it")]
SeesAlarms = Annotated[Caller, needs(Action.SEE_ALARMS)]
# A flood is told from the newest alarms: of so long, and so many.
_FLOOD_LOOKS_BACK_US = 6 * 3_600_000_000
_FLOOD_LOOKS_AT = 2_000


@router.get("")
async def list_alarms(filters: Annotated[Filters, Query()], context: Here, caller: SeesAlarms) -> AlarmPage:
    """List alarms, the latest trigger first."""
    now_us = context.clock()
    found, flood_since_us = await context.database.ask(
        lambda connection: _page(connection, filters, caller.person, now_us)
    )
    alarms = found[: filters.limit]
    firsts = {one: first for one, first in first_outs(alarms).items() if one != first}
    following = cursor_of(alarms[-1]) if len(found) > filters.limit else None
    views = [AlarmView.of(alarm, now_us) for alarm in alarms]
    return AlarmPage(alarms=views, next=following, first_outs=firsts, flood_since_us=flood_since_us)


@router.get("/{alarm_id}")
async def show_alarm(alarm_id: AlarmId, context: Here, caller: SeesAlarms) -> AlarmView:
    """Show one alarm."""
    alarm = await context.database.ask(lambda connection: find_visible(connection, alarm_id, caller.person))
    return AlarmView.of(alarm, context.clock())


@router.get("/{alarm_id}/history")
async def show_history(alarm_id: AlarmId, context: Here, caller: SeesAlarms) -> AlarmHistory:
    """Show one alarm, how far its escalation has come, and what has happened to it, the oldest first."""
    now_us = context.clock()

    def work(connection: Connection) -> AlarmHistory:
        alarm = find_visible(connection, alarm_id, caller.person)
        rows = connection.execute(history_of(alarm.alarm_id)).mappings().all()
        changes = [ChangeView(**change_of(row)) for row in reversed(rows)]
        escalation = find_escalation(connection, alarm.alarm_id, caller.person.language)
        return AlarmHistory(alarm=AlarmView.of(alarm, now_us), escalation=escalation, changes=changes)

    return await context.database.ask(work)


def find_visible(connection: Connection, alarm_id: str, person: Person) -> Alarm:
    """Find an alarm by the beginning of its id, among those that the person sees.

    Raises:
        ProblemError: 404 none; 409 more than one begins so.
    """
    ids = connection.execute(ids_like(alarm_id, person.scope)).scalars().all()
    if not ids:
        raise not_found("such alarm")
    if len(ids) > 1 and alarm_id not in ids:
        hint = "Give more characters of the id."
        raise ProblemError(409, "ambiguous", f"{len(ids)} alarms begin so", hint=hint, candidates=sorted(ids))
    wanted = alarm_id if alarm_id in ids else ids[0]
    row = connection.execute(select(occurrence).where(occurrence.c.alarm_id == wanted)).mappings().one()
    return to_alarm(row)


def area_path_of(connection: Connection, area_id: str, person: Person) -> str:
    """Find an area's path, among those that the person sees.

    Raises:
        ProblemError: 404.
    """
    path: str | None = connection.execute(select(area.c.path).where(area.c.id == area_id)).scalar_one_or_none()
    if path is None or not path.startswith(person.scope or ""):
        raise not_found("such area")
    return path


def _page(connection: Connection, filters: Filters, person: Person, now_us: int) -> tuple[list[Alarm], int | None]:
    path = None if filters.area is None else area_path_of(connection, filters.area, person)
    query = alarm_page(filters, scope=person.scope, area_path=path)
    with planned_anew(connection):
        alarms = [to_alarm(row) for row in connection.execute(query).mappings()]
    since_us = now_us - _FLOOD_LOOKS_BACK_US
    raises = newest_raises(scope=person.scope, area_path=path, since_us=since_us, limit=_FLOOD_LOOKS_AT)
    return alarms, in_flood_since(connection.execute(raises).scalars(), now_us)
