"""Datagrams: many peers, few remembered; answers find their way; a flood drops and counts."""

import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from edge.push import datagrams
from edge.push.bus import PushBus
from edge.push.datagrams import DatagramBus
from langyan.servers import free_port
from tests.edge.push.rig import Scene, kept_events, place, play

HOST = "127.0.0.1"


def udp(port: int) -> Callable[[Scene], PushBus]:
    return lambda scene: DatagramBus(HOST, port, "line", **scene.parts())


def peer(port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect((HOST, port))
    one.setblocking(False)
    return one


async def answer(one: socket.socket) -> bytes:
    with anyio.fail_after(10.0):
        await anyio.wait_readable(one)
    return one.recv(1000)


def test_each_peer_has_a_conversation_and_gets_its_own_answer(tmp_path: Path) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        await scene.until(lambda: scene.health.is_up)
        with peer(port) as one, peer(port) as other:
            one.send(b"a !zone-1 ")
            other.send(b"b !zone-2 ?2\n")
            one.send(b"?1\n")
            assert await answer(other) == b"ok 2\n"
            assert await answer(one) == b"ok 1\n"
        assert (scene.push.connected, scene.push.kept) == (2, 2)

    play(tmp_path, [place("a"), place("b")], udp(port), story)
    assert sorted(event.source for event in kept_events(tmp_path)) == ["g/a/zone-1/e120", "g/b/zone-2/e120"]


def test_peers_are_bounded_and_the_one_silent_for_longest_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "MAX_PEERS", 3)
    port = free_port()

    async def story(scene: Scene) -> None:
        await scene.until(lambda: scene.health.is_up)
        peers = [peer(port) for _ in range(4)]
        try:
            for number, one in enumerate(peers):
                one.send(b"a ")
                await scene.until(lambda: scene.push.connections == number + 1)  # noqa: B023 - awaited at once
            assert (scene.push.connected, scene.push.turned_away) == (3, 1)
            peers[1].send(b"hi\n")
            assert await answer(peers[1]) == b"hello\n"
            peers[0].send(b"hi\n")
            await scene.until(lambda: scene.push.refused == 1)
        finally:
            for one in peers:
                one.close()

    play(tmp_path, [place("a")], udp(port), story)


def test_while_the_disk_is_behind_datagrams_are_dropped_and_counted(tmp_path: Path) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        await scene.until(lambda: scene.health.is_up)
        with peer(port) as one:
            scene.keeper.is_behind = True
            for _ in range(200):
                one.send(b"a !zone-1 ?1\n")
            await scene.until(lambda: scene.push.dropped == 200)
            scene.keeper.is_behind = False
            one.send(b"a !zone-1 ?1\n")
            assert await answer(one) == b"ok 1\n"

    play(tmp_path, [place("a")], udp(port), story)
    assert len(kept_events(tmp_path)) == 1


def test_a_peer_that_says_good_bye_is_forgotten(tmp_path: Path) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        await scene.until(lambda: scene.health.is_up)
        with peer(port) as one:
            one.send(b"a bye\n")
            assert await answer(one) == b"bye\n"
            await scene.until(lambda: scene.push.connected == 0)

    play(tmp_path, [place("a")], udp(port), story)
