"""One TOML file as read: its data, on which line a key stands, and the faults found in it so far."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from device_profiles.faults import N_, ConfigError, Fault, one_line

MAX_BYTES = 1024 * 1024
"""Largest file read; a site of 247 devices with labels takes some 60 KiB."""

Place = tuple[str | int, ...]
"""A path in the data: keys, and list positions counted from 0."""

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*(\]\]?)\s*(?:#.*)?$")
_KEY_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_ASSIGNED = re.compile(rf"^\s*({_KEY_PART}(?:\s*\.\s*{_KEY_PART})*)\s*=")
_PARTS = re.compile(_KEY_PART)
_LONG_STRING = re.compile(r'"""|\'\'\'')
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")


class TomlFile:
    """A parsed file that collects faults; places name keys, structs remember where they came from.

    Attributes:
        file: name for faults.
        data: the parsed TOML.
        faults: found so far, in the order of finding.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self._lines = find_lines(text)
        self._structs: dict[int, tuple[Struct, Place]] = {}
        self._faulty: set[Place] = set()
        self.data: dict[str, Any] = _parse(file, text)

    @classmethod
    def read(cls, path: Path) -> "TomlFile":
        """Read and parse a file.

        Raises:
            ConfigError: it cannot be opened, is too large, is not UTF-8 or is not TOML.
        """
        file = str(path)
        try:
            with path.open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError([Fault(file, "", None, N_("cannot be read: {reason}"), {"reason": reason})]) from error
        if len(raw) > MAX_BYTES:
            limit = {"limit": str(MAX_BYTES)}
            raise ConfigError([Fault(file, "", None, N_("is larger than {limit} bytes"), limit)])
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise ConfigError([Fault(file, "", line, N_("is not UTF-8 text"))]) from error
        return cls(file, text)

    def fault(self, place: Place, text: str, **args: str) -> None:
        """Note a fault at a place; `text` is a template marked with `N_`."""
        self._faulty.update(place[:depth] for depth in range(len(place) + 1))
        self.faults.append(Fault(self.file, self.name_of(place), self.line_of(place), text, args))

    def is_clean(self, place: Place) -> bool:
        """Tell whether no fault is known at the place or inside it."""
        return place not in self._faulty

    def remember(self, struct: Struct, place: Place) -> None:
        """Keep where a struct was read from."""
        self._structs[id(struct)] = (struct, place)

    def place_of(self, struct: Struct) -> Place:
        """Where a struct of this file was read from."""
        return self._structs[id(struct)][1]

    def names(self, table: str, key: str) -> set[str]:
        """Every text under `key` in the `[[table]]` list as written, also of tables that have faults."""
        items = self.data.get(table)
        if not isinstance(items, list):
            return set()
        found = (item.get(key) for item in items if isinstance(item, dict))
        return {name for name in found if isinstance(name, str)}

    def line_of(self, place: Place) -> int | None:
        """The line of the place, or of the nearest table around it; None when it cannot be told."""
        for depth in range(len(place), 0, -1):
            if place[:depth] in self._lines:
                return self._lines[place[:depth]]
        return None

    def name_of(self, place: Place) -> str:
        """Write a place for people: `device[2] "gate-button".unit`."""
        written = ""
        data: object = self.data
        for step in place:
            if isinstance(step, int):
                written += f"[{step + 1}]"
                data = data[step] if isinstance(data, list) and step < len(data) else None
                label = (data.get("key") or data.get("id")) if isinstance(data, dict) else None
                written += f' "{one_line(label[:64])}"' if isinstance(label, str) else ""
            else:
                key = one_line(step[:80])
                written += f".{key}" if written else key
                data = data.get(step) if isinstance(data, dict) else None
        return written

    def raise_faults(self, *, others: Iterable[Fault] = ()) -> None:
        """Raise what was found, by line, then the faults of other files.

        Raises:
            ConfigError: there is a fault.
        """
        faults = [*sorted(self.faults, key=lambda fault: fault.line or 0), *others]
        if faults:
            raise ConfigError(faults)


def find_lines(text: str) -> dict[Place, int]:
    """Tell on which line each `[table]`, `[[table]]` and `key =` of a TOML text stands, as far as can be seen.

    Keys inside inline tables are not found; the line of the key around them is the best answer.
    """
    lines: dict[Place, int] = {}
    table: Place = ()
    counts: dict[Place, int] = {}
    long_string = ""
    for number, line in enumerate(text.splitlines(), start=1):
        inside = long_string
        for quote in _LONG_STRING.findall(line):
            if not long_string:
                long_string = quote
            elif quote == long_string:
                long_string = ""
        if inside:
            continue
        if header := _HEADER.match(line):
            table = _table_place(header[2], is_list=header[1] == "[[", counts=counts)
            lines.setdefault(table, number)
        elif assigned := _ASSIGNED.match(line):
            keys = _split(assigned[1])
            for depth in range(1, len(keys) + 1):
                lines.setdefault((*table, *keys[:depth]), number)
    return lines


def _split(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PARTS.findall(dotted)]


def _table_place(dotted: str, *, is_list: bool, counts: dict[Place, int]) -> Place:
    place: Place = ()
    keys = _split(dotted)
    for index, key in enumerate(keys):
        place = (*place, key)
        if is_list and index == len(keys) - 1:
            counts[place] = counts.get(place, 0) + 1
        if place in counts:
            place = (*place, counts[place] - 1)
    return place


def _parse(file: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError([Fault(file, "", None, N_("is nested too deep"))]) from error
    except ValueError as error:  # TOMLDecodeError, and Python's own limit on the digits of a number
        said = str(error)
        found = _AT_LINE.search(said)
        line = int(found[1]) if found else None
        if line is None and "end of document" in said:
            line = text.count("\n") + 1
        why = {"why": _AT_LINE.sub("", said).strip()}
        raise ConfigError([Fault(file, "", line, N_("is not TOML: {why}"), why)]) from error
