"""Brings files to where Grafana reads them: what is ours is replaced, what somebody changed by hand is kept."""

import json
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from cloud.grafana.digest import is_sealed, is_untouched
from cloud.grafana.provisioning import DASHBOARDS

MAX_BYTES = 16 * 1024 * 1024
"""A longer file is none of ours."""


class Fate(StrEnum):
    """What became of a file."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    KEPT = "kept"
    """Somebody changed it by hand, or it never was ours."""
    REMOVED = "removed"
    """Ours, and not wanted any more."""


class Brought(Struct, frozen=True):
    """One file.

    Attributes:
        path: below the folder.
        fate: what became of it.
    """

    path: str
    fate: Fate


def bring(folder: Path, wanted: Mapping[str, str], *, force: bool = False, dry_run: bool = False) -> list[Brought]:
    """Write what is wanted, and remove dashboards of ours that are not.

    Each file is whole at every moment, so that a Grafana that looks meanwhile finds no half of one.

    Args:
        folder: made if it is missing.
        wanted: text by path below it.
        force: replace what somebody changed by hand, too.
        dry_run: only tell.

    Raises:
        OSError: a file cannot be read or written.
    """
    found: list[Brought] = []
    for path, text in wanted.items():
        fate = _fate(folder / path, text, force=force)
        if fate in {Fate.NEW, Fate.CHANGED} and not dry_run:
            _write(folder / path, text)
        found.append(Brought(path, fate))
    for stale in sorted((folder / DASHBOARDS).glob("*/*.json")):
        path = stale.relative_to(folder).as_posix()
        if path not in wanted and _is_ours(stale, _read(stale)):
            if not dry_run:
                stale.unlink()
            found.append(Brought(path, Fate.REMOVED))
    return found


def _fate(file: Path, text: str, *, force: bool) -> Fate:
    if not file.exists():
        return Fate.NEW
    present = _read(file)
    if present == text:
        return Fate.SAME
    return Fate.CHANGED if force or _is_ours(file, present) else Fate.KEPT


def _read(file: Path) -> str | None:
    """Read a text; None for what cannot be one of ours."""
    if not file.is_file() or file.stat().st_size > MAX_BYTES:
        return None
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def _is_ours(file: Path, text: str | None) -> bool:
    if text is None:
        return False
    if file.suffix != ".json":
        return is_sealed(text)
    try:
        model = json.loads(text)
    except ValueError:
        return False
    return isinstance(model, dict) and is_untouched(model)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Grafana takes what ends in .json or .yaml.
    half = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        half.write_text(text, encoding="utf-8", newline="\n")
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)
