"""What the desk decides by itself, without a database."""

from hypothesis import given
from hypothesis import strategies as st

from cloud.desk import watch_rules
from edge import supervision


def test_the_kinds_are_the_gateways_own_words() -> None:
    assert frozenset({supervision.DEVICE_LOST, supervision.BUS_LOST}) == watch_rules.FOLLOWS_FROM_LOSS
    assert (
        watch_rules.line_source("g", "rs485") == f"g/gateway.rs485/{supervision.SUPERVISION}/{supervision.SUPERVISION}"
    )


@given(st.integers(0, 100), st.integers(0, 100), st.none() | st.integers(0, 200))
def test_nothing_ends_before_it_began_or_later_than_now(raised: int, lasted: int, since: int | None) -> None:
    event = watch_rules.back("g", raised, raised + lasted, since_us=since)
    assert raised <= event.at_us <= raised + lasted
    assert event.alarm_id == watch_rules.lost("g", raised).alarm_id
