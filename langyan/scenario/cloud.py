"""The cloud of a scenario: InfluxDB, its workers, its people and registries, and whoever looks at what it holds."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from msgspec import Struct

from cloud.database import open_database
from cloud.errors import CloudError
from cloud.people.roles import Role
from cloud.settings import load_settings
from langyan.desk_client import Access, keep_access
from langyan.errors import LangyanError
from langyan.own_user import make_user
from langyan.scenario.clock import StoryClock
from langyan.scenario.commands import Commands
from langyan.scenario.desk_eyes import DeskEyes
from langyan.scenario.eyes import Eyes
from langyan.servers import Influx, Langyan, accepts, free_port, wait_until
from simulators.scenario.loader import SETTINGS_FILE
from simulators.scenario.relocate import to_toml
from simulators.scenario.times import fill, has_places

DATABASE = "langyan"
# Commands that must be done when the story begins may take so much longer than those before them; one try each.
_SLOWER = (2.0, 4.0, 8.0)
_FIRST_COMMAND_S = 4.0


class StageError(LangyanError):
    """A part of the stage did not do what it was asked; the text says which."""


class CloudWishes(Struct, frozen=True):
    """What runs in the cloud, and what is done there before the story begins.

    Attributes:
        trades: the trades and the API run too.
        settings: beside those of the run, as in the settings file.
        files: what commands read, by name.
        prepare: words of commands.
        asks: what the API is asked again and again.
    """

    trades: bool = False
    settings: Mapping[str, Any] = {}
    files: Mapping[str, str] = {}
    prepare: tuple[tuple[str, ...], ...] = ()
    asks: tuple[str, ...] = ()


class ScenarioCloud:
    """Everything of the cloud; a context manager that begins with the databases. Who owns the stage starts the workers.

    Args:
        folder: of the run.
        wishes: what runs.
        broker_port: on this machine.
        clock: of the story.
        has_heard: tells whether a worker has said that it is ready.

    Attributes:
        influx: InfluxDB.
        workers: ingest and desk; where they are wanted trades and API.
        commands: what people type.
        begin: when the story begins, in the time zone of the desk; settled by `prepare`.
    """

    def __init__(
        self,
        folder: Path,
        wishes: CloudWishes,
        *,
        broker_port: int,
        clock: StoryClock,
        has_heard: Callable[[str], bool],
    ) -> None:
        self._folder, self._wishes, self._clock = folder, wishes, clock
        self._path = folder / SETTINGS_FILE
        self.influx = Influx(folder / "influxd")
        self._api_port = free_port()
        self._access = Access(f"http://127.0.0.1:{self._api_port}")
        self._zone = self._write_settings(broker_port)
        self.begin: datetime | None = None
        environment = {"XDG_CONFIG_HOME": str(folder), "LANGYAN_SETTINGS": str(self._path)}
        self.commands = Commands(folder, environment, self._fill)
        names = ("ingest", "desk", "trades") if wishes.trades else ("ingest", "desk")
        self.workers = {
            name: Langyan(folder, name, "cloud", name, str(self._path), ready=partial(has_heard, name))
            for name in names
        }
        if wishes.trades:
            ready = partial(accepts, self._api_port)
            self.workers["api"] = Langyan(folder, "api", "cloud", "api", str(self._path), ready=ready)
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start InfluxDB, make the tables, and a user who may do everything.

        Raises:
            ServerError: InfluxDB is missing or does not come up.
        """
        with contextlib.ExitStack() as opening:
            opening.enter_context(self.influx)
            opening.callback(self.commands.close)
            if self._wishes.trades:
                self._access = Access(self._access.url, self._make_user())
                keep_access(self._access, {"XDG_CONFIG_HOME": str(self._folder)})
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def prepare(self) -> None:
        """Write the files and do what must be done before the story begins; then its beginning is settled.

        What names the beginning comes last, because it must be done by then; where it is not, it is done once more
        for a later beginning.

        Raises:
            CommandFailedError: a command failed.
            StageError: the machine is too slow.
        """
        for name, text in self._wishes.files.items():
            if not has_places(text):
                self._write(name, text)
        took_s = 0.0
        last = [words for words in self._wishes.prepare if self._names_begin(words)]
        for words in self._wishes.prepare:
            if words not in last:
                started = time.monotonic()
                self.commands.run(words)
                took_s = max(took_s, time.monotonic() - started)
        for slower in _SLOWER:
            self._settle(len(last) * slower * (took_s or _FIRST_COMMAND_S))
            for words in last:
                self.commands.run(words)
            if not last or self._left_s() >= 0.0:
                return
        raise StageError("what is prepared takes ever longer; files that name the beginning were written for one past")

    def wait_for_begin(self) -> None:
        """Wait until the story begins, where that is settled."""
        ends = time.monotonic() + self._left_s()
        wait_until(lambda: time.monotonic() >= ends, math.inf)

    def eyes(self, eyes: Eyes) -> DeskEyes:
        """Make what looks at the desk, and asks the API."""
        asks = {ask: self._fill(ask) for ask in self._wishes.asks}
        access = self._access if self._wishes.trades else None
        return DeskEyes(self._path, access, asks, eyes=eyes, clock=self._clock)

    def _settle(self, lead_s: float) -> None:
        """Settle that the story begins after so long, and write the files that say when."""
        self.begin = datetime.fromtimestamp(math.ceil(time.time() + lead_s), self._zone)
        for name, text in self._wishes.files.items():
            if has_places(text):
                self._write(name, self._fill(text))

    def _left_s(self) -> float:
        return 0.0 if self.begin is None else self.begin.timestamp() - time.time()

    def _fill(self, text: str) -> str:
        return text if self.begin is None else fill(text, self.begin)

    def _names_begin(self, words: tuple[str, ...]) -> bool:
        timed = [name for name, text in self._wishes.files.items() if has_places(text)]
        reads = any(name == word or name.startswith(f"{word}/") for word in words for name in timed)
        return reads or any(map(has_places, words))

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _write_settings(self, broker_port: int) -> tzinfo:
        """Write the settings of the run with those of the scenario, which go first; tells the desk's time zone."""
        ours: dict[str, Any] = {
            "mqtt": {"port": broker_port},
            "influx": {"version": 1, "url": self.influx.url, "database": DATABASE},
            "database": {"url": "sqlite:///alarms.db"},
        }
        if self._wishes.trades:
            ours["api"] = {"port": self._api_port}
        else:
            # Nobody would take what is kept for them.
            ours["trades"] = {"follow": []}
        for key, value in self._wishes.settings.items():
            ours[key] = ours.get(key, {}) | value if isinstance(value, Mapping) else value
        head = "# Written by a scenario; `langyan alarms list --settings` reads it too.\n"
        self._path.write_text(head + to_toml(ours), encoding="utf-8")
        try:
            return ZoneInfo(load_settings(self._path).desk.timezone)
        except CloudError as error:
            raise StageError(f"[cloud] of the scenario: {error}") from error

    def _make_user(self) -> str:
        with open_database(load_settings(self._path, database_only=True).database) as database:
            return make_user(database, name="scenario", display="scenario", role=Role.ADMIN, by="scenario")
