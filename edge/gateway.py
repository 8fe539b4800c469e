"""The gateway: buses innermost, then the keeper, then the uplink; that is also the order of the end."""

import logging
import os
import secrets
from importlib.metadata import version

import anyio

from contract.presence import Birth, Device
from contract.telemetry import Sample
from device_profiles.site import RtuBus, Site
from edge.broker import Link
from edge.bus import Bus
from edge.clock import Clock, now_us
from edge.errors import EdgeError
from edge.health import BusHealth, Health
from edge.keeper import Keeper
from edge.modbus_line import ModbusLine
from edge.outbox import Outbox
from edge.rules import Judge
from edge.store import Store
from edge.uplink import UplinkSender

log = logging.getLogger(__name__)

# Samples between the buses and the keeper: full means the disk is slower than the field, and the field waits.
INBOX_SAMPLES = 512
# How long a gateway that was told to stop tries to hand over what waits; the rest goes at the next start.
DRAIN_LIMIT_S = 5.0
# How long saying good-bye to the broker may take after that.
GOODBYE_LIMIT_S = 3.0
# A transaction under way may take its timeout (60 s at most in a profile) before its bus ends.
BUS_END_LIMIT_S = 65.0


class MissingPasswordError(EdgeError):
    """The site file names an environment variable for the password, and it is not set."""

    hint = "Set the variable in the service's environment."


async def run_gateway(site: Site, stop: anyio.Event) -> None:
    """Run until `stop`; on a clean stop every reading already taken is in the outbox.

    Raises:
        StoreUnusableError: the outbox can neither be opened nor made.
        MissingPasswordError: see there.
    """
    link = Link(site.file.uplink, _password(site), site.file.gateway.id)
    boot = secrets.token_hex(4)
    settings = site.file.outbox
    path = site.path.parent / settings.path
    health = Health({bus.id: BusHealth() for bus in site.file.bus})
    with Outbox(path, max_bytes=settings.max_bytes, alarm_bytes=settings.alarm_bytes) as outbox:
        if outbox.set_aside:
            health.store.files_set_aside += 1
            log.error("the outbox was damaged; it was set aside as %s and a new one begun", outbox.set_aside)
        judge = Judge(
            site.file.gateway.id,
            [placed for devices in site.devices.values() for placed in devices],
            active=outbox.active(),
        )
        store = Store(outbox, boot=boot, health=health.store)
        keeper = Keeper(
            store,
            judge,
            commit_s=settings.commit_s,
            deflate_from_bytes=link.settings.deflate_from_bytes,
            health=health.store,
        )
        sender = UplinkSender(link, store, birth=_birth(site, boot), health=health.uplink)
        async with anyio.create_task_group() as uplink:
            uplink.start_soon(sender.run, name="uplink")
            await _run_field(site, keeper, health, stop)
            log.info("stopping: %d readings wait for their receipt", health.store.readings_waiting)
            sender.drain(DRAIN_LIMIT_S)
            uplink.cancel_scope.deadline = anyio.current_time() + DRAIN_LIMIT_S + GOODBYE_LIMIT_S


async def _run_field(site: Site, keeper: Keeper, health: Health, stop: anyio.Event) -> None:
    """Poll all buses until `stop`; returns when the last sample is on the disk."""
    out, inbox = anyio.create_memory_object_stream[Sample](max_buffer_size=INBOX_SAMPLES)
    clock = Clock()
    async with anyio.create_task_group() as keeping:
        keeping.start_soon(keeper.run, inbox, stop, name="keeper")
        async with out, anyio.create_task_group() as buses:
            for bus in site.file.bus:
                port = str(site.path.parent / bus.port) if isinstance(bus, RtuBus) else ""
                line = ModbusLine(bus, port=port)
                task = Bus(bus.id, site.devices[bus.id], line=line, health=health.buses[bus.id], clock=clock)
                buses.start_soon(task.run, out.clone(), stop, name=f"bus {bus.id}")
            buses.start_soon(_report_health, site.file.gateway.health_s, health, out.clone(), stop, name="health")
            await stop.wait()
            buses.cancel_scope.deadline = anyio.current_time() + BUS_END_LIMIT_S


async def _report_health(
    every_s: float, health: Health, out: anyio.abc.ObjectSendStream[Sample], stop: anyio.Event
) -> None:
    async with out:
        while not stop.is_set():
            with anyio.move_on_after(every_s):
                await stop.wait()
            for sample in health.samples(now_us()):
                await out.send(sample)


def _birth(site: Site, boot: str) -> Birth:
    return Birth(
        gateway=site.file.gateway.id,
        boot=boot,
        version=version("langyan"),
        site=site.file.gateway.site,
        at_us=now_us(),
        devices=tuple(
            Device(placed.device.id, placed.profile.profile, placed.profile.version, placed.device.name)
            for devices in site.devices.values()
            for placed in devices
        ),
    )


def _password(site: Site) -> str | None:
    name = site.file.uplink.password_env
    if name is None:
        return None
    if name not in os.environ:
        raise MissingPasswordError(f"{site.path}: uplink.password_env: environment variable {name} is not set")
    return os.environ[name]
