"""One real device, tried: asked as a gateway asks it, or listened to as a gateway listens.

Nothing is kept, so nothing that waits for being kept is acknowledged: a host sends its alarm again to the gateway, a
wand keeps its records.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from msgspec import Struct

from device_profiles.codec import BlockDecoder
from device_profiles.model import Profile, Transport
from device_profiles.site import (
    ModbusBus,
    MqttBus,
    SerialBus,
    SpeechBus,
    TcpBus,
    TcpClientBus,
    TcpServerBus,
    UdpBus,
)
from device_profiles.speech.making import make_shared, make_speech
from device_profiles.speech.said import Heard, Moment, Said, Speaker
from edge.errors import EdgeError, LinkDownError
from edge.health import BusHealth
from edge.line import Line, make_line
from edge.modbus.pdu import cells_of, read_request
from edge.plan import Block, plan_device
from edge.ports import SerialPort, TcpPort
from langyan.profile_decoding import DecodedLine, Reading, Refused, spoken_lines

if TYPE_CHECKING:
    from edge.push.bus import PushBus

Tell = Callable[[DecodedLine], None]

_DEVICE = "device"
_NAME = "try"


class Asked(Struct, frozen=True):
    """What one round of reads brought.

    Attributes:
        lines: readings, and why others are none.
        took_s: how long the round took.
        hint: what the person on site can do, when a read failed.
    """

    lines: tuple[DecodedLine, ...]
    took_s: float
    hint: str = ""


async def ask_once(profile: Profile, bus: ModbusBus, *, unit: int) -> Asked:
    """Open the line, read every block of the profile once, close it.

    Raises:
        LinkDownError: the line cannot be opened, or is lost on the way.
    """
    line = make_line(bus, folder=Path())
    await line.open()
    try:
        return await _round(line, profile, _blocks(profile, bus), unit=unit)
    finally:
        line.close()


async def keep_asking(
    profile: Profile, bus: ModbusBus, *, unit: int, every_s: float, tell: Callable[[Asked], None], stop: anyio.Event
) -> None:
    """Read every block again and again until `stop`.

    Raises:
        LinkDownError: the line cannot be opened, or is lost on the way.
    """
    line = make_line(bus, folder=Path())
    await line.open()
    try:
        while not stop.is_set():
            next_at = time.monotonic() + every_s
            tell(await _round(line, profile, _blocks(profile, bus), unit=unit))
            with anyio.move_on_after(max(0.0, next_at - time.monotonic())):
                await stop.wait()
    finally:
        line.close()


def _blocks(profile: Profile, bus: ModbusBus) -> list[Block]:
    return plan_device(profile, transport=Transport.TCP if isinstance(bus, TcpBus) else Transport.RTU)


async def _round(line: Line, profile: Profile, blocks: Sequence[Block], *, unit: int) -> Asked:
    lines: list[DecodedLine] = []
    began_at, hint = time.monotonic(), ""
    for block in blocks:
        request = read_request(block.table, block.address, block.count)
        link = profile.link
        try:
            answer = await line.transact(unit, request, timeout_s=link.timeout_s, turnaround_s=link.turnaround_s)
        except LinkDownError:
            raise
        except EdgeError as error:
            hint = error.hint
            lines.append(Refused(f"{block.table.value} {block.address}+{block.count}: {error}"))
            continue
        good, bad = BlockDecoder(block.points, block.address).decode(tuple(cells_of(request, answer)))
        lines += [Reading(point=point.key, value=point.value, unit=point.unit) for point in good]
        lines += [Refused(f"no reading: {why.value}", point=key) for key, why in bad]
    return Asked(tuple(lines), time.monotonic() - began_at, hint)


async def listen(
    profile: Profile, bus: SpeechBus, *, address: str, secret: bytes, tell: Tell, stop: anyio.Event
) -> None:
    """Listen on a bus as a gateway does and tell what is understood, until `stop`.

    Raises:
        ValueError: the device is asked and does not speak by itself.
    """
    if profile.speaks is None:
        raise ValueError(f"{profile.profile} is asked: it does not speak by itself")
    language = profile.speaks.language
    speaker = Speaker(device=_DEVICE, address=address, secret=secret)
    parts = {
        "intake": _TellingIntake(profile, tell),
        "make_speech": partial(make_speech, language, [speaker], {_DEVICE: profile}, make_shared(language)),
        "wall_us": lambda: time.time_ns() // 1000,
        "watch": _NoWatch(),
        "health": BusHealth(),
    }
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_push_bus(bus, address, parts).run)
        await stop.wait()
        tasks.cancel_scope.cancel()


def _push_bus(bus: SpeechBus, address: str, parts: dict[str, Any]) -> "PushBus":
    # A gateway whose devices are all asked does not load these.
    from edge.push.datagrams import DatagramBus  # noqa: PLC0415
    from edge.push.published import PublishedBus  # noqa: PLC0415
    from edge.push.streams import ServerBus, StreamBus  # noqa: PLC0415

    match bus:
        case SerialBus():
            port = SerialPort(Path(bus.port), baud=bus.baud, parity=bus.parity, stop_bits=bus.stop_bits)
            return StreamBus(port, _NAME, **parts)
        case TcpClientBus():
            return StreamBus(TcpPort(bus.host, bus.port), _NAME, **parts)
        case TcpServerBus():
            return ServerBus(bus.host, bus.port, _NAME, max_connections=bus.max_connections, **parts)
        case UdpBus():
            return DatagramBus(bus.host, bus.port, _NAME, **parts)
        case MqttBus():
            return PublishedBus(bus, _NAME, password=None, gateway=_NAME, addresses=[address], **parts)


class _TellingIntake:
    """Takes what is understood, as `edge.push.intake.Intake` does, and tells it."""

    def __init__(self, profile: Profile, tell: Tell) -> None:
        self.keeper = _NoKeeper()
        self._profile, self._tell = profile, tell

    def take(self, heard: Heard, _moment: Moment) -> bool:
        for line in spoken_lines(self._profile, [Said(heard=(heard,))]):
            self._tell(line)
        return True

    def refuse(self, said: Said, _moment: Moment) -> None:
        self._tell(Refused(said.refused))

    def note_kept(self, *, is_kept: bool) -> None:
        """Nobody counts here."""


class _NoKeeper:
    """Keeps nothing, and so never says that it has."""

    is_behind = False

    def mark(self) -> int:
        return 0

    def when_kept(self, _told: Callable[[bool], None], *, since: int) -> None:
        """Never."""


class _NoWatch:
    """Watches nothing."""

    def bus_up(self, _bus: str, _now: float) -> None:
        """Nobody asks."""

    def bus_down(self, _bus: str, _now: float) -> None:
        """Nobody asks."""

    def not_listening(self, _bus: str, _now: float) -> None:
        """Nobody asks."""
