"""What a gateway would have read from a recording. Pure: bytes in, words out."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from contract.telemetry import Value
from device_profiles.codec import BlockDecoder
from device_profiles.frames import TABLE_OF_FUNCTION
from device_profiles.recording import Piece, Recording
from device_profiles.site import PlacedDevice, TcpBus
from edge.errors import FrameError
from edge.modbus.exchange import Exchange
from edge.modbus.mbap import HEADER_BYTES, MbapExchange
from edge.modbus.pdu import EXCEPTION_BIT, cells_of, exception_text, span_of
from edge.modbus.rtu import ENVELOPE_BYTES, RtuExchange, rtu_frame
from edge.modbus.wire import wire_at

_FUNCTIONS = {
    1: "read coils",
    2: "read discrete inputs",
    3: "read holding registers",
    4: "read input registers",
    5: "write coil",
    6: "write register",
    15: "write coils",
    16: "write registers",
}
_SHORTEST_PDU = 5


class Told(Struct, frozen=True):
    """One request and what became of it, or a remark of the recording.

    Attributes:
        t: seconds since the beginning, of the request.
        unit: unit id; 0 for a remark.
        asked: the request in words.
        took_s: from the request to the end of its answer; None without one.
        cells: bits or words of a good answer to a read.
        readings: (device, point key, value) of the points that the site file has there.
        faults: what was wrong, in words.
    """

    t: float
    unit: int
    asked: str
    took_s: float | None = None
    cells: tuple[int, ...] = ()
    readings: tuple[tuple[str, str, Value], ...] = ()
    faults: tuple[str, ...] = ()


def replay(recording: Recording, devices: Sequence[PlacedDevice] = ()) -> Iterator[Told]:
    """Tell, request by request, what a gateway with these devices on the bus would have read."""
    exchange = _exchange_of(recording)
    by_unit = {placed.unit: placed for placed in devices}
    for sent, heard in _turns(recording.pieces):
        if sent.dir == "!":
            yield Told(sent.t, 0, sent.text)
            continue
        asked = _request_of(sent.data, exchange)
        if asked is None:
            yield Told(sent.t, 0, "?", faults=(f"no request that can be read: {sent.data[:16].hex(' ')}",))
            continue
        yield _tell(exchange, sent, heard, asked, by_unit.get(asked[0]))


def _turns(pieces: Iterable[Piece]) -> Iterator[tuple[Piece, list[Piece]]]:
    """Part the pieces into requests with what was heard after each; remarks stand alone."""
    sent: Piece | None = None
    heard: list[Piece] = []
    remarks: list[Piece] = []
    for piece in pieces:
        if piece.dir == "<":
            heard.append(piece)
        elif piece.dir == "!":
            remarks.append(piece)
        else:
            if sent is not None:
                yield sent, heard
            yield from ((remark, []) for remark in remarks)
            sent, heard, remarks = piece, [], []
    if sent is not None:
        yield sent, heard
    yield from ((remark, []) for remark in remarks)


def _exchange_of(recording: Recording) -> Exchange:
    bus = recording.heading.bus
    name = f"bus {bus.id}"
    if isinstance(bus, TcpBus):
        return MbapExchange(name=name)
    return RtuExchange(name=name, least_character_s=wire_at(bus.baud).least_character_s)


def _request_of(data: bytes, exchange: Exchange) -> tuple[int, bytes] | None:
    """Take unit and PDU out of what was sent; a number goes to the exchange."""
    if isinstance(exchange, MbapExchange):
        if len(data) < HEADER_BYTES + _SHORTEST_PDU:
            return None
        exchange.transaction = int.from_bytes(data[:2], "big") - 1 & 0xFFFF
        unit, pdu = data[HEADER_BYTES - 1], data[HEADER_BYTES:]
    else:
        if len(data) < ENVELOPE_BYTES + _SHORTEST_PDU or rtu_frame(data[0], data[1:-2]) != data:
            return None
        unit, pdu = data[0], data[1:-2]
    return (unit, pdu) if pdu[0] in _FUNCTIONS else None


def _tell(
    exchange: Exchange, sent: Piece, heard: Sequence[Piece], asked: tuple[int, bytes], placed: PlacedDevice | None
) -> Told:
    unit, request = asked
    address, size = span_of(request)
    words = f"{_FUNCTIONS[request[0]]} {address}+{size}"
    exchange.begin(unit, request, now=sent.t)
    for piece in heard:
        try:
            answer = exchange.feed(piece.data, now=piece.t)
        except FrameError as error:
            return Told(sent.t, unit, words, took_s=piece.t - sent.t, faults=(str(error), error.hint))
        if answer is not None:
            return _answered(Told(sent.t, unit, words, took_s=piece.t - sent.t), request, answer, placed)
    failure = exchange.expire()
    return Told(sent.t, unit, words, faults=(str(failure), failure.hint))


def _answered(told: Told, request: bytes, answer: bytes, placed: PlacedDevice | None) -> Told:
    if answer[0] & EXCEPTION_BIT:
        fault = f"refused: exception {answer[1]}, {exception_text(answer[1])}"
        return Told(told.t, told.unit, told.asked, took_s=told.took_s, faults=(fault,))
    cells = tuple(cells_of(request, answer))
    readings: list[tuple[str, str, Value]] = []
    faults: list[str] = []
    if placed is not None and cells:
        first, size = span_of(request)
        table = TABLE_OF_FUNCTION[request[0]]
        inside = tuple(
            point
            for point in placed.profile.point
            if point.table is table and first <= point.address and point.address + point.type.words <= first + size
        )
        points, bad = BlockDecoder(inside, first).decode(cells)
        readings = [(placed.device.id, point.key, point.value) for point in points]
        faults = [f"{placed.device.id} {key}: no reading: {why.value}" for key, why in bad]
    return Told(told.t, told.unit, told.asked, told.took_s, cells, tuple(readings), tuple(faults))
