"""The site that the benchmarks measure: devices of 20 holding registers and 8 discrete inputs, on any number of buses.

The device is that of the peers' harness: registers `r0` to `r19`, inputs `b0` to `b7`, two requests a poll. Each input
is a panic button, so that a change of it raises or clears an alarm.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

GATEWAY = "bench"
REGISTERS = tuple(f"r{number}" for number in range(20))
INPUTS = tuple(f"b{number}" for number in range(8))
VALUES_A_POLL = 21
"""As the peers count them: 20 registers, and the 8 inputs as one value."""

_PROFILE = """profile = "bench/{name}"
version = "1"
maker = "Bench"
model = "{name}"
title = {{ en = "Device of the benchmarks", zh = "测试设备" }}
kind = "bench"
supervision_s = 60
sources = ["benchmarks/sites.py"]

[link]
transports = ["rtu", "tcp"]
timeout_s = {timeout_s}
"""
_POINT = """
[[point]]
key = "{key}"
name = {{ en = "{key}", zh = "{key}" }}
table = "{table}"
address = {address}
type = "{type}"
{unit}source = "benchmarks/farm.py"
"""
_RULE = """
[[rule]]
rule = "contact"
key = "press"
points = {points}
alarm = "panic"
severity = "critical"
text = {{ en = "Pressed: {{label}}", zh = "按下：{{label}}" }}
"""
_HEAD = """[gateway]
id = "{gateway}"
site = "bench"
health_s = {health_s}
[uplink]
port = {broker_port}
[outbox]
max_bytes = {outbox_bytes}
"""
_TCP_BUS = """[[bus]]
id = "{id}"
kind = "tcp"
host = "{host}"
port = {port}
"""
_RTU_BUS = """[[bus]]
id = "{id}"
kind = "rtu"
port = "{port}"
baud = {baud}
"""
_DEVICE = """[[device]]
id = "{id}"
bus = "{bus}"
unit = {unit}
profile = "bench/{profile}"
use = {use}
every_s = {{ {every} }}
"""


class Line(Struct, frozen=True):
    """Where devices hang: `host` and TCP port, or with `baud` a serial port.

    Attributes:
        port: TCP port, or path of the serial port.
        baud: None for Modbus TCP.
    """

    host: str = "127.0.0.1"
    port: int | str = 502
    baud: int | None = None


class BenchDevice(Struct, frozen=True):
    """One device of the site.

    Attributes:
        every_s: how often all of it is read.
        registers, inputs: how many of its 20 and 8 are read.
        timeout_s: how long its answer may take.
    """

    id: str
    line: Line
    unit: int
    every_s: float
    registers: int = len(REGISTERS)
    inputs: int = len(INPUTS)
    timeout_s: float = 1.0


def write_site(
    folder: Path,
    devices: Sequence[BenchDevice],
    *,
    broker_port: int,
    name: str = "site.toml",
    outbox_bytes: int = 512 * 1024 * 1024,
    health_s: float = 10.0,
) -> tuple[Path, Path]:
    """Write a site file and the profiles that it names into `folder`; returns the file and the folder of profiles."""
    profiles = folder / "profiles"
    for timeout_s in {device.timeout_s for device in devices}:
        _write_profile(profiles, timeout_s)
    buses = {line: f"bus-{number}" for number, line in enumerate(dict.fromkeys(device.line for device in devices))}
    text = [_HEAD.format(gateway=GATEWAY, broker_port=broker_port, outbox_bytes=outbox_bytes, health_s=health_s)]
    text += [_bus(bus, line) for line, bus in buses.items()]
    text += [_device(device, buses[device.line]) for device in devices]
    path = folder / name
    path.write_text("".join(text), encoding="utf-8")
    return path, profiles


def _bus(bus: str, line: Line) -> str:
    if line.baud is None:
        return _TCP_BUS.format(id=bus, host=line.host, port=line.port)
    return _RTU_BUS.format(id=bus, port=line.port, baud=line.baud)


def _device(device: BenchDevice, bus: str) -> str:
    use = [*REGISTERS[: device.registers], *INPUTS[: device.inputs]]
    return _DEVICE.format(
        id=device.id,
        bus=bus,
        unit=device.unit,
        profile=_profile_name(device.timeout_s),
        use=_listed(use),
        every=", ".join(f"{key} = {device.every_s:g}" for key in use),
    )


def _write_profile(folder: Path, timeout_s: float) -> None:
    name = _profile_name(timeout_s)
    registers = [_point(key, "holding", address, "u16", 'unit = "count"\n') for address, key in enumerate(REGISTERS)]
    inputs = [_point(key, "discrete_input", address, "bit") for address, key in enumerate(INPUTS)]
    text = [_PROFILE.format(name=name, timeout_s=timeout_s), *registers, *inputs, _RULE.format(points=_listed(INPUTS))]
    path = folder / "bench" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(text), encoding="utf-8")


def _point(key: str, table: str, address: int, kind: str, unit: str = "") -> str:
    return _POINT.format(key=key, table=table, address=address, type=kind, unit=unit)


def _profile_name(timeout_s: float) -> str:
    return f"twenty-eight-{round(timeout_s * 1000)}ms"


def _listed(keys: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{key}"' for key in keys) + "]"
