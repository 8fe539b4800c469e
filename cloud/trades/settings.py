"""Settings of the trades' worker."""

from typing import Annotated

from msgspec import Meta, Struct

from cloud.feed.sorting import Trade


class Trades(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept for the trades.

    Attributes:
        follow: trades for which ingest keeps what was heard; none where `langyan cloud trades` does not run.
        observations: messages that wait at most; beyond it the oldest go, a twentieth of it at a time, and are in
            InfluxDB alone.
        measures: lines that wait for InfluxDB at most.
    """

    follow: tuple[Trade, ...] = tuple(Trade)
    observations: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 500_000
    measures: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 1_000_000
