"""The gateway: buses innermost, then the keeper, then the uplink; that is also the order of the end."""

import gc
import logging
import os
import secrets
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from contract.alarms import AlarmEvent, Mode, Transition, decode_alarm
from contract.errors import DecodeError
from contract.presence import Birth, Device
from contract.receipts import Receipt, Verdict
from device_profiles.model import Transport
from device_profiles.site import ModbusBus, Site, SpeechBus, TcpBus
from edge.broker import Link
from edge.bus import Bus
from edge.capture import capture_handler
from edge.clock import Clock
from edge.control import control_path, serve_control
from edge.errors import EdgeError
from edge.health import BusHealth, Health
from edge.keeper import Keeper
from edge.line import make_line
from edge.machine import read_machine
from edge.metrics import render, serve_metrics
from edge.outbox import Batch, Outbox
from edge.own_alarms import OwnAlarms
from edge.remote import RemoteCommands
from edge.requests import Requests
from edge.rules import Judge, Judged, Standing, read_modes
from edge.status import Board
from edge.store import Store
from edge.supervision import Supervisor
from edge.switchboard import Switchboard
from edge.uplink import UplinkSender
from edge.walktest import WalkTests
from edge.watchdog import Mark, Notifier, Watchdog, keep_watch

if TYPE_CHECKING:
    from edge.push.buses import PushBuses

    PushMaker = Callable[..., PushBuses]

log = logging.getLogger(__name__)

# How long a gateway that was told to stop tries to hand over what waits; the rest goes at the next start.
DRAIN_LIMIT_S = 5.0
# How long saying good-bye to the broker may take after that.
GOODBYE_LIMIT_S = 3.0
# A transaction under way may take its timeout (60 s at most in a profile) before its bus ends.
BUS_END_LIMIT_S = 65.0
# Longer than any step may take: a write waits for a read of 60 s, and reads back.
BUS_STEP_LIMIT_S = 200.0
STEP_LIMIT_S = 60.0
# A refused password is tried again once a minute.
UPLINK_STEP_LIMIT_S = 180.0
SUPERVISE_EVERY_S = 1.0
# By then the disk has been written to, or has said why not.
DISK_KNOWN_S = 30.0
MODES_NOTE = "modes"


class MissingPasswordError(EdgeError):
    """The site file names an environment variable for the password, and it is not set."""

    hint = "Set the variable in the service's environment."


async def run_gateway(site: Site, stop: anyio.Event) -> None:
    """Run until `stop`; on a clean stop every reading already taken is in the outbox.

    Raises:
        StoreUnusableError: the outbox can neither be opened nor made.
        MissingPasswordError, MissingSecretError: see there.
    """
    make_push_buses = _push_maker(site)
    link = Link(site.file.uplink, _password(site), site.file.gateway.id)
    settings = site.file.outbox
    with Outbox(
        site.path.parent / settings.path,
        max_bytes=settings.max_bytes,
        alarm_bytes=settings.alarm_bytes,
        gateway=site.file.gateway.id,
        boot=secrets.token_hex(4),
        clock=Clock(),
        deflate_from_bytes=link.settings.deflate_from_bytes,
    ) as outbox:
        await _Gateway(site, outbox, link, make_push_buses).run(stop)


class _Gateway:
    """A site's gateway with all its parts, wired to each other; made within the loop."""

    def __init__(self, site: Site, outbox: Outbox, link: Link, make_push_buses: "PushMaker | None") -> None:
        now, gateway = anyio.current_time(), site.file.gateway.id
        devices = [placed for placed_on_bus in site.devices.values() for placed in placed_on_bus]
        self._site, self._now = site, anyio.current_time
        self._clock = outbox.clock
        self._health = Health({bus.id: BusHealth() for bus in site.file.bus})
        self._store = Store(
            outbox, health=self._health.store, clock_health=self._health.clock, sync_s=site.file.outbox.sync_s
        )
        standings = outbox.standings()
        raised_at_us = {source: standing.raised_at_us for source, standing in standings.items()}
        self._judge = Judge(
            gateway,
            devices,
            active=standings,
            rules=site.file.rule,
            drills=site.file.drill,
            modes=read_modes(outbox.note(MODES_NOTE), boot=self._clock.readers.machine),
            place=site.file.gateway.site,
            now=now,
            at_us=self._clock.steady_us(),
        )
        self._supervisor = Supervisor(gateway, devices, now, active=raised_at_us)
        self._own_alarms = OwnAlarms(gateway, active=raised_at_us)
        self._make_buses()
        self._switchboard = Switchboard(list(self._buses.values()))
        self._walktests = WalkTests(gateway, devices, set_mode=self._set_mode, wall_us=self._clock.now_us)
        self._keeper = Keeper(
            self._store,
            self._judge,
            commit_s=site.file.outbox.commit_s,
            act=self._switchboard.act,
            noted=self._walktests.pressed,
            health=self._health.store,
        )
        self._store.on_fault = self._note_fault
        self._push = make_push_buses and make_push_buses(
            keeper=self._keeper, clock=self._clock, wall_us=self._wall_us, watch=self._supervisor, health=self._health
        )
        tags = None if self._push is None else self._push.tags
        self._requests = Requests(
            self._buses,
            set_mode=self._set_mode,
            reset=self._reset,
            order_tags=None if tags is None else tags.order,
        )
        self._remote = RemoteCommands(gateway, clock=self._clock, on_command=self._requests.command)
        self._sender = UplinkSender(
            link,
            self._store,
            birth=_birth(site, self._store.boot, self._clock.now_us()),
            health=self._health.uplink,
            on_sent=self._note_sent,
            on_receipt=self._note_receipt,
            commands=self._remote,
        )
        self._notifier = Notifier(os.environ)
        self._watchdog = Watchdog(self._marks(), now=now)
        self._board = self._make_board(now)
        self._modes_changed = anyio.Event()

    async def run(self, stop: anyio.Event) -> None:
        """Be a gateway until `stop`."""
        # All that was built lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        async with anyio.create_task_group() as background:
            background.start_soon(self._store.run, name="store")
            background.start_soon(self._keep_modes, name="modes")
            background.start_soon(self._remote.run, name="commands")
            await self._open_doors(background)
            background.start_soon(
                partial(
                    keep_watch, self._watchdog, self._notifier, status=self._status_line, note_lag=self._health.note_lag
                )
            )
            async with anyio.create_task_group() as uplink:
                uplink.start_soon(self._sender.run, name="uplink")
                self._notifier.ready()
                await self._run_field(stop)
                self._notifier.stopping()
                log.info("stopping: %d readings wait for their receipt", self._health.store.readings_waiting)
                self._sender.drain(DRAIN_LIMIT_S)
                uplink.cancel_scope.deadline = self._now() + DRAIN_LIMIT_S + GOODBYE_LIMIT_S
            background.cancel_scope.cancel()

    async def _open_doors(self, background: TaskGroup) -> None:
        """Let commands on this machine, and a Prometheus, ask; without these doors the gateway works all the same."""
        site = self._site
        handlers = {
            **self._requests.handlers(self._board),
            "walktest": self._walktests.handle,
            "capture": capture_handler(site, self._lines),
        }
        path = control_path(site.path.parent / site.file.outbox.path)
        await _try_to_open(background, partial(serve_control, path, handlers), f"control socket {path}")
        port = site.file.gateway.metrics_port
        if port is not None:
            await _try_to_open(background, partial(serve_metrics, port, self._metrics), f"metrics port {port}")

    async def _run_field(self, stop: anyio.Event) -> None:
        """Poll all buses until `stop`; returns when the last sample is on the disk."""
        async with anyio.create_task_group() as keeping:
            keeping.start_soon(self._keeper.run, name="keeper")
            async with anyio.create_task_group() as buses:
                for name, bus in self._buses.items():
                    buses.start_soon(bus.run, self._keeper, stop, name=f"bus {name}")
                if self._push is not None:
                    buses.start_soon(self._push.run, stop, name="push")
                buses.start_soon(self._switchboard.run, stop, name="switchboard")
                buses.start_soon(self._report, stop, name="health")
                buses.start_soon(self._supervise, stop, name="supervision")
                await stop.wait()
                buses.cancel_scope.deadline = self._now() + BUS_END_LIMIT_S
            self._keeper.close()

    def _make_buses(self) -> None:
        site = self._site
        asked = [bus for bus in site.file.bus if isinstance(bus, ModbusBus)]
        self._lines = {bus.id: make_line(bus, folder=site.path.parent) for bus in asked}
        self._buses = {
            bus.id: Bus(
                bus.id,
                site.devices[bus.id],
                line=self._lines[bus.id],
                health=self._health.buses[bus.id],
                clock=self._clock,
                watch=self._supervisor,
                transport=Transport.TCP if isinstance(bus, TcpBus) else Transport.RTU,
            )
            for bus in asked
        }

    def _make_board(self, now: float) -> Board:
        return Board(
            self._site,
            self._health,
            self._supervisor,
            version=version("langyan"),
            boot=self._store.boot,
            now=now,
            breakers=self._breakers,
            stalled=self._watchdog.stalled,
            mode_of=lambda device: self._judge.mode_of(device, self._now()),
            pace_of=self._requests.pace_of,
        )

    async def _supervise(self, stop: anyio.Event) -> None:
        disk_known_at = self._now() + DISK_KNOWN_S
        while not stop.is_set():
            now = self._now()
            if now >= disk_known_at:
                self._say(self._own_alarms.settle(self._health.store.faults, self._clock.steady_us()))
            self._say(self._supervisor.tick(now, self._clock.steady_us()))
            if self._push is not None:
                self._push.look(now)
            self._board.note(now)
            with anyio.move_on_after(SUPERVISE_EVERY_S):
                await stop.wait()

    async def _report(self, stop: anyio.Event) -> None:
        folder = (self._site.path.parent / self._site.file.outbox.path).parent
        while not stop.is_set():
            with anyio.move_on_after(self._site.file.gateway.health_s):
                await stop.wait()
            await to_thread.run_sync(read_machine, self._health.machine, folder)
            for sample in self._health.samples(self._clock.stamp("gateway"), self._breakers()):
                self._keeper.take(sample)

    async def _keep_modes(self) -> None:
        """Write down which devices are in a test, so that a restart does not end it."""
        while True:
            await self._modes_changed.wait()
            self._modes_changed = anyio.Event()
            state = self._judge.modes(self._now(), self._clock.steady_us())
            try:
                await self._store.put_note(MODES_NOTE, state.encode(boot=self._clock.readers.machine))
            except EdgeError as error:
                log.warning("the mode of devices would not outlive a restart: %s. %s", error, error.hint)

    def _set_mode(self, mode: Mode, devices: Sequence[str] | None, for_s: float) -> None:
        now = self._now()
        judged = self._judge.set_mode(mode, devices, now + for_s, now=now, at_us=self._clock.steady_us())
        who = "all devices" if devices is None else ", ".join(devices)
        log.info("%s: mode %s for %.0f s", who, mode.value, for_s)
        self._keeper.take_judged(judged)
        self._modes_changed.set()

    def _reset(self, source: str) -> int:
        """Let a latched alarm go; returns how many events that made."""
        judged = self._judge.reset(source, self._now(), self._clock.steady_us())
        self._keeper.take_judged(judged)
        return len(judged.events)

    def _wall_us(self) -> int | None:
        """Tell the wall time if it can be relied on, and what is stamped by it is sent as it is."""
        return self._clock.now_us() if self._clock.timeline.is_trusted and self._store.is_timed else None

    def _note_fault(self, kind: str, stands: bool) -> None:  # noqa: FBT001 - the store's signature
        event = self._own_alarms.set(kind, stands=stands, at_us=self._clock.steady_us())
        if event is not None:
            self._say([event])

    def _note_sent(self, batch: Batch) -> None:
        if self._walktests.is_running and (event := self._event_of(batch)) is not None:
            self._walktests.sent(event)

    def _note_receipt(self, batch: Batch, receipt: Receipt) -> None:
        is_wanted = receipt.verdict is Verdict.STORED and self._walktests.is_running
        if is_wanted and (event := self._event_of(batch)) is not None:
            self._walktests.stored(event)

    def _event_of(self, batch: Batch) -> AlarmEvent | None:
        try:
            return decode_alarm(batch.payload, gateway=self._site.file.gateway.id)
        except DecodeError:
            return None

    def _say(self, events: list[AlarmEvent]) -> None:
        """Keep events that no rule made: what stands of them is remembered like that of the rules."""
        if events:
            standing = {
                event.source: None if event.transition is Transition.CLEARED else Standing(event.raised_at_us).encode()
                for event in events
            }
            self._keeper.take_judged(Judged(tuple(events), (), tuple(standing.items())))

    def _marks(self) -> dict[str, Mark]:
        marks = {
            f"bus {name}": Mark(lambda bus=bus: bus.turned_at, BUS_STEP_LIMIT_S)  # type: ignore[misc]
            for name, bus in self._buses.items()
        }
        if self._push is not None:
            marks |= {name: Mark(at, BUS_STEP_LIMIT_S) for name, at in self._push.marks().items()}
        marks["keeper"] = Mark(lambda: self._keeper.kept_at, STEP_LIMIT_S)
        marks["uplink"] = Mark(lambda: self._sender.progress_at, UPLINK_STEP_LIMIT_S)
        return marks

    def _breakers(self) -> dict[str, dict[int, str]]:
        return {
            name: {unit: state.breaker.value for unit, state in bus.units.items()} for name, bus in self._buses.items()
        }

    def _status_line(self) -> str:
        return self._board.line(self._now())

    def _metrics(self) -> str:
        return render(self._board.snapshot(self._now()))


async def _try_to_open(background: TaskGroup, serve: Callable[..., Coroutine[Any, Any, None]], name: str) -> None:
    try:
        await background.start(serve, name=name)
    except OSError as error:
        log.error("%s cannot be opened: %s", name, error)  # noqa: TRY400 - not a bug


def _birth(site: Site, boot: str, at_us: int) -> Birth:
    return Birth(
        gateway=site.file.gateway.id,
        boot=boot,
        version=version("langyan"),
        site=site.file.gateway.site,
        at_us=at_us,
        devices=tuple(
            Device(
                placed.device.id,
                placed.profile.profile,
                placed.profile.version,
                placed.device.name,
                placed.device.bus,
            )
            for devices in site.devices.values()
            for placed in devices
        ),
    )


def _push_maker(site: Site) -> "PushMaker | None":
    """Give what makes the buses on which devices speak; None, and nothing of theirs imported, where there are none."""
    if not any(isinstance(bus, SpeechBus) for bus in site.file.bus):
        return None
    from edge.push.buses import PushBuses, read_secrets  # noqa: PLC0415 - a gateway without them has no use for it

    return partial(PushBuses, site, read_secrets(site, os.environ))


def _password(site: Site) -> str | None:
    name = site.file.uplink.password_env
    if name is None:
        return None
    if name not in os.environ:
        raise MissingPasswordError(f"{site.path}: uplink.password_env: environment variable {name} is not set")
    return os.environ[name]
