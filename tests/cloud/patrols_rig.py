"""A desk with a patrol on it, on a virtual clock: a night round of three points by one wand."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select

from cloud.areas.faults import Faults
from cloud.areas.importing import Source
from cloud.database import Database
from cloud.database.patrol_tables import patrol_tour, patrol_verdict
from cloud.database.tables import change, occurrence
from cloud.desk.changes import Actor
from cloud.desk.following import begin_here
from cloud.feed.queue import Observation
from cloud.feed.sorting import Trade
from cloud.patrols.importing import Outcome, bring_in, read_sheets
from cloud.patrols.links import CURSOR
from cloud.patrols.settings import Patrols
from cloud.patrols.worker import has_work, take_observations, work_once
from cloud.settings import Settings
from contract.telemetry import Point, Sample
from tests.cloud.api_rig import Rig, _lay_out

CONSOLE = Actor("console test", "console")
SHEETS = {
    "points.csv": "id,area,name,cards\ngate,east,东门,C1\nlab,east,实验室,C2\nroof,east,楼顶,C3\npark,west,停车场,C9\n",
    "routes.csv": "id,area,site,name,order,early_min,late_min\nround,east,school-east,夜巡,ordered,0,0\n",
    "route_points.csv": "route,position,point,must\nround,1,gate,no\nround,2,lab,yes\nround,3,roof,no\n",
    "people.csv": "id,area,name\nwang,east,王芳\n",
    "wands.csv": "id,area,name,machine,gateway,device\nw1,east,一号棒,0102030405,gate-east,wand-1\n",
    "carriers.csv": "wand,person\nw1,wang\n",
    "plans.csv": "id,route,starts,duration_min,people\nnight,round,22:00,120,wang\n",
}


def at(text: str) -> int:
    """A local time of the evening of 23 November 2026, or `24 06:00` of the day after."""
    day, _, clock = text.rpartition(" ")
    moment = datetime.fromisoformat(f"2026-11-{day or '23'}T{clock}:00+08:00")
    return round(moment.timestamp()) * 1_000_000


class Patrol:
    """The desk, its clock, and a wand that can be read out.

    Attributes:
        now_us: of the virtual clock.
    """

    def __init__(
        self, database: Database, sheets: dict[str, str] | None = None, *, rig: Rig | None = None, **ours: Any
    ) -> None:
        self.database = database
        self.settings = Settings(patrols=Patrols(**({"settle_s": 0} | ours)))
        self.rig = rig
        self.now_us = at("12:00")
        if rig is None:
            database.run(_lay_out)
        database.run(lambda connection: begin_here(connection, CURSOR))
        self.bring(SHEETS if sheets is None else sheets)
        self.work()

    def bring(self, sheets: dict[str, str], **options: Any) -> Outcome:
        faults = Faults()
        incoming = read_sheets([Source(name, text.encode()) for name, text in sheets.items()], faults)
        return self.database.run(
            partial(bring_in, incoming=incoming, faults=faults, actor=CONSOLE, now_us=self.now_us, **options)
        )

    def to(self, text: str) -> None:
        """Let time pass, and all be done that is due on the way."""
        while True:
            due = self.database.read(lambda connection: list(connection.execute(
                select(patrol_tour.c.due_us).where(patrol_tour.c.due_us.is_not(None))).scalars()))  # fmt: skip
            coming = [one for one in due if self.now_us < one <= at(text)]
            self.now_us = min(coming, default=at(text))
            if self.rig is not None:
                self.rig.now_us = self.now_us
            self.work()
            if not coming:
                return

    def work(self) -> None:
        has = partial(has_work, settings=self.settings, now_us=self.now_us)
        do = partial(work_once, settings=self.settings, now_us=self.now_us)
        for _ in range(100):
            if not self.database.read(has):
                return
            self.database.run(do)
        raise AssertionError("there is no end of work")

    def hear(self, samples: Sequence[Sample], gateway: str = "gate-east") -> None:
        told = [Observation(Trade.PATROLS, gateway, self.now_us, tuple(samples))]
        work = partial(take_observations, observations=told, settings=self.settings, clock=lambda: self.now_us)
        self.database.run(work)
        self.work()

    def upload(self, *visits: tuple[str, str], docked: bool = True) -> None:
        """Read the wand out: `("C1", "22:05")`."""
        self.hear([*([docking(self.now_us)] if docked else []), *(visit(card, when) for card, when in visits)])

    def verdicts(self, tour: str = "night.20261123T2200") -> list[str]:
        row = self.row(tour)
        return [one["verdict"] for one in row["judged"]["stops"]]

    def row(self, tour: str = "night.20261123T2200") -> dict[str, Any]:
        query = select(patrol_tour).where(patrol_tour.c.id == tour)
        return self.database.read(lambda connection: dict(connection.execute(query).mappings().one()))

    def alarms(self) -> list[dict[str, Any]]:
        query = select(occurrence).order_by(occurrence.c.raised_at_us, occurrence.c.alarm_id)
        return self.database.read(lambda connection: [dict(row) for row in connection.execute(query).mappings()])

    def told(self) -> list[tuple[str, str, bool]]:
        """Kind, severity, and whether it stands."""
        return [(one["kind"], one["severity"], one["cleared_at_us"] is None) for one in self.alarms()]

    def history(self) -> list[tuple[int, str | None, str]]:
        query = select(patrol_verdict).order_by(patrol_verdict.c.id)
        return self.database.read(
            lambda connection: [(row.position, row.before, row.after) for row in connection.execute(query)]
        )

    def comments(self) -> list[str]:
        query = select(change.c.why).where(change.c.what == "commented").order_by(change.c.id)
        return self.database.read(lambda connection: list(connection.execute(query).scalars()))


def visit(card: str, when: str | int, *, machine: str = "0102030405") -> Sample:
    at_us = when if isinstance(when, int) else at(when)
    moment = datetime.fromtimestamp(at_us // 1_000_000).astimezone().isoformat()
    return Sample("wand-1", at_us, (Point("card", card), Point("visited_at", moment), Point("machine", machine),
                                    Point("record", 1.0)))  # fmt: skip


def docking(at_us: int, *, machine: str = "0102030405", hits: float = 0) -> Sample:
    return Sample("wand-1", at_us, (Point("machine", machine), Point("records", 3.0), Point("hits", hits),
                                    Point("clock_error", 0.5)))  # fmt: skip
