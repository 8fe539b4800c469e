"""What the API shows of an alarm's escalation: the next step, or in the reader's language why there is none."""

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from cloud.areas.tree import Level
from cloud.errors import GarbledPlanError
from cloud.escalation.plan import Idle
from cloud.escalation.store import Escalation, find_escalations
from cloud.i18n import translate_to


class EscalationView(BaseModel):
    """How far an open live alarm's escalation has come."""

    model_config = ConfigDict(extra="forbid")

    round: int = Field(description="1 for the first; it goes up whenever the escalation begins anew")
    steps: int = Field(description="of its plan")
    taken: int = Field(description="how many of them were taken in this round, at least once")
    next_at_us: int | None = Field(description="when it is looked at next; null: it rests, and `idle` says why")
    next_area: str | None = Field(description="whose duty the next step that was not taken tells")
    next_level: Level | None
    idle: Idle | None
    idle_why: str | None = Field(description="the same in the caller's language")


def find_escalation(connection: Connection, alarm_id: str, language: str) -> EscalationView | None:
    """Find an alarm's escalation; None where it has none, or one that nobody can read until the auditor mends it."""
    try:
        found = find_escalations(connection, [alarm_id]).get(alarm_id)
    except GarbledPlanError:
        return None
    return None if found is None else _view(found, language)


def _view(found: Escalation, language: str) -> EscalationView:
    taken = found.progress.taken
    upcoming = next((stage for stage, count in zip(found.plan.stages, taken, strict=True) if not count), None)
    return EscalationView(
        round=found.progress.round,
        steps=len(taken),
        taken=sum(count > 0 for count in taken),
        next_at_us=found.next_at_us,
        next_area=upcoming.area if upcoming else None,
        next_level=upcoming.level if upcoming else None,
        idle=found.idle,
        idle_why=None if found.idle is None else translate_to(language, found.idle.value),
    )
