"""The tree of areas, pure: levels, paths, what lies within what, and the faults that a tree may have."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """The levels of administration, from the smallest to the largest; stored."""

    GRID = "grid"
    STREET = "street"
    TOWN = "town"
    COUNTY = "county"
    CITY = "city"
    PROVINCE = "province"


RANK = {level: rank for rank, level in enumerate(Level)}


class Area(Struct, frozen=True):
    """One area.

    Attributes:
        parent: the id of the area it lies in; None for a root.
        path: the ids from the root down, each followed by "/": `32/3205/320505/`.
    """

    id: str
    parent: str | None
    level: Level
    name: str
    path: str


class Place(Struct, frozen=True):
    """Where something is.

    Attributes:
        site, area: their ids; None where the registry does not know the gateway.
        area_path: the area's `path`, "" without an area.
    """

    site: str | None
    area: str | None
    area_path: str


NOWHERE = Place(None, None, "")


def ids_of(path: str) -> list[str]:
    """The ids in a path, from the root down; none for ""."""
    return path.split("/")[:-1]


def ancestors(path: str) -> list[str]:
    """The ids of the areas around an area, the nearest first, itself left out."""
    return ids_of(path)[-2::-1]


def is_within(path: str, top: str) -> bool:
    """Tell whether an area lies in another or is it, by their paths; everything lies in ""."""
    return path.startswith(top)


def paths_of(parents: Mapping[str, str | None]) -> dict[str, str]:
    """Make every area's path.

    Args:
        parents: each area's parent; without a cycle and without an orphan, see `cycles`.
    """
    paths: dict[str, str] = {}
    for start in parents:
        chain: list[str] = []
        at: str | None = start
        while at is not None and at not in paths:
            chain.append(at)
            at = parents[at]
        for one in reversed(chain):
            above = parents[one]
            paths[one] = ("" if above is None else paths[above]) + one + "/"
    return paths


def cycles(parents: Mapping[str, str | None]) -> list[list[str]]:
    """Find the cycles: the ids of each, in the order of the way up, from the one that comes first in `parents`."""
    found: list[list[str]] = []
    seen: set[str] = set()
    for start in parents:
        way: dict[str, int] = {}
        at: str | None = start
        while at is not None and at in parents and at not in seen and at not in way:
            way[at] = len(way)
            at = parents[at]
        if at is not None and at in way:
            ring = list(way)[way[at] :]
            found.append(ring)
        seen.update(way)
    return found


def is_inverted(level: Level, parent: Level) -> bool:
    """Tell whether a parent's level is not above its child's; levels may be skipped upwards."""
    return RANK[parent] <= RANK[level]


def top_down(areas: Iterable[Area]) -> list[Area]:
    """Order areas so that each comes after its parent, siblings by id."""
    return sorted(areas, key=lambda one: ids_of(one.path))


def subtree(areas: Iterable[Area], top: str) -> Iterator[Area]:
    """Those that lie within the area with path `top`, itself among them."""
    return (one for one in areas if is_within(one.path, top))


def depth_below(path: str, top: str) -> int:
    """How many steps an area lies below another; 0 for itself."""
    return len(ids_of(path)) - len(ids_of(top))


def drawn(areas: Sequence[Area], top: str) -> Iterator[tuple[int, Area]]:
    """A subtree for showing: each area and its depth below `top`, from the top down."""
    return ((depth_below(one.path, top), one) for one in top_down(subtree(areas, top)))
