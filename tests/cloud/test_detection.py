"""Which detections are one fire, and how sure it is: the pure core."""

import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.fire.bearings import angle_between_deg, sees, to_bearing
from cloud.fire.detection import (
    ALONE,
    SUREST,
    Detection,
    Reach,
    Reading,
    Sign,
    Wind,
    assess,
    group,
)
from cloud.geo import Spot, bearing_deg, destination, distance_m
from contract.alarms import Mode, Severity

S = 1_000_000
T0 = 1_790_000_000 * S
HOME = Spot(29.0, 119.0)
REACH = Reach()
NORTHERLY, SOUTHERLY = 0.0, 180.0


def seen(
    name: str,
    *,
    north_m: float = 0.0,
    east_m: float = 0.0,
    after_s: float = 0.0,
    sign: Sign = Sign.SMOKE,
    device: str = "smoke",
    wind: Wind | None = None,
    **more: object,
) -> Detection:
    spot = destination(destination(HOME, 0.0, north_m), 90.0, east_m)
    plain = Detection(
        id=f"{name}-{device}-{after_s}",
        occurrence=f"{name}-{device}",
        source=f"{name}/{device}/{sign}/{sign}",
        gateway=name,
        device=device,
        sign=sign,
        severity=Severity.HIGH,
        spot=spot,
        raised_at_us=T0 + round(after_s * S),
        wind=wind,
    )
    return msgspec.structs.replace(plain, **more)


def fires_of(detections: Sequence[Detection], *, batches: Sequence[int] = ()) -> set[frozenset[str]]:
    """Have them come in some order and in pieces, as the worker takes them; the fires that come of it."""
    known: list[Detection] = []
    fire_of: dict[str, str] = {}
    rest = list(detections)
    for size in (*batches, len(rest)):
        new, rest = rest[:size], rest[size:]
        for found in group(new, known, fire_of, REACH):
            fire = found.fires[0] if found.fires else found.new[0]
            fire_of |= {key: fire for key, of in fire_of.items() if of in found.fires}
            fire_of |= dict.fromkeys(found.new, fire)
        known += new
    return {frozenset(key for key, of in fire_of.items() if of == fire) for fire in fire_of.values()}


detections = st.builds(
    seen,
    st.sampled_from([f"tower-{number}" for number in range(6)]),
    north_m=st.integers(0, 8).map(lambda km: km * 3_000.0),
    east_m=st.integers(0, 2).map(lambda km: km * 4_000.0),
    after_s=st.integers(0, 5).map(lambda step: step * 3_000.0),
    sign=st.sampled_from(Sign),
    device=st.sampled_from(["smoke", "crown"]),
    wind=st.none()
    | st.builds(Wind, st.sampled_from([0.0, 90.0, 180.0]), st.sampled_from([0.0, 4.0, 9.0]), st.just("w")),
    bearing_deg=st.none() | st.sampled_from([0.0, 45.0, 180.0, 315.0]),
    mode=st.sampled_from([Mode.LIVE, Mode.LIVE, Mode.LIVE, Mode.TEST]),
)
some = st.lists(detections, max_size=14, unique_by=lambda one: one.id)


@given(some, st.lists(st.integers(1, 5), max_size=5), st.randoms(use_true_random=False))
def test_any_order_and_any_delay_ends_in_the_same_fires(
    found: list[Detection], batches: list[int], chance: random.Random
) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert fires_of(shuffled, batches=batches) == fires_of(found)


@given(some)
def test_fires_only_grow_together(found: list[Detection]) -> None:
    for count in range(len(found)):
        before, after = fires_of(found[:count]), fires_of(found[: count + 1])
        assert all(any(one <= other for other in after) for one in before)


@given(some, st.builds(Wind, st.sampled_from([0.0, 90.0, 180.0]), st.floats(0, 20), st.just("w")))
def test_wind_that_becomes_known_parts_no_fire(found: list[Detection], wind: Wind) -> None:
    known = [one if one.wind else msgspec.structs.replace(one, wind=wind) for one in found]
    after = fires_of(known)
    assert all(any(one <= other for other in after) for one in fires_of(found))


@given(detections, detections)
def test_whether_two_are_one_fire_does_not_depend_on_who_is_asked_first(one: Detection, other: Detection) -> None:
    assert REACH.joins(one, other) == REACH.joins(other, one)


@given(st.lists(detections, min_size=1, max_size=10, unique_by=lambda one: one.id), st.randoms(use_true_random=False))
def test_how_sure_it_is_follows_from_the_evidence_and_not_from_its_order(
    found: list[Detection], chance: random.Random
) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    one = assess(found, REACH)
    assert assess(shuffled, REACH) == one
    assert 0 < one.confidence <= SUREST
    assert one.confidence >= round(min(ALONE.values()), 2)
    if one.ground.by == "towers":
        far_m = max(distance_m(one.ground.spot, each.spot) for each in found)
        assert far_m <= one.ground.radius_m + 1 or len({each.gateway for each in found}) < len(found)


def test_each_tower_makes_it_surer_and_none_makes_it_certain() -> None:
    line = [seen(f"tower-{number}", north_m=number * 2_000.0, after_s=number * 600.0) for number in range(20)]
    surer = [assess(line[:count], REACH).confidence for count in range(1, 21)]
    assert surer == sorted(surer)
    assert surer[0] == 0.4
    assert surer[-1] == SUREST
    assert 0.5 < surer[1] < 0.7


def test_downwind_counts_more_than_across_and_that_more_than_upwind() -> None:
    first = seen("a", wind=Wind(SOUTHERLY, 5.0, "w"))
    places = {"down": (4_000.0, 0.0), "across": (0.0, 4_000.0), "up": (-4_000.0, 0.0)}
    found = [
        assess([first, seen(name, north_m=north_m, east_m=east_m, after_s=600)], REACH).confidence
        for name, (north_m, east_m) in places.items()
    ]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 3
    unknown = assess([seen("a"), seen("b", north_m=4_000.0, after_s=600)], REACH).confidence
    assert found[0] > unknown > found[1]


@pytest.mark.parametrize(
    ("apart_m", "wind", "expected"),
    [
        (4_900.0, None, True),
        (5_100.0, None, False),
        (9_000.0, Wind(SOUTHERLY, 5.0, "w"), True),
        (9_000.0, Wind(NORTHERLY, 5.0, "w"), False),
        (9_000.0, Wind(SOUTHERLY, 2.0, "w"), False),
        # However hard it blows.
        (15_100.0, Wind(SOUTHERLY, 30.0, "w"), False),
    ],
)
def test_the_wind_carries_smoke_to_the_north(apart_m: float, wind: Wind | None, *, expected: bool) -> None:
    assert REACH.joins(seen("a", wind=wind), seen("b", north_m=apart_m, after_s=1_200)) is expected


def test_two_hours_part_fires_and_so_does_a_test() -> None:
    assert REACH.joins(seen("a"), seen("b", after_s=7_200.0))
    assert not REACH.joins(seen("a"), seen("b", after_s=7_201.0))
    assert not REACH.joins(seen("a"), seen("b", mode=Mode.TEST))


def test_one_detector_that_chatters_is_one_piece_of_evidence() -> None:
    once = assess([seen("a")], REACH)
    often = assess([seen("a", after_s=number * 60.0) for number in range(30)], REACH)
    assert often.confidence == once.confidence == 0.4
    two = assess([seen("a"), seen("a", device="smoke-2", after_s=60)], REACH)
    other_kind = assess([seen("a"), seen("a", device="crown", sign=Sign.HEAT, after_s=60)], REACH)
    assert once.confidence < two.confidence < other_kind.confidence


def test_two_bearings_cross_to_a_place() -> None:
    fire = destination(HOME, 30.0, 6_000.0)
    towers = [seen("a", sign=Sign.FIRE), seen("b", east_m=8_000.0, sign=Sign.FIRE, after_s=60)]
    looking = [msgspec.structs.replace(one, bearing_deg=bearing_deg(one.spot, fire)) for one in towers]
    # 8 km apart: nothing but what they look at makes them one fire.
    assert not REACH.joins(*towers)
    assert REACH.joins(*looking)
    found = assess(looking, REACH)
    assert found.ground.by == "bearings"
    assert distance_m(found.ground.spot, fire) < 20
    assert 200 <= found.ground.radius_m < 500
    assert found.confidence > assess(towers, REACH).confidence


def test_lines_that_part_or_run_along_each_other_say_nothing() -> None:
    for one_deg, other_deg in ((270.0, 90.0), (0.0, 0.0), (90.0, 90.0)):
        looking = [
            seen("a", sign=Sign.FIRE, bearing_deg=one_deg),
            seen("b", east_m=4_000.0, sign=Sign.FIRE, bearing_deg=other_deg),
        ]
        assert assess(looking, REACH).ground.by == "towers"


def test_a_camera_that_looks_at_a_detector_sees_the_same() -> None:
    camera = seen("hill", sign=Sign.FIRE, bearing_deg=2.0)
    smoke = seen("valley", north_m=12_000.0, after_s=30)
    assert REACH.joins(camera, smoke)
    assert not REACH.joins(msgspec.structs.replace(camera, bearing_deg=20.0), smoke)


def test_raised_readings_of_neighbours_add_a_little_each_tower_once() -> None:
    def reading(gateway: str, point: str = "pm2_5") -> Reading:
        return Reading(gateway, "air", point, 200.0, 30.0, T0)

    plain = seen("a")
    few = msgspec.structs.replace(plain, readings=(reading("b"), reading("b", "pm10")))
    many = msgspec.structs.replace(plain, readings=tuple(reading(f"n{number}") for number in range(10)))
    # The tower's own say nothing that its alarm has not said.
    own = msgspec.structs.replace(plain, readings=(reading("a"),))
    found = [assess([one], REACH).confidence for one in (plain, own, few, many)]
    assert found == [0.4, 0.4, 0.46, 0.56]


def test_limits_of_temperature_alone_are_not_told() -> None:
    warm = seen("a", sign=Sign.TEMPERATURE, device="crown")
    assert not assess([warm], REACH).is_told
    assert not assess([warm, seen("a", sign=Sign.TEMPERATURE, device="crown-2")], REACH).is_told
    assert assess([warm, seen("b", sign=Sign.TEMPERATURE, device="crown")], REACH).is_told


def test_it_is_over_when_the_last_one_is() -> None:
    one, other = seen("a", cleared_at_us=T0 + 60 * S), seen("b", after_s=30)
    assert assess([one, other], REACH).cleared_at_us is None
    done = msgspec.structs.replace(other, cleared_at_us=T0 + 50 * S)
    assert assess([one, done], REACH).cleared_at_us == T0 + 60 * S


@pytest.mark.parametrize(("one", "other", "expected"), [(350, 10, 20), (0, 180, 180), (90, 90, 0), (725, 5, 0)])
def test_angles_are_measured_the_short_way(one: float, other: float, expected: float) -> None:
    assert angle_between_deg(one, other) == expected == angle_between_deg(other, one)


def test_what_is_no_bearing_is_none() -> None:
    assert [to_bearing(value) for value in (0, 359.5, 360.0, -1, 361, float("nan"), True, "north", None)] == [
        0.0, 359.5, 0.0, None, None, None, None, None, None,
    ]  # fmt: skip
    assert sees(HOME, 0.0, destination(HOME, 4.0, 5_000), 6_000)
    assert not sees(HOME, 0.0, destination(HOME, 4.0, 7_000), 6_000)
