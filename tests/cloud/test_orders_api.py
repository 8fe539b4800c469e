"""Orders and the stolen list over HTTP, and as commands: who may, what is answered, what is audited."""

from functools import partial
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from cloud.database import Database
from cloud.orders import stolen
from cloud.orders.orders import GatewayOrder, give
from cloud.orders.stolen import StolenEntry, add_stolen, confirmed, list_stolen
from cloud.people.audit import list_audit
from cloud.people.roles import Role
from contract.commands import Reset
from langyan.commands.bikes_stolen import app
from tests.cloud.api_rig import NOW_US, Rig
from tests.cloud.order_rig import Site, Wire, put_gateway

pytestmark = pytest.mark.anyio
TAG = "CCB97E7361A4"


@pytest.fixture
def rig(desk_database: Database) -> Rig:
    return Rig(desk_database)


async def asked(rig: Rig, token: str, method: str, path: str, **request: object) -> httpx.Response:
    async with rig.client(token) as client:
        return await client.request(method, f"/api/v1{path}", **request)  # type: ignore[arg-type]


async def test_the_list_is_kept_changed_and_shown_page_by_page(rig: Rig) -> None:
    token = rig.add("wang-fang", Role.DISPATCHER)
    entries = [{"tag": TAG.lower(), "note": "红色", "case": "A-1"}, {"tag": "T2"}, {"tag": "T3"}]
    made = await asked(rig, token, "POST", "/stolen", json={"entries": entries})
    assert (made.status_code, made.json()) == (200, {"version": NOW_US // 1_000_000, "count": 3})
    gone = await asked(rig, token, "POST", "/stolen/remove", json={"tags": ["t3", "T9"]})
    assert gone.json() == {"version": NOW_US // 1_000_000 + 1, "count": 2}
    first = (await asked(rig, token, "GET", "/stolen?limit=1")).json()
    assert [one["tag"] for one in first["entries"]] == [TAG]
    assert (first["entries"][0]["note"], first["entries"][0]["by"], first["next"]) == ("红色", "wang-fang", TAG)
    second = (await asked(rig, token, "GET", f"/stolen?limit=2&after={TAG}")).json()
    assert ([one["tag"] for one in second["entries"]], second["next"]) == (["T2"], None)
    found = rig.database.read(partial(list_audit, by="wang-fang"))
    assert [(one.what, one.origin) for one in found[:2]] == [
        ("stolen-removed", "203.0.113.7"), ("stolen-added", "203.0.113.7")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "area", "method", "path", "status"),
    [
        (Role.VIEWER, None, "GET", "/stolen", 200),
        (Role.VIEWER, None, "GET", "/stolen/gateways", 200),
        (Role.OPERATOR, None, "POST", "/stolen", 403),
        (Role.ADMIN, "east", "GET", "/stolen", 403),
        (Role.DISPATCHER, "east", "POST", "/stolen", 403),
        (Role.MANAGER, "east", "POST", "/stolen/remove", 403),
        (Role.MANAGER, None, "GET", "/orders", 403),
        (Role.ADMIN, "east", "GET", "/orders", 403),
        (Role.ADMIN, None, "GET", "/orders", 200),
    ],
)
async def test_who_may(rig: Rig, role: Role, area: str | None, method: str, path: str, status: int) -> None:
    token = rig.add("someone", role, area)
    body = {"POST": {"entries": [{"tag": "T1"}]} if path == "/stolen" else {"tags": ["T1"]}}.get(method)
    assert (await asked(rig, token, method, path, json=body)).status_code == status


@pytest.mark.parametrize(
    "entry", [{"tag": "no tag"}, {"tag": ""}, {"tag": "A" * 61}, {"tag": "T1", "case": "c" * 65}, {"tag": "T\0"}, {}]
)
async def test_what_is_no_entry_is_refused(rig: Rig, entry: dict[str, str]) -> None:
    token = rig.add("manager", Role.MANAGER)
    answer = await asked(rig, token, "POST", "/stolen", json={"entries": [entry]})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert rig.database.read(list_stolen) == []


async def test_a_full_list_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stolen, "MAX_STOLEN", 3)
    full = [StolenEntry(f"T{number}") for number in range(3)]
    rig.database.run(partial(add_stolen, entries=full, by="b", now_us=NOW_US))
    token = rig.add("manager", Role.MANAGER)
    answer = await asked(rig, token, "POST", "/stolen", json={"entries": [{"tag": "MORE"}]})
    assert (answer.status_code, answer.json()["code"]) == (409, "list-full")


async def test_gateways_show_how_far_the_list_has_come(rig: Rig) -> None:
    wire = Wire(rig.database)
    for name, online in (("g1", True), ("g2", False)):
        wire.gateway(name, online=online)
    wire.note_targets()
    token = rig.add("manager", Role.MANAGER)
    await asked(rig, token, "POST", "/stolen", json={"entries": [{"tag": TAG}]})
    (command,) = wire.push()
    wire.hear(Site("g1").take(command, wire.now_us))
    shown = (await asked(rig, token, "GET", "/stolen/gateways")).json()
    assert (shown["confirmed"], shown["missing"]) == (1, 1)
    wire.gateway("g3")
    assert (await asked(rig, token, "GET", "/stolen/gateways")).json()["missing"] == 2, "no worker has looked at it yet"
    assert [(one["gateway"], one["state"]) for one in shown["gateways"]] == [("g1", "confirmed"), ("g2", "offline")]


async def test_orders_are_listed_with_what_became_of_them(rig: Rig) -> None:
    orders = [
        GatewayOrder(id=f"o{number}", gateway=f"g{number % 2}", order=Reset("g/d/p/r"), by="王芳",
                     expires_at_us=NOW_US + 1)
        for number in range(3)
    ]  # fmt: skip
    rig.database.run(partial(give, orders=orders, now_us=NOW_US))
    token = rig.add("admin", Role.ADMIN)
    page = (await asked(rig, token, "GET", "/orders?limit=2")).json()
    assert [one["id"] for one in page["orders"]] == ["o2", "o1"]
    rest = (await asked(rig, token, "GET", f"/orders?before={page['next']}&state=waiting&gateway=g0")).json()
    assert ([one["id"] for one in rest["orders"]], rest["next"]) == (["o0"], None)
    one = (await asked(rig, token, "GET", "/orders/o1")).json()
    assert (one["kind"], one["state"], one["by"]) == ("reset", "waiting", "王芳")
    assert (await asked(rig, token, "GET", "/orders/o9")).status_code == 404


def test_the_commands_keep_the_list_and_wait_for_gateways(tmp_path: Path, database: Database) -> None:
    settings = tmp_path / "cloud.toml"
    settings.write_text('[database]\nurl = "sqlite:///cloud.db"\n')
    file = tmp_path / "stolen.csv"
    file.write_bytes("tag,note,case\nT1,红色,A-1\nT2,,\n".encode("gb18030"))

    def run(*words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, [*words, "--settings", str(settings)])
        return done.exit_code, done.stdout, done.stderr

    assert run("import", str(file))[0] == 0
    assert run("add", TAG, "--note", "蓝色")[0] == 0
    status, out, _ = run("list", "--csv")
    assert (status, [line.split(",")[:3] for line in out.splitlines()[1:]]) == (
        0, [[TAG, "蓝色", ""], ["T1", "红色", "A-1"], ["T2", "", ""]]
    )  # fmt: skip
    assert run("remove", "t2", TAG)[0] == 0
    assert [one.tag for one in database.read(list_stolen)] == ["T1"]
    file.write_text("no tag\nT1\n,note\n")
    status, _, error = run("import", str(file))
    assert (status, "stolen.csv:1: 'no tag' is no tag" in error, "stolen.csv:3:" in error) == (2, True, True)
    file.write_text("T7\n")
    assert run("import", "--replace", str(file))[0] == 0
    assert [one.tag for one in database.read(list_stolen)] == ["T7"]
    assert run("wait")[0] == 0
    database.run(partial(put_gateway, name="g1"))
    # No worker has looked at it yet, and nobody has the list.
    status, out, error = run("wait", "--limit", "1")
    assert (status, "g1" in error, "0 gateways have confirmed it, 1 have not" in out) == (3, True, True)
    wire = Wire(database)
    wire.note_targets()
    status, out, error = run("wait", "--limit", "1")
    assert (status, "g1" in error) == (3, True)
    (command,) = wire.push()
    wire.hear(Site("g1").take(command, wire.now_us))
    assert run("wait")[0] == 0
    status, out, _ = run("gateways")
    assert (status, "g1" in out) == (0, True)
    assert database.read(confirmed).gateways == {"g1"}
