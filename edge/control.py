"""The control socket: how commands on the same machine talk to the running gateway.

A unix socket beside the outbox, readable by the gateway's user and root only. One JSON object a line: a request
`{"do": "status"}`, an answer `{...}` or `{"error": "...", "hint": "..."}`. A connection may ask again and again.
"""

import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import anyio
import msgspec
from anyio.abc import SocketStream, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from edge.errors import EdgeError

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Message]]

MAX_REQUEST_BYTES = 64 * 1024
# The status of two thousand devices is about 600 KB.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_CLIENTS = 8
# A client that waits longer between two requests may as well connect again.
IDLE_LIMIT_S = 60.0
# How long an answer may take to leave, and a client to read it.
ANSWER_LIMIT_S = 10.0
# What a unix socket's address holds. Source: unix(7).
MAX_ADDRESS_BYTES = 107

_encode = msgspec.json.Encoder().encode


class ControlError(EdgeError):
    """The gateway answered a request with an error."""

    def __init__(self, why: str, *, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


class NotRunningError(ControlError):
    """Nobody listens on the control socket."""


def control_path(outbox: Path) -> Path:
    """Tell where the control socket of the gateway with this outbox is."""
    return outbox.with_name(f"{outbox.name}.sock")


async def serve_control(
    path: Path,
    handlers: Mapping[str, Handler],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests until cancelled; the socket is gone afterwards.

    A socket left by a gateway that was killed is replaced: that no other one runs is the outbox's lock to say.

    Args:
        path: see `control_path`.
        handlers: by the word after `do`. What they raise of `EdgeError` or msgspec's ValidationError is answered as an
            error; anything else ends the gateway, as everywhere.
        task_status: told once the socket listens.

    Raises:
        OSError: the socket cannot be made.
    """
    with _address(path) as address:
        listener = await anyio.create_unix_listener(address, mode=0o600, backlog=MAX_CLIENTS)
    clients = anyio.CapacityLimiter(MAX_CLIENTS)
    try:
        async with listener:
            task_status.started()
            await listener.serve(lambda client: _serve_client(client, handlers, clients))
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - quick, and the last thing that is done


async def _serve_client(client: SocketStream, handlers: Mapping[str, Handler], clients: anyio.CapacityLimiter) -> None:
    async with client:
        # A client that went away is its own business.
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, TimeoutError):
            if clients.available_tokens < 1:
                # Its request is read first: closing on unread bytes would take the answer away from it.
                with anyio.fail_after(ANSWER_LIMIT_S):
                    await client.receive(MAX_REQUEST_BYTES)
                await _send(client, _error(ControlError(f"{MAX_CLIENTS} clients are connected", hint="Close one.")))
                return
            async with clients:
                await _talk(client, handlers)


async def _talk(client: SocketStream, handlers: Mapping[str, Handler]) -> None:
    lines = BufferedByteReceiveStream(client)
    while True:
        try:
            with anyio.fail_after(IDLE_LIMIT_S):
                line = await lines.receive_until(b"\n", MAX_REQUEST_BYTES)
        except anyio.DelimiterNotFound:
            await _send(client, _error(ControlError(f"a request has at most {MAX_REQUEST_BYTES} bytes")))
            return
        except anyio.IncompleteRead:
            return
        await _send(client, await _answer(line, handlers))


async def _answer(line: bytes, handlers: Mapping[str, Handler]) -> Message:
    try:
        request = msgspec.json.decode(line, type=Message)
        handler = handlers.get(str(request.get("do")))
        if handler is None:
            return _error(ControlError(f"cannot do {request.get('do')!r}; known: {', '.join(sorted(handlers))}"))
        return await handler(request)
    except (msgspec.DecodeError, RecursionError) as error:
        return _error(ControlError(f"not a request: {error}", hint='One JSON object a line, as {"do": "status"}.'))
    except EdgeError as error:
        return _error(error)


def _error(error: EdgeError) -> Message:
    return {"error": str(error), "hint": error.hint}


async def _send(client: SocketStream, answer: Message) -> None:
    with anyio.fail_after(ANSWER_LIMIT_S):
        await client.send(_encode(answer) + b"\n")


class Control:
    """The other end, for commands: asks and waits. A context manager."""

    def __init__(self, path: Path, *, limit_s: float = ANSWER_LIMIT_S) -> None:
        """Connect.

        Raises:
            NotRunningError: nobody listens there.
            ControlError: it may not be opened.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(limit_s)
        try:
            with _address(path) as address:
                self._socket.connect(address)
        except PermissionError as error:
            self._socket.close()
            raise ControlError(
                f"{path}: {error.strerror}", hint="Run it as the gateway's user, or with sudo."
            ) from error
        except OSError as error:
            self._socket.close()
            raise NotRunningError(
                f"no gateway runs on this site file: nobody listens at {path}",
                hint="Start it: systemctl start langyan-edge, or langyan edge run.",
            ) from error
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def ask(self, request: Message) -> Message:
        """Send a request, return the answer.

        Raises:
            ControlError: the gateway answered with an error, or with nothing that can be read.
            NotRunningError: it went away meanwhile.
        """
        try:
            self._socket.sendall(_encode(request) + b"\n")
            line = self._lines.readline(MAX_ANSWER_BYTES)
        except OSError as error:
            raise NotRunningError(f"the gateway does not answer: {error}", hint="It may be stopping.") from error
        if not line:
            raise NotRunningError("the gateway has hung up", hint="It may be stopping.")
        try:
            answer = msgspec.json.decode(line, type=Message)
        except msgspec.DecodeError as error:
            raise ControlError(f"the gateway's answer cannot be read: {error}") from error
        if "error" in answer:
            raise ControlError(str(answer["error"]), hint=str(answer.get("hint", "")))
        return answer


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """Give an address for `path` that fits into a socket's: a long one goes by its opened folder."""
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
