"""The teller at work: real sockets on this machine, a clock of its own, both databases."""

import base64
import hashlib
import logging
import socketserver
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import pytest
from aiohttp import web
from sqlalchemy import Connection, insert, select, update

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.area_tables import area, contact
from cloud.database.escalation_tables import delivery, web_hook
from cloud.database.tables import change
from cloud.settings import Settings
from cloud.telling.claims import Lease, claim_messages
from cloud.telling.history import channel_of, enable, prepare_hooks
from cloud.telling.log import LogFilter, list_deliveries
from cloud.telling.queue import Delivery, Facts, Kind, State, delivery_id, enqueue
from cloud.telling.settings import Channel, Telling, WebHook
from cloud.telling.worker import run_telling
from contract.alarms import Severity
from tests.cloud.rig import T0_US

# One of apprise's many plugins asks for a module that Python gives up; none of those meant here does.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")]
SECRET = "s3cr3t-k3y-in-the-url"
KEY = b"0123456789abcdef0123456789abcdef"
MINUTE_US = 60_000_000
Answer = Callable[[web.Request, bytes], Any]


class Clock:
    def __init__(self) -> None:
        self.now_us = T0_US

    def __call__(self) -> int:
        return self.now_us


class Patient(PersistentDatabase):
    """Leaves no read behind when it is cancelled: the test's database is closed right after."""

    async def ask(self, work: Callable[[Connection], Any]) -> Any:
        return await self.call(work)


class Receiver:
    """An HTTP server that keeps what it gets, and answers as a test wants."""

    def __init__(self) -> None:
        self.got: list[tuple[web.Request, bytes]] = []
        self.answers: list[web.Response] = []
        self.hold = anyio.Event()
        self.hold.set()
        self.port = 0

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.got.append((request, body))
        if request.path.startswith("/hang"):
            await self.hold.wait()
        return self.answers.pop(0) if self.answers else web.Response(text="{}")

    def urls(self) -> list[str]:
        return [request.path_qs for request, _ in self.got]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        receiver.hold.set()
        await runner.cleanup()


def message(name: str, *, severity: Severity = Severity.CRITICAL, channel: str = "post", **more: Any) -> Delivery:
    given: dict[str, Any] = {
        "kind": Kind.ALARM, "address": "13800000000", "language": "zh", "created_us": T0_US, "due_us": T0_US,
        "facts": Facts(alarm_id="a1", alarm_kind="panic", gateway="gw", device="d", raised_at_us=T0_US),
        "alarm_id": "a1",
    }  # fmt: skip
    return Delivery(id=delivery_id(name), severity=severity, channel=channel, **(given | more))


def rows(database: Database) -> dict[str, Any]:
    def work(connection: Connection) -> dict[str, Any]:
        return {row.id: row for row in connection.execute(select(delivery))}

    return database.read(work)


def states(database: Database) -> list[str]:
    return sorted(row.state for row in rows(database).values())


@asynccontextmanager
async def telling(database: Database, settings: Settings, clock: Clock, *, tellers: int = 1) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        for _ in range(tellers):
            persistent = Patient(database, counters=Counters())
            tasks.start_soon(partial(run_telling, persistent, settings, clock=clock, poll_s=0.02))
        yield
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a database
            await anyio.sleep(0.01)


def queue(database: Database, *deliveries: Delivery) -> None:
    database.run(partial(enqueue, deliveries=deliveries))


@pytest.fixture
def clock() -> Clock:
    return Clock()


def channels(monkeypatch: pytest.MonkeyPatch, *chosen: Channel, **urls: str) -> Settings:
    for name, url in urls.items():
        monkeypatch.setenv(name, url)
    return Settings(telling=Telling(timeout_s=3.0, channel=chosen))


async def test_a_message_is_sent_once_by_two_tellers(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        url = f"json://user:{SECRET}@127.0.0.1:{receiver.port}/sms/{{address}}"
        settings = channels(monkeypatch, Channel(name="post", url_env="POST_URL"), POST_URL=url)
        queue(desk_database, *(message(f"m{n}", address=f"1380000{n:04}") for n in range(40)))
        queue(desk_database, message("m0"))
        async with telling(desk_database, settings, clock, tellers=2):
            await until(lambda: states(desk_database) == ["sent"] * 40)
        assert sorted(receiver.urls()) == [f"/sms/1380000{n:04}" for n in range(40)]
        assert "紧急按钮".encode("unicode_escape") in receiver.got[0][1]


async def test_a_channel_that_hangs_delays_no_other(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        receiver.hold = anyio.Event()
        settings = channels(
            monkeypatch,
            Channel(name="slow", url_env="SLOW_URL"),
            Channel(name="post", url_env="POST_URL"),
            SLOW_URL=f"json://127.0.0.1:{receiver.port}/hang/{{address}}?rto=30",
            POST_URL=f"json://127.0.0.1:{receiver.port}/fast/{{address}}",
        )
        queue(desk_database, *(message(f"s{n}", channel="slow") for n in range(8)))
        queue(desk_database, *(message(f"f{n}") for n in range(8)))
        async with telling(desk_database, settings, clock):
            await until(lambda: states(desk_database).count("sent") == 8)
            assert all(row.channel == "post" for row in rows(desk_database).values() if row.state == "sent")
            await until(lambda: any(row.error for row in rows(desk_database).values()))
        assert {row.error for row in rows(desk_database).values() if row.error} == {"no end after 3 s"}


async def test_what_is_refused_goes_again_and_no_secret_is_written_anywhere(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving() as receiver:
        echo = f"no such key {SECRET}"
        receiver.answers = [web.Response(status=500, text=echo), web.Response(status=429, text=echo)]
        url = f"json://user:{SECRET}@127.0.0.1:{receiver.port}/{SECRET}/{{address}}"
        settings = channels(monkeypatch, Channel(name="post", url_env="POST_URL"), POST_URL=url)
        queue(desk_database, message("m"))
        async with telling(desk_database, settings, clock):
            for attempts in (1, 2):
                await until(lambda n=attempts: [row.attempts for row in rows(desk_database).values()] == [n])  # type: ignore[misc]
                await until(lambda: states(desk_database) == ["pending"])
                (row,) = rows(desk_database).values()
                assert "error=" in row.error
                assert SECRET not in row.error
                assert T0_US < row.due_us <= clock.now_us + MINUTE_US
                clock.now_us = row.due_us
            await until(lambda: states(desk_database) == ["sent"])
    assert SECRET not in caplog.text


async def test_who_died_between_sending_and_noting_is_followed_by_another(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(desk_database, message("m"))
    lease = Lease("dead", T0_US, 80_000_000)
    claim = partial(claim_messages, channel="post", free=4, per_minute=0, zone=ZoneInfo("UTC"), lease=lease)
    assert len(desk_database.run(claim).parcels) == 1
    assert desk_database.run(claim).parcels == []
    async with receiving() as receiver:
        url = f"json://127.0.0.1:{receiver.port}/{{address}}"
        settings = channels(monkeypatch, Channel(name="post", url_env="POST_URL"), POST_URL=url)
        async with telling(desk_database, settings, clock):
            await anyio.wait_all_tasks_blocked()
            assert receiver.got == []
            clock.now_us += 80_000_000
            await until(lambda: states(desk_database) == ["sent"])
    (row,) = rows(desk_database).values()
    assert row.attempts == 2


async def test_quiet_hours_hold_all_but_critical_ones_and_then_tell_all_at_once(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # T0 is 06:13 in Shanghai.
    def someone(connection: Connection) -> None:
        connection.execute(insert(area).values(id="a", level="grid", name="A", path="a/"))
        wang = {"id": "wang", "area": "a", "name": "王芳", "language": "zh", "addresses": []}
        connection.execute(insert(contact).values(**wang, quiet_from="22:00", quiet_to="07:00"))

    desk_database.run(someone)
    queue(desk_database, message("c", contact="wang"))
    queue(desk_database, *(message(f"h{n}", contact="wang", severity=Severity.HIGH) for n in range(3)))
    async with receiving() as receiver:
        url = f"json://127.0.0.1:{receiver.port}/{{address}}"
        settings = channels(monkeypatch, Channel(name="post", url_env="POST_URL"), POST_URL=url)
        async with telling(desk_database, settings, clock):
            await until(lambda: states(desk_database) == ["pending", "pending", "pending", "sent"])
            await until(lambda: sum(row.held_why == "quiet-hours" for row in rows(desk_database).values()) == 3)
            assert len(receiver.got) == 1
            clock.now_us = max(row.due_us for row in rows(desk_database).values())
            await until(lambda: states(desk_database) == ["sent"] * 4)
        assert len(receiver.got) == 2


async def test_a_limit_a_minute_is_kept_and_critical_ones_are_told_together(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(desk_database, *(message(f"m{n}") for n in range(30)))
    async with receiving() as receiver:
        url = f"json://127.0.0.1:{receiver.port}/{{address}}"
        channel = Channel(name="post", url_env="POST_URL", per_minute=2, max_chars=600)
        settings = channels(monkeypatch, channel, POST_URL=url)
        async with telling(desk_database, settings, clock, tellers=2):
            while states(desk_database) != ["sent"] * 30:
                before = len(receiver.got)
                await until(lambda: "sending" not in states(desk_database))
                await anyio.sleep(0.1)
                assert len(receiver.got) - before <= 2
                clock.now_us += MINUTE_US + 1
        assert 1 < len(receiver.got) < 15


async def test_what_cannot_be_sent_at_all_fails_and_is_seen(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = channels(monkeypatch, Channel(name="post", url_env="POST_URL"), POST_URL="nosuch://{address}")
    queue(desk_database, message("a"), message("b", channel="gone"))
    async with telling(desk_database, settings, clock):
        await until(lambda: states(desk_database) == ["failed", "failed"])
    found = desk_database.read(partial(list_deliveries, wanted=LogFilter(state=State.FAILED, channel="gone")))
    assert [one.error for one in found] == ["the settings have no channel gone"]


class _Smtp(socketserver.StreamRequestHandler):
    """As much of SMTP as a mail takes (RFC 5321)."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go\r\n")
                mail = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.mails.append(mail)  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                return


@pytest.fixture
def smtp() -> Iterator[Any]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        server.mails = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_mail_goes_out_by_smtp(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch, smtp: Any
) -> None:
    url = f"mailto://127.0.0.1:{smtp.server_address[1]}?from=desk@example.org&to={{address}}&mode=insecure"
    settings = channels(monkeypatch, Channel(name="post", url_env="POST_URL"), POST_URL=url)
    queue(database, message("m", address="wang@example.org"))
    async with telling(database, settings, clock):
        await until(lambda: states(database) != ["sending"] and bool(smtp.mails))
        await until(lambda: states(database) == ["sent"])
    assert b"To: wang@example.org" in smtp.mails[0]
    assert b"desk@example.org" in smtp.mails[0]


def hmac_sha256(key: bytes, text: bytes) -> bytes:
    """RFC 2104, from the text."""
    key = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + text).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def hooks(monkeypatch: pytest.MonkeyPatch, port: int, **more: Any) -> Settings:
    monkeypatch.setenv("HOOK_KEY", "whsec_" + base64.b64encode(KEY).decode())
    hook = WebHook(name="city", url=f"http://127.0.0.1:{port}/events", secret_env="HOOK_KEY", **more)
    return Settings(telling=Telling(timeout_s=10.0, webhook=(hook,)))


def changed(database: Database, *whats: str, area_path: str = "") -> None:
    def work(connection: Connection) -> None:
        for what in whats:
            row = {"at_us": T0_US, "what": what, "alarm_id": None, "source": "gw/d/p/r", "area_path": area_path}
            connection.execute(
                insert(change).values(**row, by="王芳", origin="10.0.0.1", why="", fields={"x": [None, 1]})
            )

    database.run(work)


async def test_a_web_hook_gets_every_change_as_a_signed_cloud_event(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(desk_database, "raised")
    async with receiving() as receiver:
        settings = hooks(monkeypatch, receiver.port, what=("acknowledged", "closed"))
        desk_database.run(partial(prepare_hooks, hooks=settings.telling.webhook))
        changed(desk_database, "acknowledged", "shown", "closed")
        async with telling(desk_database, settings, clock, tellers=2):
            await until(lambda: states(desk_database) == ["sent", "sent"])
        events = [(body, request) for request, body in receiver.got]
        assert len(events) == 2
        for body, request in events:
            stamp, name = request.headers["webhook-timestamp"], request.headers["webhook-id"]
            expected = base64.b64encode(hmac_sha256(KEY, f"{name}.{stamp}.".encode() + body)).decode()
            assert request.headers["webhook-signature"] == f"v1,{expected}"
            assert stamp == str(T0_US // 1_000_000)
            assert request.content_type == "application/cloudevents+json"
            assert b'"specversion":"1.0"' in body
            assert f'"id":"{name}"'.encode() in body
        assert {b'"langyan.desk.acknowledged"' in body for body, _ in events} == {True, False}


async def test_a_web_hook_that_is_gone_is_disabled_and_goes_on_where_it_stopped(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving() as receiver:
        receiver.answers = [web.Response(status=410)]
        settings = hooks(monkeypatch, receiver.port)
        desk_database.run(partial(prepare_hooks, hooks=settings.telling.webhook))
        changed(desk_database, "raised")

        def is_disabled() -> bool:
            return bool(desk_database.read(lambda c: c.execute(select(web_hook.c.disabled_us)).scalar_one()))

        async with telling(desk_database, settings, clock):
            await until(is_disabled)
            await until(lambda: "410 Gone" in caplog.text)
            changed(desk_database, "closed")
            desk_database.run(partial(enable, hook="city"))
            clock.now_us += MINUTE_US
            await until(lambda: states(desk_database) == ["sent", "sent"])
        assert len(receiver.got) == 3
    assert {row.channel for row in rows(desk_database).values()} == {channel_of("city")}


async def test_a_busy_web_hook_is_left_alone_as_long_as_it_asks(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        receiver.answers = [web.Response(status=503, headers={"Retry-After": "120"})]
        settings = hooks(monkeypatch, receiver.port)
        desk_database.run(partial(prepare_hooks, hooks=settings.telling.webhook))
        changed(desk_database, "raised")
        async with telling(desk_database, settings, clock):
            await until(lambda: [row.error for row in rows(desk_database).values()] == ["HTTP 503"])
            (row,) = rows(desk_database).values()
            assert row.due_us >= T0_US + 120_000_000
            clock.now_us += 120_000_000
            await until(lambda: states(desk_database) == ["sent"])
        # The same event: a receiver can tell it from a new one.
        assert receiver.got[0][1] == receiver.got[1][1]


async def test_events_of_one_alarm_keep_their_order_whatever_fails(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        receiver.answers = [web.Response(status=400)]
        settings = hooks(monkeypatch, receiver.port)
        desk_database.run(partial(prepare_hooks, hooks=settings.telling.webhook))
        changed(desk_database, "raised", "acknowledged", "closed")
        async with telling(desk_database, settings, Clock()):
            await until(lambda: len(rows(desk_database)) == 3)
        # All of one alarm; queued already, so that only sending is looked at.
        receiver.got.clear()
        receiver.answers = [web.Response(status=400)]
        again = {"state": "pending", "due_us": T0_US, "alarm_id": "a1"}
        desk_database.run(lambda c: c.execute(update(delivery).values(again)))
        async with telling(desk_database, settings, clock):
            await until(lambda: any(row.error == "HTTP 400" for row in rows(desk_database).values()))
            clock.now_us += 10 * MINUTE_US
            await until(lambda: states(desk_database) == ["sent"] * 3)
        got = [int(request.headers["webhook-id"]) for request, _ in receiver.got]
        assert got[0] == got[1]
        assert got[1:] == sorted(got[1:])
