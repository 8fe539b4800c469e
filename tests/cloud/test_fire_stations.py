"""The registry of stations: files in and out, every fault, and how their points are read."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from cloud.areas.faults import Faults, ImportRefusedError
from cloud.database import Database
from cloud.database.fire_tables import fire_turn
from cloud.database.people_tables import audit
from cloud.fire.planning import offset_of, plan
from cloud.fire.reading import limits_of
from cloud.fire.settings import Fire
from cloud.fire.stations import export_stations, places_of, read_all, read_stations
from langyan.commands import fire
from tests.cloud.api_rig import Rig
from tests.cloud.fire_rig import FIRST, HEAD, ROW, Post, moment_us
from tests.cloud.rig import rows_of, write_settings


def faults_of(text: str) -> list[str]:
    faults = Faults()
    read_stations(text.encode(), "s.csv", faults)
    with pytest.raises(ImportRefusedError) as caught:
        faults.settle()
    return [fault.told() for fault in caught.value.faults]


def test_every_fault_is_told_by_its_line() -> None:
    head = f"{HEAD},wind_unit,rain_kind,start_ffmc,utc_offset_h,moved_on,active\n"
    rows = [
        "a/b,x,g,d,31,120,,,,,,",
        "s2,x,g,d,131,120,knots,weekly,,,,",
        "s3,,g,d,31,120,m/s,24h,102,15,2026-02-30,perhaps",
        "s4,x,g,d,31,120,KM/H,Counter,,5.5,2026-02-28,YES",
        "s4,x,g,d,31,120,,,,,,",
    ]
    told = faults_of(head + "\n".join(rows) + "\n")
    assert [line.split(": ")[:2] for line in told] == [
        ["s.csv:2", "id"], ["s.csv:3", "latitude_deg"], ["s.csv:3", "wind_unit"], ["s.csv:3", "rain_kind"],
        ["s.csv:4", "name"], ["s.csv:4", "start_ffmc"], ["s.csv:4", "utc_offset_h"], ["s.csv:4", "moved_on"],
        ["s.csv:4", "active"], ["s.csv:6", "s4 stands there before, in line 5"],
    ]  # fmt: skip


def test_what_is_exported_is_imported_again_unchanged(desk_database: Database) -> None:
    post = Post(desk_database)
    text = (
        f"{HEAD},area,wind,wind_unit,wind_force,rain,rain_kind,rain_wrap_mm,utc_offset_h,start_dc\n"
        f"{ROW},,,,,,,,,\n"
        "s2,林场,gate-west,w,43.8,87.6,,gust,km/h,force,r24,24h,6553.6,6,300\n"
    )
    assert post.register(text).added == 2
    data = desk_database.read(export_stations)
    again = post.register(data.decode("utf-8-sig"))
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)
    one, other = desk_database.read(read_all)
    assert (one.wind, one.kmh, one.rain_kind, one.start.ffmc, one.active) == ("wind_speed", 3.6, "counter", 85, "yes")
    assert (other.wind, other.kmh, other.start.dc, other.rain_wrap_mm) == ("gust", 1.0, 300, 6_553.6)
    zone = ZoneInfo("Asia/Shanghai")
    assert [offset_of(station, zone, FIRST) for station in (one, other)] == [8 * 3_600, 6 * 3_600]
    assert limits_of(other, Fire()).rain_kind == "24h"
    # A file with some columns changes these alone.
    assert post.register(f"{HEAD}\ns2,New,gate-west,w,43.8,87.6\n").changed == 1
    assert desk_database.read(read_all)[1].wind == "gust"
    notes = desk_database.read(lambda connection: connection.execute(select(audit.c.what)).scalars().all())
    assert list(notes) == ["fire-stations-imported"] * 2
    assert len(rows_of(desk_database, fire_turn)) == 2


def test_an_area_that_is_not_there_is_a_fault_and_nothing_is_changed(desk_database: Database) -> None:
    post = Post(desk_database)
    with pytest.raises(ImportRefusedError, match="no area is called"):
        post.register(f"{HEAD},area\n{ROW},moon\n")
    assert desk_database.read(read_all) == []


def test_a_station_lies_in_its_area_or_where_its_gateway_stands(desk_database: Database) -> None:
    Rig(desk_database)
    post = Post(desk_database)
    post.register(f"{HEAD},area\n{ROW},\ns2,x,gate-east,w,31,120,west\ns3,x,nobody,w,31,120,\n")
    stations = desk_database.read(read_all)
    places = desk_database.read(lambda connection: places_of(connection, stations))
    assert {name: place.area_path for name, place in places.items()} == {
        "s1": "city/east/", "s2": "city/west/", "s3": ""}  # fmt: skip


def test_a_station_registered_for_an_earlier_day_is_worked_out_from_there(desk_database: Database) -> None:
    post = Post(desk_database)
    post.now_us = moment_us(60, 20)
    post.register(f"{HEAD},moved_on\n{ROW},{FIRST}\n")
    (task,) = desk_database.read(lambda connection: plan(connection, post.settings, post.now_us))
    assert (task.days[0], len(task.days)) == (FIRST, 31)


def test_the_commands_import_list_check_and_export(tmp_path: Path) -> None:
    settings = write_settings(tmp_path / "cloud.toml", '[database]\nurl = "sqlite:///cloud.db"\n')
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(f"{HEAD}\n{ROW}\n", encoding="utf-8")
    bad.write_text(f"{HEAD},area\n{ROW},moon\n", encoding="utf-8")
    options = ["-s", str(settings)]

    def run(*words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(fire.app, ["stations", *words])
        return done.exit_code, done.stdout, done.stderr

    assert run("check", str(bad))[0] == 0, "nobody looks areas up without settings"
    assert run("check", str(bad), *options)[0] == 2
    status, _, told = run("import", str(bad), *options)
    assert status == 2
    assert "bad.csv:2: area: no area is called" in told
    assert run("import", str(good), *options)[:2] == (0, "1 new, 0 changed, 0 unchanged\n")
    assert "Ridge" in run("list", *options)[1]
    out = tmp_path / "out.csv"
    assert run("export", str(out), *options)[0] == 0
    assert run("import", str(out), *options)[1] == "0 new, 0 changed, 1 unchanged\n"
    good.write_text(f"{HEAD}\ns1,Ridge,gate-east,weather,41.3,120.6\n", encoding="utf-8")
    assert "s1 has moved on" in run("import", str(good), *options)[1]
