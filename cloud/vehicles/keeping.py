"""Last positions and what is known of each vehicle, in the database; and the crossings that follow."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import BindParameter, Connection, bindparam, func, select, tuple_, update

from cloud.areas.chunks import chunked
from cloud.areas.places import Place
from cloud.database.area_tables import area
from cloud.database.vehicle_tables import vehicle, vehicle_fence, vehicle_position
from cloud.desk.own import Said, say
from cloud.settings import Settings
from cloud.vehicles.alarms import clear_event, raise_event
from cloud.vehicles.fences import Fences, fence_of
from cloud.vehicles.hours import Hours
from cloud.vehicles.judging import (
    FUTURE_US,
    Check,
    Crossing,
    FenceCheck,
    HoursCheck,
    Report,
    State,
    TowCheck,
    ended,
    take,
)
from cloud.vehicles.positions import Position

Row = Mapping[Any, Any]
Key = tuple[str, str]

_states = msgspec.msgpack.Decoder(State)
_encoder = msgspec.msgpack.Encoder()
# Built once: building them takes longer than asking.
_SOME: BindParameter[Any] = bindparam("some", expanding=True)
_WHOLE = vehicle.join(vehicle_position, vehicle_position.c.vehicle == vehicle.c.id).outerjoin(
    area, area.c.id == vehicle.c.area
)
KNOWN = select(
    vehicle, area.c.path.label("area_path"), vehicle_position.c.received_at_us, vehicle_position.c.state
).select_from(_WHOLE)
"""Vehicles with the paths of their areas and what is known of them."""
_LOCKED = KNOWN.order_by(vehicle.c.id).with_for_update(of=vehicle_position)
_BY_TERMINAL = _LOCKED.where(tuple_(vehicle.c.gateway, vehicle.c.device).in_(_SOME))
_COLUMNS = (
    "at_us", "received_at_us", "latitude_deg", "longitude_deg", "speed_kmh", "course_deg", "ignition", "doubtful",
    "state",
)  # fmt: skip
_UPDATE = (
    update(vehicle_position)
    .where(vehicle_position.c.vehicle == bindparam("of_vehicle"))
    .values({name: bindparam(f"new_{name}") for name in _COLUMNS})
)
_PRINT = select(func.count(), func.max(vehicle_fence.c.edited_at_us))


class FenceCache:
    """The fences as one worker has read them last; read again when any was edited."""

    def __init__(self) -> None:
        self._print: tuple[int, int | None] = (0, None)
        self._fences = Fences(())

    def read(self, connection: Connection) -> Fences:
        """Give the fences as they stand."""
        count, edited_at_us = connection.execute(_PRINT).one()
        if (count, edited_at_us) != self._print:
            rows = connection.execute(select(vehicle_fence).order_by(vehicle_fence.c.id)).mappings()
            self._fences = Fences([fence_of(row) for row in rows])
            self._print = (count, edited_at_us)
        return self._fences


def keep_positions(
    connection: Connection,
    positions: Sequence[Position],
    *,
    settings: Settings,
    now_us: int,
    fences: FenceCache,
    zone: ZoneInfo,
) -> Callable[[], int]:
    """Keep what terminals of vehicles report; others' reports are nobody's here.

    Locks the positions of the vehicles, by id.

    Args:
        connection: a transaction for writing.
        positions: in any order; late, twice.
        settings: as loaded.
        now_us: the clock.
        fences: of this worker.
        zone: of local hours.

    Returns:
        What says the alarms that follow, to be called in the same transaction, once all rows of trades are locked.
    """
    reports: dict[Key, list[Report]] = {}
    for one in positions:
        if one.is_fixed and one.at_us <= now_us + FUTURE_US:
            reports.setdefault((one.gateway, one.device), []).append(Report.of(one))
    said: list[Said] = []
    changed: list[dict[str, Any]] = []
    for some in chunked(sorted(reports)):
        rows = connection.execute(_BY_TERMINAL, {"some": some}).mappings().all()
        # Not before the rows are locked: who takes a fence away ends what stands of it in them.
        known = fences.read(connection) if rows else Fences(())
        for row in rows:
            state = read_state(row["state"])
            checks = checks_of(row, known, settings, zone)
            news = reports[row["gateway"], row["device"]]
            gone = ended(state, (check.key for check in checks))
            after, crossings = take(state, news, checks, fastest_kmh=settings.vehicles.fastest_kmh)
            if after is not state:
                said += _end(row, gone, now_us)
                said += [_say(row, one, checks) for one in crossings]
                is_newer = not state.reports or after.reports[-1].order != state.reports[-1].order
                received_at_us = now_us if is_newer else row["received_at_us"]
                changed.append(_position_row(row["id"], after, received_at_us=received_at_us))
    if changed:
        connection.execute(_UPDATE, changed)
    return partial(say, connection, said, desk=settings.desk, now_us=now_us)


def end_alarms(
    connection: Connection, rows: Sequence[Row], is_gone: Callable[[str], bool], *, now_us: int
) -> list[Said]:
    """Forget what checks have found of vehicles, as they are no more; what stands of them ends.

    Args:
        connection: a transaction for writing.
        rows: of `KNOWN`, locked, by id.
        is_gone: tells by its key whether a check is no more.
        now_us: the clock.

    Returns:
        What to say once all rows are locked.
    """
    said: list[Said] = []
    for row in rows:
        state = read_state(row["state"])
        left = {key: found for key, found in state.found.items() if not is_gone(key)}
        if len(left) < len(state.found):
            said += _end(row, ended(state, left), now_us)
            encoded = _encoder.encode(State(state.reports, left))
            by_id = update(vehicle_position).where(vehicle_position.c.vehicle == row["id"])
            connection.execute(by_id.values(state=encoded))
    return said


def checks_of(row: Row, fences: Fences, settings: Settings, zone: ZoneInfo) -> list[Check]:
    """List what a vehicle must not do."""
    covering = fences.covering(row["id"], row["fleet"], row["area_path"] or "")
    checks: list[Check] = [FenceCheck(fence, zone) for fence in covering]
    if row["guarded"]:
        checks.append(TowCheck(settings.vehicles))
    if row["begins"] is not None:
        hours = Hours(row["weekdays"], row["begins"], row["ends"])
        checks.append(HoursCheck(hours, zone, settings.vehicles))
    return checks


def read_state(data: bytes | None) -> State:
    """Read what is known of a vehicle."""
    return State() if data is None else _states.decode(data)


def place_of(row: Row) -> Place:
    """Tell where a vehicle belongs: its alarms are those of its area, wherever it drives."""
    return Place(None, row["area"] if row["area_path"] else None, row["area_path"] or "")


def _say(row: Row, crossing: Crossing, checks: Sequence[Check]) -> Said:
    if not crossing.is_raise:
        at_us = crossing.report.at_us
        return Said(clear_event(row, crossing.key, raised_at_us=crossing.raised_at_us, at_us=at_us), place_of(row))
    fence = next((one.fence for one in checks if isinstance(one, FenceCheck) and one.key == crossing.key), None)
    return Said(raise_event(row, crossing, fence), place_of(row))


def _end(row: Row, gone: Sequence[tuple[str, int]], at_us: int) -> list[Said]:
    return [
        Said(clear_event(row, key, raised_at_us=raised_at_us, at_us=at_us), place_of(row)) for key, raised_at_us in gone
    ]


def _position_row(vehicle_id: str, state: State, *, received_at_us: int) -> dict[str, Any]:
    newest = state.reports[-1]
    return {
        "of_vehicle": vehicle_id,
        "new_at_us": newest.at_us,
        "new_received_at_us": received_at_us,
        "new_latitude_deg": newest.latitude_deg,
        "new_longitude_deg": newest.longitude_deg,
        "new_speed_kmh": newest.speed_kmh,
        "new_course_deg": newest.course_deg,
        "new_ignition": newest.ignition,
        "new_doubtful": not newest.is_believed,
        "new_state": _encoder.encode(state),
    }
