"""The stations that hear tags: known by what they say, placed by the registry of gateways."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, insert, select, update

from cloud.areas.places import Place
from cloud.bikes.life import Rules
from cloud.bikes.settings import Bikes
from cloud.database.area_tables import area, registered_device, registered_gateway, site
from cloud.database.bike_tables import bike_station
from cloud.geo import Spot, distance_m

# When a station was heard is written so seldom: it tells stations that say nothing from tags that do.
_HEARD_EVERY_US = 60_000_000
_KM = 1_000.0
_HOUR_S = 3_600.0


class Station(Struct, frozen=True):
    """One station.

    Attributes:
        name: of the device, else of the site, else "gateway/device".
        site_name: "" where the registry does not know the site.
        spot: where it is; None where the registry has no place for device, gateway or site.
        heard_us: when it said something, within a minute.
    """

    id: int
    gateway: str
    device: str
    name: str
    site_name: str
    place: Place
    spot: Spot | None
    heard_us: int


class Stations:
    """All stations, as of one transaction."""

    def __init__(self, found: Mapping[int, Station]) -> None:
        self._by_id = dict(found)
        self._by_key = {(one.gateway, one.device): one for one in found.values()}

    def __iter__(self) -> Iterator[Station]:
        return iter(self._by_id.values())

    def __getitem__(self, station: int) -> Station:
        return self._by_id[station]

    def get(self, station: int | None) -> Station | None:
        """Find one by its id; None: there is none."""
        return None if station is None else self._by_id.get(station)

    def find(self, gateway: str, device: str) -> Station | None:
        """Find one by what it is called."""
        return self._by_key.get((gateway, device))

    def name_of(self, station: int | None) -> str:
        """Tell what people call it; "-" for none."""
        found = self.get(station)
        return "-" if found is None else found.name

    def near(self, stations: Collection[int | None]) -> frozenset[int]:
        """Find some stations and all others of their sites; where a site is not known, of their gateways."""
        sites = {_site_of(one) for one in (self.get(station) for station in stations) if one is not None}
        return frozenset(one.id for one in self if _site_of(one) in sites)

    def rules(self, settings: Bikes) -> Rules:
        """Make the rules that stays follow from."""

        @lru_cache(maxsize=4_096)
        def gap_m(one: int, other: int) -> float:
            a, b = self._by_id[one].spot, self._by_id[other].spot
            return 0.0 if a is None or b is None else distance_m(a, b) - 2 * settings.range_m

        def leaps(one: int, other: int, within_us: int) -> bool:
            hours = (within_us / 1e6 + settings.clock_difference_s) / _HOUR_S
            return gap_m(one, other) > settings.travel_kmh * _KM * hours

        return Rules(
            late_us=round(settings.late_s * 1e6),
            silent_us=round(settings.silent_s * 1e6),
            leaps=leaps,
        )


def read_stations(connection: Connection) -> Stations:
    """Read all stations and where they are."""
    station, gateway, device = bike_station, registered_gateway, registered_device
    is_device = (device.c.gateway == station.c.gateway) & (device.c.device == station.c.device)
    joined = station.outerjoin(gateway, gateway.c.id == station.c.gateway).outerjoin(site, gateway.c.site == site.c.id)
    joined = joined.outerjoin(area, site.c.area == area.c.id).outerjoin(device, is_device)
    query = select(
        station.c.id, station.c.gateway, station.c.device, station.c.heard_us,
        site.c.id.label("site"), site.c.name.label("site_name"), site.c.area, area.c.path,
        device.c.name, device.c.place,
        *(table.c[f"{which}_deg"].label(f"{name}_{which}")
          for name, table in (("device", device), ("gateway", gateway), ("site", site))
          for which in ("latitude", "longitude")),
    ).select_from(joined)  # fmt: skip
    return Stations({row.id: _station(row) for row in connection.execute(query).mappings()})


def met(connection: Connection, stations: Stations, heard: Mapping[tuple[str, str], int]) -> Stations:
    """Note that stations have said something, and make rows for new ones.

    Args:
        connection: a transaction for writing.
        stations: as read in it.
        heard: when, by gateway and device.

    Raises:
        IntegrityError: another worker was first; repeat the transaction.
    """
    new = sorted(key for key in heard if stations.find(*key) is None)
    if new:
        rows = [{"gateway": gateway, "device": device, "heard_us": heard[gateway, device]} for gateway, device in new]
        connection.execute(insert(bike_station), rows)
        stations = read_stations(connection)
    later = [
        {"which": one.id, "now_us": at_us}
        for key, at_us in sorted(heard.items())
        if (one := stations.find(*key)) is not None and at_us - one.heard_us >= _HEARD_EVERY_US
    ]
    if later:
        statement = update(bike_station).where(bike_station.c.id == bindparam("which"))
        connection.execute(statement.values(heard_us=bindparam("now_us")), later)
    return stations


def count_moves(connection: Connection, came: Mapping[int, int], day: date) -> None:
    """Count tags that came to stations, by station, on a local day; a new day begins at none."""
    for station, count in sorted(came.items()):
        row = bike_station.c
        of_today = update(bike_station).where(row.id == station, row.day == day).values(moves=row.moves + count)
        if not connection.execute(of_today).rowcount:
            connection.execute(update(bike_station).where(row.id == station).values(day=day, moves=count))


def _station(row: Mapping[Any, Any]) -> Station:
    spots = (
        (row[f"{name}_latitude"], row[f"{name}_longitude"])
        for name in ("device", "gateway", "site")
    )  # fmt: skip
    spot = next((Spot(a, b) for a, b in spots if isinstance(a, float) and isinstance(b, float)), None)
    key = f"{row['gateway']}/{row['device']}"
    site_id, area_id, heard_us, number = row["site"], row["area"], row["heard_us"], row["id"]
    assert isinstance(heard_us, int) and isinstance(number, int)  # noqa: S101, PT018 - the columns' types
    return Station(
        id=number,
        gateway=str(row["gateway"]),
        device=str(row["device"]),
        name=str(row["name"] or row["site_name"] or key),
        site_name=str(row["site_name"] or ""),
        place=Place(_text(site_id), _text(area_id), str(row["path"] or "")),
        spot=spot,
        heard_us=heard_us,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _site_of(station: Station) -> tuple[str, str]:
    return ("site", station.place.site) if station.place.site is not None else ("gateway", station.gateway)
