"""The conversation with alarm hosts that speak SIA DC-09: Contact ID, SIA-DCS, link tests; in clear or with AES. Pure.

What is answered when, and why, is told in docs/dc09.md. In short: an event is acknowledged when it is on the disk, what
needs no disk at once; what cannot be processed gets DUH, a clock out of the window NAK, and a broken frame nothing.

Source: ANSI/SIA DC-09-2013, 5.4 and 5.5 (public-review draft, yumpu.com 47594214).
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import count

from msgspec import Struct

from contract.telemetry import Value
from device_profiles.faults import DeviceProfilesError
from device_profiles.model import Profile
from device_profiles.speech.dc09_body import Body, parse_body, write_time
from device_profiles.speech.dc09_crypto import Cipher, KeyFaultError
from device_profiles.speech.dc09_events import Understood, field_values, understand_contact, understand_sia
from device_profiles.speech.dc09_frame import Broken, Frame, FrameReader, pack
from device_profiles.speech.dc09_memory import PENDING_S, Dc09Shared, Place
from device_profiles.speech.said import Heard, Moment, Said, Speaker, Speech

AHEAD_US = 20_000_000
BEHIND_US = 40_000_000
"""How far the clock of an encrypted message may be from ours (DC-09, 5.5.1.9)."""

# A host waits for its answer before it says the next thing; what sends so much without waiting is no host.
MAX_WAITING = 64
# A host that was cut off tells what happened meanwhile; older than that it is a clock that is wrong.
MAX_LATE_US = 7 * 86_400 * 1_000_000

_ANSWERS = frozenset({"ACK", "NAK", "DUH", "RSP"})
_TESTS = frozenset({"NULL", "XNM"})
_CONTACT = frozenset({"ADM-CID", "HENG-BO"})
_NAK = b'"NAK"0000R0L0A0[]'
_HENGBO = "hengbo/"

__all__ = ["Dc09Shared", "Dc09Speech", "make_dc09"]


class _Host(Struct, frozen=True):
    """A device that may speak: how the site calls it, its key or what is wrong with it, and what its profile says."""

    address: str
    cipher: Cipher | None
    key_fault: str
    keys: frozenset[str]
    is_hengbo: bool


class _Waiting(Struct, frozen=True):
    """A message whose answer waits for the disk."""

    frame: Frame
    body: Body
    host: _Host
    place: Place
    since: float


class _RefusedError(DeviceProfilesError):
    """A message is not taken; `answer` is what its sender is told."""

    def __init__(self, why: str, answer: bytes = b"", *, is_staff_told: bool = True) -> None:
        super().__init__(why)
        self.answer, self.is_staff_told = answer, is_staff_told


class Dc09Speech:
    """The conversation on one connection, or with one peer."""

    def __init__(self, hosts: Mapping[str, _Host], shared: Dc09Shared) -> None:
        """Begin.

        Args:
            hosts: by account, in capitals; "" is one that may have any.
            shared: the memory of all connections of the bus.
        """
        self._hosts, self._shared = hosts, shared
        self._reader = FrameReader()
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._tokens = count(1)

    def open(self, moment: Moment) -> list[Said]:
        """Say nothing: the host speaks first."""
        del moment
        return []

    def hear(self, data: bytes, moment: Moment) -> list[Said]:
        """Take what came."""
        return [self._take(found, moment) for found in self._reader.feed(data)]

    def kept(self, token: int, moment: Moment) -> list[Said]:
        """Acknowledge what is on the disk now."""
        waiting = self._waiting.pop(token, None)
        if waiting is None:
            return []
        self._shared.keep(waiting.place, moment.now)
        return [Said(send=_acknowledge(waiting.frame, waiting.body, waiting.host, moment))]

    def tick(self, moment: Moment) -> list[Said]:
        """Say nothing: no clock changes anything."""
        del moment
        return []

    def next_at(self) -> float | None:
        """Only bytes change anything."""
        return None

    def _take(self, found: Frame | Broken, moment: Moment) -> Said:
        if isinstance(found, Broken):
            # Only what came without an error is acknowledged (5.5.3.1), DUH is for what came correctly (5.5.3.3), NAK
            # for the time alone (5.5.3.2): a broken frame gets no answer, and its sender sends it again.
            return Said(refused=found.why)
        if found.id in _ANSWERS:
            return Said()
        try:
            return self._message(found, moment)
        except _RefusedError as error:
            return Said(send=error.answer, refused=str(error), is_staff_told=error.is_staff_told)

    def _message(self, frame: Frame, moment: Moment) -> Said:
        host = self._hosts.get(frame.account) or self._hosts.get("")
        if host is not None and host.key_fault:
            raise _RefusedError(f"account {frame.account}: {host.key_fault}", _duh(frame))
        if host is not None and host.cipher is not None and not frame.is_encrypted:
            # A host with a key is not taken at its word in clear: anybody could say that an alarm is over.
            raise _RefusedError(f"account {frame.account} has a key and speaks in clear", _duh(frame))
        if host is None and frame.is_encrypted:
            raise _RefusedError(self._shared.stranger(frame.account, moment.now), _duh(frame))
        body = _open(frame, host, moment)
        understood = _understand(frame, body, is_hengbo=host is not None and host.is_hengbo)
        if host is None:
            # Some hosts put their SIM card's number in the header, and their account in the data.
            host = self._hosts.get(understood.account) if understood.account else None
            if host is None or host.cipher is not None or host.key_fault:
                raise _RefusedError(self._shared.stranger(frame.account, moment.now), _duh(frame))
            understood = _understand(frame, body, is_hengbo=host.is_hengbo)
        return self._heard(frame, body, host, understood, moment)

    def _heard(self, frame: Frame, body: Body, host: _Host, understood: Understood, moment: Moment) -> Said:
        named = ((_key(key, host.keys), value) for key, value in understood.values)
        values = tuple((key, value) for key, value in named if key in host.keys)
        if frame.id in _TESTS or not body.data:
            heard = Heard(address=host.address, values=values)
            self._shared.link_test(_place(frame, body, host))
            return Said(heard=(heard,), send=_acknowledge(frame, body, host, moment))
        known = self._shared.recall(_place(frame, body, host), moment.now)
        if known.is_late:
            why = f"account {host.address or frame.account}: sequence {frame.sequence} came again long after its answer"
            return Said(send=_acknowledge(frame, body, host, moment), refused=why, is_staff_told=True)
        if known.is_kept:
            return Said(heard=(Heard(address=host.address),), send=_acknowledge(frame, body, host, moment))
        if known.is_pending:
            # Its answer comes when the first of it is on the disk.
            return Said(heard=(Heard(address=host.address),))
        if not self._has_room(moment.now):
            return Said(refused=f"{MAX_WAITING} messages of one connection wait for the disk; no more are taken")
        token = next(self._tokens)
        self._waiting[token] = _Waiting(frame, body, host, known.place, moment.now)
        self._shared.begin(known.place, moment.now)
        at_us = _occurred(understood, body, moment)
        heard = Heard(address=host.address, values=values, reports=understood.reports, at_us=at_us)
        return Said(heard=(heard,), token=token)

    def _has_room(self, now: float) -> bool:
        """Forget the oldest when it has waited for so long that the disk must have failed it."""
        while len(self._waiting) >= MAX_WAITING:
            if now - next(iter(self._waiting.values())).since < PENDING_S:
                return False
            self._waiting.popitem(last=False)
        return True


def make_dc09(
    speakers: Sequence[Speaker], *, profiles: Mapping[str, Profile], shared: Dc09Shared | None = None
) -> Speech:
    """Make the conversation of one connection.

    Args:
        speakers: all hosts of the bus; an address is the account as the host writes it.
        profiles: theirs, by device id.
        shared: the memory of the bus; None makes one for this connection alone.

    A key that cannot be used makes no fault here: its host is refused, and the staff told why. Who wants to know before
    anything starts asks `dc09_crypto.Cipher`.
    """
    shared = Dc09Shared() if shared is None else shared
    hosts = {speaker.address.upper(): _host(speaker, profiles[speaker.device], shared) for speaker in speakers}
    return Dc09Speech(hosts, shared)


def _host(speaker: Speaker, profile: Profile, shared: Dc09Shared) -> _Host:
    cipher, fault = None, ""
    try:
        cipher = shared.cipher(speaker.secret) if speaker.secret else None
    except KeyFaultError as error:
        fault = str(error)
    return _Host(
        address=speaker.address,
        cipher=cipher,
        key_fault=fault,
        keys=frozenset(point.key for point in profile.heard),
        is_hengbo=profile.profile.startswith(_HENGBO),
    )


def _open(frame: Frame, host: _Host | None, moment: Moment) -> Body:
    """Give the body in clear, of a clock that may be believed."""
    if not frame.is_encrypted:
        body = parse_body(frame.body, is_padded=False)
        if body is None:
            raise _unreadable(frame)
        return body
    if host is None or host.cipher is None:
        raise _RefusedError(f"account {frame.account} is encrypted, and has no key in the site file", _duh(frame))
    text = host.cipher.decrypt(frame.body)
    body = None if text is None else parse_body(text, is_padded=True)
    if body is None or body.sent_us is None:
        # A wrong key gives nonsense, and what is nonsense cannot be told from damage: the CRC was right, though.
        raise _RefusedError(f"account {frame.account} is encrypted with another key", _duh(frame))
    if moment.wall_us is not None and not -BEHIND_US <= body.sent_us - moment.wall_us <= AHEAD_US:
        off_s = (body.sent_us - moment.wall_us) / 1e6
        answer = pack(_NAK + write_time(moment.wall_us))
        raise _RefusedError(f"account {frame.account}: its clock is {off_s:+.0f} s off", answer)
    return body


def _understand(frame: Frame, body: Body, *, is_hengbo: bool) -> Understood:
    """Read the data, by the kind of message."""
    if frame.id in _TESTS or not body.data:
        return Understood(values=tuple[tuple[str, Value], ...](field_values(body)))
    understood: Understood | None = None
    if frame.id in _CONTACT:
        understood = understand_contact(body, is_hengbo=is_hengbo or frame.id == "HENG-BO")
    elif frame.id == "SIA-DCS":
        understood = understand_sia(body)
    if understood is None:
        raise _unreadable(frame)
    return understood


def _unreadable(frame: Frame) -> _RefusedError:
    why = f"account {frame.account}: {frame.id} that cannot be read"
    return _RefusedError(why, _duh(frame), is_staff_told=False)


def _key(key: str, keys: frozenset[str]) -> str:
    """Give the profile's key: a host with one partition only may give it a number all the same."""
    return "arming" if key not in keys and key.startswith("arming_") else key


def _place(frame: Frame, body: Body, host: _Host) -> Place:
    # Not the pad and not the time: a repeat may have other ones.
    content = b"\0".join((frame.id.encode(), body.data, *body.fields, *body.binary))
    return Place(host.address, frame.sequence, blake2b(content, digest_size=16).digest(), body.stamp)


def _occurred(understood: Understood, body: Body, moment: Moment) -> int | None:
    """Say when it happened by the host's word, if its clock keeps UTC; None is now.

    Many hosts write local time. Only one whose message bears our own time is believed when it names another.
    """
    now_us, at_us = moment.wall_us, understood.occurred_us
    if now_us is None or at_us is None or body.sent_us is None:
        return None
    if not -BEHIND_US <= body.sent_us - now_us <= AHEAD_US:
        return None
    return at_us if now_us - MAX_LATE_US <= at_us <= now_us else None


def _acknowledge(frame: Frame, body: Body, host: _Host, moment: Moment) -> bytes:
    """Write the answer to a message that is taken: what it had in its header, encrypted as it was.

    In clear the time is optional; Hengbo hosts read no answer without one, and ours would set the clock of those that
    keep local time wrong: they get their own back.
    """
    if not frame.is_encrypted or host.cipher is None:
        return pack(b'"ACK"' + frame.echo + b"[]" + body.stamp)
    stamp = body.stamp if moment.wall_us is None else write_time(moment.wall_us)
    return pack(b'"*ACK"' + frame.echo + b"[" + host.cipher.encrypt(b"]" + stamp))


def _duh(frame: Frame) -> bytes:
    """Write the answer to what came correctly and cannot be processed (5.5.3.3); it is never encrypted."""
    body = None if frame.is_encrypted else parse_body(frame.body, is_padded=False)
    return pack(b'"DUH"' + frame.echo + b"[]" + (body.stamp if body else b""))
