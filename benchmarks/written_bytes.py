"""What a reading costs in bytes: written to the disk, and sent over the uplink.

Values wander as measured ones do; equal values would deflate to nearly nothing.
"""

from msgspec import Struct

from benchmarks.rig import Rig, open_rig, pause
from benchmarks.sites import BenchDevice

REGISTERS = 20
# Five devices of 20 registers every second: 100 readings a second.
DEVICES = 5
EVERY_S = 1.0
# Long enough for every kind of checkpoint to come round several times.
DISK_WARM_S = 30.0
DISK_S = 300.0
UPLINK_WARM_S = 10.0
UPLINK_S = 60.0


class DiskBytes(Struct, frozen=True):
    """100 readings a second for five minutes, receipts answered.

    Attributes:
        written_per_reading: write_bytes of /proc/PID/io: all that reaches the disk, settling and checkpoints too.
        calls_per_reading: wchar of the same: all bytes given to write calls, sockets included.
    """

    readings: int
    written_per_reading: float
    calls_per_reading: float


class UplinkBytes(Struct, frozen=True):
    """Bytes as TCP carries them, everything in: MQTT, properties, pings; counted between gateway and broker.

    Attributes:
        readings_a_message: mean of the telemetry messages.
        up_per_reading, down_per_reading: from and to the gateway.
    """

    readings_per_s: int
    messages: int
    readings_a_message: float
    up_per_reading: float
    down_per_reading: float


class Uplink(Struct, frozen=True):
    """By the size of the batches, of 100, 200 and 2 000 readings a second."""

    batches_of_50: UplinkBytes
    batches_of_100: UplinkBytes
    batches_of_1000: UplinkBytes


def measure_disk() -> DiskBytes:
    """Measure what /proc says the gateway wrote."""
    with open_rig(units=DEVICES, values="walk") as rig:
        devices = _devices(rig, DEVICES)
        rig.start_gateway(devices)
        rig.wait_for_all(devices)
        pause(DISK_WARM_S)
        before, blocks = rig.gateway.written(), sum(rig.counters().values())
        # Drained meanwhile: an hour of messages need not lie in memory.
        for _ in range(round(DISK_S)):
            pause(1.0)
            rig.take_all()
        after = rig.gateway.written()
        readings = (sum(rig.counters().values()) - blocks) * REGISTERS
    return DiskBytes(
        readings=readings,
        written_per_reading=round((after.to_disk - before.to_disk) / readings, 1),
        calls_per_reading=round((after.by_calls - before.by_calls) / readings, 1),
    )


def measure_uplink() -> Uplink:
    """Measure at a relay between gateway and broker."""
    return Uplink(_uplink(DEVICES), _uplink(DEVICES * 2), _uplink(DEVICES * 20))


def _uplink(count: int) -> UplinkBytes:
    with open_rig(units=count, values="walk") as rig:
        devices = _devices(rig, count)
        rig.start_gateway(devices, direct=False, health_s=60.0)
        rig.wait_for_all(devices)
        pause(UPLINK_WARM_S)
        rig.take_all()
        before, readings = rig.link.ask(op="stats"), rig.readings
        pause(UPLINK_S)
        after = rig.link.ask(op="stats")
        messages = len({(arrived.at_ns, arrived.correlation) for arrived, _ in rig.take()})
        readings = rig.readings - readings
    return UplinkBytes(
        readings_per_s=round(readings / UPLINK_S),
        messages=messages,
        readings_a_message=round(readings / messages, 1),
        up_per_reading=round((after["up"] - before["up"]) / readings, 2),
        down_per_reading=round((after["down"] - before["down"]) / readings, 2),
    )


def _devices(rig: Rig, count: int) -> list[BenchDevice]:
    return [
        BenchDevice(device.id, device.line, device.unit, EVERY_S, inputs=0)
        for device in rig.devices(count, EVERY_S, shared=True)
    ]
