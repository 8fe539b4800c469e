"""Telephones of the demo: a local HTTP endpoint that takes what the desk tells people, and shows it."""

import json
import threading
import time
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from msgspec import Struct

_MAX_BODY_BYTES = 65_536
_MAX_MESSAGES = 10_000


class Rung(Struct, frozen=True):
    """One message that a telephone received.

    Attributes:
        number: whose; the address of a contact.
        at_us: when, wall time.
    """

    number: str
    at_us: int
    title: str
    text: str


class Phones:
    """Takes messages until the end of the block; other threads read what came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rung: list[Rung] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._take))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="phones", daemon=True)

    @property
    def url(self) -> str:
        """The channel's URL for `[[telling.channel]]`, with the place of the number."""
        return f"json://127.0.0.1:{self._server.server_address[1]}/{{address}}"

    def rung(self) -> list[Rung]:
        """Return every message so far, in order."""
        with self._lock:
            return list(self._rung)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, path: str, body: bytes) -> None:
        try:
            said = json.loads(body)
        except ValueError:
            return
        if not isinstance(said, dict):
            return
        number = urllib.parse.unquote(path.strip("/"))
        one = Rung(number, time.time_ns() // 1_000, str(said.get("title", "")), str(said.get("message", "")))
        with self._lock:
            if len(self._rung) < _MAX_MESSAGES:
                self._rung.append(one)


def _handler(take: Callable[[str, bytes], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length", 0)), _MAX_BODY_BYTES)
            take(self.path, self.rfile.read(length))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the terminal to the demo."""

    return Handler
