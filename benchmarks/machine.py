"""The facts of the machine that a figure was measured on."""

import os
import platform
import subprocess
from pathlib import Path

from msgspec import Struct

from langyan.servers import find_program


class Machine(Struct, frozen=True):
    """Processor, cores, memory, system, and the versions of what took part."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    mosquitto: str
    influxdb: str


def facts() -> Machine:
    """Read the facts of this machine."""
    page = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        memory_gib=round(page / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        mosquitto=_first_line([find_program("mosquitto", "mosquitto"), "-h"]),
        influxdb=_first_line([find_program("influxd", "influxdb"), "version"]),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _first_line(argv: list[str]) -> str:
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    return (said.stdout or said.stderr).splitlines()[0]
