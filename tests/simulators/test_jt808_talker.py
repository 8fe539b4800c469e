"""A simulated vehicle terminal against the gateway's conversation, in virtual time: outages, presses, keys."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_profiles.speech.jt808 import Jt808, Jt808Shared, make_jt808
from device_profiles.speech.said import Heard, Moment, Report, Said, Speaker
from simulators.errors import SimulatorError
from simulators.talkers.jt808 import Jt808Talker

START_US = 1_795_348_800_000_000
PHONE = "13912345678"


class Road:
    """A terminal and the platform; `is_up` is their connection, `keeps` the platform's disk."""

    def __init__(self, *, is_2019: bool = False, secret: bytes = b"", code: str | None = None) -> None:
        self.now, self.is_up, self.keeps = 0.0, False, True
        self.terminal = Jt808Talker(PHONE, is_2019=is_2019, code=code, wall_us=lambda: START_US + int(self.now * 1e6))
        self.speaker, self.shared = Speaker(device="bus-1", address="0" + PHONE, secret=secret), Jt808Shared()
        self.speech: Jt808 = make_jt808([self.speaker], profiles={}, shared=self.shared)
        self.heard: list[Heard] = []
        self.refused: list[str] = []

    def moment(self) -> Moment:
        return Moment(self.now, START_US + int(self.now * 1e6))

    def connect(self) -> None:
        self.is_up = True
        self.speech = make_jt808([self.speaker], profiles={}, shared=self.shared)
        self.cross(self.terminal.open(self.now))

    def cross(self, data: bytes) -> None:
        while data and self.is_up:
            answers = self.take(self.speech.hear(data, self.moment()))
            data = self.terminal.hear(answers, self.now)

    def take(self, saids: list[Said]) -> bytes:
        answers = b""
        for said in saids:
            self.refused += [said.refused] if said.refused else []
            answers += said.send
            if said.token is None or self.keeps:
                self.heard += said.heard
            if said.token is not None and self.keeps:
                answers += self.take(self.speech.kept(said.token, self.moment()))
        return answers

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.is_up and (at := self.terminal.next_at()) is not None and at <= until:
            self.now = max(self.now, at)
            self.cross(self.terminal.speak(self.now))
        self.now = until

    @property
    def times(self) -> list[int]:
        return [one.at_us for one in self.heard if one.at_us is not None]

    def reports(self, rule: str) -> list[Report]:
        return [report for one in self.heard for report in one.reports if report.rule == rule]


@pytest.mark.parametrize("is_2019", [False, True])
def test_it_registers_authenticates_and_reports(is_2019: bool) -> None:  # noqa: FBT001
    road = Road(is_2019=is_2019)
    road.connect()
    road.run(65)
    assert len(set(road.times)) == 7
    assert road.refused == []
    assert (road.terminal.answered, road.terminal.kept) == (7, {})
    values = dict(road.heard[-1].values)
    assert {"latitude", "longitude", "vehicle_speed", "course", "mileage", "fuel", "signal"} <= values.keys()
    assert road.heard[-1].address == "0" + PHONE


@pytest.mark.parametrize("is_2019", [False, True])
def test_with_a_key_it_authenticates_at_once(is_2019: bool) -> None:  # noqa: FBT001
    road = Road(is_2019=is_2019, secret=b"k3y", code="k3y")
    road.connect()
    road.run(5)
    assert road.refused == []
    assert len(road.times) == 1


def test_with_a_wrong_key_nothing_it_says_counts() -> None:
    road = Road(secret=b"k3y", code="guess")
    road.connect()
    road.run(60)
    assert road.times == []


def test_an_outage_costs_no_report() -> None:
    road = Road()
    road.connect()
    road.run(60)
    road.is_up = False
    road.run(600)
    road.connect()
    road.run(60)
    assert len(set(road.times)) == 73
    assert {b - a for a, b in zip(sorted(set(road.times)), sorted(set(road.times))[1:], strict=False)} == {10_000_000}
    assert road.terminal.kept == {}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["up", "down", "full", "room"]), st.floats(0, 200)), max_size=10))
def test_whatever_happens_no_report_is_lost(happens: list[tuple[str, float]]) -> None:
    road = Road()
    road.connect()
    for what, seconds in [*happens, ("room", 0.0), ("up", 60.0)]:
        if what == "up":
            road.connect()
        elif what == "down":
            road.is_up = False
        else:
            road.keeps = what == "room"
        road.run(seconds)
    assert road.terminal.lost == 0
    assert len(set(road.times)) >= road.terminal.answered
    assert road.terminal.answered + len(road.terminal.kept) == road.terminal._number
    assert len(road.terminal.kept) == 0


def test_a_press_is_heard_at_once_and_its_bit_cleared_by_the_answer() -> None:
    road = Road()
    road.connect()
    road.run(15)
    road.cross(road.terminal.press("button", road.now))
    (press,) = road.reports("emergency")
    assert (press.is_on, press.kind) == (True, "panic")
    road.run(25)
    road.cross(road.terminal.press("button", road.now))
    assert len(road.reports("emergency")) == 2


def test_a_press_during_an_outage_is_heard_with_its_time() -> None:
    road = Road()
    road.connect()
    road.run(20)
    road.keeps = False
    road.cross(road.terminal.press("button", road.now))
    pressed_us = START_US + int(road.now * 1e6)
    road.is_up = False
    road.run(300)
    road.keeps = True
    road.shared._alarms.clear()  # the gateway began anew as well
    road.connect()
    at = {one.at_us for one in road.heard for report in one.reports if report.rule == "emergency"}
    assert pressed_us in at


def test_a_state_stands_until_it_is_over() -> None:
    road = Road()
    road.connect()
    road.cross(road.terminal.set("stolen", value=True, now=0.0))
    road.run(100)
    road.cross(road.terminal.set("stolen", value=False, now=road.now))
    assert [one.is_on for one in road.reports("stolen")] == [True, False]


def test_what_it_has_not_cannot_be_set() -> None:
    terminal = Jt808Talker(PHONE, wall_us=lambda: START_US)
    with pytest.raises(SimulatorError, match="no siren"):
        terminal.press("siren", 0.0)
    with pytest.raises(SimulatorError, match="latitude"):
        terminal.set("latitude", "north", 0.0)


def test_the_same_seed_drives_the_same_way() -> None:
    one, other, third = (Jt808Talker(PHONE, seed=seed, wall_us=lambda: START_US) for seed in (1, 1, 2))
    assert one._location(0) == other._location(0) != third._location(0)
