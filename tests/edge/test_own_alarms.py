from contract.alarms import AlarmEvent, Transition
from edge.own_alarms import OwnAlarms

FULL = "g/gateway/outbox/outbox-full"


def said(event: AlarmEvent | None) -> tuple[str, Transition, int, int] | None:
    return None if event is None else (event.source, event.transition, event.raised_at_us, event.at_us)


def test_an_alarm_is_said_when_it_begins_and_when_it_ends() -> None:
    alarms = OwnAlarms("g", active={})
    assert said(alarms.set("outbox-full", stands=True, at_us=5)) == (FULL, Transition.RAISED, 5, 5)
    assert alarms.set("outbox-full", stands=True, at_us=6) is None
    assert said(alarms.set("outbox-full", stands=False, at_us=7)) == (FULL, Transition.CLEARED, 5, 7)
    assert alarms.set("outbox-full", stands=False, at_us=8) is None


def test_what_was_mended_while_the_gateway_was_off_ends_once_the_disk_is_seen_to_be_well() -> None:
    alarms = OwnAlarms("g", active={FULL: 5, "g/d/b1/panic": 5})
    assert alarms.settle({"outbox-full"}, 8) == []
    assert [said(event) for event in alarms.settle(set(), 9)] == [(FULL, Transition.CLEARED, 5, 9)]
    assert alarms.settle(set(), 10) == []
