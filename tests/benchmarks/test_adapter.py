"""The adapter for the peers' harness, without the harness: the files it writes, what it decodes, what it answers."""

import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.peers.langyan_adapter import Adapter
from benchmarks.receiver import answer_to
from benchmarks.sites import GATEWAY, INPUTS, REGISTERS
from contract.alarms import AlarmEvent, Severity, Transition, encode_alarm
from contract.receipts import Verdict, decode_receipt
from contract.telemetry import Point, Sample, encode_telemetry
from contract.topics import Channel, topic
from device_profiles.site import RtuBus, TcpBus
from device_profiles.site_loader import load_site

AT_US = 1_767_225_600_000_000


def device(name: str, unit: int, **changes: Any) -> dict[str, Any]:
    tcp = {"transport": "tcp", "host": "127.0.0.1", "port": 15020}
    common = {"name": name, "unit": unit, "poll_ms": 100, "hr": 20, "di": 8, "timeout_s": 1, "retries": 0}
    return {**tcp, **common, **changes}


def message(channel: Channel, payload: bytes, correlation: bytes | None = b"a:1") -> mqtt.MQTTMessage:
    made = mqtt.MQTTMessage(topic=topic(GATEWAY, channel).encode())
    made.payload = payload
    made.properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if correlation is not None:
        made.properties.CorrelationData = correlation
    return made


def press(transition: Transition, *, rule: str = "press") -> bytes:
    event = AlarmEvent(GATEWAY, "dev1", "b3", rule, transition, AT_US, AT_US, "panic", Severity.CRITICAL)
    return encode_alarm(event)


def test_the_site_it_writes_is_in_order(tmp_path: Path) -> None:
    adapter = Adapter(str(tmp_path / "work"))
    serial = {"transport": "rtu", "tty": "/dev/ttyBENCH", "baud": 9600, "di": 0, "poll_ms": 400, "timeout_s": 0.5}
    adapter.write_config([device("dev1", 1), device("dev2", 2), device("dev3", 3, **serial)], 18831)
    site = load_site(tmp_path / "work" / "site.toml", profiles=tmp_path / "work" / "profiles")
    assert site.file.uplink.port == 18831
    assert [type(bus) for bus in site.file.bus] == [TcpBus, RtuBus]
    (one, two), (three,) = site.devices.values()
    assert {point.key for point in one.profile.point} == {*REGISTERS, *INPUTS}
    assert {point.every_s for point in two.profile.point} == {0.1}
    assert {point.key for point in three.profile.point} == set(REGISTERS)
    assert three.profile.link.timeout_s == 0.5
    assert one.profile.rule[0].alarm == "panic"
    argv, _, _ = adapter.command()
    assert str(site.path) in argv


def test_a_site_that_is_not_fresh_keeps_its_outbox(tmp_path: Path) -> None:
    adapter = Adapter(str(tmp_path / "work"))
    adapter.write_config([device("dev1", 1)], 1883)
    outbox = tmp_path / "work" / "outbox.db"
    outbox.touch()
    adapter.write_config([device("dev1", 1)], 1883, fresh=False)
    assert outbox.exists()
    adapter.write_config([device("dev1", 1)], 1883)
    assert not outbox.exists()


@pytest.mark.parametrize(
    ("bits", "values"), [(1, [{"r0": 7.0, "r1": 7.0}, {"di": [False, True]}]), (0, [{"r0": 7.0, "r1": 7.0}])]
)
def test_telemetry_comes_out_as_registers_and_one_value_of_the_inputs(bits: int, values: list[Any]) -> None:
    samples = [
        Sample("dev1", AT_US, (Point("r0", 7.0, "count"), Point("r1", 7.0, "count"))),
        Sample("dev1", AT_US + 1, (Point("b0", value=False), Point("b1", value=True))),
        Sample("gateway", AT_US, (Point("uplink.connects", 1.0, "count"),)),
    ]
    came = message(Channel.TELEMETRY, encode_telemetry(samples))
    found = list(Adapter("unused", bits=bits).decode(came.topic, came))
    assert found == [("dev1", AT_US // 1000, one) for one in values]
    assert all(Adapter.alarm(one, 1) is None for _, _, one in found)


@pytest.mark.parametrize(("transition", "state"), [(Transition.RAISED, True), (Transition.CLEARED, False)])
def test_an_alarm_event_is_the_state_of_its_input(transition: Transition, *, state: bool) -> None:
    came = message(Channel.ALARM, press(transition))
    ((name, _, values),) = Adapter("unused").decode(came.topic, came)
    assert (name, Adapter.alarm(values, 3), Adapter.alarm(values, 2)) == ("dev1", state, None)


def test_other_rules_are_no_flip() -> None:
    came = message(Channel.ALARM, press(Transition.RAISED, rule="verified"))
    assert list(Adapter("unused").decode(came.topic, came)) == []


def test_a_receipt_answers_what_asks_for_one() -> None:
    before = time.time_ns() // 1000
    ((where, payload, properties),) = Adapter.respond(message(Channel.ALARM, press(Transition.RAISED), b"box:17"))
    assert where == topic(GATEWAY, Channel.RECEIPT)
    assert getattr(properties, "CorrelationData", None) == b"box:17"
    receipt = decode_receipt(payload)
    assert receipt.verdict is Verdict.STORED
    assert receipt.at_us >= before


@pytest.mark.parametrize(("channel", "correlation"), [(Channel.BIRTH, None), (Channel.RECEIPT, b"a:1")])
def test_nothing_answers_what_does_not_ask(channel: Channel, correlation: bytes | None) -> None:
    assert answer_to(message(channel, b"{}", correlation)) is None
