"""A city-wide test: 1 000 alarms at once, from the press until each is in the live stream; real broker, desk and API.

Every gateway has its connection and its packets ready, and at the moment of the press all are sent. What counts is when
the event's line has come out of the API's socket. Everything runs on one machine and one clock.
"""

import contextlib
import math
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import msgspec
import psutil
from msgspec import Struct
from sqlalchemy import Connection, insert, make_url

from benchmarks.receiver import Receiver
from benchmarks.rig import expect, pause
from cloud.database import Database
from cloud.database.area_tables import area, registered_gateway, site
from cloud.desk.changes import Actor
from cloud.people.passwords import hash_password, random_password
from cloud.people.roles import Action, Role
from cloud.people.store import NewUser, add_user, find_person
from cloud.people.tokens import make_token
from contract.alarms import AlarmEvent, Severity, Transition, encode_alarm
from contract.topics import Channel, topic
from langyan.postgres import Postgres
from langyan.servers import Langyan, Mosquitto, free_port, wait_until
from simulators.fleet.mqtt import Connected, Login, Message, MqttClient, properties_of

GATEWAYS = 50
STORMS = {10: 20, 1_000: 5}
"""How many alarms at once, and how often."""
TARGET_P99_MS = 2_000.0
_ABOVE = ("province", "city", "county", "town", "street")
_LIMIT_S = 60.0
_LEAD_S = 0.5
_PASSWORD = "BENCH_DATABASE_PASSWORD"  # noqa: S105 - a variable's name

_SETTINGS = """[mqtt]
port = {broker_port}
[database]
url = "{url}"
{password}
[api]
port = {api_port}
[numbers]
influx = false
"""


class Delay(Struct, frozen=True):
    """Milliseconds from the press, by nearest rank."""

    p50: float
    p95: float
    p99: float
    max: float


class Storm(Struct, frozen=True):
    """Alarms at once, several times over.

    Attributes:
        lost: of all that were pressed, those that never came out of the stream.
        twice: raises that came more than once.
        to_desk: until the desk began to write them, by its clock.
        to_stream: until they were in the live stream.
        worst_p99_ms: the greatest p99 of one time.
    """

    alarms: int
    gateways: int
    times: int
    lost: int
    twice: int
    to_desk: Delay
    to_stream: Delay
    worst_p99_ms: float


class OnServer(Struct, frozen=True):
    """All storms on one database server; processor seconds over the whole run."""

    storms: list[Storm]
    desk_cpu_s: float
    api_cpu_s: float


class Storms(Struct, frozen=True):
    """The same on both servers."""

    target_p99_ms: float
    sqlite: OnServer
    postgresql: OnServer


def measure() -> Storms:
    """Run all storms on both servers."""
    with _folder() as folder:
        sqlite = _on_server(folder, f"sqlite:///{folder}/cloud.db", password="")
    with _folder() as folder, Postgres(folder / "postgres") as server:
        postgresql = _on_server(folder, server.url, password=server.password)
    return Storms(TARGET_P99_MS, sqlite, postgresql)


def _on_server(folder: Path, url: str, *, password: str) -> OnServer:
    with Mosquitto(folder / "broker") as broker:
        token = _prepare(url, password)
        with _cloud(folder, broker.port, url, password) as (desk, api, port):
            stream = Stream(port, token)
            with stream, contextlib.ExitStack() as parts:
                gateways = [parts.enter_context(Gateway(broker.port, name)) for name in _names()]
                storms = [_storm(gateways, stream, alarms, times) for alarms, times in STORMS.items()]
            return OnServer(storms, round(_cpu_s(desk), 1), round(_cpu_s(api), 1))


def _storm(gateways: Sequence["Gateway"], stream: "Stream", alarms: int, times: int) -> Storm:
    used = gateways[: min(alarms, len(gateways))]
    to_desk: list[list[float]] = []
    to_stream: list[list[float]] = []
    twice = 0
    for number in range(times):
        before = stream.told
        pressed_us = time.time_ns() // 1_000 + round(_LEAD_S * 1e6)
        names = {_press(used[one % len(used)], one, alarms, number, pressed_us) for one in range(alarms)}
        pause((pressed_us - time.time_ns() // 1_000) / 1e6)
        for gateway in used:
            gateway.send()
        wait_until(partial(stream.has_told, before + alarms), _LIMIT_S, every_s=0.05)
        # Whatever comes a second time comes soon after.
        pause(1.0)
        seen = [one for one in stream.raises() if one.source in names]
        twice += len(seen) - len({one.source for one in seen})
        to_stream.append([(one.seen_us - pressed_us) / 1e3 for one in seen])
        to_desk.append([(one.stored_us - pressed_us) / 1e3 for one in seen])
    whole = [ms for times_ms in to_stream for ms in times_ms]
    return Storm(
        alarms=alarms,
        gateways=len(used),
        times=times,
        lost=alarms * times - (len(whole) - twice),
        twice=twice,
        to_desk=delay_of([ms for times_ms in to_desk for ms in times_ms]),
        to_stream=delay_of(whole),
        worst_p99_ms=max(delay_of(times_ms).p99 for times_ms in to_stream),
    )


def _press(gateway: "Gateway", one: int, alarms: int, number: int, pressed_us: int) -> str:
    """Make the packet of one press; returns its source, which no other press has."""
    event = AlarmEvent(
        gateway=gateway.name,
        device=f"button{one}",
        point=f"press{alarms}",
        rule=f"panic{number}",
        transition=Transition.RAISED,
        raised_at_us=pressed_us,
        at_us=pressed_us,
        kind="panic",
        severity=Severity.CRITICAL,
        text={"en": "Panic button pressed at the gate house", "zh": "门卫室报警按钮已按下"},
        value=True,
    )
    gateway.prepare(event)
    return event.source


class Gateway:
    """A gateway's connection to the broker: what it will say is prepared, then sent at once."""

    def __init__(self, port: int, name: str) -> None:
        """Connect.

        Args:
            port: the broker's, on this machine.
            name: its id.
        """
        self.name = name
        self._client = MqttClient()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_LIMIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.connect(Login(name, keepalive_s=3_600))
        self.send()
        (answer,) = self._client.feed(self._socket.recv(4_096))
        if not isinstance(answer, Connected) or answer.code:
            raise ConnectionRefusedError(f"the broker does not take {name}: {answer}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self.send()
        self._socket.close()

    def prepare(self, event: AlarmEvent) -> None:
        """Make the packet; what the broker has acknowledged meanwhile is of no interest, the stream tells."""
        properties = properties_of(content_type="application/cloudevents+json", correlation=event.alarm_id.encode())
        self._client.publish(Message(topic(self.name, Channel.ALARM), encode_alarm(event), properties=properties))

    def send(self) -> None:
        """Send what is prepared."""
        self._socket.sendall(self._client.out)
        self._client.out.clear()


class Raise(Struct, frozen=True):
    """A raise in the live stream: when the desk stored it, and when it came out."""

    source: str
    stored_us: int
    seen_us: int


class Stream:
    """The live stream, read by a thread of its own; it reads what came only when it is asked.

    Attributes:
        told: raises so far.
    """

    def __init__(self, port: int, token: str) -> None:
        """Prepare.

        Args:
            port: the API's, on this machine.
            token: of somebody who may see all.
        """
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_LIMIT_S)
        self.told = 0
        self._lines: list[tuple[int, bytes]] = []
        head = f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
        self._socket.sendall(head.encode())
        self._file = self._socket.makefile("rb")
        status = self._file.readline()
        if b" 200 " not in status:
            raise ConnectionRefusedError(f"the API's live stream: {status.decode(errors='replace').strip()}")
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        # Only what happens after its greeting is told.
        expect(lambda: bool(self._lines), "the live stream's greeting")
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._file.close()
        self._socket.close()

    def has_told(self, count: int) -> bool:
        """Tell whether so many raises have come."""
        return self.told >= count

    def raises(self) -> list[Raise]:
        """Read the raises that have come since the start."""
        found: list[Raise] = []
        for seen_us, line in self._lines[:]:
            told: Any = msgspec.json.decode(line) if line.startswith(b"{") else {}
            if told.get("what") == "raised":
                found.append(Raise(told["source"], told["alarm"]["stored_at_us"], seen_us))
        return found

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._file:
                if line.startswith(b"data: "):
                    self._lines.append((time.time_ns() // 1_000, line.removeprefix(b"data: ")))
                    self.told += b'"what":"raised"' in line


def _names() -> list[str]:
    return [f"school-{number:02}" for number in range(GATEWAYS)]


def _prepare(url: str, password: str) -> str:
    """Make tables, areas of six levels, a site a gateway, and a token for the stream; returns the token."""
    full = make_url(url)
    with Database(full.set(password=password) if password else full) as database:
        database.migrate()
        database.run(_fill)
        return database.run(make_viewer)


def make_viewer(connection: Connection) -> str:
    """Make a user who may see all alarms, and a token; returns the token."""
    now_us, actor = time.time_ns() // 1_000, Actor("bench", "127.0.0.1")
    new = NewUser("viewer", Role.VIEWER)
    hashed = hash_password(random_password().value)
    add_user(connection, new, hashed, must_change=False, actor=actor, editor=None, now_us=now_us)
    made = make_token(
        connection,
        find_person(connection, "viewer"),
        name="bench",
        scopes=[Action.SEE_ALARMS],
        expires_at_us=now_us + 86_400_000_000,
        actor=actor,
        now_us=now_us,
    )
    return made.text.value


def _fill(connection: Connection) -> None:
    parent, path = None, ""
    for level in _ABOVE:
        path += f"{level}/"
        connection.execute(insert(area).values(id=level, parent=parent, level=level, name=level, path=path))
        parent = level
    for name in _names():
        grid = f"grid-{name}"
        connection.execute(insert(area).values(id=grid, parent=parent, level="grid", name=grid, path=f"{path}{grid}/"))
        connection.execute(insert(site).values(id=name, area=grid, name=name, kind="school", address=""))
        connection.execute(insert(registered_gateway).values(id=name, site=name, name=name, address=""))


@contextlib.contextmanager
def _cloud(folder: Path, broker_port: int, url: str, password: str) -> Iterator[tuple[Langyan, Langyan, int]]:
    """Start desk and API, and wait until both are at work."""
    settings, port = folder / "cloud.toml", free_port()
    named = f'password_env = "{_PASSWORD}"' if password else ""
    text = _SETTINGS.format(broker_port=broker_port, url=url, password=named, api_port=port)
    settings.write_text(text, encoding="utf-8")
    environment = {_PASSWORD: password} if password else {}
    receiver = Receiver(broker_port, answers=False)
    is_at_work = partial(_has_heard, receiver, "desk")
    desk = Langyan(folder, "desk", "cloud", "desk", str(settings), ready=is_at_work, environment=environment)
    api = Langyan(folder, "api", "cloud", "api", str(settings), ready=partial(_listens, port), environment=environment)
    with desk, api:
        receiver.close()
        yield desk, api, port


def _has_heard(receiver: Receiver, worker: str) -> bool:
    return any(worker in said for said in receiver.workers)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


def delay_of(milliseconds: Sequence[float]) -> Delay:
    """Rank delays."""
    order = sorted(milliseconds) or [math.nan]

    def rank(share: float) -> float:
        return round(order[max(0, math.ceil(share * len(order)) - 1)], 1)

    return Delay(rank(0.5), rank(0.95), rank(0.99), round(order[-1], 1))


def _cpu_s(process: Langyan) -> float:
    spent = psutil.Process(process.pid).cpu_times()
    return float(spent.user + spent.system)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="langyan-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        yield Path(folder)
