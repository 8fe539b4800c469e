"""Between ingest and the trades: the queue, the lease, the history's readers, and what the cloud itself says."""

from collections.abc import Callable, Sequence

import anyio
import pytest
from sqlalchemy import URL, Connection, insert, select

from cloud.areas.places import NOWHERE, Place
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.feed_tables import measure, observation
from cloud.database.tables import alarm_event, dead_letter, occurrence
from cloud.desk.following import begin_here, has_changes, take_changes
from cloud.desk.own import OWN_GATEWAY, Said, say
from cloud.errors import DatabaseRefusedError
from cloud.feed import queue
from cloud.feed.lease import hold
from cloud.feed.queue import Observation, Waiting
from cloud.feed.sorting import Trade, read_samples, sort_out, write_samples
from cloud.settings import Desk, Settings
from contract.alarms import AlarmEvent, Severity, Transition
from contract.telemetry import Point, Sample, Value
from tests.cloud.rig import T0_US, count_of, eventually, rows_of

DESK = Desk()


def sample(device: str = "d1", **points: Value) -> Sample:
    return Sample(device, T0_US, tuple(Point(key, value) for key, value in points.items()))


def waiting(number: int, trade: Trade = Trade.VEHICLES) -> Waiting:
    samples = write_samples([sample(f"d{number}", latitude=1.0, longitude=2.0)])
    return Waiting(trade, "g1", T0_US + number, samples)


def fill(database: Database, count: int, *, trade: Trade = Trade.VEHICLES, limit: int = 10_000, first: int = 0) -> int:
    some = [waiting(number, trade) for number in range(first, first + count)]
    return database.run(lambda connection: queue.put(connection, some, limit=limit))


def devices(taken: Sequence[Observation]) -> list[str]:
    return [one.samples[0].device for one in taken]


@pytest.mark.parametrize(
    ("points", "trade"),
    [
        ({"tag": "T1", "presence": "present", "rssi": -60.0}, Trade.BIKES),
        ({"card": "C1", "visited_at": "2026-01-01T00:00:00Z"}, Trade.PATROLS),
        ({"hit": 1.0, "hit_at": "2026-01-01T00:00:00Z"}, Trade.PATROLS),
        ({"machine": "M1", "records": 3.0, "hits": 0.0, "clock_error": 2.0}, Trade.PATROLS),
        ({"machine": "M1", "records": 3.0, "hits": 0.0}, Trade.PATROLS),
        ({"latitude": 31.0, "longitude": 121.0, "vehicle_speed": 30.0}, Trade.VEHICLES),
        ({"latitude": 31.0}, None),
        ({"tag": "T1"}, None),
        ({"records": 3.0}, None),
        ({"temperature": 20.0}, None),
    ],
)
def test_a_sample_concerns_the_trade_whose_points_it_has(points: dict[str, Value], trade: Trade | None) -> None:
    one = Sample("d1", T0_US, tuple(Point(key, value) for key, value in points.items()))
    assert sort_out([one], set(Trade)) == ({trade: [one]} if trade else {})
    assert sort_out([one], set(Trade) - ({trade} if trade else set())) == {}


def test_samples_keep_their_order_and_come_back_as_they_were() -> None:
    some = [sample(f"v{n}", latitude=n / 7, longitude=-0.0, fix=True, note="苏E·12345") for n in range(5)]
    some.insert(2, sample("meter", power=1.5))
    found = sort_out(some, set(Trade))[Trade.VEHICLES]
    assert found == [one for one in some if one.device != "meter"]
    assert read_samples(write_samples(found)) == tuple(found)


def test_taken_is_gone_with_the_commit_and_only_then(desk_database: Database) -> None:
    fill(desk_database, 3)
    fill(desk_database, 2, trade=Trade.BIKES, first=10)

    def dies(connection: Connection) -> None:
        assert devices([one for _id, one in queue.take(connection, Trade.VEHICLES)]) == ["d0", "d1", "d2"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk_database.run(dies)
    assert count_of(desk_database, observation) == 5
    first = desk_database.run(lambda connection: queue.take(connection, Trade.VEHICLES, limit=2))
    rest = desk_database.run(lambda connection: queue.take(connection, Trade.VEHICLES, limit=2))
    assert devices([one for _id, one in first + rest]) == ["d0", "d1", "d2"]
    assert first[0][1] == Observation(Trade.VEHICLES, "g1", T0_US, (sample("d0", latitude=1.0, longitude=2.0),))
    assert not desk_database.read(lambda connection: queue.has_news(connection, Trade.VEHICLES))
    assert desk_database.read(lambda connection: queue.has_news(connection, Trade.BIKES))


def test_beyond_the_bound_the_oldest_go_and_are_counted(desk_database: Database) -> None:
    assert fill(desk_database, 6, limit=10) == 0
    assert fill(desk_database, 7, limit=10, first=6) == 3
    left = desk_database.run(lambda connection: queue.take(connection, Trade.VEHICLES))
    assert devices([one for _id, one in left]) == [f"d{number}" for number in range(3, 13)]
    assert fill(desk_database, 0) == 0


def test_what_was_taken_long_ago_is_not_counted(desk_database: Database) -> None:
    fill(desk_database, 3, trade=Trade.BIKES, limit=10)
    for turn in range(10):
        assert fill(desk_database, 5, limit=10, first=5 * turn) == 0
        assert len(desk_database.run(lambda connection: queue.take(connection, Trade.VEHICLES))) == 5
    assert fill(desk_database, 7, limit=10) == 0
    assert fill(desk_database, 1, limit=10, first=7) == 1
    assert len(desk_database.run(lambda connection: queue.take(connection, Trade.BIKES))) == 2
    assert len(desk_database.run(lambda connection: queue.take(connection, Trade.VEHICLES))) == 8


def test_a_full_queue_is_not_counted_each_time(desk_database: Database) -> None:
    assert fill(desk_database, 100, limit=100) == 0
    lost = [fill(desk_database, 1, limit=100, first=100 + turn) for turn in range(12)]
    assert lost == [6, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0]


def note(connection: Connection, some: Sequence[Observation]) -> None:
    """The work of these tests: a row a device that was judged, in the transaction that judges it."""
    connection.execute(insert(measure), [{"line": device.encode()} for device in devices(some)])


def judged(database: Database) -> list[str]:
    return sorted(bytes(row["line"]).decode() for row in rows_of(database, measure))


async def follow(database: Database, work: queue.Work, until: Callable[[], bool]) -> None:
    """Run the loop until something is so; the loop itself never ends."""
    persistent = PersistentDatabase(database, counters=Counters())
    async with anyio.create_task_group() as tasks:

        async def loop() -> None:
            await queue.follow(persistent, Settings(), Trade.VEHICLES, work, idle_s=0.001)

        tasks.start_soon(loop)
        await anyio.to_thread.run_sync(eventually, until)
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_worker_that_dies_before_the_commit_has_judged_nothing(desk_database: Database) -> None:
    fill(desk_database, 5)

    def dies(connection: Connection, some: Sequence[Observation]) -> None:
        note(connection, some)
        raise ZeroDivisionError

    persistent = PersistentDatabase(desk_database, counters=Counters())
    with pytest.raises(ZeroDivisionError):
        await queue.follow(persistent, Settings(), Trade.VEHICLES, dies)
    assert (judged(desk_database), count_of(desk_database, observation)) == ([], 5)
    await follow(desk_database, note, lambda: count_of(desk_database, observation) == 0)
    assert judged(desk_database) == [f"d{number}" for number in range(5)]


@pytest.mark.anyio
async def test_what_is_refused_is_a_dead_letter_alone_and_what_waits_beside_it_is_judged(
    desk_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    fill(desk_database, 20)

    def work(connection: Connection, some: Sequence[Observation]) -> None:
        note(connection, some)
        if {"d7", "d19"} & set(devices(some)):
            raise DatabaseRefusedError("a number beyond 64 bits")

    await follow(desk_database, work, lambda: count_of(desk_database, observation) == 0)
    assert judged(desk_database) == sorted(f"d{number}" for number in range(20) if number not in (7, 19))
    letters = rows_of(desk_database, dead_letter)
    assert [(one["topic"], one["gateway"], one["reason"], one["received_at_us"]) for one in letters] == [
        ("trade/vehicles", "g1", "refused-by-database", T0_US + number) for number in (7, 19)
    ]
    assert b'"d7"' in bytes(letters[0]["payload"])
    assert "64 bits" in letters[0]["why"]
    assert caplog.text.count("is a dead letter now") == 2


@pytest.mark.anyio
async def test_what_the_database_itself_refuses_is_given_up_too(desk_database: Database) -> None:
    fill(desk_database, 3)

    def work(connection: Connection, some: Sequence[Observation]) -> None:
        number = 2**70 if "d1" in devices(some) else 1
        connection.execute(select(occurrence).where(occurrence.c.raised_at_us == number))
        note(connection, some)

    await follow(desk_database, work, lambda: count_of(desk_database, observation) == 0)
    assert judged(desk_database) == ["d0", "d2"]
    assert count_of(desk_database, dead_letter) == 1


@pytest.mark.anyio
async def test_two_workers_judge_everything_once(desk_database: Database, database_url: URL) -> None:
    fill(desk_database, 900)
    with Database(database_url) as other:
        async with anyio.create_task_group() as tasks:
            for one in (desk_database, other):
                tasks.start_soon(follow, one, note, lambda: count_of(desk_database, observation) == 0)
        # While both are open: a question that was given up may still be under way.
        assert judged(desk_database) == sorted(f"d{number}" for number in range(900))


@pytest.mark.anyio
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_on_postgresql_each_takes_what_no_other_holds(desk_database: Database, database_url: URL) -> None:
    fill(desk_database, 6)
    with Database(database_url) as other, other.transaction() as holding:
        assert devices([one for _id, one in queue.take(holding, Trade.VEHICLES, limit=3)]) == ["d0", "d1", "d2"]

        def work(connection: Connection, some: Sequence[Observation]) -> None:
            note(connection, some)
            if "d4" in devices(some):
                raise DatabaseRefusedError("no")

        # One of what is left is bad: it is given up, and nothing that the other holds.
        await follow(desk_database, work, lambda: count_of(desk_database, dead_letter) == 1)
        assert judged(desk_database) == ["d3", "d5"]
        assert desk_database.run(lambda connection: queue._judge(connection, Trade.VEHICLES, note)) == 0
    assert count_of(desk_database, observation) == 0


@pytest.mark.anyio
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_gives_up_gives_up_what_it_has_tried_and_nothing_else(
    desk_database: Database, database_url: URL
) -> None:
    """Between the trying and the giving up another worker takes the same row; the next one is innocent."""
    fill(desk_database, 2)
    with Database(database_url) as other:
        taken: list[str] = []

        def work(_connection: Connection, some: Sequence[Observation]) -> None:
            if devices(some) == ["d0"]:
                taken.append("d0")
            raise DatabaseRefusedError("no")

        persistent = PersistentDatabase(desk_database, counters=Counters())
        real_call = persistent.call

        async def call(job: Callable[[Connection], object]) -> object:
            try:
                return await real_call(job)
            finally:
                if taken == ["d0"]:
                    taken.append("other")
                    other.run(lambda connection: queue.take(connection, Trade.VEHICLES, limit=1))

        persistent.call = call  # type: ignore[method-assign,assignment]
        await queue._judge_alone(persistent, Settings(), Trade.VEHICLES, work)
    assert [b'"d1"' in bytes(one["payload"]) for one in rows_of(desk_database, dead_letter)] == [True]


def test_a_lease_is_one_holders_until_it_ends(desk_database: Database) -> None:
    def held(holder: str, at_s: int, name: str = "totals") -> bool:
        now_us = at_s * 1_000_000
        return desk_database.run(lambda connection: hold(connection, name, holder=holder, now_us=now_us, for_s=10))

    assert [held("a", 0), held("b", 1), held("b", 1, "fire"), held("a", 8), held("b", 15)] == [
        True, False, True, True, False,
    ]  # fmt: skip
    assert [held("b", 18), held("a", 19), held("b", 19)] == [True, False, True]


def test_a_lease_that_was_taken_under_a_wrong_clock_is_nobodys(desk_database: Database) -> None:
    def held(holder: str, at_s: int) -> bool:
        now_us = at_s * 1_000_000
        return desk_database.run(lambda connection: hold(connection, "totals", holder=holder, now_us=now_us, for_s=10))

    year_s = 31_536_000
    assert [held("a", 10 * year_s), held("b", 0), held("c", 1)] == [True, True, False]
    assert [held("c", 20), held("b", 11), held("b", 9)] == [True, False, True], "a clock that is a little behind waits"


PLACE = Place("school-1", "east", "city/east/")


def event(transition: Transition = Transition.RAISED, *, raised_s: int = 0, at_s: int = 0) -> AlarmEvent:
    return AlarmEvent(
        gateway=OWN_GATEWAY,
        device="tour.17",
        point="tour",
        rule="missed",
        transition=transition,
        raised_at_us=T0_US + raised_s * 1_000_000,
        at_us=T0_US + at_s * 1_000_000,
        kind="patrol",
        severity=Severity.MEDIUM,
        text={"en": "missed", "zh": "漏巡"},
    )


def test_the_clouds_own_alarm_has_the_place_that_was_said_and_is_one_however_often_it_is_said(
    desk_database: Database,
) -> None:
    def tell(one: AlarmEvent, place: Place, now_s: int) -> int:
        now_us = T0_US + now_s * 1_000_000
        return desk_database.run(lambda connection: say(connection, [Said(one, place)], desk=DESK, now_us=now_us))

    assert [tell(event(), PLACE, 5), tell(event(), NOWHERE, 9)] == [1, 0]
    (row,) = rows_of(desk_database, occurrence)
    assert (row["site"], row["area"], row["area_path"]) == ("school-1", "east", "city/east/")
    assert (row["source"], row["late"], row["cleared_at_us"]) == ("cloud/tour.17/tour/missed", False, None)
    assert tell(event(Transition.CLEARED, at_s=30), PLACE, 400) == 1
    assert tell(event(raised_s=60, at_s=60), NOWHERE, 400) == 1
    (row,) = rows_of(desk_database, occurrence)
    assert (row["triggers"], row["area_path"], row["cleared_at_us"]) == (2, "city/east/", None)
    assert count_of(desk_database, alarm_event) == 3
    assert desk_database.run(lambda connection: say(connection, [], desk=DESK, now_us=T0_US)) == 0


def test_what_is_said_late_is_marked_so(desk_database: Database) -> None:
    late_us = T0_US + 61_000_000
    desk_database.run(lambda connection: say(connection, [Said(event(), PLACE)], desk=DESK, now_us=late_us))
    assert rows_of(desk_database, occurrence)[0]["late"] is True


def test_a_reader_of_the_history_goes_on_where_it_was_and_misses_nothing(desk_database: Database) -> None:
    def tell(raised_s: int) -> None:
        at = event(raised_s=raised_s, at_s=raised_s)
        desk_database.run(lambda connection: say(connection, [Said(at, PLACE)], desk=DESK, now_us=T0_US))

    def take(limit: int = 100) -> list[int]:
        return desk_database.run(lambda connection: [row["id"] for row in take_changes(connection, "me", limit=limit)])

    def news() -> bool:
        return desk_database.read(lambda connection: has_changes(connection, "me"))

    tell(0)
    assert (take(), news()) == ([], False), "no cursor yet"
    desk_database.run(lambda connection: begin_here(connection, "me"))
    assert (take(), news()) == ([], False), "what was before is not for it"
    for raised_s in (10, 20, 30):
        tell(raised_s)
    desk_database.run(lambda connection: begin_here(connection, "me"))
    assert news()

    def dies(connection: Connection) -> None:
        assert take_changes(connection, "me")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk_database.run(dies)
    first, rest = take(limit=2), take(limit=2)
    assert len(first) == 2
    assert first + rest == sorted(set(first + rest))
    assert len(first + rest) == 3
    assert (take(), news()) == ([], False)
