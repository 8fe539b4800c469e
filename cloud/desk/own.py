"""Alarms that no gateway raises but the cloud itself: through the same door as all others."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection

from cloud.areas.tree import Place
from cloud.desk.changes import DESK, Actor
from cloud.desk.core import Arrival
from cloud.desk.store import apply_events
from cloud.settings import Desk
from contract.alarms import AlarmEvent

OWN_GATEWAY = "cloud"
"""The gateway in the source of what the cloud itself says; no real one may be called so."""


class Said(Struct, frozen=True):
    """An event that the cloud itself says.

    Attributes:
        event: its `gateway` is `OWN_GATEWAY`, its device names what it is about (`tour.<id>`, `fire.<id>`).
        place: where that is.
    """

    event: AlarmEvent
    place: Place


def say(connection: Connection, said: Sequence[Said], *, desk: Desk, now_us: int, actor: Actor = DESK) -> int:
    """Raise, retrigger or clear alarms of the cloud's own, in the transaction that found the reason.

    The ids follow from source and time, so what is said twice is one. Lock rows of the trades before this, not after.

    Args:
        connection: a transaction for writing.
        said: in their order.
        desk: its settings.
        now_us: the clock.
        actor: who says it in the history.

    Returns:
        How many were new.

    Raises:
        IntegrityError: another worker was first; repeat the transaction.
    """
    late_us = desk.late_after_s * 1_000_000
    arrivals = [
        Arrival(
            event=one.event,
            received_at_us=now_us,
            stored_at_us=now_us,
            late=now_us - one.event.at_us > late_us,
            latching=one.event.kind in desk.latching_kinds,
            place=one.place,
        )
        for one in said
    ]
    return apply_events(connection, arrivals, actor=actor) if arrivals else 0
