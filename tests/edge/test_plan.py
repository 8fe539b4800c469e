import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contract.alarms import Severity
from device_profiles.catalogue import list_profiles, load_profile
from device_profiles.model import (
    BitsRule,
    BlockDef,
    ContactRule,
    Flag,
    Link,
    PointDef,
    PointType,
    Profile,
    Table,
    Transport,
)
from edge.plan import plan_device

TEXT = {"en": "x", "zh": "x"}
LINK = Link(transports=(Transport.RTU,), max_words=20, max_bits=32, max_gap=4)


def point(key: str, table: Table, address: int, *, kind: PointType = PointType.U16, every_s: float = 10.0) -> PointDef:
    return PointDef(key=key, name=TEXT, table=table, address=address, type=kind, source="test", every_s=every_s)


def profile(*points: PointDef, block: tuple[BlockDef, ...] = (), rule: tuple[ContactRule, ...] = ()) -> Profile:
    return Profile(
        profile="test/test", version="1", maker="t", model="t", title=TEXT, kind="test", sources=("test",),
        link=LINK, point=points, block=block, rule=rule,
    )  # fmt: skip


def test_neighbours_are_read_together_and_far_points_apart() -> None:
    blocks = plan_device(profile(*(point(f"p{at}", Table.INPUT, at) for at in (0, 1, 5, 6, 30))))
    assert [(block.address, block.count, len(block.points)) for block in blocks] == [(0, 7, 4), (30, 1, 1)]


def test_a_gap_wider_than_allowed_splits_the_read() -> None:
    blocks = plan_device(profile(point("a", Table.HOLDING, 0), point("b", Table.HOLDING, 6)))
    assert [(block.address, block.count) for block in blocks] == [(0, 1), (6, 1)]


def test_points_of_other_tables_or_periods_are_read_apart() -> None:
    points = (point("a", Table.INPUT, 0), point("b", Table.HOLDING, 1), point("c", Table.INPUT, 1, every_s=1.0))
    blocks = plan_device(profile(*points))
    assert len(blocks) == 3


def test_a_block_of_the_profile_is_read_whole_with_its_shortest_period() -> None:
    points = (point("a", Table.HOLDING, 500), point("b", Table.HOLDING, 513, every_s=2.0))
    (block,) = plan_device(profile(*points, block=(BlockDef(Table.HOLDING, 500, 16),)))
    assert (block.address, block.count, block.every_s) == (500, 16, 2.0)


def test_a_point_that_a_read_passes_over_is_taken_along_but_does_not_quicken_it() -> None:
    points = (
        point("a", Table.INPUT, 0), point("b", Table.INPUT, 1, every_s=1.0), point("c", Table.INPUT, 2),
    )  # fmt: skip
    blocks = {block.every_s: [p.key for p in block.points] for block in plan_device(profile(*points))}
    assert blocks == {1.0: ["b"], 10.0: ["a", "b", "c"]}


def test_alarm_inputs_come_first() -> None:
    rule = ContactRule("panic", ("b",), "panic", Severity.CRITICAL, TEXT)
    points = (point("a", Table.COIL, 0, kind=PointType.BIT), point("b", Table.DISCRETE_INPUT, 0, kind=PointType.BIT))
    blocks = plan_device(profile(*points, rule=(rule,)))
    assert [(block.points[0].key, block.is_urgent) for block in blocks] == [("b", True), ("a", False)]


@given(
    st.lists(
        st.tuples(st.sampled_from([PointType.U16, PointType.F32_HIGH_FIRST]), st.integers(0, 300)),
        max_size=40,
        unique_by=lambda item: item[1],
    )
)
def test_every_point_lies_whole_in_a_block_within_the_limits(items: list[tuple[PointType, int]]) -> None:
    points = [point(f"p{address}", Table.INPUT, address, kind=kind) for kind, address in items]
    blocks = plan_device(profile(*points))
    assert {p.key for block in blocks for p in block.points} == {p.key for p in points}
    for block in blocks:
        assert block.count <= LINK.max_words
        for p in block.points:
            assert block.address <= p.address
            assert p.address + p.type.words <= block.address + block.count


@pytest.mark.parametrize("name", list_profiles())
def test_every_profile_of_the_catalogue_has_a_plan(name: str) -> None:
    found = load_profile(name)
    blocks = plan_device(found)
    for point in found.point:
        assert any(point in block.points and block.every_s <= point.every_s for block in blocks)


def test_the_weather_station_is_read_in_one_piece() -> None:
    (block,) = plan_device(load_profile("generic/weather-station"))
    assert (block.address, block.count) == (500, 16)


def test_a_refused_range_is_never_read_through() -> None:
    given = replace(
        profile(point("a", Table.HOLDING, 0), point("b", Table.HOLDING, 2), point("c", Table.HOLDING, 5)),
        refused=(BlockDef(Table.HOLDING, 4, 1), BlockDef(Table.INPUT, 1, 1)),
    )
    assert [(block.address, block.count) for block in plan_device(given)] == [(0, 3), (5, 1)]


def test_on_a_serial_line_only_short_gaps_are_worth_reading_through() -> None:
    wide = replace(profile(point("a", Table.HOLDING, 0), point("b", Table.HOLDING, 14)), link=replace(LINK, max_gap=60))
    assert len(plan_device(wide, transport=Transport.RTU)) == 2
    assert len(plan_device(wide, transport=Transport.TCP)) == 1


def test_a_flag_that_is_critical_makes_its_word_urgent() -> None:
    given = profile(point("status", Table.INPUT, 0), point("other", Table.INPUT, 20))
    flags = (Flag("low", 0, TEXT), Flag("fire", 1, TEXT, severity=Severity.CRITICAL))
    rule = BitsRule("faults", ("status",), "fault", Severity.LOW, TEXT, flag=flags)
    blocks = plan_device(replace(given, rule=(rule,)))
    assert [(block.address, block.is_urgent) for block in blocks] == [(0, True), (20, False)]
