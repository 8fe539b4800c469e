"""The proof that nothing was forgotten, one look at a time: each open live alarm has a next step, or a reason not to.

What it finds it mends where it can: it begins the escalation of that alarm anew. Whatever it finds it says, with an
alarm of its own, which goes the way of all alarms.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, func, literal, select, text

from cloud.areas.chunks import chunked
from cloud.database.escalation_tables import delivery, escalation, web_hook
from cloud.database.tables import alarm_event, occurrence
from cloud.desk.changes import DESK
from cloud.desk.core import Alarm, Arrival
from cloud.desk.keeping import to_alarm
from cloud.desk.store import apply_events, lock_for
from cloud.errors import GarbledPlanError
from cloud.escalation.follow import begin_plans, facts_of
from cloud.escalation.plan import advance
from cloud.escalation.settings import Escalation
from cloud.escalation.store import to_escalation
from cloud.escalation.taking import Rules
from cloud.i18n import CHINESE, ENGLISH, N_, translate_to
from cloud.telling.history import channel_of
from cloud.telling.queue import State
from contract.alarms import AlarmEvent, Severity, Transition

# "audit": desks take turns, and one that finds another at it leaves it to that one.
_AUDIT_LOCK = 0x6175646974
_AT_ONCE = 500
# Named in the text; the rest is a number.
_NAMED = 5
_SOURCE = AlarmEvent(
    gateway="cloud",
    device="desk",
    point="escalation",
    rule="gap",
    transition=Transition.RAISED,
    raised_at_us=0,
    at_us=0,
    kind="escalation-gap",
    severity=Severity.CRITICAL,
)


class GapKind(StrEnum):
    """What is wrong."""

    MISSING = "missing"
    """An open alarm has no row."""
    GARBLED = "garbled"
    """Its row cannot be read."""
    FORGOTTEN = "forgotten"
    """It has neither a next step nor the reason that its facts give, or a step later than its plan has it."""
    OVERDUE = "overdue"
    """A step is due, and no worker takes it."""
    UNSENT = "unsent"
    """Messages are due, and nobody sends them."""


class Gap(Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        alarm_id: "" of messages.
    """

    kind: GapKind
    alarm_id: str = ""
    why: str = ""


class Found(Struct, frozen=True):
    """What one look found.

    Attributes:
        alarms: how many open live alarms there are.
        lasts: the auditor's own alarm stands.
    """

    alarms: int
    gaps: tuple[Gap, ...] = ()
    lasts: bool = False


# What beginning anew does not mend.
_FOR_PEOPLE = (GapKind.OVERDUE, GapKind.UNSENT)
_WORDS = {
    GapKind.MISSING: N_("open alarms without an escalation, begun anew"),
    GapKind.GARBLED: N_("escalations that could not be read, begun anew"),
    GapKind.FORGOTTEN: N_("open alarms with no next step and no reason for it, begun anew"),
    GapKind.OVERDUE: N_("escalation steps overdue: no desk takes them"),
    GapKind.UNSENT: N_("messages overdue: nobody sends them"),
}


def find_gaps(connection: Connection, now_us: int, rules: Rules, limits: Escalation) -> Found:
    """Look at every open live alarm; changes nothing.

    Args:
        connection: a transaction that sees one state of everything.
        now_us: wall time.
        rules: of the settings.
        limits: how late is too late.
    """
    gaps: list[Gap] = []
    count, last = 0, ""
    open_live = select(occurrence).where(occurrence.c.open_key.is_not(None)).order_by(occurrence.c.alarm_id)
    while rows := connection.execute(open_live.where(occurrence.c.alarm_id > last).limit(_AT_ONCE)).mappings().all():
        alarms = [to_alarm(row) for row in rows]
        count, last = count + len(alarms), alarms[-1].alarm_id
        gaps += _gaps_of(connection, alarms, now_us, rules, limits)
    waits = delivery.c.state.in_([State.PENDING.value, State.SENDING.value])
    is_due = delivery.c.due_us < now_us - int(limits.stuck_after_s * 1_000_000)
    # What waits for a web hook that wants no more waits for a person to enable it, and that was said.
    disabled = select(literal(channel_of("")) + web_hook.c.name).where(web_hook.c.disabled_us.is_not(None))
    meant = waits, is_due, delivery.c.channel.not_in(disabled)
    unsent = connection.execute(select(func.count()).select_from(delivery).where(*meant)).scalar_one()
    if unsent:
        gaps.append(Gap(GapKind.UNSENT, why=str(unsent)))
    own = _own(connection)
    return Found(count, tuple(gaps), lasts=own is not None and own.cleared_at_us is None)


def mend(connection: Connection, found: Found, now_us: int, rules: Rules, limits: Escalation) -> list[Gap] | None:
    """Begin anew what can be, and raise, press again or clear the auditor's own alarm.

    Args:
        connection: a transaction for writing.
        found: a moment ago; looked at again under locks, so that whoever changed an alarm meanwhile was right.
        now_us: wall time.
        rules: of the settings.
        limits: how late is too late.

    Returns:
        What was mended; None: another desk is at it.
    """
    if not _has_turn(connection):
        return None
    lock_for(connection, {_SOURCE.source})
    mended: list[Gap] = []
    for some in chunked(sorted(gap.alarm_id for gap in found.gaps if gap.kind not in _FOR_PEOPLE)):
        still_open = occurrence.c.alarm_id.in_(some) & occurrence.c.open_key.is_not(None)
        query = select(occurrence).where(still_open).order_by(occurrence.c.alarm_id).with_for_update()
        alarms = {row["alarm_id"]: to_alarm(row) for row in connection.execute(query).mappings()}
        gaps = _gaps_of(connection, list(alarms.values()), now_us, rules, limits)
        gaps = [gap for gap in gaps if gap.kind not in _FOR_PEOPLE]
        broken = [gap.alarm_id for gap in gaps]
        connection.execute(delete(escalation).where(escalation.c.alarm_id.in_(broken)))
        begin_plans(connection, [(alarms[alarm_id], now_us) for alarm_id in broken])
        mended += gaps
    _say(connection, mended, [gap for gap in found.gaps if gap.kind in _FOR_PEOPLE], now_us)
    return mended


def _gaps_of(
    connection: Connection, alarms: Sequence[Alarm], now_us: int, rules: Rules, limits: Escalation
) -> list[Gap]:
    query = select(escalation).where(escalation.c.alarm_id.in_([alarm.alarm_id for alarm in alarms]))
    rows = {row["alarm_id"]: row for row in connection.execute(query).mappings()}
    gaps: list[Gap] = []
    for alarm in alarms:
        if alarm.alarm_id not in rows:
            gaps.append(Gap(GapKind.MISSING, alarm.alarm_id))
            continue
        try:
            row = to_escalation(rows[alarm.alarm_id])
        except GarbledPlanError as error:
            gaps.append(Gap(GapKind.GARBLED, alarm.alarm_id, str(error)))
            continue
        expected = advance(row.plan, row.progress, facts_of(alarm), now_us, rules.zone)
        if row.next_at_us is not None and row.next_at_us < now_us - int(limits.overdue_after_s * 1_000_000):
            gaps.append(Gap(GapKind.OVERDUE, alarm.alarm_id))
        elif row.next_at_us is None:
            if row.idle is None or row.idle is not expected.idle:
                gaps.append(Gap(GapKind.FORGOTTEN, alarm.alarm_id, str(row.idle)))
        elif row.next_at_us > now_us and (
            expected.actions or expected.next_at_us is None or row.next_at_us > expected.next_at_us
        ):
            gaps.append(Gap(GapKind.FORGOTTEN, alarm.alarm_id, f"due at {row.next_at_us} us"))
    return gaps


def _has_turn(connection: Connection) -> bool:
    """Take the auditors' lock until the commit; SQLite has one writer at a time anyhow."""
    if connection.dialect.name != "postgresql":
        return True
    lock = text("SELECT pg_try_advisory_xact_lock(:audit)")
    return bool(connection.execute(lock, {"audit": _AUDIT_LOCK}).scalar_one())


def _own(connection: Connection) -> Alarm | None:
    """The auditor's own alarm, while it is open."""
    query = select(occurrence).where(occurrence.c.open_key == _SOURCE.source)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else to_alarm(row)


def _say(connection: Connection, mended: Sequence[Gap], standing: Sequence[Gap], now_us: int) -> None:
    """Raise our own alarm, press it again for what was found beside, clear it once nothing is wrong any more."""
    own, gaps = _own(connection), [*mended, *standing]
    raised_at_us = None if own is None or own.cleared_at_us is not None else _raised_at_us(connection, own)
    if raised_at_us is None and gaps:
        transition, raised_at_us = Transition.RAISED, now_us
    elif raised_at_us is not None and mended:
        transition = Transition.RETRIGGERED
    elif raised_at_us is not None and not gaps:
        transition = Transition.CLEARED
    else:
        return
    event = msgspec.structs.replace(
        _SOURCE,
        transition=transition,
        raised_at_us=raised_at_us,
        # A clock that was set back must not make it older than its own raise.
        at_us=max(now_us, raised_at_us),
        text={"en": _words(gaps, ENGLISH), "zh": _words(gaps, CHINESE)} if gaps else {},
    )
    apply_events(connection, [Arrival(event, now_us, now_us, late=False)], actor=DESK)


def _raised_at_us(connection: Connection, own: Alarm) -> int:
    """When the raise was that lasts: the latest, because each is cleared before the next."""
    its_raises = (alarm_event.c.occurrence == own.alarm_id, alarm_event.c.transition == Transition.RAISED.value)
    moment: int = connection.execute(select(func.max(alarm_event.c.at_us)).where(*its_raises)).scalar_one()
    return moment


def _words(gaps: Sequence[Gap], language: str) -> str:
    parts = []
    for kind in GapKind:
        some = [gap for gap in gaps if gap.kind is kind]
        if some:
            count = some[0].why if kind is GapKind.UNSENT else str(len(some))
            named = ", ".join(gap.alarm_id for gap in some[:_NAMED] if gap.alarm_id)
            parts.append(f"{count} {translate_to(language, _WORDS[kind])}" + (f" ({named})" if named else ""))
    return "; ".join(parts)
