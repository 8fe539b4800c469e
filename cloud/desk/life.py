"""The life of an alarm as ISA-18.2 / IEC 62682 has it: facts, the state they make, and a table of what changes them.

Two things are independent: what the condition and its acknowledgement do (`CONDITION`), and whether the alarm may be
heard (`VOICES`). A shelved alarm goes on living unheard; the state's name says the latter first. Nothing here is ours
but three choices that the standard leaves open: what is latched and comes back is unacknowledged again; what gets its
voice back while its condition lasts is unacknowledged again; what gets it back afterwards is as it was left.

docs/alarm-desk.md is drawn from these tables.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec import Struct


class State(StrEnum):
    """The name of an alarm's facts taken together."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED_UNACKNOWLEDGED = "returned-unacknowledged"
    LATCHED_UNACKNOWLEDGED = "latched-unacknowledged"
    LATCHED_ACKNOWLEDGED = "latched-acknowledged"
    SHELVED = "shelved"
    SUPPRESSED_BY_DESIGN = "suppressed-by-design"
    OUT_OF_SERVICE = "out-of-service"

    @property
    def letter(self) -> str | None:
        """The standard's letter, A to G; None for the latched states, which it draws without one."""
        return _LETTERS.get(self)


class Event(StrEnum):
    """What can happen to an alarm's facts."""

    RAISE = "raise"
    RETRIGGER = "retrigger"
    """A second press while it stands."""
    RISE = "rise in severity"
    CLEAR = "clear"
    ACKNOWLEDGE = "acknowledge"
    REALARM = "re-alarm timer"
    UNACKNOWLEDGE = "unacknowledge"
    """The acknowledgement is taken back, because nothing followed it."""
    RESET = "reset"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    REMOVE = "remove from service"
    RETURN = "return to service"


class Facts(Struct, frozen=True):
    """What is so of an alarm, each fact by itself.

    Attributes:
        active: the condition lasts.
        acknowledged: somebody has taken notice.
        latching: once its condition is over it waits for a reset.
        latched: it does so now.
        shelved: an operator does not want to hear it for a time.
        suppressed: logic says that it means nothing now.
        out_of_service: it is being maintained.
    """

    active: bool = False
    acknowledged: bool = True
    latching: bool = False
    latched: bool = False
    shelved: bool = False
    suppressed: bool = False
    out_of_service: bool = False

    @property
    def is_heard(self) -> bool:
        """Whether nothing takes its voice away."""
        return not (self.shelved or self.suppressed or self.out_of_service)

    @property
    def condition(self) -> State:
        """The state that it has, or would have if it were heard."""
        return _CONDITION_OF[self.active, self.acknowledged, self.latched and not self.active]

    @property
    def state(self) -> State:
        """The state's name; of several silences the one that takes most to end."""
        if self.out_of_service:
            return State.OUT_OF_SERVICE
        if self.suppressed:
            return State.SUPPRESSED_BY_DESIGN
        return State.SHELVED if self.shelved else self.condition


class Clears(Struct, frozen=True):
    """Where the end of the condition leads: of an alarm that does not latch, and of one that does."""

    plain: State
    latching: State


class Voice(Struct, frozen=True):
    """What takes an alarm's voice away.

    Attributes:
        fact: the field of `Facts`.
        begins, ends: the events that set and unset it; each is refused where it would change nothing.
    """

    fact: str
    begins: Event
    ends: Event


_LETTERS = MappingProxyType(
    {
        State.NORMAL: "A",
        State.UNACKNOWLEDGED: "B",
        State.ACKNOWLEDGED: "C",
        State.RETURNED_UNACKNOWLEDGED: "D",
        State.SHELVED: "E",
        State.SUPPRESSED_BY_DESIGN: "F",
        State.OUT_OF_SERVICE: "G",
    }
)

# active, acknowledged, latched
_CONDITION_OF = MappingProxyType(
    {
        (False, True, False): State.NORMAL,
        (True, False, False): State.UNACKNOWLEDGED,
        (True, True, False): State.ACKNOWLEDGED,
        (False, False, False): State.RETURNED_UNACKNOWLEDGED,
        (False, False, True): State.LATCHED_UNACKNOWLEDGED,
        (False, True, True): State.LATCHED_ACKNOWLEDGED,
    }
)
_FACTS_OF = MappingProxyType({state: facts for facts, state in _CONDITION_OF.items()})

_TRIGGERS = {Event.RAISE: State.UNACKNOWLEDGED, Event.RETRIGGER: State.UNACKNOWLEDGED}

CONDITION: Mapping[State, Mapping[Event, State | Clears]] = MappingProxyType(
    {
        State.NORMAL: {
            **_TRIGGERS,
            Event.CLEAR: State.NORMAL,
            # Nobody has closed it yet, and nothing followed the acknowledgement.
            Event.UNACKNOWLEDGE: State.RETURNED_UNACKNOWLEDGED,
        },
        State.UNACKNOWLEDGED: {
            **_TRIGGERS,
            Event.RISE: State.UNACKNOWLEDGED,
            Event.CLEAR: Clears(State.RETURNED_UNACKNOWLEDGED, State.LATCHED_UNACKNOWLEDGED),
            Event.ACKNOWLEDGE: State.ACKNOWLEDGED,
        },
        State.ACKNOWLEDGED: {
            **_TRIGGERS,
            Event.RISE: State.UNACKNOWLEDGED,
            Event.CLEAR: Clears(State.NORMAL, State.LATCHED_ACKNOWLEDGED),
            Event.REALARM: State.UNACKNOWLEDGED,
            Event.UNACKNOWLEDGE: State.UNACKNOWLEDGED,
        },
        State.RETURNED_UNACKNOWLEDGED: {
            **_TRIGGERS,
            Event.RISE: State.RETURNED_UNACKNOWLEDGED,
            Event.CLEAR: State.RETURNED_UNACKNOWLEDGED,
            Event.ACKNOWLEDGE: State.NORMAL,
        },
        State.LATCHED_UNACKNOWLEDGED: {
            **_TRIGGERS,
            Event.RISE: State.LATCHED_UNACKNOWLEDGED,
            Event.CLEAR: State.LATCHED_UNACKNOWLEDGED,
            Event.ACKNOWLEDGE: State.LATCHED_ACKNOWLEDGED,
        },
        State.LATCHED_ACKNOWLEDGED: {
            **_TRIGGERS,
            Event.RISE: State.LATCHED_UNACKNOWLEDGED,
            Event.CLEAR: State.LATCHED_ACKNOWLEDGED,
            Event.UNACKNOWLEDGE: State.LATCHED_UNACKNOWLEDGED,
            Event.RESET: State.NORMAL,
        },
    }
)
"""Of each state that is heard, where each event leads; an event that does not stand there is refused."""

VOICES: Mapping[State, Voice] = MappingProxyType(
    {
        State.SHELVED: Voice("shelved", Event.SHELVE, Event.UNSHELVE),
        State.SUPPRESSED_BY_DESIGN: Voice("suppressed", Event.SUPPRESS, Event.UNSUPPRESS),
        State.OUT_OF_SERVICE: Voice("out_of_service", Event.REMOVE, Event.RETURN),
    }
)

_BEGINS = MappingProxyType({voice.begins: voice.fact for voice in VOICES.values()})
_ENDS = MappingProxyType({voice.ends: voice.fact for voice in VOICES.values()})


def step(facts: Facts, event: Event) -> Facts | None:
    """Tell what an event makes of the facts; None: the state refuses it."""
    if event in _BEGINS:
        fact = _BEGINS[event]
        return None if getattr(facts, fact) else msgspec.structs.replace(facts, **{fact: True})
    if event in _ENDS:
        return _given_back(facts, _ENDS[event])
    outcome = CONDITION[facts.condition].get(event)
    if outcome is None:
        return None
    if isinstance(outcome, Clears):
        outcome = outcome.latching if facts.latching else outcome.plain
    active, acknowledged, latched = _FACTS_OF[outcome]
    return msgspec.structs.replace(facts, active=active, acknowledged=acknowledged, latched=latched)


def _given_back(facts: Facts, fact: str) -> Facts | None:
    """End one silence; who acknowledged before it cannot know what the alarm has done since."""
    if not getattr(facts, fact):
        return None
    after: Facts = msgspec.structs.replace(facts, **{fact: False})
    is_news = after.is_heard and after.active
    return msgspec.structs.replace(after, acknowledged=False) if is_news else after
