"""`python -m benchmarks`: run the benchmarks, or those named, and write benchmarks/results/."""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from benchmarks import (
    alarm_latency,
    alarm_storm,
    area_import,
    backlog,
    bad_neighbour,
    bike_trail,
    city_cardinality,
    fire_index,
    fleet,
    footprint,
    fuzz,
    kills,
    million_alarms,
    outage,
    presence,
    press_to_stored,
    rtu,
    standing,
    stolen_push,
    telling_rate,
    throughput,
    two_desks,
    vehicle_positions,
    written_bytes,
)
from benchmarks.machine import facts
from benchmarks.peers import rows
from langyan.errors import LangyanError

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, Callable[[], msgspec.Struct]] = {
    "press_to_stored": press_to_stored.measure,
    "alarm_latency": alarm_latency.measure,
    "alarm_storm": alarm_storm.measure,
    "million_alarms": million_alarms.measure,
    "cpu": throughput.measure_cpu,
    "throughput": throughput.measure_throughput,
    "fast_device": throughput.measure_fast_device,
    "memory": footprint.measure_memory,
    "startup": footprint.measure_startup,
    "rtu": rtu.measure_efficiency,
    "mute_units": rtu.measure_mute_units,
    "bad_neighbour": bad_neighbour.measure,
    "outage": outage.measure,
    "backlog": backlog.measure,
    "kills": kills.measure,
    "disk_bytes": written_bytes.measure_disk,
    "uplink_bytes": written_bytes.measure_uplink,
    "fuzz": fuzz.measure,
    "fleet": fleet.measure,
    "presence": presence.measure,
    "area_import": area_import.measure,
    "bike_trail": bike_trail.measure,
    "city_cardinality": city_cardinality.measure,
    "fire_index": fire_index.measure,
    "two_desks": two_desks.measure,
    "vehicle_positions": vehicle_positions.measure,
    "standing": standing.measure,
    "telling_rate": telling_rate.measure,
    "stolen_push": stolen_push.measure,
}
# Beside other gateways: only when named, as they need the peers' harness.
PEERS: dict[str, Callable[[], msgspec.Struct]] = {name: partial(rows.measure, name) for name in rows.ROWS}


def main() -> int:
    """Run, print and write each benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = BENCHMARKS | PEERS
    text = (
        f"which; all when left out: {', '.join(BENCHMARKS)}; beside other gateways, only when named: {', '.join(PEERS)}"
    )
    parser.add_argument("name", nargs="*", help=text)
    named = parser.parse_args().name
    unknown = sorted(set(named) - set(known))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
    for name in named or BENCHMARKS:
        print(f"{name} ...", flush=True)
        result = {
            "benchmark": name,
            "command": f"make bench ARGS={name}",
            "measured_on": datetime.now(UTC).date().isoformat(),
            "machine": facts(),
            "result": known[name](),
        }
        text = msgspec.json.format(msgspec.json.encode(result)).decode()
        print(text)
        (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LangyanError as error:
        sys.exit(str(error))
