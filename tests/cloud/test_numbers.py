"""The numbers in the database, on both servers: followed, rebuilt, read, and told to InfluxDB."""

import random
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import msgspec
import pytest
from sqlalchemy import Connection, insert, select, update

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.area_tables import area, registered_device, registered_gateway, site
from cloud.database.gateways import note_presence
from cloud.database.number_tables import busy_source, presence_change, tally
from cloud.database.tables import alarm_event, change, cursor, occurrence
from cloud.desk.core import Alarm, ClosingCode
from cloud.desk.history import changed_fields
from cloud.desk.keeping import to_row
from cloud.errors import SpanError, UnknownPlaceError
from cloud.numbers.days import begin_us
from cloud.numbers.figures import Numbers
from cloud.numbers.following import follow_changes, rebuild
from cloud.numbers.limits import Verdict
from cloud.numbers.read import numbers, path_of
from cloud.numbers.settings import Numbers as NumberSettings
from cloud.numbers.tally import NOTHING
from cloud.numbers.worker import find_untold, mark_told, run_numbers
from cloud.numbers.written import read_content
from cloud.settings import Influx1, Settings
from contract.alarms import Mode, Severity
from contract.ids import alarm_id
from contract.presence import Birth, Death
from tests.cloud.fake_influx import FakeInflux
from tests.cloud.rig import rows_of

pytestmark = pytest.mark.anyio

ZONE = ZoneInfo("Asia/Shanghai")
S_US = 1_000_000
DAY = date(2026, 11, 3)
DAY_US = begin_us(DAY, ZONE)
NOW_US = begin_us(date(2026, 12, 5), ZONE)
PATHS = ["", "city/", "city/east/", "city/east/cell-1/", "city/east/cell-2/", "city/west/"]


def alarm(number: int, path: str, raised_at_us: int, **changes: Any) -> Alarm:
    source = f"g{number}/button/contact/panic"
    plain = Alarm(
        alarm_id=alarm_id(source, raised_at_us), source=source, gateway=f"g{number}", device="button",
        point="contact", rule="panic", kind="panic", severity=Severity.CRITICAL, text={"en": "Pressed"},
        raised_at_us=raised_at_us, received_at_us=raised_at_us + S_US, stored_at_us=raised_at_us + S_US, late=False,
        triggers=1, last_raised_at_us=raised_at_us, area_path=path, area=path.split("/")[-2] if path else None,
        site=None, target_s=300,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def closed(one: Alarm, *, after_s: int = 100, code: ClosingCode = ClosingCode.GENUINE) -> Alarm:
    at_us = one.stored_at_us + after_s * S_US
    seen = one.stored_at_us + 20 * S_US
    return msgspec.structs.replace(
        one, first_acknowledged_at_us=seen, acknowledged_at_us=seen, acknowledged_by="wang", cleared_at_us=at_us,
        closed_at_us=at_us, closed_by="wang", closing_code=code,
    )  # fmt: skip


def retriggered(one: Alarm, at_us: int) -> Alarm:
    return msgspec.structs.replace(one, triggers=one.triggers + 1, last_raised_at_us=at_us)


def put(database: Database, before: Alarm | None, after: Alarm, what: str) -> None:
    """Do to the rows what the desk does to them."""

    def work(connection: Connection) -> None:
        # Which row of a source is the open one is not our subject.
        values = to_row(after) | {"open_key": None}
        if before is None:
            connection.execute(insert(occurrence).values(values))
        else:
            connection.execute(update(occurrence).where(occurrence.c.alarm_id == after.alarm_id).values(values))
        if what in ("raised", "retriggered"):
            at_us = after.last_raised_at_us
            event = {"alarm_id": after.alarm_id, "occurrence": after.alarm_id, "transition": what, "at_us": at_us}
            times = {"received_at_us": at_us, "stored_at_us": at_us}
            connection.execute(
                insert(alarm_event).values(event_id=f"{after.alarm_id}-{what}-{at_us}", **event, **times)
            )
        row = {"at_us": after.stored_at_us, "what": what, "alarm_id": after.alarm_id, "source": after.source}
        row |= {"area_path": after.area_path, "by": "desk", "origin": "worker", "why": ""}
        connection.execute(insert(change).values(fields=changed_fields(before, after), **row))

    database.run(work)


def follow(database: Database, limit: int = 7) -> None:
    while database.run(partial(follow_changes, zone=ZONE, limit=limit)):
        pass


def ask(database: Database, path: str = "", *, first: date = DAY, days: int = 1, **options: Any) -> Numbers:
    from_us = begin_us(first, ZONE)
    until_us = begin_us(date.fromordinal(first.toordinal() + days), ZONE)
    options = {"now_us": NOW_US} | options
    return database.read(partial(numbers, area_path=path, from_us=from_us, until_us=until_us, zone=ZONE, **options))


def tallies(database: Database) -> list[dict[str, Any]]:
    """What is counted, wherever it stands: an area without anything below may say it once or twice."""
    found = []
    for row in rows_of(database, tally):
        content = read_content(row["total"] or row["own"])
        if content != NOTHING:
            found.append({"path": row["area_path"], "span": row["span"], "first": row["first_day"], "has": content})
    return found


def stir(database: Database, *, seed: int, count: int = 25) -> None:
    """Raise, press again, close and move alarms over three months, and follow now and then."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    rows: list[Alarm] = []
    for number in range(count):
        raised_at_us = DAY_US + chance.randrange(-40 * 86_400, 20 * 86_400) * S_US
        mode = chance.choice([Mode.LIVE, Mode.LIVE, Mode.LIVE, Mode.TEST])
        where = {"mode": mode, "site": chance.choice([None, "s1", "s2"])}
        one = alarm(number % 9, chance.choice(PATHS), raised_at_us + number, **where)
        put(database, None, one, "raised")
        rows.append(one)
        for _ in range(chance.randrange(3)):
            place = chance.randrange(len(rows))
            before = rows[place]
            after, what = chance.choice(
                [
                    (retriggered(before, before.last_raised_at_us + chance.randrange(1, 90_000) * S_US), "retriggered"),
                    (closed(before, code=chance.choice(list(ClosingCode))), "closed"),
                    (msgspec.structs.replace(before, area_path=chance.choice(PATHS)), "placed"),
                ]
            )
            # The days of all presses of an alarm that moves are not in its history.
            if what != "placed" or before.triggers == 1:
                put(database, before, after, what)
                rows[place] = after
        if chance.random() < 0.3:
            follow(database)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_followed_is_what_a_rebuild_counts(desk_database: Database, seed: int) -> None:
    rebuild(desk_database, ZONE)
    stir(desk_database, seed=seed)
    follow(desk_database)
    followed, busy = tallies(desk_database), rows_of(desk_database, busy_source)
    rebuild(desk_database, ZONE)
    assert followed == tallies(desk_database)
    assert busy == rows_of(desk_database, busy_source)
    follow(desk_database)
    assert followed == tallies(desk_database)


def test_nothing_is_followed_before_everything_was_counted_once(desk_database: Database) -> None:
    put(desk_database, None, alarm(1, "city/", DAY_US), "raised")
    assert desk_database.run(partial(follow_changes, zone=ZONE)) is None
    assert rebuild(desk_database, ZONE) == 1
    assert ask(desk_database).counts.raised == 1
    assert desk_database.run(partial(follow_changes, zone=ZONE)) == 0


def test_the_cursor_moves_with_what_was_counted(desk_database: Database) -> None:
    rebuild(desk_database, ZONE)
    for number in range(5):
        put(desk_database, None, alarm(number, "city/", DAY_US + number), "raised")
    assert ask(desk_database).scope.uncounted == 5
    assert [desk_database.run(partial(follow_changes, zone=ZONE, limit=3)) for _ in range(3)] == [3, 2, 0]
    assert ask(desk_database).scope.uncounted == 0
    (row,) = rows_of(desk_database, cursor)
    assert row["change_id"] == 5


def test_an_area_holds_what_lies_below_it_and_nothing_beside_it(desk_database: Database) -> None:
    rebuild(desk_database, ZONE)
    for number, path in enumerate(PATHS):
        put(desk_database, None, alarm(number, path, DAY_US + number), "raised")
    put(desk_database, None, alarm(9, "city/east/", begin_us(date(2026, 11, 4), ZONE)), "raised")
    follow(desk_database)
    found = {path: ask(desk_database, path).counts.raised for path in [*PATHS, "city/eas/", "none/"]}
    assert found == {
        "": 6, "city/": 5, "city/east/": 3, "city/east/cell-1/": 1, "city/east/cell-2/": 1, "city/west/": 1,
        "city/eas/": 0, "none/": 0,
    }  # fmt: skip
    month = {path: ask(desk_database, path, first=date(2026, 11, 1), days=30).counts.raised for path in PATHS}
    assert month["city/east/"] == 4
    assert month[""] == 7
    odd = ask(desk_database, "", first=date(2026, 10, 30), days=63)
    assert odd.counts.raised == 7


def test_the_numbers_say_what_became_of_the_alarms(desk_database: Database) -> None:
    rebuild(desk_database, ZONE)
    fates = [(100, ClosingCode.GENUINE), (299, ClosingCode.ACCIDENTAL), (301, ClosingCode.MALICIOUS), (None, None)]
    for number, (after_s, code) in enumerate(fates):
        one = alarm(number, "city/east/", DAY_US + number * 3_600 * S_US)
        put(desk_database, None, one, "raised")
        if after_s is not None and code is not None:
            put(desk_database, one, closed(one, after_s=after_s, code=code), "closed")
    put(desk_database, None, alarm(7, "city/", DAY_US, kind="hold-up-verified"), "raised")
    put(desk_database, None, alarm(8, "city/", DAY_US, mode=Mode.DRILL), "raised")
    follow(desk_database)
    found = ask(desk_database, "city/")
    counts = found.counts
    assert (counts.raised, counts.handled, counts.closed_total, counts.false_calls, counts.drill) == (5, 3, 3, 2, 1)
    assert counts.closed == {"accidental": 1, "genuine": 1, "malicious": 1}
    assert counts.disposition_share == pytest.approx(2 / 3)
    assert counts.verified_hold_ups == 1
    assert counts.by_kind == {"panic": 4, "hold-up-verified": 1}
    acknowledge = found.response["acknowledge"]
    assert [acknowledge.count, acknowledge.within_share] == pytest.approx([3, 0.6])
    assert acknowledge.p90_s == pytest.approx(20, rel=0.05)
    assert found.transmission.p50_s == pytest.approx(1, rel=0.05)
    assert found.noise.standing_stale == 2
    only = ask(desk_database, "city/", kind="hold-up-verified", severity=Severity.CRITICAL)
    assert (only.counts.raised, only.load, only.noise.bad_actors, only.gateways) == (1, None, None, None)
    assert ask(desk_database, "city/", severity=Severity.LOW).counts.raised == 0
    assert msgspec.json.decode(msgspec.json.encode(found), type=Numbers) == found


def test_presses_load_the_operator_when_they_happen(desk_database: Database) -> None:
    rebuild(desk_database, ZONE)
    one = alarm(1, "city/", DAY_US + 60 * S_US)
    put(desk_database, None, one, "raised")
    for number in range(11):
        again = retriggered(one, DAY_US + (70 + number) * S_US)
        put(desk_database, one, again, "retriggered")
        one = again
    next_day = retriggered(one, DAY_US + 86_400 * S_US)
    put(desk_database, one, next_day, "retriggered")
    follow(desk_database)
    today, tomorrow = ask(desk_database), ask(desk_database, first=date(2026, 11, 4))
    assert today.load is not None
    assert tomorrow.load is not None
    assert (today.load.alarms, today.load.worst_ten_minutes, today.load.worst_at_us) == (12, 12, DAY_US)
    assert today.load.overfull_share == pytest.approx(1 / 144)
    assert (tomorrow.load.alarms, tomorrow.counts.raised) == (1, 0)
    verdicts = {one.name: one.verdict for one in today.judgements}
    assert (verdicts["worst-ten-minutes"], verdicts["per-hour"]) == (Verdict.OVER, Verdict.GOOD)
    assert today.noise.bad_actors is not None
    (actor,) = today.noise.bad_actors
    assert (actor.source, actor.triggers, today.noise.bad_actor_share) == (one.source, 13, 1.0)


def test_two_alarms_a_month_make_no_bad_actor_and_other_areas_none(desk_database: Database) -> None:
    rebuild(desk_database, ZONE)
    for number, (path, count) in enumerate([("city/east/", 2), ("city/east/", 3), ("city/west/", 5)]):
        for press in range(count):
            one = alarm(number, path, DAY_US + press * 3_600 * S_US)
            put(desk_database, None, msgspec.structs.replace(closed(one)), "raised")
    follow(desk_database)

    def actors(path: str) -> list[tuple[str, int]]:
        found = ask(desk_database, path).noise.bad_actors
        return [(one.source.split("/")[0], one.triggers) for one in found or ()]

    assert actors("") == [("g2", 5), ("g1", 3)]
    assert actors("city/east/") == [("g1", 3)]


def register(database: Database, *, name: str = "School", transmission_class: str | None = "SP5") -> None:
    def work(connection: Connection) -> None:
        parents: dict[str, str | None] = {"city": None, "east": "city", "west": "city"}
        for one, parent in parents.items():
            path = f"{parent}/{one}/" if parent else f"{one}/"
            connection.execute(insert(area).values(id=one, parent=parent, level="county", name=one, path=path))
        for number in (1, 2):
            where = "east" if number == 1 else "west"
            values = {"name": name, "kind": "school", "address": "", "transmission_class": transmission_class}
            connection.execute(insert(site).values(id=f"s{number}", area=where, **values))
            connection.execute(
                insert(registered_gateway).values(id=f"g{number}", site=f"s{number}", name="", address="")
            )
            connection.execute(
                insert(registered_device).values(gateway=f"g{number}", device="button", name="", place="")
            )

    database.run(work)


def test_false_calls_are_counted_by_site_over_12_months(desk_database: Database) -> None:
    rebuild(desk_database, ZONE)
    register(desk_database)
    accident, genuine, unknown = ClosingCode.ACCIDENTAL, ClosingCode.GENUINE, ClosingCode.UNKNOWN
    calls = [
        ("s1", 0, accident, "panic"), ("s1", 300, ClosingCode.WEATHER_ANIMAL, "panic"), ("s1", 1, genuine, "panic"),
        ("s1", 366, accident, "panic"), ("s1", 2, accident, "smoke"), ("s1", 3, unknown, "panic"),
        ("s2", 4, accident, "panic"),
    ]  # fmt: skip
    for number, (place, days_ago, code, kind) in enumerate(calls):
        path = "city/east/" if place == "s1" else "city/west/"
        one = alarm(number, path, DAY_US - days_ago * 86_400 * S_US, site=place, kind=kind)
        put(desk_database, None, closed(one, code=code), "raised")
    follow(desk_database)
    found = ask(desk_database)
    assert [(one.site, one.name, one.calls) for one in found.false_call_sites] == [
        ("s1", "School", 2),
        ("s2", "School", 1),
    ]
    (judged,) = [one for one in found.judgements if one.name == "false-call-sites"]
    assert (judged.value, judged.verdict) == (1, Verdict.OVER)
    assert [one.site for one in ask(desk_database, "city/west/").false_call_sites] == ["s2"]


def test_reporting_is_held_against_the_class_of_the_site(desk_database: Database) -> None:
    rebuild(desk_database, ZONE)
    register(desk_database)
    for number, after_s in ((1, 80), (2, 120)):
        one = alarm(number, "city/", DAY_US, kind="gateway-lost", site=f"s{number}")
        one = msgspec.structs.replace(one, stored_at_us=DAY_US + after_s * S_US)
        put(desk_database, None, one, "raised")
    follow(desk_database)
    (found,) = ask(desk_database).reporting
    assert (found.transmission_class, found.losses, found.limit_s, found.within_share) == ("SP5", 2, 90, 0.5)
    assert {one.name: one.verdict for one in ask(desk_database).judgements}["reporting-SP5"] is Verdict.OVER


def test_gateways_are_available_when_they_are_online(desk_database: Database) -> None:
    register(desk_database)

    def birth(gateway: str, at_us: int) -> Birth:
        return Birth(gateway=gateway, boot=str(at_us), at_us=at_us, version="1", site="", devices=())

    def note(message: Birth | Death, at_us: int) -> None:
        desk_database.run(partial(note_presence, message=message, received_at_us=at_us, registered=None))

    hour = 3_600 * S_US
    start = DAY_US - 10 * hour
    for gateway in ("g1", "g2"):
        note(birth(gateway, start), start)
    note(Death("g1", str(start), "away"), DAY_US - hour)
    note(Death("g1", str(start), "away"), DAY_US)
    note(birth("g1", DAY_US + 2 * hour), DAY_US + 2 * hour)
    note(birth("g1", DAY_US + 3 * hour), DAY_US + 3 * hour)
    note(Death("g2", str(start), "away"), DAY_US + 23 * hour)
    assert [(row["gateway"], row["online"]) for row in rows_of(desk_database, presence_change)] == [
        ("g1", False), ("g1", True), ("g2", False),
    ]  # fmt: skip
    found = {path: ask(desk_database, path).gateways for path in ("", "city/", "city/east/", "city/west/")}
    assert all(one is not None for one in found.values())
    assert [(one.count, one.losses, one.lost_s) for one in found.values() if one] == [
        (2, 2, 3 * 3_600), (2, 2, 3 * 3_600), (1, 1, 2 * 3_600), (1, 1, 3_600),
    ]  # fmt: skip
    note(birth("unplaced", start), start)
    note(Death("unplaced", str(start), "away"), DAY_US)
    both = [ask(desk_database, path).gateways for path in ("", "city/")]
    assert [(one.count, one.losses) for one in both if one] == [(3, 3), (2, 2)]
    assert found["city/east/"] is not None
    assert found["city/east/"].share == pytest.approx(22 / 24)


def test_devices_are_available_while_none_of_their_losses_stands(desk_database: Database) -> None:
    rebuild(desk_database, ZONE)
    register(desk_database)
    over = alarm(1, "city/east/", DAY_US, kind="device-lost", cleared_at_us=DAY_US + 3_600 * S_US)
    put(desk_database, None, over, "raised")
    put(desk_database, None, alarm(2, "city/west/", DAY_US + 12 * 3_600 * S_US, kind="device-lost"), "raised")
    follow(desk_database)
    found = ask(desk_database).devices
    assert found is not None
    assert (found.count, found.losses, found.lost_s) == (2, 2, 13 * 3_600)
    assert found.share == pytest.approx(1 - 13 / 48)


def test_a_span_that_cannot_be_counted_is_refused(desk_database: Database) -> None:
    with pytest.raises(SpanError, match="ends before"):
        ask(desk_database, days=0)
    with pytest.raises(SpanError, match="1831 days"):
        ask(desk_database, days=1_831)
    register(desk_database)
    assert desk_database.read(partial(path_of, area_id="east")) == "city/east/"
    with pytest.raises(UnknownPlaceError, match="north"):
        desk_database.read(partial(path_of, area_id="north"))


def test_a_day_that_changes_while_it_is_told_is_told_again(desk_database: Database) -> None:
    rebuild(desk_database, ZONE)
    one = alarm(1, "", DAY_US)
    put(desk_database, None, one, "raised")
    follow(desk_database)
    (first,) = desk_database.read(find_untold)
    put(desk_database, one, closed(one), "closed")
    follow(desk_database)
    desk_database.run(partial(mark_told, told=[first]))
    (second,) = desk_database.read(find_untold)
    assert second.content != first.content
    desk_database.run(partial(mark_told, told=[second]))
    assert desk_database.read(find_untold) == []


def lines_of(influx: FakeInflux) -> list[str]:
    return [line for seen in influx.seen for line in seen.lines]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the database has no event to wait for
        await anyio.sleep(0.01)


async def test_the_worker_counts_and_tells_influxdb(desk_database: Database) -> None:
    put(desk_database, None, closed(alarm(1, "city/east/", DAY_US)), "raised")
    register(desk_database)
    persistent = PersistentDatabase(desk_database, counters=Counters())
    async with FakeInflux() as influx:
        settings = Settings(influx=Influx1(url=influx.url), numbers=NumberSettings(every_s=0.01))
        with anyio.fail_after(40):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(run_numbers, persistent, settings, clock=lambda: NOW_US))
                await until(lambda: sum(line.startswith("alarms_by_area") for line in lines_of(influx)) >= 3)
                put(desk_database, None, alarm(2, "city/west/", DAY_US), "raised")
                await until(lambda: any(line.startswith("alarms_by_area,area=west") for line in lines_of(influx)))
                tasks.cancel_scope.cancel()
    lines = lines_of(influx)
    expected = "alarms_by_area,area=city,kind=panic,severity=critical raised=1.0,triggers=1.0,late=0.0,handled=1.0,"
    (city,) = {line for line in lines if line.startswith(expected)}
    assert city.endswith(f"closed=1.0,false_calls=0.0,closed_within=1.0 {DAY_US}")
    assert f"alarms_by_hour,area=all annunciated=1.0 {DAY_US}" in lines
    assert any(line.startswith("availability,area=east,of=gateways share=1.0") for line in lines)


async def test_influxdb_away_holds_nothing_up(desk_database: Database) -> None:
    persistent = PersistentDatabase(desk_database, counters=Counters())
    settings = Settings(influx=Influx1(url="http://127.0.0.1:9"), numbers=NumberSettings(every_s=0.01))
    with anyio.fail_after(40):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(run_numbers, persistent, settings, clock=lambda: NOW_US))
            put(desk_database, None, alarm(2, "city/west/", DAY_US), "raised")
            await until(lambda: ask(desk_database).counts.raised > 0)
            tasks.cancel_scope.cancel()
    assert {one.area_path for one in desk_database.read(find_untold)} == {"", "city/", "city/west/"}


def test_only_one_worker_counts_at_a_time(desk_database: Database) -> None:
    rebuild(desk_database, ZONE)
    put(desk_database, None, alarm(1, "city/", DAY_US), "raised")
    # SQLite has one writer at a time anyhow: there nobody can look while another one counts.
    if desk_database.url.get_backend_name() == "postgresql":
        with desk_database.transaction() as holder:
            holder.execute(select(cursor).with_for_update())
            assert desk_database.run(partial(follow_changes, zone=ZONE)) == 0
    assert desk_database.run(partial(follow_changes, zone=ZONE)) == 1
