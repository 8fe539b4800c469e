"""What people read: an alarm in words, in their language, in the markup of their channel. Pure.

Whatever comes from outside (texts of rules, names, comments) is cleaned before it is shown: no control characters, one
line, bounded, and no character that a robot or a mail program could take for markup.
"""

import html
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from cloud.desk.core import ClosingCode
from cloud.i18n import ENGLISH, N_, catalogue_language, translate_to
from cloud.telling.names import Names
from cloud.telling.queue import Facts, Kind
from cloud.telling.settings import Markup
from contract.alarms import Mode, Severity

MAX_FIELD_CHARS = 300
# Full-width twins: every dialect of markdown shows them as they are, whether or not it knows a backslash. The angle
# brackets go in plain text too, because Feishu's robot takes <at user_id="all"> there for a call to everybody.
_NO_TAGS = str.maketrans("<>", "＜＞")
_NO_MARKDOWN = str.maketrans("<>*_[]`#~|\\", "＜＞＊＿［］＇＃～｜＼")

SEVERITIES = {
    Severity.CRITICAL: N_("critical"),
    Severity.HIGH: N_("high"),
    Severity.MEDIUM: N_("medium"),
    Severity.LOW: N_("low"),
}
TITLES = {
    Kind.ALARM: N_("Alarm: {what}"),
    Kind.ESCALATED: N_("Escalated to you: {what}"),
    Kind.REMINDER: N_("Still waiting: {what}"),
    Kind.UNACKNOWLEDGED: N_("Acknowledgement taken back: {what}"),
    Kind.CLEARED: N_("Condition over: {what}"),
    Kind.CLOSED: N_("Closed: {what}"),
    Kind.GAP: N_("Nobody is on duty for: {what}"),
    Kind.TEST: N_("Test message: {what}"),
    Kind.EVENT: N_("Event: {what}"),
}
ADVICE = {
    Kind.ALARM: N_("Please acknowledge and send somebody."),
    Kind.ESCALATED: N_("Those told before have not acted in time. Please take over."),
    Kind.REMINDER: N_("It was acknowledged, and nothing has followed. Please say what was done."),
    Kind.UNACKNOWLEDGED: N_("Nothing followed the acknowledgement, so the alarm asks again."),
    Kind.CLEARED: N_("The alarm stays open until somebody closes it."),
    Kind.CLOSED: N_("Nothing more is to be done."),
    Kind.GAP: N_("Please name somebody, or take over yourself."),
    Kind.TEST: N_("Nothing is to be done: somebody tried whether this channel works."),
}
ALARM_KINDS = {
    "panic": N_("panic button"),
    "hold-up": N_("hold-up"),
    "tamper": N_("tampering"),
    "smoke": N_("smoke"),
    "fire": N_("fire"),
    "gas": N_("gas"),
    "water": N_("water"),
    "intrusion": N_("intrusion"),
    "temperature": N_("temperature"),
    "power": N_("power supply"),
    "battery": N_("battery"),
    "fault": N_("fault"),
    "missing": N_("no reading any more"),
    "patrol": N_("patrol"),
    "gateway-lost": N_("gateway lost"),
}
CLOSING_CODES = {
    ClosingCode.GENUINE: N_("genuine"),
    ClosingCode.DRILL: N_("drill"),
    ClosingCode.ACCIDENTAL: N_("set off by accident"),
    ClosingCode.MALICIOUS: N_("set off with malice"),
    ClosingCode.EQUIPMENT_FAULT: N_("equipment fault"),
    ClosingCode.WEATHER_ANIMAL: N_("weather or animal"),
    ClosingCode.COMMUNICATIONS: N_("communication fault"),
    ClosingCode.UNKNOWN: N_("unknown"),
}
MODES = {Mode.TEST: N_("TEST"), Mode.DRILL: N_("DRILL")}


class Style(Struct, frozen=True):
    """How a message is to look.

    Attributes:
        language: any tag; "zh..." is Chinese, all else English.
        short: one line without a title.
        max_chars: title and body together.
        zone: of the times shown.
        map_url: see `Telling.map_url`.
    """

    language: str
    markup: Markup
    short: bool
    max_chars: int
    zone: ZoneInfo
    map_url: str = ""


class Told(Struct, frozen=True):
    """One thing to tell.

    Attributes:
        link: where it can be acknowledged; "" when it cannot.
        reference: tells a repeat from something new; "" for none.
    """

    kind: Kind
    severity: Severity
    facts: Facts
    names: Names = Names()
    link: str = ""
    reference: str = ""


class Message(Struct, frozen=True):
    """What is handed to a channel; a short one has no title.

    Attributes:
        id: of the delivery, of several the first: the same when it is sent again.
    """

    title: str
    body: str
    id: str = ""


def render(told: Told, style: Style) -> Message:
    """Write one message; what does not fit is left out from the end, the link never."""
    writer = _Writer(style)
    if style.short:
        return Message("", writer.short(told, style.max_chars))
    title = _cut(writer.title(told), style.max_chars // 2)
    return Message(title, writer.fit(writer.lines(told), writer.link_line(told.link), style.max_chars - len(title)))


def render_many(tolds: Sequence[Told], style: Style) -> tuple[Message, int]:
    """Write several things as one message, a line each; tells how many of them are in it, at least one."""
    writer = _Writer(style)
    longest_title = "" if style.short else _cut(writer.count(len(tolds)), style.max_chars // 2)
    room = style.max_chars - len(longest_title)
    items = [writer.item(tolds[0], room)]
    for told in tolds[1:]:
        item = writer.item(told, room)
        if len(writer.joined([*items, item])) > room:
            break
        items.append(item)
    title = "" if style.short else _cut(writer.count(len(items)), style.max_chars // 2)
    return Message(title, writer.joined(items)), len(items)


def clean(text: str, limit: int = MAX_FIELD_CHARS) -> str:
    """Make text from outside one line of at most `limit` characters without anything that is not shown."""
    # Controls, invisible marks (also those that turn the reading direction), lone surrogates; white space is a space.
    shown = (" " if char.isspace() else char for char in text[: limit * 4])
    return _cut(" ".join("".join(char for char in shown if unicodedata.category(char)[0] != "C").split()), limit)


class _Writer:
    """Words and markup of one style."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._is_english = catalogue_language(style.language) == ENGLISH
        self._colon = ": " if self._is_english else "："
        self._between = "\n\n" if style.markup is Markup.MARKDOWN else "\n"

    def title(self, told: Told) -> str:
        """The subject: plain text in every markup."""
        mode = MODES.get(told.facts.mode)
        marks = [] if told.kind is Kind.TEST else [self._say(SEVERITIES[told.severity])]
        marks += [self._say(mode)] if mode else []
        where = self._shown(told.names.site or told.facts.site or told.facts.gateway, 80)
        words = self._say(TITLES[told.kind], what=self._what(told)) + (f" ({where})" if where else "")
        return "".join(("[{}] " if self._is_english else "【{}】").format(mark) for mark in marks) + words

    def count(self, number: int) -> str:
        """The subject of several."""
        return self._say(N_("{count} messages"), count=number)

    def lines(self, told: Told) -> list[str]:
        """All that is known, a line each, the most important first."""
        lines = [self._labelled(self._say(label), value) for label, value in self._fields(told) if value]
        advice = ADVICE.get(told.kind)
        return [*lines, self._paragraph(self._say(advice))] if advice else lines

    def link_line(self, link: str) -> str:
        """Where it can be acknowledged; "" for no link."""
        if not link:
            return ""
        label = self._say(N_("Acknowledge"))
        if self._style.markup is Markup.HTML:
            return f'<p><a href="{html.escape(link)}">{html.escape(label)}</a></p>'
        return f"[{label}]({link})" if self._style.markup is Markup.MARKDOWN else f"{label}{self._colon}{link}"

    def short(self, told: Told, room: int) -> str:
        """One line, its link at the end."""
        names, facts = told.names, told.facts
        place = self._shown(names.place or names.device or facts.device, 40)
        late = self._say(N_("late")) if facts.late else ""
        parts = [self.title(told), place, self._local(facts.raised_at_us, "%H:%M:%S"), late]
        text = (", " if self._is_english else "，").join(part for part in parts if part)
        if not told.link or len(told.link) + 1 > room // 2:
            return _cut(text, room)
        return f"{_cut(text, room - len(told.link) - 1)} {told.link}"

    def item(self, told: Told, room: int) -> str:
        """One line of several."""
        if self._style.markup is Markup.TEXT:
            return self.short(told, room)
        if self._style.markup is Markup.MARKDOWN:
            return "- " + self.short(told, room - 2)
        bare = msgspec.structs.replace(told, link="")
        return self._paragraph(self.short(bare, room)) + self.link_line(told.link)

    def joined(self, lines: Sequence[str]) -> str:
        """The lines as one text."""
        return self._between.join(lines)

    def fit(self, lines: Sequence[str], last: str, room: int) -> str:
        """As many of `lines` as there is room for, and then `last`, if that fits at all."""
        tail = [last] if last and len(last) <= room else []
        chosen: list[str] = []
        for line in lines:
            if len(self.joined([*chosen, line, *tail])) > room:
                break
            chosen.append(line)
        return self.joined([*chosen, *tail])

    def _fields(self, told: Told) -> list[tuple[str, str]]:
        facts, names = told.facts, told.names
        device = " · ".join(part for part in (names.device, names.place, facts.device) if part)
        code = CLOSING_CODES[facts.closing_code] if facts.closing_code else ""
        return [
            (N_("What"), self._what(told)),
            (N_("Severity"), self._say(SEVERITIES[told.severity])),
            (N_("Kind"), self._kind(facts)),
            (N_("Site"), self._shown(names.site or facts.site or "")),
            (N_("Address"), self._shown(names.address)),
            (N_("Device"), self._shown(device)),
            (N_("Area"), self._shown(" / ".join(reversed(names.areas)) or facts.area or "")),
            (N_("Map"), self._map(names)),
            (N_("Pressed"), self._local(facts.raised_at_us, "%Y-%m-%d %H:%M:%S %z")),
            (N_("Late"), self._say(N_("it reached the desk long after it was raised")) if facts.late else ""),
            (N_("Triggers"), str(facts.triggers) if facts.triggers > 1 else ""),
            (N_("Step"), str(facts.step) if facts.step else ""),
            (N_("Closed as"), self._say(code) if code else ""),
            (N_("By"), self._shown(facts.by)),
            (N_("Why"), self._shown(facts.why)),
            (N_("Alarm"), self._shown(facts.alarm_id)),
            (N_("Message"), self._shown(told.reference)),
        ]

    def _what(self, told: Told) -> str:
        """The rule's own words in the reader's language, else the kind of alarm."""
        facts = told.facts
        wanted = ENGLISH if self._is_english else "zh"
        tag = next((tag for tag in sorted(facts.text) if tag.lower().startswith(wanted)), None)
        return self._shown(facts.text[tag]) if tag and facts.text[tag] else self._kind(facts)

    def _kind(self, facts: Facts) -> str:
        known = ALARM_KINDS.get(facts.alarm_kind)
        return self._say(known) if known else self._shown(facts.alarm_kind)

    def _map(self, names: Names) -> str:
        if names.latitude_deg is None or names.longitude_deg is None:
            return ""
        if not self._style.map_url:
            return f"{names.latitude_deg:.6f}, {names.longitude_deg:.6f}"
        return self._style.map_url.format(latitude_deg=names.latitude_deg, longitude_deg=names.longitude_deg)

    def _local(self, time_us: int, form: str) -> str:
        if not time_us:
            return ""
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).astimezone(self._style.zone).strftime(form)

    def _say(self, text: str, **values: object) -> str:
        return translate_to(self._style.language, text).format(**values)

    def _shown(self, text: str, limit: int = MAX_FIELD_CHARS) -> str:
        """Cleaned; HTML is escaped only where a line is written, because a subject is no HTML."""
        cleaned = clean(text, limit)
        if self._style.markup is Markup.HTML:
            return cleaned
        return cleaned.translate(_NO_MARKDOWN if self._style.markup is Markup.MARKDOWN else _NO_TAGS)

    def _labelled(self, label: str, value: str) -> str:
        if self._style.markup is Markup.HTML:
            return f"<p><b>{html.escape(label)}</b>{self._colon}{html.escape(value)}</p>"
        return f"{f'**{label}**' if self._style.markup is Markup.MARKDOWN else label}{self._colon}{value}"

    def _paragraph(self, text: str) -> str:
        return f"<p>{html.escape(text)}</p>" if self._style.markup is Markup.HTML else text


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"
