"""Questions to InfluxDB in InfluxQL: /query of 1.x, which 2.x and 3.x answer too.

2.x answers for a bucket through a mapping of database and retention policy, which it makes by itself for a bucket
called as the database is; 3.x answers for its databases. Source: "InfluxDB 1.x compatibility API", InfluxDB 2 and 3.
"""

from typing import Any, Self

import aiohttp
import msgspec
from msgspec import Struct

from cloud.errors import DatabaseAwayError, DatabaseRefusedError, HoldError
from cloud.influx.http import headers_of, read_capped
from cloud.influx.writer import error_for
from cloud.settings import Influx, Influx1

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""A longer answer is refused: ask for less time or fewer columns."""
_MAX_FAULT_CHARS = 300


class Series(Struct, frozen=True):
    """One series of an answer.

    Attributes:
        name: the measurement.
        tags: those that were grouped by.
        columns: the first is `time`, microseconds UTC.
        values: rows of them, in the order asked for; what has no value is None.
    """

    name: str = ""
    tags: dict[str, str] = {}
    columns: tuple[str, ...] = ()
    values: list[list[Any]] = []


class _Result(Struct):
    series: list[Series] = []
    error: str = ""
    partial: bool = False


class _Answer(Struct):
    results: list[_Result] = []
    error: str = ""


_decoder = msgspec.json.Decoder(_Answer)


class InfluxReader:
    """Asks one database; an async context manager, made inside a running event loop."""

    def __init__(self, settings: Influx, *, max_answer_bytes: int = MAX_ANSWER_BYTES) -> None:
        self._url = f"{settings.url.rstrip('/')}/query"
        self._params = {"epoch": "u"}
        if isinstance(settings, Influx1):
            self._params["db"] = settings.database
            if settings.retention_policy:
                self._params["rp"] = settings.retention_policy
        else:
            self._params["db"] = settings.bucket
            if settings.org:
                self._params["org"] = settings.org
        self._max_bytes = max_answer_bytes
        timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        self._session = aiohttp.ClientSession(headers=headers_of(settings), timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def query(self, influxql: str) -> list[Series]:
        """Ask one question, or some parted by semicolons, whose series come one after the other.

        Args:
            influxql: SELECT or SHOW; names through `quote_ident`, texts through `quote_text`.

        Raises:
            DatabaseAwayError: no answer in time, or the server is busy or broken; ask again later.
            HoldError: credentials or database are wrong.
            DatabaseRefusedError: the question is wrong, or the answer is not whole or too long.
        """
        answer = _read(await self._get({**self._params, "q": influxql}))
        for result in answer.results:
            if result.error or answer.error:
                raise _fault(result.error or answer.error)
            if result.partial:
                raise DatabaseRefusedError("the answer was cut by the server's max-row-limit: ask for less at once")
        if answer.error:
            raise _fault(answer.error)
        return [series for result in answer.results for series in result.series]

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _get(self, params: dict[str, str]) -> bytes:
        try:
            async with self._session.get(self._url, params=params, allow_redirects=False) as answer:
                body = await read_capped(answer, self._max_bytes)
        except (aiohttp.InvalidURL, UnicodeError) as error:
            raise HoldError(f"GET {self._url}: {error!r}", status=0) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DatabaseAwayError(f"GET {self._url}: {error!r}") from error
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's own classes
            words = body.decode(errors="replace")
            raise error_for(answer.status, words, retry_after=answer.headers.get("Retry-After"))
        return body


def open_reader(settings: Influx) -> InfluxReader:
    """Make the reader for the settings' version; call it inside a running event loop."""
    return InfluxReader(settings)


def quote_ident(name: str) -> str:
    """Write a measurement's, field's or tag's name for a question."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def quote_text(text: str) -> str:
    """Write a text to compare with for a question."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def _read(body: bytes) -> _Answer:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HoldError(f"no answer of an InfluxDB: {body[:80]!r}", status=200) from error


def _fault(words: str) -> DatabaseRefusedError | HoldError:
    """Sort an error that stands in an answer with status 200."""
    told = words[:_MAX_FAULT_CHARS]
    return HoldError(told, status=200) if "database not found" in words else DatabaseRefusedError(told)
