"""The fine fuel moisture code by the hour. Pure.

Source: Van Wagner 1977, A method of computing fine fuel moisture content throughout the diurnal cycle (Information
Report PS-X-69): the daily equations with all rain counted, none held back by the canopy, and a tenth of the rate.
"""

from math import exp

from cloud.fire.fwi import Weather, dried, ffmc_of, moisture_of, wetted

_RATE_PER_H = 0.0579


def next_hour(ffmc: float, weather: Weather, *, hours: float = 1.0) -> float:
    """Work out the fine fuel moisture code some hours on.

    Args:
        ffmc: before, 0 to 101.
        weather: of the time between; `rain_mm` is what fell in it.
        hours: how long that was.
    """
    return ffmc_of(moisture_after(moisture_of(ffmc), weather, hours=hours))


def moisture_after(moisture_pct: float, weather: Weather, *, hours: float = 1.0) -> float:
    """Work out percent of moisture of fine fuel some hours on; see `next_hour`."""
    if weather.rain_mm > 0:
        moisture_pct = wetted(moisture_pct, weather.rain_mm)
    return dried(moisture_pct, weather, rate=_RATE_PER_H * exp(0.0365 * weather.temp_c), hours=hours)
