"""An alarm host with a key, through a gateway that is killed at the worst moment: one alarm, and the host knows it."""

import random
import socket
from pathlib import Path
from time import monotonic, time

import aiomqtt
import anyio
import pytest

from contract.alarms import AlarmEvent, Transition, decode_alarm
from contract.topics import Channel, topic
from langyan.servers import Langyan, Mosquitto, free_port
from simulators.talkers.dc09 import Dc09Talker

KEY = "0123456789ABCDEF0123456789ABCDEF"
KILLS = 3
SITE = """
[gateway]
id = "talk"
site = "测试 site"

[uplink]
port = {broker_port}

[[bus]]
id = "hosts"
kind = "tcp_server"
host = "127.0.0.1"
port = {tcp_port}

[[device]]
id = "canteen"
bus = "hosts"
address = "1234"
secret_env = "CANTEEN_KEY"
profile = "ajax/hub"
"""


class Host:
    """A simulated host on real sockets, one connection after the other."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.talker = Dc09Talker("1234", way="SIA-DCS", secret=KEY.encode(), wall_us=lambda: int(time() * 1e6))

    def press(self, zone: int) -> socket.socket:
        """Send a press and do not wait for the answer."""
        line = socket.create_connection(("127.0.0.1", self.port), timeout=20.0)
        self.converse(line, self.talker.open(monotonic()))
        line.sendall(self.talker.press(f"zone-{zone:03d}", monotonic()))
        return line

    def repeat(self) -> None:
        """Say on a new connection what is not acknowledged, until it is."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20.0) as line:
            self.converse(line, self.talker.open(monotonic()))

    def converse(self, line: socket.socket, said: bytes) -> None:
        line.sendall(said)
        before = self.talker.acknowledged
        while self.talker.acknowledged == before:
            answer = line.recv(4096)
            assert answer, "the gateway has hung up"
            line.sendall(self.talker.hear(answer, monotonic()))


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.timeout(120)
def test_a_host_whose_gateway_is_killed_before_the_answer_repeats_and_raises_one_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANTEEN_KEY", KEY)
    broker_port, tcp_port = free_port(), free_port()
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(broker_port=broker_port, tcp_port=tcp_port), encoding="utf-8")
    host, seen = Host(tcp_port), list[AlarmEvent]()
    seed = random.randrange(10**6)  # noqa: S311 - moments, no secret
    moments = random.Random(seed)  # noqa: S311 - likewise
    gateway = Langyan(tmp_path / "gateway", "gateway", "edge", "run", str(path), ready=lambda: listens(tcp_port))

    async def note(observer: aiomqtt.Client, all_raised: anyio.Event) -> None:
        async for message in observer.messages:
            seen.append(decode_alarm(bytes(message.payload), gateway="talk"))
            if len(raised(seen)) >= KILLS:
                all_raised.set()

    async def story() -> None:
        all_raised = anyio.Event()
        async with aiomqtt.Client("127.0.0.1", broker_port) as observer, anyio.create_task_group() as tasks:
            await observer.subscribe(topic("talk", Channel.ALARM), qos=1)
            tasks.start_soon(note, observer, all_raised)
            await anyio.to_thread.run_sync(gateway.start)
            for zone in range(1, KILLS + 1):
                line = await anyio.to_thread.run_sync(host.press, zone)
                # Somewhere from before it is read to after it is on the disk.
                await anyio.sleep(moments.random() * 0.02)
                gateway.kill()
                line.close()
                await anyio.to_thread.run_sync(gateway.start)
                await anyio.to_thread.run_sync(host.repeat)
            with anyio.fail_after(30.0):
                await all_raised.wait()
            tasks.cancel_scope.cancel()

    with Mosquitto(tmp_path / "broker", port=broker_port):
        try:
            anyio.run(story)
        finally:
            gateway.kill()
    # A link test before each press, and each press.
    assert host.talker.acknowledged == 2 * KILLS, f"seed {seed}"
    assert (host.talker.refused, host.talker.naks) == (0, 0)
    assert sorted(raised(seen).values()) == [f"zone-{zone:03d}" for zone in range(1, KILLS + 1)], f"seed {seed}"


def raised(events: list[AlarmEvent]) -> dict[str, str]:
    """The points of the host's alarms, by alarm: what is sent again has the id that it had."""
    return {
        event.alarm_id: event.point
        for event in events
        if event.device == "canteen" and event.kind == "panic" and event.transition is Transition.RAISED
    }
