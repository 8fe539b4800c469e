"""The model of `[[expect]]`: everything that may have to come true."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from contract.alarms import Mode, Severity, Transition
from contract.ids import Id
from contract.tags import Tag

MAX_LENGTH_S = 86_400.0

Name = Annotated[str, Meta(max_length=129)]
"""A device, bus or gateway: `weather`, or `tower-2/weather` where several sites have one."""
Fields = dict[str, str | bool | int | float | None]
"""Members of an object of an answer; `a.b` is the member b of its member a."""

OWN_GATEWAY = "cloud"
"""What alarms of the cloud's own name as their gateway."""


class GatewayState(StrEnum):
    """What a gateway, or the broker for it, says of its life."""

    BORN = "born"
    LOST = "lost"
    STOPPED = "stopped"


class _Expectation(Struct, frozen=True, forbid_unknown_fields=True, tag_field="what", kw_only=True):
    """Something that must come true.

    Attributes:
        after: id of what happens first, `<id>.end` for the end of what lasts; None: the beginning.
        within_s: how soon, or for what does not happen how long it must not; None: to the end.
    """

    after: Id | None = None
    within_s: Annotated[float, Meta(gt=0.0, le=MAX_LENGTH_S)] | None = None


class _OfAlarms(_Expectation, frozen=True, kw_only=True):
    """Which alarms are meant: those that agree in all that is given.

    Attributes:
        device, point, rule: where it comes from; "gateway" is the gateway itself.
        gateway: of this one.
        alarm: its kind.
        severity, mode: as raised.
        stored: it must stand in the alarm database, not only have arrived; wants a `stored` scenario.
    """

    device: Name | None = None
    point: Id | None = None
    rule: Id | None = None
    gateway: Id | None = None
    alarm: Id | None = None
    severity: Severity | None = None
    mode: Mode | None = None
    stored: bool = False


class Raised(_OfAlarms, frozen=True, tag="raised", kw_only=True):
    """An alarm is raised."""


class Cleared(_OfAlarms, frozen=True, tag="cleared", kw_only=True):
    """An alarm ends."""


class NotRaised(_OfAlarms, frozen=True, tag="not-raised", kw_only=True):
    """No such alarm is raised."""


class _HowMany(_OfAlarms, frozen=True, kw_only=True):
    """So many of them.

    Attributes:
        exactly, at_least, at_most: one or two of them.
    """

    exactly: Annotated[int, Meta(ge=0)] | None = None
    at_least: Annotated[int, Meta(ge=0)] | None = None
    at_most: Annotated[int, Meta(ge=0)] | None = None


class Count(_HowMany, frozen=True, tag="count", kw_only=True):
    """So many events of such alarms come.

    Attributes:
        transition: which.
    """

    transition: Transition = Transition.RAISED


class Order(_Expectation, frozen=True, tag="order", kw_only=True):
    """Alarms are raised on these devices in this order.

    Attributes:
        devices: in that order, each at its first alarm.
        alarm: kind of alarm.
    """

    devices: tuple[Name, ...]
    alarm: Id


class NothingLost(_Expectation, frozen=True, tag="nothing-lost", kw_only=True):
    """Every reading that a device gave arrives once (is stored once, in a `stored` scenario); judged at the end.

    Attributes:
        device: None: all.
        at_most: so many may be lost; a power cut costs what was not on the disk yet.
    """

    device: Name | None = None
    at_most: Annotated[int, Meta(ge=0)] = 0


class ValueIs(_Expectation, frozen=True, tag="value", kw_only=True):
    """A reading arrives that is so.

    Attributes:
        device, point: whose.
        lowest, highest, equals: limits, or the value.
        every: all that arrive must be so (and one must), not only one.
    """

    device: Name
    point: Id
    lowest: float | None = None
    highest: float | None = None
    equals: float | bool | str | None = None
    every: bool = False


class OutputIs(_Expectation, frozen=True, tag="output", kw_only=True):
    """A point of a simulated device stands so: a siren that the gateway switches."""

    device: Name
    point: Id
    equals: float | bool | str


class GatewayIs(_Expectation, frozen=True, tag="gateway", kw_only=True):
    """A gateway is born, lost (the broker sends its will) or stopped; None: the only one."""

    state: GatewayState
    gateway: Id | None = None


class TagState(StrEnum):
    """What a gateway says of a tag."""

    PRESENT = "present"
    MOVED = "moved"
    LEFT = "left"
    PRESSED = "pressed"
    LOW_BATTERY = "low-battery"


class TagIs(_Expectation, frozen=True, tag="tag", kw_only=True):
    """A gateway says of a tag that it is present, has moved (to this station), has left, was pressed, or runs low.

    Attributes:
        device: the station, by its first reader; None: any.
    """

    tag: Tag
    state: TagState
    device: Name | None = None


class OnDesk(_HowMany, frozen=True, tag="on-desk", kw_only=True):
    """So many of such alarms stand in the list of the desk.

    Attributes:
        open: only those that are open (false: closed).
        suppressed: only those that the desk holds back (false: does not).
    """

    open: bool | None = None
    suppressed: bool | None = None


class Evidence(_OfAlarms, frozen=True, tag="evidence", kw_only=True):
    """The history of one such alarm grows by comments that say so.

    Attributes:
        says: texts that stand in its comments, in this order.
        at_least: so many comments.
    """

    says: tuple[str, ...] = ()
    at_least: Annotated[int, Meta(ge=1)] = 1


class NothingElse(_Expectation, frozen=True, tag="nothing-else", kw_only=True):
    """No alarm that no other expectation means, not even of the cloud's own; judged at the end."""


class Answer(_Expectation, frozen=True, tag="answer", kw_only=True):
    """The API answers so.

    Attributes:
        get: what is asked for, below `/api/v1`.
        has: objects that are in it, somewhere, in this order.
        lacks: objects that are not in it.
    """

    get: Annotated[str, Meta(pattern="^/", max_length=1000)]
    has: tuple[Fields, ...] = ()
    lacks: tuple[Fields, ...] = ()


OfDesk = OnDesk | Evidence | NothingElse | Answer
"""What is looked up in the cloud; not what arrives on the wire."""
Expectation = (
    Raised | Cleared | NotRaised | Count | Order | NothingLost | ValueIs | OutputIs | GatewayIs | TagIs | OfDesk
)
