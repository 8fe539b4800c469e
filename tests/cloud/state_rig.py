"""What the tests of what stands share: a city in a database, an InfluxDB that notes its lines, a clock of their own."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection

from cloud.backoff import Backoff
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.gateways import note_presence
from cloud.desk import operations
from cloud.desk.changes import Actor
from cloud.desk.core import Arrival, ClosingCode
from cloud.desk.following import begin_here
from cloud.desk.own import Said, say
from cloud.desk.store import apply_events
from cloud.errors import DatabaseAwayError, DatabaseRefusedError
from cloud.settings import Settings
from cloud.state.alarms import READER, AlarmTeller
from cloud.state.picture import Picture
from cloud.state.reading import read_picture
from cloud.state.things import ThingTeller
from cloud.state.writer import PresentWriter
from contract.alarms import AlarmEvent, Mode, Severity, Transition
from contract.presence import Birth, Death, Device
from tests.cloud import area_rig
from tests.cloud.area_rig import import_

S_US = 1_000_000
T0_US = area_rig.AT_US
ME = Actor("王芳", "console")
CITY = area_rig.CITY | {
    "areas.csv": area_rig.AREAS + "320507,3205,county,相城区\n",
    "sites.csv": "id,area,name,kind,address,latitude_deg,longitude_deg\n"
    "school,cell-1,第十七小学,school,东街1号,31.25,120.62\n"
    "mill,320507,Mill,factory,,,\n",
    "gateways.csv": "id,site,name,address\nschool-17,school,门卫室,东街1号后门\nmill-1,mill,,\n",
    "devices.csv": "gateway,device,name,place,latitude_deg,longitude_deg\n"
    "school-17,gate-buttons,大门按钮,窗边,31.26,120.63\n"
    "school-17,spare,备用,,,\n",
}
TEXT = {"en": "Button pressed", "zh": "按钮被按下"}
_PART = re.compile(r"(?<!\\) ")
_FIELD = re.compile(r'(?P<key>\w+)=(?P<value>"(?:[^"\\]|\\.)*"|[^,]+)(?:,|$)')


class Line(msgspec.Struct, frozen=True):
    """One line as InfluxDB reads it."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, Any]
    at_us: int

    @classmethod
    def read(cls, line: bytes) -> "Line":
        head, fields, at_us = re.fullmatch(r"((?:\\.|[^ \\])+) (.*) (\d+)", line.decode(), re.DOTALL).groups()  # type: ignore[union-attr]
        measurement, *tags = (re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\),", head))
        values = {match["key"]: _value(match["value"]) for match in _FIELD.finditer(fields)}
        return cls(measurement, dict(tag.split("=", 1) for tag in tags), values, int(at_us))


def _value(text: str) -> Any:
    if text.startswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text in ("true", "false"):
        return text == "true"
    return int(text[:-1]) if text.endswith("i") else float(text)


class Sink:
    """An `InfluxWriter` that notes what it takes; `fault` is raised instead while it is set."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.fault: Exception | None = None
        self.refused: Callable[[bytes], bool] = lambda _line: False
        self.made = 0
        self.writes = 0

    async def write(self, lines: bytes, *, policy: str = "") -> None:
        assert policy == ""
        self.writes += 1
        if self.fault is not None:
            raise self.fault
        if self.refused(lines):
            raise DatabaseRefusedError("field type conflict")
        self.lines += [Line.read(line) for line in lines.split(b"\n")]

    async def ensure_database(self) -> None:
        self.made += 1

    async def ping(self) -> bool:
        return True

    async def close(self) -> None:
        pass

    def take(self, measurement: str = "") -> list[Line]:
        """Give the lines so far, of one measurement where it is named, and forget all."""
        found, self.lines = self.lines, []
        return [line for line in found if measurement in ("", line.measurement)]


class Rig:
    """A city, its tellers, and a clock that stands still until it is told."""

    def __init__(self, database: Database, *, city: bool = True, settings: Settings | None = None) -> None:
        self.database = database
        self.settings = settings or Settings()
        self.now_us = T0_US
        self.sink = Sink()
        if city:
            import_(database, CITY)
        self.database.run(partial(begin_here, name=READER))
        self.begin()

    def begin(self) -> None:
        """Begin as a new worker does."""
        persistent = PersistentDatabase(self.database, counters=Counters())
        self.writer = PresentWriter(self.sink, batch_lines=5_000, backoff=Backoff(first_s=1e-6, longest_s=1e-6))
        self.picture: Picture = self.database.read(read_picture)
        share = persistent, self.writer, self.picture, self.settings, lambda: self.now_us
        self.alarms, self.things = AlarmTeller(*share), ThingTeller(*share)

    async def tell(self, after_s: float = 0.0) -> list[Line]:
        """Let both say what is to be said, until there is no more."""
        self.now_us += round(after_s * S_US)
        while await self.things.step() or await self.alarms.step():
            pass
        return self.sink.take()

    def happens(
        self,
        source: str,
        transition: Transition = Transition.RAISED,
        *,
        raised_at_us: int | None = None,
        kind: str = "panic",
        severity: Severity = Severity.CRITICAL,
        mode: Mode = Mode.LIVE,
        text: dict[str, str] | None = None,
    ) -> str:
        """Let a gateway say something now; returns the alarm's id."""
        gateway, device, point, rule = source.split("/")
        began_us = self.now_us if raised_at_us is None else raised_at_us
        event = AlarmEvent(
            gateway=gateway, device=device, point=point, rule=rule, transition=transition, raised_at_us=began_us,
            at_us=self.now_us, kind=kind, severity=severity, text=TEXT if text is None else text, mode=mode,
        )  # fmt: skip
        self.database.run(partial(apply_events, arrivals=[Arrival(event, self.now_us, self.now_us, late=False)]))
        return event.alarm_id

    def says(self, said: Said) -> None:
        """Let the cloud itself say something."""
        self.database.run(partial(say, said=[said], desk=self.settings.desk, now_us=self.now_us))

    def acknowledge(self, alarm_id: str) -> None:
        self._act(partial(operations.acknowledge, alarm_id=alarm_id, actor=ME, now_us=self.now_us))

    def close(self, alarm_id: str) -> None:
        work = partial(
            operations.close,
            alarm_id=alarm_id,
            actor=ME,
            now_us=self.now_us,
            code=ClosingCode.GENUINE,
            comment="was there",
        )
        self._act(work)

    def born(self, gateway: str, *devices: Device, site: str = "", boot: str = "b1") -> None:
        self._note(Birth(gateway, boot, "1.2", site, self.now_us, devices))

    def dies(self, gateway: str, *, reason: str = "lost", boot: str = "b1") -> None:
        self._note(Death(gateway, boot, reason))

    def _note(self, message: Birth | Death) -> None:
        self.database.run(partial(note_presence, message=message, received_at_us=self.now_us, registered=None))

    def _act(self, work: Callable[[Connection], Any]) -> None:
        self.database.run(work)


def only(lines: list[Line], measurement: str, **tags: str) -> Line:
    """Find the one line of a measurement with these tags."""
    found = of(lines, measurement, **tags)
    assert len(found) == 1, found
    return found[0]


def of(lines: list[Line], measurement: str, **tags: str) -> list[Line]:
    """Find the lines of a measurement with these tags."""
    wanted = tags.items()
    return [line for line in lines if line.measurement == measurement and wanted <= line.tags.items()]


AWAY = DatabaseAwayError("503")
