"""Which samples concern which trade: told by the points that they have. Pure."""

from collections.abc import Collection, Iterable
from enum import StrEnum

import msgspec

from contract.telemetry import Sample


class Trade(StrEnum):
    """Who judges what was heard; stored."""

    BIKES = "bikes"
    """What readers say of tags: `tag` and `presence`."""
    PATROLS = "patrols"
    """What wands say: visits, hits, and that one was read out."""
    VEHICLES = "vehicles"
    """Positions: `latitude` and `longitude`."""


_MARKS: tuple[tuple[frozenset[str], Trade], ...] = (
    (frozenset({"tag", "presence"}), Trade.BIKES),
    (frozenset({"card", "visited_at"}), Trade.PATROLS),
    (frozenset({"hit_at"}), Trade.PATROLS),
    (frozenset({"machine", "records"}), Trade.PATROLS),
    (frozenset({"latitude", "longitude"}), Trade.VEHICLES),
)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Sample, ...])


def sort_out(samples: Iterable[Sample], follow: Collection[Trade]) -> dict[Trade, list[Sample]]:
    """Find the samples of the trades in `follow`, in their order; most samples concern none."""
    found: dict[Trade, list[Sample]] = {}
    for sample in samples:
        keys = {point.key for point in sample.points}
        for marks, trade in _MARKS:
            if marks <= keys and trade in follow:
                found.setdefault(trade, []).append(sample)
                break
    return found


def write_samples(samples: Iterable[Sample]) -> bytes:
    """Write samples for the table `observation`."""
    return _encoder.encode(tuple(samples))


def read_samples(data: bytes) -> tuple[Sample, ...]:
    """Read what `write_samples` has written."""
    return _decoder.decode(data)
