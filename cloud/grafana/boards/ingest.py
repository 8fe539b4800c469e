"""Ingest: rate, batch size, write time, dead letters, and the lag from measured to received."""

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.builders import table as table_builders

from cloud.grafana import cells
from cloud.grafana.board import Board, Context
from cloud.grafana.influxql import FRESH, of, series, table
from cloud.grafana.look import CRITICAL, GOOD, HIGH, MEDIUM, NORMAL, lines, number, rows, steps
from cloud.i18n import N_

UID = "langyan-ingest"

LATE_S, VERY_LATE_S = 10, 60
"""Lag of half the samples from which it is yellow, and red."""
SLOW_MS, VERY_SLOW_MS = 500, 2_000
"""Time of the slowest writes from which it is yellow, and red."""

_LEAST = "30s"


def board(context: Context) -> Board:
    """Build it."""
    made = Board(
        context, UID, N_("Ingest"), words=N_("How readings get from the broker into the database"), since="now-6h"
    )
    made.link(N_("Gateways"), "langyan-gateways", keep_variables=False)
    made.row(N_("Now, all workers together"))
    for panel in _numbers(context):
        made.add(panel, width=4, height=4)
    made.row(N_("Flow"))
    for drawn in (_rate(context), _batches(context), _waiting(context)):
        made.add(drawn, width=8, height=8)
    made.row(N_("Time"))
    for drawn in (_writes(context), _lag(context)):
        made.add(drawn, width=12, height=9)
    made.row(N_("What went wrong"))
    for drawn in (_refused(context), _reconnects(context)):
        made.add(drawn, width=8, height=8)
    return made.add(_workers(context), width=8, height=8)


def _now(taken: str, field: str) -> str:
    """Take one number of all workers' latest."""
    latest = f'SELECT last("{field}") AS "n" FROM {of("ingest")} WHERE time > now() - {FRESH} GROUP BY "worker"'
    return f'SELECT {taken}("n") AS "n" FROM ({latest}) WHERE time > now() - {FRESH}'


def _numbers(context: Context) -> list[stat.Panel]:
    in_range = f'SELECT sum("refused") AS "n" FROM {of("ingest")} WHERE $timeFilter'
    workers = number(
        context, N_("Workers"), series(_now("count", "uptime_s")), words=N_("That said something within ten minutes"),
        is_count=True,
    )  # fmt: skip
    rate = number(
        context, N_("Samples"), series(_now("sum", "samples_per_s")), unit="wps", words=N_("Stored a second")
    )  # fmt: skip
    lag = number(
        context, N_("Lag"), series(_now("max", "lag_p50_s")), unit="dtdurations",
        words=N_("From measured to received, median of the slowest worker"),
    )  # fmt: skip
    write = number(
        context, N_("Slow writes"), series(_now("max", "write_p99_ms")), unit="ms",
        words=N_("How long a write took, 99 of 100, of the slowest worker"),
    )  # fmt: skip
    waiting = number(
        context, N_("Waiting"), series(_now("sum", "waiting")),
        words=N_("Messages taken from the broker and not yet stored"),
    )  # fmt: skip
    refused = number(
        context, N_("Dead letters"), series(in_range), words=N_("Messages and lines refused in the time looked at"),
        is_count=True,
    )  # fmt: skip
    return [
        workers.thresholds(steps((None, CRITICAL), (1, GOOD))),
        rate,
        lag.thresholds(steps((None, GOOD), (LATE_S, MEDIUM), (VERY_LATE_S, CRITICAL))),
        write.thresholds(steps((None, GOOD), (SLOW_MS, MEDIUM), (VERY_SLOW_MS, CRITICAL))),
        waiting.thresholds(steps((None, GOOD), (5_000, MEDIUM))),
        refused.thresholds(steps((None, GOOD), (1, HIGH))),
    ]


def _by_worker(
    context: Context, title: str, taken: str, *, unit: str, words: str, alias: str = "$tag_worker"
) -> timeseries.Panel:
    question = f'SELECT {taken} FROM {of("ingest")} WHERE $timeFilter GROUP BY time($__interval), "worker" fill(none)'
    panel = lines(context, title, series(question, alias=alias), unit=unit, words=words)
    return panel.interval(_LEAST).insert_nulls(600_000).min(0)


def _rate(context: Context) -> timeseries.Panel:
    samples, messages = context.say(N_("samples")), context.say(N_("messages"))
    taken = f'mean("samples_per_s") AS "{samples}", mean("batches_per_s") AS "{messages}"'
    words = N_("Messages taken from the broker, and samples stored, a second")
    return _by_worker(context, N_("Rate"), taken, unit="short", words=words, alias="$tag_worker · $col")


def _batches(context: Context) -> timeseries.Panel:
    words = N_("Lines of a write, mean: larger under load, which is as it should be")
    return _by_worker(context, N_("Batch size"), 'mean("lines_per_write") AS "lines"', unit="short", words=words)


def _waiting(context: Context) -> timeseries.Panel:
    words = N_("Messages taken and not yet stored: at its window ingest takes no more, and the outboxes grow")
    return _by_worker(context, N_("Waiting to be stored"), 'max("waiting") AS "waiting"', unit="short", words=words)


def _writes(context: Context) -> timeseries.Panel:
    median, most = context.say(N_("median")), context.say(N_("99 of 100"))
    taken = f'mean("write_p50_ms") AS "{median}", max("write_p99_ms") AS "{most}"'
    words = N_("How long the database took for a write")
    return _by_worker(context, N_("Write time"), taken, unit="ms", words=words, alias="$tag_worker · $col")


def _lag(context: Context) -> timeseries.Panel:
    median, most, longest = (context.say(one) for one in (N_("median"), N_("99 of 100"), N_("longest")))
    taken = f'mean("lag_p50_s") AS "{median}", max("lag_p99_s") AS "{most}", max("lag_max_s") AS "{longest}"'
    words = N_("From measured to received: the longest is what a gateway caught up on after an outage")
    return _by_worker(context, N_("Lag"), taken, unit="dtdurations", words=words, alias="$tag_worker · $col")


def _refused(context: Context) -> timeseries.Panel:
    words = N_("Messages and lines refused: they are kept as dead letters, everything else is stored")
    return _by_worker(context, N_("Refused"), 'sum("refused") AS "refused"', unit="short", words=words)


def _reconnects(context: Context) -> timeseries.Panel:
    taken = 'non_negative_difference(last("reconnects")) AS "reconnects"'
    words = N_("Connections to the broker lost")
    return _by_worker(context, N_("Reconnects"), taken, unit="short", words=words)


_COLUMNS = {
    "worker": ("", N_("Worker")),
    "uptime": ('last("uptime_s") / 3600', N_("Runs for, h")),
    "samples": ('last("samples_per_s")', N_("Samples a second")),
    "waiting": ('last("waiting")', N_("Waiting")),
    "dead": ('last("dead_letters")', N_("Dead letters")),
    "reconnects": ('last("reconnects")', N_("Reconnects")),
}


def _workers(context: Context) -> table_builders.Panel:
    fields = ", ".join(f'{asked} AS "{name}"' for name, (asked, _heading) in _COLUMNS.items() if asked)
    headings = {name: heading for name, (_asked, heading) in _COLUMNS.items()}
    question = f'SELECT {fields} FROM {of("ingest")} WHERE time > now() - {FRESH} GROUP BY "worker"'
    panel = rows(
        context, N_("Workers"), table(question), columns=headings, words=N_("Counted since each began"),
        no_value=N_("No worker said anything within ten minutes."),
    )  # fmt: skip
    panel.decimals(1).thresholds(steps((None, NORMAL)))
    dead = [(None, NORMAL), (1, HIGH)]
    cells.draw(panel, [context.say(headings["dead"])], cells.COLOURED, limits=dead)
    return panel
