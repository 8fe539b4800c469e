"""The stolen list in and out of CSV: every fault with its line. Pure."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime

from cloud.areas.decoding import decoded
from cloud.areas.faults import Faults, Where
from cloud.i18n import N_
from cloud.orders.stolen import MAX_CASE_CHARS, Listed, StolenEntry
from contract.cloudevents import to_rfc3339
from contract.ids import is_id
from contract.limits import MAX_STOLEN, MAX_TAG_CHARS

# A list with notes is a few megabytes; what is larger is another file.
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_LINE_CHARS = 10_000
COLUMNS = ("tag", "note", "case", "since")
"""The heading of a file; without one the columns are meant in this order, and all but the first may be missing."""
_TO_US = 1_000_000


def read_stolen(data: bytes, file: str) -> list[StolenEntry]:
    """Read a list in UTF-8 or GBK: a line an entry; a first line that begins with "tag" is its heading.

    Args:
        data: at most one byte more than `MAX_FILE_BYTES` need be given.
        file: its name, for faults.

    Returns:
        The entries in their order; of one tag the last counts.

    Raises:
        ImportRefusedError: with every fault.
    """
    faults = Faults()
    if len(data) > MAX_FILE_BYTES:
        faults.lose(Where(file), N_("more than {most} bytes"), most=MAX_FILE_BYTES)
    text = decoded(data, file, faults)
    faults.settle()
    columns: tuple[str, ...] = COLUMNS
    found: dict[str, StolenEntry] = {}
    for number, line in enumerate((text or "").splitlines(), start=1):
        cells = [cell.strip() for cell in next(csv.reader([line[:MAX_LINE_CHARS]]), [])]
        if not any(cells):
            continue
        if number == 1 and cells[0].casefold() == "tag":
            columns = tuple(cell.casefold() for cell in cells)
            continue
        entry = _entry(dict(zip(columns, cells, strict=False)), Where(file, number), faults)
        found[entry.tag.upper()] = entry
    if len(found) > MAX_STOLEN:
        faults.add(
            Where(file), N_("{count} stolen tags are too many: at most {most}"), count=len(found), most=MAX_STOLEN
        )
    faults.settle()
    return list(found.values())


def write_stolen(listed: Iterable[Listed]) -> str:
    """Write a list as `read_stolen` reads it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((one.tag, one.note, one.case, to_rfc3339(one.since_us)) for one in listed)
    return out.getvalue()


def _entry(cells: dict[str, str], where: Where, faults: Faults) -> StolenEntry:
    tag, case = cells.get("tag", ""), cells.get("case", "")
    if not (is_id(tag) and len(tag) <= MAX_TAG_CHARS):
        text = N_("{given} is no tag: 1 to {most} of A-Z a-z 0-9 _ . -")
        faults.add(where, text, given=repr(tag[:80]), most=MAX_TAG_CHARS)
    if len(case) > MAX_CASE_CHARS:
        faults.add(where, N_("a case of {count} characters, at most {most}"), count=len(case), most=MAX_CASE_CHARS)
    since_us, since = 0, cells.get("since", "")
    if since:
        try:
            moment = datetime.fromisoformat(since)
            since_us = round(moment.timestamp() * _TO_US) if moment.tzinfo else -1
        except (ValueError, OverflowError):
            since_us = -1
        if since_us < 0:
            text = N_("{given} is no time: 2026-03-01T08:30:00+08:00")
            faults.add(where, text, given=repr(since[:80]))
    return StolenEntry(tag, cells.get("note", ""), case, max(since_us, 0))
