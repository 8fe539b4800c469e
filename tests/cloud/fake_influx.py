"""An HTTP server that answers writes as it is told: what real servers cannot be made to say."""

import gzip
from collections.abc import Callable
from typing import Self

from aiohttp import web
from anyio import Event
from msgspec import Struct


class Seen(Struct, frozen=True):
    """One write as it arrived: path, query, authorization and the plain lines."""

    path: str
    query: dict[str, str]
    authorization: str | None
    lines: tuple[str, ...]


class FakeInflux:
    """Answers `/write` and `/api/v2/write` by `answer`; an async context manager on a free port."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.created: list[str] = []
        self.answer: Callable[[Seen], web.Response] = lambda _: web.Response(status=204)
        self.hold: Event | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/write", self._write)
        app.router.add_post("/api/v2/write", self._write)
        app.router.add_post("/query", self._query)
        app.router.add_get("/ping", self._ping)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _write(self, request: web.Request) -> web.Response:
        body = await request.read()
        # aiohttp's server unpacks by itself unless it is told not to.
        plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        lines = tuple(plain.decode().split("\n"))
        seen = Seen(request.path, dict(request.query), request.headers.get("Authorization"), lines)
        self.seen.append(seen)
        if self.hold is not None:
            await self.hold.wait()
        return self.answer(seen)

    async def _query(self, request: web.Request) -> web.Response:
        self.created.append(str((await request.post()).get("q")))
        return web.json_response({"results": [{"statement_id": 0}]})

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(status=204)
