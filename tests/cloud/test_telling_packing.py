"""What goes now and what waits: quiet hours, a contact's limit, bundles, and never a critical one held back."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.telling.packing import MAX_TOGETHER, HeldWhy, Packed, Waiting, Wishes, crowd_hold, pack, quiet_hold
from contract.alarms import Severity

ZONE = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
HOUR_US = 3_600_000_000


def at(text: str, zone: ZoneInfo = ZONE) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1_000_000


NOW_US = at("2026-11-22 12:00")


def waiting(name: str, severity: Severity = Severity.HIGH, **more: object) -> Waiting:
    given: dict[str, object] = {"contact": "wang", "address": "a", "language": "zh", "due_us": NOW_US} | more
    return Waiting(id=name, severity=severity, **given)  # type: ignore[arg-type]


def packed(*rows: Waiting, room: int = 100, is_scarce: bool = False, now_us: int = NOW_US, **more: object) -> Packed:
    given: dict[str, object] = {"wishes": {}, "told_us": {}} | more
    return pack(rows, room=room, is_scarce=is_scarce, now_us=now_us, zone=ZONE, **given)  # type: ignore[arg-type]


def names(found: Packed) -> list[list[str]]:
    return [[one.id for one in parcel] for parcel in found.parcels]


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        (("22:00", "07:00"), "2026-11-22 21:59:59", None),
        (("22:00", "07:00"), "2026-11-22 22:00:00", "2026-11-23 07:00"),
        (("22:00", "07:00"), "2026-11-22 23:59:59", "2026-11-23 07:00"),
        (("22:00", "07:00"), "2026-11-23 00:00:00", "2026-11-23 07:00"),
        (("22:00", "07:00"), "2026-11-23 06:59:59", "2026-11-23 07:00"),
        (("22:00", "07:00"), "2026-11-23 07:00:00", None),
        (("12:00", "14:00"), "2026-11-22 11:59:59", None),
        (("12:00", "14:00"), "2026-11-22 12:00:00", "2026-11-22 14:00"),
        (("12:00", "14:00"), "2026-11-22 14:00:00", None),
        (("12:00", "12:00"), "2026-11-22 12:00:00", None),
        ((None, "12:00"), "2026-11-22 11:00:00", None),
        (("noon", "25:00"), "2026-11-22 12:30:00", None),
    ],
)
def test_quiet_hours_go_over_midnight(quiet: tuple[str | None, str | None], now: str, until: str | None) -> None:
    hold = quiet_hold(Wishes(*quiet), at(now), ZONE)
    assert (hold.until_us if hold else None) == (at(until) if until else None)


def test_quiet_hours_end_by_the_clock_on_the_wall_when_clocks_change() -> None:
    # 29 March 2026, 02:00 becomes 03:00: the night has an hour less.
    hold = quiet_hold(Wishes("22:00", "07:00"), at("2026-03-28 22:00", BERLIN), BERLIN)
    assert hold is not None
    assert hold.until_us - at("2026-03-28 22:00", BERLIN) == 8 * HOUR_US


def test_an_end_that_the_clock_shows_twice_is_never_in_the_past() -> None:
    # 25 October 2026: 02:30 comes twice; at the second one quiet hours to 02:45 go on or are over, never back.
    second = at("2026-10-25 01:30", BERLIN) + 2 * HOUR_US
    hold = quiet_hold(Wishes("22:00", "02:45"), second, BERLIN)
    assert hold is None or hold.until_us > second


def test_who_was_told_enough_hears_again_an_hour_after_the_first_of_these() -> None:
    told = [NOW_US - 50 * 60_000_000, NOW_US - 10 * 60_000_000, NOW_US - 2 * HOUR_US]
    assert crowd_hold(Wishes(max_per_hour=3), told, NOW_US) is None
    hold = crowd_hold(Wishes(max_per_hour=2), told, NOW_US)
    assert hold is not None
    assert (hold.until_us, hold.why) == (NOW_US + 10 * 60_000_000, HeldWhy.MAX_PER_HOUR)
    assert crowd_hold(Wishes(), told * 100, NOW_US) is None


def test_the_limit_counts_what_is_packed_in_the_same_moment() -> None:
    found = packed(*(waiting(f"m{n}") for n in range(5)), wishes={"wang": Wishes(max_per_hour=2)})
    assert names(found) == [["m0"], ["m1"]]
    assert set(found.held) == {"m2", "m3", "m4"}
    assert {hold.until_us for hold in found.held.values()} == {NOW_US + HOUR_US}


def test_what_was_held_goes_together_and_counts_once() -> None:
    rows = [waiting(f"m{n:02}", was_held=True) for n in range(MAX_TOGETHER + 3)]
    found = packed(*rows, wishes={"wang": Wishes(max_per_hour=1)})
    assert [len(parcel) for parcel in found.parcels] == [MAX_TOGETHER]
    assert found.held == {}


def test_what_goes_to_different_addresses_or_in_different_languages_never_goes_together() -> None:
    rows = [
        waiting("a", was_held=True),
        waiting("b", was_held=True, address="b"),
        waiting("c", was_held=True, language="en"),
        waiting("d", was_held=True, contact="li"),
    ]
    assert sorted(names(packed(*rows))) == [["a"], ["b"], ["c"], ["d"]]


def test_the_most_urgent_goes_first() -> None:
    rows = [waiting(severity.value, severity) for severity in reversed(Severity)]
    assert names(packed(*rows, room=2)) == [["critical"], ["high"]]


def test_a_channel_without_room_for_all_bundles_by_address_and_keeps_critical_ones_apart() -> None:
    rows = [waiting(f"c{n}", Severity.CRITICAL) for n in range(3)] + [waiting(f"h{n}") for n in range(3)]
    found = packed(*rows, room=2, is_scarce=True)
    assert names(found) == [["c0", "c1", "c2"], ["h0", "h1", "h2"]]


def test_a_channel_with_room_for_all_bundles_nothing() -> None:
    rows = [waiting(f"c{n}", Severity.CRITICAL) for n in range(3)]
    assert names(packed(*rows, room=3, is_scarce=True)) == [["c0"], ["c1"], ["c2"]]


minutes = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
anyone = st.sampled_from(["wang", "li", None])
rows = st.builds(
    Waiting,
    id=st.integers(0, 10**9).map(str),
    severity=st.sampled_from(Severity),
    contact=anyone,
    address=st.sampled_from("ab"),
    language=st.sampled_from(["zh", "en"]),
    due_us=st.integers(NOW_US - HOUR_US, NOW_US),
    was_held=st.booleans(),
)
wishes = st.builds(
    Wishes,
    quiet_from=st.none() | minutes,
    quiet_to=st.none() | minutes,
    max_per_hour=st.none() | st.integers(0, 3),
)


@given(
    waiting=st.lists(rows, max_size=30, unique_by=lambda one: one.id),
    wishes=st.dictionaries(st.sampled_from(["wang", "li"]), wishes),
    told=st.lists(st.integers(NOW_US - 2 * HOUR_US, NOW_US), max_size=8),
    room=st.integers(1, 40),
    is_scarce=st.booleans(),
    now_us=st.integers(NOW_US, NOW_US + 24 * HOUR_US),
)
def test_a_critical_one_is_never_held_and_goes_before_all_others(
    *, waiting: list[Waiting], wishes: dict[str, Wishes], told: list[int], room: int, is_scarce: bool, now_us: int
) -> None:
    told_us = {"wang": told, "li": told}
    found = pack(waiting, wishes=wishes, told_us=told_us, room=room, is_scarce=is_scarce, now_us=now_us, zone=ZONE)
    by_id = {one.id: one for one in waiting}
    assert not any(by_id[name].is_critical for name in found.held)
    assert all(hold.until_us > now_us for hold in found.held.values())
    gone = [one.id for parcel in found.parcels for one in parcel]
    assert len(gone) == len(set(gone))
    assert set(gone) | set(found.held) <= set(by_id)
    assert set(gone) & set(found.held) == set()
    assert len(found.parcels) <= room
    left = [one for one in waiting if one.id not in gone and one.id not in found.held]
    # Only for want of room does one wait; then nothing less urgent has taken its place.
    if any(one.is_critical for one in left):
        full = len(found.parcels) == room or any(len(parcel) == MAX_TOGETHER for parcel in found.parcels)
        assert full
        assert all(parcel[0].is_critical for parcel in found.parcels) or any(
            len(parcel) == MAX_TOGETHER for parcel in found.parcels
        )
    for parcel in found.parcels:
        assert len({(one.address, one.contact, one.language, one.is_critical) for one in parcel}) == 1
