"""What the numbers are held against: each limit with the value beside it, and a word for it. Pure.

Limits of the load on an operator: ISA-18.2-2016 and EEMUA 191, over at least 30 days. The others say their source where
they stand.
"""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from cloud.numbers.load import Load


class Verdict(StrEnum):
    """How a value stands to its limits."""

    GOOD = "good"
    TOLERABLE = "tolerable"
    """Beyond what is acceptable, within what is the maximum."""
    OVER = "over"


class Judgement(Struct, frozen=True):
    """One value against its limits.

    Attributes:
        name: what is judged; see docs/numbers.md.
        value: in the limits' unit.
        acceptable: up to here (of a share to be reached: from here on) it is good.
        maximum: up to here (from here on) it is tolerable.
        verdict: what follows.
        is_share: whether value and limits are shares of 1.
        more_is_better: whether the limits are to be reached rather than kept.
    """

    name: str
    value: float
    acceptable: float
    maximum: float
    verdict: Verdict
    is_share: bool = False
    more_is_better: bool = False


def judge(
    name: str, value: float, acceptable: float, maximum: float, *, is_share: bool = False, more_is_better: bool = False
) -> Judgement:
    """Hold a value against its limits; a limit itself is still within."""
    sign = -1 if more_is_better else 1
    if sign * value <= sign * acceptable:
        verdict = Verdict.GOOD
    else:
        verdict = Verdict.TOLERABLE if sign * value <= sign * maximum else Verdict.OVER
    return Judgement(name, value, acceptable, maximum, verdict, is_share=is_share, more_is_better=more_is_better)


def judge_load(load: Load) -> Iterator[Judgement]:
    """Judge what operators are shown."""
    yield judge("per-hour", load.per_hour, 6, 12)
    yield judge("per-ten-minutes", load.per_ten_minutes, 1, 2)
    yield judge("worst-ten-minutes", load.worst_ten_minutes, 10, 10)
    yield judge("overfull", load.overfull_share, 0.01, 0.01, is_share=True)
    yield judge("flood", load.flood_share, 0.01, 0.01, is_share=True)
