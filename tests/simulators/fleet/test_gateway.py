import pytest

from contract.alarms import Mode, Transition, decode_alarm
from contract.compression import unpack
from contract.presence import Birth, Death, decode_presence
from contract.receipts import Verdict
from contract.telemetry import Lane, Sample, decode_telemetry, header_from_properties
from contract.topics import CLOUD_READY, Channel, topic
from simulators.fleet import gateway as module
from simulators.fleet.content import Content
from simulators.fleet.gateway import ANSWER_LIMIT_S, MAX_WAITING, PRESSED_FOR_S, WINDOW, FleetGateway
from simulators.fleet.plan import Plan, Tally, seeded
from tests.simulators.fleet.broker import Broker, Published

NAME = "fleet-00002"
PLAN = Plan(gateways=4, devices=3, interval_s=8.0, resend_s=5.0, alarm_resend_s=1.0)
T0_US = 1_767_225_600_000_000


class Rig:
    """One gateway, its broker, and a clock."""

    def __init__(self, plan: Plan = PLAN) -> None:
        self.now = 100.0
        self.tally = Tally()
        self.gateway = FleetGateway(
            2, plan, content=Content(plan, boot="b00t", version="1"), tally=self.tally,
            chance=seeded(plan), wall_us=lambda: T0_US + round(self.now * 1e6),
        )  # fmt: skip
        self.broker = Broker(self.gateway, NAME)

    def until(self, at: float) -> list[Published]:
        """Let time pass, ticking the gateway when it wants to be; returns what it published."""
        found = []
        while (next_at := self.gateway.next_at()) <= at:
            assert next_at >= self.now - 1e-9, "a tick that changes nothing would be asked for at once again"
            self.now = max(self.now, next_at)
            assert self.gateway.tick(self.now)
            if self.gateway.client is not None:
                found += self.broker.publishes()
        self.now = at
        return found


@pytest.fixture
def rig() -> Rig:
    return Rig()


def samples_of(one: Published) -> list[Sample]:
    header = header_from_properties(one.header.items(), gateway=NAME)
    return decode_telemetry(unpack(one.payload, header.encoding))


def numbers_of(published: list[Published]) -> list[float | bool | str]:
    return [samples_of(one)[0].points[0].value for one in published]


def test_it_introduces_itself(rig: Rig) -> None:
    (birth,) = rig.broker.connect(rig.now)
    assert (birth.topic, birth.is_retained) == (topic(NAME, Channel.BIRTH), True)
    said = decode_presence(birth.payload, gateway=NAME)
    assert isinstance(said, Birth)
    assert [device.id for device in said.devices] == ["device-0001", "device-0002", "device-0003"]
    assert birth.properties.ResponseTopic == topic(NAME, Channel.RECEIPT)
    for wanted in (topic(NAME, Channel.RECEIPT), topic(NAME, Channel.COMMAND), CLOUD_READY):
        assert wanted.encode() in rig.broker.subscription
    assert rig.gateway.is_up
    assert rig.tally.up == 1


def test_it_reads_at_its_place_in_the_interval_and_numbers_its_batches(rig: Rig) -> None:
    rig.broker.connect(rig.now)
    rig.gateway.read_from(rig.now)
    assert rig.until(101.9) == []
    batches = rig.until(120.0)
    assert numbers_of(batches) == [1.0, 2.0, 3.0]  # at 102, 110 and 118
    first = samples_of(batches[0])
    assert [sample.device for sample in first] == ["device-0001", "device-0002", "device-0003"]
    assert {sample.at_us for sample in first} == {T0_US + 102_000_000}
    header = header_from_properties(batches[0].header.items(), gateway=NAME)
    assert (header.lane, header.boot) == (Lane.LIVE, "b00t")
    assert rig.tally.made == rig.tally.sent == PLAN.due(2, 20.0) == 3


def test_what_has_its_receipt_is_settled_and_timed(rig: Rig) -> None:
    rig.broker.connect(rig.now)
    rig.gateway.read_from(rig.now)
    (batch,) = rig.until(103.0)
    rig.broker.acknowledge([batch], 103.0)
    assert rig.tally.waiting == 1
    rig.broker.receipt(batch, 104.0)
    rig.broker.receipt(batch, 105.0)
    assert (rig.tally.waiting, rig.tally.settled) == (0, 1)
    assert rig.tally.receipts.percentile(0.99) == pytest.approx(2.0, rel=0.03)


def test_a_refusal_is_final_and_counted(rig: Rig) -> None:
    rig.broker.connect(rig.now)
    rig.gateway.read_from(rig.now)
    (batch,) = rig.until(103.0)
    rig.broker.receipt(batch, 103.0, Verdict.REFUSED)
    assert (rig.tally.waiting, rig.tally.settled, rig.tally.refused) == (0, 0, 1)
    assert NAME in rig.tally.why


def test_what_has_no_receipt_goes_again_later_and_later_with_the_same_bytes(rig: Rig) -> None:
    rig.broker.connect(rig.now)
    rig.gateway.read_from(rig.now)
    (batch,) = rig.until(102.0)
    rig.gateway.read_no_more()
    assert rig.until(115.0) == [], "the broker has not taken it yet"
    rig.broker.acknowledge([batch], 115.0)
    (again,) = rig.until(121.1)
    rig.broker.acknowledge([again], 121.1)
    assert rig.until(130.0) == []
    (third,) = rig.until(133.2)
    for other in (again, third):
        assert (other.payload, other.correlation, other.header) == (batch.payload, batch.correlation, batch.header)
    assert rig.tally.again == 2


def test_what_the_broker_does_not_take_goes_again(rig: Rig) -> None:
    rig.broker.connect(rig.now)
    rig.gateway.read_from(rig.now)
    (batch,) = rig.until(102.0)
    rig.broker.acknowledge([batch], 102.0, code=0x97)
    rig.gateway.read_no_more()
    assert len(rig.until(109.0)) == 1
    assert rig.tally.broker_refused == 1


def test_without_receipts_the_brokers_word_is_enough() -> None:
    rig = Rig(Plan(gateways=4, devices=3, interval_s=8.0, waits_for_receipts=False))
    (birth,) = rig.broker.connect(rig.now)
    assert birth.correlation == b""
    assert topic(NAME, Channel.RECEIPT).encode() not in rig.broker.subscription
    rig.gateway.read_from(rig.now)
    (batch,) = rig.until(103.0)
    assert batch.correlation == b""
    rig.broker.acknowledge([batch], 103.0)
    assert (rig.tally.waiting, rig.tally.settled) == (0, 1)


def test_no_more_batches_are_under_way_than_the_window_and_the_broker_allow() -> None:
    rig = Rig(Plan(gateways=4, devices=3, interval_s=1.0))
    rig.broker.connect(rig.now, receive_max=3)
    rig.gateway.read_from(rig.now)
    batches = rig.until(112.0)
    assert numbers_of(batches) == [1.0, 2.0, 3.0]
    rig.broker.acknowledge(batches, 112.0)
    more = rig.broker.publishes()
    assert numbers_of(more) == [4.0, 5.0, 6.0]
    rig.broker.acknowledge(more, 112.0)
    assert numbers_of(rig.broker.publishes()) == [7.0, 8.0], "a window of 8"
    rig.broker.receipt(batches[0], 112.0)
    assert numbers_of(rig.broker.publishes()) == [9.0]
    assert WINDOW == 8


def test_what_waits_through_an_outage_comes_afterwards_as_backlog_and_in_order(rig: Rig) -> None:
    rig.broker.connect(rig.now)
    rig.gateway.read_from(rig.now)
    (first,) = rig.until(103.0)
    rig.gateway.closed(104.0)
    assert 104.125 <= rig.gateway.connect_at <= 104.25
    assert (rig.tally.up, rig.tally.cuts) == (0, 1)
    rig.until(120.0)
    rig.broker.connect(120.0)
    backlog = rig.broker.publishes()
    assert numbers_of(backlog) == [1.0, 2.0, 3.0]
    assert backlog[0].payload == first.payload
    assert [one.header.get("lane") for one in backlog] == ["backfill"] * 3
    (live,) = rig.until(126.0)
    assert live.header.get("lane") is None
    assert rig.tally.sent == 4


def test_it_tries_again_later_and_later_with_jitter_and_at_once_after_a_receipt(rig: Rig) -> None:
    pauses = []
    for _ in range(6):
        rig.gateway.closed(50.0)
        pauses.append(rig.gateway.connect_at - 50.0)
    assert all(low / 2 <= pause <= low for pause, low in zip(pauses, [0.25, 0.5, 1, 2, 2, 2], strict=True))
    rig.broker.connect(rig.now)
    rig.gateway.read_from(rig.now)
    (batch,) = rig.until(103.0)
    rig.broker.receipt(batch, 103.0)
    rig.gateway.closed(104.0)
    assert rig.gateway.connect_at <= 104.25


def test_a_backlog_has_an_end_and_the_oldest_goes() -> None:
    rig = Rig(Plan(gateways=4, devices=1, interval_s=0.05))
    rig.gateway.read_from(rig.now)
    rig.until(100.0 + 0.05 * (MAX_WAITING + 100))
    assert rig.tally.dropped > 0
    assert rig.tally.waiting == MAX_WAITING
    rig.broker.connect(rig.now)
    assert numbers_of(rig.broker.publishes())[0] == rig.tally.dropped + 1


def test_a_press_goes_before_readings_and_is_let_go(rig: Rig) -> None:
    rig.gateway.read_from(rig.now)
    rig.until(103.0)
    rig.gateway.press(103.0)
    rig.broker.connect(103.0)
    raised, batch = rig.broker.publishes()
    assert batch.topic == topic(NAME, Channel.TELEMETRY)
    (cleared,) = [one for one in rig.until(103.0 + PRESSED_FOR_S) if one.topic.endswith("alarm")]
    events = [decode_alarm(one.payload, gateway=NAME) for one in (raised, cleared)]
    assert [event.transition for event in events] == [Transition.RAISED, Transition.CLEARED]
    assert events[0].alarm_id == events[1].alarm_id
    assert {event.mode for event in events} == {Mode.TEST}, "nobody is sent"
    assert raised.header["lane"] == "alarm"
    for one in (raised, cleared):
        rig.broker.receipt(one, 106.0)
    assert (rig.tally.pressed, rig.tally.alarms_settled, rig.tally.alarms_waiting) == (2, 2, 0)
    assert rig.tally.alarm_receipts.count == 2


@pytest.mark.parametrize(("worker", "channels"), [
    (b'{"worker":"ingest"}', ["up/telemetry"]), (b'{"worker":"desk"}', ["up/alarm"]),
    (b"{}", ["up/alarm", "up/telemetry"]), (b"[1", ["up/alarm", "up/telemetry"]),
])  # fmt: skip
def test_a_worker_that_is_ready_gets_what_waits_at_once(rig: Rig, worker: bytes, channels: list[str]) -> None:
    rig.broker.connect(rig.now)
    rig.gateway.read_from(rig.now)
    batches = rig.until(102.0)
    rig.gateway.press(102.0)
    alarms = rig.broker.publishes()
    rig.broker.acknowledge(batches + alarms, 102.1)
    rig.broker.message(CLOUD_READY, worker, 102.2)
    assert [one.topic.partition(f"{NAME}/")[2] for one in rig.broker.publishes()] == channels
    rig.broker.message(CLOUD_READY, worker, 102.3)
    assert rig.broker.publishes() == [], "not more often than a worker can start"


def test_it_pings_in_time_and_leaves_a_broker_that_does_not_answer(rig: Rig) -> None:
    rig.broker.connect(rig.now)
    rig.now = rig.gateway.next_at()
    assert rig.now == 130.0  # half of the keep-alive
    assert rig.gateway.tick(rig.now)
    assert rig.broker.packets() == [(0xC0, b"")]
    assert rig.broker.say(b"\xd0\x00", rig.now)
    rig.now = rig.gateway.next_at()
    assert rig.gateway.tick(rig.now)
    rig.now += ANSWER_LIMIT_S
    assert rig.gateway.next_at() == rig.now
    assert not rig.gateway.tick(rig.now)


@pytest.mark.parametrize(("code", "is_unwelcome"), [(0x87, True), (0x86, True), (0x88, False), (0x9F, False)])
def test_a_broker_that_refuses_us_is_told_from_one_that_is_busy(rig: Rig, code: int, is_unwelcome: bool) -> None:  # noqa: FBT001
    rig.gateway.opened(rig.now)
    assert not rig.broker.say(bytes((0x20, 3, 0, code, 0)), rig.now)
    assert (rig.tally.turned_away, rig.tally.is_unwelcome) == (1, is_unwelcome)
    assert f"{code:#04x}" in rig.tally.why


def test_a_broker_that_hangs_up_is_left(rig: Rig) -> None:
    rig.broker.connect(rig.now)
    assert not rig.broker.say(b"\xe0\x01\x8b", rig.now)
    assert "0x8b" in rig.tally.why


def test_it_leaves_in_order_and_says_nothing_after_that(rig: Rig) -> None:
    rig.broker.connect(rig.now)
    rig.gateway.read_from(rig.now)
    rig.gateway.say_goodbye()
    assert rig.gateway.client is not None
    assert bytes(rig.gateway.client.out).endswith(b"\xe0\x00")
    (death,) = rig.broker.publishes()
    assert decode_presence(death.payload, gateway=NAME) == Death(NAME, "b00t", "stopped")
    assert death.is_retained
    assert rig.until(110.0) == []
    assert rig.tally.up == 0


def test_foreign_correlation_data_are_passed_over(rig: Rig) -> None:
    rig.broker.connect(rig.now)
    rig.gateway.read_from(rig.now)
    (batch,) = rig.until(103.0)
    for correlation in (b"", b"other:1", b"b00t:", b"b00t:" + b"9" * 5000, b"b00t:99", b"\xff:1", b"birth:1"):
        batch.properties.CorrelationData = correlation
        rig.broker.receipt(batch, 103.0)
    assert rig.tally.settled == 0


def test_times_of_a_device_are_never_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(Plan(gateways=1, devices=1, interval_s=0.05))
    monkeypatch.setattr(rig.gateway, "_wall_us", lambda: T0_US)
    rig.broker.connect(rig.now)
    rig.gateway.read_from(rig.now)
    times = [samples_of(one)[0].at_us for one in rig.until(100.3)]
    assert times == [T0_US + number for number in range(len(times))]
    assert module.WINDOW >= len(times) > 3
