"""`langyan alarms report`: on the terminal, for spreadsheets and on paper, in both languages."""

import csv
import io
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
from typer.testing import CliRunner

from cloud.database import open_database
from cloud.numbers.figures import Numbers, SiteCalls
from cloud.settings import load_settings
from langyan.cli import make_app
from langyan.commands import report as command
from langyan.commands.report import to_csv, to_page
from langyan.report_text import Section, sections
from tests.cloud.test_numbers import alarm as make_alarm
from tests.cloud.test_numbers import ask, closed, put, register

VOID = frozenset({"meta", "rect"})


class Page(HTMLParser):
    """Checks that tags close, and keeps what a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.seen: list[str] = []
        self.classes: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.classes += [value for name, value in attrs if name == "class" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


@pytest.fixture(scope="module")
def settings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk's settings and database; reports only read them, and counting anew changes nothing."""
    path = tmp_path_factory.mktemp("report") / "cloud.toml"
    path.write_text('[database]\nurl = "sqlite:///desk.db"\n', "utf-8")
    with open_database(load_settings(path, database_only=True).database) as database:
        register(database, name="=1+1 <b>School</b>")
        for number in range(3):
            one = make_alarm(1, "city/east/", 1_793_800_000_000_000 + number, site="s1")
            put(database, None, closed(one, after_s=100 + number), "raised")
        one = make_alarm(2, "city/west/", 1_793_800_000_000_000, site="s2", kind="<i>")
        put(database, None, one, "raised")
    return path


def run(*argv: str, language: str = "en", status: int = 0) -> str:
    words = ["alarms", "report", *argv]
    done = CliRunner().invoke(make_app(words), words, env={"LANGYAN_LANG": language, "COLUMNS": "160"})
    assert done.exit_code == status, done.output
    return done.output


def test_the_report_says_what_happened_against_the_limits(settings_file: Path) -> None:
    said = run("--settings", str(settings_file), "--rebuild", "--month", "2026-11", "--area", "east")
    assert "Alarms of east, 2026-11-01 … 2026-11-30" in said
    line = next(line for line in said.splitlines() if "closed within target" in line)
    assert "100.0 %" in line
    assert "within the limit" in line
    assert next(line for line in said.splitlines() if " raised " in line).split("│")[2].strip() == "3"


def test_the_files_are_for_spreadsheet_and_paper(settings_file: Path, tmp_path: Path) -> None:
    table, page = tmp_path / "report.csv", tmp_path / "report.html"
    common = "--settings", str(settings_file), "--month", "2026-11", "--months", "2"
    run(*common, "--rebuild", "--csv", str(table), "--html", str(page))
    assert table.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(table.read_text("utf-8-sig"), newline="")))
    assert ["raised", "4"] in rows
    read = Page(page.read_text("utf-8"))
    assert not read.tags & {"script", "link", "img", "iframe", "i", "b"}
    assert {"svg", "table", "section"} <= read.tags
    assert "http" not in page.read_text("utf-8")
    words = "".join(read.seen)
    assert "<i>" in words
    assert "2026-12-31" in words
    assert "acknowledged within target" in words
    assert {"good", "over"} <= set(read.classes)


@pytest.fixture(scope="module")
def found(settings_file: Path) -> Numbers:
    run("--settings", str(settings_file), "--rebuild", "--month", "2026-11")
    with open_database(load_settings(settings_file, database_only=True).database) as database:
        return ask(database, first=date(2026, 11, 1), days=30)


def test_no_cell_is_a_formula_and_no_verdict_a_mere_colour(found: Numbers) -> None:
    calls = [SiteCalls("s1", "=1+1", 2)]
    written = list(sections(msgspec.structs.replace(found, false_call_sites=calls), str))
    assert "'=1+1" in to_csv(written)
    assert "\n=1+1" not in to_csv(written)
    limits = next(one for one in written if one.title == "Against the limits")
    assert {row.cells[-1] for row in limits.rows} <= {"within the limit", "tolerable", "over the limit"}
    assert all(row.verdict is not None for row in limits.rows)


def test_every_measure_has_a_name_and_every_table_its_headings(found: Numbers) -> None:
    for section in sections(found, str):
        assert all(len(row.cells) == len(section.headings) for row in section.rows), section.title
        assert not any("losses reported" in row.cells[0] for row in section.rows)
    assert isinstance(next(sections(found, str)), Section)


def test_the_page_is_in_both_languages(found: Numbers) -> None:
    page = to_page(found, "")
    assert '<section lang="en">' in page
    assert '<section lang="zh">' in page
    assert "按时确认" in page.partition('lang="zh"')[2]
    Page(page)


@pytest.mark.parametrize("month", ["2026", "2026-13", "2026-1", "november"])
def test_what_is_no_month_is_refused(month: str, settings_file: Path) -> None:
    said = run("--settings", str(settings_file), "--month", month, status=2)
    assert month in said


def test_an_area_that_is_not_there_is_named(settings_file: Path) -> None:
    said = run("--settings", str(settings_file), "--month", "2026-11", "--area", "north", status=1)
    assert "north" in said


def test_the_desk_is_asked_in_its_own_time_zone(found: Numbers, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    class Desk:
        def __init__(self, _access: object) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def get(self, path: str, **params: Any) -> Any:
            assert path == "/numbers"
            asked.append(params)
            scope = msgspec.structs.replace(found.scope, timezone="Europe/Berlin")
            return msgspec.to_builtins(msgspec.structs.replace(found, scope=scope))

    monkeypatch.setattr(command, "DeskClient", Desk)
    monkeypatch.setattr(command, "read_access", lambda _: None)
    said = run("--month", "2026-11", "--area", "east", "--operators", "2")
    assert "Europe/Berlin" in said
    assert [one["from_us"] for one in asked] == [1_793_462_400_000_000, 1_793_487_600_000_000]
    assert {(one["area"], one["operators"]) for one in asked} == {("east", 2)}
