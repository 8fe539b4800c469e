from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.framing import (
    MAX_MBAP_LENGTH,
    MAX_RTU_BYTES,
    MBAP_BYTES,
    RtuFramer,
    RtuRequest,
    TcpFramer,
    TcpRequest,
    crc16,
    rtu_frame,
    tcp_frame,
)

Request = TypeVar("Request", covariant=True)  # noqa: PLC0105


class Framer(Protocol[Request]):
    def feed(self, data: bytes) -> Sequence[Request]: ...


def fed(make: Callable[[], Framer[Request]], pieces: Sequence[bytes]) -> list[Request]:
    framer = make()
    return [request for piece in pieces for request in framer.feed(piece)]


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


def feeds_alike(make: Callable[[], Framer[Request]], data: bytes, places: Sequence[int] = ()) -> list[Request]:
    """Feed whole, byte by byte and cut anywhere; all must give the same."""
    whole = fed(make, [data])
    assert fed(make, [bytes((byte,)) for byte in data]) == whole
    assert fed(make, cut(data, places)) == whole
    return whole


words = st.binary(min_size=2, max_size=2)
request_pdus = st.one_of(
    st.builds(
        lambda function, rest: bytes((function,)) + rest,
        st.sampled_from([1, 2, 3, 4, 5, 6]),
        st.binary(min_size=4, max_size=4),
    ),
    st.builds(
        lambda function, head, data: bytes((function,)) + head + bytes((len(data),)) + data,
        st.sampled_from([15, 16]),
        st.binary(min_size=4, max_size=4),
        st.binary(max_size=246),
    ),
)
rtu_requests = st.builds(lambda unit, pdu: RtuRequest(unit, pdu, len(pdu) + 3), st.integers(0, 247), request_pdus)
tcp_requests = st.builds(TcpRequest, st.integers(0, 0xFFFF), st.integers(0, 255), st.binary(min_size=1, max_size=253))
cuts = st.lists(st.integers(0, 2000), max_size=12)

# Frames printed in manuals, see the profiles' captures.
MANUAL_REQUESTS = [
    "01 04 00 01 00 02 20 0B",
    "01 02 00 00 00 08 79 CC",
    "01 03 01 F4 00 10 04 08",
    "01 05 00 00 FF 00 8C 3A",
]


@pytest.mark.parametrize("printed", MANUAL_REQUESTS)
def test_a_request_printed_in_a_manual_is_read_and_its_checksum_is_ours(printed: str) -> None:
    frame = bytes.fromhex(printed)
    assert feeds_alike(RtuFramer, frame) == [RtuRequest(frame[0], frame[1:-2], len(frame))]
    assert rtu_frame(frame[0], frame[1:-2]) == frame


def test_the_checksum_is_that_of_the_serial_line_specification() -> None:
    # MODBUS over Serial Line V1.02, 6.2.2: of 02 07 it is 41 12 on the line.
    assert crc16(bytes.fromhex("02 07")).to_bytes(2, "little") == bytes.fromhex("41 12")


@given(st.lists(rtu_requests, max_size=6), cuts, st.binary(max_size=3))
def test_serial_requests_come_out_whatever_the_cuts_and_the_rest(
    requests: list[RtuRequest], places: list[int], rest: bytes
) -> None:
    stream = b"".join(rtu_frame(request.unit, request.pdu) for request in requests)
    assert feeds_alike(RtuFramer, stream, places) == requests
    assert feeds_alike(RtuFramer, stream + rest, places)[: len(requests)] == requests


@given(st.binary(max_size=600), cuts)
def test_random_bytes_on_a_serial_line_do_no_harm(data: bytes, places: list[int]) -> None:
    feeds_alike(RtuFramer, data, places)
    framer = RtuFramer()
    for piece in cut(data, places):
        framer.feed(piece)
        assert framer.waiting < MAX_RTU_BYTES
    framer.silence()
    assert framer.waiting == 0


@given(st.binary(max_size=40), rtu_requests)
def test_after_noise_and_silence_a_request_is_found(noise: bytes, request_: RtuRequest) -> None:
    framer = RtuFramer()
    framer.feed(noise)
    framer.silence()
    assert framer.feed(rtu_frame(request_.unit, request_.pdu)) == [request_]


@given(st.binary(max_size=40), rtu_requests)
def test_a_request_right_behind_noise_is_found_at_the_latest_by_the_silence(noise: bytes, request_: RtuRequest) -> None:
    framer = RtuFramer()
    found = framer.feed(noise + rtu_frame(request_.unit, request_.pdu))
    found += framer.silence()
    # Noise may be a request by chance only where its checksum fits; hypothesis does not find those.
    assert found[-1:] == [request_]


def test_what_was_no_request_is_counted() -> None:
    framer = RtuFramer()
    assert framer.feed(bytes.fromhex("55 AA 55 01 04 00 01 00 02 20 0B")) == [
        RtuRequest(1, bytes.fromhex("04 00 01 00 02"), 8)
    ]
    assert framer.noise_bytes == 3
    assert framer.feed(bytes.fromhex("01 04 00 01 00 02 20 0C")) == []
    assert framer.silence() == []
    assert framer.noise_bytes == 11


def test_a_standard_function_that_is_not_served_is_still_a_request() -> None:
    # Device identification and mask write: their lengths are known, so they can be refused as they should be.
    for pdu in (bytes.fromhex("2B 0E 01 00"), bytes.fromhex("16 00 04 00 F2 00 25"), b"\x07"):
        assert feeds_alike(RtuFramer, rtu_frame(9, pdu)) == [RtuRequest(9, pdu, len(pdu) + 3)]


@given(st.lists(tcp_requests, max_size=6), cuts, st.binary(max_size=6))
def test_tcp_requests_come_out_whatever_the_cuts_and_the_rest(
    requests: list[TcpRequest], places: list[int], rest: bytes
) -> None:
    stream = b"".join(tcp_frame(request.transaction, request.unit, request.pdu) for request in requests)
    assert feeds_alike(TcpFramer, stream + rest, places) == requests


@given(st.binary(max_size=600), cuts)
def test_random_bytes_on_a_connection_do_no_harm(data: bytes, places: list[int]) -> None:
    feeds_alike(TcpFramer, data, places)
    framer = TcpFramer()
    for piece in cut(data, places):
        framer.feed(piece)
        assert framer.waiting < MBAP_BYTES + MAX_MBAP_LENGTH


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("00 01 00 01 00 06 01", "protocol id 1"),
        ("00 01 00 00 00 01 01", "length 1"),
        ("00 01 00 00 00 00 01", "length 0"),
        ("00 01 00 00 00 FF 01", "length 255"),
        ("00 01 00 00 FF FF 01", "length 65535"),
    ],
)
def test_a_stream_that_is_not_modbus_ends_with_the_reason(header: str, fault: str) -> None:
    good = tcp_frame(1, 2, bytes.fromhex("03 00 00 00 01"))
    framer = TcpFramer()
    assert framer.feed(good + bytes.fromhex(header)) == [TcpRequest(1, 2, good[7:])]
    assert framer.fault is not None
    assert fault in framer.fault
    assert framer.feed(good) == []
    assert framer.waiting == 0
