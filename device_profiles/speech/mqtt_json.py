"""Devices that publish JSON or plain words on a broker of the local network, as their profiles map it. Pure.

Nothing is answered, nothing is remembered: each message stands for itself. What the broker has kept (retained) is old
news: it gives no reading, no press and no sign of life; only reports that their profile marks `retained` are believed
of it, such as "offline".
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from contract.limits import MAX_STRING_CHARS
from contract.telemetry import Value
from device_profiles.faults import DeviceProfilesError
from device_profiles.model import HeardKind, Profile
from device_profiles.speech.said import Heard, Moment, Report, Said, Speaker
from device_profiles.speech.topics import ADDRESS, Topic, TopicReport, TopicValue

MAX_PAYLOAD_BYTES = 16_384
"""A device's whole state is 1 to 5 KB; what is larger (a picture, an update) is not taken apart."""
MAX_BRACKETS = 512
"""So many objects and lists at most, and so no deeper."""
MAX_TOPIC_BYTES = 512
MAX_LINE_BYTES = 65_536
MAX_WHOLE = 10**15

_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE][+-]?[0-9]{1,2})?")
_decoder = msgspec.json.Decoder()
_MISSING = object()


class _UnreadableError(DeviceProfilesError):
    """A value is there and is not what the profile says."""


class _Heard:
    """A topic of one device, ready to be taken apart.

    Attributes:
        address: of the device, as the site file has it.
        prefix, suffix: what stands around any address, where the site file names none.
    """

    def __init__(self, topic: Topic, profile: Profile, address: str) -> None:
        self.address = address
        self.prefix, _, self.suffix = topic.topic.partition(ADDRESS)
        self.topic = topic.topic.replace(ADDRESS, address)
        points = {point.key: point for point in profile.heard}
        self._where = [(_parts(path), word) for path, word in topic.where.items()]
        self._values = [(_parts(one.path), one, points[one.heard].kind) for one in topic.value]
        self._reports = [(_parts(one.path), one) for one in topic.report]
        paths = (*topic.where, *(one.path for one in topic.value), *(one.path for one in topic.report))
        self._is_json, self._is_plain = any(paths), not all(paths)

    def hear(self, payload: bytes, *, is_retained: bool) -> Said | None:
        """Take a payload apart; None when it says nothing here."""
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            return Said(refused="the payload is no text in UTF-8")
        tree: object = None
        if self._is_json:
            why, tree = _tree(payload)
            if why and not self._is_plain:
                return Said(refused=why)
        if any(_word(_find(tree, path, text)) != word for path, word in self._where):
            return None
        whys: list[str] = []
        reports = tuple(self._told(tree, text, is_retained=is_retained))
        values = () if is_retained else tuple(self._read(tree, text, whys))
        if is_retained and not reports:
            return None
        return Said(heard=(Heard(address=self.address, values=values, reports=reports),), refused="; ".join(whys[:3]))

    def _read(self, tree: object, text: str, whys: list[str]) -> Iterator[tuple[str, Value]]:
        for path, wanted, kind in self._values:
            raw = _find(tree, path, text)
            word = _word(raw)
            if raw is _MISSING or raw is None or word in wanted.no_value:
                continue
            try:
                yield wanted.heard, _READ[kind](wanted, raw, word)
            except _UnreadableError as error:
                whys.append(f"{wanted.heard}: {error}")

    def _told(self, tree: object, text: str, *, is_retained: bool) -> Iterator[Report]:
        for path, wanted in self._reports:
            word = _word(_find(tree, path, text))
            if word is not None and (word in wanted.on or word in wanted.off) and (wanted.retained or not is_retained):
                yield _report(wanted, word)


class MqttJsonSpeech:
    """What the devices of one broker publish; see the head of this module."""

    def __init__(self, speakers: Sequence[Speaker], profiles: Mapping[str, Profile]) -> None:
        """Prepare; see `make_mqtt_json`."""
        self._exact: dict[str, list[_Heard]] = {}
        self._anywhere: list[_Heard] = []
        for speaker in speakers:
            profile = profiles[speaker.device]
            for topic in profile.speaks.topic if profile.speaks else ():
                heard = _Heard(topic, profile, speaker.address)
                if speaker.address:
                    self._exact.setdefault(heard.topic, []).append(heard)
                else:
                    self._anywhere.append(heard)

    def topics(self) -> tuple[str, ...]:
        """Tell what to subscribe to, with QoS 1; a device without an address may be anywhere."""
        return ("#",) if self._anywhere else tuple(self._exact)

    def hear_message(self, topic: str, payload: bytes, *, is_retained: bool, moment: Moment) -> list[Said]:
        """Take one message.

        Args:
            topic: as published.
            payload: whole.
            is_retained: the broker has kept it from before.
            moment: when it came.

        Returns:
            Nothing when no profile knows the topic, or the payload is empty (which takes a kept message away).
        """
        del moment
        found = self._exact.get(topic) or self._fitting(topic)
        if not found or not payload:
            return []
        if len(payload) > MAX_PAYLOAD_BYTES:
            return [Said(refused=f"a payload of {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES}")]
        said = [heard.hear(payload, is_retained=is_retained) for heard in found]
        return [one for one in said if one is not None]

    def open(self, moment: Moment) -> list[Said]:
        """Nothing is said to begin with."""
        del moment
        return []

    def hear(self, data: bytes, moment: Moment) -> list[Said]:
        """Take one message as topic, NUL and payload, with a NUL before the topic when the broker has kept it.

        Or lines of topic, space and payload, as `mosquitto_sub -v` prints them.
        """
        if b"\0" in data[: MAX_TOPIC_BYTES + 1]:
            is_retained = data.startswith(b"\0")
            topic, _, payload = data[is_retained:].partition(b"\0")
            return self.hear_message(_text(topic), payload, is_retained=is_retained, moment=moment)
        said = []
        for line in data[:MAX_LINE_BYTES].splitlines():
            topic, _, payload = line.partition(b" ")
            said += self.hear_message(_text(topic), payload, is_retained=False, moment=moment)
        return said

    def kept(self, token: int, moment: Moment) -> list[Said]:
        """Nobody waits for an acknowledgement."""
        del token, moment
        return []

    def tick(self, moment: Moment) -> list[Said]:
        """Time changes nothing."""
        del moment
        return []

    def next_at(self) -> float | None:
        """Only messages change anything."""
        return None

    def _fitting(self, topic: str) -> list[_Heard]:
        """Find the topics of devices without an address that fit best: `{address}` alone fits everything."""
        fitting = [
            heard
            for heard in self._anywhere
            if topic.startswith(heard.prefix)
            and topic.endswith(heard.suffix)
            and len(topic) > len(heard.prefix) + len(heard.suffix)
        ]
        longest = max((len(heard.prefix) + len(heard.suffix) for heard in fitting), default=0)
        return [heard for heard in fitting if len(heard.prefix) + len(heard.suffix) == longest]


def make_mqtt_json(speakers: Sequence[Speaker], *, profiles: Mapping[str, Profile]) -> MqttJsonSpeech:
    """Make the conversation of one broker.

    Args:
        speakers: its devices; an address is what stands for `{address}` in the topics.
        profiles: theirs, checked, by device id.
    """
    return MqttJsonSpeech(speakers, profiles)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.split(".")) if path else ()


def _tree(payload: bytes) -> tuple[str, object]:
    """Read JSON; returns why it cannot be, or nothing."""
    if payload.count(b"{") + payload.count(b"[") > MAX_BRACKETS:
        return f"JSON of more than {MAX_BRACKETS} objects and lists", None
    try:
        return "", _decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return "the payload is no JSON", None


def _find(tree: object, path: tuple[str, ...], text: str) -> object:
    """Follow a path; `_MISSING` where it leads nowhere. Without a path it is the text itself."""
    if not path:
        return text.strip()
    found = tree
    for part in path:
        if isinstance(found, dict):
            found = found.get(part, _MISSING)
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return _MISSING
    return found


def _word(raw: object) -> str | None:
    """Write a raw value as profiles do: true and false, whole numbers in decimal, words as they stand."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int):
        return str(raw) if abs(raw) < MAX_WHOLE else None
    if isinstance(raw, float):
        return repr(raw)
    return raw if isinstance(raw, str) and len(raw) <= MAX_STRING_CHARS else None


def _shown(raw: object) -> str:
    return repr(raw)[:40] if isinstance(raw, str | bool | float) else type(raw).__name__


def _number(wanted: TopicValue, raw: object, word: str | None) -> Value:
    is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
    if word is None or not (is_number or (isinstance(raw, str) and _DECIMAL.fullmatch(word))):
        raise _UnreadableError(f"{_shown(raw)} is no number")
    number = float(word)
    if math.isfinite(number) and (wanted.scale, wanted.offset) != (1.0, 0.0):
        # In decimal, so that 3015 mV become 3.015 V and not 3.0149999999999997.
        number = float(Decimal(word) * Decimal(repr(wanted.scale)) + Decimal(repr(wanted.offset)))
    if not math.isfinite(number):
        raise _UnreadableError(f"{_shown(raw)} is no number")
    return number


def _state(wanted: TopicValue, raw: object, word: str | None) -> Value:
    if word in wanted.true_when:
        return True
    if word in wanted.false_when:
        return False
    raise _UnreadableError(f"{_shown(raw)} is neither of its states")


def _named(wanted: TopicValue, raw: object, word: str | None) -> Value:
    if word is None:
        raise _UnreadableError(f"{_shown(raw)} is no word")
    if not wanted.values:
        return word
    if word not in wanted.values:
        raise _UnreadableError(f"{_shown(raw)} is none of its words")
    return wanted.values[word]


_READ = {HeardKind.NUMBER: _number, HeardKind.STATE: _state, HeardKind.WORD: _named}


def _report(wanted: TopicReport, word: str) -> Report:
    return Report(
        point=wanted.point,
        rule=wanted.rule,
        kind=wanted.alarm,
        severity=wanted.severity,
        text=wanted.text,
        is_on=word in wanted.on,
        ends_after_s=wanted.ends_after_s,
        value=word,
    )


def _text(topic: bytes) -> str:
    return topic[:MAX_TOPIC_BYTES].decode(errors="replace")
