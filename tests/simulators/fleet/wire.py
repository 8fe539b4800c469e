"""A blocking socket with the client's core on it, for tests with a real broker."""

import socket
from typing import Self, TypeVar

from simulators.fleet.mqtt import Acknowledged, Connected, MqttClient, Pong, Received, Subscribed

Wanted = TypeVar("Wanted", Connected, Subscribed, Acknowledged, Received, Pong)
LIMIT_S = 40.0


class Line:
    def __init__(self, port: int) -> None:
        self.client = MqttClient()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)

    def until(self, kind: type[Wanted]) -> list[Wanted]:
        """Send what is to be sent, and read until an event of `kind` comes; returns those of that kind."""
        while True:
            self._socket.sendall(bytes(self.client.out))
            self.client.out.clear()
            data = self._socket.recv(4096)
            assert data, "the broker hung up"
            found: list[Wanted] = [event for event in self.client.feed(data) if isinstance(event, kind)]
            if found:
                return found

    def drain(self) -> None:
        """Send what is to be sent, and read until the broker hangs up."""
        self._socket.sendall(bytes(self.client.out))
        while self._socket.recv(4096):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Abruptly: nothing is said.
        self._socket.close()
