"""The commands as a technician uses them, faults first."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.rig import DEVICE, Rig, open_rig

pytestmark = pytest.mark.timeout(180)

GOOD = """
[gateway]
id = "g"
site = "学校"
[[bus]]
id = "line"
kind = "rtu"
port = "line.tty"
[[device]]
id = "climate"
bus = "line"
profile = "generic/xy-md02"
"""


def langyan(*words: str, language: str = "en", home: Path | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "langyan", *words]
    env = {"PATH": "/usr/bin:/bin", "LANGYAN_LANG": language, "COLUMNS": "200", "PYTHONUTF8": "1"}
    if home is not None:
        env["XDG_CONFIG_HOME"] = str(home)
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, env=env)


def test_a_good_site_file_is_shown_as_what_will_be_read(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(GOOD)
    said = langyan("edge", "check", str(site))
    assert said.returncode == 0, said.stderr
    assert "generic/xy-md02" in said.stdout
    assert "input 1+2 / 10 s" in said.stdout


FAULTY = """
[gateway]
id = "g"
site = "s"
colour = "red"
[[bus]]
id = "line"
kind = "rtu"
port = "line.tty"
baud = "fast"
[[device]]
id = "one"
bus = "line"
unit = 3
profile = "generic/xy-md02"
[[device]]
id = "two"
bus = "line"
unit = 3
profile = "generic/xy-md20"
"""


@pytest.mark.parametrize("command", [("edge", "check"), ("edge", "run"), ("sim", "devices")])
def test_every_fault_is_listed_with_file_and_line_and_the_status_is_2(tmp_path: Path, command: tuple[str, str]) -> None:
    site = tmp_path / "site.toml"
    site.write_text(FAULTY)
    said = langyan(*command, str(site))
    assert said.returncode == 2
    for word in (f"{site}:5: gateway.colour", f"{site}:10: bus[1]", "generic/xy-md20", "generic/xy-md02"):
        assert word in said.stderr, said.stderr
    assert "unit" in said.stderr
    assert said.stdout == ""


def test_faults_are_said_in_chinese_on_a_chinese_terminal(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(FAULTY)
    assert any("\u4e00" <= letter <= "\u9fff" for letter in langyan("edge", "check", str(site), language="zh").stderr)


def test_what_to_do_is_said_in_chinese_too(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(GOOD)
    said = langyan("edge", "capture", str(site), "--bus", "roof", "--out", str(tmp_path / "c.jsonl"), language="zh")
    assert said.returncode == 1
    assert "`langyan edge check` 会列出它们。" in said.stderr


def test_a_site_file_that_is_not_there_is_said() -> None:
    said = langyan("edge", "check", "/nowhere/site.toml")
    assert said.returncode == 2
    assert "/nowhere/site.toml" in said.stderr


def test_settings_with_an_unknown_key_are_refused(tmp_path: Path) -> None:
    settings = tmp_path / "cloud.toml"
    settings.write_text("[mqtt]\nhots = 'x'\n")
    for worker in ("ingest", "desk", "api"):
        said = langyan("cloud", worker, str(settings))
        assert said.returncode == 2
        assert "hots" in said.stderr


def test_a_missing_password_variable_is_said_and_nothing_is_started(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(GOOD + '[uplink]\nusername = "g"\npassword_env = "LANGYAN_NO_SUCH_PASSWORD"\n')
    said = langyan("edge", "run", str(site))
    assert said.returncode == 1
    assert "LANGYAN_NO_SUCH_PASSWORD" in said.stderr
    assert "Traceback" not in said.stderr


def test_an_alarm_is_listed_acknowledged_and_closed(tmp_path: Path) -> None:
    with open_rig(tmp_path) as rig:
        # The officer of the stage leaves the desk to the terminal; his token lies where the terminal looks.
        rig.stage.officer.attend(attends=False)
        home = rig.stage.folder
        rig.press()
        rig.wait(lambda: rig.has_stored_raises(1))
        (alarm,) = _alarms(home)
        alarm_id = str(alarm["alarm_id"])
        assert [len(_alarms(home, "--mode", mode)) for mode in ("live", "test")] == [1, 0]
        assert (alarm["device"], alarm["acknowledged_by"]) == (DEVICE, None)
        acked = langyan("alarms", "ack", alarm_id[:10], "--comment", "王警官去看", home=home)
        assert acked.returncode == 0, acked.stderr
        assert _alarms(home)[0]["acknowledged_by"] == "duty"
        assert "duty" in acked.stdout
        assert "王警官去看" in langyan("alarms", "show", alarm_id, home=home).stdout
        _retrigger(rig)
        rig.wait(lambda: rig.has_stored_raises(2))
        assert _alarms(home)[0]["acknowledged_by"] is None, "a second press is news"
        done = langyan("alarms", "close", alarm_id, "--code", "drill", "--comment", "演练", home=home)
        assert done.returncode == 0, done.stderr
        assert _alarms(home) == []
        (closed,) = _alarms(home, "--state", "all")
        assert (closed["closing_code"], closed["comment"]) == ("drill", "演练")
        again = langyan("alarms", "close", alarm_id, "--code", "drill", "--comment", "演练", home=home)
        assert again.returncode == 1
        assert langyan("alarms", "ack", "ffffffff", home=home).returncode == 1
        assert langyan("alarms", "close", "ffffffff", "--code", "nonsense", home=home).returncode == 2


def _alarms(home: Path, *words: str) -> list[dict[str, object]]:
    said = langyan("alarms", "list", *words, "--json", home=home)
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


def _retrigger(rig: Rig) -> None:
    rig.release()
    rig.wait(rig.is_all_clear)
    rig.press()
