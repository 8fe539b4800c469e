import time
from random import Random

import anyio
import pytest

from simulators.framing import crc16, rtu_frame
from simulators.noise import Noise
from simulators.wire import LineClock, wire_at


@pytest.mark.parametrize(
    ("baud", "char_s", "gap_s"),
    [(9600, 11 / 9600, 38.5 / 9600), (19_200, 11 / 19_200, 38.5 / 19_200), (115_200, 11 / 115_200, 0.00175)],
)
def test_characters_and_silences_take_what_the_specification_says(baud: int, char_s: float, gap_s: float) -> None:
    wire = wire_at(baud)
    assert wire.char_s == pytest.approx(char_s)
    assert wire.gap_s == pytest.approx(gap_s)
    assert wire.duration_s(8) == pytest.approx(8 * char_s)


@pytest.mark.anyio
@pytest.mark.parametrize("has_kernel_timer", [True, False])
async def test_sleeping_never_ends_early(has_kernel_timer: bool) -> None:  # noqa: FBT001
    clock, random = LineClock(), Random(1)  # noqa: S311
    if not has_kernel_timer:
        clock._settime = None
    for _ in range(30):
        when_s = time.monotonic() + random.uniform(-0.001, 0.004)
        await clock.until(when_s)
        assert time.monotonic() >= when_s
    clock.close()
    clock.close()


@pytest.mark.anyio
async def test_a_sleep_that_was_cancelled_leaves_nothing_for_the_next() -> None:
    clock = LineClock()
    with anyio.move_on_after(0.001):
        await clock.until(time.monotonic() + 30)
    when_s = time.monotonic() + 0.003
    await clock.until(when_s)
    assert time.monotonic() >= when_s
    clock.close()


def test_noise_is_repeatable_and_either_before_a_whole_frame_or_inside_it() -> None:
    frame = rtu_frame(1, bytes.fromhex("04 04 01 31 02 22"))
    noise, again = Noise("seed"), Noise("seed")
    noise.rate = again.rate = 0.5
    disturbed = [noise.disturb(frame) for _ in range(400)]
    assert disturbed == [again.disturb(frame) for _ in range(400)]
    for said in disturbed:
        if said.is_noisy:
            assert said.data.endswith(frame)
            assert len(said.data) > len(frame)
        elif said.is_broken:
            assert len(said.data) == len(frame)
            assert crc16(said.data[:-2]) != int.from_bytes(said.data[-2:], "little")
        else:
            assert said.data == frame
    kinds = {(said.is_noisy, said.is_broken) for said in disturbed}
    assert kinds == {(False, False), (True, False), (False, True)}


def test_a_quiet_line_disturbs_nothing() -> None:
    noise = Noise("seed")
    assert all(noise.disturb(b"\x01\x02").data == b"\x01\x02" for _ in range(100))
