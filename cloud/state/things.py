"""Gateways, devices and vehicles as they stand: a coming or going at once, everything in its beat, devices spread."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from sqlalchemy import Connection

from cloud.areas.chunks import chunked
from cloud.areas.store import IMPORTED
from cloud.database import PersistentDatabase
from cloud.influx.schema import VEHICLE_STATE
from cloud.settings import Settings
from cloud.state import reading
from cloud.state.alarms import lines_of
from cloud.state.city import City, Gateway, Open, around
from cloud.state.lines import area_lines, gateway_line, site_lines, vehicle_line
from cloud.state.picture import Picture
from cloud.state.spread import round_of
from cloud.state.writer import PresentWriter

_COMINGS_AT_ONCE = 200
# Of one question for inventories: a gateway has some hundred devices at most.
_GATEWAYS_AT_ONCE = 20
# Devices are looked for in slices of their period, not at every step.
_SLICE_S = 10.0
_REGISTRY_S = 5.0


class ThingTeller:
    """Says how gateways, devices and vehicles stand; one at a time in all workers.

    Args:
        database: waited for when it is away.
        writer: of the lines.
        picture: what stands where; kept up to date here.
        settings: as loaded.
        clock: wall time, microseconds UTC.
    """

    def __init__(
        self,
        database: PersistentDatabase,
        writer: PresentWriter,
        picture: Picture,
        settings: Settings,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._writer = writer
        self._picture = picture
        self._settings = settings
        self._clock = clock
        state = settings.state
        self._registry = round_of(_REGISTRY_S)
        self._reading = round_of(state.areas_s)
        self._reading.told_us = clock()
        self._gateways = round_of(state.gateways_s)
        self._devices = round_of(state.devices_s)
        self._slices = round_of(min(_SLICE_S, state.devices_s))
        self._vehicles = round_of(state.vehicles_s)
        self._all_vehicles = round_of(max(VEHICLE_STATE.every_s, state.vehicles_s))
        self._newest_presence: int | None = None

    async def step(self) -> bool:
        """Say what is to be said now; True when there may be more at once."""
        if self._writer.is_waiting:
            return False
        now_us = self._clock()
        if self._registry.is_over(now_us):
            await self._follow_registry(now_us)
        more = await self._tell_comings(now_us)
        if self._gateways.is_over(now_us):
            await self._tell_gateways(now_us)
        if self._vehicles.is_over(now_us):
            await self._tell_vehicles(now_us)
        if self._slices.is_over(now_us):
            await self._tell_devices(now_us)
        return more

    async def _follow_registry(self, now_us: int) -> None:
        """Read everything anew when the registry was changed; then all of it is to be said again."""
        newest = await self._database.ask(reading.newest_audit)
        is_imported = partial(reading.is_in_audit, what=IMPORTED, after=self._picture.audited)
        if newest > self._picture.audited and await self._database.ask(is_imported):
            self._picture.replace(await self._database.ask(reading.read_picture))
            self._gateways.told_us = self._devices.told_us = self._slices.told_us = None
        elif self._reading.is_over(now_us):
            # On PostgreSQL a row of the audit may be committed after one with a greater id.
            self._picture.city = await self._database.ask(reading.read_city)
            self._reading.told_us = now_us
        self._picture.audited = max(self._picture.audited, newest)
        self._registry.told_us = now_us

    async def _tell_comings(self, now_us: int) -> bool:
        """Say which gateways have come or gone, with their devices, and what that is for their areas and sites."""
        if self._newest_presence is None:
            # Those before it are in the first beat.
            self._newest_presence = await self._database.ask(reading.newest_presence)
        coming = partial(reading.changed_gateways, after=self._newest_presence, limit=_COMINGS_AT_ONCE)
        changes = await self._database.ask(coming)
        strangers = await self._strangers()
        names = sorted({name for _id, name in changes} | set(strangers[:_COMINGS_AT_ONCE]))
        if not names:
            return False
        gateways = await self._database.ask(partial(reading.read_gateways, ids=names))
        before = self._picture.city
        city = before.with_gateways(gateways)
        places = partial(_lines_around, city=city, gateways=gateways, before=before, now_us=now_us)
        lines = await self._database.ask(places)
        if not await self._write(lines) or not await self._write_devices(city, names, now_us):
            return False
        self._picture.city = city
        if changes:
            self._newest_presence = changes[-1][0]
        return len(changes) == _COMINGS_AT_ONCE or len(strangers) > _COMINGS_AT_ONCE

    async def _strangers(self) -> list[str]:
        """List gateways that were heard for the first time since they were read: of that no coming is noted."""
        heard = self._picture.city.heard
        if await self._database.ask(reading.count_heard) == len(heard):
            return []
        return [name for name in await self._database.ask(reading.list_heard) if name not in heard]

    async def _tell_gateways(self, now_us: int) -> None:
        gateways = await self._database.ask(reading.read_gateways)
        self._picture.city = self._picture.city.with_gateways(gateways)
        if await self._write(gateway_line(one, now_us) for one in gateways):
            self._gateways.told_us = now_us

    async def _tell_vehicles(self, now_us: int) -> None:
        is_all = self._all_vehicles.is_over(now_us)
        told_us = self._vehicles.told_us
        # One period more, as what was received may have been judged only after the last beat.
        from_us = None if is_all or told_us is None else told_us - self._vehicles.every_us
        work = partial(_vehicle_lines, settings=self._settings, from_us=from_us, now_us=now_us)
        if await self._write(await self._database.ask(work)):
            self._vehicles.told_us = now_us
            if is_all:
                self._all_vehicles.told_us = now_us

    async def _tell_devices(self, now_us: int) -> None:
        """Say how the devices stand whose gateways are due in this slice of the period."""
        city = self._picture.city
        due = [name for name in city.gateways if self._devices.is_due(f"device {name}", now_us)]
        if await self._write_devices(city, due, now_us):
            self._devices.told_us = self._slices.told_us = now_us

    async def _write_devices(self, city: City, gateways: Sequence[str], now_us: int) -> bool:
        alarms = await self._database.ask(reading.read_open) if gateways else []
        for some in chunked(gateways, _GATEWAYS_AT_ONCE):
            asked = partial(_device_lines, profiles=self._settings.state.profiles, now_us=now_us)
            work = partial(asked, city=city, alarms=alarms, gateways=some)
            if not await self._write(await self._database.ask(work)):
                return False
        return True

    async def _write(self, lines: Iterable[bytes | None]) -> bool:
        return await self._writer.write([line for line in lines if line is not None])


def _lines_around(
    connection: Connection, *, city: City, gateways: Collection[Gateway], before: City, now_us: int
) -> list[bytes | None]:
    """Write gateways that have changed, and the areas and sites that they are in or were in."""
    old = [before.gateways[one.id] for one in gateways if one.id in before.gateways]
    alarms = reading.read_open(connection)
    paths = around(one.area_path for one in (*gateways, *old))
    sites = {one.site for one in (*gateways, *old)}
    return [
        *(gateway_line(one, now_us) for one in gateways),
        *area_lines(city, alarms, sorted(paths), now_us),
        *site_lines(city, alarms, sorted(sites), now_us),
    ]


def _device_lines(
    connection: Connection,
    *,
    city: City,
    alarms: Sequence[Open],
    gateways: Collection[str],
    profiles: str,
    now_us: int,
) -> list[bytes | None]:
    devices = reading.read_devices(connection, gateways, profiles=profiles)
    return list(lines_of(city, alarms, devices, now_us))


def _vehicle_lines(
    connection: Connection, *, settings: Settings, from_us: int | None, now_us: int
) -> list[bytes | None]:
    limits = {"moving_kmh": settings.vehicles.moving_kmh, "silent_after_s": settings.vehicles.silent_after_s}
    vehicles = reading.read_vehicles(connection, received_from_us=from_us)
    return [vehicle_line(one, **limits, now_us=now_us) for one in vehicles]
