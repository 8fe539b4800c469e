"""A serial line on a pseudo-terminal, which stands where the site file says the adapter is."""

from collections.abc import Sequence
from pathlib import Path

from device_profiles.site import RtuBus
from simulators.device import SimulatedDevice
from simulators.errors import SimulatorError
from simulators.pty_port import PtyPort
from simulators.serial_bus import SerialBusServer


class RtuBusServer(SerialBusServer):
    """One serial port and the devices behind it."""

    kind = "rtu"

    def __init__(self, bus: RtuBus, *, folder: Path, devices: Sequence[SimulatedDevice]) -> None:
        super().__init__(bus.id, baud=bus.baud, devices=devices)
        self._path = (folder / bus.port).absolute()

    @property
    def where(self) -> str:
        """Path of the serial port."""
        return str(self._path)

    @property
    def is_plugged(self) -> bool:
        """Whether the port is there."""
        return self._port is not None

    def close(self) -> None:
        """Remove the port and hang up."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def _open(self) -> None:
        self._port = PtyPort(self._path)
        self._free_at = 0.0

    async def _serve(self) -> None:
        if self._port is None:
            raise SimulatorError(f"bus {self.id!r} is run before it is opened")
        await self._listen(self._port)
