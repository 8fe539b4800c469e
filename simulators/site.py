"""Serves a whole simulated site: every bus of the site file, and the control channel."""

from collections.abc import Mapping
from types import MappingProxyType

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from anyio.streams.stapled import MultiListener
from msgspec import Struct

from device_profiles.site import Site
from simulators.control import serve_control
from simulators.errors import SimulatorError
from simulators.point import Source
from simulators.running_site import RunningSite

_LOOPBACK = "127.0.0.1"


class ServedSite(Struct, frozen=True):
    """Where a served site can be reached.

    Attributes:
        control_port: TCP port of the control channel, on 127.0.0.1.
        buses: by bus id what a gateway opens: the path of a serial port, or host:port.
    """

    control_port: int
    buses: dict[str, str]


async def serve_site(
    site: Site,
    *,
    control_port: int = 0,
    sources: Mapping[tuple[str, str], Source] = MappingProxyType({}),
    task_status: TaskStatus[ServedSite] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; everything is reachable once `task_status` has been told.

    Args:
        site: a checked site file, the one that the gateway reads.
        control_port: 0 takes a free one.
        sources: by device and point, what drives it instead of its profile's own simulation.
        task_status: is told where everything is.

    Raises:
        SimulatorError: a bus or the control port cannot be had; nothing is left behind.
    """
    control = await _listen(control_port)
    try:
        with RunningSite(site) as running:
            for (device, point), source in sources.items():
                running.device(device).drive(point, source)
            async with anyio.create_task_group() as tasks:
                for bus in running.buses.values():
                    tasks.start_soon(bus.run, name=f"simulated bus {bus.id}")
                tasks.start_soon(serve_control, control, running)
                where = {bus.id: bus.where for bus in running.buses.values()}
                port: int = control.extra(SocketAttribute.local_port)  # noqa: S610 - no Django here
                task_status.started(ServedSite(port, where))
    finally:
        with anyio.CancelScope(shield=True):
            await control.aclose()


async def _listen(port: int) -> MultiListener[SocketStream]:
    try:
        return await anyio.create_tcp_listener(local_host=_LOOPBACK, local_port=port)
    except OSError as error:
        text = f"the control channel cannot listen on {_LOOPBACK}:{port}: {error.strerror}; give a free port, or 0"
        raise SimulatorError(text) from error
