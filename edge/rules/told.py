"""Alarms that devices say by themselves: bounded in number, and otherwise alarms like those of rules. Pure."""

import re
from collections import OrderedDict
from collections.abc import Iterable

from contract.alarms import Severity
from contract.ids import is_id
from contract.limits import MAX_ID_CHARS
from contract.telemetry import Value
from device_profiles.model import UNDELAYED_ALARMS, Text
from device_profiles.site import PlacedDevice
from device_profiles.speech.said import Report
from edge.rules.standing import Standing, Told
from edge.rules.watch import About, Watch

RETRIGGERING = UNDELAYED_ALARMS | {"duress"}
"""Kinds of which every repeat is one more cry for help, and is said."""

MAX_TOLD = 500
"""Alarms a device may have said: so many of the kinds in `RETRIGGERING`, and as many of all others together. A large
alarm host has some hundred zones; what says more is broken, or lies."""

# A flood is over when nothing had to be turned away for so long.
FLOOD_S = 600.0
MAX_LANGUAGES = 4
MAX_TEXT_CHARS = 200

FLOOD = Report(
    point="told",
    rule="flood",
    kind="flood",
    severity=Severity.HIGH,
    text={
        "en": "More alarms at once than a device may have; further ones are turned away: {label}",
        "zh": "同时存在的报警超过设备上限，后续报警被拒收：{label}",
    },
    ends_after_s=FLOOD_S,
)
"""Says that a device says too much; has room of its own."""

_NO_ID = re.compile(r"[^A-Za-z0-9_.-]")


class ToldWatch(Watch):
    """An alarm that a device says; its condition is the device's word.

    Attributes:
        is_bounded: it counts among those that its device may have.
    """

    __slots__ = ("is_bounded",)

    def __init__(self, about: About, *, is_bounded: bool = True) -> None:
        """Begin with nothing said."""
        super().__init__(about)
        self.is_bounded = is_bounded

    @property
    def retriggers(self) -> bool:
        """Whether every repeat is said."""
        return self.about.kind in RETRIGGERING

    @property
    def ends_after_s(self) -> float | None:
        """How long it stands without being said again; None: until the device says that it is over."""
        return self.about.told.ends_after_s if self.about.told else None


class ToldAlarms:
    """The alarms that devices have said: those that stand, and some that are over.

    Attributes:
        refused: how many were turned away because their device had too many standing.
    """

    def __init__(self, gateway: str, devices: Iterable[PlacedDevice], *, ruled: Iterable[str]) -> None:
        """Begin with none.

        Args:
            gateway: id of the gateway.
            devices: all of the site.
            ruled: sources that belong to rules.
        """
        self.refused = 0
        self._gateway = gateway
        self._devices = {placed.device.id: placed.device for placed in devices}
        self._ruled = frozenset(ruled)
        self._by_source: dict[str, ToldWatch] = {}
        # By device and whether they trigger again; first the one that was not said for longest.
        self._rooms: dict[tuple[str, bool], OrderedDict[str, ToldWatch]] = {}

    def watches(self) -> Iterable[ToldWatch]:
        """Give them all."""
        return self._by_source.values()

    def get(self, source: str) -> ToldWatch | None:
        """Give the one of a source."""
        return self._by_source.get(source)

    def find(self, device: str, report: Report) -> ToldWatch | None:
        """Give the alarm that a report is about; None when its device has as many standing as it may.

        A new one takes the room of the oldest that is over.
        """
        about = self._about(device, report)
        watch = self._by_source.get(about.source)
        if watch is not None and watch.standing is None and watch.about != about:
            renewed = ToldWatch(about, is_bounded=watch.is_bounded)
            renewed.last_us = watch.last_us
            self._forget(watch)
            return self._add(renewed)
        if watch is not None:
            if watch.is_bounded:
                self._room(watch).move_to_end(about.source)
            return watch
        if not report.is_on:
            # The end of what nobody began takes nobody's room.
            return ToldWatch(about)
        return self._add(ToldWatch(about))

    def flood(self, device: str) -> ToldWatch:
        """Count an alarm that was turned away, and give the one that says so."""
        self.refused += 1
        about = self._about(device, FLOOD)
        watch = self._by_source.get(about.source)
        if watch is None:
            watch = self._by_source[about.source] = ToldWatch(about, is_bounded=False)
        return watch

    def restore(self, source: str, standing: Standing) -> ToldWatch | None:
        """Take over an alarm of before a restart; None when it is not ours, or its device is gone."""
        gateway, _, rest = source.partition("/")
        device, _, name = rest.partition("/")
        point, _, rule = name.partition("/")
        if standing.told is None or gateway != self._gateway or device not in self._devices or source in self._ruled:
            return None
        told = standing.told
        about = About(source, device, point, rule, told.kind, told.severity, told.text, told=told)
        watch = self._add(ToldWatch(about, is_bounded=(point, rule) != (FLOOD.point, FLOOD.rule)))
        if watch is not None:
            watch.restore(standing)
        return watch

    def _add(self, watch: ToldWatch) -> ToldWatch | None:
        if watch.is_bounded:
            room = self._room(watch)
            if len(room) >= MAX_TOLD:
                calm = next((one for one in room.values() if one.standing is None), None)
                if calm is None:
                    return None
                self._forget(calm)
            room[watch.about.source] = watch
        self._by_source[watch.about.source] = watch
        return watch

    def _forget(self, watch: ToldWatch) -> None:
        del self._by_source[watch.about.source]
        if watch.is_bounded:
            del self._room(watch)[watch.about.source]

    def _room(self, watch: ToldWatch) -> OrderedDict[str, ToldWatch]:
        return self._rooms.setdefault((watch.about.device, watch.retriggers), OrderedDict())

    def _about(self, device: str, report: Report) -> About:
        """Say what a report is, kept within what the wire takes: a letter too much must not cost an alarm."""
        point, rule = _as_id(report.point), _as_id(report.rule)
        if f"{self._gateway}/{device}/{point}/{rule}" in self._ruled:
            rule = _as_id(f"told.{rule}")
        placed = self._devices.get(device)
        label = placed.labels.get(report.point, "") if placed else ""
        label = label or f"{(placed and placed.name) or device} {report.point}"
        kind, text = _as_id(report.kind), _filled(report.text, label)
        return About(
            source=f"{self._gateway}/{device}/{point}/{rule}",
            device=device,
            point=point,
            rule=rule,
            kind=kind,
            severity=report.severity,
            text=text,
            told=Told(kind, report.severity, text, report.ends_after_s),
        )


def told_value(report: Report) -> Value | None:
    """Give what an alarm was told with, not longer than the wire takes."""
    return report.value[:MAX_TEXT_CHARS] if isinstance(report.value, str) else report.value


def _as_id(text: str) -> str:
    """Give an id as it is, and anything else as an id that looks like it."""
    if is_id(text):
        return text
    fit = _NO_ID.sub("-", text)[: MAX_ID_CHARS - 1]
    return fit if is_id(fit) else f"x{fit}"


def _filled(text: Text, label: str) -> Text:
    return {
        language: words.replace("{label}", label)[:MAX_TEXT_CHARS]
        for language, words in list(text.items())[:MAX_LANGUAGES]
    }
