from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cloud.clock import now_us
from cloud.counters import Counters
from cloud.database import Database
from cloud.database.tables import alarm_event, dead_letter
from cloud.desk.operations import list_alarms
from cloud.desk.shell import run_desk
from cloud.settings import DatabaseSettings, Settings
from contract.alarms import AlarmEvent, Mode, Transition, encode_alarm
from contract.errors import Refusal
from contract.receipts import Verdict
from contract.topics import CLOUD_READY, Channel
from langyan.servers import Mosquitto
from tests.cloud.conftest import MakeSettings
from tests.cloud.rig import GatewayClient, count_of, eventually, fresh, rows_of, running
from tests.cloud.test_desk_events import acknowledge, event


@pytest.fixture
def settings(make_settings: MakeSettings, mosquitto: Mosquitto) -> Settings:
    return make_settings(mosquitto.port, "http://127.0.0.1:1")


@pytest.fixture
def desk(settings: Settings) -> Iterator[Counters]:
    with running(run_desk, settings) as counters:
        yield counters


@pytest.fixture
def gateway(mosquitto: Mosquitto) -> Iterator[GatewayClient]:
    with GatewayClient(mosquitto.port, fresh("g")) as client:
        yield client


def send(gateway: GatewayClient, one: AlarmEvent) -> AlarmEvent:
    """Send it as this gateway's, and wait for its receipt, asked for by the event's own id."""
    own = msgspec.structs.replace(one, gateway=gateway.gateway)
    gateway.send(Channel.ALARM, encode_alarm(own), correlation=own.event_id.encode())
    assert gateway.receipt(own.event_id.encode()).verdict is Verdict.STORED
    return own


def now_event() -> AlarmEvent:
    at_us = now_us()
    return msgspec.structs.replace(event(0), raised_at_us=at_us, at_us=at_us)


def test_an_alarm_is_stored_before_it_is_answered(desk: Counters, gateway: GatewayClient, database: Database) -> None:
    press = send(gateway, now_event())
    (alarm,) = list_alarms(database)
    assert (alarm.alarm_id, alarm.gateway, alarm.late) == (press.alarm_id, gateway.gateway, False)
    receipt = gateway.receipt(press.event_id.encode())
    assert press.raised_at_us <= alarm.received_at_us <= alarm.stored_at_us <= receipt.at_us
    assert receipt.stored == 1
    assert desk.stored == 1


def test_a_whole_story(desk: Counters, gateway: GatewayClient, database: Database) -> None:
    press = send(gateway, now_event())
    acknowledge(database, press.alarm_id[:10], "王芳")
    over = msgspec.structs.replace(press, transition=Transition.CLEARED, at_us=press.at_us + 1_000)
    send(gateway, over)
    (alarm,) = list_alarms(database)
    assert (alarm.cleared_at_us, alarm.acknowledged_by, alarm.is_open) == (over.at_us, "王芳", True)
    later = press.at_us + 2_000
    send(gateway, msgspec.structs.replace(press, raised_at_us=later, at_us=later))
    (alarm,) = list_alarms(database)
    assert (alarm.triggers, alarm.acknowledged_by, alarm.cleared_at_us) == (2, None, None)
    assert desk.stored == 3


def test_second_presses_and_tests_are_stored_and_answered(
    desk: Counters, gateway: GatewayClient, database: Database
) -> None:
    press = send(gateway, now_event())
    acknowledge(database, press.alarm_id, "王芳")
    again = msgspec.structs.replace(press, transition=Transition.RETRIGGERED, at_us=press.at_us + 2_000_000)
    send(gateway, again)
    later = press.at_us + 5_000_000
    tried = send(gateway, msgspec.structs.replace(press, raised_at_us=later, at_us=later, mode=Mode.TEST))
    (live,) = list_alarms(database, mode=Mode.LIVE)
    assert (live.triggers, live.acknowledged_by, live.last_raised_at_us) == (2, None, again.at_us)
    assert [alarm.alarm_id for alarm in list_alarms(database, mode=Mode.TEST)] == [tried.alarm_id]
    assert desk.stored == 3


def test_the_same_event_twice_is_stored_once_and_answered_twice(
    desk: Counters, gateway: GatewayClient, database: Database
) -> None:
    press = msgspec.structs.replace(now_event(), gateway=gateway.gateway)
    for correlation in (b"1", b"2"):
        gateway.send(Channel.ALARM, encode_alarm(press), correlation=correlation)
        assert gateway.receipt(correlation).verdict is Verdict.STORED
    assert (count_of(database, alarm_event), list_alarms(database)[0].triggers) == (1, 1)
    assert desk.messages == 2


def test_an_old_alarm_is_raised_and_marked_late(desk: Counters, gateway: GatewayClient, database: Database) -> None:
    send(gateway, event(0))
    assert list_alarms(database)[0].late
    assert desk.stored == 1


def test_a_flood_is_stored_whole(desk: Counters, gateway: GatewayClient, database: Database) -> None:
    events = [
        msgspec.structs.replace(event(second, device=f"d{second % 10}"), gateway=gateway.gateway)
        for second in range(300)
    ]
    for one in events:
        gateway.send(Channel.ALARM, encode_alarm(one), correlation=one.event_id.encode())
    for one in events:
        assert gateway.receipt(one.event_id.encode()).verdict is Verdict.STORED
    assert [alarm.triggers for alarm in list_alarms(database)] == [30] * 10
    assert desk.stored == 300


def test_bad_events_are_answered_and_kept_within_bounds(
    settings: Settings, gateway: GatewayClient, database: Database
) -> None:
    bounded = DatabaseSettings(url=settings.database.url, dead_letters=5)
    foreign = encode_alarm(event(0))
    with running(run_desk, msgspec.structs.replace(settings, database=bounded)) as counters:
        for number in range(9):
            payload = b"{}" if number < 8 else foreign
            gateway.send(Channel.ALARM, payload, correlation=b"%d" % number)
        assert gateway.receipt(b"0").reason.startswith(Refusal.NOT_CLOUDEVENT)
        last = gateway.receipt(b"8")
        assert (last.verdict, last.refused) == (Verdict.REFUSED, 1)
        assert last.reason.startswith(Refusal.WRONG_GATEWAY)
        send(gateway, event(0))
        assert counters.refused == {"not-cloudevent": 8, "wrong-gateway": 1}
    assert [row["reason"] for row in rows_of(database, dead_letter)] == ["not-cloudevent"] * 4 + ["wrong-gateway"]


def test_two_desks_keep_one_open_row_a_source(settings: Settings, gateway: GatewayClient, database: Database) -> None:
    with running(run_desk, settings) as one, running(run_desk, settings) as two:
        events = [msgspec.structs.replace(event(second), gateway=gateway.gateway) for second in range(60)]
        for press in events:
            gateway.send(Channel.ALARM, encode_alarm(press), correlation=press.event_id.encode())
        for press in events:
            assert gateway.receipt(press.event_id.encode()).verdict is Verdict.STORED
    (alarm,) = list_alarms(database)
    assert (alarm.triggers, alarm.raised_at_us) == (60, events[0].raised_at_us)
    assert min(one.stored, two.stored) > 0


def test_a_locked_database_delays_the_answer_and_loses_nothing(
    settings: Settings, desk: Counters, gateway: GatewayClient, database: Database
) -> None:
    press = msgspec.structs.replace(event(0), gateway=gateway.gateway)
    with database.transaction():
        gateway.send(Channel.ALARM, encode_alarm(press), correlation=b"x")
        eventually(lambda: desk.messages == 1)
        assert gateway.receipts(b"x") == []
    assert gateway.receipt(b"x").verdict is Verdict.STORED
    assert settings.database.url.startswith("sqlite")


def test_a_killed_broker_is_found_again_and_ready_is_said_again(
    make_settings: MakeSettings, tmp_path: Path, database: Database
) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        settings = make_settings(broker.port, "http://127.0.0.1:1")
        with running(run_desk, settings) as counters, GatewayClient(broker.port, fresh("g")) as gateway:
            send(gateway, event(0))
            broker.kill()
            broker.start()
            eventually(lambda: counters.reconnects == 1)
            press = msgspec.structs.replace(event(60), gateway=gateway.gateway)
            gateway.send_until_answered(Channel.ALARM, encode_alarm(press), correlation=b"again")
    assert list_alarms(database)[0].triggers == 2
    assert CLOUD_READY == "langyan/v1/cloud/ready"
