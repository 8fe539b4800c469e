"""The stage of the demo: real servers and real processes in one folder, on free ports."""

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

from cloud.database import Database, open_database
from cloud.settings import load_settings
from device_profiles.model import Profile
from device_profiles.site_loader import load_site
from edge import control as edge_control
from edge.status import Snapshot, decode_snapshot
from langyan.demo.city import CHANNEL, PHONE_VARIABLE, make_duty_token, write_city
from langyan.demo.duty import DutyOfficer
from langyan.demo.observer import Observer
from langyan.demo.phone import Phones
from langyan.demo.sites import Push
from langyan.desk_client import Access, keep_access
from langyan.given_up import count_given_up
from langyan.servers import Influx, Langyan, Mosquitto, ServerError, accepts, die_with_parent, free_port
from simulators.control_client import Control, ControlError

DATABASE = "langyan"
_IMPORT_LIMIT_S = 60.0
_LOOKS = 5

WriteSites = Callable[[Path, int], dict[str, Path]]

_SETTINGS = """# Written by `langyan demo`: ingest, desk and API read it.
[mqtt]
port = {broker_port}

[influx]
version = 1
url = "{influx_url}"
database = "{database}"

[database]
url = "sqlite:///alarms.db"

[api]
port = {api_port}

# What comes from simulated towers is a test, whatever it says.
[fire.detection]
simulated_gateways = {simulated}

# A demo is short.
[bikes]
count_every_s = 10

# What a contact's address "phone:..." means: here telephones made of software.
[[telling.channel]]
name = "{channel}"
url_env = "{phone_variable}"
"""
_REGISTERED = """
[gateways.{gateway}]
site = "{site}"
"""


class Stage:
    """Everything that runs; a context manager that ends it all, in order.

    Attributes:
        folder: site files, settings, databases and logs.
        controls: by gateway id, the hand on its simulated devices.
        url: of the alarm desk's API.
        phones: what the people on duty hear.
        officer: who sits at the alarm desk.
    """

    def __init__(
        self,
        folder: Path,
        write_sites: WriteSites,
        *,
        broker_port: int | None = None,
        influx_port: int | None = None,
        trades: bool = False,
    ) -> None:
        """Write the files; nothing is started yet.

        Args:
            folder: for everything that is written.
            write_sites: writes the site files for a broker's port; returns them by gateway id.
            broker_port: None takes a free one.
            influx_port: None takes a free one.
            trades: run them too.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.broker = Mosquitto(folder / "mosquitto", port=broker_port)
        self.influx = Influx(folder / "influxd", port=influx_port)
        sites = self._sites = write_sites(folder, self.broker.port)
        self._city = write_city(folder)
        self._has_trades = trades
        self.phones = Phones()
        self._secrets = {PHONE_VARIABLE: self.phones.url}
        api_port = free_port()
        self.url = f"http://127.0.0.1:{api_port}"
        self.settings = folder / "cloud.toml"
        self._write_settings(api_port)
        ports = {gateway: free_port() for gateway in sites}
        self.simulators = {
            gateway: Langyan(
                folder, f"simulator-{gateway}", "sim", "devices", str(path), "-c", str(ports[gateway]),
                ready=partial(_answers, ports[gateway]),
            )
            for gateway, path in sites.items()
        }  # fmt: skip
        self.gateways = {
            gateway: Langyan(
                folder, f"gateway-{gateway}", "edge", "run", str(path),
                ready=partial(self._is_alive, gateway),
            )
            for gateway, path in sites.items()
        }  # fmt: skip
        self.workers = self._workers(api_port, trades=trades)
        self._ports = ports
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            opening.enter_context(self.broker)
            opening.enter_context(self.influx)
            self.observer = Observer(self.broker.port)
            opening.callback(self.observer.close)
            opening.enter_context(self.phones)
            token = self._people_the_desk()
            registries = self._register(opening) if self._has_trades else []
            # Started together, waited for together: most of a start is importing.
            for group in ((*self.workers.values(), *self.simulators.values()), self.gateways.values()):
                for process in group:
                    opening.callback(process.stop)
                    process.start(wait=False)
                for process in group:
                    process.wait_ready()
            for registry in registries:
                _finish(registry)
            self.officer = opening.enter_context(DutyOfficer(Access(self.url, token)))
            self.controls = {gateway: opening.enter_context(Control(port)) for gateway, port in self._ports.items()}
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def ended(self) -> list[str]:
        """Name the processes that run no more."""
        everyone = (
            self.broker,
            self.influx,
            *self.workers.values(),
            *self.simulators.values(),
            *self.gateways.values(),
        )
        return [process.name for process in everyone if process.pid is None]

    def waiting(self, gateway: str) -> tuple[int, int]:
        """Ask a gateway for the readings and alarms in its outbox, as a technician would: also without the broker."""
        snapshot = self._status(gateway)
        # It is just starting or ending: the next picture will tell.
        return (0, 0) if snapshot is None else (snapshot.store.readings_waiting, snapshot.store.alarms_waiting)

    def given_up(self) -> dict[tuple[str, str], int]:
        """Count answers that came too late, by gateway and bus, while the buses go on; at least so many."""
        found: dict[tuple[str, str], int] = {}
        for _ in range(_LOOKS):
            for gateway, control in self.controls.items():
                stats, snapshot = control.stats(), self._status(gateway)
                # What is answered between the two looks hides some of them: the best look counts.
                for bus, count in ({} if snapshot is None else count_given_up(stats, snapshot)).items():
                    found[gateway, bus] = max(found.get((gateway, bus), 0), count)
        return found

    def _status(self, gateway: str) -> Snapshot | None:
        path = self.folder / load_site(self._sites[gateway]).file.outbox.path
        try:
            with edge_control.Control(edge_control.control_path(path)) as gateway_control:
                return decode_snapshot(gateway_control.ask({"do": "status"}))
        except edge_control.ControlError:
            return None

    def is_on(self, push: Push) -> bool:
        """Tell whether a simulated contact or output is on."""
        devices = self.controls[push.gateway].describe().devices
        return any(
            device.id == push.device and point.key == push.point and point.value is True
            for device in devices
            for point in device.points
        )

    def answers(self) -> dict[tuple[str, str], int]:
        """Count the answers of simulated devices by gateway and bus, without the broker."""
        found: Counter[tuple[str, str]] = Counter()
        for gateway, control in self.controls.items():
            for device in control.stats().devices.values():
                found[gateway, device.bus] += device.counts.answers
        return dict(found)

    def profiles(self) -> list[Profile]:
        """List the profiles of all devices, as their sites use them."""
        buses = (bus for path in self._sites.values() for bus in load_site(path).devices.values())
        return [placed.profile for bus in buses for placed in bus]

    def _workers(self, api_port: int, *, trades: bool) -> dict[str, Langyan]:
        names = ("ingest", "desk", "trades") if trades else ("ingest", "desk")
        ready = {name: partial(self._has_heard, name) for name in names} | {"api": partial(accepts, api_port)}
        return {
            name: Langyan(
                self.folder, name, "cloud", name, str(self.settings), ready=is_ready, environment=self._secrets
            )
            for name, is_ready in ready.items()
        }

    def _is_alive(self, gateway: str) -> bool:
        return self.observer.is_alive(gateway)

    def _has_heard(self, worker: str) -> bool:
        return self.observer.has_heard(worker)

    def _write_settings(self, api_port: int) -> None:
        written = _SETTINGS.format(
            broker_port=self.broker.port,
            influx_url=self.influx.url,
            database=DATABASE,
            api_port=api_port,
            channel=CHANNEL,
            phone_variable=PHONE_VARIABLE,
            simulated=json.dumps(list(self._sites)),
        )
        for gateway, path in self._sites.items():
            written += _REGISTERED.format(gateway=gateway, site=_site_name(path))
        self.settings.write_text(written, encoding="utf-8")

    def _people_the_desk(self) -> str:
        """Import the areas, and make the duty officer; `langyan alarms` finds the access in the folder."""
        _finish(self._import("cloud", "areas", "import", str(self._city["areas"])))
        with self.open_alarms() as database:
            token = make_duty_token(database)
        keep_access(Access(self.url, token), {"XDG_CONFIG_HOME": str(self.folder)})
        return token

    def _register(self, opening: contextlib.ExitStack) -> list[subprocess.Popen[bytes]]:
        """Begin to import bikes, patrols and vehicles, while everything else starts."""
        files = {trade: [str(path) for path in sorted(folder.iterdir())] for trade, folder in self._city.items()}
        found = [self._import(trade, "import", *files[trade]) for trade in ("bikes", "patrols", "vehicles")]
        for one in found:
            opening.callback(one.kill)
        return found

    def _import(self, *words: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "langyan", *words, "-s", str(self.settings)]
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | self._secrets,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )

    def open_alarms(self) -> Database:
        """Open the alarm database, as the desk does."""
        return open_database(load_settings(self.settings, database_only=True).database)


def _finish(importing: subprocess.Popen[bytes]) -> None:
    """Wait until an import is done.

    Raises:
        ServerError: it failed; quotes what it said.
    """
    try:
        said, _ = importing.communicate(timeout=_IMPORT_LIMIT_S)
    except subprocess.TimeoutExpired:
        importing.kill()
        said, _ = importing.communicate()
    if importing.returncode:
        raise ServerError(f"{importing.args!r}: {said.decode(errors='replace')[-800:]}")


def _site_name(path: Path) -> str:
    return load_site(path).file.gateway.site


def _answers(port: int) -> bool:
    try:
        with Control(port) as control:
            control.ping()
    except ControlError:
        return False
    return True
