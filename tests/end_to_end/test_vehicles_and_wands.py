"""A vehicle terminal and a patrol wand through whole gateways: to the broker, and through kills at any moment."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import monotonic, time

import aiomqtt
import anyio
import pytest

from contract.alarms import Transition, decode_alarm
from contract.compression import unpack
from contract.telemetry import Lane, decode_telemetry
from contract.topics import Channel, topic
from edge.clock import Clock
from edge.outbox import Outbox
from langyan.servers import Langyan, Mosquitto, free_port, wait_until
from simulators.pty_port import PtyPort
from simulators.talkers.eb_wand import EbWandTalker
from tests.end_to_end.test_push import everything

HEAD = """
[gateway]
id = "talk"
site = "测试 site"

[uplink]
port = {broker_port}
deflate_from_bytes = 1000000
"""
TERMINAL = """
[[bus]]
id = "road"
kind = "tcp_server"
host = "127.0.0.1"
port = {tcp_port}

[[device]]
id = "school-bus"
bus = "road"
address = "13912345678"
profile = "generic/jt808-2019"
labels = {{ button = "一号校车 school bus 1" }}
"""
WAND = """
[[bus]]
id = "cradle"
kind = "serial"
port = "cradle.tty"
baud = 115200

[[device]]
id = "wand"
bus = "cradle"
profile = "generic/eb-wand"
"""
KILLS = 3


def test_a_press_in_a_vehicle_and_where_it_is_reach_the_broker(tmp_path: Path) -> None:
    broker_port, path = free_port(), tmp_path / "site.toml"
    path.write_text((HEAD + TERMINAL).format(broker_port=broker_port, tcp_port=free_port()), encoding="utf-8")

    async def story() -> None:
        async with everything(path) as control, aiomqtt.Client("127.0.0.1", broker_port) as observer:
            await observer.subscribe(topic("talk", Channel.ALARM), qos=1)
            await observer.subscribe(topic("talk", Channel.TELEMETRY), qos=1)
            await anyio.to_thread.run_sync(control.press, "school-bus", "button")
            wanted = {"alarm", "place"}
            with anyio.fail_after(30.0):
                async for message in observer.messages:
                    if message.topic.matches(topic("talk", Channel.ALARM)):
                        event = decode_alarm(bytes(message.payload), gateway="talk")
                        assert (event.device, event.point, event.kind) == ("school-bus", "button", "panic")
                        assert event.transition is Transition.RAISED
                        assert event.text["zh"] == "紧急报警按钮：一号校车 school bus 1"
                        wanted.discard("alarm")
                    else:
                        samples = decode_telemetry(bytes(message.payload))
                        keys = {point.key for one in samples if one.device == "school-bus" for point in one.points}
                        wanted -= {"place"} if {"latitude", "longitude", "vehicle_speed"} <= keys else set()
                    if not wanted:
                        break

    with Mosquitto(tmp_path / "broker", port=broker_port):
        anyio.run(story)


class Cradle:
    """A wand on a pseudo-terminal, served by a thread; counts what it was asked."""

    def __init__(self, path: Path) -> None:
        self.wand = EbWandTalker("0102030405", wall_us=lambda: int(time() * 1e6))
        self.wand.clear_s = 0.2
        self.asked = 0
        self._port, self._stop = PtyPort(path), Event()
        self._thread = Thread(target=self._serve, daemon=True)

    def was_asked(self, times: int) -> bool:
        return self.asked >= times

    @contextmanager
    def served(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()
            self._port.close()

    def _serve(self) -> None:
        while not self._stop.wait(0.0005):
            data = self._port.read()
            self.asked += bool(data)
            said = self.wand.hear(data, monotonic()) + self.wand.speak(monotonic())
            if said:
                self._port.write(said)


@pytest.mark.timeout(120)
def test_a_wand_whose_gateway_is_killed_loses_no_visit(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text((HEAD + WAND).format(broker_port=free_port()), encoding="utf-8")
    seed = random.randrange(10**6)  # noqa: S311 - moments, no secret
    moments, cradle = random.Random(seed), Cradle(tmp_path / "cradle.tty")  # noqa: S311 - likewise
    cards: list[str] = []
    gateway = Langyan(tmp_path / "gateway", "gateway", "edge", "run", str(path), ready=lambda: True)

    def until(is_so: Callable[[], bool], why: str) -> None:
        assert wait_until(is_so, 40.0, every_s=0.001), f"seed {seed}: {why}"

    with cradle.served():
        for _ in range(KILLS):
            for _ in range(25):
                cards.append(f"{len(cards):010X}")
                cradle.wand.set("card", cards[-1], monotonic())
            wanted = cradle.asked + moments.randrange(1, 45)
            gateway.start()
            until(partial(cradle.was_asked, wanted), "the gateway asks no more")
            gateway.kill()
        held = {record[6:].hex().upper() for record in cradle.wand.records}
        kept = kept_in(tmp_path)
        assert set(cards) <= held | kept, f"seed {seed}"
        gateway.start()
        until(lambda: not cradle.wand.records, "the wand is never cleared")
        gateway.kill()
    assert kept_in(tmp_path) == set(cards), f"seed {seed}"


def kept_in(folder: Path) -> set[str]:
    """The cards whose visits are on the disk."""
    with Outbox(
        folder / "outbox.db", max_bytes=10**8, alarm_bytes=10**7, gateway="talk", boot="b", clock=Clock()
    ) as outbox:
        outbox.fix_times(outbox.unstamped_telemetry())
        batches = outbox.next_telemetry(Lane.LIVE, mark=0, after=0, limit=1_000_000)
        samples = [one for batch in batches for one in decode_telemetry(unpack(batch.payload, batch.encoding))]
    return {str(point.value) for one in samples for point in one.points if point.key == "card"}
