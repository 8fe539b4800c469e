"""Routes: orders to gateways, and what became of them."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from cloud.api.auth import Caller, needs
from cloud.api.context import Here
from cloud.api.problems import not_found
from cloud.api.queries import Word
from cloud.errors import NotAllowedError
from cloud.orders.life import OrderState
from cloud.orders.orders import list_orders, outcome_of
from cloud.people.roles import Action, allows

router = APIRouter(prefix="/orders", tags=["orders"])


class OrderView(BaseModel):
    """An order to a gateway.

    Attributes:
        number: grows with time.
        kind: what is to be done, in the contract's word: write, mode, reset, arm, disarm, ...
        state: waiting and sent are not final; done, refused, failed, expired and replaced are.
        reason: why it is not done, in the gateway's words.
        value: what the gateway answered.
        commands, tries: how many commands were made for it, and how often the last was sent.
    """

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    number: int
    id: str
    gateway: str
    kind: str
    state: OrderState
    by: str
    why: str
    given_at_us: int
    expires_at_us: int
    sent_at_us: int | None
    settled_at_us: int | None
    commands: int
    tries: int
    reason: str
    value: bool | float | str | None


class OrderPage(BaseModel):
    """Orders, the latest first; `next` as `before` gives the older ones."""

    model_config = ConfigDict(extra="forbid")

    orders: list[OrderView]
    next: int | None


@router.get("")
async def show_orders(
    context: Here,
    caller: Annotated[Caller, needs(Action.SEE_SYSTEM)],
    *,
    gateway: Annotated[Word | None, Query()] = None,
    state: Annotated[list[OrderState], Query(max_length=len(OrderState))] = [],  # noqa: B006 - never changed
    before: Annotated[int | None, Query(ge=1, le=2**53 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> OrderPage:
    """List orders; they belong to no area, so this is for users of everything."""
    require_everything(caller, Action.SEE_SYSTEM)

    def work(connection: Connection) -> list[OrderView]:
        found = list_orders(connection, gateway=gateway, states=state, before=before, limit=limit)
        return [OrderView.model_validate(one) for one in found]

    found = await context.database.ask(work)
    return OrderPage(orders=found, next=found[-1].number if len(found) == limit else None)


@router.get("/{order_id}")
async def show_order(order_id: Word, context: Here, caller: Annotated[Caller, needs(Action.SEE_SYSTEM)]) -> OrderView:
    """Show one order."""
    require_everything(caller, Action.SEE_SYSTEM)
    found = await context.database.ask(lambda connection: outcome_of(connection, [order_id]).get(order_id))
    if found is None:
        raise not_found("such order")
    return OrderView.model_validate(found)


def require_everything(caller: Caller, action: Action) -> None:
    """Refuse who may do it in a subtree only.

    Raises:
        NotAllowedError: the caller may not `action` with what belongs to no area.
    """
    if not allows(caller.person, action, ""):
        raise NotAllowedError(f"this belongs to no area: {action.value} is for users of everything here")
