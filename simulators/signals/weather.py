"""Weather that hangs together: every value follows from the sun's height and from the fronts that pass. Pure."""

from collections.abc import Iterator, Mapping
from math import cos, exp, floor, pi, sin, tanh
from typing import Annotated

from msgspec import Meta, Struct

from contract.ids import Id
from contract.telemetry import Value
from device_profiles.codec import ValueKind
from simulators.signals import chance
from simulators.signals.signal import DAY_S, Moment

SECTORS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")

# The sun warms the air with a delay: highest about three in the afternoon.
_WARMEST_H = 15.0
_SUN_W_M2 = 1000.0
# Daylight has about 120 lumen a watt.
_LUX_PER_W_M2 = 120.0
# Beaufort number b begins near 0.836 b^1.5 m/s.
_BEAUFORT_M_S = 0.836
_MAX_BEAUFORT = 17
_HOUR_S = 3600.0

_PARTS = (
    "temperature dew_point humidity pressure wind_speed wind_force wind_direction wind_sector rain rain_rate cloud "
    "solar illuminance"
).split()


class _Front(Struct, frozen=True):
    """A front: `middle_s` and `half_s` in seconds since the first midnight, `strength` 0 to 1."""

    middle_s: float
    half_s: float
    strength: float

    def phase(self, day_s: float) -> float:
        return (day_s - self.middle_s) / self.half_s

    def bump(self, day_s: float) -> float:
        phase = self.phase(day_s)
        return self.strength * (1 + cos(pi * phase)) / 2 if abs(phase) < 1 else 0.0

    def passed(self, day_s: float) -> float:
        """Share of its rain that has fallen: the area under its bump so far."""
        phase = min(1.0, max(-1.0, self.phase(day_s)))
        return (1 + phase + sin(pi * phase) / pi) / 2


class Weather(Struct, frozen=True, forbid_unknown_fields=True, tag_field="signal", tag="weather"):
    """One weather over the whole site.

    While a front passes, the pressure falls, clouds come, the day warms less, the air gets moist, the wind freshens
    and veers, and rain falls; between fronts the sun makes the day.

    Attributes:
        temperature: mean of a fair day, degrees Celsius.
        swing: from there to the warmest and the coldest hour of a fair day.
        dew_point: of fair air, degrees Celsius.
        pressure: of fair weather, hPa.
        wind: of fair weather, m/s.
        wind_from: direction it comes from in fair weather, degrees.
        front_every_h: a front passes about so often.
        rain_mm: what a strong front rains.
    """

    id: Id
    temperature: Annotated[float, Meta(ge=-60.0, le=60.0)] = 15.0
    swing: Annotated[float, Meta(ge=0.0, le=30.0)] = 6.0
    dew_point: Annotated[float, Meta(ge=-60.0, le=40.0)] = 7.0
    pressure: Annotated[float, Meta(ge=500.0, le=1080.0)] = 1016.0
    wind: Annotated[float, Meta(ge=0.0, le=60.0)] = 3.0
    wind_from: Annotated[float, Meta(ge=0.0, le=360.0)] = 135.0
    front_every_h: Annotated[float, Meta(ge=1.0, le=8760.0)] = 60.0
    rain_mm: Annotated[float, Meta(ge=0.0, le=500.0)] = 15.0

    @property
    def parts(self) -> Mapping[str, ValueKind]:
        """Everything a weather station may measure; `wind_sector` is a word."""
        return {part: ValueKind.WORD if part == "wind_sector" else ValueKind.NUMBER for part in _PARTS}

    def value(self, part: str, moment: Moment) -> Value:
        """Tell one part; `rain` is what has fallen since the story began."""
        match part:
            case "humidity":
                warm, moist = self._temperature(moment), self._dew_point(moment)
                return min(100.0, 100 * _vapour_pressure(moist) / _vapour_pressure(warm))
            case "wind_force":
                return float(min(_MAX_BEAUFORT, round((self._wind_speed(moment) / _BEAUFORT_M_S) ** (2 / 3))))
            case "wind_sector":
                return SECTORS[round(self._wind_direction(moment) / 45) % 8]
            case "solar" | "illuminance":
                solar = _SUN_W_M2 * _sun(moment.day_s) * (1 - 0.8 * self._cloud(moment))
                return solar if part == "solar" else solar * _LUX_PER_W_M2
            case "pressure":
                return self.pressure + 2 * self._drift("pressure", moment) - 18 * self._bump(moment)
            case _:
                found: float = getattr(self, f"_{part}")(moment)
                return found

    def _temperature(self, moment: Moment) -> float:
        cloud = self._cloud(moment)
        day = cos(2 * pi * (moment.day_s / DAY_S - _WARMEST_H / 24))
        cooled = 3 * self._bump(moment)
        return self.temperature + self.swing * day * (1 - 0.7 * cloud) - cooled + 0.5 * self._drift("warmth", moment)

    def _dew_point(self, moment: Moment) -> float:
        fair = self.dew_point + 0.8 * self._drift("moisture", moment)
        # Air cannot hold more than it holds when saturated: the dew point is never above the temperature.
        return min(self._temperature(moment), fair + (self.temperature - 3 - self.dew_point) * self._bump(moment))

    def _cloud(self, moment: Moment) -> float:
        return min(1.0, max(0.0, 0.25 + 0.25 * self._drift("cloud", moment) + 1.2 * self._bump(moment)))

    def _wind_speed(self, moment: Moment) -> float:
        # Gusts last about a minute; the sun stirs the air, a front more so.
        gust = chance.smooth(f"{moment.seed}/{self.id}/gust", moment.day_s / 60)
        steady = self.wind * (0.7 + 0.6 * _sun(moment.day_s)) + 12 * self._bump(moment)
        return max(0.0, steady * (1 + 0.25 * gust))

    def _wind_direction(self, moment: Moment) -> float:
        veered = 0.0
        for front in self._fronts(moment, moment.day_s):
            # It veers while the front passes, and backs slowly until the next.
            phase = front.phase(moment.day_s)
            back = max(0.0, 1 - max(0.0, phase - 1) / 4)
            veered += 110 * front.strength * (1 + tanh(3 * phase)) / 2 * back
        return (self.wind_from + veered + 15 * self._drift("direction", moment)) % 360

    def _rain_rate(self, moment: Moment) -> float:
        fronts = self._fronts(moment, moment.day_s)
        return sum(self.rain_mm * front.bump(moment.day_s) / (front.half_s / _HOUR_S) for front in fronts)

    def _rain(self, moment: Moment) -> float:
        fronts = self._fronts(moment, moment.begins_s)
        fallen = ((front.passed(moment.day_s) - front.passed(moment.begins_s)) * front.strength for front in fronts)
        return self.rain_mm * sum(fallen)

    def _bump(self, moment: Moment) -> float:
        return max(front.bump(moment.day_s) for front in self._fronts(moment, moment.day_s))

    def _drift(self, what: str, moment: Moment) -> float:
        return chance.smooth(f"{moment.seed}/{self.id}/{what}", moment.day_s / _HOUR_S)

    def _fronts(self, moment: Moment, since_s: float) -> Iterator[_Front]:
        """Name the fronts from the one before `since_s` to the one after now."""
        every_s, key = self.front_every_h * _HOUR_S, f"{moment.seed}/{self.id}/front"
        for number in range(floor(since_s / every_s) - 1, floor(moment.day_s / every_s) + 2):
            yield _Front(
                middle_s=every_s * (number + 0.3 + 0.4 * chance.unit(key, 3 * number)),
                half_s=every_s * (0.1 + 0.1 * chance.unit(key, 3 * number + 1)),
                strength=0.4 + 0.6 * chance.unit(key, 3 * number + 2),
            )


def _sun(day_s: float) -> float:
    """How high the sun stands: 0 from six in the evening to six in the morning, 1 at noon."""
    return max(0.0, -cos(2 * pi * day_s / DAY_S))


def _vapour_pressure(celsius: float) -> float:
    """Saturation pressure over water, hPa. Source: WMO-No. 8, Guide to Instruments, annex on humidity formulae."""
    return 6.112 * exp(17.62 * celsius / (243.12 + celsius))
