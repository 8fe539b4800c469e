import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from contract.telemetry import Sample, Value
from device_profiles.model import PointDef
from device_profiles.site import PlacedDevice
from device_profiles.site_loader import load_site
from edge.bus import Bus
from edge.clock import Clock
from edge.errors import (
    BadCommandError,
    DeviceRefusedError,
    FrameError,
    LinkDownError,
    LinkTimeoutError,
    NotTakenError,
    NotWritableError,
    UnknownPointError,
    WriteExpiredError,
)
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


class Collector:
    """Takes samples, and stops the bus once `until` holds of them."""

    is_behind = False

    def __init__(self, until: Callable[[list[Sample]], bool]) -> None:
        self.samples: list[Sample] = []
        self.stop = anyio.Event()
        self._until = until

    def take(self, sample: Sample) -> None:
        self.samples.append(sample)
        if self._until(self.samples):
            self.stop.set()

    async def room(self) -> None:
        raise AssertionError("nobody is behind")


class Watched:
    def __init__(self) -> None:
        self.events: list[tuple[str, bool]] = []

    def heard(self, device: str, now: float) -> None:
        assert now > 0
        self.events.append((device, True))

    def missed(self, device: str, now: float) -> None:
        assert now > 0
        self.events.append((device, False))

    def bus_down(self, bus: str, now: float) -> None:
        assert now > 0
        self.events.append((bus, False))


def poll(
    devices: tuple[PlacedDevice, ...],
    line: FakeLine,
    *,
    until: Callable[[list[Sample]], bool],
    watch: Watched | None = None,
    meanwhile: Callable[[Bus], Awaitable[None]] | None = None,
) -> tuple[list[Sample], BusHealth]:
    """Run a bus until `until` holds of the samples so far, then let it end by itself."""
    health, sink = BusHealth(), Collector(until)

    async def main() -> None:
        bus = Bus("line", devices, line=line, health=health, clock=Clock(), watch=watch or Watched())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.run, sink, sink.stop)
            if meanwhile is not None:
                await meanwhile(bus)
                sink.stop.set()

    anyio.run(main)
    return sink.samples, health


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
    assert getattr(health, counter) >= 1
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
    assert sum(unit == 1 for unit, *_ in line.asked) == 1


def test_answers_and_silences_are_told_to_the_watch(devices: tuple[PlacedDevice, ...]) -> None:
    def answer(unit: int, _count: int) -> Answer:
        return FrameError("garbage") if unit == 1 else [305, 546]

    watch = Watched()
    poll(devices, FakeLine(answer), until=lambda seen: len(seen) >= 3, watch=watch)
    assert {("one", False), ("two", True)} == set(watch.events)


IO = """
[gateway]
id = "g"
site = "s"
[[bus]]
id = "line"
kind = "tcp"
host = "x"
[[device]]
id = "io"
bus = "line"
unit = 7
profile = "zlan/zlan6842"
"""


@pytest.fixture
def io(tmp_path: Path) -> tuple[PlacedDevice, ...]:
    (tmp_path / "site.toml").write_text(IO)
    return load_site(tmp_path / "site.toml").devices["line"]


def output_of(placed: PlacedDevice) -> PointDef:
    return next(point for point in placed.profile.point if point.writable)


def test_a_written_output_is_read_back_and_told(io: tuple[PlacedDevice, ...]) -> None:
    line, output = FakeLine(lambda _unit, count: [0] * count), output_of(io[0])
    answers = []

    async def write(bus: Bus) -> None:
        answers.append(await bus.write("io", output.key, True))
        answers.append(await bus.write("io", output.key, False))

    samples, health = poll(io, line, until=lambda _: False, meanwhile=write)
    assert answers == [True, False]
    told = [point.value for sample in samples for point in sample.points if sample.points == (point,)]
    assert told == [True, False], "what reads back is a reading"
    assert [request[:5] for _, request in line.written] == [
        bytes([5, 0, output.address, 0xFF, 0]), bytes([5, 0, output.address, 0, 0]),
    ]  # fmt: skip
    assert health.writes == 2


@pytest.mark.parametrize(
    ("device", "point", "value", "error"),
    [
        ("nobody", "x", True, UnknownPointError),
        ("io", "nothing", True, UnknownPointError),
        ("io", "{input}", True, NotWritableError),
        ("io", "{output}", 3.5, BadCommandError),
    ],
)
def test_a_write_that_cannot_be_is_refused_before_anything_is_sent(
    io: tuple[PlacedDevice, ...], device: str, point: str, value: Value, error: type[Exception]
) -> None:
    line = FakeLine(lambda _unit, count: [0] * count)
    readable = next(one.key for one in io[0].profile.point if not one.writable)

    async def write(bus: Bus) -> None:
        key = point.format(input=readable, output=output_of(io[0]).key)
        with pytest.raises(error):
            await bus.write(device, key, value)

    poll(io, line, until=lambda _: False, meanwhile=write)
    assert not line.written


def test_an_output_that_does_not_take_its_value_is_told(io: tuple[PlacedDevice, ...]) -> None:
    line = FakeLine(lambda _unit, count: [0] * count)
    line.cells = Stubborn()

    async def write(bus: Bus) -> None:
        with pytest.raises(NotTakenError, match="read back"):
            await bus.write("io", output_of(io[0]).key, True)

    _, health = poll(io, line, until=lambda _: False, meanwhile=write)
    assert health.writes_failed == 1


def test_a_write_to_a_device_that_keeps_silent_is_told_and_the_bus_goes_on(io: tuple[PlacedDevice, ...]) -> None:
    fails = [True]

    def answer(_unit: int, count: int) -> Answer:
        return LinkTimeoutError("unit 7: no answer") if fails else [0] * count

    async def write(bus: Bus) -> None:
        with pytest.raises(LinkTimeoutError):
            await bus.write("io", output_of(io[0]).key, True)
        fails.clear()
        assert await bus.write("io", output_of(io[0]).key, True) is True

    poll(io, FakeLine(answer), until=lambda _: False, meanwhile=write)


def test_a_write_under_way_is_never_said_to_have_expired(
    io: tuple[PlacedDevice, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.bus.WRITE_LIMIT_S", 0.3)
    line = SlowToReadBack(lambda _unit, count: [0] * count)

    async def write(bus: Bus) -> None:
        assert await bus.write("io", output_of(io[0]).key, True) is True

    poll(io, line, until=lambda _: False, meanwhile=write)


def test_a_bus_that_is_ended_in_the_middle_of_a_write_tells_who_asked(io: tuple[PlacedDevice, ...]) -> None:
    line = SlowToReadBack(lambda _unit, count: [0] * count)

    async def main() -> None:
        bus = Bus("line", io, line=line, health=BusHealth(), clock=Clock(), watch=Watched())

        async def end_in_the_middle() -> None:
            while not line.written:
                await anyio.lowlevel.checkpoint()
            running.cancel()

        async def run() -> None:
            with running:
                await bus.run(Collector(lambda _: False), anyio.Event())

        running = anyio.CancelScope()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            tasks.start_soon(end_in_the_middle)
            with pytest.raises(LinkDownError, match="stopping"):
                await bus.write("io", output_of(io[0]).key, True)

    anyio.run(main)


def test_a_write_whose_turn_does_not_come_expires_and_is_not_sent(
    io: tuple[PlacedDevice, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.bus.WRITE_LIMIT_S", 0.01)
    line = FakeLine(lambda _unit, count: [0] * count)

    async def main() -> None:
        bus = Bus("line", io, line=line, health=BusHealth(), clock=Clock(), watch=Watched())
        with pytest.raises(WriteExpiredError):
            await bus.write("io", output_of(io[0]).key, True)

    anyio.run(main)
    assert not line.written


def test_writes_on_a_line_that_is_down_are_refused_at_once(io: tuple[PlacedDevice, ...]) -> None:
    async def write(bus: Bus) -> None:
        with pytest.raises(LinkDownError):
            await bus.write("io", output_of(io[0]).key, True)

    poll(io, FakeLine(constant([0]), down_for=1), until=lambda _: False, meanwhile=write)


class SlowToReadBack(FakeLine):
    async def transact(self, unit: int, request: bytes, *, timeout_s: float, turnaround_s: float = 0.0) -> bytes:
        # Once written: longer than the wait for a turn may take.
        self._latency_s = 0.4 if self.written else 0.0
        return await super().transact(unit, request, timeout_s=timeout_s, turnaround_s=turnaround_s)


class Stubborn(dict[tuple[int, int], int]):
    def __setitem__(self, key: tuple[int, int], value: int) -> None:
        super().__setitem__(key, 1 - value)


def test_a_value_out_of_range_is_no_reading_and_is_counted(devices: tuple[PlacedDevice, ...]) -> None:
    samples, health = poll(devices, FakeLine(constant([305, 5460])), until=lambda seen: len(seen) >= 2)
    assert {point.key for sample in samples for point in sample.points} == {"temperature"}
    assert health.bad_values >= 2
