"""Helpers that run as processes of their own, and the hand on them: JSON datagrams on the loopback."""

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langyan.servers import Process, free_port

MAX_ANSWER_BYTES = 65_000
ASK_LIMIT_S = 5.0

Handler = Callable[[dict[str, Any]], dict[str, Any]]


class Remote(Process):
    """A module of this package as a process; `ask` talks to it.

    Attributes:
        control_port: UDP port on which it listens.
    """

    def __init__(self, folder: Path, module: str, *words: str) -> None:
        """Prepare `python -m benchmarks.MODULE --control PORT WORDS`."""
        super().__init__(folder)
        self.name = module
        self.control_port = free_port()
        self._words = words

    def argv(self) -> list[str]:
        """The same Python."""
        return [sys.executable, "-m", f"benchmarks.{self.name}", "--control", str(self.control_port), *self._words]

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            return "pong" in self.ask(limit_s=0.2, op="ping")
        except OSError:
            return False

    def ask(self, *, limit_s: float = ASK_LIMIT_S, **request: Any) -> dict[str, Any]:
        """Send one request and return its answer.

        Raises:
            OSError: no answer within `limit_s`.
            ValueError: it refuses; quotes why.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
            talk.settimeout(limit_s)
            talk.connect(("127.0.0.1", self.control_port))
            talk.send(json.dumps(request).encode())
            answer: dict[str, Any] = json.loads(talk.recv(MAX_ANSWER_BYTES))
        if "error" in answer:
            raise ValueError(f"{self.name} refuses {request}: {answer['error']}")
        return answer


async def serve_control(port: int, handler: Handler) -> None:
    """Answer requests on the loopback's UDP `port` until the process ends; `handler` may raise KeyError, ValueError."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
        talk.setblocking(False)
        talk.bind(("127.0.0.1", port))
        while True:
            data, asker = await loop.sock_recvfrom(talk, MAX_ANSWER_BYTES)
            try:
                request = json.loads(data)
                answer = {"pong": True} if request["op"] == "ping" else handler(request)
            except (KeyError, ValueError) as error:
                answer = {"error": repr(error)}
            await loop.sock_sendto(talk, json.dumps(answer).encode(), asker)
