"""Places on the ground: WGS 84 latitude and longitude, great circles, outlines and lines made simpler. Pure.

Lengths and directions are those of a sphere of the ellipsoid's mean radius, which differ from the ellipsoid's by 0.56 %
at most: 6 m on a kilometre. All of them agree with each other, so that what is carried 500 m to the north lies 500 m to
the north. Longitudes of 180 and -180 degrees are one; every function may be used across it. At a pole every longitude
is the same place.

Source: E. Williams, Aviation Formulary (great circles); R. W. Sinnott, Virtues of the Haversine, Sky and Telescope 68,
1984; mean radius: H. Moritz, Geodetic Reference System 1980, Journal of Geodesy 74, 2000.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from math import acos, asin, atan2, cos, degrees, hypot, inf, isfinite, pi, radians, sin, sqrt
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from cloud.errors import GeoError

EARTH_RADIUS_M = 6_371_008.771_4
"""(2 a + b) / 3 of WGS 84."""
MAX_CORNERS = 2_000
"""Of an outline."""
_MIN_CORNERS = 3

_FULL_DEG = 360.0
_HALF_DEG = 180.0
_POLE_DEG = 90.0
# Two lines that meet at less are as good as parallel: where they cross is anybody's guess.
_PARALLEL = 1e-9


class Spot(Struct, frozen=True, gc=False):
    """A place on WGS 84: north and east are positive."""

    latitude_deg: float
    longitude_deg: float

    @property
    def is_sound(self) -> bool:
        """Whether it lies on the Earth: latitude within 90, longitude within 180 degrees."""
        return abs(self.latitude_deg) <= _POLE_DEG and abs(self.longitude_deg) <= _HALF_DEG


def distance_m(a: Spot, b: Spot) -> float:
    """Measure the way along the ground, metres; at most half round the Earth."""
    a_lat, b_lat = radians(a.latitude_deg), radians(b.latitude_deg)
    north = sin((b_lat - a_lat) / 2)
    east = sin(radians(b.longitude_deg - a.longitude_deg) / 2)
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(north * north + cos(a_lat) * cos(b_lat) * east * east)))


def bearing_deg(a: Spot, b: Spot) -> float:
    """Tell the direction in which the shortest way from `a` to `b` begins: 0 is north, 90 east, below 360.

    On a pole it is counted from the meridian of the longitude that the pole is said to have, as in `destination`; of a
    spot to itself it is 0.
    """
    a_lat, b_lat = radians(a.latitude_deg), radians(b.latitude_deg)
    east = radians(b.longitude_deg - a.longitude_deg)
    x = cos(a_lat) * sin(b_lat) - sin(a_lat) * cos(b_lat) * cos(east)
    return _turned(degrees(atan2(sin(east) * cos(b_lat), x)))


def destination(a: Spot, bearing_deg: float, distance_m: float) -> Spot:
    """Go from `a` into a direction; a great circle, over a pole where it leads there.

    Args:
        a: where to begin; on a pole directions are counted from the meridian of the longitude that it is said to have.
        bearing_deg: 0 is north, 90 east.
        distance_m: any length; below zero it is the way back.
    """
    angle, bearing, lat = distance_m / EARTH_RADIUS_M, radians(bearing_deg), radians(a.latitude_deg)
    sin_lat = max(-1.0, min(1.0, sin(lat) * cos(angle) + cos(lat) * sin(angle) * cos(bearing)))
    east = atan2(sin(bearing) * sin(angle) * cos(lat), cos(angle) - sin(lat) * sin_lat)
    return Spot(degrees(asin(sin_lat)), wrapped(a.longitude_deg + degrees(east)))


def wrapped(longitude_deg: float) -> float:
    """Bring a longitude to -180 (with) to 180 (without)."""
    return (longitude_deg + _HALF_DEG) % _FULL_DEG - _HALF_DEG


def crossing(a: Spot, a_bearing_deg: float, b: Spot, b_bearing_deg: float) -> Spot | None:
    """Find where two lines of sight cross, ahead of both.

    Returns:
        None where they are parallel, one runs through the place of the other, or they part: what crosses on the far
        side of the Earth only does not cross. Lines that are nearly parallel cross far away, and nobody knows where.
    """
    way_m = distance_m(a, b)
    if way_m < 1e-3:  # noqa: PLR2004 - one place: every line of sight crosses every other there
        return None
    # The two inner angles at the ends of the way from one to the other; both to one side of it, or they never meet.
    at_a = radians(_signed(a_bearing_deg - bearing_deg(a, b)))
    at_b = radians(_signed(bearing_deg(b, a) - b_bearing_deg))
    alpha, beta = abs(at_a), abs(at_b)
    if at_a * at_b <= 0 or min(sin(alpha), sin(beta)) < _PARALLEL or alpha + beta > pi - _PARALLEL:
        return None
    angle = way_m / EARTH_RADIUS_M
    gamma = acos(max(-1.0, min(1.0, sin(alpha) * sin(beta) * cos(angle) - cos(alpha) * cos(beta))))
    across = sin(angle) * sin(alpha) * sin(beta)
    ahead = atan2(across, cos(beta) + cos(alpha) * cos(gamma))
    return destination(a, a_bearing_deg, ahead * EARTH_RADIUS_M)


def is_inside(spot: Spot, outline: Sequence[Spot]) -> bool:
    """Tell whether a spot lies in an outline, or on its line.

    Sides are straight in latitude and longitude (RFC 7946, 3.1.1) and take the shorter way round the Earth. Where sides
    cross, what is surrounded twice lies outside. An outline that runs round a pole holds nothing.

    Args:
        spot: anywhere.
        outline: corners in their order, at least three; the last is joined with the first.
    """
    # East of the spot, followed side by side, so that nothing jumps where the numbers of longitudes do.
    x = [_signed(outline[0].longitude_deg - spot.longitude_deg)]
    x += [_signed(b.longitude_deg - a.longitude_deg) for a, b in pairwise(outline)]
    x = list(accumulate(x))
    if abs(x[0] - x[-1]) > _HALF_DEG:
        return False
    y = [corner.latitude_deg - spot.latitude_deg for corner in outline]
    west, east = min(x), max(x)
    turns = (0.0, _FULL_DEG, -_FULL_DEG)
    return any(west <= at <= east and _is_inside([one - at for one in x], y) for at in turns)


def _is_inside(x: Sequence[float], y: Sequence[float]) -> bool:
    """Tell whether the origin lies in a polygon on a plane, or on its line: even-odd rule, a ray to the right."""
    is_odd = False
    for i in range(len(x)):
        x1, y1, x2, y2 = x[i - 1], y[i - 1], x[i], y[i]
        if (y1 > 0) == (y2 > 0) and y1 and y2:
            continue
        side = x1 * y2 - x2 * y1
        if side == 0 and min(x1, x2) <= 0 <= max(x1, x2) and min(y1, y2) <= 0 <= max(y1, y2):
            return True
        if (y1 > 0) != (y2 > 0) and (side > 0) == (y2 > y1):
            is_odd = not is_odd
    return is_odd


def off_line_m(spot: Spot, line: Sequence[Spot]) -> float:
    """Measure how far a spot lies from a line of straight sides, metres, on the plane that touches the spot.

    Good to a percent for what lies within 100 km of it.

    Args:
        spot: anywhere but on a pole.
        line: at least one corner; an outline that shall be closed ends where it begins.
    """
    by_north = radians(1.0) * EARTH_RADIUS_M
    by_east = by_north * cos(radians(spot.latitude_deg))
    x = [_signed(corner.longitude_deg - spot.longitude_deg) * by_east for corner in line]
    y = [(corner.latitude_deg - spot.latitude_deg) * by_north for corner in line]
    sides = zip(x, y, x[1:] or x, y[1:] or y, strict=False)
    return sqrt(min(_off2(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in sides))


def _off2(x: float, y: float, dx: float, dy: float) -> float:
    """Square the distance of the origin from a side that begins at x, y."""
    length2 = dx * dx + dy * dy
    share = -(x * dx + y * dy) / length2 if length2 else 0.0
    share = 0.0 if share < 0 else min(share, 1.0)
    x += share * dx
    y += share * dy
    return x * x + y * y


def simplify(spots: Sequence[Spot], tolerance_m: float) -> list[int]:
    """Leave out what a line may do without: nothing left out is farther from the line that stays than the tolerance.

    Ramer, Douglas and Peucker (1972, 1973).

    Args:
        spots: a line, neighbours less than half a world apart.
        tolerance_m: zero leaves out only what lies on the line.

    Returns:
        The indices of what stays, rising; the first and the last always do.
    """
    ends = {0, len(spots) - 1} if spots else set()
    return sorted(ends | {at for at, off_m in weigh(spots, tolerance_m).items() if off_m > tolerance_m})


def weigh(spots: Sequence[Spot], least_m: float) -> dict[int, float]:
    """Tell what each corner of a line is worth: up to which tolerance `simplify` keeps it.

    Who keeps the corners of the greatest worth has the line simplified to so many. Time grows with n log n for the ways
    of vehicles, with n squared at worst.

    Args:
        spots: as in `simplify`.
        least_m: what is worth less need not be told.

    Returns:
        Metres by index; not the first and the last, which are beyond price.
    """
    if len(spots) <= 2:  # noqa: PLR2004 - a line
        return {}
    steps = (b.longitude_deg - a.longitude_deg for a, b in pairwise(spots))
    east = list(accumulate((_signed(step) for step in steps), initial=spots[0].longitude_deg))
    north = [spot.latitude_deg for spot in spots]
    worth: dict[int, float] = {}
    parts = [(0, len(spots) - 1, inf)]
    while parts:
        first, last, of_side_m = parts.pop()
        off_m, at = _farthest(east, north, first, last)
        if off_m > least_m:
            # Never more than the side that it is a corner of: it stays only where that one does.
            worth[at] = off_m = min(off_m, of_side_m)
            parts += [(first, at, off_m), (at, last, off_m)]
    return worth


def _farthest(east: Sequence[float], north: Sequence[float], first: int, last: int) -> tuple[float, int]:
    """Find what lies farthest from the line between two, in metres, on the plane that touches the first of them."""
    a, b = east[first], north[first]
    by_north = radians(1.0) * EARTH_RADIUS_M
    by_east = by_north * cos(radians(b))
    x2, y2 = (east[last] - a) * by_east, (north[last] - b) * by_north
    length2 = x2 * x2 + y2 * y2
    worst, at = -1.0, first
    for i in range(first + 1, last):
        x, y = (east[i] - a) * by_east, (north[i] - b) * by_north
        share = (x * x2 + y * y2) / length2 if length2 else 0.0
        share = 0.0 if share < 0 else min(share, 1.0)
        x -= share * x2
        y -= share * y2
        if (off2 := x * x + y * y) > worst:
            worst, at = off2, i
    return sqrt(max(worst, 0.0)), at


_Pair = Annotated[list[float], Meta(min_length=2, max_length=3)]
_Ring = Annotated[list[_Pair], Meta(min_length=4, max_length=MAX_CORNERS + 1)]


class _Polygon(Struct, frozen=True, tag_field="type", tag="Polygon"):
    coordinates: Annotated[list[_Ring], Meta(min_length=1)]


class _Feature(Struct, frozen=True, tag_field="type", tag="Feature"):
    geometry: _Polygon


class _Collection(Struct, frozen=True, tag_field="type", tag="FeatureCollection"):
    features: Annotated[list[_Feature], Meta(min_length=1)]


_GeoJson = _Polygon | _Feature | _Collection


def parse_outline(geojson: bytes | str | Mapping[str, Any]) -> tuple[Spot, ...]:
    """Read an outline: a Polygon of GeoJSON (RFC 7946), alone, as a Feature, or as the only one of a collection.

    Returns:
        Its corners, each once, at most `MAX_CORNERS`.

    Raises:
        GeoError: it is none; it has holes; it is no area, or runs round a pole.
    """
    try:
        if isinstance(geojson, Mapping):
            found = msgspec.convert(geojson, _GeoJson)
        else:
            found = msgspec.json.decode(geojson, type=_GeoJson)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise GeoError(f"no Polygon of GeoJSON: {error}") from error
    if isinstance(found, _Collection):
        if len(found.features) > 1:
            raise GeoError(f"{len(found.features)} features; an outline is one")
        found = found.features[0]
    polygon = found.geometry if isinstance(found, _Feature) else found
    if len(polygon.coordinates) > 1:
        raise GeoError("the outline has holes")
    ring = polygon.coordinates[0]
    if ring[0][:2] != ring[-1][:2]:
        raise GeoError("the ring of the outline does not end where it begins")
    corners = tuple(Spot(latitude_deg=pair[1], longitude_deg=pair[0]) for pair in ring[:-1])
    check_outline(corners)
    return corners


def check_outline(corners: Sequence[Spot]) -> None:
    """Refuse what holds nothing, or nobody knows what.

    Raises:
        GeoError: fewer than three corners, or more than `MAX_CORNERS`; one that is not on the Earth; no area; it runs
            round a pole.
    """
    if not _MIN_CORNERS <= len(set(corners)) <= len(corners) <= MAX_CORNERS:
        raise GeoError(f"an outline has {_MIN_CORNERS} to {MAX_CORNERS} corners, not {len(set(corners))}")
    for corner in corners:
        if not (isfinite(corner.latitude_deg) and isfinite(corner.longitude_deg) and corner.is_sound):
            at = f"[{corner.longitude_deg}, {corner.latitude_deg}]"
            raise GeoError(f"{at} is not [longitude, latitude] in degrees")
    steps = [_signed(b.longitude_deg - a.longitude_deg) for a, b in pairwise((*corners, corners[0]))]
    if abs(sum(steps)) > _HALF_DEG:
        raise GeoError("the outline runs round a pole")
    x = list(accumulate(steps, initial=0.0))
    y = [corner.latitude_deg - corners[0].latitude_deg for corner in (*corners, corners[0])]
    east, north = max(zip(x, y, strict=True), key=lambda at: hypot(*at))
    if all(x1 * north == east * y1 for x1, y1 in zip(x, y, strict=True)):
        raise GeoError("the corners of the outline lie on one line")


def _signed(angle_deg: float) -> float:
    """Bring a difference of angles to -180 to 180 degrees."""
    if -_HALF_DEG <= angle_deg <= _HALF_DEG:
        return angle_deg
    return (angle_deg + _HALF_DEG) % _FULL_DEG - _HALF_DEG


def _turned(angle_deg: float) -> float:
    """Bring a direction to 0 (with) to 360 (without), which the remainder of a tiny negative number would be."""
    turned = angle_deg % _FULL_DEG
    return 0.0 if turned == _FULL_DEG else turned
