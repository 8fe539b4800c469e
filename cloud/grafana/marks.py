"""An alarm as a mark on Grafana's trends: when, what it says, and how it is found again. Pure.

Source: "Annotations HTTP API", Grafana 12; its store of annotations, which counts the characters of tags.
"""

import hashlib
import html
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from cloud.desk.core import Alarm
from cloud.i18n import N_, catalogue_language, translate_to
from cloud.telling.names import Names
from contract.alarms import Mode, Severity

TAG = "langyan"
"""On every mark; dashboards ask for it, and only what bears it is ever changed."""
ALARM_TAG = "alarm"
MAX_TEXT_CHARS = 1_000
MAX_TAGS_BYTES = 500
"""What Grafana takes by default: the tags as JSON."""
_SEVERITIES = {
    Severity.CRITICAL: N_("critical"),
    Severity.HIGH: N_("high"),
    Severity.MEDIUM: N_("medium"),
    Severity.LOW: N_("low"),
}


class Mark(Struct, frozen=True):
    """What Grafana is to have.

    Attributes:
        begins_ms, ends_ms: milliseconds since 1970; None while it lasts.
        text: as HTML, since that is how Grafana shows it.
        tags: the first two tell whose it is.
    """

    begins_ms: int
    ends_ms: int | None
    text: str
    tags: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Sixteen characters that change with anything of it."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]


def is_marked(alarm: Alarm) -> bool:
    """Tell whether an alarm is one that people hear: no test, no drill, and not held back."""
    facts = alarm.facts
    return alarm.mode is Mode.LIVE and not (facts.shelved or facts.suppressed or facts.out_of_service)


def mark_of(alarm: Alarm, names: Names, *, language: str) -> Mark:
    """Write an alarm as a mark.

    It ends when its condition does; where that is not said, when a person closes it.

    Args:
        alarm: as it stands.
        names: of where it is.
        language: a tag, as in `cloud.i18n`.
    """
    end_us = alarm.cleared_at_us if alarm.cleared_at_us is not None else alarm.closed_at_us
    begins_ms = alarm.raised_at_us // 1_000
    return Mark(
        begins_ms=begins_ms,
        ends_ms=None if end_us is None else max(begins_ms, end_us // 1_000),
        text=_text(alarm, names, language),
        tags=_tags(alarm),
    )


def alarm_tag(alarm_id: str) -> str:
    """Write the tag by which the mark of one alarm is found."""
    return f"{ALARM_TAG}:{alarm_id}"


def post_body(mark: Mark) -> dict[str, Any]:
    """Write `PostAnnotationsCmd`: of no dashboard, so that each shows it that asks for its tags."""
    return patch_body(mark)


def patch_body(mark: Mark) -> dict[str, Any]:
    """Write `PatchAnnotationsCmd`; an end once told cannot be taken back, and is left as it is."""
    body: dict[str, Any] = {"time": mark.begins_ms, "text": mark.text, "tags": list(mark.tags)}
    return body | ({} if mark.ends_ms is None else {"timeEnd": mark.ends_ms})


def search_params(alarm_id: str) -> dict[str, str | list[str]]:
    """Write the question for an alarm's marks."""
    return {"tags": [TAG, alarm_tag(alarm_id)], "type": "annotation", "limit": "10"}


def found_ids(answer: Any, alarm_id: str) -> list[int]:
    """Take from an answer the ids of an alarm's marks, the first that was made first.

    Whatever Grafana made of the question: only what bears the tags is ours. An id that is not positive is none: to
    delete annotation 0 deletes all.
    """
    rows = answer if isinstance(answer, list) else []
    wanted = {TAG, alarm_tag(alarm_id)}
    return sorted(
        row["id"]
        for row in rows
        if isinstance(row, Mapping)
        and type(row.get("id")) is int
        and row["id"] > 0
        and isinstance(row.get("tags"), list)
        and wanted <= {tag for tag in row["tags"] if isinstance(tag, str)}
    )


def new_id(answer: Any) -> int | None:
    """Take the id of a new annotation from Grafana's answer; None where it says none."""
    found = answer.get("id") if isinstance(answer, Mapping) else None
    return found if type(found) is int and found > 0 else None


def told_text(alarm: Alarm, language: str) -> str:
    """Say what happened, in a language or else in any."""
    tag = "zh" if catalogue_language(language).startswith("zh") else "en"
    return alarm.text.get(tag) or next(iter(alarm.text.values()), "") or alarm.kind


def _text(alarm: Alarm, names: Names, language: str) -> str:
    where = [names.site or alarm.site or "", names.device or f"{alarm.gateway}/{alarm.device}"]
    said = [translate_to(language, _SEVERITIES[alarm.severity]), told_text(alarm, language), *where]
    line = " · ".join(" ".join(one.split()) for one in said if one)
    return html.escape(line[:MAX_TEXT_CHARS], quote=False)


def _tags(alarm: Alarm) -> tuple[str, ...]:
    """Tags as `key:value`, the most telling first; what would be too long for Grafana is left out."""
    wanted = [TAG, alarm_tag(alarm.alarm_id), f"severity:{alarm.severity.value}"]
    more = {"site": alarm.site, "gateway": alarm.gateway, "kind": alarm.kind, "area": alarm.area}
    wanted += [f"{key}:{value}" for key, value in more.items() if value]
    kept: list[str] = []
    room = MAX_TAGS_BYTES - 2
    for tag in wanted:
        room -= len(tag.encode()) + 3
        if room < 0:
            break
        kept.append(tag)
    return tuple(kept)
