"""Grafana's HTTP API: one request at a time, with limits, and errors that say who can mend them.

Source: "HTTP API reference", Grafana 12; its OpenAPI document.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import anyio
import msgspec
from yarl import URL

from cloud.backoff import Backoff
from cloud.clock import now_us
from cloud.grafana.errors import (
    GrafanaAwayError,
    GrafanaConflictError,
    GrafanaError,
    GrafanaMissingError,
    GrafanaRefusedError,
    GrafanaRightsError,
    GrafanaTokenError,
    NotGrafanaError,
)
from cloud.telling.webhooks import retry_after_s

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""A longer answer is refused."""
TRIES = 4
"""Of a patient client."""
LONGEST_WAIT_S = 60.0
_MAX_WORDS = 300
# The second where texts are not UTF-8, as in a page of a proxy; the third where lists stand in lists without end.
_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_AT_ONCE = 4
_BUSY = 429
_NOT_DONE = (_BUSY, 503)
_CONFLICT, _PRECONDITION = 409, 412
_BY_STATUS: dict[int, type[GrafanaRefusedError]] = {
    401: GrafanaTokenError,
    403: GrafanaRightsError,
    404: GrafanaMissingError,
    _CONFLICT: GrafanaConflictError,
    _PRECONDITION: GrafanaConflictError,
}


class GrafanaClient:
    """Speaks with one Grafana as a service account; an async context manager, made inside a running event loop.

    Args:
        url: where it answers, with the path it has behind a proxy; without user and password.
        token: of a service account; "" for none.
        timeout_s: hard limit of one request.
        max_answer_bytes: a longer answer is refused.

    Raises:
        NotGrafanaError: the URL is none of HTTP, or holds a password.
    """

    def __init__(
        self, url: str, token: str, timeout_s: float = 10.0, *, max_answer_bytes: int = MAX_ANSWER_BYTES
    ) -> None:
        self.url = _root(url)
        headers = {"Accept": "application/json", "User-Agent": "langyan"}
        if token:
            headers["Authorization"] = f"Bearer {_in_one_line(token)}"
        self._max_bytes = max_answer_bytes
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=_AT_ONCE),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str | list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Ask once; give the answer's JSON, None where it has no body.

        Args:
            method: of HTTP.
            path: from `/api/` on, its parts escaped by `part`; no question mark.
            body: plain values, sent as JSON; bytes are sent as they are, as text.
            params: after the question mark; a list is said several times.
            headers: beside our own.

        Raises:
            GrafanaAwayError: no answer in time, 429 or 5xx; `retry_after_s` where it said.
            GrafanaTokenError, GrafanaRightsError, GrafanaMissingError, GrafanaConflictError: 401, 403, 404, 409 or 412.
            NotGrafanaError: a redirect, a page, or no JSON.
            GrafanaRefusedError: any other status, or an answer that is too long.
        """
        asked = f"{method} {self.url}{path}"
        sent = dict(headers or {})
        data = body if isinstance(body, bytes) else None
        if body is not None and data is None:
            data = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        # Escaped already: a name with a slash in it would fall apart otherwise.
        url = URL(f"{self.url}{path}", encoded=True)
        if params:
            url = url.update_query(params)
        try:
            async with self._session.request(method, url, data=data, headers=sent, allow_redirects=False) as answer:
                text = await self._capped(answer, asked)
        except TimeoutError as error:
            raise GrafanaAwayError(f"{asked}: no answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise GrafanaAwayError(f"{asked}: not reached: {error}") from error
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - success
            refusal = error_for(answer.status, text, answer.headers, asked=asked)
            refusal.said = _decoded(text)
            raise refusal
        return _read(text, asked, answer.headers.get("Content-Type", ""))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _capped(self, answer: aiohttp.ClientResponse, asked: str) -> bytes:
        pieces: list[bytes] = []
        room = self._max_bytes
        async for piece in answer.content.iter_any():
            room -= len(piece)
            if room < 0:
                raise GrafanaRefusedError(f"{asked}: more than {self._max_bytes} bytes", status=answer.status)
            pieces.append(piece)
        return b"".join(pieces)


class PatientClient(GrafanaClient):
    """The same, for a person who waits at a terminal: what time mends is asked again, a few times.

    A question is asked again after any trouble; what changes something only where Grafana said that it did not do it
    (429, 503), as a second one would find the first.

    Args:
        wait: sleeps for so many seconds.
    """

    def __init__(
        self,
        url: str,
        token: str,
        timeout_s: float = 10.0,
        *,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        wait: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        super().__init__(url, token, timeout_s, max_answer_bytes=max_answer_bytes)
        self._wait = wait

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str | list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Ask, up to `TRIES` times; who is asked to wait longer than `LONGEST_WAIT_S` is told so at once."""
        backoff = Backoff(first_s=1.0, longest_s=LONGEST_WAIT_S)
        for _ in range(TRIES - 1):
            try:
                return await super().request(method, path, body, params=params, headers=headers)
            except GrafanaAwayError as error:
                wait_s = backoff.next_s() if error.retry_after_s is None else error.retry_after_s
                if wait_s > LONGEST_WAIT_S or not (method == "GET" or error.status in _NOT_DONE):
                    raise
            await self._wait(wait_s)
        return await super().request(method, path, body, params=params, headers=headers)


async def version_of(client: GrafanaClient) -> str:
    """Ask whether it is a Grafana, and which; "" where it does not say.

    Raises:
        NotGrafanaError: something else answers.
        GrafanaError: as `GrafanaClient.request`.
    """
    try:
        answer = await client.request("GET", "/api/health")
    except GrafanaMissingError as error:
        raise NotGrafanaError(f"{client.url}/api/health: HTTP 404", status=404) from error
    if not isinstance(answer, dict) or "database" not in answer:
        raise NotGrafanaError(f"{client.url}/api/health: not what Grafana says there", status=200)
    return str(answer.get("version") or "")


def part(text: str) -> str:
    """Write a name as one part of a path: nothing in it parts it or ends it."""
    return quote(text, safe="")


def error_for(status: int, body: bytes, headers: Mapping[str, str], *, asked: str) -> GrafanaError:
    """Sort an answer that is no success by who can mend it.

    Args:
        status: of HTTP, not 2xx.
        body: what stands in it: Grafana says `message`, others a page.
        headers: for Retry-After.
        asked: the request, for people.
    """
    why = f"{asked}: HTTP {status}: {_words(body)}"
    if status == _BUSY or status >= 500:  # noqa: PLR2004 - the server's fault
        wait_s = retry_after_s(headers.get("Retry-After", ""), now_us=now_us())
        return GrafanaAwayError(why, retry_after_s=wait_s, status=status)
    is_page = _is_page(body)
    if 300 <= status < 400 or (is_page and status not in (401, 403)):  # noqa: PLR2004 - a redirect
        return NotGrafanaError(f"{asked}: HTTP {status}, a {'page' if is_page else 'redirect'}", status=status)
    return _BY_STATUS.get(status, GrafanaRefusedError)(why, status=status)


def _root(url: str) -> str:
    try:
        parsed = URL(url)
    except ValueError as error:
        raise NotGrafanaError(f"{url!r} is no URL", status=0) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise NotGrafanaError(f"{url!r} is no URL of HTTP", status=0)
    if parsed.user or parsed.password or parsed.query_string or parsed.fragment:
        clean = parsed.with_user(None).with_query(None).with_fragment(None)
        raise NotGrafanaError(f"{clean}: a URL without user, password and question mark is wanted", status=0)
    return str(parsed).rstrip("/")


def _in_one_line(token: str) -> str:
    return "".join(one for one in token if one.isascii() and one.isprintable())


def _read(text: bytes, asked: str, content_type: str) -> Any:
    if not text.strip():
        return None
    try:
        return msgspec.json.decode(text)
    except _NO_JSON as error:
        kind = content_type.partition(";")[0] or "something"
        raise NotGrafanaError(f"{asked}: {kind} instead of JSON: {_words(text)}", status=200) from error


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except _NO_JSON:
        return None


def _is_page(body: bytes) -> bool:
    return body[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))


def _words(body: bytes) -> str:
    """Take from an answer what a person should read: cut, and in one line."""
    text = body[: 16 * _MAX_WORDS].decode(errors="replace")
    told = _decoded(body)
    if isinstance(told, dict):
        said = [str(told[key]) for key in ("message", "error", "title") if told.get(key)]
        text = " ".join(dict.fromkeys(said)) or text
    return "".join(one if one.isprintable() else " " for one in " ".join(text.split()))[:_MAX_WORDS]
