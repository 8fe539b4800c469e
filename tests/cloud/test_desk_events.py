from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, make_url

from cloud.database import Database
from cloud.database.escalation_tables import escalation
from cloud.database.tables import alarm_event, change, metadata, occurrence
from cloud.desk import operations
from cloud.desk.changes import Actor
from cloud.desk.core import Alarm, Arrival, ClosingCode, Stage
from cloud.desk.history import replay
from cloud.desk.keeping import to_alarm
from cloud.desk.life import State
from cloud.desk.operations import find_alarm, list_alarms
from cloud.desk.store import apply_events
from contract.alarms import AlarmEvent, Mode, Severity, Transition
from contract.ids import alarm_id
from tests.cloud.rig import T0_US, rows_of

SECOND_US = 1_000_000


def event(
    raised_s: int, cleared_s: int | None = None, *, device: str = "button", severity: Severity = Severity.HIGH
) -> AlarmEvent:
    """A raise at second `raised_s`, or the clear of that raise."""
    return AlarmEvent(
        gateway="g1",
        device=device,
        point="press",
        rule="pressed",
        transition=Transition.RAISED if cleared_s is None else Transition.CLEARED,
        raised_at_us=T0_US + raised_s * SECOND_US,
        at_us=T0_US + (raised_s if cleared_s is None else cleared_s) * SECOND_US,
        kind="panic",
        severity=severity,
        text={"en": f"raised at {raised_s}", "zh": "校门按钮"},
        value=cleared_s is None,
    )


def again(raised_s: int, at_s: float, *, device: str = "button", mode: Mode = Mode.LIVE) -> AlarmEvent:
    """A second press of the raise at `raised_s`."""
    press = event(raised_s, device=device)
    at_us = T0_US + round(at_s * SECOND_US)
    return msgspec.structs.replace(press, transition=Transition.RETRIGGERED, at_us=at_us, mode=mode)


def tried(one: AlarmEvent, mode: Mode = Mode.TEST) -> AlarmEvent:
    return msgspec.structs.replace(one, mode=mode)


def arrival(one: AlarmEvent) -> Arrival:
    """The clocks follow from the event, so that its order of arrival leaves no trace in them."""
    is_latching = one.raised_at_us // SECOND_US % 2 == 1
    late = one.at_us % 3 == 0
    return Arrival(one, received_at_us=one.at_us + 5, stored_at_us=one.at_us + 9, late=late, latching=is_latching)


def apply(database: Database, *events: AlarmEvent) -> int:
    return database.run(lambda connection: apply_events(connection, [arrival(one) for one in events]))


def acknowledge(database: Database, alarm_id: str, by: str) -> Alarm:
    actor = Actor(by, "test")
    return database.run(lambda one: operations.acknowledge(one, alarm_id, actor=actor, now_us=T0_US))


def close(database: Database, alarm_id: str, by: str, code: ClosingCode) -> Alarm:
    actor, words = Actor(by, "test"), "看过了"
    return database.run(
        lambda one: operations.close(one, alarm_id, actor=actor, now_us=T0_US, code=code, comment=words)
    )


def only(database: Database) -> Alarm:
    (alarm,) = list_alarms(database, state="all")
    return alarm


@st.composite
def histories(draw: st.DrawFn) -> list[AlarmEvent]:
    """Up to six raises of each of two sources, some pressed again, some cleared; no two presses at the same moment."""
    events: list[AlarmEvent] = []
    for device in ("button", "smoke"):
        for second in draw(st.sets(st.integers(0, 30), max_size=6)):
            severity = draw(st.sampled_from(Severity))
            events.append(event(second, device=device, severity=severity))
            lasts_s = draw(st.integers(0, 5))
            for half in draw(st.sets(st.integers(0, 2 * lasts_s), max_size=3)):
                press = again(second, second + half / 2 + 0.001 * (second + 1), device=device)
                events.append(msgspec.structs.replace(press, severity=severity))
            if draw(st.booleans()):
                events.append(event(second, second + lasts_s + 1, device=device, severity=severity))
    modes = draw(st.fixed_dictionaries({one.alarm_id: st.sampled_from(Mode) for one in events}))
    return [tried(one, modes[one.alarm_id]) for one in events]


def named_by_what_they_are(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row is called after the trigger that came first, and its place and target do not depend on the order."""
    nameless = [{key: value for key, value in row.items() if key not in ("occurrence", "alarm_id")} for row in rows]
    return sorted(nameless, key=str)


def check_history(database: Database) -> None:
    """What is written down of each alarm makes the alarm that is there."""
    written = rows_of(database, change)
    for row in rows_of(database, occurrence):
        assert replay(one["fields"] for one in written if one["alarm_id"] == row["alarm_id"]) == to_alarm(row)


@cache
def memory() -> Database:
    """One for all examples: to make its tables takes longer than to fill them."""
    database = Database(make_url("sqlite://"))
    database.run(metadata.create_all)
    return database


def final_rows(chunks: Sequence[Sequence[AlarmEvent]]) -> list[list[dict[str, Any]]]:
    database = memory()

    def work(connection: Connection) -> None:
        for table in (escalation, alarm_event, occurrence, change):
            connection.execute(delete(table))
        for chunk in chunks:
            apply_events(connection, [arrival(one) for one in chunk])

    database.run(work)
    check_history(database)
    return [named_by_what_they_are(rows_of(database, table)) for table in (occurrence, alarm_event)]


@settings(max_examples=60)
@given(histories(), st.data())
def test_any_order_and_any_repetition_end_in_the_same_rows(history: list[AlarmEvent], data: st.DataObject) -> None:
    in_order = sorted(history, key=lambda one: (one.at_us, one.transition is Transition.CLEARED))
    repeats = data.draw(st.lists(st.sampled_from(history), max_size=5)) if history else []
    shuffled = data.draw(st.permutations(history + repeats))
    cut = data.draw(st.integers(0, len(shuffled)))
    expected = final_rows([[one] for one in in_order])
    assert final_rows([shuffled[:cut], shuffled[cut:]]) == expected
    live = {one.source for one in history if one.mode is Mode.LIVE}
    others = {one.alarm_id for one in history if one.mode is not Mode.LIVE}
    assert len(expected[0]) == len(live) + len(others)


def test_a_raise_opens_a_row_with_all_its_facts(desk_database: Database) -> None:
    press = event(0)
    assert apply(desk_database, press) == 1
    alarm = only(desk_database)
    assert alarm == Alarm(
        alarm_id=press.alarm_id,
        source="g1/button/press/pressed",
        gateway="g1",
        device="button",
        point="press",
        rule="pressed",
        kind="panic",
        severity=Severity.HIGH,
        text={"en": "raised at 0", "zh": "校门按钮"},
        raised_at_us=T0_US,
        received_at_us=T0_US + 5,
        stored_at_us=T0_US + 9,
        late=arrival(press).late,
        latching=arrival(press).latching,
        triggers=1,
        last_raised_at_us=T0_US,
        target_s=alarm.target_s,
        recent_us=(T0_US,),
    )
    assert alarm.state is State.UNACKNOWLEDGED
    (row,) = rows_of(desk_database, alarm_event)
    assert (row["event_id"], row["occurrence"], row["value"]) == (press.event_id, press.alarm_id, True)


def test_the_same_event_again_changes_nothing(desk_database: Database) -> None:
    assert apply(desk_database, event(0), event(0)) == 1
    assert apply(desk_database, event(0)) == 0
    assert only(desk_database).triggers == 1


def test_a_raise_of_an_open_row_counts_and_takes_the_acknowledgement_away(desk_database: Database) -> None:
    apply(desk_database, event(0))
    acknowledge(desk_database, event(0).alarm_id, "王芳")
    apply(desk_database, event(0, 5), event(60))
    alarm = only(desk_database)
    assert (alarm.alarm_id, alarm.triggers) == (event(0).alarm_id, 2)
    assert alarm.text["en"] == "raised at 60"
    assert alarm.state is State.UNACKNOWLEDGED
    assert alarm.acknowledged_by is None


def test_any_further_raise_takes_the_acknowledgement_whatever_the_gateways_clock_says(desk_database: Database) -> None:
    apply(desk_database, event(60))
    acknowledge(desk_database, event(60).alarm_id, "王芳")
    apply(desk_database, event(30))
    assert only(desk_database).acknowledged_by is None


def test_a_press_after_the_clock_was_set_back_is_active_again(desk_database: Database) -> None:
    apply(desk_database, event(300))
    apply(desk_database, event(300, 310))
    acknowledge(desk_database, event(300).alarm_id, "王芳")
    assert only(desk_database).state is State.NORMAL
    apply(desk_database, event(60))
    assert only(desk_database).state is State.UNACKNOWLEDGED
    apply(desk_database, event(60, 70))
    assert only(desk_database).state is State.RETURNED_UNACKNOWLEDGED


def test_a_second_press_counts_and_takes_the_acknowledgement_away_once(desk_database: Database) -> None:
    apply(desk_database, event(0))
    acknowledge(desk_database, event(0).alarm_id, "王芳")
    apply(desk_database, again(0, 3))
    alarm = only(desk_database)
    assert (alarm.triggers, alarm.state) == (2, State.UNACKNOWLEDGED)
    assert alarm.last_raised_at_us == T0_US + 3 * SECOND_US
    acknowledge(desk_database, event(0).alarm_id, "王芳")
    # The same press, delivered again, is no news; a third is.
    assert apply(desk_database, again(0, 3), event(0)) == 0
    assert only(desk_database).state is State.ACKNOWLEDGED
    apply(desk_database, again(0, 4))
    assert (only(desk_database).triggers, only(desk_database).state) == (3, State.UNACKNOWLEDGED)
    apply(desk_database, event(0, 9))
    assert only(desk_database).state is State.RETURNED_UNACKNOWLEDGED


def test_a_second_press_that_comes_before_its_raise_is_shown_at_once(desk_database: Database) -> None:
    apply(desk_database, again(0, 3))
    early = only(desk_database)
    assert (early.alarm_id, early.triggers, early.raised_at_us) == (event(0).alarm_id, 1, T0_US)
    apply(desk_database, event(0))
    alarm = only(desk_database)
    assert (alarm.alarm_id, alarm.triggers, alarm.received_at_us) == (early.alarm_id, 2, T0_US + 5)


def test_a_raise_that_comes_after_its_second_press_was_closed_opens_nothing(desk_database: Database) -> None:
    apply(desk_database, again(0, 3))
    close(desk_database, event(0).alarm_id, "a", ClosingCode.GENUINE)
    apply(desk_database, event(0))
    assert (only(desk_database).triggers, only(desk_database).stage) == (2, Stage.CLOSED)


def test_a_second_press_after_the_closing_opens_a_row_and_one_clear_ends_both(desk_database: Database) -> None:
    apply(desk_database, event(0))
    close(desk_database, event(0).alarm_id, "a", ClosingCode.GENUINE)
    apply(desk_database, again(0, 60))
    assert apply(desk_database, again(0, 60)) == 0
    (alarm,) = list_alarms(desk_database)
    assert alarm.alarm_id == alarm_id(event(0).source, T0_US + 60 * SECOND_US)
    assert (alarm.raised_at_us, alarm.triggers) == (T0_US + 60 * SECOND_US, 1)
    # The raise's own id still finds what was closed.
    assert find_alarm(desk_database, event(0).alarm_id).stage is Stage.CLOSED
    apply(desk_database, again(0, 61), event(0, 70))
    assert find_alarm(desk_database, alarm.alarm_id).triggers == 2
    ends = {one.cleared_at_us for one in list_alarms(desk_database, state="all")}
    assert ends == {T0_US + 70 * SECOND_US}
    close(desk_database, alarm.alarm_id, "a", ClosingCode.GENUINE)
    apply(desk_database, again(0, 62))
    assert len(list_alarms(desk_database, state="all")) == 3


def test_a_test_is_a_row_of_its_own_and_ends_by_itself(desk_database: Database) -> None:
    apply(desk_database, event(0), tried(event(10)), again(10, 12, mode=Mode.TEST), tried(event(20), Mode.DRILL))
    live, tests = list_alarms(desk_database, mode=Mode.LIVE), list_alarms(desk_database, mode=Mode.TEST)
    assert [(one.alarm_id, one.triggers) for one in live] == [(event(0).alarm_id, 1)]
    assert [(one.alarm_id, one.triggers) for one in tests] == [(event(10).alarm_id, 2)]
    assert len(list_alarms(desk_database)) == 3
    apply(desk_database, tried(event(10, 13)), tried(event(20, 21), Mode.DRILL))
    assert [one.mode for one in list_alarms(desk_database)] == [Mode.LIVE]
    assert [one.mode for one in list_alarms(desk_database, state="all")] == [Mode.DRILL, Mode.TEST, Mode.LIVE]


def test_a_real_press_is_never_counted_to_a_test(desk_database: Database) -> None:
    apply(desk_database, tried(event(0)))
    apply(desk_database, event(10), tried(event(20)))
    (live,) = list_alarms(desk_database, mode=Mode.LIVE)
    assert (live.triggers, live.state) == (1, State.UNACKNOWLEDGED)
    acknowledge(desk_database, live.alarm_id, "a")
    apply(desk_database, again(20, 25, mode=Mode.TEST))
    assert list_alarms(desk_database, mode=Mode.LIVE)[0].state is State.ACKNOWLEDGED


def test_a_clear_marks_the_row_and_a_person_closes_it(desk_database: Database) -> None:
    apply(desk_database, event(0), event(0, 5))
    alarm = only(desk_database)
    assert (alarm.cleared_at_us, alarm.state) == (T0_US + 5 * SECOND_US, State.RETURNED_UNACKNOWLEDGED)
    acknowledge(desk_database, alarm.alarm_id, "a")
    assert only(desk_database).state is State.NORMAL
    closed = close(desk_database, alarm.alarm_id, "王芳", ClosingCode.DRILL)
    assert closed == only(desk_database)
    assert (closed.stage, closed.closing_code, closed.comment) == (Stage.CLOSED, ClosingCode.DRILL, "看过了")
    assert (closed.closed_by, closed.acknowledged_by) == ("王芳", "a")
    assert list_alarms(desk_database, state="open") == []


def test_the_clear_of_an_earlier_raise_does_not_clear_the_row(desk_database: Database) -> None:
    apply(desk_database, event(0), event(10), event(0, 11))
    assert only(desk_database).cleared_at_us is None


def test_a_clear_waits_for_its_raise(desk_database: Database) -> None:
    apply(desk_database, event(0, 5))
    assert list_alarms(desk_database, state="all") == []
    apply(desk_database, event(0))
    assert only(desk_database).cleared_at_us == T0_US + 5 * SECOND_US
    assert {row["occurrence"] for row in rows_of(desk_database, alarm_event)} == {event(0).alarm_id}


def test_after_closing_a_raise_opens_a_new_row(desk_database: Database) -> None:
    apply(desk_database, event(0))
    close(desk_database, event(0).alarm_id, "a", ClosingCode.GENUINE)
    apply(desk_database, event(0), event(60))
    assert [alarm.stage for alarm in list_alarms(desk_database, state="all")] == [Stage.RECEIVED, Stage.CLOSED]
    # The clear of the closed one is noted there.
    apply(desk_database, event(0, 70))
    assert find_alarm(desk_database, event(0).alarm_id).cleared_at_us == T0_US + 70 * SECOND_US
    assert find_alarm(desk_database, event(60).alarm_id).cleared_at_us is None


def test_the_list_is_the_latest_first_and_no_longer_than_asked(desk_database: Database) -> None:
    apply(desk_database, *[event(number, device=f"d{number}") for number in range(5)])
    assert [alarm.device for alarm in list_alarms(desk_database, limit=2)] == ["d4", "d3"]
