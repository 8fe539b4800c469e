"""Where a tag is: present, moved, left, and said no more often than need be."""

import math
import random
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.limits import MAX_TAG_CHARS
from device_profiles.site import KnownTag
from device_profiles.speech.said import Sighting
from edge.clock import LEAST_STEP_US
from edge.presence import NOTHING
from edge.presence.stations import CROWD
from tests.edge.presence.rig import BIKE, OWNER, Rig, at_us


def test_a_tag_comes_stays_and_goes() -> None:
    rig = Rig()
    assert rig.see(0) == [], "heard once is noise, or a passer-by"
    assert rig.see(2) == ["present south"]
    assert rig.values() == {"tag": BIKE, "presence": "present", "rssi": -60.0}
    assert rig.stay("south", 4, 300) == []
    assert rig.see(302) == ["alive south"]
    assert rig.wait(331) == []
    assert rig.wait(333) == ["left south"]
    assert rig.presence.next_at() is None


def test_two_sightings_far_apart_are_no_presence() -> None:
    rig = Rig()
    assert [rig.see(at) for at in (0, 31, 62)] == [[], [], []]


def test_readers_of_one_station_are_one_place() -> None:
    rig = Rig()
    rig.stay("north-1", 0, 10)
    assert [sample.device for sample in rig.samples] == ["north-1"]
    assert rig.stay("north-2", 10, 100, rssi=-40) == []


def test_a_tag_that_is_carried_over_moves_within_seconds_and_only_once() -> None:
    rig = Rig()
    rig.stay("south", 0, 60, rssi=-50)
    said = [
        (at, words)
        for at in range(60, 120, 2)
        for words in rig.see(at, "south", rssi=-85) + rig.see(at + 1, "east", rssi=-50)
    ]
    assert [words for _, words in said] == ["moved east"]
    assert said[0][0] < 80
    assert rig.values()["from"] == "south"


def test_a_tag_no_longer_heard_where_it_was_is_where_it_is_heard() -> None:
    rig = Rig()
    rig.stay("south", 0, 10, rssi=-50)
    assert rig.stay("east", 10, 60, rssi=-70) == ["moved east"]


@pytest.mark.parametrize("seed", range(3))
def test_a_tag_between_two_stations_does_not_flap(seed: int) -> None:
    rig, noise = Rig(alive_s=1e5), random.Random(seed)  # noqa: S311 - no secret
    for at in range(0, 7200, 2):
        for name in ("south", "east"):
            rig.see(at + noise.random(), name, rssi=noise.gauss(-65, 4))
    assert len(rig.samples) <= 3, f"seed {seed}"


def test_without_a_margin_it_would_flap() -> None:
    rig, noise = Rig(alive_s=1e5, margin_db=0.0), random.Random(0)  # noqa: S311 - no secret
    for at in range(0, 7200, 2):
        for name in ("south", "east"):
            rig.see(at + noise.random(), name, rssi=noise.gauss(-65, 4))
    assert len(rig.samples) > 100


def test_readers_that_do_not_measure_serve_too() -> None:
    rig = Rig()
    for at in range(0, 20, 2):
        rig.see(at, rssi=None)
    assert "rssi" in rig.values()
    assert rig.stay("east", 20, 60) == ["moved east"]


@pytest.mark.parametrize("rssi", [float("nan"), float("inf"), -1e9, 127.0])
def test_what_is_no_strength_spoils_nothing(rssi: float) -> None:
    rig = Rig()
    for at in range(0, 10, 2):
        rig.see(at, rssi=rssi)
    assert rig.values()["rssi"] == -70.0


def test_when_a_crowd_falls_silent_at_once_it_is_the_reader() -> None:
    tags = [f"T{number}" for number in range(CROWD)]
    rig = Rig()
    rig.stay("south", 0, 60, tags=tags)
    assert rig.wait(200) == ["deaf! south"]
    assert rig.see(201, "south", tags[0]) == []
    assert rig.wait(202) == ["deaf. south"]
    assert rig.stay("south", 203, 230, tags=tags[:1]) == [], "silence counts from when it was back"
    assert rig.stay("south", 230, 240, tags=tags[:1]) == ["left south"] * (CROWD - 1)


def test_the_first_sign_of_life_after_a_restart_ends_what_stood_before() -> None:
    presence = Rig().presence
    presence.alive("south", 1.0)
    assert presence.next_at() == -math.inf
    ((device, report),) = presence.tick(1.0, at_us(1)).reports
    assert (device, report.rule, report.is_on) == ("south", "deaf", False)
    assert presence.next_at() is None


def test_one_that_goes_while_others_stay_has_left() -> None:
    tags = [f"T{number}" for number in range(CROWD + 2)]
    rig = Rig()
    rig.stay("south", 0, 60, tags=tags)
    assert rig.stay("south", 60, 120, tags=tags[1:]) == ["left south"]


def test_nobody_leaves_a_station_whose_readers_are_lost() -> None:
    rig = Rig()
    rig.stay("north-1", 0, 10)
    rig.presence.lost("north-1", 10)
    assert rig.wait(60) == ["left north-1"], "the other reader of the station still listens"
    rig.stay("north-1", 60, 70)
    for name in ("north-1", "north-2"):
        rig.presence.lost(name, 70)
    assert rig.wait(500) == []
    rig.presence.alive("north-2", 500)
    assert rig.wait(540) == ["left north-1"]


def test_what_a_station_says_at_one_moment_has_times_of_its_own() -> None:
    rig = Rig()
    for tag in ("A", "B", "C"):
        rig.see(0, tag=tag)
        rig.see(0, tag=tag)
    times = [sample.at_us for sample in rig.samples]
    assert times == [at_us(0), at_us(0) + LEAST_STEP_US, at_us(0) + 2 * LEAST_STEP_US]


def test_a_low_battery_is_said_once_until_it_is_well_again() -> None:
    rig = Rig(low_battery_v=2.4, sightings=1)
    assert rig.see(0, volts=2.5) == ["present south"]
    volts = [2.39, 2.41, 2.38, 2.45, 2.39, 2.55, 2.39]
    said = [rig.see(at, volts=one) for at, one in enumerate(volts, start=1)]
    assert [bool(words) for words in said] == [True, False, False, False, False, False, True]
    assert rig.values()["battery"] == 2.39


def test_a_tag_s_own_word_on_its_battery_may_waver() -> None:
    rig = Rig(sightings=1, left_after_s=60, alive_s=86_400)
    said = [words for at in range(0, 7000, 20) for words in rig.see(at, low=at % 40 == 0)]
    assert said == ["present south", "low-battery south"]
    said = [words for at in range(7000, 12_000, 20) for words in rig.see(at, low=False)]
    assert said == []
    assert rig.see(12_000, low=True) == ["low-battery south"]


def test_a_button_is_said_once_a_press() -> None:
    rig = Rig(tag=(KnownTag(BIKE, "duty officer", button="panic"),))
    assert rig.see(0, pressed=True) == ["pressed south", "button! south"]
    assert [rig.see(at, pressed=True) for at in (2, 4)] == [["present south"], []]
    rig.see(6, pressed=False)
    assert rig.see(30, pressed=True) == ["pressed south", "button! south"]
    assert rig.see(31, tag=OWNER, pressed=True) == ["pressed south"], "of a stranger's tag it is only said"
    assert {(report.kind, report.text["en"]) for _, report in rig.reports} == {
        ("panic", "Button pressed: duty officer at south")
    }


def test_a_tag_that_should_always_be_heard_is_missed() -> None:
    rig = Rig(tag=(KnownTag(BIKE, "fire pump", silent_after_s=100.0),))
    assert rig.wait(101) == ["silent! north-1"]
    assert rig.see(102) == ["silent. north-1"]
    rig.stay("south", 104, 160)
    assert rig.wait(257) == ["left south"]
    assert rig.wait(259) == ["silent! north-1"]
    assert rig.reports[-1][1].text["en"] == "Not heard any more: fire pump"


def test_its_first_sign_after_a_restart_ends_what_stood_before() -> None:
    rig = Rig(tag=(KnownTag(BIKE, silent_after_s=100.0),))
    assert rig.see(1) == ["silent. north-1"]
    assert rig.see(2) == ["present south"]


def test_memory_is_bounded_and_the_longest_silent_goes() -> None:
    rig = Rig(max_tags=10, sightings=1, left_after_s=1e4)
    for at in range(50):
        rig.see(at, tag=f"T{at}")
        rig.see(at, tag="T0")
    counts = rig.presence.counts
    assert (counts.followed, counts.present, counts.evicted, counts.unknown) == (10, 10, 40, 50)
    assert [sample.points[0].value for sample in rig.samples if sample.points[1].value == "left"][:3] == [
        "T1", "T2", "T3",
    ]  # fmt: skip


@pytest.mark.parametrize("tag", ["A" * (MAX_TAG_CHARS + 1), "", "A B", "标签", "A\n"])
def test_what_is_no_tag_is_counted(tag: str) -> None:
    rig = Rig()
    assert rig.see(0, tag=tag) == []
    assert rig.presence.counts.refused == 1


def test_a_device_that_is_no_reader_hears_nothing() -> None:
    rig = Rig()
    assert rig.presence.seen("stranger", Sighting(tag=BIKE), 0, at_us(0)) is NOTHING


STEPS = st.tuples(st.sampled_from("AB"), st.sampled_from([0.0, 1.0, 5.0, 29.0, 31.5, 65.0]))


@given(st.lists(STEPS, max_size=60))
def test_present_and_left_take_turns_and_agree_with_who_was_heard(steps: list[tuple[str, float]]) -> None:
    rig, now = Rig(sightings=1, alive_s=86_400), 0.0
    last: dict[str, float] = {}
    for tag, pause in steps:
        now += pause
        rig.see(now, tag=tag)
        last[tag] = now
    words: dict[str, list[str]] = defaultdict(list)
    for sample in rig.samples:
        words[str(sample.points[0].value)].append(str(sample.points[1].value))
    for tag, said in words.items():
        assert said == ["present", "left"] * (len(said) // 2) + ["present"] * (len(said) % 2)
        assert said[-1] == ("present" if now - last[tag] < 30 else "left")
    assert rig.presence.counts.present == sum(said[-1] == "present" for said in words.values())


def test_of_a_full_car_park_less_than_one_sighting_in_a_hundred_is_sent_on() -> None:
    rig, noise = Rig(), random.Random(7)  # noqa: S311 - no secret
    tags = [f"T{number}" for number in range(60)]
    for at in range(0, 3600, 2):
        for number, tag in enumerate(tags):
            if noise.random() < 0.9 and at >= 20 * number:
                rig.see(at + number / 60, "south" if number % 2 else "east", tag, noise.gauss(-65, 4))
    counts = rig.presence.counts
    assert counts.sightings > 40_000
    assert counts.samples < counts.sightings / 100
