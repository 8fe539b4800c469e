from pathlib import Path

import anyio
import pytest

from contract.alarms import Severity
from contract.compression import unpack
from contract.telemetry import Lane, Point, Sample, decode_telemetry
from device_profiles.model import ContactRule, Link, PointDef, PointType, Profile, Table, Transport
from device_profiles.site import Device, PlacedDevice
from edge.health import StoreHealth
from edge.keeper import Keeper
from edge.outbox import Outbox
from edge.rules import Judge
from edge.store import Store

TEXT = {"en": "x", "zh": "x"}


def judge() -> Judge:
    point = PointDef(key="b", name=TEXT, table=Table.COIL, address=0, type=PointType.BIT, source="test")
    rule = ContactRule("panic", ("b",), "panic", Severity.CRITICAL, TEXT)
    profile = Profile(
        profile="test/test", version="1", maker="t", model="t", title=TEXT, kind="test", sources=("test",),
        link=Link((Transport.RTU,)), point=(point,), rule=(rule,),
    )  # fmt: skip
    return Judge("g", [PlacedDevice(Device("d", "bus", "test/test"), profile, 1)], active={})


def samples(count: int, *, text: str = "") -> list[Sample]:
    points = (Point("t", 1.5, "Cel"), Point("s", text)) if text else (Point("t", 1.5, "Cel"),)
    return [Sample("d", 10**15 + number, points) for number in range(count)]


def keep(
    folder: Path, given: list[Sample], *, commit_s: float = 60.0, alarm_bytes: int = 10**6, stopped: bool = False
) -> StoreHealth:
    """Feed `given` to a keeper, hang up, and let it end by itself."""
    health = StoreHealth()

    async def main() -> None:
        out, inbox = anyio.create_memory_object_stream[Sample](len(given))
        stop = anyio.Event()
        if stopped:
            stop.set()
        with Outbox(folder / "outbox.db", max_bytes=10**8, alarm_bytes=alarm_bytes) as outbox:
            store = Store(outbox, boot="b", health=health)
            keeper = Keeper(store, judge(), commit_s=commit_s, deflate_from_bytes=1024, health=health)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keeper.run, inbox, stop)
                async with out:
                    for sample in given:
                        await out.send(sample)

    anyio.run(main)
    return health


def kept(folder: Path, lane: Lane = Lane.LIVE) -> list[Sample]:
    with Outbox(folder / "outbox.db", max_bytes=10**8, alarm_bytes=10**8) as outbox:
        batches = outbox.next_batches(lane, mark=0, after=0, limit=10_000)
    return [sample for batch in batches for sample in decode_telemetry(unpack(batch.payload, batch.encoding))]


@pytest.mark.parametrize("count", [1, 7, 1999, 2000, 2001, 9000])
def test_every_sample_is_on_the_disk_when_it_ends_in_order(tmp_path: Path, count: int) -> None:
    given = samples(count)
    health = keep(tmp_path, given)
    assert kept(tmp_path) == given
    assert health.readings_waiting == count


def test_a_short_commit_period_loses_nothing_between_two_commits(tmp_path: Path) -> None:
    given = samples(3000)
    keep(tmp_path, given, commit_s=0.001)
    assert kept(tmp_path) == given


def test_batches_of_long_words_stay_under_the_limit_of_a_message(tmp_path: Path) -> None:
    words = "".join(chr(0x4E00 + number) for number in range(900))
    given = [Sample("d", 10**15 + number, (Point("s", words[number % 400 :]),)) for number in range(1500)]
    keep(tmp_path, given)
    assert kept(tmp_path) == given


def test_an_alarm_is_kept_beside_its_reading(tmp_path: Path) -> None:
    health = keep(tmp_path, [Sample("d", 10**15, (Point("b", True),)), Sample("d", 10**15 + 1, (Point("b", False),))])
    assert health.alarms_raised == 1
    assert health.alarms_waiting == 2
    assert len(kept(tmp_path)) == 2


def test_a_stop_is_not_held_up_by_alarms_that_find_no_room(tmp_path: Path) -> None:
    health = keep(tmp_path, [Sample("d", 10**15, (Point("b", True),))], alarm_bytes=10, stopped=True)
    assert health.alarms_waiting == 0
    assert len(kept(tmp_path)) == 1
