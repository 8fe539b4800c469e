"""Where a tag was: the same for any order, delay and repetition; never at two stations at once; the two-tag rule."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.bikes import life as lives
from cloud.bikes.life import Cloned, Life, Rules, Said, Stay, Word, live, read_life, stays_of, write_life
from cloud.bikes.theft import Movement, is_owner_near

T0, S = 10**15, 1_000_000
MINUTE = 60 * S
# Station 9 is so far away that nobody comes there within ten minutes.
RULES = Rules(
    late_us=3 * 86_400 * S,
    silent_us=20 * MINUTE,
    leaps=lambda one, other, within_us: 9 in (one, other) and within_us < 10 * MINUTE,
)


def said(*words: tuple[float, Word, int]) -> list[Said]:
    return [Said(T0 + round(seconds * S), word, station) for seconds, word, station in words]


class Kept:
    """Stays as the database has them: what is written and what is gone, nothing else."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.life = Life()
        self.rows: dict[int, Stay] = {}
        self.cloned: list[Cloned] = []
        self.late = 0
        self._rules = rules

    def take(self, words: Sequence[Said]) -> None:
        self.life, changes = live(read_life(write_life(self.life)), words, self._rules)
        for key in changes.gone:
            del self.rows[key]
        self.rows.update(changes.written)
        self.cloned += changes.cloned
        self.late += changes.late

    @property
    def stays(self) -> list[tuple[int, float, float | None]]:
        found = [self.rows[key] for key in sorted(self.rows)]
        return [
            (one.station, (one.from_us - T0) / S, None if one.until_us is None else (one.until_us - T0) / S)
            for one in found
        ]


def stays(*words: tuple[float, Word, int]) -> list[tuple[int, float, float | None]]:
    kept = Kept()
    kept.take(said(*words))
    return kept.stays


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([(0, Word.CAME, 1), (300, Word.STAYS, 1)], [(1, 0, None)]),
        ([(0, Word.CAME, 1), (600, Word.LEFT, 1)], [(1, 0, 600)]),
        ([(0, Word.CAME, 1), (600, Word.CAME, 2), (630, Word.LEFT, 1)], [(1, 0, 600), (2, 600, None)]),
        # Whom two stations hear is where it came last, however often the other says that it is there.
        ([(0, Word.CAME, 1), (60, Word.CAME, 2), (300, Word.STAYS, 1), (360, Word.STAYS, 2)],
         [(1, 0, 60), (2, 60, None)]),
        # When that one loses it, the other has it.
        ([(0, Word.CAME, 1), (60, Word.CAME, 2), (90, Word.LEFT, 2), (300, Word.STAYS, 1)],
         [(1, 0, 60), (2, 60, 90), (1, 300, None)]),
        # A station that fell silent: another hears it, and it was at the first until that heard it last.
        ([(0, Word.CAME, 1), (300, Word.STAYS, 1), (3_000, Word.STAYS, 2)], [(1, 0, 300), (2, 3_000, None)]),
        ([(0, Word.CAME, 1), (300, Word.STAYS, 1), (3_000, Word.CAME, 2)], [(1, 0, 300), (2, 3_000, None)]),
        # The same station: `alive` says that it was there all the time, `present` that it came again.
        ([(0, Word.CAME, 1), (3_000, Word.STAYS, 1)], [(1, 0, None)]),
        ([(0, Word.CAME, 1), (3_000, Word.CAME, 1)], [(1, 0, 0), (1, 3_000, None)]),
        # A gateway that began anew says what it hears again.
        ([(0, Word.CAME, 1), (300, Word.CAME, 1)], [(1, 0, None)]),
        # Who has left where it was not, has not left.
        ([(0, Word.CAME, 1), (10, Word.LEFT, 2)], [(1, 0, None)]),
        ([(0, Word.LEFT, 1)], []),
    ],
)  # fmt: skip
def test_stays(words: list[tuple[float, Word, int]], expected: list[tuple[int, float, float | None]]) -> None:
    assert stays(*words) == expected


words_of_some_days = st.lists(
    st.builds(
        Said,
        st.integers(0, 2 * 86_400).map(lambda seconds: T0 + seconds * S),
        st.sampled_from([int(word) for word in Word]),
        st.integers(1, 4).map(lambda station: 9 if station == 4 else station),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(words_of_some_days, st.data())
def test_any_order_delay_and_repetition_end_in_the_same_stays(words: list[Said], data: st.DataObject) -> None:
    at_once = Kept()
    at_once.take(words)
    again = words + data.draw(st.lists(st.sampled_from(words), max_size=8) if words else st.just([]))
    shuffled = data.draw(st.permutations(again))
    batched = Kept()
    while shuffled:
        size = data.draw(st.integers(1, 6))
        batched.take(shuffled[:size])
        shuffled = shuffled[size:]
    assert batched.rows == at_once.rows
    assert batched.life.head == at_once.life.head
    assert batched.late == 0


@settings(max_examples=150, deadline=None)
@given(words_of_some_days, st.integers(1, 5))
def test_a_tag_never_has_two_stations_at_once(words: list[Said], size: int) -> None:
    kept = Kept()
    for start in range(0, len(words), size):
        kept.take(words[start : start + size])
        ordered = [kept.rows[key] for key in sorted(kept.rows)]
        for one, following in pairwise(ordered):
            assert one.until_us is not None
            assert one.from_us <= one.until_us <= following.from_us
        assert [one.station for one in ordered if one.until_us is None] == (
            [] if kept.life.head.station is None else [kept.life.head.station]
        )
        assert stays_of(kept.life, RULES) == ordered


@settings(max_examples=100, deadline=None)
@given(words_of_some_days)
def test_the_stay_that_lasts_is_told_also_when_its_beginning_is_final(words: list[Said]) -> None:
    rules = Rules(late_us=3_600 * S, silent_us=20 * MINUTE)
    kept = Kept(rules)
    for one in sorted(words):
        kept.take([one])
        ordered = [kept.rows[key] for key in sorted(kept.rows)]
        found = stays_of(kept.life, rules)
        assert found == ordered[len(ordered) - len(found) :]
        assert [stay for stay in found if stay.until_us is None] == ordered[-1:] * (kept.life.head.station is not None)


def test_what_is_too_late_is_counted_and_changes_nothing() -> None:
    kept = Kept()
    kept.take(said((0, Word.CAME, 1), (5 * 86_400, Word.CAME, 2)))
    before = kept.stays
    kept.take(said((100, Word.CAME, 3)))
    assert (kept.stays, kept.late) == (before, 1)
    kept.take(said((4 * 86_400, Word.CAME, 3)))
    assert kept.stays == [(1, 0, 0), (3, 4 * 86_400, 4 * 86_400), (2, 5 * 86_400, None)]


def test_a_life_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lives, "MOST", 50)
    kept = Kept()
    for number in range(500):
        kept.take(said((number * 10, Word.CAME, number % 3)))
    assert len(kept.life.words) <= 50
    assert len(kept.stays) == 500


def test_a_stay_that_is_final_ends_by_a_later_word() -> None:
    kept = Kept()
    kept.take(said((0, Word.CAME, 1)))
    for day in range(1, 9):
        kept.take(said((day * 86_400, Word.STAYS, 1)))
    kept.take(said((8 * 86_400 + 60, Word.LEFT, 1)))
    # What was late is judged against it.
    kept.take(said((8 * 86_400 + 30, Word.STAYS, 1)))
    assert kept.stays == [(1, 0, 8 * 86_400 + 60)]


def test_a_tag_at_two_places_at_once_is_cloned_in_any_order() -> None:
    words = said((0, Word.CAME, 1), (100, Word.CAME, 9), (300, Word.STAYS, 1), (400, Word.STAYS, 9))
    kept = Kept()
    kept.take(words)
    assert [(one.there, one.here) for one in kept.cloned] == [(9, 1), (1, 9)]
    late = Kept()
    late.take(words[2:])
    assert late.cloned == []
    late.take(words[:2])
    assert [(one.there, one.here) for one in late.cloned][-1] == (1, 9)


@pytest.mark.parametrize(
    "words",
    [
        # Far, and time enough.
        [(0, Word.CAME, 1), (700, Word.CAME, 9), (1_400, Word.CAME, 1), (2_100, Word.CAME, 9)],
        # Once: a clock that was set.
        [(0, Word.CAME, 1), (100, Word.CAME, 9), (400, Word.STAYS, 9), (700, Word.STAYS, 9)],
        # Neighbours.
        [(0, Word.CAME, 1), (10, Word.CAME, 2), (20, Word.STAYS, 1), (30, Word.STAYS, 2)],
    ],
)
def test_what_can_be_travelled_is_no_clone(words: list[tuple[float, Word, int]]) -> None:
    kept = Kept()
    kept.take(said(*words))
    assert kept.cloned == []


WITHIN, CLOCKS = 30 * S, 30 * S
STREET = frozenset({1, 2})


def owners(*words: tuple[float, Word, int]) -> Life:
    kept = Kept()
    kept.take(said(*words))
    return kept.life


def near(owner: Life, moved_s: float) -> bool:
    moved = Movement(T0 + round(moved_s * S), STREET)
    return is_owner_near(owner, moved, RULES, within_us=WITHIN, clocks_us=CLOCKS)


skews = st.floats(-15, 15)


@settings(max_examples=200, deadline=None)
@given(skews, skews, st.floats(5, 600), st.floats(0, 30))
def test_who_comes_with_the_owner_is_no_theft_whatever_the_clocks(
    first: float, second: float, ride_s: float, behind_s: float
) -> None:
    """The owner takes the bike from station 1 to 2; each gateway's clock is up to 15 s off, so they differ by 30 s."""
    arrival_s = 1_000 + ride_s
    owner = owners(
        (first, Word.CAME, 1),
        (1_030 + first, Word.LEFT, 1),
        (arrival_s + behind_s + second, Word.CAME, 2),
    )
    assert near(owner, arrival_s + second)
    # The bike's word may come by the other clock.
    assert near(owner, arrival_s + first)


@settings(max_examples=200, deadline=None)
@given(skews, skews, st.floats(61 + 30, 5_000))
def test_whose_owner_was_gone_before_is_a_theft_whatever_the_clocks(first: float, second: float, gone_s: float) -> None:
    owner = owners((first, Word.CAME, 1), (1_000 + first, Word.LEFT, 1), (1_000 + gone_s / 2, Word.CAME, 3))
    assert not near(owner, 1_000 + gone_s + second)


def test_an_owner_elsewhere_is_not_near_and_one_who_stays_is() -> None:
    assert not near(owners((0, Word.CAME, 3), (300, Word.STAYS, 3)), 300)
    assert near(owners((0, Word.CAME, 1), (300, Word.STAYS, 1)), 900)
    # A station that has not said for long that it hears the owner hears nobody.
    assert not near(owners((0, Word.CAME, 1)), 3_000)
    assert not near(Life(), 0)


def test_an_owner_who_stays_for_days_is_near_all_the_time() -> None:
    kept = Kept()
    for number in range(5 * 288):
        kept.take(said((number * 300, Word.STAYS if number else Word.CAME, 1)))
    assert near(kept.life, (5 * 288 - 1) * 300 + 150)
    # Between two words: none is so near in time that it counts alone.
    assert near(kept.life, (5 * 288 - 2) * 300 + 150)
