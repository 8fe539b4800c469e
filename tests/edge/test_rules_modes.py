"""Tests and drills: what is raised in them is marked, they end by themselves, and no real press is lost with them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.alarms import Mode, Severity, Transition
from device_profiles.model import CombinationRule, ContactRule, LocalAction, ThresholdRule
from device_profiles.site import Drill
from edge.rules import DeviceMode, ModeRefusedError, ModeState, read_modes
from edge.rules.modes import MAX_MODE_S
from tests.edge.rules_rig import TEXT, Rig, at_us

PANIC = ContactRule("panic", ("b",), "panic", Severity.CRITICAL, TEXT)
LATCHED = ContactRule("panic", ("b",), "panic", Severity.CRITICAL, TEXT, latching=True)
LOUD = ContactRule(
    "panic", ("b",), "panic", Severity.CRITICAL, TEXT, action=LocalAction("siren", value=True, reset_value=False)
)
SLOW = ThresholdRule("slow", ("t",), "temperature", Severity.HIGH, TEXT, above=60.0, on_delay_s=10.0)

TEN = datetime(2026, 5, 12, 10, tzinfo=UTC)
FROM_TEN_TO_ELEVEN = Drill(TEN, TEN + timedelta(hours=1))


def wall_us(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)


def test_a_press_in_a_test_is_marked_to_its_end() -> None:
    rig = Rig(PANIC)
    rig.set_mode(0, Mode.TEST, 60.0)
    assert rig.hear(1, True) == ["panic raised test"]
    assert rig.hear(2, False) == ["panic cleared test"]
    assert rig.hear(61, True) == ["panic raised"]


def test_a_test_is_of_the_devices_named() -> None:
    rig = Rig(devices={"one": (PANIC,), "two": (PANIC,)})
    rig.set_mode(0, Mode.TEST, 60.0, ["one"])
    assert rig.hear(1, True, device="one") == ["panic raised test"]
    assert rig.hear(1, True, device="two") == ["panic raised"]


def test_a_button_still_pressed_when_the_test_ends_is_raised_live() -> None:
    rig = Rig(PANIC)
    rig.set_mode(0, Mode.TEST, 60.0)
    rig.hear(59, True)
    assert rig.wait(60) == ["panic cleared test", "panic raised"]
    tried, over, live = rig.events
    assert over.alarm_id == tried.alarm_id != live.alarm_id
    assert live.raised_at_us >= at_us(60)
    assert rig.hear(61, False) == ["panic cleared"]


def test_the_same_when_the_test_is_ended_by_hand() -> None:
    rig = Rig(PANIC)
    rig.set_mode(0, Mode.TEST, 60.0)
    rig.hear(5, True)
    assert rig.set_mode(5, Mode.LIVE) == ["panic cleared test", "panic raised"]
    assert len({event.event_id for event in rig.events}) == 3


def test_what_only_latched_in_the_test_ends_with_it() -> None:
    rig = Rig(LATCHED)
    rig.set_mode(0, Mode.TEST, 60.0)
    rig.hear(1, True)
    rig.hear(2, False)
    assert rig.hear(3, True) == ["panic retriggered test"]
    rig.hear(4, False)
    assert rig.wait(60) == ["panic cleared test"]
    assert rig.hear(61, True) == ["panic raised"]


def test_what_was_raised_live_stays_live() -> None:
    rig = Rig(LATCHED)
    rig.hear(0, True)
    rig.hear(1, False)
    assert rig.set_mode(2, Mode.TEST, 60.0) == []
    assert rig.hear(3, True) == ["panic retriggered"]
    rig.hear(4, False)
    assert rig.wait(60) == []
    assert rig.reset(61) == ["panic cleared"]


def test_an_on_delay_that_runs_out_after_the_test_raises_live() -> None:
    rig = Rig(SLOW)
    rig.set_mode(0, Mode.TEST, 15.0)
    rig.hear(10, 70.0, key="t")
    assert rig.wait(20) == ["slow raised"]


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 40))
def test_whatever_is_pressed_after_the_test_is_live(readings: list[bool], end: int) -> None:
    rig = Rig(PANIC)
    rig.set_mode(0, Mode.TEST, end - 0.5)
    for at, value in enumerate(readings):
        rig.hear(at, value)
        live = [event for event in rig.events if event.mode is Mode.LIVE]
        is_raised = bool(live) and live[-1].transition is Transition.RAISED
        assert is_raised is (value and at >= end)


def test_in_a_test_outputs_stay_as_they_are_and_in_a_drill_they_are_switched() -> None:
    rig = Rig(LOUD)
    rig.set_mode(0, Mode.TEST, 60.0)
    rig.hear(1, True)
    rig.hear(2, False)
    assert rig.outputs() == []
    rig.set_mode(3, Mode.DRILL, 60.0)
    assert rig.hear(4, True) == ["panic raised drill"]
    assert rig.outputs() == [("d/siren", True)]
    assert rig.set_mode(5, Mode.LIVE) == ["panic cleared drill", "panic raised"]
    assert rig.outputs() == [("d/siren", False), ("d/siren", True)]


def test_a_combination_is_a_test_when_one_of_its_members_is() -> None:
    both = CombinationRule("both", "fire", Severity.CRITICAL, TEXT, all_of=("one/panic", "two/panic"))
    rig = Rig(devices={"one": (PANIC,), "two": (PANIC,)}, site=(both,))
    rig.set_mode(0, Mode.TEST, 60.0, ["one"])
    rig.hear(1, True, device="one")
    assert rig.hear(2, True, device="two") == ["panic raised", "both raised test"]
    assert set(rig.wait(60)) == {"panic cleared test", "panic raised", "both cleared test", "both raised"}


def test_a_test_survives_a_restart_and_still_ends() -> None:
    before = Rig(PANIC)
    before.set_mode(0, Mode.TEST, 60.0)
    before.hear(1, True)
    kept = read_modes(before.judge.modes(10.0, at_us(10)).encode())
    # The monotonic clock of the new process may be any other.
    after = Rig(PANIC, kept=before.kept, modes=kept, at_s=20.0)
    assert after.hear(30, False) == ["panic cleared test"]
    assert after.hear(31, True) == ["panic raised test"]
    assert after.wait(60) == ["panic cleared test", "panic raised"]


def test_a_test_that_ended_while_the_gateway_was_down_leaves_nothing_behind() -> None:
    before = Rig(PANIC)
    before.set_mode(0, Mode.TEST, 60.0)
    before.hear(1, True)
    kept = before.judge.modes(1.0, at_us(1))
    released = Rig(PANIC, kept=before.kept, modes=kept, at_s=100.0)
    assert released.wait(100) == ["panic cleared test"]
    assert released.hear(101, False) == []
    pressed = Rig(PANIC, kept=before.kept, modes=kept, at_s=100.0)
    assert pressed.hear(101, True) == ["panic cleared test", "panic raised"]


@pytest.mark.parametrize("stored", [None, b"", b"rubbish", b'{"devices":3}'])
def test_modes_that_cannot_be_read_are_live(stored: bytes | None) -> None:
    assert read_modes(stored) == ModeState()


def test_a_reboot_ends_a_test() -> None:
    rig = Rig(PANIC)
    rig.set_mode(0, Mode.TEST, 60.0)
    state = rig.judge.modes(1.0, at_us(1))
    assert read_modes(state.encode(boot="one"), boot="one").devices == state.devices
    assert read_modes(state.encode(boot="one"), boot="two").devices == ()


def test_restored_modes_are_bounded_and_of_devices_there_are() -> None:
    far = ModeState((DeviceMode("d", Mode.TEST, at_us(10**6)), DeviceMode("gone", Mode.TEST, at_us(50))))
    rig = Rig(PANIC, modes=far)
    (one,) = rig.judge.modes(0.0, at_us(0)).devices
    assert (one.device, one.until_us) == ("d", at_us(MAX_MODE_S))


def test_a_mode_is_refused_whole() -> None:
    rig = Rig(devices={"one": (PANIC,), "two": (PANIC,)})
    with pytest.raises(ModeRefusedError, match="no device three; devices: gateway, one, two"):
        rig.set_mode(0, Mode.TEST, 60.0, ["one", "three"])
    with pytest.raises(ModeRefusedError, match="at most 28800"):
        rig.set_mode(0, Mode.TEST, MAX_MODE_S + 1)
    assert rig.hear(1, True, device="one") == ["panic raised"]


def test_a_drill_window_follows_the_wall_clock_once_it_is_known() -> None:
    rig = Rig(PANIC, drills=(FROM_TEN_TO_ELEVEN,))
    assert rig.hear(0, True) == ["panic raised"], "nobody knows the time yet"
    assert rig.hear(1, False) == ["panic cleared"]
    # Ten seconds before the window.
    rig.take(rig.judge.tick(2.0, at_us(2), wall_us=wall_us(TEN) - 10_000_000))
    assert rig.hear(11, True) == ["panic raised"]
    assert rig.hear(11.5, False) == ["panic cleared"]
    assert rig.hear(12, True) == ["panic raised drill"]
    assert rig.hear(13, False) == ["panic cleared drill"]
    rig.hear(3611, True)
    assert rig.wait(3612) == ["panic cleared drill", "panic raised"]


def test_a_clock_that_is_set_moves_the_window() -> None:
    rig = Rig(PANIC, drills=(FROM_TEN_TO_ELEVEN,))
    rig.take(rig.judge.tick(0.0, at_us(0), wall_us=wall_us(TEN)))
    assert rig.hear(1, True) == ["panic raised drill"]
    said = rig.take(rig.judge.tick(2.0, at_us(2), wall_us=wall_us(TEN + timedelta(hours=2))))
    assert said == ["panic cleared drill", "panic raised"]


def test_drills_ask_to_be_told_the_time() -> None:
    rig = Rig(PANIC, drills=(FROM_TEN_TO_ELEVEN,))
    rig.wait(0)
    due = rig.judge.next_at()
    assert due is not None
    assert due <= 60.0


def test_a_drill_is_of_the_devices_named_and_a_test_goes_before_it() -> None:
    drill = Drill(TEN, TEN + timedelta(hours=1), devices=("one",))
    rig = Rig(devices={"one": (PANIC,), "two": (PANIC,)}, drills=(drill,))
    rig.take(rig.judge.tick(0.0, at_us(0), wall_us=wall_us(TEN)))
    assert rig.hear(1, True, device="two") == ["panic raised"]
    rig.set_mode(2, Mode.TEST, 60.0, ["one"])
    assert rig.hear(3, True, device="one") == ["panic raised test"]
    assert rig.wait(60) == ["panic cleared test", "panic raised drill"]
