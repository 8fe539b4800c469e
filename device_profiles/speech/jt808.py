"""JT/T 808: what vehicle terminals say, and what the platform answers. Pure.

A terminal connects, registers (0100) or authenticates (0102), and reports where it is (0200), what it kept during an
outage (0704) and that it lives (0002). A report is answered only when it is on the disk: one that was never answered
the terminal says again.

Who it is, is its number. A terminal with a key in the site file must authenticate with it; the others are given a
code on asking, as the standard has it, and are believed without one: a code that anybody is given protects nothing,
and no emergency may be lost over it.

Source: JT/T 808-2013 and -2019, chapter 8; results and fields as in github.com/SmallChi/JT808, src/JT808.Protocol.Test.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from contract.telemetry import Value
from device_profiles.model import Profile
from device_profiles.speech.jt808_alarms import AlarmMemory
from device_profiles.speech.jt808_frames import Frames, Header, Message, write_frame
from device_profiles.speech.jt808_location import Location, read_batch, read_location, read_registration
from device_profiles.speech.said import Heard, Moment, Said, Speaker

_GENERAL_ANSWER, _HEARTBEAT, _UNREGISTER = 0x0001, 0x0002, 0x0003
_REGISTER, _AUTHENTICATE, _LOCATION, _BATCH = 0x0100, 0x0102, 0x0200, 0x0704
_ANSWER, _REGISTER_ANSWER = 0x8001, 0x8100
_JOINED = frozenset({_LOCATION, _BATCH})
"""Messages that are read when they come split; what else is split (pictures, sound) is not for us."""

# Results of the platform's general answer, and of the answer to a registration.
_DONE, _FAILED, _WRONG, _UNSUPPORTED = range(4)
_TERMINAL_TAKEN, _NO_SUCH_TERMINAL = 3, 4

_MAX_PACKETS = 16
_MAX_JOINS = 2
_JOIN_S = 30.0
_MAX_PENDING = 64
# What a terminal may have under way when a connection is lost: some batches.
_MAX_KEPT = 256
# A clock may be a little ahead of ours; a terminal without a fix may be years ahead.
_AHEAD_US = 300_000_000
_EMERGENCY = 1
# Who guesses at codes has to connect again for every few of them.
_MAX_WRONG_CODES = 3


class Jt808Shared:
    """What all connections of one bus remember together: what each terminal's alarms have said, which of its last
    reports are on the disk, and wrong codes.
    """

    def __init__(self) -> None:
        self._alarms: dict[str, AlarmMemory] = {}
        self._kept: dict[str, OrderedDict[int, None]] = {}
        self._wrong: set[str] = set()

    def alarms(self, device: str) -> AlarmMemory:
        """Give the memory of one device of the site."""
        return self._alarms.setdefault(device, AlarmMemory())

    def keep(self, device: str, locations: Iterable[Location]) -> None:
        """Remember reports of a device that are on the disk."""
        kept = self._kept.setdefault(device, OrderedDict())
        # By their hash, of 64 bits: a whole report takes some kilobytes.
        kept.update((hash(location), None) for location in locations)
        while len(kept) > _MAX_KEPT:
            kept.popitem(last=False)

    def is_kept(self, device: str, location: Location) -> bool:
        """Tell whether it is said again only because its answer was lost; what has no time is always new."""
        return location.at_us is not None and hash(location) in self._kept.get(device, ())

    def authenticated(self, device: str, *, is_right: bool) -> bool:
        """Note whether a device's code was right; tell whether that is news: the first wrong one."""
        if is_right:
            self._wrong.discard(device)
            return False
        is_news = device not in self._wrong
        self._wrong.add(device)
        return is_news


class _Pending(Struct, frozen=True):
    """Reports that are not on the disk yet, and what is to be answered then."""

    headers: list[Header]
    device: str
    locations: list[Location]


class _Join(Struct):
    """A split message that is coming in: its packets by index, and until when."""

    parts: dict[int, Message]
    ends_at: float


class Jt808:
    """The platform's end of one connection, or of one UDP peer. See `Speech`."""

    def __init__(self, speakers: Sequence[Speaker], profiles: Mapping[str, Profile], shared: Jt808Shared) -> None:
        self._speakers = {_number(speaker.address): speaker for speaker in speakers}
        self._keys = {name: frozenset(point.key for point in profile.heard) for name, profile in profiles.items()}
        self._shared = shared
        self._is_let_in = {speaker.device: not speaker.secret for speaker in speakers}
        self._frames = Frames()
        self._joins: dict[tuple[bytes, int, int, int], _Join] = {}
        self._pending: dict[int, _Pending] = {}
        self._token = 0
        self._wrong_codes = 0
        self._serial = 0

    def open(self, moment: Moment) -> list[Said]:
        """Say nothing: the terminal begins."""
        del moment
        return []

    def hear(self, data: bytes, moment: Moment) -> list[Said]:
        """Take what came."""
        said = self.tick(moment)
        for found in self._frames.feed(data):
            said += [Said(refused=found)] if isinstance(found, str) else self._message(found, moment)
        return said

    def kept(self, token: int, moment: Moment) -> list[Said]:
        """Answer what is now on the disk."""
        del moment
        pending = self._pending.pop(token, None)
        if pending is None:
            return []
        self._shared.keep(pending.device, pending.locations)
        return [self._answer(header, _DONE) for header in pending.headers]

    def tick(self, moment: Moment) -> list[Said]:
        """Give up split messages that stay incomplete."""
        late = [key for key, join in self._joins.items() if join.ends_at <= moment.now]
        for key in late:
            del self._joins[key]
        return [Said(refused=f"message {key[1]:04X} in {key[2]} packets stayed incomplete") for key in late]

    def next_at(self) -> float | None:
        """Tell when the oldest split message is given up."""
        return min((join.ends_at for join in self._joins.values()), default=None)

    def _message(self, message: Message, moment: Moment) -> list[Said]:
        header = message.header
        speaker = self._speakers.get(_number(header.phone.hex())) or self._speakers.get("")
        if header.message_id == _GENERAL_ANSWER:
            return []
        if (said := self._unreadable(message)) is not None:
            return [said]
        if header.message_id == _REGISTER:
            return [self._register(message, speaker)]
        if speaker is None:
            return [self._answer(header, _FAILED, refused=_stranger(header))]
        return self._from(speaker, message, moment)

    def _from(self, speaker: Speaker, message: Message, moment: Moment) -> list[Said]:
        if message.header.message_id == _AUTHENTICATE:
            return [self._authenticate(message, speaker)]
        if not self._is_let_in[speaker.device]:
            return [self._turn_away(message, speaker)]
        if message.header.total:
            return self._join(message, speaker, moment)
        return [self._listen([message], speaker, moment)]

    def _unreadable(self, message: Message) -> Said | None:
        header = message.header
        if header.is_encrypted:
            return self._answer(header, _UNSUPPORTED, refused="an encrypted body")
        if not message.is_whole:
            return self._answer(header, _WRONG, refused="the body is not as long as its header says")
        if header.total and header.message_id not in _JOINED:
            return self._answer(header, _UNSUPPORTED, refused=f"message {header.message_id:04X} is not read")
        return None

    def _register(self, message: Message, speaker: Speaker | None) -> Said:
        header, result, code, refused = message.header, _DONE, b"", ""
        heard: tuple[Heard, ...] = ()
        if speaker is None:
            result, refused = _NO_SUCH_TERMINAL, _stranger(header)
        elif speaker.secret:
            result, refused = _TERMINAL_TAKEN, f"{speaker.device} registers although it has a key"
        else:
            code = _code(header.phone)
            self._is_let_in[speaker.device] = True
            values = self._wanted(read_registration(message.body, is_2019=header.version is not None), speaker)
            heard = (Heard(address=speaker.address, values=values),)
        body = header.serial.to_bytes(2, "big") + bytes([result]) + code
        return Said(heard=heard, send=self._write(header, _REGISTER_ANSWER, body), refused=refused)

    def _authenticate(self, message: Message, speaker: Speaker) -> Said:
        header, body = message.header, message.body
        wanted = speaker.secret or _code(header.phone)
        is_right = hmac.compare_digest(body, wanted)
        if header.version is not None and body and not is_right:
            # Since 2019 the code has its length before it, and IMEI and software version after it; some terminals
            # send it alone as before.
            is_right = hmac.compare_digest(body[1 : 1 + body[0]], wanted)
        self._is_let_in[speaker.device] = is_right
        is_news = self._shared.authenticated(speaker.device, is_right=is_right)
        if is_right:
            return self._answer(header, _DONE, heard=(Heard(address=speaker.address),))
        self._wrong_codes += 1
        return self._answer(
            header,
            _FAILED,
            refused=f"{speaker.device} authenticates with a wrong code",
            is_staff_told=is_news,
            hang_up=self._wrong_codes >= _MAX_WRONG_CODES,
        )

    def _turn_away(self, message: Message, speaker: Speaker) -> Said:
        location = read_location(message.body) if message.header.message_id == _LOCATION else None
        is_emergency = location is not None and bool(location.alarms & _EMERGENCY)
        refused = f"{speaker.device} has not authenticated"
        if is_emergency:
            refused += " and says there is an emergency"
        return self._answer(message.header, _FAILED, refused=refused, is_staff_told=is_emergency)

    def _join(self, message: Message, speaker: Speaker, moment: Moment) -> list[Said]:
        header = message.header
        if header.total > _MAX_PACKETS:
            return [self._answer(header, _FAILED, refused=f"{header.total} packets are more than {_MAX_PACKETS}")]
        # Packets of one message are numbered one after the other.
        key = (header.phone, header.message_id, header.total, (header.serial - header.index) & 0xFFFF)
        said: list[Said] = []
        if key not in self._joins:
            if len(self._joins) >= _MAX_JOINS:
                del self._joins[next(iter(self._joins))]
                said.append(Said(refused="more split messages at once than are kept"))
            self._joins[key] = _Join(parts={}, ends_at=moment.now + _JOIN_S)
        parts = self._joins[key].parts
        parts[header.index] = message
        if len(parts) == header.total:
            del self._joins[key]
            said.append(self._listen([parts[index] for index in sorted(parts)], speaker, moment))
        return said

    def _listen(self, packets: list[Message], speaker: Speaker, moment: Moment) -> Said:
        """Understand a whole message, of one packet or several."""
        headers = [packet.header for packet in packets]
        header, body = headers[-1], b"".join(packet.body for packet in packets)
        if header.message_id == _LOCATION:
            location = read_location(body)
            return self._located([] if location is None else [location], 0, headers, speaker, moment)
        if header.message_id == _BATCH:
            found, bad = read_batch(body) or ([], 0)
            return self._located(found, bad, headers, speaker, moment)
        if header.message_id in (_HEARTBEAT, _UNREGISTER):
            return self._answer(header, _DONE, heard=(Heard(address=speaker.address),))
        return self._answer(header, _UNSUPPORTED, refused=f"message {header.message_id:04X} is not read")

    def _located(
        self, found: list[Location], bad: int, headers: list[Header], speaker: Speaker, moment: Moment
    ) -> Said:
        if not found:
            return self._answer(headers[-1], _WRONG, refused="no location in a message for one")
        refused = f"{bad} bad reports in a batch" if bad else ""
        fresh = [location for location in found if not self._shared.is_kept(speaker.device, location)]
        if not fresh:
            send = b"".join(self._answer(header, _DONE).send for header in headers)
            return Said(heard=(Heard(address=speaker.address),), send=send, refused=refused)
        heard = tuple(self._heard(location, headers[-1], speaker, moment) for location in fresh)
        self._token += 1
        self._pending[self._token] = _Pending(headers, speaker.device, fresh)
        if len(self._pending) > _MAX_PENDING:
            # Never answered, it is said again.
            del self._pending[next(iter(self._pending))]
        return Said(heard=heard, token=self._token, refused=refused)

    def _heard(self, location: Location, header: Header, speaker: Speaker, moment: Moment) -> Heard:
        at_us = location.at_us
        if at_us is not None and moment.wall_us is not None and at_us > moment.wall_us + _AHEAD_US:
            at_us = None
        reports = self._shared.alarms(speaker.device).heard(
            location.alarms, at_us=at_us, now=moment.now, is_2019=header.version is not None
        )
        values = self._wanted(location.values, speaker)
        return Heard(address=speaker.address, values=values, reports=reports, at_us=at_us)

    def _wanted(self, values: Iterable[tuple[str, Value]], speaker: Speaker) -> tuple[tuple[str, Value], ...]:
        keys = self._keys.get(speaker.device)
        return tuple(pair for pair in values if keys is None or pair[0] in keys)

    def _answer(
        self,
        header: Header,
        result: int,
        *,
        refused: str = "",
        is_staff_told: bool = False,
        hang_up: bool = False,
        heard: tuple[Heard, ...] = (),
    ) -> Said:
        body = header.serial.to_bytes(2, "big") + header.message_id.to_bytes(2, "big") + bytes([result])
        send = self._write(header, _ANSWER, body)
        return Said(heard=heard, send=send, refused=refused, is_staff_told=is_staff_told, hang_up=hang_up)

    def _write(self, asked: Header, message_id: int, body: bytes) -> bytes:
        """Write to the terminal that sent `asked`, in its own version."""
        frame = write_frame(Header(message_id, asked.phone, self._serial, asked.version), body)
        self._serial = (self._serial + 1) & 0xFFFF
        return frame


def make_jt808(
    speakers: Sequence[Speaker], *, profiles: Mapping[str, Profile], shared: Jt808Shared | None = None
) -> Jt808:
    """Make the conversation of one connection or UDP peer.

    Args:
        speakers: all terminals of the bus; an address is a telephone number, leading zeros as one likes; a key is the
            terminal's authentication code.
        profiles: theirs, by device id.
        shared: what the connections of the bus remember together.
    """
    return Jt808(speakers, profiles, Jt808Shared() if shared is None else shared)


def _stranger(header: Header) -> str:
    return f"no terminal of this site has number {header.phone.hex()}"


def _number(digits: str) -> str:
    # On the wire it is filled up with zeros to 12 or 20 digits; people write it with or without.
    return digits.strip().lower().lstrip("0")


def _code(phone: bytes) -> bytes:
    # The same after a restart: a terminal that registered long ago goes on authenticating with it.
    return hashlib.sha256(b"JT/T 808 " + _number(phone.hex()).encode()).hexdigest()[:16].encode()
