"""`langyan patrols`: files in and out, visits of a maker's table, and what the API says on a terminal."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud.api.settings import Api
from cloud.clock import now_us
from cloud.database import open_database
from cloud.people.roles import Role
from cloud.settings import DatabaseSettings, Settings
from langyan.commands.patrols import app
from tests.cloud.api_process import serving
from tests.cloud.api_rig import Rig
from tests.cloud.patrols_rig import SHEETS, Patrol

VISITS = "时间,机号,地点,卡号\n2026-11-23 22:05:00,0102030405,东门,C1\n2026-11-23 22:06:00,0102030405,东门\n"


class Terminal:
    """A terminal at a desk."""

    def __init__(self, settings_file: Path, env: dict[str, str]) -> None:
        self.settings_file, self.env = settings_file, env

    def say(self, *words: str) -> Result:
        return CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "LANGYAN_LANG": "en"} | self.env)

    def keep(self, *words: str) -> Result:
        return self.say(*words, "--settings", str(self.settings_file))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    settings = Settings(database=DatabaseSettings(url=f"sqlite:///{tmp_path}/desk.db"), api=Api(port=0))
    (tmp_path / "cloud.toml").write_text('[database]\nurl = "sqlite:///desk.db"\n', "utf-8")
    with open_database(settings.database) as database:
        rig = Rig(database, settings)
        rig.now_us = now_us()
        Patrol(database, rig=rig)
        rig.now_us = now_us()
        token = rig.add("wang", Role.DISPATCHER)
        with serving(settings) as (process, _portal):
            url = f"http://127.0.0.1:{process.port}"
            yield Terminal(tmp_path / "cloud.toml", {"LANGYAN_DESK_URL": url, "LANGYAN_DESK_TOKEN": token})


def test_what_is_exported_can_be_imported(terminal: Terminal, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert terminal.keep("export", str(out)).exit_code == 0
    assert {path.name for path in out.iterdir()} == set(SHEETS)
    again = terminal.keep("import", str(out), "--replace")
    assert again.exit_code == 0, again.output
    assert "changed" in again.output
    assert terminal.keep("check").output == "point park: stands on no route\n"
    assert "night" in terminal.keep("list").output
    assert "东门" in terminal.keep("list", "points").output
    assert terminal.keep("list", "nothing").exit_code == 2
    (out / "points.csv").write_text("id,area,name\ngate,nowhere,\n", "utf-8")
    refused = terminal.keep("import", str(out / "points.csv"))
    assert refused.exit_code == 2
    assert "points.csv:2: name: is empty" in refused.output
    assert "2 fault(s); nothing was changed" in refused.output


def test_good_lines_of_a_table_are_kept_and_bad_ones_told(terminal: Terminal, tmp_path: Path) -> None:
    table = tmp_path / "visits.csv"
    table.write_bytes(VISITS.encode("gbk") + b"2026-11-23 22:07:00,\xff\xff\xff,,C1\n")
    said = terminal.keep("visits", "import", str(table))
    assert said.exit_code == 1
    assert "visits.csv:4: cannot be read as GBK" in said.output
    assert "2 new visits, 0 known before, 1 bad lines" in said.output
    assert "0 new visits, 2 known before" in terminal.keep("visits", "import", str(table)).output
    table.write_text("a,b\n1,2\n", "utf-8")
    assert terminal.keep("visits", "import", str(table)).exit_code == 2
    table.write_text("Wann,Wo\n2026-11-23 23:00,C1\n", "utf-8")
    named = terminal.keep("visits", "import", str(table), "--column", "Wann=time", "--column", "Wo=card", "--dry-run")
    assert (named.exit_code, "nothing was changed" in named.output) == (0, True)
    assert terminal.keep("visits", "import", str(table), "--column", "Wann").exit_code == 2
    until = ("visits", "import", str(table), "--column", "Wann=time", "--column", "Wo=card", "--dry-run", "--until")
    assert [terminal.keep(*until, one).exit_code for one in ("2026-11-24 06:00", "six")] == [0, 2]


def test_tours_and_people_alone_on_a_terminal(terminal: Terminal) -> None:
    board = terminal.say("tours", "--day", "2026-11-23")
    assert board.exit_code == 0, board.output
    assert "night.20261123T2200" in board.output
    (tour,) = [json.loads(line) for line in terminal.say("tours", "--day", "2026-11-23", "--json").output.splitlines()]
    assert tour["planned"] == 3
    shown = terminal.say("show", tour["id"])
    assert "实验室 *" in shown.output
    assert terminal.say("show", "nothing").exit_code == 1
    report = terminal.say("report", "--from", "2026-11-23", "--until", "2026-11-24", "--json")
    assert json.loads(report.output)["tours"] == 2
    assert terminal.say("report", "--from", "2026-11-24", "--until", "2026-11-23").exit_code == 2
    assert "round" in terminal.say("report", "--from", "2026-11-23", "--until", "2026-11-23").output
    watch = terminal.say("lone", "begin", "王芳", "--area", "east", "--every", "20").output.strip()
    assert "wang" in terminal.say("lone", "list").output, "by id, as visits have it"
    assert "the next sign is due" in terminal.say("lone", "check-in", watch).output
    assert terminal.say("lone", "end", watch).exit_code == 0
    assert terminal.say("lone", "end", watch).exit_code == 1
    assert partial(terminal.say, "lone", "list", "--json")().output == ""
