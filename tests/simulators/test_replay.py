import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio.from_thread
import pytest

from device_profiles.recording import Heading, Piece, Recording
from device_profiles.site import ModbusBus, RtuBus, RtuTcpBus, TcpBus
from simulators.errors import SimulatorError
from simulators.framing import rtu_frame, tcp_frame
from simulators.replay import Said, Script, serve_replay
from tests.simulators.rig import ask, opened

RTU = RtuBus(id="line", port="x")
TCP = TcpBus(id="lan", host="127.0.0.1")
READ = b"\x03\x00\x00\x00\x01"


def says(number: int) -> bytes:
    return b"\x03\x02\x00" + bytes((number,))


def recording(bus: ModbusBus, *pieces: tuple[str, bytes]) -> Recording:
    made = (Piece(at / 100, "<" if way == "<" else ">", hex=data.hex()) for at, (way, data) in enumerate(pieces))
    return Recording(Heading(1, "gw", bus, "now"), tuple(made))


TWO_READS = (
    (">", rtu_frame(1, READ)), ("<", rtu_frame(1, says(1))[:3]), ("<", rtu_frame(1, says(1))[3:]),
    (">", rtu_frame(1, READ)), ("<", rtu_frame(1, says(2))), (">", rtu_frame(9, READ)),
)  # fmt: skip


@contextmanager
def playing(recorded: Recording, **where: object) -> Iterator[str]:
    with anyio.from_thread.start_blocking_portal() as portal:
        task, place = portal.start_task(partial(serve_replay, recorded, **where))  # type: ignore[arg-type]
        try:
            yield place
        finally:
            task.cancel()


def test_answers_come_one_after_the_other_and_from_the_first_again() -> None:
    script = Script(recording(RTU, *TWO_READS))
    answers = [script.answer(rtu_frame(1, READ)) for _ in range(3)]
    assert answers[0] == answers[2] == (
        Said(0.01, rtu_frame(1, says(1))[:3]), Said(0.02, rtu_frame(1, says(1))[3:])
    )  # fmt: skip
    assert answers[1] is not None
    assert answers[1][0].data == rtu_frame(1, says(2))
    assert script.answer(rtu_frame(9, READ)) == ()
    assert script.answer(rtu_frame(2, READ)) is None


def test_an_answer_over_tcp_takes_the_new_requests_number_and_a_late_one_does_not() -> None:
    script = Script(
        recording(TCP, (">", tcp_frame(7, 1, READ)), ("<", tcp_frame(6, 1, says(0))), ("<", tcp_frame(7, 1, says(1))))
    )
    answer = script.answer(tcp_frame(0x1234, 1, READ))
    assert answer is not None
    assert [said.data for said in answer] == [tcp_frame(6, 1, says(0)), tcp_frame(0x1234, 1, says(1))]


def test_a_recording_without_a_request_is_refused() -> None:
    with pytest.raises(SimulatorError, match="no request"):
        Script(recording(RTU, ("<", b"\x00")))


def test_a_recorded_serial_line_is_played_on_a_serial_port(tmp_path: Path) -> None:
    size = len(rtu_frame(1, says(1)))
    with playing(recording(RTU, *TWO_READS), place=tmp_path / "replay.tty") as place, opened(place) as fd:
        for number in (1, 2, 1):
            assert ask(fd, rtu_frame(1, READ), size) == rtu_frame(1, says(number))


@pytest.mark.parametrize("bus", [TCP, RtuTcpBus(id="far", host="127.0.0.1", port=1)])
def test_a_recorded_connection_is_played_on_a_tcp_port_to_one_after_the_other(bus: TcpBus | RtuTcpBus) -> None:
    is_tcp = isinstance(bus, TcpBus)
    request, answer = (
        (tcp_frame(5, 1, READ), tcp_frame(5, 1, says(1))) if is_tcp else (rtu_frame(1, READ), rtu_frame(1, says(1)))
    )
    with playing(recording(bus, (">", request), ("<", answer)), address=("127.0.0.1", 0)) as place:
        host, _, port = place.partition(":")
        for _ in range(2):
            with socket.create_connection((host, int(port))) as client:
                assert ask(client.fileno(), request, len(answer)) == answer
        if is_tcp:
            with socket.create_connection((host, int(port))) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert client.recv(1) == b""
