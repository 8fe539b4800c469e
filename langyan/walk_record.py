"""The record of a walk test: what the quarterly test asks for, as JSON and as a page to print. Pure."""

from datetime import UTC, datetime

from msgspec import Struct

from edge.walktest import ButtonState, Progress, WalkTestState
from langyan.i18n import translate as _


class ButtonRecord(Struct, frozen=True):
    """One button. `result` is "stored", or how far its press came: "waiting", "pressed", "sent"."""

    place: str
    device: str
    point: str
    source: str
    result: str
    presses: int
    pressed_at: str | None
    sent_ms: float | None
    stored_ms: float | None


class Record(Struct, frozen=True):
    """A whole test; times are RFC 3339, UTC."""

    gateway: str
    site: str
    by: str
    began_at: str
    ended_at: str
    is_live: bool
    is_complete: bool
    buttons: tuple[ButtonRecord, ...]


def make_record(state: WalkTestState, *, site: str, ended_at_us: int) -> Record:
    """Write the last state of a test as its record."""
    return Record(
        gateway=state.gateway,
        site=site,
        by=state.by,
        began_at=_utc(state.began_at_us),
        ended_at=_utc(ended_at_us),
        is_live=state.is_live,
        is_complete=state.is_done,
        buttons=tuple(map(_button, state.buttons)),
    )


def as_page(record: Record) -> str:
    """Write a record as Markdown."""
    done = sum(button.result == Progress.STORED for button in record.buttons)
    mode = _("real alarms") if record.is_live else _("marked as a test")
    headings = (_("place"), _("device"), _("point"), _("pressed (UTC)"), _("stored after"), _("result"))
    lines = [
        "# " + _("Walk test: {site}").format(site=record.site),
        "",
        "- " + _("gateway: {gateway}").format(gateway=record.gateway),
        "- " + _("tested by: {by}").format(by=record.by),
        "- " + _("from {began} to {ended}").format(began=record.began_at, ended=record.ended_at),
        "- " + _("presses were: {mode}").format(mode=mode),
        "- " + _("result: {done} of {count} buttons stored").format(done=done, count=len(record.buttons)),
        "",
        "| " + " | ".join(headings) + " |",
        "|---|---|---|---|---|---|",
    ]
    for button in record.buttons:
        after = "" if button.stored_ms is None else f"{button.stored_ms:.0f} ms"
        cells = (button.place, button.device, button.point, button.pressed_at or "", after, result_words(button.result))
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def result_words(result: str) -> str:
    """Say for people how far a press came."""
    return {
        Progress.WAITING: _("not pressed"),
        Progress.PRESSED: _("pressed, not sent"),
        Progress.SENT: _("sent, not stored"),
        Progress.STORED: _("stored"),
    }[Progress(result)]


def _button(state: ButtonState) -> ButtonRecord:
    return ButtonRecord(
        place=state.button.place,
        device=state.button.device,
        point=state.button.point,
        source=state.button.source,
        result=state.progress.value,
        presses=state.presses,
        pressed_at=None if state.pressed_at_us is None else _utc(state.pressed_at_us),
        sent_ms=state.sent_ms,
        stored_ms=state.stored_ms,
    )


def _utc(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
