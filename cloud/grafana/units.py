"""The unit of a profile's point as Grafana calls it. Pure.

Source: RFC 8428 12.1 and RFC 8798 for ours; "Standard options, Unit" and the units of Grafana 12 for theirs.
"""

NONE = "none"
"""A number without unit."""

_IDS = {
    "m": "lengthm", "kg": "masskg", "g": "massg", "s": "s", "A": "amp", "K": "kelvin", "cd": "candela", "Hz": "hertz",
    "rad": "radian", "N": "forceN", "Pa": "pressurepa", "J": "joule", "W": "watt", "V": "volt", "F": "farad",
    "Ohm": "ohm", "H": "henry", "Cel": "celsius", "lm": "lumens", "lx": "lux", "Bq": "radbq", "Gy": "radgy",
    "Sv": "radsv", "m2": "areaM2", "m3": "m3", "l": "litre", "m/s": "velocityms", "m/s2": "accMS2",
    "m3/s": "flowcms", "W/m2": "Wm2", "bit": "decbits", "bit/s": "bps", "lat": "degree", "lon": "degree", "dB": "dB",
    "count": "short", "beats": "short", "/": NONE, "%": "percent", "%RH": "humidity", "%EL": "percent", "EL": "s",
    "1/s": "cps", "1/min": "cpm", "B": "decbytes", "VA": "voltamp", "var": "voltampreact", "deg": "degree",
    "ms": "ms", "min": "m", "h": "h", "kW": "kwatt", "kVA": "kvoltamp", "kvar": "kvoltampreact", "Ah": "amph",
    "Wh": "watth", "kWh": "kwatth", "KiB": "kbytes", "GB": "decgbytes", "Mbit/s": "Mbits", "B/s": "Bps",
    "MB/s": "MBs", "mV": "mvolt", "mA": "mamp", "dBm": "dBm", "ug/m3": "conμgm3", "ppm": "ppm", "/100": "percent",
    "hPa": "pressurehpa", "mm": "lengthmm", "km": "lengthkm", "km/h": "velocitykmh",
}  # fmt: skip
# What Grafana has no unit for is written behind the number as it is.
_WRITTEN = {"pH": "prefix:pH ", "beat/min": "suffix: bpm", "/1000": "suffix: ‰", "kg/m3": "suffix: kg/m³"}


def unit_of(senml: str | None) -> str:
    """Name Grafana's unit; one it does not have is written behind the number.

    Args:
        senml: as in a profile; None for a point without unit.
    """
    if senml is None:
        return NONE
    return _IDS.get(senml) or _WRITTEN.get(senml) or f"suffix: {senml}"
