"""Values in pieces that a statement takes as parameters on every database."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

AT_ONCE = 500

Item = TypeVar("Item")


def chunked(items: Sequence[Item], size: int = AT_ONCE) -> Iterator[Sequence[Item]]:
    """Cut a sequence into pieces of at most `size`, in order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
