"""Simulated devices that publish JSON or plain words on a broker, by the topics of their profiles. Pure.

They say their whole state again and again as a battery device does, and at once when something changes. An action (a
press) stands in one message and in none after it. The payloads are put together here and share nothing with what takes
them apart at the gateway.
"""

import json
import random
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from contract.telemetry import Value
from device_profiles.model import HeardDef, HeardKind
from device_profiles.site import PlacedDevice
from device_profiles.speech.topics import ADDRESS, Topic, TopicReport, TopicValue
from simulators.errors import SimulatorError

LONGEST_PERIOD_S = 60.0
MAX_QUEUE = 1000
_NUL = b"\0"


class MqttJsonTalker:
    """One device on a broker."""

    def __init__(self, placed: PlacedDevice, *, seed: int) -> None:
        """Make a device; see `make_talker`."""
        speaks = placed.profile.speaks
        self._topics = speaks.topic if speaks is not None else ()
        self._name, self._address = placed.device.id, placed.device.address or placed.device.id
        self._points = {point.key: point for point in placed.profile.heard}
        self._reports = {report.point: report for topic in self._topics for report in topic.report}
        self._random = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        self._values: dict[str, Value] = {key: self._first(point) for key, point in self._points.items()}
        self._held: set[str] = set()
        # Device and gateway agree on what is lost: it speaks several times before that.
        self._period_s = min(LONGEST_PERIOD_S, placed.profile.supervision_s / 4)
        self._next_at = 0.0
        self._queue: deque[bytes] = deque(maxlen=MAX_QUEUE)

    def open(self, now: float) -> bytes:
        """Begin on a connection: say that one is there, then how all stands."""
        for report in self._reports.values():
            if report.off:
                self._queue.extend(self._told(report, report.off[0]))
        self._say_all(now)
        return self._pop()

    def hear(self, data: bytes, now: float) -> bytes:
        """Nobody talks to it."""
        del data, now
        return b""

    def speak(self, now: float) -> bytes:
        """Say the next message."""
        if not self._queue and now >= self._next_at:
            for key, point in self._points.items():
                if key not in self._held and point.kind is HeardKind.NUMBER:
                    self._values[key] = self._moved(point, float(self._values[key]))
            self._say_all(now)
        return self._pop()

    def next_at(self) -> float | None:
        """Tell when it speaks again; what waits is said at once."""
        return 0.0 if self._queue else self._next_at

    def press(self, point: str, now: float) -> bytes:
        """Press its button, or make a state true.

        Raises:
            SimulatorError: it has neither.
        """
        return self.set(point, True, now)

    def set(self, key: str, value: Value, now: float) -> bytes:
        """Hold a value, or say a report's word: its alarm for true, its end for false.

        Raises:
            SimulatorError: it has no such point, or the point no such value.
        """
        if key in self._reports and isinstance(value, bool):
            report = self._reports[key]
            words = report.on if value else report.off
            self._queue.extend(self._told(report, words[0]) if words else ())
            return self._pop()
        point = self._points.get(key)
        if point is None:
            known = ", ".join(sorted(self._points.keys() | self._reports.keys()))
            raise SimulatorError(f"device {self._name!r} has no point {key!r}; it has: {known}")
        wanted = {HeardKind.NUMBER: (int, float), HeardKind.STATE: (bool,), HeardKind.WORD: (str,)}[point.kind]
        if not isinstance(value, wanted) or (isinstance(value, bool) and point.kind is not HeardKind.STATE):
            raise SimulatorError(f"{self._name}/{key} is a {point.kind.value}, and {value!r} is none")
        self._values[key] = value
        self._held.add(key)
        self._queue.extend(self._state(topic) for topic in self._topics if any(one.heard == key for one in topic.value))
        self._next_at = max(self._next_at, now)
        return self._pop()

    def _say_all(self, now: float) -> None:
        self._queue.extend(self._state(topic) for topic in self._topics if topic.value)
        self._next_at = now + self._period_s

    def _pop(self) -> bytes:
        return self._queue.popleft() if self._queue else b""

    def _state(self, topic: Topic, action: tuple[str, str] | None = None) -> bytes:
        """Write the message of a topic: all of its values, and an action if there is one."""
        tree: dict[str, Any] = {}
        plain = ""
        for value in topic.value:
            written = _written(value, self._points[value.heard].kind, self._values[value.heard])
            if value.path:
                _plant(tree, value.path, written)
            else:
                plain = written if isinstance(written, str) else json.dumps(written)
        for path, word in (*topic.where.items(), *([action] if action else ())):
            if path:
                _plant(tree, path, _native(word))
            else:
                plain = word
        payload = json.dumps(tree, separators=(",", ":"), ensure_ascii=False) if tree else plain
        return topic.topic.replace(ADDRESS, self._address).encode() + _NUL + payload.encode()

    def _told(self, report: TopicReport, word: str) -> Iterator[bytes]:
        for topic in self._topics:
            if any(one is report for one in topic.report):
                yield self._state(topic, (report.path, word))

    def _first(self, point: HeardDef) -> Value:
        if point.kind is HeardKind.NUMBER:
            low, high = point.range or (0.0, 100.0)
            return round(low + (high - low) * self._random.uniform(0.4, 0.6), 2)
        if point.kind is HeardKind.STATE:
            return False
        values = [value for topic in self._topics for value in topic.value if value.heard == point.key]
        return next((word for value in values for word in value.values.values()), "word")

    def _moved(self, point: HeardDef, number: float) -> float:
        low, high = point.range or (0.0, 100.0)
        step = (high - low) / 200
        return round(min(high, max(low, number + self._random.uniform(-step, step))), 2)


def make_talker(placed: PlacedDevice, *, secret: bytes, seed: int, wall_us: Callable[[], int]) -> MqttJsonTalker:
    """Make the talker of one device; see `simulators.talkers.talker`.

    Raises:
        SimulatorError: its profile names no topics.
    """
    del secret, wall_us
    if placed.profile.speaks is None or not placed.profile.speaks.topic:
        raise SimulatorError(f"device {placed.device.id!r}: its profile names no topics")
    return MqttJsonTalker(placed, seed=seed)


def _written(wanted: TopicValue, kind: HeardKind, value: Value) -> Any:
    """Turn a value into what the device itself calls it."""
    if kind is HeardKind.STATE:
        return _native(wanted.true_when[0] if value else wanted.false_when[0])
    if kind is HeardKind.WORD:
        return next((raw for raw, word in wanted.values.items() if word == value), value)
    raw = (Decimal(repr(value)) - Decimal(repr(wanted.offset))) / Decimal(repr(wanted.scale))
    return int(raw) if raw == raw.to_integral_value() else float(raw)


def _native(word: str) -> bool | str:
    """JSON has true and false; other words stay words."""
    return word == "true" if word in {"true", "false"} else word


def _plant(tree: dict[str, Any], path: str, value: Any) -> None:
    *branches, leaf = path.split(".")
    for branch in branches:
        tree = tree.setdefault(branch, {})
    tree[leaf] = value
