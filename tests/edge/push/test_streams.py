"""Streams on real sockets: connections, floods, silence, reconnecting, and answers that wait for the disk."""

import os
import socket
import tty
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from edge.errors import LinkDownError
from edge.keeper import Keeper
from edge.ports import SerialPort, TcpPort
from edge.push import bus as bus_module
from edge.push import wire as wire_module
from edge.push.bus import PushBus
from edge.push.streams import ServerBus, StreamBus
from edge.supervision import DeviceStanding
from langyan.servers import free_port
from tests.edge.push.rig import Scene, kept_events, kept_samples, place, play

HOST = "127.0.0.1"


def server(port: int, *, max_connections: int = 10) -> Callable[[Scene], PushBus]:
    return lambda scene: ServerBus(HOST, port, "line", max_connections=max_connections, **scene.parts())


async def connect(port: int) -> SocketStream:
    with anyio.fail_after(10.0):
        while True:
            try:
                return await anyio.connect_tcp(HOST, port)
            except OSError:
                await anyio.sleep(0.005)


async def is_closed(client: SocketStream) -> bool:
    with anyio.fail_after(10.0):
        try:
            while True:
                await client.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return True


def test_what_devices_say_on_connections_of_their_own_is_kept(tmp_path: Path) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        async with await connect(port) as one, await connect(port) as other:
            await one.send(b"a t=21.5\na !zo")
            await other.send(b"b t=-3 hi\n")
            await one.send(b"ne-1\n")
            assert await other.receive() == b"hello\n"
            await scene.until(lambda: scene.push.heard == 3)
            assert (scene.push.connected, scene.push.connections, scene.health.is_up) == (2, 2, True)
        await scene.until(lambda: scene.push.connected == 0)

    play(tmp_path, [place("a"), place("b")], server(port), story)
    found = {(one.device, point.key, point.value, point.unit) for one in kept_samples(tmp_path) for point in one.points}
    assert found == {("a", "t", 21.5, "Cel"), ("b", "t", -3.0, "Cel")}
    (event,) = kept_events(tmp_path)
    assert event.source == "g/a/zone-1/e120"


def test_an_answer_waits_until_the_disk_has_the_alarm(tmp_path: Path) -> None:
    port = free_port()
    on_disk_at_answer: list[int] = []

    async def story(scene: Scene) -> None:
        async with await connect(port) as client:
            for number in range(5):
                await client.send(b"a !zone-%d ?%d\n" % (number, number))
                assert await client.receive() == b"ok %d\n" % number
                on_disk_at_answer.append(len(scene.events()))
        assert scene.push.kept == 5

    play(tmp_path, [place("a")], server(port), story)
    assert on_disk_at_answer == [1, 2, 3, 4, 5]


def test_an_answer_to_a_reading_waits_until_the_disk_was_made_to_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    synced: list[int] = []

    async def story(scene: Scene) -> None:
        sync = scene.outbox.sync

        def noted_sync() -> None:
            synced.append(len(scene.samples()))
            sync()

        monkeypatch.setattr(scene.outbox, "sync", noted_sync)
        async with await connect(port) as client:
            await client.send(b"a t=1 ?1\n")
            assert await client.receive() == b"ok 1\n"
            assert synced == [1]

    play(tmp_path, [place("a")], server(port), story)


@pytest.mark.parametrize("said", [b"a !zone-1 ?1\n", b"a t=1 ?1\n"])
def test_what_the_disk_does_not_take_is_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        monkeypatch.setattr(scene.outbox, "is_in_memory", lambda *, is_alarm: True)  # noqa: ARG005 - its signature
        async with await connect(port) as client:
            await client.send(said)
            await client.send(b"a hi\n")
            assert await client.receive() == b"hello\n"
            await scene.until(lambda: bool(scene.events() or scene.samples()))
            await client.send(b"a hi\n")
            assert await client.receive() == b"hello\n"
            assert scene.push.kept == 0

    play(tmp_path, [place("a")], server(port), story)


def test_who_is_gone_when_it_is_kept_is_not_answered(tmp_path: Path) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        async with await connect(port) as client:
            await client.send(b"a !zone-1 ?1\na bye\n")
            assert await is_closed(client)
        await scene.until(lambda: scene.push.kept + scene.push.unkept == 1)

    play(tmp_path, [place("a")], server(port), story)
    assert len(kept_events(tmp_path)) == 1


def test_a_stranger_is_shown_and_never_answered(tmp_path: Path) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        async with await connect(port) as client:
            await client.send(b"1234\x07 !zone-1 ?1\na hi\n")
            assert await client.receive() == b"hello\n"
        assert (scene.push.strangers, scene.push.now.stranger, scene.push.unkept) == (1, "1234?", 1)

    play(tmp_path, [place("a"), place("b")], server(port), story)
    assert kept_events(tmp_path) == []


def test_a_thousand_connections_beyond_the_most_are_turned_away_and_the_rest_work(tmp_path: Path) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        async with await connect(port) as first, await connect(port) as second:
            await scene.until(lambda: scene.push.connected == 2)
            for _ in range(1000):
                with socket.create_connection((HOST, port)):
                    pass
                await anyio.lowlevel.checkpoint()
            await scene.until(lambda: scene.push.turned_away == 1000)
            for client in (first, second):
                await client.send(b"a hi\n")
                assert await client.receive() == b"hello\n"
        async with await connect(port) as third:
            await third.send(b"a hi\n")
            assert await third.receive() == b"hello\n"

    play(tmp_path, [place("a")], server(port, max_connections=2), story)


def test_garbage_costs_its_own_connection_only(tmp_path: Path) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        async with await connect(port) as noisy, await connect(port) as client:
            for _ in range(50):
                await noisy.send(os.urandom(10_000) + b"\n")
            await client.send(b"a hi\n")
            assert await client.receive() == b"hello\n"
            await scene.until(lambda: scene.push.bytes >= 50 * 10_001)
            await noisy.send(b"\na hi\n")
            assert await noisy.receive() == b"hello\n"
        assert scene.push.refused > 0
        assert scene.push.now.refusal == "no such word"

    play(tmp_path, [place("a"), place("b")], server(port), story)


def test_a_guest_that_says_nothing_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "STRANGER_LIMIT_S", 0.05)
    port = free_port()

    async def story(scene: Scene) -> None:
        async with await connect(port) as client, await connect(port) as silent:
            await client.send(b"a hi\n")
            await client.receive()
            assert await is_closed(silent)
            await client.send(b"a hi\n")
            assert await client.receive() == b"hello\n"
        assert scene.push.cut_off == 1

    play(tmp_path, [place("a")], server(port), story)


class PairPort:
    """One end of a pair of sockets with little room, once."""

    name = "pair"

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ours.setblocking(False)
        self._fds = [ours.detach()]

    async def open(self) -> int:
        if not self._fds:
            raise LinkDownError("pair is used up")
        return self._fds.pop()


@pytest.mark.parametrize(("most", "limit_s"), [(1_000, 60.0), (10**9, 0.05)])
def test_who_takes_nothing_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, limit_s: float
) -> None:
    monkeypatch.setattr(wire_module, "MAX_UNSENT_BYTES", most)
    monkeypatch.setattr(bus_module, "WRITE_LIMIT_S", limit_s)
    port = PairPort()

    async def story(scene: Scene) -> None:
        port.theirs.sendall(b"a hi\n" * 4_000)
        await scene.until(lambda: scene.push.connections == 1 and not scene.health.is_up)
        port.theirs.close()

    play(tmp_path, [place("a")], lambda scene: StreamBus(port, "line", **scene.parts()), story)


def test_while_the_disk_is_behind_a_connection_is_not_read(tmp_path: Path) -> None:
    port = PairPort()

    async def story(scene: Scene) -> None:
        keeper: Keeper = scene.keeper
        port.theirs.setblocking(False)
        await scene.until(lambda: scene.health.is_up)
        keeper.is_behind = True
        sent = blocked = 0
        while blocked < 50:
            try:
                sent += port.theirs.send(b"a t=1\n" * 1000)
            except BlockingIOError:
                blocked += 1
                await anyio.lowlevel.checkpoint()
        assert scene.push.bytes <= 2 * wire_module.READ_BYTES < sent
        keeper.is_behind = False
        keeper._room.set()
        await scene.until(lambda: scene.push.bytes == sent)
        port.theirs.close()

    play(tmp_path, [place("a")], lambda scene: StreamBus(port, "line", **scene.parts()), story)


def test_a_port_that_is_taken_is_tried_again(tmp_path: Path) -> None:
    taken = socket.create_server((HOST, 0))
    port = taken.getsockname()[1]

    async def story(scene: Scene) -> None:
        await anyio.sleep(0.05)
        assert not scene.health.is_up
        taken.close()
        async with await connect(port) as client:
            await client.send(b"a hi\n")
            assert await client.receive() == b"hello\n"

    play(tmp_path, [place("a")], server(port), story)


def test_a_device_that_we_connect_to_may_come_and_go(tmp_path: Path) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        for number in (1, 2):
            async with await anyio.create_tcp_listener(local_host=HOST, local_port=port) as listener:
                done = anyio.Event()

                async def serve(client: SocketStream) -> None:
                    async with client:
                        await client.send(b"t t=1\n")
                        await scene.until(lambda: scene.push.heard >= number)  # noqa: B023 - likewise
                        done.set()  # noqa: B023 - likewise

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(listener.serve, serve)
                    await done.wait()
                    tasks.cancel_scope.cancel()
            await scene.until(lambda: not scene.health.is_up)

    play(tmp_path, [place("a", "")], lambda scene: StreamBus(TcpPort(HOST, port), "line", **scene.parts()), story)
    assert len(kept_samples(tmp_path)) >= 2


def test_a_serial_line_is_opened_when_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "radio.tty"

    async def story(scene: Scene) -> None:
        await anyio.sleep(0.05)
        assert not scene.health.is_up
        ours, theirs = os.openpty()
        try:
            tty.setraw(theirs)
            path.symlink_to(os.ttyname(theirs))
            await scene.until(lambda: scene.health.is_up)
            os.write(ours, b"\xff\xfe\n7F01 !b")
            os.write(ours, b"utton hi\n")
            await scene.until(lambda: scene.push.heard == 1)
            await anyio.wait_readable(ours)
            assert os.read(ours, 100) == b"hello\n"
        finally:
            os.close(theirs)
            os.close(ours)
        await scene.until(lambda: not scene.health.is_up)
        states = scene.supervisor.states(anyio.current_time())
        assert [state.standing for state in states] == [DeviceStanding.DEGRADED]

    play(
        tmp_path, [place("button", "7F01")],
        lambda scene: StreamBus(SerialPort(path, baud=9600), "line", **scene.parts()), story,
    )  # fmt: skip
    (event,) = kept_events(tmp_path)
    assert event.source == "g/button/button/e120"
