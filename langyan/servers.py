"""Real servers on free ports with their own folders (mosquitto, InfluxDB 1.x, VictoriaMetrics), and our own processes.

For the demo, the tests and the benchmarks. Never touches a system service; a server dies with the
process that started it, even when that is killed.
"""

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from langyan.errors import LangyanError

_SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/local/bin"))
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ServerError(LangyanError):
    """A server is not installed, or did not come up; the text says what to do."""


def find_program(name: str, package: str) -> str:
    """Find a server's program, also where a plain user's PATH does not look.

    Raises:
        ServerError: not installed; names the Debian package.
    """
    found = shutil.which(name, path=_SEARCH)
    if found is None:
        raise ServerError(f"{name} is not installed. On Debian: sudo apt-get install {package}")
    return found


def free_port() -> int:
    """Find a TCP port on the loopback that nobody uses at this moment.

    Below those that the kernel gives to outgoing connections (from 32768 on, see ip(7)): one of these may be taken by
    any program between this moment and the server's start.
    """
    while True:
        port = random.randint(15_000, 32_000)  # noqa: S311 - no secret
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Tell whether nobody listens on `port` of the loopback."""
    with socket.socket() as probe:
        # Connections that have just ended still hold the port for a while, and hinder no server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends; run between fork and exec (Linux)."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process(ABC):
    """One child process; a context manager that leaves nothing behind.

    Attributes:
        folder: its data, configuration and log.
        environment: variables that it gets beside ours.
    """

    name = "process"
    start_limit_s = 60.0
    stop_limit_s = 10.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def argv(self) -> list[str]:
        """Write the configuration and say how the process is started."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Tell whether it answers."""

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def status(self) -> int | None:
        """The exit status once it has ended; negative for a signal."""
        return self._process.poll() if self._process else None

    def start(self, *, wait: bool = True) -> Self:
        """Start it (again, after a stop or kill) and wait until it answers.

        Raises:
            ServerError: it ended, or did not answer within `start_limit_s`; quotes its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = self.argv()
        with self.log.open("ab") as log:
            # A new session: Ctrl-C in the terminal reaches the demo, which then stops its children in order.
            self._process = subprocess.Popen(
                argv,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=os.environ | self.environment,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until it answers; see `start`."""
        if not wait_until(lambda: self.pid is None or self.is_ready(), self.start_limit_s) or self.pid is None:
            tail = self.log.read_text(errors="replace")[-800:]
            self.kill()
            raise ServerError(f"{self.name} did not come up; it said:\n{tail}")

    def stop(self) -> None:
        """End it in order; kill it when that takes more than `stop_limit_s`."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(self.stop_limit_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it with SIGKILL: what a power cut looks like to its peers."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Server(Process):
    """One server process.

    Attributes:
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        super().__init__(folder)
        self.port = port or free_port()

    def start(self, *, wait: bool = True) -> Self:
        """Start it, unless somebody else has its port: a stranger's answer must not pass for ours.

        Raises:
            ServerError: the port is taken; or see `Process.start`.
        """
        if not is_free(self.port):
            raise ServerError(f"{self.name}: port {self.port} is taken by another program; choose another, or none")
        return super().start(wait=wait)


class Langyan(Process):
    """A `langyan` sub-command as a process of its own, such as a gateway or an ingest worker."""

    stop_limit_s = 30.0

    def __init__(
        self,
        folder: Path,
        name: str,
        *words: str,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare `langyan WORDS`; `ready` tells whether it is at work; `environment` is added to ours."""
        super().__init__(folder)
        self.environment = dict(environment or {})
        self.name = name
        self._words = words
        self._ready = ready

    def argv(self) -> list[str]:
        """The same Python, the same package."""
        return [sys.executable, "-m", "langyan", *self._words]

    def is_ready(self) -> bool:
        """Ask the caller's `ready`."""
        return self._ready()


class Mosquitto(Server):
    """The MQTT broker, MQTT 5, without persistence unless asked."""

    name = "mosquitto"

    def __init__(self, folder: Path, *, port: int | None = None, persistence: bool = False) -> None:
        super().__init__(folder, port=port)
        self.persistence = persistence

    def argv(self) -> list[str]:
        """Write mosquitto.conf; queues are bounded by bytes, because a bound by count drops in silence."""
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            f"persistence {'true' if self.persistence else 'false'}",
            f"persistence_location {self.folder}/",
            "max_queued_messages 0",
            "max_queued_bytes 268435456",
            "max_inflight_messages 1000",
            "message_size_limit 1048576",
            "set_tcp_nodelay true",
        ]
        if os.geteuid() == 0:
            lines.append("user root")
        conf = self.folder / "mosquitto.conf"
        conf.write_text("\n".join(lines) + "\n")
        return [find_program("mosquitto", "mosquitto"), "-c", str(conf)]

    def is_ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.port)


class Influx(Server):
    """InfluxDB 1.x."""

    name = "influxd"

    @property
    def url(self) -> str:
        """Where its HTTP API is."""
        return f"http://127.0.0.1:{self.port}"

    def argv(self) -> list[str]:
        """Write influxdb.conf: nothing reported home, nothing monitored, loopback only."""
        conf = self.folder / "influxdb.conf"
        conf.write_text(
            f"""reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
  dir = "{self.folder}/meta"
[data]
  dir = "{self.folder}/data"
  wal-dir = "{self.folder}/wal"
  query-log-enabled = false
  # A tag value a device: a city has more of them than the default of 100 000.
  max-values-per-tag = 0
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{self.port}"
  log-enabled = false
[logging]
  level = "warn"
"""
        )
        return [find_program("influxd", "influxdb"), "-config", str(conf)]

    def is_ready(self) -> bool:
        """Tell whether /ping answers."""
        return _answers(f"{self.url}/ping")


class VictoriaMetrics(Server):
    """A server with InfluxDB's v2 write API that Debian packages; stands in for InfluxDB 2 in tests."""

    name = "victoria-metrics"

    @property
    def url(self) -> str:
        """Where its HTTP API is."""
        return f"http://127.0.0.1:{self.port}"

    def argv(self) -> list[str]:
        """All settings are flags."""
        return [
            find_program("victoria-metrics", "victoria-metrics"),
            f"-httpListenAddr=127.0.0.1:{self.port}",
            f"-storageDataPath={self.folder}/data",
            "-retentionPeriod=100y",
        ]

    def is_ready(self) -> bool:
        """Tell whether /health answers."""
        return _answers(f"{self.url}/health")


def wait_until(condition: Callable[[], bool], limit_s: float, *, every_s: float = 0.02) -> bool:
    """Ask until `condition` holds; False when it did not within `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def accepts(port: int) -> bool:
    """Tell whether somebody listens on `port` of the loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()  # noqa: S310
    except (urllib.error.URLError, OSError):
        return False
    return True
