"""InfluxDB 2.x, 3.x and whatever else takes /api/v2/write, through influxdb-client."""

from typing import Any, Self

import aiohttp
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.domain.write_precision import WritePrecision

from cloud.errors import DatabaseAwayError
from cloud.influx.writer import error_for
from cloud.settings import Influx2, Influx3, TokenAuth, secret


def bucket_of(settings: Influx2, policy: str) -> str:
    """Name the bucket of a retention policy; 2.x maps `langyan/long` to database and policy by itself.

    3.x has one database for everything, as its InfluxQL knows no policy after FROM.
    """
    return f"{settings.bucket}/{policy}" if policy and not isinstance(settings, Influx3) else settings.bucket


class InfluxV2:
    """An `InfluxWriter`; an async context manager, made inside a running event loop.

    The client is used for what it does well (the endpoint, tokens, gzip); its `Point` is not, because its
    serialiser rounds some times to another microsecond, which would store a repeated reading twice.
    """

    def __init__(self, settings: Influx2) -> None:
        self._settings = settings
        token = secret(settings.auth.token_env) if isinstance(settings.auth, TokenAuth) else ""
        client: Any = InfluxDBClientAsync
        self._client = client(
            url=settings.url.rstrip("/"),
            token=token,
            org=settings.org,
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s),
            enable_gzip=True,
            # A redirect would repeat the POST as a GET and look like a success.
            allow_redirects=False,
        )
        self._write_api = self._client.write_api()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def write(self, lines: bytes, *, policy: str = "") -> None:
        """Write; see `InfluxWriter.write`."""
        try:
            await self._write_api.write(
                bucket=bucket_of(self._settings, policy),
                org=self._settings.org,
                record=lines,
                write_precision=WritePrecision.US,
            )
        except InfluxDBError as error:
            raise self._error(error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DatabaseAwayError(f"{self._settings.url}/api/v2/write: {error!r}") from error

    async def ensure_database(self) -> None:
        """Do nothing: a bucket has an owner and a retention that are not ours to choose."""

    async def ping(self) -> bool:
        """Tell whether /ping answers."""
        try:
            return bool(await self._client.ping())
        except (InfluxDBError, aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _error(self, error: InfluxDBError) -> Exception:
        status = getattr(error, "status", None)
        if not isinstance(status, int):
            return DatabaseAwayError(f"{self._settings.url}/api/v2/write: {error}")
        body = getattr(error, "body", None) or b""
        words = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
        headers = getattr(error, "headers", None) or {}
        return error_for(status, words, retry_after=headers.get("Retry-After"))
