"""What can happen to an alarm, and who did it: the words of its history."""

from enum import StrEnum

from msgspec import Struct

from cloud.desk.core import Alarm


class What(StrEnum):
    """One change of an occurrence, or of what controls a source; stored, so a word never changes its meaning."""

    RAISED = "raised"
    RETRIGGERED = "retriggered"
    CLEARED = "cleared"
    REALARMED = "realarmed"
    """The re-alarm timer ran out while it was active: it is unacknowledged again."""
    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    """The acknowledgement was taken back, because nothing followed it."""
    SHOWN = "shown"
    DISPATCHED = "dispatched"
    ARRIVED = "arrived"
    CLOSED = "closed"
    COMMENTED = "commented"
    RESET = "reset"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    SUPPRESSED = "suppressed"
    UNSUPPRESSED = "unsuppressed"
    OUT_OF_SERVICE = "out-of-service"
    IN_SERVICE = "in-service"
    ESCALATED = "escalated"
    """A step of its plan was taken; `why` says which and who is told."""
    REMINDED = "reminded"
    PLACED = "placed"
    """The registry says now where it is."""


class Actor(Struct, frozen=True):
    """Who does something.

    Attributes:
        name: a user's, or `GATEWAY` or `DESK`.
        origin: where from: a network address, "mqtt", "worker", "link <address>".
    """

    name: str
    origin: str


GATEWAY = Actor("gateway", "mqtt")
DESK = Actor("desk", "worker")


class Changed(Struct, frozen=True):
    """One change of one occurrence.

    Attributes:
        before: None when it was opened by this change.
        after: as it is now; equal to `before` when only words were added (a comment, an escalation step).
        why: a reason or comment in the words of who did it; "" for none.
    """

    before: Alarm | None
    after: Alarm
    what: What
    actor: Actor
    at_us: int
    why: str = ""
