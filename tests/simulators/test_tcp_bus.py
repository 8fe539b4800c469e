import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from struct import pack, unpack

import pytest
from pymodbus.client import AsyncModbusTcpClient, ModbusTcpClient

from simulators.control_client import Control
from simulators.framing import tcp_frame
from simulators.tcp_bus import MAX_CLIENTS
from tests.simulators.rig import LIMIT_S, device_toml, free_port, read_exactly, serving, tcp_toml, wait_for

READ_COUNT = bytes.fromhex("04 00 00 00 01")
COUNT_BYTES = 11


def io_module(name: str = "io", *, unit: int = 1) -> str:
    return device_toml(name, "net", "zlan/zlan6842", unit=unit, extra='simulate = { count_in = "analog_1" }')


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), LIMIT_S)


def ask_count(link: socket.socket, transaction: int, *, unit: int = 1) -> tuple[int, int]:
    link.sendall(tcp_frame(transaction, unit, READ_COUNT))
    answer = read_exactly(link.fileno(), COUNT_BYTES)
    return unpack(">H", answer[:2])[0], unpack(">H", answer[-2:])[0]


@pytest.mark.anyio
async def test_a_foreign_client_reads_what_was_set_and_what_it_read_is_what_was_produced(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, tcp_toml(port=port), io_module()) as (served, control):
        assert served.buses == {"net": f"127.0.0.1:{port}"}
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=10, retries=0)
        assert await client.connect()
        control.press("io", "button_2")
        inputs = await client.read_discrete_inputs(0, count=8, device_id=1)
        await client.write_coil(16, True, device_id=1)
        outputs = await client.read_coils(16, count=8, device_id=1)
        numbers = [(await client.read_input_registers(0, count=8, device_id=1)).registers[0] for _ in range(20)]
        refused = await client.read_holding_registers(0, count=1, device_id=1)
        stranger = await client.read_coils(16, count=1, device_id=9)
        client.close()
        stats = control.stats()
    assert inputs.bits == [True, False, True, True, True, True, True, True]
    assert outputs.bits[:2] == [True, False]
    assert numbers == list(range(1, 21))
    assert (refused.exception_code, stranger.exception_code) == (2, 0x0B)
    counts = stats.devices["io"].counts
    assert (stats.devices["io"].number, counts.readings["analog_1"], counts.readings["button_2"]) == (20, 20, 1)
    assert (counts.refused, stats.buses["net"].counts.strangers) == (1, 1)


def test_requests_sent_at_once_are_answered_in_order_with_their_transactions(tmp_path: Path) -> None:
    port, many = free_port(), 300
    with serving(tmp_path, tcp_toml(port=port), io_module()) as (_, control), connect(port) as link:
        link.sendall(b"".join(tcp_frame(number, 1, READ_COUNT) for number in range(many)))
        answers = read_exactly(link.fileno(), many * COUNT_BYTES)
        for number in range(many):
            answer = answers[number * COUNT_BYTES : (number + 1) * COUNT_BYTES]
            assert answer == tcp_frame(number, 1, bytes((4, 2)) + pack(">H", number + 1))
        wait_for(lambda: control.stats().devices["io"].counts.readings["analog_1"] == many)


def test_a_request_that_comes_byte_by_byte_is_answered(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, tcp_toml(port=port), io_module()), connect(port) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in tcp_frame(7, 1, READ_COUNT):
            link.sendall(bytes((byte,)))
        assert read_exactly(link.fileno(), COUNT_BYTES)[:2] == b"\x00\x07"


def test_several_clients_get_every_number_once(tmp_path: Path) -> None:
    port, clients, each = free_port(), 4, 50

    def read_numbers(_: int) -> list[int]:
        with connect(port) as link:
            return [ask_count(link, number)[1] for number in range(each)]

    with serving(tmp_path, tcp_toml(port=port), io_module()) as (_, control), ThreadPoolExecutor(clients) as pool:
        numbers = [number for found in pool.map(read_numbers, range(clients)) for number in found]
        assert sorted(numbers) == list(range(1, clients * each + 1))
        wait_for(lambda: control.stats().devices["io"].number == clients * each)


def test_a_mute_unit_says_nothing_while_its_neighbour_answers(tmp_path: Path) -> None:
    port = free_port()
    parts = (tcp_toml(port=port), io_module(), io_module("other", unit=2))
    with serving(tmp_path, *parts) as (_, control), connect(port) as link:
        control.mute("io")
        link.sendall(tcp_frame(1, 1, READ_COUNT))
        assert ask_count(link, 2, unit=2) == (2, 1)
        counts = control.stats().devices["io"].counts
        assert (counts.ignored, counts.answers, counts.readings["analog_1"]) == (1, 0, 0)
        control.unmute("io")
        assert ask_count(link, 3) == (3, 1)


@pytest.mark.parametrize("junk", ["00 01 00 07 00 06 01 03 00 00 00 01", "00 01 00 00 FF FF 01"])
def test_a_client_that_speaks_no_modbus_is_cut_off_after_its_good_requests(tmp_path: Path, junk: str) -> None:
    port = free_port()
    with serving(tmp_path, tcp_toml(port=port), io_module()) as (_, control), connect(port) as link:
        link.sendall(tcp_frame(1, 1, READ_COUNT) + bytes.fromhex(junk))
        assert len(read_exactly(link.fileno(), COUNT_BYTES)) == COUNT_BYTES
        assert link.recv(1) == b""
        wait_for(lambda: control.stats().buses["net"].counts.cut_off == 1)


def test_a_client_that_reads_no_answers_is_cut_off_and_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.tcp_bus._PATIENCE_S", 0.05)
    # Room for a few answers only: with more of them under way into a full window, the kernel drops those that do not
    # fit and their acknowledgements with them, and both sides stand still for minutes before the server has noticed.
    monkeypatch.setattr("simulators.tcp_bus._SEND_BUFFER_BYTES", 4096)
    port = free_port()
    flood = tcp_frame(1, 1, bytes.fromhex("02 00 00 00 08")) * 1000
    with serving(tmp_path, tcp_toml(port=port), io_module()) as (_, control):
        with socket.socket() as deaf:
            # Small segments, as the kernel makes room for ten of them: on the loopback they are of 64 KiB.
            deaf.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", port))
            deaf.settimeout(0.2)

            def is_cut_off() -> bool:
                with suppress(OSError):
                    deaf.sendall(flood)
                return control.stats().buses["net"].counts.cut_off == 1

            wait_for(is_cut_off, "cutting the deaf client off")
        with connect(port) as link:
            assert ask_count(link, 5)[0] == 5


def test_more_clients_than_allowed_are_turned_away(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, tcp_toml(port=port), io_module()) as (_, control):
        links = [connect(port) for _ in range(MAX_CLIENTS)]
        assert ask_count(links[-1], 1) == (1, 1)
        with connect(port) as late:
            assert late.recv(1) == b""
        assert control.stats().buses["net"].counts.turned_away == 1
        links.pop().close()

        def has_room() -> bool:
            with connect(port) as link:
                link.sendall(tcp_frame(9, 1, READ_COUNT))
                try:
                    return link.recv(1) != b""
                except ConnectionResetError:
                    return False

        wait_for(has_room)
        for link in links:
            link.close()


def test_an_unplugged_port_refuses_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, tcp_toml(port=port), io_module()) as (_, control):
        with connect(port) as link:
            assert ask_count(link, 1) == (1, 1)
            control.unplug("net")
            assert _is_gone(link)
        with pytest.raises(ConnectionRefusedError):
            connect(port)
        control.plug("net")
        with ModbusTcpClient("127.0.0.1", port=port, timeout=10, retries=0) as client:
            assert client.read_input_registers(0, count=1, device_id=1).registers == [2]


def test_presses_carry_the_wall_time_and_are_there_for_the_next_read(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, tcp_toml(port=port), io_module()) as (_, control), connect(port) as link:
        for pressed in (True, False):
            change = control.press if pressed else control.release
            at_us = change("io", "button_1")
            link.sendall(tcp_frame(1, 1, bytes.fromhex("02 00 00 00 01")))
            assert read_exactly(link.fileno(), 10)[-1] == (0 if pressed else 1)
            assert _last_press(control) == ("button_1", pressed, at_us)


def _last_press(control: Control) -> tuple[str, bool, int]:
    last = control.presses("io")[-1]
    return last.point, last.value, last.at_us


def _is_gone(link: socket.socket) -> bool:
    try:
        return link.recv(1) == b""
    except ConnectionResetError:
        return True
