"""Escalation follows what happens to alarms, in the transaction in which it happens.

It works out plans, begins rounds, and makes due whatever the change may concern; the worker, which knows time zone and
duty, does the rest within a moment. So an alarm is never stored without its next step, and a thousand at once cost the
intake one statement.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Boolean, Connection, and_, bindparam, delete, insert, or_, select, update

from cloud.areas.chunks import chunked
from cloud.areas.policies import FoundPolicy, Wanted, find_policies
from cloud.areas.tree import Level, ids_of
from cloud.database.area_tables import area
from cloud.database.escalation_tables import escalation
from cloud.desk.changes import Changed, What
from cloud.desk.core import Alarm
from cloud.escalation.plan import DEFAULTS, Above, Facts, Idle, Plan, Policy, make_plan
from contract.alarms import Mode, Severity

_log = logging.getLogger(__name__)
_NOTHING_TAKEN: Mapping[str, Any] = {"taken": [], "reminded_of_us": None}
_PRESSED_AGAIN = (What.RAISED, What.RETRIGGERED)


class _Touched(Struct):
    """What the changes of one transaction mean for one alarm's escalation."""

    alarm: Alarm
    at_us: int
    is_new: bool = False
    is_placed_anew: bool = False
    is_round: bool = False
    is_pressed: bool = False
    is_due: bool = False


def follow(connection: Connection, changes: Sequence[Changed]) -> None:
    """Begin, begin anew, stop or end the escalation of what changed.

    Args:
        connection: the transaction in which the changes are kept; the rows of the occurrences are written.
        changes: in their order; several may mean the same occurrence.
    """
    touched = _touched(changes)
    ended = [alarm_id for alarm_id, one in touched.items() if not one.alarm.is_open]
    for some in chunked(ended):
        connection.execute(delete(escalation).where(escalation.c.alarm_id.in_(some)))
    lasting = [one for one in touched.values() if one.alarm.is_open]
    begin_plans(connection, [(one.alarm, one.at_us) for one in lasting if one.is_new])
    known = [one for one in lasting if not one.is_new]
    _replan(connection, [one for one in known if one.is_placed_anew])
    _begin_rounds(connection, known)
    _make_due(connection, known)


def facts_of(alarm: Alarm) -> Facts:
    """Take from an alarm what its plan must know."""
    silent = followed = None
    if alarm.out_of_service:
        silent = Idle.OUT_OF_SERVICE
    elif alarm.suppressed_by is not None:
        silent = Idle.SUPPRESSED
    elif alarm.shelved_until_us is not None:
        silent = Idle.SHELVED
    if alarm.arrived_at_us is not None:
        followed = Idle.ARRIVED
    elif alarm.dispatched_at_us is not None:
        followed = Idle.DISPATCHED
    return Facts(alarm.acknowledged_at_us, alarm.cleared_at_us, alarm.latched, silent, followed)


def target_seconds(connection: Connection, wanted: Collection[Wanted]) -> dict[Wanted, int]:
    """Tell what `occurrence.target_s` becomes at each (area path, severity); every one asked for is in the answer."""
    return {key: policy.target_s for key, policy in policies_of(connection, wanted).items()}


def policies_of(connection: Connection, wanted: Collection[Wanted]) -> dict[Wanted, Policy]:
    """Find the policy of each (area path, severity): of the nearest area that says one, else the built-in one.

    One that somebody has garbled in the database, or that another version has written, keeps no alarm from being
    stored: the built-in one holds instead, and the log says so.
    """
    found = find_policies(connection, wanted)
    return {key: _policy(found[key], key[1]) if key in found else DEFAULTS[key[1]] for key in set(wanted)}


def plans_of(connection: Connection, alarms: Iterable[Alarm]) -> dict[Wanted, Plan]:
    """Work out the plan of each (area path, severity) as the tree and the policies are now."""
    wanted = {(alarm.area_path, alarm.severity) for alarm in alarms}
    levels = _levels(connection, {area_id for path, _severity in wanted for area_id in ids_of(path)})
    return {
        (path, severity): make_plan(
            policy, severity, [Above(one, levels[one]) for one in reversed(ids_of(path)) if one in levels]
        )
        for (path, severity), policy in policies_of(connection, wanted).items()
    }


def begin_plans(connection: Connection, alarms: Sequence[tuple[Alarm, int]]) -> None:
    """Begin the first round of alarms that have no row, each at its moment; the first step is due at once."""
    plans = _as_json(plans_of(connection, [alarm for alarm, _at_us in alarms]))
    rows = [
        {
            "alarm_id": alarm.alarm_id,
            "plan": plans[alarm.area_path, alarm.severity],
            "round": 1,
            "round_began_us": at_us,
            "progress": _NOTHING_TAKEN,
            "next_at_us": at_us,
            "idle_why": None,
        }
        for alarm, at_us in alarms
    ]
    if rows:
        connection.execute(insert(escalation), rows)


def _touched(changes: Sequence[Changed]) -> dict[str, _Touched]:
    touched: dict[str, _Touched] = {}
    for change in changes:
        before, after = change.before, change.after
        if after.mode is not Mode.LIVE:
            continue
        one = touched.setdefault(after.alarm_id, _Touched(after, change.at_us, is_new=before is None))
        one.alarm, one.at_us = after, change.at_us
        if before is None:
            continue
        one.is_pressed |= change.what in _PRESSED_AGAIN
        one.is_placed_anew |= (before.area_path, before.severity) != (after.area_path, after.severity)
        was, now = facts_of(before), facts_of(after)
        is_unheard = now.silent is not None or now.acknowledged_at_us is not None
        # It is news again: nobody knows of it any more, or it has its voice back.
        one.is_round |= (was.acknowledged_at_us or was.silent) is not None and not is_unheard
        one.is_due |= was != now
    return touched


def _replan(connection: Connection, touched: Sequence[_Touched]) -> None:
    """Take the plan of the place and severity that they have now, and begin a round of it."""
    plans = _as_json(plans_of(connection, [one.alarm for one in touched]))
    rows = [
        {"touched_id": one.alarm.alarm_id, "its_plan": plans[one.alarm.area_path, one.alarm.severity]}
        for one in touched
    ]
    if rows:
        named = escalation.c.alarm_id == bindparam("touched_id")
        connection.execute(update(escalation).where(named).values(plan=bindparam("its_plan")), rows)


def _begin_rounds(connection: Connection, touched: Sequence[_Touched]) -> None:
    """Begin a further round.

    A press while nobody has acknowledged does not: the round that runs would begin from below for as long as somebody
    presses. Where every step was taken there is nothing to go on with, and it does.
    """
    rows = [
        {
            "touched_id": one.alarm.alarm_id,
            "at_us": one.at_us,
            "is_certain": one.is_round or one.is_placed_anew,
            "nothing_taken": _NOTHING_TAKEN,
        }
        for one in touched
        if one.is_round or one.is_placed_anew or one.is_pressed
    ]
    if not rows:
        return
    is_over = and_(escalation.c.next_at_us.is_(None), escalation.c.idle_why == Idle.ALL_TAKEN.value)
    statement = update(escalation).where(
        escalation.c.alarm_id == bindparam("touched_id"), or_(bindparam("is_certain", type_=Boolean), is_over)
    )
    values = {
        "round": escalation.c.round + 1,
        "round_began_us": bindparam("at_us"),
        "progress": bindparam("nothing_taken"),
        "next_at_us": bindparam("at_us"),
        "idle_why": None,
    }
    connection.execute(statement.values(values), rows)


def _make_due(connection: Connection, touched: Sequence[_Touched]) -> None:
    rows = [{"touched_id": one.alarm.alarm_id, "at_us": one.at_us} for one in touched if one.is_due]
    if rows:
        named = escalation.c.alarm_id == bindparam("touched_id")
        connection.execute(update(escalation).where(named).values(next_at_us=bindparam("at_us"), idle_why=None), rows)


def _policy(found: FoundPolicy, severity: Severity) -> Policy:
    try:
        return msgspec.convert(found.policy, Policy)
    except msgspec.ValidationError as error:
        _log.error("the policy of area %s for %s alarms cannot be read: %s", found.area, severity, error)
        return DEFAULTS[severity]


def _levels(connection: Connection, area_ids: Collection[str]) -> dict[str, Level]:
    levels: dict[str, Level] = {}
    for some in chunked(sorted(area_ids)):
        for row in connection.execute(select(area.c.id, area.c.level).where(area.c.id.in_(some))):
            levels[row.id] = Level(row.level)
    return levels


def _as_json(plans: Mapping[Wanted, Plan]) -> dict[Wanted, Any]:
    return {key: msgspec.to_builtins(plan) for key, plan in plans.items()}
