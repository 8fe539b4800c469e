"""Bikes: the registry, arming, the stolen ones and their cases, where a tag was, and stations."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from cloud.api.alarms import area_path_of
from cloud.api.auth import Caller, needs
from cloud.api.context import Context, Here
from cloud.api.problems import not_found
from cloud.api.queries import TimeUs, Word
from cloud.bikes import operations, reading
from cloud.bikes.reading import Only
from cloud.bikes.registry import forget_owner
from cloud.bikes.stations import Stations, read_stations
from cloud.people.audit import note
from cloud.people.roles import Action

router = APIRouter(tags=["bikes"])
_SHOWN = ConfigDict(extra="forbid", from_attributes=True)
_DAY_US = 86_400_000_000
_WEEK_US = 7 * _DAY_US
BikeId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]
CaseId = Annotated[int, Path(ge=1, le=2**53 - 1)]
SeesBikes = Annotated[Caller, needs(Action.SEE_BIKES)]
_Limit = Annotated[int, Query(ge=1, le=1_000)]


class BikeView(BaseModel):
    """A bike and how it stands, without whose it is.

    Attributes:
        station: id of the station where its tag is; null: at none.
        since_us: it came there.
        heard_us: the tag was heard last; null: never.
        armed_how: owner, hours or person; null: it is not armed.
        stolen_us: put on the stolen list.
        low_us, silent_us: since when the battery is low, or an alarm stands that nobody hears it.
    """

    model_config = _SHOWN

    id: str
    area: str
    area_path: str
    tag: str | None
    owner_tag: str | None
    plate: str
    note: str
    by_owner: bool
    arm_from: str | None
    arm_to: str | None
    arm_days: str | None
    silent_after_s: int | None
    station: int | None
    station_name: str | None
    since_us: int | None
    heard_us: int | None
    battery_v: float | None
    low_us: int | None
    silent_us: int | None
    armed_how: str | None
    armed_us: int | None
    armed_by: str | None
    stolen_us: int | None


class BikePage(BaseModel):
    """Bikes by id; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    bikes: list[BikeView]
    next: str | None


class ToldView(BaseModel):
    """What a gateway was told of a tag last; `state` is the order's, null once that is forgotten."""

    model_config = _SHOWN

    gateway: str
    is_armed: bool
    at_us: int
    state: str | None
    reason: str


class BikeDetails(BikeView):
    """A bike, and what gateways were told of it."""

    told: list[ToldView]


class OwnerView(BaseModel):
    """Whose a bike is."""

    model_config = _SHOWN

    bike: str
    name: str
    phone: str
    address: str


class DoneView(BaseModel):
    """Whether it changed anything; `case` is the case that is meant."""

    model_config = _SHOWN

    changed: bool
    case: int | None = None


class StolenBikeOrder(BaseModel):
    """A bike is stolen; `note` is what the alarm of a hit says beside its plate."""

    model_config = ConfigDict(extra="forbid", strict=True)

    note: Annotated[str, Field(max_length=operations.MAX_NOTE_CHARS, pattern=r"^[^\x00-\x1f]*$")] = ""


class StayView(BaseModel):
    """A tag was at a station; `until_us` null: it is."""

    model_config = _SHOWN

    station: int
    station_name: str
    latitude_deg: float | None
    longitude_deg: float | None
    from_us: int
    until_us: int | None


class HitView(BaseModel):
    """A station heard the tag while it was on the stolen list, `count` times."""

    model_config = _SHOWN

    case: int
    station: int | None
    station_name: str | None
    at_us: int
    until_us: int
    count: int


class TrailPage(BaseModel):
    """Where a tag was, the earliest first; `next_us` as `after_us` gives the following stays."""

    model_config = _SHOWN

    bike: str
    tag: str
    stays: list[StayView]
    hits: list[HitView]
    next_us: int | None


class CaseView(BaseModel):
    """A theft, or a bike that was reported stolen; `outcome`: recovered, owner, or a closing code of the desk."""

    model_config = _SHOWN

    id: int
    bike: str
    plate: str
    area_path: str
    tag: str
    kind: str
    opened_us: int
    opened_by: str
    alarm_id: str | None
    hits: int
    closed_us: int | None
    closed_by: str | None
    outcome: str | None


class CasePage(BaseModel):
    """Cases, the latest first; `next` as `before` gives the following ones."""

    model_config = _SHOWN

    cases: list[CaseView]
    next: int | None


class StepView(BaseModel):
    """One step of a case: seen, hit, alarm, marked, recovered or closed."""

    model_config = _SHOWN

    what: str
    at_us: int
    until_us: int
    count: int
    station: int | None
    station_name: str | None
    words: str


class CaseDetails(CaseView):
    """A case and its trail."""

    steps: list[StepView]


class BikeStationView(BaseModel):
    """A station: tags that are there now, and how many came on this local day."""

    model_config = _SHOWN

    id: int
    gateway: str
    device: str
    name: str
    site: str | None
    area_path: str
    latitude_deg: float | None
    longitude_deg: float | None
    heard_us: int
    present: int
    moves: int


class StationList(BaseModel):
    """All stations of the own subtree."""

    model_config = _SHOWN

    stations: list[BikeStationView]


@router.get("/bikes")
async def list_bikes(
    context: Here,
    caller: SeesBikes,
    *,
    area: Annotated[Word | None, Query()] = None,
    only: Annotated[Only | None, Query()] = None,
    tag: Annotated[Word | None, Query()] = None,
    station: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    after: Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$")] = "",
    limit: _Limit = 100,
) -> BikePage:
    """List the bikes of one's own subtree."""

    def work(connection: Connection) -> list[BikeView]:
        below = None if area is None else area_path_of(connection, area, caller.person)
        filters = reading.Filters(
            caller.person.scope, below, only, None if tag is None else tag.upper(), station, after, limit
        )  # fmt: skip
        stations = read_stations(connection)
        return [_bike(row, stations) for row in reading.list_bikes(connection, filters)]

    found = await context.database.ask(work)
    return BikePage(bikes=found, next=found[-1].id if len(found) == limit else None)


@router.get("/bikes/{bike_id}")
async def show_bike(bike_id: BikeId, context: Here, caller: SeesBikes) -> BikeDetails:
    """Show one bike, and what gateways were told of it."""

    def work(connection: Connection) -> BikeDetails:
        row = _find(connection, bike_id, caller)
        told = [ToldView(**one) for one in reading.told(connection, row["tag"])]
        return BikeDetails(**_bike(row, read_stations(connection)).model_dump(), told=told)

    return await context.database.ask(work)


@router.get("/bikes/{bike_id}/owner")
async def show_owner(
    bike_id: BikeId, context: Here, caller: Annotated[Caller, needs(Action.SEE_OWNERS)]
) -> OwnerView:  # fmt: skip
    """Show whose a bike is; that one looked is written into the audit."""

    def work(connection: Connection) -> OwnerView | None:
        _find(connection, bike_id, caller)
        row = reading.see_owner(connection, bike_id, actor=caller.actor, at_us=context.clock())
        return None if row is None else OwnerView(**row)

    found = await context.database.call(work)
    if found is None:
        raise not_found("owner of this bike")
    return found


@router.delete("/bikes/{bike_id}/owner")
async def delete_owner(
    bike_id: BikeId, context: Here, caller: Annotated[Caller, needs(Action.EDIT_BIKES)]
) -> DoneView:  # fmt: skip
    """Delete all that is personal of a bike: its owner, and the owner's tag; what remains says of nobody."""
    return await _do(context, caller, bike_id, lambda connection, now_us: DoneView(
        changed=forget_owner(connection, bike_id, actor=caller.actor, at_us=now_us)
    ))  # fmt: skip


@router.post("/bikes/{bike_id}/arm")
async def arm_bike(
    bike_id: BikeId, context: Here, caller: Annotated[Caller, needs(Action.ARM_BIKES)]
) -> DoneView:  # fmt: skip
    """Arm a bike until somebody disarms it."""
    return await _do(context, caller, bike_id, lambda connection, now_us: DoneView(
        changed=operations.arm(connection, bike_id, actor=caller.actor, now_us=now_us)
    ))  # fmt: skip


@router.post("/bikes/{bike_id}/disarm")
async def disarm_bike(
    bike_id: BikeId, context: Here, caller: Annotated[Caller, needs(Action.ARM_BIKES)]
) -> DoneView:  # fmt: skip
    """Disarm a bike, whyever it is armed."""
    desk = context.settings.desk
    return await _do(context, caller, bike_id, lambda connection, now_us: DoneView(
        changed=operations.disarm(connection, bike_id, actor=caller.actor, desk=desk, now_us=now_us)
    ))  # fmt: skip


@router.post("/bikes/{bike_id}/stolen")
async def mark_stolen(
    bike_id: BikeId, body: StolenBikeOrder, context: Here, caller: Annotated[Caller, needs(Action.WATCH_BIKES)]
) -> DoneView:
    """Put a bike on the stolen list: every gateway looks for its tag."""
    return await _do(context, caller, bike_id, lambda connection, now_us: DoneView(
        changed=True,
        case=operations.mark_stolen(connection, bike_id, words=body.note, actor=caller.actor, now_us=now_us),
    ))  # fmt: skip


@router.post("/bikes/{bike_id}/recovered")
async def mark_recovered(
    bike_id: BikeId, context: Here, caller: Annotated[Caller, needs(Action.WATCH_BIKES)]
) -> DoneView:  # fmt: skip
    """Take a bike off the stolen list, disarm it, and close its case: it is back."""
    desk = context.settings.desk
    return await _do(context, caller, bike_id, lambda connection, now_us: DoneView(
        changed=True,
        case=operations.recover(connection, bike_id, actor=caller.actor, desk=desk, now_us=now_us),
    ))  # fmt: skip


@router.post("/bikes/{bike_id}/battery")
async def note_battery(
    bike_id: BikeId, context: Here, caller: Annotated[Caller, needs(Action.EDIT_BIKES)]
) -> DoneView:  # fmt: skip
    """Note that the tag has a new battery."""
    desk = context.settings.desk
    return await _do(context, caller, bike_id, lambda connection, now_us: DoneView(
        changed=operations.battery_changed(connection, bike_id, actor=caller.actor, desk=desk, now_us=now_us)
    ))  # fmt: skip


@router.get("/bikes/{bike_id}/trail")
async def show_trail(
    bike_id: BikeId,
    context: Here,
    caller: Annotated[Caller, needs(Action.SEE_TRACKS)],
    *,
    from_us: Annotated[TimeUs | None, Query()] = None,
    until_us: Annotated[TimeUs | None, Query()] = None,
    after_us: Annotated[TimeUs, Query()] = 0,
    limit: Annotated[int, Query(ge=1, le=2_000)] = 500,
) -> TrailPage:
    """Show where a bike's tag was, in the last week unless said; that one looked is written into the audit."""
    now_us = context.clock()
    last_us = now_us + _DAY_US if until_us is None else until_us
    first_us = max(0, min(now_us, last_us) - _WEEK_US) if from_us is None else from_us

    def work(connection: Connection) -> TrailPage:
        tag = _find(connection, bike_id, caller)["tag"]
        if tag is None:
            raise not_found("tag of this bike")
        details = {"from_us": first_us, "until_us": last_us}
        note(
            connection, actor=caller.actor, what=reading.TRAIL_SEEN, object_=bike_id, details=details, at_us=now_us
        )  # fmt: skip
        trail = reading.read_trail(
            connection, tag, from_us=first_us, until_us=last_us, after_us=after_us, limit=limit
        )  # fmt: skip
        return _trail(bike_id, tag, trail, read_stations(connection))

    return await context.database.call(work)


@router.get("/bike-cases")
async def list_cases(
    context: Here,
    caller: SeesBikes,
    *,
    state: Annotated[str, Query(pattern="^(open|all)$")] = "open",
    bike: Annotated[Word | None, Query()] = None,
    before: Annotated[int | None, Query(ge=1, le=2**53 - 1)] = None,
    limit: _Limit = 100,
) -> CasePage:
    """List the cases of bikes of one's own subtree, the latest first."""
    found = await context.database.ask(
        lambda connection: reading.list_cases(
            connection, scope=caller.person.scope, is_open=state == "open", bike_id=bike, before=before, limit=limit
        )
    )
    cases = [CaseView(**row) for row in found]
    return CasePage(cases=cases, next=cases[-1].id if len(cases) == limit else None)


@router.get("/bike-cases/{case_id}")
async def show_case(
    case_id: CaseId, context: Here, caller: Annotated[Caller, needs(Action.SEE_TRACKS)]
) -> CaseDetails:  # fmt: skip
    """Show a case with its trail; that one looked is written into the audit."""

    def work(connection: Connection) -> CaseDetails:
        row = reading.find_case(connection, case_id, caller.person.scope)
        if row is None:
            raise not_found("such case")
        note(
            connection, actor=caller.actor, what=reading.CASE_SEEN, object_=row["bike"], details={"case": case_id},
            at_us=context.clock(),
        )  # fmt: skip
        steps = reading.steps_of(connection, case_id, read_stations(connection))
        return CaseDetails(**row, steps=[StepView(**one) for one in steps])

    return await context.database.call(work)


@router.get("/bike-stations")
async def list_stations(context: Here, caller: SeesBikes) -> StationList:
    """List the stations of one's own subtree, with what is there now and what came today."""
    zone = ZoneInfo(context.settings.desk.timezone)
    today = datetime.fromtimestamp(context.clock() // 1_000_000, UTC).astimezone(zone).date()
    found = await context.database.ask(
        lambda connection: reading.list_stations(connection, scope=caller.person.scope, today=today)
    )
    return StationList(stations=[BikeStationView(**row) for row in found])


def _find(connection: Connection, bike_id: str, caller: Caller) -> dict[str, Any]:
    row = reading.find_bike(connection, bike_id, caller.person.scope)
    if row is None:
        raise not_found("such bike")
    return row


async def _do(
    context: Context, caller: Caller, bike_id: str, work: Callable[[Connection, int], DoneView]
) -> DoneView:  # fmt: skip
    """Do something with a bike of the caller's own subtree."""

    def inside(connection: Connection) -> DoneView:
        _find(connection, bike_id, caller)
        return work(connection, context.clock())

    return await context.database.call(inside)


def _bike(row: dict[str, Any], stations: Stations) -> BikeView:
    name = None if row["station"] is None else stations.name_of(row["station"])
    return BikeView(**row, station_name=name)


def _trail(bike_id: str, tag: str, trail: reading.Trail, stations: Stations) -> TrailPage:
    stays = []
    for station, from_us, until_us in trail.stays:
        found = stations.get(station)
        spot = None if found is None else found.spot
        stays.append(StayView(
            station=station, station_name=stations.name_of(station), from_us=from_us, until_us=until_us,
            latitude_deg=None if spot is None else spot.latitude_deg,
            longitude_deg=None if spot is None else spot.longitude_deg,
        ))  # fmt: skip
    hits = [
        HitView(
            case=one.case, station=one.station, at_us=one.at_us, until_us=one.until_us, count=one.count,
            station_name=None if one.station is None else stations.name_of(one.station),
        )
        for one in trail.hits
    ]  # fmt: skip
    return TrailPage(bike=bike_id, tag=tag, stays=stays, hits=hits, next_us=trail.next_us)
