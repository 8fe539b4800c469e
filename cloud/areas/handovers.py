"""Hand-overs: somebody takes over an area for a while, and who did it stands in the audit."""

from sqlalchemy import Connection, insert, select

from cloud.areas.rosters import Handover
from cloud.areas.sheets import AREAS, CONTACTS
from cloud.database.area_tables import area, contact, handover
from cloud.desk.changes import Actor
from cloud.errors import HandoverError, UnknownPlaceError
from cloud.people.audit import note

HANDED_OVER = "handed-over"
MAX_LASTS_US = 90 * 86_400 * 1_000_000
MAX_WHY_CHARS = 500


def hand_over(
    connection: Connection,
    *,
    area_id: str,
    contact_id: str,
    from_us: int,
    until_us: int,
    why: str,
    actor: Actor,
    at_us: int,
) -> Handover:
    """Let a contact take over an area: for its time the roster of that area, not of those within, does not count.

    Args:
        connection: a write transaction.
        area_id: the area.
        contact_id: who takes over; of any area.
        from_us: when it begins, microseconds UTC.
        until_us: when it ends; the roster counts again.
        why: for whoever asks later, at most `MAX_WHY_CHARS`.
        actor: who says so.
        at_us: when.

    Raises:
        UnknownPlaceError: there is no such area or contact.
        HandoverError: it ends before it begins or has ended, lasts longer than 90 days, or says not why.
    """
    for sheet, table, one in ((AREAS, area, area_id), (CONTACTS, contact, contact_id)):
        if connection.scalar(select(table.c.id).where(table.c.id == one)) is None:
            raise UnknownPlaceError(sheet.kind, one)
    if not max(from_us, at_us) < until_us <= from_us + MAX_LASTS_US:
        raise HandoverError("it ends in the future, after it begins, and within 90 days")
    if not 0 < len(why.strip()) <= MAX_WHY_CHARS:
        raise HandoverError(f"say why, in at most {MAX_WHY_CHARS} characters")
    values = {"area": area_id, "contact": contact_id, "from_us": from_us, "until_us": until_us}
    made = connection.execute(insert(handover).values(values | {"by": actor.name[:200], "why": why.strip()}))
    details = {"contact": contact_id, "from_us": from_us, "until_us": until_us, "why": why.strip()}
    note(connection, actor=actor, what=HANDED_OVER, object_=area_id, details=details, at_us=at_us)
    (number,) = made.inserted_primary_key or (0,)
    return Handover(number, contact_id, from_us, until_us)
