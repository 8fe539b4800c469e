from collections.abc import Sequence
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.model import Table
from simulators.modbus import ExceptionCode, RefusedError, pack_bits, respond, unpack_bits


class Memory:
    """A bank that has every cell from 0 to `end`, and remembers what was written."""

    def __init__(self, *, end: int = 0x1_0000, cells: dict[tuple[Table, int], int] | None = None) -> None:
        self.end = end
        self.cells = cells or {}

    def read(self, table: Table, address: int, count: int) -> Sequence[int]:
        self._check(address, count)
        return [self.cells.get((table, place), 0) for place in range(address, address + count)]

    def write(self, table: Table, address: int, cells: Sequence[int]) -> None:
        self._check(address, len(cells))
        self.cells.update(((table, place), cell) for place, cell in enumerate(cells, address))

    def _check(self, address: int, count: int) -> None:
        if address + count > self.end:
            raise RefusedError(ExceptionCode.ILLEGAL_ADDRESS)


def cells(table: Table, address: int, values: Sequence[int]) -> Memory:
    return Memory(cells={(table, place): value for place, value in enumerate(values, address)})


def bits_of(data: str) -> tuple[int, ...]:
    raw = bytes.fromhex(data)
    return unpack_bits(raw, 8 * len(raw))


# The examples of MODBUS Application Protocol V1.1b3, sections 6.1 to 6.12: what is there, request, answer.
SPEC_READS = [
    pytest.param(cells(Table.COIL, 19, bits_of("CD 6B 05")), "01 00 13 00 13", "01 03 CD 6B 05", id="6.1"),
    pytest.param(cells(Table.DISCRETE_INPUT, 196, bits_of("AC DB 35")), "02 00 C4 00 16", "02 03 AC DB 35", id="6.2"),
    pytest.param(cells(Table.HOLDING, 107, (555, 0, 100)), "03 00 6B 00 03", "03 06 02 2B 00 00 00 64", id="6.3"),
    pytest.param(cells(Table.INPUT, 8, (10,)), "04 00 08 00 01", "04 02 00 0A", id="6.4"),
]
SPEC_WRITES = [
    pytest.param("05 00 AC FF 00", "05 00 AC FF 00", {(Table.COIL, 172): 1}, id="6.5"),
    pytest.param("06 00 01 00 03", "06 00 01 00 03", {(Table.HOLDING, 1): 3}, id="6.6"),
    pytest.param(
        "0F 00 13 00 0A 02 CD 01",
        "0F 00 13 00 0A",
        {(Table.COIL, 19 + place): bit for place, bit in enumerate((1, 0, 1, 1, 0, 0, 1, 1, 1, 0))},
        id="6.11",
    ),
    pytest.param(
        "10 00 01 00 02 04 00 0A 01 02",
        "10 00 01 00 02",
        {(Table.HOLDING, 1): 10, (Table.HOLDING, 2): 0x0102},
        id="6.12",
    ),
]


@pytest.mark.parametrize(("bank", "request_hex", "answer_hex"), SPEC_READS)
def test_the_specifications_reads_are_answered_as_printed_there(
    bank: Memory, request_hex: str, answer_hex: str
) -> None:
    assert respond(bytes.fromhex(request_hex), bank) == bytes.fromhex(answer_hex)


@pytest.mark.parametrize(("request_hex", "answer_hex", "written"), SPEC_WRITES)
def test_the_specifications_writes_are_done_and_answered_as_printed_there(
    request_hex: str, answer_hex: str, written: dict[tuple[Table, int], int]
) -> None:
    bank = Memory()
    assert respond(bytes.fromhex(request_hex), bank) == bytes.fromhex(answer_hex)
    assert bank.cells == written


@pytest.mark.parametrize(
    ("request_hex", "answer_hex"),
    [
        pytest.param("07", "87 01", id="a function of the standard that is not served"),
        pytest.param("16 00 04 00 F2 00 25", "96 01", id="mask write"),
        pytest.param("64 01", "E4 01", id="a function of somebody's own"),
        pytest.param("00", "80 01", id="function 0"),
        pytest.param("01 04 A1 00 01", "81 02", id="the specification's example, section 7"),
        pytest.param("03 01 FF 00 02", "83 02", id="the block ends behind the last cell"),
        pytest.param("04 FF FF 00 02", "84 02", id="the block ends behind address 65535"),
        pytest.param("05 02 00 FF 00", "85 02", id="no such coil"),
        pytest.param("06 02 00 00 01", "86 02", id="no such register"),
        pytest.param("10 01 FF 00 02 04 00 01 00 02", "90 02", id="writes of many are all or none"),
        pytest.param("01 00 00 00 00", "81 03", id="no coil"),
        pytest.param("01 00 00 07 D1", "81 03", id="2001 coils"),
        pytest.param("02 00 00 07 D1", "82 03", id="2001 inputs"),
        pytest.param("03 00 00 00 7E", "83 03", id="126 registers"),
        pytest.param("04 FF FF 00 7E", "84 03", id="the quantity is looked at before the address"),
        pytest.param("05 00 00 12 34", "85 03", id="a coil is FF00 or 0000"),
        pytest.param("06 00 00 00", "86 03", id="a byte is missing"),
        pytest.param("03 00 00 00 01 00", "83 03", id="a byte too many"),
        pytest.param("03", "83 03", id="nothing but the function"),
        pytest.param("0F 00 00 00 0A 01 CD", "8F 03", id="ten coils do not fit one byte"),
        pytest.param("0F 00 00 07 B1 02 CD 01", "8F 03", id="1969 coils"),
        pytest.param("10 00 00 00 02 04 00 01 00", "90 03", id="a byte of data is missing"),
        pytest.param("10 00 00 00 02 02 00 01", "90 03", id="the byte count is not twice the quantity"),
        pytest.param("10 00 00 00 00 00", "90 03", id="no register"),
        pytest.param("10 00 00", "90 03", id="cut short"),
        pytest.param("10 00 00 00 01", "90 03", id="cut before the byte count"),
    ],
)
def test_a_request_that_cannot_be_done_is_refused_with_the_code_of_the_specification(
    request_hex: str, answer_hex: str
) -> None:
    bank = Memory(end=0x200)
    assert respond(bytes.fromhex(request_hex), bank) == bytes.fromhex(answer_hex)
    assert bank.cells == {}


@given(st.lists(st.integers(0, 1), max_size=2000))
def test_bits_survive_packing(bits: list[int]) -> None:
    assert unpack_bits(pack_bits(bits), len(bits)) == tuple(bits)


@given(st.binary(min_size=1, max_size=253))
def test_any_request_gets_an_answer_that_fits_a_frame(pdu: bytes) -> None:
    answer = respond(pdu, Memory())
    assert 2 <= len(answer) <= 253
    assert answer[0] in (pdu[0], pdu[0] | 0x80)


@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=123))
def test_registers_written_read_back(address: int, words: list[int]) -> None:
    bank, count = Memory(), len(words)
    answer = respond(pack(f">BHHB{count}H", 16, address, count, 2 * count, *words), bank)
    if address + count > 0x1_0000:
        assert answer == bytes((0x90, ExceptionCode.ILLEGAL_ADDRESS))
    else:
        assert respond(pack(">BHH", 3, address, count), bank) == pack(f">BB{count}H", 3, 2 * count, *words)
