"""One row of a sheet from the words of a file, whatever the file's form. Pure."""

from collections.abc import Iterable

from msgspec import Struct

from cloud.areas.faults import Bad, Fault, Faults, Where
from cloud.areas.sheets import Column, Row
from cloud.i18n import N_


class Entry(Struct, frozen=True):
    """A row that a file has, and where it stands."""

    where: Where
    row: Row


def read_row(
    cells: Iterable[tuple[Column, str]], where: Where, faults: Faults, *, key: tuple[str, ...]
) -> Entry | None:
    """Read the cells of one row, and note what is bad.

    Returns:
        The row; with bad cells read as empty, so that what refers to it is no fault too. None when a cell of its
        `key` is bad.
    """
    row: Row = {}
    bad: set[str] = set()
    for column, cell in cells:
        stripped = cell.strip()
        value = column.read(stripped) if stripped else column.empty
        if not stripped and column.is_required:
            value = Bad(N_("is empty"))
        if isinstance(value, Bad):
            faults.note(Fault(where, value, column.name))
            bad.add(column.name)
            value = column.empty
        row[column.name] = value
    if not bad:
        _check_pairs(row, where, faults)
    return None if bad.intersection(key) else Entry(where, row)


def _check_pairs(row: Row, where: Where, faults: Faults) -> None:
    for one, other in (("latitude_deg", "longitude_deg"), ("quiet_from", "quiet_to")):
        if (row.get(one) is None) != (row.get(other) is None):
            faults.add(where, N_("{one} and {other} come together"), one=one, other=other)
    first_day, last_day = row.get("first_day"), row.get("last_day")
    if first_day and last_day and last_day < first_day:
        faults.add(where, N_("last_day comes before first_day"))
