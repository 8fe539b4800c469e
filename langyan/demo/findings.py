"""What the trades have made of the story: read where people would look for it."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection, func, select

from cloud.database import Database
from cloud.database.tables import change
from cloud.desk.changes import What
from cloud.desk.core import Alarm
from cloud.desk.own import OWN_GATEWAY

FIRE = "fire"


class Findings(Struct, frozen=True):
    """Counts of what the trades found.

    Attributes:
        fires: occurrences of fire on the desk; both towers, and all their detectors, see the same one.
        fire_alarms: alarms of detectors that it speaks for.
        fire_evidence: comments in its history, one for each detector after the first.
    """

    fires: int
    fire_alarms: int
    fire_evidence: int

    def is_good(self) -> bool:
        """Tell whether the trades have made of it what was to be made."""
        return self.fires == 1 and self.fire_evidence >= self.fire_alarms - 1 > 0


def find(database: Database, alarms: Sequence[Alarm]) -> Findings:
    """Look the findings up; `alarms` are all of the desk's list."""
    fires = [alarm for alarm in alarms if alarm.gateway == OWN_GATEWAY and alarm.kind == FIRE]
    return Findings(
        fires=len(fires),
        fire_alarms=sum(alarm.gateway != OWN_GATEWAY and alarm.kind in ("heat", "smoke") for alarm in alarms),
        fire_evidence=sum(_comments(database, alarm) for alarm in fires),
    )


def _comments(database: Database, alarm: Alarm) -> int:
    query = select(func.count()).where(
        change.c.alarm_id == alarm.alarm_id, change.c.what == What.COMMENTED.value, change.c.why.startswith("evidence")
    )

    def read(connection: Connection) -> int:
        return int(connection.execute(query).scalar_one())

    return database.read(read)
