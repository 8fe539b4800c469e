"""The push beside others: what an editor may, what files brought, what people moved, what Grafana breaks at."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import web

import cloud.grafana.push
from cloud.grafana.board import Board, Context
from cloud.grafana.build import Built, Folder
from cloud.grafana.client import GrafanaClient
from cloud.grafana.errors import GrafanaAwayError
from cloud.grafana.folders import ALERTS_UID, alerts_title, uid_of
from cloud.grafana.influxql import series
from cloud.grafana.items import DashboardItem, FolderItem, Item, PermissionsItem, RulesItem
from cloud.grafana.look import lines
from cloud.grafana.push import Action, Step, items_of, push
from tests.cloud.fake_grafana import ADMIN, EDITOR, VIEWER, FakeGrafana

pytestmark = pytest.mark.anyio
CONTEXT = Context(desk_url="https://desk.example.org")
SECRET = "a-secret-of-more-than-32-characters"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring a small dashboard for each folder."""
    built = [Built(folder, f"langyan-{folder.value}", board(uid=f"langyan-{folder.value}")) for folder in Folder]
    monkeypatch.setattr(cloud.grafana.push, "build_all", lambda _: built)


def board(panel: str = "a", *, uid: str = "langyan-try") -> dict[str, Any]:
    made = Board(Context(), uid, "Try", words="Try")
    return made.add(lines(Context(), panel, series("SELECT 1")), width=12, height=4).build()


def everything() -> list[Item]:
    return items_of(CONTEXT, alert_secret=SECRET)


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


async def test_an_editor_brings_all_but_teams_and_is_told_that_everybody_sees_the_folders() -> None:
    async with FakeGrafana() as grafana:
        steps = await pushed(grafana, everything(), token=EDITOR)
        failed = [step for step in steps if step.action is Action.FAILED]
        assert {step.kind for step in failed} == {"team", "permissions"}
        assert "role Admin" in next(step.hint for step in failed if step.kind == "team")
        permissions = [step for step in failed if step.kind == "permissions"]
        assert len(permissions) == 3, "the first folder is for everybody"
        assert permissions[0].why == "the team langyan-trades is not there"
        assert all("everybody who may sign in may see this folder" in step.hint for step in permissions)
        assert {step.action for step in steps if step not in failed} == {Action.NEW, Action.SAME}
        assert grafana.store.teams == {}
        assert grafana.store.groups
        # An administrator does the rest.
        assert {step.action for step in await pushed(grafana, everything())} == {
            Action.NEW, Action.CHANGED, Action.SAME, Action.RENEWED,
        }  # fmt: skip
        assert len(grafana.store.teams) == 4


async def test_whom_a_folder_is_not_for_does_not_see_it() -> None:
    async with FakeGrafana() as grafana:
        await pushed(grafana, everything())
        for token, seen in ((VIEWER, {uid_of(Folder.MONITORING), ALERTS_UID}), (EDITOR, set(grafana.store.folders))):
            async with GrafanaClient(grafana.url, token) as client:
                assert {folder["uid"] for folder in await client.request("GET", "/api/folders")} == seen
                found = {entry["uid"] for entry in await client.request("GET", "/api/search")}
                there = grafana.store.dashboards.items()
                assert found == {uid for uid, kept in there if kept["meta"]["folderUid"] in seen}


async def test_an_entry_of_nobody_is_not_said_again() -> None:
    async with FakeGrafana() as grafana:
        await one(grafana, FolderItem("f", "F"))
        grafana.store.permissions["f"].append({"permission": 1})
        item = PermissionsItem("f", "F", {"Editor": "edit"}, {})
        assert (await one(grafana, item)).action is Action.CHANGED
        kept = grafana.store.permissions["f"]
        assert {tuple(entry) for entry in kept} == {("role", "permission"), ("userId", "permission")}


async def test_rules_from_files_stay_where_they_are_and_need_no_folder_of_ours() -> None:
    (rules,) = [item for item in everything() if isinstance(item, RulesItem)]
    async with FakeGrafana() as grafana:
        store = grafana.store
        # A file names a folder by its title; Grafana gives it a uid of its own.
        store.folders["made"] = {"uid": "made", "title": alerts_title(CONTEXT)}
        from_file = [{**rule, "folderUID": "made", "provenance": "file"} for rule in rules.wanted["rules"]]
        store.groups["made", rules.name] = {"title": rules.name, "folderUid": "made", "rules": from_file}
        steps = await pushed(grafana, everything())
        assert [step.action for step in steps if step.kind == "alert rules"] == [Action.SAME]
        assert ALERTS_UID not in store.folders
        from_file[0]["title"] = "Other"
        for force in (False, True):
            steps = await pushed(grafana, everything(), force=force)
            (step,) = [step for step in steps if step.kind == "alert rules"]
            assert (step.action, "file" in step.why) == (Action.KEPT, True)
            assert not any(step.action is Action.FAILED for step in steps)
        assert not grafana.asked("PUT", "/api/v1/provisioning/folder")


async def test_rules_that_people_have_put_elsewhere_stay_unless_forced() -> None:
    (rules,) = [item for item in everything() if isinstance(item, RulesItem)]
    async with FakeGrafana() as grafana:
        store = grafana.store
        await pushed(grafana, everything())
        store.folders["theirs"] = {"uid": "theirs", "title": "Theirs"}
        group = store.groups["theirs", "theirs"] = store.groups.pop((ALERTS_UID, rules.name))
        for rule in group["rules"]:
            rule |= {"provenance": "", "folderUID": "theirs"}
        assert (await one(grafana, rules)).action is Action.KEPT
        assert (await one(grafana, rules, force=True)).action is Action.CHANGED
        assert store.groups["theirs", "theirs"]["rules"] == []
        assert (await one(grafana, rules)).action is Action.SAME


@pytest.mark.parametrize("path", ["permissions", "contact-points", "rule-groups", "/api/teams", "dashboards/db"])
async def test_what_grafana_breaks_at_is_one_failure_and_no_end(path: str) -> None:
    async with FakeGrafana() as grafana:
        grafana.meddle = lambda request: (
            web.json_response({"message": "broken"}, status=500)
            if request.method in ("POST", "PUT") and path in request.path
            else None
        )
        steps = await pushed(grafana, everything())
        assert len(steps) == len(everything())
        failed = [step for step in steps if step.action is Action.FAILED]
        assert any("HTTP 500: broken" in step.why for step in failed)
        assert all(step.hint for step in failed)
        assert any(step.action is Action.NEW for step in steps)


@pytest.mark.parametrize("status", [502, 503, 429])
async def test_a_grafana_that_is_down_as_it_is_written_to_ends_it(status: int) -> None:
    async with FakeGrafana() as grafana:
        grafana.meddle = lambda request: web.Response(status=status) if request.method == "POST" else None
        with pytest.raises(GrafanaAwayError):
            await pushed(grafana, everything())
        assert len(grafana.asked("POST")) == 1


@pytest.mark.parametrize("takes_title_twice", [False, True])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_second_folder_of_the_same_name_is_never_made(*, takes_title_twice: bool, dry_run: bool) -> None:
    async with FakeGrafana() as grafana:
        grafana.store.takes_title_twice = takes_title_twice
        grafana.store.folders["other"] = {"uid": "other", "title": "Ours"}
        step = await one(grafana, FolderItem("f", "Ours"), dry_run=dry_run)
        assert (step.action, "other" in step.why, "rename" in step.hint) == (Action.FAILED, True, True)
        assert set(grafana.store.folders) == {"other"}


@pytest.mark.parametrize("moved_to", ["", "g"])
async def test_a_dashboard_that_was_moved_comes_back_only_when_forced_though_it_is_the_same(moved_to: str) -> None:
    async with FakeGrafana() as grafana:
        grafana.store.folders |= {"f": {"uid": "f", "title": "F"}, "g": {"uid": "g", "title": "G"}}
        await one(grafana, DashboardItem("f", board()))
        meta = grafana.store.dashboards["langyan-try"]["meta"]
        meta["folderUid"] = moved_to
        assert (await one(grafana, DashboardItem("f", board()))).action is Action.SAME
        assert (await one(grafana, DashboardItem("f", board("b")))).action is Action.CHANGED
        meta = grafana.store.dashboards["langyan-try"]["meta"]
        assert meta["folderUid"] == moved_to
        assert (await one(grafana, DashboardItem("f", board("b")), force=True)).action is Action.CHANGED
        assert grafana.store.dashboards["langyan-try"]["meta"]["folderUid"] == "f"
        assert (await one(grafana, DashboardItem("f", board("b")), force=True)).action is Action.SAME
