"""Weather stations whose readings drive the index: files of them, what a move does, rows of the database."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select, update

from cloud.areas import cells
from cloud.areas.chunks import chunked
from cloud.areas.faults import Bad, Fault, Faults
from cloud.areas.places import NOWHERE, Place, find_places
from cloud.areas.rows import Entry
from cloud.areas.sheets import Column, Row, Sheet
from cloud.areas.spreadsheets import read_csv, write_csv
from cloud.database.area_tables import area
from cloud.database.fire_tables import fire_station, fire_turn
from cloud.desk.changes import Actor
from cloud.fire.days import Turn
from cloud.fire.fwi import START, Codes
from cloud.fire.noon import RainKind
from cloud.geo import Spot, distance_m
from cloud.i18n import N_
from cloud.influx.schema import label_of, path_tag
from cloud.people.audit import note

MAX_STATIONS = 10_000
KMH_PER_MPS = 3.6
IMPORTED = "fire-stations-imported"
RESTARTED = "fire-station-restarted"
"""What the audit calls them."""


class Station(Struct, frozen=True):
    """One station; the fields are the columns of `fire_station`."""

    id: str
    name: str
    area: str | None
    gateway: str
    device: str
    temperature: str
    humidity: str
    wind: str
    wind_unit: str
    wind_force: str | None
    rain: str
    rain_kind: str
    rain_wrap_mm: float | None
    latitude_deg: float
    longitude_deg: float
    utc_offset_h: float | None
    start_ffmc: float
    start_dmc: float
    start_dc: float
    moved_on: date | None
    active: str

    @property
    def start(self) -> Codes:
        """The codes with which it begins."""
        return Codes(self.start_ffmc, self.start_dmc, self.start_dc)

    @property
    def kmh(self) -> float:
        """By what its wind is multiplied."""
        return KMH_PER_MPS if self.wind_unit == "m/s" else 1.0


def _decimal(least: float, most: float) -> cells.Reader:
    def read(cell: str) -> float | Bad:
        try:
            value = float(cell)
        except ValueError:
            value = float("nan")
        if least <= value <= most:
            return value
        why = N_("{cell} is no number from {least} to {most}")
        return Bad(why, {"cell": repr(cell[:60]), "least": f"{least:g}", "most": f"{most:g}"})

    return read


def _coordinate(name: str, most: int, *also: str) -> Column:
    return Column(name, cells.degrees(most), is_required=True, also=also)


STATIONS = Sheet(
    "fire_stations",
    "fire station",
    fire_station,
    (
        Column("id", cells.identifier, is_required=True, also=("编号",)),
        Column("name", cells.text(cells.MAX_NAME_CHARS), is_required=True, also=("名称",)),
        Column("area", cells.identifier, also=("区域",)),
        Column("gateway", cells.identifier, is_required=True, also=("网关",)),
        Column("device", cells.identifier, is_required=True, also=("设备",)),
        Column("temperature", cells.identifier, "temperature", also=("气温",)),
        Column("humidity", cells.identifier, "humidity", also=("湿度",)),
        Column("wind", cells.identifier, "wind_speed", also=("风速",)),
        Column("wind_unit", cells.one_of(("m/s", "km/h"), fold=str.lower), "m/s", also=("风速单位",)),
        Column("wind_force", cells.identifier, also=("风力",)),
        Column("rain", cells.identifier, "rain", also=("雨量",)),
        Column("rain_kind", cells.one_of(tuple(RainKind), fold=str.lower), RainKind.COUNTER.value, also=("雨量类型",)),
        Column("rain_wrap_mm", _decimal(1, 1e9), also=("雨量回绕",)),
        _coordinate("latitude_deg", 90, "latitude", "lat", "纬度"),
        _coordinate("longitude_deg", 180, "longitude", "lon", "lng", "经度"),
        Column("utc_offset_h", _decimal(-12, 14), also=("时区",)),
        Column("start_ffmc", _decimal(0, 101), START.ffmc),
        Column("start_dmc", _decimal(0, 1_000), START.dmc),
        Column("start_dc", _decimal(0, 5_000), START.dc),
        Column("moved_on", cells.day, also=("迁移日期",)),
        Column("active", cells.one_of(("yes", "no"), fold=str.lower), "yes", also=("启用",)),
    ),
)  # fmt: skip


class Outcome(Struct, frozen=True):
    """What an import comes to.

    Attributes:
        added, changed, unchanged: how many.
        turned: the ids of those that moved, and from which day on.
        anew: of these, those that begin anew because they moved far.
    """

    added: int
    changed: int
    unchanged: int
    turned: dict[str, date] = {}
    anew: tuple[str, ...] = ()


def read_stations(data: bytes, file: str, faults: Faults) -> list[Entry]:
    """Read a file of stations; what is wrong is noted."""
    entries: list[Entry] = []
    seen: dict[str, Entry] = {}
    for entry in read_csv(data, file, STATIONS, faults):
        first = seen.setdefault(entry.row["id"], entry)
        if first is not entry:
            faults.add(entry.where, N_("{row} stands there before, in line {line}"), row=entry.row["id"],
                       line=first.where.line)  # fmt: skip
        entries.append(entry)
    if len(entries) > MAX_STATIONS:
        faults.add(entries[MAX_STATIONS].where, N_("more than {most} rows"), most=MAX_STATIONS)
    return entries


def check_references(connection: Connection, entries: Iterable[Entry], faults: Faults) -> None:
    """Note areas that the registry does not have."""
    named = sorted({entry.row["area"] for entry in entries if entry.row.get("area")})
    known: set[str] = set()
    for some in chunked(named):
        known.update(connection.execute(select(area.c.id).where(area.c.id.in_(some))).scalars())
    for entry in entries:
        if (one := entry.row.get("area")) and one not in known:
            faults.note(Fault(entry.where, Bad(N_("no {kind} is called {id}"), {"kind": "area", "id": one}), "area"))


def bring_in(
    connection: Connection, entries: Sequence[Entry], *, today: date, moved_m: float, actor: Actor, at_us: int
) -> Outcome:
    """Write stations that are new or other than they were; columns that a file does not have stay as they are.

    A station whose coordinates change has moved: from `moved_on` on, or from today. One that moves farther than
    `moved_m` begins anew that day; one that moves less goes on with its codes, for they stand for the fuel around it.

    Args:
        connection: a transaction for writing.
        entries: without faults.
        today: the day of the import.
        moved_m: see above.
        actor: for the audit.
        at_us: the clock.
    """
    standing = {row["id"]: dict(row) for row in connection.execute(select(fire_station)).mappings()}
    added: list[Row] = []
    changed: list[Row] = []
    turns: list[Row] = []
    for entry in entries:
        before = standing.get(entry.row["id"])
        after = {**(before or STATIONS.new_row()), **entry.row}
        far_m = 0.0 if before is None else _moved_m(before, after)
        if before is not None and not entry.row.get("moved_on"):
            # An earlier move says nothing of this one.
            after["moved_on"] = today if far_m else before["moved_on"]
        if before is None:
            added.append(after)
            turns.append(_turn(after, after["moved_on"] or today, actor, "registered", is_anew=True))
        elif after != before:
            changed.append(after)
            if far_m:
                turns.append(_turn(after, after["moved_on"], actor, "moved", is_anew=far_m > moved_m))
    if added:
        connection.execute(insert(fire_station), added)
    for row in changed:
        connection.execute(update(fire_station).where(fire_station.c.id == row["id"]).values(row))
    for turn in turns:
        put_turn(connection, turn)
    moved = [turn for turn in turns if turn["station"] in standing]
    outcome = Outcome(
        added=len(added),
        changed=len(changed),
        unchanged=len(entries) - len(added) - len(changed),
        turned={turn["station"]: turn["day"] for turn in moved},
        anew=tuple(turn["station"] for turn in moved if turn["ffmc"] is not None),
    )
    if added or changed:
        details = {"added": outcome.added, "changed": outcome.changed, "moved": sorted(outcome.turned)}
        note(connection, actor=actor, what=IMPORTED, object_="fire_station", details=details, at_us=at_us)
    return outcome


def _moved_m(before: Row, after: Row) -> float:
    spots = [Spot(row["latitude_deg"], row["longitude_deg"]) for row in (before, after)]
    return distance_m(*spots)


def _turn(row: Row, day: date, actor: Actor, why: str, *, is_anew: bool) -> Row:
    codes = (row["start_ffmc"], row["start_dmc"], row["start_dc"]) if is_anew else (None, None, None)
    return {
        "station": row["id"],
        "day": day,
        "latitude_deg": row["latitude_deg"],
        "longitude_deg": row["longitude_deg"],
        "ffmc": codes[0],
        "dmc": codes[1],
        "dc": codes[2],
        "by": actor.name[:200],
        "why": why,
    }


def put_turn(connection: Connection, turn: Mapping[str, Any]) -> None:
    """Keep from which day on a station stands where and begins anew; one of the same day is replaced."""
    same = (fire_turn.c.station == turn["station"]) & (fire_turn.c.day == turn["day"])
    before = connection.execute(select(fire_turn.c.ffmc).where(same)).one_or_none()
    connection.execute(delete(fire_turn).where(same))
    kept = dict(turn)
    if before is not None and before.ffmc is not None and kept["ffmc"] is None:
        # The day on which it began is still one on which it begins.
        station = connection.execute(select(fire_station).where(fire_station.c.id == turn["station"])).one()
        kept |= {"ffmc": station.start_ffmc, "dmc": station.start_dmc, "dc": station.start_dc}
    connection.execute(insert(fire_turn).values(kept))


def export_stations(connection: Connection) -> bytes:
    """Write all stations as an import takes them."""
    rows = connection.execute(select(fire_station).order_by(fire_station.c.id)).mappings()
    return write_csv(STATIONS, [{str(key): value for key, value in row.items()} for row in rows])


def read_all(connection: Connection, ids: Collection[str] | None = None) -> list[Station]:
    """Read stations by id; all when `ids` is None."""
    query = select(fire_station).order_by(fire_station.c.id)
    if ids is None:
        return [Station(*row) for row in connection.execute(query)]
    found: list[Station] = []
    for some in chunked(sorted(ids)):
        found += [Station(*row) for row in connection.execute(query.where(fire_station.c.id.in_(some)))]
    return found


def read_turns(connection: Connection, station: str) -> list[Turn]:
    """Read from which days on a station stands where, by day."""
    query = select(fire_turn).where(fire_turn.c.station == station).order_by(fire_turn.c.day)
    return [
        Turn(row.day, row.latitude_deg, None if row.ffmc is None else Codes(row.ffmc, row.dmc, row.dc))
        for row in connection.execute(query)
    ]


def tags_of(station: Station, place: Place) -> dict[str, str]:
    """Name a station as its lines in InfluxDB do."""
    tags = {"station": station.id, "site": place.site or "", "area": place.area or ""}
    return tags | {"path": path_tag(place.area_path)}


def describe(station: Station) -> dict[str, str | float]:
    """Say what a station is, in fields of its lines: for maps, and for who reads its name."""
    return {
        "label": label_of(station.name, station.id),
        "name": station.name,
        "latitude": station.latitude_deg,
        "longitude": station.longitude_deg,
    }


def places_of(connection: Connection, stations: Collection[Station]) -> dict[str, Place]:
    """Find where stations are: in the area they name, else where their gateway stands."""
    named = sorted({one.area for one in stations if one.area})
    paths: dict[str, str] = {}
    for some in chunked(named):
        paths |= {row.id: row.path for row in connection.execute(select(area).where(area.c.id.in_(some)))}
    of_gateway = find_places(connection, {(one.gateway, one.device) for one in stations})
    found: dict[str, Place] = {}
    for one in stations:
        place = of_gateway.get((one.gateway, one.device), NOWHERE)
        path = paths.get(one.area) if one.area else None
        found[one.id] = place if path is None else Place(place.site, one.area, path)
    return found
