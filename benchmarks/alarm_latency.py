"""From a flip of an input to the alarm at a subscriber of the broker: alone, and beside 100 busy devices.

The input is polled every 100 ms. The others stand behind the same TCP connection, polled every second, or as fast as
the connection goes (a period of 10 ms is more than it carries).
"""

import functools
import queue
import random

from msgspec import Struct

from benchmarks.ledger import percentile
from benchmarks.receiver import Arrived
from benchmarks.rig import Rig, open_rig, pause
from contract.alarms import Transition

FLIPS = 200
POLL_S = 0.1
OTHERS = 100
FLAT_OUT_S = 0.01
WARM_S = 4.0
FLIP_LIMIT_S = 10.0


class Latency(Struct, frozen=True):
    """Milliseconds from flip to message, over all flips that arrived.

    Attributes:
        others_polls_per_s: register blocks a second that the other devices handed out meanwhile.
        missed: flips whose alarm did not come within 10 s.
    """

    flips: int
    missed: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    others_polls_per_s: float


class AlarmLatency(Struct, frozen=True):
    """Rows 1 to 3: the device alone, beside 100 every second, beside 100 flat out; one TCP connection."""

    alone: Latency
    others_every_second: Latency
    others_flat_out: Latency


def measure(flips: int = FLIPS) -> AlarmLatency:
    """Measure the three rows, one after the other."""
    return AlarmLatency(
        alone=_row(flips, others=0, others_every_s=1.0),
        others_every_second=_row(flips, others=OTHERS, others_every_s=1.0),
        others_flat_out=_row(flips, others=OTHERS, others_every_s=FLAT_OUT_S),
    )


def _row(flips: int, *, others: int, others_every_s: float) -> Latency:
    with open_rig(units=1 + others) as rig:
        devices = rig.devices(1, POLL_S, shared=True) + rig.devices(others, others_every_s, first=2, shared=True)
        # Bounded by what one flip can cause: eight inputs, each raised and cleared.
        alarms: queue.Queue[Arrived] = queue.Queue(64)
        rig.receiver.on_alarm(alarms.put_nowait)
        rig.start_gateway(devices)
        rig.wait_for_all(devices)
        pause(WARM_S)
        rig.farm.ask(op="reset")
        dice = random.Random(7)  # noqa: S311 - moments and inputs, not secrets
        took = [_flip(rig, alarms, dice) for _ in range(flips)]
        stats = rig.farm.ask(op="stats")
    known = [ms for ms in took if ms is not None]
    others_reads = sum(count for unit, count in stats["reads"].items() if unit != "1")
    share = functools.partial(percentile, known)
    return Latency(
        flips=flips,
        missed=flips - len(known),
        p50_ms=round(share(0.5), 1),
        p95_ms=round(share(0.95), 1),
        p99_ms=round(share(0.99), 1),
        max_ms=round(max(known, default=0.0), 1),
        others_polls_per_s=round(others_reads / stats["elapsed_s"], 1),
    )


def _flip(rig: Rig, alarms: "queue.Queue[Arrived]", dice: random.Random) -> float | None:
    """Flip one input at a random moment; milliseconds until its alarm has arrived."""
    pause(dice.uniform(0.05, 0.35))
    # Telemetry is not looked at here; it must only not pile up.
    for _ in rig.receiver.drain():
        pass
    bit = dice.randrange(8)
    flipped = rig.farm.ask(op="flip", unit=1, bit=bit)
    wanted = Transition.RAISED if flipped["value"] else Transition.CLEARED
    while True:
        try:
            arrived = alarms.get(timeout=FLIP_LIMIT_S)
        except queue.Empty:
            return None
        event = arrived.alarm()
        if (event.device, event.point, event.transition) == ("dev1", f"b{bit}", wanted):
            return (arrived.at_ns - int(flipped["at_ns"])) / 1e6
