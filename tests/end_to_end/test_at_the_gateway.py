"""The commands at the gateway, against a real one with a real cloud: how it stands, and the walk test."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.alarms import Mode
from edge.control import Control, ControlError, control_path
from tests.end_to_end.rig import Rig, open_rig

pytestmark = pytest.mark.timeout(180)

ENV = {"PATH": "/usr/bin:/bin", "LANGYAN_LANG": "en", "COLUMNS": "200", "PYTHONUTF8": "1"}
BUTTONS = [("lab-1", "button_1"), ("lab-1", "button_2"), ("lab-2", "button_1")]


def argv(*words: str) -> list[str]:
    return [sys.executable, "-m", "langyan", "edge", *words]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with open_rig(tmp_path) as opened:
        yield opened


def status(site: Path) -> tuple[int, dict[str, object]]:
    said = subprocess.run(
        argv("status", str(site), "--json"), capture_output=True, text=True, check=False, timeout=60, env=ENV
    )
    return said.returncode, json.loads(said.stdout)


def advice_of(told: dict[str, object]) -> set[str]:
    found = told["advice"]
    assert isinstance(found, list)
    return {advice["key"] for advice in found}


def has_begun(outbox: Path) -> bool:
    try:
        with Control(control_path(outbox)) as control:
            return "buttons" in control.ask({"do": "walktest", "action": "state"})
    except ControlError:
        return False


def test_it_says_how_it_stands_and_what_is_wrong(rig: Rig, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    rig.wait(lambda: status(site)[0] == 0)
    rig.control.mute("lab-2")
    rig.wait(lambda: "unit-mute" in advice_of(status(site)[1]))
    rig.control.unmute("lab-2")
    rig.stage.broker.stop()
    rig.wait(lambda: "broker-unreachable" in advice_of(status(site)[1]))
    rig.gateway.stop()
    code, told = status(site)
    assert (code, told["running"]) == (2, False)


def test_a_walk_test_is_marked_ends_by_itself_and_leaves_no_real_alarm(rig: Rig, tmp_path: Path) -> None:
    site, record = tmp_path / "site.toml", tmp_path / "record.json"
    rig.wait(lambda: status(site)[0] == 0)
    with subprocess.Popen(
        argv("walktest", str(site), "--out", str(record), "--by", "王芳"), stdout=subprocess.DEVNULL, env=ENV
    ) as walk:
        try:
            rig.wait(lambda: has_begun(tmp_path / "outbox.db"))
            for device, point in BUTTONS:
                rig.control.press(device, point, for_s=0.5)
            assert walk.wait(60) == 0
        finally:
            walk.send_signal(signal.SIGINT)
    told = json.loads(record.read_text("utf-8"))
    assert [(button["device"], button["point"], button["result"]) for button in told["buttons"]] == [
        (device, point, "stored") for device, point in BUTTONS
    ]
    rig.wait(rig.is_all_clear)
    assert len(rig.alarms()) >= len(BUTTONS)
    assert {alarm.mode for alarm in rig.alarms()} == {Mode.TEST}
