"""The Canadian Forest Fire Weather Index: from yesterday's codes and today's noon weather to today's. Pure.

Source: Van Wagner and Pickett 1985, Equations and FORTRAN program for the Canadian Forest Fire Weather Index System
(Forestry Technical Report 33), with their constant 147.2 for the moisture of fine fuel; newer programs use 147.2773,
which misses the published table by up to 0.3. Latitudes: Lawson and Armitage 2008, Weather Guide for the Canadian
Forest Fire Danger Rating System.
"""

from math import exp, log, pow, sqrt  # noqa: A004 - the float power; ** is anything

from msgspec import Struct

FFMC_CONSTANT = 147.2
MAX_FFMC = 101.0
# At 100 % the equilibria of the newer programs have no logarithm; they and we stop just below.
_MAX_RH_PCT = 99.9999
_COLDEST_DMC_C = -1.1
_COLDEST_DC_C = -2.8

# Effective day lengths of the duff moisture code, by month, from the north down: 46 N, 20 N, 20 S, 40 S.
_DAY_NORTH = (6.5, 7.5, 9.0, 12.8, 13.9, 13.9, 12.4, 10.9, 9.4, 8.0, 7.0, 6.0)
_DAY_NORTH_TROPICS = (7.9, 8.4, 8.9, 9.5, 9.9, 10.2, 10.1, 9.7, 9.1, 8.6, 8.1, 7.8)
_DAY_EQUATOR = 9.0
_DAY_SOUTH_TROPICS = (10.1, 9.6, 9.1, 8.5, 8.1, 7.8, 7.9, 8.3, 8.9, 9.4, 9.9, 10.2)
_DAY_SOUTH = (11.5, 10.5, 9.2, 7.9, 6.8, 6.2, 6.5, 7.4, 8.7, 10.0, 11.2, 11.8)
# Day length adjustments of the drought code, by month.
_DROUGHT_NORTH = (-1.6, -1.6, -1.6, 0.9, 3.8, 5.8, 6.4, 5.0, 2.4, 0.4, -1.6, -1.6)
_DROUGHT_EQUATOR = 1.4
_DROUGHT_SOUTH = (6.4, 5.0, 2.4, 0.4, -1.6, -1.6, -1.6, -1.6, -1.6, 0.9, 3.8, 5.8)


class Codes(Struct, frozen=True):
    """What is carried from day to day; the defaults are those of a start in spring.

    Attributes:
        ffmc: fine fuel moisture code, 0 to 101.
        dmc: duff moisture code, from 0.
        dc: drought code, from 0.
    """

    ffmc: float = 85.0
    dmc: float = 6.0
    dc: float = 15.0


START = Codes()


class Weather(Struct, frozen=True):
    """The weather at noon, local standard time.

    Attributes:
        temp_c: of the air, in the shade.
        rh_pct: relative humidity, from 0; what is above 100 counts as saturated.
        wind_kmh: mean of ten minutes, 10 m above the ground, from 0.
        rain_mm: of the 24 hours before, from 0.
    """

    temp_c: float
    rh_pct: float
    wind_kmh: float
    rain_mm: float


class Indices(Struct, frozen=True):
    """The system's outputs of one day; `codes` are for the next one.

    Attributes:
        codes: the three moisture codes.
        isi: initial spread index.
        bui: build-up index.
        fwi: fire weather index.
        dsr: daily severity rating.
    """

    codes: Codes
    isi: float
    bui: float
    fwi: float
    dsr: float


def next_day(codes: Codes, weather: Weather, *, month: int, latitude_deg: float) -> Indices:
    """Work out one day.

    Args:
        codes: of the day before.
        weather: at noon.
        month: 1 to 12.
        latitude_deg: north positive; see `day_length_h` and `drought_adjustment`.
    """
    after = Codes(
        ffmc=next_ffmc(codes.ffmc, weather),
        dmc=next_dmc(codes.dmc, weather, day_length_h=day_length_h(latitude_deg, month)),
        dc=next_dc(codes.dc, weather, adjustment=drought_adjustment(latitude_deg, month)),
    )
    isi = initial_spread(after.ffmc, weather.wind_kmh)
    bui = build_up(after.dmc, after.dc)
    fwi = fire_weather(isi, bui)
    return Indices(after, isi, bui, fwi, severity_rating(fwi))


def day_length_h(latitude_deg: float, month: int) -> float:
    """Look up the effective day length of the duff moisture code."""
    if latitude_deg >= 30:  # noqa: PLR2004 - the tables' own bounds
        return _DAY_NORTH[month - 1]
    if latitude_deg > 10:  # noqa: PLR2004
        return _DAY_NORTH_TROPICS[month - 1]
    if latitude_deg >= -10:  # noqa: PLR2004
        return _DAY_EQUATOR
    return _DAY_SOUTH_TROPICS[month - 1] if latitude_deg >= -30 else _DAY_SOUTH[month - 1]  # noqa: PLR2004


def drought_adjustment(latitude_deg: float, month: int) -> float:
    """Look up the day length adjustment of the drought code."""
    if latitude_deg >= 20:  # noqa: PLR2004 - the tables' own bounds
        return _DROUGHT_NORTH[month - 1]
    return _DROUGHT_SOUTH[month - 1] if latitude_deg <= -20 else _DROUGHT_EQUATOR  # noqa: PLR2004


def next_ffmc(ffmc: float, weather: Weather) -> float:
    """Work out the fine fuel moisture code: equations 1 to 10."""
    moisture = moisture_of(ffmc)
    if weather.rain_mm > 0.5:  # noqa: PLR2004 - what the canopy keeps
        moisture = wetted(moisture, weather.rain_mm - 0.5)
    rate = 0.581 * exp(0.0365 * weather.temp_c)
    return ffmc_of(dried(moisture, weather, rate=rate))


def moisture_of(ffmc: float) -> float:
    """Turn a fine fuel moisture code into percent of moisture."""
    return FFMC_CONSTANT * (101.0 - ffmc) / (59.5 + ffmc)


def ffmc_of(moisture_pct: float) -> float:
    """Turn percent of moisture into a fine fuel moisture code, 0 to 101."""
    return min(MAX_FFMC, max(0.0, 59.5 * (250.0 - moisture_pct) / (FFMC_CONSTANT + moisture_pct)))


def wetted(moisture_pct: float, rain_mm: float) -> float:
    """Add rain that reaches the fine fuel, more than 0 mm: equation 3."""
    wet = moisture_pct + 42.5 * rain_mm * exp(-100.0 / (251.0 - moisture_pct)) * (1.0 - exp(-6.93 / rain_mm))
    if moisture_pct > 150:  # noqa: PLR2004 - the equation's
        wet += 0.0015 * pow(moisture_pct - 150.0, 2) * sqrt(rain_mm)
    return min(250.0, wet)


def dried(moisture_pct: float, weather: Weather, *, rate: float, hours: float = 1.0) -> float:
    """Let fine fuel dry or take up moisture towards its equilibrium: equations 4 to 9.

    Args:
        moisture_pct: before.
        weather: its rain is not looked at.
        rate: of drying by temperature, a day or an hour.
        hours: so many of that time.
    """
    rh = min(weather.rh_pct, _MAX_RH_PCT)
    common = 0.18 * (21.1 - weather.temp_c) * (1.0 - exp(-0.115 * rh))
    damp = exp((rh - 100.0) / 10.0)
    drying_to = 0.942 * pow(rh, 0.679) + 11.0 * damp + common
    if moisture_pct > drying_to:
        speed = _speed(rh / 100.0, weather.wind_kmh)
        return drying_to + (moisture_pct - drying_to) * pow(10.0, -speed * rate * hours)
    wetting_to = 0.618 * pow(rh, 0.753) + 10.0 * damp + common
    if moisture_pct < wetting_to:
        speed = _speed((100.0 - rh) / 100.0, weather.wind_kmh)
        return wetting_to - (wetting_to - moisture_pct) * pow(10.0, -speed * rate * hours)
    return moisture_pct


def _speed(share: float, wind_kmh: float) -> float:
    return 0.424 * (1.0 - pow(share, 1.7)) + 0.0694 * sqrt(wind_kmh) * (1.0 - pow(share, 8))


def next_dmc(dmc: float, weather: Weather, *, day_length_h: float) -> float:
    """Work out the duff moisture code: equations 11 to 17."""
    if weather.rain_mm > 1.5:  # noqa: PLR2004 - what does not reach the duff
        dmc = _duff_after_rain(dmc, weather.rain_mm)
    rh = min(weather.rh_pct, _MAX_RH_PCT)
    temp_c = max(weather.temp_c, _COLDEST_DMC_C)
    return dmc + 100.0 * 1.894e-6 * (temp_c + 1.1) * (100.0 - rh) * day_length_h


def _duff_after_rain(dmc: float, rain_mm: float) -> float:
    effective_mm = 0.92 * rain_mm - 1.27
    moisture = 20.0 + exp(5.6348 - dmc / 43.43)
    if dmc <= 33:  # noqa: PLR2004 - the equation's three branches
        slope = 100.0 / (0.5 + 0.3 * dmc)
    elif dmc <= 65:  # noqa: PLR2004
        slope = 14.0 - 1.3 * log(dmc)
    else:
        slope = 6.2 * log(dmc) - 17.2
    wet = moisture + 1000.0 * effective_mm / (48.77 + slope * effective_mm)
    return max(0.0, 244.72 - 43.43 * log(wet - 20.0))


def next_dc(dc: float, weather: Weather, *, adjustment: float) -> float:
    """Work out the drought code: equations 18 to 23."""
    if weather.rain_mm > 2.8:  # noqa: PLR2004 - what does not reach the deep layer
        effective_mm = 0.83 * weather.rain_mm - 1.27
        dc = max(0.0, 400.0 * log(800.0 / (800.0 * exp(-dc / 400.0) + 3.937 * effective_mm)))
    temp_c = max(weather.temp_c, _COLDEST_DC_C)
    return dc + 0.5 * max(0.0, 0.36 * (temp_c + 2.8) + adjustment)


def initial_spread(ffmc: float, wind_kmh: float) -> float:
    """Work out the initial spread index: equations 24 to 26."""
    moisture = moisture_of(ffmc)
    fuel = 91.9 * exp(-0.1386 * moisture) * (1.0 + pow(moisture, 5.31) / 4.93e7)
    return 0.208 * exp(0.05039 * wind_kmh) * fuel


def build_up(dmc: float, dc: float) -> float:
    """Work out the build-up index: equation 27."""
    if dmc + 0.4 * dc == 0:
        return 0.0
    if dmc <= 0.4 * dc:
        return 0.8 * dmc * dc / (dmc + 0.4 * dc)
    return max(0.0, dmc - (1.0 - 0.8 * dc / (dmc + 0.4 * dc)) * (0.92 + pow(0.0114 * dmc, 1.7)))


def fire_weather(isi: float, bui: float) -> float:
    """Work out the fire weather index: equations 28 to 30."""
    duff = 0.626 * pow(bui, 0.809) + 2.0 if bui <= 80 else 1000.0 / (25.0 + 108.64 * exp(-0.023 * bui))  # noqa: PLR2004
    intensity = 0.1 * isi * duff
    return exp(2.72 * pow(0.434 * log(intensity), 0.647)) if intensity > 1 else intensity


def severity_rating(fwi: float) -> float:
    """Work out the daily severity rating: equation 31."""
    return 0.0272 * pow(fwi, 1.77)
