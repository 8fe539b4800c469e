"""The check: every question of a dashboard through Grafana, down to a real InfluxDB."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from cloud.grafana.asking import read
from cloud.grafana.board import Board, Context
from cloud.grafana.boards import alarm_wall, site
from cloud.grafana.check import Asked, check, uids_of
from cloud.grafana.client import GrafanaClient
from cloud.grafana.errors import GrafanaAwayError, GrafanaMissingError, GrafanaRightsError
from cloud.grafana.influxql import below, chosen, series, table
from cloud.grafana.items import DashboardItem, FolderItem, Item, PermissionsItem, SourceItem
from cloud.grafana.look import lines, rows
from cloud.grafana.push import push
from cloud.grafana.source import data_source
from cloud.grafana.variables import area, device, gateway
from cloud.grafana.variables import site as site_variable
from cloud.settings import Influx1
from langyan.servers import Influx
from tests.cloud.fake_grafana import ADMIN, EDITOR, VIEWER, FakeGrafana

pytestmark = pytest.mark.anyio
CONTEXT = Context(desk_url="https://desk.example.org")
IN_SITE = f'SELECT last("worst") FROM "device_state" WHERE $timeFilter AND {chosen("site")} AND {chosen("device")}'  # noqa: S608


def frame(*kinds: str, values: list[list[Any]]) -> dict[str, Any]:
    """Write a frame as Grafana does."""
    return {"schema": {"fields": [{"type": kind} for kind in kinds]}, "data": {"values": values}}


@pytest.fixture
async def grafana(grafana_influx: Influx) -> AsyncIterator[FakeGrafana]:
    """A Grafana with our data source, whose InfluxDB has everything."""
    async with FakeGrafana() as fake:
        fake.store.influx_url = grafana_influx.url
        source = SourceItem(data_source(Influx1(url=grafana_influx.url), secret=str))
        await brought(fake, source)
        yield fake


async def brought(grafana: FakeGrafana, *items: Item) -> None:
    async with GrafanaClient(grafana.url, ADMIN) as client:
        await push(client, items, dry_run=False, force=False, told=lambda _: None)


async def checked(grafana: FakeGrafana, model: dict[str, Any]) -> list[Asked]:
    """Bring a dashboard, to where everybody sees it, and check it."""
    await brought(grafana, DashboardItem("", model))
    found: list[Asked] = []
    async with GrafanaClient(grafana.url, VIEWER) as client:
        await check(client, [model["uid"]], found.append)
    return found


def board() -> Board:
    made = Board(CONTEXT, "langyan-try", "Try", words="Try")
    return made.variable(area(CONTEXT), site_variable(CONTEXT), gateway(CONTEXT), device(CONTEXT))


async def test_dashboards_as_built_show_something_in_every_panel(grafana: FakeGrafana) -> None:
    for made in (alarm_wall.board(CONTEXT), site.board(CONTEXT)):
        found = await checked(grafana, made.build())
        assert {one.kind for one in found} == {"panel", "variable", "annotation"}
        assert [one for one in found if one.faults or one.is_empty] == []


async def test_variables_are_chosen_in_their_order_and_filled_in_as_a_browser_does(grafana: FakeGrafana) -> None:
    found = await checked(grafana, board().add(lines(CONTEXT, "Lines", series(IN_SITE)), width=24, height=8).build())
    assert [(one.kind, one.name) for one in found] == [
        ("variable", "area"), ("variable", "site"), ("variable", "gateway"), ("variable", "device"),
        ("panel", "Lines [1]"),
    ]  # fmt: skip
    assert not any(one.is_empty or one.faults for one in found)
    sent = grafana.asked("POST", "/api/ds/query")[-1].body
    (query,) = sent["queries"]
    # What its server fills in is left to it; all devices of one site are one pattern.
    assert "$timeFilter" in query["query"]
    assert "${" not in query["query"]
    assert '"site" =~ /^' in query["query"]
    assert (sent["from"], sent["to"]) == ("now-24h", "now")
    assert query["intervalMs"] % 1_000 == 0


async def test_what_fails_and_what_is_empty_is_told_with_its_place(grafana: FakeGrafana) -> None:
    made = board()
    made.add(lines(CONTEXT, "Wrong", series('SELECT last("worst" FROM "device_state"')), width=12, height=4)
    nothing = f'SELECT * FROM "device_state" WHERE {below()} AND "site" = \'nowhere\''  # noqa: S608
    made.add(rows(CONTEXT, "Nothing", table(nothing), columns={}), width=12, height=4)
    made.annotate("Never", 'SELECT "x" AS "text" FROM "nothing"', colour="red")
    told = {one.name: one for one in await checked(grafana, made.build())}
    assert "error parsing query" in told["Wrong [1]"].faults[0]
    assert told["Wrong [1]"].faults[0].startswith("A: ")
    assert not told["Wrong [1]"].is_empty
    assert told["Nothing [2]"].is_empty
    assert told["Never"].is_empty
    assert not told["area"].is_empty


async def test_one_question_that_fails_does_not_hide_the_others_of_its_panel(grafana: FakeGrafana) -> None:
    panel = lines(CONTEXT, "Two", series(IN_SITE)).with_target(series("SELECT", ref_id="B"))
    (told,) = [
        one for one in await checked(grafana, board().add(panel, width=24, height=8).build()) if one.kind == "panel"
    ]
    assert [fault[:3] for fault in told.faults] == ["B: "]
    assert told.rows > 0


async def test_a_variable_with_no_choices_is_empty(grafana: FakeGrafana) -> None:
    made = Board(CONTEXT, "langyan-try", "Try", words="Try").variable(site_variable(CONTEXT, kind="castle"))
    made.add(lines(CONTEXT, "Lines", series(IN_SITE)), width=24, height=8)
    told = {one.name: one for one in await checked(grafana, made.build())}
    assert told["site"].is_empty


async def test_what_asks_somebody_elses_data_source_is_not_asked(grafana: FakeGrafana) -> None:
    model = board().add(lines(CONTEXT, "Lines", series("SELECT")), width=24, height=8).build()
    for target in model["panels"][0]["targets"]:
        target["datasource"] = {"type": "influxdb", "uid": "theirs"}
    model["panels"] += [{"id": 9, "type": "row", "title": "R", "panels": [{"id": 10, "type": "text"}]}]
    assert {one.kind for one in await checked(grafana, model)} == {"variable"}


async def test_our_dashboards_are_found_by_their_tag(grafana: FakeGrafana) -> None:
    model = board().build()
    await brought(grafana, DashboardItem("", model), DashboardItem("", {**model, "uid": "theirs", "tags": []}))
    async with GrafanaClient(grafana.url, VIEWER) as client:
        assert await uids_of(client) == ["langyan-try"]


async def test_dashboards_of_a_folder_are_found_by_who_may_see_it(grafana: FakeGrafana) -> None:
    model = board().build()
    await brought(grafana, FolderItem("f", "F"), DashboardItem("f", model))
    await brought(grafana, PermissionsItem("f", "F", {"Editor": "edit"}, {}))
    async with GrafanaClient(grafana.url, VIEWER) as client:
        assert await uids_of(client) == []
        with pytest.raises(GrafanaRightsError) as caught:
            await check(client, [model["uid"]], lambda _: None)
        assert "Editor for a check" in caught.value.hint
    async with GrafanaClient(grafana.url, EDITOR) as client:
        assert await uids_of(client) == [model["uid"]]


def one_panel(uid: str, *panels: str) -> dict[str, Any]:
    made = Board(CONTEXT, uid, "Try", words="Try")
    for panel in panels:
        made.add(lines(CONTEXT, panel, series('SELECT last("worst") FROM "device_state"')), width=12, height=4)
    return made.build()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: web.Response(status=504, text="<html>gateway timeout"), "HTTP 504"),
        (lambda: web.Response(status=502, body='{"message": "网关错误"}'.encode("gbk")), "HTTP 502"),
        (lambda: web.json_response({"message": "x"}, status=400), "HTTP 400"),
        (lambda: web.json_response("x" * 200_000), "more than 100000 bytes"),
    ],
)
async def test_one_question_without_an_answer_is_its_panels_fault(
    grafana: FakeGrafana, answer: Callable[[], web.Response], words: str
) -> None:
    model = one_panel("langyan-try", "One", "Two", "Three", "Four", "Five")
    await brought(grafana, DashboardItem("", model))
    # Two in a row, and two again after one that went well.
    bad = {1, 2, 4, 5}

    def meddle(request: web.Request) -> web.Response | None:
        return answer() if "/ds/" in request.path and len(grafana.asked("POST", "/api/ds")) in bad else None

    grafana.seen.clear()
    grafana.meddle = meddle
    found: list[Asked] = []
    async with GrafanaClient(grafana.url, VIEWER, max_answer_bytes=100_000) as client:
        await check(client, [model["uid"]], found.append)
    assert [(one.name[:3], bool(one.faults)) for one in found] == [
        ("One", True), ("Two", True), ("Thr", False), ("Fou", True), ("Fiv", True),
    ]  # fmt: skip
    assert all(words in one.faults[0] and one.faults[0].startswith("A: ") for one in found if one.faults)


async def test_a_dashboard_that_went_away_meanwhile_does_not_end_it(grafana: FakeGrafana) -> None:
    await brought(grafana, DashboardItem("", one_panel("langyan-try", "One")))
    found: list[Asked] = []
    async with GrafanaClient(grafana.url, VIEWER) as client:
        await check(client, ["gone", "langyan-try", "gone"], found.append)
    assert [(one.kind, bool(one.faults)) for one in found] == [
        ("dashboard", True), ("panel", False), ("dashboard", True),
    ]  # fmt: skip


async def test_a_grafana_that_refuses_or_fails_as_a_whole_is_no_empty_panel(grafana: FakeGrafana) -> None:
    model = board().build()
    await checked(grafana, model)
    async with GrafanaClient(grafana.url, VIEWER) as client:
        found: list[Asked] = []
        grafana.meddle = lambda request: web.json_response({}, status=404) if "/ds/" in request.path else None
        with pytest.raises(GrafanaMissingError):
            await check(client, [model["uid"]], found.append)
        assert found == []
        grafana.meddle = lambda request: web.json_response({}, status=403) if "/ds/" in request.path else None
        with pytest.raises(GrafanaRightsError):
            await check(client, [model["uid"]], found.append)
        assert found == []
        grafana.meddle = lambda request: web.Response(status=500) if "/ds/" in request.path else None
        with pytest.raises(GrafanaAwayError):
            await check(client, [model["uid"]], found.append)
        assert len(found) == 2, "the third in a row ends it"


@pytest.mark.parametrize(
    ("result", "rows", "texts"),
    [
        ({"frames": []}, 0, ()),
        ({"frames": [{"schema": {"fields": []}, "data": {"values": []}}]}, 0, ()),
        # A table, and lines: the first texts, or else the first that is no time.
        ({"frames": [frame("time", "number", "string", values=[[1, 2], [None, 3], ["a", "b"]])]}, 2, ("a", "b")),
        ({"frames": [frame("time", "number", values=[[1, 2], [None, None]])]}, 0, ()),
        ({"frames": [frame("time", "number", values=[[1], [4]]), frame("time", "number", values=[[1], [4]])]}, 2,
         ("4",)),
    ],
)  # fmt: skip
def test_an_answer_shows_what_its_frames_hold(result: dict[str, Any], rows: int, texts: tuple[str, ...]) -> None:
    answer = read(result)
    assert (answer.fault, answer.rows, answer.texts) == ("", rows, texts)


def test_a_question_without_an_answer_is_a_fault() -> None:
    assert read(None).fault == "no answer"
    assert read({"error": "a\n b"}).fault == "a b"
