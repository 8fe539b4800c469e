"""What an API that everybody can reach must keep to: limits before signing in, faults of who asks, addresses."""

import logging
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest
from sqlalchemy import insert, select
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from cloud.api import connections
from cloud.api.auth import identify, still_valid
from cloud.api.guard import STREAM_PATH, Guard
from cloud.api.settings import Api
from cloud.database import Database
from cloud.database.area_tables import contact
from cloud.database.escalation_tables import delivery
from cloud.database.people_tables import token
from cloud.errors import DatabaseAwayError
from cloud.people.roles import Person, Role
from cloud.people.store import UserChanges, edit_user
from cloud.settings import DatabaseSettings, Settings
from cloud.telling.channels import ChannelSender
from cloud.telling.claims import Claimed
from cloud.telling.queue import Kind
from cloud.telling.routes import MessageRoute
from cloud.telling.settings import Channel
from contract.alarms import Severity
from tests.cloud.api_process import serving
from tests.cloud.api_rig import CONSOLE, NOW_US, PASSWORD, Rig, insecure

pytestmark = pytest.mark.anyio
LIMIT_S = 20.0
MINUTE_US = 60_000_000
# No row can be like it, or no number is so large.
UNSTORABLE = (
    "/areas/%00", "/areas?after=%00", "/sites/%00", "/sites?after=%00", "/devices?after=%00/x", "/devices?site=%00",
    "/users?after=%00", "/audit?by=%00", "/audit?what=%00", "/alarms?kind=%00", "/deliveries?before_us=1&before_id=%00",
    "/alarms?after=OTIyMzM3MjAzNjg1NDc3NTgwODphYQ", "/audit?before=9223372036854775808",
    "/stream?after=99999999999999999999",
)  # fmt: skip


@pytest.fixture
def rig(desk_database: Database) -> Rig:
    return Rig(desk_database)


@pytest.fixture
def lite(database: Database) -> Rig:
    return Rig(database)


def asked(rig: Rig, headers: Mapping[str, str]) -> Request:
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    app = SimpleNamespace(state=SimpleNamespace(context=rig.context))
    return Request({"type": "http", "headers": pairs, "app": app, "method": "GET", "path": STREAM_PATH})


async def test_a_stream_does_not_outlive_the_role_and_the_place_it_began_with(rig: Rig) -> None:
    held = {"Authorization": f"Bearer {rig.add('li', Role.OPERATOR, 'east')}"}
    person = await person_of(rig, held)
    valid = partial(still_valid, rig.context, asked(rig, held), person)
    assert await valid()
    found = []
    for changes in (UserChanges(area="west"), UserChanges(area="east"), UserChanges(role=Role.VIEWER)):
        edit = partial(edit_user, name="li", changes=changes, actor=CONSOLE, editor=None, now_us=NOW_US)
        rig.database.run(edit)
        found.append(await valid())
    assert found == [False, True, False]


async def test_a_stream_lasts_while_the_database_is_away(lite: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_work: object) -> object:
        raise DatabaseAwayError("down")

    held = {"Authorization": f"Bearer {lite.add('li', Role.OPERATOR)}"}
    person = await person_of(lite, held)
    monkeypatch.setattr(lite.database, "ask", away)
    assert await still_valid(lite.context, asked(lite, held), person)


async def person_of(rig: Rig, headers: Mapping[str, str]) -> Person:
    return (await identify(rig.context, asked(rig, headers))).person


async def test_an_open_stream_is_use_of_its_session_but_not_beyond_its_end(lite: Rig) -> None:
    lite.add("li", Role.OPERATOR)
    async with lite.client() as desk:
        answer = await desk.post("/api/v1/login", json={"name": "li", "password": PASSWORD})
        cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
        person = await person_of(lite, cookie)
        valid = partial(still_valid, lite.context, asked(lite, cookie), person)
        for _ in range(7):
            lite.now_us += 100 * MINUTE_US
            assert await valid()
        assert (await desk.get("/api/v1/me")).status_code == 200
        lite.now_us += 20 * MINUTE_US
        assert not await valid()


async def test_a_token_of_a_stream_is_touched_once_a_minute(lite: Rig) -> None:
    held = {"Authorization": f"Bearer {lite.add('li', Role.OPERATOR)}"}
    person = await person_of(lite, held)
    used = []
    for _ in range(9):
        lite.now_us += 15_000_000
        assert await still_valid(lite.context, asked(lite, held), person)
        used.append(lite.database.read(lambda connection: connection.execute(select(token.c.used_us)).scalar_one()))
    assert len(set(used)) == 3


async def lasting(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await anyio.sleep(0.2)
    await send({"type": "http.response.body", "body": b"end"})


@pytest.mark.parametrize(("path", "ends"), [(STREAM_PATH, True), ("/api/v1/alarms", False)])
async def test_the_stream_lasts_and_nothing_else_does(path: str, ends: bool) -> None:  # noqa: FBT001
    sent = await send_through(Guard(lasting, Api(timeout_s=0.05)), path, {})
    assert (sent[-1].get("body") == b"end") is ends


@pytest.mark.parametrize("path", [STREAM_PATH, "/api/v1/login"])
async def test_a_body_that_never_comes_is_not_waited_for(path: str) -> None:
    sent = await send_through(Guard(lasting, Api(timeout_s=0.05)), path, {b"content-length": b"5"})
    assert sent[0]["status"] == 503


async def send_through(guard: Guard, path: str, headers: Mapping[bytes, bytes]) -> list[Message]:
    sent: list[Message] = []

    async def never() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": list(headers.items()), "client": None}
    with anyio.fail_after(LIMIT_S):
        await guard(scope, never, send)
    return sent


def test_who_says_nothing_or_half_a_head_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_LIMIT_S", 0.2)
    settings = Settings(database=DatabaseSettings(url=f"sqlite:///{tmp_path}/desk.db"), api=Api(port=0))
    with serving(settings) as (process, _portal):
        for first in (b"", b"GET /api/v1/me HTTP/1.1\r\nHost:"):
            with socket.create_connection(("127.0.0.1", process.port), timeout=LIMIT_S) as line:
                line.sendall(first)
                assert line.recv(1_000) == b""
        with socket.create_connection(("127.0.0.1", process.port), timeout=LIMIT_S) as line:
            line.sendall(b"GET /api/v1/me HTTP/1.1\r\nHost: desk\r\n\r\n")
            answered = line.recv(10_000)
            assert answered.startswith(b"HTTP/1.1 401")
            # A further request on the same connection, begun and not ended.
            line.sendall(b"GET /api")
            while more := line.recv(10_000):
                answered += more
            assert answered.count(b"HTTP/1.1") == 1


async def test_what_cannot_be_stored_is_a_fault_of_who_asks(rig: Rig) -> None:
    found = {}
    async with rig.client(rig.add("admin", Role.ADMIN)) as desk:
        for path in UNSTORABLE:
            found[path] = (await desk.get(f"/api/v1{path}")).status_code
        for path, body in (
            ("/login", {"name": "li\0", "password": "x"}),
            ("/areas/east/handover", {"contact": "a\0", "until_us": NOW_US + 1_000_000, "why": "x"}),
            ("/users", {"name": "li", "role": "viewer", "password": PASSWORD, "area": "\0"}),
        ):
            found[path] = (await desk.post(f"/api/v1{path}", json=body)).status_code
    # SQLite compares texts with a NUL as any.
    assert [path for path, status in found.items() if not (status == 200 or 400 <= status < 500)] == []


async def test_a_link_of_nobodys_waits_for_no_writer(lite: Rig) -> None:
    async with lite.client() as phone:
        with lite.database.transaction():
            answer = await phone.post("/a/guessed")
    assert answer.status_code == 404


def make_contacts(rig: Rig, **areas: str) -> None:
    rows: list[dict[str, object]] = [
        {"id": name, "area": area, "name": name, "language": "zh", "addresses": [], "quiet_from": None,
         "quiet_to": None, "max_per_hour": None}
        for name, area in areas.items()
    ]  # fmt: skip
    with rig.database.transaction() as connection:
        connection.execute(insert(contact), rows)


async def test_an_area_is_handed_over_to_its_own_and_to_who_is_above_it(rig: Rig) -> None:
    make_contacts(rig, eastern="east", western="west", chief="city")
    order = {"until_us": NOW_US + 3_600_000_000, "why": "ill"}
    found = {}
    async with rig.client(rig.add("li", Role.DISPATCHER, "east")) as desk:
        for name in ("eastern", "chief", "western"):
            answer = await desk.post("/api/v1/areas/east/handover", json=order | {"contact": name})
            found[name] = answer.status_code
    async with rig.client(rig.add("admin", Role.ADMIN)) as desk:
        anybody = await desk.post("/api/v1/areas/east/handover", json=order | {"contact": "western"})
    assert found == {"eastern": 201, "chief": 201, "western": 404}
    assert anybody.status_code == 201


async def test_addresses_of_contacts_elsewhere_are_hidden(rig: Rig) -> None:
    make_contacts(rig, eastern="east", chief="city")
    (alarm,) = rig.raise_alarms()
    rows: list[dict[str, object]] = [
        {"id": f"d{number}", "alarm_id": alarm.alarm_id, "kind": "alarm", "severity": "high", "contact": name,
         "channel": "sms", "address": f"number of {name}", "language": "zh", "body": {}, "created_us": number,
         "state": "sent", "due_us": 1, "attempts": 1}
        for number, name in enumerate(("eastern", "chief", "gone", None))
    ]  # fmt: skip
    with rig.database.transaction() as connection:
        connection.execute(insert(delivery), rows)
    shown = {}
    for name, area in (("li", "east"), ("admin", None)):
        async with rig.client(rig.add(name, Role.ADMIN, area)) as desk:
            listed = (await desk.get("/api/v1/deliveries")).json()["deliveries"]
            of_chief = (await desk.get("/api/v1/deliveries", params={"contact": "chief"})).json()["deliveries"]
        shown[name] = [one["address"] for one in listed]
        assert [one["contact"] for one in of_chief] == ["chief"]
    assert shown["li"] == ["***", "***", "***", "number of eastern"]
    assert shown["admin"] == ["number of None", "number of gone", "number of chief", "number of eastern"]


async def test_a_contact_that_users_share_gets_no_link_in_the_name_of_one(rig: Rig) -> None:
    make_contacts(rig, own="east", shared="east", half="east")
    (alarm,) = rig.raise_alarms()
    for name, of in (("a", "own"), ("b", "shared"), ("c", "shared"), ("d", "half"), ("e", "half")):
        rig.add(name, Role.OPERATOR, "east")
        changes = UserChanges(contact=of, disabled=name == "e")
        rig.database.run(partial(edit_user, name=name, changes=changes, actor=CONSOLE, editor=None, now_us=NOW_US))
    rows = [
        Claimed(of, alarm.alarm_id, Kind.ALARM.value, Severity.HIGH, of, "x", "zh", {}, NOW_US, 1)
        for of in ("own", "shared", "half")
    ]
    channel = Channel(name="sms", url_env="SMS_URL")
    sender = ChannelSender(channel, "json://desk.example/{address}", limit_s=1.0)
    route = MessageRoute(channel, sender, insecure(public_url="http://desk"))
    links = rig.database.run(lambda connection: route._links(connection, rows, NOW_US))
    assert sorted(links) == ["half", "own"]
    assert "~a~" in links["own"]
    assert "~d~" in links["half"]


async def test_an_alarm_says_what_its_escalation_waits_for_in_the_readers_language(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms()
    path = f"/api/v1/alarms/{alarm.alarm_id}"
    async with rig.client(rig.add("li", Role.DISPATCHER)) as desk:
        fresh = (await desk.get(f"{path}/history")).json()["escalation"]
        assert (fresh["round"], fresh["taken"], fresh["idle"]) == (1, 0, None)
        assert fresh["steps"] > 0
        assert fresh["next_at_us"] is not None
        await desk.post(f"{path}/close", json={"code": "accidental", "comment": "x"})
        assert (await desk.get(f"{path}/history")).json()["escalation"] is None


async def test_the_log_of_requests_reads_when_it_is_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cloud.api.guard"):
        await send_through(Guard(lasting, Api()), "/x", {})
    (record,) = [one for one in caplog.records if one.name == "cloud.api.guard"]
    assert record.msg == "HTTP request: %s"
    assert record.getMessage().startswith("HTTP request: - 200 GET '/x' ")
