"""What the kernel tells of the computer: disk, temperature, supply, load, memory. What is not there is None."""

import os
from collections.abc import Iterator
from pathlib import Path

from edge.health import MachineHealth

ROOT = Path("/")
# Raspberry Pi firmware, bit 0: under-voltage now; bit 16: since the start. Source: raspberrypi.com documentation,
# config.txt, "get_throttled".
UNDERVOLTED_NOW = 0x1
UNDERVOLTED_BEFORE = 0x10000
# A few files of some bytes; a longer one is not what we look for.
MAX_BYTES = 4096


def read_machine(machine: MachineHealth, folder: Path, *, root: Path = ROOT) -> None:
    """Bring `machine` up to date; takes some milliseconds on a Raspberry Pi, so call it in a thread.

    Args:
        machine: its `loop_lag_ms` is left alone.
        folder: on the file system whose room counts.
        root: where /proc and /sys are; another one in tests.
    """
    try:
        disk = os.statvfs(folder)
        machine.disk_free_bytes, machine.disk_bytes = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    except OSError:
        machine.disk_free_bytes = machine.disk_bytes = None
    machine.cpu_celsius = max(_temperatures(root), default=None)
    machine.is_undervolted, machine.was_undervolted = _undervolted(root)
    machine.load = _number((_text(root / "proc/loadavg") or "").partition(" ")[0])
    pages = _number((_text(root / "proc/self/statm") or "").split(" ")[1:2])
    machine.rss_bytes = None if pages is None else int(pages) * os.sysconf("SC_PAGESIZE")


def _temperatures(root: Path) -> Iterator[float]:
    for zone in root.glob("sys/class/thermal/thermal_zone*/temp"):
        millidegrees = _number(_text(zone))
        if millidegrees is not None:
            yield millidegrees / 1000


def _undervolted(root: Path) -> tuple[bool | None, bool | None]:
    """Ask the firmware's own file, or the hardware monitor of newer kernels, which knows no past."""
    flags = _text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if flags is not None:
        try:
            bits = int(flags, 16)
        except ValueError:
            return None, None
        return bool(bits & UNDERVOLTED_NOW), bool(bits & UNDERVOLTED_BEFORE)
    for monitor in root.glob("sys/class/hwmon/hwmon*"):
        alarm = _number(_text(monitor / "in0_lcrit_alarm"))
        if _text(monitor / "name") == "rpi_volt" and alarm is not None:
            return alarm != 0, None
    return None, None


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return None


def _number(text: str | list[str] | None) -> float | None:
    try:
        return float("".join(text or ""))
    except ValueError:
        return None
