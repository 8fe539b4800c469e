"""One request at a time to an InfluxDB's administration, with limits and errors that say what to do."""

import base64
from typing import Any, Self

import aiohttp
import msgspec

from cloud.errors import DatabaseAwayError, DatabaseRefusedError, HoldError
from cloud.influx.writer import error_for
from cloud.settings import BasicAuth, Influx, TokenAuth, secret

MAX_ANSWER_BYTES = 4 * 1024 * 1024


class Asker:
    """Asks a server's root URL; an async context manager, made inside a running event loop."""

    def __init__(self, settings: Influx) -> None:
        self._root = settings.url.rstrip("/")
        timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        self._session = aiohttp.ClientSession(headers=headers_of(settings), timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        form: dict[str, str] | None = None,
        body: Any = None,
    ) -> Any:
        """Ask, and read the answer as JSON; None for an empty one.

        Args:
            method: of HTTP.
            path: below the root, from its slash on.
            params: the query.
            form: sent as a form; or
            body: sent as JSON.

        Raises:
            DatabaseAwayError: no answer in time, or the server is busy or broken; ask again later.
            HoldError: credentials, or nothing is there, or no JSON; its `status` is HTTP's.
            DatabaseRefusedError: the server does not take what was asked.
        """
        url = f"{self._root}{path}"
        try:
            # A redirect would repeat a POST as a GET and look like a success.
            asking = self._session.request(method, url, params=params, data=form, json=body, allow_redirects=False)
            async with asking as answer:
                words = await read_capped(answer, MAX_ANSWER_BYTES)
        except (aiohttp.InvalidURL, UnicodeError) as error:
            raise HoldError(f"{method} {url}: {error!r}", status=0) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DatabaseAwayError(f"{method} {url}: {error!r}") from error
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's own classes
            told = f"{method} {path}: {words.decode(errors='replace')}"
            raise error_for(answer.status, told, retry_after=answer.headers.get("Retry-After"))
        return _decoded(words, url)


async def read_capped(answer: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """Read an answer's body.

    Raises:
        DatabaseRefusedError: it is longer than that.
    """
    pieces: list[bytes] = []
    room = most_bytes
    async for piece in answer.content.iter_any():
        room -= len(piece)
        if room < 0:
            raise DatabaseRefusedError(f"an answer of more than {most_bytes} bytes: ask for less at once")
        pieces.append(piece)
    return b"".join(pieces)


def headers_of(settings: Influx) -> dict[str, str]:
    """Write the header by which the settings sign in.

    Raises:
        SettingsError: the secret is not in the environment.
    """
    if isinstance(settings.auth, BasicAuth):
        # UTF-8, as Go's servers read it (RFC 7617, 2.1).
        pair = f"{settings.auth.user}:{secret(settings.auth.password_env)}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    if isinstance(settings.auth, TokenAuth):
        return {"Authorization": f"Token {secret(settings.auth.token_env)}"}
    return {}


def _decoded(words: bytes, url: str) -> Any:
    if not words.strip():
        return None
    try:
        return msgspec.json.decode(words)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HoldError(f"{url} is no InfluxDB: {words[:80]!r}", status=200) from error
