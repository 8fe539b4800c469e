"""The worker that tells Grafana of alarms, over real HTTP: what it sends, and that nothing waits for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest
from aiohttp import web

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.grafana_tables import grafana_annotation
from cloud.desk.changes import What
from cloud.desk.following import begin_here
from cloud.grafana import worker
from cloud.grafana.annotation_store import READER, Told
from cloud.grafana.errors import GrafanaTokenError
from cloud.grafana.live import FRESH_US, MOST_WAITING, LiveStrip, live_line
from cloud.grafana.settings import Grafana
from cloud.grafana.worker import run_grafana
from cloud.settings import Settings
from cloud.telling.names import Names
from contract.alarms import Severity
from tests.cloud.api_rig import NOW_US, Rig, make_alarm
from tests.cloud.fake_grafana import EDITOR, VIEWER, FakeGrafana
from tests.cloud.rig import rows_of

pytestmark = pytest.mark.anyio
LIMIT_S = 40.0
PAGE = "<!doctype html><title>Sign in</title>"


@asynccontextmanager
async def telling(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    *,
    token: str = EDITOR,
    url: str = "",
    live: str = "",
    marks: bool = True,
) -> AsyncIterator[FakeGrafana]:
    """A Grafana and the worker, which follows the history already."""
    monkeypatch.setenv("GRAFANA_TOKEN", token)
    for name in ("POLL_S", "LIVE_POLL_S"):
        monkeypatch.setattr(worker, name, 0.01)
    async with FakeGrafana() as fake:
        grafana = Grafana(url=url or fake.url, token_env="GRAFANA_TOKEN", live=live, annotations=marks, timeout_s=5.0)
        persistent = PersistentDatabase(database, counters=Counters())
        database.run(partial(begin_here, name=READER))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(run_grafana, persistent, Settings(grafana=grafana), clock=lambda: NOW_US))
            yield fake
            tasks.cancel_scope.cancel()


async def until(condition: "partial[bool]") -> None:
    with anyio.fail_after(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - a server of another thread's making has no event
            await anyio.sleep(0.01)


async def test_what_is_sent_is_what_grafana_takes(desk_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(desk_database)
    async with telling(desk_database, monkeypatch, live="strip") as fake:
        (alarm,) = rig.raise_alarms(text={"en": 'Smoke "hall" <1>', "zh": "走廊烟感"}, severity=Severity.CRITICAL)
        await until(partial(lambda: len(fake.store.annotations) == 1))
        rig.change(alarm, What.CLEARED, cleared_at_us=NOW_US)
        await until(partial(lambda: bool(fake.asked("PATCH"))))
        (mark,) = fake.store.annotations.values()
        await until(partial(lambda: len(fake.asked("POST", "/api/live/push/strip")) == 2))
    assert (mark["time"], mark["timeEnd"]) == (alarm.raised_at_us // 1_000, NOW_US // 1_000)
    assert mark["text"] == 'critical · Smoke "hall" &lt;1&gt; · School east · Gate'
    raised, cleared = (one.body for one in fake.asked("POST", "/api/live/push/strip"))
    assert 'what="raised"' in raised
    assert 'what="cleared"' in cleared
    assert 'text="Smoke \\"hall\\" <1>"' in raised


@pytest.mark.parametrize(
    ("token", "meddle", "hint"),
    [
        (VIEWER, None, "for annotations"),
        ("nobody", None, GrafanaTokenError.hint),
        (EDITOR, partial(web.Response, text=PAGE, content_type="text/html"), "Check the URL"),
        (EDITOR, partial(web.Response, status=429, headers={"Retry-After": "7"}), "alarms do not wait"),
        (EDITOR, partial(web.Response, status=500, text="{}"), "alarms do not wait"),
    ],
    ids=["viewer", "unknown", "page", "busy", "broken"],
)  # fmt: skip
async def test_a_grafana_that_refuses_is_named_once_with_what_to_do(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    token: str,
    meddle: "partial[web.Response] | None",
    hint: str,
) -> None:
    rig = Rig(database)
    async with telling(database, monkeypatch, token=token) as fake:
        fake.meddle = lambda _: meddle() if meddle else None
        rig.raise_alarms(3)
        await until(partial(lambda: "Grafana's annotations" in caplog.text))
        await until(partial(lambda: all(row["told"] is None for row in rows_of(database, grafana_annotation))))
    warned = [one.message for one in caplog.records if one.levelname == "WARNING" and "Grafana" in one.message]
    assert len(warned) == 1
    assert hint in warned[0]
    assert token not in caplog.text
    assert fake.store.annotations == {}


async def test_the_desk_has_its_turn_between_two_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []

    class Busy:
        """Has always changes, and ends after three."""

        async def ask(self, _: object) -> bool:
            return True

        async def call(self, _: object) -> tuple[int, list[Told]]:
            done.append("call")
            return 1, []

    async def sleep(seconds: float) -> None:
        done.append(seconds)
        if len(done) == 6:
            raise TimeoutError

    monkeypatch.setattr("cloud.grafana.worker.anyio.sleep", sleep)
    with pytest.raises(TimeoutError):
        await worker._follow(Busy(), Grafana(), None, lambda: NOW_US)  # type: ignore[arg-type]
    assert done == ["call", worker.GAP_S] * 3


async def test_without_an_address_nothing_is_done(database: Database) -> None:
    persistent = PersistentDatabase(database, counters=Counters())
    Rig(database).raise_alarms()
    for grafana in (Grafana(), Grafana(url="http://127.0.0.1:1", annotations=False)):
        with anyio.move_on_after(0.05) as limit:
            await run_grafana(persistent, Settings(grafana=grafana))
        assert limit.cancelled_caught
    assert rows_of(database, grafana_annotation) == []


async def test_only_the_strip_marks_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(database)
    async with telling(database, monkeypatch, token=VIEWER, live="strip", marks=False) as fake:
        rig.raise_alarms(2)
        await until(partial(lambda: len(fake.asked("POST", "/api/live/push/strip")) == 2))
    assert rows_of(database, grafana_annotation) == []


def told(number: int = 1, at_us: int = NOW_US) -> Told:
    return Told("raised", at_us, make_alarm(number), Names(site='Schule "Ost"\\', device="a\nb"))


class Mute:
    """Takes lines, and does nothing."""

    async def request(self, *_: object, **__: object) -> None:
        raise AssertionError


def test_a_line_is_all_fields_and_always_the_same() -> None:
    line = live_line(told(), language="zh").decode()
    assert line.startswith(f'alarm alarm_id="{make_alarm(1).alarm_id}",what="raised",level="high",kind="panic"')
    assert 'text="紧急按钮",site="Schule \\"Ost\\"\\\\",device="a b",state="unacknowledged",mode="live"' in line
    assert line.endswith(f",severity=3i {NOW_US}000")


async def test_a_strip_shows_what_is_new_and_leaves_out_what_finds_no_room() -> None:
    strip = LiveStrip(Mute(), "strip", language="en")
    strip.show([told(at_us=NOW_US - FRESH_US), told(at_us=NOW_US + FRESH_US)], now_us=NOW_US)
    assert strip.waiting == 0
    strip.show([told(at_us=NOW_US + 1)], now_us=NOW_US)
    assert strip.waiting == 1, "stored after the clock was read"
    strip.show([told(number) for number in range(MOST_WAITING + 5)], now_us=NOW_US)
    assert strip.waiting == MOST_WAITING
    strip.close()
