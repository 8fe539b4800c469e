"""What follows where an import changes bikes that are watched: other tags, other hours, other owners."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, or_, select, update

from cloud.areas.chunks import chunked
from cloud.areas.sheets import Row
from cloud.bikes import alarms
from cloud.bikes.arming import How, disarm
from cloud.bikes.stations import read_stations
from cloud.database.bike_tables import bike, bike_case, bike_stay, bike_tag
from cloud.database.order_tables import stolen_tag
from cloud.desk.own import Said, say
from cloud.settings import Desk

_HOURS = ("arm_from", "arm_to", "arm_days")

Pair = tuple[Row, Row]
"""A row of `bike` as it is, and as it will be."""


def held(connection: Connection, wanted: Collection[Row]) -> set[str]:
    """Find bikes whose tag shall change and may not: they are stolen, on the stolen list, or have an open case.

    Args:
        connection: reading is enough.
        wanted: rows, with a `tag` or without, at most some hundred.
    """
    tags = {row["id"]: row["tag"] for row in wanted if "tag" in row}
    if not tags:
        return set()
    has_case = select(bike_case.c.id).where(bike_case.c.bike == bike.c.id, bike_case.c.closed_us.is_(None)).exists()
    is_listed = select(stolen_tag.c.tag).where(stolen_tag.c.tag == bike.c.tag).exists()
    query = select(bike.c.id, bike.c.tag).where(bike.c.id.in_(tags), bike.c.tag.is_not(None))
    rows = connection.execute(query.where(or_(bike.c.stolen_us.is_not(None), has_case, is_listed)))
    return {row.id for row in rows if row.tag != tags[row.id]}


def disarm_altered(connection: Connection, pairs: Sequence[Pair], *, by: str, now_us: int) -> None:
    """Disarm bikes that were armed for a reason which is none any more, before their rows are written."""
    armed_by_owner = [
        before["id"] for before, row in pairs
        if (before["by_owner"] and not row["by_owner"]) or before["owner_tag"] != row["owner_tag"]
    ]  # fmt: skip
    other_hours = [before["id"] for before, row in pairs if any(before[name] != row[name] for name in _HOURS)]
    other_tag = [before["id"] for before, row in pairs if before["tag"] != row["tag"]]
    disarm(connection, other_tag, by=by, now_us=now_us)
    disarm(connection, other_hours, by=by, now_us=now_us, only=How.HOURS)
    disarm(connection, armed_by_owner, by=by, now_us=now_us, only=How.OWNER)


def forget_tags(connection: Connection, pairs: Sequence[Pair], *, now_us: int) -> None:
    """Forget where tags were that are their bikes' no longer, and end their alarms; after the rows are written."""
    tags = sorted(before["tag"] for before, row in pairs if before["tag"] is not None and before["tag"] != row["tag"])
    said: list[Said] = []
    for some in chunked(tags):
        connection.execute(delete(bike_stay).where(bike_stay.c.tag.in_(some)))
        query = select(bike_tag).where(bike_tag.c.tag.in_(some)).order_by(bike_tag.c.tag)
        rows = connection.execute(query.with_for_update()).all()
        # What is an owner's too is still heard of, but not missed.
        kept = set(connection.execute(select(bike.c.owner_tag).where(bike.c.owner_tag.in_(some))).scalars())
        connection.execute(update(bike_tag).where(bike_tag.c.tag.in_(kept)).values(silent_us=None))
        connection.execute(delete(bike_tag).where(bike_tag.c.tag.in_(set(some) - kept)))
        stations = read_stations(connection)
        for row in rows:
            standing = {alarms.SILENT: row.silent_us}
            if row.tag not in kept:
                standing |= {alarms.BATTERY: row.low_us, alarms.CLONED: row.cloned_us}
            said += [
                alarms.over(kind, row.tag, raised_us, station=row.station, stations=stations, now_us=now_us)
                for kind, raised_us in standing.items()
                if raised_us is not None
            ]
    # Of the desk's settings an end asks nothing.
    say(connection, said, desk=Desk(), now_us=now_us)
