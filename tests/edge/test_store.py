"""The store on disks that are full, read-only or damaged; and its faults, ages and clock as others see them."""

import errno
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from contract.telemetry import ClockSource, Lane
from edge.errors import StoreFullError
from edge.health import ClockHealth, StoreHealth
from edge.outbox import Outbox, alarms, segment, tables
from edge.outbox.alarms import MAX_EVENTS_IN_MEMORY
from edge.store import Store
from tests.edge.outbox_rig import NOON, SECOND, Machine, alarm, events_in, open_outbox, sample, telemetry

BOOT = 1000 * SECOND


class Scene:
    """A store, and what it says of its faults."""

    def __init__(self, outbox: Outbox, machine: Machine) -> None:
        self.outbox, self.machine = outbox, machine
        self.health, self.clock_health = StoreHealth(), ClockHealth()
        self.store = Store(outbox, health=self.health, clock_health=self.clock_health, sync_s=0.1)
        self.said: list[tuple[str, bool]] = []
        self.store.on_fault = lambda kind, stands: self.said.append((kind, stands))

    async def put(self, number: int = 0) -> None:
        await self.store.put_telemetry([sample(BOOT + number)])

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(20.0):
            while not condition():  # noqa: ASYNC110 - the health rings no bell
                await anyio.sleep(0.01)


def play(
    folder: Path,
    story: Callable[[Scene], Awaitable[None]],
    *,
    machine: Machine | None = None,
    max_bytes: int = 10**7,
    alarm_bytes: int = 10**5,
) -> None:
    async def main() -> None:
        one = machine or Machine()
        with open_outbox(folder, one, max_bytes=max_bytes, alarm_bytes=alarm_bytes) as outbox:
            scene = Scene(outbox, one)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(scene.store.run)
                await story(scene)
                tasks.cancel_scope.cancel()

    anyio.run(main)


def test_it_counts_what_waits_and_for_how_long(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.put()
        await scene.store.put_alarms([alarm(BOOT + 5 * SECOND)], [("s", b"{}")])
        scene.machine.run_for(60)
        await scene.until(lambda: scene.health.oldest_alarm_s > 0)
        assert (scene.health.readings_waiting, scene.health.alarms_waiting) == (10, 1)
        assert (round(scene.health.oldest_reading_s), round(scene.health.oldest_alarm_s)) == (60, 55)
        batches = await scene.store.next_batches(Lane.ALARM, mark=0, after=0, limit=9)
        batches += await scene.store.next_batches(Lane.LIVE, mark=0, after=0, limit=9)
        await scene.store.settle(batch.ref for batch in batches)
        await scene.until(lambda: scene.health.oldest_reading_s == scene.health.oldest_alarm_s == 0)
        assert scene.store.is_empty()

    play(tmp_path, story)


def test_the_clock_is_shown_and_what_waits_is_timed_when_the_kernel_knows(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.put()
        assert await scene.store.next_batches(Lane.LIVE, mark=0, after=0, limit=9) == []
        assert not scene.clock_health.is_trusted
        scene.machine.kernel_error_us = 5000
        await scene.until(lambda: scene.clock_health.is_trusted)
        assert (scene.clock_health.source, scene.clock_health.error_ms) == ("ntp", 5)
        assert len(await scene.store.next_batches(Lane.LIVE, mark=0, after=0, limit=9)) == 1

    play(tmp_path, story, machine=Machine(kernel_error_us=None))


def test_a_clock_that_is_off_is_shown_as_off(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.store.learn_time(ClockSource.CLOUD, NOON + 90 * SECOND, 1000)
        assert round(scene.clock_health.offset_ms) == 90_000

    play(tmp_path, story, machine=Machine(kernel_error_us=None))


def test_a_file_damaged_at_the_start_raises_an_alarm_that_ends(tmp_path: Path) -> None:
    open_outbox(tmp_path).close()
    (tmp_path / "outbox.db").write_bytes(b"this is no database at all" * 400)
    for path in (tmp_path / "outbox.db.log").glob("*.seg"):
        path.write_bytes(b"nor a segment" * 20)

    async def story(scene: Scene) -> None:
        await scene.until(lambda: len(scene.said) >= 2)
        assert scene.said == [("outbox-damaged", True), ("outbox-damaged", False)]
        assert scene.health.files_set_aside == 2

    play(tmp_path, story)


def in_a_namespace(script: Callable[[Path], None], disk: Path) -> None:
    """Run a test's second half where a small disk of its own is mounted, and nobody else sees it."""
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=6m tmpfs {disk}"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "sh", "-c", mount], check=False).returncode:
        pytest.skip("mounting a small disk in a namespace is not permitted here")
    call = f"from pathlib import Path; from {__name__} import {script.__name__} as script; script(Path({str(disk)!r}))"
    again = f"{mount} && exec {sys.executable} -W error -c {shlex.quote(call)}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", again], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def fill(disk: Path) -> Path:
    path = disk / "somebody-elses"
    with path.open("wb") as file:
        try:
            while True:
                os.write(file.fileno(), b"x" * 4096)
        except OSError:
            return path


def test_on_a_full_disk_the_newest_readings_and_every_alarm_are_kept(tmp_path: Path) -> None:
    in_a_namespace(full_disk, tmp_path / "disk")


def full_disk(small_disk: Path) -> None:
    async def story(scene: Scene) -> None:
        for number in range(400):
            await scene.put(number)
        others = fill(small_disk)
        for number in range(400, 4000):
            await scene.put(number)
        await scene.until(lambda: ("outbox-full", True) in scene.said)
        # The room for alarms is theirs, however full the disk.
        for number in range(100):
            await scene.store.put_alarms([alarm(BOOT + number, n=number)])
        await scene.put(4000)
        batches = await scene.store.next_batches(Lane.LIVE, mark=0, after=0, limit=10**6)
        times = [one.newest_us for one in batches]
        assert times == sorted(times)
        assert times[-1] == NOON + 4000
        assert scene.health.readings_evicted == 10 * (4001 - len(times)) > 0
        others.unlink()
        await scene.put(4001)
        await scene.until(lambda: ("outbox-full", False) in scene.said)
        assert scene.health.faults == set()

    play(small_disk, story, max_bytes=10**6)
    with open_outbox(small_disk) as outbox:
        assert [event.point for event in events_in(outbox)] == [f"b{number}" for number in range(100)]
        assert telemetry(outbox)[-1].newest_us == NOON + 4001


def test_a_disk_that_becomes_read_only_stops_nothing_and_is_used_again_when_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worn card does; a true remount is refused while files are open for writing."""
    broken: list[int] = []
    true_write, true_open = segment._write, tables.open_file

    def write(descriptor: int, raw: bytes, *, at: int) -> None:
        if broken:
            raise OSError(errno.EROFS, "Read-only file system")
        true_write(descriptor, raw, at=at)

    def open_file(path: Path) -> sqlite3.Connection:
        connection = true_open(path)
        if broken:
            connection.execute("PRAGMA query_only = ON")
        return connection

    monkeypatch.setattr(segment, "_write", write)
    monkeypatch.setattr(alarms, "open_file", open_file)

    async def story(scene: Scene) -> None:
        await scene.put(0)
        await scene.store.put_alarms([alarm(BOOT, n=0)])
        broken.append(1)
        scene.outbox._alarms._connection.execute("PRAGMA query_only = ON")
        await scene.put(1)
        await scene.store.put_alarms([alarm(BOOT + 1, n=1)], [("g/d/b1/panic", b"{}")])
        assert scene.said == [("outbox-unwritable", True)]
        batches = await scene.store.next_batches(Lane.ALARM, mark=0, after=0, limit=9)
        batches += await scene.store.next_batches(Lane.LIVE, mark=0, after=0, limit=9)
        assert [(batch.is_alarm, batch.newest_us) for batch in batches] == [
            (True, NOON), (True, NOON + 1), (False, NOON), (False, NOON + 1),
        ]  # fmt: skip
        await scene.store.settle([batches[0].ref, batches[2].ref])
        with pytest.raises(StoreFullError, match="cannot be written"):
            await scene.store.put_alarms([alarm(BOOT + n, n=n) for n in range(MAX_EVENTS_IN_MEMORY)])
        broken.clear()
        await scene.put(2)
        await scene.until(lambda: ("outbox-unwritable", False) in scene.said)
        await scene.store.put_alarms([alarm(BOOT + 2, n=2)])

    play(tmp_path, story, alarm_bytes=2 * 10**6)
    with open_outbox(tmp_path) as outbox:
        assert [event.point for event in events_in(outbox)] == ["b1", "b2"]
        assert [batch.newest_us for batch in telemetry(outbox)] == [NOON + 1, NOON + 2]
        assert "g/d/b1/panic" in outbox.standings()


def test_a_gateway_starts_on_a_disk_that_cannot_be_written_with_what_is_there(tmp_path: Path) -> None:
    in_a_namespace(read_only_disk, tmp_path / "disk")


def read_only_disk(small_disk: Path) -> None:
    with open_outbox(small_disk) as outbox:
        outbox.put_telemetry([sample(BOOT)])
        outbox.put_alarms([alarm(BOOT)])
        shutil.copytree(small_disk, small_disk.parent / "saved")
    for name in ("outbox.db", "outbox.db-wal"):
        # As a kill leaves it: the alarm is in the journal only.
        if (small_disk.parent / "saved" / name).exists():
            shutil.copy(small_disk.parent / "saved" / name, small_disk / name)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    async def story(scene: Scene) -> None:
        assert [event.at_us for event in events_in(scene.outbox)] == [NOON]
        assert len(telemetry(scene.outbox)) == 1
        await scene.put(1)
        await scene.store.put_alarms([alarm(BOOT + 1, n=2)])
        assert ("outbox-unwritable", True) in scene.said
        assert len(await scene.store.next_batches(Lane.ALARM, mark=0, after=0, limit=9)) == 2

    play(small_disk, story)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    with open_outbox(small_disk) as outbox:
        assert len(events_in(outbox)) == len(telemetry(outbox)) == 1
