"""Settings of escalation."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Fallback(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who is told when nobody is on duty from an alarm's area up to the root, or when it has no area.

    Attributes:
        name: for the history.
        channel: the name of a `[[telling.channel]]`.
        address: what that channel calls an address.
    """

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    channel: Annotated[str, Meta(min_length=1, max_length=64)]
    address: Annotated[str, Meta(min_length=1, max_length=2_000)]
    language: Literal["zh", "en"] = "zh"


class Escalation(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens next with open alarms, and the proof that something does.

    Attributes:
        audit_every_s: how often it is proved that each open alarm has a next step or a reason not to.
        overdue_after_s: a step that was not taken so long after it was due is a gap.
        stuck_after_s: a message that nobody has tried to send so long after it was due is a gap.
        fallback: told where there is nobody else.
    """

    audit_every_s: Annotated[float, Meta(ge=1, le=3_600)] = 30.0
    overdue_after_s: Annotated[float, Meta(ge=5, le=3_600)] = 30.0
    stuck_after_s: Annotated[float, Meta(ge=30, le=86_400)] = 300.0
    fallback: Annotated[tuple[Fallback, ...], Meta(max_length=20)] = ()
