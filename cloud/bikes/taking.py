"""What readers say of tags: into lives and stays, and on to whatever follows from where a tag is now."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.areas.chunks import chunked
from cloud.areas.places import NOWHERE
from cloud.bikes import alarms
from cloud.bikes.life import Changes, Cloned, Life, Word, live, read_life, write_life
from cloud.bikes.life import Said as Told
from cloud.bikes.moving import Moved, after_moves
from cloud.bikes.registry import find_tags
from cloud.bikes.stations import Stations, count_moves, met, read_stations
from cloud.database.bike_tables import bike_stay, bike_tag
from cloud.database.tables import occurrence
from cloud.desk.own import OWN_GATEWAY, Said, say
from cloud.feed.queue import Observation
from cloud.settings import Settings
from contract.alarms import Transition
from contract.ids import is_id
from contract.limits import MAX_TAG_CHARS
from contract.telemetry import Sample

# A gateway whose clock is so far ahead says nothing of when.
AHEAD_US = 300_000_000
_WORDS = {
    "left": Word.LEFT,
    "alive": Word.STAYS,
    "low-battery": Word.STAYS,
    "pressed": Word.STAYS,
    "present": Word.CAME,
    "moved": Word.CAME,
}
_NEW = write_life(Life())


class Counts(Struct):
    """What was counted since the start of this worker.

    Attributes:
        samples: words of tags that are followed.
        unknown: those of others.
        late: that came too late to count.
        ahead: of gateways whose clocks are ahead, and words that no gateway says.
    """

    samples: int = 0
    unknown: int = 0
    late: int = 0
    ahead: int = 0


class Heard(Struct):
    """What was said of one tag; of its battery the latest low word's moment, the latest voltage with its moment, and
    the latest moment of one that is well and was not said as low.
    """

    words: list[tuple[int, Word, tuple[str, str]]]
    low_us: int | None = None
    volts: tuple[int, float] | None = None
    well_us: int | None = None


def take(
    connection: Connection, observations: Sequence[Observation], *, settings: Settings, counts: Counts, now_us: int
) -> None:
    """Judge what was heard, in the transaction that takes it.

    Args:
        connection: for writing.
        observations: in any order, late, twice.
        settings: the whole file's.
        counts: counted up.
        now_us: the clock.

    Raises:
        IntegrityError: another worker was first; repeat the transaction.
    """
    heard = gather(observations, counts, well_v=settings.bikes.battery_well_v)
    known = find_tags(connection, list(heard))
    counts.unknown += sum(len(one.words) for tag, one in heard.items() if tag not in known)
    heard = {tag: heard[tag] for tag in sorted(known)}
    if not heard:
        return
    counts.samples += sum(len(one.words) for one in heard.values())
    lately: dict[tuple[str, str], int] = {}
    for one in heard.values():
        for at_us, _word, key in one.words:
            lately[key] = max(lately.get(key, 0), at_us)
    rows = _lock(connection, list(heard))
    # Read once the rows are locked: their lives may name a station that another worker has just met.
    stations = met(connection, read_stations(connection), lately)
    room = _room(connection, settings) if any(one.low_us is not None for one in heard.values()) else 0
    said = _live(connection, heard, rows, known, _Turn(stations, settings, counts, now_us, room))
    if said:
        say(connection, said, desk=settings.desk, now_us=now_us)


def _room(connection: Connection, settings: Settings) -> int:
    """So many alarms of low batteries may still be raised; the others are only counted."""
    return settings.bikes.silent_most - count_standing(connection, alarms.BATTERY)


def count_standing(connection: Connection, kind: str) -> int:
    """Count alarms of the cloud's own that stand: what people have closed gives room to others."""
    row = occurrence.c
    stands = row.closed_at_us.is_(None), row.cleared_at_us.is_(None)
    query = select(func.count()).select_from(occurrence).where(row.gateway == OWN_GATEWAY, row.kind == kind, *stands)
    return connection.scalar(query) or 0


def gather(observations: Sequence[Observation], counts: Counts, *, well_v: float) -> dict[str, Heard]:
    """Sort words by tag. Pure."""
    found: dict[str, Heard] = {}
    for observation in observations:
        for sample in observation.samples:
            for tag, word, volts, is_low in _words_of(sample):
                if sample.at_us > observation.received_at_us + AHEAD_US or sample.at_us <= 0:
                    counts.ahead += 1
                    continue
                one = found.setdefault(tag, Heard([]))
                one.words.append((sample.at_us, word, (observation.gateway, sample.device)))
                if volts is not None and (one.volts is None or one.volts[0] < sample.at_us):
                    one.volts = sample.at_us, volts
                if is_low:
                    one.low_us = max(one.low_us or 0, sample.at_us)
                elif volts is not None and volts >= well_v:
                    one.well_us = max(one.well_us or 0, sample.at_us)
    return found


def _words_of(sample: Sample) -> Iterator[tuple[str, Word, float | None, bool]]:
    values = {point.key: point.value for point in sample.points}
    tag, presence, volts = values.get("tag"), values.get("presence"), values.get("battery")
    if isinstance(tag, str) and len(tag) <= MAX_TAG_CHARS and is_id(tag) and isinstance(presence, str):
        word = _WORDS.get(presence)
        if word is not None:
            measured = float(volts) if isinstance(volts, int | float) and not isinstance(volts, bool) else None
            yield tag.upper(), word, measured, presence == "low-battery"


def _lock(connection: Connection, tags: Sequence[str]) -> dict[str, Any]:
    """Read the rows of tags, and make those that are missing; locked in their order."""
    query = select(bike_tag).where(bike_tag.c.tag.in_(bindparam("tags", expanding=True)))
    query = query.order_by(bike_tag.c.tag).with_for_update()
    rows = {row.tag: row for some in chunked(tags) for row in connection.execute(query, {"tags": some})}
    missing = [tag for tag in tags if tag not in rows]
    if missing:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        new = [{"tag": tag, "heard_us": 0, "life": _NEW} for tag in missing]
        connection.execute(dialect.insert(bike_tag).on_conflict_do_nothing(), new)
        for some in chunked(missing):
            rows |= {row.tag: row for row in connection.execute(query, {"tags": some})}
    return rows


class _Turn(Struct):
    """What one transaction judges with; `room`: so many alarms of low batteries may still be raised."""

    stations: Stations
    settings: Settings
    counts: Counts
    now_us: int
    room: int


def _live(
    connection: Connection, heard: Mapping[str, Heard], rows: Mapping[str, Any], known: Mapping[str, bool], turn: _Turn
) -> list[Said]:  # fmt: skip
    stations, settings = turn.stations, turn.settings
    rules = stations.rules(settings.bikes)
    moved: list[Moved] = []
    said: list[Said] = []
    updates: list[dict[str, Any]] = []
    came: dict[int, int] = {}
    written = _Stays()
    for tag, one in heard.items():
        row = rows[tag]
        life, changes = live(read_life(row.life), _told(one, stations), rules)
        turn.counts.late += changes.late
        values, words = _row(tag, one, row, life, changes, stations)
        updates.append(values)
        for word in words:
            is_low = word.event.kind == alarms.BATTERY and word.event.transition is Transition.RAISED
            turn.room -= is_low
            if turn.room >= 0 or not is_low:
                said.append(word)
        if changes.written or changes.gone:
            written.put(tag, changes, is_kept=known[tag])
            stays = tuple(changes.written[key] for key in sorted(changes.written))
            moved.append(Moved(tag, stays, life, known[tag]))
            for stay in stays[-changes.came :] if changes.came else ():
                came[stay.station] = came.get(stay.station, 0) + 1
    columns = [name for name in updates[0] if name != "which"]
    statement = update(bike_tag).where(bike_tag.c.tag == bindparam("which"))
    connection.execute(statement.values({name: bindparam(name) for name in columns}), updates)
    written.write(connection)
    zone = ZoneInfo(settings.desk.timezone)
    count_moves(connection, came, datetime.fromtimestamp(turn.now_us // 1_000_000, UTC).astimezone(zone).date())
    if moved:
        after_moves(connection, moved, stations, settings=settings.bikes, now_us=turn.now_us)
    return said


def _told(one: Heard, stations: Stations) -> list[Told]:
    told = []
    for at_us, word, key in one.words:
        station = stations.find(*key)
        if station is not None:
            told.append(Told(at_us, word, station.id))
    return told


def _row(
    tag: str, one: Heard, row: Any, life: Life, changes: Changes, stations: Stations
) -> tuple[dict[str, Any], list[Said]]:  # fmt: skip
    """Work out the row of a tag, and what is said of its battery, its silence, and that it was cloned."""
    head = life.head
    heard_us = max(row.heard_us, head.last_us)
    values: dict[str, Any] = {
        "which": tag,
        "station": head.station,
        "since_us": head.since_us if head.station is not None else None,
        "heard_us": heard_us,
        "battery_v": row.battery_v if one.volts is None else one.volts[1],
        "low_us": row.low_us,
        "silent_us": row.silent_us,
        "cloned_us": row.cloned_us,
        "cloned_last_us": row.cloned_last_us,
        "life": write_life(life),
    }
    said: list[Said] = []
    station = stations.get(head.station if head.station is not None else head.last)
    place, name = (station.place, station.name) if station else (NOWHERE, "-")

    def tell(kind: str, raised_at_us: int, *, ended_at_us: int | None = None, where: str = name, **more: Any) -> None:
        about = alarms.device_of("tag", tag)
        said.append(alarms.event(
            kind, about, raised_at_us=raised_at_us, ended_at_us=ended_at_us, place=place, what=tag, where=where, **more
        ))  # fmt: skip

    if row.silent_us is not None and heard_us > row.heard_us:
        values["silent_us"] = None
        tell(alarms.SILENT, row.silent_us, ended_at_us=max(heard_us, row.silent_us))
    # What a gateway calls low is: its site knows the battery. A voltage that is older than that ends nothing.
    low_us = max(row.low_us or 0, one.low_us or 0)
    is_well = one.well_us is not None and one.well_us > low_us
    if row.low_us is not None and is_well:
        values["low_us"] = None
        tell(alarms.BATTERY, row.low_us, ended_at_us=one.well_us)
    elif row.low_us is None and one.low_us is not None and not is_well:
        values["low_us"] = one.low_us
        volts = one.volts[1] if one.volts else None
        tell(alarms.BATTERY, one.low_us, value=volts, unit=None if volts is None else "V")
    if changes.cloned:
        cloned = _newest(changes.cloned)
        values["cloned_last_us"] = max(row.cloned_last_us or 0, cloned.at_us)
        if row.cloned_us is None:
            values["cloned_us"] = cloned.at_us
            where = f"{stations.name_of(cloned.there)} / {stations.name_of(cloned.here)}"
            tell(alarms.CLONED, cloned.at_us, where=where)
    return values, said


def _newest(cloned: Sequence[Cloned]) -> Cloned:
    return max(cloned, key=lambda one: one.at_us)


class _Stays:
    """Stays of many tags on their way into the database. An owner's own are kept nowhere."""

    def __init__(self) -> None:
        self._gone: list[dict[str, Any]] = []
        self._written: list[dict[str, Any]] = []

    def put(self, tag: str, changes: Changes, *, is_kept: bool) -> None:
        if is_kept:
            self._gone += [{"of": tag, "began_us": from_us} for from_us in sorted(changes.gone)]
            self._written += [
                {"tag": tag, "from_us": stay.from_us, "until_us": stay.until_us, "station": stay.station}
                for stay in changes.written.values()
            ]

    def write(self, connection: Connection) -> None:
        if self._gone:
            is_it = bike_stay.c.tag == bindparam("of"), bike_stay.c.from_us == bindparam("began_us")
            connection.execute(delete(bike_stay).where(*is_it), self._gone)
        if self._written:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            statement = dialect.insert(bike_stay)
            new = {name: statement.excluded[name] for name in ("until_us", "station")}
            statement = statement.on_conflict_do_update(index_elements=["tag", "from_us"], set_=new)
            connection.execute(statement, self._written)
