"""The sheets of an import: points, routes, plans, people and wands, as `cloud.areas.sheets` has those of the areas."""

import re
from typing import Any

from cloud.areas import cells
from cloud.areas.faults import Bad
from cloud.areas.rosters import WEEKDAYS
from cloud.areas.sheets import Column, Sheet
from cloud.database import patrol_tables as tables
from cloud.i18n import N_
from cloud.patrols.plans import RouteOrder
from contract.ids import is_id

MAX_STARTS = 48
MAX_IDS = 50
MAX_CARDS = 8
MAX_CORNERS = 100
MAX_POINTS = 200
"""On one route."""
MAX_TOUR_MIN = 24 * 60
MAX_TOLERANCE_MIN = 12 * 60

_CARD = re.compile(r"[0-9A-Za-z_.:-]{1,64}")
_BETWEEN = re.compile(r"[\s,，、;；|]+")
_YES = frozenset({"yes", "true", "1", "y", "是", "√"})
_NO = frozenset({"no", "false", "0", "n", "否"})
_ORDERS = {"定时": "timed", "按时": "timed", "顺序": "ordered", "有序": "ordered", "自由": "free", "无序": "free"}


def card_key(text: str) -> str:
    """Write a card's number as it is compared: without blanks around it, letters large."""
    return text.strip().upper()


def cards(cell: str) -> str | Bad:
    """Read numbers of cards, with blanks between; each once."""
    words = [card_key(word) for word in _BETWEEN.split(cell) if word]
    if len(words) > MAX_CARDS or not all(_CARD.fullmatch(word) for word in words):
        return Bad(N_("{cell} are no cards: at most {most} numbers with blanks between"), {
            "cell": repr(cell[:60]), "most": MAX_CARDS,
        })  # fmt: skip
    return " ".join(dict.fromkeys(words))


def yes_or_no(cell: str) -> bool | Bad:
    """Read yes or no, in English or Chinese."""
    word = cell.lower()
    return word in _YES if word in _YES | _NO else Bad(N_("{cell} is neither yes nor no"), {"cell": repr(cell[:60])})


def whole(most: int) -> cells.Reader:
    """Read a whole number from 0 on."""

    def read(cell: str) -> int | Bad:
        if cell.isascii() and cell.isdigit() and len(cell) <= 9 and int(cell) <= most:  # noqa: PLR2004 - beyond any limit
            return int(cell)
        return Bad(N_("{cell} is no number from 0 to {most}"), {"cell": repr(cell[:60]), "most": most})

    return read


def ids(cell: str) -> str | Bad:
    """Read ids with blanks between; each once."""
    words = [word for word in _BETWEEN.split(cell) if word]
    if len(words) > MAX_IDS or not all(is_id(word) for word in words):
        return Bad(N_("{cell} are no ids: at most {most} with blanks between"), {
            "cell": repr(cell[:60]), "most": MAX_IDS,
        })  # fmt: skip
    return " ".join(dict.fromkeys(words))


def start(word: str) -> str | Bad:
    """Read a time of the day, where need be to the second; always HH:MM, or HH:MM:SS."""
    minute, colon, second = word.replace("：", ":").rpartition(":")
    is_second = colon and ":" in minute and len(second) == 2 and second.isascii() and second.isdigit()  # noqa: PLR2004
    if not is_second or not 0 < int(second) < 60 or minute.startswith("24"):  # noqa: PLR2004 - a clock's
        return cells.clock(word)
    found = cells.clock(minute)
    return found if isinstance(found, Bad) else f"{found}:{second}"


def starts(cell: str) -> str | Bad:
    """Read times of the day with blanks between, sorted."""
    found = [start(word) for word in _BETWEEN.split(cell) if word]
    for one in found:
        if isinstance(one, Bad):
            return one
    if not 1 <= len(found) <= MAX_STARTS:
        return Bad(N_("{count} starts: 1 to {most}"), {"count": len(found), "most": MAX_STARTS})
    return " ".join(sorted({str(one) for one in found}))


def order(cell: str) -> str | Bad:
    """Read how a route is walked, in English or Chinese."""
    word = _ORDERS.get(cell, cell.lower())
    if word in frozenset(one.value for one in RouteOrder):
        return word
    return Bad(N_("{cell} is no order: {words}"), {"cell": repr(cell[:60]), "words": ", ".join(RouteOrder)})


def outline(cell: str) -> list[list[float]] | Bad:
    """Read the corners of an outline: latitude and longitude with a blank between, corners with a semicolon."""
    found: list[list[float]] = []
    for corner in re.split(r"[;；]", cell):
        words = corner.split()
        read = [reader(word) for reader, word in zip((cells.degrees(90), cells.degrees(180)), words, strict=False)]
        if len(words) != 2 or any(isinstance(one, Bad) for one in read):  # noqa: PLR2004 - a pair
            return Bad(N_("{cell} is no corner: latitude and longitude, as 31.29834 120.58532"), {
                "cell": repr(corner[:60]),
            })  # fmt: skip
        found.append([float(one) for one in read])
    if not 3 <= len(found) <= MAX_CORNERS:  # noqa: PLR2004 - a triangle
        return Bad(N_("{count} corners: 3 to {most}"), {"count": len(found), "most": MAX_CORNERS})
    return found


_NAME = cells.text(cells.MAX_NAME_CHARS)
_DAYS = (
    Column("first_day", cells.day, also=("首日", "开始日期")),
    Column("last_day", cells.day, also=("末日", "结束日期")),
)


def _id(name: str, *also: str) -> Column:
    return Column(name, cells.identifier, is_required=True, also=also)


POINTS = Sheet(
    "points",
    "point",
    tables.patrol_point,
    (
        _id("id", "编号"),
        _id("area", "区域"),
        Column("name", _NAME, is_required=True, also=("名称", "地点", "巡更点")),
        Column("place", cells.text(cells.MAX_ADDRESS_CHARS), "", also=("位置",)),
        Column("cards", cards, "", also=("card", "卡号")),
        Column("latitude_deg", cells.degrees(90), also=("latitude", "lat", "纬度")),
        Column("longitude_deg", cells.degrees(180), also=("longitude", "lon", "lng", "经度")),
        Column("radius_m", cells.count(10_000), also=("radius", "半径")),
        Column("outline", outline, also=("范围",)),
        Column("stay_s", whole(3_600), 0, also=("停留",)),
    ),
)
ROUTES = Sheet(
    "routes",
    "route",
    tables.patrol_route,
    (
        _id("id", "编号"),
        _id("area", "区域"),
        Column("site", cells.identifier, also=("站点",)),
        Column("name", _NAME, is_required=True, also=("名称", "线路")),
        Column("order", order, is_required=True, also=("方式",)),
        Column("early_min", whole(MAX_TOLERANCE_MIN), 0, also=("可早",)),
        Column("late_min", whole(MAX_TOLERANCE_MIN), 0, also=("可晚",)),
    ),
)
ROUTE_POINTS = Sheet(
    "route_points",
    "route point",
    tables.patrol_route_point,
    (
        _id("route", "线路"),
        Column("position", cells.count(MAX_POINTS), is_required=True, also=("次序", "顺序")),
        _id("point", "地点", "巡更点"),
        Column("must", yes_or_no, False, also=("必巡",)),
        Column("minutes_to_next", whole(MAX_TOUR_MIN), 0, also=("到下一点分钟",)),
        Column("early_min", whole(MAX_TOLERANCE_MIN), also=("可早",)),
        Column("late_min", whole(MAX_TOLERANCE_MIN), also=("可晚",)),
    ),
    key=("route", "position"),
    refers=(("route", "routes"), ("point", "points")),
)
PEOPLE = Sheet(
    "people",
    "person",
    tables.patrol_person,
    (_id("id", "编号", "工号"), _id("area", "区域"), Column("name", _NAME, is_required=True, also=("姓名",))),
)
WANDS = Sheet(
    "wands",
    "wand",
    tables.patrol_wand,
    (
        _id("id", "编号"),
        _id("area", "区域"),
        Column("name", _NAME, "", also=("名称",)),
        Column("machine", cards, also=("机号",)),
        Column("gateway", cells.identifier, also=("网关",)),
        Column("device", cells.identifier, also=("设备",)),
        Column("gps", yes_or_no, False, also=("定位",)),
    ),
)
CARRIERS = Sheet(
    "carriers",
    "carrier",
    tables.patrol_carrier,
    (
        _id("wand", "巡更棒"),
        _id("person", "人员", "巡更员"),
        Column("weekdays", cells.weekdays, " ".join(WEEKDAYS), also=("星期",)),
        Column("begins", cells.clock, "00:00", also=("开始",)),
        Column("ends", cells.clock, "00:00", also=("结束",)),
        *_DAYS,
    ),
    key=("wand", "person", "weekdays", "begins", "ends", "first_day", "last_day"),
    refers=(("wand", "wands"), ("person", "people")),
)
PLANS = Sheet(
    "plans",
    "plan",
    tables.patrol_plan,
    (
        _id("id", "编号"),
        _id("route", "线路"),
        Column("weekdays", cells.weekdays, " ".join(WEEKDAYS), also=("星期",)),
        Column("starts", starts, is_required=True, also=("开始时间",)),
        Column("duration_min", cells.count(MAX_TOUR_MIN), is_required=True, also=("时长", "时长分钟")),
        *_DAYS,
        Column("people", ids, "", also=("人员", "巡更员")),
        Column("wands", ids, "", also=("巡更棒",)),
        Column("tell_late", yes_or_no, False, also=("迟到报警",)),
        Column("lone_min", cells.count(24 * 60), also=("单人报平安",)),
    ),
    refers=(("route", "routes"),),
)

# What is referred to stands before what refers to it.
SHEETS = {sheet.name: sheet for sheet in (POINTS, ROUTES, ROUTE_POINTS, PEOPLE, WANDS, CARRIERS, PLANS)}


def ids_of(words: Any) -> tuple[str, ...]:
    """Take a cell of `ids` or `starts` apart."""
    return tuple(str(words).split())
