"""InfluxDB 1.x (1.0 to 1.12) through /write."""

import gzip
import json
from typing import Any, Self

import aiohttp

from cloud.errors import DatabaseAwayError, HoldError
from cloud.influx.http import headers_of
from cloud.influx.plan import Policy
from cloud.influx.query import quote_ident
from cloud.influx.schema import LONG_POLICY
from cloud.influx.statements import create_policy
from cloud.influx.writer import error_for
from cloud.settings import Influx1

# Level 1 packs line protocol about eightfold; level 6 takes five times as long for a tenth less.
_GZIP_LEVEL = 1


class InfluxV1:
    """An `InfluxWriter`; an async context manager, made inside a running event loop."""

    def __init__(self, settings: Influx1) -> None:
        self._settings = settings
        self._params = {"db": settings.database, "precision": "u"}
        if settings.retention_policy:
            self._params["rp"] = settings.retention_policy
        timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        self._session = aiohttp.ClientSession(headers=headers_of(settings), timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def write(self, lines: bytes, *, policy: str = "") -> None:
        """Write; see `InfluxWriter.write`."""
        body = gzip.compress(lines, _GZIP_LEVEL, mtime=0)
        params = self._params | {"rp": policy} if policy else self._params
        await self._post("/write", params=params, data=body, headers={"Content-Encoding": "gzip"})

    async def ensure_database(self) -> None:
        """Create the database and the long policy; the statements do nothing where they are there."""
        name = quote_ident(self._settings.database)
        # One that keeps for another time than for ever is refused, and is as it should be.
        statements = f"CREATE DATABASE {name}; {create_policy(Policy(LONG_POLICY), self._settings.database)}"
        answer = await self._post("/query", params={}, data={"q": statements}, headers={})
        try:
            words = json.loads(answer)
        except ValueError as error:
            raise HoldError(f"{self._settings.url} is no InfluxDB: {answer[:80]!r}", status=200) from error
        if fault := _error_in(words):
            raise HoldError(f"CREATE DATABASE: {fault[:200]}", status=200)

    async def ping(self) -> bool:
        """Tell whether /ping answers 204."""
        try:
            async with self._session.get(f"{self._settings.url}/ping") as answer:
                return answer.status == 204  # noqa: PLR2004 - what every version answers
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _post(
        self, path: str, *, params: dict[str, str], data: bytes | dict[str, str], headers: dict[str, str]
    ) -> str:
        url = f"{self._settings.url.rstrip('/')}{path}"
        try:
            # A redirect would repeat the POST as a GET and look like a success.
            post = self._session.post(url, params=params, data=data, headers=headers, allow_redirects=False)
            async with post as answer:
                words = (await answer.read()).decode(errors="replace")
        except (aiohttp.InvalidURL, UnicodeError) as error:
            raise HoldError(f"POST {url}: {error!r}", status=0) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DatabaseAwayError(f"POST {url}: {error!r}") from error
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's own classes
            raise error_for(answer.status, words, retry_after=answer.headers.get("Retry-After"))
        return words


def _error_in(answer: Any) -> str | None:
    """Find the error that 1.x hides in an answer with status 200."""
    if not isinstance(answer, dict):
        return "an answer that is no object"
    results = answer.get("results")
    first = results[0] if isinstance(results, list) and results and isinstance(results[0], dict) else {}
    error = answer.get("error") or first.get("error")
    return str(error) if error else None
