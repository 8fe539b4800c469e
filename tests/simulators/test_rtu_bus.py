import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusSerialClient

from simulators.control_client import Control, ControlError
from simulators.device import Counts
from simulators.framing import rtu_frame
from tests.simulators.rig import ask, device_toml, is_quiet, opened, read_exactly, rtu_toml, serving, wait_for

CLIMATE = device_toml("th", "line", "generic/xy-md02")
BUTTONS = device_toml("buttons", "line", "waveshare/modbus-rtu-io-8ch", unit=2)
STATION = device_toml("station", "line", "generic/weather-station", unit=3, extra='simulate = { count_in = "pm10" }')

READ_CLIMATE = bytes.fromhex("01 04 00 01 00 02 20 0B")
SAYS_CLIMATE = bytes.fromhex("01 04 04 01 31 02 22 2A CE")
READ_BUTTONS = rtu_frame(2, bytes.fromhex("02 00 00 00 08"))
COUNT_CELL = 508
READ_COUNT = rtu_frame(3, bytes.fromhex("03 01 FC 00 01"))
COUNT_BYTES = 7


def as_in_the_manual(control: Control) -> None:
    control.set("th", "temperature", 30.5)
    control.set("th", "humidity", 54.6)


def counts(control: Control, device: str) -> Counts:
    return control.stats().devices[device].counts


@pytest.mark.anyio
async def test_a_foreign_client_reads_what_was_set_and_what_it_read_is_what_was_produced(tmp_path: Path) -> None:
    reads = 12
    with serving(tmp_path, rtu_toml(), CLIMATE, BUTTONS, STATION) as (served, control):
        client = AsyncModbusSerialClient(served.buses["line"], baudrate=115_200, timeout=10, retries=0)
        assert await client.connect()
        as_in_the_manual(control)
        climate = await client.read_input_registers(1, count=2, device_id=1)
        assert climate.registers == [305, 546]
        control.press("buttons", "button_3")
        buttons = await client.read_discrete_inputs(0, count=8, device_id=2)
        assert buttons.bits == [True, True, False, True, True, True, True, True]
        numbers = [
            (await client.read_holding_registers(COUNT_CELL, count=1, device_id=3)).registers[0] for _ in range(reads)
        ]
        assert numbers == list(range(1, reads + 1))
        block = await client.read_holding_registers(500, count=16, device_id=3)
        assert block.registers[COUNT_CELL - 500] == reads + 1
        nothing = await client.read_holding_registers(0, count=1, device_id=3)
        assert nothing.exception_code == 2
        client.close()
        wait_for(lambda: counts(control, "station").refused == 1)
        stats = control.stats()
    assert stats.devices["station"].number == reads + 1
    assert stats.devices["station"].counts.readings["pm10"] == reads + 1
    assert stats.devices["station"].counts.readings["temperature"] == 1
    assert stats.devices["th"].counts.readings == {"temperature": 1, "humidity": 1}
    assert stats.devices["buttons"].counts.readings["button_3"] == 1
    assert stats.devices["buttons"].counts.readings["output_3"] == 0


@pytest.mark.anyio
async def test_a_foreign_client_writes_outputs(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), BUTTONS) as (served, _):
        client = AsyncModbusSerialClient(served.buses["line"], baudrate=115_200, timeout=10, retries=0)
        assert await client.connect()
        await client.write_coil(0, True, device_id=2)
        await client.write_coils(4, [True, False, True], device_id=2)
        outputs = await client.read_coils(0, count=8, device_id=2)
        client.close()
    assert outputs.bits == [True, False, False, False, True, False, True, False]


def test_the_manuals_frames_come_over_the_line(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), CLIMATE) as (served, control), opened(served.buses["line"]) as fd:
        as_in_the_manual(control)
        assert ask(fd, READ_CLIMATE, len(SAYS_CLIMATE)) == SAYS_CLIMATE


@pytest.mark.parametrize("baud", [1200, 9600, 115_200])
def test_no_byte_comes_earlier_than_the_wire_allows(tmp_path: Path, baud: int) -> None:
    char_s = 11 / baud
    gap_s = 3.5 * char_s if baud <= 19_200 else 0.00175
    with serving(tmp_path, rtu_toml(baud=baud), CLIMATE) as (served, control), opened(served.buses["line"]) as fd:
        control.delay("th", 0.01)
        began = time.monotonic()
        for asked in range(1, 4):
            os.write(fd, READ_CLIMATE)
            sent = time.monotonic()
            read_exactly(fd, 1)
            assert time.monotonic() - sent >= (len(READ_CLIMATE) + 1) * char_s + gap_s + 0.01 - 0.001
            read_exactly(fd, len(SAYS_CLIMATE) - 1)
            one_s = (len(READ_CLIMATE) + len(SAYS_CLIMATE)) * char_s + gap_s + 0.01
            # Between an answer and the next request the line is silent too, whatever the master does.
            assert time.monotonic() - began >= asked * one_s + (asked - 1) * gap_s
        wait_for(lambda: counts(control, "th").answers == 3)


def test_a_request_cut_anywhere_is_heard(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), CLIMATE) as (served, control), opened(served.buses["line"]) as fd:
        as_in_the_manual(control)
        for place in range(1, len(READ_CLIMATE)):
            os.write(fd, READ_CLIMATE[:place])
            assert ask(fd, READ_CLIMATE[place:], len(SAYS_CLIMATE)) == SAYS_CLIMATE


def test_noise_from_the_master_costs_at_most_the_request_it_touches(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), CLIMATE) as (served, control), opened(served.buses["line"]) as fd:
        as_in_the_manual(control)
        # A beginning of a long write, which silence ends, and then a request right behind noise.
        os.write(fd, bytes.fromhex("01 10 00 00 00 40 80 55"))
        wait_for(lambda: control.stats().buses["line"].counts.noise_bytes == 8)
        assert ask(fd, b"\x55\xaa" + READ_CLIMATE, len(SAYS_CLIMATE)) == SAYS_CLIMATE
        os.write(fd, READ_CLIMATE[:-1] + b"\x00")
        wait_for(lambda: control.stats().buses["line"].counts.noise_bytes >= 18)
        assert ask(fd, READ_CLIMATE, len(SAYS_CLIMATE)) == SAYS_CLIMATE
        assert counts(control, "th").answers == 2


def test_a_mute_device_and_a_stranger_leave_the_line_quiet_and_count_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), CLIMATE, BUTTONS) as (served, control), opened(served.buses["line"]) as fd:
        as_in_the_manual(control)
        control.mute("th")
        os.write(fd, READ_CLIMATE)
        wait_for(lambda: counts(control, "th").ignored == 1)
        os.write(fd, rtu_frame(77, READ_CLIMATE[1:-2]))
        wait_for(lambda: control.stats().buses["line"].counts.strangers == 1)
        assert ask(fd, READ_BUTTONS, 6)[0] == 2, "the neighbour is the only one that talks"
        assert is_quiet(fd)
        assert counts(control, "th").readings == {"temperature": 0, "humidity": 0}
        control.unmute("th")
        assert ask(fd, READ_CLIMATE, len(SAYS_CLIMATE)) == SAYS_CLIMATE
        wait_for(lambda: counts(control, "th").readings == {"temperature": 1, "humidity": 1})


def test_a_broadcast_is_done_by_everybody_and_answered_by_nobody(tmp_path: Path) -> None:
    others = device_toml("more", "line", "waveshare/modbus-rtu-io-8ch", unit=5)
    with serving(tmp_path, rtu_toml(), BUTTONS, others) as (served, control), opened(served.buses["line"]) as fd:
        os.write(fd, rtu_frame(0, bytes.fromhex("05 00 00 FF 00")))
        for device in ("buttons", "more"):
            wait_for(lambda name=device: counts(control, name).requests == 1)  # type: ignore[misc]
        assert ask(fd, rtu_frame(5, bytes.fromhex("01 00 00 00 08")), 6)[:4] == bytes.fromhex("05 01 01 01")
        assert is_quiet(fd)
        assert counts(control, "buttons").answers == 0


def test_a_master_that_talks_into_an_answer_gets_one_answer_only(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), CLIMATE, BUTTONS) as (served, control), opened(served.buses["line"]) as fd:
        os.write(fd, READ_CLIMATE + READ_BUTTONS)
        assert read_exactly(fd, 6)[0] == 2
        assert is_quiet(fd)
        wait_for(lambda: counts(control, "buttons").answers == 1)
        assert (counts(control, "th").abandoned, counts(control, "th").answers) == (1, 0)


def test_the_gateway_may_close_and_open_and_hears_nothing_stale(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), CLIMATE) as (served, control):
        as_in_the_manual(control)
        for turn in range(1, 4):
            with opened(served.buses["line"]) as fd:
                assert ask(fd, READ_CLIMATE, len(SAYS_CLIMATE)) == SAYS_CLIMATE
                wait_for(lambda turn=turn: counts(control, "th").answers == turn)  # type: ignore[misc]


def test_answers_that_nobody_reads_are_dropped_when_they_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.serial_bus._STALE_S", 0.05)
    with serving(tmp_path, rtu_toml(), CLIMATE, BUTTONS) as (served, control), opened(served.buses["line"]) as fd:
        os.write(fd, READ_BUTTONS)
        wait_for(lambda: counts(control, "buttons").answers == 1)
        wait_for(lambda: is_quiet(fd), "dropping what nobody reads")
        as_in_the_manual(control)
        assert ask(fd, READ_CLIMATE, len(SAYS_CLIMATE)) == SAYS_CLIMATE


def test_noise_breaks_answers_or_goes_before_them_and_the_numbers_stay_true(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), STATION) as (served, control), opened(served.buses["line"]) as fd:
        control.noise("line", rate=1.0)
        heard = 0
        for asked in range(1, 25):
            os.write(fd, READ_COUNT)
            wait_for(_settled(control, "station", asked))
            said = _all_of(fd)
            found = counts(control, "station")
            if found.noisy > heard:
                heard = found.noisy
                assert said.endswith(rtu_frame(3, bytes((3, 2, 0, heard))))
        found = counts(control, "station")
        assert found.noisy > 0
        assert found.broken > 0
        assert found.noisy + found.broken == 24
        assert found.readings["pm10"] == 0
        control.noise("line", rate=0.0)
        assert ask(fd, READ_COUNT, COUNT_BYTES)[4] == heard + 1


def test_a_burst_comes_at_once_and_spoils_the_next_answers_count(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), STATION) as (served, control), opened(served.buses["line"]) as fd:
        control.noise("line", now=20)
        assert len(read_exactly(fd, 20)) == 20
        ask(fd, READ_COUNT, COUNT_BYTES)
        wait_for(_settled(control, "station", 1))
        ask(fd, READ_COUNT, COUNT_BYTES)
        wait_for(_settled(control, "station", 2))
        found = counts(control, "station")
        assert (found.noisy, found.answers, found.readings["pm10"]) == (1, 1, 1)


def test_an_unplugged_adapter_is_gone_and_comes_back_as_a_new_one(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), CLIMATE) as (served, control):
        as_in_the_manual(control)
        path = Path(served.buses["line"])
        with opened(str(path)) as fd:
            assert ask(fd, READ_CLIMATE, len(SAYS_CLIMATE)) == SAYS_CLIMATE
            control.unplug("line")
            control.unplug("line")
            assert not path.is_symlink()
            assert not control.stats().buses["line"].plugged
            assert _is_hung_up(fd)
            with pytest.raises(ControlError, match="is unplugged; plug it first"):
                control.noise("line", now=1)
            path.write_text("somebody else's")
            with pytest.raises(ControlError, match="is no simulated port"):
                control.plug("line")
            path.unlink()
            control.plug("line")
            control.plug("line")
        with opened(str(path)) as fd:
            assert ask(fd, READ_CLIMATE, len(SAYS_CLIMATE)) == SAYS_CLIMATE
    assert not path.is_symlink(), "the port goes when the simulator stops"


def test_an_answer_the_plug_is_pulled_from_does_not_count(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(baud=300), CLIMATE) as (served, control):
        with opened(served.buses["line"]) as fd:
            os.write(fd, READ_CLIMATE)
            read_exactly(fd, 1)
            control.unplug("line")
        found = counts(control, "th")
        assert (found.broken, found.answers, found.readings) == (1, 0, {"temperature": 0, "humidity": 0})


def _settled(control: Control, device: str, asked: int) -> Callable[[], bool]:
    def is_settled() -> bool:
        found = counts(control, device)
        return found.answers + found.noisy + found.broken == asked

    return is_settled


def _all_of(fd: int) -> bytes:
    data = b""
    while not is_quiet(fd):
        data += os.read(fd, 4096)
    return data


def _is_hung_up(fd: int) -> bool:
    try:
        return os.read(fd, 1) == b""
    except OSError:
        return True
