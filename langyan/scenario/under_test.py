"""One simulated site with its gateway and broker, as a test drives it; see `langyan.pytest_plugin`."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Self

from contract.alarms import AlarmEvent, Mode, Severity, Transition
from contract.telemetry import Value
from device_profiles.site_loader import load_site
from device_profiles.toml_file import TomlFile
from edge.rules.modes import MAX_MODE_S
from langyan.scenario.clock import StoryClock
from langyan.scenario.cloud import CloudWishes
from langyan.scenario.stage import Stage
from langyan.servers import wait_until
from simulators.control_client import Control
from simulators.scenario import expecting
from simulators.scenario.judge import fits
from simulators.scenario.record import Record, SeenAlarm
from simulators.scenario.world import PlayedSite, Who

WITHIN_S = 5.0
"""How long an expectation waits unless it is told."""


class SiteUnderTest:
    """A running site; a context manager. Every device and bus is called as in the site file.

    Attributes:
        gateway: id of the gateway.
        folder: site file, outbox and logs.
    """

    def __init__(
        self, site: Path, folder: Path, *, stored: bool = False, slack: float = 1.0, profiles: Path | None = None
    ) -> None:
        """Take a site file; nothing is started yet.

        Args:
            site: as it is deployed: ports, hosts and the broker are replaced by ones of this machine.
            folder: an empty one.
            stored: run InfluxDB, ingest and the alarm desk too.
            slack: every wait may take so many times as long.
            profiles: folder with device profiles of one's own.

        Raises:
            ConfigError: the site file has faults; lists all.
        """
        loaded = load_site(site, profiles=profiles)
        self.gateway, self.folder, self._slack = loaded.file.gateway.id, folder, slack
        self._record = Record(keeps_all=True)
        self._clock = StoryClock()
        played = PlayedSite(self.gateway, TomlFile.read(site).data, loaded)
        self._stage = Stage(
            folder,
            {self.gateway: played},
            clock=self._clock,
            record=self._record,
            cloud=CloudWishes() if stored else None,
            profiles=profiles,
        )
        self._taken: set[str] = set()
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start everything; the gateway is alive and its devices answer when this returns.

        Raises:
            ServerError: a server is missing or does not come up.
            SimulatorError: a device cannot be simulated.
        """
        self._open.enter_context(self._stage)
        self._stage.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def devices(self) -> Control:
        """The hand on the simulated devices: press, set, mute and every fault; see `Control`."""
        return self._stage.controls[self.gateway]

    def press(self, device: str, point: str, *, for_s: float | None = None) -> None:
        """Press a button, or make any state true, for a while or until `release`."""
        self.devices.press(device, point, for_s=for_s)

    def release(self, device: str, point: str) -> None:
        """Release a button."""
        self.devices.release(device, point)

    def set(self, device: str, point: str, value: Value) -> None:
        """Hold a point at a value until `auto`."""
        self.devices.set(device, point, value)

    def auto(self, device: str, point: str) -> None:
        """Let a point move by itself again."""
        self.devices.auto(device, point)

    def mute(self, device: str) -> None:
        """Let a device answer nothing."""
        self.devices.mute(device)

    def unmute(self, device: str) -> None:
        """Let a device answer again."""
        self.devices.unmute(device)

    def unplug(self, bus: str) -> None:
        """Pull a bus out."""
        self.devices.unplug(bus)

    def plug(self, bus: str) -> None:
        """Put a bus back."""
        self.devices.plug(bus)

    def broker_away(self) -> None:
        """Kill the broker."""
        self._stage.broker.kill()

    def broker_back(self) -> None:
        """Start the broker again."""
        self._stage.broker.start()

    def cloud_away(self) -> None:
        """Let nobody in the cloud hear or answer."""
        self._stage.cloud_goes()

    def cloud_back(self) -> None:
        """Bring the cloud back."""
        self._stage.cloud_comes()

    def kill_gateway(self) -> None:
        """Kill the gateway's process (SIGKILL), as a power cut does."""
        self._stage.gateways[self.gateway].kill()

    def start_gateway(self) -> None:
        """Start the gateway again, and wait until it has opened its outbox and answers."""
        self._stage.gateways[self.gateway].start()

    def set_mode(self, mode: str, *, for_s: float = MAX_MODE_S) -> None:
        """Put all devices into "test" or "drill", or back to "live"."""
        length_s = 0.0 if mode == "live" else for_s
        self._stage.ask_gateway(self.gateway, {"do": "mode", "mode": mode, "for_s": length_s, "devices": None})

    def expect_alarm(
        self,
        alarm: str | None = None,
        *,
        device: str | None = None,
        point: str | None = None,
        severity: str | None = None,
        mode: str | None = None,
        within_s: float = WITHIN_S,
    ) -> AlarmEvent:
        """Wait until such an alarm is raised; each event answers one expectation.

        Raises:
            AssertionError: none came; says what did.
        """
        wanted = _wanted(alarm, device, point, severity, mode)
        return self._expect(wanted, (Transition.RAISED, Transition.RETRIGGERED), within_s)

    def expect_cleared(
        self,
        alarm: str | None = None,
        *,
        device: str | None = None,
        point: str | None = None,
        within_s: float = WITHIN_S,
    ) -> AlarmEvent:
        """Wait until such an alarm ends; each event answers one expectation.

        Raises:
            AssertionError: none ended; says what came.
        """
        return self._expect(_wanted(alarm, device, point, None, None), (Transition.CLEARED,), within_s)

    def expect_no_alarm(
        self, alarm: str | None = None, *, device: str | None = None, point: str | None = None, for_s: float = 1.0
    ) -> None:
        """Make sure that no such alarm is raised that no expectation has taken, now and for a while.

        Raises:
            AssertionError: one came; says which.
        """
        wanted = _wanted(alarm, device, point, None, None)

        def came() -> bool:
            return self._find(wanted, (Transition.RAISED, Transition.RETRIGGERED)) is not None

        if wait_until(came, for_s):
            raise AssertionError(f"an alarm came that was not expected: {self._told()}")

    def alarms(self) -> list[AlarmEvent]:
        """Give every alarm event that has arrived, in order of arrival."""
        with self._stage.eyes.lock:
            return [seen.event for seen in self._record.alarms]

    def readings(self, device: str, point: str) -> list[Value]:
        """Give the readings of a point that have arrived, in the order of their own times."""
        with self._stage.eyes.lock:
            seen = sorted(self._record.readings.get((Who(self.gateway, device), point), ()), key=lambda one: one.at_us)
        return [one.value for one in seen]

    def expect_reading(
        self, device: str, point: str, is_it: Callable[[Value], bool], *, within_s: float = WITHIN_S
    ) -> Value:
        """Wait until a reading arrives (or has arrived) of which `is_it` holds.

        Raises:
            AssertionError: none did; says how many came, and the last.
        """

        def good() -> Value | None:
            return next((value for value in self.readings(device, point) if is_it(value)), None)

        if not wait_until(lambda: good() is not None, within_s * self._slack):
            seen = self.readings(device, point)
            raise AssertionError(f"{device} {point}: none of {len(seen)} readings; the last: {seen[-1:]}")
        found = good()
        assert found is not None  # noqa: S101 - readings are not taken back
        return found

    def assert_nothing_lost(self, *, at_most: int = 0) -> None:
        """Let no more readings be made, wait for those under way, stop the gateway, and count; the end of a test.

        Raises:
            AssertionError: more than `at_most` readings are lost, or some came twice.
        """
        losses = self._stage.settle()
        lost = {who.name: loss for who, loss in losses.items() if loss.lost or loss.twice}
        is_good = sum(loss.lost for loss in lost.values()) <= at_most and not any(one.twice for one in lost.values())
        if not is_good:
            raise AssertionError(f"readings lost or twice, by device: {lost}")

    def _expect(self, wanted: expecting.Raised, transitions: tuple[Transition, ...], within_s: float) -> AlarmEvent:
        wait_until(lambda: self._find(wanted, transitions) is not None, within_s * self._slack)
        seen = self._find(wanted, transitions)
        if seen is None:
            asked = {key: value for key, value in zip(
                ("alarm", "device", "point", "severity", "mode"),
                (wanted.alarm, wanted.device, wanted.point, wanted.severity, wanted.mode), strict=True,
            ) if value is not None}  # fmt: skip
            raise AssertionError(f"{transitions[0].value} did not come within {within_s:g} s: {asked}; {self._told()}")
        self._taken.add(seen.event.event_id)
        return seen.event

    def _find(self, wanted: expecting.Raised, transitions: tuple[Transition, ...]) -> SeenAlarm | None:
        with self._stage.eyes.lock:
            found = (
                seen
                for seen in self._record.alarms
                if seen.event.transition in transitions
                and seen.event.event_id not in self._taken
                and fits(seen, wanted)
            )
            return next(found, None)

    def _told(self) -> str:
        events = [f"{event.source} ({event.kind}) {event.transition.value}" for event in self.alarms()]
        return f"came so far: {', '.join(events) or 'nothing'}; logs are in {self.folder}"


def _wanted(
    alarm: str | None, device: str | None, point: str | None, severity: str | None, mode: str | None
) -> expecting.Raised:
    return expecting.Raised(
        alarm=alarm,
        device=device,
        point=point,
        severity=None if severity is None else Severity(severity),
        mode=None if mode is None else Mode(mode),
    )
