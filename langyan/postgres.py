"""PostgreSQL from Debian's package, on a free port with a folder of its own; never a system service."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from langyan.servers import Server, ServerError, find_program

# Debian keeps the programs of each version in a folder of its own, and only wrappers on the PATH.
_DEBIAN = Path("/usr/lib/postgresql")
_USER = "langyan"


class Postgres(Server):
    """One PostgreSQL; its user must say a password.

    Attributes:
        password: of the user `langyan`, made anew for each server.
    """

    name = "postgres"
    start_limit_s = 120.0

    def __init__(self, folder: Path, *, port: int | None = None, durable: bool = True) -> None:
        """Prepare; without `durable` it is quick, and a power cut would spoil it: for tests that have none."""
        super().__init__(folder, port=port)
        self._durable = durable
        self.password = secrets.token_urlsafe(18)

    @property
    def url(self) -> str:
        """The database `langyan` as a SQLAlchemy URL without the password."""
        return self.url_of("langyan")

    def url_of(self, database: str) -> str:
        """A database of this server as a SQLAlchemy URL without the password."""
        return f"postgresql+psycopg://{_USER}@127.0.0.1:{self.port}/{database}"

    def argv(self) -> list[str]:
        """Make the cluster when there is none, and say how the server is started."""
        data = self.folder / "data"
        if not (data / "PG_VERSION").exists():
            self._make_cluster(data)
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "max_connections": 60,
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return [*_as_postgres(), str(_program("postgres")), "-D", str(data)] + [
            part for key, value in settings.items() for part in ("-c", f"{key}={value}")
        ]

    def is_ready(self) -> bool:
        """Tell whether it takes connections, and make the database once it does."""
        asked = [str(_program("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False, timeout=10).returncode == 0 and self._has_database("langyan")

    def stop(self) -> None:
        """End it without waiting for its clients: in order when it is durable, at once when it is not."""
        if self._process is not None:
            # Fast and immediate shutdown (PostgreSQL documentation, 19.5).
            self._process.send_signal(signal.SIGINT if self._durable else signal.SIGQUIT)
        super().stop()

    def make_database(self, name: str) -> str:
        """Make an empty database; returns its SQLAlchemy URL without the password.

        Raises:
            ServerError: the server does not make it.
        """
        done = self._psql("postgres", f'CREATE DATABASE "{name}"')
        if done.returncode:
            raise ServerError(f"postgres: CREATE DATABASE {name}: {done.stderr.decode(errors='replace').strip()}")
        return self.url_of(name)

    def _has_database(self, name: str) -> bool:
        return self._psql(name, "SELECT 1").returncode == 0 or bool(self.make_database(name))

    def _psql(self, database: str, sql: str) -> subprocess.CompletedProcess[bytes]:
        argv = [str(_program("psql")), "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", _USER, "-c", sql]
        environment = os.environ | {"PGPASSWORD": self.password}
        return subprocess.run([*argv, database], check=False, capture_output=True, env=environment, timeout=60)

    def _make_cluster(self, data: Path) -> None:
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            # The server refuses to run as root; its package made a user for it.
            owner = pwd.getpwnam("postgres")
            for path in (secret, data, self.folder):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            _open_way(self.folder)
        argv = [
            "-D",
            str(data),
            "-U",
            _USER,
            "-A",
            "scram-sha-256",
            f"--pwfile={secret}",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        done = subprocess.run(
            [*_as_postgres(), str(_program("initdb")), *argv],
            check=False,
            capture_output=True,
            timeout=self.start_limit_s,
        )
        secret.unlink()
        if done.returncode:
            raise ServerError(f"initdb: {done.stderr.decode(errors='replace').strip()}")


def _open_way(folder: Path) -> None:
    """Let the server's user pass through the folders above its own, and no further."""
    for above in folder.resolve().parents:
        if above.stat().st_uid == os.geteuid() and not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o001)


def _as_postgres() -> list[str]:
    if os.geteuid() != 0:
        return []
    runner = shutil.which("setpriv")
    if runner is None:
        raise ServerError("PostgreSQL does not run as root, and setpriv is not there: sudo apt-get install util-linux")
    return [runner, "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=KILL"]


def _program(name: str) -> Path:
    found = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3].partition(".")[0]))
    return found[-1] if found else Path(find_program(name, "postgresql"))
