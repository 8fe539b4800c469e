"""What may stand in a cell: each reader takes the text without blanks around it, and gives the value or what is bad."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from cloud.areas.faults import Bad
from cloud.areas.rosters import WEEKDAYS
from cloud.areas.tree import Level
from cloud.i18n import N_
from contract.alarms import Severity
from contract.closed import member
from contract.ids import is_id

MAX_NAME_CHARS = 200
MAX_ADDRESS_CHARS = 500
MAX_ADDRESSES = 16
MAX_RANK = 100
MAX_MESSAGES_PER_HOUR = 3600

Reader = Callable[[str], Any]

# Words of other tables that people have at hand.
LEVELS = {
    "网格": Level.GRID, "社区": Level.GRID, "街道": Level.STREET, "镇": Level.TOWN, "乡": Level.TOWN,
    "乡镇": Level.TOWN, "县": Level.COUNTY, "区": Level.COUNTY, "区县": Level.COUNTY, "市": Level.CITY,
    "省": Level.PROVINCE,
}  # fmt: skip
_CHINESE_DAYS = {f"{word}{day}": WEEKDAYS[at] for word in ("周", "星期") for at, day in enumerate("一二三四五六日")}
_DAYS = {day: day for day in WEEKDAYS} | _CHINESE_DAYS | {"周天": "sun", "星期天": "sun"}
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::00)?")
# A tenth of a millimetre.
_DECIMALS = 9
_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_NUMBER = re.compile(r"[-+]?\d{1,3}(\.\d{1,17})?")
_COUNT = re.compile(r"\d{1,6}")
# What PostgreSQL will not store, and what would break a line of a list.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\u2028\u2029]")
TRANSMISSION_CLASSES = ("SP1", "SP2", "SP3", "SP4", "SP5", "SP6", "DP1", "DP2", "DP3", "DP4")


def text(most: int) -> Reader:
    """Read words of at most so many characters, in one line."""

    def read(cell: str) -> str | Bad:
        if len(cell) > most:
            return Bad(N_("{count} characters are too many: at most {most}"), {"count": len(cell), "most": most})
        if found := _CONTROL.search(cell):
            return Bad(N_("holds the control character {char}"), {"char": repr(found[0])})
        return cell

    return read


def identifier(cell: str) -> str | Bad:
    """Read an id."""
    if is_id(cell):
        return cell
    why = N_("{cell} is no id: 1 to 64 of A-Z a-z 0-9 _ . -; where a spreadsheet has made a number of it, format the "
             "column as text")  # fmt: skip
    return Bad(why, {"cell": _shown(cell)})


def level(cell: str) -> str | Bad:
    """Read a level, in English or Chinese."""
    found = member(Level, cell.lower()) or LEVELS.get(cell)
    return (
        found.value
        if found
        else Bad(N_("{cell} is no level: {words}"), {"cell": _shown(cell), "words": ", ".join(Level)})
    )


def severity(cell: str) -> str | Bad:
    """Read a severity."""
    found = member(Severity, cell.lower())
    return (
        found.value
        if found
        else Bad(N_("{cell} is no severity: {words}"), {"cell": _shown(cell), "words": ", ".join(Severity)})
    )


def one_of(words: tuple[str, ...], *, fold: Callable[[str], str]) -> Reader:
    """Read one of some words, in whatever case."""

    def read(cell: str) -> str | Bad:
        found = fold(cell)
        why = N_("{cell} is none of {words}")
        return found if found in words else Bad(why, {"cell": _shown(cell), "words": ", ".join(words)})

    return read


def degrees(most: int) -> Reader:
    """Read a latitude (90) or a longitude (180), degrees of WGS 84; nine decimals count."""

    def read(cell: str) -> float | Bad:
        if _NUMBER.fullmatch(cell) and abs(value := float(cell)) <= most:
            return round(value, _DECIMALS)
        return Bad(N_("{cell} is no coordinate: -{most} to {most} degrees, as 31.29834"), {
            "cell": _shown(cell), "most": most,
        })  # fmt: skip

    return read


def plain(number: float) -> str:
    """Write a number so that `degrees` reads it: without an exponent."""
    return f"{number:.{_DECIMALS}f}".rstrip("0").rstrip(".")


def clock(cell: str) -> str | Bad:
    """Read a local time: H:MM, HH:MM or HH:MM:00, and 24:00 for midnight; always HH:MM."""
    if found := _TIME.fullmatch(cell.replace("：", ":")):
        hour, minute = int(found[1]), int(found[2])
        if (hour, minute) == (24, 0):
            return "00:00"
        if hour < 24 and minute < 60:  # noqa: PLR2004 - a clock's
            return f"{hour:02}:{minute:02}"
    return Bad(N_("{cell} is no time of day: HH:MM"), {"cell": _shown(cell)})


def day(cell: str) -> date | Bad:
    """Read a date: 2026-11-22, or 2026/11/22 as spreadsheets write it."""
    if found := _DATE.fullmatch(cell):
        try:
            return date(int(found[1]), int(found[2]), int(found[3]))
        except ValueError:
            pass
    return Bad(N_("{cell} is no date: YYYY-MM-DD"), {"cell": _shown(cell)})


def weekdays(cell: str) -> str | Bad:
    """Read days of the week: mon tue ..., 周一 ..., a range mon-fri, or daily; always in the week's order."""
    found: set[str] = set()
    for word in re.split(r"[\s,，、;]+", cell.lower()):
        if word in ("daily", "每天", "每日"):
            found.update(WEEKDAYS)
            continue
        first, dash, last = word.replace("至", "-").partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            words = " ".join(WEEKDAYS)
            return Bad(N_("{cell} is no day of the week: {words}, mon-fri, daily"), {
                "cell": _shown(word), "words": words,
            })  # fmt: skip
        start, end = WEEKDAYS.index(_DAYS[first]), WEEKDAYS.index(_DAYS[last or first])
        found.update(WEEKDAYS[at % 7] for at in range(start, end + 1 if end >= start else end + 8))
    return " ".join(one for one in WEEKDAYS if one in found)


def count(most: int) -> Reader:
    """Read a whole number from 1 on."""

    def read(cell: str) -> int | Bad:
        if _COUNT.fullmatch(cell) and 1 <= (value := int(cell)) <= most:
            return value
        return Bad(N_("{cell} is no number from 1 to {most}"), {"cell": _shown(cell), "most": most})

    return read


def addresses(cell: str) -> list[dict[str, str]] | Bad:
    """Read addresses: `channel:address`, with ` | ` between two; the preferred one first."""
    found = []
    for word in cell.split("|"):
        channel, colon, address = (part.strip() for part in word.strip().partition(":"))
        if not (colon and is_id(channel) and 0 < len(address) <= MAX_NAME_CHARS) or _CONTROL.search(address):
            return Bad(N_("{cell} is no address: channel:address, with | between two"), {"cell": _shown(word)})
        found.append({"channel": channel, "address": address})
    if len(found) > MAX_ADDRESSES:
        return Bad(N_("{count} addresses are too many: at most {most}"), {"count": len(found), "most": MAX_ADDRESSES})
    return found


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 60 else cell[:60] + "…")  # noqa: PLR2004 - what fits on a line of a fault
