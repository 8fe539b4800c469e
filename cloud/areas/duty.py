"""Contacts, and which of them is on duty where, as the database has it."""

from collections import defaultdict
from collections.abc import Collection
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from cloud.areas.chunks import chunked
from cloud.areas.rosters import Duty, Handover, who_is_on_duty
from cloud.database.area_tables import contact, duty, handover


class Address(Struct, frozen=True, forbid_unknown_fields=True):
    """One way to reach somebody.

    Attributes:
        channel: the name of a `[[telling.channel]]` of the settings.
        address: what that channel calls an address: a number, a mailbox, a user id.
    """

    channel: str
    address: str


class Contact(Struct, frozen=True):
    """Somebody who can be told.

    Attributes:
        area: where they belong, an id.
        language: what they are told in: zh or en.
        addresses: in the order of preference.
        quiet_from, quiet_to: local times HH:MM between which only critical alarms are told; None: never quiet.
        max_per_hour: messages; None: as many as there are.
    """

    id: str
    area: str
    name: str
    language: str
    addresses: tuple[Address, ...]
    quiet_from: str | None = None
    quiet_to: str | None = None
    max_per_hour: int | None = None


def find_contacts(connection: Connection, ids: Collection[str]) -> dict[str, Contact]:
    """Find contacts by id; unknown ids are not in the answer."""
    found: dict[str, Contact] = {}
    for some in chunked(sorted(set(ids))):
        for row in connection.execute(select(contact).where(contact.c.id.in_(some))).mappings():
            found[row["id"]] = to_contact(dict(row))
    return found


def on_duty(connection: Connection, area_ids: Collection[str], at_us: int, zone: ZoneInfo) -> dict[str, list[Contact]]:
    """Find who is on duty in each area itself, not in those around it.

    Args:
        connection: of the alarm database.
        area_ids: the areas' ids.
        at_us: wall time, microseconds UTC.
        zone: in which rosters are meant, `desk.timezone` of the settings.

    Returns:
        For every area asked for, in the order in which they are told: see `who_is_on_duty`. An empty list: nobody.
    """
    duties: dict[str, list[Duty]] = defaultdict(list)
    handovers: dict[str, list[Handover]] = defaultdict(list)
    for some in chunked(sorted(set(area_ids))):
        for row in connection.execute(select(duty).where(duty.c.area.in_(some))):
            duties[row.area].append(to_duty(row))
        holds = (handover.c.until_us > at_us) & (handover.c.from_us <= at_us)
        for row in connection.execute(select(handover).where(handover.c.area.in_(some) & holds)):
            handovers[row.area].append(Handover(row.id, row.contact, row.from_us, row.until_us))
    who = {one: who_is_on_duty(duties[one], handovers[one], at_us, zone) for one in area_ids}
    contacts = find_contacts(connection, {name for names in who.values() for name in names})
    return {one: [contacts[name] for name in names] for one, names in who.items()}


def to_duty(row: Any) -> Duty:
    """Make a shift of a row of `duty`."""
    return Duty(
        contact=row.contact,
        weekdays=frozenset(row.weekdays.split()),
        begins=time.fromisoformat(row.begins),
        ends=time.fromisoformat(row.ends),
        first_day=row.first_day,
        last_day=row.last_day,
        rank=row.rank,
    )


def to_contact(row: dict[str, Any]) -> Contact:
    """Make a contact of a row of `contact`."""
    # The keys are a subclass of str, which msgspec does not take.
    return msgspec.convert({str(key): value for key, value in row.items()}, Contact)
