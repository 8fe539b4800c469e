"""Patrol wands: by frames as their maker's program writes them, and a whole wand in virtual time with every trouble."""

from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_profiles.speech.eb_wand import ANNOUNCE_AGAIN_S, CLEAR_AGAIN_S, KEPT_S, LOOK_S, EbWand, make_eb_wand
from device_profiles.speech.eb_wand_frames import WAKE, Frame, WandFrames, write_frame
from device_profiles.speech.eb_wand_records import CHINA_US, Clock, EbWandShared, Timing, measure, read_time, write_time
from device_profiles.speech.said import Heard, Moment, Said, Speaker
from simulators.talkers.eb_wand import EbWandTalker

MACHINE = "0102030405"
START_US = 1_795_348_800_000_000  # 2026-11-22 12:00 UTC


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


class Cradle:
    """A wand on a line to a conversation, in virtual time. Faults are what `spoil` makes of what crosses the line."""

    def __init__(
        self, *, shared: EbWandShared | None = None, is_time_known: bool = True, machine: str = MACHINE
    ) -> None:
        self.now = 0.0
        self.is_time_known = is_time_known
        self.wand = EbWandTalker(machine, wall_us=lambda: START_US + int(self.now * 1e6))
        self.shared = shared or EbWandShared()
        self.spoil: Callable[[bytes], bytes] = lambda data: data
        self.keeps = True
        self.visits: Counter[tuple[str, str, str]] = Counter()
        self.heard: list[Heard] = []
        self.said: list[Said] = []
        self.waiting: list[int] = []
        self.line: deque[tuple[float, bool, bytes]] = deque()
        self.cleared_early = False
        self.speakers = [Speaker(device="wand")]
        self.speech: EbWand | None = None

    def plug_in(self) -> EbWand:
        """The gateway begins anew; what is on the disk stays there."""
        self.speech = make_eb_wand(self.speakers, profiles={}, shared=self.shared)
        self.waiting.clear()
        self.take(self.speech.open(self.moment()))
        return self.speech

    def moment(self) -> Moment:
        return Moment(self.now, START_US + int(self.now * 1e6) if self.is_time_known else None)

    def take(self, saids: list[Said]) -> None:
        for said in saids:
            self.said.append(said)
            self.heard += said.heard
            if said.token is not None:
                self.visits.update(visit_of(one) for one in said.heard if "card" in dict(one.values))
                self.waiting.append(said.token)
            if said.send[:2] == b"\xeb\x70":
                self.cleared_early |= not set(self.wand.records) <= {record for _, record in self.shared._kept}
            self.put(said.send, is_to_wand=True)

    def put(self, data: bytes, *, is_to_wand: bool) -> None:
        if data and (data := self.spoil(data)):
            self.line.append((self.now + 0.005, is_to_wand, data))

    def step(self, speech: EbWand, until: float) -> bool:
        while self.keeps and self.waiting:
            self.take(speech.kept(self.waiting.pop(0), self.moment()))
        times = (speech.next_at(), self.wand.next_at(), self.line[0][0] if self.line else None)
        at = min(time for time in times if time is not None)
        if at > until:
            return False
        self.now = max(self.now, at)
        if self.line and self.line[0][0] <= self.now:
            _, is_to_wand, data = self.line.popleft()
            if is_to_wand:
                self.put(self.wand.hear(data, self.now), is_to_wand=False)
            else:
                self.take(speech.hear(data, self.moment()))
        self.put(self.wand.speak(self.now), is_to_wand=False)
        self.take(speech.tick(self.moment()))
        return True

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.step(self.speech or self.plug_in(), until):
            pass
        self.now = until

    def walk(self, cards: int) -> list[bytes]:
        """Read some cards, out of the cradle; with nothing read before, return what it holds."""
        before = len(self.wand.records)
        for _ in range(cards):
            if self.speech is None:
                self.now += 7.0
            else:
                self.wand.is_docked = False
                self.run(7.0)
                self.wand.is_docked = True
            self.wand.press("card", self.now)
        return self.wand.records[before:]

    @property
    def cards(self) -> list[str]:
        return [str(dict(one.values)["card"]) for one in self.heard if "card" in dict(one.values)]

    @property
    def refused(self) -> list[str]:
        return [one.refused for one in self.said if one.refused]


def visit_of(heard: Heard) -> tuple[str, str, str]:
    found = dict(heard.values)
    return str(found["machine"]), str(found["card"]), str(found.get("visited_at"))


@pytest.mark.parametrize(
    ("command", "data", "frame"),
    [
        (0x31, "", "EB 31 00 1C"),
        (0x33, "00 04", "EB 33 02 00 04 24"),
        (0x35, "08 08", "EB 35 02 08 08 32"),
        (0x37, "00 01 08", "EB 37 03 00 01 08 2E"),
        (0x3C, "0D 0D", "EB 3C 02 0D 0D 43"),
        (0x39, "00 00 0E", "EB 39 03 00 00 0E 35"),
        (0x70, "08 06 00 00 00 00 00 00", "EB 70 08 08 06 00 00 00 00 00 00 71"),
    ],
)
def test_requests_are_those_of_the_makers_program(command: int, data: str, frame: str) -> None:
    # Sums by hand; commands and data from github.com/FuzhouKaiHe/NetPatrolApp, Device/SendAndRcv.java.
    assert write_frame(command, bytes.fromhex(data)) == bytes.fromhex(frame)
    assert WandFrames().feed(bytes.fromhex(frame)) == [Frame(command, bytes.fromhex(data))]


def test_frames_are_found_in_any_pieces_and_behind_noise() -> None:
    stream = b"\x00\xff" + b"\xaa" + write_frame(0x32, bytes(7)) + b"\xeb\x32\x01\x00\x99" + write_frame(0x34, b"12345")
    whole, cut = WandFrames(), WandFrames()
    good = [Frame(WAKE), Frame(0x32, bytes(7)), Frame(0x34, b"12345")]
    assert [one for one in whole.feed(stream) if isinstance(one, Frame)] == good
    found = [one for byte in stream for one in cut.feed(bytes([byte]))]
    assert [one for one in found if isinstance(one, Frame)] == good
    assert "wrong sum" in found


def test_a_wand_is_read_kept_and_only_then_cleared() -> None:
    cradle = Cradle()
    records = cradle.walk(5)
    cradle.keeps = False
    cradle.run(20)
    assert cradle.cards == [record[6:].hex().upper() for record in records]
    assert len(cradle.wand.records) == 5
    cradle.keeps = True
    cradle.run(20)
    assert cradle.wand.records == []
    assert not cradle.cleared_early
    assert set(cradle.visits.values()) == {1}
    assert cradle.refused == []


def test_a_visit_is_told_with_its_time_on_our_clock() -> None:
    cradle = Cradle()
    cradle.now = 100.0
    cradle.wand.press("card", 100.0)
    cradle.run(10)
    (heard,) = [one for one in cradle.heard if "card" in dict(one.values)]
    assert heard.at_us == START_US + 100_000_000
    assert dict(heard.values)["visited_at"] == "2026-11-22T12:01:40Z"
    assert dict(heard.values)["machine"] == MACHINE
    assert dict(heard.values)["record"] == 1.0


@pytest.mark.parametrize("error_s", [-200.0, -60.0, 60.0, 250.0, 5_000_000.0, -400_000_000.0])
def test_a_wrong_clock_is_measured_corrected_and_set_when_the_wand_is_empty(error_s: float) -> None:
    cradle = Cradle()
    cradle.wand.set("clock_error", error_s, 0.0)
    cradle.now = 50.0
    cradle.wand.press("card", 50.0)
    cradle.run(30)
    (heard,) = [one for one in cradle.heard if "card" in dict(one.values)]
    assert heard.at_us is not None
    assert abs(heard.at_us - START_US - 50_000_000) <= 1_000_000
    told = [dict(one.values)["clock_error"] for one in cradle.heard if "clock_error" in dict(one.values)]
    assert [round(float(one) - error_s) for one in told] == [0]
    assert abs(cradle.wand._ahead.total_seconds() - 8 * 3600) <= 1


def test_a_wand_that_stays_in_its_cradle_is_told_of_once_an_hour() -> None:
    cradle = Cradle()
    cradle.run(8.5 * ANNOUNCE_AGAIN_S)
    told = [one for one in cradle.heard if "records" in dict(one.values)]
    assert len(told) == 9
    cradle.wand.is_docked = False
    cradle.run(2 * ANNOUNCE_AGAIN_S)
    assert len([one for one in cradle.heard if "records" in dict(one.values)]) == 9, "it is not there"


def test_a_clock_is_never_set_while_the_wand_holds_records() -> None:
    cradle = Cradle()
    cradle.wand.set("clock_error", 100.0, 0.0)
    cradle.walk(3)
    cradle.keeps = False
    cradle.run(30)
    assert cradle.wand._ahead.total_seconds() == 8 * 3600 + 100


def test_while_nobody_knows_the_time_the_wands_own_is_taken_and_its_clock_left_alone() -> None:
    cradle = Cradle(is_time_known=False)
    cradle.wand.set("clock_error", 30.0, 0.0)
    cradle.wand.press("card", 0.0)
    cradle.run(30)
    (heard,) = [one for one in cradle.heard if "card" in dict(one.values)]
    assert heard.at_us == START_US + 30_000_000
    assert cradle.wand.records == []
    assert cradle.wand._ahead.total_seconds() == 8 * 3600 + 30


def test_two_cards_within_one_second_have_two_times() -> None:
    cradle = Cradle()
    for card in ("0F004EBEFC", "0F004EBEFD", "0F004EBEFD"):
        cradle.wand.set("card", card, 0.0)
    cradle.run(20)
    times = [one.at_us for one in cradle.heard if "card" in dict(one.values)]
    assert times == [START_US, START_US + 1]
    assert cradle.wand.records == []


def test_hits_are_events_of_their_own() -> None:
    cradle = Cradle()
    cradle.wand.press("hit", 0.0)
    cradle.run(20)
    (heard,) = [one for one in cradle.heard if one.reports]
    assert [(one.point, one.rule, one.is_on) for one in heard.reports] == [("wand", "hit", True)]
    assert heard.at_us == START_US + 500_000
    assert cradle.wand.hits == []


def test_a_wand_put_in_later_is_found_and_announced_once() -> None:
    cradle = Cradle()
    cradle.wand.set("docked", value=False, now=0.0)
    cradle.run(60)
    assert cradle.heard == []
    cradle.wand.set("docked", value=True, now=cradle.now)
    cradle.run(60)
    told = [dict(one.values) for one in cradle.heard if "records" in dict(one.values)]
    assert [one["records"] for one in told] == [1.0]
    assert len(cradle.cards) == 1


def test_one_that_wakes_by_itself_is_read_at_once() -> None:
    speech = make_eb_wand([Speaker(device="w")], profiles={})
    speech.open(Moment(0.0))
    speech.tick(Moment(1.0))
    assert [one.send for one in speech.hear(b"\xaa", Moment(2.0))] == [bytes.fromhex("EB31001C")]


def test_a_wand_of_another_site_is_left_alone_and_the_staff_told_once() -> None:
    cradle = Cradle()
    cradle.speakers = [Speaker(device="w", address="FFFFFFFFFF")]
    cradle.walk(2)
    cradle.run(60)
    assert len(cradle.wand.records) == 2
    assert cradle.cards == []
    assert [one.is_staff_told for one in cradle.said if one.refused].count(True) == 1


def test_several_wands_are_told_apart_by_their_machine_id() -> None:
    cradle = Cradle()
    cradle.speakers = [Speaker(device="a", address="FFFFFFFFFF"), Speaker(device="b", address=MACHINE)]
    cradle.walk(1)
    cradle.run(20)
    assert {one.address for one in cradle.heard} == {MACHINE}


def test_pulled_out_at_any_byte_nothing_is_lost_and_nothing_kept_twice() -> None:
    whole = Cradle()
    whole.walk(4)
    whole.wand.press("hit", 0.0)
    crossed = _bytes_of(whole, 40)
    assert whole.wand.records == []
    assert crossed > 200
    for cut in range(0, crossed, 5):
        cradle = Cradle()
        cradle.walk(4)
        cradle.wand.press("hit", 0.0)
        _pull_after(cradle, cut)
        cradle.run(40)
        cradle.wand.set("docked", value=True, now=cradle.now)
        cradle.run(CLEAR_AGAIN_S + 60)
        assert set(cradle.visits.values()) == {1}, cut
        assert len(cradle.visits) == 4, cut
        assert (cradle.wand.records, cradle.wand.hits) == ([], []), cut
        assert not cradle.cleared_early


def _bytes_of(cradle: Cradle, seconds: float) -> int:
    crossed = 0

    def count(data: bytes) -> bytes:
        nonlocal crossed
        crossed += len(data)
        return data

    cradle.spoil = count
    cradle.run(seconds)
    return crossed


def _pull_after(cradle: Cradle, left: int) -> None:
    def pull(data: bytes) -> bytes:
        nonlocal left
        passed = data[: max(left, 0)]
        left -= len(data)
        if left <= 0 and cradle.wand.is_docked:
            cradle.wand.is_docked = False
        return passed if left < 0 else data

    cradle.spoil = pull
    original = cradle.wand.set

    def dock(key: str, value: float | bool | str, now: float) -> bytes:  # noqa: FBT001
        cradle.spoil = lambda data: data
        return original(key, value, now)

    cradle.wand.set = dock  # type: ignore[method-assign]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_lost_and_damaged_bytes_cost_time_but_no_record(data: st.DataObject) -> None:
    seed, every = data.draw(st.integers(0, 10_000)), data.draw(st.integers(40, 400))
    cradle = Cradle()
    records = cradle.walk(12)
    crossed = seed

    def spoil(passing: bytes) -> bytes:
        nonlocal crossed
        out = bytearray()
        for byte in passing:
            crossed += 1
            if crossed % every == 0:
                kind = crossed // every % 3
                out += (b"", bytes([byte ^ 0x10]), bytes([byte, 0x55]))[kind]
            else:
                out.append(byte)
        return bytes(out)

    cradle.spoil = spoil
    cradle.run(400)
    cradle.spoil = lambda passing: passing
    cradle.run(CLEAR_AGAIN_S + 60)
    assert {card for _, card, _ in cradle.visits} == {record[6:].hex().upper() for record in records}
    assert set(cradle.visits.values()) == {1}
    assert cradle.wand.records == []
    assert not cradle.cleared_early


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["pull", "push", "restart", "walk", "full", "room", "swap"]), max_size=12), st.data())
def test_whatever_happens_every_visit_is_kept_before_it_is_cleared(happens: list[str], data: st.DataObject) -> None:
    cradle = Cradle()
    walked = set(cradle.walk(3))
    for what in [*happens, "push", "room"]:
        cradle.run(data.draw(st.sampled_from([0.0, 0.7, 2.5, 11.0])))
        match what:
            case "pull" | "push":
                cradle.wand.set("docked", value=what == "push", now=cradle.now)
            case "restart":
                cradle.plug_in()
            case "walk":
                cradle.walk(2)
            case "full" | "room":
                cradle.keeps = what == "room"
            case _:
                other = EbWandTalker("AAAAAAAAAA", wall_us=lambda: START_US)
                mine, cradle.wand = cradle.wand, other
                cradle.run(12.0)
                cradle.wand = mine
        walked |= set(cradle.wand.records)
    cradle.run(KEPT_S + 2 * CLEAR_AGAIN_S)
    assert {(record[6:].hex().upper()) for record in walked} <= {card for _, card, _ in cradle.visits}
    assert len(cradle.visits) == len(walked)
    assert cradle.wand.records == []
    assert not cradle.cleared_early


def test_a_wand_cleared_and_filled_elsewhere_is_read_from_the_beginning() -> None:
    cradle = Cradle()
    cradle.walk(3)
    cradle.keeps = False
    cradle.run(8)
    cradle.wand.records.clear()
    fresh = cradle.walk(4)
    cradle.keeps = True
    cradle.run(30)
    assert len(cradle.visits) == 7
    assert {record[6:].hex().upper() for record in fresh} <= set(cradle.cards)
    assert cradle.wand.records == []


def test_a_wand_that_stays_full_is_not_cleared_over_and_over() -> None:
    cradle = Cradle()
    cradle.walk(1)
    cradle.wand.clear_s = 1e9
    sent = cradle.said
    cradle.run(CLEAR_AGAIN_S - 10)
    assert sum(one.send[:2] == b"\xeb\x70" for one in sent) == 1
    cradle.run(CLEAR_AGAIN_S)
    assert cradle.visits.total() == 1


def test_what_was_never_kept_is_read_again() -> None:
    cradle = Cradle()
    cradle.walk(2)
    cradle.keeps = False
    cradle.run(10)
    cradle.waiting.clear()
    cradle.keeps = True
    cradle.run(KEPT_S + 20)
    assert set(cradle.visits.values()) == {2}
    assert cradle.wand.records == []


def test_a_long_patrol_is_handed_over_in_parts() -> None:
    cradle = Cradle()
    cradle.walk(1000)
    cradle.run(60)
    assert len(cradle.visits) == 1000
    assert max(len(one.heard) for one in cradle.said) == 32
    assert cradle.wand.records == []


@given(st.binary(max_size=400))
def test_noise_raises_nothing_and_a_wand_is_read_after_it(noise: bytes) -> None:
    cradle = Cradle()
    cradle.walk(1)
    speech = cradle.plug_in()
    cradle.take(speech.hear(noise, cradle.moment()))
    assert len(speech._frames._kept) <= 259
    cradle.run(LOOK_S * 6)
    assert len(cradle.visits) == 1


def test_memory_of_what_is_kept_is_bounded() -> None:
    shared = EbWandShared()
    shared.add("A", (number.to_bytes(11, "big") for number in range(20_000)))
    assert len(shared._kept) == 16_384
    shared.forget("A")
    assert len(shared._kept) == 0


def test_a_clock_is_a_zone_and_an_error() -> None:
    wall = us("2026-11-22 12:00:00")
    assert measure(wall + CHINA_US + 2_000_000, wall) == Clock(CHINA_US, 2_000_000)
    assert measure(wall + 20_700_000_000, wall) == Clock(20_700_000_000, 0)  # Nepal
    lost = measure(us("2000-01-01 00:10:00"), wall)
    assert lost.zone_us == CHINA_US
    assert lost.is_wrong
    assert measure(None, wall).is_wrong
    assert read_time(write_time(wall)) == wall
    assert read_time(bytes([26, 13, 1, 0, 0, 0])) is None


def test_records_of_before_the_clock_was_lost_are_not_put_into_the_future() -> None:
    wall = us("2026-11-22 12:00:00")
    timing = Timing(measure(us("2000-01-01 00:10:00"), wall))
    assert timing.at_us(write_time(us("2026-11-22 10:00:00")), wall_us=wall) == us("2026-11-22 02:00:00")
    assert timing.at_us(write_time(us("2000-01-01 00:05:00")), wall_us=wall) == us("2026-11-22 11:55:00")
