import logging
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from contract.telemetry import Sample
from device_profiles.site import PlacedDevice
from device_profiles.site_loader import load_site
from edge.bus import Bus
from edge.clock import Clock
from edge.errors import DeviceRefusedError, FrameError, LinkDownError, LinkTimeoutError
from edge.health import BusHealth
from tests.edge.fake_line import Answer, FakeLine, constant

SITE = """
[gateway]
id = "g"
site = "s"
[[bus]]
id = "line"
kind = "rtu"
port = "x"
[[device]]
id = "one"
bus = "line"
unit = 1
profile = "generic/xy-md02"
every_s = { temperature = 0.01, humidity = 0.01 }
[[device]]
id = "two"
bus = "line"
unit = 2
profile = "generic/xy-md02"
every_s = { temperature = 0.01, humidity = 0.01 }
"""


@pytest.fixture
def devices(tmp_path: Path) -> tuple[PlacedDevice, ...]:
    (tmp_path / "site.toml").write_text(SITE)
    return load_site(tmp_path / "site.toml").devices["line"]


def poll(
    devices: tuple[PlacedDevice, ...], line: FakeLine, *, until: Callable[[list[Sample]], bool]
) -> tuple[list[Sample], BusHealth]:
    """Run a bus until `until` holds of the samples so far, then stop it and let it end by itself."""
    health, samples = BusHealth(), list[Sample]()

    async def main() -> None:
        stop = anyio.Event()
        out, inbox = anyio.create_memory_object_stream[Sample](1000)
        bus = Bus("line", devices, line=line, health=health, clock=Clock())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.run, out, stop)
            async with inbox:
                async for sample in inbox:
                    samples.append(sample)
                    if until(samples):
                        stop.set()

    anyio.run(main)
    return samples, health


def test_answers_become_samples_of_each_device(devices: tuple[PlacedDevice, ...]) -> None:
    line = FakeLine(constant([305, 546]))
    samples, health = poll(devices, line, until=lambda seen: len(seen) >= 6)
    assert {sample.device for sample in samples} == {"one", "two"}
    assert {(point.key, point.value, point.unit) for point in samples[0].points} == {
        ("temperature", 30.5, "Cel"), ("humidity", 54.6, "%RH"),
    }  # fmt: skip
    assert health.answers == line.finished == len(samples)


def test_a_stop_lets_the_transaction_under_way_end_and_hands_its_sample_on(devices: tuple[PlacedDevice, ...]) -> None:
    line = FakeLine(constant([305, 546]), latency_s=0.02)
    samples, _ = poll(devices, line, until=lambda seen: len(seen) >= 1)
    assert len(samples) == line.finished == len(line.asked)


def test_stamps_of_one_device_never_repeat(devices: tuple[PlacedDevice, ...]) -> None:
    samples, _ = poll(devices, FakeLine(constant([305, 546])), until=lambda seen: len(seen) >= 50)
    stamps = [sample.at_us for sample in samples if sample.device == "one"]
    assert stamps == sorted(set(stamps))


def test_a_port_that_is_away_is_said_once_tried_again_and_said_once_when_back(
    devices: tuple[PlacedDevice, ...], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.bus.FIRST_REOPEN_S", 0.001)
    caplog.set_level(logging.INFO)
    line = FakeLine(constant([305, 546]), down_for=4)
    poll(devices, line, until=lambda seen: len(seen) >= 2)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert line.opened == 5


def test_a_link_that_breaks_is_closed_and_opened_again(
    devices: tuple[PlacedDevice, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.bus.FIRST_REOPEN_S", 0.001)
    broken = [LinkDownError("bus line: x is gone")]
    line = FakeLine(lambda _unit, _count: broken.pop() if broken else [305, 546])
    samples, _ = poll(devices, line, until=lambda seen: len(seen) >= 2)
    assert len(samples) >= 2
    assert line.opened == 2
    assert line.closed >= 2


@pytest.mark.parametrize(
    ("error", "counter"),
    [
        (LinkTimeoutError("no answer"), "timeouts"),
        (FrameError("garbage"), "frame_errors"),
        (DeviceRefusedError("Modbus exception 2", code=2), "refusals"),
    ],
)
def test_what_one_unit_does_wrong_is_counted_and_the_other_goes_on(
    devices: tuple[PlacedDevice, ...], error: Exception, counter: str
) -> None:
    def answer(unit: int, _count: int) -> Answer:
        return error if unit == 1 else [305, 546]

    samples, health = poll(devices, FakeLine(answer), until=lambda seen: len(seen) >= 20)
    assert {sample.device for sample in samples} == {"two"}
    assert getattr(health, counter) >= 3
    assert health.answers == len(samples)


def test_a_mute_unit_is_said_once_and_left_alone(
    devices: tuple[PlacedDevice, ...], caplog: pytest.LogCaptureFixture
) -> None:
    def answer(unit: int, _count: int) -> Answer:
        return LinkTimeoutError("unit 1: no answer") if unit == 1 else [305, 546]

    line = FakeLine(answer)
    _, health = poll(devices, line, until=lambda seen: len(seen) >= 40)
    assert [record.message for record in caplog.records if "mute" in record.message] == [
        f"device one is mute: unit 1: no answer. {LinkTimeoutError.hint}"
    ]
    assert health.mute_units == 1
    assert sum(unit == 1 for unit, *_ in line.asked) == 3


def test_a_value_out_of_range_is_no_reading_and_is_counted(devices: tuple[PlacedDevice, ...]) -> None:
    samples, health = poll(devices, FakeLine(constant([305, 5460])), until=lambda seen: len(seen) >= 2)
    assert {point.key for sample in samples for point in sample.points} == {"temperature"}
    assert health.bad_values >= 2
