"""How long a city's registry takes: read, checked, and brought into SQLite and PostgreSQL."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

from msgspec import Struct
from sqlalchemy import delete, make_url

from cloud.areas.faults import Faults
from cloud.areas.importing import Options, Source, bring_in, read_rows
from cloud.areas.merging import Incoming
from cloud.areas.policy_files import write_policies
from cloud.areas.sheets import SHEETS, Row
from cloud.areas.spreadsheets import write_csv
from cloud.clock import now_us
from cloud.database import Database
from cloud.database.tables import cursor
from cloud.desk.changes import Actor
from cloud.errors import DatabaseAwayError
from langyan.postgres import Postgres

CELLS = 7_211
SITES = 3_400
DEVICES = 60_000
_COUNTIES = ("姑苏区", "虎丘区", "吴中区", "相城区", "吴江区", "常熟市", "张家港市", "昆山市", "太仓市")
_TOWNS_A_COUNTY = 10
_STREETS_A_TOWN = 5
_ROADS = ("人民路", "干将路", "观前街", "山塘街", "平江路", "东环路", "金鸡湖路", "中山路", "解放路", "友谊路")
_KINDS = ("学校", "医院", "银行网点", "林火瞭望塔", "自行车棚", "仓库", "社区服务站", "加油站")
_BUTTONS = ("门卫室按钮", "收银台按钮", "值班室按钮", "烟感", "红外探测器", "气象站", "声光警号")
_SURNAMES = "王李张刘陈杨赵黄周吴"
_GIVEN = ("芳", "伟", "敏", "静", "磊", "洋", "艳", "勇", "军", "娟")
_POLICY = {"target_s": 300, "steps": [{"wait_s": 60 * step, "whom": "next" if step else "area"} for step in range(6)]}


class Import(Struct, frozen=True):
    """One import of the whole city.

    Attributes:
        read_s: files to rows, every cell checked.
        written_s: compared with what stands, checked as a tree, written and committed.
        longest_wait_s: of a writer beside it, which changes one row every 20 ms as the desk would.
        whole_s: both.
        cpu_s: of it, of this process, the writer beside it among it: what is left of `whole_s` on a machine that has
            other work to do.
        rows: added, changed or removed.
    """

    database: str
    what: str
    read_s: float
    written_s: float
    longest_wait_s: float
    whole_s: float
    cpu_s: float
    rows: int


class Result(Struct, frozen=True):
    """What was imported, and how long it took."""

    areas: int
    cells: int
    contacts: int
    duties: int
    sites: int
    gateways: int
    devices: int
    mebibytes: float
    imports: list[Import]


def make_city() -> dict[str, list[Row]]:
    """Make a city of one province: counties, towns, streets and cells, each with people; by sheet."""
    areas = list(_areas())
    cells = [row["id"] for row in areas if row["level"] == "grid"]
    contacts = [_contact(number, row) for number, row in enumerate(areas)]
    duties = [
        _duty(row["area"], row["id"], *shift) for row in contacts for shift in (("08:00", "20:00"), ("20:00", "08:00"))
    ]
    sites = [_site(number, cells[number * 7 % len(cells)]) for number in range(SITES)]
    gateways = [
        {"id": f"gw-{number:05}", "site": row["id"], "name": f"{row['name']}网关", "address": row["address"]}
        | _somewhere(number)
        for number, row in enumerate(sites)
    ]
    devices = [
        {"gateway": f"gw-{number % SITES:05}", "device": f"dev-{number // SITES:02}", "name": _BUTTONS[number % 7],
         "place": f"{number % 6 + 1}楼{number % 40 + 1}室"} | _somewhere(number)
        for number in range(DEVICES)
    ]  # fmt: skip
    policies = [
        {"area": "32", "severity": severity, "policy": _POLICY} for severity in ("critical", "high", "medium", "low")
    ]
    made = (areas, contacts, duties, policies, sites, gateways, devices)
    return dict(zip(SHEETS, made, strict=True))


def make_sources(city: dict[str, list[Row]]) -> list[Source]:
    """Write a city as files."""
    return [
        Source(f"{name}.toml", write_policies(rows))
        if name == "policies"
        else Source(f"{name}.csv", write_csv(SHEETS[name], rows))
        for name, rows in city.items()
    ]


def measure() -> Result:
    """The whole city into an empty database, again unchanged, and with a change in every device; on both databases."""
    city = make_city()
    sources = make_sources(city)
    for row in city["devices"]:
        row["place"] += "（改）"
    changed = make_sources(city)
    imports: list[Import] = []
    with tempfile.TemporaryDirectory() as folder:
        with Database(make_url(f"sqlite:///{folder}/city.db")) as database:
            imports += _measure("sqlite", database, sources, changed)
        with Postgres(Path(folder) / "postgres") as server:
            url = make_url(server.url).set(password=server.password)
            with Database(url) as database:
                imports += _measure("postgresql", database, sources, changed)
    return Result(
        areas=len(city["areas"]),
        cells=sum(row["level"] == "grid" for row in city["areas"]),
        contacts=len(city["contacts"]),
        duties=len(city["duties"]),
        sites=len(city["sites"]),
        gateways=len(city["gateways"]),
        devices=len(city["devices"]),
        mebibytes=round(sum(len(source.data) for source in sources) / 2**20, 1),
        imports=imports,
    )


def _measure(name: str, database: Database, sources: list[Source], changed: list[Source]) -> Iterator[Import]:
    database.migrate()
    for what, given in (
        ("into an empty database", sources),
        ("again, unchanged", sources),
        ("all devices changed", changed),
    ):
        began_s, began_cpu_s = time.monotonic(), time.process_time()
        faults = Faults()
        incoming = read_rows(given, _any_policy, faults, _nobody)
        read_s = time.monotonic() - began_s
        with _Neighbour(database) as neighbour:
            rows = _bring_in(database, incoming, faults)
        whole_s = time.monotonic() - began_s
        yield Import(
            database=name,
            what=what,
            read_s=round(read_s, 2),
            written_s=round(whole_s - read_s, 2),
            longest_wait_s=round(neighbour.longest_wait_s, 2),
            whole_s=round(whole_s, 2),
            cpu_s=round(time.process_time() - began_cpu_s, 2),
            rows=rows,
        )


class _Neighbour(Thread):
    """Writes to the same database all the while."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = Database(database.url)
        self._stop_it = Event()
        self.longest_wait_s = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_it.set()
        self.join()
        self._database.close()

    def run(self) -> None:
        """Write, wait, and remember the longest time that a write took; one that gives up goes on waiting."""
        began_s = time.monotonic()
        while not self._stop_it.wait(0.02):
            with contextlib.suppress(DatabaseAwayError):
                self._database.run(lambda connection: connection.execute(delete(cursor).where(cursor.c.name == "none")))
                self.longest_wait_s = max(self.longest_wait_s, time.monotonic() - began_s)
                began_s = time.monotonic()


def _bring_in(database: Database, incoming: Incoming, faults: Faults) -> int:
    rows = 0

    def count(done: int, _whole: int) -> None:
        nonlocal rows
        rows = done

    options = Options(_any_policy, channels=frozenset({"sms", "wecom"}))
    actor = Actor("benchmark", "console")
    bring_in(database, incoming, faults, options=options, actor=actor, at_us=now_us(), on_progress=count)
    return rows


def _any_policy(_policy: dict[str, Any]) -> str | None:
    return None


def _nobody(_done: int, _whole: int) -> None:
    """Nobody looks."""


def _areas() -> Iterator[Row]:
    number = 0

    def row(id_: str, parent: str | None, level: str, name: str) -> Row:
        nonlocal number
        number += 1
        return {"id": id_, "parent": parent, "level": level, "name": name} | _somewhere(number)

    yield row("32", None, "province", "江苏省")
    yield row("3205", "32", "city", "苏州市")
    streets: list[str] = []
    for county, county_name in enumerate(_COUNTIES, 1):
        yield row(f"3205{county:02}", "3205", "county", county_name)
        for town in range(1, _TOWNS_A_COUNTY + 1):
            town_id = f"3205{county:02}{town:03}"
            yield row(town_id, f"3205{county:02}", "town", f"{county_name}第{town}镇")
            for street in range(1, _STREETS_A_TOWN + 1):
                streets.append(f"{town_id}{street:03}")
                yield row(streets[-1], town_id, "street", f"{_ROADS[street]}街道")
    for cell in range(CELLS):
        street_id = streets[cell % len(streets)]
        yield row(f"{street_id}-{cell // len(streets):02}", street_id, "grid", f"第{cell + 1}网格")


def _contact(number: int, area: Row) -> Row:
    name = _SURNAMES[number % 10] + _GIVEN[number // 10 % 10]
    telephone = f"+86139{number:08}"
    addresses = [{"channel": "sms", "address": telephone}, {"channel": "wecom", "address": f"user{number}"}]
    return {"id": f"p-{number:05}", "area": area["id"], "name": name, "language": "zh", "addresses": addresses,
            "quiet_from": None, "quiet_to": None, "max_per_hour": None}  # fmt: skip


def _duty(area: str, contact: str, begins: str, ends: str) -> Row:
    return {"area": area, "contact": contact, "weekdays": "mon tue wed thu fri sat sun", "begins": begins, "ends": ends,
            "first_day": None, "last_day": None, "rank": 1}  # fmt: skip


def _site(number: int, area: str) -> Row:
    name = f"{_ROADS[number % 10]}{_KINDS[number % 8]}{number}"
    return {"id": f"site-{number:05}", "area": area, "name": name, "kind": _KINDS[number % 8],
            "address": f"苏州市{_ROADS[number % 10]}{number % 900 + 1}号",
            "transmission_class": "DP4"} | _somewhere(number)  # fmt: skip


def _somewhere(number: int) -> Row:
    return {"latitude_deg": 31.0 + number * 7 % 9_001 / 10_000, "longitude_deg": 120.2 + number * 13 % 9_001 / 10_000}
