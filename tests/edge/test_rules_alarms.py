"""What becomes of an alarm: second presses, latching, verified hold-up, outputs, and restarts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.alarms import Mode, Severity, Transition
from contract.limits import MIN_TIME_US
from contract.telemetry import Point, Sample
from device_profiles.model import ContactRule, LocalAction, ThresholdRule
from edge.rules import Standing, UnknownSourceError, read_standings
from edge.rules.hold_up import APART_S, WINDOW_S, HoldUps
from edge.rules.timers import Timers
from tests.edge.rules_rig import TEXT, Rig, at_us

PANIC = ContactRule("panic", ("b",), "panic", Severity.CRITICAL, TEXT)
HELD = ContactRule("panic", ("b",), "panic", Severity.CRITICAL, TEXT, off_delay_s=10.0)
LATCHED = ContactRule("panic", ("b",), "panic", Severity.CRITICAL, TEXT, latching=True)
DOOR = ContactRule("door", ("b",), "door", Severity.LOW, TEXT, off_delay_s=10.0)
FUME = ThresholdRule("fume", ("t",), "smoke", Severity.HIGH, TEXT, above=5.0, on_delay_s=3.0, latching=True)
TAMPER = ContactRule("tamper", ("c",), "tamper", Severity.HIGH, TEXT)


def test_a_second_press_of_a_latched_button_triggers_it_again() -> None:
    rig = Rig(LATCHED)
    assert rig.hear(0, True) == ["panic raised"]
    assert rig.hear(1, False) == []
    assert rig.hear(2, True) == ["panic retriggered"]
    assert rig.hear(3, False) == []
    assert rig.hear(4, True) == ["panic retriggered"]
    raised, second, third = rig.events
    assert raised.alarm_id == second.alarm_id == third.alarm_id
    assert len({event.event_id for event in rig.events}) == 3
    assert (second.at_us, third.at_us) == (at_us(2), at_us(4))
    assert second.raised_at_us == at_us(0)


def test_a_second_press_inside_the_off_delay_triggers_again_and_the_delay_begins_anew() -> None:
    rig = Rig(HELD)
    rig.hear(0, True)
    rig.hear(1, False)
    assert rig.hear(5, True) == ["panic retriggered"]
    assert rig.hear(6, True) == []
    rig.hear(7, False)
    assert rig.hear(15, False) == []
    assert rig.wait(17) == ["panic cleared"]
    assert rig.hear(18, True) == ["panic raised"]


def test_what_an_off_delay_is_to_calm_does_not_trigger_again() -> None:
    rig = Rig(DOOR)
    assert [rig.hear(at, at % 2 == 0) for at in range(6)] == [["door raised"], [], [], [], [], []]


def test_a_clock_set_back_swallows_no_press() -> None:
    rig = Rig(LATCHED)
    for at, us in enumerate((at_us(10), at_us(1), at_us(2), at_us(2))):
        rig.take(rig.judge.feed(Sample("d", us, (Point("b", True),)), at))
        rig.take(rig.judge.feed(Sample("d", us, (Point("b", False),)), at + 0.5))
    assert [event.transition for event in rig.events] == [Transition.RAISED] + 3 * [Transition.RETRIGGERED]
    assert len({event.event_id for event in rig.events}) == 4
    assert all(event.at_us >= event.raised_at_us for event in rig.events)


@given(st.lists(st.booleans(), max_size=40), st.sampled_from([PANIC, HELD, LATCHED]))
def test_every_press_that_is_seen_is_said(readings: list[bool], rule: ContactRule) -> None:
    rig = Rig(rule)
    presses = 0
    for at, value in enumerate(readings):
        presses += value and (at == 0 or not readings[at - 1])
        rig.hear(at, value)
    triggers = [event for event in rig.events if event.transition is not Transition.CLEARED]
    assert len(triggers) == presses == len({event.event_id for event in triggers})


def test_a_latched_alarm_stands_until_it_is_reset() -> None:
    rig = Rig(LATCHED)
    rig.hear(0, True)
    assert rig.reset(1) == [], "it is still pressed"
    rig.hear(2, False)
    assert rig.wait(86_400) == []
    assert rig.reset(86_401) == ["panic cleared"]
    assert rig.reset(86_402) == []
    assert rig.hear(86_403, True) == ["panic raised"]


def test_what_is_latched_and_comes_back_has_its_on_delay_again() -> None:
    rig = Rig(FUME)
    rig.hear(0, 9.0, key="t")
    assert rig.wait(3) == ["fume raised"]
    rig.hear(4, 1.0, key="t")
    assert rig.hear(5, 9.0, key="t") == []
    assert rig.hear(6, 1.0, key="t") == []
    rig.hear(7, 9.0, key="t")
    assert rig.wait(10) == ["fume retriggered"]


def test_no_other_source_can_be_reset() -> None:
    with pytest.raises(UnknownSourceError, match="g/d/b/other"):
        Rig(LATCHED).reset(0, "g/d/b/other")


def test_a_restart_knows_whether_the_button_was_released() -> None:
    pressed = Rig(LATCHED)
    pressed.hear(0, True)
    assert Rig(LATCHED, kept=pressed.kept, at_s=5.0).hear(6, True) == []
    pressed.hear(1, False)
    assert pressed.standing()["g/d/b/panic"].is_latched
    after = Rig(LATCHED, kept=pressed.kept, at_s=5.0)
    assert after.hear(6, True) == ["panic retriggered"]
    assert after.events[0].raised_at_us == at_us(0)


def test_after_a_reboot_what_stood_has_wall_time_and_ends_in_ours() -> None:
    wall = MIN_TIME_US + 10**15
    rig = Rig(PANIC, kept={"g/d/b/panic": Standing(wall).encode()})
    assert rig.hear(3, False) == ["panic cleared"]
    assert (rig.events[0].raised_at_us, rig.events[0].at_us) == (wall, at_us(3))


def test_standings_of_others_and_rubbish_are_left_alone() -> None:
    kept = {"g/d/supervision/supervision": Standing(5).encode(), "g/d/b/panic": b"\xff{"}
    assert list(read_standings(kept)) == ["g/d/supervision/supervision"]
    rig = Rig(PANIC, kept=kept)
    assert rig.wait(10) == []
    assert rig.judge.standing() == {}


@given(st.builds(Standing, st.integers(0, 2**53), st.integers(0, 2**53), st.sampled_from(Mode), st.booleans()))
def test_a_standing_is_small_and_comes_back(standing: Standing) -> None:
    assert len(standing.encode()) <= 200
    assert read_standings({"s": standing.encode()}) == {"s": standing}


# (second, "press" or "tamper") and whether that bears out a hold-up.
HOLD_UPS: dict[str, list[tuple[float, str, bool]]] = {
    "one press": [(0, "press", False)],
    "a second one too soon": [(0, "press", False), (APART_S, "press", False)],
    "a second one": [(0, "press", False), (APART_S + 1, "press", True)],
    "a second one too late": [(0, "press", False), (WINDOW_S + 1, "press", False)],
    "just in time": [(0, "press", False), (WINDOW_S, "press", True)],
    "two at once and one later": [(0, "press", False), (1, "press", False), (121, "press", True)],
    "a late one counts with the next": [(0, "press", False), (1300, "press", False), (1430, "press", True)],
    "every further one": [(0, "press", False), (200, "press", True), (300, "press", True)],
    "a press and a tamper": [(0, "press", False), (APART_S, "tamper", True)],
    "a press and a tamper too late": [(0, "press", False), (APART_S + 1, "tamper", False)],
    "a tamper and a press": [(0, "tamper", False), (APART_S, "press", True)],
    "a tamper and a press too late": [(0, "tamper", False), (APART_S + 1, "press", False)],
    "tampers alone": [(0, "tamper", False), (60, "tamper", False), (200, "tamper", False)],
    "a drummed button": [(at / 10, "press", False) for at in range(1200)] + [(121, "press", True)],
}


@pytest.mark.parametrize("name", HOLD_UPS)
def test_hold_up(name: str) -> None:
    signals = HoldUps()
    for at_s, kind, expected in HOLD_UPS[name]:
        note = signals.press if kind == "press" else signals.tamper
        assert note(at_s) is expected, at_s


def test_a_verified_hold_up_is_an_alarm_of_the_gateway_and_ends_with_the_presses() -> None:
    rig = Rig(devices={"one": (PANIC,), "two": (LATCHED,)})
    rig.hear(0, True, device="one")
    rig.hear(1, False, device="one")
    assert rig.hear(180, True, device="two") == ["panic raised", "verified raised"]
    assert rig.hear(200, True, device="one") == ["panic raised", "verified retriggered"]
    event = rig.events[-1]
    assert event.source == "g/gateway/hold-up/verified"
    assert (event.kind, event.severity, event.text["en"]) == (
        "hold-up-verified",
        Severity.CRITICAL,
        "Hold-up verified: g",
    )
    rig.hear(201, False, device="two")
    assert rig.hear(202, False, device="one") == ["panic cleared"]
    assert rig.reset(203, "g/two/b/panic") == ["panic cleared", "verified cleared"]


def test_a_press_and_a_tamper_verify() -> None:
    rig = Rig(PANIC, TAMPER)
    rig.hear(0, True)
    rig.hear(1, False)
    assert rig.hear(60, True, key="c") == ["tamper raised", "verified raised"]
    assert rig.hear(61, False, key="c") == ["tamper cleared", "verified cleared"]


def test_tests_verify_nothing() -> None:
    rig = Rig(PANIC)
    rig.set_mode(0, Mode.TEST, 100.0)
    rig.hear(1, True)
    rig.hear(2, False)
    assert rig.hear(150, True) == ["panic raised"]


def loud(rule: ContactRule, **wishes: object) -> ContactRule:
    return ContactRule(
        rule.key, rule.points, rule.alarm, rule.severity, TEXT, latching=rule.latching,
        action=LocalAction("siren", value=True, **{"reset_value": False, **wishes}),  # type: ignore[arg-type]
    )  # fmt: skip


def test_an_output_is_switched_with_the_alarm() -> None:
    rig = Rig(loud(PANIC))
    rig.hear(0, True)
    assert rig.outputs() == [("d/siren", True)]
    assert rig.actions == []
    rig.hear(1, False)
    assert rig.outputs() == [("d/siren", False)]


def test_an_output_goes_back_after_its_time_and_every_press_gives_it_anew() -> None:
    rig = Rig(loud(LATCHED, for_s=60.0))
    rig.hear(0, True)
    rig.hear(1, False)
    rig.hear(30, True)
    assert rig.outputs() == [("d/siren", True), ("d/siren", True)]
    rig.wait(89)
    assert rig.outputs() == []
    rig.wait(90)
    assert rig.outputs() == [("d/siren", False)]
    rig.hear(100, False)
    rig.reset(101)
    assert rig.outputs() == [], "it is off already"


def test_without_a_value_to_go_back_to_the_output_stays() -> None:
    rig = Rig(loud(PANIC, reset_value=None))
    rig.hear(0, True)
    rig.hear(1, False)
    assert rig.outputs() == [("d/siren", True)]


def test_one_siren_for_many_buttons_sounds_until_the_last_is_over() -> None:
    far = loud(PANIC, device="hall")
    rig = Rig(devices={"one": (far,), "two": (far,), "hall": ()})
    rig.hear(0, True, device="one")
    rig.hear(1, True, device="two")
    assert rig.outputs() == [("hall/siren", True), ("hall/siren", True)]
    rig.hear(2, False, device="one")
    assert rig.outputs() == []
    rig.hear(3, False, device="two")
    assert rig.outputs() == [("hall/siren", False)]


def test_a_lamp_shows_the_latest_of_what_stands() -> None:
    red = ContactRule(
        "red", ("b",), "x", Severity.HIGH, TEXT, action=LocalAction("siren", value="red", reset_value="off")
    )
    blue = ContactRule(
        "blue", ("c",), "x", Severity.LOW, TEXT, action=LocalAction("siren", value="blue", reset_value="off")
    )
    rig = Rig(red, blue)
    rig.hear(0, True, key="b")
    rig.hear(1, True, key="c")
    rig.hear(2, False, key="c")
    rig.hear(3, False, key="b")
    assert [value for _, value in rig.outputs()] == ["red", "blue", "red", "off"]


@pytest.mark.parametrize(
    ("restart_s", "wait_s", "written"),
    [(20.0, 59.0, [True]), (20.0, 60.0, [True, False]), (70.0, 70.0, [False]), (-50.0, -1.0, [True])],
)
def test_a_restart_switches_for_what_is_left_of_the_time(restart_s: float, wait_s: float, written: list[bool]) -> None:
    before = Rig(loud(LATCHED, for_s=60.0))
    before.hear(0, True)
    after = Rig(loud(LATCHED, for_s=60.0), kept=before.kept, at_s=restart_s)
    after.wait(wait_s)
    assert [value for _, value in after.outputs()] == written


def test_a_siren_that_outlived_its_alarm_is_silenced_by_a_restart() -> None:
    before = Rig(loud(PANIC))
    before.hear(0, True)
    before.hear(1, False)
    # The alarm is over on the disk; whether the siren was still told so nobody knows.
    after = Rig(loud(PANIC), kept=before.kept, at_s=2.0)
    after.wait(2.0)
    assert after.outputs() == [("d/siren", False)]
    after.hear(3, True)
    assert after.outputs() == [("d/siren", True)]


def test_a_restart_silences_no_siren_that_another_alarm_holds() -> None:
    rules = {"one": (loud(PANIC, device="hall"),), "two": (loud(PANIC, device="hall"),), "hall": ()}
    before = Rig(devices=rules)
    before.hear(0, True, device="one")
    after = Rig(devices=rules, kept=before.kept, at_s=1.0)
    after.wait(1.0)
    assert after.outputs() == [("hall/siren", True)]


def test_after_a_reboot_an_output_has_its_whole_time_again() -> None:
    kept = {"g/d/b/panic": Standing(MIN_TIME_US + 10**15).encode()}
    rig = Rig(loud(LATCHED, for_s=60.0), kept=kept, at_s=0.0)
    rig.wait(59)
    assert rig.outputs() == [("d/siren", True)]
    rig.wait(60)
    assert rig.outputs() == [("d/siren", False)]


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 50)), max_size=200))
def test_timers_keep_one_time_a_key_and_stay_small(puts: list[tuple[int, int | None]]) -> None:
    timers: Timers[int] = Timers()
    wanted: dict[int, int] = {}
    for key, at in puts * 3:
        timers.put(key, at)
        wanted.pop(key, None)
        if at is not None:
            wanted[key] = at
        assert timers.next_at() == min(wanted.values(), default=None)
        assert len(timers._heap) <= 2 * 6 + 64 + 1
    assert sorted(timers.due(25)) == sorted(key for key, at in wanted.items() if at <= 25)
    assert sorted(timers.due(99)) == sorted(key for key, at in wanted.items() if at > 25)
