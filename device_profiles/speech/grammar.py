"""The conversation with devices whose profile declares a grammar: frames, messages, what they mean. Pure.

Several profiles may share a line when they share its frames: the remote controls and the door contacts behind one radio
bridge. Each of them reads a frame, and the one whose device is addressed has heard it.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from contract.ids import is_id
from contract.telemetry import Value
from device_profiles.model import Profile
from device_profiles.speech.fields import Cuts, FieldError, FieldReader, Raw, word_of
from device_profiles.speech.framing import Broken, Deframer, Framed
from device_profiles.speech.layout import Encoding, Message, ReportDef, SightingDef
from device_profiles.speech.said import Heard, Moment, Report, Said, Sighting, Speaker

PATIENCE_S = 10.0
"""How long a frame may wait for its end. Longer than TCP takes to send a lost segment again, once or twice."""

MAX_REPEATS = 256
"""Frames remembered to know their repeats; the longest unheard are forgotten first."""


_NOTHING = Heard()
Raws = Mapping[str, Raw | None]
"""Raw forms by slot."""


class Understood(Struct, frozen=True):
    """A frame that is a message.

    Attributes:
        message: which one.
        heard: what it says.
    """

    message: Message
    heard: Heard


class _Text:
    """How a text is parted; messages that part it alike (`slot`) share what was cut from it."""

    __slots__ = ("_most", "_starts", "separator", "slot")

    def __init__(self, message: Message) -> None:
        self._starts = message.starts
        self.separator = message.separator
        self._most = message.fields[1] - 1 if message.rest and message.fields else -1
        self.slot = repr((self._starts, self.separator, self._most))

    def part(self, text: str) -> list[str] | None:
        """Part a text; None where it does not begin so."""
        if not text.startswith(self._starts):
            return None
        text = text[len(self._starts) :]
        return text.split(self.separator, self._most) if self.separator else [text]


class _Frame:
    """A frame that the messages of a profile are tried on, and what they have cut from it."""

    __slots__ = ("_by_text", "_bytes", "framed", "text")

    def __init__(self, framed: Framed, encoding: Encoding | None) -> None:
        self.framed = framed
        self.text = None if encoding is None else _decoded(framed.body, encoding)
        self._by_text: dict[str, Cuts | None] = {}
        self._bytes = Cuts(framed.frame, ()) if encoding is None else None

    def cuts(self, wanted: _Text) -> Cuts | None:
        """The fields of its text, or its bytes; None where it does not begin so or is no text."""
        if self._bytes is not None or self.text is None:
            return self._bytes
        if wanted.slot not in self._by_text:
            parts = wanted.part(self.text)
            self._by_text[wanted.slot] = None if parts is None else Cuts(self.framed.frame, parts)
        return self._by_text[wanted.slot]


class _MessageReader:
    """Reads one kind of message; all that can be worked out beforehand is."""

    def __init__(self, message: Message, profile: Profile, *, is_text: bool) -> None:
        self.message = message
        self._prefix = b"" if is_text else bytes.fromhex(message.starts)
        self._count = message.fields
        self._text = _Text(message)
        readers: dict[str, FieldReader] = {}
        for field in message.field:
            readers[field.key] = FieldReader(field, readers.get(field.of or ""))
        wanted = {match.field: frozenset(match.equals) for match in message.where}
        first = _with_parents(wanted, readers)
        self._deciding = [(readers[key], wanted.get(key)) for key in readers if key in first]
        self._others = [reader for key, reader in readers.items() if key not in first]
        self._readers = readers
        ranges = {point.key: point.range for point in profile.heard}
        self._fills = [
            (reader, reader.field.heard, ranges.get(reader.field.heard) or (-float("inf"), float("inf")))
            for reader in readers.values()
            if reader.field.heard is not None
        ]

    def read(self, frame: _Frame) -> Heard | None:
        """Read a frame; None where it is not this message.

        Raises:
            FieldError: it is, and one of its fields cannot be read.
        """
        cuts = frame.cuts(self._text)
        if cuts is None or not cuts.data.startswith(self._prefix):
            return None
        if self._count is not None and cuts.texts:
            count = len(cuts.texts) if self._text.separator else len(cuts.texts[0])
            if not self._count[0] <= count <= self._count[1]:
                return None
        raws = cuts.raws
        try:
            for reader, allowed in self._deciding:
                raw = raws[reader.slot] if reader.slot in raws else reader.raw(cuts)
                if allowed is not None and (raw is None or word_of(raw) not in allowed):
                    return None
        except FieldError:
            return None
        for reader in self._others:
            reader.raw(cuts)
        return self._meaning(raws)

    def _meaning(self, raws: Raws) -> Heard:
        message = self.message
        values: list[tuple[str, Value]] = []
        for reader, key, (low, high) in self._fills:
            value = reader.value(raws[reader.slot])
            if value is None or (isinstance(value, float) and not low <= value <= high):
                continue
            values.append((key, value))
        address = self._value(message.address, raws)
        if message.address is not None and not address:
            raise FieldError(message.address, "nobody is named")
        at_us = None if message.time is None else raws[self._readers[message.time].slot]
        return Heard(
            address="" if address is None else _word(address),
            values=tuple(values),
            reports=self._reports(raws) if message.report else (),
            sightings=() if message.sighting is None else (self._sighting(message.sighting, raws),),
            at_us=at_us if isinstance(at_us, int) else None,
        )

    def _value(self, key: str | None, raws: Raws) -> Value | None:
        if key is None:
            return None
        reader = self._readers[key]
        return reader.value(raws[reader.slot])

    def _reports(self, raws: Raws) -> tuple[Report, ...]:
        found: list[Report] = []
        for wanted in self.message.report:
            raw = None if wanted.field is None else raws[self._readers[wanted.field].slot]
            word = None if raw is None else word_of(raw)
            if wanted.field is None or word in wanted.on:
                found.append(self._report(wanted, raws, is_on=True))
            elif word in wanted.off:
                found.append(self._report(wanted, raws, is_on=False))
        return tuple(found)

    def _report(self, wanted: ReportDef, raws: Raws, *, is_on: bool) -> Report:
        point = wanted.point
        if "{" in point:
            words = {key: "" if (value := self._value(key, raws)) is None else _word(value) for key in self._readers}
            point = point.format_map(words)
        if not is_id(point):
            raise FieldError(wanted.field or "", f"{point[:40]!r} is no name of a point")
        return Report(
            point=point,
            rule=wanted.rule,
            kind=wanted.alarm,
            severity=wanted.severity,
            text=wanted.text,
            is_on=is_on,
            ends_after_s=wanted.ends_after_s if is_on else None,
            value=self._value(wanted.value, raws),
        )

    def _sighting(self, wanted: SightingDef, raws: Raws) -> Sighting:
        tag = self._value(wanted.tag, raws)
        if not isinstance(tag, str) or not is_id(tag):
            raise FieldError(wanted.tag, "no tag is named")
        return Sighting(
            tag=tag.upper(),
            rssi=_number(self._value(wanted.rssi, raws)),
            is_moving=_state(self._value(wanted.moving, raws)),
            is_pressed=_state(self._value(wanted.pressed, raws)),
            battery_v=_number(self._value(wanted.battery, raws)),
            is_low=_state(self._value(wanted.low, raws)),
        )


class ProfileReader:
    """Reads the messages of one profile."""

    def __init__(self, profile: Profile) -> None:
        """Plan the reading.

        Args:
            profile: checked, with a grammar.
        """
        speaks = profile.speaks
        self._encoding = speaks.frame.encoding if speaks and speaks.frame else None
        ordered = sorted(speaks.message if speaks else (), key=lambda message: message.otherwise)
        is_text = self._encoding is not None
        self._readers = [_MessageReader(message, profile, is_text=is_text) for message in ordered]

    def read(self, framed: Framed) -> Understood | str:
        """Read a frame; why not where it is no message of this profile."""
        frame = _Frame(framed, self._encoding)
        for reader in self._readers:
            try:
                heard = reader.read(frame)
            except FieldError as error:
                return f"message {reader.message.key}: {error}"
            if heard is not None:
                return Understood(reader.message, heard)
        return f"no message of the profile: {_shown(framed.frame)}"


class _Party(Struct, frozen=True):
    """The devices of one profile on the line, by address in small letters, as the site file writes it."""

    reader: ProfileReader
    addresses: dict[str, str]


class GrammarSpeech:
    """A conversation by a declared grammar; implements `Speech`."""

    def __init__(self, speakers: Sequence[Speaker], *, profiles: Mapping[str, Profile]) -> None:
        """Begin.

        Args:
            speakers: the devices on the line; one with the address "" is whoever speaks.
            profiles: theirs, by device id; all with the same frames.
        """
        parties: dict[str, _Party] = {}
        for speaker in speakers:
            profile = profiles[speaker.device]
            if profile.profile not in parties:
                parties[profile.profile] = _Party(ProfileReader(profile), {})
            parties[profile.profile].addresses[speaker.address.casefold()] = speaker.address
        self._parties = list(parties.values())
        self._is_alone = len(speakers) == 1
        frames = [profile.speaks.frame for profile in profiles.values() if profile.speaks and profile.speaks.frame]
        self._deframer = Deframer(frames[0])
        self._repeats: OrderedDict[tuple[str, bytes], float] = OrderedDict()
        self._came_at = 0.0

    def open(self, moment: Moment) -> list[Said]:  # noqa: ARG002
        """Begin: the device speaks first."""
        return []

    def hear(self, data: bytes, moment: Moment) -> list[Said]:
        """Take what came."""
        self._came_at = moment.now
        return self._said(self._deframer.feed(data), moment.now)

    def kept(self, token: int, moment: Moment) -> list[Said]:  # noqa: ARG002
        """Learn that something is on the disk: no such device waits for it."""
        return []

    def tick(self, moment: Moment) -> list[Said]:
        """Give up a frame that was never ended."""
        due = self.next_at()
        if due is None or moment.now < due:
            return []
        return self._said(self._deframer.give_up(), moment.now)

    def next_at(self) -> float | None:
        """Tell until when a frame that has begun may wait for its end."""
        return self._came_at + PATIENCE_S if self._deframer.is_open else None

    def _said(self, frames: Sequence[Framed | Broken], now: float) -> list[Said]:
        said = [Said(refused=one.why) if isinstance(one, Broken) else self._frame(one, now) for one in frames]
        return [one for one in said if one is not None]

    def _frame(self, framed: Framed, now: float) -> Said | None:
        """Let every profile of the line read a frame; the first whose device is addressed has heard it."""
        refused, stranger, reply = "", None, b""
        is_understood = False
        for party in self._parties:
            read = party.reader.read(framed)
            if isinstance(read, str):
                refused = refused or read
                continue
            is_understood = True
            reply = bytes.fromhex(read.message.reply)
            address = self._known(party, read.heard.address)
            if address is not None:
                if self._is_repeat(read.message, framed, now):
                    return _answer(reply)
                heard = read.heard if address == read.heard.address else replace(read.heard, address=address)
                return Said(heard=(heard,), send=reply)
            # The line itself may speak, and say nothing of a device.
            stranger = stranger or (read if read.heard != _NOTHING else None)
        if stranger is not None and not self._is_repeat(stranger.message, framed, now):
            why = f"no device has the address {stranger.heard.address!r} (message {stranger.message.key})"
            return Said(send=reply, refused=why)
        return _answer(reply) if is_understood else Said(refused=refused)

    def _known(self, party: _Party, address: str) -> str | None:
        """The address as the site file writes it; as the line does where anybody may speak; None for a stranger."""
        if not address:
            return "" if self._is_alone or "" in party.addresses else None
        known = party.addresses.get(address.casefold())
        return address if known is None and "" in party.addresses else known

    def _is_repeat(self, message: Message, framed: Framed, now: float) -> bool:
        if not message.collapse_s:
            return False
        key = (message.key, framed.frame)
        last = self._repeats.pop(key, None)
        self._repeats[key] = now
        if len(self._repeats) > MAX_REPEATS:
            self._repeats.popitem(last=False)
        return last is not None and now - last <= message.collapse_s


def make_grammar(speakers: Sequence[Speaker], *, profiles: Mapping[str, Profile]) -> GrammarSpeech:
    """Make a fresh conversation.

    Args:
        speakers: the devices on the line; one with the address "" is whoever speaks.
        profiles: theirs, by device id; all with the same frames.
    """
    return GrammarSpeech(speakers, profiles=profiles)


def _with_parents(wanted: Mapping[str, frozenset[str]], readers: Mapping[str, FieldReader]) -> set[str]:
    """The fields that decide, and those that they lie in."""
    found: set[str] = set()
    for name in wanted:
        key: str | None = name
        while key is not None and key in readers and key not in found:
            found.add(key)
            key = readers[key].field.of
    return found


def _answer(reply: bytes) -> Said | None:
    return Said(send=reply) if reply else None


def _decoded(data: bytes, encoding: Encoding) -> str | None:
    try:
        return data.decode(encoding.value)
    except UnicodeDecodeError:
        return None


def _word(value: Value) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _number(value: Value | None) -> float | None:
    return value if isinstance(value, float) else None


def _state(value: Value | None) -> bool | None:
    return value if isinstance(value, bool) else None


def _shown(frame: bytes) -> str:
    limit = 32
    is_text = frame.strip().isascii() and frame.strip().decode("ascii").isprintable()
    text = repr(frame[:limit])[1:] if is_text else frame[:limit].hex(" ")
    return text if len(frame) <= limit else f"{text} ... ({len(frame)} bytes)"
