"""Commands from the cloud: taken once each, refused when they come too late, answered always."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable

import aiomqtt
import anyio
from msgspec import Struct

from contract import cloudevents
from contract.commands import Command, Outcome, Result, decode_command, encode_result, is_too_far_ahead
from contract.errors import DecodeError
from contract.reasons import KNOWS_NO_TIME, TOO_MANY_WAIT
from contract.telemetry import Value
from contract.topics import Channel, topic
from edge.broker import publish_properties
from edge.clock import Clock
from edge.errors import CommandError, EdgeError, NotTakenError, WriteExpiredError
from edge.rules import ModeRefusedError, UnknownSourceError
from edge.waker import Waker

log = logging.getLogger(__name__)

MAX_UNDER_WAY = 4
MAX_QUEUED = 16
# Of so many the answers are remembered, so that a repeat is answered and not done again.
MAX_REMEMBERED = 1_000
MAX_UNSENT = 64
PUBLISH_LIMIT_S = 20.0


class _Known(Struct):
    """A command that was taken, and its answer once there is one."""

    expires_at_us: int
    result: Result | None = None


class RemoteCommands:
    """One gateway's commands. A task takes them off the wire, some carry them out, one sends the answers."""

    def __init__(self, gateway: str, *, clock: Clock, on_command: Callable[[Command], Awaitable[Value | None]]) -> None:
        """Prepare.

        Args:
            gateway: id of the gateway.
            clock: says what has expired.
            on_command: carries one out; returns what reads back, if anything does, and raises `EdgeError` when it
                is not done. Its own waits are limited.
        """
        self._gateway = gateway
        self._clock = clock
        self._on_command = on_command
        self._known: dict[str, _Known] = {}
        self._queue: deque[Command] = deque()
        self._unsent: deque[Result] = deque(maxlen=MAX_UNSENT)
        self._to_work = [Waker() for _ in range(MAX_UNDER_WAY)]
        self._to_send = Waker()

    def take(self, payload: bytes) -> None:
        """Take one message of the command topic; what is no command is logged and passed over."""
        try:
            command = decode_command(payload, gateway=self._gateway)
        except DecodeError as error:
            log.warning("a command cannot be read: %s", error)
            return
        known = self._known.get(command.id)
        if known is not None:
            if known.result is not None:
                self._send(known.result)
            return
        refusal = self._refusal(command)
        if refusal is not None:
            self._send(self._result(command, *refusal))
            return
        # A list of stolen tags is long.
        log.info("command %s by %s: %.300s", command.id, command.by or "nobody", str(command.order))
        self._known[command.id] = _Known(command.expires_at_us)
        self._queue.append(command)
        for waker in self._to_work:
            waker.wake()

    async def run(self) -> None:
        """Carry commands out, until cancelled; through lost connections too."""
        async with anyio.create_task_group() as tasks:
            for waker in self._to_work:
                tasks.start_soon(self._work, waker)

    async def answer(self, client: aiomqtt.Client) -> None:
        """Publish the answers on this connection, until cancelled; what is not acknowledged is kept for the next.

        Raises:
            MqttError: the connection is lost.
        """
        while True:
            while self._unsent:
                result = self._unsent[0]
                await client.publish(
                    topic(self._gateway, Channel.RESULT),
                    encode_result(result),
                    qos=1,
                    properties=publish_properties(ContentType=cloudevents.MEDIA_TYPE),
                    timeout=PUBLISH_LIMIT_S,
                )
                # Meanwhile it may have had to make room.
                if self._unsent and self._unsent[0] is result:
                    self._unsent.popleft()
            await self._to_send.wait_until(anyio.current_time() + 60.0)

    def _refusal(self, command: Command) -> tuple[Outcome, str] | None:
        now_us = self._clock.now_us()
        self._known = {
            one: known for one, known in self._known.items() if known.expires_at_us > now_us or known.result is None
        }
        if not self._clock.timeline.is_trusted:
            return (
                Outcome.REFUSED,
                f"{KNOWS_NO_TIME}, so it cannot tell whether this is still meant",
            )
        if command.expires_at_us <= now_us:
            return Outcome.EXPIRED, f"it expired {(now_us - command.expires_at_us) / 1e6:.1f} s before it came"
        if is_too_far_ahead(command, now_us):
            return Outcome.REFUSED, "it expires more than an hour ahead"
        if len(self._queue) >= MAX_QUEUED or len(self._known) >= MAX_REMEMBERED:
            return Outcome.REFUSED, f"{TOO_MANY_WAIT}; try again later"
        return None

    async def _work(self, waker: Waker) -> None:
        while True:
            if not self._queue:
                await waker.wait_until(anyio.current_time() + 60.0)
                continue
            command = self._queue.popleft()
            result = await self._carry_out(command)
            log.info("command %s: %s %s", command.id, result.outcome.value, result.reason)
            self._known[command.id].result = result
            self._send(result)

    async def _carry_out(self, command: Command) -> Result:
        if command.expires_at_us <= self._clock.now_us():
            return self._result(command, Outcome.EXPIRED, "it expired while it waited for others")
        try:
            value = await self._on_command(command)
        except EdgeError as error:
            return self._result(command, _outcome(error), f"{error}. {error.hint}".removesuffix(". "))
        return self._result(command, Outcome.DONE, "", value)

    def _result(self, command: Command, outcome: Outcome, reason: str, value: Value | None = None) -> Result:
        return Result(command.id, self._gateway, outcome, self._clock.now_us(), reason, value)

    def _send(self, result: Result) -> None:
        self._unsent.append(result)
        self._to_send.wake()


def _outcome(error: EdgeError) -> Outcome:
    """Tell what never can be done from what may succeed another time."""
    if isinstance(error, WriteExpiredError):
        return Outcome.EXPIRED
    is_refusal = isinstance(error, CommandError | ModeRefusedError | UnknownSourceError)
    is_refusal = is_refusal and not isinstance(error, NotTakenError)
    return Outcome.REFUSED if is_refusal else Outcome.FAILED
