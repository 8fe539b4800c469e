"""The uplink against a real broker: receipts, hostile and otherwise, workers that come, a cloud that stays silent."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import anyio
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from contract.alarms import AlarmEvent, Severity, Transition
from contract.compression import ContentEncoding
from contract.presence import Birth, Death, decode_presence
from contract.receipts import Receipt, Verdict, encode_receipt
from contract.topics import CLOUD_READY, Channel, topic
from device_profiles.site import Uplink
from edge.broker import Link
from edge.errors import StoreFullError
from edge.health import StoreHealth, UplinkHealth
from edge.outbox import Outbox
from edge.store import Store
from edge.uplink import UplinkSender
from langyan.servers import Mosquitto

LIMIT_S = 30.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


class Cloud:
    """A client that takes what the gateway sends, and answers as a test likes."""

    def __init__(self, client: aiomqtt.Client, gateway: str) -> None:
        self.client = client
        self.gateway = gateway

    async def batch(self) -> aiomqtt.Message:
        """The next batch of any lane."""
        async for message in self.client.messages:
            if not message.topic.matches(topic(self.gateway, Channel.BIRTH)):
                return message
        raise AssertionError

    async def presence(self) -> Birth | Death:
        async for message in self.client.messages:
            if message.topic.matches(topic(self.gateway, Channel.BIRTH)):
                return decode_presence(message.payload, gateway=self.gateway)
        raise AssertionError

    async def answer(self, correlation: bytes, payload: bytes) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.CorrelationData = correlation
        await self.client.publish(topic(self.gateway, Channel.RECEIPT), payload, qos=1, properties=properties)

    async def receipt(self, batch: aiomqtt.Message, verdict: Verdict = Verdict.STORED) -> None:
        await self.answer(correlation_of(batch), encode_receipt(Receipt(verdict, 10**15, stored=1)))


def correlation_of(message: aiomqtt.Message) -> bytes:
    value = getattr(message.properties, "CorrelationData", b"")
    assert isinstance(value, bytes)
    return value


class Scene:
    def __init__(self, cloud: Cloud, store: Store, sender: UplinkSender, health: UplinkHealth) -> None:
        self.cloud, self.store, self.sender, self.health = cloud, store, sender, health

    async def put(self, payload: bytes = b"[]") -> None:
        await self.store.put_telemetry(payload, ContentEncoding.IDENTITY, readings=1)

    async def put_alarm(self, number: int = 1) -> None:
        at_us = 10**15 + number
        event = AlarmEvent("g", "d", "b", "panic", Transition.RAISED, at_us, at_us, "panic", Severity.CRITICAL)
        await self.store.put_alarms([event])

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - the counters ring no bell
            await anyio.sleep(0.01)


@asynccontextmanager
async def _open(broker: Mosquitto, folder: Path, **settings: float) -> AsyncIterator[Scene]:
    gateway = folder.name.replace("_", "-")[:40]
    uplink = Uplink(port=broker.port, **settings)  # type: ignore[arg-type]
    health = UplinkHealth()
    with Outbox(folder / "outbox.db", max_bytes=10**6, alarm_bytes=10**6) as outbox:
        store = Store(outbox, boot="boot", health=StoreHealth())
        birth = Birth(gateway, "boot", "0", "site", 10**15)
        sender = UplinkSender(Link(uplink, None, gateway), store, birth=birth, health=health)
        async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe(f"langyan/v1/{gateway}/up/#", qos=1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sender.run)
                yield Scene(Cloud(client, gateway), store, sender, health)
                tasks.cancel_scope.cancel()


def play(broker: Mosquitto, folder: Path, story: Callable[[Scene], Awaitable[None]], **settings: float) -> None:
    async def main() -> None:
        with anyio.fail_after(LIMIT_S):
            async with _open(broker, folder, **settings) as scene:
                await story(scene)

    anyio.run(main)


def test_a_batch_is_forgotten_on_its_receipt_and_not_before(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.put()
        batch = await scene.cloud.batch()
        assert not scene.store.is_empty()
        await scene.cloud.receipt(batch)
        await scene.until(scene.store.is_empty)

    play(broker, tmp_path, story)


def test_a_refused_batch_is_forgotten_too_and_counted(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.put()
        await scene.cloud.receipt(await scene.cloud.batch(), Verdict.REFUSED)
        await scene.until(scene.store.is_empty)
        assert scene.health.refused == 1

    play(broker, tmp_path, story)


def test_silence_makes_it_send_again_the_same(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.put(b'[{"n":"a/b"}]')
        first, second = await scene.cloud.batch(), await scene.cloud.batch()
        assert (first.payload, correlation_of(first)) == (second.payload, correlation_of(second))
        assert scene.health.sent_again >= 1

    play(broker, tmp_path, story, resend_s=0.1)


def test_a_worker_that_is_ready_makes_its_own_lane_go_again_at_once(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.put()
        await scene.put_alarm()
        sent = {(await scene.cloud.batch()).topic.value.rsplit("/", 1)[1] for _ in range(2)}
        assert sent == {"telemetry", "alarm"}
        for worker, lane in (("desk", "alarm"), ("ingest", "telemetry")):
            await scene.cloud.client.publish(CLOUD_READY, f'{{"worker":"{worker}"}}', qos=1)
            assert (await scene.cloud.batch()).topic.value.endswith(lane)

    # So patient that only the worker's word can make them go again within the test.
    play(broker, tmp_path, story, resend_s=600.0, alarm_resend_s=60.0)


def test_an_alarm_overtakes_what_waits_for_room(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        for _ in range(30):
            await scene.put()
        await scene.cloud.batch()
        await scene.put_alarm()
        overtaken = 0
        while not (await scene.cloud.batch()).topic.value.endswith("up/alarm"):
            overtaken += 1
        # No receipt has come: at most a window of live and half a window of backfill can be before it.
        assert overtaken < 4 + 2

    play(broker, tmp_path, story, window=4, resend_s=600.0)


HOSTILE = [
    b"",
    b"\xff" * 100,
    b"null",
    b"[]",
    b'{"verdict":"stored"}',
    b'{"verdict":"eaten","at_us":1}',
    b"[" * 100_000,
]


def test_hostile_receipts_change_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.put()
        batch = await scene.cloud.batch()
        mine = correlation_of(batch)
        good = encode_receipt(Receipt(Verdict.STORED, 10**15))
        for payload in HOSTILE:
            await scene.cloud.answer(mine, payload)
        store = mine.split(b":")[0]
        for other in (
            store + b":" + b"9" * 19,
            store + b":" + b"9" * 5000,
            store + b":\xd9\xa1",
            b"",
            b"x",
            b"\xff:1",
            mine + b"0",
            b"otherstore:1",
            mine.split(b":")[0] + b":-1",
            b":" * 60,
        ):
            await scene.cloud.answer(other, good)
        for payload in (b"", b"\xff", b'{"worker":[]}', b'{"worker":{}}', b"[" * 100_000):
            await scene.cloud.client.publish(CLOUD_READY, payload, qos=1)
        await scene.put()
        await scene.until(lambda: scene.health.sent >= 2)
        assert not scene.store.is_empty()
        await scene.cloud.answer(mine, good)
        await scene.until(lambda: scene.store.waiting_batches() == 1)

    play(broker, tmp_path, story, resend_s=600.0)


def test_receipts_outlast_a_disk_that_is_full_for_a_while(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(scene: Scene) -> None:
        settle, failures = scene.store.settle, [1, 2]

        async def settle_on_a_full_disk(numbers: list[int]) -> None:
            if failures:
                failures.pop()
                raise StoreFullError("database or disk is full")
            await settle(numbers)

        monkeypatch.setattr(scene.store, "settle", settle_on_a_full_disk)
        await scene.put()
        await scene.cloud.receipt(await scene.cloud.batch())
        await scene.until(scene.store.is_empty)
        assert not failures

    play(broker, tmp_path, story)


def test_alarms_go_before_what_is_sent_again(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        for _ in range(8):
            await scene.put(b"x" * 3000)
        await scene.until(lambda: scene.health.sent >= 8)
        for _ in range(8):
            await scene.cloud.batch()
        await scene.put_alarm()
        await scene.cloud.batch()
        await scene.cloud.client.publish(CLOUD_READY, b"{}", qos=1)
        first = await scene.cloud.batch()
        assert first.topic.value.endswith("up/alarm")

    play(broker, tmp_path, story, resend_s=600.0, alarm_resend_s=60.0)


def test_a_drain_ends_when_nothing_waits_and_says_good_bye(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        assert isinstance(await scene.cloud.presence(), Birth)
        await scene.put()
        batch = await scene.cloud.batch()
        scene.sender.drain(LIMIT_S)
        await scene.cloud.receipt(batch)
        assert await scene.cloud.presence() == Death(scene.cloud.gateway, "boot", "stopped")
        assert scene.store.is_empty()

    play(broker, tmp_path, story)


def test_a_drain_that_runs_out_of_time_says_good_bye_too(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        assert isinstance(await scene.cloud.presence(), Birth)
        await scene.put()
        await scene.cloud.batch()
        scene.sender.drain(0.1)
        assert await scene.cloud.presence() == Death(scene.cloud.gateway, "boot", "stopped")
        assert not scene.store.is_empty()

    play(broker, tmp_path, story)
