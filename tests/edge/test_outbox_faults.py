"""The outbox where the disk comes and goes, and where what was known of earlier boots is lost."""

import contextlib
import errno
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from contract.alarms import Transition
from contract.telemetry import ClockSource
from edge.errors import StoreFullError
from tests.edge.outbox_rig import NOON, SECOND, Machine, alarm, events_in, open_outbox, sample, telemetry


def no_disk(*_: object) -> sqlite3.Connection:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_WRITE"
    raise error


def no_copy(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_could_not_be_read_at_the_start_is_not_forgotten_when_the_disk_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(kernel_error_us=None, wall_us=0)
    with open_outbox(tmp_path, machine) as outbox:
        outbox.put_alarms([alarm(machine.steady_us, n=1), alarm(machine.steady_us + 1, n=2)])
        outbox.put_note("k", b"kept")
    with monkeypatch.context() as patch:
        patch.setattr("edge.outbox.alarms.open_file", no_disk)
        patch.setattr("edge.outbox.tables.shutil.copy", no_copy)
        outbox = open_outbox(tmp_path, Machine("boot-2"))
    outbox.put_alarms([alarm(machine.steady_us + 2, n=3)])
    name = outbox.alarm_store
    outbox.recover()
    assert outbox.alarm_store != name
    batches = outbox.next_alarms(after=0, limit=9)
    assert [event.point for event in events_in(outbox)] == ["b1", "b2", "b3"]
    assert len({batch.id for batch in batches}) == 3
    assert (outbox.faults, outbox.note("k")) == (set(), b"kept")
    outbox.close()
    with open_outbox(tmp_path, Machine("boot-2")) as outbox:
        assert len(events_in(outbox)) == 3
        assert {"g/d/b1/panic", "g/d/b3/panic"} <= set(outbox.standings())


def test_a_full_disk_is_no_reason_not_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_folder(*_: object, **_named: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    with open_outbox(tmp_path):
        pass
    with monkeypatch.context() as patch:
        patch.setattr("edge.outbox.alarms.open_file", no_disk)
        patch.setattr("edge.outbox.tables.tempfile.TemporaryDirectory", no_folder)
        outbox = open_outbox(tmp_path)
    outbox.put_alarms([alarm(NOON)])
    outbox.close()
    with open_outbox(tmp_path) as outbox:
        assert len(events_in(outbox)) == 1


def test_what_waited_in_memory_outlives_a_file_that_comes_back_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_outbox(tmp_path):
        pass
    with monkeypatch.context() as patch:
        patch.setattr("edge.outbox.alarms.open_file", no_disk)
        outbox = open_outbox(tmp_path)
    outbox.put_alarms([alarm(NOON)])
    path = tmp_path / "outbox.db"
    path.write_bytes(b"?" * 8192)
    for _ in range(2):
        outbox.recover()
    assert (len(events_in(outbox)), outbox.faults, len(outbox.set_aside)) == (1, set(), 1)
    outbox.close()
    with open_outbox(tmp_path) as outbox:
        assert len(events_in(outbox)) == 1


def test_presses_after_a_boot_whose_clock_was_ahead_have_ids_of_their_own(tmp_path: Path) -> None:
    with open_outbox(tmp_path, Machine(wall_us=NOON + 3600 * SECOND)) as outbox:
        outbox.put_alarms([alarm(1000 * SECOND)])
    with open_outbox(tmp_path, Machine("boot-2")) as outbox:
        for second in (1, 2):
            again = alarm((1000 + second) * SECOND, Transition.RETRIGGERED, raised_at_us=1000 * SECOND)
            outbox.put_alarms([again])
        events = events_in(outbox)
        assert len({event.alarm_id for event in events}) == 1
        assert len({event.event_id for event in events}) == 3


def test_a_boot_that_was_forgotten_holds_up_nobody(tmp_path: Path) -> None:
    with open_outbox(tmp_path, Machine("lost", wall_us=0, kernel_error_us=None)) as outbox:
        outbox.put_alarms([alarm(SECOND)])
        outbox.put_telemetry([sample(SECOND)])
    with contextlib.closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM machine")
        blob = b'{"piece":{"from_us":0,"offset_us":%d,"target_us":%d},"source":"ntp","error_us":1,"at_us":0}'
        values = ("here", NOON, "ntp;1", blob % (NOON, NOON))
        connection.execute("INSERT INTO machine (boot, offset_us, clock, timeline) VALUES (?, ?, ?, ?)", values)
    with open_outbox(tmp_path, Machine("here", kernel_error_us=None)) as outbox:
        assert len(events_in(outbox)) == len(telemetry(outbox)) == 1


def test_the_time_is_written_down_though_the_first_try_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(wall_us=0, kernel_error_us=None)

    def busy(*_: object) -> None:
        raise StoreFullError("another program holds the file")

    with open_outbox(tmp_path, machine) as outbox:
        outbox.clock.learn(ClockSource.CLOUD, NOON, 1000)
        with monkeypatch.context() as patch:
            patch.setattr(outbox._alarms, "put_machines", busy)
            with pytest.raises(StoreFullError):
                outbox.fix_times(())
        assert outbox.is_timed
        outbox.keep_clock()
    with open_outbox(tmp_path, machine) as outbox:
        assert outbox.is_timed


def test_an_alarm_without_room_is_worth_more_than_the_oldest_readings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        with open_outbox(tmp_path) as outbox:
            outbox.put_telemetry([sample(NOON)])

    def full(_path: Path) -> sqlite3.Connection:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorname = "SQLITE_FULL"
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("edge.outbox.alarms.open_file", full)
        patch.setattr("edge.outbox.ballast._reserve", no_copy)
        outbox = open_outbox(tmp_path)
        outbox.put_alarms([alarm(NOON)])
        outbox.put_telemetry([sample(NOON + 1)])
        assert (outbox.evicted, len(telemetry(outbox))) == (0, 4), "the disk has room all the same"
        patch.setattr("edge.outbox.log.os.statvfs", lambda _path: SimpleNamespace(f_bavail=0, f_frsize=4096))
        outbox.put_telemetry([sample(NOON + 2)])
        assert (outbox.evicted, len(telemetry(outbox))) == (10, 4)
    outbox.recover()
    outbox.put_telemetry([sample(NOON + 3)])
    outbox.close()
    with open_outbox(tmp_path) as outbox:
        assert (len(events_in(outbox)), len(telemetry(outbox))) == (1, 5)


def test_values_of_another_kind_where_a_file_was_damaged_stop_nothing(tmp_path: Path) -> None:
    with open_outbox(tmp_path):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as connection:
        connection.execute("INSERT INTO active VALUES ('g/d/b1/panic', 17)")
        connection.execute("INSERT INTO raised VALUES ('g/d/b1/panic', 'x', 'm', 'y')")
        connection.execute("INSERT INTO machine (boot, offset_us, clock, timeline) VALUES ('m', 'x', 1, 2)")
        connection.execute("UPDATE meta SET value = 'x' WHERE key = 'reserved'")
    with open_outbox(tmp_path) as outbox:
        assert outbox.standings() == {}
        outbox.put_alarms([alarm(NOON, Transition.CLEARED, raised_at_us=NOON - 5)])
        assert len(events_in(outbox)) == 1
