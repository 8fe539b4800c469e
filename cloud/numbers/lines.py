"""The numbers of one area and day as line protocol, so that they can be drawn. Pure.

Five measurements, each with the tag `area` (the area's id, `all` for everything):

* `alarms_by_area` (also `kind`, `severity`): counts, at the beginning of the local day;
* `alarms_by_hour`: `annunciated`, at the beginning of each hour in which something was;
* `alarm_response` (also `stage`): `count`, `p50_s`, `p90_s`, `within`, at the beginning of the day;
* `alarm_load`: what ISA-18.2 counts, for the whole day and one operator, at its beginning;
* `availability` (also `of`: `gateways`): `share`, `losses`, `lost_s`, at the beginning of the day.

A day written again overwrites itself: the same tags and times.

Source: as `cloud.influx.lines`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from cloud.influx.lines import line_of
from cloud.influx.schema import ALL_AREAS
from cloud.numbers.availability import Availability
from cloud.numbers.histogram import percentile_s
from cloud.numbers.load import measure_load
from cloud.numbers.tally import FALSE_CODES, PERIOD_US, Content, Count, Stage, Tally, merged
from cloud.numbers.written import runs_of

_PERIODS_AN_HOUR = 6
_COUNTS = {
    "raised": Count.RAISED,
    "triggers": Count.TRIGGERS,
    "late": Count.LATE,
    "handled": Count.HANDLED,
    "chattering": Count.CHATTERING,
    "fleeting": Count.FLEETING,
    "stale": Count.STALE,
    "test": Count.TEST,
    "drill": Count.DRILL,
}


def day_lines(area_path: str, content: Content, *, from_us: int, until_us: int, operators: int) -> Iterator[bytes]:
    """Write the counted part of an area's day.

    Args:
        area_path: "" for everything.
        content: what happened in it and below.
        from_us: when the day begins, microseconds UTC.
        until_us: when it ends.
        operators: at the desk at a time.
    """
    area = area_tag(area_path)
    for name, tally in sorted(content.by.items()):
        kind, severity = name.split("/")
        tags = {"area": area, "kind": kind, "severity": severity}
        yield from _line("alarms_by_area", tags, _counts(tally), from_us)
    together = merged(content.by.values())
    for stage in Stage:
        histogram = together.times.get(stage, {})
        fields: dict[str, float | None] = {
            "count": sum(histogram.values()),
            "p50_s": percentile_s(histogram, 0.5),
            "p90_s": percentile_s(histogram, 0.9),
            "within": together.within.get(stage, 0),
        }
        yield from _line("alarm_response", {"area": area, "stage": stage.value}, fields, from_us)
    load = measure_load(runs_of(content.load), from_us=from_us, until_us=until_us, operators=operators)
    fields = {
        "alarms": load.alarms,
        "per_hour": load.per_hour,
        "per_ten_minutes": load.per_ten_minutes,
        "worst_ten_minutes": load.worst_ten_minutes,
        "overfull_share": load.overfull_share,
        "flood_share": load.flood_share,
    }
    yield from _line("alarm_load", {"area": area}, fields, from_us)
    hours: Counter[int] = Counter()
    for period, count in content.load.items():
        hours[period // _PERIODS_AN_HOUR] += count
    for hour, count in sorted(hours.items()):
        at_us = hour * _PERIODS_AN_HOUR * PERIOD_US
        yield from _line("alarms_by_hour", {"area": area}, {"annunciated": count}, at_us)


def availability_lines(area_path: str, found: Availability, *, at_us: int) -> Iterator[bytes]:
    """Write how much of a day the gateways of an area were there; `at_us` is the day's beginning."""
    fields = {"share": found.share, "losses": found.losses, "lost_s": found.lost_s}
    return _line("availability", {"area": area_tag(area_path), "of": "gateways"}, fields, at_us)


def area_tag(area_path: str) -> str:
    """Name an area in a tag: its id, the last of its path."""
    return area_path.split("/")[-2] if area_path else ALL_AREAS


def _counts(tally: Tally) -> dict[str, float | None]:
    fields: dict[str, float | None] = {name: tally.counts.get(count, 0) for name, count in _COUNTS.items()}
    fields["closed"] = sum(tally.closed.values())
    fields["false_calls"] = sum(tally.closed.get(code, 0) for code in FALSE_CODES)
    fields["closed_within"] = tally.within.get(Stage.CLOSE, 0)
    return fields


def _line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, float | None], at_us: int) -> Iterator[bytes]:
    """Write one line, or none where nothing is known."""
    line = line_of(measurement, tags, fields, at_us)
    if line is not None:
        yield line
