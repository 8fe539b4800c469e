"""Where a vehicle was: read page by page, thinned, written as GPX 1.1 and GeoJSON."""

import json
import re
from datetime import datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from cloud.geo import Spot, destination, distance_m
from cloud.influx.query import Series
from cloud.vehicles.errors import TrackSpanError
from cloud.vehicles.track_files import GAP_US, OWN_NAMESPACE, GeoJsonWriter, GpxWriter, rfc3339
from cloud.vehicles.tracks import Stop, TrackPoint, check_span, find_stops, read_track, thin
from tests.cloud.rig import T0_US

S_US = 1_000_000
HOME = Spot(31.3, 120.6)
GPX = "{http://www.topografix.com/GPX/1/1}"


def at(at_s: float, east_m: float, north_m: float = 0.0) -> TrackPoint:
    spot = destination(destination(HOME, 90, east_m), 0, north_m)
    return TrackPoint(T0_US + round(at_s * S_US), spot.latitude_deg, spot.longitude_deg)


class FakeReader:
    """Answers as InfluxDB does, out of a list of rows."""

    def __init__(self, rows: list[list[object]]) -> None:
        self.rows, self.asked = rows, list[str]()
        self.columns = ("time", "latitude", "longitude", "vehicle_speed", "course", "altitude", "fix")

    async def query(self, influxql: str) -> list[Series]:
        self.asked.append(influxql)
        found = re.search(r"time >= (\d+)u AND time < (\d+)u ORDER BY time LIMIT (\d+)$", influxql)
        assert found
        from_us, until_us, limit = (int(word) for word in found.groups())
        rows = [row for row in self.rows if from_us <= int(str(row[0])) < until_us][:limit]
        return [Series("telemetry", {}, self.columns, rows)] if rows else []


@pytest.mark.anyio
async def test_a_track_is_read_page_by_page_and_nothing_is_lost_between() -> None:
    rows: list[list[object]] = [[T0_US + n, 31.0 + n / 1e6, 121, 30.5, None, 4, n % 2 == 0] for n in range(25)]
    rows[7][1] = None
    rows[8][2] = 999.0
    reader = FakeReader(rows)
    pages = [page async for page in read_track(reader, "g'1", "t-1", from_us=T0_US, until_us=T0_US + 20, page=5)]
    points = [point for page in pages for point in page]
    assert [point.at_us - T0_US for point in points] == [n for n in range(20) if n not in (7, 8)]
    assert points[1] == TrackPoint(T0_US + 1, 31.000001, 121.0, 30.5, None, 4.0, is_fixed=False)
    assert max(len(page) for page in pages) == 5
    assert "gateway = 'g\\'1' AND device = 't-1'" in reader.asked[0]
    assert len(reader.asked) == 5
    assert [page async for page in read_track(reader, "g", "t", from_us=0, until_us=T0_US)] == []


def test_spans_that_are_none() -> None:
    check_span(0, 86_400 * S_US, span_days=1)
    for bad in ((5, 5), (6, 5), (0, 86_400 * S_US + 1)):
        with pytest.raises(TrackSpanError):
            check_span(*bad, span_days=1)


def test_stops_are_found() -> None:
    drive = [at(30 * n, 400 * n) for n in range(4)]
    stay = [at(120 + 30 * n, 1_600 + n % 3) for n in range(10)]
    away = [at(420 + 30 * n, 2_000 + 400 * n) for n in range(3)]
    assert find_stops([*drive, *stay, *away]) == [Stop(4, 13)]
    assert find_stops([*drive, *stay]) == [Stop(4, 13)]
    assert find_stops([*drive, *stay[:5], *away]) == []
    assert find_stops([]) == []


def test_a_thinned_track_keeps_its_ends_its_stops_and_its_corners() -> None:
    east = [at(10 * n, 100 * n) for n in range(50)]
    stay = [at(500 + 10 * n, 5_000) for n in range(60)]
    north = [at(1_100 + 10 * n, 5_000, 100 * n) for n in range(1, 50)]
    way = [*east, *stay, *north]
    kept = thin(way, most=10, tolerance_m=5)
    assert kept == [0, 50, 109, 158]
    assert thin(way, most=2) == [0, 158]
    assert thin(way[:1], most=5) == [0]
    assert thin([], most=5) == []


@how(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-300, 300), st.floats(-300, 300)), min_size=1, max_size=80), st.integers(2, 40))
def test_a_thinned_track_has_at_most_so_many_points(steps: list[tuple[float, float]], most: int) -> None:
    east_m = north_m = 0.0
    way = []
    for n, (east, north) in enumerate(steps):
        east_m, north_m = east_m + east, north_m + north
        way.append(at(30 * n, east_m, north_m))
    kept = thin(way, most=most)
    assert kept == sorted(set(kept))
    assert {0, len(way) - 1} <= set(kept)
    assert len(kept) <= most


HARD = [
    TrackPoint(T0_US, 31.123456789012345, 120.1, 36.0, 359.5, -3.25, is_fixed=True),
    TrackPoint(T0_US + 1_500_001, -1e-7, 180.0, None, None, None, is_fixed=False),
    TrackPoint(T0_US + GAP_US + 1_500_002, 90.0, -180.0, 0.0, 0.0, 1e-7),
]
NAME = "苏E·12345 <一号&校车>\x00\ud800"


def gpx(points: list[TrackPoint], name: str = NAME) -> bytes:
    writer = GpxWriter()
    pages = [writer.write([point]) for point in points]
    return b"".join([writer.begin(name, made_at_us=T0_US), *pages, writer.end()])


def test_gpx_is_what_its_schema_asks_for() -> None:
    root = ET.fromstring(gpx(HARD))  # noqa: S314 - our own
    assert (root.tag, root.attrib["version"], root.attrib["creator"]) == (f"{GPX}gpx", "1.1", "Langyan")
    assert [child.tag for child in root] == [f"{GPX}metadata", f"{GPX}trk"]
    assert [child.tag for child in root[0]] == [f"{GPX}name", f"{GPX}time"]
    assert root[1][0].text == "苏E·12345 <一号&校车>\ufffd\ufffd"
    segments = root[1].findall(f"{GPX}trkseg")
    assert [len(segment) for segment in segments] == [2, 1]
    order = [f"{GPX}{name}" for name in ("ele", "time", "fix", "extensions")]
    for point in root.iter(f"{GPX}trkpt"):
        tags = [child.tag for child in point]
        assert tags == sorted(set(tags), key=order.index)
        for number in (point.attrib["lat"], point.attrib["lon"], *[one.text or "" for one in point.iter(f"{GPX}ele")]):
            assert re.fullmatch(r"[+-]?\d+(\.\d+)?", number), "xsd:decimal has no exponent"
        assert -90 <= float(point.attrib["lat"]) <= 90
        assert -180 <= float(point.attrib["lon"]) < 180
        fix = point.find(f"{GPX}fix")
        assert fix is None or fix.text in {"none", "2d", "3d", "dgps", "pps"}
        more = point.find(f"{GPX}extensions")
        assert more is None or {child.tag for child in more} <= {
            f"{{{OWN_NAMESPACE}}}speed_kmh", f"{{{OWN_NAMESPACE}}}course_deg",
        }  # fmt: skip


def test_gpx_is_exact() -> None:
    points = list(ET.fromstring(gpx(HARD)).iter(f"{GPX}trkpt"))  # noqa: S314 - our own
    assert [float(point.attrib["lat"]) for point in points] == [point.latitude_deg for point in HARD]
    assert [float(point.attrib["lon"]) for point in points] == [120.1, -180.0, -180.0]
    times = [datetime.fromisoformat(point.findtext(f"{GPX}time") or "").timestamp() for point in points]
    assert [round(time * 1e6) for time in times] == [point.at_us for point in HARD]
    assert [point.findtext(f"{GPX}ele") for point in points] == ["-3.25", None, "0.0000001"]


def test_a_track_without_points_is_a_file_all_the_same() -> None:
    root = ET.fromstring(gpx([]))  # noqa: S314 - our own
    assert list(root.iter(f"{GPX}trkpt")) == []
    writer = GeoJsonWriter()
    assert json.loads(writer.begin("", made_at_us=T0_US) + writer.write([]) + writer.end())["features"] == []


@given(
    st.lists(
        st.builds(
            TrackPoint,
            at_us=st.integers(T0_US, T0_US + 10**12),
            latitude_deg=st.floats(-90, 90),
            longitude_deg=st.floats(-180, 180),
            speed_kmh=st.none() | st.floats(0, 300),
            altitude_m=st.none() | st.floats(-500, 9_000),
        ),
        max_size=6,
    ),
    st.text(max_size=20),
)
def test_both_files_say_every_point_as_it_is(points: list[TrackPoint], name: str) -> None:
    writer = GeoJsonWriter()
    pages = [writer.write(points[:2]), writer.write(points[2:])]
    found = json.loads(
        b"".join([writer.begin(name.encode("utf-8", "replace").decode(), made_at_us=T0_US), *pages, writer.end()])
    )
    assert found["type"] == "FeatureCollection"
    assert "crs" not in found
    for feature, point in zip(found["features"], points, strict=True):
        assert set(feature) == {"type", "geometry", "properties"}
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "Point"
        assert feature["geometry"]["coordinates"][:2] == [point.longitude_deg, point.latitude_deg]
        assert len(feature["geometry"]["coordinates"]) == (2 if point.altitude_m is None else 3)
        assert feature["properties"]["at"] == rfc3339(point.at_us)
    read = list(ET.fromstring(gpx(points, name)).iter(f"{GPX}trkpt"))  # noqa: S314 - our own
    for one, point in zip(read, points, strict=True):
        there = Spot(float(one.attrib["lat"]), float(one.attrib["lon"]))
        assert there.latitude_deg == pytest.approx(point.latitude_deg, abs=1e-19)
        assert distance_m(there, point.spot) < 1e-3
