"""Bytes to frames, as a grammar says; pure. However the bytes come, whole, one by one or many, the frames are the same.

What a frame is depends on the bytes alone, never on how they were cut. A frame that breaks (checksum, escape, end, too
long) is given up by the shortest amount: where frames have start bytes, the search goes on one byte behind its own,
so that a good frame inside the broken one is found. No more than one longest frame is kept.
"""

from typing import Protocol

from msgspec import Struct

from device_profiles.speech import checksums
from device_profiles.speech.layout import CountedFrame, DelimitedFrame, Escape, FixedFrame, Frame


class Framed(Struct, frozen=True):
    """A whole frame, escapes undone.

    Attributes:
        frame: with start and end bytes.
        body: without them, and without what stands behind the span of its checksum.
    """

    frame: bytes
    body: bytes


class Broken(Struct, frozen=True):
    """A frame that began and was not good."""

    why: str


class _Look(Struct, frozen=True):
    """What stands at a place of the buffer.

    Attributes:
        at: where a frame begins, or where to look next.
        end: where the frame ends; None: there is none (yet).
        is_open: only more bytes can tell.
        why: why something was given up, if that is worth telling.
    """

    at: int
    end: int | None = None
    is_open: bool = False
    why: str = ""


class _Finder(Protocol):
    """Finds the next frame of its kind."""

    def look(self, data: bytes, at: int) -> _Look:
        """Look from `at` on; nothing before it matters any more."""

    def content(self, raw: bytes) -> bytes | str:
        """Undo escapes; what is wrong where that cannot be."""

    def give_up(self, at: int, end: int) -> int:
        """Tell where to look after a frame from `at` to `end` was not good."""


class Deframer:
    """Cuts one stream into frames."""

    def __init__(self, frame: Frame) -> None:
        """Begin with nothing.

        Args:
            frame: of a checked profile.
        """
        self._finder = _finder(frame)
        self._checksum = frame.checksum
        self._start = len(bytes.fromhex(next(iter(frame.sizes)) if isinstance(frame, FixedFrame) else frame.start))
        self._end = len(bytes.fromhex(frame.end))
        self._rest = b""

    @property
    def is_open(self) -> bool:
        """Bytes wait for more, or a line that was too long for its end."""
        return bool(self._rest) or (isinstance(self._finder, _Lines) and self._finder.is_skipping)

    def feed(self, data: bytes) -> list[Framed | Broken]:
        """Take bytes, give what they complete."""
        return self._cut(self._rest + data, 0)

    def give_up(self) -> list[Framed | Broken]:
        """Give up the frame that waits for its end, as nothing came for long; a good one inside it is found."""
        if not self.is_open:
            return []
        if isinstance(self._finder, _Lines):
            self._rest, self._finder.is_skipping = b"", False
            return [Broken("it was never ended")]
        found: list[Framed | Broken] = [Broken("it was never ended")]
        while self._rest:
            found += self._cut(self._rest, 1)
        return found

    def _cut(self, data: bytes, at: int) -> list[Framed | Broken]:
        found: list[Framed | Broken] = []
        finder = self._finder
        while True:
            look = finder.look(data, at)
            if look.why:
                found.append(Broken(look.why))
            if look.is_open:
                self._rest = data[look.at :]
                return found
            if look.end is None:
                at = look.at
                continue
            made = self._made(data[look.at : look.end])
            found.append(made)
            at = look.end if isinstance(made, Framed) else finder.give_up(look.at, look.end)

    def _made(self, raw: bytes) -> Framed | Broken:
        frame = self._finder.content(raw)
        if isinstance(frame, str):
            return Broken(frame)
        end = len(frame) - self._end
        if self._checksum is not None:
            if why := checksums.check(self._checksum, frame):
                return Broken(why)
            if self._checksum.at >= self._checksum.end:
                last = self._checksum.end
                end = min(end, last if last >= 0 else len(frame) + last)
        return Framed(frame, frame[self._start : end])


class _Lines:
    """From the end of the last frame to the next end bytes.

    Attributes:
        is_skipping: a line was too long; all is left out to its end.
    """

    def __init__(self, frame: DelimitedFrame) -> None:
        self._end = bytes.fromhex(frame.end)
        self._trim = bytes.fromhex(frame.trim)
        self._escape = _unescaper(frame.escape)
        self._most = frame.max_bytes
        self.is_skipping = False

    def look(self, data: bytes, at: int) -> _Look:
        end = data.find(self._end, at)
        if self.is_skipping:
            if end < 0:
                return _Look(max(at, len(data) - len(self._end) + 1), is_open=True)
            self.is_skipping = False
            return _Look(end + len(self._end))
        behind = end + len(self._end)
        if end < 0 or behind - at > self._most:
            if len(data) - at < self._most:
                return _Look(at, is_open=True)
            self.is_skipping = True
            return _Look(at, why=f"it is longer than {self._most} bytes")
        if not data[at:end].strip(self._trim):
            return _Look(behind)
        return _Look(at, behind)

    def content(self, raw: bytes) -> bytes | str:
        inside = self._escape(raw[: -len(self._end)].strip(self._trim))
        return inside if isinstance(inside, str) else inside + self._end

    def give_up(self, at: int, end: int) -> int:  # noqa: ARG002 - the next frame cannot begin before this one's end
        return end


class _Delimited:
    """From start bytes to end bytes, which never stand inside: a second start is where the frame really begins."""

    def __init__(self, frame: DelimitedFrame) -> None:
        self._start, self._end = bytes.fromhex(frame.start), bytes.fromhex(frame.end)
        self._trim = bytes.fromhex(frame.trim)
        self._escape = _unescaper(frame.escape)
        self._most = frame.max_bytes

    def look(self, data: bytes, at: int) -> _Look:
        begin = data.find(self._start, at)
        if begin < 0:
            return _Look(max(at, len(data) - len(self._start) + 1), is_open=True)
        inside = begin + len(self._start)
        end = data.find(self._end, inside)
        behind = end + len(self._end)
        if end < 0 or behind - begin > self._most:
            if len(data) - begin < self._most:
                return _Look(begin, is_open=True)
            return _Look(begin + 1, why=f"it is longer than {self._most} bytes")
        if end == inside:  # nothing between: where start and end are the same, the second may begin a frame
            return _Look(begin + 1)
        if self._start != self._end and (again := data.find(self._start, begin + 1, end)) >= 0:
            return _Look(again, why="another begins before it ends")
        return _Look(begin, behind)

    def content(self, raw: bytes) -> bytes | str:
        inside = self._escape(raw[len(self._start) : -len(self._end)].strip(self._trim))
        return inside if isinstance(inside, str) else self._start + inside + self._end

    def give_up(self, at: int, end: int) -> int:  # noqa: ARG002 - the shortest amount
        return at + 1


class _Counted:
    """Start bytes and a length."""

    def __init__(self, frame: CountedFrame) -> None:
        self._start, self._end = bytes.fromhex(frame.start), bytes.fromhex(frame.end)
        self._frame = frame
        self._head = max(frame.at + frame.size, len(self._start))
        self._least = self._head + len(self._end)

    def look(self, data: bytes, at: int) -> _Look:
        begin = data.find(self._start, at)
        if begin < 0:
            return _Look(max(at, len(data) - len(self._start) + 1), is_open=True)
        frame = self._frame
        if len(data) - begin < self._head:
            return _Look(begin, is_open=True)
        number = data[begin + frame.at : begin + frame.at + frame.size]
        length = int.from_bytes(number, "big" if frame.order.value == "big" else "little") + frame.adds
        if not self._least <= length <= frame.max_bytes:
            return _Look(begin + 1, why=f"a length of {length} bytes cannot be")
        if len(data) - begin < length:
            return _Look(begin, is_open=True)
        return _Look(begin, begin + length)

    def content(self, raw: bytes) -> bytes | str:
        return raw if raw.endswith(self._end) else f"it does not end in {self._end.hex(' ')}"

    def give_up(self, at: int, end: int) -> int:  # noqa: ARG002
        return at + 1


class _Fixed:
    """A length for each beginning; all beginnings are of one length."""

    def __init__(self, frame: FixedFrame) -> None:
        self._sizes = {bytes.fromhex(start): size for start, size in frame.sizes.items()}
        self._width = max(len(start) for start in self._sizes)
        self._end = bytes.fromhex(frame.end)

    def look(self, data: bytes, at: int) -> _Look:
        places = [place for start in self._sizes if (place := data.find(start, at)) >= 0]
        if not places:
            return _Look(max(at, len(data) - self._width + 1), is_open=True)
        begin = min(places)
        end = begin + self._sizes[data[begin : begin + self._width]]
        return _Look(begin, end) if end <= len(data) else _Look(begin, is_open=True)

    def content(self, raw: bytes) -> bytes | str:
        return raw if raw.endswith(self._end) else f"it does not end in {self._end.hex(' ')}"

    def give_up(self, at: int, end: int) -> int:  # noqa: ARG002
        return at + 1


class _Unescaper:
    """Undoes escapes."""

    def __init__(self, escape: Escape) -> None:
        self._byte = bytes.fromhex(escape.byte)
        self._pairs = {bytes.fromhex(code): bytes.fromhex(meant) for code, meant in escape.pairs.items()}

    def __call__(self, data: bytes) -> bytes | str:
        if self._byte not in data:
            return data
        first, *others = data.split(self._byte)
        parts = [first]
        for part in others:
            if part[:1] not in self._pairs:
                return f"{(self._byte + part[:1]).hex(' ')} is no escape"
            parts += (self._pairs[part[:1]], part[1:])
        return b"".join(parts)


def _unescaper(escape: Escape | None) -> "_Unescaper | _Plain":
    return _Plain() if escape is None else _Unescaper(escape)


class _Plain:
    """There are no escapes."""

    def __call__(self, data: bytes) -> bytes | str:
        return data


def _finder(frame: Frame) -> _Finder:
    if isinstance(frame, CountedFrame):
        return _Counted(frame)
    if isinstance(frame, FixedFrame):
        return _Fixed(frame)
    return _Delimited(frame) if frame.start else _Lines(frame)
