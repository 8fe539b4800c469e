"""Names with quotes, slashes, Chinese and line breaks: in labels, variables, questions, links and dashboards."""

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from cloud.grafana.board import Context
from cloud.grafana.build import build_all
from cloud.grafana.expand import Option, Window, fill, options_of, written
from cloud.grafana.influxql import chosen
from cloud.grafana.variables import LABEL_PATTERN
from cloud.influx.lines import field_value, tag_value
from cloud.influx.query import Series
from cloud.influx.schema import label_of
from contract.ids import ID_PATTERN
from device_profiles.model import Profile
from langyan.servers import Influx
from tests.cloud import grafana_rig as rig
from tests.cloud.grafana_stock import profiles
from tests.cloud.rig import fresh

NOW_MS = 1_800_000_000_000
WINDOW = Window(NOW_MS - 3_600_000, NOW_MS, 60)
NAMES = (
    'say "Söhne"', "O'Brien", "Werk 2 / Tor 3", "a\\b", "第三小学（东门）", "two\nlines", "tab\tand\r\n", "a [b]",
    "[x] [y]", "$site ${area} $1", "^.*$|(x)+?", "a,b=c d", "\u2028line", "{}", "/", "",
)  # fmt: skip
# What a tag may hold: the writer makes line breaks spaces, and takes spaces at the end away.
TAGS = (*(name for name in NAMES if name and not set(name) & set("\n\r\t\u2028")), "a.b", "axb", "a b", "a")


@given(name=st.text(max_size=40), key=st.from_regex(ID_PATTERN.removesuffix(r"\Z"), fullmatch=True))
def test_a_label_is_taken_apart_into_its_name_and_id(name: str, key: str) -> None:
    label = label_of(name, key)
    (option,) = options_of([Series(columns=("time", "last"), values=[[0, label]])], LABEL_PATTERN)
    assert option == Option(" ".join(name.split()) or key, key)
    # A full stop of JavaScript's patterns finds none of these.
    assert not set(label) & set("\n\r\u2028\u2029")


@pytest.mark.parametrize("name", NAMES)
def test_a_label_comes_back_from_the_database_as_it_was(influx: Influx, name: str) -> None:
    database = fresh("labels")
    rig.command(influx.url, f'CREATE DATABASE "{database}"')
    line = f"site_state,site=s-1 label={field_value(label_of(name, 's-1'))} {NOW_MS * 1000}"
    rig.write(influx.url, [line.encode()], database=database)
    answer = rig.ask(influx.url, 'SELECT last("label") FROM "site_state" GROUP BY "site"', database=database)
    assert options_of(answer, LABEL_PATTERN) == [Option(" ".join(name.split()) or "s-1", "s-1")]


@pytest.fixture(scope="module")
def tagged(influx: Influx) -> str:
    """A database with a series for each of `TAGS`."""
    database = fresh("tags")
    rig.command(influx.url, f'CREATE DATABASE "{database}"')
    lines = [f"telemetry,device={tag_value(tag)} x={number} {NOW_MS * 1000}" for number, tag in enumerate(TAGS)]
    rig.write(influx.url, [line.encode() for line in lines], database=database)
    return database


def found(influx: Influx, database: str, value: str | list[str]) -> set[str]:
    question = f'SELECT "x" FROM "telemetry" WHERE $timeFilter AND {chosen("device")} GROUP BY "device"'  # noqa: S608
    answer = rig.ask(influx.url, fill(question, {"device": value}, WINDOW), database=database)
    return {series.tags["device"] for series in answer}


@pytest.mark.parametrize("tag", TAGS)
def test_a_chosen_value_finds_just_itself(influx: Influx, tagged: str, tag: str) -> None:
    assert found(influx, tagged, tag) == {tag}


def test_several_chosen_values_find_themselves_and_no_others(influx: Influx, tagged: str) -> None:
    for one, other in product(TAGS[:4], TAGS[4:]):
        assert found(influx, tagged, [one, other]) == {one, other}
    assert found(influx, tagged, list(TAGS)) == set(TAGS)
    assert found(influx, tagged, ["a"]) == {"a"}
    assert found(influx, tagged, ["nobody"]) == set()


def test_a_link_carries_any_name() -> None:
    assert written('a/b "c"&d=第', "percentencode") == "a%2Fb%20%22c%22%26d%3D%E7%AC%AC"
    assert fill("/d/x?var-site=${site:percentencode}", {"site": "a&b"}, WINDOW) == "/d/x?var-site=a%26b"


def odd(profile: Profile) -> Profile:
    """The same device with a name that nobody should have given it."""
    name = {tag: f'{text} "x"/\\ $site ${{area:regex}}\n[[gateway]] {{}} 第' for tag, text in profile.title.items()}
    points = tuple(structs.replace(point, name=name) for point in profile.point)
    heard = tuple(structs.replace(point, name=name) for point in profile.heard)
    return structs.replace(profile, title=name, maker='O"Brien/\n', model="a\\b", point=points, heard=heard)


def test_dashboards_of_profiles_with_odd_names_ask_the_same_questions() -> None:
    plain = build_all(Context(profiles=profiles()))
    named = build_all(Context(profiles=tuple(map(odd, profiles()))))
    assert [one.uid for one in named] == [one.uid for one in plain]
    variables = {one["name"] for board in plain for one in board.model.get("templating", {}).get("list", ())}
    chosen_values = dict.fromkeys(variables, ("a", "b"))
    for one, other in zip(plain, named, strict=True):
        asked = [asked.question for asked in rig.questions(one.model, chosen_values, now_ms=NOW_MS)]
        assert [asked.question for asked in rig.questions(other.model, chosen_values, now_ms=NOW_MS)] == asked
        assert json.loads(json.dumps(other.model)) == other.model
