"""Places on the ground: distances, directions, outlines, lines made simpler."""

import json
from itertools import pairwise
from math import cos, hypot, radians

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cloud.errors import GeoError
from cloud.geo import (
    EARTH_RADIUS_M,
    Spot,
    bearing_deg,
    check_outline,
    crossing,
    destination,
    distance_m,
    is_inside,
    parse_outline,
    simplify,
    wrapped,
)

BEIJING, SHANGHAI = Spot(39.9042, 116.4074), Spot(31.2304, 121.4737)
spots = st.builds(Spot, st.floats(-89, 89), st.floats(-180, 180))
SQUARE = (Spot(30, 110), Spot(30, 111), Spot(31, 111), Spot(31, 110))
# Over the longitude of 180 degrees.
FIJI = (Spot(-17, 179), Spot(-17, -179), Spot(-16, -179), Spot(-16, 179))


def apart_deg(a: float, b: float) -> float:
    return abs((a - b + 180) % 360 - 180)


def test_distances_that_are_known() -> None:
    assert distance_m(Spot(0, 0), Spot(0, 1)) == pytest.approx(111_195.08, abs=0.1)
    assert distance_m(Spot(90, 0), Spot(-90, 77)) == pytest.approx(20_015_114.4, abs=1)
    assert distance_m(BEIJING, SHANGHAI) == pytest.approx(1_067_310, rel=1e-3)
    # Williams, Aviation Formulary: LAX to JFK is 2144 nautical miles, leaving at 66 degrees.
    lax, jfk = Spot(33 + 57 / 60, -(118 + 24 / 60)), Spot(40 + 38 / 60, -(73 + 47 / 60))
    assert distance_m(lax, jfk) / EARTH_RADIUS_M * 180 / 3.141592653589793 * 60 == pytest.approx(2143.7, abs=0.5)
    assert bearing_deg(lax, jfk) == pytest.approx(65.9, abs=0.1)


def test_directions_and_poles_and_the_date_line() -> None:
    here = Spot(10, 20)
    assert [bearing_deg(here, there) for there in (Spot(11, 20), Spot(9, 20), here)] == [0, 180, 0]
    assert bearing_deg(Spot(0, 0), Spot(0, 1)) == 90
    assert bearing_deg(Spot(0, 0), Spot(0, -1)) == 270
    assert bearing_deg(Spot(0, 179.5), Spot(0, -179.5)) == 90
    assert distance_m(Spot(0, 179.5), Spot(0, -179.5)) == pytest.approx(111_195, abs=1)
    assert distance_m(Spot(5, 180), Spot(5, -180)) == pytest.approx(0, abs=1e-6)
    assert distance_m(Spot(90, 12), Spot(90, -100)) == pytest.approx(0, abs=1e-6)
    assert bearing_deg(Spot(50, 7), Spot(90, 123)) == pytest.approx(0, abs=1e-9)
    assert wrapped(180) == -180
    over = destination(Spot(89.5, 0), 0, distance_m(Spot(89.5, 0), Spot(90, 0)) * 2)
    assert over.latitude_deg == pytest.approx(89.5, abs=1e-6)
    assert apart_deg(over.longitude_deg, 180) < 1e-3
    assert destination(Spot(0, 179.9), 90, 50_000).longitude_deg < -179


@given(a=spots, b=spots)
def test_the_way_there_is_as_long_as_the_way_back(a: Spot, b: Spot) -> None:
    assert distance_m(a, b) == pytest.approx(distance_m(b, a), abs=1e-6)
    assert 0 <= distance_m(a, b) <= EARTH_RADIUS_M * 3.15
    assert 0 <= bearing_deg(a, b) < 360


@given(a=spots, towards=st.floats(0, 359.99), far_m=st.floats(1, 1e6))
def test_who_goes_somewhere_is_so_far_away_in_that_direction(a: Spot, towards: float, far_m: float) -> None:
    there = destination(a, towards, far_m)
    assert there.is_sound
    assert distance_m(a, there) == pytest.approx(far_m, rel=1e-6, abs=1e-3)
    if far_m > 100 and abs(there.latitude_deg) < 89.9:
        assert apart_deg(bearing_deg(a, there), towards) < 1e-2
        assert distance_m(destination(there, bearing_deg(there, a), far_m), a) < 1


@given(
    fire=st.builds(Spot, st.floats(-70, 70), st.floats(-180, 180)),
    a=st.tuples(st.floats(0, 360), st.floats(200, 30_000)),
    turn=st.floats(10, 170),
    b_m=st.floats(200, 30_000),
)
def test_two_towers_that_look_at_a_fire_find_it(fire: Spot, a: tuple[float, float], turn: float, b_m: float) -> None:
    one, other = destination(fire, *a), destination(fire, a[0] + turn, b_m)
    to_one, to_other = bearing_deg(one, fire), bearing_deg(other, fire)
    found = crossing(one, to_one, other, to_other)
    assert found is not None
    assert distance_m(found, fire) < 1
    assert crossing(one, to_one + 180, other, to_other) is None
    assert crossing(one, to_one, other, to_other + 180) is None


def test_lines_that_do_not_cross() -> None:
    a, b = Spot(30, 110), Spot(30, 110.1)
    assert crossing(a, 0, b, 0) is None or distance_m(a, crossing(a, 0, b, 0) or a) > 1e6
    assert crossing(a, 350, b, 10) is None
    assert crossing(a, bearing_deg(a, b), b, 45) is None
    assert crossing(a, 45, a, 90) is None
    east, west = Spot(10, 179.95), Spot(10, -179.95)
    met = crossing(east, 45, west, 315)
    assert met is not None
    assert apart_deg(met.longitude_deg, 180) < 1e-6


def test_inside_and_outside() -> None:
    assert is_inside(Spot(30.5, 110.5), SQUARE)
    assert not is_inside(Spot(30.5, 111.5), SQUARE)
    assert not is_inside(Spot(30.5, -110.5), SQUARE)
    assert is_inside(Spot(30, 110.5), SQUARE)
    assert is_inside(Spot(30, 110), SQUARE)
    assert not is_inside(Spot(30, 111.000001), SQUARE)
    for longitude_deg in (179.5, 180.0, -180.0, -179.5):
        assert is_inside(Spot(-16.5, longitude_deg), FIJI)
    assert not is_inside(Spot(-16.5, 178.9), FIJI)
    assert not is_inside(Spot(-16.5, 0), FIJI)
    bow_tie = (Spot(0, 0), Spot(2, 2), Spot(2, 0), Spot(0, 2))
    assert is_inside(Spot(1.9, 1), bow_tie)
    assert not is_inside(Spot(1, 0.1), bow_tie)
    pole = tuple(Spot(80, longitude_deg) for longitude_deg in range(-180, 180, 30))
    assert not is_inside(Spot(85, 0), pole)


def test_an_outline_wider_than_half_the_world() -> None:
    belt = [Spot(-5, x) for x in range(-170, 171, 20)] + [Spot(5, x) for x in range(170, -171, -20)]
    assert all(is_inside(Spot(0, x), belt) for x in (-169, -100, 0, 100, 169))
    assert not is_inside(Spot(0, 179), belt)


@given(at=st.tuples(st.floats(-1, 2), st.floats(-1, 2)), shift=st.floats(-180, 180), begin=st.integers(0, 3))
def test_an_outline_is_the_same_wherever_it_lies(at: tuple[float, float], shift: float, begin: int) -> None:
    corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)]
    corners = corners[begin:] + corners[:begin]
    away = min(abs(one - edge) for one in at for edge in (0, 1))
    assume(away > 1e-9)
    outline = [Spot(y, wrapped(x + shift)) for y, x in corners]
    is_in = 0 < at[0] < 1 and 0 < at[1] < 1
    assert is_inside(Spot(at[0], wrapped(at[1] + shift)), outline) == is_in
    assert is_inside(Spot(at[0], wrapped(at[1] + shift)), outline[::-1]) == is_in


steps = st.lists(st.tuples(st.floats(-0.01, 0.01), st.floats(-0.01, 0.01)), min_size=1, max_size=60)


@settings(max_examples=60)
@given(steps=steps, tolerance_m=st.floats(0, 500), begin=st.sampled_from([Spot(30, 110), Spot(-10, 179.99)]))
def test_what_is_left_out_is_near_what_stays(steps: list[tuple[float, float]], tolerance_m: float, begin: Spot) -> None:
    way = [begin]
    for north, east in steps:
        way.append(Spot(way[-1].latitude_deg + north, wrapped(way[-1].longitude_deg + east)))
    kept = simplify(way, tolerance_m)
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, len(way) - 1)
    for first, last in pairwise(kept):
        for i in range(first + 1, last):
            assert off_m(way[i], way[first], way[last]) <= tolerance_m * 1.01 + 0.01
    assert set(simplify(way, tolerance_m * 2 + 1)) <= set(range(len(way)))


def off_m(spot: Spot, a: Spot, b: Spot) -> float:
    """Measure it in small steps, by another way than the code's own."""
    steps = [k / 200 for k in range(201)]
    east = (b.longitude_deg - a.longitude_deg + 180) % 360 - 180
    here = (spot.longitude_deg - a.longitude_deg + 180) % 360 - 180
    scale = cos(radians(a.latitude_deg))
    line = [(share * (b.latitude_deg - a.latitude_deg), share * east) for share in steps]
    north = spot.latitude_deg - a.latitude_deg
    near = min(hypot(north - y, (here - x) * scale) for y, x in line)
    step = hypot(b.latitude_deg - a.latitude_deg, east * scale) / 200
    return max(0.0, near - step) * radians(1) * EARTH_RADIUS_M


def test_simplify_small_things() -> None:
    assert simplify([], 1) == []
    assert simplify([BEIJING], 1) == [0]
    assert simplify([BEIJING, BEIJING, BEIJING], 0) == [0, 2]
    corner = [Spot(30, 110), Spot(30, 110.001), Spot(30, 110.002), Spot(30.001, 110.002)]
    assert simplify(corner, 1) == [0, 2, 3]
    there_and_back = [Spot(30, 110), Spot(30.01, 110), Spot(30, 110)]
    assert simplify(there_and_back, 1) == [0, 1, 2]


def polygon(*corners: tuple[float, float], holes: int = 0) -> dict[str, object]:
    rings = [[list(corner) for corner in corners]] * (1 + holes)
    return {"type": "Polygon", "coordinates": rings}


RING = ((110.0, 30.0), (111.0, 30.0), (111.0, 31.0), (110.0, 30.0))


def test_an_outline_is_read() -> None:
    expected = (Spot(30, 110), Spot(30, 111), Spot(31, 111))
    shape = polygon(*RING)
    feature = {"type": "Feature", "properties": {"name": "校园"}, "geometry": shape}
    for form in (shape, feature, {"type": "FeatureCollection", "features": [feature]}):
        assert parse_outline(form) == expected
        assert parse_outline(json.dumps(form)) == expected
        assert parse_outline(json.dumps(form).encode()) == expected


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"", "no Polygon"),
        (b"\xff", "no Polygon"),
        (b"[" * 100_000, "no Polygon"),
        ({"type": "Point", "coordinates": [1, 2]}, "no Polygon"),
        (polygon(*RING, holes=1), "holes"),
        (polygon(*RING[:3], (110.5, 30.5)), "does not end"),
        (polygon((110, 91), (111, 30), (111, 31), (110, 91)), "degrees"),
        (polygon((110, 30), (181, 30), (111, 31), (110, 30)), "degrees"),
        (polygon((1, 1), (2, 2), (3, 3), (1, 1)), "one line"),
        (polygon((1, 1), (2, 2), (1, 1), (1, 1)), "corners"),
        (polygon((0, 80), (120, 80), (-120, 80), (0, 80)), "pole"),
        (polygon(*[(x / 100, x % 7) for x in range(2_100)], (0, 0)), "no Polygon"),
        (
            {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": polygon(*RING)}] * 2},
            "2 features",
        ),
    ],
)
def test_what_is_no_outline_is_refused_with_a_reason(bad: object, why: str) -> None:
    with pytest.raises(GeoError, match=why):
        parse_outline(bad)  # type: ignore[arg-type]


def test_corners_that_are_no_numbers() -> None:
    with pytest.raises(GeoError, match="degrees"):
        check_outline((Spot(float("nan"), 1), Spot(1, 1), Spot(2, 3)))
