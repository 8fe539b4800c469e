"""The model of what a device publishes on a broker: topics, and what stands in their payloads.

No logic in data: what these tables cannot say is a new kind of value in Python, with a test.
"""

from typing import Annotated

from msgspec import Meta, Struct

from contract.alarms import Severity
from contract.ids import Id

ADDRESS = "{address}"
"""Stands in a topic for the address that the site file gives the device."""
MAX_PATH_PARTS = 8

Path = Annotated[str, Meta(max_length=256)]
Word = Annotated[str, Meta(max_length=128)]
Seconds = Annotated[float, Meta(ge=0.0, le=86_400.0)]


class TopicValue(Struct, frozen=True, forbid_unknown_fields=True):
    """A value in a payload that becomes a reading.

    Attributes:
        heard: the heard point that gets it.
        path: keys of the JSON object from the outside in, parted by dots, a number for an item of a list; "" is the
            whole payload, which then is plain text. What is not there says nothing.
        scale, offset: of a number: value = raw * scale + offset.
        true_when, false_when: of a state: the raw words; anything else is refused.
        values: of a word: raw word -> word; empty takes it as it is.
        no_value: raw words that mean "nothing".
    """

    heard: Id
    path: Path = ""
    scale: float = 1.0
    offset: float = 0.0
    true_when: tuple[Word, ...] = ()
    false_when: tuple[Word, ...] = ()
    values: dict[str, Word] = {}
    no_value: tuple[Word, ...] = ()


class TopicReport(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An alarm that the device (or who speaks for it) says itself: a press, a lost connection.

    Attributes:
        path: as with a value.
        on: raw words that are the alarm.
        off: raw words that are its end.
        point: where it comes from.
        rule, alarm, severity, text: as with a rule.
        ends_after_s: it ends by itself; None: only when the device says so.
        retained: it is believed of a message, too, that the broker has kept: for what stands until it changes.
    """

    path: Path = ""
    on: tuple[Word, ...]
    off: tuple[Word, ...] = ()
    point: Id
    rule: Id
    alarm: Id
    severity: Severity
    text: dict[str, str]
    ends_after_s: Seconds | None = None
    retained: bool = False


class Topic(Struct, frozen=True, forbid_unknown_fields=True):
    """A topic on which the device is heard.

    Attributes:
        topic: with `{address}` where the device's address stands.
        source: document and page that say so.
        where: what must stand in the payload, raw word by path; else it says nothing here.
        value: readings.
        report: alarms.
    """

    topic: Annotated[str, Meta(max_length=256)]
    source: str
    where: dict[str, Word] = {}
    value: tuple[TopicValue, ...] = ()
    report: tuple[TopicReport, ...] = ()
