from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from cloud.database import Database
from cloud.database.tables import alarm_event, metadata, occurrence
from cloud.desk.core import Alarm, Arrival, ClosingCode, Stage
from cloud.desk.life import State
from cloud.desk.operations import acknowledge, close, find_alarm, list_alarms
from cloud.desk.store import apply_events
from cloud.errors import AlreadyClosedError, AmbiguousAlarmError, UnknownAlarmError
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
    return Arrival(one, received_at_us=one.at_us + 5, stored_at_us=one.at_us + 9, late=one.at_us % 3 == 0)


def apply(database: Database, *events: AlarmEvent) -> int:
    return database.run(lambda connection: apply_events(connection, [arrival(one) for one in events]))


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


def final_rows(chunks: Sequence[Sequence[AlarmEvent]]) -> list[list[dict[str, Any]]]:
    with Database(make_url("sqlite://")) as database:
        database.run(metadata.create_all)
        for chunk in chunks:
            apply(database, *chunk)
        return [named_by_what_they_are(one) for one in (rows_of(database, occurrence), rows_of(database, alarm_event))]


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


def test_a_raise_opens_a_row_with_all_its_facts(database: Database) -> None:
    press = event(0)
    assert apply(database, press) == 1
    alarm = only(database)
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
        triggers=1,
        last_raised_at_us=T0_US,
        target_s=alarm.target_s,
        recent_us=(T0_US,),
    )
    assert alarm.state is State.UNACKNOWLEDGED
    (row,) = rows_of(database, alarm_event)
    assert (row["event_id"], row["occurrence"], row["value"]) == (press.event_id, press.alarm_id, True)


def test_the_same_event_again_changes_nothing(database: Database) -> None:
    assert apply(database, event(0), event(0)) == 1
    assert apply(database, event(0)) == 0
    assert only(database).triggers == 1


def test_a_raise_of_an_open_row_counts_and_takes_the_acknowledgement_away(database: Database) -> None:
    apply(database, event(0))
    acknowledge(database, event(0).alarm_id, "王芳")
    apply(database, event(0, 5), event(60))
    alarm = only(database)
    assert (alarm.alarm_id, alarm.triggers) == (event(0).alarm_id, 2)
    assert alarm.text["en"] == "raised at 60"
    assert alarm.state is State.UNACKNOWLEDGED
    assert alarm.acknowledged_by is None


def test_any_further_raise_takes_the_acknowledgement_whatever_the_gateways_clock_says(database: Database) -> None:
    apply(database, event(60))
    acknowledge(database, event(60).alarm_id, "王芳")
    apply(database, event(30))
    assert only(database).acknowledged_by is None


def test_a_press_after_the_clock_was_set_back_is_active_again(database: Database) -> None:
    apply(database, event(300))
    apply(database, event(300, 310))
    acknowledge(database, event(300).alarm_id, "王芳")
    assert only(database).state is State.NORMAL
    apply(database, event(60))
    assert only(database).state is State.UNACKNOWLEDGED
    apply(database, event(60, 70))
    assert only(database).state is State.RETURNED_UNACKNOWLEDGED


def test_a_second_press_counts_and_takes_the_acknowledgement_away_once(database: Database) -> None:
    apply(database, event(0))
    acknowledge(database, event(0).alarm_id, "王芳")
    apply(database, again(0, 3))
    alarm = only(database)
    assert (alarm.triggers, alarm.state) == (2, State.UNACKNOWLEDGED)
    assert alarm.last_raised_at_us == T0_US + 3 * SECOND_US
    acknowledge(database, event(0).alarm_id, "王芳")
    # The same press, delivered again, is no news; a third is.
    assert apply(database, again(0, 3), event(0)) == 0
    assert only(database).state is State.ACKNOWLEDGED
    apply(database, again(0, 4))
    assert (only(database).triggers, only(database).state) == (3, State.UNACKNOWLEDGED)
    apply(database, event(0, 9))
    assert only(database).state is State.RETURNED_UNACKNOWLEDGED


def test_a_second_press_that_comes_before_its_raise_is_shown_at_once(database: Database) -> None:
    apply(database, again(0, 3))
    early = only(database)
    assert (early.alarm_id, early.triggers, early.raised_at_us) == (event(0).alarm_id, 1, T0_US)
    apply(database, event(0))
    alarm = only(database)
    assert (alarm.alarm_id, alarm.triggers, alarm.received_at_us) == (early.alarm_id, 2, T0_US + 5)


def test_a_raise_that_comes_after_its_second_press_was_closed_opens_nothing(database: Database) -> None:
    apply(database, again(0, 3))
    close(database, event(0).alarm_id, "a", ClosingCode.GENUINE)
    apply(database, event(0))
    assert (only(database).triggers, only(database).stage) == (2, Stage.CLOSED)


def test_a_second_press_after_the_closing_opens_a_row_and_one_clear_ends_both(database: Database) -> None:
    apply(database, event(0))
    close(database, event(0).alarm_id, "a", ClosingCode.GENUINE)
    apply(database, again(0, 60))
    assert apply(database, again(0, 60)) == 0
    (alarm,) = list_alarms(database)
    assert alarm.alarm_id == alarm_id(event(0).source, T0_US + 60 * SECOND_US)
    assert (alarm.raised_at_us, alarm.triggers) == (T0_US + 60 * SECOND_US, 1)
    # The raise's own id still finds what was closed.
    assert find_alarm(database, event(0).alarm_id).stage is Stage.CLOSED
    apply(database, again(0, 61), event(0, 70))
    assert find_alarm(database, alarm.alarm_id).triggers == 2
    ends = {one.cleared_at_us for one in list_alarms(database, state="all")}
    assert ends == {T0_US + 70 * SECOND_US}
    close(database, alarm.alarm_id, "a", ClosingCode.GENUINE)
    apply(database, again(0, 62))
    assert len(list_alarms(database, state="all")) == 3


def test_a_test_is_a_row_of_its_own_and_ends_by_itself(database: Database) -> None:
    apply(database, event(0), tried(event(10)), again(10, 12, mode=Mode.TEST), tried(event(20), Mode.DRILL))
    live, tests = list_alarms(database, mode=Mode.LIVE), list_alarms(database, mode=Mode.TEST)
    assert [(one.alarm_id, one.triggers) for one in live] == [(event(0).alarm_id, 1)]
    assert [(one.alarm_id, one.triggers) for one in tests] == [(event(10).alarm_id, 2)]
    assert len(list_alarms(database)) == 3
    apply(database, tried(event(10, 13)), tried(event(20, 21), Mode.DRILL))
    assert [one.mode for one in list_alarms(database)] == [Mode.LIVE]
    assert [one.mode for one in list_alarms(database, state="all")] == [Mode.DRILL, Mode.TEST, Mode.LIVE]


def test_a_real_press_is_never_counted_to_a_test(database: Database) -> None:
    apply(database, tried(event(0)))
    apply(database, event(10), tried(event(20)))
    (live,) = list_alarms(database, mode=Mode.LIVE)
    assert (live.triggers, live.state) == (1, State.UNACKNOWLEDGED)
    acknowledge(database, live.alarm_id, "a")
    apply(database, again(20, 25, mode=Mode.TEST))
    assert list_alarms(database, mode=Mode.LIVE)[0].state is State.ACKNOWLEDGED


def test_a_clear_marks_the_row_and_a_person_closes_it(database: Database) -> None:
    apply(database, event(0), event(0, 5))
    alarm = only(database)
    assert (alarm.cleared_at_us, alarm.state) == (T0_US + 5 * SECOND_US, State.RETURNED_UNACKNOWLEDGED)
    acknowledge(database, alarm.alarm_id, "a")
    assert only(database).state is State.NORMAL
    closed = close(database, alarm.alarm_id, "王芳", ClosingCode.DRILL, "演练")
    assert closed == only(database)
    assert (closed.stage, closed.closing_code, closed.comment) == (Stage.CLOSED, ClosingCode.DRILL, "演练")
    assert (closed.closed_by, closed.acknowledged_by) == ("王芳", "a")
    assert list_alarms(database, state="open") == []


def test_the_clear_of_an_earlier_raise_does_not_clear_the_row(database: Database) -> None:
    apply(database, event(0), event(10), event(0, 11))
    assert only(database).cleared_at_us is None


def test_a_clear_waits_for_its_raise(database: Database) -> None:
    apply(database, event(0, 5))
    assert list_alarms(database, state="all") == []
    apply(database, event(0))
    assert only(database).cleared_at_us == T0_US + 5 * SECOND_US
    assert {row["occurrence"] for row in rows_of(database, alarm_event)} == {event(0).alarm_id}


def test_after_closing_a_raise_opens_a_new_row(database: Database) -> None:
    apply(database, event(0))
    close(database, event(0).alarm_id, "a", ClosingCode.GENUINE)
    apply(database, event(0), event(60))
    assert [alarm.stage for alarm in list_alarms(database, state="all")] == [Stage.RECEIVED, Stage.CLOSED]
    # The clear of the closed one is noted there.
    apply(database, event(0, 70))
    assert find_alarm(database, event(0).alarm_id).cleared_at_us == T0_US + 70 * SECOND_US
    assert find_alarm(database, event(60).alarm_id).cleared_at_us is None


def test_an_alarm_is_found_by_the_beginning_of_its_id(database: Database) -> None:
    apply(database, *[event(0, device=f"d{number}") for number in range(40)])
    ids = [alarm.alarm_id for alarm in list_alarms(database, limit=100)]
    assert len(ids) == 40
    assert find_alarm(database, ids[0][:12].upper()).alarm_id == ids[0]
    # Forty ids share sixteen first digits.
    digit = next(one for one in "0123456789abcdef" if sum(name.startswith(one) for name in ids) > 1)
    with pytest.raises(AmbiguousAlarmError) as caught:
        find_alarm(database, digit)
    assert set(caught.value.candidates) <= set(ids)
    for unknown in ("", "%", "f" * 24, "xyz"):
        with pytest.raises(UnknownAlarmError):
            find_alarm(database, unknown)


def test_a_closed_alarm_stays_as_it_is(database: Database) -> None:
    apply(database, event(0))
    closed = close(database, event(0).alarm_id, "a", ClosingCode.ACCIDENTAL)
    assert closed.acknowledged_by == "a"
    with pytest.raises(AlreadyClosedError):
        close(database, event(0).alarm_id, "b", ClosingCode.GENUINE)
    with pytest.raises(AlreadyClosedError):
        acknowledge(database, event(0).alarm_id, "b")
    assert only(database) == closed


def test_who_acknowledged_first_stays(database: Database) -> None:
    apply(database, event(0))
    first = acknowledge(database, event(0).alarm_id, "a\0\ud800")
    assert first.acknowledged_by == "a?"
    assert acknowledge(database, event(0).alarm_id, "b") == first


def test_the_list_is_the_latest_first_and_no_longer_than_asked(database: Database) -> None:
    apply(database, *[event(number, device=f"d{number}") for number in range(5)])
    assert [alarm.device for alarm in list_alarms(database, limit=2)] == ["d4", "d3"]
