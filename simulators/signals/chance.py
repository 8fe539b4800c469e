"""Chance that can be asked for any moment in any order: the same key and time give the same number. Pure."""

from math import floor, sqrt
from random import Random


def unit(key: str, index: int) -> float:
    """Draw the number of that index from a key's evenly spread numbers, 0 to 1."""
    return Random(f"{key}:{index}").random()  # noqa: S311 - a repeatable world, no secret


def bell(key: str, index: int) -> float:
    """Draw the number of that index from a key's normally spread numbers: mean 0, deviation 1."""
    return Random(f"{key}:{index}").gauss(0.0, 1.0)  # noqa: S311 - see above


def smooth(key: str, t: float) -> float:
    """Give a curve between -1 and 1 that goes on smoothly; whole numbers of `t` are independent of each other."""
    index = floor(t)
    part = t - index
    eased = part * part * (3 - 2 * part)
    before, after = 2 * unit(key, index) - 1, 2 * unit(key, index + 1) - 1
    return before + (after - before) * eased


def walk(key: str, t: float) -> float:
    """Give a random walk from 0 at `t` = 0: after n steps of deviation 1 it is off by the square root of n.

    Found by halving (P. Lévy's construction of Brownian motion), so any step costs some twenty draws and none
    of the steps before it: the ends of doubling spans are drawn first, then midpoints between them.
    """
    t = max(t, 0.0)
    low, high, level = 0, 1, 0
    at_low, at_high = 0.0, bell(key, -1)
    while high <= t:
        level += 1
        low, at_low = high, at_high
        high *= 2
        at_high = at_low + bell(key, -1 - level) * sqrt(high - low)
    while high - low > 1:
        middle = (low + high) // 2
        at_middle = (at_low + at_high) / 2 + bell(key, middle) * sqrt((high - low) / 4)
        if middle <= t:
            low, at_low = middle, at_middle
        else:
            high, at_high = middle, at_middle
    return at_low + (at_high - at_low) * (t - low)
