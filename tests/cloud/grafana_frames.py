"""What Grafana makes of an answer of InfluxDB before a panel shows it: frames of named fields, and what a panel finds.

As its data source does it, with its quirks: a table's first column is called `Time`; a table of series with more than
one tag gets the tags in any order, so that their columns are mixed up.

Source: the InfluxQL converter, the transformation "Organize fields" and the field overrides of Grafana 12.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from cloud.influx.query import Series

_ALIAS = re.compile(r"\[\[(?P<old>[\w@/-]+)\]\]|\$(?P<name>[\w@-]+)")
_DATA_FIELD = re.compile(r"__data\.fields(?:\.(?P<plain>\w+)|\[\"(?P<quoted>[^\"]+)\"\])")
_LABEL = re.compile(r"__field\.labels(?:\.(?P<plain>\w+)|\[\"(?P<quoted>[^\"]+)\"\])")
_TIMED = {"timeseries", "state-timeline", "status-history", "heatmap"}
_LEFT_ALONE = {"organize", "sortBy", "limit", "filterByValue", "convertFieldType", "formatTime"}


class Field(Struct, frozen=True):
    """One column of a frame.

    Attributes:
        name: its own.
        shown: what overrides, transformations and people call it.
        kind: "time", "number", "string", "boolean", or "" where all is null.
        labels: tags of its series.
        values: one a row.
    """

    name: str
    shown: str
    kind: str
    labels: Mapping[str, str]
    values: Sequence[Any]


Frame = Sequence[Field]


def frames_of(answer: Sequence[Series], target: Mapping[str, Any]) -> list[Frame]:
    """Make an answer into frames: one for a table, one a series and column else."""
    if target.get("resultFormat") == "table":
        return [_table(answer)] if answer else []
    return [frame for series in answer for frame in _lines(series, str(target.get("alias", "")))]


def shown_by(panel: Mapping[str, Any], frames: Sequence[Frame]) -> list[Frame]:
    """Transform frames as a panel does before it shows them; what is not known here is passed over."""
    found = list(frames)
    for one in panel.get("transformations", ()):
        options = one.get("options") or {}
        if one["id"] == "joinByField":
            found = [_joined(found, str(options["byField"]))]
        elif one["id"] == "renameByRegex":
            found = [[_renamed(field, options) for field in frame] for frame in found]
        elif one["id"] == "convertFieldType":
            times = {str(to["targetField"]) for to in options["conversions"] if to["destinationType"] == "time"}
            found = [[structs.replace(field, kind="time") if field.shown in times else field for field in frame]
                     for frame in found]  # fmt: skip
        elif one["id"] == "organize":
            order = options.get("indexByName") or {}
            organized = [list(_organized(frame, [one], sort=order)) for frame in found]
            found = [frame for frame in organized if frame]
    return found


def sight_faults(
    panel: Mapping[str, Any], asked: Sequence[tuple[Mapping[str, Any], Sequence[Series]]]
) -> Iterator[str]:
    """Say what a panel names and does not find in the answers to its questions.

    Args:
        panel: as it stands in a dashboard.
        asked: its targets, each with its answer.
    """
    for target, answer in asked:
        yield from _table_faults(target, answer)
    frames = [frame for target, answer in asked for frame in frames_of(answer, target)]
    if not frames:
        return
    transformations = [one for one in panel.get("transformations", ()) if not one.get("disabled")]
    before = [field for frame in frames for field in frame]
    for one in transformations:
        if one["id"] == "organize":
            yield from _organize_faults(one["options"], before)
    if {one["id"] for one in transformations} <= _LEFT_ALONE:
        after = list(_organized(before, transformations))
        yield from _panel_faults(panel, after)
        yield from _override_faults(panel, after)


def _table(answer: Sequence[Series]) -> Frame:
    tags, columns = list(answer[0].tags), list(answer[0].columns[1:])
    rows = [
        [row[0], *(series.tags.get(tag) for tag in tags), *row[1 : len(columns) + 1]]
        for series in answer
        for row in series.values
    ]
    by_column = list(zip(*rows, strict=True)) or [()] * (1 + len(tags) + len(columns))
    kinds = ["time", *(_kind(values) for values in by_column[1:])]
    names = ["Time", *tags, *columns]
    return [Field(name, name, kind, {}, values) for name, kind, values in zip(names, kinds, by_column, strict=True)]


def _lines(series: Series, alias: str) -> Iterator[Frame]:
    times, *columns = list(zip(*series.values, strict=True))
    for name, values in zip(series.columns[1:], columns, strict=True):
        shown = _alias(alias, series, name) if alias else _default_name(series, name)
        yield [Field("Time", "Time", "time", {}, times), Field("Value", shown, _kind(values), series.tags, values)]


def _alias(alias: str, series: Series, column: str) -> str:
    def named(match: re.Match[str]) -> str:
        word = match["old"] or match["name"]
        if word in {"m", "measurement"}:
            return series.name
        if word == "col":
            return column
        return series.tags.get(word.removeprefix("tag_"), match[0]) if word.startswith("tag_") else match[0]

    return _ALIAS.sub(named, alias)


def _default_name(series: Series, column: str) -> str:
    tags = ", ".join(f"{key}: {value}" for key, value in sorted(series.tags.items()))
    return f"{series.name}.{column}" + (f" {{ {tags} }}" if tags else "")


def _kind(values: Iterable[Any]) -> str:
    found = next((value for value in values if value is not None), None)
    if isinstance(found, bool):
        return "boolean"
    if found is None:
        return ""
    return "string" if isinstance(found, str) else "number"


def _table_faults(target: Mapping[str, Any], answer: Sequence[Series]) -> Iterator[str]:
    if target.get("resultFormat") != "table" or not answer:
        return
    if len(answer[0].tags) > 1:
        yield f"Grafana mixes up the tags {sorted(answer[0].tags)} of a table: take them out of a subquery"
    names = ["Time", *answer[0].tags, *answer[0].columns[1:]]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"columns of one name: {twice}"


def _organize_faults(options: Mapping[str, Any], fields: Sequence[Field]) -> Iterator[str]:
    shown = {field.shown for field in fields}
    for key in ("includeByName", "renameByName", "indexByName", "excludeByName"):
        for name in options.get(key, {}):
            if name not in shown:
                yield f"organize {key}: no column {name!r} among {sorted(shown)}"


def _joined(frames: Sequence[Frame], key: str) -> Frame:
    """Join tables by a column, keeping the rows of all of them."""
    keys: list[Any] = []
    for frame in frames:
        keys += [value for field in frame if field.shown == key for value in field.values if value not in keys]
    joined = [Field(key, key, _kind(keys), {}, keys)]
    for frame in frames:
        own = next((field.values for field in frame if field.shown == key), ())
        place = {value: index for index, value in enumerate(own)}
        for field in frame:
            if field.shown != key:
                values = [field.values[place[value]] if value in place else None for value in keys]
                joined.append(Field(field.name, field.shown, field.kind, field.labels, values))
    return joined


def _renamed(field: Field, options: Mapping[str, Any]) -> Field:
    if field.kind == "time":
        return field
    pattern = re.compile(str(options["regex"]).strip("/"))
    shown = pattern.sub(re.sub(r"\$(\d)", r"\\\1", str(options["renamePattern"])), field.shown, count=1)
    return Field(field.name, shown, field.kind, field.labels, field.values)


def _organized(
    fields: Sequence[Field], transformations: Sequence[Mapping[str, Any]], *, sort: Mapping[str, int] | None = None
) -> Iterator[Field]:
    includes: dict[str, bool] = {}
    excludes: dict[str, bool] = {}
    renames: dict[str, str] = {}
    for one in transformations:
        if one["id"] == "organize":
            includes |= one["options"].get("includeByName") or {}
            excludes |= one["options"].get("excludeByName") or {}
            renames |= one["options"].get("renameByName") or {}
    if sort:
        fields = sorted(fields, key=lambda field: sort.get(field.shown, len(sort)))
    for field in fields:
        if (includes and not includes.get(field.shown)) or excludes.get(field.shown):
            continue
        yield Field(field.name, renames.get(field.shown) or field.shown, field.kind, field.labels, field.values)


def _panel_faults(panel: Mapping[str, Any], fields: Sequence[Field]) -> Iterator[str]:
    kind, kinds = panel["type"], {field.kind for field in fields}
    names = {field.name for field in fields} | {field.shown for field in fields}
    if kind in _TIMED and "time" not in kinds:
        yield "no times to draw it over"
    if kind in {"timeseries", "gauge", "bargauge", "barchart"} and "number" not in kinds:
        yield "no number to draw"
    if kind == "geomap":
        yield from _map_faults(panel, names)
    pattern = panel.get("options", {}).get("reduceOptions", {}).get("fields")
    if pattern:
        regex = re.compile(str(pattern).strip("/"))
        if not any(regex.search(name) for name in names):
            yield f"reduceOptions.fields {pattern}: no such field among {sorted(names)}"
    elif kind in {"stat", "gauge", "bargauge"} and "number" not in kinds:
        yield "no number to show; reduceOptions.fields names no other field"


def _map_faults(panel: Mapping[str, Any], names: set[str]) -> Iterator[str]:
    for layer in panel.get("options", {}).get("layers", ()):
        location, style = layer.get("location", {}), layer.get("config", {}).get("style", {})
        wanted = [location.get("latitude"), location.get("longitude")]
        wanted += [style.get(part, {}).get("field") for part in ("color", "size", "text", "rotation")]
        for name in wanted:
            if name and name not in names:
                yield f"map: no field {name!r} among {sorted(names)}"


def _override_faults(panel: Mapping[str, Any], fields: Sequence[Field]) -> Iterator[str]:
    config = panel.get("fieldConfig", {})
    names = {field.shown for field in fields} | {field.name for field in fields}
    labels = {label for field in fields for label in field.labels}
    for override in config.get("overrides", ()):
        matcher = override["matcher"]
        if matcher["id"] == "byName" and matcher["options"] not in names:
            yield f"override: no field {matcher['options']!r} among {sorted(names)}"
        for name in matcher["options"]["names"] if matcher["id"] == "byNames" else ():
            if name not in names:
                yield f"override: no field {name!r} among {sorted(names)}"
        if matcher["id"] == "byRegexp":
            regex = re.compile(str(matcher["options"]).strip("/"))
            if not any(regex.search(name) for name in names):
                yield f"override: no field like {matcher['options']} among {sorted(names)}"
        for one in override["properties"]:
            if one["id"] == "links":
                yield from _link_faults(one["value"], names, labels)
    yield from _link_faults(config.get("defaults", {}).get("links") or (), names, labels)


def _link_faults(links: Iterable[Mapping[str, Any]], names: set[str], labels: set[str]) -> Iterator[str]:
    for link in links:
        for match in _DATA_FIELD.finditer(str(link["url"])):
            if (name := match["plain"] or match["quoted"]) not in names:
                yield f"link {link['title']!r}: no field {name!r} among {sorted(names)}"
        for match in _LABEL.finditer(str(link["url"])):
            if (name := match["plain"] or match["quoted"]) not in labels:
                yield f"link {link['title']!r}: no label {name!r} among {sorted(labels)}"
