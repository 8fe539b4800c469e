"""What the outbox holds: messages, and how much of them."""

from typing import NamedTuple

from msgspec import Struct

from contract.compression import ContentEncoding
from contract.telemetry import ClockMark


class Ref(NamedTuple):
    """Names one batch for ever: the random name of its store, and a number that is never used twice there."""

    store: str
    number: int

    def to_bytes(self) -> bytes:
        """Write it as MQTT correlation data."""
        return f"{self.store}:{self.number}".encode()


class Batch(Struct, frozen=True):
    """One stored message.

    Attributes:
        store: random name of the store that holds it.
        id: number in that store; rises, never used twice.
        is_alarm: one alarm event rather than readings.
        readings: how many readings (or events) it holds.
        boot: run of the gateway that made it.
        encoding, payload: the message.
        clock: how good its times are; None while they are steady times of the machine boot `machine`.
        machine: see there; "" once it is stamped.
        newest_us: the latest time in it, wall or steady as `clock` says.
        guess_us: wall less steady time as the machine had it when the batch was made, trusted or not.
        source, at_us: of an alarm event, as the rules gave it.
    """

    store: str
    id: int
    is_alarm: bool
    readings: int
    boot: str
    encoding: ContentEncoding
    payload: bytes
    clock: ClockMark | None = None
    machine: str = ""
    newest_us: int = 0
    guess_us: int = 0
    source: str = ""
    at_us: int = 0

    @property
    def ref(self) -> Ref:
        """Its name."""
        return Ref(self.store, self.id)


class Depth(Struct, frozen=True):
    """What waits: batches, readings (or events) in them, bytes they take."""

    batches: int = 0
    readings: int = 0
    bytes: int = 0
