"""From rows of the sheets to plans and routes, and what must be true of all rows together. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import time
from typing import Any

from cloud.areas.sheets import Key, Row
from cloud.i18n import N_
from cloud.patrols.plans import Carrier, Plan, Route, RouteOrder, RoutePoint, overlaps
from cloud.patrols.sheets import MAX_POINTS, ids_of

Fault = tuple[str, Key, str, dict[str, Any]]
"""Of which sheet, which row, what is wrong, and the values in that."""


def plan_of(row: Mapping[Any, Any]) -> Plan:
    """Read a row of `patrol_plan`."""
    return Plan(
        id=row["id"],
        route=row["route"],
        weekdays=frozenset(row["weekdays"].split()),
        starts=tuple(time.fromisoformat(word) for word in ids_of(row["starts"])),
        duration_min=row["duration_min"],
        first_day=row["first_day"],
        last_day=row["last_day"],
        people=ids_of(row["people"]),
        wands=ids_of(row["wands"]),
    )


def route_of(row: Mapping[Any, Any], points: Iterable[Mapping[Any, Any]]) -> Route:
    """Read a row of `patrol_route` and those of its points, in any order."""
    found = tuple(
        RoutePoint(one["point"], one["must"], one["minutes_to_next"], one["early_min"], one["late_min"])
        for one in sorted(points, key=lambda one: one["position"])
    )
    return Route(row["id"], RouteOrder(row["order"]), found, row["early_min"], row["late_min"])


def carrier_of(row: Mapping[Any, Any]) -> Carrier:
    """Read a row of `patrol_carrier`."""
    return Carrier(
        wand=row["wand"],
        person=row["person"],
        weekdays=frozenset(row["weekdays"].split()),
        begins=time.fromisoformat(row["begins"]),
        ends=time.fromisoformat(row["ends"]),
        first_day=row["first_day"],
        last_day=row["last_day"],
    )


def whole_faults(state: Mapping[str, Mapping[Key, Row]]) -> Iterator[Fault]:
    """Find what is wrong with rows that are each in order."""
    yield from _point_faults(state["points"])
    yield from _wand_faults(state["wands"])
    of_route: dict[str, list[Row]] = {}
    for row in state["route_points"].values():
        of_route.setdefault(row["route"], []).append(row)
    for key in state["routes"]:
        count = len(of_route.get(key[0], ()))
        if not 1 <= count <= MAX_POINTS:
            yield "routes", key, N_("the route has {count} points: 1 to {most}"), {"count": count, "most": MAX_POINTS}
    for key, row in state["plans"].items():
        plan, route_row = plan_of(row), state["routes"].get((row["route"],))
        if route_row is not None:
            route = route_of(route_row, of_route.get(row["route"], ()))
            if route.order is RouteOrder.TIMED and route.minutes > plan.duration_min:
                minutes = {"minutes": route.minutes, "duration": plan.duration_min}
                yield "plans", key, N_("the route takes {minutes} minutes, the period {duration}"), minutes
        for one, other in overlaps(plan):
            values = {"one": _shown(one), "other": _shown(other)}
            yield "plans", key, N_("the period from {one} is not over at {other}"), values


def _shown(at: time) -> str:
    return at.isoformat("seconds" if at.second else "minutes")


def _point_faults(points: Mapping[Key, Row]) -> Iterator[Fault]:
    owners: dict[str, str] = {}
    for key, row in points.items():
        if (row["radius_m"] is None) != (row["latitude_deg"] is None):
            yield "points", key, N_("a radius and its centre come together"), {}
        for card in ids_of(row["cards"]):
            if (owner := owners.setdefault(card, row["id"])) != row["id"]:
                yield "points", key, N_("card {card} belongs to point {owner}"), {"card": card, "owner": owner}


def _wand_faults(wands: Mapping[Key, Row]) -> Iterator[Fault]:
    owners: dict[tuple[Any, ...], str] = {}
    for key, row in wands.items():
        if (row["gateway"] is None) != (row["device"] is None):
            yield "wands", key, N_("a gateway and a device come together"), {}
        for name in (("machine", row["machine"]), ("device", row["gateway"], row["device"])):
            if name[-1] is not None and (owner := owners.setdefault(name, row["id"])) != row["id"]:
                # One cradle may read many wands, which are told apart by their machines.
                if name[0] == "device" and row["machine"] is not None:
                    continue
                yield "wands", key, N_("wand {owner} is the same device"), {"owner": owner}
        if row["machine"] is None and row["device"] is None:
            yield "wands", key, N_("has neither machine nor device: nobody hears it"), {}
