"""Frames of patrol wands: EB, command, length, data, sum of all before modulo 256; a lone AA wakes, and is sent back.

Source: github.com/FuzhouKaiHe/NetPatrolApp, app/src/main/java/com/khdz/patrol/netpatrolapp/Device/SendAndRcv.java.
"""

from msgspec import Struct

WAKE = 0xAA
_START = 0xEB


class Frame(Struct, frozen=True):
    """One frame, or the wake byte as a frame of command `WAKE` without data."""

    command: int
    data: bytes = b""


class WandFrames:
    """Cuts what a wand sends into frames; what is none is refused with a reason, and the next good one is found."""

    def __init__(self) -> None:
        self._kept = b""

    def reset(self) -> None:
        """Forget half a frame: what comes now begins anew."""
        self._kept = b""

    def feed(self, data: bytes) -> list[Frame | str]:
        """Take what came; return frames and, as text, why something was none, in their order."""
        left, found = self._kept + data, list[Frame | str]()
        at = skipped = 0
        while at < len(left):
            if left[at] == WAKE:
                found.append(Frame(WAKE))
                at += 1
            elif left[at] != _START:
                skipped += 1
                at += 1
            else:
                end = at + 4 + left[at + 2] if at + 2 < len(left) else len(left) + 1
                if end > len(left):
                    break
                if sum(left[at : end - 1]) & 0xFF == left[end - 1]:
                    found.append(Frame(left[at + 1], left[at + 3 : end - 1]))
                    at = end
                else:
                    # Its length may be what was damaged: a good frame may begin at any byte behind the first.
                    found.append("wrong sum")
                    at += 1
        self._kept = left[at:]
        if skipped:
            found.append(f"{skipped} bytes of no frame")
        return found


def write_frame(command: int, data: bytes = b"") -> bytes:
    """Write one frame; at most 255 bytes of data."""
    raw = bytes([_START, command, len(data)]) + data
    return raw + bytes([sum(raw) & 0xFF])
