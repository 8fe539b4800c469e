"""One gateway in detail: its outbox, uplink, buses unit by unit, clock and computer over time."""

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import statetimeline, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

from cloud.grafana.board import Board, Context
from cloud.grafana.influxql import chosen, of, series
from cloud.grafana.look import CRITICAL, GOOD, MEDIUM, lines, mappings_of, steps, timeline
from cloud.i18n import N_
from contract.ids import GATEWAY_DEVICE

VARIABLE = "one"
"""Name of the variable with the gateway that is shown."""
BUSES = f'"device" =~ /^{GATEWAY_DEVICE}\\./'
"""What a gateway says of its buses: `gateway.<bus>`."""
OLD_S, VERY_OLD_S = 60, 300
"""So long a reading may wait in an outbox before it is yellow, and red."""
HOT_C, VERY_HOT_C = 70, 80
"""A Raspberry Pi slows itself down at 80 °C."""

_OWN = f"\"device\" = '{GATEWAY_DEVICE}'"
_ANY = '"device" =~ /./'
_LEAST = "1m"
_GAP_MS = 600_000
"""A line is broken where nothing was said for so long."""

BREAKERS = (
    ("closed", GOOD, N_("✓ answers")),
    ("suspect", MEDIUM, N_("◔ missed an answer")),
    ("open", CRITICAL, N_("✗ does not answer, rests")),
)
"""Value, colour, and what people read: how a unit of a bus stands with its gateway."""


def add(made: Board, context: Context) -> Board:
    """Add the rows of one gateway to a dashboard that has the variable `VARIABLE`."""
    made.row(N_("Outbox and uplink of ${one}"))
    for panel in (_waiting(context), _oldest(context), _sent(context), _came_late(context)):
        made.add(panel, width=6, height=8)
    made.row(N_("Buses of ${one}"))
    made.add(_units(context), width=12, height=9)
    made.add(_answered(context), width=6, height=9)
    made.add(_faults(context), width=6, height=9)
    made.row(N_("Clock and computer of ${one}"))
    for panel in (_clock(context), _computer(context), _late(context), _memory(context)):
        made.add(panel, width=6, height=8)
    return made


def _drawn(
    context: Context, title: str, fields: dict[str, str], *, unit: str, words: str, each: str = 'mean("{}")'
) -> timeseries.Panel:
    """Draw fields of what the gateway says of itself; `fields` with their headings, `each` what is taken of one."""
    taken = ", ".join(f'{each.format(name)} AS "{context.say(heading)}"' for name, heading in fields.items())
    question = _of_gateway(taken)
    panel = lines(context, title, series(question, alias="$col"), unit=unit, words=words)
    return panel.interval(_LEAST).insert_nulls(_GAP_MS)


def _of_gateway(taken: str, *, of_whom: str = _OWN, group: str = "") -> str:
    where = f"$timeFilter AND {of_whom} AND {chosen('gateway', VARIABLE)}"
    return f"SELECT {taken} FROM {of('telemetry')} WHERE {where} GROUP BY time($__interval){group} fill(none)"


def _waiting(context: Context) -> timeseries.Panel:
    fields = {
        "outbox.readings_waiting": N_("readings"), "outbox.alarms_waiting": N_("alarms"),
        "uplink.under_way": N_("batches under way"),
    }  # fmt: skip
    words = N_("What waits in the outbox for its receipt: it grows while the broker or the cloud is away")
    return _drawn(context, N_("Waiting"), fields, unit="short", words=words, each='max("{}")').min(0)


def _oldest(context: Context) -> timeseries.Panel:
    fields = {"outbox.oldest_reading_s": N_("reading"), "outbox.oldest_alarm_s": N_("alarm")}
    words = N_("How long the oldest reading and the oldest alarm have waited")
    panel = _drawn(context, N_("Age of the outbox"), fields, unit="dtdurations", words=words, each='max("{}")').min(0)
    panel.thresholds(steps((None, GOOD), (OLD_S, MEDIUM), (VERY_OLD_S, CRITICAL)))
    return panel.thresholds_style(_dashed())


def _sent(context: Context) -> timeseries.Panel:
    fields = {
        "uplink.sent": N_("sent"), "uplink.sent_again": N_("sent again"), "uplink.receipts": N_("receipts"),
        "uplink.refused": N_("refused"), "uplink.connects": N_("reconnects"), "outbox.readings_evicted": N_("given up"),
    }  # fmt: skip
    words = N_("Batches, connections and readings given up for want of room, a minute")
    each = 'non_negative_derivative(last("{}"), 1m)'
    return _drawn(context, N_("Uplink"), fields, unit="cpm", words=words, each=each).min(0)


def _came_late(context: Context) -> timeseries.Panel:
    # One line for all devices: an outage of the uplink is the same for each.
    question = _of_gateway('max("late_s")', of_whom=_ANY)
    asked = series(question, alias=context.say(N_("came late by")))
    panel = lines(
        context, N_("Came late"), asked, unit="dtdurations",
        words=N_("How late the readings of that time came, where it was more than a minute: an outage stays to be seen "
                 "after its readings have been caught up on"),
    )  # fmt: skip
    panel.interval(_LEAST).insert_nulls(_GAP_MS).min(0).show_points(common.VisibilityMode.ALWAYS)
    return panel.no_value(context.say(N_("Nothing came late.")))


def _units(context: Context) -> statetimeline.Panel:
    question = _of_gateway("last(/^breaker\\./)", of_whom=BUSES, group=', "device"')
    panel = timeline(
        context, N_("Units"), series(question, alias="$tag_device $col"), every=_LEAST,
        words=N_("Every unit of every bus: whether it answers. One that does not rests, for its neighbours' sake"),
    )  # fmt: skip
    options = {"regex": f"^{GATEWAY_DEVICE}\\.(.*) last_breaker\\.(.*)$", "renamePattern": "$1 · $2"}
    panel.with_transformation(models.DataTransformerConfig(id_val="renameByRegex", options=options))
    return panel.mappings(mappings_of(context, BREAKERS))


def _answered(context: Context) -> timeseries.Panel:
    share = 'non_negative_difference(last("answers")) / non_negative_difference(last("polls")) AS "share"'
    panel = lines(
        context, N_("Answered"),
        series(_of_gateway(share, of_whom=BUSES, group=', "device"'), alias="$tag_device"), unit="percentunit",
        words=N_("Share of requests that were answered, a line a bus"),
    ).interval(_LEAST).insert_nulls(_GAP_MS)  # fmt: skip
    return (
        panel.min(0).max(1).thresholds(steps((None, CRITICAL), (0.9, MEDIUM), (0.98, GOOD))).thresholds_style(_dashed())
    )


def _faults(context: Context) -> timeseries.Panel:
    counted = {
        "timeouts": N_("no answer"), "frame_errors": N_("broken frames"), "refusals": N_("refused"),
        "bad_values": N_("bad values"), "line.crc_errors": N_("wrong check sums"), "line.strangers": N_("strangers"),
    }  # fmt: skip
    each = 'non_negative_derivative(last("{}"), 1m) AS "{}"'
    taken = ", ".join(each.format(name, context.say(heading)) for name, heading in counted.items())
    question = _of_gateway(taken, of_whom=BUSES, group=', "device"')
    panel = lines(
        context, N_("Faults on the line"), series(question, alias="$tag_device · $col"), unit="cpm",
        words=N_("What went wrong, a minute: wiring and addresses show here first"),
    )  # fmt: skip
    return panel.interval(_LEAST).insert_nulls(_GAP_MS).min(0)


def _clock(context: Context) -> timeseries.Panel:
    fields = {"clock.offset_ms": N_("off by"), "clock.error_ms": N_("may itself be off by")}
    words = N_("How far the machine's clock is off the time the gateway trusts, and how sure that is")
    return _drawn(context, N_("Clock"), fields, unit="ms", words=words)


def _computer(context: Context) -> timeseries.Panel:
    panel = _drawn(
        context, N_("Processor"), {"machine.cpu_celsius": N_("processor")}, unit="celsius", each='max("{}")',
        words=N_("The hottest sensor of the processor, where the kernel tells"),
    )  # fmt: skip
    panel.thresholds(steps((None, GOOD), (HOT_C, MEDIUM), (VERY_HOT_C, CRITICAL)))
    return panel.thresholds_style(_dashed())


def _late(context: Context) -> timeseries.Panel:
    words = N_("How late the gateway's event loop was at most, and how many processes want to run")
    fields = {"machine.loop_lag_ms": N_("event loop late by, ms"), "machine.load": N_("load")}
    return _drawn(context, N_("Load"), fields, unit="short", words=words, each='max("{}")').min(0)


def _memory(context: Context) -> timeseries.Panel:
    fields = {"machine.rss_bytes": N_("memory"), "machine.disk_free_bytes": N_("disk free")}
    words = N_("Memory of the gateway's process, and room on the disk with the outbox")
    return _drawn(context, N_("Memory and disk"), fields, unit="bytes", words=words).min(0)


def _dashed() -> common_builders.GraphThresholdsStyleConfig:
    return common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
