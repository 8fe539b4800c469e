"""Plays a recording back: says what was recorded to each request that was recorded, with its timing.

A request that comes again gets the recorded answers one after the other, and from the first again. A request that
was not recorded gets silence.
"""

import logging
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import anyio
from anyio import wait_readable
from anyio.abc import TaskStatus
from msgspec import Struct

from device_profiles.recording import Piece, Recording
from device_profiles.site import RtuBus, TcpBus
from simulators.errors import SimulatorError
from simulators.framing import RtuFramer, TcpFramer, TcpRequest, rtu_frame, tcp_frame
from simulators.pty_port import PtyPort
from simulators.rtu_tcp_bus import SocketPort
from simulators.serial_bus import BytePort
from simulators.tcp_bus import listen_at
from simulators.wire import LineClock

log = logging.getLogger(__name__)

_TRANSACTION_BYTES = 2
_PROTOCOL = b"\0\0"
# Each is told once; a gateway whose site file does not fit the recording asks the same few again and again.
_MOST_UNKNOWN = 100
# Half a request that does not go on for so long never will.
_PATIENCE_S = 0.05


class Said(Struct, frozen=True):
    """A piece of an answer: the bytes, so many seconds after the request."""

    after_s: float
    data: bytes


class Script:
    """The recorded answers by request; pure."""

    def __init__(self, recording: Recording) -> None:
        """Sort the recording.

        Raises:
            SimulatorError: there is no whole request in it.
        """
        self.is_tcp = isinstance(recording.heading.bus, TcpBus)
        found: dict[bytes, list[tuple[bytes, tuple[Said, ...]]]] = {}
        for sent, heard in _turns(recording.pieces):
            said = tuple(Said(piece.t - sent.t, piece.data) for piece in heard)
            found.setdefault(self._key(sent.data), []).append((sent.data[:_TRANSACTION_BYTES], said))
        if not found:
            raise SimulatorError("the recording holds no request; record longer, with devices on the bus")
        self._answers = {key: cycle(said) for key, said in found.items()}

    def answer(self, request: bytes) -> tuple[Said, ...] | None:
        """Give the next recorded answer to a whole request; None when it was never recorded.

        What carried the recorded request's transaction number carries the new one's.
        """
        answers = self._answers.get(self._key(request))
        if answers is None:
            return None
        number, said = next(answers)
        if not self.is_tcp:
            return said
        old, new = number + _PROTOCOL, request[:_TRANSACTION_BYTES] + _PROTOCOL
        return tuple(
            Said(piece.after_s, new + piece.data[len(new) :]) if piece.data.startswith(old) else piece for piece in said
        )

    def _key(self, request: bytes) -> bytes:
        return request[_TRANSACTION_BYTES:] if self.is_tcp else request


async def serve_replay(
    recording: Recording,
    *,
    place: Path | None = None,
    address: tuple[str, int] | None = None,
    task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a recording until cancelled, to one gateway at a time.

    Args:
        recording: of any bus.
        place: where to put a serial port; for recordings of serial ports.
        address: where to listen; for the others.
        task_status: is told what the gateway opens.

    Raises:
        SimulatorError: the place is taken, or nothing can be played back.
    """
    script = Script(recording)
    if place is not None and isinstance(recording.heading.bus, RtuBus):
        port = PtyPort(place)
        try:
            task_status.started(str(place))
            await _play(script, port)
        finally:
            port.close()
        return
    if address is None:
        raise SimulatorError("a recording of a serial port wants a place for one, any other an address to listen at")
    with listen_at("replay", *address) as listener:
        host, number = listener.getsockname()[:2]
        task_status.started(f"{host}:{number}")
        while True:
            await wait_readable(listener)
            try:
                client, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            connection = SocketPort(client)
            try:
                await _play(script, connection)
            except OSError as error:
                log.info("the gateway is gone: %s", error)
            finally:
                connection.close()


async def _play(script: Script, port: BytePort) -> None:
    """Serve one gateway until cancelled, or until it is gone (OSError)."""
    clock, framer = LineClock(), TcpFramer() if script.is_tcp else RtuFramer()
    unknown: set[bytes] = set()
    try:
        while True:
            with anyio.move_on_after(_PATIENCE_S if framer.waiting else None) as silence:
                await wait_readable(port.fd)
            heard_at = time.monotonic()
            if isinstance(framer, TcpFramer):
                requests = [_tcp_bytes(request) for request in framer.feed(port.read())]
                if framer.fault is not None:
                    raise ConnectionAbortedError(framer.fault)
            else:
                heard = framer.silence() if silence.cancelled_caught else framer.feed(port.read())
                requests = [rtu_frame(request.unit, request.pdu) for request in heard]
            for request in requests:
                said = script.answer(request)
                if said is None and request not in unknown and len(unknown) < _MOST_UNKNOWN:
                    unknown.add(request)
                    log.warning("not in the recording, so not answered: %s", request.hex(" "))
                for piece in said or ():
                    await clock.until(heard_at + piece.after_s)
                    port.write(piece.data)
    finally:
        clock.close()


def _tcp_bytes(request: TcpRequest) -> bytes:
    return tcp_frame(request.transaction, request.unit, request.pdu)


def _turns(pieces: tuple[Piece, ...]) -> Iterator[tuple[Piece, list[Piece]]]:
    sent: Piece | None = None
    heard: list[Piece] = []
    for piece in pieces:
        if piece.dir == ">":
            if sent is not None:
                yield sent, heard
            sent, heard = piece, []
        elif piece.dir == "<":
            heard.append(piece)
    if sent is not None:
        yield sent, heard
