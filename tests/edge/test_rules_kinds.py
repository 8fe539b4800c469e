"""Each kind of rule as a table of cases: a reading, or just the clock, and what is said then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.alarms import Severity
from contract.telemetry import Value
from device_profiles.model import (
    BitsRule,
    CombinationRule,
    ContactRule,
    Flag,
    MissingRule,
    Polls,
    RateRule,
    Rule,
    StuckRule,
    ThresholdRule,
)
from edge.rules import Standing
from tests.edge.rules_rig import TEXT, Rig

HIGH = Severity.HIGH
WAIT = object()
"""Instead of a reading: the clock alone."""

SLOW = ThresholdRule("slow", ("t",), "temperature", HIGH, TEXT, above=60.0, on_delay_s=10.0, off_delay_s=5.0)
POLLED = ContactRule("polled", ("t",), "smoke", HIGH, TEXT, polls=Polls(2, 3))
RISE = RateRule("rise", ("t",), "temperature", HIGH, TEXT, rises=8.0, within_s=64.0, deadband=2.0)
FALL = RateRule("fall", ("t",), "pressure", HIGH, TEXT, falls=3.0, within_s=64.0)
STUCK = StuckRule("stuck", ("t",), "fault", HIGH, TEXT, for_s=10.0, tolerance=0.5)
DEAD = StuckRule("dead", ("t",), "fault", HIGH, TEXT, for_s=10.0)
GONE = MissingRule("gone", ("t",), "fault", HIGH, TEXT, for_s=10.0)
MASK = BitsRule("mask", ("t",), "fault", HIGH, TEXT, mask=0b110)
CLEAR = BitsRule("clear", ("t",), "fault", HIGH, TEXT, mask=0b110, alarm_when=False)
FLAGS = BitsRule(
    "ups", ("t",), "fault", HIGH, {"en": "{label}: {flag}", "zh": "{label}：{flag}"},
    flag=(
        Flag("battery", 3, {"en": "battery flat", "zh": "电池亏电"}),
        Flag("open", 15, {"en": "case open", "zh": "机箱打开"}, alarm="tamper", severity=Severity.CRITICAL),
    ),
)  # fmt: skip

Story = list[tuple[float, object]]
CASES: dict[str, tuple[Rule, Story, list[tuple[float, str]]]] = {
    "the on-delay ends by the clock": (SLOW, [(0, 70.0), (9.9, WAIT), (10, WAIT)], [(10, "slow raised")]),
    "also when nothing is heard any more": (SLOW, [(0, 70.0), (3600, WAIT)], [(3600, "slow raised")]),
    "a normal reading within the on-delay ends it": (SLOW, [(0, 70.0), (9, 50.0), (60, WAIT)], []),
    "the off-delay ends by the clock": (
        SLOW, [(0, 70.0), (10, 70.0), (11, 50.0), (15, 50.0), (16, WAIT)], [(10, "slow raised"), (16, "slow cleared")],
    ),
    "one of three readings": (POLLED, [(0, True), (1, False), (2, False), (3, True), (4, False), (5, False)], []),
    "two of three": (POLLED, [(0, True), (1, False), (2, True)], [(2, "polled raised")]),
    "fewer than two of three": (
        POLLED, [(0, True), (1, True), (2, False), (3, False)], [(1, "polled raised"), (3, "polled cleared")],
    ),
    "a slow rise is weather": (RISE, [(at * 10.0, at * 1.2) for at in range(60)], []),
    "a fast one is fire": (RISE, [(0, 20.0), (30, 28.0), (31, 28.1)], [(31, "rise raised")]),
    "a rise is over when the window has passed it": (
        RISE, [(0, 20.0), (30, 29.0), (62, 29.0), (100, 29.0)], [(30, "rise raised"), (100, "rise cleared")],
    ),
    "inside the deadband it stands": (
        RISE, [(0, 20.0), (30, 29.0), (40, 27.0), (70, 27.0)], [(30, "rise raised"), (70, "rise cleared")],
    ),
    "a fall is no rise": (RISE, [(0, 40.0), (10, 20.0)], []),
    "a fall": (FALL, [(0, 1013.0), (20, 1010.0), (21, 1009.9)], [(21, "fall raised")]),
    "a value that stands still": (STUCK, [(at, 5.0) for at in range(12)], [(10, "stuck raised")]),
    "or moves within its tolerance": (STUCK, [(at, 5.0 + 0.4 * (at % 2)) for at in range(11)], [(10, "stuck raised")]),
    "a drift is a move": (STUCK, [(at, 5.0 + 0.1 * at) for at in range(40)], []),
    "the first move ends it": (
        STUCK, [(0, 5.0), (10, 5.0), (11, 6.0), (12, 6.0)], [(10, "stuck raised"), (11, "stuck cleared")],
    ),
    "without readings nothing is stuck": (STUCK, [(0, 5.0), (60, WAIT)], []),
    "a word may be stuck too": (DEAD, [(0, "N"), (5, "NE"), (14, "NE"), (15, "NE")], [(15, "dead raised")]),
    "a state may": (DEAD, [(0, True), (10, True)], [(10, "dead raised")]),
    "no reading since the start": (GONE, [(9.9, WAIT), (10, WAIT)], [(10, "gone raised")]),
    "no reading any more": (GONE, [(0, 1.0), (5, 1.0), (14.9, WAIT), (15, WAIT)], [(15, "gone raised")]),
    "a reading ends it, whatever it says": (
        GONE, [(15, WAIT), (20, 1.0), (29, WAIT), (30, WAIT)],
        [(15, "gone raised"), (20, "gone cleared"), (30, "gone raised")],
    ),
    "any bit of the mask": (
        MASK, [(0, 1.0), (1, 2.0), (2, 4.0), (3, 9.0)], [(1, "mask raised"), (3, "mask cleared")],
    ),
    "any bit of the mask that is clear": (
        CLEAR, [(0, 6.0), (1, 7.0), (2, 2.0), (3, 6.0)], [(2, "clear raised"), (3, "clear cleared")],
    ),
    "each flag by itself": (
        FLAGS, [(0, 1.0), (1, 8.0), (2, 8.0 + 32768), (3, 32768.0)],
        [(1, "ups.battery raised"), (2, "ups.open raised"), (3, "ups.battery cleared")],
    ),
}  # fmt: skip


def told(rule: Rule, story: Story) -> list[tuple[float, str]]:
    rig = Rig(rule)
    said: list[tuple[float, str]] = []
    for at_s, value in story:
        words = rig.wait(at_s) if value is WAIT else rig.hear(at_s, value, key="t")  # type: ignore[arg-type]
        said += [(at_s, word) for word in words]
    return said


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    rule, story, expected = CASES[name]
    assert told(rule, story) == expected


def test_an_alarm_does_not_end_while_its_device_is_silent() -> None:
    quiet = ThresholdRule("quiet", ("t",), "temperature", HIGH, TEXT, above=60.0, off_delay_s=60.0)
    rig = Rig(quiet)
    assert rig.hear(0, 70.0, key="t") == ["quiet raised"]
    rig.hear(1, 50.0, key="t")
    assert rig.wait(3600) == []
    assert rig.hear(3601, 50.0, key="t") == ["quiet cleared"]


def test_a_flag_says_what_it_is() -> None:
    rig = Rig(FLAGS)
    rig.hear(0, 32768.0, key="t")
    (event,) = rig.events
    assert (event.source, event.kind, event.severity) == ("g/d/t/ups.open", "tamper", Severity.CRITICAL)
    assert event.text == {"en": "d t: case open", "zh": "d t：机箱打开"}
    assert event.value == 32768.0


@given(st.lists(st.tuples(st.floats(0.01, 30.0), st.floats(-50, 50)), min_size=1, max_size=120))
def test_a_rate_is_what_a_look_at_all_readings_says(steps: list[tuple[float, float]]) -> None:
    """Between a window that is a 64th shorter and the window itself the two must agree."""
    rule = RateRule("rise", ("t",), "temperature", HIGH, TEXT, rises=10.0, within_s=64.0)
    rig = Rig(rule)
    seen: list[tuple[float, float]] = []
    at_s = 100.0
    for gap, value in steps:
        at_s += gap
        seen.append((at_s, value))
        rig.hear(at_s, value, key="t")
        narrow = any(value - old > 10.0 for at, old in seen if at_s - at <= 64.0)
        wide = any(value - old > 10.0 for at, old in seen if at_s - at <= 65.0)
        is_raised = "g/d/t/rise" in rig.kept
        if narrow:
            assert is_raised
        elif not wide and at_s - seen[0][0] >= 64.0:
            assert not is_raised


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.integers(0, 4))
def test_polls_are_counted(readings: list[bool], seen: int, more: int) -> None:
    rig = Rig(ContactRule("polled", ("t",), "smoke", HIGH, TEXT, polls=Polls(seen, seen + more)))
    for at, value in enumerate(readings):
        rig.hear(at, value, key="t")
        assert ("g/d/t/polled" in rig.kept) is (sum(readings[max(0, at + 1 - seen - more) : at + 1]) >= seen)


SMOKE = ContactRule("smoke", ("b",), "smoke", HIGH, TEXT)
HOT = ThresholdRule("hot", ("t",), "temperature", HIGH, TEXT, above=60.0, only_combined=True)
FIRE = CombinationRule("fire", "fire", Severity.CRITICAL, TEXT, all_of=("smoke", "hot"), within_s=30.0)
EITHER = CombinationRule("either", "fire", Severity.CRITICAL, TEXT, any_of=("smoke", "t/hot"))

COMBINED: dict[str, tuple[CombinationRule, Story, list[tuple[float, str]]]] = {
    "one of two is not all": (FIRE, [(0, 70.0)], []),
    "both, in either order": (FIRE, [(0, 70.0), (10, True)], [(10, "smoke raised"), (10, "fire raised")]),
    "smoke that has stood for long counts": (
        FIRE, [(0, True), (900, 70.0)], [(0, "smoke raised"), (900, "fire raised")],
    ),
    "what has ended counts for the window": (
        FIRE, [(0, True), (1, False), (30.9, 70.0)],
        [(0, "smoke raised"), (1, "smoke cleared"), (30.9, "fire raised")],
    ),
    "and no longer": (FIRE, [(0, True), (1, False), (31, 70.0)], [(0, "smoke raised"), (1, "smoke cleared")]),
    "the window ends by the clock": (
        FIRE, [(0, 70.0), (0.5, True), (1, 20.0), (30.9, WAIT), (31, WAIT)],
        [(0.5, "smoke raised"), (0.5, "fire raised"), (31, "fire cleared")],
    ),
    "any": (EITHER, [(0, 70.0), (1, True), (2, 20.0), (3, False)],
            [(0, "either raised"), (1, "smoke raised"), (3, "smoke cleared"), (3, "either cleared")]),
}  # fmt: skip


@pytest.mark.parametrize("name", COMBINED)
def test_combination(name: str) -> None:
    rule, story, expected = COMBINED[name]
    rig = Rig(SMOKE, HOT, rule)
    said: list[tuple[float, str]] = []
    for at_s, value in story:
        key = "b" if isinstance(value, bool) else "t"
        words = rig.wait(at_s) if value is WAIT else rig.hear(at_s, value, key=key)  # type: ignore[arg-type]
        said += [(at_s, word) for word in words]
    assert said == expected


def test_a_combination_is_an_alarm_of_its_device_or_of_the_gateway() -> None:
    across = CombinationRule(
        "tower-fire", "fire", Severity.CRITICAL, TEXT, all_of=("one/smoke", "two/b/smoke"), within_s=5.0
    )
    rig = Rig(devices={"one": (SMOKE, HOT, FIRE), "two": (SMOKE,)}, site=(across,))
    rig.hear(0, True, device="one")
    assert rig.hear(1, True, device="two") == ["smoke raised", "tower-fire raised"]
    assert rig.hear(2, 70.0, key="t", device="one") == ["fire raised"]
    sources = [event.source for event in rig.events]
    assert sources[2:] == ["g/gateway/combination/tower-fire", "g/one/combination/fire"]
    assert rig.events[-1].text["en"] == "alarm at one"
    assert rig.events[-1].value is None


def test_a_rule_that_only_counts_in_combinations_is_remembered_and_says_nothing() -> None:
    rig = Rig(SMOKE, HOT, FIRE)
    assert rig.hear(0, 70.0, key="t") == []
    again = Rig(SMOKE, HOT, FIRE, kept=rig.kept, at_s=10.0)
    assert again.hear(11, True) == ["smoke raised", "fire raised"]


def test_a_device_without_rules_says_nothing() -> None:
    rig = Rig(SMOKE)
    value: Value = True
    assert rig.hear(0, value, device="other") == []
    assert rig.hear(0, value, key="w") == []


RESTARTS: dict[str, tuple[Rule, Story, list[tuple[float, str]]]] = {
    "polls: enough readings must speak against it": (
        POLLED, [(0, False), (1, False), (2, True)], [(1, "polled cleared")],
    ),
    "polls: it goes on": (POLLED, [(0, True), (1, False), (2, True), (3, True)], []),
    "rate: until the window is full again": (RISE, [(0, 29.0), (63, 29.0), (64, 29.0)], [(64, "rise cleared")]),
    "stuck: until it moves": (STUCK, [(0, 5.0), (1, 5.0), (30, 5.0), (31, 9.0)], [(31, "stuck cleared")]),
    "missing: until there is a reading": (GONE, [(30, WAIT), (31, 5.0)], [(31, "gone cleared")]),
    "threshold: the deadband counts": (
        ThresholdRule("slow", ("t",), "x", HIGH, TEXT, above=60.0, deadband=5.0), [(0, 56.0), (1, 55.0)],
        [(1, "slow cleared")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RESTARTS)
def test_what_stood_before_a_restart_ends_when_it_is_known_to_be_over(name: str) -> None:
    rule, story, expected = RESTARTS[name]
    rig = Rig(rule, kept={f"g/d/t/{rule.key}": Standing(1).encode()})
    said: list[tuple[float, str]] = []
    for at_s, value in story:
        words = rig.wait(at_s) if value is WAIT else rig.hear(at_s, value, key="t")  # type: ignore[arg-type]
        said += [(at_s, word) for word in words]
    assert said == expected
