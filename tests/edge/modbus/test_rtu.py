import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.model import Table
from edge.errors import FrameError, LinkTimeoutError
from edge.modbus.counters import LineCounters
from edge.modbus.crc import crc16
from edge.modbus.pdu import read_request, write_request
from edge.modbus.rtu import MAX_BUFFER_BYTES, RtuExchange, rtu_frame
from simulators.framing import crc16 as other_crc16
from tests.edge.modbus.feeding import answers, every_way

CHARACTER_S = 0.001

# Request and answer as printed in the makers' manuals.
MANUALS = [
    ("01 04 00 01 00 02 20 0B", "01 04 04 01 31 02 22 2A CE"),
    ("01 03 01 01 00 01 D4 36", "01 03 02 00 01 79 84"),
    ("01 03 00 00 00 02 C4 0B", "01 03 04 00 02 00 5A DB C8"),
    ("01 02 00 00 00 08 79 CC", "01 02 01 00 A1 88"),
    ("FF 02 00 00 00 08 6C 12", "FF 02 01 01 51 A0"),
    ("01 05 00 00 FF 00 8C 3A", "01 05 00 00 FF 00 8C 3A"),
]
READ_TWO = read_request(Table.HOLDING, 0, 2)
TWO = rtu_frame(1, bytes.fromhex("03 04 00 07 00 08"))


def begun(request: bytes = READ_TWO, *, unit: int = 1, now: float = 0.0) -> RtuExchange:
    exchange = RtuExchange(name="bus test", least_character_s=CHARACTER_S)
    exchange.begin(unit, request, now=now)
    return exchange


def words(unit: int, *values: int) -> bytes:
    return rtu_frame(unit, struct.pack(f">BB{len(values)}H", 3, 2 * len(values), *values))


@given(st.binary(max_size=256))
def test_the_check_sum_is_the_other_implementations(data: bytes) -> None:
    assert crc16(data) == other_crc16(data)
    assert crc16(data + crc16(data).to_bytes(2, "little")) == 0


@pytest.mark.parametrize(("request_hex", "reply_hex"), MANUALS)
def test_the_manuals_frames_fed_in_every_way(request_hex: str, reply_hex: str) -> None:
    asked, reply = bytes.fromhex(request_hex), bytes.fromhex(reply_hex)
    assert rtu_frame(asked[0], asked[1:-2]) == asked
    for exchange, got in every_way(lambda: begun(asked[1:-2], unit=asked[0]), reply):
        assert got == [reply[1:-2]]
        assert exchange.counters == LineCounters()


@pytest.mark.parametrize("code", range(256))
def test_every_exception_is_an_answer(code: int) -> None:
    assert answers(begun(), [rtu_frame(1, bytes((0x83, code)))]) == [bytes((0x83, code))]


@pytest.mark.parametrize("noise", [b"\x00", b"\xff" * 5, TWO[:4], b"\x01\x03", b"\x01\x83", bytes(range(256)) * 3])
def test_noise_before_an_answer_is_passed_over_and_counted(noise: bytes) -> None:
    for exchange, got in every_way(begun, noise + TWO):
        assert got == [TWO[1:-2]]
        assert exchange.counters == LineCounters(noise_bytes=len(noise))


def test_what_comes_after_an_answer_is_dropped_and_counted() -> None:
    exchange = begun()
    assert answers(exchange, [TWO + b"\x01\x02\x03"]) == [TWO[1:-2]]
    exchange.begin(2, READ_TWO, now=2.0)
    assert exchange.counters.noise_bytes == 3
    assert answers(exchange, [words(2, 1, 2)]) == [words(2, 1, 2)[1:-2]]


@pytest.mark.parametrize(
    "stranger",
    [words(9, 1, 2), rtu_frame(9, b"\x83\x02"), rtu_frame(1, b"\x04\x02\x00\x01"), rtu_frame(9, b"\x06\0\1\0\2")],
)
def test_a_whole_frame_of_another_unit_or_function_is_passed_over(stranger: bytes) -> None:
    for exchange, got in every_way(begun, stranger + TWO):
        assert got == [TWO[1:-2]]
        assert exchange.counters == LineCounters(strangers=1)


@pytest.mark.parametrize("reply", [words(1, 7), words(1, 7, 8, 9), rtu_frame(1, b"\x03\x00")])
def test_an_answer_of_another_length_is_said_at_once(reply: bytes) -> None:
    exchange = begun()
    with pytest.raises(FrameError, match="unit 1"):
        exchange.feed(reply, now=1.0)


def test_the_answer_to_another_write_is_said_at_once() -> None:
    exchange = begun(write_request(Table.HOLDING, 5, [7]))
    with pytest.raises(FrameError, match="another write"):
        exchange.feed(rtu_frame(1, b"\x06\x00\x05\x00\x08"), now=1.0)


def test_a_wrong_check_sum_is_counted_and_owes_nothing() -> None:
    exchange = begun()
    spoilt = TWO[:-1] + bytes((TWO[-1] ^ 1,))
    seen = [(exchange.feed(piece, now=1.0), exchange.is_spoilt) for piece in (spoilt[:5], spoilt[5:])]
    assert seen == [(None, False), (None, True)]
    error = exchange.expire()
    assert isinstance(error, FrameError)
    assert "check sum" in str(error)
    assert not exchange.is_owed
    assert exchange.counters == LineCounters(crc_errors=1)


def test_silence_is_a_timeout_and_the_answer_is_owed() -> None:
    exchange = begun()
    assert isinstance(exchange.expire(), LinkTimeoutError)
    assert exchange.is_owed


def test_a_late_answer_is_known_in_every_way_of_coming() -> None:
    def late() -> RtuExchange:
        exchange = begun()
        exchange.expire()
        return exchange

    for exchange, got in every_way(late, TWO):
        assert got == []
        assert not exchange.is_owed
        assert exchange.counters == LineCounters(late=1)


def test_an_answer_cut_by_the_timeout_is_completed_as_a_late_one() -> None:
    exchange = begun()
    exchange.feed(TWO[:4], now=1.0)
    assert isinstance(exchange.expire(), FrameError)
    assert answers(exchange, [TWO[4:]]) == []
    assert exchange.counters == LineCounters(late=1)


def test_an_owed_answer_that_comes_sooner_than_the_wire_allows_is_stale() -> None:
    exchange = begun()
    exchange.expire()
    asked_at = 100.0
    sent = exchange.begin(1, READ_TWO, now=asked_at)
    wire_s = (len(sent) + len(TWO)) * CHARACTER_S
    assert answers(exchange, [TWO], now=asked_at + 0.9 * wire_s) == []
    assert exchange.counters.stale == 1
    assert answers(exchange, [words(1, 1, 2)], now=asked_at + 2 * wire_s) == [words(1, 1, 2)[1:-2]]


def test_an_answer_as_soon_as_the_wire_allows_is_the_answer() -> None:
    exchange = begun()
    exchange.expire()
    sent = exchange.begin(1, READ_TWO, now=100.0)
    assert answers(exchange, [TWO], now=100.0 + (len(sent) + len(TWO)) * CHARACTER_S) == [TWO[1:-2]]


def test_nothing_is_stale_while_nothing_is_owed() -> None:
    """A software device answers at once, however slow the wire claims to be."""
    assert answers(begun(now=5.0), [TWO], now=5.0) == [TWO[1:-2]]


def test_a_late_answer_of_one_unit_is_passed_over_while_another_is_asked() -> None:
    exchange = begun()
    exchange.expire()
    exchange.begin(2, READ_TWO, now=1.0)
    assert answers(exchange, [TWO, words(2, 5, 6)]) == [words(2, 5, 6)[1:-2]]
    assert exchange.counters == LineCounters(late=1)


def test_a_late_answer_of_another_length_is_passed_over() -> None:
    exchange = begun()
    exchange.expire()
    exchange.begin(1, read_request(Table.HOLDING, 0, 1), now=1.0)
    assert answers(exchange, [TWO, words(1, 5)]) == [words(1, 5)[1:-2]]
    assert exchange.counters == LineCounters(late=1)


def test_an_adapter_that_reads_back_what_is_sent_is_found_out() -> None:
    echo = rtu_frame(1, READ_TWO)
    for exchange, got in every_way(begun, echo + TWO):
        assert got == [TWO[1:-2]]
        assert exchange.counters == LineCounters()


def test_on_an_echoing_line_a_write_is_answered_by_the_second_frame() -> None:
    exchange = begun()
    answers(exchange, [rtu_frame(1, READ_TWO) + TWO])
    request = write_request(Table.COIL, 3, [1])
    sent = exchange.begin(1, request, now=1.0)
    assert answers(exchange, [sent]) == []
    assert answers(exchange, [sent]) == [request]


def test_a_refused_write_on_an_echoing_line_is_refused() -> None:
    exchange = begun()
    answers(exchange, [rtu_frame(1, READ_TWO) + TWO])
    sent = exchange.begin(1, write_request(Table.COIL, 3, [1]), now=1.0)
    assert answers(exchange, [sent[:3], sent[3:] + rtu_frame(1, b"\x85\x02")]) == [b"\x85\x02"]


def test_on_a_line_without_echo_a_write_is_answered_by_the_first_frame() -> None:
    request = write_request(Table.COIL, 3, [1])
    assert answers(begun(request), [rtu_frame(1, request)]) == [request]


def test_bytes_that_nobody_asked_for_are_noise() -> None:
    exchange = RtuExchange(name="bus test", least_character_s=CHARACTER_S)
    assert answers(exchange, [TWO]) == []
    assert exchange.counters == LineCounters(noise_bytes=len(TWO))


@given(st.lists(st.binary(max_size=400), max_size=20))
def test_no_bytes_do_harm_and_the_next_answer_is_read(pieces: list[bytes]) -> None:
    exchange = begun()
    for piece in pieces:
        try:
            exchange.feed(piece, now=1.0)
        except FrameError:
            break
        assert len(exchange._buffer) <= MAX_BUFFER_BYTES
    exchange.expire()
    exchange.begin(7, READ_TWO, now=50.0)
    assert answers(exchange, [words(7, 1, 2)], now=60.0) == [words(7, 1, 2)[1:-2]]


@given(st.integers(1, 125), st.data())
def test_one_wrong_bit_is_never_an_answer(count: int, data: st.DataObject) -> None:
    frame = bytearray(words(1, *range(count)))
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    exchange = begun(read_request(Table.HOLDING, 0, count))
    assert answers(exchange, [bytes(frame)]) == []
