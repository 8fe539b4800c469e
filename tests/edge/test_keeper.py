import errno
import logging
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from contract.alarms import AlarmEvent, Severity, Transition, decode_alarm
from contract.compression import unpack
from contract.telemetry import Lane, Point, Sample, decode_telemetry
from device_profiles.model import ContactRule, Link, LocalAction, PointDef, PointType, Profile, Table, Transport
from device_profiles.site import Device, PlacedDevice
from device_profiles.speech.said import Report
from edge import keeper as keeper_module
from edge.clock import Clock, Readers
from edge.health import StoreHealth
from edge.keeper import Keeper
from edge.outbox import Outbox, segment
from edge.rules import Action, Judge
from edge.store import Store

TEXT = {"en": "x", "zh": "x"}
WALL_US = 10**15
REPORT = Report(point="zone-1", rule="e120", kind="panic", severity=Severity.CRITICAL, text=TEXT)


def judge(*, off_delay_s: float = 0.0, action: LocalAction | None = None) -> Judge:
    point = PointDef(key="b", name=TEXT, table=Table.COIL, address=0, type=PointType.BIT, source="test")
    rule = ContactRule("panic", ("b",), "panic", Severity.CRITICAL, TEXT, off_delay_s=off_delay_s, action=action)
    profile = Profile(
        profile="test/test", version="1", maker="t", model="t", title=TEXT, kind="test", sources=("test",),
        link=Link((Transport.RTU,)), point=(point,), rule=(rule,),
    )  # fmt: skip
    return Judge("g", [PlacedDevice(Device("d", "bus", "test/test"), profile, 1)], active={})


def samples(count: int) -> list[Sample]:
    return [Sample("d", WALL_US + number, (Point("t", 1.5, "Cel"),)) for number in range(count)]


def pressed(at: int = 0, *, state: bool = True) -> Sample:
    return Sample("d", WALL_US + at, (Point("b", state),))


def open_outbox(folder: Path, *, alarm_bytes: int = 10**6) -> Outbox:
    readers = Readers(steady_us=lambda: WALL_US, wall_us=lambda: WALL_US, kernel_error_us=lambda: 1000, machine="m")
    return Outbox(
        folder / "outbox.db", max_bytes=10**8, alarm_bytes=alarm_bytes, gateway="g", boot="b", clock=Clock(readers)
    )


class Kept:
    """What a keeper did with what it was given."""

    def __init__(self) -> None:
        self.health = StoreHealth()
        self.noted: list[AlarmEvent] = []
        self.actions: list[Action] = []


def keep(
    folder: Path,
    given: list[Sample],
    *,
    commit_s: float = 60.0,
    alarm_bytes: int = 10**6,
    rules: Judge | None = None,
    until: Callable[[Kept], bool] = lambda _: True,
) -> Kept:
    """Feed `given` to a keeper, wait until `until` holds, close it and let it end by itself."""
    kept = Kept()

    async def main() -> None:
        with open_outbox(folder, alarm_bytes=alarm_bytes) as outbox:
            keeper = Keeper(
                Store(outbox, health=kept.health),
                rules or judge(),
                commit_s=commit_s,
                act=kept.actions.append,
                noted=kept.noted.append,
                health=kept.health,
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keeper.run)
                for sample in given:
                    keeper.take(sample)
                    if keeper.is_behind:
                        await keeper.room()
                while not until(kept):
                    await anyio.lowlevel.checkpoint()
                keeper.close()

    anyio.run(main)
    return kept


async def until_true(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10.0):
        while not condition():  # noqa: ASYNC110 - the disk rings no bell
            await anyio.sleep(0.005)


def kept_samples(folder: Path) -> list[Sample]:
    with open_outbox(folder) as outbox:
        batches = outbox.next_telemetry(Lane.LIVE, mark=0, after=0, limit=10_000)
    return [sample for batch in batches for sample in decode_telemetry(unpack(batch.payload, batch.encoding))]


def kept_events(folder: Path) -> list[AlarmEvent]:
    with open_outbox(folder) as outbox:
        return [decode_alarm(batch.payload, gateway="g") for batch in outbox.next_alarms(after=0, limit=100)]


@pytest.mark.parametrize("count", [1, 7, 1999, 2000, 2001, 9000])
def test_every_sample_is_on_the_disk_when_it_ends_in_order(tmp_path: Path, count: int) -> None:
    given = samples(count)
    kept = keep(tmp_path, given)
    assert kept_samples(tmp_path) == given
    assert kept.health.readings_waiting == count


def test_a_short_commit_period_loses_nothing_between_two_commits(tmp_path: Path) -> None:
    given = samples(3000)
    keep(tmp_path, given, commit_s=0.001)
    assert kept_samples(tmp_path) == given


def test_more_than_the_memory_may_hold_makes_the_field_wait_and_is_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "COMMIT_READINGS", 50)
    monkeypatch.setattr(keeper_module, "MAX_PENDING_READINGS", 100)
    given = samples(2000)
    keep(tmp_path, given)
    assert kept_samples(tmp_path) == given


def test_an_alarm_is_kept_beside_its_reading(tmp_path: Path) -> None:
    kept = keep(tmp_path, [pressed(), pressed(1, state=False)])
    assert kept.health.alarms_raised == 1
    assert [event.transition for event in kept_events(tmp_path)] == [Transition.RAISED, Transition.CLEARED]
    assert kept.noted == kept_events(tmp_path)
    assert len(kept_samples(tmp_path)) == 2


def test_what_stands_is_remembered_with_the_alarm(tmp_path: Path) -> None:
    keep(tmp_path, [pressed()])
    with open_outbox(tmp_path) as outbox:
        assert list(outbox.standings()) == ["g/d/b/panic"]


def test_delays_are_judged_by_the_clock_without_another_reading(tmp_path: Path) -> None:
    given = [pressed(), pressed(1, state=False)]
    keep(
        tmp_path, given, rules=judge(off_delay_s=0.01),
        until=lambda kept: any(event.transition is Transition.CLEARED for event in kept.noted),
    )  # fmt: skip
    assert [event.transition for event in kept_events(tmp_path)] == [Transition.RAISED, Transition.CLEARED]


def test_an_output_that_a_rule_wants_is_handed_on(tmp_path: Path) -> None:
    kept = keep(tmp_path, [pressed()], rules=judge(action=LocalAction(point="siren", value=True)))
    assert [(action.device, action.point, action.value) for action in kept.actions] == [("d", "siren", True)]


def test_a_stop_is_not_held_up_by_alarms_that_find_no_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    kept = keep(tmp_path, [pressed()], alarm_bytes=10)
    assert kept.health.alarms_waiting == 0
    assert "1 alarm events found no room" in caplog.text
    assert len(kept_samples(tmp_path)) == 1


def test_what_was_committed_early_does_not_make_the_next_commit_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy hour must not be followed by a reading that waits for minutes in memory."""
    monkeypatch.setattr(keeper_module, "COMMIT_READINGS", 1)
    kept = StoreHealth()

    async def main() -> None:
        with open_outbox(tmp_path) as outbox:
            keeper = Keeper(
                Store(outbox, health=kept), judge(), commit_s=0.5, act=lambda _: None, noted=lambda _: None, health=kept
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keeper.run)
                for number, sample in enumerate(samples(60)):
                    keeper.take(sample)
                    while kept.readings_waiting <= number:
                        await anyio.lowlevel.checkpoint()
                monkeypatch.setattr(keeper_module, "COMMIT_READINGS", 4_000)
                keeper.take(pressed(100))
                await until_true(lambda: kept.readings_waiting == 61)
                keeper.close()

    anyio.run(main)


def test_who_waits_for_the_disk_is_told_when_it_has_the_alarm_and_not_while_it_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []

    async def main() -> None:
        with open_outbox(tmp_path) as outbox:
            keeper = Keeper(
                Store(outbox, health=StoreHealth()), judge(), commit_s=0.01, act=lambda _: None,
                noted=lambda _: None, health=StoreHealth(),
            )  # fmt: skip
            real, is_full = outbox.is_in_memory, True
            monkeypatch.setattr(outbox, "is_in_memory", lambda *, is_alarm: is_full or real(is_alarm=is_alarm))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keeper.run)
                since = keeper.mark()
                keeper.told("d", REPORT, WALL_US)
                keeper.when_kept(told.append, since=since)
                assert told == []
                await until_true(lambda: bool(outbox.depth(is_alarm=True).batches))
                keeper.told("d", REPORT, WALL_US + 1)
                await until_true(lambda: outbox.depth(is_alarm=True).batches == 2)
                assert told == []
                is_full = False
                await until_true(lambda: bool(told))
                keeper.close()

    anyio.run(main)
    assert told == [True]
    assert [event.point for event in kept_events(tmp_path)] == ["zone-1", "zone-1"]


def test_readings_that_the_disk_lost_are_not_acknowledged_although_it_is_well_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []

    async def main() -> None:
        with open_outbox(tmp_path) as outbox:
            keeper = Keeper(
                Store(outbox, health=StoreHealth()), judge(), commit_s=0.01, act=lambda _: None,
                noted=lambda _: None, health=StoreHealth(),
            )  # fmt: skip
            fails = [OSError(errno.EIO, "gone")]
            real = segment.Segment.sync

            def sync(self: segment.Segment) -> None:
                if fails:
                    raise fails.pop()
                real(self)

            monkeypatch.setattr(segment.Segment, "sync", sync)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keeper.run)
                for number in range(2):
                    since = keeper.mark()
                    keeper.take(samples(2)[number])
                    keeper.when_kept(told.append, since=since)
                    await until_true(lambda: len(told) > number)  # noqa: B023 - awaited at once
                keeper.close()

    anyio.run(main)
    assert told == [False, True]
