"""What is to be told: rows of `delivery`, put there in the transaction of the change that they tell."""

import hashlib
import logging
from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from cloud.database.escalation_tables import delivery
from cloud.desk.core import Alarm, ClosingCode
from contract.alarms import Mode, Severity

_log = logging.getLogger(__name__)
_CHUNK = 500


class Kind(StrEnum):
    """Why something is told; names the template. Stored, so a word never changes its meaning."""

    ALARM = "alarm"
    ESCALATED = "escalated"
    """Those who were told before have not acted in time; now it is told to the next."""
    REMINDER = "reminder"
    UNACKNOWLEDGED = "unacknowledged"
    """The acknowledgement was taken back, because nothing followed it."""
    CLEARED = "cleared"
    CLOSED = "closed"
    GAP = "gap"
    """Nobody is on duty where somebody should be."""
    TEST = "test"
    """Somebody tries a channel."""
    EVENT = "event"
    """A change, for a web hook."""


class State(StrEnum):
    """How far a delivery has come."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


class Facts(Struct, frozen=True, omit_defaults=True):
    """What a message says about its alarm, as it was when the message was queued.

    Names of places are looked up when it is sent.

    Attributes:
        alarm_id: "" when no alarm is meant.
        alarm_kind: panic, smoke, ...
        text: of the alarm, by language tag.
        step: of the escalation plan, from 1; 0 when no step is meant.
        by: who closed it, or acknowledged it.
        why: a reason in the words of who gave it.
    """

    alarm_id: str = ""
    alarm_kind: str = ""
    text: dict[str, str] = {}
    raised_at_us: int = 0
    late: bool = False
    mode: Mode = Mode.LIVE
    triggers: int = 1
    gateway: str = ""
    device: str = ""
    point: str = ""
    site: str | None = None
    area: str | None = None
    step: int = 0
    by: str = ""
    why: str = ""
    closing_code: ClosingCode | None = None


class Delivery(Struct, frozen=True):
    """One message to one address.

    Attributes:
        id: made by `delivery_id`; the same id is told once.
        severity: of the alarm; critical is never held back.
        channel: name of a `[[telling.channel]]`.
        address: a number, a mail address, a robot's key: whatever the channel's URL asks for.
        language: of the contact, "zh" or "en".
        created_us, due_us: microseconds UTC; not sent before `due_us`.
        contact: id of a contact, whose quiet hours and limit then apply; None: neither.
    """

    id: str
    kind: Kind
    severity: Severity
    channel: str
    address: str
    language: str
    facts: Facts
    created_us: int
    due_us: int
    alarm_id: str | None = None
    contact: str | None = None


def delivery_id(*parts: str | int) -> str:
    """Make the id of a delivery of what it is: alarm, round, step, contact, channel, address; 32 characters."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def facts_of(alarm: Alarm, *, step: int = 0, by: str = "", why: str = "") -> Facts:
    """Take from an alarm what a message says about it."""
    return Facts(
        alarm_id=alarm.alarm_id,
        alarm_kind=alarm.kind,
        text=alarm.text,
        raised_at_us=alarm.raised_at_us,
        late=alarm.late,
        mode=alarm.mode,
        triggers=alarm.triggers,
        gateway=alarm.gateway,
        device=alarm.device,
        point=alarm.point,
        site=alarm.site,
        area=alarm.area,
        step=step,
        by=by,
        why=why,
        closing_code=alarm.closing_code,
    )


def enqueue(connection: Connection, deliveries: Sequence[Delivery]) -> int:
    """Queue deliveries; one whose id is there already, in whatever state, is left as it is.

    Returns:
        How many were not queued because their alarm is a test or a drill, which is never told; said in the log too.
    """
    told = [one for one in deliveries if one.facts.mode is Mode.LIVE]
    refused = len(deliveries) - len(told)
    if refused:
        _log.warning("%d messages of tests and drills are not told", refused)
    insert_rows(
        connection,
        [
            {
                "id": one.id,
                "alarm_id": one.alarm_id,
                "kind": one.kind.value,
                "severity": one.severity.value,
                "contact": one.contact,
                "channel": one.channel,
                "address": one.address,
                "language": one.language,
                "body": msgspec.to_builtins(one.facts),
                "created_us": one.created_us,
                "state": State.PENDING.value,
                "due_us": one.due_us,
                "attempts": 0,
            }
            for one in told
        ],
    )
    return refused


def insert_rows(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    """Insert rows of `delivery`, and pass over those whose id is there."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(delivery).on_conflict_do_nothing(index_elements=["id"])
    for begin in range(0, len(rows), _CHUNK):
        connection.execute(statement, list(rows[begin : begin + _CHUNK]))
