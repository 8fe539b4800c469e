from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.areas.policies import nearest
from cloud.areas.tree import (
    RANK,
    Area,
    Level,
    ancestors,
    cycles,
    depth_below,
    ids_of,
    is_inverted,
    is_within,
    paths_of,
    subtree,
    top_down,
)
from contract.alarms import Severity

Graph = dict[str, str | None]
above = st.none() | st.integers(0, 24)


def graph_of(made: list[int | None]) -> Graph:
    """Anybody may lie in anybody."""
    return {str(number): None if one is None else str(one % len(made)) for number, one in enumerate(made)}


def forest_of(made: list[int | None]) -> Graph:
    """Everybody lies in one that came before."""
    return {str(n): None if one is None or not n else str(one % n) for n, one in enumerate(made)}


graphs = st.lists(above, min_size=1, max_size=25).map(graph_of)
forests = st.lists(above, min_size=1, max_size=25).map(forest_of)
few = settings(max_examples=60)


def way_up(forest: Graph, one: str) -> list[str]:
    way = [one]
    while (around := forest[way[-1]]) is not None:
        way.append(around)
    return way


@few
@given(forests)
def test_a_path_is_the_way_down_from_the_root(forest: Graph) -> None:
    paths = paths_of(forest)
    for one, path in paths.items():
        assert ids_of(path) == way_up(forest, one)[::-1]
        assert ancestors(path) == way_up(forest, one)[1:]
        assert depth_below(path, path) == 0


@few
@given(forests)
def test_what_lies_within_is_what_has_it_on_its_way_up(forest: Graph) -> None:
    paths = paths_of(forest)
    areas = [Area(one, forest[one], Level.GRID, one, path) for one, path in paths.items()]
    for top, path in paths.items():
        inside = {one.id for one in subtree(areas, path)}
        assert inside == {one for one in forest if top in way_up(forest, one)}
    assert all(is_within(path, "") for path in paths.values())
    seen: set[str] = set()
    for area in top_down(areas):
        assert area.parent is None or area.parent in seen
        seen.add(area.id)


@few
@given(graphs)
def test_the_cycles_are_those_that_lead_back_to_themselves(graph: Graph) -> None:
    def leads_back(one: str) -> bool:
        at = graph[one]
        for _ in graph:
            if at == one:
                return True
            at = graph.get(at) if at is not None else None
        return False

    found = cycles(graph)
    assert {one for ring in found for one in ring} == {one for one in graph if leads_back(one)}
    assert sum(map(len, found)) == len({one for ring in found for one in ring})
    for ring in found:
        assert [graph[one] for one in ring] == [*ring[1:], ring[0]]


@few
@given(st.sampled_from(Level), st.sampled_from(Level))
def test_levels_may_be_skipped_upwards_and_never_inverted(level: Level, parent: Level) -> None:
    order = ["grid", "street", "town", "county", "city", "province"]
    assert is_inverted(level, parent) == (order.index(parent) <= order.index(level))
    assert list(RANK) == order


@few
@given(forests, st.sets(st.tuples(st.integers(0, 29).map(str), st.sampled_from(Severity))), st.sampled_from(Severity))
def test_the_nearest_area_that_says_something_wins(
    forest: Graph, said: set[tuple[str, Severity]], severity: Severity
) -> None:
    words = {key: f"{key}" for key in said}
    for one, path in paths_of(forest).items():
        expected = next((area for area in way_up(forest, one) if (area, severity) in words), None)
        found = nearest(words, path, severity)
        assert found == (None if expected is None else (expected, words[expected, severity]))
    assert nearest(words, "", severity) is None
