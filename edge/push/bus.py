"""A bus on which devices speak by themselves: opened, listened to, opened anew; each carrier says how."""

import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import inf
from time import monotonic

import anyio

from device_profiles.speech.said import Speech
from edge.errors import LinkDownError
from edge.health import BusHealth, PushHealth
from edge.push.conversation import Conversation
from edge.push.intake import Intake
from edge.push.wire import Wire
from edge.supervision import Supervisor

log = logging.getLogger(__name__)

FIRST_REOPEN_S = 0.5
LONGEST_REOPEN_S = 15.0
# Nobody may speak for long; the task still says that it lives.
LONGEST_REST_S = 5.0
# A peer that takes nothing of what it is sent for so long is gone.
WRITE_LIMIT_S = 10.0
# Devices that connect report at least once in some minutes, or are gone; one that has gone without a word must not
# keep its place for ever, and one that nobody knows not even for long.
IDLE_LIMIT_S = 900.0
STRANGER_LIMIT_S = 60.0
# While the disk is behind nobody is listened to; the task says that it lives, and the devices are not at fault.
ROOM_LOOK_S = 1.0


class PushBus(ABC):
    """One bus and the devices that speak on it.

    Attributes:
        turned_at: when a task of it last turned, by the loop's clock; a bus that hangs stops turning.
    """

    def __init__(
        self,
        name: str,
        *,
        intake: Intake,
        make_speech: Callable[[], Speech],
        wall_us: Callable[[], int | None],
        watch: Supervisor,
        health: BusHealth,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            name: id of the bus.
            intake: takes what is understood.
            make_speech: makes a fresh conversation.
            wall_us: tells the wall time, None while nobody knows it.
            watch: keeps an eye on the devices.
            health: counters to move.
        """
        self.turned_at = 0.0
        self.name = name
        self._intake, self._make_speech, self._wall_us, self._watch = intake, make_speech, wall_us, watch
        self._health = health
        self._push = health.push = health.push or PushHealth()
        self._is_down = False
        self._reopen_s = 0.0

    async def run(self) -> None:
        """Listen until cancelled; what was understood by then is with the keeper.

        What cannot be opened is said once, tried again with growing rests, and said once when it is open again.
        """
        while True:
            try:
                await self._serve()
            except LinkDownError as error:
                self._note_down(error)
            finally:
                self._health.is_up = False
            await self._rest(self._reopen_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
            self._reopen_s = min(max(self._reopen_s * 2, FIRST_REOPEN_S), LONGEST_REOPEN_S)

    @abstractmethod
    async def _serve(self) -> None:
        """Open it, call `_note_up`, and serve it.

        Raises:
            LinkDownError: it cannot be opened, or is gone.
        """

    def _conversation(self, send: Callable[[bytes], None], wake: Callable[[], None]) -> Conversation:
        return Conversation(self._make_speech(), self._intake, send=send, wall_us=self._wall_us, wake=wake)

    def _note_up(self) -> None:
        self._health.is_up = True
        self._watch.bus_up(self.name, monotonic())
        if self._is_down:
            log.info("bus %s: back", self.name)
        self._is_down = False

    def _note_heard(self, size: int) -> None:
        self._push.bytes += size
        # Whoever hangs up at once shall not be called again at once; who speaks may.
        self._reopen_s = 0.0

    def _note_down(self, error: LinkDownError) -> None:
        log.log(logging.DEBUG if self._is_down else logging.WARNING, "bus %s: %s. %s", self.name, error, error.hint)
        self._is_down = True
        self._watch.bus_down(self.name, monotonic())

    async def _rest(self, seconds: float) -> None:
        until = monotonic() + seconds
        while (now := monotonic()) < until:
            self.turned_at = now
            await anyio.sleep(min(until - now, LONGEST_REST_S))

    async def _room(self) -> None:
        """Wait until the keeper can take more."""
        keeper = self._intake.keeper
        while keeper.is_behind:
            self.turned_at = now = monotonic()
            self._watch.not_listening(self.name, now)
            with anyio.move_on_after(ROOM_LOOK_S):
                await keeper.room()

    async def _talk(self, wire: Wire, *, is_guest: bool = False) -> str:
        """Hold the conversation of one stream until one of both ends it.

        Args:
            wire: open; closed by the caller.
            is_guest: the other side has opened it; it is ended when nothing is understood for long.

        Returns:
            Why we ended it; empty when the conversation did.

        Raises:
            LinkDownError: it is gone.
        """
        conversation = self._conversation(wire.send, wire.waker.wake)
        try:
            conversation.open()
            while True:
                if self._intake.keeper.is_behind:
                    await self._room()
                    conversation.understood_at = monotonic()
                if data := wire.read():
                    self._note_heard(len(data))
                    conversation.hear(data)
                due_at = conversation.tick()
                self.turned_at = now = monotonic()
                if conversation.hangs_up:
                    return ""
                idle_s = IDLE_LIMIT_S if conversation.is_known else STRANGER_LIMIT_S
                idle_at = conversation.understood_at + idle_s if is_guest else inf
                stuck_at = inf if wire.stuck_at is None else wire.stuck_at + WRITE_LIMIT_S
                if now >= min(idle_at, stuck_at):
                    return "nothing was understood for too long" if now >= idle_at else "it takes nothing"
                await wire.wait(min(idle_at, stuck_at, now + LONGEST_REST_S, inf if due_at is None else due_at))
        finally:
            conversation.close()
