"""The wire that counts and can be cut: real sockets, in a process of its own as in the benchmarks."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.remote import Remote
from langyan.servers import free_port, wait_until


@pytest.fixture
def broker() -> Iterator[int]:
    """Something that answers every byte with two."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_for_ever, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]


def answer_for_ever(listener: socket.socket) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            try:
                while data := client.recv(1000):
                    client.sendall(2 * data)
            except ConnectionError:
                continue


def test_it_counts_is_cut_and_comes_back(broker: int, tmp_path: Path) -> None:
    port = free_port()
    with Remote(tmp_path, "link", "--listen", str(port), "--target", str(broker)) as link:
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(b"x" * 100)
            assert client.recv(200, socket.MSG_WAITALL) == b"x" * 200
            assert wait_until(lambda: link.ask(op="stats")["down"] == 200, 20)
            before = link.ask(op="stats")
            assert (before["up"], before["connections"]) == (100, 1)
            assert 0 < before["opened_at"] < before["answered_at"]
            link.ask(op="cut")
            assert link.ask(op="stats")["answered_at"] == 0
            assert is_broken(client)
        assert wait_until(lambda: is_refused(port), 20)
        link.ask(op="open")
        assert wait_until(lambda: not is_refused(port), 20)
        assert link.ask(op="stats")["opened_at"] > before["opened_at"]


def test_a_request_it_does_not_know_is_refused_and_it_goes_on(tmp_path: Path) -> None:
    with Remote(tmp_path, "link", "--listen", str(free_port()), "--target", "1") as link:
        with pytest.raises(ValueError, match="link refuses"):
            link.ask(op="explode")
        assert link.ask(op="stats")["up"] == 0


def is_broken(client: socket.socket) -> bool:
    try:
        return client.recv(1000) == b""
    except ConnectionError:
        return True


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False
