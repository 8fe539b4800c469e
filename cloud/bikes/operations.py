"""What people do with bikes: arm, disarm, report stolen, recovered, a new battery. In the caller's transaction."""

from msgspec import Struct
from sqlalchemy import Connection, select, update

from cloud.bikes import alarms, arming, cases
from cloud.bikes.arming import How
from cloud.bikes.stations import read_stations
from cloud.bikes.thefts import is_own, over
from cloud.database.bike_tables import bike, bike_arming, bike_case, bike_tag
from cloud.desk.changes import Actor
from cloud.desk.own import say
from cloud.errors import BikeStateError, UnknownBikeError
from cloud.orders.stolen import StolenEntry, add_stolen, take_off
from cloud.people.audit import note
from cloud.settings import Desk

MAX_NOTE_CHARS = 60


class Bike(Struct, frozen=True):
    """What operations need of a bike; the fields are the table's."""

    id: str
    tag: str | None
    plate: str
    stolen_us: int | None


def lock_bike(connection: Connection, bike_id: str) -> Bike:
    """Find a bike and lock its row.

    Raises:
        UnknownBikeError: there is none.
    """
    columns = [bike.c[name] for name in Bike.__struct_fields__]
    row = connection.execute(select(*columns).where(bike.c.id == bike_id).with_for_update()).one_or_none()
    if row is None:
        raise UnknownBikeError(bike_id)
    return Bike(*row)


def arm(connection: Connection, bike_id: str, *, actor: Actor, now_us: int) -> bool:
    """Arm a bike until somebody disarms it; where it is armed already, nothing changes. Audited.

    Returns:
        Whether it was armed by this.

    Raises:
        UnknownBikeError: there is none.
        BikeStateError: it has no tag.
    """
    found = lock_bike(connection, bike_id)
    if found.tag is None:
        raise BikeStateError(f"bike {bike_id} has no tag")
    stations = read_stations(connection)
    armed = arming.arm(connection, [bike_id], how=How.PERSON, by=actor.name, now_us=now_us, stations=stations)
    if armed:
        note(connection, actor=actor, what="bike-armed", object_=bike_id, details={}, at_us=now_us)
    return bool(armed)


def disarm(connection: Connection, bike_id: str, *, actor: Actor, desk: Desk, now_us: int) -> bool:
    """Disarm a bike, whyever it is armed; a theft alarm of the cloud's own ends, its case stays. Audited.

    Returns:
        Whether it was armed.

    Raises:
        UnknownBikeError: there is none.
    """
    lock_bike(connection, bike_id)
    lasting = select(bike_arming.c.id).where(bike_arming.c.bike == bike_id, bike_arming.c.until_us.is_(None))
    arming_id = connection.execute(lasting).scalar_one_or_none()
    if not arming.disarm(connection, [bike_id], by=actor.name, now_us=now_us):
        return False
    stations = read_stations(connection)
    said = [
        over(case, stations, None, now_us=now_us)
        for case in cases.find_open(connection, bikes=[bike_id])
        if case.arming == arming_id and is_own(case.source)
    ]
    say(connection, said, desk=desk, now_us=now_us)
    note(connection, actor=actor, what="bike-disarmed", object_=bike_id, details={}, at_us=now_us)
    return True


def mark_stolen(connection: Connection, bike_id: str, *, words: str, actor: Actor, now_us: int) -> int:
    """Put a bike's tag on the stolen list: a case of its own, or the open one grows into it. Audited.

    Args:
        connection: a transaction for writing.
        bike_id: which.
        words: what the alarm of a hit shall say, beside the plate; no personal data.
        actor: who.
        now_us: when.

    Returns:
        The case.

    Raises:
        UnknownBikeError: there is none.
        BikeStateError: it has no tag, or is on the list.
        OrderError: the list is full.
    """
    found = lock_bike(connection, bike_id)
    if found.tag is None:
        raise BikeStateError(f"bike {bike_id} has no tag")
    if found.stolen_us is not None and cases.is_listed(connection, found.tag):
        raise BikeStateError(f"bike {bike_id} is on the stolen list")
    connection.execute(update(bike).where(bike.c.id == bike_id).values(stolen_us=now_us))
    case = next(iter(cases.find_open(connection, bikes=[bike_id])), None)
    if case is None:
        opening = cases.Opening(bike_id, found.tag, cases.STOLEN, now_us, actor.name)
        number = cases.open_case(connection, opening)
    else:
        number = case.id
        connection.execute(update(bike_case).where(bike_case.c.id == number).values(kind=cases.STOLEN))
        cases.add_step(connection, number, cases.MARKED, now_us, words=actor.name)
    assert number is not None  # noqa: S101 - the bike's row is locked, and it had no open case
    said = " ".join(part for part in (found.plate, words) if part)[:MAX_NOTE_CHARS]
    entry = StolenEntry(found.tag, said, case=str(number), since_us=now_us)
    add_stolen(connection, [entry], actor.name, now_us, origin=actor.origin)
    details = {"case": number}
    note(connection, actor=actor, what="bike-stolen", object_=bike_id, details=details, at_us=now_us)
    return number


def recover(connection: Connection, bike_id: str, *, actor: Actor, desk: Desk, now_us: int) -> int | None:
    """Take a bike off the stolen list, close its case, and disarm it; it is back. Audited.

    Returns:
        The case that was closed; None where only the list had it.

    Raises:
        UnknownBikeError: there is none.
        BikeStateError: it is neither on the list nor has it an open case.
    """
    found = lock_bike(connection, bike_id)
    case = next(iter(cases.find_open(connection, bikes=[bike_id])), None)
    is_listed = found.tag is not None and cases.is_listed(connection, found.tag)
    if case is None and found.stolen_us is None and not is_listed:
        raise BikeStateError(f"bike {bike_id} is not stolen")
    disarm(connection, bike_id, actor=actor, desk=desk, now_us=now_us)
    if case is not None and is_own(case.source):
        # Whom its hours have disarmed has an alarm that still stands; an end that was said already is said in vain.
        say(connection, [over(case, read_stations(connection), None, now_us=now_us)], desk=desk, now_us=now_us)
    connection.execute(update(bike).where(bike.c.id == bike_id).values(stolen_us=None))
    if case is not None:
        cases.close_case(connection, case, outcome=cases.RECOVERED, by=actor.name, at_us=now_us)
    if found.tag is not None and is_listed:
        take_off(connection, [found.tag], actor.name, now_us, origin=actor.origin)
    details = {} if case is None else {"case": case.id}
    note(connection, actor=actor, what="bike-recovered", object_=bike_id, details=details, at_us=now_us)
    return None if case is None else case.id


def battery_changed(connection: Connection, bike_id: str, *, actor: Actor, desk: Desk, now_us: int) -> bool:
    """Note that a bike's tag has a new battery: its alarm is over. Audited.

    Returns:
        Whether it was low.

    Raises:
        UnknownBikeError: there is none.
    """
    found = lock_bike(connection, bike_id)
    query = select(bike_tag).where(bike_tag.c.tag == found.tag, bike_tag.c.low_us.is_not(None)).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        return False
    connection.execute(update(bike_tag).where(bike_tag.c.tag == row.tag).values(low_us=None, battery_v=None))
    stations = read_stations(connection)
    said = alarms.over(alarms.BATTERY, row.tag, row.low_us, station=row.station, stations=stations, now_us=now_us)
    say(connection, [said], desk=desk, now_us=now_us)
    note(connection, actor=actor, what="bike-battery-changed", object_=bike_id, details={}, at_us=now_us)
    return True
