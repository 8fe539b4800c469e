"""Wall time of readings: microseconds UTC, never twice the same for one device."""

import time


class Clock:
    """Stamps samples; InfluxDB keeps one point a series and moment, so two moments must differ."""

    def __init__(self) -> None:
        self._last_us: dict[str, int] = {}

    def stamp(self, device: str) -> int:
        """Return the wall time now, at least one microsecond after the device's last stamp."""
        at_us = max(now_us(), self._last_us.get(device, 0) + 1)
        self._last_us[device] = at_us
        return at_us


def now_us() -> int:
    """Return the wall time in microseconds UTC."""
    return time.time_ns() // 1000
