"""The rig with the real cloud: InfluxDB, ingest, the alarm desk and its database."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.ledger import Ledger
from benchmarks.rig import Rig
from benchmarks.sites import GATEWAY
from cloud.database import open_database
from cloud.desk.core import Alarm
from cloud.desk.operations import list_alarms
from cloud.settings import load_settings
from langyan.demo.counting import stored_numbers
from langyan.servers import Influx, Langyan

DATABASE = "langyan"
MAX_ALARMS = 100_000
WORKERS = ("ingest", "desk")

_SETTINGS = """[mqtt]
port = {broker_port}
[influx]
version = 1
url = "{influx_url}"
database = "{database}"
[database]
url = "sqlite:///alarms.db"
[gateways.{gateway}]
site = "bench"
"""


class CloudRig(Rig):
    """A rig whose receiver only looks on: receipts come from ingest and desk."""

    @contextlib.contextmanager
    def running(self, *, answers: bool = False) -> Iterator["CloudRig"]:
        """Start the rig, then InfluxDB, ingest and desk; stop all at the end."""
        with super().running(answers=answers), contextlib.ExitStack() as parts:
            self.influx = parts.enter_context(Influx(self.folder / "influxd"))
            self.settings = self.folder / "cloud.toml"
            text = _SETTINGS.format(
                broker_port=self.broker.port, influx_url=self.influx.url, database=DATABASE, gateway=GATEWAY
            )
            self.settings.write_text(text, encoding="utf-8")
            for worker in WORKERS:
                ready = partial(self._has_heard, worker)
                parts.enter_context(Langyan(self.folder, worker, "cloud", worker, str(self.settings), ready=ready))
            yield self

    def stored(self, last: Mapping[str, int]) -> Ledger:
        """Read the counters that InfluxDB holds of each device in `last`."""
        ledger = Ledger()
        for device in last:
            for number in stored_numbers(self.influx.url, DATABASE, GATEWAY, device, "r0"):
                ledger.add(device, int(number))
        return ledger

    def alarms(self) -> list[Alarm]:
        """List the alarms of inputs in the alarm database."""
        with open_database(load_settings(self.settings, database_only=True).database) as database:
            found = list_alarms(database, state="all", limit=MAX_ALARMS)
        return [alarm for alarm in found if alarm.rule == "press"]

    def _has_heard(self, worker: str) -> bool:
        return any(worker in said for said in self.receiver.workers)


@contextlib.contextmanager
def open_cloud_rig(*, units: int, times: bool = False) -> Iterator[CloudRig]:
    """Start a rig with the real cloud in a temporary folder; see `benchmarks.rig.open_rig`."""
    with tempfile.TemporaryDirectory(prefix="langyan-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        rig = CloudRig(Path(folder), units=units, times=times)
        with rig.running():
            yield rig


def wall_us(monotonic_ns: int) -> int:
    """Say what the wall clock showed at a moment of the monotonic one, if it has not been set since."""
    return time.time_ns() // 1000 - (time.monotonic_ns() - monotonic_ns) // 1000
