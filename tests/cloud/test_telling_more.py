"""Telling: what is never told, second addresses, references, links, web hooks that answer nonsense, TLS, commands."""

import asyncio
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import Connection, insert, make_url, select, update
from typer.testing import CliRunner, Result

from cloud.api.settings import Api
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.area_tables import area, contact
from cloud.database.escalation_tables import delivery, web_hook
from cloud.database.people_tables import user
from cloud.database.tables import cursor
from cloud.errors import TellingError
from cloud.settings import Settings
from cloud.telling.claims import prune
from cloud.telling.history import channel_of, prepare_hooks, queue_events
from cloud.telling.queue import Facts, Kind, State, delivery_id, enqueue
from cloud.telling.settings import Channel, Telling, WebHook
from cloud.telling.webhooks import HookSender
from cloud.telling.worker import prepare
from contract.alarms import Mode
from langyan.commands.telling import app
from tests.cloud.rig import T0_US
from tests.cloud.test_api_server import Authority
from tests.cloud.test_telling import (
    KEY,
    MINUTE_US,
    Clock,
    changed,
    channels,
    hooks,
    message,
    queue,
    receiving,
    rows,
    states,
    telling,
    until,
)

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")]
DATA = {"change": 7, "what": "raised", "at_us": T0_US, "alarm": None, "source": "gw/d/p/r"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


def settle(database: Database, *addresses: tuple[str, str]) -> None:
    def work(connection: Connection) -> None:
        connection.execute(insert(area).values(id="a", level="grid", name="A", path="a/"))
        said = [{"channel": channel, "address": address} for channel, address in addresses]
        connection.execute(insert(contact).values(id="wang", area="a", name="王芳", language="zh", addresses=said))

    database.run(work)


def test_tests_and_drills_are_never_told_and_counted(desk_database: Database) -> None:
    given = [message(mode.value, facts=Facts(alarm_id="a1", mode=mode)) for mode in Mode]
    assert desk_database.run(partial(enqueue, deliveries=given)) == len(Mode) - 1
    assert list(rows(desk_database)) == [delivery_id(Mode.LIVE.value)]


async def test_a_new_web_hook_has_its_place_before_the_desk_takes_anything(desk_database: Database) -> None:
    hook = WebHook(name="city", url="http://127.0.0.1:1/", secret_env="HOOK_KEY")
    persistent = PersistentDatabase(desk_database, counters=Counters())
    changed(desk_database, "raised")
    await prepare(persistent, Settings(telling=Telling(webhook=(hook,))))
    changed(desk_database, "acknowledged")
    # Another desk, or the loop itself, does it again and moves nothing.
    await prepare(persistent, Settings(telling=Telling(webhook=(hook,))))
    assert desk_database.run(partial(queue_events, hook=hook, now_us=T0_US)) == 1
    assert [row.body["what"] for row in rows(desk_database).values()] == ["acknowledged"]
    assert desk_database.read(lambda c: c.execute(select(cursor.c.name)).scalars().all()) == [channel_of("city")]


async def test_what_fails_for_good_goes_to_the_contacts_next_address(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(desk_database, ("gone", "1"), ("bad", "2"), ("post", "3"))
    queue(desk_database, message("m", channel="gone", address="1", contact="wang"))
    async with receiving() as receiver:
        settings = channels(
            monkeypatch,
            Channel(name="bad", url_env="BAD_URL"),
            Channel(name="post", url_env="POST_URL"),
            BAD_URL="nosuch://{address}",
            POST_URL=f"json://127.0.0.1:{receiver.port}/{{address}}",
        )
        async with telling(desk_database, settings, clock, tellers=2):
            await until(lambda: states(desk_database) == ["failed", "failed", "sent"])
        assert receiver.urls() == ["/3"]


async def test_an_address_that_was_told_at_once_is_not_told_instead(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(desk_database, ("bad", "2"), ("post", "3"))
    queue(desk_database, *(message(name, channel=name, address=to, contact="wang") for name, to in
                           (("bad", "2"), ("post", "3"))))  # fmt: skip
    async with receiving() as receiver:
        settings = channels(
            monkeypatch,
            Channel(name="bad", url_env="BAD_URL"),
            Channel(name="post", url_env="POST_URL"),
            BAD_URL="nosuch://{address}",
            POST_URL=f"json://127.0.0.1:{receiver.port}/{{address}}",
        )
        async with telling(desk_database, settings, clock):
            await until(lambda: states(desk_database) == ["failed", "sent"])


async def test_a_repeat_says_the_same_reference_and_a_user_gets_a_link(
    desk_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(desk_database, ("post", "3"))
    who: dict[str, Any] = {
        "name": "wang",
        "display": "王芳",
        "password": "",
        "role": "operator",
        "contact": "wang",
        "language": "zh",
    }
    who |= {"disabled": False, "must_change": False, "created_us": T0_US}
    desk_database.run(lambda c: c.execute(insert(user).values(**who)))
    queue(desk_database, message("m", contact="wang"))
    async with receiving() as receiver:
        receiver.answers = [web.Response(status=500)]
        url = f"json://127.0.0.1:{receiver.port}/{{address}}?+Idempotency-Key={{message_id}}"
        settings = channels(monkeypatch, Channel(name="post", url_env="POST_URL"), POST_URL=url)
        settings = Settings(telling=settings.telling, api=Api(public_url="https://desk.example.org"))
        async with telling(desk_database, settings, clock):
            await until(lambda: bool([row for row in rows(desk_database).values() if row.error]))
            clock.now_us += MINUTE_US
            await until(lambda: states(desk_database) == ["sent"])
        name = delivery_id("m")
        assert [request.headers["Idempotency-Key"] for request, _ in receiver.got] == [name, name]
        for _, body in receiver.got:
            assert name[:12].encode() in body
            assert b"https://desk.example.org/a/" in body


@pytest.mark.parametrize(
    "answer", [b"\x00\xff" * 5000, b"HTTP/1.1 999999\r\n\r\n", b"HTTP/1.1 204\r\n" + b"x" * 99_999, b""]
)
async def test_a_web_hook_that_answers_garbage_is_tried_again_and_its_url_is_not_said(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hook = WebHook(name="city", url=f"http://127.0.0.1:{port}/token-in-path", secret_env="K")
    async with server, HookSender(hook, KEY, limit_s=5) as sender:
        with pytest.raises(TellingError) as caught:
            await sender.send(DATA, now_us=T0_US)
        assert "token-in-path" not in str(caught.value)


async def test_a_web_hook_is_trusted_by_its_own_authority_and_by_no_other(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours, other = Authority(tmp_path), Authority(tmp_path / "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours.desk, ours.desk_key)
    got: list[bytes] = []

    async def take(request: web.BaseRequest) -> web.Response:
        got.append(await request.read())
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(take), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        hook = WebHook(name="city", url=url, secret_env="K", ca=str(ours.file))
        async with HookSender(hook, KEY, limit_s=5) as sender:
            await sender.send(DATA, now_us=T0_US)
        for ca in (str(other.file), ""):
            hook = WebHook(name="city", url=url, secret_env="K", ca=ca)
            async with HookSender(hook, KEY, limit_s=5) as sender:
                with pytest.raises(TellingError, match="not reached"):
                    await sender.send(DATA, now_us=T0_US)
    finally:
        await runner.cleanup()
    assert len(got) == 1


def test_what_is_settled_and_old_goes_and_what_waits_stays(desk_database: Database) -> None:
    queue(desk_database, *(message(name) for name in ("old", "new", "waits", "event")))

    def work(connection: Connection) -> None:
        for name, kind, state, created_us in (
            ("old", Kind.ALARM, State.SENT, T0_US - 10),
            ("new", Kind.ALARM, State.SENT, T0_US),
            ("waits", Kind.ALARM, State.PENDING, T0_US - 10),
            ("event", Kind.EVENT, State.FAILED, T0_US),
        ):
            values = {"kind": kind.value, "state": state.value, "created_us": created_us}
            connection.execute(update(delivery).where(delivery.c.id == delivery_id(name)).values(values))

    desk_database.run(work)
    done = partial(prune, before_us=T0_US, events_before_us=T0_US + 1)
    while desk_database.run(done):
        pass
    assert set(rows(desk_database)) == {delivery_id("new"), delivery_id("waits")}


async def test_the_commands_try_a_channel_list_the_log_and_enable_a_web_hook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cloud.toml"
    path.write_text(
        f'[database]\nurl = "sqlite:///{tmp_path / "desk.db"}"\n'
        '[[telling.channel]]\nname = "post"\nurl_env = "POST_URL"\n',
        encoding="utf-8",
    )

    async def run(words: list[str]) -> Result:
        return await asyncio.to_thread(partial(CliRunner().invoke, app, words))

    with Database(make_url(f"sqlite:///{tmp_path / 'desk.db'}")) as database:
        database.migrate()
        queue(database, message("m"))
        hook = hooks(monkeypatch, 1).telling.webhook
        database.run(partial(prepare_hooks, hooks=hook))
        database.run(lambda c: c.execute(update(web_hook).values(disabled_us=T0_US)))
        async with receiving() as receiver:
            monkeypatch.setenv("POST_URL", f"json://127.0.0.1:{receiver.port}/{{address}}")
            tried = await run(["test", "post", "138", "-s", str(path), "--language", "zh"])
            assert tried.exit_code == 0, tried.output
            assert receiver.urls() == ["/138"]
            receiver.answers = [web.Response(status=500)]
            refused = await run(["test", "post", "138", "-s", str(path)])
            assert refused.exit_code == 1
            assert (await run(["test", "nosuch", "138", "-s", str(path)])).exit_code == 1
        listed = await run(["log", "-s", str(path), "--json"])
        assert delivery_id("m") in listed.output
        assert (await run(["enable", "city", "-s", str(path)])).exit_code == 0
        assert database.read(lambda c: c.execute(select(web_hook.c.disabled_us)).scalar_one()) is None
        assert (await run(["enable", "nosuch", "-s", str(path)])).exit_code == 1
