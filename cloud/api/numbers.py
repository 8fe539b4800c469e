"""The numbers of an area."""

from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection

from cloud.api.alarms import area_path_of
from cloud.api.auth import Caller, needs
from cloud.api.context import Here
from cloud.api.queries import TimeUs, Word
from cloud.numbers.read import numbers
from cloud.people.roles import Action
from contract.alarms import Severity

router = APIRouter(tags=["numbers"])
_WEEK_US = 7 * 86_400 * 1_000_000
_SCHEMA = {"application/json": {"schema": {"$ref": "#/components/schemas/Numbers"}}}


@router.get("/numbers", response_class=Response, responses={200: {"content": _SCHEMA, "description": "The numbers."}})
async def show_numbers(
    context: Here,
    caller: Annotated[Caller, needs(Action.SEE_NUMBERS)],
    *,
    area: Annotated[Word | None, Query()] = None,
    from_us: Annotated[TimeUs | None, Query()] = None,
    until_us: Annotated[TimeUs | None, Query()] = None,
    kind: Annotated[Word | None, Query()] = None,
    severity: Annotated[Severity | None, Query()] = None,
    operators: Annotated[int | None, Query(ge=1, le=1_000)] = None,
) -> Response:
    """Tell the numbers of an area and all below it for whole local days.

    Unless said, of one's own area and a week, for as many operators as the settings have.
    """
    now_us, settings = context.clock(), context.settings.numbers
    until_us = now_us if until_us is None else until_us
    from_us = max(0, until_us - _WEEK_US) if from_us is None else from_us
    zone = ZoneInfo(context.settings.desk.timezone)

    def work(connection: Connection) -> bytes:
        path = caller.person.scope or "" if area is None else area_path_of(connection, area, caller.person)
        found = numbers(
            connection,
            path,
            from_us=from_us,
            until_us=until_us,
            now_us=now_us,
            zone=zone,
            kind=kind,
            severity=severity,
            operators=settings.operators if operators is None else operators,
            false_call_kinds=settings.false_call_kinds,
        )
        return msgspec.json.encode(found)

    return Response(await context.database.ask(work), media_type="application/json")
