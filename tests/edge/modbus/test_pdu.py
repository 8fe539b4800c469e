import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.model import Table
from edge.errors import FrameError
from edge.modbus.pdu import (
    MAX_PDU_BYTES,
    MAX_READ_BITS,
    MAX_READ_WORDS,
    MAX_WRITE_BITS,
    MAX_WRITE_WORDS,
    cells_of,
    fault_of,
    read_request,
    reply_size,
    span_of,
    write_request,
)
from simulators.modbus import pack_bits

# MODBUS Application Protocol V1.1b3, the examples of 6.1 to 6.4: request, answer, cells.
READS = [
    (Table.COIL, 19, 19, "01 00 13 00 13", "01 03 CD 6B 05", "1011 0011 1101 0110 101"),
    (Table.DISCRETE_INPUT, 196, 22, "02 00 C4 00 16", "02 03 AC DB 35", "0011 0101 1101 1011 1010 11"),
    (Table.HOLDING, 107, 3, "03 00 6B 00 03", "03 06 02 2B 00 00 00 64", (555, 0, 100)),
    (Table.INPUT, 8, 1, "04 00 08 00 01", "04 02 00 0A", (10,)),
]
# 6.5, 6.6, 6.11, 6.12.
WRITES = [
    (Table.COIL, 172, (1,), "05 00 AC FF 00", "05 00 AC FF 00"),
    (Table.HOLDING, 1, (3,), "06 00 01 00 03", "06 00 01 00 03"),
    (Table.COIL, 19, (1, 0, 1, 1, 0, 0, 1, 1, 1, 0), "0F 00 13 00 0A 02 CD 01", "0F 00 13 00 0A"),
    (Table.HOLDING, 1, (10, 258), "10 00 01 00 02 04 00 0A 01 02", "10 00 01 00 02"),
]


@pytest.mark.parametrize(("table", "address", "count", "request_hex", "reply_hex", "cells"), READS)
def test_the_standards_reads(
    table: Table, address: int, count: int, request_hex: str, reply_hex: str, cells: str | tuple[int, ...]
) -> None:
    request, reply = read_request(table, address, count), bytes.fromhex(reply_hex)
    assert request == bytes.fromhex(request_hex)
    assert reply_size(request) == len(reply)
    wanted = [int(bit) for bit in cells.replace(" ", "")] if isinstance(cells, str) else list(cells)
    assert list(cells_of(request, reply)) == wanted
    assert span_of(request) == (address, count)


@pytest.mark.parametrize(("table", "address", "cells", "request_hex", "reply_hex"), WRITES)
def test_the_standards_writes(
    table: Table, address: int, cells: tuple[int, ...], request_hex: str, reply_hex: str
) -> None:
    request, reply = write_request(table, address, cells), bytes.fromhex(reply_hex)
    assert request == bytes.fromhex(request_hex)
    assert reply_size(request) == len(reply)
    assert list(cells_of(request, reply)) == []
    assert span_of(request) == (address, len(cells))


@pytest.mark.parametrize(
    ("reply_hex", "why"),
    [
        ("", "empty"),
        ("04 06 02 2B 00 00 00 64", "function 4"),
        ("03 06 02 2B 00 00 00", "7 bytes"),
        ("03 06 02 2B 00 00 00 64 00", "9 bytes"),
        ("03 05 02 2B 00 00 00 64", "byte count 5"),
        ("83", "exception answer of 1"),
        ("83 02 00", "exception answer of 3"),
        ("83 02", "illegal data address"),
        ("83 63", "does not know"),
    ],
)
def test_an_answer_that_does_not_fit_is_said(reply_hex: str, why: str) -> None:
    with pytest.raises(FrameError, match=why):
        cells_of(bytes.fromhex("03 00 6B 00 03"), bytes.fromhex(reply_hex))


@pytest.mark.parametrize("reply_hex", ["05 00 AC 00 00", "05 00 AD FF 00"])
def test_the_answer_to_another_write_does_not_fit(reply_hex: str) -> None:
    why = fault_of(bytes.fromhex("05 00 AC FF 00"), bytes.fromhex(reply_hex))
    assert why is not None
    assert "another write" in why


@pytest.mark.parametrize(
    ("table", "most"),
    [(Table.COIL, MAX_READ_BITS), (Table.DISCRETE_INPUT, 2000), (Table.HOLDING, MAX_READ_WORDS), (Table.INPUT, 125)],
)
def test_a_read_is_as_long_as_the_standard_allows(table: Table, most: int) -> None:
    assert reply_size(read_request(table, 0, most)) <= MAX_PDU_BYTES
    assert read_request(table, 0x1_0000 - most, most)
    for address, count in ((0, 0), (0, most + 1), (0x1_0000 - most + 1, most), (-1, 1)):
        with pytest.raises(ValueError, match="cells"):
            read_request(table, address, count)


@pytest.mark.parametrize(("table", "most"), [(Table.COIL, MAX_WRITE_BITS), (Table.HOLDING, MAX_WRITE_WORDS)])
def test_a_write_is_as_long_as_the_standard_allows(table: Table, most: int) -> None:
    assert len(write_request(table, 0, [1] * most)) <= MAX_PDU_BYTES
    for cells in ([], [1] * (most + 1), [-1], [0x1_0000], [1, -1]):
        with pytest.raises(ValueError, match="cell"):
            write_request(table, 0, cells)


@pytest.mark.parametrize("table", [Table.DISCRETE_INPUT, Table.INPUT])
def test_inputs_cannot_be_written(table: Table) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        write_request(table, 0, [1])


@given(st.lists(st.integers(0, 1), min_size=1, max_size=2000))
def test_bits_come_back_as_they_went(bits: list[int]) -> None:
    data = pack_bits(bits)
    assert list(cells_of(read_request(Table.COIL, 0, len(bits)), bytes((1, len(data))) + data)) == bits


@given(st.binary(min_size=5, max_size=300), st.binary(max_size=300))
def test_no_bytes_do_more_than_not_fit(request: bytes, reply: bytes) -> None:
    request = bytes((request[0] % 16 + 1,)) + request[1:]
    if fault_of(request, reply) is None and not reply[0] & 0x80:
        assert len(reply) == reply_size(request)
