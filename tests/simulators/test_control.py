import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.site_loader import load_site
from simulators import control_messages as say
from simulators.control import parse
from simulators.control_client import Control, ControlError
from simulators.errors import SimulatorError
from simulators.site import ServedSite, serve_site
from tests.simulators.rig import LIMIT_S, device_toml, free_port, rtu_toml, serving, tcp_toml, wait_for

BUTTONS = device_toml("buttons", "line", "waveshare/modbus-rtu-io-8ch", unit=2)
CLIMATE = device_toml("th", "line", "generic/xy-md02")


@contextmanager
def talking(served: ServedSite) -> Iterator[tuple[socket.socket, BinaryIO]]:
    with socket.create_connection(("127.0.0.1", served.control_port), LIMIT_S) as link, link.makefile("rb") as replies:
        yield link, replies


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def value_of(control: Control, device: str, point: str) -> object:
    found = next(d for d in control.describe().devices if d.id == device)
    return next(p.value for p in found.points if p.key == point)


def test_the_description_tells_buses_devices_and_values(tmp_path: Path) -> None:
    port = free_port()
    net = (tcp_toml(port=port), device_toml("io", "net", "zlan/zlan6842", extra='use = ["button_1", "output_1"]'))
    with serving(tmp_path, rtu_toml(), *net, CLIMATE) as (served, control):
        control.ping()
        control.set("th", "temperature", 21)
        told = control.describe()
    assert (told.gateway, told.site) == ("gw-test", "bench")
    assert [(bus.id, bus.kind, bus.where, bus.plugged) for bus in told.buses] == [
        ("line", "rtu", str(tmp_path / "tty-line"), True),
        ("net", "tcp", f"127.0.0.1:{port}", True),
    ]
    assert served.buses == {bus.id: bus.where for bus in told.buses}
    th, io = sorted(told.devices, key=lambda device: device.profile)
    assert (th.id, th.bus, th.unit, th.profile, th.mute) == ("th", "line", 1, "generic/xy-md02", False)
    assert th.points[0] == say.PointInfo("temperature", "number", "Cel", writable=False, value=21.0)
    assert [point.key for point in io.points] == ["button_1", "output_1"]


def test_a_press_tells_when_it_was_and_is_remembered(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), BUTTONS) as (_, control):
        before = time.time_ns() // 1000
        pressed = control.press("buttons", "button_1")
        released = control.release("buttons", "button_1")
        after = time.time_ns() // 1000
        assert before <= pressed <= released <= after
        seen = [(press.point, press.value, press.at_us) for press in control.presses("buttons")]
        assert seen == [("button_1", True, pressed), ("button_1", False, released)]
        control.reset()
        assert control.presses("buttons") == ()


def test_a_timed_press_is_released_unless_somebody_pressed_again(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), BUTTONS) as (_, control):
        control.press("buttons", "button_1", for_s=0.01)
        wait_for(lambda: value_of(control, "buttons", "button_1") is False)
        control.press("buttons", "button_2", for_s=0.02)
        control.press("buttons", "button_2")
        control.press("buttons", "button_3", for_s=0.05)
        wait_for(lambda: value_of(control, "buttons", "button_3") is False)
        assert value_of(control, "buttons", "button_2") is True


def test_values_are_held_and_let_go(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), CLIMATE) as (_, control):
        moving = value_of(control, "th", "humidity")
        control.set("th", "humidity", 12.5)
        assert value_of(control, "th", "humidity") == 12.5
        control.auto("th", "humidity")
        assert value_of(control, "th", "humidity") == pytest.approx(moving, abs=1)


@pytest.mark.parametrize(
    ("do", "text"),
    [
        (lambda c: c.press("nobody", "button_1"), "no device 'nobody'; there are buttons"),
        (lambda c: c.press("buttons", "button_9"), "no point 'button_9'; it has button_1, "),
        (lambda c: c.press("buttons", "button_1", for_s=-1), "for_s"),
        (lambda c: c.set("buttons", "button_1", 3.0), "not true or false"),
        (lambda c: c.unplug("nowhere"), "no bus 'nowhere'; there are line, net"),
        (lambda c: c.noise("line"), "noise wants a rate"),
        (lambda c: c.noise("line", rate=1.5), "rate"),
        (lambda c: c.noise("line", now=100_000), "now"),
        (lambda c: c.noise("net", rate=0.5), "bus 'net' is tcp; this is for lines with Modbus RTU"),
        (lambda c: c.set("x" * 5000, "button_1", value=True), "at most 4096 bytes"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, do: Callable[[Control], None], text: str) -> None:
    parts = (rtu_toml(), BUTTONS, tcp_toml(port=free_port()))
    with serving(tmp_path, *parts) as (_, control), pytest.raises(ControlError, match=text):
        do(control)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\r",
        b"hello",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"op":"explode"}',
        b'{"op":["ping"]}',
        b'{"op":"ping","more":1}',
        b'{"op":"press"}',
        b'{"op":"press","device":1,"point":"a"}',
        b'{"op":"set","device":"buttons","point":"button_1","value":null}',
        b'{"op":"set","device":"buttons","point":"button_1","value":[[[[]]]]}',
        b'{"op":"ping"} {"op":"ping"}',
        b'{"op":"\xff\xfe"}',
        b'{"op":"ping"' + b" " * 200,
        b"[" * 4000,
        b'{"op":"ping","x":' + b"[" * 4000,
    ],
)
def test_a_line_that_is_no_request_gets_an_error_and_the_talk_goes_on(tmp_path: Path, line: bytes) -> None:
    with serving(tmp_path, rtu_toml(), BUTTONS) as (served, _), talking(served) as (link, replies):
        link.sendall(line + b"\n" + b'{"op":"ping"}\n')
        assert "cannot be read" in _object(replies.readline())["error"]
        assert _object(replies.readline()) == {"ok": True}


def test_a_line_without_end_gets_an_error_and_the_end_of_the_talk(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), BUTTONS) as (served, control):
        with talking(served) as (link, replies):
            link.sendall(b"x" * (say.MAX_LINE_BYTES + 1000))
            assert "at most 4096 bytes" in _object(replies.readline())["error"]
            assert _is_hung_up(link)
        with talking(served) as (link, _):
            link.sendall(b'{"op":')
        control.ping()


@given(st.binary(max_size=200))
def test_random_lines_are_errors_and_nothing_worse(line: bytes) -> None:
    with suppress(SimulatorError):
        parse(line)


def test_nobody_there_is_said() -> None:
    with pytest.raises(ControlError, match="no simulator answers"):
        Control(free_port())


def test_a_port_of_something_else_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def greet() -> None:
            link, _ = server.accept()
            with link:
                link.sendall(b"220 mail.example\r\n")
                link.recv(100)

        greeted = pool.submit(greet)
        with pytest.raises(ControlError, match="is the port right"):
            Control(server.getsockname()[1])
        greeted.result()


def test_a_simulator_that_stops_is_said(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), BUTTONS) as (served, _):
        late = Control(served.control_port)
    with pytest.raises(ControlError, match=r"hung up|does not answer"):
        late.ping()
    late.close()


@pytest.mark.anyio
async def test_a_bus_that_cannot_be_had_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = tmp_path / "site.toml"
        gateway = '[gateway]\nid = "gw"\nsite = "bench"\n'
        file.write_text(gateway + rtu_toml() + tcp_toml(port=port) + BUTTONS)
        with pytest.raises(SimulatorError, match="bus 'net': cannot listen on"):
            await serve_site(load_site(file))
        assert names(tmp_path) == [file.name]
        with pytest.raises(SimulatorError, match="the control channel cannot listen"):
            await serve_site(load_site(file), control_port=port)


@pytest.mark.anyio
async def test_a_site_stops_when_it_is_cancelled(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('[gateway]\nid = "gw"\nsite = "bench"\n' + rtu_toml() + BUTTONS)
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_site_of(file))
        assert names(tmp_path) == ["site.toml", "tty-line"]
        tasks.cancel_scope.cancel()
    assert names(tmp_path) == [file.name]


def serve_site_of(file: Path) -> Callable[..., Any]:
    site = load_site(file)

    async def serve(*, task_status: anyio.abc.TaskStatus[Any]) -> None:
        await serve_site(site, task_status=task_status)

    return serve


def _object(line: bytes) -> dict[str, Any]:
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def _is_hung_up(link: socket.socket) -> bool:
    try:
        return link.recv(1) == b""
    except ConnectionResetError:
        return True
