import logging
import zlib
from typing import Any

import anyio
import pytest
from paho.mqtt.client import MQTTMessage

from cloud.answers import Refused, answer
from cloud.counters import Counters, log_counters
from cloud.desk.shell import interpret_alarm
from cloud.ingest import Batch, interpret
from cloud.ingest.presence import interpret_presence
from cloud.mqtt_worker import Message, MqttWorker, _plain
from cloud.settings import Mqtt, Registered
from contract.alarms import encode_alarm
from contract.errors import Refusal
from contract.limits import MAX_BIRTH_BYTES, MAX_PAYLOAD_BYTES
from contract.presence import Birth, Death, Device, encode_presence
from contract.telemetry import Point, Sample, encode_telemetry
from tests.cloud.rig import T0_US
from tests.cloud.test_desk_events import event

SAMPLES = [
    Sample("d1", T0_US, (Point("t", 21.5, "Cel"), Point("on", True))),
    Sample("d2", T0_US + 1, (Point("s", "open"),)),
]
PACK = encode_telemetry(SAMPLES)


def message(payload: bytes, *, topic: str = "langyan/v1/g1/up/telemetry", **others: Any) -> Message:
    return Message(topic=topic, payload=payload, received_at_us=7, **others)


def test_samples_become_lines_with_their_gateway_and_site() -> None:
    batch = interpret(message(PACK), registry={"g1": Registered(site="三中")})
    assert batch == Batch(
        "g1",
        (
            f"telemetry,device=d1,gateway=g1,site=三中 t=21.5,on=true,received_at=7i {T0_US}".encode(),
            f'telemetry,device=d2,gateway=g1,site=三中 s="open",received_at=7i {T0_US + 1}'.encode(),
        ),
        (2, 1),
        at_us=(T0_US, T0_US + 1),
    )


def test_without_a_registry_any_gateway_is_taken_and_no_site_is_known() -> None:
    batch = interpret(message(PACK))
    assert isinstance(batch, Batch)
    assert b"site" not in batch.lines[0]


def test_a_deflated_batch_is_unpacked() -> None:
    packed = message(zlib.compress(PACK), properties=(("content-encoding", "deflate"), ("gateway", "g1")))
    assert interpret(packed) == interpret(message(PACK))


@pytest.mark.parametrize(
    ("bad", "refusal"),
    [
        (message(b"x" * (MAX_PAYLOAD_BYTES + 1)), Refusal.TOO_LARGE),
        (message(b"no zlib", properties=(("content-encoding", "deflate"),)), Refusal.BAD_ENCODING),
        (message(zlib.compress(bytes(5_000_000)), properties=(("content-encoding", "deflate"),)), Refusal.TOO_LARGE),
        (message(PACK, properties=(("content-encoding", "br"),)), Refusal.BAD_HEADER),
        (message(PACK, properties=(("gateway", "g2"),)), Refusal.WRONG_GATEWAY),
        (message(PACK, topic="langyan/v1/g2/up/telemetry"), Refusal.UNKNOWN_GATEWAY),
        (message(PACK, topic="langyan/v1/a b/up/telemetry"), Refusal.BAD_TOPIC),
        (message(PACK, topic="langyan/v1/g1/up/alarm"), Refusal.BAD_TOPIC),
        (message(PACK, correlation=b"x" * 65), Refusal.BAD_HEADER),
        (message(b""), Refusal.NOT_SENML),
        (message(b"\xff\xfe"), Refusal.NOT_SENML),
        (message(b"[" * 100_000), Refusal.NOT_SENML),
        (message(b'[{"n":"d/t","bt":1.7e9,"v":1e308,"bv":1e308}]'), Refusal.NOT_SENML),
        (message(b'[{"n":"d/t","bt":1.7e9,"vs":"\\ud800"}]'), Refusal.NOT_SENML),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(bad: Message, refusal: Refusal) -> None:
    result = interpret(bad, registry={"g1": Registered()})
    assert isinstance(result, Refused)
    assert (result.refusal, bool(result.why)) == (refusal, True)


def test_an_alarm_is_read_and_another_gateways_refused() -> None:
    topic = "langyan/v1/g1/up/alarm"
    assert interpret_alarm(message(encode_alarm(event(0)), topic=topic)) == event(0)
    elsewhere = interpret_alarm(message(encode_alarm(event(0)), topic="langyan/v1/g2/up/alarm"))
    assert isinstance(elsewhere, Refused)
    assert (elsewhere.refusal, elsewhere.gateway) == (Refusal.WRONG_GATEWAY, "g2")
    assert isinstance(interpret_alarm(message(b"{}", topic=topic)), Refused)


def test_births_and_deaths_are_read() -> None:
    topic = "langyan/v1/g1/up/birth"
    for presence in (Birth("g1", "b", "1", "三中", T0_US), Death("g1", "b", "lost")):
        assert interpret_presence(message(encode_presence(presence), topic=topic)) == presence
    assert isinstance(interpret_presence(message(b"{}", topic=topic)), Refused)


def test_a_birth_may_be_larger_than_a_batch_but_is_never_packed() -> None:
    topic = "langyan/v1/g1/up/birth"
    devices = tuple(Device(f"d{number}", "p", "1", "三" * 100) for number in range(1_500))
    birth = Birth("g1", "b", "1", "三中", T0_US, devices)
    payload = encode_presence(birth)
    assert MAX_PAYLOAD_BYTES < len(payload) < MAX_BIRTH_BYTES
    assert interpret_presence(message(payload, topic=topic)) == birth
    beyond = interpret_presence(message(payload.ljust(MAX_BIRTH_BYTES + 1), topic=topic))
    assert isinstance(beyond, Refused)
    assert beyond.refusal is Refusal.TOO_LARGE
    packed = message(zlib.compress(payload), topic=topic, properties=(("content-encoding", "deflate"),))
    refused = interpret_presence(packed)
    assert isinstance(refused, Refused)
    assert refused.refusal is Refusal.BAD_ENCODING


@pytest.mark.anyio
async def test_receipts_have_room_on_the_way_and_the_lost_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters()
    worker = MqttWorker(Mqtt(), name="t", filters=["t"], counters=counters)
    assert worker._make_client().max_inflight_messages == 1_000
    # Not connected, so the receipt is lost.
    answer(worker, Message("t", b"", T0_US), gateway="g1", stored=1)
    worker.close()
    monkeypatch.setattr("cloud.counters.LOG_EVERY_S", 0.01)
    caplog.set_level(logging.INFO)
    with anyio.move_on_after(0.1):
        await log_counters(logging.getLogger("cloud.counters"), counters)
    assert "receipts lost 1" in caplog.text


def test_a_message_tells_whether_the_broker_had_kept_it() -> None:
    for retained in (False, True):
        arrived = MQTTMessage(1, b"t")
        arrived.retain = retained
        assert _plain(arrived, 1).retained is retained
