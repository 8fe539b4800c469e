"""How a value of a panel looks: its words, its unit and its colour, as the panel's settings say."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from tests.cloud.grafana_frames import Field

PALETTE = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a")
TEXT = "#ccccdc"
_SUFFIXES = {
    "ms": " ms", "celsius": " °C", "humidity": " %", "percent": " %", "velocityms": " m/s", "velocitykmh": " km/h",
    "degree": "°", "pressurehpa": " hPa", "lengthmm": " mm", "lengthm": " m", "lengthkm": " km", "mps": " /s",
    "wps": " /s", "conμgm3": " µg/m³", "volt": " V", "watt": " W", "lux": " lx", "ppm": " ppm", "dBm": " dBm",
    "h": " h", "m": " min", "opm": " /min", "cps": " /s", "cpm": " /min", "pps": " /s",
}  # fmt: skip
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_SHANGHAI_S = 8 * 3_600
"""Times are drawn as in China, where the pictures' county lies."""
_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


class Look(Struct, frozen=True):
    """What the settings of a panel say of one of its fields: the ids of settings and their values."""

    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What it is called instead; "" for its own."""
        return str(self.settings.get("displayName") or "")

    @property
    def is_hidden(self) -> bool:
        """Whether it is there for links alone."""
        return bool(self.settings.get("custom.hidden") or (self.settings.get("custom.hideFrom") or {}).get("viz"))

    @property
    def cell(self) -> str:
        """How a cell of it is drawn: "auto", "color-background" ..."""
        return str((self.settings.get("custom.cellOptions") or {}).get("type", "auto"))


def look_of(panel: Mapping[str, Any], field: Field) -> Look:
    """Gather the settings of a field: the panel's, and those of the overrides that match it."""
    config = panel.get("fieldConfig") or {}
    defaults = dict(config.get("defaults") or {})
    settings = defaults | {f"custom.{key}": value for key, value in (defaults.get("custom") or {}).items()}
    for override in config.get("overrides") or ():
        if _matches(override["matcher"], field):
            settings |= {one["id"]: one.get("value") for one in override["properties"]}
    return Look(settings)


def words_of(value: Any, look: Look, now_ms: int) -> str:
    """Write a value as people read it."""
    mapped = _mapped(value, look)
    if mapped is not None and mapped.get("text"):
        return str(mapped["text"])
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return _number(float(value), str(look.settings.get("unit") or ""), look.settings.get("decimals"), now_ms)


def colour_of(value: Any, look: Look, index: int = 0) -> str:
    """Choose the colour of a value: that of its mapping, the fixed one, that of its threshold, or the palette's."""
    mapped = _mapped(value, look)
    if mapped is not None and mapped.get("color"):
        return str(mapped["color"])
    mode = (look.settings.get("color") or {}).get("mode", "")
    if mode == "fixed":
        return str(look.settings["color"]["fixedColor"])
    if mode.startswith("palette"):
        return PALETTE[index % len(PALETTE)]
    return threshold_colour(value, look) or PALETTE[index % len(PALETTE)]


def threshold_colour(value: Any, look: Look) -> str:
    """Find the colour of the highest limit that a number has reached; "" where no limits are."""
    steps = (look.settings.get("thresholds") or {}).get("steps") or []
    reached = [step["color"] for step in steps if step["value"] is None or _above(value, step["value"])]
    return str(reached[-1]) if reached else ""


def moment(at_ms: float, *, with_day: bool) -> str:
    """Write a time, by the clocks of China."""
    return time.strftime("%m-%d %H:%M" if with_day else "%H:%M", time.gmtime(at_ms / 1000 + _SHANGHAI_S))


def _above(value: Any, limit: float) -> bool:
    return isinstance(value, int | float) and value >= limit


def _matches(matcher: Mapping[str, Any], field: Field) -> bool:
    options: Any = matcher.get("options")
    if matcher["id"] == "byName":
        return options in (field.shown, field.name)
    if matcher["id"] == "byNames":
        return field.shown in options["names"]
    if matcher["id"] == "byRegexp":
        return re.search(str(options).strip("/"), field.shown) is not None
    return bool(matcher["id"] == "byType" and options == field.kind)


def _mapped(value: Any, look: Look) -> Mapping[str, Any] | None:
    for mapping in look.settings.get("mappings") or ():
        options = mapping["options"]
        if mapping["type"] == "value" and (found := options.get(_key(value))) is not None:
            return dict(found)
        if mapping["type"] == "range" and isinstance(value, int | float):
            low, high = options.get("from"), options.get("to")
            if (low is None or value >= low) and (high is None or value <= high):
                return dict(options["result"])
        if mapping["type"] == "regex" and isinstance(value, str) and re.search(options["pattern"].strip("/"), value):
            return dict(options["result"])
        if mapping["type"] == "special" and value is None and "null" in str(options.get("match")):
            return dict(options["result"])
    return None


def _key(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: float, unit: str, decimals: int | None, now_ms: int) -> str:
    if unit.startswith("dateTime"):
        ago = f"{_span(abs(now_ms - value) / 1000, 0)} ago"
        return ago if unit == "dateTimeFromNow" else moment(value, with_day=True)
    if unit == "s":
        return _span(value, decimals)
    if unit == "percentunit":
        return f"{_rounded(value * 100, decimals or 0)} %"
    if unit in {"bytes", "decbytes", "kbytes"}:
        size, word = next(((size, word) for size, word in _BYTES if abs(value) >= size), (1.0, "B"))
        return f"{_rounded(value / size, decimals)} {word}"
    before = unit.removeprefix("prefix:") if unit.startswith("prefix:") else ""
    after = unit.removeprefix("suffix:") if unit.startswith("suffix:") else _SUFFIXES.get(unit, "")
    return before + _rounded(value, decimals) + after


def _span(seconds: float, decimals: int | None) -> str:
    size, word = next(((size, word) for size, word in _SPANS if abs(seconds) >= size), (1, "s"))
    return f"{_rounded(seconds / size, 1 if decimals is None and size > 1 else decimals)} {word}"


def _rounded(value: float, decimals: int | None) -> str:
    if decimals is None:
        decimals = 0 if value == int(value) or abs(value) >= 100 else (1 if abs(value) >= 10 else 2)  # noqa: PLR2004
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def numbers(values: Sequence[Any]) -> list[float]:
    """Pick the numbers."""
    return [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
