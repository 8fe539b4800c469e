"""What a worker has done since it started: for its log and for whoever asks."""

import logging
from collections import Counter

import anyio
from msgspec import Struct, field

LOG_EVERY_S = 60.0


class Counters(Struct):
    """Counts of one worker; only its own event loop writes them.

    Attributes:
        messages: taken from the broker.
        stored: readings (ingest) or events (desk) committed; a repeat counts again.
        refused: messages or lines sent to the dead letters, by reason.
        retries: tries that the database did not answer, or turned away.
        lag_s: age of the oldest message of the last batch when it was committed, since it was received.
        reconnects: connections to the broker after the first.
        receipts_lost: receipts that could not be published; their gateways send again.
        untaken: messages that waited for a trade until they had to go; InfluxDB has them.
    """

    messages: int = 0
    stored: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    lag_s: float = 0.0
    reconnects: int = 0
    receipts_lost: int = 0
    untaken: int = 0


async def log_counters(log: logging.Logger, counters: Counters) -> None:
    """Write one line every 60 s until cancelled."""
    while True:
        await anyio.sleep(LOG_EVERY_S)
        log.info(
            "messages %d, stored %d, refused %s, retries %d, reconnects %d, receipts lost %d, untaken %d, lag %.3f s",
            counters.messages,
            counters.stored,
            dict(counters.refused) or 0,
            counters.retries,
            counters.reconnects,
            counters.receipts_lost,
            counters.untaken,
            counters.lag_s,
        )
