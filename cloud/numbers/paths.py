"""Paths of areas: what lies within one, and what lies above it."""

from typing import Any

from sqlalchemy import ColumnElement


def within(column: ColumnElement[Any], area_path: str) -> list[ColumnElement[bool]]:
    """Make the conditions that a path begins with `area_path`, as a range of an index; none for "" (everything)."""
    # "0" is the character after "/", with which every path ends.
    return [column >= area_path, column < f"{area_path[:-1]}0"] if area_path else []


def path_above(path: str) -> list[str]:
    """List the paths of all areas above one, from "" (everything) down, without its own; "" has none."""
    ids = path.split("/")[:-1]
    return ["/".join([*ids[:count], ""]) if count else "" for count in range(len(ids))]
