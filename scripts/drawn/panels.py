"""Panels as SVG, each in a box: numbers, tables, lines, states over time, bars and maps."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from scripts.drawn import svg
from scripts.drawn.values import (
    TEXT,
    Look,
    colour_of,
    look_of,
    moment,
    numbers,
    threshold_colour,
    words_of,
)
from tests.cloud.grafana_frames import Field, Frame

Panel = Mapping[str, Any]
_DAYS_MS = 2 * 86_400_000
_ROW, _HEAD = 26.0, 30.0
_WIDEST = 250.0
_LEGEND = 20.0
_AXIS = 58.0


class Box(Struct, frozen=True):
    """Where a panel is drawn, without its title; and what time it looks at."""

    x: float
    y: float
    w: float
    h: float
    from_ms: int
    to_ms: int

    def at(self, at_ms: float, left: float = _AXIS) -> float:
        """Tell where a moment lies."""
        share = (at_ms - self.from_ms) / (self.to_ms - self.from_ms)
        return self.x + left + max(0.0, min(1.0, share)) * (self.w - left - 8)


def draw(panel: Panel, frames: Sequence[Frame], box: Box) -> Iterator[str]:
    """Draw what is inside a panel; a kind that is not known here is named."""
    drawer = _DRAWERS.get(panel["type"])
    if drawer is None:
        yield svg.text(box.x + 10, box.y + 20, f"({panel['type']})", fill=svg.DIM)
    elif not any(field.values for frame in frames for field in frame):
        yield svg.text(box.x + box.w / 2, box.y + box.h / 2, "No data", fill=svg.DIM, anchor="middle")
    else:
        yield from drawer(panel, frames, box)


def _fields(panel: Panel, frames: Sequence[Frame], kinds: Sequence[str]) -> list[tuple[Field, Look]]:
    found = [(field, look_of(panel, field)) for frame in frames for field in frame if field.kind in kinds]
    return [(field, look) for field, look in found if not look.is_hidden]


def _stat(panel: Panel, frames: Sequence[Frame], box: Box) -> Iterator[str]:
    reduce = panel.get("options", {}).get("reduceOptions", {})
    kinds = ("time",) if "Time" in str(reduce.get("fields")) else ("number",)
    found = _fields(panel, frames, kinds) or _fields(panel, frames, ("string", "boolean"))
    room = max(1, int(box.h // 44)) * max(1, int(box.w // 150))
    shown = found[: room if len(found) > 1 else 1]
    columns = max(1, min(len(shown), int(box.w // 150)))
    rows = -(-len(shown) // columns)
    w, h = box.w / columns, box.h / max(1, rows)
    for index, (field, look) in enumerate(shown):
        values = [value for value in field.values if value is not None]
        value = values[-1] if values else None
        x, y = box.x + index % columns * w, box.y + index // columns * h
        ground = colour_of(value, look, index)
        is_plain = panel.get("options", {}).get("colorMode") in {"none", "value"} or len(shown) > 1
        if not is_plain:
            yield svg.box(x + 1, y, w - 2, h - 1, ground)
        fill = (TEXT if ground == "" else ground) if is_plain else svg.readable_on(ground)
        unit_look = Look({**look.settings, "unit": look.settings.get("unit") or ""})
        words = words_of(value, unit_look, box.to_ms) or str(look.settings.get("noValue") or "")
        size = max(13.0, min(34.0, h * 0.42, (w - 16) / (1.2 * max(1.0, svg.width_of(words)))))
        yield svg.text(x + w / 2, y + h / 2 + size * 0.35, words, size=size, fill=fill, anchor="middle", bold=True)
        if len(shown) > 1:
            name = look.name or field.shown
            yield svg.text(x + w / 2, y + 13, name, size=11, fill=svg.DIM, anchor="middle", room=w - 8)


def _table(panel: Panel, frames: Sequence[Frame], box: Box) -> Iterator[str]:
    columns = [(field, look_of(panel, field)) for field in _sorted(panel, frames[0])]
    columns = [(field, look) for field, look in columns if not look.is_hidden]
    rows = int((box.h - _HEAD) // _ROW)
    cells = [
        [words_of(value, _timed(field, look), box.to_ms) for value in field.values[:rows]] for field, look in columns
    ]
    heads = [look.name or field.shown for field, look in columns]
    widest = [max(map(svg.width_of, (head, *column))) for head, column in zip(heads, cells, strict=True)]
    wanted = [min(_WIDEST, one * 12 + 18) for one in widest]
    stretch = box.w / sum(wanted)
    x = box.x
    for (field, look), head, natural in zip(columns, heads, wanted, strict=True):
        width = natural * stretch
        yield svg.text(x + 8, box.y + 18, head, fill="#6e9fff", bold=True, room=width - 10)
        for index, value in enumerate(field.values[:rows]):
            place = x, box.y + _HEAD + index * _ROW, width
            yield from _cell(value, _timed(field, look), place, box.to_ms)
        x += width
    for index in range(min(rows, len(frames[0][0].values)) + 1):
        y = box.y + _HEAD + index * _ROW
        yield svg.path([(box.x, y), (box.x + box.w, y)], "#2a2c33", width=0.8)


def _timed(field: Field, look: Look) -> Look:
    return Look({"unit": "dateTimeAsIso", **look.settings}) if field.kind == "time" else look


def _sorted(panel: Panel, frame: Frame) -> Frame:
    order = list(range(len(frame[0].values)))
    for one in reversed(panel.get("options", {}).get("sortBy") or ()):
        by = next((field for field in frame if field.shown == one["displayName"]), None)
        if by is not None:
            keys = [_sortable(value) for value in by.values]
            order.sort(key=keys.__getitem__, reverse=bool(one.get("desc")))
    return [structs.replace(field, values=[field.values[row] for row in order]) for field in frame]


def _sortable(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return value is not None, float(value) if is_number else 0.0, "" if is_number else str(value)


def _cell(value: Any, look: Look, place: tuple[float, float, float], now_ms: int) -> Iterator[str]:
    x, y, width = place
    words = words_of(value, look, now_ms)
    fill = TEXT
    if look.cell == "color-background" and words:
        ground = colour_of(value, look)
        if ground != "transparent":
            yield svg.box(x + 1, y + 1, width - 2, _ROW - 2, ground)
            fill = svg.readable_on(ground)
    elif look.cell == "color-text":
        fill = colour_of(value, look)
        fill = TEXT if fill == "transparent" else fill
    elif look.cell == "gauge" and isinstance(value, int | float):
        most = float(look.settings.get("max") or 1)
        share = max(0.0, min(1.0, float(value) / most))
        yield svg.box(x + 6, y + 6, (width - 70) * share, _ROW - 12, colour_of(value, look))
        yield svg.text(x + width - 6, y + 17, words, anchor="end", size=11.5, room=width - 8)
        return
    if look.settings.get("links") and look.cell == "auto":
        fill = "#6e9fff"
    yield svg.text(x + 8, y + 17, words, fill=fill, size=11.5, room=width - 10)


def _lines(panel: Panel, frames: Sequence[Frame], box: Box) -> Iterator[str]:
    found = [(frame[0], field, look_of(panel, field)) for frame in frames for field in frame if field.kind == "number"]
    found = [(times, field, look) for times, field, look in found if not look.is_hidden][:12]
    every = [value for _, field, _ in found for value in numbers(field.values)]
    if not every:
        yield svg.text(box.x + box.w / 2, box.y + box.h / 2, "No data", fill=svg.DIM, anchor="middle")
        return
    settings = look_of(panel, found[0][1]).settings
    limits = [settings.get("min"), settings.get("max")]
    low = min(every) if limits[0] is None else float(limits[0])
    high = max(every) if limits[1] is None else max(float(limits[1]), *every)
    low, high = (low - 1, high + 1) if low == high else (low, high)
    base, top = box.y + box.h - _LEGEND - 20, box.y + 8

    def height(value: float) -> float:
        return base - (value - low) / (high - low) * (base - top)

    yield from _axes(box, (low, high), (base, top), found[0][2])
    for index, (times, field, look) in enumerate(found):
        stroke = colour_of(None, look, index)
        pairs = zip(times.values, field.values, strict=True)
        points = [(box.at(at_ms), height(value)) for at_ms, value in pairs if isinstance(value, int | float)]
        yield svg.area(points, base, stroke, float(look.settings.get("custom.fillOpacity") or 0) / 100)
        yield svg.path(points, stroke)
    named = ((look.name or field.shown, look) for _, field, look in found)
    yield from _legend([(name, colour_of(None, look, index)) for index, (name, look) in enumerate(named)], box)


def _axes(box: Box, span: tuple[float, float], rise: tuple[float, float], look: Look) -> Iterator[str]:
    (low, high), (base, top) = span, rise
    for step in range(5):
        y = base - step / 4 * (base - top)
        yield svg.path([(box.x + _AXIS, y), (box.x + box.w - 8, y)], "#2a2c33", width=0.8)
        words = words_of(low + step / 4 * (high - low), look, box.to_ms)
        yield svg.text(box.x + _AXIS - 6, y + 4, words, size=10.5, fill=svg.DIM, anchor="end", room=_AXIS - 8)
    yield from _times(box, base + 14)


def _times(box: Box, y: float, left: float = _AXIS) -> Iterator[str]:
    count = max(2, int(box.w // 130))
    for step in range(count):
        at_ms = box.from_ms + (step + 0.5) / count * (box.to_ms - box.from_ms)
        words = moment(at_ms, with_day=box.to_ms - box.from_ms > _DAYS_MS)
        yield svg.text(box.at(at_ms, left), y, words, size=10.5, fill=svg.DIM, anchor="middle")


def _legend(names: Sequence[tuple[str, str]], box: Box) -> Iterator[str]:
    x, y = box.x + 10, box.y + box.h - 6
    for name, colour in names:
        width = 24 + svg.width_of(name) * 11
        if x + min(width, 220) > box.x + box.w - 20:
            yield svg.text(x, y, "…", size=11, fill=svg.DIM)
            return
        yield svg.box(x, y - 7, 12, 3, colour)
        yield svg.text(x + 16, y, name, size=11, room=204)
        x += min(width, 220)


def _timeline(panel: Panel, frames: Sequence[Frame], box: Box) -> Iterator[str]:
    rows = [(frame[0], field, look_of(panel, field)) for frame in frames for field in frame[1:] if field.kind]
    rows = [one for one in rows if not one[2].is_hidden][: int((box.h - 24) // 18)]
    left = min(220.0, 16 + max((svg.width_of(look.name or field.shown) for _, field, look in rows), default=4) * 11.5)
    h = min(60.0, (box.h - 24) / max(1, len(rows)))
    for index, (times, field, look) in enumerate(rows):
        y = box.y + index * h
        yield svg.text(
            box.x + left - 6, y + h / 2 + 4, look.name or field.shown, size=11.5, anchor="end", room=left - 10
        )
        gap_ms = float(look.settings.get("custom.insertNulls") or math.inf)
        for begins, ends, value in _stretches(times.values, field.values, box.to_ms, gap_ms):
            x, until = box.at(begins, left), box.at(ends, left)
            ground = colour_of(value, look) if look.settings.get("mappings") else threshold_colour(value, look)
            yield svg.box(x, y + 2, max(1.0, until - x), h - 4, ground or "#8e8e8e", rx=0)
            words = words_of(value, look, box.to_ms)
            if until - x > svg.width_of(words) * 11 + 6:
                yield svg.text(
                    (x + until) / 2, y + h / 2 + 4, words, size=11, fill=svg.readable_on(ground), anchor="middle"
                )
    yield from _times(box, box.y + box.h - 6, left)


def _stretches(
    times: Sequence[float], values: Sequence[Any], to_ms: int, gap_ms: float
) -> Iterator[tuple[float, float, Any]]:
    """Join what is the same; a value holds until the next one, but no longer than a gap."""
    pairs = [(at, value) for at, value in zip(times, values, strict=True) if value is not None]
    begins: float | None = None
    for (at, value), (following, other) in zip(pairs, [*pairs[1:], (to_ms, None)], strict=True):
        begins = at if begins is None else begins
        if other != value or following - at > gap_ms:
            yield begins, min(following, at + gap_ms), value
            begins = None


def _bars(panel: Panel, frames: Sequence[Frame], box: Box) -> Iterator[str]:
    rows: list[tuple[str, float, Look]] = []
    is_by_row = bool(panel.get("options", {}).get("reduceOptions", {}).get("values"))
    names = next((field.values for frame in frames for field in frame if field.kind == "string"), ())
    for field, look in _fields(panel, frames, ("number",)):
        values = numbers(field.values)
        if is_by_row:
            rows += [(str(name), value, look) for name, value in zip(names, values, strict=False)]
        elif values:
            rows.append((look.name or field.shown, values[-1], look))
    rows = rows[: int(box.h // 24)]
    most = max((float(look.settings.get("max") or 0) or value for _, value, look in rows), default=1.0) or 1.0
    left = min(box.w * 0.45, 14 + max((svg.width_of(name) for name, _, _ in rows), default=4) * 11.5)
    h = min(40.0, box.h / max(1, len(rows)))
    for index, (name, value, look) in enumerate(rows):
        y = box.y + index * h
        yield svg.text(box.x + left - 6, y + h / 2 + 4, name, size=11.5, anchor="end", room=left - 8)
        yield svg.box(box.x + left, y + 4, box.w - left - 74, h - 8, "#22252b")
        yield svg.box(box.x + left, y + 4, (box.w - left - 74) * min(1.0, value / most), h - 8, colour_of(value, look))
        yield svg.text(box.x + box.w - 66, y + h / 2 + 4, words_of(value, look, box.to_ms), size=12, bold=True)


def _map(panel: Panel, frames: Sequence[Frame], box: Box) -> Iterator[str]:
    layer = panel["options"]["layers"][0]
    by_name = {field.shown: field for frame in frames for field in frame}
    style = layer["config"]["style"]
    colour, label = by_name[style["color"]["field"]], by_name.get((style.get("text") or {}).get("field") or "")
    places = [
        (lat, lon, index)
        for index, (lat, lon) in enumerate(zip(by_name["latitude"].values, by_name["longitude"].values, strict=True))
        if lat is not None and lon is not None
    ]
    lats, lons = [lat for lat, _, _ in places], [lon for _, lon, _ in places]
    span = max(max(lats) - min(lats), max(lons) - min(lons), 0.02) * 1.25
    middle_lat, middle_lon = (max(lats) + min(lats)) / 2, (max(lons) + min(lons)) / 2
    yield svg.box(box.x + 4, box.y, box.w - 8, box.h - 4, "#20242c")
    for step in range(1, 6):
        across, down = box.x + 4 + step / 6 * (box.w - 8), box.y + step / 6 * (box.h - 4)
        yield svg.path([(across, box.y), (across, box.y + box.h - 4)], "#2d323c", width=0.8)
        yield svg.path([(box.x + 4, down), (box.x + box.w - 4, down)], "#2d323c", width=0.8)
    look = look_of(panel, colour)
    for lat, lon, index in places:
        x = box.x + box.w / 2 + (lon - middle_lon) / span * (box.w - 60)
        y = box.y + box.h / 2 - (lat - middle_lat) / span * (box.h - 60)
        yield svg.dot(x, y, 8, colour_of(colour.values[index], look))
        if label is not None:
            words = words_of(label.values[index], look_of(panel, label), box.to_ms)
            yield svg.text(x, y + 22, words, size=11, anchor="middle")


_DRAWERS: dict[str, Callable[[Panel, Sequence[Frame], Box], Iterator[str]]] = {
    "stat": _stat,
    "table": _table,
    "timeseries": _lines,
    "state-timeline": _timeline,
    "bargauge": _bars,
    "gauge": _bars,
    "geomap": _map,
}
