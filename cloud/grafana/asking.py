"""Questions to a data source through Grafana, as a panel asks them, and what their answers show.

Source: "Query a data source", Grafana 12; data frames as Grafana writes them in JSON.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from cloud.grafana.client import GrafanaClient
from cloud.grafana.errors import GrafanaAwayError, GrafanaRefusedError

_TIME, _STRING = "time", "string"


class Answer(Struct, frozen=True):
    """What came of one question.

    Attributes:
        fault: in the data source's words; "" where there is none.
        rows: that hold any value but a time.
        texts: of the first column of texts, else the first that is no time: what a variable takes.
    """

    fault: str = ""
    rows: int = 0
    texts: tuple[str, ...] = ()


async def ask(
    client: GrafanaClient, queries: Sequence[Mapping[str, Any]], *, since: str, until: str
) -> dict[str, Answer]:
    """Ask some questions at once, as one panel does.

    Args:
        client: whose account may ask the data source.
        queries: each with `refId`, `datasource` and what the data source wants.
        since: as in a dashboard: "now-24h".
        until: "now".

    Returns:
        Answers by `refId`; each question has one.

    Raises:
        GrafanaError: Grafana itself refuses, or is away; a data source that does is a fault of its answer.
    """
    body = {"queries": list(queries), "from": since, "to": until}
    try:
        told = await client.request("POST", "/api/ds/query", body)
    except (GrafanaAwayError, GrafanaRefusedError) as error:
        # When one question fails, all answers come with a status that says so.
        told = error.said
        if not isinstance(told, Mapping) or not isinstance(told.get("results"), Mapping):
            raise
    results = told.get("results") or {}
    return {str(one["refId"]): read(results.get(one["refId"])) for one in queries}


def read(result: Mapping[str, Any] | None) -> Answer:
    """Read the answer to one question: its error, or its frames."""
    if result is None:
        return Answer(fault="no answer")
    if result.get("error"):
        return Answer(fault=" ".join(str(result["error"]).split()))
    rows = 0
    texts: dict[str, None] = {}
    for frame in result.get("frames") or []:
        kinds = [field.get("type") for field in frame["schema"]["fields"]]
        columns = frame["data"]["values"]
        valued = [column for kind, column in zip(kinds, columns, strict=False) if kind != _TIME]
        rows += sum(any(cell is not None for cell in row) for row in zip(*valued, strict=False))
        texts |= dict.fromkeys(str(cell) for cell in _chosen(kinds, columns) if cell is not None)
    return Answer(rows=rows, texts=tuple(texts))


def _chosen(kinds: Sequence[str], columns: Sequence[Sequence[Any]]) -> Sequence[Any]:
    valued = [(kind, column) for kind, column in zip(kinds, columns, strict=False) if kind != _TIME]
    texts = [column for kind, column in valued if kind == _STRING]
    return next(iter(texts or [column for _kind, column in valued]), ())
