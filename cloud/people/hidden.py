"""What must never stand in a log: passwords, tokens, cookies, keys."""

from typing import Generic, TypeVar

Value = TypeVar("Value", str, bytes)


class Hidden(Generic[Value]):
    """A secret; whoever wants to read it must say so.

    No Struct, so that no encoder writes it either: JSON, SQL and logs refuse or hide it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: Value) -> None:
        self._value: Value = value

    def __repr__(self) -> str:
        return "Hidden(***)"

    @property
    def value(self) -> Value:
        """The secret itself."""
        return self._value
