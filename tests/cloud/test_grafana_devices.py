"""Gateways, kinds of devices and what they say: what panels answer from known lines, and how they are laid out."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from cloud.grafana import readings
from cloud.grafana.board import COLUMNS, Board, Context
from cloud.grafana.boards import device_type, gateways, ingest, response, towers
from cloud.influx.lines import encode_lines
from contract.telemetry import Point, Sample, Value
from device_profiles.catalogue import load_profile
from langyan.servers import Influx
from tests.cloud import grafana_rig
from tests.cloud.grafana_stock import profiles
from tests.cloud.rig import fresh

NOW_US = time.time_ns() // 1_000
MINUTE_US = 60_000_000
CONTEXT = Context(profiles=(load_profile("generic/xy-md02"),))
CHOSEN = {"area": "all", "site": "s", "gateway": "g", "one": "g", "device": "d", "unit": "temperature"}


class Store:
    """A database of its own with what one gateway says."""

    def __init__(self, influx: Influx) -> None:
        self.url, self.database = influx.url, fresh("devices")
        grafana_rig.command(self.url, f'CREATE DATABASE "{self.database}"')

    def put(
        self, device: str, points: Mapping[str, Value], *, minutes_ago: float, received_ago: float | None = None
    ) -> None:
        """Write what a device said."""
        at_us = NOW_US - round(minutes_ago * MINUTE_US)
        received_us = NOW_US - round((minutes_ago if received_ago is None else received_ago) * MINUTE_US)
        sample = Sample(device, at_us, tuple(Point(key, value) for key, value in points.items()))
        lines = list(encode_lines([sample], tags={"gateway": "g"}, received_at_us=received_us))
        grafana_rig.write(self.url, lines, database=self.database)

    def values(self, board: Board, title: str, column: str) -> list[Any]:
        """Ask what a panel asks; nothing of what is not there."""
        found = []
        for asked in grafana_rig.questions(board.build(), CHOSEN, now_ms=NOW_US // 1_000 + 60_000):
            if asked.panel.get("title") == title:
                answer = grafana_rig.ask(self.url, asked.question, database=self.database)
                found += [row[one.columns.index(column)] for one in answer for row in one.values]
        return [value for value in found if value is not None]


@pytest.fixture
def store(influx: Influx) -> Store:
    return Store(influx)


def test_reconnects_of_a_gateway_that_was_started_anew_are_those_it_made(store: Store) -> None:
    for minutes_ago, connects in ((50, 100.0), (40, 103.0), (30, 1.0), (20, 2.0)):
        store.put("gateway", {"uplink.connects": connects}, minutes_ago=minutes_ago)
    assert store.values(gateways.board(CONTEXT), "Most reconnects", "n") == [4]


def test_what_was_said_of_the_future_is_not_the_latest(store: Store) -> None:
    """A gateway's clock was twenty minutes ahead until it was put right."""
    for minutes_ago, waiting, degrees in ((-20, 900.0, 99.0), (1, 7.0, 21.0)):
        store.put("gateway", {"outbox.readings_waiting": waiting}, minutes_ago=minutes_ago, received_ago=5)
        where = {"temperature": degrees, "latitude": degrees, "longitude": degrees}
        store.put("d", where, minutes_ago=minutes_ago, received_ago=5)
    assert store.values(gateways.board(CONTEXT), "What they say of themselves", "waiting") == [7]
    assert store.values(towers.board(CONTEXT), "Weather now", "temperature") == [21]
    live = Board(CONTEXT, "langyan-x", "x", words="x").add(
        readings.live(CONTEXT, where="\"device\" = 'd'"), width=24, height=8
    )
    assert store.values(live, "Live values", "last_temperature") == [21]
    (kind,) = (one for one in device_type.boards(CONTEXT) if one.uid == "langyan-kind-climate-sensor")
    latest = [one["title"] for one in kind.build()["panels"] if one["type"] == "bargauge"]
    assert [value for title in latest for value in _bars(store, kind, title)] == [21]
    vehicles = Context(profiles=tuple(one for one in profiles() if one.kind == "vehicle-terminal"))
    (vehicle,) = device_type.boards(vehicles)
    assert store.values(vehicle, "Last places", "latitude") == [21]


def _bars(store: Store, board: Board, title: str) -> list[Any]:
    model = board.build()
    only = {**model, "panels": [one for one in model["panels"] if one["type"] == "bargauge" and one["title"] == title]}
    found = []
    for asked in grafana_rig.questions(only, CHOSEN, now_ms=NOW_US // 1_000 + 60_000):
        answer = grafana_rig.ask(store.url, asked.question, database=store.database)
        found += [row[1] for one in answer for row in one.values]
    return found


def test_an_outage_stays_to_be_seen_after_it_has_been_caught_up_on(store: Store) -> None:
    title = "Came late"
    store.put("d", {"temperature": 20.0}, minutes_ago=300, received_ago=299.5)
    assert store.values(gateways.board(CONTEXT), title, "max") == []
    store.put("d", {"temperature": 20.0}, minutes_ago=200, received_ago=80)
    store.put("gateway", {"outbox.readings_waiting": 3.0}, minutes_ago=100, received_ago=80)
    assert store.values(gateways.board(CONTEXT), title, "max") == [7_200, 1_200]
    (panel,) = (one for one in gateways.board(CONTEXT).build()["panels"] if one.get("title") == title)
    assert panel["fieldConfig"]["defaults"]["noValue"] == "Nothing came late."


def test_counts_of_what_stands_now_are_whole_and_times_have_their_unit() -> None:
    panels = {one.get("title"): one for one in gateways.board(CONTEXT).build()["panels"]}
    shown = {title: panels[title]["fieldConfig"]["defaults"] for title in ("Mute units", "Oldest reading")}
    assert shown["Mute units"]["decimals"] == 0
    assert shown["Oldest reading"]["unit"] == "s"


def test_names_of_lines_are_in_the_language_of_the_dashboards() -> None:
    english, chinese = (
        {target["query"] for one in ingest.board(context).build()["panels"] for target in one.get("targets", ())}
        for context in (Context(language="en"), Context(language="zh"))
    )
    assert [one for one in english & chinese if ' AS "messages"' in one or ' AS "longest"' in one] == []


@pytest.mark.parametrize(
    "board",
    [
        *(make(CONTEXT) for make in (gateways.board, ingest.board, response.board, towers.board)),
        *device_type.boards(Context(profiles=profiles())),
    ],
    ids=lambda board: board.uid,
)
def test_no_place_of_the_grid_is_empty(board: Board) -> None:
    places = [one["gridPos"] for one in board.build()["panels"]]
    covered = {
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    }
    deep = max(y for _x, y in covered) + 1
    assert {(x, y) for x in range(COLUMNS) for y in range(deep)} == covered
