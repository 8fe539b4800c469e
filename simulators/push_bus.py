"""Buses on which simulated devices speak by themselves: the other end of what the gateway opens.

Where the gateway opens a port or connects, there is a pseudo-terminal or a listening port; where it listens, every
device connects or sends to it; where there is a broker, all of them publish through one client.
"""

import os
import socket
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import aiomqtt
import anyio
from anyio import wait_readable
from anyio.abc import ConnectedUDPSocket, SocketStream, TaskGroup

from device_profiles.site import MqttBus, SerialBus, SpeechBus, TcpClientBus, TcpServerBus, UdpBus, carrier_of, where_of
from simulators.bus import BusServer
from simulators.errors import SimulatorError
from simulators.pty_port import PtyPort
from simulators.talking import TalkingDevice
from simulators.tcp_bus import listen_at

RECONNECT_S = 0.5
LONGEST_REST_S = 0.25
SHORTEST_REST_S = 0.01
MAX_UNSENT = 1000
_READ_BYTES = 65_536
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where somebody else listens
_GONE = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


class Link(Protocol):
    """One connection, port or socket."""

    async def receive(self) -> bytes:
        """Wait for what comes."""

    async def send(self, data: bytes, /) -> None:
        """Send one piece of what was said."""


class PushBusServer(BusServer):
    """One such bus.

    Attributes:
        talkers: its devices, in the site file's order.
    """

    def __init__(self, bus: SpeechBus, talkers: Sequence[TalkingDevice]) -> None:
        """Take the devices; nothing is opened yet."""
        super().__init__(bus.id, ())
        self.kind = carrier_of(bus).value
        self.talkers = tuple(talkers)
        self._where = where_of(bus)
        self._is_open = False

    @property
    def where(self) -> str:
        """What the gateway opens: a path, or host:port."""
        return self._where

    @property
    def is_plugged(self) -> bool:
        """Whether the devices have their line."""
        return self._is_open

    def close(self) -> None:
        """Take the line away; no effect when it is away."""
        self._is_open = False

    def _open(self) -> None:
        self._is_open = True

    @abstractmethod
    async def _serve(self) -> None: ...

    async def _converse(self, link: Link, talkers: Sequence[TalkingDevice]) -> None:
        """Let devices speak and hear on one link until it is gone."""
        self.counts.clients += 1
        said = _Said()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_send_all, said, link, tasks)
                for talker in talkers:
                    talker.open(said.add)
                tasks.start_soon(_speak, talkers, said)
                await _hear(link, talkers, said)
                tasks.cancel_scope.cancel()
        finally:
            for talker in talkers:
                talker.close()


class SerialTalkBus(PushBusServer):
    """All devices on one pseudo-terminal."""

    def __init__(self, bus: SerialBus, talkers: Sequence[TalkingDevice], *, folder: Path) -> None:
        """Prepare; a relative port is meant from `folder`."""
        super().__init__(bus, talkers)
        self._path = folder / bus.port
        self._where = str(self._path)
        self._port: PtyPort | None = None

    def close(self) -> None:
        """See `PushBusServer.close`."""
        super().close()
        if self._port is not None:
            self._port.close()
            self._port = None

    def _open(self) -> None:
        self._port = PtyPort(self._path)
        super()._open()

    async def _serve(self) -> None:
        if self._port is None:
            raise SimulatorError(f"bus {self.id!r} is run before it is opened")
        await self._converse(_PtyLink(self._port), self.talkers)


class ListeningTalkBus(PushBusServer):
    """All devices behind one port that the gateway connects to; the latest connection has them."""

    def __init__(self, bus: TcpClientBus, talkers: Sequence[TalkingDevice]) -> None:
        """Prepare."""
        super().__init__(bus, talkers)
        self._host, self._number = bus.host, bus.port
        self._listener: socket.socket | None = None

    def close(self) -> None:
        """See `PushBusServer.close`."""
        super().close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _open(self) -> None:
        self._listener = listen_at(self.id, self._host, self._number)
        super()._open()

    async def _serve(self) -> None:
        if self._listener is None:
            raise SimulatorError(f"bus {self.id!r} is run before it is opened")
        while True:
            await wait_readable(self._listener)
            try:
                client, _ = self._listener.accept()
            except OSError:
                await anyio.sleep(SHORTEST_REST_S)
                continue
            async with await SocketStream.from_socket(client) as stream:
                await self._converse(stream, self.talkers)


class DiallingTalkBus(PushBusServer):
    """Every device has a connection, or a socket, of its own to where the gateway listens."""

    def __init__(self, bus: TcpServerBus | UdpBus, talkers: Sequence[TalkingDevice]) -> None:
        """Prepare."""
        super().__init__(bus, talkers)
        self._is_udp = isinstance(bus, UdpBus)
        self._host, self._number = _EVERYWHERE.get(bus.host, bus.host), bus.port

    async def _serve(self) -> None:
        async with anyio.create_task_group() as tasks:
            for talker in self.talkers:
                tasks.start_soon(self._dial, talker)

    async def _dial(self, talker: TalkingDevice) -> None:
        while True:
            try:
                async with await self._connect() as link:
                    await self._converse(link, [talker])
            except OSError:
                pass
            await anyio.sleep(RECONNECT_S)

    async def _connect(self) -> SocketStream | ConnectedUDPSocket:
        if self._is_udp:
            return await anyio.create_connected_udp_socket(self._host, self._number)
        return await anyio.connect_tcp(self._host, self._number)


class PublishingTalkBus(PushBusServer):
    """All devices publish through one client of the broker; nothing is published to them."""

    def __init__(self, bus: MqttBus, talkers: Sequence[TalkingDevice]) -> None:
        """Prepare."""
        super().__init__(bus, talkers)
        self._bus = bus

    async def _serve(self) -> None:
        password = None if self._bus.password_env is None else os.environ.get(self._bus.password_env)
        while True:
            try:
                async with aiomqtt.Client(
                    self._bus.host, self._bus.port, username=self._bus.username, password=password
                ) as client:
                    await self._converse(_MqttLink(client), self.talkers)
            except aiomqtt.MqttError:
                await anyio.sleep(RECONNECT_S)


def make_push_bus(bus: SpeechBus, talkers: Sequence[TalkingDevice], *, folder: Path) -> PushBusServer:
    """Make the simulated end of a bus; a relative serial port is meant from `folder`."""
    match bus:
        case SerialBus():
            return SerialTalkBus(bus, talkers, folder=folder)
        case TcpClientBus():
            return ListeningTalkBus(bus, talkers)
        case MqttBus():
            return PublishingTalkBus(bus, talkers)
    return DiallingTalkBus(bus, talkers)


class _Said:
    """What devices have said on one link and what is not sent yet; beyond the most there may be the oldest goes."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque(maxlen=MAX_UNSENT)
        self._news = anyio.Event()

    def add(self, data: bytes) -> None:
        self.waiting.append(data)
        self.wake()

    def wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def news(self, *, within_s: float) -> None:
        with anyio.move_on_after(within_s):
            await self._news.wait()


async def _send_all(said: _Said, link: Link, tasks: TaskGroup) -> None:
    try:
        while True:
            while said.waiting:
                await link.send(said.waiting.popleft())
            await said.news(within_s=LONGEST_REST_S)
    except (*_GONE, aiomqtt.MqttError):
        tasks.cancel_scope.cancel()


async def _speak(talkers: Sequence[TalkingDevice], said: _Said) -> None:
    while True:
        times = [at for talker in talkers if (at := talker.speak()) is not None]
        rest_s = min(times, default=anyio.current_time() + LONGEST_REST_S) - anyio.current_time()
        await said.news(within_s=min(max(rest_s, SHORTEST_REST_S), LONGEST_REST_S))


async def _hear(link: Link, talkers: Sequence[TalkingDevice], said: _Said) -> None:
    try:
        while data := await link.receive():
            for talker in talkers:
                talker.hear(data)
            said.wake()
    except (*_GONE, aiomqtt.MqttError):
        return


class _PtyLink:
    """See `Link`."""

    def __init__(self, port: PtyPort) -> None:
        self._port = port

    async def receive(self) -> bytes:
        while True:
            await wait_readable(self._port.fd)
            if data := self._port.read():
                return data

    async def send(self, data: bytes, /) -> None:
        # What finds no room, because nobody has the port open, is lost as on a wire.
        self._port.write(data)


class _MqttLink:
    """See `Link`."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def receive(self) -> bytes:
        async for message in self._client.messages:
            return bytes(message.payload)
        return b""

    async def send(self, data: bytes, /) -> None:
        topic, _, payload = data.partition(b"\0")
        await self._client.publish(topic.decode(), payload, qos=1)
