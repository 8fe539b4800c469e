"""The walk test: somebody presses every button, and each is ticked off when its press is stored in the cloud.

While it runs the devices are in test mode, on a lease that the asking command renews: when that command dies, presses
are real again within `LEASE_S`, whatever becomes of the terminal.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from contract.alarms import AlarmEvent, Mode, Transition
from contract.ids import Id
from device_profiles.site import PlacedDevice
from edge.control import ControlError

LEASE_S = 120.0
# Renewed once so much of it is used up: each renewal is written to the disk.
RENEW_AFTER_S = 60.0
HOLD_UP = "panic"
MAX_NAME_CHARS = 200

SetMode = Callable[[Mode, Sequence[str], float], None]
"""Called with a mode, devices, and for how many seconds; LIVE with 0 ends a mode."""


class Progress(StrEnum):
    """How far the press of a button came."""

    WAITING = "waiting"
    PRESSED = "pressed"
    SENT = "sent"
    STORED = "stored"


class Button(Struct, frozen=True):
    """One point that a panic rule watches.

    Attributes:
        source: of its alarm.
        place: what people call it: the site's label, or the device's name and the point.
    """

    source: str
    device: str
    point: str
    place: str


class ButtonState(Struct):
    """One button and the first of its presses that is not stored yet, or was stored last.

    Attributes:
        pressed_at_us: wall time when the contact was read; None before.
        sent_ms, stored_ms: from there until it was handed to the broker, and until its receipt came.
        presses: how often it was pressed during the test.
        is_held: its alarm stands; were the test over now, it would be a real one.
    """

    button: Button
    progress: Progress = Progress.WAITING
    pressed_at_us: int | None = None
    sent_ms: float | None = None
    stored_ms: float | None = None
    presses: int = 0
    is_held: bool = False


class WalkTest:
    """Which buttons of one test are done. Pure; `now` is monotonic seconds."""

    def __init__(self, buttons: Iterable[Button], *, is_live: bool) -> None:
        """Begin with no button pressed; `is_live`: presses are real alarms, not marked as a test."""
        self._mode = Mode.LIVE if is_live else Mode.TEST
        self._states = {button.source: ButtonState(button) for button in buttons}
        self._pressed_at: dict[str, float] = {}

    def pressed(self, event: AlarmEvent, now: float, wall_us: int) -> None:
        """Take an event of the rules; only presses and releases of this test's buttons in its mode count."""
        state = self._state_of(event)
        if state is None:
            return
        state.is_held = event.transition is not Transition.CLEARED
        if not state.is_held:
            return
        state.presses += 1
        if state.progress is Progress.WAITING:
            state.progress, state.pressed_at_us = Progress.PRESSED, wall_us
            self._pressed_at[event.source] = now

    def sent(self, event: AlarmEvent, now: float) -> None:
        """Note that an event was handed to the broker."""
        state = self._press_of(event)
        if state is not None and state.progress is Progress.PRESSED:
            state.progress, state.sent_ms = Progress.SENT, self._ms(event, now)

    def stored(self, event: AlarmEvent, now: float) -> None:
        """Note that the cloud has stored an event."""
        state = self._press_of(event)
        if state is not None and state.progress in (Progress.PRESSED, Progress.SENT):
            state.progress, state.stored_ms = Progress.STORED, self._ms(event, now)

    def states(self) -> list[ButtonState]:
        """All buttons, in the site's order."""
        return list(self._states.values())

    def is_done(self) -> bool:
        """Tell whether every press is stored."""
        return all(state.progress is Progress.STORED for state in self._states.values())

    def is_over(self) -> bool:
        """Tell whether the test may end: all is stored, and no button would raise a real alarm then."""
        is_any_held = self._mode is Mode.TEST and any(state.is_held for state in self._states.values())
        return self.is_done() and not is_any_held

    def _press_of(self, event: AlarmEvent) -> ButtonState | None:
        return None if event.transition is Transition.CLEARED else self._state_of(event)

    def _state_of(self, event: AlarmEvent) -> ButtonState | None:
        """Find the button of an event; an alarm of the other mode is another one, from before the test."""
        return self._states.get(event.source) if event.mode is self._mode else None

    def _ms(self, event: AlarmEvent, now: float) -> float:
        return round((now - self._pressed_at[event.source]) * 1000, 1)


class _Start(Struct, frozen=True):
    """`{"do": "walktest", "action": "start"}`; no devices: all with buttons."""

    devices: Annotated[tuple[Id, ...], Meta(max_length=2000)] = ()
    live: bool = False
    by: Annotated[str, Meta(max_length=MAX_NAME_CHARS)] = ""


class WalkTestState(Struct, frozen=True):
    """What each request is answered with.

    Attributes:
        began_at_us: wall time.
        is_done: every button is stored.
        is_over: and no button is held that would raise a real alarm once the test has ended.
    """

    gateway: str
    by: str
    is_live: bool
    began_at_us: int
    is_done: bool
    is_over: bool
    buttons: list[ButtonState]


class WalkTests:
    """The walk test of a gateway, at most one at a time; `handle` is for the control socket.

    Tell it of events by `pressed`, `sent` and `stored`: they cost nothing while no test runs.
    """

    def __init__(
        self,
        gateway: str,
        devices: Iterable[PlacedDevice],
        *,
        set_mode: SetMode,
        monotonic: Callable[[], float] = time.monotonic,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """Find the buttons; nothing runs yet."""
        self._gateway = gateway
        self._buttons = find_buttons(gateway, devices)
        self._set_mode = set_mode
        self._monotonic = monotonic
        self._wall_us = wall_us
        self._test: WalkTest | None = None
        self._start = _Start()
        self._began_at_us = 0
        self._devices: tuple[str, ...] = ()
        self._leased_at = self._asked_at = 0.0

    @property
    def is_running(self) -> bool:
        """Tell whether events are worth decoding for `sent` and `stored`.

        A test whose command has died runs no more: it must not stand in the way of the next.
        """
        return self._test is not None and self._monotonic() - self._asked_at < LEASE_S

    def pressed(self, event: AlarmEvent) -> None:
        """Take every event of the rules."""
        if self._test is not None:
            self._test.pressed(event, self._monotonic(), self._wall_us())

    def sent(self, event: AlarmEvent) -> None:
        """Take every alarm event that was handed to the broker."""
        if self._test is not None:
            self._test.sent(event, self._monotonic())

    def stored(self, event: AlarmEvent) -> None:
        """Take every alarm event whose receipt says stored."""
        if self._test is not None:
            self._test.stored(event, self._monotonic())

    async def handle(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer `start`, `state` or `stop`.

        Raises:
            ControlError: a test runs already, none runs, no such device, no buttons, or another action.
        EdgeError: what `set_mode` raises; no test begins then.
            msgspec.ValidationError: a field is not what it should be.
        """
        action = request.get("action")
        if action == "start":
            self._begin(msgspec.convert(request, _Start))
        elif action not in ("state", "stop"):
            raise ControlError(f"walktest: no action {action!r}; known: start, state, stop")
        if self._test is None:
            raise ControlError("no walk test runs", hint="langyan edge walktest begins one.")
        state = self._state(self._test)
        if action == "stop":
            self._end()
        else:
            self._renew()
        built: dict[str, Any] = msgspec.to_builtins(state)
        return built

    def _begin(self, start: _Start) -> None:
        if self.is_running:
            raise ControlError("a walk test runs already", hint="End it (Ctrl-C) where it was begun.")
        buttons = [button for button in self._buttons if not start.devices or button.device in start.devices]
        missing = set(start.devices) - {button.device for button in buttons}
        if missing:
            why = f"no buttons on {', '.join(sorted(missing))}"
            raise ControlError(why, hint=f"Devices with buttons: {self._devices_with_buttons()}.")
        if not buttons:
            raise ControlError("this site has no buttons", hint="A button is a point that a rule for panic watches.")
        self._start, self._began_at_us = start, self._wall_us()
        self._devices = tuple(dict.fromkeys(button.device for button in buttons))
        self._lease()
        self._test = WalkTest(buttons, is_live=start.live)

    def _renew(self) -> None:
        self._asked_at = self._monotonic()
        if self._asked_at - self._leased_at >= RENEW_AFTER_S:
            self._lease()

    def _lease(self) -> None:
        self._leased_at = self._monotonic()
        if not self._start.live:
            self._set_mode(Mode.TEST, self._devices, LEASE_S)

    def _end(self) -> None:
        self._test = None
        if not self._start.live:
            self._set_mode(Mode.LIVE, self._devices, 0.0)

    def _state(self, test: WalkTest) -> WalkTestState:
        return WalkTestState(
            gateway=self._gateway,
            by=self._start.by,
            is_live=self._start.live,
            began_at_us=self._began_at_us,
            is_done=test.is_done(),
            is_over=test.is_over(),
            buttons=test.states(),
        )

    def _devices_with_buttons(self) -> str:
        return ", ".join(dict.fromkeys(button.device for button in self._buttons)) or "none"


def find_buttons(gateway: str, devices: Iterable[PlacedDevice]) -> list[Button]:
    """List every point that a panic rule watches, in the site's order."""
    return [
        Button(
            source=f"{gateway}/{placed.device.id}/{point}/{rule.key}",
            device=placed.device.id,
            point=point,
            place=placed.device.labels.get(point) or f"{placed.device.name or placed.device.id} {point}",
        )
        for placed in devices
        for rule in placed.profile.rule
        if rule.alarm == HOLD_UP
        for point in rule.points
    ]
