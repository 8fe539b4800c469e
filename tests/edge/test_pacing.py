import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.pacing import FIRST_RECONNECT_S, LONGEST_RECONNECT_S, REFUSED_RECONNECT_S, Rate, Reconnects


def test_the_pauses_double_from_short_to_long_and_begin_anew_after_success() -> None:
    pauses = Reconnects(seed=1)
    waits = [pauses.pause_s(is_refused=False) for _ in range(8)]
    for wait, nominal in zip(waits, (0.25, 0.5, 1, 2, 2, 2, 2, 2), strict=True):
        assert nominal / 2 <= wait <= nominal
    assert max(waits) <= LONGEST_RECONNECT_S
    pauses.reset()
    assert pauses.pause_s(is_refused=False) <= FIRST_RECONNECT_S


def test_gateways_that_were_lost_together_come_back_apart() -> None:
    city = [Reconnects(seed=number) for number in range(1000)]
    comes_at = [sum(one.pause_s(is_refused=False) for _ in range(30)) for one in city]
    # Whoever looks at any half second of the last longest wait finds at most a third of the city in it.
    last = [at % LONGEST_RECONNECT_S for at in comes_at]
    for begin in (0.0, 0.5, 1.0, 1.5):
        assert sum(begin <= at < begin + 0.5 for at in last) < len(city) / 3


def test_a_refusal_is_not_asked_about_more_often_than_every_half_minute() -> None:
    pauses = Reconnects(seed=1)
    for _ in range(5):
        assert REFUSED_RECONNECT_S / 2 <= pauses.pause_s(is_refused=True) <= REFUSED_RECONNECT_S


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=50), st.floats(10.0, 10_000.0))
def test_a_rate_is_kept_on_average(amounts: list[int], per_s: float) -> None:
    rate, now = Rate(per_s), 0.0
    for amount in amounts:
        assert rate.is_free(now)
        rate.spend(amount, now)
        now = rate.free_at()
    assert now == pytest.approx(sum(amounts) / per_s)
    # A pause earns nothing: the line is metered by what goes over it.
    rate.spend(1, now + 1000.0)
    assert rate.free_at() == pytest.approx(now + 1000.0 + 1 / per_s)


def test_no_rate_holds_nothing_back() -> None:
    rate = Rate(0.0)
    rate.spend(10**9, 0.0)
    assert rate.is_free(0.0)
