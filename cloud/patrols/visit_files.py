"""Tables that makers' programs export of their wands: time, device, person, checkpoint, event, card. Pure.

Good lines are kept and bad ones refused with their number: what was walked is a fact, line by line, and a line that
cannot be read makes none of the others less true.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from cloud.areas.faults import Faults, Where
from cloud.i18n import N_
from cloud.patrols.heard import MAX_CARD_CHARS
from cloud.patrols.plans import moment_us
from cloud.patrols.sheets import card_key

MAX_LINES = 500_000
MAX_CELL_CHARS = 200
_ENCODINGS = ("utf-8", "gb18030")
_DELIMITERS = ",;\t"
_MARK = b"\xef\xbb\xbf"
_TIME = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?[T ]+(\d{1,2})[:：时](\d{1,2})分?(?:[:：]?(\d{1,2})(?:\.\d+)?)?秒?"
)
_PLAIN_TIME = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})")

# Headings of makers' tables, without blanks and in small letters, by what they mean to us.
HEADINGS: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "time": "time datetime date/time date&time readtime checktime patroltime 时间 日期时间 打卡时间 巡更时间 "
        "巡检时间 读卡时间 刷卡时间 采集时间 到达时间",
        "date": "date day 日期 巡更日期 巡检日期 打卡日期",
        "device": "device deviceno deviceid devicesn machine machineno reader readerid wand 设备 设备号 "
        "设备编号 设备序列号 机号 机器号 巡更棒 巡更棒号 巡更机 巡更机号 巡检器 巡检机号",
        "person": "person guard patrolman employee name user staff 人员 姓名 巡更员 巡更人员 巡检员 巡检人员 "
        "巡逻员 保安",
        "checkpoint": "checkpoint checkpointname point place location site position 地点 地点名称 巡更点 "
        "巡检点 巡更地点 巡检地点 巡逻点 点位",
        "event": "event eventname status 事件 事件名称 状态",
        "card": "card cardid cardno cardnumber tag tagid checkpointid 卡号 地点卡号 钮号 信息钮 信息钮号 "
        "巡更点卡号 点卡号 标签号",
    }.items()
}


class FileVisit(Struct, frozen=True):
    """One line: when, and what else it says; "" where it says nothing.

    Attributes:
        line: of the file, from 1.
    """

    line: int
    at_us: int
    device: str = ""
    person: str = ""
    checkpoint: str = ""
    card: str = ""


class Reading(Struct, frozen=True):
    """How a file is to be read.

    Attributes:
        zone: of its times.
        columns: what a heading of the file means, beside those that are known: `{"Wache": "person"}`.
        time_format: as strptime has it; "": as makers write it, from the year to the second.
    """

    zone: ZoneInfo
    columns: Mapping[str, str] = {}
    time_format: str = ""


def read_visits(data: bytes, file: str, reading: Reading, faults: Faults) -> list[FileVisit]:
    """Read a table; lines that cannot be read are noted and left out.

    Args:
        data: UTF-8 or GBK (GB 18030), whichever most lines are; columns with a comma, semicolon or tab between them.
        file: its name, for faults.
        reading: see there.
        faults: one a line. `is_blind` when nothing of it can be read: no heading that we know.
    """
    lines = _lines(data)
    encoding = _encoding(line for _number, line in lines)
    columns: list[str] | None = None
    delimiter = ","
    found: list[FileVisit] = []
    for number, raw in lines[: MAX_LINES + 1]:
        where = Where(file, number)
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            faults.add(where, N_("cannot be read as {encoding}"), encoding="UTF-8" if encoding == "utf-8" else "GBK")
            continue
        if columns is None:
            delimiter = max(_DELIMITERS, key=text.count)
            columns = _columns(_cells(text, delimiter) or [], where, reading, faults)
            if columns is None:
                return []
            continue
        visit = _visit(_cells(text, delimiter), columns, where, reading, faults)
        if visit is not None:
            found.append(visit)
    if columns is None:
        faults.lose(Where(file), N_("is empty"))
    if len(lines) > MAX_LINES + 1:
        faults.add(Where(file, MAX_LINES + 2), N_("more than {most} rows"), most=MAX_LINES)
    return found


def _lines(data: bytes) -> list[tuple[int, bytes]]:
    split = data.removeprefix(_MARK).splitlines()
    return [(number, line) for number, line in enumerate(split, 1) if line.strip()]


def _encoding(lines: Iterator[bytes]) -> str:
    """Tell in which encoding most lines can be read; UTF-8 where both do."""
    broken = dict.fromkeys(_ENCODINGS, 0)
    for line in lines:
        if not line.isascii():
            for encoding in _ENCODINGS:
                try:
                    line.decode(encoding)
                except UnicodeDecodeError:
                    broken[encoding] += 1
    return min(_ENCODINGS, key=lambda encoding: broken[encoding])


def _cells(text: str, delimiter: str) -> list[str] | None:
    try:
        row = next(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None
    return [cell.strip().strip("'").strip() for cell in row]


def _columns(headings: Sequence[str], where: Where, reading: Reading, faults: Faults) -> list[str] | None:
    known = {word: meaning for meaning, words in HEADINGS.items() for word in words}
    known |= {_folded(heading): meaning for heading, meaning in reading.columns.items()}
    columns = [known.get(_folded(heading), "") for heading in headings]
    missing = [] if "time" in columns else ["time"]
    if "card" not in columns and "checkpoint" not in columns:
        missing.append("card")
    for name in missing:
        faults.lose(where, N_("no column is known as {name}; say which with --column"), name=name)
    for name in HEADINGS:
        if columns.count(name) > 1:
            faults.lose(where, N_("column {name} stands there twice"), name=name)
    return None if faults.is_blind else columns


def _folded(heading: str) -> str:
    return re.sub(r"[\s_.-]+", "", heading).lower()


def _visit(
    cells: Sequence[str] | None, columns: Sequence[str], where: Where, reading: Reading, faults: Faults
) -> FileVisit | None:
    if cells is None:
        faults.add(where, N_("no CSV: a quotation mark is missing"))
        return None
    if len(cells) > len(columns) and any(cells[len(columns) :]):
        faults.add(where, N_("{count} cells, but {wanted} columns"), count=len(cells), wanted=len(columns))
        return None
    said = {name: cell for name, cell in zip(columns, cells, strict=False) if name}
    when = f"{said.get('date', '')} {said.get('time', '')}".strip()
    at_us = _moment_us(when, reading)
    if at_us is None:
        faults.add(where, N_("{cell} is no time"), cell=repr(when[:60]))
        return None
    card, checkpoint = card_key(said.get("card", "")), said.get("checkpoint", "")
    if not card and not checkpoint:
        faults.add(where, N_("names neither a card nor a checkpoint"))
        return None
    if len(card) > MAX_CARD_CHARS or any(len(cell) > MAX_CELL_CHARS or "\x00" in cell for cell in said.values()):
        faults.add(where, N_("a cell is too long, or holds what no table holds"))
        return None
    return FileVisit(where.line, at_us, said.get("device", ""), said.get("person", ""), checkpoint, card)


def _moment_us(text: str, reading: Reading) -> int | None:
    try:
        if reading.time_format:
            told = datetime.strptime(text, reading.time_format)  # noqa: DTZ007 - the zone is put to it below
        else:
            found = _TIME.fullmatch(text) or _PLAIN_TIME.fullmatch(text)
            if found is None:
                return None
            told = datetime(*(int(part or 0) for part in found.groups()))  # type: ignore[arg-type] # noqa: DTZ001
        at_us = moment_us(told.date(), told.time(), reading.zone)
    except (ValueError, OverflowError):
        return None
    return at_us if at_us > 0 else None
