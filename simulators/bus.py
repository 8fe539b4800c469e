"""What serial and TCP buses have in common: devices by unit, and a plug that can be pulled and put back."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from anyio import CancelScope, Event, Lock
from msgspec import Struct

from simulators.device import SimulatedDevice


class BusCounts(Struct):
    """What a bus saw since the start or the last reset.

    Attributes:
        requests: whole requests, for anybody.
        strangers: of these, for units that are not on the bus.
        early: requests begun before the silence after the last frame was over (serial).
        noise_bytes: bytes that were part of no request (serial).
        busy_s: time the wire was taken by characters and the silences they need (serial).
        clients: connections accepted (TCP).
        turned_away: connections closed because there were too many (TCP).
        cut_off: connections closed because the client broke the protocol or did not read its answers (TCP).
    """

    requests: int = 0
    strangers: int = 0
    early: int = 0
    noise_bytes: int = 0
    busy_s: float = 0.0
    clients: int = 0
    turned_away: int = 0
    cut_off: int = 0


class BusServer(ABC):
    """One bus with its devices; opened, run until cancelled, closed.

    Attributes:
        id: as in the site file.
        devices: in the site file's order.
        counts: what it saw.
    """

    kind: str

    def __init__(self, bus_id: str, devices: Sequence[SimulatedDevice]) -> None:
        self.id = bus_id
        self.devices = tuple(devices)
        self.counts = BusCounts()
        self._by_unit = {device.unit: device for device in devices}
        self._session = CancelScope()
        self._lock = Lock()
        self._up, self._down = Event(), Event()

    @property
    @abstractmethod
    def where(self) -> str:
        """What the gateway opens: a path, or host:port."""

    @property
    @abstractmethod
    def is_plugged(self) -> bool:
        """Whether the gateway can open it at present."""

    def open(self) -> None:
        """Make the bus reachable; nothing answers before `run`.

        Raises:
            SimulatorError: its place is taken or cannot be had.
        """
        self._session = CancelScope()
        self._open()

    async def run(self) -> None:
        """Serve an opened bus until cancelled, through every `unplug` and `plug`."""
        while True:
            with self._session:
                await self._serve()
            # Only `unplug` ends a session from outside; a cancelled task does not come here.
            self.close()
            up = self._up
            self._down.set()
            await up.wait()

    async def unplug(self) -> None:
        """Take the bus away from under whoever has it open; no effect when it is away."""
        async with self._lock:
            if self.is_plugged:
                self._up, self._down = Event(), Event()
                self._session.cancel()
                await self._down.wait()

    async def plug(self) -> None:
        """Bring the bus back; no effect when it is there.

        Raises:
            SimulatorError: its place has been taken meanwhile.
        """
        async with self._lock:
            if not self.is_plugged:
                self.open()
                self._up.set()

    def reset(self) -> None:
        """Begin counting anew."""
        self.counts = BusCounts()

    @abstractmethod
    def close(self) -> None:
        """Make the bus unreachable; no effect when it is."""

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    async def _serve(self) -> None: ...
