"""`langyan bikes` at a desk: what the API says of bikes, on a terminal."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner, Result

from cloud.api.settings import Api
from cloud.bikes.taking import Counts, take
from cloud.clock import now_us
from cloud.database import open_database
from cloud.database.bike_tables import bike, bike_owner
from cloud.people.roles import Role
from cloud.settings import DatabaseSettings, Settings
from langyan.commands.bikes import app
from tests.cloud.api_process import serving
from tests.cloud.api_rig import Rig
from tests.cloud.bike_rig import SECOND, observation


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """How the commands find the desk, as a manager of everything."""
    folder: Path = tmp_path_factory.mktemp("bikes")
    settings = Settings(database=DatabaseSettings(url=f"sqlite:///{folder}/desk.db"), api=Api(port=0))
    with open_database(settings.database) as database:
        rig = Rig(database, settings)
        rig.now_us = at_us = now_us()

        def work(connection: Any) -> None:
            connection.execute(insert(bike).values(id="b-1", area="east", tag="T-1", plate="浙A1", note=""))
            connection.execute(insert(bike_owner).values(bike="b-1", name="王芳", phone="139", address=""))
            heard = [observation("gate-east", "present", "T-1", at_us - 60 * SECOND, at_us)]
            take(connection, heard, settings=settings, counts=Counts(), now_us=at_us)

        database.run(work)
        token = rig.add("wang", Role.MANAGER)
        with serving(settings) as (process, _portal):
            yield {"LANGYAN_DESK_URL": f"http://127.0.0.1:{process.port}", "LANGYAN_DESK_TOKEN": token}


@pytest.fixture
def say(env: dict[str, str]) -> Any:
    def run(*words: str) -> Result:
        return CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "LANGYAN_LANG": "en"} | env)

    return run


def test_a_bike_is_listed_and_shown_with_its_station(say: Any) -> None:
    assert "浙A1" in say("list").output
    assert [json.loads(line)["id"] for line in say("list", "--json", "--tag", "t-1").output.splitlines()] == ["b-1"]
    assert "School east" in say("show", "b-1").output
    assert say("owner", "b-1").output == "王芳  139  \n"
    assert "School east" in say("trail", "b-1", "--hours", "1").output
    assert "School east" in say("stations").output
    assert say("show", "b-2").exit_code == 1


def test_a_bike_is_armed_stolen_and_recovered(say: Any) -> None:
    assert [say("arm", "b-1").output for _ in range(2)] == ["armed\n", "it is armed already\n"]
    assert "gate-east  armed" in say("show", "b-1").output
    assert [say("disarm", "b-1").output for _ in range(2)] == ["disarmed\n", "it was not armed\n"]
    assert "on the stolen list; case 1" in say("mark-stolen", "b-1", "--note", "red").output
    assert "stolen" in say("cases").output
    assert "b-1" in say("case", "1").output
    assert say("mark-stolen", "b-1").exit_code == 1
    assert "recovered; case 1" in say("recovered", "b-1").output
    assert say("cases", "--json").output == ""
    assert say("battery", "b-1").output == "it was not low\n"
