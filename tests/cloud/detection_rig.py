"""Towers on a line through a forest, their alarms through the desk's own door, and detection done when a test says."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, insert, select

from cloud.database import Database
from cloud.database.area_tables import area, registered_gateway, site
from cloud.database.detection_tables import fire
from cloud.database.tables import change, occurrence
from cloud.desk.changes import Actor
from cloud.desk.core import Alarm, Arrival
from cloud.desk.following import begin_here
from cloud.desk.keeping import to_alarm
from cloud.desk.store import apply_events
from cloud.fire.detection_store import Fire, to_fire
from cloud.fire.detection_taking import CURSOR, take_news
from cloud.fire.settings import Fire as FireSettings
from cloud.settings import Settings
from contract.alarms import AlarmEvent, Mode, Severity, Transition

S = 1_000_000
T0 = 1_790_000_000 * S
WANG = Actor("王芳", "203.0.113.7")
# A kilometre to the north.
KM_DEG = 0.0089932
LATITUDE_DEG, LONGITUDE_DEG = 29.0, 119.0


class FireRig:
    """A desk with towers; `km` says where each stands on a line to the north."""

    def __init__(
        self, database: Database, settings: Settings | None = None, *, detection: bool = True, areas: bool = True
    ) -> None:
        self.database = database
        self.settings = settings or Settings(fire=FireSettings())
        if areas:
            database.run(_lay_out)
        if detection:
            database.run(partial(begin_here, name=CURSOR))

    def tower(
        self, name: str, km: float, *, east_km: float = 0.0, area_id: str = "forest", kind: str = "tower"
    ) -> None:
        """Register a tower."""

        def work(connection: Connection) -> None:
            values = {
                "id": f"site-{name}", "area": area_id, "name": name, "kind": kind, "address": "",
                "latitude_deg": LATITUDE_DEG + km * KM_DEG, "longitude_deg": LONGITUDE_DEG + east_km * KM_DEG / 0.8746,
                "transmission_class": None,
            }  # fmt: skip
            connection.execute(insert(site).values(values))
            values = {"id": name, "site": f"site-{name}", "name": name, "address": ""}
            connection.execute(insert(registered_gateway).values(values))

        self.database.run(work)

    def says(
        self,
        source: str,
        at_us: int,
        *,
        raised_at_us: int | None = None,
        kind: str = "smoke",
        severity: Severity = Severity.HIGH,
        mode: Mode = Mode.LIVE,
        value: float | None = None,
        came_at_us: int | None = None,
    ) -> None:
        """Have a detector raise (or clear, when told what) its alarm."""
        gateway, device, point, rule = source.split("/")
        transition = Transition.RAISED if raised_at_us is None else Transition.CLEARED
        event = AlarmEvent(
            gateway, device, point, rule, transition, at_us if raised_at_us is None else raised_at_us, at_us, kind,
            severity, value=value, mode=mode,
        )  # fmt: skip
        stored_us = at_us if came_at_us is None else came_at_us
        self.database.run(partial(apply_events, arrivals=[Arrival(event, stored_us, stored_us, late=False)]))

    def smoke(self, tower: str, at_us: int, **more: object) -> None:
        self.says(f"{tower}/smoke/smoke/smoke", at_us, **more)  # type: ignore[arg-type]

    def detect(self, now_us: int) -> int:
        """Take all news there are."""
        done = 0
        while count := self.database.run(partial(take_news, settings=self.settings, now_us=now_us)):
            done += count
        return done

    def act(self, work: Callable[[Connection], object]) -> None:
        self.database.run(work)

    def fires(self) -> list[Fire]:
        query = select(fire).order_by(fire.c.began_at_us, fire.c.id)
        return self.database.read(lambda connection: [to_fire(row) for row in connection.execute(query).mappings()])

    def alarms(self, source: str) -> list[Alarm]:
        query = select(occurrence).where(occurrence.c.source == source).order_by(occurrence.c.raised_at_us)
        return self.database.read(lambda connection: [to_alarm(row) for row in connection.execute(query).mappings()])

    def alarm(self, source: str) -> Alarm:
        return self.alarms(source)[-1]

    def heard(self) -> list[Alarm]:
        """Open alarms that nothing silences."""
        query = select(occurrence).where(occurrence.c.closed_at_us.is_(None), occurrence.c.suppressed_by.is_(None))
        return self.database.read(lambda connection: [to_alarm(row) for row in connection.execute(query).mappings()])

    def history(self, source: str) -> list[tuple[str, str]]:
        query = select(change.c.what, change.c.why).where(change.c.source == source).order_by(change.c.id)
        return self.database.read(lambda connection: [(row.what, row.why) for row in connection.execute(query)])


def _lay_out(connection: Connection) -> None:
    rows = [("city", None, "city", "city/"), ("forest", "city", "county", "city/forest/"),
            ("town", "city", "county", "city/town/")]  # fmt: skip
    connection.execute(
        insert(area),
        [{"id": id_, "parent": above, "level": level, "name": id_, "path": path, "latitude_deg": None,
          "longitude_deg": None, "outline": None} for id_, above, level, path in rows],
    )  # fmt: skip
