"""`langyan grafana push` and `check`: what they say, and the status they end with."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from anyio.from_thread import start_blocking_portal
from typer.testing import CliRunner, Result

import cloud.grafana.push
from cloud.grafana.boards import alarm_wall, site
from cloud.grafana.build import Built, Folder
from cloud.grafana.influxql import DATASOURCE_UID
from device_profiles.catalogue import list_profiles, load_profile
from langyan.commands import grafana_context
from langyan.commands.grafana import app
from langyan.servers import Influx
from tests.cloud.fake_grafana import ADMIN, EDITOR, VIEWER, FakeGrafana

SETTINGS = """
[influx]
version = 1
url = "http://influxdb:8086"
[influx.auth]
kind = "basic"
user = "grafana"
password_env = "TRY_PASSWORD"
[api]
public_url = "https://desk.example.org"
[grafana]
token_env = "TRY_TOKEN"
alert_secret_env = "TRY_SECRET"
"""
FEW = [one for one in list_profiles() if load_profile(one).kind == "ups"]
SECRETS = {"TRY_PASSWORD": "hush-password", "TRY_SECRET": "hush-secret-of-32-characters-long", "TRY_TOKEN": ADMIN}


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    """A Grafana on a thread of its own, as the commands have the main one."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(FakeGrafana()) as fake:
        yield fake


@pytest.fixture
def settings(tmp_path: Path) -> str:
    """A settings file with secrets in the environment."""
    path = tmp_path / "cloud.toml"
    path.write_text(SETTINGS, "utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring two dashboards: the whole catalogue and all dashboards for each command would take most of the time."""
    monkeypatch.setattr(grafana_context, "list_profiles", lambda **_: FEW)
    monkeypatch.setattr(cloud.grafana.push, "build_all", lambda context: [
        Built(Folder.MONITORING, made.uid, made.build()) for made in (alarm_wall.board(context), site.board(context))
    ])  # fmt: skip


def run(*words: str, **env: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "LANGYAN_LANG": "en"} | SECRETS | env)


def pushed(grafana: FakeGrafana, settings: str, *words: str, **env: str) -> Result:
    return run("push", grafana.url, "--settings", settings, "--kind", "ups", *words, **env)


def test_a_push_says_what_it_does_once(grafana: FakeGrafana, settings: str) -> None:
    dry = pushed(grafana, settings, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert grafana.store.folders == {}
    first = pushed(grafana, settings)
    assert first.exit_code == 0, first.output
    assert "new  dashboard  Alarm wall" in first.output
    assert set(grafana.store.sources) == {DATASOURCE_UID}
    second = pushed(grafana, settings)
    assert "dashboard" not in second.output
    assert second.output.splitlines()[-1].startswith("written again: 2, same: ")
    shown = first.output + second.output + pushed(grafana, settings, "--json").output
    assert not any(secret in shown for secret in SECRETS.values())


def test_a_dry_run_shows_what_differs_and_a_hand_is_kept(grafana: FakeGrafana, settings: str) -> None:
    pushed(grafana, settings)
    there = grafana.store.dashboards["langyan-alarm-wall"]
    there["dashboard"]["title"] = "Mine"
    there["messages"].append("")
    kept = pushed(grafana, settings)
    assert kept.exit_code == 0
    assert "somebody has changed it by hand; --force replaces it" in kept.output
    assert '- "title": "Mine",' in [line.strip() for line in kept.output.splitlines()]
    dry = pushed(grafana, settings, "--dry-run", "--force")
    assert "changed  dashboard  Alarm wall" in dry.output
    assert grafana.store.dashboards["langyan-alarm-wall"]["dashboard"]["title"] == "Mine"
    assert "changed: 1" in pushed(grafana, settings, "--force").output
    assert grafana.store.dashboards["langyan-alarm-wall"]["dashboard"]["title"] == "Alarm wall"


def test_each_line_of_json_is_one_step(grafana: FakeGrafana, settings: str) -> None:
    steps = [json.loads(line) for line in pushed(grafana, settings, "--json", "--no-permissions").output.splitlines()]
    assert {step["action"] for step in steps} == {"new"}
    assert not {step["kind"] for step in steps} & {"team", "permissions"}
    steps = [json.loads(line) for line in pushed(grafana, settings, "--json", "--no-source").output.splitlines()]
    assert "data source" not in {step["kind"] for step in steps}


def test_the_language_and_the_addresses_may_be_given(grafana: FakeGrafana, settings: str) -> None:
    words = ("--language", "zh", "--desk-url", "https://other/", "--influx-url", "http://db:8086")
    assert pushed(grafana, settings, *words).exit_code == 0
    assert "text_zh" in json.dumps(grafana.store.dashboards["langyan-alarm-wall"]["dashboard"]["panels"])
    assert grafana.store.sources[DATASOURCE_UID]["url"] == "http://db:8086"
    assert grafana.store.contact_points[0]["settings"]["url"].startswith("https://other/api/")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"message": "Invalid API key"}, "service account"),
        (429, {"message": "slow down"}, "HTTP 429"),
        (302, {}, "Check the URL"),
    ],
)
def test_a_grafana_that_refuses_ends_it_with_what_to_do(
    grafana: FakeGrafana, settings: str, status: int, body: dict[str, Any], words: str
) -> None:
    grafana.meddle = lambda _: web.json_response(body, status=status, headers={"Retry-After": "3600"})
    for result in (pushed(grafana, settings), run("check", grafana.url, "--token-env", "TRY_TOKEN")):
        assert result.exit_code == 1
        assert words in result.output
        assert "Traceback" not in result.output


def test_a_token_without_rights_fails_with_what_it_lacks(grafana: FakeGrafana, settings: str) -> None:
    result = pushed(grafana, settings, TRY_TOKEN=VIEWER)
    assert result.exit_code == 1
    assert "failed  folder" in result.output
    assert "role Admin" in result.output


def test_an_editor_is_told_who_sees_what_it_has_brought(grafana: FakeGrafana, settings: str) -> None:
    result = pushed(grafana, settings, TRY_TOKEN=EDITOR)
    assert result.exit_code == 1
    assert "the team langyan-management is not there" in result.output
    assert "everybody who may sign in may see this folder" in result.output
    assert "new  dashboard  Alarm wall" in result.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--token-env", "NOBODY_SETS_THIS"], "NOBODY_SETS_THIS"),
        (["--language", "fr"], "neither en nor zh"),
        (["--kind", "castle"], "castle"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_done(
    grafana: FakeGrafana, settings: str, words: list[str], told: str
) -> None:
    result = pushed(grafana, settings, *words)
    assert result.exit_code == 2
    assert told in result.output
    assert grafana.seen == []


def test_a_check_asks_everything_and_says_what_is_empty(
    grafana: FakeGrafana, settings: str, grafana_influx: Influx
) -> None:
    grafana.store.influx_url = grafana_influx.url
    pushed(grafana, settings)
    whole = run("check", grafana.url, TRY_TOKEN="", LANGYAN_GRAFANA_TOKEN=EDITOR)
    assert whole.exit_code == 0, whole.output
    assert "in 2 dashboards. Failed: 0. Empty: 0." in whole.output
    (panel, *_) = (one for one in grafana.store.dashboards["langyan-site"]["dashboard"]["panels"] if "targets" in one)
    panel["targets"][0]["query"] = 'SELECT last("x") FROM "nothing"'
    words = ("check", grafana.url, "--token-env", "TRY_TOKEN", "--dashboard", "langyan-site")
    empty = run(*words)
    assert empty.exit_code == 1
    assert f"empty  Site  panel  {panel['title']}" in empty.output
    assert run(*words, "--allow-empty").exit_code == 0
    told = [json.loads(line) for line in run(*words, "--json").output.splitlines()]
    assert [one["kind"] for one in told if one["is_empty"]] == ["panel"]
    panel["targets"][0]["query"] = "SELECT"
    failed = run(*words, "--allow-empty")
    assert failed.exit_code == 1
    assert "error parsing query" in failed.output
    gone = run(*words[:-1], "gone", "--dashboard", "langyan-site", "--allow-empty", "--json")
    assert gone.exit_code == 1
    kinds = [json.loads(line)["kind"] for line in gone.output.splitlines()]
    assert (kinds[0], "panel" in kinds) == ("dashboard", True)
    assert "failed  gone  dashboard  gone" in run(*words[:-1], "gone").output


def test_a_check_without_dashboards_is_no_success(grafana: FakeGrafana) -> None:
    result = run("check", grafana.url, "--token-env", "TRY_TOKEN")
    assert result.exit_code == 1
    assert "langyan grafana push" in result.output
