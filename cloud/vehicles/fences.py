"""Fences: where a vehicle must stay, or must not go. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any

from msgspec import Struct

from cloud.geo import Spot, check_outline, distance_m, is_inside, off_line_m
from cloud.vehicles.errors import BadFenceError
from cloud.vehicles.hours import Hours
from contract.alarms import Severity

MAX_FENCES = 5_000
MAX_RADIUS_M = 1_000_000.0
MIN_MARGIN_M, MAX_MARGIN_M = 5.0, 5_000.0
_METRES_A_DEGREE = 111_195.0


class Rule(StrEnum):
    """What is an alarm."""

    STAY = "stay"
    """Leaving it."""
    AVOID = "avoid"
    """Entering it."""


class Side(StrEnum):
    """Where a report lies."""

    IN = "in"
    OUT = "out"
    EDGE = "edge"
    """Outside, yet not so far that a receiver's error could not have done it."""


class Fence(Struct, frozen=True, dict=True):
    """A circle or an outline, and whom it concerns.

    Attributes:
        id, name: see the table.
        area: whose vehicles, by its id; with all areas below.
        rule: what is an alarm.
        vehicle, fleet: only that one; both None: all of the area.
        center, radius_m: of a circle; None for an outline.
        outline: corners; empty for a circle.
        margin_m: so far beyond its line is outside.
        severity: of the alarm.
        hours: when it holds.
        edited_at_us: names this form of it.
    """

    id: str
    name: str
    area: str
    rule: Rule
    vehicle: str | None = None
    fleet: str | None = None
    center: Spot | None = None
    radius_m: float = 0.0
    outline: tuple[Spot, ...] = ()
    margin_m: float = 50.0
    severity: Severity = Severity.HIGH
    hours: Hours = Hours()
    edited_at_us: int = 0

    @property
    def key(self) -> str:
        """Name this form of the fence: what was judged by another says nothing of it."""
        return f"fence/{self.id}/{self.edited_at_us}"

    def covers(self, vehicle: str, fleet: str, area_path: str) -> bool:
        """Tell whether it concerns a vehicle; one that lies in no area is concerned by none."""
        return self.area in area_path.split("/") and self.vehicle in (None, vehicle) and self.fleet in (None, fleet)

    def side(self, spot: Spot) -> Side:
        """Tell where a report lies; on the line is in."""
        if self.center is not None:
            beyond_m = distance_m(spot, self.center) - self.radius_m
            return Side.IN if beyond_m <= 0 else Side.OUT if beyond_m > self.margin_m else Side.EDGE
        south, north = self._latitudes
        if not south <= spot.latitude_deg <= north:
            return Side.OUT
        if is_inside(spot, self.outline):
            return Side.IN
        return Side.OUT if off_line_m(spot, (*self.outline, self.outline[0])) > self.margin_m else Side.EDGE

    @cached_property
    def _latitudes(self) -> tuple[float, float]:
        """South and north of these everything is outside: most reports are far away from most fences."""
        margin_deg = self.margin_m / _METRES_A_DEGREE * 1.01
        latitudes = [corner.latitude_deg for corner in self.outline]
        return min(latitudes) - margin_deg, max(latitudes) + margin_deg


def check_fence(fence: Fence) -> None:
    """Refuse a fence that holds nothing.

    Raises:
        BadFenceError: neither circle nor outline, or both; a bad radius or margin; a vehicle and a fleet; half hours.
        GeoError: a bad outline.
    """
    if (fence.center is None) == (not fence.outline):
        raise BadFenceError("a fence is a circle or an outline")
    if fence.center is not None and not (fence.center.is_sound and 1.0 <= fence.radius_m <= MAX_RADIUS_M):
        raise BadFenceError(f"a circle has a centre on the Earth and a radius of 1 to {MAX_RADIUS_M:.0f} m")
    if fence.outline:
        check_outline(fence.outline)
    if not MIN_MARGIN_M <= fence.margin_m <= MAX_MARGIN_M:
        raise BadFenceError(f"a margin has {MIN_MARGIN_M:.0f} to {MAX_MARGIN_M:.0f} m")
    if fence.vehicle is not None and fence.fleet is not None:
        raise BadFenceError("a fence is for a vehicle or for a fleet")
    if (fence.hours.begins is None) != (fence.hours.ends is None):
        raise BadFenceError("begin and end of the hours come together")


class Fences:
    """Fences, found by the vehicle that they concern."""

    def __init__(self, fences: Iterable[Fence]) -> None:
        self._of_vehicle: dict[str, list[Fence]] = {}
        self._of_fleet: dict[str, list[Fence]] = {}
        self._of_all: list[Fence] = []
        for fence in fences:
            if fence.vehicle is not None:
                self._of_vehicle.setdefault(fence.vehicle, []).append(fence)
            elif fence.fleet is not None:
                self._of_fleet.setdefault(fence.fleet, []).append(fence)
            else:
                self._of_all.append(fence)

    def covering(self, vehicle: str, fleet: str, area_path: str) -> list[Fence]:
        """List the fences that concern a vehicle."""
        some = (*self._of_vehicle.get(vehicle, ()), *self._of_fleet.get(fleet, ()), *self._of_all)
        return [fence for fence in some if fence.covers(vehicle, fleet, area_path)]


def fence_of(row: Mapping[Any, Any]) -> Fence:
    """Read a row of the table."""
    is_circle = row["latitude_deg"] is not None
    return Fence(
        id=row["id"],
        name=row["name"],
        area=row["area"],
        rule=Rule(row["rule"]),
        vehicle=row["vehicle"],
        fleet=row["fleet"],
        center=Spot(row["latitude_deg"], row["longitude_deg"]) if is_circle else None,
        radius_m=row["radius_m"] if is_circle else 0.0,
        outline=() if is_circle else spots_of(row["outline"]),
        margin_m=row["margin_m"],
        severity=Severity(row["severity"]),
        hours=Hours(row["weekdays"], row["begins"], row["ends"]),
        edited_at_us=row["edited_at_us"],
    )


def row_of(fence: Fence) -> dict[str, Any]:
    """Write a row of the table."""
    return {
        "id": fence.id,
        "name": fence.name,
        "area": fence.area,
        "rule": fence.rule.value,
        "vehicle": fence.vehicle,
        "fleet": fence.fleet,
        "latitude_deg": fence.center.latitude_deg if fence.center else None,
        "longitude_deg": fence.center.longitude_deg if fence.center else None,
        "radius_m": fence.radius_m if fence.center else None,
        "outline": [[spot.longitude_deg, spot.latitude_deg] for spot in fence.outline] or None,
        "margin_m": fence.margin_m,
        "severity": fence.severity.value,
        "weekdays": fence.hours.weekdays,
        "begins": fence.hours.begins,
        "ends": fence.hours.ends,
        "edited_at_us": fence.edited_at_us,
    }


def spots_of(pairs: Sequence[Sequence[float]]) -> tuple[Spot, ...]:
    """Read corners as GeoJSON has them, longitude first."""
    return tuple(Spot(latitude_deg=pair[1], longitude_deg=pair[0]) for pair in pairs)
