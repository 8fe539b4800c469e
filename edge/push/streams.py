"""Streams: a serial line, a device that we connect to, devices that connect to us."""

import asyncio
import errno
import logging
import socket
from time import monotonic
from typing import Any

import anyio
from anyio.abc import TaskGroup

from edge.errors import LinkDownError
from edge.ports import Port, keep_alive
from edge.push.bus import LONGEST_REST_S, PushBus
from edge.push.seldom import Seldom
from edge.push.wire import Wire
from edge.waker import Waker

log = logging.getLogger(__name__)

BACKLOG = 128
LOG_EVERY_S = 60.0
# When no connection can be taken for want of memory or descriptors, others must end first.
SHORTAGE_REST_S = 0.5
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class StreamBus(PushBus):
    """One port or connection that is ours to open."""

    def __init__(self, port: Port, name: str, **parts: Any) -> None:
        """Prepare; see `PushBus`."""
        super().__init__(name, **parts)
        self._port = port

    async def _serve(self) -> None:
        wire = Wire(await self._port.open(), name=self._port.name)
        self._push.connections += 1
        self._push.connected = 1
        try:
            self._note_up()
            if why := await self._talk(wire):
                self._push.cut_off += 1
                raise LinkDownError(f"{self._port.name} was closed: {why}")
        finally:
            self._push.connected = 0
            wire.close()


class ServerBus(PushBus):
    """Devices connect to us, each for a conversation of its own."""

    def __init__(self, host: str, port: int, name: str, *, max_connections: int, **parts: Any) -> None:
        """Prepare; see `PushBus`."""
        super().__init__(name, **parts)
        self._host, self._number, self._max_connections = host, port, max_connections
        self._said = Seldom(LOG_EVERY_S)

    async def _serve(self) -> None:
        with await listen(self._host, self._number, socket.SOCK_STREAM) as listener:
            listener.listen(BACKLOG)
            self._note_up()
            async with anyio.create_task_group() as tasks:
                await self._accept_for_ever(listener, tasks)

    async def _accept_for_ever(self, listener: socket.socket, tasks: TaskGroup) -> None:
        loop, waker = asyncio.get_running_loop(), Waker()
        loop.add_reader(listener, waker.wake)
        try:
            while True:
                self.turned_at = monotonic()
                try:
                    connection, address = listener.accept()
                except BlockingIOError:
                    await waker.wait_until(monotonic() + LONGEST_REST_S)
                    continue
                except OSError as error:
                    # Others (ECONNABORTED, ...) are a connection's own trouble. Source: accept(2).
                    if error.errno in _SHORTAGE:
                        await anyio.sleep(SHORTAGE_REST_S)
                    continue
                self._take(connection, f"{address[0]}:{address[1]}", tasks)
                # A flood of connections shall not hold up those that are there.
                await anyio.lowlevel.checkpoint()
        finally:
            loop.remove_reader(listener)

    def _take(self, connection: socket.socket, name: str, tasks: TaskGroup) -> None:
        if self._push.connected >= self._max_connections:
            self._push.turned_away += 1
            connection.close()
            if self._said.is_due("full", monotonic()):
                log.warning("bus %s: %d connections are open; further ones are turned away",
                            self.name, self._max_connections)  # fmt: skip
            return
        connection.setblocking(False)
        keep_alive(connection)
        self._push.connections += 1
        self._push.connected += 1
        tasks.start_soon(self._serve_one, Wire(connection.detach(), name=name), name)

    async def _serve_one(self, wire: Wire, name: str) -> None:
        try:
            if why := await self._talk(wire, is_guest=True):
                self._push.cut_off += 1
                log.info("bus %s: %s is hung up on: %s", self.name, name, why)
        except LinkDownError as error:
            log.debug("bus %s: %s", self.name, error)
        finally:
            self._push.connected -= 1
            wire.close()


async def listen(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """Bind a socket that does not block.

    Args:
        host: address of this machine, or its name.
        port: see there.
        kind: stream or datagram.

    Raises:
        LinkDownError: the address is not this machine's, or the port is taken.
    """
    name = f"{host}:{port}"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
        family, _, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise LinkDownError(f"{name} is no address of this machine: {error}") from error
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind is socket.SOCK_STREAM))
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise LinkDownError(f"{name} cannot be listened on: {error.strerror}") from error
    return bound
