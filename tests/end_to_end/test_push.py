"""Devices that speak by themselves, through whole gateways: from a press to the broker, and through kills."""

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import anyio

from contract.alarms import AlarmEvent, Transition, decode_alarm
from contract.topics import Channel, topic
from device_profiles.catalogue import load_profile, profile_files
from device_profiles.model import Carrier, Language
from device_profiles.site_loader import load_site
from edge.clock import Clock
from edge.control import Control as GatewayControl
from edge.control import NotRunningError, control_path
from edge.gateway import run_gateway
from edge.outbox import Outbox
from edge.status import Snapshot, decode_snapshot
from langyan.servers import Langyan, Mosquitto, free_port
from simulators.control_client import Control
from simulators.site import ServedSite, serve_site
from simulators.talkers.dc09 import wrap

SITE = """
[gateway]
id = "talk"
site = "测试 site"
health_s = 0.5

[uplink]
port = {broker_port}

[[bus]]
id = "hosts"
kind = "tcp_server"
host = "127.0.0.1"
port = {tcp_port}
max_connections = 8

[[bus]]
id = "radio"
kind = "udp"
host = "127.0.0.1"
port = {udp_port}

[[bus]]
id = "bridge"
kind = "serial"
port = "tty-bridge"
baud = 19200

[[bus]]
id = "panel"
kind = "tcp_client"
host = "127.0.0.1"
port = {panel_port}

[[bus]]
id = "zigbee"
kind = "mqtt"
port = {broker_port}

[[device]]
id = "remote"
bus = "bridge"
address = "45D50"
profile = "sonoff/rf-bridge"

[[device]]
id = "ad2"
bus = "panel"
profile = "alarmdecoder/ad2"

[[device]]
id = "sos"
bus = "zigbee"
address = "sos-1"
profile = "tuya/ts0601-sos"

[[device]]
id = "canteen"
bus = "hosts"
address = "1234"
profile = "generic/sia-dc09"
labels = {{ zone-007 = "食堂 canteen" }}

[[device]]
id = "library"
bus = "hosts"
address = "5678"
profile = "generic/sia-dc09"

[[device]]
id = "hut"
bus = "radio"
address = "9999"
profile = "generic/sia-dc09"
"""


class Ports:
    def __init__(self) -> None:
        self.broker, self.tcp, self.udp, self.panel = (free_port() for _ in range(4))

    def write(self, folder: Path) -> Path:
        path = folder / "site.toml"
        text = SITE.format(broker_port=self.broker, tcp_port=self.tcp, udp_port=self.udp, panel_port=self.panel)
        path.write_text(text, encoding="utf-8")
        return path


@asynccontextmanager
async def everything(path: Path) -> AsyncIterator[Control]:
    """The gateway and its simulated devices in one loop; gives the way to the devices."""
    site, stop = load_site(path), anyio.Event()
    async with anyio.create_task_group() as tasks:
        served: ServedSite = await tasks.start(
            lambda *, task_status: serve_site(site, control_port=0, task_status=task_status)
        )
        async with anyio.create_task_group() as gateway:
            gateway.start_soon(run_gateway, site, stop)
            control = await anyio.to_thread.run_sync(Control, served.control_port)
            with control:
                yield control
            # Nobody gives receipts here: an orderly end would wait for them.
            gateway.cancel_scope.cancel()
        tasks.cancel_scope.cancel()


async def next_event(messages: AsyncIterator[aiomqtt.Message], device: str) -> AlarmEvent:
    with anyio.fail_after(20.0):
        while True:
            message = await anext(messages)
            event = decode_alarm(bytes(message.payload), gateway="talk")
            if event.device == device:
                return event


PRESSES = [
    ("canteen", "zone-007", "zone-007"),
    ("hut", "zone-001", "zone-001"),
    ("library", "host", "host"),
    ("remote", "key-8", "key-8"),
    ("ad2", "zone-099", "zone-099"),
    ("sos", "button", "button"),
]


def test_a_press_reaches_the_broker_on_every_carrier_and_is_acknowledged_where_somebody_waits(tmp_path: Path) -> None:
    ports = Ports()
    path = ports.write(tmp_path)

    async def connected() -> None:
        with anyio.fail_after(20.0):
            while True:
                snapshot = await snapshot_of(tmp_path)
                pushes = [bus.total.push for bus in snapshot.buses if bus.total.push is not None]
                if sum(push.connected for push in pushes) == len(PRESSES):
                    return

    async def story() -> None:
        async with everything(path) as control, aiomqtt.Client("127.0.0.1", ports.broker) as observer:
            await observer.subscribe(topic("talk", Channel.ALARM), qos=1)
            messages, texts = aiter(observer.messages), dict[str, str]()
            await connected()
            for device, key, point in PRESSES:
                await anyio.to_thread.run_sync(control.press, device, key)
                event = await next_event(messages, device)
                assert (event.point, event.kind, event.transition) == (point, "panic", Transition.RAISED)
                texts[device] = event.text["en"]
            assert texts["canteen"].endswith("食堂 canteen")
            with anyio.fail_after(20.0):
                while True:
                    stats = await anyio.to_thread.run_sync(control.stats)
                    if all(stats.talkers[name].counts.heard_bytes for name in ("canteen", "hut", "library")):
                        return

    with Mosquitto(tmp_path / "broker", port=ports.broker):
        anyio.run(story)


ADDRESSES = {Language.DC09: "1234", Language.JT808: "013800000000", Language.MQTT_JSON: "thing-{number}"}


def one_of_each(folder: Path, broker_port: int) -> Path:
    """Write a site with a device of every profile that speaks, each on a bus of its own."""
    parts = [f'[gateway]\nid = "talk"\nsite = "x"\n[uplink]\nport = {broker_port}\n']
    for number, name in enumerate(profile_files()):
        speaks = load_profile(name).speaks
        if speaks is None:
            continue
        carrier = speaks.carriers[0]
        where = {Carrier.SERIAL: f'port = "tty-{number}"', Carrier.MQTT: f"port = {broker_port}"}.get(
            carrier, f'host = "127.0.0.1"\nport = {free_port()}'
        )
        address = ADDRESSES.get(speaks.language, "").format(number=number)
        parts.append(
            f'[[bus]]\nid = "b{number}"\nkind = "{carrier.value}"\n{where}\n'
            f'[[device]]\nid = "d{number}"\nbus = "b{number}"\nprofile = "{name}"\naddress = "{address}"\n'
        )
    path = folder / "site.toml"
    path.write_text("".join(parts), encoding="utf-8")
    return path


async def snapshot_of(folder: Path) -> Snapshot:
    """Ask until the gateway listens, which it does a moment after it was started; the caller sets the limit."""

    def ask() -> Snapshot:
        with GatewayControl(control_path(folder / "outbox.db")) as gateway:
            return decode_snapshot(gateway.ask({"do": "status"}))

    while True:
        try:
            return await anyio.to_thread.run_sync(ask)
        except NotRunningError:
            await anyio.sleep(0.02)


def test_a_device_of_every_profile_that_speaks_is_understood_by_one_gateway(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    path = one_of_each(tmp_path, broker.port)

    async def story() -> None:
        async with everything(path):
            with anyio.fail_after(30.0):
                while True:
                    snapshot = await snapshot_of(tmp_path)
                    pushes = {bus.id: bus.total.push for bus in snapshot.buses if bus.total.push is not None}
                    # Who publishes, or is pressed or worn, may be silent for long.
                    heard = sum(push.heard > 0 for push in pushes.values())
                    if all(bus.total.is_up for bus in snapshot.buses) and heard >= len(pushes) // 2:
                        break
            faults = {bus: (push.refused, push.strangers, push.unkept, push.dropped) for bus, push in pushes.items()}
            assert set(faults.values()) == {(0, 0, 0, 0)}, faults

    with broker:
        anyio.run(story)


class Host:
    """An alarm host that says one panic after the other, each in a zone of its own, and notes what is acknowledged."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sequence = 0
        self.zone = 0
        self.acknowledged: list[int] = []

    def speak_until_it_dies(self) -> None:
        """Say panics until the connection is lost."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=10.0) as line:
                while True:
                    self.zone += 1
                    self._sequence = self._sequence % 9999 + 1
                    line.sendall(wrap(b'"ADM-CID"%04dL0#1234[#1234|1120 01 %03d]' % (self._sequence, self.zone)))
                    if b'"ACK"' not in line.recv(1000):
                        return
                    self.acknowledged.append(self.zone)
        except OSError:
            return


def test_nothing_acknowledged_is_lost_when_the_gateway_is_killed(tmp_path: Path) -> None:
    ports = Ports()
    path = ports.write(tmp_path)
    host = Host(ports.tcp)

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", ports.tcp)) == 0

    seed = random.randrange(10**6)  # noqa: S311 - likewise
    moments = random.Random(seed)  # noqa: S311 - moments, no secret

    async def story() -> None:
        for _ in range(4):
            gateway = Langyan(tmp_path / "gateway", "gateway", "edge", "run", str(path), ready=listens)
            await anyio.to_thread.run_sync(gateway.start)
            before = len(host.acknowledged)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, host.speak_until_it_dies)
                wanted = before + moments.randrange(1, 12)
                with anyio.fail_after(20.0):
                    while len(host.acknowledged) < wanted:  # noqa: ASYNC110 - another thread counts
                        await anyio.sleep(moments.random() / 200)
                gateway.kill()

    anyio.run(story)
    with Outbox(
        tmp_path / "outbox.db", max_bytes=10**8, alarm_bytes=10**7, gateway="talk", boot="b", clock=Clock()
    ) as outbox:
        # Nobody has told the time; what waits for it is sent by the machine's own.
        outbox.fix_times(outbox.unstamped_telemetry())
        events = [decode_alarm(one.payload, gateway="talk") for one in outbox.next_alarms(after=0, limit=10_000)]
    kept = {int(event.point[5:]) for event in events if event.point.startswith("zone-")}
    assert len(host.acknowledged) >= 4, f"seed {seed}"
    assert set(host.acknowledged) <= kept, f"seed {seed}"
