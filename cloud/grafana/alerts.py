"""Alerts of Grafana as alarms of the desk: what its web hook says, and which events follow from it. Pure.

Source: "Configure webhook notifications", Grafana 12 and 13; the labels of notifications, its alerting's
documentation.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from cloud.desk.own import OWN_GATEWAY
from contract.alarms import AlarmEvent, Mode, Severity, Transition
from contract.ids import is_id
from contract.limits import MAX_STRING_CHARS, MAX_TIME_US, MIN_TIME_US

ALERTS_PATH = "/api/v1/grafana/alerts"
"""Where the desk's API takes what a web hook of Grafana sends, with `Authorization: Bearer` and the secret."""
DEVICE_PREFIX = "grafana."
KIND = "grafana-alert"
"""Of an alert whose labels name no kind."""

SEVERITY_LABEL = "severity"
"""Label of a rule: a severity of the desk's; words of other systems are understood."""
KIND_LABEL = "kind"
SITE_LABEL, GATEWAY_LABEL, AREA_LABEL = "site", "gateway", "area"
"""Labels by which the desk finds where it is, the first that it knows."""
TEXT_ANNOTATION = "summary"
CHINESE_ANNOTATION = "summary_zh"
"""Annotations of a rule: what happened, in the language of the dashboards; and in Chinese, where it is another."""

_NAME_LABEL = "alertname"
_POINT, _RULE = "alert", "firing"
_SEVERITIES = {one.value: one for one in Severity} | {
    "emergency": Severity.CRITICAL,
    "page": Severity.CRITICAL,
    "error": Severity.HIGH,
    "major": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "minor": Severity.MEDIUM,
    "info": Severity.LOW,
    "none": Severity.LOW,
}
# What Grafana says when a rule's question brings nothing, or fails: its own name stands in another label then.
_ABOUT_RULES = ("DatasourceNoData", "DatasourceError")
# What the button "Test" of a contact point sends.
_TEST = {_NAME_LABEL: "TestAlert", "instance": "Grafana"}
_NO_ID_CHARS = re.compile(r"[^a-z0-9]+")
_MAX_SLUG_CHARS = 38
_DIGEST_CHARS = 16
# The first stands where there is no time; beyond either a zone cannot be taken off.
_FIRST_YEAR, _LAST_YEAR = 1, 9999


class Alert(Struct, frozen=True):
    """One alert as Grafana tells it.

    Attributes:
        is_firing: else it is resolved.
        labels: of the rule and of the series; together they tell alerts apart.
        annotations: for people.
        starts_at_us: since when it fires; None where no time can be read.
        ends_at_us: when it was resolved; the same.
        fingerprint: Grafana's digest of the labels; "" where it says none.
    """

    is_firing: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at_us: int | None = None
    ends_at_us: int | None = None
    fingerprint: str = ""

    @property
    def source(self) -> str:
        """The condition's name at the desk."""
        return f"{OWN_GATEWAY}/{self.device}/{_POINT}/{_RULE}"

    @property
    def device(self) -> str:
        """`grafana.<rule>.<series>`: one device a series, as each has a place of its own.

        The rule's name in Latin letters, or a digest of it; of the series Grafana's fingerprint, or a digest of the
        labels.
        """
        name = self.labels.get(_NAME_LABEL, "")
        slug = _NO_ID_CHARS.sub("-", name.lower()).strip("-")[:_MAX_SLUG_CHARS].strip("-")
        mark = self.fingerprint
        if not is_id(mark) or len(mark) > _DIGEST_CHARS:
            mark = _digest("\n".join(f"{key}={value}" for key, value in sorted(self.labels.items())))
        return f"{DEVICE_PREFIX}{slug if slug and name.isascii() else _digest(name)}.{mark}"

    @property
    def is_test(self) -> bool:
        """Whether somebody tries the contact point."""
        return all(self.labels.get(key) == value for key, value in _TEST.items())

    @property
    def severity(self) -> Severity:
        """As labelled; medium where the label is missing or says nothing known."""
        return _SEVERITIES.get(self.labels.get(SEVERITY_LABEL, "").strip().lower(), Severity.MEDIUM)

    @property
    def kind(self) -> str:
        """As labelled, where that can be a kind."""
        label = self.labels.get(KIND_LABEL, "")
        return label if is_id(label) else KIND

    @property
    def text(self) -> dict[str, str]:
        """What happened, by language: the annotation, or else the rule's name."""
        name = self.labels.get(_NAME_LABEL, "")
        if name in _ABOUT_RULES:
            name = f"{name}: {self.labels.get('rulename', '?')}"
        told = self.annotations.get(TEXT_ANNOTATION) or self.annotations.get("description") or name or KIND
        chinese = self.annotations.get(CHINESE_ANNOTATION) or told
        return {"en": _in_one_line(told), "zh": _in_one_line(chinese)}


def read_time_us(text: str) -> int | None:
    """Read a time of RFC 3339, microseconds UTC; None for what is none, or lies outside of 2000 to 2200."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or not _FIRST_YEAR < moment.year < _LAST_YEAR:
        return None
    whole = moment.astimezone(UTC).replace(microsecond=0).timestamp()
    time_us = int(whole) * 1_000_000 + moment.microsecond
    return time_us if MIN_TIME_US <= time_us < MAX_TIME_US else None


def events_of(alert: Alert, standing: Mapping[int, int | None], *, now_us: int) -> list[AlarmEvent]:
    """Tell which events follow from an alert.

    A firing one is said again and again while it lasts, and may have another beginning after Grafana was started anew:
    while a raise of it has no clear it says nothing new, unless it began after a person had closed that alarm: then
    Grafana's word of its end was lost. What is resolved before it was heard of waits for its raise.

    Args:
        alert: as told.
        standing: beginnings of its raises that have no clear, each with the moment when a person closed its alarm.
        now_us: the clock; no event lies after it.
    """
    began_us = min(alert.starts_at_us or now_us, now_us)
    if alert.is_test:
        # Nobody waits for the end of a test.
        return [
            _event(alert, Transition.RAISED, began_us, began_us),
            _event(alert, Transition.CLEARED, began_us, now_us),
        ]
    if alert.is_firing:
        is_known = any(
            closed_us is None or alert.starts_at_us is None or closed_us >= began_us for closed_us in standing.values()
        )
        return [] if is_known else [_event(alert, Transition.RAISED, began_us, began_us)]
    ended_us = min(alert.ends_at_us or now_us, now_us)
    begun = sorted(standing) or ([alert.starts_at_us] if alert.starts_at_us and alert.starts_at_us <= now_us else [])
    return [_event(alert, Transition.CLEARED, raised_us, max(raised_us, ended_us)) for raised_us in begun]


def _event(alert: Alert, transition: Transition, raised_at_us: int, at_us: int) -> AlarmEvent:
    return AlarmEvent(
        gateway=OWN_GATEWAY,
        device=alert.device,
        point=_POINT,
        rule=_RULE,
        transition=transition,
        raised_at_us=raised_at_us,
        at_us=at_us,
        kind=alert.kind,
        severity=alert.severity,
        text=alert.text,
        mode=Mode.TEST if alert.is_test else Mode.LIVE,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_DIGEST_CHARS]


def _in_one_line(text: str) -> str:
    return "".join(one for one in " ".join(text.split()) if one.isprintable())[:MAX_STRING_CHARS] or KIND
