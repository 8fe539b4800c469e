"""The uplink against a real broker: receipts, hostile and otherwise, workers that come, a cloud that stays silent."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import anyio
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from contract.presence import Birth, Death, decode_presence
from contract.receipts import Receipt, Verdict, encode_receipt
from contract.telemetry import ClockMark, ClockSource, Lane, Point, Sample, decode_telemetry, header_from_properties
from contract.topics import CLOUD_READY, Channel, topic
from device_profiles.site import Uplink
from edge.broker import Link
from edge.errors import StoreFullError
from edge.health import StoreHealth, UplinkHealth
from edge.outbox import Batch, Ref
from edge.store import Store
from edge.uplink import UplinkSender
from langyan.servers import Mosquitto
from tests.edge.outbox_rig import NOON, SECOND, Machine, alarm, open_outbox

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
    def __init__(
        self, cloud: Cloud, store: Store, sender: UplinkSender, health: UplinkHealth, machine: Machine
    ) -> None:
        self.cloud, self.store, self.sender, self.health, self.machine = cloud, store, sender, health, machine
        self.receipts: list[tuple[Batch, Receipt]] = []

    async def put(self, word: str = "x") -> None:
        self.machine.run_for(0.001)
        await self.store.put_telemetry([Sample("d", self.machine.steady_us, (Point("s", word),))])

    async def put_alarm(self, number: int = 1) -> None:
        await self.store.put_alarms([alarm(self.machine.steady_us + number)])

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - the counters ring no bell
            await anyio.sleep(0.01)


@asynccontextmanager
async def _open(broker: Mosquitto, folder: Path, machine: Machine, **settings: float) -> AsyncIterator[Scene]:
    gateway = folder.name.replace("_", "-")[:40]
    uplink = Uplink(port=broker.port, **settings)  # type: ignore[arg-type]
    health = UplinkHealth()
    with open_outbox(folder, machine) as outbox:
        store = Store(outbox, health=StoreHealth())
        birth = Birth(gateway, "boot", "0", "site", 10**15)
        receipts: list[tuple[Batch, Receipt]] = []
        sender = UplinkSender(
            Link(uplink, None, gateway), store, birth=birth, health=health,
            on_receipt=lambda batch, receipt: receipts.append((batch, receipt)),
        )  # fmt: skip
        async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe(f"langyan/v1/{gateway}/up/#", qos=1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sender.run)
                scene = Scene(Cloud(client, gateway), store, sender, health, machine)
                scene.receipts = receipts
                yield scene
                tasks.cancel_scope.cancel()


def play(
    broker: Mosquitto,
    folder: Path,
    story: Callable[[Scene], Awaitable[None]],
    *,
    machine: Machine | None = None,
    **settings: float,
) -> None:
    async def main() -> None:
        with anyio.fail_after(LIMIT_S):
            async with _open(broker, folder, machine or Machine(), **settings) as scene:
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
        await scene.put("a word")
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


def test_a_birth_that_waited_for_the_cloud_is_answered_and_tells_no_time(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        birth = await anext(aiter(scene.cloud.client.messages))
        await scene.put()
        await scene.cloud.batch()
        await scene.cloud.client.publish(CLOUD_READY, b'{"worker":"ingest"}', qos=1)
        again = await scene.cloud.batch()
        await scene.cloud.answer(correlation_of(birth), encode_receipt(Receipt(Verdict.STORED, NOON)))
        await scene.cloud.receipt(again)
        await scene.until(scene.store.is_empty)
        assert scene.health.connects == 1

    play(broker, tmp_path, story)


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
            scene.store.stores()[0].encode() + b":" + mine.split(b":")[1],
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

        async def settle_on_a_full_disk(refs: list[Ref]) -> None:
            if failures:
                failures.pop()
                raise StoreFullError("database or disk is full")
            await settle(refs)

        monkeypatch.setattr(scene.store, "settle", settle_on_a_full_disk)
        await scene.put()
        await scene.cloud.receipt(await scene.cloud.batch())
        await scene.until(scene.store.is_empty)
        assert not failures

    play(broker, tmp_path, story)


def test_an_alarm_does_not_wait_for_what_is_sent_again(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.until(lambda: scene.health.is_up)
        for _ in range(8):
            await scene.put("x" * 900)
        for _ in range(8):
            await scene.cloud.batch()
        await scene.put_alarm()
        await scene.cloud.batch()
        await scene.cloud.client.publish(CLOUD_READY, b"{}", qos=1)
        again = [(await scene.cloud.batch()).topic.value.rsplit("/", 1)[1] for _ in range(9)]
        # Each lane has a task of its own, so some batches may be quicker; by turns it would be the last.
        assert again.index("alarm") < 8

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


def clock_of(message: aiomqtt.Message, gateway: str) -> ClockMark | None:
    return header_from_properties(getattr(message.properties, "UserProperty", ()), gateway=gateway).clock


def test_a_gateway_without_a_clock_learns_the_time_from_the_receipt_of_its_birth(
    broker: Mosquitto, tmp_path: Path
) -> None:
    machine = Machine(wall_us=0, kernel_error_us=None)

    async def story(scene: Scene) -> None:
        await scene.put()
        birth = await anext(aiter(scene.cloud.client.messages))
        asked = correlation_of(birth)
        assert getattr(birth.properties, "ResponseTopic", "") == topic(scene.cloud.gateway, Channel.RECEIPT)
        await scene.cloud.answer(b"time:another", encode_receipt(Receipt(Verdict.STORED, NOON - SECOND)))
        await scene.cloud.answer(asked, encode_receipt(Receipt(Verdict.STORED, NOON)))
        batch = await scene.cloud.batch()
        (sample,) = decode_telemetry(batch.payload)
        assert abs(sample.at_us - NOON) < 5 * SECOND
        clock = clock_of(batch, scene.cloud.gateway)
        assert clock is not None
        assert (clock.source, clock.error_ms > 0) == (ClockSource.CLOUD, True)

    play(broker, tmp_path, story, machine=machine)


def test_an_alarm_does_not_wait_for_the_time_for_ever_and_says_that_it_was_estimated(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async def story(scene: Scene) -> None:
        await scene.put_alarm()
        first = await scene.cloud.batch()
        assert first.topic.value.endswith("up/alarm")
        assert clock_of(first, scene.cloud.gateway) == ClockMark(ClockSource.ESTIMATED)

    play(broker, tmp_path, story, machine=Machine(kernel_error_us=None))


def test_whoever_waits_for_an_alarm_to_be_stored_is_told(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        at_us = scene.machine.steady_us + 1
        await scene.put_alarm()
        await scene.cloud.receipt(await scene.cloud.batch())
        await scene.until(lambda: bool(scene.receipts))
        ((batch, receipt),) = scene.receipts
        assert (batch.source, batch.at_us, receipt.verdict) == ("g/d/b1/panic", at_us, Verdict.STORED)

    play(broker, tmp_path, story)


def test_a_backlog_on_a_metered_line_keeps_its_pace_and_new_readings_do_not_wait_for_it(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async def story(scene: Scene) -> None:
        first = await scene.cloud.batch()
        await scene.until(lambda: scene.health.is_up)
        await scene.put("new")
        lanes = [header_from_properties(_properties(first), gateway=scene.cloud.gateway).lane]
        while Lane.LIVE not in lanes:
            message = await scene.cloud.batch()
            lanes.append(header_from_properties(_properties(message), gateway=scene.cloud.gateway).lane)
        # One reading a minute: the second of the backlog comes long after the test.
        assert lanes == [Lane.BACKFILL, Lane.LIVE]

    machine = Machine()
    with open_outbox(tmp_path, machine) as outbox:
        for number in range(5):
            outbox.put_telemetry([Sample("d", machine.steady_us - 10 + number, (Point("s", "old"),))])
    play(broker, tmp_path, story, machine=machine, backfill_readings_s=1 / 60, resend_s=600.0)


def _properties(message: aiomqtt.Message) -> list[tuple[str, str]]:
    return list(getattr(message.properties, "UserProperty", ()))
