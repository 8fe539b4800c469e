"""The outbox as a whole: alarms beside telemetry, times, damage, restarts, the move from version 1."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from contract.alarms import Transition, encode_alarm
from contract.compression import ContentEncoding
from contract.ids import alarm_id
from contract.telemetry import NO_BOOT, ClockMark, ClockSource, Lane, Point, Sample
from edge.errors import StoreFullError, StoreInUseError, StoreUnusableError
from edge.outbox import Outbox, Ref
from edge.outbox.box import MAX_BATCH_READINGS
from edge.rules.standing import Standing
from tests.edge.outbox_rig import (
    NOON,
    SECOND,
    Machine,
    alarm,
    events_in,
    open_outbox,
    sample,
    samples_in,
    telemetry,
    times_in,
)  # fmt: skip

BOOT = 1000 * SECOND


def test_what_was_put_is_there_after_a_restart_in_wall_time(tmp_path: Path) -> None:
    machine = Machine()
    with open_outbox(tmp_path, machine) as outbox:
        outbox.put_telemetry([sample(BOOT), sample(BOOT + 5, "e")])
        outbox.put_alarms([alarm(BOOT)])
        names = (outbox.alarm_store, outbox.log_store)
    with open_outbox(tmp_path, machine) as outbox:
        assert (outbox.alarm_store, outbox.log_store) == names
        assert [(one.device, one.at_us) for one in samples_in(telemetry(outbox))] == [("d", NOON), ("e", NOON + 5)]
        (event,) = events_in(outbox)
        assert event == alarm(NOON)
        (batch,) = outbox.next_alarms(after=0, limit=9)
        assert (batch.source, batch.at_us, batch.clock) == (event.source, BOOT, ClockMark(ClockSource.NTP, 1))


def test_lanes_are_parted_by_the_mark_and_read_oldest_first(tmp_path: Path) -> None:
    with open_outbox(tmp_path) as outbox:
        for number in range(2):
            outbox.put_telemetry([sample(BOOT + number)])
        mark = outbox.newest()
        for number in range(2, 4):
            outbox.put_telemetry([sample(BOOT + number)])

        def times(lane: Lane, after: int = 0, limit: int = 9) -> list[int]:
            batches = outbox.next_telemetry(lane, mark=mark, after=after, limit=limit)
            return [one.at_us - NOON for one in samples_in(batches)]

        assert (times(Lane.LIVE), times(Lane.BACKFILL)) == ([2, 3], [0, 1])
        assert (times(Lane.LIVE, after=mark + 1), times(Lane.BACKFILL, limit=1)) == ([3], [0])


def test_many_readings_become_batches_that_are_not_too_large(tmp_path: Path) -> None:
    words = "".join(chr(0x4E00 + number) for number in range(900))
    given = [Sample("d", BOOT + number, (Point("s", words[number % 400 :]),)) for number in range(1500)]
    given += [sample(BOOT + 10**6 + number, count=20) for number in range(500)]
    with open_outbox(tmp_path) as outbox:
        outbox.put_telemetry(given)
        batches = telemetry(outbox)
        assert samples_in(batches) == [replace(one, at_us=one.at_us - BOOT + NOON) for one in given]
        assert max(batch.readings for batch in batches) <= MAX_BATCH_READINGS
        assert max(len(batch.payload) for batch in batches) <= 256 * 1024


def test_a_settled_batch_is_gone_and_another_outbox_s_receipt_settles_nothing(tmp_path: Path) -> None:
    with open_outbox(tmp_path) as outbox:
        outbox.put_telemetry([sample(BOOT)])
        outbox.put_alarms([alarm(BOOT)])
        (reading,), (event,) = telemetry(outbox), outbox.next_alarms(after=0, limit=9)
        for ref in (Ref("other", reading.id), Ref(event.store, event.id + 1), Ref(reading.store, reading.id + 1)):
            outbox.settle_telemetry([ref])
            outbox.settle_alarms([ref])
        assert outbox.get(reading.ref) == reading
        assert outbox.get(event.ref) == event
        outbox.settle_telemetry([reading.ref])
        outbox.settle_alarms([event.ref])
        assert outbox.depth(is_alarm=False).batches == outbox.depth(is_alarm=True).batches == 0
        outbox.put_alarms([alarm(BOOT + 1)])
        assert outbox.next_alarms(after=0, limit=9)[0].id > event.id
    with open_outbox(tmp_path) as outbox:
        outbox.put_alarms([alarm(BOOT + 2)])
        assert outbox.next_alarms(after=0, limit=9)[-1].id > event.id + 1


def test_telemetry_never_takes_the_room_of_alarms_and_alarms_are_bounded(tmp_path: Path) -> None:
    with open_outbox(tmp_path, max_bytes=65_536, alarm_bytes=3000) as outbox:
        for number in range(500):
            outbox.put_telemetry([sample(BOOT + number)])
        assert outbox.evicted > 0
        with pytest.raises(StoreFullError, match="3000 bytes for alarms"):
            outbox.put_alarms([alarm(BOOT + number, n=number) for number in range(50)], [("a", b"{}")])
        assert (outbox.depth(is_alarm=True).batches, outbox.standings()) == (0, {})
        outbox.put_alarms([alarm(BOOT)])
        outbox.put_alarms([alarm(BOOT + 1)])
        assert outbox.depth(is_alarm=True).batches == 2


def test_what_the_rules_remember_and_notes_survive(tmp_path: Path) -> None:
    machine = Machine()
    standing = Standing(BOOT, triggered_at_us=BOOT + 3)
    with open_outbox(tmp_path, machine) as outbox:
        events = [alarm(BOOT), alarm(BOOT, n=2), alarm(BOOT, n=3)]
        outbox.put_alarms(events, [(events[0].source, standing.encode()), (events[2].source, b"{}")])
        cleared = alarm(BOOT + 9, Transition.CLEARED, raised_at_us=BOOT, n=3)
        outbox.put_alarms([cleared], [(cleared.source, None)])
        outbox.put_note("modes", '{"a":"测试"}'.encode())
    with open_outbox(tmp_path, machine) as outbox:
        assert outbox.standings() == {events[0].source: standing, events[1].source: Standing(BOOT)}
        assert (outbox.note("modes"), outbox.note("other")) == ('{"a":"测试"}'.encode(), None)
    with open_outbox(tmp_path, Machine("boot-2", wall_us=NOON + 3600 * SECOND)) as outbox:
        # Steady time began anew: the rules get wall time, which they know to lie before all of today's.
        assert outbox.standings()[events[0].source] == Standing(NOON)


@pytest.mark.parametrize("spoilt", [b"this is no database at all" * 100, b""], ids=["garbage", "torn"])
def test_a_damaged_alarm_file_is_set_aside_and_what_can_be_read_is_taken_over(tmp_path: Path, spoilt: bytes) -> None:
    path = tmp_path / "outbox.db"
    machine = Machine()
    with open_outbox(tmp_path, machine) as outbox:
        name = outbox.alarm_store
        outbox.put_telemetry([sample(BOOT)])
        outbox.put_alarms([alarm(BOOT + number, n=number) for number in range(60)])
    raw = path.read_bytes()
    path.write_bytes(spoilt or raw[:24_576] + b"\xa5" * (len(raw) - 24_576))
    with open_outbox(tmp_path, machine) as outbox:
        assert outbox.alarm_store != name
        assert len(outbox.set_aside) == 1
        assert outbox.set_aside[0].exists()
        assert len(samples_in(telemetry(outbox))) == 1
        assert outbox.faults == set()
        outbox.put_alarms([alarm(BOOT + 99)])
        assert events_in(outbox)[-1] == alarm(NOON + 99)


def test_a_file_damaged_while_in_use_is_replaced_and_its_events_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with open_outbox(tmp_path) as outbox:
        name = outbox.alarm_store
        outbox.put_alarms([alarm(BOOT + number, n=number) for number in range(3)])
        outbox._alarms._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = path.stat().st_size // 4096
        # The last pages: tables that hold nothing yet; the events are before them.
        with path.open("r+b") as file:
            file.seek((pages - 1) * 4096)
            file.write(b"\xa5" * 4096)
        outbox._alarms._connection.execute("PRAGMA cache_size = 0")
        outbox.put_alarms([alarm(BOOT + 9, n=9)], [("x", b"{}")])
        outbox.standings()
        outbox.put_note("a", b"b")
        outbox._alarms.put_machines(outbox._alarms.machines())
        assert outbox.alarm_store == name or outbox.set_aside
        assert [event.point for event in events_in(outbox)] == ["b0", "b1", "b2", "b9"]


def test_a_row_that_a_bad_sector_spoilt_is_dropped_and_counted(tmp_path: Path) -> None:
    with open_outbox(tmp_path) as outbox:
        outbox.put_alarms([alarm(BOOT + number, n=number) for number in range(3)])
        outbox._alarms._connection.execute(
            "UPDATE alarm SET clock = 'n?p' WHERE point = 'b1'".replace("point", "source").replace(
                "'b1'", "'g/d/b1/panic'"
            )
        )
        assert [event.point for event in events_in(outbox)] == ["b0", "b2"]
        assert outbox.evicted == 1


def test_a_file_of_a_later_version_is_set_aside(tmp_path: Path) -> None:
    with open_outbox(tmp_path) as outbox:
        outbox._alarms._connection.execute("PRAGMA user_version = 3")
    with open_outbox(tmp_path) as outbox:
        assert len(outbox.set_aside) == 1
        outbox.put_alarms([alarm(BOOT)])


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusableError, match="cannot be opened"):
        open_outbox(tmp_path / "missing")


def test_two_gateways_never_share_an_outbox(tmp_path: Path) -> None:
    with open_outbox(tmp_path), pytest.raises(StoreInUseError, match="used by another gateway"):
        open_outbox(tmp_path)
    open_outbox(tmp_path).close()


# --- time


def untimed(boot: str = "boot-1", *, wall_us: int = NOON) -> Machine:
    return Machine(boot, wall_us=wall_us, kernel_error_us=None)


def test_before_anybody_has_told_the_time_nothing_can_be_sent_and_nothing_is_lost(tmp_path: Path) -> None:
    machine = untimed(wall_us=0)
    with open_outbox(tmp_path, machine) as outbox:
        outbox.put_telemetry([sample(machine.steady_us)])
        outbox.put_alarms([alarm(machine.steady_us)])
        assert (telemetry(outbox), outbox.next_alarms(after=0, limit=9)) == ([], [])
        assert outbox.depth(is_alarm=False).readings == 10
        machine.run_for(50)
        outbox.clock.learn(ClockSource.CLOUD, NOON + 50 * SECOND, 3000)
        outbox.fix_times(outbox.unstamped_telemetry())
        outbox.put_telemetry([sample(machine.steady_us)])
        assert times_in(outbox) == [NOON, NOON + 50 * SECOND]
        assert {batch.clock for batch in telemetry(outbox)} == {ClockMark(ClockSource.CLOUD, 3)}
        assert events_in(outbox) == [alarm(NOON)]
        again = outbox.next_alarms(after=0, limit=9)
    with open_outbox(tmp_path, machine) as outbox:
        assert outbox.next_alarms(after=0, limit=9) == again
        assert times_in(outbox) == [NOON, NOON + 50 * SECOND]
        # The clock goes on where it was: nobody has to be asked again.
        assert outbox.is_timed


def test_a_raise_and_its_clear_share_an_id_whatever_the_clock_did_in_between(tmp_path: Path) -> None:
    machine = untimed(wall_us=NOON - 3600 * SECOND)
    with open_outbox(tmp_path, machine) as outbox:
        raised_at_us = machine.steady_us
        outbox.put_alarms([alarm(raised_at_us)])
        outbox.fix_times([])
        (raised,) = events_in(outbox)
        assert raised.at_us == NOON - 3600 * SECOND
        assert outbox.next_alarms(after=0, limit=1)[0].clock == ClockMark(ClockSource.ESTIMATED)
        machine.run_for(10)
        outbox.clock.learn(ClockSource.CLOUD, NOON + 10 * SECOND, 3000)
        outbox.keep_clock()
        outbox.put_alarms([alarm(machine.steady_us, Transition.CLEARED, raised_at_us=raised_at_us)])
        assert [event.alarm_id for event in events_in(outbox)] == [raised.alarm_id] * 2
        assert events_in(outbox)[1].at_us == NOON + 10 * SECOND
        assert raised.alarm_id == alarm_id(raised.source, raised.raised_at_us)


def test_a_clear_after_a_reboot_ends_what_was_raised_before_it(tmp_path: Path) -> None:
    first = untimed(wall_us=NOON)
    with open_outbox(tmp_path, first) as outbox:
        outbox.put_alarms([alarm(first.steady_us)])
    second = untimed("boot-2", wall_us=NOON)
    with open_outbox(tmp_path, second) as outbox:
        (standing,) = outbox.standings().values()
        cleared = alarm(second.steady_us, Transition.CLEARED, raised_at_us=standing.raised_at_us)
        outbox.put_alarms([cleared])
        assert events_in(outbox) == []
        outbox.clock.learn(ClockSource.CLOUD, NOON + 7200 * SECOND, 3000)
        outbox.fix_times([])
        raised, cleared = events_in(outbox)
        assert raised.alarm_id == cleared.alarm_id
        assert raised.at_us == raised.raised_at_us < cleared.at_us == NOON + 7200 * SECOND


@pytest.mark.parametrize(
    ("walls", "expected"),
    [
        # A machine with a battery: its own clock can be believed.
        ((NOON, NOON + 7200 * SECOND), [NOON, NOON + 7200 * SECOND]),
        # A clock of 1970: each boot is placed right before the next.
        ((0, 0), None),
        # A clock that was ahead of what came later cannot have been right.
        ((NOON + 10**6 * SECOND, NOON + 10**6 * SECOND), None),
    ],
    ids=["battery", "none", "ahead"],
)
def test_boots_that_never_knew_the_time_keep_their_order(
    tmp_path: Path, walls: tuple[int, int], expected: list[int] | None
) -> None:
    for number, wall_us in enumerate(walls):
        machine = untimed(f"boot-{number}", wall_us=wall_us)
        with open_outbox(tmp_path, machine) as outbox:
            outbox.put_telemetry([sample(machine.steady_us)])
            machine.run_for(5)
            outbox.put_telemetry([sample(machine.steady_us)])
            outbox.put_alarms([alarm(machine.steady_us, n=number)])
    with open_outbox(tmp_path, Machine("boot-9", wall_us=NOON + 86_400 * SECOND)) as outbox:
        times, alarms = times_in(outbox), [event.at_us for event in events_in(outbox)]
        assert times == sorted(set(times))
        assert times[1] - times[0] == times[3] - times[2] == 5 * SECOND
        assert alarms == [times[1], times[3]]
        # The last boot began a thousand seconds before noon of the next day.
        assert times[-1] < NOON + 86_400 * SECOND - 1000 * SECOND
        assert {batch.clock for batch in telemetry(outbox)} == {ClockMark(ClockSource.ESTIMATED)}
        if expected:
            assert [times[0], times[2]] == expected


def test_times_rise_when_the_clock_is_set_back_and_the_gateway_restarted(tmp_path: Path) -> None:
    machine = Machine()
    for step in (0, -3600, 1800, -5, 0):
        machine.wall_us += step * SECOND
        with open_outbox(tmp_path, machine) as outbox:
            for _ in range(3):
                outbox.put_telemetry([sample(machine.steady_us)])
                machine.run_for(1)
                outbox.clock.ask_kernel()
                outbox.keep_clock()
    with open_outbox(tmp_path, machine) as outbox:
        times = times_in(outbox)
        assert len(times) == 15
        assert times == sorted(set(times))


# --- from version 1


V1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT, is_alarm INTEGER NOT NULL, readings INTEGER NOT NULL,
    boot TEXT NOT NULL, encoding TEXT NOT NULL, payload BLOB NOT NULL
);
CREATE INDEX batch_by_lane ON batch (is_alarm, id);
CREATE TABLE active (source TEXT PRIMARY KEY, raised_at_us INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


def test_an_outbox_of_version_1_is_taken_over_and_nothing_is_lost(tmp_path: Path) -> None:
    event = alarm(NOON)
    with sqlite3.connect(tmp_path / "outbox.db") as old:
        old.executescript("PRAGMA journal_mode = WAL;" + V1)
        old.execute("INSERT INTO meta VALUES ('store', 'abc')")
        for number in range(450):
            row = (0, 3, "old", "identity", b"batch %d" % number)
            old.execute("INSERT INTO batch (is_alarm, readings, boot, encoding, payload) VALUES (?, ?, ?, ?, ?)", row)
        row = (1, 1, "old", "identity", encode_alarm(event))
        old.execute("INSERT INTO batch (is_alarm, readings, boot, encoding, payload) VALUES (?, ?, ?, ?, ?)", row)
        old.execute("INSERT INTO active VALUES (?, ?)", (event.source, NOON))
    old.close()
    # Cut short once: a log that was begun is begun anew.
    (tmp_path / "outbox.db.log").mkdir()
    (tmp_path / "outbox.db.log" / f"{1:020d}.seg").write_bytes(b"half")
    machine = Machine(wall_us=NOON + 60 * SECOND)
    with open_outbox(tmp_path, machine) as outbox:
        batches = telemetry(outbox)
        assert [batch.payload for batch in batches] == [b"batch %d" % number for number in range(450)]
        assert {(batch.boot, batch.readings, batch.encoding) for batch in batches} == {
            (NO_BOOT, 3, ContentEncoding.IDENTITY)
        }
        assert events_in(outbox) == [event]
        assert outbox.alarm_store == "abc"
        assert outbox.oldest_s(is_alarm=False) == 0.0, "nobody knows"
        assert outbox.standings() == {event.source: Standing(NOON)}
        outbox.put_alarms([alarm(machine.steady_us, Transition.CLEARED, raised_at_us=NOON)])
        raised, cleared = outbox.next_alarms(after=0, limit=9)
        assert (raised.id, cleared.id > 451) == (451, True)
        assert {one.alarm_id for one in events_in(outbox)} == {event.alarm_id}
    with open_outbox(tmp_path, machine) as outbox:
        assert len(telemetry(outbox)) == 450
        assert outbox.set_aside == []


WRITER = """
import sys
from pathlib import Path
from edge.outbox import Outbox
from tests.edge.outbox_rig import alarm, open_outbox
outbox = open_outbox(Path(sys.argv[1]), alarm_bytes=10**7)
number = 0
while True:
    number += 1
    outbox.put_alarms([alarm(1000_000_000 + number, n=number)])
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 5, 17])
def test_an_alarm_that_was_taken_survives_kill_9(tmp_path: Path, after: int) -> None:
    arguments = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(after)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
    with open_outbox(tmp_path, alarm_bytes=10**7) as outbox:
        found = [event.point for event in events_in(outbox)]
        assert found[: len(acknowledged)] == [f"b{number}" for number in acknowledged]
        assert isinstance(outbox, Outbox)
