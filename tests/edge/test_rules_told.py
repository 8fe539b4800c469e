"""Alarms that devices say by themselves: they go the way of the rules' alarms, and their number is bounded."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contract.alarms import AlarmEvent, Mode, Severity, decode_alarm, encode_alarm
from contract.ids import is_id
from contract.limits import MIN_TIME_US
from contract.telemetry import Value
from device_profiles.model import ContactRule
from device_profiles.speech.said import Report
from edge.rules import Judge, UnknownSourceError, read_standings
from edge.rules.hold_up import APART_S
from edge.rules.told import FLOOD_S, MAX_TOLD
from tests.edge.rules_rig import TEXT, Rig, at_us, placed

PANIC = ContactRule("panic", ("b",), "panic", Severity.CRITICAL, TEXT)


def report(
    rule: str = "e130", kind: str = "burglary", point: str = "zone-7", *, ends: float | None = None, is_on: bool = True,
    text: Mapping[str, str] | None = None, value: Value | None = None,
) -> Report:  # fmt: skip
    return Report(
        point=point, rule=rule, kind=kind, severity=Severity.HIGH, text=dict(text or TEXT), is_on=is_on,
        ends_after_s=ends, value=value,
    )  # fmt: skip


def tell(rig: Rig, at_s: float, said: Report, device: str = "d") -> list[str]:
    before = rig.wait(at_s)
    return before + rig.take(rig.judge.told(device, said, at_s, at_us(at_s)))


def test_an_alarm_is_raised_once_and_ends_when_the_device_says_so() -> None:
    rig = Rig()
    assert tell(rig, 0, report(value="key 3")) == ["e130 raised"]
    assert tell(rig, 1, report()) == [], "it stands already"
    assert tell(rig, 2, report(is_on=False)) == ["e130 cleared"]
    assert tell(rig, 3, report(is_on=False)) == [], "nothing stands"
    raised, cleared = rig.events
    assert (raised.source, raised.kind, raised.value) == ("g/d/zone-7/e130", "burglary", "key 3")
    assert raised.alarm_id == cleared.alarm_id
    assert rig.kept == {}


@pytest.mark.parametrize("kind", ["panic", "tamper", "duress"])
def test_every_repeat_of_a_cry_for_help_is_said(kind: str) -> None:
    rig = Rig()
    assert [tell(rig, at, report(kind=kind)) for at in range(3)] == [
        ["e130 raised"], ["e130 retriggered"], ["e130 retriggered"],
    ]  # fmt: skip
    assert len({event.event_id for event in rig.events}) == 3


def test_an_alarm_ends_by_the_clock_when_it_is_no_longer_said() -> None:
    rig = Rig()
    tell(rig, 0, report(ends=10))
    assert tell(rig, 6, report(ends=10)) == []
    assert rig.wait(15.9) == []
    assert rig.wait(16) == ["e130 cleared"]
    assert rig.judge.next_at() is None


def test_the_site_s_label_stands_in_the_text() -> None:
    one = placed("d", (), labels={"zone-7": "gate house"})
    one = replace(one, device=replace(one.device, name="host"))
    judge = Judge("g", [one], active={})
    here, there = (judge.told("d", report(point=point), 0, at_us(0)).events[0] for point in ("zone-7", "zone-8"))
    assert here.text["en"] == "alarm at gate house"
    assert there.text["en"] == "alarm at host zone-8"


def test_a_restart_neither_repeats_nor_forgets_it_and_its_time_begins_anew() -> None:
    before = Rig()
    tell(before, 0, report(ends=10, text={"en": "fire at {label}"}))
    after = Rig(kept=before.kept, at_s=100)
    assert after.wait(100) == []
    assert tell(after, 105, report(ends=10)) == []
    assert after.wait(115) == ["e130 cleared"]
    raised, cleared = before.events[0], after.events[0]
    assert raised.alarm_id == cleared.alarm_id
    assert (cleared.kind, cleared.severity, cleared.text) == (raised.kind, raised.severity, raised.text)


def test_a_rule_and_a_device_that_use_one_name_do_not_mix() -> None:
    rig = Rig(PANIC)
    rig.hear(0, True)
    assert tell(rig, 1, report("panic", "panic", "b")) == ["told.panic raised"]
    assert rig.hear(2, False) == ["panic cleared"]
    assert rig.judge.standing().keys() == {"g/d/b/told.panic"}


def test_tests_and_drills_mark_it_and_what_lasts_past_a_test_is_raised_live() -> None:
    rig = Rig()
    rig.set_mode(0, Mode.TEST, 60)
    assert tell(rig, 1, report(kind="panic")) == ["e130 raised test"]
    assert rig.wait(60) == ["e130 cleared test", "e130 raised"]


def test_two_told_presses_apart_are_a_verified_hold_up_which_ends_with_them() -> None:
    rig = Rig()
    tell(rig, 0, report(kind="panic", point="zone-1"))
    assert tell(rig, APART_S + 1, report(kind="panic", point="zone-2")) == ["e130 raised", "verified raised"]
    assert tell(rig, 200, report(kind="panic", point="zone-1", is_on=False)) == ["e130 cleared"]
    assert tell(rig, 201, report(kind="panic", point="zone-2", is_on=False)) == ["e130 cleared", "verified cleared"]


def test_a_told_tamper_bears_out_the_press_of_a_rule() -> None:
    rig = Rig(PANIC)
    rig.hear(0, True)
    assert tell(rig, 5, report(kind="tamper")) == ["e130 raised", "verified raised"]


def test_a_reset_ends_what_no_device_will_end() -> None:
    rig = Rig()
    tell(rig, 0, report(kind="panic"))
    assert rig.reset(1, "g/d/zone-7/e130") == ["e130 cleared"]
    assert rig.reset(2, "g/d/zone-7/e130") == []
    assert tell(rig, 3, report(kind="panic")) == ["e130 raised"]
    with pytest.raises(UnknownSourceError):
        rig.reset(4, "g/d/zone-8/e130")


def test_a_device_that_says_too_much_is_cut_off_and_said_so_once() -> None:
    rig = Rig()
    for number in range(MAX_TOLD):
        assert tell(rig, 0, report(point=f"zone-{number}")) == ["e130 raised"]
    assert [tell(rig, at, report(point=f"more-{at}")) for at in (1, 2, 3)] == [["flood raised"], [], []]
    assert rig.judge.told_refused == 3
    assert tell(rig, 4, report(kind="panic", point="button")) == ["e130 raised"], "a press has room of its own"
    assert tell(rig, 5, report(), device="other") == ["e130 raised"], "so has another device"
    assert rig.wait(3 + FLOOD_S) == ["flood cleared"]


def test_the_oldest_that_is_over_makes_room() -> None:
    rig = Rig()
    for number in range(3 * MAX_TOLD):
        tell(rig, number, report(point=f"zone-{number}"))
        tell(rig, number + 0.5, report(point=f"zone-{number}", is_on=False))
    assert rig.judge.told_refused == 0
    with pytest.raises(UnknownSourceError):
        rig.reset(9_999, "g/d/zone-0/e130")
    rig.reset(9_999, f"g/d/zone-{3 * MAX_TOLD - 1}/e130")


def test_a_device_may_speak_of_the_flood_itself() -> None:
    rig = Rig()
    for number in range(MAX_TOLD + 1):
        tell(rig, 0, report(point=f"zone-{number}"))
    assert tell(rig, 1, report("flood", "flood", "told")) == []
    assert tell(rig, 2, report("flood", "flood", "told", is_on=False)) == ["flood cleared"]


@given(st.text(max_size=90), st.text(max_size=90), st.text(max_size=90), st.text(max_size=2_000))
def test_whatever_a_device_says_the_wire_takes_it(point: str, rule: str, kind: str, words: str) -> None:
    said = Report(
        point=point, rule=rule, kind=kind, severity=Severity.HIGH, value=words,
        text={f"x{number}": words for number in range(9)},
    )  # fmt: skip
    judge = Judge("g", [placed("d", ())], active={}, at_us=MIN_TIME_US)
    (event,) = judge.told("d", said, 0, MIN_TIME_US).events
    assert all(is_id(word) for word in (event.point, event.rule, event.kind))
    assert decode_alarm(encode_alarm(event), gateway="g") == event


POINTS = ("zone-1", "zone-2")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "end", "wait", "reset", "restart"]), st.sampled_from(POINTS), st.sampled_from([0, 1, 7])
    ),
    max_size=40,
)


class Model:
    """What should stand, told in the plainest way: by point, until when."""

    def __init__(self, ends: float | None) -> None:
        self.ends, self.until = ends, dict[str, float | None]()

    def expire(self, now: float) -> int:
        over = [point for point, until in self.until.items() if until is not None and until <= now]
        for point in over:
            del self.until[point]
        return len(over)

    def renew(self, now: float) -> None:
        self.until = dict.fromkeys(self.until, None if self.ends is None else now + self.ends)


@given(STEPS, st.sampled_from(["panic", "burglary"]), st.sampled_from([None, 5.0]))
def test_what_stands_is_what_was_said_and_neither_ended_nor_grew_old(
    steps: list[tuple[str, str, int]], kind: str, ends: float | None
) -> None:
    rig, model, now, events = Rig(), Model(ends), 0.0, list[AlarmEvent]()
    for step, point, pause in steps:
        now += pause
        assert len(plain(rig.wait(now))) == model.expire(now)
        if step == "say":
            is_news = kind == "panic" or point not in model.until
            assert len(plain(tell(rig, now, report(kind=kind, point=point, ends=ends)))) == is_news
            model.until[point] = None if ends is None else now + ends
        elif step == "reset" and point in model.until:
            assert plain(rig.reset(now, f"g/d/{point}/e130")) == ["e130 cleared"]
            model.until.pop(point)
        elif step in ("end", "reset"):
            off = report(kind=kind, point=point, ends=ends, is_on=False)
            assert len(plain(tell(rig, now, off))) == (point in model.until)
            model.until.pop(point, None)
        elif step == "restart":
            events += rig.events
            rig = Rig(kept=rig.kept, at_s=now)
            model.renew(now)
        assert {source.split("/")[2] for source in rig.standing() if "e130" in source} == set(model.until)
    events += rig.events
    assert len({event.event_id for event in events}) == len(events)
    assert all(event.at_us >= event.raised_at_us for event in events)


def plain(said: list[str]) -> list[str]:
    """What was said of the alarm itself; that a hold-up is verified follows from it."""
    return [words for words in said if not words.startswith("verified")]


def test_a_damaged_note_is_as_if_nothing_stood() -> None:
    assert read_standings({"g/d/zone-7/e130": b'{"raised_at_us":1,"told":{"kind":7}}'}) == {}
