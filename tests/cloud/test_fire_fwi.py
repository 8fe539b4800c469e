"""The index against the published series, by the hour against another program, and what holds for any weather."""

import csv
from math import isfinite
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.fire.chinese import DayWeather, Rating, beaufort, dry_days_after, rate
from cloud.fire.classes import Danger, Scheme, danger_of
from cloud.fire.fwi import START, Codes, Indices, Weather, day_length_h, drought_adjustment, next_day, next_ffmc
from cloud.fire.hourly import moisture_after, next_hour

DATA = Path(__file__).parent / "data"
CODES = ("ffmc", "dmc", "dc", "isi", "bui", "fwi")
WEATHER = ("temp_c", "rh_pct", "wind_kmh", "rain_mm")

codes = st.builds(Codes, st.floats(0, 101), st.floats(0, 1_000), st.floats(0, 3_000))
weathers = st.builds(Weather, st.floats(-50, 50), st.floats(0, 105), st.floats(0, 150), st.floats(0, 500))
months = st.integers(1, 12)
latitudes = st.floats(-90, 90)
FEW = settings(max_examples=40)


def rows_of(name: str) -> list[dict[str, float]]:
    lines = [line for line in (DATA / name).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]


def weather_of(row: dict[str, float]) -> Weather:
    return Weather(*(row[name] for name in WEATHER))


def values_of(indices: Indices) -> dict[str, float]:
    one = indices.codes
    return dict(zip(CODES, (one.ffmc, one.dmc, one.dc, indices.isi, indices.bui, indices.fwi), strict=True))


def test_the_whole_published_series_comes_out() -> None:
    rows = rows_of("fwi_1985.csv")
    assert len(rows) == 49
    assert (rows[27]["month"], rows[27]["day"], rows[27]["temp_c"]) == (5, 10, 11.5)
    before = START
    for row in rows:
        indices = next_day(before, weather_of(row), month=int(row["month"]), latitude_deg=44)
        for name, value in values_of(indices).items():
            assert value == pytest.approx(row[name], abs=0.1), (row["month"], row["day"], name)
        before = indices.codes


def test_the_first_published_day_comes_out_to_the_last_digit() -> None:
    indices = next_day(START, Weather(17, 42, 25, 0), month=4, latitude_deg=46)
    wanted = (87.692980, 8.545051, 19.014, 10.853661, 8.490427, 10.096371)
    assert tuple(values_of(indices).values()) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("row", rows_of("ffmc_hourly.csv"), ids=lambda row: f"{row['temp_c']:g}C")
def test_the_hourly_estimate_is_that_of_another_program(row: dict[str, float]) -> None:
    # Its constant is another, so that moistures are compared, by that constant.
    constant = 250 * 59.5 / 101
    moisture = constant * (101 - row["ffmc_before"]) / (59.5 + row["ffmc_before"])
    after = moisture_after(moisture, weather_of(row), hours=row["hours"])
    # It takes ln 10 for 2.303.
    assert 59.5 * (250 - after) / (constant + after) == pytest.approx(row["ffmc"], abs=1e-5)


@pytest.mark.parametrize(
    ("latitude_deg", "hours", "adjustment"),
    [(46, 6.5, -1.6), (30, 6.5, -1.6), (29.9, 7.9, -1.6), (20, 7.9, -1.6), (19.9, 7.9, 1.4), (10, 9.0, 1.4),
     (0, 9.0, 1.4), (-10, 9.0, 1.4), (-10.1, 10.1, 1.4), (-20, 10.1, 6.4), (-30, 10.1, 6.4), (-30.1, 11.5, 6.4)],
)  # fmt: skip
def test_a_latitude_has_its_table(latitude_deg: float, hours: float, adjustment: float) -> None:
    assert day_length_h(latitude_deg, 1) == hours
    assert drought_adjustment(latitude_deg, 1) == adjustment


@FEW
@given(codes, weathers, months, latitudes)
def test_codes_stay_in_their_ranges_in_any_weather(
    before: Codes, weather: Weather, month: int, latitude: float
) -> None:
    for _ in range(3):
        indices = next_day(before, weather, month=month, latitude_deg=latitude)
        before = indices.codes
        values = {**values_of(indices), "dsr": indices.dsr}
        assert all(isfinite(value) and value >= 0 for value in values.values()), values
        assert before.ffmc <= 101


@FEW
@given(codes, weathers, st.floats(0, 200), months)
def test_more_rain_never_dries(before: Codes, weather: Weather, more_mm: float, month: int) -> None:
    wetter = Weather(weather.temp_c, weather.rh_pct, weather.wind_kmh, weather.rain_mm + more_mm)
    dry, wet = (next_day(before, one, month=month, latitude_deg=40).codes for one in (weather, wetter))
    assert wet.ffmc <= dry.ffmc + 1e-6
    assert wet.dmc <= dry.dmc + 1e-6
    assert wet.dc <= dry.dc + 1e-6


@FEW
@given(codes, weathers, months)
def test_without_rain_the_deep_layers_only_dry(before: Codes, weather: Weather, month: int) -> None:
    dry = Weather(weather.temp_c, min(weather.rh_pct, 100), weather.wind_kmh, 0)
    after = next_day(before, dry, month=month, latitude_deg=40).codes
    assert after.dmc >= before.dmc
    assert after.dc >= before.dc


@FEW
@given(st.floats(0, 101), weathers)
def test_an_hour_goes_in_the_direction_of_a_day_and_less_far(ffmc: float, weather: Weather) -> None:
    dry = Weather(weather.temp_c, weather.rh_pct, weather.wind_kmh, 0)
    assert abs(next_hour(ffmc, dry) - ffmc) <= abs(next_ffmc(ffmc, dry) - ffmc) + 1e-6


@FEW
@given(st.floats(0, 250), weathers, st.floats(0.5, 5), st.floats(0.5, 5))
def test_hours_may_be_taken_at_once(moisture: float, weather: Weather, one_h: float, other_h: float) -> None:
    dry = Weather(weather.temp_c, weather.rh_pct, weather.wind_kmh, 0)
    apart = moisture_after(moisture_after(moisture, dry, hours=one_h), dry, hours=other_h)
    assert moisture_after(moisture, dry, hours=one_h + other_h) == pytest.approx(apart, abs=1e-6)


@pytest.mark.parametrize(
    ("fwi", "effis", "canada"),
    [(0, 1, 1), (1.49, 1, 1), (1.5, 1, 2), (4.49, 1, 2), (5.19, 1, 3), (5.2, 2, 3), (8.5, 2, 4), (11.2, 3, 4),
     (16.5, 3, 5), (21.3, 4, 5), (30.5, 4, 6), (37.99, 4, 6), (38, 5, 6), (49.99, 5, 6), (50, 6, 6), (300, 6, 6)],
)  # fmt: skip
def test_an_index_has_its_class(fwi: float, effis: int, canada: int) -> None:
    assert danger_of(fwi) == effis
    assert danger_of(fwi, Scheme.CANADA) == canada


def test_a_level_has_a_word() -> None:
    assert [one.word for one in Danger] == ["very-low", "low", "moderate", "high", "very-high", "extreme"]


@pytest.mark.parametrize(
    ("day", "rating"),
    [
        # 0 + 0 + 5 (calm), a downpour taken off: not below 0.
        (DayWeather(4, 80, 0, 80, 0), Rating(0, 1, "green", "")),
        (DayWeather(5.1, 64.4, 1.6, 0, 1), Rating(4 + 4 + 5 + 10, 1, "green", "")),
        (DayWeather(18, 40, 4, 0, 2), Rating(12 + 12 + 10 + 15, 2, "blue", "")),
        (DayWeather(18, 40, 4, 0.1, 3), Rating(12 + 12 + 15 + 15, 3, "yellow", "yellow")),
        (DayWeather(26, 24.4, 3, 0, 5), Rating(20 + 20 + 25 + 10, 4, "orange", "orange")),
        (DayWeather(26, 24.5, 3, 0, 5), Rating(20 + 16 + 25 + 10, 3, "yellow", "yellow")),
        (DayWeather(35, 10, 18, 0, 25), Rating(20 + 20 + 50 + 40, 5, "red", "red")),
        (DayWeather(35, 10, 18, 12, 0), Rating(20 + 20 + 40 - 30, 2, "blue", "")),
    ],
)
def test_a_day_has_its_chinese_rating(day: DayWeather, rating: Rating) -> None:
    assert rate(day) == rating


def test_levels_begin_where_the_standard_says() -> None:
    levels = {25: 1, 26: 2, 50: 2, 51: 3, 72: 3, 73: 4, 90: 4, 91: 5}
    # Temperature and humidity give what is a multiple of 4, days and wind of 5: every sum from 5 on can be made.
    found: dict[int, int] = {}
    for temp_c in (0, 6, 11, 16, 21, 30):
        for rh_pct in (70, 60, 50, 40, 30, 20):
            for dry in range(11):
                for wind in (0.0, 2.0, 4.0, 6.0, 9.0, 11.0, 14.0, 18.0):
                    one = rate(DayWeather(temp_c, rh_pct, wind, 0, dry))
                    found[one.index] = one.level
    assert {index: level for index, level in found.items() if index in levels} == {
        index: level for index, level in levels.items() if index in found
    }
    assert levels.keys() - found.keys() <= {26, 51, 73, 91, 25, 50, 72, 90}
    assert {25, 50, 90} <= found.keys()


def test_dry_days_are_counted_from_the_last_rain() -> None:
    assert [dry_days_after(2, rain) for rain in (0, 0.1, 0.11, 30)] == [3, 3, 0, 0]
    assert dry_days_after(10, 0) == 10


@pytest.mark.parametrize(("mps", "force"), [(0, 0), (0.29, 0), (0.3, 1), (5.4, 3), (5.5, 4), (17.2, 8), (60, 8)])
def test_wind_has_its_force(mps: float, force: int) -> None:
    assert beaufort(mps) == force
