"""The loop of bike watch takes what ingest kept, and does what is due; its commands bring files in and out."""

from pathlib import Path

import anyio
import pytest
from sqlalchemy import Connection, select
from typer.testing import CliRunner

from cloud.bikes.worker import run_bikes
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.bike_tables import bike_stay
from cloud.database.feed_tables import measure, observation
from cloud.database.tables import occurrence
from cloud.feed import queue
from cloud.feed.queue import Waiting
from cloud.feed.sorting import Trade, write_samples
from contract.telemetry import Point, Sample
from langyan.commands.bikes import app
from tests.cloud.bike_rig import NOW_US, SECOND, TAG, BikeRig


@pytest.mark.anyio
async def test_the_loop_follows_tags_and_finds_a_theft(desk_database: Database) -> None:
    rig = BikeRig(desk_database)
    rig.add()
    rig.say("g1", "present")
    rig.wait(100)
    rig.arm()
    rig.wait(1_000)
    sample = Sample("reader", NOW_US + 600 * SECOND, (Point("tag", TAG), Point("presence", "present")))
    waiting = Waiting(Trade.BIKES, "g2", rig.now_us, write_samples([sample]))
    desk_database.run(lambda connection: queue.put(connection, [waiting], limit=10))
    clock = iter(range(rig.now_us, rig.now_us + 10**12, 30 * SECOND))

    def is_done(connection: Connection) -> bool:
        tables = occurrence, measure
        return all(connection.execute(select(table).limit(1)).first() is not None for table in tables)

    persistent = PersistentDatabase(desk_database, counters=Counters())
    with anyio.fail_after(50):
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                await run_bikes(persistent, rig.settings, clock=lambda: next(clock))

            tasks.start_soon(run)
            while not await desk_database.ask(is_done):  # noqa: ASYNC110 - a row sets no event
                await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
    assert [row["kind"] for row in rig.alarms()] == ["theft"]
    assert len(rig.rows(bike_stay)) == 2
    assert rig.rows(observation) == []


def test_commands_bring_in_and_out_and_forget(tmp_path: Path) -> None:
    settings = tmp_path / "cloud.toml"
    settings.write_text('[database]\nurl = "sqlite:///desk.db"\n')
    bikes, owners = tmp_path / "bikes.csv", tmp_path / "owners.csv"
    bikes.write_text("id,area,tag\nb1,nowhere,T1\n")
    run = CliRunner().invoke
    result = run(app, ["import", str(bikes), "-s", str(settings)])
    assert result.exit_code == 2
    assert "bikes.csv:2" in result.output
    bikes.write_text("id,area,tag\n")
    result = run(app, ["import", str(bikes), "-s", str(settings), "--dry-run"])
    assert result.exit_code == 0, result.output
    owners.write_text("bike,name\nb1,王芳\n")
    assert run(app, ["import", str(owners), "-s", str(settings)]).exit_code == 2
    assert run(app, ["export", str(tmp_path / "out"), "-s", str(settings), "--owners"]).exit_code == 0
    assert (tmp_path / "out" / "owners.csv").read_text("utf-8-sig").startswith("bike,name")
    result = run(app, ["forget-owner", "b1", "-s", str(settings)])
    assert result.exit_code == 1
