"""A fleet against the real workers and a real InfluxDB: every reading once, counted by its number."""

from cloud.database import Database
from cloud.desk.operations import list_alarms
from cloud.desk.shell import run_desk
from cloud.ingest import run_ingest
from cloud.settings import Influx1
from contract.alarms import Mode
from langyan.servers import Influx, Mosquitto
from simulators.fleet.counting import Found, count_stored
from simulators.fleet.plan import Plan
from simulators.fleet.run import run_fleet
from tests.cloud.conftest import MakeSettings
from tests.cloud.rig import running


def test_every_reading_of_a_fleet_is_stored_once(
    make_settings: MakeSettings, mosquitto: Mosquitto, influx: Influx, database: Database
) -> None:
    settings = make_settings(mosquitto.port, influx.url)
    assert isinstance(settings.influx, Influx1)
    plan = Plan(
        gateways=50, devices=4, interval_s=0.5, seconds=2.0, port=mosquitto.port, ramp_per_s=5000.0, prefix="f.l-t",
        presses_per_min=300.0, settle_s=30.0,
    )  # fmt: skip
    with running(run_ingest, settings), running(run_desk, settings):
        outcome = run_fleet(plan)
    assert outcome.lost == 0, outcome.why
    found = count_stored(plan, outcome, url=settings.influx.url, database=settings.influx.database)
    made = sum(outcome.made_by) * 4
    assert made > 0
    assert found == Found(made, made, 0, 0)
    alarms = list_alarms(database, state="all", limit=1000)
    assert len(alarms) == outcome.alarm_events // 2 > 0
    assert {alarm.mode for alarm in alarms} == {Mode.TEST}
    assert all(alarm.cleared_at_us for alarm in alarms)
