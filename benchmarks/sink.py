"""Whoever is told: an HTTP server for web hooks and for messages, which notes each request by what it says."""

import json
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

REFERENCE_CHARS = 12
"""Of a delivery's id, as far as its message shows it."""

_REFERENCE = re.compile(rf"^Message: ([0-9a-f]{{{REFERENCE_CHARS}}})$", re.MULTILINE)
MAX_BODY_BYTES = 1_000_000


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: a sender that was killed is what this is about."""


class Sink:
    """A context manager.

    Attributes:
        events: how often each CloudEvent came, by its id.
        messages: how often each message came, by its reference.
        port: on 127.0.0.1.
    """

    def __init__(self) -> None:
        self.events: Counter[int] = Counter()
        self.messages: Counter[str] = Counter()
        self._lock = threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = min(int(self.headers.get("Content-Length", "0")), MAX_BODY_BYTES)
                sink.take(self.headers.get("webhook-id"), self.rfile.read(size))
                self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="sink", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, event_id: str | None, body: bytes) -> None:
        """Note one request."""
        with self._lock:
            if event_id is not None:
                self.events[int(event_id)] += 1
                return
            self.messages.update(_REFERENCE.findall(json.loads(body)["message"]))
