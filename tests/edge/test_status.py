import json

import msgspec
import pytest

from contract.alarms import Mode
from edge.health import PushHealth
from edge.metrics import render
from edge.status import WINDOW_S, decode_snapshot, encode_snapshot
from edge.supervision import DeviceStanding
from tests.edge.status_rig import School


def test_the_recent_past_forgets_what_is_long_over() -> None:
    school = School()
    school.run(300, mute=("canteen-smoke",))
    school.run(30)
    (gate, *_) = school.board.snapshot(school.now).buses
    assert (gate.id, gate.is_serial, gate.total.timeouts) == ("gate", True, 300)
    assert 20 <= gate.recent.timeouts <= 35
    school.run(70)
    snapshot = school.board.snapshot(school.now)
    assert snapshot.buses[0].recent.timeouts == 0
    assert snapshot.buses[0].total.timeouts == 300
    assert WINDOW_S - 10 <= snapshot.window_s <= WINDOW_S + 5
    assert snapshot.buses[0].recent.polls == pytest.approx(3 * snapshot.window_s)


def test_a_unit_shows_its_share_of_answers_its_age_and_its_breaker() -> None:
    school = School()
    school.breakers["gate"] = {21: "open"}
    school.run(100)
    school.run(20, mute=("canteen-smoke",))
    units = {unit.device: unit for bus in school.board.snapshot(school.now).buses for unit in bus.units}
    smoke, buttons = units["canteen-smoke"], units["gate-buttons"]
    assert (smoke.standing, smoke.age_s, smoke.breaker, smoke.unit) == (DeviceStanding.DEGRADED, 20.0, "open", 21)
    assert smoke.asked - smoke.answered == 20
    assert (buttons.standing, buttons.age_s, buttons.breaker) == (DeviceStanding.ONLINE, 0.0, "")
    assert buttons.asked == buttons.answered > 0


def test_how_fast_the_outbox_fills() -> None:
    school = School()
    for _ in range(60):
        school.run(1)
        school.health.store.bytes_waiting += 500
    assert school.board.snapshot(school.now).growth_bytes_s == pytest.approx(500, rel=0.1)
    school.health.store.bytes_waiting = 0
    assert school.board.snapshot(school.now).growth_bytes_s < 0


def test_times_of_the_uplink_are_told_as_ages() -> None:
    school = School()
    school.run(10)
    assert school.board.snapshot(school.now).receipt_s is None
    school.health.uplink.is_up, school.health.uplink.now.connected_at = True, school.now - 4.0
    school.health.uplink.now.receipt_at = school.now - 3.0
    snapshot = school.board.snapshot(school.now)
    assert (snapshot.connected_s, snapshot.receipt_s) == (4.0, 3.0)
    school.health.uplink.is_up = False
    assert school.board.snapshot(school.now).connected_s is None


def test_one_line_for_systemd() -> None:
    school = School()
    school.health.buses["roof"].is_up = False
    school.run(10, mute=("weather",))
    assert school.board.line(school.now) == "2 of 3 buses open, 4 of 5 devices online, uplink down"


def test_it_travels_as_json() -> None:
    school = School()
    school.run(30, mute=("weather",))
    school.health.store.faults.add("outbox-full")
    school.health.machine.cpu_celsius = 50.5
    school.stalled = ["bus gate"]
    snapshot = school.board.snapshot(school.now)
    answer = json.loads(json.dumps(encode_snapshot(snapshot)))
    assert decode_snapshot(answer) == snapshot
    assert decode_snapshot({**answer, "of_a_later_version": 1}) == snapshot
    with pytest.raises(msgspec.ValidationError):
        decode_snapshot({"hello": 1})


def test_a_device_in_a_test_is_marked() -> None:
    school = School()
    school.modes["gate-buttons"] = Mode.TEST
    units = {unit.device: unit.mode for bus in school.board.snapshot(school.now).buses for unit in bus.units}
    assert units.pop("gate-buttons") is Mode.TEST
    assert set(units.values()) == {Mode.LIVE}


def test_a_line_on_which_devices_speak_shows_its_own_counters() -> None:
    school = School()
    push = school.health.buses["dormitory"].push = PushHealth(connections=5)
    school.board = school.new_board()
    push.connections, push.connected, push.now.stranger = 7, 3, "7F01"
    school.run(5)
    snapshot = decode_snapshot(encode_snapshot(school.board.snapshot(school.now)))
    bus = next(bus for bus in snapshot.buses if bus.id == "dormitory")
    assert bus.total.push is not None
    assert bus.recent.push is not None
    assert (bus.total.push.connections, bus.recent.push.connections, bus.recent.push.connected) == (7, 2, 3)
    assert bus.total.push.now.stranger == "7F01"
    points = {
        point.key: point.value for one in school.health.samples(1) for point in one.points if "dorm" in one.device
    }
    assert (points["push.connected"], points["is_up"]) == (3.0, True)
    assert not any("stranger" in str(value) or key in ("polls", "line.late") for key, value in points.items())
    text = render(school.board.snapshot(school.now))
    assert 'langyan_bus_push_connected{bus="dormitory"} 3.0' in text
    assert 'langyan_bus_push_connections_total{bus="dormitory"} 7.0' in text
    assert "7F01" not in text
