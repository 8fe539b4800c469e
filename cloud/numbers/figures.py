"""What the numbers of an area are, and how they follow from its tallies. Pure; docs/numbers.md defines each of them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from msgspec import Struct

from cloud.numbers.availability import Availability
from cloud.numbers.busy import Busy
from cloud.numbers.classes import REPORTING_S, TRANSMISSION_DEGRADED_S, TRANSMISSION_MAXIMUM_S
from cloud.numbers.histogram import Histogram, percentile_s, share_within
from cloud.numbers.limits import Judgement, judge, judge_load
from cloud.numbers.load import Load
from cloud.numbers.tally import FALSE_CODES, RESPONSE, Count, Stage, Tally, merged
from contract.alarms import Severity

HOLD_UP_VERIFIED = "hold-up-verified"

RULE_OF_TWO = 2
"""False calls of a site in 12 months with which the police may cease to come (UK police policy)."""

_URGENT = (Severity.CRITICAL, Severity.HIGH)


class Scope(Struct, frozen=True):
    """What the numbers are about: an area and all below it, for whole local days.

    Attributes:
        area_path: "" for everything.
        first_day, last_day: both counted.
        from_us, until_us: the same as moments; the end is that of the last day, or now.
        timezone: of the days.
        kind, severity: what alone is counted; None for all.
        operators: who share the load.
        uncounted: changes that the tallies do not know yet.
    """

    area_path: str
    first_day: date
    last_day: date
    from_us: int
    until_us: int
    timezone: str
    kind: str | None
    severity: str | None
    operators: int
    uncounted: int


class Counts(Struct, frozen=True):
    """How many alarms were raised in the span, and what became of them; all live but `test` and `drill`.

    Attributes:
        triggers: raises and second presses counted to them.
        handled: acknowledged or closed.
        closed: by closing code.
        disposition_share: closed within target, of those handled; None without any.
    """

    raised: int
    triggers: int
    late: int
    test: int
    drill: int
    handled: int
    closed_total: int
    closed: dict[str, int]
    false_calls: int
    verified_hold_ups: int
    disposition_share: float | None
    by_kind: dict[str, int]
    by_severity: dict[str, int]


class Times(Struct, frozen=True):
    """How long one stage took.

    Attributes:
        count: how many got that far.
        p50_s, p90_s, p99_s: of those, seconds, at most 5 % too long; None without any.
        within_share: got that far within their target, of all raised; None without any.
    """

    count: int
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    within_share: float | None


class Reporting(Struct, frozen=True):
    """How long it took until the desk said that a gateway is lost, at sites of one class.

    Attributes:
        transmission_class: SP1 to DP4; "" for sites without one.
        losses: how many.
        p50_s, longest_s: seconds, at most 5 % too long.
        limit_s: what the class allows; None without one.
        within_share: of the losses.
    """

    transmission_class: str
    losses: int
    p50_s: float | None
    longest_s: float | None
    limit_s: int | None
    within_share: float | None


class Noise(Struct, frozen=True):
    """What makes alarms hard to work with.

    Attributes:
        stale: stood for more than a day.
        standing_stale: of these, those that stand now.
        bad_actors: the ten busiest sources of the months touched; None when only some alarms are counted.
        bad_actor_share: of all annunciated in these months.
    """

    chattering: int
    fleeting: int
    stale: int
    standing_stale: int
    bad_actors: list[Busy] | None
    bad_actor_share: float | None


class SiteCalls(Struct, frozen=True):
    """A site and its false calls of 12 months; `site` and `name` are "" for alarms without one."""

    site: str
    name: str
    calls: int


class Numbers(Struct, frozen=True):
    """An area's numbers.

    Attributes:
        response: by stage, from the desk's database on.
        transmission: from the press to the desk's database.
        load, gateways, devices: None when only alarms of a kind or severity are counted.
        false_call_sites: of the 12 months up to the last day, the worst first, at most 50.
        judgements: what has limits.
    """

    scope: Scope
    counts: Counts
    response: dict[str, Times]
    transmission: Times
    reporting: list[Reporting]
    load: Load | None
    noise: Noise
    false_call_sites: list[SiteCalls]
    gateways: Availability | None
    devices: Availability | None
    judgements: list[Judgement]


def counts_of(chosen: Mapping[str, Tally]) -> Counts:
    """Count what tallies under `<kind>/<severity>` hold together."""
    tally = merged(chosen.values())
    counts = tally.counts
    by_kind, by_severity = _by(chosen, 0), _by(chosen, 1)
    return Counts(
        raised=counts.get(Count.RAISED, 0),
        triggers=counts.get(Count.TRIGGERS, 0),
        late=counts.get(Count.LATE, 0),
        test=counts.get(Count.TEST, 0),
        drill=counts.get(Count.DRILL, 0),
        handled=counts.get(Count.HANDLED, 0),
        closed_total=sum(tally.closed.values()),
        closed={code.value: count for code, count in sorted(tally.closed.items())},
        false_calls=sum(tally.closed.get(code, 0) for code in FALSE_CODES),
        verified_hold_ups=by_kind.get(HOLD_UP_VERIFIED, 0),
        disposition_share=share_of(tally.within.get(Stage.CLOSE, 0), counts.get(Count.HANDLED, 0)),
        by_kind=by_kind,
        by_severity=by_severity,
    )


def times_of(tally: Tally, stage: Stage) -> Times:
    """Tell how long one stage took."""
    histogram = tally.times.get(stage, {})
    raised = tally.counts.get(Count.RAISED, 0)
    return Times(
        count=sum(histogram.values()),
        p50_s=percentile_s(histogram, 0.5),
        p90_s=percentile_s(histogram, 0.9),
        p99_s=percentile_s(histogram, 0.99),
        within_share=(
            share_within(histogram, TRANSMISSION_DEGRADED_S)
            if stage is Stage.TRANSMISSION
            else share_of(tally.within.get(stage, 0), raised)
        ),
    )


def response_of(tally: Tally) -> dict[str, Times]:
    """Tell how long each stage of the response took."""
    return {stage.value: times_of(tally, stage) for stage in RESPONSE}


def reporting_of(by_class: Mapping[str, Histogram]) -> list[Reporting]:
    """Tell how long it took to report lost gateways, by class."""
    found: list[Reporting] = []
    for name, histogram in sorted(by_class.items()):
        limit_s = REPORTING_S.get(name)
        found.append(
            Reporting(
                transmission_class=name,
                losses=sum(histogram.values()),
                p50_s=percentile_s(histogram, 0.5),
                longest_s=percentile_s(histogram, 1.0),
                limit_s=limit_s,
                within_share=None if limit_s is None else share_within(histogram, limit_s),
            )
        )
    return found


def judgements_of(
    counts: Counts, response: Mapping[str, Times], transmission: Times, load: Load | None, noise: Noise
) -> Iterator[Judgement]:
    """Hold what has limits against them; what nothing is known of is left out."""
    if load is not None:
        yield from judge_load(load)
    if noise.bad_actor_share is not None:
        yield judge("bad-actors", noise.bad_actor_share, 0.01, 0.05, is_share=True)
    yield judge("chattering", noise.chattering, 0, 0)
    yield judge("fleeting", noise.fleeting, 0, 0)
    yield judge("stale", noise.standing_stale, 4, 4)
    urgent = share_of(sum(counts.by_severity.get(one, 0) for one in _URGENT), counts.raised)
    if urgent is not None:
        yield judge("urgent", urgent, 0.05, 0.05, is_share=True)
    # The shares to be reached are our own judgement; the target itself is the place's.
    reached = [("disposition", counts.disposition_share)]
    reached += [(f"{stage}-within", times.within_share) for stage, times in response.items() if times.count]
    for name, share in reached:
        if share is not None:
            yield judge(name, share, 0.9, 0.8, is_share=True, more_is_better=True)
    if transmission.p99_s is not None:
        yield judge("transmission-p99", transmission.p99_s, TRANSMISSION_DEGRADED_S, TRANSMISSION_MAXIMUM_S)


def judge_more(reporting: Sequence[Reporting], calls: Mapping[str, int]) -> Iterator[Judgement]:
    """Judge the reporting times by class, and how many sites have too many false calls; `calls` are those by site."""
    for one in reporting:
        if one.limit_s is not None and one.within_share is not None:
            yield judge(
                f"reporting-{one.transmission_class}", one.within_share, 1, 1, is_share=True, more_is_better=True
            )
    over = len([site for site, count in calls.items() if site and count >= RULE_OF_TWO])
    yield judge("false-call-sites", over, 0, 0)


def share_of(part: int, whole: int) -> float | None:
    """Tell a share; None of nothing."""
    return part / whole if whole else None


def _by(chosen: Mapping[str, Tally], place: int) -> dict[str, int]:
    """Count raises by one part of the tallies' names, the most frequent first."""
    found: Counter[str] = Counter()
    for name, tally in chosen.items():
        found[name.split("/")[place]] += tally.counts.get(Count.RAISED, 0)
    return {name: count for name, count in found.most_common() if count}
