"""Asks every question of dashboards through a real Grafana, and tells which fail and which show nothing.

A dashboard is taken as it is opened: its own span of time, its variables as they are saved, or else the first choice.
What Grafana's server fills in (`$timeFilter`, `$__interval`) is left to it; variables are filled in as a browser does.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from cloud.grafana.asking import Answer, ask
from cloud.grafana.board import TAG
from cloud.grafana.client import GrafanaClient, part
from cloud.grafana.errors import (
    GrafanaAwayError,
    GrafanaError,
    GrafanaMissingError,
    GrafanaRefusedError,
    GrafanaRightsError,
    GrafanaTokenError,
    NotGrafanaError,
)
from cloud.grafana.expand import Chosen, fill, options_of
from cloud.grafana.influxql import DATASOURCE
from cloud.influx.query import Series

MAX_DASHBOARDS = 1_000
ALL = "$__all"
POINTS = 1_000
"""That a panel has room for."""
MOST_TROUBLES = 3
"""So many questions in a row that Grafana itself gives no answer to end a check."""
_FOR_ALL = (GrafanaTokenError, GrafanaRightsError, GrafanaMissingError, NotGrafanaError)
_MIN_STEP_MS = 10_000
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DAY_MS = 86_400_000

Model = Mapping[str, Any]
"""A dashboard, or a part of it, as plain values."""


class Asked(Struct, frozen=True):
    """One panel, variable or annotation, and what its questions gave.

    Attributes:
        dashboard: uid.
        title: the dashboard's.
        kind: "panel", "variable" or "annotation"; "dashboard" where it could not be read at all.
        name: which one.
        faults: in the data source's words, or in ours where Grafana gave no answer; none where all went well.
        rows: of all its questions.
    """

    dashboard: str
    title: str
    kind: str
    name: str
    faults: tuple[str, ...]
    rows: int

    @property
    def is_empty(self) -> bool:
        """Nothing failed, and nothing is to be seen."""
        return not self.faults and not self.rows


async def uids_of(client: GrafanaClient) -> list[str]:
    """List the dashboards that carry our tag, at most `MAX_DASHBOARDS`.

    Raises:
        GrafanaError: as `GrafanaClient.request`.
    """
    params: dict[str, str | list[str]] = {"tag": TAG, "type": "dash-db", "limit": str(MAX_DASHBOARDS)}
    return [str(one["uid"]) for one in await client.request("GET", "/api/search", params=params)]


class _Troubles:
    """Takes questions that fail by themselves as faults of what asks them, unless there is no end of them."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def none(self) -> None:
        self._in_a_row = 0

    def fault(self, error: GrafanaError) -> str:
        """Give the error's words; what is wrong with all questions, or with many in a row, is raised again."""
        self._in_a_row += 1
        if isinstance(error, _FOR_ALL) or self._in_a_row >= MOST_TROUBLES:
            raise error
        return str(error)


async def check(client: GrafanaClient, uids: Iterable[str], told: Callable[[Asked], None]) -> None:
    """Ask every question of dashboards, one after the other: variables first, in their order.

    A question without an answer (too slow, too long, an error of a proxy) is a fault of what asks it; so is a dashboard
    that is not there (any more).

    Args:
        client: whose account may see the dashboards and ask their data source.
        uids: of dashboards.
        told: called with each as it is answered.

    Raises:
        GrafanaTokenError, GrafanaRightsError, GrafanaMissingError, NotGrafanaError: nothing can be asked so.
        GrafanaError: as `GrafanaClient.request`, for the `MOST_TROUBLES`th time in a row.
    """
    troubles = _Troubles()
    for uid in uids:
        try:
            model = (await client.request("GET", f"/api/dashboards/uid/{part(uid)}"))["dashboard"]
        except GrafanaMissingError as error:
            told(Asked(uid, uid, "dashboard", uid, (str(error),), 0))
        except (GrafanaAwayError, GrafanaRefusedError) as error:
            told(Asked(uid, uid, "dashboard", uid, (troubles.fault(error),), 0))
        else:
            troubles.none()
            await _check(_Visit(client, model, troubles), uid, model, told)


async def _check(visit: "_Visit", uid: str, model: Model, told: Callable[[Asked], None]) -> None:

    def tell(kind: str, name: str, answers: Mapping[str, Answer]) -> None:
        faults = tuple(f"{ref}: {one.fault}" for ref, one in answers.items() if one.fault)
        told(Asked(uid, str(model.get("title")), kind, name, faults, sum(one.rows for one in answers.values())))

    for variable in (model.get("templating") or {}).get("list") or []:
        answer = await visit.choose(variable)
        if answer is not None:
            tell("variable", str(variable["name"]), {str(variable["name"]): answer})
    for annotation in (model.get("annotations") or {}).get("list") or []:
        target = annotation.get("target") or {}
        if target.get("query") and _is_ours(annotation):
            tell("annotation", str(annotation.get("name")), await visit.ask([target], {}))
    for panel in _panels(model):
        targets = [one for one in panel.get("targets") or [] if one.get("query") and _is_ours(one, panel)]
        targets = [one for one in targets if not one.get("hide")]
        if targets:
            name = f"{panel.get('title') or ''} [{panel.get('id')}]".strip()
            tell("panel", name, await visit.ask(targets, panel))


class _Visit:
    """One dashboard as somebody has opened it."""

    def __init__(self, client: GrafanaClient, model: Model, troubles: _Troubles) -> None:
        self._client = client
        self._troubles = troubles
        span = model.get("time") or {}
        self._since, self._until = str(span.get("from", "now-6h")), str(span.get("to", "now"))
        self._chosen: dict[str, Chosen] = {}

    async def choose(self, variable: Model) -> Answer | None:
        """Choose what it stands at as the dashboard opens; give the answer where its choices were asked for."""
        name, current = str(variable["name"]), (variable.get("current") or {}).get("value")
        if variable.get("type") != "query" or not _is_ours(variable):
            self._chosen[name] = current if current is not None else str(variable.get("query") or "")
            return None
        query = variable.get("query")
        text = query.get("query", "") if isinstance(query, Mapping) else str(query or "")
        answers = await self.ask([{"refId": name, "query": text, "rawQuery": True}], {})
        (answer,) = answers.values()
        column = Series(values=[[one] for one in answer.texts])
        options = options_of([column], str(variable.get("regex") or ""))
        if variable.get("sort"):
            options.sort(key=lambda one: one.text.casefold())
        values = [one.value for one in options]
        self._chosen[name] = _as_opened(variable, current, values)
        # Choices that the pattern leaves out are none.
        return Answer(answer.fault, len(values), tuple(values))

    async def ask(self, targets: list[Any], panel: Model) -> dict[str, Answer]:
        """Ask the questions of one panel, with variables filled in; give answers by `refId`, or one for all of them."""
        since = f"now-{panel['timeFrom']}" if panel.get("timeFrom") else self._since
        step_ms = _step_ms(since, panel)
        queries = []
        for place, target in enumerate(targets):
            queries.append({
                **target,
                "refId": str(target.get("refId") or chr(ord("A") + place)),
                "datasource": {"type": DATASOURCE.type_val, "uid": DATASOURCE.uid},
                "query": fill(target["query"], self._chosen, None),
                "intervalMs": step_ms,
                "maxDataPoints": POINTS,
            })  # fmt: skip
        try:
            answers = await ask(self._client, queries, since=since, until=self._until)
        except (GrafanaAwayError, GrafanaRefusedError) as error:
            return {", ".join(one["refId"] for one in queries): Answer(fault=self._troubles.fault(error))}
        self._troubles.none()
        return answers


def _as_opened(variable: Model, current: Any, values: list[str]) -> Chosen:
    kept = [current] if isinstance(current, str) else list(current or [])
    if ALL in kept:
        every: str = variable.get("allValue") or ""
        return every or values
    kept = [one for one in kept if one in values] or values[:1]
    return kept if variable.get("multi") else (kept[0] if kept else "")


def _is_ours(asking: Model, panel: Model | None = None) -> bool:
    """Tell whether it asks our data source; a target without one asks its panel's."""
    source = asking.get("datasource") or (panel or {}).get("datasource") or {}
    return isinstance(source, Mapping) and source.get("uid") == DATASOURCE.uid


def _panels(model: Model) -> Iterator[Model]:
    for panel in model.get("panels") or []:
        yield panel
        yield from panel.get("panels") or []


def _step_ms(since: str, panel: Model) -> int:
    """Give the width of a point, in steps that Grafana takes: a whole number of its largest unit."""
    least_ms = _ms(str(panel.get("interval") or "").lstrip(">")) or _MIN_STEP_MS
    step_ms = max(_span_ms(since) // POINTS, least_ms)
    unit_ms = max((one for one in _UNITS_MS.values() if one <= step_ms), default=1)
    return step_ms // unit_ms * unit_ms


def _span_ms(since: str) -> int:
    return _ms(since.removeprefix("now-").partition("/")[0]) or _DAY_MS


def _ms(text: str) -> int:
    count = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return int(count) * _UNITS_MS.get(text[len(count) :], 0) if count.isdecimal() else 0
