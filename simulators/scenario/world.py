"""What a scenario's sites have: gateways, buses, devices, points, alarms, by the names that it gives them. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from contract.ids import GATEWAY_DEVICE
from device_profiles.codec import ValueKind, value_kind
from device_profiles.model import BitsRule, HeardDef, PointDef
from device_profiles.site import Bus, PlacedDevice, RtuBus, RtuTcpBus, Site

# What a gateway says of its devices, its lines and itself, whatever its profiles say; a test compares.
DEVICE_ALARMS = ("device-lost",)
GATEWAY_ALARMS = ("bus-lost", "hold-up-verified", "outbox-damaged", "outbox-full", "outbox-unwritable")
COMBINATION_POINT = "combination"
SUPERVISION = "supervision"


class PlayedSite(Struct, frozen=True):
    """One site of a scenario.

    Attributes:
        gateway: id that its gateway runs under.
        data: the parsed site file.
        site: the checked one.
    """

    gateway: str
    data: Mapping[str, Any]
    site: Site


class Who(Struct, frozen=True):
    """A device or bus of one gateway."""

    gateway: str
    name: str


class World:
    """All sites of a scenario."""

    def __init__(self, sites: Mapping[str, PlayedSite]) -> None:
        """Take the sites by gateway id."""
        self.sites = sites
        self._devices: dict[Who, PlacedDevice] = {}
        self._buses: dict[Who, Bus] = {}
        for gateway, played in sites.items():
            self._buses.update({Who(gateway, bus.id): bus for bus in played.site.file.bus})
            for placed in (placed for devices in played.site.devices.values() for placed in devices):
                self._devices[Who(gateway, placed.device.id)] = placed

    def devices(self, name: str | None = None) -> list[Who]:
        """Find the devices that a name means: none, one, or several of different sites; None: all."""
        return list(_found(self._devices, name))

    def buses(self, name: str) -> list[Who]:
        """Find the buses that a name means."""
        return list(_found(self._buses, name))

    def names(self, *, of_buses: bool = False) -> list[str]:
        """List what a scenario may call its devices (or buses): short where that is enough."""
        known = list(self._buses if of_buses else self._devices)
        shorts = [who.name for who in known]
        return [who.name if shorts.count(who.name) == 1 else f"{who.gateway}/{who.name}" for who in known]

    def gateways(self, gateway: str | None) -> list[str]:
        """Find the gateways that a name means; None: all."""
        return [known for known in self.sites if gateway in (None, known)]

    def placed(self, who: Who) -> PlacedDevice:
        """Give a device with its profile."""
        return self._devices[who]

    def is_polled(self, who: Who) -> bool:
        """Tell whether the device is asked; else it speaks by itself."""
        return self._devices[who].profile.speaks is None

    def bus_of(self, who: Who) -> Bus:
        """Give the bus that a device is on."""
        return self._buses[Who(who.gateway, self._devices[who].device.bus)]

    def is_serial(self, who: Who, *, of_device: bool) -> bool:
        """Tell whether a bus (or a device's bus) is a serial line on which devices are asked."""
        return isinstance(self.bus_of(who) if of_device else self._buses[who], RtuBus | RtuTcpBus)

    def points(self, who: Who) -> dict[str, ValueKind]:
        """List a device's points in use, and what kind of value each has."""
        return {point.key: _kind(point) for point in self._devices[who].profile.points}

    def point(self, who: Who, key: str) -> PointDef | None:
        """Give the definition of a point that is asked for; None for one that is heard."""
        return next((point for point in self._devices[who].profile.point if point.key == key), None)

    def number_of(self, who: Who) -> str | None:
        """Name the point that numbers a device's answers, if one does."""
        return self._devices[who].device.simulate.count_in

    def alarms(self, who: Who | None) -> set[str] | None:
        """List the kinds of alarm that a device (None: anybody) may raise; None: a talker says them itself."""
        if who is None:
            found = set(GATEWAY_ALARMS)
            for device in self._devices:
                kinds = self.alarms(device)
                if kinds is None:
                    return None
                found |= kinds
            site_rules = (rule for played in self.sites.values() for rule in played.site.file.rule)
            return found | {rule.alarm for rule in site_rules}
        placed = self._devices[who]
        if placed.profile.speaks is not None:
            return None
        rules = placed.profile.rule
        flags = {flag.alarm for rule in rules if isinstance(rule, BitsRule) for flag in rule.flag if flag.alarm}
        return {rule.alarm for rule in rules} | flags | set(DEVICE_ALARMS)

    def rules(self, who: Who) -> set[str]:
        """List the rules that may raise an alarm of a device that is asked."""
        rules = self._devices[who].profile.rule
        flags = {f"{rule.key}.{flag.key}" for rule in rules if isinstance(rule, BitsRule) for flag in rule.flag}
        return {rule.key for rule in rules} | flags | {SUPERVISION}


def is_gateway_device(name: str) -> bool:
    """Tell whether a name is the gateway itself, or one of its lines, as alarms name them."""
    return name == GATEWAY_DEVICE or name.startswith(f"{GATEWAY_DEVICE}.")


def split(name: str) -> tuple[str | None, str]:
    """Take `gateway/device` apart; the gateway is None in a short name."""
    gateway, slash, short = name.partition("/")
    return (gateway, short) if slash else (None, name)


def _found(known: Mapping[Who, object], name: str | None) -> Iterator[Who]:
    gateway, short = (None, None) if name is None else split(name)
    for who in known:
        if gateway in (None, who.gateway) and short in (None, who.name):
            yield who


def _kind(point: PointDef | HeardDef) -> ValueKind:
    return value_kind(point) if isinstance(point, PointDef) else ValueKind(point.kind.value)
