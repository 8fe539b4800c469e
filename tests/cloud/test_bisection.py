from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.database import dead_letters
from cloud.errors import DatabaseRefusedError, TooLargeError
from cloud.influx.bisection import Culprit, bisect

pytestmark = pytest.mark.anyio


class FakeDatabase:
    """Refuses what holds a bad line: as a whole (3.x), or all but the good lines (1.x)."""

    def __init__(self, bad: set[bytes], *, most: int = 10**9, keeps_good: bool = False) -> None:
        self.bad, self.most, self.keeps_good = bad, most, keeps_good
        self.kept: set[bytes] = set()
        self.requests = 0

    async def write(self, body: bytes) -> None:
        self.requests += 1
        lines = body.split(b"\n")
        if len(lines) > self.most:
            raise TooLargeError(f"{len(lines)} lines")
        good = [line for line in lines if line not in self.bad]
        if len(good) < len(lines):
            self.kept.update(good if self.keeps_good else ())
            raise DatabaseRefusedError("bad line")
        self.kept.update(good)


@given(st.integers(0, 200), st.data())
async def test_it_finds_exactly_the_culprits_in_few_requests(count: int, data: st.DataObject) -> None:
    lines = [b"%d" % number for number in range(count)]
    bad = data.draw(st.sets(st.integers(0, count - 1), max_size=8)) if count else set()
    database = FakeDatabase({lines[number] for number in bad}, keeps_good=data.draw(st.booleans()))
    culprits = await bisect(lines, database.write)
    assert culprits == [Culprit(number, number + 1, "bad line") for number in sorted(bad)]
    assert database.kept == set(lines) - database.bad
    assert database.requests <= 1 + 2 * len(bad) * (ceil(log2(count)) if count > 1 else 1)


@given(st.integers(1, 100), st.integers(1, 100))
async def test_too_large_is_halved_until_it_fits(count: int, most: int) -> None:
    lines = [b"%d" % number for number in range(count)]
    database = FakeDatabase(set(), most=most)
    assert await bisect(lines, database.write) == []
    assert database.kept == set(lines)


async def test_a_single_line_too_large_is_a_culprit() -> None:
    database = FakeDatabase(set(), most=0)
    assert await bisect([b"a", b"b"], database.write) == [Culprit(0, 1, "1 lines"), Culprit(1, 2, "1 lines")]


async def test_a_message_of_bad_lines_costs_a_bounded_number_of_requests() -> None:
    lines = [b"%d" % number for number in range(10_000)]
    database = FakeDatabase(set(lines))
    culprits = await bisect(lines, database.write, max_culprits=16)
    assert database.requests < 100
    assert [number for culprit in culprits for number in range(culprit.start, culprit.stop)] == list(range(10_000))


async def test_known_refusals_are_not_asked_again() -> None:
    database = FakeDatabase({b"a"})
    assert await bisect([b"a"], database.write, refused="said before") == [Culprit(0, 1, "said before")]
    assert database.requests == 0


async def test_other_errors_go_through() -> None:
    async def write(_: bytes) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await bisect([b"a"], write)


@given(st.lists(st.integers(1, 150_000), max_size=20))
async def test_a_block_becomes_payloads_that_are_never_cut(sizes: list[int]) -> None:
    lines = [b"%d" % (number % 10) * size for number, size in enumerate(sizes)]
    payloads = dead_letters.split_lines(lines)
    assert all(0 < len(payload) <= dead_letters.MAX_PAYLOAD_BYTES for payload in payloads)
    assert b"".join(payloads).replace(b"\n", b"") == b"".join(lines)
    whole = {line for line in lines if len(line) <= dead_letters.MAX_PAYLOAD_BYTES}
    assert whole <= {line for payload in payloads for line in payload.split(b"\n")}
    assert len(payloads) <= 1 + 2 * sum(sizes) // (dead_letters.MAX_PAYLOAD_BYTES // 2) + len(sizes)
