import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import msgspec
import pytest
from paho.mqtt import publish
from sqlalchemy import Connection

from cloud.answers import Refused
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase, list_gateways
from cloud.database.gateways import note_presence
from cloud.database.tables import dead_letter
from cloud.errors import DatabaseRefusedError
from cloud.influx.lines import encode_lines
from cloud.influx.persistent import PersistentWriter
from cloud.ingest import Batch, presence, run_ingest, shell
from cloud.ingest.storing import Storing, Taken
from cloud.mqtt_worker import Message, MqttWorker
from cloud.settings import Influx1, Influx2, Mqtt, Registered, Settings
from contract.compression import pack
from contract.errors import Refusal
from contract.limits import MAX_PAYLOAD_BYTES
from contract.presence import Birth, Death, encode_presence
from contract.receipts import Verdict, decode_receipt
from contract.telemetry import BatchHeader, Lane, Point, Sample, Value, encode_telemetry
from contract.topics import CLOUD_READY, Channel, topic
from langyan.servers import Influx, Mosquitto, VictoriaMetrics, free_port, wait_until
from tests.cloud.conftest import MakeSettings
from tests.cloud.rig import T0_US, GatewayClient, eventually, fresh, influx_rows, rows_of, running, victoria_samples


def batch(count: int, *, start: int = 0, value: Value | None = None, device: str = "d1") -> bytes:
    """Samples a second apart, each one reading `t`, which is its number unless `value` is given."""
    return encode_telemetry(
        [
            Sample(device, T0_US + number * 1_000_000, (Point("t", float(number) if value is None else value),))
            for number in range(start, start + count)
        ]
    )


@pytest.fixture
def settings(make_settings: MakeSettings, mosquitto: Mosquitto, influx: Influx) -> Settings:
    return make_settings(mosquitto.port, influx.url)


@pytest.fixture
def ingest(settings: Settings) -> Iterator[Counters]:
    with running(run_ingest, settings) as counters:
        yield counters


@pytest.fixture
def gateway(mosquitto: Mosquitto) -> Iterator[GatewayClient]:
    with GatewayClient(mosquitto.port, fresh("g")) as client:
        yield client


def stored(settings: Settings) -> list[tuple[int, float]]:
    assert isinstance(settings.influx, Influx1)
    rows = influx_rows(settings.influx.url, settings.influx.database, "SELECT * FROM telemetry")
    return [((row["time"] - T0_US) // 1_000_000, row["t"]) for row in rows]


def numbers(count: int) -> list[tuple[int, float]]:
    return [(number, float(number)) for number in range(count)]


def test_a_batch_is_stored_and_then_answered(ingest: Counters, settings: Settings, gateway: GatewayClient) -> None:
    gateway.send(Channel.TELEMETRY, batch(100), correlation=b"batch-1")
    receipt = gateway.receipt(b"batch-1")
    assert (receipt.verdict, receipt.stored, receipt.refused, receipt.reason) == (Verdict.STORED, 100, 0, "")
    assert stored(settings) == numbers(100)
    assert isinstance(settings.influx, Influx1)
    row = influx_rows(settings.influx.url, settings.influx.database, "SELECT * FROM telemetry LIMIT 1")[0]
    assert (row["gateway"], row["device"]) == (gateway.gateway, "d1")
    assert T0_US < row["received_at"] <= receipt.at_us
    assert (ingest.messages, ingest.stored) == (1, 100)


def test_the_same_batch_twice_is_stored_once(ingest: Counters, settings: Settings, gateway: GatewayClient) -> None:
    for correlation in (b"1", b"2"):
        gateway.send(Channel.TELEMETRY, batch(20), correlation=correlation)
        assert gateway.receipt(correlation).verdict is Verdict.STORED
    assert stored(settings) == numbers(20)
    assert ingest.messages == 2


def test_a_packed_batch_with_its_header(ingest: Counters, settings: Settings, gateway: GatewayClient) -> None:
    encoding, payload = pack(batch(500))
    header = BatchHeader(gateway.gateway, "boot", Lane.BACKFILL, 7, encoding)
    gateway.send(Channel.TELEMETRY, payload, correlation=b"p", headers=header.to_properties())
    assert gateway.receipt(b"p").stored == 500
    assert stored(settings) == numbers(500)
    assert not ingest.refused


def test_what_the_database_refuses_is_a_dead_letter_and_the_rest_is_stored(
    ingest: Counters, settings: Settings, gateway: GatewayClient, database: Database
) -> None:
    gateway.send(Channel.TELEMETRY, batch(10), correlation=b"good")
    assert gateway.receipt(b"good").verdict is Verdict.STORED
    samples = [Sample("d1", T0_US + (10 + n) * 1_000_000, (Point("t", 10.0 + n),)) for n in range(10)]
    samples[4] = Sample("d1", samples[4].at_us, (Point("t", "warm"), Point("u", 1.0)))
    gateway.send(Channel.TELEMETRY, encode_telemetry(samples), correlation=b"mixed")
    gateway.send(Channel.TELEMETRY, batch(5, start=20), correlation=b"after")
    receipt = gateway.receipt(b"mixed")
    assert (receipt.verdict, receipt.stored, receipt.refused) == (Verdict.REFUSED, 9, 2)
    assert "field type conflict" in receipt.reason
    assert gateway.receipt(b"after").verdict is Verdict.STORED
    assert stored(settings) == [pair for pair in numbers(25) if pair[0] != 14]
    (letter,) = rows_of(database, dead_letter)
    assert (letter["reason"], letter["gateway"]) == ("refused-by-database", gateway.gateway)
    assert letter["payload"].startswith(b"telemetry,device=d1,")
    assert b't="warm"' in letter["payload"]
    assert "field type conflict" in letter["why"]
    assert ingest.refused == {"refused-by-database": 1}


@pytest.mark.parametrize(
    ("payload", "headers", "refusal"),
    [
        (b"x" * (MAX_PAYLOAD_BYTES + 1), [], Refusal.TOO_LARGE),
        (b"{", [], Refusal.NOT_SENML),
        (batch(1), [("gateway", "another")], Refusal.WRONG_GATEWAY),
        (batch(1), [("content-encoding", "deflate")], Refusal.BAD_ENCODING),
    ],
    ids=["too-large", "not-senml", "wrong-gateway", "bad-encoding"],
)
def test_a_bad_message_is_answered_and_kept_and_stops_nothing(
    payload: bytes,
    headers: list[tuple[str, str]],
    refusal: Refusal,
    ingest: Counters,
    settings: Settings,
    gateway: GatewayClient,
    database: Database,
) -> None:
    gateway.send(Channel.TELEMETRY, payload, correlation=b"bad", headers=headers)
    gateway.send(Channel.TELEMETRY, batch(3), correlation=b"good")
    receipt = gateway.receipt(b"bad")
    assert (receipt.verdict, receipt.stored) == (Verdict.REFUSED, 0)
    assert receipt.reason.startswith(f"{refusal}: ")
    assert gateway.receipt(b"good").verdict is Verdict.STORED
    assert stored(settings) == numbers(3)
    (letter,) = rows_of(database, dead_letter)
    assert (letter["reason"], letter["gateway"]) == (refusal.value, gateway.gateway)
    assert (letter["payload"], letter["payload_size"]) == (payload[:65_536], len(payload))
    assert ingest.refused == {refusal.value: 1}


def test_a_gateway_the_registry_does_not_know_is_refused(
    settings: Settings, mosquitto: Mosquitto, gateway: GatewayClient, database: Database
) -> None:
    known = fresh("known")
    registry = msgspec.structs.replace(settings, gateways={known: Registered(site="三中 东门")})
    with running(run_ingest, registry), GatewayClient(mosquitto.port, known) as other:
        gateway.send(Channel.TELEMETRY, batch(1), correlation=b"x")
        other.send(Channel.TELEMETRY, batch(2), correlation=b"y")
        assert gateway.receipt(b"x").reason.startswith(Refusal.UNKNOWN_GATEWAY)
        assert other.receipt(b"y").verdict is Verdict.STORED
    assert isinstance(settings.influx, Influx1)
    rows = influx_rows(settings.influx.url, settings.influx.database, "SELECT * FROM telemetry")
    assert [row["site"] for row in rows] == ["三中 东门"] * 2
    assert gateway.gateway in {letter["gateway"] for letter in rows_of(database, dead_letter)}


def test_nobody_makes_the_receipt_go_elsewhere(ingest: Counters, mosquitto: Mosquitto) -> None:
    victim = topic("victim", Channel.COMMAND)
    with GatewayClient(mosquitto.port, fresh("g"), also=(victim,)) as gateway:
        gateway.send(Channel.TELEMETRY, batch(1), correlation=b"1", response_topic=victim)
        assert gateway.receipt(b"1").verdict is Verdict.STORED
        own = topic(gateway.gateway, Channel.RECEIPT)
        gateway.send(Channel.TELEMETRY, batch(1), correlation=b"2", response_topic=own)
        assert gateway.receipt(b"2").verdict is Verdict.STORED
        assert {one.topic for one in gateway.received} <= {own, CLOUD_READY}
    assert ingest.messages == 2


def test_too_long_correlation_data_is_refused_and_not_sent_back(ingest: Counters, gateway: GatewayClient) -> None:
    gateway.send(Channel.TELEMETRY, batch(1), correlation=b"x" * 65)
    eventually(lambda: bool(gateway.receipts(None)))
    assert gateway.receipts(None)[0].reason.startswith(Refusal.BAD_HEADER)
    assert ingest.stored == 0


def test_every_subscription_is_announced(settings: Settings, gateway: GatewayClient) -> None:
    with running(run_ingest, settings):
        eventually(lambda: any(one.payload == b'{"worker":"ingest"}' for one in gateway.received))


def test_more_messages_than_the_window_go_through(settings: Settings, gateway: GatewayClient) -> None:
    small = msgspec.structs.replace(settings, mqtt=Mqtt(port=settings.mqtt.port, window=4))
    with running(run_ingest, small) as counters:
        for number in range(30):
            gateway.send(Channel.TELEMETRY, batch(10, start=number * 10), correlation=b"%d" % number)
        # Debian's mosquitto oversteps the window, and what is too much is dropped: a gateway sends it again.
        for number in range(30):
            if not wait_until(lambda: bool(gateway.receipts(b"%d" % number)), 1.0):  # noqa: B023 - asked at once
                again = batch(10, start=number * 10)
                gateway.send_until_answered(Channel.TELEMETRY, again, correlation=b"%d" % number)
    assert stored(settings) == numbers(300)
    assert counters.stored >= 300


def test_two_workers_share_the_work(settings: Settings, gateway: GatewayClient) -> None:
    with running(run_ingest, settings) as one, running(run_ingest, settings) as two:
        for number in range(40):
            gateway.send(Channel.TELEMETRY, batch(1, start=number), correlation=b"%d" % number)
        for number in range(40):
            assert gateway.receipt(b"%d" % number).verdict is Verdict.STORED
    assert stored(settings) == numbers(40)
    assert one.messages + two.messages == 40
    assert min(one.messages, two.messages) > 0


def test_births_and_deaths_are_kept_also_while_influx_is_away(
    make_settings: MakeSettings, mosquitto: Mosquitto, gateway: GatewayClient, database: Database
) -> None:
    def row() -> tuple[bool, str, int] | None:
        rows = [one for one in database.run(list_gateways) if one.id == gateway.gateway]
        return (rows[0].online, rows[0].site, len(rows[0].inventory)) if rows else None

    settings = make_settings(mosquitto.port, f"http://127.0.0.1:{free_port()}")
    settings = msgspec.structs.replace(settings, mqtt=Mqtt(port=mosquitto.port, window=2))
    birth = encode_presence(Birth(gateway.gateway, "boot", "1", "三中", T0_US))
    gateway.send(Channel.BIRTH, birth, retain=True)
    with running(run_ingest, settings) as counters:
        for number in range(4):
            gateway.send(Channel.TELEMETRY, batch(1), correlation=b"%d" % number)
        eventually(lambda: counters.retries > 0)
        eventually(lambda: row() == (True, "三中", 0))
        gateway.send(Channel.BIRTH, encode_presence(Death(gateway.gateway, "boot", "lost")), retain=True)
        eventually(lambda: row() == (False, "三中", 0))
        gateway.send(Channel.BIRTH, b"nonsense")
        eventually(lambda: counters.refused["not-birth"] == 1)
        gateway.send(Channel.BIRTH, b"", retain=True)


def test_the_v2_writer_stores_too(settings: Settings, victoria: VictoriaMetrics, gateway: GatewayClient) -> None:
    v2 = msgspec.structs.replace(settings, influx=Influx2(url=victoria.url, bucket="b"))
    with running(run_ingest, v2):
        gateway.send(Channel.TELEMETRY, batch(50), correlation=b"v2")
        assert gateway.receipt(b"v2").stored == 50
    expected = {T0_US // 1_000 + number * 1_000: float(number) for number in range(50)}
    match = f'{{gateway="{gateway.gateway}"}}'
    eventually(lambda: victoria_samples(victoria.url, match).get("telemetry_t") == expected)


def test_while_influx_is_down_nothing_is_acknowledged_and_afterwards_nothing_is_lost(
    make_settings: MakeSettings, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    with Influx(tmp_path / "influx") as influx, GatewayClient(mosquitto.port, fresh("g")) as gateway:
        settings = make_settings(mosquitto.port, influx.url)
        settings = msgspec.structs.replace(settings, mqtt=Mqtt(port=mosquitto.port, window=4))
        with running(run_ingest, settings) as counters:
            gateway.send(Channel.TELEMETRY, batch(10), correlation=b"first")
            gateway.receipt(b"first")
            influx.kill()
            for number in range(1, 9):
                gateway.send(Channel.TELEMETRY, batch(10, start=number * 10), correlation=b"%d" % number)
            # The window is full and stays so: had one been acknowledged, a sixth would have come.
            eventually(lambda: counters.messages == 5 and counters.retries >= 3)
            assert counters.messages == 5
            assert [gateway.receipts(b"%d" % number) for number in range(1, 9)] == [[]] * 8
            influx.start()
            for number in range(1, 9):
                assert gateway.receipt(b"%d" % number).verdict is Verdict.STORED
            assert stored(settings) == numbers(90)


def test_a_stop_while_influx_is_down_ends_without_an_answer(
    make_settings: MakeSettings, mosquitto: Mosquitto, gateway: GatewayClient
) -> None:
    settings = make_settings(mosquitto.port, f"http://127.0.0.1:{free_port()}")
    with running(run_ingest, settings) as counters:
        gateway.send(Channel.TELEMETRY, batch(1), correlation=b"x")
        eventually(lambda: counters.retries > 0)
    assert gateway.receipts(b"x") == []


def test_a_killed_broker_is_found_again(make_settings: MakeSettings, influx: Influx, tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        settings = make_settings(broker.port, influx.url)
        with running(run_ingest, settings) as counters, GatewayClient(broker.port, fresh("g")) as gateway:
            gateway.send(Channel.TELEMETRY, batch(1), correlation=b"before")
            gateway.receipt(b"before")
            for number in range(2):
                broker.kill()
                broker.start()
                again = batch(1, start=1 + number)
                gateway.send_until_answered(Channel.TELEMETRY, again, correlation=b"after %d" % number)
            eventually(lambda: counters.reconnects == 2)
        assert stored(settings) == numbers(3)


def test_it_starts_with_the_broker_away(make_settings: MakeSettings, influx: Influx, tmp_path: Path) -> None:
    port = free_port()
    with running(run_ingest, make_settings(port, influx.url), wait_ready=False) as counters:
        with Mosquitto(tmp_path / "broker", port=port) as broker, GatewayClient(broker.port, fresh("g")) as gateway:
            # The worker may have come before this client could hear it say so.
            gateway.send_until_answered(Channel.TELEMETRY, batch(1), correlation=b"x")
            assert gateway.receipt(b"x").stored == 1
        assert counters.reconnects == 0


def test_a_citys_births_at_once_are_all_kept_and_what_has_no_room_is_counted(
    make_settings: MakeSettings, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateways = [f"g{number:03}" for number in range(300)]
    with Mosquitto(tmp_path / "broker") as broker:
        settings = make_settings(broker.port, f"http://127.0.0.1:{free_port()}")
        settings = msgspec.structs.replace(settings, mqtt=Mqtt(port=broker.port, window=2))
        for gateway in gateways:
            birth = encode_presence(Birth(gateway, "boot", "1", "三中", T0_US))
            publish.single(topic(gateway, Channel.BIRTH), birth, qos=1, retain=True, port=broker.port)
        with running(run_ingest, settings) as counters:
            eventually(lambda: len(database.run(list_gateways)) == len(gateways))
            assert [row.id for row in database.run(list_gateways)] == gateways
        assert not counters.refused
        monkeypatch.setattr(shell, "_PRESENCE_ROOM", 1)
        with running(run_ingest, settings) as counters:
            eventually(lambda: counters.refused["window-broken"] > 0)


def fill(worker: MqttWorker, payloads: list[bytes], *, channel: Channel, **others: Any) -> None:
    """Let messages arrive as if the broker had sent them."""
    for mid, payload in enumerate(payloads):
        worker._take(Message(topic(f"g{mid}", channel), payload, T0_US, mid=mid, **others))


@pytest.mark.anyio
async def test_waiting_births_are_committed_together_and_one_that_spoils_it_alone_is_refused(
    make_settings: MakeSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, counters = make_settings(1, "http://127.0.0.1:1"), Counters()
    worker = MqttWorker(settings.mqtt, name="t", filters=["t"], counters=Counters(), room=20_000)
    births = [encode_presence(Birth(f"g{number}", "b", "1", "", T0_US)) for number in range(1_000)]
    fill(worker, [*births, b"", b"nonsense"], channel=Channel.BIRTH, retained=True)
    calls = CountedCalls(PersistentDatabase(database, counters=counters))
    seen: set[bool] = set()

    def note(connection: Connection, message: Birth | Death, **others: Any) -> None:
        seen.add(others["retained"])
        if message.gateway == "g7":
            raise DatabaseRefusedError("spoilt")
        note_presence(connection, message, **others)

    def ack(message: Message) -> None:
        if message.mid == len(births) + 1:
            worker.stop_receiving()

    monkeypatch.setattr(presence, "note_presence", note)
    monkeypatch.setattr(worker, "ack", ack)
    await presence.keep_presence(worker, cast("PersistentDatabase", calls), settings, counters)
    worker.close()
    assert len(database.run(list_gateways)) == 999
    assert counters.refused == {"refused-by-database": 1, "not-birth": 1}
    # The first two hundred together, then each of them alone, one as a dead letter; four times 200; the rest.
    assert calls.count == 1 + 200 + 1 + 4 + 1
    assert seen == {True}


class CountedCalls:
    def __init__(self, database: PersistentDatabase) -> None:
        self.count, self._database = 0, database

    async def call(self, work: Callable[[Connection], Any]) -> Any:
        self.count += 1
        return await self._database.call(work)


@pytest.mark.anyio
async def test_others_run_between_messages_and_a_stop_ends_the_round(make_settings: MakeSettings) -> None:
    settings = make_settings(1, "http://127.0.0.1:1")
    worker = MqttWorker(settings.mqtt, name="t", filters=["t"], counters=Counters())
    fill(worker, [batch(1)] * 100, channel=Channel.TELEMETRY)

    async def stop() -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        worker.stop_receiving()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        taken = await shell._gather(worker, settings)
    assert 10 < len(taken) < 30
    with pytest.raises(anyio.EndOfStream):
        await shell._gather(worker, settings)
    worker.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("payload", "properties", "most"),
    [
        (b"x" * MAX_PAYLOAD_BYTES, (), 2),
        (os.urandom(10_000), (("content-encoding", "deflate"),), 2),
        (b"x", (), 100),
    ],
    ids=["large", "packed", "small"],
)
async def test_refused_messages_count_towards_the_batch(
    payload: bytes, properties: tuple[tuple[str, str], ...], most: int, make_settings: MakeSettings
) -> None:
    settings = make_settings(1, "http://127.0.0.1:1")
    worker = MqttWorker(settings.mqtt, name="t", filters=["t"], counters=Counters())
    fill(worker, [payload] * 100, channel=Channel.TELEMETRY, properties=properties)
    taken = await shell._gather(worker, settings)
    assert all(isinstance(entry.content, Refused) for entry in taken)
    assert len(taken) == most
    worker.close()


@pytest.mark.anyio
async def test_a_round_ends_when_reading_took_long(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(1, "http://127.0.0.1:1")
    worker = MqttWorker(settings.mqtt, name="t", filters=["t"], counters=Counters())
    fill(worker, [batch(1)] * 10, channel=Channel.TELEMETRY)
    monkeypatch.setattr(shell, "_READ_LIMIT_S", 0.0)
    assert len(await shell._gather(worker, settings)) == 1
    worker.close()


class AllOrNothing:
    """Takes no request with a bad line in it, and keeps what it took; answers are counted."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.requests = 0

    async def write(self, body: bytes) -> None:
        self.requests += 1
        lines = body.split(b"\n")
        if any(b'="bad' in line for line in lines):
            raise DatabaseRefusedError("bad line")
        self.kept += lines


@pytest.mark.anyio
async def test_nothing_vanishes_when_a_message_has_too_many_bad_lines(
    make_settings: MakeSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, counters, writer = make_settings(1, "http://127.0.0.1:1"), Counters(), AllOrNothing()
    worker = MqttWorker(settings.mqtt, name="t", filters=["t"], counters=counters)
    samples = [
        Sample("d1", T0_US + number, (Point("t", ("bad" if number % 3 else "good") + "x" * 90),))
        for number in range(6_000)
    ]
    content = Batch("g1", tuple(encode_lines(samples, tags={"gateway": "g1"}, received_at_us=T0_US)), (1,) * 6_000)
    receipts: list[bytes] = []

    def publish_receipt(_topic: str, payload: bytes, *, correlation: bytes | None) -> bool:
        assert correlation is None
        receipts.append(payload)
        return False

    monkeypatch.setattr(worker, "publish", publish_receipt)
    storing = Storing(
        worker,
        cast("PersistentWriter", writer),
        PersistentDatabase(database, counters=counters),
        counters=counters,
        dead_letter_limit=1_000,
        observation_limit=1_000,
    )
    await storing.store([Taken(Message(topic("g1", Channel.TELEMETRY), b"", T0_US), content)])
    worker.close()
    letters = rows_of(database, dead_letter)
    dead = [line for letter in letters for line in letter["payload"].split(b"\n")]
    assert sorted(writer.kept + dead) == sorted(content.lines)
    assert all(letter["payload_size"] == len(letter["payload"]) <= 65_536 for letter in letters)
    assert (len(letters) < 100, writer.requests < 400) == (True, True)
    receipt = decode_receipt(receipts[0])
    assert (receipt.stored, receipt.refused) == (len(writer.kept), len(dead))
    assert (counters.stored, counters.refused) == (len(writer.kept), {"refused-by-database": len(dead)})
    assert counters.receipts_lost == 1
