"""The auditor: rows broken by hand are found, mended and said; what is in order is left alone."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from cloud.database import Database
from cloud.database.escalation_tables import delivery, escalation, web_hook
from cloud.database.tables import occurrence
from cloud.desk.core import Alarm
from cloud.desk.keeping import to_alarm
from cloud.escalation.audit import Found, Gap, GapKind, find_gaps, mend
from cloud.escalation.settings import Escalation
from cloud.telling.history import channel_of
from contract.alarms import Mode, Severity
from tests.cloud.escalating import RULES, S_US, T0_US, Town
from tests.cloud.rig import statements

LIMITS = Escalation()


@pytest.fixture
def town(desk_database: Database) -> Town:
    return Town(desk_database)


def look(town: Town) -> Found:
    return town.database.read(lambda connection: find_gaps(connection, town.now_us, RULES, LIMITS))


def audit(town: Town) -> list[GapKind]:
    """One look and what follows it; the kinds of what was mended."""
    found = look(town)
    mended = town.database.run(lambda connection: mend(connection, found, town.now_us, RULES, LIMITS))
    assert mended is not None
    return [gap.kind for gap in mended]


def own(town: Town) -> Alarm | None:
    query = select(occurrence).where(occurrence.c.kind == "escalation-gap")
    row = town.database.run(lambda connection: connection.execute(query).mappings().one_or_none())
    return None if row is None else to_alarm(row)


def in_every_state(town: Town) -> list[str]:
    """Alarms in every state that a row can have."""
    fresh = town.press("fresh")
    waiting, low = town.press("waiting"), town.press("low", severity=Severity.LOW)
    acknowledged, dispatched = town.press("acknowledged"), town.press("dispatched", severity=Severity.HIGH)
    shelved, closed = town.press("shelved"), town.press("closed")
    town.work()
    town.acknowledge(acknowledged)
    town.acknowledge(dispatched)
    town.dispatch(dispatched)
    town.shelve(shelved)
    town.close(closed)
    town.press("test", mode=Mode.TEST)
    town.work(at_s=1)
    town.press("just now")
    return [fresh, waiting, low, acknowledged, dispatched, shelved]


def test_what_is_in_order_is_left_alone(town: Town) -> None:
    in_every_state(town)
    for at_s in (1, 20, 31):
        town.now_us = T0_US + at_s * S_US
        assert look(town) == Found(7)
    assert audit(town) == []
    assert own(town) is None


BREAKS: dict[str, tuple[dict[str, Any], GapKind]] = {
    "no next step": ({"next_at_us": None}, GapKind.FORGOTTEN),
    "a false reason": ({"next_at_us": None, "idle_why": "shelved"}, GapKind.FORGOTTEN),
    "a word that is no reason": ({"next_at_us": None, "idle_why": "holiday"}, GapKind.GARBLED),
    "far too late": ({"next_at_us": T0_US + 10**15}, GapKind.FORGOTTEN),
    "a little too late": ({"next_at_us": T0_US + 61 * S_US}, GapKind.FORGOTTEN),
    "no plan": ({"plan": {}}, GapKind.GARBLED),
    "a plan without steps": ({"plan": {"severity": "critical", "stages": []}}, GapKind.GARBLED),
    "progress of another plan": ({"progress": {"taken": [1, 1, 1, 1, 1, 1, 1]}}, GapKind.GARBLED),
    "progress that is none": ({"progress": "all done"}, GapKind.GARBLED),
}


@pytest.mark.parametrize("breaking", BREAKS)
def test_a_broken_row_is_begun_anew_and_said(town: Town, breaking: str) -> None:
    columns, kind = BREAKS[breaking]
    alarm = town.press()
    other = town.press("other")
    town.work()
    town.break_row(alarm, **columns)
    town.now_us += 5 * S_US
    assert audit(town) == [kind]
    said = own(town)
    assert said is not None
    assert (said.source, said.severity, said.cleared_at_us) == ("cloud/desk/escalation/gap", "critical", None)
    assert alarm in said.text["zh"]
    assert said.text["zh"] != said.text["en"]
    town.work()
    assert town.next_s(alarm) == 65
    assert town.next_s(other) == 60
    assert town.told(said.alarm_id) == [("alarm", "110")]
    assert audit(town) == []
    cleared = own(town)
    assert cleared is not None
    assert cleared.cleared_at_us == town.now_us


def remove(town: Town, alarm: str) -> None:
    with town.database.transaction() as connection:
        connection.execute(delete(escalation).where(escalation.c.alarm_id == alarm))


def test_a_missing_row_is_made(town: Town) -> None:
    alarm = town.press()
    remove(town, alarm)
    assert audit(town) == [GapKind.MISSING]
    town.work()
    assert len(town.told(alarm)) == 2


def test_a_reason_that_no_longer_holds_is_a_gap(town: Town) -> None:
    alarm = town.press()
    town.shelve(alarm)
    town.work()
    assert look(town).gaps == ()
    with town.database.transaction() as connection:
        # Past the door through which alarms change.
        connection.execute(occurrence.update().values(shelved_until_us=None))
    assert look(town).gaps == (Gap(GapKind.FORGOTTEN, alarm, "shelved"),)


def test_a_worker_that_meets_a_garbled_row_takes_the_others(town: Town) -> None:
    broken, whole = town.press("broken"), town.press("whole")
    town.break_row(broken, plan={"stages": "?"})
    town.work()
    assert (len(town.told(broken)), len(town.told(whole))) == (0, 2)
    assert audit(town) == [GapKind.GARBLED]


def test_its_own_alarm_is_proved_too(town: Town) -> None:
    remove(town, town.press())
    audit(town)
    said = own(town)
    assert said is not None
    remove(town, said.alarm_id)
    assert audit(town) == [GapKind.MISSING]
    town.work()
    assert len(town.told(said.alarm_id)) == 1


def test_a_further_gap_presses_again_and_a_later_one_raises_again(town: Town) -> None:
    first, second, third = (town.press(name) for name in ("first", "second", "third"))
    for alarm, triggers in ((first, 1), (second, 2)):
        town.now_us += S_US
        remove(town, alarm)
        audit(town)
        said = own(town)
        assert said is not None
        assert (said.triggers, said.cleared_at_us) == (triggers, None)
    town.now_us += S_US
    audit(town)
    town.now_us += S_US
    remove(town, third)
    audit(town)
    said = own(town)
    assert said is not None
    assert (said.triggers, said.cleared_at_us) == (3, None)
    town.now_us += S_US
    audit(town)
    said = own(town)
    assert said is not None
    assert said.cleared_at_us == town.now_us


def overdue(town: Town) -> None:
    town.press()


def unsent(town: Town) -> None:
    row: dict[str, Any] = {
        "id": "d",
        "kind": "alarm",
        "severity": "critical",
        "channel": "sms",
        "address": "1",
        "language": "zh",
    }
    row |= {"body": {}, "created_us": T0_US, "state": "pending", "due_us": T0_US, "attempts": 0}
    town.database.run(lambda connection: connection.execute(insert(delivery).values(row)))


@pytest.mark.parametrize(
    ("standing", "kind", "after_s"),
    [(overdue, GapKind.OVERDUE, LIMITS.overdue_after_s), (unsent, GapKind.UNSENT, LIMITS.stuck_after_s)],
)
def test_what_only_people_can_mend_is_said_once_while_it_stands(
    town: Town, standing: Callable[[Town], None], kind: GapKind, after_s: float
) -> None:
    standing(town)
    town.now_us = T0_US + int(after_s * S_US)
    assert look(town).gaps == ()
    town.now_us += 1
    assert [gap.kind for gap in look(town).gaps] == [kind]
    for _ in range(3):
        assert audit(town) == []
        town.work()
        town.database.run(lambda connection: connection.execute(escalation.update().values(next_at_us=T0_US)))
        town.now_us += S_US
        said = own(town)
        assert said is not None
        assert (said.triggers, said.cleared_at_us) == (1, None)


def test_what_waits_for_a_disabled_web_hook_is_nobodys_fault(town: Town) -> None:
    unsent(town)
    rows = {"name": "city", "url": "http://city", "disabled_us": T0_US, "disabled_why": "410"}
    town.database.run(lambda connection: connection.execute(insert(web_hook).values(rows)))
    named = {"channel": channel_of("city"), "kind": "event"}
    town.database.run(lambda connection: connection.execute(delivery.update().values(named)))
    town.now_us = T0_US + int(LIMITS.stuck_after_s * S_US) + 1
    assert look(town).gaps == ()
    town.database.run(lambda connection: connection.execute(web_hook.update().values(disabled_us=None)))
    assert [gap.kind for gap in look(town).gaps] == [GapKind.UNSENT]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_locks_are_taken_in_the_order_of_all(town: Town) -> None:
    remove(town, town.press())
    found = look(town)
    with statements() as said:
        town.database.run(lambda connection: mend(connection, found, town.now_us, RULES, LIMITS))
    rows = next(number for number, one in enumerate(said) if "FOR UPDATE" in one)
    assert any("pg_advisory_xact_lock_shared" in one for one in said[:rows])
    assert any("unnest" in one for one in said[:rows])


def test_who_closed_it_meanwhile_was_right(town: Town) -> None:
    alarm = town.press()
    remove(town, alarm)
    found = look(town)
    town.close(alarm)
    assert town.database.run(lambda connection: mend(connection, found, town.now_us, RULES, LIMITS)) == []
    assert (town.row(alarm), own(town)) == (None, None)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_two_auditors_one_leaves_it_to_the_other(town: Town) -> None:
    remove(town, town.press())
    found = look(town)
    with town.database.transaction() as first, town.database.transaction() as second:
        assert mend(first, found, town.now_us, RULES, LIMITS) != []
        assert mend(second, found, town.now_us, RULES, LIMITS) is None
