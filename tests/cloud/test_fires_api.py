"""Fires over the API: seen in one's own subtree, judged by who may, told in CAP; and the commands that ask for them."""

import json
from functools import partial
from pathlib import Path

import anyio.from_thread
import anyio.to_thread
import httpx
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from cloud.database import Database
from cloud.database.detection_tables import fire_cap
from cloud.database.people_tables import audit
from cloud.desk.core import ClosingCode
from cloud.fire.detection_settings import Detection
from cloud.fire.settings import Fire
from cloud.people.roles import Role
from cloud.settings import Settings
from contract.alarms import Mode, Severity
from langyan.commands import fire as commands
from langyan.commands import fires
from langyan.desk_client import Access, DeskClient
from tests.cloud.api_rig import NOW_US, Rig
from tests.cloud.detection_rig import FireRig, S
from tests.cloud.test_cap import check

pytestmark = pytest.mark.anyio
SETTINGS = Settings(fire=Fire(detection=Detection(simulated_gateways=("sim-1",), sender="desk@example.org")))
FALSE = {"code": ClosingCode.WEATHER_ANIMAL.value, "why": "晨雾"}


class Both:
    """A desk with a fire of two towers in the east, and one of a tower in the west."""

    def __init__(self, database: Database) -> None:
        self.api = Rig(database, SETTINGS)
        self.towers = FireRig(database, SETTINGS, areas=False)
        for name, km, area in (("tower-1", 0.0, "east"), ("tower-2", 2.0, "east"), ("far-1", 90.0, "west"),
                               ("sim-1", 200.0, "east")):  # fmt: skip
            self.towers.tower(name, km, area_id=area)
        for name in ("tower-1", "tower-2", "far-1"):
            self.towers.smoke(name, NOW_US - 60 * S)
        self.towers.detect(NOW_US - 59 * S)
        self.east = next(one.id for one in self.towers.fires() if one.area == "east")
        self.west = next(one.id for one in self.towers.fires() if one.area == "west")
        self.dispatcher = self.api.add("wang", Role.DISPATCHER, "east")
        self.viewer = self.api.add("li", Role.VIEWER, "east")

    def caps(self, fire: str) -> list[tuple[str, str, str, str]]:
        query = select(fire_cap).where(fire_cap.c.fire == fire).order_by(fire_cap.c.number)
        rows = self.api.database.read(lambda connection: connection.execute(query).all())
        for row in rows:
            check(row.xml)
        return [(row.msg_type, row.status, row.scope, row.by) for row in rows]

    def audited(self) -> list[tuple[str, str, str]]:
        query = select(audit).where(audit.c.what.startswith("fire-")).order_by(audit.c.id)
        rows = self.api.database.read(lambda connection: connection.execute(query).all())
        return [(row.what, row.by, row.object) for row in rows]


@pytest.fixture
def both(desk_database: Database) -> Both:
    return Both(desk_database)


async def test_who_sees_what(both: Both) -> None:
    async with both.api.client(both.viewer) as client:
        listed = (await client.get("/api/v1/fires")).json()
        assert [one["id"] for one in listed["fires"]] == [both.east]
        assert listed["fires"][0]["towers"] == ["tower-1", "tower-2"]
        shown = (await client.get(f"/api/v1/fires/{both.east[:8]}")).json()
        assert shown["fire"]["certainty"] == "Likely"
        assert sorted(one["source"] for one in shown["evidence"]) == [
            "tower-1/smoke/smoke/smoke", "tower-2/smoke/smoke/smoke"]  # fmt: skip
        assert (await client.get(f"/api/v1/fires/{both.west}")).status_code == 404
        assert (await client.get(f"/api/v1/fires/{both.west}/cap")).status_code == 404
        assert (await client.get("/api/v1/fires", params={"area": "west"})).status_code == 404
        for path, body in (("confirm", {}), ("false", FALSE), ("cap", {"scope": "Public"})):
            answer = await client.post(f"/api/v1/fires/{both.east}/{path}", json=body)
            assert answer.status_code == 403
    async with both.api.client(both.dispatcher) as client:
        for path, body in (("confirm", {}), ("false", FALSE), ("cap", {"scope": "Public"})):
            answer = await client.post(f"/api/v1/fires/{both.west}/{path}", json=body)
            assert answer.status_code == 404


async def test_pages_and_what_stands(both: Both) -> None:
    async with both.api.client(both.api.add("all", Role.ADMIN)) as client:
        first = (await client.get("/api/v1/fires", params={"limit": 1})).json()
        second = (await client.get("/api/v1/fires", params={"limit": 1, "after": first["next"]})).json()
        assert {first["fires"][0]["id"], second["fires"][0]["id"]} == {both.east, both.west}
        both.towers.smoke("far-1", NOW_US, raised_at_us=NOW_US - 60 * S)
        both.towers.detect(NOW_US)
        standing = (await client.get("/api/v1/fires", params={"standing": True})).json()
        assert [one["id"] for one in standing["fires"]] == [both.east]


async def test_a_confirmed_fire_is_observed_and_audited(both: Both) -> None:
    assert both.caps(both.east) == [("Alert", "Actual", "Private", "desk")]
    async with both.api.client(both.dispatcher) as client:
        answer = await client.post(f"/api/v1/fires/{both.east}/confirm", json={"why": "瞭望员看见明火"})
        assert answer.status_code == 200
        assert (answer.json()["certainty"], answer.json()["judged_by"]) == ("Observed", "wang")
        again = await client.post(f"/api/v1/fires/{both.east}/confirm", json={})
        assert (again.status_code, again.json()["code"]) == (409, "state-refuses")
        latest = await client.get(f"/api/v1/fires/{both.east}/cap")
        assert latest.headers["content-type"].startswith("application/cap+xml")
        root = check(latest.text)
        assert root.findtext("info/certainty") == "Observed"
        assert root.findtext("scope") == "Private"
        assert root.findtext("references", "").startswith(f"desk@example.org,desk@example.org-fire-{both.east}-1,")
    assert both.caps(both.east)[1:] == [("Update", "Actual", "Private", "wang")]
    assert both.audited() == [("fire-confirmed", "wang", both.east)]
    own = both.towers.alarm(f"cloud/fire.{both.east}/detection/fusion")
    assert own.severity is Severity.CRITICAL
    assert "瞭望员看见明火" in both.towers.history(own.source)[-1][1]


async def test_a_false_fire_is_closed_cancelled_and_takes_nothing_more(both: Both) -> None:
    async with both.api.client(both.dispatcher) as client:
        public = await client.post(f"/api/v1/fires/{both.east}/cap", json={"scope": "Public"})
        assert (public.status_code, public.json()["msg_type"]) == (201, "Update")
        silent = await client.post(f"/api/v1/fires/{both.east}/false", json=FALSE | {"why": " "})
        assert (silent.status_code, silent.json()["code"]) == (422, "comment-missing")
        genuine = await client.post(f"/api/v1/fires/{both.east}/false", json=FALSE | {"code": "genuine"})
        assert genuine.status_code == 409
        answer = await client.post(f"/api/v1/fires/{both.east}/false", json=FALSE)
        assert answer.status_code == 200
        again = await client.post(f"/api/v1/fires/{both.east}/confirm", json={})
        assert again.status_code == 409
        listed = (await client.get(f"/api/v1/fires/{both.east}/caps")).json()
        assert [one["msg_type"] for one in listed["messages"]] == ["Cancel", "Update", "Alert"]
    # Who was told must hear that it was nothing.
    assert both.caps(both.east)[-1] == ("Cancel", "Actual", "Public", "wang")
    assert [what for what, _by, _object in both.audited()] == ["fire-cap-issued", "fire-called-false"]
    own = both.towers.alarm(f"cloud/fire.{both.east}/detection/fusion")
    assert (own.closing_code, own.closed_by) == (ClosingCode.WEATHER_ANIMAL, "wang")
    both.towers.detect(NOW_US)
    for name in ("tower-1", "tower-2"):
        stands = both.towers.alarm(f"{name}/smoke/smoke/smoke")
        assert stands.suppressed_by is None
        assert stands.acknowledged_at_us is None
    # The same alarms never found another fire, and further ones do.
    assert len(both.towers.fires()) == 2
    both.towers.says("tower-1/crown/temperature/overheat", NOW_US, kind="heat")
    both.towers.detect(NOW_US + S)
    assert len(both.towers.fires()) == 3


async def test_what_a_simulator_sees_is_a_test_and_a_drill_an_exercise(both: Both) -> None:
    both.towers.smoke("sim-1", NOW_US)
    both.towers.says("tower-1/crown/temperature/overheat", NOW_US, kind="heat", mode=Mode.DRILL)
    both.towers.detect(NOW_US)
    new = [one.id for one in both.towers.fires() if one.id not in (both.east, both.west)]
    assert {both.caps(one)[0][:2] for one in new} == {("Alert", "Test"), ("Alert", "Exercise")}


async def test_a_fire_that_goes_quiet_is_told_so(both: Both) -> None:
    both.towers.smoke("far-1", NOW_US, raised_at_us=NOW_US - 60 * S)
    both.towers.detect(NOW_US)
    assert both.caps(both.west) == [("Alert", "Actual", "Private", "desk"), ("Update", "Actual", "Private", "desk")]


async def test_the_commands_show_judge_and_write(both: Both, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def carry(request: httpx.Request) -> httpx.Response:
        async def go() -> httpx.Response:
            async with both.api.client(both.dispatcher) as client:
                answer = await client.send(request)
                return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

        return anyio.from_thread.run(go)

    monkeypatch.setattr(fires, "read_access", lambda _environ: Access("http://desk", both.dispatcher))
    monkeypatch.setattr(fires, "DeskClient", partial(DeskClient, transport=httpx.MockTransport(carry)))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> str:
        result = CliRunner().invoke(commands.app, words)
        assert result.exit_code == 0, result.output
        return result.output

    async def call(*words: str) -> str:
        return await anyio.to_thread.run_sync(lambda: run(*words))

    assert both.east[:8] in await call("list", "--standing")
    assert json.loads(await call("list", "--json"))["id"] == both.east
    assert "tower-2/smoke/smoke/smoke" in await call("show", both.east[:8])
    await call("confirm", both.east, "--why", "看见明火")
    file = tmp_path / "fire.xml"
    await call("cap", both.east, "--make", "public", "-o", str(file))
    assert check(file.read_text(encoding="utf-8")).findtext("scope") == "Public"
    await call("false", both.east, "--code", "weather-animal", "--why", "晨雾")
    root = check(await call("cap", both.east))
    assert root.findtext("msgType") == "Cancel"
