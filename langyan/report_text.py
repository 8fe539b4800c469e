"""The report of an area's numbers as rows of text: one list of sections for terminal, CSV and page. Pure."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from cloud.numbers.availability import Availability
from cloud.numbers.figures import Numbers, Reporting, Times
from cloud.numbers.limits import Judgement, Verdict

Translate = Callable[[str], str]


class Row(Struct, frozen=True):
    """One line of a section.

    Attributes:
        cells: text, the first names the line.
        verdict: how it stands to its limits; None where there are none.
        bar: its part of the longest, 0 to 1; None for no bar.
    """

    cells: tuple[str, ...]
    verdict: Verdict | None = None
    bar: float | None = None


class Section(Struct, frozen=True):
    """A table with its title and headings."""

    title: str
    headings: tuple[str, ...]
    rows: list[Row]


def N_(text: str) -> str:  # noqa: N802 - the name by which gettext's tools know it
    """Mark a message where it stands in a table."""
    return text


VERDICTS = {
    Verdict.GOOD: N_("within the limit"),
    Verdict.TOLERABLE: N_("tolerable"),
    Verdict.OVER: N_("over the limit"),
}
_NAMES = {
    "per-hour": N_("alarms per operator and hour"),
    "per-ten-minutes": N_("alarms per operator and 10 min"),
    "worst-ten-minutes": N_("most alarms in 10 min"),
    "overfull": N_("share of 10 min with more than 10 alarms"),
    "flood": N_("share of time in flood"),
    "bad-actors": N_("share of the ten busiest sources"),
    "chattering": N_("chattering alarms"),
    "fleeting": N_("fleeting alarms"),
    "stale": N_("standing for more than a day now"),
    "urgent": N_("share of critical and high alarms"),
    "disposition": N_("disposition rate"),
    "acknowledge-within": N_("acknowledged within target"),
    "dispatch-within": N_("dispatched within target"),
    "scene-within": N_("on scene within target"),
    "close-within": N_("closed within target"),
    "transmission-p99": N_("transmission, 99 % within (s)"),
    "false-call-sites": N_("sites with two false calls or more in 12 months"),
}
_STAGES = {
    "acknowledge": N_("acknowledged"),
    "dispatch": N_("dispatched"),
    "scene": N_("on scene"),
    "close": N_("closed"),
}
_CODES = {
    "genuine": N_("genuine"),
    "drill": N_("drill"),
    "accidental": N_("accidental"),
    "malicious": N_("malicious"),
    "equipment-fault": N_("equipment fault"),
    "weather-animal": N_("weather or animal"),
    "communications": N_("communications"),
    "unknown": N_("unknown"),
}
_SEVERITIES = {
    "critical": N_("critical"),
    "high": N_("high"),
    "medium": N_("medium"),
    "low": N_("low"),
}


def sections(numbers: Numbers, _: Translate) -> Iterator[Section]:
    """Write the report.

    Args:
        numbers: of one area and span.
        _: into the reader's language.
    """
    yield _alarms(numbers, _)
    yield _times(numbers, _)
    yield _judged(numbers, _)
    yield _split(_("What they were closed as"), _("closed as"), numbers.counts.closed, _CODES, _)
    yield _split(_("By severity"), _("severity"), numbers.counts.by_severity, _SEVERITIES, _)
    yield _split(_("By kind"), _("kind"), numbers.counts.by_kind, {}, _)
    yield from _places(numbers, _)


def title(numbers: Numbers, area: str, _: Translate) -> str:
    """Name the report by area and days."""
    scope = numbers.scope
    span = f"{scope.first_day.isoformat()} … {scope.last_day.isoformat()}"
    return _("Alarms of {area}, {span}").format(area=area or _("everything"), span=span)


def notes(numbers: Numbers, _: Translate) -> list[str]:
    """Say what one must know to read the figures."""
    days = _("Days are local ({zone}). Times are counted from the desk's database on, and shown at most 5 % too long.")
    said = [
        days.format(zone=numbers.scope.timezone),
        _("Limits of load and noise: ISA-18.2. Shares within target, 90 % and 80 %: own judgement."),
        _("Reporting times by class are as usually quoted for EN 50136-1, not taken from the standard."),
    ]
    if numbers.scope.uncounted:
        said.append(_("{count} changes are not counted yet.").format(count=numbers.scope.uncounted))
    return said


def _alarms(numbers: Numbers, _: Translate) -> Section:
    counts = numbers.counts
    lines = [
        (_("raised"), counts.raised),
        (_("raises and second presses"), counts.triggers),
        (_("late"), counts.late),
        (_("handled"), counts.handled),
        (_("closed"), counts.closed_total),
        (_("false calls"), counts.false_calls),
        (_("verified hold-ups"), counts.verified_hold_ups),
        (_("in tests"), counts.test),
        (_("in drills"), counts.drill),
    ]
    return Section(_("Alarms"), (_("alarms"), _("number")), [Row((name, f"{count}")) for name, count in lines])


def _times(numbers: Numbers, _: Translate) -> Section:
    rows = [_stage(_(name), numbers.response[stage]) for stage, name in _STAGES.items() if stage in numbers.response]
    rows.append(_stage(_("transmission (share: within 10 s)"), numbers.transmission))
    headings = _("until"), _("number"), "p50 (s)", "p90 (s)", _("within target")
    return Section(_("Times"), headings, rows)


def _stage(name: str, times: Times) -> Row:
    cells = name, f"{times.count}", _seconds(times.p50_s), _seconds(times.p90_s), _share(times.within_share)
    return Row(cells, bar=times.within_share)


def _judged(numbers: Numbers, _: Translate) -> Section:
    rows = [_judgement(one, _) for one in numbers.judgements]
    headings = _("measure"), _("value"), _("acceptable"), _("at the utmost"), _("verdict")
    return Section(_("Against the limits"), headings, rows)


def _judgement(one: Judgement, _: Translate) -> Row:
    reporting = one.name.removeprefix("reporting-")
    name = _(_NAMES[one.name]) if one.name in _NAMES else _("losses reported in time, {name}").format(name=reporting)
    sign = "≥ " if one.more_is_better else "≤ "
    values = [_share(value) if one.is_share else f"{value:.4g}" for value in (one.value, one.acceptable, one.maximum)]
    cells = name, values[0], sign + values[1], sign + values[2], _(VERDICTS[one.verdict])
    return Row(cells, verdict=one.verdict)


def _split(heading: str, what: str, counts: dict[str, int], names: dict[str, str], _: Translate) -> Section:
    whole, most = sum(counts.values()), max(counts.values(), default=1)
    rows = [
        Row((_(names[name]) if name in names else name, f"{count}", _share(count / whole)), bar=count / most)
        for name, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    return Section(heading, (what, _("number"), _("share")), rows)


def _places(numbers: Numbers, _: Translate) -> Iterator[Section]:
    actors = numbers.noise.bad_actors or []
    most = max((one.triggers for one in actors), default=1)
    rows = [Row((one.source, one.kind, f"{one.triggers}"), bar=one.triggers / most) for one in actors]
    yield Section(_("Busiest sources"), (_("source"), _("kind"), _("number")), rows)
    calls = [
        Row((one.name or one.site or _("unknown"), f"{one.calls}"), Verdict.OVER if one.calls > 1 else Verdict.GOOD)
        for one in numbers.false_call_sites
    ]
    yield Section(_("False calls by site, 12 months"), (_("site"), _("number")), calls)
    reports = [_reporting(one, _) for one in numbers.reporting]
    headings = _("class"), _("losses"), "p50 (s)", _("longest (s)"), _("limit (s)"), _("in time")
    yield Section(_("Until a lost gateway was reported"), headings, reports)
    there = [
        _available(name, one)
        for name, one in ((_("gateways"), numbers.gateways), (_("devices"), numbers.devices))
        if one is not None
    ]
    yield Section(_("Availability"), (_("what"), _("number"), _("losses"), _("lost (h)"), _("share")), there)


def _reporting(one: Reporting, _: Translate) -> Row:
    limit = "–" if one.limit_s is None else f"{one.limit_s}"
    name = one.transmission_class or _("none")
    cells = name, f"{one.losses}", _seconds(one.p50_s), _seconds(one.longest_s), limit, _share(one.within_share)
    if one.within_share is None:
        return Row(cells)
    return Row(cells, Verdict.GOOD if one.within_share >= 1 else Verdict.OVER)


def _available(name: str, one: Availability) -> Row:
    share = "–" if one.share is None else f"{100 * one.share:.3f} %"
    return Row((name, f"{one.count}", f"{one.losses}", f"{one.lost_s / 3600:.1f}", share), bar=one.share)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - three digits


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
