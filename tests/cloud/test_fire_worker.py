"""The daily index of stations: the loop on a virtual clock, both databases."""

import gc
from functools import partial

import anyio
import anyio.to_thread
import pytest

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.feed_tables import measure
from cloud.database.fire_tables import fire_correction, fire_level
from cloud.database.tables import alarm_event, occurrence
from cloud.errors import DatabaseAwayError, DatabaseRefusedError
from cloud.fire.classes import Danger
from cloud.fire.danger import Level, current_levels, device_of, follow
from cloud.fire.fwi import Codes, Weather, next_day
from cloud.fire.settings import Fire
from cloud.fire.worker import Watch, run_fire
from cloud.influx import InfluxV1
from cloud.influx.query import open_reader
from cloud.settings import Influx1, Settings
from contract.alarms import Transition
from langyan.servers import Influx
from tests.cloud.fire_rig import HEAD, ROW, Post, Sky, day, moment_us
from tests.cloud.rig import count_of, fresh, rows_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def post(desk_database: Database) -> Post:
    made = Post(desk_database)
    made.register()
    return made


def lines(post: Post) -> list[str]:
    return [bytes(row["line"]).decode() for row in rows_of(post.database, measure)]


async def test_a_day_is_worked_out_once_its_noon_is_over_and_rated_in_the_afternoon(post: Post) -> None:
    post.sky.fine(-1)
    post.sky.fine(0)
    # Near enough to 14 h, and yet not that of the afternoon.
    post.sky.put(moment_us(0, 13.05), temperature=17, humidity=42, wind_speed=6, rain=0)
    await post.pass_at(0, 13.1)
    assert post.days() == []
    await post.pass_at(0, 13.2)
    (one,) = post.days()
    assert (one["china"], one["max_temp_c"], one["afternoon_rh_pct"]) == (None, None, None)
    assert (one["day"], one["rule"], one["noon_at_us"]) == (day(0), "started", moment_us(0, 12))
    # 6 m/s at noon are 21.6 km/h.
    assert (one["temp_c"], one["rh_pct"], one["wind_kmh"], one["rain_mm"]) == (17, 42, pytest.approx(21.6), 0)
    wanted = next_day(Codes(), Weather(17, 42, 21.6, 0), month=4, latitude_deg=31.3)
    assert (one["fwi"], one["dc"]) == (pytest.approx(wanted.fwi), wanted.codes.dc)
    assert (one["effis"], one["canada"]) == (2, 4)
    assert "fwi=" in lines(post)[0]
    assert f" {moment_us(0, 12)}" in lines(post)[0]
    assert "danger=2i" in lines(post)[0], "of the scheme that is set"
    assert 'name="' in lines(post)[0]
    assert ",path=:all:" in lines(post)[0]
    asked = post.sky.asked
    await post.pass_at(0, 15)
    assert post.sky.asked == asked + 2, "the hour alone, and its counter before"
    await post.pass_at(0, 15.2)
    (one,) = post.days()
    # 18 degrees and more: 12, 41 %: 12, one dry day: 5, force 4: 20.
    assert (one["china_index"], one["china"]) == (12 + 12 + 5 + 20, 2)
    assert count_of(post.database, fire_correction) == 0


async def test_without_a_database_of_readings_a_day_waits_and_is_not_missing(post: Post) -> None:
    post.sky.error = DatabaseAwayError("away")
    await post.pass_at(1, 20)
    assert post.days() == []
    post.sky.error = DatabaseRefusedError("no such function")
    await post.pass_at(1, 20)
    assert post.days() == []
    post.sky.error = None
    await post.pass_at(1, 20)
    assert post.rules() == "n n"
    assert {row["temp_verdict"] for row in post.days()} == {"missing"}


@pytest.mark.parametrize(
    ("changed", "column", "verdict"),
    [
        ({"humidity": 140.0}, "rh", "impossible"),
        ({"wind_speed": 60.0}, "wind", "unit"),
        ({"temperature": 18.0}, "temp", "frozen"),
    ],
)
async def test_a_value_that_cannot_be_believed_is_estimated_and_shown(
    post: Post, changed: dict[str, float], column: str, verdict: str
) -> None:
    for number in range(-1, 3):
        post.sky.fine(number)
    frozen = Settings(fire=Fire(frozen_s=86_400 / 2))
    post.settings, post.watch = frozen, Post(post.database, frozen).watch
    post.watch = post.make_watch()
    if verdict == "frozen":
        for minutes in range(0, 14 * 60, 30):
            post.sky.put(moment_us(1, 0) + minutes * 60_000_000, **changed)
    else:
        post.sky.fine(1, **changed)
    await post.pass_at(2, 20)
    assert post.rules() == "s i o"
    one = post.days()[1]
    assert one[f"{column}_verdict"] == verdict
    others = {"temp", "rh", "wind", "rain"} - {column}
    assert {one[f"{name}_verdict"] for name in others} == {"good"}
    name = {"rh": "rh_pct", "wind": "wind_kmh", "temp": "temp_c"}[column]
    assert one[name] == pytest.approx(next(iter(changed.values())) * (3.6 if column == "wind" else 1))
    assert one[f"used_{name}"] == pytest.approx(post.days()[0][name]) != one[name]
    assert one["china"] is None, "an estimate is not rated"


async def test_a_long_gap_ends_the_series_and_it_begins_anew(post: Post) -> None:
    for number in (-1, 0, 1, 6, 7):
        post.sky.fine(number)
    for number in range(9):
        await post.pass_at(number, 20)
    assert post.rules() == "s o c c c n s o c"
    rows = post.days()
    assert rows[5]["fwi"] is None
    assert rows[5]["effis"] is None


async def test_what_comes_late_corrects_all_that_follows_and_keeps_what_was_said(post: Post) -> None:
    for number in (-1, 0, 3, 4):
        post.sky.fine(number)
    for number in range(5):
        await post.pass_at(number, 20)
    assert post.rules() == "s i i o o"
    before = post.days()
    # The link is back: what was read meanwhile comes now.
    post.sky.fine(1, temperature=30)
    post.sky.fine(2, temperature=31)
    await post.pass_at(4, 21.5)
    after = post.days()
    assert post.rules() == "s o o o o"
    assert all(row["fwi"] > old["fwi"] for row, old in zip(after[1:], before[1:], strict=True))
    kept = rows_of(post.database, fire_correction)
    # The fourth day was first a guess, then between two.
    last = {row["day"]: row["changed"] for row in kept}
    assert last[day(4)]["fwi"] == [pytest.approx(before[4]["fwi"]), pytest.approx(after[4]["fwi"])]
    assert last[day(1)]["rule"] == ["interpolated", "observed"]
    assert {row["at_us"] for row in kept if row["day"] == day(4)} == {moment_us(4, 21.5)}


@pytest.mark.parametrize("order", [(2, 0, 3, 1), (3, 2, 1, 0)])
async def test_the_order_in_which_days_become_known_does_not_matter(
    desk_database: Database, order: tuple[int, ...]
) -> None:
    post = Post(desk_database)
    post.register()
    post.sky.fine(-1)
    await post.pass_at(5, 14)
    hour = 14.0
    for number in order:
        hour += 1.1
        post.sky.fine(number, temperature=15.0 + number, rain=float(number))
        # A second worker, and the same thing twice.
        post.watch = post.make_watch()
        post.now_us += 400_000_000
        await post.pass_at(5, hour)
        await post.pass_at(5, hour)
    whole = post.codes()
    with_all = Post(desk_database)
    with_all.register(f"{HEAD},moved_on\ns2,{ROW.partition(',')[2]},{day(0)}\n")
    with_all.sky.rows = post.sky.rows
    await with_all.pass_at(5, hour + 1.1)
    rows = with_all.codes()
    assert len(rows) == 2 * len(whole)
    assert [row[1:] for row in rows[len(whole) :]] == [row[1:] for row in whole]


async def test_one_worker_does_it_and_the_next_goes_on_where_it_died(post: Post) -> None:
    post.sky.fine(-1)
    post.sky.fine(0)
    await post.pass_at(0, 13)
    other = post.make_watch()
    post.now_us = moment_us(0, 13.05)
    asked = post.sky.asked
    assert await other.run_pass() == 0
    assert post.sky.asked == asked
    # The first one's lease ends.
    post.now_us = moment_us(0, 13.5)
    assert await other.run_pass() == 1
    assert post.rules() == "s"
    # Nothing is said twice.
    assert len([line for line in lines(post) if "fwi=" in line]) == 1
    assert await other.run_pass() == 0


async def test_a_level_that_rises_is_an_alarm_and_one_that_falls_ends_it(desk_database: Database) -> None:
    post = Post(desk_database, Settings(fire=Fire(alarm_from="moderate")))
    post.register()
    post.sky.fine(-1)
    post.sky.fine(0)
    post.sky.fine(1, temperature=33, humidity=12, wind_speed=9)
    post.sky.fine(2, temperature=38, humidity=8, wind_speed=13)
    post.sky.fine(3, humidity=95)
    await post.pass_at(0, 20)
    assert rows_of(desk_database, occurrence) == []
    await post.pass_at(1, 20)
    (one,) = rows_of(desk_database, occurrence)
    assert (one["gateway"], one["device"], one["kind"], one["severity"]) == ("cloud", "danger.s1", "fire-danger", "low")
    assert one["text"]["zh"].startswith("森林火险")
    assert one["triggers"] == 1
    await post.pass_at(2, 20)
    (one,) = rows_of(desk_database, occurrence)
    assert one["triggers"] == 2
    level = desk_database.read(current_levels)
    assert level == {"s1": Danger.EXTREME}
    # Two stages of the same day say it once.
    assert count_of(desk_database, alarm_event) == 2
    await post.pass_at(3, 20)
    (one,) = rows_of(desk_database, occurrence)
    assert one["cleared_at_us"] == moment_us(3, 20)
    assert desk_database.read(current_levels)["s1"] < Danger.MODERATE


async def test_what_was_dangerous_does_not_become_safe_by_silence(desk_database: Database) -> None:
    post = Post(desk_database, Settings(fire=Fire(alarm_from="low", missed_days=1)))
    post.register()
    post.sky.fine(-1)
    post.sky.fine(0)
    await post.pass_at(0, 20)
    await post.pass_at(2, 20)
    assert post.rules() == "s c n"
    assert desk_database.read(current_levels) == {}
    (one,) = rows_of(desk_database, occurrence)
    assert one["cleared_at_us"] is None


async def test_the_days_of_a_station_that_catches_up_are_no_danger_of_now(desk_database: Database) -> None:
    post = Post(desk_database, Settings(fire=Fire(alarm_from="low")))
    post.now_us = moment_us(60, 20)
    post.register(f"{HEAD},moved_on\n{ROW},{day(0)}\n")
    for number in range(-1, 61):
        post.sky.fine(number)
    assert await post.watch.run_pass() == 1
    assert len(post.days()) == 31
    assert post.days()[-1]["effis"] >= Danger.LOW
    assert desk_database.read(current_levels) == {}
    assert rows_of(desk_database, occurrence) == []
    await post.pass_at(60, 20)
    assert desk_database.read(current_levels)["s1"] >= Danger.LOW
    assert len(rows_of(desk_database, occurrence)) == 1


async def test_a_station_that_moves_far_begins_anew_and_its_past_stays(post: Post) -> None:
    for number in range(-1, 4):
        post.sky.fine(number)
    await post.pass_at(3, 20)
    before = post.codes()
    moved = post.register(f"{HEAD},moved_on\ns1,Ridge,gate-east,weather,25.0,120.6,{day(2)}\n")
    assert moved.turned == {"s1": day(2)}
    assert moved.anew == ("s1",)
    assert post.rules() == "s o s o"
    assert post.codes()[:2] == before[:2]
    assert {row["day"] for row in rows_of(post.database, fire_correction)} == {day(2), day(3)}
    # A hundred metres on: the fuel is the same.
    again = post.register(f"{HEAD},moved_on\ns1,Ridge,gate-east,weather,25.001,120.6,{day(3)}\n")
    assert (again.turned, again.anew) == ({"s1": day(3)}, ())
    assert post.rules() == "s o s o"


async def test_a_second_move_without_a_day_begins_today_and_not_where_the_first_did(post: Post) -> None:
    for number in range(-1, 4):
        post.sky.fine(number)
    await post.pass_at(3, 20)
    post.register(f"{HEAD},moved_on\ns1,Ridge,gate-east,weather,25.0,120.6,{day(1)}\n")
    assert post.rules() == "s s o o"
    again = post.register(f"{HEAD}\ns1,Ridge,gate-east,weather,20.0,120.6\n")
    assert again.turned == {"s1": day(3)}
    assert post.rules() == "s s o s"
    # A cell that is empty is no day either, and takes none away.
    text = f"{HEAD},moved_on\ns1,Ridge,gate-east,weather,20.0,120.6,\n"
    assert post.register(text).unchanged == 1


async def test_a_station_at_rest_has_no_level_and_no_alarm(desk_database: Database) -> None:
    post = Post(desk_database, Settings(fire=Fire(alarm_from="low")))
    post.register()
    post.sky.fine(-1)
    post.sky.fine(0)
    await post.pass_at(0, 20)
    post.register(f"{HEAD},active\n{ROW},no\n")
    assert desk_database.read(current_levels) == {}
    (one,) = rows_of(desk_database, occurrence)
    assert one["cleared_at_us"] is not None
    asked = post.sky.asked
    await post.pass_at(3, 20)
    assert post.sky.asked == asked


async def test_the_hours_are_estimated_from_the_day_on(post: Post) -> None:
    for number in (-1, 0, 1):
        post.sky.fine(number)
    await post.pass_at(0, 15.5)
    (row,) = rows_of(post.database, fire_level)
    daily = post.days()[0]["ffmc"]
    assert (row["hourly_ffmc"], row["hourly_at_us"]) == (daily, moment_us(0, 15))
    # Nothing was read at 16 h: the hour is left out, and not asked for again.
    await post.pass_at(0, 16.5)
    asked = post.sky.asked
    await post.pass_at(0, 16.6)
    assert post.sky.asked == asked
    post.sky.put(moment_us(0, 18), temperature=5, humidity=97, wind_speed=2, rain=3)
    await post.pass_at(0, 18.2)
    (row,) = rows_of(post.database, fire_level)
    assert row["hourly_at_us"] == moment_us(0, 18)
    assert row["hourly_ffmc"] < daily - 20
    assert any("hourly_ffmc=" in line for line in lines(post))


async def test_an_hour_that_is_refused_to_one_station_is_the_others_all_the_same(desk_database: Database) -> None:
    post = Post(desk_database)
    post.register(f"{HEAD}\n{ROW}\ns2,West,gate-west,other,31.3,120.6\n")
    for number in (-1, 0):
        post.sky.fine(number)
    await post.pass_at(0, 14.9)
    post.sky.refused = "weather"
    await post.pass_at(0, 15.1)
    hours = {row["station"]: row["hourly_at_us"] for row in rows_of(desk_database, fire_level)}
    assert hours == {"s1": None, "s2": moment_us(0, 15)}
    asked = post.sky.asked
    await post.pass_at(0, 15.15)
    assert post.sky.asked == asked, "one that was refused is not asked for again"


@pytest.mark.parametrize(
    ("before", "level", "after", "transition"),
    [
        (None, 3, Level(day(1), 3), None),
        (None, 4, Level(day(1), 4, 9), Transition.RAISED),
        (Level(day(0), 4, 5), 4, Level(day(1), 4, 5), None),
        (Level(day(0), 4, 5), 5, Level(day(1), 5, 5), Transition.RETRIGGERED),
        (Level(day(0), 6, 5), 5, Level(day(1), 5), Transition.CLEARED),
        (Level(day(0), 5), 4, Level(day(1), 4), None),
        (Level(day(0), 4, 5), 0, Level(day(1), 0, 5), None),
        (Level(day(0), 0, 5), 2, Level(day(1), 2), Transition.CLEARED),
        (Level(day(0), 0, 5), 4, Level(day(1), 4, 5), Transition.RETRIGGERED),
    ],
)
async def test_a_level_follows_from_the_one_before(
    before: Level | None, level: int, after: Level, transition: Transition | None
) -> None:
    assert follow(before, day(1), level, alarm_from=Danger.HIGH, now_us=9) == (after, transition)


async def test_a_station_of_any_id_is_a_device() -> None:
    assert device_of("s1") == "danger.s1"
    assert len(device_of("s" * 64)) <= 64
    assert device_of("s" * 64) != device_of("s" * 63 + "t")


async def fill(sky: Sky, readings: Influx1) -> None:
    """Write what the sky knows into a real InfluxDB."""
    rows = [
        f"telemetry,device=weather,gateway=gate-east {','.join(f'{key}={value}' for key, value in row.items())} {at}"
        for at, row in sky.rows.items()
    ]
    async with InfluxV1(readings) as writer:
        await writer.ensure_database()
        await writer.write("\n".join(rows).encode())


async def test_a_pass_reads_a_real_influxdb(desk_database: Database, influx: Influx) -> None:
    readings = Influx1(url=influx.url, database=fresh("fire"), timeout_s=20)
    settings = Settings(influx=readings, fire=Fire(every_s=1))
    post = Post(desk_database, settings)
    post.register()
    post.sky.fine(-1)
    post.sky.fine(0)
    await fill(post.sky, readings)
    persistent = PersistentDatabase(desk_database, counters=Counters())
    async with open_reader(readings) as reader:
        assert await Watch(persistent, reader, settings, clock=lambda: moment_us(0, 20)).run_pass() == 1
    (one,) = post.days()
    assert (one["rule"], one["temp_c"], one["wind_kmh"], one["china"]) == ("started", 17, pytest.approx(21.6), 2)


async def test_the_loop_works_days_out_until_it_is_cancelled(desk_database: Database, influx: Influx) -> None:
    readings = Influx1(url=influx.url, database=fresh("fire"), timeout_s=20)
    post = Post(desk_database, Settings(influx=readings, fire=Fire(every_s=1)))
    post.register()
    post.sky.fine(-1)
    post.sky.fine(0)
    await fill(post.sky, readings)
    persistent = PersistentDatabase(desk_database, counters=Counters())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            # Its connections are closed in order, or a ResourceWarning fails the test.
            tasks.start_soon(partial(run_fire, persistent, post.settings, clock=lambda: moment_us(0, 20)))
            while not await anyio.to_thread.run_sync(post.days):  # noqa: ASYNC110 - the database has no event
                await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
    gc.collect()
    assert post.rules() == "s"
