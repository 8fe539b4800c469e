"""Simulated alarm hosts on SIA DC-09: Contact ID, SIA-DCS and Hengbo's way, in clear or with AES. Pure.

Written from the standard's text alone and sharing nothing with what reads it at the gateway: a CRC by bits, texts put
together by hand. A host says one thing at a time and repeats it until it is acknowledged.

Source: ANSI/SIA DC-09-2013, 5.4 and 5.5; captainwong/ademco_hb docs/README.md.
"""

import random
import re
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from contract.telemetry import Value
from device_profiles.site import PlacedDevice
from simulators.errors import SimulatorError

REPLY_S = 5.0
"""How long a host waits for an answer before it says the same again (jvanovost/dc09_spt)."""
MAX_QUEUE = 1000
"""A host's own memory; the oldest is lost when it is full (EN 50131 grade 3 asks for 1000)."""

_POINT = re.compile(r"(?:(host)|(?:zone|user)-(\d{1,3}))(?:\.e(\d{3}))?")
_WAYS = {"hengbo": "HENG-BO", "ajax": "SIA-DCS"}
# What hosts say that they are when they connect (docs/README.md, 3): the first of their models.
_TYPES = {"hb-2050": "797", "hb-4040": "717", "hb-5050": "717", "hb-bjq560": "727", "hb-g1000": "757", "hb-g250": "707"}
_SIA = {"120": "PA", "121": "HA", "110": "FA", "130": "BA", "137": "TA", "301": "AT", "302": "YT", "602": "RP"}
_SIA_OVER = {"120": "PR", "121": "HR", "110": "FH", "130": "BR", "137": "TR", "301": "AR", "302": "YR", "602": "RP"}
_ARMING = {"armed": "3400", "disarmed": "1400", "stay": "3441"}
_PAD = "abcdefghijklmnopqrstuvwxyz0123456789"
_REPLY = re.compile(rb'\n[0-9A-F]{8}"(\*?)(ACK|NAK|DUH)"(\d{4})[^\[]*\[([^\r]*)\r')
_CLOCK = re.compile(r"_(\d\d):(\d\d):(\d\d),(\d\d)-(\d\d)-(\d{4})")
_LINE = "L0"
_MAX_HEARD = 4096


class Dc09Talker:
    """One alarm host.

    Attributes:
        acknowledged, refused, naks: answers it got: ACK, DUH, NAK.
        lost: what its memory had no room for.
    """

    def __init__(
        self, account: str, *, way: str = "ADM-CID", secret: bytes = b"", null_s: float = 60.0,
        host_type: str = "", seed: int = 0, wall_us: Callable[[], int],
    ) -> None:  # fmt: skip
        """Make a host.

        Args:
            account: 3 to 16 hexadecimal digits.
            way: the id of its events: ADM-CID, SIA-DCS or HENG-BO.
            secret: 16, 24 or 32 characters, or hex: and digits; empty speaks in clear.
            null_s: how often it tests the link.
            host_type: the event by which it says what it is on each new connection (Hengbo); empty says nothing.
            seed: the same one makes the same host.
            wall_us: its clock, microseconds UTC.
        """
        self._account, self._way, self._null_s, self._wall_us = account, way, null_s, wall_us
        self._host_type = host_type
        self._key = _key(secret)
        self._random = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        self._queue: deque[tuple[str, str, bytes]] = deque()
        self._under_way: tuple[str, bytes] | None = None
        self._sequence = 0
        self._offset_us = 0
        self._next_null: float | None = None
        self._deadline: float | None = None
        self._heard = b""
        self.acknowledged = self.refused = self.naks = self.lost = 0

    def open(self, now: float) -> bytes:
        """Begin on a new connection: what is under way is said again, else a link test."""
        self._heard = b""
        self._next_null = now + self._null_s
        if self._under_way is None and not self._queue:
            self._enqueue("NULL", "")
        if self._host_type:
            self._event("1", self._host_type, 0)
        return self._next(now, again=True)

    def hear(self, data: bytes, now: float) -> bytes:
        """Take answers: the next thing follows an ACK, the same again a NAK, with the clock set."""
        self._heard = (self._heard + data)[-_MAX_HEARD:]
        said = b""
        while match := _REPLY.search(self._heard):
            self._heard = self._heard[match.end() :]
            said += self._answered(match, now)
        return said

    def speak(self, now: float) -> bytes:
        """Repeat what got no answer in time; test the link when it is time."""
        if self._deadline is not None and now >= self._deadline:
            return self._next(now, again=True)
        if self._next_null is not None and now >= self._next_null:
            self._next_null = now + self._null_s
            if self._under_way is None and not self._queue:
                self._enqueue("NULL", "")
        return self._next(now)

    def next_at(self) -> float | None:
        """Tell when it wants to speak."""
        times = [at for at in (self._deadline, self._next_null) if at is not None]
        return min(times, default=None)

    def press(self, point: str, now: float) -> bytes:
        """Raise an alarm: `zone-007` is a panic there, `zone-007.e130` another event, `host` the host's own button.

        Raises:
            SimulatorError: it is no zone of a host.
        """
        zone, event = _zone(point)
        self._event("1", event, zone)
        return self._next(now)

    def set(self, key: str, value: Value, now: float) -> bytes:
        """Begin (true) or end (false) an event of a zone, arm (`arming`), or change the signal (`signal`, Hengbo).

        Raises:
            SimulatorError: it has no such thing, or not such a value.
        """
        if key == "arming" and value in _ARMING:
            self._event(_ARMING[str(value)][0], _ARMING[str(value)][1:], 0)
        elif key == "signal" and self._way == "HENG-BO" and isinstance(value, float | int) and 0 <= value < 100:  # noqa: PLR2004
            tens, ones = divmod(int(value), 10)
            self._event("1", "799", 0, extended=b"[\x00\x01" + bytes([tens << 4 | ones]) + b"]")
        elif isinstance(value, bool):
            zone, event = _zone(key)
            self._event("1" if value else "3", event, zone)
        else:
            raise SimulatorError(f"an alarm host has no {key} that could be {value!r}: zones take true and false")
        return self._next(now)

    def say(self, token: str, data: str, now: float, *, extended: bytes = b"") -> bytes:
        """Say anything: an id and what stands in its first brackets; `extended` follows with brackets of its own."""
        self._enqueue(token, data, extended)
        return self._next(now)

    def frame(self, token: str, sequence: str, data: str, *, extended: bytes = b"", stamp: str | None = None) -> bytes:
        """Write one frame.

        Args:
            token: id without star.
            sequence: four characters.
            data: of the first brackets.
            extended: further brackets.
            stamp: time with its "_"; None is now.
        """
        stamp = self._stamp() if stamp is None else stamp
        star, inside = "", data.encode() + b"]" + extended + stamp.encode()
        if self._key:
            room = 16 + -(len(inside) + 1) % 16
            pad = "".join(self._random.choice(_PAD) for _ in range(room))
            star, inside = "*", _encrypt(self._key, pad.encode() + b"|" + inside)
        return wrap(f'"{star}{token}"{sequence}{_LINE}#{self._account}['.encode() + inside)

    def _event(self, q: str, event: str, zone: int, *, extended: bytes = b"") -> None:
        if self._way == "SIA-DCS":
            words = _SIA if q == "1" else _SIA_OVER
            code = words.get(event)
            if event in ("400", "441"):
                code = "OP" if q == "1" else "CL" if event == "400" else "NL"
            if code is None:
                raise SimulatorError(f"this host has no word for event {event}; it knows {', '.join(sorted(words))}")
            self._enqueue("SIA-DCS", f"#{self._account}|Nri1/{code}{zone:03d}", extended)
        else:
            self._enqueue(self._way, f"#{self._account}|{q}{event} 00 {zone:03d}", extended)

    def _enqueue(self, token: str, data: str, extended: bytes = b"") -> None:
        if len(self._queue) >= MAX_QUEUE:
            self._queue.popleft()
            self.lost += 1
        self._queue.append((token, data, extended))

    def _next(self, now: float, *, again: bool = False) -> bytes:
        if self._under_way is None and self._queue:
            token, data, extended = self._queue.popleft()
            self._sequence = self._sequence % 9999 + 1
            sequence = f"{self._sequence:04d}"
            self._under_way = (sequence, self.frame(token, sequence, data, extended=extended))
            self._message = (token, data, extended)
            again = True
        if self._under_way is None or not again:
            return b""
        self._deadline = now + REPLY_S
        return self._under_way[1]

    def _answered(self, match: re.Match[bytes], now: float) -> bytes:
        _, word, sequence, inside = match.groups()
        if self._under_way is None:
            return b""
        if word == b"NAK":
            self.naks += 1
            self._set_clock(inside.decode("ascii", "replace"))
            self._under_way = (self._under_way[0], self._again())
            # Said again at once, but not for ever: a receiver that dislikes it anew must wait for the deadline.
            return self._next(now, again=self.naks % 3 != 0)
        if sequence.decode() != self._under_way[0]:
            return b""
        self.acknowledged += word == b"ACK"
        self.refused += word == b"DUH"
        self._under_way = self._deadline = None
        return self._next(now)

    def _again(self) -> bytes:
        token, data, extended = self._message
        return self.frame(token, f"{self._sequence:04d}", data, extended=extended)

    def _set_clock(self, inside: str) -> None:
        if match := _CLOCK.search(inside):
            hour, minute, second, month, day, year = (int(part) for part in match.groups())
            theirs = datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
            self._offset_us = int(theirs * 1e6) - self._wall_us()

    def _stamp(self) -> str:
        at_s = (self._wall_us() + self._offset_us) // 1_000_000
        moment = datetime.fromtimestamp(at_s, UTC)
        return f"_{moment:%H:%M:%S},{moment:%m-%d-%Y}"


def make_talker(placed: PlacedDevice, *, secret: bytes, seed: int, wall_us: Callable[[], int]) -> Dc09Talker:
    """Make the simulated host of a device; it tests its link three times within its supervision time.

    Raises:
        SimulatorError: its account is none, or its key.
    """
    account = placed.device.address or "1234"
    if not re.fullmatch(r"[0-9A-Fa-f]{3,16}", account):
        raise SimulatorError(f"{placed.device.id}: account {account!r} is not 3 to 16 hexadecimal digits")
    maker, _, model = placed.profile.profile.partition("/")
    return Dc09Talker(
        account.upper(),
        way=_WAYS.get(maker, "ADM-CID"),
        secret=secret,
        null_s=max(placed.profile.supervision_s / 3, 1.0),
        host_type=_TYPES.get(model, "") if maker == "hengbo" else "",
        seed=seed,
        wall_us=wall_us,
    )


def wrap(content: bytes) -> bytes:
    """Put LF, CRC, length and CR around a frame's content."""
    crc = 0
    for byte in content:
        crc ^= byte
        for _ in range(8):
            carry = crc & 1
            crc >>= 1
            if carry:
                crc ^= 0xA001
    return f"\n{crc:04X}0{len(content):03X}".encode() + content + b"\r"


def _zone(point: str) -> tuple[int, str]:
    match = _POINT.fullmatch(point)
    if match is None:
        raise SimulatorError(f"{point!r} is no point of an alarm host: host, zone-007, or zone-007.e130 for an event")
    return int(match[2] or 0), match[3] or "120"


def _key(secret: bytes) -> bytes:
    text = secret.decode("ascii", "replace").strip()
    try:
        key = bytes.fromhex(text[4:]) if text.lower().startswith("hex:") else text.encode()
    except ValueError as error:
        raise SimulatorError("the key after hex: is no hexadecimal number") from error
    if len(key) not in (0, 16, 24, 32):
        raise SimulatorError(f"a key has 16, 24 or 32 bytes; this one {len(key)}")
    return key


def _encrypt(key: bytes, text: bytes) -> bytes:
    # Read here, so that hosts in clear need no library for keys.
    library = "cryptography.hazmat.primitives.ciphers"
    try:
        make: Any = import_module(library).Cipher
        aes, cbc = import_module(f"{library}.algorithms").AES, import_module(f"{library}.modes").CBC
    except ModuleNotFoundError as error:
        raise SimulatorError("the library for keys is missing: pip install 'langyan[dc09]'") from error
    encryptor = make(aes(key), cbc(bytes(16))).encryptor()
    sealed: bytes = encryptor.update(text) + encryptor.finalize()
    return sealed.hex().upper().encode()
