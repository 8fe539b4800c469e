"""Orders to gateways, kept in the transaction that wants them: given, settled, looked up."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct
from sqlalchemy import Connection

from contract.commands import Order
from contract.telemetry import Value


class State(StrEnum):
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


class GatewayOrder(Struct, frozen=True, kw_only=True):
    """Something that a gateway is to do.

    Attributes:
        id: unique for ever; giving the same id again changes nothing.
        gateway: who is to do it.
        order: what is to be done; done twice it must be as if done once.
        by: who wants it: a user's name, or a trade's.
        why: for people.
        expires_at_us: the wish stands until then, microseconds UTC; beyond `MAX_HOLD_US` from now it is cut.
        replaces: a word for what is wished for (`arm CCB97E7361A4`); the latest wish of a word wins.
        sequence: orders of one gateway with the same word go one after the other, as they were given.
    """

    id: str
    gateway: str
    order: Order
    by: str
    why: str = ""
    expires_at_us: int
    replaces: str = ""
    sequence: str = ""


class Ordered(Struct, frozen=True):
    """What became of an order.

    Attributes:
        state: how it stands; `State.WAITING` and `State.SENT` are not final.
        reason: why it is not done; one English sentence.
        value: what the gateway answered, see `contract.commands.Result`.
        tries: how often its command was sent.
    """

    id: str
    gateway: str
    kind: str
    state: State
    by: str
    why: str
    given_at_us: int
    expires_at_us: int
    sent_at_us: int | None
    settled_at_us: int | None
    tries: int
    reason: str
    value: Value | None


def give(connection: Connection, orders: Sequence[GatewayOrder], now_us: int) -> None:
    """Keep orders in the caller's transaction; the worker sends them once it is committed.

    What is beyond `MAX_WAITING` of a gateway is kept as refused. An id that is known is passed over.

    Raises:
        BadOrderError: an id or a gateway is no id of the contract.
    """
    raise NotImplementedError


def outcome_of(connection: Connection, ids: Iterable[str]) -> dict[str, Ordered]:
    """Look up what became of orders; those that are unknown, or forgotten after `orders.keep_days`, are left out."""
    raise NotImplementedError
