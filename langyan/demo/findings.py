"""What the trades have made of the story: read where people would look for it."""

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, distinct, func, select

from cloud.bikes.cases import SEEN
from cloud.database import Database
from cloud.database.bike_tables import bike_case_step
from cloud.database.patrol_tables import patrol_verdict
from cloud.database.tables import change, occurrence
from cloud.database.vehicle_tables import vehicle_position
from cloud.desk.changes import What
from cloud.desk.own import OWN_GATEWAY
from cloud.patrols.verdicts import VISITED
from langyan.demo.sites import CARDS

FIRE = "fire"
DETECTORS = ("heat", "smoke")


class Findings(Struct, frozen=True):
    """Counts of what the trades found.

    Attributes:
        fires: occurrences of fire on the desk; both towers, and all their detectors, see the same one.
        fire_alarms: alarms of detectors that it speaks for.
        fire_evidence: comments in its history, one for each detector after the first.
        trail_stations: stations at which the stolen bike was heard, in its case.
        patrol_visits: planned visits of the wand that was read out, with a verdict.
        vehicles_seen: vehicles with a last position.
    """

    fires: int
    fire_alarms: int
    fire_evidence: int
    trail_stations: int
    patrol_visits: int
    vehicles_seen: int

    def is_good(self) -> bool:
        """Tell whether the trades have made of it what was to be made."""
        is_one_fire = self.fires == 1 and self.fire_evidence >= self.fire_alarms - 1 > 0
        is_judged = self.patrol_visits == len(CARDS)
        return is_one_fire and self.trail_stations > 1 and is_judged and self.vehicles_seen > 0


def find(database: Database) -> Findings:
    """Look the findings up."""
    return database.read(_find)


def _find(connection: Connection) -> Findings:
    own = occurrence.c.gateway == OWN_GATEWAY
    fires = select(occurrence.c.alarm_id).where(own, occurrence.c.kind == FIRE)
    evidence = change.c.what == What.COMMENTED.value, change.c.why.startswith("evidence")
    seen = select(func.count(distinct(bike_case_step.c.station))).where(bike_case_step.c.what == SEEN)
    visits = select(func.count(distinct(patrol_verdict.c.position)))
    visits = visits.where(patrol_verdict.c.after.in_([verdict.value for verdict in VISITED]))

    def count(query: Select[Any]) -> int:
        return int(connection.execute(query).scalar_one())

    return Findings(
        fires=count(select(func.count()).select_from(fires.subquery())),
        fire_alarms=count(select(func.count()).where(~own, occurrence.c.kind.in_(DETECTORS))),
        fire_evidence=count(select(func.count()).where(change.c.alarm_id.in_(fires), *evidence)),
        trail_stations=count(seen),
        patrol_visits=count(visits),
        vehicles_seen=count(select(func.count()).where(vehicle_position.c.latitude_deg.is_not(None))),
    )
