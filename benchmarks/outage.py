"""The broker is away for 60 s, again and again: how soon the gateway is back, and what of its readings is stored.

51 devices, four times a second: some 245 000 readings an outage. Real ingest, real InfluxDB.
"""

from msgspec import Struct

from benchmarks.cloud import CloudRig, open_cloud_rig
from benchmarks.ledger import percentile
from benchmarks.rig import expect, pause

OUTAGES = 3
AWAY_S = 60.0
DEVICES = 51
EVERY_S = 0.25
REGISTERS = 20
SETTLE_S = 8.0
QUIET_S = 3.0
DRAIN_LIMIT_S = 120.0


class Outage(Struct, frozen=True):
    """Several outages of one gateway.

    Attributes:
        reconnected_s: from the moment the broker can be reached until it answers the gateway, each time.
        readings_meanwhile: register readings made in all outages together.
        readings: made in the whole run.
        lost, twice: of the whole run, in InfluxDB.
    """

    reconnected_s: list[float]
    reconnected_max_s: float
    reconnected_median_s: float
    readings_meanwhile: int
    readings: int
    lost: int
    twice: int


def measure() -> Outage:
    """Cut, wait, open, let it drain; then stop the gateway in order and count."""
    with open_cloud_rig(units=DEVICES) as rig:
        rig.start_gateway(rig.devices(DEVICES, EVERY_S, shared=True), direct=False)
        expect(lambda: min(rig.counters().values()) > 0, "every device is read")
        pause(SETTLE_S)
        seconds, blocks = [], 0
        for _ in range(OUTAGES):
            took_s, made = _outage(rig)
            seconds.append(took_s)
            blocks += made
            _drain(rig)
        rig.gateway.stop()
        last = rig.counters()
        found = rig.stored(last).compare(last)
    return Outage(
        reconnected_s=seconds,
        reconnected_max_s=max(seconds),
        reconnected_median_s=percentile(seconds, 0.5),
        readings_meanwhile=blocks * REGISTERS,
        readings=found.read * REGISTERS,
        lost=found.lost * REGISTERS,
        twice=found.twice * REGISTERS,
    )


def _outage(rig: CloudRig) -> tuple[float, int]:
    """Cut the wire for a minute; returns seconds to the reconnect, and blocks read meanwhile."""
    before = sum(rig.counters().values())
    rig.link.ask(op="cut")
    pause(AWAY_S)
    made = sum(rig.counters().values()) - before
    rig.link.ask(op="open")
    expect(lambda: rig.link.ask(op="stats")["answered_at"] > 0, "the gateway connects again")
    stats = rig.link.ask(op="stats")
    return round((stats["answered_at"] - stats["opened_at"]) / 1e9, 3), made


def _drain(rig: CloudRig) -> None:
    """Wait until all that was read before now is stored."""
    last = rig.counters()

    def is_stored() -> bool:
        pause(QUIET_S)
        for _ in rig.receiver.drain():
            pass
        return rig.stored(last).compare(last).lost == 0

    expect(is_stored, "the backlog is stored", DRAIN_LIMIT_S)
