"""Supervision: which devices answer, which keep silent, and for how long. Pure; the caller reads the clocks.

A device is lost when it was asked and gave no good answer for its profile's `supervision_s`; silence in which nobody
asked (the field waits for the disk) is not held against it. A device that speaks by itself is lost when nothing was
heard of it for so long, though nobody asks; one whose profile gives it no such time (a radio button) is lost only with
its line. When all devices of a line with two or more go, the
line is what went: one "bus-lost" is said, and the losses of its devices, which follow from it, are not.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from msgspec import Struct

from contract.alarms import AlarmEvent, Severity, Transition
from contract.ids import GATEWAY_DEVICE
from device_profiles.model import Profile, Text
from device_profiles.site import PlacedDevice
from edge.clock import is_wall

SUPERVISION = "supervision"
"""Point and rule of both kinds of event."""

DEVICE_LOST = "device-lost"
BUS_LOST = "bus-lost"

# How long a line may be away on which nobody has to speak.
SILENT_LINE_S = 60.0

NEVER = -math.inf

_DEVICE_TEXT = {"en": "No answer from {name}", "zh": "{name}无应答"}
_BUS_TEXT = {"en": "No device answers on line {name}", "zh": "总线{name}上的设备全部无应答"}


class DeviceStanding(StrEnum):
    """How a device stands."""

    UNKNOWN = "unknown"
    """Not heard since the start, and not long enough silent to be lost."""
    ONLINE = "online"
    DEGRADED = "degraded"
    """Its last answer is missing, but it is not yet silent for its supervision time."""
    LOST = "lost"


class DeviceState(Struct, frozen=True):
    """One device now.

    Attributes:
        age_s: how old its last good answer is; None before the first.
        answers, misses: counted since the start.
    """

    device: str
    bus: str
    standing: DeviceStanding
    age_s: float | None
    answers: int
    misses: int


class _Alarm(Struct):
    """The loss of a device or of a line; `raised_at_us` is set while it stands."""

    device: str
    kind: str
    severity: Severity
    text: Text
    raised_at_us: int | None = None

    @property
    def stands(self) -> bool:
        return self.raised_at_us is not None


class _Watched(Struct):
    """One device: how long it may be silent, how often it is asked, when it answered, and its alarm.

    `missed_at` is when the first answer was missing since the last good one. One that speaks by itself is asked
    never; `is_expected` tells whether it has to speak.
    """

    patience_s: float
    period_s: float
    alarm: _Alarm
    speaks: bool = False
    is_expected: bool = False
    heard_at: float = NEVER
    missed_at: float = NEVER
    answers: int = 0
    misses: int = 0

    @property
    def is_failing(self) -> bool:
        return self.missed_at > self.heard_at

    def is_silent(self, now: float, *, since: float) -> bool:
        """Tell whether it has failed for its supervision time, counted from `since` at the earliest."""
        # Had nobody waited for the disk, it would have answered a period before the first miss.
        began_at = max(since, self.heard_at, self.missed_at - self.period_s)
        return self.is_failing and now - began_at >= self.patience_s


class _Line(Struct):
    """One bus; `since` is when its devices began to have silence of their own."""

    devices: list[_Watched]
    alarm: _Alarm | None
    since: float


class Supervisor:
    """All devices of a gateway."""

    def __init__(
        self, gateway: str, devices: Iterable[PlacedDevice], now: float, *, active: Mapping[str, int] | None = None
    ) -> None:
        """Begin with every device unknown, or lost when its loss stood before the restart.

        Args:
            gateway: id of the gateway.
            devices: all of the site.
            now: monotonic seconds; silence is counted from here.
            active: source -> raised_at_us of the alarms that stood when the gateway last ran.
        """
        self._gateway = gateway
        self._lines = _make_lines(devices, now)
        self._watched = {watched.alarm.device: watched for line in self._lines.values() for watched in line.devices}
        for line in self._lines.values():
            self._remember(line, active or {}, now)

    def heard(self, device: str, now: float) -> None:
        """Note a good answer; called for every one, so it does little."""
        watched = self._watched[device]
        watched.heard_at = now
        watched.answers += 1

    def missed(self, device: str, now: float) -> None:
        """Note that a device was asked and gave no good answer."""
        watched = self._watched[device]
        watched.misses += 1
        if watched.missed_at <= watched.heard_at:
            watched.missed_at = now

    def bus_down(self, bus: str, now: float) -> None:
        """Note that a line cannot be opened: nobody on it can answer. A bus without devices is nobody's loss."""
        if line := self._lines.get(bus):
            for watched in line.devices:
                self.missed(watched.alarm.device, now)

    def bus_up(self, bus: str, now: float) -> None:
        """Note that a line on which devices speak by themselves is open: silence there is now their own."""
        if line := self._lines.get(bus):
            line.since = now
            for watched in line.devices:
                if watched.speaks and not watched.is_expected:
                    # It may be silent for years; that its line is back is all there is to know.
                    watched.missed_at = NEVER

    def not_listening(self, bus: str, now: float) -> None:
        """Note that nobody listens to the devices of a line just now: their silence counts anew."""
        if line := self._lines.get(bus):
            line.since = now

    def tick(self, now: float, at_us: int) -> list[AlarmEvent]:
        """Judge all devices; call it about once a second.

        Args:
            now: monotonic seconds, as in `heard`.
            at_us: the time that the events carry.
        """
        for line in self._lines.values():
            for watched in line.devices:
                is_due = watched.is_expected and not watched.is_failing
                if is_due and now - max(line.since, watched.heard_at) >= watched.patience_s:
                    self.missed(watched.alarm.device, now)
        return [
            self._change(alarm, at_us)
            for line in self._lines.values()
            for alarm, is_lost in _judge(line, now)
            if is_lost != alarm.stands
        ]

    def states(self, now: float) -> list[DeviceState]:
        """Tell how every device stands, as of the last `tick`."""
        return [
            DeviceState(
                watched.alarm.device,
                bus,
                _standing(watched, line),
                None if watched.heard_at == NEVER else max(0.0, now - watched.heard_at),
                watched.answers,
                watched.misses,
            )
            for bus, line in self._lines.items()
            for watched in line.devices
        ]

    def _remember(self, line: _Line, active: Mapping[str, int], now: float) -> None:
        """Take up the alarms that stood at the last run: they end when somebody answers, and not before."""
        alarms = [watched.alarm for watched in line.devices] + ([line.alarm] if line.alarm else [])
        for alarm in alarms:
            alarm.raised_at_us = active.get(f"{self._gateway}/{alarm.device}/{SUPERVISION}/{SUPERVISION}")
        for watched in line.devices:
            if watched.alarm.stands or (line.alarm and line.alarm.stands):
                watched.missed_at = now

    def _change(self, alarm: _Alarm, at_us: int) -> AlarmEvent:
        """Say that it went, or that it is back."""
        raised_at_us = at_us if alarm.raised_at_us is None else alarm.raised_at_us
        transition = Transition.CLEARED if alarm.stands else Transition.RAISED
        alarm.raised_at_us = None if alarm.stands else at_us
        # What stood before a reboot has wall time; our clock, which began anew then, is not to be compared with it.
        is_of_our_clock = is_wall(at_us) is is_wall(raised_at_us)
        return AlarmEvent(
            gateway=self._gateway,
            device=alarm.device,
            point=SUPERVISION,
            rule=SUPERVISION,
            transition=transition,
            raised_at_us=raised_at_us,
            at_us=max(at_us, raised_at_us) if is_of_our_clock else at_us,
            kind=alarm.kind,
            severity=alarm.severity,
            text=alarm.text,
        )


def _judge(line: _Line, now: float) -> Iterator[tuple[_Alarm, bool]]:
    """Tell of each alarm of a line whether it should stand; a line that is gone speaks for its devices."""
    is_gone = False
    if line.alarm is not None:
        is_gone = all(watched.is_failing for watched in line.devices) and (
            line.alarm.stands or any(watched.is_silent(now, since=line.since) for watched in line.devices)
        )
        if line.alarm.stands and not is_gone:
            line.since = now
        yield line.alarm, is_gone
    for watched in line.devices:
        # A loss said before its line went stands on; a new one is the line's.
        is_new = not is_gone and watched.is_silent(now, since=line.since)
        yield watched.alarm, is_new or (watched.alarm.stands and watched.is_failing)


def _standing(watched: _Watched, line: _Line) -> DeviceStanding:
    if not watched.is_failing:
        return DeviceStanding.UNKNOWN if watched.heard_at == NEVER else DeviceStanding.ONLINE
    if watched.alarm.stands or (line.alarm is not None and line.alarm.stands):
        return DeviceStanding.LOST
    return DeviceStanding.UNKNOWN if watched.heard_at == NEVER else DeviceStanding.DEGRADED


def _make_lines(devices: Iterable[PlacedDevice], now: float) -> dict[str, _Line]:
    lines: dict[str, _Line] = {}
    for placed in devices:
        name = placed.device.name or placed.device.id
        # A panic button that cannot call is as urgent as one that does.
        watches_panic = any(rule.alarm == "panic" for rule in placed.profile.rule)
        severity = Severity.CRITICAL if watches_panic else Severity.HIGH
        alarm = _Alarm(placed.device.id, DEVICE_LOST, severity, _text(_DEVICE_TEXT, name))
        line = lines.setdefault(placed.device.bus, _Line([], None, now))
        line.devices.append(_watch(placed.profile, alarm))
    for bus, line in lines.items():
        # Of a line with one device its name says more than the line's.
        if len(line.devices) > 1:
            is_critical = any(watched.alarm.severity is Severity.CRITICAL for watched in line.devices)
            severity = Severity.CRITICAL if is_critical else Severity.HIGH
            line.alarm = _Alarm(f"{GATEWAY_DEVICE}.{bus}", BUS_LOST, severity, _text(_BUS_TEXT, bus))
    return lines


def _watch(profile: Profile, alarm: _Alarm) -> _Watched:
    if profile.speaks is None:
        period_s = min((point.every_s for point in profile.point), default=0.0)
        return _Watched(profile.supervision_s, period_s, alarm)
    if profile.supervision_s:
        # It should have spoken by the end of its patience, which is when it is missed.
        return _Watched(profile.supervision_s, profile.supervision_s, alarm, speaks=True, is_expected=True)
    return _Watched(SILENT_LINE_S, 0.0, alarm, speaks=True)


def _text(text: Text, name: str) -> Text:
    return {language: words.replace("{name}", name) for language, words in text.items()}
