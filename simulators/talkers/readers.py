"""Simulated readers of tags and cards. Pure; bytes put together by hand.

A tag is heard while its point has a number, its RSSI: `set("tag-EAC653D3AA8C", -60.0)`; `false` takes it away.
`set("tag-EAC653D3AA8C.moving", true)` moves it, `.battery` is its voltage, `.low` and `.off` what a wristband says of
itself; `press("tag-EAC653D3AA8C")` presses its button once.
"""

import re
from abc import ABC, abstractmethod

from msgspec import Struct

from contract.telemetry import Value
from simulators.talkers.lines import LineTalker, Parts

_POINT = re.compile(r"tag-([0-9A-Za-z]{6,12})(?:\.(moving|battery|low|off))?")
MAX_TAGS = 10_000
"""Tags that one simulated reader hears at once."""


class _Tag(Struct):
    rssi: float
    moving: bool = False
    battery: float = 3.0
    low: bool = False
    off: bool = False


class TagReaderTalker(LineTalker, ABC):
    """A reader that reports every tag near it at each of its turns."""

    period_s = 2.0

    def __init__(self, parts: Parts) -> None:
        """Make a reader without tags."""
        super().__init__(parts)
        self._tags: dict[str, _Tag] = {}

    def set(self, key: str, value: Value, now: float) -> bytes:
        """Bring, take away or change a tag; it is said at the next turn.

        Raises:
            SimulatorError: no such tag is here, or it has no such value.
        """
        found = _POINT.fullmatch(key)
        if found is None:
            return super().set(key, value, now)
        name, what = found[1].upper(), found[2]
        tag = self._tags.get(name)
        if what is None and value is False:
            self._tags.pop(name, None)
        elif what is None and isinstance(value, float) and (tag or len(self._tags) < MAX_TAGS):
            self._tags[name] = _Tag(value) if tag is None else tag
            self._tags[name].rssi = value
        elif tag is not None and isinstance(value, float if what == "battery" else bool):
            setattr(tag, what, value)
        else:
            return super().set(key, value, now)
        return b""

    def press(self, point: str, now: float) -> bytes:
        """Press the button of a tag once: it is said at once.

        Raises:
            SimulatorError: no such tag is here.
        """
        found = _POINT.fullmatch(point)
        name = found[1].upper() if found else ""
        if name not in self._tags:
            return super().press(point, now)
        return self.line(name, self._tags[name], is_pressed=True)

    def say(self, now: float) -> bytes:  # noqa: ARG002
        """Say every tag near it."""
        return b"".join(self.line(name, tag, is_pressed=False) for name, tag in self._tags.items())

    @abstractmethod
    def line(self, name: str, tag: _Tag, *, is_pressed: bool) -> bytes:
        """Write one report of one tag."""


class IgsTalker(TagReaderTalker):
    """Ingics iGS with iBS03G tags (igsparser/msd.py: code 0xBC83, subtype 0x16)."""

    def line(self, name: str, tag: _Tag, *, is_pressed: bool) -> bytes:
        """One $GPRP line."""
        events = int(is_pressed) + 2 * int(tag.moving)
        hundredths = round(100 * tag.battery)
        payload = f"02010612FF0D0083BC{hundredths % 256:02X}{hundredths // 256:02X}{events:02X}AAAAFFFF000016130000"
        return f"$GPRP,{name:0>12},{self._mac},{tag.rssi:.0f},{payload}\r\n".encode("ascii")

    def say(self, now: float) -> bytes:
        """Its sign of life, and every tag near it."""
        return f"$HBRP,{self._mac},{self._mac},-127,00000000\r\n".encode("ascii") + super().say(now)

    @property
    def _mac(self) -> str:
        return self.device.address or "CCB97E7361A4"


class WristbandTalker(TagReaderTalker):
    """Scantech RFT500 (user manual, page 5); the tag's RSSI is 0 to 99."""

    def line(self, name: str, tag: _Tag, *, is_pressed: bool) -> bytes:
        """One packet, with temperature where it comes by itself."""
        status = int(is_pressed) + 2 * int(tag.low) + 4 * int(tag.off)
        temperature = "" if is_pressed else "322"
        reader = self.device.address or "000001"
        return f"${reader:0>6}00{name[-6:]:0>6}{status}{temperature}{tag.rssi:02.0f}\r\n".encode("ascii")


class CardReaderTalker(LineTalker):
    """RDM6300: a card held before it is said again and again."""

    REPEATS = 5

    def press(self, point: str, now: float) -> bytes:
        """Hold a card before it, as `tag-010063E9AE`.

        Raises:
            SimulatorError: that is no card's number.
        """
        card = point.removeprefix("tag-").upper()
        if not re.fullmatch(r"[0-9A-F]{10}", card):
            return super().press(point, now)
        total = 0
        for at in range(0, 10, 2):
            total ^= int(card[at : at + 2], 16)
        return f"\x02{card}{total:02X}\x03".encode("ascii") * self.REPEATS
