"""Alert rules for what only the database can see, and the contact point by which Grafana tells the desk. Pure.

A rule asks one or more questions, reduces each series to a number, and judges it. Questions compare with the database's
own `now()`: so a clock of Grafana's that is a little off makes no empty last point, and what a gateway whose clock was
ahead said of the future does not count. InfluxDB that fails is said by one rule alone, that of the silent ingest.

Source: "Configure alert rules" and "Provision alerting resources", Grafana 12 and 13; `ProvisionedAlertRule` and
`EmbeddedContactPoint` of its OpenAPI document; tried on InfluxDB 1.6.7: the questions.
"""

from typing import Any

from msgspec import Struct

from cloud.grafana.alerts import (
    ALERTS_PATH,
    CHINESE_ANNOTATION,
    KIND_LABEL,
    SEVERITY_LABEL,
    TEXT_ANNOTATION,
)
from cloud.grafana.board import Context
from cloud.grafana.influxql import DATASOURCE_UID, InfluxQuery, of, without_policies
from cloud.i18n import CHINESE, N_, translate_to
from contract.alarms import Severity
from contract.ids import GATEWAY_DEVICE

GROUP = "langyan"
"""Name of the group of rules."""
EVERY_S = 60
"""How often they are judged."""
RECEIVER = "Langyan desk"
"""Name of the contact point."""
RECEIVER_UID = "langyan-desk"

SILENT_S = 900
LATE_S = 60
OLD_S = 300
HIGH_DANGER = 4

_EXPRESSION = "__expr__"
_MINUTE_S = 60
# By all labels: each alert comes by itself, as the desk takes a few of them in one notification only.
_GROUPED_BY = ["..."]


class Rule(Struct, frozen=True, kw_only=True):
    """One alert rule.

    Attributes:
        uid: for ever the same.
        title: marked by `N_`.
        questions: InfluxQL by the letter under which `judge` finds what each series was reduced to.
        judge: a condition on the reduced numbers, `$A > 60`, in Grafana's mathematics; series join where labels are
            equal, or those of one are among those of the other.
        for_s: how long it must hold.
        kind: of the desk's alarm.
        severity: the same.
        says: what happened, for people, marked by `N_`; with Grafana's templates for labels.
        no_data: what no answer means, "OK" or "Alerting".
        on_error: what a question that fails means, "OK" or "Error".
    """

    uid: str
    title: str
    questions: dict[str, str]
    judge: str
    for_s: int
    kind: str
    severity: Severity
    says: str
    no_data: str = "OK"
    on_error: str = "OK"


_OWN = f"\"device\" = '{GATEWAY_DEVICE}'"
_RULES = (
    Rule(
        uid="langyan-site-silent",
        title=N_("Site silent"),
        questions={
            # The last word of each, and the newest of all, by the cloud's own clock: no reading is counted, which would
            # cost a city a second each minute. While ingest stores nothing there is no newest, and no site to blame.
            # By gateway: the tag `site` of a reading is what the settings say, and the site's name is the registry's.
            "A": f'SELECT last("received_at") FROM {of("telemetry")} WHERE {_OWN} AND time > now() - 1d '
                 'AND time <= now() GROUP BY "gateway"',
            "B": f'SELECT last("online") FROM {of("gateway_state")} WHERE time > now() - 15m '
                 'GROUP BY "gateway", "site"',
            "C": f'SELECT max("received_at") FROM {of("telemetry")} WHERE {_OWN} AND time > now() - 5m '
                 'AND time <= now()',
        },
        judge=f"$C - $A > {SILENT_S * 1_000_000} && $B > 0",
        for_s=5 * _MINUTE_S,
        kind="site-silent",
        severity=Severity.HIGH,
        says=N_("Site {site}: gateway {gateway} is connected, and nothing came from it for 15 minutes"),
    ),
    Rule(
        uid="langyan-ingest-lag",
        title=N_("Ingest lags"),
        questions={"A": f'SELECT mean("lag_p50_s") FROM {of("ingest")} WHERE time > now() - 5m'},
        judge=f"$A > {LATE_S}",
        for_s=5 * _MINUTE_S,
        kind="ingest-lag",
        severity=Severity.MEDIUM,
        says=N_("Ingest: half of what comes in is older than a minute"),
    ),
    Rule(
        uid="langyan-ingest-silent",
        title=N_("Ingest silent"),
        # A lag is said only where something came; how long it runs, a worker says every ten seconds.
        questions={"A": f'SELECT last("uptime_s") FROM {of("ingest")} WHERE time > now() - 5m'},
        judge="$A < 0",
        for_s=_MINUTE_S,
        kind="ingest-silent",
        severity=Severity.HIGH,
        says=N_("Ingest: no worker says anything for 5 minutes"),
        no_data="Alerting",
        on_error="Error",
    ),
    Rule(
        uid="langyan-outbox-growing",
        title=N_("Outbox grows"),
        questions={
            "A": f'SELECT mean("outbox.oldest_reading_s") FROM {of("telemetry")} WHERE {_OWN} '
                 'AND time > now() - 10m AND time <= now() GROUP BY "gateway", "site"',
            "B": f'SELECT mean("outbox.oldest_reading_s") FROM {of("telemetry")} WHERE {_OWN} '
                 'AND time > now() - 20m AND time <= now() - 10m GROUP BY "gateway", "site"',
        },
        judge=f"$A > {OLD_S} && $A > $B",
        for_s=5 * _MINUTE_S,
        kind="outbox-growing",
        severity=Severity.MEDIUM,
        says=N_("Gateway {gateway}: readings wait for longer than 5 minutes, and for longer and longer"),
    ),
    Rule(
        uid="langyan-fire-danger-high",
        title=N_("Fire danger high"),
        questions={
            "A": f'SELECT last("danger") FROM {of("fire_danger")} WHERE time > now() - 36h '
                 'GROUP BY "area", "site", "station"',
        },
        judge=f"$A >= {HIGH_DANGER}",
        for_s=0,
        kind="fire-danger",
        severity=Severity.HIGH,
        says=N_("Station {station}: fire danger is high"),
    ),
)  # fmt: skip


def alert_rules(context: Context, *, receiver: str = "") -> list[dict[str, Any]]:
    """Write the rules as Grafana's API takes them, without folder, group and organisation.

    Args:
        context: of the dashboards: language of titles and texts.
        receiver: contact point they notify; "" leaves that to Grafana's notification policies.
    """
    return [_written(context, rule, receiver) for rule in _RULES]


def contact_point(desk_url: str, secret: str) -> dict[str, Any]:
    """Write the contact point: a web hook to the desk's API, as Grafana's API takes it.

    Args:
        desk_url: of the API, without a slash at its end.
        secret: that of `grafana.alert_secret_env`, or how Grafana names it.
    """
    return {
        "uid": RECEIVER_UID,
        "name": RECEIVER,
        "type": "webhook",
        "settings": {
            "url": desk_url + ALERTS_PATH,
            "httpMethod": "POST",
            "authorization_scheme": "Bearer",
            "authorization_credentials": secret,
        },
        "disableResolveMessage": False,
    }


def _written(context: Context, rule: Rule, receiver: str) -> dict[str, Any]:
    rule_values: dict[str, Any] = {
        "uid": rule.uid,
        "title": context.say(rule.title),
        "condition": "J",
        "data": _data(rule),
        "noDataState": rule.no_data,
        "execErrState": rule.on_error,
        "for": f"{rule.for_s}s",
        "labels": {SEVERITY_LABEL: rule.severity.value, KIND_LABEL: rule.kind},
        "annotations": {
            TEXT_ANNOTATION: _templated(rule.says),
            CHINESE_ANNOTATION: _templated(translate_to(CHINESE, rule.says)),
        },
        "isPaused": False,
    }
    if receiver:
        rule_values["notification_settings"] = {
            "receiver": receiver, "group_by": _GROUPED_BY, "group_wait": "10s", "group_interval": "1m",
            "repeat_interval": "4h",
        }  # fmt: skip
    return rule_values if context.has_policies else without_policies(rule_values)


def _data(rule: Rule) -> list[dict[str, Any]]:
    """Write questions, what reduces each, and what judges them: `A`, then `$A` is the number that `A` is reduced to."""
    written = []
    judge = rule.judge
    for letter, question in rule.questions.items():
        asked, reduced = f"Q{letter}", letter
        model = InfluxQuery(text=" ".join(question.split()), ref_id=asked).to_json()
        written.append(_step(asked, DATASOURCE_UID, model))
        reduce = {"type": "reduce", "expression": asked, "reducer": "last", "settings": {"mode": "dropNN"}}
        written.append(_step(reduced, _EXPRESSION, _expression(reduced, reduce)))
    return [*written, _step("J", _EXPRESSION, _expression("J", {"type": "math", "expression": judge}))]


def _expression(letter: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"refId": letter, "datasource": {"type": _EXPRESSION, "uid": _EXPRESSION}, **values}


def _step(letter: str, source: str, model: dict[str, Any]) -> dict[str, Any]:
    # Grafana wants a range with every question; these say their own.
    return {
        "refId": letter,
        "datasourceUid": source,
        "relativeTimeRange": {"from": 86_400, "to": 0},
        "model": {"intervalMs": 60_000, "maxDataPoints": 43_200} | model,
    }


def _templated(text: str) -> str:
    """Write `{site}` as Grafana's template of a label; without its `$`, which a file's variables begin with."""
    for label in ("site", "gateway", "station"):
        text = text.replace(f"{{{label}}}", f"{{{{ .Labels.{label} }}}}")
    return text
