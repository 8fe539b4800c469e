"""Simulated sensors that say what they measure: wind, dust, position. Pure; bytes put together by hand."""

from datetime import UTC, datetime
from typing import ClassVar

from contract.telemetry import Value
from simulators.talkers.lines import MeasuringTalker, Parts


def _xored(text: str) -> str:
    """The exclusive or of all characters, as two hexadecimal digits."""
    found = 0
    for char in text:
        found ^= ord(char)
    return f"{found:02X}"


class WindTalker(MeasuringTalker):
    """Gill WindSonic, polar and continuous (user manual 1405-PS-0019, 9.1)."""

    period_s = 1.0
    middles: ClassVar[dict[str, tuple[float, float]]] = {"wind_speed": (4.0, 3.0), "wind_direction": (180.0, 90.0)}

    def say(self, now: float) -> bytes:
        """One string: node Q, direction, speed in metres per second, status good."""
        text = f"Q,{self.value('wind_direction', now):03.0f},{self.value('wind_speed', now):06.2f},M,00,"
        return f"\x02{text}\x03{_xored(text)}\r\n".encode("ascii")


class Sds011Talker(MeasuringTalker):
    """Nova SDS011 (control protocol V1.3)."""

    period_s = 1.0
    middles: ClassVar[dict[str, tuple[float, float]]] = {"pm2_5": (20.0, 10.0), "pm10": (40.0, 15.0)}

    def say(self, now: float) -> bytes:
        """One report of ten bytes."""
        tenths = [max(0, round(10 * self.value(key, now))) for key in ("pm2_5", "pm10")]
        data = [byte for number in tenths for byte in (number % 256, number // 256 % 256)] + [0x58, 0xD9]
        return bytes([0xAA, 0xC0, *data, sum(data) % 256, 0xAB])


class PlantowerTalker(MeasuringTalker):
    """Plantower PMS5003 in active mode (data manual, appendix I)."""

    period_s = 1.0
    middles: ClassVar[dict[str, tuple[float, float]]] = {
        "pm1": (10.0, 5.0),
        "pm2_5": (20.0, 10.0),
        "pm10": (40.0, 15.0),
    }

    def say(self, now: float) -> bytes:
        """One frame of 32 bytes: standard and atmospheric concentrations alike, no counts."""
        found = [max(0, round(self.value(key, now))) for key in ("pm1", "pm2_5", "pm10")]
        numbers = [28, *found, *found, *[0] * 6, 0x9700]
        data = b"BM" + b"".join(bytes([number // 256 % 256, number % 256]) for number in numbers)
        total = sum(data)
        return data + bytes([total // 256 % 256, total % 256])


class GpsTalker(MeasuringTalker):
    """A satellite receiver that says RMC and GGA once a second (gpsd, NMEA)."""

    period_s = 1.0
    middles: ClassVar[dict[str, tuple[float, float]]] = {
        "latitude": (31.2304, 0.01), "longitude": (121.4737, 0.01), "speed": (4.0, 3.0), "course": (90.0, 45.0),
        "altitude": (12.0, 2.0),
    }  # fmt: skip

    def __init__(self, parts: Parts) -> None:
        """Make a receiver that has a fix."""
        super().__init__(parts)
        self._has_fix = True

    def set(self, key: str, value: Value, now: float) -> bytes:
        """Hold a value; `fix` may be lost and found.

        Raises:
            SimulatorError: it has no such point, or the point no such value.
        """
        if key == "fix" and isinstance(value, bool):
            self._has_fix = value
            return b""
        return super().set(key, value, now)

    def say(self, now: float) -> bytes:
        """Two sentences of one moment."""
        moment = datetime.fromtimestamp(self.wall_us() / 1e6, UTC)
        clock, day = f"{moment:%H%M%S}.{moment.microsecond // 10_000:02d}", f"{moment:%d%m%y}"
        if not self._has_fix:
            return _sentence(f"GNRMC,{clock},V,,,,,,,{day},,,N") + _sentence(f"GNGGA,{clock},,,,,0,00,99.9,,,,,,")
        place = f"{_degrees(self.value('latitude', now), 2, 'NS')},{_degrees(self.value('longitude', now), 3, 'EW')}"
        knots = self.value("speed", now) * 3600 / 1852
        rmc = f"GNRMC,{clock},A,{place},{knots:.3f},{self.value('course', now):.1f},{day},,,A"
        gga = f"GNGGA,{clock},{place},1,09,0.9,{self.value('altitude', now):.1f},M,8.0,M,,"
        return _sentence(rmc) + _sentence(gga)


def _sentence(text: str) -> bytes:
    return f"${text}*{_xored(text)}\r\n".encode("ascii")


def _degrees(value: float, digits: int, halves: str) -> str:
    """Degrees and minutes to a thousandth of a metre or so, and the half of the world."""
    whole = round(abs(value) * 60 * 100_000)
    degrees, minutes = divmod(whole, 60 * 100_000)
    return f"{degrees:0{digits}d}{minutes // 100_000:02d}.{minutes % 100_000:05d},{halves[value < 0]}"
