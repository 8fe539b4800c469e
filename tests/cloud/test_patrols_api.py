"""Patrols over the API: what each role sees and does in its part of the city; and the worker that judges it all."""

from datetime import date
from functools import partial

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.feed_tables import observation
from cloud.database.patrol_tables import patrol_tour, patrol_verdict, patrol_wake
from cloud.feed import queue
from cloud.feed.queue import Waiting
from cloud.feed.sorting import Trade, write_samples
from cloud.patrols.settings import Patrols
from cloud.patrols.worker import run_patrols
from cloud.people.roles import Role
from cloud.settings import Settings
from contract.telemetry import Point, Sample
from tests.cloud.api_rig import Rig
from tests.cloud.patrols_rig import SHEETS, Patrol, at, docking, visit
from tests.cloud.rig import rows_of

pytestmark = pytest.mark.anyio
TOUR = "/api/v1/patrols/tours/night.20261123T2200"


@pytest.fixture
def patrol(desk_database: Database) -> Patrol:
    settings = Settings(patrols=Patrols(settle_s=0))
    patrol = Patrol(desk_database, rig=Rig(desk_database, settings))
    patrol.to("24 01:30")
    patrol.upload(("C1", "22:05"), ("C1", "22:06"), ("C3", "23:10"))
    return patrol


def rig_of(patrol: Patrol) -> Rig:
    assert patrol.rig is not None
    patrol.rig.now_us = patrol.now_us
    return patrol.rig


async def test_the_board_of_a_day_and_one_tour_with_its_history(patrol: Patrol) -> None:
    rig = rig_of(patrol)
    async with rig.client(rig.add("wang", Role.VIEWER, "east")) as desk:
        board = (await desk.get("/api/v1/patrols/tours", params={"day": "2026-11-23"})).json()
        (tour,) = board["tours"]
        assert (tour["state"], tour["visited"], tour["counts"]) == ("missed", 2, {"missed": 1, "on-time": 2})
        today = (await desk.get("/api/v1/patrols/tours")).json()["tours"]
        assert [one["id"] for one in today] == ["night.20261124T2200"]
        for asked, count in (
            ({"state": "missed"}, 1),
            ({"state": "done"}, 0),
            ({"route": "x"}, 0),
            ({"area": "east"}, 1),
        ):
            found = await desk.get("/api/v1/patrols/tours", params={"day": "2026-11-23"} | asked)
            assert len(found.json()["tours"]) == count, asked
        shown = (await desk.get(TOUR)).json()
    assert [(one["name"], one["verdict"], one["must"]) for one in shown["stops"]] == [
        ("东门", "on-time", False), ("实验室", "missed", True), ("楼顶", "on-time", False)]  # fmt: skip
    assert [(one["verdict"], one["point"]) for one in shown["extras"]] == [("repeated", "gate")]
    assert [one["after"] for one in shown["history"] if one["position"] == 1] == ["pending", "missed"]
    assert (shown["people"], shown["wands"]) == (["wang"], ["w1"])


async def test_what_lies_outside_ones_area_is_not_there(patrol: Patrol) -> None:
    rig = rig_of(patrol)
    async with rig.client(rig.add("li", Role.MANAGER, "west")) as desk:
        assert (await desk.get(TOUR)).status_code == 404
        for path, key, count in (
            ("tours?day=2026-11-23", "tours", 0), ("points", "points", 1), ("routes", "routes", 0),
            ("plans", "plans", 0), ("wands", "wands", 0), ("watches", "watches", 0),
        ):  # fmt: skip
            assert len((await desk.get(f"/api/v1/patrols/{path}")).json()[key]) == count, path
        for order in ({"point": "gate"}, {"point": "park", "wand": "w1"}, {"point": "nowhere"}):
            assert (await desk.post("/api/v1/patrols/visits", json=order)).status_code == 404
        watch = {"area": "east", "person": "wang", "interval_s": 600}
        assert (await desk.post("/api/v1/patrols/watches", json=watch)).status_code == 404
        refused = await desk.post("/api/v1/patrols/import", json={"files": {"people.csv": SHEETS["people.csv"]}})
        assert refused.status_code == 200, "nothing of it is new"
        changed = {"people.csv": "id,area,name\nwang,west,王芳\n"}
        refused = await desk.post("/api/v1/patrols/import", json={"files": changed})
        assert (refused.status_code, refused.json()["code"]) == (422, "import-refused")


WESTERN = {
    "points.csv": "id,area,name,cards\nshed,west,棚,C20\n",
    "routes.csv": "id,area,name,order\nown,west,西巡,free\n",
    "route_points.csv": "route,position,point\nown,1,shed\n",
    "people.csv": "id,area,name\nli,west,李雷\n",
    "wands.csv": "id,area,machine\nw9,west,0909090909\n",
    "carriers.csv": "wand,person\nw9,li\n",
    "plans.csv": "id,route,starts,duration_min,people,wands\ntake,own,22:00,60,li,w9\n",
}


@pytest.mark.parametrize(
    ("file", "rows", "what"),
    [
        ("route_points.csv", "route,position,point\nown,1,gate\n", "point gate"),
        ("plans.csv", "id,route,starts,duration_min,wands\ntake,own,22:00,60,w1\n", "wand w1"),
        ("plans.csv", "id,route,starts,duration_min,people\ntake,own,22:00,60,wang\n", "person wang"),
        ("routes.csv", "id,area,site,name,order\nown,west,school-east,西巡,free\n", "site school-east"),
        ("carriers.csv", "wand,person\nw9,wang\n", "person wang"),
        ("wands.csv", "id,area,gateway,device\nw9,west,gate-east,wand-2\n", "gateway gate-east"),
    ],
)
async def test_what_is_named_lies_in_ones_own_area_too(patrol: Patrol, file: str, rows: str, what: str) -> None:
    rig = rig_of(patrol)
    async with rig.client(rig.add("li", Role.MANAGER, "west")) as desk:
        refused = await desk.post("/api/v1/patrols/import", json={"files": WESTERN | {file: rows}})
        assert refused.status_code == 422
        told = [fault["why"] for fault in refused.json()["faults"]]
        assert len(told) == 1, told
        assert told[0].endswith(f"{what} lies outside your area")
        good = await desk.post("/api/v1/patrols/import", json={"files": WESTERN, "dry_run": True})
        assert good.status_code == 200, good.text


async def test_points_routes_plans_and_wands(patrol: Patrol) -> None:
    rig = rig_of(patrol)
    async with rig.client(rig.add("wang", Role.VIEWER, "east")) as desk:
        points = (await desk.get("/api/v1/patrols/points", params={"limit": 2})).json()
        assert ([one["id"] for one in points["points"]], points["next"]) == (["gate", "lab"], "lab")
        assert points["points"][0]["cards"] == ["C1"]
        more = (await desk.get("/api/v1/patrols/points", params={"after": "lab"})).json()
        assert [one["id"] for one in more["points"]] == ["roof"]
        (route,) = (await desk.get("/api/v1/patrols/routes")).json()["routes"]
        assert [one["point"] for one in route["points"]] == ["gate", "lab", "roof"]
        (plan,) = (await desk.get("/api/v1/patrols/plans")).json()["plans"]
        assert (plan["starts"], plan["people"], len(plan["weekdays"])) == (["22:00"], ["wang"], 7)
        (wand,) = (await desk.get("/api/v1/patrols/wands")).json()["wands"]
        assert (wand["synced_at_us"], wand["silent_since_us"], wand["hits_us"]) == (at("24 01:30"), None, [])
        assert (await desk.post("/api/v1/patrols/visits", json={"point": "gate"})).status_code == 403


async def test_a_visit_by_hand_corrects_a_tour_and_is_audited(patrol: Patrol) -> None:
    rig = rig_of(patrol)
    order = {"point": "lab", "wand": "w1", "visited_at_us": at("22:40")}
    async with rig.client(rig.add("chen", Role.OPERATOR, "east")) as desk:
        answers = [(await desk.post("/api/v1/patrols/visits", json=order)).json() for _ in range(2)]
        assert answers[0] == {"is_new": True, "tours": ["night.20261123T2200"]}
        assert not answers[1]["is_new"]
        ahead = await desk.post("/api/v1/patrols/visits", json=order | {"visited_at_us": patrol.now_us + 10**9})
        assert ahead.status_code == 422
        assert (await desk.post("/api/v1/patrols/visits", json={})).status_code == 422
        patrol.work()
        assert (await desk.get(TOUR)).json()["state"] == "done"
    assert patrol.told() == [("patrol-missed", "high", False)]
    async with rig.client(rig.add("admin", Role.ADMIN)) as desk:
        audit = (await desk.get("/api/v1/audit", params={"what": "patrol-visit-handed-in"})).json()
    assert {one["by"] for one in audit["entries"]} == {"chen"}


async def test_somebody_alone_over_the_api(patrol: Patrol) -> None:
    rig = rig_of(patrol)
    async with rig.client(rig.add("chen", Role.OPERATOR, "east")) as desk:
        order = {"area": "east", "person": "wang", "wand": "w1", "interval_s": 600}
        watch = (await desk.post("/api/v1/patrols/watches", json=order)).json()
        path = f"/api/v1/patrols/watches/{watch['id']}"
        rig.now_us += 60_000_000
        assert (await desk.post(f"{path}/check-in")).json()["due_us"] == rig.now_us + 600_000_000
        assert len((await desk.get("/api/v1/patrols/watches")).json()["watches"]) == 1
        assert (await desk.post(f"{path}/end")).json()["state"] == "ended"
        for what in ("check-in", "end"):
            assert (await desk.post(f"{path}/{what}")).json()["code"] == "watch-ended"
        assert (await desk.get("/api/v1/patrols/watches")).json()["watches"] == []
        assert len((await desk.get("/api/v1/patrols/watches?ended=true")).json()["watches"]) == 1
        assert (await desk.post("/api/v1/patrols/watches/nobody/end")).status_code == 404


async def test_a_watch_by_name_is_fed_by_visits(patrol: Patrol) -> None:
    rig = rig_of(patrol)
    patrol.bring({"people.csv": "id,area,name\nzhao1,east,赵敏\nzhao2,east,赵敏\nfar,west,李雷\n"})
    async with rig.client(rig.add("chen", Role.OPERATOR, "east")) as desk:
        order = {"area": "east", "interval_s": 600}
        answers = [
            await desk.post("/api/v1/patrols/watches", json=order | {"person": person})
            for person in ("王芳", "赵敏", "zhao2", "李雷")
        ]
        assert [one.status_code for one in answers] == [201, 422, 201, 201]
        assert [answers[one].json()["person"] for one in (0, 2, 3)] == ["wang", "zhao2", "李雷"]
        rig.now_us = patrol.now_us = patrol.now_us + 5 * 60_000_000
        patrol.upload(("C1", "24 01:34"), docked=False)
        (watch,) = [
            one for one in (await desk.get("/api/v1/patrols/watches")).json()["watches"] if one["person"] == "wang"
        ]
    assert watch["sign_at_us"] == at("24 01:34")


async def test_the_latest_hits_of_a_wand_are_shown(patrol: Patrol) -> None:
    rig = rig_of(patrol)
    hits = [
        Sample("wand-1", at("22:00"), (Point("hit_at", f"2026-11-23T14:{one:02}:00Z"), Point("machine", "0102030405")))
        for one in range(30)
    ]
    patrol.hear(hits)
    async with rig.client(rig.add("wang", Role.VIEWER, "east")) as desk:
        (wand,) = (await desk.get("/api/v1/patrols/wands")).json()["wands"]
    assert wand["hits_us"] == [at(f"22:{one:02}") for one in range(29, 9, -1)]


async def test_sheets_come_over_the_api_all_or_nothing(patrol: Patrol) -> None:
    rig = rig_of(patrol)
    async with rig.client(rig.add("boss", Role.MANAGER, "east")) as desk:
        good = {"people.csv": "id,area,name\nzhao,east,赵敏\n"}
        dry = await desk.post("/api/v1/patrols/import", json={"files": good, "dry_run": True})
        assert dry.json()["sheets"]["people"] == {"added": 1, "changed": 0, "removed": 0, "unchanged": 1}
        bad = good | {"plans.csv": "id,route,starts,duration_min\nx,gone,22:00,60\n"}
        refused = (await desk.post("/api/v1/patrols/import", json={"files": bad})).json()
        assert {fault["where"] for fault in refused["faults"]} == {"plans.csv:2"}
        assert (await desk.post("/api/v1/patrols/import", json={"files": {"x.txt": ""}})).status_code == 422
        assert (await desk.post("/api/v1/patrols/import", json={"files": good})).status_code == 200
        again = await desk.post("/api/v1/patrols/import", json={"files": good})
        assert again.json()["sheets"]["people"]["unchanged"] == 2


async def test_the_worker_takes_what_waits_and_judges_it(desk_database: Database) -> None:
    patrol = Patrol(desk_database)
    patrol.now_us = at("24 01:30")
    samples = write_samples([docking(patrol.now_us), visit("C1", "22:05"), visit("C2", "22:30"), visit("C3", "23:10")])
    waiting = [Waiting(Trade.PATROLS, "gate-east", patrol.now_us, samples)]
    desk_database.run(partial(queue.put, waiting=waiting, limit=1_000))
    database = PersistentDatabase(desk_database, counters=Counters())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(run_patrols, database, patrol.settings, clock=lambda: patrol.now_us))
        with anyio.fail_after(30):
            while patrol.row()["state"] != "done":
                await checkpoint()
        tasks.cancel_scope.cancel()
    assert patrol.told() == []
    assert rows_of(desk_database, observation) == []


async def test_two_workers_take_and_judge_side_by_side(desk_database: Database) -> None:
    count = 40
    ids = [f"n{one:02}" for one in range(count)]
    sheets = SHEETS | {
        "wands.csv": "id,area,machine\n" + "".join(f"{one},east,{one}\n" for one in ids),
        "people.csv": "id,area,name\n" + "".join(f"{one},east,{one}\n" for one in ids),
        "carriers.csv": "wand,person\n" + "".join(f"{one},{one}\n" for one in ids),
        "plans.csv": "id,route,starts,duration_min,people\n" + "".join(f"{one},round,22:00,120,{one}\n" for one in ids),
    }
    patrol = Patrol(desk_database, sheets)
    patrol.now_us = at("24 01:30")
    walked = [("C1", "22:05"), ("C2", "22:30"), ("C3", "23:10")]
    waiting = []
    for number, one in enumerate(ids):
        samples = [visit(card, when, machine=one) for card, when in walked[: 2 + number % 2]]
        told = (samples[:1], [docking(patrol.now_us, machine=one)], samples[1:], samples)
        waiting += [Waiting(Trade.PATROLS, "gate-east", patrol.now_us, write_samples(some)) for some in told]
    desk_database.run(partial(queue.put, waiting=waiting, limit=10_000))

    def done() -> bool:
        states = [row["state"] for row in rows_of(desk_database, patrol_tour) if row["day"] == date(2026, 11, 23)]
        # Whose last visits are judged in a later transaction than its docking has been told of in between, and is over.
        stand = [stands for _kind, _severity, stands in patrol.told()]
        return states.count("done") == states.count("missed") == count // 2 and stand.count(True) == count // 2

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            database = PersistentDatabase(desk_database, counters=Counters())
            tasks.start_soon(partial(run_patrols, database, patrol.settings, clock=lambda: patrol.now_us))
        with anyio.fail_after(50):
            while rows_of(desk_database, observation) or rows_of(desk_database, patrol_wake) or not done():
                await checkpoint()
        tasks.cancel_scope.cancel()
    changes = [(row["tour"], row["position"], row["after"]) for row in rows_of(desk_database, patrol_verdict)]
    assert len(set(changes)) == len(changes), "no verdict was given twice"
