"""Vehicles over the API and from the command line."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from sqlalchemy import insert, update
from typer.testing import CliRunner

from cloud.database import Database
from cloud.database.people_tables import audit
from cloud.database.vehicle_tables import vehicle, vehicle_position
from cloud.influx.lines import encode_lines
from cloud.people.roles import Role
from cloud.settings import Influx1, Settings
from cloud.vehicles.judging import State
from contract.telemetry import Point, Sample
from langyan.cli import make_app
from langyan.commands import vehicles as commands
from langyan.desk_client import DeskClient
from langyan.servers import Influx, free_port
from tests.cloud.api_rig import NOW_US, Rig
from tests.cloud.rig import fetch, fresh, rows_of

pytestmark = pytest.mark.anyio
S_US = 1_000_000
RUNNER = CliRunner()
SPAN = {"from_us": NOW_US - 3_600 * S_US, "until_us": NOW_US}
CIRCLE = {"latitude_deg": 31.3, "longitude_deg": 120.6, "radius_m": 500.0}


def make_rig(database: Database, influx: Influx1) -> Rig:
    """A desk with a vehicle in each half and one in no area."""
    found = Rig(database, Settings(influx=influx))
    rows = [
        {"id": key, "plate": plate, "name": "", "kind": "bus", "fleet": "校车", "area": half, "gateway": f"gate-{half}",
         "device": "t-1", "guarded": False, "weekdays": "mon", "begins": None, "ends": None}
        for key, plate, half in (("bus-1", "苏E·12345", "east"), ("bus-2", "", "west"), ("lost", "", "nowhere"))
    ]  # fmt: skip

    def lay_out(connection: Any) -> None:
        connection.execute(insert(vehicle), rows)
        connection.execute(insert(vehicle_position), [{"vehicle": row["id"]} for row in rows])
        heard = {"at_us": NOW_US - 60 * S_US, "received_at_us": NOW_US - 59 * S_US, "latitude_deg": 31.3,
                 "longitude_deg": 120.6, "speed_kmh": 40.0, "course_deg": 90.0, "ignition": True,
                 "state": msgspec.msgpack.encode(State())}  # fmt: skip
        connection.execute(update(vehicle_position).where(vehicle_position.c.vehicle == "bus-1").values(heard))

    database.run(lay_out)
    return found


@pytest.fixture
def rig(database: Database) -> Rig:
    """The desk, with InfluxDB away."""
    return make_rig(database, Influx1(url=f"http://127.0.0.1:{free_port()}"))


@pytest.fixture
def with_track(database: Database, influx: Influx) -> Rig:
    """The desk, and an hour's way of the first vehicle in InfluxDB."""
    name = fresh("tracks")
    fetch(f"{influx.url}/query", body=f"q=CREATE DATABASE {json.dumps(name)}".encode())
    way = [
        Sample("t-1", SPAN["from_us"] + 30 * S_US * n, (
            Point("latitude", 31.3), Point("longitude", 120.6 + n / 1_000), Point("vehicle_speed", 11.5),
            Point("fix", True),
        ))
        for n in range(120)
    ]  # fmt: skip
    lines = encode_lines(way, tags={"gateway": "gate-east", "site": "school 1"}, received_at_us=NOW_US)
    fetch(f"{influx.url}/write?db={name}&precision=u", body=b"\n".join(lines))
    return make_rig(database, Influx1(url=influx.url, database=name))


async def test_vehicles_are_listed_in_ones_own_subtree_with_their_last_positions(rig: Rig) -> None:
    east, everywhere = rig.add("li", Role.OPERATOR, "east"), rig.add("wang", Role.OPERATOR)
    async with rig.client(east) as desk:
        page = (await desk.get("/api/v1/vehicles")).json()
        assert [one["id"] for one in page["vehicles"]] == ["bus-1"]
        one = page["vehicles"][0]
        assert (one["motion"], one["position"]["speed_kmh"], one["area_path"]) == ("moving", 40.0, "city/east/")
        assert (await desk.get("/api/v1/vehicles/bus-2")).status_code == 404
        assert (await desk.get("/api/v1/vehicles?area=west")).status_code == 404
    async with rig.client(everywhere) as desk:
        first = (await desk.get("/api/v1/vehicles", params={"limit": 2})).json()
        rest = (await desk.get("/api/v1/vehicles", params={"limit": 2, "after": first["next"]})).json()
        assert [one["id"] for one in first["vehicles"] + rest["vehicles"]] == ["bus-1", "bus-2", "lost"]
        for motion, ids in (("moving", ["bus-1"]), ("standing", []), ("silent", ["bus-2", "lost"])):
            found = (await desk.get("/api/v1/vehicles", params={"motion": motion})).json()["vehicles"]
            assert [one["id"] for one in found] == ids
        assert len((await desk.get("/api/v1/vehicles?area=city&fleet=校车")).json()["vehicles"]) == 2
        rig.now_us += 900 * S_US
        assert (await desk.get("/api/v1/vehicles/bus-1")).json()["motion"] == "silent"


async def test_a_vehicle_shows_what_is_open_of_it(rig: Rig) -> None:
    place = {"area": "east", "area_path": "city/east/"}
    rig.raise_alarms(1, source="gate-east/t-1/alarm/panic", gateway="gate-east", device="t-1")
    rig.raise_alarms(
        1, first=5, source="cloud/vehicle.bus-1/fence/yard", gateway="cloud", device="vehicle.bus-1", **place
    )
    rig.raise_alarms(1, first=9)
    async with rig.client(rig.add("wang", Role.OPERATOR)) as desk:
        shown = (await desk.get("/api/v1/vehicles/bus-1")).json()
    assert len(shown["alarms"]) == 2
    assert {one["kind"] for one in shown["alarms"]} == {"panic"}


async def test_fences_are_drawn_listed_and_removed_by_who_may(rig: Rig) -> None:
    viewer, east = rig.add("li", Role.OPERATOR, "east"), rig.add("wang", Role.MANAGER, "east")
    west = rig.add("zhao", Role.MANAGER, "west")
    order = {
        "id": "yard",
        "name": "车场",
        "area": "east",
        "rule": "stay",
        "circle": CIRCLE,
        "begins": "22:00",
        "ends": "06:00",
    }
    async with rig.client(viewer) as desk:
        assert (await desk.post("/api/v1/vehicle-fences", json=order)).status_code == 403
    async with rig.client(east) as desk:
        drawn = await desk.post("/api/v1/vehicle-fences", json=order)
        assert (drawn.status_code, drawn.json()["circle"]) == (201, CIRCLE)
        elsewhere = order | {"area": "west", "id": "b"}
        assert (await desk.post("/api/v1/vehicle-fences", json=elsewhere)).status_code == 404
        others = order | {"vehicle": "bus-2", "id": "b"}
        assert (await desk.post("/api/v1/vehicle-fences", json=others)).status_code == 404
        for bad, code in (
            ({"circle": None}, "fence-refused"),
            ({"outline": {"type": "Polygon", "coordinates": []}}, "outline-refused"),
            ({"ends": None}, "fence-refused"),
            ({"vehicle": "bus-1", "fleet": "校车"}, "fence-refused"),
            ({"margin_m": 1}, "invalid"),
            ({"begins": "24:00"}, "invalid"),
        ):
            answer = await desk.post("/api/v1/vehicle-fences", json=order | bad)
            assert (answer.status_code, answer.json()["code"]) == (422, code)
    async with rig.client(west) as desk:
        assert (await desk.get("/api/v1/vehicle-fences")).json()["fences"] == []
        assert (await desk.post("/api/v1/vehicle-fences", json=order | {"area": "west"})).status_code == 404
        assert (await desk.delete("/api/v1/vehicle-fences/yard")).status_code == 404
    ring = [[120.5, 31.2], [120.7, 31.2], [120.7, 31.4], [120.5, 31.2]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    async with rig.client(east) as desk:
        again = await desk.post(
            "/api/v1/vehicle-fences", json=order | {"circle": None, "outline": shape, "vehicle": "bus-1"}
        )
        assert again.json()["outline"] == shape
        (listed,) = (await desk.get("/api/v1/vehicle-fences")).json()["fences"]
        assert listed == again.json()
        assert (await desk.delete("/api/v1/vehicle-fences/yard")).status_code == 204
        assert (await desk.delete("/api/v1/vehicle-fences/yard")).status_code == 404


async def test_a_track_is_thinned_for_a_map_and_exact_as_a_file_and_looking_is_audited(with_track: Rig) -> None:
    rig = with_track
    async with rig.client(rig.add("wang", Role.OPERATOR)) as desk:
        path = "/api/v1/vehicles/bus-1/track"
        shown = (await desk.get(path, params=SPAN)).json()
        assert (shown["count"], len(shown["points"])) == (120, 2)
        assert shown["points"][0] == {
            "at_us": SPAN["from_us"], "latitude_deg": 31.3, "longitude_deg": 120.6,
            "speed_kmh": 11.5, "course_deg": None,
        }  # fmt: skip
        gpx = await desk.get(path, params=SPAN | {"format": "gpx"})
        assert gpx.headers["content-type"] == "application/gpx+xml"
        assert gpx.headers["content-disposition"] == 'attachment; filename="bus-1.gpx"'
        points = list(ET.fromstring(gpx.content).iter("{http://www.topografix.com/GPX/1/1}trkpt"))  # noqa: S314 - our own
        assert [float(one.attrib["lon"]) for one in points] == [120.6 + n / 1_000 for n in range(120)]
        geojson = (await desk.get(path, params=SPAN | {"format": "geojson"})).json()
        assert len(geojson["features"]) == 120
        half = SPAN | {"until_us": SPAN["from_us"] + 60 * S_US}
        assert (await desk.get(path, params=half)).json()["count"] == 2
        other = (await desk.get("/api/v1/vehicles/bus-2/track", params=SPAN)).json()
        assert (other["count"], other["points"]) == (0, [])
    seen = [row for row in rows_of(rig.database, audit) if row["what"] == "track-seen"]
    assert [(row["by"], row["object"], row["details"]["format"]) for row in seen[:3]] == [
        ("wang", "bus-1", "json"), ("wang", "bus-1", "gpx"), ("wang", "bus-1", "geojson"),
    ]  # fmt: skip


async def test_who_may_not_see_tracks_sees_none_and_what_is_asked_wrongly_is_refused(rig: Rig) -> None:
    viewer, east = rig.add("li", Role.VIEWER), rig.add("wang", Role.OPERATOR, "east")
    async with rig.client(viewer) as desk:
        assert (await desk.get("/api/v1/vehicles/bus-1/track", params=SPAN)).status_code == 403
    async with rig.client(east) as desk:
        assert (await desk.get("/api/v1/vehicles/bus-2/track", params=SPAN)).status_code == 404
        long = SPAN | {"from_us": NOW_US - 32 * 86_400 * S_US}
        refused = await desk.get("/api/v1/vehicles/bus-1/track", params=long)
        assert (refused.status_code, refused.json()["code"]) == (422, "span-refused")
        for form in ("json", "gpx"):
            away = await desk.get("/api/v1/vehicles/bus-1/track", params=SPAN | {"format": form})
            assert (away.status_code, away.json()["code"]) == (503, "readings-away")
            assert "127.0.0.1" not in away.text


@pytest.fixture
def terminal(with_track: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A command line whose desk is the rig."""
    token = with_track.add("wang", Role.MANAGER)
    monkeypatch.setenv("LANGYAN_DESK_URL", "http://desk")
    monkeypatch.setenv("LANGYAN_DESK_TOKEN", token)
    monkeypatch.setenv("COLUMNS", "200")
    with start_blocking_portal() as portal:

        class Through(httpx.BaseTransport):
            def handle_request(self, request: httpx.Request) -> httpx.Response:
                async def ask() -> httpx.Response:
                    async with with_track.client(token) as desk:
                        headers = dict(request.headers)
                        return await desk.request(
                            request.method, str(request.url), content=request.read(), headers=headers
                        )

                answer = portal.call(ask)
                return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)

        def make(access: Any) -> DeskClient:
            return DeskClient(access, transport=Through())

        monkeypatch.setattr(commands, "DeskClient", make)
        yield with_track


def say(*words: str, status: int = 0) -> str:
    argv = ["vehicles", *words]
    result = RUNNER.invoke(make_app(argv), argv)
    assert result.exit_code == status, result.output
    return result.output


def test_the_commands_that_talk_to_the_desk(terminal: Rig, tmp_path: Path) -> None:
    assert "苏E·12345" in say("list", "--area", "east")
    assert json.loads(say("list", "--json", "--motion", "moving"))["id"] == "bus-1"
    say("fences", "draw", "yard", "--area", "east", "--rule", "stay", "--circle", "31.3,120.6,500",
        "--hours", "22:00-06:00", "--weekdays", "sat,sun", "--name", "车场")  # fmt: skip
    shape = {"type": "Polygon", "coordinates": [[[120.5, 31.2], [120.7, 31.2], [120.7, 31.4], [120.5, 31.2]]]}
    file = tmp_path / "zone.geojson"
    file.write_text(json.dumps(shape), "utf-8")
    say("fences", "draw", "ban", "--area", "east", "--rule", "avoid", "--outline", str(file), "--vehicle", "bus-1")
    listed = say("fences", "list")
    assert "22:00-06:00" in listed
    assert "500 m" in listed
    say("fences", "remove", "ban")
    assert json.loads(say("fences", "list", "--json"))["id"] == "yard"
    out = tmp_path / "way.gpx"
    since = "2020-01-01T00:00"
    terminal.now_us = NOW_US
    say("track", "bus-1", "--since", since, status=1)
    gpx = ["--format", "gpx", "-o", str(out)]
    say("track", "bus-1", "--since", "2026-09-21T00:00+08:00", "--until", "2026-09-22T08:00+08:00", *gpx)
    assert len(list(ET.fromstring(out.read_bytes()).iter("{http://www.topografix.com/GPX/1/1}trkpt"))) == 120  # noqa: S314
    assert list(tmp_path.glob("*.part")) == []
    say("track", "no id", status=2)
    say("track", "bus-1", "--since", "yesterday", status=2)
    say("fences", "draw", "x", "--area", "east", "--rule", "stay", "--circle", "1,2", status=2)
    say("fences", "draw", "x", "--area", "east", "--rule", "stay", "--circle", "1,2,3", "--hours", "22:00", status=2)
    say("fences", "remove", "ban", status=1)


@pytest.mark.usefixtures("terminal")
def test_lists_that_are_longer_than_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = say("list", "--limit", "1")
    assert "--after bus-1" in listed
    rest = [json.loads(line)["id"] for line in say("list", "--json", "--after", "bus-1").splitlines()]
    assert rest
    assert "bus-1" not in rest
    monkeypatch.setattr(commands, "_A_PAGE", 2)
    for name in ("a", "b", "c", "d"):
        say("fences", "draw", name, "--area", "east", "--rule", "stay", "--circle", "31.3,120.6,500")
    ids = [json.loads(line)["id"] for line in say("fences", "list", "--json").splitlines()]
    assert ids == ["a", "b", "c", "d"]
    assert all(f" {name} " in say("fences", "list") for name in ids)


def test_the_registry_in_and_out_of_files(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "cloud.toml"
    path.write_text(f'[database]\nurl = "{rig.database.url.render_as_string(hide_password=False)}"\n', "utf-8")
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_text("id,area,gateway,device\nx,nowhere,g,d\n", "utf-8")
    good.write_text("id,area,gateway,device\nx,east,g,d\n", "utf-8")
    assert "bad.csv:2" in say("import", str(bad), "-s", str(path), status=2)
    say("import", str(good), "-s", str(path), "--dry-run")
    say("import", str(good), "-s", str(path))
    out = tmp_path / "out.csv"
    say("export", str(out), "-s", str(path))
    assert out.read_text("utf-8-sig").count("\n") == 5
    say("import", str(tmp_path / "none.csv"), "-s", str(path), status=1)
