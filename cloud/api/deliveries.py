"""Who was told what, when, and how it went."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Row, and_, or_, select

from cloud.api.auth import Caller, needs
from cloud.api.context import Here
from cloud.api.queries import TimeUs, Word, within
from cloud.database.area_tables import area, contact
from cloud.database.escalation_tables import delivery
from cloud.database.tables import occurrence
from cloud.people.roles import Action, is_inside
from contract.alarms import Severity

router = APIRouter(tags=["deliveries"])
# In place of an address that is none of the caller's business.
HIDDEN = "***"


class DeliveryView(BaseModel):
    """One message to one person or web hook; `state` is pending, sending, sent or failed.

    Attributes:
        address: "***" where the contact belongs to no area of one's own.
    """

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    id: str
    alarm_id: str | None
    kind: str
    severity: Severity
    contact: str | None
    channel: str
    address: str
    language: str
    state: str
    created_us: int
    due_us: int
    attempts: int
    sent_us: int | None
    error: str | None


class DeliveryPage(BaseModel):
    """Deliveries, the latest first; `next_us` and `next_id` as `before_us` and `before_id` give the older ones."""

    model_config = ConfigDict(extra="forbid")

    deliveries: list[DeliveryView]
    next_us: int | None
    next_id: str | None


@router.get("/deliveries")
async def list_deliveries(
    context: Here,
    caller: Annotated[Caller, needs(Action.SEE_DELIVERIES)],
    *,
    alarm: Annotated[Word | None, Query()] = None,
    contact_id: Annotated[Word | None, Query(alias="contact")] = None,
    state: Annotated[Word | None, Query()] = None,
    before_us: Annotated[TimeUs | None, Query()] = None,
    before_id: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> DeliveryPage:
    """List messages about the alarms of one's own subtree."""
    at = delivery.c
    homes = delivery.outerjoin(contact, at.contact == contact.c.id).outerjoin(area, contact.c.area == area.c.id)
    query = select(delivery, area.c.path.label("home")).select_from(homes)
    query = query.order_by(at.created_us.desc(), at.id.desc()).limit(limit)
    seen = within(occurrence.c.area_path, caller.person.scope)
    if seen is not None:
        query = query.join(occurrence, at.alarm_id == occurrence.c.alarm_id).where(seen)
    for column, wanted in ((at.alarm_id, alarm), (at.contact, contact_id), (at.state, state)):
        if wanted is not None:
            query = query.where(column == wanted)
    if before_us is not None:
        query = query.where(or_(at.created_us < before_us, and_(at.created_us == before_us, at.id < before_id)))

    def work(connection: Connection) -> list[DeliveryView]:
        return [_view(row, caller) for row in connection.execute(query)]

    found = await context.database.ask(work)
    last = found[-1] if len(found) == limit else None
    return DeliveryPage(deliveries=found, next_us=last.created_us if last else None, next_id=last.id if last else None)


def _view(row: Row[Any], caller: Caller) -> DeliveryView:
    shown = DeliveryView.model_validate(row)
    # Without a home it is the settings' fallback, a web hook, or somebody who is gone.
    if is_inside(caller.person.scope, row.home or ""):
        return shown
    return shown.model_copy(update={"address": HIDDEN})
