"""Rows of `escalation`: how far the plans of open alarms have come."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from cloud.areas.chunks import chunked
from cloud.database.escalation_tables import escalation
from cloud.errors import GarbledPlanError
from cloud.escalation.plan import Idle, Plan, Progress


class Escalation(Struct, frozen=True):
    """One open live alarm's plan, and how far it has come.

    Attributes:
        next_at_us: when something is due; None: nothing, and `idle` says why.
    """

    alarm_id: str
    plan: Plan
    progress: Progress
    next_at_us: int | None
    idle: Idle | None


class _Taken(Struct, frozen=True):
    taken: tuple[int, ...]
    reminded_of_us: int | None = None


def find_escalations(connection: Connection, alarm_ids: Collection[str]) -> dict[str, Escalation]:
    """Find the escalation of alarms; those that have none (closed, or of a test or a drill) are not in the answer.

    Raises:
        GarbledPlanError: a row cannot be read; the auditor mends it.
    """
    found: dict[str, Escalation] = {}
    for some in chunked(sorted(set(alarm_ids))):
        for row in connection.execute(select(escalation).where(escalation.c.alarm_id.in_(some))).mappings():
            found[row["alarm_id"]] = to_escalation(row)
    return found


def to_escalation(row: Mapping[Any, Any]) -> Escalation:
    """Read a row.

    Args:
        row: the columns of `escalation` by name; others may stand beside them.

    Raises:
        GarbledPlanError: a person or another program has written what is no plan, no progress or no reason.
    """
    try:
        plan = msgspec.convert(row["plan"], Plan)
        taken = msgspec.convert(row["progress"], _Taken)
        idle = None if row["idle_why"] is None else Idle(row["idle_why"])
    except (msgspec.ValidationError, ValueError) as error:
        raise GarbledPlanError(row["alarm_id"], str(error)) from error
    missing = len(plan.stages) - len(taken.taken)
    if not plan.stages or missing < 0 or any(one < 0 for one in taken.taken):
        raise GarbledPlanError(row["alarm_id"], f"{len(taken.taken)} of {len(plan.stages)} steps")
    progress = Progress(row["round"], row["round_began_us"], taken.taken + (0,) * missing, taken.reminded_of_us)
    return Escalation(row["alarm_id"], plan, progress, row["next_at_us"], idle)


def to_columns(plan: Plan, progress: Progress) -> dict[str, Any]:
    """Write what a step changes in a row."""
    taken = _Taken(progress.taken, progress.reminded_of_us)
    return {"plan": msgspec.to_builtins(plan), "progress": msgspec.to_builtins(taken)}
