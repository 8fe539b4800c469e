"""The gateway table: who is up, since when, and with which devices."""

from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, insert, select, update

from cloud.database.dead_letters import clean
from cloud.database.number_tables import presence_change
from cloud.database.tables import gateway
from cloud.settings import Registered
from contract.presence import Birth, Death

_MAX_TEXT_CHARS = 200


class GatewayRow(Struct, frozen=True):
    """One gateway as it last said.

    Attributes:
        boot: id of its run.
        site, name: the registry's where it has them, else the gateway's own words.
        online: born and not dead.
        since_us: of the present state: a birth's own time, a death's time of receipt.
        reason: why it is dead; "" while online.
        inventory: its devices, as `contract.presence.Device`.
    """

    id: str
    boot: str
    version: str
    site: str
    name: str
    online: bool
    since_us: int
    reason: str
    inventory: list[dict[str, Any]]


def note_presence(
    connection: Connection,
    message: Birth | Death,
    *,
    received_at_us: int,
    registered: Registered | None,
    retained: bool = False,
) -> None:
    """Insert or update the gateway's row; the same message again changes nothing.

    A death counts only for the run it names: the will of an old connection may arrive after the next birth. But a
    `retained` one, had on subscribing, is the last word on its topic, whatever run it names: the births before it
    went by while nobody listened.
    """
    row = connection.execute(select(gateway).where(gateway.c.id == message.gateway).with_for_update()).one_or_none()
    values = _born(message) if isinstance(message, Birth) else _dead(message, received_at_us)
    if registered is not None:
        values |= {key: text for key, text in (("site", registered.site), ("name", registered.name)) if text}
    if row is None:
        empty = {"version": "", "site": "", "name": "", "inventory": []}
        connection.execute(insert(gateway).values(empty | values | {"id": message.gateway}))
        return
    is_stale = row.boot != message.boot and not retained
    if isinstance(message, Death) and (is_stale or not row.online):
        return
    connection.execute(update(gateway).where(gateway.c.id == message.gateway).values(values))
    if values["online"] != row.online:
        connection.execute(
            insert(presence_change).values(
                gateway=message.gateway,
                online=values["online"],
                at_us=values["since_us"],
                before_us=row.since_us,
                reason=values["reason"],
            )
        )


def list_gateways(connection: Connection) -> list[GatewayRow]:
    """List all gateways by id."""
    rows = connection.execute(select(gateway).order_by(gateway.c.id)).mappings()
    # The keys are a subclass of str, which msgspec does not take.
    return [msgspec.convert({str(key): value for key, value in row.items()}, GatewayRow) for row in rows]


def _born(birth: Birth) -> dict[str, Any]:
    devices = [
        {key: clean(text, _MAX_TEXT_CHARS) for key, text in msgspec.structs.asdict(device).items()}
        for device in birth.devices
    ]
    return {
        "boot": birth.boot,
        "version": clean(birth.version, _MAX_TEXT_CHARS),
        "site": clean(birth.site, _MAX_TEXT_CHARS),
        "online": True,
        "since_us": birth.at_us,
        "reason": "",
        "inventory": devices,
    }


def _dead(death: Death, received_at_us: int) -> dict[str, Any]:
    return {
        "boot": death.boot,
        "online": False,
        "since_us": received_at_us,
        "reason": clean(death.reason, _MAX_TEXT_CHARS),
    }
