"""Settings: orders to gateways, and the stolen list."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from contract.ids import Id


class Orders(Struct, frozen=True, forbid_unknown_fields=True):
    """Orders to gateways, and the stolen list.

    Attributes:
        in_flight: orders sent and not answered, over all gateways that are there; `per_gateway`: of one of them.
        repeat_s: an order that is not answered is sent again after so long, then after twice as long, and so on.
        command_s: so long a gateway may begin a command; one that nobody has answered by then is made anew.
        longest_wait_s: bound of every wait between two tries.
        keep_days: how long settled orders and older stolen lists are kept.
        stolen_to: who gets the stolen list: ids of gateways, and of areas, whose gateways get it; "all": every gateway.
        stolen_in_flight: parts of stolen lists sent and not answered, over all gateways; each is up to 130 KB.
        stolen_check_h: a gateway is asked so often whether it still has its list; at every birth it is asked anyway.
    """

    in_flight: Annotated[int, Meta(ge=1, le=500)] = 200
    per_gateway: Annotated[int, Meta(ge=1, le=8)] = 4
    repeat_s: Annotated[float, Meta(ge=1, le=300)] = 15.0
    command_s: Annotated[float, Meta(ge=10, le=3_000)] = 300.0
    longest_wait_s: Annotated[float, Meta(ge=1, le=3_600)] = 300.0
    keep_days: Annotated[int, Meta(ge=1, le=3_650)] = 90
    stolen_to: Literal["all"] | tuple[Id, ...] = "all"
    stolen_in_flight: Annotated[int, Meta(ge=1, le=300)] = 64
    stolen_check_h: Annotated[float, Meta(ge=0.1, le=8_760)] = 24.0
