"""Tracks as files, piece by piece: GPX 1.1 and GeoJSON (RFC 7946). Pure."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from xml.sax.saxutils import escape

import msgspec

from cloud.vehicles.tracks import TrackPoint

GPX_TYPE, GEOJSON_TYPE = "application/gpx+xml", "application/geo+json"
OWN_NAMESPACE = "urn:langyan:gpx:1"
"""Of speed and course, for which GPX 1.1 has no element."""
# A vehicle that is not heard for so long is somewhere else when it comes back: no line joins the two.
GAP_US = 1_800_000_000
_XML_FORBIDDEN = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(0x20), 0xFFFE, 0xFFFF) if code not in (9, 10, 13)
}
_XML_FORBIDDEN |= dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")


class GpxWriter:
    """Writes one track; `begin`, then `write` for each page, then `end`.

    Source: GPX 1.1 Schema, topografix.com/GPX/1/1 (order of elements; longitudes below 180).
    """

    media_type = GPX_TYPE

    def __init__(self) -> None:
        self._last_us: int | None = None

    def begin(self, name: str, *, made_at_us: int) -> bytes:
        """Write what comes before the points."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<gpx version="1.1" creator="Langyan" xmlns="http://www.topografix.com/GPX/1/1"'
            f' xmlns:langyan="{OWN_NAMESPACE}">\n'
            f"<metadata><name>{_xml(name)}</name><time>{rfc3339(made_at_us)}</time></metadata>\n"
            f"<trk><name>{_xml(name)}</name>\n"
        ).encode()

    def write(self, points: Iterable[TrackPoint]) -> bytes:
        """Write a page of points, by time."""
        return "".join(self._pieces(points)).encode()

    def end(self) -> bytes:
        """Write what comes after them."""
        return (b"" if self._last_us is None else b"</trkseg>\n") + b"</trk>\n</gpx>\n"

    def _pieces(self, points: Iterable[TrackPoint]) -> Iterator[str]:
        for point in points:
            if self._last_us is None:
                yield "<trkseg>\n"
            elif point.at_us - self._last_us > GAP_US:
                yield "</trkseg>\n<trkseg>\n"
            self._last_us = point.at_us
            yield _trkpt(point)


class GeoJsonWriter:
    """Writes a FeatureCollection with a Point a report, so that no time is lost and no line crosses 180 degrees."""

    media_type = GEOJSON_TYPE

    def __init__(self) -> None:
        self._is_first = True

    def begin(self, name: str, *, made_at_us: int) -> bytes:
        """Write what comes before the points; `name` and `made_at` are foreign members, as RFC 7946, 6.1 allows."""
        told = msgspec.json.encode({"type": "FeatureCollection", "name": name, "made_at": rfc3339(made_at_us)})
        return told[:-1] + b',"features":['

    def write(self, points: Iterable[TrackPoint]) -> bytes:
        """Write a page of points, a line each."""
        pieces = []
        for point in points:
            pieces.append(b"\n" if self._is_first else b",\n")
            self._is_first = False
            pieces.append(msgspec.json.encode(_feature(point)))
        return b"".join(pieces)

    def end(self) -> bytes:
        """Write what comes after them."""
        return b"\n]}\n"


def rfc3339(at_us: int) -> str:
    """Write a time as xsd:dateTime and RFC 3339 have it, UTC, to the microsecond where there is one."""
    seconds, rest_us = divmod(at_us, 1_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest_us:06}Z" if rest_us else f"{whole}Z"


def _trkpt(point: TrackPoint) -> str:
    # In GPX a longitude is below 180.
    longitude_deg = -180.0 if point.longitude_deg == 180.0 else point.longitude_deg  # noqa: PLR2004 - the same meridian
    parts = [f'<trkpt lat="{_decimal(point.latitude_deg)}" lon="{_decimal(longitude_deg)}">']
    if point.altitude_m is not None:
        parts.append(f"<ele>{_decimal(point.altitude_m)}</ele>")
    parts.append(f"<time>{rfc3339(point.at_us)}</time>")
    if point.is_fixed is False:
        parts.append("<fix>none</fix>")
    more = [
        f"<langyan:{name}>{_decimal(value)}</langyan:{name}>"
        for name, value in (("speed_kmh", point.speed_kmh), ("course_deg", point.course_deg))
        if value is not None
    ]
    if more:
        parts.append(f"<extensions>{''.join(more)}</extensions>")
    return "".join([*parts, "</trkpt>\n"])


def _decimal(number: float) -> str:
    """Write a number as xsd:decimal has it: without an exponent, and exact."""
    text = repr(number)
    if "e" not in text:
        return text.removesuffix(".0")
    return f"{number:.20f}".rstrip("0").rstrip(".")


def _xml(text: str) -> str:
    return escape(text.translate(_XML_FORBIDDEN))


def _feature(point: TrackPoint) -> dict[str, object]:
    place = [point.longitude_deg, point.latitude_deg]
    told = {
        "at": rfc3339(point.at_us),
        "speed_kmh": point.speed_kmh,
        "course_deg": point.course_deg,
        "is_fixed": point.is_fixed,
    }
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": place if point.altitude_m is None else [*place, point.altitude_m]},
        "properties": {key: value for key, value in told.items() if value is not None},
    }
