import socket
from pathlib import Path

from simulators.framing import rtu_frame
from tests.simulators.rig import ask, device_toml, free_port, serving, wait_for

CLIMATE = device_toml("th", "line", "generic/xy-md02")
READ_CLIMATE = bytes.fromhex("01 04 00 01 00 02 20 0B")
SAYS_CLIMATE = bytes.fromhex("01 04 04 01 31 02 22 2A CE")


def bus_toml(port: int) -> str:
    return f'[[bus]]\nkind = "rtu_tcp"\nid = "line"\nhost = "127.0.0.1"\nport = {port}\nbaud = 115200\n'


def test_the_manuals_frames_come_through_a_connection_and_through_the_next_one(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, bus_toml(port), CLIMATE) as (served, control):
        control.set("th", "temperature", 30.5)
        control.set("th", "humidity", 54.6)
        assert served.buses["line"] == f"127.0.0.1:{port}"
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port)) as client:
                assert ask(client.fileno(), READ_CLIMATE, len(SAYS_CLIMATE)) == SAYS_CLIMATE
        wait_for(lambda: control.stats().devices["th"].counts.answers == 2)
        assert control.stats().buses["line"].counts.clients == 2


def test_a_stranger_is_silence_and_noise_is_counted(tmp_path: Path) -> None:
    port = free_port()
    with (
        serving(tmp_path, bus_toml(port), CLIMATE) as (_, control),
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        client.sendall(b"\xff\xff" + rtu_frame(9, bytes.fromhex("04 00 01 00 02")))
        wait_for(lambda: control.stats().buses["line"].counts.strangers == 1)
        assert control.stats().buses["line"].counts.noise_bytes == 2
        assert len(ask(client.fileno(), READ_CLIMATE, len(SAYS_CLIMATE))) == len(SAYS_CLIMATE)


def test_an_unplugged_serial_server_hangs_up_and_listens_again(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, bus_toml(port), CLIMATE) as (_, control):
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert len(ask(client.fileno(), READ_CLIMATE, len(SAYS_CLIMATE))) == len(SAYS_CLIMATE)
            control.unplug("line")
            assert client.recv(1) == b""
        control.plug("line")
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert len(ask(client.fileno(), READ_CLIMATE, len(SAYS_CLIMATE))) == len(SAYS_CLIMATE)
