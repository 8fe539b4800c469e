import pytest

from contract.alarms import AlarmEvent, Severity, Transition
from contract.telemetry import Point, Sample, Value
from device_profiles.model import (
    ContactRule,
    Link,
    PointDef,
    PointType,
    Profile,
    Rule,
    Table,
    ThresholdRule,
    Transport,
)
from device_profiles.site import Device, PlacedDevice
from edge.rules import Judge, Standing

TEXT = {"en": "alarm at {label}", "zh": "{label}报警"}
HIGH = ThresholdRule("hot", ("t",), "temperature", Severity.HIGH, TEXT, above=60.0, deadband=5.0)
LOW = ThresholdRule("cold", ("t",), "temperature", Severity.LOW, TEXT, below=-10.0, deadband=2.0)
SLOW = ThresholdRule("slow", ("t",), "temperature", Severity.HIGH, TEXT, above=60.0, on_delay_s=10.0, off_delay_s=5.0)
PANIC = ContactRule("panic", ("b",), "panic", Severity.CRITICAL, TEXT)
CLOSED = ContactRule("open", ("b",), "tamper", Severity.HIGH, TEXT, alarm_when=False)


def judge(rule: Rule, *, active: dict[str, Standing] | None = None, labels: dict[str, str] | None = None) -> Judge:
    points = tuple(
        PointDef(key=key, name=TEXT, table=Table.INPUT, address=at, type=PointType.U16, source="test", unit=None)
        for at, key in enumerate(("t", "b"))
    )
    profile = Profile(
        profile="test/test", version="1", maker="t", model="t", title=TEXT, kind="test", sources=("test",),
        link=Link((Transport.RTU,)), point=points, rule=(rule,),
    )  # fmt: skip
    device = Device("d", "bus", "test/test", labels=labels or {}, name="门卫室")
    return Judge("g", [PlacedDevice(device, profile, 1)], active=active or {})


def feed(judge: Judge, key: str, story: list[tuple[float, Value]]) -> list[tuple[float, str]]:
    """Feed (second, value) pairs; return (second, transition) pairs."""
    said = []
    for at_s, value in story:
        sample = Sample("d", round(at_s * 1e6) + 10**15, (Point(key, value),))
        said += [(at_s, event.transition.value) for event in judge.feed(sample, at_s).events]
    return said


CASES: dict[str, tuple[Rule, str, list[tuple[float, Value]], list[tuple[float, str]]]] = {
    "a press raises at once, once": (PANIC, "b", [(0, False), (1, True), (2, True)], [(1, "raised")]),
    "pressed at the very first reading": (PANIC, "b", [(0, True)], [(0, "raised")]),
    "a release clears": (PANIC, "b", [(0, True), (1, False)], [(0, "raised"), (1, "cleared")]),
    "a second press raises again": (
        PANIC, "b", [(0, True), (1, False), (2, True)], [(0, "raised"), (1, "cleared"), (2, "raised")],
    ),
    "normally closed, alarm when false": (CLOSED, "b", [(0, True), (1, False)], [(1, "raised")]),
    "a number is no contact": (PANIC, "b", [(0, 1.0)], []),
    "the limit itself is normal": (HIGH, "t", [(0, 60.0)], []),
    "above the limit": (HIGH, "t", [(0, 60.1)], [(0, "raised")]),
    "inside the deadband it stands": (HIGH, "t", [(0, 61.0), (1, 55.1)], [(0, "raised")]),
    "past the deadband it clears": (HIGH, "t", [(0, 61.0), (1, 55.0)], [(0, "raised"), (1, "cleared")]),
    "inside the deadband it does not raise": (HIGH, "t", [(0, 58.0)], []),
    "below": (LOW, "t", [(0, -10.0), (1, -10.1), (2, -8.1), (3, -8.0)], [(1, "raised"), (3, "cleared")]),
    "a word is no number": (HIGH, "t", [(0, "hot")], []),
    "not before the on-delay": (SLOW, "t", [(0, 70.0), (9.9, 70.0)], []),
    "after the on-delay": (SLOW, "t", [(0, 70.0), (10.0, 70.0)], [(10.0, "raised")]),
    "a dip starts the on-delay anew": (
        SLOW, "t", [(0, 70.0), (5, 50.0), (6, 70.0), (15.9, 70.0), (16, 70.0)], [(16, "raised")],
    ),
    "off-delay": (
        SLOW, "t", [(0, 70.0), (10, 70.0), (11, 50.0), (15, 50.0), (16, 50.0)], [(10, "raised"), (16, "cleared")],
    ),
    "a spike within the off-delay starts it anew": (
        SLOW, "t", [(0, 70.0), (10, 70.0), (11, 50.0), (14, 70.0), (15, 50.0), (19, 50.0), (20, 50.0)],
        [(10, "raised"), (20, "cleared")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    rule, key, story, expected = CASES[name]
    assert feed(judge(rule), key, story) == expected


def test_an_event_says_everything_a_duty_officer_needs() -> None:
    (event,) = judge(PANIC, labels={"b": "东门"}).feed(Sample("d", 10**15, (Point("b", True),)), 0.0).events
    assert event == AlarmEvent(
        gateway="g", device="d", point="b", rule="panic", transition=Transition.RAISED, raised_at_us=10**15,
        at_us=10**15, kind="panic", severity=Severity.CRITICAL,
        text={"en": "alarm at 东门", "zh": "东门报警"}, value=True,
    )  # fmt: skip


def test_without_a_label_the_device_and_point_are_named() -> None:
    (event,) = judge(PANIC).feed(Sample("d", 10**15, (Point("b", True),)), 0.0).events
    assert event.text["en"] == "alarm at 门卫室 b"


def test_an_alarm_that_stood_before_a_restart_is_not_raised_again_but_is_cleared() -> None:
    active = {"g/d/b/panic": Standing(10**15 - 5)}
    assert feed(judge(PANIC, active=active), "b", [(0, True)]) == []
    (event,) = judge(PANIC, active=active).feed(Sample("d", 10**15, (Point("b", False),)), 0.0).events
    assert (event.transition, event.raised_at_us) == (Transition.CLEARED, 10**15 - 5)


def test_a_clock_set_back_does_not_end_an_alarm_before_it_began() -> None:
    one = judge(PANIC)
    one.feed(Sample("d", 10**15, (Point("b", True),)), 0.0)
    (event,) = one.feed(Sample("d", 10**15 - 3_600_000_000, (Point("b", False),)), 1.0).events
    assert event.at_us == event.raised_at_us == 10**15


def test_points_without_rules_say_nothing() -> None:
    assert feed(judge(PANIC), "t", [(0, 100.0)]) == []
