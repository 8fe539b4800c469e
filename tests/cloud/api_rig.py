"""A desk's API in memory: the real application over ASGI, users of every kind, alarms where one wants them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import msgspec
from sqlalchemy import Connection, insert

from cloud.api.app import make_app
from cloud.api.context import Context, make_context
from cloud.api.settings import Api
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.area_tables import area, registered_device, registered_gateway, site
from cloud.desk.changes import GATEWAY, Actor, Changed, What
from cloud.desk.core import Alarm
from cloud.desk.keeping import keep
from cloud.people.passwords import hash_password
from cloud.people.roles import SCOPES, Action, Role, rights
from cloud.people.store import NewUser, add_user, find_person, link_key
from cloud.people.tokens import make_token
from cloud.settings import Settings
from contract.alarms import Severity
from contract.ids import alarm_id

NOW_US = 1_790_000_000_000_000
PASSWORD = "correct horse battery"
HASHED = hash_password(PASSWORD)
CONSOLE = Actor("console test", "console")
EAST, WEST = "city/east/", "city/west/"
BASE = "http://desk"


class Rig:
    """One desk: a city with two halves, a site and a gateway in each.

    Attributes:
        now_us: the wall time of the API; tests move it.
    """

    def __init__(self, database: Database, settings: Settings | None = None) -> None:
        self.database = database
        self.settings = settings or Settings()
        self.now_us = NOW_US
        self.context: Context = make_context(database, self.settings, clock=lambda: self.now_us)
        self.app = make_app(self.context)
        database.run(_lay_out)

    def add(self, name: str, role: Role, area_id: str | None = None, *, must_change: bool = False) -> str:
        """Make a user with `PASSWORD`, and a token for all that the role may do; returns the token."""

        def work(connection: Connection) -> str:
            new = NewUser(name, role, area=area_id, language="en")
            kept: dict[str, Any] = {"must_change": must_change, "actor": CONSOLE, "editor": None, "now_us": self.now_us}
            add_user(connection, new, HASHED, **kept)
            if must_change:
                return ""
            made = make_token(
                connection,
                find_person(connection, name),
                name="test",
                scopes=rights(role) & SCOPES,
                expires_at_us=self.now_us + 3_600_000_000,
                actor=CONSOLE,
                now_us=self.now_us,
            )
            return made.text.value

        return self.database.run(work)

    def narrow(self, name: str, scopes: set[Action], *, lasts_s: int = 3_600) -> str:
        """Make a further token of a user for some scopes."""
        return self.database.run(
            lambda connection: (
                make_token(
                    connection,
                    find_person(connection, name),
                    name="narrow",
                    scopes=scopes,
                    expires_at_us=self.now_us + lasts_s * 1_000_000,
                    actor=CONSOLE,
                    now_us=self.now_us,
                ).text.value
            )
        )

    def raise_alarms(self, count: int = 1, *, half: str = "east", first: int = 0, **fields: Any) -> list[Alarm]:
        """Open alarms of a half in one commit."""
        alarms = [make_alarm(number, half, **fields) for number in range(first, first + count)]
        changes = [Changed(None, alarm, What.RAISED, GATEWAY, self.now_us) for alarm in alarms]
        self.database.run(lambda connection: keep(connection, changes))
        return alarms

    def change(self, alarm: Alarm, what: What = What.COMMENTED, **fields: Any) -> Alarm:
        """Write one change of an alarm."""
        after = msgspec.structs.replace(alarm, **fields)
        self.database.run(lambda connection: keep(connection, [Changed(alarm, after, what, GATEWAY, self.now_us)]))
        return after

    def client(self, token: str = "", headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
        """A client of the API, with a token or with a cookie jar of its own."""
        told = dict(headers or {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=("203.0.113.7", 4711))
        return httpx.AsyncClient(transport=transport, base_url=BASE, headers=told)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Run the hub of the live stream."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.context.hub.run, PersistentDatabase(self.database, counters=Counters()))
            yield
            self.context.hub.close()


def make_alarm(number: int, half: str = "east", **fields: Any) -> Alarm:
    """An alarm of a gateway of that half, each of a source of its own."""
    source = f"gate-{half}/button-{number}/pressed/panic"
    at_us = NOW_US - 60_000_000 + number
    gateway, device, point, rule = source.split("/")
    alarm = Alarm(
        alarm_id=alarm_id(source, at_us),
        source=source,
        gateway=gateway,
        device=device,
        point=point,
        rule=rule,
        kind="panic",
        severity=Severity.HIGH,
        text={"en": "Panic button", "zh": "紧急按钮"},
        raised_at_us=at_us,
        received_at_us=at_us + 1_000,
        stored_at_us=at_us + 2_000,
        late=False,
        triggers=1,
        last_raised_at_us=at_us,
        site=f"school-{half}",
        area=half,
        area_path=f"city/{half}/",
        target_s=300,
        recent_us=(at_us,),
    )
    return msgspec.structs.replace(alarm, **fields)


def insecure(**api: Any) -> Settings:
    return Settings(api=Api(**api))


def _lay_out(connection: Connection) -> None:
    link_key(connection)
    none: dict[str, Any] = {"latitude_deg": None, "longitude_deg": None}
    rows: Sequence[tuple[str, str | None, str, str]] = [
        ("city", None, "city", "city/"),
        ("east", "city", "county", EAST),
        ("west", "city", "county", WEST),
    ]
    connection.execute(
        insert(area),
        [none | {"id": id_, "parent": above, "level": level, "name": id_, "path": path, "outline": None}
         for id_, above, level, path in rows],
    )  # fmt: skip
    for half in ("east", "west"):
        values = none | {
            "area": half,
            "name": f"School {half}",
            "kind": "school",
            "address": "",
            "id": f"school-{half}",
        }
        connection.execute(insert(site).values(values | {"transmission_class": None}))
        gateway = none | {"id": f"gate-{half}", "site": f"school-{half}", "name": "", "address": ""}
        connection.execute(insert(registered_gateway).values(gateway))
        device = none | {"gateway": f"gate-{half}", "device": "button-0", "name": "Gate", "place": "left"}
        connection.execute(insert(registered_device).values(device))
