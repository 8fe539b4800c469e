"""The points of a kind of device, put together from all its profiles: families, units, ranges, limits. Pure."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from msgspec import Struct

from cloud.grafana.units import NONE, unit_of
from cloud.influx.lines import field_key
from cloud.influx.schema import LEVELS
from contract.alarms import Severity
from device_profiles.codec import ValueKind, value_kind
from device_profiles.model import AnyPoint, ContactRule, PointDef, Profile, Text, ThresholdRule

_NUMBERED = re.compile(r"_\d+$")
PLACE = ("latitude", "longitude")
"""Points that are a place on a map together."""


class Member(Struct, frozen=True):
    """One point of a family.

    Attributes:
        field: of the measurement `telemetry`.
        name: for people, by language.
    """

    field: str
    name: Text


class Limit(Struct, frozen=True):
    """A value from which on an alarm begins.

    Attributes:
        value: the limit itself is still normal.
        is_above: what is above it is an alarm; else what is below.
        severity: of the alarm.
    """

    value: float
    is_above: bool
    severity: Severity


class Family(Struct, frozen=True):
    """Points that are drawn together: `voltage_1`, `voltage_2` ...; most are alone.

    Attributes:
        kind: number, state or word.
        members: in the order of the profiles.
        unit: Grafana's id.
        low, high: the widest range that any profile believes; None where one has none.
        limits: of numbers.
        alarm_when: of states: the value that is an alarm, and how severe; None where none is.
        is_enumerated: of words: they are few, and known.
        every_s: how seldom any of them is read; 0 where nobody asks for one.
    """

    kind: ValueKind
    members: tuple[Member, ...]
    unit: str = NONE
    low: float | None = None
    high: float | None = None
    limits: tuple[Limit, ...] = ()
    alarm_when: tuple[bool, Severity] | None = None
    is_enumerated: bool = False
    every_s: float = 0.0


def families(profiles: Iterable[Profile]) -> list[Family]:
    """Put the points of profiles of one kind together, in the order in which they first appear."""
    found: dict[tuple[str, ValueKind, str], list[tuple[Profile, AnyPoint]]] = {}
    for profile in profiles:
        for point in profile.points:
            stem = _NUMBERED.sub("", point.key)
            found.setdefault((stem, value_kind(point), unit_of(point.unit)), []).append((profile, point))
    return [_family(kind, unit, several) for (_stem, kind, unit), several in found.items()]


def severity_steps(limits: Iterable[Limit]) -> list[tuple[float | None, Severity | None]]:
    """Say which severity holds from which value on; the first begins at None, without end.

    Of rules that overlap the most severe one holds.
    """
    rules = list(limits)
    edges = sorted({one.value for one in rules})
    if not edges:
        return [(None, None)]
    inside = [edges[0] - 1.0, *((low + high) / 2 for low, high in pairwise(edges)), edges[-1] + 1.0]
    found: list[tuple[float | None, Severity | None]] = []
    for begins, value in zip((None, *edges), inside, strict=True):
        holds = [one.severity for one in rules if (value > one.value if one.is_above else value < one.value)]
        severity = max(holds, key=lambda one: LEVELS[one.value], default=None)
        if not found or found[-1][1] != severity:
            found.append((begins, severity))
    return found


def _family(kind: ValueKind, unit: str, several: list[tuple[Profile, AnyPoint]]) -> Family:
    members = {point.key: Member(field_key(point.key), point.name) for _profile, point in reversed(several)}
    keys = list(dict.fromkeys(point.key for _profile, point in several))
    ranges = [point.range for _profile, point in several]
    known = [one for one in ranges if one is not None]
    is_ranged = len(known) == len(ranges)
    periods = [point.every_s for _profile, point in several]
    return Family(
        kind=kind,
        members=tuple(members[key] for key in keys),
        unit=unit,
        low=min(low for low, _high in known) if is_ranged else None,
        high=max(high for _low, high in known) if is_ranged else None,
        limits=tuple(dict.fromkeys(_limits(several))),
        alarm_when=_alarm_when(several),
        is_enumerated=all(isinstance(point, PointDef) and point.values for _profile, point in several),
        every_s=0.0 if not all(periods) else max(periods),
    )


def _limits(several: list[tuple[Profile, AnyPoint]]) -> Iterator[Limit]:
    for profile, point in several:
        for rule in profile.rule:
            if isinstance(rule, ThresholdRule) and point.key in rule.points:
                if rule.above is not None:
                    yield Limit(rule.above, True, rule.severity)
                if rule.below is not None:
                    yield Limit(rule.below, False, rule.severity)


def _alarm_when(several: list[tuple[Profile, AnyPoint]]) -> tuple[bool, Severity] | None:
    """Find the value that is an alarm; None where profiles disagree, as a colour can say one thing only."""
    found = {
        rule.alarm_when: rule.severity
        for profile, point in several
        for rule in profile.rule
        if isinstance(rule, ContactRule) and point.key in rule.points
    }
    return next(iter(found.items())) if len(found) == 1 else None
