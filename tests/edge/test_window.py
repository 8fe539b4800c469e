from contract.telemetry import Lane
from edge.window import Window


def window() -> Window:
    return Window(
        room={Lane.ALARM: 2, Lane.LIVE: 3, Lane.BACKFILL: 1},
        patience_s={Lane.ALARM: 1.0, Lane.LIVE: 5.0, Lane.BACKFILL: 5.0},
        longest_s=20.0,
        seed=1,
    )


def test_each_lane_has_room_of_its_own() -> None:
    one = window()
    for number in range(3):
        one.sent(number, Lane.LIVE, 0.0)
    assert (one.room(Lane.LIVE), one.room(Lane.ALARM), one.room(Lane.BACKFILL)) == (0, 2, 1)


def test_a_receipt_makes_room_once() -> None:
    one = window()
    one.sent(7, Lane.LIVE, 0.0)
    assert one.receipt(7) is not None
    assert one.receipt(7) is None
    assert (one.room(Lane.LIVE), len(one)) == (3, 0)


def test_silence_makes_it_go_again_with_doubling_patience_up_to_the_limit() -> None:
    one, now, waits = window(), 0.0, []
    for _ in range(8):
        one.sent(1, Lane.ALARM, now)
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
    one.sent(1, Lane.LIVE, 0.0)
    one.sent(2, Lane.BACKFILL, 0.0)
    one.sent(9, Lane.ALARM, 0.0)
    assert [number for number, _ in one.overdue(100.0)] == [9, 1, 2]


def test_a_new_connection_makes_all_of_it_due_at_once_with_fresh_patience() -> None:
    one = window()
    for _ in range(5):
        one.sent(1, Lane.LIVE, 0.0)
    one.all_again(50.0)
    assert one.overdue(50.0) == [(1, Lane.LIVE)]
    one.sent(1, Lane.LIVE, 50.0)
    again_at = one.next_at()
    assert again_at is not None
    assert again_at <= 50.0 + 5.0 * 1.2
