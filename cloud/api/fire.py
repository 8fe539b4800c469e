"""Fire danger: stations with their levels, their days, and what is thought of their readings."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Select

from cloud.api.alarms import area_path_of
from cloud.api.auth import Caller, needs
from cloud.api.context import Here
from cloud.api.problems import ProblemError, not_found
from cloud.api.queries import Word, within
from cloud.database.fire_tables import fire_station
from cloud.fire.chinese import COLOURS, SOURCE
from cloud.fire.classes import Danger
from cloud.fire.fwi import Codes
from cloud.fire.noon import day_of, standard_offset_s
from cloud.fire.registry import start_anew
from cloud.fire.showing import (
    AREA_PATH,
    corrections_of,
    days_query,
    latest_days,
    path_of,
    qualities,
    stations_query,
)
from cloud.people.roles import Action, allows, is_inside

router = APIRouter(tags=["fire"])
_SHOWN = ConfigDict(extra="forbid", from_attributes=True)
_MAX_START_AGE_DAYS = 400
_FIRST_SIGNAL = 3
StationId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]
SeesFire = Annotated[Caller, needs(Action.SEE_FIRE)]
_Area = Annotated[Word | None, Query(alias="area")]
_After = Annotated[str, Query(max_length=64)]
_Since = Annotated[date | None, Query(alias="from")]
_Until = Annotated[date | None, Query(alias="until")]


class ChinaView(BaseModel):
    """The adapted Chinese danger-weather rating of a day; `signal` null: no early-warning signal."""

    model_config = _SHOWN

    index: int
    level: int
    colour: str
    signal: str | None
    source: str


class ValueView(BaseModel):
    """One value of a noon observation as it was read, and what is thought of it."""

    model_config = _SHOWN

    value: float | None
    verdict: str


class CorrectionView(BaseModel):
    """What was said of a day before; `changed` has, by column, the value before and after."""

    model_config = _SHOWN

    at_us: int
    changed: dict[str, list[Any]]


class DayView(BaseModel):
    """One day of a station.

    Attributes:
        rule: observed, started, interpolated, carried; none: nothing is known, and there are no codes.
        noon_at_us: of the reading taken for noon.
        read: what was read, by value: temp_c, rh_pct, wind_kmh, rain_mm.
        used: what drove the codes; null without codes.
        effis, canada: the levels of both schemes, as words.
        china: null: its afternoon is not known, or not to be believed.
        corrections: what was said of the day before.
    """

    model_config = _SHOWN

    day: date
    rule: str
    noon_at_us: int | None
    read: dict[str, ValueView]
    used: dict[str, float] | None
    ffmc: float | None
    dmc: float | None
    dc: float | None
    isi: float | None
    bui: float | None
    fwi: float | None
    dsr: float | None
    effis: str | None
    canada: str | None
    china: ChinaView | None
    corrections: list[CorrectionView]


class DayPage(BaseModel):
    """Days in their order; `next` as `from` gives the following ones."""

    model_config = _SHOWN

    days: list[DayView]
    next: date | None


class FireStationView(BaseModel):
    """A station and how it stands.

    Attributes:
        area, area_path: where it lies, or its gateway.
        level: as a word, by the settings' scheme; null: nobody knows it.
        hourly_ffmc, hourly_at_us: the fine fuel estimate of the latest hour.
        latest: its latest day.
    """

    model_config = _SHOWN

    id: str
    name: str
    area: str | None
    area_path: str
    site: str | None
    gateway: str
    device: str
    latitude_deg: float
    longitude_deg: float
    active: bool
    level: str | None
    hourly_ffmc: float | None
    hourly_at_us: int | None
    latest: DayView | None


class StationPage(BaseModel):
    """Stations by id; `next` as `after` gives the following ones. `scheme`: whose levels they are."""

    model_config = _SHOWN

    scheme: str
    stations: list[FireStationView]
    next: str | None


class LevelView(BaseModel):
    """The level of one station: 1 to 6, and as a word."""

    model_config = _SHOWN

    station: str
    name: str
    area_path: str
    latitude_deg: float
    longitude_deg: float
    day: date
    level: int
    word: str


class LevelPage(BaseModel):
    """Levels by station; `next` as `after` gives the following ones; stations without a level are left out."""

    model_config = _SHOWN

    scheme: str
    levels: list[LevelView]
    next: str | None


class QualityView(BaseModel):
    """What was thought of a station's days: how many by each rule, and by value how many by each verdict."""

    model_config = _SHOWN

    station: str
    days: int
    rules: dict[str, int]
    verdicts: dict[str, dict[str, int]]
    corrections: int


class QualityPage(BaseModel):
    """Stations by id; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    stations: list[QualityView]
    next: str | None


class StartOrder(BaseModel):
    """From this day's observation on a station begins anew, with these codes; without them those of a start."""

    model_config = ConfigDict(extra="forbid")

    day: date
    ffmc: Annotated[float, Field(ge=0, le=101)] = 85.0
    dmc: Annotated[float, Field(ge=0, le=1_000)] = 6.0
    dc: Annotated[float, Field(ge=0, le=5_000)] = 15.0
    why: Annotated[str, Field(min_length=1, max_length=500)]


@router.get("/fire/stations")
async def list_stations(
    context: Here, caller: SeesFire, *, area: _Area = None, after: _After = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> StationPage:  # fmt: skip
    """List the stations of one's own subtree, with how they stand."""

    def work(connection: Connection) -> list[FireStationView]:
        query = _inside(connection, caller, area).where(fire_station.c.id > after).limit(limit)
        rows = connection.execute(query).mappings().all()
        latest = latest_days(connection, [row["id"] for row in rows])
        return [_station(row, latest.get(row["id"])) for row in rows]

    found = await context.database.ask(work)
    scheme = context.settings.fire.scheme.value
    return StationPage(scheme=scheme, stations=found, next=found[-1].id if len(found) == limit else None)


@router.get("/fire/levels")
async def list_levels(
    context: Here, caller: SeesFire, *, area: _Area = None, after: _After = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> LevelPage:  # fmt: skip
    """Tell the danger level of every station of one's own subtree."""

    def work(connection: Connection) -> list[LevelView]:
        query = _inside(connection, caller, area).where(fire_station.c.id > after).limit(limit)
        rows = connection.execute(query.where(_level_column(query) > 0)).mappings()
        return [_level(row) for row in rows]

    found = await context.database.ask(work)
    scheme = context.settings.fire.scheme.value
    return LevelPage(scheme=scheme, levels=found, next=found[-1].station if len(found) == limit else None)


@router.get("/fire/quality")
async def list_quality(
    context: Here, caller: SeesFire, *, area: _Area = None, since: _Since = None, until: _Until = None,
    after: _After = "", limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> QualityPage:  # fmt: skip
    """Count what was thought of the days of the stations of one's own subtree."""

    def work(connection: Connection) -> list[QualityView]:
        query = _inside(connection, caller, area).where(fire_station.c.id > after).limit(limit)
        names = [row["id"] for row in connection.execute(query).mappings()]
        return [QualityView.model_validate(one) for one in qualities(connection, names, since=since, until=until)]

    found = await context.database.ask(work)
    return QualityPage(stations=found, next=found[-1].station if len(found) == limit else None)


@router.get("/fire/stations/{station_id}")
async def show_station(station_id: StationId, context: Here, caller: SeesFire) -> FireStationView:
    """Show one station and how it stands."""

    def work(connection: Connection) -> FireStationView:
        query = _inside(connection, caller, None).where(fire_station.c.id == station_id)
        row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise not_found("such station")
        return _station(row, latest_days(connection, [station_id]).get(station_id))

    return await context.database.ask(work)


@router.get("/fire/stations/{station_id}/days")
async def list_days(
    station_id: StationId, context: Here, caller: SeesFire, *, since: _Since = None, until: _Until = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> DayPage:  # fmt: skip
    """List the days of a station: what was read, what is thought of it, what came of it, what was corrected."""

    def work(connection: Connection) -> list[DayView]:
        _check_path(connection, caller, station_id)
        rows = connection.execute(days_query(station_id, since=since, until=until, limit=limit + 1)).mappings().all()
        corrected = corrections_of(connection, station_id, [row["day"] for row in rows])
        return [_day(row, corrected.get(row["day"], [])) for row in rows]

    found = await context.database.ask(work)
    return DayPage(days=found[:limit], next=found[limit].day if len(found) > limit else None)


@router.post("/fire/stations/{station_id}/start", status_code=204)
async def start_station(
    station_id: StationId, body: StartOrder, context: Here, caller: Annotated[Caller, needs(Action.EDIT_FIRE)]
) -> None:
    """Let a station begin anew on a day; all later days are worked out again, with what was said of them kept."""
    now_us = context.clock()
    zone = ZoneInfo(context.settings.desk.timezone)
    today = day_of(now_us, standard_offset_s(zone, day_of(now_us, 0)))
    if not 0 <= (today - body.day).days <= _MAX_START_AGE_DAYS:
        hint = f"Name today or a day at most {_MAX_START_AGE_DAYS} days ago."
        raise ProblemError(422, "start-refused", f"a station cannot begin anew on {body.day}", hint=hint)

    def work(connection: Connection) -> None:
        path = _check_path(connection, caller, station_id)
        if not allows(caller.person, Action.EDIT_FIRE, path):
            raise not_found("such station")
        start_anew(
            connection,
            station_id,
            body.day,
            Codes(body.ffmc, body.dmc, body.dc),
            why=body.why,
            settings=context.settings,
            actor=caller.actor,
            now_us=now_us,
        )

    await context.database.call(work)


def _inside(connection: Connection, caller: Caller, area: str | None) -> Select[Any]:
    """Write the query of the stations in the caller's subtree, and in the area asked for."""
    path = None if area is None else area_path_of(connection, area, caller.person)
    terms = [within(AREA_PATH, caller.person.scope), within(AREA_PATH, path)]
    return stations_query().where(*(term for term in terms if term is not None))


def _level_column(query: Select[Any]) -> Any:
    return query.selected_columns.level


def _check_path(connection: Connection, caller: Caller, station_id: str) -> str:
    path = path_of(connection, station_id)
    if path is None or not is_inside(caller.person.scope, path):
        raise not_found("such station")
    return path


def _station(row: Mapping[Any, Any], latest: Mapping[str, Any] | None) -> FireStationView:
    plain = ("id", "name", "site", "gateway", "device", "latitude_deg", "longitude_deg", "area_path", "hourly_ffmc",
             "hourly_at_us")  # fmt: skip
    return FireStationView(
        **{name: row[name] for name in plain},
        area=row["area_id"],
        active=row["active"] == "yes",
        level=_word(row["level"]),
        latest=None if latest is None else _day(latest, []),
    )


def _level(row: Mapping[Any, Any]) -> LevelView:
    danger = Danger(row["level"])
    plain = {name: row[name] for name in ("name", "area_path", "latitude_deg", "longitude_deg", "day")}
    return LevelView(station=row["id"], level=danger, word=danger.word, **plain)


def _day(row: Mapping[Any, Any], corrections: list[dict[str, Any]]) -> DayView:
    plain = ("day", "rule", "noon_at_us", "ffmc", "dmc", "dc", "isi", "bui", "fwi", "dsr")
    columns = {"temp_c": "temp", "rh_pct": "rh", "wind_kmh": "wind", "rain_mm": "rain"}
    used = None if row["fwi"] is None else {name: row[f"used_{name}"] for name in columns}
    return DayView(
        **{name: row[name] for name in plain},
        read={name: ValueView(value=row[name], verdict=row[f"{word}_verdict"]) for name, word in columns.items()},
        used=used,
        effis=_word(row["effis"]),
        canada=_word(row["canada"]),
        china=_china(row),
        corrections=[CorrectionView(**one) for one in corrections],
    )


def _china(row: Mapping[Any, Any]) -> ChinaView | None:
    if row["china"] is None:
        return None
    colour = COLOURS[row["china"] - 1]
    signal = colour if row["china"] >= _FIRST_SIGNAL else None
    return ChinaView(index=row["china_index"], level=row["china"], colour=colour, signal=signal, source=SOURCE)


def _word(level: int | None) -> str | None:
    return Danger(level).word if level else None
