"""Peers that misbehave, on real pseudo-terminals and sockets: what they say to each request is a function."""

import os
import select
import socket
import struct
import threading
import tty
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import anyio

from device_profiles.model import Table
from device_profiles.site import ModbusBus, RtuBus, RtuTcpBus, TcpBus
from edge.errors import DeviceRefusedError, EdgeError
from edge.line import Line, make_line
from edge.modbus import pdu
from simulators.framing import rtu_frame

LIMIT_S = 20.0
# For what never answers; everything else has all the time a busy machine may take.
SHORT_S = 0.2
T = TypeVar("T")
Said = tuple[float, bytes]
Answer = Callable[[bytes], Iterable[Said]]
"""From a request to what is said: each after so many seconds."""


# Longer than the wire needs for any answer here; one that came sooner could not be real.
WIRE_S = 0.005


def words(*values: int) -> bytes:
    """The PDU that says holding registers."""
    return struct.pack(f">BB{len(values)}H", 3, 2 * len(values), *values)


def rtu_says(unit: int, *values: int) -> bytes:
    return rtu_frame(unit, words(*values))


def tcp_says(request: bytes, said: bytes) -> bytes:
    return request[:4] + struct.pack(">H", len(said) + 1) + request[6:7] + said


def rtu_address(request: bytes) -> int:
    return int.from_bytes(request[2:4], "big")


@contextmanager
def serial_peer(answer: Answer, *, baud: int = 115_200) -> Iterator[RtuBus]:
    """A slave on a pseudo-terminal that answers each 8-byte request, from a thread of its own."""
    ours, theirs = os.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    with _serving(lambda size: os.read(ours, size), lambda data: os.write(ours, data), ours, answer, size=8):
        yield RtuBus(id="line", port=os.ttyname(theirs), baud=baud)
    os.close(ours)
    os.close(theirs)


@contextmanager
def tcp_listener(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP peer that treats each connection with `serve`, one after the other; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT_S)

        def run() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(ConnectionError):
                        serve(connection)
            except OSError:
                return

        threading.Thread(target=run, daemon=True).start()
        yield listener.getsockname()[1]


@contextmanager
def tcp_peer(answer: Answer) -> Iterator[TcpBus]:
    """A Modbus TCP device."""
    with tcp_listener(lambda connection: _serve_socket(connection, answer, size=12)) as port:
        yield TcpBus(id="lan", host="127.0.0.1", port=port)


@contextmanager
def rtu_tcp_peer(answer: Answer) -> Iterator[RtuTcpBus]:
    """A serial server with one device behind it."""
    with tcp_listener(lambda connection: _serve_socket(connection, answer, size=8)) as port:
        yield RtuTcpBus(id="far", host="127.0.0.1", port=port, baud=115_200)


def run_line(bus: ModbusBus, story: Callable[[Line], Awaitable[T]]) -> T:
    """Open the bus's line, run the story on it, close it."""

    async def main() -> T:
        line = make_line(bus, folder=Path("/"))
        with anyio.fail_after(LIMIT_S):
            await line.open()
            try:
                return await story(line)
            finally:
                line.close()

    return anyio.run(main)


async def read(
    line: Line, address: int, *, unit: int = 1, count: int = 1, timeout_s: float = LIMIT_S
) -> list[int] | type[EdgeError] | int:
    """Read holding registers: the cells, or the kind of failure, or the exception's code."""
    request = pdu.read_request(Table.HOLDING, address, count)
    try:
        return list(pdu.cells_of(request, await line.transact(unit, request, timeout_s=timeout_s)))
    except DeviceRefusedError as error:
        return error.code
    except EdgeError as error:
        return type(error)


def _serve_socket(connection: socket.socket, answer: Answer, *, size: int) -> None:
    connection.settimeout(LIMIT_S)
    while len(request := connection.recv(size)) == size:
        for after_s, data in answer(request):
            threading.Event().wait(after_s)
            connection.sendall(data)


@contextmanager
def _serving(
    read_some: Callable[[int], bytes], write: Callable[[bytes], int], fd: int, answer: Answer, *, size: int
) -> Iterator[None]:
    stopped = threading.Event()

    def serve() -> None:
        buffer = b""
        while not stopped.is_set():
            if not select.select([fd], [], [], 0.02)[0]:
                continue
            buffer += read_some(256)
            while len(buffer) >= size:
                request, buffer = buffer[:size], buffer[size:]
                for after_s, data in answer(request):
                    if stopped.wait(after_s):
                        return
                    write(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield
    stopped.set()
    thread.join(5)
