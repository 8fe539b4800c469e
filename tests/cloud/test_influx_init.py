"""What an InfluxDB is made to keep, and for how long: 1.x on a real server, 2.x and 3.x as their documents tell."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cloud.errors import DatabaseAwayError, HoldError
from cloud.influx import open_writer
from cloud.influx.admin import open_admin
from cloud.influx.http import Asker
from cloud.influx.plan import FOREVER, Policy, Stand, Step, What, longest_days, policy, shard_s, steps_to
from cloud.influx.query import open_reader, quote_ident
from cloud.keep import Keep
from cloud.settings import Influx as InfluxSettings
from cloud.settings import Influx1, Influx2, Influx3, TokenAuth
from langyan.cli import make_app
from langyan.servers import Influx, free_port
from tests.cloud.fake_influx_api import ORG, TOKEN, FakeInfluxApi
from tests.cloud.rig import fresh

pytestmark = pytest.mark.anyio
_DAY_S = 86_400
AS_BORN = Keep()


async def look(settings: InfluxSettings, keep: Keep = AS_BORN) -> list[Step]:
    async with Asker(settings) as asker:
        return await open_admin(settings, asker).look(keep)


async def init(settings: InfluxSettings, keep: Keep = AS_BORN) -> list[Step]:
    async with Asker(settings) as asker:
        admin = open_admin(settings, asker)
        steps = await admin.look(keep)
        for step in steps:
            await admin.do(step)
        return steps


async def policies_of(settings: Influx1) -> dict[str, tuple[str, bool]]:
    async with open_reader(settings) as reader:
        (found,) = await reader.query(f"SHOW RETENTION POLICIES ON {quote_ident(settings.database)}")
    return {row[0]: (row[1], row[4]) for row in found.values}


async def test_a_database_is_made_as_the_settings_say_and_a_second_time_nothing_is_done(influx: Influx) -> None:
    settings = Influx1(url=influx.url, database=fresh('strange "name"'))
    steps = await init(settings)
    assert [step.what for step in steps] == [What.DATABASE, *[What.POLICY] * 2, *[What.THINNING] * 2]
    assert not any(step.loses for step in steps)
    assert await look(settings) == []
    assert await policies_of(settings) == {
        "autogen": ("2160h0m0s", True), "hours": ("43920h0m0s", False), "long": ("0s", False),
    }  # fmt: skip


async def test_a_database_that_a_worker_has_made_is_brought_in_line(influx: Influx) -> None:
    settings = Influx1(url=influx.url, database=fresh("db"))
    async with open_writer(settings) as writer:
        await writer.ensure_database()
    steps = await init(settings, Keep(raw_days=30, long_days=4_000))
    assert [(step.what, step.name, step.loses) for step in steps[:3]] == [
        (What.KEEP, "autogen", True), (What.POLICY, "hours", False), (What.KEEP, "long", True),
    ]  # fmt: skip
    assert await look(settings, Keep(raw_days=30, long_days=4_000)) == []
    async with open_writer(settings) as writer:
        await writer.ensure_database()
    assert await look(settings, Keep(raw_days=30, long_days=4_000)) == [], "workers leave it as it is"


async def test_to_keep_for_longer_loses_nothing(influx: Influx) -> None:
    settings = Influx1(url=influx.url, database=fresh("db"))
    await init(settings, Keep(raw_days=30, hours_days=10))
    steps = await init(settings, Keep(raw_days=0, hours_days=20))
    assert [(step.what, step.name, step.loses) for step in steps] == [
        (What.KEEP, "autogen", False), (What.KEEP, "hours", False),
    ]  # fmt: skip
    assert await look(settings, Keep(raw_days=0, hours_days=20)) == []


async def test_a_policy_of_ones_own_becomes_the_default_one(influx: Influx) -> None:
    name = fresh("db")
    await init(Influx1(url=influx.url, database=name))
    settings = Influx1(url=influx.url, database=name, retention_policy="quarter")
    steps = await init(settings)
    assert [(step.what, step.loses) for step in steps] == [
        (What.POLICY, False), (What.DEFAULT, True), (What.THIN_ANEW, False), (What.THIN_ANEW, False),
    ]  # fmt: skip
    assert await look(settings) == []
    assert (await policies_of(settings))["quarter"] == ("2160h0m0s", True)


async def test_readings_are_thinned_to_hours_and_tell_when_they_came(influx: Influx) -> None:
    settings = Influx1(url=influx.url, database=fresh("db"))
    steps = await init(settings)
    hour_us = 3_600_000_000
    begin_us = 500_000 * hour_us
    # Kept for ever here, so that the test has a clock of its own.
    await init(settings, Keep(raw_days=0, hours_days=0))
    came_us = begin_us + 7 * hour_us
    lines = [
        f'telemetry,device=d,gateway=g t={n}.0,word="x",received_at={came_us}i {begin_us + n * hour_us // 4}'
        for n in range(8)
    ]
    async with open_writer(settings) as writer:
        await writer.write("\n".join(lines).encode())
    (query,) = [step.text for step in steps if step.name == "langyan_hours"]
    # What the server's own clock would run, over a span of this test's own.
    select = query.split(" BEGIN ")[1].removesuffix(" END")
    select = select.replace("GROUP BY", f"WHERE time >= {begin_us}u AND time < {begin_us + 2 * hour_us}u GROUP BY")
    async with Asker(settings) as asker:
        await asker.ask("POST", "/query", form={"q": select, "db": settings.database})
    async with open_reader(settings) as reader:
        (found,) = await reader.query('SELECT * FROM "hours"."telemetry"')
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.values]
    assert [(row["time"], row["mean_t"], row["min_t"], row["max_t"]) for row in rows] == [
        (begin_us, 1.5, 0.0, 3.0), (begin_us + hour_us, 5.5, 4.0, 7.0),
    ]  # fmt: skip
    assert {row["min_received_at"] for row in rows} == {came_us}
    assert (rows[0]["device"], rows[0]["gateway"]) == ("d", "g")
    assert not any("word" in column for column in found.columns)


def v2(url: str) -> Influx2:
    return Influx2(url=url, bucket="langyan", org=ORG, auth=TokenAuth("SECRET"))


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", TOKEN)


@pytest.mark.parametrize("maps_by_itself", [True, False])
async def test_buckets_and_tasks_are_made_once(*, maps_by_itself: bool) -> None:
    async with FakeInfluxApi() as api:
        api.maps_by_itself = maps_by_itself
        steps = await init(v2(api.url))
        assert not any(step.loses for step in steps)
        kept = {name: bucket["retentionRules"][0]["everySeconds"] for name, bucket in api.buckets.items()}
        assert kept == {"langyan": 90 * _DAY_S, "langyan/hours": 1_830 * _DAY_S, "langyan/long": 0}
        assert api.tasks.keys() == {"langyan_hours", "langyan_hours_late"}
        by_hand = set() if maps_by_itself else {("langyan", name) for name in ("autogen", "hours", "long")}
        assert api.names.keys() == by_hand
        done = len(api.asked)
        assert await init(v2(api.url)) == []
        assert len(api.asked) == done


async def test_a_bucket_of_ones_own_is_changed_and_a_task_of_another_text_written_anew() -> None:
    async with FakeInfluxApi() as api:
        forever = {"type": "expire", "everySeconds": 0, "shardGroupDurationSeconds": 604_800}
        api.buckets["langyan"] = {"id": "7", "name": "langyan", "retentionRules": [forever]}
        api.tasks["langyan_hours"] = {"id": "8", "name": "langyan_hours", "flux": "before"}
        found = await look(v2(api.url))
        assert [(step.what, step.loses) for step in found if step.name in ("langyan", "langyan_hours")] == [
            (What.KEEP, True), (What.THIN_ANEW, False),
        ]  # fmt: skip
        assert api.asked == [], "looking changes nothing"
        await init(v2(api.url))
        assert api.buckets["langyan"]["retentionRules"][0]["everySeconds"] == 90 * _DAY_S
        assert 'to(bucket: "langyan/hours")' in api.tasks["langyan_hours"]["flux"]
        # Servers may set the text in their own way.
        api.tasks["langyan_hours"]["flux"] = api.tasks["langyan_hours"]["flux"].replace("    |>", "\t|>")
        assert await look(v2(api.url)) == []


async def test_an_organisation_that_is_not_there_and_a_wrong_token_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeInfluxApi() as api:
        with pytest.raises(HoldError, match=r"'elsewhere' \(influx\.org\)"):
            await look(Influx2(url=api.url, bucket="b", org="elsewhere", auth=TokenAuth("SECRET")))
        monkeypatch.setenv("SECRET", "wrong")
        with pytest.raises(HoldError, match="HTTP 401"):
            await look(v2(api.url))
    with pytest.raises(DatabaseAwayError):
        await look(Influx1(url=f"http://127.0.0.1:{free_port()}"))


@pytest.mark.parametrize(
    ("keep", "retention"), [(Keep(), None), (Keep(long_days=400), "400d"), (Keep(raw_days=500, long_days=400), "500d")]
)
async def test_the_one_database_of_3_keeps_as_long_as_what_is_kept_longest(keep: Keep, retention: str | None) -> None:
    async with FakeInfluxApi() as api:
        settings = Influx3(url=api.url, bucket="langyan", auth=TokenAuth("SECRET"))
        assert [step.what for step in await init(settings, keep)] == [What.DATABASE]
        assert api.databases == {"langyan": retention}
        assert await init(settings, Keep(raw_days=1, long_days=1)) == [], "it cannot be changed"


def test_what_is_kept_for_longer_is_in_longer_parts() -> None:
    spans = [shard_s(days * _DAY_S) for days in (1, 7, 90, 1_830, 0)]
    assert spans == sorted(spans)
    assert all(shard_s(days * _DAY_S) <= days * _DAY_S for days in range(1, 400))
    assert (longest_days(Keep(raw_days=0)), longest_days(Keep(raw_days=9, long_days=3))) == (0, 9)


POLICIES = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]), st.integers(0, 3_000).map(lambda days: policy("?", days)), min_size=1
).map(lambda named: {name: Policy(name, one.keep_s, one.shard_s) for name, one in named.items()})
STANDS = st.builds(Stand, st.just("db"), st.just(value=True), POLICIES)


@given(STANDS, STANDS)
def test_the_steps_lead_from_any_stand_to_the_one_that_is_wanted(found: Stand, wanted: Stand) -> None:
    steps = steps_to(wanted, found)
    reached = dict(found.policies)
    for step in steps:
        assert step.policy is not None
        was = reached.get(step.name)
        reached[step.name] = step.policy
        shorter = was is not None and step.policy.keep_s != FOREVER and not 0 < was.keep_s <= step.policy.keep_s
        assert step.loses == shorter
    assert {name: reached[name] for name in wanted.policies} == wanted.policies
    assert reached.keys() == found.policies.keys() | wanted.policies.keys(), "what else is there stays"
    assert steps_to(wanted, Stand("db", is_there=True, policies=reached)) == []


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(influx: Influx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("LANGYAN_LANG", "en")
    file = tmp_path / "cloud.toml"
    name = fresh("db")

    def invoke(*words: str, keep: str = "") -> tuple[int, str]:
        file.write_text(
            f'[influx]\nversion = 1\nurl = "{influx.url}"\ndatabase = "{name}"\n[keep]\n{keep}\n', encoding="utf-8"
        )
        argv = ["cloud", "init", str(file), *words]
        done = CliRunner().invoke(make_app(argv), argv)
        return done.exit_code, done.output

    return invoke


def test_the_command_tells_each_step_and_does_nothing_in_a_dry_run(run: Run) -> None:
    status, told = run("--dry-run")
    assert status == 0
    assert "made, keeps 90 days\npolicy hours: made, keeps 1830 days\npolicy long: made, keeps for ever\n" in told
    assert told.endswith("Nothing was done (--dry-run).\n")
    status, again = run()
    assert status == 0
    assert again == told.replace("Nothing was done (--dry-run).", "Done.")
    assert run() == (0, "Nothing to do: InfluxDB is as the settings say.\n")


def test_nothing_is_lost_unless_somebody_agrees(run: Run) -> None:
    run()
    status, told = run(keep="raw_days = 30")
    assert status == 1
    assert "policy autogen: keeps 30 days instead of 90 days; what is older IS LOST" in told
    assert "--yes agrees" in told
    assert run() == (0, "Nothing to do: InfluxDB is as the settings say.\n"), "nothing was done"
    assert run("--yes", keep="raw_days = 30")[0] == 0
    assert run(keep="raw_days = 30") == (0, "Nothing to do: InfluxDB is as the settings say.\n")
    assert run(keep="raw_days = 60")[0] == 0, "to keep for longer needs no agreement"


def test_an_influxdb_that_is_away_ends_the_command(run: Run, influx: Influx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(influx), "url", property(lambda _: f"http://127.0.0.1:{free_port()}"))
    status, told = run()
    assert status == 1
    assert "Check that the database runs" in told
