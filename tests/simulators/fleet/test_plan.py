import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.compression import unpack
from contract.telemetry import Lane, decode_telemetry, header_from_properties
from simulators.fleet.content import Content
from simulators.fleet.counting import Found, Numbers, compare
from simulators.fleet.plan import Latencies, Plan


@given(st.integers(1, 50), st.floats(0.05, 100.0), st.floats(0.0, 500.0))
def test_what_is_due_is_what_was_read_by_then(gateways: int, interval_s: float, elapsed_s: float) -> None:
    plan = Plan(gateways=gateways, interval_s=interval_s)
    due = 0
    for number in range(1, gateways + 1):
        at = plan.phase_s(number)
        while at < elapsed_s and due < 100_000:
            due, at = due + 1, at + interval_s
    # Steps that are added up differ from their product in the last digit: one batch at most a gateway.
    assert abs(plan.batches_due(elapsed_s) - due) <= gateways * (due < 100_000) or due >= 100_000


def test_gateways_are_spread_over_the_interval() -> None:
    plan = Plan(gateways=10, interval_s=30.0)
    assert [plan.phase_s(number) for number in (1, 2, 10)] == [0.0, 3.0, 27.0]
    assert plan.batches_due(30.0) == 10
    assert plan.batches_due(15.0) == 5


@given(st.lists(st.floats(1e-4, 1000.0), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_at_most_two_percent_too_long(times: list[float], share: float) -> None:
    latencies = Latencies()
    for one in times:
        latencies.add(one)
    order = sorted(times)
    exact = next(one for at, one in enumerate(order, start=1) if at >= len(order) * share)
    assert exact * 0.999 <= latencies.percentile(share) <= exact * 1.021


def test_no_times_have_no_percentile() -> None:
    assert Latencies().percentile(0.99) == 0.0


@pytest.mark.parametrize(
    ("stored", "lost", "twice"),
    [
        (Numbers(3, 1, 3, 6), 0, 0),
        (Numbers(2, 1, 3, 4), 1, 0),
        (Numbers(4, 1, 3, 8), 0, 1),
        (Numbers(3, 1, 3, 5), 1, 1),  # 1, 1 and 3
        (Numbers(3, 2, 4, 9), 1, 1),
    ],
)
def test_made_and_stored_are_compared_number_by_number(stored: Numbers, lost: int, twice: int) -> None:
    plan = Plan(gateways=2, devices=1)
    good = Numbers(1, 1, 1, 1)
    found = compare(plan, [1, 3], {("fleet-00001", "device-0001"): good, ("fleet-00002", "device-0001"): stored})
    assert found == Found(4, 1 + stored.count, lost, twice)


def test_a_device_that_made_nothing_has_lost_nothing_and_one_that_is_not_stored_all() -> None:
    assert compare(Plan(gateways=2, devices=2), [0, 5], {}) == Found(10, 0, 10, 0)


def test_the_same_seed_says_the_same_and_another_something_else() -> None:
    def said(seed: int) -> bytes:
        content = Content(Plan(gateways=3, seed=seed), boot="b", version="1")
        return content.batch(2, "g", number=1, at_us=10**15, lane=Lane.LIVE, correlation=None).payload

    assert said(1) == said(1) != said(2)


def test_a_batch_of_many_devices_is_deflated_as_a_gateway_does() -> None:
    content = Content(Plan(gateways=1, devices=20), boot="b", version="1")
    message = content.batch(1, "g", number=5, at_us=10**15, lane=Lane.LIVE, correlation=b"b:5")
    assert b"deflate" in message.properties
    header = header_from_properties([("content-encoding", "deflate")], gateway="g")
    samples = decode_telemetry(unpack(message.payload, header.encoding))
    assert len(samples) == 20
    assert len({sample.points[1].value for sample in samples}) > 10, "each device has a temperature of its own"
