"""Moved while armed: by motion, to another station, or gone; once an arming, and never when the owner is near."""

from datetime import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.alarms import Severity
from contract.tags import Arm, Disarm
from device_profiles.site import Arming, KnownTag, Weekday
from edge.presence import arming
from edge.presence.arming import Armed, TooManyTagsError, decode_armed, encode_armed
from tests.edge.presence.rig import BIKE, OWNER, Rig

ARM, DISARM = Arm((BIKE,)), Disarm((BIKE,))
OWNED = (KnownTag(BIKE, "red bicycle", owner=OWNER),)
HOUR = 3600.0


def parked(**settings: Any) -> Rig:
    """A tag that stands at the south station."""
    rig = Rig(**settings)
    rig.see(0, moving=False)
    rig.see(1, moving=False)
    return rig


def test_motion_is_a_theft_once_an_arming() -> None:
    rig = parked(tag=(KnownTag(BIKE, "red bicycle"),))
    assert rig.see(2, moving=True) == [], "not armed"
    assert rig.order(3, ARM) == ([], 1.0)
    assert rig.see(4, moving=True) == [], "it was moving when it was armed"
    assert rig.see(5, moving=False) == []
    assert rig.see(6, moving=True) == ["theft! south"]
    assert [rig.see(at, moving=at % 2 == 0) for at in range(7, 11)] == [[], [], [], []]
    device, report = rig.reports[0]
    assert (device, report.point, report.kind, report.severity) == ("south", f"tag-{BIKE}", "theft", Severity.CRITICAL)
    assert (report.text["en"], report.value) == ("Moved while armed: red bicycle at south", "motion")
    assert rig.order(11, ARM) == (["theft. south"], 1.0)
    assert rig.see(11, moving=False) == []
    assert rig.see(12, moving=True) == ["theft! south"]
    assert rig.order(13, DISARM) == (["theft. south"], 0.0)
    assert rig.see(14, moving=False) + rig.see(15, moving=True) == []


def test_an_armed_tag_that_comes_moving_is_a_theft_at_its_first_sighting() -> None:
    rig = Rig()
    rig.order(0, ARM)
    assert rig.see(1, "east", moving=True) == ["theft! east"]


def test_leaving_is_a_theft_and_so_is_another_station() -> None:
    rig = parked()
    rig.order(2, ARM)
    assert rig.wait(60) == ["left south", "theft! south"]
    assert rig.reports[-1][1].value == "left"
    rig = parked()
    rig.order(2, ARM)
    assert rig.stay("east", 2, 60) == ["moved east", "theft! east"]


def test_where_a_tag_is_armed_first_is_no_theft() -> None:
    rig = Rig()
    rig.order(0, ARM)
    assert rig.stay("east", 1, 10) == ["present east"]


def test_a_theft_during_a_restart_is_seen_after_it_and_none_is_said_twice() -> None:
    rig = parked()
    rig.order(2, ARM)
    after = rig.restarted(1000)
    assert after.wait(2000) == [], "nobody has heard anything yet"
    assert after.stay("east", 2000, 2010, tags=["other"]) == ["present east"]
    after.presence.alive("south", 2010)
    assert after.stay("east", 2010, 2050, tags=["other"]) == ["left south", "theft! south"]
    again = after.restarted(3000)
    assert again.stay("east", 3000, 3010) == ["present east"], "it has had its alarm"
    assert again.order(3020, DISARM) == (["theft. south"], 0.0)


def test_a_restart_with_the_tag_at_another_station() -> None:
    rig = parked()
    rig.order(2, ARM)
    after = rig.restarted(1000)
    assert after.stay("east", 1000, 1100) == [], "its reader may be up in a moment"
    after.presence.alive("south", 1100)
    assert after.stay("east", 1100, 1110) == ["moved east", "theft! east"]


def test_a_reader_that_is_down_makes_thieves_of_none_whom_a_neighbour_hears() -> None:
    rig = parked()
    rig.order(2, ARM)
    for at in range(4, 60, 2):
        rig.see(at, "south", rssi=-60)
        rig.see(at + 1, "east", rssi=-80)
    rig.presence.lost("south", 60)
    assert rig.stay("east", 60, 600, rssi=-80) == ["alive south"]
    assert rig.stay("east", 600, 700, rssi=-80) == ["alive south", "moved east"], "by now nobody knows"


def test_the_owner_s_tag_makes_it_no_theft() -> None:
    rig = parked(tag=OWNED)
    rig.order(2, ARM)
    rig.see(3, tag=OWNER)
    assert rig.see(4, moving=True) == []
    assert rig.wait(30) == []


def test_both_leave_together() -> None:
    rig = parked(tag=OWNED, left_after_s=60)
    rig.order(2, ARM)
    rig.stay("south", 2, 30, tags=[BIKE, OWNER])
    assert sorted(rig.wait(200)) == ["left south", "left south"]


def test_the_alarm_waits_a_moment_for_the_owner() -> None:
    rig = parked(tag=OWNED)
    rig.order(2, ARM)
    assert rig.see(3, moving=True) == []
    assert rig.wait(5.9) == []
    assert rig.wait(6) == ["theft! south"]
    rig = parked(tag=OWNED)
    rig.order(2, ARM)
    rig.see(3, moving=True)
    rig.see(4, tag=OWNER)
    assert rig.wait(30) == []


def test_an_owner_who_comes_late_ends_the_alarm_and_one_far_away_does_not() -> None:
    rig = parked(tag=OWNED, owner_wait_s=0.0)
    rig.order(2, ARM)
    assert rig.see(3, moving=True) == ["theft! south"]
    assert rig.see(4, "east", tag=OWNER) == []
    assert rig.see(20, "south", tag=OWNER) == ["present south", "theft. south"]
    rig.see(21, moving=False)
    assert rig.stay("south", 22, 90) == ["left south"], "the owner goes"
    assert rig.see(90, moving=True) == ["theft! south"], "it is armed still"
    assert "theft. south" not in rig.see(90 + 31, "south", tag=OWNER), "too late"


def test_a_disarmed_tag_is_no_longer_waited_for() -> None:
    rig = parked(tag=OWNED)
    rig.order(2, ARM)
    rig.see(3, moving=True)
    rig.order(4, DISARM)
    assert rig.wait(30) == []


def test_an_owner_may_be_named_with_the_arming() -> None:
    rig = parked()
    rig.order(2, Arm((BIKE,), OWNER))
    rig.order(3, ARM)
    rig.see(4, tag=OWNER)
    assert rig.see(5, moving=True) == []
    assert rig.restarted(6).presence.counts.followed == 1


def night(**wishes: Any) -> dict[str, Any]:
    return {"arming": (Arming(time(22), time(6), **wishes),), "utc_offset": "+08:00", "wall": True,
            "left_after_s": 9e5, "alive_s": 9e5}  # fmt: skip


@pytest.mark.parametrize(("hour", "is_armed"), [(21.9, False), (22, True), (29.9, True), (30, False)])
def test_hours_arm(hour: float, is_armed: bool) -> None:  # noqa: FBT001
    rig = parked(**night())
    # The site's clock is eight hours ahead of UTC.
    assert rig.see((hour - 8) * HOUR + 1, moving=True) == (["theft! south"] if is_armed else [])


@pytest.mark.parametrize(("weekday", "is_armed"), [(Weekday.THU, True), (Weekday.FRI, False)])
def test_hours_begin_on_their_days_and_last_into_the_next(weekday: Weekday, is_armed: bool) -> None:  # noqa: FBT001
    rig = parked(**night(days=(weekday,)))
    # Three in the morning on Friday.
    assert rig.see(19 * HOUR, moving=True) == (["theft! south"] if is_armed else [])


def test_hours_may_be_for_some_tags_and_wait_for_the_time() -> None:
    rig = parked(**night(tags=(OWNER,)))
    assert rig.see(15 * HOUR, moving=True) == []
    rig = parked(**(night() | {"wall": False}))
    assert rig.see(15 * HOUR, moving=True) == []


def test_who_disarms_at_night_is_excused_until_the_next() -> None:
    rig = parked(**night())
    assert rig.order(15 * HOUR, DISARM) == ([], 0.0)
    assert rig.see(15 * HOUR + 1, moving=True) == []
    assert rig.restarted(15 * HOUR + 2, **night()).see(15 * HOUR + 3, moving=True) == []
    rig.see(16 * HOUR, moving=False)
    assert rig.see(38 * HOUR + 10, moving=True) == ["theft! south"]
    rig.see(39 * HOUR, moving=False)
    assert rig.see(39 * HOUR + 1, moving=True) == [], "once a night"


def test_more_tags_than_can_be_armed_are_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arming, "MAX_ARMED", 3)
    rig = Rig()
    rig.order(0, Arm(("A", "B")))
    with pytest.raises(TooManyTagsError):
        rig.order(1, Arm(("B", "C", "D")))
    assert set(rig.armed) == {"A", "B"}
    assert rig.order(2, Arm(("B", "C")))[1] == 3.0
    rig.order(3, Disarm(("A",)))
    assert rig.order(4, Arm(("D",)))[1] == 3.0


states = st.builds(Armed, st.text(max_size=9), st.none() | st.just(OWNER), *(st.text(max_size=9),) * 4)


@given(states)
def test_what_is_kept_comes_back(state: Armed) -> None:
    assert decode_armed(encode_armed(state)) == state


@given(st.binary(max_size=40))
def test_what_cannot_be_read_is_none(raw: bytes) -> None:
    assert decode_armed(raw) is None or isinstance(decode_armed(raw), Armed)


STEPS = st.tuples(st.sampled_from(["arm", "disarm", "move", "rest", "away", "restart"]), st.sampled_from([1.0, 70.0]))


@given(st.lists(STEPS, max_size=40))
def test_between_two_armings_there_is_at_most_one_theft_and_none_while_disarmed(steps: list[tuple[str, float]]) -> None:
    rig, now, is_armed, stands = parked(), 1.0, False, False
    for step, pause in steps:
        now += pause
        said = rig.wait(now)
        if step == "arm":
            said += rig.order(now, ARM)[0]
        elif step == "disarm":
            said += rig.order(now, DISARM)[0]
        elif step == "away":
            now += 100
            said += rig.wait(now)
        elif step == "restart":
            rig = rig.restarted(now)
        else:
            said += rig.see(now, moving=step == "move")
        for words in said:
            if words.startswith("theft"):
                assert words.startswith("theft!") is not stands, "raised and ended take turns"
                assert is_armed or words.startswith("theft.")
                stands = not stands
        if step in ("arm", "disarm"):
            is_armed = step == "arm"
            assert not stands
