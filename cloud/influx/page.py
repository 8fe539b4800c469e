"""Writes the tables of docs/influxdb.md from the schema: `python -m cloud.influx.page`."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cloud.influx.cardinality import COUNTS, City, all_series, points_a_day, series_of
from cloud.influx.schema import MEASUREMENTS
from cloud.influx.shape import Keep, Measurement

PAGE = Path(__file__).parents[2] / "docs" / "influxdb.md"
_PART = re.compile(r"(<!-- (?P<name>\w+): made by scripts/generate -->\n).*?(<!-- end -->\n)", re.DOTALL)
_KEPT = {Keep.RAW: "`raw_days`", Keep.LONG: '`long_days`, in `"long"`'}


def written_into(page: str) -> str:
    """Put the tables in the place of those that the page has."""
    parts = {"series": _lines(_series(City())), "measurements": _lines(_measurements())}
    return _PART.sub(lambda part: f"{part[1]}{parts[part['name']]}{part[3]}", page)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _series(city: City) -> Iterator[str]:
    yield "| measurement | a series is | series | points a day |"
    yield "|---|---|---:|---:|"
    total = 0
    for name in MEASUREMENTS:
        points = points_a_day(name, city)
        total += points or 0
        told = "" if points is None else f"{points:,}"
        yield f"| `{name}` | {COUNTS[name].words} | {series_of(name, city):,} | {told} |"
    yield f"| | **together** | **{all_series(city):,}** | **{total:,}** |"


def _measurements() -> Iterator[str]:
    for one in MEASUREMENTS.values():
        yield from _measurement(one)


def _measurement(one: Measurement) -> Iterator[str]:
    tags = ", ".join(f"`{tag}`" for tag in one.tags) or "none"
    beat = f"every {one.every_s:,} s at least" if one.every_s else "when something happens"
    yield f"### `{one.name}`"
    yield ""
    yield f"{one.words[:1].upper()}{one.words[1:]}."
    yield ""
    yield f"Tags: {tags}. Kept for {_KEPT[one.keep]}. Written by `{one.by}`, {beat}."
    yield ""
    yield "| field | type | unit | meaning |"
    yield "|---|---|---|---|"
    for field in one.fields:
        unit = f"`{field.unit}`" if field.unit else ""
        yield f"| `{field.name}` | {field.kind} | {unit} | {field.words} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(written_into(PAGE.read_text("utf-8")), encoding="utf-8")
