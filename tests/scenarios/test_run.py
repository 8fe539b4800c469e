"""`langyan sim run`: every shipped scenario passes; what fails is said, and what is wrong is refused."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psutil
import pytest

from langyan.servers import wait_until
from simulators.scenario.loader import shipped
from tests.scenarios.rig import write
from tests.test_docs import blocks

# One of them plays all.
pytestmark = pytest.mark.timeout(300)

# The machine of the tests has other things to do: what a scenario wants within a second may take five.
SLACK = "5"


def sim(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin:/usr/sbin", "LANGYAN_LANG": "en", "COLUMNS": "160", "PYTHONUTF8": "1"}
    argv = [sys.executable, "-m", "langyan", "sim", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=280, env=env, **more)


def test_every_shipped_scenario_passes(tmp_path: Path) -> None:
    """All in one: they are played side by side."""
    file = tmp_path / "all.json"
    said = sim("run", *shipped(), "--jobs", "3", "--slack", SLACK, "--json", str(file))
    assert file.exists(), said.stderr
    found = json.loads(file.read_text("utf-8"))
    assert {one["name"] for one in found["scenarios"]} == set(shipped())
    faults = {one["name"]: _faults(one) for one in found["scenarios"]}
    assert {name: words for name, words in faults.items() if words} == {}
    assert (found["is_good"], said.returncode) == (True, 0)


def _faults(report: dict[str, Any]) -> list[str]:
    unmet = [f"{one['line']}: {one['expected']}: {one['said']}" for one in report["results"] if not one["is_met"]]
    is_empty = not report["results"] or not (report["readings"] or report["alarms"])
    return [*filter(None, [report.get("error", "")]), *unmet, *(["nothing was looked at"] if is_empty else [])]


def test_the_list_names_every_shipped_scenario() -> None:
    said = sim("scenarios")
    assert said.returncode == 0
    assert all(name in said.stdout for name in shipped())
    assert len(shipped()) >= 8


PRESS = """
[[at]]
id = "press"
t = 0.5
do = "press"
device = "buttons"
point = "button_1"
for_s = 0.5

[[expect]]
what = "raised"
device = "buttons"
alarm = "panic"
after = "press"
"""


def test_the_scenario_of_the_page_passes(tmp_path: Path) -> None:
    docs = Path(__file__).parents[2] / "docs"
    (tmp_path / "school.toml").write_text((docs / "examples" / "school.toml").read_text("utf-8"), "utf-8")
    path = tmp_path / "gate-panic.toml"
    path.write_text(blocks((docs / "scenarios.md").read_text("utf-8"), "toml")[0], "utf-8")
    said = sim("run", str(path), "--slack", SLACK)
    assert said.returncode == 0, said.stdout + said.stderr


def test_an_expectation_that_fails_is_status_1_and_stands_in_every_report(tmp_path: Path) -> None:
    head = '[scenario]\nname = "short"\nlength_s = 2\n[[site]]\nfile = "site.toml"\n'
    path = write(tmp_path, PRESS + '[[expect]]\nwhat = "not-raised"\nalarm = "panic"\n', head=head)
    files = {key: tmp_path / f"report.{key}" for key in ("json", "junit")}
    keep = tmp_path / "kept"
    words = ["--json", str(files["json"]), "--junit", str(files["junit"]), "--keep", str(keep), "--slack", SLACK]
    said = sim("run", str(path), *words)
    assert said.returncode == 1, said.stderr
    assert "NO" in said.stdout
    assert "gw/buttons/button_1/panic raised" in said.stdout
    (report,) = json.loads(files["json"].read_text("utf-8"))["scenarios"]
    assert [result["is_met"] for result in report["results"]] == [True, False]
    (suite,) = ET.parse(files["junit"]).getroot()  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert (keep / "short" / "gw" / "site.toml").exists()
    again = sim("run", str(path), "--keep", str(keep))
    assert again.returncode == 1
    assert "is not empty" in again.stdout


def test_a_scenario_that_names_what_does_not_exist_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path = write(tmp_path, PRESS.replace('"button_1"', '"button_7"').replace('"panic"', '"panics"'))
    keep = tmp_path / "kept"
    said = sim("run", str(path), "panic-without-broker", "--keep", str(keep))
    assert said.returncode == 2
    first, second, count = said.stderr.splitlines()
    assert f"{path}:15: at[1]" in first
    assert "no point" in first
    assert f"{path}:21: expect[1].alarm: nothing here raises" in second
    assert count == f"{path}: 2 fault(s)"
    assert not keep.exists()


@pytest.mark.parametrize("words", [["nowhere"], ["panic-without-broker", "--json", "/nowhere/x.json"]])
def test_what_cannot_be_is_refused(words: list[str]) -> None:
    said = sim("run", *words)
    assert said.returncode == 2
    assert "Traceback" not in said.stderr


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    argv = [sys.executable, "-m", "langyan", "sim", "run", "power-cut", "--keep", str(keep)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        log = keep / "power-cut" / "school-17" / "gateway.log"
        # While a process is being forked Python may swallow an interrupt.
        assert wait_until(lambda: log.exists() and log.stat().st_size > 0, 60.0)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing is left running" in said
    running = psutil.process_iter(["cmdline"])
    assert [one for one in running if str(keep) in " ".join(one.info["cmdline"] or ())] == []
