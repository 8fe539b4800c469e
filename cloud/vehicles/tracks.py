"""Where a vehicle was: its exact points out of InfluxDB, page by page, and made fewer for a map."""

from collections.abc import AsyncIterator, Sequence
from math import isfinite
from typing import Any, Protocol

from msgspec import Struct

from cloud.geo import Spot, distance_m, weigh
from cloud.influx.lines import MEASUREMENT, field_key
from cloud.influx.query import Series, quote_ident, quote_text
from cloud.vehicles.errors import TrackSpanError

PAGE = 5_000
"""So many points are asked for at once; a page of an export is what it holds in memory."""
MAX_SHOWN = 200_000
"""A track with more points is not made fewer: ask for less time."""
STOP_S = 180.0
STOP_M = 60.0
"""Who stays this long within this distance has stopped."""
_FIELDS = {
    "latitude": "latitude_deg",
    "longitude": "longitude_deg",
    "vehicle_speed": "speed_kmh",
    "course": "course_deg",
    "altitude": "altitude_m",
    "fix": "is_fixed",
}


class TrackPoint(Struct, frozen=True, gc=False):
    """One report as it is stored; None where it did not say."""

    at_us: int
    latitude_deg: float
    longitude_deg: float
    speed_kmh: float | None = None
    course_deg: float | None = None
    altitude_m: float | None = None
    is_fixed: bool | None = None

    @property
    def spot(self) -> Spot:
        """Where."""
        return Spot(self.latitude_deg, self.longitude_deg)


class Stop(Struct, frozen=True):
    """Points `first` to `last` lie in one place; indices."""

    first: int
    last: int


class Reader(Protocol):
    """What is asked; `cloud.influx.query.InfluxReader`."""

    async def query(self, influxql: str) -> list[Series]:
        """Ask one question."""


def check_span(from_us: int, until_us: int, *, span_days: float) -> None:
    """Refuse a span of time that is none, or too long.

    Raises:
        TrackSpanError: see there.
    """
    if until_us <= from_us:
        raise TrackSpanError("the track ends before it begins")
    if until_us - from_us > span_days * 86_400e6:
        raise TrackSpanError(f"a track spans at most {span_days:g} days")


async def read_track(
    reader: Reader, gateway: str, device: str, *, from_us: int, until_us: int, page: int = PAGE
) -> AsyncIterator[list[TrackPoint]]:
    """Read a terminal's points by time, page by page; an empty page never comes.

    Args:
        reader: of the database with the readings.
        gateway: of the terminal.
        device: the terminal.
        from_us: microseconds UTC.
        until_us: no longer belongs to it.
        page: points a question.

    Raises:
        DatabaseAwayError, HoldError, DatabaseRefusedError: as the reader does.
    """
    columns = ", ".join(quote_ident(field_key(name)) for name in _FIELDS)
    where = f"gateway = {quote_text(gateway)} AND device = {quote_text(device)}"
    next_us = from_us
    while True:
        # A question for fields gives every point that has any of them; those without a place are left out here.
        span = f"time >= {next_us}u AND time < {until_us}u"
        question = (
            f"SELECT {columns} FROM {quote_ident(MEASUREMENT)} WHERE {where} AND {span} ORDER BY time LIMIT {page}"  # noqa: S608 - names and texts are quoted
        )
        rows = [row for series in await reader.query(question) for row in _rows(series)]
        points = [point for row in rows if (point := _point(row)) is not None]
        if points:
            yield points
        if len(rows) < page:
            return
        next_us = rows[-1]["time"] + 1


def _rows(series: Series) -> list[dict[str, Any]]:
    return [dict(zip(series.columns, row, strict=False)) for row in series.values]


def _point(row: dict[str, Any]) -> TrackPoint | None:
    said = {ours: row.get(field_key(theirs)) for theirs, ours in _FIELDS.items()}
    numbers = {key: float(value) for key, value in said.items() if isinstance(value, int | float) and isfinite(value)}
    fixed = said["is_fixed"]
    if "latitude_deg" not in numbers or "longitude_deg" not in numbers:
        return None
    point = TrackPoint(
        at_us=row["time"],
        latitude_deg=numbers["latitude_deg"],
        longitude_deg=numbers["longitude_deg"],
        speed_kmh=numbers.get("speed_kmh"),
        course_deg=numbers.get("course_deg"),
        altitude_m=numbers.get("altitude_m"),
        is_fixed=None if fixed is None else bool(fixed),
    )
    return point if point.spot.is_sound else None


def find_stops(points: Sequence[TrackPoint]) -> list[Stop]:
    """Find where it stayed: from the first report in a place to the last before it left."""
    stops: list[Stop] = []
    first = 0
    for i in range(1, len(points) + 1):
        if i < len(points) and distance_m(points[first].spot, points[i].spot) <= STOP_M:
            continue
        if points[i - 1].at_us - points[first].at_us >= STOP_S * 1e6:
            stops.append(Stop(first, i - 1))
        first = i
    return stops


def thin(points: Sequence[TrackPoint], *, most: int, tolerance_m: float = 0.0) -> list[int]:
    """Choose the points that show a track best.

    The first and the last always stay, then beginnings and ends of stops, the longest first, as far as half of the room
    goes; then what the line would miss most (`cloud.geo.weigh`).

    Args:
        points: by time.
        most: so many stay; at least two.
        tolerance_m: what the line would miss by less than this goes even where there is room.

    Returns:
        Indices, rising.
    """
    ends = {0, len(points) - 1} if points else set()
    stops = sorted(find_stops(points), key=lambda one: points[one.first].at_us - points[one.last].at_us)
    for stop in stops[: max(0, (most // 2 - len(ends)) // 2)]:
        ends |= {stop.first, stop.last}
    worth = weigh([point.spot for point in points], tolerance_m)
    dear = sorted((at for at in worth if at not in ends), key=lambda at: (-worth[at], at))
    return sorted(ends | set(dear[: max(0, most - len(ends))]))
