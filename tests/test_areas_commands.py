"""`langyan cloud areas` as people type it."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud.database import open_database
from cloud.settings import DatabaseSettings
from langyan.commands.areas import app

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "areas"
SETTINGS = "".join(
    f'[[telling.channel]]\nname = "{name}"\nurl_env = "{name.upper()}_URL"\n' for name in ("sms", "wecom", "mail")
)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "cloud.db"
    open_database(DatabaseSettings(url=f"sqlite:///{path}")).close()
    return path


@pytest.fixture
def folder(tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LANGYAN_LANG", "en")
    (tmp_path / "cloud.toml").write_text(SETTINGS, "utf-8")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLE, tmp_path / "city")
    shutil.copy(migrated, tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--settings", "cloud.toml"])


def told(result: Result, status: int = 0) -> str:
    assert result.exit_code == status, result.output
    return result.output


def counted(output: str, sheet: str) -> list[int]:
    (line,) = [line for line in output.splitlines() if f" {sheet} " in line]
    return [int(number) for number in re.findall(r"\d+", line)]


def test_the_example_comes_in_is_looked_at_and_goes_out_again(folder: Path) -> None:
    assert counted(told(run("import", "city", "--dry-run")), "areas") == [8, 0, 0, 0]
    assert counted(told(run("import", "city")), "devices") == [2, 0, 0, 0]
    listed = told(run("list", "320506", "--depth", "1"))
    assert "长桥街道  320506001  street" in listed
    assert "320506001-01" not in listed
    shown = told(run("show", "320506001-01"))
    assert "江苏省 / 苏州市 / 吴中区 / 长桥街道 / 长桥第一网格" in shown
    assert re.search(r"critical +│ 180 s +│ 0 s area, 60 s next, 120 s county +│ 320506 ", shown)
    assert re.search(r"high +│ 300 s +│.*│ default", shown)
    assert "nothing is amiss" in told(run("check"))
    assert len(told(run("export", "out")).splitlines()) == 7
    again = told(run("import", "out", "--replace"))
    assert [counted(again, name)[:3] for name in ("areas", "contacts", "duties", "sites")] == [[0, 0, 0]] * 4
    told(run("export", "maps", "--format", "geojson"))
    assert (folder / "maps" / "map.geojson").read_text("utf-8").count('"Feature"') == 13


def test_a_policy_that_cannot_be_read_is_shown_as_what_holds(folder: Path) -> None:
    told(run("import", "city"))
    with sqlite3.connect(folder / "cloud.db") as connection:
        connection.execute('UPDATE policy SET policy = \'{"target_s": "soon"}\'')
    connection.close()
    shown = told(run("show", "320506001-01"))
    assert re.search(r"critical +│ 300 s +│.*│ default, as that of 320506 cannot be read", shown)
    assert "target_s" in told(run("check"), 1)


def test_faults_are_told_line_by_line_and_nothing_is_changed(folder: Path) -> None:
    sites = folder / "city" / "sites.csv"
    sites.write_text(sites.read_text("utf-8").replace("31.25733", "91").replace("DP3", "XX"), "utf-8")
    assert told(run("import", "city"), 2).splitlines() == [
        "city/sites.csv:2: latitude_deg: '91' is no coordinate: -90 to 90 degrees, as 31.29834",
        "city/sites.csv:2: transmission_class: 'XX' is none of SP1, SP2, SP3, SP4, SP5, SP6, DP1, DP2, DP3, DP4",
        "2 fault(s); nothing was changed",
    ]
    assert told(run("list")).strip() == ""


def test_only_so_many_faults_are_told(folder: Path) -> None:
    rows = "".join(f"a{number},,hamlet,x\n" for number in range(130))
    (folder / "areas.csv").write_text("id,parent,level,name\n" + rows, "utf-8")
    lines = told(run("import", "areas.csv"), 2).splitlines()
    assert (len(lines), lines[-2:]) == (102, ["and 30 more", "130 fault(s); nothing was changed"])


def test_faults_are_told_in_chinese(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGYAN_LANG", "zh")
    (folder / "areas.csv").write_text("id,level,name\nx,grid,\n", "utf-8")
    assert "areas.csv:2: name: 为空" in told(run("import", "areas.csv"), 2)


@pytest.mark.parametrize("given", ["nowhere", "nowhere.csv", "."])
def test_what_is_no_file_of_an_import_is_told(folder: Path, given: str) -> None:
    (folder / "notes.txt").write_text("x", "utf-8")
    assert "1 fault(s)" in told(run("import", given), 2)


def test_a_file_that_is_too_large_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.areas.importing.MAX_FILE_BYTES", 100)
    assert "city/areas.csv: more than 100 bytes" in told(run("import", "city"), 2)
    monkeypatch.setattr("cloud.areas.importing.MAX_FILES", 3)
    assert "city: more than 3 files" in told(run("import", "city"), 2)
    assert folder.exists()


def test_what_is_kept_is_told_with_why(folder: Path) -> None:
    told(run("import", "city"))
    told(run("handover", "320506001-01", "zhang-min", "--until", "2099-01-01 08:00", "--why", "x"), 1)
    told(run("handover", "320506001-01", "zhang-min", "--until", "23:59", "--why", "王芳病假"))
    (folder / "contacts.csv").write_text("id,area,name\nli-wei,320506001-01,李伟\n", "utf-8")
    (folder / "duties.csv").write_text("area,contact,begins,ends\n", "utf-8")
    (folder / "policies.toml").write_text("", "utf-8")
    output = told(run("import", "contacts.csv", "duties.csv", "policies.toml", "--replace"))
    assert "contact zhang-min stays: a hand-over is not over" in output
    assert counted(output, "contacts") == [0, 0, 2, 2]


def test_what_is_not_there_is_told(folder: Path) -> None:
    told(run("import", str(folder / "city")))
    take_over = ("handover", "32", "wang-fang", "--why", "x")
    for words, status, what in (
        (("show", "nowhere"), 1, "no area is called 'nowhere'"),
        (("list", "nowhere"), 1, "no area is called 'nowhere'"),
        (("handover", "32", "nobody", "--until", "08:00", "--why", "x"), 1, "no contact is called 'nobody'"),
        ((*take_over, "--until", "eight"), 2, "'eight' is no time: HH:MM or"),
        ((*take_over, "--from", "2026-01-01 08:00", "--until", "2026-01-01 09:00"), 1, "it ends in the future"),
    ):
        assert what in told(run(*words), status)


def test_an_export_that_cannot_be_written_is_told(folder: Path) -> None:
    (folder / "taken").mkdir()
    (folder / "taken" / "areas.csv").mkdir()
    assert "taken: " in told(run("export", "taken"), 1)


def test_what_is_weak_is_told_and_ends_with_status_1(folder: Path) -> None:
    (folder / "areas.csv").write_text("id,level,name\nx,city,x\n", "utf-8")
    (folder / "sites.csv").write_text("id,area,name\ns,x,孤塔\n", "utf-8")
    told(run("import", "areas.csv", "sites.csv"))
    assert "area x: has 1 site(s), and no roster there or above" in told(run("check"), 1)
