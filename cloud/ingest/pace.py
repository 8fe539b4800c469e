"""How an ingest worker does: what it took, how long writing took, how late readings came. Pure.

Times go into buckets, each 5 % wider than the one before (`cloud.numbers.histogram`), so that memory is bounded however
much is ingested; the longest lag is exact.
"""

from collections import Counter
from collections.abc import Iterable

from cloud.counters import Counters
from cloud.influx.lines import Fields
from cloud.numbers.histogram import bucket, percentile_s

_MS = 1_000.0


class Pace:
    """Counts what happens between two points of the measurement `ingest`.

    Args:
        now_s: a steady clock, when the worker began.
    """

    def __init__(self, now_s: float) -> None:
        self._born_s = self._since_s = now_s
        self._refused_before = 0
        self._begin()

    def _begin(self) -> None:
        self._messages = self._samples = self._writes = 0
        # The buckets know no unit: those of writing hold milliseconds.
        self._writes_ms: Counter[int] = Counter()
        self._lags_s: Counter[int] = Counter()
        self._longest_lag_s: float | None = None

    def take(self, messages: int) -> None:
        """Count messages that were taken and answered."""
        self._messages += messages

    def stored(self, measured_at_us: Iterable[int], *, received_at_us: int) -> None:
        """Count samples that are stored, and how late they came; one from the future is not late."""
        for at_us in measured_at_us:
            lag_s = max(0.0, (received_at_us - at_us) / 1e6)
            self._samples += 1
            self._lags_s[bucket(lag_s)] += 1
            self._longest_lag_s = max(self._longest_lag_s or 0.0, lag_s)

    def wrote(self, took_s: float) -> None:
        """Count one round of writing, its repeats included."""
        self._writes += 1
        self._writes_ms[bucket(took_s * _MS)] += 1

    def point(self, *, now_s: float, counters: Counters, waiting: int) -> Fields:
        """Write the fields of a point, and begin anew; what cannot be said has none.

        Args:
            now_s: the steady clock.
            counters: of the worker, since it began.
            waiting: messages taken and not yet stored.
        """
        span_s = max(now_s - self._since_s, 1e-3)
        refused = sum(counters.refused.values())
        fields: Fields = {
            "batches_per_s": self._messages / span_s,
            "samples_per_s": self._samples / span_s,
            "lines_per_write": self._samples / self._writes if self._writes else None,
            "write_p50_ms": percentile_s(self._writes_ms, 0.5),
            "write_p99_ms": percentile_s(self._writes_ms, 0.99),
            "lag_p50_s": percentile_s(self._lags_s, 0.5),
            "lag_p99_s": percentile_s(self._lags_s, 0.99),
            "lag_max_s": self._longest_lag_s,
            "waiting": waiting,
            "dead_letters": refused,
            "refused": refused - self._refused_before,
            "reconnects": counters.reconnects,
            "uptime_s": now_s - self._born_s,
        }
        self._since_s, self._refused_before = now_s, refused
        self._begin()
        return fields
