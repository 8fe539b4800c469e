"""The stolen list: parts, versions, checksums; and what happens when one of its tags is heard."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.alarms import Severity
from contract.limits import MAX_PART_TAGS, MAX_STOLEN
from contract.tags import StolenPart, StolenTag, checksum_of, parts_of
from edge.errors import StolenListError
from edge.presence.stolen import StolenList
from tests.edge.presence.rig import BIKE, OWNER, Rig

CASES = {BIKE: "case 2026-17"}


def push(rig: Rig, at_s: float, notes: dict[str, str], version: int) -> list[str]:
    said, value = list[str](), 0.0
    for part in parts_of(notes, version=version):
        words, value = rig.order(at_s, part)
        said += words
    assert value == version
    return said


def test_a_hit_is_an_alarm_at_every_station_at_the_first_sighting() -> None:
    rig = Rig()
    push(rig, 0, CASES, 1)
    assert rig.see(1, "south") == ["stolen! south"]
    assert rig.see(2, "north-2", rssi=-90) == ["present south", "stolen! north-1"]
    assert rig.stay("south", 4, 300) == []
    _, report = rig.reports[0]
    assert (report.point, report.kind, report.severity) == (f"tag-{BIKE}", "stolen", Severity.CRITICAL)
    assert (report.value, report.text["en"]) == (CASES[BIKE], f"Stolen: {BIKE} at south. {CASES[BIKE]}")
    assert report.ends_after_s == 600, "it lasts while it is reported again"
    assert rig.see(302, "south") == ["alive south", "stolen! south"]


def test_what_is_no_longer_on_the_list_ends() -> None:
    rig = Rig()
    push(rig, 0, CASES, 1)
    rig.see(1, "south")
    rig.see(2, "east")
    assert sorted(push(rig, 3, {OWNER: ""}, 2)) == ["stolen. east", "stolen. south"]
    assert rig.see(4, "south") == []
    assert rig.see(5, tag=OWNER) == ["stolen! south"]


def test_the_list_outlives_a_restart() -> None:
    rig = Rig()
    push(rig, 0, CASES, 7)
    after = rig.restarted(10)
    assert after.see(11, "south") == ["stolen! south"]
    with pytest.raises(StolenListError, match="version 7"):
        after.order(12, parts_of({}, version=6)[0])


def test_a_large_list_may_come_in_any_order_and_twice() -> None:
    notes = {f"T{number}": "" for number in range(3 * MAX_PART_TAGS + 1)}
    parts = [*parts_of(notes, version=1), *parts_of(notes, version=1)]
    random.Random(1).shuffle(parts)  # noqa: S311 - no secret
    stolen = StolenList()
    assert sum(stolen.take(part) for part in parts) == 1
    assert (stolen.version, stolen.notes) == (1, notes)


def test_a_difference_changes_the_list_it_is_one_to_and_no_other() -> None:
    stolen, new = StolenList(1, CASES), {OWNER: "case 18"}
    (part,) = parts_of(new, version=2, old={**CASES, "X": ""})
    with pytest.raises(StolenListError, match="another list"):
        stolen.take(part)
    assert stolen.notes == CASES
    (part,) = parts_of(new, version=2, old=CASES)
    assert stolen.take(part)
    assert (stolen.version, stolen.notes) == (2, new)


def test_a_list_that_arrives_damaged_or_too_long_changes_nothing() -> None:
    stolen = StolenList(1, CASES)
    with pytest.raises(StolenListError, match="checksum"):
        stolen.take(StolenPart(2, "0" * 32, add=(StolenTag(OWNER),)))
    with pytest.raises(StolenListError, match="part 2 of 1"):
        stolen.take(StolenPart(2, "0" * 32, part=2))
    *parts, last = parts_of({f"T{number}": "" for number in range(MAX_STOLEN + 1)}, version=2)
    assert not any(stolen.take(part) for part in parts)
    with pytest.raises(StolenListError, match="at most"):
        stolen.take(last)
    assert (stolen.version, stolen.notes) == (1, CASES)
    assert stolen.take(parts_of({}, version=2)[0])


def test_the_newer_of_two_lists_on_their_way_wins() -> None:
    notes = {f"T{number}": "" for number in range(MAX_PART_TAGS + 1)}
    old, new = parts_of(notes, version=1), parts_of(notes | CASES, version=2)
    stolen = StolenList()
    stolen.take(old[0])
    stolen.take(new[0])
    with pytest.raises(StolenListError, match="on its way"):
        stolen.take(old[1])
    assert stolen.take(new[1])
    assert stolen.version == 2


lists = st.dictionaries(st.sampled_from([f"T{number}" for number in range(8)]), st.sampled_from(["", "a"]))


@given(st.lists(st.tuples(lists, st.booleans(), st.integers(1, 4))))
def test_whatever_comes_the_list_is_always_one_that_was_sent(pushes: list[tuple[dict[str, str], bool, int]]) -> None:
    stolen, sent = StolenList(), {checksum_of({})}
    for notes, is_whole, version in pushes:
        (part,) = parts_of(notes, version=version, old=None if is_whole else stolen.notes)
        before = stolen.version
        try:
            is_new = stolen.take(part)
        except StolenListError:
            is_new = False
        else:
            sent.add(part.checksum)
        assert is_new is (stolen.version > before)
        assert checksum_of(stolen.notes) in sent
