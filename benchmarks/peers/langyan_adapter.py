"""Adapter: Langyan, for the peers' harness (`bench.py PATH/langyan_adapter.py SCENARIO`).

The harness's subscriber answers receipts as the cloud would. Registers come out as `r0` to `r19`, the inputs as one
value `di`, a change of an input (an alarm event of its own) as `alarm`.
Options: bits=1 (0: the inputs' telemetry is not decoded, so that a poll is one message, as the harness counts).
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties

REPOSITORY = Path(__file__).absolute().parents[2]
# The harness loads this file by its path, from anywhere.
sys.path.insert(0, str(REPOSITORY))

from benchmarks.receiver import answer_to  # noqa: E402
from benchmarks.sites import BenchDevice, Line, write_site  # noqa: E402
from contract.alarms import Transition, decode_alarm  # noqa: E402
from contract.compression import unpack  # noqa: E402
from contract.telemetry import Sample, decode_telemetry, header_from_properties  # noqa: E402
from contract.topics import ROOT, Channel, parse_topic  # noqa: E402

Decoded = tuple[str, int, dict[str, Any]]


class Adapter:
    """What the harness asks of a gateway."""

    name = "langyan"
    mqtt5 = True

    def __init__(self, workdir: str, *, bits: int = 1) -> None:
        """Work in `workdir`."""
        self._folder = Path(workdir)
        self._bits = bool(bits)

    def write_config(self, devices: Sequence[Mapping[str, Any]], mqtt_port: int, *, fresh: bool = True) -> None:
        """Write site file and profiles; `fresh` forgets the outbox."""
        if fresh and self._folder.exists():
            shutil.rmtree(self._folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        write_site(self._folder, [_device(device) for device in devices], broker_port=mqtt_port)

    def command(self) -> tuple[list[str], dict[str, str], Path]:
        """Say how the gateway is started: arguments, environment, folder."""
        words = ["edge", "run", str(self._folder / "site.toml"), "--profiles", str(self._folder / "profiles")]
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(REPOSITORY)]))
        return [sys.executable, "-m", "langyan", *words], {"PYTHONPATH": path}, self._folder

    @staticmethod
    def topics() -> list[str]:
        """Say what the subscriber listens to."""
        return [f"{ROOT}/+/up/#"]

    @staticmethod
    def respond(message: mqtt.MQTTMessage) -> list[tuple[str, bytes, Properties]]:
        """Answer as the cloud would: a receipt to whatever asks for one."""
        answer = answer_to(message)
        return [answer] if answer else []

    def decode(self, _topic: str, message: mqtt.MQTTMessage) -> Iterator[Decoded]:
        """Take a message apart: device, milliseconds UTC, values."""
        where = parse_topic(message.topic)
        if where.channel is Channel.ALARM:
            event = decode_alarm(bytes(message.payload), gateway=where.gateway)
            if event.rule == "press":
                state = {"alarm": (event.point, event.transition is not Transition.CLEARED)}
                yield event.device, event.at_us // 1000, state
        elif where.channel is Channel.TELEMETRY:
            header = header_from_properties(getattr(message.properties, "UserProperty", ()), gateway=where.gateway)
            for sample in decode_telemetry(unpack(bytes(message.payload), header.encoding)):
                values = self._values(sample)
                if values:
                    yield sample.device, sample.at_us // 1000, values

    @staticmethod
    def alarm(values: Mapping[str, Any], bit: int) -> bool | None:
        """State of input `bit` if this message is an alarm event of it, else None."""
        point, state = values.get("alarm", ("", None))
        return state if point == f"b{bit}" else None

    def _values(self, sample: Sample) -> dict[str, Any]:
        if not sample.device.startswith("dev"):
            return {}
        values: dict[str, Any] = {point.key: point.value for point in sample.points if point.key.startswith("r")}
        bits = [point.value for point in sample.points if point.key.startswith("b")]
        if bits and self._bits:
            values["di"] = bits
        return values


def _device(device: Mapping[str, Any]) -> BenchDevice:
    is_tcp = device["transport"] == "tcp"
    line = Line(device["host"], device["port"]) if is_tcp else Line(port=device["tty"], baud=device["baud"])
    return BenchDevice(
        id=device["name"],
        line=line,
        unit=device["unit"],
        every_s=device["poll_ms"] / 1000,
        registers=device["hr"],
        inputs=device["di"],
        timeout_s=device["timeout_s"],
    )
