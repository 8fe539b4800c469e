"""From press to stored: which alarm belongs to which press, and how long it took."""

import math
from collections.abc import Sequence

from msgspec import Struct

from contract.alarms import Transition
from langyan.demo.observer import Seen
from langyan.demo.story import Pressed


class Spread(Struct, frozen=True):
    """Percentiles in milliseconds, by nearest rank; zeros when nothing was measured."""

    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0


def spread(milliseconds: Sequence[float]) -> Spread:
    """Sum up measured times."""
    if not milliseconds:
        return Spread()
    order = sorted(milliseconds)

    def rank(share: float) -> float:
        return round(order[max(0, math.ceil(share * len(order)) - 1)], 1)

    return Spread(rank(0.5), rank(0.99), round(order[-1], 1))


def find_raise(pressed: Pressed, seen: Sequence[Seen]) -> Seen | None:
    """Find the first raise of the pressed contact after the press."""
    push = pressed.push
    matching = (
        one
        for one in seen
        if one.event.transition is Transition.RAISED
        and (one.event.gateway, one.event.device, one.event.point) == (push.gateway, push.device, push.point)
        and one.event.raised_at_us >= pressed.at_us
    )
    return min(matching, key=lambda one: one.event.raised_at_us, default=None)


def press_to_stored_ms(pressed: Pressed, seen: Sequence[Seen]) -> float | None:
    """Return how long it took from the press until the cloud's clock after the commit; None while unknown."""
    found = find_raise(pressed, seen)
    if found is None or found.stored_at_us is None:
        return None
    return (found.stored_at_us - pressed.at_us) / 1000
