"""From a station's stored readings to its noon observation, each value judged before it may drive anything. Pure.

Noon is 12:00 local standard time, without daylight saving. Temperature and humidity are the readings nearest to noon,
wind the mean of the ten minutes around it, rain the sum of the 24 hours up to it. A value that is missing, has not
moved for too long, or cannot be, is kept with its verdict and does not count.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from msgspec import Struct

from cloud.fire.chinese import beaufort
from cloud.fire.days import Noon
from cloud.fire.observations import MAX_WIND_KMH

Reading = tuple[int, float]
"""When, microseconds UTC, and what."""

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
_WIND_HALF_US = 300_000_000
_TEMPERATURES_C = (-60.0, 60.0)
# Capacitive sensors read a little over 100 when they are wet; 140 is a fault.
_MOST_RH_PCT = 105.0
_SATURATED_PCT = 99.5
# No station has measured more in an hour than 200 mm (Zhengzhou 2021) but a few.
_MOST_RAIN_MM_PER_H = 250.0
_MOST_RAIN_MM = 1_000.0
# So far counters go back by themselves: the last digit of a float.
_JITTER_MM = 0.5
_FORCES_OFF = 3
# Fewer readings than this say nothing of a frozen sensor.
_FROZEN_READINGS = 6
# Rain that fell at once is no longer among that of the last 24 hours after these.
_FROZEN_RAIN_US = DAY_US + HOUR_US // 2
# Calm and fog last longer than a value that should wander.
_LASTING = 4


class Verdict(StrEnum):
    """Whether a value can be believed; stored."""

    GOOD = "good"
    MISSING = "missing"
    FROZEN = "frozen"
    """It has not moved for too long."""
    IMPOSSIBLE = "impossible"
    UNIT = "unit"
    """Wind that no station has, or that does not go with its own wind force: it is in another unit."""


class RainKind(StrEnum):
    """What a rain point tells; stored."""

    COUNTER = "counter"
    """All since the last clearing."""
    LAST_24H = "24h"
    """Of the last 24 hours."""


class Judged(Struct, frozen=True):
    """One value as it was read, and what is to be thought of it."""

    value: float | None = None
    verdict: Verdict = Verdict.MISSING

    @property
    def believed(self) -> float | None:
        """The value when it is good."""
        return self.value if self.verdict is Verdict.GOOD else None


class Readings(Struct, frozen=True):
    """A station's readings from 26 hours before noon until 15 h, each list by time.

    Attributes:
        wind_kmh: in km/h, whatever the station's own unit.
        force: Beaufort, where the station tells it beside the wind.
        rain_mm: of the station's kind.
        rain_before: the last reading of a counter before all these.
    """

    temp_c: Sequence[Reading] = ()
    rh_pct: Sequence[Reading] = ()
    wind_kmh: Sequence[Reading] = ()
    force: Sequence[Reading] = ()
    rain_mm: Sequence[Reading] = ()
    rain_before: Reading | None = None


class Limits(Struct, frozen=True):
    """How readings are taken.

    Attributes:
        window_us: so far from its hour a reading may be.
        frozen_us: a value that has not moved for so long is frozen; calm and saturated air after four times that.
        rain_kind: see there.
        rain_wrap_mm: where a counter begins again at 0; None: it is only cleared.
    """

    window_us: int = HOUR_US
    frozen_us: int = 6 * HOUR_US
    rain_kind: RainKind = RainKind.COUNTER
    rain_wrap_mm: float | None = None


class Picked(Struct, frozen=True):
    """What was taken for one day.

    Attributes:
        noon_at_us: of the temperature's reading; None without one.
        max_temp_c, afternoon_rh_pct, afternoon_wind_kmh: for the Chinese rating, of the day until 15 h and at 14 h;
            None until then, and where they cannot be believed.
    """

    noon_at_us: int | None = None
    temp: Judged = Judged()
    rh: Judged = Judged()
    wind: Judged = Judged()
    rain: Judged = Judged()
    max_temp_c: float | None = None
    afternoon_rh_pct: float | None = None
    afternoon_wind_kmh: float | None = None

    @property
    def noon(self) -> Noon:
        """What can be believed of it."""
        return Noon(self.temp.believed, self.rh.believed, self.wind.believed, self.rain.believed)

    @property
    def is_good(self) -> bool:
        """Whether all of it can be believed."""
        return self.noon.weather is not None


def standard_offset_s(zone: ZoneInfo, day: date) -> int:
    """Tell how far a zone's standard time is ahead of UTC on a day, daylight saving left out."""
    noon = datetime.combine(day, time(12), zone)
    offset, saving = noon.utcoffset() or timedelta(), noon.dst() or timedelta()
    return round((offset - saving).total_seconds())


def noon_of(day: date, offset_s: int) -> int:
    """Tell when it is noon, microseconds UTC."""
    at = datetime.combine(day, time(12), UTC) - timedelta(seconds=offset_s)
    return round(at.timestamp()) * 1_000_000


def day_of(at_us: int, offset_s: int) -> date:
    """Tell the day by local standard time."""
    return (datetime.fromtimestamp(at_us // 1_000_000, UTC) + timedelta(seconds=offset_s)).date()


def pick(readings: Readings, noon_us: int, limits: Limits, *, now_us: int | None = None) -> Picked:
    """Take the observation of one noon, and of its afternoon once that is over.

    Args:
        readings: of the day.
        noon_us: see `noon_of`.
        limits: how they are taken.
        now_us: the clock; None: the day is over.
    """
    at = nearest(readings.temp_c, noon_us, limits.window_us)
    afternoon_us = noon_us + 2 * HOUR_US
    until_us = noon_us + 3 * HOUR_US
    rh = judge_humidity(readings.rh_pct, afternoon_us, limits).believed
    wind = judge_wind(readings, afternoon_us, limits).believed
    highest = [
        value for at_us, value in readings.temp_c if noon_us - DAY_US // 2 <= at_us < until_us and _is_air(value)
    ]
    # What is read soon after noon lies near enough to 14 h, and is another weather.
    is_over = now_us is None or now_us >= until_us
    is_afternoon = is_over and rh is not None and wind is not None
    return Picked(
        noon_at_us=at[0] if at else None,
        temp=judge_temperature(readings.temp_c, noon_us, limits),
        rh=judge_humidity(readings.rh_pct, noon_us, limits),
        wind=judge_wind(readings, noon_us, limits),
        rain=judge_rain(readings, noon_us - DAY_US, noon_us, limits),
        max_temp_c=max(highest) if is_afternoon and highest else None,
        afternoon_rh_pct=rh if is_afternoon else None,
        afternoon_wind_kmh=wind if is_afternoon else None,
    )


def nearest(readings: Sequence[Reading], at_us: int, within_us: int) -> Reading | None:
    """Find the reading nearest to a moment, the earlier of two as near; None: none is near enough."""
    index = bisect_left(readings, at_us, key=_when)
    around = readings[max(0, index - 1) : index + 1]
    found = min(around, key=lambda one: (abs(one[0] - at_us), one[0]), default=None)
    return found if found and abs(found[0] - at_us) <= within_us else None


def judge_temperature(readings: Sequence[Reading], at_us: int, limits: Limits) -> Judged:
    """Judge the temperature nearest to a moment."""
    found = nearest(readings, at_us, limits.window_us)
    if found is None:
        return Judged()
    if not _is_air(found[1]):
        return Judged(found[1], Verdict.IMPOSSIBLE)
    return Judged(found[1], _moving(readings, found, limits.frozen_us))


def judge_humidity(readings: Sequence[Reading], at_us: int, limits: Limits) -> Judged:
    """Judge the humidity nearest to a moment; a little over 100 % is 100."""
    found = nearest(readings, at_us, limits.window_us)
    if found is None:
        return Judged()
    if not 0 < found[1] <= _MOST_RH_PCT:
        return Judged(found[1], Verdict.IMPOSSIBLE)
    lasting = _LASTING if found[1] >= _SATURATED_PCT else 1
    return Judged(min(found[1], 100.0), _moving(readings, found, lasting * limits.frozen_us))


def judge_wind(readings: Readings, at_us: int, limits: Limits) -> Judged:
    """Judge the mean wind of ten minutes around the reading nearest to a moment."""
    found = nearest(readings.wind_kmh, at_us, limits.window_us)
    if found is None:
        return Judged()
    ten_minutes = _between(readings.wind_kmh, found[0] - _WIND_HALF_US, found[0] + _WIND_HALF_US + 1)
    around = [value for _, value in ten_minutes]
    mean = sum(around) / len(around)
    if min(around) < 0:
        return Judged(mean, Verdict.IMPOSSIBLE)
    force = nearest(readings.force, found[0], limits.window_us)
    if max(around) > MAX_WIND_KMH or (force and abs(beaufort(mean / 3.6) - min(force[1], 8)) >= _FORCES_OFF):
        return Judged(mean, Verdict.UNIT)
    lasting = _LASTING if found[1] == 0 else 1
    return Judged(mean, _moving(readings.wind_kmh, found, lasting * limits.frozen_us))


def judge_rain(readings: Readings, from_us: int, until_us: int, limits: Limits) -> Judged:
    """Judge the rain of a time; a counter's may have begun before, if nobody heard it meanwhile."""
    if limits.rain_kind is RainKind.LAST_24H:
        found = nearest(readings.rain_mm, until_us, limits.window_us)
        if found is None:
            return Judged()
        if not 0 <= found[1] <= _MOST_RAIN_MM:
            return Judged(found[1], Verdict.IMPOSSIBLE)
        return Judged(found[1], _moving(readings.rain_mm, found, _FROZEN_RAIN_US) if found[1] else Verdict.GOOD)
    steps = _between(readings.rain_mm, from_us + 1, until_us + 1)
    index = bisect_left(readings.rain_mm, from_us + 1, key=_when)
    base = readings.rain_mm[index - 1] if index else readings.rain_before
    if not steps or steps[-1][0] < until_us - limits.window_us:
        return Judged()
    if base is None and steps[0][0] > from_us + limits.window_us:
        return Judged()
    return _counted([base, *steps] if base else steps, limits.rain_wrap_mm)


def _counted(counts: Sequence[Reading], wrap_mm: float | None) -> Judged:
    """Sum what a counter counted, over its wraps and clearings."""
    total = 0.0
    if any(value < 0 for _, value in counts):
        return Judged(None, Verdict.IMPOSSIBLE)
    for (before_us, before), (after_us, after) in pairwise(counts):
        fell = after - before
        if fell < -_JITTER_MM:
            # Near its end a counter has begun again; else somebody or a loss of power has cleared it.
            is_wrap = wrap_mm is not None and -fell > wrap_mm / 2
            fell = fell + wrap_mm if is_wrap and wrap_mm is not None else after
        if fell > _MOST_RAIN_MM_PER_H * max(1.0, (after_us - before_us) / HOUR_US):
            return Judged(fell, Verdict.IMPOSSIBLE)
        total += max(0.0, fell)
    return Judged(total, Verdict.GOOD if total <= _MOST_RAIN_MM else Verdict.IMPOSSIBLE)


def _between(readings: Sequence[Reading], from_us: int, until_us: int) -> Sequence[Reading]:
    """Take the readings of a time, its end excluded."""
    return readings[bisect_left(readings, from_us, key=_when) : bisect_left(readings, until_us, key=_when)]


def _when(reading: Reading) -> int:
    return reading[0]


def _is_air(temp_c: float) -> bool:
    return _TEMPERATURES_C[0] <= temp_c <= _TEMPERATURES_C[1]


def _moving(readings: Sequence[Reading], last: Reading, frozen_us: int) -> Verdict:
    """Tell whether a value has moved within a time before its last reading."""
    since_us, count = last[0], 0
    for index in range(bisect_left(readings, last[0], key=_when), -1, -1):
        at_us, value = readings[index]
        if value != last[1]:
            break
        since_us, count = at_us, count + 1
    is_frozen = last[0] - since_us >= frozen_us and count >= _FROZEN_READINGS
    return Verdict.FROZEN if is_frozen else Verdict.GOOD
