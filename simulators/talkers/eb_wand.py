"""Simulated patrol wands with EB frames: they sleep, are woken, answer, and forget what they are told to. Pure.

Written from the command list alone, sharing nothing with what reads it at the gateway. Where a real wand takes some
40 s to clear its memory this one takes `clear_s`.

Source: github.com/FuzhouKaiHe/NetPatrolApp, app/src/main/java/com/khdz/patrol/netpatrolapp/Device/SendAndRcv.java.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from contract.telemetry import Value
from device_profiles.site import PlacedDevice
from simulators.errors import SimulatorError

AWAKE_S = 2.0
"""It sleeps again so long after the last command."""
PACE_S = 60.0
"""How long a patrol walks from one point to the next."""
_POINTS = 6
_HEX_CARD = 10
_MEMORY = 65_535
_ZONE = timedelta(hours=8)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wand knows no time zone


class EbWandTalker:
    """One wand, in its cradle or on patrol.

    Attributes:
        records: time and card of each visit it holds, as it answers them.
        hits: the time of each hit.
        is_docked: it is in its cradle; out of it, it walks its tour, one point every `PACE_S`.
        clear_s: how long it takes to clear its memory, mute meanwhile.
    """

    def __init__(self, machine: str, *, seed: int = 0, wall_us: Callable[[], int]) -> None:
        """Make a wand; `machine` is ten hexadecimal digits, empty for one of the seed's."""
        chance = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        drawn = f"{chance.getrandbits(40):010X}"
        self._machine = bytes.fromhex(machine or drawn)
        self._tour = [chance.getrandbits(40).to_bytes(5, "big") for _ in range(_POINTS)]
        self._wall_us, self._ahead = wall_us, _ZONE
        self._awake_until = self._mute_until = -1.0
        self._next_visit: float | None = None
        self._clears = False
        self._visits = 0
        self._heard = b""
        self.records: list[bytes] = []
        self.hits: list[bytes] = []
        self.is_docked = True
        self.clear_s = 2.0

    def open(self, now: float) -> bytes:
        """Be on a new line, asleep."""
        del now
        self._heard, self._awake_until = b"", -1.0
        return b""

    def hear(self, data: bytes, now: float) -> bytes:
        """Take commands and answer them, while it is awake; wake at AA."""
        if not self.is_docked or now < self._mute_until:
            return b""
        self._heard += data
        said = b""
        while self._heard:
            if self._heard[0] == 0xAA:  # noqa: PLR2004 - the wake byte
                self._awake_until = now + AWAKE_S
                self._heard, said = self._heard[1:], said + b"\xaa"
            elif now > self._awake_until or self._heard[0] != 0xEB:  # noqa: PLR2004 - the start of a frame
                self._heard = self._heard[1:]
            elif len(self._heard) < 4 or len(self._heard) < 4 + self._heard[2]:  # noqa: PLR2004 - an empty frame
                break
            else:
                size = 4 + self._heard[2]
                frame, self._heard = self._heard[:size], self._heard[size:]
                said += self._obey(frame, now)
        return said

    def speak(self, now: float) -> bytes:
        """Say that its memory is clear; out of the cradle walk on."""
        if self._clears and now >= self._mute_until:
            self._clears = False
            self.records.clear()
            self.hits.clear()
            self._awake_until = now + AWAKE_S
            return self._frame(0x71) if self.is_docked else b""
        while self._next_visit is not None and now >= self._next_visit:
            self._visit(self._tour[self._visits % _POINTS])
            self._next_visit += PACE_S
        return b""

    def next_at(self) -> float | None:
        """Tell when its memory is clear, or the next point of its tour is reached."""
        return self._mute_until if self._clears else self._next_visit

    def press(self, point: str, now: float) -> bytes:
        """Read the next card of its tour (`card`), or be hit (`hit`).

        Raises:
            SimulatorError: a wand has no such thing.
        """
        del now
        if point == "card":
            self._visit(self._tour[self._visits % _POINTS])
        elif point == "hit":
            self.hits.append(self._time())
        else:
            raise SimulatorError(f"a wand has no {point} to press: it has card and hit")
        return b""

    def set(self, key: str, value: Value, now: float) -> bytes:
        """Put it in or pull it out (`docked`), read a certain `card`, put its clock ahead (`clock_error`, seconds).

        Raises:
            SimulatorError: it has no such thing, or not such a value.
        """
        if key == "docked" and isinstance(value, bool):
            self.is_docked = value
            self._awake_until, self._heard = -1.0, b""
            self._next_visit = None if value else now + PACE_S
        elif key == "card" and isinstance(value, str) and len(value) == _HEX_CARD:
            try:
                self._visit(bytes.fromhex(value))
            except ValueError as error:
                raise SimulatorError(f"a card is ten hexadecimal digits, not {value!r}") from error
        elif key == "clock_error" and isinstance(value, int | float):
            self._ahead = _ZONE + timedelta(seconds=float(value))
        else:
            raise SimulatorError(
                f"a wand has no {key} that could be {value!r}: docked, card and clock_error can be set"
            )
        return b""

    def _visit(self, card: bytes) -> None:
        self._visits += 1
        if len(self.records) < _MEMORY:
            self.records.append(self._time() + card)

    def _time(self) -> bytes:
        moment = _EPOCH + timedelta(microseconds=self._wall_us()) + self._ahead
        return bytes((moment.year % 100, moment.month, moment.day, moment.hour, moment.minute, moment.second))

    def _obey(self, frame: bytes, now: float) -> bytes:
        command, data = frame[1], frame[3:-1]
        if sum(frame[:-1]) % 256 != frame[-1]:
            return b""
        self._awake_until = now + AWAKE_S
        if command == 0x70:  # noqa: PLR2004 - clear
            self._clears, self._mute_until = True, now + self.clear_s
            return b""
        if command == 0xA3 and not self._set_clock(data):  # noqa: PLR2004 - set the time
            return b""
        answer = self._answer(command, data)
        return b"" if answer is None else self._frame(command + 1, answer)

    def _answer(self, command: int, data: bytes) -> bytes | None:
        moment = _EPOCH + timedelta(microseconds=self._wall_us()) + self._ahead
        answers: dict[int, Callable[[], bytes | None]] = {
            0x31: lambda: self._time() + bytes((moment.isoweekday() % 7,)),
            0x33: lambda: self._machine,
            0x35: lambda: len(self.records).to_bytes(2, "big"),
            0x37: lambda: _nth(self.records, data),
            0x3C: lambda: len(self.hits).to_bytes(2, "big"),
            0x39: lambda: _nth(self.hits, data),
            0xA3: lambda: b"",
        }
        return answers[command]() if command in answers else None

    def _set_clock(self, data: bytes) -> bool:
        try:
            year, month, day, hour, minute, second = data
            told = datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 - a wand knows no time zone
        except ValueError:
            return False
        self._ahead = told - _EPOCH - timedelta(microseconds=self._wall_us())
        return True

    def _frame(self, command: int, data: bytes = b"") -> bytes:
        body = b"\xeb%c%c%b" % (command, len(data), data)
        return body + (sum(body) % 256).to_bytes(1, "big")


def make_talker(placed: PlacedDevice, *, secret: bytes, seed: int, wall_us: Callable[[], int]) -> EbWandTalker:
    """Make the wand of one device; its address is the machine id."""
    del secret
    return EbWandTalker(placed.device.address, seed=seed, wall_us=wall_us)


def _nth(records: list[bytes], data: bytes) -> bytes | None:
    index = data[0] << 8 | data[1] if len(data) > 1 else -1
    return records[index] if 0 <= index < len(records) else None
