"""The status: one picture of a running gateway, for `langyan edge status` and for the metrics. Pure."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from contract.alarms import Mode
from device_profiles.site import PlacedDevice, RtuBus, SerialBus, Site, where_of
from edge.health import BusHealth, ClockHealth, Health, MachineHealth, StoreHealth, UplinkHealth
from edge.supervision import DeviceStanding, DeviceState, Supervisor

# The recent past: long enough to tell a share of lost answers, short enough to show a repair.
WINDOW_S = 60.0
NOTE_EVERY_S = 5.0

Breakers = Mapping[str, Mapping[int, str]]
_LEVELS = frozenset({"mute_units", "connected"})


class UnitStatus(Struct, frozen=True):
    """One device.

    Attributes:
        age_s: how old its last good answer is; None before the first.
        breaker: "closed", "suspect" or "open"; empty before its first turn, and for one that nobody asks.
        asked, answered: in the recent past.
        mode: in a test or a drill its alarms are marked, and nobody is sent.
        address: what the line calls it, if it speaks by itself.
        pace: by what its periods are multiplied now, because somebody ordered it.
    """

    device: str
    name: str
    unit: int
    standing: DeviceStanding
    age_s: float | None
    breaker: str
    asked: int
    answered: int
    mode: Mode = Mode.LIVE
    address: str = ""
    pace: float = 1.0


class BusStatus(Struct, frozen=True):
    """One bus.

    Attributes:
        where: port, or host and port.
        is_port: it is a port of this computer, not a connection.
        is_serial: it has A and B, a speed and a parity; also behind a serial server.
        total: counters since the start.
        recent: the same counters, of the recent past.
    """

    id: str
    where: str
    is_port: bool
    is_serial: bool
    total: BusHealth
    recent: BusHealth
    units: tuple[UnitStatus, ...]


class Snapshot(Struct, frozen=True):
    """The gateway at one moment.

    Attributes:
        running_s: since the process started its work.
        window_s: how long the recent past of the counters is.
        broker: host and port.
        username: the broker's name for us; empty for none.
        connected_s, receipt_s: how long ago the uplink connected, and had its last receipt; None: never.
        max_bytes, alarm_bytes: room of the outbox for readings, and for alarms.
        growth_bytes_s: how fast the outbox has filled in the recent past; below 0 it empties.
        evicted: readings given up in the recent past.
        stalled: parts that make no progress, which lets systemd's watchdog end the process.
    """

    gateway: str
    site: str
    version: str
    boot: str
    running_s: float
    window_s: float
    buses: tuple[BusStatus, ...]
    broker: str
    username: str
    uplink: UplinkHealth
    connected_s: float | None
    receipt_s: float | None
    store: StoreHealth
    max_bytes: int
    alarm_bytes: int
    growth_bytes_s: float
    evicted: int
    clock: ClockHealth
    machine: MachineHealth
    stalled: tuple[str, ...]


class _Past(Struct, frozen=True):
    """The counters at one moment."""

    at: float
    buses: dict[str, BusHealth]
    devices: dict[str, tuple[int, int]]
    bytes_waiting: int
    evicted: int


class Board:
    """Where all counters meet. Call `note` about once a second; `snapshot` whenever somebody asks."""

    def __init__(
        self,
        site: Site,
        health: Health,
        supervisor: Supervisor,
        *,
        version: str,
        boot: str,
        now: float,
        breakers: Callable[[], Breakers],
        stalled: Callable[[float], list[str]],
        mode_of: Callable[[str], Mode] = lambda _device: Mode.LIVE,
        pace_of: Callable[[str], float] = lambda _device: 1.0,
    ) -> None:
        """Begin the recent past.

        Args:
            site: what the gateway runs on.
            health: its counters, moved by others.
            supervisor: its devices.
            version: of Langyan.
            boot: id of this run.
            now: monotonic seconds, here and below.
            breakers: by bus and unit id, the breaker's position now.
            stalled: names the parts without progress at a moment.
            mode_of: tells the mode of a device now.
            pace_of: tells by what its periods are multiplied now.
        """
        self._site = site
        self._health = health
        self._supervisor = supervisor
        self._version = version
        self._boot = boot
        self._started_at = now
        self._breakers = breakers
        self._stalled = stalled
        self._mode_of = mode_of
        self._pace_of = pace_of
        self._past = deque([self._copy(now)], maxlen=round(WINDOW_S / NOTE_EVERY_S))

    def note(self, now: float) -> None:
        """Copy the counters, if it is time to."""
        if now - self._past[-1].at >= NOTE_EVERY_S:
            self._past.append(self._copy(now))

    def line(self, now: float) -> str:
        """Write one line, for `systemctl status`."""
        states = self._supervisor.states(now)
        online = sum(state.standing is DeviceStanding.ONLINE for state in states)
        buses = self._health.buses.values()
        uplink = "up" if self._health.uplink.is_up else "down"
        return (
            f"{sum(bus.is_up for bus in buses)} of {len(buses)} buses open, {online} of {len(states)} devices online, "
            f"uplink {uplink}"
        )

    def snapshot(self, now: float) -> Snapshot:
        """Draw the picture."""
        past, file, uplink, store = self._past[0], self._site.file, self._health.uplink, self._health.store
        window_s = max(now - past.at, 1e-3)
        return Snapshot(
            gateway=file.gateway.id,
            site=file.gateway.site,
            version=self._version,
            boot=self._boot,
            running_s=now - self._started_at,
            window_s=window_s,
            buses=self._buses(past, now),
            broker=f"{file.uplink.host}:{file.uplink.port}",
            username=file.uplink.username or "",
            uplink=uplink,
            connected_s=_ago(uplink.now.connected_at, now) if uplink.is_up else None,
            receipt_s=_ago(uplink.now.receipt_at, now),
            store=store,
            max_bytes=file.outbox.max_bytes,
            alarm_bytes=file.outbox.alarm_bytes,
            growth_bytes_s=(store.bytes_waiting - past.bytes_waiting) / window_s,
            evicted=store.readings_evicted - past.evicted,
            clock=self._health.clock,
            machine=self._health.machine,
            stalled=tuple(self._stalled(now)),
        )

    def _buses(self, past: _Past, now: float) -> tuple[BusStatus, ...]:
        states = {state.device: state for state in self._supervisor.states(now)}
        breakers = self._breakers()
        return tuple(
            BusStatus(
                id=bus.id,
                where=where_of(bus),
                is_port=isinstance(bus, RtuBus | SerialBus),
                is_serial=hasattr(bus, "baud"),
                total=self._health.buses[bus.id],
                recent=_less(self._health.buses[bus.id], past.buses[bus.id]),
                units=tuple(
                    _unit_status(placed, states[placed.device.id], breakers.get(bus.id, {}).get(placed.unit, ""),
                                 past.devices[placed.device.id], mode=self._mode_of(placed.device.id),
                                 pace=self._pace_of(placed.device.id))
                    for placed in self._site.devices[bus.id]
                ),
            )
            for bus in self._site.file.bus
        )  # fmt: skip

    def _copy(self, now: float) -> _Past:
        # Through plain values: the structs go on counting, a copy must not.
        buses = {
            bus: msgspec.convert(msgspec.to_builtins(state), BusHealth) for bus, state in self._health.buses.items()
        }
        devices = {state.device: (state.answers, state.misses) for state in self._supervisor.states(now)}
        store = self._health.store
        return _Past(now, buses, devices, store.bytes_waiting, store.readings_evicted)


def encode_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    """Write a picture as plain values, for the control socket."""
    built: dict[str, Any] = msgspec.to_builtins(snapshot)
    return built


def decode_snapshot(answer: Mapping[str, Any]) -> Snapshot:
    """Read what `encode_snapshot` wrote; fields of another version that are new are left out.

    Raises:
        msgspec.ValidationError: it is none.
    """
    return msgspec.convert(answer, Snapshot)


def _unit_status(
    placed: PlacedDevice, state: DeviceState, breaker: str, past: tuple[int, int], *, mode: Mode, pace: float
) -> UnitStatus:
    answered, missed = state.answers - past[0], state.misses - past[1]
    return UnitStatus(
        device=state.device,
        name=placed.device.name,
        unit=placed.unit,
        standing=state.standing,
        age_s=state.age_s,
        breaker=str(breaker),
        asked=answered + missed,
        answered=answered,
        mode=mode,
        address=placed.device.address,
        pace=pace,
    )


def _less(now: BusHealth, past: BusHealth) -> BusHealth:
    """Subtract counter by counter; what is a level stays as it is now."""
    recent = msgspec.convert(msgspec.to_builtins(now), BusHealth)
    for new, old in ((recent, past), (recent.line, past.line), (recent.push, past.push)):
        for name in new.__struct_fields__ if new is not None else ():
            value = getattr(new, name)
            if isinstance(value, int) and not isinstance(value, bool) and name not in _LEVELS:
                setattr(new, name, value - getattr(old, name))
    return recent


def _ago(at: float, now: float) -> float | None:
    return now - at if at else None
