"""Bytes that are none, into every conversation with devices that speak by themselves.

Ten million random bytes, then a million good frames with a few bits, bytes or pieces wrong, into one conversation of
each language and each declared grammar, in pieces as a port gives them. Good frames are the profiles' golden captures.
Nothing may raise, no step take long, no memory grow, and after each stretch the next good frame must be read.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator
from functools import cache

import psutil
from msgspec import Struct

from device_profiles.catalogue import list_profiles, load_profile
from device_profiles.model import Language, Profile
from device_profiles.speech.making import make_shared, make_speech
from device_profiles.speech.said import Moment, Said, Speaker, Speech

RANDOM_BYTES = 10_000_000
MUTATED_FRAMES = 1_000_000
STRETCHES = 100
"""After each of so many a good frame must be read."""

_SILENCE_S = 3_600.0
_PIECE = 1_024
_WALL_US = 1_800_000_000_000_000
_MOST_TICKS = 50
# What an empty wand answers to a whole look at it, and then one that holds two visits. A wand only answers, so that it
# has no captures that say something by themselves; these were put together by hand.
_EMPTY_WAND = "AA EB3207 1A0B160C000000 6B EB3405 0102030405 33 EB3602 0000 23 EB3D02 0000 2A"
_FULL_WAND = (
    "AA EB3207 1A0B160C000000 6B EB3405 0102030405 33 EB3602 0002 25 EB3D02 0000 2A"
    "EB380B 1A0B160B0000 0F004EBEF0 7F EB380B 1A0B160B0001 0F004EBEF1 81"
)


class Fuzzed(Struct, frozen=True):
    """One conversation.

    Attributes:
        goods: different good frames that were spoilt.
        good_read, good_said: of the good frames said after each stretch.
        refused: pieces of which something was refused.
        heard: pieces that said something all the same: a frame doubled, or a wrong digit where there is no checksum.
        slowest_ms: the longest that one piece took, of the wall clock.
        grown_kib: by how much the process grew from the first stretch to the last.
        us_a_frame: processor time of one mutated frame.
    """

    name: str
    random_bytes: int
    mutated_frames: int
    goods: int
    good_read: int
    good_said: int
    refused: int
    heard: int
    slowest_ms: float
    grown_kib: int
    us_a_frame: float


class Result(Struct, frozen=True):
    """All of them."""

    fuzzed: list[Fuzzed]


class Subject(Struct, frozen=True):
    """What is fuzzed: its name, a maker of fresh conversations, and good frames that a fresh one reads."""

    name: str
    make: Callable[[], Speech]
    goods: list[bytes]


def subjects() -> list[Subject]:
    """Every declared grammar, of every other language the profile with most captures that can be read by itself, and a
    wand.
    """
    found: list[Subject] = []
    for language in Language:
        profiles = [profile for profile in _speaking() if profile.speaks and profile.speaks.language is language]
        made = [subject for subject in map(_subject, profiles) if subject.goods]
        if language is not Language.GRAMMAR:
            made = sorted(made, key=lambda subject: len(subject.goods))[-1:]
        found += made
    return found


def measure(*, random_bytes: int = RANDOM_BYTES, mutated_frames: int = MUTATED_FRAMES) -> Result:
    """Fuzz all of them."""
    return Result([fuzz(subject, random_bytes, mutated_frames) for subject in subjects()])


def fuzz(subject: Subject, random_bytes: int, mutated_frames: int, *, seed: int = 1) -> Fuzzed:
    """Fuzz one conversation.

    Raises:
        AssertionError: a good frame was not read after a stretch.
    """
    chance = random.Random(seed)  # noqa: S311 - noise, not a secret
    run = _Run(subject, chance)
    for _ in range(STRETCHES):
        run.feed(chance.randbytes(random_bytes // STRETCHES))
        run.say_good()
    grown_from = _resident_kib()
    began = time.process_time()
    for _ in range(STRETCHES):
        for _ in range(mutated_frames // STRETCHES):
            run.feed(mutated(chance, chance.choice(subject.goods)))
        run.say_good()
    frames = mutated_frames // STRETCHES * STRETCHES
    return Fuzzed(
        name=subject.name,
        random_bytes=random_bytes // STRETCHES * STRETCHES,
        mutated_frames=frames,
        goods=len(subject.goods),
        good_read=run.good_read,
        good_said=2 * STRETCHES,
        refused=run.refused,
        heard=run.heard,
        slowest_ms=round(1000 * run.slowest_s, 1),
        grown_kib=_resident_kib() - grown_from,
        us_a_frame=round(1e6 * (time.process_time() - began) / max(frames, 1), 1),
    )


def mutated(chance: random.Random, good: bytes) -> bytes:
    """Spoil a frame: bits turned, bytes put in, taken out or doubled."""
    data = bytearray(good)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) or 1)
        kind = chance.randrange(4)
        if kind == 0 and data:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:at] = chance.randbytes(chance.randrange(1, 4))
        elif kind == 2:
            del data[at : at + chance.randrange(1, 6)]
        else:
            data[at:at] = data[: chance.randrange(len(data) + 1)]
    return bytes(data)


class _Run:
    """One conversation under fire."""

    def __init__(self, subject: Subject, chance: random.Random) -> None:
        self._subject, self._chance = subject, chance
        self._speech = subject.make()
        self._now = 0.0
        self.good_read = self.refused = self.heard = 0
        self._take(self._speech.open(self._moment()))
        self.slowest_s = 0.0

    def feed(self, data: bytes) -> None:
        """Let it hear bytes, in pieces."""
        for at in range(0, len(data), _PIECE):
            self._now += 0.1
            began = time.monotonic()
            said = self._speech.hear(data[at : at + _PIECE], self._moment())
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.heard += any(one.heard for one in said)
            self.refused += any(one.refused for one in said)
            self._take(said)

    def say_good(self) -> None:
        """Be silent until nothing waits any more, then say a good frame: it must be read."""
        for _ in range(_MOST_TICKS):
            due = self._speech.next_at()
            if due is None:
                break
            self._now = max(self._now, due)
            self._take(self._speech.tick(self._moment()))
        self._now += _SILENCE_S
        good = self._chance.choice(self._subject.goods)
        said = self._speech.hear(good, self._moment())
        if not any(one.heard or one.send for one in said):
            why = [one.refused for one in said]
            raise AssertionError(f"{self._subject.name}: {good!r} is not read after noise: {why}")
        self.good_read += 1
        self._take(said)

    def _take(self, said: list[Said]) -> None:
        for one in said:
            if one.token is not None:
                self._speech.kept(one.token, self._moment())

    def _moment(self) -> Moment:
        return Moment(self._now, _WALL_US + int(self._now * 1e6))


@cache
def _speaking() -> tuple[Profile, ...]:
    return tuple(profile for profile in map(load_profile, list_profiles()) if profile.speaks is not None)


def _subject(profile: Profile) -> Subject:
    speaks = profile.speaks
    if speaks is None:
        raise ValueError(f"{profile.profile} does not speak")
    language = speaks.language

    def make() -> Speech:
        return make_speech(language, [Speaker(device="d")], {"d": profile}, make_shared(language))

    name = profile.profile if language is Language.GRAMMAR else language.value
    return Subject(name, make, list(_goods(profile, make)))


def _goods(profile: Profile, make: Callable[[], Speech]) -> Iterator[bytes]:
    """The captures that a fresh conversation understands without anything before them."""
    if profile.speaks is not None and profile.speaks.language is Language.EB_WAND:
        yield from map(bytes.fromhex, (_EMPTY_WAND, _FULL_WAND))
    for capture in profile.capture:
        data = bytes.fromhex(capture.bytes) if capture.bytes else capture.text.encode()
        speech, moment = make(), Moment(0.0, _WALL_US)
        speech.open(moment)
        if any(said.heard for said in speech.hear(data, moment)):
            yield data


def _resident_kib() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss // 1024)
