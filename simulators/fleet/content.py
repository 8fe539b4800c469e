"""What the gateways of a fleet say: births, batches and alarms, as the contract has them. Pure."""

import math
from collections.abc import Iterator

from contract import cloudevents, presence, senml
from contract.alarms import AlarmEvent, Mode, Severity, Transition, encode_alarm
from contract.compression import pack
from contract.presence import Birth, Death
from contract.telemetry import BatchHeader, ClockMark, ClockSource, Lane, Point, Sample, TelemetryEncoder
from contract.topics import Channel, topic
from simulators.fleet.mqtt import Message, properties_of
from simulators.fleet.plan import Plan, device_id

PROFILE = "langyan/fleet"
PROFILE_VERSION = "1"
_DAY_S = 86_400.0
# Multiples of it, their whole part left out, are spread evenly: no two gateways have the same hour.
_GOLDEN = 0.618034
_TEXT = {"en": "Press by a simulated fleet", "zh": "模拟网关群的按钮按下"}


class Content:
    """Writes the messages of all gateways of one fleet; it remembers none of them."""

    def __init__(self, plan: Plan, *, boot: str, version: str) -> None:
        """Prepare.

        Args:
            plan: how many devices, which seed.
            boot: id of this run, of all its gateways.
            version: of the software, for the births.
        """
        self.boot = boot
        self._version = version
        self._seed = plan.seed
        self._clock = ClockMark(ClockSource.NTP)
        self._devices = [device_id(number) for number in range(1, plan.devices + 1)]
        self._inventory = tuple(presence.Device(device, PROFILE, PROFILE_VERSION) for device in self._devices)
        self._encoder = TelemetryEncoder()

    def birth(self, gateway: str, *, at_us: int, correlation: bytes | None) -> Message:
        """Write a birth; with `correlation` it asks for a receipt."""
        birth = Birth(gateway, self.boot, self._version, "langyan sim fleet", at_us, self._inventory)
        return self._presence(gateway, birth, correlation)

    def death(self, gateway: str, *, reason: str) -> Message:
        """Write a death: the will ("lost"), or the good-bye ("stopped")."""
        return self._presence(gateway, Death(gateway, self.boot, reason), None)

    def batch(
        self, gateway: int, name: str, *, number: int, at_us: int, lane: Lane, correlation: bytes | None
    ) -> Message:
        """Write batch `number` of a gateway: one sample of each of its devices. The same arguments give the same bytes.

        Args:
            gateway: its number.
            name: its id.
            number: of the batch; also the value of every device's point `number`.
            at_us: when the devices were read, microseconds UTC.
            lane: live, or backfill where it waited for a connection.
            correlation: given back with the receipt; None asks for none.
        """
        counted, battery = Point("number", float(number)), Point("battery", round(3.6 - number % 1000 * 0.001, 3), "V")
        curve = 6.0 * math.sin(math.tau * (at_us / 1e6 / _DAY_S + gateway * _GOLDEN))
        samples = [
            Sample(device, at_us, (counted, Point("temperature", round(mean + curve, 1), "Cel"), battery))
            for device, mean in zip(self._devices, self._means(gateway), strict=True)
        ]
        encoding, payload = pack(self._encoder.encode(samples))
        header = BatchHeader(name, self.boot, lane, 0, encoding, self._clock)
        return _message(name, Channel.TELEMETRY, payload, senml.MEDIA_TYPE, header, correlation)

    def alarm(
        self, name: str, transition: Transition, *, raised_at_us: int, at_us: int, correlation: bytes | None
    ) -> Message:
        """Write an alarm event of a gateway's first device, in mode `test`: it is stored, and nobody is sent."""
        payload = encode_alarm(
            AlarmEvent(
                name, self._devices[0], "button", "panic", transition, raised_at_us, at_us, "panic",
                Severity.CRITICAL, _TEXT, transition is Transition.RAISED, mode=Mode.TEST,
            )
        )  # fmt: skip
        header = BatchHeader(name, self.boot, Lane.ALARM, 0, clock=self._clock)
        return _message(name, Channel.ALARM, payload, cloudevents.MEDIA_TYPE, header, correlation)

    def _presence(self, gateway: str, said: Birth | Death, correlation: bytes | None) -> Message:
        properties = properties_of(
            content_type=presence.MEDIA_TYPE,
            response_topic=None if correlation is None else topic(gateway, Channel.RECEIPT),
            correlation=correlation,
        )
        return Message(topic(gateway, Channel.BIRTH), presence.encode_presence(said), True, properties)

    def _means(self, gateway: int) -> Iterator[float]:
        """A day's mean for each device, by a multiplicative hash of seed, gateway and device."""
        start = self._seed * 1_000_003 + gateway * 8_191
        for device in range(start, start + len(self._devices)):
            yield 5.0 + device * 2_654_435_761 % 2**32 % 200 / 10


def _message(
    gateway: str, channel: Channel, payload: bytes, media_type: str, header: BatchHeader, correlation: bytes | None
) -> Message:
    properties = properties_of(content_type=media_type, correlation=correlation, user=header.to_properties())
    return Message(topic(gateway, channel), payload, properties=properties)
