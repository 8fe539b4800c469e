import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.alarms import AlarmEvent, Severity, Transition, decode_alarm
from contract.compression import ContentEncoding
from contract.telemetry import Lane
from edge.errors import StoreDamagedError, StoreFullError, StoreInUseError, StoreUnusableError
from edge.outbox import Batch, Outbox

PLAIN = ContentEncoding.IDENTITY
ALL = 1_000_000


def open_outbox(folder: Path, *, max_bytes: int = 10**6, alarm_bytes: int = 10**6) -> Outbox:
    return Outbox(folder / "outbox.db", max_bytes=max_bytes, alarm_bytes=alarm_bytes)


def alarm(number: int, transition: Transition = Transition.RAISED) -> AlarmEvent:
    at_us = 10**15 + number
    return AlarmEvent("g", "d", f"b{number}", "panic", transition, at_us, at_us, "panic", Severity.CRITICAL)


def everything(outbox: Outbox) -> list[Batch]:
    telemetry = outbox.next_batches(Lane.LIVE, mark=0, after=0, limit=ALL)
    return outbox.next_batches(Lane.ALARM, mark=0, after=0, limit=ALL) + telemetry


def put(outbox: Outbox, count: int, *, size: int = 100) -> list[int]:
    return [outbox.put_telemetry(b"x" * size, PLAIN, readings=10, boot="b") for _ in range(count)]


def test_what_was_put_is_there_after_a_restart_and_numbers_never_come_twice(tmp_path: Path) -> None:
    with open_outbox(tmp_path) as outbox:
        name, numbers = outbox.store, put(outbox, 3)
        outbox.settle(numbers)
        last = put(outbox, 1)
    with open_outbox(tmp_path) as outbox:
        assert outbox.store == name
        assert [batch.id for batch in everything(outbox)] == last
        assert outbox.newest() == last[0] == 4
        outbox.settle(last)
        assert put(outbox, 1) == [5]


def test_lanes_are_parted_by_the_mark_and_read_oldest_first(tmp_path: Path) -> None:
    with open_outbox(tmp_path) as outbox:
        put(outbox, 2)
        outbox.put_alarms([alarm(1)], boot="b")
        mark = outbox.newest()
        put(outbox, 2)

        def ids(lane: Lane, after: int = 0, limit: int = ALL) -> list[int]:
            return [batch.id for batch in outbox.next_batches(lane, mark=mark, after=after, limit=limit)]

        assert (ids(Lane.ALARM), ids(Lane.LIVE), ids(Lane.BACKFILL)) == ([3], [4, 5], [1, 2])
        assert (ids(Lane.LIVE, after=4), ids(Lane.BACKFILL, limit=1)) == ([5], [1])


def test_an_alarm_is_kept_as_it_will_be_sent_and_its_condition_is_remembered(tmp_path: Path) -> None:
    with open_outbox(tmp_path) as outbox:
        outbox.put_alarms([alarm(1), alarm(2)], boot="b")
        outbox.put_alarms([alarm(1, Transition.CLEARED)], boot="b")
    with open_outbox(tmp_path) as outbox:
        assert outbox.active() == {"g/d/b2/panic": 10**15 + 2}
        assert [decode_alarm(batch.payload, gateway="g") for batch in everything(outbox)] == [
            alarm(1), alarm(2), alarm(1, Transition.CLEARED),
        ]  # fmt: skip


def test_when_full_the_oldest_telemetry_goes_and_is_counted_and_alarms_stay(tmp_path: Path) -> None:
    with open_outbox(tmp_path, max_bytes=10 * 164) as outbox:
        outbox.put_alarms([alarm(1)], boot="b")
        numbers = put(outbox, 25)
        assert [batch.id for batch in everything(outbox)] == [1, *numbers[-10:]]
        assert outbox.evicted == 150
        assert outbox.depth(is_alarm=False).bytes <= 10 * 164


def test_telemetry_never_takes_the_room_of_alarms_and_alarms_are_bounded(tmp_path: Path) -> None:
    with open_outbox(tmp_path, max_bytes=1000, alarm_bytes=1500) as outbox:
        put(outbox, 50)
        outbox.put_alarms([alarm(1)], boot="b")
        outbox.put_alarms([alarm(2)], boot="b")
        outbox.put_alarms([alarm(3)], boot="b")
        with pytest.raises(StoreFullError, match="1500 bytes for alarms"):
            outbox.put_alarms([alarm(4)], boot="b")
        assert outbox.depth(is_alarm=True).batches == len(outbox.active()) == 3


def test_a_group_of_alarms_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    with open_outbox(tmp_path, alarm_bytes=2000) as outbox:
        before = outbox.depth(is_alarm=True)
        with pytest.raises(StoreFullError):
            outbox.put_alarms([alarm(number) for number in range(50)], boot="b")
        assert (outbox.depth(is_alarm=True), outbox.active(), everything(outbox)) == (before, {}, [])


@pytest.mark.parametrize("damage", [b"this is no database at all" * 100, b""], ids=["garbage", "torn"])
def test_a_damaged_file_is_set_aside_and_the_gateway_goes_on(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "outbox.db"
    with open_outbox(tmp_path) as outbox:
        name = outbox.store
        put(outbox, 50, size=1000)
    raw = path.read_bytes()
    path.write_bytes(damage or raw[:4096] + b"\xa5" * (len(raw) - 8192) + raw[-4096:])
    with open_outbox(tmp_path) as outbox:
        assert outbox.store != name
        assert outbox.set_aside is not None
        assert outbox.set_aside.exists()
        assert put(outbox, 1) == [1]


def test_a_file_damaged_while_in_use_is_replaced_on_request(tmp_path: Path) -> None:
    with open_outbox(tmp_path) as outbox:
        put(outbox, 3)
        outbox.set_damaged_aside("another file")
        assert outbox.set_aside is None
        outbox.put_alarms([alarm(1)], boot="b")
        outbox.set_damaged_aside(outbox.store)
        assert [decode_alarm(batch.payload, gateway="g") for batch in everything(outbox)] == [alarm(1)]
        assert outbox.active() == {alarm(1).source: alarm(1).raised_at_us}
        assert put(outbox, 1) == [2]
        assert outbox.depth(is_alarm=False).batches == outbox.depth(is_alarm=True).batches == 1


def test_pages_damaged_while_in_use_are_said_and_the_file_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with open_outbox(tmp_path) as outbox:
        put(outbox, 200, size=900)
        outbox._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw = path.read_bytes()
        path.write_bytes(raw[:8192] + b"\xa5" * (len(raw) - 8192))
        outbox._connection.execute("PRAGMA cache_size = 0")
        with pytest.raises(StoreDamagedError):
            everything(outbox)
        outbox.set_damaged_aside(outbox.store)
        assert put(outbox, 1) == [1]


def test_a_row_that_a_bad_sector_spoilt_is_dropped_and_counted(tmp_path: Path) -> None:
    with open_outbox(tmp_path) as outbox:
        numbers = put(outbox, 3)
        outbox._connection.execute("UPDATE batch SET encoding = 'defl@te' WHERE id = 2")
        assert [batch.id for batch in everything(outbox)] == [numbers[0], numbers[2]]
        assert outbox.evicted == 10
        assert outbox.depth(is_alarm=False).batches == 2


@pytest.mark.parametrize("change", ["PRAGMA user_version = 2", "DROP TABLE active"])
def test_a_file_of_another_version_is_set_aside(tmp_path: Path, change: str) -> None:
    with open_outbox(tmp_path) as outbox:
        outbox._connection.execute(change)
    with open_outbox(tmp_path) as outbox:
        assert outbox.set_aside is not None
        assert put(outbox, 1) == [1]


def test_a_fault_of_the_caller_leaves_no_transaction_open(tmp_path: Path) -> None:
    with open_outbox(tmp_path) as outbox:
        with pytest.raises(OverflowError):
            outbox.settle([10**19])
        assert put(outbox, 1) == [1]


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusableError, match="cannot be opened"):
        open_outbox(tmp_path / "missing")


def test_two_gateways_never_share_an_outbox(tmp_path: Path) -> None:
    with open_outbox(tmp_path), pytest.raises(StoreInUseError, match="used by another gateway"):
        open_outbox(tmp_path)
    with open_outbox(tmp_path) as outbox:
        assert put(outbox, 1) == [1]


def test_a_write_that_fails_leaves_nothing_half_done(tmp_path: Path) -> None:
    with open_outbox(tmp_path) as outbox:
        put(outbox, 1)
        other = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        outbox._connection.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(StoreFullError, match="cannot be written"):
            put(outbox, 1)
        other.execute("ROLLBACK")
        other.close()
        assert outbox.depth(is_alarm=False).batches == 1
        assert len(everything(outbox)) == 1


WRITER = """
import sys
from pathlib import Path
from contract.compression import ContentEncoding
from edge.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]), max_bytes=10**8, alarm_bytes=10**8)
while True:
    print(outbox.put_telemetry(b"x" * 500, ContentEncoding.IDENTITY, readings=10, boot="b"), flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 40])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, after: int) -> None:
    path = tmp_path / "outbox.db"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(after)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
    with open_outbox(tmp_path, max_bytes=10**8) as outbox:
        kept = [batch.id for batch in everything(outbox)]
    assert outbox.set_aside is None
    assert kept[: len(acknowledged)] == acknowledged


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 400)),
            st.tuples(st.just("settle"), st.integers(1, 30)),
            st.tuples(st.just("restart"), st.just(0)),
        ),
        max_size=40,
    )
)
def test_the_counts_always_agree_with_the_file(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("outbox")
    outbox = open_outbox(folder, max_bytes=2000)
    newest = 0
    for step, number in steps:
        if step == "put":
            (one,) = put(outbox, 1, size=number)
            assert one > newest
            newest = one
        elif step == "settle":
            outbox.settle([number])
        else:
            outbox.close()
            outbox = open_outbox(folder, max_bytes=2000)
        rows = everything(outbox)
        depth = outbox.depth(is_alarm=False)
        assert (depth.batches, depth.readings) == (len(rows), 10 * len(rows))
        assert depth.bytes == sum(len(row.payload) + 64 for row in rows) <= 2000
    outbox.close()
