import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import msgspec
import pytest
from anyio import to_thread

from edge import control
from edge.control import Control, ControlError, Message, NotRunningError, control_path, serve_control
from edge.errors import EdgeError

pytestmark = pytest.mark.anyio


class NopeError(EdgeError):
    hint = "Try another."


class Name(msgspec.Struct):
    name: str


async def greet(request: Message) -> Message:
    return {"hello": msgspec.convert(request, Name).name}


async def refuse(_: Message) -> Message:
    raise NopeError("not today")


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        await tasks.start(lambda *, task_status: serve_control(
            path, {"greet": greet, "refuse": refuse}, task_status=task_status
        ))  # fmt: skip
        yield
        tasks.cancel_scope.cancel()


async def say(path: Path, *requests: bytes) -> list[Message]:
    """Send lines as they are on one connection; return the answers."""

    def talk() -> list[Message]:
        with Control(path) as client:
            answers = []
            for request in requests:
                client._socket.sendall(request)
                answers.append(msgspec.json.decode(client._lines.readline(), type=Message))
            return answers

    return await to_thread.run_sync(talk)


async def ask(path: Path, request: Message) -> Message:
    def talk() -> Message:
        with Control(path) as client:
            return client.ask(request)

    return await to_thread.run_sync(talk)


async def test_a_connection_asks_again_and_again(tmp_path: Path) -> None:
    path = control_path(tmp_path / "outbox.db")
    assert path == tmp_path / "outbox.db.sock"
    async with served(path):
        line = b'{"do":"greet","name":"a"}\n'
        assert await say(path, line, line) == [{"hello": "a"}] * 2


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"do":"dance"}\n', "cannot do 'dance'; known: greet, refuse"),
        (b"{}\n", "cannot do None; known: greet, refuse"),
        (b'{"do":["greet"]}\n', "known: greet, refuse"),
        (b"rubbish\n", "not a request: JSON is malformed"),
        (b"[1]\n", "not a request: Expected `object`"),
        (b"\xff\xfe\n", "not a request"),
        (b"\n", "not a request"),
        (b"[" * 5000 + b"\n", "not a request"),
        (b'{"do":"greet"}\n', "required field `name`"),
        (b'{"do":"refuse"}\n', "not today"),
    ],
)
async def test_bad_input_is_answered_and_the_connection_goes_on(tmp_path: Path, line: bytes, why: str) -> None:
    path = tmp_path / "sock"
    async with served(path):
        bad, good = await say(path, line, b'{"do":"greet","name":"b"}\n')
    assert why in bad["error"]
    assert good == {"hello": "b"}


async def test_a_request_without_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    async with served(path):
        (answer,) = await say(path, b"x" * (control.MAX_REQUEST_BYTES + 1))
        assert str(control.MAX_REQUEST_BYTES) in answer["error"]
        assert await ask(path, {"do": "greet", "name": "c"}) == {"hello": "c"}


async def test_the_client_raises_what_the_gateway_answers(tmp_path: Path) -> None:
    async with served(tmp_path / "sock"):
        with pytest.raises(ControlError, match="not today") as caught:
            await ask(tmp_path / "sock", {"do": "refuse"})
    assert caught.value.hint == "Try another."


async def test_one_client_too_many_is_told_so_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    async with served(path):
        clients = [await to_thread.run_sync(Control, path) for _ in range(control.MAX_CLIENTS)]
        request: Message = {"do": "greet", "name": "d"}
        assert [await to_thread.run_sync(client.ask, request) for client in clients] == [{"hello": "d"}] * len(clients)
        with pytest.raises(ControlError, match="8 clients are connected"):
            await ask(path, request)
        clients.pop().close()
        # Its place is free once the gateway has seen the end of it.
        with anyio.fail_after(10):
            while True:
                try:
                    assert await ask(path, request) == {"hello": "d"}
                    break
                except ControlError:
                    await anyio.lowlevel.checkpoint()
        assert await to_thread.run_sync(clients[0].ask, request) == {"hello": "d"}
        for client in clients:
            client.close()


async def test_a_client_that_says_nothing_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "IDLE_LIMIT_S", 0.0)
    async with served(tmp_path / "sock"):
        client = await to_thread.run_sync(Control, tmp_path / "sock")
        with client, pytest.raises(NotRunningError):
            await to_thread.run_sync(client.ask, {"do": "greet", "name": "e"})


async def test_only_its_user_may_talk_and_it_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    async with served(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with pytest.raises(NotRunningError, match="nobody listens"):
        await ask(path, {"do": "greet"})
    async with served(path):
        assert await ask(path, {"do": "greet", "name": "f"}) == {"hello": "f"}


async def test_a_path_longer_than_a_sockets_address_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    async with served(folder / "outbox.db.sock"):
        assert await ask(folder / "outbox.db.sock", {"do": "greet", "name": "g"}) == {"hello": "g"}
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("path", ["nothing", "no/folder", "long" * 50 + "/x"])
def test_where_no_gateway_runs_it_is_said_with_what_to_do(tmp_path: Path, path: str) -> None:
    with pytest.raises(NotRunningError, match="nobody listens") as caught:
        Control(tmp_path / path)
    assert "langyan edge run" in caught.value.hint
