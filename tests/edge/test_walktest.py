from typing import Any

import anyio
import msgspec
import pytest

from contract.alarms import AlarmEvent, Mode, Severity, Transition
from edge.control import ControlError
from edge.errors import EdgeError
from edge.walktest import LEASE_S, RENEW_AFTER_S, Button, Progress, WalkTest, WalkTests
from tests.edge.status_rig import School


def event(
    source: str, transition: Transition = Transition.RAISED, mode: Mode = Mode.TEST, at_us: int = 5
) -> AlarmEvent:
    gateway, device, point, rule = source.split("/")
    return AlarmEvent(gateway, device, point, rule, transition, 5, at_us, "panic", Severity.CRITICAL, mode=mode)


A, B = "g/d/a/panic", "g/d/b/panic"
Step = tuple[str, AlarmEvent]

CASES: dict[str, tuple[list[Step], tuple[Progress, Progress]]] = {
    "nothing yet": ([], (Progress.WAITING, Progress.WAITING)),
    "pressed": ([("pressed", event(A))], (Progress.PRESSED, Progress.WAITING)),
    "sent": ([("pressed", event(A)), ("sent", event(A))], (Progress.SENT, Progress.WAITING)),
    "stored": ([("pressed", event(A)), ("sent", event(A)), ("stored", event(A))], (Progress.STORED, Progress.WAITING)),
    "the receipt overtakes the word that it was sent": (
        [("pressed", event(B)), ("stored", event(B)), ("sent", event(B))], (Progress.WAITING, Progress.STORED),
    ),
    "stored without a press in this test": ([("stored", event(A))], (Progress.WAITING, Progress.WAITING)),
    "a second press while it stands": (
        [("pressed", event(A, Transition.RETRIGGERED, at_us=7)), ("stored", event(A, Transition.RETRIGGERED, at_us=7))],
        (Progress.STORED, Progress.WAITING),
    ),
    "a release is no press": ([("pressed", event(A, Transition.CLEARED))], (Progress.WAITING, Progress.WAITING)),
    "the receipt of a release is none of a press": (
        [("pressed", event(A)), ("stored", event(A, Transition.CLEARED))], (Progress.PRESSED, Progress.WAITING),
    ),
    "the receipt of a real alarm from before": (
        [("pressed", event(A)), ("stored", event(A, mode=Mode.LIVE))], (Progress.PRESSED, Progress.WAITING),
    ),
    "another rule": ([("pressed", event("g/d/a/tamper"))], (Progress.WAITING, Progress.WAITING)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_progress(name: str) -> None:
    steps, wanted = CASES[name]
    test = WalkTest([Button(A, "d", "a", "gate"), Button(B, "d", "b", "office")], is_live=False)
    for second, (what, one) in enumerate(steps):
        if what == "pressed":
            test.pressed(one, float(second), 10**15)
        else:
            getattr(test, what)(one, float(second))
    assert tuple(state.progress for state in test.states()) == wanted
    assert not test.is_done()


def test_the_times_count_from_the_first_press() -> None:
    test = WalkTest([Button(A, "d", "a", "gate")], is_live=True)
    live = event(A, mode=Mode.LIVE)
    test.pressed(live, 100.0, 10**15)
    test.sent(live, 100.02)
    test.pressed(event(A, Transition.RETRIGGERED, Mode.LIVE), 100.03, 10**15 + 30_000)
    test.stored(live, 100.066)
    (state,) = test.states()
    assert (state.pressed_at_us, state.sent_ms, state.stored_ms, state.presses) == (10**15, 20.0, 66.0, 2)
    assert test.is_done()
    assert test.is_over(), "a real press is none of the test's business"


def test_a_test_is_not_over_while_a_button_is_held_as_that_would_be_a_real_alarm() -> None:
    test = WalkTest([Button(A, "d", "a", "gate")], is_live=False)
    test.pressed(event(A), 1.0, 10**15)
    test.stored(event(A), 1.1)
    assert (test.is_done(), test.is_over()) == (True, False)
    test.pressed(event(A, Transition.CLEARED), 2.0, 10**15)
    assert (test.is_done(), test.is_over()) == (True, True)
    test.pressed(event(A, Transition.RETRIGGERED), 3.0, 10**15)
    assert not test.is_over()
    assert test.states()[0].presses == 2


class Desk:
    """The school's walk tests, on a virtual clock."""

    def __init__(self) -> None:
        self.now = 50.0
        self.modes: list[tuple[str, tuple[str, ...], float]] = []
        school = School()
        self.tests = WalkTests(
            "school-17",
            [placed for devices in school.site.devices.values() for placed in devices],
            set_mode=lambda mode, devices, for_s: self.modes.append((mode.value, tuple(devices), for_s)),
            monotonic=lambda: self.now,
            wall_us=lambda: 10**15,
        )

    def ask(self, action: object, **more: object) -> dict[str, Any]:
        async def main() -> dict[str, Any]:
            return await self.tests.handle({"do": "walktest", "action": action, **more})

        return anyio.run(main)


BOTH = ("gate-buttons", "dorm-buttons")
SOURCE = "school-17/dorm-buttons/button_1/panic"


def test_from_the_start_to_the_stop() -> None:
    desk = Desk()
    started = desk.ask("start", by="王")
    assert [state["button"]["place"] for state in started["buttons"]] == [
        "校门 gate house", "传达室 reception", "值班室 duty room", "一号楼 house 1", "二号楼 house 2",
    ]  # fmt: skip
    assert (started["by"], started["is_live"], started["began_at_us"]) == ("王", False, 10**15)
    assert desk.modes == [("test", BOTH, LEASE_S)]
    desk.tests.pressed(event(SOURCE))
    desk.now += 0.05
    desk.tests.sent(event(SOURCE))
    desk.tests.stored(event(SOURCE))
    state = desk.ask("state")["buttons"][3]
    assert (state["progress"], state["stored_ms"]) == ("stored", 50.0)
    assert desk.ask("stop")["is_done"] is False
    assert desk.modes == [("test", BOTH, LEASE_S), ("live", BOTH, 0.0)]
    assert not desk.tests.is_running
    desk.tests.pressed(event(SOURCE))
    with pytest.raises(ControlError, match="no walk test runs"):
        desk.ask("state")


def test_some_devices_only_and_live() -> None:
    desk = Desk()
    started = desk.ask("start", devices=["dorm-buttons"], live=True)
    assert {state["button"]["device"] for state in started["buttons"]} == {"dorm-buttons"}
    for number in (1, 2):
        press = event(f"school-17/dorm-buttons/button_{number}/panic", mode=Mode.LIVE)
        desk.tests.pressed(press)
        desk.tests.stored(press)
    assert desk.ask("stop")["is_done"] is True
    assert desk.modes == []


def test_the_lease_is_renewed_while_somebody_asks_and_seldom() -> None:
    desk = Desk()
    desk.ask("start")
    for _ in range(int(RENEW_AFTER_S) + 1):
        desk.now += 1.0
        desk.ask("state")
    assert desk.modes == [("test", BOTH, LEASE_S)] * 2


def test_a_test_whose_command_died_stands_in_nobodys_way() -> None:
    desk = Desk()
    desk.ask("start", by="first")
    with pytest.raises(ControlError, match="runs already"):
        desk.ask("start", by="second")
    desk.now += LEASE_S
    assert desk.ask("start", by="second")["by"] == "second"


def test_where_the_mode_is_refused_no_test_begins() -> None:
    desk = Desk()

    def refuse(*_: object) -> None:
        raise EdgeError("no")

    desk.tests._set_mode = refuse
    with pytest.raises(EdgeError, match="no"):
        desk.ask("start")
    with pytest.raises(ControlError, match="no walk test runs"):
        desk.ask("state")


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"action": "dance"}, "no action 'dance'"),
        ({"action": None}, "no action None"),
        ({"action": "stop"}, "no walk test runs"),
        ({"action": "start", "devices": ["weather", "dorm-buttons"]}, "no buttons on weather"),
    ],
)
def test_what_cannot_be_done_is_said(request_: dict[str, object], why: str) -> None:
    desk = Desk()
    with pytest.raises(ControlError, match=why):
        desk.ask(**request_)
    assert desk.modes == []


@pytest.mark.parametrize("more", [{"devices": "all"}, {"devices": ["x y"]}, {"by": 5}, {"by": "x" * 201}, {"live": 1}])
def test_fields_that_are_not_what_they_should_be(more: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        Desk().ask("start", **more)
