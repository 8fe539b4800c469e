"""Devices asked more often, or less, for a time: the schedule on a clock of the test's own, a bus, and the order."""

from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.alarms import Mode
from contract.commands import Pace
from device_profiles.site_loader import load_site
from edge.bus import LONGEST_PACE, Bus
from edge.clock import Clock
from edge.errors import UnknownPointError
from edge.health import BusHealth
from edge.requests import Requests
from edge.schedule import Poll, Schedule
from tests.edge.fake_line import FakeLine, constant
from tests.edge.test_bus import SITE, Collector, Watched


def turns(schedule: Schedule, until: float, *, start: float = 0.0, took_s: float = 0.001) -> list[tuple[float, int]]:
    """Ask whatever is due, on a line that answers at once; who was asked when."""
    now, asked = start, []
    while (next_at := schedule.next_at()) is not None and max(now, next_at) < until:
        now = max(now, next_at)
        poll = schedule.take(now)
        if poll is None:
            now += 0.0001
            continue
        asked.append((now, poll.block))
        now += took_s
        schedule.answered(poll, now, took_s=took_s)
    return asked


def count(asked: list[tuple[float, int]], block: int, start: float, end: float) -> int:
    return sum(one == block and start <= at < end for at, one in asked)


def test_a_faster_pace_begins_at_once_and_ends_by_itself() -> None:
    schedule = Schedule([Poll(1, 0, 60.0)], now=0.0)
    turns(schedule, 61.0)
    schedule.pace({0}, 0.1, now=61.0, until=181.0)
    asked = turns(schedule, 600.0, start=61.0)
    assert count(asked, 0, 61.0, 181.0) in range(19, 22)
    assert count(asked, 0, 250.0, 600.0) in range(5, 8)


def test_alarm_inputs_and_other_devices_keep_their_periods() -> None:
    schedule = Schedule([Poll(1, 0, 1.0, is_urgent=True), Poll(1, 1, 10.0), Poll(2, 2, 10.0)], now=0.0)
    schedule.pace({0, 1}, 0.1, now=0.0, until=1_000.0)
    asked = turns(schedule, 100.0)
    assert [round(count(asked, block, 0.0, 100.0), -1) for block in (0, 1, 2)] == [100, 100, 10]


def test_a_line_that_cannot_carry_the_pace_keeps_its_alarm_inputs() -> None:
    polls = [Poll(1, 0, 1.0, is_urgent=True), *(Poll(unit, unit, 1.0) for unit in range(2, 12))]
    schedule = Schedule(polls, now=0.0)
    schedule.pace(set(range(2, 12)), 0.1, now=0.0, until=1_000.0)
    asked = turns(schedule, 60.0, took_s=0.05)
    assert count(asked, 0, 10.0, 60.0) >= 48
    others = [count(asked, block, 10.0, 60.0) for block in range(2, 12)]
    assert min(others) > 0.8 * max(others)
    assert sum(others) > 800


def test_a_slower_pace_is_bounded_and_does_not_outlast_its_end() -> None:
    schedule = Schedule([Poll(1, 0, 60.0, longest_s=120.0)], now=0.0)
    schedule.pace({0}, 10.0, now=0.0, until=1_000.0)
    asked = [at for at, _block in turns(schedule, 2_000.0)]
    gaps = [later - earlier for earlier, later in pairwise(asked[1:])]
    assert max(gaps) <= 121.0
    assert all(gap <= 61.0 for at, gap in zip(asked[2:], gaps, strict=False) if at > 1_121.0)


@given(
    every_s=st.floats(0.5, 600.0),
    factor=st.floats(0.1, 10.0),
    began_s=st.floats(0.0, 500.0),
    for_s=st.floats(0.0, 500.0),
)
def test_whatever_pace_is_ordered_the_usual_one_comes_back(
    every_s: float, factor: float, began_s: float, for_s: float
) -> None:
    schedule = Schedule([Poll(1, 0, every_s, longest_s=max(every_s, 2 * every_s))], now=0.0)
    turns(schedule, began_s)
    schedule.pace({0}, factor, now=began_s, until=began_s + for_s)
    over_s = began_s + for_s
    asked = [at for at, _block in turns(schedule, over_s + 5 * every_s, start=began_s) if at >= over_s]
    # The first may still stand where the pace has put it.
    assert all(
        later - earlier == pytest.approx(every_s, abs=0.01 + 0.01 * every_s) for earlier, later in pairwise(asked[1:])
    )
    assert asked[0] <= over_s + every_s + 0.01


def test_a_bus_asks_one_of_its_devices_more_often_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE.replace("0.01", "0.4"))
    devices = load_site(tmp_path / "site.toml").devices["line"]
    sink = Collector(lambda seen: sum(one.device == "two" for one in seen) >= 4)

    async def main() -> None:
        bus = Bus("line", devices, line=FakeLine(constant([1, 2])), health=BusHealth(), clock=Clock(), watch=Watched())
        assert bus.pace(["two", "elsewhere"], 0.1, 60.0) == 1
        assert (bus.pace_of("one"), bus.pace_of("two")) == (1.0, 0.1)
        await bus.run(sink, sink.stop)
        assert bus.pace(None, 1.0, 0.0) == 2
        assert bus.pace_of("two") == 1.0

    anyio.run(main)
    asked = [sample.device for sample in sink.samples]
    assert asked.count("two") > asked.count("one")


async def carried_out(requests: Requests, order: Pace) -> object:
    return await requests.carry_out(order)


def test_the_order_names_devices_that_are_asked(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    devices = load_site(tmp_path / "site.toml").devices["line"]

    async def main() -> None:
        bus = Bus("line", devices, line=FakeLine(constant([1, 2])), health=BusHealth(), clock=Clock(), watch=Watched())
        requests = Requests({"line": bus}, set_mode=_refuse, reset=lambda _source: 0)
        assert await carried_out(requests, Pace(0.5, 60.0)) == 2.0
        assert await carried_out(requests, Pace(0.5, 60.0, ("one",))) == 1.0
        with pytest.raises(UnknownPointError, match="'tag-reader'"):
            await carried_out(requests, Pace(0.5, 60.0, ("one", "tag-reader")))

    anyio.run(main)


def test_no_pace_draws_a_period_out_so_far_that_a_device_counts_as_lost(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE.replace("0.01", "20"))
    for placed in load_site(tmp_path / "site.toml").devices["line"]:
        bus = Bus("line", [placed], line=FakeLine(constant([1, 2])), health=BusHealth(), clock=Clock(), watch=Watched())
        polls = bus._polls()
        assert all(20.0 <= poll.longest_s <= LONGEST_PACE * 20.0 for poll in polls)
        assert all(poll.longest_s <= max(20.0, placed.profile.supervision_s / 2) for poll in polls)


def _refuse(_mode: Mode, _devices: object, _for_s: float) -> None:
    raise AssertionError("nobody asked for a mode")
