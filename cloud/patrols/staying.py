"""Visits by being there: positions within a point's circle or outline, for as long as it asks. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from cloud.geo import Spot, destination, distance_m, is_inside

_AROUND_DEG = (0.0, 90.0, 180.0, 270.0)


class Zone(Struct, frozen=True):
    """Where a point is: an outline, or a circle; one of both.

    Attributes:
        stay_s: so long somebody must be there; 0: passing is enough.
    """

    point: str
    centre: Spot | None = None
    radius_m: float = 0.0
    outline: tuple[Spot, ...] = ()
    stay_s: int = 0


class Fix(Struct, frozen=True, order=True):
    """A position within a point, at a moment."""

    at_us: int
    point: str


class Stay(Struct, frozen=True):
    """Somebody was within a point, from `at_us` on."""

    at_us: int
    point: str


def points_at(spot: Spot, zones: Iterable[Zone], *, accuracy_m: float) -> list[str]:
    """Tell within which points a position is, when the receiver may be off by so much."""
    return [zone.point for zone in zones if _is_within(spot, zone, accuracy_m)]


def stays(fixes: Iterable[Fix], stay_s: Mapping[str, int], *, gap_s: float) -> list[Stay]:
    """Find the stays of one wand: positions within a point, none further than `gap_s` from the one before.

    Args:
        fixes: in any order; what comes twice is one.
        stay_s: by point, how long a stay must last to count.
        gap_s: a longer silence, or absence, ends a stay.
    """
    of_point: dict[str, list[int]] = {}
    for fix in sorted(set(fixes)):
        of_point.setdefault(fix.point, []).append(fix.at_us)
    found = [
        Stay(run[0], point)
        for point, moments in of_point.items()
        for run in _runs(moments, gap_s)
        if run[-1] - run[0] >= stay_s.get(point, 0) * 1_000_000
    ]
    return sorted(found, key=lambda stay: (stay.at_us, stay.point))


def _is_within(spot: Spot, zone: Zone, accuracy_m: float) -> bool:
    if zone.outline:
        around = [destination(spot, bearing, accuracy_m) for bearing in _AROUND_DEG] if accuracy_m > 0 else []
        return any(is_inside(one, zone.outline) for one in (spot, *around))
    return zone.centre is not None and distance_m(spot, zone.centre) <= zone.radius_m + accuracy_m


def _runs(moments: Sequence[int], gap_s: float) -> list[list[int]]:
    runs: list[list[int]] = []
    for at_us in moments:
        if runs and at_us - runs[-1][-1] <= gap_s * 1e6:
            runs[-1].append(at_us)
        else:
            runs.append([at_us])
    return runs
