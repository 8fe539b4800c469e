"""What ingest asks of an InfluxDB, whatever its version; and how HTTP answers become errors."""

import re
from typing import Protocol

from cloud.errors import CloudError, DatabaseAwayError, DatabaseRefusedError, HoldError, TooLargeError

MAX_WORDS = 600
_REFUSED = frozenset({400, 422})
# Limits of InfluxDB 1.x on its own size. Source: influxdata/influxdb 1.6, tsdb/config.go and tsdb/shard.go.
_FULL = ("max-values-per-tag limit exceeded", "max-series-per-database limit exceeded")
# 1.6.7 says so with status 500, as if time would mend it.
_NO_POLICY = "retention policy not found"
_NO_BUCKET = re.compile(r"bucket .*not found")
_NOT_FOUND = 404
_TOO_LARGE = 413
_HOLD = frozenset({401, 403, 404})
# Longer would outlast any operator's patience; the server is asked again after this at the latest.
MAX_RETRY_AFTER_S = 300.0


class InfluxWriter(Protocol):
    """Writes line protocol with microsecond timestamps."""

    async def write(self, lines: bytes, *, policy: str = "") -> None:
        """Write lines parted by newlines; return only when the server has them all.

        Args:
            lines: of one retention policy.
            policy: its name, `cloud.influx.schema.policy_of`; "" is the default one.

        Raises:
            DatabaseAwayError: no answer in time, or the server is busy or broken (429, 5xx).
            HoldError: credentials or database are wrong (401, 403, 404, and whatever else is unexpected), or the
                server has reached a limit of its own.
            DatabaseRefusedError: something in it will never be taken (400, 422).
            TooLargeError: send less at once (413).
        """

    async def ensure_database(self) -> None:
        """Create the database, and the policy of what is kept for long, where that is ours to do (1.x).

        Nothing happens when they exist, however long they keep: that is for `langyan cloud init`.

        Raises:
            DatabaseAwayError, HoldError.
        """

    async def ping(self) -> bool:
        """Tell whether the server answers."""

    async def close(self) -> None:
        """Let go of connections."""


def error_for(status: int, words: str, *, retry_after: str | None = None) -> CloudError:
    """Turn an HTTP answer that is not 2xx into the error a sender acts on.

    Args:
        status: of the answer.
        words: its body; long ones are cut.
        retry_after: the header, seconds; its date form is not read.
    """
    why = f"HTTP {status}: {' '.join(words.split())[:MAX_WORDS]}"
    if _NO_POLICY in words or (status == _NOT_FOUND and _NO_BUCKET.search(words)):
        return HoldError(f"{why}: run langyan cloud init", status=status)
    if status in _REFUSED and any(limit in words for limit in _FULL):
        # Not the line's fault: with more room the server takes it, so it is not for the dead letters.
        return HoldError(why, status=status)
    if status in _REFUSED:
        return DatabaseRefusedError(why)
    if status == _TOO_LARGE:
        return TooLargeError(why)
    if status == 429 or status >= 500:  # noqa: PLR2004 - HTTP's own classes
        seconds = retry_after.strip() if retry_after else ""
        wait_s = min(float(seconds), MAX_RETRY_AFTER_S) if seconds.isascii() and seconds.isdigit() else None
        return DatabaseAwayError(why, retry_after_s=wait_s)
    return HoldError(why, status=status)
