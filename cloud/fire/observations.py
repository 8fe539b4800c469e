"""A file of noon observations in, a file of the index out. Pure."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise

from msgspec import Struct

from cloud.areas import cells
from cloud.areas.faults import Bad, Fault, Faults, Where
from cloud.areas.sheets import Column, Sheet
from cloud.areas.spreadsheets import read_csv
from cloud.database.fire_tables import fire_day
from cloud.fire.classes import Scheme, danger_of
from cloud.fire.days import Done, Noon, Turn, run_days
from cloud.fire.fwi import Codes
from cloud.i18n import N_

MAX_WIND_KMH = 150.0
"""No ten minutes' mean is more on any but a few peaks: beyond it the unit is wrong."""
COLUMNS = ("month", "day", "ffmc", "dmc", "dc", "isi", "bui", "fwi", "dsr", "class", "rule")
_NUMBER = re.compile(r"[-+]?\d{1,6}([.,]\d{1,12})?")
# Further back than half a year is not the next season but a file out of order.
_LONGEST_GAP = timedelta(days=183)
_YEARS = (2001, 2002, 2003, 2004)
_PARTS = 3


class Observation(Struct, frozen=True):
    """One row: the day (of a year that is only worked out for its order), the weather, and where it stands."""

    day: date
    noon: Noon
    where: Where


class Missing(Struct, frozen=True):
    """Days that the file does not have, and the row after them."""

    first: date
    last: date
    where: Where

    @property
    def count(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1


def _number(least: float, most: float, unit: str, advice: str) -> cells.Reader:
    def read(cell: str) -> float | Bad:
        if not _NUMBER.fullmatch(cell):
            return Bad(N_("{cell} is no number"), {"cell": repr(cell[:60])})
        value = float(cell.replace(",", "."))
        if least <= value <= most:
            return value
        why = advice or N_(
            "{value} {unit} cannot be: {least} to {most}; leave the row out, and the day counts as missed"
        )
        return Bad(why, {"value": cell, "unit": unit, "least": f"{least:g}", "most": f"{most:g}"})

    return read


_SHEET = Sheet(
    "observations",
    "observation",
    fire_day,
    (
        Column("month", cells.count(12), is_required=True, also=("月",)),
        Column("day", cells.count(31), is_required=True, also=("日",)),
        Column("temp_c", _number(-60, 60, "C", ""), is_required=True, also=("temp", "气温")),
        Column("rh_pct", _number(0, 100, "%", ""), is_required=True, also=("rh", "相对湿度")),
        Column(
            "wind_kmh",
            _number(0, MAX_WIND_KMH, "km/h", N_("{value} km/h cannot be: {least} to {most}; is it in another unit? "
                                                "1 m/s is 3.6 km/h")),
            is_required=True, also=("wind", "ws", "风速"),
        ),
        Column("rain_mm", _number(0, 1_000, "mm", ""), is_required=True, also=("rain", "prec", "降水量")),
    ),
    key=("month", "day"),
)  # fmt: skip


def read_observations(data: bytes, file: str, faults: Faults) -> list[Observation]:
    """Read a file; what is wrong is noted.

    Args:
        data: CSV with the columns month, day, temp_c, rh_pct, wind_kmh, rain_mm, in order of days.
        file: its name, for faults.
        faults: noted there.

    Returns:
        The rows by day. A row whose day is before that of the last one is of the next year, unless it would be more
        than half a year on: then the file is out of order, which is a fault.
    """
    entries = list(read_csv(data, file, _SHEET, faults))
    if not entries:
        if not faults.count:
            faults.add(Where(file), N_("holds no observation"))
        return []
    days = [(entry.row["month"], entry.row["day"]) for entry in entries]
    dated = min((_dated(days, year) for year in _YEARS), key=_cost)
    found: list[Observation] = []
    for entry, day in zip(entries, dated, strict=True):
        if day is None:
            bad = Bad(N_("{month}-{day} is no day"), {"month": entry.row["month"], "day": entry.row["day"]})
            faults.note(Fault(entry.where, bad, "day"))
            continue
        if found and day - found[-1].day > _LONGEST_GAP:
            faults.add(entry.where, N_("comes before the row above, or more than half a year after it: put the days in "
                                       "order, each once"))  # fmt: skip
        row = entry.row
        noon = Noon(row["temp_c"], row["rh_pct"], row["wind_kmh"], row["rain_mm"])
        found.append(Observation(day, noon, entry.where))
    return found


def _dated(days: Iterable[tuple[int, int]], year: int) -> list[date | None]:
    """Give days their years; None for one that the calendar does not have in any year it may be."""
    found: list[date | None] = []
    before: tuple[int, int] = (0, 0)
    for one in days:
        this_year = year + (one <= before)
        try:
            found.append(date(this_year, *one))
        except ValueError:
            found.append(None)
        else:
            year, before = this_year, one
    return found


def _cost(dated: Sequence[date | None]) -> tuple[int, int]:
    """How bad a guess of the years is: 29 February that it does not have, then days that are missing."""
    known = [day for day in dated if day is not None]
    return len(dated) - len(known), (known[-1] - known[0]).days if known else 0


def missing_days(observations: Sequence[Observation]) -> list[Missing]:
    """Find the gaps between rows."""
    one = timedelta(days=1)
    return [
        Missing(above.day + one, below.day - one, below.where)
        for above, below in pairwise(observations)
        if below.day - above.day > one
    ]


def work_out(observations: Sequence[Observation], *, latitude_deg: float, start: Codes, missed_days: int) -> list[Done]:
    """Work out the index of every day from the first row to the last, missed days by the rule of `days`."""
    noons = {one.day: one.noon for one in observations}
    turn = Turn(observations[0].day, latitude_deg, start)
    return run_days(noons, [turn], last=observations[-1].day, missed_days=missed_days)


def write_index(days: Iterable[Done], scheme: Scheme) -> str:
    """Write CSV with `COLUMNS`; a day without codes has empty cells."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in days:
        head = [one.day.month, one.day.day]
        if one.indices is None:
            writer.writerow([*head, *[""] * 8, one.rule.value])
            continue
        codes, indices = one.indices.codes, one.indices
        numbers = (codes.ffmc, codes.dmc, codes.dc, indices.isi, indices.bui, indices.fwi, indices.dsr)
        level = danger_of(indices.fwi, scheme).word
        writer.writerow([*head, *(f"{number:.2f}" for number in numbers), level, one.rule.value])
    return out.getvalue()


def parse_start(text: str) -> Codes | None:
    """Read `FFMC,DMC,DC`; None for what is not three numbers in their ranges."""
    parts = text.split(",")
    if len(parts) != _PARTS:
        return None
    try:
        ffmc, dmc, dc = (float(part) for part in parts)
    except ValueError:
        return None
    is_within = 0 <= ffmc <= 101 and 0 <= dmc <= 1_000 and 0 <= dc <= 5_000  # noqa: PLR2004 - of the codes
    return Codes(ffmc, dmc, dc) if is_within else None
