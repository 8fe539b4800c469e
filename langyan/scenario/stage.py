"""The stage of a scenario: broker, gateways as processes, simulated devices in a thread, where asked the cloud."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import anyio.from_thread
from anyio.from_thread import BlockingPortal

from device_profiles.site import Site
from device_profiles.site_loader import load_site
from edge import control as edge_control
from edge.status import Snapshot, decode_snapshot
from langyan.demo.counting import QueryError, stored_counts
from langyan.given_up import count_given_up, forgive
from langyan.scenario.clock import StoryClock
from langyan.scenario.cloud import DATABASE, CloudWishes, ScenarioCloud, StageError
from langyan.scenario.eyes import Eyes
from langyan.servers import Langyan, Mosquitto, free_port, wait_until
from simulators.control_client import Control
from simulators.point import Source
from simulators.scenario.record import Loss, Record
from simulators.scenario.relocate import relocate
from simulators.scenario.world import PlayedSite, Who
from simulators.site import ServedSite, serve_site

# First answers of devices that can be reached come within a second; those that cannot hold nobody up longer.
FIRST_ANSWERS_S = 5.0
# How long what is under way may take to arrive once no new readings are made.
SETTLE_S = 30.0
CONTROL_LIMIT_S = 15.0

Sources = Mapping[str, Mapping[tuple[str, str], Source]]
"""By gateway, device and point: what drives it."""


class Stage:
    """Everything that runs; a context manager that ends it all, in order.

    Attributes:
        folder: a folder for each site, the cloud's settings, and logs.
        broker: mosquitto.
        eyes: what arrives.
        gateways: by id.
        controls: by gateway id, the hand on its simulated devices.
        cloud: what runs of it; None where the eyes are the cloud.
        workers: of the cloud.
    """

    def __init__(
        self,
        folder: Path,
        sites: Mapping[str, PlayedSite],
        *,
        clock: StoryClock,
        record: Record,
        sources: Sources | None = None,
        cloud: CloudWishes | None = None,
        profiles: Path | None = None,
    ) -> None:
        """Write the site files; nothing is started yet.

        Args:
            folder: for everything that is written.
            sites: by gateway id.
            clock: of the story.
            record: where what arrives is noted.
            sources: what drives points.
            cloud: what runs of it; None: the eyes give receipts.
            profiles: folder with profiles of one's own.

        Raises:
            StageError: the cloud's settings have a fault.
        """
        self.folder, self.clock, self.record = folder, clock, record
        folder.mkdir(parents=True, exist_ok=True)
        self.broker = Mosquitto(folder / "mosquitto")
        self._sources, self._profiles = sources or {}, profiles
        self._files = {gateway: self._write(gateway, played) for gateway, played in sites.items()}
        self.sites: dict[str, Site] = {
            gateway: load_site(path, profiles=profiles) for gateway, path in self._files.items()
        }
        self.gateways = {gateway: self._gateway(gateway, path) for gateway, path in self._files.items()}
        self.cloud: ScenarioCloud | None = None
        if cloud is not None:
            self.cloud = ScenarioCloud(
                folder, cloud, broker_port=self.broker.port, clock=clock,
                has_heard=self._has_heard,
            )  # fmt: skip
        self.workers = {} if self.cloud is None else self.cloud.workers
        self.controls: dict[str, Control] = {}
        self._boots: dict[str, str] = {}
        self._given_up: dict[tuple[str, str], int] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start everything, wait until every gateway is alive and its devices answer, and do what is to be prepared.

        Raises:
            ServerError: a server is missing or does not come up.
            SimulatorError: a device cannot be simulated, or a port cannot be had.
            CommandFailedError, StageError: what was to be prepared failed.
        """
        with contextlib.ExitStack() as opening:
            opening.enter_context(self.broker)
            self.eyes = Eyes(self.broker.port, self.clock, self.record, answers=self.cloud is None)
            opening.callback(self.eyes.close)
            if self.cloud is not None:
                opening.enter_context(self.cloud)
            portal = opening.enter_context(anyio.from_thread.start_blocking_portal())
            for gateway, site in self.sites.items():
                self.controls[gateway] = opening.enter_context(self._simulated(portal, gateway, site))
            # Started together, waited for together: most of a start is importing.
            processes = [*self.workers.values(), *self.gateways.values()]
            for process in processes:
                opening.callback(process.stop)
                process.start(wait=False)
            for process in processes:
                process.wait_ready()
            wait_until(self._have_all_answered, FIRST_ANSWERS_S)
            for gateway in self.gateways:
                self._boots[gateway] = self._boot_of(gateway)
            if self.cloud is not None:
                self.cloud.prepare()
                self.desk = opening.enter_context(self.cloud.eyes(self.eyes))
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def begin(self) -> None:
        """Let the story begin, at the moment that was named where one was."""
        if self.cloud is not None:
            self.cloud.wait_for_begin()
        self.clock.begin()

    def command(self, words: Sequence[str], *, must_fail: bool) -> None:
        """Begin a command of the scenario; `check` tells what became of it.

        Raises:
            StageError: no cloud runs.
        """
        if self.cloud is None:
            raise StageError("a command wants stored = true in [scenario]")
        self.cloud.commands.start(words, must_fail=must_fail)

    def check(self) -> None:
        """Look after the commands.

        Raises:
            CommandFailedError: one did not end as it should.
        """
        if self.cloud is not None:
            self.cloud.commands.check()

    def ask_gateway(self, gateway: str, request: dict[str, object]) -> dict[str, object]:
        """Ask a gateway on its control socket, as a command on the same machine does.

        Raises:
            ControlError: it does not run, or refuses.
        """
        outbox = self._files[gateway].parent / self.sites[gateway].file.outbox.path
        with edge_control.Control(edge_control.control_path(outbox)) as control:
            return control.ask(request)

    def cloud_goes(self) -> None:
        """Let nobody in the cloud hear or answer."""
        if not self.workers:
            self.eyes.go_away()
        for worker in self.workers.values():
            worker.kill()

    def cloud_comes(self) -> None:
        """Bring the cloud back; returns when it is there."""
        if not self.workers:
            self.eyes.come_back()
        for worker in self.workers.values():
            worker.start(wait=False)

    def settle(self) -> dict[Who, Loss]:
        """Let no more readings be made, wait until all that were have arrived, stop the gateways, and count.

        Whatever is still away comes back for it, and commands end.

        Raises:
            CommandFailedError: one did not end as it should.
        """
        if self.cloud is not None:
            self.cloud.commands.finish()
        if self.broker.pid is None:
            self.broker.start()
        self.cloud_comes()
        for process in (*self.workers.values(), *self.gateways.values()):
            if process.pid is None:
                process.start(wait=False)
        for who in self._polled():
            self.controls[who.gateway].mute(who.name)
        wait_until(self._is_settled, SETTLE_S, every_s=0.1)
        self._given_up = self._count_given_up()
        for process in self.gateways.values():
            process.stop()
        wait_until(lambda: all(not loss.lost for loss in self.losses().values()), 1.0, every_s=0.1)
        if self.cloud is not None:
            self.desk.look(is_last=True)
        return self.losses()

    def losses(self) -> dict[Who, Loss]:
        """Compare, for every device that is asked, what it gave with what has arrived (or is stored) by now."""
        kept, given_up = self._kept(), dict(self._given_up)
        found: dict[Who, Loss] = {}
        for gateway, control in self.controls.items():
            stats, site = control.stats(), self.sites[gateway]
            for placed in (placed for devices in site.devices.values() for placed in devices):
                if placed.profile.speaks is not None:
                    continue
                who, counts = Who(gateway, placed.device.id), stats.devices[placed.device.id].counts
                # An output that is written is read back, which is no reading.
                points = [point.key for point in placed.profile.point if not point.writable]
                made = {key: counts.readings.get(key, 0) for key in points}
                missing = {key: made[key] - kept.get((who, key), 0) for key in points}
                late = forgive(given_up, (gateway, placed.device.bus), missing)
                found[who] = Loss(
                    produced=sum(made.values()),
                    lost=sum(max(0, one - late) for one in missing.values()),
                    # Answers in noise are counted apart: the gateway may have understood them.
                    twice=sum(max(0, -one - counts.noisy - counts.broken) for one in missing.values()),
                )
        return found

    def _count_given_up(self) -> dict[tuple[str, str], int]:
        """Count what was given up, by gateway and bus; one that was started anew cannot tell."""
        found: dict[tuple[str, str], int] = {}
        for gateway, control in self.controls.items():
            stats, snapshot = control.stats(), self._status(gateway)
            if snapshot is not None and snapshot.boot == self._boots[gateway]:
                found |= {(gateway, bus): count for bus, count in count_given_up(stats, snapshot).items()}
        return found

    def _kept(self) -> Mapping[tuple[Who, str], int]:
        if self.cloud is None:
            with self.eyes.lock:
                return dict(self.eyes.kept)
        try:
            return {
                (Who(gateway, device), point): count
                for gateway in self.gateways
                for (device, point), count in stored_counts(self.cloud.influx.url, DATABASE, gateway).items()
            }
        except (QueryError, OSError) as error:
            raise StageError(f"InfluxDB does not answer: {error}; its log is in {self.folder}") from error

    def _is_settled(self) -> bool:
        if all(not loss.lost for loss in self.losses().values()):
            return True
        return all(self._waiting(gateway) == (0, 0) for gateway in self.gateways)

    def _waiting(self, gateway: str) -> tuple[int, int]:
        snapshot = self._status(gateway)
        if snapshot is None:
            return 1, 1
        return snapshot.store.readings_waiting, snapshot.store.alarms_waiting

    def _boot_of(self, gateway: str) -> str:
        # It may listen a moment later than it polls.
        wait_until(lambda: self._status(gateway) is not None, FIRST_ANSWERS_S, every_s=0.05)
        snapshot = self._status(gateway)
        return "" if snapshot is None else snapshot.boot

    def _status(self, gateway: str) -> Snapshot | None:
        """Ask how it stands; None while it is just starting, or gone."""
        try:
            return decode_snapshot(self.ask_gateway(gateway, {"do": "status"}))
        except edge_control.ControlError:
            return None

    def _polled(self) -> Iterator[Who]:
        for gateway, site in self.sites.items():
            for placed in (placed for devices in site.devices.values() for placed in devices):
                if placed.profile.speaks is None:
                    yield Who(gateway, placed.device.id)

    def _have_all_answered(self) -> bool:
        stats = {gateway: control.stats() for gateway, control in self.controls.items()}
        return all(stats[who.gateway].devices[who.name].counts.answers > 0 for who in self._polled())

    def _write(self, gateway: str, played: PlayedSite) -> Path:
        path = self.folder / gateway / "site.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        ports = iter(free_port, None)
        text = relocate(played.data, gateway=gateway, broker_port=self.broker.port, ports=ports)
        path.write_text(text, encoding="utf-8")
        return path

    def _gateway(self, gateway: str, path: Path) -> Langyan:
        words = ["edge", "run", str(path)]
        if self._profiles is not None:
            words += ["--profiles", str(self._profiles.absolute())]
        return Langyan(path.parent, "gateway", *words, ready=lambda: self.eyes.is_alive(gateway))

    def _has_heard(self, worker: str) -> bool:
        return self.eyes.has_heard(worker)

    @contextlib.contextmanager
    def _simulated(self, portal: BlockingPortal, gateway: str, site: Site) -> Iterator[Control]:
        sources = self._sources.get(gateway, {})
        task, served = portal.start_task(partial(serve_site, site, sources=sources))
        place: ServedSite = served
        try:
            with Control(place.control_port, timeout_s=CONTROL_LIMIT_S) as control:
                yield control
        finally:
            task.cancel()
