"""`policies.toml`: what must happen, by area and severity; rows in, rows out. Pure."""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cloud.areas.faults import Faults, Where
from cloud.areas.rows import Entry, read_row
from cloud.areas.sheets import POLICIES, Row
from cloud.i18n import N_

MAX_POLICIES = 100_000
_HEADING = re.compile(r"^\s*\[\[\s*policy\s*\]\]", re.MULTILINE)

CheckPolicy = Callable[[dict[str, Any]], str | None]
"""Tells what is wrong with a policy's own keys, None when nothing is."""


def read_policies(data: bytes, file: str, check: CheckPolicy, faults: Faults) -> Iterator[Entry]:
    """Read the `[[policy]]` tables; what is wrong is noted with the line of its heading, and its table left out."""
    try:
        text = data.decode("utf-8-sig")
        found = tomllib.loads(text)
    except UnicodeDecodeError as error:
        faults.lose(Where(file, data.count(b"\n", 0, error.start) + 1), N_("not UTF-8"))
        return
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = re.search(r"line (\d+)", str(error))
        faults.lose(Where(file, int(at[1]) if at else 0), N_("no TOML: {why}"), why=str(error))
        return
    tables = found.pop("policy", [])
    for name in found:
        faults.add(Where(file), N_("{name} is unknown; there are only [[policy]] tables"), name=repr(name))
    if not isinstance(tables, list) or len(tables) > MAX_POLICIES:
        faults.lose(Where(file), N_("policy: at most {most} tables [[policy]]"), most=MAX_POLICIES)
        return
    lines = [text.count("\n", 0, heading.start(0) + len(heading[0])) + 1 for heading in _HEADING.finditer(text)]
    for number, table in enumerate(tables):
        where = Where(file, lines[number] if len(lines) == len(tables) else 0)
        if entry := _entry(table, where, check, faults):
            yield entry


def write_policies(rows: Iterable[Row]) -> bytes:
    """Write the tables, so that `read_policies` reads the same out of them."""
    parts = []
    for row in rows:
        lines = ["[[policy]]", f"area = {_toml(row['area'])}", f"severity = {_toml(row['severity'])}"]
        for key, value in row["policy"].items():
            if key == "steps":
                lines += ["steps = [", *(f"  {_toml(step)}," for step in value), "]"]
            elif value is not None:
                lines.append(f"{key} = {_toml(value)}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts).encode()


def _entry(table: Any, where: Where, check: CheckPolicy, faults: Faults) -> Entry | None:
    if not isinstance(table, dict):
        faults.add(where, N_("policy: a table [[policy]] is meant"))
        return None
    cells = [(column, str(table.get(column.name, ""))) for column in POLICIES.columns]
    entry = read_row(cells, where, faults, key=POLICIES.key)
    policy = {key: value for key, value in table.items() if key not in POLICIES.key}
    if why := check(policy):
        faults.add(where, "{why}", why=why)
        return None
    return entry and Entry(where, entry.row | {"policy": policy})


def _toml(value: Any) -> str:
    match value:
        case dict():
            pairs = (f"{key} = {_toml(one)}" for key, one in value.items() if one is not None)
            return "{ " + ", ".join(pairs) + " }"
        case list():
            return "[" + ", ".join(_toml(one) for one in value) + "]"
        case _:
            # Strings, numbers and truth values are written as in JSON.
            return json.dumps(value, ensure_ascii=False)
