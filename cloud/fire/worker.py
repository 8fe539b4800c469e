"""The loop: every station's day once its noon is over, and again when later readings may change it."""

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial

import anyio
from sqlalchemy import Connection

from cloud.backoff import Outage
from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.errors import DatabaseAwayError, DatabaseRefusedError, HoldError
from cloud.feed.lease import hold
from cloud.fire.hours import hour_due, keep_hour, plan_hours
from cloud.fire.noon import DAY_US, HOUR_US, Picked, noon_of, pick
from cloud.fire.planning import Task, plan
from cloud.fire.reading import Span, limits_of, read_span, span_of
from cloud.fire.taking import take_picks
from cloud.influx.query import InfluxReader, open_reader
from cloud.settings import Settings

_log = logging.getLogger(__name__)
LEASE = "fire"
# A station takes at most this long: two questions for each of its days.
_LEASE_S = 300.0


class Watch:
    """Looks after all stations, one pass at a time; a pass that another worker makes is left to it.

    Args:
        database: waited for when it is away.
        reader: where readings are; when it is away, days wait for it: they are not missing.
        settings: as loaded.
        clock: wall time, microseconds UTC.
    """

    def __init__(
        self, database: PersistentDatabase, reader: InfluxReader, settings: Settings, *, clock: Callable[[], int]
    ) -> None:
        self._database = database
        self._reader = reader
        self._settings = settings
        self._clock = clock
        self._holder = uuid.uuid4().hex
        self._outage = Outage(_log, "InfluxDB, asked for the weather,")
        # Hours that were looked at and had no readings; they are not asked for again.
        self._tried_us: dict[str, int] = {}

    async def run_pass(self) -> int:
        """Do what is due.

        Returns:
            How many stations had days that were due and were worked out.
        """
        if not await self._database.call(self._hold):
            return 0
        tasks = await self._database.ask(partial(plan, settings=self._settings, now_us=self._clock()))
        done = 0
        for task in tasks:
            picks = await self._pick(task)
            if picks is None:
                return 0
            if not picks:
                continue
            if not await self._database.call(partial(self._take, task=task, picks=picks)):
                return 0
            done += 1
        await self._run_hours()
        return done

    async def _pick(self, task: Task) -> dict[date, Picked] | None:
        """Ask for a station's readings and pick its observations; None when InfluxDB is away."""
        fire = self._settings.fire
        limits = limits_of(task.station, fire)
        picks: dict[date, Picked] = {}
        for day in task.days:
            noon_us = noon_of(day, task.offset_s)
            before_us = noon_us - (fire.missed_days + 2) * DAY_US
            try:
                readings = await read_span(self._reader, task.station, span_of(noon_us), before_us=before_us)
            except (DatabaseAwayError, HoldError) as error:
                self._outage.failed(error, now_s=time.monotonic(), wait_s=fire.every_s)
                return None
            except DatabaseRefusedError as error:
                _log.error("station %s: its readings of %s cannot be asked for: %s", task.station.id, day, error)
                break
            picks[day] = pick(readings, noon_us, limits, now_us=self._clock())
        self._outage.over(now_s=time.monotonic())
        return picks

    def _hold(self, connection: Connection) -> bool:
        return hold(connection, LEASE, holder=self._holder, now_us=self._clock(), for_s=_LEASE_S)

    def _take(self, connection: Connection, task: Task, picks: Mapping[date, Picked]) -> bool:
        if not self._hold(connection):
            return False
        at_us = self._clock()
        corrected = take_picks(
            connection, task.station, picks, settings=self._settings, offset_s=task.offset_s, now_us=at_us
        )
        if corrected:
            _log.info("station %s: %d days corrected by later readings", task.station.id, corrected)
        return True

    async def _run_hours(self) -> None:
        hour_us = hour_due(self._clock())
        for task in await self._database.ask(partial(plan_hours, hour_us=hour_us)):
            if self._tried_us.get(task.station.id) == hour_us:
                continue
            limits = limits_of(task.station, self._settings.fire)
            span = Span(hour_us - limits.frozen_us - HOUR_US, hour_us + 1)
            try:
                readings = await read_span(self._reader, task.station, span, before_us=hour_us - DAY_US)
            except (DatabaseAwayError, HoldError) as error:
                self._outage.failed(error, now_s=time.monotonic(), wait_s=self._settings.fire.every_s)
                return
            except DatabaseRefusedError as error:
                _log.error("station %s: its readings of an hour cannot be asked for: %s", task.station.id, error)
                self._tried_us[task.station.id] = hour_us
                continue
            self._tried_us[task.station.id] = hour_us
            weather = task.weather_of(readings, hour_us, limits)
            if weather is not None:
                limit = self._settings.trades.measures
                await self._database.call(partial(keep_hour, task=task, weather=weather, at_us=hour_us, limit=limit))


async def run_fire(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Look after all stations until cancelled; any number of workers may, one of them does it.

    Args:
        database: waited for when it is away.
        settings: as loaded.
        clock: wall time, microseconds UTC.

    Raises:
        DatabaseRefusedError: the database cannot keep what was worked out.
    """
    async with open_reader(settings.influx) as reader:
        watch = Watch(database, reader, settings, clock=clock)
        while True:
            # A station may have more days than one transaction takes.
            if not await watch.run_pass():
                await anyio.sleep(settings.fire.every_s)
