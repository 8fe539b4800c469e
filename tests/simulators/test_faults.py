"""Faults of devices and lines: what they do, and that they end."""

import os
import time
from pathlib import Path

import pytest

from device_profiles.model import PointType, Simulation, Table
from simulators.control_client import ControlError
from simulators.errors import SimulatorError
from simulators.faults import FLOOD_EVERY_S, MAX_FLOOD_BYTES_S, DeviceClock, Flood, Spoiler
from simulators.framing import rtu_frame
from tests.simulators.rig import (
    FakeClock,
    device_toml,
    is_quiet,
    opened,
    point,
    profile,
    read_exactly,
    rtu_toml,
    serving,
    simulated,
    wait_for,
)

READ_ONE = b"\x03\x00\x00\x00\x01"
FRAME = bytes.fromhex("01 04 04 01 31 02 22 2A CE")
READ_CLIMATE = bytes.fromhex("01 04 00 01 00 02 20 0B")


def test_a_spoiled_answer_has_another_checksum_and_nothing_else() -> None:
    spoiler = Spoiler("seed")
    assert spoiler.spoil(FRAME) is None
    spoiler.rate = 1.0
    spoiled = [spoiler.spoil(FRAME) for _ in range(200)]
    assert all(one is not None and one[:-2] == FRAME[:-2] and one != FRAME for one in spoiled)
    spoiler.rate = 0.5
    assert 60 < sum(spoiler.spoil(FRAME) is not None for _ in range(200)) < 140


def test_a_spoiler_repeats_itself() -> None:
    one, other = Spoiler("a"), Spoiler("a")
    one.rate = other.rate = 0.5
    assert [one.spoil(FRAME) for _ in range(50)] == [other.spoil(FRAME) for _ in range(50)]


def test_a_flood_sends_what_was_asked_and_ends() -> None:
    flood = Flood(1000.0, 1.0)
    times = [step * FLOOD_EVERY_S for step in range(60)]
    assert sum(flood.due(t) for t in times) == 1000
    assert not flood.is_over(0.99)
    assert flood.is_over(1.0)
    assert Flood(1e9, 10.0).due(5.0) <= 256
    assert MAX_FLOOD_BYTES_S > 11_520, "as fast as 115 200 baud at least"


def test_a_stuck_sensor_says_the_same_until_it_is_let_go() -> None:
    clock = FakeClock()
    device = simulated(profile(point("t", Table.HOLDING, 0, simulate=Simulation(20.0, 10.0, 40))), clock=clock)
    clock.now_s += 10
    device.stick("t")
    clock.now_s += 10
    assert device.values() == {"t": 30.0}
    device.set_auto("t")
    assert device.values() == {"t": 20.0}


def test_a_reboot_forgets_what_was_written_and_keeps_what_the_world_holds() -> None:
    clock = FakeClock()
    points = (
        point("out", Table.COIL, 0, PointType.BIT, writable=True, simulate=Simulation(start=False)),
        point("in", Table.DISCRETE_INPUT, 0, PointType.BIT, simulate=Simulation(start=False)),
        point("age", Table.HOLDING, 0),
    )
    device = simulated(profile(*points), clock=clock)
    device.drive("age", float)
    device.press("in")
    device.answer(b"\x05\x00\x00\xff\x00")
    clock.now_s += 7
    assert device.values() == {"out": True, "in": True, "age": 7.0}
    device.reboot(2.0)
    assert device.answer(READ_ONE) is None
    assert device.counts.ignored == 1
    clock.now_s += 2
    assert device.answer(READ_ONE) is not None
    assert device.values() == {"out": False, "in": True, "age": 2.0}


def test_a_driven_point_says_what_its_signal_says_as_far_as_it_can() -> None:
    clock = FakeClock()
    made = profile(
        point("t", Table.HOLDING, 0, PointType.S16, scale=0.1, range=(-40, 80)),
        point("u", Table.HOLDING, 1),
        point("w", Table.HOLDING, 2, values={"0": "day", "1": "night"}),
    )
    device = simulated(made, clock=clock)
    device.drive("t", lambda age_s: 20.04 + age_s)
    device.drive("u", lambda age_s: -5.0 if age_s < 1 else 1e9)
    device.drive("w", lambda age_s: "night" if age_s >= 1 else "day")
    assert device.values() == {"t": 20.0, "u": 0.0, "w": "day"}
    clock.now_s += 500
    assert device.values() == {"t": 80.0, "u": 65535.0, "w": "night"}
    device.set("t", 3)
    assert device.values()["t"] == 3.0
    device.set_auto("t")
    device.drive("t", None)
    assert device.values()["t"] == 0.0


def test_the_point_that_numbers_answers_is_left_alone() -> None:
    device = simulated(profile(point("n", Table.HOLDING, 0)), count_in="n")
    with pytest.raises(SimulatorError, match="no signal drives it"):
        device.drive("n", lambda _: 1.0)
    with pytest.raises(SimulatorError, match="cannot stick"):
        device.stick("n")


def read_climate(fd: int) -> bytes:
    os.write(fd, READ_CLIMATE)
    return read_exactly(fd, len(FRAME))


def test_wrong_checksums_on_a_line_are_counted_as_broken(tmp_path: Path) -> None:
    climate = device_toml("th", "line", "generic/xy-md02")
    with serving(tmp_path, rtu_toml(), climate) as (served, control), opened(served.buses["line"]) as fd:
        control.spoil("th", 1.0)
        said = read_climate(fd)
        assert rtu_frame(said[0], said[1:-2]) != said
        wait_for(lambda: control.stats().devices["th"].counts.broken == 1)
        control.spoil("th", 0.0)
        said = read_climate(fd)
        assert rtu_frame(said[0], said[1:-2]) == said


def test_a_reboot_and_a_stuck_value_can_be_asked_for(tmp_path: Path) -> None:
    climate = device_toml("th", "line", "generic/xy-md02")
    with serving(tmp_path, rtu_toml(), climate) as (served, control), opened(served.buses["line"]) as fd:
        assert control.stick("th", "temperature") > 0
        assert control.reboot("th", silent_s=0.0) > 0
        assert len(read_climate(fd)) == len(FRAME)


def test_a_flood_comes_and_goes(tmp_path: Path) -> None:
    climate = device_toml("th", "line", "generic/xy-md02")
    with serving(tmp_path, rtu_toml(), climate) as (served, control), opened(served.buses["line"]) as fd:
        control.flood("line", bytes_s=2000, for_s=0.1)
        assert len(read_exactly(fd, 200)) == 200
        wait_for(lambda: is_quiet(fd))
        with pytest.raises(ControlError, match="cannot be read"):
            control.flood("line", bytes_s=1e9, for_s=0.1)


def test_a_clock_may_be_wrong() -> None:
    clock = DeviceClock(lambda: 1_000_000_000)
    assert clock() == 1_000_000
    clock.off_s = -0.5
    assert clock() == 500_000


def test_a_talker_tells_the_time_of_its_clock_and_a_polled_device_has_none(tmp_path: Path) -> None:
    climate = device_toml("th", "line", "generic/xy-md02")
    bus = '[[bus]]\nid = "gps"\nkind = "serial"\nport = "gps.tty"\n'
    gps = '[[device]]\nid = "car"\nbus = "gps"\nprofile = "generic/nmea-gps"\n'
    with serving(tmp_path, rtu_toml(), bus, climate, gps) as (_, control), opened(str(tmp_path / "gps.tty")) as fd:
        # 2001-09-09, when nobody else's clock is.
        control.clock("car", 1_000_000_000 - time.time())
        said = b""
        while b",090901," not in said:
            said = said[-200:] + read_exactly(fd, 1)
        with pytest.raises(ControlError, match="tells no time"):
            control.clock("th", 5.0)
