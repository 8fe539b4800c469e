"""The push: everything comes to Grafana, once; what people have changed stays; nobody's secret is shown."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.grafana.board import Board, Context
from cloud.grafana.build import Folder, build_all
from cloud.grafana.client import GrafanaClient
from cloud.grafana.compare import difference, is_covered, shaped
from cloud.grafana.digest import is_untouched
from cloud.grafana.errors import GrafanaAwayError, GrafanaTokenError
from cloud.grafana.folders import ALERTS_UID, uid_of
from cloud.grafana.influxql import series
from cloud.grafana.items import ContactPointItem, DashboardItem, FolderItem, Item, PermissionsItem, RulesItem
from cloud.grafana.look import lines
from cloud.grafana.push import Action, Step, items_of, push, team_name
from cloud.grafana.source import data_source
from cloud.settings import BasicAuth, Influx1, Influx2, TokenAuth
from device_profiles.catalogue import list_profiles, load_profile
from tests.cloud.fake_grafana import ADMIN, EDITOR, VIEWER, FakeGrafana

pytestmark = pytest.mark.anyio
SECRET = "do-not-tell-anybody"
HERE = "http://influxdb:8086"
WRITES = ("POST", "PUT", "DELETE", "PATCH")


def context(**more: Any) -> Context:
    return Context(desk_url="https://desk.example.org", **more)


@cache
def everything(*, url: str = HERE) -> list[Item]:
    return all_of(context(), url=url)


def all_of(made: Context, *, url: str = HERE) -> list[Item]:
    influx = Influx1(url=url, auth=BasicAuth(user="grafana", password_env="PASSWORD"))
    return items_of(made, source=data_source(influx, secret=lambda _: SECRET), alert_secret=SECRET)


def board(*panels: str, title: str = "Try") -> dict[str, Any]:
    made = Board(Context(), "langyan-try", title, words="Try")
    for panel in panels:
        made.add(lines(Context(), panel, series("SELECT 1")), width=12, height=4)
    return made.build()


async def pushed(
    grafana: FakeGrafana, items: Sequence[Item], *, dry_run: bool = False, force: bool = False, token: str = ADMIN
) -> list[Step]:
    steps: list[Step] = []
    async with GrafanaClient(grafana.url, token) as client:
        await push(client, items, dry_run=dry_run, force=force, told=steps.append)
    return steps


async def one(grafana: FakeGrafana, item: Item, **options: Any) -> Step:
    (step,) = await pushed(grafana, [item], **options)
    return step


def written(grafana: FakeGrafana) -> int:
    return sum(len(grafana.asked(method)) for method in WRITES)


async def test_the_first_push_brings_everything_and_the_second_nothing() -> None:
    made = context(profiles=tuple(load_profile(one) for one in list_profiles()[:3]), language="zh")
    async with FakeGrafana() as grafana:
        first = await pushed(grafana, all_of(made))
        # A folder is born with permissions, of which one is as wanted.
        assert {step.action for step in first if step.kind != "permissions"} == {Action.NEW}
        assert [step.action for step in first if step.kind == "permissions"] == [Action.SAME, *[Action.CHANGED] * 3]
        assert set(grafana.store.folders) == {*(uid_of(one) for one in Folder), ALERTS_UID}
        assert set(grafana.store.dashboards) == {one.uid for one in build_all(made)}
        for built in build_all(made):
            there = grafana.store.dashboards[built.uid]
            assert there["meta"]["folderUid"] == uid_of(built.folder)
            assert is_untouched(there["dashboard"])
        before = written(grafana)
        second = await pushed(grafana, all_of(made))
        # Grafana does not show a secret that it keeps; it can only be written again.
        renewed = {step.kind for step in second if step.action is Action.RENEWED}
        assert renewed == {"data source", "contact point"}
        assert {step.action for step in second} == {Action.SAME, Action.RENEWED}
        assert written(grafana) - before == 2


async def test_a_dry_run_tells_the_same_and_changes_nothing() -> None:
    async with FakeGrafana() as grafana:
        told = await pushed(grafana, everything(), dry_run=True)
        assert written(grafana) == 0
        done = await pushed(grafana, everything())
        assert [(one.kind, one.name) for one in told] == [(one.kind, one.name) for one in done]
        assert [one.action for one in told if one.kind != "permissions"] == [
            one.action for one in done if one.kind != "permissions"
        ]
        before = written(grafana)
        moved = await pushed(grafana, everything(url="http://elsewhere:8086"), dry_run=True)
        (step,) = [step for step in moved if step.action is Action.CHANGED]
        assert written(grafana) == before
        assert '- "url": "http://influxdb:8086"' in [" ".join(line.split()).rstrip(",") for line in step.lines]
        assert '+ "url": "http://elsewhere:8086"' in [" ".join(line.split()).rstrip(",") for line in step.lines]
        assert [step.action for step in await pushed(grafana, everything(url="http://elsewhere:8086"))].count(
            Action.CHANGED
        ) == 1
        assert grafana.store.sources["langyan-influxdb"]["url"] == "http://elsewhere:8086"


async def test_a_secret_is_brought_and_never_shown() -> None:
    async with FakeGrafana() as grafana:
        steps = await pushed(grafana, everything())
        grafana.store.sources["langyan-influxdb"]["url"] = "http://changed"
        grafana.store.contact_points[0]["settings"]["url"] = "http://changed"
        steps += await pushed(grafana, everything(), force=True)
        steps += await pushed(grafana, everything(url="http://other"), dry_run=True)
        assert sum(bool(step.lines) for step in steps) >= 3
        assert SECRET not in repr(steps)
        assert grafana.store.sources["langyan-influxdb"]["secureJsonData"] == {"password": SECRET}
        assert grafana.store.contact_points[0]["settings"]["authorization_credentials"] == SECRET


async def test_a_dashboard_that_somebody_has_edited_stays_unless_forced() -> None:
    async with FakeGrafana() as grafana:
        grafana.store.folders["f"] = {"uid": "f", "title": "F"}
        assert (await one(grafana, DashboardItem("f", board("a")))).action is Action.NEW
        assert (await one(grafana, DashboardItem("f", board("a")))).action is Action.SAME
        # A newer one of ours takes the place of an older one of ours.
        assert (await one(grafana, DashboardItem("f", board("a", "b")))).action is Action.CHANGED
        there = grafana.store.dashboards["langyan-try"]
        there["dashboard"]["panels"][0]["title"] = "Mine"
        there["dashboard"]["version"] += 1
        there["messages"].append("made it mine")
        kept = await one(grafana, DashboardItem("f", board("a", "b")))
        assert (kept.action, "by hand" in kept.why) == (Action.KEPT, True)
        assert any("Mine" in line and line.startswith("-") for line in kept.lines)
        assert grafana.store.dashboards["langyan-try"]["dashboard"]["panels"][0]["title"] == "Mine"
        forced = await one(grafana, DashboardItem("f", board("a", "b")), force=True)
        assert forced.action is Action.CHANGED
        assert grafana.store.dashboards["langyan-try"]["dashboard"]["panels"][0]["title"] == "a"
        assert (await one(grafana, DashboardItem("f", board("a", "b")))).action is Action.SAME


async def test_a_dashboard_that_somebody_has_moved_stays_where_it_is_unless_forced() -> None:
    async with FakeGrafana() as grafana:
        grafana.store.folders |= {"f": {"uid": "f", "title": "F"}, "g": {"uid": "g", "title": "G"}}
        await one(grafana, DashboardItem("f", board("a")))
        grafana.store.dashboards["langyan-try"]["meta"]["folderUid"] = "g"
        await one(grafana, DashboardItem("f", board("a", "b")))
        assert grafana.store.dashboards["langyan-try"]["meta"]["folderUid"] == "g"
        await one(grafana, DashboardItem("f", board("a", "b", "c")), force=True)
        assert grafana.store.dashboards["langyan-try"]["meta"]["folderUid"] == "f"


async def test_a_grafana_that_mends_dashboards_as_it_stores_them_is_no_person() -> None:
    async with FakeGrafana() as grafana:
        grafana.store.mend = lambda model: {**model, "schemaVersion": 99, "preload": False}
        assert (await one(grafana, DashboardItem("", board("a")))).action is Action.NEW
        assert (await one(grafana, DashboardItem("", board("a")))).action is Action.SAME
        assert (await one(grafana, DashboardItem("", board("b")))).action is Action.CHANGED
        grafana.store.dashboards["langyan-try"]["messages"].append("by hand")
        assert (await one(grafana, DashboardItem("", board("b")))).action is Action.KEPT


async def test_what_comes_from_a_file_is_left_alone_even_if_forced() -> None:
    async with FakeGrafana() as grafana:
        await pushed(grafana, everything())
        store = grafana.store
        for there in store.dashboards.values():
            there["meta"]["provisioned"] = True
            there["messages"] = ["from a file"]
        store.dashboards["langyan-alarm-wall"]["dashboard"]["title"] = "Older"
        store.sources["langyan-influxdb"] |= {"readOnly": True, "url": "http://other"}
        store.contact_points[0] |= {"provenance": "file", "disableResolveMessage": True}
        (group,) = store.groups.values()
        for rule in group["rules"]:
            rule |= {"provenance": "file", "title": "Older"}
        before = written(grafana)
        steps = await pushed(grafana, everything(), force=True)
        kept = {step.kind: step.why for step in steps if step.action is Action.KEPT}
        assert set(kept) == {"dashboard", "data source", "contact point", "alert rules"}
        assert all("file" in why for why in kept.values())
        assert written(grafana) == before


async def test_alert_rules_made_by_hand_stay_unless_forced() -> None:
    rules = [
        {
            "uid": "r", "title": "R", "condition": "A", "noDataState": "OK", "execErrState": "OK", "for": "300s",
            "data": [{"refId": "A", "datasourceUid": "x", "relativeTimeRange": {"from": 60, "to": 0}, "model": {}}],
        }
    ]  # fmt: skip
    async with FakeGrafana() as grafana:
        grafana.store.folders["f"] = {"uid": "f", "title": "F"}
        item = RulesItem("f", "g/1", 60, rules)
        assert (await one(grafana, item)).action is Action.NEW
        # Grafana gives 300s back as 5m, and with more keys than it was given.
        assert grafana.store.groups["f", "g/1"]["rules"][0]["for"] == "5m"
        assert (await one(grafana, item)).action is Action.SAME
        grafana.store.groups["f", "g/1"]["rules"][0] |= {"for": "10m", "provenance": ""}
        assert (await one(grafana, item)).action is Action.KEPT
        assert (await one(grafana, item, force=True)).action is Action.CHANGED
        assert (await one(grafana, item)).action is Action.SAME


async def test_a_contact_point_of_our_name_that_is_somebody_elses_is_not_touched() -> None:
    item = ContactPointItem({"uid": "ours", "name": "Desk", "type": "webhook", "settings": {"url": "http://x"}})
    async with FakeGrafana() as grafana:
        theirs = {"uid": "theirs", "name": "Desk", "type": "email", "settings": {"addresses": "a@example.org"}}
        grafana.store.contact_points.append(dict(theirs))
        assert (await one(grafana, item)).action is Action.NEW
        assert grafana.store.contact_points[0] == theirs


async def test_a_folder_of_ours_that_somebody_has_named_anew_keeps_its_name_unless_forced() -> None:
    async with FakeGrafana() as grafana:
        await one(grafana, FolderItem("langyan-x", "Ours"))
        grafana.store.folders["langyan-x"]["title"] = "Theirs"
        assert (await one(grafana, FolderItem("langyan-x", "Ours"))).action is Action.KEPT
        assert grafana.store.folders["langyan-x"]["title"] == "Theirs"
        assert (await one(grafana, FolderItem("langyan-x", "Ours"), force=True)).action is Action.CHANGED
        assert grafana.store.folders["langyan-x"]["title"] == "Ours"


async def test_another_folder_of_the_same_name_is_an_error_that_stops_only_what_belongs_in_it() -> None:
    async with FakeGrafana() as grafana:
        grafana.store.folders["other"] = {"uid": "other", "title": "Ours"}
        items: list[Item] = [FolderItem("f", "Ours"), DashboardItem("f", board("a")), FolderItem("g", "G")]
        folder, dashboard, last = await pushed(grafana, items)
        assert folder.action is Action.FAILED
        assert "same name" in folder.why
        assert "rename" in folder.hint
        assert (dashboard.action, dashboard.why) == (Action.FAILED, "its folder is not there")
        assert last.action is Action.NEW
        assert grafana.store.dashboards == {}


async def test_people_see_the_folders_of_their_team_and_what_others_were_given_stays() -> None:
    async with FakeGrafana() as grafana:
        await pushed(grafana, everything())
        store = grafana.store
        ids = {name: key for key, name in store.teams.items()}
        management = store.permissions[uid_of(Folder.MANAGEMENT)]
        assert {"role": "Viewer", "permission": 1} not in management
        assert any(entry.get("teamId") == ids[team_name(Folder.MANAGEMENT)] for entry in management)
        assert not any(entry.get("teamId") == ids[team_name(Folder.TRADES)] for entry in management)
        assert {"role": "Viewer", "permission": 1} in store.permissions[uid_of(Folder.MONITORING)]
        # Whoever made the folder may go on administering it, and so may whom somebody has let in.
        assert any(entry.get("userId") == 7 and entry["permission"] == 4 for entry in management)
        store.teams[99] = "guests"
        management += [{"userId": 42, "permission": 1}, {"teamId": 99, "team": "guests", "permission": 1}]
        permissions = [item for item in everything() if isinstance(item, PermissionsItem)]
        assert {step.action for step in await pushed(grafana, permissions)} == {Action.SAME}
        management.remove({"role": "Editor", "permission": 2})
        steps = await pushed(grafana, everything())
        assert [(step.kind, step.action) for step in steps if step.action is Action.KEPT] == [
            ("permissions", Action.KEPT)
        ]
        await pushed(grafana, everything(), force=True)
        management = store.permissions[uid_of(Folder.MANAGEMENT)]
        assert {"role": "Editor", "permission": 2} in management
        assert {"userId": 42, "permission": 1} in management
        assert any(entry.get("teamId") == 99 for entry in management)


async def test_permissions_can_be_left_to_others() -> None:
    async with FakeGrafana() as grafana:
        await pushed(grafana, items_of(context(), has_permissions=False))
        assert grafana.store.teams == {}
        assert not [one for one in grafana.asked("POST") if one.path.endswith("/permissions")]
        assert not grafana.store.contact_points, "nobody gave a secret"
        (group,) = grafana.store.groups.values()
        assert "notification_settings" not in group["rules"][0]


async def test_a_token_without_rights_says_so_for_each_thing() -> None:
    async with FakeGrafana() as grafana:
        steps = await pushed(grafana, everything(), token=VIEWER)
        assert {step.action for step in steps} == {Action.FAILED}
        assert "role Admin" in steps[0].hint
        assert grafana.store.folders == {}


async def test_an_editor_brings_dashboards_to_folders_that_are_there() -> None:
    async with FakeGrafana() as grafana:
        await pushed(grafana, everything())
        grafana.store.dashboards.clear()
        steps = await pushed(grafana, everything(), token=EDITOR)
        assert {step.action for step in steps if step.kind == "dashboard"} == {Action.NEW}
        assert {step.action for step in steps if step.kind == "data source"} == {Action.FAILED}


async def test_a_wrong_token_or_a_grafana_that_goes_away_ends_it() -> None:
    async with FakeGrafana() as grafana:
        with pytest.raises(GrafanaTokenError):
            await pushed(grafana, everything(), token="glsa_old")
        assert len(grafana.seen) == 1
        grafana.meddle = lambda request: web.Response(status=500) if "dashboards" in request.path else None
        with pytest.raises(GrafanaAwayError):
            await pushed(grafana, everything())


async def test_somebody_who_saves_at_the_same_moment_is_not_overwritten() -> None:
    async with FakeGrafana() as grafana:
        await one(grafana, DashboardItem("", board("a")))

        def meddle(request: web.Request) -> None:
            if request.method == "POST":
                grafana.store.dashboards["langyan-try"]["dashboard"]["version"] += 1

        grafana.meddle = meddle
        step = await one(grafana, DashboardItem("", board("b")))
        assert step.action is Action.FAILED
        assert "changed by someone else" in step.why


async def test_a_data_source_of_each_version_is_taken_and_a_hand_in_it_is_seen() -> None:
    for influx in (Influx1(url=HERE), Influx2(url=HERE, bucket="b", org="o", auth=TokenAuth(token_env="T"))):
        items = items_of(context(), source=data_source(influx, secret=lambda _: SECRET))
        (item,) = [one for one in items if one.kind == "data source"]
        async with FakeGrafana() as grafana:
            assert (await one(grafana, item)).action is Action.NEW
            assert (await one(grafana, item)).action is (Action.RENEWED if item.has_secret else Action.SAME)
            grafana.store.sources["langyan-influxdb"]["jsonData"]["timeInterval"] = "5s"
            assert (await one(grafana, item)).action is Action.KEPT
            assert (await one(grafana, item, force=True)).action is Action.CHANGED
            grafana.store.sources["langyan-influxdb"]["secureJsonData"] = {}
            expected = Action.CHANGED if item.has_secret else Action.SAME
            assert (await one(grafana, item)).action is expected, "a secret that was taken away comes back"


async def test_bodies_name_nothing_twice() -> None:
    counted = Counter((item.kind, item.name) for item in everything())
    assert max(counted.values()) == 1


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


OBJECTS = st.dictionaries(st.text(max_size=2), PLAIN, max_size=3)


@settings(max_examples=60)
@given(OBJECTS, OBJECTS)
def test_what_is_there_covers_itself_and_differs_line_by_line_from_all_else(
    there: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert is_covered(there, there)
    assert difference(there, there) == []
    assert shaped(there, there) == there
    if not is_covered(there, wanted):
        assert difference(shaped(there, wanted), wanted)
    assert is_covered(there | {"more than was asked for": 1}, there)


def test_a_difference_is_cut() -> None:
    found = difference(list(range(500)), [str(one) * 300 for one in range(500)], most=10)
    assert len(found) == 11
    assert found[-1] == "... 993 more lines"
    assert max(map(len, found)) < 250
