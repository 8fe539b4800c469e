"""Occurrences counted: tallies that can be merged and taken away from each other without a rest. Pure.

A tally holds counts, and times in buckets (`cloud.numbers.histogram`). The tally of a union of disjoint sets is the
merge of their tallies, and `difference` is the way back; so a day that has changed changes what stands above it by the
difference. No map holds a zero, so that equal sets have equal tallies.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from cloud.desk.core import ClosingCode
from cloud.desk.noise import FLEETING_WITHIN_US, STALE_AFTER_US
from cloud.numbers.histogram import Histogram, bucket
from contract.alarms import Mode

GATEWAY_LOST = "gateway-lost"
DEFAULT_TARGET_S = 300
"""Of an alarm whose place and severity have no target of their own."""

PERIOD_US = 600_000_000
"""Ten minutes, in which ISA-18.2 counts what an operator is shown."""

FALSE_CODES = (
    ClosingCode.ACCIDENTAL,
    ClosingCode.MALICIOUS,
    ClosingCode.EQUIPMENT_FAULT,
    ClosingCode.WEATHER_ANIMAL,
    ClosingCode.COMMUNICATIONS,
)
"""What was no emergency though nobody had announced a test."""


class Count(StrEnum):
    """What is counted; all but the last two of live alarms only. Stored, so a word never changes its meaning."""

    RAISED = "raised"
    TRIGGERS = "triggers"
    LATE = "late"
    HANDLED = "handled"
    """Acknowledged or closed."""
    STALE = "stale"
    """Stood for more than a day, and is over now."""
    CHATTERING = "chattering"
    FLEETING = "fleeting"
    STOOD_S = "stood-s"
    """Whole seconds from raise to clear, of those that are over."""
    TEST = "test"
    DRILL = "drill"


class Stage(StrEnum):
    """How long something took: transmission from press to desk, the others from there on."""

    TRANSMISSION = "transmission"
    ACKNOWLEDGE = "acknowledge"
    DISPATCH = "dispatch"
    SCENE = "scene"
    CLOSE = "close"


RESPONSE = (Stage.ACKNOWLEDGE, Stage.DISPATCH, Stage.SCENE, Stage.CLOSE)


class Fact(Struct, frozen=True, array_like=True):
    """What of an occurrence is counted; the fields as in `cloud.desk.core.Alarm`.

    Attributes:
        acknowledged_at_us: the first time.
        transmission_class: of its site, "" for none.
        site: "" for none.
    """

    source: str
    area_path: str
    kind: str
    severity: str
    mode: str
    late: bool
    triggers: int
    raised_at_us: int
    stored_at_us: int
    acknowledged_at_us: int | None
    dispatched_at_us: int | None
    arrived_at_us: int | None
    cleared_at_us: int | None
    closed_at_us: int | None
    closing_code: str | None
    target_s: int | None
    latching: bool
    chattering: bool
    transmission_class: str = ""
    site: str = ""


class Tally(Struct, frozen=True):
    """A set of occurrences, counted.

    Attributes:
        counts: see `Count`.
        closed: by closing code.
        within: how many reached a stage of the response within their target.
        times: histograms.
    """

    counts: dict[Count, int] = {}
    closed: dict[ClosingCode, int] = {}
    within: dict[Stage, int] = {}
    times: dict[Stage, Histogram] = {}


class Content(Struct, frozen=True):
    """What happened in one area in one span of time.

    Attributes:
        by: tallies under `<kind>/<severity>`.
        load: alarms annunciated, by ten minutes since 1970: raises and second presses, when they happened.
        reporting: of lost gateways, how long until the desk said so, under the transmission class of their site.
        calls: false calls, by kind and site ("" for none).
    """

    by: dict[str, Tally] = {}
    load: dict[int, int] = {}
    reporting: dict[str, Histogram] = {}
    calls: dict[str, dict[str, int]] = {}


NOTHING = Content()

Key = TypeVar("Key")
Outer = TypeVar("Outer")


def tally_of(facts: Iterable[Fact]) -> Tally:
    """Count occurrences."""
    tally = Tally({}, {}, {}, {})
    for fact in facts:
        _count(tally, fact)
    return tally


def content_of(facts: Iterable[Fact], load: Mapping[int, int]) -> Content:
    """Count the occurrences raised in one span of time, by kind and severity.

    Args:
        facts: of one area.
        load: see `Content`.
    """
    content = Content({}, dict(load), {}, {})
    for fact in facts:
        tally = content.by.setdefault(f"{fact.kind}/{fact.severity}", Tally({}, {}, {}, {}))
        _count(tally, fact)
        if fact.kind == GATEWAY_LOST and fact.mode == Mode.LIVE:
            histogram = content.reporting.setdefault(fact.transmission_class, {})
            _bump(histogram, bucket((fact.stored_at_us - fact.raised_at_us) / 1e6))
        if fact.closing_code in FALSE_CODES and fact.mode == Mode.LIVE:
            _bump(content.calls.setdefault(fact.kind, {}), fact.site)
    return content


def merged(tallies: Iterable[Tally]) -> Tally:
    """Tally the union of disjoint sets."""
    result = Tally({}, {}, {}, {})
    for tally in tallies:
        _add_tally(result, tally, 1)
    return result


def difference(whole: Tally, part: Tally) -> Tally:
    """Tally what is left of a set when a part of it is taken away; of a change, counts may be negative."""
    result = merged([whole])
    _add_tally(result, part, -1)
    return result


def merged_contents(contents: Iterable[Content]) -> Content:
    """Tell what happened in all these spans and areas together."""
    result = Content({}, {}, {}, {})
    for content in contents:
        _add_content(result, content, 1)
    return result


def content_difference(after: Content, before: Content) -> Content:
    """Tell what must be merged with `before` so that it becomes `after`."""
    result = merged_contents([after])
    _add_content(result, before, -1)
    return result


def add(result: dict[Key, int], other: Mapping[Key, int], sign: int = 1) -> None:
    """Add counts to others, or take them away; what becomes zero goes."""
    if sign > 0 and result.keys().isdisjoint(other):
        # As of the load of days, and of what is the first.
        result.update(other)
        return
    for key, count in other.items():
        left = result.get(key, 0) + sign * count
        if left:
            result[key] = left
        else:
            result.pop(key, None)


def _count(tally: Tally, fact: Fact) -> None:
    if fact.mode != Mode.LIVE:
        _bump(tally.counts, Count.TEST if fact.mode == Mode.TEST else Count.DRILL)
        return
    end_us = fact.closed_at_us if fact.cleared_at_us is None else fact.cleared_at_us
    stood_us = None if end_us is None else end_us - fact.raised_at_us
    is_handled = fact.acknowledged_at_us is not None or fact.closed_at_us is not None
    went_soon = fact.cleared_at_us is not None and fact.cleared_at_us - fact.raised_at_us <= FLEETING_WITHIN_US
    counted = {
        Count.RAISED: 1,
        Count.TRIGGERS: fact.triggers,
        Count.LATE: int(fact.late),
        Count.HANDLED: int(is_handled),
        Count.STALE: int(stood_us is not None and stood_us > STALE_AFTER_US),
        Count.CHATTERING: int(fact.chattering),
        Count.FLEETING: int(went_soon and not fact.latching and fact.triggers == 1),
        Count.STOOD_S: 0 if stood_us is None else max(0, stood_us) // 1_000_000,
    }
    for what, number in counted.items():
        _bump(tally.counts, what, number)
    if fact.closing_code is not None:
        _bump(tally.closed, ClosingCode(fact.closing_code))
    _count_times(tally, fact)


def _count_times(tally: Tally, fact: Fact) -> None:
    _bump(tally.times.setdefault(Stage.TRANSMISSION, {}), bucket((fact.stored_at_us - fact.raised_at_us) / 1e6))
    target_s = DEFAULT_TARGET_S if fact.target_s is None else fact.target_s
    moments = fact.acknowledged_at_us, fact.dispatched_at_us, fact.arrived_at_us, fact.closed_at_us
    for stage, moment_us in zip(RESPONSE, moments, strict=True):
        if moment_us is not None:
            took_s = (moment_us - fact.stored_at_us) / 1e6
            _bump(tally.times.setdefault(stage, {}), bucket(took_s))
            _bump(tally.within, stage, int(took_s <= target_s))


def _add_content(result: Content, other: Content, sign: int) -> None:
    for name, tally in other.by.items():
        kept = result.by.setdefault(name, Tally({}, {}, {}, {}))
        _add_tally(kept, tally, sign)
        if not (kept.counts or kept.closed or kept.within or kept.times):
            del result.by[name]
    add(result.load, other.load, sign)
    _add_inner(result.reporting, other.reporting, sign)
    _add_inner(result.calls, other.calls, sign)


def _add_tally(result: Tally, other: Tally, sign: int) -> None:
    add(result.counts, other.counts, sign)
    add(result.closed, other.closed, sign)
    add(result.within, other.within, sign)
    _add_inner(result.times, other.times, sign)


def _add_inner(result: dict[Outer, dict[Key, int]], other: Mapping[Outer, Mapping[Key, int]], sign: int) -> None:
    for name, counts in other.items():
        kept = result.setdefault(name, {})
        add(kept, counts, sign)
        if not kept:
            del result[name]


def _bump(counts: dict[Key, int], key: Key, by: int = 1) -> None:
    if by:
        counts[key] = counts.get(key, 0) + by
