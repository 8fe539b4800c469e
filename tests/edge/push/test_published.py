"""Devices behind a real broker: subscribed, heard, answered, connected again."""

from collections.abc import Callable
from pathlib import Path

import aiomqtt
import anyio
from msgspec.structs import replace

from device_profiles.site import MqttBus
from device_profiles.speech.said import Moment, Said
from edge.push.bus import PushBus
from edge.push.published import PublishedBus
from langyan.servers import Mosquitto, free_port
from tests.edge.push.rig import LineSpeech, Scene, kept_samples, place, play


class TopicSpeech(LineSpeech):
    """One message is a topic, a NUL and lines; what it sends goes to the topic `answers`."""

    def hear(self, data: bytes, moment: Moment) -> list[Said]:
        topic, _, payload = data.partition(b"\0")
        address = topic.split(b"/")[0]
        return super().hear(address + b" " + payload + b"\n", moment)

    def kept(self, token: int, moment: Moment) -> list[Said]:
        return [replace(said, send=b"answers\0" + said.send) for said in super().kept(token, moment)]


def published(port: int) -> Callable[[Scene], PushBus]:
    bus = MqttBus(id="line", host="127.0.0.1", port=port)
    return lambda scene: PublishedBus(
        bus, "line", password=None, gateway="g", topics=["a/#", "b/#"], **scene.parts(TopicSpeech)
    )


def test_what_devices_publish_is_heard_and_answered_through_a_restart_of_the_broker(tmp_path: Path) -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        for turn in (1, 2):
            with Mosquitto(tmp_path / f"broker-{turn}", port=port) as broker:
                del broker
                await scene.until(lambda: scene.health.is_up)
                async with aiomqtt.Client("127.0.0.1", port) as device:
                    await device.subscribe("answers")
                    await device.publish("a/state", b"t=20 ?7", qos=1)
                    await device.publish("b", b"t=21", qos=1)
                    await device.publish("c", b"t=22", qos=1)
                    with anyio.fail_after(10.0):
                        message = await anext(aiter(device.messages))
                    assert message.payload == b"ok 7\n"
                await scene.until(lambda: scene.push.heard == 2 * turn)  # noqa: B023 - awaited at once
            await scene.until(lambda: not scene.health.is_up)
        assert (scene.push.strangers, scene.push.connections) == (0, 2)

    play(tmp_path, [place("a"), place("b")], published(port), story)
    assert [one.device for one in kept_samples(tmp_path)] == ["a", "b", "a", "b"]
