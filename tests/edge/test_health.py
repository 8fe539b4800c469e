from pathlib import Path

import pytest

from contract.ids import is_id
from contract.telemetry import Value
from edge.health import BusHealth, Health, MachineHealth
from edge.machine import read_machine


def shown(health: Health) -> dict[str, dict[str, Value]]:
    samples = health.samples(7, {"line": {3: "open"}})
    assert {sample.at_us for sample in samples} == {7}
    return {sample.device: {point.key: point.value for point in sample.points} for sample in samples}


def test_every_counter_becomes_a_point_and_what_is_unknown_does_not() -> None:
    health = Health({"line": BusHealth(polls=5)})
    health.buses["line"].line.crc_errors = 2
    health.store.faults.add("outbox-full")
    health.uplink.now.error = "secret or not, not a reading"
    said = shown(health)
    assert said["gateway.line"]["polls"] == 5.0
    assert said["gateway.line"]["line.crc_errors"] == 2.0
    assert said["gateway.line"]["breaker.3"] == "open"
    assert said["gateway"]["clock.source"] == "estimated"
    assert said["gateway"]["uplink.is_up"] is False
    assert not {"machine.cpu_celsius", "outbox.faults", "uplink.now", "uplink.now.error"} & said["gateway"].keys()
    assert all(is_id(key) for points in said.values() for key in points)


def test_the_longest_lag_counts_until_it_is_reported() -> None:
    health = Health({"line": BusHealth()})
    for lag_s in (0.001, 0.25, 0.002):
        health.note_lag(lag_s)
    assert shown(health)["gateway"]["machine.loop_lag_ms"] == 250.0
    assert shown(health)["gateway"]["machine.loop_lag_ms"] == 0.0


def tree(root: Path, files: dict[str, str]) -> MachineHealth:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    machine = MachineHealth(loop_lag_ms=3.0)
    read_machine(machine, root, root=root)
    return machine


def test_a_kernel_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    machine = tree(tmp_path, {})
    assert (machine.cpu_celsius, machine.is_undervolted, machine.load, machine.rss_bytes) == (None,) * 4
    assert machine.disk_free_bytes is not None
    assert machine.loop_lag_ms == 3.0


def test_a_folder_that_is_gone_has_no_room_to_tell(tmp_path: Path) -> None:
    machine = MachineHealth(disk_free_bytes=5)
    read_machine(machine, tmp_path / "gone", root=tmp_path)
    assert machine.disk_free_bytes is None


def test_the_hottest_sensor_counts(tmp_path: Path) -> None:
    zones = {
        f"sys/class/thermal/thermal_zone{n}/temp": text for n, text in enumerate(["48123\n", "51000\n", "rubbish"])
    }
    assert tree(tmp_path, zones).cpu_celsius == 51.0


@pytest.mark.parametrize(
    ("flags", "now", "before"),
    [("0", False, False), ("50005\n", True, True), ("0x50000\n", False, True), ("zz", None, None)],
)
def test_the_firmware_tells_of_the_supply(tmp_path: Path, *, flags: str, now: bool | None, before: bool | None) -> None:
    machine = tree(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": flags})
    assert (machine.is_undervolted, machine.was_undervolted) == (now, before)


@pytest.mark.parametrize(
    ("name", "alarm", "now"), [("rpi_volt", "1", True), ("rpi_volt", "0", False), ("cpu", "1", None)]
)
def test_newer_kernels_tell_of_the_supply_elsewhere(tmp_path: Path, *, name: str, alarm: str, now: bool | None) -> None:
    folder = "sys/class/hwmon/hwmon2"
    machine = tree(tmp_path, {f"{folder}/name": f"{name}\n", f"{folder}/in0_lcrit_alarm": f"{alarm}\n"})
    assert (machine.is_undervolted, machine.was_undervolted) == (now, None)


def test_load_and_memory_of_this_very_process(tmp_path: Path) -> None:
    machine = MachineHealth()
    read_machine(machine, tmp_path)
    assert machine.load is not None
    assert machine.rss_bytes is not None
    assert 1_000_000 < machine.rss_bytes < 10_000_000_000
