"""What is weak in a registry that is in order: who could not be told, and what stands nowhere."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Connection, select

from cloud.areas.duty import to_duty
from cloud.areas.faults import Bad
from cloud.areas.policy_files import CheckPolicy
from cloud.areas.rosters import Duty, gaps, shifts
from cloud.areas.tree import ids_of
from cloud.database.area_tables import area, contact, duty, policy, registered_gateway, site
from cloud.database.tables import gateway
from cloud.i18n import N_

AHEAD_US = 7 * 86_400 * 1_000_000


class Registry(Struct, frozen=True):
    """What the registry is held against.

    Attributes:
        channels: names that addresses may have; None: any.
        gateways: those that the settings take; None: all.
        check_policy: tells what is wrong with a policy.
        zone: in which rosters are meant.
    """

    channels: frozenset[str] | None
    gateways: Collection[str] | None
    check_policy: CheckPolicy
    zone: ZoneInfo


class Weakness(Struct, frozen=True):
    """One thing that somebody should look at.

    Attributes:
        subject: what it is about: `area 320505`.
        bad: what is weak.
        span_us: when, for a gap in a roster: begin and end.
    """

    subject: str
    bad: Bad
    span_us: tuple[int, int] | None = None


def weaknesses(connection: Connection, against: Registry, *, at_us: int) -> list[Weakness]:
    """Find them all: in rosters for the week to come, among contacts, policies and gateways."""
    found = [
        *_rosters(connection, against.zone, at_us),
        *_contacts(connection, against.channels),
        *_policies(connection, against.check_policy),
        *_gateways(connection, against.gateways),
    ]
    return sorted(found, key=lambda one: one.subject)


def _rosters(connection: Connection, zone: ZoneInfo, at_us: int) -> Iterator[Weakness]:
    paths: dict[str, str] = {row.id: row.path for row in connection.execute(select(area.c.id, area.c.path))}
    duties: dict[str, list[Duty]] = defaultdict(list)
    for row in connection.execute(select(duty)):
        duties[row.area].append(to_duty(row))
    until_us = at_us + AHEAD_US
    spans = {one: shifts(roster, at_us, until_us, zone) for one, roster in duties.items()}
    for one in spans:
        # Whoever is on duty around it is told when nobody is on duty here.
        holes = gaps([span for name in ids_of(paths[one]) for span in spans.get(name, ())], at_us, until_us)
        if holes:
            why = N_("nobody is on duty there or above, {count} time(s) in the week to come; first")
            yield Weakness(f"area {one}", Bad(why, {"count": len(holes)}), holes[0])
    for one, count in Counter(connection.scalars(select(site.c.area))).items():
        if not any(name in spans for name in ids_of(paths[one])):
            yield Weakness(
                f"area {one}", Bad(N_("has {count} site(s), and no roster there or above"), {"count": count})
            )


def _contacts(connection: Connection, channels: frozenset[str] | None) -> Iterator[Weakness]:
    for row in connection.execute(select(contact.c.id, contact.c.addresses)):
        named = [one["channel"] for one in row.addresses]
        if not named:
            yield Weakness(f"contact {row.id}", Bad(N_("has no address")))
        for channel in named:
            if channels is not None and channel not in channels:
                why = N_("has an address of channel {name}, which the settings do not know")
                yield Weakness(f"contact {row.id}", Bad(why, {"name": channel}))


def _policies(connection: Connection, check: CheckPolicy) -> Iterator[Weakness]:
    for row in connection.execute(select(policy)):
        if why := check(row.policy):
            yield Weakness(f"policy {row.area}/{row.severity}", Bad("{why}", {"why": why}))


def _gateways(connection: Connection, taken: Collection[str] | None) -> Iterator[Weakness]:
    known = set(connection.scalars(select(registered_gateway.c.id)))
    heard = set(connection.scalars(select(gateway.c.id)))
    reasons: Mapping[str, set[str]] = {
        N_("has been heard, and the registry does not know where it stands"): heard - known,
        N_("stands in the settings, and the registry does not know where"): set(taken or ()) - known - heard,
        N_("stands in the registry, and the settings refuse it"): set() if taken is None else known - set(taken),
    }
    for why, ids in reasons.items():
        yield from (Weakness(f"gateway {one}", Bad(why)) for one in ids)
