"""The tables of bikes and of their owners as files have them, read row by row: never a whole file at once."""

import codecs
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cloud.areas import cells
from cloud.areas.faults import Bad, Faults, Where
from cloud.areas.rosters import WEEKDAYS
from cloud.areas.rows import Entry, read_row
from cloud.areas.sheets import Column, Row, Sheet
from cloud.database.bike_tables import bike, bike_owner
from cloud.i18n import N_
from contract.ids import is_id
from contract.limits import MAX_TAG_CHARS

MAX_ROWS = 2_000_000
_CHUNK_BYTES = 1 << 20
_MAX_LINE_CHARS = 10_000
_DELIMITERS = ",;\t"
_MAX_SILENT_S = 999_999
EVERY_DAY = " ".join(WEEKDAYS)
"""The days of hours that name none."""
_YES = {"1": True, "yes": True, "true": True, "是": True, "0": False, "no": False, "false": False, "否": False}


def _tag(cell: str) -> str | Bad:
    if is_id(cell) and len(cell) <= MAX_TAG_CHARS:
        return cell.upper()
    why = N_("{cell} is no tag: 1 to {most} of A-Z a-z 0-9 _ . -; where a spreadsheet has made a number of it, format "
             "the column as text")  # fmt: skip
    return Bad(why, {"cell": repr(cell[:MAX_TAG_CHARS]), "most": MAX_TAG_CHARS})


def _yes(cell: str) -> bool | Bad:
    found = _YES.get(cell.lower())
    return Bad(N_("{cell} is neither yes nor no"), {"cell": repr(cell[:20])}) if found is None else found


BIKES = Sheet(
    "bikes",
    "bike",
    bike,
    (
        Column("id", cells.identifier, is_required=True, also=("编号",)),
        Column("area", cells.identifier, is_required=True, also=("区域",)),
        Column("tag", _tag, also=("标签",)),
        Column("owner_tag", _tag, also=("车主标签",)),
        Column("plate", cells.text(64), "", also=("车牌", "号牌")),
        Column("note", cells.text(200), "", also=("备注",)),
        Column("by_owner", _yes, False, also=("车主布防",)),
        Column("arm_from", cells.clock, also=("布防开始",)),
        Column("arm_to", cells.clock, also=("布防结束",)),
        Column("arm_days", cells.weekdays, also=("布防星期",)),
        Column("silent_after_s", cells.count(_MAX_SILENT_S), also=("失联秒数",)),
    ),
    refers=(("area", "areas"),),
)
OWNERS = Sheet(
    "owners",
    "owner",
    bike_owner,
    (
        Column("bike", cells.identifier, is_required=True, also=("车辆", "编号")),
        Column("name", cells.text(cells.MAX_NAME_CHARS), is_required=True, also=("姓名", "车主")),
        Column("phone", cells.text(64), "", also=("电话", "手机")),
        Column("address", cells.text(cells.MAX_ADDRESS_CHARS), "", also=("地址", "住址")),
    ),
    key=("bike",),
    refers=(("bike", "bikes"),),
)
SHEETS = {sheet.name: sheet for sheet in (BIKES, OWNERS)}


def read_file(path: Path, sheet: Sheet, faults: Faults) -> Iterator[Entry]:
    """Read the rows of a file, UTF-8 or GBK, one after the other; what is wrong is noted, and its row left out.

    The columns may stand in any order, with a comma, semicolon or tab between them. One that the sheet does not know is
    a fault, a required one missing too.
    """
    try:
        encoding = _encoding_of(path, faults)
        if encoding is None:
            return
        with path.open(encoding=encoding, newline="") as file:
            yield from _rows(file, str(path), sheet, faults)
    except OSError as error:
        faults.lose(Where(str(path)), N_("cannot be read: {why}"), why=error.strerror or str(error))


def write_row(sheet: Sheet, row: Row) -> list[str]:
    """Write one row so that `read_file` reads it."""
    return [_cell(row[column.name]) for column in sheet.columns]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _encoding_of(path: Path, faults: Faults) -> str | None:
    """Tell UTF-8 from GB 18030, which holds GBK; UTF-8 with a few broken bytes is neither, and that is noted."""
    utf8, gbk = codecs.getincrementaldecoder("utf-8")("replace"), codecs.getincrementaldecoder("gb18030")()
    broken = whole = lines = 0
    is_gbk, bad_line = True, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            text = utf8.decode(chunk)
            if not bad_line and "\ufffd" in text:
                bad_line = lines + text.count("\n", 0, text.index("\ufffd")) + 1
            lines += text.count("\n")
            if not text.isascii():
                now_broken = text.count("\ufffd")
                broken += now_broken
                whole += sum(not char.isascii() for char in text) - now_broken
            if (is_gbk and not chunk.isascii()) or gbk.getstate()[0]:
                try:
                    gbk.decode(chunk)
                except UnicodeDecodeError:
                    is_gbk = False
                    gbk.reset()
    if not broken:
        return "utf-8-sig"
    if broken >= whole and is_gbk:
        return "gb18030"
    faults.lose(Where(str(path), bad_line), N_("neither UTF-8 nor GBK: save the file as CSV UTF-8"))
    return None


def _rows(file: Iterable[str], name: str, sheet: Sheet, faults: Faults) -> Iterator[Entry]:
    lines = iter(file)
    first = next(lines, "")
    delimiter = max(_DELIMITERS, key=first.count)
    columns = _columns(next(csv.reader([first], delimiter=delimiter), []), Where(name, 1), sheet, faults)
    if columns is None:
        return
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line = 1
    try:
        for number, row in enumerate(reader):
            where, line = Where(name, line + 1), reader.line_num + 1
            if number == MAX_ROWS:
                faults.lose(where, N_("more than {most} rows"), most=MAX_ROWS)
                return
            if any(row) and (entry := _entry(sheet, columns, row, where, faults)):
                yield entry
    except (csv.Error, UnicodeDecodeError) as error:
        faults.lose(Where(name, line + 1), N_("no CSV from here on: {why}"), why=str(error))


def _columns(headings: list[str], where: Where, sheet: Sheet, faults: Faults) -> list[Column] | None:
    known = {name: column for column in sheet.columns for name in (column.name, *column.also)}
    count, found = faults.count, []
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


def _entry(sheet: Sheet, columns: list[Column], row: list[str], where: Where, faults: Faults) -> Entry | None:
    wanted = len(columns)
    # Spreadsheets leave out empty cells at a line's end, or add some.
    if (len(row) > wanted and any(row[wanted:])) or sum(map(len, row)) > _MAX_LINE_CHARS:
        faults.add(where, N_("{count} cells, but {wanted} columns"), count=len(row), wanted=wanted)
        return None
    filled = row[:wanted] + [""] * (wanted - len(row))
    count = faults.count
    entry = read_row(zip(columns, filled, strict=True), where, faults, key=sheet.key)
    if entry is None:
        return None
    if faults.count == count:
        _check(entry.row, where, faults)
    if entry.row.get("arm_from") and "arm_days" in entry.row:
        entry.row["arm_days"] = entry.row["arm_days"] or EVERY_DAY
    return entry


def _check(row: Row, where: Where, faults: Faults) -> None:
    if (row.get("arm_from") is None) != (row.get("arm_to") is None):
        faults.add(where, N_("{one} and {other} come together"), one="arm_from", other="arm_to")
    if row.get("arm_from") is not None and row["arm_from"] == row.get("arm_to"):
        faults.add(where, N_("{one} and {other} are equal"), one="arm_from", other="arm_to")
    if row.get("tag") is not None and row["tag"] == row.get("owner_tag"):
        faults.add(where, N_("{one} and {other} are equal"), one="tag", other="owner_tag")
    if row.get("by_owner") and "owner_tag" in row and row["owner_tag"] is None:
        faults.add(where, N_("by_owner needs an owner_tag"))
