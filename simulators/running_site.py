"""A site's buses and devices by name, and what can be told of them."""

import os
import time
from contextlib import ExitStack
from typing import Self

from msgspec.structs import replace

from device_profiles.codec import value_kind
from device_profiles.site import ModbusBus, RtuBus, RtuTcpBus, Site, SpeechBus
from simulators.bus import BusServer
from simulators.control_messages import (
    BusInfo,
    BusStats,
    Description,
    DeviceInfo,
    DeviceStats,
    PointInfo,
    Stats,
    TalkerStats,
    Totals,
)
from simulators.device import SimulatedDevice
from simulators.errors import SimulatorError
from simulators.faults import DeviceClock
from simulators.push_bus import make_push_bus
from simulators.rtu_bus import RtuBusServer
from simulators.rtu_tcp_bus import RtuTcpBusServer
from simulators.serial_bus import SerialBusServer
from simulators.talkers.making import make_talker
from simulators.talking import TalkingDevice
from simulators.tcp_bus import TcpBusServer


class RunningSite:
    """All buses of a site; a context manager that opens them, and closes them at the end.

    Attributes:
        buses: by id, in the file's order.
        devices: those that are asked, likewise.
        talkers: those that speak by themselves, likewise.
    """

    def __init__(self, site: Site) -> None:
        """Make the devices; nothing is opened yet.

        Raises:
            SimulatorError: a profile's simulation makes no sense, or nobody can simulate a device.
        """
        self.site = site
        self.talkers: dict[str, TalkingDevice] = {}
        self.buses: dict[str, BusServer] = {}
        self.devices: dict[str, SimulatedDevice] = {}
        self._open = ExitStack()
        self._since_s = time.monotonic()
        for bus in site.file.bus:
            if isinstance(bus, SpeechBus):
                self.buses[bus.id] = self._make_push_bus(bus)
                continue
            devices = [SimulatedDevice(placed) for placed in site.devices[bus.id]]
            self.devices.update((device.id, device) for device in devices)
            self.buses[bus.id] = _make_bus(bus, site, devices)

    def __enter__(self) -> Self:
        """Open every bus, or none.

        Raises:
            SimulatorError: a bus cannot be opened; says which and what to do.
        """
        with ExitStack() as opened:
            for bus in self.buses.values():
                opened.callback(bus.close)
                bus.open()
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def device(self, device_id: str) -> SimulatedDevice:
        """Find a device.

        Raises:
            SimulatorError: there is none of that id; lists those there are.
        """
        found = self.devices.get(device_id)
        if found is None:
            raise SimulatorError(f"no device {device_id!r}; there are {', '.join(self.devices)}")
        return found

    def anybody(self, device_id: str) -> SimulatedDevice | TalkingDevice:
        """Find a device, be it asked or speaking by itself.

        Raises:
            SimulatorError: there is none of that id; lists those there are.
        """
        found = self.devices.get(device_id) or self.talkers.get(device_id)
        if found is None:
            raise SimulatorError(f"no device {device_id!r}; there are {', '.join((*self.devices, *self.talkers))}")
        return found

    def bus(self, bus_id: str) -> BusServer:
        """Find a bus.

        Raises:
            SimulatorError: there is none of that id; lists those there are.
        """
        found = self.buses.get(bus_id)
        if found is None:
            raise SimulatorError(f"no bus {bus_id!r}; there are {', '.join(self.buses)}")
        return found

    def serial_bus(self, bus_id: str) -> SerialBusServer:
        """Find a serial bus.

        Raises:
            SimulatorError: there is none of that id, or it is no line with Modbus RTU.
        """
        found = self.bus(bus_id)
        if not isinstance(found, SerialBusServer):
            raise SimulatorError(f"bus {bus_id!r} is {found.kind}; this is for lines with Modbus RTU")
        return found

    def reset(self) -> None:
        """Begin all counts anew."""
        self._since_s = time.monotonic()
        for bus in self.buses.values():
            bus.reset()
        for device in self.devices.values():
            device.reset()
        for talker in self.talkers.values():
            talker.reset()

    def stats(self) -> Stats:
        """Tell what was heard and said."""
        devices = {device.id: _device_stats(device) for device in self.devices.values()}
        buses = {bus.id: BusStats(bus.kind, bus.is_plugged, replace(bus.counts)) for bus in self.buses.values()}
        totals = Totals(
            requests=sum(device.counts.requests for device in devices.values()),
            answers=sum(device.counts.answers for device in devices.values()),
            readings=sum(sum(device.counts.readings.values()) for device in devices.values()),
        )
        talkers = {
            talker.id: TalkerStats(talker.placed.device.bus, talker.mute, replace(talker.counts))
            for talker in self.talkers.values()
        }
        return Stats(time.monotonic() - self._since_s, totals, devices, buses, talkers)

    def describe(self) -> Description:
        """Tell what is there, and what every point says now."""
        gateway = self.site.file.gateway
        buses = tuple(BusInfo(bus.id, bus.kind, bus.where, bus.is_plugged) for bus in self.buses.values())
        devices = (*map(_device_info, self.devices.values()), *map(_talker_info, self.talkers.values()))
        return Description(gateway.id, gateway.site, buses, devices)

    def _make_push_bus(self, bus: SpeechBus) -> BusServer:
        talkers: list[TalkingDevice] = []
        for number, placed in enumerate(self.site.devices[bus.id], len(self.talkers)):
            clock = DeviceClock()
            talker = make_talker(placed, environ=os.environ, seed=number, wall_us=clock)
            talkers.append(TalkingDevice(placed, talker, clock=clock))
        self.talkers.update((talker.id, talker) for talker in talkers)
        return make_push_bus(bus, talkers, folder=self.site.path.parent)


def _make_bus(bus: ModbusBus, site: Site, devices: list[SimulatedDevice]) -> BusServer:
    match bus:
        case RtuBus():
            return RtuBusServer(bus, folder=site.path.parent, devices=devices)
        case RtuTcpBus():
            return RtuTcpBusServer(bus, devices=devices)
        case _:
            return TcpBusServer(bus, devices=devices)


def _device_stats(device: SimulatedDevice) -> DeviceStats:
    placed = device.placed.device
    return DeviceStats(
        bus=placed.bus,
        unit=device.unit,
        mute=device.mute,
        number=None if placed.simulate.count_in is None else device.number,
        counts=replace(device.counts, readings=dict(device.counts.readings)),
    )


def _device_info(device: SimulatedDevice) -> DeviceInfo:
    placed, values = device.placed, device.values()
    points = tuple(
        PointInfo(point.key, value_kind(point).value, point.unit, point.writable, values[point.key])
        for point in placed.profile.point
    )
    return DeviceInfo(
        id=device.id,
        bus=placed.device.bus,
        unit=device.unit,
        profile=placed.profile.profile,
        name=placed.device.name,
        mute=device.mute,
        points=points,
    )


def _talker_info(talker: TalkingDevice) -> DeviceInfo:
    placed = talker.placed
    points = tuple(PointInfo(point.key, point.kind.value, point.unit, False, None) for point in placed.profile.heard)
    return DeviceInfo(
        id=talker.id,
        bus=placed.device.bus,
        unit=0,
        profile=placed.profile.profile,
        name=placed.device.name,
        mute=talker.mute,
        points=points,
        address=placed.device.address,
    )
