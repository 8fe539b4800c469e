"""The stolen list and gateways that lose, repeat, restart and forget: in the end each has the list, and has said so."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.orders import reconcile
from cloud.orders.life import Pace
from cloud.orders.reconcile import MAX_TRIES, Standing, Wish
from contract.commands import Outcome, Result
from contract.limits import MAX_PART_TAGS
from contract.reasons import HEARS_NO_TAGS, TOO_MANY_WAIT
from contract.tags import StolenPart, checksum_of, parts_of
from edge.errors import StolenListError
from edge.presence.stolen import StolenList

SECOND_US = 1_000_000
T0_US = 1_700_000_000 * SECOND_US
PACE = Pace(15 * SECOND_US, 300 * SECOND_US, 300 * SECOND_US)
CHECK_US = 24 * 3600 * SECOND_US


@dataclass
class World:
    """One gateway with the edge's own list, the cloud's lists, a wire that does what it is told, and a clock."""

    now_us: int = T0_US
    lists: dict[int, dict[str, str]] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)
    gateway: StolenList = field(default_factory=StolenList)
    birth_us: int = 1
    pushes: int = 0
    wire: list[tuple[str, StolenPart]] = field(default_factory=list)
    answers: list[Result] = field(default_factory=list)
    sent: int = 0

    @property
    def newest(self) -> int:
        return max(self.lists)

    def make(self, tags: dict[str, str]) -> None:
        self.lists[max(self.now_us // SECOND_US, max(self.lists, default=0) + 1)] = tags

    def look(self) -> None:
        """Do what the cloud does when it looks at the gateway."""
        self.pushes += 1
        wish = Wish(self.newest, self.lists.keys(), CHECK_US, PACE)
        self.standing = reconcile.look(
            self.standing, wish, birth_us=self.birth_us, push_id=f"stolen-{self.pushes}", now_us=self.now_us
        )
        push = self.standing.push
        if push is None or not reconcile.is_to_be_sent(self.standing, now_us=self.now_us):
            return
        old = None if push.base is None else self.lists[push.base]
        parts = parts_of(self.lists[push.version], version=push.number, old=old)
        self.standing = reconcile.sent(self.standing, parts=len(parts), now_us=self.now_us, pace=PACE)
        self.wire.append((push.command_id, parts[push.part - 1]))
        self.sent += 1

    def deliver(self, at: int) -> None:
        """Let the gateway take one message of those under way."""
        if self.wire:
            command_id, part = self.wire[at % len(self.wire)]
            self.answers.append(self._carry_out(command_id, part))

    def hear(self, at: int) -> None:
        """Let the cloud take one of the answers under way."""
        if self.answers:
            self.answer(self.answers[at % len(self.answers)])

    def answer(self, result: Result) -> None:
        self.standing = reconcile.answered(self.standing, result, now_us=self.now_us, pace=PACE)

    def restart(self, *, forgets: bool) -> None:
        """Start the gateway again: parts are forgotten, the list in force too if its disk is new."""
        version, notes = (0, {}) if forgets else (self.gateway.version, self.gateway.notes)
        self.gateway = StolenList(version, notes)
        self.birth_us += 1

    def by_hand(self, tags: dict[str, str], ahead: int) -> None:
        """Push a file to the gateway, past the cloud."""
        version = max(self.gateway.version + 1, self.now_us // SECOND_US + ahead)
        for part in parts_of(tags, version=version):
            self.gateway.take(part)

    def settle(self) -> None:
        """Let the wire be well, and let time pass, until nothing is left to do."""
        for _ in range(500):
            self.look()
            while self.wire:
                self.answers.append(self._carry_out(*self.wire.pop(0)))
            while self.answers:
                self.answer(self.answers.pop(0))
            if self.standing.version == self.newest and self.standing.is_checked and self.standing.push is None:
                return
            self.now_us += PACE.longest_us // 4
        raise AssertionError(f"still {self.standing}")

    def _carry_out(self, command_id: str, part: StolenPart) -> Result:
        try:
            self.gateway.take(part)
        except StolenListError as error:
            reason = f"{error}. {error.hint}".removesuffix(". ")
            return Result(command_id, "g", Outcome.REFUSED, self.now_us, reason)
        return Result(command_id, "g", Outcome.DONE, self.now_us, "", float(self.gateway.version))


def many(count: int, note: str = "") -> dict[str, str]:
    return {f"T{number:05}": note for number in range(count)}


SOME = st.dictionaries(st.sampled_from([f"T{number}" for number in range(6)]), st.sampled_from(["", "case 1"]))
LISTS = SOME | st.sampled_from([many(MAX_PART_TAGS + 1), many(3 * MAX_PART_TAGS, "x"), many(MAX_PART_TAGS + 7, "y")])
EVENTS = st.one_of(
    st.just(("look",)),
    st.tuples(st.just("deliver"), st.integers(0, 5)),
    st.tuples(st.just("hear"), st.integers(0, 5)),
    st.tuples(st.just("lose"), st.booleans()),
    st.tuples(st.just("pass"), st.sampled_from([1, 16, 40, 400, 100_000])),
    st.tuples(st.just("make"), LISTS),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("by hand"), SOME, st.sampled_from([0, 1_000_000])),
    st.tuples(st.just("forget"), st.integers(0, 3)),
)


def happen(world: World, event: tuple[object, ...]) -> None:  # noqa: C901 - a case an event
    match event:
        case ("look",):
            world.look()
        case ("deliver", int(at)):
            world.deliver(at)
        case ("hear", int(at)):
            world.hear(at)
        case ("lose", bool(answers)):
            (world.answers if answers else world.wire).clear()
        case ("pass", int(seconds)):
            world.now_us += seconds * SECOND_US
        case ("make", dict(tags)):
            world.make(tags)
        case ("restart", bool(forgets)):
            world.restart(forgets=forgets)
        case ("by hand", dict(tags), int(ahead)):
            world.by_hand(tags, ahead)
            # Nobody tells the cloud before it asks.
            world.birth_us += 1
        case ("forget", int(keep)):
            for version in sorted(world.lists)[: -keep - 1]:
                del world.lists[version]


@settings(max_examples=120, deadline=None)
@given(st.lists(EVENTS, max_size=40))
def test_whatever_happens_the_gateway_ends_with_the_list_in_force_and_has_confirmed_it(
    events: list[tuple[object, ...]],
) -> None:
    world = World()
    world.make({"A": "case 7"})
    for event in events:
        happen(world, event)
    world.settle()
    assert world.gateway.notes == world.lists[world.newest]
    assert world.gateway.version == world.standing.number


def test_a_part_is_not_sent_before_the_one_before_it_is_answered() -> None:
    world = World()
    world.make(many(3 * MAX_PART_TAGS))
    for _ in range(5):
        world.look()
    assert [part.part for _id, part in world.wire] == [1]
    world.deliver(0)
    world.hear(0)
    world.look()
    assert [part.part for _id, part in world.wire] == [1, 2]


def test_what_is_not_answered_is_sent_again_with_the_same_id_then_given_up_and_begun_anew() -> None:
    world = World()
    world.make({"A": ""})
    for _ in range(40):
        world.look()
        world.now_us += 5 * SECOND_US
    ids = [command_id for command_id, _part in world.wire]
    assert ids[:MAX_TRIES] == ["stolen-1-1"] * MAX_TRIES
    assert len(set(ids)) == 2
    assert world.standing.error == "no answer"


def test_a_confirmed_list_is_followed_by_the_difference() -> None:
    world = World()
    world.make(many(3 * MAX_PART_TAGS))
    world.settle()
    world.make({**many(3 * MAX_PART_TAGS), "NEW": "case 9"})
    world.look()
    ((_id, part),) = world.wire
    assert part.base == checksum_of(many(3 * MAX_PART_TAGS))
    assert [entry.tag for entry in part.add] == ["NEW"]
    world.settle()


def test_a_gateway_that_is_born_anew_is_asked_with_a_difference_of_nothing() -> None:
    world = World()
    world.make(many(700))
    world.settle()
    before = world.sent
    world.restart(forgets=False)
    world.settle()
    assert world.sent == before + 1
    world.restart(forgets=True)
    world.settle()
    # Asked, refused, and both parts of the whole.
    assert world.sent == before + 4
    assert world.gateway.notes == many(700)


def test_a_list_that_is_made_during_a_push_waits_for_its_end() -> None:
    world = World()
    world.make(many(700))
    world.look()
    world.make({**many(700), "NEW": ""})
    world.deliver(0)
    world.hear(0)
    world.look()
    assert [(part.version, part.part) for _id, part in world.wire] == [(1_700_000_000, 1), (1_700_000_000, 2)]
    world.settle()
    assert "NEW" in world.gateway.notes


def test_who_hears_no_tags_is_not_asked_until_it_is_born_anew() -> None:
    world = World()
    world.make({"A": ""})
    world.look()
    deaf = Result("stolen-1-1", "g", Outcome.REFUSED, T0_US, f"{HEARS_NO_TAGS}. See the site file.")
    world.answer(deaf)
    world.wire.clear()
    world.make({"B": ""})
    for _ in range(10):
        world.now_us += CHECK_US
        world.look()
    assert (world.standing.is_deaf, world.wire) == (True, [])
    world.restart(forgets=False)
    world.settle()
    assert not world.standing.is_deaf


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.EXPIRED, Outcome.REFUSED])
def test_what_may_succeed_another_time_is_tried_later_and_later(outcome: Outcome) -> None:
    world = World()
    world.make({"A": ""})
    waits = []
    for _ in range(6):
        world.look()
        ((command_id, _part),) = world.wire
        world.wire.clear()
        world.answer(Result(command_id, "g", outcome, T0_US, TOO_MANY_WAIT))
        waits.append((world.standing.due_at_us - world.now_us) // SECOND_US)
        world.now_us = world.standing.due_at_us
    assert waits == [15, 30, 60, 120, 240, 300]


def test_a_gateway_that_always_names_a_higher_version_is_not_asked_without_end() -> None:
    world = World()
    world.make({"A": ""})
    for number in range(1_000):
        world.look()
        if world.wire:
            command_id, part = world.wire.pop()
            reason = f"version {part.version} is not newer than version {part.version + 5}, which is in force"
            world.answer(Result(command_id, "g", Outcome.REFUSED, T0_US, reason))
        world.now_us += SECOND_US * (number % 2)
    assert world.sent < 10


def test_answers_to_others_change_nothing() -> None:
    world = World()
    world.make({"A": ""})
    world.look()
    before = world.standing
    for command_id in ("stolen-1-2", "stolen-2-1", "x"):
        world.answer(Result(command_id, "g", Outcome.DONE, T0_US, "", 1.0))
    assert world.standing is before
