import gc
from pathlib import Path

import anyio
import pytest

from cloud.desk.shell import run_desk
from cloud.errors import SettingsError
from cloud.ingest.shell import run_ingest
from cloud.settings import (
    BasicAuth,
    DatabaseSettings,
    Influx1,
    Influx2,
    Influx3,
    Registered,
    Settings,
    TokenAuth,
    database_url,
    load_settings,
)
from cloud.trades.shell import run_trades
from tests.cloud.rig import Run, write_settings

FULL = """
[mqtt]
host = "broker"
port = 1884
username = "ingest"
password_env = "MQTT_PASSWORD"
window = 64
[influx]
version = 1
url = "http://influx:8086"
database = "town"
batch_lines = 100
batch_wait_ms = 5
timeout_s = 3.5
auth = { kind = "basic", user = "u", password_env = "INFLUX_PASSWORD" }
[database]
url = "sqlite:///data/alarms.db"
dead_letters = 10
[desk]
late_after_s = 5
[gateways.g1]
site = "第三中学"
name = "东门"
[gateways.g2]
"""


def load(folder: Path, text: str) -> Settings:
    return load_settings(write_settings(folder / "cloud.toml", text))


def test_a_full_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "x")
    monkeypatch.setenv("INFLUX_PASSWORD", "y")
    settings = load(tmp_path, FULL)
    assert isinstance(settings.influx, Influx1)
    assert settings.influx.auth == BasicAuth("u", "INFLUX_PASSWORD")
    assert (settings.mqtt.window, settings.desk.late_after_s) == (64, 5.0)
    assert settings.database.url == f"sqlite:///{tmp_path}/data/alarms.db"
    assert settings.gateways == {"g1": Registered("第三中学", "东门"), "g2": Registered()}


def test_an_empty_file_takes_any_gateway(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert settings.gateways is None
    assert settings.influx == Influx1()
    assert settings.database.url == f"sqlite:///{tmp_path}/cloud.db"


@pytest.mark.parametrize(("version", "kind"), [(2, Influx2), (3, Influx3)])
def test_a_bucket_and_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, kind: type[Influx2]
) -> None:
    monkeypatch.setenv("TOKEN", "x")
    text = f'[influx]\nversion = {version}\nbucket = "b"\norg = "o"\n[influx.auth]\nkind = "token"\ntoken_env = "TOKEN"'
    assert load(tmp_path, text).influx == kind(bucket="b", org="o", auth=TokenAuth("TOKEN"))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[mqtt]\nport = 0", "mqtt.port"),
        ("[mqtt]\nprot = 1", "mqtt.prot"),
        ("[mqtt]\npassword_env = 'NOT_SET'", "mqtt.password_env"),
        ("[influx]\nurl = 'influx'\nversion = 1", "influx.url"),
        ("[influx]\nversion = 4", "influx.version"),
        ("[influx]\nversion = 1\nbucket = 'b'", "influx.bucket"),
        (
            "[influx]\nversion = 2\nbucket = 'b'\n[influx.auth]\nkind = 'token'\ntoken_env = 'NOT_SET'",
            "influx.auth.token_env",
        ),
        ("[influx]\nversion = 2\nbucket = 'b'\n[influx.auth]\nkind = 'basic'", "influx.auth.kind"),
        ("[database]\nurl = 'mysql://x/y'", "database.url"),
        ("[database]\nurl = 'nonsense'", "database.url"),
        ("[database]\nurl = 'sqlite://'", "database.url"),
        ("[database]\nurl = 'postgresql://u:secret@h/d'", "database.url"),
        ("[gateways.'a/b']", "gateways"),
        ("[gateways.g1]\nsiet = 'x'", "gateways[...].siet"),
        ("[unknown]", "unknown"),
        ("[mqtt\n", ""),
    ],
)
def test_a_fault_names_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert caught.value.key == key
    assert "cloud.toml" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        load_settings(tmp_path / "nowhere.toml")


def test_the_databases_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = DatabaseSettings(url="postgresql+psycopg://langyan@db/langyan", password_env="PG_PASSWORD")
    monkeypatch.setenv("PG_PASSWORD", "p@ss")
    assert database_url(settings).password == "p@ss"
    monkeypatch.delenv("PG_PASSWORD")
    with pytest.raises(SettingsError, match="PG_PASSWORD"):
        database_url(settings)


@pytest.mark.anyio
@pytest.mark.parametrize("run", [run_desk, run_ingest, run_trades])
async def test_a_worker_whose_secret_is_missing_leaves_nothing_open(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    url = "postgresql+psycopg://langyan@127.0.0.1:1/langyan"
    settings = Settings(database=DatabaseSettings(url=url, password_env="NOWHERE"))
    with pytest.raises(SettingsError, match="NOWHERE"):
        await run(settings, stop=anyio.Event(), ready=None, counters=None)
    # A stream that nobody closed says so when it goes, and pytest fails this test for it.
    gc.collect()
