"""Rules: readings in, alarm events out. Pure; the caller's monotonic clock measures delays.

A delay is judged when a reading arrives: a state counts once it was seen at both ends of the delay.
"""

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

from contract.alarms import AlarmEvent, Transition
from contract.telemetry import Sample, Value
from device_profiles.model import ContactRule, PointDef, Rule, Text, ThresholdRule
from device_profiles.site import PlacedDevice

Key: TypeAlias = tuple[str, str]


class _Watch(Struct):
    """One rule on one point of one device, and what it remembers."""

    rule: Rule
    point: PointDef
    label: str
    raised_at_us: int | None = None
    other_since: float | None = None


class Judge:
    """All rules of a gateway. Feed it every sample; it answers with what changed."""

    def __init__(self, gateway: str, devices: list[PlacedDevice], *, active: Mapping[str, int]) -> None:
        """Make a watch for each rule, point and device.

        Args:
            gateway: id of the gateway.
            devices: with the site's rules applied.
            active: source -> raised_at_us of the alarms that were active when the gateway last ran.
        """
        self._gateway = gateway
        self._watches: dict[Key, list[_Watch]] = {}
        for placed in devices:
            points = {point.key: point for point in placed.profile.point}
            for rule in placed.profile.rule:
                for key in rule.points:
                    label = placed.device.labels.get(key, "")
                    watch = _Watch(rule, points[key], label or _place(placed, points[key]))
                    watch.raised_at_us = active.get(f"{gateway}/{placed.device.id}/{key}/{rule.key}")
                    self._watches.setdefault((placed.device.id, key), []).append(watch)

    def feed(self, sample: Sample, now: float) -> list[AlarmEvent]:
        """Judge one sample taken at monotonic time `now`, in seconds."""
        events: list[AlarmEvent] = []
        for point in sample.points:
            for watch in self._watches.get((sample.device, point.key), ()):
                transition = _step(watch, point.value, now)
                if transition is not None:
                    events.append(self._change(watch, sample, point.value, transition))
        return events

    def _change(self, watch: _Watch, sample: Sample, value: Value, transition: Transition) -> AlarmEvent:
        if transition is Transition.RAISED or watch.raised_at_us is None:
            watch.raised_at_us = sample.at_us
        event = AlarmEvent(
            gateway=self._gateway,
            device=sample.device,
            point=watch.point.key,
            rule=watch.rule.key,
            transition=transition,
            raised_at_us=watch.raised_at_us,
            # A clock set back while the alarm stood must not make it end before it began.
            at_us=max(sample.at_us, watch.raised_at_us),
            kind=watch.rule.alarm,
            severity=watch.rule.severity,
            text=_text(watch.rule.text, watch.label),
            value=value,
            unit=watch.point.unit,
        )
        if transition is Transition.CLEARED:
            watch.raised_at_us = None
        return event


def _step(watch: _Watch, value: Value, now: float) -> Transition | None:
    """Move one watch by one value: what it says now, once it has said so long enough."""
    is_raised = watch.raised_at_us is not None
    wants = _wants_alarm(watch.rule, value, is_raised=is_raised)
    if wants == is_raised:
        watch.other_since = None
        return None
    if watch.other_since is None:
        watch.other_since = now
    delay_s = watch.rule.on_delay_s if wants else watch.rule.off_delay_s
    if now - watch.other_since < delay_s:
        return None
    watch.other_since = None
    return Transition.RAISED if wants else Transition.CLEARED


def _wants_alarm(rule: Rule, value: Value, *, is_raised: bool) -> bool:
    """Tell whether the value is an alarm, given whether the alarm stands (deadband)."""
    if isinstance(rule, ContactRule):
        return value is rule.alarm_when
    return not isinstance(value, bool | str) and _is_past(rule, value, is_raised=is_raised)


def _is_past(rule: ThresholdRule, value: float, *, is_raised: bool) -> bool:
    band = rule.deadband if is_raised else 0.0
    if rule.above is not None:
        return value > rule.above - band
    return rule.below is not None and value < rule.below + band


def _place(placed: PlacedDevice, point: PointDef) -> str:
    name = placed.device.name or placed.device.id
    return f"{name} {point.key}"


def _text(text: Text, label: str) -> Text:
    return {language: words.replace("{label}", label) for language, words in text.items()}
