from math import inf

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cloud.errors import UnstorableError
from cloud.influx.lines import RESERVED, encode_lines, field_key, tag_value
from contract.telemetry import Point, Sample, Value
from langyan.servers import Influx
from tests.cloud.rig import T0_US, fetch, fresh, telemetry_of


def encode(*points: Point, site: str = "", device: str = "d1") -> str:
    sample = Sample(device, T0_US, points)
    (line,) = encode_lines([sample], tags={"gateway": "g1", "site": site}, received_at_us=7)
    return line.decode()


@pytest.mark.parametrize(
    ("points", "site", "line"),
    [
        ([Point("t", 21.5, "Cel")], "", "telemetry,device=d1,gateway=g1 t=21.5,received_at=7i 1700000000000000"),
        ([Point("n", 3.0)], "", "telemetry,device=d1,gateway=g1 n=3.0,received_at=7i 1700000000000000"),
        ([Point("on", True)], "", "telemetry,device=d1,gateway=g1 on=true,received_at=7i 1700000000000000"),
        ([Point("on", False)], "", "telemetry,device=d1,gateway=g1 on=false,received_at=7i 1700000000000000"),
        (
            [Point("s", 'a "b" \\ c\nd\0')],
            "",
            'telemetry,device=d1,gateway=g1 s="a \\"b\\" \\\\ c d",received_at=7i 1700000000000000',
        ),
        (
            [Point("t", 1e300)],
            "三中, 东=门\\",
            "telemetry,device=d1,gateway=g1,site=三中\\,\\ 东\\=门 t=1e+300,received_at=7i 1700000000000000",
        ),
        (
            [Point("time", 1.0), Point("device", "x")],
            "",
            'telemetry,device=d1,gateway=g1 time_=1.0,device_="x",received_at=7i 1700000000000000',
        ),
    ],
)
def test_a_line_is_written_so(points: list[Point], site: str, line: str) -> None:
    assert encode(*points, site=site) == line


@pytest.mark.parametrize(
    ("lag_us", "marked"), [(-5, ""), (60_000_000, ""), (60_000_001, "late_s=60.000001"), (90_500_000, "late_s=90.5")]
)
def test_what_came_late_says_how_late(lag_us: int, marked: str) -> None:
    samples = [Sample("d1", T0_US, (Point("t", 1.0),))]
    (line,) = encode_lines(samples, tags={"gateway": "g1"}, received_at_us=T0_US + lag_us)
    fields = line.decode().split(" ")[1].split(",")
    assert fields == ["t=1.0", f"received_at={T0_US + lag_us}i", *([marked] if marked else [])]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", ""),
        ("\\", ""),
        (" \\ \\", ""),
        ("a\\,b", "a/\\,b"),
        ("a\\\\ b", "a\\/\\ b"),
        ("a\nb", "a\\ b"),
        ("a\\b", "a\\b"),
    ],
)
def test_a_tag_never_ends_or_breaks_by_its_backslashes(text: str, written: str) -> None:
    assert tag_value(text) == written


@given(st.sampled_from(sorted(RESERVED)) | st.from_regex(r"[A-Za-z]{1,3}_{0,3}", fullmatch=True), st.integers(0, 3))
def test_no_two_points_meet_in_one_field(name: str, underscores: int) -> None:
    other = name + "_" * underscores
    assume(name != other)
    assert field_key(name) != field_key(other)
    assert field_key(name) not in RESERVED


def test_an_infinite_number_is_named() -> None:
    with pytest.raises(UnstorableError) as caught:
        encode(Point("a", 1.0), Point("b", -inf))
    assert caught.value.index == 0
    assert "'b'" in str(caught.value)


values: st.SearchStrategy[Value] = (
    st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
    | st.booleans()
    | st.text(max_size=40).filter(lambda text: text.isprintable())
)
# A tag keeps everything but line ends and backslashes where they would escape.
sites = st.text(max_size=20).filter(lambda text: text.isprintable() and "\\" not in text and text == text.strip())


@given(st.lists(values, min_size=1, max_size=5), sites)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_influx_reads_back_what_was_written(influx: Influx, found: list[Value], site: str) -> None:
    # A device a try, so that one database serves all; a field a kind, so that no types conflict.
    device = fresh("d")
    points = [Point(f"{type(value).__name__}{index}", value) for index, value in enumerate(found)]
    body = encode(*points, site=site, device=device).encode()
    fetch(f"{influx.url}/query?q=CREATE+DATABASE+roundtrip", body=b"")
    fetch(f"{influx.url}/write?db=roundtrip&precision=u", body=body)
    (row,) = telemetry_of(influx.url, "roundtrip", device)
    assert row["time"] == T0_US
    assert row["received_at"] == 7
    assert (row.get("site") or "") == site
    # JSON writes a whole number without a point.
    assert [type(value)(row[point.key]) for point, value in zip(points, found, strict=True)] == found
