"""A farm of Modbus TCP devices, fast enough to be no bottleneck; it counts what it hands out and misbehaves on wish.

Every unit has 20 holding registers and 8 discrete inputs. A *counter* goes up with every block read of address 0; its
low 16 bits stand in `r0`. The other registers carry it too (`--values counter`), or wander as measured values do
(`--values walk`), which matters where bytes are counted. All addresses of the loopback lead to the same units.

Requests: flip (unit, bit), fault (unit, kind or null), stats, reset, times (unit: when each counter was handed out).
"""

import argparse
import asyncio
import os
import random
import time
from struct import pack, unpack_from
from typing import Any

from benchmarks.remote import serve_control

REGISTERS = 20
WALK_BLOCKS = 1024
MEGABYTE = 1 << 20
MAX_TIMES = 3_000
FAULTS = ("silent", "truncate", "truncate_close", "garbage", "badtid", "exception", "close", "megabyte")


class Unit:
    """One device.

    Attributes:
        counter: block reads of address 0 so far.
        inputs: its discrete inputs, bit 0 lowest.
        reads: register reads since the last reset.
        longest_gap_s: between two of them, since the last reset.
        times_ms: when each counter was handed out, milliseconds of the monotonic clock; kept when asked for.
    """

    __slots__ = ("blocks", "counter", "fault", "inputs", "last_at", "longest_gap_s", "reads", "times_ms")

    def __init__(self, unit: int, *, walk: bool) -> None:
        self.counter = self.inputs = self.reads = 0
        self.fault: str | None = None
        self.last_at = time.monotonic()
        self.longest_gap_s = 0.0
        self.times_ms: list[int] = []
        self.blocks = _walk(unit) if walk else ()

    def registers(self, count: int) -> bytes:
        """The bytes of the first `count` registers for the present counter."""
        number = pack(">H", self.counter & 0xFFFF)
        if not self.blocks:
            return number * count
        return number + self.blocks[self.counter % WALK_BLOCKS][2 : count * 2]

    def note_read(self, *, keep: bool) -> None:
        """Count one register read."""
        now = time.monotonic()
        self.reads += 1
        self.longest_gap_s = max(self.longest_gap_s, now - self.last_at)
        self.last_at = now
        if keep:
            self.times_ms.append(int(now * 1000))


def _walk(unit: int) -> tuple[bytes, ...]:
    """Make register blocks whose values wander by a few units each time, as a sensor's last digits do."""
    dice = random.Random(unit)  # noqa: S311 - values, not secrets
    values = [dice.randrange(100, 5000) for _ in range(REGISTERS)]
    blocks = []
    for _ in range(WALK_BLOCKS // 2):
        values = [min(65_535, max(0, value + round(dice.gauss(0.0, 2.0)))) for value in values]
        blocks.append(pack(f">{REGISTERS}H", *values))
    # There and back, so that the end leads to the beginning without a jump.
    return (*blocks, *reversed(blocks))


class Farm:
    """All units and what was asked of them."""

    def __init__(self, count: int, *, walk: bool, keep_times: bool) -> None:
        self.units = {unit: Unit(unit, walk=walk) for unit in range(1, count + 1)}
        self._keep_times = keep_times
        self._since = time.monotonic()
        self.connections = 0

    def answer(self, unit: Unit, pdu: bytes) -> bytes:
        """Answer a read of registers or inputs from address 0; anything else is refused."""
        function, address, count = unpack_from(">BHH", pdu)
        if function == 3 and address == 0 and count <= REGISTERS:
            unit.counter += 1
            unit.note_read(keep=self._keep_times)
            return bytes((3, count * 2)) + unit.registers(count)
        if function == 2 and address == 0 and count <= 8:
            return bytes((2, 1, unit.inputs & (1 << count) - 1))
        return bytes((function | 0x80, 2))

    def control(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what the control channel asks; see the module."""
        match request["op"]:
            case "flip":
                unit = self.units[request["unit"]]
                unit.inputs ^= 1 << request["bit"]
                return {"at_ns": time.monotonic_ns(), "value": bool(unit.inputs >> request["bit"] & 1)}
            case "fault":
                self.units[request["unit"]].fault = request["kind"]
                return {}
            case "stats":
                return self._stats()
            case "reset":
                self._reset()
                return {}
            case "times":
                times = self.units[request["unit"]].times_ms
                first = request["first"]
                return {"times_ms": times[first : first + MAX_TIMES]}
        raise ValueError("unknown op")

    def _stats(self) -> dict[str, Any]:
        return {
            "elapsed_s": time.monotonic() - self._since,
            "connections": self.connections,
            "reads": {number: unit.reads for number, unit in self.units.items()},
            "counters": {number: unit.counter for number, unit in self.units.items()},
            "longest_gap_s": {number: round(unit.longest_gap_s, 4) for number, unit in self.units.items()},
        }

    def _reset(self) -> None:
        self._since = time.monotonic()
        for unit in self.units.values():
            unit.reads, unit.longest_gap_s, unit.last_at = 0, 0.0, self._since


class _Connection(asyncio.Protocol):
    """One Modbus TCP client."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._farm.connections += 1

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        while len(buffer) >= 12:
            transaction, _, length, number = unpack_from(">HHHB", buffer)
            end = 6 + length
            if len(buffer) < end:
                break
            self._take(transaction, number, buffer[7:end])
            buffer = buffer[end:]
        self._buffer = buffer

    def _take(self, transaction: int, number: int, pdu: bytes) -> None:
        unit = self._farm.units.get(number)
        if unit is None:
            self._send(transaction, number, bytes((pdu[0] | 0x80, 11)))
        elif unit.fault is None:
            self._send(transaction, number, self._farm.answer(unit, pdu))
        else:
            self._misbehave(unit.fault, transaction, number, pdu)

    def _misbehave(self, fault: str, transaction: int, number: int, pdu: bytes) -> None:
        frame = pack(">HHHB", transaction, 0, 4, number) + bytes((pdu[0], 2, 0))
        match fault:
            case "truncate" | "truncate_close":
                self._transport.write(frame[:-4])
            case "garbage":
                self._transport.write(os.urandom(random.randint(3, 40)))  # noqa: S311 - noise, not a secret
            case "megabyte":
                self._transport.write(os.urandom(MEGABYTE))
            case "badtid":
                self._send((transaction + 7) & 0xFFFF, number, bytes((pdu[0], 2, 0, 0)))
            case "exception":
                self._send(transaction, number, bytes((pdu[0] | 0x80, 4)))
        if fault in ("truncate_close", "close"):
            self._transport.close()

    def _send(self, transaction: int, number: int, pdu: bytes) -> None:
        self._transport.write(pack(">HHHB", transaction, 0, len(pdu) + 1, number) + pdu)


async def _serve(args: argparse.Namespace) -> None:
    farm = Farm(args.units, walk=args.values == "walk", keep_times=args.times)
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: _Connection(farm), "0.0.0.0", args.port, backlog=512)  # noqa: S104
    await serve_control(args.control, farm.control)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.farm", description=__doc__)
    parser.add_argument("--control", type=int, required=True, help="UDP port of the control channel")
    parser.add_argument("--port", type=int, required=True, help="TCP port of the devices, on every address")
    parser.add_argument("--units", type=int, required=True, help="units 1 to so many")
    parser.add_argument("--values", choices=("counter", "walk"), default="counter")
    parser.add_argument("--times", action="store_true", help="remember when each counter was handed out")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
