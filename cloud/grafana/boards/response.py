"""Response: how soon people act on alarms."""

from collections.abc import Iterator
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, stat, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import table as table_builders
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

from cloud.grafana import cells, variables
from cloud.grafana.board import REFRESH_SLOW, Board, Context
from cloud.grafana.influxql import Ask, chosen, of, series, table
from cloud.grafana.look import CRITICAL, GOOD, HIGH, LOW, MEDIUM, NORMAL, SEVERITIES, bars, lines, number, rows, steps
from cloud.i18n import N_
from cloud.influx.query import quote_text
from cloud.numbers.classes import TRANSMISSION_DEGRADED_S, TRANSMISSION_MAXIMUM_S
from cloud.numbers.limits import Judgement, judge_load
from cloud.numbers.load import Load

UID = "langyan-response"
TARGET_S = 300.0
"""Within which an alarm should be closed where its place has no target of its own."""

Drawn = TypeVar("Drawn", bound=cells.Dressed)

_COMPARED = "compared"
_LEVELS = "province|city|county|town|street"
_STAGES: tuple[tuple[str, str], ...] = (
    ("acknowledge", N_("acknowledged")),
    ("dispatch", N_("somebody sent")),
    ("scene", N_("somebody there")),
    ("close", N_("closed")),
)
"""Tag and words; all since the alarm was stored."""

_ENOUGH, _TOLERABLE = 0.9, 0.8
"""Shares within target that are good, and tolerable; see docs/numbers.md."""


def board(context: Context) -> Board:
    """Build it."""
    words = N_("How soon people act on alarms, against the target")
    response = Board(context, UID, N_("Response"), words=words, refresh=REFRESH_SLOW, since="now-30d")
    response.variable(variables.area(context), _compared(context))
    for panel in _shares(context):
        response.add(panel, width=4, height=5)
    response.row(N_("Response times"))
    response.add(_times(context, "p50_s", N_("Half of the alarms within")), width=12, height=9)
    response.add(_times(context, "p90_s", N_("Nine of ten alarms within")), width=12, height=9)
    response.add(_medians(context), width=8, height=8).add(_transmission(context), width=16, height=8)
    response.row(N_("Areas"))
    response.add(_areas(context), width=24, height=11)
    response.row(N_("False calls"))
    response.add(_kinds(context), width=12, height=10).add(_false_calls(context), width=12, height=10)
    response.row(N_("Load, by ISA-18.2: of one operator"))
    for panel in _load(context):
        response.add(panel, width=4, height=5)
    response.add(_hours(context), width=12, height=8).add(_load_of_days(context), width=12, height=8)
    response.add(_severities(context), width=6, height=8).add(_raised(context), width=12, height=8)
    response.add(_availability(context), width=6, height=8)
    return response.link(N_("Alarm wall"), "langyan-alarm-wall")


def _compared(context: Context) -> builders.QueryVariable:
    where = f'"level" =~ /^({_LEVELS})$/'
    return variables.labelled(context, _COMPARED, N_("Compare"), "area_state", "area", where=where)


def _shares(context: Context) -> Iterator[stat.Panel]:
    disposition = _ratio("closed_within", "handled", _counted())
    words = N_("Alarms closed within their target, of those that somebody took; 90 % are good, 80 % tolerable")
    yield _share(context, N_("Disposition rate"), disposition, words=words)
    for stage, title in (
        ("acknowledge", N_("Acknowledged within target")),
        ("dispatch", N_("Sent within target")),
        ("scene", N_("There within target")),
        ("close", N_("Closed within target")),
    ):
        question = _ratio("within", "count", _responded(stage))
        yield _share(context, title, question, words=N_("Of the alarms that came so far"))
    question = _ratio("false_calls", "closed", _counted())
    words = N_("Of the closed alarms: accidental, malicious, faults of equipment, weather, animals, communications")
    panel = number(context, N_("False calls"), series(question), unit="percentunit", words=words)
    yield panel.decimals(1).no_value("–").color_mode(common.BigValueColorMode.VALUE)


def _ratio(part: str, whole: str, source: str) -> str:
    """Ask for a share of sums, as the table of areas has it; nothing where the whole is nought, not nought itself."""
    sums = f'SELECT sum("{part}") AS "part", sum("{whole}") AS "whole" FROM {source}'
    return f'SELECT "part" / "whole" AS "share" FROM ({sums}) WHERE $timeFilter AND "whole" > 0'


def _share(context: Context, title: str, question: str, *, words: str) -> stat.Panel:
    panel = number(context, title, series(question), unit="percentunit", words=words).no_value("–")
    return panel.decimals(1).thresholds(steps((None, CRITICAL), (_TOLERABLE, MEDIUM), (_ENOUGH, GOOD)))


def _times(context: Context, field: str, title: str) -> timeseries.Panel:
    words = N_("By local day, since the alarm was stored; the dashed line is the target of 300 s")
    panel = lines(context, title, *_by_stage(context, f'"{field}"'), unit="s", words=words)
    panel.thresholds(steps((None, GOOD), (TARGET_S, CRITICAL))).thresholds_style(_dashed()).min(0)
    return panel.span_nulls(span_nulls=True).show_points(common.VisibilityMode.ALWAYS)


def _medians(context: Context) -> bargauge.Panel:
    words = N_("Median of the days; red from the target of 300 s on")
    first, *others = _by_stage(context, 'median("p50_s")')
    panel = bars(context, N_("A usual day"), first, unit="s", words=words)
    for one in others:
        panel.with_target(one)
    return panel.thresholds(steps((None, GOOD), (TARGET_S, CRITICAL)))


def _by_stage(context: Context, what: str) -> Iterator[Ask]:
    """Ask for each stage by itself, so that it can bear a name in people's language."""
    for ref_id, (stage, words) in zip("ABCD", _STAGES, strict=True):
        question = f"SELECT {what} FROM {_responded(stage)}"
        yield series(question, alias=context.say(words), ref_id=ref_id)


def _by_severity(context: Context, what: str, group: str = "") -> Iterator[Ask]:
    for ref_id, (_level, word, _colour, shown) in zip("ABCD", SEVERITIES, strict=False):
        question = f"SELECT {what} FROM {_counted()} AND \"severity\" = '{word}' {group}"
        yield series(question, alias=context.say(shown), ref_id=ref_id)


def _transmission(context: Context) -> timeseries.Panel:
    question = f'SELECT "p50_s" AS "p50", "p90_s" AS "p90" FROM {_responded("transmission")}'
    words = N_("From the press to the desk, by local day; above 10 s degraded, above 30 s failed")
    panel = lines(context, N_("Transmission"), series(question, alias="$col"), unit="s", words=words)
    limits = steps((None, GOOD), (TRANSMISSION_DEGRADED_S, MEDIUM), (TRANSMISSION_MAXIMUM_S, CRITICAL))
    return panel.thresholds(limits).thresholds_style(_dashed()).min(0).show_points(common.VisibilityMode.ALWAYS)


def _areas(context: Context) -> table_builders.Panel:
    sums = ("raised", "handled", "closed", "false_calls", "late", "chattering")
    summed = ", ".join(f'sum("{name}") AS "{name}"' for name in sums)
    shares = '100 * sum("closed_within") / sum("handled") AS "disposition"'
    shares += ', 100 * sum("false_calls") / sum("closed") AS "false_share"'
    where = chosen("area", _COMPARED)
    # Taken out of a subquery, the area is a column as the others are, by which the two answers can be joined.
    names = ", ".join(f'"{name}"' for name in (*sums, "disposition", "false_share"))
    counts = f'SELECT {summed}, {shares} FROM {of("alarms_by_area")} WHERE $timeFilter AND {where} GROUP BY "area"'
    since = "time > now() - 1d"
    known = f'SELECT last("label") AS "label" FROM "area_state" WHERE {since} AND {where} GROUP BY "area", "level"'
    columns = {
        "label": N_("Area"), "level": N_("Level"), "raised": N_("Raised"), "handled": N_("Handled"),
        "closed": N_("Closed"), "disposition": N_("Disposition rate, %"), "false_calls": N_("False calls"),
        "false_share": N_("False calls of closed, %"), "late": N_("Came late"), "chattering": N_("Chattering"),
    }  # fmt: skip
    words = N_("Each area with all below it; disposition rate: closed within target, of those that somebody took")
    counted = table(f'SELECT "area", {names} FROM ({counts}) WHERE $timeFilter')
    nothing = N_("No alarms.")
    panel = rows(context, N_("Areas compared"), counted, columns=columns, words=words, no_value=nothing)
    joined = models.DataTransformerConfig(id_val="joinByField", options={"byField": "area", "mode": "inner"})
    panel.transformations([joined, *(panel.build().transformations or [])])
    panel.with_target(table(f'SELECT "label", "area", "level" FROM ({known}) WHERE {since}', ref_id="B"))
    _shares_drawn(context, panel)
    good = [(None, CRITICAL), (100 * _TOLERABLE, MEDIUM), (100 * _ENOUGH, GOOD)]
    cells.draw(panel, [context.say(N_("Disposition rate, %"))], cells.BAR, limits=good)
    return panel.sort_by([_most(context, N_("Raised"))])


def _kinds(context: Context) -> table_builders.Panel:
    question = (
        'SELECT "kind", "raised", "closed", "false_calls", "false_share", "chattering", "fleeting" FROM (SELECT '
        'sum("raised") AS "raised", sum("closed") AS "closed", sum("false_calls") AS "false_calls", '
        '100 * sum("false_calls") / sum("closed") AS "false_share", sum("chattering") AS "chattering", '
        f'sum("fleeting") AS "fleeting" FROM {_counted()} GROUP BY "kind") WHERE $timeFilter'
    )
    columns = {
        "kind": N_("Kind"), "raised": N_("Raised"), "closed": N_("Closed"), "false_calls": N_("False calls"),
        "false_share": N_("False calls of closed, %"), "chattering": N_("Chattering"), "fleeting": N_("Fleeting"),
    }  # fmt: skip
    words, nothing = N_("Which kinds of alarm cry wolf"), N_("No alarms.")
    panel = rows(context, N_("Kinds of alarm"), table(question), columns=columns, words=words, no_value=nothing)
    _shares_drawn(context, panel)
    return panel.sort_by([_most(context, N_("False calls"))])


def _shares_drawn(context: Context, panel: table_builders.Panel) -> None:
    panel.decimals(0).min(0).max(100)
    cells.draw(panel, [context.say(N_("False calls of closed, %"))], cells.BAR, limits=[(None, LOW)])


def _most(context: Context, heading: str) -> common_builders.TableSortByFieldState:
    return common_builders.TableSortByFieldState().display_name(context.say(heading)).desc(desc=True)


def _false_calls(context: Context) -> timeseries.Panel:
    question = f'SELECT sum("false_calls") FROM {_counted()} {_by_day(context, "kind")}'
    words = N_("By local day and kind")
    panel = lines(context, N_("False calls"), series(question, alias="$tag_kind"), words=words)
    return _columns(panel).interval("1d")


def _load(context: Context) -> Iterator[stat.Panel]:
    limits = _limits()
    for field, name, title, how in (
        ("per_hour", "per-hour", N_("Alarms an hour"), "mean"),
        ("per_ten_minutes", "per-ten-minutes", N_("Alarms in ten minutes"), "mean"),
        ("worst_ten_minutes", "worst-ten-minutes", N_("Worst ten minutes"), "max"),
        ("overfull_share", "overfull", N_("Ten minutes with more than ten"), "mean"),
        ("flood_share", "flood", N_("Time in a flood"), "mean"),
    ):
        limit = limits[name]
        question = f'SELECT {how}("{field}") FROM {of("alarm_load")} WHERE $timeFilter AND {chosen("area")}'
        unit = "percentunit" if limit.is_share else "short"
        panel = number(context, title, series(question), unit=unit).description(_limit_words(context, limit))
        yield panel.decimals(1).thresholds(_limit_steps(limit))
    stale = f'SELECT sum("stale") FROM {_counted()}'
    words = N_("Alarms that stood for longer than a day, of the whole time; by ISA-18.2 at most 4 at a time")
    panel = number(context, N_("Stale"), series(stale), words=words)
    yield panel.thresholds(steps((None, GOOD), (5, HIGH)))


def _limits() -> dict[str, Judgement]:
    return {one.name: one for one in judge_load(Load(0, 0.0, 0.0, 0.0, None, 0.0, 0.0))}


def _limit_words(context: Context, limit: Judgement) -> str:
    shown = [f"{value:.0%}" if limit.is_share else f"{value:g}" for value in (limit.acceptable, limit.maximum)]
    return context.say(N_("Acceptable up to {0}, at the utmost {1}")).format(*shown)


def _limit_steps(limit: Judgement) -> builders.ThresholdsConfig:
    # A step begins at its value, and a limit itself is still within.
    above = 1.000_001
    if limit.acceptable == limit.maximum:
        return steps((None, GOOD), (limit.maximum * above, CRITICAL))
    return steps((None, GOOD), (limit.acceptable * above, MEDIUM), (limit.maximum * above, CRITICAL))


def _hours(context: Context) -> timeseries.Panel:
    question = (
        f'SELECT sum("annunciated") FROM {of("alarms_by_hour")} WHERE $timeFilter AND {chosen("area")} '
        "GROUP BY time(1h) fill(0)"
    )
    words = N_("Raises and second presses, by the hour, for all operators together")
    asked = series(question, alias=context.say(N_("alarms")))
    return _columns(lines(context, N_("Alarms an hour"), asked, words=words))


def _load_of_days(context: Context) -> timeseries.Panel:
    worst, hourly = context.say(N_("worst ten minutes")), context.say(N_("alarms an hour"))
    fields = f'"worst_ten_minutes" AS "{worst}", "per_hour" AS "{hourly}"'
    question = f"SELECT {fields} FROM {of('alarm_load')} WHERE $timeFilter AND {chosen('area')}"
    words = N_("By local day: the worst ten minutes (limit 10) and alarms an hour (limits 6 and 12) of one operator")
    panel = lines(context, N_("Load of each day"), series(question, alias="$col"), words=words)
    return panel.thresholds(_limit_steps(_limits()["worst-ten-minutes"])).thresholds_style(_dashed()).min(0)


def _severities(context: Context) -> bargauge.Panel:
    words = N_("By ISA-18.2 about 5 % of the highest priority, 15 % medium, 80 % low; a desk for emergencies has more")
    first, *others = _by_severity(context, 'sum("raised")')
    panel = bars(context, N_("Alarms by severity"), first, words=words)
    for one in others:
        panel.with_target(one)
    return _severity_colours(context, panel)


def _raised(context: Context) -> timeseries.Panel:
    asked = _by_severity(context, 'sum("raised")', _by_day(context))
    panel = _columns(lines(context, N_("Alarms of each day"), *asked, words=N_("By severity"))).interval("1d")
    return _severity_colours(context, panel)


def _severity_colours(context: Context, panel: Drawn) -> Drawn:
    for _level, _word, its_colour, shown in SEVERITIES[:4]:
        cells.colour(panel, context.say(shown), its_colour)
    return panel


def _availability(context: Context) -> stat.Panel:
    where = f"WHERE $timeFilter AND {chosen('area')} AND \"of\" = 'gateways'"
    question = f'SELECT mean("share") FROM {of("availability")} {where}'
    words = N_("How much of the time the gateways were connected")
    panel = number(context, N_("Gateways there"), series(question), unit="percentunit", words=words)
    return panel.decimals(2).color_mode(common.BigValueColorMode.VALUE).thresholds(steps((None, NORMAL)))


def _dashed() -> common_builders.GraphThresholdsStyleConfig:
    return common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)


def _columns(panel: timeseries.Panel) -> timeseries.Panel:
    """Draw as columns on top of each other."""
    panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(60).min(0)
    return panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))


def _by_day(context: Context, *tags: str) -> str:
    """Group by local days, whose points stand at their beginning."""
    also = "".join(f', "{tag}"' for tag in tags)
    return f"GROUP BY time(1d){also} fill(none) tz({quote_text(context.timezone)})"


def _counted() -> str:
    return f"{of('alarms_by_area')} WHERE $timeFilter AND {chosen('area')}"


def _responded(stages: str) -> str:
    return f'{of("alarm_response")} WHERE $timeFilter AND {chosen("area")} AND "stage" =~ /^({stages})$/'
