"""A fleet of gateways: the asked rate against a real cloud, number by number, and how many connect."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

from benchmarks.receiver import Receiver
from langyan.servers import Influx, Langyan, Mosquitto, Process
from simulators.fleet.counting import Found, count_stored
from simulators.fleet.files import make_room
from simulators.fleet.plan import Outcome, Plan

DATABASE = "langyan"
DEVICES = 20
# Gateways, interval, length of the run; the first is the one that is promised.
STORED = ((1000, 30.0, 60.0), (1000, 10.0, 30.0))
# What the process itself can do: the broker's word is taken for the cloud's.
BARE = ((1000, 1.0, 20.0), (10_000, 30.0, 30.0))
_LIMIT_S = 400.0

_SETTINGS = """[mqtt]
port = {broker_port}
[influx]
version = 1
url = "{influx_url}"
database = "{database}"
[database]
url = "sqlite:///alarms.db"
"""


class Row(Struct, frozen=True):
    """One run.

    Attributes:
        missed_percent: of the asked rate.
        cpu_percent, broker_cpu_percent, ingest_cpu_percent: of one core, while readings were made (of broker and
            ingest: over the whole run).
        found: readings of the devices' number, made and stored; None without a database.
        load: of the machine at the end, processes that want a core; more than it has cores, and others were at work.
    """

    gateways: int
    devices: int
    interval_s: float
    seconds: float
    connect_s: float
    asked_per_s: float
    done_per_s: float
    missed_percent: float
    receipt_p50_ms: float
    receipt_p99_ms: float
    sent_again: int
    cpu_percent: float
    rss_mib: float
    broker_cpu_percent: float
    ingest_cpu_percent: float | None
    found: Found | None
    load: float


class Fleet(Struct, frozen=True):
    """Runs with ingest and InfluxDB behind the broker, and runs with nothing behind it."""

    stored: list[Row]
    bare: list[Row]


def measure() -> Fleet:
    """Run every row, each on a broker and database of its own."""
    make_room(max(gateways for gateways, _, _ in BARE))
    stored, bare = [], []
    for gateways, interval_s, seconds in STORED:
        with _folder() as folder, _cloud(folder) as (broker, influx, ingest):
            plan = Plan(gateways=gateways, devices=DEVICES, interval_s=interval_s, port=broker.port)
            outcome, spent = _run(folder, plan, seconds, [broker, ingest])
            found = count_stored(plan, outcome, url=influx.url, database=DATABASE)
            stored.append(_row(outcome, spent, found))
    for gateways, interval_s, seconds in BARE:
        with _folder() as folder, Mosquitto(folder / "broker") as broker:
            plan = Plan(gateways=gateways, devices=DEVICES, interval_s=interval_s, port=broker.port)
            outcome, spent = _run(folder, plan, seconds, [broker], "--no-receipts")
            bare.append(_row(outcome, spent, None))
    return Fleet(stored, bare)


def _run(
    folder: Path, plan: Plan, seconds: float, processes: Sequence[Process], *options: str
) -> tuple[Outcome, list[float]]:
    """Run the command; returns what it wrote, and the share of a core that each of `processes` took."""
    place = folder / "fleet.json"
    argv = [
        sys.executable, "-m", "langyan", "sim", "fleet", "--gateways", str(plan.gateways), "--devices",
        str(plan.devices), "--interval", str(plan.interval_s), "--seconds", str(seconds), "--broker",
        f"127.0.0.1:{plan.port}", "--json", str(place), *options,
    ]  # fmt: skip
    before = [_cpu_s(process) for process in processes]
    # Its exit status is in the figures: a rate that was missed is a result.
    subprocess.run(argv, check=False, timeout=_LIMIT_S)
    after = [_cpu_s(process) for process in processes]
    outcome = msgspec.json.decode(place.read_bytes(), type=Outcome)
    whole_s = outcome.seconds + outcome.connect_s
    return outcome, [round((end - start) / whole_s * 100, 1) for start, end in zip(before, after, strict=True)]


def _row(outcome: Outcome, spent: list[float], found: Found | None) -> Row:
    return Row(
        gateways=outcome.gateways,
        devices=outcome.devices,
        interval_s=outcome.interval_s,
        seconds=outcome.seconds,
        connect_s=outcome.connect_s,
        asked_per_s=outcome.asked_per_s,
        done_per_s=outcome.done_per_s,
        missed_percent=round(outcome.missed * 100, 2),
        receipt_p50_ms=outcome.receipt_p50_ms,
        receipt_p99_ms=outcome.receipt_p99_ms,
        sent_again=outcome.again,
        cpu_percent=round(outcome.cpu_s / outcome.seconds * 100, 1),
        rss_mib=outcome.rss_mib,
        broker_cpu_percent=spent[0],
        ingest_cpu_percent=spent[1] if len(spent) > 1 else None,
        found=found,
        load=round(os.getloadavg()[0], 1),
    )


def _cpu_s(process: Process) -> float:
    spent = psutil.Process(process.pid).cpu_times()
    return float(spent.user + spent.system)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="langyan-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        yield Path(folder)


@contextlib.contextmanager
def _cloud(folder: Path) -> Iterator[tuple[Mosquitto, Influx, Process]]:
    """Start broker, InfluxDB and ingest, and wait until ingest has subscribed."""
    with Mosquitto(folder / "broker") as broker, Influx(folder / "influxd") as influx:
        settings = folder / "cloud.toml"
        text = _SETTINGS.format(broker_port=broker.port, influx_url=influx.url, database=DATABASE)
        settings.write_text(text, encoding="utf-8")
        receiver = Receiver(broker.port, answers=False)
        words = ("cloud", "ingest", str(settings))
        ingest = Langyan(folder, "ingest", *words, ready=lambda: any("ingest" in said for said in receiver.workers))
        with ingest:
            receiver.close()
            yield broker, influx, ingest
