"""Closed sets of words from outside."""

from enum import StrEnum
from typing import TypeVar

Word = TypeVar("Word", bound=StrEnum)


def member(words: type[Word], text: str) -> Word | None:
    """Find the member whose value is `text`; None when there is none."""
    try:
        return words(text)
    except ValueError:
        return None
