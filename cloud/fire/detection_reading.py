"""From the desk's alarms to detections: which raises are signs of a fire, and where their detectors stand."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, RowMapping, func, select

from cloud.areas.chunks import chunked
from cloud.areas.places import Key
from cloud.database.area_tables import registered_device, registered_gateway, site
from cloud.database.tables import alarm_event, occurrence
from cloud.desk.changes import What
from cloud.desk.own import OWN_GATEWAY
from cloud.fire.bearings import to_bearing
from cloud.fire.detection import SIGN_OF_KIND, Detection
from cloud.geo import Spot
from contract.alarms import Mode, Severity, Transition

FIRE_DEVICE = "fire."
FIRE_SOURCE = f"{OWN_GATEWAY}/{FIRE_DEVICE}"
BEARING = "bearing"
"""The point whose value is a direction, degrees from north."""
NOW_US = 600_000_000
"""Wind, bearing and neighbours' readings count so long before and after a raise."""
MOST_EVENTS = 5_000
"""Of a detector that chatters the latest count."""

_BY_EVENTS = frozenset({What.RAISED, What.RETRIGGERED, What.CLEARED})
_COLUMNS = [
    occurrence.c[name]
    for name in (
        "alarm_id", "source", "gateway", "device", "point", "kind", "severity", "mode", "closed_at_us",
        "shelved_until_us", "suppressed_by", "out_of_service",
    )
]  # fmt: skip


class News(Struct, frozen=True):
    """What some changes of the history say to us.

    Attributes:
        fresh: raises that may found or join a fire.
        others: further raises of the same alarms, as they stand now: old, or of a detector that nobody is to hear; what
            is known of them is brought up to date.
        fires: ids of fires whose own alarm has changed.
    """

    fresh: tuple[Detection, ...] = ()
    others: tuple[Detection, ...] = ()
    fires: tuple[str, ...] = ()


def read_news(connection: Connection, changes: Sequence[RowMapping], *, sites: Collection[str]) -> News:
    """Read how the alarms stand that some changes are about; changes nothing.

    Args:
        connection: any.
        changes: rows of `change`.
        sites: the kinds of sites whose detectors count.
    """
    since_us: dict[str, int] = {}
    touched: set[str] = set()
    for one in changes:
        if one["alarm_id"] is None:
            continue
        touched.add(one["alarm_id"])
        if one["what"] in _BY_EVENTS:
            since_us[one["alarm_id"]] = min(one["at_us"], since_us.get(one["alarm_id"], one["at_us"]))
    own = {one["source"].split("/")[1].removeprefix(FIRE_DEVICE) for one in changes if _is_own(one["source"])}
    rows = _alarms(connection, touched)
    spots = find_spots(connection, {(row["gateway"], row["device"]) for row in rows.values()}, sites=sites)
    rows = {key: row for key, row in rows.items() if (row["gateway"], row["device"]) in spots}
    fresh: list[Detection] = []
    others: list[Detection] = []
    for row, stored_at_us, found in _raises(connection, rows, spots):
        is_recent = found.cleared_at_us is None or stored_at_us >= since_us.get(found.occurrence, stored_at_us + 1)
        (fresh if is_recent and _is_heard(row) else others).append(found)
    return News(tuple(fresh), tuple(others), tuple(sorted(own)))


def find_spots(connection: Connection, keys: Collection[Key], *, sites: Collection[str]) -> dict[Key, Spot]:
    """Find where detectors stand: the device's own place, else its gateway's, else its site's.

    Those without a place, and those of other kinds of sites, are left out.
    """
    found: dict[Key, Spot] = {}
    devices: dict[Key, RowMapping] = {}
    wanted = sorted({gateway for gateway, _device in keys})
    for some in chunked(wanted):
        query = select(registered_device).where(registered_device.c.gateway.in_(some))
        query = query.where(registered_device.c.latitude_deg.is_not(None))
        devices |= {(row["gateway"], row["device"]): row for row in connection.execute(query).mappings()}
        at = registered_gateway.c
        columns = (
            at.id,
            func.coalesce(at.latitude_deg, site.c.latitude_deg).label("latitude_deg"),
            func.coalesce(at.longitude_deg, site.c.longitude_deg).label("longitude_deg"),
        )
        joined = select(*columns).select_from(registered_gateway.join(site, at.site == site.c.id))
        rows = connection.execute(joined.where(at.id.in_(some), site.c.kind.in_(list(sites)))).mappings()
        of_gateway = {row["id"]: row for row in rows}
        for key in keys:
            if key[0] in of_gateway and (spot := _spot(devices.get(key)) or _spot(of_gateway[key[0]])) is not None:
                found[key] = spot
    return found


def _spot(row: Mapping[Any, Any] | None) -> Spot | None:
    if row is None or row["latitude_deg"] is None or row["longitude_deg"] is None:
        return None
    return Spot(row["latitude_deg"], row["longitude_deg"])


def _is_own(source: str) -> bool:
    return source.startswith(FIRE_SOURCE)


def _is_heard(row: RowMapping) -> bool:
    """Tell whether nobody but a fire keeps it silent, and nobody has dealt with it."""
    by_others = row["suppressed_by"] is not None and not _is_own(row["suppressed_by"])
    return not (by_others or row["out_of_service"] or row["shelved_until_us"] is not None or row["closed_at_us"])


def _alarms(connection: Connection, ids: Collection[str]) -> dict[str, RowMapping]:
    rows: dict[str, RowMapping] = {}
    for some in chunked(sorted(ids)):
        query = select(*_COLUMNS).where(occurrence.c.alarm_id.in_(some), occurrence.c.kind.in_(list(SIGN_OF_KIND)))
        query = query.where(occurrence.c.gateway != OWN_GATEWAY)
        rows |= {row["alarm_id"]: row for row in connection.execute(query).mappings()}
    return rows


def _raises(
    connection: Connection, rows: Mapping[str, RowMapping], spots: Mapping[Key, Spot]
) -> Iterable[tuple[RowMapping, int, Detection]]:
    """Read each raise counted to some alarms: the alarm, when the raise was stored, and how it stands."""
    events: dict[tuple[str, str], list[RowMapping]] = defaultdict(list)
    for some in chunked(sorted(rows)):
        query = select(alarm_event).where(alarm_event.c.occurrence.in_(some))
        query = query.order_by(alarm_event.c.stored_at_us.desc()).limit(MOST_EVENTS)
        for event in connection.execute(query).mappings():
            events[event["occurrence"], event["alarm_id"]].append(event)
    for (occurrence_id, raise_id), found in sorted(events.items()):
        row = rows[occurrence_id]
        raised = next((one for one in found if one["transition"] == Transition.RAISED.value), None)
        if raised is None:
            # Its raise is on its way: only a second press or the end has come.
            continue
        ends = [one["at_us"] for one in found if one["transition"] == Transition.CLEARED.value]
        yield (
            row,
            raised["stored_at_us"],
            Detection(
                id=raise_id,
                occurrence=occurrence_id,
                source=row["source"],
                gateway=row["gateway"],
                device=row["device"],
                sign=SIGN_OF_KIND[row["kind"]],
                severity=Severity(row["severity"]),
                spot=spots[row["gateway"], row["device"]],
                raised_at_us=raised["at_us"],
                cleared_at_us=max(ends, default=None),
                mode=Mode(row["mode"]),
                bearing_deg=to_bearing(raised["value"]) if row["point"] == BEARING else None,
            ),
        )
