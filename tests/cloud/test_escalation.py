"""Escalation on both servers, on a virtual clock: alarms are followed, steps are taken once, whoever takes them."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, select, update

from cloud.areas.places import find_places
from cloud.database import Database
from cloud.database.area_tables import duty, policy
from cloud.database.tables import occurrence
from cloud.desk.changes import Changed, What
from cloud.desk.keeping import keep
from cloud.escalation.follow import target_seconds
from cloud.escalation.plan import Hours, Policy, Step
from cloud.escalation.store import find_escalations
from cloud.escalation.taking import _claim, next_due_us, take_due
from contract.alarms import Mode, Severity
from tests.cloud.escalating import OPERATOR, RULES, S_US, T0_US, Town, raised_event, set_duty


@pytest.fixture
def town(desk_database: Database) -> Town:
    return Town(desk_database)


def test_a_critical_alarm_climbs_the_tree_until_somebody_acknowledges(town: Town) -> None:
    alarm = town.press()
    town.work()
    assert town.told(alarm) == [("alarm", "1-g"), ("alarm", "2-g")]
    assert town.next_s(alarm) == 60
    town.work(at_s=59.9)
    assert len(town.told(alarm)) == 2
    for at_s, where in ((60, "s"), (120, "t"), (180, "c"), (240, "p")):
        town.work(at_s=at_s)
        assert town.told(alarm)[-2:] == [("escalated", f"1-{where}"), ("escalated", f"2-{where}")]
    assert town.next_s(alarm) == 300
    town.now_us = T0_US + 250 * S_US
    town.acknowledge(alarm)
    town.work(at_s=300)
    assert len(town.told(alarm)) == 10
    assert [what for what, _why in town.history(alarm)] == ["raised", *["escalated"] * 5, "acknowledged"]


def test_history_says_step_and_people(town: Town) -> None:
    alarm = town.press()
    town.work(at_s=60)
    assert [why for what, why in town.history(alarm) if what == "escalated"] == [
        "round 1, step 1 of 5 (grid g), time 1: g 的人",
        "round 1, step 2 of 5 (street s), time 1: s 的人",
    ]


def test_the_target_is_that_of_the_nearest_policy(town: Town) -> None:
    town.say_policy("c", Severity.HIGH, Policy(target_s=900))
    town.say_policy("t", Severity.HIGH, Policy(target_s=600))
    wanted = [("p/c/t/s/g/", Severity.HIGH), ("p/c/", Severity.HIGH), ("", Severity.HIGH)]
    with town.database.transaction() as connection:
        assert target_seconds(connection, wanted) == dict(zip(wanted, (600, 900, 300), strict=True))
    assert town.alarm(town.press(severity=Severity.HIGH)).target_s == 600


def test_a_policy_that_nobody_can_read_keeps_no_alarm_from_being_stored(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    town.say_policy("g", Severity.CRITICAL, Policy(target_s=900))
    with town.database.transaction() as connection:
        connection.execute(update(policy).values(policy={"target_s": "soon"}))
    alarm = town.press()
    town.work()
    assert town.alarm(alarm).target_s == 300
    assert town.told(alarm) == [("alarm", "1-g"), ("alarm", "2-g")]
    assert "the policy of area g for critical alarms cannot be read" in caplog.text


def test_a_plan_is_that_of_the_moment_of_the_raise(town: Town) -> None:
    town.say_policy("p", Severity.HIGH, Policy(steps=(Step(), Step(wait_s=60, whom="next"))))
    alarm = town.press(severity=Severity.HIGH)
    town.say_policy("g", Severity.HIGH, Policy(steps=(Step(wait_s=600, whom="county"),)))
    town.work(at_s=60)
    assert [address for _kind, address in town.told(alarm)] == ["1-g", "1-s"]


def test_a_handover_after_the_raise_counts(town: Town) -> None:
    alarm = town.press()
    town.work()
    with town.database.transaction() as connection:
        connection.execute(update(duty).where(duty.c.area == "s").values(contact="at-p"))
    town.work(at_s=60)
    assert town.told(alarm)[-2:] == [("escalated", "1-p"), ("escalated", "2-p")]


def test_who_was_on_duty_at_the_raise_is_told_where_nobody_is_any_more(town: Town) -> None:
    alarm = town.press()
    town.work()
    with town.database.transaction() as connection:
        connection.execute(delete(duty).where(duty.c.area == "s"))
    town.work(at_s=60)
    assert town.told(alarm)[-2:] == [("escalated", "1-s"), ("escalated", "2-s")]


def test_where_nobody_is_on_duty_the_nearest_above_is_told(desk_database: Database) -> None:
    town = Town(desk_database, on_duty="tc")
    alarm = town.press()
    town.work()
    assert town.told(alarm) == [("alarm", "1-t"), ("alarm", "2-t")]


@pytest.mark.parametrize("gateway", ["gw", "unknown"])
def test_where_nobody_is_on_duty_at_all_or_no_area_is_known_the_fallback_is_told(
    desk_database: Database, gateway: str
) -> None:
    town = Town(desk_database, on_duty="")
    alarm = town.press(gateway=gateway)
    town.work()
    assert town.told(alarm) == [("alarm", "110")]
    assert town.history(alarm)[-1][1].endswith(": 值班室")
    assert town.next_s(alarm) is not None


def test_a_step_may_name_people_and_channels(town: Town) -> None:
    steps = (
        Step(contacts=("at-p",), channels=("phone",)),
        Step(wait_s=10, whom="contacts", contacts=("at-c", "nobody"), channels=("pigeon",)),
    )
    town.say_policy("g", Severity.MEDIUM, Policy(steps=steps))
    alarm = town.press(severity=Severity.MEDIUM)
    town.work(at_s=10)
    assert [address for _kind, address in town.told(alarm)] == ["1-c", "2-g", "2-p"]


@pytest.mark.parametrize("mode", [Mode.TEST, Mode.DRILL])
def test_tests_and_drills_are_never_told(town: Town, mode: Mode) -> None:
    alarm = town.press(mode=mode)
    town.work(at_s=10_000)
    assert (town.row(alarm), town.told()) == (None, [])


# What happens to an alarm


def test_an_acknowledgement_that_nothing_follows_begins_a_new_round(town: Town) -> None:
    town.say_user("wang", "at-c")
    alarm = town.press()
    town.work()
    town.now_us = T0_US + 10 * S_US
    town.acknowledge(alarm)
    town.work()
    assert town.next_s(alarm) == 130
    town.work(at_s=130)
    reminded = [address for kind, address in town.told(alarm) if kind == "reminder"]
    assert reminded == ["1-c", "1-g", "2-c", "2-g"]
    assert town.next_s(alarm) == 310
    town.work(at_s=310)
    after = town.alarm(alarm)
    assert (after.acknowledged_at_us, after.acknowledged_by) == (None, None)
    assert [address for kind, address in town.told(alarm) if kind == "unacknowledged"] == ["1-c", "2-c"]
    assert [what for what, _why in town.history(alarm)][-3:] == ["reminded", "unacknowledged", "escalated"]
    assert town.history(alarm)[-1][1].startswith("round 2, step 1 of 5 (grid g), time 1: ")
    assert town.next_s(alarm) == 370


@pytest.mark.parametrize(
    ("what", "fields", "why"),
    [
        (What.DISPATCHED, {"dispatched_at_us": T0_US, "dispatched_by": "li"}, "somebody was sent"),
        (What.ARRIVED, {"arrived_at_us": T0_US, "arrived_by": "li"}, "somebody is on scene"),
    ],
)
def test_whoever_goes_there_ends_the_reminders(town: Town, what: What, fields: dict[str, Any], why: str) -> None:
    alarm = town.press()
    town.work()
    town.acknowledge(alarm)
    town.change(alarm, what, **fields)
    town.work(at_s=1)
    assert town.idle(alarm) == why
    told = town.told(alarm)
    town.work(at_s=10_000)
    assert town.told(alarm) == told


def test_closing_ends_it(town: Town) -> None:
    alarm = town.press()
    town.work()
    town.close(alarm)
    assert town.row(alarm) is None
    town.work(at_s=10_000)
    assert len(town.told(alarm)) == 2


def test_a_cleared_alarm_is_told_on_until_somebody_acknowledges(town: Town) -> None:
    alarm = town.press()
    town.change(alarm, What.CLEARED, cleared_at_us=T0_US)
    town.work(at_s=60)
    assert len(town.told(alarm)) == 4


def test_a_shelved_alarm_is_silent_with_a_reason_and_begins_anew_after_it(town: Town) -> None:
    alarm = town.press()
    town.work()
    town.shelve(alarm)
    town.work(at_s=100)
    assert (town.idle(alarm), len(town.told(alarm))) == ("shelved", 2)
    town.unshelve(alarm)
    town.work()
    assert town.history(alarm)[-1][1].startswith("round 2, step 1 of 5")
    assert town.next_s(alarm) == 160


@pytest.mark.parametrize(
    ("fields", "why"),
    [({"suppressed_by": "gateway lost"}, "suppressed by design"), ({"out_of_service": True}, "out of service")],
)
def test_every_silence_has_its_reason(town: Town, fields: dict[str, Any], why: str) -> None:
    alarm = town.press()
    town.change(alarm, What.SUPPRESSED, **fields)
    town.work(at_s=100)
    assert (town.idle(alarm), town.told(alarm)) == (why, [])


def test_an_alarm_raised_in_silence_is_told_when_that_ends(town: Town) -> None:
    alarm = town.press()
    town.shelve(alarm)
    town.change(alarm, What.UNSHELVED, shelved_until_us=None)
    town.work()
    assert len(town.told(alarm)) == 2


def test_a_further_press_takes_the_acknowledgement_and_begins_a_round(town: Town) -> None:
    alarm = town.press()
    town.work()
    town.acknowledge(alarm)
    town.now_us = T0_US + 30 * S_US
    assert town.press() == alarm
    town.work()
    assert town.history(alarm)[-1][1].startswith("round 2, step 1 of 5")


def test_who_keeps_pressing_does_not_keep_the_alarm_from_climbing(town: Town) -> None:
    alarm = town.press()
    for at_s in range(0, 130, 10):
        town.work(at_s=at_s)
        town.press()
    assert [address for _kind, address in town.told(alarm) if address.startswith("1")] == ["1-g", "1-s", "1-t"]


def test_a_further_press_of_what_has_been_told_to_all_begins_a_round(town: Town) -> None:
    alarm = town.press(severity=Severity.LOW)
    town.work()
    assert town.idle(alarm) == "every step of its policy was taken"
    town.now_us += S_US
    town.press(severity=Severity.LOW)
    town.work()
    assert len(town.told(alarm)) == 2


def test_a_rise_in_severity_brings_the_plan_of_the_new_one(town: Town) -> None:
    alarm = town.press(severity=Severity.LOW)
    town.work()
    town.now_us = T0_US + 30 * S_US
    assert town.press(severity=Severity.CRITICAL) == alarm
    town.work()
    assert town.history(alarm)[-1][1].startswith("round 2, step 1 of 5")
    assert town.next_s(alarm) == 90


def test_an_alarm_that_gets_its_place_gets_its_plan(town: Town) -> None:
    alarm = town.press(gateway="unknown")
    town.work()
    with town.database.transaction() as connection:
        place = find_places(connection, [("gw", "button")])["gw", "button"]
    town.change(alarm, What.PLACED, site=place.site, area=place.area, area_path=place.area_path)
    town.work(at_s=1)
    assert town.told(alarm) == [("alarm", "110"), ("alarm", "1-g"), ("alarm", "2-g")]


def test_what_is_over_is_closed_where_the_policy_says_so(town: Town) -> None:
    town.say_policy("p", Severity.LOW, Policy(auto_close_after_s=600))
    alarm = town.press(severity=Severity.LOW)
    town.work()
    town.change(alarm, What.CLEARED, cleared_at_us=town.now_us)
    town.work(at_s=599)
    assert town.alarm(alarm).is_open
    town.work(at_s=600)
    closed = town.alarm(alarm)
    assert (closed.closed_by, closed.closing_code, closed.acknowledged_at_us) == ("desk", "unknown", None)
    assert (town.row(alarm), town.history(alarm)[-1][0]) == (None, "closed")


def test_outside_of_business_hours_nobody_is_told(town: Town) -> None:
    hours = Hours("09:00", "17:00")
    town.say_policy("p", Severity.MEDIUM, Policy(hours=hours))
    town.say_policy("p", Severity.CRITICAL, Policy(hours=hours))
    medium, critical = town.press("door", severity=Severity.MEDIUM), town.press()
    town.work()
    assert (town.told(medium), len(town.told(critical))) == ([], 2)
    assert town.next_s(medium) == 3_600
    town.work(at_s=3_600)
    assert len(town.told(medium)) == 1


# Workers

# SQLite has one writer at a time.
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def test_a_worker_that_comes_late_tells_each_step_once(town: Town) -> None:
    alarm = town.press()
    town.work(at_s=3_600)
    town.work(at_s=3_600)
    assert town.steps() == {
        (alarm, 1, step, time): 1
        for step, since_s in enumerate(range(0, 300, 60), 1)
        for time in range(1, (3_600 - since_s) // 300 + 2)
    }
    assert len(town.told(alarm)) == 10


def test_a_transaction_that_fails_leaves_the_step_to_the_next(town: Town) -> None:
    alarm = town.press()

    class KilledError(Exception):
        pass

    def killed() -> None:
        with town.database.transaction() as connection:
            assert take_due(connection, town.now_us, RULES) == 1
            raise KilledError

    with pytest.raises(KilledError):
        killed()
    assert (town.told(alarm), town.history(alarm)) == ([], [("raised", "")])
    town.work()
    assert len(town.told(alarm)) == 2


@on_postgresql
def test_what_one_worker_has_in_hand_another_passes_over(town: Town) -> None:
    one, other = town.press("one"), town.press("other")
    with town.database.transaction() as first, town.database.transaction() as second:
        assert take_due(first, town.now_us, RULES, limit=1) == 1
        # Not `take_due`: it would wait for the first before it writes history.
        assert [row.alarm_id for row in _claim(second, town.now_us, 10)] == [max(one, other)]
    town.work()
    assert len(town.told(one)) == len(town.told(other)) == 2


@on_postgresql
def test_an_alarm_that_changes_in_this_moment_is_left_alone_and_taken_after(town: Town) -> None:
    alarm = town.press()
    with town.database.transaction() as acknowledging:
        row = select(occurrence).where(occurrence.c.alarm_id == alarm).with_for_update()
        acknowledging.execute(row).one()
        with town.database.transaction() as working:
            assert take_due(working, town.now_us, RULES) == 0
            # And what was looked at is not held: or each would wait for the other.
            before = town.alarm(alarm)
            after = msgspec.structs.replace(before, acknowledged_at_us=town.now_us, acknowledged_by="wang")
            keep(acknowledging, [Changed(before, after, What.ACKNOWLEDGED, OPERATOR, town.now_us)])
    town.work(at_s=60)
    assert town.told(alarm) == []


def test_a_thousand_at_once_are_one_round_each(town: Town) -> None:
    events = [raised_event(f"button-{number}", Severity.CRITICAL, T0_US) for number in range(1_000)]
    town.apply(*events)
    town.work()
    assert len(town.told()) == 2_000
    assert set(town.steps().values()) == {1}
    with town.database.transaction() as connection:
        assert next_due_us(connection) == T0_US + 60 * S_US


def test_a_plan_can_be_asked_for(town: Town) -> None:
    alarm = town.press()
    town.work()
    with town.database.transaction() as connection:
        found = find_escalations(connection, [alarm, "no-such-alarm"])
    assert found.keys() == {alarm}
    assert [stage.on_duty for stage in found[alarm].plan.stages] == [(f"at-{one}",) for one in "gstcp"]
    assert found[alarm].progress.taken == (1, 0, 0, 0, 0)
    assert found[alarm].plan.line == tuple("gstcp")


def test_two_on_duty_are_both_told(town: Town) -> None:
    with town.database.transaction() as connection:
        set_duty(connection, "g", "at-p")
    alarm = town.press(severity=Severity.HIGH)
    town.work()
    assert [address for _kind, address in town.told(alarm)] == ["1-g", "1-p"]
