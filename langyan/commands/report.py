"""`langyan alarms report`: an area's month on the terminal, as CSV, and as a page to print."""

import csv
import io
import os
import re
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cloud.clock import now_us
from cloud.database import open_database
from cloud.errors import CloudError
from cloud.numbers.days import begin_us, month_after
from cloud.numbers.figures import Numbers
from cloud.numbers.following import rebuild
from cloud.numbers.limits import Verdict
from cloud.numbers.read import numbers, path_of
from cloud.settings import load_settings
from langyan.commands.alarm_words import complaint
from langyan.commands.common import fail
from langyan.desk_client import DeskClient, DeskError, read_access
from langyan.i18n import CHINESE, ENGLISH, translate_to
from langyan.i18n import translate as _
from langyan.report_page import part, write_page
from langyan.report_text import Section, notes, sections, title

Span = Callable[[ZoneInfo], tuple[int, int]]
"""Tells beginning and end of what is reported, in a time zone; microseconds UTC."""

_COLOURS = {Verdict.GOOD: "green", Verdict.TOLERABLE: "yellow", Verdict.OVER: "bold red"}
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_FIRST_GUESS = ZoneInfo("Asia/Shanghai")


def report(
    *,
    area: str = typer.Option("", "--area", help=_("Only this area, by its id, and all below it.")),
    month: str = typer.Option(..., "--month", help=_("Which month: 2026-11."), metavar="YYYY-MM"),
    months: int = typer.Option(1, "--months", min=1, max=60, help=_("So many months from there on.")),
    operators: int | None = typer.Option(
        None, "--operators", min=1, max=1000, help=_("People at the desk at a time.")
    ),
    csv_file: Path | None = typer.Option(None, "--csv", help=_("Write it to this file, for a spreadsheet.")),
    html_file: Path | None = typer.Option(None, "--html", help=_("Write it to this file, as a page to print.")),
    settings_file: Path | None = typer.Option(
        None, "--settings", "-s", metavar="SETTINGS.toml",
        help=_("Read the database that this settings file names, instead of asking the desk."),
    ),
    anew: bool = typer.Option(False, "--rebuild", help=_("With --settings: first count everything anew.")),
) -> None:  # fmt: skip
    """Report an area's months."""
    first = _first_day(month)
    span = partial(_span, first=first, count=months)
    try:
        if settings_file is not None:
            found = _from_database(settings_file, area, span, operators=operators, anew=anew)
        else:
            found = _from_desk(area, span, operators=operators)
    except DeskError as error:
        raise fail(complaint(error), status=1) from error
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error
    print_report(found, area, Console())
    if csv_file is not None:
        csv_file.write_text(to_csv(list(sections(found, _))), encoding="utf-8-sig", newline="")
    if html_file is not None:
        html_file.write_text(to_page(found, area), encoding="utf-8")


def print_report(found: Numbers, area: str, console: Console) -> None:
    """Print it; a verdict is a word, and a colour beside."""
    console.print(Text(title(found, area, _), style="bold"))
    for section in sections(found, _):
        if section.rows:
            console.print(_table(section))
    for note in notes(found, _):
        console.print(Text(note, style="dim"))


def to_csv(written: list[Section]) -> str:
    """Write all sections, with a blank line between; text that a spreadsheet would run is quoted."""
    out = io.StringIO()
    writer = csv.writer(out)
    for section in written:
        if section.rows:
            writer.writerow([section.title])
            writer.writerow(section.headings)
            writer.writerows([_harmless(cell) for cell in row.cells] for row in section.rows)
            writer.writerow([])
    return out.getvalue()


def to_page(found: Numbers, area: str) -> str:
    """Write the page, in English and in Chinese."""
    parts = []
    for language, tag in ((ENGLISH, "en"), (CHINESE, "zh")):
        tongue = partial(translate_to, language)
        heading = title(found, area, tongue)
        parts.append(part(tag, heading, list(sections(found, tongue)), notes(found, tongue)))
    return write_page(parts)


def _table(section: Section) -> Table:
    table = Table(title=section.title, title_justify="left")
    for number, heading in enumerate(section.headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in section.rows:
        cells = [Text(cell) for cell in row.cells]
        if row.verdict is not None:
            cells[-1].stylize(_COLOURS[row.verdict])
        table.add_row(*cells)
    return table


def _harmless(cell: str) -> str:
    # A spreadsheet takes these for the beginning of a formula.
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _first_day(month: str) -> date:
    found = _MONTH.fullmatch(month)
    try:
        return date(int(found[1]), int(found[2]), 1) if found else date.fromisoformat("")
    except ValueError as error:
        raise fail([_("--month: {month} is no month such as 2026-11").format(month=month)], status=2) from error


def _span(zone: ZoneInfo, *, first: date, count: int) -> tuple[int, int]:
    after = first
    for _number in range(count):
        after = month_after(after)
    return begin_us(first, zone), begin_us(after, zone)


def _from_desk(area: str, span: Span, *, operators: int | None) -> Numbers:
    """Ask the desk; in its own time zone, which only its answer tells."""
    zone = _FIRST_GUESS
    with DeskClient(read_access(os.environ)) as desk:
        while True:
            from_us, until_us = span(zone)
            answer = desk.get("/numbers", area=area or None, from_us=from_us, until_us=until_us, operators=operators)
            found = msgspec.convert(answer, Numbers)
            if found.scope.timezone == zone.key:
                return found
            zone = ZoneInfo(found.scope.timezone)


def _from_database(path: Path, area: str, span: Span, *, operators: int | None, anew: bool) -> Numbers:
    settings = load_settings(path, database_only=True)
    zone = ZoneInfo(settings.desk.timezone)
    from_us, until_us = span(zone)
    with open_database(settings.database) as database:
        if anew:
            rebuild(database, zone)
        return database.read(
            lambda connection: numbers(
                connection,
                path_of(connection, area) if area else "",
                from_us=from_us,
                until_us=until_us,
                now_us=now_us(),
                zone=zone,
                operators=settings.numbers.operators if operators is None else operators,
                false_call_kinds=settings.numbers.false_call_kinds,
            )
        )
