"""A serial line behind a TCP serial server: Modbus RTU frames in a TCP stream, as slow as the line."""

import select
import socket
from collections.abc import Sequence

from anyio import sleep, wait_readable

from device_profiles.site import RtuTcpBus
from simulators.device import SimulatedDevice
from simulators.errors import SimulatorError
from simulators.serial_bus import SerialBusServer
from simulators.tcp_bus import ACCEPT_PAUSE_S, listen_at

_READ_BYTES = 4096


class SocketPort:
    """One connection as what carries a line's bytes; see `simulators.serial_bus.BytePort`."""

    def __init__(self, client: socket.socket) -> None:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self.fd = client.fileno()

    def read(self) -> bytes:
        """Take what has come.

        Raises:
            OSError: the connection is over.
        """
        try:
            data = self._client.recv(_READ_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            raise ConnectionResetError("the gateway hung up")
        return data

    def has_pending(self) -> bool:
        """Tell whether something has come that is not read yet."""
        poll = select.poll()
        poll.register(self._client, select.POLLIN)
        return bool(poll.poll(0))

    def write(self, data: bytes) -> bool:
        """Send; False when not everything found room, or the connection is over."""
        try:
            return self._client.send(data) == len(data)
        except OSError:
            return False

    def drop_unread(self) -> None:
        """Nothing: what was sent into a connection arrives."""

    def close(self) -> None:
        """Hang up."""
        self._client.close()


class RtuTcpBusServer(SerialBusServer):
    """One listening port and the serial line behind it; one gateway at a time, as most serial servers do."""

    kind = "rtu_tcp"

    def __init__(self, bus: RtuTcpBus, *, devices: Sequence[SimulatedDevice]) -> None:
        super().__init__(bus.id, baud=bus.baud, devices=devices)
        self._host, self._tcp_port = bus.host, bus.port
        self._listener: socket.socket | None = None

    @property
    def where(self) -> str:
        """Host and port."""
        return f"{self._host}:{self._tcp_port}"

    @property
    def is_plugged(self) -> bool:
        """Whether the port listens."""
        return self._listener is not None

    def close(self) -> None:
        """Stop listening and hang up."""
        self._hang_up()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _open(self) -> None:
        self._listener = listen_at(self.id, self._host, self._tcp_port)

    async def _serve(self) -> None:
        if self._listener is None:
            raise SimulatorError(f"bus {self.id!r} is run before it is opened")
        while True:
            await wait_readable(self._listener)
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError:
                await sleep(ACCEPT_PAUSE_S)
                continue
            self.counts.clients += 1
            self._port = SocketPort(client)
            try:
                await self._listen(self._port)
            except OSError:
                self._hang_up()

    def _hang_up(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None
