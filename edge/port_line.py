"""The one line there is: a port, an exchange that thinks, and as little as possible between them."""

import asyncio
import os
import time

import anyio

from edge.errors import DeviceRefusedError, EdgeError, FrameError, LinkDownError
from edge.line_clock import LineClock
from edge.modbus.exchange import Exchange
from edge.modbus.pdu import EXCEPTION_BIT, exception_text
from edge.modbus.wire import Wire
from edge.ports import Port, Tap

# A little more than the longest frame, 260 bytes.
READ_BYTES = 512
# So much and no answer: nobody can be understood on such a line.
MAX_BABBLE_BYTES = 65_536
# A unit that is later than this after its timeout needs a longer timeout in its profile.
LONGEST_RESERVE_S = 0.1
# How long somebody may talk unasked before a request gives up waiting for silence.
LONGEST_WAIT_FOR_SILENCE_S = 1.0


class PortLine:
    """See `edge.line.Line`."""

    def __init__(self, port: Port, exchange: Exchange, *, name: str, wire: Wire, grace_s: float = 0.0) -> None:
        """Prepare; nothing is opened yet.

        Args:
            port: where the bytes go through.
            exchange: what they mean.
            name: how people call the line, for the errors.
            wire: the time bytes take.
            grace_s: silence after which a spoilt answer is given up, although its timeout is not over.
        """
        self.is_tagged = exchange.is_tagged
        self.counters = exchange.counters
        self.tap: Tap | None = None
        self._port, self._exchange, self._name, self._wire, self._grace_s = port, exchange, name, wire, grace_s
        self._fd = -1
        self._why_down = "it is not open"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clock: LineClock | None = None
        self._waiter: asyncio.Future[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._timeout_at = 0.0
        self._free_at = self._reserved_until = 0.0
        self._passed = anyio.Event()
        self._babble = 0

    async def open(self) -> None:
        """See `Line.open`."""
        self.close()
        try:
            fd = await self._port.open()
        except LinkDownError as error:
            raise LinkDownError(f"{self._name}: {error}") from error
        self._fd, self._loop = fd, asyncio.get_running_loop()
        self._clock = LineClock() if self._wire.gap_s else None
        self._babble = 0
        self._exchange.restart()
        # Somebody may have been speaking just now.
        self._free_at = time.monotonic() + self._wire.gap_s if self._wire.gap_s else 0.0
        self._loop.add_reader(fd, self._receive)

    def close(self) -> None:
        """See `Line.close`."""
        if self._fd >= 0:
            self._hang_up("it was closed")

    async def transact(self, unit: int, request: bytes, *, timeout_s: float, turnaround_s: float = 0.0) -> bytes:
        """See `Line.transact`."""
        if self._free_at:
            await self._wait_for_silence()
        loop, now = self._loop, time.monotonic()
        if self._fd < 0 or loop is None:
            raise self._down()
        exchange, wire = self._exchange, self._wire
        self._send(exchange.begin(unit, request, now=now))
        if wire.gap_s:
            timeout_s += wire.transaction_s(len(request) + 3, exchange.answer_bytes)
            self._free_at = now + (len(request) + 3) * wire.character_s + wire.gap_s
        deadline = self._timeout_at = self._deadline = now + timeout_s
        if self._timer is None or self._timer.when() > deadline:
            self._ring_at(deadline)
        waiter = self._waiter = loop.create_future()
        try:
            answer: bytes = await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                # The unit was asked, and will answer into whatever comes next.
                exchange.expire()
                self._reserve()
            raise
        finally:
            self._waiter = None
            if turnaround_s:
                self._free_at = max(self._free_at, time.monotonic() + turnaround_s)
        if answer[0] & EXCEPTION_BIT:
            code = answer[1]
            why = f"{self._name}, unit {unit}: function {request[0]} refused: exception {code}, {exception_text(code)}"
            raise DeviceRefusedError(why, code=code)
        return answer

    async def _wait_for_silence(self) -> None:
        """Wait until the line is free: the silence is over, and no late answer is waited out."""
        give_up_at = max(time.monotonic(), self._free_at, self._reserved_until) + LONGEST_WAIT_FOR_SILENCE_S
        while self._fd >= 0:
            # What has come already is part of what was before.
            self._receive()
            now = time.monotonic()
            if self._exchange.is_owed and now < self._reserved_until:
                with anyio.move_on_after(self._reserved_until - now):
                    await self._passed.wait()
            elif now >= self._free_at:
                return
            elif now > give_up_at:
                raise FrameError(f"{self._name}: somebody talks without being asked, and does not stop")
            elif self._clock is None:
                await anyio.sleep(self._free_at - now)
            else:
                await self._clock.until(self._free_at)

    def _send(self, data: bytes) -> None:
        try:
            if os.write(self._fd, data) != len(data):
                self._lose("it takes no more bytes")
        except BlockingIOError:
            self._lose("it takes no more bytes")
        except OSError as error:
            self._lose(str(error.strerror))
        if self._fd < 0:
            raise self._down()
        if self.tap is not None:
            self.tap(True, data)

    def _receive(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(str(error.strerror))
            return
        if not data:
            self._lose("the other end closed it")
            return
        if self.tap is not None:
            self.tap(False, data)
        now = time.monotonic()
        if self._wire.gap_s:
            self._free_at = max(self._free_at, now + self._wire.gap_s)
        try:
            answer = self._exchange.feed(data, now=now)
        except FrameError as error:
            self._fail(error)
            return
        if answer is None:
            self._go_on(len(data), now)
            return
        self._babble = 0
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)

    def _go_on(self, size: int, now: float) -> None:
        """Bytes came and are no answer yet."""
        self._babble += size
        if self._babble > MAX_BABBLE_BYTES:
            self._lose(f"{self._babble} bytes came and no answer among them")
        elif self._exchange.is_spoilt:
            self._deadline = min(self._timeout_at, now + self._grace_s)
            self._ring_at(self._deadline)
        elif not self._exchange.is_owed:
            self._passed.set()

    def _ring_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is not None:
            self._timer = self._loop.call_at(moment, self._ring)

    def _ring(self) -> None:
        # One timer serves many transactions: it is set anew only when it rings too soon, not for each of them.
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if time.monotonic() < self._deadline:
            self._ring_at(self._deadline)
        else:
            self._fail(self._exchange.expire())

    def _fail(self, error: EdgeError) -> None:
        # First of all: whatever else goes wrong here, nobody waits for ever.
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self._reserve()
        if isinstance(error, LinkDownError):
            self._lose(str(error))

    def _reserve(self) -> None:
        if self._exchange.is_owed:
            self._reserved_until = time.monotonic() + LONGEST_RESERVE_S
            self._passed = anyio.Event()

    def _lose(self, why: str) -> None:
        self.counters.drops += 1
        self._hang_up(why)

    def _hang_up(self, why: str) -> None:
        fd, self._fd, self._why_down = self._fd, -1, why
        if self._loop is not None:
            self._loop.remove_reader(fd)
        os.close(fd)
        if self._clock is not None:
            self._clock.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._passed.set()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self._down())

    def _down(self) -> LinkDownError:
        return LinkDownError(f"{self._name}: {self._port.name} is gone: {self._why_down}")
