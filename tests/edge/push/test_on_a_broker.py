"""Devices of the catalogue on a real broker; another program publishes what real ones have said."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from anyio.to_thread import run_sync

from contract.alarms import Transition
from device_profiles.catalogue import load_profile
from device_profiles.model import Language
from device_profiles.site import Device, MqttBus, PlacedDevice
from device_profiles.speech.making import make_speech
from device_profiles.speech.mqtt_json import MqttJsonSpeech
from device_profiles.speech.said import Speaker
from edge.push.bus import PushBus
from edge.push.published import PublishedBus
from langyan.servers import Mosquitto, find_program
from tests.edge.push.rig import Scene, kept_events, kept_samples, play

DEVICES = {
    "sos": ("tuya/ts0601-sos", "zigbee2mqtt/0xa4c13899607febd1"),
    "smoke": ("heiman/hs1sa", "zigbee2mqtt/0x005043c95333194d"),
    "climate": ("tasmota/am2301", "tele/TH16"),
}
PRESS = '{"action":"emergency","battery":100,"last_seen":"2026-04-17T23:33:22+08:00","linkquality":18}'
NO_PRESS = '{"action":null,"battery":100,"last_seen":"2026-04-17T23:33:20+08:00","linkquality":0}'
CLIMATE = '{"Time":"2018-03-02T18:25:03","AM2301":{"Temperature":22.6,"Humidity":32.4},"TempUnit":"C"}'


def placed() -> list[PlacedDevice]:
    return [
        PlacedDevice(Device(name, "line", profile, address=address), load_profile(profile), 1)
        for name, (profile, address) in DEVICES.items()
    ]


def speech() -> MqttJsonSpeech:
    speakers = [Speaker(device=name, address=address) for name, (_, address) in DEVICES.items()]
    profiles = {name: load_profile(profile) for name, (profile, _) in DEVICES.items()}
    made = make_speech(Language.MQTT_JSON, speakers, profiles)
    assert isinstance(made, MqttJsonSpeech)
    return made


def on_broker(port: int) -> Callable[[Scene], PushBus]:
    bus = MqttBus(id="line", port=port)
    return lambda scene: PublishedBus(
        bus, "line", password=None, gateway="g", topics=speech().topics(), **scene.parts(speech)
    )


def publish(port: int, topic: str, payload: str, *, retain: bool = False) -> None:
    words = ["-p", str(port), "-q", "1", "-t", topic, "-m", payload, *(["-r"] if retain else [])]
    program = find_program("mosquitto_pub", "mosquitto-clients")
    subprocess.run([program, *words], check=True, timeout=20)


def test_a_press_is_an_alarm_and_what_the_broker_kept_is_not(tmp_path: Path) -> None:
    sos, smoke, climate = (address for _, address in DEVICES.values())

    async def story(scene: Scene) -> None:
        async def say(topic: str, payload: str) -> None:
            await run_sync(publish, broker.port, topic, payload)

        await scene.until(lambda: scene.push.heard == 1)  # that the smoke detector is away, kept by the broker
        await say(sos, NO_PRESS)
        await say(sos, PRESS)
        await say(smoke, '{"smoke":true,"linkquality":134}')
        await say(f"{climate}/SENSOR", CLIMATE)
        await say(f"{climate}/STATE", '{"POWER":"OFF"}')
        await say(f"{smoke}/availability", '{"state":"online"}')
        await say(f"{climate}/SENSOR", "{")
        await scene.until(lambda: scene.push.refused == 1)
        assert (scene.push.heard, scene.push.strangers) == (6, 0)

    with Mosquitto(tmp_path / "broker") as broker:
        publish(broker.port, sos, PRESS, retain=True)
        publish(broker.port, smoke, '{"smoke":true}', retain=True)
        publish(broker.port, f"{smoke}/availability", "offline", retain=True)
        play(tmp_path, placed(), on_broker(broker.port), story)
    events = [(one.device, one.kind, one.rule, one.transition) for one in kept_events(tmp_path)]
    assert events == [
        ("smoke", "fault", "offline", Transition.RAISED),
        ("sos", "panic", "panic", Transition.RAISED),
        ("smoke", "smoke", "smoke", Transition.RAISED),
        ("smoke", "fault", "offline", Transition.CLEARED),
    ]
    readings = [
        (sample.device, {point.key: point.value for point in sample.points}) for sample in kept_samples(tmp_path)
    ]
    assert readings == [
        ("sos", {"battery_level": 100.0}),
        ("sos", {"battery_level": 100.0}),
        ("smoke", {"smoke": True}),
        ("climate", {"temperature": 22.6, "humidity": 32.4}),
    ]
