"""The status as Prometheus text, and the small HTTP server on a local port that hands it out.

Source of the format: prometheus.io, Exposition formats, text-based format 0.0.4.
"""

import contextlib
from collections.abc import Callable, Iterable

import anyio
from anyio.abc import ByteStream, SocketAttribute, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec import Struct

from contract.telemetry import Point
from edge.health import bus_points, points
from edge.status import BusStatus, Snapshot
from edge.supervision import DeviceStanding

HOST = "127.0.0.1"
MAX_REQUEST_BYTES = 8192
MAX_CLIENTS = 4
REQUEST_LIMIT_S = 5.0

# What moves down as well as up; everything else counts.
LEVEL_PARTS = frozenset({"clock", "machine"})
LEVELS = frozenset(
    """is_up under_way readings_waiting alarms_waiting bytes_waiting alarm_bytes_waiting oldest_reading_s
    oldest_alarm_s mute_units push_connected""".split()
)
HELP = {
    "up": "1 while the gateway runs; its version, boot and site are labels.",
    "running_seconds": "Since the gateway started.",
    "stalled_parts": "Parts without progress; the watchdog ends the process.",
    "uplink": "Uplink: {word}.",
    "outbox": "Outbox: {word}.",
    "clock": "Clock: {word}.",
    "machine": "Computer: {word}.",
    "bus": "Bus: {word}.",
    "device_standing": "1 for how the device stands: unknown, online, degraded, lost.",
    "device_age_seconds": "Age of the device's last good answer.",
    "device_breaker_open": "1 while the unit rests because it keeps silent.",
}


class Family(Struct):
    """One metric: its kind, its help, and its samples by their written labels."""

    name: str
    kind: str
    help: str
    samples: list[tuple[str, float]]


def render(snapshot: Snapshot) -> str:
    """Write the status as text; every name begins with `langyan_`."""
    return "".join(map(_write, families(snapshot)))


def families(snapshot: Snapshot) -> list[Family]:
    """Sort the status into metrics."""
    found: dict[str, Family] = {}
    who = _labels(boot=snapshot.boot, gateway=snapshot.gateway, site=snapshot.site, version=snapshot.version)
    _add(found, "up", 1.0, labels=who)
    _add(found, "running_seconds", snapshot.running_s)
    _add(found, "stalled_parts", len(snapshot.stalled))
    _add_struct(found, "uplink", snapshot.uplink)
    _add_struct(found, "outbox", snapshot.store)
    _add_struct(found, "clock", snapshot.clock)
    _add_struct(found, "machine", snapshot.machine)
    for bus in snapshot.buses:
        _add_bus(found, bus)
    return list(found.values())


def _add_bus(found: dict[str, Family], bus: BusStatus) -> None:
    labels = _labels(bus=bus.id)
    _add_points(found, "bus", bus_points(bus.total, joint="_"), labels=labels)
    for unit in bus.units:
        who = _labels(bus=bus.id, device=unit.device, unit=unit.address or str(unit.unit))
        for standing in DeviceStanding:
            is_so = float(unit.standing is standing)
            _add(found, "device_standing", is_so, labels=f'{who},standing="{standing.value}"')
        if unit.age_s is not None:
            _add(found, "device_age_seconds", unit.age_s, labels=who)
        if bus.total.push is None:
            _add(found, "device_breaker_open", float(unit.breaker == "open"), labels=who)


def _add_struct(found: dict[str, Family], part: str, state: Struct) -> None:
    _add_points(found, part, points(state))


def _add_points(found: dict[str, Family], part: str, said: Iterable[Point], *, labels: str = "") -> None:
    """Add each number, and each word as a label of a 1."""
    for point in said:
        name = f"{part}_{point.key}"
        if isinstance(point.value, str):
            _add(found, name, 1.0, part=part, word=point.key, labels=_labels(**{point.key: point.value}))
        elif part in LEVEL_PARTS or point.key in LEVELS:
            _add(found, name, float(point.value), part=part, word=point.key, labels=labels)
        else:
            _add(found, f"{name}_total", float(point.value), part=part, word=point.key, labels=labels, kind="counter")


def _add(
    found: dict[str, Family],
    name: str,
    value: float,
    *,
    part: str = "",
    word: str = "",
    labels: str = "",
    kind: str = "gauge",
) -> None:
    family = found.get(name)
    if family is None:
        help_text = HELP[part or name].replace("{word}", word.replace("_", " "))
        family = found[name] = Family(f"langyan_{name}", kind, help_text, [])
    family.samples.append((labels, value))


def _write(family: Family) -> str:
    lines = [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
    for labels, value in family.samples:
        lines.append(f"{family.name}{{{labels}}} {value!r}" if labels else f"{family.name} {value!r}")
    return "\n".join(lines) + "\n"


def _labels(**texts: str) -> str:
    return ",".join(f'{name}="{_escape(text)}"' for name, text in texts.items())


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


async def serve_metrics(
    port: int, text: Callable[[], str], *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Answer `GET /metrics` on the loopback until cancelled; one request a connection, the fifth at once is hung up on.

    Args:
        port: 0 takes a free one.
        text: makes the answer.
        task_status: told the port once it listens.

    Raises:
        OSError: the port is taken.
    """
    clients = anyio.CapacityLimiter(MAX_CLIENTS)
    listener = await anyio.create_tcp_listener(local_host=HOST, local_port=port, backlog=MAX_CLIENTS)
    async with listener:
        task_status.started(listener.extra(SocketAttribute.local_port))  # noqa: S610 - this is no Django
        await listener.serve(lambda client: _serve_client(client, text, clients))


async def _serve_client(client: ByteStream, text: Callable[[], str], clients: anyio.CapacityLimiter) -> None:
    gone = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.IncompleteRead, TimeoutError)
    async with client:
        if clients.available_tokens < 1:
            return
        with contextlib.suppress(*gone), anyio.fail_after(REQUEST_LIMIT_S):
            async with clients:
                await client.send(await _answer(client, text))


async def _answer(client: ByteStream, text: Callable[[], str]) -> bytes:
    try:
        request = await BufferedByteReceiveStream(client).receive_until(b"\r\n\r\n", MAX_REQUEST_BYTES)
    except anyio.DelimiterNotFound:
        return _http("431 Request Header Fields Too Large", "")
    method, _, rest = request.partition(b"\r\n")[0].partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if path != b"/metrics":
        return _http("404 Not Found", "There is /metrics.\n")
    if method != b"GET":
        return _http("405 Method Not Allowed", "", "Allow: GET\r\n")
    return _http("200 OK", text())


def _http(status: str, body: str, more: str = "") -> bytes:
    content = body.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        f"Content-Length: {len(content)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + content
