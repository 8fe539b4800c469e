"""The lines of areas, sites, gateways, devices and vehicles as they stand, as `cloud.influx.schema` has them. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from cloud.influx.lines import line_of
from cloud.influx.schema import LEVELS, label_of, path_tag
from cloud.numbers.lines import area_tag
from cloud.state.city import EVERYTHING, NOWHERE, City, Gateway, Open, Spot, Tally, tally_areas, tally_sites

_NONE = "none"
_EVERYTHING_LABEL = "全部 All"
_WORDS = {number: level for level, number in LEVELS.items()} | {0: _NONE}
SITE_BOARD = "langyan-site"
"""Uid of the dashboard of a site: there a device leads whose kind is not known."""
NEVER_HEARD = "never"
"""Why a gateway is not online that was registered and has not been heard yet."""


class Device(Struct, frozen=True, gc=False):
    """A device of a gateway's inventory or of the registry.

    Attributes:
        kind: of its profile; "" where that is not known.
        board: uid of the dashboard that shows such a device.
        spot: its own, where somebody wrote it down.
    """

    gateway: str
    id: str
    name: str
    place: str = ""
    profile: str = ""
    kind: str = ""
    board: str = SITE_BOARD
    spot: Spot = NOWHERE


class Vehicle(Struct, frozen=True, gc=False):
    """A vehicle where it was last heard; `at_us` is None while it never was, `terminal` is "gateway/device"."""

    id: str
    name: str
    area_path: str
    at_us: int | None
    received_at_us: int | None
    spot: Spot
    speed_kmh: float | None
    course_deg: float | None
    terminal: str = ""


def labelled(name: str, key: str) -> str | None:
    """Write a label; None where a key with brackets could not be taken out of it again."""
    return None if "[" in key or "]" in key else label_of(name, key)


def level_word(worst: int) -> str:
    """Name a severity's number; 0 is `none`."""
    return _WORDS[worst]


def area_lines(city: City, alarms: Iterable[Open], paths: Iterable[str], now_us: int) -> Iterator[bytes | None]:
    """Write areas as they stand.

    Args:
        city: with the areas.
        alarms: all that are open.
        paths: of the areas wanted; "" is everything, and what the registry does not have is left out.
        now_us: the clock.
    """
    tallies = tally_areas(alarms, now_us)
    for path in paths:
        area = city.areas.get(path)
        if area is None and path != EVERYTHING:
            continue
        tag, name = area_tag(path), _EVERYTHING_LABEL if area is None else area.name
        spot = NOWHERE if area is None else area.spot
        tally = tallies.get(path) or Tally.empty()
        yield line_of(
            "area_state",
            {"area": tag, "level": tag if area is None else area.level},
            {
                "label": labelled(name, tag),
                **{level: tally.by_level[level] for level in LEVELS},
                "open": tally.by_level.total(),
                "unacknowledged": tally.unacknowledged,
                "over_target": tally.over_target,
                "suppressed": tally.suppressed,
                "worst": tally.worst,
                "sites": city.sites_below[path],
                "gateways": city.gateways_below[path],
                "gateways_online": city.online_below[path],
                **_where(spot),
            },
            now_us,
        )


def site_lines(city: City, alarms: Iterable[Open], names: Iterable[str], now_us: int) -> Iterator[bytes | None]:
    """Write sites as they stand; `names` are ids, and those that are not known are left out."""
    tallies = tally_sites(city, alarms, now_us)
    for name in names:
        site = city.sites.get(name)
        if site is None:
            continue
        tally = tallies.get(name) or Tally.empty()
        gateways, online = city.gateways_at.get(name, (0, 0))
        yield line_of(
            "site_state",
            {"kind": site.kind, "path": path_tag(site.area_path), "site": site.id},
            {
                "label": labelled(site.name, site.id),
                "name": site.name or site.id,
                "area_name": area_name(city, site.area_path),
                "address": site.address,
                **_where(site.spot),
                "worst": tally.worst,
                "level": level_word(tally.worst),
                "open": tally.by_level.total(),
                "over_target": tally.over_target,
                "gateways": gateways,
                "gateways_online": online,
            },
            now_us,
        )


def gateway_line(gateway: Gateway, now_us: int) -> bytes | None:
    """Write a gateway as it stands."""
    reason = gateway.reason if gateway.is_heard else NEVER_HEARD
    return line_of(
        "gateway_state",
        {"gateway": gateway.id, "path": path_tag(gateway.area_path), "site": gateway.site},
        {
            "label": labelled(gateway.name, gateway.id),
            "name": gateway.name or gateway.id,
            "online": int(gateway.is_online),
            "reason": "" if gateway.is_online else reason,
            "since_s": _age_s(gateway.since_us, now_us) if gateway.is_heard else None,
            "version": gateway.version,
            "devices": gateway.devices,
            **_where(gateway.spot),
        },
        now_us,
    )


def device_line(city: City, device: Device, *, is_lost: bool, worst: int, now_us: int) -> bytes | None:
    """Write a device as it stands; it is where its gateway is, unless somebody wrote down more.

    Args:
        city: with its gateway.
        device: of the inventory or the registry.
        is_lost: its gateway does not reach it.
        worst: severity of its worst open alarm, 0 for none.
        now_us: the clock.
    """
    gateway = city.gateways.get(device.gateway) or Gateway(device.gateway, "")
    site = city.sites.get(gateway.site)
    tags = {
        "device": device.id,
        "gateway": device.gateway,
        "kind": device.kind,
        "path": path_tag(gateway.area_path),
        "site": gateway.site,
    }
    return line_of(
        "device_state",
        tags,
        {
            "label": labelled(device.name, device.id),
            "name": device.name or device.id,
            "place": device.place,
            "site_label": labelled(site.name, site.id) if site is not None else None,
            "profile": device.profile,
            "board": device.board,
            "lost": int(is_lost),
            "worst": worst,
            **_where(device.spot if device.spot.is_known else gateway.spot),
        },
        now_us,
    )


def vehicle_line(vehicle: Vehicle, *, moving_kmh: float, silent_after_s: float, now_us: int) -> bytes | None:
    """Write a vehicle where it was last heard.

    Args:
        vehicle: with its position.
        moving_kmh: from this speed on it moves.
        silent_after_s: so long after its last report it is silent.
        now_us: the clock.
    """
    heard_s = None if vehicle.at_us is None else _age_s(vehicle.at_us, now_us)
    is_silent = heard_s is None or heard_s > silent_after_s
    is_moving = vehicle.speed_kmh is not None and vehicle.speed_kmh >= moving_kmh
    return line_of(
        "vehicle_state",
        {"path": path_tag(vehicle.area_path), "vehicle": vehicle.id},
        {
            "label": labelled(vehicle.name, vehicle.id),
            "name": vehicle.name,
            **_where(vehicle.spot),
            "speed_kmh": vehicle.speed_kmh,
            "heading": vehicle.course_deg,
            "state": "silent" if is_silent else "moving" if is_moving else "standing",
            "heard_s": heard_s,
            "terminal": vehicle.terminal or None,
        },
        now_us,
    )


def area_name(city: City, path: str) -> str:
    """Name an area for people; its id where nobody named it, "" for none."""
    area = city.areas.get(path)
    return area.name if area is not None and area.name else area_tag(path) if path else ""


def _where(spot: Spot) -> Mapping[str, float | None]:
    return {"latitude": spot.latitude_deg, "longitude": spot.longitude_deg} if spot.is_known else {}


def _age_s(since_us: int, now_us: int) -> float:
    # A gateway's clock may be ahead of ours.
    return max(0, now_us - since_us) / 1e6
