"""The wire between a gateway and the broker: it counts the bytes, and can be cut.

Requests: cut (breaks what is open, refuses what comes), open, stats.
"""

import argparse
import asyncio
import time
from typing import Any

from benchmarks.remote import serve_control

READ_BYTES = 65_536


class Link:
    """Forwards connections to the broker, unless cut.

    Attributes:
        up, down: bytes from and to the gateway, as TCP carries them (without its own headers).
        connections: that reached the broker.
        opened_at, answered_at: when the wire was opened last, and when the broker first answered after that;
            nanoseconds of the monotonic clock, 0 while it is cut, and for not yet.
    """

    def __init__(self, listen: int, target: int) -> None:
        self._listen, self._target = listen, target
        self._ends: set[asyncio.StreamWriter] = set()
        self._is_open, self._is_cut = asyncio.Event(), asyncio.Event()
        self.up = self.down = self.connections = self.opened_at = self.answered_at = 0

    async def serve(self, control: int) -> None:
        """Serve until the process is ended."""
        self._is_open.set()
        await asyncio.gather(serve_control(control, self.control), self._listen_while_open())

    def control(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what the control channel asks; see the module."""
        match request["op"]:
            case "cut":
                self.opened_at = self.answered_at = 0
                self._is_open.clear()
                self._is_cut.set()
            case "open":
                self._is_cut.clear()
                self._is_open.set()
            case "stats":
                return {
                    "up": self.up,
                    "down": self.down,
                    "connections": self.connections,
                    "opened_at": self.opened_at,
                    "answered_at": self.answered_at,
                }
            case _:
                raise ValueError("unknown op")
        return {}

    async def _listen_while_open(self) -> None:
        while True:
            await self._is_open.wait()
            server = await asyncio.start_server(self._accept, "127.0.0.1", self._listen)
            self.opened_at = time.monotonic_ns()
            await self._is_cut.wait()
            server.close()
            for writer in self._ends:
                writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self.connections += 1
        ends = {writer, far_writer}
        self._ends |= ends
        await asyncio.gather(self._pump(reader, far_writer, is_up=True), self._pump(far_reader, writer, is_up=False))
        self._ends -= ends

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_up: bool) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                if is_up:
                    self.up += len(data)
                else:
                    self.down += len(data)
                    if self.opened_at and not self.answered_at:
                        self.answered_at = time.monotonic_ns()
                writer.write(data)
                await writer.drain()
        except OSError:
            return  # cut, or the other end is gone: both directions end alike
        finally:
            writer.transport.abort()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.link", description=__doc__)
    parser.add_argument("--control", type=int, required=True, help="UDP port of the control channel")
    parser.add_argument("--listen", type=int, required=True, help="TCP port that the gateway takes for the broker's")
    parser.add_argument("--target", type=int, required=True, help="the broker's port")
    args = parser.parse_args()
    asyncio.run(Link(args.listen, args.target).serve(args.control))


if __name__ == "__main__":
    main()
