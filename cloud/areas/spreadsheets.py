"""CSV files: rows in, rows out. Pure."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from cloud.areas.cells import plain
from cloud.areas.decoding import decoded
from cloud.areas.faults import Faults, Where
from cloud.areas.rows import Entry, read_row
from cloud.areas.sheets import Column, Row, Sheet
from cloud.i18n import N_

MAX_ROWS = 500_000
_DELIMITERS = ",;\t"


def read_csv(data: bytes, file: str, sheet: Sheet, faults: Faults) -> Iterator[Entry]:
    """Read the rows of a sheet; what is wrong is noted, and its row left out.

    The columns may stand in any order, with a comma, semicolon or tab between them. One that the sheet does not know
    is a fault, a required one missing too.
    """
    if (text := decoded(data, file, faults)) is None:
        return
    first, _, _ = text.partition("\n")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=first.count), strict=True)
    line = 0
    try:
        columns = _columns(next(reader, []), Where(file, 1), sheet, faults)
        if columns is None:
            return
        line = reader.line_num
        for number, cells in enumerate(reader):
            where, line = Where(file, line + 1), reader.line_num
            if number == MAX_ROWS:
                faults.lose(where, N_("more than {most} rows"), most=MAX_ROWS)
                return
            if any(cells) and (entry := _entry(sheet, columns, cells, where, faults)):
                yield entry
    except csv.Error as error:
        faults.lose(Where(file, line + 1), N_("no CSV from here on: {why}"), why=str(error))


def write_csv(sheet: Sheet, rows: Iterable[Row]) -> bytes:
    """Write the rows of a sheet; UTF-8 with its mark, by which spreadsheets know it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(column.name for column in sheet.columns)
    writer.writerows([_cell(row[column.name]) for column in sheet.columns] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def _columns(headings: list[str], where: Where, sheet: Sheet, faults: Faults) -> list[Column] | None:
    known = {name: column for column in sheet.columns for name in (column.name, *column.also)}
    count = faults.count
    found: list[Column] = []
    for heading in (cell.strip().lower() for cell in headings):
        column = known.get(heading)
        if column is None:
            names = ", ".join(column.name for column in sheet.columns)
            faults.lose(where, N_("no column is called {name}; there are: {names}"), name=repr(heading), names=names)
        elif column in found:
            faults.lose(where, N_("column {name} stands there twice"), name=column.name)
        else:
            found.append(column)
    for column in sheet.columns:
        if column.is_required and column not in found:
            faults.lose(where, N_("column {name} is missing"), name=column.name)
    return found if faults.count == count else None


def _entry(sheet: Sheet, columns: list[Column], cells: list[str], where: Where, faults: Faults) -> Entry | None:
    wanted = len(columns)
    # Spreadsheets leave out empty cells at a line's end, or add some.
    if len(cells) > wanted and any(cells[wanted:]):
        faults.add(where, N_("{count} cells, but {wanted} columns"), count=len(cells), wanted=wanted)
        return None
    filled = cells[:wanted] + [""] * (wanted - len(cells))
    return read_row(zip(columns, filled, strict=True), where, faults, key=sheet.key)


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return plain(value)
        case list():
            return " | ".join(f"{one['channel']}:{one['address']}" for one in value)
        case date():
            return value.isoformat()
        case _:
            return str(value)
