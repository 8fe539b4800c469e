import logging
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from paho.mqtt.enums import MQTTErrorCode

from cloud.counters import Counters
from cloud.errors import BrokerCredentialsError
from cloud.mqtt_worker import Message, MqttWorker
from cloud.settings import Mqtt
from langyan.servers import Mosquitto, find_program, free_port, wait_until
from tests.cloud.rig import LIMIT_S

pytestmark = pytest.mark.anyio
WINDOW = 3
READY = ("ready", b"{}", None)


class Recording(MqttWorker):
    """Notes acknowledgements and publications instead of sending them."""

    def __init__(self, counters: Counters) -> None:
        super().__init__(Mqtt(window=WINDOW), name="t", filters=["t"], counters=counters, greeting=("ready", b"{}"))
        self.done: list[object] = []

    def ack(self, message: Message) -> None:
        self.done.append(message.mid)

    def publish(self, topic: str, payload: bytes, *, correlation: bytes | None = None) -> bool:
        self.done.append((topic, payload, correlation))
        return True


async def said(condition: Callable[[], bool]) -> None:
    """Wait for what only a log tells, without holding up the loop."""
    assert await anyio.to_thread.run_sync(wait_until, condition, LIMIT_S)


def message(mid: int, *, qos: int = 1, generation: int = 0) -> Message:
    return Message(topic="t", payload=b"", received_at_us=0, mid=mid, qos=qos, generation=generation)


async def test_what_the_broker_sends_beyond_the_window_is_dropped_counted_and_asked_for_again() -> None:
    counters = Counters()
    worker = Recording(counters)
    for mid in range(4 * WINDOW + 2):
        worker._take(message(mid))
    assert counters.refused == {"window-broken": 2}
    assert worker.done == [12, 13]
    for mid in range(4 * WINDOW):
        assert READY not in worker.done
        assert (await worker.receive()).mid == mid
    assert worker.done == [12, 13, READY]
    worker.close()


async def test_qos_0_never_takes_the_room_of_qos_1() -> None:
    counters = Counters()
    worker = Recording(counters)
    for mid in range(10):
        worker._take(message(mid, qos=0))
    assert counters.refused == {"qos0-overflow": 10 - WINDOW}
    assert counters.messages == WINDOW
    worker.close()


async def test_messages_of_an_older_connection_are_not_taken() -> None:
    worker = Recording(Counters())
    worker._take(message(1, generation=-1))
    assert worker.receive_nowait() is None
    worker.close()


async def test_an_acknowledgement_goes_only_to_the_connection_that_asks_for_it(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    acked: list[int] = []

    def note(mid: int, _qos: int) -> MQTTErrorCode:
        acked.append(mid)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    worker = MqttWorker(Mqtt(port=mosquitto.port), name="t", filters=["t/+"], counters=Counters())
    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            worker.ack(message(1, generation=1))
            tasks.start_soon(worker.run)
            await worker.ready.wait()
            assert worker._current is not None
            monkeypatch.setattr(worker._current.client, "ack", note)
            now = worker._current.generation
            for generation in (now - 1, now, now + 1):
                worker.ack(message(generation, generation=generation))
            worker.ack(message(9, generation=now, qos=0))
            assert acked == [now]
            tasks.cancel_scope.cancel()
    assert not worker.publish("t", b"")
    worker.close()


class Locked(Mosquitto):
    """Asks for a password that nobody knows."""

    def argv(self) -> list[str]:
        words = super().argv()
        conf = self.folder / "mosquitto.conf"
        conf.write_text(conf.read_text().replace("allow_anonymous true", "allow_anonymous false"))
        assert words[0] == find_program("mosquitto", "mosquitto")
        return words


async def test_refused_credentials_wait_long_at_once_and_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Locked(tmp_path / "broker") as broker:
        worker = MqttWorker(Mqtt(port=broker.port), name="t", filters=["t"], counters=Counters())
        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(worker.run)
                await said(lambda: "Not authorized" in caplog.text)
                tasks.cancel_scope.cancel()
        assert BrokerCredentialsError.hint in caplog.text
        assert not worker.ready.is_set()
        worker.close()


async def test_a_closed_port_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="cloud.mqtt_worker")
    worker = MqttWorker(Mqtt(port=free_port()), name="t", filters=["t"], counters=Counters())
    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            await said(lambda: len(caplog.records) >= 3)
            tasks.cancel_scope.cancel()
    levels = [record.levelno for record in caplog.records]
    assert (levels[0], set(levels[1:])) == (logging.WARNING, {logging.DEBUG})
    worker.close()
