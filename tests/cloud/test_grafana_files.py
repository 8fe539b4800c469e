"""Files for Grafana: what is written, what Grafana reads in it, and what somebody changed by hand."""

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from typer.testing import CliRunner

from cloud.grafana.board import Context
from cloud.grafana.build import Folder
from cloud.grafana.digest import digest_of, is_sealed, is_untouched, mark_in, marked, sealed
from cloud.grafana.files import Brought, Fate, bring
from cloud.grafana.provisioning import Target, files
from cloud.grafana.source import data_source
from cloud.settings import BasicAuth, Influx, Influx1, Influx2, Influx3, TokenAuth
from device_profiles.catalogue import load_profile
from langyan.commands.grafana import app
from langyan.demo.boards import write_boards

BUTTON = load_profile("generic/xy-md02")
CONTEXT = Context(desk_url="https://desk.example.org", profiles=(BUTTON,))
TARGET = Target(influx=Influx1(), folder=PurePosixPath("/srv/grafana"), alert_secret_env="ALERT_SECRET")
WALL = "dashboards/monitoring/langyan-alarm-wall.json"
KIND = "dashboards/devices/langyan-kind-climate-sensor.json"
SOURCE = "provisioning/datasources/langyan.yaml"
PROVIDERS = "provisioning/dashboards/langyan.yaml"
ALERTING = "provisioning/alerting/langyan.yaml"

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
models = st.dictionaries(st.text(max_size=8).filter(lambda key: key != "templating"), plain, max_size=5)


@cache
def standard() -> dict[str, str]:
    """What is written for one kind of device."""
    return files(CONTEXT, TARGET)


def fates(brought: list[Brought]) -> dict[str, Fate]:
    return {one.path: one.fate for one in brought if one.fate is not Fate.SAME}


def read_by_grafana(value: Any, environment: Mapping[str, str]) -> Any:
    """Read values as Grafana's provisioning does: `$$` is a dollar, `$NAME` and `${NAME}` are variables."""
    if isinstance(value, dict):
        return {key: read_by_grafana(one, environment) for key, one in value.items()}
    if isinstance(value, list):
        return [read_by_grafana(one, environment) for one in value]
    if not isinstance(value, str):
        return value
    parts = (re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: environment.get(found[1] or found[2], ""), part)
             for part in value.split("$$"))  # fmt: skip
    return "$".join(parts)


# Digests.


@limits(max_examples=40)
@given(model=models)
def test_a_marked_dashboard_is_untouched_however_it_is_laid_out(model: dict[str, Any]) -> None:
    made = marked(model)
    again = json.loads(json.dumps(dict(reversed(made.items()))))
    assert is_untouched(made)
    assert is_untouched(again | {"id": 7, "version": 3})
    assert marked(made) == made
    assert mark_in(made) == digest_of(model)
    assert mark_in(model) is None
    assert not is_untouched(model)


@limits(max_examples=40)
@given(model=models, key=st.text(max_size=8), value=st.text(min_size=1, max_size=5))
def test_a_dashboard_that_somebody_changed_is_not_untouched(model: dict[str, Any], key: str, value: str) -> None:
    if key not in {"id", "version", "iteration", "templating"} and model.get(key) != value:
        assert not is_untouched(marked(model) | {key: value})


def test_a_variable_added_by_hand_is_seen_and_a_number_written_otherwise_is_not() -> None:
    made = marked({"refresh": 5.0, "gone": None, "templating": {"list": [{"name": "site"}]}})
    assert is_untouched({key: value for key, value in made.items() if key != "gone"} | {"refresh": 5})
    made["templating"]["list"].append({"name": "mine"})
    assert not is_untouched(made)


@limits(max_examples=40)
@given(text=st.text())
def test_a_sealed_text_is_known_and_any_change_of_it_is_seen(text: str) -> None:
    text = text.replace("\r", "")
    assert is_sealed(sealed(text))
    assert is_sealed(sealed(text).replace("\n", "\r\n"))
    assert not is_sealed(sealed(text) + "x")
    assert not is_sealed(text)


# Files.


def test_everything_is_written_once_and_is_then_the_same(tmp_path: Path) -> None:
    wanted = standard()
    assert {one.fate for one in bring(tmp_path, wanted)} == {Fate.NEW}
    there = {path.relative_to(tmp_path).as_posix(): path.read_text("utf-8") for path in tmp_path.rglob("*.*")}
    assert there == wanted
    assert {WALL, KIND, SOURCE, PROVIDERS, ALERTING} <= there.keys()
    assert fates(bring(tmp_path, wanted)) == {}


def test_what_is_ours_is_brought_up_to_date_and_what_is_not_wanted_goes(tmp_path: Path) -> None:
    bring(tmp_path, standard())
    mine = tmp_path / "dashboards/devices/mine.json"
    mine.write_text('{"title": "mine", "panels": []}', "utf-8")
    # Another language, and no device of any kind.
    found = fates(bring(tmp_path, files(Context(language="zh"), TARGET)))
    assert found.pop(KIND) is Fate.REMOVED
    assert set(found.values()) == {Fate.CHANGED}
    assert {WALL, ALERTING} <= found.keys()
    assert mine.exists()
    assert not (tmp_path / KIND).exists()


@pytest.mark.parametrize("path", [WALL, SOURCE])
@pytest.mark.parametrize("edited", ["", "not JSON: [", '{"templating": []}', "[1]", "ÿ".encode("latin-1")])
def test_what_somebody_changed_by_hand_stays_unless_forced(tmp_path: Path, path: str, edited: str | bytes) -> None:
    wanted = {one: standard()[one] for one in (WALL, SOURCE)}
    bring(tmp_path, wanted)
    by_hand = edited.encode() if isinstance(edited, str) else edited
    (tmp_path / path).write_bytes(by_hand)
    assert fates(bring(tmp_path, wanted)) == {path: Fate.KEPT}
    assert (tmp_path / path).read_bytes() == by_hand
    assert fates(bring(tmp_path, wanted, force=True)) == {path: Fate.CHANGED}
    assert (tmp_path / path).read_text("utf-8") == wanted[path]


def test_a_panel_moved_by_hand_is_kept_and_a_file_only_laid_out_anew_is_not(tmp_path: Path) -> None:
    wanted = standard()
    bring(tmp_path, wanted)
    model = json.loads(wanted[WALL])
    (tmp_path / WALL).write_text(json.dumps(model), "utf-8")
    (tmp_path / KIND).write_text(wanted[KIND].replace('"y": 1', '"y": 2'), "utf-8")
    (tmp_path / PROVIDERS).write_text(wanted[PROVIDERS].replace("30", "60"), "utf-8")
    assert fates(bring(tmp_path, wanted)) == {WALL: Fate.CHANGED, KIND: Fate.KEPT, PROVIDERS: Fate.KEPT}


def test_a_dry_run_tells_the_same_and_writes_nothing(tmp_path: Path) -> None:
    wanted = standard()
    assert {one.fate for one in bring(tmp_path / "new", wanted, dry_run=True)} == {Fate.NEW}
    assert not (tmp_path / "new").exists()
    bring(tmp_path, wanted)
    less = {path: text for path, text in wanted.items() if path != KIND}
    assert fates(bring(tmp_path, less, dry_run=True)) == {KIND: Fate.REMOVED}
    assert (tmp_path / KIND).exists()


def test_no_half_written_file_is_ever_seen(tmp_path: Path) -> None:
    bring(tmp_path, {WALL: "x"})
    (tmp_path / WALL).unlink()
    (tmp_path / WALL).mkdir()
    with pytest.raises(OSError, match=r".+"):
        bring(tmp_path, {WALL: "y"}, force=True)
    assert [path.name for path in (tmp_path / WALL).parent.iterdir()] == [Path(WALL).name]


# What Grafana reads in them.


@pytest.mark.parametrize(
    "influx",
    [
        Influx1(),
        Influx1(database="a$b", url="http://influx/$x", auth=BasicAuth(user="graf$ana", password_env="INFLUX_SECRET")),
        Influx2(bucket="langyan", org="o", auth=TokenAuth(token_env="INFLUX_SECRET")),
        Influx3(bucket="langyan", auth=TokenAuth(token_env="INFLUX_SECRET")),
    ],
)
def test_the_data_source_is_what_the_api_would_be_given(influx: Influx) -> None:
    environment = {"INFLUX_SECRET": "s$cret"}
    written = files(CONTEXT, Target(influx=influx, folder=PurePosixPath("/x")))[SOURCE]
    assert environment["INFLUX_SECRET"] not in written
    (source,) = read_by_grafana(yaml.safe_load(written)["datasources"], environment)
    assert (source.pop("orgId"), source.pop("editable")) == (1, False)
    assert source == data_source(influx, secret=environment.__getitem__)
    assert source["jsonData"]["version"] == "InfluxQL"


def test_each_version_signs_in_its_own_way() -> None:
    def of(influx: Influx) -> dict[str, Any]:
        return data_source(influx, secret="<{}>".format, url="http://influx:8086")

    first = of(Influx1(auth=BasicAuth(user="u", password_env="P")))
    assert (first["user"], first["secureJsonData"]) == ("u", {"password": "<P>"})
    second = of(Influx2(bucket="b", auth=TokenAuth(token_env="T")))
    assert second["secureJsonData"] == {"httpHeaderValue1": "Token <T>"}
    assert second["jsonData"]["httpHeaderName1"] == "Authorization"
    assert [of(one)["jsonData"]["product"][-3:] for one in (Influx1(), Influx2(bucket="b"), Influx3(bucket="b"))] == [
        "1.x", "2.x", "3.x",
    ]  # fmt: skip
    assert second["url"] == "http://influx:8086"
    assert "secureJsonData" not in of(Influx1())


def test_every_folder_has_a_provider_that_finds_its_dashboards(tmp_path: Path) -> None:
    place = tmp_path / "gra$fana"
    wanted = files(CONTEXT, Target(influx=Influx1(), folder=PurePosixPath(place.as_posix())))
    bring(place, wanted)
    providers = read_by_grafana(yaml.safe_load(wanted[PROVIDERS])["providers"], {})
    assert [one["folderUid"] for one in providers] == [f"langyan-{folder.value}" for folder in Folder]
    found = {path for one in providers for path in Path(one["options"]["path"]).glob("*.json")}
    assert found == set(place.rglob("*.json"))
    assert all("/" not in one["folder"] and one["allowUiUpdates"] is False for one in providers)


def test_the_desk_is_told_only_where_there_is_a_desk_and_a_secret() -> None:
    alerting = yaml.safe_load(standard()[ALERTING])
    (contact,) = read_by_grafana(alerting["contactPoints"], {"ALERT_SECRET": "se$cret"})
    (receiver,) = contact["receivers"]
    assert receiver["settings"]["authorization_credentials"] == "se$cret"
    assert receiver["settings"]["url"] == "https://desk.example.org/api/v1/grafana/alerts"
    rules = alerting["groups"][0]["rules"]
    assert {rule["notification_settings"]["receiver"] for rule in rules} == {contact["name"]}
    for context, target in (
        (Context(), TARGET),
        (CONTEXT, Target(influx=Influx1(), folder=PurePosixPath("/x"))),
    ):
        alone = yaml.safe_load(files(context, target)[ALERTING])
        assert "contactPoints" not in alone
        assert not any("notification_settings" in rule for rule in alone["groups"][0]["rules"])


def test_questions_of_rules_come_through_as_they_are_and_texts_hold_no_variable() -> None:
    (group,) = yaml.safe_load(standard()[ALERTING])["groups"]
    for rule in group["rules"]:
        # Grafana leaves `data[].model` as it is, and looks for variables in all else.
        about = {key: value for key, value in rule.items() if key != "data"}
        assert read_by_grafana(about, {}) == about
        assert any("$A" in step["model"].get("expression", "") for step in rule["data"])


# The command.


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Path]:
    os.environ["GRAFANA_TEST_SECRET"] = "0123456789abcdef"
    file = tmp_path / "cloud.toml"
    file.write_text(
        '[influx]\nversion = 2\nbucket = "city"\nurl = "http://influx:8086"\n'
        '[influx.auth]\nkind = "token"\ntoken_env = "GRAFANA_TEST_SECRET"\n'
        '[api]\npublic_url = "https://desk.example.org"\n'
        '[grafana]\nlanguage = "zh"\nalert_secret_env = "GRAFANA_TEST_SECRET"\n',
        "utf-8",
    )
    yield file
    del os.environ["GRAFANA_TEST_SECRET"]


def test_the_command_writes_what_the_settings_say(tmp_path: Path, settings: Path) -> None:
    place = tmp_path / "grafana"
    done = CliRunner().invoke(
        app, ["build", str(place), "-s", str(settings), "--kind", "ups", "--at", "/etc/grafana/langyan"]
    )
    assert done.exit_code == 0, done.output
    assert (place / "dashboards/devices/langyan-kind-ups.json").exists()
    assert not (place / KIND).exists()
    (source,) = yaml.safe_load((place / SOURCE).read_text("utf-8"))["datasources"]
    assert (source["url"], source["jsonData"]["dbName"]) == ("http://influx:8086", "city")
    assert source["secureJsonData"] == {"httpHeaderValue1": "Token ${GRAFANA_TEST_SECRET}"}
    assert "path: /etc/grafana/langyan/dashboards/trades" in (place / PROVIDERS).read_text("utf-8")
    assert "https://desk.example.org/api/v1/grafana/alerts" in (place / ALERTING).read_text("utf-8")
    assert not any("0123456789abcdef" in path.read_text("utf-8") for path in place.rglob("*.*"))


def test_the_command_says_what_it_keeps_and_how_to_replace_it(tmp_path: Path) -> None:
    arguments = ["build", str(tmp_path), "--kind", "ups"]
    (tmp_path / WALL).parent.mkdir(parents=True)
    (tmp_path / WALL).write_text("{}", "utf-8")
    done = CliRunner().invoke(app, [*arguments, "--dry-run", "--desk-url", "https://desk.example.org/"])
    assert done.exit_code == 0
    assert "--force" in done.output
    assert (tmp_path / WALL).read_text("utf-8") == "{}"
    assert CliRunner().invoke(app, [*arguments, "--force"]).exit_code == 0
    assert json.loads((tmp_path / WALL).read_text("utf-8"))["uid"] == "langyan-alarm-wall"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "teapot"], "no profile is of the kind teapot"),
        (["--language", "fr"], "neither en nor zh"),
        (["-s", "no-such-file.toml"], "no-such-file.toml"),
    ],
)
def test_what_cannot_be_built_is_said(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["build", str(tmp_path / "new"), *arguments])
    assert done.exit_code == 2
    assert words in done.output
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "dashboards").write_text("in the way", "utf-8")
    done = CliRunner().invoke(app, ["build", str(tmp_path), "--kind", "ups"])
    assert done.exit_code == 1
    assert "dashboards" in done.output


def test_profiles_of_ones_own_have_a_dashboard(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "device_profiles/catalogue/generic/xy-md02.toml").read_text("utf-8")
    own = tmp_path / "profiles" / "own" / "teapot.toml"
    own.parent.mkdir(parents=True)
    text = text.replace('profile = "generic/xy-md02"', 'profile = "own/teapot"')
    own.write_text(text.replace('kind = "climate-sensor"', 'kind = "teapot"'), "utf-8")
    done = CliRunner().invoke(
        app, ["build", str(tmp_path / "g"), "--profiles", str(tmp_path / "profiles"), "--kind", "teapot"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "g/dashboards/devices/langyan-kind-teapot.json").read_text("utf-8"))["panels"]


def test_the_demo_writes_dashboards_and_says_in_two_lines_how_to_see_them(tmp_path: Path) -> None:
    settings = tmp_path / "cloud.toml"
    settings.write_text('[influx]\nversion = 1\nurl = "http://127.0.0.1:18086"\n', "utf-8")
    run, page = write_boards(tmp_path, settings, [BUTTON], desk_url="http://127.0.0.1:18443")
    assert f"GF_PATHS_PROVISIONING={tmp_path}/grafana/provisioning" in run
    assert "langyan-alarm-wall" in page
    assert "\n" not in run + page
    # The folder is its owner's alone, and its name may be anything.
    words = shlex.split(run)
    assert words[words.index("--user") + 1] == str(tmp_path.stat().st_uid)
    own = tmp_path / "demo's $1 folder"
    own.mkdir()
    run, _page = write_boards(own, settings, [BUTTON], desk_url="http://127.0.0.1:18443")
    assert f"{own}/grafana:{own}/grafana:ro" in shlex.split(run)
    assert "http://127.0.0.1:18443" in (tmp_path / "grafana" / WALL).read_text("utf-8")
    assert "http://127.0.0.1:18086" in (tmp_path / "grafana" / SOURCE).read_text("utf-8")
