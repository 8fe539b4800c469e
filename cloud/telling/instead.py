"""When an address has failed for good: the contact's next one."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, RowMapping, select

from cloud.areas.duty import Contact, find_contacts
from cloud.database.escalation_tables import delivery
from cloud.telling.queue import Kind, State, delivery_id, insert_rows

Address = tuple[str, str]
"""Channel and address."""
_CHUNK = 500
_AS_IT_WAS = ("alarm_id", "kind", "severity", "contact", "language", "body")


def tell_instead(connection: Connection, failed: Sequence[str], now_us: int) -> int:
    """Queue what has failed for good once more, to the address of its contact that follows in the contact's own order.

    That one may fail in its turn; after the last there is none. An address that was told the same at the same time, as
    all are of what is critical, is passed over.

    Args:
        connection: the transaction in which they failed.
        failed: ids of deliveries.
        now_us: wall time.

    Returns:
        How many were queued.
    """
    rows: list[RowMapping] = []
    for begin in range(0, len(failed), _CHUNK):
        some = delivery.c.id.in_(failed[begin : begin + _CHUNK]) & (delivery.c.state == State.FAILED.value)
        query = select(delivery).where(some, delivery.c.contact.is_not(None), delivery.c.kind != Kind.EVENT.value)
        rows += connection.execute(query).mappings().all()
    if not rows:
        return 0
    contacts = find_contacts(connection, {row["contact"] for row in rows})
    again: list[dict[str, object]] = []
    for row in rows:
        following = _after(contacts.get(row["contact"]), (row["channel"], row["address"]), _told(connection, row))
        if following is None:
            continue
        channel, address = following
        again.append(
            {
                **{name: row[name] for name in _AS_IT_WAS},
                # Made of the one that failed, so that two desks queue it once.
                "id": delivery_id("instead", row["id"], channel, address),
                "channel": channel,
                "address": address,
                "created_us": now_us,
                "due_us": now_us,
                "state": State.PENDING.value,
                "attempts": 0,
            }
        )
    insert_rows(connection, again)
    return len(again)


def _told(connection: Connection, row: RowMapping) -> set[Address]:
    """Where the same went at the same time."""
    columns = delivery.c.channel, delivery.c.address
    same = [delivery.c[name] == row[name] for name in ("contact", "kind", "alarm_id", "created_us")]
    return {(one.channel, one.address) for one in connection.execute(select(*columns).where(*same))}


def _after(contact: Contact | None, failed: Address, told: Collection[Address]) -> Address | None:
    """The address that follows; None after the last, and where the contact has changed its addresses."""
    addresses = [(one.channel, one.address) for one in contact.addresses] if contact else []
    following = addresses[addresses.index(failed) + 1 :] if failed in addresses else []
    return next((one for one in following if one not in told), None)
