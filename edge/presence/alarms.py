"""The alarms of presence, as reports of a station's device. Pure."""

from contract.alarms import Severity
from device_profiles.model import Text
from device_profiles.speech.said import Report
from edge.presence.stations import Station

# A theft that nobody ends (no owner arms or disarms the tag) is no longer news after a day.
THEFT_ENDS_AFTER_S = 86_400.0
BUTTON_ENDS_AFTER_S = 60.0

_THEFT = {"en": "Moved while armed: {tag} at {place}", "zh": "布防中被移动：{tag}，位置：{place}"}
_STOLEN = {"en": "Stolen: {tag} at {place}. {note}", "zh": "发现被盗标签：{tag}，位置：{place}。{note}"}
_SILENT = {"en": "Not heard any more: {tag}", "zh": "标签失联：{tag}"}
_BUTTON = {"en": "Button pressed: {tag} at {place}", "zh": "按钮被按下：{tag}，位置：{place}"}
_DEAF = {
    "en": "No tag is heard any more at {place}: its reader is down, or all are gone",
    "zh": "{place}已收不到任何标签：读写器故障，或标签全部离开",
}


def theft(tag: str, why: str, station: Station, *, name: str) -> Report:
    """A tag moved while it was armed.

    Args:
        tag: its id.
        why: "motion", "moved" or "left".
        station: where it is, or was last.
        name: what people call it.
    """
    text = _filled(_THEFT, tag=name, place=station.name)
    return _report(tag, "theft", Severity.CRITICAL, text, value=why, ends_after_s=THEFT_ENDS_AFTER_S)


def stolen(tag: str, station: Station, *, name: str, note: str, ends_after_s: float) -> Report:
    """A tag of the stolen list is here."""
    text = {
        language: words.strip().removesuffix("。")
        for language, words in _filled(_STOLEN, tag=name, place=station.name, note=note).items()
    }
    return _report(tag, "stolen", Severity.CRITICAL, text, value=note or None, ends_after_s=ends_after_s)


def silent(tag: str, *, name: str) -> Report:
    """Nobody hears a tag any more that should always be heard."""
    return _report(tag, "silent", Severity.HIGH, _filled(_SILENT, tag=name), kind="tag-silent")


def pressed(tag: str, station: Station, *, name: str, kind: str) -> Report:
    """The button of a tag is pressed."""
    text = _filled(_BUTTON, tag=name, place=station.name)
    return _report(tag, "button", Severity.CRITICAL, text, kind=kind, ends_after_s=BUTTON_ENDS_AFTER_S)


def deaf(station: Station, *, is_on: bool) -> Report:
    """A station hears no tag any more where there was a crowd; or does again."""
    return Report(
        point="station", rule="deaf", kind="fault", severity=Severity.HIGH, is_on=is_on,
        text=_filled(_DEAF, place=station.name),
    )  # fmt: skip


def over(tag: str, rule: str) -> Report:
    """An alarm of a tag is over: "theft", "stolen" or "silent"."""
    return Report(point=_point(tag), rule=rule, kind=rule, severity=Severity.LOW, text={}, is_on=False)


def _report(
    tag: str, rule: str, severity: Severity, text: Text, *,
    kind: str = "", value: str | None = None, ends_after_s: float | None = None,
) -> Report:  # fmt: skip
    return Report(
        point=_point(tag), rule=rule, kind=kind or rule, severity=severity, text=text, value=value,
        ends_after_s=ends_after_s,
    )  # fmt: skip


def _point(tag: str) -> str:
    return f"tag-{tag}"


def _filled(text: Text, **words: str) -> Text:
    return {language: template.format(**words) for language, template in text.items()}
