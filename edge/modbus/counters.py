"""What a line sees and passes over."""

from msgspec import Struct


class LineCounters(Struct):
    """Counted since the line was made; nothing here is an answer.

    Attributes:
        late: answers that came after their timeout, recognised and dropped.
        stale: answers that came sooner than the wire allows, so of an earlier request, dropped (RTU).
        strangers: whole frames of a unit or function that was not asked, dropped.
        crc_errors: answers with a wrong check sum (RTU).
        noise_bytes: bytes that were part of no frame.
        out_of_step: times a TCP stream had to be searched for its next frame (MBAP).
        drops: times the port or connection was lost.
    """

    late: int = 0
    stale: int = 0
    strangers: int = 0
    crc_errors: int = 0
    noise_bytes: int = 0
    out_of_step: int = 0
    drops: int = 0
