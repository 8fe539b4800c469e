"""Datagrams: one socket, and a conversation with each peer that has sent something lately."""

import asyncio
import logging
import socket
from collections import OrderedDict
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any

import anyio

from edge.push.bus import LONGEST_REST_S, PushBus
from edge.push.conversation import Conversation
from edge.push.streams import listen
from edge.rules.timers import Timers
from edge.waker import Waker

log = logging.getLogger(__name__)

# Peers beyond these are forgotten, the one first that was silent for longest; all that is lost is what it said of a
# message that is not whole yet.
MAX_PEERS = 1024
MAX_DATAGRAM_BYTES = 65_535
# So many are taken at once before others have their turn.
MAX_AT_ONCE = 64

Peer = tuple[Any, ...]


class DatagramBus(PushBus):
    """Devices send to us."""

    def __init__(self, host: str, port: int, name: str, **parts: Any) -> None:
        """Prepare; see `PushBus`."""
        super().__init__(name, **parts)
        self._host, self._number = host, port
        self._peers: OrderedDict[Peer, Conversation] = OrderedDict()
        self._due: Timers[Peer] = Timers()

    async def _serve(self) -> None:
        with await listen(self._host, self._number, socket.SOCK_DGRAM) as bound:
            loop, waker = asyncio.get_running_loop(), Waker()
            loop.add_reader(bound, waker.wake)
            self._note_up()
            try:
                while True:
                    is_more = self._receive(bound, waker)
                    self.turned_at = now = monotonic()
                    for peer in list(self._due.due(now)):
                        self._look_at(peer)
                    next_at = self._due.next_at()
                    if is_more:
                        # A flood shall not hold up the other buses.
                        await anyio.lowlevel.checkpoint()
                        continue
                    await waker.wait_until(min(now + LONGEST_REST_S, inf if next_at is None else next_at))
            finally:
                loop.remove_reader(bound)
                for conversation in self._peers.values():
                    conversation.close()
                self._peers.clear()
                self._push.connected = 0

    def _receive(self, bound: socket.socket, waker: Waker) -> bool:
        """Take what has come; true when there may be more."""
        for _ in range(MAX_AT_ONCE):
            try:
                data, peer = bound.recvfrom(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return False
            except OSError as error:
                # Somebody's answer to what we sent: nobody listens there any more.
                log.debug("bus %s: %s", self.name, error.strerror)
                continue
            self._note_heard(len(data))
            if self._intake.keeper.is_behind:
                # Nothing holds datagrams up; who wants an acknowledgement says it again.
                self._push.dropped += 1
                self._watch.not_listening(self.name, monotonic())
                continue
            self._conversation_with(peer, bound, waker).hear(data)
            self._look_at(peer)
        return True

    def _conversation_with(self, peer: Peer, bound: socket.socket, waker: Waker) -> Conversation:
        found = self._peers.get(peer)
        if found is not None:
            self._peers.move_to_end(peer)
            return found

        def send(data: bytes) -> None:
            # A datagram that cannot be sent now is like one that was lost on its way.
            with suppress(OSError):
                bound.sendto(data, peer)

        if len(self._peers) >= MAX_PEERS:
            forgotten, conversation = self._peers.popitem(last=False)
            conversation.close()
            self._due.put(forgotten, None)
            self._push.turned_away += 1
        found = self._peers[peer] = self._conversation(send, waker.wake)
        self._push.connections += 1
        self._push.connected = len(self._peers)
        found.open()
        return found

    def _look_at(self, peer: Peer) -> None:
        conversation = self._peers.get(peer)
        if conversation is None:
            return
        self._due.put(peer, conversation.tick())
        if conversation.hangs_up:
            conversation.close()
            del self._peers[peer]
            self._due.put(peer, None)
            self._push.connected = len(self._peers)
