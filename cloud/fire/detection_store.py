"""Fires and their evidence in the database: rows, and what is near in time."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, insert, select, update

from cloud.areas.chunks import chunked
from cloud.areas.places import Place
from cloud.database.detection_tables import fire, fire_evidence
from cloud.desk.own import OWN_GATEWAY
from cloud.fire.detection import LIKELY_ABOVE, Assessment, Certainty, Detection, Reach, Reading, Sign, Wind
from cloud.fire.detection_reading import FIRE_DEVICE
from cloud.geo import Spot
from contract.alarms import Mode, Severity

MOST_NEAR = 5_000
"""Of raises within the window the latest count; more of them there never were in a forest."""
POINT, RULE = "detection", "fusion"


class Judgement(StrEnum):
    """What a person says of a fire; stored."""

    CONFIRMED = "confirmed"
    FALSE = "false"


class Fire(Struct, frozen=True):
    """A row of `fire`; see there."""

    id: str
    mode: Mode
    began_at_us: int
    last_at_us: int
    cleared_at_us: int | None
    confidence: float
    severity: Severity
    towers: tuple[str, ...]
    signs: tuple[Sign, ...]
    reasons: tuple[tuple[str, float], ...]
    latitude_deg: float
    longitude_deg: float
    radius_m: float
    located_by: str
    site: str | None
    area: str | None
    area_path: str
    changed_at_us: int
    told: bool = False
    alarm_raised_at_us: int | None = None
    alarm_stands: bool = False
    alarm_severity: Severity | None = None
    judgement: Judgement | None = None
    judged_by: str | None = None
    judged_at_us: int | None = None
    judged_why: str | None = None
    ended_at_us: int | None = None
    merged_into: str | None = None

    @property
    def source(self) -> str:
        """The source of its own alarm."""
        return source_of(self.id)

    @property
    def urgency(self) -> Severity:
        """How urgent its alarm is: what somebody has seen is critical."""
        return Severity.CRITICAL if self.judgement is Judgement.CONFIRMED else self.severity

    @property
    def certainty(self) -> Certainty:
        """What CAP calls it."""
        if self.judgement is Judgement.CONFIRMED:
            return Certainty.OBSERVED
        return Certainty.LIKELY if self.confidence > LIKELY_ABOVE else Certainty.POSSIBLE

    @property
    def speaks(self) -> bool:
        """Whether its alarm stands for those of its detectors."""
        return self.told and self.ended_at_us is None


def source_of(fire_id: str) -> str:
    """Name the source of a fire's own alarm."""
    return f"{OWN_GATEWAY}/{FIRE_DEVICE}{fire_id}/{POINT}/{RULE}"


def to_fire(row: Mapping[Any, Any]) -> Fire:
    """Read a row of `fire`."""
    return msgspec.convert({str(key): value for key, value in row.items()}, Fire)


def found_fire(first: Detection, found: Assessment, place: Place, now_us: int) -> Fire:
    """Make a fire; it is called after the raise that it was found by, and never otherwise."""
    return Fire(
        id=first.id,
        mode=first.mode,
        began_at_us=found.began_at_us,
        last_at_us=found.last_at_us,
        cleared_at_us=found.cleared_at_us,
        confidence=found.confidence,
        severity=found.severity,
        towers=found.towers,
        signs=found.signs,
        reasons=found.reasons,
        latitude_deg=found.ground.spot.latitude_deg,
        longitude_deg=found.ground.spot.longitude_deg,
        radius_m=found.ground.radius_m,
        located_by=found.ground.by,
        site=place.site,
        area=place.area,
        area_path=place.area_path,
        changed_at_us=now_us,
    )


def assessed(one: Fire, found: Assessment, now_us: int) -> Fire:
    """Note what the evidence comes to."""
    return msgspec.structs.replace(
        one,
        began_at_us=found.began_at_us,
        last_at_us=found.last_at_us,
        cleared_at_us=found.cleared_at_us,
        confidence=found.confidence,
        severity=found.severity,
        towers=found.towers,
        signs=found.signs,
        reasons=found.reasons,
        latitude_deg=round(found.ground.spot.latitude_deg, 6),
        longitude_deg=round(found.ground.spot.longitude_deg, 6),
        radius_m=round(found.ground.radius_m),
        located_by=found.ground.by,
        told=one.told or found.is_told,
        changed_at_us=now_us,
    )


def lock_fires(connection: Connection, ids: Iterable[str]) -> dict[str, Fire]:
    """Read fires and hold them until the commit, in the order of their ids."""
    found: dict[str, Fire] = {}
    for some in chunked(sorted(set(ids))):
        query = select(fire).where(fire.c.id.in_(some)).order_by(fire.c.id).with_for_update()
        found |= {row["id"]: to_fire(row) for row in connection.execute(query).mappings()}
    return found


def find_heir(connection: Connection, one: Fire) -> Fire:
    """Find the fire that a merged one is counted to in the end; one that was never merged is its own."""
    while one.merged_into is not None:
        row = connection.execute(select(fire).where(fire.c.id == one.merged_into)).mappings().one()
        one = to_fire(row)
    return one


def keep_fires(connection: Connection, fires: Iterable[Fire], *, known: Collection[str]) -> None:
    """Write fires: those of `known` anew, others for the first time."""
    rows = [msgspec.to_builtins(one) for one in fires]
    new = [row for row in rows if row["id"] not in known]
    if new:
        connection.execute(insert(fire), new)
    changed = [row | {"changed_id": row["id"]} for row in rows if row["id"] in known]
    if changed:
        columns: dict[str, Any] = {name: bindparam(name) for name in Fire.__struct_fields__ if name != "id"}
        statement = update(fire).where(fire.c.id == bindparam("changed_id")).values(columns)
        connection.execute(statement, [{key: value for key, value in row.items() if key != "id"} for row in changed])


def keep_evidence(
    connection: Connection, fire_of: Mapping[str, str], evidence: Iterable[Detection], *, look_at_us: int
) -> None:
    """Write evidence for the first time; its surroundings are to be looked for at `look_at_us`."""
    rows = [_to_row(one) | {"fire": fire_of[one.id], "look_at_us": look_at_us, "looks": 0} for one in evidence]
    if rows:
        connection.execute(insert(fire_evidence), rows)


def update_evidence(connection: Connection, evidence: Iterable[Detection]) -> None:
    """Bring up to date when known detections went quiet, how urgent they are, and which row they are counted to."""
    rows = [
        {"known": one.id, "ended": one.cleared_at_us, "urgency": one.severity.value, "row": one.occurrence}
        for one in evidence
    ]
    if rows:
        values: dict[str, Any] = {
            "cleared_at_us": bindparam("ended"),
            "severity": bindparam("urgency"),
            "occurrence": bindparam("row"),
        }
        connection.execute(update(fire_evidence).where(fire_evidence.c.id == bindparam("known")).values(values), rows)


def move_evidence(connection: Connection, *, of: str, to: str) -> None:
    """Count the evidence of a merged fire to the one that stays."""
    connection.execute(update(fire_evidence).where(fire_evidence.c.fire == of).values(fire=to))


def find_known(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """Tell of which fire each of these raises is evidence; those of none are left out."""
    found: dict[str, str] = {}
    for some in chunked(sorted(ids)):
        query = select(fire_evidence.c.id, fire_evidence.c.fire).where(fire_evidence.c.id.in_(some))
        found |= {row.id: row.fire for row in connection.execute(query)}
    return found


def find_near(connection: Connection, new: Sequence[Detection], reach: Reach) -> tuple[list[Detection], dict[str, str]]:
    """Find the evidence near some detections in time, of fires that still take some; and of which fire it is."""
    if not new:
        return [], {}
    at = fire_evidence.c
    first_us = min(one.raised_at_us for one in new) - reach.window_us
    last_us = max(one.raised_at_us for one in new) + reach.window_us
    query = select(fire_evidence).join(fire, at.fire == fire.c.id).where(fire.c.ended_at_us.is_(None))
    query = query.where(at.raised_at_us.between(first_us, last_us)).order_by(at.raised_at_us.desc(), at.id)
    rows = connection.execute(query.limit(MOST_NEAR)).mappings().all()
    return [_to_detection(row) for row in rows], {row["id"]: row["fire"] for row in rows}


def evidence_of(connection: Connection, fires: Collection[str]) -> dict[str, list[Detection]]:
    """Read all evidence of some fires, the earliest first."""
    found: dict[str, list[Detection]] = {one: [] for one in fires}
    for some in chunked(sorted(fires)):
        query = select(fire_evidence).where(fire_evidence.c.fire.in_(some))
        query = query.order_by(fire_evidence.c.raised_at_us, fire_evidence.c.id)
        for row in connection.execute(query).mappings():
            found[row["fire"]].append(_to_detection(row))
    return found


def find_to_look_at(connection: Connection, now_us: int, *, limit: int) -> list[Detection]:
    """Read the evidence around which somebody should look now, the longest due first."""
    query = select(fire_evidence).where(fire_evidence.c.look_at_us <= now_us)
    query = query.order_by(fire_evidence.c.look_at_us, fire_evidence.c.id).limit(limit)
    return [_to_detection(row) for row in connection.execute(query).mappings()]


def keep_surroundings(connection: Connection, one: Detection, *, look_at_us: int | None) -> None:
    """Note the wind, the readings and the bearing found for a detection, and when to look again; None: no more."""
    row = _to_row(one)
    found = {name: row[name] for name in ("wind", "readings", "bearing_deg")}
    connection.execute(
        update(fire_evidence).where(fire_evidence.c.id == one.id).values(found | {"look_at_us": look_at_us})
    )


def _to_row(one: Detection) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(one)
    spot: dict[str, Any] = row.pop("spot")
    return row | spot


def _to_detection(row: Mapping[Any, Any]) -> Detection:
    return Detection(
        id=row["id"],
        occurrence=row["occurrence"],
        source=row["source"],
        gateway=row["gateway"],
        device=row["device"],
        sign=Sign(row["sign"]),
        severity=Severity(row["severity"]),
        spot=Spot(row["latitude_deg"], row["longitude_deg"]),
        raised_at_us=row["raised_at_us"],
        cleared_at_us=row["cleared_at_us"],
        mode=Mode(row["mode"]),
        bearing_deg=row["bearing_deg"],
        wind=None if row["wind"] is None else msgspec.convert(row["wind"], Wind),
        readings=msgspec.convert(row["readings"], tuple[Reading, ...]),
    )
