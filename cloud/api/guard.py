"""What stands around every request: its size and time are bounded, its answer is marked, its path is logged."""

import logging
import math
import time

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.api.problems import ProblemError, answer, answer_to
from cloud.api.settings import Api

_log = logging.getLogger(__name__)
# The path of the live stream, which lasts.
STREAM_PATH = "/api/v1/stream"
# What stands behind it is a secret.
LINK_PREFIX = "/a/"
_PAGES = (LINK_PREFIX, "/alarms/")
_PAGE_POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_PLAIN_POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_A_YEAR = "max-age=31536000"


class Guard:
    """ASGI middleware, outermost.

    Args:
        app: what is guarded.
        settings: limits; whether people come by TLS.
    """

    def __init__(self, app: ASGIApp, settings: Api) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        sender = _Sender(send, _headers(scope["path"], is_secure=self._settings.is_secure))
        limit_s = self._settings.timeout_s
        with anyio.move_on_after(limit_s) as limit:
            if scope["path"] == STREAM_PATH:
                # What was asked has its limit as any; what is answered lasts.
                sender.limit = limit
            await self._pass(scope, receive, sender)
        if limit.cancelled_caught and sender.status is None:
            why = f"not done within {limit_s:g} s"
            slow = answer(503, "timeout", why, hint="Ask for less, or again later.", retry_after_s=2)
            await slow(scope, receive, sender)
        took_ms = (time.perf_counter() - began_s) * 1_000
        client = (scope.get("client") or ("-", 0))[0]
        path = f"{LINK_PREFIX}..." if scope["path"].startswith(LINK_PREFIX) else scope["path"]
        # One placeholder: lines of a kind that are too many are summed up by this text alone.
        _log.info("HTTP request: %s", f"{client} {sender.status} {scope['method']} {path!r} {took_ms:.1f} ms")

    async def _pass(self, scope: Scope, receive: Receive, sender: "_Sender") -> None:
        try:
            whole = await _read_body(scope, receive, self._settings.max_body_bytes)
        except ProblemError as error:
            await answer_to(error)(scope, receive, sender)
            return
        await self._app(scope, _replay(whole, receive), sender)


class _Sender:
    """Adds our headers to an answer, and notes its status.

    Attributes:
        status: None before the answer has begun.
        limit: of the request, to be lifted when the answer begins; None: it stays.
    """

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.status: int | None = None
        self.limit: anyio.CancelScope | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.limit is not None:
                self.limit.deadline = math.inf
            told = {name for name, _value in message["headers"]}
            more = [(name, value) for name, value in self._headers if name not in told]
            message = {**message, "headers": [*message["headers"], *more]}
        await self._send(message)


def _headers(path: str, *, is_secure: bool) -> list[tuple[bytes, bytes]]:
    policy = _PAGE_POLICY if path.startswith(_PAGES) else _PLAIN_POLICY
    told = _HEADERS | {"content-security-policy": policy}
    if is_secure:
        told |= {"strict-transport-security": _A_YEAR}
    return [(name.encode(), value.encode()) for name, value in told.items()]


async def _read_body(scope: Scope, receive: Receive, most_bytes: int) -> bytes | None:
    """Read the whole body; None when there is none to wait for."""
    headers = dict(scope["headers"])
    told = headers.get(b"content-length", b"")
    if told.isdigit() and int(told) > most_bytes:
        raise _too_large(most_bytes)
    if not told and b"transfer-encoding" not in headers:
        return None
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += bytes(message.get("body", b""))
        if len(body) > most_bytes:
            raise _too_large(most_bytes)
        if not message.get("more_body", False):
            return body


def _too_large(most_bytes: int) -> ProblemError:
    return ProblemError(413, "too-large", f"more than {most_bytes} bytes", hint="Send less at once.")


def _replay(whole: bytes | None, receive: Receive) -> Receive:
    """Hand over what was read as one message, then what comes after it: the end of the connection."""
    if whole is None:
        return receive
    waiting: list[Message] = [{"type": "http.request", "body": whole, "more_body": False}]

    async def receive_next() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_next
