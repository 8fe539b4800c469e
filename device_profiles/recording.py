"""What crossed a bus, with its timing, as one text file: a technician sends it, a developer plays it back. Pure.

One JSON object a line. The first says which bus it was; every other is a piece of what was sent (`>`), of what was
heard (`<`), or a remark (`!`).
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from contract.ids import Id
from device_profiles.faults import DeviceProfilesError
from device_profiles.site import ModbusBus

T = TypeVar("T", bound=Struct)

VERSION = 1
MAX_RECORDING_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 8192
# More than one port reads or writes at once.
MAX_PIECE_BYTES = 2048
MAX_SECONDS = 7 * 86_400.0


class RecordingError(DeviceProfilesError):
    """The file is no recording of a bus; says in which line."""

    hint = "Record it anew with `langyan edge capture`, or send the file unchanged (not through an editor or a chat)."


class Heading(Struct, frozen=True, forbid_unknown_fields=True):
    """Which bus it was.

    Attributes:
        langyan_capture: version of this format.
        gateway: id of the gateway.
        bus: as in the site file.
        at: wall time of the beginning, UTC, as ISO 8601.
    """

    langyan_capture: int
    gateway: Id
    bus: ModbusBus
    at: Annotated[str, Meta(max_length=40)]


class Piece(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one write or one read moved, or a remark.

    Attributes:
        t: seconds since the beginning.
        dir: `>` sent by the gateway, `<` heard by it, `!` a remark.
        hex: the bytes, without spaces.
        text: the remark.
    """

    t: Annotated[float, Meta(ge=0.0, le=MAX_SECONDS)]
    dir: Literal[">", "<", "!"]
    hex: Annotated[str, Meta(pattern="^([0-9a-f]{2})*$", max_length=2 * MAX_PIECE_BYTES)] = ""
    text: Annotated[str, Meta(max_length=500)] = ""

    @property
    def data(self) -> bytes:
        """The bytes."""
        return bytes.fromhex(self.hex)


class Recording(Struct, frozen=True):
    """A whole file; the pieces are in the order of their time."""

    heading: Heading
    pieces: tuple[Piece, ...]


def recording_line(part: Heading | Piece) -> bytes:
    """Write one line of a recording."""
    return msgspec.json.encode(part) + b"\n"


def read_recording(data: bytes) -> Recording:
    """Read a recording.

    Raises:
        RecordingError: it is none, or longer than 16 MiB; says which line and why.
    """
    if len(data) > MAX_RECORDING_BYTES:
        raise RecordingError(f"{len(data)} bytes; a recording has at most {MAX_RECORDING_BYTES}")
    lines = iter(enumerate(data.split(b"\n"), 1))
    heading = _read_line(next(lines), Heading)
    if heading.langyan_capture != VERSION:
        raise RecordingError(f"line 1: version {heading.langyan_capture} of the format; this reads {VERSION}")
    return Recording(heading, tuple(_in_order(_read_line(line, Piece) for line in lines if line[1].strip())))


def _in_order(pieces: Iterable[Piece]) -> Iterator[Piece]:
    before = 0.0
    for place, piece in enumerate(pieces, 2):
        if piece.t < before:
            raise RecordingError(f"line {place}: goes back in time, from {before} s to {piece.t} s")
        before = piece.t
        yield piece


def _read_line(numbered: tuple[int, bytes], kind: type[T]) -> T:
    number, line = numbered
    if len(line) > MAX_LINE_BYTES:
        raise RecordingError(f"line {number}: {len(line)} bytes; a line has at most {MAX_LINE_BYTES}")
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        what = "the heading of a recording" if kind is Heading else "a piece of a recording"
        raise RecordingError(f"line {number}: not {what}: {error}") from error
