"""From what wands say to visits, hits and read-outs. Pure."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from cloud.patrols.sheets import card_key
from contract.limits import MAX_TIME_US, MIN_TIME_US
from contract.telemetry import Sample

MAX_CARD_CHARS = 64
_MAX_ORIGIN_CHARS = 140
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_COUNT = 2**31 - 1


class Source(StrEnum):
    """How a visit came; stored."""

    WAND = "wand"
    FILE = "file"
    HAND = "hand"


class HeardVisit(Struct, frozen=True):
    """A card that was read.

    Attributes:
        origin: who read it: `origin_of`.
        gateway, device, machine: which may tell whose wand it is; "" where it is not said.
        person: as it was said, "" else.
    """

    origin: str
    card: str
    at_us: int
    gateway: str = ""
    device: str = ""
    machine: str = ""
    person: str = ""
    source: Source = Source.WAND

    @property
    def id(self) -> str:
        """The same for the same reader, card and moment: 24 hexadecimal digits."""
        return hashlib.sha256(f"{self.origin}|{self.card}|{self.at_us}".encode()).hexdigest()[:24]


class HeardHit(Struct, frozen=True):
    """A wand that was dropped, or worse."""

    origin: str
    at_us: int
    gateway: str
    device: str
    machine: str


class HeardSync(Struct, frozen=True):
    """A wand that was put into its cradle: all visits of before are in it, and come now."""

    at_us: int
    gateway: str
    device: str
    machine: str
    records: int | None = None
    hits: int | None = None
    clock_error_s: float | None = None


Heard = HeardVisit | HeardHit | HeardSync


def origin_of(machine: str, gateway: str, device: str) -> str:
    """Name who read a card: the wand itself where it says which it is, else the device that was heard."""
    return (card_key(machine) if machine.strip() else f"{gateway}/{device}")[:_MAX_ORIGIN_CHARS]


def read_samples(gateway: str, samples: Iterable[Sample]) -> list[Heard]:
    """Find what wands say in the samples of one message; a visit without a time is none."""
    found: list[Heard] = []
    for sample in samples:
        said = {point.key: point.value for point in sample.points}
        machine = str(said.get("machine", ""))[:MAX_CARD_CHARS]
        origin = origin_of(machine, gateway, sample.device)
        if "card" in said and "visited_at" in said:
            at_us, card = _moment_us(said["visited_at"]), card_key(str(said["card"]))
            if at_us is not None and 0 < len(card) <= MAX_CARD_CHARS:
                found.append(HeardVisit(origin, card, at_us, gateway, sample.device, machine))
        elif "hit_at" in said:
            at_us = _moment_us(said["hit_at"])
            if at_us is not None:
                found.append(HeardHit(origin, at_us, gateway, sample.device, machine))
        elif "records" in said:
            records, hits = _count(said["records"]), _count(said.get("hits"))
            error_s = _number(said.get("clock_error"))
            found.append(HeardSync(sample.at_us, gateway, sample.device, machine, records, hits, error_s))
    return found


def _moment_us(text: object) -> int | None:
    """Read a moment as RFC 3339 has it; None for what is none, and for what lies beyond all wands' years."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    at_us = (moment - _EPOCH) // timedelta(microseconds=1)
    return at_us if MIN_TIME_US <= at_us < MAX_TIME_US else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= _MAX_COUNT else None


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
