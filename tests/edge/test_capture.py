"""Recording a bus, and what a gateway would have read from it."""

from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec import convert
from msgspec.structs import replace

from device_profiles.recording import Heading, Piece, Recording
from device_profiles.site import ModbusBus, RtuBus, Site, TcpBus
from device_profiles.site_loader import load_site
from edge.capture import (
    IDLE_LIMIT_S,
    MAX_PIECES,
    MAX_PIECES_AN_ANSWER,
    Recorder,
    Taken,
    UnknownBusError,
    capture_handler,
    poll_and_record,
)
from edge.errors import LinkDownError
from edge.line import LineCounters, Tap, make_line
from edge.modbus.rtu import rtu_frame
from edge.replay import Told, replay
from tests.edge.peers import tcp_says, words

RTU = RtuBus(id="line", port="line.tty")
TCP = TcpBus(id="lan", host="127.0.0.1")
SITE = """
[gateway]
id = "gw"
site = "bench"
[[bus]]
kind = "rtu"
id = "line"
port = "line.tty"
[[device]]
id = "climate"
bus = "line"
profile = "generic/xy-md02"
"""
# The weather in the maker's manual.
ASK, SAYS = bytes.fromhex("01 04 00 01 00 02 20 0B"), bytes.fromhex("01 04 04 01 31 02 22 2A CE")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    file = tmp_path / "site.toml"
    file.write_text(SITE)
    return load_site(file)


def recording(*pieces: tuple[float, str, bytes], bus: ModbusBus = RTU) -> Recording:
    made = tuple(convert({"t": t, "dir": way, "hex": data.hex()}, Piece) for t, way, data in pieces)
    return Recording(Heading(1, "gw", bus, "now"), made)


def told(*pieces: tuple[float, str, bytes], bus: ModbusBus = RTU, site: Site | None = None) -> list[Told]:
    return list(replay(recording(*pieces, bus=bus), site.devices["line"] if site else ()))


def test_an_answer_in_pieces_is_read_by_the_profile(site: Site) -> None:
    (one,) = told((1.0, ">", ASK), (1.02, "<", SAYS[:4]), (1.03, "<", SAYS[4:]), site=site)
    assert one.took_s == pytest.approx(0.03)
    assert one.cells == (305, 546)
    assert one.readings == (("climate", "temperature", 30.5), ("climate", "humidity", 54.6))
    assert one.faults == ()


@pytest.mark.parametrize(
    ("heard", "fault"),
    [
        (b"", "no answer in time"),
        (SAYS[:-1], "no whole answer"),
        (SAYS[:-1] + b"\x00", "check sum is wrong"),
        (rtu_frame(1, b"\x84\x02"), "illegal data address"),
        (rtu_frame(1, b"\x04\x02\x00\x01"), "4 bytes, the answer has 6"),
    ],
)
def test_a_fault_is_told_in_words(heard: bytes, fault: str) -> None:
    (one,) = told((0.0, ">", ASK), (0.1, "<", heard))
    assert fault in one.faults[0]
    assert one.cells == ()


def test_what_is_not_believable_is_no_reading(site: Site) -> None:
    (one,) = told((0.0, ">", ASK), (0.1, "<", rtu_frame(1, b"\x04\x04\x7f\xff\x02\x22")), site=site)
    assert [point for _, point, _ in one.readings] == ["humidity"]
    assert "temperature: no reading: out-of-range" in one.faults[0]


def test_tcp_requests_of_any_number_are_read() -> None:
    asks = [bytes.fromhex(f"{number} 0000 0006 01 03 0000 0001") for number in ("8001", "FFFF", "0000")]
    pieces = [
        (float(at), way, data)
        for at, ask in enumerate(asks)
        for way, data in ((">", ask), ("<", tcp_says(ask, words(at))))
    ]
    assert [one.cells for one in told(*pieces, bus=TCP)] == [(0,), (1,), (2,)]


@pytest.mark.parametrize("data", [b"", b"\x01", ASK[:-1], ASK[:-1] + b"\x00", rtu_frame(1, b"\x2b\x0e\x01\x00\x00")])
@pytest.mark.parametrize("bus", [RTU, TCP])
def test_a_request_that_cannot_be_read_is_told_and_the_next_is_read(data: bytes, bus: ModbusBus) -> None:
    first, *_ = told((0.0, ">", data), (1.0, ">", ASK), (1.1, "<", SAYS), bus=bus)
    assert "no request that can be read" in first.faults[0]


def test_a_write_is_told() -> None:
    ask = rtu_frame(1, bytes.fromhex("05 00 02 FF 00"))
    (one,) = told((0.0, ">", ask), (0.1, "<", ask))
    assert (one.asked, one.faults) == ("write coil 2+1", ())


def test_a_recorder_gives_what_crossed_since_the_last_time() -> None:
    line = make_line(RTU, folder=Path("/"))
    recorder = Recorder(line)
    first = recorder.take(None)
    assert line.tap is not None
    line.tap(True, ASK)
    line.tap(False, SAYS)
    second = recorder.take(first.after)
    assert [(piece.dir, piece.data) for piece in second.pieces] == [(">", ASK), ("<", SAYS)]
    assert recorder.take(second.after).pieces == ()
    assert recorder.take(first.after).pieces == second.pieces


def test_a_recorder_keeps_no_more_than_allowed_and_says_what_is_lost() -> None:
    line = make_line(RTU, folder=Path("/"))
    recorder = Recorder(line)
    after = recorder.take(None).after
    assert line.tap is not None
    for _ in range(MAX_PIECES + 7):
        line.tap(True, ASK)
    first = recorder.take(after)
    assert first.pieces[0].text == "7 pieces were not taken in time and are lost"
    assert len(first.pieces) == MAX_PIECES_AN_ANSWER + 1
    assert first.after == MAX_PIECES_AN_ANSWER + 7


def test_a_recording_that_nobody_takes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    line = make_line(RTU, folder=Path("/"))
    recorder = Recorder(line)
    now = 100.0
    monkeypatch.setattr("edge.capture.time.monotonic", lambda: now)
    recorder.take(None)
    tap = line.tap
    assert tap is not None
    now += IDLE_LIMIT_S + 1.0
    tap(True, ASK)
    assert line.tap is None


def test_the_control_handler_finds_the_bus_or_names_those_there_are(site: Site) -> None:
    line = make_line(RTU, folder=Path("/"))
    handle = capture_handler(site, {"line": line})

    async def main() -> dict[str, Any]:
        with pytest.raises(UnknownBusError, match="there are line"):
            await handle({"do": "capture", "bus": "lime"})
        return await handle({"do": "capture", "bus": "line"})

    assert convert(anyio.run(main), Taken).pieces == ()
    assert line.tap is not None


class ScriptedLine:
    """Has the interface of `edge.line.Line`: answers from a script; None is a line that is gone."""

    is_tagged = False

    def __init__(self, says: list[bytes | None]) -> None:
        self.tap: Tap | None = None
        self.counters = LineCounters()
        self.opened = 0
        self._says = says

    async def open(self) -> None:
        self.opened += 1

    def close(self) -> None:
        pass

    async def transact(self, unit: int, request: bytes, *, timeout_s: float, turnaround_s: float = 0.0) -> bytes:
        assert self.tap is not None
        assert timeout_s + turnaround_s > 0
        self.tap(True, rtu_frame(unit, request))
        said = self._says.pop(0)
        if said is None:
            raise LinkDownError("bus line: gone")
        self.tap(False, said)
        return said[1:-2]


def test_polling_records_requests_answers_and_a_lost_line(site: Site) -> None:
    (placed,) = site.devices["line"]
    often = tuple(replace(point, every_s=0.01) for point in placed.profile.point)
    devices = (replace(placed, profile=replace(placed.profile, point=often)),)
    line = ScriptedLine([SAYS, None, SAYS])

    async def main() -> list[Piece]:
        async with aclosing(poll_and_record(line, devices)) as polled:
            return [await anext(polled) for _ in range(6)]

    assert [(piece.dir, piece.hex) for piece in anyio.run(main)] == [
        (">", ASK.hex()), ("<", SAYS.hex()), (">", ASK.hex()), ("!", ""), (">", ASK.hex()), ("<", SAYS.hex())
    ]  # fmt: skip
    assert line.opened == 1
    assert line.tap is None
