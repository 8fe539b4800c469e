"""The API's process: database first, then the socket; at the end the streams first, then what is in hand."""

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import anyio
import anyio.to_thread
import uvicorn
from starlette.types import ASGIApp

from cloud.api.app import make_app
from cloud.api.connections import Connection
from cloud.api.context import make_context
from cloud.api.grafana_alerts import alert_secret
from cloud.api.settings import Api
from cloud.api.stream import Hub
from cloud.clock import now_us
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.errors import CloudError
from cloud.people.store import ensure_admin, link_key
from cloud.settings import Settings, database_url

_log = logging.getLogger(__name__)
# For requests in hand, and for streams to say good-bye.
STOP_LIMIT_S = 5
_IDLE_LIMIT_S = 30
# Beside the streams; what comes beyond it is refused at once instead of waiting.
_MOST_REQUESTS = 200


class ListenError(CloudError):
    """The address cannot be listened at, or the certificate cannot be used."""

    hint = "Look at [api] of the settings: host, port, certificate, key_file; another program may have the port."


async def run_api(
    settings: Settings,
    *,
    stop: anyio.Event,
    tell: Callable[[str], None],
    ready: Callable[[int], None] | None = None,
    clock: Callable[[], int] = now_us,
) -> None:
    """Serve until `stop`; then end all streams, and let requests in hand finish, at most 5 s.

    Args:
        settings: as loaded; of the secrets only the database's and that of Grafana's alerts are used.
        stop: set it to end.
        tell: says the first admin's password once, when there is no user yet.
        ready: called once with the port, when it listens.
        clock: wall time, microseconds UTC.

    Raises:
        ListenError: the address is taken, or the certificate does not do.
        DatabaseRefusedError: the database was made by a newer version.
        SettingsError: a secret is not in the environment.
    """
    api = settings.api
    # Not at the first alert: nobody would see it.
    alert_secret(settings.grafana)
    with Database(database_url(settings.database)) as database, _listen(api) as listening:
        persistent = PersistentDatabase(database, counters=Counters())
        if not await persistent.migrate(stop):
            return
        password = await anyio.to_thread.run_sync(partial(ensure_admin, database, now_us=clock()))
        if password is not None:
            tell(password)
        # Made here, so that looking at a link's page needs no transaction for writing.
        await persistent.call(link_key)
        context = make_context(database, settings, clock=clock)
        app, hub = make_app(context), context.hub
        server = _Server(_config(app, api), ready)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.run, persistent)
            tasks.start_soon(_end, stop, hub, server)
            await server.serve([listening])
            tasks.cancel_scope.cancel()


class _Server(uvicorn.Server):
    """Leaves signals to its caller, and says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[int], None] | None) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = sockets[0].getsockname()[1] if sockets else 0
        scheme = "https" if self.config.is_ssl else "http"
        _log.info("the API listens at %s://%s:%d", scheme, self.config.host, port)
        if self._ready is not None:
            self._ready(port)


async def _end(stop: anyio.Event, hub: Hub, server: uvicorn.Server) -> None:
    await stop.wait()
    hub.close()
    server.should_exit = True


def _config(app: ASGIApp, api: Api) -> uvicorn.Config:
    config = uvicorn.Config(
        cast("Any", app),
        host=api.host,
        loop="none",
        http=Connection,
        ws="none",
        lifespan="off",
        # Our own logging, and an access log of our own: paths only, and no link.
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=api.behind_proxy,
        forwarded_allow_ips=list(api.trusted_proxies),
        ssl_certfile=api.certificate or None,
        ssl_keyfile=api.key_file or None,
        limit_concurrency=api.streams + _MOST_REQUESTS,
        timeout_keep_alive=_IDLE_LIMIT_S,
        timeout_graceful_shutdown=STOP_LIMIT_S,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ListenError(f"{api.certificate}, {api.key_file}: {error}") from error
    return config


@contextlib.contextmanager
def _listen(api: Api) -> Iterator[socket.socket]:
    try:
        (family, _kind, _protocol, _name, address), *_ = socket.getaddrinfo(
            api.host, api.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listening = socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        raise ListenError(f"{api.host}:{api.port}: {error.strerror}") from error
    with contextlib.closing(listening):
        yield listening
