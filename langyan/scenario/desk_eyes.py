"""What a scenario sees in the cloud: its list of alarms, what it says of its own, and what the API answers."""

import threading
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, select

from cloud.database import Database, open_database
from cloud.database.tables import alarm_event, change, occurrence
from cloud.desk.changes import What
from cloud.desk.operations import list_alarms
from cloud.desk.own import OWN_GATEWAY
from cloud.errors import DatabaseAwayError
from cloud.settings import load_settings
from contract.alarms import AlarmEvent, Mode, Severity, Transition
from langyan.desk_client import Access, DeskClient, DeskError
from langyan.scenario.clock import StoryClock
from langyan.scenario.eyes import Eyes
from simulators.scenario.record import SeenAlarm, SeenAnswer, SeenOnDesk

EVERY_S = 0.3
MAX_ALARMS = 10_000


class DeskEyes:
    """Looks again and again, in a thread of its own; what it sees stands in the record of `eyes`, under their lock.

    Args:
        settings: file of the run's cloud.
        access: to its API.
        asks: what the API is asked.
        eyes: with the record.
        clock: of the story.
    """

    def __init__(
        self, settings: Path, access: Access | None, asks: Mapping[str, str], *, eyes: Eyes, clock: StoryClock
    ) -> None:
        self._settings, self._access, self._asks = settings, access, asks
        self._eyes, self._clock = eyes, clock
        self._known: set[str] = set()
        self._over = threading.Event()
        self._looking = threading.Lock()
        self._thread = threading.Thread(target=self._look_on, name="desk-eyes", daemon=True)

    def __enter__(self) -> Self:
        self._database = open_database(load_settings(self._settings, database_only=True).database)
        self._client = None if self._access is None else DeskClient(self._access).__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._client is not None:
            self._client.__exit__(None, None, None)
        self._database.close()

    def look(self, *, is_last: bool = False) -> None:
        """Look once; the last look is not older than anything that is asked for."""
        with self._looking:
            at_s = self._clock.now_s()
            try:
                rows = _read_desk(self._database)
                own = {key: event for key, event in self._database.read(_read_own) if key not in self._known}
            except DatabaseAwayError:
                # A scenario may take it away; the next look tells.
                return
            answers = {path: self._ask(filled) for path, filled in self._asks.items()}
            with self._eyes.lock:
                record = self._eyes.record
                record.desk, record.desk_at_s = tuple(rows), inf if is_last else at_s
                record.alarms += [SeenAlarm(at_s, event, at_s) for event in own.values()]
                record.answers |= answers
            self._known |= own.keys()

    def _ask(self, path: str) -> SeenAnswer:
        at_s = self._clock.now_s()
        if self._client is None:
            return SeenAnswer(at_s, None, "no API runs")
        try:
            return SeenAnswer(at_s, self._client.get(path))
        except DeskError as error:
            return SeenAnswer(at_s, None, str(error))

    def _look_on(self) -> None:
        while not self._over.wait(EVERY_S):
            self.look()


def _read_desk(database: Database) -> list[SeenOnDesk]:
    alarms = list_alarms(database, state="all", limit=MAX_ALARMS)
    said: dict[str, list[str]] = {}
    for alarm_id, why in database.read(_read_comments):
        said.setdefault(alarm_id, []).append(why)
    return [
        SeenOnDesk(
            alarm.gateway, alarm.device, alarm.point, alarm.rule, alarm.kind, alarm.severity, alarm.mode,
            is_open=alarm.is_open, is_suppressed=alarm.suppressed_by is not None,
            said=tuple(said.get(alarm.alarm_id, ())),
        )
        for alarm in alarms
    ]  # fmt: skip


def _read_comments(connection: Connection) -> Sequence[tuple[str, str]]:
    query = select(change.c.alarm_id, change.c.why).where(change.c.what == What.COMMENTED.value).order_by(change.c.id)
    return [(row.alarm_id, row.why) for row in connection.execute(query)]


def _read_own(connection: Connection) -> list[tuple[str, AlarmEvent]]:
    """Read the events that the cloud itself has said, by their ids, in the order in which it said them."""
    table = alarm_event.join(occurrence, alarm_event.c.occurrence == occurrence.c.alarm_id)
    of = (occurrence.c.device, occurrence.c.point, occurrence.c.rule, occurrence.c.kind, occurrence.c.severity)
    query = (
        select(alarm_event, *of, occurrence.c.mode)
        .select_from(table)
        .where(occurrence.c.gateway == OWN_GATEWAY)
        .order_by(alarm_event.c.stored_at_us, alarm_event.c.at_us)
        .limit(MAX_ALARMS)
    )
    return [
        (
            row.event_id,
            AlarmEvent(
                OWN_GATEWAY, row.device, row.point, row.rule, Transition(row.transition), row.at_us, row.at_us,
                row.kind, Severity(row.severity), mode=Mode(row.mode),
            ),
        )
        for row in connection.execute(query)
    ]  # fmt: skip
