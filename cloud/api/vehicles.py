"""Vehicles: where they are, where they were, and the fences around them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select

from cloud.api.alarms import area_path_of
from cloud.api.auth import Caller, needs
from cloud.api.context import Context, Here
from cloud.api.problems import ProblemError, not_found
from cloud.api.queries import TimeUs, Word, within
from cloud.database.area_tables import area
from cloud.database.tables import occurrence
from cloud.database.vehicle_tables import vehicle, vehicle_position
from cloud.desk.own import OWN_GATEWAY
from cloud.errors import DatabaseAwayError, DatabaseRefusedError, HoldError
from cloud.influx.query import open_reader
from cloud.people.audit import note
from cloud.people.roles import Action
from cloud.vehicles.alarms import device_of, title_of
from cloud.vehicles.settings import Vehicles
from cloud.vehicles.track_files import GeoJsonWriter, GpxWriter
from cloud.vehicles.tracks import MAX_SHOWN, Reader, Stop, TrackPoint, check_span, find_stops, read_track, thin

router = APIRouter(tags=["vehicles"])
_SHOWN = ConfigDict(extra="forbid", from_attributes=True)
TRACK_SEEN = "track-seen"
"""What the audit calls it, whatever the form."""
MOST_ALARMS = 100
SHOWN_M = 2.0
"""What a map would show off by less than this is not shown: no receiver is better."""
VehicleId = Annotated[str, Path(min_length=1, max_length=48, pattern=r"^[^\x00]+$")]
SeesVehicles = Annotated[Caller, needs(Action.SEE_VEHICLES)]
_WHOLE = vehicle.join(vehicle_position, vehicle_position.c.vehicle == vehicle.c.id).outerjoin(
    area, area.c.id == vehicle.c.area
)
_HEARD = [column for column in vehicle_position.c if column.name not in ("vehicle", "state")]


class Motion(StrEnum):
    """What a vehicle does as far as is known."""

    MOVING = "moving"
    STANDING = "standing"
    SILENT = "silent"


class Form(StrEnum):
    """How a track is answered: thinned for a map, or exact as a file."""

    JSON = "json"
    GPX = "gpx"
    GEOJSON = "geojson"


class PositionView(BaseModel):
    """A last report; `doubtful`: no other report agrees with it yet."""

    model_config = _SHOWN

    at_us: int
    received_at_us: int
    latitude_deg: float
    longitude_deg: float
    speed_kmh: float | None
    course_deg: float | None
    ignition: bool | None
    doubtful: bool


class VehicleView(BaseModel):
    """A vehicle; `position` null: it has never been heard, and it is silent."""

    model_config = _SHOWN

    id: str
    plate: str
    name: str
    kind: str
    fleet: str
    area: str
    area_path: str
    gateway: str
    device: str
    guarded: bool
    weekdays: str
    begins: str | None
    ends: str | None
    motion: Motion
    position: PositionView | None


class VehiclePage(BaseModel):
    """Vehicles by id; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    vehicles: list[VehicleView]
    next: str | None


class OpenAlarm(BaseModel):
    """An alarm of the vehicle, of its terminal or of the cloud, that is not closed."""

    model_config = _SHOWN

    alarm_id: str
    kind: str
    severity: str
    raised_at_us: int
    cleared_at_us: int | None
    text: dict[str, str]


class VehicleDetails(VehicleView):
    """A vehicle and what is open of it, the latest first."""

    alarms: list[OpenAlarm]


class PointView(BaseModel):
    """One report of a track."""

    model_config = _SHOWN

    at_us: int
    latitude_deg: float
    longitude_deg: float
    speed_kmh: float | None
    course_deg: float | None


class VehicleStopView(BaseModel):
    """It stayed in one place for a while."""

    model_config = _SHOWN

    from_us: int
    until_us: int
    latitude_deg: float
    longitude_deg: float


class TrackView(BaseModel):
    """A track for a map: `count` reports, of which `points` show it best; an export has all of them."""

    model_config = _SHOWN

    vehicle: str
    from_us: int
    until_us: int
    count: int
    points: list[PointView]
    stops: list[VehicleStopView]


@router.get("/vehicles")
async def list_vehicles(
    context: Here,
    caller: SeesVehicles,
    *,
    below: Annotated[Word | None, Query(alias="area")] = None,
    fleet: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
    motion: Annotated[Motion | None, Query()] = None,
    after: Annotated[str, Query(max_length=48, pattern=r"^[^\x00]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> VehiclePage:
    """List the vehicles of one's own subtree with their last positions."""
    now_us, settings = context.clock(), context.settings.vehicles

    def work(connection: Connection) -> list[VehicleView]:
        query = _visible(caller).where(vehicle.c.id > after).order_by(vehicle.c.id).limit(limit)
        path = None if below is None else area_path_of(connection, below, caller.person)
        if (term := within(area.c.path, path)) is not None:
            query = query.where(term)
        if fleet is not None:
            query = query.where(vehicle.c.fleet == fleet)
        if motion is not None:
            query = query.where(_is_so(motion, settings, now_us))
        return [VehicleView(**_shown(row, settings, now_us)) for row in connection.execute(query).mappings()]

    found = await context.database.ask(work)
    return VehiclePage(vehicles=found, next=found[-1].id if len(found) == limit else None)


@router.get("/vehicles/{vehicle_id}")
async def show_vehicle(vehicle_id: VehicleId, context: Here, caller: SeesVehicles) -> VehicleDetails:
    """Show one vehicle, where it is, and which alarms of it are open."""
    now_us, settings = context.clock(), context.settings.vehicles

    def work(connection: Connection) -> VehicleDetails:
        row = find_visible(connection, vehicle_id, caller)
        of_terminal = and_(occurrence.c.gateway == row["gateway"], occurrence.c.device == row["device"])
        of_cloud = and_(occurrence.c.gateway == OWN_GATEWAY, occurrence.c.device == device_of(vehicle_id))
        query = select(*(occurrence.c[name] for name in OpenAlarm.model_fields))
        query = query.where(occurrence.c.closed_at_us.is_(None), or_(of_terminal, of_cloud))
        # An alarm lies where it was raised, which need not be where the vehicle belongs.
        if (term := within(occurrence.c.area_path, caller.person.scope)) is not None:
            query = query.where(term)
        query = query.order_by(occurrence.c.last_raised_at_us.desc()).limit(MOST_ALARMS)
        alarms = [OpenAlarm.model_validate(dict(one)) for one in connection.execute(query).mappings()]
        return VehicleDetails(**_shown(row, settings, now_us), alarms=alarms)

    return await context.database.ask(work)


@router.get(
    "/vehicles/{vehicle_id}/track",
    response_model=TrackView,
    responses={
        200: {
            "description": "The track.",
            "content": {
                GpxWriter.media_type: {"schema": {"type": "string"}},
                GeoJsonWriter.media_type: {"schema": {"type": "object"}},
            },
        }
    },
)
async def show_track(
    vehicle_id: VehicleId,
    context: Here,
    caller: Annotated[Caller, needs(Action.SEE_TRACKS)],
    *,
    from_us: TimeUs,
    until_us: TimeUs,
    form: Annotated[Form, Query(alias="format")] = Form.JSON,
    most: Annotated[int | None, Query(ge=2, le=20_000)] = None,
) -> TrackView | Response:
    """Tell where a vehicle was, by the reports of the terminal that is in it now; looking is written into the audit."""
    check_span(from_us, until_us, span_days=context.settings.vehicles.span_days)

    def work(connection: Connection) -> Mapping[Any, Any]:
        row = find_visible(connection, vehicle_id, caller)
        told = {"from_us": from_us, "until_us": until_us, "format": form.value}
        at_us = context.clock()
        note(connection, actor=caller.actor, what=TRACK_SEEN, object_=vehicle_id, details=told, at_us=at_us)
        return dict(row)

    row = await context.database.call(work)
    if form is not Form.JSON:
        return await _export(context, row, form, from_us, until_us)
    points: list[TrackPoint] = []
    async with open_reader(context.settings.influx) as reader:
        async for page in _pages(reader, row, from_us, until_us):
            points += page
            if len(points) > MAX_SHOWN:
                hint = "Ask for less time, or for an export."
                raise ProblemError(422, "too-many-points", f"more than {MAX_SHOWN} points", hint=hint)
    choose = partial(_choose, points, most or context.settings.vehicles.most_points)
    kept, stops = await anyio.to_thread.run_sync(choose)
    return TrackView(
        vehicle=vehicle_id,
        from_us=from_us,
        until_us=until_us,
        count=len(points),
        points=[PointView.model_validate(points[at]) for at in kept],
        stops=[_stop(points, one) for one in stops],
    )


def find_visible(connection: Connection, vehicle_id: str, caller: Caller) -> Mapping[Any, Any]:
    """Find a vehicle among those that the caller sees.

    Raises:
        ProblemError: 404.
    """
    row = connection.execute(_visible(caller).where(vehicle.c.id == vehicle_id)).mappings().one_or_none()
    if row is None:
        raise not_found("such vehicle")
    return dict(row)


def _visible(caller: Caller) -> Select[Any]:
    query = select(vehicle, area.c.path.label("area_path"), *_HEARD).select_from(_WHOLE)
    term = within(area.c.path, caller.person.scope)
    return query if term is None else query.where(term)


def _silent_us(settings: Vehicles, now_us: int) -> int:
    return now_us - round(settings.silent_after_s * 1e6)


def _is_so(motion: Motion, settings: Vehicles, now_us: int) -> ColumnElement[bool]:
    at_us, speed_kmh = vehicle_position.c.at_us, vehicle_position.c.speed_kmh
    silent_us = _silent_us(settings, now_us)
    if motion is Motion.SILENT:
        return or_(at_us.is_(None), at_us < silent_us)
    if motion is Motion.MOVING:
        return and_(at_us >= silent_us, speed_kmh >= settings.moving_kmh)
    return and_(at_us >= silent_us, or_(speed_kmh.is_(None), speed_kmh < settings.moving_kmh))


def _shown(row: Mapping[Any, Any], settings: Vehicles, now_us: int) -> dict[str, Any]:
    if row["at_us"] is None or row["at_us"] < _silent_us(settings, now_us):
        motion = Motion.SILENT
    else:
        motion = Motion.MOVING if (row["speed_kmh"] or 0.0) >= settings.moving_kmh else Motion.STANDING
    heard = None if row["at_us"] is None else {name: row[name] for name in PositionView.model_fields}
    told = {name: row[name] for name in VehicleView.model_fields if name in row}
    return told | {"area_path": row["area_path"] or "", "motion": motion, "position": heard}


def _choose(points: list[TrackPoint], most: int) -> tuple[list[int], list[Stop]]:
    return thin(points, most=most, tolerance_m=SHOWN_M), find_stops(points)[:most]


def _stop(points: list[TrackPoint], stop: Stop) -> VehicleStopView:
    first, last = points[stop.first], points[stop.last]
    return VehicleStopView(
        from_us=first.at_us,
        until_us=last.at_us,
        latitude_deg=first.latitude_deg,
        longitude_deg=first.longitude_deg,
    )


async def _export(context: Context, row: Mapping[Any, Any], form: Form, from_us: int, until_us: int) -> Response:
    """Write a track as a file while it is read; what goes wrong before its first page is still a problem."""
    writer = GpxWriter() if form is Form.GPX else GeoJsonWriter()
    async with AsyncExitStack() as opening:
        reader = await opening.enter_async_context(open_reader(context.settings.influx))
        pages = _pages(reader, row, from_us, until_us)
        first: list[TrackPoint] = await anext(pages, [])
        closing = opening.pop_all()

    async def pieces() -> AsyncIterator[bytes]:
        async with closing:
            yield writer.begin(title_of(row), made_at_us=context.clock())
            yield writer.write(first)
            async for page in pages:
                yield await anyio.to_thread.run_sync(writer.write, page)
            yield writer.end()

    headers = {"Content-Disposition": f'attachment; filename="{row["id"]}.{form.value}"'}
    return StreamingResponse(pieces(), media_type=writer.media_type, headers=headers)


async def _pages(
    reader: Reader, row: Mapping[Any, Any], from_us: int, until_us: int
) -> AsyncIterator[list[TrackPoint]]:
    try:
        async for page in read_track(reader, row["gateway"], row["device"], from_us=from_us, until_us=until_us):
            yield page
    except (DatabaseAwayError, HoldError, DatabaseRefusedError) as error:
        # Without where it is, and what it was asked.
        why = f"the readings cannot be read ({type(error).__name__})"
        raise ProblemError(503, "readings-away", why, hint="Ask again; the log of InfluxDB says why.") from error
