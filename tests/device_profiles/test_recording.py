import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.recording import (
    MAX_LINE_BYTES,
    MAX_RECORDING_BYTES,
    Heading,
    Piece,
    RecordingError,
    read_recording,
    recording_line,
)
from device_profiles.site import ModbusBus, RtuBus, RtuTcpBus, TcpBus

BUSES: list[ModbusBus] = [
    RtuBus(id="line", port="/dev/ttyUSB0", baud=4800),
    TcpBus(id="lan", host="192.0.2.1"),
    RtuTcpBus(id="far", host="192.0.2.1", port=4001),
]
HEADING = Heading(1, "gw", BUSES[0], "2026-01-02T03:04:05.678+00:00")
FIRST = recording_line(HEADING)


@pytest.mark.parametrize("bus", BUSES, ids=lambda bus: bus.id)
@given(pieces=st.lists(st.tuples(st.sampled_from("<>"), st.binary(max_size=512)), max_size=20))
def test_what_was_written_is_read(bus: ModbusBus, pieces: list[tuple[str, bytes]]) -> None:
    heading = Heading(1, "gw", bus, "now")
    made = tuple(Piece(float(at), "<" if way == "<" else ">", hex=data.hex()) for at, (way, data) in enumerate(pieces))
    read = read_recording(b"".join([recording_line(heading), *map(recording_line, made)]))
    assert (read.heading, read.pieces) == (heading, made)
    assert [piece.data for piece in read.pieces] == [data for _, data in pieces]


def test_a_last_line_without_end_and_empty_lines_are_read() -> None:
    piece = b'{"t":1,"dir":"!","text":"plugged in"}'
    assert read_recording(FIRST + b"\n" + piece).pieces == (Piece(1.0, "!", text="plugged in"),)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "line 1: not the heading"),
        (b"\n", "line 1: not the heading"),
        (b"[" * 5000, "line 1: not the heading"),
        (b"\xff\xfe", "line 1: not the heading"),
        (FIRST.replace(b"capture", b"catch"), "line 1: not the heading"),
        (FIRST.replace(b'"rtu"', b'"smoke"'), "line 1: not the heading"),
        (FIRST.replace(b":1,", b":2,"), "version 2 of the format"),
        (FIRST + b"{}", "line 2: not a piece"),
        (FIRST + b'{"t":1,"dir":">","hex":"0"}', "line 2: not a piece"),
        (FIRST + b'{"t":1,"dir":">","hex":"0G"}', "line 2: not a piece"),
        (FIRST + b'{"t":-1,"dir":">"}', "line 2: not a piece"),
        (FIRST + b'{"t":1e400,"dir":">"}', "line 2: not a piece"),
        (FIRST + b'{"t":1,"dir":"?"}', "line 2: not a piece"),
        (FIRST + b'{"t":1,"dir":">","what":1}', "line 2: not a piece"),
        (FIRST + b'{"t":2,"dir":">"}\n{"t":1,"dir":"<"}', "line 3: goes back in time"),
        (FIRST + b" " * (MAX_LINE_BYTES + 1) + b"1", "line 2: 8194 bytes"),
        (b" " * (MAX_RECORDING_BYTES + 1), "at most"),
    ],
)
def test_what_is_no_recording_is_said_with_its_line(data: bytes, why: str) -> None:
    with pytest.raises(RecordingError, match=why):
        read_recording(data)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with pytest.raises(RecordingError):
        read_recording(FIRST + b"x" + data)
