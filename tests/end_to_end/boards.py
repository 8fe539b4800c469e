"""The dashboards that a run has written, asked of the InfluxDB that its real gateways and workers have written.

What a run of seconds cannot have is named here, each with its reason; everything else must show data.
"""

import json
import re
from pathlib import Path

from cloud.influx.schema import MEASUREMENTS
from langyan.servers import wait_until
from tests.cloud.grafana_rig import Fault, Model, ask, run_dashboard

# A day of weather makes the first of them, at noon.
_TAKES_A_DAY = {"fire_danger"}
_REASONS = (
    re.compile(r'"long"\."fire_danger"'),
    # What is counted between two minutes takes two minutes.
    re.compile(r"non_negative_(?:derivative|difference)"),
    # Most of what the story raises is critical, nobody arrives there, and the officer closes everything at its end.
    re.compile(r"\"severity\" = '(?:high|medium|low)'"),
    re.compile(r'"stage" =~ /\^\(scene\)\$/'),
    re.compile(r'"open" = 1$'),
    # A tour's numbers lie at its beginning, and that of the story begins minutes after it.
    re.compile(r'"long"\."patrol"'),
    # The simulated host has no radio.
    re.compile(r'\("signal"\) .*canteen-host'),
    # Wand and bus raise nothing in it, and the bicycle's theft is not over.
    re.compile(r'"long"\."alarm_event" .*"what" '),
)
_QUOTED = re.compile(r'"(?P<name>[^"]+)"')


def unexplained_faults(folder: Path, url: str, database: str, *, limit_s: float = 40.0) -> list[Fault]:
    """Ask every question of every dashboard below a folder; the faults that nothing above explains, nor waiting."""
    models = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.json"))]
    assert len(models) > 15, "too few dashboards were written"
    faults: list[Fault] = []

    def is_all_there() -> bool:
        faults[:] = _faults(models, url, database)
        return not faults

    wait_until(is_all_there, limit_s, every_s=2.0)
    return faults


def _faults(models: list[Model], url: str, database: str) -> list[Fault]:
    measured = {str(row[0]) for series in ask(url, "SHOW MEASUREMENTS", database=database) for row in series.values}
    missing = MEASUREMENTS.keys() - _TAKES_A_DAY - measured
    if missing:
        return [Fault("", "database", "SHOW MEASUREMENTS", f"nobody has written {sorted(missing)}")]
    said = {
        str(row[0])
        for series in ask(url, 'SHOW FIELD KEYS FROM "telemetry"', database=database)
        for row in series.values
    }
    faults = [fault for model in models for fault in run_dashboard(model, url, database=database)]
    return [fault for fault in faults if not _is_explained(fault, said)]


def _is_explained(fault: Fault, said: set[str]) -> bool:
    if fault.words.startswith(("override: no field", "no choices")):
        # It names a series that is not there: the question without an answer is a fault of its own.
        return True
    if fault.words != "empty":
        return False
    if any(reason.search(fault.question) for reason in _REASONS):
        return True
    asked = fault.question.split(" FROM ", maxsplit=1)[0]
    points = {match["name"] for match in _QUOTED.finditer(asked)}
    # No simulated device of the demo says that of itself.
    return '"telemetry"' in fault.question and bool(points) and not points & said
