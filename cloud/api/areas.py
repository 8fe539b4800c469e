"""Areas with who is on duty and what must happen there, sites, and devices with how their gateways stand."""

from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Select, select

from cloud.api.alarms import area_path_of
from cloud.api.auth import Caller, needs
from cloud.api.context import Here
from cloud.api.problems import not_found
from cloud.api.queries import Word, within
from cloud.areas.duty import Contact, on_duty
from cloud.areas.handovers import hand_over
from cloud.areas.policies import find_policies
from cloud.areas.tree import Level
from cloud.database.area_tables import area, contact, registered_device, registered_gateway, site
from cloud.database.tables import gateway
from cloud.people.roles import Action, allows, is_inside
from contract.alarms import Severity

router = APIRouter(tags=["areas"])
_SHOWN = ConfigDict(extra="forbid", from_attributes=True)
AreaId = Annotated[str, Path(min_length=1, max_length=64)]
SeesAreas = Annotated[Caller, needs(Action.SEE_AREAS)]
_After = Annotated[str, Query(max_length=200)]
_Limit = Annotated[int, Query(ge=1, le=1_000)]
_AREA = Annotated[Word | None, Query()]


class AreaView(BaseModel):
    """An area; `path` has the ids from the root down, each followed by "/"."""

    model_config = _SHOWN

    id: str
    parent: str | None
    level: Level
    name: str
    path: str
    latitude_deg: float | None
    longitude_deg: float | None


class AreaPage(BaseModel):
    """Areas in the order of the tree; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    areas: list[AreaView]
    next: str | None


class ContactView(BaseModel):
    """Somebody on duty; the addresses stay where they are."""

    model_config = _SHOWN

    id: str
    area: str
    name: str
    language: str


class PolicyView(BaseModel):
    """What must happen with an alarm of a severity, and which area says so; null: the settings do."""

    model_config = _SHOWN

    severity: Severity
    area: str | None
    policy: dict[str, Any] | None


class AreaDetails(AreaView):
    """An area, who is on duty in it now (null to whom that is not shown), and what holds there."""

    on_duty: list[ContactView] | None
    policies: list[PolicyView]


class HandoverOrder(BaseModel):
    """A contact takes over an area for a time; `from_us` null: from now."""

    model_config = ConfigDict(extra="forbid", strict=True)

    contact: Annotated[str, Field(min_length=1, max_length=64)]
    from_us: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    until_us: Annotated[int, Field(ge=0, le=2**53 - 1)]
    why: Annotated[str, Field(min_length=1, max_length=500)]


class HandoverView(BaseModel):
    """A hand-over that was noted."""

    model_config = _SHOWN

    id: int
    contact: str
    from_us: int
    until_us: int


class SiteView(BaseModel):
    """A site and the area it lies in."""

    model_config = _SHOWN

    id: str
    area: str
    area_path: str
    name: str
    kind: str
    address: str
    latitude_deg: float | None
    longitude_deg: float | None
    transmission_class: str | None


class SitePage(BaseModel):
    """Sites by id; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    sites: list[SiteView]
    next: str | None


class DeviceView(BaseModel):
    """A device, and how its gateway stands; `online` null: it has never said anything."""

    model_config = _SHOWN

    gateway: str
    device: str
    name: str
    place: str
    site: str
    area_path: str
    latitude_deg: float | None
    longitude_deg: float | None
    online: bool | None
    since_us: int | None
    reason: str | None
    version: str | None


class DevicePage(BaseModel):
    """Devices by gateway and id; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    devices: list[DeviceView]
    next: str | None


@router.get("/areas")
async def list_areas(
    context: Here,
    caller: SeesAreas,
    *,
    below: _AREA = None,
    level: Annotated[list[Level], Query(max_length=6)] = [],  # noqa: B006 - a default of FastAPI's, never written to
    after: Annotated[str, Query(max_length=1_000)] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> AreaPage:
    """List the areas of one's own subtree, parents before children."""

    def work(connection: Connection) -> list[AreaView]:
        query = select(area).where(area.c.path > after).order_by(area.c.path).limit(limit)
        query = _inside(query, caller, None if below is None else area_path_of(connection, below, caller.person))
        if level:
            query = query.where(area.c.level.in_([one.value for one in level]))
        return [AreaView.model_validate(row) for row in connection.execute(query)]

    found = await context.database.ask(work)
    return AreaPage(areas=found, next=found[-1].path if len(found) == limit else None)


@router.get("/areas/{area_id}")
async def show_area(area_id: AreaId, context: Here, caller: SeesAreas) -> AreaDetails:
    """Show one area, who is on duty in it now, and what must happen there."""
    zone, now_us = ZoneInfo(context.settings.desk.timezone), context.clock()

    def work(connection: Connection) -> AreaDetails:
        path = area_path_of(connection, area_id, caller.person)
        row = connection.execute(select(area).where(area.c.id == area_id)).one()
        contacts: list[Contact] | None = None
        if allows(caller.person, Action.SEE_CONTACTS, path):
            contacts = on_duty(connection, [area_id], now_us, zone)[area_id]
        found = find_policies(connection, [(path, severity) for severity in Severity])
        policies = []
        for severity in Severity:
            said = found.get((path, severity))
            policies.append(
                PolicyView(severity=severity, area=said.area if said else None, policy=said.policy if said else None)
            )
        shown = None if contacts is None else [ContactView.model_validate(one) for one in contacts]
        return AreaDetails(**AreaView.model_validate(row).model_dump(), on_duty=shown, policies=policies)

    return await context.database.ask(work)


@router.post("/areas/{area_id}/handover", status_code=201)
async def make_handover(
    area_id: AreaId, body: HandoverOrder, context: Here, caller: Annotated[Caller, needs(Action.HAND_OVER)]
) -> HandoverView:
    """Let a contact take over an area for a time, in place of its roster.

    It is one of the caller's own subtree, or of an area around this one.
    """
    now_us = context.clock()

    def work(connection: Connection) -> HandoverView:
        path = area_path_of(connection, area_id, caller.person)
        home = select(area.c.path).join(contact, contact.c.area == area.c.id).where(contact.c.id == body.contact)
        of_contact = connection.execute(home).scalar_one_or_none()
        if of_contact is None or not (is_inside(caller.person.scope, of_contact) or path.startswith(of_contact)):
            raise not_found("such contact")
        made = hand_over(
            connection,
            area_id=area_id,
            contact_id=body.contact,
            from_us=now_us if body.from_us is None else body.from_us,
            until_us=body.until_us,
            why=body.why,
            actor=caller.actor,
            at_us=now_us,
        )
        return HandoverView.model_validate(made)

    return await context.database.call(work)


@router.get("/sites")
async def list_sites(
    context: Here, caller: SeesAreas, *, area_id: Annotated[Word | None, Query(alias="area")] = None,
    after: _After = "", limit: _Limit = 100,
) -> SitePage:  # fmt: skip
    """List the sites of one's own subtree."""

    def work(connection: Connection) -> list[SiteView]:
        query = _sites().where(site.c.id > after).order_by(site.c.id).limit(limit)
        query = _inside(query, caller, None if area_id is None else area_path_of(connection, area_id, caller.person))
        return [SiteView.model_validate(row) for row in connection.execute(query)]

    found = await context.database.ask(work)
    return SitePage(sites=found, next=found[-1].id if len(found) == limit else None)


@router.get("/sites/{site_id}")
async def show_site(site_id: AreaId, context: Here, caller: SeesAreas) -> SiteView:
    """Show one site."""
    query = _inside(_sites().where(site.c.id == site_id), caller, None)
    row = await context.database.ask(lambda connection: connection.execute(query).one_or_none())
    if row is None:
        raise not_found("such site")
    return SiteView.model_validate(row)


@router.get("/devices")
async def list_devices(
    context: Here,
    caller: SeesAreas,
    *,
    site_id: Annotated[Word | None, Query(alias="site")] = None,
    gateway_id: Annotated[Word | None, Query(alias="gateway")] = None,
    area_id: Annotated[Word | None, Query(alias="area")] = None,
    after: _After = "",
    limit: _Limit = 100,
) -> DevicePage:
    """List the registered devices of one's own subtree, and how their gateways stand."""

    def work(connection: Connection) -> list[DeviceView]:
        query = _devices().limit(limit)
        of_gateway, _, of_device = after.partition("/")
        key = registered_device.c.gateway, registered_device.c.device
        query = query.where((key[0] > of_gateway) | ((key[0] == of_gateway) & (key[1] > of_device)))
        query = _inside(query, caller, None if area_id is None else area_path_of(connection, area_id, caller.person))
        if site_id is not None:
            query = query.where(registered_gateway.c.site == site_id)
        if gateway_id is not None:
            query = query.where(key[0] == gateway_id)
        return [_device(row) for row in connection.execute(query).mappings()]

    found = await context.database.ask(work)
    following = f"{found[-1].gateway}/{found[-1].device}" if len(found) == limit else None
    return DevicePage(devices=found, next=following)


def _inside(query: Select[Any], caller: Caller, path: str | None) -> Select[Any]:
    """Keep to the caller's subtree, and to the one asked for."""
    terms = [within(area.c.path, caller.person.scope), within(area.c.path, path)]
    return query.where(*(term for term in terms if term is not None))


def _sites() -> Select[Any]:
    return select(site, area.c.path.label("area_path")).select_from(site.join(area, site.c.area == area.c.id))


def _devices() -> Select[Any]:
    states = gateway.c.online, gateway.c.since_us, gateway.c.reason, gateway.c.version
    places = registered_gateway.c.site, area.c.path.label("area_path")
    joined = registered_device.join(registered_gateway, registered_device.c.gateway == registered_gateway.c.id)
    joined = joined.join(site, registered_gateway.c.site == site.c.id).join(area, site.c.area == area.c.id)
    whole = joined.outerjoin(gateway, registered_device.c.gateway == gateway.c.id)
    query = select(registered_device, *places, *states).select_from(whole)
    return query.order_by(registered_device.c.gateway, registered_device.c.device)


def _device(row: Mapping[Any, Any]) -> DeviceView:
    return DeviceView(**{name: row[name] for name in DeviceView.model_fields})
