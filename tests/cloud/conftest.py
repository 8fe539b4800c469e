"""Real servers, one of each for all tests that do not stop them; and settings of a test's own."""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, create_engine, make_url

from cloud.database import Database, engine, open_database
from cloud.settings import DatabaseSettings, Influx1, Mqtt, Settings
from langyan.postgres import Postgres
from langyan.servers import Influx, Mosquitto, VictoriaMetrics
from tests.cloud import grafana_rig
from tests.cloud.rig import fresh


class _Compiled(dict[Any, Any]):
    """Statements as SQL: each engine would keep its own, and write all of them anew for each test."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_of_kind(key), value)

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_of_kind(key), default)


def _of_kind(key: Any) -> Any:
    dialect, *statement = key
    return (dialect.name, *statement)


@pytest.fixture(scope="session", autouse=True)
def _statements_are_written_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        once = {"compiled_cache": _Compiled()}
        patch.setattr(engine, "create_engine", partial(create_engine, execution_options=once))
        yield


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with Influx(tmp_path_factory.mktemp("influx")) as server:
        yield server


@pytest.fixture(scope="session")
def grafana_influx(influx: Influx) -> Influx:
    """The same, with the stock of `tests.cloud.grafana_stock` in its database `langyan`, to be read only."""
    grafana_rig.fill(influx.url)
    return influx


@pytest.fixture(scope="session")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    with VictoriaMetrics(tmp_path_factory.mktemp("victoria")) as server:
        yield server


MakeSettings = Callable[[int, str], Settings]


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings for a broker's port and an InfluxDB's URL, with databases of this test's own."""

    def make(port: int, url: str) -> Settings:
        return Settings(
            mqtt=Mqtt(port=port),
            influx=Influx1(url=url, database=fresh("test"), timeout_s=20),
            database=DatabaseSettings(url=f"sqlite:///{tmp_path}/cloud.db"),
        )

    return make


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The same file that `make_settings` names, migrated."""
    with open_database(DatabaseSettings(url=f"sqlite:///{tmp_path}/cloud.db")) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    # Not in pytest's own folder: every start of pytest closes that to all but its user, and the server is another.
    with (
        TemporaryDirectory(prefix="langyan-postgres-", ignore_cleanup_errors=True) as folder,
        Postgres(Path(folder) / "server", durable=False) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file; migrating takes longer than copying."""
    path = tmp_path_factory.mktemp("template") / "desk.db"
    with Database(make_url(f"sqlite:///{path}")) as opened:
        opened.migrate()
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """The name of a migrated database."""
    name = fresh("template")
    with Database(make_url(postgres.make_database(name)).set(password=postgres.password)) as opened:
        opened.migrate()
    return name


@pytest.fixture(scope="session")
def postgres_keeper(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """Makes and drops databases."""
    url = make_url(postgres.url_of("postgres")).set(drivername="postgresql", password=postgres.password)
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """A database of this test's own, on either server, empty; migrated for a test that has `desk_database` too.

    Any number of `Database`s may open it.
    """
    is_migrated = "desk_database" in request.fixturenames
    if request.param == "sqlite":
        if is_migrated:
            shutil.copyfile(request.getfixturevalue("sqlite_template"), tmp_path / "desk.db")
        yield make_url(f"sqlite:///{tmp_path}/desk.db")
        return
    server: Postgres = request.getfixturevalue("postgres")
    keeper: psycopg.Connection = request.getfixturevalue("postgres_keeper")
    template = request.getfixturevalue("postgres_template") if is_migrated else "template1"
    name = fresh("desk")
    # A copy of the files, where nothing is flushed to the disk, is twice as quick as one of the pages; and what is gone
    # before it is written never is.
    keeper.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    yield make_url(server.url_of(name)).set(password=server.password)
    keeper.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def desk_database(database_url: URL) -> Iterator[Database]:
    """The same, migrated."""
    with Database(database_url) as opened:
        yield opened
