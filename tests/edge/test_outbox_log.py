"""The telemetry log: what is put is there, whatever is killed, cut off, spoilt or full."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.compression import ContentEncoding
from contract.telemetry import ClockMark, ClockSource
from edge.outbox import segment as segment_module
from edge.outbox.batch import Batch
from edge.outbox.log import MAX_READINGS_IN_MEMORY, MAX_SET_ASIDE, NUMBERS_A_RUN, TelemetryLog
from edge.outbox.segment import HEAD_BYTES, SUFFIX

EVERYTHING = 2**62
MARK = ClockMark(ClockSource.NTP, 5)


def open_log(folder: Path, *, max_bytes: int = 10**7, run: str = "run") -> TelemetryLog:
    return TelemetryLog(folder / "log", max_bytes=max_bytes, run=run, machine="boot-1")


def batch(log: TelemetryLog, *, size: int = 100, readings: int = 10, mark: ClockMark | None = MARK) -> Batch:
    number = log.next_number()
    payload = number.to_bytes(8, "big") + b"x" * (size - 8)
    return Batch(
        log.store, number, False, readings, "run", ContentEncoding.DEFLATE, payload,
        clock=mark, machine="" if mark else "boot-1", newest_us=number, guess_us=0 if mark else 7,
    )  # fmt: skip


def put(log: TelemetryLog, count: int, *, size: int = 100) -> list[int]:
    made = [batch(log, size=size) for _ in range(count)]
    for one in made:
        log.put([one])
    return [one.id for one in made]


def kept(log: TelemetryLog) -> list[int]:
    return [one.id for one in log.next_batches(after=0, up_to=EVERYTHING, limit=10**6)]


def files(folder: Path) -> list[Path]:
    return sorted((folder / "log").glob(f"*{SUFFIX}"))


@pytest.mark.parametrize("mark", [MARK, None, ClockMark(ClockSource.ESTIMATED)])
def test_a_batch_comes_back_as_it_was_put(tmp_path: Path, mark: ClockMark | None) -> None:
    log = open_log(tmp_path)
    one = batch(log, mark=mark)
    log.put([one])
    assert log.next_batches(after=0, up_to=EVERYTHING, limit=5) == [one]
    log.close()
    log = open_log(tmp_path, run="later")
    assert log.get(one.id) == one
    log.close()


def test_numbers_rise_through_restarts_and_none_comes_twice_even_when_its_record_was_lost(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    first = put(log, 3)
    log.settle(first)
    log.close()
    # A power cut before the disk had taken them: the file is there, its records are not.
    os.truncate(files(tmp_path)[-1], HEAD_BYTES)
    log = open_log(tmp_path)
    assert kept(log) == []
    (later,) = put(log, 1)
    assert first[-1] < later <= first[-1] + NUMBERS_A_RUN
    log.close()


def test_what_is_settled_is_forgotten_and_empty_files_go(tmp_path: Path) -> None:
    log = open_log(tmp_path, max_bytes=65_536)
    numbers = put(log, 200)
    many = len(files(tmp_path))
    assert many > 2
    log.settle(numbers[:-1])
    assert kept(log) == numbers[-1:]
    assert len(files(tmp_path)) <= 2
    assert log.depth().batches == 1
    assert log.depth().readings == 10
    log.close()
    log = open_log(tmp_path, max_bytes=65_536)
    assert kept(log) == numbers[-1:]
    log.settle([*numbers, 10**15])
    assert kept(log) == []
    assert log.depth().bytes == 0
    log.close()


def test_when_full_the_oldest_files_go_and_are_counted(tmp_path: Path) -> None:
    log = open_log(tmp_path, max_bytes=65_536)
    numbers = put(log, 1000)
    left = kept(log)
    assert left == numbers[-len(left) :]
    assert 200 < len(left) < 500
    assert log.evicted == 10 * (1000 - len(left))
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 65_536
    log.close()


def test_a_torn_tail_costs_its_own_record_only(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    numbers = put(log, 5)
    log.close()
    (path,) = files(tmp_path)
    os.truncate(path, path.stat().st_size - 30)
    log = open_log(tmp_path)
    assert kept(log) == numbers[:4]
    assert not log.set_aside
    log.close()


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10**6), spoilt=st.binary(min_size=1, max_size=300), is_sealed=st.booleans())
def test_damage_anywhere_costs_what_it_hit_and_invents_nothing(
    at: int, spoilt: bytes, tmp_path_factory: pytest.TempPathFactory, *, is_sealed: bool
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = open_log(folder)
    numbers = put(log, 30)
    if is_sealed:
        segment_module.Segment.seal(log._segments[0])
    log.close()
    (path,) = files(folder)
    raw = bytearray(path.read_bytes())
    at = HEAD_BYTES + at % (len(raw) - HEAD_BYTES)
    raw[at : at + len(spoilt)] = spoilt[: len(raw) - at]
    path.write_bytes(raw)
    log = open_log(folder)
    found = log.next_batches(after=0, up_to=EVERYTHING, limit=100)
    assert [one.id for one in found] == sorted({one.id for one in found} & set(numbers))
    assert all(int.from_bytes(one.payload[:8], "big") == one.id for one in found)
    # A record of 148 bytes: 300 bytes of damage touch four of them, and a torn end one more.
    assert len(found) >= 30 - 5
    (new,) = put(log, 1)
    assert kept(log)[-1] == new
    log.close()


@pytest.mark.parametrize("left", [b"", b"LYTLOG1", bytes(HEAD_BYTES)])
def test_a_file_that_power_was_cut_in_the_making_of_is_no_damage(left: bytes, tmp_path: Path) -> None:
    log = open_log(tmp_path)
    numbers = put(log, 2)
    log.close()
    (tmp_path / "log" / f"{numbers[-1] + 5:020d}{SUFFIX}").write_bytes(left)
    log = open_log(tmp_path)
    assert (kept(log), log.set_aside, log.fault) == (numbers, [], None)
    (later,) = put(log, 1)
    assert later > numbers[-1] + 5
    log.close()


def test_what_cannot_be_read_just_now_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path)
    numbers = put(log, 4)

    def without_files(*_: int) -> bytes:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", without_files)
        assert (kept(log), log.get(numbers[0]), list(log.unstamped())) == ([], None, [])
    assert (kept(log), log.evicted, log.set_aside) == (numbers, 0, [])
    log.close()


def test_half_a_note_of_what_is_settled_does_not_put_the_next_out_of_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    numbers = put(log, 4)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, raw: write(descriptor, raw[:7]))
        log.settle(numbers[:1])
    log.settle(numbers[1:3])
    log.close()
    log = open_log(tmp_path)
    # The one whose note was cut short goes again.
    assert kept(log) == [numbers[0], numbers[3]]
    log.close()


def test_damaged_files_are_kept_for_whoever_wants_to_look_but_not_for_ever(tmp_path: Path) -> None:
    for _ in range(MAX_SET_ASIDE + 3):
        log = open_log(tmp_path)
        put(log, 1)
        log.close()
        for path in files(tmp_path):
            path.write_bytes(b"garbage" * 50)
        log = open_log(tmp_path)
        assert log.set_aside
        log.close()
    assert len(list(tmp_path.glob("log.damaged-*"))) == MAX_SET_ASIDE


def test_while_the_disk_takes_nothing_readings_wait_in_memory_and_are_written_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    before = put(log, 2)
    broken = [errno.EROFS]

    def write(descriptor: int, raw: bytes, *, at: int) -> None:
        if broken:
            raise OSError(broken[0], os.strerror(broken[0]))
        os.pwrite(descriptor, raw, at)

    monkeypatch.setattr(segment_module, "_write", write)
    during = put(log, 3)
    assert log.fault == "outbox-unwritable"
    assert kept(log) == [*before, *during]
    log.settle([during[0]])
    assert log.get(during[1]) is not None
    broken.clear()
    after = put(log, 1)
    assert kept(log) == [*before, *during[1:], *after]
    log.close()
    log = open_log(tmp_path)
    assert (kept(log), log.fault) == ([*before, *during[1:], *after], None)
    log.close()


def test_a_file_that_failed_before_anything_stood_in_it_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    appended = segment_module.Segment.append

    def append(_self: object, _batches: object) -> None:
        raise OSError(errno.EIO, "as a card that is pulled out")

    monkeypatch.setattr(segment_module.Segment, "append", append)
    during = put(log, 2)
    monkeypatch.setattr(segment_module.Segment, "append", appended)
    after = put(log, 2)
    assert kept(log) == [*during, *after]
    log = open_log(tmp_path)
    assert kept(log) == [*during, *after]
    log.close()


def test_the_numbers_of_a_damaged_file_and_of_a_run_without_a_disk_do_not_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    used = put(log, 1)
    log.close()
    log = open_log(tmp_path)
    used += put(log, 1)
    log.close()
    raw = files(tmp_path)[-1].read_bytes()
    files(tmp_path)[-1].write_bytes(b"?" + raw[1:])
    log = open_log(tmp_path)
    used += put(log, 1)
    log.close()

    def create(*_: object) -> None:
        raise OSError(errno.EROFS, "read only")

    with monkeypatch.context() as patch:
        patch.setattr(segment_module.Segment, "create", create)
        log = open_log(tmp_path)
        used += put(log, 1)
        log.close()
    log = open_log(tmp_path)
    used += put(log, 1)
    log.close()
    assert len(set(used)) == len(used) == 5


def test_files_of_earlier_runs_do_not_stay_open(tmp_path: Path) -> None:
    for _ in range(20):
        log = open_log(tmp_path)
        put(log, 1)
        log.close()
    before = len([*Path("/proc/self/fd").iterdir()])
    log = open_log(tmp_path)
    assert len(kept(log)) == 20
    assert len([*Path("/proc/self/fd").iterdir()]) - before <= 3
    log.close()


def test_what_waits_in_memory_is_bounded_and_the_oldest_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)

    def write(_descriptor: int, _raw: bytes, *, at: int) -> None:
        raise OSError(errno.ENOSPC, f"no room at {at}")

    monkeypatch.setattr(segment_module, "_write", write)
    numbers = put(log, MAX_READINGS_IN_MEMORY // 10 + 50)
    assert log.fault == "outbox-full"
    assert kept(log) == numbers[50:]
    assert log.evicted == 500
    log.close()


def test_a_full_disk_is_given_room_from_the_oldest_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path, max_bytes=65_536)
    numbers = put(log, 200)
    true_write, lowest = segment_module._write, len(files(tmp_path)) - 2

    def write(descriptor: int, raw: bytes, *, at: int) -> None:
        if len(files(tmp_path)) > lowest:
            raise OSError(errno.ENOSPC, "no room")
        true_write(descriptor, raw, at=at)

    monkeypatch.setattr(segment_module, "_write", write)
    (new,) = put(log, 1)
    assert log.fault == "outbox-full"
    left = kept(log)
    assert left == [*numbers[-len(left) + 1 :], new]
    assert log.evicted > 0
    log.look_for_room()
    faults = {log.fault}
    assert faults == {None}, "the true disk has room"
    log.close()


WRITER = """
import sys
from pathlib import Path
from contract.compression import ContentEncoding
from edge.outbox.batch import Batch
from edge.outbox.log import TelemetryLog
log = TelemetryLog(Path(sys.argv[1]), max_bytes=10**8, run="run", machine="m")
while True:
    number = log.next_number()
    log.put([Batch(log.store, number, False, 10, "run", ContentEncoding.IDENTITY, b"x" * 500, machine="m")])
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 40])
def test_what_was_put_survives_kill_9(tmp_path: Path, after: int) -> None:
    path = str(tmp_path / "log")
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(after)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
    log = open_log(tmp_path, max_bytes=10**8)
    assert not log.set_aside
    assert kept(log)[: len(acknowledged)] == acknowledged
    log.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(8, 900)),
        st.tuples(st.just("settle"), st.integers(0, 60)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_it_behaves_as_a_list_would(steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = open_log(folder, max_bytes=65_536)
    model: list[int] = []
    newest = 0
    for step, number in steps:
        if step == "put":
            (one,) = put(log, 1, size=number)
            assert one > newest
            newest = one
            model.append(one)
        elif step == "settle" and number < len(model):
            log.settle([model.pop(number)])
        elif step == "restart":
            log.close()
            log = open_log(folder, max_bytes=65_536)
        assert kept(log) == model
        assert log.depth().batches == len(model)
        assert log.depth().readings == 10 * len(model)
    log.close()
