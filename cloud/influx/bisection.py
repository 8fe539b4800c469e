"""Find the lines that a database refuses, in few requests, while everything else is written."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from cloud.errors import DatabaseRefusedError, TooLargeError

Write = Callable[[bytes], Awaitable[None]]


class Culprit(Struct, frozen=True):
    """Lines `start` up to, not including, `stop` that were refused for good, and the server's words."""

    start: int
    stop: int
    why: str


async def bisect(
    lines: Sequence[bytes], write: Write, *, max_culprits: int = 64, refused: str | None = None
) -> list[Culprit]:
    """Write lines and halve what is refused, down to single lines.

    At most about 2 k log2 n requests for k culprits of n lines. Lines are written in their order; a good line may
    be written again, which changes nothing: 1.x and 2.x write the good lines of a refused batch at once, 3.x none.

    Args:
        lines: without line ends.
        write: raises `DatabaseRefusedError` or `TooLargeError`; everything else it raises goes through.
        max_culprits: after this many a refused block is given up as one culprit, so that one bad message
            costs a bounded number of requests. Where a server writes all or nothing its good lines are refused
            with it: the caller keeps the whole block.
        refused: the server's words when `lines` as a whole were just refused; spares the first request.

    Returns:
        The culprits by rising index; [] when all was written.
    """
    culprits: list[Culprit] = []
    # Blocks still to be written, the next one last; the words say that a block is known to be refused.
    waiting: list[tuple[int, int, str | None]] = [(0, len(lines), refused)]
    while waiting:
        start, stop, why = waiting.pop()
        if start == stop:
            continue
        is_too_large = False
        if why is None:
            try:
                await write(b"\n".join(lines[start:stop]))
                continue
            except TooLargeError as error:
                why, is_too_large = str(error), True
            except DatabaseRefusedError as error:
                why = str(error)
        # A block that is merely too large says nothing against its lines: it is always halved.
        if stop - start == 1 or (len(culprits) >= max_culprits and not is_too_large):
            culprits.append(Culprit(start, stop, why))
            continue
        middle = (start + stop) // 2
        waiting.append((middle, stop, None))
        waiting.append((start, middle, None))
    return culprits
