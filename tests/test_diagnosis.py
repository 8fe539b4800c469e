from collections.abc import Callable

import pytest
from msgspec import structs

from edge.health import Health, PushHealth
from langyan.diagnosis import MEBI, Advice, Grade, diagnose, duration
from tests.edge.status_rig import School

ALL = ("gate-buttons", "canteen-smoke", "server-room", "weather", "dorm-buttons")
GATE = ALL[:3]


def school() -> School:
    """Build a gateway where all is well."""
    built = School()
    health = built.health
    health.uplink.is_up, health.uplink.now.connected_at = True, 1.0
    health.clock.is_trusted, health.clock.source = True, "ntp"
    health.machine.disk_free_bytes, health.machine.disk_bytes = 8000 * MEBI, 16_000 * MEBI
    health.machine.cpu_celsius, health.machine.is_undervolted, health.machine.was_undervolted = 45.0, False, False
    return built


def run(built: School, change: Callable[[Health], None], mute: tuple[str, ...] = ()) -> list[Advice]:
    for _ in range(120):
        built.run(1, mute=mute)
        built.health.uplink.now.receipt_at = built.now - 0.5
        change(built.health)
    return diagnose(built.board.snapshot(built.now))


def refused(health: Health) -> None:
    health.uplink.is_up = False
    health.uplink.now.is_refused, health.uplink.now.error = True, "[code:135] Not authorized"


def unreachable(health: Health) -> None:
    health.uplink.is_up, health.uplink.now.error = False, "Connection refused"


def ingest_away(health: Health) -> None:
    health.uplink.under_way, health.uplink.now.receipt_at = 8, 1.5


def never_a_receipt(health: Health) -> None:
    health.uplink.under_way, health.uplink.now.receipt_at = 8, 0.0


def desk_away(health: Health) -> None:
    health.store.alarms_waiting, health.store.oldest_alarm_s = 1, 60.0


def filling(health: Health) -> None:
    unreachable(health)
    health.store.bytes_waiting += 512 * 1024


def filling_slowly(health: Health) -> None:
    unreachable(health)
    health.store.bytes_waiting += 1024


def filling_for_months(health: Health) -> None:
    unreachable(health)
    health.store.bytes_waiting += 100


def full(health: Health) -> None:
    health.store.readings_evicted += 10


def unwritable(health: Health) -> None:
    health.store.faults.add("outbox-unwritable")


def no_port(health: Health) -> None:
    health.buses["roof"].is_up = False


def crc(health: Health) -> None:
    health.buses["gate"].line.crc_errors += 1
    health.buses["gate"].frame_errors += 1


def late(health: Health) -> None:
    health.buses["dormitory"].line.late += 1


def refusals(health: Health) -> None:
    health.buses["gate"].refusals += 1


def small_disk(health: Health) -> None:
    health.machine.disk_free_bytes = 100 * MEBI


def no_clock(health: Health) -> None:
    health.clock.is_trusted, health.clock.source = False, "estimated"


def clock_off(health: Health) -> None:
    health.clock.offset_ms = -5000.0


def weak_supply(health: Health) -> None:
    health.machine.is_undervolted = True


def hot(health: Health) -> None:
    health.machine.cpu_celsius = 85.0


def slow(health: Health) -> None:
    health.machine.loop_lag_ms = 900.0


def cloud_refuses(health: Health) -> None:
    health.uplink.refused = 3


def nothing(_: Health) -> None:
    pass


CASES: dict[str, tuple[Callable[[Health], None], tuple[str, ...], dict[str, str]]] = {
    "all is well": (nothing, (), {}),
    "wrong password": (refused, (), {"broker-refuses": "Compare username"}),
    "no broker": (unreachable, (), {"broker-unreachable": "Check uplink.host"}),
    "ingest away": (ingest_away, (), {"no-receipts": "langyan cloud ingest"}),
    "ingest was never there": (never_a_receipt, (), {"no-receipts": "langyan cloud ingest"}),
    "desk away": (desk_away, (), {"no-receipts": "langyan cloud desk"}),
    "outbox filling": (filling, (), {"broker-unreachable": "", "outbox-filling": "Mend the uplink"}),
    "outbox filling slowly": (filling_slowly, (), {"broker-unreachable": "", "outbox-filling": ""}),
    "outbox filling for months": (filling_for_months, (), {"broker-unreachable": ""}),
    "outbox full": (full, (), {"readings-given-up": "outbox.max_bytes"}),
    "disk cannot be written": (unwritable, (), {"outbox-unwritable": "SD card"}),
    "port missing": (no_port, (), {"port-missing": "/dev/serial/by-id/"}),
    "all of a line mute": (nothing, GATE, {"all-mute": "Swap A and B"}),
    "one mute": (nothing, ("canteen-smoke",), {"unit-mute": "unit id"}),
    "the only one of its line mute": (nothing, ("weather",), {"unit-mute": "unit id"}),
    "damaged answers": (crc, (), {"answers-damaged": "End resistors"}),
    "late answers": (late, (), {"answers-late": "timeout_s"}),
    "refusals": (refusals, (), {"requests-refused": "profile"}),
    "disk nearly full": (small_disk, (), {"disk-nearly-full": "outbox.max_bytes"}),
    "clock not trusted": (no_clock, (), {"clock-not-trusted": "NTP"}),
    "clock off": (clock_off, (), {"clock-off": "timedatectl"}),
    "weak supply": (weak_supply, (), {"undervoltage": "supply"}),
    "hot": (hot, (), {"hot": "heat sink"}),
    "slow": (slow, (), {"slow": "SD card"}),
    "dead letters": (cloud_refuses, (), {"cloud-refuses": "dead letters"}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_and_what_to_try(name: str) -> None:
    change, mute, wanted = CASES[name]
    found = run(school(), change, mute)
    assert {advice.key for advice in found} == wanted.keys()
    for advice in found:
        assert wanted[advice.key] in advice.tries


def test_a_device_that_has_just_fallen_mute_is_not_said_to_answer_now_and_then() -> None:
    built = school()
    for second in range(120):
        built.run(1, mute=("server-room",) if second >= 110 else ())
        built.health.uplink.now.receipt_at = built.now
    snapshot = built.board.snapshot(built.now)
    unit = next(unit for bus in snapshot.buses for unit in bus.units if unit.device == "server-room")
    bus = next(bus for bus in snapshot.buses if unit in bus.units)
    # The school's buses have no breakers: this is what a gateway's shows by now.
    resting = structs.replace(
        bus, units=tuple(structs.replace(one, breaker="open") if one == unit else one for one in bus.units)
    )
    buses = tuple(resting if one == bus else one for one in snapshot.buses)
    (advice,) = diagnose(structs.replace(snapshot, buses=buses))
    assert (advice.key, advice.grade) == ("unit-mute", Grade.BAD)


def test_a_share_of_missing_answers_is_seen_where_nothing_is_damaged() -> None:
    built = school()
    for second in range(120):
        built.run(1, mute=("server-room",) if second % 5 == 0 else ())
        built.health.uplink.now.receipt_at = built.now
    (advice,) = diagnose(built.board.snapshot(built.now))
    assert (advice.key, advice.grade) == ("answers-missing", Grade.WARNING)
    assert "server-room 机房 leaves 20 %" in advice.what


def test_a_part_that_stands_still() -> None:
    built = school()
    built.stalled = ["bus gate", "keeper"]
    (advice,) = run(built, nothing)
    assert advice.what == "No progress: bus gate, keeper"


def test_the_worst_comes_first() -> None:
    built = school()
    hot(built.health)
    assert [advice.grade for advice in run(built, unreachable)] == [Grade.BAD, Grade.WARNING]


def test_a_gateway_that_has_just_begun_is_not_yet_in_trouble() -> None:
    built = School()
    built.run(2)
    assert diagnose(built.board.snapshot(built.now)) == []


def test_how_long_the_outbox_lasts_decides_how_bad_it_is() -> None:
    fast, slowly = run(school(), filling), run(school(), filling_slowly)
    assert "at the present rate" in fast[1].what
    assert [(advice.key, advice.grade) for advice in (fast[1], slowly[1])] == [
        ("outbox-filling", Grade.BAD),
        ("outbox-filling", Grade.WARNING),
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_line_on_which_devices_speak_says_what_was_heard_and_from_whom() -> None:
    built = school()
    push = built.health.buses["dormitory"].push = PushHealth()
    built.board = built.new_board()

    def listen(_health: Health) -> None:
        push.heard += 1
        push.strangers += 1
        push.now.stranger = "13800000000"

    (advice,) = run(built, listen)
    assert (advice.key, advice.grade) == ("strangers", Grade.WARNING)
    assert '"13800000000"' in advice.what
    assert "[[device]]" in advice.tries


@pytest.mark.parametrize(
    ("counter", "key"),
    [("refused", "messages-refused"), ("turned_away", "connections-turned-away"), ("unkept", "messages-not-kept")],
)
def test_what_goes_wrong_on_such_a_line_is_said(counter: str, key: str) -> None:
    built = school()
    push = built.health.buses["dormitory"].push = PushHealth()
    built.board = built.new_board()
    found = run(built, lambda _: setattr(push, counter, getattr(push, counter) + 1))
    assert [advice.key for advice in found] == [key]


def test_a_device_that_has_fallen_silent_there_is_said() -> None:
    built = school()
    built.health.buses["dormitory"].push = PushHealth()
    built.board = built.new_board()
    (advice,) = run(built, lambda _: None, mute=("dorm-buttons",))
    assert (advice.key, advice.grade) == ("device-silent", Grade.BAD)
