"""What the simulator's tests share: sites on free ports, a site that is served, and raw talk on its lines."""

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio.from_thread

from device_profiles.model import Link, PointDef, PointType, Profile, Simulation, Table, Transport
from device_profiles.site import Device, DeviceSimulation, PlacedDevice
from device_profiles.site_loader import load_site
from simulators.control_client import Control
from simulators.device import SimulatedDevice
from simulators.site import ServedSite, serve_site

LIMIT_S = 40.0


def wait_for(condition: Callable[[], bool], what: str = "the condition") -> None:
    """Poll until it holds; fail after a limit that only a hang reaches."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true in {LIMIT_S} s"
        time.sleep(0.002)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def device_toml(name: str, bus: str, profile: str, *, unit: int = 1, extra: str = "") -> str:
    return f'[[device]]\nid = "{name}"\nbus = "{bus}"\nprofile = "{profile}"\nunit = {unit}\n{extra}\n'


def rtu_toml(name: str = "line", *, baud: int = 115_200) -> str:
    return f'[[bus]]\nkind = "rtu"\nid = "{name}"\nport = "tty-{name}"\nbaud = {baud}\n'


def tcp_toml(name: str = "net", *, port: int) -> str:
    return f'[[bus]]\nkind = "tcp"\nid = "{name}"\nhost = "127.0.0.1"\nport = {port}\n'


@contextmanager
def serving(folder: Path, *parts: str) -> Iterator[tuple[ServedSite, Control]]:
    """Serve a site file made of `parts` in a thread of its own; gives where it is and a control client."""
    file = folder / "site.toml"
    file.write_text('[gateway]\nid = "gw-test"\nsite = "bench"\n' + "".join(parts), encoding="utf-8")
    with anyio.from_thread.start_blocking_portal() as portal:
        task, served = portal.start_task(partial(serve_site, load_site(file)))
        try:
            with Control(served.control_port, timeout_s=LIMIT_S) as control:
                yield served, control
        finally:
            task.cancel()


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Open a serial port as a gateway does, without a library between."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        yield fd
    finally:
        os.close(fd)


def read_exactly(fd: int, size: int) -> bytes:
    """Read `size` bytes of a serial port or a socket."""
    data, deadline = b"", time.monotonic() + LIMIT_S
    while len(data) < size:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{len(data)} of {size} bytes came: {data.hex(' ')}"
        more = os.read(fd, size - len(data))
        assert more, f"the line ended after {len(data)} of {size} bytes"
        data += more
    return data


def is_quiet(fd: int) -> bool:
    """Tell whether nothing is there to read."""
    return not select.select([fd], [], [], 0)[0]


def ask(fd: int, request: bytes, size: int) -> bytes:
    os.write(fd, request)
    return read_exactly(fd, size)


def point(
    key: str,
    table: Table,
    address: int,
    kind: PointType = PointType.U16,
    *,
    simulate: Simulation | None = None,
    **more: object,
) -> PointDef:
    made = PointDef(key=key, name={"en": key}, table=table, address=address, type=kind, source="test")
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    return PointDef(**{**fields, **more, "simulate": simulate or Simulation()})


def profile(*points: PointDef, link: Link | None = None, **more: object) -> Profile:
    fields: dict[str, object] = {
        "profile": "test/device",
        "version": "1",
        "maker": "test",
        "model": "device",
        "title": {"en": "device"},
        "kind": "test",
        "sources": ("test",),
        "link": link or Link(transports=(Transport.RTU, Transport.TCP)),
        "point": points,
    }
    return Profile(**{**fields, **more})  # type: ignore[arg-type]


class FakeClock:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def simulated(
    made: Profile, *, count_in: str | None = None, clock: FakeClock | None = None, unit: int = 1
) -> SimulatedDevice:
    device = Device(id="d", bus="b", profile=made.profile, simulate=DeviceSimulation(count_in=count_in))
    return SimulatedDevice(PlacedDevice(device, made, unit), clock_s=clock or FakeClock())
