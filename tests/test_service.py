"""`langyan edge install`, and the unit that it writes."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from langyan.commands import service as service_command
from langyan.service import UNIT_PATH, make_unit
from tests.edge.status_rig import EXAMPLE

DEPLOYED = EXAMPLE.parents[2] / "deploy" / "langyan-edge.service"
ETC = Path("/etc/langyan/site.toml")
OUTBOX = Path("/var/lib/langyan/outbox.db")


@pytest.fixture(autouse=True)
def in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGYAN_LANG", "en")


def run(*words: str) -> Result:
    app = typer.Typer()
    app.command()(service_command.install)
    return CliRunner().invoke(app, words)


def settings(unit: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))


def test_the_unit_in_deploy_is_the_one_that_is_written() -> None:
    unit = make_unit(command=Path("/opt/langyan/bin/langyan"), site=ETC, outbox=OUTBOX)
    assert DEPLOYED.read_text("utf-8") == unit


def test_an_outbox_elsewhere_may_be_written_and_nothing_else() -> None:
    assert "ReadWritePaths" not in settings(make_unit(command=Path("/x"), site=ETC, outbox=OUTBOX))
    unit = make_unit(command=Path("/x"), site=ETC, outbox=Path("/srv/out box/outbox.db"))
    assert settings(unit)["ReadWritePaths"] == '"/srv/out box"'


def test_profiles_of_ones_own_are_given_to_the_gateway_too() -> None:
    unit = make_unit(command=Path("/x"), site=ETC, outbox=OUTBOX, profiles=Path("/etc/langyan/profiles"))
    assert settings(unit)["ExecStart"] == f"/x edge run {ETC} --profiles /etc/langyan/profiles"


def test_paths_that_systemd_would_read_otherwise_are_escaped() -> None:
    unit = make_unit(command=Path("/opt/lang yan/bin/langyan"), site=Path('/etc/100%/$HOME/a"b.toml'), outbox=OUTBOX)
    assert settings(unit)["ExecStart"] == '"/opt/lang yan/bin/langyan" edge run "/etc/100%%/$$HOME/a\\"b.toml"'


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
@pytest.mark.parametrize("folder", ["plain", "with blank", "100% $HOME"])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, folder: str) -> None:
    command = tmp_path / folder / "langyan"
    command.parent.mkdir()
    command.symlink_to("/bin/true")
    unit = tmp_path / "langyan-edge.service"
    unit.write_text(make_unit(command=command, site=ETC, outbox=tmp_path / folder / "outbox.db"), "utf-8")
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True, text=True, check=False, timeout=50, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip
    assert [line for line in said.stderr.splitlines() if "langyan-edge" in line] == []


def test_it_writes_the_unit_and_says_what_is_next(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_bytes(EXAMPLE.read_bytes())
    said = run(str(site), "--prefix", str(tmp_path / "image"))
    assert said.exit_code == 0, said.output
    path = tmp_path / "image" / UNIT_PATH
    assert (
        settings(path.read_text("utf-8"))["ExecStart"] == f"{Path(sys.executable).with_name('langyan')} edge run {site}"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert str(path) in said.output
    for words in ("LANGYAN_MQTT_PASSWORD=...", "systemctl enable --now langyan-edge", "daemon-reload"):
        assert words in said.output


def test_nothing_secret_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGYAN_MQTT_PASSWORD", "hunter2")
    said = run(str(EXAMPLE), "--prefix", str(tmp_path))
    assert "hunter2" not in said.output
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "hunter2" in path.read_text("utf-8")] == []


def test_a_dry_run_prints_and_writes_nothing(tmp_path: Path) -> None:
    said = run(str(EXAMPLE), "--dry-run", "--prefix", str(tmp_path / "image"))
    assert said.output.startswith("# Written by `langyan edge install`")
    assert not (tmp_path / "image").exists()


def test_a_site_file_with_faults_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("[gateway]\n")
    said = run(str(tmp_path / "site.toml"), "--prefix", str(tmp_path / "image"))
    assert said.exit_code == 2
    assert not (tmp_path / "image").exists()


def test_where_it_may_not_write_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "image").write_text("a file")
    said = run(str(EXAMPLE), "--prefix", str(tmp_path / "image"))
    assert said.exit_code == 1
    assert "sudo" in said.output
