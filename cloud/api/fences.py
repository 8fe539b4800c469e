"""Fences of vehicles: seen by who sees vehicles, drawn and removed by who edits them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from cloud.api.alarms import area_path_of
from cloud.api.auth import Caller, needs
from cloud.api.context import Here
from cloud.api.problems import not_found
from cloud.api.queries import Word, within
from cloud.api.vehicles import find_visible
from cloud.areas.rosters import WEEKDAYS
from cloud.database.area_tables import area
from cloud.database.vehicle_tables import vehicle_fence
from cloud.geo import Spot, parse_outline
from cloud.people.roles import Action
from cloud.vehicles.drawing import draw_fence, remove_fence
from cloud.vehicles.fences import MAX_MARGIN_M, MAX_RADIUS_M, MIN_MARGIN_M, Fence, Rule, fence_of
from cloud.vehicles.hours import ALWAYS_WEEKDAYS, Hours
from contract.alarms import Severity
from contract.ids import ID_PATTERN

router = APIRouter(tags=["vehicles"])
FenceId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]
EditsVehicles = Annotated[Caller, needs(Action.EDIT_VEHICLES)]
_ID = Field(min_length=1, max_length=64, pattern=ID_PATTERN.replace(r"\Z", "$"))
_Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
_Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Circle(BaseModel):
    """A circle on the ground."""

    model_config = ConfigDict(extra="forbid")

    latitude_deg: Annotated[float, Field(ge=-90, le=90)]
    longitude_deg: Annotated[float, Field(ge=-180, le=180)]
    radius_m: Annotated[float, Field(ge=1, le=MAX_RADIUS_M)]


class FenceOrder(BaseModel):
    """A fence as it is drawn: `circle` or `outline`, a Polygon of GeoJSON; hours are local, none: it always holds."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, _ID]
    name: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")] = ""
    area: Word
    rule: Rule
    vehicle: Word | None = None
    fleet: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")] | None = None
    circle: Circle | None = None
    outline: dict[str, Any] | None = None
    margin_m: Annotated[float, Field(ge=MIN_MARGIN_M, le=MAX_MARGIN_M)] = 50.0
    severity: Severity = Severity.HIGH
    weekdays: Annotated[list[_Day], Field(min_length=1, max_length=7)] = list(WEEKDAYS)  # type: ignore[arg-type]
    begins: _Clock | None = None
    ends: _Clock | None = None


class FenceView(BaseModel):
    """A fence as it stands; `outline` is a Polygon of GeoJSON."""

    model_config = ConfigDict(extra="forbid")

    id: str
    name: str
    area: str
    rule: Rule
    vehicle: str | None
    fleet: str | None
    circle: Circle | None
    outline: dict[str, Any] | None
    margin_m: float
    severity: Severity
    weekdays: list[str]
    begins: str | None
    ends: str | None
    edited_at_us: int

    @classmethod
    def of(cls, fence: Fence) -> "FenceView":
        """Show a fence."""
        ring = [[spot.longitude_deg, spot.latitude_deg] for spot in (*fence.outline, *fence.outline[:1])]
        center = fence.center
        return cls(
            id=fence.id,
            name=fence.name,
            area=fence.area,
            rule=fence.rule,
            vehicle=fence.vehicle,
            fleet=fence.fleet,
            circle=None
            if center is None
            else Circle(latitude_deg=center.latitude_deg, longitude_deg=center.longitude_deg, radius_m=fence.radius_m),
            outline={"type": "Polygon", "coordinates": [ring]} if ring else None,
            margin_m=fence.margin_m,
            severity=fence.severity,
            weekdays=fence.hours.weekdays.split(),
            begins=fence.hours.begins,
            ends=fence.hours.ends,
            edited_at_us=fence.edited_at_us,
        )


class FencePage(BaseModel):
    """Fences by id; `next` as `after` gives the following ones."""

    model_config = ConfigDict(extra="forbid")

    fences: list[FenceView]
    next: str | None


@router.get("/vehicle-fences")
async def list_fences(
    context: Here,
    caller: Annotated[Caller, needs(Action.SEE_VEHICLES)],
    *,
    below: Annotated[Word | None, Query(alias="area")] = None,
    after: Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> FencePage:
    """List the fences of one's own subtree."""

    def work(connection: Connection) -> list[Fence]:
        path = None if below is None else area_path_of(connection, below, caller.person)
        joined = vehicle_fence.outerjoin(area, area.c.id == vehicle_fence.c.area)
        query = select(vehicle_fence).select_from(joined).where(vehicle_fence.c.id > after)
        terms = [within(area.c.path, caller.person.scope), within(area.c.path, path)]
        query = query.where(*(term for term in terms if term is not None))
        rows = connection.execute(query.order_by(vehicle_fence.c.id).limit(limit)).mappings()
        return [fence_of(row) for row in rows]

    found = await context.database.ask(work)
    return FencePage(fences=[FenceView.of(one) for one in found], next=found[-1].id if len(found) == limit else None)


@router.post("/vehicle-fences", status_code=201)
async def draw(body: FenceOrder, context: Here, caller: EditsVehicles) -> FenceView:
    """Draw a fence, or draw the one of that id anew: what stands of its old form ends."""
    now_us = context.clock()
    outline = () if body.outline is None else parse_outline(body.outline)

    def work(connection: Connection) -> Fence:
        area_path_of(connection, body.area, caller.person)
        _check_own(connection, body.id, caller)
        if body.vehicle is not None:
            find_visible(connection, body.vehicle, caller)
        circle = body.circle
        days = " ".join(day for day in WEEKDAYS if day in body.weekdays) or ALWAYS_WEEKDAYS
        fence = Fence(
            id=body.id,
            name=body.name,
            area=body.area,
            rule=body.rule,
            vehicle=body.vehicle,
            fleet=body.fleet,
            center=None if circle is None else Spot(circle.latitude_deg, circle.longitude_deg),
            radius_m=0.0 if circle is None else circle.radius_m,
            outline=outline,
            margin_m=body.margin_m,
            severity=body.severity,
            hours=Hours(days, body.begins, body.ends),
        )
        return draw_fence(connection, fence, actor=caller.actor, desk=context.settings.desk, now_us=now_us)

    return FenceView.of(await context.database.call(work))


@router.delete("/vehicle-fences/{fence_id}", status_code=204)
async def remove(fence_id: FenceId, context: Here, caller: EditsVehicles) -> None:
    """Remove a fence: what stands of it ends."""
    now_us = context.clock()

    def work(connection: Connection) -> None:
        _check_own(connection, fence_id, caller)
        remove_fence(connection, fence_id, actor=caller.actor, desk=context.settings.desk, now_us=now_us)

    await context.database.call(work)


def _check_own(connection: Connection, fence_id: str, caller: Caller) -> None:
    """Let nobody touch a fence that is not there for him."""
    joined = vehicle_fence.outerjoin(area, area.c.id == vehicle_fence.c.area)
    query = select(area.c.path).select_from(joined).where(vehicle_fence.c.id == fence_id)
    row = connection.execute(query).one_or_none()
    if row is not None and not (row.path or "").startswith(caller.person.scope or ""):
        raise not_found("such fence")
