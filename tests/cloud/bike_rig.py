"""A city for bike watch: three stations of three gateways in one street, one far away; bikes; what readers say."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, insert, select, update

from cloud.bikes import rounds, thefts
from cloud.bikes.operations import arm
from cloud.bikes.stations import read_stations
from cloud.bikes.taking import Counts, take
from cloud.database import Database
from cloud.database.area_tables import area, registered_gateway, site
from cloud.database.bike_tables import bike, bike_arming, bike_case, bike_owner, bike_stay, bike_tag
from cloud.database.tables import occurrence
from cloud.desk.changes import Actor
from cloud.desk.core import Arrival
from cloud.desk.following import begin_here
from cloud.desk.store import apply_events
from cloud.feed.queue import Observation
from cloud.feed.sorting import Trade
from cloud.settings import Settings
from contract.alarms import AlarmEvent, Mode, Severity, Transition
from contract.telemetry import Point, Sample

NOW_US = 1_790_000_000_000_000
SECOND = 1_000_000
WANG = Actor("王芳", "console")
TAG, KEY = "CCB97E7361A4", "EAC653D3AA8E"
# About 200 m apart along a street; the last one 20 km away.
SPOTS = {"g1": (31.30, 120.60), "g2": (31.3018, 120.60), "g3": (31.3036, 120.60), "far": (31.48, 120.60)}


class BikeRig:
    """One database and a clock.

    Attributes:
        now_us: moves with `say` and `wait`.
    """

    def __init__(self, database: Database, settings: Settings | None = None) -> None:
        self.database = database
        self.settings = settings or Settings()
        self.now_us = NOW_US
        self.counts = Counts()
        database.run(_lay_out)
        database.run(lambda connection: begin_here(connection, thefts.READER))

    def add(self, bike_id: str = "b1", tag: str | None = TAG, owner_tag: str | None = None, **more: Any) -> None:
        values = {
            "id": bike_id,
            "area": "east",
            "tag": tag,
            "owner_tag": owner_tag,
            "plate": f"苏E {bike_id}",
            "note": "",
        }
        self.database.run(lambda connection: connection.execute(insert(bike).values(values | more)))

    def own(self, bike_id: str = "b1") -> None:
        row = {"bike": bike_id, "name": "王芳", "phone": "+8613900000001", "address": "人民路1号"}
        self.database.run(lambda connection: connection.execute(insert(bike_owner).values(row)))

    def wait(self, seconds: float) -> None:
        self.now_us += round(seconds * SECOND)

    def say(self, gateway: str, word: str, tag: str = TAG, *, after_s: float = 0, at_us: int | None = None,
            **more: Any) -> None:  # fmt: skip
        self.wait(after_s)
        self.take([(gateway, word, tag, self.now_us if at_us is None else at_us)], **more)

    def take(self, words: Iterable[tuple[str, str, str, int]], **more: Any) -> None:
        heard = [observation(gateway, word, tag, at_us, self.now_us, **more) for gateway, word, tag, at_us in words]
        self.database.run(
            lambda connection: take(
                connection, heard, settings=self.settings, counts=self.counts, now_us=self.now_us
            )
        )  # fmt: skip

    def round(self, after_s: float = 0) -> None:
        """Do all that is due until nothing is."""
        self.wait(after_s)
        for _ in range(20):
            due = self.database.read(self._due)
            if not due:
                return
            for duty in due:
                self.database.run(partial(self._work, duty))
        raise AssertionError("there is always something due")

    def _due(self, connection: Connection) -> list[rounds.Duty]:
        return [duty for duty in rounds.duties() if duty.is_due(connection, self.settings, self.now_us)]

    def _work(self, duty: rounds.Duty, connection: Connection) -> None:
        duty.work(connection, self.settings, self.now_us)

    def arm(self, bike_id: str = "b1") -> None:
        self.database.run(lambda connection: arm(connection, bike_id, actor=WANG, now_us=self.now_us))

    def edge(self, gateway: str, rule: str, tag: str = TAG, *, transition: Transition = Transition.RAISED,
             at_us: int | None = None, raised_us: int | None = None, mode: Mode = Mode.LIVE) -> None:  # fmt: skip
        """Let a gateway say an alarm."""
        at_us = self.now_us if at_us is None else at_us
        event = AlarmEvent(
            gateway, "reader", f"tag-{tag}", rule, transition, at_us if raised_us is None else raised_us, at_us,
            rule, Severity.CRITICAL, {"en": rule}, mode=mode,
        )  # fmt: skip
        arrival = Arrival(event=event, received_at_us=self.now_us, stored_at_us=self.now_us, late=False)
        self.database.run(lambda connection: apply_events(connection, [arrival]))

    def stays(self, tag: str = TAG) -> list[tuple[str, int, int | None]]:
        """Where a tag was: gateway, seconds since `NOW_US`."""

        def work(connection: Connection) -> list[tuple[str, int, int | None]]:
            stations = read_stations(connection)
            query = select(bike_stay).where(bike_stay.c.tag == tag).order_by(bike_stay.c.from_us)
            return [
                (stations[row.station].gateway, _seconds(row.from_us) or 0, _seconds(row.until_us))
                for row in connection.execute(query)
            ]

        return self.database.read(work)

    def rows(self, table: Any, **where: Any) -> Sequence[Any]:
        query = select(table).order_by(*table.primary_key)
        for name, value in where.items():
            query = query.where(table.c[name] == value)
        return self.database.read(lambda connection: connection.execute(query).mappings().all())

    def alarms(self, kind: str | None = None) -> Sequence[Any]:
        return self.rows(occurrence, **({} if kind is None else {"kind": kind}))

    def case(self) -> Any:
        (found,) = self.rows(bike_case)
        return found

    def arming(self) -> Any:
        return self.rows(bike_arming)[-1]

    def tag(self, tag: str = TAG) -> Any:
        (found,) = self.rows(bike_tag, tag=tag)
        return found

    def set(self, bike_id: str = "b1", **values: Any) -> None:
        self.database.run(
            lambda connection: connection.execute(update(bike).where(bike.c.id == bike_id).values(values))
        )


def observation(gateway: str, word: str, tag: str, at_us: int, now_us: int, **more: Any) -> Observation:
    points = [Point("tag", tag), Point("presence", word), *(Point(key, value) for key, value in more.items())]
    return Observation(Trade.BIKES, gateway, now_us, (Sample("reader", at_us, tuple(points)),))


def _seconds(at_us: int | None) -> int | None:
    return None if at_us is None else round((at_us - NOW_US) / SECOND)


def _lay_out(connection: Connection) -> None:
    none: dict[str, Any] = {"latitude_deg": None, "longitude_deg": None}
    for id_, above, path in (("city", None, "city/"), ("east", "city", "city/east/"), ("west", "city", "city/west/")):
        row = {"id": id_, "parent": above, "level": "county", "name": id_, "path": path, "outline": None}
        connection.execute(insert(area).values(none | row))
    for gateway, (latitude, longitude) in SPOTS.items():
        spot = {"latitude_deg": latitude, "longitude_deg": longitude}
        row = {"id": f"site-{gateway}", "area": "east", "name": f"Gate {gateway}", "kind": "", "address": "",
               "transmission_class": None}  # fmt: skip
        connection.execute(insert(site).values(spot | row))
        values = {"id": gateway, "site": f"site-{gateway}", "name": "", "address": ""}
        connection.execute(insert(registered_gateway).values(none | values))
