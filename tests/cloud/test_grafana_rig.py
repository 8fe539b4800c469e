"""The rig itself: it finds what is wrong with a dashboard, and nothing in one that is right."""

from typing import Any

import pytest

from cloud.grafana.board import Board, Context
from cloud.grafana.expand import Window
from cloud.grafana.influxql import below, chosen, series, table
from cloud.grafana.look import lines, number, places, rows
from cloud.grafana.variables import area, device, gateway, site
from langyan.servers import Influx
from tests.cloud import grafana_rig as rig
from tests.cloud.grafana_stock import SITES

CONTEXT = Context()
NOW_MS = 1_800_000_000_000


def board() -> Board:
    return Board(CONTEXT, "langyan-try", "Try", words="Try")


def faults(model: dict[str, Any], influx: Influx, **choose: Any) -> list[str]:
    return [fault.words for fault in rig.run_dashboard(model, influx.url, choose=choose)]


def of_site(question: str) -> Board:
    made = board().variable(area(CONTEXT), site(CONTEXT), gateway(CONTEXT), device(CONTEXT))
    return made.add(lines(CONTEXT, "Lines", series(question)), width=24, height=8)


def test_a_dashboard_that_is_right_has_no_faults(grafana_influx: Influx) -> None:
    question = (
        f'SELECT mean("temperature") FROM "telemetry" WHERE $timeFilter AND {chosen("site")} AND {chosen("gateway")} '  # noqa: S608
        f'AND {chosen("device")} GROUP BY time($__interval), "device" fill(none)'
    )
    for one in SITES:
        assert faults(of_site(question).build(), grafana_influx, site=one.id) == []


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ('SELECT "open" FROM "area_state" WHERE $timeFilter AND "area" = \'nowhere\'', "empty"),
        ('SELECT last("nothing") FROM "area_state" WHERE $timeFilter', "empty"),
        ('SELECT last("open" FROM "area_state"', "error parsing query"),
        ('SELECT last("open") FROM "area_state" WHERE $other_filter', "a variable that nobody gives: $other_filter"),
        ('SELECT last("open") FROM "area_state" WHERE "area" =~ /${others:regex}/', "a variable that nobody gives"),
    ],
)
def test_a_question_that_shows_nothing_is_a_fault(grafana_influx: Influx, question: str, words: str) -> None:
    (found,) = faults(of_site(question).build(), grafana_influx)
    assert words in found


def test_an_annotation_and_a_variable_without_data_are_faults(grafana_influx: Influx) -> None:
    empty = 'SELECT "text_en" AS "text" FROM "alarm_state" WHERE $timeFilter AND "site" = \'nowhere\''
    assert faults(board().annotate("None", empty, colour="red").build(), grafana_influx) == ["empty"]
    made = board().variable(site(CONTEXT, kind="castle"))
    assert faults(made.build(), grafana_influx, area="all")[:1] == ["a variable that nobody gives: ${area:regex}"]
    made = board().variable(area(CONTEXT), site(CONTEXT, kind="castle"))
    assert faults(made.build(), grafana_influx) == ["empty", "no choices"]


def test_a_table_names_only_columns_it_has_and_mixes_none_up(grafana_influx: Influx) -> None:
    one = 'SELECT last("name") AS "name" FROM "site_state" WHERE $timeFilter GROUP BY "site"'
    columns = {"Time": "When", "site": "Site", "name": "Name"}
    right = board().add(rows(CONTEXT, "Sites", table(one), columns=columns), width=24, height=8)
    assert faults(right.build(), grafana_influx) == []
    wrong = board().add(rows(CONTEXT, "Sites", table(one), columns={"time": "When"}), width=24, height=8)
    assert "organize includeByName: no column 'time'" in faults(wrong.build(), grafana_influx)[0]
    mixed = board().add(rows(CONTEXT, "Sites", table(f'{one}, "path"'), columns=columns), width=24, height=8)
    (found,) = faults(mixed.build(), grafana_influx)
    assert "Grafana mixes up the tags ['path', 'site']" in found


def test_links_and_overrides_and_maps_find_their_fields(grafana_influx: Influx) -> None:
    question = 'SELECT last("name") AS "name", "latitude", "worst" FROM "site_state" WHERE $timeFilter GROUP BY "site"'
    shown = places(CONTEXT, "Map", table(question), colour="worst", label="no_label")
    shown.override_by_name("nome", [])
    found = faults(board().add(shown, width=24, height=8).build(), grafana_influx)
    assert [words.split(" among")[0] for words in found] == [
        "map: no field 'longitude'", "map: no field 'no_label'", "override: no field 'nome'",
    ]  # fmt: skip
    linked = rows(CONTEXT, "Sites", table(question), columns={"name": "Name", "worst": "Worst"})
    model = board().add(linked, width=24, height=8).build()
    url = '/d/x?var-site=${__data.fields.site}&y=${__data.fields["Name"]:percentencode}'
    model["panels"][0]["fieldConfig"]["defaults"]["links"] = [{"title": "Site", "url": url}]
    assert [words.split(" among")[0] for words in faults(model, grafana_influx)] == ["link 'Site': no field 'site'"]


def test_a_number_shows_a_number(grafana_influx: Influx) -> None:
    words = 'SELECT last("name") FROM "site_state" WHERE $timeFilter'
    found = faults(board().add(number(CONTEXT, "N", series(words)), width=4, height=4).build(), grafana_influx)
    assert found == ["no number to show; reduceOptions.fields names no other field"]


def test_a_panel_is_asked_once_for_each_value_that_repeats_it(grafana_influx: Influx) -> None:
    question = f'SELECT last("online") FROM "gateway_state" WHERE {below()} AND {chosen("gateway")}'  # noqa: S608
    model = of_site(question).build()
    model["panels"][0]["repeat"] = "gateway"
    chosen_values = {"area": "zj", "site": "school-3", "gateway": ["gw-school-3-1", "gw-school-3.2"]}
    asked = list(rig.questions(model, chosen_values, now_ms=NOW_MS))
    assert [one.question.split("=~ ")[-1] for one in asked] == ["/^gw-school-3-1$/", r"/^gw-school-3\.2$/"]
    assert faults(model, grafana_influx) == []


def test_the_window_is_as_wide_as_the_dashboard_and_a_point_as_wide_as_a_pixel() -> None:
    model = {"time": {"from": "now-24h", "to": "now"}}
    day_ms = 86_400_000
    half = {"gridPos": {"w": 12}}
    assert rig.window_of(model, half, NOW_MS) == Window(NOW_MS - day_ms, NOW_MS, 120)
    assert rig.window_of(model, half | {"interval": "10m"}, NOW_MS).interval_s == 600
    assert rig.window_of(model, half | {"maxDataPoints": 24}, NOW_MS).interval_s == 3_600
    assert rig.window_of(model, half | {"timeFrom": "7d"}, NOW_MS).from_ms == NOW_MS - 7 * day_ms
    assert rig.moment("now-1d/d", NOW_MS) == (NOW_MS - day_ms) // day_ms * day_ms
