"""A station's readings out of InfluxDB."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from cloud.fire.noon import DAY_US, HOUR_US, Limits, RainKind, Reading, Readings
from cloud.fire.settings import Fire
from cloud.fire.stations import Station
from cloud.influx.lines import MEASUREMENT, field_key
from cloud.influx.query import InfluxReader, quote_ident, quote_text

MAX_READINGS = 200_000
"""Of one question: a day of two readings a second."""


class Span(Struct, frozen=True):
    """A time, the end excluded, microseconds UTC."""

    from_us: int
    until_us: int


def span_of(noon_us: int) -> Span:
    """Tell which readings a day's observation asks for: a day and two hours before noon, until after 15 h."""
    return Span(noon_us - DAY_US - 2 * HOUR_US, noon_us + 3 * HOUR_US + 1)


def limits_of(station: Station, fire: Fire) -> Limits:
    """Make the limits of a station's readings."""
    return Limits(
        window_us=round(fire.window_s * 1e6),
        frozen_us=round(fire.frozen_s * 1e6),
        rain_kind=RainKind(station.rain_kind),
        rain_wrap_mm=station.rain_wrap_mm,
    )


async def read_span(reader: InfluxReader, station: Station, span: Span, *, before_us: int) -> Readings:
    """Read a station's points in a time, and its rain counter before it, as far back as `before_us`.

    Raises:
        DatabaseAwayError, HoldError, DatabaseRefusedError: as `InfluxReader.query`.
    """
    points = {key: field_key(key) for key in _points(station)}
    columns = ", ".join(f"{quote_ident(name)} AS {quote_ident(f'f{at}')}" for at, name in enumerate(points.values()))
    where = f'"gateway" = {quote_text(station.gateway)} AND "device" = {quote_text(station.device)}'
    time = f"time >= {span.from_us}u AND time < {span.until_us}u"
    # The last rows, should there be more than anybody needs: noon is nearer to the end.
    told = f"SELECT {columns} FROM {quote_ident(MEASUREMENT)} WHERE {where} AND {time} "  # noqa: S608 - all is quoted
    series = await reader.query(f"{told} ORDER BY time DESC LIMIT {MAX_READINGS}")
    found = _columns(list(points), [row for one in series for row in one.values])
    rain_before = None
    if station.rain_kind == RainKind.COUNTER:
        earlier = f"time >= {before_us}u AND time < {span.from_us}u"
        rain = quote_ident(points[station.rain])
        asked = f"SELECT last({rain}) FROM {quote_ident(MEASUREMENT)} WHERE {where} AND {earlier}"  # noqa: S608
        rows = [row for one in await reader.query(asked) for row in one.values]
        rain_before = _reading(rows[0][0], rows[0][1]) if rows else None
    wind = [(at_us, value * station.kmh) for at_us, value in found[station.wind]]
    return Readings(
        temp_c=found[station.temperature],
        rh_pct=found[station.humidity],
        wind_kmh=wind,
        force=found[station.wind_force] if station.wind_force else (),
        rain_mm=found[station.rain],
        rain_before=rain_before,
    )


def _points(station: Station) -> list[str]:
    named = (station.temperature, station.humidity, station.wind, station.wind_force, station.rain)
    return list(dict.fromkeys(one for one in named if one))


def _columns(points: Sequence[str], rows: Sequence[Sequence[object]]) -> Mapping[str, list[Reading]]:
    """Turn rows, the latest first, into readings by point, the earliest first; what is no number is left out."""
    found: dict[str, list[Reading]] = {point: [] for point in points}
    for row in reversed(rows):
        for point, value in zip(points, row[1:], strict=True):
            if (reading := _reading(row[0], value)) is not None:
                found[point].append(reading)
    return found


def _reading(at_us: object, value: object) -> Reading | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (at_us, float(value)) if is_number and isinstance(at_us, int) and isinstance(value, int | float) else None
