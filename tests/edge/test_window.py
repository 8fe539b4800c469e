from contract.telemetry import Lane
from edge.window import Window


def window() -> Window[int]:
    return Window(
        room={Lane.ALARM: 2, Lane.LIVE: 3, Lane.BACKFILL: 1},
        patience_s={Lane.ALARM: 1.0, Lane.LIVE: 5.0, Lane.BACKFILL: 5.0},
        longest_s=20.0,
        seed=1,
    )


def send(one: Window[int], number: int, lane: Lane, now: float = 0.0, *, size: int = 100) -> bool:
    again = one.sent(number, lane, size=size)
    one.published(number, now)
    return again


def test_each_lane_has_room_of_its_own() -> None:
    one = window()
    for number in range(3):
        send(one, number, Lane.LIVE)
    assert (one.room(Lane.LIVE), one.room(Lane.ALARM), one.room(Lane.BACKFILL)) == (0, 2, 1)


def test_a_receipt_makes_room_once() -> None:
    one = window()
    send(one, 7, Lane.LIVE)
    assert one.receipt(7) is not None
    assert one.receipt(7) is None
    assert (one.room(Lane.LIVE), len(one)) == (3, 0)


def test_nothing_goes_again_while_the_broker_has_not_taken_it() -> None:
    one = window()
    one.sent(1, Lane.LIVE, size=1000)
    one.sent(2, Lane.ALARM, size=500)
    assert one.overdue(1e9) == []
    assert one.next_at() is None
    assert one.unpublished_bytes() == 1000
    one.published(1, 50.0)
    assert one.unpublished_bytes() == 0
    assert [number for number, _ in one.overdue(1e9)] == [1]


def test_silence_makes_it_go_again_with_doubling_patience_up_to_the_limit() -> None:
    one, now, waits = window(), 0.0, []
    for count in range(8):
        assert send(one, 1, Lane.ALARM, now) == (count > 0)
        again_at = one.next_at()
        assert again_at is not None
        waits.append(again_at - now)
        assert one.overdue(again_at - 0.001) == []
        assert one.overdue(again_at) == [(1, Lane.ALARM)]
        now = again_at
    for wait, nominal in zip(waits, (1, 2, 4, 8, 16, 20, 20, 20), strict=True):
        assert 0.9 * nominal <= wait <= 1.2 * nominal


def test_alarms_are_first_among_the_overdue() -> None:
    one = window()
    send(one, 1, Lane.LIVE)
    send(one, 2, Lane.BACKFILL)
    send(one, 9, Lane.ALARM)
    assert [number for number, _ in one.overdue(100.0)] == [9, 1, 2]


def test_a_worker_that_has_come_makes_its_lanes_due_with_fresh_patience() -> None:
    one = window()
    for _ in range(5):
        send(one, 1, Lane.LIVE)
        send(one, 2, Lane.ALARM)
    one.all_again(50.0, (Lane.LIVE,))
    assert one.overdue(0.5) == []
    assert [number for number, lane in one.overdue(50.0) if lane is Lane.LIVE] == [1]
    assert send(one, 1, Lane.LIVE, 50.0)
    again_at = one.receipt(1)
    assert again_at is not None
    assert again_at.again_at <= 50.0 + 2 * 5.0 * 1.2


def test_a_lost_connection_makes_everything_due_taken_or_not() -> None:
    one = window()
    send(one, 1, Lane.LIVE)
    one.sent(2, Lane.LIVE, size=10)
    one.cut(3.0)
    assert [number for number, _ in one.overdue(3.0)] == [1, 2]


def test_what_was_on_the_wire_at_every_loss_steps_back_and_the_others_go_on() -> None:
    one, now = window(), 0.0
    rests = []
    for _ in range(6):
        one.sent(1, Lane.LIVE, size=10)
        send(one, 2, Lane.LIVE, now)
        one.cut(now)
        due = [number for number, _ in one.overdue(now)]
        assert 2 in due
        rests.append(0.0 if 1 in due else _again_at(one, 1) - now)
        now += 10_000.0
    assert rests == [0.0, 0.0, 60.0, 120.0, 240.0, 480.0]
    send(one, 1, Lane.LIVE, now)
    one.cut(now)
    assert 1 in [number for number, _ in one.overdue(now)], "once taken, it is no suspect any more"


def test_a_link_that_flaps_does_not_hold_an_alarm_for_long() -> None:
    one, now = window(), 0.0
    for lane, longest_s in ((Lane.ALARM, 2.0), (Lane.LIVE, 60.0)):
        for _ in range(3):
            one.sent(1, lane, size=10)
            one.cut(now)
        began = now
        while not one.overdue(now):
            now += 1.5
            one.cut(now)
        assert now - began <= longest_s + 1.5
        one.forget(1)


def _again_at(one: Window[int], number: int) -> float:
    return one._flights[number].again_at
