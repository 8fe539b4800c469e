"""Gateways with readers, many in one process: they take stolen lists as the edge does, and send what their tags do.

`python -m benchmarks.tag_gateways --control PORT --broker PORT --gateways N`; told what to do by JSON datagrams, see
`benchmarks.remote`: `ping`, `speak` (samples a second over how many stations), `said`, `lists` (how many have which).
"""

import argparse
import heapq
import json
import random
import selectors
import socket
import time
from collections import Counter
from typing import Any

from contract.commands import Command, Outcome, Result, decode_command, encode_result
from contract.presence import Birth, Device, encode_presence
from contract.tags import StolenPart, checksum_of
from contract.telemetry import BatchHeader, Lane, Point, Sample, encode_telemetry
from contract.topics import Channel, topic
from edge.errors import StolenListError
from edge.presence.stolen import StolenList
from simulators.fleet.mqtt import Connected, Login, Message, MqttClient, Received, properties_of

BOOT = "bench"
TAGS = 560_000
_KEEPALIVE_S = 3_600
_READ_BYTES = 1 << 20
_BATCH_EVERY_S = 1.0


class Gateway:
    """One gateway: its connection, its list, and what it has answered."""

    def __init__(self, name: str, port: int) -> None:
        """Connect and be born."""
        self.name = name
        self.stolen = StolenList()
        self.parts = 0
        self._seq = 0
        self._answers: dict[str, Result] = {}
        self._client = MqttClient()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.connect(Login(name, _KEEPALIVE_S))
        self.flush()
        (answer,) = self._client.feed(self.socket.recv(4_096))
        if not isinstance(answer, Connected) or answer.code:
            raise ConnectionRefusedError(f"the broker does not take {name}: {answer}")
        self._client.subscribe([topic(name, Channel.COMMAND)])
        devices = (Device("station", "ingics/igs", "1"),)
        birth = Birth(name, BOOT, "1.0", "bench", _wall_us(), devices)
        self._publish(Channel.BIRTH, encode_presence(birth), content_type="application/json", is_retained=True)
        self.flush()

    def read(self) -> None:
        """Take what has come, and carry commands out."""
        for event in self._client.feed(self.socket.recv(_READ_BYTES)):
            if isinstance(event, Received) and event.topic.endswith(Channel.COMMAND.value):
                result = self._carry_out(decode_command(event.payload, gateway=self.name))
                self._publish(Channel.RESULT, encode_result(result), content_type="application/cloudevents+json")
        self.flush()

    def speak(self, samples: list[Sample]) -> None:
        """Send a batch."""
        self._seq += 1
        header = BatchHeader(gateway=self.name, lane=Lane.LIVE, boot=BOOT, seq=self._seq)
        self._publish(
            Channel.TELEMETRY,
            encode_telemetry(samples),
            content_type="application/senml+json",
            correlation=str(self._seq).encode(),
            user=header.to_properties(),
        )
        self.flush()

    def flush(self) -> None:
        """Send what is written."""
        self.socket.sendall(self._client.out)
        self._client.out.clear()

    def _carry_out(self, command: Command) -> Result:
        """Do a command once; a repeat is answered again."""
        if command.id not in self._answers:
            self._answers[command.id] = self._result(command)
        return self._answers[command.id]

    def _result(self, command: Command) -> Result:
        now_us = _wall_us()
        if not isinstance(command.order, StolenPart):
            return Result(command.id, self.name, Outcome.DONE, now_us)
        self.parts += 1
        try:
            self.stolen.take(command.order)
        except StolenListError as error:
            return Result(command.id, self.name, Outcome.REFUSED, now_us, str(error))
        return Result(command.id, self.name, Outcome.DONE, now_us, "", float(self.stolen.version))

    def _publish(self, channel: Channel, payload: bytes, *, is_retained: bool = False, **properties: Any) -> None:
        written = properties_of(**properties)
        self._client.publish(Message(topic(self.name, channel), payload, is_retained, written))


class Fleet:
    """All of them in one loop."""

    def __init__(self, control_port: int, broker_port: int, gateways: int) -> None:
        """Connect all."""
        self._gateways = [Gateway(f"station-{number:03}", broker_port) for number in range(gateways)]
        self._selector = selectors.DefaultSelector()
        for gateway in self._gateways:
            self._selector.register(gateway.socket, selectors.EVENT_READ, gateway)
        self._control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._control.bind(("127.0.0.1", control_port))
        self._selector.register(self._control, selectors.EVENT_READ)
        self._batches: list[tuple[float, int]] = []
        self._per_batch = 0.0
        self._said = 0
        self._chance = random.Random(1)  # noqa: S311 - no secret

    def run(self) -> None:
        """Run until the process is ended."""
        while True:
            at = self._batches[0][0] if self._batches else time.monotonic() + 1.0
            for key, _events in self._selector.select(max(0.0, at - time.monotonic())):
                if key.data is None:
                    self._take_request()
                else:
                    key.data.read()
            while self._batches and self._batches[0][0] <= time.monotonic():
                at, number = heapq.heappop(self._batches)
                self._speak(number)
                heapq.heappush(self._batches, (at + _BATCH_EVERY_S, number))

    def _speak(self, number: int) -> None:
        count = int(self._per_batch + self._chance.random())
        samples = []
        for _ in range(count):
            word = self._chance.choice(("present", "left", "moved"))
            tag = f"EAC6{self._chance.randrange(TAGS):08X}"
            points = (Point("tag", tag), Point("presence", word), Point("rssi", -60.0, "dBm"))
            samples.append(Sample(device="station", at_us=_wall_us(), points=points))
        if samples:
            self._gateways[number].speak(samples)
            self._said += len(samples)

    def _take_request(self) -> None:
        data, where = self._control.recvfrom(4_096)
        self._control.sendto(json.dumps(self._answer(json.loads(data))).encode(), where)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["op"]:
            case "ping":
                return {"pong": True}
            case "speak":
                stations = request["stations"]
                self._per_batch = request["per_s"] * _BATCH_EVERY_S / stations
                begin = time.monotonic()
                self._batches = [(begin + _BATCH_EVERY_S * number / stations, number) for number in range(stations)]
                return {"ok": True}
            case "said":
                return {"said": self._said}
            case _:
                lists = Counter(checksum_of(gateway.stolen.notes) for gateway in self._gateways)
                return {"lists": lists, "parts": sum(one.parts for one in self._gateways)}


def _wall_us() -> int:
    return time.time_ns() // 1_000


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("control", "broker", "gateways"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    Fleet(given.control, given.broker, given.gateways).run()


if __name__ == "__main__":
    main()
