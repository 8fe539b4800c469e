"""What may be asked of a running gateway: by commands on the same machine, and by the cloud."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import anyio
import msgspec
from msgspec import Meta, Struct

from contract.alarms import Mode
from contract.ids import Id
from contract.limits import MAX_ATTRIBUTE_CHARS, MAX_STRING_CHARS
from contract.telemetry import Value
from edge.bus import Bus
from edge.control import Handler, Message
from edge.errors import UnknownPointError
from edge.status import Board, encode_snapshot

# A mode that is set by hand ends by itself.
MAX_MODE_S = 8 * 3600.0

SetMode = Callable[[Mode, Sequence[str] | None, float], None]
Reset = Callable[[str], int]


class WriteRequest(Struct, frozen=True):
    """Write a point and read it back: `{"do": "write", "device": "io", "point": "output_1", "value": true}`."""

    device: Id
    point: Id
    value: bool | float | Annotated[str, Meta(max_length=MAX_STRING_CHARS)]


class ModeRequest(Struct, frozen=True):
    """Put devices into a mode: `{"do": "mode", "mode": "test", "devices": ["io"], "for_s": 600}`; none named: all."""

    mode: Mode
    for_s: Annotated[float, Meta(ge=0.0, le=MAX_MODE_S)] = 0.0
    devices: Annotated[tuple[Id, ...], Meta(max_length=2000)] | None = None


class ResetRequest(Struct, frozen=True):
    """Let a latched alarm go: `{"do": "reset", "source": "g/io/button_1/panic"}`."""

    source: Annotated[str, Meta(max_length=MAX_ATTRIBUTE_CHARS)]


class Requests:
    """Carries requests out."""

    def __init__(self, buses: Mapping[str, Bus], *, set_mode: SetMode, reset: Reset) -> None:
        """Wire it to the parts that do the work."""
        self._buses = list(buses.values())
        self._set_mode = set_mode
        self._reset = reset

    async def write(self, request: WriteRequest) -> Value:
        """Write a point; returns what reads back.

        Raises:
            CommandError, LinkDownError, LinkTimeoutError, FrameError, DeviceRefusedError: see `Bus.write`.
        """
        bus = next((bus for bus in self._buses if bus.has_device(request.device)), None)
        if bus is None:
            raise UnknownPointError(f"no device {request.device!r}")
        return await bus.write(request.device, request.point, request.value)

    def set_mode(self, request: ModeRequest) -> None:
        """Put devices into a mode.

        Raises:
            ModeRefusedError: an unknown device.
        """
        self._set_mode(request.mode, request.devices, request.for_s)

    def reset(self, request: ResetRequest) -> int:
        """Let a latched alarm go; returns how many alarms ended.

        Raises:
            UnknownSourceError: no rule has that source.
        """
        return self._reset(request.source)

    def handlers(self, board: Board) -> dict[str, Handler]:
        """Return the handlers for the control socket."""

        async def write(message: Message) -> Message:
            return {"value": await self.write(msgspec.convert(message, WriteRequest))}

        async def mode(message: Message) -> Message:
            self.set_mode(msgspec.convert(message, ModeRequest))
            return {}

        async def reset(message: Message) -> Message:
            return {"ended": self.reset(msgspec.convert(message, ResetRequest))}

        async def status(_message: Message) -> Message:
            return encode_snapshot(board.snapshot(anyio.current_time()))

        return {"write": write, "mode": mode, "reset": reset, "status": status}
