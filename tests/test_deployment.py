"""The files in deploy fit together: services, commands, settings, secrets, and the page about them."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from cloud.settings import Influx2, Settings, load_settings, secret_variables
from langyan.cli import make_app
from tests.test_docs import OPERATIONS_PAGE, blocks

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE_TEXT = (DEPLOY / "compose.yaml").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("langyan")}
PAGE = (ROOT / "docs" / "deployment.md").read_text("utf-8")
# What `${NAME:?words}` and `${NAME:-default}` of Compose name.
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<rest>[^}]*)\}")
SECRETS = {found["name"] for found in VARIABLE.finditer(COMPOSE_TEXT) if found["rest"].startswith(":?")}
OPTIONAL = {"LANGYAN_MQTT_ADDRESS", "LANGYAN_GRAFANA_TOKEN"}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As the containers have them."""
    for name in SECRETS:
        monkeypatch.setenv(name, "0123456789abcdef")
    return load_settings(DEPLOY / "compose" / "cloud.toml")


@pytest.mark.parametrize("name", OURS)
def test_what_a_container_runs_is_a_command_of_ours(name: str) -> None:
    words = OURS[name]["command"]
    command: Any = typer.main.get_command(make_app(words))
    while words and hasattr(command, "commands"):
        later = getattr(command, "later", {})
        command = command.load(words[0]) if words[0] in later else command.commands[words[0]]
        words = words[1:]
    options = {option for param in command.params for option in param.opts}
    assert {word for word in words if word.startswith("-")} <= options
    arguments = [param for param in command.params if param.param_type_name == "argument" and param.required]
    plain = [word for word, before in zip(words, ["", *words], strict=False) if not f"{word}{before}".count("--")]
    assert len(plain) == len(arguments)


def test_every_secret_is_asked_for_and_has_no_default() -> None:
    named = {found["name"]: found["rest"] for found in VARIABLE.finditer(COMPOSE_TEXT)}
    assert named.keys() - SECRETS == OPTIONAL
    assert named["LANGYAN_GRAFANA_TOKEN"] == ":-", "optional, and without a default"
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|SECRET", key):
                assert VARIABLE.fullmatch(value), key
    assert not re.search(
        r"(?i)(password|token|secret)\s*=\s*\"(?!LANGYAN_)", (DEPLOY / "compose" / "cloud.toml").read_text("utf-8")
    )


def test_the_settings_load_and_every_worker_has_their_secrets(settings: Settings) -> None:
    wanted = {variable for _, variable in secret_variables(settings) if variable}
    assert wanted <= SECRETS
    for name, service in OURS.items():
        assert wanted <= set(service["environment"]), name
        assert "./compose/cloud.toml:/etc/langyan/cloud.toml:ro" in service["volumes"], name


def test_marks_need_two_lines_of_the_settings_and_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS | OPTIONAL:
        monkeypatch.setenv(name, "0123456789abcdef")
    text = (DEPLOY / "compose" / "cloud.toml").read_text("utf-8")
    edited = text.replace("# token_env", "token_env").replace("annotations = false", "annotations = true")
    (tmp_path / "cloud.toml").write_text(edited, "utf-8")
    grafana = load_settings(tmp_path / "cloud.toml").grafana
    assert grafana.annotations
    assert grafana.token_env in OURS["trades"]["environment"]


def test_grafana_is_started_anew_when_its_files_are_made_anew() -> None:
    assert SERVICES["grafana"]["depends_on"]["dashboards"]["restart"] is True
    assert "restart ingest desk trades api grafana" in PAGE


def test_the_settings_name_the_services(settings: Settings) -> None:
    assert isinstance(settings.influx, Influx2)
    hosts = [settings.influx.url, settings.database.url, settings.grafana.url]
    found = {re.sub(r"^.*?//(?:.*@)?([\w.-]+).*$", r"\1", url) for url in hosts} | {settings.mqtt.host}
    assert found == {"influxdb", "postgres", "grafana", "mosquitto"}
    about = SERVICES["influxdb"]["environment"]
    assert (about["DOCKER_INFLUXDB_INIT_BUCKET"], about["DOCKER_INFLUXDB_INIT_ORG"]) == (
        settings.influx.bucket,
        settings.influx.org,
    )
    assert f"127.0.0.1:{settings.api.port}:{settings.api.port}" in SERVICES["api"]["ports"]
    assert settings.api.is_secure
    # What Grafana's files name, Grafana has.
    assert {"LANGYAN_INFLUX_TOKEN", "LANGYAN_ALERT_SECRET"} <= set(SERVICES["grafana"]["environment"])


def test_nothing_is_published_to_the_world_unasked() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith(("127.0.0.1:", "${LANGYAN_MQTT_ADDRESS:-127.0.0.1}:"))] == []


def test_images_are_named_by_version() -> None:
    for name in SERVICES.keys() - OURS.keys():
        assert re.search(r":\d+\.\d+(\.\d+)?$", SERVICES[name]["image"]), name


def test_what_is_mounted_depended_on_and_kept_is_there() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (DEPLOY / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"], mount
        for other, how in service.get("depends_on", {}).items():
            ends = SERVICES[other].get("restart") == "no"
            assert ends == (how["condition"] == "service_completed_successfully"), other
            assert (how["condition"] == "service_healthy") <= ("healthcheck" in SERVICES[other]), other


def test_the_page_names_every_service_and_variable() -> None:
    for name in [*SERVICES, *SECRETS, *OPTIONAL]:
        assert f"`{name}`" in PAGE, name


def test_the_broker_is_set_up_as_its_page_says() -> None:
    def lines(text: str) -> set[str]:
        return {line for line in text.splitlines() if line and not line.startswith("#")}

    shown = {block for block in blocks(OPERATIONS_PAGE, "") if "listener 1883" in block or "pattern write" in block}
    places = ("/etc/mosquitto/passwd", "/mosquitto/data/passwd"), ("/etc/mosquitto/", "/mosquitto/config/")
    told = "\n".join(sorted(shown))
    for old, new in places:
        told = told.replace(old, new)
    ours = "\n".join((DEPLOY / "compose" / f"mosquitto.{part}").read_text("utf-8") for part in ("acl", "conf"))
    assert lines(ours) - {"log_dest stdout"} == lines(told)


def test_the_image_is_made_of_what_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    copied = {word for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for word in line.split()}
    assert {word for word in copied if not (ROOT / word).exists() or f"!{word}" not in ignored} == set()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', text)
    assert set(extras.split(",")) <= set(project["project"]["optional-dependencies"])
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["langyan"]


@pytest.mark.parametrize("name", ["ingest", "desk", "trades", "api"])
def test_each_worker_has_a_unit_and_a_container(name: str) -> None:
    unit = (DEPLOY / f"langyan-{name}.service").read_text("utf-8")
    assert f"ExecStart=/opt/langyan/bin/langyan cloud {name} /etc/langyan/cloud.toml" in unit
    assert SERVICES[name]["command"][:2] == ["cloud", name]


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    made = subprocess.run([DEPLOY / "make-env", file], capture_output=True, text=True, check=True, timeout=30)
    text = file.read_text("utf-8")
    values = dict(line.split("=") for line in text.splitlines())
    assert values.keys() == SECRETS
    assert all(re.fullmatch(r"[0-9a-f]{32}", value) for value in values.values())
    assert len(set(values.values())) == len(values)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not any(value in made.stderr + made.stdout for value in values.values())
    again = subprocess.run([DEPLOY / "make-env", file], capture_output=True, text=True, check=False, timeout=30)
    assert (again.returncode, file.read_text("utf-8")) == (1, text)
    assert "deploy/.env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
