"""How contents stand in the database: JSON that is soon read, and put together for a span of time. Pure.

A city's year has 52 560 periods of ten minutes, and thousands of buckets of times and of sites with false calls.
So counts stand in runs, which are lists and not maps, and what is asked by itself stands on a line of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import add as plus
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from cloud.desk.core import ClosingCode
from cloud.numbers.histogram import LAST, Histogram
from cloud.numbers.tally import NOTHING, Content, Count, Stage, Tally, add

Run = tuple[int, list[int]]
"""Counts of periods, or of buckets, that follow each other: the first one's number, and how many in each."""

Key = TypeVar("Key")

# So many zeros are about as long as the beginning of a new run.
_APART = 6


class WrittenTally(Struct, frozen=True, omit_defaults=True):
    """A `Tally`; its histograms are runs."""

    counts: dict[Count, int] = {}
    closed: dict[ClosingCode, int] = {}
    within: dict[Stage, int] = {}
    times: dict[Stage, list[Run]] = {}


class Span(Struct, frozen=True, omit_defaults=True):
    """The first line: a `Content` but for its false calls; its load and histograms are runs."""

    by: dict[str, WrittenTally] = {}
    load: list[Run] = []
    reporting: dict[str, list[Run]] = {}


class Together(Struct, frozen=True):
    """What happened in one area in spans of time that follow each other.

    Attributes:
        by, reporting: as of `Content`.
        load: its runs, by rising periods.
    """

    by: dict[str, Tally]
    load: list[Run]
    reporting: dict[str, Histogram]


_encoder = msgspec.json.Encoder()
_span_decoder = msgspec.json.Decoder(Span)
# The second line: false calls, by kind and site.
_calls_decoder = msgspec.json.Decoder(dict[str, dict[str, int]])
_some_calls_decoder = msgspec.json.Decoder(dict[str, Raw])
_sites_decoder = msgspec.json.Decoder(dict[str, int])


def write_content(content: Content) -> str:
    """Write it for the database."""
    by = {
        name: WrittenTally(one.counts, one.closed, one.within, _all_runs(one.times)) for name, one in content.by.items()
    }
    span = Span(by, runs_of(content.load), _all_runs(content.reporting))
    return (_encoder.encode(span) + b"\n" + _encoder.encode(content.calls)).decode()


def read_content(text: str | None) -> Content:
    """Read what `write_content` wrote; None is nothing."""
    if text is None:
        return NOTHING
    first, second = text.split("\n")
    span = _span_decoder.decode(first)
    by = {
        name: Tally(one.counts, one.closed, one.within, {stage: _counts_of(runs) for stage, runs in one.times.items()})
        for name, one in span.by.items()
    }
    reporting = {name: _counts_of(runs) for name, runs in span.reporting.items()}
    return Content(by, _counts_of(span.load), reporting, _calls_decoder.decode(second))


def read_span(text: str) -> Span:
    """Read all of it but the false calls."""
    return _span_decoder.decode(text.partition("\n")[0])


def read_calls(text: str, kinds: Iterable[str]) -> list[dict[str, int]]:
    """Read only the false calls of some kinds, by site."""
    calls = _some_calls_decoder.decode(text.partition("\n")[2])
    return [_sites_decoder.decode(calls[kind]) for kind in kinds if kind in calls]


def joined(spans: Iterable[Span]) -> Together:
    """Put spans of time together, of which each begins where the one before it ends."""
    by: dict[str, Tally] = {}
    times: dict[tuple[str, Stage], list[int]] = {}
    reporting: dict[str, list[int]] = {}
    load: list[Run] = []
    for span in spans:
        for name, one in span.by.items():
            kept = by.setdefault(name, Tally({}, {}, {}, {}))
            add(kept.counts, one.counts)
            add(kept.closed, one.closed)
            add(kept.within, one.within)
            for stage, runs in one.times.items():
                _add_runs(times.setdefault((name, stage), [0] * (LAST + 1)), runs)
        for name, runs in span.reporting.items():
            _add_runs(reporting.setdefault(name, [0] * (LAST + 1)), runs)
        _go_on(load, span.load)
    for (name, stage), buckets in times.items():
        by[name].times[stage] = _counts_of([(0, buckets)])
    return Together(by, load, {name: _counts_of([(0, buckets)]) for name, buckets in reporting.items()})


def runs_of(counts: Mapping[int, int]) -> list[Run]:
    """Write counts by number as runs; a few zeros are part of one, more of them end it."""
    runs: list[Run] = []
    following = 0
    for number in sorted(counts):
        if not runs or number - following > _APART:
            runs.append((number, []))
        else:
            runs[-1][1].extend([0] * (number - following))
        runs[-1][1].append(counts[number])
        following = number + 1
    return runs


def _counts_of(runs: Iterable[Run]) -> dict[int, int]:
    return {first + at: count for first, counts in runs for at, count in enumerate(counts) if count}


def _all_runs(histograms: Mapping[Key, Histogram]) -> dict[Key, list[Run]]:
    return {name: runs_of(histogram) for name, histogram in histograms.items()}


def _add_runs(buckets: list[int], runs: Iterable[Run]) -> None:
    for first, counts in runs:
        place = slice(first, first + len(counts))
        buckets[place] = map(plus, buckets[place], counts)


def _go_on(load: list[Run], more: Sequence[Run]) -> None:
    """Append what follows, as one run where it follows at once: a flood goes on from month to month.

    In zones whose days do not begin with a period, one is in both.
    """
    runs = [(first, list(counts)) for first, counts in more]
    if load and runs:
        before, (first, counts) = load[-1], runs[0]
        if first < before[0] + len(before[1]):
            before[1][-1] += counts.pop(0)
            first += 1
        if first == before[0] + len(before[1]):
            before[1].extend(counts)
            del runs[0]
    load += runs
