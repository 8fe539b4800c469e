import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, Connection, delete

from cloud.database import Database
from cloud.database.escalation_tables import escalation
from cloud.database.tables import alarm_event, change, control, occurrence
from cloud.desk import controls, operations
from cloud.desk.changes import Actor
from cloud.desk.controls import ControlKind
from cloud.desk.core import Alarm, ClosingCode, Stage
from cloud.desk.history import replay
from cloud.desk.life import State
from cloud.desk.operations import Action, allowed_actions, find_alarm, list_alarms
from cloud.desk.store import apply_events
from cloud.errors import (
    ActionRefusedError,
    AlarmError,
    AlreadyAcknowledgedError,
    AlreadyClosedError,
    AmbiguousAlarmError,
    ClosingError,
    ControlError,
    HistoryError,
    UnknownAlarmError,
)
from contract.alarms import AlarmEvent, Mode
from tests.cloud.rig import T0_US, rows_of, statements
from tests.cloud.test_desk_events import again, apply, arrival, check_history, event, memory, tried

WANG, LI = Actor("王芳", "10.0.0.7"), Actor("李强", "10.0.0.8")
MINUTE_US = 60_000_000
PRESS = event(0)
PRESS_LATCHING = event(1)


def do(database: Database, act: Any, alarm_id: str = PRESS.alarm_id, *, actor: Actor = WANG, **more: Any) -> Alarm:
    more.setdefault("now_us", T0_US + MINUTE_US)
    alarm: Alarm = database.run(partial(act, alarm_id=alarm_id, actor=actor, **more))
    return alarm


def close(database: Database, alarm_id: str = PRESS.alarm_id) -> Alarm:
    return do(database, operations.close, alarm_id, code=ClosingCode.GENUINE, comment="巡逻到场")


def test_the_whole_response(desk_database: Database) -> None:
    apply(desk_database, PRESS)
    assert find_alarm(desk_database, PRESS.alarm_id).stage is Stage.RECEIVED
    show = partial(operations.mark_shown, alarm_ids=[PRESS.alarm_id, "0" * 24], actor=WANG)
    assert desk_database.run(partial(show, now_us=T0_US + 1)) == 1
    assert desk_database.run(partial(show, now_us=T0_US + 2)) == 0
    stages = [
        do(desk_database, operations.acknowledge, PRESS.alarm_id[:9].upper(), now_us=T0_US + 10).stage,
        do(desk_database, operations.dispatch, why="巡逻四组", now_us=T0_US + 20).stage,
        do(desk_database, operations.arrive, now_us=T0_US + 30).stage,
        close(desk_database).stage,
    ]
    assert stages == [Stage.ACKNOWLEDGED, Stage.DISPATCHED, Stage.ON_SCENE, Stage.CLOSED]
    do(desk_database, operations.comment, why="记录已归档")
    alarm = find_alarm(desk_database, PRESS.alarm_id)
    clocks = alarm.shown_at_us, alarm.first_acknowledged_at_us, alarm.dispatched_at_us, alarm.arrived_at_us
    assert clocks == (T0_US + 1, T0_US + 10, T0_US + 20, T0_US + 30)
    written = [(row["what"], row["by"], row["origin"], row["why"]) for row in rows_of(desk_database, change)]
    assert written == [
        ("raised", "gateway", "mqtt", ""),
        ("shown", "王芳", "10.0.0.7", ""),
        ("acknowledged", "王芳", "10.0.0.7", ""),
        ("dispatched", "王芳", "10.0.0.7", "巡逻四组"),
        ("arrived", "王芳", "10.0.0.7", ""),
        ("closed", "王芳", "10.0.0.7", "巡逻到场"),
        ("commented", "王芳", "10.0.0.7", "记录已归档"),
    ]
    check_history(desk_database)


def test_who_is_on_scene_was_sent_and_has_acknowledged(desk_database: Database) -> None:
    apply(desk_database, PRESS)
    alarm = do(desk_database, operations.arrive, now_us=T0_US + 5)
    assert (alarm.acknowledged_by, alarm.dispatched_by, alarm.arrived_by) == ("王芳",) * 3
    clocks = alarm.shown_at_us, alarm.first_acknowledged_at_us, alarm.dispatched_at_us, alarm.arrived_at_us
    assert clocks == (T0_US + 5,) * 4


def test_a_further_press_leaves_the_stage_and_the_first_acknowledgement(desk_database: Database) -> None:
    apply(desk_database, PRESS)
    do(desk_database, operations.dispatch, now_us=T0_US + 7)
    apply(desk_database, again(0, 3))
    alarm = find_alarm(desk_database, PRESS.alarm_id)
    assert (alarm.state, alarm.stage) == (State.UNACKNOWLEDGED, Stage.DISPATCHED)
    alarm = do(desk_database, operations.acknowledge, actor=LI)
    assert (alarm.acknowledged_by, alarm.first_acknowledged_at_us) == ("李强", T0_US + 7)


def test_of_two_operators_at_once_one_wins_and_the_other_is_told(database_url: URL) -> None:
    with Database(database_url) as one, Database(database_url) as two:
        one.migrate()
        apply(one, PRESS)
        together = threading.Barrier(2)

        def acknowledge(database: Database, actor: Actor) -> Alarm | AlreadyAcknowledgedError:
            together.wait(20)
            try:
                return do(database, operations.acknowledge, actor=actor)
            except AlreadyAcknowledgedError as error:
                return error

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(acknowledge, (one, two), (WANG, LI)))
    (lost,) = [entry for entry in found if isinstance(entry, AlreadyAcknowledgedError)]
    (won,) = [entry for entry in found if isinstance(entry, Alarm)]
    assert (lost.by, lost.at_us) == (won.acknowledged_by, won.acknowledged_at_us)
    assert (lost.state, lost.stage, lost.action) == ("acknowledged", "acknowledged", "acknowledge")
    assert lost.allowed == ("dispatch", "arrive", "close", "comment", "shelve")


def test_a_latched_alarm_waits_for_its_reset(desk_database: Database) -> None:
    apply(desk_database, PRESS_LATCHING)
    alarm_id = PRESS_LATCHING.alarm_id
    with pytest.raises(ActionRefusedError) as caught:
        do(desk_database, operations.reset, alarm_id)
    assert (caught.value.state, caught.value.stage) == ("unacknowledged", "received")
    apply(desk_database, event(1, 9))
    assert find_alarm(desk_database, alarm_id).state is State.LATCHED_UNACKNOWLEDGED
    assert Action.RESET in allowed_actions(do(desk_database, operations.acknowledge, alarm_id))
    assert find_alarm(desk_database, alarm_id).state is State.LATCHED_ACKNOWLEDGED
    assert do(desk_database, operations.reset, alarm_id).state is State.NORMAL
    apply(desk_database, event(3), event(3, 5))
    assert find_alarm(desk_database, alarm_id).state is State.LATCHED_UNACKNOWLEDGED
    closed = close(desk_database, alarm_id)
    assert (closed.latched, closed.stage) == (False, Stage.CLOSED)
    check_history(desk_database)


def test_a_closed_alarm_stays_as_it_is(desk_database: Database) -> None:
    apply(desk_database, PRESS)
    closed = close(desk_database)
    for act in (operations.acknowledge, operations.dispatch, operations.arrive, operations.reset):
        with pytest.raises(AlreadyClosedError) as caught:
            do(desk_database, act, actor=LI)
        assert (caught.value.by, caught.value.at_us, caught.value.allowed) == (
            "王芳",
            closed.closed_at_us,
            ("comment",),
        )
    with pytest.raises(AlreadyClosedError):
        close(desk_database)
    with pytest.raises(AlreadyClosedError):
        shelve(desk_database)
    assert find_alarm(desk_database, PRESS.alarm_id) == closed


def test_a_live_alarm_is_closed_with_a_comment_and_a_test_without(desk_database: Database) -> None:
    test = tried(event(20))
    apply(desk_database, PRESS, test)
    with pytest.raises(ClosingError):
        do(desk_database, operations.close, code=ClosingCode.GENUINE, comment=" \n")
    assert do(desk_database, operations.close, test.alarm_id, code=ClosingCode.DRILL).stage is Stage.CLOSED


def test_what_was_pressed_since_somebody_looked_is_not_acknowledged(desk_database: Database) -> None:
    apply(desk_database, PRESS, again(0, 3))
    with pytest.raises(ActionRefusedError, match="1 times more"):
        do(desk_database, operations.acknowledge, seen_triggers=1)
    assert do(desk_database, operations.acknowledge, seen_triggers=2).state is State.ACKNOWLEDGED


def test_names_and_words_from_outside_are_made_storable(desk_database: Database) -> None:
    apply(desk_database, PRESS)
    alarm = do(desk_database, operations.acknowledge, actor=Actor("a\0\ud800" + "b" * 300, "x" * 300), why="\0好")
    assert alarm.acknowledged_by == "a?" + "b" * 197
    assert rows_of(desk_database, change)[-1]["why"] == "好"


def test_an_alarm_is_found_by_the_beginning_of_its_id_and_by_a_later_raise(desk_database: Database) -> None:
    apply(desk_database, *[event(0, device=f"d{number}") for number in range(40)])
    ids = [alarm.alarm_id for alarm in list_alarms(desk_database, limit=100)]
    assert len(ids) == 40
    assert find_alarm(desk_database, ids[0][:12].upper()).alarm_id == ids[0]
    later = event(30, device="d7")
    apply(desk_database, later)
    assert find_alarm(desk_database, later.alarm_id).device == "d7"
    # Forty ids share sixteen first digits.
    digit = next(one for one in "0123456789abcdef" if sum(name.startswith(one) for name in ids) > 1)
    with pytest.raises(AmbiguousAlarmError) as caught:
        find_alarm(desk_database, digit)
    assert caught.value.candidates
    for unknown in ("", "%", "f" * 24, "xyz", "f" * 25):
        with pytest.raises(UnknownAlarmError):
            find_alarm(desk_database, unknown)


def shelve(database: Database, alarm_id: str = PRESS.alarm_id, *, minutes: int = 30, why: str = "施工") -> Alarm:
    now_us = T0_US + MINUTE_US
    return do(database, operations.shelve, alarm_id, now_us=now_us, why=why, until_us=now_us + minutes * MINUTE_US)


def test_a_shelf_ends_by_itself_and_what_lasts_is_news(desk_database: Database) -> None:
    apply(desk_database, PRESS)
    do(desk_database, operations.acknowledge)
    shelved = shelve(desk_database)
    assert (shelved.state, shelved.shelved_until_us) == (State.SHELVED, T0_US + 31 * MINUTE_US)
    (lasting,) = desk_database.run(controls.list_controls)
    assert (lasting.target, lasting.by, lasting.why) == (PRESS.source, "王芳", "施工")
    # What comes meanwhile is stored, unheard, and so is a new alarm of the source.
    apply(desk_database, again(0, 3))
    close(desk_database)
    apply(desk_database, event(100))
    assert find_alarm(desk_database, event(100).alarm_id).state is State.SHELVED
    with pytest.raises(ActionRefusedError):
        shelve(desk_database, event(100).alarm_id)
    early, due = T0_US + 31 * MINUTE_US - 1, T0_US + 31 * MINUTE_US
    assert desk_database.run(partial(controls.end_expired, now_us=early)) == 0
    assert desk_database.run(partial(controls.end_expired, now_us=due)) == 1
    alarm = find_alarm(desk_database, event(100).alarm_id)
    assert (alarm.state, alarm.shelved_until_us) == (State.UNACKNOWLEDGED, None)
    assert desk_database.run(controls.list_controls) == []
    check_history(desk_database)


def test_who_ends_many_shelves_locks_before_he_writes_history(desk_database: Database) -> None:
    """The other way round he would wait for who acknowledges, who waits for the history."""
    presses = [arrival(msgspec.structs.replace(event(0), device=f"button-{number}")) for number in range(3)]
    desk_database.run(partial(apply_events, arrivals=presses))
    for one in presses:
        shelve(desk_database, one.event.alarm_id)
    # One alarm under two controls that end together.
    device = "/".join(presses[0].event.source.split("/")[:2])
    shelving = partial(controls.begin, kind=ControlKind.SHELVED, target=device, actor=WANG, why="x")
    desk_database.run(partial(shelving, now_us=T0_US + MINUTE_US, until_us=T0_US + 20 * MINUTE_US))
    with statements() as said:
        assert desk_database.run(partial(controls.end_expired, now_us=T0_US + 60 * MINUTE_US)) == 4
    history = next(number for number, one in enumerate(said) if one.startswith("INSERT INTO change"))
    assert not [one for one in said[history:] if "FROM occurrence" in one]
    assert {alarm.state for alarm in list_alarms(desk_database)} == {State.UNACKNOWLEDGED}
    check_history(desk_database)


def test_a_long_list_is_locked_before_any_of_it_is_written(desk_database: Database) -> None:
    presses = [arrival(msgspec.structs.replace(event(0), device=f"button-{number}")) for number in range(501)]
    desk_database.run(partial(apply_events, arrivals=presses))
    ids = [one.event.alarm_id for one in presses]
    with statements() as said:
        shown = partial(operations.mark_shown, alarm_ids=ids, actor=WANG, now_us=T0_US + MINUTE_US)
        assert desk_database.run(shown) == len(ids)
    history = next(number for number, one in enumerate(said) if one.startswith("INSERT INTO change"))
    assert not [one for one in said[history:] if "FROM occurrence" in one]


def test_shelving_needs_a_reason_and_an_end_that_is_not_too_far(desk_database: Database) -> None:
    apply(desk_database, PRESS)
    for minutes, why in ((30, " "), (8 * 60 + 1, "x"), (0, "x"), (-5, "x")):
        with pytest.raises(ControlError):
            shelve(desk_database, minutes=minutes, why=why)
    assert find_alarm(desk_database, PRESS.alarm_id).state is State.UNACKNOWLEDGED
    shelve(desk_database, minutes=8 * 60)
    assert do(desk_database, operations.unshelve).state is State.UNACKNOWLEDGED


def begin(database: Database, kind: ControlKind, target: str) -> None:
    database.run(partial(controls.begin, kind=kind, target=target, actor=WANG, why="维护", now_us=T0_US))


def end(database: Database, kind: ControlKind, target: str) -> None:
    database.run(partial(controls.end, kind=kind, target=target, actor=WANG, now_us=T0_US + 9))


@pytest.mark.parametrize(
    ("kind", "state"),
    [(ControlKind.OUT_OF_SERVICE, State.OUT_OF_SERVICE), (ControlKind.SUPPRESSED, State.SUPPRESSED_BY_DESIGN)],
)
def test_a_control_holds_for_all_that_lies_under_its_target(
    desk_database: Database, kind: ControlKind, state: State
) -> None:
    inside, beside = event(0, device="door"), event(0, device="door2")
    apply(desk_database, inside, beside)
    begin(desk_database, kind, "g1/door")
    begin(desk_database, kind, inside.source)
    later = msgspec.structs.replace(inside, rule="other")
    apply(desk_database, later)
    states = {alarm.source: alarm.state for alarm in list_alarms(desk_database)}
    assert states == {inside.source: state, later.source: state, beside.source: State.UNACKNOWLEDGED}
    with pytest.raises(ControlError):
        begin(desk_database, kind, "g1/door")
    # One of two that lie over each other ends: the other still holds.
    end(desk_database, kind, "g1/door")
    states = {alarm.source: alarm.state for alarm in list_alarms(desk_database)}
    assert states == {inside.source: state, later.source: State.UNACKNOWLEDGED, beside.source: State.UNACKNOWLEDGED}
    end(desk_database, kind, inside.source)
    assert {alarm.state for alarm in list_alarms(desk_database)} == {State.UNACKNOWLEDGED}
    with pytest.raises(ControlError):
        end(desk_database, kind, inside.source)
    check_history(desk_database)


@pytest.mark.parametrize("target", ["", "/", "g1/", "a/b/c/d/e", "g" * 260])
def test_a_target_is_made_of_whole_names(desk_database: Database, target: str) -> None:
    with pytest.raises(ControlError):
        begin(desk_database, ControlKind.SUPPRESSED, target)


def test_a_history_written_by_hand_is_noticed() -> None:
    with pytest.raises(HistoryError):
        replay([{"alarm_id": (None, "a")}])
    with pytest.raises(HistoryError):
        replay([{"alarm_id": (None, "a")}, {"alarm_id": ("b", "c")}])


def test_two_desks_and_the_same_burst_end_in_one_row_a_source(database_url: URL) -> None:
    presses = [event(second, device=f"d{second % 20}") for second in range(200)]
    with Database(database_url) as one, Database(database_url) as two:
        one.migrate()
        with ThreadPoolExecutor(2) as pool:
            halves = [(one, presses), (two, presses[::-1])]
            counts = pool.map(lambda half: [apply(half[0], *half[1][at : at + 50]) for at in range(0, 200, 50)], halves)
            assert sum(sum(count) for count in counts) == 200
        assert sorted(alarm.triggers for alarm in list_alarms(one)) == [10] * 20
        check_history(one)


ACTS = st.sampled_from(["raise", "again", "clear", "test", *Action])


def _act(connection: Connection, word: str, number: int, now_us: int) -> None:
    """Let one thing happen to the first source."""
    raised_s = number % 4
    events: dict[str, AlarmEvent] = {
        "raise": event(number),
        "again": again(raised_s, raised_s + number / 7 + 0.001),
        "clear": event(raised_s, raised_s + 40),
        "test": tried(event(number + 1000), Mode.TEST),
    }
    if word in events:
        apply_events(connection, [arrival(events[word])])
        return
    target: dict[str, Any] = {"alarm_id": event(raised_s).alarm_id, "actor": WANG, "now_us": now_us}
    more: dict[str, dict[str, Any]] = {
        "close": {"code": ClosingCode.GENUINE, "comment": "x"},
        "comment": {"why": "x"},
        "shelve": {"why": "x", "until_us": now_us + MINUTE_US},
    }
    if word == "show":
        operations.mark_shown(connection, [target["alarm_id"]], actor=WANG, now_us=now_us)
    else:
        getattr(operations, word)(connection, **target, **more.get(word, {}))


@settings(max_examples=60)
@given(st.lists(st.tuples(ACTS, st.integers(0, 12)), max_size=25))
def test_whatever_happens_history_explains_state_and_one_row_a_source_is_open(story: list[tuple[str, int]]) -> None:
    database = memory()

    def clean(connection: Connection) -> None:
        for table in (escalation, alarm_event, occurrence, change, control):
            connection.execute(delete(table))

    database.run(clean)
    for number, (word, which) in enumerate(story):
        try:
            database.run(partial(_act, word=word, number=which, now_us=T0_US + number))
        except AlarmError:
            # Refused or not there; then nothing has changed, which the history shows.
            continue
    check_history(database)
    alarms = list_alarms(database, state="all")
    live = [alarm.source for alarm in alarms if alarm.open_key is not None]
    assert len(live) == len(set(live))
    for alarm in alarms:
        assert not alarm.latched or (alarm.cleared_at_us is not None and alarm.is_open)
        assert (alarm.acknowledged_at_us is None) == (alarm.acknowledged_by is None)
        assert alarm.is_open or alarm.acknowledged_at_us is not None
