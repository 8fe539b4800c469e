"""Two tags: which movement of an armed bike is its owner's. Pure."""

from collections.abc import Collection, Iterable

from msgspec import Struct

from cloud.bikes.life import Life, Rules, Said, stays_of


class Movement(Struct, frozen=True):
    """An armed bike moved.

    Attributes:
        at_us: when, by the clock of the gateway that heard it at its new place.
        stations: where it was, and all others of the same sites: the owner's tag at one of them is near.
    """

    at_us: int
    stations: frozenset[int]


def is_owner_near(owner: Life, moved: Movement, rules: Rules, *, within_us: int, clocks_us: int) -> bool:
    """Tell whether the owner's tag was at one of the stations within `within_us` before or after a movement.

    Args:
        owner: of the owner's tag.
        moved: see there.
        rules: of lives.
        within_us: so near in time counts.
        clocks_us: by so much the clocks of two gateways differ at most; it counts in favour of the owner.
    """
    room_us = within_us + clocks_us
    first_us, last_us = moved.at_us - room_us, moved.at_us + room_us
    if any(first_us <= at_us <= last_us for at_us in _heard(owner.words, moved.stations)):
        return True
    for stay in stays_of(owner, rules):
        lasts_until_us = owner.head.heard_us if stay.until_us is None else stay.until_us
        # One that lasts is said again now and then: silence so far means nothing.
        if stay.until_us is None and stay.station == owner.head.station:
            lasts_until_us += rules.silent_us
        if stay.station in moved.stations and stay.from_us <= last_us and lasts_until_us >= first_us:
            return True
    return False


def _heard(words: Iterable[Said], stations: Collection[int]) -> Iterable[int]:
    """Moments at which one of the stations heard the tag; who has left was there until a little before."""
    return (one.at_us for one in words if one.station in stations)
