"""Questions in InfluxQL as dashboards ask them, with Grafana's variables and macros in them. Pure.

InfluxQL is the one language that InfluxDB 1.x, 2.x, 3.x and Grafana share. A question is text with `$timeFilter`,
`$__interval` and `${site:regex}`, which Grafana fills in. Variables are always asked for as patterns, so that several
values, full stops and slashes do no harm: compare by `=~`, never by `=`.

A question over a subquery says its time twice, inside and outside: InfluxDB 1.x looks through all that it has kept for
the outer one, unless that has a time too.

Source: "Variable syntax" and "InfluxDB template variables", Grafana 12.
"""

import json
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from cloud.influx.schema import HOURS_POLICY, LONG_POLICY, MEASUREMENTS
from cloud.influx.shape import Keep

DATASOURCE_UID = "langyan-influxdb"
DATASOURCE = DataSourceRef(type_val="influxdb", uid=DATASOURCE_UID)

FRESH = "10m"
"""What was not written for so long is not shown as present: twice the longest beat of `site_state`."""


@dataclass
class InfluxQuery(variants.Dataquery):
    """One question of a panel; the SDK knows no type of it.

    Attributes:
        text: InfluxQL.
        ref_id: "A", "B" ...
        form: "time_series" or "table".
        alias: how a series is called: `$tag_gateway`, `$col`; "" as InfluxDB does.
        marks: whether its rows are annotations, with columns `text` and `tags`.
    """

    text: str
    ref_id: str = "A"
    form: str = "time_series"
    alias: str = ""
    marks: bool = False

    def to_json(self) -> dict[str, object]:
        """Write it as Grafana keeps it."""
        kept: dict[str, object] = {
            "refId": self.ref_id,
            "datasource": {"type": DATASOURCE.type_val, "uid": DATASOURCE.uid},
            "query": self.text,
            "rawQuery": True,
            "resultFormat": self.form,
        }
        if self.marks:
            # Without them Grafana takes the first column for a title, and runs the question as a panel's.
            kept |= {"fromAnnotations": True, "textEditor": True, "textColumn": "text", "tagsColumn": "tags"}
        return kept | ({"alias": self.alias} if self.alias else {})


class Ask(builder.Builder[variants.Dataquery]):
    """Makes an `InfluxQuery` where the SDK wants a builder."""

    def __init__(self, text: str, *, form: str = "time_series", alias: str = "", ref_id: str = "A") -> None:
        self._query = InfluxQuery(text=" ".join(text.split()), ref_id=ref_id, form=form, alias=alias)

    def build(self) -> variants.Dataquery:
        """Give the question."""
        return self._query


def series(text: str, *, alias: str = "", ref_id: str = "A") -> Ask:
    """Ask for lines over time."""
    return Ask(text, alias=alias, ref_id=ref_id)


def table(text: str, *, ref_id: str = "A") -> Ask:
    """Ask for rows."""
    return Ask(text, form="table", ref_id=ref_id)


def of(measurement: str) -> str:
    """Name a measurement of `cloud.influx.schema` after FROM, with the retention policy where it is kept for long.

    Raises:
        KeyError: there is none of that name.
    """
    is_long = MEASUREMENTS[measurement].keep is Keep.LONG
    return f'"{LONG_POLICY}"."{measurement}"' if is_long else f'"{measurement}"'


def without_policies(model: dict[str, Any]) -> dict[str, Any]:
    """Take the retention policies out of every question of a dashboard or a rule: InfluxDB 3 has one store for all.

    Its InfluxQL refuses them: "retention policy in from clause". Source: the planner of InfluxQL in InfluxDB 3 Core.
    """
    written = json.dumps(model, ensure_ascii=False)
    for policy in (LONG_POLICY, HOURS_POLICY):
        written = written.replace(f'\\"{policy}\\".', "")
    plain: dict[str, Any] = json.loads(written)
    return plain


def below(variable: str = "area") -> str:
    """Compare the tag `path`: everything in the areas chosen and below; `all` is a part of every path."""
    return f'"path" =~ /:${{{variable}:regex}}:/'


def chosen(tag: str, variable: str | None = None) -> str:
    """Compare a tag with what is chosen of a variable, one or several."""
    return f'"{tag}" =~ /^${{{variable or tag}:regex}}$/'
