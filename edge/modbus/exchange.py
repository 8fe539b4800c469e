"""The interface that RTU and MBAP share: one request out, then bytes in until its answer is whole."""

from typing import Protocol

from edge.errors import EdgeError
from edge.modbus.counters import LineCounters


class Exchange(Protocol):
    """One transaction after the other, without a socket or a clock; moments are of any clock that never jumps.

    Attributes:
        is_tagged: answers carry a transaction number.
        counters: what was passed over.
    """

    is_tagged: bool
    counters: LineCounters

    @property
    def is_owed(self) -> bool:
        """Whether an answer may yet come that would be taken for the next one's."""

    @property
    def is_spoilt(self) -> bool:
        """Whether as many bytes came as the answer has, and are none: what follows at once may still hold it."""

    @property
    def answer_bytes(self) -> int:
        """Length of the whole answer that is waited for."""

    def restart(self) -> None:
        """Begin with a new connection: what was left of the old one is dropped and counted."""

    def begin(self, unit: int, request: bytes, *, now: float) -> bytes:
        """Begin a transaction; what was left of the last one is dropped and counted.

        Returns:
            The bytes to send, at once.
        """

    def feed(self, data: bytes, *, now: float) -> bytes | None:
        """Take bytes as they come; also when nothing is asked.

        Returns:
            The answer's PDU once it is whole: it fits the request, or is an exception answer to it.

        Raises:
            FrameError: what came is not the answer, and the answer will not come.
        """

    def expire(self) -> EdgeError:
        """End the transaction without its answer.

        Returns:
            LinkTimeoutError: nothing came. FrameError: something else did. LinkDownError: the stream is beyond help.
        """
