"""What may be asked of a running gateway: by commands on the same machine, and by the cloud."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio
import msgspec

from contract.alarms import Mode
from contract.commands import Command, Order, Pace, Reset, SetMode, Write
from contract.reasons import HEARS_NO_TAGS
from contract.tags import Arm, Disarm, StolenPart, TagOrder
from contract.telemetry import Value
from edge.bus import Bus
from edge.control import Handler, Message
from edge.errors import NoTagsError, UnknownPointError
from edge.status import Board, encode_snapshot

ChangeMode = Callable[[Mode, Sequence[str] | None, float], None]
EndAlarm = Callable[[str], int]
OrderTags = Callable[[TagOrder], Awaitable[Value]]


class Requests:
    """Carries requests out."""

    def __init__(
        self, buses: Mapping[str, Bus], *, set_mode: ChangeMode, reset: EndAlarm, order_tags: OrderTags | None = None
    ) -> None:
        """Wire it to the parts that do the work; without `order_tags` the site has nobody who hears tags."""
        self._buses = list(buses.values())
        self._set_mode = set_mode
        self._reset = reset
        self._order_tags = order_tags

    async def command(self, command: Command) -> Value | None:
        """Carry out a command of the cloud; returns what reads back after a write.

        Raises:
            EdgeError: see `carry_out`.
        """
        return await self.carry_out(command.order)

    async def carry_out(self, order: Order) -> Value | None:
        """Carry out an order: what reads back after a write; how many alarms ended; how many devices have another pace.

        Raises:
            CommandError, LinkDownError, LinkTimeoutError, FrameError, DeviceRefusedError: see `Bus.write`.
            ModeRefusedError: an unknown device, or too long.
            UnknownSourceError: no rule has that source.
            NoTagsError: nobody here hears tags.
            StolenListError: see `Tags.order`.
        """
        match order:
            case Write():
                return await self._write(order)
            case SetMode():
                self._set_mode(order.mode, order.devices, order.for_s)
                return None
            case Reset():
                return float(self._reset(order.source))
            case Pace():
                return float(self._pace(order))
            case Arm() | Disarm() | StolenPart():
                if self._order_tags is None:
                    raise NoTagsError(HEARS_NO_TAGS)
                return await self._order_tags(order)

    def handlers(self, board: Board) -> dict[str, Handler]:
        """Return the handlers for the control socket: the orders, answered as `{"value": ...}`, and `status`."""

        def handler_of(kind: type[Order]) -> Handler:
            async def handle(message: Message) -> Message:
                return {"value": await self.carry_out(msgspec.convert(message, kind))}

            return handle

        async def status(_message: Message) -> Message:
            return encode_snapshot(board.snapshot(anyio.current_time()))

        orders: dict[str, type[Order]] = {"write": Write, "mode": SetMode, "reset": Reset, "pace": Pace}
        return {"status": status, **{word: handler_of(kind) for word, kind in orders.items()}}

    def _pace(self, order: Pace) -> int:
        """Let the lines of some devices ask them at another pace; who speaks by himself has none."""
        for device in order.devices or ():
            if not any(bus.has_device(device) for bus in self._buses):
                raise UnknownPointError(f"no device {device!r} that is asked")
        return sum(bus.pace(order.devices, order.factor, order.for_s) for bus in self._buses)

    def pace_of(self, device: str) -> float:
        """Tell by what the periods of a device are multiplied now."""
        return next((bus.pace_of(device) for bus in self._buses if bus.has_device(device)), 1.0)

    async def _write(self, order: Write) -> Value:
        bus = next((bus for bus in self._buses if bus.has_device(order.device)), None)
        if bus is None:
            raise UnknownPointError(f"no device {order.device!r}")
        return await bus.write(order.device, order.point, order.value)
