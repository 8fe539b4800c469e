"""Alarms marked in Grafana: once, to their end, whatever is lost on the way."""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.grafana_tables import grafana_annotation
from cloud.desk.changes import What
from cloud.desk.core import Alarm
from cloud.desk.following import begin_here
from cloud.grafana import annotation_store
from cloud.grafana.annotation_store import READER, follow, prune
from cloud.grafana.annotations import PATH, Annotator
from cloud.grafana.breaker import Breaker
from cloud.grafana.errors import (
    GrafanaAwayError,
    GrafanaMissingError,
    GrafanaRefusedError,
    GrafanaRightsError,
    GrafanaTokenError,
    NotGrafanaError,
)
from cloud.grafana.marks import MAX_TAGS_BYTES, Mark, found_ids, mark_of, new_id, patch_body, search_params
from cloud.telling.names import Names
from contract.alarms import Mode, Severity
from tests.cloud.api_rig import NOW_US, Rig, make_alarm
from tests.cloud.rig import rows_of

pytestmark = pytest.mark.anyio
TIMEOUT_S = 10.0
HOUR_US = 3_600_000_000


class KilledError(BaseException):
    """The process ends here: nothing of ours runs any more."""


class Clock:
    """A wall clock that tests move."""

    def __init__(self) -> None:
        self.now_us = NOW_US

    def __call__(self) -> int:
        return self.now_us


class Marks:
    """Grafana's store of annotations, with faults.

    Attributes:
        rows: by id.
        asked: methods, in their order.
        fault: called before and after each request is done ("before", "after"); may raise.
    """

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.fault: Callable[[str, str], None] = lambda _when, _method: None
        self._next = 1

    async def request(
        self, method: str, path: str, body: Any = None, *, params: Mapping[str, str | list[str]] | None = None
    ) -> Any:
        self.asked.append(method)
        await anyio.lowlevel.checkpoint()
        self.fault("before", method)
        answer = self._do(method, path, body, params or {})
        self.fault("after", method)
        return answer

    def of(self, alarm: Alarm) -> list[dict[str, Any]]:
        return [row for row in self.rows.values() if f"alarm:{alarm.alarm_id}" in row["tags"]]

    def _do(self, method: str, path: str, body: Any, params: Mapping[str, Any]) -> Any:
        number = path.removeprefix(PATH).removeprefix("/")
        if method == "POST":
            made, self._next = self._next, self._next + 1
            self.rows[made] = {"id": made, "timeEnd": body["time"]} | body
            return {"message": "Annotation added", "id": made}
        if method == "GET":
            wanted = set(params["tags"])
            return [row for row in self.rows.values() if wanted <= set(row["tags"])]
        if int(number) not in self.rows:
            raise GrafanaMissingError("gone", status=404)
        if method == "DELETE":
            del self.rows[int(number)]
        else:
            self.rows[int(number)] |= body
        return {"message": "done"}


class Stage:
    """A desk, a Grafana, and workers that come and go."""

    def __init__(self, database: Database) -> None:
        self.rig = Rig(database)
        self.database = database
        self.clock = Clock()
        self.grafana = Marks()
        database.run(partial(begin_here, name=READER))
        self.worker = self.new_worker()

    def new_worker(self) -> Annotator:
        persistent = PersistentDatabase(self.database, counters=Counters())
        # Whoever waits is told so by a breaker of its own test.
        breaker = Breaker(first_s=1e-9, longest_s=1e-9)
        return Annotator(persistent, self.grafana, timeout_s=TIMEOUT_S, clock=self.clock, breaker=breaker)

    def follow(self) -> int:
        work = partial(follow, language="en", marks=True, now_us=self.clock.now_us)
        return self.database.run(work)[0]

    async def settle(self, rounds: int = 200) -> None:
        """Let time pass until nothing is due any more."""
        for _ in range(rounds):
            self.follow()
            while await self.worker.tell_some():
                pass
            if not any(row["due_at_us"] is not None for row in self.table()):
                return
            self.clock.now_us += 61_000_000
        raise AssertionError(self.table())

    def clear(self, alarm: Alarm, after_s: float = 30.0) -> Alarm:
        return self.rig.change(alarm, What.CLEARED, cleared_at_us=alarm.raised_at_us + round(after_s * 1e6))

    def table(self) -> list[dict[str, Any]]:
        return rows_of(self.database, grafana_annotation)


@pytest.fixture
def stage(desk_database: Database) -> Stage:
    return Stage(desk_database)


def away(*methods: str, when: str = "before", times: int = 10**9) -> Callable[[str, str], None]:
    """Fail so often."""
    left = [times]

    def fault(at: str, method: str) -> None:
        if at == when and method in methods and left[0] > 0:
            left[0] -= 1
            raise GrafanaAwayError("no answer in time")

    return fault


async def test_an_alarm_is_marked_when_raised_and_its_end_when_over(stage: Stage) -> None:
    (alarm,) = stage.rig.raise_alarms()
    await stage.settle()
    (row,) = stage.grafana.of(alarm)
    begins_ms = alarm.raised_at_us // 1_000
    assert (row["time"], row["timeEnd"]) == (begins_ms, begins_ms)
    assert row["text"] == "high · Panic button · School east · Gate"
    assert row["tags"][:2] == ["langyan", f"alarm:{alarm.alarm_id}"]
    assert {"severity:high", "site:school-east", "gateway:gate-east", "kind:panic"} <= set(row["tags"])
    stage.clear(alarm)
    await stage.settle()
    assert stage.grafana.of(alarm)[0]["timeEnd"] == begins_ms + 30_000
    assert stage.grafana.asked == ["POST", "PATCH"]


async def test_what_ends_before_grafana_was_told_is_told_at_once(stage: Stage) -> None:
    (alarm,) = stage.rig.raise_alarms()
    stage.clear(alarm)
    await stage.settle()
    assert stage.grafana.asked == ["POST"]
    assert stage.grafana.of(alarm)[0]["timeEnd"] == alarm.raised_at_us // 1_000 + 30_000


async def test_where_nobody_says_that_it_is_over_it_ends_when_it_is_closed(stage: Stage) -> None:
    (alarm,) = stage.rig.raise_alarms()
    await stage.settle()
    stage.rig.change(alarm, What.CLOSED, closed_at_us=NOW_US, closed_by="wang")
    await stage.settle()
    assert stage.grafana.of(alarm)[0]["timeEnd"] == NOW_US // 1_000


async def test_what_changes_nothing_of_the_mark_is_not_told(stage: Stage) -> None:
    (alarm,) = stage.rig.raise_alarms()
    await stage.settle()
    alarm = stage.rig.change(alarm, What.ACKNOWLEDGED, acknowledged_at_us=NOW_US, acknowledged_by="wang")
    stage.rig.change(alarm, What.COMMENTED)
    await stage.settle()
    assert stage.grafana.asked == ["POST"]


async def test_tests_and_what_is_held_back_are_not_marked(stage: Stage) -> None:
    stage.rig.raise_alarms(mode=Mode.DRILL, first=1)
    stage.rig.raise_alarms(out_of_service=True, first=2)
    (shelved,) = stage.rig.raise_alarms(shelved_until_us=NOW_US + HOUR_US, first=3)
    await stage.settle()
    assert stage.grafana.rows == {}
    stage.rig.change(shelved, What.UNSHELVED, shelved_until_us=None)
    await stage.settle()
    assert len(stage.grafana.of(shelved)) == 1


async def test_old_news_is_not_marked(stage: Stage) -> None:
    stage.rig.raise_alarms()
    stage.clock.now_us += annotation_store.NEWS_US
    await stage.settle()
    assert stage.grafana.rows == {}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_makes_no_second_mark(stage: Stage, when: str) -> None:
    (alarm,) = stage.rig.raise_alarms()
    stage.grafana.fault = away("POST", when=when, times=1)
    stage.follow()
    assert await stage.worker.tell_some() == 1
    # Not before no request of the first can be under way any more.
    assert await stage.worker.tell_some() == 0
    stage.clear(alarm)
    await stage.settle()
    (row,) = stage.grafana.of(alarm)
    assert row["timeEnd"] == alarm.raised_at_us // 1_000 + 30_000


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_kill_makes_no_second_mark(stage: Stage, when: str) -> None:
    (alarm,) = stage.rig.raise_alarms()
    stage.follow()

    def kill(at: str, method: str) -> None:
        if (at, method) == (when, "POST"):
            raise KilledError

    stage.grafana.fault = kill
    with pytest.raises(BaseExceptionGroup):
        await stage.worker.tell_some()
    stage.grafana.fault = lambda _when, _method: None
    stage.worker = stage.new_worker()
    assert await stage.worker.tell_some() == 0, "the lease of the dead one lasts"
    await stage.settle()
    assert len(stage.grafana.of(alarm)) == 1
    assert stage.grafana.asked == ["POST", "GET", "PATCH"] if when == "after" else ["POST", "GET", "POST"]


async def test_one_that_turns_up_late_is_taken_away(stage: Stage) -> None:
    (alarm,) = stage.rig.raise_alarms()
    stage.grafana.fault = away("POST", times=1)
    stage.follow()
    await stage.worker.tell_some()
    stage.clock.now_us += stage.worker.settle_us
    stage.grafana.fault = lambda _when, _method: None
    await stage.worker.tell_some()
    (first,) = stage.grafana.of(alarm)
    # What was thought lost had stood in somebody's queue.
    await stage.grafana.request("POST", PATH, {key: first[key] for key in ("time", "text", "tags")})
    assert len(stage.grafana.of(alarm)) == 2
    await stage.settle()
    assert stage.grafana.of(alarm) == [first]


async def test_what_somebody_deleted_in_grafana_stays_deleted(stage: Stage) -> None:
    for number, error in enumerate((GrafanaMissingError, GrafanaRightsError)):
        (alarm,) = stage.rig.raise_alarms(first=number)
        await stage.settle()
        del stage.grafana.rows[stage.grafana.of(alarm)[0]["id"]]

        def refuse(when: str, method: str, error: type[GrafanaRefusedError] = error) -> None:
            if (when, method) == ("before", "PATCH"):
                raise error("no", status=403)

        stage.grafana.fault = refuse
        stage.clear(alarm)
        await stage.settle()
        stage.grafana.fault = lambda _when, _method: None
        assert stage.grafana.of(alarm) == []


@pytest.mark.parametrize("error", [GrafanaTokenError, GrafanaRightsError, NotGrafanaError, GrafanaMissingError])
async def test_who_is_refused_as_a_whole_waits_for_a_person_and_then_goes_on(
    stage: Stage, error: type[GrafanaRefusedError], caplog: pytest.LogCaptureFixture
) -> None:
    alarms = stage.rig.raise_alarms(5)

    def refuse(when: str, _method: str) -> None:
        if when == "before":
            raise error("not you", status=401)

    stage.grafana.fault = refuse
    stage.follow()
    begun = await stage.worker.tell_some()
    assert 1 <= begun <= 4
    assert error.hint in caplog.text
    assert await stage.worker.tell_some() <= 1, "one alone tries"
    stage.grafana.fault = lambda _when, _method: None
    await stage.settle()
    assert [len(stage.grafana.of(alarm)) for alarm in alarms] == [1] * 5


async def test_one_that_grafana_will_not_take_holds_up_no_other(stage: Stage) -> None:
    (bad, good) = stage.rig.raise_alarms(2)

    async def request(method: str, path: str, body: Any = None, **more: Any) -> Any:
        if method == "POST" and f"alarm:{bad.alarm_id}" in body["tags"]:
            raise GrafanaRefusedError("tags length exceeds the maximum", status=400)
        return await Marks.request(stage.grafana, method, path, body, **more)

    stage.grafana.request = request  # type: ignore[method-assign]
    await stage.settle()
    assert (len(stage.grafana.of(bad)), len(stage.grafana.of(good))) == (0, 1)
    assert {row["alarm_id"]: row["error"] for row in stage.table()} == {
        bad.alarm_id: "tags length exceeds the maximum",
        good.alarm_id: "",
    }


async def test_one_that_grafana_cannot_take_holds_up_the_others_for_one_try(stage: Stage) -> None:
    (bad, *good) = stage.rig.raise_alarms(4)

    async def request(method: str, path: str, body: Any = None, **more: Any) -> Any:
        if method == "POST" and f"alarm:{bad.alarm_id}" in body["tags"]:
            raise GrafanaAwayError("HTTP 500", status=500)
        return await Marks.request(stage.grafana, method, path, body, **more)

    stage.grafana.request = request  # type: ignore[method-assign]
    stage.follow()
    for _ in range(5):
        await stage.worker.tell_some()
    assert [len(stage.grafana.of(one)) for one in good] == [1] * 3


async def test_of_two_workers_one_tells(stage: Stage) -> None:
    alarms = stage.rig.raise_alarms(50)
    stage.follow()
    other = stage.new_worker()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.worker.tell_some)
        tasks.start_soon(other.tell_some)
    for _ in range(5):
        await stage.worker.tell_some()
        await other.tell_some()
    assert [len(stage.grafana.of(alarm)) for alarm in alarms] == [1] * 50


def misfortune(chance: random.Random, _when: str, method: str) -> None:
    luck = chance.random()
    if luck < 0.15:
        raise GrafanaAwayError("no answer in time")
    if luck < 0.2:
        raise KilledError
    if luck < 0.23 and method == "POST":
        raise NotGrafanaError("a page", status=502)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_each_alarm_has_one_mark_with_its_end(database: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a story, not a secret
    stage = Stage(database)
    stage.grafana.fault = partial(misfortune, chance)
    alarms: list[Alarm] = []
    for turn in range(40):
        if turn < 20:
            alarms += stage.rig.raise_alarms(chance.randrange(3), first=10 * turn)
        lasting = [number for number, alarm in enumerate(alarms) if alarm.cleared_at_us is None]
        if lasting and chance.random() < 0.7:
            which = chance.choice(lasting)
            alarms[which] = stage.clear(alarms[which], chance.randrange(1, 60))
        stage.follow()
        try:
            await stage.worker.tell_some()
        except BaseExceptionGroup:
            stage.worker = stage.new_worker()
        stage.clock.now_us += chance.randrange(90_000_000)
    stage.grafana.fault = lambda _when, _method: None
    stage.clock.now_us += HOUR_US
    await stage.settle()
    for alarm in alarms:
        (row,) = stage.grafana.of(alarm)
        assert row["timeEnd"] == (alarm.cleared_at_us or alarm.raised_at_us) // 1_000


async def test_what_is_long_over_is_forgotten_and_what_is_open_is_not(stage: Stage) -> None:
    (over, lasting) = stage.rig.raise_alarms(2)
    await stage.settle()
    stage.rig.change(over, What.CLOSED, closed_at_us=NOW_US, closed_by="wang")
    await stage.settle()
    late_us = stage.clock.now_us + annotation_store.KEEP_US + 1
    assert stage.database.run(partial(prune, now_us=late_us)) == 1
    assert [row["alarm_id"] for row in stage.table()] == [lasting.alarm_id]


async def test_what_waits_is_bounded_and_the_oldest_goes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation_store, "MOST_WAITING", 2)
    stage.rig.raise_alarms(2)
    stage.follow()
    stage.clock.now_us += 1_000_000
    newest = stage.rig.raise_alarms(2, first=5)
    stage.follow()
    stage.database.run(partial(prune, now_us=stage.clock.now_us))
    assert {row["alarm_id"] for row in stage.table()} == {one.alarm_id for one in newest}


def test_a_text_is_no_html_and_stands_in_one_line() -> None:
    text = {"en": '<script>x</script>\n"quoted" & co', "zh": "烟感报警"}
    names = Names(site="第三小学 / 东校区", device="")
    mark = mark_of(make_alarm(1, text=text, severity=Severity.CRITICAL), names, language="en")
    assert "<script>" not in mark.text
    assert "\n" not in mark.text
    assert mark.text.startswith('critical · &lt;script&gt;x&lt;/script&gt; "quoted" &amp; co · 第三小学 / 东校区 · ')
    assert "烟感报警" in mark_of(make_alarm(1, text=text), names, language="zh_CN").text


@given(st.text(max_size=64), st.text(max_size=64), st.text(max_size=3_000))
def test_whatever_things_are_called_the_request_is_one_that_grafana_takes(site: str, area: str, text: str) -> None:
    alarm = make_alarm(1, site=site, area=area, text={"en": text}, cleared_at_us=1)
    body = patch_body(mark_of(alarm, Names(), language="en"))
    assert body["timeEnd"] >= body["time"]
    assert sum(len(tag.encode()) + 3 for tag in body["tags"]) + 1 <= MAX_TAGS_BYTES
    assert body["tags"][:2] == ["langyan", f"alarm:{alarm.alarm_id}"]
    assert body["text"]


OURS = ["langyan", "alarm:a"]


@pytest.mark.parametrize(
    "answer",
    [None, {}, "<html>", [None, 1, {"id": 0, "tags": OURS}], [{"id": True, "tags": OURS}], [{"tags": OURS}],
     [{"id": 7, "tags": ["langyan"]}], [{"id": 7, "tags": "langyan alarm:a"}]],
)  # fmt: skip
def test_an_answer_that_names_none_of_ours_names_none(answer: Any) -> None:
    assert found_ids(answer, "a") == []
    assert new_id(answer) is None


def test_the_first_that_was_made_is_the_one_that_stays() -> None:
    rows = [{"id": number, "tags": ["langyan", "alarm:a", "x"]} for number in (9, 3, 5)]
    assert found_ids(rows, "a") == [3, 5, 9]
    assert search_params("a")["tags"] == ["langyan", "alarm:a"]


def test_a_mark_that_differs_in_anything_has_another_digest() -> None:
    marks = [Mark(1, None, "a", ("b",)), Mark(1, 2, "a", ("b",)), Mark(1, None, "c", ("b",)), Mark(1, None, "a", ())]
    assert len({mark.digest for mark in marks}) == len(marks)


def test_a_breaker_opens_at_a_failure_and_closes_at_a_success() -> None:
    breaker = Breaker(first_s=1.0, longest_s=100.0)
    waits = [breaker.failed(0.0) for _ in range(20)]
    assert all(0 < wait_s <= 100 for wait_s in waits)
    assert max(waits[10:]) > 1.0
    assert breaker.wait_s(0.0) == waits[-1]
    assert breaker.wait_s(waits[-1]) == 0.0, "half open: one may try"
    assert breaker.failed(0.0, retry_after_s=500.0) == 500.0
    assert breaker.failed(0.0, retry_after_s=1e9) == 3_600.0
    assert breaker.failed(0.0, for_people=True) >= 50.0
    breaker.worked()
    assert (breaker.is_closed, breaker.wait_s(0.0)) == (True, 0.0)


def test_only_one_reader_takes_a_change(stage: Stage) -> None:
    stage.rig.raise_alarms(3)
    assert (stage.follow(), stage.follow()) == (3, 0)
    work: Callable[[Connection], tuple[int, Any]] = partial(follow, language="en", marks=False, now_us=NOW_US)
    stage.rig.raise_alarms(1, first=7)
    count, told = stage.database.run(work)
    assert (count, [one.what for one in told], len(stage.table())) == (1, ["raised"], 3)
