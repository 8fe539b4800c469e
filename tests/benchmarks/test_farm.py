from itertools import pairwise
from struct import unpack

import pytest

from benchmarks.farm import FAULTS, REGISTERS, WALK_BLOCKS, Farm

READ_REGISTERS = bytes((3, 0, 0, 0, REGISTERS))
READ_INPUTS = bytes((2, 0, 0, 0, 8))


def values(reply: bytes) -> tuple[int, ...]:
    return unpack(f">{REGISTERS}H", reply[2:])


def test_a_counter_stands_in_every_register_and_goes_up_with_each_read() -> None:
    farm = Farm(2, walk=False, keep_times=False)
    first, second = (farm.answer(farm.units[1], READ_REGISTERS) for _ in range(2))
    assert first[:2] == bytes((3, 2 * REGISTERS))
    assert (values(first), values(second)) == ((1,) * REGISTERS, (2,) * REGISTERS)
    stats = farm.control({"op": "stats"})
    assert stats["counters"] == {1: 2, 2: 0}
    assert stats["reads"] == {1: 2, 2: 0}


def test_the_counter_wraps_at_sixteen_bits() -> None:
    farm = Farm(1, walk=False, keep_times=False)
    farm.units[1].counter = 0xFFFF
    assert values(farm.answer(farm.units[1], READ_REGISTERS))[0] == 0
    assert farm.units[1].counter == 0x1_0000


def test_values_that_wander_differ_and_carry_the_counter_in_the_first_register() -> None:
    farm = Farm(1, walk=True, keep_times=False)
    blocks = [values(farm.answer(farm.units[1], READ_REGISTERS)) for _ in range(WALK_BLOCKS + 5)]
    assert [block[0] for block in blocks] == list(range(1, WALK_BLOCKS + 6))
    assert len({block[1:] for block in blocks}) > WALK_BLOCKS // 3
    steps = [abs(later[7] - earlier[7]) for earlier, later in pairwise(blocks)]
    assert 0 < max(steps) < 20


def test_a_flip_shows_in_the_inputs_and_back() -> None:
    farm = Farm(1, walk=False, keep_times=False)
    assert farm.control({"op": "flip", "unit": 1, "bit": 3})["value"] is True
    assert farm.answer(farm.units[1], READ_INPUTS) == bytes((2, 1, 8))
    assert farm.control({"op": "flip", "unit": 1, "bit": 3})["value"] is False
    assert farm.answer(farm.units[1], READ_INPUTS) == bytes((2, 1, 0))


def test_what_it_does_not_have_is_refused() -> None:
    farm = Farm(1, walk=False, keep_times=False)
    assert farm.answer(farm.units[1], bytes((3, 0, 1, 0, 1))) == bytes((0x83, 2))
    assert farm.answer(farm.units[1], bytes((6, 0, 0, 0, 1))) == bytes((0x86, 2))
    assert farm.units[1].counter == 0


def test_times_are_kept_when_asked_for_and_paged() -> None:
    farm = Farm(1, walk=False, keep_times=True)
    for _ in range(3):
        farm.answer(farm.units[1], READ_REGISTERS)
    times = farm.control({"op": "times", "unit": 1, "first": 0})["times_ms"]
    assert len(times) == 3
    assert times == sorted(times)
    assert farm.control({"op": "times", "unit": 1, "first": 3})["times_ms"] == []


def test_a_reset_keeps_the_counters() -> None:
    farm = Farm(1, walk=False, keep_times=False)
    farm.answer(farm.units[1], READ_REGISTERS)
    farm.control({"op": "reset"})
    stats = farm.control({"op": "stats"})
    assert stats["reads"] == {1: 0}
    assert stats["counters"] == {1: 1}


def test_an_unknown_request_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown op"):
        Farm(1, walk=False, keep_times=False).control({"op": "explode"})


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_set_and_taken_back(kind: str) -> None:
    farm = Farm(1, walk=False, keep_times=False)
    farm.control({"op": "fault", "unit": 1, "kind": kind})
    assert farm.units[1].fault == kind
    farm.control({"op": "fault", "unit": 1, "kind": None})
    assert farm.units[1].fault is None
