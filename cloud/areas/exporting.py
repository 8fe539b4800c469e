"""The export: what an import would bring in again, as CSV or as GeoJSON."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection

from cloud.areas.geojson import KINDS, write_geojson
from cloud.areas.merging import State
from cloud.areas.policy_files import write_policies
from cloud.areas.sheets import AREAS, POLICIES, SHEETS, Row, Sheet
from cloud.areas.spreadsheets import write_csv
from cloud.areas.store import read_state


class Format(StrEnum):
    """What is written: every sheet as a table, or what has a place as a map."""

    CSV = "csv"
    GEOJSON = "geojson"


def export(connection: Connection, form: Format) -> dict[str, bytes]:
    """Make the files of an export, by name."""
    state = read_state(connection, SHEETS)
    if form is Format.GEOJSON:
        return {"map.geojson": write_geojson((sheet, row) for sheet in KINDS.values() for row in _rows(state, sheet))}
    files = {f"{name}.csv": write_csv(sheet, _rows(state, sheet)) for name, sheet in SHEETS.items()}
    del files[f"{POLICIES.name}.csv"]
    return files | {f"{POLICIES.name}.toml": write_policies(_rows(state, POLICIES))}


def write_files(files: dict[str, bytes], folder: Path) -> list[Path]:
    """Write files into a folder, which is made when it is not there.

    Raises:
        OSError: it cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, data in files.items():
        path = folder / name
        path.write_bytes(data)
        paths.append(path)
    return paths


def _rows(state: State, sheet: Sheet) -> Iterator[Row]:
    """A sheet's rows in an order that does not change: areas from the top down, all else by key."""
    rows = state[sheet.name].values()
    if sheet is AREAS:
        return iter(sorted(rows, key=lambda row: str(row["path"])))
    return iter(sorted(rows, key=lambda row: tuple(str(part) for part in sheet.key_of(row))))
