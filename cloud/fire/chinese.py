"""A Chinese forest fire danger-weather rating: five levels with their colours. Pure.

The national standards (LY/T 1172-95, GB/T 36743-2018) do not publish all their tables. What is worked out here is the
adapted index of World Journal of Forestry 9 (2020), 10.12677/wjf.2020.93016: its points for the day's highest
temperature, humidity and wind at 14 h, days without rain, and the day's rain, which is taken off; its further table,
of the day's strongest wind, is not used, as the wind counts already. The sum is divided into levels by the bounds of
LY/T 1172-95.
"""

from bisect import bisect_left, bisect_right
from math import floor

from msgspec import Struct

SOURCE = "World Journal of Forestry 2020, 10.12677/wjf.2020.93016 (adapted), levels of LY/T 1172-95"
DRY_MM = 0.1
"""So much rain at most in a day, and it counts as dry."""
MAX_DRY_DAYS = 10
COLOURS = ("green", "blue", "yellow", "orange", "red")
"""Of the levels 1 to 5. Source: QX/T 77-2007."""

_TEMPERATURES_C = (5.0, 10.0, 15.0, 20.0, 25.0)
_HUMIDITIES_PCT = (25, 35, 45, 55, 65)
_BEAUFORT_MPS = (0.3, 1.6, 3.4, 5.5, 8.0, 10.8, 13.9, 17.2)
_RAINS_MM = (10.0, 17.0, 25.0, 38.0, 75.0)
# The last value of each level but the highest.
_LEVELS = (25, 50, 72, 90)
_FIRST_SIGNAL = 3


class DayWeather(Struct, frozen=True):
    """What the rating asks of a day.

    Attributes:
        max_temp_c: the day's highest temperature.
        rh_pct: relative humidity at 14 h.
        wind_mps: mean wind at 14 h, 10 m above the ground.
        rain_mm: of the 24 hours before.
        dry_days: days since the last rain, today among them; 0: it rained.
    """

    max_temp_c: float
    rh_pct: float
    wind_mps: float
    rain_mm: float
    dry_days: int


class Rating(Struct, frozen=True):
    """The rating of one day.

    Attributes:
        index: points, from 0.
        level: 1 (no danger) to 5 (extreme).
        colour: on maps and flags.
        signal: the early-warning signal's colour; "" below level 3, for which there is none.
    """

    index: int
    level: int
    colour: str
    signal: str


def rate(day: DayWeather) -> Rating:
    """Rate a day."""
    points = 4 * bisect_left(_TEMPERATURES_C, day.max_temp_c)
    points += 20 - 4 * bisect_right(_HUMIDITIES_PCT, floor(day.rh_pct + 0.5))
    points += 5 * min(day.dry_days, MAX_DRY_DAYS)
    points += 5 * max(1, beaufort(day.wind_mps))
    if day.rain_mm > DRY_MM:
        points -= 25 + 5 * bisect_right(_RAINS_MM, day.rain_mm)
    index = max(0, points)
    level = 1 + bisect_left(_LEVELS, index)
    colour = COLOURS[level - 1]
    return Rating(index, level, colour, colour if level >= _FIRST_SIGNAL else "")


def beaufort(wind_mps: float) -> int:
    """Tell the wind force, 0 to 8; what is stronger counts as 8."""
    return bisect_right(_BEAUFORT_MPS, wind_mps)


def dry_days_after(before: int, rain_mm: float) -> int:
    """Count one day on; beyond `MAX_DRY_DAYS` nothing changes any more."""
    return 0 if rain_mm > DRY_MM else min(before + 1, MAX_DRY_DAYS)
