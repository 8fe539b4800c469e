"""Answers that nobody waited for any more are no loss, and nothing else is forgiven."""

from typing import Any

import pytest

from edge.health import BusHealth
from edge.status import BusStatus, Snapshot
from langyan.given_up import count_given_up, forgive
from simulators.control_messages import DeviceStats, Stats, Totals
from simulators.device import Counts


def stats(**answers: int) -> Stats:
    devices = {
        name: DeviceStats(bus="line", unit=1, mute=False, number=None, counts=Counts(answers=count))
        for name, count in answers.items()
    }
    return Stats(elapsed_s=1.0, totals=Totals(0, 0, 0), buses={}, devices=devices)


def snapshot(total: BusHealth) -> Snapshot:
    bus = BusStatus("line", "tty", is_port=True, is_serial=True, total=total, recent=total, units=())
    others: dict[str, Any] = dict.fromkeys(Snapshot.__struct_fields__)
    return Snapshot(**(others | {"buses": (bus,)}))


@pytest.mark.parametrize(
    ("health", "found"),
    [
        (BusHealth(polls=30, answers=30), 0),
        (BusHealth(polls=30, answers=27), 3),
        (BusHealth(polls=30, answers=25, refusals=2), 3),
        # A poll that is under way has not failed.
        (BusHealth(polls=29, answers=28), 1),
        # What a write, done or not, may have had.
        (BusHealth(polls=27, answers=26, writes=1, writes_failed=1), 0),
        (BusHealth(polls=28, answers=25, writes=1), 3),
        # Polls that failed without an answer are no answers.
        (BusHealth(polls=80, answers=30), 0),
    ],
)
def test_given_up_is_what_was_answered_and_not_heard(health: BusHealth, found: int) -> None:
    assert count_given_up(stats(a=20, b=10), snapshot(health)) == {"line": found}


def test_each_is_forgiven_once_whichever_device_it_was() -> None:
    left = {"line": 3}
    # A block of two points was given up twice; the third reading of `t` is a loss.
    assert forgive(left, "line", {"t": 2, "h": 2}) == 2
    assert forgive(left, "line", {"t": 5}) == 1
    assert forgive(left, "line", {"t": 5}) == 0
    assert forgive(left, "other", {"t": 5}) == 0
    assert forgive(left, "line", {}) == 0
    assert left == {"line": 0}
