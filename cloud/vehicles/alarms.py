"""The alarms that the cloud itself raises for vehicles. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any

from cloud.desk.own import OWN_GATEWAY
from cloud.vehicles.fences import Fence, Rule
from cloud.vehicles.judging import TOWED, Crossing
from contract.alarms import AlarmEvent, Severity, Transition
from contract.limits import MAX_STRING_CHARS

AREA, THEFT, DRIVING = "area", "theft", "driving"
_LEFT = {"en": "{vehicle} has left {fence}", "zh": "{vehicle}已驶出{fence}"}
_ENTERED = {"en": "{vehicle} has entered {fence}", "zh": "{vehicle}已进入{fence}"}
_TOWED = {"en": "{vehicle} moves with its ignition off", "zh": "{vehicle}熄火后被移动"}
_HOURS = {"en": "{vehicle} moves outside its hours", "zh": "{vehicle}在非规定时段行驶"}
_MAX_ID = 64


def device_of(vehicle: str) -> str:
    """Name a vehicle as the device of its alarms."""
    device = f"vehicle.{vehicle}"
    return device if len(device) <= _MAX_ID else f"vehicle.{hashlib.sha256(vehicle.encode()).hexdigest()[:32]}"


def title_of(vehicle: Mapping[Any, Any]) -> str:
    """Call a vehicle by its plate and its name, or by its id where it has neither."""
    return " ".join(word for word in (vehicle["plate"], vehicle["name"]) if word) or vehicle["id"]


def raise_event(vehicle: Mapping[Any, Any], crossing: Crossing, fence: Fence | None) -> AlarmEvent:
    """Say what a vehicle does that it must not; `fence` is the one that was crossed."""
    if fence is not None:
        words, kind, severity = _LEFT if fence.rule is Rule.STAY else _ENTERED, AREA, fence.severity
    elif crossing.key == TOWED:
        words, kind, severity = _TOWED, THEFT, Severity.HIGH
    else:
        words, kind, severity = _HOURS, DRIVING, Severity.MEDIUM
    of_fence = "" if fence is None else fence.name or fence.id
    texts = {key: text.format(vehicle=title_of(vehicle), fence=of_fence) for key, text in words.items()}
    report = crossing.report
    point, rule = crossing.key.split("/")[:2]
    return AlarmEvent(
        gateway=OWN_GATEWAY,
        device=device_of(vehicle["id"]),
        point=point,
        rule=rule,
        transition=Transition.RAISED,
        raised_at_us=crossing.raised_at_us,
        at_us=crossing.raised_at_us,
        kind=kind,
        severity=severity,
        text={language: text[:MAX_STRING_CHARS] for language, text in texts.items()},
        value=f"{report.latitude_deg:.6f},{report.longitude_deg:.6f}",
    )


def clear_event(vehicle: Mapping[Any, Any], key: str, *, raised_at_us: int, at_us: int) -> AlarmEvent:
    """Say that it is over.

    Args:
        vehicle: its row.
        key: of the check.
        raised_at_us: names the alarm.
        at_us: when; of a fence that was edited away, the clock.
    """
    point, rule = key.split("/")[:2]
    return AlarmEvent(
        gateway=OWN_GATEWAY,
        device=device_of(vehicle["id"]),
        point=point,
        rule=rule,
        transition=Transition.CLEARED,
        raised_at_us=raised_at_us,
        # A terminal's clock may be ahead of ours.
        at_us=max(at_us, raised_at_us),
        kind=AREA if point == "fence" else THEFT if key == TOWED else DRIVING,
        severity=Severity.LOW,
    )
