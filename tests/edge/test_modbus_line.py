"""The line over a pseudo-terminal and over TCP, against peers that misbehave."""

import os
import select
import socket
import struct
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import pytest

from device_profiles.model import Table
from device_profiles.site import RtuBus, TcpBus
from edge.errors import DeviceRefusedError, EdgeError, FrameError, LinkDownError, LinkTimeoutError
from edge.modbus_line import ModbusLine
from langyan.servers import free_port

LIMIT_S = 20.0


def crc16(data: bytes) -> bytes:
    """CRC-16/Modbus, written down here so that no code under test checks itself."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)


def words(unit: int, *values: int) -> bytes:
    body = struct.pack(f">BBB{len(values)}H", unit, 3, 2 * len(values), *values)
    return body + crc16(body)


Reply = tuple[float, bytes]


@contextmanager
def serial_peer(answer: Callable[[bytes], Reply | None]) -> Iterator[RtuBus]:
    """A slave on a pseudo-terminal: answers each 8-byte request after so many seconds, from a thread of its own."""
    ours, theirs = os.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    stopped = threading.Event()

    def serve() -> None:
        buffer = b""
        while not stopped.is_set():
            if not select.select([ours], [], [], 0.05)[0]:
                continue
            buffer += os.read(ours, 256)
            while len(buffer) >= 8:
                request, buffer = buffer[:8], buffer[8:]
                reply = answer(request)
                if reply is not None:
                    timer = threading.Timer(reply[0], os.write, (ours, reply[1]))
                    timer.daemon = True
                    timer.start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield RtuBus(id="line", port=os.ttyname(theirs), baud=115_200)
    stopped.set()
    thread.join(5)
    os.close(ours)
    os.close(theirs)


def ask(bus: RtuBus | TcpBus, story: Callable[[ModbusLine], object]) -> None:
    async def main() -> None:
        line = ModbusLine(bus, port=bus.port if isinstance(bus, RtuBus) else "")
        with anyio.fail_after(LIMIT_S):
            await line.open()
            try:
                await story(line)  # type: ignore[misc]
            finally:
                line.close()

    anyio.run(main)


async def read(line: ModbusLine, address: int, *, unit: int = 1, count: int = 1) -> list[int] | type[EdgeError]:
    """Read holding registers as a bus does: after a failure the line is listened out."""
    try:
        return await line.read(unit, Table.HOLDING, address, count, timeout_s=0.2)
    except (LinkTimeoutError, FrameError) as error:
        await line.listen_out(0.2)
        return type(error)
    except DeviceRefusedError as error:
        return type(error)


def address_of(request: bytes) -> int:
    address: int = struct.unpack_from(">H", request, 2)[0]
    return address


def test_a_late_answer_is_never_taken_for_the_next_one() -> None:
    def answer(request: bytes) -> Reply:
        address = address_of(request)
        return (0.3 if address == 100 else 0.0, words(1, address))

    async def story(line: ModbusLine) -> None:
        assert [await read(line, address) for address in (50, 100, 200, 300)] == [[50], LinkTimeoutError, [200], [300]]

    with serial_peer(answer) as bus:
        ask(bus, story)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\x01",
        words(1, 7)[:-1],
        words(1, 7)[:-2] + b"\x00\x00",
        words(9, 7),
        b"\xff" * 300,
        bytes(range(256)) * 8,
        b"\x01\x03\xff" + bytes(300),
        b"\x01\x2b\x0e\x01\x00\x00\x00",
    ],
    ids=["nothing", "one byte", "cut", "bad crc", "another unit", "ones", "all bytes", "overlong", "other function"],
)
def test_a_spoilt_answer_is_an_error_and_the_next_is_good(reply: bytes) -> None:
    spoilt = [reply]

    def answer(request: bytes) -> Reply:
        return (0.0, spoilt.pop() if spoilt else words(1, address_of(request)))

    async def story(line: ModbusLine) -> None:
        try:
            assert await read(line, 10) in (LinkTimeoutError, FrameError)
        except LinkDownError:
            await line.open()
        for address in (20, 30):
            assert await read(line, address) == [address]

    with serial_peer(answer) as bus:
        ask(bus, story)


@pytest.mark.parametrize("code", range(1, 12))
def test_exception_codes_are_told(code: int) -> None:
    body = bytes((1, 0x83, code))

    async def story(line: ModbusLine) -> None:
        with pytest.raises(DeviceRefusedError) as caught:
            await line.read(1, Table.HOLDING, 0, 1, timeout_s=0.5)
        assert caught.value.code == code

    with serial_peer(lambda _request: (0.0, body + crc16(body))) as bus:
        ask(bus, story)


def test_fewer_words_than_asked_for_are_no_answer() -> None:
    async def story(line: ModbusLine) -> None:
        assert await read(line, 0, count=4) is FrameError

    with serial_peer(lambda _request: (0.0, words(1, 1, 2))) as bus:
        ask(bus, story)


@contextmanager
def tcp_peer(serve: Callable[[socket.socket], None]) -> Iterator[TcpBus]:
    """A TCP peer that treats each connection with `serve`, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT_S)

        def run() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        serve(connection)
            except OSError:
                return

        threading.Thread(target=run, daemon=True).start()
        yield TcpBus(id="lan", host="127.0.0.1", port=listener.getsockname()[1])


def mbap(request: bytes, pdu: bytes) -> bytes:
    return request[:2] + b"\x00\x00" + struct.pack(">H", len(pdu) + 1) + request[6:7] + pdu


def test_a_peer_that_closes_at_once_is_a_link_that_is_down_and_can_be_opened_again() -> None:
    seen = []

    def serve(connection: socket.socket) -> None:
        seen.append(connection)
        if len(seen) > 1:
            request = connection.recv(12)
            connection.sendall(mbap(request, b"\x03\x02\x00\x2a"))
            connection.recv(1)

    async def open_and_read(line: ModbusLine) -> None:
        """The close may be noticed at the opening, or a little later."""
        await line.open()
        await line.read(1, Table.HOLDING, 0, 1, timeout_s=2.0)

    async def main() -> None:
        line = ModbusLine(bus, port="")
        with anyio.fail_after(LIMIT_S):
            with pytest.raises(LinkDownError):
                await open_and_read(line)
            await line.open()
            assert await line.read(1, Table.HOLDING, 0, 1, timeout_s=5.0) == [42]
        line.close()

    with tcp_peer(serve) as bus:
        anyio.run(main)


def test_an_answer_with_another_transaction_number_is_passed_over() -> None:
    def serve(connection: socket.socket) -> None:
        while request := connection.recv(12):
            stale = bytes((request[0] ^ 0xFF, request[1])) + request[2:]
            connection.sendall(mbap(stale, b"\x03\x02\xde\xad") + mbap(request, b"\x03\x02\x00\x2a"))

    async def story(line: ModbusLine) -> None:
        assert await line.read(1, Table.HOLDING, 0, 1, timeout_s=5.0) == [42]

    with tcp_peer(serve) as bus:
        ask(bus, story)


def test_a_port_nobody_listens_on_is_said() -> None:
    bus = TcpBus(id="lan", host="127.0.0.1", port=free_port())

    async def main() -> None:
        with pytest.raises(LinkDownError, match=f"127.0.0.1:{bus.port} cannot be opened"):
            await ModbusLine(bus, port="").open()

    anyio.run(main)
