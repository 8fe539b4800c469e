"""Dashboards of the trades: what their panels answer from known lines, and that no colour stands without its word."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.feed.measures import line_of
from cloud.fire.chinese import COLOURS
from cloud.fire.classes import Danger
from cloud.grafana.board import Board, Context
from cloud.grafana.boards import bikes, patrols, towers, vehicles
from cloud.grafana.expand import Chosen
from cloud.influx.lines import encode_lines
from cloud.influx.schema import LONG_POLICY, MEASUREMENTS, label_of, path_tag
from cloud.influx.shape import Keep
from contract.telemetry import Point, Sample
from langyan.servers import Influx
from tests.cloud import grafana_rig
from tests.cloud.rig import fresh

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
NOW_US = time.time_ns() // 1_000
WEST, EAST, NORTH = (path_tag(f"city/{name}/") for name in ("west", "east", "east/north"))
CITY = {"area": "all"}


class Store:
    """One database, the questions of dashboards, and their answers."""

    def __init__(self, url: str) -> None:
        self.url, self.database = url, fresh("trades")
        grafana_rig.command(url, f'CREATE DATABASE "{self.database}"')
        grafana_rig.command(
            url, f'CREATE RETENTION POLICY "{LONG_POLICY}" ON "{self.database}" DURATION INF REPLICATION 1'
        )

    def put(self, measurement: str, tags: Mapping[str, str], fields: Mapping[str, Any], at_us: int = NOW_US) -> None:
        """Write a line as the trades do."""
        line = line_of(measurement, tags, fields, at_us)
        assert line is not None
        policy = LONG_POLICY if MEASUREMENTS[measurement].keep is Keep.LONG else ""
        grafana_rig.write(self.url, [line], database=self.database, policy=policy)

    def rows(self, board: Board, title: str, **chosen: Chosen) -> list[dict[str, Any]]:
        """Ask what a panel asks; a row has the tags of its series too. A map gives one series, or draws a part."""
        model, found = board.build(), []
        for asked in grafana_rig.questions(model, {**CITY, **chosen}, now_ms=NOW_US // 1_000 + 1_000):
            if asked.panel.get("title") != title:
                continue
            answer = grafana_rig.ask(self.url, asked.question, database=self.database)
            assert asked.panel["type"] != "geomap" or len(answer) <= 1
            for one in answer:
                found += [dict(zip(one.columns, row, strict=True)) | one.tags for row in one.values]
        return found

    def one(self, board: Board, title: str, **chosen: Chosen) -> Any:
        """Ask for a single number."""
        (row,) = self.rows(board, title, **chosen) or [{"time": 0, "none": None}]
        (value,) = (value for key, value in row.items() if key != "time")
        return value


@pytest.fixture
def store(influx: Influx) -> Store:
    return Store(influx.url)


def danger(store: Store, station: str, path: str, level: int, *, days_ago: float = 0.5, name: str = "") -> None:
    tags = {"area": "x", "path": path, "site": f"site-{station}", "station": station}
    about = {"name": name or station, "label": label_of(name or station, station), "latitude": 31.0, "longitude": 120.0}
    codes = {"danger": level, "fwi": 10.0 * level, "china": 3, "rule": "observed"}
    store.put("fire_danger", tags, {**about, **codes}, NOW_US - round(days_ago * DAY_US))
    # The hour after has no danger, and hides none.
    store.put("fire_danger", tags, {**about, "hourly_ffmc": 85.0}, NOW_US - round(days_ago * DAY_US) + HOUR_US)


def test_the_worst_danger_is_that_of_the_areas_below_and_no_old_one(store: Store) -> None:
    board = towers.board(Context())
    danger(store, "a", WEST, 2)
    danger(store, "b", EAST, 4)
    danger(store, "c", NORTH, 5)
    danger(store, "gone", WEST, 6, days_ago=5)
    assert store.one(board, "Worst danger") == 5
    assert store.one(board, "Worst danger", area="north") == 5
    assert store.one(board, "Worst danger", area="west") == 2
    assert store.one(board, "Worst danger", area="eas") is None, "no part of a name"
    assert store.one(board, "Highest index", area="east") == 50
    assert store.one(board, "Stations") == 3
    assert {row["station"]: row["danger"] for row in store.rows(board, "Map of the danger")} == {
        "a": 1_002, "b": 1_004, "c": 1_005,
    }  # fmt: skip


def test_a_name_with_everything_in_it_comes_through(store: Store) -> None:
    name = '北山 "塔" \\ O\'Brien / $1 | ^[a-z]*$'
    danger(store, "a", WEST, 3, name=name)
    (row,) = store.rows(towers.board(Context(language="zh")), Context(language="zh").say("Stations and their codes"))
    assert (row["name"], row["site"], row["danger"], row["china"]) == (name, "site-a", 1_003, 2_003)


def test_what_devices_of_towers_say_is_told_apart(store: Store) -> None:
    board = towers.board(Context())
    for gateway, wind in (("g1", 350.0), ("g2", 90.0)):
        points = Point("temperature", 20.5), Point("wind_direction", wind), Point("smoke", value=True)
        # The settings may call the site otherwise than the registry.
        tags = {"gateway": gateway, "site": "瞭望塔"}
        lines = list(encode_lines([Sample("weather", NOW_US, points)], tags=tags, received_at_us=NOW_US))
        grafana_rig.write(store.url, lines, database=store.database)
    every = {"gateway": ("g1", "g2"), "device": ("weather",)}
    found = {row["gateway"]: row["wind_direction"] for row in store.rows(board, "Weather now", **every)}
    assert found == {"g1": 10_350, "g2": 10_090}
    assert len(store.rows(board, "Temperature", **every)) == 2
    assert [row["last"] for row in store.rows(board, "Smoke detectors", gateway="g1", device="weather")] == [True]


def station(store: Store, gateway: str, path: str, minutes_ago: int = 1, **fields: int) -> None:
    tags = {"area": "x", "gateway": gateway, "path": path, "site": f"site-{gateway}", "station": "reader"}
    about = {"name": f"车站 {gateway}", "label": label_of("车站", gateway), "latitude": 31.0, "longitude": 120.0}
    store.put("bike_station", tags, {**about, **fields}, NOW_US - minutes_ago * 60_000_000)


def test_bikes_are_summed_over_the_stations_chosen_as_they_stand(store: Store) -> None:
    board = bikes.board(Context())
    station(store, "g1", WEST, minutes_ago=6, present=9, moves=1, low=0)
    station(store, "g1", WEST, present=10, moves=2, low=1)
    station(store, "g2", EAST, present=5, moves=7, low=2)
    station(store, "gone", EAST, minutes_ago=30, present=100, moves=100, low=100)
    every = {"gateway": ("g1", "g2", "gone")}
    titles = "Stations", "Tags present", "Moves today", "Low batteries here"
    assert [store.one(board, title, **every) for title in titles] == [2, 15, 9, 3]
    assert store.one(board, "Moves today", area="east", **every) == 7
    assert store.one(board, "Moves today", gateway="g1") == 2
    assert [(row["name"], row["low"]) for row in store.rows(board, "Every station", gateway="g1")] == [("车站 g1", 1)]


def tour(store: Store, begins: datetime, *, route: str = "night", late: int = 0, missed: int = 0) -> None:
    tags = {"area": "x", "path": WEST, "plan": "p", "route": route}
    on_time = int(not late and not missed)
    fields = {"route_name": f"夜巡 {route}", "tours": 1, "tours_on_time": on_time, "tours_late": late,
              "tours_missed": missed, "planned": 4, "visited": 4 - missed, "missed": missed}  # fmt: skip
    store.put("patrol", tags, fields, round(begins.timestamp()) * 1_000_000)


def test_tours_are_counted_on_the_local_day_on_which_they_begin(store: Store) -> None:
    board = patrols.board(Context(timezone="Asia/Shanghai"))
    midnight = datetime.fromtimestamp(NOW_US // 1_000_000, UTC).replace(hour=16, minute=0, second=0, microsecond=0)
    midnight -= timedelta(days=3)
    tour(store, midnight - timedelta(minutes=1))
    tour(store, midnight, late=1)
    tour(store, midnight + timedelta(hours=23, minutes=59), missed=1)
    by_day = [
        (row["time"], row["✓ On time"], row["● Late"], row["▲ Missed"])
        for row in store.rows(board, "Tours by day", route="night")
    ]
    at_ms = round(midnight.timestamp()) * 1_000
    assert by_day == [(at_ms - 86_400_000, 1, 0, 0), (at_ms, 0, 1, 1)]
    days = [(row["route"], row["worst"]) for row in store.rows(board, "Routes day by day", route=("night", "x"))]
    assert days == [("night", 0), ("night", 3)]
    assert [row["share"] for row in store.rows(board, "Points visited", route="night")] == [pytest.approx(11 / 12)]
    (route,) = store.rows(board, "Every route", route="night")
    assert (route["route_name"], route["tours"], route["late"], route["missed"]) == ("夜巡 night", 3, 1, 1)
    assert route["share"] == pytest.approx(100 / 3)


def test_vehicles_are_summed_over_areas_once(store: Store) -> None:
    board = vehicles.board(Context())
    for path, moving in ((WEST, 2), (EAST, 3), (NORTH, 4)):
        for minute in (0, 1):
            fields = {"moving": moving, "standing": 1, "silent": 0}
            store.put("vehicle", {"area": path, "path": path}, fields, NOW_US - minute * 60_000_000)
    assert store.one(board, "▲ moving") == 9
    assert store.one(board, "▲ moving", area="east") == 7
    over_time = store.rows(board, "Vehicles over time", area="east")
    assert {row["▲ moving"] for row in over_time} == {7}


def test_a_track_is_of_the_terminal_in_the_vehicle_chosen_and_goes_with_the_time(store: Store) -> None:
    board = vehicles.board(Context())
    for vehicle, terminal in (("bus.9", "gw.1/t-1"), ("bus-9", "gw-1/t-1")):
        said = {"name": f"浙G {vehicle}", "label": label_of(vehicle, vehicle), "state": "moving", "terminal": terminal}
        where = {"latitude": 31.0, "longitude": 120.0, "speed_kmh": 29.0, "heading": 90.0}
        store.put("vehicle_state", {"path": WEST, "vehicle": vehicle}, {**said, **where})
        gateway, device = terminal.split("/")
        reports = [_report(device, minute) for minute in range(30)]
        # As after an outage: the latest come first.
        lines = list(encode_lines(reversed(reports), tags={"gateway": gateway}, received_at_us=NOW_US))
        grafana_rig.write(store.url, lines, database=store.database)
    found = store.rows(board, "Map of the vehicles", area="west")
    assert [(row["vehicle"], row["state"], row["heading"]) for row in found] == [
        ("bus-9", "moving", 90), ("bus.9", "moving", 90),
    ]  # fmt: skip
    terminal_of = {
        vehicle: grafana_rig.choose_variables(
            board.build(), store.url, [], database=store.database, choose={**CITY, "vehicle": vehicle},
            now_ms=NOW_US // 1_000,
        )
        for vehicle in ("bus.9", "bus-9")
    }  # fmt: skip
    chosen = terminal_of["bus.9"]
    assert (chosen["gateway"], chosen["device"]) == ("gw.1", "t-1")
    assert terminal_of["bus-9"]["gateway"] == "gw-1"
    asked = {name: chosen[name] for name in ("vehicle", "gateway", "device")}
    track = store.rows(board, "Track", **asked)
    assert [row["latitude"] for row in track] == [pytest.approx(31 + minute / 100) for minute in range(30)]
    assert [row["vehicle_speed"] for row in store.rows(board, "Where it was", **asked)] == list(range(29, -1, -1))


def _report(device: str, minute: int) -> Sample:
    said = {"latitude": 31 + minute / 100, "longitude": 120.0, "vehicle_speed": float(minute), "course": 0.0}
    at_us = NOW_US - (30 - minute) * 60_000_000
    return Sample(device, at_us, tuple(Point(key, value) for key, value in said.items()))


MAPPED: tuple[tuple[Callable[[Context], Board], str], ...] = (
    (towers.board, "Stations and their codes"),
    (towers.board, "Map of the danger"),
    (towers.board, "Weather now"),
    (patrols.board, "Every tour"),
)


def mappings(make: Callable[[Context], Board], title: str, language: str = "en") -> list[dict[str, Any]]:
    context = Context(language=language)
    panels = [one for one in make(context).build()["panels"] if one.get("title") == context.say(title)]
    return [one for panel in panels for one in panel["fieldConfig"]["defaults"].get("mappings", ())]


@pytest.mark.parametrize(("make", "title"), MAPPED)
def test_numbers_that_stand_for_words_are_numbers_nothing_else_has(
    make: Callable[[Context], Board], title: str
) -> None:
    """A panel's mappings hold for all its columns: 1 would be "very low" wherever it stands."""
    found = mappings(make, title)
    assert found
    for one in found:
        if one["type"] == "range":
            assert one["options"]["from"] >= 10_000
        else:
            assert all(not key.isdigit() or int(key) > 1_000 for key in one["options"])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_level_has_a_word_of_its_own(language: str) -> None:
    words = {
        key: result["text"]
        for one in mappings(towers.board, "Stations and their codes", language)
        for key, result in one["options"].items()
    }
    levels = [words[str(1_000 + level)] for level in Danger]
    ratings = [words[str(2_000 + level)] for level in range(1, len(COLOURS) + 1)]
    assert len({*levels}) == len(Danger)
    assert len({*ratings}) == len(COLOURS)


@given(st.floats(0, 360))
def test_every_wind_has_the_word_of_its_sector(degrees: float) -> None:
    ranges = [one["options"] for one in mappings(towers.board, "Weather now")]
    found = [one["result"]["text"] for one in ranges if one["from"] <= degrees + 10_000 <= one["to"]]
    nearest = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")[round(degrees / 45) % 8]
    words = [text.split()[-1] for text in found]
    assert nearest in words
    assert len(set(words)) <= 2, "two where they meet"
