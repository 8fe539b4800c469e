"""The buses of a site on which devices speak by themselves, made and wired."""

from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import Any

import anyio

from device_profiles.site import (
    MqttBus,
    PlacedDevice,
    SerialBus,
    Site,
    SpeechBus,
    TcpClientBus,
    TcpServerBus,
)
from device_profiles.speech.making import Subscribing, make_shared, make_speech
from device_profiles.speech.said import Speaker, Speech
from edge.clock import Clock
from edge.errors import EdgeError
from edge.health import Health
from edge.keeper import Keeper
from edge.ports import SerialPort, TcpPort
from edge.presence import Found, Presence, make_tags
from edge.push.bus import PushBus
from edge.push.datagrams import DatagramBus
from edge.push.intake import Intake, keep_found
from edge.push.published import PublishedBus
from edge.push.streams import ServerBus, StreamBus
from edge.supervision import DeviceStanding, Supervisor

# What presence waits for (somebody has left) is a matter of many seconds.
PRESENCE_TICK_S = 0.2


class MissingSecretError(EdgeError):
    """The site file names an environment variable for a key or password, and it is not set, or empty."""

    hint = "Set the variable in the service's environment."


def read_secrets(site: Site, environ: Mapping[str, str]) -> dict[str, str]:
    """Read the passwords of the buses and the keys of the devices, by the names of their variables.

    Raises:
        MissingSecretError: names the first that is not set or is empty, and where the site file names it.
    """
    wanted = {
        bus.password_env: f'bus "{bus.id}".password_env'
        for bus in site.file.bus
        if isinstance(bus, MqttBus) and bus.password_env is not None
    } | {
        device.secret_env: f'device "{device.id}".secret_env'
        for device in site.file.device
        if device.secret_env is not None
    }
    for name, place in wanted.items():
        # An empty key is no key, and its host would be believed in clear.
        if not environ.get(name):
            raise MissingSecretError(f"{site.path}: {place}: environment variable {name} is not set, or empty")
    return {name: environ[name] for name in wanted}


class PushBuses:
    """All of them, and the presence of the tags that their readers hear.

    Attributes:
        tags: carries out orders about tags.
    """

    def __init__(
        self,
        site: Site,
        secrets: Mapping[str, str],
        *,
        keeper: Keeper,
        clock: Clock,
        wall_us: Callable[[], int | None],
        watch: Supervisor,
        health: Health,
    ) -> None:
        """Make them; nothing is opened yet.

        Args:
            site: checked.
            secrets: as `read_secrets` gave them.
            keeper: keeps and judges what is said.
            clock: stamps it.
            wall_us: tells the wall time, None while nobody knows it.
            watch: keeps an eye on the devices.
            health: counters of each bus.
        """
        self._site, self._secrets = site, secrets
        self._keeper, self._clock, self._wall_us, self._watch, self._health = keeper, clock, wall_us, watch, health
        self.tags = make_tags(site, clock=clock, take=self._take_found, now=monotonic())
        self._presence = None if self.tags is None else self.tags.presence
        self._buses = [self._make(bus) for bus in site.file.bus if isinstance(bus, SpeechBus)]

    async def run(self, stop: anyio.Event) -> None:
        """Listen until `stop`."""
        async with anyio.create_task_group() as tasks:
            for bus in self._buses:
                tasks.start_soon(bus.run, name=f"bus {bus.name}")
            if self.tags is not None:
                tasks.start_soon(self._tend, self.tags.presence, name="presence")
                tasks.start_soon(self.tags.run, name="tags")
            await stop.wait()
            tasks.cancel_scope.cancel()

    def look(self, now: float) -> None:
        """Tell presence of readers that are lost; call it about once a second."""
        if self._presence is not None:
            for state in self._watch.states(now):
                if state.standing is DeviceStanding.LOST:
                    self._presence.lost(state.device, now)

    def marks(self) -> dict[str, Callable[[], float]]:
        """Give what tells when each bus last made a step, by its name for people."""
        return {f"bus {bus.name}": partial(getattr, bus, "turned_at") for bus in self._buses}

    def _take_found(self, found: Found) -> None:
        keep_found(self._keeper, found, self._clock.steady_us())

    async def _tend(self, presence: Presence) -> None:
        while True:
            now, due_at = monotonic(), presence.next_at()
            if due_at is not None and due_at <= now:
                at_us = self._clock.steady_us()
                keep_found(self._keeper, presence.tick(now, at_us, wall_us=self._wall_us()), at_us)
            await anyio.sleep(PRESENCE_TICK_S)

    def _make(self, bus: SpeechBus) -> PushBus:
        devices, health = self._site.devices[bus.id], self._health.buses[bus.id]
        intake = Intake(
            bus.id, devices, keeper=self._keeper, clock=self._clock, watch=self._watch, presence=self._presence,
            health=health,
        )  # fmt: skip
        common: dict[str, Any] = {
            "intake": intake,
            "make_speech": _speech_maker(devices, self._secrets),
            "wall_us": self._wall_us,
            "watch": self._watch,
            "health": health,
        }
        match bus:
            case SerialBus():
                path = self._site.path.parent / bus.port
                port = SerialPort(path, baud=bus.baud, parity=bus.parity, stop_bits=bus.stop_bits)
                return StreamBus(port, bus.id, **common)
            case TcpClientBus():
                return StreamBus(TcpPort(bus.host, bus.port), bus.id, **common)
            case TcpServerBus():
                return ServerBus(bus.host, bus.port, bus.id, max_connections=bus.max_connections, **common)
            case MqttBus():
                password = None if bus.password_env is None else self._secrets[bus.password_env]
                speech, gateway = common["make_speech"](), self._site.file.gateway.id
                topics = speech.topics() if isinstance(speech, Subscribing) else ()
                return PublishedBus(bus, bus.id, password=password, gateway=gateway, topics=topics, **common)
        return DatagramBus(bus.host, bus.port, bus.id, **common)


def _speech_maker(devices: tuple[PlacedDevice, ...], secrets: Mapping[str, str]) -> Callable[[], Speech]:
    language = next(placed.profile.speaks.language for placed in devices if placed.profile.speaks is not None)
    speakers = [
        Speaker(
            device=placed.device.id,
            address=placed.device.address,
            secret=secrets[placed.device.secret_env].encode() if placed.device.secret_env else b"",
        )
        for placed in devices
    ]
    profiles = {placed.device.id: placed.profile for placed in devices}
    return partial(make_speech, language, speakers, profiles, make_shared(language))
