"""What others see of us: mosquitto_sub, the influx command, a Modbus server that is not ours."""

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from contract.receipts import Verdict, decode_receipt
from contract.topics import Channel, topic
from langyan.demo.counting import stored_counts
from langyan.demo.stage import DATABASE
from langyan.servers import Influx, Langyan, Mosquitto, find_program, free_port, wait_until
from tests.end_to_end.rig import DEVICE, GATEWAY, LONG_S, Rig, open_rig

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with open_rig(tmp_path_factory.mktemp("rig"), deflate_from_bytes=1_000_000) as one:
        yield one


def ask_influx(port: int, database: str, ql: str) -> list[dict[str, Any]]:
    """Ask with InfluxDB's own command; an error, such as no database yet, is no series."""
    program = find_program("influx", "influxdb-client")
    argv = [program, "-port", str(port), "-database", database, "-format", "json", "-execute", ql]
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60).stdout
    # A chunk of the answer a line, and a line "ERR: ..." after an error.
    chunks = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [series for chunk in chunks for result in chunk["results"] for series in result.get("series", [])]


def test_mosquitto_sub_sees_senml_that_a_plain_json_reader_can_use(rig: Rig) -> None:
    program = find_program("mosquitto_sub", "mosquitto-clients")
    port = str(rig.stage.broker.port)
    argv = [program, "-V", "5", "-p", port, "-t", topic(GATEWAY, Channel.TELEMETRY), "-C", "5", "-W", "60"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=90).stdout.splitlines()
    records = [record for line in lines for record in json.loads(line)]
    names = {record["bn"] for record in records if "bn" in record}
    assert f"{DEVICE}/" in names
    points = {record["n"]: record for record in records}
    assert isinstance(points["button_1"]["vb"], bool)
    assert points["analog_1"]["u"] == "%"
    assert 0 <= points["analog_1"]["v"] <= 100
    assert all(1.7e9 < record["bt"] < 4e9 for record in records if "bt" in record)


def test_the_influx_command_finds_the_values(rig: Rig) -> None:
    ql = "SELECT count(analog_1), last(button_1) FROM telemetry WHERE device =~ /lab/ GROUP BY device, site"
    rig.wait(lambda: len(ask_influx(rig.stage.influx.port, DATABASE, ql)) == 2)
    series = ask_influx(rig.stage.influx.port, DATABASE, ql)
    rows = {one["tags"]["device"]: one for one in series}
    assert rows["lab-1"]["tags"]["site"] == "测试 site"
    assert rows["lab-1"]["values"][0][1] >= 1
    assert rows["lab-1"]["values"][0][2] is False


def test_the_same_batch_delivered_twice_is_stored_once_and_answered_twice(rig: Rig) -> None:
    batches: list[mqtt.MQTTMessage] = []
    receipts: list[mqtt.MQTTMessage] = []

    def on_message(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        (receipts if message.topic.endswith("receipt") else batches).append(message)

    client = mqtt.Client(CallbackAPIVersion.VERSION2, "twice", protocol=mqtt.MQTTv5)
    client.on_message = on_message
    client.connect("127.0.0.1", rig.stage.broker.port)
    client.subscribe([(topic(GATEWAY, Channel.TELEMETRY), 1), (topic(GATEWAY, Channel.RECEIPT), 1)])
    client.loop_start()
    rig.wait(lambda: len(batches) >= 3)
    batch = batches[0]

    def answers() -> list[mqtt.MQTTMessage]:
        return [receipt for receipt in receipts if _correlation(receipt) == _correlation(batch)]

    rig.wait(lambda: len(answers()) == 1)
    rig.gateway.stop()
    before = stored_counts(rig.stage.influx.url, DATABASE, GATEWAY)
    for _ in range(2):
        client.publish(batch.topic, batch.payload, qos=1, properties=_properties(batch))
    rig.wait(lambda: len(answers()) == 3)
    client.loop_stop()
    client.disconnect()
    assert {decode_receipt(bytes(receipt.payload)).verdict for receipt in answers()} == {Verdict.STORED}
    assert stored_counts(rig.stage.influx.url, DATABASE, GATEWAY) == before
    rig.gateway.start(wait=False)


def _correlation(message: mqtt.MQTTMessage) -> bytes:
    correlation: bytes = getattr(_properties(message), "CorrelationData")  # noqa: B009 - set at run time
    return correlation


def _properties(message: mqtt.MQTTMessage) -> Properties:
    assert message.properties is not None
    return message.properties


FOREIGN_SITE = """
[gateway]
id = "foreign"
site = "bench"
[uplink]
port = {broker_port}
[[bus]]
id = "lan"
kind = "tcp"
host = "127.0.0.1"
port = {tcp_port}
[[device]]
id = "io"
bus = "lan"
unit = 1
profile = "zlan/zlan6842"
use = ["button_1", "button_2", "analog_1", "analog_2"]
every_s = {{ analog_1 = 0.2, analog_2 = 0.2 }}
"""

SETTINGS = """
[mqtt]
port = {broker_port}
[influx]
version = 1
url = "{influx_url}"
database = "foreign"
"""


class ForeignServer:
    """pymodbus's own server in a thread: inputs 1 0 and registers 512, 1024."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=anyio.run, args=(self._serve,), daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    async def _serve(self) -> None:
        bits = [SimData(0, values=[True, False] + [False] * 30, datatype=DataType.BITS)]
        words = [SimData(0, values=[512, 1024] + [0] * 30, datatype=DataType.REGISTERS)]
        device = SimDevice(1, simdata=(bits, bits, words, words))
        server = ModbusTcpServer(device, address=("127.0.0.1", self._port))
        await server.serve_forever(background=True)
        await anyio.to_thread.run_sync(self._stop.wait)
        await server.shutdown()  # type: ignore[no-untyped-call]


def test_a_modbus_server_that_is_not_ours_is_polled_with_a_site_file(tmp_path: Path) -> None:
    port = free_port()
    with Mosquitto(tmp_path / "mosquitto") as broker, Influx(tmp_path / "influxd") as influx, ForeignServer(port):
        site, settings = tmp_path / "site.toml", tmp_path / "cloud.toml"
        site.write_text(FOREIGN_SITE.format(broker_port=broker.port, tcp_port=port))
        settings.write_text(SETTINGS.format(broker_port=broker.port, influx_url=influx.url))
        ingest = Langyan(tmp_path, "ingest", "cloud", "ingest", str(settings), ready=lambda: True)
        gateway = Langyan(tmp_path, "gateway", "edge", "run", str(site), ready=lambda: True)
        ql = "SELECT last(button_1), last(button_2), last(analog_1), last(analog_2) FROM telemetry WHERE device = 'io'"
        found: list[object] = []

        def is_there() -> bool:
            series = ask_influx(influx.port, "foreign", ql)
            found[:] = series[0]["values"][0][1:] if series else []
            return None not in found and bool(found)

        with ingest, gateway:
            assert wait_until(is_there, LONG_S, every_s=0.2), (ingest.log.read_text(), gateway.log.read_text())
    # Buttons are wired normally closed: current (1) is a button at rest.
    assert found == [False, True, 50.0, 100.0]
