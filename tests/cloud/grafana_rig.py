"""Every question of a dashboard, asked as Grafana asks it, of a real InfluxDB: what fails, and what shows nothing.

`fill` writes plausible lines of every measurement; `run_dashboard` chooses the variables in their order, fills in every
target, annotation and repeat, asks, and gives the faults.
"""

import itertools
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from cloud.grafana.expand import Chosen, Option, Window, options_of
from cloud.grafana.expand import fill as filled
from cloud.grafana.influxql import DATASOURCE_UID
from cloud.influx.query import Series
from cloud.influx.schema import HOURS_POLICY, LONG_POLICY
from tests.cloud import grafana_frames, grafana_stock

Model = Mapping[str, Any]
"""A dashboard in Grafana's classic JSON."""

DATABASE = "langyan"
ALL = "$__all"
PIXELS = 1_600
"""Of a dashboard's width; a point a pixel."""
_LIMIT_S = 30.0
_CHUNK = 5_000
_NOW = re.compile(r"^now(?:-(?P<count>\d+)(?P<unit>[smhdwMy]))?(?:/(?P<round>[smhdwMy]))?$")
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "M": 2_592_000, "y": 31_536_000}
_SPAN = re.compile(r"^[><]?(?P<count>\d+)(?P<unit>ms|[smhdw])$")
_LEFT_OVER = re.compile(r"\$\{\w+[^}]*\}|\$\w+|\[\[\w+\]\]")
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
            604_800)  # fmt: skip


class Fault(Struct, frozen=True):
    """One question that gives nothing to see, or not what its panel looks for.

    Attributes:
        dashboard: its uid.
        where: panel, variable or annotation.
        question: as it was sent.
        words: "empty", or what is wrong.
    """

    dashboard: str
    where: str
    question: str
    words: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.where}: {self.words}\n    {self.question}"


class Asked(Struct, frozen=True):
    """One question as it is sent, and where it stands.

    Attributes:
        where: panel, variable or annotation, for people.
        panel: the panel as it stands in the dashboard; empty for others.
        target: the target as it stands there.
        question: InfluxQL, filled in.
        scoped: variables that a repeat has set.
    """

    where: str
    panel: Model
    target: Model
    question: str
    scoped: dict[str, str]


class InfluxError(Exception):
    """InfluxDB refuses a question, in its own words."""


class _Result(Struct):
    series: list[Series] = []
    error: str = ""


class _Answer(Struct):
    results: list[_Result] = []
    error: str = ""


def fill(
    url: str, *, database: str = DATABASE, now_us: int | None = None, stock: Iterable[tuple[str, bytes]] | None = None
) -> None:
    """Make the database with its policies, and write the stock of the last day and a little ahead, or another one."""
    command(url, f'CREATE DATABASE "{database}"')
    for policy in (LONG_POLICY, HOURS_POLICY):
        command(url, f'CREATE RETENTION POLICY "{policy}" ON "{database}" DURATION INF REPLICATION 1')
    now_us = time.time_ns() // 1_000 if now_us is None else now_us
    for policy, lines in grafana_stock.written(stock or grafana_stock.lines(now_us)).items():
        write(url, lines, database=database, policy=policy)


def write(url: str, lines: Sequence[bytes], *, database: str = DATABASE, policy: str = "") -> None:
    """Write lines with times in microseconds."""
    words = urllib.parse.urlencode({"db": database, "precision": "u"} | ({"rp": policy} if policy else {}))
    for first in range(0, len(lines), _CHUNK):
        _post(f"{url}/write?{words}", b"\n".join(lines[first : first + _CHUNK]))


def command(url: str, influxql: str) -> None:
    """Change something: CREATE, DROP ..."""
    _post(f"{url}/query", urllib.parse.urlencode({"q": influxql}).encode())


class Answers:
    """What was answered, so that a question asked by many dashboards is asked once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], list[Series]] = {}

    def ask(self, url: str, influxql: str, *, database: str = DATABASE) -> list[Series]:
        """Ask what was not asked before.

        Raises:
            InfluxError: it refuses.
        """
        key = url, database, influxql
        if key not in self._known:
            self._known[key] = ask(url, influxql, database=database)
        return self._known[key]


def ask(url: str, influxql: str, *, database: str = DATABASE) -> list[Series]:
    """Ask as Grafana does, times in milliseconds.

    Raises:
        InfluxError: it refuses.
    """
    words = urllib.parse.urlencode({"db": database, "q": influxql, "epoch": "ms"}).encode()
    answer = msgspec.json.decode(_post(f"{url}/query", words), type=_Answer)
    errors = [error for error in (answer.error, *(result.error for result in answer.results)) if error]
    if errors:
        raise InfluxError(errors[0])
    return [series for result in answer.results for series in result.series]


def run_dashboard(
    model: Model, url: str, *, database: str = DATABASE, choose: Mapping[str, Chosen] | None = None,
    now_ms: int | None = None, answers: Answers | None = None,
) -> list[Fault]:  # fmt: skip
    """Ask everything that a dashboard asks when it is opened.

    Args:
        model: the dashboard.
        url: of InfluxDB 1.x.
        database: in it.
        choose: values of variables in place of those it opens with.
        now_ms: its "now".
        answers: of dashboards before it.
    """
    answers = answers or Answers()
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    faults: list[Fault] = []
    chosen = choose_variables(
        model, url, faults, database=database, choose=choose or {}, now_ms=now_ms, answers=answers
    )
    every = questions(model, chosen, now_ms=now_ms)
    for _, group in itertools.groupby(every, key=lambda asked: (asked.panel.get("id"), asked.scoped)):
        answered: list[tuple[Model, list[Series]]] = []
        for asked in group:
            answer, found = _answered(str(model["uid"]), asked, url, database, answers)
            faults += found
            answered.append((asked.target, answer))
        if asked.panel:
            where = f"panel {asked.panel['id']} {asked.panel.get('title', '')!r}"
            told = grafana_frames.sight_faults(asked.panel, answered)
            faults += [Fault(str(model["uid"]), where, asked.question, words) for words in told]
    return faults


def choose_variables(
    model: Model, url: str, faults: list[Fault], *, now_ms: int, database: str = DATABASE,
    choose: Mapping[str, Chosen] | None = None, answers: Answers | None = None,
) -> dict[str, Chosen]:  # fmt: skip
    """Choose the value of each variable as a dashboard that is opened does, in their order; adds to `faults`."""
    chosen: dict[str, Chosen] = {}
    answers = answers or Answers()
    window = window_of(model, {}, now_ms)
    for variable in model.get("templating", {}).get("list", ()):
        name = str(variable["name"])
        if variable["type"] == "query":
            question = filled(_question_of(variable["query"]), chosen, window)
            asked = Asked(f"variable {name}", {}, {}, question, {})
            answer, found = _answered(str(model["uid"]), asked, url, database, answers)
            faults += found
            options = _options(variable, answer)
            if not options:
                faults.append(Fault(str(model["uid"]), asked.where, question, "no choices"))
        else:
            options = [Option(one["text"], one["value"]) for one in variable.get("options", ())]
        chosen[name] = (choose or {}).get(name) or _opened_with(variable, options)
    return chosen


def questions(model: Model, chosen: Mapping[str, Chosen], *, now_ms: int) -> Iterator[Asked]:
    """Write every question of panels and annotations, repeats one by one."""
    for panel, scoped in _panels(model.get("panels", ()), chosen, {}):
        window = window_of(model, panel, now_ms)
        for target in panel.get("targets", ()):
            if _is_ours(target.get("datasource") or panel.get("datasource")):
                question = filled(str(target["query"]), {**chosen, **scoped}, window)
                where = f"panel {panel['id']} {panel.get('title', '')!r} {target.get('refId', '')}"
                yield Asked(where, panel, target, question, scoped)
    for annotation in model.get("annotations", {}).get("list", ()):
        if _is_ours(annotation.get("datasource")):
            target = annotation.get("target") or {}
            question = str(target.get("query") or annotation.get("query") or "")
            window = window_of(model, {}, now_ms)
            yield Asked(f"annotation {annotation['name']!r}", {}, target, filled(question, chosen, window), {})


def window_of(model: Model, panel: Model, now_ms: int) -> Window:
    """Tell what a panel looks at, and how wide a point of it is."""
    looked = model.get("time", {})
    from_ms, to_ms = moment(str(looked.get("from", "now-6h")), now_ms), moment(str(looked.get("to", "now")), now_ms)
    if back := panel.get("timeFrom"):
        from_ms = to_ms - span_s(str(back)) * 1_000
    points = panel.get("maxDataPoints") or PIXELS * panel.get("gridPos", {}).get("w", 24) // 24
    least_s = span_s(str(panel.get("interval") or "1s"))
    return Window(from_ms, to_ms, max(least_s, _round_s((to_ms - from_ms) / 1_000 / points)))


def moment(text: str, now_ms: int) -> int:
    """Read "now-24h", "now/d" (of UTC) or milliseconds."""
    found = _NOW.match(text)
    if found is None:
        return int(text)
    at_ms = now_ms - int(found["count"] or 0) * _UNIT_S.get(found["unit"] or "s", 1) * 1_000
    whole_ms = _UNIT_S.get(found["round"] or "", 0) * 1_000
    return at_ms // whole_ms * whole_ms if whole_ms else at_ms


def span_s(text: str) -> int:
    """Read "30s" or "1h", in seconds, one at the least."""
    found = _SPAN.match(text)
    assert found is not None, f"no length of time: {text!r}"
    return 1 if found["unit"] == "ms" else max(1, int(found["count"]) * _UNIT_S[found["unit"]])


def shows(answer: Sequence[Series]) -> bool:
    """Tell whether there is a value beside the times."""
    return any(cell is not None for series in answer for row in series.values for cell in row[1:])


def _answered(uid: str, asked: Asked, url: str, database: str, answers: Answers) -> tuple[list[Series], list[Fault]]:
    left_over = _LEFT_OVER.search(asked.question)
    if left_over:
        return [], [Fault(uid, asked.where, asked.question, f"a variable that nobody gives: {left_over[0]}")]
    try:
        answer = answers.ask(url, asked.question, database=database)
    except InfluxError as error:
        return [], [Fault(uid, asked.where, asked.question, str(error))]
    return answer, [] if shows(answer) else [Fault(uid, asked.where, asked.question, "empty")]


def _options(variable: Model, answer: Sequence[Series]) -> list[Option]:
    found = options_of(answer, str(variable.get("regex") or ""))
    sort = variable.get("sort", 0)
    if sort in {5, 6}:
        found.sort(key=lambda one: one.text.casefold())
    elif sort:
        found.sort(key=lambda one: one.text)
    return found[::-1] if sort in {2, 6} else found


def _opened_with(variable: Model, options: Sequence[Option]) -> Chosen:
    """Choose what it was saved with where that still is a choice, else the first, as Grafana does."""
    values = [one.value for one in options]
    kept = (variable.get("current") or {}).get("value")
    several = list(kept) if isinstance(kept, list) else [kept]
    if ALL in several:
        return variable.get("allValue") or values
    still = [one for one in several if one in values]
    if variable["type"] in {"constant", "textbox"}:
        return str(kept if kept is not None else variable.get("query", ""))
    if variable.get("multi"):
        return still or values[:1]
    return still[0] if still else (values[0] if values else "")


def _panels(
    panels: Sequence[Model], chosen: Mapping[str, Chosen], scoped: dict[str, str]
) -> Iterator[tuple[Model, dict[str, str]]]:
    """Give each panel, as often as it is repeated; those below a repeated row with the row's value."""
    row: Model = {}
    for panel in panels:
        if panel["type"] == "row":
            row = panel
            for one in _repeats(panel, chosen, scoped):
                yield from _panels(panel.get("panels", ()), chosen, one)
            continue
        for of_row in _repeats(row, chosen, scoped):
            for one in _repeats(panel, chosen, of_row):
                yield panel, one


def _repeats(panel: Model, chosen: Mapping[str, Chosen], scoped: dict[str, str]) -> list[dict[str, str]]:
    name = panel.get("repeat")
    if not name:
        return [scoped]
    values = chosen.get(str(name), ())
    several = [values] if isinstance(values, str) else list(values)
    return [{**scoped, str(name): one} for one in several]


def _question_of(query: object) -> str:
    return str(query["query"]) if isinstance(query, Mapping) else str(query)


def _is_ours(datasource: object) -> bool:
    return isinstance(datasource, Mapping) and datasource.get("uid") == DATASOURCE_UID


def _round_s(exact_s: float) -> int:
    return next((step for step in _STEPS_S if step >= exact_s), _STEPS_S[-1])


def _post(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(url, data=body)  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=_LIMIT_S) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        raise InfluxError(f"{error.code}: {error.read().decode(errors='replace')[:300]}") from error
