"""From steady time to wall time for what was put down before anybody knew the time. Pure.

The offset of a machine boot is fixed once and for ever: an alarm's id follows from its time, so its raise, its clear
and everything that is sent again must get the same one.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from contract.alarms import AlarmEvent, Transition, encode_alarm
from contract.compression import ContentEncoding, pack, unpack
from contract.telemetry import ClockMark, ClockSource, shift_telemetry
from edge.clock import PLAUSIBLE_US, is_wall
from edge.outbox.batch import Batch


class Fixed(Struct, frozen=True):
    """Wall less steady time of one machine boot, and how good that is."""

    offset_us: int
    mark: ClockMark


class Waiting(Struct, frozen=True):
    """What waits unstamped from one machine boot: its latest steady time, and what the machine then took for the time.

    Attributes:
        guess_us: wall less steady time.
    """

    machine: str
    newest_us: int
    guess_us: int


class Unstamped(Struct, frozen=True):
    """An alarm event as it is kept until it is stamped; its times are steady times of the two machine boots."""

    event: AlarmEvent
    machine: str
    raised_machine: str


_decoder = msgspec.json.Decoder(Unstamped)
_encoder = msgspec.json.Encoder()


def encode_unstamped(unstamped: Unstamped) -> bytes:
    """Write it for the disk."""
    return _encoder.encode(unstamped)


def estimate(waiting: Sequence[Waiting], *, began_us: int) -> dict[str, Fixed]:
    """Guess the offsets of machine boots that never knew the time.

    The machine's own clock is believed where it can be true (it may have a battery, or had been saved at the last
    stop); where it cannot, the boot is placed right before the one that followed it. Either way the order is kept.

    Args:
        waiting: one a boot, the latest boot first.
        began_us: wall time at which the boot after them began.
    """
    fixed = {}
    for one in waiting:
        latest_us = began_us - 1 - one.newest_us
        is_possible = one.guess_us + one.newest_us >= PLAUSIBLE_US and one.guess_us <= latest_us
        offset_us = one.guess_us if is_possible else latest_us
        fixed[one.machine] = Fixed(offset_us, ClockMark(ClockSource.ESTIMATED))
        began_us = offset_us
    return fixed


def wall_of(time_us: int, machine: str, fixed: Mapping[str, Fixed]) -> int | None:
    """Return the wall time of a time of a machine boot; None while its offset is not known."""
    if is_wall(time_us):
        return time_us
    known = fixed.get(machine)
    return None if known is None else time_us + known.offset_us


def not_before(raised_at_us: int, at_us: int, transition: Transition, number: int) -> int:
    """Return the time of a transition, which is never before its raise, though the clock of an earlier boot was ahead.

    A second press has an id that follows from its time, so each has one of its own: `number` microseconds behind.
    """
    if at_us > raised_at_us:
        return at_us
    return raised_at_us + (number if transition is Transition.RETRIGGERED else 0)


def stamped(batch: Batch, fixed: Mapping[str, Fixed]) -> Batch | None:
    """Return the batch as it can be sent; None while the offset of its machine boot is not known."""
    if batch.clock is not None:
        return batch
    known = fixed.get(batch.machine)
    if known is None:
        return None
    if not batch.is_alarm:
        plain = shift_telemetry(unpack(batch.payload, batch.encoding), known.offset_us)
        is_packed = batch.encoding is ContentEncoding.DEFLATE
        encoding, payload = pack(plain) if is_packed else (batch.encoding, plain)
        newest_us = batch.newest_us + known.offset_us
        return replace(batch, payload=payload, encoding=encoding, newest_us=newest_us, clock=known.mark, machine="")
    kept = _decoder.decode(batch.payload)
    at_us = wall_of(kept.event.at_us, kept.machine, fixed)
    raised_at_us = wall_of(kept.event.raised_at_us, kept.raised_machine, fixed)
    if at_us is None or raised_at_us is None:
        return None
    at_us = not_before(raised_at_us, at_us, kept.event.transition, batch.id)
    event = replace(kept.event, raised_at_us=raised_at_us, at_us=at_us)
    return replace(batch, payload=encode_alarm(event), newest_us=event.at_us, clock=known.mark, machine="")
