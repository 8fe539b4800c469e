"""Noise on a serial line: seeded, so that a run can be repeated. Pure."""

from random import Random

from msgspec import Struct

MAX_BURST_BYTES = 256
_MAX_BEFORE_BYTES = 8


class Disturbed(Struct, frozen=True):
    """An answer as it goes over the line.

    Attributes:
        data: bytes to send.
        is_broken: the answer itself is damaged, no reader can take it.
        is_noisy: noise goes before a whole answer, a reader may find it.
    """

    data: bytes
    is_broken: bool = False
    is_noisy: bool = False


class Noise:
    """Puts noise before or inside every so many answers.

    Attributes:
        rate: share of the answers that are disturbed, 0 to 1; half of them are damaged inside.
    """

    def __init__(self, seed: str) -> None:
        self.rate = 0.0
        self._random = Random(seed)  # noqa: S311 - a repeatable disturbance, no secret

    def disturb(self, frame: bytes) -> Disturbed:
        """Decide what becomes of one answer."""
        if self._random.random() >= self.rate:
            return Disturbed(frame)
        if self._random.random() < 0.5:  # noqa: PLR2004 - half before, half inside
            return Disturbed(self.burst(self._random.randint(1, _MAX_BEFORE_BYTES)) + frame, is_noisy=True)
        place = self._random.randrange(len(frame))
        wrong = frame[place] ^ self._random.randint(1, 255)
        return Disturbed(frame[:place] + bytes((wrong,)) + frame[place + 1 :], is_broken=True)

    def burst(self, size: int) -> bytes:
        """Make up bytes."""
        return self._random.randbytes(size)
