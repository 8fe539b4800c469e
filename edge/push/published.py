"""Devices that publish to a broker on the local network; the broker is a line that all of them share."""

import logging
import math
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

import aiomqtt
import anyio
from anyio.abc import TaskGroup

from device_profiles.site import MqttBus
from edge.broker import MAX_INCOMING, REFUSED_FROM
from edge.errors import LinkDownError
from edge.push.bus import LONGEST_REST_S, PushBus
from edge.push.conversation import Conversation
from edge.waker import Waker

log = logging.getLogger(__name__)

CONNECT_LIMIT_S = 10
KEEPALIVE_S = 15
# A message of a device is small; what is larger is somebody else's (a camera's picture).
MAX_MESSAGE_BYTES = 65_536
MAX_UNSENT = 100
MAX_TOPICS_AT_ONCE = 50
_NUL = b"\0"


class PublishedBus(PushBus):
    """Devices publish; what is sent to them is published likewise."""

    def __init__(
        self, bus: MqttBus, name: str, *, password: str | None, gateway: str, topics: Sequence[str], **parts: Any
    ) -> None:
        """Prepare; see `PushBus`.

        Args:
            bus: from the site file.
            name: its id.
            password: of its user.
            gateway: names the client.
            topics: what is subscribed to.
            parts: see `PushBus`.
        """
        super().__init__(name, **parts)
        self._bus, self._password, self._client_id = bus, password, f"langyan-{gateway}-{name}"
        self._topics = tuple(topics)
        self._unsent: deque[bytes] = deque(maxlen=MAX_UNSENT)
        self._waker = Waker()

    async def _serve(self) -> None:
        name = f"{self._bus.host}:{self._bus.port}"
        try:
            async with self._client() as client:
                await self._subscribe(client)
                self._push.connections += 1
                self._push.connected = 1
                self._note_up()
                why = await self._exchange(client)
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            # A ValueError is a host name that cannot be one.
            why = str(error)
        finally:
            self._push.connected = 0
        raise LinkDownError(f"broker {name}: {why}")

    def _client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            self._bus.host,
            self._bus.port,
            username=self._bus.username,
            password=self._password,
            identifier=self._client_id,
            timeout=CONNECT_LIMIT_S,
            keepalive=KEEPALIVE_S,
            # The broker keeps what is published while we connect again.
            clean_session=False,
            max_queued_incoming_messages=MAX_INCOMING,
        )

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        for first in range(0, len(self._topics), MAX_TOPICS_AT_ONCE):
            some = [(one, 1) for one in self._topics[first : first + MAX_TOPICS_AT_ONCE]]
            for (one, _), code in zip(some, await client.subscribe(some), strict=False):
                value = getattr(code, "value", code)
                if isinstance(value, int) and value >= REFUSED_FROM:
                    raise aiomqtt.MqttError(f"it refuses the subscription to {one}; check its access list")

    async def _exchange(self, client: aiomqtt.Client) -> str:
        """Hold the conversation until the connection is lost; returns why it was."""
        conversation = self._conversation(self._send, self._waker.wake)
        try:
            async with anyio.create_task_group() as tasks:
                conversation.open()
                tasks.start_soon(self._tend, client, conversation, tasks)
                why = await self._hear_all(client, conversation)
                tasks.cancel_scope.cancel()
            return why
        finally:
            conversation.close()
            self._unsent.clear()

    async def _hear_all(self, client: aiomqtt.Client, conversation: Conversation) -> str:
        try:
            async for message in client.messages:
                self._hear(conversation, message)
                self._waker.wake()
        except aiomqtt.MqttError as error:
            return str(error)
        return "it hung up"

    def _hear(self, conversation: Conversation, message: aiomqtt.Message) -> None:
        self._note_heard(len(message.payload))
        if self._intake.keeper.is_behind:
            # The client has no way to hold the broker up.
            self._push.dropped += 1
            self._watch.not_listening(self.name, monotonic())
        elif len(message.payload) > MAX_MESSAGE_BYTES:
            self._push.dropped += 1
        else:
            kept = _NUL if message.retain else b""
            conversation.hear(kept + message.topic.value.encode() + _NUL + message.payload)

    def _send(self, data: bytes) -> None:
        self._unsent.append(data)
        self._waker.wake()

    async def _tend(self, client: aiomqtt.Client, conversation: Conversation, tasks: TaskGroup) -> None:
        """Look at the clock, and publish what is to be sent."""
        while not conversation.hangs_up:
            due_at = conversation.tick()
            self.turned_at = now = monotonic()
            try:
                while self._unsent:
                    topic, _, payload = self._unsent.popleft().partition(_NUL)
                    await client.publish(topic.decode(errors="replace"), payload, qos=1)
            except (aiomqtt.MqttError, ValueError) as error:
                # Who hears learns of a lost connection too; a topic that is none is nobody's.
                log.debug("bus %s: not published: %s", self.name, error)
            await self._waker.wait_until(min(now + LONGEST_REST_S, math.inf if due_at is None else due_at))
        tasks.cancel_scope.cancel()
