"""What the tests of the cloud stand on: workers in a thread, a gateway's MQTT client, and questions to databases."""

import contextlib
import json
import socket
import threading
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

from anyio import Event
from anyio.from_thread import start_blocking_portal
from msgspec import Struct
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from sqlalchemy import Engine, Table, event, func, select

from cloud.counters import Counters
from cloud.database import Database
from cloud.settings import Settings
from contract.receipts import Receipt, decode_receipt
from contract.topics import CLOUD_READY, Channel, topic
from langyan.servers import wait_until

# For what must happen: long enough for the slowest machine, and never slept through.
LIMIT_S = 40.0
T0_US = 1_700_000_000_000_000


class Run(Protocol):
    async def __call__(
        self, settings: Settings, *, stop: Event, ready: Callable[[], None] | None, counters: Counters | None
    ) -> None: ...


def fresh(word: str) -> str:
    """A name that no other test uses."""
    return f"{word}-{uuid.uuid4().hex[:10]}"


def eventually(condition: Callable[[], bool]) -> None:
    assert wait_until(condition, LIMIT_S)


@contextmanager
def running(run: Run, settings: Settings, *, wait_ready: bool = True) -> Iterator[Counters]:
    """Run a worker until the end of the block, then stop it in order."""
    counters, ready = Counters(), threading.Event()
    with start_blocking_portal() as portal:
        stop = portal.call(Event)
        work = partial(run, settings, stop=stop, ready=ready.set, counters=counters)
        future = portal.start_task_soon(work)
        try:
            if wait_ready:
                eventually(lambda: ready.is_set() or future.done())
                assert ready.is_set(), future.exception()
            yield counters
        finally:
            portal.call(stop.set)
            future.result(LIMIT_S)


class Received(Struct, frozen=True):
    topic: str
    payload: bytes
    correlation: bytes | None


class GatewayClient:
    """A gateway's MQTT connection: publishes, and keeps every receipt and whatever else it subscribed to."""

    def __init__(self, port: int, gateway: str, *, also: tuple[str, ...] = ()) -> None:
        self.gateway = gateway
        self.received: list[Received] = []
        self._subscribed = threading.Event()
        filters = (topic(gateway, Channel.RECEIPT), CLOUD_READY, *also)
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = self._take
        self._client.on_socket_open = _no_delay
        self._client.on_connect = lambda client, *_: client.subscribe([(name, 1) for name in filters])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def __enter__(self) -> Self:
        eventually(self._subscribed.is_set)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(
        self,
        channel: Channel,
        payload: bytes,
        *,
        correlation: bytes | None = None,
        headers: list[tuple[str, str]] | None = None,
        response_topic: str | None = None,
        retain: bool = False,
    ) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if correlation is not None:
            properties.CorrelationData = correlation
        if response_topic is not None:
            properties.ResponseTopic = response_topic
        for header in headers or ():
            properties.UserProperty = header
        info = self._client.publish(topic(self.gateway, channel), payload, qos=1, properties=properties, retain=retain)
        info.wait_for_publish(LIMIT_S)

    def send_until_answered(self, channel: Channel, payload: bytes, *, correlation: bytes) -> None:
        """Send again and again, as a gateway does, through losses of its own connection too."""
        for _ in range(int(LIMIT_S)):
            with contextlib.suppress(RuntimeError, ValueError):
                self.send(channel, payload, correlation=correlation)
            if wait_until(lambda: bool(self.receipts(correlation)), 1.0):
                return
        raise AssertionError(f"no receipt for {correlation!r}")

    def receipt(self, correlation: bytes) -> Receipt:
        """Wait for the receipt of one batch."""
        eventually(lambda: bool(self.receipts(correlation)))
        return self.receipts(correlation)[0]

    def receipts(self, correlation: bytes | None) -> list[Receipt]:
        name = topic(self.gateway, Channel.RECEIPT)
        found = [one for one in list(self.received) if one.topic == name and one.correlation == correlation]
        return [decode_receipt(one.payload) for one in found]

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None)
        self.received.append(Received(message.topic, bytes(message.payload), correlation))


def _no_delay(_client: Client, _data: object, opened: Any) -> None:
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def fetch(url: str, *, body: bytes | None = None) -> bytes:
    """Get an answer over HTTP, or post for one."""
    with urllib.request.urlopen(url, data=body, timeout=LIMIT_S) as answer:  # noqa: S310 - our own servers
        content: bytes = answer.read()
        return content


def telemetry_of(url: str, database: str, device: str) -> list[dict[str, Any]]:
    """One device's rows in InfluxDB 1.x, by time."""
    return influx_rows(url, database, f"SELECT * FROM telemetry WHERE device = '{device}'")  # noqa: S608 - a test's own name


def influx_rows(url: str, database: str, query: str) -> list[dict[str, Any]]:
    """Ask InfluxDB 1.x; the rows of the first series, times in microseconds."""
    words = urllib.parse.urlencode({"db": database, "q": query, "epoch": "u"})
    result = json.loads(fetch(f"{url}/query?{words}"))["results"][0]
    series = result.get("series")
    return [dict(zip(series[0]["columns"], row, strict=True)) for row in series[0]["values"]] if series else []


def victoria_samples(url: str, match: str) -> dict[str, dict[int, float]]:
    """Ask VictoriaMetrics for all samples: by metric name, value by time in milliseconds."""
    fetch(f"{url}/internal/force_flush")
    words = urllib.parse.urlencode({"match[]": match})
    rows = [json.loads(line) for line in fetch(f"{url}/api/v1/export?{words}").splitlines()]
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        found.setdefault(row["metric"]["__name__"], {}).update(zip(row["timestamps"], row["values"], strict=True))
    return found


def rows_of(database: Database, table: Table) -> list[dict[str, Any]]:
    """Read a table by its primary key."""
    query = select(table).order_by(*table.primary_key)
    return database.run(lambda connection: [dict(row) for row in connection.execute(query).mappings()])


def count_of(database: Database, table: Table) -> int:
    return database.run(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one())


@contextmanager
def statements() -> Iterator[list[str]]:
    """Note what all databases are told within the block."""
    said: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def write_settings(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
