"""Produced compared with stored, on real servers, while parts are killed."""

import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.end_to_end.rig import GATEWAY, Rig, open_rig

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with open_rig(tmp_path) as one:
        yield one


def test_a_quiet_day(rig: Rig) -> None:
    rig.wait_for_more(30)
    rig.assert_all_stored_once()


def test_kill_9_of_the_gateway_loses_at_most_the_last_second_and_no_alarm(rig: Rig) -> None:
    polls_a_second = 10
    for presses in (1, 2, 3):
        rig.press()
        if presses > 1:
            # The first time the gateway is killed with the press just made; then with its alarm just raised.
            rig.wait(partial(rig.has_seen_raises, presses))
        rig.gateway.kill()
        rig.restart_gateway()
        rig.wait(partial(rig.has_stored_raises, presses))
        rig.release()
        rig.wait(rig.is_all_clear)
        rig.wait_for_more(5)
    found = rig.balance()
    numbers = rig.numbers()
    assert found.duplicates == 0
    gaps = [later - earlier - 1 for earlier, later in pairwise(numbers) if later != earlier + 1]
    assert all(0 < gap <= polls_a_second + 2 for gap in gaps)
    assert len(gaps) <= 3
    assert rig.has_stored_raises(3)


def test_kill_9_of_ingest(rig: Rig) -> None:
    ingest = rig.stage.workers["ingest"]
    for _ in range(2):
        ingest.kill()
        rig.press()
        # Alarms go to the desk, which does not care.
        rig.wait(lambda: not rig.is_all_clear())
        rig.release()
        ingest.start()
        rig.wait_for_more(20)
    rig.assert_all_stored_once()
    assert rig.has_stored_raises(2)


def test_kill_9_of_the_desk(rig: Rig) -> None:
    desk = rig.stage.workers["desk"]
    desk.kill()
    rig.press()
    rig.wait(partial(rig.has_seen_raises, 1))
    desk.start()
    rig.wait(partial(rig.has_stored_raises, 1))
    rig.wait_for_more(20)
    rig.assert_all_stored_once()


def test_kill_9_of_the_broker_that_keeps_nothing(rig: Rig) -> None:
    for _ in range(2):
        rig.press()
        rig.stage.broker.kill()
        rig.wait_for_answers(20)
        rig.release()
        rig.stage.broker.start()
        rig.wait_for_more(20)
    rig.wait(partial(rig.has_stored_raises, 2))
    rig.wait(rig.is_all_clear)
    rig.assert_all_stored_once()


def test_influxdb_away_for_15_s_holds_readings_back_and_no_alarm(rig: Rig) -> None:
    rig.stage.influx.kill()
    away_since = time.monotonic()
    rig.press()
    rig.wait(partial(rig.has_stored_raises, 1))
    # The promise is about an absence of 15 s, so this one has to last as long.
    rig.wait(lambda: time.monotonic() - away_since >= 15.0)
    rig.stage.influx.start()
    rig.wait_for_more(100)
    rig.assert_all_stored_once()


def test_the_broker_away_for_30_s_with_a_press_meanwhile(rig: Rig) -> None:
    rig.stage.broker.kill()
    away_since = time.monotonic()
    pressed_at_us = rig.press()
    rig.wait(lambda: time.monotonic() - away_since >= 30.0)
    rig.stage.broker.start()
    rig.wait(partial(rig.has_stored_raises, 1))
    (alarm,) = rig.alarms()
    assert 0 <= alarm.raised_at_us - pressed_at_us < 5_000_000, "the time of the press, not of its arrival"
    assert alarm.stored_at_us - alarm.raised_at_us > 20_000_000
    rig.wait_for_more(250)
    rig.assert_all_stored_once()


def test_a_gateway_that_starts_with_the_broker_away(rig: Rig) -> None:
    rig.gateway.stop()
    rig.stage.broker.kill()
    rig.gateway.start(wait=False)
    rig.wait_for_answers(100)
    rig.press()
    rig.stage.broker.start()
    rig.wait(partial(rig.has_stored_raises, 1))
    rig.wait_for_more(50)
    rig.assert_all_stored_once()


def test_a_gateway_that_stops_with_the_broker_away_hands_over_at_the_next_start(rig: Rig) -> None:
    rig.stage.broker.kill()
    rig.wait_for_answers(50)
    rig.gateway.stop()
    assert rig.gateway.status == 0
    rig.stage.broker.start()
    rig.gateway.start(wait=False)
    rig.wait(lambda: rig.stage.observer.is_connected() and rig.stage.observer.is_alive(GATEWAY))
    rig.wait_for_more(20)
    rig.assert_all_stored_once()
