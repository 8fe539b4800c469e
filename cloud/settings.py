"""The settings file of ingest and desk: one TOML, checked in full before anything starts."""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from cloud.api.settings import Api, fault_of, located
from cloud.bikes.settings import Bikes
from cloud.errors import SettingsError
from cloud.escalation.settings import Escalation
from cloud.fire.settings import Fire
from cloud.grafana.settings import Grafana
from cloud.keep import Keep
from cloud.numbers.settings import Numbers
from cloud.orders.settings import Orders
from cloud.patrols.settings import Patrols
from cloud.state.settings import State
from cloud.telling import settings as telling_settings
from cloud.telling.settings import Telling
from cloud.trades.settings import Trades
from cloud.vehicles.settings import Vehicles
from contract.ids import Id

Port = Annotated[int, Meta(ge=1, le=65_535)]
Url = Annotated[str, Meta(pattern=r"^https?://")]
_AT = re.compile(r"^(?P<why>.*?)(?: - at `(?:key` in `)?(?P<at>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`")


class Mqtt(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the broker is.

    Attributes:
        host, port: the MQTT 5 broker.
        username, password_env: credentials; the password is read from that environment variable.
        keepalive_s: MQTT keep-alive; a dead link is noticed within one and a half of it.
        window: messages taken without being acknowledged, the MQTT receive maximum; bounds memory.
    """

    host: str = "127.0.0.1"
    port: Port = 1883
    username: str | None = None
    password_env: str | None = None
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 15
    window: Annotated[int, Meta(ge=2, le=10_000)] = 256


class NoAuth(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="none"):
    """InfluxDB asks for nothing."""


class BasicAuth(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="basic"):
    """User and password; the password is read from the environment variable `password_env`."""

    user: str
    password_env: str


class TokenAuth(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="token"):
    """A token, read from the environment variable `token_env`."""

    token_env: str


class _Influx(Struct, frozen=True, forbid_unknown_fields=True, tag_field="version", kw_only=True):
    """What all versions share.

    Attributes:
        url: the HTTP API's root.
        batch_lines: lines after which a batch is sent; the vendor advises 5 000.
        batch_wait_ms: longest wait for a batch to fill.
        timeout_s: one request.
    """

    url: Url = "http://127.0.0.1:8086"
    batch_lines: Annotated[int, Meta(ge=1, le=100_000)] = 5_000
    batch_wait_ms: Annotated[int, Meta(ge=0, le=10_000)] = 20
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 10.0


class Influx1(_Influx, frozen=True, forbid_unknown_fields=True, tag=1, kw_only=True):
    """InfluxDB 1.x through /write; the database is created when it is missing."""

    database: str = "langyan"
    retention_policy: str | None = None
    auth: NoAuth | BasicAuth = NoAuth()


class Influx2(_Influx, frozen=True, forbid_unknown_fields=True, tag=2, kw_only=True):
    """InfluxDB 2.x, and whatever speaks its /api/v2/write."""

    bucket: str
    org: str = ""
    auth: NoAuth | TokenAuth = NoAuth()


class Influx3(Influx2, frozen=True, forbid_unknown_fields=True, tag=3, kw_only=True):
    """InfluxDB 3 through the same endpoint; the bucket is its database."""


Influx = Influx1 | Influx2 | Influx3


class DatabaseSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where alarms, dead letters and gateways are kept.

    Attributes:
        url: a SQLAlchemy URL; a relative SQLite path is meant from the settings file's folder.
        password_env: environment variable whose value becomes the URL's password.
        dead_letters: rows kept; beyond it the oldest go. A row takes at most 64 KiB and a little.
    """

    url: str = "sqlite:///cloud.db"
    password_env: str | None = None
    dead_letters: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000


class Desk(Struct, frozen=True, forbid_unknown_fields=True):
    """The alarm desk.

    Attributes:
        late_after_s: an alarm received this long after it was raised is marked late.
        timezone: whose days, rosters, quiet and business hours count; an IANA name.
        latching_kinds: alarms of these kinds wait for a reset once their condition is over.
        max_shelve_s: nobody shelves for longer.
        gateway_lost_after_s: a gateway offline this long is an alarm of its own.
        realarm_s: so long after its acknowledgement an alarm whose condition lasts is unacknowledged again; by kind
            or, where the kind is not named, by severity. What is named neither way stays acknowledged.
    """

    late_after_s: Annotated[float, Meta(ge=0)] = 60.0
    timezone: str = "Asia/Shanghai"
    latching_kinds: tuple[str, ...] = ("panic", "duress", "hold-up-verified", "fire", "smoke", "flame")
    max_shelve_s: Annotated[float, Meta(ge=60, le=604_800)] = 28_800.0
    gateway_lost_after_s: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    realarm_s: dict[str, Annotated[float, Meta(ge=10, le=604_800)]] = {}


class Registered(Struct, frozen=True, forbid_unknown_fields=True):
    """One gateway as the registry knows it; both may be any Unicode, "" is not stored."""

    site: str = ""
    name: str = ""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file.

    Attributes:
        gateways: the registry by gateway id. None (no such table) takes any gateway; with the table,
            every other gateway is refused.
    """

    mqtt: Mqtt = Mqtt()
    influx: Influx = Influx1()
    database: DatabaseSettings = DatabaseSettings()
    desk: Desk = Desk()
    api: Api = Api()
    telling: Telling = Telling()
    escalation: Escalation = Escalation()
    numbers: Numbers = Numbers()
    trades: Trades = Trades()
    fire: Fire = Fire()
    bikes: Bikes = Bikes()
    patrols: Patrols = Patrols()
    vehicles: Vehicles = Vehicles()
    orders: Orders = Orders()
    keep: Keep = Keep()
    state: State = State()
    grafana: Grafana = Grafana()
    gateways: dict[Id, Registered] | None = None


def load_settings(path: Path, *, database_only: bool = False) -> Settings:
    """Read and check the file, and that every environment variable it names is there.

    Args:
        path: the settings file.
        database_only: the caller uses the database alone; the other secrets need not be there.

    Returns:
        The settings, with the database's URL and the names of files made absolute.

    Raises:
        SettingsError: names the file and the key.
    """
    try:
        settings = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Settings)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(path, "", str(error)) from error
    except msgspec.ValidationError as error:
        raise _invalid(path, error) from error
    _check_secrets(path, settings, database_only=database_only)
    if fault := fault_of(settings.api) or telling_settings.fault_of(settings.telling):
        raise SettingsError(path, *fault)
    url = _absolute_url(path, settings.database)
    database = msgspec.structs.replace(settings.database, url=url)
    folder = path.resolve().parent
    telling = telling_settings.located(settings.telling, folder)
    profiles = settings.state.profiles
    state = msgspec.structs.replace(settings.state, profiles=str(folder / profiles) if profiles else "")
    return msgspec.structs.replace(
        settings, database=database, api=located(settings.api, folder), telling=telling, state=state
    )


def secret(variable: str) -> str:
    """Read a secret from the environment.

    Raises:
        SettingsError: the variable is not set or empty.
    """
    value = os.environ.get(variable, "")
    if not value:
        raise SettingsError("environment", variable, "is not set; the settings file names it")
    return value


def database_url(settings: DatabaseSettings) -> URL:
    """Build the SQLAlchemy URL, with the password from the environment."""
    url = make_url(settings.url)
    return url.set(password=secret(settings.password_env)) if settings.password_env else url


def _invalid(path: Path, error: msgspec.ValidationError) -> SettingsError:
    found = _AT.match(str(error))
    why, at = (found["why"], found["at"] or "") if found else (str(error), "")
    key = at.removeprefix("$").removeprefix(".")
    unknown = _UNKNOWN.search(why)
    if unknown:
        key = f"{key}.{unknown['key']}" if key else unknown["key"]
    return SettingsError(path, key, why)


def secret_variables(settings: Settings, *, database_only: bool = False) -> list[tuple[str, str | None]]:
    """List the keys that name an environment variable with a secret, and what they name."""
    named = [("database.password_env", settings.database.password_env)]
    if not database_only:
        auth: Any = settings.influx.auth
        named.append(("mqtt.password_env", settings.mqtt.password_env))
        named += [(f"influx.auth.{key}", getattr(auth, key, None)) for key in ("password_env", "token_env")]
        named += [("grafana.token_env", settings.grafana.token_env)]
        named += [("grafana.alert_secret_env", settings.grafana.alert_secret_env)]
        named += telling_settings.secret_variables(settings.telling)
    return named


def _check_timezone(path: Path, name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(path, "desk.timezone", f"{name!r} is no time zone of the IANA list") from error


def _check_secrets(path: Path, settings: Settings, *, database_only: bool) -> None:
    for key, variable in secret_variables(settings, database_only=database_only):
        if variable is not None and not os.environ.get(variable):
            raise SettingsError(path, key, f"environment variable {variable} is not set")


def _absolute_url(path: Path, settings: DatabaseSettings) -> str:
    try:
        url = make_url(settings.url)
        dialect = url.get_backend_name()
    except ArgumentError as error:
        raise SettingsError(path, "database.url", str(error)) from error
    if dialect not in ("sqlite", "postgresql"):
        raise SettingsError(path, "database.url", f"{dialect}: sqlite or postgresql")
    if url.password is not None:
        raise SettingsError(path, "database.url", "holds a password; name a variable in database.password_env")
    if dialect != "sqlite":
        return settings.url
    if url.database in (None, "", ":memory:"):
        raise SettingsError(path, "database.url", "ingest and desk share a file; memory cannot be shared")
    file = (path.resolve().parent / str(url.database)).as_posix()
    return url.set(database=file).render_as_string(hide_password=False)
