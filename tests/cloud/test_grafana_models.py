"""What every dashboard is, looked at without a database: names of the schema, the grid, ids, links, texts."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from cloud.grafana.board import COLUMNS, TAG, Context
from cloud.grafana.build import Built, build_all
from cloud.grafana.influxql import DATASOURCE_UID
from tests.cloud.grafana_questions import unknown_names
from tests.cloud.grafana_stock import profiles

Model = dict[str, Any]

WITHOUT_QUESTIONS = {"text", "row", "annolist", "alertlist", "dashlist"}
_UID = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::\w+)?\}")
_TO_BOARD = re.compile(r"/d/(?P<uid>[\w-]+)(?P<open>\$\{)?")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_GIVEN = re.compile(r"^(?:__\w+|timeFilter)$")
_CALMEST_S = {"10s": 10, "30s": 30, "1m": 60, "5m": 300, "15m": 900}
_URL = "https://desk.example"


def built(language: str) -> list[Built]:
    return build_all(Context(language=language, desk_url=_URL, profiles=profiles()))


@pytest.fixture(scope="module")
def boards() -> list[Built]:
    return built("en")


def panels_of(model: Model) -> list[Model]:
    return [one for panel in model.get("panels", ()) for one in (panel, *panel.get("panels", ()))]


def questions_of(model: Model) -> Iterator[tuple[str, str]]:
    for variable in model.get("templating", {}).get("list", ()):
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]
    for panel in panels_of(model):
        for target in panel.get("targets", ()):
            if target.get("datasource", {}).get("uid") == DATASOURCE_UID:
                yield f"panel {panel['id']} {panel['title']!r}", target["query"]
    for annotation in model["annotations"]["list"]:
        if annotation["datasource"]["uid"] == DATASOURCE_UID:
            yield f"annotation {annotation['name']!r}", annotation["target"]["query"]


def texts_of(model: Model) -> Iterator[str]:
    """What people read: titles and descriptions, headings of columns, names of links."""
    yield from (model["title"], model.get("description", ""))
    yield from (link["title"] for link in model.get("links", ()))
    for variable in model.get("templating", {}).get("list", ()):
        yield variable.get("label") or ""
    for panel in panels_of(model):
        yield from (panel.get("title") or "", panel.get("description") or "")
        for one in panel.get("transformations", ()):
            yield from one["options"].get("renameByName", {}).values()


def test_every_name_in_a_question_is_in_the_schema(boards: list[Built]) -> None:
    faults = [
        f"{one.uid}: {where}: {words}\n    {question}"
        for one in boards
        for where, question in questions_of(one.model)
        for words in unknown_names(question)
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ('SELECT last("open") FROM "area_state"', []),
        ('SELECT "x" FROM (SELECT last("open") AS "x" FROM "area_state" WHERE "area" =~ /^a "b"$/)', []),
        ('SELECT last("opened") FROM "area_state" WHERE "sité" = \'no "name"\'', ["opened", "sité"]),
        ('SELECT last("tours") FROM "patrol"', ["patrol is in the policy ['long'], not in ''"]),
        ('SELECT last("open") FROM "nothing"', ["no measurement 'nothing'", "no field or tag 'open'"]),
        ('SELECT mean("mean_temperature") FROM "hours"."telemetry" WHERE "device" =~ /x/', []),
        ('SELECT mean("mean_temperature") FROM "telemetry" WHERE site =~ /x/', ["mean_temperature", "site"]),
        ("SHOW MEASUREMENTS", ["asks nothing"]),
    ],
)
def test_a_name_that_is_not_in_the_schema_is_found(question: str, words: list[str]) -> None:
    found = list(unknown_names(question))
    assert len(found) == len(words), found
    assert all(word in one for one, word in zip(found, words, strict=True))


def test_the_sdk_reads_every_dashboard_and_writes_the_same(boards: list[Built]) -> None:
    plugins.register_default_plugins()
    for one in boards:
        read = models.Dashboard.from_json(json.loads(json.dumps(one.model)))
        assert json.loads(json.dumps(read, cls=JSONEncoder)) == one.model, one.uid


def test_uids_are_good_for_grafana_and_no_two_alike(boards: list[Built]) -> None:
    uids = [one.uid for one in boards]
    assert len(set(uids)) == len(uids)
    for one in boards:
        assert one.model["uid"] == one.uid
        assert _UID.match(one.uid)
        assert one.uid.startswith("langyan-")
        assert one.model["tags"] == [TAG]
        assert one.model.get("id") is None


def test_panels_lie_on_the_grid_and_on_no_other(boards: list[Built]) -> None:
    for one in boards:
        panels = panels_of(one.model)
        ids = [panel["id"] for panel in panels]
        assert len(set(ids)) == len(ids), one.uid
        places = [(panel["gridPos"], panel.get("title")) for panel in one.model.get("panels", ())]
        for place, title in places:
            assert place["x"] >= 0 < place["w"], title
            assert place["x"] + place["w"] <= COLUMNS, title
        for (a, title), (b, other) in combinations(places, 2):
            beside = a["x"] >= b["x"] + b["w"] or b["x"] >= a["x"] + a["w"]
            below = a["y"] >= b["y"] + b["h"] or b["y"] >= a["y"] + a["h"]
            assert beside or below, f"{one.uid}: {title} on {other}"


def test_every_panel_has_a_title_and_asks_something_of_a_data_source(boards: list[Built]) -> None:
    for one in boards:
        shown = [panel for panel in panels_of(one.model) if panel["type"] != "row"]
        assert len(shown) > 2, f"{one.uid} is empty"
        for panel in shown:
            where = f"{one.uid}: {panel.get('title')}"
            assert panel.get("title"), where
            if panel["type"] in WITHOUT_QUESTIONS:
                continue
            assert panel["datasource"]["uid"], where
            assert panel["targets"], where
            refs = [target["refId"] for target in panel["targets"]]
            assert len(set(refs)) == len(refs), where


def test_variables_are_asked_for_after_they_are_chosen(boards: list[Built]) -> None:
    for one in boards:
        known: set[str] = set()
        variables = one.model.get("templating", {}).get("list", [])
        for variable in variables:
            used = {match["name"] for match in _VARIABLE.finditer(str(variable.get("query", "")))}
            assert used <= known, f"{one.uid}: {variable['name']}"
            known.add(variable["name"])
        used = {match["name"] for match in _VARIABLE.finditer(json.dumps(one.model.get("panels"), ensure_ascii=False))}
        assert {name for name in used if not _GIVEN.match(name)} <= known, one.uid


def test_links_lead_to_dashboards_there_are(boards: list[Built]) -> None:
    uids = {one.uid for one in boards}
    for one in boards:
        for match in _TO_BOARD.finditer(json.dumps(one.model, ensure_ascii=False)):
            known = any(uid.startswith(match["uid"]) for uid in uids) if match["open"] else match["uid"] in uids
            assert known, f"{one.uid}: {match[0]}"
    by_uid = {one.uid: json.dumps(one.model) for one in boards}
    assert "/d/langyan-site" in by_uid["langyan-alarm-wall"]
    assert "/d/${__data.fields.board:percentencode}" in by_uid["langyan-site"]


def test_no_dashboard_asks_more_often_than_every_ten_seconds(boards: list[Built]) -> None:
    for one in boards:
        assert _CALMEST_S[one.model["refresh"]] >= 10


def test_nothing_leads_out_but_to_the_desk(boards: list[Built]) -> None:
    for one in boards:
        urls = re.findall(r"https?://[^\s\"\\]+", json.dumps(one.model))
        assert all(url.startswith(_URL) for url in urls), (one.uid, urls)


def test_severities_are_never_told_by_colour_alone(boards: list[Built]) -> None:
    """A field whose values are mapped to colours has words for them too."""
    for one in boards:
        for panel in panels_of(one.model):
            config = panel.get("fieldConfig", {})
            of_overrides = [
                prop["value"] for rule in config.get("overrides", ()) for prop in rule["properties"]
                if prop["id"] == "mappings"
            ]  # fmt: skip
            for mappings in [config.get("defaults", {}).get("mappings") or [], *of_overrides]:
                # Nothing is said by `noValue`.
                for mapping in (one for one in mappings if one["options"].get("match") != "null"):
                    results = (
                        mapping["options"].values() if mapping["type"] == "value" else [mapping["options"]["result"]]
                    )
                    assert all(result.get("text") for result in results if result.get("color")), panel.get("title")


def test_every_text_is_there_in_chinese(boards: list[Built]) -> None:
    for english, chinese in zip(boards, built("zh"), strict=True):
        assert english.uid == chinese.uid
        pairs = zip(texts_of(english.model), texts_of(chinese.model), strict=True)
        same = [words for words, other in pairs if words == other and re.search(r"[A-Za-z]{3}", words)]
        assert [words for words in same if not _HAN.search(words)] == [], english.uid


def test_a_dashboard_built_twice_is_the_same(boards: list[Built]) -> None:
    assert [one.model for one in boards] == [one.model for one in built("en")]
