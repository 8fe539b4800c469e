"""Gateways, devices and vehicles as InfluxDB has them; one worker at a time; the loop into a real InfluxDB."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import insert, update

from cloud.backoff import Backoff
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.vehicle_tables import vehicle, vehicle_position
from cloud.errors import HoldError
from cloud.grafana.kind_uid import uid_of
from cloud.influx import open_writer
from cloud.influx.schema import DEVICE_STATE, GATEWAY_STATE, VEHICLE_STATE
from cloud.settings import Influx1, Settings
from cloud.state import worker
from cloud.state.settings import State
from cloud.state.worker import run_state
from cloud.state.writer import PresentWriter
from contract.alarms import Severity
from contract.presence import Device
from device_profiles.catalogue import profile_files
from langyan.servers import Influx
from tests.cloud.area_rig import import_
from tests.cloud.rig import eventually, fresh, influx_rows
from tests.cloud.state_rig import AWAY, CITY, S_US, T0_US, Rig, Sink, of, only

pytestmark = pytest.mark.anyio
CELL = ":all:32:3205:320506:cell-1:"
SMOKE = Device("smoke-1", "heiman/hs1sa", "1", "北侧烟感")


@pytest.fixture
async def rig(desk_database: Database) -> Rig:
    """A city that has said everything once."""
    made = Rig(desk_database)
    await made.tell()
    return made


async def test_at_the_beginning_everything_is_said(desk_database: Database) -> None:
    lines = await Rig(desk_database).tell()
    assert {line.tags["area"] for line in of(lines, "area_state")} >= {"all", "cell-1", "cell-2", "320507"}
    assert {line.tags["site"] for line in of(lines, "site_state")} == {"school", "mill"}
    gateway = only(lines, "gateway_state", gateway="school-17")
    assert gateway.tags == {"gateway": "school-17", "path": CELL, "site": "school"}
    assert gateway.fields == {
        "label": "门卫室 [school-17]", "name": "门卫室", "online": 0, "reason": "never", "version": "", "devices": 0,
        "latitude": 31.25, "longitude": 120.62,
    }  # fmt: skip
    spare = only(lines, "device_state", device="spare")
    assert spare.tags == {"device": "spare", "gateway": "school-17", "kind": "unknown", "path": CELL, "site": "school"}
    assert spare.fields == {
        "label": "备用 [spare]", "name": "备用", "place": "", "site_label": "第十七小学 [school]", "profile": "",
        "board": "langyan-site", "lost": 0, "worst": 0, "latitude": 31.25, "longitude": 120.62,
    }  # fmt: skip
    assert set(spare.fields) == {field.name for field in DEVICE_STATE.fields}
    assert only(lines, "device_state", device="gate-buttons").fields["latitude"] == 31.26, "its own place"


async def test_who_is_born_is_said_at_once_with_all_devices_and_who_dies_too(rig: Rig) -> None:
    rig.born("school-17", SMOKE)
    lines = await rig.tell(1)
    gateway = only(lines, "gateway_state").fields
    assert (gateway["online"], gateway["reason"], gateway["version"], gateway["devices"]) == (1, "", "1.2", 1)
    assert set(gateway) == {field.name for field in GATEWAY_STATE.fields}
    assert gateway["since_s"] == 1.0
    devices = {line.tags["device"]: line.tags["kind"] for line in of(lines, "device_state")}
    assert devices == {"gate-buttons": "unknown", "spare": "unknown", "smoke-1": "smoke-detector"}
    smoke = only(lines, "device_state", device="smoke-1").fields
    assert (smoke["profile"], smoke["board"]) == (SMOKE.profile, "langyan-kind-smoke-detector")
    online = {line.tags["area"]: line.fields["gateways_online"] for line in of(lines, "area_state")}
    assert online == dict.fromkeys(["all", "32", "3205", "320506", "cell-1"], 1)
    assert only(lines, "site_state").fields["gateways_online"] == 1
    assert await rig.tell(1) == [], "once"
    rig.dies("school-17")
    gateway = only(lines := await rig.tell(1), "gateway_state").fields
    assert (gateway["online"], gateway["reason"]) == (0, "lost")
    assert only(lines, "site_state").fields["gateways_online"] == 0
    rig.born("school-17", boot="b2")
    assert only(await rig.tell(1), "gateway_state").fields["online"] == 1


async def test_gateways_come_with_each_beat(rig: Rig) -> None:
    assert of(await rig.tell(59), "gateway_state") == []
    assert {line.tags["gateway"] for line in of(await rig.tell(1), "gateway_state")} == {"school-17", "mill-1"}


async def test_a_stranger_is_a_gateway_too(rig: Rig) -> None:
    rig.born("new", Device("d", "none/such", "1"), site="车间")
    lines = await rig.tell(1)
    assert only(lines, "gateway_state").tags == {"gateway": "new", "path": ":all:", "site": "车间"}
    assert only(lines, "gateway_state").fields["label"] == "new [new]"
    assert only(lines, "site_state").fields["gateways"] == 1
    device = only(lines, "device_state")
    assert (device.tags["kind"], device.tags["site"]) == ("unknown", "车间")
    assert "latitude" not in device.fields


async def test_a_device_of_a_profile_of_ones_own_has_its_kind_and_its_dashboard(
    desk_database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "own").mkdir()
    text = profile_files()["generic/xy-md02"].read_text("utf-8")
    own = re.sub(r"(?m)^kind = .*$", 'kind = "frost.sensor"', text.replace("generic/xy-md02", "own/frost"))
    (tmp_path / "own/frost.toml").write_text(own, "utf-8")
    (tmp_path / "own/bad.toml").write_text("kind = 7", "utf-8")
    rig = Rig(desk_database, settings=Settings(state=State(profiles=str(tmp_path))))
    rig.born("school-17", Device("f1", "own/frost", "1", "霜"), Device("b1", "own/bad", "1", ""), SMOKE)
    found = {line.tags["device"]: line for line in of(await rig.tell(1), "device_state")}
    kinds = {name: (found[name].tags["kind"], found[name].fields["board"]) for name in ("f1", "b1", "smoke-1")}
    assert kinds == {
        "f1": ("frost.sensor", uid_of("frost.sensor")),
        "b1": ("unknown", "langyan-site"),
        "smoke-1": ("smoke-detector", "langyan-kind-smoke-detector"),
    }
    assert "own/bad" in caplog.text
    rig.happens("school-17/f1/frost/high")
    assert only(await rig.tell(1), "device_state").tags["kind"] == "frost.sensor", "after a change of an alarm too"


async def test_devices_are_spread_over_their_period_and_each_comes_once(desk_database: Database) -> None:
    rig = Rig(desk_database, city=False, settings=Settings(state=State(devices_s=60.0)))
    for number in range(12):
        rig.born(f"g{number}", Device("d", "none/such", "1"))
    await rig.tell()
    slices = [of(await rig.tell(10), "device_state") for _ in range(6)]
    assert sorted(line.tags["gateway"] for lines in slices for line in lines) == sorted(f"g{n}" for n in range(12))
    assert max(len(lines) for lines in slices) < 8


async def test_a_device_is_lost_while_its_gateway_says_so(rig: Rig) -> None:
    rig.born("school-17", SMOKE)
    await rig.tell(1)
    rig.happens("school-17/smoke-1/supervision/supervision", kind="device-lost", severity=Severity.LOW)
    rig.happens("school-17/smoke-1/smoke/threshold", kind="smoke", severity=Severity.HIGH)
    device = only(await rig.tell(1), "device_state", device="smoke-1").fields
    assert (device["lost"], device["worst"]) == (1, 3)


async def test_what_the_registry_says_anew_is_said_at_once(rig: Rig) -> None:
    sites = CITY["sites.csv"].replace("Mill", "老磨坊")
    import_(rig.database, {"sites.csv": sites}, at_us=rig.now_us)
    lines = await rig.tell(5)
    assert only(lines, "site_state", site="mill").fields["label"] == "老磨坊 [mill]"
    assert len(of(lines, "area_state")) == 7
    assert len(of(lines, "device_state")) == 2


async def test_vehicles_that_were_heard_are_said_and_all_in_five_minutes(rig: Rig) -> None:
    none: dict[str, Any] = {"kind": "", "fleet": "", "weekdays": "mon", "area": "cell-1", "gateway": "g"}
    rows = [none | {"id": f"v{n}", "plate": f"苏E·{n}", "name": "一号", "device": f"t{n}"} for n in range(3)]
    rig.database.run(lambda connection: connection.execute(insert(vehicle), rows))
    rig.database.run(lambda c: c.execute(insert(vehicle_position), [{"vehicle": row["id"]} for row in rows]))

    def heard(name: str, speed_kmh: float) -> None:
        said = {"at_us": rig.now_us - 10 * S_US, "received_at_us": rig.now_us, "latitude_deg": 31.3, "course_deg": 90.0}
        said |= {"longitude_deg": 120.6, "speed_kmh": speed_kmh}
        change = update(vehicle_position).where(vehicle_position.c.vehicle == name).values(said)
        rig.database.run(lambda connection: connection.execute(change))

    rig.now_us += 20 * S_US
    heard("v1", 50.0)
    line = only(await rig.tell(10), "vehicle_state")
    assert line.tags == {"path": CELL, "vehicle": "v1"}
    assert line.fields == {
        "label": "苏E·1 一号 [v1]", "name": "苏E·1 一号", "latitude": 31.3, "longitude": 120.6, "speed_kmh": 50.0,
        "heading": 90.0, "state": "moving", "heard_s": 20.0, "terminal": "g/t1",
    }  # fmt: skip
    assert set(line.fields) == {field.name for field in VEHICLE_STATE.fields}
    heard("v2", 3.0)
    assert only(await rig.tell(30), "vehicle_state", vehicle="v2").fields["state"] == "standing"
    # Once more, as what was received may be judged a little later.
    assert only(await rig.tell(30), "vehicle_state").tags["vehicle"] == "v2"
    assert of(await rig.tell(30), "vehicle_state") == []
    lines = {one.tags["vehicle"]: one.fields["state"] for one in of(await rig.tell(900), "vehicle_state")}
    assert lines == {"v0": "silent", "v1": "silent", "v2": "silent"}


async def test_while_influxdb_is_away_the_coming_of_a_gateway_is_said_later(rig: Rig) -> None:
    rig.sink.fault = AWAY
    rig.born("new", Device("d", "none/such", "1"))
    assert await rig.tell(1) == []
    rig.sink.fault = None
    lines = await rig.tell(1)
    assert only(lines, "gateway_state").fields["online"] == 1
    assert only(lines, "device_state").tags["gateway"] == "new"


async def test_the_writer_gives_up_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    patient = PresentWriter(sink, batch_lines=2, backoff=Backoff(first_s=60, longest_s=60))
    lines = [b"m f=%di 1" % number for number in range(5)]
    assert await patient.write(lines)
    assert (sink.writes, sink.made, len(sink.lines)) == (3, 1, 5)
    sink.fault = AWAY
    assert not await patient.write(lines)
    assert patient.is_waiting
    assert not await patient.write(lines)
    assert sink.writes == 4, "spared while it waits"
    assert caplog.text.count("InfluxDB, for what stands now: 503") == 1
    sink.fault = HoldError("404", status=404)
    hasty = PresentWriter(sink, batch_lines=9, backoff=Backoff(first_s=1e-9, longest_s=1e-9))
    assert not await hasty.write(lines)
    sink.fault, sink.refused = None, lambda text: b"f=3i" in text
    assert await hasty.write(lines)
    assert sink.made == 3, "a database that was dropped is made again"
    assert [line.fields["f"] for line in sink.take()[5:]] == [0, 1, 2, 4]
    assert "InfluxDB refuses what stands: field type conflict: m f=3i 1" in caplog.text


async def test_one_worker_at_a_time_speaks(desk_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_KEEP_S", 0.01)
    sinks = [Sink(), Sink()]
    opened = iter(sinks)
    monkeypatch.setattr(worker, "open_writer", lambda _settings: _Opened(next(opened)))
    import_(desk_database, CITY)
    database = PersistentDatabase(desk_database, counters=Counters())
    now_us, asked = T0_US, 0

    def second_clock() -> int:
        nonlocal asked
        asked += 1
        return now_us

    async with anyio.create_task_group() as others:
        async with anyio.create_task_group() as first:
            first.start_soon(partial(run_state, database, Settings(), clock=lambda: now_us))
            await anyio.to_thread.run_sync(eventually, lambda: bool(sinks[0].lines))
            others.start_soon(partial(run_state, database, Settings(), clock=second_clock))
            await anyio.to_thread.run_sync(eventually, lambda: asked > 2)
            assert sinks[1].lines == []
            first.cancel_scope.cancel()
        now_us += 16 * S_US
        await anyio.to_thread.run_sync(eventually, lambda: bool(sinks[1].lines))
        others.cancel_scope.cancel()


async def test_who_has_lost_the_lease_falls_silent(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_KEEP_S", 0.01)
    database = PersistentDatabase(rig.database, counters=Counters())
    told: list[int] = []

    def keep(_connection: object, *, now_us: int) -> bool:
        told.append(now_us)
        return not {"area_state", "site_state", "device_state"} <= {line.measurement for line in rig.sink.lines}

    await worker._speak(database, rig.writer, rig.settings, lambda: rig.now_us, keep)
    assert told


class _Opened:
    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    async def __aenter__(self) -> Sink:
        return self.sink

    async def __aexit__(self, *_: object) -> None:
        pass


async def test_the_loop_tells_a_real_influxdb(desk_database: Database, influx: Influx) -> None:
    name = fresh("state")
    settings = Settings(influx=Influx1(url=influx.url, database=name, timeout_s=20))
    import_(desk_database, CITY)
    rig = Rig(desk_database, city=False)
    database = PersistentDatabase(desk_database, counters=Counters())
    async with open_writer(settings.influx) as raw_writer:
        await raw_writer.ensure_database()
    open_now = (
        'SELECT "text_en", "site" FROM (SELECT last("open") AS "open", "text_en" FROM "alarm_state" '
        'GROUP BY "gateway", "device", "point", "rule", "site") WHERE "open" = 1'
    )

    def asked(question: str) -> list[dict[str, Any]]:
        return influx_rows(influx.url, name, question)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(run_state, database, settings))
        await anyio.to_thread.run_sync(eventually, lambda: len(asked('SELECT "sites" FROM "area_state"')) == 7)
        alarm_id = rig.happens("school-17/gate-buttons/pressed/contact", text={"en": 'Say "hi", all=1', "zh": "门"})
        await anyio.to_thread.run_sync(eventually, lambda: len(asked(open_now)) == 1)
        (row,) = asked(open_now)
        assert (row["text_en"], row["site"]) == ('Say "hi", all=1', "school")
        rig.now_us += S_US
        rig.close(alarm_id)
        await anyio.to_thread.run_sync(eventually, lambda: asked(open_now) == [])
        tasks.cancel_scope.cancel()
    labels = asked('SELECT last("label") AS "label" FROM "site_state"')
    assert labels[0]["label"] in ("第十七小学 [school]", "Mill [mill]")
