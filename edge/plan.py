"""The poll plan: which block reads fetch all the points of a device, and how often. Pure."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec import Struct

from contract.alarms import Severity
from device_profiles.model import (
    UNDELAYED_ALARMS,
    BitsRule,
    BlockDef,
    CombinationRule,
    PointDef,
    PointRule,
    Profile,
    Table,
    Transport,
)

# Another request costs a serial line 20 characters: 8 of the request, 5 around the answer's words and twice 3.5 of
# silence. Reading through ten unused words costs as much, so more of them are never worth it there.
# Source: MODBUS over Serial Line V1.02, 2.5.1.1.
SERIAL_GAP_WORDS = 10
BITS_A_WORD = 16


class Block(Struct, frozen=True):
    """One read request: `count` bits or words of one table, and every point inside it.

    Attributes:
        every_s: period, the shortest that the points it is made for ask for.
        is_urgent: made for an alarm input; it is read before all others when due.
    """

    table: Table
    address: int
    count: int
    points: tuple[PointDef, ...]
    every_s: float
    is_urgent: bool = False


def plan_device(profile: Profile, *, transport: Transport = Transport.RTU) -> list[Block]:
    """Plan the reads of one device: alarm inputs first, then by table and address.

    Points that a profile's `block` covers are read as that whole block; the rest is grouped by
    table and period into the fewest reads that the link's limits allow and that never touch a `refused` range.
    A point of another period that a read passes over is taken along, as it costs nothing.

    Args:
        profile: narrowed to the points in use.
        transport: what the line is; on a serial one only short gaps are worth reading through.

    Returns:
        Blocks; every point stands whole in at least one, which comes round as often as the point asks for.
    """
    urgent = urgent_points(profile)
    blocks: list[Block] = []
    left = list(profile.point)
    for piece in profile.block:
        inside = [point for point in left if _is_inside(point, piece)]
        if inside:
            blocks.append(_block(profile, piece, made_for=inside, urgent=urgent))
            left = [point for point in left if point not in inside]
    order = sorted(left, key=lambda point: (point.table, point.every_s, point.address))
    for (table, _), group in groupby(order, key=lambda point: (point.table, point.every_s)):
        for run in group_points(list(group), profile=profile, transport=transport):
            start = run[0].address
            end = max(point.address + point.type.words for point in run)
            blocks.append(_block(profile, BlockDef(table, start, end - start), made_for=run, urgent=urgent))
    return sorted(blocks, key=lambda block: not block.is_urgent)


def urgent_points(profile: Profile) -> frozenset[str]:
    """Name the points whose rules raise panic, tamper or anything critical; combinations have none."""
    return frozenset(
        point
        for rule in profile.rule
        if not isinstance(rule, CombinationRule) and _is_urgent(rule)
        for point in rule.points
    )


def group_points(points: Sequence[PointDef], *, profile: Profile, transport: Transport) -> Iterable[list[PointDef]]:
    """Cut points of one table, sorted by address, into runs that one read each may fetch.

    Source: MODBUS Application Protocol V1.1b3, 6.1 to 6.4 (2000 bits or 125 words a read).
    """
    run: list[PointDef] = []
    start = end = 0
    for point in points:
        limit = profile.link.max_bits if point.table.is_bits else profile.link.max_words
        stop = point.address + point.type.words
        if run and (
            point.address - end > _gap_limit(profile, point.table, transport)
            or stop - start > limit
            or _is_refused(profile, point.table, end, point.address)
        ):
            yield run
            run = []
        if not run:
            start = end = point.address
        run.append(point)
        end = max(end, stop)
    if run:
        yield run


def _is_urgent(rule: PointRule) -> bool:
    alarms = [(rule.alarm, rule.severity)]
    if isinstance(rule, BitsRule):
        alarms.extend((flag.alarm or rule.alarm, flag.severity or rule.severity) for flag in rule.flag)
    return any(alarm in UNDELAYED_ALARMS or severity is Severity.CRITICAL for alarm, severity in alarms)


def _gap_limit(profile: Profile, table: Table, transport: Transport) -> int:
    if transport is Transport.TCP:
        return profile.link.max_gap
    return min(profile.link.max_gap, SERIAL_GAP_WORDS * (BITS_A_WORD if table.is_bits else 1))


def _is_refused(profile: Profile, table: Table, start: int, stop: int) -> bool:
    """Tell whether the device refuses something from `start` up to, not with, `stop`."""
    return any(
        hole.table is table and hole.address < stop and start < hole.address + hole.count for hole in profile.refused
    )


def _is_inside(point: PointDef, piece: BlockDef) -> bool:
    return (
        point.table is piece.table
        and piece.address <= point.address
        and point.address + point.type.words <= piece.address + piece.count
    )


def _block(profile: Profile, piece: BlockDef, *, made_for: Sequence[PointDef], urgent: frozenset[str]) -> Block:
    return Block(
        table=piece.table,
        address=piece.address,
        count=piece.count,
        points=tuple(point for point in profile.point if _is_inside(point, piece)),
        every_s=min(point.every_s for point in made_for),
        is_urgent=any(point.key in urgent for point in made_for),
    )
