"""Simulated vehicle terminals on JT/T 808: register, authenticate, report, and keep what got no answer. Pure.

Written from the standard's tables alone, sharing nothing with what reads it at the gateway. A terminal drives around
the place it began at; what it would have reported while it had no connection it reports in batches when it has one.

Source: JT/T 808-2013 and -2019, chapters 4 and 8.
"""

import math
import random
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from contract.telemetry import Value
from device_profiles.site import PlacedDevice
from simulators.errors import SimulatorError

REPORT_S = 10.0
HEARTBEAT_S = 60.0
REPEAT_S = 15.0
"""A report that got no answer in so long is said again, in a batch."""
MAX_KEPT = 1000
"""The oldest report is lost when there are more."""
_BATCH = 5
_MAX_HEARD = 4096
_RADIUS_DEG = 0.02
_ROUND_S = 1800.0

ALARMS = {
    "button": 0, "overspeed": 1, "fatigue": 2, "power-lost": 8, "stolen": 26, "illegal-ignition": 27,
    "illegal-movement": 28, "collision": 29, "rollover": 30, "illegal-door": 31,
}  # fmt: skip
"""What can be pressed or set, and its bit of the alarm word."""
_CLEARED_BY_ANSWER = (0, 3, 20, 21, 22, 27, 28, 31)


class Jt808Talker:
    """One terminal.

    Attributes:
        kept: reports (number and body) that got no answer yet.
        answered: how many did.
        lost: what it had no room for.
        code: its authentication code; None until it was given one.
        report_s: how often it reports.
    """

    def __init__(
        self, phone: str, *, is_2019: bool = False, code: str | None = None, seed: int = 0, wall_us: Callable[[], int]
    ) -> None:
        """Make a terminal; the same seed drives the same way."""
        chance = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        self._digits, self._is_2019, self._wall_us = phone or "13900000000", is_2019, wall_us
        self._centre = (31.0 + chance.random() / 2, 121.0 + chance.random() / 2)
        self._phase, self._fuel = chance.random(), 40 + 20 * chance.random()
        self._held: dict[str, float] = {}
        self._acc, self._word, self._serial = True, 0, 0
        self._is_on, self._heard = False, b""
        self._said: dict[int, tuple[float, list[int]]] = {}
        self._number = 0
        self._next_report: float | None = None
        self._next_beat = math.inf
        self.kept: dict[int, bytes] = {}
        self.answered = self.lost = 0
        self.code = code
        self.report_s = REPORT_S

    def open(self, now: float) -> bytes:
        """Begin on a new connection: authenticate, or register first."""
        self._heard, self._is_on = b"", False
        self._said.clear()
        self._next_beat = now + HEARTBEAT_S
        if self._next_report is None:
            self._next_report = now
        self._catch_up(now)
        return self._authenticate() if self.code is not None else self._register()

    def hear(self, data: bytes, now: float) -> bytes:
        """Take answers; what they make it say."""
        self._heard = (self._heard + data)[-_MAX_HEARD:]
        *frames, self._heard = self._heard.split(b"\x7e")
        return b"".join(self._obey(frame, now) for frame in frames if frame)

    def speak(self, now: float) -> bytes:
        """Report, repeat, live."""
        if not self._is_on:
            return b""
        said = b""
        if self._next_report is not None and now >= self._next_report:
            self._next_report = now + self.report_s
            said += self._report(self._location(0.0), now)
        said += self._repeat(now)
        if now >= self._next_beat and not said:
            said = self._frame(0x0002)
        if said:
            self._next_beat = now + HEARTBEAT_S
        return said

    def next_at(self) -> float | None:
        """Tell when it wants to speak; not before it was let in."""
        if not self._is_on or self._next_report is None:
            return None
        repeats = (at + REPEAT_S for at, _ in self._said.values())
        return min(self._next_report, self._next_beat, *repeats)

    def press(self, point: str, now: float) -> bytes:
        """Raise an alarm and report it at once: see `ALARMS`.

        Raises:
            SimulatorError: it has no such alarm.
        """
        return self.set(point, value=True, now=now)

    def set(self, key: str, value: Value, now: float) -> bytes:
        """Begin or end an alarm, switch the ignition (`acc`), or hold a number (`latitude`, `vehicle_speed`, ...).

        Raises:
            SimulatorError: it has no such thing, or not such a value.
        """
        if key in ALARMS and isinstance(value, bool):
            bit = 1 << ALARMS[key]
            self._word = self._word | bit if value else self._word & ~bit
        elif key == "acc" and isinstance(value, bool):
            self._acc = value
        elif key in ("latitude", "longitude", "altitude", "vehicle_speed", "course", "fuel") and not isinstance(
            value, str
        ):
            self._held[key] = float(value)
        else:
            known = ", ".join([*ALARMS, "acc", "latitude", "longitude", "altitude", "vehicle_speed", "course", "fuel"])
            raise SimulatorError(f"a terminal has no {key} that could be {value!r}: it has {known}")
        return self._report(self._location(0.0), now) if self._is_on else b""

    def _obey(self, frame: bytes, now: float) -> bytes:
        raw = frame.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
        head = 17 if self._is_2019 else 12
        check = 0
        for byte in raw:
            check ^= byte
        if check or len(raw) <= head:
            return b""
        body = raw[head:-1]
        if raw[:2] == b"\x81\x00" and len(body) > 2 and body[2] == 0:  # noqa: PLR2004 - serial and result
            self.code = body[3:].decode("ascii", "replace")
            return self._authenticate()
        if raw[:2] == b"\x80\x01" and len(body) == 5:  # noqa: PLR2004 - serial, message and result
            return self._answered(int.from_bytes(body[:2], "big"), body[2:4], body[4], now)
        return b""

    def _answered(self, serial: int, about: bytes, result: int, now: float) -> bytes:
        if about == b"\x01\x02":
            self._is_on = result == 0
            return b"" if result else self._batches(now)
        _, numbers = self._said.pop(serial, (0.0, []))
        if result == 0:
            for number in numbers:
                self.answered += self.kept.pop(number, None) is not None
            for bit in _CLEARED_BY_ANSWER if numbers else ():
                self._word &= ~(1 << bit)
        return b""

    def _catch_up(self, now: float) -> None:
        """Keep what would have been said since the last report."""
        while self._next_report is not None and self._next_report < now:
            self._keep(self._location(self._next_report - now))
            self._next_report += self.report_s

    def _keep(self, body: bytes) -> int:
        self._number += 1
        self.kept[self._number] = body
        if len(self.kept) > MAX_KEPT:
            del self.kept[next(iter(self.kept))]
            self.lost += 1
        return self._number

    def _report(self, body: bytes, now: float) -> bytes:
        self._said[self._serial] = (now, [self._keep(body)])
        return self._frame(0x0200, body)

    def _repeat(self, now: float) -> bytes:
        late = [serial for serial, (at, _) in self._said.items() if now >= at + REPEAT_S]
        for serial in late:
            del self._said[serial]
        return self._batches(now) if late else b""

    def _batches(self, now: float) -> bytes:
        """Say, a few at a time, all that got no answer and is not just being said."""
        under_way = {number for _, numbers in self._said.values() for number in numbers}
        waiting = deque(number for number in self.kept if number not in under_way)
        said = b""
        while waiting:
            some = [waiting.popleft() for _ in range(min(_BATCH, len(waiting)))]
            items = b"".join(len(self.kept[one]).to_bytes(2, "big") + self.kept[one] for one in some)
            self._said[self._serial] = (now, some)
            said += self._frame(0x0704, len(some).to_bytes(2, "big") + b"\x01" + items)
        return said

    def _location(self, ago_s: float) -> bytes:
        """Write the body of a report of now, or of so many seconds ago (negative)."""
        at = datetime.fromtimestamp(self._wall_us() / 1e6 + ago_s, UTC) + timedelta(hours=8)
        turn = (self._phase + at.timestamp() / _ROUND_S) % 1.0 * math.tau
        place = {
            "latitude": self._centre[0] + _RADIUS_DEG * math.sin(turn),
            "longitude": self._centre[1] + _RADIUS_DEG * math.cos(turn),
            "altitude": 12.0,
            "vehicle_speed": 38.0 + 8.0 * math.sin(7 * turn) if self._acc else 0.0,
            "course": math.degrees(turn) % 360,
            "fuel": self._fuel,
        } | self._held
        south, west = place["latitude"] < 0, place["longitude"] < 0
        status = self._acc | 2 | south << 2 | west << 3 | 1 << 18
        numbers = (
            (self._word, 4), (status, 4), (round(abs(place["latitude"]) * 1e6), 4),
            (round(abs(place["longitude"]) * 1e6), 4), (round(place["altitude"]) & 0xFFFF, 2),
            (round(place["vehicle_speed"] * 10), 2), (round(place["course"]) % 360, 2),
        )  # fmt: skip
        fixed = b"".join(number.to_bytes(size, "big") for number, size in numbers)
        driven = round(at.timestamp() / 3600 * 38 * 10) % 0xFFFF_FFFF
        extras = b"\x01\x04" + driven.to_bytes(4, "big") + b"\x02\x02" + round(place["fuel"] * 10).to_bytes(2, "big")
        return fixed + bytes.fromhex(at.strftime("%y%m%d%H%M%S")) + extras + b"\x30\x01\x19\x31\x01\x0b"

    def _register(self) -> bytes:
        sizes = (11, 30, 30) if self._is_2019 else (5, 20, 7)
        words = (b"70000", b"SIM-808", self._digits[-7:].encode())
        fields = b"".join(word.ljust(size, b"\0") for word, size in zip(words, sizes, strict=True))
        return self._frame(0x0100, bytes(4) + fields + b"\x02" + "沪A00000".encode("gbk"))

    def _authenticate(self) -> bytes:
        code = (self.code or "").encode()
        if self._is_2019:
            return self._frame(0x0102, bytes([len(code)]) + code + b"0" * 15 + bytes(20))
        return self._frame(0x0102, code)

    def _frame(self, message: int, body: bytes = b"") -> bytes:
        attributes = len(body) | (0x4000 if self._is_2019 else 0)
        phone = bytes.fromhex(self._digits.zfill(20 if self._is_2019 else 12))
        version = b"\x01" if self._is_2019 else b""
        raw = message.to_bytes(2, "big") + attributes.to_bytes(2, "big") + version + phone
        raw += self._serial.to_bytes(2, "big") + body
        self._serial = (self._serial + 1) % 0x1_0000
        check = 0
        for byte in raw:
            check ^= byte
        sent = {0x7D: b"\x7d\x01", 0x7E: b"\x7d\x02"}
        return b"\x7e" + b"".join(sent.get(byte, bytes([byte])) for byte in raw + bytes([check])) + b"\x7e"


def make_talker(placed: PlacedDevice, *, secret: bytes, seed: int, wall_us: Callable[[], int]) -> Jt808Talker:
    """Make the terminal of one device: its address is its number, its key its code; a 2019 profile speaks so."""
    is_2019 = placed.profile.profile.endswith("2019")
    code = secret.decode("ascii", "replace") if secret else None
    return Jt808Talker(placed.device.address, is_2019=is_2019, code=code, seed=seed, wall_us=wall_us)
