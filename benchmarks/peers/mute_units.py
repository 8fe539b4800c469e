"""A driver for the peers' harness: units of a serial line that are mute, or answer just after their timeout.

The harness faults one unit at a time; this faults any, in any way, and counts the reads of the live ones.
Run by benchmarks.peers.rows; alone: python -m benchmarks.peers.mute_units ADAPTER FAULT UNITS [a.option=value ...],
with the harness's folder in PEERS.
"""

import importlib
import json
import os
import signal
import sys
import time
from typing import Any

from benchmarks.rig import pause

UNITS = 8
POLL_MS = 1000
TIMEOUT_S = 1.0
LATE_BY_S = 0.05
WARM_S = 8.0
SECONDS = 40.0


def measure(adapter: Any, fault: str, faulty: list[int], *, retries: int) -> dict[str, Any]:
    """Fault the units before the gateway starts; count what the others hand out after a while."""
    harness, bench = (importlib.import_module(name) for name in ("harness", "bench"))
    with bench.Rig(adapter, rtu={"units": UNITS}) as rig:
        for unit in faulty:
            order = {"op": "fault", "unit": unit, "kind": fault, "late_s": TIMEOUT_S + LATE_BY_S}
            harness.control(harness.RTU_CTL, order)
        rig.start(harness.rtu_devices(UNITS, POLL_MS, rig.bus.master, timeout_s=TIMEOUT_S, retries=retries))
        rig.wait_first(1, 60)
        pause(WARM_S)
        harness.control(harness.RTU_CTL, {"op": "reset"})
        pause(SECONDS)
        stats = harness.control(harness.RTU_CTL, {"op": "stats"})
        live = [reads for unit, reads in stats["per_unit"].items() if int(unit) not in faulty]
        wanted = len(live) * stats["elapsed"] * 1000 / POLL_MS
        return {
            "scenario": "mute_units",
            "adapter": adapter.name,
            "fault": fault,
            "faulty": faulty,
            "poll_ms": POLL_MS,
            "timeout_s": TIMEOUT_S,
            "retries": retries,
            "live_rate_pct": round(100 * sum(live) / wanted, 1),
            "slowest_live_hz": round(min(live) / stats["elapsed"], 3),
            "requests_to_faulty": [stats["requests"][str(unit)] for unit in faulty],
            "early_requests": stats["early"],
            "at": time.strftime("%H:%M:%S"),
        }


def main() -> None:
    """Measure and print one JSON line, as the harness does."""
    # SIGTERM unwinds, so that nothing that was started stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.path.insert(0, os.environ["PEERS"])
    name, fault, units, *given = sys.argv[1:]
    options = dict(word.split("=", 1) for word in given)
    retries = int(options.pop("retries", "0"))
    harness = importlib.import_module("harness")
    adapter = harness.load_adapter(name, **{key.removeprefix("a."): value for key, value in options.items()})
    print(json.dumps(measure(adapter, fault, [int(unit) for unit in units.split(",")], retries=retries)), flush=True)


if __name__ == "__main__":
    main()
