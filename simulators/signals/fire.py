"""A fire front that moves with the wind, as each place notices it. Pure."""

from collections.abc import Mapping
from math import atan2, cos, exp, hypot, pi, radians, sqrt
from typing import Annotated

from msgspec import Meta, Struct

from contract.ids import Id
from contract.telemetry import Value
from device_profiles.codec import ValueKind
from simulators.signals.signal import Moment, Place

# Source: Cruz and Alexander 2019, "The 10% wind speed rule of thumb for estimating a wildfire's forward rate of
# spread in forests and shrublands", Annals of Forest Science 76:44.
_SPREAD_PER_WIND = 0.1
# A fire without wind creeps.
_CREEP_M_S = 0.02
_CLEAN_PM = 20.0
_THICK_PM = 900.0
_KMH_PER_M_S = 3.6

_PARTS = {
    "smoke": ValueKind.STATE,
    "temperature": ValueKind.NUMBER,
    "pm2_5": ValueKind.NUMBER,
    "distance": ValueKind.NUMBER,
}


class Fire(Struct, frozen=True, forbid_unknown_fields=True, tag_field="signal", tag="fire"):
    """A fire that begins somewhere and grows as an ellipse with the wind.

    Attributes:
        from_m: where it begins.
        starts_s: when, seconds of the story.
        weather: id of a weather whose wind it has (that of the moment it begins) and whose air it warms.
        wind, wind_from: m/s, and degrees the wind comes from; where no weather is named.
        ambient: temperature of the air, degrees Celsius; where no weather is named.
        rise: how much warmer it is at the front.
        smoke_m: smoke is noticed so far before the front.
        heat_m: so far before the front the warmth is down to a third.
    """

    id: Id
    from_m: Place
    starts_s: Annotated[float, Meta(ge=0.0)] = 0.0
    weather: Id | None = None
    wind: Annotated[float, Meta(ge=0.0, le=60.0)] = 5.0
    wind_from: Annotated[float, Meta(ge=0.0, le=360.0)] = 0.0
    ambient: Annotated[float, Meta(ge=-60.0, le=60.0)] = 20.0
    rise: Annotated[float, Meta(ge=0.0, le=1000.0)] = 60.0
    smoke_m: Annotated[float, Meta(gt=0.0, le=100_000.0)] = 400.0
    heat_m: Annotated[float, Meta(gt=0.0, le=100_000.0)] = 80.0

    @property
    def parts(self) -> Mapping[str, ValueKind]:
        """Smoke, temperature, fine dust, and the metres to the front (below 0 where it has passed)."""
        return _PARTS

    def value(self, part: str, moment: Moment) -> Value:
        """Tell one part at a place."""
        left_m = self._left_m(moment)
        match part:
            case "smoke":
                return left_m < self.smoke_m
            case "pm2_5":
                return _CLEAN_PM + _THICK_PM * exp(-max(0.0, left_m) / self.smoke_m)
            case "temperature":
                # Behind the front it glows on, three times as long as it warmed before.
                near = -left_m / self.heat_m if left_m >= 0 else left_m / (3 * self.heat_m)
                return self._ambient(moment) + self.rise * exp(near)
            case _:
                return left_m

    def arrival_s(self, moment: Moment) -> float:
        """Tell when the front reaches the moment's place, seconds of the story."""
        east, north = moment.at_m[0] - self.from_m[0], moment.at_m[1] - self.from_m[1]
        return self.starts_s + hypot(east, north) / self._pace(moment, east, north)

    def _left_m(self, moment: Moment) -> float:
        east, north = moment.at_m[0] - self.from_m[0], moment.at_m[1] - self.from_m[1]
        far = hypot(east, north)
        burnt_s = moment.t_s - self.starts_s
        # Before it begins there is no front anywhere.
        return far - self._pace(moment, east, north) * burnt_s if burnt_s >= 0 else 1e6

    def _pace(self, moment: Moment, east: float, north: float) -> float:
        """Tell the front's speed in a direction, m/s: an ellipse with the fire's beginning in a focus."""
        wind, wind_from = self._wind(moment)
        # Source: Forestry Canada Fire Danger Group 1992, Information Report ST-X-3, equation 79 (length to breadth).
        stretch = 1 + 8.729 * (1 - exp(-0.030 * wind * _KMH_PER_M_S)) ** 2.155
        eccentricity = sqrt(1 - 1 / stretch**2)
        off_downwind = atan2(east, north) - (radians(wind_from) + pi)
        return max(_CREEP_M_S, _SPREAD_PER_WIND * wind) * (1 - eccentricity) / (1 - eccentricity * cos(off_downwind))

    def _wind(self, moment: Moment) -> tuple[float, float]:
        weather = moment.others.get(self.weather or "")
        if weather is None:
            return self.wind, self.wind_from
        began = Moment(self.starts_s, moment.begins_s, seed=moment.seed)
        return float(weather.value("wind_speed", began)), float(weather.value("wind_direction", began))

    def _ambient(self, moment: Moment) -> float:
        weather = moment.others.get(self.weather or "")
        return self.ambient if weather is None else float(weather.value("temperature", moment))
