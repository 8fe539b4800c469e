"""The demo as a newcomer runs it: it succeeds, says what it found, and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from langyan.servers import free_port, wait_until
from tests.end_to_end.boards import unexplained_faults

pytestmark = pytest.mark.timeout(240)


def demo(*words: str) -> list[str]:
    return [sys.executable, "-m", "langyan", "demo", "--no-live", *words]


def started(argv: list[str]) -> subprocess.Popen[str]:
    """Start it as a terminal does: a job that a shell put into the background would ignore SIGINT."""
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, preexec_fn=_heed_interrupts)  # noqa: PLW1509


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def processes_of(folder: Path) -> list[int]:
    """Processes that name `folder` on their command line: every child of a demo in that folder does."""
    running = psutil.process_iter(["pid", "cmdline"])
    named = (process.pid for process in running if str(folder) in " ".join(process.info["cmdline"] or ()))
    return [pid for pid in named if pid != os.getpid()]


def test_the_story_is_played_and_counted(tmp_path: Path) -> None:
    folder, report = tmp_path / "demo", tmp_path / "report.json"
    influx_port, broker_port = free_port(), free_port()
    words = ["--seconds", "20", "--dir", str(folder), "--report", str(report)]
    ports = ["--influx-port", str(influx_port), "--broker-port", str(broker_port)]
    played = subprocess.run(demo(*words, *ports), capture_output=True, text=True, check=False, timeout=200)
    assert played.returncode == 0, played.stdout + played.stderr
    found = json.loads(report.read_text())
    assert found["produced"] == found["stored"] > 1000
    assert (found["lost"], found["duplicates"]) == (0, 0)
    assert found["alarms_raised"] == found["alarms_stored"] > 5
    took = found["press_to_stored_ms"]
    assert 0 < took["p50"] <= took["p99"] <= took["max"]
    assert found["outage_press_to_stored_ms"] > took["p50"]
    assert found["outage_press_to_siren_ms"] > 0
    trades = found["trades"]
    assert (trades["fires"], trades["fire_alarms"], trades["fire_evidence"]) == (1, 3, 2)
    assert (trades["trail_stations"], trades["patrol_visits"], trades["vehicles_seen"]) == (2, 3, 1)
    assert (found["influx_url"], found["influx_db"]) == (f"http://127.0.0.1:{influx_port}", "langyan")
    assert found["broker_port"] == broker_port
    assert "Nothing lost, nothing stored twice." in played.stdout
    assert processes_of(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_interrupted_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "demo"
    with started(demo("--seconds", "60", "--dir", str(folder))) as process:
        assert process.stdout is not None
        while "s  " not in process.stdout.readline():
            assert process.poll() is None
        assert len(processes_of(folder)) >= 8
        process.send_signal(number)
        process.communicate(timeout=60)
    assert wait_until(lambda: processes_of(folder) == [], 30.0)
    if number is not signal.SIGKILL:
        assert process.returncode == 130


def test_servers_stay_up_on_request_and_its_dashboards_show_what_was_played(tmp_path: Path) -> None:
    folder, report = tmp_path / "demo", tmp_path / "report.json"
    words = demo("--seconds", "15", "--keep", "--dir", str(folder), "--report", str(report))
    with started(words) as process:
        assert wait_until(report.exists, 150.0)
        assert process.stdout is not None
        while "Ctrl-C" not in process.stdout.readline():
            assert process.poll() is None
        assert any("mosquitto" in " ".join(psutil.Process(pid).cmdline()) for pid in processes_of(folder))
        told = json.loads(report.read_text())
        faults = unexplained_faults(folder / "grafana", told["influx_url"], told["influx_db"])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert not faults, "\n".join(map(str, faults))
    assert processes_of(folder) == []


def test_a_server_that_is_not_installed_is_said_in_one_sentence(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import langyan.servers as s, sys\n"
        "s._SEARCH = '/nowhere'\n"
        "sys.argv = ['langyan', 'demo', '--no-live', '--seconds', '15']\n"
        "from langyan.cli import main\n"
        "main()\n"
    )
    said = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 1
    assert said.stderr.strip() == "mosquitto is not installed. On Debian: sudo apt-get install mosquitto"


def test_a_folder_that_holds_an_older_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alarms.db").write_bytes(b"")
    argv = demo("--seconds", "15", "--dir", str(tmp_path))
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 1
    assert "is not empty" in said.stderr


@pytest.mark.parametrize("option", ["--influx-port", "--broker-port"])
def test_a_port_that_is_taken_is_refused_and_the_stranger_is_left_alone(option: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        argv = demo("--seconds", "15", "--dir", str(tmp_path / "demo"), option, port)
        said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 1
    assert f"port {port} is taken" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    ("option", "value", "status"),
    [
        ("--report", "/nowhere/r.json", 2),
        ("--report", "/proc", 2),
        ("--dir", "/proc/x/y", 1),
        ("--dir", "/etc/passwd", 1),
        ("--broker-port", "80000", 2),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_starts(option: str, value: str, status: int) -> None:
    argv = demo("--seconds", "15", option, value)
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == status
    assert "Traceback" not in said.stderr
