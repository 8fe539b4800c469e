"""One stream fed in every way: whole, byte by byte, cut at each place."""

from collections.abc import Callable, Iterator, Sequence

from edge.modbus.exchange import Exchange


def cuts(data: bytes) -> Iterator[Sequence[bytes]]:
    """Give the same bytes whole, one at a time, and in two pieces cut at every place."""
    yield (data,)
    yield tuple(data[at : at + 1] for at in range(len(data)))
    for at in range(1, len(data)):
        yield data[:at], data[at:]


def answers(exchange: Exchange, pieces: Sequence[bytes], *, now: float = 1.0) -> list[bytes]:
    """Feed the pieces and collect what comes out."""
    return [answer for piece in pieces if (answer := exchange.feed(piece, now=now)) is not None]


def every_way(make: Callable[[], Exchange], data: bytes) -> Iterator[tuple[Exchange, list[bytes]]]:
    """Feed the same bytes in every way to an exchange of its own."""
    for pieces in cuts(data):
        exchange = make()
        yield exchange, answers(exchange, pieces)
