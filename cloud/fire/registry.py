"""The registry of stations, changed: what was worked out before follows."""

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from cloud.areas.rows import Entry
from cloud.database.fire_tables import fire_level
from cloud.desk.changes import Actor
from cloud.errors import UnknownPlaceError
from cloud.fire.danger import Told, forget_level
from cloud.fire.fwi import Codes
from cloud.fire.noon import day_of, standard_offset_s
from cloud.fire.planning import offset_of
from cloud.fire.stations import RESTARTED, Outcome, Station, bring_in, places_of, put_turn, read_all
from cloud.fire.taking import work_out_again
from cloud.people.audit import note
from cloud.settings import Settings


def register(
    connection: Connection, entries: Sequence[Entry], *, settings: Settings, actor: Actor, now_us: int
) -> Outcome:
    """Bring stations in; those that moved are worked out anew, those no longer active lose their level.

    Args:
        connection: a transaction for writing.
        entries: without faults.
        settings: as loaded.
        actor: for the audit.
        now_us: the clock.
    """
    zone = ZoneInfo(settings.desk.timezone)
    today = day_of(now_us, standard_offset_s(zone, day_of(now_us, 0)))
    outcome = bring_in(
        connection, entries, today=today, moved_m=settings.fire.moved_m, actor=actor, at_us=now_us
    )  # fmt: skip
    stations = {one.id: one for one in read_all(connection, outcome.turned)}
    for name, day in sorted(outcome.turned.items()):
        _again(connection, stations[name], day, settings=settings, now_us=now_us)
    idle = [one for one in read_all(connection) if one.active != "yes"]
    levels = set(connection.execute(select(fire_level.c.station)).scalars())
    places = places_of(connection, idle)
    for one in idle:
        if one.id in levels:
            told = Told(one.id, one.name, places[one.id], None)
            forget_level(connection, told, desk=settings.desk, now_us=now_us)
    return outcome


def start_anew(
    connection: Connection,
    station_id: str,
    day: date,
    codes: Codes,
    *,
    why: str,
    settings: Settings,
    actor: Actor,
    now_us: int,
) -> None:
    """Let a station begin anew on a day, with these codes.

    Args:
        connection: a transaction for writing.
        station_id: whose.
        day: from this one's observation on.
        codes: of the evening before.
        why: for the audit.
        settings: as loaded.
        actor: who.
        now_us: the clock.

    Raises:
        UnknownPlaceError: there is no such station.
    """
    found = read_all(connection, [station_id])
    if not found:
        raise UnknownPlaceError("station", station_id)
    station = found[0]
    turn = {
        "station": station.id,
        "day": day,
        "latitude_deg": station.latitude_deg,
        "longitude_deg": station.longitude_deg,
        "ffmc": codes.ffmc,
        "dmc": codes.dmc,
        "dc": codes.dc,
        "by": actor.name[:200],
        "why": why,
    }
    put_turn(connection, turn)
    details = {"day": day.isoformat(), "codes": [codes.ffmc, codes.dmc, codes.dc], "why": why}
    note(connection, actor=actor, what=RESTARTED, object_=station.id, details=details, at_us=now_us)
    _again(connection, station, day, settings=settings, now_us=now_us)


def _again(connection: Connection, station: Station, day: date, *, settings: Settings, now_us: int) -> None:
    offset_s = offset_of(station, ZoneInfo(settings.desk.timezone), day)
    work_out_again(connection, station, day, settings=settings, offset_s=offset_s, now_us=now_us)
