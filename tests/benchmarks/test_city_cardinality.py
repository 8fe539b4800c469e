"""The made-up city has just the series that the page counts."""

import pytest

from benchmarks.city_cardinality import history, one_each, paths, tags_of
from cloud.influx.cardinality import City, series_of
from cloud.influx.schema import MEASUREMENTS

CITY = City(
    areas=400, sites=30, gateways=30, devices=90, sources=180, open_alarms=6, vehicles=20, fleet_areas=5,
    fire_stations=4, fire_areas=3, bike_stations=7, plans=5,
)  # fmt: skip
NOW_US = 1_700_000_000_000_000


def series_in(line: bytes) -> bytes:
    return line.split(b" ")[0]


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_series_is_another(name: str) -> None:
    written = [series_in(line) for line in one_each(name, CITY, now_us=NOW_US)]
    assert len(set(written)) == len(written) == series_of(name, CITY)
    assert all(one.split(b",")[0].decode() == name for one in written)


def test_history_makes_no_series_more() -> None:
    known = {series_in(line) for name in MEASUREMENTS for line in one_each(name, CITY, now_us=NOW_US)}
    for name, lines in history(CITY, 10, 2 * 3_600, now_us=NOW_US):
        written = [line for several in lines for line in several.split(b"\n")]
        assert {series_in(line) for line in written} <= known, name
        times = [int(line.rsplit(b" ", 1)[1]) for line in written]
        assert NOW_US - 2 * 3_600_000_000 <= min(times) <= max(times) <= NOW_US


def test_everything_below_an_area_has_its_path() -> None:
    areas = paths(CITY)
    assert len(areas) == CITY.areas
    tags = [tags_of("site_state", number, areas, CITY)["path"] for number in range(CITY.sites)]
    assert all(tag.startswith(":all:city:county-") and tag.endswith(":") for tag in tags)
