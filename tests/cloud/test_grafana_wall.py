"""The alarm wall, the site and the response: what their questions find, and what they leave out."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cloud.grafana.board import Board, Context
from cloud.grafana.boards import alarm_wall, ingest, response, site
from cloud.grafana.build import build_all
from cloud.grafana.look import NORMAL
from cloud.influx.schema import LONG_POLICY, MEASUREMENTS, label_of, path_tag
from contract.ids import is_id
from device_profiles.catalogue import load_profile
from langyan.servers import Influx
from tests.cloud import grafana_rig
from tests.cloud.grafana_stock import line_of

DESK = "https://desk.example.org"
MINUTE_US = 60_000_000
NOW_MS = time.time_ns() // 1_000_000
EAST, WEST = path_tag("city/east/"), path_tag("city/west/")
ROW = dict[str, Any]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Influx(tmp_path_factory.mktemp("influx")).start()
    try:
        _write(server.url, time.time_ns() // 1_000)
        yield server.url
    finally:
        server.stop()


def context(**said: Any) -> Context:
    return Context(**{"desk_url": DESK, "profiles": (load_profile("generic/xy-md02"),)} | said)


def answer(board: Board, title: str, url: str, **chosen: str) -> list[ROW]:
    """Ask the first question of a panel; its rows by column."""
    model = board.build()
    now_ms = time.time_ns() // 1_000_000
    for asked in grafana_rig.questions(model, chosen, now_ms=now_ms):
        if asked.panel.get("title") == title:
            found = grafana_rig.ask(url, asked.question)
            return [dict(zip(one.columns, row, strict=True)) for one in found for row in one.values]
    raise AssertionError(f"no panel {title!r}")


def panel(board: Board, title: str) -> ROW:
    return next(one for one in board.build()["panels"] if one.get("title") == title and one["type"] != "row")


def _write(url: str, now_us: int) -> None:
    grafana_rig.command(url, f'CREATE DATABASE "{grafana_rig.DATABASE}"')
    grafana_rig.command(url, f'CREATE RETENTION POLICY "{LONG_POLICY}" ON "langyan" DURATION INF REPLICATION 1')
    lines, kept = [], []
    alarms = (
        # name, area, severity, how many minutes ago written, open, what it says
        ("fresh", EAST, 4, 0, 1),
        ("far", WEST, 2, 0, 1),
        ("stale", EAST, 3, 6, 1),
        ("closed", EAST, 0, 0, 0),
    )
    for name, path, severity, ago, is_open in alarms:
        tags = {"device": name, "gateway": "g", "kind": "panic", "path": path, "point": "p", "rule": "r", "site": "s.1"}
        fields: ROW = {"alarm_id": "a" * 24, "age_s": 600.0, "target_s": 300.0, "state": "unacknowledged"}
        before = {**fields, "severity": 4, "open": 1}
        lines.append(line_of(MEASUREMENTS["alarm_state"], tags, before, now_us - (ago + 1) * MINUTE_US))
        now = {**fields, "severity": severity, "open": is_open, "text_en": f"{name} 'one'", "text_zh": f"{name} 一"}
        lines.append(line_of(MEASUREMENTS["alarm_state"], tags, now, now_us - ago * MINUTE_US))
    for name, worst, ago in (("s.1", 4, 0), ("sx1", 0, 0), ("gone", 3, 11)):
        tags = {"kind": "school", "path": EAST, "site": name}
        fields = {"label": label_of(name, name), "worst": worst, "level": "critical" if worst else "none"}
        lines.append(line_of(MEASUREMENTS["site_state"], tags, fields, now_us - ago * MINUTE_US))
    everything = {"area": "all", "level": "all"}
    lines.append(line_of(MEASUREMENTS["area_state"], everything, {"worst": 0}, now_us - 5 * MINUTE_US))
    day = {"handled": 4, "closed_within": 3, "closed": 4, "false_calls": 1}
    empty = dict.fromkeys(day, 0)
    # What nobody has taken yet, and was closed all the same: it counts, in the rate as in the table.
    more = {"handled": 0, "closed_within": 3, "closed": 0, "false_calls": 0}
    rest = {"handled": 4, "closed_within": 0, "closed": 0, "false_calls": 0}
    for name, kind, fields in (("east", "panic", day), ("west", "panic", empty), ("east", "smoke", more),
                               ("east", "tamper", rest)):  # fmt: skip
        tags = {"area": name, "kind": kind, "severity": "high"}
        kept.append(line_of(MEASUREMENTS["alarms_by_area"], tags, fields, now_us - 60 * MINUTE_US))
    grafana_rig.write(url, lines)
    grafana_rig.write(url, kept, policy=LONG_POLICY)


def test_the_wall_shows_what_is_open_and_fresh_and_nothing_else(url: str) -> None:
    found = answer(alarm_wall.board(context()), "Open alarms", url, area="all")
    assert {one["device"]: one["severity"] for one in found} == {"fresh": -4, "far": -2}
    (fresh,) = (one for one in found if one["device"] == "fresh")
    assert (fresh["age_min"], fresh["target_min"], fresh["share"], fresh["text"]) == (10, 5, 200, "fresh 'one'")


def test_an_area_narrows_the_wall_and_a_language_its_texts(url: str) -> None:
    board = alarm_wall.board(context(language="zh"))
    title = context(language="zh").say("Open alarms")
    assert [one["text"] for one in answer(board, title, url, area="west")] == ["far 一"]
    assert answer(board, title, url, area="wes") == []


def test_the_map_has_the_sites_that_are_heard_quiet_ones_too(url: str) -> None:
    found = answer(alarm_wall.board(context()), "Map of the sites", url, area="all")
    assert {one["site"]: one["level"] for one in found} == {"s.1": -1004, "sx1": -1000}


def test_a_timeline_has_only_sites_that_had_alarms_and_no_silence_as_none(url: str) -> None:
    board = alarm_wall.board(context())
    assert [one["max"] for one in answer(board, "Sites with alarms", url, area="all")] == [3, 4]
    # A quiet night is told from silence by the area's own words, with nothing drawn where there are none.
    assert [one["max"] for one in answer(board, "The area over time", url, area="all")] == [0]
    for title in ("Sites with alarms", "The area over time"):
        assert panel(board, title)["fieldConfig"]["defaults"]["custom"]["insertNulls"] == 900_000


def test_a_number_that_nobody_writes_is_grey_and_no_nought() -> None:
    shown = [panel(alarm_wall.board(context()), "▲ Critical"), panel(site.board(context()), "Worst open alarm")]
    for defaults in (one["fieldConfig"]["defaults"] for one in shown):
        assert defaults["noValue"] == "–"
        assert defaults["mappings"][-1]["options"]["match"] == "null"
        assert defaults["mappings"][-1]["options"]["result"]["color"] == NORMAL
    dead = panel(ingest.board(context()), "Workers")["fieldConfig"]["defaults"]
    # Without a worker there is none, and that is red.
    assert (dead["noValue"], dead.get("mappings", [])) == ("0", [])


def test_no_id_is_shown_as_a_word_in_a_row_with_links() -> None:
    for board, title in (
        (alarm_wall.board(context()), "Map of the sites"),
        (alarm_wall.board(context()), "Open alarms"),
        (site.board(context()), "Devices"),
        (site.board(context()), "Gateways"),
    ):
        defaults = panel(board, title)["fieldConfig"]["defaults"]
        taken = set(re.findall(r"__data\.fields\.(\w+)", str(defaults["links"])))
        words = {key for one in defaults["mappings"] for key in one["options"]}
        # What a link takes is an id, which a unit or a mapping would change, unless it is made for links.
        assert "unit" not in defaults, title
        assert taken <= {"way_site", "way_device", "alarm_id"} or not [key for key in words if is_id(key)], title


def test_a_question_over_a_subquery_says_its_time_outside_too() -> None:
    """InfluxDB 1.x looks through all that it has kept for a question outside, unless that has a time too."""
    found = 0
    for built in build_all(context()):
        targets = [one for each in built.model["panels"] for one in each.get("targets", ())]
        variables = built.model.get("templating", {}).get("list", [])
        texts = [one.get("query", "") for one in (*targets, *variables)]
        for asked in (text for text in texts if isinstance(text, str) and "FROM (" in text):
            found += 1
            depth, outside = 0, ""
            for sign in asked:
                depth += {"(": 1, ")": -1}.get(sign, 0)
                outside += sign if depth == 0 else ""
            assert re.search(r"WHERE (\$timeFilter|time > now)", outside), asked
    assert found > 10


def test_a_full_stop_in_a_sites_id_is_no_pattern(url: str) -> None:
    (found,) = answer(site.board(context()), "Worst open alarm", url, site="s.1")
    assert found["last"] == 4


def test_the_disposition_rate_is_that_of_the_numbers(url: str) -> None:
    board = response.board(context())
    assert [one["share"] for one in answer(board, "Disposition rate", url, area="east")] == [0.75]
    (row,) = answer(board, "Areas compared", url, compared="east")
    assert row["disposition"] == 75
    # Where nobody took anything there is no rate, and not one of nought.
    assert answer(board, "Disposition rate", url, area="west") == []


@pytest.mark.parametrize("title", ["False calls", "Alarms of each day"])
def test_what_is_counted_by_local_day_is_drawn_as_wide_as_a_day(url: str, title: str) -> None:
    board = response.board(context(timezone="Asia/Kathmandu"))
    (drawn,) = (one for one in board.build()["panels"] if one.get("title") == title and one["type"] == "timeseries")
    assert drawn["interval"] == "1d"
    one = next(asked for asked in grafana_rig.questions(board.build(), {"area": "east"}, now_ms=NOW_MS)
               if asked.panel.get("id") == drawn["id"] and "critical" not in asked.question)  # fmt: skip
    moments = [row[0] for found in grafana_rig.ask(url, one.question) for row in found.values]
    assert {moment % 86_400_000 for moment in moments} == {(24 * 60 - 345) * 60_000}, "midnight in Kathmandu"


def test_a_row_leads_to_the_desk_only_where_the_desk_is_known() -> None:
    tables = [panel(alarm_wall.board(context(desk_url=desk)), "Open alarms") for desk in (DESK, "")]
    with_desk, without = ([link["url"] for link in one["fieldConfig"]["defaults"]["links"]] for one in tables)
    assert with_desk[0] == f"{DESK}/alarms/${{__data.fields.alarm_id:percentencode}}"
    assert with_desk[1:] == without
    assert all(way.startswith("/d/langyan-site?") for way in without)


def test_a_severity_below_zero_has_its_sign_and_no_other_number_has() -> None:
    mappings = panel(alarm_wall.board(context()), "Open alarms")["fieldConfig"]["defaults"]["mappings"]
    words = {key: result["text"] for one in mappings for key, result in one["options"].items()}
    assert words["-4"] == "▲ critical"
    assert not [key for key in words if key.isdigit()]


def test_without_profiles_a_site_has_no_readings_and_no_variable_for_them() -> None:
    model = site.board(context(profiles=())).build()
    assert [one["name"] for one in model["templating"]["list"]] == ["area", "site", "gateway", "device"]
    assert not [one for one in model["panels"] if one.get("title") in {"Live values", "Readings"}]


@pytest.mark.parametrize("make", [alarm_wall.board, site.board, response.board])
def test_overrides_hold_objects_alone_as_grafanas_schema_wants(make: Any) -> None:
    for one in make(context()).build()["panels"]:
        for override in one.get("fieldConfig", {}).get("overrides", ()):
            assert isinstance(override["matcher"]["options"], dict), one["title"]
            assert all(isinstance(setting["value"], dict) for setting in override["properties"]), one["title"]
