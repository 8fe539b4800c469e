"""A gateway comes back with 1 000 000 readings: an alarm at that moment, the pace of the backlog, the age of live data.

Real ingest, desk, InfluxDB and alarm database. The backlog is made fast while the broker is away; then the gateway is
started again with a calmer site file, and goes on reading while the backlog leaves.
"""

import time

from msgspec import Struct

from benchmarks.cloud import CloudRig, open_cloud_rig, wall_us
from benchmarks.ledger import percentile
from benchmarks.receiver import Arrived
from benchmarks.rig import expect, pause
from contract.telemetry import Lane
from contract.topics import Channel

BACKLOG = 1_000_000
REGISTERS = 20
OTHERS = 100
FAST_S = 0.02
CALM_S = 1.0
ALARM_EVERY_S = 0.1
FLIPPED_BIT = 3
MAKE_LIMIT_S = 300.0
DRAIN_LIMIT_S = 300.0
QUIET_S = 4.0


class Backlog(Struct, frozen=True):
    """One return from an outage.

    Attributes:
        backlog_readings: register readings that waited when the broker came back.
        alarm_stored_ms: from the flip of an input, at the moment of reconnect, until the alarm database had it.
        drained_s: from the reconnect until InfluxDB had the last of the backlog.
        drained_per_s: all readings of the backlog (registers and inputs) over that time.
        live_late_p50_s, live_late_max_s: stored in InfluxDB minus read, of what was read meanwhile.
        lost, twice: register readings, in InfluxDB, of the whole run.
    """

    backlog_readings: int
    alarm_stored_ms: float
    drained_s: float
    drained_per_s: int
    live_late_p50_s: float
    live_late_max_s: float
    live_readings: int
    lost: int
    twice: int


class _Seen:
    """What crossed the broker: messages by their correlation data, and the receipts."""

    def __init__(self) -> None:
        self.sent: dict[bytes, Arrived] = {}
        self.stored: dict[bytes, tuple[int, int]] = {}
        self.last_backfill_at = time.monotonic()

    def take(self, rig: CloudRig) -> None:
        """Take note of what has come."""
        for arrived in rig.receiver.drain():
            if arrived.channel in (Channel.TELEMETRY, Channel.ALARM):
                self.sent.setdefault(arrived.correlation, arrived)
                if arrived.channel is Channel.TELEMETRY and arrived.lane is Lane.BACKFILL:
                    self.last_backfill_at = time.monotonic()
            elif arrived.channel is Channel.RECEIPT:
                receipt = arrived.receipt()
                self.stored.setdefault(arrived.correlation, (receipt.at_us, receipt.stored))

    def receipts(self, lane: Lane) -> list[tuple[Arrived, int, int]]:
        """List the telemetry of a lane: message, when it was stored, how many readings."""
        return [
            (self.sent[key], *stored)
            for key, stored in self.stored.items()
            if key in self.sent and self.sent[key].channel is Channel.TELEMETRY and self.sent[key].lane is lane
        ]


def measure() -> Backlog:
    """Make the backlog, come back, and watch it leave."""
    with open_cloud_rig(units=1 + OTHERS) as rig:
        rig.link.ask(op="cut")
        _make_backlog(rig)
        calm = rig.devices(1, ALARM_EVERY_S) + rig.devices(OTHERS, CALM_S, first=2)
        before = rig.counters()
        rig.start_gateway(calm, direct=False)
        expect(lambda: all(count > before[name] for name, count in rig.counters().items()), "every device is read")
        waiting = sum(rig.counters().values()) * REGISTERS
        seen = _Seen()
        rig.link.ask(op="open")
        expect(lambda: rig.link.ask(op="stats")["answered_at"] > 0, "the gateway connects again")
        flipped = wall_us(rig.farm.ask(op="flip", unit=1, bit=FLIPPED_BIT)["at_ns"])
        back = wall_us(rig.link.ask(op="stats")["answered_at"])
        _watch(rig, seen)
        rig.gateway.stop()
        seen.take(rig)
        last = rig.counters()
        found = rig.stored(last).compare(last)
    backfill, live = seen.receipts(Lane.BACKFILL), seen.receipts(Lane.LIVE)
    drained_s = (max(at_us for _, at_us, _ in backfill) - back) / 1e6
    late = [
        (at_us - min(sample.at_us for sample in arrived.samples())) / 1e6
        for arrived, at_us, _ in live
        if at_us <= back + drained_s * 1e6
    ]
    return Backlog(
        backlog_readings=waiting,
        alarm_stored_ms=_alarm_ms(seen, flipped),
        drained_s=round(drained_s, 2),
        drained_per_s=round(sum(stored for _, _, stored in backfill) / drained_s),
        live_late_p50_s=round(percentile(late, 0.5), 3),
        live_late_max_s=round(max(late, default=0.0), 3),
        live_readings=sum(stored for _, _, stored in live),
        lost=found.lost * REGISTERS,
        twice=found.twice * REGISTERS,
    )


def _make_backlog(rig: CloudRig) -> None:
    """Read fast without a broker until enough waits, then stop the gateway."""
    rig.start_gateway(rig.devices(1 + OTHERS, FAST_S), direct=False)
    expect(lambda: sum(rig.counters().values()) * REGISTERS >= BACKLOG, "the backlog is made", MAKE_LIMIT_S)
    rig.gateway.stop()


def _watch(rig: CloudRig, seen: _Seen) -> None:
    """Wait until nothing of the backlog has been sent for a while."""
    deadline = time.monotonic() + DRAIN_LIMIT_S
    seen.last_backfill_at = time.monotonic()
    while time.monotonic() - seen.last_backfill_at < QUIET_S:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the backlog was still leaving after {DRAIN_LIMIT_S:g} s")
        pause(0.1)
        seen.take(rig)


def _alarm_ms(seen: _Seen, flipped_us: int) -> float:
    """Find the flipped input's alarm; milliseconds from the flip until the desk had committed it, -1 if never."""
    for key, arrived in seen.sent.items():
        if arrived.channel is Channel.ALARM and key in seen.stored:
            event = arrived.alarm()
            if (event.device, event.point) == ("dev1", f"b{FLIPPED_BIT}"):
                return round((seen.stored[key][0] - flipped_us) / 1000, 1)
    return -1.0
