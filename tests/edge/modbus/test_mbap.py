import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.model import Table
from edge.errors import FrameError, LinkDownError, LinkTimeoutError
from edge.modbus.counters import LineCounters
from edge.modbus.mbap import HEADER_BYTES, MAX_LENGTH, MbapExchange
from edge.modbus.pdu import read_request
from tests.edge.modbus.feeding import answers, every_way

READ = read_request(Table.HOLDING, 0, 2)
SAYS = bytes.fromhex("03 04 00 07 00 08")


def frame(transaction: int, unit: int = 1, pdu: bytes = SAYS) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def begun(request: bytes = READ, *, transactions: int = 1) -> MbapExchange:
    exchange = MbapExchange(name="bus test")
    for _ in range(transactions):
        exchange.begin(1, request, now=0.0)
    return exchange


def test_the_messaging_guides_request() -> None:
    """Source: MODBUS Messaging on TCP/IP V1.0b, 4.4.1.3: read register 5 of a unit, transaction 15 01."""
    exchange = MbapExchange(name="bus test")
    exchange.transaction = 0x1500
    assert exchange.begin(0xFF, read_request(Table.HOLDING, 4, 1), now=0.0).hex(" ") == (
        "15 01 00 00 00 06 ff 03 00 04 00 01"
    )


def test_an_answer_fed_in_every_way() -> None:
    for exchange, got in every_way(begun, frame(1)):
        assert got == [SAYS]
        assert exchange.counters == LineCounters()


@pytest.mark.parametrize("code", range(256))
def test_every_exception_is_an_answer(code: int) -> None:
    assert answers(begun(), [frame(1, pdu=bytes((0x83, code)))]) == [bytes((0x83, code))]


def test_transactions_are_numbered_and_begin_anew_after_65535() -> None:
    exchange = begun(transactions=0xFFFF)
    assert answers(exchange, [frame(0xFFFF)]) == [SAYS]
    exchange.begin(1, READ, now=0.0)
    assert answers(exchange, [frame(0)]) == [SAYS]


def test_late_answers_are_passed_over_in_every_way_of_coming() -> None:
    for exchange, got in every_way(lambda: begun(transactions=3), frame(1) + frame(2) + frame(3)):
        assert got == [SAYS]
        assert exchange.counters == LineCounters(late=2)


def test_a_late_answer_is_passed_over_while_nothing_is_asked() -> None:
    exchange = begun()
    assert isinstance(exchange.expire(), LinkTimeoutError)
    assert answers(exchange, [frame(1)]) == []
    assert exchange.counters == LineCounters(late=1)


def test_another_unit_is_passed_over_and_named_when_nothing_better_comes() -> None:
    for exchange, got in every_way(begun, frame(1, unit=9) + frame(1)):
        assert got == [SAYS]
        assert exchange.counters == LineCounters(strangers=1)
    exchange = begun()
    assert answers(exchange, [frame(1, unit=9)]) == []
    assert "unit 9 answered instead" in str(exchange.expire())


@pytest.mark.parametrize(
    "pdu", [b"\x04\x04\x00\x07\x00\x08", b"\x03\x02\x00\x07", b"\x03\x03\x00\x07\x00\x08", b"\x83\x02\0"]
)
def test_an_answer_that_does_not_fit_is_said_at_once_and_the_next_is_read(pdu: bytes) -> None:
    exchange = begun()
    with pytest.raises(FrameError, match="unit 1"):
        exchange.feed(frame(1, pdu=pdu), now=0.0)
    exchange.begin(1, READ, now=0.0)
    assert answers(exchange, [frame(2)]) == [SAYS]
    assert exchange.counters == LineCounters()


@pytest.mark.parametrize(
    "junk", [b"HTTP/1.0 400", b"\0\1\0\1\0\6\1", b"\0\1\0\0\0\0\1\3", b"\0\1\0\0\xff\xff\1\3", b"\0\1\0\0\0\2\1\3"]
)
def test_a_stream_out_of_step_is_said_at_once_and_finds_the_next_answer(junk: bytes) -> None:
    exchange = begun()
    with pytest.raises(FrameError, match="no Modbus TCP"):
        exchange.feed(junk, now=0.0)
    exchange.begin(1, READ, now=0.0)
    assert answers(exchange, [b"more junk", frame(2)]) == [SAYS]
    assert exchange.counters == LineCounters(out_of_step=1, noise_bytes=len(junk) + len(b"more junk"))


def test_half_a_frame_does_not_spoil_the_next_answer_whether_its_rest_comes_or_not() -> None:
    for rest in (b"", frame(1)[9:]):
        exchange = begun()
        exchange.feed(frame(1)[:9], now=0.0)
        assert "half an answer" in str(exchange.expire())
        exchange.begin(1, READ, now=0.0)
        assert answers(exchange, [rest + frame(2)]) == [SAYS]
        assert exchange.counters == LineCounters(out_of_step=1, noise_bytes=9 + len(rest))


def test_half_a_frame_of_a_lost_connection_does_not_spoil_the_first_answer_of_the_next() -> None:
    exchange = begun()
    exchange.feed(frame(1)[:9], now=0.0)
    exchange.restart()
    exchange.begin(1, READ, now=0.0)
    assert answers(exchange, [frame(2)]) == [SAYS]
    assert exchange.counters == LineCounters(noise_bytes=9)


def test_a_search_finds_an_answer_fed_in_every_way() -> None:
    def lost() -> MbapExchange:
        exchange = begun()
        exchange.feed(b"\0\1\0", now=0.0)
        exchange.expire()
        exchange.begin(1, READ, now=0.0)
        return exchange

    decoy = b"\0\2\0\0\0\7\2\3" + b"\0\2\0\0\0\1\1\3"
    for exchange, got in every_way(lost, decoy + frame(2)):
        assert got == [SAYS]
        assert exchange.counters.noise_bytes == 3 + len(decoy)


def test_a_stream_that_stays_out_of_step_is_to_be_opened_anew() -> None:
    exchange = begun()
    with pytest.raises(FrameError):
        exchange.feed(b"\xff" * 100, now=0.0)
    exchange.begin(1, READ, now=0.0)
    assert answers(exchange, [b"\xff" * 100]) == []
    assert isinstance(exchange.expire(), LinkDownError)


def test_a_mute_unit_after_half_a_frame_is_a_timeout() -> None:
    exchange = begun()
    exchange.feed(frame(1)[:9], now=0.0)
    exchange.expire()
    exchange.begin(2, READ, now=0.0)
    assert isinstance(exchange.expire(), LinkTimeoutError)


@given(st.lists(st.binary(max_size=600), max_size=10))
def test_no_bytes_do_harm_and_the_next_answer_is_read(pieces: list[bytes]) -> None:
    exchange = begun()
    for piece in pieces:
        try:
            exchange.feed(piece, now=0.0)
        except FrameError:
            break
        assert len(exchange._buffer) < HEADER_BYTES + MAX_LENGTH
    exchange.expire()
    exchange.begin(1, READ, now=0.0)
    assert answers(exchange, [frame(2)]) == [SAYS]
