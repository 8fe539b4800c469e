"""Fire danger over the API: what a caller sees, and that nothing outside the own subtree is there."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.database import Database
from cloud.people.roles import Role
from cloud.settings import Settings
from langyan.commands import fire
from langyan.desk_client import Access, DeskClient
from tests.cloud.api_rig import Rig
from tests.cloud.fire_rig import HEAD, Post, day, moment_us

pytestmark = pytest.mark.anyio
EAST = "e1,Ridge,gate-east,weather,31.3,120.6"
WEST = "w1,岭西,nowhere,weather,31.3,120.6"


class Both:
    """A desk with a station in each half and one that stands nowhere, after some days."""

    def __init__(self, database: Database) -> None:
        self.rig = Rig(database)
        self.post = Post(database, Settings())
        self.post.register(f"{HEAD},area\n{EAST},\n{WEST},west\nx1,Nowhere,nobody,weather,31.3,120.6,\n")

    async def run(self) -> None:
        for number in (-1, 0, 2):
            self.post.sky.fine(number)
        self.post.sky.fine(1, humidity=140)
        await self.post.pass_at(2, 20)
        self.rig.now_us = moment_us(2, 21)


@pytest.fixture
async def both(desk_database: Database) -> Both:
    made = Both(desk_database)
    await made.run()
    return made


async def test_stations_levels_days_and_quality_of_ones_own_subtree_alone(both: Both) -> None:
    rig = both.rig
    async with rig.client(rig.add("wang", Role.VIEWER, "east")) as east, rig.client(rig.add("all", Role.ADMIN)) as top:
        stations = (await east.get("/api/v1/fire/stations")).json()
        assert [(one["id"], one["area"], one["site"]) for one in stations["stations"]] == [
            ("e1", "east", "school-east")
        ]
        (one,) = stations["stations"]
        assert one["level"] == "moderate"
        assert one["latest"]["china"]["source"].startswith("World Journal of Forestry 2020")
        assert (one["latest"]["china"]["colour"], one["latest"]["china"]["signal"]) == ("yellow", "yellow")

        levels = (await top.get("/api/v1/fire/levels")).json()
        assert [(each["station"], each["word"]) for each in levels["levels"]] == [
            ("e1", "moderate"), ("w1", "moderate"), ("x1", "moderate")]  # fmt: skip
        narrowed = (await top.get("/api/v1/fire/levels", params={"area": "west"})).json()
        assert [each["station"] for each in narrowed["levels"]] == ["w1"]
        assert (await east.get("/api/v1/fire/levels")).json()["levels"][0]["station"] == "e1"

        page = (await east.get("/api/v1/fire/stations/e1/days", params={"limit": 2})).json()
        assert [each["rule"] for each in page["days"]] == ["started", "interpolated"]
        assert page["days"][1]["read"]["rh_pct"] == {"value": 140, "verdict": "impossible"}
        assert page["days"][1]["used"]["rh_pct"] == pytest.approx(42)
        following = (await east.get("/api/v1/fire/stations/e1/days", params={"from": page["next"]})).json()
        assert [each["day"] for each in following["days"]] == [day(2).isoformat()]
        assert following["next"] is None
        span = {"from": day(1).isoformat(), "until": day(2).isoformat()}
        assert len((await east.get("/api/v1/fire/stations/e1/days", params=span)).json()["days"]) == 1

        quality = (await east.get("/api/v1/fire/quality")).json()["stations"]
        assert [each["station"] for each in quality] == ["e1"]
        assert quality[0]["verdicts"]["rh"] == {"good": 2, "impossible": 1}
        assert quality[0]["rules"] == {"started": 1, "interpolated": 1, "observed": 1}

        for path in ("/api/v1/fire/stations/w1", "/api/v1/fire/stations/x1/days", "/api/v1/fire/stations/none"):
            assert (await east.get(path)).status_code == 404
        assert (await top.get("/api/v1/fire/stations/x1")).json()["area"] is None


async def test_only_a_manager_of_its_area_lets_a_station_begin_anew(both: Both) -> None:
    rig = both.rig
    order = {"day": day(2).isoformat(), "ffmc": 90, "dmc": 50, "dc": 300, "why": "burnt over"}
    async with rig.client(rig.add("li", Role.OPERATOR, "east")) as operator:
        assert (await operator.post("/api/v1/fire/stations/e1/start", json=order)).status_code == 403
    async with rig.client(rig.add("zhao", Role.MANAGER, "east")) as manager:
        assert (await manager.post("/api/v1/fire/stations/w1/start", json=order)).status_code == 404
        future = order | {"day": day(3).isoformat()}
        assert (await manager.post("/api/v1/fire/stations/e1/start", json=future)).status_code == 422
        assert (await manager.post("/api/v1/fire/stations/e1/start", json=order | {"ffmc": 102})).status_code == 422
        assert (await manager.post("/api/v1/fire/stations/e1/start", json=order)).status_code == 204
        found = (await manager.get("/api/v1/fire/stations/e1/days", params={"from": day(2).isoformat()})).json()["days"]
    assert found[0]["rule"] == "started"
    assert found[0]["dc"] > 300
    (kept,) = found[0]["corrections"]
    assert kept["changed"]["rule"] == ["observed", "started"]
    assert [row["rule"] for row in both.post.days()] == ["started", "carried", "started"] + 2 * [
        "started", "interpolated", "observed"]  # fmt: skip


def test_the_commands_show_what_the_desk_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    china = {"index": 49, "level": 2, "colour": "blue", "signal": None, "source": "w"}
    read = {name: {"value": 20.0, "verdict": "good"} for name in ("temp_c", "wind_kmh", "rain_mm")}
    one = {
        "day": "2026-05-07",
        "rule": "observed",
        "effis": "very-high",
        "china": china,
        "fwi": 41.25,
        "corrections": [1],
    }
    one |= dict.fromkeys(("ffmc", "dmc", "dc", "isi", "bui"), 1.0)
    one |= {"read": read | {"rh_pct": {"value": 140.0, "verdict": "impossible"}}}
    station = {"id": "e1", "name": "Ridge", "level": "very-high", "hourly_ffmc": 91.2, "latest": one}
    asked: list[tuple[str, object]] = []

    class Desk(DeskClient):
        def get(self, path: str, **params: object) -> object:
            asked.append((path, params.get("from", params.get("after"))))
            if path == "/fire/stations":
                return {"stations": [station], "next": None}
            return {"days": [one], "next": None if params["from"] else "2026-05-08"}

        def post(self, path: str, body: object = None, **_: object) -> None:
            asked.append((path, body))

    monkeypatch.setattr(fire, "DeskClient", Desk)
    monkeypatch.setattr(fire, "read_access", lambda _: Access("http://desk", "token"))
    monkeypatch.setenv("COLUMNS", "200")
    run = CliRunner()
    shown = run.invoke(fire.app, ["danger"])
    assert shown.exit_code == 0, shown.output
    assert all(word in shown.output for word in ("Ridge", "very-high", "41.2", "2 blue", "91.2"))
    assert json.loads(run.invoke(fire.app, ["danger", "--json"]).output) == station
    listed = run.invoke(fire.app, ["days", "e1"])
    assert "140.0 impossible" in listed.output
    assert asked[-2:] == [("/fire/stations/e1/days", None), ("/fire/stations/e1/days", "2026-05-08")]
    begun = run.invoke(fire.app, ["start", "e1", "--day", "2026-05-07", "--start", "80,1,2", "--why", "w"])
    assert begun.exit_code == 0, begun.output
    assert asked[-1] == ("/fire/stations/e1/start", {"day": "2026-05-07", "ffmc": 80, "dmc": 1, "dc": 2, "why": "w"})


OBSERVED = "month,day,temp_c,rh_pct,wind_kmh,rain_mm\n"


def fwi(tmp_path: Path, text: str, *options: str, encoding: str = "utf-8") -> tuple[int, str, str]:
    file = tmp_path / "noon.csv"
    file.write_bytes(text.encode(encoding))
    done = CliRunner().invoke(fire.app, ["fwi", str(file), *options])
    return done.exit_code, done.stdout, done.stderr


def test_a_file_of_noons_becomes_a_file_of_the_index(tmp_path: Path) -> None:
    text = OBSERVED + "4,13,17,42,25,0\n4,14,20,21,25,2.4\n"
    status, out, told = fwi(tmp_path, text)
    assert (status, told) == (0, "")
    assert out == (
        "month,day,ffmc,dmc,dc,isi,bui,fwi,dsr,class,rule\n"
        "4,13,87.69,8.55,19.01,10.85,8.49,10.10,1.63,low,started\n"
        "4,14,86.25,10.41,23.57,8.84,10.36,9.28,1.40,low,observed\n"
    )
    target = tmp_path / "index.csv"
    status, out, told = fwi(
        tmp_path, text, "--scheme", "canada", "--latitude", "-45", "--start", "80,1,2", "-o", str(target)
    )
    assert (status, out, told) == (0, "", "")
    first = target.read_text(encoding="utf-8").splitlines()[1].split(",")
    assert first[4] == "5.76", "the drought code of a southern autumn from 2"
    assert first[9] == "moderate"


def test_chinese_headings_gbk_and_semicolons_are_read(tmp_path: Path) -> None:
    text = "月;日;气温;相对湿度;风速;降水量\n4;13;17,0;42;25;0\n"
    status, out, _ = fwi(tmp_path, text, encoding="gbk")
    assert status == 0
    assert out.splitlines()[1].startswith("4,13,87.69,8.55")


def test_missed_days_are_estimated_or_end_the_series_and_are_told(tmp_path: Path) -> None:
    text = OBSERVED + "12,30,17,42,25,0\n1,1,17,42,25,0\n1,6,17,42,25,0\n"
    status, out, told = fwi(tmp_path, text)
    assert status == 0
    assert [line.rpartition(",")[2] for line in out.splitlines()[1:]] == [
        "started", "interpolated", "observed", "carried", "carried", "carried", "none", "started"]  # fmt: skip
    assert out.splitlines()[7] == "1,5,,,,,,,,,none"
    first, second = told.splitlines()
    assert first.endswith("noon.csv:3: 1 days are missing before it; they are estimated")
    assert second.endswith("noon.csv:4: 4 days are missing before it; the index starts anew")


def test_the_day_of_a_leap_year_is_no_gap(tmp_path: Path) -> None:
    for after in ("2,29,1,50,5,0\n3,1,1,50,5,0\n", "3,1,1,50,5,0\n"):
        status, out, told = fwi(tmp_path, f"{OBSERVED}2,28,1,50,5,0\n{after}")
        assert (status, told) == (0, "")
        assert len(out.splitlines()) == 2 + after.count("\n")


def test_every_fault_is_told_with_its_line_and_what_to_do(tmp_path: Path) -> None:
    rows = ["4,13,17,140,25,0", "4,14,17,40,200,-1", "2,31,1,1,1,1", "4,x,1,1,1,1", "4,16,warm,1,1,", "4,17,1,1,1,1",
            "4,15,1,1,1,1"]  # fmt: skip
    status, out, told = fwi(tmp_path, OBSERVED + "\n".join(rows) + "\n")
    assert (status, out) == (2, "")
    where = [line.partition("noon.csv:")[2] for line in told.splitlines()]
    assert where[:7] == [
        "2: rh_pct: 140 % cannot be: 0 to 100; leave the row out, and the day counts as missed",
        "3: wind_kmh: 200 km/h cannot be: 0 to 150; is it in another unit? 1 m/s is 3.6 km/h",
        "3: rain_mm: -1 mm cannot be: 0 to 1000; leave the row out, and the day counts as missed",
        "4: day: 2-31 is no day",
        "5: day: 'x' is no number from 1 to 31",
        "6: temp_c: 'warm' is no number",
        "6: rain_mm: is empty",
    ]
    assert where[7].startswith("8: comes before the row above")
    assert told.splitlines()[-1] == "8 fault(s); nothing was worked out"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("month,day,temp_c,rh_pct,wind_kmh\n", "1: column rain_mm is missing"),
        (OBSERVED, "holds no observation"),
        (OBSERVED + "4,13,17,42,25,0\n4,13,17,42,25,0\n", "3: comes before the row above"),
    ],
)
def test_a_file_that_holds_no_series_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    status, _, told = fwi(tmp_path, text)
    assert status == 2
    assert fault in told


@pytest.mark.parametrize("start", ["85,6", "85,6,x", "102,6,15", "85,-1,15", "nan,6,15", "85,6,15,1"])
def test_a_start_that_is_none_is_refused(tmp_path: Path, start: str) -> None:
    status, _, told = fwi(tmp_path, OBSERVED + "4,13,17,42,25,0\n", "--start", start)
    assert status == 2
    assert "FFMC,DMC,DC" in told
