"""What must never stand in a log: passwords, tokens, cookies, keys."""

from typing import Generic, TypeVar

from msgspec import Struct

Value = TypeVar("Value", str, bytes)


class Hidden(Struct, Generic[Value], frozen=True):
    """A secret; whoever wants to read it must say so.

    Attributes:
        value: the secret itself.
    """

    value: Value

    def __repr__(self) -> str:
        return "Hidden(***)"

    __str__ = __repr__
