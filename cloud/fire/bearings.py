"""Directions in which somebody looks: angles between them, and what lies in sight. Pure."""

from cloud.geo import Spot, bearing_deg, distance_m

POINTING_DEG = 2.0
"""So far a tower's bearing may be off: camera mounts are set up by compass and give whole degrees (own judgement)."""
_BESIDE_DEG = 5.0


def angle_between_deg(one_deg: float, other_deg: float) -> float:
    """Measure the angle between two directions, 0 to 180."""
    return abs((one_deg - other_deg + 180.0) % 360.0 - 180.0)


def sees(spot: Spot, looks_deg: float, other: Spot, sight_m: float) -> bool:
    """Tell whether `other` lies in the direction in which somebody at `spot` looks, within sight."""
    is_near = distance_m(spot, other) <= sight_m
    return is_near and angle_between_deg(bearing_deg(spot, other), looks_deg) <= _BESIDE_DEG


def to_bearing(value: object) -> float | None:
    """Read a bearing in degrees; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 360.0:  # noqa: PLR2004
        return None
    return float(value) % 360.0
