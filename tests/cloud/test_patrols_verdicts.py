"""Verdicts: a table of worked examples, and that nothing depends on how and when visits come."""

import itertools
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.patrols.plans import RouteOrder, Stop, Tour
from cloud.patrols.verdicts import (
    VISITED,
    ExtraVerdict,
    Heard,
    Judged,
    Patience,
    Visit,
    VisitVerdict,
    choose_tour,
    judge,
    match,
)

MIN = 60_000_000
T0 = 1_790_000_000_000_000
PATIENCE = Patience(grace_us=60 * MIN, silent_us=24 * 60 * MIN)
NEVER = T0 + 365 * 24 * 60 * MIN
SHORT = {
    VisitVerdict.ON_TIME: "+",
    VisitVerdict.EARLY: "e",
    VisitVerdict.LATE: "l",
    VisitVerdict.WRONG_ORDER: "w",
    VisitVerdict.MISSED: "-",
    VisitVerdict.PENDING: "?",
    VisitVerdict.OPEN: ".",
    VisitVerdict.UNHEARD: "u",
}


def make(order: RouteOrder, points: str, *, minutes: int = 60, step: int = 20, wands: tuple[str, ...] = ("w",),
         at: int = 0, id_: str = "t") -> Tour:  # fmt: skip
    begins, ends = T0 + at * MIN, T0 + (at + minutes) * MIN
    stops = tuple(
        Stop(n, point, begins + (n * step - 5) * MIN, begins + (n * step + 5) * MIN, begins + n * step * MIN)
        if order is RouteOrder.TIMED
        else Stop(n, point, begins, ends)
        for n, point in enumerate(points)
    )
    return Tour(id_, "p", "r", order, date(2026, 11, 23), begins, ends, begins - 30 * MIN, ends + 60 * MIN, stops,
                wands=wands)  # fmt: skip


def walk(text: str, wand: str = "w") -> list[Visit]:
    """`A0 B20`: who was where, minutes after the beginning."""
    visits = [(one[0], int(one[1:])) for one in text.split()]
    return [Visit(T0 + minute * MIN, f"{point}{minute}", point, wand) for point, minute in visits]


def shown(judged: Judged) -> str:
    return "".join(SHORT[one.verdict] for one in judged.stops)


# A tour of 60 minutes; on a timed route A is due at 0, B at 20, C at 40 minutes, each 5 minutes early or late.
EXAMPLES = [
    ("all in time", RouteOrder.TIMED, "ABC", "A0 B20 C40", "+++"),
    ("the ends of a window are in it", RouteOrder.TIMED, "ABC", "A-5 B25 C45", "+++"),
    ("early and late", RouteOrder.TIMED, "ABC", "A-6 B26 C40", "el+"),
    ("one left out", RouteOrder.TIMED, "ABC", "A0 C40", "+-+"),
    ("nobody came", RouteOrder.TIMED, "ABC", "", "---"),
    ("the visit in the window counts, not the first", RouteOrder.TIMED, "ABC", "A0 B10 B21 C40", "+++"),
    ("the nearest of two in the window counts", RouteOrder.TIMED, "ABC", "A0 B17 B19 C40", "+++"),
    ("two exchanged: one of them is out of order", RouteOrder.TIMED, "ABC", "A0 C18 B22", "++w"),
    ("in order, any time", RouteOrder.ORDERED, "ABC", "A1 B2 C59", "+++"),
    ("backwards: one is in order", RouteOrder.ORDERED, "ABC", "C1 B2 A3", "+ww"),
    ("a second visit puts it in order", RouteOrder.ORDERED, "ABC", "B1 A2 B3 C4", "+++"),
    ("the first point last", RouteOrder.ORDERED, "ABC", "B1 C2 A3", "w++"),
    ("after the end", RouteOrder.ORDERED, "ABC", "A1 B2 C61", "++l"),
    ("before the beginning", RouteOrder.ORDERED, "ABC", "A-1 B2 C3", "e++"),
    ("there and back", RouteOrder.ORDERED, "ABA", "A1 B2 A3", "+++"),
    ("there and not back", RouteOrder.ORDERED, "ABA", "A1 B2", "++-"),
    ("any order", RouteOrder.FREE, "ABC", "C1 A2 B3", "+++"),
    ("any order, one late", RouteOrder.FREE, "ABC", "C1 A2 B90", "+l+"),
    ("twice the same point, once visited", RouteOrder.FREE, "AA", "A1", "+-"),
    ("twice the same point, twice visited", RouteOrder.FREE, "AA", "A1 A30", "++"),
    ("another point", RouteOrder.FREE, "AB", "A1 X2", "+-"),
]


@pytest.mark.parametrize(("what", "order", "points", "visits", "wanted"), EXAMPLES, ids=[one[0] for one in EXAMPLES])
def test_worked_examples(what: str, order: RouteOrder, points: str, visits: str, wanted: str) -> None:
    heard = Heard({"w": NEVER})
    assert shown(judge(make(order, points), walk(visits), heard, now_us=NEVER, patience=PATIENCE)) == wanted, what


def test_what_counts_for_nothing_is_repeated_or_unplanned() -> None:
    judged = judge(make(RouteOrder.FREE, "AB"), walk("A1 A2 B3 X4"), Heard(), now_us=T0 + 5 * MIN, patience=PATIENCE)
    assert judged.extras == (("A2", ExtraVerdict.REPEATED), ("X4", ExtraVerdict.UNPLANNED))


@pytest.mark.parametrize(
    ("minutes", "read_at", "wanted", "due", "silent"),
    [
        (60, None, ".", 60, ()),
        (61, None, "?", 120, ()),
        (119, 61, "?", 120, ()),
        (121, 61, "-", None, ()),
        # It was read out before the window was over: that says nothing of the rest of it.
        (121, 59, "?", 1500, ()),
        (121, None, "?", 1500, ()),
        (1499, None, "?", 1500, ()),
        (1501, None, "u", None, ("w",)),
        (1501, 59, "u", None, ("w",)),
        (1501, 1501, "-", None, ()),
    ],
)
def test_missed_waits_for_the_grace_and_for_the_wand(
    minutes: int, read_at: int | None, wanted: str, due: int | None, silent: tuple[str, ...]
) -> None:
    heard = Heard({} if read_at is None else {"w": T0 + read_at * MIN})
    judged = judge(make(RouteOrder.FREE, "A"), [], heard, now_us=T0 + minutes * MIN, patience=PATIENCE)
    assert (shown(judged), judged.silent) == (wanted, silent)
    assert judged.due_us == (None if due is None else T0 + due * MIN + 1)


def test_a_tour_that_anybody_may_walk_waits_for_nobody() -> None:
    tour = make(RouteOrder.FREE, "A", wands=())
    assert shown(judge(tour, [], Heard(), now_us=T0 + 121 * MIN, patience=PATIENCE)) == "-"


def test_of_several_wands_the_one_that_was_taken_along_is_waited_for() -> None:
    tour = make(RouteOrder.FREE, "AB", wands=("v", "w"))
    other_read = Heard({"v": T0 + 200 * MIN})
    now_us = T0 + 201 * MIN
    assert shown(judge(tour, walk("A1"), other_read, now_us=now_us, patience=PATIENCE)) == "+?"
    assert shown(judge(tour, walk("A1", "v"), other_read, now_us=now_us, patience=PATIENCE)) == "+-"
    assert shown(judge(tour, [], other_read, now_us=now_us, patience=PATIENCE)) == "--"


def test_a_visit_goes_to_the_tour_that_names_its_wand_then_to_the_nearest() -> None:
    own = make(RouteOrder.FREE, "A", wands=("w",), at=90, id_="own")
    open_ = make(RouteOrder.FREE, "A", wands=(), id_="open")
    others = make(RouteOrder.FREE, "A", wands=("v",), id_="others")
    (visit,) = walk("A59")
    assert choose_tour(visit, [open_, others]) == open_
    assert choose_tour(walk("A65")[0], [open_, own, others]) == own
    assert choose_tour(visit, [others]) is None
    first, second = make(RouteOrder.FREE, "A", id_="1"), make(RouteOrder.FREE, "A", at=80, id_="2")
    assert [choose_tour(walk(f"A{at}")[0], [first, second]) for at in (65, 69, 71, 80)] == [
        first,
        first,
        second,
        second,
    ]
    assert choose_tour(Visit(T0, "x", None, "w"), [first, open_]) == first, "unplanned, but his"


Script = list[tuple[str, int]]
tours = st.builds(
    make,
    st.sampled_from(RouteOrder),
    st.text("ABC", min_size=1, max_size=4),
    step=st.integers(0, 25),
)
scripts = st.lists(st.tuples(st.sampled_from("ABCX"), st.integers(-35, 125)), max_size=6, unique=True)


def visits_of(script: Script) -> list[Visit]:
    return walk(" ".join(f"{point}{minute}" for point, minute in script))


@settings(max_examples=250, deadline=None)
@given(tours, scripts, st.data())
def test_any_order_split_repetition_and_delay_ends_in_the_same_verdicts(
    tour: Tour, script: Script, data: st.DataObject
) -> None:
    visits = visits_of(script)
    wanted = judge(tour, visits, Heard({"w": NEVER}), now_us=NEVER, patience=PATIENCE)
    arrivals = data.draw(st.permutations(visits + data.draw(st.lists(st.sampled_from(visits), max_size=4) if visits
                                                            else st.just([]))))  # fmt: skip
    kept: dict[str, Visit] = {}
    now_us, read_us = T0, 0
    judged = wanted
    for visit in arrivals:
        now_us += data.draw(st.integers(0, 600)) * MIN
        if data.draw(st.booleans()):
            read_us = now_us
        kept[visit.id] = visit
        judged = judge(tour, list(kept.values()), Heard({"w": read_us}), now_us=now_us, patience=PATIENCE)
        check_sound(tour, list(kept.values()), judged)
        # Nothing is ever missed for good before grace and reading, whatever else has come.
        for stop, one in zip(tour.stops, judged.stops, strict=True):
            if one.verdict is VisitVerdict.MISSED:
                assert now_us > stop.until_us + PATIENCE.grace_us
                assert read_us >= stop.until_us
    judged = judge(tour, list(kept.values()), Heard({"w": NEVER}), now_us=NEVER, patience=PATIENCE)
    assert judged == wanted
    assert judged.due_us is None


@settings(max_examples=250, deadline=None)
@given(tours, scripts)
def test_the_choice_is_the_best_of_all(tour: Tour, script: Script) -> None:
    visits = sorted(visits_of(script))
    found = match(tour, visits)
    in_order = {position: visit for position, (visit, is_in_order) in found.items() if is_in_order}
    if tour.order is not RouteOrder.FREE:
        assert score(tour, in_order) == max(score(tour, one) for one in chains(tour, visits))
    for point in {stop.point for stop in tour.stops}:
        planned = sum(stop.point == point for stop in tour.stops)
        came = sum(visit.point == point for visit in visits)
        assert sum(tour.stops[position].point == point for position in found) == min(planned, came)


def score(tour: Tour, chosen: dict[int, Visit]) -> tuple[int, int, int]:
    inside = off = 0
    for position, visit in chosen.items():
        stop = tour.stops[position]
        inside += stop.from_us <= visit.at_us <= stop.until_us
        early, late = min(visit.at_us - stop.from_us, 0), max(visit.at_us - stop.until_us, 0)
        off += abs(visit.at_us - stop.planned_us) if stop.planned_us is not None else late - early
    return len(chosen), inside, -off


def chains(tour: Tour, visits: list[Visit]) -> list[dict[int, Visit]]:
    """Every choice of visits in the order of the route, by trying all."""
    found: list[dict[int, Visit]] = [{}]
    for size in range(1, min(len(tour.stops), len(visits)) + 1):
        for stops, some in itertools.product(
            itertools.combinations(tour.stops, size), itertools.combinations(visits, size)
        ):
            if all(stop.point == visit.point for stop, visit in zip(stops, some, strict=True)):
                found.append({stop.position: visit for stop, visit in zip(stops, some, strict=True)})
    return found


def check_sound(tour: Tour, visits: list[Visit], judged: Judged) -> None:
    used = [one.visit for one in judged.stops if one.visit is not None]
    assert len(set(used)) == len(used), "each visit counts for one planned visit at most"
    assert {*used, *(visit for visit, _ in judged.extras)} == {one.id for one in visits}, "and none is forgotten"
    by_id = {one.id: one for one in visits}
    for stop, one in zip(tour.stops, judged.stops, strict=True):
        assert (one.visit is not None) == (one.verdict in VISITED)
        if one.visit is not None:
            assert by_id[one.visit].point == stop.point
            assert one.visited_at_us == by_id[one.visit].at_us


@settings(max_examples=100, deadline=None)
@given(st.lists(tours, min_size=1, max_size=4), scripts)
def test_a_visit_belongs_to_one_tour_whatever_the_order_of_the_tours(some: list[Tour], script: Script) -> None:
    named = [Tour(**{name: getattr(one, name) for name in one.__struct_fields__} | {"id": f"t{n}"})
             for n, one in enumerate(some)]  # fmt: skip
    for visit in visits_of(script):
        assert choose_tour(visit, named) == choose_tour(visit, named[::-1])
