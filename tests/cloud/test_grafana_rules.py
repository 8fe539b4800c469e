"""Alert rules: their questions asked of a real InfluxDB, judged as Grafana judges them, and told to the desk."""

import ast
import json
import operator
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import alerting

from cloud.grafana.alerts import SEVERITY_LABEL, Alert
from cloud.grafana.board import Context
from cloud.grafana.expand import Window, fill
from cloud.grafana.influxql import DATASOURCE_UID
from cloud.grafana.rules import alert_rules, contact_point
from cloud.influx.schema import HOURS_POLICY, LONG_POLICY
from contract.alarms import Severity
from langyan.servers import Influx
from tests.cloud import grafana_rig as rig
from tests.cloud.rig import fresh

RULES = {rule["uid"]: rule for rule in alert_rules(Context(), receiver="Langyan desk")}
SILENT, LAG, NO_INGEST, GROWING, DANGER = (
    "langyan-site-silent", "langyan-ingest-lag", "langyan-ingest-silent", "langyan-outbox-growing",
    "langyan-fire-danger-high",
)  # fmt: skip
WINDOW = Window(0, 0, 60)
Labels = frozenset[tuple[str, str]]
Values = list[tuple[Labels, float | None]]


def numbers(influx: Influx, database: str, question: str) -> dict[Labels, float]:
    """Ask, and reduce each series to its last number, as the expression `reduce` does."""
    found = {}
    for series in rig.ask(influx.url, fill(question, {}, WINDOW), database=database):
        values = [row[1] for row in series.values if row[1] is not None]
        if values:
            found[frozenset((key, value) for key, value in series.tags.items() if value)] = float(values[-1])
    return found


def unions(left: Values, right: Values) -> Iterator[tuple[Labels, float | None, float | None]]:
    """Join what an operator stands between, as the expression `math` does; a number that nobody has is None."""
    if (len(left) == 1 or len(right) == 1) and None in (left[0][1], right[0][1]):
        yield Labels(), left[0][1], right[0][1]
        return
    found = [(ours | theirs, one, other) for ours, one in left for theirs, other in right
             if ours <= theirs or theirs <= ours]  # fmt: skip
    if not found and len(left) == len(right) == 1:
        found = [(Labels(), left[0][1], right[0][1])]
    yield from found


def worked_out(node: ast.expr, by_letter: Mapping[str, Values]) -> Values:
    if isinstance(node, ast.Name):
        return by_letter[node.id]
    if isinstance(node, ast.Constant):
        assert isinstance(node.value, int)
        return [(Labels(), float(node.value))]
    how: Callable[[Any, Any], float | bool]
    match node:
        case ast.Compare(left=first, ops=[sign], comparators=[second]):
            how = {ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt}[type(sign)]
        case ast.BinOp(left=first, op=ast.Sub(), right=second):
            how = operator.sub
        case ast.BoolOp(op=ast.And(), values=[first, second]):
            how = bool_and
        case _:
            raise AssertionError(ast.dump(node))
    joined = unions(worked_out(first, by_letter), worked_out(second, by_letter))
    return [(labels, None if one is None or other is None else float(how(one, other))) for labels, one, other in joined]


def bool_and(one: float, other: float) -> bool:
    return one != 0 and other != 0


def judged(judge: str, by_letter: Mapping[str, dict[Labels, float]]) -> Values:
    """Judge reduced numbers; a letter without any is one that nobody has."""
    values: dict[str, Values] = {letter: [*found.items()] or [(Labels(), None)] for letter, found in by_letter.items()}
    text = judge.replace("&&", "and").replace("$", "")
    return worked_out(ast.parse(text, mode="eval").body, values)


def fires(influx: Influx, database: str, uid: str) -> set[Labels]:
    steps = {step["refId"]: step["model"] for step in RULES[uid]["data"]}
    reduced = {
        letter: numbers(influx, database, steps[model["expression"]]["query"])
        for letter, model in steps.items()
        if model.get("type") == "reduce"
    }
    values = judged(steps[RULES[uid]["condition"]]["expression"], reduced)
    if all(value is None for _labels, value in values):
        return {Labels()} if RULES[uid]["noDataState"] == "Alerting" else set()
    return {labels for labels, value in values if value}


def made(influx: Influx, lines: Sequence[tuple[str, str, float]], *, policy: str = "") -> str:
    """Make a database of its own with lines: tags, fields, and how long ago in minutes."""
    database = fresh("rules")
    rig.command(influx.url, f'CREATE DATABASE "{database}"')
    for name in (LONG_POLICY, HOURS_POLICY):
        rig.command(influx.url, f'CREATE RETENTION POLICY "{name}" ON "{database}" DURATION INF REPLICATION 1')
    now_us = time.time_ns() // 1_000
    written = [f"{head} {fields} {now_us - int(ago * 60e6)}".encode() for head, fields, ago in lines]
    rig.write(influx.url, written, database=database, policy=policy)
    return database


def own(site: str, fields: str, *minutes: float) -> list[tuple[str, str, float]]:
    return [(f"telemetry,device=gateway,gateway=g-{site},site={site}", fields, one) for one in minutes]


def state(gateway: str, online: int, *, site: str) -> tuple[str, str, float]:
    return (f"gateway_state,gateway=g-{gateway},path=:all:,site={site}", f"online={online}i", 1)


def heard(name: str, *minutes: float, site: str = "") -> list[tuple[str, str, float]]:
    """What a gateway says of itself; with a tag `site` only where the settings name one."""
    now_us, tags = time.time_ns() // 1_000, f"device=gateway,gateway=g-{name}" + (f",site={site}" if site else "")
    return [(f"telemetry,{tags}", f"received_at={now_us - int(one * 60e6)}i", one) for one in minutes]


def of_gateway(name: str, site: str) -> Labels:
    return frozenset({("gateway", f"g-{name}"), ("site", site)})


@pytest.mark.parametrize("tagged", ["", "as-the-settings-say"])
def test_a_connected_site_from_which_nothing_comes_is_silent_and_none_else(influx: Influx, tagged: str) -> None:
    silent = [*heard("silent", 60, 40, site=tagged), *heard("cut-off", 60), *heard("long-gone", 1_500)]
    states = [state("silent", 1, site="north"), state("talks", 1, site="north"), state("cut-off", 0, site="south"),
              state("long-gone", 1, site="west"), state("never-heard", 1, site="west")]  # fmt: skip
    talks = heard("talks", 40, 20, 2, site=tagged)
    found = fires(influx, made(influx, [*silent, *states, *talks]), SILENT)
    assert found == {of_gateway("silent", "north")}
    # What was measured long ago and has just come is a word, too.
    caught_up = [(head, fields, 30) for head, fields, _ago in heard("silent", 1, site=tagged)]
    assert fires(influx, made(influx, [*silent, *states, *talks, *caught_up]), SILENT) == set()
    # When ingest stores nothing at all, no site is to blame.
    assert fires(influx, made(influx, [*silent, *states, *heard("talks", 20)]), SILENT) == set()


def test_one_site_alone_is_named_when_it_is_silent(influx: Influx) -> None:
    lines = [*heard("one", 40), state("one", 1, site="north"), *heard("of-no-state", 2)]
    assert fires(influx, made(influx, lines), SILENT) == {of_gateway("one", "north")}


def test_what_was_said_of_the_future_makes_no_site_silent(influx: Influx) -> None:
    """A gateway's clock was two hours ahead, and was put right an hour ago: it has talked ever since."""
    (ahead,) = [(head, fields, -60) for head, fields, _ago in heard("one", 60)]
    lines = [ahead, *heard("one", 2), state("one", 1, site="north"), *heard("other", 1)]
    assert fires(influx, made(influx, lines), SILENT) == set()


@pytest.mark.parametrize(("lag_s", "does"), [(30, False), (90, True)])
def test_ingest_lags_when_half_of_what_comes_is_older_than_a_minute(influx: Influx, lag_s: int, does: bool) -> None:  # noqa: FBT001
    database = made(influx, [("ingest,worker=w", f"lag_p50_s={lag_s}.0", one) for one in (1, 2, 3)])
    assert bool(fires(influx, database, LAG)) is does


def test_ingest_that_is_idle_neither_lags_nor_is_silent_and_one_that_is_gone_is(influx: Influx) -> None:
    idle = made(influx, [("ingest,worker=w", "uptime_s=60.0,batches_per_s=0.0", 1)])
    assert (fires(influx, idle, LAG), fires(influx, idle, NO_INGEST)) == (set(), set())
    gone = made(influx, [("ingest,worker=w", "uptime_s=60.0,lag_p50_s=1.0", 6)])
    assert (fires(influx, gone, LAG), fires(influx, gone, NO_INGEST)) == (set(), {Labels()})
    assert [uid for uid, rule in RULES.items() if rule["execErrState"] != "OK"] == [NO_INGEST]


def test_an_outbox_grows_when_readings_wait_for_longer_and_longer(influx: Influx) -> None:
    def waits(name: str, before_s: int, now_s: int) -> list[tuple[str, str, float]]:
        field = "outbox.oldest_reading_s={}.0"
        return own(name, field.format(before_s), 15, 12) + own(name, field.format(now_s), 5, 2)

    lines = waits("grows", 400, 900) + waits("shrinks", 900, 400) + waits("young", 10, 200)
    found = fires(influx, made(influx, lines), GROWING)
    assert found == {frozenset({("site", "grows"), ("gateway", "g-grows")})}


def test_fire_danger_is_high_from_class_four_on(influx: Influx) -> None:
    lines = [
        (f"fire_danger,area=a,path=:all:,site=s,station={name}", f"danger={danger}i", ago)
        for name, danger, ago in (("calm", 3, 300), ("dry", 4, 300), ("was-dry", 5, 300), ("was-dry", 1, 60))
    ]
    found = fires(influx, made(influx, lines, policy=LONG_POLICY), DANGER)
    assert found == {frozenset({("area", "a"), ("site", "s"), ("station", "dry")})}


def test_every_question_of_every_rule_gives_data(grafana_influx: Influx) -> None:
    for rule in RULES.values():
        questions = [step["model"]["query"] for step in rule["data"] if step["datasourceUid"] == DATASOURCE_UID]
        assert questions
        for question in questions:
            assert numbers(grafana_influx, rig.DATABASE, question), question


def whole(rule: dict[str, Any]) -> dict[str, Any]:
    return rule | {"orgID": 1, "folderUID": "langyan-alerts", "ruleGroup": "langyan"}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_is_one_of_grafanas_and_names_only_steps_it_has(rule: dict[str, Any]) -> None:
    read = alerting.Rule.from_json(whole({key: value for key, value in rule.items() if key != "data"}))
    written = json.loads(json.dumps(read, cls=JSONEncoder))
    assert {key: value for key, value in written.items() if key in rule} | {"data": rule["data"]} == rule
    letters = [step["refId"] for step in rule["data"]]
    assert len(set(letters)) == len(letters)
    assert rule["condition"] in letters
    for step in rule["data"]:
        assert step["model"]["refId"] == step["refId"]
        named = re.findall(r"\$(\w+)", step["model"].get("expression", "")) or [step["model"].get("expression", "A")]
        assert set(named) <= set(letters)
    # An alert's question knows no variables; the steps name each other with dollars.
    questions = [step["model"]["query"] for step in rule["data"] if "query" in step["model"]]
    assert not any("$" in question for question in questions)


def test_what_a_rule_tells_becomes_an_alarm_of_the_desk_with_both_languages() -> None:
    for context in (Context(), Context(language="zh")):
        for rule in alert_rules(context):
            alert = Alert(is_firing=True, labels=rule["labels"] | {"alertname": rule["title"]},
                          annotations=rule["annotations"])  # fmt: skip
            assert alert.kind == rule["labels"]["kind"] != "grafana-alert"
            assert alert.severity is Severity(rule["labels"][SEVERITY_LABEL])
            assert set(alert.text) == {"en", "zh"}
            assert "{" not in re.sub(r"\{\{ \.Labels\.\w+ \}\}", "", alert.text["en"] + alert.text["zh"])


def test_rules_and_contact_point_have_ids_that_stay() -> None:
    chinese = alert_rules(Context(language="zh"))
    assert [rule["uid"] for rule in chinese] == list(RULES)
    assert [rule["labels"] for rule in chinese] == [rule["labels"] for rule in RULES.values()]
    point = contact_point("https://desk.example.org", "s")
    assert alerting.ContactPoint.from_json(point).to_json() == point
