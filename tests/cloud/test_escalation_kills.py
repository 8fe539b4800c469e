"""Two desk workers on PostgreSQL, of which one or the other is killed: no alarm lost, no step lost or taken twice."""

import random
from collections import Counter
from pathlib import Path

from benchmarks.two_desks import Rounds, count, open_run
from contract.alarms import Severity
from langyan.postgres import Postgres
from tests.cloud.rig import fresh

SPEED = 20
VIRTUAL_S = 70


def test_two_desks_of_which_one_is_killed_lose_nothing_and_tell_nothing_twice(
    tmp_path: Path, postgres: Postgres
) -> None:
    name = fresh("desks")
    postgres.make_database(name)
    with open_run(tmp_path, postgres, speed=SPEED, database_name=name) as run:
        run.go(random.Random(5), alarms=40, virtual_s=VIRTUAL_S)  # noqa: S311 - moments, not secrets
        found = count(run, VIRTUAL_S, SPEED)
    assert found.kills > 0
    assert found.alarms == 40
    assert found.steps >= 40
    assert (found.alarms_lost, found.events_twice) == (0, 0)
    assert (found.steps_lost, found.steps_twice) == (0, 0)
    assert (found.messages_lost, found.events_lost, found.rows_left) == (0, 0, 0)
    # Sent, and killed before it was noted: with the same id, and no more than were in hand: eight being sent and
    # sixteen to be noted, of messages and of events.
    assert found.messages_again + found.events_again <= 48 * found.kills


def test_the_count_sees_what_is_missing_and_what_is_twice() -> None:
    """A round of 130 s, steps at 0, 60 and 120 s, the last of which was in time to be overtaken."""
    rounds = Rounds(Severity.CRITICAL, [0], [130_000_000], Counter({(1, 1, 1): 2, (1, 3, 1): 1}))
    assert rounds.lost(late_us=10_000_000) == {(1, 2, 1)}
    assert sum(times - 1 for times in rounds.taken.values()) == 1
    overtaken = Rounds(Severity.CRITICAL, [0], [125_000_000], Counter({(1, 1, 1): 1, (1, 2, 1): 1}))
    assert overtaken.lost(late_us=10_000_000) == set()
    assert overtaken.lost(late_us=1_000_000) == {(1, 3, 1)}
