from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ledger import Found, Ledger, percentile


def filled(*counters: int, device: str = "dev1") -> Ledger:
    ledger = Ledger()
    for counter in counters:
        ledger.add(device, counter & 0xFFFF)
    return ledger


def test_all_arrived_once() -> None:
    assert filled(1, 2, 3).compare({"dev1": 3}) == Found(read=3, lost=0, twice=0)


def test_what_never_arrived_is_lost_and_named() -> None:
    ledger = filled(1, 4)
    assert ledger.compare({"dev1": 5, "dev2": 2}) == Found(read=7, lost=5, twice=0)
    assert ledger.missing("dev1", 5) == [2, 3, 5]


def test_each_further_arrival_counts_as_twice() -> None:
    assert filled(1, 2, 2, 2).compare({"dev1": 2}) == Found(read=2, lost=0, twice=2)


def test_only_the_counters_asked_for_are_compared() -> None:
    assert filled(1, 3, 3, 9).compare({"dev1": 3}, {"dev1": 2}) == Found(read=2, lost=1, twice=1)


def test_nothing_read_is_nothing_lost() -> None:
    assert Ledger().compare({"dev1": 0}) == Found(read=0, lost=0, twice=0)


@given(st.permutations(range(20)), st.integers(min_value=0, max_value=200_000))
def test_counters_wrap_and_come_in_any_order(order: list[int], start: int) -> None:
    ledger = Ledger()
    # The first one is known by its low bits only, so it sets where counting begins.
    base = ledger.add("dev1", start & 0xFFFF)
    found = [ledger.add("dev1", start + 1 + step & 0xFFFF) - base for step in order]
    assert found == [1 + step for step in order]


def test_percentiles_lie_between_neighbours() -> None:
    assert percentile([], 0.5) == 0.0
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert percentile(range(101), 0.99) == 99.0
