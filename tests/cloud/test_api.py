"""The API over ASGI: lists, actions, who sees what, and what is said when something is wrong."""

from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cloud.database import Database
from cloud.desk.core import ClosingCode
from cloud.numbers.following import rebuild
from cloud.numbers.settings import Numbers
from cloud.people.roles import Action, Role
from cloud.settings import Settings
from contract.alarms import Severity
from tests.cloud.api_rig import NOW_US, Rig, insecure, make_alarm

pytestmark = pytest.mark.anyio

FILTERED: list[tuple[dict[str, Any], list[str]]] = [
    ({"severity": "critical"}, ["button-1"]),
    ({"severity": ["critical", "high"]}, ["button-1", "button-0"]),
    ({"area": "west"}, []),
    ({"area": "city"}, ["button-1", "button-0"]),
    ({"gateway": "gate-east", "device": "button-0"}, ["button-0"]),
    ({"kind": "fire"}, []),
    ({"site": "school-east", "acknowledged": "false"}, ["button-1", "button-0"]),
    ({"acknowledged": "true"}, []),
    ({"mode": "test", "state": "all"}, []),
    ({"since_us": make_alarm(1).raised_at_us}, ["button-1"]),
    ({"until_us": make_alarm(1).raised_at_us}, ["button-0"]),
]
WRONG: list[tuple[str, str, object, int, str]] = [
    ("GET", "/api/v1/alarms?limit=0", None, 422, "invalid"),
    ("GET", "/api/v1/alarms?colour=red", None, 422, "invalid"),
    ("GET", "/api/v1/alarms?after=%20", None, 422, "invalid"),
    ("GET", "/api/v1/alarms/xyz", None, 422, "invalid"),
    ("GET", "/api/v1/alarms/ffffffff", None, 404, "not-found"),
    ("POST", "/api/v1/alarms/ffffffff/acknowledge", {"colour": "red"}, 422, "invalid"),
    ("POST", "/api/v1/alarms/ffffffff/close", {"code": "bored"}, 422, "invalid"),
    ("POST", "/api/v1/alarms/ffffffff/comment", {"comment": "x" * 4_001}, 422, "invalid"),
    ("GET", "/api/v1/nothing", None, 404, "no-such-path"),
    ("DELETE", "/api/v1/alarms", None, 405, "wrong-method"),
    ("GET", "/docs", None, 404, "no-such-path"),
]


@pytest.fixture
def rig(desk_database: Database) -> Rig:
    return Rig(desk_database)


@pytest.fixture
def lite(database: Database) -> Rig:
    """On SQLite alone, for what no database decides."""
    return Rig(database)


async def test_the_list_goes_page_by_page_whatever_comes_meanwhile(rig: Rig) -> None:
    rig.raise_alarms(5)
    async with rig.client(rig.add("admin", Role.ADMIN)) as desk:
        first = (await desk.get("/api/v1/alarms", params={"limit": 2})).json()
        rig.raise_alarms(1, first=10)
        second = (await desk.get("/api/v1/alarms", params={"limit": 2, "after": first["next"]})).json()
        third = (await desk.get("/api/v1/alarms", params={"limit": 2, "after": second["next"]})).json()
    found = [alarm["device"] for page in (first, second, third) for alarm in page["alarms"]]
    assert found == ["button-4", "button-3", "button-2", "button-1", "button-0"]
    assert third["next"] is None


async def test_each_filter_filters(rig: Rig) -> None:
    rig.raise_alarms(1)
    rig.raise_alarms(1, first=1, severity=Severity.CRITICAL)
    found = []
    async with rig.client(rig.add("admin", Role.ADMIN)) as desk:
        for params, _devices in FILTERED:
            answer = await desk.get("/api/v1/alarms", params=params)
            found.append((params, [alarm["device"] for alarm in answer.json()["alarms"]]))
    assert found == FILTERED


async def test_the_first_of_a_chain_is_named(rig: Rig) -> None:
    alarms = rig.raise_alarms(3)
    async with rig.client(rig.add("admin", Role.ADMIN)) as desk:
        page = (await desk.get("/api/v1/alarms")).json()
    assert page["first_outs"] == {alarm.alarm_id: alarms[0].alarm_id for alarm in alarms[1:]}


@pytest.mark.parametrize(("count", "is_flood"), [(9, False), (10, True)])
async def test_a_flood_is_told(rig: Rig, *, count: int, is_flood: bool) -> None:
    alarms = rig.raise_alarms(count)
    async with rig.client(rig.add("admin", Role.ADMIN)) as desk:
        page = (await desk.get("/api/v1/alarms", params={"limit": 1})).json()
    assert page["flood_since_us"] == (alarms[-1].raised_at_us if is_flood else None)


async def test_an_alarm_goes_through_its_stages_and_its_history_says_so(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms()
    path = f"/api/v1/alarms/{alarm.alarm_id}"
    async with rig.client(rig.add("wang", Role.DISPATCHER)) as desk:
        assert (await desk.post("/api/v1/alarms/shown", json={"alarm_ids": [alarm.alarm_id]})).json() == {"shown": 1}
        stages = []
        for action, body in (
            ("acknowledge", {"comment": "我去看看", "seen_triggers": 1}),
            ("dispatch", {"comment": "two men"}),
            ("arrive", {}),
            ("comment", {"comment": "nobody here"}),
            ("close", {"code": "accidental", "comment": "cleaner leaned on it"}),
        ):
            rig.now_us += 1_000_000
            answer = await desk.post(f"{path}/{action}", json=body)
            assert answer.status_code == 200, answer.text
            stages.append(answer.json()["stage"])
        found = (await desk.get(f"{path[:-14]}/history")).json()
    assert stages == ["acknowledged", "dispatched", "on-scene", "on-scene", "closed"]
    told = [(change["what"], change["by"], change["origin"], change["why"]) for change in found["changes"]]
    wang = "wang", "203.0.113.7"
    assert told == [
        ("raised", "gateway", "mqtt", ""),
        ("shown", *wang, ""),
        ("acknowledged", *wang, "我去看看"),
        ("dispatched", *wang, "two men"),
        ("arrived", *wang, ""),
        ("commented", *wang, "nobody here"),
        ("closed", *wang, "cleaner leaned on it"),
    ]
    assert (found["alarm"]["closing_code"], found["alarm"]["allowed"]) == ("accidental", ["comment"])


async def test_the_second_of_two_is_told_who_was_first_and_when(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms()
    path = f"/api/v1/alarms/{alarm.alarm_id}/acknowledge"
    async with rig.client(rig.add("wang", Role.OPERATOR)) as one, rig.client(rig.add("li", Role.OPERATOR)) as other:
        assert (await one.post(path, json={})).status_code == 200
        rig.now_us += 5_000_000
        refused = await other.post(path, json={})
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["status"]) == (409, "already-acknowledged", 409)
    assert refused.headers["content-type"] == "application/problem+json"
    assert (problem["by"], problem["at_us"], problem["state"], problem["stage"]) == (
        "wang", NOW_US, "acknowledged", "acknowledged",
    )  # fmt: skip
    assert "dispatch" in problem["allowed"]
    assert "acknowledge" not in problem["allowed"]
    assert problem["hint"]


async def test_what_the_state_refuses_says_what_it_allows(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms()
    async with rig.client(rig.add("wang", Role.OPERATOR)) as desk:
        refused = await desk.post(f"/api/v1/alarms/{alarm.alarm_id}/reset", json={})
        unsaid = await desk.post(f"/api/v1/alarms/{alarm.alarm_id}/close", json={"code": "genuine"})
    assert (refused.status_code, refused.json()["code"]) == (409, "state-refuses")
    assert "acknowledge" in refused.json()["allowed"]
    assert (unsaid.status_code, unsaid.json()["code"]) == (422, "comment-missing")


async def test_what_lies_outside_the_subtree_is_not_there(rig: Rig) -> None:
    (east,) = rig.raise_alarms()
    (west,) = rig.raise_alarms(half="west")
    (nowhere,) = rig.raise_alarms(1, first=5, area_path="", area=None, site=None)
    async with rig.client(rig.add("wang", Role.MANAGER, "east")) as desk:
        seen = [alarm["alarm_id"] for alarm in (await desk.get("/api/v1/alarms")).json()["alarms"]]
        assert seen == [east.alarm_id]
        for hidden in (west, nowhere):
            path = f"/api/v1/alarms/{hidden.alarm_id}"
            for answer in (await desk.get(path), await desk.post(f"{path}/acknowledge", json={})):
                assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
        shown = await desk.post("/api/v1/alarms/shown", json={"alarm_ids": [east.alarm_id, west.alarm_id]})
        assert shown.json() == {"shown": 1}
        for path in ("/api/v1/areas/west", "/api/v1/areas/city", "/api/v1/sites/school-west"):
            assert (await desk.get(path)).status_code == 404
        assert [one["id"] for one in (await desk.get("/api/v1/areas")).json()["areas"]] == ["east"]
        assert [one["id"] for one in (await desk.get("/api/v1/sites")).json()["sites"]] == ["school-east"]
        devices = (await desk.get("/api/v1/devices")).json()["devices"]
        assert [(one["gateway"], one["online"]) for one in devices] == [("gate-east", None)]
        assert (await desk.get("/api/v1/alarms", params={"area": "west"})).status_code == 404
        assert (await desk.get("/api/v1/numbers", params={"area": "west"})).status_code == 404
        out = {"kind": "out-of-service", "target": "gate-west", "why": "paint"}
        assert (await desk.post("/api/v1/controls", json=out)).status_code == 404


async def test_a_role_may_what_the_table_says(rig: Rig) -> None:
    alarms = rig.raise_alarms(4)
    cells = [
        (Role.VIEWER, "acknowledge", 403),
        (Role.OPERATOR, "acknowledge", 200),
        (Role.OPERATOR, "dispatch", 403),
        (Role.DISPATCHER, "dispatch", 200),
    ]
    found = []
    for number, (role, action, _status) in enumerate(cells):
        async with rig.client(rig.add(f"li-{number}", role, "east")) as desk:
            answer = await desk.post(f"/api/v1/alarms/{alarms[number].alarm_id}/{action}", json={})
        found.append((role, action, answer.status_code))
        assert answer.status_code == 200 or answer.json()["code"] == "not-allowed"
    assert found == cells


async def test_a_token_does_what_it_was_made_for_until_it_ends(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms()
    rig.add("li", Role.ADMIN)
    async with rig.client(rig.narrow("li", {Action.SEE_ALARMS}, lasts_s=60)) as desk:
        assert (await desk.get("/api/v1/alarms")).status_code == 200
        refused = await desk.post(f"/api/v1/alarms/{alarm.alarm_id}/acknowledge", json={})
        assert (refused.status_code, refused.json()["code"]) == (403, "not-allowed")
        rig.now_us += 61_000_000
        ended = await desk.get("/api/v1/alarms")
    assert (ended.status_code, ended.json()["code"]) == (401, "not-signed-in")
    assert ended.headers["www-authenticate"].startswith("Bearer")


async def test_a_critical_source_is_shelved_by_a_manager_only_and_the_list_tells_the_time_left(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms(severity=Severity.CRITICAL)
    path = f"/api/v1/alarms/{alarm.alarm_id}/shelve"
    body = {"for_s": 600, "comment": "sensor is being mended"}
    async with rig.client(rig.add("li", Role.OPERATOR)) as desk:
        assert (await desk.post(path, json=body)).status_code == 403
    async with rig.client(rig.add("wang", Role.MANAGER)) as desk:
        shelved = await desk.post(path, json=body)
        assert (shelved.status_code, shelved.json()["state"]) == (200, "shelved"), shelved.text
        rig.now_us += 100_000_000
        (control,) = (await desk.get("/api/v1/controls")).json()["controls"]
        assert (control["kind"], control["target"], control["remaining_s"]) == ("shelved", alarm.source, 500)
        heard = await desk.post(f"/api/v1/alarms/{alarm.alarm_id}/unshelve", json={})
        assert heard.json()["state"] == "unacknowledged"
        assert (await desk.get("/api/v1/controls")).json() == {"controls": []}


async def test_a_device_is_taken_out_of_service_and_put_back(rig: Rig) -> None:
    rig.raise_alarms()
    order = {"kind": "out-of-service", "target": "gate-east/button-0", "why": "new battery", "for_s": 60}
    async with rig.client(rig.add("wang", Role.MANAGER, "east")) as desk:
        assert (await desk.post("/api/v1/controls", json=order)).status_code == 201
        (alarm,) = (await desk.get("/api/v1/alarms")).json()["alarms"]
        assert alarm["state"] == "out-of-service"
        twice = await desk.post("/api/v1/controls", json=order)
        assert (twice.status_code, twice.json()["code"]) == (409, "control-refused")
        end = {"kind": "out-of-service", "target": "gate-east/button-0"}
        assert (await desk.post("/api/v1/controls/end", json=end)).status_code == 200


async def test_what_is_wrong_is_said_as_a_problem(lite: Rig) -> None:
    found = []
    async with lite.client(lite.add("admin", Role.ADMIN)) as desk:
        for method, path, body, _status, _code in WRONG:
            answer = await desk.request(method, path, json=body)
            problem = answer.json()
            found.append((method, path, body, answer.status_code, problem["code"]))
            assert answer.headers["content-type"] == "application/problem+json"
            assert problem["type"] == f"urn:langyan:problem:{problem['code']}"
            assert problem["detail"]
            assert problem["hint"]
    assert found == WRONG


async def test_a_body_beyond_the_cap_is_refused_before_it_is_read(database: Database) -> None:
    rig = Rig(database, insecure(max_body_bytes=1_024))
    async with rig.client(rig.add("admin", Role.ADMIN)) as desk:
        for body in (b"x" * 1_025, _pieces()):
            answer = await desk.post("/api/v1/login", content=body, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


async def _pieces() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"x" * 500


async def test_every_answer_carries_the_headers_and_no_cors(lite: Rig) -> None:
    async with lite.client(headers={"Origin": "https://elsewhere.example"}) as desk:
        answer = await desk.get("/api/v1/alarms")
    assert answer.status_code == 401
    told = answer.headers
    assert (told["cache-control"], told["x-content-type-options"], told["referrer-policy"]) == (
        "no-store", "nosniff", "no-referrer",
    )  # fmt: skip
    assert "frame-ancestors 'none'" in told["content-security-policy"]
    assert not [name for name in told if name.startswith("access-control")]


async def test_a_database_that_is_away_is_503_and_says_nothing_of_where_it_is(desk_database: Database) -> None:
    rig = Rig(desk_database)
    token = rig.add("admin", Role.ADMIN)
    with desk_database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE api_token RENAME TO gone")
    async with rig.client(token) as desk:
        answer = await desk.get("/api/v1/alarms")
    assert (answer.status_code, answer.json()["code"]) == (503, "database-away")
    assert answer.headers["retry-after"] == "2"
    assert "sqlite" not in answer.text
    assert "postgres" not in answer.text


async def test_the_document_is_for_who_is_signed_in(lite: Rig) -> None:
    async with lite.client() as desk:
        assert (await desk.get("/api/v1/openapi.json")).status_code == 401
    async with lite.client(lite.add("li", Role.VIEWER)) as desk:
        assert (await desk.get("/api/v1/openapi.json")).json()["openapi"].startswith("3.1")


async def test_an_area_is_shown_with_who_is_on_duty_to_whom_that_is_shown(lite: Rig) -> None:
    async with lite.client(lite.add("li", Role.VIEWER)) as desk:
        assert (await desk.get("/api/v1/areas/east")).json()["on_duty"] is None
    async with lite.client(lite.add("wang", Role.DISPATCHER)) as desk:
        found = (await desk.get("/api/v1/areas/east")).json()
        assert found["on_duty"] == []
        assert [one["severity"] for one in found["policies"]] == ["critical", "high", "medium", "low"]
        order = {"contact": "nobody", "until_us": NOW_US + 3_600_000_000, "why": "ill"}
        assert (await desk.post("/api/v1/areas/east/handover", json=order)).status_code == 404


async def test_numbers_are_told(rig: Rig) -> None:
    async with rig.client(rig.add("li", Role.VIEWER, "east")) as desk:
        answer = await desk.get("/api/v1/numbers")
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"]["area_path"] == "city/east/"


async def test_numbers_follow_the_settings(database: Database) -> None:
    numbers = Numbers(operators=3, false_call_kinds=("smoke",))
    rig = Rig(database, Settings(numbers=numbers))
    for number, kind in enumerate(["smoke", "panic"]):
        closed = {"closed_at_us": NOW_US, "closing_code": ClosingCode.ACCIDENTAL}
        rig.raise_alarms(1, first=number, half=("east", "west")[number], kind=kind, **closed)
    rebuild(database, ZoneInfo(rig.settings.desk.timezone))
    async with rig.client(rig.add("li", Role.VIEWER)) as desk:
        found = (await desk.get("/api/v1/numbers")).json()
        assert (await desk.get("/api/v1/numbers", params={"operators": 2})).json()["scope"]["operators"] == 2
    assert found["scope"]["operators"] == 3
    assert [one["site"] for one in found["false_call_sites"]] == ["school-east"]
