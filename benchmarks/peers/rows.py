"""The rows of the comparison: each is measured on every gateway, one after the other, in one sitting.

PEERS names the harness's folder, PEERS_TB the environment with thingsboard-gateway, PEERS_NR the folder with Node-RED's
node_modules; a peer that is not there is left out, and said so.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from langyan.errors import LangyanError

ADAPTER = Path(__file__).parent / "langyan_adapter.py"
RUN_LIMIT_S = 1_800.0
LANGYAN, THINGSBOARD, NODE_RED = "langyan", "thingsboard", "nodered"
EVERYONE = (LANGYAN, THINGSBOARD, NODE_RED)
BOTH = (LANGYAN, THINGSBOARD)


class PeersMissingError(LangyanError):
    """The peers' harness is not there."""


class Run(Struct, frozen=True):
    """One scenario of the harness, or of `mute_units`, on some of the gateways.

    Attributes:
        words: scenario and its options.
        by: which gateways; `options` are added for the one named.
    """

    words: tuple[str, ...]
    by: tuple[str, ...] = BOTH
    options: Mapping[str, tuple[str, ...]] = {}


class Row(Struct, frozen=True):
    """What the harness said, in order, and who was not there."""

    rows: list[dict[str, Any]]
    missing: list[str]


ALARM = ("alarm", "flips=200", "poll=100")
MUTE = ("mute_units", "dead")
OUTAGE = ("outage", "n=50", "poll=250", "alarm_poll=250", "down=60")
# Node-RED has no store: nothing comes back, and the harness need not wait for it long.
NO_STORE = ("drain_max=40",)

ROWS: dict[str, tuple[Run, ...]] = {
    "peers_alarm": (
        Run(ALARM, EVERYONE),
        Run((*ALARM, "others=100", "others_poll=1000"), EVERYONE),
        Run((*ALARM, "others=100", "others_poll=10")),
    ),
    "peers_cpu": (Run(("rate", "n=100", "poll=100", "shared=0", "seconds=20", "engine=raw"), EVERYONE),),
    "peers_throughput": tuple(
        Run(("rate", "n=100", f"poll={poll}", "shared=0", "seconds=20", "engine=raw"), EVERYONE)
        for poll in (50, 25, 20, 16)
    ),
    "peers_fast_device": (Run(("rate", "n=1", "poll=10", "seconds=20", "engine=raw")),),
    "peers_memory": (
        Run(("idle", "n=100", "poll=1000", "seconds=40"), EVERYONE),
        Run(("idle", "n=100", "poll=1000", "seconds=40", "shared=0"), EVERYONE),
    ),
    "peers_startup": (Run(("startup", "n=100", "runs=5"), EVERYONE),),
    "peers_rtu": (Run(("rtu", "poll=400", "seconds=40")),),
    "peers_mute_units": (
        Run((*MUTE, "3")),
        Run((*MUTE, "3", "retries=3"), (THINGSBOARD,)),
        Run((*MUTE, "2,4,6")),
        Run(("mute_units", "late", "3")),
    ),
    "peers_bad_neighbour": (Run(("badtcp",), options={LANGYAN: ("a.bits=0",)}),),
    "peers_outage": (
        Run(OUTAGE, EVERYONE, {THINGSBOARD: ("a.storage=sqlite",), NODE_RED: NO_STORE}),
        Run(OUTAGE, (THINGSBOARD,), {THINGSBOARD: ("a.storage=file",)}),
    ),
    "peers_kills": tuple(
        Run(
            ("outage", "n=10", "poll=200", "down=40", f"kill={kills}"),
            EVERYONE,
            {THINGSBOARD: ("a.storage=file",), NODE_RED: NO_STORE},
        )
        for kills in (1, 2)
    ),
}


def measure(name: str) -> Row:
    """Measure one row of `ROWS`.

    Raises:
        PeersMissingError: PEERS does not name the harness's folder.
    """
    harness = Path(os.environ.get("PEERS", ""))
    if "PEERS" not in os.environ or not (harness / "bench.py").is_file():
        raise PeersMissingError("PEERS must name the folder of the peers' harness: PEERS=... make bench ARGS=" + name)
    homes = {LANGYAN: "", THINGSBOARD: os.environ.get("PEERS_TB", ""), NODE_RED: os.environ.get("PEERS_NR", "")}
    missing = [peer for peer, home in homes.items() if peer != LANGYAN and not home]
    rows = [
        row
        for run in ROWS[name]
        for peer in run.by
        if peer not in missing
        for row in _run(harness, peer, homes[peer], (*run.words, *run.options.get(peer, ())))
    ]
    return Row(rows, missing)


def _run(harness: Path, peer: str, home: str, words: tuple[str, ...]) -> list[dict[str, Any]]:
    """Run one scenario in a process of its own; returns the rows that it printed."""
    adapter = str(ADAPTER) if peer == LANGYAN else peer
    if words[0] == "mute_units":
        argv = [sys.executable, "-m", "benchmarks.peers.mute_units", adapter, *words[1:]]
    else:
        argv = [sys.executable, str(harness / "bench.py"), adapter, *words]
    print(f"  {peer}: {' '.join(words)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="langyan-peers-", dir=os.environ.get("BENCH_DIR")) as folder:
        environment = {**os.environ, "BENCH_DIR": folder, "PEER_VENV": home}
        status, said, errors = _finished(argv, environment)
    rows = [msgspec.json.decode(line, type=dict[str, Any]) for line in said.splitlines() if line.startswith("{")]
    if status:
        rows.append({"adapter": peer, "scenario": words[0], "failed": errors[-2000:]})
    for row in rows:
        print(f"    {row}", flush=True)
    return rows


def _finished(argv: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
    """Run to the end; after `RUN_LIMIT_S` ask it to stop, which takes down what it has started."""
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            said, errors = process.communicate(timeout=RUN_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            said, errors = process.communicate()
        return process.returncode, said, errors
