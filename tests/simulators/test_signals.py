"""Signals: the same seed gives the same values, whatever the order asked, and the values hang together."""

from itertools import pairwise
from statistics import fmean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.signals import chance
from simulators.signals.fire import Fire
from simulators.signals.moving import Patrol, TagRide
from simulators.signals.plain import Constant, Counter, DayCurve, Walk
from simulators.signals.signal import ONLY, Moment, Signal
from simulators.signals.weather import SECTORS, Weather

HOUR_S = 3600.0
WEATHER = Weather("sky", front_every_h=30.0)


def asked(signal: Signal, part: str, t_s: float, *, seed: int = 1, at_m: tuple[float, float] = (0, 0)) -> float:
    return float(signal.value(part, Moment(t_s, begins_s=0.0, at_m=at_m, seed=seed)))


SIGNALS: list[Signal] = [
    DayCurve("day", 10.0, 20.0),
    Walk("walk", 5.0, 0.3, 0.0, 10.0),
    Counter("count", per_s=0.5),
    WEATHER,
    Fire("fire", (0.0, 0.0), weather=None),
    TagRide("tag", ((0.0, 0.0), (500.0, 0.0)), loops=True),
    Patrol("patrol", points=4, every_s=10.0, missed=(3,)),
]


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: str(signal.id))
@settings(max_examples=20)
@given(times=st.lists(st.floats(0, 1e6), min_size=1, max_size=8), seed=st.integers(0, 2**32))
def test_a_value_depends_on_the_seed_and_the_moment_alone(signal: Signal, times: list[float], seed: int) -> None:
    for part in signal.parts:
        there = {t: signal.value(part, Moment(t, seed=seed)) for t in times}
        back = {t: signal.value(part, Moment(t, seed=seed)) for t in reversed(times)}
        assert there == back


@pytest.mark.parametrize("signal", [WEATHER, Walk("w", 5.0, 0.3, 0.0, 10.0)], ids=lambda signal: str(signal.id))
def test_another_seed_is_another_world(signal: Signal) -> None:
    part = next(iter(signal.parts))
    assert [asked(signal, part, t, seed=1) for t in range(20)] != [asked(signal, part, t, seed=2) for t in range(20)]


def test_a_walk_goes_a_root_of_n_in_n_steps() -> None:
    ends = [chance.walk(f"key{number}", 400) for number in range(300)]
    assert fmean(ends) == pytest.approx(0.0, abs=3.0)
    assert pstdev(ends) == pytest.approx(20.0, rel=0.15)


def test_the_steps_of_a_walk_are_independent_and_of_the_deviation_asked() -> None:
    track = [chance.walk("key", t) for t in range(600)]
    steps = [after - before for before, after in pairwise(track)]
    assert pstdev(steps) == pytest.approx(1.0, rel=0.15)
    assert abs(fmean(one * other for one, other in pairwise(steps))) < 0.15


@settings(max_examples=40)
@given(t=st.floats(0, 1e6), span=st.floats(0.01, 50), step=st.floats(0, 20))
def test_a_walk_stays_between_its_walls(t: float, span: float, step: float) -> None:
    walk = Walk("w", 5.0, step, 5.0 - span, 5.0 + span)
    assert 5.0 - span <= asked(walk, ONLY, t) <= 5.0 + span


def test_a_day_curve_peaks_at_its_hour() -> None:
    day = DayCurve("d", 10.0, 30.0, peak_h=14.0)
    assert asked(day, ONLY, 14 * HOUR_S) == pytest.approx(30.0)
    assert asked(day, ONLY, 2 * HOUR_S) == pytest.approx(10.0)
    assert day.value(ONLY, Moment(0.0, begins_s=14 * HOUR_S)) == pytest.approx(30.0)


def test_a_counter_counts_and_wraps() -> None:
    counter = Counter("c", start=8, per_s=2.0, wraps_at=10)
    assert [asked(counter, ONLY, t) for t in (0, 0.4, 0.5, 1.0)] == [8, 8, 9, 0]


def test_a_constant_has_the_kind_of_its_value() -> None:
    assert [str(*Constant("c", value).parts.values()) for value in (1.5, True, "on")] == ["number", "state", "word"]


@settings(max_examples=40)
@given(t=st.floats(0, 1e7), seed=st.integers(0, 1000))
def test_weather_is_believable(t: float, seed: int) -> None:
    now = {part: asked(WEATHER, part, t, seed=seed) for part in WEATHER.parts if part != "wind_sector"}
    assert 0 < now["humidity"] <= 100
    assert now["dew_point"] <= now["temperature"]
    assert 0 <= now["cloud"] <= 1
    assert 970 < now["pressure"] < 1030
    assert 0 <= now["wind_direction"] < 360
    assert 0 <= now["wind_speed"] < 40
    assert now["rain"] >= 0
    assert WEATHER.value("wind_sector", Moment(t, seed=seed)) in SECTORS


def test_weather_hangs_together() -> None:
    hours = [t * HOUR_S for t in range(24 * 10)]
    wet = [t for t in hours if asked(WEATHER, "rain_rate", t) > 0.5]
    dry = [t for t in hours if asked(WEATHER, "rain_rate", t) == 0.0]
    assert wet
    assert dry

    def mean(part: str, times: list[float]) -> float:
        return fmean(asked(WEATHER, part, t) for t in times)

    assert mean("pressure", wet) < mean("pressure", dry) - 4
    assert mean("humidity", wet) > mean("humidity", dry) + 10
    assert mean("cloud", wet) > mean("cloud", dry) + 0.3
    assert mean("wind_speed", wet) > mean("wind_speed", dry) + 2


def test_rain_only_rises_and_is_what_the_rate_says() -> None:
    times = [t * 600.0 for t in range(6 * 24 * 3)]
    fallen = [asked(WEATHER, "rain", t) for t in times]
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(fallen))
    by_rate = sum(asked(WEATHER, "rain_rate", t) / 6 for t in times)
    assert fallen[-1] == pytest.approx(by_rate, rel=0.02)
    assert fallen[-1] > 1


def test_the_sun_shines_by_day_and_less_through_clouds() -> None:
    assert asked(WEATHER, "solar", 1 * HOUR_S) == 0
    noons = [t * 24 * HOUR_S + 12 * HOUR_S for t in range(10)]
    sunny = max(noons, key=lambda t: asked(WEATHER, "solar", t))
    dull = min(noons, key=lambda t: asked(WEATHER, "solar", t))
    assert asked(WEATHER, "cloud", sunny) < asked(WEATHER, "cloud", dull)
    assert asked(WEATHER, "illuminance", sunny) == pytest.approx(120 * asked(WEATHER, "solar", sunny))


# The wind comes from the west: the fire goes east.
FIRE = Fire("fire", (0.0, 0.0), starts_s=60.0, wind=8.0, wind_from=270.0)


def test_a_fire_reaches_places_downwind_in_order_of_distance() -> None:
    places = [(300.0, 0.0), (700.0, 40.0), (1200.0, -60.0), (2000.0, 0.0)]
    arrivals = [FIRE.arrival_s(Moment(0.0, at_m=place)) for place in places]
    assert arrivals == sorted(arrivals)
    # A tenth of the wind's speed, straight downwind.
    assert arrivals[0] == pytest.approx(60 + 300 / 0.8, rel=1e-6)
    assert FIRE.arrival_s(Moment(0.0, at_m=(-300.0, 0.0))) > 5 * arrivals[0]


def test_a_place_smells_the_smoke_before_it_feels_the_heat() -> None:
    place = (1000.0, 0.0)
    seconds = range(0, 3000, 5)
    smoke = next(t for t in seconds if FIRE.value("smoke", Moment(t, at_m=place)))
    heat = next(t for t in seconds if asked(FIRE, "temperature", t, at_m=place) > 55)
    assert 60 < smoke < heat < FIRE.arrival_s(Moment(0.0, at_m=place)) + 1
    assert asked(FIRE, "temperature", 59, at_m=place) == pytest.approx(20.0)
    assert asked(FIRE, "distance", 60, at_m=place) == pytest.approx(1000.0)
    assert asked(FIRE, "pm2_5", 2000, at_m=place) > 300


def test_a_fire_takes_wind_and_air_from_the_weather() -> None:
    weather = Weather("sky", wind=10.0, wind_from=180.0, temperature=30.0, swing=0.0)
    fire = Fire("fire", (0.0, 0.0), weather="sky")
    north = Moment(0.0, at_m=(0.0, 500.0), seed=3, others={"sky": weather})
    south = Moment(0.0, at_m=(0.0, -500.0), seed=3, others={"sky": weather})
    assert fire.arrival_s(north) < fire.arrival_s(south)
    air = float(weather.value("temperature", north))
    assert float(fire.value("temperature", north)) == pytest.approx(air, abs=0.5)


def test_a_tag_is_heard_where_it_rides() -> None:
    tag = TagRide("t", ((0.0, 0.0), (1000.0, 0.0)), speed=5.0, starts_s=10.0, fading=0.0)
    levels = [asked(tag, "rssi", t, at_m=(500.0, 5.0)) for t in range(0, 230, 10)]
    assert levels.index(max(levels)) == 11
    assert [bool(tag.value("heard", Moment(t, at_m=(500.0, 5.0)))) for t in (0, 110, 220)] == [False, True, False]
    assert tag.where(Moment(0.0)) == (0.0, 0.0)
    assert tag.where(Moment(110.0)) == (500.0, 0.0)
    assert tag.where(Moment(1e5)) == (1000.0, 0.0)
    assert [bool(tag.value("moving", Moment(t))) for t in (0, 110, 1000)] == [False, True, False]


def test_a_tag_that_loops_comes_back() -> None:
    tag = TagRide("t", ((0.0, 0.0), (100.0, 0.0)), speed=10.0, loops=True)
    assert tag.where(Moment(15.0)) == (50.0, 0.0)
    assert tag.where(Moment(20.0)) == (0.0, 0.0)
    assert TagRide("t", ((7.0, 7.0),), loops=True).where(Moment(15.0)) == (7.0, 7.0)


def test_a_patrol_visits_its_points_in_order_and_leaves_one_out() -> None:
    patrol = Patrol("p", points=4, every_s=10.0, stay_s=2.0, starts_s=5.0, missed=(3,), rounds=2)
    seen = [
        (t, part)
        for t in range(100)
        for part in patrol.parts
        if part.startswith("at-") and patrol.value(part, Moment(t)) and not patrol.value(part, Moment(t - 1))
    ]
    assert seen == [(5, "at-1"), (15, "at-2"), (35, "at-4"), (45, "at-1"), (55, "at-2"), (75, "at-4")]
    assert [asked(patrol, "last", t) for t in (0, 5, 16, 26, 36, 46, 500)] == [0, 1, 2, 2, 4, 1, 4]
    assert [asked(patrol, "visits", t) for t in (0, 5, 16, 26, 36, 46, 500)] == [0, 1, 2, 2, 3, 4, 6]
