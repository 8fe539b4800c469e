import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.desk.controls import ControlKind
from cloud.desk.core import Stage
from cloud.desk.drawing import PAGE, draw, drawn_into
from cloud.desk.life import VOICES, Event, Facts, State, step

N, B, C, D = State.NORMAL, State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.RETURNED_UNACKNOWLEDGED
LB, LC = State.LATCHED_UNACKNOWLEDGED, State.LATCHED_ACKNOWLEDGED
E, F, G = State.SHELVED, State.SUPPRESSED_BY_DESIGN, State.OUT_OF_SERVICE
NO = None

HEARD = (N, B, C, D, LB, LC)

# ISA-18.2, and what it leaves open as docs/decisions/0021 has it. A pair: not latching, latching.
OUTCOMES: dict[Event, tuple[State | tuple[State, State] | None, ...]] = {
    #                   normal  unack  ack  returned  latched-unack  latched-ack
    Event.RAISE:         (B,    B,         B,        B,  B,  B),
    Event.RETRIGGER:     (B,    B,         B,        B,  B,  B),
    Event.RISE:          (NO,   B,         B,        D,  LB, LB),
    Event.CLEAR:         (N,    (D, LB),   (N, LC),  D,  LB, LC),
    Event.ACKNOWLEDGE:   (NO,   C,         NO,       N,  LC, NO),
    Event.REALARM:       (NO,   NO,        B,        NO, NO, NO),
    Event.UNACKNOWLEDGE: (D,    NO,        B,        NO, NO, LB),
    Event.RESET:         (NO,   NO,        NO,       NO, NO, N),
    Event.SHELVE:        (E,    E,         E,        E,  E,  E),
    Event.UNSHELVE:      (NO,   NO,        NO,       NO, NO, NO),
    Event.SUPPRESS:      (F,    F,         F,        F,  F,  F),
    Event.UNSUPPRESS:    (NO,   NO,        NO,       NO, NO, NO),
    Event.REMOVE:        (G,    G,         G,        G,  G,  G),
    Event.RETURN:        (NO,   NO,        NO,       NO, NO, NO),
}  # fmt: skip

BASE = {
    N: Facts(),
    B: Facts(active=True, acknowledged=False),
    C: Facts(active=True),
    D: Facts(acknowledged=False),
    LB: Facts(acknowledged=False, latching=True, latched=True),
    LC: Facts(latching=True, latched=True),
}
SILENCES = {E: {"shelved": True}, F: {"suppressed": True}, G: {"out_of_service": True}}
ENDS = {E: Event.UNSHELVE, F: Event.UNSUPPRESS, G: Event.RETURN}
BEGINS = {E: Event.SHELVE, F: Event.SUPPRESS, G: Event.REMOVE}


def with_facts(facts: Facts, **changes: bool) -> Facts:
    return Facts(**({name: getattr(facts, name) for name in Facts.__struct_fields__} | changes))


def all_facts() -> list[Facts]:
    """Every combination that can be: what is active is not latched, and what is latched is latching."""
    every = (Facts(*values) for values in itertools.product((False, True), repeat=7))
    return [facts for facts in every if not facts.latched or (facts.latching and not facts.active)]


def expected(state: State, event: Event, *, latching: bool) -> State | None:
    outcome = OUTCOMES[event][HEARD.index(state)]
    return outcome[latching] if isinstance(outcome, tuple) else outcome


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", HEARD)
def test_a_state_that_is_heard(state: State, event: Event) -> None:
    for latching in {BASE[state].latching, True}:
        facts = with_facts(BASE[state], latching=latching)
        after = step(facts, event)
        wanted = expected(state, event, latching=latching)
        assert facts.state is state
        assert (None if after is None else after.state) is wanted


@pytest.mark.parametrize("event", [one for one in Event if one not in {*BEGINS.values(), *ENDS.values()}])
@pytest.mark.parametrize("silence", SILENCES)
def test_a_silent_alarm_lives_on_unheard(silence: State, event: Event) -> None:
    for state, facts in BASE.items():
        silent = with_facts(facts, **SILENCES[silence])
        after, heard = step(silent, event), step(facts, event)
        assert silent.state is silence
        assert after == (None if heard is None else with_facts(heard, **SILENCES[silence])), state


@pytest.mark.parametrize("state", HEARD)
@pytest.mark.parametrize("silence", SILENCES)
def test_a_silence_begins_once_and_its_end_makes_news_of_what_lasts(silence: State, state: State) -> None:
    silent = step(BASE[state], BEGINS[silence])
    assert silent == with_facts(BASE[state], **SILENCES[silence])
    assert step(silent, BEGINS[silence]) is None
    heard = step(silent, ENDS[silence])
    assert heard is not None
    assert heard.state is (B if BASE[state].active else state)
    assert step(heard, ENDS[silence]) is None


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(SILENCES, 2)))
def test_of_two_silences_the_last_to_end_gives_the_voice_back(one: State, other: State) -> None:
    both = with_facts(BASE[C], **SILENCES[one], **SILENCES[other])
    # The name is that of the one that takes most to end.
    assert both.state is max(one, other, key=list(VOICES).index)
    still = step(both, ENDS[one])
    assert still is not None
    assert (still.state, still.acknowledged) == (other, True)
    heard = step(still, ENDS[other])
    assert heard is not None
    assert heard.state is B


def test_every_state_has_its_letter() -> None:
    letters = {state: state.letter for state in State}
    assert letters == {N: "A", B: "B", C: "C", D: "D", LB: None, LC: None, E: "E", F: "F", G: "G"}
    assert set(State) == {*HEARD, *SILENCES}


@pytest.mark.parametrize("event", Event)
def test_no_event_makes_facts_that_cannot_be(event: Event) -> None:
    possible = set(all_facts())
    for facts in possible:
        after = step(facts, event)
        assert after is None or after in possible
        if after is not None:
            assert after.latching is facts.latching


@given(st.booleans(), st.lists(st.sampled_from(Event), max_size=30))
def test_in_any_story(latching: bool, story: list[Event]) -> None:  # noqa: FBT001 - hypothesis gives it
    facts = Facts(active=True, acknowledged=False, latching=latching)
    acknowledged_since_trigger = False
    for event in story:
        after = step(facts, event)
        if after is None:
            continue
        if event in (Event.RAISE, Event.RETRIGGER):
            acknowledged_since_trigger = False
            assert not after.acknowledged
        acknowledged_since_trigger |= event is Event.ACKNOWLEDGE
        # Nothing but a person acknowledges, and nothing but a reset lets go of what is latched.
        assert not after.acknowledged or acknowledged_since_trigger
        if facts.latched and not after.latched:
            assert event in (Event.RESET, Event.RAISE, Event.RETRIGGER)
        # What lasts and is heard again is news.
        if after.is_heard and not facts.is_heard and after.active:
            assert after.state is B
        facts = after


def test_the_diagram_of_the_page_is_drawn_from_the_table() -> None:
    page = PAGE.read_text("utf-8")
    assert drawn_into(page) == page, "run: scripts/generate"
    assert draw() in page


def test_the_page_names_every_state_stage_and_control() -> None:
    page = PAGE.read_text("utf-8")
    for word in [*State, *Stage, *ControlKind]:
        assert f"| `{word.value}` |" in page
