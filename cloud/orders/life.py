"""The life of an order: what is sent when, and what an answer means. Pure.

A gateway carries out a command id once and remembers it until the command expires, at most an hour; so what holds
longer than `command_s` cannot be one command. An order is a wish, and a command is a try at it: sent again with the
same id while it lasts, which is safe however often it comes; made anew with another id when it has ended without an
answer, while the wish stands. The first may have been done, and its answer lost: then the second does it again. That
is why an order must be such that done twice is as if done once (write a value, arm, reset), and why the next of its
lane is not sent before it has ended.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from contract.commands import Outcome, Result
from contract.reasons import is_passing
from contract.telemetry import Value

GRACE_US = 10_000_000
"""After a command's end its answer may be on its way, or the gateway's clock be slow by so much."""


class OrderState(StrEnum):
    """How an order stands; stored, so a word never changes its meaning."""

    WAITING = "waiting"
    """Not sent, or to be sent anew."""
    SENT = "sent"
    """A command is under way."""
    DONE = "done"
    REFUSED = "refused"
    """The gateway says that it never can be done, or too many orders waited for it."""
    FAILED = "failed"
    """The gateway tried in vain."""
    EXPIRED = "expired"
    """Its time was over before there was an answer."""
    REPLACED = "replaced"
    """A later wish took its place before it was done."""


OPEN = (OrderState.WAITING, OrderState.SENT)
_STATES = {Outcome.DONE: OrderState.DONE, Outcome.REFUSED: OrderState.REFUSED, Outcome.FAILED: OrderState.FAILED}


class Pace(Struct, frozen=True):
    """How patient we are, in microseconds; see `cloud.orders.settings`."""

    repeat_us: int
    command_us: int
    longest_us: int

    def wait_us(self, tries: int) -> int:
        """Tell how long to wait after the `tries`th try."""
        return min(self.repeat_us << min(max(tries - 1, 0), 30), self.longest_us)


class Life(Struct, frozen=True):
    """How an order stands, as its row has it.

    Attributes:
        expires_at_us: until then the wish stands.
        is_outdated: a later wish stands in line.
        command_id, command_until_us: the command under way; None while `OrderState.WAITING`.
        commands: made so far; tries: sends of the one under way.
        due_at_us: when something is to be done next.
        birth_us: the gateway's at the last send.
        sent_at_us, settled_at_us: the last send, and the end.
    """

    state: OrderState
    expires_at_us: int
    due_at_us: int
    is_outdated: bool = False
    command_id: str | None = None
    command_until_us: int | None = None
    commands: int = 0
    tries: int = 0
    birth_us: int | None = None
    sent_at_us: int | None = None
    settled_at_us: int | None = None
    reason: str = ""
    value: Value | None = None


def send(life: Life, command_id: str, *, birth_us: int | None, now_us: int, pace: Pace) -> Life:
    """Begin a command for a waiting order, or repeat the one under way; `command_id` is for a new one."""
    if life.command_id is None:
        until_us = min(now_us + pace.command_us, life.expires_at_us)
        life = replace(
            life, command_id=command_id, command_until_us=until_us, commands=life.commands + 1, tries=0
        )  # fmt: skip
    tries = life.tries + 1
    due_at_us = min(now_us + pace.wait_us(tries), _end_us(life))
    return replace(
        life, state=OrderState.SENT, tries=tries, due_at_us=due_at_us, birth_us=birth_us, sent_at_us=now_us, reason=""
    )  # fmt: skip


def end(life: Life, *, now_us: int, pace: Pace) -> Life:
    """Let time pass: a wish or a command may be over."""
    if life.state is OrderState.SENT:
        return _again(life, "no answer; it may have been done", now_us, pace) if now_us >= _end_us(life) else life
    if life.state is OrderState.WAITING and now_us >= life.expires_at_us:
        reason = life.reason or "the gateway was away, or others were before it"
        return _settled(life, OrderState.EXPIRED, reason, now_us)
    return life


def answered(life: Life, result: Result, *, now_us: int, pace: Pace) -> Life:
    """Take the answer to the command under way; answers to earlier ones are passed over."""
    if life.state is not OrderState.SENT or result.id != life.command_id:
        return life
    if result.outcome is Outcome.EXPIRED or (result.outcome is Outcome.REFUSED and is_passing(result.reason)):
        return _again(life, result.reason, now_us, pace)
    settled = _settled(life, _STATES[result.outcome], result.reason, now_us)
    return replace(settled, value=result.value)


def unsent(life: Life, *, now_us: int) -> Life:
    """Note that the broker did not take what was sent: it is tried soon."""
    return replace(life, tries=max(life.tries - 1, 0), due_at_us=now_us + 1_000_000)


def _end_us(life: Life) -> int:
    return (life.command_until_us or 0) + GRACE_US


def _again(life: Life, reason: str, now_us: int, pace: Pace) -> Life:
    """Wait for another command, if the wish still stands."""
    if life.is_outdated:
        return _settled(life, OrderState.REPLACED, reason, now_us)
    if now_us >= life.expires_at_us:
        return _settled(life, OrderState.EXPIRED, reason, now_us)
    due_at_us = now_us + pace.wait_us(life.commands)
    waiting = replace(life, state=OrderState.WAITING, command_id=None, command_until_us=None, tries=0)
    return replace(waiting, due_at_us=due_at_us, reason=reason)


def _settled(life: Life, state: OrderState, reason: str, now_us: int) -> Life:
    return replace(life, state=state, settled_at_us=now_us, due_at_us=now_us, reason=reason)
