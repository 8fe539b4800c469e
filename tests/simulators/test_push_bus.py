"""Simulated devices that speak by themselves, on every carrier, seen from where the gateway stands."""

import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from contract.telemetry import Value
from device_profiles.model import Carrier, HeardDef, HeardKind, Language, Profile, Speaks
from device_profiles.site import Device, PlacedDevice, SerialBus, SpeechBus, TcpClientBus, TcpServerBus, UdpBus
from langyan.servers import free_port
from simulators.errors import SimulatorError
from simulators.push_bus import PushBusServer, make_push_bus
from simulators.talkers.making import make_talker
from simulators.talking import TalkingDevice

HOST = "127.0.0.1"
TEXT = {"en": "x", "zh": "x"}


class EchoTalker:
    """Greets, echoes, and says `press <point>` and `set <key> <value>`."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()

    def open(self, now: float) -> bytes:
        del now
        return self._name + b" is here\n"

    def hear(self, data: bytes, now: float) -> bytes:
        del now
        return self._name + b" heard " + data

    def speak(self, now: float) -> bytes:
        del now
        return b""

    def next_at(self) -> float | None:
        return None

    def press(self, point: str, now: float) -> bytes:
        del now
        if point == "nothing":
            raise SimulatorError("there is no such button")
        return f"press {point}\n".encode()

    def set(self, key: str, value: Value, now: float) -> bytes:
        del now
        return f"set {key} {value}\n".encode()


def place(name: str, language: Language = Language.DC09, *, secret_env: str | None = None) -> PlacedDevice:
    heard = HeardDef(key="t", name=TEXT, kind=HeardKind.NUMBER, source="test")
    profile = Profile(
        profile="test/test", version="1", maker="t", model="t", title=TEXT, kind="test", sources=("test",),
        speaks=Speaks(language, tuple(Carrier)), heard=(heard,),
    )  # fmt: skip
    return PlacedDevice(Device(name, "line", "test/test", address="1234", secret_env=secret_env), profile, 1)


def play(
    bus: SpeechBus,
    names: str,
    story: Callable[[PushBusServer, dict[str, TalkingDevice]], Awaitable[None]],
    folder: Path,
) -> dict[str, TalkingDevice]:
    devices = {name: TalkingDevice(place(name), EchoTalker(name)) for name in names}

    async def main() -> None:
        server = make_push_bus(bus, list(devices.values()), folder=folder)
        server.open()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.run)
                with anyio.fail_after(20.0):
                    await story(server, devices)
                tasks.cancel_scope.cancel()
        finally:
            server.close()

    anyio.run(main)
    return devices


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - counts ring no bell
        await anyio.sleep(0.005)


async def read(fd: int, wanted: bytes) -> bytes:
    found = b""
    while wanted not in found:
        await anyio.wait_readable(fd)
        found += os.read(fd, 1000)
    return found


def test_devices_that_listen_speak_to_whoever_connects_and_again_when_plugged_in(tmp_path: Path) -> None:
    port = free_port()

    async def story(server: PushBusServer, devices: dict[str, TalkingDevice]) -> None:
        for turn in (1, 2):
            with socket.create_connection((HOST, port)) as gateway:
                gateway.setblocking(False)
                await read(gateway.fileno(), b"b is here\n")
                devices["a"].press("zone-1")
                assert await read(gateway.fileno(), b"\n") == b"press zone-1\n"
                gateway.send(b"ok\n")
                await read(gateway.fileno(), b"b heard ok\n")
                assert devices["b"].counts.opened == turn
                await server.unplug()
                assert not server.is_plugged
                assert devices["a"].press("zone-1") > 0
            await server.plug()

    devices = play(TcpClientBus(id="line", host=HOST, port=port), "ab", story, tmp_path)
    assert (devices["a"].counts.unsaid, len(devices["a"].presses)) == (2, 4)


@pytest.mark.parametrize("is_udp", [False, True])
def test_devices_that_dial_have_a_way_of_their_own_each_and_try_until_somebody_is_there(
    tmp_path: Path, *, is_udp: bool
) -> None:
    port = free_port()
    bus: SpeechBus = UdpBus(id="line", port=port) if is_udp else TcpServerBus(id="line", port=port)

    async def story(server: PushBusServer, devices: dict[str, TalkingDevice]) -> None:
        del server
        await anyio.sleep(0.05)
        heard: list[bytes] = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            listener.setblocking(False)
            if is_udp:
                devices["a"].press("zone-1")
                await anyio.wait_readable(listener)
                data, peer = listener.recvfrom(1000)
                listener.sendto(b"ok", peer)
                heard.append(data)
                await anyio.wait_readable(listener)
                heard.append(listener.recv(1000))
                assert heard == [b"press zone-1\n", b"a heard ok"]
                return
            listener.listen()
            for _ in "ab":
                await anyio.wait_readable(listener)
                connection, _ = listener.accept()
                with connection:
                    heard.append(await read(connection.fileno(), b"\n"))
            assert sorted(heard) == [b"a is here\n", b"b is here\n"]

    play(bus, "ab", story, tmp_path)


def test_devices_on_a_serial_line_speak_into_it_together(tmp_path: Path) -> None:
    async def story(server: PushBusServer, devices: dict[str, TalkingDevice]) -> None:
        fd = os.open(server.where, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            await read(fd, b"b is here\n")
            devices["b"].set("t", 21.5)
            assert await read(fd, b"\n") == b"set t 21.5\n"
            devices["a"].mute = True
            os.write(fd, b"hi\n")
            assert await read(fd, b"\n") == b"b heard hi\n"
        finally:
            os.close(fd)

    devices = play(SerialBus(id="line", port="radio.tty"), "ab", story, tmp_path)
    assert devices["a"].counts.heard_bytes == 0
    assert devices["b"].counts.said_bytes == len(b"b is here\nset t 21.5\nb heard hi\n")


def test_a_device_that_cannot_be_made_is_said() -> None:
    def make(placed: PlacedDevice, **environ: str) -> object:
        return make_talker(placed, environ=environ, seed=1, wall_us=lambda: 0)

    with pytest.raises(SimulatorError, match="environment variable KEY with its key is not set"):
        make(place("a", secret_env="KEY"))
    assert make(place("a", secret_env="KEY"), KEY="0123456789abcdef")


def test_what_a_device_has_not_cannot_be_pressed() -> None:
    device = TalkingDevice(place("a"), EchoTalker("a"))
    with pytest.raises(SimulatorError, match="no such button"):
        device.press("nothing")
