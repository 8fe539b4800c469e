"""`python -m benchmarks`: run the benchmarks, or those named, and write benchmarks/results/."""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks import alarm_latency, bad_neighbour, footprint, press_to_stored, rtu, throughput, written_bytes
from benchmarks.machine import facts

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, Callable[[], msgspec.Struct]] = {
    "press_to_stored": press_to_stored.measure,
    "alarm_latency": alarm_latency.measure,
    "cpu": throughput.measure_cpu,
    "throughput": throughput.measure_throughput,
    "fast_device": throughput.measure_fast_device,
    "memory": footprint.measure_memory,
    "startup": footprint.measure_startup,
    "rtu": rtu.measure_efficiency,
    "mute_units": rtu.measure_mute_units,
    "bad_neighbour": bad_neighbour.measure,
    "disk_bytes": written_bytes.measure_disk,
    "uplink_bytes": written_bytes.measure_uplink,
}


def main() -> int:
    """Run, print and write each benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"which; all when left out: {', '.join(BENCHMARKS)}")
    named = parser.parse_args().name
    unknown = sorted(set(named) - set(BENCHMARKS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    for name in named or BENCHMARKS:
        print(f"{name} ...", flush=True)
        result = {
            "benchmark": name,
            "command": f"make bench ARGS={name}",
            "measured_on": datetime.now(UTC).date().isoformat(),
            "machine": facts(),
            "result": BENCHMARKS[name](),
        }
        text = msgspec.json.format(msgspec.json.encode(result)).decode()
        print(text)
        (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
