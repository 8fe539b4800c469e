"""Births and deaths: from their retained messages into the gateway table."""

from collections.abc import Sequence
from functools import partial

import anyio
import anyio.lowlevel
from msgspec import Struct
from sqlalchemy import Connection

from cloud.answers import Refused, answer, dead_letter
from cloud.counters import Counters
from cloud.database import PersistentDatabase, dead_letters
from cloud.database.gateways import note_presence
from cloud.errors import DatabaseRefusedError
from cloud.intake import Registry, gateway_of, open_payload
from cloud.mqtt_worker import Message, MqttWorker
from cloud.settings import Settings
from contract.errors import DecodeError, Refusal
from contract.presence import Birth, Death, decode_presence
from contract.topics import Channel

# What is committed at once: enough for a city's births in seconds, and at most a few MB of them.
_MOST_MESSAGES = 200
_MOST_BYTES = 4 * 1024 * 1024


class Taken(Struct, frozen=True):
    """A message and what it turned out to be."""

    message: Message
    content: Birth | Death | Refused


def interpret_presence(message: Message, *, registry: Registry | None = None) -> Birth | Death | Refused:
    """Read one birth or death. Pure."""
    try:
        gateway, payload = open_payload(message, channel=Channel.BIRTH, registry=registry)
        return decode_presence(payload, gateway=gateway)
    except DecodeError as error:
        return Refused(error.refusal, error.why, gateway_of(message))


async def keep_presence(
    worker: MqttWorker, database: PersistentDatabase, settings: Settings, counters: Counters
) -> None:
    """Note every birth and death until the messages end.

    A birth that asks for a receipt gets one: so a gateway without a clock learns the time when it connects. What is
    retained has been kept by the broker, and who asked does not wait any more.

    What is waiting goes in one transaction: after a subscription the births of a whole city arrive at once.
    """
    while True:
        try:
            messages = [await worker.receive()]
        except anyio.EndOfStream:
            return
        size = len(messages[0].payload)
        while len(messages) < _MOST_MESSAGES and size < _MOST_BYTES:
            following = worker.receive_nowait()
            if following is None:
                break
            messages.append(following)
            size += len(following.payload)
        taken: list[Taken] = []
        for message in messages:
            # An empty message takes a retained one away: the gateway was removed on purpose.
            if message.payload:
                taken.append(Taken(message, interpret_presence(message, registry=settings.gateways)))
                await anyio.lowlevel.checkpoint()
        if taken:
            await _keep(taken, database, settings, counters)
        refused = {id(entry.message): entry.content for entry in taken if isinstance(entry.content, Refused)}
        for message in messages:
            if message.response_topic is None or message.retained:
                worker.ack(message)
                continue
            why = refused.get(id(message))
            reason = f"{why.refusal}: {why.why}" if why else ""
            taken_in = 0 if why else 1
            gateway = gateway_of(message)
            answer(worker, message, gateway=gateway, stored=taken_in, refused=1 - taken_in, reason=reason)


async def _keep(taken: Sequence[Taken], database: PersistentDatabase, settings: Settings, counters: Counters) -> None:
    try:
        await database.call(partial(_commit, taken=taken, settings=settings))
    except DatabaseRefusedError as error:
        if len(taken) > 1:
            # One of them spoils the commit: each alone, so that the others are stored.
            for entry in taken:
                await _keep([entry], database, settings, counters)
            return
        message = taken[0].message
        taken = [Taken(message, Refused(Refusal.DATABASE, str(error), gateway_of(message)))]
        await database.call(partial(_commit, taken=taken, settings=settings))
    counters.refused.update(entry.content.refusal.value for entry in taken if isinstance(entry.content, Refused))


def _commit(connection: Connection, *, taken: Sequence[Taken], settings: Settings) -> None:
    noted = [(entry.content, entry.message) for entry in taken if not isinstance(entry.content, Refused)]
    # Every worker gets every birth: in one order of rows two of them never wait for each other. A gateway's own
    # messages stay in theirs.
    for content, message in sorted(noted, key=lambda pair: pair[0].gateway):
        registered = settings.gateways[content.gateway] if settings.gateways is not None else None
        note_presence(
            connection,
            content,
            received_at_us=message.received_at_us,
            registered=registered,
            retained=message.retained,
        )
    letters = [dead_letter(entry.message, entry.content) for entry in taken if isinstance(entry.content, Refused)]
    dead_letters.keep(connection, letters, limit=settings.database.dead_letters)
