"""Alarms as they stand, and the areas, sites and devices they concern: at once when one changes, all in each beat."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from msgspec import Struct
from sqlalchemy import Connection, RowMapping, select, update

from cloud.database import PersistentDatabase
from cloud.database.tables import change, cursor
from cloud.desk.core import Alarm
from cloud.desk.following import AT_ONCE, has_changes
from cloud.desk.watch_rules import DEVICE_LOST
from cloud.settings import Settings
from cloud.state.alarm_lines import SeriesKey, foremost, key_of, state_line
from cloud.state.city import EVERYTHING, NOWHERE, City, Open, around, worst_of_devices
from cloud.state.lines import Device, area_lines, device_line, site_lines
from cloud.state.picture import Picture
from cloud.state.reading import read_alarms, read_cursor, read_devices, read_open, read_spots
from cloud.state.spread import Round, round_of
from cloud.state.writer import PresentWriter

READER = "present-alarms"
"""The name of the cursor; it goes on when InfluxDB has what the changes have made."""


class Asked(Struct, frozen=True):
    """What is to be looked at.

    Attributes:
        is_beat: all open alarms, whatever has changed.
        shown: the alarm that each series has shown open so far; those that show none any more are ended.
        overdue_after_us: alarms whose target has passed since concern their areas and sites, as a change does.
        places: those areas and sites are written too that are due in it; None: only those that something concerns.
        profiles: folder with profiles of one's own, "" none.
    """

    is_beat: bool
    shown: Mapping[SeriesKey, str]
    overdue_after_us: int
    places: Round | None
    profiles: str = ""


class Found(Struct, frozen=True):
    """What was found.

    Attributes:
        lines: to be written.
        shown: the alarm that each series shows open.
        until: the id of the last change that is in them; None: there was none.
        is_more: there may be more changes.
        next_overdue_us: when the next open alarm will pass its target; None: none will.
    """

    lines: list[bytes]
    shown: dict[SeriesKey, str]
    until: int | None
    is_more: bool
    next_overdue_us: int | None


class AlarmTeller:
    """Says how alarms stand; one at a time in all workers.

    Args:
        database: waited for when it is away.
        writer: of the lines.
        picture: what stands where.
        settings: as loaded.
        clock: wall time, microseconds UTC.
    """

    def __init__(
        self,
        database: PersistentDatabase,
        writer: PresentWriter,
        picture: Picture,
        settings: Settings,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._writer = writer
        self._picture = picture
        self._clock = clock
        self._profiles = settings.state.profiles
        self._beat = round_of(settings.state.alarms_s)
        self._places = round_of(settings.state.areas_s)
        self._imports = picture.imports
        self._told_us: int | None = None
        self._shown: dict[SeriesKey, str] = {}
        self._next_overdue_us: int | None = None

    async def step(self) -> bool:
        """Say what is to be said now; True when there may be more at once."""
        now_us = self._clock()
        if self._writer.is_waiting:
            return False
        if self._imports != self._picture.imports:
            self._imports, self._beat.told_us, self._places.told_us = self._picture.imports, None, None
        is_beat = self._beat.is_over(now_us)
        is_overdue = self._next_overdue_us is not None and self._next_overdue_us < now_us
        if not is_beat and not is_overdue and not await self._database.ask(partial(has_changes, name=READER)):
            return False
        # Areas and sites come in slices, one with each beat.
        places = self._places if is_beat else None
        asked = Asked(is_beat, self._shown, now_us if self._told_us is None else self._told_us, places, self._profiles)
        found = await self._database.ask(partial(look, city=self._picture.city, asked=asked, now_us=now_us))
        if not await self._writer.write(found.lines):
            return False
        if found.until is not None:
            await self._database.call(partial(move_on, until=found.until))
        self._told_us, self._shown, self._next_overdue_us = now_us, found.shown, found.next_overdue_us
        if is_beat:
            self._beat.told_us = self._places.told_us = now_us
        return found.is_more


def look(connection: Connection, *, city: City, asked: Asked, now_us: int) -> Found:
    """Read what has changed and what is due, and write the lines of it; changes nothing."""
    rows = _changes(connection)
    alarms = read_open(connection)
    shown = {key: alarm.alarm_id for key, alarm in foremost(city, alarms).items()}
    changed = read_alarms(connection, {row["alarm_id"] for row in rows if row["alarm_id"]})
    wanted = set(shown) if asked.is_beat else set()
    wanted |= {key_of(city, alarm) for alarm in changed.values()}
    # Of another kind, or elsewhere, by now.
    left = {key: alarm_id for key, alarm_id in asked.shown.items() if key not in shown and key not in wanted}
    overdue = [one for one in alarms if _is_newly_overdue(one, asked.overdue_after_us, now_us)]
    paths = around([*(row["area_path"] for row in rows), *(one.area_path for one in overdue)])
    paths |= {path for key in left for path in around([key.area_path])}
    concerned: list[Alarm | Open] = [*changed.values(), *overdue]
    sites = {key.site for key in left} | {key_of(city, one).site for one in concerned}
    if asked.places is not None:
        paths |= {path for path in (*city.areas, EVERYTHING) if asked.places.is_due(f"area {path}", now_us)}
        sites |= {name for name in city.sites if asked.places.is_due(f"site {name}", now_us)}
    lines = [
        *_alarm_lines(connection, city, shown, changed, wanted, now_us),
        *_ended_lines(connection, city, left, now_us),
        *area_lines(city, alarms, sorted(paths), now_us),
        *site_lines(city, alarms, sorted(sites), now_us),
        *device_lines(
            connection, city, alarms, {(one.gateway, one.device) for one in changed.values()}, asked.profiles, now_us
        ),
    ]
    coming = (one.overdue_at_us for one in alarms if one.overdue_at_us is not None and one.overdue_at_us >= now_us)
    return Found(
        lines=[line for line in lines if line is not None],
        shown=shown,
        until=rows[-1]["id"] if rows else None,
        is_more=len(rows) == AT_ONCE,
        next_overdue_us=min(coming, default=None),
    )


def move_on(connection: Connection, *, until: int) -> None:
    """Note up to which change InfluxDB has everything; never back, as another worker may have come farther."""
    mine = (cursor.c.name == READER) & (cursor.c.change_id < until)
    connection.execute(update(cursor).where(mine).values(change_id=until))


def device_lines(
    connection: Connection,
    city: City,
    alarms: Iterable[Open],
    wanted: Iterable[tuple[str, str]],
    profiles: str,
    now_us: int,
) -> Iterator[bytes | None]:
    """Write some devices, by gateway and id; those that no inventory and no registry has are left out."""
    keys = set(wanted)
    devices = read_devices(connection, {gateway for gateway, _device in keys}, profiles=profiles)
    yield from lines_of(city, alarms, (one for one in devices if (one.gateway, one.id) in keys), now_us)


def lines_of(city: City, alarms: Iterable[Open], devices: Iterable[Device], now_us: int) -> Iterator[bytes | None]:
    """Write devices, with what open alarms say of them."""
    alarms = list(alarms)
    worst = worst_of_devices(alarms)
    lost = {(one.gateway, one.device) for one in alarms if one.kind == DEVICE_LOST and one.cleared_at_us is None}
    for device in devices:
        key = device.gateway, device.id
        yield device_line(city, device, is_lost=key in lost, worst=worst.get(key, 0), now_us=now_us)


def _changes(connection: Connection) -> list[RowMapping]:
    after = read_cursor(connection, READER)
    if after is None:
        return []
    columns = change.c.id, change.c.alarm_id, change.c.area_path
    query = select(*columns).where(change.c.id > after).order_by(change.c.id).limit(AT_ONCE)
    return list(connection.execute(query).mappings())


def _ended_lines(
    connection: Connection, city: City, left: Mapping[SeriesKey, str], now_us: int
) -> Iterator[bytes | None]:
    """Write series that show nothing any more as ended, by the alarms that they have shown."""
    alarms = read_alarms(connection, left.values())
    for key, alarm_id in left.items():
        if alarm_id in alarms:
            yield state_line(city, alarms[alarm_id], NOWHERE, now_us, key=key)


def _is_newly_overdue(alarm: Open, after_us: int, now_us: int) -> bool:
    return alarm.overdue_at_us is not None and after_us <= alarm.overdue_at_us < now_us


def _alarm_lines(
    connection: Connection,
    city: City,
    shown: Mapping[SeriesKey, str],
    changed: Mapping[str, Alarm],
    wanted: Iterable[SeriesKey],
    now_us: int,
) -> Iterator[bytes | None]:
    """Write each series: the open alarm that it shows, else the last one that has changed."""
    last = {key_of(city, alarm): alarm for alarm in sorted(changed.values(), key=lambda one: one.raised_at_us)}
    ids = {key: shown[key] if key in shown else last[key].alarm_id for key in wanted}
    known = {**changed, **read_alarms(connection, set(ids.values()) - changed.keys())}
    alarms = {key: known[alarm_id] for key, alarm_id in ids.items() if alarm_id in known}
    spots = read_spots(connection, {key.gateway for key in alarms})
    for key, alarm in alarms.items():
        yield state_line(city, alarm, spots.get((key.gateway, key.device), NOWHERE), now_us)
