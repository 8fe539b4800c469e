"""Orders to gateways on both databases, in virtual time: sent, sent again, bounded, in order, settled once."""

import threading
from functools import partial

import pytest

from cloud.database import Database
from cloud.errors import BadOrderError
from cloud.orders import sending
from cloud.orders.life import GRACE_US, OrderState
from cloud.orders.orders import MAX_WAITING, GatewayOrder, Ordered, give, list_orders, outcome_of
from cloud.orders.settings import Orders
from contract.commands import Order, Outcome, Result, Write
from contract.reasons import KNOWS_NO_TIME
from contract.tags import Arm, Disarm
from tests.cloud.order_rig import SECOND_US, T0_US, Wire

HOUR_S = 3_600.0


@pytest.fixture
def wire(desk_database: Database) -> Wire:
    made = Wire(desk_database)
    made.gateway("g1")
    return made


def order(
    id_: str, gateway: str = "g1", order: Order | None = None, *, for_s: float = HOUR_S, **more: str
) -> GatewayOrder:
    what = order or Write("siren", "on", value=True)
    expires_at_us = T0_US + round(for_s * SECOND_US)
    return GatewayOrder(id=id_, gateway=gateway, order=what, by="王芳", expires_at_us=expires_at_us, **more)


def given(wire: Wire, *orders: GatewayOrder) -> None:
    wire.run(partial(give, orders=orders, now_us=wire.now_us))


def outcome(wire: Wire, id_: str) -> Ordered:
    return wire.database.read(partial(outcome_of, ids=[id_]))[id_]


def test_an_order_is_sent_once_and_its_answer_is_kept(wire: Wire) -> None:
    given(wire, order("o1", why="a drill"))
    (command,) = wire.send()
    assert (command.gateway, command.order, command.by) == ("g1", Write("siren", "on", value=True), "王芳")
    assert outcome(wire, "o1").state is OrderState.SENT
    assert wire.send() == []
    wire.hear(Result(command.id, "g1", Outcome.DONE, wire.now_us, "", True))
    found = outcome(wire, "o1")
    assert (found.state, found.value, found.kind, found.why) == (OrderState.DONE, True, "write", "a drill")
    wire.wait(HOUR_S)
    assert wire.send() == []


def test_what_is_not_answered_is_sent_again_with_the_same_id_and_later_and_later(wire: Wire) -> None:
    given(wire, order("o1"))
    sent = []
    for _ in range(29):
        sent += [(wire.now_us, one.id) for one in wire.send()]
        wire.wait(10)
    assert len({id_ for _at, id_ in sent}) == 1
    assert [(at - T0_US) // SECOND_US for at, _id in sent] == [0, 20, 50, 110, 230]


def test_a_command_that_ended_unanswered_is_made_anew_while_the_wish_stands(wire: Wire) -> None:
    given(wire, order("o1", for_s=2 * HOUR_S))
    ids: list[str] = []
    for _ in range(65):
        for one in wire.send():
            assert one.expires_at_us <= T0_US + 2 * HOUR_S * SECOND_US
            assert one.expires_at_us - wire.now_us <= 300 * SECOND_US
            ids.append(one.id)
        wire.wait(120)
    found = outcome(wire, "o1")
    assert len(set(ids)) == found.commands > 8
    assert (found.state, found.reason) == (OrderState.EXPIRED, "no answer; it may have been done")


def test_an_answer_that_comes_after_the_commands_end_still_counts(wire: Wire) -> None:
    given(wire, order("o1", for_s=60))
    (command,) = wire.send()
    wire.wait(60 + GRACE_US / SECOND_US / 2)
    wire.send()
    assert outcome(wire, "o1").state is OrderState.SENT
    wire.answer(command)
    assert outcome(wire, "o1").state is OrderState.DONE


def test_a_gateway_that_is_away_gets_it_when_it_is_born_and_again_when_it_is_born_anew(wire: Wire) -> None:
    wire.gateway("g1", online=False, since_us=5)
    given(wire, order("o1"))
    wire.wait(600)
    assert wire.send() == []
    wire.gateway("g1", since_us=6)
    (first,) = wire.send()
    assert wire.send() == []
    wire.gateway("g1", since_us=7)
    (second,) = wire.send()
    assert first.id == second.id


def test_one_that_was_never_heard_of_is_tried(wire: Wire) -> None:
    given(wire, order("o1", "unknown"))
    assert [one.gateway for one in wire.send()] == ["unknown"]


def test_a_wish_that_nobody_could_carry_out_in_time_expires(wire: Wire) -> None:
    wire.gateway("g1", online=False)
    given(wire, order("o1", for_s=60))
    wire.wait(61)
    assert wire.send() == []
    assert (outcome(wire, "o1").state, "away" in outcome(wire, "o1").reason) == (OrderState.EXPIRED, True)


@pytest.mark.parametrize(
    ("answer", "state"),
    [(Outcome.REFUSED, OrderState.REFUSED), (Outcome.FAILED, OrderState.FAILED), (Outcome.DONE, OrderState.DONE)],
)
def test_an_answer_is_final(wire: Wire, answer: Outcome, state: OrderState) -> None:
    given(wire, order("o1"))
    (command,) = wire.send()
    wire.answer(command, answer, "no such device")
    wire.answer(command, Outcome.DONE if answer is not Outcome.DONE else Outcome.FAILED)
    assert (outcome(wire, "o1").state, outcome(wire, "o1").reason) == (state, "no such device")
    wire.wait(HOUR_S)
    assert wire.send() == []


@pytest.mark.parametrize(
    ("answer", "reason"), [(Outcome.REFUSED, f"{KNOWS_NO_TIME}, so"), (Outcome.EXPIRED, "it expired 3 s before")]
)
def test_what_is_refused_for_now_is_made_anew_later(wire: Wire, answer: Outcome, reason: str) -> None:
    given(wire, order("o1"))
    (first,) = wire.send()
    wire.answer(first, answer, reason)
    assert (outcome(wire, "o1").state, wire.send()) == (OrderState.WAITING, [])
    wire.wait(16)
    (second,) = wire.send()
    assert second.id != first.id
    # The first one's answer, said again, is not the second's.
    wire.answer(first, Outcome.FAILED)
    wire.answer(second)
    assert outcome(wire, "o1").state is OrderState.DONE


def test_nobody_answers_for_another(wire: Wire) -> None:
    given(wire, order("o1"))
    (command,) = wire.send()
    wire.hear(Result(command.id, "g2", Outcome.DONE, wire.now_us))
    assert outcome(wire, "o1").state is OrderState.SENT


def test_the_latest_wish_wins(wire: Wire) -> None:
    wire.gateway("g1", online=False)
    given(wire, order("arm", order=Arm(("T1",)), replaces="arm T1"), order("other", replaces="arm T2"))
    given(wire, order("disarm", order=Disarm(("T1",)), replaces="arm T1"))
    assert outcome(wire, "arm").state is OrderState.REPLACED
    wire.gateway("g1", since_us=2)
    assert {one.order for one in wire.send()} == {Disarm(("T1",)), Write("siren", "on", value=True)}


def test_a_wish_under_way_comes_to_its_end_before_the_one_that_replaces_it(wire: Wire) -> None:
    given(wire, order("arm", order=Arm(("T1",)), replaces="arm T1"))
    (arm,) = wire.send()
    given(wire, order("disarm", order=Disarm(("T1",)), replaces="arm T1"))
    assert wire.send() == []
    wire.answer(arm)
    assert [one.order for one in wire.send()] == [Disarm(("T1",))]
    assert outcome(wire, "arm").state is OrderState.DONE


def test_a_replaced_wish_is_not_made_anew_when_nobody_answered(wire: Wire) -> None:
    given(wire, order("arm", order=Arm(("T1",)), replaces="arm T1"))
    wire.send()
    given(wire, order("disarm", order=Disarm(("T1",)), replaces="arm T1"))
    found = []
    for _ in range(7):
        wire.wait(60)
        found += [one.order for one in wire.send()]
    assert found[-1] == Disarm(("T1",))
    assert outcome(wire, "arm").state is OrderState.REPLACED


def test_of_two_wishes_given_at_once_the_last_counts(wire: Wire) -> None:
    given(wire, order("a", replaces="w"), order("b", replaces="w"))
    assert [outcome(wire, name).state for name in "ab"] == [OrderState.REPLACED, OrderState.WAITING]


def test_a_sequence_goes_one_after_the_other(wire: Wire) -> None:
    wire.gateway("g2")
    given(wire, *(order(f"o{number}", sequence="s") for number in range(3)), order("x", "g2", sequence="s"))
    first, other = wire.send()
    assert {first.gateway, other.gateway} == {"g1", "g2"}
    assert wire.send() == []
    wire.answer(first, Outcome.FAILED, "no answer from the device")
    (second,) = wire.send()
    wire.answer(second)
    assert [outcome(wire, f"o{number}").state for number in range(3)] == [
        OrderState.FAILED,
        OrderState.DONE,
        OrderState.WAITING,
    ]


def test_no_more_than_the_bounds_are_under_way_and_nobody_starves(wire: Wire) -> None:
    wire.with_settings(in_flight=6, per_gateway=4)
    wire.gateway("g2")
    wire.gateway("g3")
    given(wire, *(order(f"a{number}") for number in range(20)))
    given(wire, *(order(f"b{number}", "g2") for number in range(3)), order("c", "g3"))
    sent = wire.send()
    assert sorted(one.gateway for one in sent) == ["g1"] * 4 + ["g2"] * 2
    assert wire.send() == []
    for one in sent:
        wire.answer(one)
    again = wire.send()
    assert sorted(one.gateway for one in again) == ["g1"] * 4 + ["g2", "g3"]
    # Who is away holds no place of others.
    wire.gateway("g1", online=False)
    given(wire, *(order(f"d{number}", "g3") for number in range(3)))
    assert [one.gateway for one in wire.send()] == ["g3"] * 3


def test_too_many_that_wait_for_one_are_refused_and_seen(wire: Wire) -> None:
    given(wire, *(order(f"o{number}") for number in range(MAX_WAITING + 2)), order("x", "g2"))
    refused = wire.database.read(partial(list_orders, states=[OrderState.REFUSED]))
    assert [(one.id, str(MAX_WAITING) in one.reason) for one in refused] == [
        (f"o{MAX_WAITING + 1}", True), (f"o{MAX_WAITING}", True)
    ]  # fmt: skip
    assert outcome(wire, "x").state is OrderState.WAITING


def test_a_known_id_changes_nothing_and_no_id_is_refused(wire: Wire) -> None:
    given(wire, order("o1"))
    given(wire, order("o1", "g2"), order("o2"), order("o2", "g2"))
    assert [outcome(wire, name).gateway for name in ("o1", "o2")] == ["g1", "g2"]
    for bad in (order("no id"), order("x", "g/1")):
        with pytest.raises(BadOrderError):
            given(wire, bad)


def test_a_worker_that_dies_before_it_publishes_has_sent_nothing_that_is_not_repeated(wire: Wire) -> None:
    given(wire, order("o1"))
    (lost,) = wire.send()
    wire.wait(15)
    (again,) = wire.send()
    assert (lost.id, lost.expires_at_us) == (again.id, again.expires_at_us)


def test_what_the_broker_did_not_take_is_tried_soon(wire: Wire) -> None:
    given(wire, order("o1"))
    (taken,) = wire.database.run(partial(sending.take_due, settings=wire.settings, now_us=wire.now_us))
    wire.run(partial(sending.note_unsent, numbers=[taken.number], now_us=wire.now_us))
    wire.wait(1)
    assert [one.id for one in wire.send()] == [taken.command.id]
    assert outcome(wire, "o1").tries == 1


def test_settled_orders_are_forgotten_after_their_time(wire: Wire) -> None:
    given(wire, order("old"), order("open", for_s=400 * 24 * HOUR_S))
    (first, _) = wire.send()
    wire.answer(first)
    wire.wait(91 * 24 * HOUR_S)
    assert wire.database.run(partial(sending.prune, settings=wire.settings, now_us=wire.now_us)) == 1
    left = wire.database.read(list_orders)
    assert [one.id for one in left] == ["open"]


def test_workers_side_by_side_send_each_order_once_and_keep_the_bounds(wire: Wire) -> None:
    wire.with_settings(in_flight=50, per_gateway=4)
    for number in range(20):
        wire.gateway(f"g{number}")
    given(wire, *(order(f"o{number}", f"g{number % 20}") for number in range(60)))
    found: list[str] = []
    rounds = threading.Barrier(3)

    def work() -> None:
        rounds.wait()
        for _ in range(3):
            found.extend(one.id for one in wire.send())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(set(found)) == 50


def test_default_bounds_fit_what_a_gateway_takes() -> None:
    assert Orders().per_gateway <= 16
