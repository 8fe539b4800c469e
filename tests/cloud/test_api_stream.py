"""The live stream: in the order of the history, once each, to whom it concerns, from where one was."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from starlette.types import Message

from cloud.api import stream
from cloud.api.alarm_views import StreamedChange
from cloud.api.problems import ProblemError
from cloud.api.stream import Entry, Hub, Ring
from cloud.database import Database
from cloud.desk.changes import What
from cloud.people.roles import Person, Role
from langyan.desk_client import Event, read_events
from tests.cloud.api_rig import Rig

pytestmark = pytest.mark.anyio
ALL = Person("admin", Role.ADMIN, None)
EAST = Person("wang", Role.OPERATOR, "city/east/")
LIMIT_S = 20.0


@pytest.fixture
def rig(desk_database: Database) -> Rig:
    return Rig(desk_database)


async def valid() -> bool:
    return True


async def told(
    hub: Hub, person: Person, count: int, *, after: int | None = None, heard: anyio.Event | None = None
) -> list[Event]:
    """The first events that a client gets, beats left out; `heard` is set with the first."""
    found: list[Event] = []
    with anyio.fail_after(LIMIT_S):
        async with aclosing(hub.frames(person, after=after, is_valid=valid)) as frames:
            async for event in events(frames):
                found.append(event)
                if heard is not None:
                    heard.set()
                if len(found) == count:
                    break
    return found


async def events(frames: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    async for frame in frames:
        for event in read_events(iter(frame.decode().split("\n")[:-1])):
            if event.name != "beat":
                yield event


@given(some.lists(some.integers(1, 3), max_size=60), some.integers(0, 130), some.integers(1, 20))
def test_a_ring_gives_what_came_after_or_says_that_it_cannot(steps: list[int], after: int, most: int) -> None:
    ring, entries, number = Ring(10, most=most), [], 10
    for step in steps:
        number += step
        entries.append(Entry(number, "", b""))
        ring.add([entries[-1]])
    found = ring.after(after, most=1_000)
    if found is None:
        assert after < 10 or len([one for one in entries if one.change_id > after]) > most
    else:
        assert found == [one for one in entries if one.change_id > after]
    assert ring.newest == number


async def test_a_client_hears_each_change_once_in_order_with_the_alarm_as_it_stands(rig: Rig) -> None:
    async with rig.following(), anyio.create_task_group() as tasks:
        found: list[Event] = []
        heard = anyio.Event()

        async def follow() -> None:
            found.extend(await told(rig.context.hub, ALL, 4, heard=heard))

        tasks.start_soon(follow)
        await heard.wait()
        with anyio.fail_after(LIMIT_S):
            alarms = await anyio.to_thread.run_sync(rig.raise_alarms, 2)
            await anyio.to_thread.run_sync(lambda: rig.change(alarms[0], What.COMMENTED))
    assert [event.name for event in found] == ["hello", "change", "change", "change"]
    assert [event.data.get("what") for event in found[1:]] == ["raised", "raised", "commented"]
    assert [event.data["alarm"]["alarm_id"] for event in found[1:]] == [
        alarms[0].alarm_id, alarms[1].alarm_id, alarms[0].alarm_id,
    ]  # fmt: skip
    assert found[1].data["alarm"]["allowed"][:2] == ["show", "acknowledge"]
    numbers = [event.number for event in found]
    assert numbers == sorted(set(numbers))


async def test_a_client_resumes_after_the_last_it_had_also_from_before_this_process(rig: Rig) -> None:
    rig.raise_alarms(5)
    async with rig.following():
        whole = await told(rig.context.hub, ALL, 5, after=0)
        rest = await told(rig.context.hub, ALL, 2, after=whole[2].number)
    assert rest == whole[3:]


async def test_who_sees_a_subtree_hears_of_that_alone(rig: Rig) -> None:
    rig.raise_alarms(2, half="west")
    rig.raise_alarms(1)
    rig.raise_alarms(1, half="west", first=5)
    rig.raise_alarms(1, first=5)
    async with rig.following():
        found = await told(rig.context.hub, EAST, 2, after=0)
    assert [event.data["alarm"]["area_path"] for event in found] == ["city/east/"] * 2


async def test_a_gap_that_is_too_large_and_a_place_that_never_was_begin_anew(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_RESUMED", 3)
    rig.raise_alarms(5)
    async with rig.following():
        (behind,) = await told(rig.context.hub, ALL, 1, after=0)
        (ahead,) = await told(rig.context.hub, ALL, 1, after=behind.number + 1)
    assert (behind.name, ahead.name) == ("reset", "reset")
    assert behind.number == ahead.number


async def test_a_client_slower_than_the_ring_is_told_to_resume_and_loses_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RING_ENTRIES", 4)
    monkeypatch.setattr(Ring.__init__, "__kwdefaults__", {"most": 4})
    async with rig.following():
        with anyio.fail_after(LIMIT_S):
            async with aclosing(rig.context.hub.frames(ALL, after=None, is_valid=valid)) as frames:
                slow = events(frames)
                hello = await anext(slow)
                await anyio.to_thread.run_sync(rig.raise_alarms, 1)
                first = await anext(slow)
                # It takes nothing now, while much more comes than the ring holds.
                await anyio.to_thread.run_sync(lambda: rig.raise_alarms(20, first=1))
                (await told(rig.context.hub, ALL, 20, after=first.number))
                cut = await anext(slow)
                with pytest.raises(StopAsyncIteration):
                    await anext(slow)
            rest = await told(rig.context.hub, ALL, 20, after=cut.number)
    assert (hello.name, first.name, cut.name) == ("hello", "change", "resume")
    assert cut.number == first.number
    assert [event.data["alarm"]["device"] for event in rest] == [f"button-{number}" for number in range(1, 21)]


async def test_a_stream_ends_with_its_session_and_with_the_process(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEAT_S", 0.05)
    answers = [True, False]

    async def is_valid() -> bool:
        return answers.pop(0)

    async with rig.following():
        with anyio.fail_after(LIMIT_S):
            frames = [frame async for frame in rig.context.hub.frames(ALL, after=None, is_valid=is_valid)]
        rig.context.hub.close()
        after_the_end = [frame async for frame in rig.context.hub.frames(ALL, after=None, is_valid=valid)]
    assert b"event: end" in frames[-1]
    assert frames[-2].startswith(b": ")
    assert b"event: change" not in b"".join(after_the_end)


async def test_places_are_bounded_by_user_and_by_process(database: Database) -> None:
    hub = Hub(database, clock=lambda: 0, most=3, most_per_user=2)
    with hub.place_of("wang"), hub.place_of("wang"):
        with pytest.raises(ProblemError, match="2 streams of wang"), hub.place_of("wang"):
            pass
        with hub.place_of("li"), pytest.raises(ProblemError, match="3 in all"), hub.place_of("zhao"):
            pass
    with hub.place_of("wang"):
        pass


async def test_a_thousand_alarms_at_once_reach_the_stream_whole(rig: Rig) -> None:
    async with rig.following(), anyio.create_task_group() as tasks:
        found: list[Event] = []
        heard = anyio.Event()

        async def follow() -> None:
            found.extend(await told(rig.context.hub, ALL, 1_001, heard=heard))

        tasks.start_soon(follow)
        await heard.wait()
        await anyio.to_thread.run_sync(rig.raise_alarms, 1_000)
    devices = [event.data["alarm"]["device"] for event in found[1:]]
    assert devices == [f"button-{number}" for number in range(1_000)]


async def test_the_stream_speaks_http(rig: Rig) -> None:
    token = rig.add("wang", Role.OPERATOR, "east")
    rig.raise_alarms(2)
    scope_headers = [(b"authorization", f"Bearer {token}".encode()), (b"last-event-id", b"1")]
    sent: list[Message] = []
    gone = anyio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if b"event: change" in message.get("body", b""):
            gone.set()

    scope = {
        "type": "http", "method": "GET", "path": "/api/v1/stream", "raw_path": b"/api/v1/stream", "query_string": b"",
        "headers": scope_headers, "client": ("203.0.113.7", 1), "server": ("desk", 80), "scheme": "http",
        "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    async with rig.following():
        with anyio.fail_after(LIMIT_S):
            await rig.app(scope, receive, send)
    headers = dict(sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"x-accel-buffering"] == b"no"
    body = b"".join(message["body"] for message in sent[1:])
    (event,) = [one for one in read_events(iter(body.decode().split("\n")[:-1])) if one.name == "change"]
    StreamedChange.model_validate(event.data)
    assert msgspec.json.encode(event.data["what"]) == b'"raised"'
    assert event.number == 2
