"""What a gateway is sent next so that it has the stolen list in force. Pure.

The list in force is what is wished for, and what a gateway has is known from its answers alone. So there is no order to
lose: after whatever was lost, repeated, restarted, the next step follows from where the two differ.

* A gateway that has confirmed an older list gets the difference, any other the whole; its parts go one after the other.
* At every birth, and once in a while, it is asked whether it still has the list: by a difference of nothing, from the
  list to itself. Who has another list refuses it, and gets the whole.
* A push that is under way goes to its end although a newer list is made meanwhile, so that a list that changes all
  the time arrives too; the difference follows.
* Numbers of versions only order what one gateway gets: where one has a higher number than the list's (a file was pushed
  by hand), it gets the same content under a number of its own.
"""

from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from cloud.orders.life import GRACE_US, Pace
from contract.commands import Outcome, Result
from contract.reasons import HEARS_NO_TAGS, highest_version, is_passing

MAX_TRIES = 3
"""Sends of one part without an answer; after them the push begins anew, later."""
NEVER_US = 2**62
_CONFIRMED_PART = "all parts were taken, and another list is in force"


class Push(Struct, frozen=True):
    """A push under way.

    Attributes:
        id: the beginning of its commands' ids, see `command_id`.
        version: what is pushed.
        base: to whom it is a difference; None: the whole list.
        number: the version that the gateway is told.
        part, parts: which is next or under way, of how many; `parts` is 0 until the first was cut.
        is_under_way: the part is sent and not answered.
        until_us: the gateway may begin it until then.
        tries: sends of this part.
    """

    id: str
    version: int
    base: int | None
    number: int
    part: int = 1
    parts: int = 0
    is_under_way: bool = False
    until_us: int = 0
    tries: int = 0

    @property
    def command_id(self) -> str:
        """Name the command that carries the part."""
        return f"{self.id}-{self.part}"


class Standing(Struct, frozen=True):
    """How one gateway stands to the list.

    Attributes:
        version: that it has confirmed; None: nothing is known.
        number: under which number; a higher one is sent next.
        confirmed_at_us: when it did, or was asked and still had it.
        birth_us: when it was last born as it was asked last.
        is_checked: it has been asked since then.
        is_deaf: it hears no tags.
        is_whole: the next push is of the whole list.
        failures: pushes in a row that came to nothing.
        due_at_us: when something is to be done next, unless it is born anew.
        error: what it said last; "" once all is well.
    """

    version: int | None = None
    number: int = 0
    confirmed_at_us: int | None = None
    birth_us: int | None = None
    is_checked: bool = False
    is_deaf: bool = False
    is_whole: bool = False
    push: Push | None = None
    failures: int = 0
    due_at_us: int = 0
    error: str = ""


def born(standing: Standing, birth_us: int, *, now_us: int) -> Standing:
    """Begin anew with a gateway that has come back; nothing when it has not."""
    if standing.birth_us == birth_us:
        return standing
    return replace(
        standing, birth_us=birth_us, is_checked=False, is_deaf=False, push=None, failures=0, due_at_us=now_us
    )  # fmt: skip


class Wish(Struct, frozen=True):
    """What all gateways are to have.

    Attributes:
        newest: version of the list in force.
        kept: versions whose content is known.
        check_us: a gateway is asked so long after its last word whether it still has it.
        pace: how patient we are.
    """

    newest: int
    kept: Collection[int]
    check_us: int
    pace: Pace


def look(standing: Standing, wish: Wish, *, birth_us: int, push_id: str, now_us: int) -> Standing:
    """Decide what is to be done with a gateway that is there; `is_to_be_sent` tells whether anything.

    Args:
        standing: so far.
        wish: what it is to have.
        birth_us: of its present life.
        push_id: for a new push.
        now_us: the clock.
    """
    standing = born(standing, birth_us, now_us=now_us)
    if _is_silent(standing, now_us):
        standing = _failed(standing, "no answer", now_us, wish.pace)
    if standing.is_deaf:
        return replace(standing, due_at_us=NEVER_US)
    if standing.push is not None:
        is_known = {standing.push.version, standing.push.base} - {None} <= set(wish.kept)
        if is_known:
            return standing
        standing = replace(standing, push=None)
    is_news = standing.version != wish.newest and not standing.failures
    return _next(standing, wish, push_id, now_us) if is_news or standing.due_at_us <= now_us else standing


def is_to_be_sent(standing: Standing, *, now_us: int) -> bool:
    """Tell whether a part is next, or late."""
    return standing.push is not None and standing.due_at_us <= now_us


def _next(standing: Standing, wish: Wish, push_id: str, now_us: int) -> Standing:
    """Begin a push, if any is needed; else see when to look again."""
    newest = wish.newest
    has_it = standing.version == newest and not standing.is_whole
    check_at_us = (standing.confirmed_at_us or 0) + wish.check_us
    if has_it and standing.is_checked and now_us < check_at_us:
        return replace(standing, due_at_us=check_at_us)
    base = standing.version if standing.version in wish.kept and not standing.is_whole else None
    # Who is asked whether he has it is asked under the number that he has it under: nothing changes then.
    number = standing.number if has_it and base is not None else max(newest, standing.number + 1)
    return replace(standing, push=Push(push_id, newest, base, number), due_at_us=now_us)


def sent(standing: Standing, *, parts: int, now_us: int, pace: Pace) -> Standing:
    """Note that the part that is next is sent, or sent again."""
    push = standing.push
    if push is None:
        return standing
    until_us = push.until_us if push.is_under_way else now_us + pace.command_us
    tries = push.tries + 1 if push.is_under_way else 1
    push = replace(push, parts=parts, is_under_way=True, until_us=until_us, tries=tries)
    return replace(standing, push=push, due_at_us=now_us + pace.wait_us(tries))


def unsent(standing: Standing, *, now_us: int) -> Standing:
    """Note that the broker did not take it: it is tried soon."""
    if standing.push is None or not standing.push.is_under_way:
        return standing
    push = replace(standing.push, tries=max(standing.push.tries - 1, 0))
    return replace(standing, push=push, due_at_us=now_us + 1_000_000)


def answered(standing: Standing, result: Result, *, now_us: int, pace: Pace) -> Standing:
    """Take the answer to the part under way; all others are passed over."""
    push = standing.push
    if push is None or not push.is_under_way or result.id != push.command_id:
        return standing
    if result.outcome is Outcome.DONE:
        return _taken(standing, push, result, now_us, pace)
    if result.outcome is Outcome.REFUSED and not is_passing(result.reason):
        return _refused(standing, push, result, now_us, pace)
    return _failed(standing, result.reason, now_us, pace)


def _refused(standing: Standing, push: Push, result: Result, now_us: int, pace: Pace) -> Standing:
    if result.reason.startswith(HEARS_NO_TAGS):
        return replace(
            standing, version=None, is_deaf=True, push=None, failures=0, due_at_us=NEVER_US, error=result.reason
        )  # fmt: skip
    # It has another list than we thought, or one of a higher number.
    number = max(standing.number, highest_version(result.reason))
    refused = _failed(replace(standing, version=None, number=number, is_whole=True), result.reason, now_us, pace)
    is_news = push.base is not None or (number > standing.number and not standing.failures)
    return replace(refused, due_at_us=now_us) if is_news else refused


def _taken(standing: Standing, push: Push, result: Result, now_us: int, pace: Pace) -> Standing:
    if result.value == push.number:
        return replace(
            standing, version=push.version, number=push.number, confirmed_at_us=now_us, is_checked=True, is_whole=False,
            push=None, failures=0, due_at_us=now_us, error="",
        )  # fmt: skip
    if push.part < push.parts:
        push = replace(push, part=push.part + 1, is_under_way=False, tries=0)
        return replace(standing, push=push, due_at_us=now_us)
    # It was started again in between, and has forgotten the parts that it had taken.
    return _failed(replace(standing, is_whole=True), _CONFIRMED_PART, now_us, pace)


def _failed(standing: Standing, why: str, now_us: int, pace: Pace) -> Standing:
    failures = standing.failures + 1
    due_at_us = now_us + pace.wait_us(failures)
    return replace(standing, push=None, failures=failures, due_at_us=due_at_us, error=why)


def _is_silent(standing: Standing, now_us: int) -> bool:
    """Tell whether a part was sent often enough without an answer."""
    push = standing.push
    if push is None or not push.is_under_way or now_us < standing.due_at_us:
        return False
    return push.tries >= MAX_TRIES or now_us >= push.until_us - GRACE_US
