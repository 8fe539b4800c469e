"""What a line makes of bad input: the error, the counter each fault moves, and that the next transaction is good."""

from collections.abc import Callable

import pytest
from msgspec import to_builtins

from edge import port_line
from edge.errors import EdgeError, FrameError, LinkDownError, LinkTimeoutError
from edge.line import Line, LineCounters
from simulators.framing import rtu_frame
from tests.edge.peers import (
    SHORT_S,
    WIRE_S,
    Said,
    read,
    rtu_address,
    rtu_says,
    rtu_tcp_peer,
    run_line,
    serial_peer,
    tcp_peer,
    tcp_says,
    words,
)

SPOILT_AT, GOOD_AT = 10, (20, 30, 40)
GOOD = rtu_says(1, 7)

# What is said instead of register 10, and what it is: error, counters.
RTU_FAULTS: dict[str, tuple[bytes, type[EdgeError], LineCounters]] = {
    "nothing": (b"", LinkTimeoutError, LineCounters()),
    "one byte": (b"\x01", FrameError, LineCounters(noise_bytes=1)),
    "cut": (GOOD[:-1], FrameError, LineCounters(noise_bytes=len(GOOD) - 1)),
    "wrong crc": (GOOD[:-2] + b"\x00\x00", FrameError, LineCounters(crc_errors=1)),
    "right crc from another unit": (rtu_says(9, 7), LinkTimeoutError, LineCounters(strangers=1)),
    "another function": (rtu_frame(1, b"\x04\x02\x00\x07"), LinkTimeoutError, LineCounters(strangers=1)),
    "too short": (rtu_frame(1, b"\x03\x00"), FrameError, LineCounters()),
    "too long": (rtu_says(1, 7, 8), FrameError, LineCounters()),
    "ones": (b"\xff" * 300, FrameError, LineCounters(noise_bytes=300)),
    "every byte eight times": (bytes(range(256)) * 8, FrameError, LineCounters(noise_bytes=2048)),
    "beginning of a long frame": (
        b"\x01\x03\xff" + bytes(300),
        FrameError,
        LineCounters(crc_errors=1),
    ),
    "a function nobody knows": (b"\x01\x2b\x0e\x01\x00\x00\x00", FrameError, LineCounters(noise_bytes=7)),
}


def rtu_device(instead: bytes) -> Callable[[bytes], list[Said]]:
    """Answer each register with its own address, and register 10 with something else."""

    def answer(request: bytes) -> list[Said]:
        address = rtu_address(request)
        return [(WIRE_S, instead if address == SPOILT_AT else rtu_says(1, address))]

    return answer


async def spoilt_then_good(line: Line) -> tuple[object, list[object]]:
    first = await read(line, SPOILT_AT, timeout_s=SHORT_S)
    return first, [await read(line, address) for address in GOOD_AT]


@pytest.mark.parametrize("peer", [serial_peer, rtu_tcp_peer])
@pytest.mark.parametrize(("instead", "error", "counters"), RTU_FAULTS.values(), ids=RTU_FAULTS)
def test_an_rtu_fault_is_an_error_and_counted_and_the_next_answer_is_good(
    instead: bytes, error: type[EdgeError], counters: LineCounters, peer: Callable[..., object]
) -> None:
    async def story(line: Line) -> None:
        assert await spoilt_then_good(line) == (error, [[address] for address in GOOD_AT])
        assert to_builtins(line.counters) == to_builtins(counters)

    with peer(rtu_device(instead)) as bus:  # type: ignore[attr-defined]
        run_line(bus, story)


# The answer to register 10 of a TCP device, made from the request; a link that goes down is opened again.
TCP_FAULTS: dict[str, tuple[Callable[[bytes], bytes], type[EdgeError], LineCounters]] = {
    "nothing": (lambda _: b"", LinkTimeoutError, LineCounters()),
    "one byte": (lambda ask: ask[:1], FrameError, LineCounters(out_of_step=1, noise_bytes=1)),
    "cut": (lambda ask: tcp_says(ask, words(7))[:-1], FrameError, LineCounters(out_of_step=1, noise_bytes=10)),
    "another transaction": (
        lambda ask: bytes((ask[0], ask[1] ^ 0x80)) + tcp_says(ask, words(7))[2:],
        LinkTimeoutError,
        LineCounters(late=1),
    ),
    "another unit": (
        lambda ask: tcp_says(ask[:6] + b"\x09" + ask[7:], words(7)),
        FrameError,
        LineCounters(strangers=1),
    ),
    "another function": (lambda ask: tcp_says(ask, b"\x04\x02\x00\x07"), FrameError, LineCounters()),
    "too short": (lambda ask: tcp_says(ask, b"\x03\x00"), FrameError, LineCounters()),
    "too long": (lambda ask: tcp_says(ask, words(7, 8)), FrameError, LineCounters()),
    "wrong byte count": (lambda ask: tcp_says(ask, b"\x03\x01\x00\x07"), FrameError, LineCounters()),
    "not Modbus": (lambda _: b"HTTP/1.0 400 Bad Request", FrameError, LineCounters(out_of_step=1, noise_bytes=24)),
    "absurd length": (
        lambda ask: ask[:4] + b"\xff\xff" + ask[6:],
        FrameError,
        LineCounters(out_of_step=1, noise_bytes=12),
    ),
}


@pytest.mark.parametrize(("instead", "error", "counters"), TCP_FAULTS.values(), ids=TCP_FAULTS)
def test_a_tcp_fault_is_an_error_and_counted_and_the_next_answer_is_good(
    instead: Callable[[bytes], bytes], error: type[EdgeError], counters: LineCounters
) -> None:
    def answer(request: bytes) -> list[Said]:
        address = int.from_bytes(request[8:10], "big")
        return [(0.0, instead(request) if address == SPOILT_AT else tcp_says(request, words(address)))]

    async def story(line: Line) -> None:
        assert await spoilt_then_good(line) == (error, [[address] for address in GOOD_AT])
        assert to_builtins(line.counters) == to_builtins(counters)

    with tcp_peer(answer) as bus:
        run_line(bus, story)


@pytest.mark.parametrize("code", [*range(1, 12), 0, 255])
def test_exceptions_of_every_code_are_told_on_every_line(code: int) -> None:
    said = bytes((0x83, code))

    async def story(line: Line) -> None:
        assert await read(line, 0) == code
        assert line.counters == LineCounters()

    with serial_peer(lambda _: [(0.0, rtu_frame(1, said))]) as rtu:
        run_line(rtu, story)
    with tcp_peer(lambda request: [(0.0, tcp_says(request, said))]) as tcp:
        run_line(tcp, story)


@pytest.mark.parametrize("late_s", [0.02, 0.1])
@pytest.mark.parametrize("peer", [serial_peer, rtu_tcp_peer])
def test_a_late_answer_never_passes_for_the_next_one(
    late_s: float, peer: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # However busy the machine is, and the peer with it: what is late here is waited out.
    monkeypatch.setattr(port_line, "LONGEST_RESERVE_S", 5.0)

    def answer(request: bytes) -> list[Said]:
        address = rtu_address(request)
        return [(SHORT_S + late_s if address == 100 else WIRE_S, rtu_says(1, address))]

    async def story(line: Line) -> None:
        assert await read(line, 50) == [50]
        assert await read(line, 100, timeout_s=SHORT_S) is LinkTimeoutError
        assert [await read(line, address) for address in (200, 300)] == [[200], [300]]
        assert line.counters == LineCounters(late=1)

    with peer(answer) as bus:  # type: ignore[attr-defined]
        run_line(bus, story)


def test_the_late_answers_of_a_tcp_unit_cost_its_neighbours_nothing() -> None:
    """The device answers a request only when the next one has come: each answer is late, and known by its number."""
    kept: list[bytes] = []

    def answer(request: bytes) -> list[Said]:
        address = int.from_bytes(request[8:10], "big")
        if address == 100:
            kept.append(tcp_says(request, words(0xDEAD)))
            return []
        said = [(0.0, old) for old in kept] + [(0.0, tcp_says(request, words(address)))]
        kept.clear()
        return said

    async def story(line: Line) -> None:
        for address in (1, 2):
            assert await read(line, 100, timeout_s=SHORT_S) is LinkTimeoutError
            assert await read(line, address) == [address]
        assert line.counters == LineCounters(late=2)

    with tcp_peer(answer) as bus:
        run_line(bus, story)


@pytest.mark.parametrize("noise", [b"\xff", b"\x01\x03\x02", bytes(200)])
def test_noise_before_an_answer_is_survived(noise: bytes) -> None:
    async def story(line: Line) -> None:
        assert [await read(line, address) for address in (1, 2)] == [[1], [2]]
        assert line.counters == LineCounters(noise_bytes=2 * len(noise))

    with serial_peer(lambda request: [(0.0, noise), (0.01, rtu_says(1, rtu_address(request)))]) as bus:
        run_line(bus, story)


@pytest.mark.parametrize("step", [1, 3])
def test_an_answer_in_pieces_is_whole(step: int) -> None:
    frame = rtu_says(1, *range(40))
    said = [(0.001, frame[at : at + step]) for at in range(0, len(frame), step)]

    async def story(line: Line) -> None:
        assert await read(line, 0, count=40) == [*range(40)]

    with serial_peer(lambda _: said) as bus:
        run_line(bus, story)


def test_a_megabyte_of_nonsense_takes_the_link_down_and_it_can_be_opened_again() -> None:
    asked: list[bytes] = []

    def answer(request: bytes) -> list[Said]:
        asked.append(request)
        return [(0.0, b"\xa5" * 1_000_000 if len(asked) == 1 else tcp_says(request, words(5)))]

    async def story(line: Line) -> None:
        assert await read(line, 0, timeout_s=SHORT_S) in (FrameError, LinkDownError)
        failures = 0
        while (got := await read(line, 0, timeout_s=SHORT_S)) != [5]:
            assert got is LinkDownError
            failures += 1
            assert failures < 10
            await line.open()
        assert line.counters.drops >= 1

    with tcp_peer(answer) as bus:
        run_line(bus, story)
