"""What stands where, as the registry and the gateways have it, and the alarms that are open there. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property

from msgspec import Struct

from cloud.influx.schema import LEVELS
from cloud.numbers.paths import path_above
from contract.alarms import Mode

EVERYTHING = ""
"""The path of what lies around all areas."""


class Spot(Struct, frozen=True, gc=False):
    """Where something is, degrees of WGS 84; None: nobody wrote it down."""

    latitude_deg: float | None = None
    longitude_deg: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether both are there."""
        return self.latitude_deg is not None and self.longitude_deg is not None


NOWHERE = Spot()


class Area(Struct, frozen=True, gc=False):
    """An area of the registry; `path` as `cloud.areas.tree.Area` has it."""

    id: str
    level: str
    name: str
    path: str
    spot: Spot = NOWHERE


class Site(Struct, frozen=True, gc=False):
    """A site: of the registry, or one that a gateway alone names (`kind`, `area_path` and `address` are "")."""

    id: str
    name: str
    kind: str = ""
    area_path: str = EVERYTHING
    address: str = ""
    spot: Spot = NOWHERE


class Gateway(Struct, frozen=True, gc=False):
    """A gateway that is registered, or was heard.

    Attributes:
        site: its id; "" for none.
        spot: of the gateway, else of its site.
        is_heard: it was born at least once; until then it is not online, since no time.
        since_us: of the present state.
        devices: how many its inventory has.
    """

    id: str
    name: str
    site: str = ""
    area_path: str = EVERYTHING
    address: str = ""
    spot: Spot = NOWHERE
    is_heard: bool = False
    is_online: bool = False
    since_us: int = 0
    reason: str = ""
    version: str = ""
    devices: int = 0


class Open(Struct, frozen=True, gc=False):
    """An open alarm, as far as it is counted; the fields are those of `cloud.desk.core.Alarm`."""

    alarm_id: str
    gateway: str
    device: str
    point: str
    rule: str
    kind: str
    severity: str
    mode: str
    raised_at_us: int
    cleared_at_us: int | None
    acknowledged_at_us: int | None
    shelved_until_us: int | None
    suppressed_by: str | None
    out_of_service: bool
    site: str | None
    area_path: str
    target_s: int | None

    @property
    def is_live(self) -> bool:
        """Whether it is neither a test nor a drill; only such alarms are counted."""
        return self.mode == Mode.LIVE.value

    @property
    def is_heard(self) -> bool:
        """Whether nothing holds it back."""
        return self.shelved_until_us is None and self.suppressed_by is None and not self.out_of_service

    @property
    def overdue_at_us(self) -> int | None:
        """When its age passes its target; None without one."""
        return None if self.target_s is None else self.raised_at_us + self.target_s * 1_000_000

    def is_over_target(self, now_us: int) -> bool:
        """Tell whether it is older than its target."""
        return self.overdue_at_us is not None and self.overdue_at_us < now_us


class Tally(Struct):
    """Open alarms of a place with all below it.

    Attributes:
        by_level: how many of each severity.
        over_target, unacknowledged: of these.
        suppressed: those that are held back, beside the others.
    """

    by_level: Counter[str]
    unacknowledged: int = 0
    over_target: int = 0
    suppressed: int = 0

    @classmethod
    def empty(cls) -> "Tally":
        """Make one with nothing in it."""
        return cls(Counter())

    @property
    def worst(self) -> int:
        """The number of the worst severity, 0 for none."""
        return max((LEVELS[level] for level in self.by_level), default=0)

    def add(self, alarm: Open, now_us: int) -> None:
        """Count a live alarm."""
        if not alarm.is_heard:
            self.suppressed += 1
            return
        self.by_level[alarm.severity] += 1
        self.unacknowledged += alarm.acknowledged_at_us is None
        self.over_target += alarm.is_over_target(now_us)


class City:
    """All areas, sites and gateways at one moment; made anew when one of them changes.

    Attributes:
        areas: by path.
        sites: by id, those that gateways alone name among them.
        gateways: by id.
    """

    def __init__(self, areas: Iterable[Area], sites: Iterable[Site], gateways: Iterable[Gateway]) -> None:
        self.areas: Mapping[str, Area] = {one.path: one for one in areas}
        self.gateways: Mapping[str, Gateway] = {one.id: one for one in gateways}
        registered = {one.id: one for one in sites}
        self._registered = registered
        named = {one.site for one in self.gateways.values() if one.site and one.site not in registered}
        self.sites: Mapping[str, Site] = registered | {name: Site(name, name) for name in named}

    def with_gateways(self, gateways: Iterable[Gateway]) -> "City":
        """Make the city in which some gateways have changed, or are new."""
        changed = {**self.gateways, **{one.id: one for one in gateways}}
        return City(self.areas.values(), self._registered.values(), changed.values())

    @cached_property
    def heard(self) -> frozenset[str]:
        """The ids of the gateways that were heard."""
        return frozenset(one.id for one in self.gateways.values() if one.is_heard)

    @cached_property
    def sites_below(self) -> Counter[str]:
        """How many registered sites each path has; "" has all."""
        return _counted(one.area_path for one in self._registered.values())

    @cached_property
    def gateways_below(self) -> Counter[str]:
        """How many gateways each path has."""
        return _counted(one.area_path for one in self.gateways.values())

    @cached_property
    def online_below(self) -> Counter[str]:
        """How many of these are online."""
        return _counted(one.area_path for one in self.gateways.values() if one.is_online)

    @cached_property
    def gateways_at(self) -> Mapping[str, tuple[int, int]]:
        """How many gateways each site has, and how many of these are online."""
        here = Counter(one.site for one in self.gateways.values())
        online = Counter(one.site for one in self.gateways.values() if one.is_online)
        return {name: (count, online[name]) for name, count in here.items()}

    def site_of(self, gateway: str, *, site: str | None = None) -> str:
        """Name the site of what a gateway says: `site` where it is known already, "" for none."""
        known = self.gateways.get(gateway)
        return site or (known.site if known is not None else "")


def around(paths: Iterable[str]) -> set[str]:
    """List paths with all that lies above them, "" among them."""
    return {one for path in paths for one in (*path_above(path), path)}


def tally_areas(alarms: Iterable[Open], now_us: int) -> dict[str, Tally]:
    """Count live alarms for each path that has some at or below it."""
    found: dict[str, Tally] = {}
    for alarm in alarms:
        for path in around([alarm.area_path]) if alarm.is_live else ():
            found.setdefault(path, Tally.empty()).add(alarm, now_us)
    return found


def tally_sites(city: City, alarms: Iterable[Open], now_us: int) -> dict[str, Tally]:
    """Count live alarms for each site that has some."""
    found: dict[str, Tally] = {}
    for alarm in alarms:
        if alarm.is_live and (name := city.site_of(alarm.gateway, site=alarm.site)):
            found.setdefault(name, Tally.empty()).add(alarm, now_us)
    return found


def worst_of_devices(alarms: Iterable[Open]) -> dict[tuple[str, str], int]:
    """Tell the worst severity of live alarms that are not held back, by gateway and device."""
    found: dict[tuple[str, str], int] = {}
    for alarm in alarms:
        if alarm.is_live and alarm.is_heard:
            key = alarm.gateway, alarm.device
            found[key] = max(found.get(key, 0), LEVELS[alarm.severity])
    return found


def _counted(paths: Iterable[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for path, count in Counter(paths).items():
        for one in around([path]):
            found[one] += count
    return found
