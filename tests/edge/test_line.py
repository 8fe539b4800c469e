"""The line over a pseudo-terminal and over TCP: opening, silences, cancelling, foreign peers, unplugging."""

import errno
import fcntl
import itertools
import os
import socket
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from device_profiles.model import Parity, Table
from device_profiles.site import RtuBus, RtuTcpBus, TcpBus
from edge.errors import LinkDownError, LinkTimeoutError
from edge.line import Line, LineCounters, make_line
from edge.modbus import pdu
from edge.modbus.wire import wire_at
from edge.port_line import LONGEST_RESERVE_S
from langyan.servers import free_port
from tests.edge.peers import (
    LIMIT_S,
    WIRE_S,
    Said,
    read,
    rtu_address,
    rtu_says,
    run_line,
    serial_peer,
    tcp_listener,
    tcp_peer,
    tcp_says,
    words,
)
from tests.simulators.rig import device_toml, rtu_toml, serving

READ_ONE = pdu.read_request(Table.HOLDING, 0, 1)


@given(st.integers(300, 4_000_000))
def test_the_silence_is_three_and_a_half_characters_or_the_fixed_one(baud: int) -> None:
    assert wire_at(baud).gap_s == pytest.approx(0.00175 if baud > 19_200 else 3.5 * 11 / baud)


def test_a_read_of_twenty_registers_at_9600_baud_takes_what_the_standard_says() -> None:
    assert wire_at(9600).transaction_s(8, 45) == pytest.approx(0.06875, abs=1e-4)


@pytest.mark.parametrize("baud", [9600, 38_400])
def test_the_silence_before_a_request_is_kept_after_an_answer_and_after_none(baud: int) -> None:
    wire = wire_at(baud)
    heard: list[float] = []
    said: list[float] = []

    def answer(request: bytes) -> Iterator[Said]:
        heard.append(time.monotonic())
        if rtu_address(request) == 99:
            said.append(heard[-1] + len(request) * wire.character_s)
            return
        yield wire.transaction_s(8, 7), b""
        said.append(time.monotonic())
        yield 0.0, rtu_says(1, 0)

    async def story(line: Line) -> None:
        for address in (1, 2, 3, 99, 4, 5):
            await read(line, address, timeout_s=0.02 if address == 99 else LIMIT_S)

    with serial_peer(answer, baud=baud) as bus:
        run_line(bus, story)
    assert len(heard) == 6
    assert all(after - before >= wire.gap_s for before, after in zip(said, heard[1:], strict=False))


def test_the_rest_that_a_device_wants_is_kept() -> None:
    heard: list[float] = []

    def answer(request: bytes) -> list[Said]:
        heard.append(time.monotonic())
        return [(0.0, tcp_says(request, words(1)))]

    async def story(line: Line) -> None:
        for _ in range(3):
            await line.transact(1, READ_ONE, timeout_s=LIMIT_S, turnaround_s=0.03)

    with tcp_peer(answer) as bus:
        run_line(bus, story)
    assert all(after - before >= 0.03 for before, after in itertools.pairwise(heard))


def test_a_cancelled_request_does_not_spoil_the_next() -> None:
    def answer(request: bytes) -> list[Said]:
        address = rtu_address(request)
        return [(0.05 if address == 100 else WIRE_S, rtu_says(1, address))]

    async def story(line: Line) -> None:
        with anyio.move_on_after(0.01):
            await read(line, 100)
        assert await read(line, 200) == [200]
        assert line.counters == LineCounters(late=1)

    with serial_peer(answer) as bus:
        run_line(bus, story)


def test_a_mute_unit_reserves_the_line_no_longer_than_allowed() -> None:
    heard: list[float] = []

    def answer(request: bytes) -> list[Said]:
        heard.append(time.monotonic())
        return [] if request[0] == 9 else [(0.0, rtu_says(1, 5))]

    async def story(line: Line) -> None:
        assert await read(line, 0, unit=9, timeout_s=0.05) is LinkTimeoutError
        failed_at = time.monotonic()
        assert await read(line, 0) == [5]
        assert heard[1] - failed_at >= LONGEST_RESERVE_S - 0.02

    with serial_peer(answer) as bus:
        run_line(bus, story)


def test_somebody_who_talks_without_being_asked_is_waited_out() -> None:
    """Random bytes between two requests: silence begins after the last of them."""

    def answer(request: bytes) -> list[Said]:
        return [(0.0, rtu_says(1, rtu_address(request))), (0.01, b"\xff" * 20), (0.002, b"\xff" * 20)]

    async def story(line: Line) -> None:
        for address in (1, 2, 3):
            assert await read(line, address) == [address]
            await anyio.sleep(0.03)
        assert line.counters == LineCounters(noise_bytes=120)

    with serial_peer(answer) as bus:
        run_line(bus, story)


def test_everything_that_crosses_the_port_is_shown() -> None:
    seen: list[tuple[bool, bytes]] = []

    async def story(line: Line) -> None:
        line.tap = lambda is_sent, data: seen.append((is_sent, data))
        assert await read(line, 7) == [7]

    with serial_peer(lambda request: [(0.0, rtu_says(1, rtu_address(request)))]) as bus:
        run_line(bus, story)
    assert b"".join(data for is_sent, data in seen if is_sent)[:4] == b"\x01\x03\x00\x07"
    assert b"".join(data for is_sent, data in seen if not is_sent) == rtu_says(1, 7)


def test_a_port_that_another_line_holds_cannot_be_opened() -> None:
    with serial_peer(lambda _: []) as bus:

        async def story(_: Line) -> None:
            with pytest.raises(LinkDownError, match="in use by another program"):
                await make_line(bus, folder=Path("/")).open()

        run_line(bus, story)
        run_line(bus, lambda _: anyio.lowlevel.checkpoint())


@pytest.mark.parametrize("parity", Parity)
@pytest.mark.parametrize("baud", [300, 9600, 14_400, 250_000, 4_000_000])
def test_the_port_is_set_as_the_site_file_says(baud: int, parity: Parity, monkeypatch: pytest.MonkeyPatch) -> None:
    # A pseudo-terminal drops the parity it is given, so what was asked for is looked at; the speed it keeps.
    asked: list[int] = []
    real = termios.tcsetattr

    def spy(fd: int, when: int, settings: Any) -> None:
        asked.append(settings[2])
        real(fd, when, settings)

    monkeypatch.setattr(termios, "tcsetattr", spy)
    ours, theirs = os.openpty()
    termios2 = bytearray(44)

    async def story(_: Line) -> None:
        fcntl.ioctl(theirs, 0x802C542A, termios2)

    run_line(RtuBus(id="line", port=os.ttyname(theirs), baud=baud, parity=parity, stop_bits=2), story)
    even, odd = termios.PARENB, termios.PARENB | termios.PARODD
    assert asked[0] & odd == {Parity.NONE: 0, Parity.EVEN: even, Parity.ODD: odd}[parity]
    assert asked[0] & termios.CSTOPB
    assert memoryview(termios2).cast("I")[10] == baud
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("place", ["missing", "file"])
def test_what_is_no_port_is_said(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no port")
    line = make_line(RtuBus(id="line", port=place), folder=tmp_path)

    async def main() -> None:
        with pytest.raises(LinkDownError, match=f"bus line: .*{place} (cannot be opened|is no serial port)"):
            await line.open()
        line.close()

    anyio.run(main)


@pytest.mark.parametrize("kind", [TcpBus, RtuTcpBus])
def test_a_connection_nobody_takes_is_said(kind: type[TcpBus] | type[RtuTcpBus]) -> None:
    bus = kind(id="lan", host="127.0.0.1", port=free_port())

    async def main() -> None:
        with pytest.raises(LinkDownError, match=f"127.0.0.1:{bus.port} cannot be opened"):
            await make_line(bus, folder=Path("/")).open()

    anyio.run(main)


def test_a_peer_that_closes_at_once_is_a_link_that_is_down_and_can_be_opened_again() -> None:
    seen: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        seen.append(connection)
        if len(seen) > 1:
            connection.sendall(tcp_says(connection.recv(12), words(42)))
            connection.recv(1)

    async def main(port: int) -> None:
        line = make_line(TcpBus(id="lan", host="127.0.0.1", port=port), folder=Path("/"))
        with anyio.fail_after(20):
            await line.open()
            assert await read(line, 0) is LinkDownError
            assert await read(line, 0) is LinkDownError
            await line.open()
            assert await read(line, 0) == [42]
        line.close()
        assert line.counters.drops == 1

    with tcp_listener(serve) as port:
        anyio.run(main, port)


def test_a_peer_that_accepts_and_says_nothing_costs_the_timeout_and_no_more() -> None:
    async def story(line: Line) -> None:
        assert [await read(line, 0, timeout_s=0.01) for _ in range(5)] == [LinkTimeoutError] * 5
        assert line.counters == LineCounters()

    with tcp_peer(lambda _: []) as bus:
        run_line(bus, story)


def test_a_closed_line_is_down_until_it_is_opened() -> None:
    async def story(line: Line) -> None:
        assert await read(line, 1) == [1]
        line.close()
        line.close()
        assert await read(line, 1) is LinkDownError
        await line.open()
        assert await read(line, 2) == [2]

    with serial_peer(lambda request: [(0.0, rtu_says(1, rtu_address(request)))]) as bus:
        run_line(bus, story)


@pytest.mark.anyio
async def test_an_adapter_unplugged_and_plugged_in_again_is_found_under_its_name(tmp_path: Path) -> None:
    device = device_toml("buttons", "line", "waveshare/modbus-rtu-io-8ch")
    request = pdu.read_request(Table.DISCRETE_INPUT, 0, 8)
    with serving(tmp_path, rtu_toml(), device) as (_, control):
        line = make_line(RtuBus(id="line", port="tty-line", baud=115_200), folder=tmp_path)
        await line.open()
        assert len(await line.transact(1, request, timeout_s=LIMIT_S)) == 3
        control.unplug("line")
        with pytest.raises(LinkDownError):
            await line.transact(1, request, timeout_s=LIMIT_S)
        with pytest.raises(LinkDownError, match=os.strerror(errno.ENOENT)):
            await line.open()
        control.plug("line")
        await line.open()
        assert len(await line.transact(1, request, timeout_s=LIMIT_S)) == 3
        assert control.stats().buses["line"].counts.early == 0
        line.close()


@pytest.mark.anyio
async def test_coils_are_written_and_read_back_on_a_slow_line_without_breaking_a_silence(tmp_path: Path) -> None:
    device = device_toml("buttons", "line", "waveshare/modbus-rtu-io-8ch")
    read_back = pdu.read_request(Table.COIL, 0, 8)
    with serving(tmp_path, rtu_toml(baud=19_200), device) as (_, control):
        line = make_line(RtuBus(id="line", port="tty-line", baud=19_200), folder=tmp_path)
        await line.open()
        for cells in ((1,), (1, 0, 1, 1), (0, 0, 0, 1)):
            write = pdu.write_request(Table.COIL, 0, cells)
            assert pdu.cells_of(write, await line.transact(1, write, timeout_s=LIMIT_S)) == ()
            got = pdu.cells_of(read_back, await line.transact(1, read_back, timeout_s=LIMIT_S))
            assert tuple(got[: len(cells)]) == cells
        line.close()
        stats = control.stats().buses["line"].counts
    assert (stats.requests, stats.early, stats.noise_bytes) == (6, 0, 0)


@pytest.mark.anyio
async def test_a_foreign_server_is_read_and_written() -> None:
    block = SimData(0, values=[*range(30)], datatype=DataType.REGISTERS)
    bits = SimData(0, values=[True, False] * 8, datatype=DataType.BITS)
    port = free_port()
    server = ModbusTcpServer([SimDevice(1, simdata=([bits], [bits], [block], [block]))], address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    line = make_line(TcpBus(id="lan", host="127.0.0.1", port=port), folder=Path("/"))
    await line.open()
    try:
        assert await read(line, 3, count=20) == [*range(3, 23)]
        for cells in ([777], [8, 9, 10]):
            write = pdu.write_request(Table.HOLDING, 4, cells)
            await line.transact(1, write, timeout_s=LIMIT_S)
            assert await read(line, 4, count=len(cells)) == cells
        assert await read(line, 5000) == 2
    finally:
        line.close()
        await server.shutdown()  # type: ignore[no-untyped-call]
