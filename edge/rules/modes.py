"""Test modes and drills: of which devices alarms are marked instead of acted upon, and until when. Pure."""

from collections.abc import Collection, Iterable, Sequence

import msgspec
from msgspec import Struct

from contract.alarms import Mode
from device_profiles.site import Drill
from edge.errors import EdgeError

MAX_MODE_S = 28_800.0
"""A mode set by hand ends by itself, at the latest after a working day: a forgotten one swallows real alarms."""

# Drills are looked at this often, because the wall clock may be set at any time.
_LOOK_S = 30.0


class ModeRefusedError(EdgeError):
    """A mode was asked for that cannot be: of an unknown device, or for too long."""

    hint = "Name devices of the site file, and at most eight hours."


class DeviceMode(Struct, frozen=True):
    """The mode of one device, until a moment of the clock that samples are stamped with."""

    device: str
    mode: Mode
    until_us: int


class ModeState(Struct, frozen=True):
    """All modes set by hand; small enough to be written whenever one changes.

    Attributes:
        boot: the run of the computer it was written in, whose clock its moments are of.
    """

    devices: tuple[DeviceMode, ...] = ()
    boot: str = ""

    def encode(self, *, boot: str = "") -> bytes:
        """Write it as JSON, for this run of the computer."""
        return msgspec.json.encode(ModeState(self.devices, boot))


def read_modes(stored: bytes | None, *, boot: str = "") -> ModeState:
    """Read what was kept; what is of another run of the computer, or cannot be read, is all devices live."""
    try:
        state = msgspec.json.decode(stored, type=ModeState) if stored else ModeState()
    except msgspec.DecodeError:
        return ModeState()
    return state if state.boot == boot else ModeState()


class Modes:
    """The modes of all devices of a gateway, the gateway itself among them."""

    def __init__(self, devices: Iterable[str], drills: Sequence[Drill]) -> None:
        """Begin with all devices live.

        Args:
            devices: ids of all that can have a mode.
            drills: the windows of the site file; they need the wall time.
        """
        self._devices = frozenset(devices)
        self._drills = drills
        self._set: dict[str, tuple[Mode, float]] = {}
        self._wall_ahead_s: float | None = None

    def mode_of(self, device: str, now: float) -> Mode:
        """Tell the mode of a device: the one set by hand, else a drill's, else live."""
        mode, until = self._set.get(device, (Mode.LIVE, 0.0))
        if now < until:
            return mode
        return Mode.DRILL if any(self._is_on(drill, now, device) for drill in self._drills) else Mode.LIVE

    def set(self, mode: Mode, devices: Collection[str] | None, until: float, *, now: float) -> None:
        """Set the mode of devices, of all when None; live ends the one they have.

        Raises:
            ModeRefusedError: see there; nothing is changed then.
        """
        chosen = self._devices if devices is None else frozenset(devices)
        if unknown := sorted(chosen - self._devices):
            raise ModeRefusedError(f"no device {', '.join(unknown)[:200]}; devices: {', '.join(sorted(self._devices))}")
        if mode is not Mode.LIVE and until - now > MAX_MODE_S:
            raise ModeRefusedError(f"{until - now:.0f} s of {mode.value} are too long: at most {MAX_MODE_S:.0f} s")
        for device in chosen:
            self._set.pop(device, None)
            if mode is not Mode.LIVE and until > now:
                self._set[device] = (mode, until)

    def know_time(self, wall_us: int, *, now: float) -> None:
        """Note the wall time; drills follow it."""
        self._wall_ahead_s = wall_us / 1e6 - now

    def next_at(self, now: float) -> float | None:
        """Tell when a mode may change next; None when none can."""
        ends = [until for _, until in self._set.values()]
        if self._drills:
            ends.append(now + _LOOK_S)
            if self._wall_ahead_s is not None:
                borders = (moment for drill in self._drills for moment in (drill.begins, drill.ends))
                ends.extend(at for moment in borders if (at := moment.timestamp() - self._wall_ahead_s) > now)
        return min(ends, default=None)

    def expire(self, now: float) -> None:
        """Forget what is over."""
        self._set = {device: (mode, until) for device, (mode, until) in self._set.items() if now < until}

    def state(self, *, now: float, at_us: int) -> ModeState:
        """Give what is set by hand, to be kept."""
        return ModeState(
            tuple(
                DeviceMode(device, mode, at_us + round((until - now) * 1e6))
                for device, (mode, until) in sorted(self._set.items())
                if now < until
            )
        )

    def restore(self, state: ModeState, *, now: float, at_us: int) -> None:
        """Take over what was set before a restart; devices that are gone are left out."""
        for one in state.devices:
            until = now + min((one.until_us - at_us) / 1e6, MAX_MODE_S)
            if one.device in self._devices and one.mode is not Mode.LIVE and until > now:
                self._set[one.device] = (one.mode, until)

    def _is_on(self, drill: Drill, now: float, device: str) -> bool:
        if self._wall_ahead_s is None or not (drill.devices is None or device in drill.devices):
            return False
        return drill.begins.timestamp() <= now + self._wall_ahead_s < drill.ends.timestamp()
