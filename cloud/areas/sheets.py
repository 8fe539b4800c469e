"""The tables that are imported and exported: which columns each has, what names a row, and what a row refers to."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from sqlalchemy import Table

from cloud.areas import cells
from cloud.areas.rosters import WEEKDAYS
from cloud.database import area_tables as tables

Row = dict[str, Any]
Key = tuple[Any, ...]


class Column(Struct, frozen=True):
    """One column.

    Attributes:
        name: in files and in the database.
        read: what a cell must be; see `cloud.areas.cells`.
        empty: what an empty cell means, and what a new row gets where a file has no such column.
        is_required: a file has it, and no cell of it is empty.
        also: further headings under which it may stand.
    """

    name: str
    read: cells.Reader
    empty: Any = None
    is_required: bool = False
    also: tuple[str, ...] = ()


class Sheet(Struct, frozen=True):
    """One table.

    Attributes:
        name: of its file without the ending, `areas`.
        kind: what one row of it is, `area`; in a GeoJSON feature its property `what`.
        columns: in the order in which they are written; what only GeoJSON carries, or is worked out, is not among them.
        key: the columns that name a row.
        more: what the database has beside the columns and files of other forms carry, and what a new row gets there.
        refers: of columns, the sheet whose row must be there.
    """

    name: str
    kind: str
    table: Table
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("id",)
    more: tuple[tuple[str, Any], ...] = ()
    refers: tuple[tuple[str, str], ...] = ()

    def new_row(self) -> Row:
        """A row in which nothing is said yet."""
        return {column.name: column.empty for column in self.columns} | dict(self.more)

    def key_of(self, row: Row) -> Key:
        """What names a row."""
        return tuple([row[name] for name in self.key])

    def shown(self, key: Key) -> str:
        """A key for people: `device gate-17/button`."""
        return f"{self.kind} {'/'.join(str(part) for part in key if part is not None)}"

    def mentions(self, row: Row) -> Iterator[tuple[str, str]]:
        """What a row refers to: the sheet's name and the id there, empty references left out."""
        for column, sheet in self.refers:
            if row[column] is not None:
                yield sheet, row[column]
        for step in row.get("policy", {}).get("steps", ()):
            for one in step.get("contacts", ()):
                yield "contacts", one


_NAME = cells.text(cells.MAX_NAME_CHARS)
_ADDRESS = cells.text(cells.MAX_ADDRESS_CHARS)
_COORDINATES = (
    Column("latitude_deg", cells.degrees(90), also=("latitude", "lat", "纬度")),
    Column("longitude_deg", cells.degrees(180), also=("longitude", "lon", "lng", "经度")),
)


def _id(name: str, *also: str) -> Column:
    return Column(name, cells.identifier, is_required=True, also=also)


AREAS = Sheet(
    "areas",
    "area",
    tables.area,
    (
        _id("id", "编号"),
        Column("parent", cells.identifier, also=("上级",)),
        Column("level", cells.level, is_required=True, also=("级别",)),
        Column("name", _NAME, is_required=True, also=("名称",)),
        *_COORDINATES,
    ),
    # The path is worked out.
    more=(("outline", None), ("path", "")),
    refers=(("parent", "areas"),),
)
CONTACTS = Sheet(
    "contacts",
    "contact",
    tables.contact,
    (
        _id("id", "编号"),
        _id("area", "区域"),
        Column("name", _NAME, is_required=True, also=("姓名",)),
        Column("language", cells.one_of(("zh", "en"), fold=str.lower), "zh", also=("语言",)),
        Column("addresses", cells.addresses, [], also=("联系方式",)),
        Column("quiet_from", cells.clock, also=("免打扰开始",)),
        Column("quiet_to", cells.clock, also=("免打扰结束",)),
        Column("max_per_hour", cells.count(cells.MAX_MESSAGES_PER_HOUR), also=("每小时上限",)),
    ),
    refers=(("area", "areas"),),
)
# A shift has no name of its own: it is the sum of its columns.
DUTIES = Sheet(
    "duties",
    "duty",
    tables.duty,
    (
        _id("area", "区域"),
        _id("contact", "联系人"),
        Column("weekdays", cells.weekdays, " ".join(WEEKDAYS), also=("星期",)),
        Column("begins", cells.clock, is_required=True, also=("开始",)),
        Column("ends", cells.clock, is_required=True, also=("结束",)),
        Column("first_day", cells.day, also=("首日",)),
        Column("last_day", cells.day, also=("末日",)),
        Column("rank", cells.count(cells.MAX_RANK), 1, also=("次序",)),
    ),
    key=("area", "contact", "weekdays", "begins", "ends", "first_day", "last_day", "rank"),
    refers=(("area", "areas"), ("contact", "contacts")),
)
POLICIES = Sheet(
    "policies",
    "policy",
    tables.policy,
    (_id("area"), Column("severity", cells.severity, is_required=True)),
    key=("area", "severity"),
    more=(("policy", None),),
    refers=(("area", "areas"),),
)
SITES = Sheet(
    "sites",
    "site",
    tables.site,
    (
        _id("id", "编号"),
        _id("area", "区域"),
        Column("name", _NAME, is_required=True, also=("名称",)),
        Column("kind", cells.text(64), "", also=("类型",)),
        Column("address", _ADDRESS, "", also=("地址",)),
        *_COORDINATES,
        Column(
            "transmission_class", cells.one_of(cells.TRANSMISSION_CLASSES, fold=str.upper), also=("传输等级",)
        ),
    ),
    refers=(("area", "areas"),),
)  # fmt: skip
GATEWAYS = Sheet(
    "gateways",
    "gateway",
    tables.registered_gateway,
    (
        _id("id", "编号"),
        _id("site", "站点"),
        Column("name", _NAME, "", also=("名称",)),
        Column("address", _ADDRESS, "", also=("地址",)),
        *_COORDINATES,
    ),
    refers=(("site", "sites"),),
)
DEVICES = Sheet(
    "devices",
    "device",
    tables.registered_device,
    (
        _id("gateway", "网关"),
        _id("device", "设备"),
        Column("name", _NAME, "", also=("名称",)),
        Column("place", _ADDRESS, "", also=("位置",)),
        *_COORDINATES,
    ),
    key=("gateway", "device"),
    refers=(("gateway", "gateways"),),
)

# What is referred to stands before what refers to it.
SHEETS = {sheet.name: sheet for sheet in (AREAS, CONTACTS, DUTIES, POLICIES, SITES, GATEWAYS, DEVICES)}
