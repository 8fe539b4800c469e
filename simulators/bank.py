"""The registers of one simulated device: which addresses answer, and what stands there at a moment. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from device_profiles.model import Profile, Table
from simulators.modbus import ExceptionCode, RefusedError
from simulators.point import SimulatedPoint

# Block reads of one device repeat; a reader that asks for ever new blocks must not fill the memory.
_MAX_PLANS = 256


class ReadPlan(Struct, frozen=True):
    """How one block is read.

    Attributes:
        points: points that touch the block.
        whole: keys of the points that stand whole in it.
        is_numbered: the point that numbers answers is one of them.
        refusal: why the block cannot be read, or None.
    """

    points: tuple[SimulatedPoint, ...] = ()
    whole: tuple[str, ...] = ()
    is_numbered: bool = False
    refusal: ExceptionCode | None = None


class Bank:
    """The four tables of a device.

    Points answer, and so do gaps between them that the profile allows to read through (`link.max_gap`) and
    the profile's blocks: these read 0. Every other address is illegal, also what the profile says is refused, and a
    longer block than the link's.
    """

    def __init__(self, profile: Profile, points: Sequence[SimulatedPoint]) -> None:
        self._link = profile.link
        self._points = {table: tuple(p for p in points if p.definition.table is table) for table in Table}
        self._readable = {table: _readable(profile, table) for table in Table}
        self._plans: dict[tuple[Table, int, int], ReadPlan] = {}

    def image(self, *, age_s: float, number: int) -> "Image":
        """Give the registers at a moment; `number` stands in the point that numbers answers."""
        return Image(self, age_s=age_s, number=number)

    def plan(self, table: Table, address: int, count: int) -> ReadPlan:
        """Work out how a block is read; the plan is kept."""
        wanted = (table, address, count)
        plan = self._plans.get(wanted)
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[wanted] = self._make_plan(table, address, count)
        return plan

    def writable(self, table: Table, address: int, count: int) -> list[SimulatedPoint]:
        """Find the points that a write touches.

        Raises:
            RefusedError: not every cell is a writable point's.
        """
        points = [p for p in self._touched(table, address, count) if p.is_writable]
        places = {place for point in points for place in range(point.address, point.end)}
        if not places.issuperset(range(address, address + count)):
            raise RefusedError(ExceptionCode.ILLEGAL_ADDRESS)
        return points

    def _make_plan(self, table: Table, address: int, count: int) -> ReadPlan:
        if count > (self._link.max_bits if table.is_bits else self._link.max_words):
            return ReadPlan(refusal=ExceptionCode.ILLEGAL_VALUE)
        end = address + count
        if not self._readable[table].issuperset(range(address, end)):
            return ReadPlan(refusal=ExceptionCode.ILLEGAL_ADDRESS)
        touched = self._touched(table, address, count)
        whole = [point for point in touched if point.address >= address and point.end <= end]
        keys = tuple(point.definition.key for point in whole)
        return ReadPlan(points=touched, whole=keys, is_numbered=any(point.is_number for point in whole))

    def _touched(self, table: Table, address: int, count: int) -> tuple[SimulatedPoint, ...]:
        return tuple(p for p in self._points[table] if p.address < address + count and p.end > address)


class Image:
    """A bank at one moment, as `modbus.respond` wants it; remembers what was read.

    Attributes:
        points: keys of the points that stood whole in the block read.
        is_numbered: the point that numbers answers was one of them.
    """

    def __init__(self, bank: Bank, *, age_s: float, number: int) -> None:
        self._bank, self._age_s, self._number = bank, age_s, number
        self.points: tuple[str, ...] = ()
        self.is_numbered = False

    def read(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Read cells; bit fields that share a word are put together.

        Raises:
            RefusedError: an address that does not answer, or a block too long for the device.
        """
        plan = self._bank.plan(table, address, count)
        if plan.refusal is not None:
            raise RefusedError(plan.refusal)
        cells = [0] * count
        for point in plan.points:
            for place, cell in enumerate(point.cells(self._age_s, self._number), point.address - address):
                if 0 <= place < count:
                    cells[place] |= cell
        self.points, self.is_numbered = plan.whole, plan.is_numbered
        return cells

    def write(self, table: Table, address: int, cells: Sequence[int]) -> None:
        """Write cells of writable points, all or none.

        Raises:
            RefusedError: a cell that may not be written.
        """
        for point in self._bank.writable(table, address, len(cells)):
            point.write(address, cells, age_s=self._age_s)


def _readable(profile: Profile, table: Table) -> frozenset[int]:
    found: set[int] = set()
    for block in profile.block:
        if block.table is table:
            found.update(range(block.address, block.address + block.count))
    last_end: int | None = None
    for start, end in sorted((p.address, p.address + p.type.words) for p in profile.point if p.table is table):
        if last_end is not None and 0 < start - last_end <= profile.link.max_gap:
            found.update(range(last_end, start))
        found.update(range(start, end))
        last_end = end if last_end is None else max(last_end, end)
    for hole in profile.refused:
        if hole.table is table:
            found.difference_update(range(hole.address, hole.address + hole.count))
    return frozenset(found)
