"""Modbus TCP server: several units behind one port, several clients, requests one after another or at once."""

import select
import socket
from collections.abc import Sequence

from anyio import create_task_group, fail_after, sleep, wait_readable, wait_writable

from device_profiles.site import TcpBus
from simulators.bus import BusServer
from simulators.device import SimulatedDevice
from simulators.errors import SimulatorError
from simulators.framing import TcpFramer, TcpRequest, tcp_frame
from simulators.modbus import ExceptionCode, refuse

MAX_CLIENTS = 32
# No file descriptor left: waiting is all there is to do, and accept would fail at once again.
ACCEPT_PAUSE_S = 0.1

_READ_BYTES = 1024
# Some thousand answers; the kernel would let one deaf client have megabytes.
_SEND_BUFFER_BYTES = 128 * 1024
# A client that does not read its answers for this long is cut off.
_PATIENCE_S = 5.0


class TcpBusServer(BusServer):
    """One listening port and the devices behind it.

    Answers go straight to the kernel and only when it has room, so nothing is kept here for a slow client,
    and an answer is numbered, sent and counted without another client's coming between.
    """

    kind = "tcp"

    def __init__(self, bus: TcpBus, *, devices: Sequence[SimulatedDevice]) -> None:
        super().__init__(bus.id, devices)
        self._host, self._tcp_port = bus.host, bus.port
        self._listener: socket.socket | None = None
        self._clients = 0

    @property
    def where(self) -> str:
        """Host and port."""
        return f"{self._host}:{self._tcp_port}"

    @property
    def is_plugged(self) -> bool:
        """Whether the port listens."""
        return self._listener is not None

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _open(self) -> None:
        self._listener = listen_at(self.id, self._host, self._tcp_port)

    async def _serve(self) -> None:
        if self._listener is None:
            raise SimulatorError(f"bus {self.id!r} is run before it is opened")
        listener, self._clients = self._listener, 0
        async with create_task_group() as clients:
            while True:
                await wait_readable(listener)
                try:
                    client, _ = listener.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                except OSError:
                    await sleep(ACCEPT_PAUSE_S)
                    continue
                if self._clients >= MAX_CLIENTS:
                    client.close()
                    self.counts.turned_away += 1
                    continue
                self._clients += 1
                self.counts.clients += 1
                clients.start_soon(self._talk, client)

    async def _talk(self, client: socket.socket) -> None:
        framer = TcpFramer()
        try:
            with client:
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
                while framer.fault is None:
                    await wait_readable(client)
                    data = client.recv(_READ_BYTES)
                    if not data:
                        return
                    for request in framer.feed(data):
                        await self._answer(client, request)
                self.counts.cut_off += 1
        except (TimeoutError, BlockingIOError):
            self.counts.cut_off += 1
        except OSError:
            return  # the client is gone, in whatever way; its requests are its own affair
        finally:
            self._clients -= 1

    async def _answer(self, client: socket.socket, request: TcpRequest) -> None:
        await _room(client)
        self.counts.requests += 1
        device = self._by_unit.get(request.unit)
        if device is None:
            self.counts.strangers += 1
            _send(client, request, refuse(request.pdu, ExceptionCode.TARGET_SILENT))
            return
        answer = device.answer(request.pdu)
        if answer is None:
            return
        # From numbering the answer to counting it there is no wait, so no other client's answer gets its number.
        try:
            _send(client, request, answer.pdu)
        except OSError:
            device.counts.broken += 1
            raise
        device.handed_over(answer)


def listen_at(bus_id: str, host: str, port: int) -> socket.socket:
    """Listen for gateways.

    Raises:
        SimulatorError: the address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=MAX_CLIENTS)
    except OSError as error:
        text = (
            f"bus {bus_id!r}: cannot listen on {host}:{port}: {error.strerror}; "
            "a simulated bus needs an address of this machine (127.0.0.1) and a free port above 1023"
        )
        raise SimulatorError(text) from error
    listener.setblocking(False)
    return listener


def _send(client: socket.socket, request: TcpRequest, pdu: bytes) -> None:
    frame = tcp_frame(request.transaction, request.unit, pdu)
    if client.send(frame) != len(frame):
        raise BlockingIOError


async def _room(client: socket.socket) -> None:
    """Wait until the kernel has room for an answer of any length (it says so when a third of its buffer is free).

    Raises:
        TimeoutError: the client has not read for long.
    """
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    if not poll.poll(0):
        with fail_after(_PATIENCE_S):
            await wait_writable(client)
