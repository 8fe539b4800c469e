"""GeoJSON (RFC 7946): areas with outlines, sites, gateways and devices as features; rows in, rows out. Pure."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from cloud.areas.cells import plain
from cloud.areas.faults import Faults, Where
from cloud.areas.rows import Entry, read_row
from cloud.areas.sheets import AREAS, DEVICES, GATEWAYS, SITES, Row, Sheet
from cloud.i18n import N_

MAX_FEATURES = 500_000
MAX_POSITIONS = 20_000
KINDS = {sheet.kind: sheet for sheet in (AREAS, SITES, GATEWAYS, DEVICES)}

Position = Annotated[list[float], Meta(min_length=2, max_length=3)]
Ring = Annotated[list[Position], Meta(min_length=4, max_length=MAX_POSITIONS)]


class _Point(Struct, frozen=True, tag_field="type", tag="Point"):
    coordinates: Position


class _Polygon(Struct, frozen=True, tag_field="type", tag="Polygon"):
    coordinates: Annotated[list[Ring], Meta(min_length=1)]


class _MultiPolygon(Struct, frozen=True, tag_field="type", tag="MultiPolygon"):
    coordinates: Annotated[list[Annotated[list[Ring], Meta(min_length=1)]], Meta(min_length=1)]


class _Feature(Struct, frozen=True):
    type: Literal["Feature"]
    properties: dict[str, str | float | None]
    geometry: _Point | _Polygon | _MultiPolygon | None = None


class _Collection(Struct, frozen=True):
    type: Literal["FeatureCollection"]
    features: Annotated[list[Raw], Meta(max_length=MAX_FEATURES)]


_collections = msgspec.json.Decoder(_Collection)
_features = msgspec.json.Decoder(_Feature)


def read_geojson(data: bytes, file: str, faults: Faults) -> Iterator[tuple[Sheet, Entry]]:
    """Read a FeatureCollection; what is wrong is noted, and its feature left out.

    The property `what` says what a feature is: area, site, gateway or device; its other properties are named as the
    columns of that sheet.
    """
    try:
        collection = _collections.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        faults.lose(Where(file), N_("no FeatureCollection of GeoJSON: {why}"), why=str(error))
        return
    at, end, line = 0, 0, 1
    for number, raw in enumerate(collection.features, 1):
        content = bytes(raw)
        found = data.index(content, end)
        line += data.count(b"\n", at, found)
        at, end = found, found + len(content)
        where = Where(file, line, number)
        try:
            feature = _features.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            faults.add(where, N_("no feature of GeoJSON: {why}"), why=str(error))
            continue
        sheet = KINDS.get(str(feature.properties.get("what")))
        if sheet is None:
            faults.add(where, N_("the property what is none of {words}"), words=", ".join(KINDS))
        elif entry := _entry(sheet, feature, where, faults):
            yield sheet, entry


def write_geojson(rows: Iterable[tuple[Sheet, Row]]) -> bytes:
    """Write a FeatureCollection, a feature a line, so that `read_geojson` reads the same out of it."""
    features = [msgspec.json.encode(_feature(sheet, row)) for sheet, row in rows]
    return b'{"type":"FeatureCollection","features":[\n' + b",\n".join(features) + b"\n]}\n"


def _entry(sheet: Sheet, feature: _Feature, where: Where, faults: Faults) -> Entry | None:
    columns = {column.name: column for column in sheet.columns}
    properties = {key: value for key, value in feature.properties.items() if key != "what"}
    outline = None
    if isinstance(feature.geometry, _Point):
        longitude_deg, latitude_deg = feature.geometry.coordinates[:2]
        properties |= {"latitude_deg": latitude_deg, "longitude_deg": longitude_deg}
    elif feature.geometry is not None:
        outline = feature.geometry
        if why := _fault_of(outline) if sheet is AREAS else N_("only an area has an outline; a {kind} is a Point"):
            faults.add(where, why, kind=sheet.kind, most=MAX_POSITIONS)
            return None
    if unknown := properties.keys() - columns.keys():
        names = ", ".join(columns)
        faults.add(where, N_("no property is called {name}; there are: {names}"), name=min(unknown), names=names)
        return None
    missing = {name for name, column in columns.items() if column.is_required} - properties.keys()
    cells = [(columns[name], _cell(properties.get(name))) for name in [*properties, *sorted(missing)]]
    entry = read_row(cells, where, faults, key=sheet.key)
    if entry is None or outline is None:
        return entry
    return Entry(where, entry.row | {"outline": msgspec.to_builtins(outline)})


def _fault_of(outline: _Polygon | _MultiPolygon) -> str | None:
    polygons = outline.coordinates if isinstance(outline, _MultiPolygon) else [outline.coordinates]
    rings = [ring for polygon in polygons for ring in polygon]
    if sum(len(ring) for ring in rings) > MAX_POSITIONS:
        return N_("the outline has more than {most} positions")
    if any(ring[0] != ring[-1] for ring in rings):
        return N_("a ring of the outline does not end where it begins")
    if any(not (abs(at[0]) <= 180 and abs(at[1]) <= 90) for ring in rings for at in ring):  # noqa: PLR2004 - degrees
        return N_("a position of the outline is not [longitude, latitude] in degrees")
    return None


def _cell(value: str | float | None) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            # A coordinate, or an id that was not quoted.
            return plain(value)


def _feature(sheet: Sheet, row: Row) -> dict[str, Any]:
    properties = {"what": sheet.kind} | {column.name: row[column.name] for column in sheet.columns}
    geometry = row.get("outline")
    if geometry is None and row["latitude_deg"] is not None:
        geometry = {"type": "Point", "coordinates": [row["longitude_deg"], row["latitude_deg"]]}
        del properties["latitude_deg"], properties["longitude_deg"]
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {k: v for k, v in properties.items() if v is not None},
    }
